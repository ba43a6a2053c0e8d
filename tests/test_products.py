"""The loops that are written for LLVM, against NumPy, in every shape of a tile."""

from __future__ import annotations

import numpy as np
import pytest

from minitms.fast import products
from minitms.fast.draws import in_panels, lanes
from minitms.fast.gram import aligned
from minitms.fast.jit import kernel
from minitms.fast.vectors import VECTOR

DTYPES = ("float32", "float64")
ROWS = (1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17)


@kernel(_nrt=False)
def product(A, Q, panels, out):
    products.product(A, Q, panels, out)


@kernel(_nrt=False)
def add_outer(P, Q, panels, total, out):
    products.add_outer(P, Q, panels, total, out)


@kernel(_nrt=False)
def narrow_product(A, Q, panels, out):
    products.narrow_product(A, Q, panels, out)


@kernel(_nrt=False)
def sparse_product(x, column, begin, end, first, last, Q, b, floor, out):
    products.sparse_product(x, column, begin, end, first, last, Q, b, floor, out)


@kernel(_nrt=False)
def add_sparse_outer(x, column, begin, end, first, last, P, out):
    products.add_sparse_outer(x, column, begin, end, first, last, P, out)


@kernel(_nrt=False)
def add_rows(A, rows, out):
    products.add_rows(A, rows, out)


@kernel(_nrt=False)
def transpose(A, out):
    products.transpose(A, out)


@kernel(_nrt=False)
def mirror(A):
    products.mirror(A)


@kernel(_nrt=False)
def add_transpose(G, cost):
    products.add_transpose(G, cost)


def filled(array, rng):
    array[...] = rng.normal(size=array.shape)
    return array


