"""What `forward`, `loss` and `backward` must do, as plain functions, so that wrong ones can be put through them too.

With the on/off pattern of every ReLU held fixed the loss is a quartic along every line in parameter space: tied, W
enters twice, and the error is squared. A five-point central difference is exact for quartics, whatever the step h. So
the step may be large, which keeps the rounding small, as long as no pre-activation changes its sign between the five
points.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import minitms as tms
from minitms.testing import check_grad, strategies

TOLERANCE = 1e-8
STEPS = (1e-1, 1e-2, 1e-3, 1e-4)
OFFSETS = np.array([-2.0, -1.0, 1.0, 2.0])
COEFFICIENTS = np.array([1.0, -8.0, 8.0, -1.0]) / 12


class WrongModelError(AssertionError):
    """Forward or loss differ from the equations in loops."""


class WrongGradientError(AssertionError):
    """The gradient differs from the finite difference."""


class NotDifferentiableError(Exception):
    """A pre-activation changes its sign within the smallest step: there is no gradient to compare with."""


class Slow(NamedTuple):
    """The equations in loops over Python floats, for one model."""

    y: list
    loss: float


SLOW = {"linear": lambda value: value, "relu": lambda value: max(value, 0.0)}


def slow_model(chain):
    E, D = encoder_and_decoder(chain.W)
    (m, n), batch, x = E.shape, len(chain.x), chain.x
    t = x if chain.target is None else chain.target
    total, outputs = 0.0, []
    for e in range(batch):
        a = [sum(float(E[k, i]) * float(x[e, i]) for i in range(n)) for k in range(m)]
        h = [SLOW[chain.hidden](value) for value in a]
        z = [sum(float(D[k, i]) * h[k] for k in range(m)) + float(chain.b[i]) for i in range(n)]
        y = [SLOW[chain.activation](value) for value in z]
        total += sum(float(chain.importance[i]) * (y[i] - float(t[e, i])) ** 2 for i in range(n))
        outputs.append(y)
    return Slow(outputs, total / batch)


def check_equations(forward, loss, chain):
    """Raise WrongModelError unless forward and loss are the equations in loops, for one model."""
    slow = slow_model(chain)
    arguments = chain._asdict()
    got = loss(**arguments)
    del arguments["importance"], arguments["target"]
    for name, ours, theirs in (("y", forward(**arguments), slow.y), ("L", got, slow.loss)):
        if not (np.shape(ours) == np.shape(theirs) and np.allclose(ours, theirs, rtol=1e-12, atol=1e-12)):
            raise WrongModelError(f"{name} is {ours}; expected {theirs}")


def encoder_and_decoder(W):
    return W if isinstance(W, tuple) else (W, W)


def pre_activations(chain):
    """Those that a ReLU follows, one axis of all of them."""
    E, D = encoder_and_decoder(chain.W)
    a = np.einsum("...ki,...ei->...ek", E, chain.x)
    h = a * (a > 0) if chain.hidden == "relu" else a
    z = np.einsum("...ki,...ek->...ei", D, h) + chain.b[..., None, :]
    layers = [array for array, kind in ((a, chain.hidden), (z, chain.activation)) if kind == "relu"]
    return np.concatenate([array.reshape(*array.shape[:-2], -1) for array in layers], axis=-1) if layers else None


def numerical_gradients(chain):
    """Five-point finite differences of `minitms.loss` by every parameter, for a stack of models at once."""
    params = chain.params
    inner = chain.b.ndim - 1
    sizes = {name: array[(0,) * inner].size for name, array in params.items()}
    starts = dict(zip(sizes, np.cumsum([0, *sizes.values()]), strict=False))
    total = sum(sizes.values())
    for h in STEPS:
        # One row for each parameter, in the order of `params`; axis 1 holds the four points.
        moves = h * OFFSETS[:, None] * np.eye(total)[:, None, :]
        points = {}
        for name, array in params.items():
            own = moves[..., starts[name] : starts[name] + sizes[name]]
            points[name] = array + own.reshape(total, 4, *(1,) * inner, *array.shape[inner:])
        there = chain.at(points)
        here = pre_activations(chain)
        if here is not None:
            crossed = ((pre_activations(there) > 0) != (here > 0)).any(axis=1)
            if crossed.any():
                continue
        losses = tms.loss(**there._asdict())
        slopes = np.moveaxis(np.tensordot(COEFFICIENTS, losses, axes=(0, 1)) / h, 0, -1)
        return {
            name: slopes[..., starts[name] : starts[name] + sizes[name]].reshape(array.shape)
            for name, array in params.items()
        }
    parameter, *_, unit = np.argwhere(crossed)[0]
    raise NotDifferentiableError(
        f"not differentiable here: pre-activation {unit} changes its sign within h = {h:g} of parameter {parameter}; "
        f"the smallest is {abs(here).min():.3g}"
    )


def check_backward(backward, chain):
    """Raise WrongGradientError unless `backward` gives the slope of the loss by every parameter."""
    numerical = numerical_gradients(chain)
    try:
        analytic = strategies.named(*backward(**chain._asdict()))
    except (ValueError, TypeError) as error:
        raise WrongGradientError(f"backward failed: {error}") from error
    if list(analytic) != list(numerical):
        raise WrongGradientError(f"gradients by {list(analytic)}; expected {list(numerical)}")
    for name, expected in numerical.items():
        got = analytic[name]
        if got.shape != expected.shape:
            raise WrongGradientError(f"d{name} has shape {got.shape}; expected {expected.shape}")
        error = abs(got - expected) / max(1, abs(expected).max())
        if not error.max() <= TOLERANCE:
            where = np.unravel_index(error.argmax(), error.shape)
            raise WrongGradientError(
                f"d{name}{[int(i) for i in where]}: got {got[where]:.10g}, expected {expected[where]:.10g}; "
                f"error {error.max():.3g} above {TOLERANCE:g}"
            )


def check_by_the_public_tool(backward, chain):
    """The same property by `minitms.testing.check_grad`, as a user would write it; the stack's losses are summed."""
    check_grad(
        lambda params: tms.loss(**chain.at(params)._asdict()).sum(),
        lambda params: strategies.named(*backward(**chain.at(params)._asdict())),
        chain.params,
        kinks=lambda params: chain.at(params).pre_activations(),
    )


