"""Threads over models: the kernels release Python's global lock, so plain threads run them side by side.

Unlike Numba's own parallel loops they compile fast, survive a fork, answer Ctrl-C, and can be started from any thread.
Each item is one thread's work from start to end, so the number of threads never changes a bit of the result.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numba


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
        cuts = [items * part // self.count for part in range(self.count + 1)]
        parts = [(first, last) for first, last in pairwise(cuts) if last > first]
        others = [self._pool.submit(function, *part, *arguments) for part in parts[1:]]
        try:
            function(*parts[0], *arguments)
        finally:
            for other in others:
                other.result()
