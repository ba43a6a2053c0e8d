"""What neurons stand for: the weights of each as a stacked bar."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba_array
from numpy.typing import ArrayLike

from minitms import _checks
from minitms.neurons import THRESHOLD, by_feature, connected
from minitms.plots._canvas import canvas, drawing, one_model
from minitms.plots.colors import DEDICATED, NOT_LEARNED, SUPERPOSED, superposition_colors
from minitms.run import Best, TrainingRun
from minitms.weights import WeightsLike

POLYSEMANTIC = "#f3ecd8"
LEGEND = {"feature alone in its neurons": DEDICATED, "feature that shares them": SUPERPOSED,
          "feature that turns on none": NOT_LEARNED, "polysemantic neuron": POLYSEMANTIC}  # fmt: skip
NUMBERED = 20  # neurons, at most: numbers of more would overlap
OUTLINED = 0.01  # of the longest bar: thinner rectangles would vanish behind their outlines


@drawing
def neurons(
    W: WeightsLike | TrainingRun | Best,
    colors: Sequence[str] | np.ndarray | None = None,
    order: ArrayLike | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw the weights of each neuron as a stacked bar: what turns it on upwards, what turns it off downwards.

    A rectangle of height |W_ki| is what neuron k reads from feature i; feature 0 lies next to the axis. Blue features
    have all their neurons to themselves, red ones share all of theirs, grey ones turn none on. The ground is sandy
    behind polysemantic neurons, which several features turn on.

    Parameters
    ----------
    W : array of shape (m, n), or a run of one model, whose best is drawn
        Of untied weights, a pair, the encoder is drawn. Features that may be below 0 turn neurons on by weights of
        either sign: give ``abs(W)``, as is drawn of a run of such.
    colors : n colours, a feature each, in place of these; the ground stays white; or None
    order : array of shape (m,), the neurons from left to right; or None to sort them by the feature they read most of
    ax : matplotlib Axes, or None for one of its own, with labels and a legend
        On an Axes of yours, ``ax.legend()`` gives that legend.

    Returns
    -------
    ax : the Axes

    Raises
    ------
    ValueError, TypeError
        If `ax` is no Axes, W is not one model, or the colours or the order do not fit it.

    Notes
    -----
    Elhage et al. (2022), sections 7 and 8, stack |weights|, as ``neurons(abs(W))`` does. A feature turns on a neuron if
    it is connected to it, as `minitms.features_per_neuron` says, in ``np.maximum(W, 0)``.

    Examples
    --------
    A neuron with a feature of its own, and three features in two neurons:

    >>> import matplotlib.pyplot as plt, minitms as tms
    >>> ax = tms.plots.neurons([[1, 0, 0, 0], [0, 1, -1, 1], [0, -1, 1, 1]])
    >>> ax.get_title()
    '1 of 3 neurons monosemantic'
    >>> plt.close()
    """
    W, _, _, signed = one_model(W, encoder=True)
    W = (abs(W) if signed else W).astype(np.float64)
    with np.errstate(over="ignore"):
        total = np.abs(W).sum()
    if not np.isfinite(total):
        raise ValueError(f"W holds {np.abs(W).max():g}, and its sums overflow; expected weights nearer to 1")
    order = by_feature(W) if order is None else _every_neuron(order, len(W))
    on = connected(np.maximum(W, 0), THRESHOLD)[order]
    features = on.sum(axis=1)
    own = None if colors is None else _one_a_feature(colors, W.shape[1])
    with canvas(ax, (4.6, 3.6)) as (ax, alone):
        _stack(ax, W[order], _by_sharing(on) if own is None else own)
        if own is None:
            for place in np.flatnonzero(features > 1):
                ax.axvspan(place - 0.5, place + 0.5, color=POLYSEMANTIC, zorder=0, linewidth=0)
            for label, color in LEGEND.items():
                ax.plot([], [], "s", color=color, markersize=7, label=label)
        named = order if len(W) <= NUMBERED else []
        ax.set(xlim=(-0.6, len(W) - 0.4), xticks=range(len(named)), xticklabels=named)
        if alone:
            ax.set(title=f"{(features == 1).sum()} of {len(W)} neurons monosemantic", xlabel="neuron",
                   ylabel="its weights, stacked")
        if alone and own is None:
            ax.figure.legend(loc="outside lower center", ncols=2, columnspacing=1.5)
    return ax


def _stack(ax, W, colors):
    """A bar a row: weights above 0 upwards, those below downwards."""
    ax.axhline(0, color="0.3", linewidth=0.6)
    thin = OUTLINED * np.abs(W).sum(axis=1).max()
    for part in (np.maximum(W, 0), np.minimum(W, 0)):
        ends = part.cumsum(axis=1)
        k, i = np.nonzero(part)
        start, end = (ends - part)[k, i], ends[k, i]
        corners = np.stack([[k - 0.4, start], [k + 0.4, start], [k + 0.4, end], [k - 0.4, end]]).transpose(2, 0, 1)
        outlines = np.where(np.abs(part[k, i]) > thin, 0.3, 0)
        bars = PolyCollection(corners, facecolors=colors[i], edgecolors="white", linewidths=outlines)
        bars.sticky_edges.y.append(0)  # no margin below bars that all go upwards
        ax.add_collection(bars)
    ax.autoscale_view()


def _by_sharing(on):
    """The colour of each feature: from blue to red by the share of its neurons that others turn on too."""
    count, shared = on.sum(axis=0), on[on.sum(axis=1) > 1].sum(axis=0)
    return superposition_colors(count > 0, shared / np.maximum(count, 1))


def _every_neuron(order, m):
    """Return `order` if it has all neurons."""
    order = _checks.plain_array("order", order)
    if order.dtype.kind not in "iu" or not np.array_equal(np.sort(order, axis=None), np.arange(m)) or order.ndim != 1:
        raise ValueError(f"order is {order}; expected every neuron once, the numbers 0 to {m - 1}")
    return order


def _one_a_feature(colors, n):
    """The colours as (n, 4)."""
    try:
        own = to_rgba_array(colors)
    except (ValueError, TypeError) as error:
        raise ValueError(f"colors holds what is no colour: {error}; expected such as 'tab:blue' or '#2166ac'") from None
    if len(own) != n:
        raise ValueError(f"colors holds {len(own)}; expected {n}, one a feature")
    return own
