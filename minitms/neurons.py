"""Which features a neuron stands for: a hidden ReLU makes hidden dimensions neurons, and their axes a privileged basis.

Row k of W belongs to neuron k: W_ki is what it reads from feature i (of untied weights, give the encoder). Neuron and
feature are *connected* where |W_ki| is above a threshold times the largest weight of the neuron. The comparison is
within the neuron, since the scale of an untied one is arbitrary: c times what it reads, 1/c times what it writes, is
the same model.

    monosemantic    a neuron connected to one feature
    polysemantic    a neuron connected to several
    block           neurons and features that are connected, directly or through others, and to nothing else

A neuron that reads features which are never below 0 is turned on by positive weights alone; W may hold long negative
ones beside them, which turn it off. ``np.maximum(W, 0)`` in place of W counts the features that turn a neuron on.

The counts hold for rotated weights of a linear hidden layer too, but mean nothing there: only with a nonlinear hidden
layer is a rotated W another model.

Source: Elhage et al., Toy Models of Superposition (2022), section 7, "Superposition in a Privileged Basis".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from minitms import _checks
from minitms.weights import single

THRESHOLD = 0.3


class Block(NamedTuple):
    """Neurons and features that are connected to one another and to nothing else, both in rising order."""

    neurons: tuple[int, ...]
    features: tuple[int, ...]


def features_per_neuron(W: ArrayLike, threshold: float = THRESHOLD) -> np.ndarray:
    """How many features each neuron is connected to: those with ``|W_ki| > threshold * max over j of |W_kj|``.

    1: monosemantic; 2 or more: polysemantic; 0: all its weights are 0.

    Parameters
    ----------
    W : array of shape (..., m, n)
    threshold : float, at least 0 and below 1

    Returns
    -------
    int array of shape (..., m)

    Raises
    ------
    ValueError, TypeError
        If W has fewer than two axes, a NaN or infinity, is not real, or is a pair; or the threshold is not in [0, 1).

    Notes
    -----
    Elhage et al. (2022), section 7, show the weights as stacked bars, one a neuron, and count by eye.

    Examples
    --------
    >>> import minitms as tms
    >>> tms.features_per_neuron([[0.0, 0.2, 4.0], [1.0, -0.9, 0.0]])
    array([1, 2])
    """
    return connected(W, threshold).sum(axis=-1)


def neurons_per_feature(W: ArrayLike, threshold: float = THRESHOLD) -> np.ndarray:
    """How many neurons each feature is connected to, in the sense of `features_per_neuron`; 0 if it is not kept.

    Parameters
    ----------
    W : array of shape (..., m, n)
    threshold : float, at least 0 and below 1

    Returns
    -------
    int array of shape (..., n)

    Raises
    ------
    ValueError, TypeError
        As in `features_per_neuron`.

    Notes
    -----
    Elhage et al. (2022), section 7: with sparse features each is held by a pair of neurons.

    Examples
    --------
    >>> import minitms as tms
    >>> tms.neurons_per_feature([[0.0, 0.2, 4.0], [0.5, -0.6, 3.0]])
    array([0, 0, 2])
    """
    return connected(W, threshold).sum(axis=-2)


def neuron_blocks(W: ArrayLike, threshold: float = THRESHOLD) -> list[Block]:
    """The blocks of one model: connected components of the graph of neurons and features.

    A neuron without features, and a feature without neurons, are in no block. A model whose blocks are all one neuron
    with one feature is monosemantic.

    Parameters
    ----------
    W : array of shape (m, n)
    threshold : float, at least 0 and below 1

    Returns
    -------
    list of Block (neurons, features)
        In the order of their first neurons.

    Raises
    ------
    ValueError, TypeError
        As in `features_per_neuron`, or if W is a stack of models.

    Notes
    -----
    Elhage et al. (2022), section 7. `minitms.feature_clusters` is the same for features whose directions are not
    orthogonal, whatever the basis.

    Examples
    --------
    A neuron with a feature of its own, and three features in two neurons:

    >>> import minitms as tms
    >>> tms.neuron_blocks([[1, 0, 0, 0], [0, 1, -1, 1], [0, -1, 1, 1]])
    [Block(neurons=(0,), features=(0,)), Block(neurons=(1, 2), features=(1, 2, 3))]
    """
    edges = connected(W, threshold)
    if edges.ndim != 2:
        raise ValueError(f"W has shape {edges.shape}; expected one model (m, n): neuron_blocks(W[0])")
    blocks, left = [], edges.any(axis=1)
    while left.any():
        neurons, before = np.arange(len(left)) == left.argmax(), None
        while before is None or (neurons != before).any():
            features, before = edges[neurons].any(axis=0), neurons
            neurons = edges[:, features].any(axis=1)
        blocks.append(Block(*(tuple(np.flatnonzero(part).tolist()) for part in (neurons, features))))
        left &= ~neurons
    return blocks


def connected(W, threshold):
    """Whether neuron k is connected to feature i, (..., m, n)."""
    W = _checks.finite("W", single("W", W))
    if W.ndim < 2:
        raise ValueError(f"W has shape {W.shape}; expected (..., m, n)")
    threshold = _checks.number("threshold", threshold, at_least=0)
    if threshold >= 1:
        raise ValueError(f"threshold is {threshold:g}; expected a share of the neuron's largest weight, below 1")
    size = np.abs(W)
    largest = size.max(axis=-1, keepdims=True, initial=0)
    return np.divide(size, largest, out=np.zeros_like(size), where=largest > 0) > threshold


def by_feature(W):
    """The neurons in the order of the features that they read most of, for a picture of one model."""
    return np.argsort(W.argmax(axis=1), kind="stable")
