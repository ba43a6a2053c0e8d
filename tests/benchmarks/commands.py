"""How long the commands of the README take, compiling included: ``python tests/benchmarks/commands.py``.

Runs ``python -m figures --quick`` and ``python -m figures`` in fresh processes with an empty compile cache, and writes
a sentence into the project's README. The figures are written where they belong.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

import tables

COMMANDS = ("-m figures --quick", "-m figures")


def seconds(command):
    with tempfile.TemporaryDirectory() as cache:
        start = time.perf_counter()
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        subprocess.run([sys.executable, *command.split()], cwd=tables.ROOT, env=environment, check=True)
        return time.perf_counter() - start


def spoken(seconds):
    return f"{seconds:.0f} seconds" if seconds < 100 else f"{seconds / 60:.0f} minutes"


def main():
    quick, full = (spoken(seconds(command)) for command in COMMANDS)
    tables.write(
        "times",
        "Then `.venv/bin/python -m figures` makes them at full size, in `figures/`. On "
        f"{tables.machine()}, with nothing compiled yet, that took {full}, and `--quick` {quick}.",
        page=tables.ROOT / "README.md",
    )


if __name__ == "__main__":
    main()
