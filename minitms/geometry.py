"""What to measure on W: where features lie, how much they share, how many there are.

W_i is column i of W, the direction of feature i in the hidden space, and Ŵ_i = W_i / |W_i|. A feature that is not
represented has W_i = 0 and no direction; every measure below is 0 for it, never NaN.
"""

from __future__ import annotations

import numpy as np

from minitms import _checks


def feature_norms(W):
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
        If W has fewer than two axes, a NaN or infinity, or is not real.

    Notes
    -----
    Elhage et al. (2022), section 2, "Feature representation".
    """
    return np.linalg.norm(_weights(W), axis=-2)


def interference(W):
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
    """
    overlap = _overlap(W)
    np.einsum("...ii->...i", overlap)[...] = 0  # leave out j = i
    return (overlap**2).sum(axis=-1)


def dimensionality(W):
    """Fraction of a hidden dimension that each feature has: ``D_i = |W_i|² / sum over j of (Ŵ_i · W_j)²``.

    1: a dimension of its own; 1/2: half of an antipodal pair; 2/5: one of a pentagon; 0: not represented.
    The sum of all D_i is at most the rank of W, with equality iff every W_i is an eigenvector of W Wᵀ.

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
    """
    squares = feature_norms(W) ** 2
    shared = (_overlap(W) ** 2).sum(axis=-1)
    return np.divide(squares, shared, out=np.zeros_like(squares), where=shared > 0)


def dimensions_per_feature(W):
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
    Elhage et al. (2022), section 4. |W|²_F, the sum of all |W_i|², counts the features represented.
    """
    W = _weights(W)
    total = np.asarray((W**2).sum(axis=(-2, -1)))
    return np.divide(W.shape[-2], total, out=np.zeros_like(total), where=total > 0)


def features_represented(W, threshold=0.5):
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
    """
    return (feature_norms(W) > _checks.number("threshold", threshold)).sum(axis=-1)


def _overlap(W):
    """Ŵ_i · W_j for all i, j, shape (..., n, n); row i is 0 where W_i = 0."""
    W = _weights(W)
    norms = np.linalg.norm(W, axis=-2)[..., None, :]
    directions = np.divide(W, norms, out=np.zeros_like(W), where=norms > 0)
    return directions.mT @ W


def _weights(W):
    W = _checks.finite("W", _checks.real_array("W", W))
    if W.ndim < 2:
        raise ValueError(f"W has shape {W.shape}; expected (..., m, n)")
    return W
