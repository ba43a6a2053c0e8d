"""`train` on executors: threads, processes and a cluster give the bits of one process, also when a worker is killed."""

from __future__ import annotations

import concurrent.futures
import hashlib
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minitms as tms

ROOT = Path(__file__).resolve().parent.parent
X = tms.SparseFeatures(6, [[0.2], [0.5]]).sample(37, seed=0)
UNTIED, SETS = {"hidden": "relu", "tied": False}, [0, 0, 1, 1]
RUNS = {  # some of fewer models than chunks, one of more, and one by the kernel for one neuron
    "plain": (tms.SparseFeatures(6, np.geomspace(0.02, 1, 3)[:, None]), {"n_hidden": 2, "snapshots": 3}),
    "one neuron": (tms.SparseFeatures(2, np.geomspace(0.05, 1, 11)[:, None], [1, 2]), {"n_hidden": 1, "restarts": 7}),
    "computing": (tms.SparseFeatures(4, 0.3, signed=True, target="abs"), {"n_hidden": 5, **UNTIED}),
    "sets": (tms.SparseFeatures(4, [[0.1], [0.3]], 1.0, SETS, "at_most_one"), {"n_hidden": 2, "snapshots": [7]}),
    "examples": (tms.Examples(X, target=X**2), {"n_hidden": 2, "hidden": "relu"}),
    "by numpy": (tms.SparseFeatures(4, [[0.1], [0.3]]), {"n_hidden": 2, "engine": "numpy", "dtype": "float64"}),
}


def train(name, **options):
    features, ours = RUNS[name]
    if isinstance(features, tms.SparseFeatures):
        ours = {"batch_size": 30} | ours
    return tms.train(features, **{"steps": 20, "restarts": 3, "seed": 5, "progress": False} | ours | options)


def bits(run):
    digest = hashlib.sha256()
    kept = (run.snapshots.W, run.snapshots.b) if run.snapshots else ()
    for array in (run.W, run.b, run.loss, run.history, run.steps, *kept):
        digest.update(np.asarray(array).tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("name", RUNS)
def test_a_pool_of_threads_gives_the_same_bits(name, tmp_path):
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        expected = bits(train(name))
        assert bits(train(name, executor=pool)) == expected
        assert bits(train(name, executor=pool, checkpoint=tmp_path / "run")) == expected
        assert bits(train(name, executor=pool, checkpoint=tmp_path / "run")) == expected  # simply loaded


PROCESSES = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
import concurrent.futures, multiprocessing
import test_executors as t

if __name__ == "__main__":
    with concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context(sys.argv[1])) as pool:
        for name in t.RUNS:
            print(t.bits(t.train(name, executor=pool, checkpoint=f"{{sys.argv[2]}}/{{name}}")))
"""


@pytest.mark.parametrize("start", ["spawn", "fork"])
def test_a_pool_of_processes_gives_the_same_bits(start, tmp_path):
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {start}")
    (tmp_path / "pool.py").write_text(PROCESSES)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(tmp_path / "pool.py"), start, str(tmp_path)], capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [bits(train(name)) for name in RUNS]
    for name in RUNS:  # what the processes left in the checkpoint is all there is to do
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            assert bits(train(name, executor=pool, checkpoint=tmp_path / name)) == bits(train(name))


LONG = {"restarts": 60, "steps": 2000, "batch_size": 64}
KILLED = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
import concurrent.futures, multiprocessing, os, signal, threading, time
from pathlib import Path
import test_executors as t

def kill_one(pool, folder):
    while len(list(folder.glob("chunk-*.npz"))) < 3:
        time.sleep(0.002)
    os.kill(next(iter(pool._processes)), signal.SIGKILL)

if __name__ == "__main__":
    context, folder = multiprocessing.get_context("spawn"), Path(sys.argv[1])
    options = t.LONG | {{"checkpoint": folder}}
    with concurrent.futures.ProcessPoolExecutor(2, context) as pool:
        threading.Thread(target=kill_one, args=(pool, folder)).start()
        try:
            t.train("computing", executor=pool, **options)
        except concurrent.futures.process.BrokenProcessPool as error:
            print(error)
        kept = {{path.name: path.stat().st_mtime_ns for path in folder.glob("chunk-*.npz")}}
        try:
            t.train("computing", executor=pool, **options)
        except concurrent.futures.process.BrokenProcessPool as error:
            print(error)
    with concurrent.futures.ProcessPoolExecutor(2, context) as pool:
        print(t.bits(t.train("computing", executor=pool, **options)))
    print(len(kept), all((folder / name).stat().st_mtime_ns == time for name, time in kept.items()))
"""


