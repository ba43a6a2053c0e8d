"""`train`: records, restarts, snapshots, files, repeatability, and what it says when a run goes wrong."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import warnings
import zipfile
from enum import Enum
from fractions import Fraction

import numpy as np
import pytest

import minitms as tms
from minitms import _pace
from minitms.draws import HELD_OUT, TRAINING, batch_key
from minitms.weights import Weights, both

FIVE = tms.SparseFeatures(n=5, density=0.1, importance=0.9 ** np.arange(5))
# Two densities and three importances: models of a 2-D stack.
GRID = tms.SparseFeatures(n=4, density=[[[0.1]], [[0.4]]], importance=[[[1], [2], [3]]] * np.ones((2, 3, 4)))


def quick(features=FIVE, n_hidden=2, **options):
    few = {"steps": 30, "batch_size": 40, "restarts": 1, "learning_rate": 1e-3, "schedule": "constant", "seed": 0}
    return tms.train(features, n_hidden, **few | options)


def same(first, second):
    """Whether two runs hold the same bits."""
    names = ("W", "b", "loss", "history", "steps")
    return all(getattr(first, name).tobytes() == getattr(second, name).tobytes() for name in names)


# ------------------------------------------------------------------------------------------------ shapes and records


@pytest.mark.parametrize("engine", ["numba", "numpy"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("features", [FIVE, GRID])
def test_shapes_and_dtypes(features, dtype, engine):
    run = quick(features, 3, restarts=2, snapshots=4, engine=engine, dtype=dtype)
    stack, n = (2, *features.stack), features.n
    assert (run.W.shape, run.b.shape, run.loss.shape) == ((*stack, 3, n), (*stack, n), stack)
    assert (run.history.shape, run.steps.shape) == ((*stack, 30), (30,))
    assert (run.snapshots.W.shape, run.snapshots.b.shape) == ((*stack, 4, 3, n), (*stack, 4, n))
    assert run.W.dtype == run.b.dtype == run.snapshots.W.dtype == run.snapshots.b.dtype == dtype
    assert run.loss.dtype == run.history.dtype == np.float64
    best = run.best()
    assert (best.W.shape, best.b.shape, best.loss.shape) == ((*stack[1:], 3, n), (*stack[1:], n), stack[1:])
    assert (best.history.shape, best.snapshots.W.shape) == ((*stack[1:], 30), (*stack[1:], 4, 3, n))


@pytest.mark.parametrize(("steps", "records"), [(1, 1), (7, 7), (200, 200), (201, 200), (1000, 200)])
def test_at_most_200_records_from_the_first_step_to_the_last(steps, records):
    run = quick(steps=steps, batch_size=2)
    assert run.steps.shape == run.history.shape[-1:] == (records,)
    assert (run.steps[0], run.steps[-1]) == (1, steps)
    assert (np.diff(run.steps) > 0).all()
    assert np.diff(run.steps).max(initial=1) <= -(-steps // 199)


@pytest.mark.parametrize("engine", ["numba", "numpy"])
def test_the_history_is_the_loss_of_each_batch_before_its_update(engine):
    steps = 250  # so that not every step is recorded
    run = quick(GRID, steps=steps, restarts=2, snapshots=range(steps), dtype="float64", engine=engine)
    models = np.arange(12).reshape(2, 2, 3)
    for record in (0, 1, 57, 199):
        step = run.steps[record] - 1  # updates done so far
        x = GRID.batch(batch_key(0, TRAINING, models, step), 40, "float64")
        W, b = run.snapshots.W[..., step, :, :], run.snapshots.b[..., step, :]
        expected = tms.loss(W, b, x, GRID.importance)
        np.testing.assert_allclose(run.history[..., record], expected, rtol=1e-12)


def test_the_final_loss_is_taken_on_fresh_examples_the_same_for_all_restarts():
    run = quick(GRID, restarts=3, dtype="float64")
    x = GRID.batch(batch_key(0, HELD_OUT, np.arange(6).reshape(2, 3), 0), 2**16, "float64")
    np.testing.assert_allclose(run.loss, tms.loss(run.W, run.b, x, GRID.importance), rtol=1e-10)


@pytest.mark.parametrize(("activation", "n"), [("linear", 4), ("relu", 2), ("relu", 3)])
def test_the_final_loss_is_exact_where_an_exact_form_is_known(activation, n):
    run = quick(tms.SparseFeatures(n, [[0.2], [0.7]]), 2, activation=activation, restarts=2, dtype="float64")
    exact = tms.expected_loss(run.W, run.b, [[0.2], [0.7]] * np.ones((2, n)), np.ones(n), activation)
    np.testing.assert_allclose(run.loss, exact, rtol=1e-12)


# ----------------------------------------------------------------------------------------------- restarts and starts


def test_best_takes_the_lowest_loss_of_each_model_by_itself():
    run = quick(GRID, restarts=4, snapshots=2)
    best = run.best()
    assert len(set(best.restart.ravel())) > 1  # else the test would not see a choice made for all models at once
    for index in np.ndindex(GRID.stack):
        restart = min(range(4), key=lambda r: run.loss[(r, *index)])
        assert best.restart[index] == restart
        assert best.loss[index] == run.loss[(restart, *index)]
        for name in ("W", "b", "history"):
            assert (getattr(best, name)[index] == getattr(run, name)[(restart, *index)]).all()
        assert (best.snapshots.W[index] == run.snapshots.W[(restart, *index)]).all()
        assert (best.snapshots.b[index] == run.snapshots.b[(restart, *index)]).all()


def test_more_restarts_begin_with_the_fewer_ones():
    few, many = quick(GRID, restarts=2), quick(GRID, restarts=5)
    assert (many.W[:2] == few.W).all()
    assert (many.loss[:2] == few.loss).all()


def test_every_model_starts_somewhere_else_and_sees_other_data():
    four = tms.SparseFeatures(3, np.full((4, 1), 0.5))
    starts = quick(four, 2, restarts=3, snapshots=[0]).snapshots.W.reshape(12, -1)
    assert len(np.unique(starts, axis=0)) == 12
    same_start = quick(four, 2, restarts=3, initial=(np.ones((2, 3)), np.zeros(3)))
    assert len(np.unique(same_start.W.reshape(12, -1), axis=0)) == 12


def test_the_initial_weights_are_xavier_normal_by_each_model_s_own_shape():
    """Standard deviation √(2 / (m + n)), however many models train at once; within 5 standard errors."""
    m, n = 3, 5
    run = quick(tms.SparseFeatures(n, np.full((40, 1), 0.5)), m, steps=1, restarts=50, snapshots=[0], dtype="float64")
    W = run.snapshots.W.ravel() / np.sqrt(2 / (m + n))
    assert abs(W.mean()) <= 5 / np.sqrt(W.size)
    assert abs((W**2).mean() - 1) <= 5 * np.sqrt(2 / W.size)
    assert abs((W**4).mean() - 3) <= 5 * np.sqrt(96 / W.size)
    assert (run.snapshots.b == 0).all()
    neighbours = np.corrcoef(run.snapshots.W.reshape(-1, m * n).T) - np.eye(m * n)
    assert abs(neighbours).max() <= 5 / np.sqrt(2000)


def test_given_initial_weights_broadcast_and_are_left_alone():
    W, b = np.full((2, 5), 0.5), np.arange(5.0)
    run = quick(restarts=3, initial=(W, b), snapshots=[0])
    assert (run.snapshots.W == 0.5).all()
    assert (run.snapshots.b == np.arange(5)).all()
    assert (W == 0.5).all()
    assert (b == np.arange(5)).all()
    each = np.random.default_rng(0).normal(size=(3, 2, 5)).astype(np.float32)
    assert (quick(restarts=3, initial=(each, 0.0), snapshots=[0]).snapshots.W[:, 0] == each).all()


@pytest.mark.parametrize("restarts", [1, 3])
def test_initial_weights_of_a_stack_are_trained_whatever_axis_they_broadcast_along(restarts):
    rng = np.random.default_rng(0)
    four = tms.SparseFeatures(5, np.full((4, 1), 0.5))
    for W, b in (((4, 2, 5), (4, 5)), ((4, 1, 1), (4, 1)), ((restarts, 1, 2, 5), (restarts, 1, 5))):
        initial = rng.normal(size=W) / 2, rng.normal(size=b) / 9
        options = {"restarts": restarts, "dtype": "float64", "initial": initial, "steps": 20, "snapshots": [0, 20]}
        runs = [quick(four, engine=engine, **options) for engine in ("numba", "numpy")]
        np.testing.assert_allclose(runs[0].W, runs[1].W, rtol=1e-9)
        np.testing.assert_allclose(runs[0].b, runs[1].b, rtol=1e-9, atol=1e-12)
        moved = runs[0].snapshots.W[..., 0, :, :] != runs[0].W
        assert moved.any(axis=(-2, -1)).all()


# --------------------------------------------------------------------------------------------------------- snapshots


def test_snapshots_are_the_weights_after_so_many_steps():
    run = quick(GRID, restarts=2, snapshots=[30, 0, 7, 7])
    assert run.snapshots.steps.tolist() == [0, 7, 30]
    assert (run.snapshots.W[..., 2, :, :] == run.W).all()
    assert (run.snapshots.b[..., 2, :] == run.b).all()
    assert (run.snapshots.W[..., 1, :, :] == quick(GRID, restarts=2, steps=7).W).all()


def test_a_number_of_snapshots_is_spread_from_start_to_end():
    assert quick(snapshots=4).snapshots.steps.tolist() == [0, 10, 20, 30]
    assert quick(snapshots=2).snapshots.steps.tolist() == [0, 30]
    last = quick(snapshots=1)
    assert last.snapshots.steps.tolist() == [30]
    assert (last.snapshots.W[..., 0, :, :] == last.W).all()
    assert quick().snapshots is None
    assert quick().best().snapshots is None


@pytest.mark.parametrize("engine", ["numba", "numpy"])
def test_taking_snapshots_changes_no_bit(engine):
    assert same(quick(GRID, snapshots=11, engine=engine), quick(GRID, engine=engine))


# ------------------------------------------------------------------------------------------------------ repeatability


def test_a_seed_repeats_a_run_and_none_draws_one_that_is_kept():
    drawn = quick(seed=None)
    assert drawn.seed != quick(seed=None).seed
    assert same(quick(seed=drawn.seed), drawn)
    assert not same(quick(seed=1), quick(seed=2))
    assert quick(seed=2**63 - 1).seed == 2**63 - 1


@pytest.mark.parametrize("engine", ["numba", "numpy"])
def test_the_lengths_of_the_chunks_change_no_bit(engine, monkeypatch):
    options = {"restarts": 3, "schedule": "cosine", "weight_decay": 0.1, "engine": engine, "steps": 207}
    whole = quick(GRID, **options)
    monkeypatch.setattr(_pace, "CHUNK_SECONDS", 0)
    assert same(quick(GRID, **options), whole)


REPORT = """
import hashlib, warnings
import numpy as np
import minitms as tms

