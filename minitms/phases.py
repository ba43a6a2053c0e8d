"""The sweep over density x importance x restarts: one-neuron models of two features, by the million.

The models of one restart and one density, which differ only in importance, form a row and are trained on the same data:
a column of the diagram is what `train` makes of these densities from the same start and seed. Rows, restarts first, go
into chunks, which depend on the settings only, and a chunk is one task from its initial weights to its exact losses:
for a thread of this process, or for a worker of any executor. Every random number is a function of the row (of data) or
of the model's place (of initial weights), so a chunk gives the same bits wherever it runs.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numba
import numpy as np

from minitms import _checks, _interrupt, _one_neuron, _progress
from minitms import checkpoint as checkpoints
from minitms.adam import fixed_numbers, learning_rates, step_sizes
from minitms.diagram import PhaseDiagram
from minitms.expected import expected_loss, minimise_expected_loss
from minitms.features import INITIAL, thresholds, uniforms
from minitms.training import DivergenceError

RECORDS = 600  # losses kept of a sweep, at most
CHUNK_EXAMPLES = 3e9  # model-examples of a chunk: a second or two
CHUNK_MODELS = 8192  # at most, so that a chunk stays in the cache
CHUNKS = 32  # and at least so many chunks, if there are that many rows
LOOK_EVERY = 3e7  # model-examples between two looks at Ctrl-C: some tens of milliseconds
LOOK_EVERY_MODELS = 512  # the same for Newton's method
WAITING = 64  # chunks that an executor is given ahead of their results
SCALE_W, SCALE_B = 1.5, 0.5  # standard deviations of the initial weights and biases


@dataclass(frozen=True)
class _Sweep:
    """Everything that decides the result, but for initial weights given by the user."""

    densities: np.ndarray
    importances: np.ndarray
    activation: str
    method: str
    restarts: int
    steps: int
    batch_size: int
    learning_rate: float
    seed: int

    @property
    def shape(self):
        return self.restarts, len(self.densities), len(self.importances)

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

    def cells(self, first, last):
        """Density (K, 2) and importance (K, 2) of a chunk's models."""
        _, d, i = np.unravel_index(np.arange(first, last), self.shape)
        density, r = self.densities[d], self.importances[i]
        return np.stack([density, density], axis=-1), np.stack([np.ones_like(r), r], axis=-1)


class _Stopped(Exception):
    """The sweep was stopped while this chunk was at work."""


