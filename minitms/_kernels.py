"""The fused Numba loops that training runs on: draw a batch, take its gradient, update, all without leaving the core.

`model.py` and `features.py` are the definition; this file says the same thing faster, and the tests hold it to that.
A batch passes through in blocks of BLOCK examples, in one of three ways, whichever is less work for the density.

**All values**; or all values of the **active examples**, those with any feature on: in the others h = 0 and z = b, and
one sum does for them all. Features are rows and examples run along them, so that the innermost loops stream over
examples and the compiler turns them into vector instructions. The gradient is `backward`'s, term by term.

    X, Z (n, BLOCK)   inputs; pre-activations, then dz        H, dH (m, BLOCK)   hidden values and their gradient

**Active values** alone, where few features of an example are on. The two paths through W meet in one n x n matrix:

    dW = hᵀ dz + (dz Wᵀ)ᵀ x = W (G + Gᵀ),    G = xᵀ dz,    since h = x Wᵀ

and G needs a row of dz for each active value, the encoder a row of Wᵀ. Decoding alone stays dense. Here the active
examples are rows:

    H (BLOCK, m), Z (BLOCK, n), G (n, n)
    who, value                   example and value of every active feature, those of feature i at start[i]:start[i + 1]

Where all cores share one model, its batch is cut into parts; each part's gradient is summed by itself, and the parts
are added in their order. So the result has the same bits whichever thread did which part.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from minitms._draw import BLOCK, draw, find_active, inner, jit, lean, stream_key, u32
from minitms.adam import adam_update
from minitms.features import HELD_OUT, TRAINING

ALL, ACTIVE_EXAMPLES, ACTIVE_VALUES = 0, 1, 2  # what a model's gradient is computed from


def ways(density, m, batch_size):
    """The cheapest way for each model, for density (..., n) -> (...); the bounds are measured.

    Where half of the values are active a search would find too much, and `word_bounds` does not hold. G must stay in
    the cache, and the product W (G + Gᵀ), which a batch costs whatever its size, below what it saves.
    """
    n, active = density.shape[-1], density.sum(axis=-1, dtype=float)
    any_active = 1 - np.prod(1 - density.astype(float), axis=-1)
    values = (active * (n + 150) <= n * m) & (64 <= n <= min(batch_size, 1000))
    found = np.where(values, ACTIVE_VALUES, np.where(any_active < 0.4, ACTIVE_EXAMPLES, ALL))
    return np.where(density.max(axis=-1) < 0.5, found, ALL)


# ------------------------------------------------------------------------------------------------ active features


@inner
def number_rows(start, who, row, count):
    """Put a row in place of each example in `who`: the examples with anything active, in their order; how many."""
    for e in range(count):
        row[e] = 0
    for p in range(start[-1]):
        row[who[p]] = 1
    rows = 0
    for e in range(count):
        active = row[e]
        row[e] = rows
        rows += active
    for p in range(start[-1]):
        who[p] = row[who[p]]
    return rows


@inner
def spread(start, who, value, columns, X):
    """Write the active examples to the first columns of X."""
    for i in range(X.shape[0]):
        for e in range(columns):
            X[i, e] = 0
        for p in range(start[i], start[i + 1]):
            X[i, who[p]] = value[p]


@inner
def encode_active(start, who, value, WT, rows, H):
    """``h = x Wᵀ`` of the active examples: a row of Wᵀ for each active value."""
    n, m = WT.shape
    for r in range(rows):
        for k in range(m):
            H[r, k] = 0
    for i in range(n):
        for p in range(start[i], start[i + 1]):
            r, x = who[p], value[p]
            for k in range(m):
                H[r, k] += x * WT[i, k]


@inner
def active_errors(Z, rows, b, importance, floor, start, who, value, db):
    """`error_signal` for rows of examples, but without the factor 2 I / batch: y, then y - x where x is not 0."""
    n, loss = b.size, 0.0
    for r in range(rows):
        for i in range(n):
            Z[r, i] = max(Z[r, i] + b[i], floor)
    for i in range(n):
        for p in range(start[i], start[i + 1]):
            y, x = Z[who[p], i], value[p]
            if y > floor:
                Z[who[p], i] = y - x
            else:  # no signal, and the error is all of x
                loss += importance[i] * x * x
    for r in range(rows):
        squares = Z.dtype.type(0)
        for i in range(n):
            error = Z[r, i]
            db[i] += error
            squares += importance[i] * (error * error)
        loss += squares
    return loss


@inner
def correlate(start, who, value, Z, G):
    """``G += xᵀ dz``: a row of Z for each active value, four at a time."""
    n, zero = G.shape[0], Z.dtype.type(0)
    for i in range(n):
        last = start[i + 1]
        for p in range(start[i], last, 4):
            r0 = r1 = r2 = r3 = who[p]
            x0, x1, x2, x3 = value[p], zero, zero, zero
            if p + 1 < last:
                r1, x1 = who[p + 1], value[p + 1]
            if p + 2 < last:
                r2, x2 = who[p + 2], value[p + 2]
            if p + 3 < last:
                r3, x3 = who[p + 3], value[p + 3]
            for j in range(n):
                G[i, j] += (x0 * Z[r0, j] + x1 * Z[r1, j]) + (x2 * Z[r2, j] + x3 * Z[r3, j])


@inner
def weigh(G, db, weight):
    """``G + Gᵀ`` and db with the factors 2 I / batch that `active_errors` left out, in place."""
    for i in range(db.size):
        for j in range(i + 1):
            G[i, j] = G[j, i] = weight[j] * G[i, j] + weight[i] * G[j, i]
        db[i] *= weight[i]


# ------------------------------------------------------------------------------------------- products of matrices


@inner
def product(A, Q, out, p, width):
    """``out = A Q`` for p rows of A (.., q) and `width` columns of Q (q, ..): three rows by four terms at a time.

    There is one loop, so that there is little to compile. If p is no multiple of 3, the last tile reaches back over
    rows already done and writes them again; if q is no multiple of 4, the terms that lack count 0. Below p = 3 a tile
    has rows too many: they go to the rows behind p if `out` has any, or else, with the same values, onto the last one.
    That is right but keeps the compiler from vector instructions, so give `out` three rows.
    """
    q, zero = A.shape[1], out.dtype.type(0)
    last, last_out = p - 1, out.shape[0] - 1
    for top in range(0, p, 3):
        r0 = min(top, max(p - 3, 0))
        r1, r2, out1, out2 = min(r0 + 1, last), min(r0 + 2, last), min(r0 + 1, last_out), min(r0 + 2, last_out)
        for i in range(0, q, 4):
            i1, i2, i3 = min(i + 1, q - 1), min(i + 2, q - 1), min(i + 3, q - 1)
            a0, a1, a2, a3 = A[r0, i], A[r0, i1], A[r0, i2], A[r0, i3]
            b0, b1, b2, b3 = A[r1, i], A[r1, i1], A[r1, i2], A[r1, i3]
            c0, c1, c2, c3 = A[r2, i], A[r2, i1], A[r2, i2], A[r2, i3]
            if i + 3 >= q:
                a3 = b3 = c3 = zero
                if i + 2 >= q:
                    a2 = b2 = c2 = zero
                    if i + 1 >= q:
                        a1 = b1 = c1 = zero
            for e in range(width):
                q0, q1, q2, q3 = Q[i, e], Q[i1, e], Q[i2, e], Q[i3, e]
                sum0 = (out[r0, e] if i > 0 else zero) + (a0 * q0 + a1 * q1 + a2 * q2 + a3 * q3)
                sum1 = (out[out1, e] if i > 0 else zero) + (b0 * q0 + b1 * q1 + b2 * q2 + b3 * q3)
                sum2 = (out[out2, e] if i > 0 else zero) + (c0 * q0 + c1 * q1 + c2 * q2 + c3 * q3)
                out[r0, e], out[out1, e], out[out2, e] = sum0, sum1, sum2


@inner
def add_outers(H, dZ, dH, X, dW, width):
    """``dW += H dZᵀ + dH Xᵀ``, W as decoder and as encoder: two rows of dW by four columns at a time.

    Where a last tile is not full, a row or column stands in for those that lack, and is added once.
    """
    m, n = dW.shape
    zero = dW.dtype.type(0)
    for k in range(0, m, 2):
        j = min(k + 1, m - 1)
        for i in range(0, n, 4):
            i1, i2, i3 = min(i + 1, n - 1), min(i + 2, n - 1), min(i + 3, n - 1)
            s0, s1, s2, s3, t0, t1, t2, t3 = zero, zero, zero, zero, zero, zero, zero, zero
            for e in range(width):
                h, g = H[k, e], H[j, e]
                z0, z1, z2, z3 = dZ[i, e], dZ[i1, e], dZ[i2, e], dZ[i3, e]
                s0 += h * z0
                s1 += h * z1
                s2 += h * z2
                s3 += h * z3
                t0 += g * z0
                t1 += g * z1
                t2 += g * z2
                t3 += g * z3
                h, g = dH[k, e], dH[j, e]
                z0, z1, z2, z3 = X[i, e], X[i1, e], X[i2, e], X[i3, e]
                s0 += h * z0
                s1 += h * z1
                s2 += h * z2
                s3 += h * z3
                t0 += g * z0
                t1 += g * z1
                t2 += g * z2
                t3 += g * z3
            for c in range(min(4, n - i)):
                dW[k, i + c] += (s0, s1, s2, s3)[c]
                if j > k:
                    dW[j, i + c] += (t0, t1, t2, t3)[c]


# ----------------------------------------------------------------------------------------------- loss and gradient


# `floor` is 0 for ReLU and -∞ for the linear model: y = max(z, floor).


@inner
def error_signal(Z, X, b, importance, weight, floor, width, db):
    """Turn Z (without the bias) into ``dz = 2 I (y - x) / batch · [z > 0]`` in place, and add its sum to db.

    Returns the sum of ``I_i (y_i - x_i)²``.
    """
    zero, loss = Z.dtype.type(0), 0.0
    for i in range(b.size):
        bias, c, part, squares = b[i], weight[i], zero, zero
        for e in range(width):
            z = Z[i, e] + bias
            error = max(z, floor) - X[i, e]
            squares += error * error
            d = error * c if z > floor else zero
            Z[i, e] = d
            part += d
        db[i] += part
        loss += importance[i] * squares
    return loss


@inner
def empty_examples(count, b, importance, weight, floor, db):
    """The part of `count` examples with nothing active: x = 0, h = 0, z = b. It reaches db and the loss only."""
    loss = 0.0
    for i in range(b.size):
        y = max(b[i], floor)
        db[i] += b.dtype.type(count) * weight[i] * y
        loss += count * importance[i] * y * y
    return loss


def buffers(m, n, way, dtype):
    """What `gradient` works in, for models of these ways. What `product` writes to has three rows or more."""
    X, Z = np.empty((n, BLOCK), dtype), np.empty((max(n, 3), BLOCK), dtype)
    H, dH = np.empty((max(m, 3), BLOCK), dtype), np.empty((max(m, 3), BLOCK), dtype)
    g, listed = n * (way == ACTIVE_VALUES).any(), n * BLOCK * (way != ALL).any() + 1
    rows = np.empty((BLOCK, m), dtype), np.empty((BLOCK, n), dtype), np.empty((g, g), dtype)
    active = np.empty(n + 1, np.int64), np.empty(listed, np.int32), np.empty(listed, dtype)
    return X, Z, H, dH, *rows, *active, np.empty(BLOCK, u32), np.empty(BLOCK, np.int64)


@jit(inline="always")  # so that `way` is known to the compiler, which leaves out what is not needed
def gradient(key, first, last, way, bounds, density, reciprocal, W, WT, b, importance, weight, floor, only_loss, room,
             dW, db):
    """Write the gradient of examples ``first .. last - 1`` of a batch to dW and db; return their loss (a sum)."""
    m, n = W.shape
    X, Z, H, dH, rows_H, rows_Z, G, start, who, value, words, row = room
    loss, empty = 0.0, 0
    clear(dW, db)
    if way == ACTIVE_VALUES and not only_loss:
        clear(G, db)
    for block in range(first, last, BLOCK):
        count = active = min(BLOCK, last - block)
        if way == ALL:
            draw(key, block, count, density, reciprocal, X)
        else:
            find_active(key, block, count, bounds, density, reciprocal, words, who, value, start)
            active = number_rows(start, who, row, count)
            empty += count - active
        if way == ACTIVE_VALUES:
            encode_active(start, who, value, WT, active, rows_H)
            product(rows_H, W, rows_Z, active, n)
            loss += active_errors(rows_Z, active, b, importance, floor, start, who, value, db)
            if not only_loss:
                correlate(start, who, value, rows_Z, G)
        else:
            if way == ACTIVE_EXAMPLES:
                spread(start, who, value, active, X)
            product(W, X, H, m, active)
            product(WT, H, Z, n, active)
            loss += error_signal(Z, X, b, importance, weight, floor, active, db)
            if not only_loss:
                product(W, Z, dH, m, active)
                add_outers(H, Z, dH, X, dW, active)
    if way == ACTIVE_VALUES and not only_loss:
        weigh(G, db, weight)
        product(W, G, dW, m, n)
    if way != ALL:
        loss += empty_examples(empty, b, importance, weight, floor, db)
    return loss


@inner
def clear(dW, db):
    """Set both to 0. (Loops: on small arrays they compile and run faster than array expressions.)"""
    m, n = dW.shape
    for k in range(m):
        for i in range(n):
            dW[k, i] = 0
    for i in range(db.size):
        db[i] = 0


@inner
def add(part_W, part_b, dW, db):
    m, n = dW.shape
    for k in range(m):
        for i in range(n):
            dW[k, i] += part_W[k, i]
    for i in range(n):
        db[i] += part_b[i]


@inner
def update(w, g, mean, square, step, fixed):
    """Adam's step of a row of weights."""
    constants, sizes = (fixed[0], fixed[1], fixed[2], fixed[3]), (step[0], step[1], step[2])
    for i in range(w.size):
        w[i], mean[i], square[i] = adam_update(w[i], g[i], mean[i], square[i], sizes, constants)


