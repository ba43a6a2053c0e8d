"""A loss, its claimed gradient and a point, evaluated with care: copies in, checks out, evaluations counted."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from minitms.testing._params import as_numbers, entry, scalar_loss, what
from minitms.testing._slopes import RATIO, ROUNDINGS, slope, stairs
from minitms.testing.errors import GradientError

__tracebackhide__ = True  # pytest then shows the user's code, not ours

LOWEST, LOWEST_OF_ALL, HIGHEST = -10, -17, 20  # exponents of the step; the second where the first does not do
FAR_BELOW = RATIO**-14
TINY = 1e-290  # what is smaller has no size of its own
ZERO = 1e-30  # a parameter this small is 0 for the choice of the step
REPEATABLE = 1e-10  # relative: another order of summation is no randomness


def norm(vector):
    """The Euclidean norm, of any finite vector: no square overflows or underflows."""
    largest = float(np.abs(vector).max())
    return largest * float(np.linalg.norm(vector / largest)) if largest else 0.0


class Problem:
    """`loss` and `gradient` at one point, with everything that a check asks of them."""

    def __init__(self, loss, gradient, kinks, form, values=None):
        self.loss, self.gradient, self.kinks, self.form = loss, gradient, kinks, form
        self.names = form.names
        self.values = form.values if values is None else values
        self.point = np.concatenate([value.ravel() for value in self.values])
        ends = np.cumsum([value.size for value in self.values])
        self.parts = [slice(int(end) - value.size, int(end)) for end, value in zip(ends, self.values, strict=True)]
        self.evaluations = 0
        self.middle = self._loss_at_start()
        self.analytic = self._gradient_at_start()
        self._undisturbed()
        self.claim = np.concatenate([part.ravel() for part in self.analytic])
        self.pre_activation_places = []
        self.pre_activations = self.pre_activations_at(self.values) if kinks is not None else None

    def at(self, values):
        """The same problem at another point."""
        return Problem(self.loss, self.gradient, self.kinks, self.form, values)

    def split(self, flat):
        """A vector of all entries of all parameters as one array each."""
        return [flat[part].reshape(value.shape) for part, value in zip(self.parts, self.values, strict=True)]

    def scales(self, entries):
        """For each entry the size of its parameter: the root mean square of those `entries`, 1 if they are 0."""
        scales = np.ones(self.point.size)
        for part in self.parts:
            value = np.abs(self.point[part][entries[part]])
            if value.size and value.max() > ZERO:
                scales[part] = value.max() * np.sqrt(np.mean((value / value.max()) ** 2))
        return scales

    def direction(self, entries, relative, random):
        """A random direction in which each of `entries` moves: by its parameter's scale, or `relative` to its own size.

        The sizes vary, so that no step is a period of the loss, and errors of equal size cannot cancel. An entry far
        below its parameter's scale always moves by its own size: no step would be short enough for it.
        """
        value, v = np.abs(self.point[entries]), np.zeros(self.point.size)
        scales = self.scales(entries)[entries]
        own = value > TINY if relative else (value > ZERO) & (value < FAR_BELOW * scales)
        sizes = np.where(own, value, scales)
        v[entries] = sizes * random.uniform(0.7, 1.3, value.size) * random.choice([-1.0, 1.0], value.size)
        return v

    def exponents(self, v):
        """From which step to which the ladder is climbed along `v`, a direction as `direction` gives it."""
        moving = np.flatnonzero(v)
        v_moving = np.abs(v[moving])
        own = np.abs(self.point[moving]) / v_moving  # the size of each entry in units of its step
        # One tiny entry that moves as the large ones asks for tiny steps; tiny parameters may live on the scale of 1.
        smallest = own[own > ZERO].min(initial=1.0)
        lowest = max(LOWEST_OF_ALL, LOWEST + min(0, math.floor(math.log(smallest, RATIO)) + 2))
        highest = min(HIGHEST, max(0, math.ceil(-math.log(v_moving.max() / 1.3, RATIO))))
        return lowest, highest

    def line(self, v):
        """The loss as a function of the distance t along `v`."""
        moving = np.flatnonzero(v)
        moving = slice(None) if moving.size == v.size else moving

        def at(t):
            moved = self.point.copy()
            moved[moving] += t * v[moving]
            self.evaluations += 1
            with np.errstate(all="ignore"):  # far away it may overflow or leave its domain: then the ladder ends
                return scalar_loss(self.loss(self.form.build(self.split(moved))))

        return at

    def slope(self, v, beside=0.0, near=3):
        """The slope of the loss along `v`, over the whole ladder of steps; see `minitms.testing._slopes`.

        None if the loss ends too close by. `beside` is the size of other slopes, beside which a faint kink is none.
        """
        first, last = self.exponents(v)
        found = self._climb(v, first, last, beside, 0.0, near)
        unsettled = found is None or (found.exponent <= first + 2 and not found.fine(beside))
        return (unsettled and self.slope_from_below(v, beside, near)) or found

    def slope_from_below(self, v, beside=0.0, near=2):
        """The same from the shortest steps of all."""
        return self._climb(v, LOWEST_OF_ALL, self.exponents(v)[1], beside, 0.0, near)

    def slope_near(self, v, like, below, above, beside=0.0):
        """The same from a few rungs around the step of another slope; None if the loss has ended there."""
        found = self._climb(v, like.exponent - below, like.exponent + above, beside, like.noise, near=0)
        return found and replace(found, jumps=max(found.jumps, like.jumps))

    def slope_on_stairs(self, v, found, beside=0.0):
        """The same where the loss moves by jumps: these are its rounding; None if it moves by none."""
        jump = stairs(self.line(v), self.middle, found)
        if not jump:
            return None
        again = self._climb(v, *self.exponents(v), beside, ROUNDINGS * jump, near=2)
        return again and replace(again, jumps=max(jump, again.jumps), kink=None)

    def _climb(self, v, first, last, beside, noise, near):
        def same_side(step):
            return all(not self._changed(v, t).any() for t in (step, -step, 2 * step, -2 * step))

        moving = np.flatnonzero(v)
        v_moving, point, claim = v[moving], self.point[moving], self.claim[moving]
        return slope(
            self.line(v),
            self.middle,
            first,
            last,
            size=max(beside, norm(claim * v_moving)),
            own_size=norm(claim * point),
            reach=norm(point) / norm(v_moving),
            noise=noise,
            near=near,
            same_side=same_side if self.kinks is not None else None,
        )

    def crossed(self, v, step):
        """Name, index and value of the pre-activation nearest to 0 among those that change sign within `step`."""
        if self.kinks is None:
            return None
        changed = self._changed(v, step) | self._changed(v, -step)
        if not changed.any():
            return None
        where = int(np.argmin(np.where(changed, np.abs(self.pre_activations), np.inf)))
        for name, shape, start in self.pre_activation_places:
            size = math.prod(shape)
            if start <= where < start + size:
                index = tuple(int(i) for i in np.unravel_index(where - start, shape))
                return name, index, float(self.pre_activations[where])
        raise AssertionError("a pre-activation outside all arrays")

    def _changed(self, v, t):
        with np.errstate(all="ignore"):
            return np.sign(self.pre_activations_at(self.split(self.point + t * v))) != np.sign(self.pre_activations)

    def pre_activations_at(self, values):
        found = self.kinks(self.form.build(values))
        if isinstance(found, dict):
            named = [(str(key), value) for key, value in found.items()]
        elif isinstance(found, tuple | list):
            named = [(f"kinks[{i}]", value) for i, value in enumerate(found)]
        else:
            named = [("kinks", found)]
        arrays = [as_numbers(value) for _, value in named]
        for (name, value), array in zip(named, arrays, strict=True):
            if array is None or array.dtype.kind == "b":
                of = f" for {name}" if found is not value else ""
                raise TypeError(f"kinks returned {what(value)}{of}; expected pre-activations, an array of numbers")
        starts = np.cumsum([0, *(array.size for array in arrays)])
        places = [
            (name, array.shape, int(start)) for (name, _), array, start in zip(named, arrays, starts, strict=False)
        ]
        if self.pre_activation_places not in ([], places):
            raise ValueError(
                f"kinks returned shapes {_shapes(self.pre_activation_places)} at params, {_shapes(places)} near to it; "
                "expected the same shapes at every point, each entry the same pre-activation"
            )
        self.pre_activation_places = places
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
                    f"gradient by {entry(name, index)} is {part[index]} ({int(bad.sum())} such entries)",
                    name,
                    index,
                    float(part[index]),
                    hints={name: "not finite"},
                )
            if np.abs(part - second).max() > REPEATABLE * np.abs(part).max():
                raise GradientError(
                    f"gradient by {name} is not deterministic: two calls at the same params differ by "
                    f"{np.abs(part - second).max():.3g}. Does it add up, as .grad in PyTorch does (set it to None "
                    "first)? Or does it draw random numbers (seed them alike in every call)?",
                    name,
                    hints={name: "not deterministic"},
                )
        return parts

    def _untouched(self, who, given):
        name, change = self.form.changed(given, self.values)
        if name:
            raise GradientError(f"{who} modifies its input: {change}", name, hints={name: "modifies its input"})

    def _undisturbed(self):
        """`gradient` must leave alone what `loss` closes over, too."""
        after = scalar_loss(self.loss(self.form.build(self.values)))
        self.evaluations += 1
        if not abs(after - self.middle) <= REPEATABLE * max(abs(after), abs(self.middle)):
            raise GradientError(
                f"loss at params was {self.middle!r} before gradient was called and is {after!r} after it: gradient "
                "changes what loss reads. Let it work on a copy of that",
                self.names[0],
                hints=dict.fromkeys(self.names, "modifies what the loss reads"),
            )


def _shapes(places):
    return ", ".join(f"{shape}" if name == "kinks" else f"{name} of {shape}" for name, shape, _ in places) or "none"
