"""Solutions to the exercises of 07_dynamics."""

import numpy as np


def waiting_time(w0, s):
    return 3 * np.log(1 / w0**2 - 1) / (8 * s)


def jumps_of(D, low, high):
    rest = np.flatnonzero((D <= low) | (D >= high))
    is_high = D[rest] >= high
    return [(rest[k], rest[k + 1]) for k in np.flatnonzero(is_high[1:] != is_high[:-1])]


def collapsed_loss(k, s):
    # While the set is on: k outputs, each the mean of the k values; the values vary around it with (k - 1)/12 in all.
    return s * (k - 1) / 12