@inner
def update_model(W, WT, b, dW, db, mean_W, square_W, mean_b, square_b, step, fixed):
    m, n = W.shape
    for k in range(m):
        update(W[k], dW[k], mean_W[k], square_W[k], step, fixed)
        for i in range(n):
            WT[i, k] = W[k, i]
    update(b, db, mean_b, square_b, step, fixed)


# ------------------------------------------------------------------------------------------------ training kernels
# Models are (M, m, n); model k has the features of row k % K of bounds, density, reciprocal and importance (K, ...).
# `weight` is 2 I / batch. A part is a range of the examples of one model's batch; kernels take a range of parts or
# models, so that threads can share them out.

TRAIN, ADD_UP, SCORE = 0, 1, 2  # what `advance` does


def kernel_for(way):
    """`advance` for one way: a kernel for each, so that only what a model needs is compiled."""

    @lean
    def advance(first_part, last_part, first, last, task, room, parts, W, WT, b, mean_W, square_W, mean_b, square_b,
                dW, db, steps, fixed, weight, bounds, density, reciprocal, importance, floor, seed, start, recorded,
                losses):
        for part in range(first_part, last_part):
            model, first_example, last_example = parts[part]
            k = model % density.shape[0]
            stream, drawn_for = (HELD_OUT, k) if task == SCORE else (TRAINING, model)
            for t in range(first, last):
                key = stream_key(seed, stream, drawn_for, start + t)
                loss = gradient(key, first_example, last_example, way, bounds[k], density[k], reciprocal[k], W[model],
                                WT[model], b[model], importance[k], weight[k], floor, task == SCORE, room, dW[part],
                                db[part])
                if task == TRAIN:
                    update_model(W[model], WT[model], b[model], dW[part], db[part], mean_W[model], square_W[model],
                                 mean_b[model], square_b[model], steps[t], fixed)
                if recorded[t]:
                    losses[part, t] = loss

    return advance


