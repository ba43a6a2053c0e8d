"""The fused Numba loop for models of one neuron and two features (n = 2, m = 1), by the million.

`model.py`, `features.py` and `adam.py` are the definition; this file says the same thing faster. A model is four
numbers, so vector instructions run across models: LANES of them advance side by side, each with its own random numbers.

**The gradient from six sums.** With e_i = (y_i - x_i) [z_i > 0] the batch enters only through

    A_ij = Σ e_i x_j        B_i = Σ e_i        and c_i = 2 I_i / batch,

since h = w_1 x_1 + w_2 x_2 is linear. `backward`'s two paths, ∂L/∂w_i = Σ h c_i e_i + Σ (Σ_j w_j c_j e_j) x_i, become

    ∂L/∂w_1 = 2 c_1 w_1 A_11 + w_2 (c_1 A_12 + c_2 A_21)        ∂L/∂b_i = c_i B_i
    ∂L/∂w_2 = 2 c_2 w_2 A_22 + w_1 (c_1 A_12 + c_2 A_21)

**Order of the lanes.** In float32 one 64-bit word serves both features: its high half the first, its low half the
second. Where 64-bit words turn into 32-bit numbers, instructions that move data between lanes would cost much of the
time. So the words of two models are blended instead, half by half: the models of a group stand in the order
H, 0, H + 1, 1, ... (H = LANES / 2), which no result depends on.

Measured on two cores at batch 64, as a share of a loop that draws the same random numbers and does nothing else:
0.60; the same with vectors over the examples of one model, 0.30 (a quarter of it Adam's, one model at a time).
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numba import types
from numba.extending import overload

from minitms import _kernels
from minitms.adam import adam_update
from minitms.features import GAMMA, TRAINING

LANES = 64   # models side by side; measured: 32 to 128 are equally fast, 16 slower
HALF = LANES // 2
UNROLL = 4   # examples between two visits to the sums in memory

u64 = np.uint64
_GAMMA = u64(GAMMA)
_HIGH, _LOW = u64(0x00FFFFFF00000000), u64(0x0000000000FFFFFF)  # 24 bits for either 32-bit number of a word

# Below this a running mean counts as 0. Of a model whose gradient has become exactly 0 (a dead ReLU) it would go on
# shrinking to subnormal numbers, which take a hundred times as long; the weight would not move by a bit either way.
TINY = 1e-30

# Rows of the array that holds a group of models: one row a quantity, one column a model.
MEANS, SQUARES = 4, 8  # of w_1, w_2, b_1, b_2, which are rows 0 to 3
THRESHOLDS, SCALES, COSTS, ROWS = 12, 14, 16, 18  # of both features; the costs are c_i = 2 I_i / batch
SUMS = 8  # A_11, A_12, A_21, A_22, B_1, B_2 and the squared errors of both outputs

# A division by zero gives infinity: a check for it would end the vectors.
jit = partial(_kernels.jit, error_model="numpy")
mix = _kernels.mix


# ------------------------------------------------------------------------- random numbers, in float32 and in float64


def buffers(W):
    """Room for the words and the uniforms of UNROLL examples; the shapes are constants that the compiler relies on."""
    return (_buffers_single if W.itemsize == 4 else _buffers_double)(W)


def _buffers_single(W):
    words = np.empty((2, UNROLL, HALF), np.uint64)
    return words, words.view(np.int32)


def _buffers_double(W):
    words = np.empty((2, UNROLL, LANES), np.uint64)
    return words, words


def draw(keys, first, words, uniforms):
    """Fill uniforms (2, UNROLL, LANES) with 2^24 u (float32) or 2^53 u (float64) of examples first, first + 1, ..."""
    (_draw_single if uniforms.itemsize == 4 else _draw_double)(keys, first, words, uniforms)


def _draw_single(keys, first, words, uniforms):
    for k in range(UNROLL):
        counter = u64(first + k + 1) * _GAMMA
        for i in range(HALF):
            odd, even = mix(keys[i] + counter), mix(keys[HALF + i] + counter)
            words[0, k, i] = ((odd >> u64(8)) & _HIGH) | (even >> u64(40))
            words[1, k, i] = ((odd << u64(24)) & _HIGH) | ((even >> u64(8)) & _LOW)


def _draw_double(keys, first, words, uniforms):
    for feature in range(2):
        for k in range(UNROLL):
            counter = u64(2 * (first + k) + feature + 1) * _GAMMA
            for i in range(HALF):
                words[feature, k, 2 * i + 1] = mix(keys[i] + counter) >> u64(11)
                words[feature, k, 2 * i] = mix(keys[HALF + i] + counter) >> u64(11)


@overload(buffers, inline="always")
def _compiled_buffers(W):
    return _buffers_single if W.dtype == types.float32 else _buffers_double


@overload(draw, inline="always")
def _compiled_draw(keys, first, words, uniforms):
    return _draw_single if uniforms.dtype == types.int32 else _draw_double


# ---------------------------------------------------------------------------------------------- gradient and update


@jit(inline="always")
def add_examples(models, uniforms, count, floor, want_loss, sums):
    """Add `count` examples to the sums of every model. `floor` is 0 for ReLU and -∞ for the linear model."""
    off = models.dtype.type(0)
    for i in range(LANES):
        w1, w2, b1, b2 = models[0, i], models[1, i], models[2, i], models[3, i]
        t1, t2 = models[THRESHOLDS, i], models[THRESHOLDS + 1, i]
        s1, s2 = models[SCALES, i], models[SCALES + 1, i]
        a11, a12, a21, a22, e1, e2, l1, l2 = off, off, off, off, off, off, off, off
        for k in range(count):
            u1, u2 = models.dtype.type(uniforms[0, k, i]), models.dtype.type(uniforms[1, k, i])
            x1 = u1 * s1 if u1 < t1 else off
            x2 = u2 * s2 if u2 < t2 else off
            h = w1 * x1 + w2 * x2                           # encode
            z1, z2 = h * w1 + b1, h * w2 + b2               # decode
            if want_loss:
                l1 += (max(z1, floor) - x1) ** 2
                l2 += (max(z2, floor) - x2) ** 2
            d1 = z1 - x1 if z1 > floor else off             # e_i = (y_i - x_i) [z_i > 0]
            d2 = z2 - x2 if z2 > floor else off
            a11 += d1 * x1
            a12 += d1 * x2
            a21 += d2 * x1
            a22 += d2 * x2
            e1 += d1
            e2 += d2
        sums[0, i] += a11
        sums[1, i] += a12
        sums[2, i] += a21
        sums[3, i] += a22
        sums[4, i] += e1
        sums[5, i] += e2
        if want_loss:
            sums[6, i] += l1
            sums[7, i] += l2


@jit
def add_remainder(models, uniforms, count, floor, sums):
    """The last examples of a batch that is no multiple of UNROLL."""
    add_examples(models, uniforms, count, floor, True, sums)


@jit(inline="always")
def move(models, p, i, gradient, step, fixed):
    """Adam's step of number p of model i."""
    w, mean, square = adam_update(
        models[p, i], gradient, models[MEANS + p, i], models[SQUARES + p, i], step, fixed
    )
    models[p, i] = w
    models[MEANS + p, i] = mean if abs(mean) > models.dtype.type(TINY) else models.dtype.type(0)
    models[SQUARES + p, i] = square


