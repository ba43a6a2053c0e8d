"""Solutions to the exercises of 06_geometry."""

import numpy as np

from minitms.polytopes import POLYTOPES


def shares(W):
    G = W.T @ W
    own = np.diag(G)
    return own**2 / np.where(own > 0, (G**2).sum(axis=1), 1)


def build(names):
    corners = [POLYTOPES[name] for name in names]
    W = np.zeros((sum(c.shape[0] for c in corners), sum(c.shape[1] for c in corners)))
    row = column = 0
    for c in corners:
        d, k = c.shape
        W[row : row + d, column : column + k] = c
        row, column = row + d, column + k
    return W


def leverage(W):
    return np.diag(np.linalg.pinv(W) @ W)
