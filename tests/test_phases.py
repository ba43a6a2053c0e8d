"""The sweep: bits that depend on nothing but the settings, what it measures, and what it refuses."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

import minitms as tms
from minitms import _pace, phases
from minitms.diagram import CLASSES

ROOT = Path(__file__).resolve().parent.parent
# 15 rows of 7 models: no multiple of the threads, nor of the lanes.
SMALL = {
    "densities": np.array([0.0, 0.01, 0.1, 0.4, 1.0]), "importances": np.geomspace(0.1, 10, 7), "restarts": 3,
    "steps": 40, "batch_size": 13, "seed": 5, "progress": False,
}  # fmt: skip


def same(a, b):
    for name in ("W", "b", "loss", "history", "steps"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), strict=True)


@pytest.fixture(scope="module")
def small():
    return tms.phase_diagram(**SMALL)


@pytest.fixture(scope="module")
def exact():
    """A diagram with the right answers in it, without the noise of sampling."""
    grid = np.geomspace(0.01, 1, 25), np.geomspace(0.1, 10, 24)
    return tms.phase_diagram(*grid, method="expected", restarts=24, seed=0)


# ---------------------------------------------------------------------------------------------- one sweep, same bits


@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_a_column_is_what_train_makes_of_its_densities(activation):
    """Every importance by itself through the loop over `model.backward`: same data, same start, same place."""
    diagram = tms.phase_diagram(**SMALL | {"activation": activation})
    sweep = phases._Sweep(SMALL["densities"], SMALL["importances"], activation, "sampled", 3, 40, 13, 1e-2, 5)
    W, b = phases._initial_weights(sweep, 0, diagram.loss.size)
    W, b = W.reshape(diagram.W.shape), b.reshape(diagram.b.shape)
    histories = []
    for i, r in enumerate(SMALL["importances"]):
        run = tms.train(
            tms.SparseFeatures(2, SMALL["densities"][:, None], [1, r]), 1, activation, steps=40, batch_size=13,
            schedule="constant", restarts=3, seed=5, engine="numpy", dtype="float32", initial=(W[:, :, i], b[:, :, i]),
        )  # fmt: skip
        np.testing.assert_allclose(diagram.W[:, :, i], run.W, atol=1e-5)
        np.testing.assert_allclose(diagram.b[:, :, i], run.b, atol=1e-5)
        histories.append(run.history.mean(axis=(0, 1)))
    np.testing.assert_array_equal(diagram.steps, np.arange(1, 41))
    np.testing.assert_allclose(diagram.history, np.mean(histories, axis=0), rtol=1e-5)
    assert abs(diagram.W - W).max() > 0.1


def test_initial_weights_of_ones_own(small):
    """The usual ones, given by hand, lead to the same models, each in its place."""
    sweep = phases._Sweep(SMALL["densities"], SMALL["importances"], "relu", "sampled", 3, 40, 13, 1e-2, 5)
    W, b = phases._initial_weights(sweep, 0, 105)
    same(tms.phase_diagram(**SMALL, initial=(W.reshape(3, 5, 7, 1, 2), b.reshape(3, 5, 7, 2))), small)
    assert len(sweep.chunks()) > 1


def test_losses_are_the_exact_ones(small):
    density = np.broadcast_to(SMALL["densities"][:, None, None], (5, 7, 2))
    importance = np.stack(np.broadcast_arrays(1.0, SMALL["importances"]), axis=-1)
    expected = tms.expected_loss(small.W, small.b, density, importance, "relu")
    np.testing.assert_allclose(small.loss, expected, rtol=1e-14)


def test_at_density_0_only_the_bias_moves(small):
    sweep = phases._Sweep(SMALL["densities"], SMALL["importances"], "relu", "sampled", 3, 40, 13, 1e-2, 5)
    W, b = (array.reshape(3, 5, 7, -1) for array in phases._initial_weights(sweep, 0, 105))
    np.testing.assert_array_equal(small.W[:, 0].reshape(3, 7, 2), W[:, 0].astype(np.float32))
    moved = small.b[:, 0] != b[:, 0].astype(np.float32)
    np.testing.assert_array_equal(moved, b[:, 0] > 0)
    assert (small.classes[0] == "neither").all()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("rows_a_chunk", [2, 100])
def test_neither_chunks_nor_threads_change_a_bit_of_a_model(threads, rows_a_chunk, monkeypatch, small):
    monkeypatch.setattr(phases, "CHUNKS", 1 / rows_a_chunk)
    monkeypatch.setattr(phases, "CHUNK_MODELS", 7 * rows_a_chunk)
    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, before))
    try:
        other = tms.phase_diagram(**SMALL)
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(other.W, small.W)
    np.testing.assert_array_equal(other.b, small.b)
    np.testing.assert_allclose(other.history, small.history, rtol=1e-13)  # a sum over other chunks


def test_a_long_row_is_cut_too(monkeypatch, small):
    monkeypatch.setattr(phases, "CHUNK_MODELS", 3)
    sweep = phases._Sweep(SMALL["densities"], SMALL["importances"], "relu", "sampled", 3, 40, 13, 1e-2, 5)
    assert sweep.chunks()[:4] == [(0, 3), (3, 6), (6, 7), (7, 10)]
    other = tms.phase_diagram(**SMALL)
    np.testing.assert_array_equal(other.W, small.W)
    np.testing.assert_array_equal(other.loss, small.loss)


@pytest.mark.parametrize("seconds", [0, 3e3])
def test_how_often_we_look_at_ctrl_c_changes_no_bit(seconds, monkeypatch, small):
    monkeypatch.setattr(_pace, "CHUNK_SECONDS", seconds)
    same(tms.phase_diagram(**SMALL), small)


def fingerprint():
    """Printed by processes that `test_fresh_processes_give_the_same_bits` starts."""
    diagram = tms.phase_diagram(**SMALL)
    return [diagram.W.sum().hex(), diagram.b.sum().hex(), diagram.loss.sum().hex(), diagram.history.sum().hex()]


@pytest.mark.parametrize("threads", ["1", "2"])
def test_fresh_processes_give_the_same_bits(threads):
    path = [str(ROOT), str(ROOT / "tests")]
    code = f"import sys; sys.path[:0] = {path}; import test_phases as t; print(t.fingerprint())"
    output = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"NUMBA_NUM_THREADS": threads}, capture_output=True, text=True,
        check=True,
    ).stdout  # fmt: skip
    assert output.strip() == str(fingerprint())


def test_newton_is_the_same_in_pieces(monkeypatch):
    settings = {name: SMALL[name] for name in ("densities", "importances", "restarts", "seed")}
    whole = tms.phase_diagram(**settings, method="expected")
    monkeypatch.setattr(phases, "LOOK_EVERY_MODELS", 7)
    same(tms.phase_diagram(**settings, method="expected"), whole)


# --------------------------------------------------------------------------------------------------------- executors


def test_a_thread_pool_gives_the_same_bits(small):
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        same(tms.phase_diagram(**SMALL, executor=pool), small)


def test_a_worker_thread_is_left_as_it_was():
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        before = pool.submit(numba.get_num_threads).result()
        tms.phase_diagram(**SMALL, executor=pool)
        assert pool.submit(numba.get_num_threads).result() == before == numba.config.NUMBA_NUM_THREADS


PROCESS_POOL = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
import concurrent.futures, multiprocessing, numba, numpy as np
import minitms as tms, test_phases as t

@numba.njit(parallel=True)
def parallel(x):
    for i in numba.prange(x.size):
        x[i] += 1

if __name__ == "__main__":
    parallel(np.zeros(1000))  # a parallel loop in the parent, before its workers start
    context = multiprocessing.get_context(sys.argv[1])
    with concurrent.futures.ProcessPoolExecutor(2, context) as pool:
        diagram = tms.phase_diagram(**t.SMALL, executor=pool)
    print(diagram.W.sum().hex(), diagram.history.sum().hex())
"""


