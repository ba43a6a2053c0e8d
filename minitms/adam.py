"""Adam's update rule and the learning-rate schedules.

    m <- β₁ m + (1 - β₁) g            running mean of the gradient
    v <- β₂ v + (1 - β₂) g²           running mean of its square
    w <- w - η ( (m / c₁) / (√(v / c₂) + ε) + λ w ),      c₁ = 1 - β₁ᵗ, c₂ = 1 - β₂ᵗ at step t = 1, 2, ...

c₁ and c₂ undo the bias towards the zeros that m and v start from. λ is a decoupled weight decay: it shrinks w itself
and does not pass through m and v.

Source: Kingma & Ba, *Adam* (2015), algorithm 1; Loshchilov & Hutter, *Decoupled Weight Decay Regularization* (2019).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from minitms import _checks
from minitms._words import Schedule
from minitms.fast.jit import inner

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class Constants(NamedTuple):
    """What is the same at every step."""

    gain_m: np.floating  # 1 - β₁
    gain_v: np.floating  # 1 - β₂
    epsilon: np.floating
    decay: np.floating   # λ


class Step(NamedTuple):
    """What differs from step to step: numbers, or arrays of shape (steps,)."""

    rate: np.floating      # η
    unbias_m: np.floating  # 1 / c₁
    unbias_v: np.floating  # 1 / √c₂


@inner
def adam_update(w, g, m, v, step, constants):
    """One Adam step on one weight; `rule` is the same in plain NumPy, for whole arrays.

    The two means are written as steps towards the new value, m + (1 - β₁)(g - m), which is the same thing.

    Parameters
    ----------
    w, g : weight and its gradient
    m, v : running means of g and g²
    step : Step
    constants : Constants

    Returns
    -------
    w, m, v : after the step

    Notes
    -----
    Kingma & Ba (2015), algorithm 1; Loshchilov & Hutter (2019), algorithm 2.

    Examples
    --------
    >>> from minitms import adam
    >>> constants = adam.constants(0.0, "float64")
    >>> rates = adam.learning_rates("constant", 0.01, 1)
    >>> step = adam.Step(*(value[0] for value in adam.steps(rates, 0, 1, "float64")))
    >>> w, m, v = adam.rule(1.0, 30.0, 0.0, 0.0, step, constants)
    >>> round(float(w), 6)  # the first step has the length of the learning rate, whatever the gradient
    0.99
    """
    m = m + constants.gain_m * (g - m)
    v = v + constants.gain_v * (g * g - v)
    move = m * step.unbias_m / (np.sqrt(v) * step.unbias_v + constants.epsilon)
    return w - step.rate * (move + constants.decay * w), m, v


rule = getattr(adam_update, "py_func", adam_update)  # in plain NumPy; under NUMBA_DISABLE_JIT it is plain already


def constants(weight_decay: float, dtype) -> Constants:
    """The constants in the dtype of the weights, so that float32 stays float32."""
    dtype = np.dtype(dtype).type
    return Constants(*(dtype(value) for value in (1 - BETA1, 1 - BETA2, EPSILON, weight_decay)))


def steps(rates: np.ndarray, first: int, last: int, dtype) -> Step:
    """Steps ``first .. last - 1`` (step 0 is Adam's t = 1), arrays of shape (last - first,)."""
    t = np.arange(first + 1, last + 1)
    values = rates[first:last], 1 / (1 - BETA1**t), 1 / np.sqrt(1 - BETA2**t)
    return Step(*(value.astype(dtype) for value in values))


def learning_rates(schedule: Schedule, learning_rate: float, steps: int, warmup: int = 0) -> np.ndarray:
    """The learning rate of each step t = 0 .. steps - 1, shape (steps,).

    ``"constant"``: η. ``"linear"``: η (1 - t / steps). ``"cosine"``: η (1 + cos(π t / steps)) / 2.
    Both decays start at η and would reach 0 at the step after the last. During the `warmup` η rises evenly from
    η / warmup, and the schedule begins after it.

    Examples
    --------
    >>> from minitms import adam
    >>> adam.learning_rates("cosine", 0.01, 4).round(4)
    array([0.01  , 0.0085, 0.005 , 0.0015])
    """
    t = np.arange(steps - warmup) / max(steps - warmup, 1)
    factor = _checks.lookup("schedule", schedule, {
        "constant": np.ones_like(t), "linear": 1 - t, "cosine": (1 + np.cos(math.pi * t)) / 2
    })  # fmt: skip
    return learning_rate * np.concatenate([np.arange(1, warmup + 1) / max(warmup, 1), factor])
