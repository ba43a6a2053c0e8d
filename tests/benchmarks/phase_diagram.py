"""How fast `phase_diagram` is, beside PyTorch, JAX and occhio: ``python tests/benchmarks/phase_diagram.py [ROUNDS]``.

Everyone trains one-neuron models (n = 2, m = 1) with ReLU on the grid and with the settings of the earlier
replication: density 1, 0.999, ... 0.001, importance 0, 0.1, ... 9.9, W ~ 1.5 N(0, 1), b ~ 0.5 N(0, 1), batches of 64
fresh independent examples, Adam with rate 0.01, loss summed over models. A contestant takes every so many cells
of that grid: as many models at once as it is fastest with, but the form of the earlier replication has all 100,000 of
them. Ours is the whole public call, 6,000 steps with loss curve and exact final losses.

All are measured in one run, in interleaved rounds, with default threads. Before, each trains 1,000 models from the same
start for 200 steps: nearly equal mean losses show that all solve one problem. Rates are in million model-examples
(models x batch x steps) a second. With its usual number of rounds it writes the table into ``README.md`` beside this
file, draws the picture, and keeps the rates for `speed.py`. Needs the extra `bench`; a peer that is not there, or
cannot run, is listed with the reason.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numba
import numpy as np
import tables

import minitms as tms
from minitms.draws import TRAINING
from minitms.fast.draws import batch_key, halves, hash_word
from minitms.fast.jit import kernel

BATCH, LEARNING_RATE, BETAS, EPS = 64, 1e-2, (0.9, 0.999), 1e-8
CHECK_GRID, CHECK_STEPS = (40, 25), 200
SECONDS = 1  # of a contestant in a round, at least
PICTURE = Path(__file__).with_name(f"phase_diagram_{tables.slug()}.png")


def linear_grid(densities, importances):
    """Axes of every so many cells of the earlier replication's grid of 1000 x 100, both increasing."""
    return 1 - np.arange(densities)[::-1] / densities, np.arange(importances) * 10 / importances


def log_grid(densities, importances):
    """The paper's axes."""
    return np.geomspace(0.01, 1, densities), np.geomspace(0.1, 10, importances)


def models_of(grid):
    """Density (K,), importance (K, 2), W (K, 2) and b (K, 2) at the start, in float32: a model for each cell."""
    s, r = (axis.ravel() for axis in np.meshgrid(*grid, indexing="ij"))
    random = np.random.default_rng(0)
    W, b = 1.5 * random.normal(size=(s.size, 2)), 0.5 * random.normal(size=(s.size, 2))
    return tuple(np.float32(array) for array in (s, np.stack([np.ones_like(r), r], axis=1), W, b))


def on_grid(grid):
    """The same as (D, I), (2, D, I), (2, D, I) and (2, D, I)."""
    shape = len(grid[0]), len(grid[1])
    return tuple(np.ascontiguousarray(array.T).reshape(*array.shape[1:], *shape) for array in models_of(grid))


def data_density(density, shared):
    """The density of each set of data: one a model, or one for all models of a density."""
    return density[:, :1] if shared else density


def as_models(array):
    """(2, D, I) -> (K, 2)"""
    return array.reshape(2, -1).T


# Each contestant takes a grid and returns train(steps), which returns W (K, 2) and b (K, 2) after these steps.


def earlier_form(grid):
    """The form of the earlier replication's notebook: data (B, K, 2, 1), mask, autograd; here one bit a feature."""
    import torch

    density, importance, W, b = map(torch.tensor, models_of(grid))
    density, importance = density[:, None, None], importance[:, :, None]
    W, b = W[:, None, :].requires_grad_(), b[:, :, None].requires_grad_()
    optimizer = torch.optim.Adam([W, b], lr=LEARNING_RATE)

    def train(steps):
        total = 0.0
        for _ in range(steps):
            mask = (torch.rand(BATCH, *b.shape) < density).float()
            x = torch.rand(BATCH, *b.shape) * mask
            y = torch.relu(W.transpose(-2, -1) @ (W @ x) + b)
            loss = (((y - x) ** 2).mean(0) * importance).sum()
            total += loss.item()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        return W.detach().numpy()[:, 0], b.detach().numpy()[:, :, 0]

    return train


