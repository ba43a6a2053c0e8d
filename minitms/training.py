"""Training: sample, gradient, update, record; many models at once, several restarts each, the best one kept.

The loop itself stands first: `advance_by_numpy`. `minitms.fast.training` says the same faster. `train` checks what it
is given, starts the models, runs the loop between checkpoints, and judges what came out.

Small models fall into local minima, and which one depends on the initial weights. So `train` takes the whole stack of
models, restarts every one, and `TrainingRun.best` keeps the restart with the lowest loss on fresh examples.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from concurrent.futures import Executor

import numba
import numpy as np

from minitms import _checks, _pace, adam
from minitms._chunks import Stopped, gather
from minitms._words import Activation, Dtype, Engine, Schedule, told
from minitms.checkpoint import SavedState, Store
from minitms.draws import BLOCK, INITIAL, TRAINING, batch_key, normals
from minitms.fast import training as fast
from minitms.fast.threads import Threads, cuts
from minitms.features import Examples, SparseFeatures, checked_source
from minitms.judge import check_finite, constant_answer, final_losses, judge
from minitms.model import backward, loss
from minitms.plan import BATCH_SIZE, RECORDS, Plan
from minitms.run import Snapshots, TrainingRun
from minitms.weights import Weights, both, checked, each

RESTARTS = 8
CHUNKS = 64  # that models are cut into for an executor, at most


def advance_by_numpy(plan, theta, m, v, first, steps, constants, recorded):
    """Sample, gradient, update: the loop of training, to be read.

    The rows theta (restarts, ..., p), and their running means m and v, are advanced in place from step `first` on.
    Returns the batch losses of the recorded steps, (restarts, ..., records), each from before the update.
    """
    W, b, source, losses = plan.layout.W(theta), plan.layout.b(theta), plan.source, []
    models = plan.first_model + np.arange(plan.models).reshape(plan.stack)
    for t, step in enumerate(zip(*steps, strict=True)):
        x, target = plan.batch(batch_key(plan.seed, TRAINING, models, first + t))
        arguments = W, b, x, source.importance, plan.activation
        if recorded[t]:
            losses.append(loss(*arguments, hidden=plan.hidden, target=target))
        slope = plan.layout.row(*backward(*arguments, hidden=plan.hidden, target=target))
        theta[...], m[...], v[...] = adam.rule(theta, slope, m, v, adam.Step(*step), constants)
    return np.stack(losses, axis=-1, dtype=np.float64) if losses else np.empty((*theta.shape[:-1], 0))


@told(
    "train",
    lr="learning_rate=",
    m="n_hidden=",
    n_instances="SparseFeatures(n, density[:, None])",
    sparsity="SparseFeatures(n, density), density = 1 - sparsity",
)
def train(
    features: SparseFeatures | Examples,
    n_hidden: int,
    activation: Activation = "relu",
    *,
    hidden: Activation = "linear",
    tied: bool = True,
    steps: int = 5000,
    batch_size: int | None = None,
    learning_rate: float = 1e-2,
    schedule: Schedule = "cosine",
    warmup: int = 0,
    weight_decay: float = 0.0,
    restarts: int | None = None,
    seed: int | None = None,
    engine: Engine = "numba",
    dtype: Dtype = "float32",
    initial: tuple | TrainingRun | None = None,
    snapshots: int | Sequence[int] = 0,
    checkpoint=None,
    executor: Executor | None = None,
    progress: bool | None = None,
) -> TrainingRun:
    """Train a stack of models, each from several starts, on fresh examples at every step or on fixed ones, by Adam.

    Parameters
    ----------
    features : SparseFeatures or Examples
        What the data is; its stack ``...`` is the stack of models.
    n_hidden : int
        Hidden dimensions m.
    activation, hidden : "relu" or "linear"
        The functions of the output and of the hidden layer.
    tied : bool
        Whether encoder and decoder are one W; else ``run.W`` is a pair (encoder, decoder).
    steps : int
        Updates; each draws `batch_size` new examples for every model, or takes all of the fixed ones.
    batch_size : int, or None for 1024, or for all of the fixed examples
    learning_rate : float
        Adam's η at its largest.
    schedule : "constant", "linear" or "cosine"
        How η falls: not at all, or towards 0, which the step after the last would have.
    warmup : int
        Steps in which η rises to its largest first.
    weight_decay : float
        Decoupled weight decay λ.
    restarts : int, or None for 8, or for as many as `initial` has if that is a run
        Starts of each model, with their own initial weights and data.
    seed : int in [0, 2**63), or None to draw one, which ``run.seed`` keeps
    engine : "numba" or "numpy"
        The fused kernels, or the loop over `model.backward` that one can read, `advance_by_numpy`. Same random numbers,
        same result up to rounding.
    dtype : "float32" or "float64"
    initial : (W, b), a TrainingRun, or None
        Initial weights that broadcast to (restarts, ..., m, n) and (restarts, ..., n), or those of a run of the same
        models, or of one model for all of them; none above 1e50. Untied, W is a tuple (encoder, decoder), both of which
        broadcast. Adam's running means start from 0. None: W normal with standard deviation √(2 / (m + n)) (Xavier, by
        one model's own shape), b = 0.
    snapshots : int or sequence of int
        How many snapshots of W and b to keep, evenly spaced from start to end (one alone: the end), or after which
        steps.
    checkpoint : path of a folder, `minitms.Checkpoint`, or None
        Where the state is kept every second or so. The same call again goes on where a stopped or killed one ended,
        with the same bits; a finished one is simply loaded. It needs a seed.
    executor : concurrent.futures.Executor, or None for threads of this process
        Where models are trained, some at a time: a pool of processes, or ``distributed.Client(...).get_executor()``.
        The result has the same bits; a checkpoint then keeps the models that are finished.
    progress : bool, or None to show a bar on a terminal and in a notebook

    Returns
    -------
    TrainingRun

    Raises
    ------
    ValueError, TypeError
        Before any work, if an argument is not as described, or the models do not fit in memory.
    DivergenceError
        If a loss or weight is not finite, or a weight is above 1e50, or a final loss is above 1.5 times that of the
        best constant that the output can give, Σ_i I_i E (t_i - c_i)²: the mean of the target, c_i = E t_i, or
        max(E t_i, 0) from a ReLU. Names the model, and the step after which it was found.
    RuntimeError
        If another process is at work on the checkpoint, or a worker of the executor died.
    OSError
        If the checkpoint cannot be read or written. What was saved before is kept.

    Warns
    -----
    UserWarning
        If a model ends no better than that best constant answer though its features are not all off.

    Notes
    -----
    The final loss is judged only where the learning rates sum to at least 1: Adam moves a weight by about η a step,
    so a shorter run could not have arrived anywhere yet.

    The paper does not state its optimiser. The defaults are the recipe of all figures of this project.

    Examples
    --------
    >>> import minitms as tms
    >>> run = tms.train(tms.SparseFeatures(n=5, density=0.05), n_hidden=2, steps=2000, seed=0)
    >>> run.best().W.shape
    (2, 5)
    """
    plan = _plan(
        features, n_hidden, activation, hidden, tied, steps, batch_size, learning_rate, schedule, warmup, weight_decay,
        restarts, seed, engine, dtype, initial, snapshots, checkpoint, executor, progress,
    )  # fmt: skip
    theta = _start(initial, plan)
    train_all = _in_process if executor is None else _on_executor
    theta, history, kept = train_all(plan, theta, checkpoint, executor, progress)
    with _all_is_trained(checkpoint):
        final = final_losses(plan, theta, progress)
        if plan.rates.sum() >= 1:
            judge(final, final_losses(plan, constant_answer(plan), progress), plan.steps)
    W, b = plan.layout.W, plan.layout.b
    snapshots = Snapshots(plan.snapshot_steps, W(kept), b(kept)) if len(plan.snapshot_steps) else None
    return TrainingRun(W(theta), b(theta), final, history, plan.record_steps, plan.seed, features, plan.activation,
                       plan.hidden, plan.settings, snapshots)  # fmt: skip


# --------------------------------------------------------------------------------------------------- check and start


def _plan(
    features, n_hidden, activation, hidden, tied, steps, batch_size, learning_rate, schedule, warmup, weight_decay,
    restarts, seed, engine, dtype, initial, snapshots, checkpoint, executor, progress,
) -> Plan:  # fmt: skip
    """Check every argument before any work."""
    source = checked_source(features)
    if progress is not None:
        _checks.flag("progress", progress)
    if checkpoint is not None and seed is None:
        raise ValueError("seed is None; a checkpoint needs one, or the same call could not go on: seed=0")
    if executor is not None and not isinstance(executor, Executor):
        raise TypeError(f"executor is {executor!r}; expected a concurrent.futures.Executor")
    seed = _checks.seed(seed)
    if isinstance(initial, TrainingRun):
        restarts = len(initial.loss) if restarts is None else restarts
        if seed == initial.seed:
            raise ValueError(f"seed is {seed}, that of the initial run, whose data would come again; give another one")
    steps = _checks.integer("steps", steps, at_least=1)
    plan = Plan(
        source,
        _checks.integer("n_hidden", n_hidden, at_least=1),
        _checks.choice("activation", activation, _checks.ACTIVATIONS),
        _checks.choice("hidden", hidden, _checks.ACTIVATIONS),
        _checks.flag("tied", tied),
        steps,
        _batch_size(batch_size, source),
        _checks.number("learning_rate", learning_rate, above=0),
        _checks.choice("schedule", schedule, _checks.SCHEDULES),
        _checks.integer("warmup", warmup, at_least=0),
        _checks.number("weight_decay", weight_decay, at_least=0),
        RESTARTS if restarts is None else _checks.integer("restarts", restarts, at_least=1),
        seed,
        _checks.choice("engine", engine, _checks.ENGINES),
        _checks.dtype(dtype),
        _snapshot_steps(snapshots, steps),
    )
    if plan.warmup > steps:
        raise ValueError(f"warmup is {plan.warmup}; expected at most steps, {steps}")
    if plan.engine == "numba":  # what kernels do not know is refused here, and not when they start
        for name in ("activation", "hidden"):
            _checks.is_relu(getattr(plan, name), name)
    for name in ("learning_rate", "weight_decay"):
        _checks.fits(name, getattr(plan, name), plan.dtype)
    _checks.trainable("importance", source.importance.max(axis=-1), plan.dtype)
    if isinstance(source, Examples):
        for name in ("x", "target"):
            values = getattr(source, name)
            largest = np.maximum(values.max(axis=(-1, -2)), -values.min(axis=(-1, -2)))
            _checks.trainable(name, largest, plan.dtype, power=2)
    _check_memory(plan)
    return plan


def _batch_size(value, source):
    if isinstance(source, Examples):
        if value is not None and _checks.integer("batch_size", value, at_least=1) != source.count:
            raise ValueError(
                f"batch_size is {value}; fixed examples are taken all at every step, all {source.count}: leave it out"
            )
        return source.count
    return _checks.batch_size(BATCH_SIZE if value is None else value, source.law("float64").columns)


def _snapshot_steps(snapshots, steps):
    if _checks.plain_array("snapshots", snapshots).ndim == 0:
        count = _checks.integer("snapshots", snapshots, at_least=0)
        _checks.memory(16 * count, f"{count:,} snapshots")
        if count > steps + 1:
            raise ValueError(f"snapshots is {count}; a run of {steps} steps has {steps + 1} states to keep")
        return np.unique(np.linspace(0 if count > 1 else steps, steps, count).round().astype(int))
    wanted = [_checks.integer("a snapshot's step", step, at_least=0) for step in snapshots]
    if max(wanted, default=0) > steps:
        raise ValueError(f"a snapshot is wanted after step {max(wanted)}; the run has {steps} steps")
    return np.unique(wanted).astype(int)


def _check_memory(plan):
    layout, itemsize, snapshots = plan.layout, np.dtype(plan.dtype).itemsize, len(plan.snapshot_steps)
    n, m = layout.n, layout.m
    if plan.engine == "numpy":
        scored = 0 if plan.exact or isinstance(plan.source, Examples) else fast.HELD_OUT_EXAMPLES
        batch = max(plan.models * plan.batch_size, scored) * (4 * n + 2 * m) * 8
    else:  # gradients of parts of the batch of a few models, and what a thread of one neuron sorts
        batch = min(plan.models, fast.FEW_MODELS) * -(-plan.batch_size // BLOCK) * layout.size * itemsize
        batch += numba.get_num_threads() * 10 * plan.batch_size * itemsize
    if isinstance(plan.source, Examples):
        batch += 3 * plan.source.x.size * 8
    rows = (6 + snapshots) * plan.models * layout.size * itemsize
    _checks.memory(
        rows + plan.models * (RECORDS + 2) * 8 + 8 * snapshots + 40 * plan.steps + batch,
        f"{plan.models:,} models of n={n}, m={m} with {snapshots:,} snapshots in {plan.steps:,} steps of "
        f"{plan.batch_size:,} examples",
    )


def _start(initial, plan):
    """Rows theta (restarts, ..., p): Xavier-normal W by each model's own shape and b = 0, or what the user gave."""
    layout, stack = plan.layout, plan.stack
    shape = (*stack, layout.m, layout.n)
    if initial is None:
        models = np.arange(plan.models).reshape(stack)
        count = layout.size - layout.n
        normal = normals(batch_key(plan.seed, INITIAL, models, 0), count)
        theta = np.zeros((*stack, layout.size), plan.dtype)
        theta[..., :count] = np.sqrt(2 / (layout.m + layout.n)) * normal
        return theta
    if isinstance(initial, TrainingRun):
        initial = _weights_of(initial, plan)
    if isinstance(initial, Weights):
        raise TypeError("initial is a pair of weights (encoder, decoder); expected ((encoder, decoder), b)")
    if not (isinstance(initial, (tuple, list)) and len(initial) == 2):
        raise TypeError(f"initial is {type(initial).__name__}; expected a pair (W, b), or a TrainingRun")
    W, b = initial
    if plan.tied:
        W = checked(W)
    elif isinstance(W, tuple) and len(W) == 2:  # of whatever broadcasts, and not of matrices alone
        W = Weights(*W)
    if isinstance(W, Weights) == plan.tied:
        form = "one array W" if plan.tied else "a pair (encoder, decoder), a tuple"
        raise ValueError(f"tied is {plan.tied}, so the initial weights are {form}; got {type(W).__name__}")
    parts = W._asdict() if isinstance(W, Weights) else {"W": W}
    given = [_given(f"initial {name}", array, shape, plan.dtype) for name, array in parts.items()]
    b = _given("initial b", b, (*stack, layout.n), plan.dtype)
    return np.ascontiguousarray(layout.row(given[0] if plan.tied else Weights(*given), b))


