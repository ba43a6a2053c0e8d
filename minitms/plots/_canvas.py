"""What every picture needs: an Axes, given or of a figure of its own, and numbers out of what it was handed."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from numbers import Number
from typing import Any, NamedTuple, ParamSpec, Protocol, overload

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from minitms import _checks
from minitms.diagram import BestModels, PhaseDiagram
from minitms.run import Best, TrainingRun
from minitms.weights import both, checked, single

STYLE = "minitms.minitms"
# Who draws what: said to whoever hands a thing to the wrong one.
MODELS_ARE_DRAWN = "feature_vectors, weight_gram, feature_bars, neurons and loss_curve draw a run"
DRAWN_BY = {
    TrainingRun: MODELS_ARE_DRAWN, Best: MODELS_ARE_DRAWN,
    PhaseDiagram: "phase_map draws a PhaseDiagram", BestModels: "phase_map draws the PhaseDiagram itself",
}  # fmt: skip
P = ParamSpec("P")


class Drawing(Protocol[P]):
    """A function that draws on `ax=`, on an Axes that comes first, or on one of its own."""

    @overload
    def __call__(self, ax: Axes | None, /, *args: P.args, **kwargs: P.kwargs) -> Axes: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Axes: ...


def drawing(draw: Callable[P, Axes]) -> Drawing[P]:
    """Let the Axes come first too, as in ``feature_vectors(ax, W)``."""

    @functools.wraps(draw)
    def with_axes_first(*args: Any, **kwargs: Any) -> Axes:
        if args and (args[0] is None or isinstance(args[0], Axes)):
            if "ax" in kwargs:
                raise TypeError("the Axes are given twice, first and as ax=; expected them once")
            kwargs["ax"], *args = args
        return draw(*args, **kwargs)

    return with_axes_first


@contextlib.contextmanager
def canvas(ax, size):
    """The Axes to draw on, and whether it is alone in a new figure of `size` inches in the project's style."""
    if ax is not None:
        if not isinstance(ax, Axes):
            raise TypeError(f"ax is {type(ax).__name__}; expected a matplotlib Axes: fig, ax = plt.subplots()")
        yield ax, False
        return
    with plt.style.context(STYLE):
        yield plt.subplots(figsize=size)[1], True


class Model(NamedTuple):
    """One model; a run says what its bias, importance and signs are, an array does not."""

    W: np.ndarray
    b: np.ndarray | None
    importance: np.ndarray | None
    signed: bool


def one_model(thing, encoder=False) -> Model:
    """The model of an array (m, n), or the best one of a run of one model; of a pair the encoder, or an error."""
    b, importance, signed = None, None, False
    if isinstance(thing, TrainingRun):
        thing = thing.best()
    if isinstance(thing, Best):
        thing, b, importance, signed = thing.W, thing.b, thing.features.importance, thing.features.signed
    array_or("W", thing, "an array (m, n), a TrainingRun or its best()")
    W = _checks.finite("W", both(checked(thing))[0] if encoder else single("W", thing))
    if W.ndim != 2:
        raise ValueError(f"W has shape {W.shape}; expected one model, (m, n): run.best().W, or one entry of it")
    if not W.size:
        raise ValueError(f"W has shape {W.shape}; expected (m, n), at least one dimension and one feature")
    return Model(W, b, importance, signed)


def array_or(name, thing, fits):
    """Refuse what is no array at all, and say what fits."""
    if not (isinstance(thing, (list, tuple, str, Number)) or hasattr(thing, "__array__")):
        hint = f"; {DRAWN_BY[type(thing)]}" if type(thing) in DRAWN_BY else ""
        raise TypeError(f"{name} is {type(thing).__name__}; expected {fits}{hint}")