@pytest.mark.filterwarnings("ignore:.*ended no better:UserWarning")
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_worker_is_said_and_the_same_call_goes_on_to_the_same_bits(tmp_path):
    (tmp_path / "pool.py").write_text(KILLED)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(tmp_path / "pool.py"), str(tmp_path / "run")], capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second, digest, kept = done.stdout.splitlines()
    for message in (first, second):
        assert "a worker of <concurrent.futures.process.ProcessPoolExecutor" in message
        assert f"chunks, which are kept in {tmp_path / 'run'}: run the same call again to go on, with a new" in message
    assert digest == bits(train("computing", **LONG))
    assert 3 <= int(kept.split()[0]) < 60
    assert kept.endswith("True")  # what was finished is not computed again


def test_an_executor_that_is_shut_down_is_refused():
    pool = concurrent.futures.ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(ValueError, match="takes no work"):
        train("plain", executor=pool)


class Empty(concurrent.futures.ThreadPoolExecutor):
    """Of no length, so that it is false."""

    submitted = 0

    def __len__(self):
        return 0

    def submit(self, *arguments, **options):
        self.submitted += 1
        return super().submit(*arguments, **options)


def test_an_executor_that_is_false_is_used_all_the_same():
    with Empty(1) as pool:
        train("plain", executor=pool)
    assert pool.submitted > 0


class Closed(concurrent.futures.Executor):
    def submit(self, function, /, *arguments, **options):
        raise OSError("the cluster has gone home")


def test_what_an_executor_says_when_it_takes_no_work_is_passed_on():
    with pytest.raises(ValueError, match=r"takes no work \(the cluster has gone home\); give one that is running"):
        train("plain", executor=Closed())


def test_a_checkpoint_says_that_the_executor_is_the_difference(tmp_path):
    train("plain", checkpoint=tmp_path / "run")
    with (
        concurrent.futures.ThreadPoolExecutor(1) as pool,
        pytest.raises(ValueError, match=r"another run: executor 'none' there and 'of \d+ chunks' here"),
    ):
        train("plain", checkpoint=tmp_path / "run", executor=pool)


def test_an_error_in_a_worker_names_the_model_of_the_whole_stack():
    features = tms.SparseFeatures(4, np.full((3, 1), 0.5))
    W = np.ones((2, 3, 2, 4))
    W[1, 2] = 1e30
    for pool, of_all in ((None, r" \(1 of 6 models\)"), (concurrent.futures.ThreadPoolExecutor(1), "")):
        said = rf"model \(1, 2\) has a loss or weight that is not finite, found after step \d+{of_all}; try"
        with pytest.raises(tms.DivergenceError, match=said):
            tms.train(features, 2, steps=5, batch_size=9, restarts=2, seed=0, initial=(W, 0.0), executor=pool)


@pytest.mark.parametrize("checkpoint", [True, False])
def test_ctrl_c_says_what_is_kept_and_how_to_go_on(checkpoint, tmp_path):
    folder, counted = tmp_path / "run" if checkpoint else None, []

    class Pool(concurrent.futures.ThreadPoolExecutor):
        def submit(self, *arguments):
            counted.append(arguments)
            if len(counted) == 5:
                raise KeyboardInterrupt
            return super().submit(*arguments)

    message = "kept in .*run: run the same call again" if checkpoint else "lost; with checkpoint=FOLDER they are kept"
    with Pool(1) as pool, pytest.raises(KeyboardInterrupt, match=rf"after \d of 9 chunks, which are {message}"):
        train("plain", executor=pool, checkpoint=folder)
    counted.extend(range(9))
    with Pool(1) as pool:
        assert bits(train("plain", executor=pool, checkpoint=folder)) == bits(train("plain"))


@pytest.mark.parametrize("executor", [None, concurrent.futures.ThreadPoolExecutor(1)])
@pytest.mark.parametrize("engine", ["numba", "numpy"])
@pytest.mark.parametrize("wrong", [{"steps": 10**15}, {"batch_size": 2**30, "features": 1}, {"restarts": 10**10}])
def test_what_does_not_fit_in_memory_is_refused_before_any_work(wrong, engine, executor, tmp_path):
    options = {"features": tms.SparseFeatures(2, 0.5), "n_hidden": 30, "seed": 0} | wrong
    options["features"] = tms.SparseFeatures(1 if "batch_size" in wrong else 2, 0.5)
    with pytest.raises(ValueError, match=r"need [\d,.]+ GiB, and this machine has"):
        tms.train(**options, engine=engine, executor=executor, checkpoint=tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_dask_cluster_trains_the_same_bits_and_survives_the_loss_of_a_worker(tmp_path):
    pytest.importorskip("distributed")
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "dask_cluster.py"), "train"], capture_output=True, text=True,
        timeout=240, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "same bits after the loss of a worker" in done.stdout
