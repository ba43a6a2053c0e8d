"""The same loss and gradient as in `minitms.model`, with the sampling integrated out exactly.

    L(W, b) = E_x sum_i I_i (y_i - x_i)²        z = A x + b,  A = WᵀW  (A_ij = W_i · W_j),  y = z or ReLU(z)

A feature that is on is uniform on [0, 1] and independent of the others; a feature that is off is 0. So the expectation
is a sum over the sets S of features that are on together, weighted by their probabilities. Which sets, says `pattern`:

    independent     P(S) = product of s_j over S, of 1 - s_j over the rest          s_j = density of feature j
    together        P(all) = s, P(none) = 1 - s                                     one density for all features
    at_most_one     P({j}) = s_j, P(none) = 1 - sum of s_j                          the sum of densities is at most 1
    exactly_one     P({j}) = 1/n                                                    no density to give

**Linear.** The residual z - x = M x + b, with M = A - 1, is linear in x, so mean and covariance of x are enough:

    L = sum_i I_i [ (M C Mᵀ)_ii + e_i² ]        e = M μ + b,  μ = E x,  C = covariance of x
    ∂L/∂b_i = 2 I_i e_i                         ∂L/∂A = 2 diag(I) (M C + e μᵀ)

**ReLU.** For each set S and output i there is one integral over a cube, of dimension |S|:

    J = ∫ (ReLU(c · x + b_i) - x_i)² dx         c = the entries A_ij with j in S;  x_i = 0 if i is not in S

One variable (x_i itself if i is in S) is integrated by hand: along it the output is on in an interval, where the
residual runs linearly from p to q, and the mean of its square is (p² + p q + q²)/3. That form does not cancel: the
textbook's [(c + d)₊³ - d₊³]/(3c) loses all digits for small c. Along every further variable the result is a piecewise
polynomial, whose pieces meet where the plane z = 0 passes a corner of the smaller cube. Gauss-Legendre nodes on each
piece integrate it exactly, and all that is added up is positive. The gradient is the integral of the gradient, over the
part of the cube where the output is on: the boundary terms vanish, since ReLU(z) = 0 there.

**Back to W.** A = WᵀW holds W twice. With G = ∂L/∂A, dA = dWᵀ W + Wᵀ dW gives ∂L/∂W = W (G + Gᵀ).

**Who came before.** The exact loss of one ReLU neuron and two features without a bias was solved by Tom McGrath, in a
comment to Elhage et al. (2022). Chen, Lau, Mendel, Wei and Murfet (2023, arXiv 2310.06301) give that of exactly one
feature at a time in closed form; `minitms.polytope_losses` follows them to polygons and polytopes.

The number of sets and of pieces doubles with every feature, so features under a ReLU that are on in any combination are
served up to n = 5. One neuron and two features have a jitted voice, `minitms.fast.newton`, for millions of models.
"""

from __future__ import annotations

import copy
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from minitms import _checks, _pace
from minitms._checks import PATTERNS as PATTERNS
from minitms._words import Activation, Pattern
from minitms.fast import newton
from minitms.fast.threads import Threads
from minitms.weights import single

ALONE = ("at_most_one", "exactly_one")  # patterns in which no two features are on together
MOST_FEATURES = 5      # of a ReLU model whose features can be on in any combination; one more costs 100 times as much
POINTS_AT_ONCE = 2**18  # models times nodes in one pass, which bounds the memory
ENTRIES_AT_ONCE = 2**20  # ... as do so many entries of the matrices A, of some models or of some rows
GROUP = 2**9           # one-neuron models until it is known how long they take


def expected_loss(
    W: ArrayLike, b: ArrayLike, density: ArrayLike | None = None, importance: ArrayLike = 1.0,
    activation: Activation = "relu", pattern: Pattern = "independent",
) -> np.ndarray:  # fmt: skip
    """Expected loss ``L = E sum_i I_i (y_i - x_i)²``, exact to rounding: what `minitms.loss` estimates.

    Parameters
    ----------
    W : array of shape (..., m, n)
    b : array of shape (..., n)
    density : array that broadcasts to (..., n), probabilities in [0, 1]; omitted for pattern "exactly_one"
    importance : array that broadcasts to (..., n), every value at least 0
    activation : "relu" or "linear"
    pattern : "independent", "together", "at_most_one" or "exactly_one"
        Which features are on at the same time; see the head of this file.

    Returns
    -------
    L : float64 array of shape (...), one loss a model; 0-d for one model

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, a value lies outside its range or is not finite, or the model has no exact form here.
        Those that have one: linear, any (n, m), every pattern; ReLU, any (n, m), at_most_one and exactly_one;
        ReLU, n <= 5, any m, independent and together.

    Notes
    -----
    Elhage et al. (2022), sections 2 ("Loss") and 3; the integrals are derived at the head of this file.

    Examples
    --------
    >>> import minitms as tms
    >>> round(float(tms.expected_loss([[1.0, -1]], [0.0, 0], density=0.1)), 6)  # by hand 2 s²/6
    0.003333
    >>> round(float(tms.expected_loss([[1.0, 0]], [0.0, 0.05], density=0.1)), 6)  # s/3 - s²/4
    0.030833
    """
    model = _Models(W, b, density, importance, activation, pattern)
    return model.evaluate()[0].reshape(model.stack)


