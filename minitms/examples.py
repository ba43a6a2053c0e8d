"""Finished results that come with the package, so that a reader can look at them without training for minutes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "data"


def load_example(name: str) -> dict:
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

    Raises
    ------
    ValueError
        If there is no such example.

    Examples
    --------
    >>> import minitms as tms
    >>> example = tms.load_example("phase_changes")
    >>> example["class_names"][example["classes"]].shape
    (1000, 100)
    """
    names = sorted(path.stem for path in FOLDER.glob("*.npz"))
    if name not in names:
        raise ValueError(f"there is no example {name!r}; expected one of {', '.join(map(repr, names))}")
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)
