"""Two voices, one meaning: every training kernel against the loop over `model.backward`, on the same random numbers."""

from __future__ import annotations

import concurrent.futures
import itertools
import math
import re
from pathlib import Path

import numba
import numpy as np
import pytest

import minitms as tms
from minitms import _pace, adam
from minitms.checkpoint import SavedState
from minitms.draws import BLOCK, HELD_OUT, TRAINING, batch_key
from minitms.fast import one_neuron
from minitms.fast import training as fast
from minitms.fast.job import Job, State
from minitms.fast.threads import Threads
from minitms.plan import Plan
from minitms.weights import Weights, both

ACTIVATIONS = ("linear", "relu")
DTYPES = ("float32", "float64")
NAMES = {fast.ALL: "all", fast.ACTIVE: "active", fast.GRAM: "gram", fast.FIXED: "fixed"}
ONE_NEURON = "one neuron"
STEPS, LEARNING_RATE = 12, 1e-3

# n, m, batch: no multiple of a tile or panel; below, around and far above a block; one of everything.
SHAPES = ((1, 1, 1), (5, 2, 19), (37, 7, 300), (1, 3, 1900), (70, 9, 270), (6, 33, 600))
ONE_NEURON_SHAPES = ((2, 1, 1), (2, 1, 66), (2, 1, 601))


def a_density(n):
    """Never on, rare, common and always on, side by side."""
    return np.resize([0.3, 0.01, 1.0, 0.0, 0.05, 0.5], n)


def in_pairs(n, density, importance, pattern, **options):
    return tms.SparseFeatures(n, density, importance, np.arange(n) // 2, pattern, **options)


DATA = {
    "mixed": lambda n, importance: tms.SparseFeatures(n, a_density(n), importance),
    "mixed signed": lambda n, importance: tms.SparseFeatures(n, a_density(n), importance, signed=True),
    "rare |x|": lambda n, importance: tms.SparseFeatures(n, 0.004, importance, signed=True, target="abs"),
    "dense": lambda n, importance: tms.SparseFeatures(n, 0.7, importance),
    "off": lambda n, importance: tms.SparseFeatures(n, 0.0, importance),
    "together": lambda n, importance: in_pairs(n, 0.02, importance, "together"),
    "together |x|": lambda n, importance: in_pairs(n, 0.3, importance, "together", signed=True, target="abs"),
    "at most one": lambda n, importance: in_pairs(n, 0.2, importance, "at_most_one"),
}
FIXED_DATA = {"x": tms.Examples, "given": lambda x, importance: tms.Examples(x, importance, target=x**2 - 0.1)}
# A kernel of its own asks for a plain model; GRAM for one that is tied and linear inside.
MODELS = [(hidden, tied) for hidden in ACTIVATIONS for tied in (True, False)]
VARIANTS = [
    (way, *model, activation)
    for way, activation in itertools.product((*NAMES, ONE_NEURON), ACTIVATIONS)
    for model in (MODELS if way in (fast.ALL, fast.ACTIVE, fast.FIXED) else [("linear", True)])
]


def variant_id(variant):
    way, hidden, tied, activation = variant
    return f"{NAMES.get(way, way)}-{hidden}-{'tied' if tied else 'untied'}-{activation}"


def sources(way, n, batch, rng):
    """Three models with different importances for every kind of data that is trained in this way."""
    importance = rng.uniform(0.2, 2, (3, n))
    if way == fast.FIXED:
        x = rng.uniform(-1, 1, (3, batch, n)) * (rng.uniform(size=(3, batch, n)) < 0.3)
        return {name: make(x, importance) for name, make in FIXED_DATA.items()}
    kinds = ("mixed", "dense", "off") if way == ONE_NEURON else DATA
    return {name: DATA[name](n, importance) for name in kinds}


def some_of(made, variant):
    """A third of the kinds of data, with others in the next variants; all of the fixed ones."""
    kinds = list(made.items())
    return kinds if len(kinds) < 3 else kinds[VARIANTS.index(variant) % 3 :: 3]


def uneven_parts(way, shared, batch_size, models):
    """Every batch in up to three parts of whole blocks, of different sizes."""
    blocks = -(-batch_size // BLOCK)
    cuts = [min(BLOCK * cut, batch_size) for cut in sorted({0, 1, blocks // 2, blocks})]
    return np.array([(k, *part) for k in range(models) for part in itertools.pairwise(cuts) if part[0] < part[1]])


def force(monkeypatch, way, by_parts=False):
    if way in NAMES:
        def ways(source, *_):
            return np.full(math.prod(source.stack), way), np.ones(math.prod(source.stack))

        monkeypatch.setattr(fast, "ways", ways)
    if by_parts:
        monkeypatch.setattr(fast, "LONG_STEP", 0)
        monkeypatch.setattr(fast, "FEW_MODELS", 100)
        monkeypatch.setattr(fast, "_parts", uneven_parts)
    else:
        monkeypatch.setattr(fast, "FEW_MODELS", 0)


@pytest.fixture
def kernels_called(monkeypatch):
    """The kernels that training calls from Python, as they are called, and what for."""
    called, tasks = set(), {fast.TRAIN: "train", fast.SUM: "sum", fast.SCORE: "score"}
    kernel_for, finish_step, train_rows = fast.kernel_for, fast.finish_step, one_neuron.train_rows

    def advance(way):
        def call(*arguments):
            called.add(f"{NAMES[way]} to {tasks[arguments[4]]}")
            return kernel_for(way)(*arguments)

        return call

    def watched(kernel, name):
        def call(*arguments):
            called.add(name)
            return kernel(*arguments)

        return call

    monkeypatch.setattr(fast, "kernel_for", advance)
    monkeypatch.setattr(fast, "finish_step", watched(finish_step, "finish_step"))
    monkeypatch.setattr(one_neuron, "train_rows", watched(train_rows, "train_rows"))
    return called


def starts(n, m, tied, rng):
    """Two restarts of three models, with a bias: a zero one hides mistakes."""
    W = [rng.normal(size=(2, 3, m, n)) / 2 for _ in range(1 if tied else 2)]
    return (W[0] if tied else tuple(W)), rng.normal(size=(2, 3, n)) / 3


def flat(W):
    return np.concatenate([array.ravel() for array in both(W)])


# ---------------------------------------------------------------------------------------------------- whole trainings


@pytest.mark.parametrize("by_parts", [False, True], ids=["whole", "parts"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", VARIANTS, ids=variant_id)
def test_a_kernel_trains_as_the_definition_does(variant, dtype, by_parts, monkeypatch, kernels_called):
    way, hidden, tied, activation = variant
    force(monkeypatch, way, by_parts)
    monkeypatch.setattr(fast, "HELD_OUT_EXAMPLES", 300)
    path = LEARNING_RATE * STEPS
    # Adam moves a weight by at most about η a step: a wrong gradient goes astray by a good part of that path. In
    # float32 a gradient near 0 may round to either sign, which is worth a step or two.
    atol, rtol = (1e-9, 1e-9) if dtype == "float64" else (0.1 * path, 1e-3)
    shapes = ONE_NEURON_SHAPES if way == ONE_NEURON else SHAPES
    for number, (n, m, batch) in enumerate(shapes):
        rng = np.random.default_rng(n)
        kinds = list(sources(way, n, batch, rng).items())
        # Two kinds of data for each shape, others in each variant: so all of them meet all shapes.
        turn = number + VARIANTS.index(variant) + 4 * DTYPES.index(dtype)
        for name, source in (kinds[turn % len(kinds)], kinds[(turn + 3) % len(kinds)]):
            initial = starts(n, m, tied, rng)
            arguments = {
                "features": source, "n_hidden": m, "activation": activation, "hidden": hidden, "tied": tied,
                "steps": STEPS, "batch_size": batch, "learning_rate": LEARNING_RATE, "warmup": 3, "weight_decay": 0.1,
                "restarts": 2, "seed": 5, "dtype": dtype, "initial": initial,
            }  # fmt: skip
            definition = tms.train(**arguments, engine="numpy")
            kernels_called.clear()
            fused = tms.train(**arguments, engine="numba")
            case = f"{name}, n={n}, m={m}, batch={batch}"
            training = {kernel for kernel in kernels_called if not kernel.endswith("score")}
            if way == ONE_NEURON:
                assert training == {"train_rows"}, case
            elif by_parts and batch > BLOCK:
                assert training == {f"{NAMES[way]} to sum", "finish_step"}, case
            else:
                assert training == {f"{NAMES[way]} to train"}, case
            W, b = flat(fused.W), fused.b
            assert W.dtype == b.dtype == dtype, case
            np.testing.assert_allclose(W, flat(definition.W), rtol=0, atol=atol, err_msg=case)
            np.testing.assert_allclose(b, definition.b, rtol=0, atol=atol, err_msg=case)
            most = max(definition.history.max(), 1e-300)
            np.testing.assert_allclose(fused.history, definition.history, rtol=rtol, atol=rtol * most, err_msg=case)
            np.testing.assert_allclose(fused.loss, definition.loss, rtol=rtol, atol=rtol * most, err_msg=case)
            assert abs(flat(definition.W) - flat(_in_dtype(initial[0], dtype))).max() > 0.01 * path, case  # it did move


def _in_dtype(W, dtype):
    return Weights(*(array.astype(dtype) for array in W)) if isinstance(W, tuple) else W.astype(dtype)


def test_every_kernel_and_way_is_in_the_table():
    """A kernel that training calls and the table does not know would be tied to nothing."""
    assert set(fast.WAYS) == set(NAMES) == {variant[0] for variant in VARIANTS} - {ONE_NEURON}
    texts = [Path(module.__file__).read_text(encoding="utf-8") for module in (fast, one_neuron)]
    kernels = re.findall(r"@kernel.*\n\s*def (\w+)", "\n".join(texts))
    assert sorted(kernels) == ["advance", "finish_step", "train_rows"]


# ------------------------------------------------------------------------------------------------------- one gradient


def a_plan(source, m, activation="relu", hidden="linear", tied=True, batch=None, dtype="float64", seed=1):
    return Plan(source, m, activation, hidden, tied, 1, batch or source.count, 0.1, "constant", 0, 0.0, 1, seed,
                "numba", dtype, np.zeros(0, int))  # fmt: skip


def one_gradient(plan, theta, way, step):
    """The loss and the gradient of the first step, as the parts of the batch add up to it."""
    chain, taken, dtype = fast._chain(plan), fast._data(plan.source, theta.dtype), theta.dtype
    parts = uneven_parts(way, None, plan.batch_size, plan.models)
    slopes, losses = np.full((len(parts), plan.layout.size), np.nan, dtype), np.zeros((len(parts), 1))
    job = Job(plan.seed, TRAINING, 0, step, dtype.type(1 / plan.batch_size), np.array([True]), losses)
    room = fast._own_room(chain, np.array([way]), dtype)()
    nothing = adam.Step(*np.zeros((3, 1), dtype)), adam.constants(0.0, dtype)
    stretches = fast.by_way(np.array([way]), parts)
    fast.advance(0, len(parts), 0, 1, stretches, fast.SUM, parts, State(theta, theta, theta), chain, taken, job,
                 (room[0], slopes), nothing)  # fmt: skip
    models = [parts[:, 0] == k for k in range(plan.models)]
    total = np.array([slopes[own].sum(axis=0, dtype=np.float64) for own in models])
    return np.array([losses[own].sum() for own in models]) / plan.batch_size, total


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", [variant for variant in VARIANTS if variant[0] != ONE_NEURON], ids=variant_id)
def test_one_gradient_to_the_precision_of_its_dtype(variant, dtype):
    """Every shape with every kind of data, against `model.backward` in float64 on the same examples."""
    way, hidden, tied, activation = variant
    seed, step = 2**63 - 1, 2**40
    for n, m, batch in SHAPES:
        rng = np.random.default_rng(batch)
        W, b = starts(n, m, tied, rng)
        for name, source in some_of(sources(way, n, batch, rng), variant):
            plan = a_plan(source, m, activation, hidden, tied, batch, dtype, seed)
            theta = plan.layout.row(W if tied else Weights(*W), b)[0].astype(dtype)
            x, target = plan.batch(batch_key(seed, TRAINING, np.arange(3), step))
            double = theta.astype(float), x.astype(float), target.astype(float)
            importance = source.importance.astype(dtype).astype(float)
            arguments = plan.layout.W(double[0]), plan.layout.b(double[0]), double[1], importance, activation
            loss, *exact = tms.loss_and_gradients(*arguments, hidden=hidden, target=double[2])
            expected = plan.layout.row(*exact)
            got_loss, got = one_gradient(plan, theta, way, step)
            # A sum of N terms is off by at most N roundings of the largest; 8 for the products that make a term. A term
            # may be a sum of n inputs or m neurons itself, and larger than what is left of all of them.
            eps, case = (batch + n + m + 8) * np.finfo(dtype).eps, f"{name}, n={n}, m={m}, batch={batch}"
            np.testing.assert_allclose(got, expected, rtol=0, atol=eps * max(1, abs(expected).max()), err_msg=case)
            np.testing.assert_allclose(got_loss, loss, rtol=eps, err_msg=case)


@pytest.mark.parametrize("variant", [variant for variant in VARIANTS if variant[0] != ONE_NEURON], ids=variant_id)
def test_a_model_that_diverged_leaves_nothing_to_the_next(variant):
    """It fills the buffers of its thread with NaN, and the next model does not fill one panel of them."""
    way, hidden, tied, activation = variant
    rng = np.random.default_rng(0)
    x = np.stack(2 * [rng.uniform(size=(20, 40)) * (rng.uniform(size=(20, 40)) < 0.1)])
    source = tms.Examples(x) if way == fast.FIXED else tms.SparseFeatures(40, np.array([[0.3], [0.01]]))
    plan = a_plan(source, 3, activation, hidden, tied, 20)
    W, b = starts(40, 3, tied, rng)
    theta = plan.layout.row(W if tied else Weights(*W), b)[0][:2]
    theta[1] = theta[0]
    alone = one_gradient(plan, theta, way, 0)
    theta[0] = np.nan
    for value, expected in zip(one_gradient(plan, theta, way, 0), alone, strict=True):
        assert np.isnan(value[0]).any()
        np.testing.assert_array_equal(value[1], expected[1])


@pytest.mark.parametrize("variant", VARIANTS, ids=variant_id)
def test_what_is_not_a_number_stays_visible(variant, monkeypatch):
    """A weight that is NaN makes every output NaN, and no comparison with 0 may turn that into a gradient of 0."""
    way, hidden, tied, activation = variant
    force(monkeypatch, way)
    m, n = (1, 2) if way == ONE_NEURON else (3, 5)
    features = tms.SparseFeatures(n, 0.4)
    source = tms.Examples(features.sample(40, seed=0)) if way == fast.FIXED else features
    plan = a_plan(source, m, activation, hidden, tied, 40)
    W, b = starts(n, m, tied, np.random.default_rng(0))
    theta = plan.layout.row(W if tied else Weights(*W), b)[0, :1]
    theta[0, 0] = np.nan
    saved = SavedState(plan, theta)
    with Threads(1) as threads:
        take = fast.engine(plan, saved, threads)
        take(0, adam.steps(plan.rates, 0, 1, plan.dtype), adam.constants(0.0, plan.dtype), np.array([False]))
    assert np.isnan(plan.layout.b(saved.theta)).all()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_model_that_makes_no_mistake_has_no_loss(activation):
    """To the precision of the loss, not of the sums it is made of: none of them may cancel another."""
    plan = a_plan(tms.SparseFeatures(64, 0.01), 64, activation, batch=1024, dtype="float32")
    assert fast.ways(plan.source, fast._chain(plan), plan.batch_size)[0] == fast.GRAM
    theta = plan.layout.row(np.eye(64, dtype=np.float32), np.zeros(64, np.float32))
    losses = fast.losses(plan, theta[None])
    assert (losses >= 0).all()
    assert (losses < 1e-12).all()


@pytest.mark.parametrize("way", [*NAMES, ONE_NEURON])
@pytest.mark.parametrize("engine", ["numba", "numpy"])
def test_at_the_kink_no_gradient_flows(way, engine, monkeypatch):
    """W = 0 and b = 0 puts every z at exactly 0, where the slope counts as 0: nothing ever moves."""
    force(monkeypatch, way)
    n, m = (2, 1) if way == ONE_NEURON else (3, 2)
    for density in (0.01, 1.0):
        features = tms.SparseFeatures(n, density)
        source = tms.Examples(features.sample(30, seed=0)) if way == fast.FIXED else features
        run = tms.train(source, m, steps=5, seed=0, batch_size=30, engine=engine, initial=(0.0, 0.0))
        assert (run.W == 0).all()
        assert (run.b == 0).all()


# ---------------------------------------------------------------------------------------------------- held-out losses


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", [variant for variant in VARIANTS if variant[0] != ONE_NEURON], ids=variant_id)
def test_held_out_losses_are_those_of_the_definition(variant, dtype, monkeypatch):
    """One set of examples for each model of the stack, the same for all restarts, in a stream of its own."""
    way, hidden, tied, activation = variant
    force(monkeypatch, way)
    for n, m, examples in SHAPES:
        monkeypatch.setattr(fast, "HELD_OUT_EXAMPLES", examples)
        rng = np.random.default_rng(n)
        W, b = (array.astype(dtype) if isinstance(array, np.ndarray) else _in_dtype(array, dtype)
                for array in starts(n, m, tied, rng))  # fmt: skip
        for name, source in some_of(sources(way, n, examples, rng), variant):
            plan = a_plan(source, m, activation, hidden, tied, examples, dtype, seed=77)
            x, target = plan.batch(batch_key(77, HELD_OUT, np.arange(3), 0))
            expected = tms.loss(W, b, x, source.importance, activation, hidden=hidden, target=target)
            got = fast.losses(plan, plan.layout.row(W, b))
            rtol = (examples + n + m + 8) * np.finfo(dtype).eps
            np.testing.assert_allclose(got, expected, rtol=rtol, err_msg=f"{name}, n={n}, m={m}, examples={examples}")


# ---------------------------------------------------------------------------------------------------------- same bits


@pytest.mark.parametrize("by_parts", [False, True], ids=["whole", "parts"])
@pytest.mark.parametrize("way", [*NAMES, ONE_NEURON], ids=lambda way: NAMES.get(way, way))
def test_nothing_but_the_settings_changes_a_bit(way, by_parts, monkeypatch):
    """Not the threads, nor the length of a chunk of steps, nor whether a model is trained alone or in a stack."""
    force(monkeypatch, way, by_parts)
    n, m, batch = (2, 1, 300) if way == ONE_NEURON else (37, 7, 600)
    source = next(iter(sources(way, n, batch, np.random.default_rng(0)).values()))
    arguments = {"features": source, "n_hidden": m, "steps": 9, "batch_size": batch, "restarts": 2, "seed": 4}

    def bits(**more):
        run = tms.train(**arguments, **more)
        return [array.tobytes() for array in (run.W, run.b, run.history, run.loss)]

    first, threads = bits(), numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        assert bits() == first
    finally:
        numba.set_num_threads(threads)
    with monkeypatch.context() as short:
        short.setattr(_pace, "CHUNK_SECONDS", 0)
        assert bits() == first
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        assert bits(executor=executor) == first


# --------------------------------------------------------------------------------------------------- ways and parts


def test_models_of_one_stack_go_their_own_ways():
    """Side by side, so that nothing one leaves in a buffer reaches the next."""
    source = tms.SparseFeatures(70, np.array([0.02, 1.0, 0.05, 0.0005, 0.3, 0.005])[:, None])
    assert {fast.ALL, fast.GRAM} <= set(fast.ways(source, fast._chain(a_plan(source, 8, batch=300)), 300)[0])
    runs = [tms.train(source, 8, steps=20, batch_size=300, restarts=2, seed=3, engine=engine, dtype="float64")
            for engine in ("numpy", "numba")]  # fmt: skip
    np.testing.assert_allclose(runs[0].W, runs[1].W, rtol=0, atol=1e-12)
    np.testing.assert_allclose(runs[0].loss, runs[1].loss, rtol=1e-12)


def test_the_cheapest_way():
    """All examples where most are active, else only those; two n x n matrices for few features of a large model."""

    def way(n, m, density, batch=1024, **model):
        plan = a_plan(tms.SparseFeatures(n, density), m, batch=batch, **model)
        return int(fast.ways(plan.source, fast._chain(plan), batch)[0][0])

    assert way(80, 20, 1.0) == way(80, 20, 0.5) == fast.ALL
    assert way(80, 20, 0.003) == fast.GRAM
    assert way(80, 20, 0.003, hidden="relu") == way(80, 20, 0.003, tied=False) == fast.ACTIVE  # no such matrices
    assert way(400, 30, 0.05) == fast.ACTIVE  # dearer: twenty rows of G for each example
    assert way(2000, 100, 1e-4) == fast.ACTIVE  # G would be 2000 x 2000
    source = tms.Examples(np.ones((10, 3)))
    assert fast.ways(source, fast._chain(a_plan(source, 2)), 10)[0] == fast.FIXED


@pytest.mark.parametrize("batch", [1, 256, 700, 1024, 2**16 + 1])
def test_the_parts_cover_every_batch_once_and_begin_with_blocks(batch):
    way, shared = np.array([fast.ALL, fast.ACTIVE, fast.GRAM, fast.ALL]), np.array([True, True, True, False])
    parts = fast._parts(way, shared, batch, 4)
    for model in range(4):
        own = parts[parts[:, 0] == model]
        assert [first for _, first, _ in own] == [0, *own[:-1, 2]]
        assert own[-1, 2] == batch
        assert (own[:, 1] % BLOCK == 0).all()
        assert len(own) <= (fast.MOST_PARTS_BY_GRAM if way[model] == fast.GRAM else fast.MOST_PARTS)
        assert shared[model] or len(own) == 1


# ------------------------------------------------------------------------------------------------------- plain Python


@pytest.mark.plain_python
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # 32- and 64-bit words are meant to wrap
@pytest.mark.parametrize("by_parts", [False, True], ids=["whole", "parts"])
@pytest.mark.parametrize("way", [*NAMES, ONE_NEURON], ids=lambda way: NAMES.get(way, way))
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_kernels_as_plain_python(way, dtype, by_parts, monkeypatch):
    """Small enough to run without the compiler, where indices are checked and coverage can see."""
    force(monkeypatch, way, by_parts)
    monkeypatch.setattr(fast, "HELD_OUT_EXAMPLES", 64)
    n, m, batch = (2, 1, 21) if way == ONE_NEURON else (5, 3, 260 if by_parts else 21)
    rng = np.random.default_rng(0)
    for source in sources(way, n, batch, rng).values():
        arguments = {"features": source, "n_hidden": m, "steps": 2, "batch_size": batch, "restarts": 2, "seed": 1,
                     "dtype": dtype, "initial": starts(n, m, True, rng), "learning_rate": LEARNING_RATE}  # fmt: skip
        definition, fused = (tms.train(**arguments, engine=engine) for engine in ("numpy", "numba"))
        tolerance = 1e-9 if dtype == "float64" else 1e-4
        np.testing.assert_allclose(fused.W, definition.W, rtol=0, atol=tolerance)
        np.testing.assert_allclose(fused.b, definition.b, rtol=0, atol=tolerance)
