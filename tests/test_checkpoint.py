"""Checkpoints: whole or not at all, resumed to the same bits, refused and left alone when they do not fit."""

from __future__ import annotations

import _thread
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import minitms as tms
from minitms import adam, phases
from minitms import checkpoint as checkpoints
from minitms._fields import like
from minitms.checkpoint import VERSION, Checkpoint, SavedState, Store

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = {"what": "a test", "steps": 7, "grid": np.arange(3.0)}
ONES = like({"x": np.ones(3)})
SWEEP = {
    "densities": np.geomspace(0.01, 1, 16), "importances": np.geomspace(0.1, 10, 16), "restarts": 2, "steps": 60,
    "batch_size": 16, "seed": 3, "progress": False,
}  # fmt: skip
TRAIN = {
    "features": tms.SparseFeatures(6, np.array([[0.1], [0.4]]), 0.9 ** np.arange(6)), "n_hidden": 2, "steps": 200,
    "batch_size": 33, "restarts": 2, "seed": 4, "snapshots": 5, "learning_rate": 1e-2,
}  # fmt: skip


def contents(folder):
    """Every file of a folder, as bytes."""
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def same_diagram(a, b):
    for name in ("W", "b", "loss", "history", "steps"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), strict=True)


def same_run(a, b):
    for name in ("W", "b", "loss", "history", "steps"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), strict=True)
    np.testing.assert_array_equal(a.snapshots.W, b.snapshots.W)
    np.testing.assert_array_equal(a.snapshots.b, b.snapshots.b)


@pytest.fixture(scope="module")
def diagram():
    """The sweep without a stop."""
    return tms.phase_diagram(**SWEEP)


class Killed(BaseException):
    """The end of a process, as seen from inside it: nothing catches it."""


def die_after(pieces, monkeypatch):
    """Let the process die while it writes the piece after the first few: its temporary file is there, half written."""
    save, count = Store.save, iter(range(pieces))

    def dying(self, name, arrays):
        if next(count, None) is None:
            (self.path / f".minitms-{pieces:016x}.tmp").write_bytes(b"half")
            raise Killed
        save(self, name, arrays)

    monkeypatch.setattr(Store, "save", dying)


def count_chunks(monkeypatch):
    trained, train = [], phases._train_chunk

    def counted(sweep, first, *rest):
        trained.append(first)
        return train(sweep, first, *rest)

    monkeypatch.setattr(phases, "_train_chunk", counted)
    return trained


# ------------------------------------------------------------------------------------------------------ the folder


def test_what_is_saved_is_loaded(tmp_path):
    arrays = {"W": np.arange(6.0).reshape(2, 3), "b": np.array([1, 2], np.float32)}
    with Store(tmp_path / "run", SETTINGS) as store:
        store.save("a", arrays)
    with Store(tmp_path / "run", SETTINGS) as store:
        assert store.names() == {"a"}
        loaded = store.load("a", like(arrays))
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array, strict=True)


def test_left_over_temporary_files_are_cleared_away(tmp_path):
    with Store(tmp_path / "run", SETTINGS):
        (tmp_path / "run" / ".minitms-0123456789abcdef.tmp").write_bytes(b"half a piece")
    with Store(tmp_path / "run", SETTINGS) as store:
        assert store.names() == set()
    assert not list((tmp_path / "run").glob("*.tmp"))


@pytest.mark.parametrize("changed", [{"steps": 8}, {"grid": np.arange(3.0) + 1e-12}, {"new": 1}])
def test_another_run_is_refused_and_left_alone(tmp_path, changed):
    with Store(tmp_path / "run", SETTINGS) as store:
        store.save("a", {"x": np.ones(3)})
    before = contents(tmp_path / "run")
    with pytest.raises(ValueError, match=f"another run: .*{next(iter(changed))}"), Store(
        tmp_path / "run", SETTINGS | changed
    ):
        pass
    assert contents(tmp_path / "run") == before


