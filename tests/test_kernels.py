"""Two voices, one meaning: every training kernel against the loop over `model.backward`, on the same random numbers."""

from __future__ import annotations

import itertools
import math
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import minitms as tms
from minitms import _draw, _fused, _kernels, _one_neuron
from minitms.adam import SCHEDULES
from minitms.features import HELD_OUT, TRAINING, sparse, stream_key, thresholds, uniforms

ACTIVATIONS = ("linear", "relu")
DTYPES = ("float32", "float64")
DENSITIES = (0.0, 0.001, 0.3, 1.0)
# n, m, batch: no multiple of 16; below, around and far above a block, also of active examples (1,900 at density 0.3).
SHAPES = ((1, 1, 1), (2, 1, 66), (5, 2, 19), (37, 7, 270), (1, 3, 1900), (70, 8, 270))
# What a gradient is computed from: all is for every density, a search only for those below 1/2.
WAYS_BY_DENSITY = [
    (way, density)
    for way in (_kernels.ALL, _kernels.ACTIVE_EXAMPLES, _kernels.ACTIVE_VALUES)
    for density in DENSITIES
    if way == _kernels.ALL or density < 0.5
]
WEIGHT_DECAYS = (0.0, 0.1)
STEPS, LEARNING_RATE = 50, 1e-3

# The ways to train, and the kernels that each calls from Python, and for what.
TASKS = {_kernels.TRAIN: " to train", _kernels.ADD_UP: " to add up", _kernels.SCORE: " to score"}
SCORING = "_kernels.advance to score"
WAYS = {
    "by model": {"_kernels.advance to train"},
    "by part": {"_kernels.advance to add up", "_kernels.finish_step"},
    "one neuron": {"_one_neuron.train_rows"},
}
MODULES = {"_kernels": _kernels, "_one_neuron": _one_neuron}


