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

import numpy as np

from minitms._draw import draw, inner, jit, stream_key
from minitms.adam import adam_update
from minitms.features import TRAINING

LANES = 8   # a row is filled up to a multiple of these, the models in a vector; one model alone costs as much
UNROLL = 4  # examples between two visits to the sums in memory

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
    both = first = second = 0
    for e in range(batch):  # without a branch: which are on cannot be predicted
        x1, x2 = X[0, e], X[1, e]
        sorted_x[BOTH, 0, both], sorted_x[BOTH, 1, both] = x1, x2
        sorted_x[FIRST, 0, first], sorted_x[SECOND, 0, second] = x1, x2
        both += (x1 > 0) & (x2 > 0)
        first += (x1 > 0) & (x2 == 0)
        second += (x1 == 0) & (x2 > 0)
    counts[BOTH], counts[FIRST], counts[SECOND] = both, first, second
    left = batch
    for sort in range(3):
        whole = -(-counts[sort] // UNROLL) * UNROLL
        for e in range(counts[sort], whole):
            sorted_x[sort, 0, e] = sorted_x[sort, 1, e] = 0
        counts[sort] = whole
        left -= whole
    return left


@jit(inline="always")
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
            d1 = z1 - x1 if z1 > floor else off             # e_i = (y_i - x_i) [z_i > 0]
            d2 = z2 - x2 if z2 > floor else off
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
                d = z - x_on if z > floor else off
                y = y if y > floor else off
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
    """The sum of ``c_i (y_i - x_i)² / 2`` over the batch, for every model: its mean loss, with c_i = 2 I_i / batch."""
    for i in range(width):
        losses[i] = 0
    for e in range(batch):
        x1, x2 = X[0, e], X[1, e]
        for i in range(width):
            w1, w2 = models[0, i], models[1, i]
            h = w1 * x1 + w2 * x2
            y1, y2 = max(h * w1 + models[2, i], floor), max(h * w2 + models[3, i], floor)
            losses[i] += models[COSTS, i] * (y1 - x1) ** 2 + models[COSTS + 1, i] * (y2 - x2) ** 2


@inner
def update(models, sums, left, width, floor, step, fixed):
    """One Adam step of every model from the sums over its batch, of which `left` examples have nothing on."""
    constants, sizes = (fixed[0], fixed[1], fixed[2], fixed[3]), (step[0], step[1], step[2])
    two, empty = models.dtype.type(2), models.dtype.type(left)
    for i in range(width):
        c1, c2, w1, w2 = models[COSTS, i], models[COSTS + 1, i], models[0, i], models[1, i]
        crossed = c1 * sums[A12, i] + c2 * sums[A21, i]
        sums[0, i] = two * c1 * w1 * sums[A11, i] + w2 * crossed
        sums[1, i] = two * c2 * w2 * sums[A22, i] + w1 * crossed
        sums[2, i] = c1 * (sums[B1, i] + empty * max(models[2, i], floor))
        sums[3, i] = c2 * (sums[B2, i] + empty * max(models[3, i], floor))
    for p in range(4):
        for i in range(width):
            w, mean, square = adam_update(
                models[p, i], sums[p, i], models[MEANS + p, i], models[SQUARES + p, i], sizes, constants
            )
            models[p, i] = w
            models[MEANS + p, i] = mean if abs(mean) > models.dtype.type(TINY) else models.dtype.type(0)
            models[SQUARES + p, i] = square


@jit
def train_rows(first_row, last_row, W, b, mean_W, square_W, mean_b, square_b, steps, fixed, density, reciprocal, weight,
               relu, seed, first_step, batch, recorded, losses, offset):
    """Advance the models of rows ``first_row .. last_row - 1`` by ``len(steps)`` steps, in place.

    Parameters
    ----------
    W, b, mean_W, square_W, mean_b, square_b : arrays of shape (R, I, 1, 2), (R, I, 2) and their running means
        R rows of I models.
    steps, fixed : of `adam.step_sizes` and `adam.fixed_numbers`
    density, reciprocal : arrays of shape (K, 2); row r has density[r % K]
    weight : array of shape (K, I, 2), 2 I / batch
    relu : bool
    seed, first_step, offset : the random numbers of row r are those of model ``offset + r``, from `first_step` on
    batch : int
    recorded : bool array of shape (steps,)
    losses : float64 array of shape (R, I, steps), receives the batch loss of the recorded steps, before their updates
    """
    dtype, count = W.dtype, W.shape[1]
    width = -(-count // LANES) * LANES
    models, sums = np.zeros((QUANTITIES, width), dtype), np.empty((SUMS, width), dtype)
    batch_loss = np.empty(width, dtype)
    X, sorted_x = np.empty((2, batch), dtype), np.empty((3, 2, batch + UNROLL), dtype)
    counts = np.empty(3, np.int64)
    floor = dtype.type(0) if relu else dtype.type(-np.inf)
    for row in range(first_row, last_row):
        r = row % density.shape[0]
        for i in range(count):
            for f in range(2):
                models[f, i], models[2 + f, i] = W[row, i, 0, f], b[row, i, f]
                models[MEANS + f, i], models[MEANS + 2 + f, i] = mean_W[row, i, 0, f], mean_b[row, i, f]
                models[SQUARES + f, i], models[SQUARES + 2 + f, i] = square_W[row, i, 0, f], square_b[row, i, f]
                models[COSTS + f, i] = weight[r, i, f]
        for t in range(steps.shape[0]):
            draw(stream_key(seed, TRAINING, offset + row, first_step + t), 0, batch, density[r], reciprocal[r], X)
            left = sort_examples(X, batch, sorted_x, counts)
            for q in range(SUMS):
                for i in range(width):
                    sums[q, i] = 0
            for start in range(0, counts[BOTH], UNROLL):
                add_both(models, sorted_x[BOTH], start, width, floor, sums)
            add_one(models, sorted_x[FIRST], counts[FIRST], 0, width, floor, sums)
            add_one(models, sorted_x[SECOND], counts[SECOND], 1, width, floor, sums)
            if recorded[t]:
                batch_losses(models, X, batch, width, floor, batch_loss)
                for i in range(count):
                    losses[row, i, t] = batch_loss[i] / 2
            update(models, sums, left, width, floor, steps[t], fixed)
        for i in range(count):
            for f in range(2):
                W[row, i, 0, f], b[row, i, f] = models[f, i], models[2 + f, i]
                mean_W[row, i, 0, f], mean_b[row, i, f] = models[MEANS + f, i], models[MEANS + 2 + f, i]
                square_W[row, i, 0, f], square_b[row, i, f] = models[SQUARES + f, i], models[SQUARES + 2 + f, i]