@jit(inline="always")
def update(models, sums, step, fixed):
    """One Adam step of every model from the sums over its batch."""
    two = models.dtype.type(2)
    for i in range(LANES):
        c1, c2 = models[COSTS, i], models[COSTS + 1, i]
        w1, w2 = models[0, i], models[1, i]
        crossed = c1 * sums[1, i] + c2 * sums[2, i]
        move(models, 0, i, two * c1 * w1 * sums[0, i] + w2 * crossed, step, fixed)
        move(models, 1, i, two * c2 * w2 * sums[3, i] + w1 * crossed, step, fixed)
        move(models, 2, i, c1 * sums[4, i], step, fixed)
        move(models, 3, i, c2 * sums[5, i], step, fixed)


@jit(inline="always")
def train_group(keys, first_step, batch, steps, fixed, floor, recorded, models, words, uniforms, sums, key, losses):
    """Advance a group of LANES models by some steps; losses (LANES, steps) receives those of the recorded steps."""
    constants = (fixed[0], fixed[1], fixed[2], fixed[3])
    for t in range(steps.shape[0]):
        counter = u64(first_step + t) * _GAMMA
        for i in range(LANES):
            key[i] = mix(keys[i] + counter)
        sums[:] = 0
        for first in range(0, batch, UNROLL):
            draw(key, first, words, uniforms)
            if first + UNROLL > batch:
                add_remainder(models, uniforms, batch - first, floor, sums)
            elif recorded[t]:
                add_examples(models, uniforms, UNROLL, floor, True, sums)
            else:
                add_examples(models, uniforms, UNROLL, floor, False, sums)
        if recorded[t]:
            for i in range(LANES):
                losses[i, t] = (models[COSTS, i] * sums[6, i] + models[COSTS + 1, i] * sums[7, i]) / 2
        update(models, sums, (steps[t, 0], steps[t, 1], steps[t, 2]), constants)


