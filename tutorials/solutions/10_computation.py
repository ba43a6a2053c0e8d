"""Solutions to the exercises of 10_computation."""

import numpy as np


def absolute(n):
    return np.concatenate([np.eye(n), -np.eye(n)]), np.concatenate([np.eye(n), np.eye(n)]), np.zeros(n)


def interference(E, D, b, i, j, value):
    return np.maximum(E[:, i] * value, 0) @ D[:, j] + b[j]


def backward_with_bias(E, D, b, c, x, t):
    a = x @ E.T + c
    h = np.maximum(a, 0)
    z = h @ D + b

    dz = 2 * (np.maximum(z, 0) - t) / len(x) * (z > 0)
    da = dz @ D.T * (a > 0)
    return da.T @ x, h.T @ dz, dz.sum(axis=0), da.sum(axis=0)
