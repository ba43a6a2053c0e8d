"""What it costs to store features as the corners of a polytope, and where one should replace the next.

A polytope has k corners Ŵ_i of unit length in d dimensions, and every corner sees the same cosines c_j to the others.
All features are alike, so W = a Ŵ with one length a, and one bias b. Write ℓ = a² and t = -b/ℓ. Output i, with x its
own feature and T = sum over the others of c_j x_j the interference, is

    y = ReLU(ℓ (x + T) + b) = ℓ u        u = ReLU(x + T - t)

so its loss is a parabola in ℓ. Its lowest point is a matter of one number, t, which is searched for:

    E (ℓ u - x)² = E x² - 2 ℓ P + ℓ² Q        P = E x u,  Q = E u²        at ℓ = P/Q:   E x² - P²/Q

**One feature on at a time** (uniform on [0, 1], each as often as the others). Then x and T are never both there, and
with t >= 0

    P = (1 - t)² (2 + t) / 6        Q = (1 - t)³ / 3 + sum over c_j > t of (c_j - t)³ / (3 c_j)        E x² = 1/3

per example in which a corner is on. Where no cosine is positive (digon, triangle, tetrahedron) t = 0 and ℓ = 1 leave
no loss at all.

**Independent features of density s.** P and Q are expectations over sums of several variables, and still closed forms:
averaging a power of a linear function over one more feature gives powers of linear functions again (`_average`),

    E over x_j of (z + c x_j)₊^p = (1 - s) z₊^p + s [(z + c)₊^(p+1) - z₊^(p+1)] / (c (p + 1))

For s -> 0 the loss of a feature becomes s times its one-active loss.

**When does one replace another?** Polytopes in orthogonal dimensions leave each other alone, so a model of many
features fills its m dimensions with them, piece by piece. Not storing a feature costs its variance v = s/3 - s²/4. So
what counts is how much a polytope saves for each dimension that it takes, (k/d) (v - L_i), with L_i the loss of one of
its features at the best ℓ and t: `saving_per_dimension`. Where those of two polytopes are equal, one should replace the
other: `replacement_density`. This supposes that there are always enough features, that one kind of polytope is used
alone, and that its corners have equal lengths and biases. What decides is what happens when several features are on:
one at a time, the saving is (k/d) (v - s L) with L from above, and of the named polytopes the one with more corners a
dimension saves more at every density.

All these losses are upper bounds: a polytope could bend. A k-gon gains nothing by a small bend under the one-active
loss, being a critical point by symmetry. The antiprism of height 1/√3 does: it costs 0.0188, and 0.0128 at 0.525.

Source: the polytopes are those of Elhage et al. (2022), section 4. The one-active loss, and k-gons under it, were
studied first by Chen, Lau, Mendel, Wei and Murfet, "Dynamical versus Bayesian Phase Transitions in a Toy Model of
Superposition" (2023, arXiv 2310.06301), who study their stability too. The parabola in ℓ and the replacement densities
are ours.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from minitms import _checks
from minitms.polytopes import polygon
from minitms.theory import feature_variance

LEAST_DENSITY = 1e-8  # below it, s³ is lost beside s, of which it is a part
MOST_COSINES = 17    # other than 0, of whose powers enough digits are left: at density 1 six of 16
LEAST_COSINE = 0.05  # whose powers still have enough digits where several of them divide
ALIKE = 1e-9         # by how much the cosines of two corners may differ
SPARSEST = 1e-2      # where the search for a replacement begins


class Optimum(NamedTuple):
    """The best common length and bias of a polytope's features, and the loss of one feature there."""

    loss: float
    length: float
    bias: float


def one_active(corners: ArrayLike) -> Optimum:
    """Best length and bias of a polytope whose features are on one at a time, uniform on [0, 1].

    Parameters
    ----------
    corners : array of shape (d, k)
        Directions of the features, as in `minitms.polytopes.POLYTOPES`; their lengths do not matter. Every corner must
        see the others under the same angles.

    Returns
    -------
    Optimum
        Its loss is the mean, over the examples in which a corner is on, of the sum of all k squared errors.

    Raises
    ------
    ValueError, TypeError
        If `corners` is not of shape (d, k), has a column of zeros, a NaN or infinity, or corners that are not alike.

    Notes
    -----
    Chen et al. (2023, arXiv 2310.06301), for k-gons; the search for one number is derived at the head of this file.

    Examples
    --------
    >>> from minitms.polytopes import POLYTOPES
    >>> from minitms.polytope_losses import one_active
    >>> loss, length, bias = one_active(POLYTOPES["pentagon"])
    >>> print(f"{loss:.6f} at length {length:.4f}, bias {bias:.4f}")
    0.015826 at length 1.1705, bias -0.2823
    """
    cosines = _cosines(corners)
    positive = cosines[cosines > 0]

    def products(t):
        others = (np.maximum(positive - t[:, None], 0) ** 3 / positive).sum(axis=-1)
        return (1 - t) ** 2 * (2 + t) / 6, ((1 - t) ** 3 + others) / 3

    return _lowest(products, 1 / 3, low=0.0)


