"""Finished results that come with the package, so that a reader can look at them without training for minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

FOLDER = Path(__file__).parent / "data"


class Example(dict[str, np.ndarray]):
    """Arrays by their names, whose repr tells their shapes only."""

    def __repr__(self) -> str:
        said = (f"{name} {array.shape}" if array.ndim else f"{name}={array.item()!r}" for name, array in self.items())
        return f"Example({', '.join(said)})"


def load_example(name: Literal["phase_changes"]) -> Example:
    """Load a result that comes with the package.

    Parameters
    ----------
    name : "phase_changes"
        The best of ten of each cell of a million one-neuron ReLU models, trained by ``python -m figures phase_changes``
        at full size: densities (D,), importances (I,), W (D, I, 1, 2) in float16, classes (D, I) as indices into
        class_names, and how they were trained: activation, restarts, steps, batch_size, learning_rate, seed.

    Returns
    -------
    arrays : dict of str -> array
        Not a PhaseDiagram, which holds every restart with its bias and its loss: of a million models only the best W of
        each cell is small enough to come along.

    Raises
    ------
    ValueError
        If there is no such example.

    Examples
    --------
    >>> import matplotlib.pyplot as plt, minitms as tms
    >>> example = tms.load_example("phase_changes")
    >>> classes = example["class_names"][example["classes"]]
    >>> classes.shape
    (1000, 100)
    >>> grid = example["densities"], example["importances"]
    >>> ax = tms.plots.phase_map(*grid, tms.plots.class_colors(classes))
    >>> plt.close()
    """
    names = sorted(path.stem for path in FOLDER.glob("*.npz"))
    if name not in names:
        raise ValueError(f"there is no example {name!r}; expected one of {', '.join(map(repr, names))}")
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as arrays:
        return Example(arrays)
