"""Two voices, one meaning: every training kernel against the loop over `model.backward`, on the same random numbers."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

import minitms as tms
from minitms import _fused, _kernels, _one_neuron
from minitms.adam import SCHEDULES
from minitms.features import HELD_OUT, TRAINING, sparse, stream_key, thresholds, uniforms

ACTIVATIONS = ("linear", "relu")
DTYPES = ("float32", "float64")
DENSITIES = (0.0, 0.001, 0.3, 1.0)
# n, m, batch: no multiple of 16; below, around and far above a block, also of active examples (1,900 at density 0.3).
SHAPES = ((1, 1, 1), (2, 1, 66), (5, 2, 19), (37, 7, 270), (1, 3, 1900))
WEIGHT_DECAYS = (0.0, 0.1)
STEPS, LEARNING_RATE = 50, 1e-3

# The ways to train, and the kernels that each calls from Python, and for what.
TASKS = {_kernels.TRAIN: " to train", _kernels.ADD_UP: " to add up", _kernels.SCORE: " to score"}
SCORING = "_kernels.advance to score"
WAYS = {
    "by model": {"_kernels.advance to train"},
    "by part": {"_kernels.advance to add up", "_kernels.finish_step"},
    "one neuron": {"_one_neuron.train_models"},
}
MODULES = {"_kernels": _kernels, "_one_neuron": _one_neuron}


def uneven_parts(features, batch_size, models):
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
    return {f"{module}.{name}" for module, name in called if hasattr(getattr(MODULES[module], name), "py_func")}


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
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize(("n", "m", "batch"), SHAPES)
def test_one_gradient_to_the_precision_of_its_dtype(n, m, batch, density, dtype, activation):
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
        np.uint64(key), 0, batch, _kernels.word_bounds(threshold), _kernels.mark_bits(threshold)[()], threshold,
        reciprocal, W, np.ascontiguousarray(W.T), b, importance, weight, floor, True, True, dW, db,
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
    assert _kernels.stream_key(2**63 - 1, HELD_OUT, 2**40, 2**40) == key
    for first, width in ((0, 100), (33, 100), (2**33, 5)):
        X = np.empty((n, 128), dtype)
        counters, words = np.empty(256, np.uint64), np.empty(256, np.uint64)
        bounds = _kernels.word_bounds(threshold)
        found = _kernels.next_examples(np.uint64(key), first, first + width, bounds, np.uint64(0), words, counters)
        assert found == (width, first + width)
        _kernels.draw(counters, width, threshold, reciprocal, words, X)
        if first + width < 1000:
            u = uniforms(2**63 - 1, HELD_OUT, np.array(2**40), 2**40, first + width, n, dtype)
            assert (X[:, :width].T == sparse(u, density)[first:]).all()
        else:  # far out in the stream the counter still wraps as 64 bits do
            words = n if dtype == "float64" else (n + 1) // 2
            gamma = 0x9E3779B97F4A7C15
            expected = [(int(key) + (first + e) * words * gamma) % 2**64 for e in range(width)]
            assert counters[:width].tolist() == expected


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 4, 7])
def test_the_active_examples_are_all_found_and_no_others(n, dtype):
    """Without drawing any: from random words alone, in as many calls as the room for the list asks for."""
    density = np.random.default_rng(n).uniform(0, 0.8 / n, n)
    threshold, reciprocal = thresholds(density, dtype)
    key, batch = stream_key(5, TRAINING, np.array(0), 0), 3000
    x = sparse(uniforms(5, TRAINING, np.array(0), 0, batch, n, dtype), density)
    active = np.flatnonzero((x > 0).any(axis=-1))
    bounds, bits = _kernels.word_bounds(threshold), _kernels.mark_bits(threshold)[()]
    assert bits != 0
    assert _kernels.mark_bits(np.full(n, 0.5, dtype)) == 0  # most are active: not worth the search
    counters, words = np.empty(256, np.uint64), np.empty(256, np.uint64)
    X, first, found = np.empty((n, 256), dtype), 11, []
    while first < batch:
        count, first = _kernels.next_examples(np.uint64(key), first, batch, bounds, np.uint64(bits), words, counters)
        _kernels.draw(counters, count, threshold, reciprocal, words, X)
        found.append(X[:, :count].T.copy())
    assert max(map(len, found)) <= 256
    np.testing.assert_array_equal(np.concatenate(found), x[active[active >= 11]])


@pytest.mark.plain_python
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # 64-bit words are meant to wrap
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("density", [0.1, 1.0])
def test_the_kernels_as_plain_python(way, dtype, density, monkeypatch):
    """Small enough to run without the compiler, where indices are checked and coverage can see."""
    force(way, monkeypatch)
    monkeypatch.setattr(_fused, "HELD_OUT_EXAMPLES", 64)
    n, m = (2, 1) if way == "one neuron" else (5, 3)
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
