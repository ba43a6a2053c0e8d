"""What the figure of section 8 measures, on models made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import minitms as tms
from figures import computation, motif

RNG = np.random.default_rng(0)
GRID = np.concatenate([np.eye(3), -np.eye(3)])


def borrowed():
    """Five neurons for three features: the negative half of feature 1 is borrowed from feature 0, and guarded by 2."""
    E = np.array([[2.0, -0.5, 0], [-1, 0, 0], [0, 1, 0], [0.25, 0, 1], [0, 0, -1]])
    D = np.array([[0.5, 2.0, 0], [1, 0, 0], [0, 1, 0], [0, -16, 1], [0, 0, 1]])
    return E, D, np.zeros(3)


def test_two_neurons_a_feature_are_exact():
    E, D = computation.by_hand(4, 8)
    x = RNG.uniform(-1, 1, (50, 4))
    assert_array_equal(np.maximum(x @ E.T, 0) @ D, abs(x))
    assert computation.exact_loss(4) == 0


@pytest.mark.parametrize(("density", "decay"), [(1.0, 0.8), (0.2, 0.5)])
def test_the_loss_by_hand_is_the_mean_over_samples(density, decay):
    n, m = 6, 4
    W, b = computation.by_hand(n, m), np.where(np.arange(n) < 2, 0, density / 2)
    x = tms.SparseFeatures(n, density, signed=True).sample(2**17, seed=0)
    sampled = tms.loss(W, b, x, decay ** np.arange(n), hidden="relu", target=abs(x))
    assert_allclose(computation.loss_by_hand(n, m, density, decay), sampled, rtol=0.02)


def test_rescaled_neurons_are_the_same_model():
    W, b = tms.Weights(*RNG.normal(size=(2, 5, 3))), RNG.normal(size=3)
    scaled = motif.rescaled(W)
    assert_allclose(abs(scaled.encoder).max(axis=1), 1)
    x = RNG.uniform(-1, 1, (20, 3))
    assert_allclose(tms.forward(scaled, b, x, hidden="relu"), tms.forward(W, b, x, hidden="relu"))


def test_every_output_hears_its_feature_at_the_start():
    (E, D), b = computation.awake(20, 8, 2)
    z = tms.forward((E[:, 0], D[:, 0]), b, np.concatenate([np.eye(20), -np.eye(20)]), "linear", hidden="relu")
    own = z[:, np.arange(40), np.arange(40) % 20]
    assert (own >= 0).all()
    assert (own > 0).mean() > 0.95


def test_signs():
    E, _ = computation.by_hand(3, 6)
    assert computation.signs(E).tolist() == [True] * 3
    E[3] = -0.2, 0.0, 0.9   # feature 0 lost its second neuron, 2 has a third one
    assert computation.signs(E).tolist() == [False, True, False]


def test_places_of_mono_and_polysemantic_neurons():
    E = np.array([[[1.0, 0, 0], [0, 0, -2], [0, 0.5, 1]], [[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]])
    place = computation.places(E, np.array([[True, True, False], [True, True, True]]))
    assert_array_equal(place.mono, [1, 1])
    assert_array_equal(place.poly, [2, np.nan])


def test_features_computed_are_those_with_neurons():
    n, m, s = 7, 6, np.array([1.0, 0.1])
    W = [np.stack([part] * 2) for part in computation.by_hand(n, m)]
    b = np.where(np.arange(n) < 3, 0, s[:, None] / 2)
    assert list(computation.features_computed(*W, b, s)) == [3, 3]


def test_half_of_a_feature_is_not_computed():
    E, D = computation.by_hand(3, 6)
    D = D.copy()
    D[3] = 0  # nobody writes the negative half of feature 0
    assert list(computation.features_computed(E[None], D[None], np.zeros((1, 3)), np.array([0.1]))) == [2]


def test_the_motif_is_found_with_its_two_neurons():
    E, D, b = borrowed()
    (found,) = motif.motifs(E, D, b)
    assert (found.p, found.q, found.large, found.small) == (0, 3, 0, 1)
    assert (found.ratio, found.left) == (4, 0)
    y = tms.forward((E, D), b, GRID, hidden="relu")
    assert_allclose(y[:, 1], [0, 1, 0, 0, 1, 0])
    D[3, 1] = -12
    assert motif.motifs(E, D, b)[0].left == 0.25


@pytest.mark.parametrize(
    "break_it",
    [
        lambda E, D: D.__setitem__((3, 1), -1),            # no second neuron that takes it away
        lambda E, D: E.__setitem__((0, 1), 0.5),           # the same sign
        lambda E, D: D.__setitem__((0, 1), 0.2),           # feature 1 is not answered
        lambda E, D: E.__setitem__((0, 1), -1.5),          # not asymmetric
        lambda E, D: D.__setitem__((0, 0), -0.5),          # feature 0 is written with the wrong sign
    ],
)
def test_what_is_no_motif(break_it):
    E, D, b = borrowed()
    break_it(E, D)
    assert motif.motifs(E, D, b) == []


def test_a_scaled_neuron_does_not_hide_the_motif():
    E, D, b = borrowed()
    scale = np.array([0.1, 1, 1, 7, 1])[:, None]
    (found,) = motif.motifs(scale * E, D / scale, b)
    assert_allclose([found.ratio, found.left], [4, 0], atol=1e-12)


def test_models_train_on_until_a_round_lowers_no_loss_by_more_than_2_percent(monkeypatch):
    """Each round goes on from the one before, with new examples; one model that improves is enough for another."""
    losses = iter(np.array([[1.0, 1.0], [0.99, 0.9], [0.985, 0.85], [0.98, 0.84], [0.5, 0.5]]))
    asked = []

    class Run:
        def __init__(self, loss):
            self.loss, self.W, self.b = loss, f"W at {loss[1]}", loss[1]

        def best(self):
            return self

    def train(*shape, seed, initial, **options):
        asked.append((seed, initial))
        return Run(next(losses))

    monkeypatch.setattr(computation, "train", train)
    first = Run(next(losses))
    rounds = computation.train_on(first, 4, 2, np.array([1.0, 0.1]), steps=10, most=10)
    assert [one.loss[1] for one in rounds] == [0.9, 0.85, 0.84]
    assert asked == [(1, ("W at 1.0", 1.0)), (2, ("W at 0.9", 0.9)), (3, ("W at 0.85", 0.85))]
    losses = iter(np.array([[0.5, 0.5], [0.2, 0.2]]))
    assert len(computation.train_on(first, 4, 2, np.array([1.0, 0.1]), steps=10, most=1)) == 1
