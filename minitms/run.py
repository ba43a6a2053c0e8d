"""What training returns: every restart of every model, and the best of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minitms import _checks, _show, model
from minitms._fields import FLOATS, SEED, Field, checked, increasing, read_npz, word
from minitms._files import as_path, write_npz
from minitms._words import Activation, PathLike
from minitms.features import Examples, SparseFeatures
from minitms.plan import Plan
from minitms.weights import Weights, best_restart, both

# What `save` writes. The axis of restarts, then those of the stack of models, then each array's own.
MODELS = Field("restarts ... m n", FLOATS, _checks.finite)
KEPT = Field("restarts ... snapshots m n", FLOATS, _checks.finite, "snapshots")
KEPT_BIASES = Field("restarts ... snapshots n", FLOATS, _checks.finite, "snapshots")
COMMON = {
    "b": Field("restarts ... n", FLOATS, _checks.finite),
    "loss": Field("restarts ...", ("float64",), _checks.finite),
    "steps": Field("records", ("int64",), partial(increasing, at_least=1)),
    "history": Field("restarts ... records", ("float64",)),
    "seed": SEED,
    "activation": word(*_checks.ACTIVATIONS),
    "hidden": word(*_checks.ACTIVATIONS),
    "importance": Field("... n", ("float64",), _checks.bounded),
    "snapshots_steps": Field("snapshots", ("int64",), partial(increasing, at_least=0), "snapshots"),
    "settings_batch_size": Field("", ("int64",), partial(_checks.integer, at_least=1)),
    "settings_learning_rate": Field("", ("float64",), partial(_checks.number, above=0)),
    "settings_schedule": word(*_checks.SCHEDULES),
    "settings_warmup": Field("", ("int64",), partial(_checks.integer, at_least=0)),
    "settings_weight_decay": Field("", ("float64",), partial(_checks.number, at_least=0)),
    "settings_engine": word(*_checks.ENGINES),
}
DATA = {
    "sparse": {
        "density": Field("... n", ("float64",), partial(_checks.bounded, at_most=1.0)),
        "sets": Field("n", ("int64",)),
        "pattern": word(*_checks.SET_PATTERNS),
        "signed": Field("", ("bool",)),
        "target": word(*_checks.TARGETS),
    },
    "examples": {
        "examples_x": Field("... T n", FLOATS, _checks.finite),
        "examples_target": Field("... T n", FLOATS, _checks.finite, "target"),
    },
}
OF_THE_FILE = [name for name in COMMON if name.startswith("settings_")]  # the other settings follow from the arrays


def _fields(names) -> dict[str, Field]:
    """What a file with these names is to hold: models of one kind, trained on data of one kind."""
    parts = Weights._fields if "encoder" in names else ("W",)
    data = DATA["examples" if "examples_x" in names else "sparse"]
    kept = {f"snapshots_{part}": KEPT for part in parts} | {"snapshots_b": KEPT_BIASES}
    return dict.fromkeys(parts, MODELS) | COMMON | data | kept


@dataclass(frozen=True, eq=False, repr=False)
class Snapshots:
    """W and b along the way: after `steps` updates, on an axis behind the stack of models."""

    steps: np.ndarray
    W: np.ndarray | Weights
    b: np.ndarray

    def __repr__(self) -> str:
        return f"Snapshots({len(self.steps)} of W and b, after {_show.span(self.steps)} steps)"


@dataclass(frozen=True, eq=False, repr=False)
class Best:
    """The restart with the lowest loss of each model of the stack; the fields of `TrainingRun` without that axis."""

    W: np.ndarray | Weights
    b: np.ndarray
    loss: np.ndarray
    restart: np.ndarray
    history: np.ndarray
    steps: np.ndarray
    activation: Activation
    hidden: Activation
    features: SparseFeatures | Examples
    snapshots: Snapshots | None

    def forward(self, x: ArrayLike) -> np.ndarray:
        """What the models make of x: `minitms.forward` with their own weights and switches.

        Parameters
        ----------
        x : array of shape (..., batch, n)

        Returns
        -------
        y : array of shape (..., batch, n)

        Raises
        ------
        ValueError, TypeError
            As `minitms.forward`.

        Examples
        --------
        >>> import minitms as tms
        >>> best = tms.load_example("absolute_value").best()  # seven models: hidden ReLU, untied
        >>> best.forward(best.features.sample(10, seed=0)).shape
        (7, 10, 100)
        """
        return model.forward(self.W, self.b, x, self.activation, hidden=self.hidden)

    def loss_on(self, x: ArrayLike) -> np.ndarray:
        """The loss on other examples: `minitms.loss` with the models' own weights, switches, importance and target.

        Parameters
        ----------
        x : array of shape (..., batch, n)

        Returns
        -------
        L : array of shape (...), one loss a model

        Raises
        ------
        ValueError, TypeError
            As `minitms.loss`; or if the models were trained on examples with targets of their own, which say nothing
            of those of x.

        Examples
        --------
        >>> import minitms as tms
        >>> best = tms.load_example("absolute_value").best()
        >>> best.loss_on(best.features.sample(10, seed=0)).shape  # against |x|
        (7,)
        """
        x, source = _checks.real_array("x", x), self.features
        return model.loss(
            self.W, self.b, x, source.importance, self.activation, hidden=self.hidden, target=source.targets(x)
        )

    def __repr__(self) -> str:
        kind = _kind(self.W, self.activation, self.hidden)
        return (
            f"Best({_show.models(self.loss.shape)}, {kind}, {self.steps[-1]} steps, {_show.losses(self.loss)}; "
            f"restart {_show.span(self.restart)})"
        )

    def _repr_html_(self) -> str:
        from minitms.plots import _overview  # matplotlib is slow to import

        return _overview.in_html(self, _overview.draw_models)

    def plot(self) -> np.ndarray:
        """Draw the models side by side, as `TrainingRun.plot` does.

        Returns
        -------
        axes : array of matplotlib Axes, of shape (panels, models)
        """
        from minitms.plots import _overview

        return _overview.plot(self)


@dataclass(frozen=True, eq=False, repr=False)
class TrainingRun:
    """What `train` returns.

    Attributes
    ----------
    W : array of shape (restarts, ..., m, n), or `minitms.Weights`, a pair (encoder, decoder) of these
    b : array of shape (restarts, ..., n)
    loss : float64 array of shape (restarts, ...)
        For tied models with a linear hidden layer, on features of one set, with values in [0, 1): the exact expected
        loss, if the output is linear or there are up to three features. For fixed examples the loss on them. For all
        others the loss on 2^16 fresh examples, the same for all restarts.
    history : float64 array of shape (restarts, ..., records)
        Loss of a training batch, before that batch's update.
    steps : int array of shape (records,)
        The step of each record, from 1; at most 200 of them.
    seed : int
    features : SparseFeatures or Examples
    activation, hidden : str
    settings : dict
        How the run was made: the arguments of `train` that are numbers and words.
    snapshots : Snapshots or None

    Examples
    --------
    >>> import minitms as tms
    >>> run = tms.train(tms.SparseFeatures(n=5, density=0.05), n_hidden=2, steps=200, restarts=4, seed=0)
    >>> run.W.shape, run.best().W.shape, run.settings["learning_rate"]
    ((4, 2, 5), (2, 5), 0.01)
    """

    W: np.ndarray | Weights
    b: np.ndarray
    loss: np.ndarray
    history: np.ndarray
    steps: np.ndarray
    seed: int
    features: SparseFeatures | Examples
    activation: Activation
    hidden: Activation
    settings: dict[str, Any]
    snapshots: Snapshots | None = None

    def __repr__(self) -> str:
        restarts, *stack = self.loss.shape
        how = ("batch_size", "learning_rate", "schedule", "warmup", "weight_decay", "engine", "dtype")
        made = [f"{name}={self.settings[name]!r}" for name in how if self.settings[name]]
        return (
            f"TrainingRun({_show.models(stack)} x {restarts} restarts, {_kind(self.W, self.activation, self.hidden)}, "
            f"{self.steps[-1]} steps, {_show.losses(self.loss)}, {_show.luck(self.loss)}; "
            f"{', '.join(made)}, seed={self.seed})"
        )

    def _repr_html_(self) -> str:
        from minitms.plots import _overview  # matplotlib is slow to import

        return _overview.in_html(self, lambda fig, run: _overview.draw_models(fig, run.best()))

    def plot(self) -> np.ndarray:
        """Draw the best of the restarts: features as vectors if m = 2, else WᵀW and the norms |W_i|.

        With a hidden ReLU it draws the neurons instead, as `minitms.plots.neurons` does. Of a stack up to four models
        stand side by side, from the first to the last; of untied weights, encoder and decoder.

        Returns
        -------
        axes : array of matplotlib Axes, of shape (panels, models)
            ``axes[0, 0].figure.savefig("run.png")`` keeps the picture.

        Examples
        --------
        >>> import matplotlib.pyplot as plt, minitms as tms
        >>> run = tms.train(tms.SparseFeatures(n=5, density=0.05), n_hidden=2, steps=50, seed=0)
        >>> run.plot().shape
        (1, 1)
        >>> plt.close()
        """
        return self.best().plot()

    def best(self) -> Best:
        """The restart with the lowest loss, chosen for each model of the stack by itself.

        Its methods ``forward(x)`` and ``loss_on(x)`` are `minitms.forward` and `minitms.loss` with the models' own
        weights, switches, importance and target.
        """
        restart, taken = best_restart(self.loss)
        snapshots = self.snapshots and Snapshots(self.snapshots.steps, taken(self.snapshots.W), taken(self.snapshots.b))
        return Best(
            taken(self.W), taken(self.b), taken(self.loss), restart, taken(self.history), self.steps, self.activation,
            self.hidden, self.features, snapshots,
        )  # fmt: skip

    def save(self, path: PathLike) -> None:
        """Write the run to one ``.npz`` file, whole or not at all; `load` reads it back.

        Raises
        ------
        ValueError, TypeError
            If the path is none, or does not end in ``.npz``, or a field is not what `train` returns.
        OSError
            If the file cannot be written. A file that was there under this name still is.
        """
        path, source = as_path("path", path), self.features
        names = ("b", "loss", "history", "steps", "seed", "activation", "hidden")
        arrays = _named("W", self.W) | {name: getattr(self, name) for name in names} | {"importance": source.importance}
        arrays |= {name: self.settings[name.removeprefix("settings_")] for name in OF_THE_FILE}
        if isinstance(source, Examples):
            arrays["examples_x"] = source.x
            if source.target is not source.x:
                arrays["examples_target"] = source.target
        else:
            arrays |= {name: getattr(source, name) for name in DATA["sparse"]}
        if self.snapshots:
            kept = self.snapshots
            arrays |= _named("snapshots_W", kept.W) | {"snapshots_steps": kept.steps, "snapshots_b": kept.b}
        write_npz(path, checked(path, arrays, _fields))

    @classmethod
    def load(cls, path: PathLike) -> TrainingRun:
        """Read a run that `save` wrote.

        Raises
        ------
        ValueError, TypeError
            If the path is none, or anything in the file is not as `save` writes it: names the field and what was
            expected. Shapes and dtypes are compared before the arrays are read.
        OSError
            If there is no such file, or it cannot be opened.
        """
        path = as_path("path", path)
        arrays = read_npz(path, _fields)
        W, kept = _unnamed("W", arrays), _unnamed("snapshots_W", arrays)
        snapshots = None if kept is None else Snapshots(arrays["snapshots_steps"], kept, arrays["snapshots_b"])
        try:
            features = _source(arrays)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        names = ("b", "loss", "history", "steps", "seed", "activation", "hidden")
        settings = {name.removeprefix("settings_"): arrays[name] for name in OF_THE_FILE} | {
            "activation": arrays["activation"], "hidden": arrays["hidden"], "tied": not isinstance(W, Weights),
            "steps": int(arrays["steps"][-1]), "restarts": len(arrays["loss"]), "seed": arrays["seed"],
            "dtype": arrays["b"].dtype.name,
        }  # fmt: skip
        settings = {name: settings[name] for name in Plan.SETTINGS}
        own = {name: arrays[name] for name in names}
        return cls(W, **own, features=features, settings=settings, snapshots=snapshots)


def _kind(W, activation, hidden):
    """What the models are, in words."""
    *_, m, n = both(W)[0].shape
    kind = [f"n={n}, m={m}", activation] + [f"hidden {hidden}"] * (hidden != "linear")
    return ", ".join(kind + ["untied"] * isinstance(W, Weights))


def _named(name, W):
    """The arrays of W under the names that they have in a file."""
    if not isinstance(W, Weights):
        return {name: W}
    return {name.replace("W", part): array for part, array in W._asdict().items()}


def _unnamed(name, arrays):
    """W again, or None if it is not there."""
    pair = [arrays.get(name.replace("W", part)) for part in Weights._fields]
    return arrays.get(name) if pair[0] is None else Weights(*pair)


def _source(arrays):
    """The data that a run was trained on, checked as if it were given."""
    if "examples_x" in arrays:
        return Examples(arrays["examples_x"], arrays["importance"], arrays.get("examples_target"))
    sets = arrays["sets"] if arrays["pattern"] != "independent" or arrays["sets"].any() else None
    words = (arrays[name] for name in ("pattern", "signed", "target"))
    return SparseFeatures(len(arrays["sets"]), arrays["density"], arrays["importance"], sets, *words)
