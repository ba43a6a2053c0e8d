"""Training: sample, gradient, update, record; many models at once, several restarts each, the best one kept.

Small models fall into local minima, and which one depends on the initial weights. So `train` takes the whole stack of
models, restarts every one, and `TrainingRun.best` keeps the restart with the lowest loss on fresh examples.
"""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from collections.abc import Sequence

import numpy as np

from minitms import _checks, _fused, _interrupt, _progress
from minitms._threads import Threads
from minitms.adam import SCHEDULES, adam_update, fixed_numbers, learning_rates, step_sizes
from minitms.checkpoint import SavedState, Store
from minitms.expected import expected_loss
from minitms.features import INITIAL, TRAINING, SparseFeatures, sparse, uniforms
from minitms.model import backward, loss
from minitms.run import Snapshots, TrainingRun

RECORDS = 200  # losses kept of a run, at most
MOST_FEATURES_SCORED_EXACTLY = 3  # with a ReLU; each feature more makes the exact loss some thirty times slower
CHUNK_SECONDS = 0.1  # about, between two returns to Python, for Ctrl-C, progress and checkpoint; at least one step


class DivergenceError(ArithmeticError):
    """Training left the numbers, or ended worse than having learned nothing at all."""


def train(
    features: SparseFeatures,
    n_hidden: int,
    activation: str = "relu",
    *,
    steps: int = 10_000,
    batch_size: int = 1024,
    learning_rate: float = 1e-3,
    schedule: str = "constant",
    weight_decay: float = 0.0,
    restarts: int = 1,
    seed: int | None = None,
    engine: str = "numba",
    dtype: str = "float32",
    initial: tuple | None = None,
    snapshots: int | Sequence[int] = 0,
    checkpoint=None,
    progress: bool | None = None,
) -> TrainingRun:
    """Train a stack of models, each from several starts, on fresh examples at every step, by Adam.

    Parameters
    ----------
    features : SparseFeatures
        What the data is; its stack ``...`` is the stack of models.
    n_hidden : int
        Hidden dimensions m.
    activation : "relu" or "linear"
    steps : int
        Updates; each draws `batch_size` new examples for every model.
    batch_size : int
    learning_rate : float
        Adam's η at the first step.
    schedule : "constant", "linear" or "cosine"
        How η falls: not at all, or towards 0, which the step after the last would have.
    weight_decay : float
        Decoupled weight decay λ.
    restarts : int
        Starts of each model, with their own initial weights and data.
    seed : int in [0, 2**63), or None to draw one, which ``run.seed`` keeps
    engine : "numba" or "numpy"
        The fused kernels, or the loop over `model.backward` that one can read. Same random numbers, same result up to
        rounding.
    dtype : "float32" or "float64"
    initial : (W, b), or None
        Initial weights that broadcast to (restarts, ..., m, n) and (restarts, ..., n). None: W normal with standard
        deviation √(2 / (m + n)) (Xavier, by one model's own shape), b = 0.
    snapshots : int or sequence of int
        How many snapshots of W and b to keep, evenly spaced from start to end, or after which steps.
    checkpoint : path of a folder, `minitms.Checkpoint`, or None
        Where the state is kept every second or so. The same call again goes on where a stopped or killed one ended,
        with the same bits; a finished one is simply loaded. It needs a seed.
    progress : bool, or None to show a bar on a terminal and in a notebook

    Returns
    -------
    TrainingRun

    Raises
    ------
    ValueError, TypeError
        Before any work, if an argument is not as described, or the models do not fit in memory.
    DivergenceError
        If a loss or weight is not finite, or a final loss is above 1.5 times that of the best constant answer
        (the sum of importance times variance); names the model, and the step after which it was found.
    RuntimeError
        If another process is at work on the checkpoint.
    OSError
        If the checkpoint cannot be written. What was saved before is kept.

    Warns
    -----
    UserWarning
        If a model ends no better than the best constant answer though its features are not all off.

    Notes
    -----
    The final loss is judged only where the learning rates sum to at least 1: Adam moves a weight by about η a step,
    so a shorter run could not have arrived anywhere yet.

    The paper does not state its optimiser; the defaults are those of the authors' public notebook, but for its weight
    decay of 0.01 and its scale of the initial weights, which depended on how many models were trained at once.

    Examples
    --------
    >>> features = SparseFeatures(n=5, density=0.05)
    >>> run = train(features, n_hidden=2, learning_rate=1e-2, schedule="cosine", steps=2000, restarts=8, seed=0)
    >>> run.best().W.shape
    (2, 5)
    """
    if not isinstance(features, SparseFeatures):
        raise TypeError(f"features is {features!r}; expected SparseFeatures(n, density, importance)")
    if features.together:
        raise ValueError(
            "features has together=True; train draws independent features only. One neuron and two features are "
            "trained without samples by minitms.expected.minimise_expected_loss(..., pattern='together'); for other "
            "shapes, take features.sample and loss_and_gradients in a loop of your own"
        )
    m, n = _checks.integer("n_hidden", n_hidden, at_least=1), features.n
    _checks.choice("activation", activation, _checks.ACTIVATIONS)
    _checks.choice("schedule", schedule, SCHEDULES)
    _checks.choice("engine", engine, ("numba", "numpy"))
    _checks.choice("dtype", dtype, ("float32", "float64"))
    steps = _checks.integer("steps", steps, at_least=1)
    batch_size = _checks.batch_size(batch_size, n)
    restarts = _checks.integer("restarts", restarts, at_least=1)
    learning_rate = _checks.number("learning_rate", learning_rate, above=0)
    weight_decay = _checks.number("weight_decay", weight_decay, at_least=0)
    if checkpoint is not None and seed is None:
        raise ValueError("seed is None; a checkpoint needs one, or the same call could not go on: seed=0")
    seed = _checks.seed(seed)
    stack = (restarts, *features.stack)
    _check_memory(stack, m, n, steps, batch_size, snapshots, engine, np.dtype(dtype).itemsize)
    snapshot_steps = _snapshot_steps(snapshots, steps)

    W, b = _initial_weights(initial, stack, m, n, seed, dtype)
    rates, fixed = learning_rates(schedule, learning_rate, steps), fixed_numbers(weight_decay, dtype)

    record_steps = np.unique(np.linspace(1, steps, min(RECORDS, steps)).round().astype(int))
    recorded = np.isin(np.arange(1, steps + 1), record_steps)
    history = []
    kept = Snapshots(
        snapshot_steps,
        np.empty((*stack, len(snapshot_steps), m, n), dtype),
        np.empty((*stack, len(snapshot_steps), n), dtype),
    )

    def keep(step):
        kept.W[..., snapshot_steps == step, :, :] = W[..., None, :, :]
        kept.b[..., snapshot_steps == step, :] = b[..., None, :]

    means = [np.zeros_like(array) for array in (W, W, b, b)]
    settings = {
        "what": "train", "density": features.density, "importance": features.importance, "m": m,
        "activation": activation, "steps": steps, "batch_size": batch_size, "learning_rate": learning_rate,
        "schedule": schedule, "weight_decay": weight_decay, "restarts": restarts, "seed": seed, "engine": engine,
        "dtype": dtype, "initial W": W, "initial b": b, "snapshots": snapshot_steps,
    }  # fmt: skip
    saved = SavedState(W, b, *means, kept.W, kept.b)
    with (
        Store(checkpoint, settings) if checkpoint is not None else contextlib.nullcontext() as store,
        Threads() as threads,
        _progress.bar(steps, " steps", progress) as bar,
        saved.to(store, history, steps),
        _interrupt.deferred() as answer_interrupt,
    ):
        advance = {"numba": _fused.engine, "numpy": _numpy_engine}[engine](
            features, activation, seed, batch_size, W, b, means, threads
        )
        first, chunk = saved.step, 1
        bar.update(first)
        if first == 0:
            keep(0)
        while first < steps:
            answer_interrupt()
            last = int(min(first + chunk, steps, *snapshot_steps[snapshot_steps > first][:1]))
            begun = time.perf_counter()
            losses = advance(first, step_sizes(rates, first, last, dtype), fixed, recorded[first:last])
            chunk = max(1, int((last - first) * CHUNK_SECONDS / (time.perf_counter() - begun)))
            _check_finite(losses, W, b, last)
            history.append(losses)
            keep(last)
            bar.update(last - first)
            saved.now_and_then(last)
            first = last
    history = np.concatenate(history, axis=-1)
    score = _exact_losses if activation == "linear" or n <= MOST_FEATURES_SCORED_EXACTLY else _fused.held_out_losses
    final = score(W, b, features, activation, seed)
    if rates.sum() >= 1:
        nothing = np.zeros((*features.stack, 1, n), dtype), (features.density / 2).astype(dtype)
        _judge(final, score(*nothing, features, activation, seed), steps)
    return TrainingRun(
        W, b, final, history, record_steps, seed, features, activation, kept if len(snapshot_steps) else None
    )


