"""Threads over models: the kernels release Python's global lock, so plain threads run them side by side.

Unlike Numba's own parallel loops they compile fast, survive a fork, and can be started from any thread; and the thread
that starts them only waits, so that it hears Ctrl-C at once. One thread at a time works on an item, and in its order,
so the number of threads never changes a bit of the result.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numba

from minitms import _checks, _interrupt

PIECES = 16  # into which a thread's share is cut, where threads take pieces as they get free


class Threads:
    """A pool that shares out ranges of items; use it in a ``with`` statement, in which Ctrl-C waits for `answer`.

    `count` None takes ``numba.get_num_threads()``, so that ``NUMBA_NUM_THREADS`` is respected.
    """

    def __init__(self, count: int | None = None):
        self.count = numba.get_num_threads() if count is None else _checks.integer("threads", count, at_least=1)

    def __enter__(self) -> Threads:
        self._pool = ThreadPoolExecutor(self.count)
        self._interrupts = contextlib.ExitStack()
        self._note = self._interrupts.enter_context(_interrupt.noted())
        return self

    def __exit__(self, *error) -> None:
        left = self._note.pressed > 1  # somebody does not want to wait
        self._pool.shutdown(wait=not left, cancel_futures=left)
        self._interrupts.__exit__(*error)

    def answer(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed; between two calls of the methods below nothing is lost."""
        self._note.answer()

    def share(self, function, items: int) -> None:
        """Call ``function(first, last)`` on equal parts of ``range(items)``."""
        self._run([(function, *part) for part in cuts(items, self.count)])

    def share_steps(self, function, items: int, steps: int) -> None:
        """Call ``function(first, last, first_step, last_step)`` until each item has taken all its steps.

        A free thread takes on the items that have waited longest, for a part of their steps. So items that cost
        unequal time, or are not as many as a multiple of the threads, still keep all threads at work to the end.
        """
        groups = cuts(items, PIECES * self.count)
        stages = cuts(steps, PIECES) if items < PIECES * self.count else cuts(steps, 1)
        waiting = deque((group, 0) for group in groups)

        def work():
            while True:
                try:
                    group, stage = waiting.popleft()
                except IndexError:  # nothing waits: the threads at work will finish what they hold
                    return
                function(*group, *stages[stage])
                if stage + 1 < len(stages):
                    waiting.append((group, stage + 1))

        self._run([(work,)] * self.count)

    def share_each_step(self, function, items: int, finish, steps: int) -> None:
        """Take steps together: at each, call ``function(first, last, t)`` on equal parts of ``range(items)``.

        When all threads have ended step t, one of them calls ``finish(t)`` while the others wait: they meet once a
        step, since a meeting costs as much as some seventy thousand updates of a weight.
        """
        parts = cuts(items, self.count)
        meeting = _Meeting(len(parts))

        def work(own, part):
            with meeting:
                for t in range(steps):
                    function(*part, t)
                    if not meeting.wait(own, finish, t):
                        return

        self._run([(work, *each) for each in enumerate(parts)])

    def _run(self, calls) -> None:
        """Make the calls, each on a thread of its own, and wait for all; raise what the first that failed did."""
        futures = [self._pool.submit(*call) for call in calls]
        self._note.wait(futures)
        for future in futures:
            if error := future.exception():
                raise error


class _Meeting:
    """Where threads wait until all are there, each at a gate of its own: it costs half of a `threading.Barrier`.

    One that leaves its ``with`` block by an error ends the meeting, and nobody waits any longer.
    """

    def __init__(self, count):
        self._count = self._missing = count
        self._lock, self._gates, self._ended = threading.Lock(), [threading.Lock() for _ in range(count)], False
        for gate in self._gates:
            gate.acquire()

    def __enter__(self):
        return self

    def __exit__(self, kind, *error):
        if kind:
            self._ended = True
            self._open(self._gates)

    def wait(self, own, finish, t) -> bool:
        """Wait for all; the last to come calls ``finish(t)`` first. Returns whether the meeting goes on."""
        with self._lock:
            self._missing -= 1
            last = not self._missing
        if last:
            self._missing = self._count
            finish(t)
            self._open(gate for gate in self._gates if gate is not self._gates[own])
        else:
            self._gates[own].acquire()
        return not self._ended

    def _open(self, gates):
        for gate in gates:
            with contextlib.suppress(RuntimeError):  # it is open, and whoever comes to it does not wait
                gate.release()


def cuts(items, parts):
    """The ranges (first, last) of at most `parts` equal parts of ``range(items)``."""
    parts = min(parts, items)
    return list(itertools.pairwise(items * part // parts for part in range(parts + 1))) if items else []
