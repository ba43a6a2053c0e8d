"""Metamorphic checks: what must happen to loss and gradient when the problem changes in a way of known effect.

They need no finite differences and no second implementation, work in float32 as in float64, and see what a gradient
check cannot: a mistake that loss and gradient share. Each takes the user's own function

    loss_and_gradients(W, b, x, importance)  ->  L, dW, db       W (m, n), b (n,), x (batch, n), importance (n,)

for one model (`check_stacking` also calls it for a stack), and raises `MetamorphicError`, an `AssertionError` that
names the property, the result and its worst entry. L is a mean over the batch, as in `minitms.loss`. Untied weights go
in as a pair W = (encoder, decoder), and dW comes out as one. With `target` (batch, n) the function gets the target as
its fifth argument.

    permutation, neurons, importance_scaling, batch_additivity, stacking     hold for every model
    rotation                                                                 ... with a linear hidden layer
    rescaling                                                                ... with untied weights
    tying                                                                    compares the two forms of W

Equal is: to within what rounding does in the coarsest dtype among those given and returned. Input of wrong shapes or
not finite is refused with a `ValueError` before the first call, and so is an option without effect, such as a factor of
1. Equal entries and zeros hide mistakes, so give numbers that differ.

At a kink of an activation, rounding decides on which side an example falls, so stay away from pre-activations of 0 (the
models of `minitms.testing.strategies` do).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from minitms import _checks
from minitms._words import Activation
from minitms.testing._params import as_numbers, what
from minitms.testing.errors import MetamorphicError
from minitms.weights import Weights, WeightsLike, both, checked, each

__tracebackhide__ = True  # pytest then shows the user's code, not ours

LossAndGradients = Callable[..., tuple[Any, Any, Any]]


class _Problem(NamedTuple):
    """What goes into the user's function."""

    W: np.ndarray | Weights
    b: np.ndarray
    x: np.ndarray
    importance: np.ndarray
    target: np.ndarray | None

    def arguments(self):
        """Copies: the function may not spoil ours. In C order, which compiled code may count on."""
        return [each(lambda part: np.array(part, order="C"), array) for array in self if array is not None]

    def dtypes(self):
        """Of all that is given."""
        return [array.dtype for array in (*both(self.W), *self[1:]) if array is not None]

    def silent(self):
        """The largest loss of models that answer 0: the size of what cancels, y against t, where a model is good."""
        t = self.x if self.target is None else self.target
        return np.abs(self.importance[..., None, :] * t.astype(np.float64) ** 2).sum(axis=-1).mean(axis=-1).max()

    def with_examples(self, function):
        """The same with a function of each array that has a row an example."""
        return self._replace(x=function(self.x), target=None if self.target is None else function(self.target))


def check_permutation(
    loss_and_gradients: LossAndGradients, W: WeightsLike, b: ArrayLike, x: ArrayLike, importance: ArrayLike, *,
    target: ArrayLike | None = None, seed: int = 0,
) -> None:  # fmt: skip
    """Features have no order: permuting the columns of W, b, x and importance permutes dW and db, and keeps L.

    One feature has nowhere to go: then this only calls the function twice.

    Examples
    --------
    >>> import numpy as np, minitms as tms
    >>> from minitms.testing import metamorphic
    >>> W, b, x = np.array([[1.0, -0.5, 0.3], [0.2, 0.8, -0.6]]), np.array([0.1, -0.2, 0.3]), np.eye(3) + 0.1
    >>> metamorphic.check_permutation(tms.loss_and_gradients, W, b, x, [1.0, 2.0, 3.0])
    """
    problem = _inputs(loss_and_gradients, W, b, x, importance, target)
    order = _cycle(len(problem.b), seed)

    def permuted(array):
        return array[..., order]

    L, dW, db = _call(loss_and_gradients, problem)
    moved = problem._replace(W=each(permuted, problem.W), b=problem.b[order], importance=problem.importance[order])
    got = _call(loss_and_gradients, moved.with_examples(permuted))
    expected = L, each(permuted, dW), db[order]
    _compare("permuting the features permutes the gradients and keeps the loss", problem, got, expected)