def digest(**options):
    run = tms.train(**{"n_hidden": 2, "steps": 60, "batch_size": 50, "seed": 3} | options)
    arrays = (run.W, run.b, run.loss, run.history)
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()

seven = tms.SparseFeatures(6, np.linspace(0.01, 1, 7)[:, None])
wide = tms.SparseFeatures(60, np.array([[0.3], [0.001], [1.0]]))
for dtype in ("float32", "float64"):
    print(digest(features=seven, restarts=3, dtype=dtype))                  # 21 models, a thread a model
    print(digest(features=seven, restarts=1, dtype=dtype, activation="linear"))
    print(digest(features=wide, n_hidden=20, batch_size=2500, steps=5, dtype=dtype))   # three models share the cores
    print(digest(features=tms.SparseFeatures(200, 0.05), n_hidden=20, batch_size=1000, steps=5, dtype=dtype))
"""


def in_a_fresh_process(code, **environment):
    finished = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, timeout=300
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    return finished.stdout


def test_fresh_processes_with_one_thread_and_with_more_give_the_same_bits():
    """Model counts are divisible by none of the thread counts, so that threads get unequal shares."""
    one, two, three = (in_a_fresh_process(REPORT, NUMBA_NUM_THREADS=str(count)) for count in (1, 2, 3))
    assert one.count("\n") == 8
    assert len(set(one.split())) == 8
    assert one == two == three


# -------------------------------------------------------------------------------------------------- files and reports


@pytest.mark.parametrize("snapshots", [0, 3])
def test_a_saved_run_loads_as_it_was(tmp_path, snapshots):
    run = quick(GRID, restarts=2, snapshots=snapshots)
    run.save(tmp_path / "run.npz")
    loaded = tms.TrainingRun.load(str(tmp_path / "run.npz"))
    assert same(loaded, run)
    assert (loaded.seed, loaded.activation, type(loaded.seed)) == (run.seed, run.activation, int)
    assert loaded.features.n == 4
    assert (loaded.features.density == GRID.density).all()
    assert (loaded.features.importance == GRID.importance).all()
    assert same(quick(loaded.features, restarts=2, seed=loaded.seed), run)
    if snapshots:
        assert (loaded.best().snapshots.W == run.best().snapshots.W).all()
        assert (loaded.snapshots.steps == run.snapshots.steps).all()
    else:
        assert loaded.snapshots is None


def test_a_saved_run_holds_no_pickle_and_no_time(tmp_path):
    run = quick()
    run.save(tmp_path / "first.npz")
    run.save(tmp_path / "second.npz")
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.npz", "second.npz"]
    with zipfile.ZipFile(tmp_path / "first.npz") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    with np.load(tmp_path / "first.npz", allow_pickle=False) as arrays:
        assert all(arrays[name].dtype.kind in "bfiU" for name in arrays)


def test_files_that_hold_no_run_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected a name that ends in \.npz"):
        quick().save(tmp_path / "run.txt")
    with pytest.raises(FileNotFoundError):
        tms.TrainingRun.load(tmp_path / "none.npz")
    quick().save(tmp_path / "run.npz")
    content = (tmp_path / "run.npz").read_bytes()
    damaged = bytearray(content)
    damaged[content.index(b"W.npy") + 45] ^= 0xFF  # a byte of the first array, behind its header
    np.savez(tmp_path / "other.npz", W=np.zeros(3))
    for name, data in (("empty", b""), ("text", b"not a run"), ("cut", content[: len(content) // 2]), ("bad", damaged)):
        (tmp_path / f"{name}.npz").write_bytes(data)
        with pytest.raises(ValueError, match=f"{name}.npz"):
            tms.TrainingRun.load(tmp_path / f"{name}.npz")
    with pytest.raises(ValueError, match=r"other\.npz lacks"):
        tms.TrainingRun.load(tmp_path / "other.npz")


def test_a_run_describes_itself():
    text = repr(quick(GRID, restarts=2))
    assert text.startswith("TrainingRun(6 models x 2 restarts, n=4, m=2, relu, 30 steps, loss ")
    assert text.endswith("seed=0)")
    assert "1 model x 1 restarts" in repr(quick())


def test_nothing_is_printed_without_a_terminal(capfd):
    quick(steps=3000)
    assert capfd.readouterr() == ("", "")


def test_a_bar_is_shown_on_request(capfd, monkeypatch):
    monkeypatch.setattr(_pace, "SHOWN_AFTER", 0)
    monkeypatch.setattr(_pace, "CHUNK_SECONDS", 0)
    quick(progress=True)
    shown = capfd.readouterr()
    assert "steps" in shown.err
    assert shown.out == ""
    quick(progress=False)
    assert capfd.readouterr() == ("", "")


# ------------------------------------------------------------------------------------------------ runs that go wrong


def test_models_learn():
    """Far below the best constant answer, v = s/3 - s²/4 a feature, whatever the engine."""
    v = 0.05 / 3 - 0.05**2 / 4
    options = {"steps": 400, "batch_size": 200, "learning_rate": 1e-2, "restarts": 3}
    for engine in ("numba", "numpy"):
        run = quick(tms.SparseFeatures(5, 0.05), engine=engine, **options)
        assert run.best().loss < 0.7 * 5 * v


@pytest.mark.parametrize("engine", ["numba", "numpy"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's own, on the way to infinity
def test_weights_that_leave_the_numbers_are_an_error_with_model_and_step(engine):
    initial = np.ones((1, 2, 2, 4))
    initial[0, 1] = 1e30  # the second of two models: its loss is beyond float32
    two = tms.SparseFeatures(4, [[0.5], [0.5]])
    with pytest.raises(tms.DivergenceError, match=r"model \(0, 1\) .* not finite.* step .*1 of 2 models"):
        quick(two, initial=(initial, 0.0), engine=engine)
    assert issubclass(tms.DivergenceError, ArithmeticError)


def test_a_final_loss_above_that_of_a_constant_is_an_error_with_model_and_step():
    with pytest.raises(tms.DivergenceError, match=r"model \(0,\) ended after step 30 .* 1\.5 times"):
        quick(learning_rate=10.0)


def test_models_that_do_nothing_are_named():
    """All outputs are dead, no gradient flows, and the loss is that of y = 0."""
    initial_b = np.zeros((2, 3, 4))
    initial_b[1, 2] = -1
    sparse_ones = tms.SparseFeatures(4, np.full((3, 1), 0.1))
    W = np.random.default_rng(0).normal(size=(2, 4)) / 2
    with pytest.warns(UserWarning, match=r"1 of 6 models ended no better .*: \(1, 2\)"):
        quick(sparse_ones, restarts=2, steps=200, learning_rate=1e-2, initial=(W, initial_b))


def test_a_density_of_zero_is_allowed():
    """No gradient reaches W, only b moves, and there is nothing to do better than a constant at."""
    start = np.ones((2, 3)), np.full(3, 0.5)
    for activation in ("linear", "relu"):
        features = tms.SparseFeatures(3, 0.0)
        run = quick(features, activation=activation, steps=3000, learning_rate=1e-2, initial=start)
        assert (run.W == 1).all()
        output = np.maximum(run.b, 0) if activation == "relu" else run.b
        assert abs(output).max() < 1e-3


def test_weight_decay_shrinks_what_no_gradient_reaches():
    run = quick(tms.SparseFeatures(3, 0.0), learning_rate=0.01, weight_decay=0.5, initial=(np.ones((2, 3)), 0.0))
    np.testing.assert_allclose(run.W, (1 - 0.01 * 0.5) ** 30, rtol=1e-5)


INTERRUPTED = """
import threading
import minitms as tms
features = tms.SparseFeatures({n}, 0.05)
def go(steps):
    tms.train(features, {m}, steps=steps, batch_size={batch}, restarts={restarts}, seed=0)
