"""Hypothesis strategies for models, weights, biases, features and batches.

    import minitms as tms
    from hypothesis import given
    from minitms.testing import strategies

    @given(strategies.models(activation="relu"))
    def test_loss_is_not_negative(model):
        assert tms.loss(*model) >= 0

    @given(strategies.chains())
    def test_loss_of_any_model_of_the_paper_is_not_negative(chain):
        assert tms.loss(**chain._asdict()) >= 0

Every strategy takes keywords only. A size (n, m, batch) is an int, or a strategy of ints, or None for a small default;
`stack` is the shape of the leading axes, or a strategy such as `stacks()`. All else is given as it is: there a strategy
is refused. Everything is valid by construction: nothing is drawn and then thrown away. Numbers are bounded, so that no
sum overflows, and examples shrink towards few features, one example a batch, and numbers such as 0 and 1.

W = 0, b = 0 is the simplest model of all, and it sits exactly on the kink of the ReLU, where there is no gradient to
compare with. So `chains` and `models` move the encoder of a hidden ReLU, and then each bias, until every pre-activation
is at least `MARGIN` away from 0, unless asked for kinks. For a loss of your own `arrays` does the same: its kinks are
given, and no two entries are alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from minitms import _checks
from minitms._words import Activation
from minitms.features import SparseFeatures
from minitms.model import ACTIVATIONS
from minitms.testing._off_kinks import MARGIN, apart, away_from, each_kink
from minitms.weights import Weights, both

try:
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as hnp
except ImportError as error:
    raise ImportError(
        "minitms.testing.strategies needs Hypothesis, which is not installed: pip install hypothesis. "
        "(check_grad and the metamorphic checks work without it.)"
    ) from error

from minitms.testing._arguments import bound, checked, count, drawn, never_drawn, size, stack_shape, word_of

Size: TypeAlias = int | st.SearchStrategy[int] | None
Stack: TypeAlias = tuple[int, ...] | st.SearchStrategy[tuple[int, ...]]

MAX_FEATURES, MAX_HIDDEN, MAX_BATCH = 6, 4, 6
WEIGHT_BOUND, BIAS_BOUND, IMPORTANCE_BOUND = 2.0, 1.0, 2.0
TINY = 2.0**-20  # no number but 0 is smaller
TARGETS = ("x", "abs", "given")
# What `models` gives of all chains.
PLAIN: dict[str, Any] = {"hidden": "linear", "tied": True, "signed": False, "target": "x"}


class Model(NamedTuple):
    """A model with a batch: what `minitms.loss` and `minitms.backward` take, in their order, so ``loss(*model)``.

    Examples
    --------
    >>> import minitms as tms
    >>> from hypothesis import given, settings
    >>> from minitms.testing import strategies
    >>> @settings(max_examples=5)
    ... @given(strategies.models())
    ... def test(model):
    ...     assert tms.loss(*model).shape == ()
    >>> test()
    """

    W: np.ndarray           # (..., m, n)
    b: np.ndarray           # (..., n)
    x: np.ndarray           # (..., batch, n)
    importance: np.ndarray  # (..., n)
    activation: Activation

    def pre_activations(self, params: tuple[np.ndarray, np.ndarray] | None = None) -> np.ndarray:
        """``z = Wᵀ W x + b`` of shape (..., batch, n), whose zeros are the kinks, here or at other `params` (W, b).

        Linear models have no kink: theirs is an empty array.
        """
        W, b = (self.W, self.b) if params is None else params
        return _decode(W, _encode(W, self.x)) + b[..., None, :] if _checks.is_relu(self.activation) else np.empty(0)


class Chain(NamedTuple):
    """Any model of the paper with a batch: the arguments of `minitms.loss` by name, so ``loss(**chain._asdict())``.

    Its gradient is checked with

        check_grad(
            lambda params: tms.loss(**chain.at(params)._asdict()).sum(),
            lambda params: named(*tms.backward(**chain.at(params)._asdict())),
            chain.params,
            kinks=lambda params: chain.at(params).pre_activations(),
        )

    Examples
    --------
    >>> from minitms.testing import strategies
    >>> strategies.chains(tied=True)  # for Hypothesis's @given
    chains(tied=True)
    """

    W: np.ndarray | Weights     # (..., m, n), or a pair of such arrays
    b: np.ndarray               # (..., n)
    x: np.ndarray               # (..., batch, n)
    importance: np.ndarray      # (..., n)
    activation: Activation
    hidden: Activation
    target: np.ndarray | None   # (..., batch, n), or None for x

    @property
    def params(self) -> dict[str, np.ndarray]:
        """Weights and bias as `named` gives them."""
        return named(self.W, self.b)

    def at(self, params: dict[str, np.ndarray]) -> Chain:
        """The same chain at other `params`, a dict as `named` gives it."""
        W = params["W"] if "W" in params else Weights(params["encoder"], params["decoder"])
        return self._replace(W=W, b=params["b"])

    def pre_activations(self) -> dict[str, np.ndarray]:
        """The arrays whose zeros are the kinks, by name: a = x Eᵀ and z = h D + b, if a ReLU comes after them."""
        E, D = both(self.W)
        a = _encode(E, self.x)
        z = _decode(D, ACTIVATIONS[self.hidden](a)) + self.b[..., None, :]
        layers = ("a", a, self.hidden), ("z", z, self.activation)
        return {name: array for name, array, kind in layers if _checks.is_relu(kind)}


def named(W: np.ndarray | Weights, b: np.ndarray) -> dict[str, np.ndarray]:
    """Weights and bias, or the gradients by them, as a dict of arrays: W and b, or encoder, decoder and b.

    Examples
    --------
    >>> import numpy as np, minitms as tms
    >>> from minitms.testing import strategies
    >>> sorted(strategies.named(tms.Weights(np.eye(2), np.eye(2)), np.zeros(2)))
    ['b', 'decoder', 'encoder']
    """
    return {**(W._asdict() if isinstance(W, Weights) else {"W": W}), "b": b}


@checked(max_dims=count, max_side=size)
def stacks(*, max_dims: int = 2, max_side: int = 3) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes of a stack of models: ``()`` for one model, up to `max_dims` axes of 1 to `max_side` models each.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from minitms.testing import strategies
    >>> @settings(max_examples=5)
    ... @given(strategies.weights(n=5, m=2, stack=strategies.stacks()))
    ... def test(W):
    ...     assert W.shape[-2:] == (2, 5)
    >>> test()
    """
    return st.lists(st.integers(1, max_side), max_size=max_dims).map(tuple)


