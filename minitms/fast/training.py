"""The fast voice of the loop in `training.py`: sample, gradient, update, for a stack of models on all cores.

Many models, or small ones, go to the threads whole. A few large ones are trained by all threads together, each taking
parts of every batch: each part's gradient is summed by itself, and the parts are added in their order, so that the
result has the same bits whichever thread did which part. One neuron with two features has a kernel of its own,
`one_neuron.py`.
"""

from __future__ import annotations

import functools
import math
import threading
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from minitms import _pace
from minitms.adam import Step, adam_update, constants
from minitms.draws import BLOCK, HELD_OUT, TRAINING
from minitms.fast import one_neuron
from minitms.fast.active import Encoder, active_gradient, encoder
from minitms.fast.draws import Data, batch_key, data, fixed
from minitms.fast.gradient import Buffers, Chain, buffers, drawn_gradient, empty_examples, fixed_gradient
from minitms.fast.gram import Squares, gram_gradient, squares
from minitms.fast.jit import inner, kernel
from minitms.fast.job import Job, State
from minitms.fast.lists import Lists, lists
from minitms.fast.threads import Threads, cuts
from minitms.features import RARE, Examples

HELD_OUT_EXAMPLES, PARTS_SCORED = 2**16, 8
FEW_MODELS = 4  # so many or fewer share the cores part by part, where a step is long enough for the hand-over
LONG_STEP = 1e5  # nanoseconds
MOST_PARTS, MOST_PARTS_BY_GRAM = 16, 2  # of a batch
LARGEST_GRAM = 512  # features whose n x n matrices stay in the cache


# ------------------------------------------------------------------------------------------------------- kernels
# Model k has the features of row k % K of `data`. A part is a range of the examples of one model's batch: its rows are
# model, first and last example. Kernels take a range of parts or models, so that threads can share them out.


TRAIN, SUM, SCORE = 0, 1, 2  # what a kernel does


ALL, ACTIVE, GRAM, FIXED = 0, 1, 2, 3  # ways to a gradient
WAYS = {ALL: drawn_gradient, ACTIVE: active_gradient, GRAM: gram_gradient, FIXED: fixed_gradient}


class Room(NamedTuple):
    """What one thread works in. Most of what no model's way asks for is empty."""

    buffers: Buffers
    lists: Lists
    encoder: Encoder
    squares: Squares


@functools.cache
def kernel_for(way):
    """The kernel for one way to a gradient, so that only what a model needs is compiled."""
    batch_gradient = WAYS[way]

    @kernel(_nrt=False)
    def advance(first_part, last_part, first, last, task, parts, state, chain, data, job, room, adam):
        steps, constants = adam
        own, slopes = room
        bias = chain.decoder + chain.m * chain.n  # where b begins
        for part in range(first_part, last_part):
            model, first_example, last_example = parts[part]
            theta, slope = state.theta[model], slopes[part if task == SUM else 0]
            k, number = model % data.importance.shape[0], job.offset + model
            for t in range(first, last):
                key = batch_key(job.seed, job.stream, k if job.stream == HELD_OUT else number, job.start + t)
                for i in range(slope.size):
                    slope[i] = 0
                loss, empty = batch_gradient(key, first_example, last_example, k, theta, chain, data, job.share,
                                             task != SCORE, job.recorded[t], own, slope)
                loss += empty_examples(empty, theta[bias:], data.importance[k], job.share, chain.floor, job.recorded[t],
                                        slope[bias:])
                if task == TRAIN:
                    update(theta, slope, state.m[model], state.v[model], t, steps, constants)
                if job.recorded[t]:
                    job.losses[part, t] = loss

    return advance


def advance(first_part, last_part, first, last, stretches, task, parts, *arguments):
    """Take steps ``first .. last - 1`` with a range of parts, each in the way of its model.

    TRAIN updates the model after each step: its part is its whole batch. SUM leaves the gradient of one step to
    `finish_step`, in a row of slopes each. SCORE computes the losses alone.
    """
    for advance_one_way, start, end in stretches(first_part, last_part):
        advance_one_way(start, end, first, last, task, parts, *arguments)


