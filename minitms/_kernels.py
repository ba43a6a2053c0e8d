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

# Below this share of examples with any active feature, gathering those first costs less than it saves.
WORTH_GATHERING = 0.5

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
def draw(key, first, width, density, reciprocal, X):
    """Fill X[:, :width] with examples ``first .. first + width - 1`` of a batch."""
    n = X.shape[0]
    off = X.dtype.type(0)
    if X.itemsize == 8:
        for i in range(n):
            threshold, scale = density[i], reciprocal[i]
            for e in range(width):
                word = mix(key + u64((first + e) * n + i + 1) * _GAMMA)
                u = np.int64(word >> u64(11)) * 2.0**-53
                X[i, e] = u * scale if u < threshold else off
        return
    words = (n + 1) // 2
    unit = np.float32(2.0**-24)
    for w in range(words):
        i, j = 2 * w, min(2 * w + 1, n - 1)  # of an odd n the last word serves one feature, written twice
        threshold_i, scale_i, threshold_j, scale_j = density[i], reciprocal[i], density[j], reciprocal[j]
        if i == j:
            for e in range(width):
                word = mix(key + u64((first + e) * words + w + 1) * _GAMMA)
                u = np.float32(np.int32(word >> u64(40))) * unit
                X[i, e] = u * scale_i if u < threshold_i else off
            continue
        for e in range(width):
            word = mix(key + u64((first + e) * words + w + 1) * _GAMMA)
            u = np.float32(np.int32(word >> u64(40))) * unit
            v = np.float32(np.int32((word >> u64(8)) & u64(0xFFFFFF))) * unit
            X[i, e] = u * scale_i if u < threshold_i else off
            X[j, e] = v * scale_j if v < threshold_j else off


@jit
def find_active(X, width, total, active):
    """List the examples of X with any active feature in `active`; return how many there are."""
    n = X.shape[0]
    whole = n - n % 4
    for e in range(width):
        total[e] = 0
    for i in range(0, whole, 4):
        for e in range(width):
            total[e] += X[i, e] + X[i + 1, e] + X[i + 2, e] + X[i + 3, e]
    for i in range(whole, n):
        for e in range(width):
            total[e] += X[i, e]
    count = 0
    for e in range(width):  # without a branch: which examples are active cannot be predicted
        active[count] = e
        count += total[e] > 0
    return count


@jit
def is_sparse(density):
    """Whether so few examples have any active feature that gathering them pays."""
    none = 1.0
    for p in density:
        none *= 1.0 - p
    return 1.0 - none < WORTH_GATHERING


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
    clear(dW, db)
    loss = 0.0
    if not is_sparse(density):
        for start in range(first, last, BLOCK):
            width = min(BLOCK, last - start)
            draw(key, start, width, density, reciprocal, X)
            loss += block_gradient(X, width, W, WT, b, importance, weight, relu, want_loss, H, Z, dH, dW, db)
        return loss
    # An example with nothing active has h = 0 and z = b: it is counted, not computed. The others are gathered.
    drawn = np.empty((n, BLOCK), W.dtype)
    total, active = np.empty(BLOCK, W.dtype), np.empty(BLOCK + 1, np.int32)
    gathered = empty = 0
    for start in range(first, last, BLOCK):
        width = min(BLOCK, last - start)
        draw(key, start, width, density, reciprocal, drawn)
        found = find_active(drawn, width, total, active)
        empty += width - found
        if gathered + found > BLOCK:
            loss += block_gradient(X, gathered, W, WT, b, importance, weight, relu, want_loss, H, Z, dH, dW, db)
            gathered = 0
        for i in range(n):
            for c in range(found):
                X[i, gathered + c] = drawn[i, active[c]]
        gathered += found
    loss += block_gradient(X, gathered, W, WT, b, importance, weight, relu, want_loss, H, Z, dH, dW, db)
    return loss + empty_examples(empty, b, importance, weight, relu, db)


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
    WT = np.empty((n, m), W.dtype)
    for model in range(first_model, last_model):
        k = model % density.shape[0]
        transpose(W[model], WT)
        key = stream_key(seed, HELD_OUT, k, 0)
        loss = 0.0
        for first in range(0, examples, BLOCK):
            width = min(BLOCK, examples - first)
            draw(key, first, width, density[k], reciprocal[k], X)
            product(W[model], X, H, width)
            product(WT, H, Z, width)
            loss += block_loss(Z, X, b[model], importance[k], relu, width)
        losses[model] = loss / examples
