"""What the data is: sparse features, alone or in sets, and fixed sets of examples.

    x_i = 0 with probability S = 1 - density, else uniform on [0, 1), or on [-1, 1) if `signed`,
    drawn anew for every feature of every example.

Which features are on at the same time, says `pattern`, in each of the `sets` by itself:

    independent     no two features share a draw
    together        one on/off bit for all features of a set (the paper's correlated features)
    at_most_one     one feature of a set at the most (its anti-correlated features)

The density is that of the feature, whatever its set. One uniform number u serves a feature: it is on iff u < density,
and then u / density is uniform again. In a set one u more decides for all of them, and their own are their values. A
feature that is rarer than RARE is decided by gaps (`draws.on_by_gaps`), and its own u is its value.

How random numbers are made stands in `draws.py`.

Source: Elhage et al., Toy Models of Superposition (2022), section 2, "The Feature Vector (x)"; section 4, "Correlated
and Anticorrelated Features"; section 8 for signed values and the target |x|.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from minitms import _checks, _show
from minitms._words import Dtype, SetPattern, Target, told
from minitms.draws import TRAINING, batch_key, on_by_gaps, uniforms

RARE = 1 / 64  # density below which gaps are fewer than words
LEAST = 1e-5  # density of a feature in a set: right to a percent where one of 2^24 numbers decides


class Law(NamedTuple):
    """What decides which features are on, in a dtype; arrays of shape (..., n) unless said otherwise."""

    low: np.ndarray       # on iff low <= u < high ...
    high: np.ndarray
    scale: np.ndarray     # ... and then the value is scale times the feature's own u
    decider: np.ndarray   # (n,), the column of the u that decides
    by_gaps: np.ndarray   # where gaps decide in place of u
    columns: int          # of u: one a feature, and one a set


@dataclass(frozen=True, eq=False, repr=False)
class SparseFeatures:
    """Sparse features: on with probability `density`, then uniform on [0, 1); independent unless told otherwise.

    Parameters
    ----------
    n : int
        Number of features, at least 1.
    density : array that broadcasts to (..., n)
        Probability in [0, 1] that a feature is on; the paper's 1 - S. A scalar; ``(n,)`` one per feature;
        ``(K, 1)`` one per model of a stack; ``(K, n)`` both. In sets, 0 or at least 1e-5.
    importance : array that broadcasts to (..., n)
        Weight I_i of each feature's squared error, at least 0.
    sets : sequence of n whole numbers, or None for one set of all features
        A label for each feature: those with the same label are in one set. Sets are independent of each other.
    pattern : "independent", "together" or "at_most_one"
        Which features of a set are on at the same time. Features that come together share one density; the densities of
        features that exclude one another add up to at most 1.
    signed : bool
        Values uniform on [-1, 1) in place of [0, 1).
    target : "x" or "abs"
        What the model should answer: x, or |x|, the paper's section 8.

    Attributes
    ----------
    n, pattern, signed, target : as given
    density, importance : float64 arrays of shape (..., n)
    sets : int array of shape (n,), the number of each feature's set, from 0
    stack : tuple of int
        The shape ``...`` of the stack of models; ``()`` for one.

    Raises
    ------
    ValueError, TypeError
        If a value is outside its range, a shape does not fit n, or densities do not fit the pattern.

    Notes
    -----
    Elhage et al. (2022), section 2, "The Feature Vector (x)", and section 4, "Correlated and Anticorrelated Features".

    Examples
    --------
    >>> import numpy as np, minitms as tms
    >>> features = tms.SparseFeatures(n=5, density=0.1, importance=0.9 ** np.arange(5))
    >>> features.sample(1024, seed=0).shape
    (1024, 5)
    >>> pairs = tms.SparseFeatures(n=4, density=0.25, sets=[0, 0, 1, 1], pattern="together")
    >>> on = pairs.sample(1000, seed=0) > 0
    >>> bool((on[:, 0] == on[:, 1]).all()), bool((on[:, 0] == on[:, 2]).all())
    (True, False)
    """

    n: int
    density: np.ndarray
    importance: np.ndarray = 1.0  # type: ignore[assignment]
    sets: np.ndarray = None  # type: ignore[assignment]
    pattern: SetPattern = "independent"
    signed: bool = False
    target: Target = "x"

    if TYPE_CHECKING:  # what may be given is more than what is kept

        def __init__(
            self, n: int, density: ArrayLike, importance: ArrayLike = 1.0, sets: ArrayLike | None = None,
            pattern: SetPattern = "independent", signed: bool = False, target: Target = "x",
        ) -> None: ...  # fmt: skip

    def __post_init__(self) -> None:
        n = _checks.integer("n", self.n, at_least=1)
        _checks.memory(40 * n, f"{n:,} features", "take fewer")
        density = _checks.per_feature("density", self.density, n, at_most=1.0)
        importance = _checks.per_feature("importance", self.importance, n)
        try:
            density, importance = np.broadcast_arrays(density, importance)
        except ValueError:
            raise ValueError(
                f"density {density.shape} and importance {importance.shape} do not broadcast; expected equal stacks"
            ) from None
        values = {"n": n, "density": density, "importance": importance, "sets": _labels(self.sets, n),
                  "pattern": _checks.choice("pattern", self.pattern, _checks.SET_PATTERNS),
                  "signed": _checks.flag("signed", self.signed),
                  "target": _checks.choice("target", self.target, _checks.TARGETS)}  # fmt: skip
        if values["sets"].any() and self.pattern == "independent":
            raise ValueError('sets are given, and pattern is "independent"; expected "together" or "at_most_one"')
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self._check_sets()

    def __repr__(self) -> str:
        by_feature = " by feature" * bool((self.density != self.density[..., :1]).any())  # a sweep's differs by model
        said = [f"n={self.n}", f"density={_show.span(self.density)}{by_feature}"]
        said += [f"importance={_show.span(self.importance)}"]
        if self.pattern != "independent":
            said += [f"{len(np.unique(self.sets))} sets", f"pattern={self.pattern!r}"]
        said += ["signed"] * self.signed + [f"target={self.target!r}"] * (self.target != "x")
        return f"SparseFeatures({', '.join(said + [f'stack={self.stack}'] * bool(self.stack))})"

    def _repr_html_(self) -> str:
        from minitms.plots import _overview  # matplotlib is slow to import

        return _overview.in_html(self, _overview.draw_data)

    def _check_sets(self):
        """Whether the densities of each set fit the pattern."""
        positive = self.density[self.density > 0]
        if self.pattern != "independent" and positive.min(initial=1) < LEAST:
            raise ValueError(
                f"density holds {_checks.plainly(positive.min(), LEAST)}; expected 0 or at least {LEAST:g} with "
                f"pattern {self.pattern!r}: what decides of a set is one of 2^24 numbers in float32"
            )
        for label in np.unique(self.sets):
            density = self.density[..., self.sets == label]
            if self.pattern == "together" and (density != density[..., :1]).any():
                raise ValueError(
                    f"density differs between the features of set {label}; "
                    'with pattern "together" one on/off bit serves all of them'
                )
            total = density.sum(axis=-1).max()
            if self.pattern == "at_most_one" and total > 1 + 1e-12:
                raise ValueError(
                    f"the densities of set {label} add up to {_checks.plainly(total)}; with pattern \"at_most_one\", "
                    "at most 1. Density is that of a feature, not of its set"
                )

    @property
    def stack(self) -> tuple[int, ...]:
        return self.density.shape[:-1]

    def sample(self, batch_size: int, seed: int | None = None, dtype: Dtype = "float64") -> np.ndarray:
        """Draw a batch of examples for every model of the stack.

        Parameters
        ----------
        batch_size : int
            Number of examples, at least 1 and at most 2^31 / n: the words of a batch have a counter of 32 bits. (A set
            counts as a feature.)
        seed : int in [0, 2**63), or None to draw one
        dtype : "float64" or "float32"

        Returns
        -------
        x : array of shape (..., batch_size, n)
        """
        batch_size = _checks.batch_size(batch_size, self.law("float64").columns)
        values = batch_size * self.density.size
        _checks.memory(40 * values, f"{values:,} values", "draw fewer examples at once")
        models = np.arange(int(np.prod(self.stack))).reshape(self.stack)
        return self.batch(batch_key(_checks.seed(seed), TRAINING, models, 0), batch_size, _checks.dtype(dtype))

    def law(self, dtype: np.dtype[Any]) -> Law:
        """What decides which features are on: the same numbers for every voice, rounded once."""
        own, dtype = np.arange(self.n), np.dtype(dtype)
        if self.pattern == "independent":
            by_gaps = self.density < RARE
            high = np.where(by_gaps, 1, self.density).astype(dtype)
            return Law(np.zeros_like(high), high, _reciprocals(high), own, by_gaps, self.n)
        low, high = np.zeros(self.density.shape), self.density.copy()
        if self.pattern == "at_most_one":  # one interval of [0, 1] for each feature of a set, side by side
            for label in np.unique(self.sets):
                edges = np.minimum(self.density[..., self.sets == label].cumsum(axis=-1), 1)
                high[..., self.sets == label] = edges
                low[..., self.sets == label] = np.concatenate([0 * edges[..., :1], edges[..., :-1]], axis=-1)
        never = np.zeros(self.density.shape, bool)
        scale = np.ones(self.density.shape, dtype)
        decider = self.n + self.sets
        return Law(low.astype(dtype), high.astype(dtype), scale, decider, never, decider.max() + 1)

    def batch(self, key: np.ndarray, batch_size: int, dtype: np.dtype[Any]) -> np.ndarray:
        """The examples of the batches with these keys (...), shape (..., batch_size, n): what the kernels repeat."""
        law = self.law(dtype)
        u = uniforms(key, batch_size, law.columns, dtype)
        decider, own = u[..., law.decider], u[..., : self.n]
        on = (law.low[..., None, :] <= decider) & (decider < law.high[..., None, :])
        if law.by_gaps.any():
            rare = on_by_gaps(key, batch_size, np.where(law.by_gaps, self.density, 0))
            on = np.where(law.by_gaps[..., None, :], rare, on)
        value = law.scale[..., None, :] * own
        return np.where(on, 2 * value - 1 if self.signed else value, u.dtype.type(0))

    def targets(self, x: np.ndarray) -> np.ndarray:
        """What a model should answer to x."""
        return abs(x) if self.target == "abs" else x

    @property
    def is_plain(self) -> bool:
        """Whether `minitms.expected_loss` knows them: one set, and values in [0, 1), of which |x| is x."""
        return not self.signed and (self.pattern == "independent" or self.sets.max() == 0)

    def take(self, models: np.ndarray) -> SparseFeatures:
        """The features of some models, (len(models), n), which are counted along the stack."""
        rows = (array.reshape(-1, self.n)[models] for array in (self.density, self.importance))
        sets = None if self.pattern == "independent" else self.sets
        return SparseFeatures(self.n, *rows, sets, self.pattern, self.signed, self.target)

    def mean_target(self) -> np.ndarray:
        """The mean of the target, shape (..., n): the best answer that is the same for every example."""
        return self.density / 2 * (not self.signed or self.target == "abs")


@dataclass(frozen=True, eq=False, repr=False)
class Examples:
    """A fixed set of T examples, on which models are trained as a whole, for ever the same.

    Parameters
    ----------
    x : array of shape (..., T, n)
        One set of examples for each model of the stack ``...``.
    importance : array that broadcasts to (..., n)
        Weight I_i of each feature's squared error, at least 0.
    target : array of the shape of x, or None for x itself

    Attributes
    ----------
    x, target : float arrays of shape (..., T, n), one and the same if the target equals x
    importance : float64 array of shape (..., n)
    n, count : int, features and examples
    stack : tuple of int

    Raises
    ------
    ValueError, TypeError
        If the examples are empty or not finite, do not fit in memory, or shapes do not fit.

    Notes
    -----
    Henighan et al., *Superposition, Memorization, and Double Descent* (2023).

    Examples
    --------
    >>> import minitms as tms
    >>> x = tms.SparseFeatures(n=50, density=0.1).sample(20, seed=0)
    >>> tms.Examples(x).count
    20
    """

    x: np.ndarray
    importance: np.ndarray = 1.0  # type: ignore[assignment]
    target: np.ndarray = None  # type: ignore[assignment]

    if TYPE_CHECKING:

        def __init__(self, x: ArrayLike, importance: ArrayLike = 1.0, target: ArrayLike | None = None) -> None: ...

    def __post_init__(self) -> None:
        x = _given("x", self.x)
        if x.ndim < 2 or 0 in x.shape:
            raise ValueError(f"x has shape {x.shape}; expected (..., T, n), at least one example of one feature")
        target = x
        if self.target is not None:
            target = _given("target", self.target)
            if target.shape != x.shape:
                raise ValueError(f"target has shape {target.shape}; expected that of x, {x.shape}")
            target = x if (target == x).all() else target
        importance = _checks.per_feature("importance", self.importance, x.shape[-1])
        stack = x.shape[:-2]
        try:
            importance = np.broadcast_to(importance, (*stack, x.shape[-1]))
        except ValueError:
            raise ValueError(f"importance {importance.shape} does not fit x {x.shape}; expected (..., n)") from None
        for name, value in {"x": x, "target": target, "importance": importance}.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        said = [f"{self.count} examples", f"n={self.n}", f"importance={_show.span(self.importance)}"]
        said += ["a target of their own"] * (self.target is not self.x)
        return f"Examples({', '.join(said + [f'stack={self.stack}'] * bool(self.stack))})"

    def _repr_html_(self) -> str:
        from minitms.plots import _overview  # matplotlib is slow to import

        return _overview.in_html(self, _overview.draw_data)

    @property
    def n(self) -> int:
        return self.x.shape[-1]

    @property
    def count(self) -> int:
        return self.x.shape[-2]

    @property
    def stack(self) -> tuple[int, ...]:
        return self.x.shape[:-2]

    def targets(self, x: np.ndarray) -> np.ndarray:
        """What a model should answer to other examples x."""
        if self.target is not self.x:
            raise ValueError(
                "these examples have targets of their own, which say nothing of those of x: "
                "tms.loss(best.W, best.b, x, best.features.importance, target=..., ...)"
            )
        return x

    @property
    def signed(self) -> bool:
        """Whether a value is below 0."""
        return bool((self.x < 0).any())

    def take(self, models: np.ndarray) -> Examples:
        """The examples of some models, (len(models), T, n), which are counted along the stack."""
        x, target = (array.reshape(-1, *array.shape[-2:])[models] for array in (self.x, self.target))
        return Examples(x, self.importance.reshape(-1, self.n)[models], None if self.target is self.x else target)

    def mean_target(self) -> np.ndarray:
        """The mean of the target, shape (..., n): the best answer that is the same for every example."""
        return self.target.mean(axis=-2)


SparseFeatures.__init__ = told(  # type: ignore[method-assign]
    "SparseFeatures", sparsity="density = 1 - sparsity", S="density = 1 - S", feature_probability="density=",
    n_instances="density[:, None], with a density for each model",
)(SparseFeatures.__init__)


def _given(name, values):
    """A copy of examples, which nobody else can change."""
    values = _checks.plain_array(name, values)
    _checks.memory(8 * values.size, f"examples {name} of shape {values.shape}", "give fewer of them")
    values = _checks.finite(name, _checks.real_array(name, values)).copy()
    values.flags.writeable = False
    return values


def _labels(sets, n):
    """The number of each feature's set."""
    if sets is None:
        return np.broadcast_to(np.int64(0), n)
    labels = _checks.plain_array("sets", sets)
    if labels.shape != (n,) or labels.dtype.kind not in "iu":
        raise ValueError(f"sets is {sets!r}; expected {n} whole numbers, the label of each feature's set")
    numbers = np.unique(labels, return_inverse=True)[1]
    numbers.flags.writeable = False
    return numbers