KERNELS = {way: kernel_for(way) for way in (ALL, ACTIVE_EXAMPLES, ACTIVE_VALUES)}


def advance(first_part, last_part, first, last, task, way, room, parts, *arguments):
    """Take steps ``first .. last - 1`` with a range of `parts`, whose rows are model, first and last example.

    TRAIN updates the model after each step, whose part is its whole batch: for many models, or small ones.
    ADD_UP leaves the gradient of one step in ``dW[part]`` and ``db[part]``, for `finish_step`: for few and large ones.
    SCORE computes the losses on the held-out examples of the model's features alone, which are the same for restarts.

    Step t of these is step ``start + t`` of the run. losses (P, steps) receives the sum over the part of the losses
    before the update, at every step that is `recorded`. `way` (K,) is the way for each model's features, `room` made by
    `buffers`.
    """
    ways_of_parts = way[parts[first_part:last_part, 0] % len(way)]
    turns = first_part + 1 + np.flatnonzero(np.diff(ways_of_parts))
    for start, end in pairwise([first_part, *turns.tolist(), last_part]):
        KERNELS[ways_of_parts[start - first_part]](start, end, first, last, task, room, parts, *arguments)


@lean
def finish_step(first_model, last_model, t, offsets, W, WT, b, mean_W, square_W, mean_b, square_b, dW, db, steps,
                fixed):
    """Add the parts ``offsets[k] .. offsets[k + 1] - 1`` of each gradient in their order, and update."""
    for model in range(first_model, last_model):
        whole = offsets[model]
        for part in range(whole + 1, offsets[model + 1]):
            add(dW[part], db[part], dW[whole], db[whole])
        update_model(W[model], WT[model], b[model], dW[whole], db[whole], mean_W[model], square_W[model], mean_b[model],
                     square_b[model], steps[t], fixed)
