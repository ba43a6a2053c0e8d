"""Neurons and their features: counts by loops, blocks planted by hand and found again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minitms as tms

numbers = st.integers(0, 2**32 - 1)


def planted(rng, threshold=0.3):
    """A model made of blocks, shuffled; and the blocks as sets. Every block is a path through all its members."""
    sizes = [(1, 1), (2, 3), (1, 4), (3, 2)]
    m, n = np.add(np.sum(sizes, axis=0), (1, 2))  # a neuron and two features that are in none
    rows, columns = rng.permutation(m).tolist(), rng.permutation(n).tolist()
    W, blocks = np.zeros((m, n)), []
    for k, i in sizes:
        neurons, features = [rows.pop() for _ in range(k)], [columns.pop() for _ in range(i)]
        for step in range(k + i - 1):
            W[neurons[min(step, k - 1)], features[max(step - k + 1, 0)]] = rng.choice([-1, 1]) * rng.uniform(0.6, 1)
        blocks.append((set(neurons), set(features)))
    W += rng.uniform(-1, 1, W.shape) * threshold * 0.5 * abs(W).max(axis=1, keepdims=True)  # 0.45 of 0.6 stays above
    return W * 10.0 ** rng.uniform(-3, 3, (m, 1)), blocks


@given(numbers)
def test_planted_blocks_are_found(seed):
    W, blocks = planted(np.random.default_rng(seed))
    found = tms.neuron_blocks(W)
    assert sorted(found) == sorted((tuple(sorted(k)), tuple(sorted(i))) for k, i in blocks)
    assert [block.neurons[0] for block in found] == sorted(min(k) for k, _ in blocks)


@given(numbers, st.sampled_from([0.0, 0.3, 0.9]))
def test_counts_are_those_of_a_loop(seed, threshold):
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(2, 3, 4, 5)) * (rng.random((2, 3, 4, 5)) < 0.7)
    per_neuron, per_feature = tms.features_per_neuron(W, threshold), tms.neurons_per_feature(W, threshold)
    assert (per_neuron.shape, per_feature.shape) == ((2, 3, 4), (2, 3, 5))
    for model in np.ndindex(2, 3):
        pairs = [(k, i) for k, row in enumerate(W[model].tolist()) for i, w in enumerate(row)
                 if abs(w) > threshold * max(map(abs, row))]  # fmt: skip
        assert per_neuron[model].tolist() == [sum(k == one for k, _ in pairs) for one in range(4)]
        assert per_feature[model].tolist() == [sum(i == one for _, i in pairs) for one in range(5)]
        blocks = tms.neuron_blocks(W[model], threshold)
        assert {(k, i) for block in blocks for k in block.neurons for i in block.features} >= set(pairs)
        assert sum(len(block.neurons) for block in blocks) == np.count_nonzero(per_neuron[model])
        assert sum(len(block.features) for block in blocks) == np.count_nonzero(per_feature[model])


def test_the_threshold_is_a_share_of_the_neurons_largest_weight():
    W = np.array([[1.0, 0.31, -0.29], [0.0, 0.0, 0.0], [-1e-300, 3.1e-301, 0.0], [1e300, -2.9e299, 0.0]])
    assert tms.features_per_neuron(W).tolist() == [2, 0, 2, 1]
    assert tms.neurons_per_feature(W).tolist() == [3, 2, 0]
    assert tms.features_per_neuron(W, 0.2).tolist() == [3, 0, 2, 2]
    assert tms.features_per_neuron([[2.0, 1.0]], 0.5).tolist() == [1]  # above, not at


def test_a_rotation_of_the_hidden_space_changes_what_neurons_stand_for():
    """Which is the point: geometry does not see it."""
    turned = np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2) @ np.eye(2)
    assert tms.features_per_neuron(np.eye(2)).tolist() == [1, 1]
    assert tms.features_per_neuron(turned).tolist() == [2, 2]
    np.testing.assert_allclose(tms.dimensionality(turned), tms.dimensionality(np.eye(2)), rtol=1e-14)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_nothing_is_connected_to_nothing(shape):
    W = np.zeros(shape)
    assert tms.features_per_neuron(W).tolist() == [0] * shape[0]
    assert tms.neurons_per_feature(W).tolist() == [0] * shape[1]
    assert tms.neuron_blocks(W) == []


@pytest.mark.parametrize("count", [tms.features_per_neuron, tms.neurons_per_feature, tms.neuron_blocks])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1.0, 2.0],), ValueError, r"W has shape \(2,\); expected \(\.\.\., m, n\)"),
        (([[1.0, np.nan]],), ValueError, "W holds nan at index"),
        ((tms.Weights(np.eye(2), np.eye(2)),), TypeError, "W is a pair"),
        ((np.eye(2), 1.0), ValueError, "threshold is 1; expected a share"),
        ((np.eye(2), -0.1), ValueError, "threshold is -0.1; expected a finite number of at least 0"),
        ((np.eye(2), "0.3"), TypeError, "threshold is '0.3'"),
    ],
)
def test_bad_input_is_refused(count, arguments, error, message):
    with pytest.raises(error, match=message):
        count(*arguments)


def test_blocks_are_those_of_one_model():
    with pytest.raises(ValueError, match=r"W has shape \(2, 3, 4\); expected one model \(m, n\)"):
        tms.neuron_blocks(np.ones((2, 3, 4)))
