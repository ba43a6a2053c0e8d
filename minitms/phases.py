"""The sweep over density x importance x restarts: one-neuron models of two features, by the million.

The models of one restart and one density, which differ only in importance, form a row and are trained on the same data:
a column of the diagram is what `train` makes of these densities from the same start and seed. Rows, restarts first, go
into chunks, which depend on the settings only, and a chunk is one task from its initial weights to its exact losses:
for a thread of this process, or for a worker of any executor. Every random number is a function of the row (of data) or
of the model's place (of initial weights), so a chunk gives the same bits wherever it runs.
"""

from __future__ import annotations

import concurrent.futures
from dataclasses import asdict, dataclass

import numba
import numpy as np

from minitms import _checks, _pace, adam
from minitms._chunks import Stopped, gather
from minitms._words import Activation, Method, told
from minitms.checkpoint import Store
from minitms.diagram import PhaseDiagram
from minitms.draws import INITIAL, TRAINING, batch_key, normals
from minitms.expected import expected_loss, minimise_expected_loss
from minitms.fast import one_neuron
from minitms.fast.draws import data
from minitms.fast.job import Job, State
from minitms.features import SparseFeatures
from minitms.judge import DivergenceError
from minitms.weights import single

RECORDS = 600  # losses kept of a sweep, at most
CHUNK_EXAMPLES = 3e9  # model-examples of a chunk: a second or two
CHUNK_MODELS = 8192  # at most, so that a chunk stays in the cache
CHUNKS = 32  # and at least so many chunks, if there are that many rows
LOOK_EVERY_MODELS = 512  # models between two looks at Ctrl-C, of Newton's method
SCALE_W, SCALE_B = 1.5, 0.5  # standard deviations of the initial weights and biases


@dataclass(frozen=True)
class _Sweep:
    """Everything that decides the result, but for initial weights given by the user."""

    densities: np.ndarray
    importances: np.ndarray
    activation: Activation
    method: Method
    restarts: int
    steps: int
    batch_size: int
    learning_rate: float
    seed: int

    @property
    def shape(self):
        return self.restarts, len(self.densities), len(self.importances)

    @property
    def floor(self):
        """y = max(z, floor)."""
        return 0.0 if _checks.is_relu(self.activation) else -np.inf

    def records(self):
        """The steps, counted from 1, after which the loss of their batch is kept."""
        count = min(RECORDS, self.steps) if self.method == "sampled" else 0
        return np.unique(np.linspace(1, self.steps, count).round().astype(int))

    def chunks(self):
        """Pairs (first model, last model + 1): some rows, or a part of one that is longer than a chunk."""
        rows, columns, work = self.shape[0] * self.shape[1], self.shape[2], CHUNK_MODELS
        if self.method == "sampled":
            work = max(1, min(work, int(CHUNK_EXAMPLES / (self.steps * self.batch_size))))
        if columns > work:
            return [
                (row * columns + left, row * columns + min(left + work, columns))
                for row in range(rows)
                for left in range(0, columns, work)
            ]
        size = max(1, int(min(rows / CHUNKS, work / columns)))
        return [(first * columns, min(first + size, rows) * columns) for first in range(0, rows, size)]

    def names(self):
        """The names of the chunks in a checkpoint."""
        return [f"chunk-{k:06d}" for k in range(len(self.chunks()))]

    def cells(self, first, last):
        """Density (K, 2) and importance (K, 2) of a chunk's models."""
        _, d, i = np.unravel_index(np.arange(first, last), self.shape)
        density, r = self.densities[d], self.importances[i]
        return np.stack([density, density], axis=-1), np.stack([np.ones_like(r), r], axis=-1)


