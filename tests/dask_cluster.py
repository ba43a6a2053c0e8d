"""Run a sweep or a training on a Dask cluster of two worker processes on this machine, and kill one of them on the way.

    python tests/dask_cluster.py sweep
    python tests/dask_cluster.py train

Needs the optional package ``distributed``. Prints what happened; ends with status 1 if the bits differ.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

ROOT = str(Path(__file__).resolve().parent.parent)
sys.path.insert(0, ROOT)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [ROOT, os.environ.get("PYTHONPATH")]))


def sweep(**options):
    import minitms as tms

    grid = np.geomspace(0.01, 1, 64), np.geomspace(0.1, 10, 32)
    return tms.phase_diagram(*grid, restarts=2, steps=1000, seed=0, progress=False, **options)


def train(**options):
    """The paper's section 8, many times over."""
    import minitms as tms

    features = tms.SparseFeatures(3, [[0.1], [0.3], [1.0]], signed=True, target="abs")
    return tms.train(features, 6, hidden="relu", tied=False, steps=500, batch_size=256, restarts=40, seed=0,
                     progress=False, **options)  # fmt: skip


def main():
    from distributed import Client, LocalCluster

    run = {"sweep": sweep, "train": train}[sys.argv[1]]
    here = run()
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        victim = next(iter(client.run(os.getpid).values()))
        killed, checkpoint = [], Path(folder) / "run"

        def kill():
            while not list(checkpoint.glob("chunk-*.npz")):
                time.sleep(0.01)
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)

        killer = threading.Thread(target=kill)
        killer.start()
        there = run(executor=client.get_executor(), checkpoint=checkpoint)
        killer.join()
        again = run(executor=client.get_executor(), checkpoint=checkpoint)  # simply loaded
    same = all(
        np.array_equal(getattr(here, name), getattr(other, name))
        for other in (there, again) for name in ("W", "b", "loss", "history")
    )  # fmt: skip
    print(f"{here.loss.size} models on two workers, {len(killed)} of them killed:",
          "same bits after the loss of a worker" if same else "OTHER BITS")  # fmt: skip
    return 0 if same and killed else 1


if __name__ == "__main__":
    sys.exit(main())