def phase_diagram(
    densities,
    importances,
    activation: str = "relu",
    method: str = "sampled",
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
        Initial weights that broadcast to (restarts, D, I, 1, 2) and (restarts, D, I, 2). None: normal with standard
        deviation 1.5 for W and 0.5 for b, as in the earlier replication; wide enough to find every configuration.
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
        If a chunk cannot be written to the checkpoint. What was finished before is kept.

    Notes
    -----
    Elhage et al. (2022), section 3, "Superposition as a Phase Change".

    Examples
    --------
    >>> diagram = phase_diagram(np.geomspace(0.01, 1, 20), np.geomspace(0.1, 10, 20), method="expected", seed=0)
    >>> diagram.at(density=0.1, importance=1)["class"]
    'superposed'
    """
    _checks.choice("method", method, ("sampled", "expected"))
    if method == "expected":
        for name, value in (("steps", steps), ("batch_size", batch_size), ("learning_rate", learning_rate)):
            if value is not None:
                raise ValueError(f'{name} is {value!r}, but method="expected" draws no samples; leave {name} out')
    if checkpoint is not None and seed is None:
        raise ValueError("seed is None; a checkpoint needs one, or the same call could not go on: seed=0")
    sweep = _Sweep(
        _axis("densities", densities, at_most=1.0),
        _axis("importances", importances),
        _checks.choice("activation", activation, _checks.ACTIVATIONS),
        method,
        _checks.integer("restarts", restarts, at_least=1),
        _checks.integer("steps", 6000 if steps is None else steps, at_least=1),
        _checks.batch_size(64 if batch_size is None else batch_size, 2),
        _checks.number("learning_rate", 1e-2 if learning_rate is None else learning_rate, above=0),
        _checks.seed(seed),
    )
    models = int(np.prod(sweep.shape))
    _checks.memory(models * 150 + 2**27, f"{models:,} models of a phase diagram")
    initial = _given(initial, sweep.shape)
    if executor is not None and not isinstance(executor, concurrent.futures.Executor):
        raise TypeError(f"executor is {executor!r}; expected a concurrent.futures.Executor")

    if checkpoint is None:
        arrays = _run(sweep, initial, executor, progress, store=None)
    else:
        extra = {"initial W": initial[0], "initial b": initial[1]} if initial else {}
        with checkpoints.Store(checkpoint, {"what": "phase_diagram"} | asdict(sweep) | extra) as store:
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
    chunks = sweep.chunks()
    names = [f"chunk-{k:06d}" for k in range(len(chunks))]
    there = store.names() if store else set()
    missing = [k for k, name in enumerate(names) if name not in there]
    models, dtype = chunks[-1][1], np.float32 if sweep.method == "sampled" else np.float64
    arrays = {"W": np.empty((models, 1, 2), dtype), "b": np.empty((models, 2), dtype), "loss": np.empty(models)}
    if sweep.method == "expected":
        arrays["gradient"] = np.empty(models)
    histories = np.zeros((len(chunks), len(sweep.records())))

    def keep(k, chunk):
        for name, array in arrays.items():
            array[slice(*chunks[k])] = chunk[name]
        histories[k] = chunk["history"]

    with _progress.bar(models, " models", progress) as bar:
        for k in set(range(len(chunks))) - set(missing):
            keep(k, store.load(names[k]))
            bar.update(chunks[k][1] - chunks[k][0])
        done = len(chunks) - len(missing)
        try:
            tasks = [(k, *chunks[k]) for k in missing]
            with (
                _interrupt.deferred() as answer_interrupt,
                contextlib.closing(_results(sweep, initial, executor, tasks, answer_interrupt)) as results,
            ):
                for k, chunk in results:
                    if store:
                        _same_host(store, chunk.pop("host"))
                        store.save(names[k], chunk)
                    keep(k, chunk)
                    done += 1
                    bar.update(chunks[k][1] - chunks[k][0])
        except KeyboardInterrupt:
            kept = f"kept in {store.path}: run the same call again to go on" if store else (
                "lost; with checkpoint=FOLDER they are kept, and the same call goes on"
            )
            raise KeyboardInterrupt(f"stopped after {done} of {len(chunks)} chunks, which are {kept}") from None
    return arrays | {"history": histories.sum(axis=0)}


def _results(sweep, initial, executor, tasks, answer_interrupt):
    """Run the tasks (k, first, last) and yield (k, chunk) as they are finished, or answer Ctrl-C in between."""
    if not tasks:
        return
    stop = threading.Event()
    own = None
    if executor is None:
        own = executor = concurrent.futures.ThreadPoolExecutor(numba.get_num_threads())
    shared = isinstance(executor, concurrent.futures.ThreadPoolExecutor)
    waiting = {}
    tasks = iter(tasks)
    try:
        while True:
            while len(waiting) < WAITING and (task := next(tasks, None)):
                k, first, last = task
                start = tuple(array[first:last] for array in initial) if initial else None
                arguments = sweep, first, last, start, *([stop.is_set] if shared else [])
                try:
                    waiting[executor.submit(_train_chunk, *arguments)] = k
                except RuntimeError as error:
                    raise ValueError(f"{executor!r} takes no work ({error}); give one that is running") from error
            if not waiting:
                return
            answer_interrupt()
            done, _ = concurrent.futures.wait(waiting, 0.1, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                yield waiting.pop(future), future.result()
    finally:
        stop.set()
        for future in waiting:
            future.cancel()
        if own:
            own.shutdown()


def _train_chunk(sweep, first, last, initial, stopped: Callable[[], bool] = lambda: False):
    """Models ``first .. last - 1`` from start to end, on one thread."""
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        W, b = initial or _initial_weights(sweep, first, last)
        train = {"sampled": _sampled, "expected": _expected}[sweep.method]
        return train(sweep, first, last, W, b, stopped) | {"host": checkpoints.host()}
    finally:
        numba.set_num_threads(threads)


def _sampled(sweep, first, last, W, b, stopped):
    dtype, columns = np.dtype(np.float32), min(sweep.shape[2], last - first)  # whole rows, or a part of one
    W, b = np.array(W, dtype).reshape(-1, columns, 1, 2), np.array(b, dtype).reshape(-1, columns, 2)
    means = [np.zeros_like(array) for array in (W, W, b, b)]
    density, importance = sweep.cells(first, last)
    weight = (importance * (2 / sweep.batch_size)).astype(dtype).reshape(b.shape)
    data = *thresholds(density[::columns], dtype), weight
    rates, fixed = learning_rates("constant", sweep.learning_rate, sweep.steps), fixed_numbers(0.0, dtype)
    recorded = np.isin(np.arange(1, sweep.steps + 1), sweep.records())
    history = []
    stride = max(1, int(LOOK_EVERY / (sweep.batch_size * (last - first))))
    for start in range(0, sweep.steps, stride):
        if stopped():
            raise _Stopped
        end = min(start + stride, sweep.steps)
        losses = np.empty((*b.shape[:-1], end - start))
        _one_neuron.train_rows(
            0, len(W), W, b, *means, step_sizes(rates, start, end, dtype), fixed, *data, sweep.activation == "relu",
            sweep.seed, start, sweep.batch_size, recorded[start:end], losses, first // sweep.shape[2],
        )  # fmt: skip
        losses = losses[..., recorded[start:end]]
        sound = np.isfinite(losses).all(axis=-1) & np.isfinite(W).all(axis=(-2, -1)) & np.isfinite(b).all(axis=-1)
        if not sound.all():
            model = tuple(int(k) for k in np.unravel_index(first + int(np.argmin(sound)), sweep.shape))
            raise DivergenceError(
                f"model {model} (restart, density, importance) has a loss or weight that is not finite, found after "
                f"step {end} ({(~sound).sum()} of the {sound.size} models of its chunk); try a smaller learning_rate"
            )
        history.append(losses.sum(axis=(0, 1)))
    W, b = W.reshape(-1, 1, 2), b.reshape(-1, 2)
    loss = expected_loss(W.astype(np.float64), b.astype(np.float64), density, importance, sweep.activation)
    return {"W": W, "b": b, "loss": loss, "history": np.concatenate(history)}


def _expected(sweep, first, last, W, b, stopped):
    density, importance = sweep.cells(first, last)
    parts = []
    for start in range(0, last - first, LOOK_EVERY_MODELS):
        if stopped():
            raise _Stopped
        part = slice(start, start + LOOK_EVERY_MODELS)
        parts.append(minimise_expected_loss(W[part], b[part], density[part], importance[part], sweep.activation))
    names = ("W", "b", "loss", "gradient")
    return {name: np.concatenate([getattr(part, name) for part in parts]) for name in names} | {"history": np.empty(0)}


def _initial_weights(sweep, first, last):
    """W (K, 1, 2) and b (K, 2): two uniforms make a normal, by Box and Muller."""
    u = uniforms(sweep.seed, INITIAL, np.arange(first, last), 0, 4, 2, "float64")
    normal = np.sqrt(-2 * np.log(1 - u[..., 0])) * np.cos(2 * np.pi * u[..., 1])
    return SCALE_W * normal[:, None, :2], SCALE_B * normal[:, 2:]


def _given(initial, shape):
    """Initial weights of the user, one row a model."""
    if initial is None:
        return None
    if not (isinstance(initial, (tuple, list)) and len(initial) == 2):
        raise TypeError(f"initial is {type(initial).__name__}; expected a pair (W, b)")
    given = []
    for name, array, one in (("W", initial[0], (1, 2)), ("b", initial[1], (2,))):
        array = _checks.finite(f"initial {name}", _checks.real_array(f"initial {name}", array))
        try:
            given.append(np.broadcast_to(array, shape + one).reshape(-1, *one))
        except ValueError:
            raise ValueError(
                f"initial {name} has shape {array.shape}; expected one that broadcasts to {shape + one}"
            ) from None
    return tuple(given)


def _axis(name, values, at_most=np.inf):
    """One axis of the diagram: increasing, at least 0."""
    values = _checks.finite(name, _checks.real_array(name, values)).astype(np.float64)
    hint = f"; a single value is written [{values:g}]" if values.ndim == 0 else ""
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"{name} has shape {values.shape}; expected one axis with at least one value{hint}")
    if (np.diff(values) <= 0).any():
        raise ValueError(f"{name} does not increase everywhere; expected np.unique({name})")
    if values[0] < 0 or values[-1] > at_most:
        bounds = "at least 0" if at_most == np.inf else f"in [0, {at_most:g}]"
        raise ValueError(f"{name} runs from {values[0]:g} to {values[-1]:g}; expected every value {bounds}")
    return values


def _same_host(store, host):
    """Refuse a chunk from a worker on which the last bits may differ."""
    here = checkpoints.host()
    for name in here.keys() - set(store.allow):
        if host[name] != here[name]:
            raise ValueError(
                f"a worker has {name} {host[name]!r}, and this process {here[name]!r}: the last bits may differ. "
                f"To keep its chunks all the same, give checkpoint=Checkpoint(path, allow=({name!r},))"
            )
