"""The property that `backward` must have, as a plain function, so that right and wrong gradients can be put through it.

With the ReLU's on/off pattern held fixed the loss is a quartic along every line in parameter space: W enters twice,
and the error is squared. A five-point central difference is exact for quartics, whatever the step h. So the step may
be large, which keeps the rounding small, as long as no pre-activation changes its sign between the five points.
"""

from __future__ import annotations

import numpy as np

import minitms as tms
from minitms.testing import check_grad

TOLERANCE = 1e-8
STEPS = (1e-1, 1e-2, 1e-3, 1e-4)
OFFSETS = np.array([-2.0, -1.0, 1.0, 2.0])
COEFFICIENTS = np.array([1.0, -8.0, 8.0, -1.0]) / 12


class WrongGradientError(AssertionError):
    """The gradient differs from the finite difference."""


class NotDifferentiableError(Exception):
    """A pre-activation changes its sign within the smallest step: there is no gradient to compare with."""


def numerical_gradients(W, b, x, importance, activation):
    """Five-point finite differences of `minitms.loss` by every entry of W and b, for a stack of models at once."""
    m, n = W.shape[-2:]
    for h in STEPS:
        # One row for each parameter: the m·n entries of W, then the n entries of b; axis 1 holds the four points.
        moves = h * OFFSETS[:, None] * np.eye(m * n + n)[:, None, :]
        inner = (1,) * (W.ndim - 2)
        points_W = W + moves[..., : m * n].reshape(-1, 4, *inner, m, n)
        points_b = b + moves[..., m * n :].reshape(-1, 4, *inner, n)
        if activation == "relu":
            on = pre_activations(points_W, points_b, x) > 0
            crossed = (on != (pre_activations(W, b, x) > 0)).any(axis=1)
            if crossed.any():
                continue
        losses = tms.loss(points_W, points_b, x, importance, activation)
        slopes = np.moveaxis(np.tensordot(COEFFICIENTS, losses, axes=(0, 1)) / h, 0, -1)
        return slopes[..., : m * n].reshape(W.shape), slopes[..., m * n :]
    parameter, *_, example, feature = np.argwhere(crossed)[0]
    raise NotDifferentiableError(
        f"not differentiable here: z of example {example}, feature {feature} changes its sign within h = {h:g} of "
        f"parameter {parameter}; the smallest |z| is {abs(pre_activations(W, b, x)).min():.3g}"
    )


def pre_activations(W, b, x):
    return np.einsum("...ki,...kj,...ej->...ei", W, W, x) + b[..., None, :]


def check_backward(backward, model):
    """Raise WrongGradientError unless `backward` gives the slope of the loss by every entry of W and b."""
    numerical = numerical_gradients(*model)
    try:
        analytic = backward(*model)
    except (ValueError, TypeError) as error:
        raise WrongGradientError(f"backward failed: {error}") from error
    for name, got, expected in zip(("dW", "db"), analytic, numerical, strict=True):
        if got.shape != expected.shape:
            raise WrongGradientError(f"{name} has shape {got.shape}; expected {expected.shape}")
        error = abs(got - expected) / max(1, abs(expected).max())
        if not error.max() <= TOLERANCE:
            where = np.unravel_index(error.argmax(), error.shape)
            raise WrongGradientError(
                f"{name}{[int(i) for i in where]}: got {got[where]:.10g}, expected {expected[where]:.10g}; "
                f"error {error.max():.3g} above {TOLERANCE:g}"
            )


def check_by_the_public_tool(backward, model):
    """The same property by `minitms.testing.check_grad`, as a user would write it; the stack's losses are summed."""

    def on(params, function):
        return function(params["W"], params["b"], model.x, model.importance, model.activation)

    def z(params):
        return pre_activations(params["W"], params["b"], model.x)

    check_grad(
        lambda params: on(params, tms.loss).sum(),
        lambda params: dict(zip(("W", "b"), on(params, backward), strict=True)),
        {"W": model.W, "b": model.b},
        kinks=z if model.activation == "relu" else None,
    )


def check_kinks(backward, model):
    """Raise WrongGradientError unless the slope of the ReLU at exactly z = 0 counts as 0."""
    z = model.pre_activations()
    error = np.where(z > 0, 2 * model.importance[..., None, :] * (z - model.x), 0) / model.x.shape[-2]
    _, db = backward(*model)
    if not np.allclose(db, error.sum(axis=-2), rtol=1e-12, atol=1e-12):
        raise WrongGradientError(f"db is {db}; with no slope at z = 0 it is {error.sum(axis=-2)}")