@jit
def column(i):
    """Where model i of a group stands in the order of the lanes."""
    return 2 * i + 1 if i < HALF else 2 * (i - HALF)


@jit
def train_models(first_model, last_model, W, b, mean_W, square_W, mean_b, square_b, steps, fixed, density, reciprocal,
                 weight, relu, seed, first_step, batch, recorded, losses, offset):
    """Advance models ``first_model .. last_model - 1`` by ``len(steps)`` steps, in place.

    Parameters
    ----------
    W, b, mean_W, square_W, mean_b, square_b : arrays of shape (M, 1, 2), (M, 2) and their running means
    steps, fixed : of `adam.step_sizes` and `adam.fixed_numbers`
    density, reciprocal, weight : arrays of shape (K, 2), weight = 2 I / batch; model k has row k % K
    relu : bool
    seed, first_step, offset : the random numbers of model k are those of model ``offset + k``, from `first_step` on
    batch : int
    recorded : bool array of shape (steps,)
    losses : float64 array of shape (M, steps), receives the batch loss of the recorded steps, before their updates
    """
    dtype = W.dtype
    models, sums = np.empty((ROWS, LANES), dtype), np.empty((SUMS, LANES), dtype)
    keys, key = np.zeros(LANES, np.uint64), np.empty(LANES, np.uint64)
    words, uniforms = buffers(W)
    group_losses = np.zeros((LANES, steps.shape[0]), dtype)
    floor = dtype.type(0) if relu else dtype.type(-np.inf)
    unit = dtype.type(2.0**24 if W.itemsize == 4 else 2.0**53)
    seed_key = mix(u64(seed) + u64(TRAINING) * _GAMMA)
    for start in range(first_model, last_model, LANES):
        size = min(LANES, last_model - start)
        models[:] = 0
        for i in range(size):
            model, c = start + i, column(i)
            k = model % density.shape[0]
            keys[i] = mix(seed_key + u64(offset + model) * _GAMMA)
            for f in range(2):
                models[f, c], models[2 + f, c] = W[model, 0, f], b[model, f]
                models[MEANS + f, c], models[MEANS + 2 + f, c] = mean_W[model, 0, f], mean_b[model, f]
                models[SQUARES + f, c], models[SQUARES + 2 + f, c] = square_W[model, 0, f], square_b[model, f]
                models[THRESHOLDS + f, c], models[SCALES + f, c] = density[k, f] * unit, reciprocal[k, f] / unit
                models[COSTS + f, c] = weight[k, f]
        train_group(keys, first_step, batch, steps, fixed, floor, recorded, models, words, uniforms, sums,
                    key, group_losses)
        for i in range(size):
            model, c = start + i, column(i)
            for f in range(2):
                W[model, 0, f], b[model, f] = models[f, c], models[2 + f, c]
                mean_W[model, 0, f], mean_b[model, f] = models[MEANS + f, c], models[MEANS + 2 + f, c]
                square_W[model, 0, f], square_b[model, f] = models[SQUARES + f, c], models[SQUARES + 2 + f, c]
            for t in range(steps.shape[0]):
                losses[model, t] = group_losses[c, t]

