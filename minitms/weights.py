"""A model's numbers: its weights, one array that encodes and decodes (tied) or a pair, and all of them in one row.

    theta (..., p)  =  E (m n) | D (m n), unless tied | b (n)

Training moves such rows, whatever the model: Adam is one loop, a gradient has the same layout, and that W is tied means
that D begins where E does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from minitms import _checks


class Weights(NamedTuple):
    """Untied weights, and gradients by them. Any tuple (encoder, decoder) of two such arrays serves as well.

    Row k belongs to neuron k in both: what it reads from the features, and what it writes to them.

    Examples
    --------
    >>> import numpy as np, minitms as tms
    >>> W = tms.Weights(np.ones((2, 5)), np.zeros((2, 5)))
    >>> tms.forward(W, np.zeros(5), np.ones((1, 5)))
    array([[0., 0., 0., 0., 0.]])
    """

    encoder: np.ndarray  # E (..., m, n)
    decoder: np.ndarray  # D (..., m, n)


WeightsLike = ArrayLike | tuple[ArrayLike, ArrayLike]  # tied, or (encoder, decoder)


def both(W):
    """Encoder and decoder of what `checked` returned; a tied W is both."""
    return W if isinstance(W, Weights) else (W, W)


def each(function, *Ws):
    """The function of tied weights, or of the encoders and of the decoders; `Ws` are all of one form."""
    return Weights(*map(function, *Ws)) if isinstance(Ws[0], Weights) else function(*Ws)


def checked(W):
    """Return `W` as `Weights` if it is a pair, and as a real array if not.

    Lists are arrays, as everywhere in NumPy, and so is a tuple of two rows: only a tuple of two matrices is a pair.
    """
    if not _is_pair(W):
        return _checks.real_array("W", W)
    W = Weights(_checks.real_array("the encoder", W[0]), _checks.real_array("the decoder", W[1]))
    if W.encoder.shape != W.decoder.shape:
        raise ValueError(
            f"encoder {W.encoder.shape} and decoder {W.decoder.shape} differ in shape; expected (..., m, n) of both: "
            "a decoder that is written (n, m) is given transposed, as decoder.mT"
        )
    return W


def single(name: str, W):
    """Return `W` as a real array; a pair is refused by what knows one array only, and not taken for a stack of two."""
    if _is_pair(W):
        raise TypeError(f"{name} is a pair (encoder, decoder); expected one array (..., m, n), such as {name}.decoder")
    return _checks.real_array(name, W)


def best_restart(loss):
    """Which restart has the lowest `loss` (restarts, ...), for each model by itself, and a function that takes it.

    The function takes the restart out of arrays (restarts, ..., any), and of pairs of these.
    """
    restart = loss.argmin(axis=0)

    def take(arrays):
        def one(array):
            index = restart.reshape(1, *restart.shape, *[1] * (array.ndim - 1 - restart.ndim))
            return np.take_along_axis(array, index, axis=0)[0]

        return each(one, arrays)

    return restart, take


def _is_pair(W):
    return isinstance(W, Weights) or (
        isinstance(W, tuple) and len(W) == 2 and any(_checks.plain_array("W", part).ndim >= 2 for part in W)
    )


class Layout(NamedTuple):
    """Where a model's numbers stand in its row."""

    m: int
    n: int
    tied: bool

    @property
    def decoder(self) -> int:
        """Where D begins."""
        return 0 if self.tied else self.m * self.n

    @property
    def size(self) -> int:
        """How many numbers p a model has."""
        return self.decoder + self.m * self.n + self.n

    def W(self, theta):
        """The weights in rows (..., p), as views: (..., m, n), or a pair of these."""
        shape, count = (*theta.shape[:-1], self.m, self.n), self.m * self.n
        E, D = (theta[..., first : first + count].reshape(shape) for first in (0, self.decoder))
        return E if self.tied else Weights(E, D)

    def b(self, theta):
        """The biases in rows (..., p), as a view (..., n)."""
        return theta[..., -self.n :]

    def row(self, W, b):
        """The rows (..., p) of such weights and biases."""
        E, D = both(W)
        flat = [array.reshape(*array.shape[:-2], self.m * self.n) for array in ((E,) if self.tied else (E, D))]
        return np.concatenate([*flat, b], axis=-1)
