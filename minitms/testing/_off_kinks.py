"""Numbers that keep away from kinks, where a loss has no gradient to compare with."""

from __future__ import annotations

import numpy as np

from minitms import _checks

MARGIN = 1 / 16


def away_from(kinks, start, margin):
    """The numbers nearest to start (..., k) that are at least `margin` away from all kinks (..., batch, k).

    The start itself will do, or else one of the ends kink ± 2 margin: the outermost is always free. A kink that is
    nowhere is NaN.
    """
    ends = 2 * margin  # clear of rounding, and b = 0 becomes a readable 1/8
    candidates = np.concatenate([start[..., None, :], kinks + ends, kinks - ends], axis=-2)
    taken = (np.abs(candidates[..., :, None, :] - kinks[..., None, :, :]) < margin).any(axis=-2)
    distance = np.where(taken, np.inf, np.abs(candidates - start[..., None, :]))
    nearest = np.nanargmin(distance, axis=-2)[..., None, :]
    return np.take_along_axis(candidates, nearest, axis=-2)[..., 0, :]


def each_kink(kinks, shape):
    """The kinks of every entry, of shape (number of kinks, *shape)."""
    if not isinstance(kinks, list | tuple) and np.ndim(kinks) == 0:
        raise TypeError(f"kinks is {kinks!r}; expected a sequence, such as ({kinks!r},)")
    kinks = [_checks.finite("kinks", _checks.real_array("kinks", kink)) for kink in kinks]
    for kink in kinks:
        if kink.ndim > len(shape) or any(k not in (1, n) for k, n in zip(kink.shape[::-1], shape[::-1], strict=False)):
            raise ValueError(f"kinks holds an array of shape {kink.shape}; expected numbers, or arrays of {shape}")
    return np.array([np.broadcast_to(kink, shape) for kink in kinks]).reshape(len(kinks), *shape)


def apart(wanted, kinks, ties, bound):
    """The numbers nearest to `wanted`, within the bound, away from their kinks (k, *shape) and from each other.

    Each number that is taken blocks 4 margins of the 2 bounds. The margin leaves room for all, so among the ends
    taken ± 2 margin and the two bounds there is always a free one.
    """
    blocks = len(kinks) + (0 if ties else wanted.size)
    margin = min(MARGIN, bound / (2 * (blocks + 1)))
    ends, free = 2 * margin, []  # clear of rounding, and 0 becomes a readable 1/8
    for value, taken in zip(wanted.ravel(), kinks.reshape(len(kinks), wanted.size).T, strict=True):
        taken = np.concatenate([taken, [] if ties else free])
        candidates = np.concatenate([[value], taken + ends, taken - ends, [bound, -bound]])
        distance = np.abs(candidates[:, None] - taken).min(axis=1, initial=np.inf)
        allowed = (distance >= margin) & (np.abs(candidates) <= bound)
        free.append(candidates[np.where(allowed, np.abs(candidates - value), np.inf).argmin()])
    return np.reshape(free, wanted.shape)
