"""Parameters in the user's form (an array, a tuple, a dict) as a list of named arrays, and back."""

from __future__ import annotations

import numpy as np

from minitms.testing.errors import GradientError


class Form:
    """The form of the user's parameters, found and checked once."""

    def __init__(self, params):
        self.kind = type(params)
        if isinstance(params, dict):
            self.keys, values = list(params), list(params.values())
            self.names = [str(key) for key in self.keys]
        elif isinstance(params, tuple):
            values = list(params)
            self.names = list(getattr(params, "_fields", [f"params[{i}]" for i in range(len(values))]))
        elif isinstance(params, np.ndarray | np.floating):
            values, self.names = [params], ["params"]
        else:
            raise TypeError(
                f"params is a {type(params).__name__}; expected a float64 array, or a tuple or dict of float64 arrays"
            )
        if not values:
            raise ValueError(f"params is an empty {type(params).__name__}; expected at least one array")
        self.values = [_parameter(name, value) for name, value in zip(self.names, values, strict=True)]

    def build(self, values):
        """Arrays as one argument in the user's form. The callbacks get copies, so they cannot spoil ours."""
        copies = [np.array(value) for value in values]
        if issubclass(self.kind, dict):
            return dict(zip(self.keys, copies, strict=True))
        if issubclass(self.kind, tuple):
            return self.kind(*copies) if hasattr(self.kind, "_fields") else tuple(copies)
        return copies[0]

    def split(self, gradient):
        """What `gradient` returned as a list of float64 arrays, each of its parameter's shape."""
        if issubclass(self.kind, dict):
            if not isinstance(gradient, dict):
                raise TypeError(f"gradient returned a {type(gradient).__name__}; expected a dict, as params is")
            if set(gradient) != set(self.keys):
                missing, extra = (
                    [k for k in self.keys if k not in gradient],
                    [k for k in gradient if k not in self.keys],
                )
                raise ValueError(
                    f"gradient returned the keys {list(gradient)}; expected {self.keys} as in params"
                    + f": missing {missing}" * bool(missing)
                    + f": unknown {extra}" * bool(extra)
                )
            parts = [gradient[key] for key in self.keys]
        elif issubclass(self.kind, tuple):
            if not isinstance(gradient, tuple | list):
                raise TypeError(f"gradient returned a {type(gradient).__name__}; expected a tuple, as params is")
            if len(gradient) != len(self.names):
                raise ValueError(
                    f"gradient returned {len(gradient)} arrays; expected {len(self.names)}, as params has"
                )
            parts = list(gradient)
        else:
            if isinstance(gradient, dict | tuple | list):
                raise TypeError(f"gradient returned a {type(gradient).__name__}; expected one array, as params is")
            parts = [gradient]
        return [_part(name, part, value) for name, part, value in zip(self.names, parts, self.values, strict=True)]


def scalar_loss(value):
    """What `loss` returned as a float."""
    if getattr(value, "shape", ()) != ():
        raise ValueError(
            f"loss returned an array of shape {tuple(value.shape)}; expected one number: take .sum() or .mean() of it"
        )
    if any(narrow in str(getattr(value, "dtype", "")) for narrow in ("float32", "float16")):
        raise TypeError(
            f"loss returned {value.dtype}, whose rounding hides errors below 1 %; compute it in float64 "
            '(in JAX: jax.config.update("jax_enable_x64", True))'
        )
    try:
        return float(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError):
        raise TypeError(f"loss returned a {type(value).__name__}; expected one real number") from None


def _parameter(name, value):
    dtype = getattr(value, "dtype", None)
    if isinstance(value, float):
        value = np.float64(value)
    elif not isinstance(value, np.ndarray):
        raise TypeError(f"{name} is a {type(value).__name__}; expected a float64 NumPy array")
    if value.dtype == np.float32:
        raise TypeError(
            f"{name} is float32: a difference of two float32 losses keeps about three digits, so a small error could "
            f"not be told from rounding. Check in float64: {name}.astype(np.float64)"
        )
    if value.dtype != np.float64:
        raise TypeError(f"{name} has dtype {dtype}; expected float64: {name}.astype(np.float64)")
    if value.size == 0:
        raise ValueError(f"{name} is empty, of shape {value.shape}; expected at least one entry")
    if not np.isfinite(value).all():
        raise ValueError(f"{name} holds NaN or infinity; expected finite numbers")
    return np.array(value)


def _part(name, part, value):
    kind = type(part).__name__
    if hasattr(part, "detach"):  # a PyTorch tensor that still tracks its history
        part = part.detach()
    try:
        part = np.asarray(part)
        real = part.dtype.kind in "fiub"
    except ValueError:  # ragged
        real = False
    if not real:
        raise TypeError(f"gradient returned a {kind} for {name}; expected a float64 array of shape {value.shape}")
    if part.dtype in (np.float32, np.float16):
        raise TypeError(f"gradient returned {part.dtype} for {name}; expected float64, as the parameter is")
    if part.shape != value.shape:
        transposed = value.ndim >= 2 and part.shape == (*value.shape[:-2], value.shape[-1], value.shape[-2])
        raise GradientError(
            f"gradient by {name} has the wrong shape: got {part.shape}, expected {value.shape} as the parameter"
            + (". Likely cause: it is transposed" if transposed else ""),
            name,
            hints={name: "shape"},
        )
    return part.astype(np.float64)
