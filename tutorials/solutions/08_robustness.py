"""Solutions to the exercises of 08_robustness."""

import numpy as np


def worst_on_output(W, b, x, i, budget):
    row = W.T[i] @ W
    z, move = row @ x + b[i], budget * np.linalg.norm(row)
    up, down = (abs(max(z + change, 0) - x[i]) for change in (move, -move))
    return (1 if up >= down else -1) * budget * row / np.linalg.norm(row)


def budget_to_turn_on(z, norm, D):
    return -z * np.sqrt(D) / norm**2


def worst_of_all(W, budget):
    _, vectors = np.linalg.eigh(W.T @ W)
    return budget * vectors[:, -1]
