"""Adam against a hand computation and against PyTorch; the schedules against their formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from minitms._checks import SCHEDULES
from minitms.adam import Step, adam_update, constants, learning_rates, rule, steps
from minitms.fast.jit import kernel


def run_adam(w, gradients, learning_rate, weight_decay=0.0, dtype="float64", schedule="constant", rule=rule, warmup=0):
    """The weights after each gradient."""
    w = np.asarray(w, dtype)
    m, v = np.zeros_like(w), np.zeros_like(w)
    rates = learning_rates(schedule, learning_rate, len(gradients), warmup)
    sizes, fixed = steps(rates, 0, len(gradients), dtype), constants(weight_decay, dtype)
    weights = []
    for size, gradient in zip(zip(*sizes, strict=True), gradients, strict=True):
        w, m, v = rule(w, np.asarray(gradient, dtype), m, v, Step(*size), fixed)
        weights.append(w)
    return np.array(weights)


@kernel(_nrt=False)
def one_by_one_in_place(w, g, m, v, step, constants):
    for i in range(w.size):
        w[i], m[i], v[i] = adam_update(w[i], g[i], m[i], v[i], step, constants)


def one_by_one(w, g, m, v, step, constants):
    """The rule inside a kernel, which takes single weights, over an array of them."""
    w, m, v = w.copy(), m.copy(), v.copy()
    one_by_one_in_place(w, g, m, v, step, constants)
    return w, m, v


def test_the_first_two_steps_by_hand():
    """Gradients 2, then -1, at η = 0.1.

    Step 1: m/c₁ = 2 and √(v/c₂) = 2, so the weight moves by η whatever the gradient's size: 1 -> 0.9.
    Step 2: m = 0.9 · 0.2 - 0.1 · 1 = 0.08, c₁ = 1 - 0.81 = 0.19; v = 0.999 · 0.004 + 0.001 · 1 = 0.004996,
    c₂ = 1 - 0.998001 = 0.001999; so the weight moves by 0.1 · 0.421052... / 1.580905... = 0.026633...
    """
    first, second = run_adam(1.0, [2.0, -1.0], learning_rate=0.1)
    assert first == pytest.approx(0.9, rel=1e-8)
    assert second == pytest.approx(0.9 - 0.1 * (0.08 / 0.19) / math.sqrt(0.004996 / 0.001999), rel=1e-8)


def test_epsilon_is_added_outside_the_square_root_and_after_the_correction():
    """A gradient of ε makes m/c₁ = √(v/c₂) = ε at step 1, so the weight moves by exactly half of η."""
    assert run_adam(0.0, [1e-8], learning_rate=1.0)[0] == pytest.approx(-0.5, rel=1e-12)


def test_weight_decay_is_decoupled():
    """With no gradient the weight shrinks by 1 - ηλ a step; through m and v it would move by η instead."""
    decayed = run_adam([3.0, -3.0], [[0.0, 0.0]] * 2, learning_rate=0.1, weight_decay=0.5)
    np.testing.assert_allclose(decayed, [[2.85, -2.85], [2.7075, -2.7075]], rtol=1e-14)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("weight_decay", [0.0, 0.01, 0.5])
@pytest.mark.parametrize("warmup", [0, 3])
def test_ten_steps_of_pytorch(warmup, weight_decay, schedule):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=7), rng.normal(size=(10, 7)) * 10.0 ** rng.integers(-6, 3, (10, 7))
    parameter = torch.tensor(start, requires_grad=True)
    optimizer = torch.optim.AdamW([parameter], lr=0.03, weight_decay=weight_decay)
    factor = {
        "constant": lambda t: 1.0,
        "linear": lambda t: 1 - t / (10 - warmup),
        "cosine": lambda t: (1 + math.cos(math.pi * t / (10 - warmup))) / 2,
    }[schedule]
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda t: (t + 1) / warmup if t < warmup else factor(t - warmup)
    )
    expected = []
    for gradient in gradients:
        parameter.grad = torch.tensor(gradient)
        optimizer.step()
        scheduler.step()
        expected.append(parameter.detach().numpy().copy())
    got = run_adam(start, gradients, 0.03, weight_decay, schedule=schedule, warmup=warmup)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_jitted_rule_is_the_plain_one(dtype):
    rng = np.random.default_rng(1)
    start, gradients = rng.normal(size=5), rng.normal(size=(20, 5))
    plain = run_adam(start, gradients, 0.01, 0.1, dtype)
    jitted = run_adam(start, gradients, 0.01, 0.1, dtype, rule=one_by_one)
    assert plain.dtype == jitted.dtype == dtype
    np.testing.assert_allclose(jitted, plain, rtol=20 * np.finfo(dtype).eps)


def test_float32_stays_near_float64():
    """The corrections are small numbers; computed in float32 they would lose four digits at the first steps."""
    rng = np.random.default_rng(2)
    start, gradients = rng.normal(size=50), rng.normal(size=(100, 50))
    single, double = (run_adam(start, gradients, 0.01, 0.0, dtype) for dtype in ("float32", "float64"))
    # A hundred roundings of the weight, and a move of at most about 0.01 a step known to a few units of 2^-24.
    assert abs(single - double).max() <= 100 * 4 * 2.0**-24


def test_steps_of_a_later_piece_are_those_of_the_whole():
    rates = learning_rates("cosine", 0.1, 30)
    whole, pieces = steps(rates, 0, 30, "float64"), [steps(rates, 0, 11, "float64"), steps(rates, 11, 30, "float64")]
    for all_of_it, *parts in zip(whole, *pieces, strict=True):
        assert (np.concatenate(parts) == all_of_it).all()


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        ("constant", 0, [0.2, 0.2, 0.2, 0.2]),
        ("linear", 0, [0.2, 0.15, 0.1, 0.05]),
        ("cosine", 0, [0.2, 0.1 + 0.1 * math.sqrt(0.5), 0.1, 0.1 - 0.1 * math.sqrt(0.5)]),
        ("constant", 2, [0.1, 0.2, 0.2, 0.2]),
        ("linear", 2, [0.1, 0.2, 0.2, 0.1]),
        ("cosine", 1, [0.2, 0.2, 0.15, 0.05]),
        ("linear", 4, [0.05, 0.1, 0.15, 0.2]),
    ],
)
def test_schedules(schedule, warmup, expected):
    np.testing.assert_allclose(learning_rates(schedule, 0.2, 4, warmup), expected, rtol=1e-14)


def test_every_schedule_is_tested():
    assert set(SCHEDULES) == {"constant", "linear", "cosine"}
