"""Theory's losses: against the exact loss of the weights they stand for, against sampling, and at the boundaries."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitms import theory
from minitms.expected import expected_loss, minimise_expected_loss
from minitms.model import loss


def weights_of(configuration, n, s):
    """W and b that a configuration stands for."""
    W, b = np.zeros((n - 1, n)), np.full(n, s / 2)
    extra = n - 1
    kept = {
        "first": [[j] for j in range(n - 1)],
        "extra": [[j] for j in range(1, n)],
        "superposed": [[0, extra]] + [[j] for j in range(1, n - 1)],
        "others": [[0, 1], [extra]],
    }[configuration]
    for row, features in enumerate(kept):
        W[row, features] = [1, -1][: len(features)]
        b[features] = 0
    return W, b


CONFIGURATIONS = [(n, name) for n in (2, 3) for name in theory.CONFIGURATIONS[n]]
POINTS = [(1.0, 0.3), (0.5, 1.0), (4 / 7, 2.0), (0.05, 0.1), (0.9, 8.0)]  # (density, importance)


def importances(n, r):
    return np.array([1.0] * (n - 1) + [r])


def loss_of(configuration, n, s, r, activation):
    return theory.configuration_losses(s, r, activation, n)[theory.CONFIGURATIONS[n].index(configuration)]


@pytest.mark.parametrize(("s", "r"), POINTS)
@pytest.mark.parametrize(("n", "configuration"), CONFIGURATIONS)
def test_each_loss_is_the_exact_loss_of_its_weights(n, configuration, s, r):
    W, b = weights_of(configuration, n, s)
    relu = expected_loss(W, b, s, importances(n, r), "relu")
    assert loss_of(configuration, n, s, r, "relu") == pytest.approx(relu, rel=1e-13)
    best_bias = (np.eye(n) - W.T @ W) @ np.full(n, s / 2)       # for the linear model a pair needs its own bias
    linear = expected_loss(W, best_bias, s, importances(n, r), "linear")
    assert loss_of(configuration, n, s, r, "linear") == pytest.approx(linear, rel=1e-13)


@pytest.mark.parametrize(("s", "r"), POINTS)
@pytest.mark.parametrize(("n", "configuration"), CONFIGURATIONS)
def test_each_loss_agrees_with_sampling(n, configuration, s, r):
    rng = np.random.default_rng(0)
    x = rng.random((200_000, 1, n)) * (rng.random((200_000, 1, n)) < s)
    W, b = weights_of(configuration, n, s)
    losses = loss(W, b, x, importances(n, r))
    z = (losses.mean() - loss_of(configuration, n, s, r, "relu")) / (losses.std(ddof=1) / math.sqrt(len(losses)))
    assert abs(z) < 4.5


@given(st.floats(0, 10), st.sampled_from([2, 3]))
def test_superposition_wins_below_the_boundary_and_only_there(r, n):
    star = theory.boundary_density(r, n)
    for s in np.linspace(0.001, 1, 40):
        least = theory.configuration_losses(s, r, "relu", n).min()
        pairs = [k for k, name in enumerate(theory.CONFIGURATIONS[n]) if name in ("superposed", "others")]
        with_pairs = theory.configuration_losses(s, r, "relu", n)[pairs].min()
        assert (with_pairs <= least) == (s <= star) or abs(s - star) < 1e-9


def test_boundary_at_known_points():
    np.testing.assert_allclose(theory.boundary_density([0.1, 1, 10]), [0.16, 4 / 7, 0.16], rtol=1e-14)
    np.testing.assert_allclose(theory.boundary_density([0.1, 1, 10], n=3), [0.16, 4 / 7, 4 / 7], rtol=1e-14)
    assert theory.boundary_density(0.0) == 0


@pytest.mark.parametrize("n", [2, 3])
def test_losses_meet_at_the_triple_point(n):
    r, s = theory.TRIPLE_POINT
    losses = theory.configuration_losses(s, r, "relu", n)
    np.testing.assert_allclose(losses, losses[0], rtol=1e-14)
    assert theory.boundary_density(r, n) == pytest.approx(s, rel=1e-15)


@pytest.mark.parametrize(
    ("n", "s", "r", "relu", "linear"),
    [
        (2, 0.9, 0.3, "first", "first"),
        (2, 0.9, 3.0, "extra", "extra"),
        (2, 0.05, 0.3, "superposed", "first"),
        (2, 0.05, 3.0, "superposed", "extra"),
        (3, 0.9, 0.3, "first", "first"),
        (3, 0.9, 3.0, "extra", "extra"),
        (3, 0.05, 0.3, "superposed", "first"),
        (3, 0.05, 3.0, "others", "extra"),
    ],
)
def test_predicted_configuration(n, s, r, relu, linear):
    assert theory.CONFIGURATIONS[n][theory.predicted_configuration(s, r, "relu", n)] == relu
    assert theory.CONFIGURATIONS[n][theory.predicted_configuration(s, r, "linear", n)] == linear


def test_a_grid_is_one_call():
    s, r = np.linspace(0, 1, 5)[:, None], np.linspace(0, 10, 7)
    assert theory.configuration_losses(s, r).shape == (3, 5, 7)
    assert theory.configuration_losses(s, r, n=3).shape == (4, 5, 7)
    assert theory.predicted_configuration(s, r).shape == (5, 7)
    assert (theory.predicted_configuration(0.0, r) == 0).all()


def test_away_from_boundary():
    star = theory.boundary_density(0.5)
    far, near = math.exp(0.21), math.exp(0.19)
    s = star * np.array([far, near, 1, 1 / near, 1 / far])
    np.testing.assert_array_equal(theory.away_from_boundary(s, 0.5), [True, False, False, False, True])
    r = np.exp([0.11, 0.09, 0, -0.09, -0.11])
    np.testing.assert_array_equal(theory.away_from_boundary(0.01, r), [True, False, False, False, True])
    np.testing.assert_array_equal(theory.away_from_boundary(0.5, r, "linear"), [True, False, False, False, True])
    assert not theory.away_from_boundary([0.0, 0.5], [2.0, 0.0]).any()


def test_losses_are_upper_bounds_by_up_to_fourteen_percent():
    """Newton's method goes below the best configuration: far near r = 1, hardly at all elsewhere."""
    rng = np.random.default_rng(1)
    for s, r, gain in [(4 / 7, 1.0, 0.14), (0.572, 0.977, 0.13), (0.7, 1.0, 0.024), (0.9, 1.0, 0.004)]:
        start = 1.5 * rng.standard_normal((64, 1, 2)), 0.5 * rng.standard_normal((64, 2))
        least = minimise_expected_loss(*start, s, [1, r]).loss.min()
        bound = theory.configuration_losses(s, r).min()
        assert 1 - least / bound == pytest.approx(gain, rel=0.1)