def independent(corners: ArrayLike, density: float) -> Optimum:
    """Best length and bias of a polytope whose features are on independently of each other, with one density.

    Parameters
    ----------
    corners : array of shape (d, k)
        As in `one_active`; cosines nearer to 0 than 0.05 would lose too many digits and are refused, unless they are 0,
        and so are more than 17 of them (k-gons up to k = 18, and 20).
    density : float, the density s in [1e-8, 1]

    Returns
    -------
    Optimum
        Its loss is the expected squared error of one feature: k times that is the loss of the polytope.

    Raises
    ------
    ValueError, TypeError
        As in `one_active`; or if the density is outside [1e-8, 1].

    Notes
    -----
    An upper bound on the least loss of k features in d dimensions, since lengths and biases are equal here.

    Examples
    --------
    >>> from minitms.polytopes import POLYTOPES
    >>> from minitms.polytope_losses import independent
    >>> loss, length, bias = independent(POLYTOPES["digon"], density=0.1)
    >>> print(f"{loss:.6f}, with length 1 and no bias {0.1**2 / 6:.6f}")
    0.001660, with length 1 and no bias 0.001667
    """
    s = _density(density)
    cosines = _cosines(corners)
    cosines = cosines[cosines != 0]
    if (abs(cosines) < LEAST_COSINE).any():
        least = cosines[abs(cosines).argmin()]
        raise ValueError(
            f"a cosine between corners is {_checks.plainly(least)}; expected 0, or at least {LEAST_COSINE:g} in size"
        )
    if len(cosines) > MOST_COSINES:
        raise ValueError(
            f"a corner sees {len(cosines)} others under no right angle; expected at most {MOST_COSINES}, since the "
            "powers of more lose too many digits"
        )
    # u² with the feature itself off; and on, where it is averaged like the others; x u, integrated by parts.
    off = _average([(0, 2, 1)], cosines, s)
    on = _average([(1, 3, 1 / 3), (0, 3, -1 / 3)], cosines, s)
    own = _average([(1, 2, 1 / 2), (1, 3, -1 / 6), (0, 3, 1 / 6)], cosines, s)

    def products(t):
        return s * _value(own, -t), (1 - s) * _value(off, -t) + s * _value(on, -t)

    # Dense features need the highest bias, b = s/2 beside ℓ = d/k: as far as that, and as far again.
    return _lowest(products, s / 3, low=-_corners_per_dimension(corners))


def polygon_loss(k: int, n: int) -> float:
    """Least one-active loss of n features in two dimensions of which k form a regular k-gon and the rest is dropped.

    Parameters
    ----------
    k : int, at least 2
    n : int, at least k

    Returns
    -------
    loss : float
        ``(k/n) L_k + (n - k) (1/(3n) - 1/(4n²))``, with L_k from `one_active`: each of the n features is the one that
        is on with probability 1/n, and a dropped feature costs its variance.

    Raises
    ------
    ValueError, TypeError
        If k or n is no whole number within its bounds.

    Notes
    -----
    Chen et al. (2023, arXiv 2310.06301). In closed form 0.17, 0.11333, 0.05667 for k = 2, 3, 4 and n = 5.
    """
    k = _checks.integer("k", k, at_least=2)
    n = _checks.integer("n", n, at_least=k)
    return k / n * one_active(polygon(k)).loss + (n - k) * float(feature_variance(1 / n))


def saving_per_dimension(corners: ArrayLike, density: float) -> float:
    """Loss that a polytope saves for each dimension it takes: ``(k/d) (v - L_i)``, v that of a dropped feature.

    Parameters
    ----------
    corners : array of shape (d, k)
        As in `independent`; d is the rank of it, not its number of rows.
    density : float, the density s in [1e-8, 1]

    Returns
    -------
    saving : float

    Raises
    ------
    ValueError, TypeError
        As in `independent`.

    Notes
    -----
    Ours; see the head of this file for what it supposes.
    """
    saved = float(feature_variance(_density(density))) - independent(corners, density).loss
    return _corners_per_dimension(corners) * saved


