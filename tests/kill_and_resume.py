"""Kill a sweep with SIGKILL at random moments, again and again, and see that it resumes to the same bits.

    python tests/kill_and_resume.py              twenty kills, a few minutes
    python tests/kill_and_resume.py --kills 2 --models 2048

Each kill falls between 5 and 95 % of the chunks. Then the same call is made again: the finished chunks must not be
touched, and the result must be that of a sweep that nobody disturbed. POSIX only.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SIDE = 32  # densities and importances


def sweep(folder, models, steps):
    """The sweep of a child process; returns a hash of its result."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    import minitms as tms

    diagram = tms.phase_diagram(
        np.geomspace(0.01, 1, SIDE), np.geomspace(0.1, 10, SIDE), restarts=models // SIDE**2, steps=steps, seed=0,
        checkpoint=folder or None, progress=False,
    )  # fmt: skip
    digest = hashlib.sha256()
    for array in (diagram.W, diagram.b, diagram.loss, diagram.history):
        digest.update(array.tobytes())
    return digest.hexdigest()


def child(folder, args):
    sizes = ["--models", str(args.models), "--steps", str(args.steps)]
    return subprocess.Popen(
        [sys.executable, __file__, *sizes, "--child", str(folder)], stdout=subprocess.PIPE, text=True
    )


def result(process):
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"a child ended with status {process.returncode}")
    return output.strip()


def finished(folder):
    """Name, inode and time of every finished chunk: all three stay if it is not computed again."""
    return {(path.name, path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("chunk-*.npz")}


def kill_once(folder, chunks, args, expected):
    """Start, kill at a random chunk, resume; return (chunks at the kill, unchanged chunks, whether the bits agree)."""
    target = random.uniform(0.05, 0.95) * chunks
    process = child(folder, args)
    try:
        while len(finished(folder)) < target and process.poll() is None:
            time.sleep(0.002)
    finally:
        process.kill()
        process.communicate()
    before = finished(folder)
    bits = result(child(folder, args)) == expected
    return len(before), len(before & finished(folder)), bits


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--models", type=int, default=65_536, help=f"a multiple of {SIDE**2}")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child is not None:
        print(sweep(args.child, args.models, args.steps))
        return 0
    work = Path(tempfile.mkdtemp(dir=args.folder))
    good = 0
    try:
        expected = result(child("", args))
        (work / "whole").mkdir()
        if result(child(work / "whole", args)) != expected:
            raise SystemExit("a sweep with a checkpoint differs from one without")
        chunks = len(finished(work / "whole"))
        for k in range(args.kills):
            folder = work / f"kill-{k}"
            at, kept, bits = kill_once(folder, chunks, args, expected)
            ok = 0 < at < chunks and kept == at and bits
            good += ok
            print(f"kill {k + 1:2}: at {at:3} of {chunks} chunks, {kept} of them not computed again, "
                  f"{'same' if bits else 'OTHER'} bits", flush=True)  # fmt: skip
            shutil.rmtree(folder)
    finally:
        shutil.rmtree(work)
    print(f"{good} of {args.kills} kills resumed to the same bits")
    return 0 if good == args.kills else 1


if __name__ == "__main__":
    sys.exit(main())