@pytest.mark.parametrize("s", [0.01, 0.2, 0.5, 0.7, 0.9, 0.99, 1.0])
def test_dropping_the_extra_feature_is_stable_up_to_the_onset_and_not_beyond(s):
    """Give the dropped feature a weight of 1e-3 and descend: it is lost again below the onset, and grows above it."""
    onset = theory.onset_importance(s)
    W, b = np.array([[1.0, -1e-3]]), np.array([1e-4, s / 2])
    below = minimise_expected_loss(W, b, s, [1, onset * (1 - 2e-3)])
    above = minimise_expected_loss(W, b, s, [1, onset * (1 + 2e-3)])
    assert abs(below.W[0, 1]) < 1e-5
    assert above.W[0, 0] * above.W[0, 1] < -0.01


def test_onset_at_known_points():
    assert theory.onset_importance(1.0) == 1                    # without sparsity theory's own line, r = 1
    assert theory.onset_importance(1e-6) == pytest.approx(1e-6, rel=1e-3)
    with pytest.raises(ValueError, match="density holds 0"):
        theory.onset_importance([0.5, 0.0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.5, 1.0), "density holds 1.5"),
        ((-0.1, 1.0), "density holds -0.1"),
        ((0.5, -1.0), "importance holds -1"),
        ((0.5, np.nan), "importance holds nan"),
        ((0.5, 1.0, "tanh"), "activation is 'tanh'"),
        ((0.5, 1.0, "relu", 4), "n is 4; expected one of 2, 3"),
        (([0.1, 0.2], [1.0, 2.0, 3.0]), r"do not broadcast.*density\[:, None\]"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    for function in (theory.configuration_losses, theory.predicted_configuration, theory.away_from_boundary):
        with pytest.raises(ValueError, match=message):
            function(*arguments)


# ------------------------------------------------------------------------------------------ large, small, and denormal


def test_the_onset_at_the_smallest_densities_is_the_density():
    """r = s + O(s²): no ratio of two numbers that have both vanished."""
    s = np.array([5e-324, 1e-323, 1e-310, 1e-200, 1e-100])
    np.testing.assert_allclose(theory.onset_importance(s), s, rtol=1e-12)


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_the_least_loss_is_told_where_the_losses_themselves_vanish(activation, n):
    """The order of exact fractions, of the losses at the head of theory.py."""
    numbers = [5e-324, 1e-310, 1e-200, 1e-160, 1e-10, 0.3, 1.0]
    for s in numbers:
        for r in (0.0, *numbers, 3.0, 1e100, 1.7e308):
            S, R = Fraction(s), Fraction(r)
            v = S / 3 - S**2 / 4
            pair = S**2 / 6 if activation == "relu" else v
            losses = [R * v, v, (1 + R) * pair, 2 * pair][: 3 if n == 2 else 4]
            got = theory.predicted_configuration(s, r, activation, n)
            assert losses[got] <= min(losses) * (1 + Fraction(1, 10**12)), (s, r)


def test_the_boundary_at_the_largest_importances():
    r = np.array([1e308, 1.7e308, 5e-324])
    with np.errstate(over="raise"):
        np.testing.assert_allclose(theory.boundary_density(r), [2e-308, 2 / 1.7e308, 1e-323], rtol=1e-12)
