"""Ctrl-C waits inside a block of `deferred`, is never lost, and elsewhere does what it did before."""

from __future__ import annotations

import signal
import threading

import pytest

from minitms._interrupt import deferred


def ctrl_c(answer=None):
    signal.raise_signal(signal.SIGINT)


def ask(answer):
    answer()


def fail(answer):
    raise ZeroDivisionError


def block(actions, done):
    """Do the actions in a block, one by one, and note those that were done."""
    with deferred() as answer:
        for action in actions:
            action(answer)
            done.append(action)


@pytest.fixture(autouse=True)
def default_handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("actions", "error", "done"),
    [
        ([ask, ctrl_c, ask, ask], KeyboardInterrupt, [ask, ctrl_c]),  # it waits until it is asked for,
        ([ctrl_c], KeyboardInterrupt, [ctrl_c]),  # or until the end of the block
        ([ctrl_c, ctrl_c, ask], KeyboardInterrupt, [ctrl_c]),  # a second one does not wait
        ([ctrl_c, fail], ZeroDivisionError, [ctrl_c]),  # another error is not replaced
    ],
)
def test_ctrl_c_waits(actions, error, done):
    really_done = []
    with pytest.raises(error):
        block(actions, really_done)
    assert really_done == done


def test_what_ctrl_c_does_for_somebody_else_is_left_alone():
    heard = []

    def own(number, frame):
        heard.append(number)

    signal.signal(signal.SIGINT, own)
    with deferred() as answer:
        ctrl_c()
        answer()
    assert heard == [signal.SIGINT]
    assert signal.signal(signal.SIGINT, signal.default_int_handler) is own


def test_other_threads_may_enter_a_block():
    entered = []

    def enter():
        with deferred() as answer:
            answer()
            entered.append(True)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered
