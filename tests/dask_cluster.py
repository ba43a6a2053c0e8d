"""Run a sweep on a Dask cluster of two worker processes on this machine, and kill one of them on the way.

Needs the optional package ``distributed``. Prints what happened; ends with status 1 if the bits differ.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np

ROOT = str(Path(__file__).resolve().parent.parent)
sys.path.insert(0, ROOT)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [ROOT, os.environ.get("PYTHONPATH")]))

SWEEP = {
    "densities": np.geomspace(0.01, 1, 64), "importances": np.geomspace(0.1, 10, 32), "restarts": 2, "steps": 1000,
    "seed": 0, "progress": False,
}  # fmt: skip


def main():
    from distributed import Client, LocalCluster

    import minitms as tms

    here = tms.phase_diagram(**SWEEP)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        victim = next(iter(client.run(os.getpid).values()))
        killed = []

        def kill():
            time.sleep(1)
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)

        killer = threading.Thread(target=kill)
        killer.start()
        there = tms.phase_diagram(**SWEEP, executor=client.get_executor())
        killer.join()
    same = all((getattr(here, name) == getattr(there, name)).all() for name in ("W", "b", "loss", "history"))
    print(f"{here.loss.size} models on two workers, {len(killed)} of them killed:",
          "same bits after the loss of a worker" if same else "OTHER BITS")  # fmt: skip
    return 0 if same and killed else 1


if __name__ == "__main__":
    sys.exit(main())
