"""What one waits for: ``python tests/benchmarks/startup.py``.

The import of minitms beside that of numba alone, and the first call of `train` with an empty compile cache and with a
filled one, each in fresh processes. Prints medians of interleaved rounds, in seconds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import tables

FIRST_CALL = """
import time
import minitms as tms
features = tms.SparseFeatures({n}, 0.1)
start = time.perf_counter()
tms.train(features, 2, steps=1, batch_size={batch}, seed=0)
print(time.perf_counter() - start)
"""
IMPORT = "import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"


def seconds(code, cache):
    """What the code prints, in a fresh process with this compile cache."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    return float(subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True).stdout)


def main():
    with tempfile.TemporaryDirectory() as filled:

        def fresh(code):
            with tempfile.TemporaryDirectory() as empty:
                return seconds(code, empty)

        print("import, seconds")
        median = tables.interleaved({
            name: lambda name=name: seconds(IMPORT.format(module=name), filled) for name in ("numba", "minitms")
        })  # fmt: skip
        print(f"    minitms takes {median['minitms'] - median['numba']:.2f} s more than numba")
        for name, n, batch in (("one-thread-a-model kernel", 5, 16), ("part-by-part kernel", 400, 1024)):
            code = FIRST_CALL.format(n=n, batch=batch)
            print(f"first call of train, {name}, seconds")
            tables.interleaved({
                "compiled": lambda code=code: fresh(code),
                "from cache": lambda code=code: seconds(code, filled),
            }, rounds=3)  # fmt: skip


if __name__ == "__main__":
    main()