@pytest.mark.parametrize("name", checkpoints.ALLOWED)
def test_another_host_is_refused_unless_allowed_by_name(tmp_path, monkeypatch, name):
    with Store(tmp_path / "run", SETTINGS) as store:
        store.save("a", {"x": np.ones(3)})
    here = checkpoints.host()
    monkeypatch.setattr(checkpoints, "host", lambda: here | {name: "another"})
    before = contents(tmp_path / "run")
    others = tuple(set(checkpoints.ALLOWED) - {name})
    with pytest.raises(ValueError, match=f"begun with {name}"), Store(Checkpoint(tmp_path / "run", others), SETTINGS):
        pass
    assert contents(tmp_path / "run") == before
    with Store(Checkpoint(tmp_path / "run", (name,)), SETTINGS) as store:
        np.testing.assert_array_equal(store.load("a", ONES)["x"], np.ones(3))


@pytest.mark.parametrize("where", ["start", "middle", "end", "short", "empty", "renamed", "other run"])
def test_a_damaged_piece_is_refused_and_left_alone(tmp_path, where):
    with Store(tmp_path / "run", SETTINGS) as store:
        store.save("a", {"x": np.arange(1000.0)})
        store.save("b", {"x": np.arange(1000.0)})
    path = tmp_path / "run" / "a.npz"
    content = bytearray(path.read_bytes())
    if where in ("start", "middle", "end"):
        content[{"start": 0, "middle": len(content) // 2, "end": -1}[where]] ^= 1
    elif where in ("short", "empty"):
        content = content[: -40 if where == "short" else 0]
    elif where == "renamed":
        content = (tmp_path / "run" / "b.npz").read_bytes()
    else:
        with Store(tmp_path / "other", SETTINGS | {"steps": 8}) as store:
            store.save("a", {"x": np.arange(1000.0)})
        content = (tmp_path / "other" / "a.npz").read_bytes()
    path.write_bytes(content)
    with Store(tmp_path / "run", SETTINGS) as store, pytest.raises(ValueError, match=r"a\.npz is damaged"):
        store.load("a", like({"x": np.arange(1000.0)}))
    assert path.read_bytes() == content


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', '{"version": 1, "settings": 3, "host": {}}'])
def test_a_damaged_description_is_refused_and_left_alone(tmp_path, text):
    with Store(tmp_path / "run", SETTINGS):
        pass
    (tmp_path / "run" / "run.json").write_text(text)
    with pytest.raises(ValueError, match="damaged"), Store(tmp_path / "run", SETTINGS):
        pass
    assert (tmp_path / "run" / "run.json").read_text() == text


def test_a_newer_layout_is_refused(tmp_path):
    with Store(tmp_path / "run", SETTINGS):
        pass
    path = tmp_path / "run" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": VERSION + 1}))
    with pytest.raises(ValueError, match=f"layout {VERSION + 1}"), Store(tmp_path / "run", SETTINGS):
        pass


def test_a_folder_or_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_bytes(b"cat")
    (tmp_path / "file").write_text("text")
    for name, message in (("photos", "cat.png"), ("file", "is a file")):
        with pytest.raises(ValueError, match=message), Store(tmp_path / name, SETTINGS):
            pass
    assert contents(tmp_path / "photos") == {"cat.png": b"cat"}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((3,), TypeError, "checkpoint is 3"),
        (("x", ("gpu",)), ValueError, "allow is 'gpu'; expected one of 'cpu', 'numba', 'numpy'"),
        (("x", None), TypeError, "allow is None; expected a tuple of any of 'cpu', 'numba', 'numpy'"),
        (("x", 5), TypeError, "allow is 5; expected a tuple"),
    ],
)
def test_a_wrong_description_of_a_checkpoint_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        Checkpoint(*arguments)


def test_a_folder_stays_the_same_wherever_the_process_goes(tmp_path, monkeypatch):
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with Store("run", SETTINGS) as store:
        monkeypatch.chdir(tmp_path / "there")
        store.save("piece", {"a": np.ones(1)})
    assert (tmp_path / "here" / "run" / "piece.npz").exists()
    assert not (tmp_path / "there" / "run").exists()


