"""How fast `train` is, beside the authors' notebook step in PyTorch: ``python tests/benchmarks/training.py``.

Both are measured in one run, in interleaved rounds, each warmed up, with its default threads. A rate is
model-examples (models x batch x steps) a second. Ours is that of the public call: sampling, gradients, updates, loss
history, and the final losses on 2^16 fresh examples a model. Beside it stands the share of the machine's own rate of
multiplying matrices, measured in the same rounds: an example of a model with n features and m hidden dimensions takes
five products of n m multiplications and additions each. Writes its tables into ``README.md`` beside this file,
and keeps the rates for `speed.py`. Needs the extra `bench`.
"""

from __future__ import annotations

import importlib.metadata
import time
from typing import NamedTuple

import numpy as np
import tables
import torch

import minitms as tms


class Shape(NamedTuple):
    """Models of one kind, and steps of ours and of PyTorch: some seconds a round for each."""

    models: int
    n: int
    m: int
    batch: int
    decay: float  # of the importance
    our_steps: int
    their_steps: int
    hidden: str = "linear"
    tied: bool = True
    dense: bool = False  # every feature on, in all models

    def __str__(self):
        kind = "" if self.hidden == "linear" else f", hidden ReLU, {'tied' if self.tied else 'untied'}"
        return f"{self.models} x ({self.n}, {self.m}), {self.batch}{kind}"

    @property
    def density(self):
        """One density for each model, from 1 down to 1/100 in equal ratios; 1/20 for a single model."""
        if self.dense:
            return np.ones(self.models)
        return np.geomspace(1, 0.01, self.models) if self.models > 1 else np.array([0.05])


SHAPES = [
    Shape(10, 5, 2, 1024, 0.9, 20_000, 400),
    Shape(7, 20, 5, 256, 0.7, 20_000, 800),
    Shape(7, 80, 20, 1024, 0.9, 2_000, 80),
    Shape(20, 400, 30, 1024, 1.0, 500, 8),
    Shape(1, 400, 30, 1024, 1.0, 1_500, 100),
]
DENSE = [
    Shape(7, n, m, 1024, 0.9, ours, theirs, hidden, tied, dense=True)
    for n, m, ours, theirs in ((10, 5, 5_000, 300), (100, 40, 500, 40))
    for hidden, tied in (("linear", True), ("relu", True), ("relu", False))
]
DENSITIES = (1.0, 0.1, 0.01, 0.001)
SIDE = 2000  # of the matrices whose product gives the machine's rate
FULL_BATCH = {"examples": 1000, "n": 1000, "m": 2, "density": 0.01, "steps": 5000}


def our_rate(shape, density=None, steps=None):
    density, steps = shape.density if density is None else density, steps or shape.our_steps
    features = tms.SparseFeatures(shape.n, density[:, None], shape.decay ** np.arange(shape.n))

    def rate():
        start = time.perf_counter()
        run = tms.train(
            features, shape.m, hidden=shape.hidden, tied=shape.tied, steps=steps, batch_size=shape.batch,
            learning_rate=1e-3, schedule="constant", weight_decay=0.01, restarts=1, seed=0,
        )  # fmt: skip
        seconds = time.perf_counter() - start
        assert np.isfinite(run.loss).all()
        return len(density) * shape.batch * steps / seconds

    return rate


def pytorch_rate(shape):
    """The step of the notebook of Elhage et al. (2022): einsum, autograd, AdamW, fresh data."""
    models, n, m, batch, steps = shape.models, shape.n, shape.m, shape.batch, shape.their_steps
    weights = [torch.empty((models, n, m)).normal_(std=(2 / (n + m)) ** 0.5).requires_grad_()
               for _ in range(1 if shape.tied else 2)]  # fmt: skip
    b = torch.zeros((models, n), requires_grad=True)
    importance = torch.tensor(shape.decay ** np.arange(n), dtype=torch.float32)
    on = torch.tensor(shape.density, dtype=torch.float32)[:, None]
    optimizer = torch.optim.AdamW([*weights, b], lr=1e-3)

    def step():
        optimizer.zero_grad(set_to_none=True)
        x = torch.where(torch.rand((batch, models, n)) <= on, torch.rand((batch, models, n)), torch.zeros(()))
        h = torch.einsum("bkn,knm->bkm", x, weights[0])
        if shape.hidden == "relu":
            h = torch.relu(h)
        y = torch.relu(torch.einsum("bkm,knm->bkn", h, weights[-1]) + b)
        loss = (importance * (x - y) ** 2).mean(dim=(0, 2)).sum()
        loss.backward()
        optimizer.step()

    def rate():
        start = time.perf_counter()
        for _ in range(steps):
            step()
        return models * batch * steps / (time.perf_counter() - start)

    return rate


