"""The loss along the way."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import is_color_like
from numpy.typing import ArrayLike

from minitms import _checks
from minitms.plots._canvas import array_or, canvas, drawing
from minitms.run import Best, TrainingRun

SMOOTHED = 9  # records in the moving mean of a run's loss: one batch alone is noise
MODELS = 7  # colours of the style: of more models, a median and a band


@drawing
def loss_curve(
    steps: ArrayLike | TrainingRun | Best,
    history: ArrayLike | None = None,
    label: str | None = None,
    color: Any = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw the loss over the steps on a log axis: the median over models, and a band from the lowest to the highest.

    A run is drawn with a line for each model, the best of its restarts, and pale lines for the other restarts; or, if
    there are more than seven models, as median and band of their best. Its losses are those of single batches, and
    drawn as moving means over nine records.

    Parameters
    ----------
    steps : array of shape (records,); or a run, and nothing else is to be given but `ax`
    history : array of shape (..., records)
    label : str, optional
    color : what matplotlib takes for one, optional
        Of the line; the band takes it too.
    ax : matplotlib Axes, or None for one of its own, with a legend where there is something to tell apart

    Returns
    -------
    ax : the Axes

    Raises
    ------
    ValueError, TypeError
        If `ax` is no Axes, the last axis of the history is not as long as `steps`, one of them is empty, not finite or
        not made of numbers, or the label or colour is none.

    Examples
    --------
    >>> import matplotlib.pyplot as plt, minitms as tms
    >>> run = tms.train(tms.SparseFeatures(n=5, density=0.1), n_hidden=2, steps=50, restarts=4, seed=0)
    >>> ax = tms.plots.loss_curve(run)
    >>> [text.get_text() for text in ax.get_legend().texts]
    ['best of 4 restarts', 'the others']
    >>> plt.close()
    """
    if isinstance(steps, (TrainingRun, Best)):
        if not (history is label is color is None):
            raise TypeError(f"a {type(steps).__name__} has its own history and labels; give it alone")
        with canvas(ax, (4.6, 3.0)) as (ax, alone):
            _losses_of_a_run(ax, steps)
            if alone and ax.get_legend_handles_labels()[0]:
                ax.legend()
        return ax
    array_or("steps", steps, "a TrainingRun or its best(), or an array beside history")
    if history is None:
        raise TypeError("loss_curve draws a run, or steps and history; got steps alone")
    steps = _checks.finite("steps", _checks.real_array("steps", steps))
    history = _checks.finite("history", _checks.real_array("history", history))
    if label is not None and not isinstance(label, str):
        raise TypeError(f"label is {label!r}; expected a str")
    if color is not None and not is_color_like(color):
        raise ValueError(f"color is {color!r}; expected a colour, such as 'tab:blue' or '#2166ac'")
    if 0 in history.shape or steps.ndim != 1 or history.ndim < 1 or history.shape[-1] != len(steps):
        raise ValueError(f"got steps {steps.shape} and history {history.shape}; expected (records,) and (..., records)")
    with canvas(ax, (4.6, 3.0)) as (ax, alone):
        _median_and_band(ax, steps, history.reshape(-1, len(steps)), label, color)
        if alone and label is not None:
            ax.legend()
    return ax


def _median_and_band(ax, steps, models, label, color):
    (line,) = ax.plot(steps, np.median(models, axis=0), label=label, color=color)
    if len(models) > 1:
        ax.fill_between(steps, models.min(axis=0), models.max(axis=0), color=line.get_color(), alpha=0.25, linewidth=0)
    ax.set(yscale="log", xlabel="step", ylabel="loss")


def _losses_of_a_run(ax, run):
    """A line for each model and pale ones for its other restarts, or what many models have in common."""
    restarts = len(run.loss) if isinstance(run, TrainingRun) else 1
    best = run.best() if isinstance(run, TrainingRun) else run
    curves = _smooth(best.history.reshape(-1, len(run.steps)))
    if len(curves) > MODELS:
        _median_and_band(ax, run.steps, curves, f"median and range of {len(curves)} models", None)
        return
    every = _smooth(run.history.reshape(restarts, -1, len(run.steps)))
    for k, curve in enumerate(curves):
        name = f"model {k}" if len(curves) > 1 else None if restarts == 1 else f"best of {restarts} restarts"
        (line,) = ax.plot(run.steps, curve, label=name, zorder=3)
        for restart in range(restarts if restarts > 1 else 0):
            last = len(curves) == 1 and restart == restarts - 1
            ax.plot(run.steps, every[restart, k], color=line.get_color(), alpha=0.3, linewidth=0.8,
                    label="the others" if last else None)
    ax.set(yscale="log", xlabel="step", ylabel=f"loss, mean of {SMOOTHED} batches")


def _smooth(history):
    """The moving mean of losses (..., records) over nine records, fewer at both ends."""
    records = history.shape[-1]
    total, count = np.zeros(history.shape), np.zeros(records)
    for shift in range(-(SMOOTHED // 2), SMOOTHED // 2 + 1):  # no difference of sums, beside which late losses are lost
        first, last = max(0, -shift), min(records, records - shift)
        if first < last:
            total[..., first:last] += history[..., first + shift : last + shift]
            count[first:last] += 1
    return total / count
