"""Train with kernels compiled now, loaded from disk, and compiled by many processes at once: the same bits every time.

    python tests/cold_and_warm.py            every kernel, dtype and way, by eight processes at once: some minutes
    python tests/cold_and_warm.py --quick    two kernels, by two

Each process is a new one. The first finds an empty NUMBA_CACHE_DIR, the second a full one; then all the others start
together with an empty one, each with other kernels first. All print a hash of what each training gave.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CASES = {
    # name: n, density (None: fixed examples), m, batch, few models so large that all cores share one
    "one neuron": (2, 0.3, 1, 300, False),
    "all": (37, 0.7, 7, 300, False),
    "all, one feature": (1, 0.7, 1, 5, False),
    "all, wide": (20, 0.7, 40, 300, False),
    "all, by parts": (37, 0.7, 7, 900, True),
    "active": (20, 0.002, 5, 300, False),
    "active, by parts": (20, 0.002, 5, 900, True),
    "gram": (80, 0.003, 20, 1024, False),
    "gram, by parts": (80, 0.003, 20, 1024, True),
    "fixed": (30, None, 3, 333, False),
}
MODELS = [("linear", True), ("relu", False)]
QUICK = [("one neuron", "linear", True, "float64"), ("all", "linear", True, "float32")]


def all_cases():
    """Of a float32 and a float64 kernel of one name, now one comes first, now the other."""
    return [(name, hidden, tied, dtype) for name in CASES for hidden, tied in MODELS for dtype in ("float32", "float64")
            if tied or name.partition(",")[0] in ("all", "active", "fixed")]  # fmt: skip


def train(case):
    """A hash of what the training gives."""
    import minitms as tms
    from minitms.fast import training as fast

    name, hidden, tied, dtype = case
    n, density, m, batch, together = CASES[name]
    fast.LONG_STEP = 0 if together else 1e30
    fast.HELD_OUT_EXAMPLES = 2000
    source = tms.SparseFeatures(n, 0.1 if density is None else density)
    if density is None:
        source, batch = tms.Examples(source.sample(batch, seed=0)), None
    run = tms.train(source, m, hidden=hidden, tied=tied, dtype=dtype, batch_size=batch, steps=7, restarts=2, seed=1,
                    progress=False)  # fmt: skip
    arrays = (*(run.W if isinstance(run.W, tuple) else (run.W,)), run.b, run.history, run.loss)
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def child(quick, first):
    sys.path.insert(0, str(ROOT))
    cases = QUICK if quick else all_cases()
    for number in range(len(cases)):
        case = cases[(first + number) % len(cases)]
        print(*case, train(case), sep="; ", flush=True)


def start(folder, quick, first=0):
    command = [sys.executable, __file__, "--child", str(first), *["--quick"] * quick]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "NUMBA_CACHE_DIR": folder})


def result(process):
    lines = process.communicate()[0].splitlines()
    if process.returncode:
        raise SystemExit(f"a child ended with status {process.returncode}")
    return sorted(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child is not None:
        child(args.quick, args.child)
        return 0
    cases, count = (len(QUICK), 2) if args.quick else (len(all_cases()), 8)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        cold = result(start(one, args.quick))
        warm = result(start(one, args.quick))
        kernels = len(list(Path(one).rglob("*.nbc")))
        together = [result(process) for process in
                    [start(other, args.quick, cases * k // count) for k in range(count)]]  # fmt: skip
        left_over = [path for path in Path(other).rglob("*") if path.is_file() and path.suffix != ".nbc"]
    wrong = sorted({line.rpartition("; ")[0] for run in (warm, *together) for line in set(run) ^ set(cold)})
    print(f"{cases} trainings by {kernels} kernels: cold, warm, and {count} cold at once; "
          f"other bits in: {wrong or 'none'}")  # fmt: skip
    return 1 if wrong or left_over or len(cold) != cases or not kernels else 0


if __name__ == "__main__":
    sys.exit(main())
