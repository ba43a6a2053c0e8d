"""The fast voice of `model.backward`: draw a batch, and take its gradient, without leaving the core.

A batch passes through in blocks of examples, which stand side by side in panels (see `vectors.py`). `active.py` and
`gram.py` have other ways, for few active features.

    X, T, Z (panels, n, LANES)    inputs; targets; z, then dz        H, dH (panels, m, LANES)    h, and dh, then da
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from minitms.draws import BLOCK
from minitms.fast.draws import draw
from minitms.fast.jit import inner
from minitms.fast.products import WIDE, add_outer, product
from minitms.fast.vectors import aligned, in_panels, int32, int64, lanes, lanes_of, written_for_llvm

NEAR = 128  # rows of X and H whose panels, with those of Z and dH, stay in the nearest cache


class Chain(NamedTuple):
    """The model's switches. `floor` is 0 for a ReLU and -∞ for a linear output: y = max(z, floor)."""

    m: int
    n: int
    decoder: int    # where D begins in a row of theta; 0 if tied
    rectified: bool  # whether the hidden layer has a ReLU
    floor: np.floating


class Buffers(NamedTuple):
    """The panels of a block, in which one thread works."""

    X: np.ndarray
    T: np.ndarray
    Z: np.ndarray
    H: np.ndarray
    dH: np.ndarray
    db: np.ndarray      # (n, LANES), sums of dz
    total: np.ndarray   # an outer tile


def buffers(chain, dtype, fixed) -> Buffers:
    """Buffers for a block; for fixed examples, which are there already, without inputs and targets."""
    m, n, panels = chain.m, chain.n, BLOCK // lanes(dtype)
    drawn = 0 if fixed else panels
    return Buffers(
        in_panels(drawn, n, dtype), in_panels(drawn, n, dtype), in_panels(panels, n, dtype),
        in_panels(panels, m, dtype), in_panels(panels, m, dtype), aligned((n, lanes(dtype)), dtype),
        aligned((4, WIDE), dtype),
    )  # fmt: skip


# ----------------------------------------------------------------------------------------------- loss and gradient