def _weights_of(run, plan):
    """The weights and biases of a run as initial ones: model by model, or those of its one model for every one."""
    (restarts, *stack), m, n = run.loss.shape, *both(run.W)[0].shape[-2:]
    wanted, *models = plan.stack
    fits = (m, n) == (plan.layout.m, plan.layout.n) and stack in ([], models) and restarts in (1, wanted)
    if not fits:
        raise ValueError(
            f"initial is a run of {restarts} restarts of a stack {tuple(stack)}, W {(m, n)}; expected 1 or {wanted} "
            f"restarts of a stack {tuple(models)} or of one model, W {(plan.layout.m, plan.layout.n)}"
        )

    def spread(array):
        return array.reshape(restarts, *[1] * (len(models) - len(stack)), *array.shape[1:])

    return each(spread, run.W), spread(run.b)


def _given(name, array, shape, dtype):
    array = _checks.fits(name, _checks.finite(name, _checks.real_array(name, array)), dtype)
    _checks.below_limit(name, array)
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(f"{name} has shape {array.shape}; expected one that broadcasts to {shape}") from None


# ----------------------------------------------------------------------------------------------------------- train


def _in_process(plan, theta, checkpoint, executor, progress):
    """Advance all models chunk by chunk of steps; between two chunks, everything else is seen to."""
    saved = SavedState(plan, theta)
    with (
        Store(checkpoint, _description(plan, theta) | {"executor": "none"}, saved.finished) if checkpoint is not None
        else contextlib.nullcontext() as store,
        Threads() as threads,
        _pace.bar(plan.steps, " steps", progress) as bar,
        saved.to(store),
    ):  # fmt: skip
        bar.update(saved.step)
        for last in _advance(plan, saved, threads):
            bar.update(last - saved.taken)
            saved.now_and_then(last)
            threads.answer()
    return saved.theta, np.concatenate(saved.history, axis=-1), saved.kept


