"""Losses of a few named solutions in closed form, and the phase diagram that they draw.

One feature more than there are hidden dimensions: n = m + 1, importance 1 for every feature but the last, "extra" one,
which has importance r. All features share one density s. A feature is on with probability s, then uniform on [0, 1]:

    mean  s/2        variance  v = s/3 - s²/4

What can a model with a ReLU do with one feature too many? Each configuration is a choice by hand of W and b:

    drop a feature              W_i = 0, b_i = s/2 (its mean)            it costs importance · v, the rest costs nothing
    superpose a pair i, j       W_i = -W_j = unit vector, b = 0          ReLU(x_i - x_j) misses x_i by min(x_i, x_j),
                                                                         E[min²] = s² · 1/6 (both on): (I_i + I_j) s²/6

    n=2, m=1   first       keep the first, drop the extra one            r v
               extra       keep the extra one, drop the first            v
               superposed  the pair, antipodal                           (1 + r) s²/6
    n=3, m=2   first       keep the first two, drop the extra one        r v
               extra       keep the extra one, drop one of the others    v
               superposed  the extra one paired with another             (1 + r) s²/6
               others      the extra one alone, the other two paired     s²/3

The losses of two configurations cross at an angle, so theory predicts a first-order change of phase. The crossings:

    r <= 1     first | superposed     r v = (1 + r) s²/6     s* = 4r / (2 + 5r)
    r >= 1     extra | superposed       v = (1 + r) s²/6     s* = 4 / (5 + 2r)        (n=2)
               extra | others           v = s²/3             s* = 4/7                 (n=3)
    s >= s*    first | extra          r = 1                  all three meet at (r, s) = (1, 4/7)

A linear model gains nothing from superposition (the pair costs (1 + r) v), so its one boundary is r = 1.

**These losses are upper bounds.** No configuration is claimed to be a minimum over (W, b), and for the ReLU model the
true minimum lies lower in places: for n=2, m=1 by up to 14 %, at the triple point. `minitms.expected_loss` gives the
exact loss of any W and b, and `onset_importance` a boundary that the configurations miss.

Source: Elhage et al., Toy Models of Superposition (2022), section 3, "Superposition as a Phase Change". Without a bias,
the exact loss of n=2, m=1 was solved by Tom McGrath in a comment to it. What polytopes of more features cost stands in
`polytope_losses.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from minitms import _checks
from minitms._words import Activation

CONFIGURATIONS: dict[int, tuple[str, ...]] = {
    2: ("first", "extra", "superposed"), 3: ("first", "extra", "superposed", "others")
}  # fmt: skip
TRIPLE_POINT = (1.0, 4 / 7)  # (importance r, density s) at which the configurations of the ReLU model cost the same


def feature_variance(density: ArrayLike) -> np.ndarray:
    """Variance of a sparse feature, ``v = s/3 - s²/4``: what dropping it costs per unit of importance.

    Parameters
    ----------
    density : array, probabilities s in [0, 1]

    Returns
    -------
    v : float64 array of the same shape

    Examples
    --------
    >>> from minitms import theory
    >>> theory.feature_variance([0.1, 1.0]).round(5)
    array([0.03083, 0.08333])
    """
    s = _checks.bounded("density", density, at_most=1.0)
    return s / 3 - s**2 / 4


def configuration_losses(
    density: ArrayLike, importance: ArrayLike, activation: Activation = "relu", n: int = 2
) -> np.ndarray:
    """Expected loss of each named configuration, in closed form.

    Parameters
    ----------
    density : array, the density s in [0, 1] shared by all features
    importance : array that broadcasts against `density`, the importance r >= 0 of the extra feature; the others have 1
    activation : "relu" or "linear"
    n : 2 (with m = 1) or 3 (with m = 2)

    Returns
    -------
    losses : float64 array of shape (configurations, ...), in the order of ``CONFIGURATIONS[n]``

    Raises
    ------
    ValueError, TypeError
        If a value lies outside its range, the shapes do not broadcast, or `activation` or `n` is unknown.

    Notes
    -----
    Upper bounds on the least loss of a model, not minima: see the head of this file.
    Elhage et al. (2022), section 3.

    Examples
    --------
    >>> from minitms import theory
    >>> theory.configuration_losses(0.1, 1.0).round(5)  # first, extra, superposed
    array([0.03083, 0.03083, 0.00333])
    """
    s, r = _plane(density, importance)
    _checks.choice("n", n, tuple(CONFIGURATIONS))
    v = feature_variance(s)
    pair = s**2 / 6 if _checks.is_relu(activation) else v  # what each feature of an antipodal pair costs
    losses = [r * v, v, (1 + r) * pair, 2 * pair]
    return np.stack(losses[: len(CONFIGURATIONS[n])])


def predicted_configuration(
    density: ArrayLike, importance: ArrayLike, activation: Activation = "relu", n: int = 2
) -> np.ndarray:
    """The configuration of least loss, as an index into ``CONFIGURATIONS[n]``.

    Parameters, errors and source are those of `configuration_losses`.

    Returns
    -------
    index : int64 array of the broadcast shape; of equal losses the one named first wins (all are 0 at density 0)

    Examples
    --------
    >>> from minitms import theory
    >>> [theory.CONFIGURATIONS[2][k] for k in theory.predicted_configuration([0.1, 1.0, 1.0], [1.0, 0.5, 2.0])]
    ['superposed', 'first', 'extra']
    """
    s, r = _plane(density, importance)
    _checks.choice("n", n, tuple(CONFIGURATIONS))
    v = 4 - 3 * s  # all losses times 12/s, so that none of them underflows and calls a tie
    pair = 2 * s if _checks.is_relu(activation) else v
    with np.errstate(over="ignore"):  # an infinite loss is not the least
        losses = [r * v, v, (1 + r) * pair, 2 * pair]
    return np.where(s > 0, np.argmin(losses[: len(CONFIGURATIONS[n])], axis=0), 0)


def boundary_density(importance: ArrayLike, n: int = 2) -> np.ndarray:
    """Density s* below which theory's ReLU model uses superposition.

    n=2: ``s* = 4r / (2 + 5r)`` for r <= 1 and ``4 / (5 + 2r)`` for r >= 1. n=3: 4/7 for r >= 1.

    Parameters
    ----------
    importance : array, the importance r >= 0 of the extra feature
    n : 2 (with m = 1) or 3 (with m = 2)

    Returns
    -------
    s_star : float64 array of the same shape, 0 at r = 0

    Raises
    ------
    ValueError, TypeError
        If an importance is negative or not finite, or `n` is unknown.

    Notes
    -----
    Elhage et al. (2022), section 3, draw it; the formula follows from the losses at the head of this file.

    Examples
    --------
    >>> from minitms import theory
    >>> theory.boundary_density([0.1, 1.0, 10.0]).round(3)
    array([0.16 , 0.571, 0.16 ])
    """
    r = _checks.bounded("importance", importance)
    _checks.choice("n", n, tuple(CONFIGURATIONS))
    low = np.minimum(r, 1)
    high = np.maximum(r, 1) if n == 2 else 1.0
    return np.where(r <= 1, 4 * low / (2 + 5 * low), 2 / (2.5 + high))


def onset_importance(density: ArrayLike) -> np.ndarray:
    """Importance r of the extra feature above which dropping it (n=2, m=1) is not even a local minimum.

    Turn the extra feature on by a little, W = (1 + κ ε, -ε), b = (β ε, s/2), and collect the terms in ε². The second
    output gains r v ε², since it begins to follow x_2. The first output loses, x_1 being on or off:

        on    s E (2 κ x_1 + β - x_2)² = s [v + (s/2 - β)²/4]      at its least, κ = 3 (s/2 - β)/4
        off   (1 - s) E ReLU(β - x_2)² = (1 - s) [(1 - s) β² + s β³/3]

    Both outputs break even at ``r v = s v + s (s/2 - β)²/4 + (1 - s)² β² + (1 - s) s β³/3``, with the β that makes the
    right side least: the positive root of ``(1 - s) s β² + (s/2 + 2 (1 - s)²) β - s²/4 = 0``.
    Where the least loss over all W and b changes there, it does so continuously, unlike at `boundary_density`.

    Parameters
    ----------
    density : array, the density s in (0, 1]

    Returns
    -------
    r : float64 array of the same shape, at most 1; dropping the *first* feature is unstable for importances below 1/r

    Raises
    ------
    ValueError, TypeError
        If a density is 0 or outside [0, 1].

    Notes
    -----
    Not in the paper, whose diagram compares fixed configurations.

    Examples
    --------
    >>> from minitms import theory
    >>> theory.onset_importance([0.16, 0.5]).round(3)
    array([0.165, 0.55 ])
    """
    s = _checks.bounded("density", density, at_most=1.0)
    if (s == 0).any():
        raise ValueError("density holds 0; expected every value above 0, since features that are never on cost nothing")
    half_slope = (s / 2 + 2 * (1 - s) ** 2) / 2
    ratio = s / 4 / (half_slope + np.sqrt(half_slope**2 + (1 - s) * s**3 / 4))  # β/s
    beta = s * ratio
    cost = (s / 2 - beta) ** 2 / 4 + (1 - s) ** 2 * beta * ratio + (1 - s) * beta**3 / 3  # ... and all else by s too,
    return s + cost / (1 / 3 - s / 4)                                                     # which can be 1e-300


def away_from_boundary(
    density: ArrayLike, importance: ArrayLike, activation: Activation = "relu", n: int = 2
) -> np.ndarray:
    """Where theory's answer is clear: far from every line along which two configurations cost nearly the same.

    For the ReLU model ``|ln s - ln s*| > 0.2`` and ``|ln r| > 0.1``; for the linear one ``|ln r| > 0.1``.

    Parameters, errors and source are those of `configuration_losses`.

    Returns
    -------
    away : bool array of the broadcast shape; False at density 0, where every configuration costs nothing,
        and at importance 0, where the extra feature costs nothing whatever becomes of it

    Examples
    --------
    >>> from minitms import theory
    >>> theory.away_from_boundary([0.1, 4 / 7], [1.0, 1.0])
    array([False, False])
    """
    s, r = _plane(density, importance)
    relu = _checks.is_relu(activation)
    _checks.choice("n", n, tuple(CONFIGURATIONS))
    costs = (s > 0) & (r > 0)
    log_r = np.log(np.where(costs, r, 1))
    away = np.abs(log_r) > 0.1
    if relu:
        log_ratio = np.log(np.where(costs, s, 1)) - np.log(np.where(costs, boundary_density(r, n), 1))
        away = away & (np.abs(log_ratio) > 0.2)
    return away & costs


def _plane(density, importance):
    """The two axes of the diagram, checked and broadcast against each other."""
    s, r = _checks.bounded("density", density, at_most=1.0), _checks.bounded("importance", importance)
    try:
        return np.broadcast_arrays(s, r)
    except ValueError:
        raise ValueError(
            f"density {s.shape} and importance {r.shape} do not broadcast; "
            "expected for instance density[:, None] and importance for a grid"
        ) from None
