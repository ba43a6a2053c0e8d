"""Solutions to the exercises of 05_check_your_own_gradients."""

import numpy as np


def backward_softplus(W, b, x, importance):
    h = x @ W.T
    z = h @ W + b
    dz = 2 * importance * (np.logaddexp(0, z) - x) / len(x) / (1 + np.exp(-z))
    return h.T @ dz + (dz @ W.T).T @ x, dz.sum(axis=0)


def mended(W, b, x, importance):
    a = x @ W.T
    h = np.maximum(a, 0)
    z = h @ W + b
    dz = 2 * importance * (np.maximum(z, 0) - x) / len(x) * (z > 0)
    da = dz @ W.T * (a > 0)  # the mask that was missing
    return h.T @ dz + da.T @ x, dz.sum(axis=0)


def measured_gradient(f, w):
    h = 1e-5
    gradient = np.zeros_like(w)
    for index in np.ndindex(w.shape):
        up, down = w.copy(), w.copy()
        up[index] += h
        down[index] -= h
        gradient[index] = (f(up) - f(down)) / (2 * h)
    return gradient
