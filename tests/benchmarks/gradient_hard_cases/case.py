"""What a hard case is, and the proof that its gradient is right and its planted mistake is one that can be seen.

The proof is the complex step: the slope of f along v is the imaginary part of f(p + i h v) / h with h as small as one
likes. Nothing is subtracted, so no kink, offset or scale can spoil it. Losses are therefore written such that they take
complex parameters too; `np.maximum`, `max` and comparisons go by the real part first.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class HardCase(NamedTuple):
    loss: Callable
    gradient: Callable
    params: object
    kinks: Callable | None = None
    mistakes: dict = {}  # noqa: RUF012 (never changed): wrong gradients that people write, by name
    kind: str = ""
    name: str = ""
    mistake: tuple[str, Callable] | None = None  # the one chosen among these and the common ones
    checkable: bool = True  # False: differences of this loss cannot tell whether the gradient is right
    seed: int = 0


FAMILIES = []  # (function, kind, checkable)


def family(kind, checkable=True):
    """Register a function of a random generator that returns a `HardCase`; its name is the name of the cases."""

    def register(function):
        FAMILIES.append((function, kind, checkable))
        return function

    return register


def single(z):
    """Float32, as a user's code has it somewhere inside; the complex step sees the function without that rounding."""
    return z if np.iscomplexobj(z) else np.asarray(z, np.float32)


def double(z):
    return z if np.iscomplexobj(z) else np.asarray(z, np.float64)


def absolute(z):
    return np.where(z.real > 0, z, -z)


def logsumexp(z):
    top = z.max(-1, keepdims=True)
    return np.log(np.exp(z - top).sum(-1)) + top[..., 0]


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def form(params):
    """The parameters as one flat vector, and the function that builds them of such a vector."""
    if isinstance(params, dict):
        keys, values = list(params), list(params.values())
    else:
        keys, values = None, list(params) if isinstance(params, tuple) else [params]
    ends = np.cumsum([value.size for value in values])

    def build(vector):
        parts = [part.reshape(v.shape) for part, v in zip(np.split(vector, ends[:-1]), values, strict=True)]
        if keys:
            return dict(zip(keys, parts, strict=True))
        return tuple(parts) if isinstance(params, tuple) else parts[0]

    return np.concatenate([v.ravel() for v in values]), build


def join(gradient):
    """A gradient in any of these forms as one flat vector."""
    parts = gradient.values() if isinstance(gradient, dict) else gradient if isinstance(gradient, tuple) else [gradient]
    return np.concatenate([np.ravel(part) for part in parts])


def complex_step(case, directions):
    """The slopes of the loss along the rows of `directions`, by the complex step; each row is its own step."""
    start, build = form(case.params)
    return np.array([case.loss(build(start + 1e-25j * v)).imag / 1e-25 for v in directions])


def directions(size, random, at_most=60):
    """Every axis, or some axes and some random directions if there are many, each entry by its own size."""
    if size.size <= at_most:
        return np.diag(size)
    axes = random.choice(size.size, at_most - 3, replace=False)
    along_axes = np.where(np.arange(size.size) == axes[:, None], size, 0.0)
    return np.vstack([along_axes, size * random.normal(size=(3, size.size))])


def proven(case, random):
    """Whether the gradient agrees with the complex step, up to the rounding of the largest terms of a slope."""
    gradient, start = join(case.gradient(case.params)), form(case.params)[0]
    size = np.where(start != 0, np.abs(start), 1.0)
    v = directions(size, random)
    allowed = 1e-8 * np.abs(v) @ np.abs(gradient) + 1e-12 * (size * np.abs(gradient)).max() + 1e-300  # denormals are 0
    return bool((np.abs(complex_step(case, v) - v @ gradient) <= allowed).all())


def visible(case, wrong):
    """Whether differences in float64 can see the mistake at all.

    On two neighbouring rungs of a ladder of steps, the difference along the entry most in error must be ten times
    nearer to the right gradient than to the wrong one.
    """
    start, build = form(case.params)
    right = join(case.gradient(case.params))
    error = join(wrong(case.params)) - right
    size = np.where(start != 0, np.abs(start), np.abs(start).max() or 1.0)
    entry = int(np.argmax(np.abs(error * size)))
    if not np.isfinite(error).all() or not error[entry]:
        return False
    near = []
    for step in size[entry] * 8.0 ** np.arange(-17, 1):
        above, below = start.copy(), start.copy()
        above[entry] += step
        below[entry] -= step
        distance = above[entry] - below[entry]
        with np.errstate(all="ignore"):
            rise = float(case.loss(build(above))) - float(case.loss(build(below)))
        near.append(distance > 0 and abs(rise / distance - right[entry]) < 0.1 * abs(error[entry]))
    return any(first and second for first, second in itertools.pairwise(near))


def common_mistakes(case, random):
    """Mistakes that can be made with any gradient: in one array a factor or a sign, in one entry anything."""
    right = join(case.gradient(case.params))
    entry = int(random.choice(np.flatnonzero(right))) if right.any() else 0
    values = case.params.values() if isinstance(case.params, dict) else case.params
    sizes = [v.size for v in values] if isinstance(case.params, dict | tuple) else [right.size]
    arrays = np.repeat(np.arange(len(sizes)), sizes)
    block = arrays == arrays[entry]

    def changed(change):
        def gradient(params):
            right = join(case.gradient(params)).astype(float)
            return form(params)[1](change(right))

        return gradient

    def at_entry(factor):
        return changed(lambda g: np.where(np.arange(g.size) == entry, factor * g, g))

    return {
        "an entry is missing": at_entry(0.0),
        "an entry is 10 % too large": at_entry(1.1),
        "an array is twice the right one": changed(lambda g: np.where(block, 2 * g, g)),
        "an array has the wrong sign": changed(lambda g: np.where(block, -g, g)),
    }


def with_mistake(case, random):
    """The case with one visible mistake, drawn among its own and the common ones; with None if none can be seen."""
    mistakes = list(case.mistakes.items())
    mistakes += [list(common_mistakes(case, random).items())[i] for i in random.permutation(4)[:2]]
    for i in random.permutation(len(mistakes)):
        if visible(case, mistakes[i][1]):
            return case._replace(mistake=mistakes[i])
    return case
