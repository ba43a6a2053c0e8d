"""How fast `train` is, beside the authors' notebook step in PyTorch: ``python tests/benchmarks/training.py``.

Both are measured in one run, in interleaved rounds, each warmed up, with its default threads. A rate is
model-examples (models x batch x steps) a second. Ours is that of the public call: sampling, gradients, updates, loss
history, and the final losses on 2^16 fresh examples a model. Writes its table into the README. Needs the extra `bench`.
"""

from __future__ import annotations

import importlib.metadata
import time

import numpy as np
import tables
import torch

import minitms as tms

# models, n, m, batch, decay of the importance, steps of ours and of PyTorch: some seconds a round for each
SHAPES = [
    (10, 5, 2, 1024, 0.9, 20_000, 400),
    (7, 20, 5, 256, 0.7, 20_000, 800),
    (7, 80, 20, 1024, 0.9, 2_000, 80),
    (20, 400, 30, 1024, 1.0, 500, 8),
    (1, 400, 30, 1024, 1.0, 1_500, 100),
]
DENSITIES = (1.0, 0.1, 0.01, 0.001)


def densities(models):
    """One density for each model, from 1 down to 1/100 in equal ratios; 1/20 for a single model."""
    return np.geomspace(1, 0.01, models) if models > 1 else np.array([0.05])


def our_rate(density, n, m, batch, decay, steps):
    features = tms.SparseFeatures(n, density[:, None], decay ** np.arange(n))

    def rate():
        start = time.perf_counter()
        run = tms.train(features, m, steps=steps, batch_size=batch, learning_rate=1e-3, weight_decay=0.01, seed=0)
        seconds = time.perf_counter() - start
        assert np.isfinite(run.loss).all()
        return len(density) * batch * steps / seconds

    return rate


def pytorch_rate(density, n, m, batch, decay, steps):
    """The step of the notebook of Elhage et al. (2022): einsum, autograd, AdamW, fresh data."""
    models = len(density)
    W = torch.empty((models, n, m)).normal_(std=(2 / (n + m)) ** 0.5).requires_grad_()
    b = torch.zeros((models, n), requires_grad=True)
    importance = torch.tensor(decay ** np.arange(n), dtype=torch.float32)
    on = torch.tensor(density, dtype=torch.float32)[:, None]
    optimizer = torch.optim.AdamW([W, b], lr=1e-3)

    def step():
        optimizer.zero_grad(set_to_none=True)
        x = torch.where(torch.rand((batch, models, n)) <= on, torch.rand((batch, models, n)), torch.zeros(()))
        h = torch.einsum("bkn,knm->bkm", x, W)
        y = torch.relu(torch.einsum("bkm,knm->bkn", h, W) + b)
        loss = (importance * (x - y) ** 2).mean(dim=(0, 2)).sum()
        loss.backward()
        optimizer.step()

    def rate():
        start = time.perf_counter()
        for _ in range(steps):
            step()
        return models * batch * steps / (time.perf_counter() - start)

    return rate


def main():
    torch.manual_seed(0)
    rows = []
    for models, n, m, batch, decay, our_steps, their_steps in SHAPES:
        print(f"{models} x (n={n}, m={m}), batch {batch}")
        density = densities(models)
        median = tables.interleaved({
            "PyTorch": pytorch_rate(density, n, m, batch, decay, their_steps),
            "minitms": our_rate(density, n, m, batch, decay, our_steps),
        })  # fmt: skip
        theirs, ours = median["PyTorch"] / 1e6, median["minitms"] / 1e6
        rows.append([f"{models} x ({n}, {m}), {batch}", f"{theirs:.2f}", f"{ours:.2f}", f"{ours / theirs:.1f}"])
    speed = tables.markdown(["models x (n, m), batch", "PyTorch", "minitms", "times faster"], rows)

    print("7 x (n=80, m=20), batch 1024, by density")
    median = tables.interleaved(
        {s: our_rate(np.full(7, s), 80, 20, 1024, 0.9, 1_500 if s > 0.01 else 10_000) for s in DENSITIES}
    )
    dense = median[1.0]
    rows = [[f"{s:g}", f"{rate / 1e6:.1f}", f"{rate / dense:.1f}"] for s, rate in median.items()]
    sparsity = tables.markdown(["density, 7 x (80, 20), batch 1024", "minitms", "times the dense rate"], rows)

    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "numba", "numpy"))
    text = (
        "Million model-examples (models x batch x steps) a second, each the median of "
        f"{tables.ROUNDS} interleaved rounds on {tables.machine()} ({versions}). PyTorch runs the step of the authors' "
        "notebook; minitms is the whole call of `train`, with its loss history and final losses. The models of a stack "
        "have densities from 1 to 0.01 in equal ratios, the single one 0.05 "
        "(`tests/benchmarks/training.py`).\n\n"
        f"{speed}\n\nWhere few features are on, the gradient is computed from the active values alone, and examples "
        f"in which none is on are only counted:\n\n{sparsity}"
    )
    print(text)
    tables.write_to_readme("training-speed", text)


if __name__ == "__main__":
    main()
