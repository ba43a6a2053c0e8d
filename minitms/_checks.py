"""Input is checked here, once, at the Python border: what was got, what is expected, how to mend it."""

from __future__ import annotations

import math
import os
from numbers import Integral, Real
from typing import get_args

import numpy as np

from minitms import _words

# Every word that a user can give. A file that does something else for each of them asks `lookup`, never an `else`.
ACTIVATIONS: tuple[str, ...] = get_args(_words.Activation)
SET_PATTERNS: tuple[str, ...] = get_args(_words.SetPattern)
PATTERNS: tuple[str, ...] = get_args(_words.Pattern)
TARGETS: tuple[str, ...] = get_args(_words.Target)
SCHEDULES: tuple[str, ...] = get_args(_words.Schedule)
METHODS: tuple[str, ...] = get_args(_words.Method)
ENGINES: tuple[str, ...] = get_args(_words.Engine)
DTYPES: tuple[str, ...] = get_args(_words.DtypeWord)

SEED_LIMIT = 2**63
IMPORTANCE_LIMITS = {"float32": 1e15, "float64": 1e50}
LARGEST = IMPORTANCE_LIMITS["float64"]  # of weights, biases, importances: I W⁴ still fits into float64


def choice(name: str, value, allowed):
    """Return `value` if it is one of the `allowed` words, whole numbers or truth values."""
    like = isinstance(value, (str, Integral)) and isinstance(value, bool) == isinstance(allowed[0], bool)
    if not like or value not in allowed:
        raise ValueError(f"{name} is {value!r}; expected one of {', '.join(map(repr, allowed))}")
    return allowed[allowed.index(value)]  # and not a subclass of str, which would not be read back from a file


def lookup(name: str, value, table):
    """Return what the word `value` stands for in the `table`."""
    return table[choice(name, value, tuple(table))]


def is_relu(activation, name: str = "activation") -> bool:
    """True for "relu", False for "linear", an error for any other: asked where y = max(z, 0) is built in.

    That is in kernels, exact losses and theory, and where kinks are looked for. A new function has no place here.
    """
    return lookup(name, activation, {"linear": False, "relu": True})


def dtype(value) -> str:
    """Return "float32" or "float64", for NumPy's own names of them too."""
    if isinstance(value, (type, np.dtype)):
        value = next((word for word in DTYPES if value in (getattr(np, word), np.dtype(word))), value)
    return choice("dtype", value, DTYPES)


