"""Pictures of trained models: every function takes an Axes, draws on it, and returns it.

``plt.style.use(tms.plots.STYLE)`` gives the look of the figures in this repository.
All colours can be told apart in the common forms of colour blindness.
"""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, ListedColormap, Normalize, is_color_like, to_rgb
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from minitms import _checks, geometry
from minitms.weights import single

STYLE = "minitms.minitms"
LOG_LIMITS = np.log([1e-300, 1e300])  # of an axis

# What each kind of colour means: (colour map, lowest value, highest value).
SCALES = {
    "gram": ("RdBu_r", -1.0, 1.0),
    "interference": (LinearSegmentedColormap.from_list("interference", ["#1b4a8a", "#b3a79c", "#e66100"]), 0.0, 1.0),
    "importance": (ListedColormap(matplotlib.colormaps["plasma"](np.linspace(0.85, 0.0, 256)), "importance"), 0.0, 1.0),
}
# The paper's colours of a phase diagram, by norm and interference of the extra feature.
NOT_LEARNED, DEDICATED, SUPERPOSED = to_rgb("#d9d9d9"), to_rgb("#2166ac"), to_rgb("#c4342f")
# The earlier replication's colours: which of the two features the neuron represents.
CLASS_COLORS = {"first": "#e66101", "superposed": "#ffffff", "extra": "#5e3c99", "neither": "#bdbdbd"}


def feature_vectors(ax: Axes, W: ArrayLike, importance: ArrayLike = 1.0, limit: float = 1.5) -> Axes:
    """Draw the columns of W as points on stalks in the plane, coloured by importance.

    Parameters
    ----------
    ax : matplotlib Axes
    W : array of shape (2, n)
    importance : array that broadcasts to (n,)
        Coloured on a scale from the smallest importance to the largest.
    limit : float above 0
        The axes run from -limit to limit.

    Returns
    -------
    ax : the same Axes

    Raises
    ------
    ValueError, TypeError
        If `ax` is no Axes, W is not one model with two hidden dimensions, or the importance or limit does not fit.

    Notes
    -----
    Elhage et al. (2022), introduction.
    """
    W, limit = _one_model(ax, W), _checks.number("limit", limit, above=0)
    if W.shape[0] != 2:
        raise ValueError(f"W has shape {W.shape}; expected (2, n), since the vectors are drawn in the plane")
    importance = _checks.per_feature("importance", importance, W.shape[1])
    if importance.ndim != 1:
        raise ValueError(f"importance has shape {importance.shape}; expected ({W.shape[1]},), since W is one model")
    low = importance.min() if importance.min() < importance.max() else 0.0
    colors = scale("importance", low, max(importance.max(), np.nextafter(low, np.inf))).to_rgba(importance)
    ax.axhline(0, color="0.85", linewidth=0.7, zorder=0)
    ax.axvline(0, color="0.85", linewidth=0.7, zorder=0)
    for (x, y), color in zip(W.T, colors, strict=True):
        ax.plot([0, x], [0, y], color=color, linewidth=1.8, solid_capstyle="round")
    ax.scatter(*W, c=colors, s=34, zorder=3, linewidths=0)
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    return ax


def weight_gram(ax: Axes, W: ArrayLike, b: ArrayLike | None = None) -> Axes:
    """Draw Wᵀ W as a heat map on -1..1 (red positive, blue negative), and b as a column to its right.

    Row i, column j is W_i · W_j: what feature j adds to the reconstruction of feature i.

    Parameters
    ----------
    ax : matplotlib Axes
    W : array of shape (m, n)
    b : array of shape (n,), optional

    Returns
    -------
    ax : the same Axes

    Raises
    ------
    ValueError, TypeError
        If `ax` is no Axes, W is not one model, or b does not fit it.

    Notes
    -----
    Elhage et al. (2022), section 2, "Basic Results". ``plt.colorbar(ax.images[0])`` gives the scale.
    """
    W = _one_model(ax, W)
    n = W.shape[1]
    with np.errstate(over="ignore"):
        gram = W.T @ W
    if not np.isfinite(gram).all():
        raise ValueError(f"W holds {np.abs(W).max():g}, and WᵀW overflows; expected weights nearer to 1")
    if b is not None:
        b = _checks.finite("b", _checks.real_array("b", b))
        if b.shape != (n,):
            raise ValueError(f"b has shape {b.shape}; expected ({n},) for W {W.shape}")
    settings = {"cmap": SCALES["gram"][0], "vmin": -1, "vmax": 1, "aspect": "equal"}
    frame = {"fill": False, "edgecolor": "0.3", "linewidth": 0.7, "clip_on": False}
    ax.imshow(gram, extent=(0, n, n, 0), **settings)
    ax.add_patch(Rectangle((0, 0), n, n, **frame))
    labels = {n / 2: r"$W^T W$"}
    if b is not None:
        left, width = n * 1.06, n * 0.08
        ax.imshow(b[:, None], extent=(left, left + width, n, 0), **settings)
        ax.add_patch(Rectangle((left, 0), width, n, **frame))
        ax.set_xlim(0, left + width)
        labels[left + width / 2] = "$b$"
    ax.set(xticks=list(labels), xticklabels=labels.values(), yticks=[])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