# `shared`: the models of a density train on the same data, as ours and occhio's do, instead of each on its own.


def pytorch_autograd(grid):
    """PyTorch eager: one uniform a feature, no products of matrices, a stack that stays in the cache, fused Adam."""
    import torch

    density, importance, W, b = map(torch.tensor, on_grid(grid))
    W, b, scale = W[:, None].requires_grad_(), b[:, None].requires_grad_(), -1 / density
    optimizer = torch.optim.Adam([W, b], lr=LEARNING_RATE, fused=True)
    x = torch.empty(2, BATCH, *scale.shape)

    def train(steps):
        for _ in range(steps):
            x.uniform_().mul_(scale).add_(1).relu_()  # on with probability s, then uniform: max(0, 1 - u/s)
            h = (W * x).sum(0)
            y = torch.relu(torch.addcmul(b, W, h))
            loss = ((y - x).square().sum(1) * importance).sum() / BATCH
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return as_models(W.detach().numpy()[:, 0]), as_models(b.detach().numpy()[:, 0])

    return train


def pytorch_by_hand(grid, shared=False):
    """The same with the gradient by hand, mostly in place."""
    import torch

    density, importance, W, b = map(torch.tensor, on_grid(grid))
    W, b, cost = W[:, None].clone(), b[:, None].clone(), (2 / BATCH) * importance[:, None]
    scale = -1 / data_density(density, shared)
    W.grad, b.grad = torch.zeros_like(W), torch.zeros_like(b)
    optimizer = torch.optim.Adam([W, b], lr=LEARNING_RATE, fused=True)
    x = torch.empty(2, BATCH, *scale.shape)
    z, error, dW = (torch.empty(2, BATCH, *density.shape) for _ in range(3))

    def train(steps):
        for _ in range(steps):
            x.uniform_().mul_(scale).add_(1).relu_()
            h = (W[0] * x[0]).addcmul_(W[1], x[1])
            torch.addcmul(b, W, h, out=z)
            torch.sub(z, x, out=error)
            dz = torch.ops.aten.threshold_backward(error, z, 0).mul_(cost)  # [z > 0] 2 I (z - x) / batch
            dh = (W[0] * dz[0]).addcmul_(W[1], dz[1])
            torch.mul(dz, h, out=dW).addcmul_(x, dh)
            torch.sum(dW, 1, keepdim=True, out=W.grad)
            torch.sum(dz, 1, keepdim=True, out=b.grad)
            optimizer.step()
        return as_models(W.numpy()[:, 0]), as_models(b.numpy()[:, 0])

    return train


