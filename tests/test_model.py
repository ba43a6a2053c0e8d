"""The definition: forward and loss against plain loops, shapes, dtypes and bad input. Its gradient has its own file."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import minitms as tms
from minitms import _checks
from minitms import model as definition
from minitms.testing import strategies
from minitms.weights import Weights
from tests.gradient_properties import check_equations, results

MODELS = strategies.models(stack=strategies.stacks())
CHAINS = strategies.chains(stack=strategies.stacks())
close = np.testing.assert_allclose


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


@given(strategies.chains(**strategies.PLAIN))
def test_forward_and_loss_are_the_equations_in_loops(chain):
    check_equations(tms.forward, tms.loss, chain)


@settings(max_examples=300)
@given(strategies.chains())
def test_every_model_of_the_paper_is_its_equations_in_loops(chain):
    check_equations(tms.forward, tms.loss, chain)


def test_two_neurons_by_hand():
    """Section 8, |x| of x = -0.5: E = (1, -1), so a = (-0.5, 0.5), h = (0, 0.5); D = (1, 2), b = -0.5: z = y = 0.5.

    The target is 0.5, and the loss 0. Against the target 0.25 and with importance 2 the error is 0.25, L = 0.125 and
    dy = dz = db = 1. dD = hᵀ dz = (0, 0.5). dh = (1, 2), da = (0, 2) as the first neuron is off, dE = da x = (0, -1).
    """
    E, D, b, x = np.array([[1.0], [-1.0]]), np.array([[1.0], [2.0]]), np.array([-0.5]), np.array([[-0.5]])
    assert tms.forward((E, D), b, x, hidden="relu").tolist() == [[0.5]]
    assert tms.loss((E, D), b, x, hidden="relu", target=abs(x)) == 0
    L, dW, db = tms.loss_and_gradients((E, D), b, x, 2, hidden="relu", target=[[0.25]])
    assert L == 0.125
    assert isinstance(dW, Weights)
    assert dW.decoder.tolist() == [[0], [0.5]]
    assert dW.encoder.tolist() == [[0], [-1]]
    assert db.tolist() == [1]


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


def test_every_activation_has_its_slope_and_its_word():
    assert list(definition.ACTIVATIONS) == list(definition.SLOPES) == list(_checks.ACTIVATIONS)


@given(CHAINS)
def test_a_target_broadcasts_as_x_does(chain):
    t = np.arange(chain.x[(0,) * (chain.x.ndim - 2)].size).reshape(chain.x.shape[-2:])
    shared = results(chain._replace(target=t))
    own = results(chain._replace(target=np.broadcast_to(t, chain.x.shape)))
    for name in shared:
        assert (shared[name] == own[name]).all()


@given(CHAINS)
def test_the_target_x_is_no_target(chain):
    given, none = results(chain._replace(target=chain.x)), results(chain._replace(target=None))
    assert all((given[name] == none[name]).all() for name in none)


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


@pytest.mark.parametrize("wide", range(5))
def test_the_widest_dtype_counts_the_pair_and_the_target_too(wide):
    E, D, b, x, t = (
        np.ones(shape, "float64" if i == wide else "float32")
        for i, shape in enumerate([(2, 3), (2, 3), (3,), (4, 3), (4, 3)])
    )
    L, dW, db = tms.loss_and_gradients((E, D), b, x, target=t, hidden="relu")
    assert L.dtype == dW.encoder.dtype == dW.decoder.dtype == db.dtype == np.float64


def test_whole_numbers_are_taken_as_float64():
    assert tms.forward([[1, 0]], [0, 0], [[1, 1]], "linear").dtype == np.float64


@given(MODELS)
@example(strategies.Model(np.ones((1, 1)), np.ones(1), np.ones((1, 1)), np.ones(1), "relu"))
def test_float32_agrees_to_its_precision(model):
    single = [array.astype(np.float32) for array in model[:4]]
    exact = tms.loss_and_gradients(*(array.astype(np.float64) for array in single), model.activation)
    for got, expected in zip(tms.loss_and_gradients(*single, model.activation), exact, strict=True):
        close(got, expected, rtol=1e-4, atol=1e-4 * max(1, abs(expected).max()))


@given(CHAINS)
def test_input_is_left_alone(chain):
    arrays = [*chain.params.values(), chain.x, chain.importance, *([] if chain.target is None else [chain.target])]
    before = [array.copy() for array in arrays]
    tms.loss_and_gradients(**chain._asdict())
    assert all((array == kept).all() for array, kept in zip(arrays, before, strict=True))


# -------------------------------------------------------------------------------------------------------- bad input

GOOD = {"W": np.ones((2, 3)), "b": np.zeros(3), "x": np.ones((4, 3)), "importance": 1.0, "activation": "relu"}


@pytest.mark.parametrize("function", [tms.forward, tms.loss, tms.backward, tms.loss_and_gradients])
@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"activation": "tanh"}, ValueError, "activation is 'tanh'; expected one of 'linear', 'relu'"),
        ({"activation": None}, ValueError, "activation is None"),
        ({"hidden": "tanh"}, ValueError, "hidden is 'tanh'; expected one of 'linear', 'relu'"),
        ({"hidden": ["relu"]}, ValueError, r"hidden is \['relu'\]"),
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


@pytest.mark.parametrize("function", [tms.loss, tms.backward, tms.loss_and_gradients])
@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        (1.0, ValueError, r"target \(\) does not fit x \(4, 3\)"),
        (np.ones(3), ValueError, r"target \(3,\) does not fit x \(4, 3\)"),
        (np.ones((1, 3)), ValueError, r"target \(1, 3\) does not fit"),
        (np.ones((4, 1)), ValueError, r"target \(4, 1\) does not fit"),
        (np.ones((3, 4)), ValueError, r"expected \(\.\.\., batch, n\)"),
        (np.ones((2, 4, 3)) * 1j, TypeError, "target has dtype complex128"),
        ("abs", TypeError, "target has dtype"),
    ],
)
def test_bad_targets(function, target, error, message):
    with pytest.raises(error, match=message):
        function(**GOOD, target=target)


@pytest.mark.parametrize("function", [tms.loss, tms.backward, tms.loss_and_gradients])
def test_a_target_of_another_stack_is_refused(function):
    arrays = {"W": np.ones((2, 2, 3)), "b": np.zeros((2, 3)), "x": np.ones((2, 4, 3))}
    with pytest.raises(ValueError, match=r"leading axes do not broadcast.*target \(5, 4, 3\)"):
        function(**arrays, target=np.ones((5, 4, 3)))