@told("phase_diagram", lr="learning_rate=", sparsities="densities = 1 - sparsities, in increasing order")
def phase_diagram(
    densities,
    importances,
    activation: Activation = "relu",
    method: Method = "sampled",
    restarts: int = 10,
    steps: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    seed: int | None = None,
    *,
    initial: tuple | None = None,
    checkpoint=None,
    executor: concurrent.futures.Executor | None = None,
    progress: bool | None = None,
) -> PhaseDiagram:
    """Train one-neuron models of two features on a grid of density and importance, each cell from several starts.

    y = ReLU(Wᵀ W x + b) or Wᵀ W x + b with n = 2, m = 1; the first feature has importance 1, the extra one r.

    Parameters
    ----------
    densities : increasing array of shape (D,), in [0, 1]
        Density s of both features. At 0 no gradient reaches W, only b moves, and the class is "neither".
    importances : increasing array of shape (I,), at least 0
        Importance r of the extra feature.
    activation : "relu" or "linear"
    method : "sampled" or "expected"
        Adam on fresh examples at each step, or Newton's method on the exact expected loss, without sampling.
    restarts : int
        Models a cell, each with its own start and data. The cells of one restart and density share their data.
    steps, batch_size, learning_rate : int, int, float
        Of the sampled method only: 6000, 64 and 0.01 if not given. Adam's rate is constant.
    seed : int in [0, 2**63), or None to draw one, which ``diagram.seed`` keeps; a checkpoint needs one
    initial : (W, b), or None
        Initial weights that broadcast to (restarts, D, I, 1, 2) and (restarts, D, I, 2), none above 1e50. None: normal
        with standard deviation 1.5 for W and 0.5 for b, as in the earlier replication; wide enough to find every
        configuration.
    checkpoint : path of a folder, `Checkpoint`, or None
        Where finished chunks are kept. The same call again goes on where a stopped or killed one ended, with the same
        bits; a finished one is simply loaded.
    executor : concurrent.futures.Executor, or None for threads of this process
        Where chunks run, one thread each: a pool of threads or processes, or
        ``distributed.Client(...).get_executor()``.
    progress : bool, or None to show a bar on a terminal and in a notebook

    Returns
    -------
    PhaseDiagram

    Raises
    ------
    ValueError, TypeError
        Before any work, if an argument is not as described, the models do not fit in memory, the executor takes no
        work, or the checkpoint is of another run or damaged.
    DivergenceError
        If a weight or loss is not finite; names the model and the step.
    RuntimeError
        If another process is at work on the checkpoint.
    OSError
        If the checkpoint cannot be read or written. What was finished before is kept.

    Notes
    -----
    Elhage et al. (2022), section 3, "Superposition as a Phase Change".

    Examples
    --------
    >>> import numpy as np, minitms as tms
    >>> diagram = tms.phase_diagram(np.geomspace(0.01, 1, 20), np.geomspace(0.1, 10, 20), method="expected", seed=0)
    >>> diagram.at(density=0.1, importance=1)["class"]
    'superposed'
    """
    method = _checks.choice("method", method, _checks.METHODS)
    if method == "expected":
        for name, value in (("steps", steps), ("batch_size", batch_size), ("learning_rate", learning_rate)):
            if value is not None:
                raise ValueError(f'{name} is {value!r}, but method="expected" draws no samples; leave {name} out')
    if checkpoint is not None and seed is None:
        raise ValueError("seed is None; a checkpoint needs one, or the same call could not go on: seed=0")
    dtype = "float32" if method == "sampled" else "float64"
    sweep = _Sweep(
        _axis("densities", densities, at_most=1.0),
        _axis("importances", importances, at_most=_checks.IMPORTANCE_LIMITS[dtype]),
        _checks.choice("activation", activation, _checks.ACTIVATIONS),
        method,
        _checks.integer("restarts", restarts, at_least=1),
        _checks.integer("steps", 6000 if steps is None else steps, at_least=1),
        _checks.batch_size(64 if batch_size is None else batch_size, 2),
        _checks.number("learning_rate", 1e-2 if learning_rate is None else learning_rate, above=0),
        _checks.seed(seed),
    )
    _checks.is_relu(sweep.activation)  # what the kernels do not know is refused here, and not when they start
    models = int(np.prod(sweep.shape))
    threads = numba.get_num_threads() if method == "sampled" else 0
    needed = models * 150 + 2**27 + threads * (25 * sweep.steps + 40 * sweep.batch_size)
    _checks.memory(needed, f"{models:,} models of a phase diagram in {sweep.steps:,} steps of {sweep.batch_size:,}")
    _checks.fits("learning_rate", sweep.learning_rate, dtype)
    initial = _given(initial, sweep.shape, dtype)
    if progress is not None:
        _checks.flag("progress", progress)
    if executor is not None and not isinstance(executor, concurrent.futures.Executor):
        raise TypeError(f"executor is {executor!r}; expected a concurrent.futures.Executor")

    if checkpoint is None:
        arrays = _run(sweep, initial, executor, progress, store=None)
    else:
        extra = {"initial W": initial[0], "initial b": initial[1]} if initial else {}
        described, names = {"what": "phase_diagram"} | asdict(sweep) | extra, set(sweep.names())
        with Store(checkpoint, described, lambda store: names <= store.names()) as store:
            arrays = _run(sweep, initial, executor, progress, store)
    sampled = method == "sampled"
    settings = {"steps": sweep.steps, "batch_size": sweep.batch_size, "learning_rate": sweep.learning_rate}
    return PhaseDiagram(
        sweep.densities,
        sweep.importances,
        arrays["W"].reshape(*sweep.shape, 1, 2).astype(np.float64),
        arrays["b"].reshape(*sweep.shape, 2).astype(np.float64),
        arrays["loss"].reshape(sweep.shape),
        arrays["history"] / models,
        sweep.records(),
        activation,
        method,
        sweep.seed,
        settings if sampled else {},
        None if sampled else arrays["gradient"].reshape(sweep.shape),
    )