def _numpy_engine(features, activation, seed, batch_size, W, b, means, threads):
    """The same in plain NumPy, to be read: sample, gradient, update."""
    models = np.arange(int(np.prod(b.shape[:-1]))).reshape(b.shape[:-1])
    mean_W, square_W, mean_b, square_b = means
    rule = getattr(adam_update, "py_func", adam_update)  # under NUMBA_DISABLE_JIT it is plain already

    def advance(first, sizes, fixed, recorded):
        losses = []
        for t, size in enumerate(sizes):
            u = uniforms(seed, TRAINING, models, first + t, batch_size, features.n, W.dtype.name)
            x = sparse(u, features.density)
            if recorded[t]:
                losses.append(loss(W, b, x, features.importance, activation))
            dW, db = backward(W, b, x, features.importance, activation)
            W[...], mean_W[...], square_W[...] = rule(W, dW, mean_W, square_W, size, fixed)
            b[...], mean_b[...], square_b[...] = rule(b, db, mean_b, square_b, size, fixed)
        return np.stack(losses, axis=-1, dtype=np.float64) if losses else np.empty((*b.shape[:-1], 0))

    return advance


def _initial_weights(initial, stack, m, n, seed, dtype):
    """Xavier-normal W by each model's own shape and b = 0, or what the user gave."""
    if initial is not None:
        if not (isinstance(initial, (tuple, list)) and len(initial) == 2):
            raise TypeError(f"initial is {type(initial).__name__}; expected a pair (W, b)")
        W, b = initial
        given = []
        for name, array, shape in (("W", W, (*stack, m, n)), ("b", b, (*stack, n))):
            array = _checks.finite(f"initial {name}", _checks.real_array(f"initial {name}", array))
            try:
                given.append(np.array(np.broadcast_to(array, shape), dtype, order="C"))
            except ValueError:
                raise ValueError(
                    f"initial {name} has shape {array.shape}; expected one that broadcasts to {shape}"
                ) from None
        return tuple(given)
    models = np.arange(int(np.prod(stack))).reshape(stack)
    # Box and Muller: two uniforms make a normal. 1 - u lies in (0, 1], so its logarithm is finite.
    u = uniforms(seed, INITIAL, models, 0, m * n, 2, "float64")
    normal = np.sqrt(-2 * np.log(1 - u[..., 0])) * np.cos(2 * np.pi * u[..., 1])
    W = np.sqrt(2 / (m + n)) * normal.reshape(*stack, m, n)
    return W.astype(dtype), np.zeros((*stack, n), dtype)


