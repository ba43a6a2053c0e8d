"""The fused Numba loops that training runs on: draw a batch, take its gradient, update, all without leaving the core.

`model.py` and `features.py` are the definition; this file says the same thing faster, and the tests hold it to that.
Within one batch the layout is turned around: features are rows and examples run along them, so that the innermost
loops stream over examples and the compiler turns them into vector instructions.

    X, Z (n, BLOCK)   inputs; pre-activations, then dz        H, dH (m, BLOCK)   hidden values and their gradient

A batch passes through in blocks of BLOCK examples. Where all cores share one model, its batch is cut into parts; each
part's gradient is summed by itself, and the parts are added in their order. So the result has the same bits whichever
thread did which part.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from minitms.adam import adam_update
from minitms.features import GAMMA, HELD_OUT, TRAINING

BLOCK = 256  # examples; measured: fewer lose time at the loop ends, more fall out of the cache

# The sums over examples may be reordered and fused. NaN and infinity stay visible.
FASTMATH = {"reassoc", "contract", "nsz", "arcp"}

# Below this share of examples with any active feature, finding those first costs less than it saves. At most 1/2.
WORTH_FINDING = 0.5

u64 = np.uint64  # a bare literal would be a signed int64, and uint64 with int64 is a float64
_GAMMA = u64(GAMMA)


def jit(function=None, **options):
    """`numba.njit` with our flags, cached on disk; without the cache where no folder can be written."""
    if function is None:
        return lambda f: jit(f, **options)
    try:
        return numba.njit(fastmath=FASTMATH, nogil=True, cache=True, **options)(function)
    except RuntimeError:
        return numba.njit(fastmath=FASTMATH, nogil=True, **options)(function)


# ------------------------------------------------------------------------------------------------ random numbers


@jit(inline="always")
def mix(z):
    """SplitMix64's output function; see features.py."""
    z = (z ^ (z >> u64(30))) * u64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> u64(27))) * u64(0x94D049BB133111EB)
    return z ^ (z >> u64(31))


@jit
def stream_key(seed, stream, model, step):
    key = mix(u64(seed) + u64(stream) * _GAMMA)
    key = mix(key + u64(model) * _GAMMA)
    return mix(key + u64(step) * _GAMMA)


