"""Progress bars: shown on a terminal and in a notebook, off in scripts without one, and only for what takes a while."""

from __future__ import annotations

import os
import sys

from tqdm import tqdm

SHOWN_AFTER = 1.0  # seconds


def bar(total: int, unit: str, progress: bool | None) -> tqdm:
    """A tqdm bar over `total` units; `progress` None decides by where we run; TQDM_DISABLE=1 means none."""
    if progress is None:
        progress = not os.environ.get("TQDM_DISABLE") and (sys.stderr.isatty() or _in_notebook())
    return tqdm(total=total, unit=unit, unit_scale=True, disable=not progress, delay=SHOWN_AFTER, leave=False)


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and type(ipython.get_ipython()).__name__ == "ZMQInteractiveShell"
