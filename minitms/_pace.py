"""Long work is cut into chunks of about a tenth of a second, between which Python sees to everything else.

That one decision gives Ctrl-C, progress bars, checkpoints and snapshots.
"""

from __future__ import annotations

import html
import io
import os
import shutil
import sys
import threading
import time

from tqdm import tqdm

from minitms.fast import jit

CHUNK_SECONDS = 0.1  # about; at least one unit of work
SHOWN_AFTER = 3.0  # seconds, until which there is no bar
NARROW = 60  # columns, below which there is no room for all of it
SHORT = "{percentage:3.0f}% {rate_fmt}, {remaining}"


def chunks(first: int, last: int, stops=(), size: int = 1):
    """Cut the work ``first .. last - 1`` into ranges that take the caller about CHUNK_SECONDS each.

    A range ends at each of the `stops`. The first is of `size` units; the time between two ranges tells how long the
    next may be.
    """
    stops = sorted(stop for stop in stops if first < stop < last)
    while first < last:
        end = min(first + size, *stops[:1], last)
        begun = time.perf_counter()
        yield first, end
        size = max(1, int((end - first) * CHUNK_SECONDS / (time.perf_counter() - begun)))
        first = end
        while stops and stops[0] <= first:
            del stops[0]


def bar(total: int, unit: str, progress: bool | None) -> tqdm:
    """A bar over `total` units; `progress` None decides by where we run; TQDM_DISABLE=1 means none."""
    if progress is None:
        progress = not os.environ.get("TQDM_DISABLE") and (sys.stderr.isatty() or _in_notebook())
    options = {"total": total, "unit": unit, "unit_scale": True, "disable": not progress, "delay": SHOWN_AFTER}
    if _in_notebook():
        return _NotebookBar(**options, leave=False, file=io.StringIO(), ncols=80, ascii=False)
    short = SHORT if shutil.get_terminal_size().columns < NARROW else None
    return _Bar(**options, leave=False, bar_format=short)


class _Bar(tqdm):
    """A tqdm bar that also shows itself before anything is done, if that is because loops are being compiled."""

    _timer = None

    def __init__(self, **options):
        super().__init__(**options)
        if not self.disable:
            self._timer = threading.Timer(SHOWN_AFTER, self._say)
            self._timer.daemon = True
            self._timer.start()

    def _say(self):
        if said := jit.compiling():
            self.last_print_t = self._time()  # or closing would not wipe it
            self.display(said)

    def update(self, n=1):
        if n and self._timer:
            self._timer.cancel()
        return super().update(n)

    def close(self):
        if self._timer:
            self._timer.cancel()
        super().close()


class _NotebookBar(_Bar):
    """A bar in one element of the page, empty at the end. What tqdm writes to stderr stays, red, line by line."""

    name = None  # of the element, once there is one

    def display(self, msg=None, pos=None):
        text = html.escape(str(self) if msg is None else msg)
        element = {"text/html": f"<pre>{text}</pre>" if text else ""}
        known, self.name = self.name is not None, f"minitms-{id(self)}"
        if known or text:
            show = sys.modules["IPython"].display.display
            show(element, raw=True, display_id=self.name, update=known)


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and type(ipython.get_ipython()).__name__ == "ZMQInteractiveShell"
