"""Input is checked here, once, at the Python border: what was got, what is expected, how to mend it."""

from __future__ import annotations

import math
import os
from numbers import Integral, Real

import numpy as np

ACTIVATIONS = ("linear", "relu")
SEED_LIMIT = 2**63


def choice(name: str, value, allowed) -> str:
    """Return `value` if it is one of the `allowed` words."""
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; expected one of {', '.join(map(repr, allowed))}")
    return value


def integer(name: str, value, at_least: int) -> int:
    """Return `value` as an int that is not below `at_least`."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} is {value!r} ({type(value).__name__}); expected a whole number")
    if value < at_least:
        raise ValueError(f"{name} is {value}; expected at least {at_least}")
    return int(value)


def batch_size(value, n: int) -> int:
    """Return the batch size for n features: a batch has a counter of 32 bits for its random words, two a value."""
    value = integer("batch_size", value, at_least=1)
    most = 2**31 // n
    if value > most:
        raise ValueError(f"batch_size is {value} with {n} features; expected at most 2^31 / n = {most} examples")
    return value


def number(name: str, value, at_least: float = -math.inf, above: float = -math.inf) -> float:
    """Return `value` as a finite float within its bounds."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} is {value!r} ({type(value).__name__}); expected a real number")
    if not math.isfinite(value) or value < at_least or value <= above:
        bounds = f" above {above:g}" if above > -math.inf else ""
        bounds += f" of at least {at_least:g}" if at_least > -math.inf else ""
        raise ValueError(f"{name} is {value}; expected a finite number{bounds}")
    return float(value)


def seed(value) -> int:
    """Return the seed, an int in ``[0, 2**63)``; None draws one."""
    if value is None:
        return int.from_bytes(os.urandom(8), "little") % SEED_LIMIT
    value = integer("seed", value, at_least=0)
    if value >= SEED_LIMIT:
        raise ValueError(f"seed is {value}; expected an int in [0, 2**63)")
    return value


def real_array(name: str, value) -> np.ndarray:
    """Return `value` as a float32 or float64 array; whole numbers become float64."""
    array = np.asarray(value)
    if array.dtype.kind in "iub":
        return array.astype(np.float64)
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name} has dtype {array.dtype}; expected float32 or float64: {name}.astype(np.float64)")
    return array


def finite(name: str, array: np.ndarray) -> np.ndarray:
    """Return `array` if it holds no NaN and no infinity."""
    bad = ~np.isfinite(array)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"{name} holds {array[where]} at index {where} ({bad.sum()} such entries); expected finite numbers"
        )
    return array


def bounded(name: str, value, at_most: float = math.inf) -> np.ndarray:
    """Return `value` as a float64 array whose entries are finite and lie in ``[0, at_most]``."""
    array = finite(name, real_array(name, value)).astype(np.float64)
    outside = (array < 0) | (array > at_most)
    if outside.any():
        bounds = "at least 0" if at_most == math.inf else f"in [0, {at_most:g}]"
        raise ValueError(f"{name} holds {array[outside].flat[0]:g}; expected every value {bounds}")
    return array


def per_feature(name: str, value, n: int, at_most: float = math.inf) -> np.ndarray:
    """Return `value` broadcast to ``(..., n)`` in float64, every entry in ``[0, at_most]``.

    A scalar serves all features; ``(n,)`` gives one value a feature, ``(K, 1)`` one a model, ``(K, n)`` both.
    """
    array = bounded(name, value, at_most)
    if (array.ndim and array.shape[-1] not in (1, n)) or array.shape == (1,) != (n,):
        hint = f"; one value a model is written {name}[:, None]" if array.ndim == 1 else ""
        raise ValueError(
            f"{name} has shape {array.shape}; expected a scalar, ({n},) for one value a feature, "
            f"or (..., 1) or (..., {n}) for a stack of models{hint}"
        )
    if array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}, a stack of no models; expected at least one")
    return np.broadcast_to(array, (*array.shape[:-1], n))


def memory(needed: int, what: str) -> None:
    """Raise ValueError if `needed` bytes exceed the physical memory, where that is known."""
    try:
        physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not known on this system
        return
    if needed > physical:
        raise ValueError(
            f"{what} need {needed / 2**30:,.1f} GiB, and this machine has {physical / 2**30:,.1f} GiB; "
            "train fewer models at once"
        )
