"""Solutions to the exercises of 09_privileged_basis."""

from itertools import combinations

import numpy as np


def gradient_of_c(W, b, c, x, importance):
    a = x @ W.T + c
    z = np.maximum(a, 0) @ W + b
    dy = 2 * importance * (np.maximum(z, 0) - x) / len(x)
    dh = (dy * (z > 0)) @ W.T
    return (dh * (a > 0)).sum(axis=0)


def monosemantic(W):
    positive = np.maximum(W, 0)
    on = positive > 0.3 * positive.max(axis=-1, keepdims=True)
    return (on.sum(axis=-1) == 1).sum(axis=-1)


def pair_code(m):
    pairs = list(combinations(range(m), 2))
    W = -np.ones((m, len(pairs)))
    for i, pair in enumerate(pairs):
        W[list(pair), i] = 1
    return W
