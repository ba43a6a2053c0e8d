"""Sparse features: the data of every experiment.

    x_i = 0 with probability S = 1 - density, else uniform on [0, 1),
    drawn anew for every feature of every example. No two features share a draw (but for ``together=True``, below).

Random numbers are a pure function of (seed, stream, model, step, example, feature): there is no hidden state, so the
same numbers come out in any order, in one piece or in many, on one thread or two. Two hashes make them. SplitMix64
(Steele, Lea & Flood, *Fast splittable pseudorandom number generators*, OOPSLA 2014) turns all but the last two into the
key of a batch, once; a shorter one of 32 bits, which processors multiply far faster than 64, makes its many words:

    key  = hash of (seed, stream, model, step)                                                         64 random bits
    word = hash of (low half of the key + c * WEYL, high half of the key)                              32 random bits

with c = 1, 2, ... over the words of a batch: example by example, feature by feature. In float32 a feature takes one
word, whose top 24 bits are u. (More than 24 bits could round up to 1.0.) In float64 it takes two, for 27 and 26 bits
of u. One u serves a feature: it is on iff u < density, and then u / density is uniform again. With ``together=True``
one u more, drawn first, is the bit of all features, and the others are their values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minitms import _checks

GAMMA = 0x9E3779B97F4A7C15  # SplitMix64's increment: 2^64 divided by the golden ratio, made odd
WEYL = 0x9E3779B9  # the same for 32 bits

WORDS = {"float32": 1, "float64": 2}  # words that make one u

# Separate streams of random numbers for the separate uses within one run.
TRAINING, HELD_OUT, INITIAL = 0, 1, 2


@dataclass(frozen=True, eq=False)
class SparseFeatures:
    """Sparse features: on with probability `density`, then uniform on [0, 1); independent unless told otherwise.

    Parameters
    ----------
    n : int
        Number of features, at least 1.
    density : array that broadcasts to (..., n)
        Probability in [0, 1] that a feature is on; the paper's 1 - S. A scalar; ``(n,)`` one per feature;
        ``(K, 1)`` one per model of a stack; ``(K, n)`` both.
    importance : array that broadcasts to (..., n)
        Weight I_i of each feature's squared error, at least 0.
    together : bool
        One on/off bit for all features of an example, with independent values: pattern "together" of
        `minitms.expected_loss`. They share one density. For `sample` only; `minitms.train` refuses it.

    Attributes
    ----------
    n, together : int and bool
    density, importance : float64 arrays of shape (..., n)
    stack : tuple of int
        The shape ``...`` of the stack of models; ``()`` for one.

    Raises
    ------
    ValueError, TypeError
        If a value is outside its range or a shape does not fit n, or features that are on together differ in density.

    Notes
    -----
    Elhage et al. (2022), section 2, "The Feature Vector (x)".

    Examples
    --------
    >>> features = SparseFeatures(n=5, density=0.1, importance=0.9 ** np.arange(5))
    >>> features.sample(1024, seed=0).shape
    (1024, 5)
    """

    n: int
    density: np.ndarray | float
    importance: np.ndarray | float = 1.0
    together: bool = False

    def __post_init__(self):
        n = _checks.integer("n", self.n, at_least=1)
        density = _checks.per_feature("density", self.density, n, at_most=1.0)
        importance = _checks.per_feature("importance", self.importance, n)
        try:
            density, importance = np.broadcast_arrays(density, importance)
        except ValueError:
            raise ValueError(
                f"density {density.shape} and importance {importance.shape} do not broadcast; expected equal stacks"
            ) from None
        if not isinstance(self.together, bool):
            raise TypeError(f"together is {self.together!r}; expected True or False")
        if self.together and (density != density[..., :1]).any():
            raise ValueError("density differs between features; with together=True one on/off bit serves all of them")
        object.__setattr__(self, "n", n)
        object.__setattr__(self, "density", density)
        object.__setattr__(self, "importance", importance)

    @property
    def stack(self) -> tuple[int, ...]:
        return self.density.shape[:-1]

    def sample(self, batch_size, seed=None, dtype="float64"):
        """Draw a batch of examples for every model of the stack.

        Parameters
        ----------
        batch_size : int
            Number of examples, at least 1 and at most 2^31 / n: the words of a batch have a counter of 32 bits. (With
            ``together=True`` the bit counts as a feature.)
        seed : int in [0, 2**63), or None to draw one
        dtype : "float64" or "float32"

        Returns
        -------
        x : array of shape (..., batch_size, n)
        """
        batch_size = _checks.batch_size(batch_size, self.n + self.together)
        dtype = _checks.choice("dtype", np.dtype(dtype).name, ("float32", "float64"))
        models = np.arange(int(np.prod(self.stack))).reshape(self.stack)
        words = _checks.seed(seed), TRAINING, models, 0, batch_size
        if self.together:
            u = uniforms(*words, self.n + 1, dtype)
            return np.where(u[..., :1] < self.density[..., None, :].astype(dtype), u[..., 1:], u.dtype.type(0))
        return sparse(uniforms(*words, self.n, dtype), self.density)


def sparse(u, density):
    """Turn uniforms u (..., batch, n) into sparse features: on iff u < density, with value u / density.

    The reciprocal is rounded once, in the dtype of u; the kernels use the same one, so they give the same bits.
    """
    density, reciprocal = thresholds(density, u.dtype)
    return np.where(u < density[..., None, :], u * reciprocal[..., None, :], u.dtype.type(0))


def thresholds(density, dtype):
    """The density and its reciprocal in `dtype`, rounded such that u < density gives u * reciprocal < 1.

    A density of 0, or too small to have a reciprocal, gets 0: no u but 0 is below it.
    """
    density = density.astype(dtype)
    has_reciprocal = density >= np.finfo(dtype).tiny
    reciprocal = np.divide(1, density, out=np.zeros_like(density), where=has_reciprocal)
    # Rounded up, it could lift the largest u below the density to 1.0. That of a power of two (mantissa 1/2) is exact.
    rounded_up = (reciprocal * density >= 1) & (np.frexp(density)[0] != 0.5)
    return density, np.where(rounded_up, np.nextafter(reciprocal, 0), reciprocal)


def uniforms(seed, stream, models, step, batch_size, n, dtype):
    """Uniform numbers u in [0, 1), shape ``models.shape + (batch_size, n)``: the definition that the kernels repeat."""
    words = n * WORDS[dtype]
    key = stream_key(seed, stream, models, step)[..., None, None]
    c = np.arange(1, batch_size * words + 1, dtype=np.uint64).astype(np.uint32).reshape(batch_size, words)
    word = hash_words(key.astype(np.uint32) + c * np.uint32(WEYL), (key >> np.uint64(32)).astype(np.uint32))
    if dtype == "float32":
        return (word >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
    return ((word[..., 0::2] >> np.uint32(5)) * 2.0**26 + (word[..., 1::2] >> np.uint32(6))) * 2.0**-53


def hash_words(z, high):
    """Mix the counters z with the high half of the key: two rounds of shift and multiply; 32 bits throughout.

    The multipliers are those of Wellons, *Prospecting for hash functions* (2018), in which every bit of z moves every
    bit of the result with a probability near 1/2.
    """
    z = (z ^ (z >> np.uint32(16))) * np.uint32(0x7FEB352D)
    z = z ^ high  # so that the counters of two batches that meet in their low halves make different words
    z = (z ^ (z >> np.uint32(15))) * np.uint32(0x846CA68B)
    return z ^ (z >> np.uint32(16))


def stream_key(seed, stream, models, step):
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
