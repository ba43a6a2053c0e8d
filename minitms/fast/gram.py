"""The gradient of a plain model (tied, linear hidden layer) where few features are active: by two n x n matrices.

    z = x Wᵀ W + b = Σ x_i A_i + b,    A = WᵀW, whose rows are A_i           one row for each active feature
    dW = hᵀ dz + (dz Wᵀ)ᵀ x = W (G + Gᵀ),    G = xᵀ dz                       since h = x Wᵀ

So an example costs some n multiplications for each active feature, in place of 5 m n; A and W (G + Gᵀ) cost a batch
2 m n², whatever its size. Here the active examples are rows, and every row is filled up with zeros to whole vectors.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minitms.draws import BLOCK
from minitms.fast.draws import list_active
from minitms.fast.jit import inner
from minitms.fast.products import combination, product
from minitms.fast.vectors import aligned, lanes, lanes_of


class Squares(NamedTuple):
    """What one thread works in: C columns are n, filled up to whole panels."""

    W: np.ndarray       # (m, C)
    A: np.ndarray       # (n, C), WᵀW
    G: np.ndarray       # (n, C), sums of x_i (y - t), and later G + Gᵀ
    dW: np.ndarray      # (m, C)
    panels: tuple       # W, A, G and dW again, as panels of their columns
    b: np.ndarray       # (1, C)
    Z: np.ndarray       # (BLOCK, C), z + b of an active example, then y - t where the output is on
    db: np.ndarray      # (C,), sums of these
    order: np.ndarray   # the active features again, example by example: their numbers,
    x: np.ndarray       # their values,
    first: np.ndarray   # (BLOCK + 1,), those of the active example r at first[r]:first[r + 1]


def squares(chain, used, dtype) -> Squares:
    """Room for the matrices of one thread; none if they are not `used`."""
    m, n = (chain.m, chain.n) if used else (0, 0)
    columns, listed = -(-n // lanes(dtype)) * lanes(dtype), n * BLOCK + 1
    matrices = [aligned((rows, columns), dtype) for rows in (m, n, n, m)]
    vectors = columns // lanes(dtype), lanes(dtype)
    panels = tuple(matrix.reshape(len(matrix), *vectors).swapaxes(0, 1) for matrix in matrices)
    return Squares(
        *matrices, panels, aligned((1, columns), dtype), aligned((BLOCK if used else 0, columns), dtype),
        aligned(columns, dtype),
        np.zeros(listed, np.int32), np.zeros(listed, dtype), np.zeros(BLOCK + 1, np.int64),
    )  # fmt: skip


@inner
def gram_gradient(key, first, last, k, theta, chain, data, share, learn, score, buffers, squares, slope):
    """`model.backward` for examples ``first .. last - 1`` of a batch: adds to `slope`, a row like theta's.

    Returns the sum of the losses, if `score`, and the number of examples with nothing active, which are left out.
    """
    m, n, columns, width = chain.m, chain.n, squares.A.shape[1], lanes_of(theta)
    W, b = theta[: m * n].reshape(m, n), theta[m * n :]
    loss, empty = 0.0, 0
    for i in range(n):
        squares.b[0, i] = b[i]
        squares.db[i] = 0
        for j in range(columns):
            squares.G[i, j] = 0
        for h in range(m):
            squares.W[h, i] = W[h, i]
    panels_W, panels_A, panels_G, panels_dW = squares.panels
    product(W.T, panels_W, columns // width, panels_A)                              # A = WᵀW
    for block in range(first, last, BLOCK):
        size = min(BLOCK, last - block)
        list_active(key, block, size, k, data, buffers.room, buffers.who, buffers.value, buffers.start)
        active = by_example(size, buffers, squares)
        empty += size - active
        for r in range(active):                                                     # z = Σ x_i A_i + b
            combination(squares.x, squares.order, squares.first[r], squares.first[r + 1], squares.A, columns,
                        squares.b, 0, squares.Z, r)
            loss += errors(r, data, k, chain.floor, score, squares)
        for i in range(n):                                                          # G = xᵀ (y - t)
            combination(buffers.value, buffers.who, buffers.start[i], buffers.start[i + 1], squares.Z, columns,
                        squares.G, i, squares.G, i)
    two = theta.dtype.type(2)
    for i in range(n):                                                              # dz = 2 I (y - t) / batch
        slope[m * n + i] += two * data.importance[k, i] * share * squares.db[i]
        for j in range(i + 1):
            G = two * data.importance[k, j] * share * squares.G[i, j]
            GT = two * data.importance[k, i] * share * squares.G[j, i]
            squares.G[i, j] = squares.G[j, i] = G + GT
    product(W, panels_G, columns // width, panels_dW)                               # dW = W (G + Gᵀ)
    for h in range(m):
        for i in range(n):
            slope[h * n + i] += squares.dW[h, i]
    return loss, empty


@inner(apart=True)
def by_example(count, buffers, squares):
    """Sort the active features by example too, and number the examples with any; `who` becomes these numbers."""
    start, who, row = buffers.start, buffers.who, buffers.row
    for e in range(count):
        row[e] = 0
    for p in range(start[-1]):
        row[who[p]] += 1
    rows = place = 0
    for e in range(count):
        active = row[e]
        row[e] = rows
        squares.first[rows] = place
        rows += active > 0
        place += active
    for i in range(start.size - 1):
        for p in range(start[i], start[i + 1]):
            r = row[who[p]]
            who[p] = r
            squares.order[squares.first[r]], squares.x[squares.first[r]] = i, buffers.value[p]
            squares.first[r] += 1
    for r in range(rows, 0, -1):  # each has moved on to where the next begins
        squares.first[r] = squares.first[r - 1]
    squares.first[0] = 0
    return rows


@inner
def errors(r, data, k, floor, score, squares):
    """Turn row r of Z into y - t where the output is on, else 0, and add it to db; return its loss, if `score`.

    Where x_i = t_i = 0 that is y itself, whether it is on or not.
    """
    Z, loss = squares.Z, 0.0
    for j in range(Z.shape[1]):
        Z[r, j] = max(Z[r, j], floor)
    for p in range(squares.first[r], squares.first[r + 1]):
        i, t = squares.order[p], abs(squares.x[p]) if data.absolute else squares.x[p]
        if Z[r, i] > floor:
            Z[r, i] -= t
        else:  # no signal, and the error is all of t
            loss += data.importance[k, i] * t * t
    for j in range(Z.shape[1]):
        squares.db[j] += Z[r, j]
    if score:
        total = Z.dtype.type(0)
        for i in range(data.importance.shape[1]):
            total += data.importance[k, i] * (Z[r, i] * Z[r, i])
        loss += total
    return loss
