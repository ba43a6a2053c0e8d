"""The folder of a checkpoint: who holds its lock, what is not ours in it, and what of it is believed."""

from __future__ import annotations

import concurrent.futures
import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import minitms as tms
from minitms import adam, phases
from minitms import checkpoint as checkpoints
from minitms._fields import like
from minitms.checkpoint import MOST_DESCRIPTION, SavedState, Store

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = {"what": "a test", "steps": 7}
ONES = {"x": np.ones(3)}
FIRST, *_, LAST = SavedState.NAMES
OURS = ".minitms-0123456789abcdef.tmp"


def sweep(folder):
    return tms.phase_diagram(
        np.geomspace(0.01, 1, 4), np.geomspace(0.1, 10, 8), restarts=2, steps=30, batch_size=8, seed=3, progress=False,
        checkpoint=folder,
    )  # fmt: skip


def train(folder):
    return tms.train(tms.SparseFeatures(4, 0.2), 2, steps=20, batch_size=8, snapshots=2, seed=3, checkpoint=folder)


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.is_file()}


@pytest.fixture
def begun(tmp_path):
    """A checkpoint with one piece, closed again."""
    with Store(tmp_path / "run", SETTINGS) as store:
        store.save("a", ONES)
    return tmp_path / "run"


def refused(folder, message, kind=ValueError):
    before = contents(folder)
    with pytest.raises(kind, match=message) as error, Store(folder, SETTINGS):
        pass
    assert contents(folder) == before
    assert str(folder) in str(error.value)


# ---------------------------------------------------------------------------------------------------------- the lock