def feature_bars(ax: Axes, W: ArrayLike) -> Axes:
    """Draw |W_i| as a bar for each feature, feature 0 on top, coloured by its interference: 1 and more look alike.

    Parameters
    ----------
    ax : matplotlib Axes
    W : array of shape (m, n)

    Returns
    -------
    ax : the same Axes

    Raises
    ------
    ValueError, TypeError
        If `ax` is no Axes, or W is not one model.

    Notes
    -----
    Elhage et al. (2022), section 2, "Basic Results". The interference is that of `minitms.interference`.
    """
    W = _one_model(ax, W)
    n = W.shape[1]
    colors = scale("interference").to_rgba(geometry.interference(W))
    ax.barh(np.arange(n) + 0.5, geometry.feature_norms(W), height=0.8 if n <= 40 else 1.0, color=colors)
    ax.set(ylim=(n, 0), xlim=(0, None), yticks=[], xlabel="$|W_i|$")
    return ax


def phase_map(
    ax: Axes, densities: ArrayLike, importances: ArrayLike, values: ArrayLike, cmap: str | Colormap | None = None
) -> Axes:
    """Draw one value or colour a cell over importance (x) and density (y, 1 on top), both on log axes.

    Parameters
    ----------
    ax : matplotlib Axes
    densities : increasing array of shape (D,), every value above 0
    importances : increasing array of shape (R,), every value above 0
        Importance of the extra feature relative to the others.
    values : array of shape (D, R), or (D, R, 3) for red, green and blue in [0, 1]
        Colours come from `superposition_colors` or `class_colors`. A cell whose value is NaN stays blank.
    cmap : str or Colormap, optional
        For values of shape (D, R) only: colours need none.

    Returns
    -------
    ax : the same Axes; ``ax.collections[0]`` is what a colour bar needs

    Raises
    ------
    ValueError, TypeError
        If `ax` is no Axes, the two axes do not increase or are not above 0, the shapes do not fit, a value is infinite
        or no number, a colour lies outside [0, 1], or there is no such colour map.

    Notes
    -----
    Elhage et al. (2022), section 3. Each cell is drawn around its own density and importance, also if the grid is
    not evenly spaced on the log axes.
    """
    _check_axes(ax)
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
    ax.pcolormesh(x, y, values, cmap=cmap, rasterized=True)
    ax.set(xscale="log", yscale="log", xlim=x[[0, -1]], ylim=y[[0, -1]],
           xlabel="relative importance of the extra feature", ylabel="density 1 - S")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:g}")
    ax.spines[:].set_visible(True)  # one of the colours is white
    return ax


def superposition_colors(norm: ArrayLike, interference: ArrayLike) -> np.ndarray:
    """The paper's colours of a phase diagram: grey not learned, blue a dimension of its own, red in superposition.

    Parameters
    ----------
    norm, interference : arrays of one shape (...)
        |W_i| and interference of the extra feature; both are clipped to [0, 1].

    Returns
    -------
    colors : array of shape (..., 3)

    Raises
    ------
    ValueError, TypeError
        If the shapes differ, or a value is not finite or no number.
    """
    norm, interference = (
        _checks.finite(name, _checks.real_array(name, array)).astype(np.float64)
        for name, array in (("norm", norm), ("interference", interference))
    )
    if norm.shape != interference.shape:
        raise ValueError(f"got norm {norm.shape} and interference {interference.shape}; expected equal shapes")
    norm, interference = (np.clip(array, 0, 1)[..., None] for array in (norm, interference))
    learned = (1 - interference) * np.array(DEDICATED) + interference * np.array(SUPERPOSED)
    return (1 - norm) * np.array(NOT_LEARNED) + norm * learned