def pytorch_compiled(grid, shared=False):
    """torch.compile: a step in one graph, random numbers and Adam too, with the gradient by hand from six sums."""
    import torch

    density, importance, W, b = map(torch.tensor, on_grid(grid))
    weights = torch.cat([W, b])
    means, squares = torch.zeros_like(weights), torch.zeros_like(weights)
    cost, inverse = (2 / BATCH) * importance, 1 / data_density(density, shared)

    def step(weights, means, squares, cost, inverse, correction):
        w1, w2, b1, b2 = weights
        x1, x2 = (torch.relu(1 - torch.rand(*inverse.shape, BATCH) * inverse[..., None]) for _ in range(2))
        h = w1[..., None] * x1 + w2[..., None] * x2
        z1, z2 = w1[..., None] * h + b1[..., None], w2[..., None] * h + b2[..., None]
        e1, e2 = torch.where(z1 > 0, z1 - x1, 0), torch.where(z2 > 0, z2 - x2, 0)
        crossed = cost[0] * (e1 * x2).sum(-1) + cost[1] * (e2 * x1).sum(-1)
        gradient = torch.stack([
            2 * cost[0] * w1 * (e1 * x1).sum(-1) + w2 * crossed, 2 * cost[1] * w2 * (e2 * x2).sum(-1) + w1 * crossed,
            cost[0] * e1.sum(-1), cost[1] * e2.sum(-1),
        ])  # fmt: skip
        means.lerp_(gradient, 1 - BETAS[0])
        squares.lerp_(gradient * gradient, 1 - BETAS[1])
        weights.sub_(LEARNING_RATE * means * correction[0] / ((squares * correction[1]).sqrt() + EPS))

    compiled = torch.compile(step, fullgraph=True, dynamic=False)
    taken = 0

    def train(steps):
        nonlocal taken
        for t in range(taken + 1, taken + steps + 1):
            compiled(weights, means, squares, cost, inverse, torch.tensor([1 / (1 - beta**t) for beta in BETAS]))
        taken += steps
        return as_models(weights.numpy()[:2]), as_models(weights.numpy()[2:])

    return train


def jax_scan(grid, shared=False):
    """JAX: all steps in one jitted lax.scan. (Here its own gradient is faster than ours by hand.)"""
    import jax
    import jax.numpy as jnp

    density, importance, W, b = map(jnp.asarray, on_grid(grid))
    density = data_density(density, shared)

    def loss(weights, x):
        W, b = weights[:2, None], weights[2:, None]
        h = (W * x).sum(0)
        return (((jax.nn.relu(W * h + b) - x) ** 2).mean(1) * importance).sum()

    def step(state, t):
        weights, mean, square, key = state
        key, now = jax.random.split(key)
        x = jax.nn.relu(1 - jax.random.uniform(now, (2, BATCH, *density.shape)) / density)
        gradient = jax.grad(loss)(weights, x)
        mean = BETAS[0] * mean + (1 - BETAS[0]) * gradient
        square = BETAS[1] * square + (1 - BETAS[1]) * gradient**2
        change = mean / (1 - BETAS[0] ** t) / (jnp.sqrt(square / (1 - BETAS[1] ** t)) + EPS)
        return (weights - LEARNING_RATE * change, mean, square, key), None

    all_steps = jax.jit(lambda state, t: jax.lax.scan(step, state, t)[0])
    weights = jnp.concatenate([W, b])
    start = weights, jnp.zeros_like(weights), jnp.zeros_like(weights), jax.random.key(0)

    def train(steps):
        weights = np.asarray(all_steps(start, jnp.arange(1.0, steps + 1))[0])
        return as_models(weights[:2]), as_models(weights[2:])

    return train


def occhio_grid(grid):
    """occhio's ModelGrid as it comes; models of one density share their data, which is its default."""
    import torch
    from occhio import ModelGrid, ToyModel
    from occhio.autoencoder import TiedLinearRelu
    from occhio.distributions import SparseUniform
    from occhio.model_grid import Axis

    _, _, W, b = map(torch.tensor, models_of(grid))
    weights = iter(zip(W, b, strict=True))  # it makes its models in the order of ours
    generator = torch.Generator().manual_seed(0)

    def create_model(params):
        autoencoder = TiedLinearRelu(2, 1)
        autoencoder.W.data[0], autoencoder.b.data[:] = next(weights)
        distribution = SparseUniform(2, params["density"], generator=generator)
        return ToyModel(distribution, autoencoder, importances=torch.stack([torch.tensor(1.0), params["importance"]]))

    models = ModelGrid(create_model, [Axis("density", list(grid[0])), Axis("importance", list(grid[1]))])

    def train(steps):
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            models.fit(steps, batch_size=BATCH, learning_rate=LEARNING_RATE, weight_decay=0.0)
        trained = [model.ae for model in models.models.ravel()]
        return tuple(torch.stack([getattr(ae, name).detach().ravel() for ae in trained]).numpy() for name in "Wb")

    return train


