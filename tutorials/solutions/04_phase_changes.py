"""Solutions to the exercises of 04_phase_changes."""

import numpy as np


def three_losses(s, r):
    v = s / 3 - s**2 / 4
    return np.stack([r * v, v + 0 * r, (1 + r) * s**2 / 6])


def boundary_above_one(r):
    return 4 / (5 + 2 * r)
