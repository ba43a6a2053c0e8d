"""The gradient where few features are active: the encoder meets these alone, and examples with none are left out.

    a = x Eᵀ = Σ x_i Eᵀ_i           one row of Eᵀ for each active feature
    ∂L/∂Eᵀ = xᵀ da                  x_i da, added to the same rows
    a = h = 0 and z = b             where nothing is active: one sum does for all such examples

What is behind the encoder passes through in panels, as in `gradient.py`: three products of five are left.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minitms.draws import BLOCK
from minitms.fast.gradient import absolute, add_lanes, by_panels, clear
from minitms.fast.jit import inner
from minitms.fast.lists import list_block, spread
from minitms.fast.products import add_sparse_outer, sparse_product, transpose
from minitms.fast.vectors import VECTOR, aligned, lanes, lanes_of


class Encoder(NamedTuple):
    """What one thread works in: n and m are filled up to whole vectors."""

    E: np.ndarray    # (m, n), first E, then ∂L/∂E
    ET: np.ndarray   # (n, m), Eᵀ
    dET: np.ndarray  # (n, m), ∂L/∂Eᵀ
    a: np.ndarray    # (LANES, m), a or da of the examples of a panel, as rows
    none: np.ndarray # (m,), zeros


def encoder(chain, used, dtype) -> Encoder:
    """Room for the encoder of one thread; none if it is not `used`."""
    vector = VECTOR // np.dtype(dtype).itemsize
    m, n = (-(-size // vector) * vector if used else 0 for size in (chain.m, chain.n))
    return Encoder(*(aligned(shape, dtype) for shape in ((m, n), (n, m), (n, m), (lanes(dtype), m), (m,))))


@inner
def encode(E, inputs, first, panels, count, room, H):
    """``a = Σ x_i Eᵀ_i`` of `count` examples, and 0 behind the last, into panels H."""
    lists, encoder, width, lowest = room.lists, room.encoder, lanes_of(H), H.dtype.type(-np.inf)
    for p in range(panels):
        start, here = (first + p) * width, min(width, count - p * width)
        sparse_product(lists.x, lists.feature, lists.begin, lists.end, start, start + here, encoder.ET, encoder.none,
                       lowest, encoder.a)
        to_panel(encoder.a, here, H[p])


@inner(apart=True)
def to_panel(rows, count, panel):
    """Write the first `count` rows (LANES, m) side by side into a panel (m, LANES), and 0 behind them."""
    off = panel.dtype.type(0)
    for k in range(panel.shape[0]):
        for e in range(lanes_of(panel)):
            panel[k, e] = rows[e, k] if e < count else off


@inner(apart=True)
def to_rows(panel, rows):
    """The way back."""
    for k in range(panel.shape[0]):
        for e in range(lanes_of(panel)):
            rows[e, k] = panel[k, e]


@inner
def add_encoder(inputs, first, count, room, dE):
    """``∂L/∂Eᵀ = Σ x_i da`` of the listed examples, from the first on; it stays in the encoder until the batch ends."""
    lists, encoder, width = room.lists, room.encoder, lanes_of(inputs)
    for start in range(0, count, width):
        to_rows(room.buffers.dH[start // width], encoder.a)
        add_sparse_outer(lists.x, lists.feature, lists.begin, lists.end, start, min(start + width, count), encoder.a,
                         encoder.dET)


gradient = by_panels(encode, add_encoder)


@inner
def active_gradient(key, first, last, k, theta, chain, data, share, learn, score, room, slope):
    """`model.backward` for examples ``first .. last - 1`` of a batch: adds to `slope`, a row like theta's, if `learn`.

    Returns the sum of the losses, if `score`, and the number of examples with nothing active, which are left out.
    """
    buffers, lists, encoder = room.buffers, room.lists, room.encoder
    m, n, loss, empty = chain.m, chain.n, 0.0, 0
    for h in range(m):
        for i in range(n):
            encoder.E[h, i] = theta[h * n + i]
    transpose(encoder.E, encoder.ET)
    encoder.dET[:] = 0
    clear(buffers.db)
    for block in range(first, last, BLOCK):
        count = min(BLOCK, last - block)
        rows = list_block(key, block, count, k, data, lists)
        empty += count - rows
        spread(rows, lists, buffers.T)
        if data.absolute:
            absolute(buffers.T, rows, buffers.T)
        loss += gradient(0, rows, theta, chain, buffers.T, buffers.T, data.importance[k], share, learn, score, room,
                         slope)
    add_lanes(buffers.db, slope[chain.decoder + m * n :])
    transpose(encoder.dET, encoder.E)
    for h in range(m):
        for i in range(n):
            slope[h * n + i] += encoder.E[h, i]
    return loss, empty