def ours(grid):
    _, _, W, b = models_of(grid)
    shape = len(grid[0]), len(grid[1])
    initial = W.reshape(*shape, 1, 2), b.reshape(*shape, 2)

    def train(steps):
        diagram = tms.phase_diagram(
            *grid, restarts=1, steps=steps, batch_size=BATCH, learning_rate=LEARNING_RATE, seed=0, initial=initial,
            progress=False,
        )  # fmt: skip
        return diagram.W.reshape(-1, 2), diagram.b.reshape(-1, 2)

    return train


def random_numbers(grid):
    """Only random words, two for every example of every model: who draws data for each model cannot be faster."""
    models, threads = len(grid[0]) * len(grid[1]), numba.get_num_threads()
    parts = np.linspace(0, models, threads + 1).round().astype(int)

    def train(steps):
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(draw_words, parts[:-1], parts[1:], [steps] * threads))

    return train


@kernel
def draw_words(first_model, last_model, steps):
    """The exclusive or of all words of some models, seed 0: the cheapest use of them."""
    total = np.uint32(0)
    for model in range(first_model, last_model):
        for t in range(steps):
            counter, high, step = halves(batch_key(0, TRAINING, model, t))
            for _ in range(2 * BATCH):
                counter = np.add(counter, step)
                total = np.bitwise_xor(total, hash_word(counter, high))
    return total


class Contestant(NamedTuple):
    name: str
    build: object
    grid: tuple
    steps: int  # of one call


SHARED = ", data shared"
CONTESTANTS = (
    Contestant("PyTorch, the earlier replication's form", earlier_form, linear_grid(1000, 100), 1),
    Contestant("PyTorch eager, autograd", pytorch_autograd, linear_grid(50, 40), 20),
    Contestant("PyTorch eager, gradient by hand", pytorch_by_hand, linear_grid(50, 40), 20),
    Contestant(
        "PyTorch eager, gradient by hand" + SHARED, partial(pytorch_by_hand, shared=True), linear_grid(50, 40), 20
    ),
    Contestant("PyTorch torch.compile, gradient by hand", pytorch_compiled, linear_grid(200, 100), 10),
    Contestant(
        "PyTorch torch.compile, gradient by hand" + SHARED, partial(pytorch_compiled, shared=True),
        linear_grid(200, 100), 10,
    ),
    Contestant("JAX, jit and lax.scan", jax_scan, linear_grid(25, 10), 4000),
    Contestant("JAX, jit and lax.scan" + SHARED, partial(jax_scan, shared=True), linear_grid(25, 10), 4000),
    Contestant("occhio's ModelGrid" + SHARED, occhio_grid, linear_grid(25, 80), 250),
    Contestant("minitms" + SHARED, ours, linear_grid(100, 100), 6000),
    Contestant("minitms" + SHARED + ", the paper's log grid", ours, log_grid(100, 100), 6000),
    Contestant("random numbers for each model, alone", random_numbers, linear_grid(100, 100), 1000),
)  # fmt: skip
OURS, BOUND = "minitms" + SHARED, "random numbers for each model, alone"


def rate_of(contestant):
    """A function that returns million model-examples a second; its first call compiles."""
    train = contestant.build(contestant.grid)

    def rate():
        start, steps, seconds = time.perf_counter(), 0, 0.0
        while seconds < SECONDS:
            train(contestant.steps)
            steps, seconds = steps + contestant.steps, time.perf_counter() - start
        models = len(contestant.grid[0]) * len(contestant.grid[1])
        return models * BATCH * steps / seconds / 1e6

    return rate


def mean_loss(contestant):
    """Mean exact loss of the models of a small grid after some steps."""
    trained = contestant.build(linear_grid(*CHECK_GRID))(CHECK_STEPS)
    if trained is None:
        return "nothing trained"
    density, importance, _, _ = models_of(linear_grid(*CHECK_GRID))
    W, b = (np.array(array, np.float64) for array in trained)
    return f"{tms.expected_loss(W[:, None], b, density[:, None], importance).mean():.3f}"