def test_two_processes_are_kept_apart_and_the_lock_dies_with_its_process(tmp_path):
    code = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from minitms.checkpoint import Store
with Store({str(tmp_path / "run")!r}, {{"a": 1}}):
    print("locked", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline().strip() == b"locked"
        with pytest.raises(RuntimeError, match="in use by another process"), Store(tmp_path / "run", {"a": 1}):
            pass
    finally:
        process.kill()
        process.communicate()
    with Store(tmp_path / "run", {"a": 1}) as store:
        assert store.names() == set()


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    with Store(tmp_path / "run", SETTINGS) as store:
        store.save("a", {"x": np.ones(3)})

        def full(descriptor):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(OSError, match=r"No space left on device.*run the same call again"):
                store.save("b", {"x": np.ones(3)})
            with pytest.raises(OSError, match="No space left"):
                store.save("a", {"x": np.zeros(3)})
        assert not list((tmp_path / "run").glob("*.tmp"))
        assert store.names() == {"a"}
        np.testing.assert_array_equal(store.load("a", ONES)["x"], np.ones(3))


# ------------------------------------------------------------------------------------------------------- the sweep


@pytest.mark.parametrize("finished", [0, 1, 5])
def test_a_killed_sweep_goes_on_to_the_same_bits(tmp_path, monkeypatch, diagram, finished):
    with monkeypatch.context() as patch:
        die_after(finished, patch)
        with pytest.raises(Killed):
            tms.phase_diagram(**SWEEP, checkpoint=tmp_path / "sweep")
    assert len(list((tmp_path / "sweep").glob("chunk*.npz"))) == finished
    trained = count_chunks(monkeypatch)
    same_diagram(tms.phase_diagram(**SWEEP, checkpoint=tmp_path / "sweep"), diagram)
    assert len(trained) == 32 - finished  # what was finished is not computed again


def test_a_finished_sweep_is_simply_loaded(tmp_path, monkeypatch, diagram):
    same_diagram(tms.phase_diagram(**SWEEP, checkpoint=tmp_path / "sweep"), diagram)
    trained = count_chunks(monkeypatch)
    same_diagram(tms.phase_diagram(**SWEEP, checkpoint=tmp_path / "sweep"), diagram)
    assert trained == []


@pytest.mark.parametrize("changed", [
    {"seed": 4}, {"steps": 61}, {"batch_size": 17}, {"learning_rate": 2e-2}, {"restarts": 3}, {"activation": "linear"},
    {"densities": np.geomspace(0.02, 1, 16)}, {"importances": np.geomspace(0.2, 10, 16)}, {"initial": (1.0, 0.0)},
])  # fmt: skip
def test_a_sweep_of_other_settings_is_refused(tmp_path, changed):
    tms.phase_diagram(**SWEEP, checkpoint=tmp_path / "sweep")
    before = contents(tmp_path / "sweep")
    with pytest.raises(ValueError, match=rf"another run: .*{next(iter(changed))}"):
        tms.phase_diagram(**SWEEP | changed, checkpoint=tmp_path / "sweep")
    assert contents(tmp_path / "sweep") == before


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(tmp_path, monkeypatch, diagram):
    save = Store.save

    def interrupted(self, name, arrays):
        save(self, name, arrays)
        if len(self.names()) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Store, "save", interrupted)
        with pytest.raises(KeyboardInterrupt, match=r"of 32 chunks, .*kept in .*run the same call again"):
            tms.phase_diagram(**SWEEP, checkpoint=tmp_path / "sweep")
    same_diagram(tms.phase_diagram(**SWEEP, checkpoint=tmp_path / "sweep"), diagram)


def test_ctrl_c_stops_chunks_that_are_at_work():
    """One chunk of these would take minutes; the sweep must not wait for its end."""
    threading.Timer(1.0, _thread.interrupt_main).start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt, match="checkpoint=FOLDER"):
        tms.phase_diagram([0.1], np.geomspace(0.1, 10, 64), restarts=2, steps=10**7, seed=0, progress=False)
    assert time.monotonic() - begun < 60


