"""Which colour means what."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, ListedColormap, Normalize, to_rgb
from numpy.typing import ArrayLike

from minitms import _checks

# What each kind of colour means: (colour map, lowest value, highest value).
SCALES: dict[str, tuple[str | Colormap, float, float]] = {
    "gram": ("RdBu_r", -1.0, 1.0),
    "interference": (LinearSegmentedColormap.from_list("interference", ["#1b4a8a", "#b3a79c", "#e66100"]), 0.0, 1.0),
    "importance": (ListedColormap(matplotlib.colormaps["plasma"](np.linspace(0.85, 0.0, 256)), "importance"), 0.0, 1.0),
}
# The paper's colours of a phase diagram, by norm and interference of the extra feature.
NOT_LEARNED: tuple[float, float, float] = to_rgb("#d9d9d9")
DEDICATED: tuple[float, float, float] = to_rgb("#2166ac")
SUPERPOSED: tuple[float, float, float] = to_rgb("#c4342f")
# The same of models with one neuron and two features, by their class: "first" has not learned the extra feature.
CLASS_COLORS = {"first": "#d9d9d9", "superposed": "#c4342f", "extra": "#2166ac", "neither": "#e6ab02"}


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

    Examples
    --------
    >>> import minitms as tms
    >>> tms.plots.scale("gram").get_clim()
    (-1.0, 1.0)
    """
    cmap, lowest, highest = _checks.lookup("kind", kind, SCALES)
    low = lowest if low is None else _checks.number("low", low)
    high = highest if high is None else _checks.number("high", high)
    if not low < high:
        raise ValueError(f"the scale runs from {low:g} to {high:g}; expected low below high")
    return ScalarMappable(Normalize(low, high), cmap)


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

    Examples
    --------
    >>> import minitms as tms
    >>> tms.plots.superposition_colors([0.0, 1.0, 1.0], [0.0, 0.0, 1.0]).round(2)  # grey, blue, red
    array([[0.85, 0.85, 0.85],
           [0.13, 0.4 , 0.67],
           [0.77, 0.2 , 0.18]])
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
    """The colours of a phase diagram by class: grey first, blue extra, red superposed, as in the paper; ochre neither.

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

    Examples
    --------
    >>> import minitms as tms
    >>> tms.plots.class_colors(["first", "superposed"]).shape
    (2, 3)
    """
    classes = _checks.plain_array("classes", classes)
    for word in set(classes.ravel().tolist()):
        _checks.choice("class", word, tuple(CLASS_COLORS))
    return np.array([to_rgb(CLASS_COLORS[str(word)]) for word in classes.flat]).reshape(*classes.shape, 3)
