"""Training on attacked examples: its attack, its gradient, its loop and its measures, each against one from scratch."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

import minitms as tms
from figures import adversarial_training as figure
from minitms.testing import check_grad


def model(seed, n=5, m=2, batch=6):
    """W, b, examples, and an output for each to attack."""
    rng = np.random.default_rng(seed)
    x = rng.random((batch, n)) * (rng.random((batch, n)) < 0.5)
    return rng.normal(0, 0.7, (m, n)), rng.normal(0, 0.2, n), x, rng.integers(n, size=batch)


def attacked(W, b, x, i, size):
    """The loss at x + size · r / |r| against x, one example and one output after the other."""
    loss = 0
    for example, output, length in zip(x, i, size, strict=True):
        row = sum(W[k, output] * W[k] for k in range(len(W)))
        z = W.T @ (W @ (example + length * row / np.sqrt((row**2).sum()))) + b
        loss += ((np.where(z > 0, z, 0) - example) ** 2).sum() / len(x)
    return loss


@pytest.mark.parametrize("seed", range(5))
def test_the_sign_makes_it_the_worst_attack_on_that_output(seed):
    W, b, x, i = model(seed)
    row, length = figure.rows(W, i)
    delta = 0.4 * figure.worst_sign(W, b, x, i, 0.4)[:, None] * row / length
    assert_allclose(np.linalg.norm(delta, axis=1), 0.4)
    for one, output, change in zip(x, i, delta, strict=True):
        only = np.eye(5)[output]
        worst = tms.worst_attack(W, b, one[None], 0.4, only).attacked
        assert_allclose(tms.loss(W, b, (one + change)[None], only, target=one[None]), worst, rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_through_the_attack(seed):
    """With the direction of each δ a function of W, its length and sign given."""
    W, b, x, i = model(seed)
    size = 0.4 * figure.worst_sign(W, b, x, i, 0.4)
    row, length = figure.rows(W, i)

    def gradient(W):
        delta = size[:, None] * (W.T[i] @ W) / np.linalg.norm(W.T[i] @ W, axis=1, keepdims=True)
        return tms.backward(W, b, x + delta, target=x)[0] + figure.through(W, b, x, i, size)

    check_grad(lambda W: attacked(W, b, x, i, size), gradient, W)
    held = tms.backward(W, b, x + size[:, None] * row / length, target=x)[0]
    assert abs(gradient(W) - held).max() > 1e-3  # it is another gradient


@pytest.mark.parametrize("attack", ["worst sign", "upwards", "random sign", "by length", "worst row", "through"])
def test_gradients_are_those_of_an_attack_within_the_budget(attack, monkeypatch):
    """What `backward` is handed: examples that lie at most the budget off, along rows of WᵀW, and the clean target."""
    W, b, x, _ = model(1)
    seen = {}

    def backward(W, b, moved, target):
        seen.update(delta=moved - target, target=target)
        return 0 * W, 0 * b

    monkeypatch.setattr(tms, "backward", backward)
    dW, db = figure.gradients(W, b, x, 0.3, attack, np.random.default_rng(0))
    assert (dW.shape, db.shape) == (W.shape, b.shape)
    assert (dW != 0).any() == (attack == "through")
    np.testing.assert_array_equal(seen["target"], x)
    rows = W.T @ W
    cosines = seen["delta"] @ (rows / np.linalg.norm(rows, axis=1, keepdims=True)).T
    lengths = np.linalg.norm(seen["delta"], axis=1)
    assert (np.isclose(lengths, 0.3) | (lengths == 0)).all()
    assert np.isclose(abs(cosines).max(axis=1), lengths).all()  # one of the rows
    if attack == "upwards":
        assert np.isclose(cosines.max(axis=1), 0.3).all()
    if attack == "worst row":
        assert_allclose(seen["delta"], tms.worst_attack(W, b, x, 0.3).delta, atol=1e-12)


def test_the_worst_row_is_that_of_the_library():
    for seed in range(8):
        W, b, x, _ = model(seed)
        for bias in (b, b - 3):  # -3 keeps all outputs off: no row does damage
            assert_allclose(figure.worst_row(W, bias, x, 0.3), tms.worst_attack(W, bias, x, 0.3).delta, atol=1e-12)
    low = figure.worst_row(np.array([[0.5, 0.0]]), np.zeros(2), np.array([[1.0, 0.0]]), 0.3)
    assert_allclose(low, [[-0.3, 0]])  # an answer that is too low already is pushed down


def test_by_length_spares_features_that_are_not_stored(monkeypatch):
    W, b, x, _ = model(2, n=30, batch=200)
    W[:, 3:] = 0
    W[0, 3] = 1e-3
    attacked, rows = [], figure.rows
    monkeypatch.setattr(figure, "rows", lambda W, i: attacked.append(i) or rows(W, i))
    figure.gradients(W, b, x, 0.3, "by length", np.random.default_rng(0))
    assert np.max(attacked) <= 2
    figure.gradients(W, b, x, 0.3, "worst sign", np.random.default_rng(0))
    assert np.max(attacked) > 3


def test_the_loop_is_adam_on_attacked_examples():
    """Three steps of two budgets and two seeds, one number after the other, in float64."""
    n, m, density, steps, budgets = 4, 2, 0.5, 3, np.array([0.0, 0.5])
    got = figure.train(n, m, density, "upwards", 0.01, 8, budgets=budgets, seeds=2, steps=steps)
    assert got.W.shape == (2, 2, m, n)
    rng = np.random.default_rng(1)
    starts = np.random.default_rng(0).normal(0, np.sqrt(2 / 6), (2, m, n))
    models = {(k, seed): [[w, 0 * w, 0 * w] for w in (starts[seed], np.full(n, density / 2))]
              for k in range(2) for seed in range(2)}
    for t in range(1, steps + 1):
        x = tms.SparseFeatures(n, np.full((2, 1), density)).sample(8, seed=t - 1, dtype="float32").astype(float)
        rate = 0.01 * (1 + np.cos(np.pi * (t - 1) / steps)) / 2
        for (k, seed), parameters in models.items():
            W, b = (parameter[0] for parameter in parameters)
            i = rng.choice(n, size=8, p=np.full(n, 1 / n))
            row = W.T[i] @ W
            delta = budgets[k] * figure.mean_norm(density, n) * row / np.linalg.norm(row, axis=1)[:, None]
            gradients = tms.backward(W, b, x[seed] + delta, target=x[seed])
            for parameter, g in zip(parameters, gradients, strict=True):
                w, p, q = parameter
                p, q = 0.9 * p + 0.1 * g, 0.999 * q + 0.001 * g**2
                step = p / (1 - 0.9**t) / (np.sqrt(q / (1 - 0.999**t)) + 1e-8)
                parameter[:] = w - rate * step, p, q
    for (k, seed), ((W, *_), (b, *_)) in models.items():
        assert_allclose(got.W[k, seed], W, atol=1e-4)
        assert_allclose(got.b[k, seed], b, atol=1e-4)
    assert abs(got.W[0] - got.W[1]).max() > 1e-3


def test_what_is_learned_and_what_shares_do_not_depend_on_the_scale():
    W = np.zeros((3, 5))
    W[0, :2] = 1, -1      # a digon
    W[1, 2] = 0.6         # alone
    W[2, 3] = 0.4         # too short beside 1
    for scale in (1, 0.1):
        assert figure.learned(scale * W).tolist() == [True, True, True, False, False]
        assert figure.sharing(scale * W).tolist() == [True, True, False, False, False]
        assert_allclose(figure.smallest_share(scale * W), 0.5)
        assert_allclose(figure.fraction_sharing(scale * W), 2 / 3)


def test_the_budget_needed_is_the_first_without_sharing():
    digon, alone = np.array([[1.0, -1.0]]), np.array([[1.0, 0.0]])
    W = np.stack([np.stack(row) for row in [(digon, digon), (alone, digon), (digon, digon)]])
    assert figure.needed(W, np.array([0.0, 0.5, 1.0])).tolist() == [50, np.inf]
