"""What a sweep over density and importance returns: every model, the best of each cell, and how theory compares."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minitms import _checks, _show, theory
from minitms._fields import FLOATS, SEED, Field, checked, increasing, read_npz, word
from minitms._files import as_path, write_npz
from minitms._words import Activation, Method, PathLike
from minitms.geometry import feature_norms, interference
from minitms.weights import best_restart, single

CLASSES = ("first", "extra", "superposed", "neither")
REPRESENTED, DROPPED = 0.8, 0.2  # |w| above and below which a feature counts as kept by itself, and as left out

# What `save` writes; the last ones for the method they are named after.
FIELDS = {
    "densities": Field("D", ("float64",), partial(increasing, at_least=0, at_most=1)),
    "importances": Field("I", ("float64",), partial(increasing, at_least=0)),
    "W": Field("restarts D I 1 2", FLOATS, _checks.finite),
    "b": Field("restarts D I 2", FLOATS, _checks.finite),
    "loss": Field("restarts D I", ("float64",), _checks.finite),
    "steps": Field("records*", ("int64",), partial(increasing, at_least=1)),
    "history": Field("records*", ("float64",)),
    "activation": word(*_checks.ACTIVATIONS),
    "method": word("sampled", "expected"),
    "seed": SEED,
    "gradient": Field("restarts D I", ("float64",), group="expected"),
    "settings_steps": Field("", ("int64",), partial(_checks.integer, at_least=1), "sampled"),
    "settings_batch_size": Field("", ("int64",), partial(_checks.integer, at_least=1), "sampled"),
    "settings_learning_rate": Field("", ("float64",), partial(_checks.number, above=0), "sampled"),
}


def classify(W: ArrayLike) -> np.ndarray:
    """Name what one-neuron models of two features do: "first", "extra", "superposed" or "neither".

    first        |w_1| > 0.8 and |w_2| < 0.2        the first feature alone has the neuron
    extra        |w_2| > 0.8 and |w_1| < 0.2        the extra feature alone has it
    superposed   |w_1|, |w_2| > 0.2, opposite signs   both share it, as an antipodal pair
    neither      everything else

    Parameters
    ----------
    W : array of shape (..., 1, 2)

    Returns
    -------
    classes : str array of shape (...)

    Raises
    ------
    ValueError, TypeError
        If W has another shape or dtype, or holds NaN or infinity.

    Notes
    -----
    The thresholds of the first two are those of an earlier replication, zroe1/toy-models-of-superposition (2023).

    Examples
    --------
    >>> import minitms as tms
    >>> [str(tms.classify([W])) for W in ([1, 0], [0, 1], [1, -1], [0.7, 0.7])]
    ['first', 'extra', 'superposed', 'neither']
    """
    W = _checks.finite("W", single("W", W))
    if W.ndim < 2 or W.shape[-2:] != (1, 2):
        raise ValueError(f"W has shape {W.shape}; expected (..., 1, 2), one neuron and two features")
    first, extra = W[..., 0, 0], W[..., 0, 1]
    return np.select(
        [
            (abs(first) > REPRESENTED) & (abs(extra) < DROPPED),
            (abs(extra) > REPRESENTED) & (abs(first) < DROPPED),
            (abs(first) > DROPPED) & (abs(extra) > DROPPED) & ((first < 0) != (extra < 0)),
        ],
        CLASSES[:3],
        CLASSES[3],
    )


@dataclass(frozen=True, eq=False, repr=False)
class BestModels:
    """The restart with the lowest loss of each cell, and |W_2| and interference of its extra feature."""

    W: np.ndarray             # (densities, importances, 1, 2)
    b: np.ndarray             # (densities, importances, 2)
    loss: np.ndarray          # (densities, importances)
    restart: np.ndarray       # (densities, importances)
    norm: np.ndarray          # (densities, importances)
    interference: np.ndarray  # (densities, importances)

    def __repr__(self) -> str:
        D, I = self.loss.shape  # noqa: E741 (the number of importances)
        return f"BestModels({D} densities x {I} importances, {_show.losses(self.loss)})"


@dataclass(frozen=True, eq=False, repr=False)
class PhaseDiagram:
    """What `phase_diagram` returns: one-neuron models of two features, on a grid of density and importance.

    Attributes
    ----------
    densities : float64 array of shape (D,)
        Density s of both features.
    importances : float64 array of shape (I,)
        Importance r of the extra (second) feature; the first has 1.
    W, b : float64 arrays of shape (restarts, D, I, 1, 2) and (restarts, D, I, 2)
    loss : float64 array of shape (restarts, D, I)
        The exact expected loss of every model.
    history, steps : arrays of shape (records,)
        Mean batch loss of all models, before that batch's update, and the step of each record, from 1. Empty for
        ``method="expected"``.
    gradient : float64 array of shape (restarts, D, I), or None
        Largest absolute entry of each model's exact gradient, for ``method="expected"``.
    activation, method : str
    seed : int
    settings : dict
        ``steps``, ``batch_size`` and ``learning_rate`` of a sampled sweep; empty otherwise.

    Examples
    --------
    >>> import minitms as tms
    >>> diagram = tms.phase_diagram([0.1, 1.0], [0.3, 1.0], method="expected", restarts=5, seed=0)
    >>> diagram.classes[:, 0].tolist()  # at r = 0.3
    ['superposed', 'first']
    >>> diagram.best().W.shape, diagram.at(density=0.1, importance=1.0)["class"]
    ((2, 2, 1, 2), 'superposed')
    """

    densities: np.ndarray
    importances: np.ndarray
    W: np.ndarray
    b: np.ndarray
    loss: np.ndarray
    history: np.ndarray
    steps: np.ndarray
    activation: Activation
    method: Method
    seed: int
    settings: dict[str, Any]
    gradient: np.ndarray | None = None

    def __repr__(self) -> str:
        restarts, D, I = self.loss.shape  # noqa: E741 (the number of importances)
        how = ", ".join(f"{name}={value:g}" for name, value in self.settings.items())
        share = "" if np.isnan(self.agreement) else f"; {self.agreement:.2%} of cells as in theory"
        if not np.isnan(self.agreement_away):
            share += f", {self.agreement_away:.2%} away from its boundary"
        return (
            f"PhaseDiagram({self.loss.size:,} {self.activation} models: {restarts} restarts x {D} densities "
            f"{_show.span(self.densities)} x {I} importances {_show.span(self.importances)}; method={self.method!r}"
            f"{', ' + how if how else ''}, seed={self.seed}{share})"
        )

    def _repr_html_(self) -> str:
        from minitms.plots import _overview  # matplotlib is slow to import

        return _overview.in_html(self, _overview.draw_diagram)

    def best(self) -> BestModels:
        """The restart with the lowest exact loss, chosen for each cell by itself."""
        restart, taken = best_restart(self.loss)
        W = taken(self.W)
        return BestModels(
            W, taken(self.b), taken(self.loss), restart, feature_norms(W)[..., 1], interference(W)[..., 1]
        )

    @property
    def norm(self) -> np.ndarray:
        """|W_2| of the extra feature, in the best model of each cell; (D, I)."""
        return self.best().norm

    @property
    def interference(self) -> np.ndarray:
        """Interference of the extra feature, in the best model of each cell; (D, I)."""
        return self.best().interference

    @property
    def paper_norm(self) -> np.ndarray:
        """|W_2| of the extra feature as the paper reads it: the mean over restarts, the worst one left out; (D, I).

        A cell whose restarts end in different configurations shows a mixture of them.
        """
        return self._mean_without_the_worst(feature_norms(self.W)[..., 1])

    @property
    def paper_interference(self) -> np.ndarray:
        """Interference of the extra feature, averaged like `paper_norm`; (D, I)."""
        return self._mean_without_the_worst(interference(self.W)[..., 1])

    @property
    def classes(self) -> np.ndarray:
        """What the best model of each cell does, by `classify`; "neither" at density 0, where nothing is learned."""
        return np.where(self.densities[:, None] > 0, classify(self.best().W), "neither")

    @property
    def theory_classes(self) -> np.ndarray:
        """The configuration of least loss in theory; (D, I) of str."""
        return np.array(CLASSES)[theory.predicted_configuration(*self._grid, self.activation)]

    @property
    def theory_losses(self) -> np.ndarray:
        """Loss of the configurations "first", "extra" and "superposed" in closed form; (3, D, I)."""
        return theory.configuration_losses(*self._grid, self.activation)

    @property
    def away_from_boundary(self) -> np.ndarray:
        """Cells in which theory's answer is clear; (D, I) of bool. See `minitms.theory.away_from_boundary`."""
        return theory.away_from_boundary(*self._grid, self.activation)

    @property
    def agreement(self) -> float:
        """Share of the cells above density 0 in which the best model does what theory says; NaN if there are none."""
        return self._share(np.broadcast_to(self.densities[:, None] > 0, self.loss.shape[1:]))

    @property
    def agreement_away(self) -> float:
        """The same share away from the boundary; NaN if no cell is."""
        return self._share(self.away_from_boundary)

    def at(self, density: float, importance: float) -> dict[str, Any]:
        """Everything about the cell nearest to (density, importance), on the axes as they are.

        Returns
        -------
        cell : dict
            With the density and importance of the cell, W, b, loss of every restart, the class of the best, theory's
            class and losses.
        """
        d = int(abs(self.densities - _checks.number("density", density, at_least=0)).argmin())
        i = int(abs(self.importances - _checks.number("importance", importance, at_least=0)).argmin())
        return {
            "density": float(self.densities[d]), "importance": float(self.importances[i]),
            "W": self.W[:, d, i], "b": self.b[:, d, i], "loss": self.loss[:, d, i],
            "class": str(self.classes[d, i]), "theory_class": str(self.theory_classes[d, i]),
            "theory_losses": dict(zip(CLASSES[:3], self.theory_losses[:, d, i].tolist(), strict=True)),
        }  # fmt: skip

    def save(self, path: PathLike) -> None:
        """Write the diagram to one ``.npz`` file, whole or not at all; `load` reads it back.

        Raises
        ------
        ValueError, TypeError
            If the path is none, or does not end in ``.npz``, or a field is not what `phase_diagram` returns.
        OSError
            If the file cannot be written. A file that was there under this name still is.
        """
        path = as_path("path", path)
        arrays = {name: getattr(self, name) for name, field in FIELDS.items() if field.group is None}
        if self.gradient is not None:
            arrays["gradient"] = self.gradient
        arrays = checked(path, arrays | {f"settings_{name}": value for name, value in self.settings.items()}, FIELDS)
        for name in ("W", "b"):  # sampled training runs in float32: nothing is lost, half is saved
            single = arrays[name].astype(np.float32)
            arrays[name] = single if (single == arrays[name]).all() else arrays[name]
        write_npz(path, arrays)

    @classmethod
    def load(cls, path: PathLike) -> PhaseDiagram:
        """Read a diagram that `save` wrote.

        Raises
        ------
        ValueError, TypeError
            If the path is none, or anything in the file is not as `save` writes it: names the field and what was
            expected. Shapes and dtypes are compared before the arrays are read.
        OSError
            If there is no such file, or it cannot be opened.
        """
        path = as_path("path", path)
        arrays = read_npz(path, FIELDS)
        groups = {FIELDS[name].group for name in arrays} - {None}
        if groups != {arrays["method"]}:
            raise ValueError(
                f"{path}: method is {arrays['method']!r}, and there are fields of {sorted(groups)}; expected those of "
                "the method alone"
            )
        start = "settings_"
        settings = {name.removeprefix(start): arrays.pop(name) for name in list(arrays) if name.startswith(start)}
        arrays |= {name: arrays[name].astype(np.float64) for name in ("W", "b")}
        return cls(**arrays, settings=settings)

    @property
    def _grid(self):
        return self.densities[:, None], self.importances

    def _share(self, cells):
        return float((self.classes == self.theory_classes)[cells].mean()) if cells.any() else float("nan")

    def _mean_without_the_worst(self, values):
        """Mean over the restarts but the one of highest loss, which is kept if it is the only one."""
        if len(values) == 1:
            return values[0]
        kept = np.arange(len(values))[:, None, None] != self.loss.argmax(axis=0)
        return values.mean(axis=0, where=kept)
