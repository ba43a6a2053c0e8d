"""What training returns: every restart of every model, and the best of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minitms._files import read_npz, write_npz
from minitms.features import SparseFeatures


@dataclass(frozen=True, eq=False)
class Snapshots:
    """W and b along the way: after `steps` updates, on an axis behind the stack of models."""

    steps: np.ndarray
    W: np.ndarray
    b: np.ndarray


@dataclass(frozen=True, eq=False)
class Best:
    """The restart with the lowest loss of each model of the stack; the fields of `TrainingRun` without that axis."""

    W: np.ndarray
    b: np.ndarray
    loss: np.ndarray
    restart: np.ndarray
    history: np.ndarray
    steps: np.ndarray
    snapshots: Snapshots | None


@dataclass(frozen=True, eq=False, repr=False)
class TrainingRun:
    """What `train` returns.

    Attributes
    ----------
    W : array of shape (restarts, ..., m, n)
    b : array of shape (restarts, ..., n)
    loss : float64 array of shape (restarts, ...)
        The exact expected loss for linear models and for ReLU models of up to three features; for all others the loss
        on 2^16 fresh examples, the same for all restarts.
    history : float64 array of shape (restarts, ..., records)
        Loss of a training batch, before that batch's update.
    steps : int array of shape (records,)
        The step of each record, from 1; at most 200 of them.
    seed : int
    features : SparseFeatures
    activation : str
    snapshots : Snapshots or None
    """

    W: np.ndarray
    b: np.ndarray
    loss: np.ndarray
    history: np.ndarray
    steps: np.ndarray
    seed: int
    features: SparseFeatures
    activation: str
    snapshots: Snapshots | None = None

    def __repr__(self) -> str:
        restarts, *stack = self.loss.shape
        models = f"{int(np.prod(stack))} models x {restarts} restarts" if stack else f"1 model x {restarts} restarts"
        *_, m, n = self.W.shape
        return (
            f"TrainingRun({models}, n={n}, m={m}, {self.activation}, {self.steps[-1]} steps, "
            f"loss {self.loss.min():.4g} to {self.loss.max():.4g}, seed={self.seed})"
        )

    def best(self) -> Best:
        """The restart with the lowest loss, chosen for each model of the stack by itself."""
        restart = self.loss.argmin(axis=0)

        def chosen(array):
            index = restart.reshape(1, *restart.shape, *[1] * (array.ndim - 1 - restart.ndim))
            return np.take_along_axis(array, index, axis=0)[0]

        snapshots = self.snapshots and Snapshots(
            self.snapshots.steps, chosen(self.snapshots.W), chosen(self.snapshots.b)
        )
        return Best(
            chosen(self.W), chosen(self.b), chosen(self.loss), restart, chosen(self.history), self.steps, snapshots
        )

    def save(self, path) -> None:
        """Write the run to one ``.npz`` file, whole or not at all; `load` reads it back.

        Raises
        ------
        ValueError
            If the path does not end in ``.npz``.
        """
        arrays = {name: getattr(self, name) for name in ("W", "b", "loss", "history", "steps")}
        arrays |= {"seed": self.seed, "activation": self.activation}
        arrays |= {"density": self.features.density, "importance": self.features.importance}
        if self.snapshots:
            arrays |= {f"snapshots_{name}": getattr(self.snapshots, name) for name in ("steps", "W", "b")}
        write_npz(path, arrays)

    @classmethod
    def load(cls, path) -> TrainingRun:
        """Read a run that `save` wrote.

        Raises
        ------
        ValueError
            If the file does not hold a training run.
        """
        arrays = read_npz(path, {"W", "b", "loss", "history", "steps", "seed", "activation", "density", "importance"})
        features = SparseFeatures(arrays["density"].shape[-1], arrays.pop("density"), arrays.pop("importance"))
        snapshots = None
        if "snapshots_W" in arrays:
            snapshots = Snapshots(*(arrays.pop(f"snapshots_{name}") for name in ("steps", "W", "b")))
        return cls(
            **arrays | {"seed": int(arrays["seed"]), "activation": str(arrays["activation"])},
            features=features,
            snapshots=snapshots,
        )