def replacement_density(denser: ArrayLike, sparser: ArrayLike) -> float:
    """Density below which the polytope `sparser` saves more per dimension than `denser`.

    Parameters
    ----------
    denser, sparser : arrays of shape (d, k)
        Corners, as in `saving_per_dimension`.

    Returns
    -------
    s : float in (0.01, 1)
        The lowest density above 0.01 at which both save the same. (Near density 1, where a model is almost linear and
        all arrangements cost nearly the same, there can be another.)

    Raises
    ------
    ValueError, TypeError
        As in `saving_per_dimension`; or if `sparser` does not save more at density 0.01, or does so at every density.

    Notes
    -----
    Ours; see the head of this file for what it supposes.

    Examples
    --------
    >>> from minitms.polytopes import POLYTOPES
    >>> from minitms.polytope_losses import replacement_density
    >>> print(f"{replacement_density(POLYTOPES['digon'], POLYTOPES['pentagon']):.4f}")
    0.2249
    """

    def lead(s):
        return saving_per_dimension(sparser, s) - saving_per_dimension(denser, s)

    low = SPARSEST
    if lead(low) <= 0:
        raise ValueError(f"`sparser` does not save more than `denser` at density {low:g}; expected them the other way")
    for high in np.geomspace(low, 1, 24)[1:]:
        if lead(high) <= 0:
            break
        low = high
    else:
        raise ValueError("`sparser` saves more than `denser` at every density, so it never replaces it")
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if lead(middle) > 0 else (low, middle)
    return float(low + high) / 2


def _density(density):
    s = _checks.number("density", density, above=0)
    if not LEAST_DENSITY <= s <= 1:
        raise ValueError(f"density is {_checks.plainly(s, 1)}; expected a probability in [{LEAST_DENSITY:g}, 1]")
    return s


def _corners_per_dimension(corners):
    directions = _directions(corners)
    return directions.shape[1] / int(np.linalg.matrix_rank(directions))


def _directions(corners):
    """The corners, each of length 1."""
    corners = _checks.finite("corners", _checks.real_array("corners", corners)).astype(np.float64)
    if corners.ndim != 2 or corners.size == 0 or not corners.any(axis=0).all():
        raise ValueError(f"corners has shape {corners.shape}; expected (d, k), k directions, none of them zero")
    near_one = corners / np.abs(corners).max(axis=0)  # squares of these neither overflow nor vanish
    return near_one / np.linalg.norm(near_one, axis=0)


def _cosines(corners):
    """Cosines of corner 0 to the others, if all corners see the same ones."""
    directions = _directions(corners)
    seen = np.sort(directions.T @ directions, axis=-1)[:, :-1]
    if np.ptp(seen, axis=0).max(initial=0) > ALIKE:
        raise ValueError("the corners are not alike: they see the others under different angles")
    cosines = seen.mean(axis=0)
    return np.where(abs(cosines) < ALIKE, 0, cosines)


def _average(terms, cosines, s):
    """Average a sum of powers ``w (z + shift)₊^p`` over features of density s that see these cosines.

    Terms come as rows (shift, p, w), and so does the result, as arrays of these.
    """
    shift, p, weight = np.array(terms).T
    for c in cosines:
        part = weight * s / (c * (p + 1))
        shift = np.concatenate([shift, shift + c, shift])
        p = np.concatenate([p, p + 1, p + 1])
        weight = np.concatenate([(1 - s) * weight, part, -part])
        # Equal cosines lead to equal terms: one each, for fewer to add up.
        _, first, same = np.unique(np.round(shift, 9) + 1000 * p, return_index=True, return_inverse=True)
        shift, p, weight = shift[first], p[first], np.bincount(same, weight)
    return shift, p, weight


def _value(terms, z):
    """The sum of powers at each z."""
    shift, p, weight = terms
    return np.maximum(z[:, None] + shift, 0) ** p @ weight


def _lowest(products, square, low):
    """The least ``square - P²/Q`` over the cut t in [low, 1), on a grid, and on finer ones around its best point."""
    high = 1.0
    for _ in range(6):  # each fifty times finer
        t = np.linspace(low, high, 201)[:-1]
        P, Q = products(t)
        loss = np.maximum(square - np.maximum(P, 0) ** 2 / Q, 0)
        best = int(np.argmin(loss))
        low, high = t[max(best - 2, 0)], t[min(best + 2, len(t) - 1)]
    length_squared = P[best] / Q[best]
    return Optimum(float(loss[best]), float(np.sqrt(length_squared)), float(-t[best] * length_squared))