@pytest.mark.parametrize(("start", "layer"), [("spawn", "workqueue"), ("fork", "workqueue"), ("fork", "omp")])
def test_a_process_pool_gives_the_same_bits(start, layer, small, tmp_path):
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {start}")
    (tmp_path / "pool.py").write_text(PROCESS_POOL)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(tmp_path / "pool.py"), start], capture_output=True, text=True, timeout=120,
        env=os.environ | {"NUMBA_THREADING_LAYER": layer},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [small.W.sum().hex(), small.history.sum().hex()]


def test_an_executor_that_is_shut_down_is_refused():
    pool = concurrent.futures.ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(ValueError, match="takes no work"):
        tms.phase_diagram(**SMALL, executor=pool)
    with pytest.raises(TypeError, match="executor"):
        tms.phase_diagram(**SMALL, executor=3)


def test_an_error_in_a_worker_reaches_the_caller():
    with concurrent.futures.ThreadPoolExecutor(1) as pool, pytest.raises(tms.DivergenceError, match="after step 40"):
        tms.phase_diagram(**SMALL | {"learning_rate": 1e30}, executor=pool)


def test_a_dask_cluster_survives_the_loss_of_a_worker(tmp_path):
    pytest.importorskip("distributed")
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "dask_cluster.py"), "sweep"], capture_output=True, text=True, timeout=240,
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "same bits after the loss of a worker" in done.stdout