def _run(sweep, initial, executor, progress, store):
    """Get every chunk, from the store or by training it, and put them together."""
    models, dtype = int(np.prod(sweep.shape)), np.float32 if sweep.method == "sampled" else np.float64
    arrays = {"W": np.empty((models, 1, 2), dtype), "b": np.empty((models, 2), dtype), "loss": np.empty(models)}
    if sweep.method == "expected":
        arrays["gradient"] = np.empty(models)
    parts = dict(zip(sweep.names(), sweep.chunks(), strict=True))
    histories = np.zeros((len(parts), len(sweep.records())))
    chunks = {
        name: (*part, sweep, tuple(array[slice(*part)] for array in initial) if initial else None)
        for name, part in parts.items()
    }
    places = {
        name: {key: array[slice(*part)] for key, array in arrays.items()} | {"history": history}
        for (name, part), history in zip(parts.items(), histories, strict=True)
    }
    with _pace.bar(models, " models", progress) as bar:
        gather(_train_chunk, chunks, places, executor, store, bar)
    return arrays | {"history": histories.sum(axis=0)}


def _train_chunk(first, last, sweep, initial, stopped):
    """Models ``first .. last - 1`` from start to end."""
    W, b = initial or _initial_weights(sweep, first, last)
    train = _checks.lookup("method", sweep.method, {"sampled": _sampled, "expected": _expected})
    return train(sweep, first, last, W, b, stopped)


