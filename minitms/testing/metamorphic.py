"""Metamorphic checks: what must happen to loss and gradient when the problem changes in a way of known effect.

They need no finite differences and no second implementation, work in float32 as in float64, and see what a gradient
check cannot: a mistake that loss and gradient share. Each takes the user's own function

    loss_and_gradients(W, b, x, importance)  ->  L, dW, db       W (m, n), b (n,), x (batch, n), importance (n,)

for one model (`check_stacking` also calls it for a stack), and raises `MetamorphicError`, an `AssertionError` that
names the property, the result and its worst entry. L is a mean over the batch, as in `minitms.loss`.

At a kink of the activation, rounding decides on which side an example falls, so stay away from z = 0 (the models of
`minitms.testing.strategies` do).
"""

from __future__ import annotations

import numpy as np

from minitms import _checks
from minitms.testing.errors import MetamorphicError

RESULTS = ("L", "dW", "db")


def check_permutation(loss_and_gradients, W, b, x, importance, *, seed=0):
    """Features have no order: permuting the columns of W, b, x and importance permutes dW and db, and keeps L."""
    W, b, x, importance = _inputs(W, b, x, importance)
    order = np.random.default_rng(_checks.seed(seed)).permutation(W.shape[-1])
    L, dW, db = _call(loss_and_gradients, W, b, x, importance)
    got = _call(loss_and_gradients, W[:, order], b[order], x[:, order], importance[order])
    _compare("permuting the features permutes the gradients and keeps the loss", got, (L, dW[:, order], db[order]))


def check_rotation(loss_and_gradients, W, b, x, importance, *, seed=0):
    """The hidden space has no axes: with an orthogonal Q, W -> Q W keeps L and db, and takes dW to Q dW.

    Holds for tied weights without a hidden nonlinearity, where W enters as WᵀW only.
    """
    W, b, x, importance = _inputs(W, b, x, importance)
    m = W.shape[0]
    Q, _ = np.linalg.qr(np.random.default_rng(_checks.seed(seed)).normal(size=(m, m)))
    Q = -Q.astype(W.dtype)  # for m = 1 the only rotation besides the identity is the reflection
    L, dW, db = _call(loss_and_gradients, W, b, x, importance)
    got = _call(loss_and_gradients, Q @ W, b, x, importance)
    _compare("rotating the hidden space rotates dW and keeps the loss and db", got, (L, Q @ dW, db))


def check_importance_scaling(loss_and_gradients, W, b, x, importance, *, factor=3.0):
    """Loss and gradients are linear in the importance: `factor` times the importance gives `factor` times all three."""
    W, b, x, importance = _inputs(W, b, x, importance)
    factor = _checks.number("factor", factor, above=0.0)
    expected = _call(loss_and_gradients, W, b, x, importance)
    got = _call(loss_and_gradients, W, b, x, (factor * importance).astype(importance.dtype))
    _compare(f"{factor:g} times the importance gives {factor:g} times everything", got, [factor * e for e in expected])


def check_batch_additivity(loss_and_gradients, W, b, x, importance):
    """Examples do not see each other: a batch gives the mean of its two parts, weighted by their sizes.

    The parts are of unequal size where the batch allows it, which shows a wrong factor 1/batch. Needs two examples.
    """
    W, b, x, importance = _inputs(W, b, x, importance)
    batch = len(x)
    if batch < 2:
        raise ValueError(f"x has {batch} example; expected at least 2, to split the batch")
    cut = max(1, batch // 3)
    whole = _call(loss_and_gradients, W, b, x, importance)
    head, tail = (_call(loss_and_gradients, W, b, part, importance) for part in (x[:cut], x[cut:]))
    share = cut / batch
    expected = [share * first + (1 - share) * second for first, second in zip(head, tail, strict=True)]
    _compare(
        f"a batch of {batch} gives the weighted mean of its first {cut} and its last {batch - cut}", whole, expected
    )


def check_stacking(loss_and_gradients, W, b, x, importance, *, models=3, seed=0):
    """A stack gives what each of its models gives alone: W (models, m, n), b (models, n), x (models, batch, n).

    The models are variations of the given one: of other weights, biases, batches and importances.
    """
    W, b, x, importance = _inputs(W, b, x, importance)
    models = _checks.integer("models", models, at_least=1)
    random = np.random.default_rng(_checks.seed(seed))

    def varied(array):
        sizes = random.uniform(0.5, 1.5, (models, *array.shape))
        sizes[0] = 1.0
        return (sizes * array).astype(array.dtype)

    stack = [varied(array) for array in (W, b, x, importance)]
    got = _call(loss_and_gradients, *stack, stack=(models,))
    alone = [_call(loss_and_gradients, *(array[k] for array in stack)) for k in range(models)]
    _compare(
        f"a stack of {models} models gives what each gives alone", got, [np.stack(e) for e in zip(*alone, strict=True)]
    )


def check_all(loss_and_gradients, W, b, x, importance, *, seed=0):
    """All of the above; additivity needs at least two examples, and is left out for one."""
    model = W, b, x, importance
    check_permutation(loss_and_gradients, *model, seed=seed)
    check_rotation(loss_and_gradients, *model, seed=seed)
    check_importance_scaling(loss_and_gradients, *model)
    if len(x) > 1:
        check_batch_additivity(loss_and_gradients, *model)
    check_stacking(loss_and_gradients, *model, seed=seed)


def _inputs(W, b, x, importance):
    W, b, x = (_checks.real_array(name, value) for name, value in (("W", W), ("b", b), ("x", x)))
    if W.ndim != 2 or x.ndim != 2 or b.shape != W.shape[1:] or x.shape[1:] != b.shape:
        raise ValueError(
            f"got W {W.shape}, b {b.shape}, x {x.shape}; expected one model: W (m, n), b (n,), x (batch, n)"
        )
    importance = np.broadcast_to(_checks.real_array("importance", importance), b.shape).astype(W.dtype)
    return W, b, x, importance


def _call(loss_and_gradients, W, b, x, importance, stack=()):
    results = loss_and_gradients(W.copy(), b.copy(), x.copy(), importance.copy())
    if not isinstance(results, tuple | list) or len(results) != 3:
        raise TypeError(f"loss_and_gradients returned {type(results).__name__}; expected three results: L, dW, db")
    results = [np.asarray(result) for result in results]
    for name, result, shape in zip(RESULTS, results, (stack, W.shape, b.shape), strict=True):
        if result.shape != shape:
            raise MetamorphicError(f"{name} has the wrong shape: got {result.shape}, expected {shape}")
    return results


def _compare(what, got, expected):
    """Equal to within rounding, relative to the largest entry of each result and of what it is added up from."""
    for name, g, e in zip(RESULTS, got, expected, strict=True):
        rounding = np.finfo(g.dtype).eps ** (2 / 3)  # 4e-11 in float64, 2e-5 in float32
        size = max(
            np.abs(e).max(), np.abs(np.asarray(expected[0])).max()
        )  # a gradient can cancel to 0, and L says how big
        wrong = ~(np.abs(g - e) <= rounding * size)
        if wrong.any():
            index = np.unravel_index(
                int(np.argmax(np.where(wrong, np.nan_to_num(np.abs(g - e), nan=np.inf), -1.0))), g.shape
            )
            index = tuple(int(i) for i in index)
            raise MetamorphicError(
                f"{what}; but {name}{list(index) if index else ''} is {g[index]:.10g}, expected {e[index]:.10g} "
                f"({int(wrong.sum())} of {wrong.size} entries of {name} differ)"
            )
