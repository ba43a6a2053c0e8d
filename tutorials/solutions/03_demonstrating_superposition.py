"""Solutions to the exercises of 03_demonstrating_superposition."""

import numpy as np

import minitms as tms


def my_interference(W):
    norms = np.linalg.norm(W, axis=0)
    directions = W / np.where(norms > 0, norms, 1)
    overlap = (directions.T @ W) ** 2
    return overlap.sum(axis=1) - np.diag(overlap)


def lowest_linear_loss(m, importance, s):
    v = s / 3 - s**2 / 4
    return v * np.sort(importance)[::-1][m:].sum()


def bias_of_a_pair(s):
    # Where both are on, the larger one comes out too small, by the smaller one: a bias above 0 makes up for some of
    # that. It hurts where the output was exact without it: if both are off, or one is on alone.
    W, biases = np.array([[1.0, -1.0]]), np.linspace(-0.05, 0.05, 501)
    return biases[np.argmin([tms.expected_loss(W, [bias, bias], s) for bias in biases])]