def uneven_parts(n, way, batch_size, models):
    """Every batch in up to three parts of different sizes."""
    cuts = sorted({0, batch_size // 7, batch_size // 2, batch_size})
    return np.array([(k, first, last) for k in range(models) for first, last in itertools.pairwise(cuts)])


@pytest.fixture
def kernels_called(monkeypatch):
    """The names of the kernels that are called from Python, as they are called."""
    called = set()

    def watched(name, kernel):
        def call(*arguments):
            called.add(name + (TASKS[arguments[4]] if name == "_kernels.advance" else ""))
            return kernel(*arguments)

        return call

    for name in entry_points():
        module, kernel = name.split(".")
        monkeypatch.setattr(MODULES[module], kernel, watched(name, getattr(MODULES[module], kernel)))
    return called


def entry_points():
    """Every kernel that training calls."""
    called = re.findall(r"\b(_kernels|_one_neuron)\.([a-z]\w*)", Path(_fused.__file__).read_text(encoding="utf-8"))
    plain = {"_kernels.ways", "_kernels.buffers"}  # no kernels
    return {f"{module}.{name}" for module, name in called} - plain


def force(way, monkeypatch):
    if way == "by part":
        monkeypatch.setattr(_fused, "LARGE_STEP", 0)
        monkeypatch.setattr(_fused, "FEW_MODELS", 100)
        monkeypatch.setattr(_fused, "_parts", uneven_parts)
    else:
        monkeypatch.setattr(_fused, "FEW_MODELS", 0)


def a_stack(n, m, density, rng):
    """Three models with different importances, and initial weights with a bias: a zero one hides mistakes."""
    importance = rng.uniform(0.2, 2, (3, n))
    initial = rng.normal(size=(2, 3, m, n)) / 2, rng.normal(size=(2, 3, n)) / 3
    return tms.SparseFeatures(n, density, importance), initial


def case_id(case):
    return "-".join("x".join(map(str, value)) if isinstance(value, tuple) else str(value) for value in case)


TABLE = [
    case
    for case in itertools.product(WAYS, ACTIVATIONS, DTYPES, SHAPES, DENSITIES, SCHEDULES, WEIGHT_DECAYS)
    if (case[0] == "one neuron") == (case[3][:2] == (2, 1))
    and not (case[0] == "by part" and case[3][2] == 1)  # one example cannot be cut
]


@pytest.mark.parametrize("case", TABLE, ids=case_id)
def test_a_kernel_trains_as_the_definition_does(case, monkeypatch, kernels_called):
    way, activation, dtype, (n, m, batch), density, schedule, weight_decay = case
    force(way, monkeypatch)
    rng = np.random.default_rng(n)
    features, initial = a_stack(n, m, density, rng)
    arguments = {
        "features": features, "n_hidden": m, "activation": activation, "steps": STEPS, "batch_size": batch,
        "learning_rate": LEARNING_RATE, "schedule": schedule, "weight_decay": weight_decay, "restarts": 2,
        "seed": 5, "dtype": dtype, "initial": initial,
    }  # fmt: skip
    monkeypatch.setattr(_fused, "HELD_OUT_EXAMPLES", 1000)
    definition = tms.train(**arguments, engine="numpy")
    assert kernels_called <= {SCORING}
    fused = tms.train(**arguments, engine="numba")
    assert kernels_called - {SCORING} == WAYS[way]
    assert fused.W.dtype == fused.b.dtype == dtype

    # Adam moves a weight by at most about η a step: a wrong gradient goes astray by a good part of that path. In
    # float32 a gradient near 0 may round to either sign, which is worth a few steps.
    path = LEARNING_RATE * STEPS
    atol, rtol = (1e-9, 1e-9) if dtype == "float64" else (0.02 * path, 1e-3)
    np.testing.assert_allclose(fused.W, definition.W, rtol=0, atol=atol)
    np.testing.assert_allclose(fused.b, definition.b, rtol=0, atol=atol)
    np.testing.assert_allclose(fused.history, definition.history, rtol=rtol, atol=rtol * definition.history.max())
    np.testing.assert_allclose(fused.loss, definition.loss, rtol=rtol, atol=rtol * definition.loss.max())
    if density > 0.1 or weight_decay:
        assert abs(definition.W - initial[0].astype(dtype)).max() > 0.001 * path  # it did move


def test_the_table_computes_in_every_way():
    """Each from the densities and shapes themselves, as training chooses."""
    chosen = {int(_kernels.ways(np.full((1, n), s), m, batch)[0]) for n, m, batch in SHAPES for s in DENSITIES}
    assert chosen == {way for way, _ in WAYS_BY_DENSITY}


@pytest.mark.parametrize("n", [5, 70, 400, 900])
@pytest.mark.parametrize("batch", [1, 256, 700, 1024])
def test_the_parts_cover_every_batch_once(n, batch):
    way = np.array([_kernels.ALL, _kernels.ACTIVE_EXAMPLES, _kernels.ACTIVE_VALUES])
    parts = _fused._parts(n, way, batch, 4)
    for model in range(4):
        examples = [e for k, first, last in parts if k == model for e in range(first, last)]
        assert examples == list(range(batch))


def test_models_of_one_stack_go_their_own_ways():
    """Side by side, so that nothing one leaves in a buffer reaches the next."""
    density = np.array([0.02, 1.0, 0.05, 0.002, 0.3])[:, None]
    assert set(_kernels.ways(np.broadcast_to(density, (5, 70)), 8, 300)) == {_kernels.ALL, _kernels.ACTIVE_VALUES}
    features = tms.SparseFeatures(70, density)
    runs = [tms.train(features, 8, steps=20, batch_size=300, restarts=2, seed=3, engine=engine, dtype="float64")
            for engine in ("numpy", "numba")]  # fmt: skip
    np.testing.assert_allclose(runs[0].W, runs[1].W, rtol=0, atol=1e-12)
    np.testing.assert_allclose(runs[0].loss, runs[1].loss, rtol=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_model_that_makes_no_mistake_has_no_loss(activation):
    """To the precision of the loss, not of the sums it is made of: none of them may cancel another."""
    features = tms.SparseFeatures(64, 0.01)
    assert _kernels.ways(features.density[None], 64, 1024) == _kernels.ACTIVE_VALUES
    W, b = np.eye(64, dtype=np.float32)[None], np.zeros((1, 64), np.float32)
    losses = _fused.held_out_losses(W, b, features, activation, seed=0)
    assert (losses >= 0).all()
    assert (losses < 1e-12).all()


def test_every_training_kernel_is_in_the_table():
    """A kernel that training calls and the table does not know would be tied to nothing."""
    assert entry_points() == {name.split(" ")[0] for name in set.union(*WAYS.values()) | {SCORING}}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize(("n", "m", "examples"), SHAPES)
def test_held_out_losses_are_those_of_the_definition(n, m, examples, density, dtype, activation, monkeypatch):
    """One set of examples for each model of the stack, the same for all restarts, in a stream of its own."""
    monkeypatch.setattr(_fused, "HELD_OUT_EXAMPLES", examples)
    features, (W, b) = a_stack(n, m, density, np.random.default_rng(n))
    W, b = W.astype(dtype), b.astype(dtype)
    x = sparse(uniforms(77, HELD_OUT, np.arange(3), 0, examples, n, dtype), features.density)
    expected = tms.loss(W, b, x, features.importance, activation)
    got = _fused.held_out_losses(W, b, features, activation, seed=77)
    np.testing.assert_allclose(got, expected, rtol=(examples + n + m + 8) * np.finfo(dtype).eps)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("way", "density"), WAYS_BY_DENSITY)
@pytest.mark.parametrize(("n", "m", "batch"), SHAPES)
def test_one_gradient_to_the_precision_of_its_dtype(way, n, m, batch, density, dtype, activation):
    rng = np.random.default_rng(batch)
    W, b = (rng.normal(size=(m, n)) / 2).astype(dtype), (rng.normal(size=n) / 3).astype(dtype)
    importance = rng.uniform(0.2, 2, n).astype(dtype)
    seed, model, step = 12345678901234567, 3, 17
    x = sparse(uniforms(seed, TRAINING, np.array(model), step, batch, n, dtype), np.full(n, density))
    exact = tms.loss_and_gradients(*(array.astype(float) for array in (W, b, x, importance)), activation)

    key = stream_key(seed, TRAINING, np.array(model), step)
    dW, db = np.empty_like(W), np.empty_like(b)
    threshold, reciprocal = thresholds(np.full(n, density), dtype)
    weight = importance * np.dtype(dtype).type(2 / batch)
    floor = np.dtype(dtype).type(0 if activation == "relu" else -np.inf)
    total = _kernels.gradient(
        np.uint64(key), 0, batch, way, _draw.word_bounds(threshold), threshold, reciprocal, W,
        np.ascontiguousarray(W.T), b, importance, weight, floor, False,
        _kernels.buffers(m, n, np.array([way]), dtype), dW, db,
    )  # fmt: skip
    # A sum of N terms is off by at most N roundings of the largest; 8 for the products that make a term.
    for got, expected in zip((total / batch, dW, db), exact, strict=True):
        tolerance = (batch + n + m + 8) * np.finfo(dtype).eps * max(1.0, abs(expected).max())
        assert abs(got - expected).max() <= tolerance


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 4, 7])
def test_the_kernels_draw_the_bits_of_the_definition(n, dtype):
    density = np.random.default_rng(n).uniform(0.1, 1, n)
    threshold, reciprocal = thresholds(density, dtype)
    key = stream_key(2**63 - 1, HELD_OUT, np.array(2**40), 2**40)
    assert _draw.stream_key(2**63 - 1, HELD_OUT, 2**40, 2**40) == key
    x = sparse(uniforms(2**63 - 1, HELD_OUT, np.array(2**40), 2**40, 2000, n, dtype), density)
    for first, width in ((0, 100), (33, 128), (1990, 1)):
        X = np.full((n, 128), np.nan, dtype)
        _draw.draw(np.uint64(key), first, width, threshold, reciprocal, X)
        np.testing.assert_array_equal(X[:, :width].T, x[first : first + width])
        assert np.isnan(X[:, width:]).all()


