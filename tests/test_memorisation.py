"""What the figure of the follow-up measures, on examples and models made by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose

import minitms as tms
from figures import memorisation
from figures.double_descent import crossing
from figures.memorisation import hidden_examples, is_pentagon, loss_on, of_best, scaled_examples, shares

RNG = np.random.default_rng(0)


def polygon(count, turn=0.3):
    angle = turn + 2 * np.pi * np.arange(count) / count
    return np.stack([np.cos(angle), np.sin(angle)])


def disjoint_examples(count, each=2):
    """Examples of length 1 that have no feature in common."""
    x = np.kron(np.eye(count), np.ones(each)) * RNG.uniform(0.2, 1, count * each)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_examples_have_length_1_and_a_larger_set_begins_with_the_smaller():
    x = scaled_examples(20, 500, seed=3)
    assert x.shape == (500, 20)
    assert_allclose(np.linalg.norm(x, axis=1), 1, rtol=1e-14)
    assert np.array_equal(x[:50], scaled_examples(20, 50, seed=3))
    assert not np.array_equal(x[:50], scaled_examples(20, 50, seed=4))


def test_ten_features_are_on_and_none_in_no_example():
    x = scaled_examples(1000, 4000, seed=0)
    on = (x > 0).sum(axis=1)
    assert on.min() >= 1
    assert abs(on.mean() - 10) < 6 * np.sqrt(10 / 4000)  # six standard errors


def test_an_example_without_any_feature_is_left_out(monkeypatch):
    drawn = np.zeros((5 + memorisation.SPARE, 3))
    drawn[[1, 3, 4, 6, 8, 9], 0] = [1, 2, 3, 4, 5, 6]
    drawn[[1, 3], 1] = 1
    monkeypatch.setattr(tms, "SparseFeatures", lambda n, density: SimpleNamespace(sample=lambda count, seed: drawn))
    x = scaled_examples(3, 5, seed=0)
    assert_allclose(x[:, 0], [0.5**0.5, 0.8**0.5, 1, 1, 1])


def test_the_model_that_answers_0_has_loss_1():
    x = scaled_examples(100, 2500, seed=1)
    assert abs(loss_on(np.zeros((2, 100)), np.zeros(100), x) - 1) < 1e-12


@pytest.mark.parametrize("count", [999, 1000, 1001, 2500])
def test_the_loss_in_parts_is_the_loss(count):
    x = scaled_examples(20, count, seed=1)
    W, b = RNG.normal(size=(2, 20)), RNG.normal(size=20)
    assert_allclose(loss_on(W, b, x), ((np.maximum(x @ W.T @ W + b, 0) - x) ** 2).sum() / count, rtol=1e-12)


@pytest.mark.parametrize("count", [3, 5, 8, 50])
def test_examples_on_a_polygon_cost_nothing_and_share_two_dimensions(count):
    """c² = 1 / (1 - cos(2π/T)), W_i = c x_i u_t, b_i = -(c² - 1) x_i, for the example t in which i is on."""
    x, c2 = disjoint_examples(count), 1 / (1 - np.cos(2 * np.pi / count))
    W, b = np.sqrt(c2) * polygon(count) @ x, -(c2 - 1) * x.sum(axis=0)
    assert tms.loss(W, b, x) < 1e-20
    run = SimpleNamespace(x=x[None], W=np.stack([0 * W, W])[:, None], best=np.array([1]))
    assert_allclose(shares(hidden_examples(run)), np.full((1, count), 2 / count), rtol=1e-10)


def test_nearer_corners_cannot_answer_without_error():
    x, c2 = disjoint_examples(8), 0.9 / (1 - np.cos(np.pi / 4))
    W, b = np.sqrt(c2) * polygon(8) @ x, -(c2 - 1) * x.sum(axis=0)
    assert tms.loss(W, b, x) > 1e-3


def test_shares_are_the_dimensionality():
    v = RNG.normal(size=(3, 2, 40))
    v[1, :, 7] = 0
    assert_allclose(shares(v), np.sort(tms.dimensionality(v), axis=-1)[:, ::-1], rtol=1e-10)
    assert shares(v)[1, -1] == 0


def test_a_pentagon_is_known_whatever_its_turn_and_the_small_features_beside_it():
    W = np.concatenate([1.2 * polygon(5), 0.2 * RNG.normal(size=(2, 30)).clip(-1, 1)], axis=1)[:, RNG.permutation(35)]
    assert is_pentagon(W)
    for turn in np.linspace(0, 6, 13):
        assert is_pentagon(polygon(5, turn))
    assert not is_pentagon(polygon(4))
    assert not is_pentagon(polygon(6))
    assert not is_pentagon(0.4 * polygon(5))
    assert not is_pentagon(np.zeros((2, 7)))


@pytest.mark.parametrize(("turn", "answer"), [(8, True), (-8, True), (12, False), (-12, False)])
def test_a_pentagon_may_be_off_by_ten_degrees(turn, answer):
    angle = np.radians([0, 72, 144, 216, 288 + turn])
    assert is_pentagon(np.stack([np.cos(angle), np.sin(angle)])) == answer


@pytest.mark.parametrize("importance", [1.0, 0.05])
def test_losses_of_a_run_are_those_of_its_models_at_importance_1(importance):
    run = memorisation.train(6, n=20, data_sets=2, starts=3, steps=30, importance=importance)
    assert run.W.shape == (3, 2, 2, 20)
    for start in range(3):
        for k in range(2):
            assert_allclose(run.loss[start, k], tms.loss(run.W[start, k], run.b[start, k], run.x[k]), rtol=1e-5)
    unseen = scaled_examples(20, memorisation.TEST, memorisation.UNSEEN)
    assert_allclose(run.test[1, 1], tms.loss(run.W[1, 1], run.b[1, 1], unseen), rtol=1e-4)
    assert_allclose(of_best(run, "loss"), run.loss.min(axis=0))
    assert np.array_equal(of_best(run, "W")[1], run.W[run.loss[:, 1].argmin(), 1])
    assert not np.array_equal(run.x[0], run.x[1])


def test_a_curve_comes_down_through_1_where_it_does_so_last():
    x = np.array([1.0, 10, 100, 1000])
    assert_allclose(crossing(x, np.array([0.9, 3, 1.5, 0.5])), 10**2.5)
    assert_allclose(crossing(x, np.array([3, 0.9, 1.1, 1.0 - 0.3])), 10**2.25)
    assert np.isnan(crossing(x, np.array([0.9, 3, 1.5, 1.2])))
    assert np.isnan(crossing(x, np.full(4, 0.5)))
