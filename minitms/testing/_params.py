"""Parameters in the user's form (an array, a number, or lists, tuples and dicts of these) as named arrays, and back.

PyTorch and JAX are never imported: what is theirs is known by what it can do.
"""

from __future__ import annotations

import copy
import itertools
import numbers
from collections.abc import Iterable, Mapping

import numpy as np

from minitms.testing.errors import GradientError

__tracebackhide__ = True  # pytest then shows the user's code, not ours

EXPECTED = "a float64 NumPy array, a float, or a list, tuple or dict of these"
NARROW = ("float32", "float16", "float8")  # bfloat16 is one of them
LEAVE_OUT = "if it is not differentiated, leave it out of params: let loss and gradient close over it"


class Form:
    """The form of the user's parameters, found and checked once. One that stands alone is `called` so.

    `names` and `values` leave empty arrays out: there is nothing to move in them. The callbacks get them nonetheless,
    and the gradient must have them.
    """

    def __init__(self, params, called="params"):
        found = list(_leaves(params))
        if not found:
            raise ValueError(f"params is an empty {type(params).__name__}; expected at least one array")
        values = [_parameter(_name(path, "params"), leaf, f"; or, {LEAVE_OUT}" * bool(path)) for path, leaf in found]
        if not any(value.size for value in values):
            name = _name(found[0][0], "params")
            raise ValueError(f"{name} is empty, of shape {values[0].shape}; expected at least one entry")
        names = [_name(path, called) for path, _ in found]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"params has two parameters with the name {twice}; expected a name for each")
        self.template = _rebuild(params, iter(values))  # a copy: what the caller does to params is no matter
        self.everything = list(zip(names, values, strict=True))
        self.names, self.values = map(list, zip(*((n, v) for n, v in self.everything if v.size), strict=True))

    def build(self, values):
        """Arrays as one argument in the user's form. The callbacks get copies, so they cannot spoil ours."""
        return _rebuild(self.template, iter(self._with_empty(values)))

    def changed(self, given, values):
        """Which parameter a callback has changed in what `build` gave it for `values`, and how; or None, None."""
        try:
            parts = [part for _, part in _match(self.template, given)]
        except (TypeError, ValueError):
            return self.names[0], (
                "the parts of params have changed after the call: one was added, or taken away. Work on a copy: "
                "params = copy.deepcopy(params)"
            )
        for (name, _), value, part in zip(self.everything, self._with_empty(values), parts, strict=True):
            if not np.array_equal(part, value):
                return name, f"{name} has changed after the call. Work on a copy: {name} = {name}.copy()"
        return None, None

    def _with_empty(self, values):
        moving = iter(values)
        return [next(moving) if value.size else value for _, value in self.everything]

    def split(self, gradient):
        """What `gradient` returned as a list of float64 arrays, each of its parameter's shape."""
        parts = [part for _, part in _match(self.template, gradient)]
        among_others = len(self.everything) > 1
        parts = [_part(*named, part, among_others) for named, part in zip(self.everything, parts, strict=True)]
        _check_shapes([(name, part.shape, v.shape) for (name, v), part in zip(self.everything, parts, strict=True)])
        return [part.astype(np.float64) for part in parts if part.size]


def as_numbers(value):
    """What a callback returned as an array of real numbers; None if it is something else."""
    if isinstance(value, np.ma.MaskedArray):  # NumPy would drop the mask without a word
        return None
    if hasattr(value, "detach"):  # a PyTorch tensor that still tracks its history
        value = value.detach()
        value = value.cpu() if hasattr(value, "cpu") else value
    try:
        array = np.asarray(value)
    except Exception:  # ragged, sparse, of a type that NumPy does not have: each library has its own complaint
        return None
    return array if array.dtype.kind in "fiub" else None


def scalar_loss(value):
    """What `loss` returned as a float."""
    if type(value) in (float, np.float64):
        return float(value)
    dtype, shape = str(getattr(value, "dtype", "")), tuple(getattr(value, "shape", ()))
    if any(narrow in dtype for narrow in NARROW):
        raise TypeError(
            f"loss returned {dtype}, whose rounding hides errors below 1 %; compute it in float64 "
            '(in JAX: jax.config.update("jax_enable_x64", True))'
        )
    if shape not in ((), (1,)):
        raise ValueError(
            f"loss returned an array of shape {shape}; expected one number: take .sum() or .mean() of it, "
            "or (R * out).sum() with a fixed random R, which tests every entry of out"
        )
    kind = getattr(getattr(value, "dtype", None), "kind", "f")  # a dtype of PyTorch has none
    try:
        number = value.item() if hasattr(value, "item") else value
        refused = isinstance(value, np.ma.MaskedArray) or isinstance(number, bool | str | bytes | bytearray)
        if kind not in "fiu" or refused:
            raise TypeError
        return float(number)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"loss returned {what(value)}; expected one real number") from None