def sgemm_rate():
    """Operations a second of a product of two float32 matrices, by NumPy's BLAS with its default threads."""
    A, B = np.random.default_rng(0).random((2, SIDE, SIDE), np.float32)
    start = time.perf_counter()
    A @ B
    return 2 * SIDE**3 / (time.perf_counter() - start)


def full_batch_seconds():
    """The whole call of `train` on fixed examples, all of them at every step."""
    examples, n, m, density, steps = FULL_BATCH.values()
    data = tms.Examples(tms.SparseFeatures(n, density).sample(examples, seed=0))
    start = time.perf_counter()
    tms.train(data, m, steps=steps, learning_rate=1e-3, weight_decay=0.01, restarts=1, seed=0)
    return time.perf_counter() - start


def compared(shapes):
    """A table of ours beside PyTorch, and the rates behind it."""
    rows, rates = [], {}
    for shape in shapes:
        print(shape)
        median = tables.interleaved({
            "PyTorch": pytorch_rate(shape), "minitms": our_rate(shape), "sgemm": sgemm_rate
        })  # fmt: skip
        rates[str(shape)] = {name: median[name] / 1e6 for name in ("PyTorch", "minitms")}
        theirs, ours = median["PyTorch"] / 1e6, median["minitms"] / 1e6
        share = median["minitms"] * 10 * shape.n * shape.m / median["sgemm"]
        rows.append([shape, f"{theirs:.2f}", f"{ours:.2f}", f"{ours / theirs:.1f}", f"{share:.0%}"])
        print("   ", *rows[-1], sep="  ", flush=True)
    header = ["models x (n, m), batch", "PyTorch", "minitms", "times faster", "of the rate of sgemm"]
    return tables.markdown(header, rows), rates


def main():
    torch.manual_seed(0)
    (speed, rates), (dense_speed, _) = compared(SHAPES), compared(DENSE)

    shape = SHAPES[2]
    print(shape, "by density")
    median = tables.interleaved(
        {s: our_rate(shape, np.full(7, s), 1_500 if s > 0.01 else 10_000) for s in DENSITIES}
    )
    rows = [[f"{s:g}", f"{rate / 1e6:.1f}", f"{rate / median[1.0]:.1f}"] for s, rate in median.items()]
    sparsity = tables.markdown(["density, 7 x (80, 20), batch 1024", "minitms", "times the dense rate"], rows)

    print("full batch, seconds")
    seconds = tables.interleaved({"full batch": full_batch_seconds}, rounds=3)["full batch"]

    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "numba", "numpy"))
    text = (
        "Million model-examples (models x batch x steps) a second, each the median of "
        f"{tables.ROUNDS} interleaved rounds on {tables.machine()} ({versions}). PyTorch runs the step of the authors' "
        "notebook; minitms is the whole call of `train`, with its loss history and final losses. The last column holds "
        f"10 n m operations an example against the product of two matrices of {SIDE} x {SIDE} in float32 in the same "
        "rounds (where few features are on, fewer operations are needed). The models of a stack have densities from 1 "
        f"to 0.01 in equal ratios, the single one 0.05 (`tests/benchmarks/training.py`).\n\n{speed}\n\n"
        f"With every feature on, and with a ReLU on the hidden layer too:\n\n{dense_speed}\n\n"
        "Where few features are on, the gradient is computed from the active values alone, and examples "
        f"in which none is on are only counted:\n\n{sparsity}\n\n"
        "On fixed examples ({examples:,} of n = {n:,} features of density {density:g}, m = {m}), all of them at every "
        "step, {steps:,} steps of AdamW take {seconds:.1f} s.".format(**FULL_BATCH, seconds=seconds)
    )
    print(text)
    tables.write("training-speed", text)
    tables.keep_rates("training", rates)


if __name__ == "__main__":
    main()
