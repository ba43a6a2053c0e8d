"""A loss, its claimed gradient and a point, evaluated with care: copies in, checks out, evaluations counted."""

from __future__ import annotations

import math

import numpy as np

from minitms.testing._params import scalar_loss
from minitms.testing._slopes import RATIO, slope
from minitms.testing.errors import GradientError

LOWEST, LOWEST_AT_ZERO, HIGHEST = -10, -17, 20
ZERO = 1e-30  # a parameter this small is 0 for the choice of the step
REPEATABLE = 1e-10  # relative: another order of summation is no randomness


class Problem:
    """`loss` and `gradient` at one point, with everything that a check asks of them."""

    def __init__(self, loss, gradient, kinks, form, values=None):
        self.loss, self.gradient, self.kinks, self.form = loss, gradient, kinks, form
        self.names = form.names
        self.values = form.values if values is None else values
        self.evaluations = 0
        self.middle = self._loss_at_start()
        self.analytic = self._gradient_at_start()
        self.pre_activation_places = []
        self.pre_activations = self.pre_activations_at(self.values) if kinks is not None else None

    def at(self, values):
        """The same problem at another point."""
        return Problem(self.loss, self.gradient, self.kinks, self.form, values)

    def scale(self, block):
        """The size of a parameter: the root mean square of its entries, 1 if all are 0."""
        value = np.abs(self.values[block])
        largest = value.max()
        return float(largest * np.sqrt(np.mean((value / largest) ** 2))) if largest > ZERO else 1.0

    def exponents(self, block):
        """From which step to which the ladder is climbed, in units of a direction as `direction` gives it."""
        value, scale = np.abs(self.values[block]), self.scale(block)
        if value.max() <= ZERO:
            return LOWEST_AT_ZERO, 0
        smallest = value[value > ZERO].min() / scale  # one tiny entry among large ones asks for tiny steps
        lowest = max(LOWEST_AT_ZERO, LOWEST + min(0, math.floor(math.log(smallest, RATIO)) + 2))
        highest = min(HIGHEST, max(0, math.ceil(-math.log(scale, RATIO))))  # tiny ones may live on the scale of 1
        return lowest, highest

    def direction(self, block, relative, random):
        """A random direction without a small entry: of the parameter's scale, or `relative` to the size of each entry.

        The sizes vary, so that no step is a period of the loss, and errors of equal size cannot cancel.
        """
        value = np.abs(self.values[block])
        size = np.where(value > ZERO, value, self.scale(block)) if relative else self.scale(block)
        return size * random.uniform(0.7, 1.3, value.shape) * random.choice([-1.0, 1.0], value.shape)

    def line(self, block, v):
        """The loss as a function of the distance t along `v`."""

        def at(t):
            moved = list(self.values)
            moved[block] = moved[block] + t * v
            self.evaluations += 1
            with np.errstate(all="ignore"):  # far away it may overflow or leave its domain: then the ladder ends
                return scalar_loss(self.loss(self.form.build(moved)))

        return at

    def slope(self, block, v):
        """The slope of the loss along `v`, over the whole ladder of steps; see `minitms.testing._slopes`."""
        first, last = self.exponents(block)
        found = self._climb(block, v, first, last, 0.0, near=3)
        if found is None:
            raise ValueError(
                f"loss is finite at params but not at a distance of {RATIO**first * np.abs(v).max():.1e} in "
                f"{self.names[block]}; expected a loss that is finite around params"
            )
        return found

    def slope_near(self, block, v, like, below, above):
        """The same from a few rungs around the step of another slope; None if the loss has ended there."""
        return self._climb(block, v, like.exponent - below, like.exponent + above, like.noise, near=0)

    def _climb(self, block, v, first, last, noise, near):
        def same_side(step):
            return all(not self._changed(block, v, t).any() for t in (step, -step, 2 * step, -2 * step))

        moving = np.where(v != 0, self.values[block], 0.0)
        return slope(
            self.line(block, v),
            self.middle,
            first,
            last,
            size=float(np.linalg.norm(self.analytic[block] * v)),
            own_size=float(np.linalg.norm(self.analytic[block] * moving)),
            reach=float(np.linalg.norm(moving) / np.linalg.norm(v)) if v.any() else 0.0,
            noise=noise,
            near=near,
            same_side=same_side if self.kinks is not None else None,
        )

    def crossed(self, block, v, step):
        """Name, index and value of the pre-activation nearest to 0 among those that change sign within `step`."""
        if self.kinks is None:
            return None
        changed = self._changed(block, v, step) | self._changed(block, v, -step)
        if not changed.any():
            return None
        where = int(np.argmin(np.where(changed, np.abs(self.pre_activations), np.inf)))
        for name, shape, start in self.pre_activation_places:
            size = math.prod(shape)
            if start <= where < start + size:
                index = tuple(int(i) for i in np.unravel_index(where - start, shape))
                return name, index, float(self.pre_activations[where])
        raise AssertionError("a pre-activation outside all arrays")

    def _changed(self, block, v, t):
        moved = list(self.values)
        moved[block] = moved[block] + t * v
        with np.errstate(all="ignore"):
            return np.sign(self.pre_activations_at(moved)) != np.sign(self.pre_activations)

    def pre_activations_at(self, values):
        found = self.kinks(self.form.build(values))
        if isinstance(found, dict):
            named = [(str(key), value) for key, value in found.items()]
        elif isinstance(found, tuple | list):
            named = [(f"kinks[{i}]", value) for i, value in enumerate(found)]
        else:
            named = [("kinks", found)]
        arrays = [np.asarray(value.detach() if hasattr(value, "detach") else value) for _, value in named]
        for (name, value), array in zip(named, arrays, strict=True):
            if array.dtype.kind not in "fiu":
                what = type(value).__name__
                raise TypeError(f"{name} returned a {what}; expected pre-activations, an array of numbers")
        starts = np.cumsum([0, *(array.size for array in arrays)])
        self.pre_activation_places = [
            (name, array.shape, int(start)) for (name, _), array, start in zip(named, arrays, starts, strict=False)
        ]
        return np.concatenate([array.ravel() for array in arrays]) if arrays else np.empty(0)

    def _loss_at_start(self):
        given = self.form.build(self.values)
        value = scalar_loss(self.loss(given))
        self._untouched("loss", given)
        again = scalar_loss(self.loss(self.form.build(self.values)))
        self.evaluations += 2
        if not math.isfinite(value):
            raise ValueError(f"loss returned {value} at params; expected a finite number")
        if abs(again - value) > REPEATABLE * max(abs(value), abs(again)):
            raise GradientError(
                f"loss is not deterministic: two calls at the same params gave {value!r} and {again!r}. "
                "Draw its random numbers once, outside, or seed them alike in every call",
                self.names[0],
                hints=dict.fromkeys(self.names, "not deterministic"),
            )
        return value

    def _gradient_at_start(self):
        given = self.form.build(self.values)
        parts = self.form.split(self.gradient(given))
        parts = [np.array(part) for part in parts]
        self._untouched("gradient", given)
        again = self.form.split(self.gradient(self.form.build(self.values)))
        for name, part, second in zip(self.names, parts, again, strict=True):
            bad = ~np.isfinite(part)
            if bad.any():
                index = tuple(int(i) for i in np.argwhere(bad)[0])
                raise GradientError(
                    f"gradient by {name}{list(index)} is {part[index]} ({int(bad.sum())} such entries)",
                    name,
                    index,
                    float(part[index]),
                    hints={name: "not finite"},
                )
            if np.abs(part - second).max() > REPEATABLE * np.abs(part).max():
                raise GradientError(
                    f"gradient by {name} is not deterministic: two calls at the same params differ by "
                    f"{np.abs(part - second).max():.3g}",
                    name,
                    hints={name: "not deterministic"},
                )
        return parts

    def _untouched(self, who, given):
        parts = given.values() if isinstance(given, dict) else given if isinstance(given, tuple) else [given]
        for name, part, value in zip(self.names, parts, self.values, strict=True):
            if not np.array_equal(part, value):
                raise GradientError(
                    f"{who} modifies its input: {name} has changed after the call. Work on a copy: "
                    f"{name} = {name}.copy()",
                    name,
                    hints={name: "modifies its input"},
                )
