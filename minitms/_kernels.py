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
    options = {"fastmath": FASTMATH, "nogil": True, "no_cfunc_wrapper": True, **options}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:
        return numba.njit(**options)(function)


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


def word_bounds(density):
    """What `find_active` compares random words with, for density (..., n): one number a word, (..., words per example).

    ``k 2^-24 < density`` says the same as ``k < ceil(2^24 density)`` for an integer k, and both sides of it may be
    shifted to the top of the word, or of its low half. In float64 it is 53 bits, and a word a feature.
    """
    if density.itemsize == 8:
        return np.ceil(density * 2.0**53).astype(u64) << u64(11)
    bounds = np.ceil(density * np.float64(2.0**24)).astype(u64)
    high, low = bounds[..., 0::2] << u64(40), bounds[..., 1::2] << u64(8)
    high[..., : low.shape[-1]] |= low
    return high


def mark_bits(density):
    """The bits of a mark of `find_active` that say active, or 0 if most examples are, so that finding them is idle."""
    bits = 1 << 63 if density.itemsize == 8 else 1 << 63 | 1 << 31
    return np.where(share_active(density) < WORTH_FINDING, u64(bits), u64(0))


def share_active(density):
    """The probability that an example has any active feature."""
    return 1 - np.prod(1 - density.astype(float), axis=-1)


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
    """``out = A Q`` for A (p, q), Q (q, BLOCK), out (p, BLOCK): two rows of A by four of Q at a time.

    The rows go in pairs; with an odd number of them the last pair computes a row again, with the same result.
    """
    p, q = A.shape
    whole = q - q % 4
    for pair in range(0, p, 2):
        k, j = max(min(pair, p - 2), 0), min(pair + 1, p - 1)
        for e in range(width):
            out[k, e] = 0
            out[j, e] = 0
        for i in range(0, whole, 4):
            a0, a1, a2, a3 = A[k, i], A[k, i + 1], A[k, i + 2], A[k, i + 3]
            c0, c1, c2, c3 = A[j, i], A[j, i + 1], A[j, i + 2], A[j, i + 3]
            for e in range(width):
                q0, q1, q2, q3 = Q[i, e], Q[i + 1, e], Q[i + 2, e], Q[i + 3, e]
                out_k = out[k, e] + (a0 * q0 + a1 * q1 + a2 * q2 + a3 * q3)
                out_j = out[j, e] + (c0 * q0 + c1 * q1 + c2 * q2 + c3 * q3)
                out[k, e], out[j, e] = out_k, out_j
        for i in range(whole, q):
            a0, c0 = A[k, i], A[j, i]
            for e in range(width):
                out_k, out_j = out[k, e] + a0 * Q[i, e], out[j, e] + c0 * Q[i, e]
                out[k, e], out[j, e] = out_k, out_j


@jit
def add_outer(P, Q, out, width):
    """``out += P Qᵀ`` for P (p, BLOCK), Q (q, BLOCK), out (p, q): two rows of P by four of Q at a time."""
    p, q = out.shape
    whole = q - q % 4
    zero = out.dtype.type(0)
    for k in range(0, p, 2):
        j = min(k + 1, p - 1)  # of an odd number of rows the last is its own partner, and added once
        for i in range(0, whole, 4):
            s0, s1, s2, s3, t0, t1, t2, t3 = zero, zero, zero, zero, zero, zero, zero, zero
            for e in range(width):
                pk, pj = P[k, e], P[j, e]
                q0, q1, q2, q3 = Q[i, e], Q[i + 1, e], Q[i + 2, e], Q[i + 3, e]
                s0 += pk * q0
                s1 += pk * q1
                s2 += pk * q2
                s3 += pk * q3
                t0 += pj * q0
                t1 += pj * q1
                t2 += pj * q2
                t3 += pj * q3
            out[k, i] += s0
            out[k, i + 1] += s1
            out[k, i + 2] += s2
            out[k, i + 3] += s3
            if j > k:
                out[j, i] += t0
                out[j, i + 1] += t1
                out[j, i + 2] += t2
                out[j, i + 3] += t3
        for i in range(whole, q):
            s0, t0 = zero, zero
            for e in range(width):
                s0 += P[k, e] * Q[i, e]
                t0 += P[j, e] * Q[i, e]
            out[k, i] += s0
            if j > k:
                out[j, i] += t0


# ----------------------------------------------------------------------------------------------- loss and gradient


# `floor` is 0 for ReLU and -∞ for the linear model: y = max(z, floor).


@jit
def block_loss(Z, X, b, importance, floor, width):
    """Sum of ``I_i (y_i - x_i)²`` over a block; Z stands without the bias."""
    total = 0.0
    for i in range(b.size):
        bias, part = b[i], Z.dtype.type(0)
        for e in range(width):
            error = max(Z[i, e] + bias, floor) - X[i, e]
            part += error * error
        total += importance[i] * part
    return total


@jit
def error_signal(Z, X, b, weight, floor, width, db):
    """Turn Z (without the bias) into ``dz = 2 I (y - x) / batch · [z > 0]`` in place, and add its sum to db."""
    zero = Z.dtype.type(0)
    for i in range(b.size):
        bias, c, part = b[i], weight[i], zero
        for e in range(width):
            z = Z[i, e] + bias
            d = (z - X[i, e]) * c if z > floor else zero
            Z[i, e] = d
            part += d
        db[i] += part


