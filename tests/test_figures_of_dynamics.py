"""What the figures of sections 4 and 5 measure, on models and curves made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

import minitms as tms
from figures import confused_phase, correlated_features, learning_dynamics
from figures.learning_dynamics import Jump, groups, jumps
from figures.sets import cosines, stratified_loss

RNG = np.random.default_rng(0)


def test_stratified_loss_of_one_set_is_the_exact_loss_of_features_together():
    W, b = RNG.normal(size=(4, 2, 3)), 0.3 * RNG.normal(size=(4, 3))
    exact = tms.expected_loss(W, b, 0.3, pattern="together")
    assert_allclose(stratified_loss(W, b, 0.3, [0, 0, 0], 2**17), exact, rtol=0.01)


def test_stratified_loss_of_sets_of_one_is_the_exact_loss_of_independent_features():
    W, b = RNG.normal(size=(2, 3)), 0.3 * RNG.normal(size=3)
    assert_allclose(stratified_loss(W, b, 0.3, [0, 1, 2], 2**17), tms.expected_loss(W, b, 0.3), rtol=0.01)


def test_stratified_loss_of_two_sets_is_the_mean_over_samples():
    sets = [0, 0, 1, 0]
    W, b = RNG.normal(size=(2, 4)), 0.3 * RNG.normal(size=4)
    x = tms.SparseFeatures(4, 0.4, sets=sets, pattern="together").sample(2**17, seed=3)
    assert_allclose(stratified_loss(W, b, 0.4, sets, 2**17), tms.loss(W, b, x), rtol=0.02)


@pytest.mark.parametrize(
    ("D", "found"),
    [
        ([0.1, 0.15, 0.25, 0.35, 0.5], [(1, 4, True)]),
        ([0.1, 0.3, 0.1, 0.5, 0.3, 0.1], [(2, 3, True), (3, 5, False)]),
        ([0.3, 0.3, 0.5, 0.3, 0.6], []),
        ([0.1, 0.3, 0.2, 0.39], []),
        ([0.2, 0.4], [(0, 1, True)]),
    ],
)
def test_a_jump_goes_from_the_last_rest_below_to_the_first_above(D, found):
    assert [jump[1:] for jump in jumps(np.array(D)[:, None])] == found


def test_jumps_of_many_features_are_sorted_by_their_end():
    D = np.array([[0.1, 0.1], [0.1, 0.3], [0.3, 0.5], [0.5, 0.5]])
    assert jumps(D) == [Jump(1, 0, 2, True), Jump(0, 1, 3, True)]


def test_jumps_that_overlap_are_one_group():
    a, b, c, d = (Jump(i, *ends, True) for i, ends in enumerate([(0, 9), (2, 4), (8, 12), (12, 13)]))
    assert groups([b, a, c, d]) == [[b, a, c], [d]]


def test_the_loss_falls_three_times_as_fast_while_a_feature_jumps():
    steps = np.arange(0, 2000, 20)
    fall = np.full(99, 0.01)
    fall[:50] = 0.5     # until step 1,000 the mean is learned
    fall[50:60] = 0.02  # nothing jumps
    fall[60:70] = 0.03
    loss = 30 - np.append(0, np.cumsum(fall))
    measured = learning_dynamics.ratio_of_slopes([Jump(0, 60, 70, True)], loss, steps)
    assert_allclose(measured, 0.03 / ((10 * 0.02 + 29 * 0.01) / 39))


def octahedron(order):
    """Six unit vectors at right angles or opposite, in this order, turned by some rotation."""
    turn = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
    return turn @ np.concatenate([np.eye(3), -np.eye(3)], axis=1)[:, order]


def test_an_octahedron_is_known_and_its_antipodes_counted():
    assert learning_dynamics.is_octahedron(octahedron([0, 1, 2, 4, 5, 3]))
    assert learning_dynamics.across(octahedron([0, 1, 2, 4, 5, 3])) == 3
    assert learning_dynamics.across(octahedron([0, 3, 1, 4, 2, 5])) == 1
    bent = octahedron(range(6))
    bent[:, 0] = bent[:, 0] + 0.5 * bent[:, 1]
    assert not learning_dynamics.is_octahedron(bent)


def test_the_flattest_moment_of_a_stair_lies_on_its_middle_level():
    steps = np.append(0, np.geomspace(1, 1e4, 200))
    stairs = 1 / (1 + (steps / 50) ** 4) + 0.1 / (1 + (steps / 3000) ** 4) + 0.005
    assert_allclose(stairs[learning_dynamics.flattest(steps, stairs)], 0.105, rtol=0.05)


def test_partners_and_the_gaps_of_a_hexagon():
    angle = np.radians([0, 60, 120, 180, 300, 240])
    W = np.stack([np.cos(angle), np.sin(angle)]) * [1, 2, 1, 1, 1, 3]
    assert_allclose(correlated_features.partners(W), [0.5, 0.5, 0.5])
    gaps, side = correlated_features.hexagon(W[None])
    assert_allclose(gaps, 60)
    assert side.all()
    _, side = correlated_features.hexagon(W[None][..., [0, 2, 1, 3, 4, 5]])
    assert side[0].tolist() == [False, False, True]
    assert_allclose(cosines(W)[0], np.cos(angle))


def test_off_identity_sees_one_entry():
    W = np.concatenate([np.eye(10), np.eye(10)[::-1]], axis=1)
    W[3, 4] = 0.25
    assert_allclose(correlated_features.off_identity(W[None]), [[0.25, 0]])


def test_the_search_without_a_bias_ends_where_plain_descent_does():
    s, r = np.array([0.4, 0.8]), np.array([0.1, 1.0])
    W, loss, _ = confused_phase.without_bias(s, r)
    importance = np.stack([np.ones(2), r], axis=-1)
    starts = np.array([[0.5, -0.4], [0.5, 0.4], [0.8, 0.1], [0.1, 0.8]])
    V = np.tile(starts[:, None, None, None], (1, 2, 2, 1, 1))  # (starts, densities, importances, 1, 2)
    for _ in range(3000):
        V = V - 0.3 * tms.expected_gradients(V, [0.0, 0.0], s[:, None, None], importance)[0]
    ends = tms.expected_loss(V, [0.0, 0.0], s[:, None, None], importance)
    assert_allclose(loss, ends.min(axis=0), rtol=1e-8)
    best = np.take_along_axis(V[..., 0, :], ends.argmin(axis=0)[None, ..., None], axis=0)[0]
    assert_allclose(W * np.sign(W[..., :1]), best * np.sign(best[..., :1]), atol=1e-4)


def test_classes_of_one_neuron():
    W = np.array([[1, 0.1], [0.1, -1], [0.7, -0.7], [-0.7, -0.7]])
    assert confused_phase.classify(W).tolist() == [0, 1, 2, 3]
