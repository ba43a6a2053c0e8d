"""What the figures of features in sets share: their loss with every on/off bit summed exactly, and pictures by set."""

from __future__ import annotations

from itertools import product

import numpy as np

import minitms as tms

COLORS = np.array(["#0072B2", "#D55E00", "#009E73"])  # of the sets


def stratified_loss(W, b, density, sets, examples=4096):
    """Loss of models whose features come together in sets: sum over which sets are on of P(these) · E[loss | these].

    The probabilities are exact, and only the values are sampled, the same for all models and cases: far less noise than
    in a plain sample, in which two rare sets are hardly ever on together.

    Parameters
    ----------
    W, b : arrays of shape (..., m, n) and (..., n)
    density : float
    sets : sequence of n labels from 0
    examples : int

    Returns
    -------
    array of shape (...)
    """
    sets = np.asarray(sets)
    values = tms.SparseFeatures(len(sets), 1.0).sample(examples, seed=0)
    models = W.reshape(-1, *W.shape[-2:]), b.reshape(-1, b.shape[-1])
    total = np.zeros(len(models[0]))
    for on in product((0, 1), repeat=sets.max() + 1):
        probability = density ** sum(on) * (1 - density) ** (len(on) - sum(on))
        x = values[: examples if any(on) else 1] * np.array(on)[sets]
        total += probability * np.array([tms.loss(*model, x) for model in zip(*models, strict=True)])
    return total.reshape(b.shape[:-1])


def cosines(W):
    """Cosine of the angle between every two features, (..., n, n)."""
    directions = W / tms.feature_norms(W)[..., None, :]
    return directions.mT @ directions


def draw(ax, W, sets, limit=1.3):
    """The features in the plane, coloured by their set; its second feature is a ring, to be seen around the first."""
    for i, (x, y) in enumerate(W.T):
        first, color = i == np.flatnonzero(sets == sets[i])[0], COLORS[sets[i]]
        ax.plot([0, x], [0, y], color=color, linewidth=1.6, alpha=0.8)
        ax.plot(x, y, "o", color=color, markersize=4 if first else 7.5, markerfacecolor=color if first else "none")
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xticks=[], yticks=[])
    ax.spines[:].set_color("0.8")
    ax.spines[:].set_visible(True)
    return ax
