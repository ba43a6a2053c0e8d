"""The models of the paper and their gradient, in the order in which one would derive them on paper.

They are one chain: an encoder E reads m hidden values from n sparse features, and a decoder D writes features back.

    a = x Eᵀ        encode     |  x        (..., batch, n)   input: the features, one example a row
    h = f(a)        hidden     |  E, D     (..., m, n)       row k: what hidden dimension k reads, and what it writes
    z = h D + b     decode     |  b, I     (..., n)          bias, and importance of each feature
    y = g(z)        output     |  a, h     (..., batch, m)   hidden, before and after f; m < n in superposition
                               |  z, y     (..., batch, n)   output, before and after g; t: its target

    L = mean over the batch of  sum_i I_i (y_i - t_i)²,      I_i the importance of feature i, t_i what y_i should be

Since rows are examples, x Eᵀ is "E x for every row" and h D is "Dᵀ h for every row". Tied weights are one array W in
both places, y = g(Wᵀ f(W x) + b) for each example: column W_i is the direction in which feature i is stored.

    section of the paper        hidden f    activation g    W         target t
    2     linear model          linear      linear          tied      x           keeps what PCA keeps
    2-6   superposition         linear      relu            tied      x           the defaults
    7     privileged basis      relu        relu            tied      x           hidden dimensions become neurons
    8     computation           relu        relu            (E, D)    |x|         neurons compute the absolute value

The leading axes ``...`` are a stack of models that never mix, as in `numpy.linalg`: read all without them. This file is
the definition; tests hold the faster, fused kernels to it. Source: Elhage et al., Toy Models of Superposition (2022).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from minitms._inputs import arrays
from minitms._words import Activation
from minitms.weights import Weights, WeightsLike, both

# What f and g may do to each entry (in words: _words.Activation), and their derivatives; a ReLU's at 0 is taken as 0.
ACTIVATIONS = {"linear": lambda z: z, "relu": lambda z: np.maximum(z, 0)}
SLOPES = {"linear": lambda z: 1, "relu": lambda z: z > 0}


def _layers(W, b, x, activation, hidden):
    """The forward pass."""
    (E, D), f, g = both(W), ACTIVATIONS[hidden], ACTIVATIONS[activation]  # both: the pair, or a tied W twice
    a = x @ E.mT                                    # encode; .mT transposes the last two axes
    h = f(a)
    z = h @ D + b[..., None, :]                     # decode; None lets b enter every row
    y = g(z)
    return a, h, z, y


def _loss(y, t, importance):
    return (importance * (y - t) ** 2).sum(axis=-1).mean(axis=-1)  # over features, then over examples


def _backward(W, x, t, importance, layers, activation, hidden):
    """The forward pass in reverse. d<thing> is short for ∂L/∂<thing>, in one model's shape; I is (..., 1, n) here.

    Chain rule: an entry u reaches L by every entry v computed directly from it: ∂L/∂u = Σ_v ∂L/∂v ∂v/∂u, that is
    du = Σ_v dv ∂v/∂u (no differentials), with all else in v's line of `_layers` constant. A tied W is two copies, E and
    D, varied one at a time, until dW adds them up. e counts examples, i features, k hidden; `*` is entry by entry:
        y_ei = g(z_ei)               ->  z_ei is in y_ei alone, times g'(z_ei):     dz_ei = dy_ei g'(z_ei)
        z_ei = Σ_k h_ek D_ki + b_i   ->  b_i  is in z_ei for every e, times 1:      db_i  = Σ_e dz_ei
                                         D_ki is in z_ei for every e, times h_ek:   dD_ki = Σ_e h_ek dz_ei = (hᵀ dz)_ki
                                         h_ek is in z_ei for every i, times D_ki:   dh_ek = Σ_i dz_ei D_ki = (dz Dᵀ)_ek
        h_ek = f(a_ek)               ->  a_ek is in h_ek alone, times f'(a_ek):     da_ek = dh_ek f'(a_ek)
        a_ek = Σ_i x_ei E_ki         ->  E_ki is in a_ek for every e, times x_ei:   dE_ki = Σ_e da_ek x_ei = (daᵀ x)_ki
    """
    (_, D), f_slope, g_slope = both(W), SLOPES[hidden], SLOPES[activation]
    (a, h, z, y), batch = layers, x.shape[-2]

    dy = 2 * importance * (y - t) / batch           # Σ_ei I_i (y_ei - t_ei)² / batch -> ∂L/∂y = 2 I * (y - t) / batch
    dz = dy * g_slope(z)                            # y = g(z)                   ->  ∂L/∂z = dy * g'(z)
    db = dz.sum(axis=-2)                            # z = h D + b, b in each row ->  ∂L/∂b = dz summed over examples
    dD = h.mT @ dz                                  # z = h D + b                ->  ∂L/∂D = hᵀ dz
    dh = dz @ D.mT                                  # z = h D + b                ->  ∂L/∂h = dz Dᵀ
    da = dh * f_slope(a)                            # h = f(a)                   ->  ∂L/∂a = dh * f'(a)
    dE = da.mT @ x                                  # a = x Eᵀ                   ->  ∂L/∂E = daᵀ x
    if isinstance(W, Weights):
        return Weights(dE, dD), db
    dW = dD + dE                                    # D = W and E = W, times 1  ->  ∂L/∂W = ∂L/∂D + ∂L/∂E
    return dW, db


def forward(
    W: WeightsLike, b: ArrayLike, x: ArrayLike, activation: Activation = "relu", *, hidden: Activation = "linear"
) -> np.ndarray:
    """Reconstruct the features: ``y = g(f(x Eᵀ) D + b)``, or ``g(Wᵀ f(W x) + b)`` for each example of a tied model.

    Elhage et al., section 2, "Models"; with a ReLU on the hidden layer, sections 7 and 8.

    Parameters
    ----------
    W : array of shape (..., m, n); or a tuple (encoder, decoder) of two such arrays, for untied weights
    b : array of shape (..., n)
    x : array of shape (..., batch, n)
    activation : "relu" or "linear", the function g of the output
    hidden : "linear" or "relu", the function f of the hidden layer

    Returns
    -------
    y : array of shape (..., batch, n), in the widest dtype of W, b and x

    Raises
    ------
    ValueError, TypeError : if the shapes do not fit each other, a dtype is not real, or a word is unknown

    Examples
    --------
    >>> import minitms as tms
    >>> tms.forward([[1.0, -1.0]], [0, 0], [[0.6, 0.3]])  # both on: each hides a part of the other
    array([[0.3, 0. ]])
    """
    W, b, x, *_ = arrays(ACTIVATIONS, W, b, x, 1.0, None, activation, hidden)
    return _layers(W, b, x, activation, hidden)[-1]


def loss(
    W: WeightsLike, b: ArrayLike, x: ArrayLike, importance: ArrayLike = 1.0, activation: Activation = "relu", *,
    hidden: Activation = "linear", target: ArrayLike | None = None,
) -> np.ndarray:  # fmt: skip
    """Importance-weighted squared error: ``L = mean over the batch of sum_i I_i (y_i - t_i)²``.

    So L estimates the expected loss of the theory (Elhage et al., section 2, "Loss").

    Parameters
    ----------
    W, b, x, activation, hidden : as in `forward`
    importance : array that broadcasts to (..., n), every value at least 0
    target : array of shape (..., batch, n): what y should be; None for x itself

    Returns
    -------
    L : array of shape (...), one loss a model; 0-d for one model

    Raises
    ------
    ValueError, TypeError : as in `forward`; or an importance is negative or not finite, or it or the target misfits

    Examples
    --------
    >>> import minitms as tms
    >>> float(tms.loss([[1.0, -1.0]], [0, 0], [[0.5, 0.0], [0.5, 0.25]]))  # 0.25 off twice, in one example of two
    0.0625
    """
    W, b, x, importance, t = arrays(ACTIVATIONS, W, b, x, importance, target, activation, hidden)
    return _loss(_layers(W, b, x, activation, hidden)[-1], t, importance)


def backward(
    W: WeightsLike, b: ArrayLike, x: ArrayLike, importance: ArrayLike = 1.0, activation: Activation = "relu", *,
    hidden: Activation = "linear", target: ArrayLike | None = None,
) -> tuple[np.ndarray | Weights, np.ndarray]:  # fmt: skip
    """Gradient of `loss` by W and b: the lines of `_backward`, each beside the derivative that it implements.

    A tied W enters twice, as encoder (a = x Wᵀ) and as decoder (z = h W + b): its gradient is a sum, as (w w)' = w + w,
    and dropping either is this model's classic mistake. Untied, each is a gradient of its own. ReLU'(0) is 0 here.

    Parameters
    ----------
    W, b, x, importance, activation, hidden, target : as in `loss`

    Returns
    -------
    dW : array of shape (..., m, n); or `minitms.weights.Weights`, a pair (encoder, decoder) of them, if W is a pair
    db : array of shape (..., n)

    Raises
    ------
    ValueError, TypeError : as in `loss`

    Examples
    --------
    >>> import minitms as tms
    >>> tms.backward([[1.0, -1.0]], [0, 0], [[0.5, 0.0], [0.5, 0.25]])
    (array([[-0.1875, -0.0625]]), array([-0.25,  0.  ]))
    """
    W, b, x, importance, t = arrays(ACTIVATIONS, W, b, x, importance, target, activation, hidden)
    layers = _layers(W, b, x, activation, hidden)
    return _backward(W, x, t, importance, layers, activation, hidden)


def loss_and_gradients(
    W: WeightsLike, b: ArrayLike, x: ArrayLike, importance: ArrayLike = 1.0, activation: Activation = "relu", *,
    hidden: Activation = "linear", target: ArrayLike | None = None,
) -> tuple[np.ndarray, np.ndarray | Weights, np.ndarray]:  # fmt: skip
    """`loss` and `backward` in one call, with one forward pass.

    Returns
    -------
    L, dW, db : as these return them

    Examples
    --------
    >>> import minitms as tms
    >>> tms.loss_and_gradients([[1.0, -1.0]], [0, 0], [[0.5, 0.0], [0.5, 0.25]])
    (np.float64(0.0625), array([[-0.1875, -0.0625]]), array([-0.25,  0.  ]))
    """
    W, b, x, importance, t = arrays(ACTIVATIONS, W, b, x, importance, target, activation, hidden)
    layers = _layers(W, b, x, activation, hidden)
    return _loss(layers[-1], t, importance), *_backward(W, x, t, importance, layers, activation, hidden)
