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

import numba
import numpy as np

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
SCHEDULES = ("constant", "linear", "cosine")


@numba.njit(inline="always")
def adam_update(w, g, m, v, step, fixed):
    """One Adam step on one weight; on whole arrays it is ``adam_update.py_func``, the same lines in plain NumPy.

    The two means are written as steps towards the new value, m + (1 - β₁)(g - m), which is the same thing.

    Parameters
    ----------
    w, g : weight and its gradient
    m, v : running means of g and g²
    step : η, 1 / c₁ and 1 / √c₂ of this step: a row of `step_sizes`
    fixed : 1 - β₁, 1 - β₂, ε and λ: `fixed_numbers`

    Returns
    -------
    w, m, v : after the step

    Notes
    -----
    Kingma & Ba (2015), algorithm 1; Loshchilov & Hutter (2019), algorithm 2.
    """
    m = m + fixed[0] * (g - m)
    v = v + fixed[1] * (g * g - v)
    move = m * step[1] / (np.sqrt(v) * step[2] + fixed[2])
    return w - step[0] * (move + fixed[3] * w), m, v


def fixed_numbers(weight_decay: float, dtype) -> np.ndarray:
    """1 - β₁, 1 - β₂, ε and λ, in the dtype of the weights so that float32 stays float32."""
    return np.array([1 - BETA1, 1 - BETA2, EPSILON, weight_decay], dtype)


def step_sizes(rates: np.ndarray, first: int, last: int, dtype) -> np.ndarray:
    """η, 1 / c₁ and 1 / √c₂ of steps ``first .. last - 1`` (step 0 is Adam's t = 1), shape (last - first, 3)."""
    t = np.arange(first + 1, last + 1)
    return np.stack([rates[first:last], 1 / (1 - BETA1**t), 1 / np.sqrt(1 - BETA2**t)], axis=-1).astype(dtype)


def learning_rates(schedule: str, learning_rate: float, steps: int) -> np.ndarray:
    """The learning rate of each step t = 0 .. steps - 1, shape (steps,).

    ``"constant"``: η. ``"linear"``: η (1 - t / steps). ``"cosine"``: η (1 + cos(π t / steps)) / 2.
    Both decays start at η and would reach 0 at the step after the last.
    """
    t = np.arange(steps) / steps
    if schedule == "linear":
        return learning_rate * (1 - t)
    if schedule == "cosine":
        return learning_rate * (1 + np.cos(math.pi * t)) / 2
    return np.full(steps, learning_rate, dtype=np.float64)
