"""Where a kink lies: the `NotDifferentiableError` that says so."""

from __future__ import annotations

import numpy as np

from minitms.testing._params import entry
from minitms.testing.errors import NotDifferentiableError

__tracebackhide__ = True  # pytest then shows the user's code, not ours

ALL_ENTRIES = 1024  # up to this many entries, every one is looked at to say which the kink is at
REMEDY = "Move the point away from the kink, or set it aside (with Hypothesis: assume(False))"


def not_differentiable(problem, block, v, slope):
    """Raise it for a parameter along whose direction `v` the slope has a kink."""
    name, step = problem.names[block], slope.kink.step
    place = problem.crossed(v, step)
    sides = f"the slopes of the loss on both sides, along a random direction of {name}, differ by {slope.kink.jump:.3g}"
    if place:
        what, index, value = place
        raise NotDifferentiableError(
            f"not differentiable here: {entry(what, index)} = {value:.3g} is at its kink (0), and {sides}. {REMEDY}",
            name,
            index,
        )
    index = _kinked_entry(problem, block, v, step)
    most = f", most by {entry(name, index)} = {problem.values[block][index]:.6g}" if index is not None else ""
    raise NotDifferentiableError(
        f"not differentiable here: {sides}{most} (step {step:.1e}). {REMEDY}", name, index
    )


def entries_do_not_add_up(outcome):
    """Raise it for a parameter whose entries are all right, one by one, while a direction of them all is not."""
    raise NotDifferentiableError(
        f"not differentiable here: the slopes of the loss along the entries of {outcome.name} do not add up to the "
        f"slope along a random direction of them all, {outcome.slope.value:.6g}. {REMEDY}",
        outcome.name,
    )


def _kinked_entry(problem, block, v, step):
    """The entry along which the one-sided slopes differ most; None in an array too large to look."""
    part, shape = problem.parts[block], problem.values[block].shape
    if v[part].size > ALL_ENTRIES:
        return None
    jumps = []
    for flat in range(part.start, part.stop):
        only = np.zeros_like(v)
        only[flat] = v[flat]
        line = problem.line(only)
        jumps.append(abs(line(step) + line(-step) - 2 * problem.middle))
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(jumps)), shape))
