"""Random numbers as a pure function of (seed, stream, model, step, example, feature).

There is no hidden state, so the same numbers come out in any order, in one piece or in many, on one thread or two.
SplitMix64 (Steele, Lea & Flood, *Fast splittable pseudorandom number generators*, OOPSLA 2014) turns all but the last
two into the key of a batch, once; a shorter hash of 32 bits, which processors multiply far faster than 64, makes of it
the many words of that batch:

    key  = hash of (seed, stream, model, step)                            64 random bits, of which low and high are half
    word = hash of (low + c (high | 1), high)                             32 random bits

with c = 1, 2, ... over the words of a batch: example by example, column by column. In float32 a uniform number takes
one word, whose top 24 bits are u. (More than 24 bits could round up to 1.0.) In float64 it takes two, for 27 and 26
bits of u.

Two limits. A batch is a permutation of 2^32 words, so from about 2^24 words on it is more even than chance. And two
batches whose keys agree in all of `high` would share words; of a billion batches some pairs do in 32 bits, but their
`low` sets them apart.
"""

from __future__ import annotations

import numpy as np

GAMMA = 0x9E3779B97F4A7C15  # SplitMix64's increment: 2^64 divided by the golden ratio, made odd

WORDS = {"float32": 1, "float64": 2}  # words that make one u
BLOCK = 256  # examples after which the gaps of a rare feature begin anew

# Separate streams of random numbers for the separate uses within one run.
TRAINING, HELD_OUT, INITIAL = 0, 1, 2


def uniforms(key, batch_size, columns, dtype):
    """Uniform numbers u in [0, 1), shape ``key.shape + (batch_size, columns)``."""
    size = WORDS[dtype]
    c = np.arange(1, batch_size * columns * size + 1, dtype=np.uint64).astype(np.uint32).reshape(batch_size, -1)
    word = words(key[..., None, None], c)
    if dtype == "float32":
        return (word >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
    return ((word[..., 0::2] >> np.uint32(5)) * 2.0**26 + (word[..., 1::2] >> np.uint32(6))) * 2.0**-53


def normals(key, count):
    """Standard normal numbers, shape ``key.shape + (count,)``, from two uniforms each, by Box and Muller."""
    u = uniforms(key, count, 2, "float64")
    # 1 - u lies in (0, 1], so its logarithm is finite.
    return np.sqrt(-2 * np.log(1 - u[..., 0])) * np.cos(2 * np.pi * u[..., 1])


def on_by_gaps(key, batch_size, probability):
    """Bits that are on with a small probability (..., columns): an array of shape ``(..., batch_size, columns)``.

    Not each bit takes a word, but each gap: how many examples a bit stays off is known at once. A gap longer than g has
    the probability (1 - p)^(g + 1). After BLOCK examples the gaps begin anew, so that a batch can be drawn in pieces.
    """
    blocks, columns = -(-batch_size // BLOCK), probability.shape[-1]
    key = _mix(key[..., None, None] + np.uint64(GAMMA))
    c = (np.arange(blocks) * BLOCK * columns)[:, None] + np.arange(1, columns + 1)
    stack = np.broadcast_shapes(key.shape[:-2], probability.shape[:-1])
    on = np.zeros((*stack, blocks, BLOCK + 1, columns), bool)
    place = np.full((*stack, blocks, columns), -1)
    last = last_words(probability)[..., None, :, :]
    while (place < BLOCK - 1).any():
        gap = (words(key, c.astype(np.uint32))[..., None] <= last).sum(axis=-1)
        place = np.minimum(place + 1 + gap, BLOCK)
        np.put_along_axis(on, place[..., None, :], True, axis=-2)
        c += columns
    return on[..., :BLOCK, :].reshape(*stack, -1, columns)[..., :batch_size, :]


def last_words(probability):
    """The last of the 2^32 words for a gap longer than g = 0 .. BLOCK - 1, shape ``probability.shape + (BLOCK,)``."""
    longer = np.exp(np.log1p(-probability)[..., None] * np.arange(1, BLOCK + 1))
    return (np.rint(2.0**32 * longer) - 1).astype(np.uint32)


def words(key, c):
    """The words c of batches: two rounds of shift and multiply; 32 bits throughout.

    The multipliers are those of Wellons, *Prospecting for hash functions* (2018), in which every bit of z moves every
    bit of the result with a probability near 1/2.
    """
    low, high = key.astype(np.uint32), (key >> np.uint64(32)).astype(np.uint32)
    z = low + c * (high | np.uint32(1))  # steps of its own, so that no two batches go through the same z
    z = (z ^ (z >> np.uint32(16))) * np.uint32(0x7FEB352D)
    z = z ^ high  # where they meet in one z all the same, they make different words
    z = (z ^ (z >> np.uint32(15))) * np.uint32(0x846CA68B)
    return z ^ (z >> np.uint32(16))


def batch_key(seed, stream, models, step):
    """Hash (seed, stream, model, step) to 64 bits, one level a coordinate; shape of `models`."""
    gamma = np.uint64(GAMMA)
    seed, stream, step = np.array([[seed], [stream], [step]], np.uint64)  # arrays wrap around without a warning
    key = _mix(seed + stream * gamma)
    key = _mix(key + np.asarray(models, np.uint64) * gamma)
    key = _mix(key + step * gamma)
    return key.reshape(np.shape(models))


def _mix(z):
    """SplitMix64's output function: a bijection of 64 bits in which every input bit moves every output bit."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
