"""Ctrl-C waits inside a block of `noted`, is never lost, and elsewhere does what it did before."""

from __future__ import annotations

import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numba
import numpy as np
import pytest

import minitms as tms
from minitms import _interrupt, judge
from minitms._interrupt import WAITING, Note, noted
from minitms.fast import training as fast

ROOT = Path(__file__).resolve().parent.parent


def ctrl_c(note=None):
    signal.raise_signal(signal.SIGINT)


def ask(note):
    note.answer()


def fail(note):
    raise ZeroDivisionError


def inside(note):
    """Another block, whose end is no place to answer."""
    with noted() as inner:
        assert inner is note
        ctrl_c()


def block(actions, done):
    """Do the actions in a block, one by one, and note those that were done."""
    with noted() as note:
        for action in actions:
            action(note)
            done.append(action)


@pytest.fixture(autouse=True)
def default_handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert _interrupt._note is None
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("actions", "error", "done"),
    [
        ([ask, ctrl_c, ask, ask], KeyboardInterrupt, [ask, ctrl_c]),  # it waits until it is asked for,
        ([ctrl_c], KeyboardInterrupt, [ctrl_c]),  # or until the end of the block
        ([ctrl_c, ctrl_c, ask], KeyboardInterrupt, [ctrl_c, ctrl_c]),  # also a second one, where nobody waits
        ([ctrl_c, fail], ZeroDivisionError, [ctrl_c]),  # another error is not replaced
        ([inside, ask, ask], KeyboardInterrupt, [inside]),
        ([inside, fail], ZeroDivisionError, [inside]),
    ],
)
def test_ctrl_c_waits(actions, error, done):
    really_done = []
    with pytest.raises(error):
        block(actions, really_done)
    assert really_done == done
    block([ask], [])  # the next block knows nothing of it


def test_what_ctrl_c_does_for_somebody_else_is_left_alone():
    heard = []

    def own(number, frame):
        heard.append(number)

    signal.signal(signal.SIGINT, own)
    with noted() as note:
        ctrl_c()
        note.answer()
    assert heard == [signal.SIGINT]
    assert signal.signal(signal.SIGINT, signal.default_int_handler) is own


def test_other_threads_may_enter_a_block():
    """Also while the main thread is in one, whose note is not theirs."""
    entered = []

    def enter():
        with noted() as note:
            note.answer()
            entered.append(note)

    with noted() as own:
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
    assert len(entered) == 1
    assert entered[0] is not own


# ---------------------------------------------------------------------------------------------------------------- wait


@pytest.fixture
def work():
    """Some work that ends when it is told to, and whatever becomes of the test."""
    let_go = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        try:
            yield let_go, [pool.submit(let_go.wait), pool.submit(lambda: None)]
        finally:
            let_go.set()


def test_wait_is_that_of_concurrent_futures(work):
    let_go, futures = work
    note = Note()
    assert note.wait(futures, 0.01) == {futures[1]}
    assert note.wait(futures, return_when=concurrent.futures.FIRST_COMPLETED) == {futures[1]}
    assert note.wait([], 0.01) == set()
    let_go.set()
    assert note.wait(futures) == set(futures)


def test_wait_says_once_what_it_waits_for(work, monkeypatch, capsys):
    """Not before somebody pressed Ctrl-C and had time to wonder."""
    _, futures = work
    monkeypatch.setattr(_interrupt, "PATIENCE", 0)
    monkeypatch.setattr(_interrupt, "TICK", 0.001)
    note = Note()
    note.wait(futures, 0.02)
    assert capsys.readouterr().err == ""
    note.take()
    note.wait(futures, 0.1)
    assert capsys.readouterr().err == WAITING + "\n"
    monkeypatch.setattr(_interrupt, "PATIENCE", 3600)
    note.wait(futures, 0.02)
    assert capsys.readouterr().err == ""


def test_wait_ends_at_a_second_ctrl_c(work):
    let_go, futures = work
    note = Note()
    note.take()
    assert note.wait(futures, 0.1) == {futures[1]}
    note.take()
    with pytest.raises(KeyboardInterrupt):
        note.wait(futures)
    assert not let_go.is_set()


# ---------------------------------------------------------------------------------------------------- whole trainings