def check_neurons(
    loss_and_gradients: LossAndGradients, W: WeightsLike, b: ArrayLike, x: ArrayLike, importance: ArrayLike, *,
    target: ArrayLike | None = None, seed: int = 0,
) -> None:  # fmt: skip
    """Neurons have no order: permuting the rows of W (of both, in a pair) permutes those of dW, and keeps L and db.

    One neuron has nowhere to go: then this only calls the function twice.

    Examples
    --------
    >>> import numpy as np, minitms as tms
    >>> from minitms.testing import metamorphic
    >>> W, b, x = np.array([[1.0, -0.5, 0.3], [0.2, 0.8, -0.6]]), np.array([0.1, -0.2, 0.3]), np.eye(3) + 0.1
    >>> metamorphic.check_neurons(tms.loss_and_gradients, W, b, x, [1.0, 2.0, 3.0])
    """
    problem = _inputs(loss_and_gradients, W, b, x, importance, target)
    order = _cycle(len(both(problem.W)[0]), seed)
    what = "permuting the neurons permutes the rows of dW and keeps the loss and db"
    _check_hidden(loss_and_gradients, problem, lambda array: array[order], what)


def check_rotation(
    loss_and_gradients: LossAndGradients, W: WeightsLike, b: ArrayLike, x: ArrayLike, importance: ArrayLike, *,
    target: ArrayLike | None = None, seed: int = 0,
) -> None:  # fmt: skip
    """The hidden space has no axes: with an orthogonal Q, W -> Q W keeps L and db, and takes dW to Q dW.

    Holds for a linear hidden layer, where W enters as WᵀW only (untied, as DᵀE: E and D turn together).

    Examples
    --------
    >>> import numpy as np, minitms as tms
    >>> from minitms.testing import metamorphic
    >>> W, b, x = np.array([[1.0, -0.5, 0.3], [0.2, 0.8, -0.6]]), np.array([0.1, -0.2, 0.3]), np.eye(3) + 0.1
    >>> metamorphic.check_rotation(tms.loss_and_gradients, W, b, x, [1.0, 2.0, 3.0])
    """
    problem = _inputs(loss_and_gradients, W, b, x, importance, target)
    m = len(both(problem.W)[0])
    Q, _ = np.linalg.qr(np.random.default_rng(_checks.seed(seed)).normal(size=(m, m)))
    what = "rotating the hidden space rotates dW and keeps the loss and db"
    # Minus: for m = 1 the only rotation besides the identity is the reflection.
    _check_hidden(loss_and_gradients, problem, lambda array: -Q @ array, what)


def check_rescaling(
    loss_and_gradients: LossAndGradients, W: WeightsLike, b: ArrayLike, x: ArrayLike, importance: ArrayLike, *,
    target: ArrayLike | None = None, seed: int = 0,
) -> None:  # fmt: skip
    """A neuron may read louder and write softer: E -> s E and D -> D / s keep L and db, dE -> dE / s, dD -> s dD.

    Holds for untied weights, with one factor s above 0 for each neuron: a ReLU lets positive factors through.

    Examples
    --------
    >>> import numpy as np, minitms as tms
    >>> from minitms.testing import metamorphic
    >>> W, b, x = np.array([[1.0, -0.5, 0.3], [0.2, 0.8, -0.6]]), np.array([0.1, -0.2, 0.3]), np.eye(3) + 0.1
    >>> metamorphic.check_rescaling(tms.loss_and_gradients, (W, -W), b, x, [1.0, 2.0, 3.0])
    """
    problem = _inputs(loss_and_gradients, W, b, x, importance, target)
    if not isinstance(problem.W, Weights):
        raise ValueError("W is one array; expected a pair (encoder, decoder), since tied weights cannot be rescaled")
    E, D = problem.W
    random = np.random.default_rng(_checks.seed(seed))
    s = random.uniform(1.25, 2.0, (len(E), 1)) ** random.choice([-1, 1], (len(E), 1))  # none is near 1
    L, dW, db = _call(loss_and_gradients, problem)
    rescaled = Weights((s * E).astype(E.dtype), (D / s).astype(D.dtype))
    got = _call(loss_and_gradients, problem._replace(W=rescaled))
    expected = L, Weights(dW.encoder / s, dW.decoder * s), db
    what = "a neuron that reads louder and writes softer keeps the loss and rescales its gradients"
    _compare(what, problem, got, expected)


