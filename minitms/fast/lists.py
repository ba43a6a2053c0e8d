"""The active features of a block as a list, example by example: what the sparse loops of `products.py` are given."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minitms.draws import BLOCK
from minitms.fast.draws import list_active, list_examples
from minitms.fast.jit import inner
from minitms.fast.vectors import VECTOR, aligned, lanes_of


class Lists(NamedTuple):
    """What one thread lists in. The r-th example with anything active has its features at ``begin[r]:end[r]``."""

    who: np.ndarray      # feature by feature: example, ...
    number: np.ndarray   # ... number ...
    value: np.ndarray    # ... and value of every active feature,
    bounds: np.ndarray   # (2,), where the last that were appended begin and end
    tried: np.ndarray    # values, or NEVER: of one feature's examples, or one example's features
    x: np.ndarray        # example by example: values ...
    feature: np.ndarray  # ... and numbers; before, which rare features are on at all
    first: np.ndarray    # (BLOCK + 1,), those of the example r at first[r]:first[r + 1]
    begin: np.ndarray    # (BLOCK,), the same in the order of how many there are
    end: np.ndarray
    count: np.ndarray    # (n + 1,), how many examples have so many
    row: np.ndarray      # (BLOCK,), the place of each example among those with anything active


def lists(n, used, dtype) -> Lists:
    """Room for the lists of a block; if they are not `used`, for the examples of one feature alone.

    Numbers of features and examples are unsigned: then nobody looks whether they are negative.
    """
    n, vector = n if used else 0, VECTOR // np.dtype(dtype).itemsize
    found, listed = max(n, 1) * BLOCK + vector, n * BLOCK + vector
    return Lists(
        np.zeros(found, np.uint32), np.zeros(found, np.uint32), np.zeros(found, dtype), np.zeros(2, np.int64),
        aligned(max(BLOCK, n) + vector, dtype), np.zeros(listed, dtype), np.zeros(listed, np.uint32),
        np.zeros(BLOCK + 1, np.int64), np.zeros(BLOCK, np.uint64), np.zeros(BLOCK, np.uint64),
        np.zeros(n + 1, np.int64), np.zeros(BLOCK, np.int64),
    )  # fmt: skip


@inner
def list_block(key, first, count, k, data, lists):
    """List what is active in a block, by example; return how many examples have anything active."""
    if data.rare[k]:
        rows = by_example(count, list_active(key, first, count, k, data, lists), lists)
    else:
        rows = list_examples(key, first, count, k, data, lists)
    by_size(rows, lists)
    return rows


@inner(apart=True)
def by_example(count, found, lists):
    """Sort what `list_active` found by example, and number the examples with any; return how many these are."""
    who, row, first = lists.who, lists.row, lists.first
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
        lists.x[first[r]], lists.feature[first[r]] = lists.value[p], lists.number[p]
        first[r] += 1
    return rows


@inner(apart=True)
def by_size(rows, lists):
    """Put examples with equally many active features side by side: loops over them are foreseen by the processor."""
    first, count, most = lists.first, lists.count, 0
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
        lists.begin[count[size]], lists.end[count[size]] = first[r], first[r + 1]
        count[size] += 1


@inner(apart=True)
def spread(rows, lists, X):
    """Write the first listed examples into the panels X."""
    width = lanes_of(X)
    for p in range(-(-rows // width)):
        for i in range(X.shape[1]):
            for e in range(width):
                X[p, i, e] = 0
        for e in range(min(width, rows - p * width)):
            for q in range(lists.begin[p * width + e], lists.end[p * width + e]):
                X[p, lists.feature[q], e] = lists.x[q]