@checked(shape=never_drawn("an int or a tuple"), kinks=never_drawn("a sequence, such as (0.0,)"), ties=_checks.flag)
def arrays(
    *, shape: int | tuple[int, ...], kinks: Sequence[ArrayLike] | np.ndarray = (0.0,), ties: bool = False,
    bound: float = WEIGHT_BOUND,
) -> st.SearchStrategy[np.ndarray]:  # fmt: skip
    """Arrays at which a loss with known kinks has a gradient: nothing is drawn and then thrown away.

    Parameters
    ----------
    shape : tuple of ints, or an int
    kinks : sequence of numbers, or of arrays that broadcast to `shape`
        What no entry may be near: 0 for abs or ReLU. A parameter b that shifts pre-activations a + b, of shape
        (batch, n), has its kinks at ``-a``: one array for each example.
    ties : bool
        False: no two entries are near each other either, as the kinks of max and sort are where two are equal.
    bound : float
        Every entry lies in [-bound, bound].

    Returns
    -------
    strategy of float64 arrays
        Entries are at least `MARGIN` away from their kinks and from each other, or, where there is little room,
        ``bound / (2 (kinks + entries + 1))``.

    Raises
    ------
    ValueError, TypeError
        If shape, bound or kinks are not as described.

    Examples
    --------
    >>> from minitms.testing import strategies
    >>> points = strategies.arrays(shape=(2, 3), kinks=[-1.0, 1.0])  # for Huber's loss
    """
    shape = shape if isinstance(shape, tuple) else (shape,)
    shape = tuple(_checks.integer("an axis of shape", side, at_least=1) for side in shape)
    bound = _checks.number("bound", bound, above=0.0)
    kinks = each_kink(kinks, shape)
    return _array(shape, -bound, bound).map(lambda wanted: apart(wanted, kinks, ties, bound))


@checked(n=drawn(size), m=drawn(size), stack=drawn(stack_shape), bound=bound)
@st.composite
def weights(draw, *, n=None, m=None, stack=(), bound=WEIGHT_BOUND):
    """Weights W of shape (..., m, n), every entry in [-bound, bound]; about half of them have no entry near 0.

    Examples
    --------
    >>> from minitms.testing import strategies
    >>> strategies.weights(n=5, m=2)  # for Hypothesis's @given
    weights(n=5, m=2)
    """
    shape = (*_stack(draw, stack), _size(draw, "m", m, MAX_HIDDEN), _size(draw, "n", n, MAX_FEATURES))
    return draw(_near_zero_or_not(shape, bound))