def prepare(contestants):
    """The rates of those that can run, after a check of each, and why the others cannot."""
    rates, missing = {}, {}
    print(f"mean loss of {CHECK_GRID[0]} x {CHECK_GRID[1]} models after {CHECK_STEPS} steps")
    for contestant in contestants:
        name = contestant.name
        try:
            loss = mean_loss(contestant)
            rates[name] = rate_of(contestant)
        except ModuleNotFoundError as error:
            missing[name] = f"missing: no {error.name}"
        except Exception as error:  # a peer that breaks is a row of the table, not the end of the run
            if name.startswith(OURS):
                raise
            missing[name] = f"cannot run: {type(error).__name__}: {str(error).strip().splitlines()[0][:80]}"
        print(f"    {name}: {missing.get(name, loss)}", flush=True)
    return rates, missing


def row(name, median, missing):
    if name in missing:
        return [name, missing[name], ""]
    peer = not name.startswith(OURS) and name != BOUND
    return [name, f"{median[name]:,.0f}", f"{median[OURS] / median[name]:.3g}" if peer else ""]


def picture(median):
    """Bars on a logarithmic axis, slowest on top."""
    plt.style.use(tms.plots.STYLE)
    names = sorted(median, key=median.get, reverse=True)
    colors = ["C1" if name.startswith(OURS) else "0.8" if name == BOUND else "C0" for name in names]
    figure, ax = plt.subplots(figsize=(8.3, 0.5 + 0.28 * len(names)))
    bars = ax.barh(names, [median[name] for name in names], color=colors)
    ax.bar_label(bars, [f"{median[name]:,.0f}" for name in names], padding=3, fontsize=8)
    ax.set(xscale="log", xlim=(1, 3 * max(median.values())), xlabel="million model-examples a second")
    ax.tick_params(axis="y", length=0)
    figure.savefig(PICTURE)
    plt.close(figure)


def main(rounds=tables.ROUNDS):
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > 1:
        print("The machine is busy: PyTorch, whose threads wait for one another, loses far more by it than the others.")
    rates, missing = prepare(CONTESTANTS)
    print("million model-examples a second")
    median = tables.interleaved(rates, rounds)
    table = tables.markdown(
        ["one-neuron models, batch 64", "million a second", "minitms is so many times faster"],
        [row(contestant.name, median, missing) for contestant in CONTESTANTS],
    )
    packages = ("torch", "jax", "occhio", "numba", "numpy")
    versions = ", ".join(f"{name} {version}" for name in packages if (version := installed(name)))
    per_million = 6000 * 64 / median[OURS]  # seconds
    text = (
        f"A million models of 6,000 steps of 64 examples take {per_million:.0f} s at the rate below. By extrapolation "
        f"(an estimate, not a measurement) a billion take {per_million * 1000 / 3600:.0f} hours on this machine, and "
        "as many times less as a cluster has more cores.\n\n"
        "One-neuron models on the phase diagram's grid, in million model-examples (models x batch x steps) a second, "
        f"each the median of {rounds} interleaved rounds on {tables.machine()} ({versions}). minitms is the whole call "
        "of `phase_diagram`, with loss curve and exact final losses. \"Data shared\" means that the models of one "
        "density, which differ in importance, train on the same examples; so ours reaches "
        f"{median[OURS] / median[BOUND]:.0%} of the rate at which random numbers for each model could be drawn at all "
        f"(`tests/benchmarks/{Path(__file__).name}`).\n\n"
        f"{table}\n\n![The rates as bars on a logarithmic axis]({PICTURE.name})"
    )
    print(text)
    if rounds == tables.ROUNDS:
        picture(median)
        tables.write("phase-speed", text)
        tables.keep_rates("one neuron", {"2 features, 64": median})


def installed(package):
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
