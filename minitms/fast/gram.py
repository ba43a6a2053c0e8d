"""The gradient of a plain model (tied, linear hidden layer) where few features are active: by two n x n matrices.

    z = x Wᵀ W + b = Σ x_i A_i + b,    A = WᵀW, whose rows are A_i           one row for each active feature
    dW = hᵀ dz + (dz Wᵀ)ᵀ x = W (G + Gᵀ),    G = xᵀ dz                       since h = x Wᵀ

So an example costs some 2 n multiplications for each active feature, in place of 5 m n; A and W (G + Gᵀ) cost a batch
2 m n², whatever its size. Here the active examples are rows, and every row is filled up with zeros to whole vectors.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minitms.draws import BLOCK
from minitms.fast.draws import list_active, list_examples
from minitms.fast.jit import inner
from minitms.fast.products import add_sparse_outer, add_transpose, narrow_product, sparse_product
from minitms.fast.vectors import VECTOR, aligned

GROUP = 32  # examples whose rows of Z stay in the nearest cache


class Squares(NamedTuple):
    """What one thread works in: C columns are n, filled up to whole vectors."""

    W: np.ndarray       # (m, C)
    A: np.ndarray       # (n, C), WᵀW
    G: np.ndarray       # (C, C), xᵀ dz without the costs, and later G + Gᵀ
    dW: np.ndarray      # (m, C)
    panels: tuple       # W, A, G and dW again, as panels of a single vector
    b: np.ndarray       # (C,)
    cost: np.ndarray    # (C,), 2 I / batch
    db: np.ndarray      # (C,), sums of dz, without the costs
    Z: np.ndarray       # (GROUP, C), y, then y - t where the output is on, of active examples
    room: np.ndarray    # (C,)
    x: np.ndarray       # the active features, example by example: their values ...
    feature: np.ndarray # ... and their numbers,
    first: np.ndarray   # (BLOCK + 2,), those of the active example r at first[r]:first[r + 1]
    begin: np.ndarray   # (BLOCK,), the same by the number of active features: at begin[r]:end[r]
    end: np.ndarray
    count: np.ndarray   # (n + 1,), how many examples have so many active features


def squares(chain, used, dtype) -> Squares:
    """Room for the matrices of one thread; none if they are not `used`."""
    m, n = (chain.m, chain.n) if used else (0, 0)
    vector = VECTOR // np.dtype(dtype).itemsize
    columns, listed = -(-n // vector) * vector, n * BLOCK + vector
    matrices = [aligned((rows, columns), dtype) for rows in (m, n, columns, m)]
    panels = tuple(matrix[:rows].reshape(rows, columns // vector, vector).swapaxes(0, 1)
                   for matrix, rows in zip(matrices, (m, n, n, m), strict=True))
    return Squares(
        *matrices, panels, *(aligned(columns, dtype) for _ in range(3)), aligned((GROUP, columns), dtype),
        aligned(columns, dtype), np.zeros(listed, dtype), np.zeros(listed, np.int32),
        *(np.zeros(size, np.int64) for size in (BLOCK + 2, BLOCK, BLOCK, n + 2)),
    )  # fmt: skip


@inner
def gram_gradient(key, first, last, k, theta, chain, data, share, learn, score, room, slope):
    """`model.backward` for examples ``first .. last - 1`` of a batch: adds to `slope`, a row like theta's.

    Returns the sum of the losses, if `score`, and the number of examples with nothing active, which are left out.
    """
    buffers, squares = room
    m, n, W = chain.m, chain.n, theta[: chain.m * chain.n].reshape(chain.m, chain.n)
    rare = prepare(theta, m, k, data, share, squares)
    panels_W, panels_A, panels_G, panels_dW = squares.panels
    narrow_product(W.T, panels_W, len(panels_W), panels_A)                          # A = WᵀW
    loss, empty = 0.0, 0
    for block in range(first, last, BLOCK):
        size = min(BLOCK, last - block)
        if rare:
            found = list_active(key, block, size, k, data, buffers.room, buffers.who, buffers.feature, buffers.value,
                                buffers.bounds)
            rows = by_example(size, found, buffers, squares)
        else:
            rows = list_examples(key, block, size, k, data, squares)
        by_size(rows, squares)
        empty += size - rows
        for r in range(0, rows, GROUP):
            last_row = min(r + GROUP, rows)
            sparse_product(squares.x, squares.feature, squares.begin, squares.end, r, last_row, squares.A, squares.b,
                           chain.floor, squares.Z)                                  # y = g(Σ x_i A_i + b)
            loss += error_rows(r, last_row, data, k, chain.floor, score, squares)       # y - t, db
            add_sparse_outer(squares.x, squares.feature, squares.begin, squares.end, r, last_row, squares.Z,
                             squares.G)                                             # G = xᵀ dz
    for i in range(n):
        slope[m * n + i] += squares.cost[i] * squares.db[i]                         # dz = 2 I (y - t) / batch
    add_transpose(squares.G, squares.cost)                                          # G + Gᵀ
    narrow_product(W, panels_G, len(panels_G), panels_dW)                           # dW = W (G + Gᵀ)
    for h in range(m):
        for i in range(n):
            slope[h * n + i] += squares.dW[h, i]
    return loss, empty


@inner(apart=True)
def prepare(theta, m, k, data, share, squares):
    """Fill rows up with zeros to whole vectors, and begin the sums; return whether any feature is rare."""
    n, two, rare = data.gaps.shape[1], theta.dtype.type(2), False
    W, b, importance = theta[: m * n].reshape(m, n), theta[m * n :], data.importance[k]
    for i in range(n):
        squares.b[i] = b[i]
    for i in range(n):
        squares.cost[i] = two * importance[i] * share
    for i in range(n):
        rare |= data.gaps[k, i] >= 0
    squares.db[:] = 0
    squares.G[:] = 0
    for h in range(m):
        for i in range(n):
            squares.W[h, i] = W[h, i]
    return rare


@inner(apart=True)
def by_size(rows, squares):
    """Put examples with equally many active features side by side: loops over them are foreseen by the processor."""
    first, count, most = squares.first, squares.count, 0
    for r in range(rows):
        most = max(most, first[r + 1] - first[r])
    for size in range(most + 1):
        count[size] = 0
    for r in range(rows):
        count[first[r + 1] - first[r]] += 1
    place = 0
    for size in range(most + 1):
        count[size], place = place, place + count[size]
    for r in range(rows):
        size = first[r + 1] - first[r]
        squares.begin[count[size]], squares.end[count[size]] = first[r], first[r + 1]
        count[size] += 1


@inner(apart=True)
def by_example(count, found, buffers, squares):
    """Sort what `list_active` found by example, and number the examples with any; return how many these are."""
    who, row, first = buffers.who, buffers.row, squares.first
    for e in range(count):
        row[e] = 0
    for p in range(found):
        row[who[p]] += 1
    rows = place = 0
    for e in range(count):
        active = row[e]
        row[e] = rows
        first[rows + 1] = place  # where the next of this row is put: at last, where it ends
        rows += active > 0
        place += active
    first[0] = 0
    for p in range(found):
        r = row[who[p]] + 1
        squares.x[first[r]], squares.feature[first[r]] = buffers.value[p], buffers.feature[p]
        first[r] += 1
    return rows


@inner(apart=True)
def error_rows(first, last, data, k, floor, score, squares):
    """Turn y of examples ``first .. last - 1`` into y - t where the output is on, else 0, and add it to db.

    Returns the sum of their losses, if `score`.
    """
    loss, off = 0.0, squares.Z.dtype.type(0)
    for r in range(first, last):
        z = squares.Z[r - first]
        for p in range(squares.begin[r], squares.end[r]):  # elsewhere t = 0, and y is the error
            i, t = squares.feature[p], abs(squares.x[p]) if data.absolute else squares.x[p]
            on = z[i] > floor
            z[i] -= t if on else off
            if score and not on:  # no signal, and the error is all of t
                loss += data.importance[k, i] * t * t
        if score:
            total = off
            for i in range(data.importance.shape[1]):
                total += data.importance[k, i] * (z[i] * z[i])
            loss += total
    for r in range(first, last):
        z = squares.Z[r - first]
        for j in range(squares.cost.size):
            squares.db[j] += z[j]
    return loss