def check_tying(
    loss_and_gradients: LossAndGradients, W: WeightsLike, b: ArrayLike, x: ArrayLike, importance: ArrayLike, *,
    target: ArrayLike | None = None,
) -> None:  # fmt: skip
    """A tied W is a pair of equals: the gradient is the sum of those by encoder and decoder, of one loss and db.

    The function must take W as an array and as a pair. Of a pair, the encoder is taken for both.

    Examples
    --------
    >>> import numpy as np, minitms as tms
    >>> from minitms.testing import metamorphic
    >>> W, b, x = np.array([[1.0, -0.5, 0.3], [0.2, 0.8, -0.6]]), np.array([0.1, -0.2, 0.3]), np.eye(3) + 0.1
    >>> metamorphic.check_tying(tms.loss_and_gradients, W, b, x, [1.0, 2.0, 3.0])
    """
    problem = _inputs(loss_and_gradients, W, b, x, importance, target)
    W, _ = both(problem.W)
    L, dW, db = _call(loss_and_gradients, problem._replace(W=Weights(W, W)))
    tied = problem._replace(W=W)
    got = _call(loss_and_gradients, tied)
    expected = L, dW.encoder + dW.decoder, db
    _compare("tied weights have the sum of the gradients by encoder and decoder", tied, got, expected)


def check_importance_scaling(
    loss_and_gradients: LossAndGradients, W: WeightsLike, b: ArrayLike, x: ArrayLike, importance: ArrayLike, *,
    target: ArrayLike | None = None, factor: float = 3.0,
) -> None:  # fmt: skip
    """Loss and gradients are linear in the importance: `factor` times the importance gives `factor` times all three.

    The factor is above 0, and not 1.

    Examples
    --------
    >>> import numpy as np, minitms as tms
    >>> from minitms.testing import metamorphic
    >>> W, b, x = np.array([[1.0, -0.5, 0.3], [0.2, 0.8, -0.6]]), np.array([0.1, -0.2, 0.3]), np.eye(3) + 0.1
    >>> metamorphic.check_importance_scaling(tms.loss_and_gradients, W, b, x, [1.0, 2.0, 3.0])
    """
    problem = _inputs(loss_and_gradients, W, b, x, importance, target)
    factor = _checks.number("factor", factor, above=0.0)
    if abs(factor - 1) <= _rounding(problem.dtypes()):
        raise ValueError(f"factor is {factor}, no change beyond rounding; expected one above 0 and not 1, such as 3")
    with np.errstate(over="ignore"):
        scaled = factor * problem.importance.astype(np.float64)
    scaled = problem._replace(importance=_checks.fits("factor * importance", scaled, problem.importance.dtype))
    expected = [each(lambda array: factor * array, result) for result in _call(loss_and_gradients, problem)]
    got = _call(loss_and_gradients, scaled)
    _compare(f"{factor:g} times the importance gives {factor:g} times everything", scaled, got, expected)