@checked(n=drawn(size), stack=drawn(stack_shape), bound=bound)
@st.composite
def biases(draw, *, n=None, stack=(), bound=BIAS_BOUND):
    """Biases b of shape (..., n), every entry in [-bound, bound]; about half of them have no entry near 0.

    Examples
    --------
    >>> from minitms.testing import strategies
    >>> strategies.biases(n=5)  # for Hypothesis's @given
    biases(n=5)
    """
    return draw(_near_zero_or_not((*_stack(draw, stack), _size(draw, "n", n, MAX_FEATURES)), bound))


@checked(n=drawn(size), stack=drawn(stack_shape), bound=bound)
@st.composite
def importances(draw, *, n=None, stack=(), bound=IMPORTANCE_BOUND):
    """Importances I of shape (..., n), every entry in [0, bound]: they differ, since equal ones hide a missing I.

    Examples
    --------
    >>> from minitms.testing import strategies
    >>> strategies.importances(n=5)  # for Hypothesis's @given
    importances(n=5)
    """
    return draw(_array((*_stack(draw, stack), _size(draw, "n", n, MAX_FEATURES)), 0.0, bound))


@checked(n=drawn(size), batch=drawn(size), stack=drawn(stack_shape))
@st.composite
def batches(draw, *, n=None, batch=None, stack=()):
    """Batches x of shape (..., batch, n): each feature exactly 0, or in [TINY, 1).

    Examples
    --------
    >>> from minitms.testing import strategies
    >>> strategies.batches(n=5, batch=3)  # for Hypothesis's @given
    batches(n=5, batch=3)
    """
    shape = (*_stack(draw, stack), _size(draw, "batch", batch, MAX_BATCH), _size(draw, "n", n, MAX_FEATURES))
    value = st.floats(0, 1, exclude_max=True, allow_subnormal=False).map(_zero_if_tiny)
    return draw(hnp.arrays(np.float64, shape, elements=st.just(0.0) | value, fill=st.nothing()))


@checked(n=drawn(size), stack=drawn(stack_shape))
@st.composite
def features(draw, *, n=None, stack=()):
    """`minitms.SparseFeatures` with a density in [0, 1] and an importance for each feature of each model.

    Examples
    --------
    >>> from minitms.testing import strategies
    >>> strategies.features(n=5)  # for Hypothesis's @given
    features(n=5)
    """
    n, stack = _size(draw, "n", n, MAX_FEATURES), _stack(draw, stack)
    density = draw(_array((*stack, n), 0.0, 1.0))
    return SparseFeatures(n, density, draw(importances(n=n, stack=stack)))


@checked(
    n=drawn(size), m=drawn(size), batch=drawn(size), stack=drawn(stack_shape),
    activation=word_of(_checks.ACTIVATIONS), hidden=word_of(_checks.ACTIVATIONS), tied=word_of((True, False)),
    signed=word_of((True, False)), target=word_of(TARGETS), kinks=_checks.flag,
)  # fmt: skip
@st.composite
def chains(
    draw, *, n=None, m=None, batch=None, stack=(), activation=None, hidden=None, tied=None, signed=None, target=None,
    kinks=False,
):  # fmt: skip
    """A `Chain` of fitting shapes: one of the eight models of `minitms.model`, with any kind of data and target.

    Parameters
    ----------
    n, m, batch : int, strategy of ints, or None for a small size
    stack : shape of the leading axes, or a strategy of shapes; one model by default
    activation, hidden : "relu", "linear", or None for either
    tied : bool, or None for either
    signed : bool, or None for either
        False: x as in `batches`. True: values in (-1, 1), of one sign a feature times one sign an example.
    target : "x", "abs" for |x|, "given" for numbers in [-1, 1] that have nothing to do with x, or None for any of them
    kinks : bool
        False: every pre-activation before a ReLU is away from 0, so the gradient exists: z by `MARGIN`, and a by
        `MARGIN` times the sum of the example's |x_i| (with more than 8 examples a batch, by 8 / batch of that). An
        example without any feature has a = 0, and no encoder changes that. True: in every model and every layer before
        a ReLU, at least one pre-activation is exactly 0. A linear layer has no kink, so there it makes no difference.

    Raises
    ------
    ValueError, TypeError
        If a size is not a whole number of at least 1, a word is unknown, or something else than a size or stack is
        given as a strategy.

    Examples
    --------
    >>> import minitms as tms
    >>> from hypothesis import given, settings
    >>> from minitms.testing import strategies
    >>> @settings(max_examples=5)
    ... @given(strategies.chains(hidden="relu", tied=False))
    ... def test(chain):
    ...     assert tms.loss(**chain._asdict()) >= 0
    >>> test()
    """
    n, m = _size(draw, "n", n, MAX_FEATURES), _size(draw, "m", m, MAX_HIDDEN)
    batch, stack = _size(draw, "batch", batch, MAX_BATCH), _stack(draw, stack)
    activation = _choice(draw, "activation", activation, _checks.ACTIVATIONS)
    hidden = _choice(draw, "hidden", hidden, _checks.ACTIVATIONS)
    tied, signed = (_choice(draw, *word, (True, False)) for word in (("tied", tied), ("signed", signed)))
    target = _choice(draw, "target", target, TARGETS)
    margin = MARGIN * min(1, 8 / batch)

    E, x = draw(weights(n=n, m=m, stack=stack)), draw(batches(n=n, batch=batch, stack=stack))
    D = E if tied else draw(weights(n=n, m=m, stack=stack))
    b, importance = draw(biases(n=n, stack=stack)), draw(importances(n=n, stack=stack))
    sign = draw(_signs((*stack, n))) if signed else np.ones((*stack, n))
    if signed:
        x *= draw(_signs((*stack, batch)))[..., :, None] * sign[..., None, :]

    if _checks.is_relu(hidden, "hidden") and kinks:  # one example has one feature, and one neuron does not read it
        example, feature, neuron = (draw(st.integers(0, size - 1)) for size in (batch, n, m))
        x[..., example, np.arange(n) != feature] = 0.0
        E[..., neuron, feature] = 0.0
    elif _checks.is_relu(hidden, "hidden"):
        E += _shift_off_kinks(E, x, sign, margin)  # tied, D is E
    decoded = _decode(D, ACTIVATIONS[hidden](_encode(E, x)))
    if _checks.is_relu(activation) and kinks:
        example, feature = draw(st.integers(0, batch - 1)), draw(st.integers(0, n - 1))
        b[..., feature] = -decoded[..., example, feature]
    elif _checks.is_relu(activation):
        b = away_from(-decoded, b, margin)
    t = None
    if target != "x":
        t = abs(x) if target == "abs" else draw(_array(x.shape, -1.0, 1.0))
    return Chain(E if tied else Weights(E, D), b, x, importance, activation, hidden, t)


