"""Every figure of the replication, and the claims that it tests: ``python -m figures``.

One script is one figure. ``figures/NAME.py`` holds

- a docstring: its first line is the figure's title, the rest is the prose of its section in ``figures/README.md``,
  in Markdown: question, set-up, what we see, how it compares, how sure we are. ``{{key}}`` or ``{{key:.2f}}`` in it
  is replaced by a number that `make` returned;
- ``CLAIMS``: a list of `Claim`, each with a bound fixed before the run and the verdict expected of it;
- ``make(quick)``: trains and draws, and returns a `Result`.

and NAME is added to `NAMES` below, in the order in which the figures run and stand in the findings. The smallest one:

    '''Two features in one dimension

    **Question.** How long is the longest of the two vectors? It was {{longest:.2f}}.
    '''
    import matplotlib.pyplot as plt

    import minitms as tms
    from figures import Claim, PAPER, Result, at_most

    CLAIMS = [Claim("norms", "no vector is longer than 1.5", by=PAPER, bound=at_most(1.5))]

    def make(quick):
        run = tms.train(..., steps=200 if quick else 5_000, restarts=8, seed=0)
        norms = tms.feature_norms(run.W).max(axis=1)               # one value a start
        fig, ax = plt.subplots()
        tms.plots.feature_bars(run, ax=ax)
        return Result(files={"NAME.png": fig}, measured={"norms": norms}, numbers={"longest": norms.max()})

The command does the rest: style, checking of the command line, judging, printing, writing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from figures.claims import EARLIER, NOT, OURS, PAPER, PARTLY, THEORY, Claim, always, at_least, at_most, exactly, near

__all__ = ["EARLIER", "NAMES", "NOT", "OURS", "PAPER", "PARTLY", "THEORY", "Claim", "Result", "always", "at_least",
           "at_most", "exactly", "near"]

NAMES = (
    "introduction",
    "demonstrating_superposition",
    "training_dynamics",
    "theoretical_phases",
    "phase_changes",
    "phase_losses",
    "phase_changes_3_2",
    "true_phases",
    "confused_phase",
    "broadcast_slip",
    "sampled_against_exact",
    "dimensionality",
    "polytopes",
    "perturbed_pentagon",
    "correlated_features",
    "learning_dynamics",
    "adversarial",
    "adversarial_training",
    "privileged_basis",
    "computation",
    "double_descent",
)


@dataclass(frozen=True)
class Result:
    """What a figure's `make` returns.

    Parameters
    ----------
    files : mapping of file name -> matplotlib figure, or function of the path that writes the file
        Each name begins with the figure's name, but for ``.npz``, what `minitms.load_example` loads by that name, which
        a full run leaves in the package. ``.png`` and ``.gif`` are shown in the findings, in this order.
        Equal runs must write equal bytes: no dates, seconds or host facts.
    measured : mapping of claim key -> values
        One number or an array of them (one a seed, say); NaN never holds. With ``quick``, only claims that have
        ``quick=True`` are looked at, and only they are required.
    numbers : mapping of name -> number, string or (nested) list of numbers
        What the prose quotes, and what stands behind the picture. Kept in ``figures/NAME.json`` with six digits.
    """

    files: Mapping
    measured: Mapping
    numbers: Mapping = field(default_factory=dict)
