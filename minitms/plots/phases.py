"""Phase diagrams: importance to the right, density upwards, and theory's boundaries."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from numpy.typing import ArrayLike

from minitms import _checks, theory
from minitms.diagram import PhaseDiagram
from minitms.plots._canvas import array_or, canvas, drawing
from minitms.plots.colors import DEDICATED, NOT_LEARNED, SUPERPOSED, superposition_colors

LOG_LIMITS = np.log([1e-300, 1e300])  # of an axis


@drawing
def phase_map(
    densities: ArrayLike | PhaseDiagram,
    importances: ArrayLike | None = None,
    values: ArrayLike | None = None,
    cmap: str | Colormap | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw one value or colour a cell over importance (x) and density (y, 1 on top), both on log axes.

    Parameters
    ----------
    densities : increasing array of shape (D,), every value above 0; or a PhaseDiagram
        A diagram is drawn in the paper's colours with theory's boundaries as lines, and nothing else is to be given.
        Its cells at density or importance 0 have no place on the axes.
    importances : increasing array of shape (I,), every value above 0
        Importance of the extra feature relative to the others.
    values : array of shape (D, I), or (D, I, 3) for red, green and blue in [0, 1]
        Colours come from `superposition_colors` or `class_colors`. A cell whose value is NaN stays blank.
    cmap : str or Colormap, optional
        For values of shape (D, I) only: colours need none.
    ax : matplotlib Axes, or None for one of its own, with a colour bar, or a diagram's legend
        On an Axes of yours, ``ax.legend()`` gives that legend.

    Returns
    -------
    ax : the Axes; ``ax.collections[0]`` is what a colour bar needs

    Raises
    ------
    ValueError, TypeError
        If `ax` is no Axes, the two axes do not increase or are not above 0, the shapes do not fit, a value is infinite
        or no number, a colour lies outside [0, 1], or there is no such colour map.

    Notes
    -----
    Elhage et al. (2022), section 3. Each cell is drawn around its own density and importance, also if the grid is
    not evenly spaced on the log axes.

    Examples
    --------
    >>> import matplotlib.pyplot as plt, numpy as np, minitms as tms
    >>> grid = np.geomspace(0.1, 1, 5), np.geomspace(0.1, 10, 6)
    >>> ax = tms.plots.phase_map(tms.phase_diagram(*grid, method="expected", restarts=2, seed=0))
    >>> [text.get_text() for text in ax.get_legend().texts]
    ['not learned', 'a dimension of its own', 'in superposition', 'theory']
    >>> plt.close()
    """
    diagram = densities if isinstance(densities, PhaseDiagram) else None
    if diagram is not None:
        if not (importances is values is cmap is None):
            raise TypeError("a PhaseDiagram has its own importances, values and colours; give it alone")
        rows, columns = diagram.densities > 0, diagram.importances > 0
        densities, importances = diagram.densities[rows], diagram.importances[columns]
        values = superposition_colors(diagram.norm, diagram.interference)[rows][:, columns]
    array_or("densities", densities, "a PhaseDiagram, or an array beside importances and values")
    if importances is None or values is None:
        raise TypeError("phase_map draws a PhaseDiagram, or densities, importances and values; got a part of these")
    array_or("values", values, "an array (D, I) or (D, I, 3)")
    x, y = _edges("importances", importances), _edges("densities", densities)
    shape = (len(y) - 1, len(x) - 1)
    values = _values(values)
    if values.shape not in (shape, (*shape, 3)):
        raise ValueError(f"values has shape {values.shape}; expected {shape} (densities, importances) or {(*shape, 3)}")
    if values.ndim == 3:
        _checks.bounded("values", values, at_most=1.0)
        if cmap is not None:
            raise ValueError(f"cmap is {cmap!r}, but values are colours already; leave it out")
    elif cmap is not None and not isinstance(cmap, Colormap):
        _checks.choice("cmap", cmap, tuple(matplotlib.colormaps))
    with canvas(ax, (4.6, 4.0)) as (ax, alone):
        mesh = ax.pcolormesh(x, y, values, cmap=cmap, rasterized=True)
        ax.set(xscale="log", yscale="log", xlim=x[[0, -1]], ylim=y[[0, -1]],
               xlabel="relative importance of the extra feature", ylabel="density 1 - S")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter("{x:g}")
        ax.spines[:].set_visible(True)  # one of the colours is light
        if diagram is not None:
            _boundaries(ax, diagram.activation)
        if alone and diagram is not None:
            ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, columnspacing=1.5)
        elif alone and values.ndim == 2:
            ax.figure.colorbar(mesh, ax=ax)
    return ax


def _boundaries(ax, activation):
    """Where theory's answer changes, as lines, and what a legend needs."""
    r, s = np.geomspace(*ax.get_xlim(), 300), np.geomspace(*np.minimum(ax.get_ylim(), 1), 300)
    losses = theory.configuration_losses(s[:, None], r, activation)
    for own in range(len(losses)):
        ahead = losses[own] - np.delete(losses, own, axis=0).min(axis=0)
        if ahead.min() < 0 < ahead.max():
            ax.contour(r, s, ahead, levels=[0], colors="k", linewidths=1, linestyles="solid")
    for color, label in (
        (NOT_LEARNED, "not learned"), (DEDICATED, "a dimension of its own"), (SUPERPOSED, "in superposition"),
    ):  # fmt: skip
        ax.plot([], [], "s", color=color, markeredgecolor="0.3", markersize=7, label=label)
    ax.plot([], [], "k-", linewidth=1, label="theory")


def _edges(name, centres):
    """Edges of the cells around `centres`, halfway between them on a log axis; a single cell is a factor 2 wide."""
    centres = _checks.finite(name, _checks.real_array(name, centres))
    if centres.ndim != 1 or centres.size == 0 or (centres <= 0).any() or (np.diff(centres) <= 0).any():
        raise ValueError(f"{name} is {centres}; expected increasing values above 0 in one axis, which is drawn in logs")
    logs = np.log(centres.astype(np.float64))
    if logs.size == 1:
        edges = logs[0] + np.log(2) * np.array([-0.5, 0.5])
    else:
        middles = (logs[1:] + logs[:-1]) / 2
        edges = np.concatenate([[2 * logs[0] - middles[0]], middles, [2 * logs[-1] - middles[-1]]])
    if edges[0] < LOG_LIMITS[0] or edges[-1] > LOG_LIMITS[1]:
        raise ValueError(f"{name} runs from {centres[0]:g} to {centres[-1]:g}; matplotlib cannot draw so far in logs")
    return np.exp(edges)


def _values(values):
    """Values of a phase map; NaN is allowed."""
    array = _checks.plain_array("values", values)
    if array.dtype.kind in "US":
        raise TypeError(f"values holds words such as {str(array.flat[0])!r}; expected numbers, or class_colors(values)")
    array = _checks.real_array("values", array)
    _checks.finite("values", np.where(np.isnan(array), 0, array))
    return array
