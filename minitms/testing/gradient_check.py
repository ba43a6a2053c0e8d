"""`check_grad`: is this the gradient of this loss?"""

from __future__ import annotations

import numpy as np

from minitms import _checks
from minitms.testing import report as reports
from minitms.testing._params import Form
from minitms.testing._problem import Problem
from minitms.testing.diagnosis import diagnose
from minitms.testing.errors import NotDifferentiableError

SAFETY = 10  # times the estimated error of a slope is what may differ
ALL_ENTRIES = 1024  # up to this many entries, a failure is explained by looking at every one


def check_grad(loss, gradient, params, *, kinks=None, directions=4, rtol=1e-8, seed=0):
    """Compare `gradient` with finite differences of `loss`; return a report, or raise and say what is wrong.

    For each parameter p and a few random directions v of its shape, the slope of the loss must be as the gradient says:

        d/dt loss(p + t v) at t = 0   =   sum of gradient(p) * v

    A random direction has no zero entry, so that an error in one entry of ten thousand shows as well. Entries are
    looked at one by one only to explain a failure.

    Parameters
    ----------
    loss : function of params that returns one real number
    gradient : function of params that returns the gradient in the form and shapes of params
    params : float64 array, or a tuple, named tuple or dict of such arrays, of any shapes
    kinks : function of params that returns the pre-activations, or None
        An array, or a tuple, list or dict of arrays, whose sign changes are the kinks of the loss: z of ReLU(z). With
        it, steps that cross a kink are recognised exactly. Without it, kinks show in the one-sided slopes.
    directions : int
        Number of random directions a parameter, at least 1. Half move all entries by like amounts, half each in
        proportion to its size.
    rtol : float
        Accepted error relative to the norm of gradient * v, beyond the rounding of the loss.
    seed : int
        Of the random directions; equal seeds repeat a check exactly.

    Returns
    -------
    Report
        Errors, tolerances and steps by parameter, the number of evaluations; prints as a table.

    Raises
    ------
    GradientError
        An `AssertionError`: the gradient is wrong, of the wrong shape, not finite, not repeatable, or spoils its input.
    NotDifferentiableError
        Not an `AssertionError`: the loss has a kink at params. A jump of the curvature, as of ReLU(z)², is no kink.
    TypeError, ValueError
        params, or what the callbacks return, is not as described. Exceptions of the callbacks come through unchanged.

    Notes
    -----
    The step is chosen for each parameter by itself, and the tolerance is ten times the error that the slopes show at
    that step, so it follows the rounding of the loss; `minitms.testing._slopes` says how.

    Examples
    --------
    >>> W = np.array([[1.0, -2.0], [0.5, 3.0]])
    >>> check_grad(lambda W: (W**2).sum(), lambda W: 2 * W, W).ok
    True
    """
    for name, function in (("loss", loss), ("gradient", gradient), ("kinks", kinks)):
        if not callable(function) and not (name == "kinks" and function is None):
            raise TypeError(f"{name} is {function!r}; expected a function of params")
    directions, rtol = _checks.integer("directions", directions, at_least=1), _checks.number("rtol", rtol, at_least=0.0)
    seed = _checks.seed(seed)
    problem = Problem(loss, gradient, kinks, Form(params))
    random = np.random.default_rng(seed)
    outcomes = [_check_parameter(problem, block, directions, rtol, random) for block in range(len(problem.values))]
    wrong = [outcome for outcome in outcomes if outcome.excess > 1]
    if wrong:
        wrong = [_explain(problem, outcome, rtol, random) for outcome in wrong]
        hints = diagnose(problem, wrong, lambda moved: _passes(moved, directions, rtol, seed))
        reports.fail(problem, wrong, hints, seed)
    return reports.Report(tuple(outcomes), problem.evaluations, seed)


def _check_parameter(problem, block, directions, rtol, random):
    """The worst of a few directions through one parameter."""
    firsts, worst = {}, None
    for i in range(directions):
        relative = i % 2 == 1
        first = firsts.get(relative)  # the two kinds may need steps that are orders of magnitude apart
        v = problem.direction(block, relative, random)
        slope = problem.slope_near(block, v, first, below=2, above=1) if first else None
        outcome = slope and _compare(problem, block, v, slope, rtol)
        # What looks odd on a few rungs near the first direction's step is looked at from the bottom of the ladder.
        if outcome is None or slope.kink or outcome.excess > 1 or slope.error > 100 * first.error:
            slope = problem.slope(block, v)
            outcome = _compare(problem, block, v, slope, rtol)
        if slope.kink:
            _not_differentiable(problem, block, v, slope)
        firsts.setdefault(relative, slope)
        if worst is None or outcome.excess > worst.excess:
            worst = outcome
    return worst


