"""One model: its features as vectors, what each adds to the others, and how long they are."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from minitms import _checks, geometry
from minitms.plots._canvas import array_or, canvas, drawing, one_model
from minitms.plots.colors import SCALES, scale
from minitms.run import Best, TrainingRun


@drawing
def feature_vectors(
    W: ArrayLike | TrainingRun | Best,
    importance: ArrayLike | None = None,
    limit: float = 1.5,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw the columns of W as points on stalks in the plane, coloured by importance.

    Parameters
    ----------
    W : array of shape (2, n), or a run of one model, whose best is drawn
    importance : array that broadcasts to (n,), or None for that of the run, or 1
        Coloured on a scale from the smallest importance to the largest.
    limit : float above 0
        The axes run from -limit to limit.
    ax : matplotlib Axes, or None for one of its own, with labels and a colour bar

    Returns
    -------
    ax : the Axes

    Raises
    ------
    ValueError, TypeError
        If `ax` is no Axes, W is not one model with two hidden dimensions, or the importance or limit does not fit.

    Notes
    -----
    Elhage et al. (2022), introduction.

    Examples
    --------
    >>> import matplotlib.pyplot as plt, numpy as np, minitms as tms
    >>> angle = 2 * np.pi * np.arange(5) / 5
    >>> ax = tms.plots.feature_vectors([np.cos(angle), np.sin(angle)], importance=0.9 ** np.arange(5))
    >>> len(ax.lines)  # two axes and five features
    7
    >>> plt.close()
    """
    (W, _, own, _), limit = one_model(W), _checks.number("limit", limit, above=0)
    if W.shape[0] != 2:
        raise ValueError(f"W has shape {W.shape}; expected (2, n), since the vectors are drawn in the plane")
    importance = 1.0 if importance is None and own is None else own if importance is None else importance
    importance = _checks.bounded("importance", importance)
    if importance.shape not in ((), (1,), W.shape[1:]):
        raise ValueError(
            f"importance has shape {importance.shape}; expected a scalar or {W.shape[1:]}, since W is one model: "
            f"of a stack's take that of this model, such as importance[{len(importance) - 1}]"
        )
    importance = np.broadcast_to(importance, W.shape[1:])
    low = importance.min() if importance.min() < importance.max() else 0.0
    colored = scale("importance", low, max(importance.max(), np.nextafter(low, np.inf)))
    colors = colored.to_rgba(importance)
    with canvas(ax, (4.0, 3.4)) as (ax, alone):
        ax.axhline(0, color="0.85", linewidth=0.7, zorder=0)
        ax.axvline(0, color="0.85", linewidth=0.7, zorder=0)
        for (x, y), color in zip(W.T, colors, strict=True):
            ax.plot([0, x], [0, y], color=color, linewidth=1.8, solid_capstyle="round")
        ax.scatter(*W, c=colors, s=34, zorder=3, linewidths=0)
        ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
        if alone:
            ax.set(title=f"{W.shape[1]} features in 2 dimensions", xlabel="hidden dimension 1",
                   ylabel="hidden dimension 2")
        if alone and importance.min() < importance.max():
            ax.figure.colorbar(colored, ax=ax, label="importance")
    return ax


@drawing
def weight_gram(W: ArrayLike | TrainingRun | Best, b: ArrayLike | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw Wᵀ W as a heat map on -1..1 (red positive, blue negative), and b as a column to its right.

    Row i, column j is W_i · W_j: what feature j adds to the reconstruction of feature i.

    Parameters
    ----------
    W : array of shape (m, n), or a run of one model, whose best is drawn
    b : array of shape (n,), or None for that of the run, or none
    ax : matplotlib Axes, or None for one of its own, with a colour bar

    Returns
    -------
    ax : the Axes

    Raises
    ------
    ValueError, TypeError
        If `ax` is no Axes, W is not one model, or b does not fit it.

    Notes
    -----
    Elhage et al. (2022), section 2, "Basic Results". ``plt.colorbar(ax.images[0])`` gives the scale.

    Examples
    --------
    >>> import matplotlib.pyplot as plt, numpy as np, minitms as tms
    >>> ax = tms.plots.weight_gram(np.array([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]]))
    >>> ax.images[0].get_array().shape
    (3, 3)
    >>> plt.close()
    """
    W, own, *_ = one_model(W)
    b = own if b is None else b
    n = W.shape[1]
    with np.errstate(over="ignore"):
        gram = W.T @ W
    if not np.isfinite(gram).all():
        raise ValueError(f"W holds {np.abs(W).max():g}, and WᵀW overflows; expected weights nearer to 1")
    if b is not None:
        array_or("b", b, "an array (n,)")
        b = _checks.finite("b", _checks.real_array("b", b))
        if b.shape != (n,):
            raise ValueError(f"b has shape {b.shape}; expected ({n},) for W {W.shape}")
    settings = {"cmap": SCALES["gram"][0], "vmin": -1, "vmax": 1, "aspect": "equal"}
    frame = {"fill": False, "edgecolor": "0.3", "linewidth": 0.7, "clip_on": False}
    labels = {n / 2: r"$W^T W$"}
    with canvas(ax, (4.2, 3.4)) as (ax, alone):
        ax.imshow(gram, extent=(0, n, n, 0), **settings)
        ax.add_patch(Rectangle((0, 0), n, n, **frame))
        if b is not None:
            left, width = n * 1.06, n * 0.08
            ax.imshow(b[:, None], extent=(left, left + width, n, 0), **settings)
            ax.add_patch(Rectangle((left, 0), width, n, **frame))
            ax.set_xlim(0, left + width)
            labels[left + width / 2] = "$b$"
        ax.set(xticks=list(labels), xticklabels=labels.values(), yticks=[])
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        if alone:
            ax.figure.colorbar(scale("gram"), ax=ax, shrink=0.9, extend="both")
    return ax


@drawing
def feature_bars(W: ArrayLike | TrainingRun | Best, *, ax: Axes | None = None) -> Axes:
    """Draw |W_i| as a bar for each feature, feature 0 on top, coloured by its interference: 1 and more look alike.

    Parameters
    ----------
    W : array of shape (m, n), or a run of one model, whose best is drawn
    ax : matplotlib Axes, or None for one of its own, with a colour bar

    Returns
    -------
    ax : the Axes

    Raises
    ------
    ValueError, TypeError
        If `ax` is no Axes, or W is not one model.

    Notes
    -----
    Elhage et al. (2022), section 2, "Basic Results". The interference is that of `minitms.interference`.

    Examples
    --------
    >>> import matplotlib.pyplot as plt, numpy as np, minitms as tms
    >>> ax = tms.plots.feature_bars(np.array([[1.0, -1.0, 0.0], [0.0, 0.0, 0.5]]))
    >>> [float(bar.get_width()) for bar in ax.patches]
    [1.0, 1.0, 0.5]
    >>> plt.close()
    """
    W = one_model(W).W
    n = W.shape[1]
    colors, norms = scale("interference").to_rgba(geometry.interference(W)), geometry.feature_norms(W)
    with canvas(ax, (4.2, 3.4)) as (ax, alone):
        ax.barh(np.arange(n) + 0.5, norms, height=0.8 if n <= 40 else 1.0, color=colors)
        ax.set(ylim=(n, 0), xlim=(0, None), yticks=[], xlabel="$|W_i|$")
        if alone:
            ax.set_ylabel("feature, 0 on top")
            ax.figure.colorbar(scale("interference"), ax=ax, label="interference", extend="max")
    return ax