def check_batch_additivity(
    loss_and_gradients: LossAndGradients, W: WeightsLike, b: ArrayLike, x: ArrayLike, importance: ArrayLike, *,
    target: ArrayLike | None = None,
) -> None:  # fmt: skip
    """Examples do not see each other: a batch gives the mean of its two parts, weighted by their sizes.

    The parts are of unequal size where the batch allows it, which shows a wrong factor 1/batch. Needs two examples.

    Examples
    --------
    >>> import numpy as np, minitms as tms
    >>> from minitms.testing import metamorphic
    >>> W, b, x = np.array([[1.0, -0.5, 0.3], [0.2, 0.8, -0.6]]), np.array([0.1, -0.2, 0.3]), np.eye(3) + 0.1
    >>> metamorphic.check_batch_additivity(tms.loss_and_gradients, W, b, x, [1.0, 2.0, 3.0])
    """
    problem = _inputs(loss_and_gradients, W, b, x, importance, target)
    batch = len(problem.x)
    if batch < 2:
        raise ValueError(f"x has {batch} example; expected at least 2, to split the batch")
    cut = max(1, batch // 3)
    whole = _call(loss_and_gradients, problem)
    head = _call(loss_and_gradients, problem.with_examples(lambda array: array[:cut]))
    tail = _call(loss_and_gradients, problem.with_examples(lambda array: array[cut:]))
    share = cut / batch

    def mean(first, second):
        return share * first + (1 - share) * second

    expected = [each(mean, first, second) for first, second in zip(head, tail, strict=True)]
    what = f"a batch of {batch} gives the weighted mean of its first {cut} and its last {batch - cut}"
    _compare(what, problem, whole, expected)


def check_stacking(
    loss_and_gradients: LossAndGradients, W: WeightsLike, b: ArrayLike, x: ArrayLike, importance: ArrayLike, *,
    target: ArrayLike | None = None, models: int = 3, seed: int = 0,
) -> None:  # fmt: skip
    """A stack gives what each of its models gives alone: W (models, m, n), b (models, n), x (models, batch, n).

    The models are variations of the given one: of other weights, biases, batches, importances and targets.

    Examples
    --------
    >>> import numpy as np, minitms as tms
    >>> from minitms.testing import metamorphic
    >>> W, b, x = np.array([[1.0, -0.5, 0.3], [0.2, 0.8, -0.6]]), np.array([0.1, -0.2, 0.3]), np.eye(3) + 0.1
    >>> metamorphic.check_stacking(tms.loss_and_gradients, W, b, x, [1.0, 2.0, 3.0])
    """
    problem = _inputs(loss_and_gradients, W, b, x, importance, target)
    models = _checks.integer("models", models, at_least=2)  # one has nothing to mix with
    random = np.random.default_rng(_checks.seed(seed))

    def varied(array):
        sizes = random.uniform(0.5, 1.5, (models, *array.shape))
        sizes[0] = 1.0
        return (sizes * array).astype(array.dtype)

    stack = _Problem(*(array if array is None else each(varied, array) for array in problem))
    got = _call(loss_and_gradients, stack, stack=(models,))

    def one(k):
        return _Problem(*(array if array is None else each(lambda stacked: stacked[k], array) for array in stack))

    alone = [_call(loss_and_gradients, one(k)) for k in range(models)]
    expected = [each(lambda *arrays: np.stack(arrays), *results) for results in zip(*alone, strict=True)]
    _compare(f"a stack of {models} models gives what each gives alone", stack, got, expected)


def check_all(
    loss_and_gradients: LossAndGradients, W: WeightsLike, b: ArrayLike, x: ArrayLike, importance: ArrayLike, *,
    target: ArrayLike | None = None, hidden: Activation = "linear", seed: int = 0,
) -> None:  # fmt: skip
    """All of the above that hold: rotation for a linear `hidden` layer, rescaling for a pair, tying not at all.

    Additivity needs at least two examples, and is left out for one. (Tying is left out since a function need not take
    both forms of W.)

    Examples
    --------
    >>> import numpy as np, minitms as tms
    >>> from minitms.testing import metamorphic
    >>> W, b, x = np.array([[1.0, -0.5, 0.3], [0.2, 0.8, -0.6]]), np.array([0.1, -0.2, 0.3]), np.eye(3) + 0.1
    >>> metamorphic.check_all(tms.loss_and_gradients, W, b, x, [1.0, 2.0, 3.0])
    """
    _checks.choice("hidden", hidden, _checks.ACTIVATIONS)
    problem = _inputs(loss_and_gradients, W, b, x, importance, target)
    model, options = problem[:4], {"target": problem.target}
    check_permutation(loss_and_gradients, *model, **options, seed=seed)
    check_neurons(loss_and_gradients, *model, **options, seed=seed)
    if hidden == "linear":
        check_rotation(loss_and_gradients, *model, **options, seed=seed)
    if isinstance(problem.W, Weights):
        check_rescaling(loss_and_gradients, *model, **options, seed=seed)
    check_importance_scaling(loss_and_gradients, *model, **options)
    if len(problem.x) > 1:
        check_batch_additivity(loss_and_gradients, *model, **options)
    check_stacking(loss_and_gradients, *model, **options, seed=seed)


def _check_hidden(loss_and_gradients, problem, change, what):
    """A change of the hidden layer's coordinates, the same of encoder and decoder."""
    L, dW, db = _call(loss_and_gradients, problem)
    moved = each(lambda array: change(array).astype(array.dtype), problem.W)
    got = _call(loss_and_gradients, problem._replace(W=moved))
    _compare(what, problem, got, (L, each(change, dW), db))


def _cycle(size, seed):
    """A random permutation that moves everything: round one cycle."""
    around = np.random.default_rng(_checks.seed(seed)).permutation(size)
    order = np.empty(size, dtype=int)
    order[around] = np.roll(around, 1)
    return order


def _inputs(loss_and_gradients, W, b, x, importance, target):
    if not callable(loss_and_gradients):
        raise TypeError(f"loss_and_gradients is {loss_and_gradients!r}; expected a function of W, b, x and importance")
    W, b, x = checked(W), _checks.real_array("b", b), _checks.real_array("x", x)
    E, D = both(W)
    alike = E.ndim == x.ndim == 2 and b.shape == E.shape[1:] == x.shape[1:]
    if not alike or 0 in (*E.shape, *x.shape):
        raise ValueError(
            f"got W {E.shape}, b {b.shape}, x {x.shape}; expected one model: W (m, n), b (n,), x (batch, n)"
            + ", where m, n and batch are at least 1" * alike
        )
    importance = _checks.real_array("importance", importance)
    if importance.shape not in ((), b.shape):
        raise ValueError(
            f"importance has shape {importance.shape}; expected a number, or {b.shape} for one value a feature"
        )
    t = x if target is None else _checks.real_array("target", target)
    if t.shape != x.shape:
        raise ValueError(f"target {t.shape} does not fit x {x.shape}; expected (batch, n), a target a value")
    weights = [("the encoder", E), ("the decoder", D)] if isinstance(W, Weights) else [("W", W)]
    for name, array in (*weights, ("b", b), ("x", x), ("importance", importance), ("target", t)):
        _checks.finite(name, array)
    importance = _checks.fits("importance", importance, np.result_type(E, D, b, x, t))  # as `minitms.loss` takes it
    return _Problem(W, b, x, np.broadcast_to(importance, b.shape), None if target is None else t)


def _call(loss_and_gradients, problem, stack=()):
    results = loss_and_gradients(*problem.arguments())
    if not isinstance(results, tuple | list) or len(results) != 3:
        raise TypeError(f"loss_and_gradients returned {what(results)}; expected three results: L, dW, db")
    L, dW, db = results
    if isinstance(problem.W, Weights):
        if not isinstance(dW, tuple | list) or len(dW) != 2:
            raise TypeError(f"dW is {what(dW)}; expected a pair (by encoder, by decoder), as W is")
        dW = Weights(_floats("dW.encoder", dW[0]), _floats("dW.decoder", dW[1]))
    else:
        dW = _floats("dW", dW)
    results = _floats("L", L), dW, _floats("db", db)
    shapes = stack, each(np.shape, problem.W), problem.b.shape
    for (name, result), shape in zip(_named(results), (shape for _, shape in _named(shapes)), strict=True):
        if result.shape != shape:
            raise MetamorphicError(f"{name} has the wrong shape: got {result.shape}, expected {shape}")
        if not np.isfinite(result).all():
            index = np.argwhere(~np.isfinite(result))[0].tolist()
            raise MetamorphicError(f"{name}{index or ''} is {result[tuple(index)]}; expected finite numbers, as given")
    return results


def _floats(name, value):
    """A result of the user's function as an array of floats: a copy, since the function may use its memory again."""
    array = as_numbers(value)
    if array is None or array.dtype.kind != "f":
        raise TypeError(f"loss_and_gradients returned {what(value)} for {name}; expected an array of floats")
    return np.array(array)


def _named(results):
    """Names and arrays of L, dW, db, where dW may be a pair."""
    L, dW, db = results
    pair = [("dW.encoder", dW.encoder), ("dW.decoder", dW.decoder)] if isinstance(dW, Weights) else [("dW", dW)]
    return [("L", L), *pair, ("db", db)]


def _rounding(dtypes):
    """How far apart equals may be, by the coarsest dtype: 4e-11 in float64, 2e-5 in float32."""
    return float(max(np.finfo(dtype).eps for dtype in dtypes)) ** (2 / 3)


def _compare(what, problem, got, expected):
    """Equal to within rounding, relative to the largest entry of each result and of what it is added up from."""
    terms = max(np.abs(expected[0]).max(), problem.silent())  # a gradient can cancel to 0, and they say how big
    for (name, g), (_, e) in zip(_named(got), _named(expected), strict=True):
        error, size = np.abs(g - e), max(np.abs(e).max(), terms)
        wrong = ~(error <= _rounding([*problem.dtypes(), g.dtype, e.dtype]) * size)
        if wrong.any():
            index = tuple(int(i) for i in np.unravel_index(np.argmax(error), g.shape))
            raise MetamorphicError(
                f"{what}; but {name}{list(index) if index else ''} is {g[index]:.10g}, expected {e[index]:.10g} "
                f"({int(wrong.sum())} of {wrong.size} entries of {name} differ)"
            )
