"""Solutions to the exercises of 02_the_gradient_by_hand; the second calls the tutorial's `my_backward`."""

import numpy as np


def backward_linear(W, b, x, importance):
    h = x @ W.T
    z = h @ W + b
    dz = 2 * importance * (z - x) / len(x)
    return h.T @ dz + (dz @ W.T).T @ x, dz.sum(axis=0)


def backward_with_penalty(W, b, x, importance, penalty):
    dW, db = my_backward(W, b, x, importance)  # noqa: F821
    return dW + 2 * penalty * W, db


def gradient_by_x(W, b, x, importance):
    z = x @ W.T @ W + b
    dy = 2 * importance * (np.maximum(z, 0) - x) / len(x)
    dh = dy * (z > 0) @ W.T
    return dh @ W - dy
