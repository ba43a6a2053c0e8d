"""What one waits for: ``python tests/benchmarks/startup.py``.

The import of minitms beside that of numba alone, and the first call of `train` with an empty compile cache and with a
filled one, each in fresh processes, beside that of the smallest function that numba can compile: what any first call
costs. The final losses on 2^16 examples are part of the call. Prints medians of interleaved rounds, in seconds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import tables

TIMED = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"
SMALLEST = "import numba\n@numba.njit(cache=True)\ndef smallest(x):\n    return x\n" + TIMED.format("smallest(1.0)")
TRAIN = "import minitms as tms\nfeatures = tms.SparseFeatures({n}, 0.1)\n" + TIMED.format(
    "tms.train(features, {m}, steps=1, batch_size={batch}, restarts=1, seed=0)"
)
FIRST_CALLS = {
    "the smallest function of numba": SMALLEST,
    "train, one-thread-a-model kernel": TRAIN.format(n=5, m=2, batch=16),
    "train, part-by-part kernel": TRAIN.format(n=400, m=30, batch=1024),
}


def seconds(script, cache):
    """What the script prints, in a fresh process with this compile cache."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, "-W", "ignore", script]
    return float(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)


def main():
    with tempfile.TemporaryDirectory() as folder:

        def script(name, code):
            path = Path(folder, f"time_{name.replace(' ', '_')}.py")
            path.write_text(code)
            return path

        def compiled(path):
            with tempfile.TemporaryDirectory() as empty:
                return seconds(path, empty)

        print("import, seconds")
        imports = {name: script(name, TIMED.format(f"import {name}")) for name in ("numba", "minitms")}
        median = tables.interleaved({
            name: lambda path=path: seconds(path, folder) for name, path in imports.items()
        })  # fmt: skip
        print(f"    minitms takes {median['minitms'] - median['numba']:.2f} s more than numba")

        scripts = {name: script(name, code) for name, code in FIRST_CALLS.items()}
        print("first call, compiled, seconds")
        tables.interleaved({name: lambda path=path: compiled(path) for name, path in scripts.items()})
        print("first call, from cache, seconds")
        tables.interleaved({name: lambda path=path: seconds(path, folder) for name, path in scripts.items()})


if __name__ == "__main__":
    main()