def by_way(way, parts):
    """A function that cuts a range of parts where the way changes: kernel, first and last part of each stretch.

    It remembers, since a few large models ask for the same at each step.
    """
    of_part = way[parts[:, 0] % len(way)]

    @functools.cache
    def stretches(first, last):
        turns = [first, *(first + 1 + np.flatnonzero(np.diff(of_part[first:last]))).tolist(), last]
        return [(kernel_for(int(of_part[start])), start, end) for start, end in pairwise(turns)]

    return stretches


@inner
def update(theta, slope, m, v, t, steps, constants):
    """Adam's step of one model."""
    step = Step(steps.rate[t], steps.unbias_m[t], steps.unbias_v[t])
    for i in range(theta.size):
        theta[i], m[i], v[i] = adam_update(theta[i], slope[i], m[i], v[i], step, constants)


@kernel(_nrt=False)
def finish_step(t, offsets, state, slopes, adam):
    """Add the parts ``offsets[k] .. offsets[k + 1] - 1`` of each gradient in their order, and update."""
    steps, constants = adam
    for model in range(state.theta.shape[0]):
        slope = slopes[offsets[model]]
        for part in range(offsets[model] + 1, offsets[model + 1]):
            for i in range(slope.size):
                slope[i] += slopes[part, i]
        update(state.theta[model], slope, state.m[model], state.v[model], t, steps, constants)


# -------------------------------------------------------------------------------------------------- from Python


def engine(plan, saved, threads):
    """A function that advances the models of `saved` in place by some steps: the twin of `advance_by_numpy`.

    It returns the batch losses of the recorded steps, shape (restarts, ..., records).
    """
    state = State(*(array.reshape(plan.models, -1) for array in (saved.theta, saved.m, saved.v)))
    taken, chain, dtype = _data(plan.source, saved.theta.dtype), _chain(plan), saved.theta.dtype
    if one_neuron.serves(plan):
        return one_neuron.engine(plan, taken, state, threads)
    way, cost = ways(plan.source, chain, plan.batch_size, _few(plan))
    shared = _few(plan) & (_models(plan) * plan.batch_size * cost > LONG_STEP)
    parts = _parts(way, shared, plan.batch_size, plan.models)
    together = len(parts) > plan.models
    offsets = np.searchsorted(parts[:, 0], np.arange(plan.models + 1))
    slopes = np.empty((len(parts) if together else 0, plan.layout.size), dtype)
    room, stretches = _own_room(chain, way, dtype), by_way(way, parts)

    def take(first, steps, constants, recorded):
        losses = np.empty((len(parts), len(recorded)))
        job = Job(plan.seed, TRAINING, plan.first_model, first, dtype.type(1 / plan.batch_size), recorded, losses)
        common, adam = (parts, state, chain, taken, job), (steps, constants)
        if together:

            def sum_parts(one, end, t):
                advance(one, end, t, t + 1, stretches, SUM, *common, (room()[0], slopes), adam)

            def finish(t):
                finish_step(t, offsets, state, slopes, adam)

            threads.share_each_step(sum_parts, len(parts), finish, len(recorded))
        else:
            threads.share_steps(
                lambda *ranges: advance(*ranges, stretches, TRAIN, *common, room(), adam), plan.models, len(recorded)
            )
        losses = np.add.reduceat(losses[:, recorded], offsets[:-1]) / plan.batch_size
        return losses.reshape(*plan.stack, -1)

    return take


