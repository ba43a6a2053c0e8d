"""Claims: what a figure says, as a number held against a bound that was fixed before the run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

PAPER, EARLIER, THEORY, OURS = "paper", "earlier replication", "closed form", "ours"
SOURCES = (PAPER, EARLIER, THEORY, OURS)
REPRODUCED, PARTLY, NOT = "reproduced", "partly", "not"
NOT_RUN = "not run at this size"


@dataclass(frozen=True)
class Bound:
    """What a measured value must be: at least `low` and at most `high`, in the words of `text`."""

    low: float
    high: float
    text: str
    yes_or_no: bool = False

    def room(self, values):
        """Distance of each value to the nearer bound: positive inside, negative outside, NaN for NaN."""
        return np.minimum(values - self.low, self.high - values)


def at_most(high):
    return Bound(-math.inf, high, f"at most {high:g}")


def at_least(low):
    return Bound(low, math.inf, f"at least {low:g}")


def near(value, within):
    return Bound(value - within, value + within, f"{value:g} ± {within:g}")


def exactly(value):
    return Bound(value, value, f"{value:g}")


def always():
    """For values that are True or False."""
    return Bound(1, 1, "yes, each time", yes_or_no=True)


@dataclass(frozen=True)
class Claim:
    """One row of the findings.

    Parameters
    ----------
    key : str
        The name under which the figure's `make` returns the measured values.
    text : str
        What is claimed, in words, with the set-up that it is claimed for.
    by : one of `SOURCES`
    bound : Bound
        `at_most`, `at_least`, `near`, `exactly` or `always`; fixed from the source, never from the run it judges.
    each : str
        What one measured value belongs to: "seed", "panel", "cell", ...
    unit : str
    expect : "reproduced", "partly" or "not"
        The verdict known so far. The command fails when the verdict differs from it.
    reason : str
        Why, if `expect` is not "reproduced".
    quick : bool
        Whether the claim holds at the small size of ``--quick`` as well, and is judged there.
    """

    key: str
    text: str
    by: str
    bound: Bound
    each: str = "seed"
    unit: str = ""
    expect: str = REPRODUCED
    reason: str = ""
    quick: bool = False

    def __post_init__(self):
        if self.by not in SOURCES:
            raise ValueError(f"claim {self.key}: by is {self.by!r}; expected one of {', '.join(SOURCES)}")
        if self.expect not in (REPRODUCED, PARTLY, NOT):
            raise ValueError(f"claim {self.key}: expect is {self.expect!r}; expected {REPRODUCED}, {PARTLY} or {NOT}")
        if (self.expect != REPRODUCED) != bool(self.reason):
            raise ValueError(f"claim {self.key}: a reason belongs to a claim that is not reproduced, and only to it")

    def row(self, measured=None):
        """Judge the measured values (None: not run at this size) and return the row as a dict of strings.

        Reproduced: every value holds. Partly: at least half of them. Not: fewer.
        """
        row = {"key": self.key, "claim": self.text, "by": self.by, "expected": self.bound.text + self.unit,
               "measured": NOT_RUN, "margin": "", "verdict": NOT_RUN, "expect": self.expect, "reason": self.reason}
        if measured is None:
            return row
        values = np.asarray(measured, dtype=np.float64).ravel()
        if values.size == 0:
            raise ValueError(f"claim {self.key}: no value was measured")
        room = self.bound.room(values)
        share = np.mean(room >= 0)
        row["verdict"] = REPRODUCED if share == 1 else PARTLY if share >= 0.5 else NOT
        plural = f"{self.each}{'s' if values.size > 1 else ''}"
        if self.bound.yes_or_no:
            row["measured"] = f"{int(np.sum(room >= 0))} of {values.size} {plural}"
            return row
        low, middle, high = (_number(f(values)) for f in (np.min, np.median, np.max))
        spread = f" ({low} to {high}, {values.size} {plural})" if values.size > 1 else ""
        row["measured"] = middle + self.unit + spread
        if low == high and values.size > 1:
            row["measured"] = f"{middle}{self.unit} ({values.size} {plural})"
        row["margin"] = f"{np.min(room):+.2g}"
        if share < 1:
            row["measured"] += f"; {int(np.sum(room >= 0))} of {values.size} hold"
        return row


def differs(row):
    """Whether a row's verdict is another than the one expected of it."""
    return row["verdict"] not in (row["expect"], NOT_RUN)


def _number(value):
    """Three significant digits, plain where that is short."""
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e6 else f"{value:.3g}"
