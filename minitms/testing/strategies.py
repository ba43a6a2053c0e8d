"""Hypothesis strategies for models, weights, biases, features and batches.

    from hypothesis import given
    from minitms.testing import strategies

    @given(strategies.models(activation="relu"))
    def test_loss_is_not_negative(model):
        assert tms.loss(*model) >= 0

Every strategy takes keywords only. A size is an int, or a strategy of ints, or None for a small default; `stack` is
the shape of the leading axes, or a strategy such as `stacks()`. Everything is valid by construction: nothing is drawn
and then thrown away. Numbers are bounded, so that no sum overflows, and examples shrink towards few features, one
example a batch, and numbers such as 0 and 1.

W = 0, b = 0 is the simplest model of all, and it sits exactly on the kink of the ReLU, where there is no gradient to
compare with. So `models` moves each bias until every pre-activation is at least `MARGIN` away from 0, unless asked for
kinks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minitms import _checks
from minitms.features import SparseFeatures

try:
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as hnp
except ImportError as error:
    raise ImportError(
        "minitms.testing.strategies needs Hypothesis, which is not installed: pip install hypothesis. "
        "(check_grad and the metamorphic checks work without it.)"
    ) from error

MAX_FEATURES, MAX_HIDDEN, MAX_BATCH = 6, 4, 6
WEIGHT_BOUND, BIAS_BOUND, IMPORTANCE_BOUND = 2.0, 1.0, 2.0
MARGIN = 1 / 16
TINY = 2.0**-20  # no number but 0 is smaller


class Model(NamedTuple):
    """A model with a batch: what `minitms.loss` and `minitms.backward` take, in their order, so ``loss(*model)``."""

    W: np.ndarray           # (..., m, n)
    b: np.ndarray           # (..., n)
    x: np.ndarray           # (..., batch, n)
    importance: np.ndarray  # (..., n)
    activation: str

    def pre_activations(self, params=None):
        """``z = Wᵀ W x + b`` of shape (..., batch, n), whose zeros are the kinks, here or at other `params` (W, b).

        Linear models have no kink: theirs is an empty array.
        """
        W, b = (self.W, self.b) if params is None else params
        return _decoded(W, self.x) + b[..., None, :] if self.activation == "relu" else np.empty(0)


def stacks(*, max_dims=2, max_side=3):
    """Shapes of a stack of models: ``()`` for one model, up to `max_dims` axes of 1 to `max_side` models each."""
    return st.lists(st.integers(1, max_side), max_size=max_dims).map(tuple)


@st.composite
def weights(draw, *, n=None, m=None, stack=(), bound=WEIGHT_BOUND):
    """Weights W of shape (..., m, n), every entry in [-bound, bound]."""
    shape = (*_stack(draw, stack), _size(draw, "m", m, MAX_HIDDEN), _size(draw, "n", n, MAX_FEATURES))
    return draw(_array(shape, -bound, bound))


@st.composite
def biases(draw, *, n=None, stack=(), bound=BIAS_BOUND):
    """Biases b of shape (..., n), every entry in [-bound, bound]."""
    return draw(_array((*_stack(draw, stack), _size(draw, "n", n, MAX_FEATURES)), -bound, bound))


@st.composite
def importances(draw, *, n=None, stack=(), bound=IMPORTANCE_BOUND):
    """Importances I of shape (..., n), every entry in [0, bound]: they differ, since equal ones hide a missing I."""
    return draw(_array((*_stack(draw, stack), _size(draw, "n", n, MAX_FEATURES)), 0.0, bound))


@st.composite
def batches(draw, *, n=None, batch=None, stack=()):
    """Batches x of shape (..., batch, n): each feature exactly 0, or in [0, 1)."""
    shape = (*_stack(draw, stack), _size(draw, "batch", batch, MAX_BATCH), _size(draw, "n", n, MAX_FEATURES))
    value = st.floats(0, 1, exclude_max=True, allow_subnormal=False)
    return draw(hnp.arrays(np.float64, shape, elements=st.just(0.0) | value, fill=st.nothing()))


@st.composite
def features(draw, *, n=None, stack=()):
    """`minitms.SparseFeatures` with a density in [0, 1] and an importance for each feature of each model."""
    n, stack = _size(draw, "n", n, MAX_FEATURES), _stack(draw, stack)
    density = draw(_array((*stack, n), 0.0, 1.0))
    return SparseFeatures(n, density, draw(importances(n=n, stack=stack)))


@st.composite
def models(draw, *, n=None, m=None, batch=None, stack=(), activation=None, kinks=False):
    """A `Model` (W, b, x, importance, activation) of fitting shapes.

    Parameters
    ----------
    n, m, batch : int, strategy of ints, or None for a small size
    stack : shape of the leading axes, or a strategy of shapes; one model by default
    activation : "relu", "linear", or None for either
    kinks : bool
        False: every pre-activation z is away from 0, so the gradient exists (by `MARGIN` up to 8 examples a batch;
        with more, by ``8 MARGIN / batch``). True: in every model at least one z is exactly 0.
        A linear model has no kink, so there it makes no difference.

    Raises
    ------
    ValueError, TypeError
        If a size is not a whole number of at least 1, or the activation is unknown.
    """
    n, m = _size(draw, "n", n, MAX_FEATURES), _size(draw, "m", m, MAX_HIDDEN)
    batch, stack = _size(draw, "batch", batch, MAX_BATCH), _stack(draw, stack)
    if activation is None:
        activation = draw(st.sampled_from(_checks.ACTIVATIONS))
    _checks.choice("activation", activation, _checks.ACTIVATIONS)
    W, x = draw(weights(n=n, m=m, stack=stack)), draw(batches(n=n, batch=batch, stack=stack))
    b, importance = draw(biases(n=n, stack=stack)), draw(importances(n=n, stack=stack))
    if activation == "relu" and kinks:
        row, feature = draw(st.integers(0, batch - 1)), draw(st.integers(0, n - 1))
        b[..., feature] = -_decoded(W, x)[..., row, feature]
    elif activation == "relu":
        b = _away_from(-_decoded(W, x), b, MARGIN * min(1, 8 / batch))
    return Model(W, b, x, importance, activation)


def _decoded(W, x):
    """``Wᵀ W x`` for every row of x, by the operations of `minitms.model` in their order: a zero here is one there."""
    return (x @ W.mT) @ W


def _away_from(kinks, b, margin):
    """The numbers nearest to b (..., n) that are at least `margin` away from all kinks (..., batch, n).

    b itself will do, or else one of the ends kink ± 2 margin: the outermost is always free.
    """
    ends = 2 * margin  # clear of rounding, and b = 0 becomes a readable 1/8
    candidates = np.concatenate([b[..., None, :], kinks + ends, kinks - ends], axis=-2)
    free = (np.abs(candidates[..., :, None, :] - kinks[..., None, :, :]) >= margin).all(axis=-2)
    distance = np.where(free, np.abs(candidates - b[..., None, :]), np.inf)
    nearest = distance.argmin(axis=-2)[..., None, :]
    return np.take_along_axis(candidates, nearest, axis=-2)[..., 0, :]


def _array(shape, low, high):
    """Arrays whose entries are drawn one by one: a shared filling would make columns equal, which hides mistakes."""
    elements = st.floats(low, high, allow_subnormal=False).map(_zero_if_tiny)
    return hnp.arrays(np.float64, shape, elements=elements, fill=st.nothing())


def _zero_if_tiny(value):
    """Products of numbers such as 1e-200 underflow to 0, and with them every slope."""
    return value if abs(value) >= TINY else 0.0


def _size(draw, name, value, largest):
    """An int as given, or drawn: from a given strategy, or from 1 to `largest`."""
    if value is None:
        value = st.integers(1, largest)
    return _checks.integer(name, draw(value) if isinstance(value, st.SearchStrategy) else value, at_least=1)


def _stack(draw, stack):
    sides = draw(stack) if isinstance(stack, st.SearchStrategy) else stack
    if not isinstance(sides, tuple):
        raise TypeError(f"stack is {sides!r}; expected a shape such as (), (3,) or (2, 3), or a strategy of shapes")
    return tuple(_checks.integer("an axis of stack", side, at_least=1) for side in sides)
