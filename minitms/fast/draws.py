"""Sparse features inside kernels, a block of examples at a time: in panels, or as a list of what is active.

The definition is `draws.py`, and `SparseFeatures.batch` in `features.py`; this file draws the same bits faster.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import overload

from minitms.draws import BLOCK, GAMMA, last_words
from minitms.fast.jit import inner
from minitms.fast.vectors import PANEL, VECTOR, in_panels, int32, int64, keep, lanes, lanes_of, written_for_llvm
from minitms.features import SparseFeatures

u32, u64 = np.uint32, np.uint64  # a bare literal would be a signed int64, and uint64 with int64 is a float64
_GAMMA = u64(GAMMA)


class Data(NamedTuple):
    """The features of K models: what `features.Law` says, in the dtype of the weights; u and v as `integer` gives them.

    Rows of C are n, filled up to whole vectors with features that are never on.
    """

    low: np.ndarray         # (K, C), a feature is on iff low <= v < high ...
    high: np.ndarray
    scale: np.ndarray       # (K, C), ... and then its value is scale u, or 2 scale u - 1 if signed
    decider: np.ndarray     # (C,), the column of v: its own, that of u, or that of its set
    gaps: np.ndarray        # (K, n), where gaps decide: the row of `last`; elsewhere -1
    last: np.ndarray        # (rows, BLOCK), draws.last_words
    rare: np.ndarray        # (K,), whether gaps decide of any feature
    rest: np.ndarray        # (K, C), the last word for a gap longer than a block; where gaps do not decide, of all
    guide: np.ndarray       # (rows, 2^GUIDE), the least gap of a word, by its first GUIDE bits
    importance: np.ndarray  # (K, n)
    columns: int            # of u: one a feature, one a set
    signed: bool
    absolute: bool          # the target is |x|
    x: np.ndarray           # fixed examples (K, panels, n, LANES), of which nothing above is asked; or none
    t: np.ndarray           # their targets


GUIDE = 12


def data(features, dtype) -> Data:
    """The features as the kernels take them."""
    law, n, unit = features.law(dtype), features.n, 2.0 ** (24 if np.dtype(dtype) == np.float32 else 53)
    spare = -n % (VECTOR // np.dtype(dtype).itemsize)

    def filled(array):
        return np.pad(np.ascontiguousarray(array.reshape(-1, n), dtype), [(0, 0), (0, spare)])

    low, high, scale = filled(law.low * unit), filled(law.high * unit), filled(law.scale / unit)
    rare = np.where(law.by_gaps, features.density, -1.0).reshape(-1, n)
    densities, rows = np.unique(rare, return_inverse=True)
    used = densities >= 0
    last = last_words(densities[used])
    top = (np.arange(2**GUIDE, dtype=np.uint32) << u32(32 - GUIDE)) | u32(2 ** (32 - GUIDE) - 1)
    guide = np.array([BLOCK - np.searchsorted(row[::-1], top) for row in last], np.int16).reshape(-1, len(top))
    gaps = rows.reshape(-1, n) - (~used).sum()
    rest = np.where(gaps >= 0, last[gaps, -1], 2**32 - 1) if len(last) else np.full(gaps.shape, 2**32 - 1)
    rest = np.pad(rest.astype(np.uint32), [(0, 0), (0, spare)], constant_values=2**32 - 1)
    importance = np.ascontiguousarray(features.importance.reshape(-1, n), dtype)
    none = np.zeros((0, 0, n, lanes(dtype)), dtype)
    decider = np.pad(law.decider, (0, spare)).astype(np.uint32)
    return Data(low, high, scale, decider, gaps, last, (gaps >= 0).any(axis=-1), rest, guide, importance,
                int(law.columns), features.signed, features.target == "abs", none, none)  # fmt: skip


def fixed(examples, dtype) -> Data:
    """Fixed examples as the kernels take them: side by side in panels, the last one filled up with zeros."""
    n, width = examples.n, lanes(dtype)
    panels = -(-examples.count // width)

    def arranged(x):
        padded = np.zeros((int(np.prod(examples.stack)), panels * width, n), dtype)
        padded[:, : examples.count] = x.reshape(-1, examples.count, n)
        whole = in_panels(len(padded) * panels, n, dtype).reshape(-1, panels, n, width)
        whole[...] = padded.reshape(-1, panels, width, n).swapaxes(-1, -2)
        return whole

    importance = np.ascontiguousarray(examples.importance.reshape(-1, n), dtype)
    x = arranged(examples.x)
    t = x if examples.target is examples.x else arranged(examples.target)
    none = data(SparseFeatures(n, 1.0), dtype)
    return none._replace(importance=importance, x=x, t=t)


# ------------------------------------------------------------------------------------------------ random numbers
# Numba's operators widen 32-bit integers to 64, of which half as many fit in a vector. NumPy's functions keep them.


@inner
def hash_word(z, high):
    """draws.words, from the counter on."""
    z = np.multiply(np.bitwise_xor(z, np.right_shift(z, u32(16))), u32(0x7FEB352D))
    z = np.bitwise_xor(z, high)
    z = np.multiply(np.bitwise_xor(z, np.right_shift(z, u32(15))), u32(0x846CA68B))
    return np.bitwise_xor(z, np.right_shift(z, u32(16)))


@inner
def mix(z):
    """SplitMix64's output function; see draws.py."""
    z = (z ^ (z >> u64(30))) * u64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> u64(27))) * u64(0x94D049BB133111EB)
    return z ^ (z >> u64(31))


