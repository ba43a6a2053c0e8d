"""What to measure on W: where features lie, how much they share, how many there are.

W_i is column i of W, the direction of feature i in the hidden space, and Ŵ_i = W_i / |W_i|. A feature that is not
represented has W_i = 0 and no direction; every measure below is 0 for it, never NaN.

Weights may be of any size. Squares of numbers above 1e154 or below 1e-162 have no place in float64 (1e19 and 1e-23 in
float32), so each column is divided by a power of two first, which changes no digit. A result that has no place is an
error.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from minitms import _checks
from minitms.weights import single


def feature_norms(W: ArrayLike) -> np.ndarray:
    """Length |W_i| of each feature's direction: near 1 when it is represented, near 0 when it is not.

    Parameters
    ----------
    W : array of shape (..., m, n)

    Returns
    -------
    array of shape (..., n)

    Raises
    ------
    ValueError, TypeError
        If W has fewer than two axes, a NaN or infinity, is not real, or so large that the result overflows.

    Notes
    -----
    Elhage et al. (2022), section 2, "Feature representation".

    Examples
    --------
    >>> import minitms as tms
    >>> tms.feature_norms([[3.0, 0, 0], [4.0, 1, 0]])
    array([5., 1., 0.])
    """
    scaled, exponent = _scaled(W)
    return _fits("|W_i|", _ldexp(np.linalg.norm(scaled, axis=-2), exponent))


def interference(W: ArrayLike) -> np.ndarray:
    """How much the other features share feature i's direction: ``sum over j != i of (Ŵ_i · W_j)²``.

    Only W_i is normalised. 0 means that i has a dimension to itself; 1 means that as much lies along it from others
    as from a feature of unit length.

    Parameters
    ----------
    W : array of shape (..., m, n)

    Returns
    -------
    array of shape (..., n)

    Raises
    ------
    ValueError, TypeError
        As in `feature_norms`.

    Notes
    -----
    Elhage et al. (2022), section 2: the colour of the bars. (The authors' notebook colours by its square root.)

    Examples
    --------
    >>> import minitms as tms
    >>> tms.interference([[1.0, -1, 0]])  # a pair, and a feature that is not there
    array([1., 1., 0.])
    """
    overlap, exponent = _overlap(W)
    np.einsum("...ii->...i", overlap)[...] = 0  # leave out j = i
    overlap = _fits("Ŵ_i · W_j", _ldexp(overlap, exponent[..., None, :]))
    largest = _exponent(overlap, axis=-1)
    squares = _ldexp(overlap, -largest[..., None]) ** 2
    return _fits("the interference", _ldexp(squares.sum(axis=-1), 2 * largest))


def dimensionality(W: ArrayLike) -> np.ndarray:
    """Fraction of a hidden dimension that each feature has: ``D_i = |W_i|² / sum over j of (Ŵ_i · W_j)²``.

    1: a dimension of its own; 1/2: half of an antipodal pair; 2/5: one of a pentagon; 0: not represented.
    The sum of all D_i is at most the rank of W, with equality iff every W_i is an eigenvector of W Wᵀ; see `leverage`.

    Parameters
    ----------
    W : array of shape (..., m, n)

    Returns
    -------
    array of shape (..., n)

    Raises
    ------
    ValueError, TypeError
        As in `feature_norms`.

    Notes
    -----
    Elhage et al. (2022), section 4, "Feature dimensionality".

    Examples
    --------
    >>> import minitms as tms
    >>> tms.dimensionality([[1.0, -1, 0], [0.0, 0, 1]])  # a pair shares a dimension
    array([0.5, 0.5, 1. ])
    """
    overlap, exponent = _overlap(W)
    squares = np.linalg.norm(_scaled(W)[0], axis=-2) ** 2
    # Beside a feature that is larger by more than float64 can say, the share is 0.
    with np.errstate(over="ignore"):
        shared = (_ldexp(overlap, exponent[..., None, :] - exponent[..., :, None]) ** 2).sum(axis=-1)
    return np.divide(squares, shared, out=np.zeros_like(squares), where=shared > 0)


def features_learned(W: ArrayLike) -> np.ndarray:
    """``|W|²_F = sum over i of |W_i|²``: how many features are learned, as the paper counts them.

    A feature that is represented counts about 1, one that is not about 0, and one in between its share.

    Parameters
    ----------
    W : array of shape (..., m, n)

    Returns
    -------
    array of shape (...)

    Raises
    ------
    ValueError, TypeError
        As in `feature_norms`.

    Notes
    -----
    Elhage et al. (2022), section 4. `features_represented` counts those above a threshold.

    Examples
    --------
    >>> import minitms as tms
    >>> float(tms.features_learned([[1.0, -1, 0], [0.0, 0, 0.5]]))
    2.25
    """
    total, exponent = _squares(W)
    return _fits("|W|²_F", _ldexp(total, exponent))


def dimensions_per_feature(W: ArrayLike) -> np.ndarray:
    """``D* = m / |W|²_F``: hidden dimensions for each feature that is represented; 0 if none is.

    Parameters
    ----------
    W : array of shape (..., m, n)

    Returns
    -------
    array of shape (...)

    Raises
    ------
    ValueError, TypeError
        As in `feature_norms`.

    Notes
    -----
    Elhage et al. (2022), section 4. |W|²_F is what `features_learned` gives.

    Examples
    --------
    >>> import minitms as tms
    >>> float(tms.dimensions_per_feature([[1.0, -1, 0], [0.0, 0, 1]]))  # two dimensions, three features
    0.6666666666666666
    """
    total, exponent = _squares(W)
    per_feature = np.divide(np.shape(W)[-2], total, out=np.zeros_like(total), where=total > 0)
    result = _fits("m / |W|²_F", _ldexp(per_feature, -exponent))
    vanished = (result == 0) & (total > 0)  # 0 would say that no feature is represented
    return _fits("|W|²_F", np.where(vanished, np.inf, result))


def leverage(W: ArrayLike) -> np.ndarray:
    """Leverage score of each feature: ``h_i = W_iᵀ (W Wᵀ)⁺ W_i``, the most that its dimensionality D_i can be.

    The scores sum to the rank of W. They see only the space that the rows of W span: it is their projection's
    diagonal. With M = W Wᵀ and Cauchy's inequality

        |W_i|⁴ = [(M^½ W_i) · (M^-½ W_i)]² <= (W_iᵀ M W_i) (W_iᵀ M⁺ W_i)    so    D_i = |W_i|⁴ / (W_iᵀ M W_i) <= h_i

    with equality iff W_i is an eigenvector of M. So sum of D_i <= sum of h_i = rank: features cannot have more
    dimensions in all than there are.

    Parameters
    ----------
    W : array of shape (..., m, n)

    Returns
    -------
    array of shape (..., n)
        Singular values of W below (m + n) eps of the largest count as 0.

    Raises
    ------
    ValueError, TypeError
        As in `feature_norms`.

    Notes
    -----
    The bound by the leverage score is Fred Zhang's, in a comment to Elhage et al. (2022).

    Examples
    --------
    >>> import minitms as tms
    >>> tms.leverage([[1.0, -1, 0], [0.0, 0, 1]]).round(6)
    array([0.5, 0.5, 1. ])
    """
    W = _weights(W)
    scaled = _ldexp(W, -_exponent(W, axis=(-2, -1))[..., None, None])  # one factor for all: the scores do not change
    _, size, rows = np.linalg.svd(scaled, full_matrices=False)         # rows (..., min(m, n), n)
    least = sum(W.shape[-2:]) * np.finfo(W.dtype).eps * size.max(axis=-1, keepdims=True, initial=0)
    return (rows**2 * (size > least)[..., None]).sum(axis=-2)


def features_represented(W: ArrayLike, threshold: float = 0.5) -> np.ndarray:
    """Number of features whose norm |W_i| is above `threshold`.

    Parameters
    ----------
    W : array of shape (..., m, n)
    threshold : float

    Returns
    -------
    int array of shape (...)

    Raises
    ------
    ValueError, TypeError
        As in `feature_norms`.

    Notes
    -----
    A norm tells whether one feature is stored, where features have directions of their own. In dense data with equal
    importance they need not: the best linear model is any projection onto m dimensions, to which all n features
    contribute a little, so that no norm or more than m may be above the threshold. Count those by `features_learned`.

    Examples
    --------
    >>> import minitms as tms
    >>> int(tms.features_represented([[1.0, -1, 0.1], [0.0, 0, 0.2]]))
    2
    """
    return (feature_norms(W) > _checks.number("threshold", threshold)).sum(axis=-1)


def _squares(W):
    """|W|²_F / 2^e, and e; both of shape (...)."""
    W = _weights(W)
    largest = _exponent(W, axis=(-2, -1))
    return np.asarray((_ldexp(W, -largest[..., None, None]) ** 2).sum(axis=(-2, -1))), 2 * largest


def _overlap(W):
    """Ŵ_i · W_j / 2^e_j for all i, j, shape (..., n, n), and e, shape (..., n); row i is 0 where W_i = 0."""
    W, exponent = _scaled(W)
    norms = np.linalg.norm(W, axis=-2)[..., None, :]
    directions = np.divide(W, norms, out=np.zeros_like(W), where=norms > 0)
    return directions.mT @ W, exponent


def _scaled(W):
    """W with column i divided by 2^e_i, so that its largest entry is about 1; and e, shape (..., n)."""
    W = _weights(W)
    exponent = _exponent(W, axis=-2)
    return _ldexp(W, -exponent[..., None, :]), exponent


def _exponent(array, axis):
    """The power of two just above the largest absolute entry; that of 0 is 0."""
    return np.frexp(np.abs(array).max(axis=axis, initial=0))[1]


def _ldexp(array, exponent):
    """``array * 2**exponent``; too large becomes infinite without a warning, for `_fits` or the caller to see."""
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(array, exponent)


def _fits(what, array):
    """Return a result if it holds no infinity."""
    if np.isinf(array).any():
        hint = "W.astype(np.float64)" if array.dtype == np.float32 else "weights nearer to 1"
        raise ValueError(f"W is so far from 1 that {what} overflows in {array.dtype}; expected {hint}")
    return array


def _weights(W):
    W = _checks.finite("W", single("W", W))
    if W.ndim < 2:
        raise ValueError(f"W has shape {W.shape}; expected (..., m, n)")
    return W