def class_colors(classes: ArrayLike) -> np.ndarray:
    """The earlier replication's colours of a phase diagram: orange first, purple extra, white superposed, grey neither.

    Parameters
    ----------
    classes : array of str, of shape (...)
        Each entry "first", "extra", "superposed" or "neither".

    Returns
    -------
    colors : array of shape (..., 3)

    Raises
    ------
    ValueError, TypeError
        If an entry is another word, or lies under a mask.
    """
    classes = _checks.plain_array("classes", classes)
    for word in np.unique(classes):
        _checks.choice("class", str(word), tuple(CLASS_COLORS))
    return np.array([to_rgb(CLASS_COLORS[str(word)]) for word in classes.flat]).reshape(*classes.shape, 3)


def loss_curve(
    ax: Axes, steps: ArrayLike, history: ArrayLike, label: str | None = None, color=None
) -> Axes:
    """Draw the loss over the steps on a log axis: the median over models, and a band from the lowest to the highest.

    Parameters
    ----------
    ax : matplotlib Axes
    steps : array of shape (records,)
    history : array of shape (..., records)
    label : str, optional
    color : what matplotlib takes for one, optional
        Of the line; the band takes it too.

    Returns
    -------
    ax : the same Axes

    Raises
    ------
    ValueError, TypeError
        If `ax` is no Axes, the last axis of the history is not as long as `steps`, one of them is empty, not finite or
        not made of numbers, or the label or colour is none.
    """
    _check_axes(ax)
    steps = _checks.finite("steps", _checks.real_array("steps", steps))
    history = _checks.finite("history", _checks.real_array("history", history))
    if label is not None and not isinstance(label, str):
        raise TypeError(f"label is {label!r}; expected a str")
    if color is not None and not is_color_like(color):
        raise ValueError(f"color is {color!r}; expected a colour, such as 'tab:blue' or '#2166ac'")
    if 0 in history.shape or steps.ndim != 1 or history.ndim < 1 or history.shape[-1] != len(steps):
        raise ValueError(f"got steps {steps.shape} and history {history.shape}; expected (records,) and (..., records)")
    models = history.reshape(-1, len(steps))
    (line,) = ax.plot(steps, np.median(models, axis=0), label=label, color=color)
    if len(models) > 1:
        ax.fill_between(steps, models.min(axis=0), models.max(axis=0), color=line.get_color(), alpha=0.25, linewidth=0)
    ax.set(yscale="log", xlabel="step", ylabel="loss")
    return ax


def scale(kind: str, low: float | None = None, high: float | None = None) -> ScalarMappable:
    """What a colour bar needs: ``fig.colorbar(scale("interference"), ax=ax)``.

    Parameters
    ----------
    kind : "gram", "interference" or "importance"
    low, high : float, optional
        The ends of the scale, where they are not the usual ones.

    Returns
    -------
    matplotlib.cm.ScalarMappable

    Raises
    ------
    ValueError, TypeError
        If the kind is unknown, or the ends are not numbers, the lower one first.
    """
    cmap, lowest, highest = _checks.lookup("kind", kind, SCALES)
    low = lowest if low is None else _checks.number("low", low)
    high = highest if high is None else _checks.number("high", high)
    if not low < high:
        raise ValueError(f"the scale runs from {low:g} to {high:g}; expected low below high")
    return ScalarMappable(Normalize(low, high), cmap)


def _check_axes(ax):
    if not isinstance(ax, Axes):
        raise TypeError(f"ax is {type(ax).__name__}; expected a matplotlib Axes: fig, ax = plt.subplots()")


def _values(values):
    """Values of a phase map; NaN is allowed."""
    array = _checks.plain_array("values", values)
    if array.dtype.kind in "US":
        raise TypeError(f"values holds words such as {str(array.flat[0])!r}; expected numbers, or class_colors(values)")
    array = _checks.real_array("values", array)
    _checks.finite("values", np.where(np.isnan(array), 0, array))
    return array


def _one_model(ax, W):
    _check_axes(ax)
    W = _checks.finite("W", single("W", W))
    if W.ndim != 2:
        raise ValueError(f"W has shape {W.shape}; expected one model, (m, n): run.best().W, or one entry of it")
    return W


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