@inner
def batch_key(seed, stream, model, step):
    """draws.batch_key."""
    key = u64(seed)
    for part in (u64(stream), u64(model), u64(step)):
        key = mix(key + part * _GAMMA)
    return key


def integer(word, counter, step, high, like):
    """The integer 2^24 u (2^53 u in float64) from a word (and in float64 the next one), as a number of `like`'s dtype.

    Scaling by a power of two is exact: to compare and to multiply 2^24 u gives the same bits as u.
    """
    return (_integer_single if like.itemsize == 4 else _integer_double)(word, counter, step, high, like)


def _integer_single(word, counter, step, high, like):
    return np.float32(np.int32(np.right_shift(word, u32(8))))


def _integer_double(word, counter, step, high, like):
    return np.float64(np.int64(word) >> 5) * 2.0**26 + np.float64(
        np.int64(hash_word(np.add(counter, step), high)) >> 6
    )


@overload(integer)
def _compiled_integer(word, counter, step, high, like):
    return _integer_single if like.dtype == types.float32 else _integer_double


# ------------------------------------------------------------------------------------------------------- draws


@inner
def halves(key):
    """The low and the high half of a key, and the step from one counter to the next."""
    high = u32(key >> u64(32))
    return u32(key), high, u32(high | u32(1))


@inner
def counter_of(low, step, example, column, columns, size):
    """The counter of the first word of an example's column."""
    return u32(low + u32(u32((example * columns + column) * size + 1) * step))


@inner(fastmath=False)  # two roundings, as in features.py, and not the one of a fused product and sum
def value_of(u, scale, data, like):
    """The value of a feature that is on: uniform on [0, 1), or on [-1, 1)."""
    value = u * scale
    return like.dtype.type(2) * value - like.dtype.type(1) if data.signed else value


@inner
def on_by_gaps(of_gaps, first, count, i, n, row, data, lists, found):
    """List from `found` on in which examples (less `first`) rare feature i is on; return the end of that list.

    `of_gaps` are the halves of the key of the gaps. The examples are a block, or its beginning.
    """
    low, high, step = of_gaps
    counter, left = counter_of(low, step, first, i, n, 1), count
    word = hash_word(counter, high)
    while left > 0 and word > data.last[row, left - 1]:  # the gap is no longer than what is left
        gap = np.int64(data.guide[row, word >> u32(32 - GUIDE)])
        while word <= data.last[row, gap]:  # the number of g with word <= last[row, g], which falls with g
            gap += 1
        lists.who[found], lists.number[found] = count - left + gap, i
        found += u64(1)
        left -= gap + 1
        counter = np.add(counter, u32(u32(n) * step))
        word = hash_word(counter, high)
    return found