def losses(plan, theta, progress=False):
    """The loss of every model, (...): on fresh examples, the same for all restarts, or on the fixed ones."""
    rows, dtype = theta.reshape(-1, theta.shape[-1]), theta.dtype
    examples = plan.source.count if isinstance(plan.source, Examples) else HELD_OUT_EXAMPLES
    chain, taken = _chain(plan), _data(plan.source, dtype)
    ranges = [(BLOCK * first, min(BLOCK * last, examples)) for first, last in cuts(-(-examples // BLOCK), PARTS_SCORED)]
    parts = np.array([(model, *part) for model in range(len(rows)) for part in ranges])
    way, _ = ways(plan.source, chain, plan.batch_size, _few(plan))  # as in training, so that one kernel does for both
    sums, adam = np.empty((len(parts), 1)), (Step(*np.zeros((3, 1), dtype)), constants(0.0, dtype))
    job = Job(plan.seed, HELD_OUT, 0, 0, dtype.type(0), np.array([True]), sums)
    room, stretches, state = _own_room(chain, way, dtype), by_way(way, parts), State(rows, rows, rows)

    def score(first, last, *step):
        advance(first, last, *step, stretches, SCORE, parts, state, chain, taken, job, room(), adam)

    with Threads() as threads, _pace.bar(len(rows), " final losses", progress) as bar:
        for start, end in _pace.chunks(0, len(parts), size=threads.count):
            threads.share_steps(
                lambda first, last, *step, start=start: score(start + first, start + last, *step), end - start, 1
            )
            bar.update((end - start) / len(ranges))
            threads.answer()
    return (sums.reshape(len(rows), -1).sum(axis=-1) / examples).reshape(theta.shape[:-1])


def _chain(plan):
    layout = plan.layout
    return Chain(layout.m, layout.n, layout.decoder, plan.rectified, np.dtype(plan.dtype).type(plan.floor))


def _models(plan):
    """How many models there are, of which these may be a part."""
    return math.prod(plan.whole or plan.stack)


def _few(plan):
    """Whether these are so few that the cores share each."""
    return _models(plan) <= FEW_MODELS


def ways(source, chain, batch_size, few=False):
    """The cheapest way to a gradient for each row of features, (K,), and its nanoseconds an example.

    These are as measured on one processor: what counts is how they compare. Of `few` models every part computes the
    two n x n matrices.
    """
    m, n = chain.m, chain.n
    every = 1 + 0.3 * n + 0.105 * n * m
    if isinstance(source, Examples):
        return np.array([FIXED]), np.array([every])
    density = source.density.reshape(-1, n)
    active, any_active, rare = density.sum(axis=-1), 1 - np.prod(1 - density, axis=-1), density < RARE
    by_feature = 0.02 * n + 10 * density.sum(axis=-1, where=rare) + 0.45 * (~rare).sum(axis=-1)
    listing = np.where(rare.any(axis=-1), by_feature, 12 + 0.27 * n)
    each = 10 + 0.1 * n + 0.6 * m + 0.057 * n * m
    some = listing + 0.07 * n + 3.7 * active + (any_active + 0.1) * each  # a tenth: panels that are not full
    matrices = (500 + n * n * (0.3 + 0.04 * m)) * (MOST_PARTS_BY_GRAM if few else 1)
    by_gram = listing + active * 0.1 * n + any_active * 14 + matrices / batch_size
    plain = chain.decoder == 0 and not chain.rectified and n <= LARGEST_GRAM
    costs = np.stack([np.full_like(some, every), some, by_gram if plain else np.full_like(some, np.inf)])
    return np.array([ALL, ACTIVE, GRAM])[costs.argmin(axis=0)], costs.min(axis=0)


def _data(source, dtype) -> Data:
    return (fixed if isinstance(source, Examples) else data)(source, dtype)


def _own_room(chain, way, dtype):
    """A function that gives each thread room of its own."""
    own, size = threading.local(), chain.decoder + (chain.m + 1) * chain.n

    def room():
        if not hasattr(own, "room"):
            listed, active, by_gram = (np.isin(way, ways).any() for ways in ([ACTIVE, GRAM], ACTIVE, GRAM))
            own.room = Room(
                buffers(chain, dtype, fixed=(way == FIXED).all()), lists(chain.n, listed, dtype),
                encoder(chain, active, dtype), squares(chain, by_gram, dtype),
            ), np.empty((1, size), dtype)  # fmt: skip
        return own.room

    return room


def _parts(way, shared, batch_size, models):
    """Cut the batch of each model that all cores share into parts: (P, 3) of model, first and last example.

    A part is a block or more; with A = WᵀW, which every part computes, there are few of them.
    """
    parts, blocks = [], -(-batch_size // BLOCK)
    for model in range(models):
        k = model % len(way)
        most = (MOST_PARTS_BY_GRAM if way[k] == GRAM else MOST_PARTS) if shared[k] else 1
        size = -(-blocks // most) * BLOCK
        parts += [(model, first, min(first + size, batch_size)) for first in range(0, batch_size, size)]
    return np.array(parts)