def test_ctrl_c_stops_a_training_between_two_chunks(tmp_path, monkeypatch):
    """It would take minutes to its end."""
    monkeypatch.setattr(checkpoints, "SAVE_EVERY", 0)
    threading.Timer(1.0, _thread.interrupt_main).start()
    begun = time.monotonic()
    options = {"steps": 10**6, "batch_size": 4096, "seed": 0, "progress": False, "checkpoint": tmp_path / "run"}
    with pytest.raises(KeyboardInterrupt, match=r"state after step \d+ of 1000000 .*run the same call again"):
        tms.train(tms.SparseFeatures(20, 0.5), 5, **options)
    assert time.monotonic() - begun < 60


def test_ctrl_c_before_anything_is_kept_says_so(tmp_path):
    state = SavedState(SimpleNamespace(steps=10, snapshot_steps=[]), np.zeros((1, 12)))
    with (
        Store(tmp_path / "run", SETTINGS) as store,
        pytest.raises(KeyboardInterrupt, match="before a first state was kept; the same call begins anew"),
        state.to(store),
    ):
        raise KeyboardInterrupt


def test_a_checkpoint_needs_a_seed(tmp_path):
    with pytest.raises(ValueError, match="seed is None"):
        tms.phase_diagram([0.1], [1.0], checkpoint=tmp_path / "sweep")
    with pytest.raises(ValueError, match="seed is None"):
        tms.train(TRAIN["features"], 2, checkpoint=tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_kill_minus_9_at_any_moment(tmp_path):
    """The short form of kill_and_resume.py: a process that is really killed, twice, and goes on to the same bits."""
    script, sizes = str(ROOT / "tests" / "kill_and_resume.py"), ["--models", "2048", "--steps", "30000"]
    run = [sys.executable, script, "--kills", "2", *sizes]
    process = subprocess.run([*run, "--folder", str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stdout + process.stderr
    assert "2 of 2" in process.stdout


# -------------------------------------------------------------------------------------------------------- training


@pytest.mark.parametrize("engine", ["numba", "numpy"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("saves", [1, 3])
def test_a_killed_training_goes_on_to_the_same_bits(tmp_path, monkeypatch, saves, dtype, engine):
    monkeypatch.setattr(checkpoints, "SAVE_EVERY", 0.0)
    monkeypatch.setattr(checkpoints, "SAVE_SHARE", 0)
    settings = TRAIN | {"engine": engine, "dtype": dtype}
    with monkeypatch.context() as patch:
        die_after(saves, patch)
        with pytest.raises(Killed):
            tms.train(**settings, checkpoint=tmp_path / "run")
    same_run(tms.train(**settings, checkpoint=tmp_path / "run"), tms.train(**settings))


def test_a_finished_training_is_simply_loaded(tmp_path, monkeypatch):
    first = tms.train(**TRAIN, checkpoint=tmp_path / "run")
    monkeypatch.setattr(adam, "steps", None)  # any step would fail
    same_run(tms.train(**TRAIN, checkpoint=tmp_path / "run"), first)


@pytest.mark.parametrize("changed", [
    {"seed": 5}, {"steps": 201}, {"batch_size": 34}, {"learning_rate": 2e-2}, {"restarts": 3}, {"schedule": "linear"},
    {"warmup": 5},
    {"weight_decay": 0.1}, {"dtype": "float64"}, {"engine": "numpy"}, {"activation": "linear"}, {"snapshots": 6},
    {"features": tms.SparseFeatures(6, np.array([[0.1], [0.4]]), 0.8 ** np.arange(6))}, {"n_hidden": 3},
])  # fmt: skip
def test_a_training_of_other_settings_is_refused(tmp_path, changed):
    tms.train(**TRAIN, checkpoint=tmp_path / "run")
    before = contents(tmp_path / "run")
    with pytest.raises(ValueError, match="another run"):
        tms.train(**TRAIN | changed, checkpoint=tmp_path / "run")
    assert contents(tmp_path / "run") == before