@inner(apart=True)
def draw(key, first, count, k, data, lists, X):
    """Fill the panels X with examples ``first .. first + count - 1`` of a batch; `first` is a multiple of BLOCK."""
    n, lanes, size = X.shape[1], lanes_of(X), PANEL // 4 // lanes_of(X)
    off, decided = X.dtype.type(0), data.columns > n
    low, high, step = halves(key)
    stride = u32(u32(data.columns * size) * step)
    least, most, scale, gaps = data.low[k], data.high[k], data.scale[k], data.gaps[k]
    for p in range(-(-count // lanes)):  # panel after panel, in the order of the memory
        panel, own = X[p], counter_of(low, step, first + p * lanes, 0, data.columns, size)
        for i in range(n):
            if decided | data.signed:
                decider = counter_of(low, step, first + p * lanes, data.decider[i], data.columns, size)
                begin, end, factor = least[i], most[i], scale[i]
                for e in range(lanes):
                    counter = np.add(own, np.multiply(u32(e), stride))
                    u = integer(hash_word(counter, high), counter, step, high, X)
                    counter = np.add(decider, np.multiply(u32(e), stride))
                    v = integer(hash_word(counter, high), counter, step, high, X)
                    panel[i, e] = value_of(u, factor, data, X) if (begin <= v) & (v < end) else off
            else:
                end, factor = most[i], scale[i]
                for e in range(lanes):
                    counter = np.add(own, np.multiply(u32(e), stride))
                    u = integer(hash_word(counter, high), counter, step, high, X)
                    panel[i, e] = u * factor if u < end else off
            own = np.add(own, u32(u32(size) * step))
    of_gaps = halves(mix(key + _GAMMA))
    for i in range(n):
        if gaps[i] >= 0:
            for p in range(-(-count // lanes)):
                for e in range(lanes):
                    X[p, i, e] = off
            for block in range(0, count, BLOCK):
                left = min(BLOCK, count - block)
                for q in range(on_by_gaps(of_gaps, first + block, left, i, n, gaps[i], data, lists, u64(0))):
                    e = block + lists.who[q]
                    counter = counter_of(low, step, first + e, i, data.columns, size)
                    u = integer(hash_word(counter, high), counter, step, high, X)
                    X[e // lanes, i, e % lanes] = value_of(u, scale[i], data, X)


@inner(apart=True)
def list_active(key, first, count, k, data, lists):
    """List the active features of a block: example (less `first`), number and value. Returns how many these are."""
    tried, who, number, value, bounds = lists.tried, lists.who, lists.number, lists.value, lists.bounds
    n, size, never = data.gaps.shape[1], PANEL // 4 // lanes_of(value), value.dtype.type(NEVER)
    low, high, step = halves(key)
    of_gaps = gaps_low, gaps_high, gaps_step = halves(mix(key + _GAMMA))
    least, most, scale, gaps, rest = data.low[k], data.high[k], data.scale[k], data.gaps[k], data.rest[k]
    # Rare features: first all that are on at all, then where they are, then their values.
    own = counter_of(gaps_low, gaps_step, first, 0, n, 1)
    for i in range(rest.size):
        word = hash_word(np.add(own, np.multiply(u32(i), gaps_step)), gaps_high)
        tried[i] = never - 1 if word > rest[i] else never
    bounds[0] = 0
    keep_active(tried, rest.size, lists.feature, lists.x, bounds, 0)
    found = u64(0)
    for i in lists.feature[: bounds[1]]:
        found = on_by_gaps(of_gaps, first, count, i, n, gaps[i], data, lists, found)
    for p in range(found):
        i = number[p]
        counter = counter_of(low, step, first + who[p], i, data.columns, size)
        value[p] = value_of(integer(hash_word(counter, high), counter, step, high, value), scale[i], data, value)
    # Of the others every word is looked at, and what is on is kept.
    stride = u32(u32(data.columns * size) * step)
    for i in range(n):
        if gaps[i] >= 0:
            continue
        own = counter_of(low, step, first, i, data.columns, size)
        decider = counter_of(low, step, first, data.decider[i], data.columns, size)
        for e in range(count):
            counter = np.add(own, np.multiply(u32(e), stride))
            u = integer(hash_word(counter, high), counter, step, high, value)
            v = u
            if data.columns > n:
                counter = np.add(decider, np.multiply(u32(e), stride))
                v = integer(hash_word(counter, high), counter, step, high, value)
            tried[e] = value_of(u, scale[i], data, value) if (least[i] <= v) & (v < most[i]) else never
        whole = -(-count // lanes_of(value)) * lanes_of(value)
        for e in range(count, whole):
            tried[e] = never
        bounds[0] = found
        keep_active(tried, whole, who, value, bounds, 0)
        for p in range(found, bounds[1]):
            number[p] = i
        found = u64(bounds[1])
    return found


@inner(apart=True)
def list_examples(key, start, count, k, data, lists):
    """List the active features example by example, none of them rare; return how many examples have any.

    Those of the r-th such example stand at ``first[r]:first[r + 1]`` of `lists.x` and `lists.feature`.
    """
    x, first, tried = lists.x, lists.first, lists.tried
    least, most, scale = data.low[k], data.high[k], data.scale[k]
    low, high, step = halves(key)
    size, columns, never, rows = PANEL // 4 // lanes_of(x), least.size, x.dtype.type(NEVER), 0
    stride, first[0] = u32(u32(size) * step), 0
    for e in range(count):
        own = counter_of(low, step, start + e, 0, data.columns, size)
        if (data.columns > data.gaps.shape[1]) | data.signed:
            for i in range(columns):
                counter = np.add(own, np.multiply(u32(i), stride))
                u = integer(hash_word(counter, high), counter, step, high, x)
                counter = np.add(own, np.multiply(data.decider[i], stride))
                v = integer(hash_word(counter, high), counter, step, high, x)
                tried[i] = value_of(u, scale[i], data, x) if (least[i] <= v) & (v < most[i]) else never
        else:
            for i in range(columns):
                counter = np.add(own, np.multiply(u32(i), stride))
                u = integer(hash_word(counter, high), counter, step, high, x)
                tried[i] = u * scale[i] if u < most[i] else never
        keep_active(tried, columns, lists.feature, x, first, rows)
        rows += first[rows + 1] > first[rows]
    return rows


NEVER = 2  # in place of the value of a feature that is off


def _keep_active(builder, tried, count, who, value, start, i):
    found = cgutils.alloca_once_value(builder, start.number(start.at(i)))
    never = ir.Constant(tried.vector, [NEVER] * tried.length)
    places = cgutils.alloca_once_value(builder, tried.counted(0))
    with cgutils.for_range_slice(builder, int64(0), count, int64(tried.length), int64) as (e, _):
        x, place = tried.row(tried.at(e)), builder.load(places)
        keep(builder, builder.fcmp_ordered("<", x, never), [(who, who.data, place), (value, value.data, x)], found)
        builder.store(builder.add(place, tried.copies(int32(tried.length))), places)
    start.write(builder.load(found), start.at(builder.add(i, int64(1))))


@written_for_llvm(_keep_active)
def keep_active(tried, count, who, value, start, i):
    """List the entries of `tried` below NEVER from ``start[i]`` on, up to ``start[i + 1]``."""
    places = np.flatnonzero(tried[:count] < NEVER)
    start[i + 1] = start[i] + len(places)
    who[start[i] : start[i + 1]], value[start[i] : start[i + 1]] = places, tried[places]
