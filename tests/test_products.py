"""The three loops that are written for LLVM, against NumPy, in every shape of a tile."""

from __future__ import annotations

import numpy as np
import pytest

from minitms.fast import products
from minitms.fast.draws import in_panels, lanes
from minitms.fast.gram import aligned
from minitms.fast.jit import kernel

DTYPES = ("float32", "float64")
ROWS = (1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17)


@kernel(_nrt=False)
def product(A, Q, panels, out):
    products.product(A, Q, panels, out)


@kernel(_nrt=False)
def add_outer(P, Q, panels, total, out):
    products.add_outer(P, Q, panels, total, out)


@kernel(_nrt=False)
def combination(value, row, first, last, Q, columns, base, of, out, target):
    products.combination(value, row, first, last, Q, columns, base, of, out, target)


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
def test_a_combination_of_rows(dtype):
    """Of no row, one, or many, some of them twice; over any number of vectors; onto itself too."""
    rng = np.random.default_rng(2)
    for panels in range(1, 8):
        columns = panels * lanes(dtype)
        Q, base, out = (filled(aligned((9, columns), dtype), rng) for _ in range(3))
        value, row = rng.normal(size=20).astype(dtype), rng.integers(9, size=20).astype(np.int32)
        for first, last in ((3, 3), (0, 1), (5, 20)):
            exact = base[2].astype(float) + value[first:last].astype(float) @ Q[row[first:last]].astype(float)
            before = out.copy()
            combination(value, row, first, last, Q, columns, base, 2, out, 4)
            assert_near(out[4], exact, last - first)
            assert (np.delete(out, 4, axis=0) == np.delete(before, 4, axis=0)).all()
            exact = out[5].astype(float) + value[first:last].astype(float) @ Q[row[first:last]].astype(float)
            combination(value, row, first, last, Q, columns, out, 5, out, 5)
            assert_near(out[5], exact, last - first)


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_row_of_a_panel_lies_across_two_cache_lines(dtype):
    panels = in_panels(3, 5, dtype)
    assert panels.shape == (3, 5, lanes(dtype))
    assert panels.ctypes.data % products.PANEL == 0
    assert in_panels(0, 5, dtype).shape == (0, 5, lanes(dtype))
    behind = panels.base if panels.base is not None else panels
    assert behind.nbytes >= (3 * 5 + 4) * products.PANEL  # an outer tile may look at four rows more