@contextlib.contextmanager
def _all_is_trained(checkpoint):
    """What Ctrl-C says after the last step."""
    try:
        yield
    except KeyboardInterrupt:
        kept = "lost; with checkpoint=FOLDER it is kept" if checkpoint is None else (
            "kept in the checkpoint: run the same call again to have them"
        )
        raise KeyboardInterrupt(f"stopped in the final losses, after all steps; what was trained is {kept}") from None


def _advance(plan, saved, threads):
    """Take the steps that are left, and yield after each chunk of them."""
    advance = {"numba": fast.engine, "numpy": _numpy_engine}[plan.engine](plan, saved, threads)
    constants = adam.constants(plan.weight_decay, plan.dtype)
    if saved.step == 0:
        saved.keep(0)
    for first, last in _pace.chunks(saved.step, plan.steps, stops=plan.snapshot_steps.tolist()):
        steps = adam.steps(plan.rates, first, last, plan.dtype)
        losses = advance(first, steps, constants, plan.recorded[first:last])
        check_finite(losses, saved.theta, last, plan)
        saved.history.append(losses)
        saved.keep(last)
        yield last


def _numpy_engine(plan, saved, threads):
    return lambda *arguments: advance_by_numpy(plan, saved.theta, saved.m, saved.v, *arguments)


