"""One look: the slope of the loss along one direction beside the slope that the gradient claims."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from minitms.testing._problem import norm
from minitms.testing._slopes import EPS, FINE, ROUNDINGS, Slope

__tracebackhide__ = True  # pytest then shows the user's code, not ours

SAFETY = 10  # times the estimated error of a slope is what may differ
DOUBT = 3  # ... and what may differ where it would speak for the gradient
RESOLVED = 0.05  # a tolerance above this part of the slope checks nothing
ENOUGH = 1e-4  # a tolerance of this part of the slope needs no better step
BESIDE_NOTHING = 1e-2  # ... nor one above this part of the slopes around, where the slope itself is 0
STEPPED = 1e-3  # a loss that jumps by this part of its change over unit steps is not rounded: it counts, or quantises
UNDERFLOW = 1e-20  # a loss of exactly 0 all around may have lost slopes of this size, in single precision too


@dataclass(frozen=True, eq=False)
class Look:
    """Along the direction `v` of all entries."""

    v: np.ndarray
    slope: Slope
    claimed: float
    size: float
    tolerance: float

    @property
    def error(self):
        return abs(self.slope.value - self.claimed)

    @property
    def excess(self):
        """The error in units of the tolerance: above 1 is wrong."""
        return self.error / self.tolerance if self.tolerance else np.inf if self.error else 0.0

    @property
    def odd(self):
        """Something speaks against the gradient, or against there being one."""
        return self.excess > 1 or self.slope.kink is not None


def look(problem, v, rtol, like=None, beside=0.0):
    """Along `v`: near the step of the slope `like` if that will do, else from the foot of the ladder.

    `beside` is the size of the slopes that were seen along other entries: the gradient by these is computed beside
    them, and rounded so. None if the loss ends too close by.
    """
    if like:
        slope = problem.slope_near(v, like, 2, 1, beside)
        found = slope and compare(problem, v, slope, rtol, beside)
        known = slope and like.noise and slope.error <= 100 * like.error
        if found and not found.odd and (known or found.tolerance <= ENOUGH * found.size):
            return found
    slope = problem.slope(v, beside)
    found = slope and compare(problem, v, slope, rtol, beside)
    return _second_thought(problem, v, found, rtol, beside) if found and found.odd else found


def _second_thought(problem, v, found, rtol, beside):
    """Before anything is said against a gradient: does the loss move by jumps, or did the steps go too far?"""
    slope = problem.slope_on_stairs(v, found.slope, beside)
    if slope:
        return compare(problem, v, slope, rtol, beside)
    slope = problem.slope_from_below(v, beside) or found.slope
    kink = found.slope.kink
    others = slope, *slope.within_reach(kink or found.slope.rung)
    closer = [compare(problem, v, other, rtol, beside) for other in others]
    disputed = max(found.error, abs(kink.jump) if kink else 0.0)
    verdict = found
    for again in closer:
        if again.tolerance > RESOLVED * max(again.size, disputed):
            continue
        if not again.odd and (again is closer[0] or again.tolerance < disputed):
            return again
        if again.excess > 1 and _denies(again, found):  # what looked well from farther away is not the slope here
            verdict = again
            break
    # Looks closer still, too rough to speak for the gradient, may speak against the verdict: a kink lies between.
    doubted = any(again.error <= DOUBT * again.slope.error and _denies(again, verdict) for again in closer)
    if doubted and not verdict.slope.kink:
        return replace(verdict, slope=replace(verdict.slope, kink=verdict.slope.rung))
    return verdict


def _denies(closer, far):
    """Whether a closer look shows that the slope from farther away is not the slope here, or its kink not at 0."""
    error, kink = closer.slope.error, far.slope.kink
    if kink:
        return not closer.slope.kink and DOUBT * max(abs(closer.slope.rung.jump), 2 * SAFETY * error) < abs(kink.jump)
    return abs(closer.slope.value - far.slope.value) > DOUBT * error


def compare(problem, v, slope, rtol, beside=0.0):
    moving = np.flatnonzero(v)
    terms = problem.claim[moving] * v[moving]
    size = norm(terms)
    tolerance = SAFETY * slope.error + rtol * size + ROUNDINGS * EPS * beside
    if problem.middle == 0 and slope.flat:
        tolerance = max(tolerance, UNDERFLOW)
    return Look(v, slope, float(terms.sum()), size, tolerance)


def unresolved(problem, seen, size, overall):
    """Why a look does not tell whether slopes of `size`, among those it took, are right; "" if it does.

    `overall` is the size of the slopes by all parameters.
    """
    slope, tolerance, around = seen.slope, seen.tolerance, seen.slope.around
    value = max(size, abs(slope.value) if size == seen.size else 0.0)
    sharp = tolerance <= RESOLVED * value and slope.jumps <= STEPPED * value
    at_rest = not size and (slope.flat or slope.within(ROUNDINGS * EPS * abs(problem.middle)))
    turning = max(seen.size, abs(slope.value)) <= RESOLVED * around and tolerance <= BESIDE_NOTHING * around
    residue = size <= 4 * ROUNDINGS * EPS * overall and tolerance <= BESIDE_NOTHING * overall  # 0, rounded
    if sharp or at_rest or residue or (turning and slope.jumps <= FINE * around):
        return ""
    if slope.flat:
        hidden = "does it underflow?" if problem.middle == 0 else "rounding of the loss hides this slope"
        return f"the loss does not change at all around params: {hidden}"
    if slope.jumps:
        return f"the loss moves by jumps of {slope.jumps:.1g}, which hide this slope: is it rounded, or does it count?"
    return "rounding of the loss hides this slope"
