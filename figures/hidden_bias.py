"""The model of section 7 with a bias on its neurons as well; `privileged_basis` tells what becomes of it.

    a = x Wᵀ + c      c (m,): the bias that the paper's model does without
    h = max(a, 0)
    z = h W + b
    y = max(z, 0)

The package's chain has no c, so this file has forward and backward of its own, in plain NumPy.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from minitms import adam


def forward(W, b, c, x):
    """All layers a, h, z, y of models W (..., m, n), b (..., n), c (..., m) on examples x (..., batch, n)."""
    a = x @ W.mT + c[..., None, :]
    h = np.maximum(a, 0)
    z = h @ W + b[..., None, :]
    return a, h, z, np.maximum(z, 0)


def loss(W, b, c, x, importance):
    """Mean over the batch of ``sum_i I_i (y_i - x_i)²``, one a model."""
    y = forward(W, b, c, x)[-1]
    return (importance * (y - x) ** 2).sum(axis=-1).mean(axis=-1)


def backward(W, b, c, x, importance):
    """Gradient of `loss` by W, b and c: as in `minitms.model`, and one line more."""
    a, h, z, y = forward(W, b, c, x)
    dy = 2 * importance * (y - x) / x.shape[-2]
    dz = dy * (z > 0)
    db = dz.sum(axis=-2)
    dh = dz @ W.mT
    da = dh * (a > 0)
    dc = da.sum(axis=-2)             # a = x Wᵀ + c, c in each row  ->  ∂L/∂c = da summed over examples
    dW = h.mT @ dz + da.mT @ x       # tied: decoder and encoder
    return dW, db, dc


def train(features, m, *, steps, batch_size, learning_rate, starts, seed):
    """Train by Adam along a cosine, from Xavier's weights and both biases 0; every start sees the same data.

    Parameters
    ----------
    features : SparseFeatures of K densities
    m, steps, batch_size, starts, seed : int
    learning_rate : float

    Returns
    -------
    namespace with W (starts, K, m, n), b (starts, K, n), c (starts, K, m)
    """
    importance, n, K = features.importance[..., None, :].astype(np.float32), features.n, len(features.density)
    rng = np.random.default_rng(seed)
    theta = np.zeros((starts, K, m * n + n + m), np.float32)
    theta[..., : m * n] = rng.normal(0, np.sqrt(2 / (m + n)), (starts, K, m * n))
    W = theta[..., : m * n].reshape(starts, K, m, n)  # views: they move with theta
    b, c = theta[..., m * n : -m], theta[..., -m:]
    mean, square = np.zeros_like(theta), np.zeros_like(theta)
    constants = adam.constants(0.0, np.float32)
    rates = adam.steps(adam.learning_rates("cosine", learning_rate, steps), 0, steps, np.float32)
    for step in zip(*rates, strict=True):
        x = features.sample(batch_size, seed=int(rng.integers(2**62)), dtype="float32")
        dW, db, dc = backward(W, b, c, x, importance)
        slope = np.concatenate([dW.reshape(starts, K, m * n), db, dc], axis=-1)
        theta[...], mean, square = adam.rule(theta, slope, mean, square, adam.Step(*step), constants)
    return SimpleNamespace(W=W, b=b, c=c)