def assert_near(got, exact, terms):
    """A sum is off by a rounding of the largest partial sum for each of its terms."""
    assert abs(got - exact).max(initial=0) <= (terms + 2) * np.finfo(got.dtype).eps * max(1, abs(exact).max(initial=0))


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_product(dtype):
    """Any number of rows and terms; A as it is and transposed; two of three panels, and no others."""
    rng = np.random.default_rng(0)
    for rows in ROWS:
        for terms in (1, 2, 5, 40):
            for A in (rng.normal(size=(rows, terms)).astype(dtype), rng.normal(size=(terms, rows)).astype(dtype).T):
                Q, out = filled(in_panels(3, terms, dtype), rng), in_panels(3, rows, dtype)
                out[...] = 7
                product(A, Q, 2, out)
                assert_near(out[:2], A.astype(float) @ Q[:2].astype(float), terms)
                assert (out[2] == 7).all()


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", DTYPES)
def test_outer_products_are_added(dtype):
    """Any number of rows, columns and panels; the rows behind the last may hold anything."""
    rng = np.random.default_rng(1)
    for m in ROWS:
        for n in (1, 3, 4, 5, 10):
            for panels in (0, 1, 3):
                P, Q = filled(in_panels(4, m, dtype), rng), filled(in_panels(4, n, dtype), rng)
                out = rng.normal(size=(m, n)).astype(dtype)
                P64, Q64 = P[:panels].astype(float), Q[:panels].astype(float)
                exact = out + np.einsum("pke,pie->ki", P64, Q64)
                add_outer(P, Q, panels, aligned((4, products.WIDE), dtype), out)
                assert_near(out, exact, panels * lanes(dtype))


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_product_in_panels_of_a_single_vector(dtype):
    rng, vector = np.random.default_rng(0), VECTOR // np.dtype(dtype).itemsize
    for rows in ROWS:
        for terms in (1, 3, 40):
            A = rng.normal(size=(rows, terms)).astype(dtype)
            Q, out = (filled(aligned((size, 3 * vector), dtype), rng) for size in (terms, rows))
            panels = [array.reshape(len(array), 3, vector).swapaxes(0, 1) for array in (Q, out)]
            before = out.copy()
            narrow_product(A, panels[0], 2, panels[1])
            assert_near(out[:, : 2 * vector], A.astype(float) @ Q[:, : 2 * vector].astype(float), terms)
            assert (out[:, 2 * vector :] == before[:, 2 * vector :]).all()


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", DTYPES)
def test_products_of_a_few_listed_entries(dtype):
    """Rows of no entry, one, or many; some rows of all; over any number of vectors; with and without a floor."""
    rng, vector = np.random.default_rng(2), VECTOR // np.dtype(dtype).itemsize
    for vectors in range(1, 2 * products.ABREAST + 2):
        sizes = np.array([0, 1, 3, 0, 9, 2])
        end = np.cumsum(sizes)[[4, 1, 0, 2, 5, 3]]  # the lists of the rows are in no order
        begin = end - sizes[[4, 1, 0, 2, 5, 3]]
        x, column = rng.normal(size=15).astype(dtype), rng.integers(9, size=15).astype(np.int32)
        X = np.zeros((6, 9))
        for r in range(6):
            np.add.at(X[r], column[begin[r] : end[r]], x[begin[r] : end[r]].astype(float))
        Q, out, P = (filled(aligned((rows, vectors * vector), dtype), rng) for rows in (9, 4, 4))
        b = filled(aligned(vectors * vector, dtype), rng)
        for floor in (0, -np.inf):
            out[...] = 7
            sparse_product(x, column, begin, end, 1, 4, Q, b, np.dtype(dtype).type(floor), out)
            assert_near(out[:3], np.maximum(X[1:4] @ Q.astype(float) + b, floor), 9)
            assert (out[3] == 7).all()
        sums = filled(aligned((9, vectors * vector), dtype), rng)
        exact = sums + X[0:4].T @ P.astype(float)
        add_sparse_outer(x, column, begin, end, 0, 4, P, sums)
        assert_near(sums, exact, 15)


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_are_added(dtype):
    """The first rows alone, over any number of vectors."""
    rng, vector = np.random.default_rng(4), VECTOR // np.dtype(dtype).itemsize
    for vectors in range(1, 2 * products.ABREAST + 2):
        A, out = (filled(aligned(shape, dtype), rng) for shape in ((5, vectors * vector), vectors * vector))
        for rows in (0, 1, 4):
            exact = out + A[:rows].astype(float).sum(axis=0)
            add_rows(A, rows, out)
            assert_near(out, exact, rows)


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_matrix_is_transposed_or_completed(dtype):
    """Square by square of vectors; what stood below the diagonal is forgotten."""
    rng, vector = np.random.default_rng(5), VECTOR // np.dtype(dtype).itemsize
    for high, wide in ((1, 1), (1, 3), (3, 2)):
        A, out = (filled(aligned((a * vector, b * vector), dtype), rng) for a, b in ((high, wide), (wide, high)))
        transpose(A, out)
        assert (out == A.T).all()
    for vectors in (1, 2, 3):
        A = filled(aligned((vectors * vector, vectors * vector), dtype), rng)
        for i in range(0, len(A), vector):  # the squares on the diagonal are given whole
            own = A[i : i + vector, i : i + vector]
            own += own.T
        exact = np.triu(A) + np.triu(A, 1).T
        mirror(A)
        assert (A == exact).all()


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_transpose_is_added(dtype):
    """Squares of one vector, on the diagonal and off it; a cost belongs to a column."""
    rng, vector = np.random.default_rng(3), VECTOR // np.dtype(dtype).itemsize
    for vectors in (1, 2, 3):
        G = filled(aligned((vectors * vector, vectors * vector), dtype), rng)
        cost = filled(aligned(vectors * vector, dtype), rng)
        exact = G.astype(float) * cost.astype(float)
        add_transpose(G, cost)
        assert_near(G, exact + exact.T, 1)


@pytest.mark.plain_python
def test_a_floor_does_not_hide_what_is_not_a_number():
    vector = VECTOR // 8
    Q, b, out = aligned((1, vector), "float64"), np.full(vector, np.nan), aligned((1, vector), "float64")
    bounds = np.zeros(1, np.int64)
    sparse_product(np.zeros(1), np.zeros(1, np.int32), bounds, bounds, 0, 1, Q, b, 0.0, out)
    assert np.isnan(out).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_row_of_a_panel_lies_across_two_cache_lines(dtype):
    panels = in_panels(3, 5, dtype)
    assert panels.shape == (3, 5, lanes(dtype))
    assert panels.ctypes.data % products.PANEL == 0
    assert in_panels(0, 5, dtype).shape == (0, 5, lanes(dtype))
    behind = panels.base if panels.base is not None else panels
    assert behind.nbytes >= (3 * 5 + 4) * products.PANEL  # an outer tile may look at four rows more
