"""Attacks against a search over the whole sphere, closed forms, and one that climbs the gradient and is masked."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minitms as tms
from minitms.testing import strategies

# ------------------------------------------------------------------------------------------------------------ oracles


def sphere(n):
    """Directions, (many, n), of which one is within 0.71° of any other: its cosine is above 1 - 8e-5."""
    angle = np.radians(np.arange(0, 360))
    if n == 2:
        return np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    height = np.sin(np.radians(np.arange(-90, 91)))[:, None]
    radius = np.sqrt(1 - height**2)
    points = np.broadcast_arrays(radius * np.cos(angle), radius * np.sin(angle), height)
    return np.stack(points, axis=-1).reshape(-1, 3)


def errors(E, D, b, x, target, importance=1.0, relu=True, hidden_relu=False):
    """Loss of each example of one model, from scratch: one einsum a layer."""
    h = np.einsum("kj,...j->...k", E, x)
    h = np.where(h > 0, h, 0) if hidden_relu else h
    z = np.einsum("ki,...k->...i", D, h) + b
    y = np.where(z > 0, z, 0) if relu else z
    return (np.asarray(importance) * (target - y) ** 2).sum(-1)


def worst_on_the_sphere(E, D, b, x, target, budget, importance=1.0, **model):
    """The largest loss of one example x (n,), over all δ of length `budget` on the grid, and 0."""
    moved = np.concatenate([x[None], x + budget * sphere(len(x))])
    return errors(E, D, b, moved, target, importance, **model).max()


def climb(W, b, x, budget, starts, steps=200):
    """Projected gradient ascent on the loss of a tied ReLU model at one x, from x and from `starts` (k, n) near it.

    Returns the largest excess met.
    """
    delta, best = np.concatenate([np.zeros((1, len(x))), starts]), 0.0
    clean = errors(W, W, b, x, x)
    for _ in range(steps):
        z = (x + delta) @ (W.T @ W) + b
        gradient = (2 * (np.maximum(z, 0) - x) * (z > 0)) @ (W.T @ W)
        delta = delta + budget / 10 * gradient / np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), 1e-12)
        delta *= np.minimum(1, budget / np.maximum(np.linalg.norm(delta, axis=1, keepdims=True), 1e-300))
        best = max(best, (errors(W, W, b, x + delta, x) - clean).max())
    return best


def in_the_ball(rng, count, n, radius):
    """Points uniform in the ball, (count, n)."""
    points = rng.normal(size=(count, n))
    return points / np.linalg.norm(points, axis=1, keepdims=True) * radius * rng.random((count, 1)) ** (1 / n)


def polygon(k):
    angle = 2 * np.pi * np.arange(k) / k
    return np.array([np.cos(angle), np.sin(angle)])


def model(seed, n, m=2):
    """A random pair (E, D), b, and four examples."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.8, (2, m, n)), rng.normal(0, 0.3, n), rng.random((4, n)) * (rng.random((4, n)) < 0.7)


def excesses(found, E, D, b, x, **options):
    """Loss of each example after the attack that was found."""
    return errors(E, D, b, x + found.delta, x, **options)


# ------------------------------------------------------------------------------------------------- the worst there is


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "pair"])
@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("budget", [0.03, 0.5, 3.0])
def test_on_one_output_no_attack_on_the_sphere_does_more(n, activation, tied, budget):
    """Exact at every budget, also where the output is off at x; the grid comes as near as its gaps allow."""
    for seed in range(4):
        (E, D), b, x = model(seed, n)
        D = E if tied else D
        relu = activation == "relu"
        for i in range(n):
            only = np.eye(n)[i]
            found = tms.worst_attack(E if tied else (E, D), b, x, budget, only, activation)
            ours = excesses(found, E, D, b, x, importance=only, relu=relu)
            grid = np.array([worst_on_the_sphere(E, D, b, one, one, budget, only, relu=relu) for one in x])
            np.testing.assert_array_less(grid, ours + 1e-12)
            # A grid point beside the row moves the output by `less` less, and the error is a square.
            less = 8e-5 * budget * np.linalg.norm(D[:, i] @ E)
            np.testing.assert_array_less(ours, grid + 2 * less * np.sqrt(ours) + 1e-12)
            assert found.attacked == pytest.approx(ours.mean(), rel=1e-12)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "pair"])
