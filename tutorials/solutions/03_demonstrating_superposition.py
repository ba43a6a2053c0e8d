"""Solutions to the exercises of 03_demonstrating_superposition."""

import numpy as np


def my_interference(W):
    norms = np.linalg.norm(W, axis=0)
    directions = W / np.where(norms > 0, norms, 1)
    overlap = (directions.T @ W) ** 2
    return overlap.sum(axis=1) - np.diag(overlap)


def lowest_linear_loss(m, importance, s):
    v = s / 3 - s**2 / 4
    return v * np.sort(importance)[::-1][m:].sum()


def shared_dimension():
    return np.array([[1.0, -1.0]]), np.zeros(2)
