"""The numbers that the page shows and cannot make itself in a moment: phase diagrams, and models of many features.

They are made by the package's own functions, and kept in ``source/numbers.json``, from which the page is built:
``python -m minitms.explorer --numbers`` makes them anew, in about three minutes, at the root of a clone.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np

from minitms.examples import load_example
from minitms.expected import expected_loss, minimise_expected_loss
from minitms.features import SparseFeatures
from minitms.phases import phase_diagram
from minitms.training import train

FILE = Path(__file__).parent / "source" / "numbers.json"
STARTS = 64                    # of a cell of the true diagram
STRIDE = 9                     # of the thousand densities of the million models, every ninth is shown
SIZE, HIDDEN = 200, 20         # features and hidden dimensions of the models whose geometry is shown
DENSITIES = 1 / np.geomspace(1, 10, 25)
STEPS = 3000


def make(path: Path = FILE) -> None:
    """Make all numbers and write them down, each array as the bytes of its little-endian values in base64."""
    path.write_text(json.dumps({"phases": phases(), "geometry": geometry()}, indent=1) + "\n", encoding="ascii")


def phases() -> dict:
    """Models of one neuron and two features, one a cell (density, importance), each as (w_1, w_2, b_1, b_2).

    `exact` has the least expected loss; `trained` is the best of ten that were trained on samples, of which the package
    keeps (w_1, w_2). `slip` is the best of ten that were trained with the slip and the settings of the earlier
    replication, of which both features were always on together; `together` has the least expected loss on such data.
    """
    trained = load_example("phase_changes")
    densities, importances = trained.densities[::STRIDE], trained.importances
    exact = phase_diagram(densities, importances, method="expected", restarts=STARTS, seed=0)
    best = exact.best()
    return {
        "densities": packed(densities, "float64"),
        "importances": packed(importances, "float64"),
        "exact": packed(np.concatenate([best.W[..., 0, :], best.b], axis=-1), "float32"),
        "together": packed(together(densities, importances), "float32"),
        "trained": packed(trained.W[0, ::STRIDE, :, 0], "float16"),
        "slip": packed(slip(densities, importances), "float16"),
    }


def together(densities, importances) -> np.ndarray:
    """The models of least loss if both features are always on together, (D, I, 4)."""
    W, b, cost = _start(densities, importances)
    found = minimise_expected_loss(W, b, densities[:, None, None], cost, "relu", "together")
    return _best(found.W, found.b, densities, cost)


def slip(densities, importances) -> np.ndarray:
    """The best models that are trained with the slip, (D, I, 4), as `figures.broadcast_slip` trains them.

    Its kernel is not part of the package: this works at the root of a clone alone.
    """
    from figures.slip import train as train_with_one_mask

    W, b, cost = _start(densities, importances)
    W, b = train_with_one_mask(W, b, densities[:, None], cost, slip=True, relu=True, steps=6000, batch_size=64,
                               learning_rate=1e-2, seed=0)  # fmt: skip
    return _best(W, b, densities, cost)


def _start(densities, importances):
    """Ten starts for each cell, W (10, D, I, 1, 2) and b (10, D, I, 2), as in the earlier replication; importances."""
    rng, shape = np.random.default_rng(0), (10, len(densities), len(importances))
    cost = np.stack([np.ones_like(importances), importances], axis=-1)
    return 1.5 * rng.standard_normal((*shape, 1, 2)), 0.5 * rng.standard_normal((*shape, 2)), cost


def _best(W, b, densities, cost):
    """Of the starts, the model with the least loss if both features are always on together, (D, I, 4)."""
    loss = expected_loss(W, b, densities[:, None, None], cost, "relu", "together")
    models = np.concatenate([W[..., 0, :], b], axis=-1)
    models = np.take_along_axis(models, loss.argmin(axis=0)[None, ..., None], axis=0)[0]
    return models * np.where(models[..., :1] < 0, [-1, -1, 1, 1], 1)  # W and -W are one model


def geometry() -> dict:
    """Models of many features, one a density: the scatter of D_i in section 4 of the paper."""
    run = train(SparseFeatures(SIZE, DENSITIES[:, None]), HIDDEN, steps=STEPS, restarts=1, seed=0)
    return {"densities": packed(DENSITIES, "float64"), "steps": STEPS, "W": packed(run.best().W, "float16")}


def packed(array, dtype) -> dict:
    """An array as JSON can hold it."""
    data = np.asarray(array).astype(np.dtype(dtype).newbyteorder("<")).tobytes()
    return {"dtype": dtype, "shape": list(np.shape(array)), "base64": base64.b64encode(data).decode("ascii")}