def found(key, first, count, density, dtype, looser=1):
    """What `find_active` lists, put back into a batch. Its bounds may be looser than need be by a factor."""
    n = density.size
    threshold, reciprocal = thresholds(density, dtype)
    *_, start, who, value, words, _ = _kernels.buffers(1, n, np.array([_kernels.ACTIVE_EXAMPLES]), dtype)
    bounds = _draw.word_bounds(looser * threshold)
    _draw.find_active(np.uint64(key), first, count, bounds, threshold, reciprocal, words, who, value, start)
    x = np.zeros((count, n), dtype)
    for i in range(n):
        listed = slice(start[i], start[i + 1])
        assert (np.diff(who[listed]) > 0).all()  # each once, in the order of the examples
        x[who[listed], i] = value[listed]
    return x


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("largest", [1e-3, _draw.RARE, 0.1, 0.499])
@pytest.mark.parametrize("looser", [1, 1.5])
def test_the_active_features_are_all_found_and_no_others(looser, largest, dtype):
    """Below and above the density where groups of examples are looked at first, and with the largest words."""
    n, examples = 7, 40_000
    density = np.random.default_rng(0).uniform(0, largest, n)
    density[:2] = 0, largest
    key = stream_key(5, TRAINING, np.array(0), 0)
    x = sparse(uniforms(5, TRAINING, np.array(0), 0, examples, n, dtype), density)
    listed = 0
    for count in (_draw.BLOCK, _draw.SEARCH + 1, 3):
        for first in range(0, examples - count, 4 * count if count > 3 else 400):
            got = found(key, first, count, density, dtype, looser)
            np.testing.assert_array_equal(got, x[first : first + count])
            listed += (got > 0).sum()
    assert listed > 30


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_first_word_of_an_active_feature_is_above_its_bound(dtype):
    """By the definition, from its largest active u downwards. Densities near 1/2 are the hardest: 32 bits must do."""
    bits, one = (24, 2**24) if dtype == "float32" else (53, 2**53)
    for density in np.array([0, 2.0**-24, 2.0**-12 + 2.0**-24, 0.3, 0.5 - 2.0**-24], dtype):
        bound = int(_draw.word_bounds(np.array([density], dtype))[0])
        limit = Fraction(float(density)) * one  # k is active iff k < limit
        k = math.ceil(limit) - 1
        first_word = (k << 8 | 0xFF) if dtype == "float32" else (k >> (bits - 27)) << 5 | 0x1F
        assert first_word < bound <= 2**31 or k < 0 == bound
        assert bound - max(first_word, 0) <= 2**8


