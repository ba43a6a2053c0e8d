"""Products of matrices, tile by tile: the sums of a tile stay in vector registers until they are complete.

A row of a panel (see `vectors.py`) is a few vectors. These small loops do all the work:

    tile               out = A Q, a few rows of each panel                 encode, decode, and dz Dᵀ
    outer_tile         out += Σ over panels of P Qᵀ, a few rows, columns   hᵀ dz and daᵀ x
    sparse_product     out = X Q + b, and not below a floor                where X has few entries, which are listed
    add_sparse_outer   out += Xᵀ P
    add_rows           out += Σ rows of A
    transpose          out = Aᵀ
    mirror             A = Aᵀ, of which one half is known
    add_transpose      G += Gᵀ, with a cost for each column

Each stands here as NumPy, below the same written for LLVM, which left to itself would keep the sums in memory between
two terms, at half the speed or less.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from minitms.fast.jit import inner
from minitms.fast.vectors import LONG, PANEL, VECTOR, int32, int64, written_for_llvm

SIZES = (1, 2, 4, 8) if LONG else (1, 2, 3)  # rows of a tile: at most as many as leave registers for a row of Q
HIGH, WIDE = (4, 4) if LONG else (3, 4)  # rows and columns of an outer tile
ABREAST = 8 if LONG else 4  # vectors of a row whose sums are kept at a time
CONTRACT = ("contract",)  # a product and the sum that it enters are one instruction


def _add_product(builder, place, x, y):
    builder.store(builder.fadd(builder.load(place), builder.fmul(x, y, flags=CONTRACT), flags=CONTRACT), place)


def _one_of(builder, number, sizes, write):
    """Write `write(size)` for each of the sizes, of which `number` picks one: each with its own count of registers."""
    end = builder.append_basic_block("end")
    switch = builder.switch(number, end)
    for size in sizes:
        block = builder.append_basic_block(f"of{size}")
        switch.add_case(int64(size), block)
        builder.position_at_end(block)
        write(size)
        builder.branch(end)
    builder.position_at_end(end)


# ------------------------------------------------------------------------------------------------------ products


def _tiles(tile):
    """The whole product by tiles of one kind."""

    @inner
    def product(A, Q, panels, out):
        """``out = A Q`` for the first panels: A (rows, terms), Q (panels, terms, LANES), out (panels, rows, LANES)."""
        first, rows = 0, A.shape[0]
        while first < rows:
            size = 1
            for possible in SIZES:
                if first + possible <= rows:
                    size = possible
            tile(A, first, size, Q, panels, out)
            first += size

    return product


def _tile(builder, A, first, rows, Q, panels, out, width=PANEL):
    vectors = width // Q.itemsize // Q.length

    def write(count):
        starts = [A.at(builder.add(first, int64(r))) for r in range(count)]
        with cgutils.for_range(builder, panels) as panel:
            sums = Q.sums(count * vectors)
            with cgutils.for_range(builder, Q.sizes[1]) as loop:
                offset, row = builder.mul(loop.index, A.strides[1]), Q.at(panel.index, loop.index)
                q = [Q.row(Q.beside(row, v * Q.length)) for v in range(vectors)]
                for r in range(count):
                    a = A.copies(A.number(builder.gep(starts[r], [offset])))
                    for v in range(vectors):
                        _add_product(builder, sums[r * vectors + v], a, q[v])
            for r in range(count):
                row = out.at(panel.index, builder.add(first, int64(r)))
                for v in range(vectors):
                    out.write(builder.load(sums[r * vectors + v]), out.beside(row, v * Q.length))

    _one_of(builder, rows, SIZES, write)


@written_for_llvm(_tile)
def tile(A, first, rows, Q, panels, out):
    """Rows ``first .. first + rows - 1`` of ``out = A Q``."""
    out[:panels, first : first + rows] = A[first : first + rows] @ Q[:panels]


def _narrow_tile(builder, *arguments):
    _tile(builder, *arguments, width=VECTOR)


@written_for_llvm(_narrow_tile)
def narrow_tile(A, first, rows, Q, panels, out):
    """The same, in panels of a single vector."""
    out[:panels, first : first + rows] = A[first : first + rows] @ Q[:panels]


product, narrow_product = _tiles(tile), _tiles(narrow_tile)


@inner
def add_outer(P, Q, panels, total, out):
    """``out += Σ P Qᵀ`` over the first panels: P (panels, m, LANES), Q (panels, n, LANES), out (m, n).

    A tile is computed whole and then added as far as it lies in `out`: P and Q need SPARE rows behind their last.
    """
    m, n = out.shape
    for i in range(0, n, WIDE):
        for k in range(0, m, HIGH):
            outer_tile(P, Q, panels, k, 2 if m - k <= 2 else HIGH, i, total)
            for r in range(min(HIGH, m - k)):
                for c in range(min(WIDE, n - i)):
                    out[k + r, i + c] += total[r, c]


def _outer_tile(builder, P, Q, panels, k, high, i, total):
    def write(rows):
        sums = Q.sums(rows * WIDE)
        with cgutils.for_range(builder, panels) as loop:
            starts = P.at(loop.index, k), Q.at(loop.index, i)
            for half in range(0, PANEL // Q.itemsize, Q.length):
                p = [P.row(P.beside(starts[0], r * PANEL // P.itemsize + half)) for r in range(rows)]
                q = [Q.row(Q.beside(starts[1], c * PANEL // Q.itemsize + half)) for c in range(WIDE)]
                for r in range(rows):
                    for c in range(WIDE):
                        _add_product(builder, sums[r * WIDE + c], p[r], q[c])
        vectors = [builder.load(place) for place in sums]
        for first in range(0, len(vectors), Q.length):
            _write_totals(builder, vectors[first : first + Q.length], total, first)

    _one_of(builder, high, (2, HIGH), write)


def _pick(entries):
    """Which entries of two vectors a shuffle takes."""
    entries = list(entries)
    return ir.Constant(ir.VectorType(int32, len(entries)), entries)


def _write_totals(builder, vectors, total, first):
    """The sum of the entries of each vector, side by side from entry `first` on: neighbours are added."""
    length = total.length
    evens, odds = (_pick(range(start, 2 * length, 2)) for start in (0, 1))
    vectors = vectors + [ir.Constant(total.vector, None)] * (length - len(vectors))
    while len(vectors) > 1:
        vectors = [builder.fadd(builder.shuffle_vector(a, b, evens), builder.shuffle_vector(a, b, odds))
                   for a, b in zip(vectors[::2], vectors[1::2], strict=True)]  # fmt: skip
    total.write(vectors[0], total.beside(total.data, first))


@written_for_llvm(_outer_tile)
def outer_tile(P, Q, panels, k, high, i, total):
    """``total[:high] = Σ P Qᵀ`` for `high` rows from k and WIDE columns from i."""
    sums = np.einsum("pke,pie->ki", P[:panels, k : k + high], Q[:panels, i : i + WIDE])
    total[: len(sums), : len(sums.T)] = sums  # NumPy does not look at the spare rows, of which nobody reads the sums


def _for_vectors(builder, columns, length, write):
    """Write `write(start, count)` for all columns: for ABREAST vectors at a time from a column on, and for the rest."""
    step = ABREAST * length
    wide = builder.mul(builder.sdiv(columns, int64(step)), int64(step))
    with cgutils.for_range_slice(builder, int64(0), wide, int64(step), int64) as (start, _):
        write(start, ABREAST)
    rest = builder.sdiv(builder.sub(columns, wide), int64(length))
    _one_of(builder, rest, range(1, ABREAST), lambda count: write(wide, count))


def _for_listed(builder, begin, end, row):
    """Loop over the entries of a row of X."""
    return cgutils.for_range_slice(builder, begin.number(begin.at(row)), end.number(end.at(row)), int64(1), int64)


def _sparse_product(builder, x, column, begin, end, first, last, Q, b, floor, out):
    width, lowest = Q.length, Q.copies(floor)
    with cgutils.for_range_slice(builder, first, last, int64(1), int64) as (r, _):

        def write(start, count):
            sums = Q.sums(count)
            for v in range(count):
                builder.store(b.row(b.beside(b.at(start), v * width)), sums[v])
            with _for_listed(builder, begin, end, r) as (p, _):
                value, i = x.copies(x.number(x.at(p))), builder.sext(column.number(column.at(p)), int64)
                for v in range(count):
                    _add_product(builder, sums[v], value, Q.row(Q.beside(Q.at(i, start), v * width)))
            for v in range(count):
                z = builder.load(sums[v])
                z = builder.select(builder.fcmp_ordered("<", z, lowest), lowest, z)
                out.write(z, out.beside(out.at(builder.sub(r, first), start), v * width))

        _for_vectors(builder, out.sizes[1], width, write)


@written_for_llvm(_sparse_product)
def sparse_product(x, column, begin, end, first, last, Q, b, floor, out):
    """``out = max(X Q + b, floor)`` for the rows ``first .. last - 1`` of X.

    Row r of X has the values x[p] in column[p] for ``begin[r] <= p < end[r]``. All rows are numbers of vectors.
    """
    for r in range(first, last):
        listed = slice(begin[r], end[r])
        out[r - first] = np.maximum(x[listed] @ Q[column[listed]] + b, floor)


def _add_sparse_outer(builder, x, column, begin, end, first, last, P, out):
    width = P.length
    with cgutils.for_range_slice(builder, first, last, int64(1), int64) as (r, _):

        def write(start, count):
            row = P.at(builder.sub(r, first), start)
            ps = [P.row(P.beside(row, v * width)) for v in range(count)]
            with _for_listed(builder, begin, end, r) as (p, _):
                value, i = x.copies(x.number(x.at(p))), builder.sext(column.number(column.at(p)), int64)
                for v in range(count):
                    place = out.beside(out.at(i, start), v * width)
                    product = builder.fmul(value, ps[v], flags=CONTRACT)
                    out.write(builder.fadd(out.row(place), product, flags=CONTRACT), place)

        _for_vectors(builder, out.sizes[1], width, write)


@written_for_llvm(_add_sparse_outer)
def add_sparse_outer(x, column, begin, end, first, last, P, out):
    """``out += Xᵀ P`` for the rows ``first .. last - 1`` of X, listed as in `sparse_product`."""
    for r in range(first, last):
        for p in range(begin[r], end[r]):
            out[column[p]] += x[p] * P[r - first]


def _add_rows(builder, A, rows, out):
    def write(start, count):
        places = [out.beside(out.at(start), v * out.length) for v in range(count)]
        sums = out.sums(count)
        for v in range(count):
            builder.store(out.row(places[v]), sums[v])
        with cgutils.for_range(builder, rows) as loop:
            row = A.at(loop.index, start)
            for v in range(count):
                builder.store(builder.fadd(builder.load(sums[v]), A.row(A.beside(row, v * A.length))), sums[v])
        for v in range(count):
            out.write(builder.load(sums[v]), places[v])

    _for_vectors(builder, out.sizes[0], out.length, write)


@written_for_llvm(_add_rows)
def add_rows(A, rows, out):
    """``out += Σ A[r]`` over the first rows, which are whole vectors."""
    out += A[:rows].sum(axis=0)


def _transposed(builder, rows):
    """The columns of a square of vectors: halves change places, then the halves of the halves."""
    rows, entries = list(rows), range(len(rows))
    length = step = len(rows)
    while step := step // 2:
        upper = _pick(e if not e & step else length + e - step for e in entries)
        lower = _pick(e + step if not e & step else length + e for e in entries)
        for r in (r for r in entries if not r & step):
            a, b = rows[r], rows[r + step]
            rows[r], rows[r + step] = builder.shuffle_vector(a, b, upper), builder.shuffle_vector(a, b, lower)
    return rows


def _transpose(builder, A, out):
    length = A.length
    rows, columns = (cgutils.for_range_slice(builder, int64(0), size, int64(length), int64) for size in A.sizes)
    with rows as (i, _), columns as (j, _):
        square = [A.row(A.at(builder.add(i, int64(r)), j)) for r in range(length)]
        for r, row in enumerate(_transposed(builder, square)):
            out.write(row, out.at(builder.add(j, int64(r)), i))


@written_for_llvm(_transpose)
def transpose(A, out):
    """``out = Aᵀ``. Rows and columns are whole vectors."""
    out[:] = A.T


def _mirror(builder, A):
    length, every = A.length, (int64(A.length), int64)
    rows = cgutils.for_range_slice(builder, int64(0), A.sizes[0], *every)
    with rows as (i, _), cgutils.for_range_slice(builder, int64(0), i, *every) as (j, _):
        above = [A.row(A.at(builder.add(j, int64(r)), i)) for r in range(length)]
        for r, row in enumerate(_transposed(builder, above)):
            A.write(row, A.at(builder.add(i, int64(r)), j))


@written_for_llvm(_mirror)
def mirror(A):
    """Complete a symmetric A, of which is known what stands on the diagonal and above. Rows are whole vectors."""
    A[:] = np.triu(A) + np.triu(A, 1).T


def _add_transpose(builder, G, cost):
    length, columns = G.length, G.sizes[1]

    def square(i, j):
        """The places of the rows of a square, and what they hold, times the cost of each column."""
        places, costs = [G.at(builder.add(i, int64(r)), j) for r in range(length)], cost.row(cost.at(j))
        return places, [builder.fmul(G.row(place), costs, flags=CONTRACT) for place in places]

    with cgutils.for_range_slice(builder, int64(0), columns, int64(length), int64) as (i, _):
        end = builder.add(i, int64(length))
        with cgutils.for_range_slice(builder, int64(0), end, int64(length), int64) as (j, _):
            (here, below), (there, above) = square(i, j), square(j, i)
            sums = [builder.fadd(a, b, flags=CONTRACT) for a, b in zip(below, _transposed(builder, above), strict=True)]
            for values, places in ((sums, here), (_transposed(builder, sums), there)):
                for value, place in zip(values, places, strict=True):
                    G.write(value, place)


@written_for_llvm(_add_transpose)
def add_transpose(G, cost):
    """``G = G C + (G C)ᵀ``, where C has the costs on its diagonal. G is square, with rows of whole vectors."""
    G *= cost
    G[:] = G + G.T
