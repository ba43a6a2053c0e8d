"""The definition: forward and loss against plain loops, backward against finite differences and PyTorch."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import minitms as tms
from minitms.testing import strategies
from tests.gradient_properties import (
    NotDifferentiableError,
    check_backward,
    check_by_the_public_tool,
    check_kinks,
    numerical_gradients,
)

MODELS = strategies.models(stack=strategies.stacks())
ALONE = strategies.models()
close = np.testing.assert_allclose


class Slow(NamedTuple):
    """The equations in loops over Python floats, for one model."""

    y: list
    loss: float


def slow_model(W, b, x, importance, activation):
    (m, n), batch = W.shape, len(x)
    total, outputs = 0.0, []
    for e in range(batch):
        h = [sum(float(W[k, i]) * float(x[e, i]) for i in range(n)) for k in range(m)]
        z = [sum(float(W[k, i]) * h[k] for k in range(m)) + float(b[i]) for i in range(n)]
        y = [max(value, 0.0) for value in z] if activation == "relu" else z
        total += sum(float(importance[i]) * (y[i] - float(x[e, i])) ** 2 for i in range(n))
        outputs.append(y)
    return Slow(outputs, total / batch)


# ------------------------------------------------------------------------------------------------ forward and loss


def test_two_features_by_hand():
    """W = (1, -1), b = (0, 0.5), x = (0.5, 0.25): h = 0.25, z = (0.25, 0.25), errors -0.25 and 0.

    With importance (2, 3) the loss is 2 · 0.0625 = 0.125. dy = (2 · 2 · -0.25, 0) = (-1, 0), all z > 0, so
    db = (-1, 0); decode: h dz = (-0.25, 0); dh = dz Wᵀ = -1, encode: dh x = (-0.5, -0.25).
    """
    W, b, x = np.array([[1.0, -1.0]]), np.array([0.0, 0.5]), np.array([[0.5, 0.25]])
    assert tms.forward(W, b, x).tolist() == [[0.25, 0.25]]
    loss, dW, db = tms.loss_and_gradients(W, b, x, [2, 3])
    assert float(loss) == 0.125
    assert dW.tolist() == [[-0.75, -0.25]]
    assert db.tolist() == [-1, 0]


@given(ALONE)
def test_forward_and_loss_are_the_equations_in_loops(model):
    slow = slow_model(*model)
    close(tms.forward(*model[:3], model.activation), slow.y, rtol=1e-12, atol=1e-12)
    close(tms.loss(*model), slow.loss, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_the_linear_loss_has_its_closed_form(seed):
    """E L = sum_i I_i (mu_i² + v_i (1 - |W_i|²)² + sum_{j != i} v_j (W_i · W_j)²), mu = b - (1 - WᵀW) s/2.

    The linear loss knows the data by their first and second moments only. A batch of all 2^n combinations of
    s_i/2 ± √v_i has those of independent sparse features exactly, so the batch loss is the expected loss.
    """
    rng = np.random.default_rng(seed)
    n, m = 6, 3
    W, b, importance = rng.normal(size=(m, n)), rng.normal(size=n), rng.uniform(0, 2, n)
    s = rng.uniform(0, 1, n)
    v = s / 3 - s**2 / 4
    x = s / 2 + np.sqrt(v) * np.array(list(itertools.product([-1, 1], repeat=n)))
    overlap = W.T @ W
    mu = b - (np.eye(n) - overlap) @ s / 2
    off_diagonal = overlap - np.diag(np.diag(overlap))
    expected = (importance * (mu**2 + v * (1 - np.diag(overlap)) ** 2 + off_diagonal**2 @ v)).sum()
    close(tms.loss(W, b, x, importance, "linear"), expected, rtol=1e-12)


def test_the_closed_form_holds_for_sampled_features():
    """The same, with features as `SparseFeatures` draws them; 5 standard errors of the mean."""
    s, m, n = 0.2, 2, 5
    rng = np.random.default_rng(9)
    W = rng.normal(size=(m, n)) / 2
    b = (np.eye(n) - W.T @ W) @ np.full(n, s / 2)
    v = s / 3 - s**2 / 4
    expected = v * ((np.eye(n) - W.T @ W) ** 2).sum()
    x = tms.SparseFeatures(n, s).sample(200_000, seed=9)
    each = ((tms.forward(W, b, x, "linear") - x) ** 2).sum(axis=-1)
    assert abs(tms.loss(W, b, x, activation="linear") - expected) <= 5 * each.std() / np.sqrt(len(x))


# -------------------------------------------------------------------------------------------------------- gradients


@pytest.mark.plain_python
@settings(max_examples=300)
@given(MODELS)
def test_backward_is_the_slope_of_the_loss(model):
    check_backward(tms.backward, model)


@given(MODELS)
def test_backward_passes_the_check_that_users_have(model):
    check_by_the_public_tool(tms.backward, model)


def test_a_large_model():
    rng = np.random.default_rng(3)
    model = rng.normal(size=(4, 30)) / 5, rng.normal(size=30) / 5, rng.random((7, 30)), rng.random(30)
    for activation in ("linear", "relu"):
        check_backward(tms.backward, (*model, activation))


@given(strategies.models(kinks=True, activation="relu", stack=strategies.stacks()))
def test_the_slope_of_the_relu_at_zero_counts_as_zero(model):
    assert (model.pre_activations() == 0).any()
    check_kinks(tms.backward, model)


def test_at_the_kink_no_gradient_reaches_W():
    """W = (1, -1), x = (0.5, 0.5): h = 0, so z = b = 0 in both. With a slope of 1 there, dW would be (0.5, 0.5)."""
    dW, db = tms.backward([[1.0, -1.0]], [0.0, 0.0], [[0.5, 0.5]], [1.0, 2.0])
    assert dW.tolist() == [[0, 0]]
    assert db.tolist() == [0, 0]


def test_finite_differences_say_so_at_a_kink():
    with pytest.raises(NotDifferentiableError, match=r"z of example 0, feature 0 .* smallest \|z\| is 0"):
        numerical_gradients(np.zeros((1, 2)), np.zeros(2), np.full((1, 2), 0.5), np.ones(2), "relu")


@given(MODELS)
def test_backward_is_pytorch_s_gradient(model):
    torch = pytest.importorskip("torch")
    W, b, x, importance = (torch.tensor(array) for array in model[:4])
    W.requires_grad_()
    b.requires_grad_()
    z = torch.einsum("...ki,...kj,...ej->...ei", W, W, x) + b[..., None, :]
    y = torch.relu(z) if model.activation == "relu" else z
    loss = (importance[..., None, :] * (y - x) ** 2).sum(dim=-1).mean(dim=-1)
    loss.sum().backward()
    L, dW, db = tms.loss_and_gradients(*model)
    scale = max(1.0, abs(W.grad).max().item())
    close(L, loss.detach().numpy(), rtol=1e-12, atol=1e-12)
    close(dW, W.grad.numpy(), rtol=1e-12, atol=1e-12 * scale)
    close(db, b.grad.numpy(), rtol=1e-12, atol=1e-12 * scale)


@given(MODELS)
def test_loss_and_gradients_are_loss_and_backward(model):
    L, dW, db = tms.loss_and_gradients(*model)
    assert (L == tms.loss(*model)).all()
    for got, expected in zip((dW, db), tms.backward(*model), strict=True):
        assert (got == expected).all()


# ------------------------------------------------------------------------------------------------------- symmetries


@given(MODELS, st.randoms(use_true_random=False))
def test_permuting_the_features_permutes_the_gradient(model, random):
    W, b, x, importance, activation = model
    order = random.sample(range(W.shape[-1]), W.shape[-1])
    L, dW, db = tms.loss_and_gradients(*model)
    permuted = tms.loss_and_gradients(W[..., order], b[..., order], x[..., order], importance[..., order], activation)
    for got, expected in zip(permuted, (L, dW[..., order], db[..., order]), strict=True):
        close(got, expected, rtol=1e-9, atol=1e-9)


@given(MODELS, st.integers(0, 2**32 - 1))
def test_rotating_the_hidden_space_rotates_the_gradient(model, seed):
    W, b, x, importance, activation = model
    m = W.shape[-2]
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(m, m)))[0]
    L, dW, db = tms.loss_and_gradients(*model)
    rotated = tms.loss_and_gradients(rotation @ W, b, x, importance, activation)
    scale = max(1, abs(dW).max())
    for got, expected in zip(rotated, (L, rotation @ dW, db), strict=True):
        close(got, expected, rtol=1e-9, atol=1e-9 * scale)


@given(MODELS, st.floats(0.01, 100))
def test_scaling_the_importance_scales_loss_and_gradient(model, factor):
    W, b, x, importance, activation = model
    for got, expected in zip(
        tms.loss_and_gradients(W, b, x, factor * importance, activation), tms.loss_and_gradients(*model), strict=True
    ):
        close(got, factor * expected, rtol=1e-9, atol=1e-12)


@given(MODELS)
def test_a_stack_is_each_model_alone(model):
    stack = model.W.shape[:-2]
    whole = tms.loss_and_gradients(*model)
    for index in np.ndindex(stack):
        alone = tms.loss_and_gradients(*(array[index] for array in model[:4]), model.activation)
        for got, expected in zip(whole, alone, strict=True):
            close(got[index], expected, rtol=1e-12, atol=1e-12)


@given(ALONE, st.integers(2, 4))
def test_repeating_the_batch_changes_nothing(model, times):
    W, b, x, importance, activation = model
    repeated = tms.loss_and_gradients(W, b, np.tile(x, (times, 1)), importance, activation)
    for got, expected in zip(repeated, tms.loss_and_gradients(*model), strict=True):
        close(got, expected, rtol=1e-9, atol=1e-9)


@given(strategies.models(activation="relu"))
def test_far_above_the_kink_relu_is_linear_and_far_below_it_is_dead(model):
    W, b, x, importance, _ = model
    for got, expected in zip(
        tms.loss_and_gradients(W, b + 200, x, importance, "relu"),
        tms.loss_and_gradients(W, b + 200, x, importance, "linear"),
        strict=True,
    ):
        assert (got == expected).all()
    L, dW, db = tms.loss_and_gradients(W, b - 200, x, importance, "relu")
    close(L, (importance * x**2).sum(axis=-1).mean(), rtol=1e-12, atol=1e-300)
    assert (dW == 0).all()
    assert (db == 0).all()


# ------------------------------------------------------------------------------------------------ shapes and dtypes


@given(MODELS, st.sampled_from([0, 1, 2]))
def test_models_and_batches_broadcast(model, shared):
    """W, b or x without the leading axes serves the whole stack."""
    arrays = list(model[:3])
    keep = arrays[shared].ndim - (1 if shared == 1 else 2)
    arrays[shared] = arrays[shared][(0,) * keep]
    stack = model.W.shape[:-2]
    L, dW, db = tms.loss_and_gradients(*arrays, model.importance, model.activation)
    assert (L.shape, dW.shape, db.shape) == (stack, model.W.shape, model.b.shape)
    for index in np.ndindex(stack):
        own = [array if i == shared else array[index] for i, array in enumerate(arrays)]
        alone = tms.loss_and_gradients(*own, model.importance[index], model.activation)
        for got, expected in zip((L, dW, db), alone, strict=True):
            close(got[index], expected, rtol=1e-12, atol=1e-12)


def test_one_model_gives_a_0_d_loss():
    L, dW, db = tms.loss_and_gradients(np.ones((2, 3)), np.zeros(3), np.ones((4, 3)))
    assert (np.shape(L), dW.shape, db.shape) == ((), (2, 3), (3,))
    assert np.shape(tms.loss(np.ones((2, 3)), np.zeros(3), np.ones((4, 3)))) == ()


@pytest.mark.parametrize("importance", [2, 2.0, np.float32(2), [2, 2, 2], np.full((1, 3), 2.0), np.full((4, 1), 2)])
def test_forms_of_the_importance(importance):
    rng = np.random.default_rng(0)
    W, b, x = rng.normal(size=(4, 2, 3)), rng.normal(size=(4, 3)), rng.random((4, 5, 3))
    for got, expected in zip(
        tms.loss_and_gradients(W, b, x, importance), tms.loss_and_gradients(W, b, x, np.full((4, 3), 2.0)), strict=True
    ):
        assert got.shape == expected.shape
        assert (got == expected).all()


@pytest.mark.parametrize("dtypes", list(itertools.product(["float32", "float64"], repeat=3)))
def test_the_widest_dtype_is_kept(dtypes):
    arrays = [np.ones(shape, dtype) for shape, dtype in zip([(2, 3), (3,), (4, 3)], dtypes, strict=True)]
    expected = "float64" if "float64" in dtypes else "float32"
    assert tms.forward(*arrays).dtype == expected
    for importance in (0.5, np.full(3, 0.5)):
        assert [out.dtype for out in tms.loss_and_gradients(*arrays, importance)] == [expected] * 3


def test_whole_numbers_are_taken_as_float64():
    assert tms.forward([[1, 0]], [0, 0], [[1, 1]], "linear").dtype == np.float64


@given(MODELS)
@example(strategies.Model(np.ones((1, 1)), np.ones(1), np.ones((1, 1)), np.ones(1), "relu"))
def test_float32_agrees_to_its_precision(model):
    single = [array.astype(np.float32) for array in model[:4]]
    exact = tms.loss_and_gradients(*(array.astype(np.float64) for array in single), model.activation)
    for got, expected in zip(tms.loss_and_gradients(*single, model.activation), exact, strict=True):
        close(got, expected, rtol=1e-4, atol=1e-4 * max(1, abs(expected).max()))


@given(MODELS)
def test_input_is_left_alone(model):
    before = [array.copy() for array in model[:4]]
    tms.loss_and_gradients(*model)
    assert all((array == kept).all() for array, kept in zip(model[:4], before, strict=True))


# -------------------------------------------------------------------------------------------------------- bad input

GOOD = {"W": np.ones((2, 3)), "b": np.zeros(3), "x": np.ones((4, 3)), "importance": 1.0, "activation": "relu"}


@pytest.mark.parametrize("function", [tms.forward, tms.loss, tms.backward, tms.loss_and_gradients])
@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"activation": "tanh"}, ValueError, "activation is 'tanh'; expected one of 'linear', 'relu'"),
        ({"activation": None}, ValueError, "activation is None"),
        ({"W": np.ones((2, 4))}, ValueError, r"the last axes differ: got W \(2, 4\), b \(3,\), x \(4, 3\)"),
        ({"W": np.ones((3, 2))}, ValueError, "the last axes differ"),
        ({"b": np.ones(4)}, ValueError, "the last axes differ"),
        ({"x": np.ones((4, 2))}, ValueError, "the last axes differ"),
        ({"W": np.ones(3)}, ValueError, r"expected W \(\.\.\., m, n\)"),
        ({"b": np.float64(0)}, ValueError, r"b \(\)"),
        ({"x": np.ones(3)}, ValueError, r"one example is written x\[None, :\]"),
        ({"x": np.ones((0, 3))}, ValueError, "the batch is empty"),
        ({"W": np.ones((5, 2, 3)), "x": np.ones((6, 4, 3))}, ValueError, "leading axes do not broadcast"),
        ({"W": np.ones((2, 3), complex)}, TypeError, "W has dtype complex128"),
        ({"x": np.ones((4, 3), np.float16)}, TypeError, r"x has dtype float16; expected float32 or float64"),
        ({"b": [None] * 3}, TypeError, "b has dtype object"),
    ],
)
def test_bad_arrays(function, wrong, error, message):
    arguments = GOOD | wrong
    if function is tms.forward:
        del arguments["importance"]
    with pytest.raises(error, match=message):
        function(**arguments)


@pytest.mark.parametrize("function", [tms.loss, tms.backward, tms.loss_and_gradients])
@pytest.mark.parametrize(
    ("importance", "error", "message"),
    [
        (-1.0, ValueError, "importance holds -1; expected every value at least 0"),
        ([1.0, np.nan, 1.0], ValueError, r"importance holds nan at index \(1,\)"),
        (np.ones(4), ValueError, r"importance has shape \(4,\); expected .*importance\[:, None\]"),
        (np.ones((2, 4)), ValueError, r"importance has shape \(2, 4\)"),
        ("much", TypeError, "importance has dtype"),
    ],
)
def test_bad_importance(function, importance, error, message):
    with pytest.raises(error, match=message):
        function(**GOOD | {"importance": importance})


@pytest.mark.parametrize("function", [tms.loss, tms.backward, tms.loss_and_gradients])
def test_an_importance_of_another_stack_is_refused(function):
    arrays = {"W": np.ones((2, 2, 3)), "b": np.zeros((2, 3)), "x": np.ones((2, 4, 3))}
    with pytest.raises(ValueError, match=r"importance.*\(5, 3\)"):
        function(**arrays, importance=np.ones((5, 3)))