@jit
def empty_examples(count, b, importance, weight, floor, db):
    """The part of `count` examples with nothing active: x = 0, h = 0, z = b. It reaches db and the loss only."""
    loss = 0.0
    for i in range(b.size):
        y = max(b[i], floor)
        db[i] += b.dtype.type(count) * weight[i] * y
        loss += count * importance[i] * y * y
    return loss


@jit(inline="always")  # into its one caller: so its code is optimised once, not twice
def gradient(key, first, last, bounds, bits, density, reciprocal, W, WT, b, importance, weight, floor,
             want_loss, want_gradient, dW, db):
    """Write the gradient of examples ``first .. last - 1`` of a batch to dW and db; return their loss (a sum)."""
    m, n = W.shape
    X, Z = np.empty((n, BLOCK), W.dtype), np.empty((n, BLOCK), W.dtype)
    H, dH = np.empty((m, BLOCK), W.dtype), np.empty((m, BLOCK), W.dtype)
    words, counters = np.empty(BLOCK, u64), np.empty(BLOCK, u64)
    if want_gradient:
        clear(dW, db)
    loss = 0.0
    empty = last - first
    while first < last:
        count, first = next_examples(key, first, last, bounds, bits, words, counters)
        draw(counters, count, density, reciprocal, words, X)
        product(W, X, H, count)
        product(WT, H, Z, count)
        if want_loss:
            loss += block_loss(Z, X, b, importance, floor, count)
        if want_gradient:
            error_signal(Z, X, b, weight, floor, count, db)
            product(W, Z, dH, count)
            add_outer(H, Z, dW, count)   # W as decoder
            add_outer(dH, X, dW, count)  # and as encoder
        empty -= count
    # An example with nothing active has h = 0 and z = b: it is counted, not computed.
    return loss if empty == 0 else loss + empty_examples(empty, b, importance, weight, floor, db)


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
def update(W, WT, b, dW, db, mean_W, square_W, mean_b, square_b, step, fixed):
    m, n = W.shape
    for k in range(m):
        for i in range(n):
            W[k, i], mean_W[k, i], square_W[k, i] = adam_update(
                W[k, i], dW[k, i], mean_W[k, i], square_W[k, i], step, fixed
            )
            WT[i, k] = W[k, i]
    for i in range(n):
        b[i], mean_b[i], square_b[i] = adam_update(b[i], db[i], mean_b[i], square_b[i], step, fixed)


# ------------------------------------------------------------------------------------------------ training kernels
# Models are (M, m, n); model k has the features of row k % K of bounds, density, reciprocal and importance (K, ...).
# `weight` is 2 I / batch. A part is a range of the examples of one model's batch; kernels take a range of parts or
# models, so that threads can share them out.

TRAIN, ADD_UP, SCORE = 0, 1, 2  # what `advance` does


@jit
def advance(first_part, last_part, first, last, task, parts, W, WT, b, mean_W, square_W, mean_b, square_b, dW, db,
            steps, fixed, weight, bounds, bits, density, reciprocal, importance, floor, seed, start, recorded, losses):
    """Take steps ``first .. last - 1`` with a range of `parts`, whose rows are model, first and last example.

    TRAIN updates the model after each step, whose part is its whole batch: for many models, or small ones.
    ADD_UP leaves the gradient of one step in ``dW[part]`` and ``db[part]``, for `finish_step`: for few and large ones.
    SCORE computes the losses on the held-out examples of the model's features alone, which are the same for restarts.

    Step t of these is step ``start + t`` of the run. losses (P, steps) receives the sum over the part of the losses
    before the update, at every step that is `recorded`.
    """
    for part in range(first_part, last_part):
        model, first_example, last_example = parts[part]
        k = model % density.shape[0]
        stream, drawn_for = (HELD_OUT, k) if task == SCORE else (TRAINING, model)
        for t in range(first, last):
            key = stream_key(seed, stream, drawn_for, start + t)
            loss = gradient(key, first_example, last_example, bounds[k], bits[k], density[k], reciprocal[k], W[model],
                            WT[model], b[model], importance[k], weight[k], floor, recorded[t], task != SCORE, dW[part],
                            db[part])
            if task == TRAIN:
                update(W[model], WT[model], b[model], dW[part], db[part], mean_W[model], square_W[model],
                       mean_b[model], square_b[model], steps[t], fixed)
            if recorded[t]:
                losses[part, t] = loss


@jit
def finish_step(first_model, last_model, t, offsets, W, WT, b, mean_W, square_W, mean_b, square_b, dW, db, steps,
                fixed):
    """Add the parts ``offsets[k] .. offsets[k + 1] - 1`` of each gradient in their order, and update."""
    for model in range(first_model, last_model):
        whole = offsets[model]
        for part in range(whole + 1, offsets[model + 1]):
            add(dW[part], db[part], dW[whole], db[whole])
        update(W[model], WT[model], b[model], dW[whole], db[whole], mean_W[model], square_W[model], mean_b[model],
               square_b[model], steps[t], fixed)
