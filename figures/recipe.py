"""The one recipe for training that all figures of the introduction and section 2 share."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

import minitms as tms

STEPS = 5000


def train_seeds(features, n_hidden, activation="relu", *, seeds, restarts, steps=STEPS, snapshots=0):
    """Train once for each seed, and keep the best of several restarts each time.

    Adam, learning rate 0.01 falling to 0 along a cosine, 5,000 steps of 1,024 fresh examples, initial weights by
    Xavier on each model's own shape, b = 0. The paper does not state its optimiser; this one is the same everywhere.

    Returns
    -------
    namespace with W (seeds, ..., m, n), b (seeds, ..., n), loss (seeds, ...) of the best restarts, `runs`, the
    `TrainingRun` of each seed with all its restarts, and `all_losses` (seeds, restarts, ...)
    """
    runs = [tms.train(features, n_hidden, activation, steps=steps, batch_size=1024, learning_rate=1e-2,
                      schedule="cosine", restarts=restarts, seed=seed, snapshots=snapshots) for seed in range(seeds)]
    best = [run.best() for run in runs]
    return SimpleNamespace(runs=runs, all_losses=np.stack([run.loss for run in runs]),
                           **{name: np.stack([getattr(run, name) for run in best]) for name in ("W", "b", "loss")})