@checked()
def models(
    *, n: Size = None, m: Size = None, batch: Size = None, stack: Stack = (), activation: Activation | None = None,
    kinks: bool = False,
) -> st.SearchStrategy[Model]:  # fmt: skip
    """A `Model` (W, b, x, importance, activation): a `Chain` of the plain kind, hidden linear, tied, x its own target.

    Parameters
    ----------
    n, m, batch, stack, activation, kinks
        As in `chains`.

    Examples
    --------
    >>> import minitms as tms
    >>> from hypothesis import given, settings
    >>> from minitms.testing import check_grad, strategies
    >>> @settings(max_examples=5)
    ... @given(strategies.models(n=3, m=2, activation="relu"))
    ... def test(model):
    ...     def loss(W):
    ...         return tms.loss(W, *model[1:])
    ...     assert check_grad(loss, lambda W: tms.backward(W, *model[1:])[0], model.W)
    >>> test()
    """
    plain = chains(n=n, m=m, batch=batch, stack=stack, activation=activation, kinks=kinks, **PLAIN)
    return plain.map(lambda chain: Model(*chain[:5]))


# By the operations of `minitms.model` in their order, so that a zero here is one there.


def _encode(E, x):
    return x @ E.mT



def _decode(D, h):
    return h @ D


def _shift_off_kinks(E, x, sign, margin):
    """What to add to E, so that no neuron is at its kink: for each as much of the signs of the features as it takes.

    In that direction every example answers with sum_i ± |x_i|, so there is always a way out, and none that is far.
    """
    answer = (x * sign[..., None, :]).sum(axis=-1)[..., None]
    kinks = -_encode(E, x) / np.where(answer == 0, np.nan, answer)  # without any feature there is no way out, nor need
    return away_from(kinks, np.zeros(E.shape[:-1]), margin)[..., :, None] * sign[..., None, :]


def _signs(shape):
    return hnp.arrays(np.float64, shape, elements=st.sampled_from([1.0, -1.0]), fill=st.nothing())


def _near_zero_or_not(shape, bound):
    """At 0 an abs, a norm or a ReLU of the entry has its kink: such losses need draws without, others those with."""
    return st.booleans().flatmap(
        lambda away: arrays(shape=shape, ties=True, bound=bound) if away and bound else _array(shape, -bound, bound)
    )


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
    return size(name, draw(value) if isinstance(value, st.SearchStrategy) else value)


def _choice(draw, name, value, allowed):
    """One of the allowed words as given, or any of them."""
    return draw(st.sampled_from(allowed)) if value is None else _checks.choice(name, value, allowed)


def _stack(draw, stack):
    return stack_shape("stack", draw(stack) if isinstance(stack, st.SearchStrategy) else stack)
