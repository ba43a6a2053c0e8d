"""The slope of a function of one variable by finite differences, with an honest estimate of its error.

Five points, t apart (the middle one drops out):   D(t) = [8 f(t) - 8 f(-t) - f(2t) + f(-2t)] / 12 t

Two errors pull the step t apart. Truncation grows: t⁴ f⁗'/30 where f is smooth, t times the jump where only the
curvature jumps. Rounding falls: (rounding of f) / t. Neither size is known beforehand, so D is taken on a ladder of
steps, each eight times the last, from far below any sensible step upwards. On the lower rungs rounding rules, and
|D(t) - D(t/8)| t is about the rounding of f; where truncation takes over it is the truncation. So

    error(t) = max over all rungs up to t of |D(t') - D(t'/8)| t',  divided by t

follows rounding down and truncation up, and cannot be small by accident on one rung. The rung of least error wins.
To read the error off a tableau of steps is Ridders' idea (Advances in Engineering Software 4, 1982); to see rounding in
differences at small steps is Hamming's, and Moré and Wild's (SIAM Journal on Scientific Computing 33, 2011).

Where the loss does not change at all on the lower rungs, either it is flat, as behind a ReLU that is off, or rounding
hides its slope. How it begins to change tells: beyond a kink it grows from nothing, out of rounding it jumps. The size
of its first change is thus what it can hide: that is the rounding on the rungs below, and far less beyond a kink than
what the rungs above would show. Where only a part of the loss is rounded so coarsely, say one square root in single
precision, the lower rungs agree on the slope of the rest, and a jump off that straight line tells (`stairs`).

A kink at t = 0 shows in the one-sided slopes (three points each side): their difference stays the same down the ladder,
while it falls eightfold a rung where only the curvature jumps, and 64-fold where f is smooth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

__tracebackhide__ = True  # pytest then shows the user's code, not ours

EPS, SMALLEST = np.finfo(np.float64).eps, np.finfo(np.float64).smallest_subnormal
RATIO = 8.0
POINTS = np.array([1, -1, 2, -2])
ROUNDINGS = 4  # a loss is trusted to a few roundings of its own size, if the ladder shows no more
VISIBLE = 20  # a difference of one-sided slopes this many times the error of a slope is seen
FAINT = 1e-6  # of a kink fainter than this part of the slope, rounding hides where it lies: it adds to the error
COARSE = 1e4  # a loss whose first two rungs show so many times its rounding is rounded more coarsely than float64
GOOD = 1e-11  # stop climbing when the error is this small a part of the slope
HALVINGS = 40  # of the way to where a flat loss begins to change: beyond a kink, its first change is 2⁻⁴⁰ of the whole
GOLDEN = (3 - 5**0.5) / 2
FINE = 1e-6  # a slope this well known, relative to its size, needs no better step


@dataclass(eq=False)
class Rung:
    step: float
    slope: float
    jump: float  # slope on the right less slope on the left
    error: float  # of the slope, as estimated from this rung and all below
    noise: float  # what rounding, or truncation, adds to the loss
    same_side: bool  # no pre-activation changes its sign between the points
    floor: float  # the rounding of a loss computed in float64
    changes: np.ndarray  # of the loss, at POINTS * step


@dataclass
class Slope:
    """A slope, the step at which it was taken, its estimated error, and the rungs it was read from."""

    value: float
    error: float
    exponent: int  # the step is RATIO ** exponent
    noise: float
    rungs: list[Rung] = field(repr=False)
    kink: Rung | None = None  # the rung that shows two different one-sided slopes
    jumps: float = 0.0  # the loss moves by jumps of this size, if by more than the rounding of float64

    @property
    def step(self) -> float:
        return RATIO**self.exponent

    @property
    def rung(self) -> Rung:
        return next(rung for rung in self.rungs if rung.step == self.step)

    def within(self, change: float) -> bool:
        """Whether the loss changes by no more than `change` at any step."""
        return all(np.abs(rung.changes).max() <= change for rung in self.rungs)

    @property
    def flat(self) -> bool:
        """The loss does not change at all, at any step."""
        return self.within(0.0)

    @property
    def around(self) -> float:
        """The size of the slopes around: the largest on the way to there and to any farther point within a unit."""
        rungs = [rung for rung in self.rungs if self.step <= rung.step <= max(1.0, self.step)]
        return max(float(np.abs(rung.changes / (POINTS * rung.step)).max()) for rung in rungs)

    def within_reach(self, far: Rung) -> Iterator[Slope]:
        """The slope as each rung below the rung `far` shows it, the best first, without what is farther off."""
        rungs = [rung for rung in self.rungs if rung.step < far.step]
        for rung in sorted(rungs, key=lambda rung: rung.error):
            exponent = self.exponent + self.rungs.index(rung) - self.rungs.index(self.rung)
            yield replace(self, value=rung.slope, error=rung.error, exponent=exponent, noise=rung.noise, kink=None)

    def fine(self, size: float) -> bool:
        """Whether a smaller step is not worth trying."""
        return self.kink is None and self.error <= FINE * max(size, abs(self.value))


def slope(line, middle, first, last, size=0.0, own_size=0.0, reach=0.0, noise=0.0, near=3, same_side=None):
    """Climb the ladder from ``RATIO ** first`` up to ``RATIO ** last``; None if the loss ends below the second rung.

    Parameters
    ----------
    line : function of t, the loss at a distance t along the direction
    middle : its value at 0
    first, last : exponents of the lowest and highest step
    size : size of the slope were all its terms of one sign; beside it a faint kink is no kink, see `FAINT`
    own_size : the further size whose rounding enters: |gradient * params|, from rounding params + t direction
    reach : size of params in units of the direction
    noise : rounding of the loss if known from elsewhere
    near : on that many rungs, so close to 0, an exception of the loss is no matter of its domain, and comes through
    same_side : function of t that says whether no pre-activation changes its sign up to ±2t; None: never
    """
    known = noise > 0
    rungs, clear, flat, eps, jumps, kinked = [], True, True, EPS, 0.0, 0.0
    for exponent in range(first, last + 1):
        step = RATIO**exponent
        try:
            values = np.array([line(point * step) for point in POINTS])
        except Exception:
            if len(rungs) < near:
                raise
            break
        if not np.isfinite(values).all():
            break
        changes = values - middle  # differences first: no rounding is added to theirs
        right, left, right2, left2 = changes
        taken = (8 * (right - left) - (right2 - left2)) / (12 * step)
        jump = (4 * (right + left) - (right2 + left2)) / (2 * step)
        if rungs:
            noise = max(noise, abs(taken - rungs[-1].slope) * step)
        # Where the slope is 0 only by cancellation, as at a minimum, params + t v is still rounded on slopes around it.
        around = np.abs(changes).max() / step * reach
        floor = ROUNDINGS * (eps * (max(np.abs(values).max(), abs(middle)) + own_size + around) + SMALLEST)
        if flat and rungs and changes.any():  # only now is it known how much the rungs below could hide
            hidden = _first_change(line, middle, POINTS[np.flatnonzero(changes)[0]] * step)
            if hidden > floor:  # somewhere in the loss numbers are rounded more coarsely
                eps, floor = eps * hidden / floor, hidden
                jumps = hidden if hidden > FINE * np.abs(changes).max() else 0.0
            for lower in rungs:
                lower.noise = max(lower.noise, hidden)
                lower.error = lower.noise / lower.step
        flat = flat and not changes.any()
        clear = clear and (same_side is None or same_side(step))
        error = max(noise, floor) / step if rungs or flat else np.inf  # on the first rung: nothing to compare with
        if rungs and abs(jump) > VISIBLE * error and _plateau(jump, rungs[-1].jump):
            kinked = abs(jump)
        error = max(error, kinked)  # longer steps cross it too
        rung = Rung(step, taken, jump, error, max(noise, floor), clear, floor, changes)
        rungs.append(rung)
        if len(rungs) == 1:
            continue
        good = not flat and rung.error <= GOOD * abs(rung.slope)
        least = min(rung.error for rung in rungs)
        if good or (rung.error > 1e3 * least and len(rungs) > 4):
            break
    if len(rungs) < 2:
        return None
    best = _best(rungs, size)
    if not known and rungs[1].noise > COARSE * rungs[1].floor:
        jumps = max(jumps, rungs[1].noise)
    error, kink = best.error, _kink(rungs, best)
    if same_side and not best.same_side:  # what the kinks that it crosses add is at most their jump
        error += abs(best.jump)
    if kink and same_side and best.same_side and best.step < kink.step:  # it lies farther off
        kink = None
    if kink and abs(kink.jump) < FAINT * max(size, abs(best.slope)):
        error, kink = error + abs(kink.jump), None
    return Slope(best.slope, error, first + rungs.index(best), best.noise, rungs, kink, jumps)


def _first_change(line, middle, moved):
    """By how much a loss that is flat around 0 first changes on the way to `moved`, where it has changed."""
    still = 0.0
    for _ in range(HALVINGS):
        between = (still + moved) / 2
        if line(between) == middle:
            still = between
        else:
            moved = between
    return abs(line(moved) - middle)


def stairs(line, middle, found):
    """The jump by which the loss leaves the straight line that `found` says it is; 0 if it does so without a jump.

    Of two parts of an interval follow the one whose middle is farther from its chord. On a curve that distance falls
    with the square of the length, at a kink with the length, and at a jump it stays about half the jump. The parts are
    unequal (golden section), or the steps of a regular stair could lie on all chords.
    """
    if not found.rung.changes.any():  # how a flat loss begins to change is known
        return 0.0
    for farther in range(1, 5):
        ends = POINTS * found.step * RATIO**farther
        departures = np.abs(np.array([line(end) for end in ends]) - middle - found.value * ends)
        if not departures.max() <= VISIBLE * found.noise:
            break
    if not VISIBLE * found.noise < departures.max() < np.inf:
        return 0.0

    def between(a, b):
        point = a[0] + GOLDEN * (b[0] - a[0])
        return point, line(point)

    def bend(a, m, b):
        return abs(m[1] - a[1] - GOLDEN * (b[1] - a[1]))

    end = float(ends[departures.argmax()])
    a, b = (0.0, middle), (end, line(end))
    m, bends = between(a, b), []
    for _ in range(HALVINGS):
        parts = (a, between(a, m), m), (m, between(m, b), b)
        a, m, b = max(parts, key=lambda part: bend(*part))
        bends.append(bend(a, m, b))
        rounding = ROUNDINGS * EPS * max(abs(a[1]), abs(b[1]))
        if not bends[-1] > VISIBLE * max(found.rungs[0].noise, rounding):
            return 0.0
    return 2 * bends[-1] if bends[-1] > 0.1 * bends[-10] else 0.0


def _best(rungs, size):
    """The rung of least error among those that cross no kink; among all, if the former answer badly."""
    best = min(reversed(rungs), key=lambda rung: rung.error)  # of equal ones, as where the loss is 0, the longest step
    same_side = [rung for rung in rungs if rung.same_side]
    if same_side:
        clear = min(same_side, key=lambda rung: rung.error)
        if clear.error <= max(FINE * max(size, abs(clear.slope)), 100 * best.error):
            return clear
    return best


def _kink(rungs, chosen):
    """The lowest rung whose one-sided slopes differ by far more than rounding explains, if they do so down to t = 0.

    Then the difference is no larger on the next two rungs (a smooth function would show it grow 64-fold, a jump of the
    curvature eightfold), nor gone on a lower rung that would show it. If a rung that crosses no kink has answered well
    enough, there is nothing to report.
    """
    for i, rung in enumerate(rungs[:-2]):
        noise = max(rung.noise, rungs[i + 1].noise if i == 0 else 0.0)
        if abs(rung.jump) * rung.step > 100 * noise:
            stays = all(0.0 < later.jump / rung.jump < 2.0 for later in rungs[i + 1 : i + 3])
            shown = [lower for lower in rungs[:i] if abs(rung.jump) * lower.step > VISIBLE * lower.noise]
            reaches_down = all(abs(lower.jump - rung.jump) < 0.5 * abs(rung.jump) for lower in shown)
            answered = chosen.step < rung.step and 1e4 * chosen.error < abs(rung.jump)
            return rung if stays and reaches_down and not answered else None
    return None


def _plateau(jump, before):
    """Whether the one-sided slopes differ as on the rung below: a kink lies between them, however small the error."""
    return 0.5 * abs(before) < abs(jump) < 4 * abs(before)  # by a jump of the curvature it is eight times that
