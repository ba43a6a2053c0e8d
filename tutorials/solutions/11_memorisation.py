"""Solutions to the exercises of 11_memorisation."""

import numpy as np


def memorise(x):
    angle = 2 * np.pi * np.arange(len(x)) / len(x)
    c2 = 1 / (1 - np.cos(2 * np.pi / len(x)))
    corners = np.sqrt(c2) * np.stack([np.cos(angle), np.sin(angle)])
    return corners @ x, -(c2 - 1) * x.sum(axis=0)


def data_shares(W, x):
    h = W @ x.T
    G = h.T @ h
    own = np.diag(G)
    return own**2 / np.where(own > 0, (G**2).sum(axis=1), 1)


def can_be_cut_off(on):
    return (on != np.roll(on, 1)).sum() == 2
