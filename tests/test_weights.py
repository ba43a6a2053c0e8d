"""What is a pair of weights, and what is one array."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

import minitms as tms
from minitms.weights import Weights, best_restart, both, checked, each

E, D = np.ones((2, 3)), np.zeros((2, 3))


@pytest.mark.parametrize("pair", [(E, D), Weights(E, D), (E.tolist(), D.tolist()), (E, D.tolist())])
def test_a_tuple_of_two_matrices_is_a_pair(pair):
    W = checked(pair)
    assert isinstance(W, Weights)
    assert both(W) is W
    assert W.encoder.tolist() == E.tolist()
    assert W.decoder.tolist() == D.tolist()


@pytest.mark.parametrize(
    "array", [E, np.stack([E, D]), [E, D], (E, D, E), (E,), [[1, 0], [0, 1]], ((1, 0), (0, 1)), (E[0], E[1])]
)
def test_everything_else_is_an_array_as_in_numpy(array):
    W = checked(array)
    assert isinstance(W, np.ndarray)
    assert W.shape == np.shape(array)
    assert all(part is W for part in both(W))


def test_each_keeps_the_form():
    assert each(np.sum, E) == 6
    assert each(np.sum, Weights(E, D)) == Weights(6, 0)


@pytest.mark.parametrize("function", [tms.forward, tms.loss, tms.backward, tms.loss_and_gradients])
@pytest.mark.parametrize(
    ("W", "error", "message"),
    [
        ((E, D.T), ValueError, r"encoder \(2, 3\) and decoder \(3, 2\) differ in shape; .*decoder\.mT"),
        ((E, D[:1]), ValueError, r"encoder \(2, 3\) and decoder \(1, 3\) differ in shape"),
        ((E, np.stack([D, D])), ValueError, r"encoder \(2, 3\) and decoder \(2, 2, 3\) differ in shape"),
        ((E, D[0]), ValueError, r"encoder \(2, 3\) and decoder \(3,\) differ in shape"),
        (Weights(E[0], D[0]), ValueError, r"expected W \(\.\.\., m, n\)"),
        ((E, D.astype(complex)), TypeError, "the decoder has dtype complex128"),
        ((E.astype(np.float16), D), TypeError, "the encoder has dtype float16"),
        ((E[:, :2], D[:, :2]), ValueError, r"the last axes differ: got W \(2, 2\)"),
    ],
)
def test_bad_pairs(function, W, error, message):
    with pytest.raises(error, match=message):
        function(W, np.zeros(3), np.ones((4, 3)))


@pytest.mark.parametrize("pair", [(E, D), Weights(E, D)])
@pytest.mark.parametrize(
    "function",
    [
        tms.feature_norms, tms.interference, tms.dimensionality, tms.dimensions_per_feature, tms.features_represented,
        tms.features_learned, tms.classify, lambda W: tms.expected_loss(W, np.zeros(3), 0.5),
        lambda W: tms.expected_gradients(W, np.zeros(3), 0.5, activation="linear"),
        lambda W: tms.plots.feature_vectors(plt.figure().add_subplot(), W),
        lambda W: tms.plots.weight_gram(plt.figure().add_subplot(), W),
        lambda W: tms.plots.feature_bars(plt.figure().add_subplot(), W),
    ],
)  # fmt: skip
def test_what_knows_one_array_only_does_not_take_a_pair_for_two_models(function, pair):
    with pytest.raises(TypeError, match=r"W is a pair \(encoder, decoder\); expected one array .*such as W\.decoder"):
        function(pair)
    plt.close("all")


def test_a_sweep_does_not_take_a_pair_for_two_models():
    with pytest.raises(TypeError, match="initial W is a pair"):
        tms.phase_diagram([0.1], [1.0], restarts=2, steps=1, seed=0, initial=((np.ones((1, 2)), np.ones((1, 2))), 0.0))


def test_the_best_restart_of_each_model_is_taken_from_arrays_and_pairs():
    loss = np.array([[3.0, 1.0, 2.0], [1.0, 2.0, 2.0]])
    restart, taken = best_restart(loss)
    assert restart.tolist() == [1, 0, 0]
    assert taken(loss).tolist() == [1, 1, 2]
    W = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    assert (taken(W) == W[[1, 0, 0], [0, 1, 2]]).all()
    assert (taken(Weights(W, -W)).decoder == -W[[1, 0, 0], [0, 1, 2]]).all()
