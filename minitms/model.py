"""The model and its gradient, in the order in which one would derive them on paper.

    n  features                    x  (..., batch, n)   input: sparse features
    m  hidden dimensions, m < n    W  (..., m, n)       column W_i: the direction in which feature i is stored
                                   b  (..., n)          bias
    h = x Wᵀ        encode         h  (..., batch, m)
    z = h W + b     decode         z  (..., batch, n)
    y = z or ReLU(z)               y  (..., batch, n)   output: the features, reconstructed

    L = mean over the batch of  sum_i I_i (y_i - x_i)²,    I_i the importance of feature i

Rows are examples, so x Wᵀ is "W x for every row" and h W is "Wᵀ h for every row": together Wᵀ W x + b.
The leading axes ``...`` are a stack of models, as in `numpy.linalg`; one model is no special case.
This file is the definition. The fused kernels say the same thing faster, and the tests hold them to it.

Source: Elhage et al., Toy Models of Superposition (2022), section 2, "Demonstrating Superposition".
"""

from __future__ import annotations

import numpy as np

from minitms import _checks


def forward(W, b, x, activation="relu"):
    """Reconstruct the features: ``y = Wᵀ W x + b``, through a ReLU if `activation` is ``"relu"``.

    Parameters
    ----------
    W : array of shape (..., m, n)
    b : array of shape (..., n)
    x : array of shape (..., batch, n)
    activation : "relu" or "linear"

    Returns
    -------
    y : array of shape (..., batch, n), in the widest dtype of W, b and x

    Raises
    ------
    ValueError, TypeError
        If the shapes do not fit each other, a dtype is not real, or the activation is unknown.

    Notes
    -----
    Elhage et al. (2022), section 2, "Models".
    """
    W, b, x = _arrays(W, b, x, activation)
    _, _, y = _layers(W, b, x, activation)
    return y


def loss(W, b, x, importance=1.0, activation="relu"):
    """Importance-weighted squared error: ``L = mean over the batch of sum_i I_i (y_i - x_i)²``.

    The mean runs over examples and the sum over features, so that L estimates the expected loss of the theory.

    Parameters
    ----------
    W, b, x, activation
        As in `forward`.
    importance : array that broadcasts to (..., n), every value at least 0

    Returns
    -------
    L : array of shape (...), one loss a model; 0-d for one model

    Raises
    ------
    ValueError, TypeError
        As in `forward`; also if the importance is negative, not finite, or of another shape.

    Notes
    -----
    Elhage et al. (2022), section 2, "Loss".
    """
    W, b, x = _arrays(W, b, x, activation)
    importance = _importance(importance, W, b, x)
    _, _, y = _layers(W, b, x, activation)
    return (importance * (y - x) ** 2).sum(axis=-1).mean(axis=-1)


def backward(W, b, x, importance=1.0, activation="relu"):
    """Gradient of `loss` by W and b, each line beside the derivative that it implements.

    W enters the model twice, as encoder (h = x Wᵀ) and as decoder (z = h W + b). So the gradient by W is a sum of
    two paths, and dropping either is this model's classic mistake.

    Parameters
    ----------
    W, b, x, importance, activation
        As in `loss`.

    Returns
    -------
    dW : array of shape (..., m, n)
    db : array of shape (..., n)

    Raises
    ------
    ValueError, TypeError
        As in `loss`.

    Notes
    -----
    d<thing> stands for ∂L/∂<thing>. ReLU has no derivative at exactly z = 0; it is taken as 0 there.
    """
    W, b, x = _arrays(W, b, x, activation)
    importance = _importance(importance, W, b, x)
    h, z, y = _layers(W, b, x, activation)
    batch = x.shape[-2]

    dy = 2 * importance * (y - x) / batch           # L = 1/batch Σ I (y - x)²   ->  ∂L/∂y = 2 I (y - x) / batch
    dz = dy * (z > 0) if activation == "relu" else dy   # y = ReLU(z)            ->  ∂y/∂z = 1 where z > 0, else 0
    db = dz.sum(axis=-2)                            # z = h W + b, b in each row ->  ∂L/∂b = sum of the rows of dz
    dW_decode = h.mT @ dz                           # z = h W + b                ->  ∂L/∂W = hᵀ dz   (W as decoder)
    dh = dz @ W.mT                                  # z = h W + b                ->  ∂L/∂h = dz Wᵀ
    dW_encode = dh.mT @ x                           # h = x Wᵀ                   ->  ∂L/∂W = dhᵀ x   (W as encoder)
    dW = dW_decode + dW_encode                      # one W in both places       ->  the sum of both paths
    return dW, db


def loss_and_gradients(W, b, x, importance=1.0, activation="relu"):
    """`loss` and `backward` in one call.

    Returns
    -------
    L : array of shape (...)
    dW : array of shape (..., m, n)
    db : array of shape (..., n)
    """
    return loss(W, b, x, importance, activation), *backward(W, b, x, importance, activation)


def _layers(W, b, x, activation):
    """The forward pass with what the backward pass needs of it: h, z and y."""
    h = x @ W.mT                                    # encode
    z = h @ W + b[..., None, :]                     # decode
    y = np.maximum(z, 0) if activation == "relu" else z
    return h, z, y


def _arrays(W, b, x, activation):
    """Check the shapes against each other before any work, and bring W, b and x to one dtype."""
    _checks.choice("activation", activation, _checks.ACTIVATIONS)
    W, b, x = _checks.real_array("W", W), _checks.real_array("b", b), _checks.real_array("x", x)
    shapes = f"got W {W.shape}, b {b.shape}, x {x.shape}; expected W (..., m, n), b (..., n), x (..., batch, n)"
    if W.ndim < 2 or b.ndim < 1 or x.ndim < 2:
        raise ValueError(f"{shapes}" + (": one example is written x[None, :]" if x.ndim == 1 else ""))
    if not W.shape[-1] == b.shape[-1] == x.shape[-1]:
        raise ValueError(f"the last axes differ: {shapes}")
    if x.shape[-2] == 0:
        raise ValueError(f"the batch is empty: {shapes}, batch at least 1")
    try:
        np.broadcast_shapes(W.shape[:-2], b.shape[:-1], x.shape[:-2])
    except ValueError:
        raise ValueError(f"the leading axes do not broadcast: {shapes}") from None
    dtype = np.result_type(W, b, x)
    return W.astype(dtype, copy=False), b.astype(dtype, copy=False), x.astype(dtype, copy=False)


def _importance(importance, W, b, x):
    """Importance as ``(..., 1, n)``, so that it meets a batch ``(..., batch, n)``."""
    importance = _checks.per_feature("importance", importance, W.shape[-1]).astype(W.dtype)
    try:
        np.broadcast_shapes(W.shape[:-2], b.shape[:-1], x.shape[:-2], importance.shape[:-1])
    except ValueError:
        raise ValueError(
            f"importance {importance.shape} is for another stack of models than W {W.shape}, b {b.shape}, x {x.shape}"
        ) from None
    return importance[..., None, :]