go(2)
threading.Timer(0.5, lambda: print("training", flush=True)).start()
go(10**7)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for a child alone")
@pytest.mark.parametrize(("n", "m", "batch", "restarts"), [(400, 30, 1024, 1), (5, 2, 64, 1), (5, 2, 1024, 100)])
def test_ctrl_c_is_answered(n, m, batch, restarts):
    """Ten million steps take hours: were a kernel to hold on to the end, the wait below would run out."""
    code = INTERRUPTED.format(n=n, m=m, batch=batch, restarts=restarts)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "training\n"
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    said = r"KeyboardInterrupt: stopped after step \d+ of 10000000, and what was trained is lost; with checkpoint="
    assert re.search(said, errors)
    assert process.returncode != 0


# --------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"features": np.ones(5)}, TypeError, r"expected SparseFeatures\(n, density, importance\)"),
        ({"n_hidden": 0}, ValueError, "n_hidden is 0; expected at least 1"),
        ({"n_hidden": 2.0}, TypeError, r"n_hidden is 2\.0"),
        ({"activation": "tanh"}, ValueError, "activation is 'tanh'; expected one of"),
        ({"engine": "torch"}, ValueError, "engine is 'torch'; expected one of 'numba', 'numpy'"),
        ({"schedule": "step"}, ValueError, "schedule is 'step'; expected one of 'constant', 'linear', 'cosine'"),
        ({"dtype": "float16"}, ValueError, "dtype is 'float16'"),
        ({"steps": 0}, ValueError, "steps is 0; expected at least 1"),
        ({"steps": 1e4}, TypeError, r"steps is 10000\.0"),
        ({"batch_size": -1}, ValueError, "batch_size is -1"),
        ({"batch_size": 2**30}, ValueError, "batch_size is 1073741824 with 5 features; expected at most 2\\^31 / n"),
        ({"restarts": 0}, ValueError, "restarts is 0"),
        ({"learning_rate": 0}, ValueError, "learning_rate is 0; expected a finite number above 0"),
        ({"learning_rate": np.nan}, ValueError, "learning_rate is nan"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate is 'fast'"),
        ({"weight_decay": -0.1}, ValueError, r"weight_decay is -0\.1; expected a finite number of at least 0"),
        ({"seed": -1}, ValueError, "seed is -1"),
        ({"seed": 2**63}, ValueError, r"expected an int in \[0, 2\*\*63\)"),
        ({"seed": 1.5}, TypeError, r"seed is 1\.5"),
        ({"initial": np.ones((2, 5))}, TypeError, r"initial is ndarray; expected a pair \(W, b\)"),
        ({"initial": 3}, TypeError, r"initial is int; expected a pair \(W, b\)"),
        ({"initial": (np.ones((3, 5)), 0)}, ValueError, r"initial W has shape \(3, 5\); .* broadcasts to \(1, 2, 5\)"),
        ({"initial": (np.ones((2, 5)), np.ones(4))}, ValueError, r"initial b has shape \(4,\)"),
        ({"initial": (np.full((2, 5), np.nan), 0)}, ValueError, "initial W holds nan"),
        ({"snapshots": -1}, ValueError, "snapshots is -1"),
        ({"snapshots": [5, 31]}, ValueError, "a snapshot is wanted after step 31; the run has 30 steps"),
        ({"snapshots": [0.5]}, TypeError, r"a snapshot's step is 0\.5"),
        ({"snapshots": [5, 2**63]}, ValueError, "a snapshot's step is 9223372036854775808; expected at most"),
        ({"snapshots": [[1, 2], [3]]}, ValueError, "snapshots is no array"),
        ({"steps": 10**400}, ValueError, "steps is 1000.*expected at most 9223372036854775807"),
        ({"learning_rate": 10**400}, ValueError, "learning_rate is 1000.*expected a finite number above 0"),
        ({"learning_rate": Fraction(1, 10**400)}, ValueError, "expected a finite number above 0"),
        ({"initial": Weights(np.ones((2, 5)), np.ones((2, 5)))}, TypeError, r"expected \(\(encoder, decoder\), b\)"),
    ],
)
def test_bad_arguments(wrong, error, message):
    arguments = {"features": FIVE, "n_hidden": 2, "steps": 30, "batch_size": 4, "restarts": 1, "seed": 0} | wrong
    with pytest.raises(error, match=message):
        tms.train(**arguments)