def flag(name: str, value) -> bool:
    """Return `value` if it is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} is {value!r}; expected True or False")
    return bool(value)


def integer(name: str, value, at_least: int, at_most: float = 2**63 - 1) -> int:
    """Return `value` as an int within its bounds."""
    # NumPy counts a time span among the whole numbers.
    if isinstance(value, (bool, np.timedelta64)) or not isinstance(value, Integral):
        raise TypeError(f"{name} is {value!r} ({type(value).__name__}); expected a whole number")
    if value < at_least:
        raise ValueError(f"{name} is {value}; expected at least {at_least}")
    if value > at_most:
        raise ValueError(f"{name} is {value}; expected at most {at_most}")
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
    if isinstance(value, (bool, np.timedelta64)) or not isinstance(value, Real):
        raise TypeError(f"{name} is {value!r} ({type(value).__name__}); expected a real number")
    try:
        number = float(value)
    except OverflowError:  # of a whole number
        number = math.inf
    if not math.isfinite(number) or number < at_least or number <= above:
        bounds = f" above {above:g}" if above > -math.inf else ""
        bounds += f" of at least {at_least:g}" if at_least > -math.inf else ""
        raise ValueError(f"{name} is {value}; expected a finite number{bounds}")
    return number


def seed(value) -> int:
    """Return the seed, an int in ``[0, 2**63)``; None draws one."""
    if value is None:
        return int.from_bytes(os.urandom(8), "little") % SEED_LIMIT
    value = integer("seed", value, 0, math.inf)
    if value >= SEED_LIMIT:
        raise ValueError(f"seed is {value}; expected an int in [0, 2**63)")
    return value


def real_array(name: str, value) -> np.ndarray:
    """Return `value` as a float32 or float64 array; whole numbers become float64."""
    array = plain_array(name, value)
    if array.dtype.kind in "iub":
        return array.astype(np.float64)
    if array.dtype not in (np.float32, np.float64):
        mend = f": {name}.astype(np.float64)" if array.dtype.kind == "f" else ", real numbers"
        raise TypeError(f"{name} has dtype {array.dtype}; expected float32 or float64{mend}")
    return array


def plain_array(name: str, value) -> np.ndarray:
    """Return `value` as an array; one with a mask is refused, since what lies under it is no data."""
    if _masked(value):
        raise TypeError(f"{name} is a masked array, whose mask would be lost; expected a plain one: {name}.filled(...)")
    try:
        return np.asarray(value)
    except ValueError as error:  # rows of unequal lengths
        raise ValueError(f"{name} is no array ({error}); expected numbers in rows of equal length") from None
    except (TypeError, RuntimeError) as error:  # a tensor that NumPy cannot see
        raise TypeError(f"{name} is no array: {error}") from None


def _masked(value) -> bool:
    """Whether it is a masked array, or a list that holds one at some depth."""
    if isinstance(value, (list, tuple)):
        return any(_masked(item) for item in value)
    return isinstance(value, np.ma.MaskedArray)


def finite(name: str, array: np.ndarray) -> np.ndarray:
    """Return `array` if it holds no NaN and no infinity."""
    bad = ~np.isfinite(array)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"{name} holds {array[where]} at index {where} ({bad.sum()} such entries); expected finite numbers"
        )
    return array


def fits(name: str, array, dtype) -> np.ndarray:
    """Return `array` in `dtype`, in which its largest entry has a place."""
    limits = np.finfo(dtype)
    largest, least, most = (float(number) for number in (np.abs(array).max(initial=0), limits.tiny, limits.max))
    if largest > most or 0 < largest < least:
        raise ValueError(
            f"{name} is {plainly(largest)} where it is largest; expected {least:g} to {most:g}, "
            f"the range of {limits.dtype}"
            + ("; float64 has more" if limits.bits == 32 else "")
        )
    return np.asarray(array).astype(dtype)


def trainable(name: str, largest: np.ndarray, dtype, power: int = 1) -> None:
    """Refuse what would let gradients, which it enters to a power, or their squares in Adam overflow or vanish.

    `largest` is the largest importance, or the largest value of the examples, of each model.
    """
    most = IMPORTANCE_LIMITS[np.dtype(dtype).name] ** (1 / power)
    strange = (largest > most) | ((largest > 0) & (largest < 1 / most))
    if strange.any():
        raise ValueError(
            f"{name} is {plainly(largest[strange].flat[0], most)} where it is largest; expected {1 / most:g} to "
            f"{most:g} there, or 0, for training in {dtype}, or the squares of gradients overflow or vanish"
        )


def below_limit(name: str, array) -> None:
    """Refuse weights, biases or importances of which no loss could be computed."""
    largest = float(np.abs(array).max(initial=0))  # LARGEST does not fit into float32
    if largest > LARGEST:
        raise ValueError(
            f"{name} holds {plainly(largest, LARGEST)}; expected at most {LARGEST:g}, or the loss overflows"
        )


def bounded(name: str, value, at_most: float = math.inf) -> np.ndarray:
    """Return `value` as a float64 array whose entries are finite and lie in ``[0, at_most]``."""
    array = finite(name, real_array(name, value)).astype(np.float64)
    outside = (array < 0) | (array > at_most)
    if outside.any():
        bounds = "at least 0" if at_most == math.inf else f"in [0, {at_most:g}]"
        raise ValueError(f"{name} holds {plainly(array[outside].flat[0], at_most)}; expected every value {bounds}")
    return array


def plainly(number: float, bound: float = math.nan) -> str:
    """A number in few digits, unless these would say another number, or the bound that it is beyond."""
    number = float(number)
    short, long, exact = f"{number:g}", f"{number:.15g}", repr(number)
    text = short if float(short) == float(long) else long
    return exact if float(text) == bound else text


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


def memory(needed: int, what: str, mend: str = "train fewer models at once") -> None:
    """Raise ValueError if `needed` bytes exceed the physical memory, where that is known."""
    try:
        physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not known on this system
        return
    if needed > physical:
        up, down = math.ceil(10 * needed / 2**30) / 10, math.floor(10 * physical / 2**30) / 10  # never the same
        raise ValueError(f"{what} need {up:,.1f} GiB, and this machine has {down:,.1f} GiB; {mend}")
