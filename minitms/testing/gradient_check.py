"""`check_grad`: is this the gradient of this loss?"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Never

import numpy as np

from minitms import _checks
from minitms.testing import report as reports
from minitms.testing._call import ONE, argument_name, check_functions
from minitms.testing._entries import add_up, explain, right_along
from minitms.testing._kinks import entries_do_not_add_up
from minitms.testing._looks import RESOLVED
from minitms.testing._params import Form
from minitms.testing._problem import Problem
from minitms.testing._search import Search
from minitms.testing.diagnosis import diagnose
from minitms.testing.errors import NotDifferentiableError, UnresolvedWarning
from minitms.testing.report import Report

__tracebackhide__ = True  # pytest then shows the user's code, not ours


def check_grad(
    loss: Callable[[Any], Any], gradient: Callable[[Any], Any], params: Any, *more: Never,
    kinks: Callable[[Any], Any] | None = None, directions: int = 4, rtol: float = 1e-8, seed: int = 0,
) -> Report:  # fmt: skip
    """Compare `gradient` with finite differences of `loss`; return a report, or raise and say what is wrong.

    Along a few random directions v of all parameters p at once, the slope of the loss must be as the gradient says:

        d/dt loss(p + t v) at t = 0   =   sum of gradient(p) * v

    A random direction has no zero entry, so that an error in one entry of ten thousand shows as well. Parameters and
    entries whose slopes are lost beside steeper ones are looked along again without these. Entries are looked at one by
    one only to explain a failure.

    Parameters
    ----------
    loss : function of params that returns one real number
        A layer whose output is an array is checked by ``(R * out).sum()`` with a fixed random R: it tests every entry,
        and R is where the backward pass begins.
    gradient : function of params that returns the gradient in the form and shapes of params
    params : float64 array or float, or a list, tuple, named tuple or dict of these, nested or not
        The functions get what they are given in the same form. Messages name its parts ``layer1.W`` or ``layers[0].W``;
        one that stands alone they call what `loss` calls it. What is not differentiated, as an index, labels or a
        batch, is left out: loss and gradient close over it. No `more` than one params.
    kinks : function of params that returns the pre-activations, or None
        An array, or a tuple, list or dict of arrays, whose sign changes are the kinks of the loss: z of ReLU(z). With
        it, steps that cross a kink are recognised exactly. Without it, kinks show in the one-sided slopes.
    directions : int
        Number of random directions, at least 1. Half move all entries of a parameter by like amounts, half each in
        proportion to its size.
    rtol : float
        Accepted error relative to the norm of gradient * v, beyond the rounding of the loss; below 0.05.
    seed : int
        Of the random directions; equal seeds repeat a check exactly.

    Returns
    -------
    Report
        Errors, tolerances and steps by parameter, the number of evaluations; prints as a table. As a condition it is
        its ``ok``: False if the loss hides some slope, in rounding or behind jumps, so that it was not checked. A
        remark says where the loss jumps and the tolerance is coarse, as with single precision inside.

    Warns
    -----
    UnresolvedWarning
        The report is not ok: nothing was found wrong, but something was not checked, for the reason given.

    Raises
    ------
    GradientError
        An `AssertionError`: the gradient is wrong, of the wrong shape, not finite, not repeatable, or spoils its input.
    NotDifferentiableError
        Not an `AssertionError`: the loss has a kink at params, or so close that no step between resolves the slope.
        A jump of the curvature, as of ReLU(z)², is no kink. A slope that is continuous but vertical, as that of
        abs(w)**1.1 at 0, cannot be told from one.
    TypeError, ValueError
        params, or what the callbacks return, is not as described. Exceptions of the callbacks come through unchanged.

    Notes
    -----
    The step is chosen for each direction by itself, and the tolerance is ten times the error that the slopes show at
    that step, so it follows the rounding of the loss; `minitms.testing._slopes` says how. A slope is checked if that
    tolerance is at most 5 % of it, or of the slopes around where it is 0. That goes for a parameter as a whole: what
    rounding hides of one entry, or of a parameter whose claimed slope is 0 but for the rounding of the whole gradient,
    stays hidden.

    Examples
    --------
    >>> import numpy as np
    >>> from minitms.testing import check_grad
    >>> W = np.array([[1.0, -2.0], [0.5, 3.0]])
    >>> check_grad(lambda W: (W**2).sum(), lambda W: 2 * W, W).ok
    True
    """
    if more:
        raise TypeError(f"check_grad got {1 + len(more)} params; expected loss, gradient and one params: {ONE}")
    check_functions(loss=loss, gradient=gradient, **({} if kinks is None else {"kinks": kinks}))
    directions, rtol = _checks.integer("directions", directions, at_least=1), _checks.number("rtol", rtol, at_least=0.0)
    if rtol >= RESOLVED:
        raise ValueError(f"rtol is {rtol}; expected less than {RESOLVED}: beyond it a tolerance checks nothing")
    seed = _checks.seed(seed)
    problem = Problem(loss, gradient, kinks, Form(params, argument_name(loss)))
    random = np.random.default_rng(seed)
    with np.errstate(all="ignore"):  # of the largest and the smallest of numbers
        outcomes = Search(problem, directions, rtol, random).outcomes()
        wrong = [explain(problem, outcome, rtol, random) for outcome in outcomes if outcome.excess > 1]
        for explained in wrong:
            if not add_up(explained):
                entries_do_not_add_up(explained.outcome)
        if wrong:
            hints = diagnose(
                problem,
                wrong,
                passes=lambda moved: _passes(moved, directions, rtol, seed),
                right_along=lambda outcome, direction: right_along(problem, outcome, direction, rtol),
            )
            reports.fail(problem, outcomes, wrong, hints, seed)
    report = reports.Report(tuple(outcomes), problem.evaluations, seed)
    if not report.ok:
        warnings.warn(str(report), UnresolvedWarning, stacklevel=2)
    return report


def _passes(problem, directions, rtol, seed):
    """Whether a check elsewhere succeeds: an experiment of the diagnosis."""
    try:
        outcomes = Search(problem, directions, rtol, np.random.default_rng(seed)).outcomes()
    except NotDifferentiableError:
        return False
    return all(outcome.excess <= 1 for outcome in outcomes)
