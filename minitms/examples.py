"""Finished results that come with the package, so that a reader can look at them without training for minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, overload

from minitms import _checks
from minitms.diagram import PhaseDiagram
from minitms.run import TrainingRun

FOLDER = Path(__file__).parent / "data"
LOADERS = {"absolute_value": TrainingRun.load, "phase_changes": PhaseDiagram.load}


@overload
def load_example(name: Literal["absolute_value"]) -> TrainingRun: ...


@overload
def load_example(name: Literal["phase_changes"]) -> PhaseDiagram: ...


def load_example(name: Literal["absolute_value", "phase_changes"]) -> TrainingRun | PhaseDiagram:
    """Load a result that comes with the package, as what its maker returns.

    Parameters
    ----------
    name : "absolute_value" or "phase_changes"
        "absolute_value": models that compute |x|, n = 100 features in m = 40 neurons, one at each of the densities 1,
        0.3, 0.1, 0.03, 0.01, 0.003 and 0.001: the best of several starts, trained on until they no longer improved, by
        ``python -m figures computation`` (Elhage et al., section 8). A `TrainingRun`, as from `train` with one restart:
        the last round.
        "phase_changes": a million one-neuron ReLU models, of which the best of ten of each cell is kept, by
        ``python -m figures phase_changes`` (section 3). A `PhaseDiagram`, as from `phase_diagram` with one restart.

    Returns
    -------
    run : TrainingRun, or diagram : PhaseDiagram
        With one restart, the best. The diagram's weights and biases are rounded to half precision, and its losses are
        the exact ones of these, to the seven digits of single precision.

    Raises
    ------
    ValueError
        If there is no such example.

    Examples
    --------
    >>> import minitms as tms
    >>> run = tms.load_example("absolute_value")
    >>> best, x = run.best(), run.features.sample(1000, seed=0)
    >>> best.W.encoder.shape, best.hidden, run.features.target
    ((7, 40, 100), 'relu', 'abs')
    >>> best.forward(x).shape, best.loss_on(x).shape
    ((7, 1000, 100), (7,))
    >>> tms.load_example("phase_changes").best().W.shape
    (1000, 100, 1, 2)
    """
    return _checks.lookup("name", name, LOADERS)(FOLDER / f"{name}.npz")
