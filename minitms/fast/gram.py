"""The gradient of a plain model (tied, linear hidden layer) where few features are active: by two n x n matrices.

    z = x Wᵀ W + b = Σ x_i A_i + b,    A = WᵀW, whose rows are A_i           one row for each active feature
    dW = hᵀ dz + (dz Wᵀ)ᵀ x = W (G + Gᵀ),    G = xᵀ dz                       since h = x Wᵀ

So an example costs some 2 n multiplications for each active feature, in place of 5 m n; A and W (G + Gᵀ) cost a batch
1.5 m n², whatever its size. Here the active examples are rows, and every row is filled up with zeros to whole vectors.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minitms.draws import BLOCK
from minitms.fast.jit import inner
from minitms.fast.lists import list_block
from minitms.fast.products import add_rows, add_sparse_outer, add_transpose, mirror, narrow_product, sparse_product
from minitms.fast.vectors import VECTOR, aligned

GROUP = 32  # examples whose rows of Z stay in the nearest cache


class Squares(NamedTuple):
    """What one thread works in: C columns are n, filled up to whole vectors."""

    W: np.ndarray       # (m, C)
    A: np.ndarray       # (C, C), WᵀW
    G: np.ndarray       # (C, C), xᵀ dz without the costs, and later G + Gᵀ
    dW: np.ndarray      # (m, C)
    panels: tuple       # W, A, G and dW again, as panels of a single vector
    b: np.ndarray       # (C,)
    cost: np.ndarray    # (C,), 2 I / batch
    db: np.ndarray      # (C,), sums of dz, without the costs
    Z: np.ndarray       # (GROUP, C), y, then y - t where the output is on, of active examples


def squares(chain, used, dtype) -> Squares:
    """Room for the matrices of one thread; none if they are not `used`."""
    m, n = (chain.m, chain.n) if used else (0, 0)
    vector = VECTOR // np.dtype(dtype).itemsize
    columns = -(-n // vector) * vector
    matrices = [aligned((rows, columns), dtype) for rows in (m, columns, columns, m)]
    panels = tuple(matrix[:rows].reshape(rows, columns // vector, vector).swapaxes(0, 1)
                   for matrix, rows in zip(matrices, (m, n, n, m), strict=True))
    return Squares(
        *matrices, panels, *(aligned(columns, dtype) for _ in range(3)), aligned((GROUP, columns), dtype)
    )


@inner
def gram_gradient(key, first, last, k, theta, chain, data, share, learn, score, room, slope):
    """`model.backward` for examples ``first .. last - 1`` of a batch: adds to `slope`, a row like theta's, if `learn`.

    Returns the sum of the losses, if `score`, and the number of examples with nothing active, which are left out.
    """
    lists, squares = room.lists, room.squares
    m, n, W = chain.m, chain.n, theta[: chain.m * chain.n].reshape(chain.m, chain.n)
    prepare(theta, m, data.importance[k], share, squares)
    panels_W, panels_A, panels_G, panels_dW = squares.panels
    vector = panels_W.shape[2]
    for p in range(len(panels_W)):                                                  # A = WᵀW, on and above ...
        narrow_product(W.T[: (p + 1) * vector], panels_W[p : p + 1], 1, panels_A[p : p + 1])
    mirror(squares.A)                                                               # ... and below the diagonal
    loss, empty = 0.0, 0
    for block in range(first, last, BLOCK):
        size = min(BLOCK, last - block)
        rows = list_block(key, block, size, k, data, lists)
        empty += size - rows
        for r in range(0, rows, GROUP):
            last_row = min(r + GROUP, rows)
            sparse_product(lists.x, lists.feature, lists.begin, lists.end, r, last_row, squares.A, squares.b,
                           chain.floor, squares.Z)                                  # y = g(Σ x_i A_i + b)
            loss += error_rows(r, last_row, data, k, chain.floor, score, lists, squares)  # y - t, db
            if learn:
                add_sparse_outer(lists.x, lists.feature, lists.begin, lists.end, r, last_row, squares.Z,
                                 squares.G)                                         # G = xᵀ dz, yet without the costs
    if not learn:
        return loss, empty
    for i in range(n):
        slope[m * n + i] += squares.cost[i] * squares.db[i]                         # dz = 2 I (y - t) / batch
    add_transpose(squares.G, squares.cost)                                          # G + Gᵀ
    narrow_product(W, panels_G, len(panels_G), panels_dW)                           # dW = W (G + Gᵀ)
    for h in range(m):
        for i in range(n):
            slope[h * n + i] += squares.dW[h, i]
    return loss, empty


@inner(apart=True)
def prepare(theta, m, importance, share, squares):
    """Fill rows up with zeros to whole vectors, and begin the sums."""
    n, two = importance.size, theta.dtype.type(2)
    W, b = theta[: m * n].reshape(m, n), theta[m * n :]
    for i in range(n):
        squares.b[i] = b[i]
    for i in range(n):
        squares.cost[i] = two * importance[i] * share
    squares.db[:] = 0
    squares.G[:] = 0
    for h in range(m):
        for i in range(n):
            squares.W[h, i] = W[h, i]


@inner(apart=True)
def error_rows(first, last, data, k, floor, score, lists, squares):
    """Turn y of examples ``first .. last - 1`` into y - t where the output is on, else 0, and add it to db.

    Returns the sum of their losses, if `score`.
    """
    loss, off = 0.0, squares.Z.dtype.type(0)
    for r in range(first, last):
        z = squares.Z[r - first]
        for p in range(lists.begin[r], lists.end[r]):  # elsewhere t = 0, and y is the error
            i, t = lists.feature[p], abs(lists.x[p]) if data.absolute else lists.x[p]
            on = z[i] > floor
            z[i] -= t if on else off
            if score:  # of an output that is off: the error is all of t
                loss += off if on else data.importance[k, i] * t * t
        if score:
            total = off
            for i in range(data.importance.shape[1]):
                total += data.importance[k, i] * (z[i] * z[i])
            loss += total
    add_rows(squares.Z, last - first, squares.db)
    return loss
