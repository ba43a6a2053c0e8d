"""Solutions to the exercises of 00_start_here."""

import numpy as np


def how_often(x):
    return (x > 0).mean(axis=0)


def reconstruct(W, b, x):
    h = x @ W.T
    z = h @ W + b
    return np.maximum(z, 0)


def weighted_loss(y, x, importance):
    return (importance * (y - x) ** 2).sum(axis=-1).mean()


def sample(batch, n, density, rng):
    on = rng.random((batch, n)) < density
    return np.where(on, rng.random((batch, n)), 0.0)