def _on_executor(plan, theta, checkpoint, executor, progress):
    """Hand out the models some at a time, each from start to end; the checkpoint keeps those that are finished."""
    rows = theta.reshape(plan.models, -1)
    whole = {"theta": rows, "kept": np.empty((plan.models, len(plan.snapshot_steps), rows.shape[-1]), plan.dtype),
             "history": np.empty((plan.models, len(plan.record_steps)))}  # fmt: skip
    parts = {f"chunk-{k:06d}": part for k, part in enumerate(cuts(plan.models, CHUNKS))}
    chunks = {name: (*part, plan, rows[slice(*part)]) for name, part in parts.items()}
    places = {name: {key: array[slice(*part)] for key, array in whole.items()} for name, part in parts.items()}
    description = _description(plan, theta) | {"executor": f"of {len(chunks)} chunks"}
    with (
        Store(checkpoint, description, lambda store: chunks.keys() <= store.names()) if checkpoint is not None
        else contextlib.nullcontext() as store,
        _pace.bar(plan.models, " models", progress) as bar,
    ):  # fmt: skip
        gather(_train_part, chunks, places, executor, store, bar)
    return theta, whole["history"].reshape(*plan.stack, -1), whole["kept"].reshape(*plan.stack, -1, rows.shape[-1])


def _train_part(first, last, plan, theta, stopped):
    """Models ``first .. last - 1`` of a plan from start to end."""
    part = plan.part(first, last)
    saved = SavedState(part, theta[None])
    with Threads(1) as threads:
        for _ in _advance(part, saved, threads):
            if stopped():
                raise Stopped
    history = np.concatenate(saved.history, axis=-1)
    return {"theta": saved.theta[0], "kept": saved.kept[0], "history": history[0]}


def _description(plan, theta):
    """What decides the result, for a checkpoint."""
    source = plan.source
    names = ("x", "target", "importance") if isinstance(source, Examples) else (
        "density", "importance", "sets", "pattern", "signed", "target"
    )
    data = {name: getattr(source, name) for name in names}
    return {"what": "train", "m": plan.n_hidden, "initial": theta, "snapshots": plan.snapshot_steps,
            **data, **plan.settings}  # fmt: skip