@pytest.mark.skipif(os.name == "nt", reason="Windows does not fork")
def test_a_forked_child_does_not_keep_the_lock(tmp_path):
    """Neither that of a parent which was killed, nor that of one which is done with the checkpoint."""
    code = f"""
import os, sys, time
sys.path.insert(0, {str(ROOT)!r})
from minitms.checkpoint import Store
with Store("run", {SETTINGS}):
    child = os.fork()
    if not child:
        time.sleep(100)
with Store("run", {SETTINGS}):
    print(child, flush=True)
    time.sleep(100)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=tmp_path, start_new_session=True
    )
    try:
        child = int(parent.stdout.readline())
        refused(tmp_path / "run", "in use by another process", RuntimeError)
        parent.kill()
        parent.wait()
        os.kill(child, 0)  # it lives
        with Store(tmp_path / "run", SETTINGS) as store:
            assert store.names() == set()
    finally:
        os.killpg(parent.pid, signal.SIGKILL)  # the child too
        parent.communicate()


def test_two_threads_of_one_process_are_kept_apart(begun):
    with Store(begun, SETTINGS):
        refused(begun, "in use by another process or thread", RuntimeError)
    with Store(begun, SETTINGS):
        pass


def test_of_many_that_begin_at_once_one_gets_the_checkpoint(tmp_path):
    def enter(folder, start, end):
        start.wait()
        try:
            with Store(folder, SETTINGS) as store:
                store.save("a", ONES)
                end.wait()
                return "at work"
        except RuntimeError:
            end.wait()
            return "in use"

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for k in range(30):
            start, end = threading.Barrier(6, timeout=60), threading.Barrier(6, timeout=60)
            entered = [pool.submit(enter, tmp_path / f"run-{k}", start, end) for _ in range(6)]
            assert sorted(future.result() for future in entered) == ["at work"] + 5 * ["in use"]


def test_a_disk_without_locks_is_not_called_in_use(begun, monkeypatch):
    fcntl = pytest.importorskip("fcntl", reason="Windows locks in another way")

    def without(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", without)
    refused(begun, "No locks available", OSError)


# ------------------------------------------------------------------------------------------------ what is finished


@pytest.fixture
def read_only(monkeypatch):
    """Everything that could write fails, as on a disk that is mounted read-only."""

    def make():
        def refuse(*arguments, **options):
            raise OSError(errno.EROFS, "Read-only file system")

        open_file = os.open

        def opened(path, flags, *arguments, **options):
            return (refuse if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) else open_file)(path, flags, *arguments)

        monkeypatch.setattr(os, "open", opened)
        monkeypatch.setattr(checkpoints, "write_whole", refuse)
        for name in ("mkdir", "unlink", "touch", "write_bytes", "write_text"):
            monkeypatch.setattr(Path, name, refuse)

    return make


@pytest.mark.parametrize("run", [sweep, train])
def test_a_finished_run_is_loaded_from_where_nothing_can_be_written(tmp_path, monkeypatch, read_only, run):
    first = run(tmp_path / "run")
    (tmp_path / "run" / "lock").unlink()  # a copy need not have it
    before = contents(tmp_path / "run")
    monkeypatch.setattr(phases, "_train_chunk", None)  # any work would fail
    monkeypatch.setattr(adam, "steps", None)
    read_only()
    again = run(tmp_path / "run")
    for name in ("W", "b", "loss", "history", "steps"):
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name), strict=True)
    assert contents(tmp_path / "run") == before


@pytest.mark.parametrize(("run", "piece"), [(sweep, "chunk-000003.npz"), (train, "state.npz")])
def test_an_unfinished_run_where_nothing_can_be_written_is_refused(tmp_path, read_only, run, piece):
    run(tmp_path / "run")
    (tmp_path / "run" / piece).unlink()
    read_only()
    with pytest.raises(OSError, match=r"cannot be written to, and there is no .*: Read-only file system"):
        run(tmp_path / "run")


@pytest.mark.parametrize("run", [sweep, train])
def test_a_folder_in_a_folder_that_is_not_there_is_refused_in_the_words_of_save(tmp_path, run):
    words = re.escape(f"there is no folder {str(tmp_path / 'no')!r}; make it first")
    with pytest.raises(FileNotFoundError, match=words):
        run(tmp_path / "no" / "run")
    with pytest.raises(FileNotFoundError, match=words):
        run(None).save(tmp_path / "no" / "run.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("run", [sweep, train])
def test_a_finished_run_needs_no_lock(tmp_path, monkeypatch, run):
    """Many may read it at once, also while somebody holds the lock."""
    first = run(tmp_path / "run")
    lock = checkpoints._locked(tmp_path / "run")
    np.testing.assert_array_equal(run(tmp_path / "run").W, first.W)
    lock.close()


def test_what_another_process_does_until_we_have_the_lock_is_not_done_again(tmp_path, monkeypatch):
    first = train(tmp_path / "run")
    state = (tmp_path / "run" / "state.npz").read_bytes()
    (tmp_path / "run" / "state.npz").unlink()
    locked = checkpoints._locked

    def late(folder):
        (folder / "state.npz").write_bytes(state)
        return locked(folder)

    monkeypatch.setattr(checkpoints, "_locked", late)
    monkeypatch.setattr(adam, "steps", None)
    np.testing.assert_array_equal(train(tmp_path / "run").W, first.W)


# ------------------------------------------------------------------------------------------------ what is not ours


@pytest.mark.parametrize("name", ["x.tmp", "run.json.tmp", "a.npz.tmp", ".minitms-x.tmp", f"{OURS}.tmp", "lock", "cat"])
def test_a_folder_with_a_file_that_is_not_ours_is_not_empty(tmp_path, name):
    (tmp_path / name).write_text("mine")
    refused(tmp_path, f"holds {name!r} and no run.json")


def test_what_a_killed_first_call_left_is_empty_enough(tmp_path):
    (tmp_path / "lock").touch()
    (tmp_path / OURS).write_text('{"versi')
    with Store(tmp_path, SETTINGS):
        assert sorted(contents(tmp_path)) == ["lock", "run.json"]


@pytest.mark.parametrize("name", ["x.tmp", "a.npz.tmp", "run.json.tmp", ".minitms-x.tmp"])
def test_no_file_that_is_not_ours_is_deleted(begun, name):
    (begun / name).write_text("mine")
    (begun / OURS).write_text("half")
    with Store(begun, SETTINGS) as store:
        store.save("b", ONES)
    assert (begun / name).read_text() == "mine"
    assert not (begun / OURS).exists()


@pytest.mark.skipif(os.name == "nt", reason="making links needs rights there")
@pytest.mark.parametrize("name", [OURS, "b.npz.tmp", "b.npz", "run.json", "lock"])
@pytest.mark.parametrize("target", ["victim", "nowhere"])
def test_nothing_is_written_through_a_planted_link(tmp_path, begun, name, target):
    (tmp_path / "victim").write_text("")
    (begun / name).unlink(missing_ok=True)
    (begun / name).symlink_to(tmp_path / target)
    if name in ("run.json", "lock"):
        refused(begun, "damaged|run.json|cannot be written to", OSError if name == "lock" else ValueError)
    else:
        with Store(begun, SETTINGS) as store:
            store.save("b", ONES)
        assert (begun / name).is_symlink() == (name in (OURS, "b.npz.tmp"))  # not ours to delete
        with Store(begun, SETTINGS) as store:
            np.testing.assert_array_equal(store.load("b", like(ONES))["x"], ONES["x"])
    assert (tmp_path / "victim").read_text() == ""
    assert not (tmp_path / "nowhere").exists()


# --------------------------------------------------------------------------------------------- what is not believed


def described(**entries):
    return json.dumps({"version": checkpoints.VERSION, "settings": SETTINGS, "host": checkpoints.host()} | entries)


@pytest.mark.parametrize(("text", "message"), [
    ("[" * 10**5, "damaged"), ("[" * 900 + "]" * 900, "damaged"), ('{"a":' * 10**5, "damaged"),
    (b"\xff\xfe", "damaged"),
    (" " * (MOST_DESCRIPTION + 1), "more than"), ("1" * 5000, "damaged"), (described(settings=[1]), "have no names"),
    (described(host="x"), "have no names"), (described(later=1), "does not know: later"),
    (described(version="3"), "layout '3'"), (described(settings=SETTINGS | {"steps": [[[7]]]}), "another run: steps"),
])  # fmt: skip
def test_a_description_that_is_wrong_is_refused(begun, text, message):
    (begun / "run.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    refused(begun, message)


@pytest.mark.parametrize("name", ["run.json", "lock"])
def test_a_folder_in_the_place_of_a_file_is_refused(begun, name):
    (begun / name).unlink()
    (begun / name).mkdir()
    if name == "run.json":
        refused(begun, "is a folder")
    else:
        refused(begun, "Is a directory|Permission denied", OSError)


def test_a_piece_that_is_a_folder_or_a_pipe_is_refused(begun):
    (begun / "a.npz").unlink()
    (begun / "a.npz").mkdir()
    with Store(begun, SETTINGS) as store, pytest.raises(ValueError, match=r"a\.npz is a folder"):
        store.load("a", like(ONES))
    if os.name != "nt":
        (begun / "a.npz").rmdir()
        os.mkfifo(begun / "a.npz")
        with Store(begun, SETTINGS) as store, pytest.raises(ValueError, match=r"a\.npz is a device or a pipe"):
            store.load("a", like(ONES))


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + "/run"])
def test_a_name_that_is_too_long_is_named(tmp_path, name):
    for run in (sweep, train):
        with pytest.raises(OSError, match=f"checkpoint .*{name} cannot be (read|written)"):
            run(tmp_path / name)


@pytest.mark.parametrize(("run", "name", "change", "message"), [
    (sweep, "W", lambda W: W.astype(complex), "W has dtype complex"), (sweep, "W", lambda W: W[:1], "W has shape"),
    (sweep, "loss", lambda loss: loss.astype(object), "loss has dtype object"),
    (sweep, "history", lambda history: history[:-1], "history has shape"),
    (train, FIRST, lambda W: W.astype(np.float64), f"{FIRST} has dtype float64"),
    (train, FIRST, lambda W: W[..., :1], f"{FIRST} has shape"), (train, LAST, lambda b: b[:, :1], f"{LAST} has shape"),
    (train, "step", lambda step: step * 1.0, "step has dtype"),
    (train, "step", lambda step: step + 1, "after step 21 of 20"),
    (train, "step", lambda step: step * 0, "after step 0"),
    (train, "history", lambda history: history[..., 1:], "has 19 losses"),
])  # fmt: skip
def test_a_signed_piece_of_another_shape_is_refused(tmp_path, monkeypatch, run, name, change, message):
    save = Store.save

    def changed(self, piece, arrays):
        save(self, piece, arrays | {name: change(arrays[name])})

    with monkeypatch.context() as patch:
        patch.setattr(Store, "save", changed)
        run(tmp_path / "run")
    before = contents(tmp_path / "run")
    with pytest.raises(ValueError, match=message) as error:
        run(tmp_path / "run")
    assert str(tmp_path / "run") in str(error.value)
    assert contents(tmp_path / "run") == before