def by_panels(encode, add_encoder):
    """The gradient of examples in panels, with a function each for ``a = x Eᵀ`` and for ``∂L/∂E = daᵀ x``.

    These two may take x from the panels or from the lists of `room`, and keep ∂L/∂E there until the end of the batch.
    """

    @inner
    def gradient(first, count, theta, chain, inputs, targets, importance, share, learn, score, room, slope):
        """`model.backward` for `count` examples in panels from `first` on: adds to `slope`, if `learn`.

        `slope` is a row like theta's, and `share` is 1 / batch. Returns the sum of the losses, if `score`. What b
        gathers stays in ``buffers.db``.
        """
        m, n, at, width, buffers = chain.m, chain.n, chain.decoder, lanes_of(theta), room.buffers
        E, D, b = theta[: m * n].reshape(m, n), theta[at : at + m * n].reshape(m, n), theta[at + m * n :]
        H, dH, Z, loss = buffers.H, buffers.dH, buffers.Z, 0.0
        panels, most = -(-count // width), max(1, NEAR // (m + n))
        for p in range(0, panels, most):
            few, here = min(most, panels - p), min(most * width, count - p * width)
            T, h, dh, z = targets[first + p : first + p + few], H[p : p + few], dH[p : p + few], Z[p : p + few]
            encode(E, inputs, first + p, few, here, room, h)                            # a = x Eᵀ
            if chain.rectified:
                rectify(h)                                                              # h = ReLU(a)
            product(D.T, h, few, z)                                                     # z = h D, and without b
            if score:
                for q in range(few):
                    loss += squared_errors(z[q], T[q], b, importance, chain.floor, min(width, here - q * width))
            if learn:
                error_signal(z, T, few, b, importance, share, chain.floor, here, buffers.db)  # dz, db
                product(D, z, few, dh)                                                  # ∂L/∂h = dz Dᵀ
                if chain.rectified:
                    mask(dh, h)                                                         # ∂L/∂a = dh [h > 0]
        if learn:
            dE, dD = slope[: m * n].reshape(m, n), slope[at : at + m * n].reshape(m, n)
            add_outer(H, Z, panels, buffers.total, dD)                                  # ∂L/∂D = hᵀ dz
            add_encoder(inputs, first, count, room, dE)                                 # ∂L/∂E = daᵀ x
        return loss

    return gradient


@inner
def encode(E, inputs, first, panels, count, room, H):
    """``a = x Eᵀ``, for panels of inputs from `first` on."""
    product(E, inputs[first : first + panels], panels, H)


@inner
def add_encoder(inputs, first, count, room, dE):
    """``∂L/∂E = daᵀ x`` of a block, whose inputs are panels from `first` on."""
    buffers, panels = room.buffers, -(-count // lanes_of(inputs))
    add_outer(buffers.dH, inputs[first : first + panels], panels, buffers.total, dE)


gradient = by_panels(encode, add_encoder)


@inner
def drawn_gradient(key, first, last, k, theta, chain, data, share, learn, score, room, slope):
    """`model.backward` for examples ``first .. last - 1`` of a batch: adds to `slope`, a row like theta's, if `learn`.

    Returns the sum of the losses, if `score`, and the number of examples with nothing active that are left out: none.
    """
    buffers, loss, targets = room.buffers, 0.0, room.buffers.X
    clear(buffers.db)
    for block in range(first, last, BLOCK):
        count = min(BLOCK, last - block)
        draw(key, block, count, k, data, room.lists, buffers.X)
        if data.absolute:
            absolute(buffers.X, count, buffers.T)
            targets = buffers.T
        loss += gradient(0, count, theta, chain, buffers.X, targets, data.importance[k], share, learn, score, room,
                         slope)
    add_lanes(buffers.db, slope[chain.decoder + chain.m * chain.n :])
    return loss, 0


@inner
def fixed_gradient(key, first, last, k, theta, chain, data, share, learn, score, room, slope):
    """The same for fixed examples."""
    buffers, loss, lanes = room.buffers, 0.0, lanes_of(theta)
    clear(buffers.db)
    for block in range(first, last, BLOCK):
        loss += gradient(block // lanes, min(BLOCK, last - block), theta, chain, data.x[k], data.t[k],
                         data.importance[k], share, learn, score, room, slope)
    add_lanes(buffers.db, slope[chain.decoder + chain.m * chain.n :])
    return loss, 0


@inner
def clear(db):
    for i in range(db.shape[0]):
        for e in range(lanes_of(db)):
            db[i, e] = 0


@inner
def add_lanes(sums, db):
    """Add to db what the lanes of each feature have gathered."""
    for i in range(db.size):
        total = sums.dtype.type(0)
        for e in range(lanes_of(sums)):
            total += sums[i, e]
        db[i] += total


@inner
def absolute(X, count, T):
    """``t = |x|`` for the first `count` examples."""
    width = lanes_of(X)
    for p in range(-(-count // width)):
        for i in range(X.shape[1]):
            for e in range(width):
                T[p, i, e] = abs(X[p, i, e])


def _rectify(builder, H):
    zero = ir.Constant(H.vector, None)
    with cgutils.loop_nest(builder, H.sizes[:2], int64) as (panel, k):
        for lane in range(0, lanes_of(H), H.length):
            place = H.beside(H.at(panel, k), lane)
            a = H.row(place)
            H.write(builder.select(builder.fcmp_ordered("<=", a, zero), zero, a), place)


@written_for_llvm(_rectify)
def rectify(H):
    """``h = ReLU(a)`` in place; NaN stays visible."""
    H[:] = np.maximum(H, 0)


def _mask(builder, dH, H):
    zero = ir.Constant(H.vector, None)
    with cgutils.loop_nest(builder, H.sizes[:2], int64) as (panel, k):
        for lane in range(0, lanes_of(H), H.length):
            dh, h = (array.beside(array.at(panel, k), lane) for array in (dH, H))
            off = builder.fcmp_ordered("<=", H.row(h), zero)  # NaN is on, and stays visible
            dH.write(builder.select(off, zero, dH.row(dh)), dh)


@written_for_llvm(_mask)
def mask(dH, H):
    """``da = dh [a > 0]`` in place: h > 0 where a > 0."""
    dH[:] = np.where(H <= 0, 0, dH)


def _error_signal(builder, Z, T, panels, b, importance, share, floor, count, db):
    zero, lowest, lanes = ir.Constant(Z.vector, None), Z.copies(floor), range(0, lanes_of(Z), Z.length)
    twice = builder.fadd(share, share)
    with cgutils.for_range(builder, panels) as panel:
        left = builder.sub(count, builder.mul(panel.index, int64(lanes_of(Z))))
        last = Z.copies(builder.trunc(left, int32))
        counts = [builder.icmp_signed("<", Z.counted(lane), last) for lane in lanes]
        with cgutils.for_range(builder, b.sizes[0]) as loop:
            bias = b.copies(b.number(b.at(loop.index)))
            cost = Z.copies(builder.fmul(importance.number(importance.at(loop.index)), twice))
            for lane, counted in zip(lanes, counts, strict=True):
                place, target = (array.beside(array.at(panel.index, loop.index), lane) for array in (Z, T))
                total = db.beside(db.at(loop.index), lane)
                z = builder.fadd(Z.row(place), bias)
                on = builder.and_(builder.fcmp_unordered(">", z, lowest), counted)  # NaN is on
                dz = builder.select(on, builder.fmul(builder.fsub(z, T.row(target)), cost), zero)
                Z.write(dz, place)
                db.write(builder.fadd(db.row(total), dz), total)


@written_for_llvm(_error_signal)
def error_signal(Z, T, panels, b, importance, share, floor, count, db):
    """Turn z (without b) into ``dz = 2 I (y - t) / batch · [z > 0]`` in place, and add it to db.

    Only the first `count` examples of the panels count.
    """
    z = Z[:panels] + b[:, None]
    counted = np.arange(panels * lanes_of(Z)).reshape(panels, 1, -1) < count
    Z[:panels] = np.where(~(z <= floor) & counted, 2 * importance[:, None] * share * (z - T[:panels]), 0)
    db += Z[:panels].sum(axis=0)


@inner(apart=True)
def squared_errors(Z, T, b, importance, floor, count):
    """The sum of ``I_i (y_i - t_i)²`` over the first `count` examples of a panel, from z without b."""
    loss = 0.0
    for i in range(b.size):
        bias, squares = b[i], Z.dtype.type(0)
        for e in range(lanes_of(Z)):
            error = max(Z[i, e] + bias, floor) - T[i, e] if e < count else Z.dtype.type(0)
            squares += error * error
        loss += importance[i] * squares
    return loss


@inner
def empty_examples(count, b, importance, share, floor, score, db):
    """The part of `count` examples with nothing active: x = 0, h = 0, z = b. It reaches db and the loss only."""
    loss, cost = 0.0, b.dtype.type(count) * b.dtype.type(2) * share
    for i in range(b.size):
        db[i] += cost * importance[i] * max(b[i], floor)
    if score:
        for i in range(b.size):
            loss += count * importance[i] * max(b[i], floor) ** 2
    return loss
