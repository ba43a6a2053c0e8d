"""Threads over models: the kernels release Python's global lock, so plain threads run them side by side.

Unlike Numba's own parallel loops they compile fast, survive a fork, answer Ctrl-C, and can be started from any thread.
One thread at a time works on an item, and in its order, so the number of threads never changes a bit of the result.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numba

PIECES = 16  # into which a thread's share is cut, where threads take pieces as they get free


class Threads:
    """A pool that shares out ranges of items; use it in a ``with`` statement.

    `count` None takes ``numba.get_num_threads()``, so that ``NUMBA_NUM_THREADS`` is respected.
    """

    def __init__(self, count: int | None = None):
        self.count = count or numba.get_num_threads()
        self._pool = ThreadPoolExecutor(self.count - 1) if self.count > 1 else None

    def __enter__(self) -> Threads:
        return self

    def __exit__(self, *error) -> None:
        if self._pool:
            self._pool.shutdown()

    def share(self, function, items: int, *arguments) -> None:
        """Call ``function(first, last, *arguments)`` on equal parts of ``range(items)``; the caller works too."""
        parts = cuts(items, self.count)
        others = [self._pool.submit(function, *part, *arguments) for part in parts[1:]]
        try:
            function(*parts[0], *arguments)
        finally:
            for other in others:
                other.result()

    def share_steps(self, function, items: int, steps: int, *arguments) -> None:
        """Call ``function(first, last, first_step, last_step, *arguments)`` until each item has taken all its steps.

        A free thread takes on the items that have waited longest, for a part of their steps. So items that cost
        unequal time, or are not as many as a multiple of the threads, still keep all threads at work to the end.
        """
        groups = cuts(items, PIECES * self.count)
        stages = cuts(steps, PIECES) if items < PIECES * self.count else cuts(steps, 1)
        waiting = deque((group, 0) for group in groups)

        def work(first, last):
            while True:
                try:
                    group, stage = waiting.popleft()
                except IndexError:  # nothing waits: the threads at work will finish what they hold
                    return
                function(*group, *stages[stage], *arguments)
                if stage + 1 < len(stages):
                    waiting.append((group, stage + 1))

        self.share(work, self.count)


def cuts(items, parts):
    """The ranges (first, last) of at most `parts` equal parts of ``range(items)``."""
    bounds = [items * part // parts for part in range(parts + 1)]
    return [(first, last) for first, last in pairwise(bounds) if last > first]
