"""What `figures/privileged_basis.py` measures, on models made by hand; and the gradient of a bias on neurons."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minitms as tms
from figures import hidden_bias, privileged_basis
from minitms.testing import check_grad

numbers = st.integers(0, 2**32 - 1)


def data(seed, n=6, density=0.5):
    return tms.SparseFeatures(n, density).sample(24, seed=seed)


@given(numbers)
def test_with_no_weight_below_zero_a_hidden_relu_is_a_linear_layer(seed):
    """Loss and gradient too, since a > 0 wherever anything is on."""
    rng = np.random.default_rng(seed)
    W, b, x = rng.random((2, 3, 6)) + 0.01, rng.normal(size=(2, 6)), data(seed)
    relu, linear = (tms.loss_and_gradients(W, b, x, 0.8 ** np.arange(6), hidden=f) for f in ("relu", "linear"))
    for one, other in zip(relu, linear, strict=True):
        np.testing.assert_array_equal(one, other)
    W[0, 0] *= -1  # and with some below it is not
    assert (tms.forward(W, b + 9, x, hidden="relu") != tms.forward(W, b + 9, x)).any()


@given(numbers)
def test_the_gradient_of_a_bias_on_neurons(seed):
    rng = np.random.default_rng(seed)
    x, importance = data(seed), 0.8 ** np.arange(6)
    params = {"W": rng.normal(size=(3, 6)), "b": 0.3 * rng.normal(size=6), "c": 0.3 * rng.normal(size=3)}
    check_grad(lambda p: hidden_bias.loss(**p, x=x, importance=importance),
               lambda p: dict(zip("Wbc", hidden_bias.backward(**p, x=x, importance=importance), strict=True)), params)


@given(numbers)
def test_without_that_bias_it_is_the_package_s_model(seed):
    rng = np.random.default_rng(seed)
    W, b, x, importance = rng.normal(size=(2, 3, 6)), rng.normal(size=(2, 6)), data(seed), 0.8 ** np.arange(6)
    zero = np.zeros((2, 3))
    np.testing.assert_allclose(hidden_bias.loss(W, b, zero, x, importance),
                               tms.loss(W, b, x, importance, hidden="relu"), rtol=1e-13)
    for one, other in zip(hidden_bias.backward(W, b, zero, x, importance)[:2],
                          tms.backward(W, b, x, importance, hidden="relu"), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)


@given(numbers)
def test_a_large_bias_on_neurons_makes_them_linear(seed):
    rng = np.random.default_rng(seed)
    W, b, x, c = rng.normal(size=(3, 6)), rng.normal(size=6), data(seed), np.full(3, 50.0)
    y = hidden_bias.forward(W, b - c @ W, c, x)[-1]
    np.testing.assert_allclose(y, tms.forward(W, b, x), atol=1e-12)


def test_training_with_a_bias_on_neurons_lowers_the_loss_and_repeats_itself():
    features = tms.SparseFeatures(6, np.array([[0.3], [0.1]]), 0.8 ** np.arange(6))
    x = features.sample(4096, seed=9)
    settings = {"batch_size": 128, "learning_rate": 1e-2, "starts": 3, "seed": 4}
    first, again, short = (hidden_bias.train(features, 3, steps=steps, **settings) for steps in (400, 400, 1))
    np.testing.assert_array_equal(first.W, again.W)
    after, before = (hidden_bias.loss(run.W, run.b, run.c, x, features.importance[:, None]) for run in (first, short))
    assert after.shape == (3, 2)
    assert (after < 0.7 * before).all()
    for name, shape in {"W": (3, 2, 3, 6), "b": (3, 2, 6), "c": (3, 2, 3)}.items():
        assert getattr(first, name).shape == shape
        assert (getattr(first, name) != getattr(short, name)).any()


def pair_code():
    """Ten features, one for each pair of five neurons: positive there, negative elsewhere."""
    W = -0.9 * np.ones((5, 10))
    for i, pair in enumerate(itertools.combinations(range(5), 2)):
        W[list(pair), i] = 0.8
    return W


def test_pairs_of_neurons_are_counted():
    W = pair_code()
    assert (privileged_basis.in_pairs(W), privileged_basis.different_pairs(W)) == (10, 10)
    W[:, 9] = W[:, 8]  # the same pair twice
    assert (privileged_basis.in_pairs(W), privileged_basis.different_pairs(W)) == (10, 9)
    W[W[:, 0] < 0, 0] = 0.8  # one feature in all five
    both = np.stack([W, pair_code()])
    assert privileged_basis.in_pairs(both).tolist() == [9, 10]
    assert privileged_basis.different_pairs(both).tolist() == [8, 10]


def test_a_neuron_is_monosemantic_if_one_feature_turns_it_on():
    W = np.array([[1.0, 0.1, -3.0], [-0.9, -1.0, 0.0], [0.5, 0.4, -0.5], [0.0, 0.0, 0.0]])
    assert privileged_basis.monosemantic(W) == 1
    assert privileged_basis.monosemantic(W, 0.9) == 2
    assert privileged_basis.turned_on(W).tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("block", "counts"),
    [
        ([[0.8, 0.9, -0.7], [0.8, -0.9, 0.8]], {(2, 3): [1, 1], (3, 3): [0, 0]}),
        ([[0.8, 0.9, 0.7], [0.8, -0.9, 0.8]], {(2, 3): [1, 0], (3, 3): [0, 0]}),
        ([[1, 1, -1], [1, -1, 1], [-1, 1, 1]], {(2, 3): [0, 0], (3, 3): [1, 1]}),
        ([[1, 1, 1], [1, -1, 1], [-1, 1, 1]], {(2, 3): [0, 0], (3, 3): [1, 0]}),
        ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], {(2, 3): [0, 0], (3, 3): [0, 0]}),
    ],
)
def test_blocks_are_known_by_size_and_shape(block, counts):
    block = np.array(block, dtype=float)
    W = np.zeros((2, 5, 10))
    W[1, -1, -1] = 1  # a monosemantic neuron beside it
    W[1, : block.shape[0], [4, 2, 7]] = block.T
    for shape, expected in counts.items():
        assert privileged_basis.shaped_blocks(W, shape).tolist() == [[0, 0], expected]
