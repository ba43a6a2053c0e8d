"""Ctrl-C, answered where nothing is lost by it.

Python raises KeyboardInterrupt between any two instructions of the main thread. One of these is where a lock inside
`concurrent.futures` has been taken and its ``with`` block not yet entered: the lock is never released, and the pool of
threads waits for ever. So long runs only note the key and look at the note between two chunks.
"""

from __future__ import annotations

import contextlib
import signal
import threading


@contextlib.contextmanager
def deferred():
    """A block in which the first Ctrl-C waits: for a call of the function that it gives, or for the end of the block.

    A second one is not made to wait. Where Ctrl-C does something else already, and outside the main thread, which
    hears of it alone, the block changes nothing.
    """
    pressed = False

    def note(number, frame):
        nonlocal pressed
        if pressed:
            signal.default_int_handler(number, frame)
        pressed = True

    def answer():
        if pressed:
            raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield answer
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield answer
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    answer()