@pytest.mark.parametrize("n", [2, 3])
def test_on_all_outputs_it_lies_between_its_bounds(n, tied):
    """Below the worst of the sphere, which is below the sum of the worst on each output alone."""
    for seed in range(6):
        (E, D), b, x = model(seed, n)
        D, budget = E if tied else D, 0.2
        W = E if tied else (E, D)
        importance = np.arange(1.0, n + 1)
        ours = excesses(tms.worst_attack(W, b, x, budget, importance), E, D, b, x, importance=importance)
        grid = np.array([worst_on_the_sphere(E, D, b, one, one, budget, importance) for one in x])
        alone = sum(excesses(tms.worst_attack(W, b, x, budget, only), E, D, b, x, importance=only)
                    for only in np.diag(importance))  # fmt: skip
        np.testing.assert_array_less(ours, grid * (1 + 1e-3) + 1e-12)
        np.testing.assert_array_less(grid, alone + 1e-12)


@pytest.mark.parametrize("k", [2, 3])
def test_a_linear_polygon_is_attacked_as_badly_as_it_can_be(k):
    """W Wᵀ is a multiple of 1, so every direction in the rows' space is the worst: |Wᵀ W δ|² = (ε k / 2)²."""
    W, x = polygon(k)[: k - 1], np.zeros((1, k))
    scale = (W @ W.T)[0, 0]
    found = tms.worst_attack(W, np.zeros(k), x, 0.3, activation="linear")
    assert found.vulnerability == pytest.approx(scale**2, rel=1e-12)
    grid = worst_on_the_sphere(W, W, np.zeros(k), x[0], x[0], 0.3, relu=False)
    assert grid <= found.attacked * (1 + 1e-12)
    assert grid == pytest.approx(found.attacked, rel=5e-4)


def test_one_direction_for_a_model_is_the_best_of_its_rows_and_signs():
    for seed in range(5):
        (E, D), b, x = model(seed, 3)
        found = tms.worst_attack((E, D), b, x, 0.4, per="model")
        rows = D.T @ E
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        tried = [errors(E, D, b, x + sign * 0.4 * row, x).mean() for row in rows for sign in (1, -1)]
        assert found.attacked == pytest.approx(max(tried), rel=1e-12)
        assert np.ptp(found.delta, axis=0).max() == 0
        assert found.attacked <= tms.worst_attack((E, D), b, x, 0.4).attacked


@given(strategies.chains(), st.floats(1e-3, 2), st.booleans())
def test_what_is_returned_is_what_happens(chain, budget, shared):
    """The losses are those of x and x + δ, δ is no longer than the budget, and no attack helps the model."""
    found = tms.worst_attack(**chain._asdict(), budget=budget, per="model" if shared else "example")
    np.testing.assert_allclose(found.clean, tms.loss(**chain._asdict()), rtol=1e-12)
    target = chain.x if chain.target is None else chain.target
    moved = chain._replace(x=chain.x + found.delta, target=target)
    np.testing.assert_allclose(found.attacked, tms.loss(**moved._asdict()), rtol=1e-12)
    lengths = np.linalg.norm(found.delta, axis=-1)
    assert (np.isclose(lengths, budget, rtol=1e-12) | (lengths == 0)).all()
    assert (found.excess >= 0).all()


# ------------------------------------------------------------------------------------------------------------ masking


def test_climbing_the_gradient_is_masked_where_the_outputs_are_off():
    """Twenty digons at x = 0, where a bias of -0.7 ε |r_i| keeps every output off: at x, and in almost all of the ball.

    The gradient is exactly 0 there, and a start in the ball has r_i · δ near ε |r_i| / √40.
    """
    W, budget, n = np.kron(np.eye(20), [[1.0, -1.0]]), 0.1, 40
    push = budget * np.sqrt(2)  # |r_i| = √2
    b, x = np.full(n, -0.7 * push), np.zeros(n)
    starts = in_the_ball(np.random.default_rng(0), 200, n, budget)
    assert climb(W, b, x, budget, starts) == 0
    found = tms.worst_attack(W, b, x[None], budget)
    assert found.excess == pytest.approx((0.3 * push) ** 2, rel=1e-12)


def test_climbing_the_gradient_finds_more_where_the_outputs_are_on():
    """The same climber, where nothing masks it: the rows are a bound from below, and it is no broken climber."""
    rng = np.random.default_rng(1)
    W, b, x = rng.normal(0, 0.5, (3, 6)), np.full(6, 0.1), rng.uniform(0.3, 1, 6)
    ours = tms.worst_attack(W, b, x[None], 0.2).excess
    climbed = climb(W, b, x, 0.2, in_the_ball(rng, 50, 6, 0.2))
    assert 0 < ours < climbed


# ------------------------------------------------------------------------------------------------------- exact checks


@pytest.mark.parametrize("per", ["example", "model"])
@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_an_identity_model_adds_what_the_attack_adds(activation, per):
    x, budget = np.random.default_rng(0).uniform(0.5, 1, (7, 4)), 0.25
    found = tms.worst_attack(np.eye(4), np.zeros(4), x, budget, activation=activation, per=per)
    y = tms.forward(np.eye(4), np.zeros(4), x + found.delta, activation)
    np.testing.assert_array_equal(y, x + found.delta)
    assert (found.clean, found.attacked) == (0, pytest.approx(budget**2, rel=1e-14))
    assert found.vulnerability == pytest.approx(1, rel=1e-14)
    assert (np.count_nonzero(found.delta, axis=-1) == 1).all()


@pytest.mark.parametrize("W", [polygon(5), np.array([[1.0, -1.0]]), np.random.default_rng(2).normal(size=(3, 6))])
def test_an_output_moves_by_its_share_of_a_dimension(W):
    """Output i alone, linear: the excess is ε² |W_i|⁴ / D_i at an x that it answers rightly."""
    n = W.shape[1]
    expected = tms.feature_norms(W) ** 4 / tms.dimensionality(W)
    b, x = np.zeros(n), np.zeros((1, n))
    found = [tms.worst_attack(W, b, x, 0.1, only, "linear").vulnerability for only in np.eye(n)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_hidden_relu_that_is_on_is_the_linear_hidden_layer():
    rng = np.random.default_rng(0)
    W, b, x = rng.uniform(0, 1, (2, 3, 5)), rng.normal(0, 0.1, (2, 5)), rng.uniform(0.5, 1, (2, 8, 5))
    for per in ("example", "model"):
        linear, relu = (tms.worst_attack(W, b, x, 0.3, hidden=hidden, per=per) for hidden in ("linear", "relu"))
        np.testing.assert_allclose(relu.delta, linear.delta, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(relu.attacked, linear.attacked, rtol=1e-12)


def test_a_hidden_relu_within_one_pattern_of_neurons():
    """As long as no neuron switches, the row of the neurons that are on at x is the worst on one output."""
    budget, tested = 1e-3, 0
    for seed in range(8):
        (E, D), b, x = model(seed, 3, m=4)
        fixed = (abs(x @ E.T) > budget * np.linalg.norm(E, axis=1)).all(-1)
        x = x[fixed]
        for i in range(3) if len(x) else ():
            only = np.eye(3)[i]
            found = tms.worst_attack((E, D), b, x, budget, only, hidden="relu")
            ours = excesses(found, E, D, b, x, importance=only, hidden_relu=True)
            grid = [worst_on_the_sphere(E, D, b, one, one, budget, only, hidden_relu=True) for one in x]
            clean = errors(E, D, b, x, x, only, hidden_relu=True)
            np.testing.assert_allclose(grid - clean, ours - clean, rtol=1e-3, atol=1e-12)
            tested += ((ours - clean) > 1e-6).sum()
    assert tested > 20


def test_the_absolute_value_with_two_neurons_a_feature():
    """At x ≠ 0 one of the two is on: the row is ±e_i. Over a batch of both signs the mean row is 0: no attack."""
    E, D = np.kron(np.eye(2), [[1.0], [-1.0]]), np.kron(np.eye(2), [[1.0], [1.0]])
    x = np.array([[0.5, -0.5], [-0.5, 0.5]])
    found = tms.worst_attack((E, D), np.zeros(2), x, 0.1, hidden="relu", target=abs(x))
    assert found.vulnerability == pytest.approx(1, rel=1e-12)
    shared = tms.worst_attack((E, D), np.zeros(2), x, 0.1, hidden="relu", target=abs(x), per="model")
    masked = tms.worst_attack((E, D), np.zeros(2), 0 * x, 0.1, hidden="relu")  # no neuron is on
    for found in (shared, masked):
        assert (found.delta == 0).all()
        assert found.excess == 0


# --------------------------------------------------------------------------------------------------------- invariance


@pytest.fixture
def stack():
    """Three pairs of different weights, a bias each, and six examples each."""
    rng = np.random.default_rng(5)
    W = rng.normal(0, 0.7, (2, 3, 2, 5))
    return tuple(W), rng.normal(0, 0.2, (3, 5)), rng.random((3, 6, 5)), np.array([0.1, 0.2, 0.3])


@pytest.mark.parametrize("hidden", ["linear", "relu"])
@pytest.mark.parametrize("per", ["example", "model"])
def test_a_stack_is_each_alone(stack, per, hidden):
    (E, D), b, x, budget = stack
    options = {"per": per, "hidden": hidden}
    together = tms.worst_attack((E, D), b, x, budget, **options)
    for k in range(3):
        alone = tms.worst_attack((E[k], D[k]), b[k], x[k], budget[k], **options)
        for name in ("delta", "budget", "clean", "attacked", "excess", "vulnerability"):
            np.testing.assert_allclose(getattr(together, name)[k], getattr(alone, name), rtol=1e-12, atol=1e-14)
    shared = tms.worst_attack((E, D), b, x[0], budget, **options)  # all models on the same examples
    np.testing.assert_allclose(shared.attacked[0], together.attacked[0], rtol=1e-12)
    assert shared.delta.shape == (3, 6, 5)


@pytest.mark.parametrize("per", ["example", "model"])
def test_renaming_features_and_turning_the_hidden_space(stack, per):
    (E, D), b, x, budget = stack
    importance, order = np.arange(1.0, 6), np.array([3, 0, 4, 1, 2])
    found = tms.worst_attack((E, D), b, x, budget, importance, per=per)
    renamed = tms.worst_attack((E[..., order], D[..., order]), b[:, order], x[..., order], budget, importance[order],
                               per=per)  # fmt: skip
    np.testing.assert_allclose(renamed.delta, found.delta[..., order], rtol=1e-12, atol=1e-14)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(2, 2)))[0]
    turned = tms.worst_attack((turn @ E, turn @ D), b, x, budget, importance, per=per)
    np.testing.assert_allclose(turned.delta, found.delta, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(turned.attacked, found.attacked, rtol=1e-12)


def test_float32_stays_float32(stack):
    (E, _), b, x, budget = stack
    single = tms.worst_attack(E.astype("f4"), b.astype("f4"), x.astype("f4"), budget)
    assert single.delta.dtype == single.attacked.dtype == np.float32
    np.testing.assert_allclose(single.attacked, tms.worst_attack(E, b, x, budget).attacked, rtol=1e-5)


# ------------------------------------------------------------------------------------------------------------ choices


def test_choices_narrow_what_is_tried(stack):
    """Some outputs, one sign, or clipped: never worse than all; the best of the outputs is all of them."""
    (E, D), b, x, budget = stack

    def attacked(**options):
        return tms.worst_attack((E, D), b, x, budget, per="model", **options).attacked

    free = attacked()
    np.testing.assert_array_equal(np.max([attacked(outputs=i) for i in range(5)], axis=0), free)
    np.testing.assert_array_equal(np.maximum(attacked(outputs=[0, 3]), attacked(outputs=[1, 2, 4])), free)
    for per in ("example", "model"):
        both, upwards = (tms.worst_attack((E, D), b, x, budget, per=per, both_signs=flag) for flag in (True, False))
        assert (upwards.attacked <= both.attacked).all()


def test_a_push_upwards_is_along_the_row_and_a_push_downwards_may_be_worse():
    """At x = 1 a single feature that is answered too low, y = 0.25, is worst off with less of it."""
    one, b, x = np.array([[0.5]]), np.zeros(1), np.ones((1, 1))
    assert tms.worst_attack(one, b, x, 0.2).delta == -0.2
    assert tms.worst_attack(one, b, x, 0.2, both_signs=False).delta == 0  # 0.2 more of it would help
    W = polygon(5)
    found = tms.worst_attack(W, np.zeros(5), np.zeros((1, 5)), 0.2, outputs=2, both_signs=False)
    row = W.T @ W[:, 2]
    np.testing.assert_allclose(found.delta[0], 0.2 * row / np.linalg.norm(row), rtol=1e-12)


def test_clipping_keeps_x_within_and_the_attack_within_its_budget(stack):
    (E, D), b, x, budget = stack
    clipped = tms.worst_attack((E, D), b, x, budget, within=(0, 1))
    moved = x + clipped.delta
    assert moved.min() >= 0
    assert moved.max() <= 1 + 1e-15
    assert (np.linalg.norm(clipped.delta, axis=-1) <= budget[:, None] * (1 + 1e-12)).all()
    np.testing.assert_allclose(clipped.attacked, tms.loss((E, D), b, moved, target=x), rtol=1e-12)
    wide = tms.worst_attack((E, D), b, x, budget, within=(-9, 9))
    np.testing.assert_allclose(wide.attacked, tms.worst_attack((E, D), b, x, budget).attacked, rtol=1e-12)


# ---------------------------------------------------------------------------------------------- no attack, bad input


def test_dead_outputs_have_no_attack(stack):
    """W_i = 0: no δ moves output i. A model of zeros, or a budget of 0, leaves the loss as it is."""
    (E, _), b, x, budget = stack
    E = E.copy()
    E[..., 2] = 0
    dead = tms.worst_attack(E, b, x, budget, outputs=2)
    assert (dead.delta == 0).all()
    np.testing.assert_array_equal(dead.attacked, dead.clean)
    for nothing in (tms.worst_attack(0 * E, b, x, budget), tms.worst_attack(E, b, x, 0)):
        assert (nothing.delta == 0).all()
        assert (nothing.excess == 0).all()
    with pytest.raises(ValueError, match="vulnerability is the excess divided by budget²; expected a budget above 0"):
        tms.worst_attack(E, b, x, [0.1, 0, 0.1]).vulnerability  # noqa: B018


@pytest.mark.parametrize("per", ["example", "model"])
def test_outputs_that_a_bias_keeps_off_cannot_be_hurt(stack, per):
    """No row of this length turns an output on: the answer is 0 before and after, and the vulnerability exactly 0."""
    (E, D), _, x, budget = stack
    b = np.full((3, 5), -50.0)
    for W in (E, (E, D)):
        found = tms.worst_attack(W, b, x, budget, per=per)
        assert (found.delta == 0).all()
        np.testing.assert_allclose(found.attacked, (x**2).sum(-1).mean(-1), rtol=1e-12)
        assert (found.vulnerability == 0).all()
        two_off = np.where(np.arange(5) < 2, -50.0, 0.0)  # and three not: as if the two did not count
        half = tms.worst_attack(W, two_off, x, budget, per=per)
        others = tms.worst_attack(W, two_off, x, budget, importance=[0, 0, 1, 1, 1], per=per)
        np.testing.assert_allclose(half.excess, others.excess, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"budget": -0.1}, ValueError, r"budget holds -0.1; expected every value at least 0"),
        ({"budget": np.nan}, ValueError, r"budget holds nan at index \(\)"),
        ({"budget": [0.1, np.inf, 0.1]}, ValueError, r"budget holds inf at index \(1,\)"),
        ({"budget": [0.1, 0.2]}, ValueError, r"budget has shape \(2,\); expected a scalar, or one a model, \(3,\)"),
        ({"budget": "0.1"}, TypeError, r"budget has dtype"),
        ({"outputs": 5}, ValueError, r"outputs is 5; expected at least one index, each from 0 to n - 1 = 4"),
        ({"outputs": [0, 7]}, ValueError, r"outputs is \[0, 7\]; expected"),
        ({"outputs": []}, ValueError, r"outputs is \[\]; expected at least one index"),
        ({"outputs": -1}, ValueError, r"outputs is -1; expected at least 0"),
        ({"outputs": 1.0}, TypeError, r"outputs is .*1.0.*; expected a whole number"),
        ({"per": "batch"}, ValueError, r"per is 'batch'; expected one of 'example', 'model'"),
        ({"both_signs": 1}, TypeError, r"both_signs is 1; expected True or False"),
        ({"within": 1}, TypeError, r"within is 1; expected a pair \(low, high\), or None"),
        ({"within": (0, np.inf)}, ValueError, r"within is inf; expected a finite number"),
        ({"within": (0, 0.5)}, ValueError, r"x runs from .*; expected it within \(0, 0.5\)"),
        ({"hidden": "tanh"}, ValueError, r"hidden is 'tanh'; expected one of"),
        ({"W": np.full((3, 2, 5), np.nan)}, ValueError, r"W holds nan"),
        ({"b": np.full((3, 5), np.inf)}, ValueError, r"b holds inf"),
        ({"x": np.full((3, 6, 5), np.nan)}, ValueError, r"x holds nan"),
        ({"target": np.full((3, 6, 5), np.nan)}, ValueError, r"target holds nan"),
        ({"x": np.ones(5)}, ValueError, r"one example is written x\[None, :\]"),
    ],
)
def test_bad_input(stack, given, error, message):
    W, b, x, budget = stack
    with pytest.raises(error, match=message) as caught:
        tms.worst_attack(**{"W": W, "b": b, "x": x, "budget": budget} | given)
    assert not re.search(r"broadcast_to|operands", str(caught.value))


@pytest.mark.parametrize(("dtype", "budget"), [(np.float64, 1e-200), (np.float32, 1e-25)])
def test_a_budget_whose_square_vanishes_has_no_vulnerability(dtype, budget):
    found = tms.worst_attack(np.eye(2, dtype=dtype), np.zeros(2, dtype), np.array([[1, 0]], dtype), budget)
    with pytest.raises(ValueError, match=r"expected a budget above 1e-(154|19), got 1e-"):
        _ = found.vulnerability