def check_kinks(backward, chain):
    """Raise WrongGradientError unless the slope of a ReLU at exactly 0 counts as 0, in both layers."""
    E, D = encoder_and_decoder(chain.W)
    layers = chain.pre_activations()
    x, t = chain.x, chain.x if chain.target is None else chain.target
    a = layers["a"] if "a" in layers else x @ E.mT
    h = a * (a > 0) if "a" in layers else a
    z = layers["z"] if "z" in layers else h @ D + chain.b[..., None, :]
    y = z * (z > 0) if "z" in layers else z
    error = 2 * chain.importance[..., None, :] * (y - t) / x.shape[-2]
    live_output = (z > 0) if "z" in layers else np.ones(z.shape)
    live_neuron = (a > 0) if "a" in layers else np.ones(a.shape)
    db = np.einsum("...ei,...ei->...i", error, live_output)
    dD = np.einsum("...ek,...ei,...ei->...ki", h, error, live_output)
    dE = np.einsum("...ei,...ei,...ki,...ek,...ej->...kj", error, live_output, D, live_neuron, x)
    expected = {"b": db, "W": dD + dE, "encoder": dE, "decoder": dD}
    for name, got in strategies.named(*backward(**chain._asdict())).items():
        scale = max(1, abs(expected[name]).max())
        if not np.allclose(got, expected[name], rtol=1e-12, atol=1e-12 * scale):
            raise WrongGradientError(f"d{name} is {got}; with no slope at exactly 0 it is {expected[name]}")


def results(chain):
    """Loss and gradients by name."""
    L, dW, db = tms.loss_and_gradients(**chain._asdict())
    return {"L": L, **strategies.named(dW, db)}
