"""The fused engine: what `training.py` calls to advance a stack of models with the kernels, on all cores.

Many models, or small ones, go to the threads whole. A few large ones are trained by all threads together, each taking
parts of every batch. One neuron with two features has a kernel of its own.
"""

from __future__ import annotations

import threading

import numpy as np

from minitms import _kernels, _one_neuron
from minitms._draw import BLOCK, word_bounds
from minitms._threads import Threads, cuts
from minitms.features import thresholds

HELD_OUT_EXAMPLES, PARTS_SCORED = 2**16, 8
FEW_MODELS = 4  # so many or fewer share the cores part by part, if a step is worth the hand-over
LARGE_STEP = 1e6  # weights x examples of a step, each some ten floating-point operations


def engine(features, activation, seed, batch_size, W, b, means, threads):
    """A function that advances W and b in place by some steps.

    It returns the batch losses of the recorded steps, shape (restarts, ..., records).
    """
    m, n = W.shape[-2:]
    stack, W, b = b.shape[:-1], W.reshape(-1, m, n), b.reshape(-1, n)
    means = [*(array.reshape(-1, m, n) for array in means[:2]), *(array.reshape(-1, n) for array in means[2:])]
    models = len(W)
    data = _, density, reciprocal, importance, _ = _data(features, activation, W.dtype)
    weight = importance * W.dtype.type(2 / batch_size)
    if (n, m) == (2, 1):
        rows = [array.reshape(models, 1, *array.shape[1:]) for array in (W, b, *means)]

        def one_neuron(first, sizes, fixed, recorded):
            losses = np.empty((models, 1, len(sizes)))
            threads.share(
                _one_neuron.train_rows, models, *rows, sizes, fixed, density, reciprocal, weight[:, None],
                activation == "relu", seed, first, batch_size, recorded, losses, 0
            )  # fmt: skip
            return losses[..., recorded].reshape(*stack, -1)

        return one_neuron

    way = _kernels.ways(density, m, batch_size)
    parts = _parts(n, way, batch_size, models)
    together = models <= FEW_MODELS and len(parts) > models and W.size * batch_size > LARGE_STEP
    if not together:
        parts = np.array([(model, 0, batch_size) for model in range(models)])
    offsets = np.searchsorted(parts[:, 0], np.arange(models + 1))
    state = W, np.ascontiguousarray(W.mT), b, *means
    gradients = np.empty((len(parts), m, n), W.dtype), np.empty((len(parts), n), W.dtype)
    kernel = _advance(m, n, way, W.dtype)

    def advance(first, sizes, fixed, recorded):
        losses = np.empty((len(parts), len(sizes)))
        rest = *state, *gradients, sizes, fixed
        run = *rest, weight, *data, seed, first, recorded, losses
        if together:
            for t in range(len(sizes)):
                threads.share(kernel, len(parts), t, t + 1, _kernels.ADD_UP, parts, *run)
                threads.share(_kernels.finish_step, models, t, offsets, *rest)
        else:
            threads.share_steps(kernel, models, len(sizes), _kernels.TRAIN, parts, *run)
        return np.add.reduceat(losses[:, recorded], offsets[:-1]).reshape(*stack, -1) / batch_size

    return advance


def held_out_losses(W, b, features, activation, seed):
    """The loss of every model on fresh examples, the same for all restarts."""
    m, n = W.shape[-2:]
    stack, W, b = b.shape[:-1], W.reshape(-1, m, n), b.reshape(-1, n)
    parts = np.array([(model, *cut) for model in range(len(W)) for cut in cuts(HELD_OUT_EXAMPLES, PARTS_SCORED)])
    # Nothing moves: the running means, gradients and steps only fill their places (db is written, but not read).
    state = W, np.ascontiguousarray(W.mT), b, W, W, b, b
    gradients = np.empty((len(parts), 0, 0), W.dtype), np.zeros((len(parts), n), W.dtype)
    steps = np.zeros((1, 3), W.dtype), np.zeros(4, W.dtype)
    data = _, density, _, importance, _ = _data(features, activation, W.dtype)
    kernel = _advance(m, n, _kernels.ways(density, m, HELD_OUT_EXAMPLES), W.dtype)
    losses = np.empty((len(parts), 1))
    with Threads() as threads:
        threads.share_steps(
            kernel, len(parts), 1, _kernels.SCORE, parts, *state, *gradients, *steps, importance, *data, seed, 0,
            np.array([True]), losses
        )  # fmt: skip
    return losses.reshape(*stack, -1).sum(axis=-1) / HELD_OUT_EXAMPLES


def _advance(m, n, way, dtype):
    """`_kernels.advance` for models of these ways, with buffers of its own in every thread."""
    own = threading.local()

    def advance(first_part, last_part, first, last, task, *arguments):
        if not hasattr(own, "room"):
            own.room = _kernels.buffers(m, n, way, dtype)
        _kernels.advance(first_part, last_part, first, last, task, way, own.room, *arguments)

    return advance


def _data(features, activation, dtype):
    """The features and the activation as the kernels take them: (K, ...) arrays in the dtype of the weights.

    They are `word_bounds`, the density, its reciprocal and the importance; and the floor in ``y = max(z, floor)``.
    """
    arrays = *thresholds(features.density, dtype), features.importance.astype(dtype)
    density, reciprocal, importance = (np.ascontiguousarray(array.reshape(-1, features.n)) for array in arrays)
    floor = dtype.type(0 if activation == "relu" else -np.inf)
    return word_bounds(density), density, reciprocal, importance, floor


def _parts(n, way, batch_size, models):
    """Cut each model's batch into parts: (P, 3) of model, first and last example.

    A part is a block, but for active values about as many examples as features: below that, what a part costs whatever
    its size (the product W (G + Gᵀ)) would be most of it.
    """
    parts = []
    for model in range(models):
        blocks = max(1, round(n / BLOCK)) if way[model % len(way)] == _kernels.ACTIVE_VALUES else 1
        size = blocks * BLOCK
        parts += [(model, first, min(first + size, batch_size)) for first in range(0, batch_size, size)]
    return np.array(parts)