def _compare(problem, block, v, slope, rtol):
    analytic = problem.analytic[block]
    claimed = float((analytic * v).sum())
    size = float(np.linalg.norm(analytic * v))
    return reports.Outcome(
        problem.names[block], block, analytic.shape, v, slope, claimed, size, SAFETY * slope.error + rtol * size
    )


def _passes(problem, directions, rtol, seed):
    """Whether a check elsewhere succeeds: an experiment of the diagnosis."""
    random = np.random.default_rng(seed)
    try:
        return all(
            _check_parameter(problem, block, directions, rtol, random).excess <= 1
            for block in range(len(problem.values))
        )
    except NotDifferentiableError:
        return False


def _explain(problem, outcome, rtol, random):
    """Add the numeric gradient entry by entry: of all entries, or of some in an array too large for that."""
    analytic, v = problem.analytic[outcome.block], outcome.direction
    if analytic.size <= ALL_ENTRIES:
        looked_at = np.arange(analytic.size)
    else:
        some = random.choice(analytic.size, ALL_ENTRIES // 4, replace=False)
        looked_at = np.unique([*some, *np.abs(analytic).ravel().argsort()[-8:], _search(problem, outcome, rtol)])
    numeric, error = np.full(analytic.shape, np.nan), np.full(analytic.shape, np.nan)
    for flat in looked_at:
        only = np.zeros(analytic.shape)
        only.flat[flat] = v.flat[flat]
        slope = problem.slope_near(outcome.block, only, outcome.slope, below=1, above=0)
        if slope is None or slope.error > 100 * outcome.slope.error:
            slope = problem.slope(outcome.block, only)
        numeric.flat[flat] = slope.value / v.flat[flat]
        error.flat[flat] = slope.error / abs(v.flat[flat])
    tolerance = SAFETY * error + rtol * np.abs(analytic)
    rest = None
    if looked_at.size < analytic.size:  # would all be well but for the entries seen to be wrong?
        others = np.where(np.abs(analytic - numeric) > tolerance, 0.0, v)
        rest = _compare(problem, outcome.block, others, problem.slope(outcome.block, others), rtol)
    return reports.Explained(outcome, analytic, numeric, tolerance, rest is None or rest.excess <= 1)


def _search(problem, outcome, rtol):
    """The entry behind an error in a large array, by halving: follow the half whose slope is further off."""
    candidates = np.arange(outcome.direction.size)
    while candidates.size > 1:
        halves, excess = np.array_split(candidates, 2), []
        for half in halves:
            v = np.zeros(outcome.direction.shape)
            v.flat[half] = outcome.direction.flat[half]
            slope = problem.slope_near(outcome.block, v, outcome.slope, below=1, above=0)
            slope = slope or problem.slope(outcome.block, v)
            excess.append(_compare(problem, outcome.block, v, slope, rtol).excess)
        candidates = halves[int(excess[1] > excess[0])]
    return int(candidates[0])


def _not_differentiable(problem, block, v, slope):
    name, step = problem.names[block], slope.kink.step
    place = problem.crossed(block, v, step)
    sides = f"the slopes of the loss on both sides, along a random direction of {name}, differ by {slope.kink.jump:.3g}"
    if place:
        what, index, value = place
        raise NotDifferentiableError(
            f"not differentiable here: {what}{list(index)} = {value:.3g} is at its kink (0), and {sides}. Move the "
            "point away from the kink, or set it aside (with Hypothesis: assume(False))",
            name,
            index,
        )
    index = _kinked_entry(problem, block, v, slope)
    entry = f"{name}{list(index)}" if index else name
    raise NotDifferentiableError(
        f"not differentiable here: {sides}"
        + (f", most by {entry} = {problem.values[block][index]:.6g}" if index else "")
        + f" (step {step:.1e}). Move the point away from the kink, or set it aside (with Hypothesis: assume(False))",
        name,
        index,
    )


def _kinked_entry(problem, block, v, slope):
    """The entry along which the one-sided slopes differ most; None in an array too large to look."""
    if v.size > ALL_ENTRIES:
        return None
    middle, step, jumps = problem.middle, slope.kink.step, []
    for flat in range(v.size):
        only = np.zeros(v.shape)
        only.flat[flat] = v.flat[flat]
        line = problem.line(block, only)
        jumps.append(abs(line(step) + line(-step) - 2 * middle))
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(jumps)), v.shape))
