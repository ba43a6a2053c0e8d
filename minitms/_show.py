"""How results show themselves: numbers in a few words."""

from __future__ import annotations

import math

import numpy as np

NEAR = 1.01  # times the lowest loss: what counts as as good as the best


def span(values: np.ndarray) -> str:
    """The number that they all are, or the smallest and the largest."""
    low, high = values.min(), values.max()
    return f"{low:g}" if low == high else f"{low:g}..{high:g}"


def losses(values: np.ndarray) -> str:
    """The loss, or the range of losses."""
    low, high = values.min(), values.max()
    return f"loss {low:.4g}" if low == high else f"loss {low:.4g} to {high:.4g}"


def luck(loss: np.ndarray) -> str:
    """How many of the restarts (restarts, ...) ended as well as the best of their model."""
    near = int((loss <= NEAR * loss.min(axis=0)).sum())
    what = "restarts" if loss.ndim == 1 else "models and restarts"
    return f"{near} of {loss.size} {what} within 1 % of the best"


def models(stack) -> str:
    """How many models there are."""
    return f"{math.prod(stack)} models" if stack else "1 model"
