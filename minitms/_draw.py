"""Random numbers and sparse features inside kernels: a whole block of examples, or a list of what is active in it.

`features.py` is the definition; this file draws the same bits faster, and the tests hold it to that.

Numba's cache on disk does not notice that a kernel calls one of another file that has changed: after an edit here, in
`features.py` or in `adam.py`, remove the files ``*.nbi`` in every ``__pycache__``.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import types
from numba.extending import overload

from minitms.features import GAMMA, WEYL

BLOCK = 256  # examples of a block; measured: fewer lose time at the loop ends, more fall out of the inner caches
SEARCH = 64  # examples of a block that are searched together for an active feature
RARE = 0.006  # density below which it pays to look first whether there is any

# The sums over examples may be reordered and fused. NaN and infinity stay visible.
FASTMATH = {"reassoc", "contract", "nsz", "arcp"}

u32, u64 = np.uint32, np.uint64  # a bare literal would be a signed int64, and uint64 with int64 is a float64
_GAMMA, _WEYL = u64(GAMMA), u32(WEYL)


def jit(function=None, **options):
    """`numba.njit` with our flags, cached on disk; without the cache where no folder can be written."""
    if function is None:
        return lambda f: jit(f, **options)
    options = {"fastmath": FASTMATH, "nogil": True, "no_cfunc_wrapper": True, "error_model": "numpy", **options}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:
        return numba.njit(**options)(function)


def lean(function, **options):
    """`jit` for what makes no arrays: counting references (`_nrt`) would be a sixth of the time to compile."""
    return jit(function, _nrt=False, **options)


def inner(function):
    """`lean` for what only kernels call: a way in from Python would be a tenth of the time to compile."""
    return lean(function, no_cpython_wrapper=True)


# ------------------------------------------------------------------------------------------------ random numbers
# Numba's operators widen 32-bit integers to 64, of which half as many fit in a vector. NumPy's functions keep them.


@jit(inline="always")
def hash_word(z, high):
    """features.hash_words."""
    z = np.multiply(np.bitwise_xor(z, np.right_shift(z, u32(16))), u32(0x7FEB352D))
    z = np.bitwise_xor(z, high)
    z = np.multiply(np.bitwise_xor(z, np.right_shift(z, u32(15))), u32(0x846CA68B))
    return np.bitwise_xor(z, np.right_shift(z, u32(16)))


@jit(inline="always")
def mix(z):
    """SplitMix64's output function; see features.py."""
    z = (z ^ (z >> u64(30))) * u64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> u64(27))) * u64(0x94D049BB133111EB)
    return z ^ (z >> u64(31))


@lean
def stream_key(seed, stream, model, step):
    """features.stream_key."""
    key = u64(seed)
    for part in (u64(stream), u64(model), u64(step)):
        key = mix(key + part * _GAMMA)
    return key


def integer(word, counter, high, like):
    """The integer 2^24 u (2^53 u in float64) from a word (and in float64 the next, of counter + 1), as `like`'s dtype.

    Scaling by a power of two is exact. So where the definition compares u with the density and divides by it, here
    2^24 u is compared with 2^24 density and multiplied by 2^-24 / density: the same bits.
    """
    return (_integer_single if like.itemsize == 4 else _integer_double)(word, counter, high, like)


def _integer_single(word, counter, high, like):
    return np.float32(np.int32(np.right_shift(word, u32(8))))


def _integer_double(word, counter, high, like):
    return np.float64(np.int64(word) >> 5) * 2.0**26 + np.float64(
        np.int64(hash_word(np.add(counter, _WEYL), high)) >> 6
    )


@overload(integer, inline="always")
def _compiled_integer(word, counter, high, like):
    return _integer_single if like.dtype == types.float32 else _integer_double


@lean
def draw(key, first, count, density, reciprocal, X):
    """Fill X[:, :count] with examples first, first + 1, ... of a batch: features.uniforms and features.sparse."""
    n, words = X.shape[0], X.itemsize // 4
    off = X.dtype.type(0)
    one = X.dtype.type(2.0**53 if words == 2 else 2.0**24)
    low, high = u32(key), u32(key >> u64(32))
    stride = u32(u32(n * words) * _WEYL)
    for i in range(n):
        threshold, scale = density[i] * one, reciprocal[i] / one
        counter = u32(low + u32(u32((first * n + i) * words + 1) * _WEYL))
        for e in range(count):
            k = integer(hash_word(counter, high), counter, high, X)
            counter = np.add(counter, stride)
            X[i, e] = k * scale if k < threshold else off


def word_bounds(density):
    """A number for each density (below 1/2) that the first word of every active feature is below, and few others are.

    ``k 2^-24 < density`` says the same as ``k < ceil(2^24 density)`` for an integer k, and both sides may be shifted to
    the top of the word. In float64 the first word has 27 bits of k, which decide but for the last of them.
    """
    bits = 24 if density.itemsize == 4 else 27
    bounds = np.minimum(np.ceil(density * 2.0**bits), 2.0 ** (bits - 1))
    return bounds.astype(np.uint32) << u32(32 - bits)


@lean
def find_active(key, first, count, bounds, density, reciprocal, words, who, value, start):
    """List example and value of all active features of examples first, first + 1, ..., feature by feature.

    There is no branch on a single word: which are active cannot be predicted, and a wrong guess would cost more than
    to write each example down and keep it or not (so `who` and `value` need a place to spare). Only below the
    density RARE does it pay to look first whether any is active, at the least of SEARCH words: that takes vector
    instructions.
    """
    n, size = density.size, value.itemsize // 4
    one = value.dtype.type(2.0**53 if size == 2 else 2.0**24)
    low, high = u32(key), u32(key >> u64(32))
    stride = u32(u32(n * size) * _WEYL)
    found = u64(0)  # unsigned, so that no index is looked at for being negative
    for i in range(n):
        start[i] = found
        bound, threshold, scale = bounds[i], density[i] * one, reciprocal[i] / one
        rare = density[i] < RARE
        stretch = SEARCH if rare else BLOCK
        for part in range(0, count, stretch):
            width = min(stretch, count - part)
            zeroth = u32(low + u32(u32(((first + part) * n + i) * size + 1) * _WEYL))
            if rare:
                least, counter = u32(0xFFFFFFFF), zeroth
                for _ in range(width):
                    z = hash_word(counter, high)
                    least = np.minimum(least, z)
                    counter = np.add(counter, stride)
                if least >= bound:
                    continue
            counter = zeroth
            for e in range(width):
                words[e] = hash_word(counter, high)
                counter = np.add(counter, stride)
            end = found
            for e in range(width):
                who[end] = e
                end += u64(words[e] < bound)
            for p in range(found, end):
                e = who[p]
                k = integer(words[e], u32(zeroth + u32(u32(e) * stride)), high, value)
                who[found], value[found] = part + e, k * scale
                found += u64(k < threshold)
    start[n] = found
