"""The fused Numba loop for models of one neuron and two features (n = 2, m = 1), by the million.

`model.py`, `features.py` and `adam.py` are the definition; this file says the same thing faster. A model is four
numbers, so vector instructions run across models. Those that differ only in importance share one stream of data: they
stand in a *row*, and an example that is drawn once serves them all.

**No work for what is zero.** All models of a row see the same features on and off. So the examples of a batch are
sorted by what is on, both features or one of them, and each sort has a loop of its own. Where nothing is on, h = 0
and z = b: those are counted.

**The gradient from six sums.** With e_i = (y_i - x_i) [z_i > 0] the batch enters only through

    A_ij = Σ e_i x_j        B_i = Σ e_i        and c_i = 2 I_i / batch,

since h = w_1 x_1 + w_2 x_2 is linear. `backward`'s two paths, ∂L/∂w_i = Σ h c_i e_i + Σ (Σ_j w_j c_j e_j) x_i, become

    ∂L/∂w_1 = 2 c_1 w_1 A_11 + w_2 (c_1 A_12 + c_2 A_21)        ∂L/∂b_i = c_i B_i
    ∂L/∂w_2 = 2 c_2 w_2 A_22 + w_1 (c_1 A_12 + c_2 A_21)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from minitms.adam import Step, adam_update
from minitms.draws import TRAINING
from minitms.fast.draws import batch_key, draw
from minitms.fast.jit import inner, kernel
from minitms.fast.job import Job
from minitms.fast.lists import Lists, lists
from minitms.fast.vectors import aligned, in_panels, int64, keep, lanes, lanes_of, written_for_llvm
from minitms.features import SparseFeatures

MULTIPLE = 8  # a row is filled up with models to a multiple of these; one model alone costs as much
UNROLL = 4    # examples between two visits to the sums in memory

# Below this a running mean counts as 0. Of a model whose gradient has become exactly 0 (a dead ReLU) it would go on
# shrinking to subnormal numbers, which take a hundred times as long; the weight would not move by a bit either way.
TINY = 1e-30

# Rows of the array that holds the models of a row: one row a quantity, one column a model.
MEANS, SQUARES, COSTS, QUANTITIES = 4, 8, 12, 14  # of w_1, w_2, b_1, b_2, which are rows 0 to 3; the costs are c_i
A11, A12, A21, A22, B1, B2, SUMS = 0, 1, 2, 3, 4, 5, 6
BOTH, FIRST, SECOND = 0, 1, 2  # which features are on


@inner
def sort_examples(X, batch, sorted_x, counts):
    """Sort the examples by which of their features are on; return how many are left, with none.

    Each sort is filled up with zeros to a multiple of UNROLL. These are taken off the ones left, whose number may so
    become negative: an example of zeros adds to the sums the same wherever it stands.
    """
    panels = -(-batch // lanes_of(X))
    for e in range(batch, panels * lanes_of(X)):
        X[panels - 1, 0, e % lanes_of(X)] = X[panels - 1, 1, e % lanes_of(X)] = 0
    keep_sorted(X, panels, sorted_x, counts)
    left = batch
    for sort in range(3):
        whole = -(-counts[sort] // UNROLL) * UNROLL
        for e in range(counts[sort], whole):
            sorted_x[sort, 0, e] = sorted_x[sort, 1, e] = 0
        counts[sort] = whole
        left -= whole
    return left


def _keep_sorted(builder, X, panels, sorted_x, counts):
    zero = ir.Constant(X.vector, None)
    found = [cgutils.alloca_once_value(builder, int64(0)) for _ in range(3)]
    with cgutils.for_range(builder, panels) as loop:
        for lane in range(0, lanes_of(X), X.length):
            x1, x2 = (X.row(X.beside(X.at(loop.index, int64(i)), lane)) for i in range(2))
            on1, on2 = (builder.fcmp_ordered(">", x, zero) for x in (x1, x2))
            for sort, mask, lists in (
                (BOTH, builder.and_(on1, on2), (x1, x2)),
                (FIRST, builder.and_(on1, builder.not_(on2)), (x1,)),
                (SECOND, builder.and_(on2, builder.not_(on1)), (x2,)),
            ):
                starts = [sorted_x.at(int64(sort), int64(row)) for row in range(len(lists))]
                keep(builder, mask, [(sorted_x, *pair) for pair in zip(starts, lists, strict=True)], found[sort])
    for sort in range(3):
        counts.write(builder.load(found[sort]), counts.at(int64(sort)))


@written_for_llvm(_keep_sorted)
def keep_sorted(X, panels, sorted_x, counts):
    """Write the examples of the panels to ``sorted_x[sort]``; with one feature on, its values alone."""
    x = X[:panels].swapaxes(0, 1).reshape(2, -1)
    for sort, on in ((BOTH, (True, True)), (FIRST, (True, False)), (SECOND, (False, True))):
        kept = x[:, ((x > 0).T == on).all(axis=-1)][[0, 1] if sort == BOTH else [sort - 1]]
        counts[sort] = kept.shape[1]
        sorted_x[sort, : len(kept), : kept.shape[1]] = kept


@inner
def add_both(models, x, start, width, floor, sums):
    """Add UNROLL examples with both features on to the sums of every model."""
    off = models.dtype.type(0)
    for i in range(width):
        w1, w2, b1, b2 = models[0, i], models[1, i], models[2, i], models[3, i]
        a11, a12, a21, a22, e1, e2 = off, off, off, off, off, off
        for k in range(UNROLL):
            x1, x2 = x[0, start + k], x[1, start + k]
            h = w1 * x1 + w2 * x2                           # encode
            z1, z2 = h * w1 + b1, h * w2 + b2               # decode
            d1 = off if z1 <= floor else z1 - x1            # e_i = (y_i - x_i) [z_i > 0], and NaN stays visible
            d2 = off if z2 <= floor else z2 - x2
            a11 += d1 * x1
            a12 += d1 * x2
            a21 += d2 * x1
            a22 += d2 * x2
            e1 += d1
            e2 += d2
        sums[A11, i] += a11
        sums[A12, i] += a12
        sums[A21, i] += a21
        sums[A22, i] += a22
        sums[B1, i] += e1
        sums[B2, i] += e2


@inner
def add_one(models, x, count, on, width, floor, sums):
    """Add the examples with one feature on: number 0 or 1, with x_on = x[0]."""
    off, other = models.dtype.type(0), 1 - on
    for start in range(0, count, UNROLL):
        for i in range(width):
            w, v, b, c = models[on, i], models[other, i], models[2 + on, i], models[2 + other, i]
            a_on, a_other, e_on, e_other = off, off, off, off
            for k in range(UNROLL):
                x_on = x[0, start + k]
                h = w * x_on
                z, y = h * w + b, h * v + c
                d = off if z <= floor else z - x_on
                y = off if y <= floor else y
                a_on += d * x_on
                a_other += y * x_on
                e_on += d
                e_other += y
            sums[A11 if on == 0 else A22, i] += a_on
            sums[A21 if on == 0 else A12, i] += a_other
            sums[B1 + on, i] += e_on
            sums[B1 + other, i] += e_other


@inner
def batch_losses(models, X, batch, width, floor, losses):
    """The sum of ``c_i (y_i - x_i)²`` over the batch for every model: twice its mean loss, as c_i = 2 I_i / batch."""
    for i in range(width):
        losses[i] = 0
    for e in range(batch):
        x1, x2 = X[e // lanes_of(X), 0, e % lanes_of(X)], X[e // lanes_of(X), 1, e % lanes_of(X)]
        for i in range(width):
            w1, w2 = models[0, i], models[1, i]
            h = w1 * x1 + w2 * x2
            y1, y2 = max(h * w1 + models[2, i], floor), max(h * w2 + models[3, i], floor)
            losses[i] += models[COSTS, i] * (y1 - x1) ** 2 + models[COSTS + 1, i] * (y2 - x2) ** 2


@inner
def update(models, sums, left, width, floor, step, constants):
    """One Adam step of every model from the sums over its batch, of which `left` examples have nothing on."""
    two, empty = models.dtype.type(2), models.dtype.type(left)
    for i in range(width):
        c1, c2, w1, w2 = models[COSTS, i], models[COSTS + 1, i], models[0, i], models[1, i]
        # The gradient takes the place of the sums: each is read before its row is overwritten.
        crossed = c1 * sums[A12, i] + c2 * sums[A21, i]
        sums[0, i] = two * c1 * w1 * sums[A11, i] + w2 * crossed
        sums[1, i] = two * c2 * w2 * sums[A22, i] + w1 * crossed
        sums[2, i] = c1 * (sums[B1, i] + empty * max(models[2, i], floor))
        sums[3, i] = c2 * (sums[B2, i] + empty * max(models[3, i], floor))
    for p in range(4):
        for i in range(width):
            w, mean, square = adam_update(
                models[p, i], sums[p, i], models[MEANS + p, i], models[SQUARES + p, i], step, constants
            )
            models[p, i] = w
            models[MEANS + p, i] = mean if abs(mean) > models.dtype.type(TINY) else models.dtype.type(0)
            models[SQUARES + p, i] = square


class Room(NamedTuple):
    """What one thread works in, for rows of up to `width` models."""

    models: np.ndarray      # (QUANTITIES, width)
    sums: np.ndarray        # (SUMS, width)
    losses: np.ndarray      # (width,)
    X: np.ndarray           # (panels, 2, LANES), the batch,
    sorted_x: np.ndarray    # (3, 2, batch + LANES), the same sorted by what is on,
    counts: np.ndarray      # (3,), and how many there are of each sort
    lists: Lists            # of the examples of a rare feature


def room(count, batch, dtype) -> Room:
    """Room for rows of `count` models."""
    width, panels = -(-count // MULTIPLE) * MULTIPLE, -(-batch // lanes(dtype))
    return Room(
        aligned((QUANTITIES, width), dtype), aligned((SUMS, width), dtype), aligned(width, dtype),
        in_panels(panels, 2, dtype), aligned((3, 2, batch + lanes(dtype)), dtype), np.zeros(3, np.int64),
        lists(2, False, dtype),
    )  # fmt: skip


@kernel(_nrt=False)
def train_rows(first_row, last_row, count, state, data, adam, floor, job, batch, room):
    """Advance the models of rows ``first_row .. last_row - 1`` by some steps, in place.

    Parameters
    ----------
    count : int, models of a row
    state : of `job.State`, arrays of shape (rows * count, 4) of w_1, w_2, b_1, b_2
    data : of `draws.Data`; row r has the density of its row ``r * count % K``; there its importances begin
    adam : of `adam.steps` and `adam.constants`
    floor : of the output, 0 for a ReLU and -∞ for a linear one
    job : of `job.Job`; the random numbers of row r are those of model ``offset + r``
    batch : int
    room : Room
    """
    models, sums, batch_loss, X, sorted_x, counts, listed = room
    (steps, constants), width, two = adam, models.shape[1], models.dtype.type(2)
    for row in range(first_row, last_row):
        first = row * count
        for i in range(count):
            for q in range(4):
                models[q, i], models[MEANS + q, i] = state.theta[first + i, q], state.m[first + i, q]
                models[SQUARES + q, i] = state.v[first + i, q]
            for f in range(2):
                importance = data.importance[(first + i) % data.importance.shape[0], f]
                models[COSTS + f, i] = two * importance * job.share
        k = first % data.importance.shape[0]
        for t in range(steps.rate.size):
            draw(batch_key(job.seed, job.stream, job.offset + row, job.start + t), 0, batch, k, data, listed, X)
            left = sort_examples(X, batch, sorted_x, counts)
            for q in range(SUMS):
                for i in range(width):
                    sums[q, i] = 0
            for start in range(0, counts[BOTH], UNROLL):
                add_both(models, sorted_x[BOTH], start, width, floor, sums)
            add_one(models, sorted_x[FIRST], counts[FIRST], 0, width, floor, sums)
            add_one(models, sorted_x[SECOND], counts[SECOND], 1, width, floor, sums)
            if job.recorded[t]:
                batch_losses(models, X, batch, width, floor, batch_loss)
                for i in range(count):
                    job.losses[first + i, t] = batch_loss[i] * (batch / 2)
            step = Step(steps.rate[t], steps.unbias_m[t], steps.unbias_v[t])
            update(models, sums, left, width, floor, step, constants)
        for i in range(count):
            for q in range(4):
                state.theta[first + i, q], state.m[first + i, q] = models[q, i], models[MEANS + q, i]
                state.v[first + i, q] = models[SQUARES + q, i]


def serves(plan) -> bool:
    """Whether this file knows the model: plain, with one neuron and two independent features."""
    source, layout = plan.source, plan.layout
    return (
        (layout.m, layout.n, layout.tied, plan.rectified) == (1, 2, True, False)
        and isinstance(source, SparseFeatures) and source.is_plain
        and (source.pattern, source.target) == ("independent", "x")  # |x| = x keeps the bits of the general kernels
    )


def engine(plan, data, state, threads):
    """`training.engine` for these models: a row each, since each has data of its own."""
    dtype = state.theta.dtype

    def take(first, steps, constants, recorded):
        losses = np.empty((plan.models, len(recorded)))
        job = Job(plan.seed, TRAINING, plan.first_model, first, dtype.type(1 / plan.batch_size), recorded, losses)
        common = 1, state, data, (steps, constants), dtype.type(plan.floor), job, plan.batch_size
        threads.share(lambda *rows: train_rows(*rows, *common, room(1, plan.batch_size, dtype)), plan.models)
        return losses[:, recorded].reshape(*plan.stack, -1) / plan.batch_size

    return take
