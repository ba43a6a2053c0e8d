"""The numbers that the page shows and cannot make itself in a moment: phase diagrams, and models of many features.

They are made by the package's own functions, and kept in ``source/numbers.json``, from which the page is built:
``python -m minitms.explorer --numbers`` makes them anew, in about three minutes.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np

from minitms.examples import load_example
from minitms.expected import minimise_expected_loss
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

    `exact` has the least expected loss; `together` the least of features that are always on together, as in the earlier
    replication; `trained` is the best of ten that were trained on samples, which comes with the package.
    """
    trained = load_example("phase_changes")
    densities, importances = trained.densities[::STRIDE], trained.importances
    exact = phase_diagram(densities, importances, method="expected", restarts=STARTS, seed=0)
    best, together = exact.best(), _together(exact)
    return {
        "densities": packed(densities, "float64"),
        "importances": packed(importances, "float64"),
        "exact": packed(np.concatenate([best.W[..., 0, :], best.b], axis=-1), "float32"),
        "together": packed(together, "float32"),
        "trained": packed(trained.W[0, ::STRIDE, :, 0], "float16"),
    }


def _together(diagram):
    """The models of least loss if both features are always on together, (D, I, 4), from starts like the diagram's."""
    rng, shape = np.random.default_rng(0), (10, *diagram.loss.shape[1:])
    importance = np.stack([np.ones_like(diagram.importances), diagram.importances], axis=-1)
    found = minimise_expected_loss(
        1.5 * rng.standard_normal((*shape, 1, 2)), 0.5 * rng.standard_normal((*shape, 2)),
        np.repeat(diagram.densities[:, None, None], 2, axis=-1), importance, "relu", "together",
    )  # fmt: skip
    best = found.loss.argmin(axis=0)[None, ..., None]
    models = np.take_along_axis(np.concatenate([found.W[..., 0, :], found.b], axis=-1), best, axis=0)[0]
    return models * np.where(models[..., :1] < 0, [-1, -1, 1, 1], 1)  # W and -W are one model


def geometry() -> dict:
    """Models of many features, one a density: the scatter of D_i in section 4 of the paper."""
    run = train(SparseFeatures(SIZE, DENSITIES[:, None]), HIDDEN, steps=STEPS, restarts=1, seed=0)
    return {"densities": packed(DENSITIES, "float64"), "steps": STEPS, "W": packed(run.best().W, "float16")}


def packed(array, dtype) -> dict:
    """An array as JSON can hold it."""
    data = np.asarray(array).astype(np.dtype(dtype).newbyteorder("<")).tobytes()
    return {"dtype": dtype, "shape": list(np.shape(array)), "base64": base64.b64encode(data).decode("ascii")}