def entry(name, index):
    """An entry as one would write it: W[0, 1], or b of a number."""
    return f"{name}{list(index)}" if index else name


def _name(path, root):
    return path[1:] if path.startswith(".") else root + path


def _children(node):
    """The parts of a container with what their names add to its own; None for anything else."""
    if isinstance(node, dict):
        return [(f".{key}", child) for key, child in node.items()]
    if isinstance(node, tuple) and hasattr(node, "_fields"):
        return [(f".{field}", child) for field, child in zip(node._fields, node, strict=True)]
    if isinstance(node, list | tuple):
        return [(f"[{i}]", child) for i, child in enumerate(node)]
    return None


def _leaves(node, path=""):
    children = _children(node)
    if children is None:
        yield path, node
    else:
        for label, child in children:
            yield from _leaves(child, path + label)


def _rebuild(node, leaves):
    """A container like `node` with other leaves, all of it new."""
    if isinstance(node, dict):
        new = copy.copy(node)  # of the same class, whatever its constructor takes
        for key, child in node.items():
            new[key] = _rebuild(child, leaves)
        return new
    if isinstance(node, list | tuple):
        children = [_rebuild(child, leaves) for child in node]
        kind = list if isinstance(node, list) else getattr(node, "_make", tuple)  # a named tuple has one
        return kind(children)
    return np.array(next(leaves)) if isinstance(node, np.ndarray) else type(node)(next(leaves))


def _match(node, given, path=""):
    """The leaves of `given`, in the order of those of `node`; the containers of both must agree."""
    name = _name(path, "params")
    of = f" for {name}" if path else ""
    got = f"gradient returned {what(given)}{of}"
    children = _children(node)
    if children is None:
        if isinstance(given, Mapping | tuple | list):
            raise TypeError(f"{got}; expected one array, as {name} is")
        yield path, given
    elif isinstance(node, dict):
        if not isinstance(given, Mapping):
            raise TypeError(f"{got}; expected a dict, as {name} is{_if_none(given)}")
        if set(given) != set(node):
            missing, extra = [key for key in node if key not in given], [key for key in given if key not in node]
            raise ValueError(
                f"gradient returned the keys {list(given)}{of}; expected {list(node)} as in {name}"
                + f": missing {missing}" * bool(missing)
                + f": unknown {extra}" * bool(extra)
            )
        for (label, child), key in zip(children, node, strict=True):
            yield from _match(child, given[key], path + label)
    else:
        if not isinstance(given, tuple | list):
            array = as_numbers(given)  # NumPy makes one of a list of numbers
            if array is None or not array.ndim:
                kind = "list" if isinstance(node, list) else "tuple"
                raise TypeError(f"{got}; expected a {kind}, as {name} is{_if_none(given)}")
            given = list(array)
        if len(given) != len(node):
            raise ValueError(f"gradient returned {len(given)} arrays{of}; expected {len(node)}, as {name} has")
        for (label, child), part in zip(children, given, strict=True):
            yield from _match(child, part, path + label)


def _parameter(name, value, or_else):
    """The value as an array; `or_else` ends the message if it is of a type that nobody differentiates by."""
    if isinstance(value, float):  # so is np.float64
        value = np.array(value, np.float64)
    if type(value) is not np.ndarray:
        raise TypeError(f"{name} is {what(value)}; expected {EXPECTED}{_conversion(name, value)}{or_else}")
    if value.dtype == np.float32:
        raise TypeError(
            f"{name} is float32: a difference of two float32 losses keeps about three digits, so a small error could "
            f"not be told from rounding. Check in float64: {name}.astype(np.float64)"
        )
    if value.dtype != np.float64:
        how = {"c": f": the pair ({name}.real, {name}.imag)", "O": ": numbers only, or a list of arrays"}
        how |= dict.fromkeys("fiub", f": {name}.astype(np.float64)")
        raise TypeError(f"{name} has dtype {value.dtype}; expected float64{how.get(value.dtype.kind, '')}{or_else}")
    if not np.isfinite(value).all():
        raise ValueError(f"{name} holds NaN or infinity; expected finite numbers")
    return np.array(value)


def _conversion(name, value):
    """How to make an array of it, as the end of a message: one line to write, or nothing."""
    dtype = str(getattr(value, "dtype", ""))
    if isinstance(value, np.ma.MaskedArray):
        return f": {name}.compressed(), or {name}.filled(...)"
    if isinstance(value, np.ndarray):  # np.matrix, whose * is another product; arrays with units
        return f": np.asarray({name})"
    if hasattr(value, "detach"):
        cpu = "" if str(getattr(value, "device", "cpu")) == "cpu" else ".cpu()"
        double = "" if dtype.endswith("float64") else ".double()"
        return (
            f": {name}.detach(){cpu}{double}.numpy(). loss and gradient then get NumPy arrays too: let them begin with "
            "torch.as_tensor"
        )
    if isinstance(value, numbers.Real | np.floating) and not isinstance(value, bool):
        return f": float({name})"
    if hasattr(value, "toarray"):  # sparse
        return f": {name}.toarray()"
    if hasattr(value, "__array__"):  # JAX, pandas and others
        return f": np.asarray({name}, np.float64)"
    if isinstance(value, Mapping):
        return f": dict({name})"
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | bytearray):
        return f": list({name})"
    return ""


