"""Correct gradients at awkward places: whatever a checker says against one of these is a false alarm.

`correct_case(i)` is a pure function of i. It draws a family of functions, 1 to 10,000 parameters, a scale of the
parameters (1e-6 to 1e6) and one of the loss (1e-12 to 1e12). No point lies on a kink, some lie near one, and some on a
jump of the curvature, where the gradient is continuous and a checker has no reason to complain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import minitms as tms


class Case(NamedTuple):
    name: str
    loss: Callable
    gradient: Callable
    params: object
    kinks: Callable | None = None


def correct_case(i):
    random = np.random.default_rng([2022, i])
    family = FAMILIES[i % len(FAMILIES)]
    case = family(random)
    parameter_scale, loss_scale = 10.0 ** random.integers(-6, 7), 10.0 ** random.integers(-12, 13)
    return scaled(case, parameter_scale, loss_scale)


def scaled(case, parameter_scale, loss_scale):
    """loss_scale * loss(params / parameter_scale), with its gradient, at params * parameter_scale."""

    def at(function, factor):
        return lambda params: _each(function(_each(params, 1 / parameter_scale)), factor)

    return Case(
        case.name, at(case.loss, loss_scale), at(case.gradient, loss_scale / parameter_scale),
        _each(case.params, parameter_scale), case.kinks and at(case.kinks, 1.0),
    )


def _each(params, factor):
    if isinstance(params, dict):
        return {key: value * factor for key, value in params.items()}
    if isinstance(params, tuple):
        return tuple(value * factor for value in params)
    return params * factor


def model(random, activation, stack=()):
    """A toy model at a generic point; the batch is as sparse as in the paper."""
    m, n = sorted(random.integers(1, 9, 2))
    batch = int(random.integers(1, 20))
    W, b = random.normal(size=(*stack, m, n)), random.normal(size=(*stack, n))
    x = random.uniform(size=(*stack, batch, n)) * (random.uniform(size=(*stack, batch, n)) < random.uniform(0.1, 1))
    importance = random.uniform(0.1, 2, (*stack, n))
    return Case(
        f"model, {activation}",
        lambda p: tms.loss(*p, x, importance, activation).sum(),
        lambda p: tms.backward(*p, x, importance, activation),
        (W, b),
        (lambda p: tms.forward(*p, x, "linear")) if activation == "relu" else None,
    )


def model_near_kink(random):
    """A toy model with one pre-activation between 1e-7 and 1e-1 away from its kink; `kinks` is not given."""
    case = model(random, "relu")
    W, b = case.params
    z = case.kinks(case.params)
    row, feature = random.integers(z.shape[0]), random.integers(z.shape[1])
    b[feature] += 10.0 ** random.uniform(-7, -1) - z[row, feature]
    return Case("model near a kink", case.loss, case.gradient, (W, b))


def expected(random):
    """The exact expected loss, with b = 0 in places: its curvature jumps there."""
    n, W = 2, random.normal(size=(1, 2))
    b = random.normal(size=n) * (random.uniform(size=n) < 0.5)
    density, importance = random.uniform(0.05, 1), random.uniform(0.1, 10, n)
    return Case(
        "expected loss",
        lambda p: tms.expected_loss(*p, density, importance, "relu"),
        lambda p: tms.expected_gradients(*p, density, importance, "relu"),
        (W, b),
    )


def elementwise(name, function, derivative, positive=False):
    """sum_i w_i f(p_i) over 1 to 10,000 entries."""

    def family(random):
        size = int(10 ** random.uniform(0, 4))
        w, p = random.normal(size=size), random.normal(size=size)
        p = np.abs(p) + 0.1 if positive else p
        return Case(name, lambda p: (w * function(p)).sum(), lambda p: w * derivative(p), p)

    return family


def with_zeros(name, function, derivative):
    """The same with some parameters exactly 0, where the curvature jumps."""

    def family(random):
        size = int(10 ** random.uniform(0, 4))
        w, p = random.normal(size=size), random.normal(size=size)
        p[random.uniform(size=size) < 0.3] = 0.0
        return Case(name, lambda p: (w * function(p)).sum(), lambda p: w * derivative(p), p)

    return family


def huber(random):
    size = int(10 ** random.uniform(0, 3))
    p = random.normal(size=size)
    p[random.uniform(size=size) < 0.3] = 1.0  # where the parabola meets the line
    return Case(
        "Huber", lambda p: np.where(np.abs(p) < 1, p**2 / 2, np.abs(p) - 0.5).sum(), lambda p: np.clip(p, -1, 1), p
    )


def quadratic(random):
    size = int(10 ** random.uniform(0, 2.5))
    A, p = random.normal(size=(size, size)), random.normal(size=size)
    A = A + A.T
    return Case("quadratic form", lambda p: p @ A @ p / 2, lambda p: A @ p, p)


def two_layers(random):
    """A tanh network of two layers in a dict."""
    batch, inputs, hidden = random.integers(1, 20), random.integers(1, 30), random.integers(1, 30)
    x, target = random.normal(size=(batch, inputs)), random.normal(size=batch)
    params = {"W1": random.normal(size=(inputs, hidden)), "b1": np.zeros(hidden), "w2": random.normal(size=hidden)}

    def gradient(p):
        a = np.tanh(x @ p["W1"] + p["b1"])
        dout = 2 * (a @ p["w2"] - target) / batch
        da = np.outer(dout, p["w2"]) * (1 - a**2)
        return {"W1": x.T @ da, "b1": da.sum(0), "w2": a.T @ dout}

    def loss(p):
        return ((np.tanh(x @ p["W1"] + p["b1"]) @ p["w2"] - target) ** 2).mean()

    return Case("two tanh layers", loss, gradient, params)


def leaky(random):
    """A leaky ReLU layer; the kinks are given."""
    batch, inputs, outputs = random.integers(1, 10), random.integers(1, 10), random.integers(1, 10)
    x, W = random.normal(size=(batch, inputs)), random.normal(size=(inputs, outputs))

    def gradient(W):
        z = x @ W
        return x.T @ (2 * np.where(z > 0, z, 0.1 * z) * np.where(z > 0, 1, 0.1))

    def loss(W):
        z = x @ W
        return (np.where(z > 0, z, 0.1 * z) ** 2).sum()

    return Case("leaky ReLU", loss, gradient, W, lambda W: x @ W)


def softmax(random):
    """Cross-entropy of a softmax."""
    shape = random.integers(1, 30), random.integers(2, 30)
    labels, z = random.integers(0, shape[1], shape[0]), 3 * random.normal(size=shape)

    def loss(z):
        top = z.max(-1, keepdims=True)
        return (np.log(np.exp(z - top).sum(-1)) + top[:, 0] - z[np.arange(shape[0]), labels]).mean()

    def gradient(z):
        e = np.exp(z - z.max(-1, keepdims=True))
        return (e / e.sum(-1, keepdims=True) - np.eye(shape[1])[labels]) / shape[0]

    return Case("softmax", loss, gradient, z)


def cancelling(random):
    """Small differences of large numbers: the loss has lost digits, and so has its gradient."""
    size = int(10 ** random.uniform(0, 3))
    offset = 10.0 ** random.integers(0, 7)
    p = offset + random.normal(size=size)
    return Case("cancellation", lambda p: ((p - offset) ** 2).mean(), lambda p: 2 * (p - offset) / size, p)


def on_a_plateau(random):
    """A large constant added: only the rounding of the loss grows."""
    size, constant = int(10 ** random.uniform(0, 3)), 10.0 ** random.integers(0, 9)
    p = random.normal(size=size)
    return Case("large constant", lambda p: constant + (p**3).sum(), lambda p: 3 * p**2, p)


def at_a_minimum(random):
    size = int(10 ** random.uniform(0, 3))
    target = random.normal(size=size)
    return Case("at a minimum", lambda p: ((p - target) ** 2).sum(), lambda p: 2 * (p - target), target.copy())


def mixed_scales(random):
    """One vector with entries from 1e-6 to 1e6, each with its own curvature scale."""
    size = int(10 ** random.uniform(0, 3))
    p = 10.0 ** random.uniform(-6, 6, size)
    return Case("mixed scales", lambda p: np.log(p).sum() ** 2, lambda p: 2 * np.log(p).sum() / p, p)


def ratio(random):
    p = (random.normal(size=4), 1 + random.uniform(size=4))
    return Case("ratio", lambda p: (p[0] / p[1]).sum(), lambda p: (1 / p[1], -p[0] / p[1] ** 2), p)


FAMILIES = (
    lambda random: model(random, "relu"),
    lambda random: model(random, "linear"),
    lambda random: model(random, "relu", stack=(3,)),
    model_near_kink,
    expected,
    elementwise("sine", np.sin, np.cos),
    elementwise("exponential", np.exp, np.exp),
    elementwise("logarithm", np.log, lambda p: 1 / p, positive=True),
    elementwise("square root", np.sqrt, lambda p: 0.5 / np.sqrt(p), positive=True),
    elementwise("quartic", lambda p: p**4, lambda p: 4 * p**3),
    with_zeros("ReLU squared", lambda p: np.maximum(p, 0) ** 2, lambda p: 2 * np.maximum(p, 0)),
    with_zeros("power 3/2", lambda p: np.abs(p) ** 1.5, lambda p: 1.5 * np.sign(p) * np.sqrt(np.abs(p))),
    huber,
    quadratic,
    two_layers,
    leaky,
    softmax,
    cancelling,
    on_a_plateau,
    at_a_minimum,
    mixed_scales,
    ratio,
)