# No pipe is full and no handler is inherited: what is printed is read line by line, as it comes.
START = """
import os, signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, ROOT)
import numba.core.compiler_lock as lock, numpy as np, minitms as tms
from pathlib import Path
"""
# The compiler takes its lock when it begins; of what it has finished there is a file.
COMPILING = START + """
begun = lock._CompilerLock.acquire
def acquire(self):
    begun(self)
    os.write(1, b"" if told else b"compiling\\n")
    told.append(True)
told = []
lock._CompilerLock.acquire = acquire
try:
    tms.train(tms.SparseFeatures(5, 0.3), 2, steps=10**6, seed=0)
except KeyboardInterrupt as error:
    compiled = list(Path(os.environ["NUMBA_CACHE_DIR"]).rglob("*.nbc"))
    print(f"{len(compiled)} compiled; {error}", flush=True)
"""
TRAINING = START + """
features = tms.SparseFeatures(5, 0.3)
tms.train(features, 2, steps=1, seed=0, engine=ENGINE)
threading.Timer(0.3, print, ["training"], {"flush": True}).start()
try:
    tms.train(features, 2, steps=10**6, seed=0, engine=ENGINE, checkpoint=FOLDER)
except KeyboardInterrupt as error:
    print(error, flush=True)
"""


def start(code, cache=None, **names):
    for name, value in {"ROOT": str(ROOT), **names}.items():
        code = code.replace(name, repr(value))
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"} | ({"NUMBA_CACHE_DIR": str(cache)} if cache else {})
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    process = subprocess.Popen([sys.executable, "-c", code], **pipes)
    guard = threading.Timer(300, process.kill)  # a hang is an end without the last line
    guard.daemon = True
    guard.start()
    return process


@pytest.mark.parametrize("engine", ["numba", "numpy"])
def test_ctrl_c_in_the_final_losses(engine, tmp_path, monkeypatch):
    """It is heard between two parts of them, and what was trained is not lost."""
    call = {"features": tms.SparseFeatures(6, 0.3), "n_hidden": 2, "steps": 3, "batch_size": 1, "restarts": 40,
            "seed": 0, "engine": engine, "progress": False}  # fmt: skip
    expected, scored = tms.train(**call).loss, []
    where, name = (fast, "advance") if engine == "numba" else (judge, "loss")
    whole = getattr(where, name)

    def pressed(*arguments, **more):
        if engine == "numpy" or arguments[5] == fast.SCORE:
            scored.append(1)
            if len(scored) == 3:
                os.kill(os.getpid(), signal.SIGINT)
        return whole(*arguments, **more)

    monkeypatch.setattr(where, name, pressed)
    for checkpoint, said in ((tmp_path / "run", "is kept in the checkpoint"), (None, "is lost; with checkpoint=")):
        scored.clear()
        with pytest.raises(KeyboardInterrupt, match=f"final losses, after all steps; what was trained {said}"):
            tms.train(**call, checkpoint=checkpoint)
        assert len(scored) < 40
    monkeypatch.undo()
    np.testing.assert_array_equal(tms.train(**call, checkpoint=tmp_path / "run").loss, expected)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_ctrl_c_while_a_kernel_is_compiled(tmp_path):
    """It is heard at once, long before the compiler is done, and a second one waits no longer."""
    with start(COMPILING, tmp_path) as process:
        try:
            assert process.stdout.readline() == "compiling\n", process.stderr.read()
            process.send_signal(signal.SIGINT)
            assert process.stderr.readline() == WAITING + "\n"
            assert not list(tmp_path.rglob("advance*.nbc"))
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline().startswith("0 compiled; stopped after step 0 of 1000000, and what was ")
            assert process.wait(60) == 0
        finally:
            process.kill()


@pytest.mark.parametrize("engine", ["numba", "numpy"])
@pytest.mark.parametrize("kept", [False, True])
def test_ctrl_c_says_what_becomes_of_the_training(engine, kept, tmp_path):
    folder = str(tmp_path / "run") if kept else None
    with start(TRAINING, ENGINE=engine, FOLDER=folder) as process:
        try:
            assert process.stdout.readline() == "training\n", process.stderr.read()
            process.send_signal(signal.SIGINT)
            message = process.stdout.readline()
            assert process.wait(60) == 0
        finally:
            process.kill()
    if kept:
        state = rf"; the state after step [1-9]\d* of 1000000 is kept in {re.escape(folder)}: run the same call again"
        assert re.fullmatch(f"stopped({state} to go on| before a first state was kept; .* begins anew)\n", message)
    else:
        assert message.startswith("stopped after step ")
        assert message.endswith(" of 1000000, and what was trained is lost; with checkpoint=FOLDER it is kept, and the "
                                "same call goes on\n")  # fmt: skip
        assert int(message.split()[3]) > 0