@jit
def word_bounds(density, itemsize):
    """What `find_active` compares random words with: one number a word, (words per example,).

    ``k 2^-24 < density`` says the same as ``k < ceil(2^24 density)`` for an integer k, and both sides of it may be
    shifted to the top of the word, or of its low half. In float64 it is 53 bits, and a word a feature.
    """
    n = density.size
    if itemsize == 8:
        bounds = np.empty(n, u64)
        for i in range(n):
            bounds[i] = u64(math.ceil(density[i] * 2.0**53)) << u64(11)
        return bounds
    bounds = np.zeros((n + 1) // 2, u64)
    for i in range(n):
        bounds[i // 2] |= u64(math.ceil(density[i] * 2.0**24)) << u64(8 if i % 2 else 40)
    return bounds


@jit
def mark_bits(density, itemsize):
    """The bits of a mark of `find_active` that say active, or 0 if most examples are, so that finding them is idle."""
    none = 1.0
    for p in density:
        none *= 1.0 - p
    if 1.0 - none >= WORTH_FINDING:
        return u64(0)
    return u64(1 << 63) if itemsize == 8 else u64(1 << 63 | 1 << 31)


@jit
def find_active(key, first, width, bounds, mark):
    """Set the top bit of mark[e], or of its low half, for each example with any active feature; draw nothing.

    For v, t below 2^31 in 32 bits, the top bit of ``(v - t) & ~v`` says v < t; a larger v is never below t, since
    `mark_bits` has all densities below 1/2. It is one subtraction for both halves of a word: what the low half
    borrows from the high one can only mark an example that is marked already.
    """
    words = bounds.size
    stride = u64(words) * _GAMMA
    for e in range(width):
        mark[e] = 0
    for w in range(words):
        bound = bounds[w]
        counter = key + u64(first * words + w + 1) * _GAMMA
        for e in range(width):
            word = mix(counter)
            counter += stride
            mark[e] |= (word - bound) & ~word


@jit
def next_examples(key, first, last, bounds, bits, mark, counters):
    """List the next examples to compute, at most BLOCK of ``first .. last - 1``: all, or the active ones.

    Returns how many, and the example to go on from. ``counters`` receives the counter before each one's first word.
    """
    words = bounds.size
    stride = u64(words) * _GAMMA
    counter = key + u64(first) * stride
    if not bits:
        count = min(BLOCK, last - first)
        for e in range(count):
            counters[e] = counter + u64(e) * stride
        return count, first + count
    count = 0
    while first < last:
        width = min(BLOCK, last - first)
        find_active(key, first, width, bounds, mark)
        for e in range(width):  # without a branch: which examples are active cannot be predicted
            counters[count] = counter
            counter += stride
            count += (mark[e] & bits) != 0
            if count == BLOCK:
                return count, first + e + 1
        first += width
    return count, last


@jit
def draw(counters, count, density, reciprocal, words, X):
    """Fill X[:, :count] with the examples listed in `counters`: features.uniforms and features.sparse.

    ``k = 2^24 u`` (2^53 u in float64) is an integer, and scaling by a power of two is exact: so compare k with
    2^24 density, and multiply it by 2^-24 / density. One row at a time: the compiler cannot tell that two in one loop
    do not overlap.
    """
    off = X.dtype.type(0)
    one = X.dtype.type(2.0**53 if X.itemsize == 8 else 2.0**24)
    for i in range(X.shape[0]):
        threshold, scale = density[i] * one, reciprocal[i] / one
        if X.itemsize == 8 or i % 2 == 0:
            offset = u64(i + 1 if X.itemsize == 8 else i // 2 + 1) * _GAMMA
            for e in range(count):
                words[e] = mix(counters[e] + offset)
        if X.itemsize == 8:
            for e in range(count):
                k = np.float64(np.int64(words[e] >> u64(11)))
                X[i, e] = k * scale if k < threshold else off
        else:
            shift = u64(32 * (i % 2))
            for e in range(count):
                k = np.float32(np.int32((words[e] << shift) >> u64(40)))
                X[i, e] = k * scale if k < threshold else off


# ------------------------------------------------------------------------------------------- products over a block


@jit
def product(A, Q, out, width):
    """``out = A Q`` for A (p, q), Q (q, BLOCK), out (p, BLOCK): two rows of A by four of Q at a time."""
    p, q = A.shape
    whole = q - q % 4
    for k in range(0, p - 1, 2):
        for e in range(width):
            out[k, e] = 0
            out[k + 1, e] = 0
        for i in range(0, whole, 4):
            a0, a1, a2, a3 = A[k, i], A[k, i + 1], A[k, i + 2], A[k, i + 3]
            c0, c1, c2, c3 = A[k + 1, i], A[k + 1, i + 1], A[k + 1, i + 2], A[k + 1, i + 3]
            for e in range(width):
                q0, q1, q2, q3 = Q[i, e], Q[i + 1, e], Q[i + 2, e], Q[i + 3, e]
                out[k, e] += a0 * q0 + a1 * q1 + a2 * q2 + a3 * q3
                out[k + 1, e] += c0 * q0 + c1 * q1 + c2 * q2 + c3 * q3
        for i in range(whole, q):
            a0, c0 = A[k, i], A[k + 1, i]
            for e in range(width):
                out[k, e] += a0 * Q[i, e]
                out[k + 1, e] += c0 * Q[i, e]
    for k in range(p - p % 2, p):
        for e in range(width):
            out[k, e] = 0
        for i in range(0, whole, 4):
            a0, a1, a2, a3 = A[k, i], A[k, i + 1], A[k, i + 2], A[k, i + 3]
            for e in range(width):
                out[k, e] += a0 * Q[i, e] + a1 * Q[i + 1, e] + a2 * Q[i + 2, e] + a3 * Q[i + 3, e]
        for i in range(whole, q):
            a0 = A[k, i]
            for e in range(width):
                out[k, e] += a0 * Q[i, e]


@jit
def add_weight_gradient(H, dZ, dH, X, dW, width):
    """``dW += H dZᵀ + dH Xᵀ``, W as decoder and as encoder: two hidden dimensions by two features at a time."""
    m, n = dW.shape
    zero = dW.dtype.type(0)
    for k in range(0, m - 1, 2):
        for i in range(0, n - 1, 2):
            s00, s01, s10, s11 = zero, zero, zero, zero
            for e in range(width):
                h0, h1, g0, g1 = H[k, e], H[k + 1, e], dH[k, e], dH[k + 1, e]
                d0, d1, x0, x1 = dZ[i, e], dZ[i + 1, e], X[i, e], X[i + 1, e]
                s00 += h0 * d0 + g0 * x0
                s01 += h0 * d1 + g0 * x1
                s10 += h1 * d0 + g1 * x0
                s11 += h1 * d1 + g1 * x1
            dW[k, i] += s00
            dW[k, i + 1] += s01
            dW[k + 1, i] += s10
            dW[k + 1, i + 1] += s11
        for i in range(n - n % 2, n):
            s00, s10 = zero, zero
            for e in range(width):
                s00 += H[k, e] * dZ[i, e] + dH[k, e] * X[i, e]
                s10 += H[k + 1, e] * dZ[i, e] + dH[k + 1, e] * X[i, e]
            dW[k, i] += s00
            dW[k + 1, i] += s10
    for k in range(m - m % 2, m):
        for i in range(n):
            s00 = zero
            for e in range(width):
                s00 += H[k, e] * dZ[i, e] + dH[k, e] * X[i, e]
            dW[k, i] += s00


# ----------------------------------------------------------------------------------------------- loss and gradient


@jit
def block_loss(Z, X, b, importance, relu, width):
    """Sum of ``I_i (y_i - x_i)²`` over a block; Z stands without the bias."""
    zero = Z.dtype.type(0)
    total = 0.0
    for i in range(b.size):
        bias, part = b[i], zero
        if relu:
            for e in range(width):
                y = max(Z[i, e] + bias, zero)
                part += (y - X[i, e]) * (y - X[i, e])
        else:
            for e in range(width):
                y = Z[i, e] + bias
                part += (y - X[i, e]) * (y - X[i, e])
        total += importance[i] * part
    return total


@jit
def error_signal(Z, X, b, weight, relu, width, db):
    """Turn Z (without the bias) into ``dz = 2 I (y - x) / batch · [z > 0]`` in place, and add its sum to db."""
    zero = Z.dtype.type(0)
    for i in range(b.size):
        bias, c, part = b[i], weight[i], zero
        if relu:
            for e in range(width):
                z = Z[i, e] + bias
                d = (z - X[i, e]) * c if z > zero else zero
                Z[i, e] = d
                part += d
        else:
            for e in range(width):
                d = (Z[i, e] + bias - X[i, e]) * c
                Z[i, e] = d
                part += d
        db[i] += part


@jit
def empty_examples(count, b, importance, weight, relu, db):
    """The part of `count` examples with nothing active: x = 0, h = 0, z = b. It reaches db and the loss only."""
    zero = b.dtype.type(0)
    loss = 0.0
    for i in range(b.size):
        y = max(b[i], zero) if relu else b[i]
        db[i] += b.dtype.type(count) * weight[i] * y
        loss += count * importance[i] * y * y
    return loss


@jit
def block_gradient(X, width, W, WT, b, importance, weight, relu, want_loss, H, Z, dH, dW, db):
    """Add the gradient of the examples in X to dW and db; return their loss (a sum) if `want_loss`."""
    product(W, X, H, width)
    product(WT, H, Z, width)
    loss = block_loss(Z, X, b, importance, relu, width) if want_loss else 0.0
    error_signal(Z, X, b, weight, relu, width, db)
    product(W, Z, dH, width)
    add_weight_gradient(H, Z, dH, X, dW, width)
    return loss


@jit
def gradient(key, first, last, density, reciprocal, W, WT, b, importance, weight, relu, want_loss, dW, db):
    """Write the gradient of examples ``first .. last - 1`` of a batch to dW and db; return their loss (a sum)."""
    m, n = W.shape
    X, Z = np.empty((n, BLOCK), W.dtype), np.empty((n, BLOCK), W.dtype)
    H, dH = np.empty((m, BLOCK), W.dtype), np.empty((m, BLOCK), W.dtype)
    words, counters = np.empty(BLOCK, u64), np.empty(BLOCK, u64)
    bounds, bits = word_bounds(density, W.itemsize), mark_bits(density, W.itemsize)
    clear(dW, db)
    loss = 0.0
    empty = last - first
    while first < last:
        count, first = next_examples(key, first, last, bounds, bits, words, counters)
        draw(counters, count, density, reciprocal, words, X)
        loss += block_gradient(X, count, W, WT, b, importance, weight, relu, want_loss, H, Z, dH, dW, db)
        empty -= count
    # An example with nothing active has h = 0 and z = b: it is counted, not computed.
    return loss if empty == 0 else loss + empty_examples(empty, b, importance, weight, relu, db)


@jit
def transpose(W, WT):
    m, n = W.shape
    for k in range(m):
        for i in range(n):
            WT[i, k] = W[k, i]


@jit
def clear(dW, db):
    """Loops, here and below: on small arrays they compile and run faster than array expressions."""
    m, n = dW.shape
    for k in range(m):
        for i in range(n):
            dW[k, i] = 0
    for i in range(n):
        db[i] = 0


@jit
def add(part_W, part_b, dW, db):
    m, n = dW.shape
    for k in range(m):
        for i in range(n):
            dW[k, i] += part_W[k, i]
    for i in range(n):
        db[i] += part_b[i]


@jit
def update(W, b, dW, db, mean_W, square_W, mean_b, square_b, step, fixed):
    m, n = W.shape
    for k in range(m):
        for i in range(n):
            W[k, i], mean_W[k, i], square_W[k, i] = adam_update(
                W[k, i], dW[k, i], mean_W[k, i], square_W[k, i], step, fixed
            )
    for i in range(n):
        b[i], mean_b[i], square_b[i] = adam_update(b[i], db[i], mean_b[i], square_b[i], step, fixed)


# ------------------------------------------------------------------------------------------------ training kernels
# Models are (M, m, n); model k has the features of row k % K of density, reciprocal and importance (K, n).
# `weight` is 2 I / batch. Kernels take a range of items, so that threads can share them out.


@jit
def train_models(first_model, last_model, W, b, mean_W, square_W, mean_b, square_b, steps, fixed, density, reciprocal,
                 importance, weight, relu, seed, first_step, batch, recorded, losses):
    """Some steps for a range of models: for many models, or small ones.

    losses (M, steps) receives the batch loss, before the update, of every step that is `recorded`.
    """
    m, n = W.shape[1:]
    WT, dW, db = np.empty((n, m), W.dtype), np.empty((m, n), W.dtype), np.empty(n, W.dtype)
    for model in range(first_model, last_model):
        k = model % density.shape[0]
        for t in range(steps.shape[0]):
            transpose(W[model], WT)
            loss = gradient(stream_key(seed, TRAINING, model, first_step + t), 0, batch, density[k], reciprocal[k],
                            W[model], WT, b[model], importance[k], weight[k], relu, recorded[t], dW, db)
            update(W[model], b[model], dW, db, mean_W[model], square_W[model], mean_b[model], square_b[model],
                   steps[t], fixed)
            if recorded[t]:
                losses[model, t] = loss / batch


@jit
def gradient_parts(first_part, last_part, parts, W, WT, b, density, reciprocal, importance, weight, relu, seed, step,
                   want_loss, parts_W, parts_b, parts_loss):
    """One step's gradient in parts: for a few large models, so that all cores share one.

    parts (P, 3) holds model, first and last example of each part, parts_W (P, m, n), parts_b (P, n) and parts_loss (P,)
    receive its gradient and loss.
    """
    for part in range(first_part, last_part):
        model, first, last = parts[part]
        k = model % density.shape[0]
        parts_loss[part] = gradient(stream_key(seed, TRAINING, model, step), first, last, density[k], reciprocal[k],
                                    W[model], WT[model], b[model], importance[k], weight[k], relu, want_loss,
                                    parts_W[part], parts_b[part])


@jit
def finish_step(first_model, last_model, offsets, W, WT, b, mean_W, square_W, mean_b, square_b, step, fixed,
                parts_W, parts_b):
    """Add the parts ``offsets[k] .. offsets[k + 1] - 1`` of each gradient in their order, update, transpose."""
    for model in range(first_model, last_model):
        dW, db = parts_W[offsets[model]], parts_b[offsets[model]]
        for part in range(offsets[model] + 1, offsets[model + 1]):
            add(parts_W[part], parts_b[part], dW, db)
        update(W[model], b[model], dW, db, mean_W[model], square_W[model], mean_b[model], square_b[model], step, fixed)
        transpose(W[model], WT[model])


@jit
def held_out_losses(first_model, last_model, W, b, density, reciprocal, importance, relu, seed, examples, losses):
    """Loss of each model on held-out examples, one set for each row of density: the same for all restarts."""
    m, n = W.shape[1:]
    X, Z, H = np.empty((n, BLOCK), W.dtype), np.empty((n, BLOCK), W.dtype), np.empty((m, BLOCK), W.dtype)
    words, counters = np.empty(BLOCK, u64), np.empty(BLOCK, u64)
    WT = np.empty((n, m), W.dtype)
    for model in range(first_model, last_model):
        k = model % density.shape[0]
        transpose(W[model], WT)
        key = stream_key(seed, HELD_OUT, k, 0)
        bounds, bits = word_bounds(density[k], W.itemsize), mark_bits(density[k], W.itemsize)
        loss = 0.0
        first, empty = 0, examples
        while first < examples:
            count, first = next_examples(key, first, examples, bounds, bits, words, counters)
            draw(counters, count, density[k], reciprocal[k], words, X)
            product(W[model], X, H, count)
            product(WT, H, Z, count)
            loss += block_loss(Z, X, b[model], importance[k], relu, count)
            empty -= count
        for i in range(n):
            y = b[model, i]
            if not relu or y > 0:
                loss += empty * importance[k, i] * y * y
        losses[model] = loss / examples