# ------------------------------------------------------------------------------------------------------ what it says


def test_classes_by_their_thresholds():
    W = np.array([[0.9, 0.1], [-0.9, 0.1], [0.1, -0.9], [0.7, -0.7], [-0.3, 0.9], [0.7, 0.7], [0.7, 0.1], [0.9, 0.3],
                  [0.9, -0.3], [0, 0], [0.81, -0.19], [0.79, -0.19]])  # fmt: skip
    first, extra, superposed, neither = CLASSES
    assert tms.classify(W[:, None, :]).tolist() == [
        first, first, extra, superposed, superposed, neither, neither, neither, superposed, neither, first, neither
    ]  # fmt: skip


def test_exact_minima_agree_with_theory(exact):
    assert exact.agreement_away > 0.99
    assert exact.agreement > 0.95
    assert np.mean(exact.gradient < 1e-6) >= 0.99
    assert (exact.best().loss <= exact.theory_losses.min(axis=0) * (1 + 1e-9)).all()  # theory's are upper bounds


def test_best_is_the_lowest_loss_of_each_cell(small):
    best = small.best()
    for d in range(5):
        for i in range(7):
            k = int(np.argmin(small.loss[:, d, i]))
            assert best.restart[d, i] == k
            assert best.loss[d, i] == small.loss[k, d, i]
            np.testing.assert_array_equal(best.W[d, i], small.W[k, d, i])
            np.testing.assert_array_equal(best.b[d, i], small.b[k, d, i])
            assert best.norm[d, i] == abs(small.W[k, d, i, 0, 1])
            np.testing.assert_allclose(best.interference[d, i], small.W[k, d, i, 0, 0] ** 2)
    np.testing.assert_array_equal(small.norm, best.norm)
    np.testing.assert_array_equal(small.interference, best.interference)


def test_the_paper_s_norm_and_interference_leave_the_worst_out(small):
    for d, i in ((1, 0), (3, 4), (4, 6)):
        kept = np.delete(np.arange(3), np.argmax(small.loss[:, d, i]))
        np.testing.assert_allclose(small.paper_norm[d, i], abs(small.W[kept, d, i, 0, 1]).mean())
        np.testing.assert_allclose(small.paper_interference[d, i], (small.W[kept, d, i, 0, 0] ** 2).mean())
    single = tms.phase_diagram(**SMALL | {"restarts": 1})
    np.testing.assert_array_equal(single.paper_norm, abs(single.W[0, ..., 0, 1]))


def test_agreement_counts_cells(exact):
    same_class = exact.classes == exact.theory_classes
    assert exact.agreement == same_class.mean()
    assert exact.agreement_away == same_class[exact.away_from_boundary].mean()
    assert f"{exact.agreement:.2%}" in repr(exact)


