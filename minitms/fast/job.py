"""What the kernels that train are given, in groups of what travels together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class State(NamedTuple):
    """Models and their running means: (models, p) each, in the layout of `weights.Layout`."""

    theta: np.ndarray
    m: np.ndarray
    v: np.ndarray


class Job(NamedTuple):
    """What a call of a kernel is for."""

    seed: int
    stream: int
    offset: int           # model k of the call has the random numbers of model offset + k
    start: int            # the step of the run that is step 0 of the call
    share: np.floating    # 1 / batch
    recorded: np.ndarray  # (steps,), whether the loss is kept
    losses: np.ndarray    # (parts, steps), receives the sum over the part of the losses before the update