OTHER_RUNS = {
    "m": (FIVE, 1, 2, "W (1, 5)"), "n": (tms.SparseFeatures(1, 0.5), 2, 2, "W (2, 1)"),
    "stack": (tms.SparseFeatures(5, np.full((2, 1), 0.5)), 2, 2, "a stack (2,)"),
    "restarts": (FIVE, 2, 3, "3 restarts"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_RUNS)
def test_a_run_of_other_models_is_no_start(name):
    """Its arrays might broadcast all the same, with restarts for models or one neuron for two."""
    features, m, restarts, said = OTHER_RUNS[name]
    run = tms.train(features, m, steps=2, restarts=restarts, seed=1)
    with pytest.raises(ValueError, match=re.escape(said) + ".*; expected 1 or 2 restarts of a stack"):
        tms.train(FIVE, 2, steps=2, restarts=2, seed=0, initial=run)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("restarts", [1, 2])
def test_a_run_of_one_model_starts_every_model_of_a_stack(restarts, tied):
    one = tms.train(FIVE, 2, steps=2, restarts=restarts, seed=1, tied=tied)
    features = tms.SparseFeatures(5, np.full((2, 1), 0.5))
    run = tms.train(features, 2, steps=2, restarts=2, seed=0, tied=tied, initial=one, snapshots=[0])
    for start, weights in zip(both(run.snapshots.W), both(one.W), strict=True):
        for restart, model in np.ndindex(2, 2):
            assert (start[restart, model, 0] == weights[restart % restarts]).all()


@pytest.mark.parametrize("seed", [False, np.array([1, 2])], ids=str)
def test_a_seed_is_checked_before_it_is_compared_with_that_of_the_initial_run(seed):
    run = tms.train(FIVE, 2, steps=2, restarts=1, seed=0)
    with pytest.raises(TypeError, match=r"seed is .*; expected a whole number"):
        tms.train(FIVE, 2, steps=2, seed=seed, initial=run)


def test_a_final_loss_that_is_no_number_is_an_error():
    """One step too large: the loss that is recorded is from before it."""
    with pytest.raises(tms.DivergenceError, match=r"after step 1 with loss (nan|inf) \(2 of 2 models\)"):
        tms.train(FIVE, 2, steps=1, learning_rate=1e30, restarts=2, seed=0)


class Words(str, Enum):  # noqa: UP042 (a StrEnum would be written as the word)
    RELU = "relu"


def test_a_word_is_kept_as_what_can_be_read_back(tmp_path):
    run = tms.train(FIVE, 2, hidden=Words.RELU, activation=Words.RELU, steps=2, restarts=1, seed=0)
    run.save(tmp_path / "run.npz")
    assert tms.TrainingRun.load(tmp_path / "run.npz").hidden == "relu"


@pytest.mark.parametrize(
    "wrong",
    [
        {"restarts": 10**12},
        {"n_hidden": 10**12},
        {"snapshots": 10**13, "steps": 10**14},
        {"batch_size": 4 * 10**8, "engine": "numpy"},
        {"batch_size": 4 * 10**8, "n_hidden": 10, "tied": False},
        {"features": tms.SparseFeatures(10**6, 0.1), "engine": "numpy", "batch_size": 1},  # what the final loss takes
        {"steps": 10**15},
    ],
)
def test_more_than_fits_in_memory_is_refused_before_any_work(wrong):
    with pytest.raises(ValueError, match=r"need [\d,.]+ GiB, and this machine has [\d,.]+ GiB"):
        tms.train(**{"features": FIVE, "n_hidden": 2, "seed": 0} | wrong)


def test_warnings_point_at_the_caller():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        quick(steps=200, learning_rate=1e-2, initial=(0.0, -1.0))
    assert [warning.filename for warning in caught] == [__file__]