def test_one_cell(exact):
    cell = exact.at(density=0.1, importance=1)
    d, i = abs(exact.densities - 0.1).argmin(), abs(exact.importances - 1).argmin()
    assert (cell["density"], cell["importance"]) == (exact.densities[d], exact.importances[i])
    np.testing.assert_array_equal(cell["W"], exact.W[:, d, i])
    np.testing.assert_array_equal(cell["loss"], exact.loss[:, d, i])
    assert cell["class"] == cell["theory_class"] == "superposed"
    s, r = cell["density"], cell["importance"]
    np.testing.assert_allclose(cell["theory_losses"]["superposed"], (1 + r) * s**2 / 6)


def test_the_population_learns():
    diagram = tms.phase_diagram(**SMALL | {"steps": 1500})
    assert len(diagram.steps) == len(diagram.history) == 600
    assert diagram.steps[0] == 1
    assert diagram.steps[-1] == 1500
    assert diagram.history[-50:].mean() < 0.2 * diagram.history[0]


@pytest.mark.parametrize("method", ["sampled", "expected"])
def test_save_and_load(tmp_path, method):
    settings = SMALL if method == "sampled" else {k: SMALL[k] for k in ("densities", "importances", "restarts", "seed")}
    diagram = tms.phase_diagram(**settings, method=method)
    diagram.save(tmp_path / "diagram.npz")
    loaded = tms.PhaseDiagram.load(tmp_path / "diagram.npz")
    same(loaded, diagram)
    assert repr(loaded) == repr(diagram)
    assert loaded.settings == diagram.settings
    assert (loaded.gradient is None) == (method == "sampled")
    content = (tmp_path / "diagram.npz").read_bytes()
    diagram.save(tmp_path / "diagram.npz")
    assert (tmp_path / "diagram.npz").read_bytes() == content
    with np.load(tmp_path / "diagram.npz", allow_pickle=False) as arrays:
        assert all(array.dtype != object for array in arrays.values())


# -------------------------------------------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(("changed", "message"), [
    ({"densities": []}, "densities"), ({"densities": [0.5, 0.1]}, "densities does not increase"),
    ({"densities": [0.1, 0.1]}, "does not increase"), ({"densities": [0.1, 1.1]}, "densities runs"),
    ({"densities": [-0.1, 0.5]}, "densities runs"), ({"densities": [0.1, np.nan]}, "densities holds"),
    ({"densities": 0.1}, r"\[0.1\]"), ({"densities": [[0.1]]}, "densities has shape"),
    ({"importances": []}, "importances"), ({"importances": [-1, 1]}, "importances runs"),
    ({"importances": [2, 1]}, "importances"), ({"restarts": 0}, "restarts"), ({"steps": 0}, "steps"),
    ({"batch_size": 0}, "batch_size"), ({"learning_rate": 0}, "learning_rate"), ({"seed": -1}, "seed"),
    ({"activation": "tanh"}, "activation"), ({"method": "magic"}, "method"), ({"restarts": 10**13}, "GiB"),
    ({"method": "expected"}, "leave steps out"), ({"initial": (np.zeros((2, 1, 2)), 0.0)}, "initial W"),
    ({"initial": (np.nan, 0.0)}, "initial W"),
])  # fmt: skip
def test_wrong_arguments_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        tms.phase_diagram(**SMALL | changed)


@pytest.mark.parametrize("name", ["steps", "batch_size", "learning_rate"])
def test_settings_of_sampling_are_refused_without_it(name):
    with pytest.raises(ValueError, match=f"leave {name} out"):
        tms.phase_diagram([0.1], [1.0], method="expected", **{name: 1})


def test_one_value_is_a_valid_axis():
    diagram = tms.phase_diagram([0.1], [1.0], restarts=2, steps=3, seed=0)
    assert diagram.W.shape == (2, 1, 1, 1, 2)
    assert np.isnan(diagram.agreement_away)
    repr(diagram)


@pytest.mark.parametrize("W", [np.zeros(2), np.zeros((2, 2)), np.full((1, 2), np.nan)])
def test_classify_refuses_other_models(W):
    with pytest.raises(ValueError, match="W"):
        tms.classify(W)
