"""Which polytope do features form? Clusters of features that are not orthogonal, named by their Gram matrix.

In superposition the features of a model fall into clusters: within one they share its dimensions, between two they are
orthogonal. Draw a graph with an edge where |W_i · W_j| is above a threshold; a cluster is a connected component of it.
The corners of a cluster, up to rotation and reflection, are what its Gram matrix says: the products W_i · W_j.

    name                corners k   dimensions d   D_i = d/k   cosines to the other corners
    single                  1            1            1        -
    tetrahedron             4            3           3/4       -1/3 (3 times)
    triangle                3            2           2/3       -1/2 (twice)
    digon                   2            1           1/2       -1
    pentagon                5            2           2/5       cos 72° = 0.31, cos 144° = -0.81 (twice each)
    square antiprism        8            3           3/8       1/3 and (√2 - 1)/3 = 0.14, (-√2 - 1)/3 = -0.80 (twice
                                                               each), -1/3
    other                   anything else

The antiprism is the one of height 1/√3, two squares turned by 45°: the only height at which every corner is an
eigenvector of W Wᵀ, so that D_i = 3/8. An octahedron has no row: its three axes are orthogonal, so it is three digons.
In the same way a triangular bipyramid is a triangle and a digon (the paper's "tegum product").

Source: Elhage et al., Toy Models of Superposition (2022), section 4, "The Geometry of Superposition".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from minitms import _checks
from minitms.geometry import feature_norms

OTHER, NONE = "other", ""  # the names of a cluster that is no such polytope, and of a feature that is not represented


def polygon(k: int) -> np.ndarray:
    """Corners of the regular k-gon on the unit circle; k = 2 is two opposite points.

    Parameters
    ----------
    k : int, at least 2

    Returns
    -------
    corners : array of shape (2, k)

    Raises
    ------
    ValueError, TypeError
        If k is no whole number of at least 2.
    """
    angle = 2 * np.pi * np.arange(_checks.integer("k", k, at_least=2)) / k
    return np.array([np.cos(angle), np.sin(angle)])


def _antiprism():
    """Two squares of unit vectors at heights ±1/√3, one turned by 45° against the other."""
    angle = np.pi / 4 * np.arange(8)
    return np.array([np.sqrt(2) * np.cos(angle), np.sqrt(2) * np.sin(angle), (-1.0) ** np.arange(8)]) / np.sqrt(3)


# Corners of unit length as columns, (d, k), from the largest share of a dimension to the smallest.
POLYTOPES = {
    "single": np.array([[1.0]]),
    "tetrahedron": np.array([[1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]) / np.sqrt(3),
    "triangle": polygon(3),
    "digon": np.array([[1.0, -1.0]]),
    "pentagon": polygon(5),
    "square antiprism": _antiprism(),
}


def feature_clusters(W: ArrayLike, threshold: float = 0.2, represented: float = 0.5) -> np.ndarray:
    """The cluster of each feature: the connected components of the graph with edges where |W_i · W_j| > threshold.

    A feature with |W_i| at most `represented` is no part of the graph.

    Parameters
    ----------
    W : array of shape (..., m, n)
    threshold : float, at least 0
        0.2 lies below the smallest product that holds a polytope of unit vectors together, 1/3 of the tetrahedron.
    represented : float, at least 0

    Returns
    -------
    labels : int array of shape (..., n)
        The lowest index of a feature in the same cluster; -1 for a feature that is not represented.

    Raises
    ------
    ValueError, TypeError
        As in `minitms.feature_norms`; or if a threshold is below 0 or no number.

    Notes
    -----
    Elhage et al. (2022), section 4, "The Geometry of Superposition", draw this graph with weighted edges.

    Examples
    --------
    Two pentagons in two dimensions each, and a feature that is not learned:

    >>> import numpy as np, minitms as tms
    >>> from minitms.polytopes import polygon
    >>> W = np.zeros((4, 11))
    >>> W[:2, :5], W[2:, 5:10] = polygon(5), polygon(5)
    >>> tms.feature_clusters(W)
    array([ 0,  0,  0,  0,  0,  5,  5,  5,  5,  5, -1])
    """
    threshold = _checks.number("threshold", threshold, at_least=0)
    norms, cosines = _shape(W)
    kept = norms > _checks.number("represented", represented, at_least=0)
    with np.errstate(over="ignore", under="ignore"):  # infinite is above the threshold, vanished below it
        products = abs(cosines * norms[..., :, None] * norms[..., None, :])
    reach = (products > threshold) & kept[..., None, :] | np.eye(norms.shape[-1], dtype=bool)
    before = None
    while before is None or (reach != before).any():  # along paths of 1, 2, 4, ... edges
        before, steps = reach, reach.astype(np.float32)
        reach = steps @ steps > 0
    return np.where(kept, reach.argmax(axis=-1) if reach.size else 0, -1)


def polytope(W: ArrayLike, tolerance: float = 0.1) -> str:
    """Name the polytope whose corners are the columns of W, whatever their order, rotation and common length.

    It has the name if the columns can be put in an order in which every entry of ``W_i · W_j / (mean of |W_i|²)`` is
    within `tolerance` of that of the named corners. 0.1 allows an angle of a digon to be 26° off, that of a pentagon
    6°, and a length 5 %. (No two names have the same number of corners; a hexagon, a square, a cube, columns that
    appear twice, and a polytope with a corner less or more are "other".)

    Parameters
    ----------
    W : array of shape (m, k)
        The features of one cluster. A column of zeros is no corner of any polytope: then the answer is "other".
    tolerance : float, at least 0

    Returns
    -------
    name : "single", "tetrahedron", "triangle", "digon", "pentagon", "square antiprism" or "other"

    Raises
    ------
    ValueError, TypeError
        If W is not of two axes, has no columns, or holds a NaN or infinity; or the tolerance is below 0 or no number.

    Notes
    -----
    The names are those of Elhage et al. (2022), section 4.

    Examples
    --------
    >>> import minitms as tms
    >>> tms.polytope([[0.0, 1.9, -1.9], [2.2, -1.1, -1.1]])
    'triangle'
    """
    tolerance = _checks.number("tolerance", tolerance, at_least=0)
    norms, cosines = _shape(W)
    if norms.ndim != 1 or norms.size == 0:
        raise ValueError(f"W has shape {np.shape(W)}; expected (m, k), the k features of one cluster, at least one")
    lengths = norms / norms.max() if norms.all() else np.zeros_like(norms)
    if not lengths.all():  # also one so short beside the longest that it has no place
        return OTHER
    gram = cosines * np.outer(lengths, lengths) / np.mean(lengths**2)
    for name, corners in POLYTOPES.items():
        if corners.shape[1] == len(gram) and _matches(gram, corners.T @ corners, tolerance):
            return name
    return OTHER


def feature_polytopes(
    W: ArrayLike, threshold: float = 0.2, represented: float = 0.5, tolerance: float = 0.1
) -> np.ndarray:
    """The name of the polytope that each feature is a corner of: `feature_clusters`, each named by `polytope`.

    Parameters
    ----------
    W : array of shape (..., m, n)
    threshold, represented : float
        Of `feature_clusters`.
    tolerance : float
        Of `polytope`.

    Returns
    -------
    names : array of str, of shape (..., n)
        "" for a feature that is not represented.

    Raises
    ------
    ValueError, TypeError
        As in `feature_clusters` and `polytope`.

    Notes
    -----
    Elhage et al. (2022), section 4.

    Examples
    --------
    >>> import numpy as np, minitms as tms
    >>> tms.feature_polytopes([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]).tolist()
    ['digon', 'digon', 'single', '']
    """
    tolerance = _checks.number("tolerance", tolerance, at_least=0)
    labels = feature_clusters(W, threshold, represented)
    W = np.asarray(W)
    names = np.full(labels.shape, NONE, dtype=f"<U{max(map(len, POLYTOPES))}")
    for model in np.ndindex(labels.shape[:-1]):
        for label in np.unique(labels[model][labels[model] >= 0]):
            cluster = labels[model] == label
            names[model][cluster] = polytope(W[model][:, cluster], tolerance)
    return names


def _shape(W):
    """Lengths |W_i|, (..., n), and cosines Ŵ_i · Ŵ_j, (..., n, n), 0 where a length is; no square can overflow."""
    norms = feature_norms(W)
    directions = np.divide(W, norms[..., None, :], out=np.zeros(np.shape(W)), where=norms[..., None, :] > 0)
    return norms, directions.mT @ directions


def _matches(gram, model, tolerance, order=()):
    """Whether corners can follow those of the model in some order; `order` holds the columns taken for the first ones.

    One corner after the other is given a column that fits to all before it, and taken back where none fits the next.
    """
    placed = len(order)
    if placed == len(model):
        return True
    for column in set(range(len(gram))) - set(order):
        taken = [*order, column]
        fits = abs(gram[column, taken] - model[placed, : placed + 1]) <= tolerance
        if fits.all() and _matches(gram, model, tolerance, taken):
            return True
    return False
