"""A wrong parameter entry by entry: the evidence for a report, and what the diagnosis reads."""

from __future__ import annotations

import numpy as np

from minitms.testing._looks import SAFETY, compare
from minitms.testing.report import Explained

ALL_ENTRIES = 1024  # up to this many entries, every one is looked at
SOME_ENTRIES = 32  # of a larger array
ALONG = 8  # more, that share all indices but one with the worst


def explain(problem, outcome, rtol, random):
    """The numeric gradient entry by entry: of all entries, or of some in an array too large for that."""
    analytic, direction = problem.analytic[outcome.block], outcome.direction
    if analytic.size <= ALL_ENTRIES:
        looked_at = np.arange(analytic.size)
    else:
        worst = _search(problem, outcome, rtol)
        some = random.choice(analytic.size, SOME_ENTRIES, replace=False)
        steepest = np.abs(analytic).ravel().argpartition(-8)[-8:]
        looked_at = np.unique([*some, *steepest, *_along_the_axes(worst, analytic.shape, random)])
    numeric, error = np.full(analytic.shape, np.nan), np.full(analytic.shape, np.nan)
    start, everywhere = problem.parts[outcome.block].start, np.ones(problem.point.size, bool)
    steps = problem.direction(everywhere, True, random)  # for entries that the direction leaves out
    for flat in looked_at:
        only, shared = np.zeros(problem.point.size), direction.flat[flat]
        only[start + flat] = shared or steps[start + flat]
        slope = problem.slope_near(only, outcome.slope, below=1, above=0) if shared else None
        if slope is None or (slope.error > 100 * outcome.slope.error and not slope.jumps):
            slope = problem.slope(only, near=0) or slope
        if slope:
            numeric.flat[flat] = slope.value / only[start + flat]
            error.flat[flat] = slope.error / abs(only[start + flat])
    tolerance = SAFETY * error + rtol * np.abs(analytic)
    rest_is_right = True
    if looked_at.size < analytic.size:  # would all be well but for the entries seen to be wrong?
        rest = np.where(np.abs(analytic - numeric) > tolerance, 0.0, direction)
        rest_is_right = not rest.any() or right_along(problem, outcome, rest, rtol)
    return Explained(outcome, analytic, numeric, tolerance, rest_is_right)


def add_up(explained):
    """False if all entries are right, and too exactly for their errors to add up to that of the whole direction.

    A slope that is not the sum of the slopes along the entries belongs to no gradient: there is a kink.
    """
    may_differ = float((explained.tolerance * np.abs(explained.outcome.direction)).sum())  # NaN if not all were seen
    return explained.wrong.any() or not explained.outcome.error > may_differ


def right_along(problem, outcome, direction, rtol):
    """Whether the gradient by a parameter is right along one more direction of it."""
    return not _compare(problem, outcome, direction, rtol).excess > 1


def _compare(problem, outcome, direction, rtol, near=False):
    v = np.zeros(problem.point.size)
    v[problem.parts[outcome.block]] = direction.ravel()
    slope = problem.slope_near(v, outcome.slope, below=1, above=0) if near else None
    slope = slope or problem.slope(v, near=0)
    return compare(problem, v, slope, rtol)


def _search(problem, outcome, rtol):
    """The entry behind an error in a large array, by halving: follow the half whose slope is further off."""
    candidates = np.flatnonzero(outcome.direction)
    off = outcome.slope.value - outcome.claimed
    while candidates.size > 1:
        first, second = np.array_split(candidates, 2)
        direction = np.zeros(outcome.direction.shape)
        direction.flat[first] = outcome.direction.flat[first]
        one = _compare(problem, outcome, direction, rtol, near=True)
        off_first = one.slope.value - one.claimed
        off_second = off - off_first
        candidates, off = (first, off_first) if abs(off_first) >= abs(off_second) else (second, off_second)
    return int(candidates[0])


def _along_the_axes(flat, shape, random):
    """The entry, and some others that share all its indices but one."""
    found, index = [flat], np.unravel_index(flat, shape)
    for axis, length in enumerate(shape):
        for other in random.permutation(length)[:ALONG]:
            found.append(int(np.ravel_multi_index((*index[:axis], other, *index[axis + 1 :]), shape)))
    return found