def _reciprocals(high):
    """1 / high, rounded such that u < high gives u / high < 1."""
    reciprocal = 1 / high
    # Rounded up, it could lift the largest u below to 1.0. That of a power of two (mantissa 1/2) is exact.
    rounded_up = (reciprocal * high >= 1) & (np.frexp(high)[0] != 0.5)
    return np.where(rounded_up, np.nextafter(reciprocal, high.dtype.type(0)), reciprocal)


def checked_source(value) -> SparseFeatures | Examples:
    """Return what models can be trained on; a subclass that would draw otherwise is refused: nobody would ask it to."""
    if not isinstance(value, (SparseFeatures, Examples)):
        raise TypeError(f"features is {value!r}; expected SparseFeatures(n, density, importance) or Examples(x)")
    base = SparseFeatures if isinstance(value, SparseFeatures) else Examples
    own = [name for name in vars(base) if not name.startswith("__") and hasattr(base, name)
           and getattr(type(value), name) is not getattr(base, name)]  # fmt: skip
    if own or vars(value).keys() & {"sample", "batch", "law", "targets"}:
        name = own[0] if own else "sample"
        raise TypeError(
            f"{type(value).__name__} has a {name!r} of its own, which train would not call: its kernels draw the "
            f"features of {base.__name__} themselves. Give Examples(x), or take your samples and "
            "minitms.loss_and_gradients in a loop of your own"
        )
    return value
