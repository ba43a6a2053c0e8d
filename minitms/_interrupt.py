"""Ctrl-C, answered where nothing is lost by it.

Python raises KeyboardInterrupt between any two instructions of the main thread. One of these is where a lock inside
`concurrent.futures` has been taken and its ``with`` block not yet entered: the lock is never released, and the pool of
threads waits for ever. So while others work for it, the main thread only notes the key and looks at the note at
times. It does none of the work itself: inside the compiler or a kernel it could not even note the key.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import signal
import sys
import threading
import time

TICK = 0.05  # seconds between two looks at the note
PATIENCE = 0.3  # seconds after Ctrl-C until it is said what is being waited for
WAITING = (
    "Ctrl-C: stopping as soon as the work at hand is done. Where kernels are being compiled, once for each kind of "
    "model, that takes up to 15 s. Ctrl-C once more does not wait for it."
)


class Note:
    """How often Ctrl-C was pressed."""

    pressed = 0
    first: float | None = None  # when

    def take(self, number=None, frame=None):
        self.pressed += 1
        self.first = self.first or time.monotonic()

    def answer(self):
        """Raise KeyboardInterrupt if Ctrl-C was pressed."""
        if self.pressed:
            raise KeyboardInterrupt

    def wait(self, futures, timeout=None, return_when=concurrent.futures.ALL_COMPLETED):
        """`concurrent.futures.wait`, which says on Ctrl-C what it waits for, and on a second one waits no more."""
        end, told = None if timeout is None else time.monotonic() + timeout, False
        while True:
            done, waiting = concurrent.futures.wait(futures, TICK, return_when)
            some = done and return_when == concurrent.futures.FIRST_COMPLETED
            if not waiting or some or (end is not None and time.monotonic() >= end):
                return done
            if self.pressed > 1:
                raise KeyboardInterrupt
            if self.pressed and not told and time.monotonic() - self.first > PATIENCE:
                print(WAITING, file=sys.stderr, flush=True)
                told = True


_note: Note | None = None  # of the outermost block


@contextlib.contextmanager
def noted():
    """A block in which Ctrl-C waits for ``note.answer()`` or ``note.wait(...)``, or for the end of the block.

    A block inside a block takes the same note. Where Ctrl-C does something else already, and outside the main thread,
    which hears of it alone, the block changes nothing.
    """
    global _note
    main = threading.current_thread() is threading.main_thread()
    if main and _note:
        yield _note
        return
    note = Note()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield note
        return
    _note = note
    signal.signal(signal.SIGINT, note.take)
    try:
        yield note
    finally:
        _note = None
        signal.signal(signal.SIGINT, signal.default_int_handler)
    note.answer()