def test_the_cheapest_way_by_density():
    """All values where most examples are active, lists where few features are; never lists for densities of 1/2."""
    density = np.array([1.0, 0.5, 0.1, 0.05, 0.01])[:, None]
    of = _kernels
    assert of.ways(np.broadcast_to(density, (5, 80)), 20, 1024).tolist() == [
        of.ALL, of.ALL, of.ALL, of.ACTIVE_VALUES, of.ACTIVE_VALUES
    ]  # fmt: skip
    assert of.ways(np.broadcast_to(density, (5, 20)), 5, 256).tolist() == [of.ALL] * 4 + [of.ACTIVE_EXAMPLES]
    assert of.ways(np.full((1, 2000), 1e-3), 100, 1024).tolist() == [of.ALL]  # G would be 2000 x 2000
    assert of.ways(np.array([[0.001] * 99 + [0.5]]), 20, 1024).tolist() == [of.ALL]


@pytest.mark.plain_python
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # 64-bit words are meant to wrap
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "m", "density"), [(5, 3, 0.02), (5, 3, 1.0), (64, 8, 0.02)])
def test_the_kernels_as_plain_python(way, dtype, n, m, density, monkeypatch):
    """Small enough to run without the compiler, where indices are checked and coverage can see."""
    force(way, monkeypatch)
    monkeypatch.setattr(_fused, "HELD_OUT_EXAMPLES", 64)
    n, m = (2, 1) if way == "one neuron" else (n, m)
    features, initial = a_stack(n, m, density, np.random.default_rng(0))
    arguments = {
        "features": features, "n_hidden": m, "steps": 3, "batch_size": 21, "restarts": 2, "seed": 1, "dtype": dtype,
        "initial": initial,
    }  # fmt: skip
    definition, fused = (tms.train(**arguments, engine=engine) for engine in ("numpy", "numba"))
    tolerance = 1e-9 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(fused.W, definition.W, rtol=0, atol=tolerance)
    np.testing.assert_allclose(fused.b, definition.b, rtol=0, atol=tolerance)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("density", [0.01, 1.0])
@pytest.mark.parametrize("engine", ["numba", "numpy"])
def test_at_the_kink_no_gradient_flows(way, density, engine, monkeypatch):
    """W = 0 and b = 0 puts every z at exactly 0, where the slope counts as 0: nothing ever moves."""
    force(way, monkeypatch)
    n, m = (2, 1) if way == "one neuron" else (3, 2)
    features = tms.SparseFeatures(n, density)
    run = tms.train(features, m, steps=5, batch_size=30, seed=0, engine=engine, initial=(0.0, 0.0))
    assert (run.W == 0).all()
    assert (run.b == 0).all()