def _part(name, value, part, among_others):
    array = as_numbers(part)
    dtype = str(getattr(part, "dtype", "") if array is None else array.dtype)
    if any(narrow in dtype for narrow in NARROW):
        raise TypeError(
            f"gradient returned {dtype} for {name}; expected float64: compute it in float64 from the start, since what "
            'was rounded once stays so (in PyTorch model.double(), in JAX jax.config.update("jax_enable_x64", True))'
        )
    if array is None:
        raise TypeError(
            f"gradient returned {what(part)} for {name}; expected a float64 array of shape {value.shape}"
            + (": call .toarray() of it" if hasattr(part, "toarray") else "")
            + _if_none(part, f"; or, {LEAVE_OUT}" * among_others)
        )
    return array


def _check_shapes(shapes):
    """Raise if the shape of a part, second of each triple, is not that of its parameter, third."""
    wrong = [(name, got, expected) for name, got, expected in shapes if got != expected]
    if not wrong:
        return
    name, got, expected = wrong[0]
    turned = all(_order_of_axes(*shapes) for _, *shapes in wrong)
    # The shapes of several gradients in another order; where a transpose would explain them too, nobody can tell.
    exchanged = len(wrong) > 1 and sorted(g for _, g, _ in wrong) == sorted(e for *_, e in wrong)
    cause, kind = "", "shape"
    if exchanged and turned:
        cause = "each is transposed, or the order of the gradients is wrong"
    elif exchanged:
        others = " or ".join(other for other, _, theirs in wrong if theirs == got)
        cause, kind = f"the order of the gradients is wrong, this is the shape of {others}", "swapped"
    elif order := _order_of_axes(got, expected):
        last_two = [*range(len(order) - 2), len(order) - 1, len(order) - 2]
        cause = "it is transposed" if order == last_two else f"the order of its axes: np.transpose(..., {order})"
    else:
        cause = _summed_wrongly(got, expected)
    raise GradientError(
        f"gradient by {name} has the wrong shape: got {got}, expected {expected} as the parameter"
        + (f". Likely cause: {cause}" if cause else ""),
        name,
        hints={name: kind for name, *_ in (wrong if kind == "swapped" else wrong[:1])},
    )


def _summed_wrongly(got, expected):
    """Which sum, or which keepdims, would give one shape the other, in words; "" if none does."""
    if [side for side in got if side != 1] == [side for side in expected if side != 1]:
        cure = "too many: drop keepdims" if len(got) > len(expected) else "missing: keepdims=True"
        return f"an axis of length 1 is {cure}, or reshape it"
    more = len(got) - len(expected)
    if not more and all(e in (g, 1) for g, e in zip(got, expected, strict=True)):
        axes = tuple(i for i, side in enumerate(expected) if side != got[i])
        return f"the sum over {named_axes(axes)} is missing, with keepdims=True"
    for axes in itertools.combinations(range(len(got)), max(0, more)):  # the first axes are those of a broadcast
        if axes and tuple(side for i, side in enumerate(got) if i not in axes) == expected:
            return f"the sum over {named_axes(axes)} is missing"
    return ""


def named_axes(axes):
    """In words."""
    return f"axis {axes[0]}" if len(axes) == 1 else f"the axes {' and '.join(map(str, axes))}"


def _order_of_axes(got, expected):
    """A transposition that gives one shape the other, as few axes as possible moved; None if there is none."""
    if sorted(got) != sorted(expected) or len(got) > 6:
        return None
    orders = [list(order) for order in itertools.permutations(range(len(got)))]
    orders = [order for order in orders if tuple(got[i] for i in order) == expected]
    return min(orders, key=lambda order: sum(i != place for place, i in enumerate(order)))


def _if_none(given, or_else=""):
    """Where None comes from, as the end of a message."""
    if given is not None:
        return ""
    return f": is a return missing? In PyTorch, .grad is None before .backward() and without requires_grad{or_else}"


def what(value):
    """The kind of a value in words."""
    kind, dtype = type(value).__name__, str(getattr(value, "dtype", ""))
    article = "an" if kind.startswith(tuple("aeioAEIO")) or kind == "ndarray" else "a"
    return f"{article} {kind}" + (f" of {dtype}" if dtype and dtype != kind else "")