def _snapshot_steps(snapshots, steps):
    if np.ndim(snapshots) == 0:
        count = _checks.integer("snapshots", snapshots, at_least=0)
        return np.unique(np.linspace(0, steps, count).round().astype(int))
    wanted = np.unique([_checks.integer("a snapshot's step", step, at_least=0) for step in snapshots]).astype(int)
    if len(wanted) and wanted[-1] > steps:
        raise ValueError(f"a snapshot is wanted after step {wanted[-1]}; the run has {steps} steps")
    return wanted


def _check_memory(stack, m, n, steps, batch_size, snapshots, engine, itemsize):
    models = math.prod(stack)
    snapshots = len(snapshots) if np.ndim(snapshots) else _checks.integer("snapshots", snapshots, at_least=0)
    weights = models * (m * n + n) * itemsize
    batch = models * batch_size * (4 * n + 2 * m) * 8 if engine == "numpy" else 0
    needed = (5 + snapshots) * weights + models * (RECORDS + 2) * 8 + 8 * snapshots + 25 * steps + batch
    _checks.memory(needed, f"{models:,} models of n={n}, m={m} with {snapshots:,} snapshots in {steps:,} steps")


def _check_finite(losses, W, b, step):
    sound = np.isfinite(losses).all(axis=-1) & np.isfinite(W).all(axis=(-2, -1)) & np.isfinite(b).all(axis=-1)
    if not sound.all():
        raise DivergenceError(
            f"model {_first(~sound)} has a loss or weight that is not finite, found after step {step} "
            f"({(~sound).sum()} of {sound.size} models); try a smaller learning_rate"
        )


def _exact_losses(W, b, features, activation, seed):
    W, b = W.astype(np.float64), b.astype(np.float64)
    return expected_loss(W, b, features.density, features.importance, activation)


def _judge(final, constant, steps):
    """Compare final losses with those of the best constant answer, y = density / 2."""
    worse = (final > 1.5 * constant) & (constant > 0)
    if worse.any():
        model = _first(worse)
        raise DivergenceError(
            f"model {model} ended after step {steps} with loss {final[model]:.4g}, above 1.5 times that of the best "
            f"constant answer, {np.broadcast_to(constant, final.shape)[model]:.4g} "
            f"({worse.sum()} of {worse.size} models); try a smaller learning_rate or more steps"
        )
    idle = (final >= constant) & (constant > 0)
    if idle.any():
        names = ", ".join(str(tuple(int(i) for i in index)) for index in np.argwhere(idle)[:5])
        warnings.warn(
            f"{idle.sum()} of {idle.size} models ended no better than the best constant answer "
            f"(index in run.loss: {names}{', ...' if idle.sum() > 5 else ''}); try more restarts or steps",
            stacklevel=3,
        )


def _first(mask):
    return tuple(int(i) for i in np.argwhere(mask)[0])