def expected_gradients(
    W: ArrayLike, b: ArrayLike, density: ArrayLike | None = None, importance: ArrayLike = 1.0,
    activation: Activation = "relu", pattern: Pattern = "independent",
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Gradient of `expected_loss` by W and b, exact to rounding: what `minitms.backward` estimates.

    Parameters, errors and source are those of `expected_loss`.

    Returns
    -------
    dW : float64 array of shape (..., m, n)
    db : float64 array of shape (..., n)

    Notes
    -----
    An output with W_i = 0 and b_i = 0 sits on a kink. As in `minitms.backward`, ReLU's derivative at 0 is taken as 0.

    Examples
    --------
    >>> import minitms as tms
    >>> dW, db = tms.expected_gradients([[1.0, -1]], [0.0, 0], density=0.1)
    >>> dW.round(6)
    array([[-0.001667,  0.001667]])
    """
    model = _Models(W, b, density, importance, activation, pattern)
    _, dW, db = model.evaluate()
    return dW.reshape(*model.stack, *dW.shape[1:]), db.reshape(*model.stack, db.shape[-1])


class Minimum(NamedTuple):
    """Where `minimise_expected_loss` ended; every field has the stack of models as its leading axes."""

    W: np.ndarray            # (..., 1, 2)
    b: np.ndarray            # (..., 2)
    loss: np.ndarray         # (...)
    gradient: np.ndarray     # (...), the largest absolute entry of dW and db
    evaluations: np.ndarray  # (...), of the loss


def minimise_expected_loss(
    W: ArrayLike, b: ArrayLike, density: ArrayLike | None = None, importance: ArrayLike = 1.0,
    activation: Activation = "relu", pattern: Pattern = "independent", evaluations: int = 200,
    threads: int | None = None,
) -> Minimum:  # fmt: skip
    """Train one-neuron models of two features without sampling: Newton's method on `expected_loss`, from (W, b).

    A model ends at the local minimum (or on the plateau of a dead output) that its start leads to, with a gradient
    below 1e-10 of the loss of answering 0 (below 1e-10 where nothing is ever on), unless it runs out of evaluations.

    Parameters
    ----------
    W : array of shape (..., 1, 2), the start
    b : array of shape (..., 2), the start
    density, importance, activation, pattern
        As in `expected_loss`.
    evaluations : int
        The most that a model may use of the loss with its gradient and Hessian.
    threads : int, at least 1, or None for as many as Numba uses
        How many threads share the models. The result is the same to the bit.

    Returns
    -------
    minimum : Minimum
        With fields W, b, loss, gradient (largest absolute entry) and evaluations.

    Raises
    ------
    ValueError, TypeError
        As in `expected_loss`; also if W is not of shape (..., 1, 2).

    Notes
    -----
    A million models take seconds on two cores. Ctrl-C stops between groups of models, within a small part of a second.

    Examples
    --------
    >>> from minitms.expected import minimise_expected_loss
    >>> found = minimise_expected_loss([[1.0, -0.5]], [0.0, 0.0], density=0.1)
    >>> found.W.round(2), bool(found.gradient < 1e-8)
    (array([[ 1.01, -1.01]]), True)
    """
    model = _Models(W, b, density, importance, activation, pattern)
    evaluations = _checks.integer("evaluations", evaluations, at_least=1)
    if not model.is_one_neuron:
        raise ValueError(f"W has shape {np.shape(W)}; expected (..., 1, 2), one neuron and two features")
    x = np.concatenate([model.W[:, 0], model.b], axis=-1)
    loss, gradient, used = np.empty(len(x)), np.empty(len(x)), np.empty(len(x), np.int64)
    arrays = x, model.pair_probabilities(), model.importance, model.relu, evaluations, loss, gradient, used
    _share(lambda first, last: newton.descend_range(*arrays, first, last), len(x), threads)
    stack = model.stack
    return Minimum(x[:, :2].reshape(*stack, 1, 2), x[:, 2:].reshape(*stack, 2),
                   loss.reshape(stack), gradient.reshape(stack), used.reshape(stack))


def _share(function, models, threads=None):
    """Call ``function(first, last)`` on all models, group by group, so that Ctrl-C is answered; threads share each."""
    with Threads(threads) as pool:
        for start, end in _pace.chunks(0, models, size=GROUP):
            pool.share(lambda first, last, start=start: function(start + first, start + last), end - start)
            pool.answer()


class _Models:
    """The checked arguments, with the stack flattened to one axis of K models.

    W (K, m, n), b (K, n), density (K, n), importance (K, n), all float64 and contiguous.
    """

    def __init__(self, W, b, density, importance, activation, pattern):
        self.relu = _checks.is_relu(activation)
        self.pattern = _checks.choice("pattern", pattern, PATTERNS)
        W, b = _checks.finite("W", single("W", W)), _checks.finite("b", _checks.real_array("b", b))
        if W.ndim < 2 or b.ndim < 1 or W.shape[-1] != b.shape[-1] or 0 in W.shape or 0 in b.shape:
            raise ValueError(f"got W {W.shape}, b {b.shape}; expected W (..., m, n) and b (..., n), none of them empty")
        _checks.below_limit("W", W)
        _checks.below_limit("b", b)
        m, n = W.shape[-2:]
        if self.relu and pattern not in ALONE and n > MOST_FEATURES:
            raise ValueError(
                f"a ReLU model of n = {n} features with pattern {pattern!r} has no exact form here. These have: "
                "linear, any n, every pattern; relu, any n, 'at_most_one' and 'exactly_one'; "
                f"relu, n <= {MOST_FEATURES}, 'independent' and 'together'. "
                "Otherwise estimate it: minitms.loss on a large sample"
            )
        density = self._density(density, n)
        importance = _checks.per_feature("importance", importance, n)
        _checks.below_limit("importance", importance)
        try:
            self.stack = np.broadcast_shapes(W.shape[:-2], b.shape[:-1], density.shape[:-1], importance.shape[:-1])
        except ValueError:
            raise ValueError(
                f"the stacks of models do not broadcast: got W {W.shape}, b {b.shape}, density {density.shape}, "
                f"importance {importance.shape}; expected (..., {m}, {n}) and three times (..., {n})"
            ) from None
        self.W, self.b, self.density, self.importance = (
            np.ascontiguousarray(np.broadcast_to(a, (*self.stack, *shape)).reshape(-1, *shape), dtype=np.float64)
            for a, shape in ((W, (m, n)), (b, (n,)), (density, (n,)), (importance, (n,)))
        )

    def _density(self, density, n):
        """The density as (..., n), checked against the pattern."""
        if self.pattern == "exactly_one":
            if density is not None:
                raise ValueError("density was given, but in pattern 'exactly_one' each feature has 1/n; leave it out")
            return np.full(n, 1 / n)
        if density is None:
            raise ValueError(f"density is missing; pattern {self.pattern!r} needs it")
        density = _checks.per_feature("density", density, n, at_most=1.0)
        if self.pattern == "together" and (density != density[..., :1]).any():
            raise ValueError("density differs between features; pattern 'together' has one on/off bit for all of them")
        total = density.sum(axis=-1).max()
        if self.pattern == "at_most_one" and total > 1 + 1e-12:
            raise ValueError(
                f"the densities add up to {_checks.plainly(total)}; pattern 'at_most_one' needs at most 1"
            )
        return density

    @property
    def is_one_neuron(self):
        return self.W.shape[1:] == (1, 2)

    def evaluate(self):
        """Loss (K,), dW (K, m, n) and db (K, n)."""
        if self.is_one_neuron and self.relu:
            loss, gradient = np.empty(len(self.W)), np.empty((len(self.W), 4))
            x = np.concatenate([self.W[:, 0], self.b], axis=-1)
            arrays = x, self.pair_probabilities(), self.importance, True, loss, gradient
            _share(lambda first, last: newton.evaluate_range(*arrays, first, last), len(x))
            return loss, gradient[:, None, :2], gradient[:, 2:]
        K, m, n = self.W.shape
        L, dW, db = np.zeros(K), np.zeros((K, m, n)), np.empty((K, n))
        terms = _linear if not self.relu else _relu_alone if self.pattern in ALONE else _relu
        for models in _pieces(K, n * n):
            part, (W_, dW_) = self._part(models), (self.W[models], dW[models])
            for rows in _pieces(n, n * len(W_)):
                A = W_[:, :, rows].mT @ W_
                loss, G, db[models, rows] = terms(part, A, rows)                           # G = ∂L/∂A, these rows of it
                L[models] += loss
                dW_ += W_[:, :, rows] @ G                                                  # ∂L/∂W = W (G + Gᵀ)
                dW_[:, :, rows] += W_ @ G.mT
        return L, dW, db

    def _part(self, models):
        """Some of the models."""
        part = copy.copy(self)
        for name in ("W", "b", "density", "importance"):
            setattr(part, name, getattr(self, name)[models])
        return part

    def pair_probabilities(self):
        """Probabilities of (none, first alone, second alone, both) for n = 2, (K, 4)."""
        sets = dict(_on_sets(self.pattern, self.density))
        return np.stack([sets.get(on, np.zeros(len(self.W))) for on in ((), (0,), (1,), (0, 1))], axis=-1)


def _pieces(count, entries):
    """Slices of `count` things of so many entries each, with ENTRIES_AT_ONCE in a slice if one thing has no more."""
    size = max(1, ENTRIES_AT_ONCE // entries)
    return [slice(first, min(first + size, count)) for first in range(0, count, size)]


def _on_sets(pattern, density):
    """Yield every set of features that can be on together, as a tuple of indices, with its probability (K,)."""
    return _checks.lookup("pattern", pattern, {
        "independent": _any, "together": _all, "at_most_one": _one, "exactly_one": _one,
    })(density)  # fmt: skip


def _any(density):
    n = density.shape[-1]
    for size in range(n + 1):
        for on in combinations(range(n), size):
            off = [j for j in range(n) if j not in on]
            yield on, density[:, list(on)].prod(axis=-1) * (1 - density[:, off]).prod(axis=-1)


def _all(density):
    yield (), 1 - density[:, 0]
    yield tuple(range(density.shape[-1])), density[:, 0]


def _one(density):
    yield (), np.maximum(1 - density.sum(axis=-1), 0)
    for j in range(density.shape[-1]):
        yield (j,), density[:, j]


# The terms of the loss from some outputs i, whose rows of A = WᵀW these are, (K, rows, n): L (K,), the rows of ∂L/∂A,
# and ∂L/∂b (K, rows).


def _linear(model, A, rows):
    """Of linear models, from mean and covariance of x."""
    s, importance = model.density[:, None, :], model.importance[:, rows, None]
    mu = s / 2                                                        # E x_j = s_j/2, whatever the pattern
    M = A                                                             # residual z - x = M x + b, M = A - 1
    M[:, np.arange(A.shape[1]), np.arange(A.shape[2])[rows]] -= 1
    mean = M @ mu.mT
    e = mean + model.b[:, rows, None]                                 # its mean, (K, rows, 1)
    MC = _checks.lookup("pattern", model.pattern, {                   # C_jj = E x_j² - μ_j² = s_j/3 - s_j²/4 ...
        "independent": lambda: M * (s / 3 - s * s / 4),               # ... and for j != k: C_jk = 0
        "together": lambda: M * (s / 12) + M.sum(axis=-1, keepdims=True) * (s / 4 - s * s / 4),  # = s/4 - s²/4
        "at_most_one": lambda: M * (s / 3) - mean * mu,               # = -μ_j μ_k
        "exactly_one": lambda: M * (s / 3) - mean * mu,
    })()  # fmt: skip
    L = (importance * ((MC * M).sum(axis=-1, keepdims=True) + e**2)).sum(axis=(-2, -1))
    G = 2 * importance * (MC + e * mu)
    db = 2 * importance * e
    return L, G, db[..., 0]


def _relu(model, A, rows):
    """Of ReLU models whose features can be on together."""
    L, G, db = np.zeros(len(A)), np.zeros(A.shape), np.zeros(A.shape[:2])
    for on, probability in _on_sets(model.pattern, model.density):
        for row, i in enumerate(range(A.shape[2])[rows]):
            # The output's own feature comes first, since that variable is the one integrated by hand.
            order = [j for j in on if j == i] + [j for j in on if j != i]
            weight = probability * model.importance[:, i]
            J, J_c, J_b = _cube(A[:, row, order], model.b[:, i], own=i in on)
            L += weight * J
            G[:, row, order] += weight[:, None] * J_c
            db[:, row] += weight * J_b
    return L, G, db


def _relu_alone(model, A, rows):
    """Of ReLU models of which no two features are on together: every output against every feature, all at once."""
    s, importance, b = model.density, model.importance[:, rows], model.b[:, rows]
    none = np.maximum(1 - s.sum(axis=-1, keepdims=True), 0)
    j = np.arange(A.shape[2])
    J, J_c, J_b = _segment(A, b[:, :, None], own=j[rows, None] == j)  # (K, rows, n): output i while feature j is on
    weight = importance[:, :, None] * s[:, None, :]
    y = np.maximum(b, 0)                                              # the answer while nothing is on
    L = (weight * J).sum(axis=(-2, -1)) + (importance * none * y**2).sum(axis=-1)
    return L, weight * J_c, (weight * J_b).sum(axis=-1) + importance * none * 2 * y


def _cube(c, b, own):
    """``J = ∫ (ReLU(c · x + b) - target)² dx`` over x in [0, 1]^k; the target is x_0 if `own`, else 0.

    Parameters: c (K, k), b (K,). Returns J (K,), J_c (K, k) and J_b (K,).
    """
    K, k = c.shape
    points = int(np.prod([(2**level + 1) * _nodes(level) for level in range(1, k)]))
    if K > 1 and K * points > POINTS_AT_ONCE:
        pieces = np.array_split(np.arange(K), -(-K * points // POINTS_AT_ONCE))
        parts = [_cube(c[p], b[p], own) for p in pieces if len(p)]
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))
    if k == 0:
        return np.maximum(b, 0) ** 2, np.empty((K, 0)), 2 * np.maximum(b, 0)

    d = b[:, None]                  # (K, N): the offset c · x + b from the outer variables, at each of their nodes
    weight = np.ones((K, 1))        # (K, N)
    outer = []                      # the values of the outer variables at the nodes, last variable first
    for level in range(k - 1, 0, -1):
        slope = c[:, level, None, None]
        corners = np.zeros((K, 1))                                    # c · x at the corners of the inner cube
        for j in range(level):
            corners = np.concatenate([corners, corners + c[:, j, None]], axis=-1)
        # The plane c · x + d + slope t = 0 passes a corner at t = -(d + corner) / slope: there the pieces in t meet.
        with np.errstate(over="ignore"):
            kinks = np.divide(-(d[:, :, None] + corners[:, None, :]), slope,
                              out=np.zeros((K, d.shape[1], 2**level)), where=slope != 0)
        edges = np.sort(np.clip(kinks, 0, 1), axis=-1)
        edges = np.concatenate([np.zeros_like(edges[..., :1]), edges, np.ones_like(edges[..., :1])], axis=-1)
        nodes, node_weights = np.polynomial.legendre.leggauss(_nodes(level))
        width = np.diff(edges, axis=-1)[..., None]
        t = edges[..., :-1, None] + width * (nodes + 1) / 2           # (K, N, pieces, nodes)
        share = width * node_weights / 2
        d = (d[:, :, None, None] + slope[..., None] * t).reshape(K, -1)
        weight = (weight[:, :, None, None] * share).reshape(K, -1)
        outer = [np.repeat(earlier, t[0, 0].size, axis=-1) for earlier in outer] + [t.reshape(K, -1)]

    J, J_first, J_d = _segment(c[:, :1], d, own)
    by_c = [J_first] + [t * J_d for t in reversed(outer)]             # d = b + sum of c_j t_j
    return (weight * J).sum(-1), np.stack([(weight * g).sum(-1) for g in by_c], axis=-1), (weight * J_d).sum(-1)


def _nodes(level):
    """Gauss-Legendre nodes for what `level` inner integrals leave: degree level + 2, and q nodes serve 2q - 1."""
    return (level + 4) // 2


def _segment(c, d, own):
    """``J = ∫ (ReLU(c x + d) - target)² dx`` over x in [0, 1]; the target is x if `own`, else 0.

    Returns J, ∂J/∂c = 2 ∫ x (z - target) dx and ∂J/∂d = 2 ∫ (z - target) dx, the last two over z > 0.
    """
    z0, z1 = np.broadcast_arrays(d, c + d)                            # z at the two ends
    on0, on1 = z0 > 0, z1 > 0
    crosses = on0 != on1
    steep = np.where(crosses, c, 1)
    root = np.where(crosses, -d / steep, 0)                           # z = 0 there
    low, high = np.where(on0, 0, root), np.where(on1, 1, root)        # the output is on between them
    width = np.where(crosses, (np.maximum(z1, 0) - np.maximum(z0, 0)) / steep, on0)    # high - low without cancelling
    p, q = np.maximum(z0, 0) - own * low, np.maximum(z1, 0) - own * high    # the residual at low and high
    off = np.where(on0 | on1, low**3 + 1 - high**3, 1) / 3            # ∫ x² over the rest of [0, 1]
    J = width * (p * p + p * q + q * q) / 3 + own * off
    J_c = width * (low * (2 * p + q) + high * (p + 2 * q)) / 3
    J_d = width * (p + q)
    return J, J_c, J_d