def _sampled(sweep, first, last, W, b, stopped):
    dtype, columns = np.dtype(np.float32), min(sweep.shape[2], last - first)  # whole rows, or a part of one
    theta = np.concatenate([W.reshape(-1, 2), b], axis=-1, dtype=dtype)
    state = State(theta, np.zeros_like(theta), np.zeros_like(theta))
    density, importance = sweep.cells(first, last)
    features = data(SparseFeatures(2, density, importance), dtype)
    rates, constants = adam.learning_rates("constant", sweep.learning_rate, sweep.steps), adam.constants(0.0, dtype)
    room = one_neuron.room(columns, sweep.batch_size, dtype)
    recorded, history = np.isin(np.arange(1, sweep.steps + 1), sweep.records()), []
    for start, end in _pace.chunks(0, sweep.steps):
        if stopped():
            raise Stopped
        losses, steps = np.empty((len(theta), end - start)), adam.steps(rates, start, end, dtype)
        share, row = dtype.type(1 / sweep.batch_size), first // sweep.shape[2]
        job = Job(sweep.seed, TRAINING, row, start, share, recorded[start:end], losses)
        one_neuron.train_rows(
            0, len(theta) // columns, columns, state, features, (steps, constants), dtype.type(sweep.floor), job,
            sweep.batch_size, room,
        )  # fmt: skip
        losses = losses[:, recorded[start:end]] / sweep.batch_size
        sound = np.isfinite(losses).all(axis=-1) & np.isfinite(theta).all(axis=-1)
        if not sound.all():
            model = tuple(int(k) for k in np.unravel_index(first + int(np.argmin(sound)), sweep.shape))
            raise DivergenceError(
                f"model {model} (restart, density, importance) has a loss or weight that is not finite, found after "
                f"step {end} ({(~sound).sum()} of the {sound.size} models of its chunk); try a smaller learning_rate"
            )
        history.append(losses.sum(axis=0))
    W, b = theta[:, None, :2].copy(), theta[:, 2:].copy()
    loss = expected_loss(W.astype(np.float64), b.astype(np.float64), density, importance, sweep.activation)
    return {"W": W, "b": b, "loss": loss, "history": np.concatenate(history)}


def _expected(sweep, first, last, W, b, stopped):
    density, importance = sweep.cells(first, last)
    parts = []
    for start in range(0, last - first, LOOK_EVERY_MODELS):
        if stopped():
            raise Stopped
        part = slice(start, start + LOOK_EVERY_MODELS)
        parts.append(minimise_expected_loss(W[part], b[part], density[part], importance[part], sweep.activation))
    names = ("W", "b", "loss", "gradient")
    return {name: np.concatenate([getattr(part, name) for part in parts]) for name in names} | {"history": np.empty(0)}


def _initial_weights(sweep, first, last):
    """W (K, 1, 2) and b (K, 2)."""
    normal = normals(batch_key(sweep.seed, INITIAL, np.arange(first, last), 0), 4)
    return SCALE_W * normal[:, None, :2], SCALE_B * normal[:, 2:]


def _given(initial, shape, dtype):
    """Initial weights of the user, one row a model."""
    if initial is None:
        return None
    if not (isinstance(initial, (tuple, list)) and len(initial) == 2):
        raise TypeError(f"initial is {type(initial).__name__}; expected a pair (W, b)")
    given = []
    for name, array, one in (("W", initial[0], (1, 2)), ("b", initial[1], (2,))):
        array = _checks.finite(f"initial {name}", single(f"initial {name}", array))
        _checks.below_limit(f"initial {name}", _checks.fits(f"initial {name}", array, dtype))
        try:
            given.append(np.broadcast_to(array, shape + one).reshape(-1, *one))
        except ValueError:
            raise ValueError(
                f"initial {name} has shape {array.shape}; expected one that broadcasts to {shape + one}"
            ) from None
    return tuple(given)


def _axis(name, values, at_most):
    """One axis of the diagram: increasing, at least 0."""
    values = _checks.finite(name, _checks.real_array(name, values)).astype(np.float64)
    hint = f"; a single value is written [{values:g}]" if values.ndim == 0 else ""
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"{name} has shape {values.shape}; expected one axis with at least one value{hint}")
    if (np.diff(values) <= 0).any():
        raise ValueError(f"{name} does not increase everywhere; expected np.unique({name})")
    if values[0] < 0 or values[-1] > at_most:
        low, high = _checks.plainly(values[0]), _checks.plainly(values[-1], at_most)
        raise ValueError(f"{name} runs from {low} to {high}; expected every value in [0, {at_most:g}]")
    return values
