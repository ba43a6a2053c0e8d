"""The trained phase diagrams that several figures share; each is trained once a run."""

from __future__ import annotations

from functools import cache

import numpy as np

import minitms as tms

DENSITIES, IMPORTANCES = np.geomspace(0.01, 1, 1000), np.geomspace(0.1, 10, 100)
QUICK = np.geomspace(0.01, 1, 40), np.geomspace(0.1, 10, 20)


@cache
def trained(activation, quick):
    """A million ReLU models (ten restarts, batch 64), or 100,000 linear ones (batch 128): 6,000 steps of Adam at 0.01.

    With `quick` 800 cells on the same axes, three restarts and 1,000 steps.
    """
    grid = QUICK if quick else (DENSITIES, IMPORTANCES)
    restarts, batch_size = (10, 64) if activation == "relu" else (1, 128)
    if quick:
        restarts = min(restarts, 3)
    return tms.phase_diagram(*grid, activation, restarts=restarts, steps=1000 if quick else 6000,
                             batch_size=batch_size, learning_rate=1e-2, seed=0)
