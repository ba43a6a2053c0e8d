"""All that decides what a training gives: checked once, and then handed to whoever trains, also in another process."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from minitms import _checks, adam
from minitms._words import Activation, Engine, Schedule
from minitms.features import Examples, SparseFeatures
from minitms.weights import Layout

RECORDS = 200  # losses kept of a run, at most
BATCH_SIZE = 1024
# Up to how many features the loss is exact; with a ReLU each feature more makes it some thirty times slower.
EXACT_UP_TO = {"relu": 3, "linear": math.inf}


@dataclass(frozen=True)
class Plan:
    """The arguments of `minitms.train`, and what follows from them."""

    source: SparseFeatures | Examples
    n_hidden: int
    activation: Activation
    hidden: Activation
    tied: bool
    steps: int
    batch_size: int | None
    learning_rate: float
    schedule: Schedule
    warmup: int
    weight_decay: float
    restarts: int
    seed: int
    engine: Engine
    dtype: str
    snapshot_steps: np.ndarray
    first_model: int = 0              # of a part of a larger plan ...
    whole: tuple[int, ...] | None = None  # ... and the stack of that

    SETTINGS = ("activation", "hidden", "tied", "steps", "batch_size", "learning_rate", "schedule", "warmup",
                "weight_decay", "restarts", "seed", "engine", "dtype")  # fmt: skip

    @cached_property
    def settings(self) -> dict:
        """How a run was made, in numbers and words."""
        return {name: getattr(self, name) for name in self.SETTINGS}

    @cached_property
    def layout(self) -> Layout:
        return Layout(self.n_hidden, self.source.n, self.tied)

    @property
    def stack(self) -> tuple[int, ...]:
        return (self.restarts, *self.source.stack)

    @property
    def models(self) -> int:
        return math.prod(self.stack)

    def part(self, first: int, last: int) -> Plan:
        """The plan for models ``first .. last - 1`` alone, of the stack and its restarts: one restart of these."""
        rows = np.arange(first, last) % math.prod(self.source.stack)
        return replace(self, source=self.source.take(rows), restarts=1, first_model=first, whole=self.stack)

    @cached_property
    def rates(self) -> np.ndarray:
        return adam.learning_rates(self.schedule, self.learning_rate, self.steps, self.warmup)

    @cached_property
    def record_steps(self) -> np.ndarray:
        """The steps, from 1, of which the loss is kept."""
        return np.unique(np.linspace(1, self.steps, min(RECORDS, self.steps)).round().astype(int))

    @cached_property
    def recorded(self) -> np.ndarray:
        return np.isin(np.arange(1, self.steps + 1), self.record_steps)

    @property
    def floor(self) -> float:
        """y = max(z, floor)."""
        return 0.0 if _checks.is_relu(self.activation) else -math.inf

    @property
    def rectified(self) -> bool:
        return _checks.is_relu(self.hidden, "hidden")

    @property
    def exact(self) -> bool:
        """Whether the loss of this model has an exact form that is worth its time; see `minitms.expected_loss`."""
        source = self.source
        return (
            self.tied and self.hidden == "linear" and isinstance(source, SparseFeatures) and source.is_plain
            and source.n <= EXACT_UP_TO.get(self.activation, 0)
        )

    def batch(self, key):
        """The examples, and what the models should answer, of the batches with these keys."""
        if isinstance(self.source, Examples):
            return self.source.x.astype(self.dtype), self.source.target.astype(self.dtype)
        x = self.source.batch(key, self.batch_size, self.dtype)
        return x, self.source.targets(x)
