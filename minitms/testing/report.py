"""What a check says: a table on success, and on failure one line that names the fault, then the evidence."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from minitms.testing._params import entry
from minitms.testing._slopes import Slope
from minitms.testing.errors import GradientError

__tracebackhide__ = True  # pytest then shows the user's code, not ours

WORST = 5
ROUGH = 1e-7  # a tolerance above this part of the slope wants a word of explanation


@dataclass(frozen=True, eq=False)
class Outcome:
    """The worst direction through one parameter: slope of the loss against the slope that the gradient claims."""

    name: str
    block: int
    shape: tuple[int, ...]
    direction: np.ndarray = field(repr=False)
    slope: Slope = field(repr=False)
    claimed: float
    size: float
    tolerance: float
    unresolved: str = ""

    @property
    def error(self) -> float:
        return abs(self.slope.value - self.claimed)

    @property
    def excess(self) -> float:
        """The error in units of the tolerance: above 1 is wrong."""
        return self.error / self.tolerance if self.tolerance else np.inf if self.error else 0.0

    @property
    def step(self) -> float:
        """The step in units of the parameter itself."""
        return self.slope.step * float(np.sqrt(np.mean(self.direction**2)))

    @property
    def resolved(self) -> bool:
        """False if the loss hides the slope: then the check says nothing, and `unresolved` says why."""
        return not self.unresolved

    @property
    def remark(self) -> str:
        """What is odd about the slope; "" if nothing is."""
        if self.unresolved:
            return f"unresolved: {self.unresolved}"
        if self.slope.jumps and self.tolerance > ROUGH * self.size:
            return f"the loss moves by jumps of {self.slope.jumps:.1g}: is a part of it in single precision?"
        return ""


@dataclass(frozen=True, eq=False)
class Explained:
    """A wrong parameter entry by entry. Entries of `numeric` that were not looked at are NaN."""

    outcome: Outcome
    analytic: np.ndarray
    numeric: np.ndarray
    tolerance: np.ndarray
    rest_is_right: bool

    @property
    def wrong(self) -> np.ndarray:
        return np.abs(self.analytic - self.numeric) > self.tolerance  # NaN is not above anything

    def worst(self) -> list[tuple[int, ...]]:
        """Indices of the worst entries, the worst first: the wrong ones, by their part in the error of the slope."""
        part = np.nan_to_num(np.abs((self.analytic - self.numeric) * self.outcome.direction), nan=-1.0)
        order = np.lexsort((part.ravel(), self.wrong.ravel()))[::-1][:WORST]
        return [tuple(int(i) for i in np.unravel_index(flat, part.shape)) for flat in order if part.flat[flat] >= 0]


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """A gradient that was not found wrong; as a condition it is `ok`.

    Attributes
    ----------
    outcomes : tuple of Outcome
        For each parameter its worst direction: `name`, `shape`, `error`, `tolerance`, `size` (the norm of
        gradient * direction, with which the error is to be compared), `step`, `resolved`.
    evaluations : int
        How often the loss was called.
    seed : int
        Of the directions.
    """

    outcomes: tuple[Outcome, ...]
    evaluations: int
    seed: int

    @property
    def ok(self) -> bool:
        """Whether every slope was resolved: what was not checked is not right."""
        return all(outcome.resolved for outcome in self.outcomes)

    def __bool__(self) -> bool:
        return self.ok

    @property
    def max_error(self) -> float:
        """The largest error of a slope, relative to the norm of gradient * direction."""
        return max(outcome.error / outcome.size if outcome.size else 0.0 for outcome in self.outcomes)

    @property
    def _verdict(self):
        unresolved = sum(not outcome.resolved for outcome in self.outcomes)
        verdict = "gradient is right"
        if unresolved:
            verdict = f"gradient is NOT CHECKED by {unresolved} of {len(self.outcomes)} parameters"
        return f"{verdict}: {self.evaluations} evaluations of the loss, seed {self.seed}"

    def __repr__(self) -> str:
        return f"Report({self._verdict}, {len(self.outcomes)} parameters, error at most {self.max_error:.1e})"

    def __str__(self) -> str:
        lines = [self._verdict]
        lines.append(f"  {'parameter':<16} {'shape':<14} {'error':>9} {'tolerance':>9} {'slope':>9} {'step':>9}")
        for outcome in self.outcomes:
            lines.append(
                f"  {outcome.name:<16} {outcome.shape!s:<14} {outcome.error:9.1e} {outcome.tolerance:9.1e} "
                f"{outcome.size:9.1e} {outcome.step:9.1e}"
                + (f"  {outcome.remark}" if outcome.remark else "")
            )
        return "\n".join(lines)


def fail(problem, outcomes, wrong, hints, seed):
    """Raise the `GradientError` that tells it all, the worst parameter first."""
    wrong = sorted(wrong, key=lambda explained: explained.outcome.excess, reverse=True)
    first = wrong[0]
    name, index = first.outcome.name, first.worst()[0]
    analytic, numeric = float(first.analytic[index]), float(first.numeric[index])
    headline = f"gradient by {name} is wrong at {entry(name, index)}: analytic {analytic:.10g}, numeric {numeric:.10g}"
    if not first.wrong.any():
        headline = f"gradient by {name} is wrong along a random direction, in no entry by enough to be seen alone"
    shown = next((explained.outcome.name for explained in wrong if explained.outcome.name in hints), None)
    by = "" if shown == name else f", by what {shown} shows"
    lines = [
        headline + (f". Likely cause{by}: {hints[shown][1]}" if shown else "")
    ]
    for explained in wrong:
        lines.append(_evidence(explained, hints.get(explained.outcome.name)))
    right = [outcome.name for outcome in outcomes if outcome.excess <= 1 and outcome.resolved]
    unresolved = [outcome for outcome in outcomes if outcome.excess <= 1 and not outcome.resolved]
    lines += [f"unresolved: {outcome.name}: {outcome.unresolved}" for outcome in unresolved]
    lines.append((f"right: {', '.join(right)}; " if right else "") + f"seed {seed}, {problem.evaluations} evaluations")
    message = "\n".join(lines)
    raise GradientError(message, name, index, analytic, numeric, {name: kind for name, (kind, _) in hints.items()})


def _evidence(explained, hint):
    outcome, wrong = explained.outcome, int(explained.wrong.sum())
    seen = int((~np.isnan(explained.numeric)).sum())
    lines = [
        f"{outcome.name} {outcome.shape}: slope along a random direction: analytic {outcome.claimed:.10g}, numeric "
        f"{outcome.slope.value:.10g}, tolerance {outcome.tolerance:.1e}, step {outcome.step:.1e}"
        + (f"; {outcome.remark}" if outcome.remark else ""),
        (f"  {wrong} of {seen} entries looked at are wrong" if wrong else "  rounding hides by which entries")
        + (f": {hint[1]}" if hint else ""),
        f"  {'index':<14} {'analytic':>17} {'numeric':>17} {'error':>8} {'relative':>8} {'tolerance':>9} {'ratio':>9}",
    ]
    for index in explained.worst():
        analytic, numeric = float(explained.analytic[index]), float(explained.numeric[index])
        error, size = abs(analytic - numeric), max(abs(analytic), abs(numeric))
        ratio = f"{analytic / numeric:9.4g}" if abs(numeric) > explained.tolerance[index] else f"{'-':>9}"
        lines.append(
            f"  {list(index)!s:<14} {analytic:17.10g} {numeric:17.10g} {error:8.1e} "
            f"{error / size if size else 0:8.1e} {explained.tolerance[index]:9.1e} {ratio}"
        )
    return "\n".join(lines)
