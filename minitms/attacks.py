"""Adversarial examples, by derivation and not by search: how far a small change of x can spoil the answer.

An attack adds δ to x, |δ| at most the budget ε (a Euclidean length), and leaves the target t as it was. With a linear
hidden layer what output i holds before its activation is

    z_i(x + δ) = z_i(x) + r_i · δ        r_i = row i of Dᵀ E, the gradient of z_i by x; of Wᵀ W if W is tied

so by Cauchy's inequality it fills the interval z_i(x) ± ε |r_i|, whose ends are reached at δ = ± ε r_i / |r_i|. The
error I_i (y_i - t_i)² is convex in y_i, and y_i = g(z_i) is monotone, so it is largest at one of these ends: **for one
output an attack along its row is the worst there is**, at any budget, ReLU or not. (Where output i is on, r_i is the
gradient of y_i too. Where it is off, that gradient is 0, and an attack that climbs it stands still: it is masked. The
row is not: it says where to go, and going far enough turns the output on.)

**For the sum over outputs it is a bound from below.** To first order in ε the loss of an example moves by the sum of
2 I_i (y_i - t_i) r_i · δ over the outputs that are on, so the steepest δ is a mixture of rows, and we try pure ones.
Of all outputs and both signs the most damaging is kept, or no attack where none does damage. A bound from above is the
worst attack on each output alone, summed. An output that x cannot move, W_i = 0, has r_i = 0 and no attack.

**Why superposition is fragile.** Tied, |r_i|² = sum_j (W_i · W_j)² = |W_i|⁴ / D_i, D_i the dimensionality. So the
squared error of output i alone can be ε² / D_i if |W_i| = 1: that features are the easier to attack the more of them
share a dimension is built into the definition of D_i. What other outputs add, and what a ReLU takes away, is not.

**With a ReLU in the hidden layer** the neurons that are on at x form a linear model, and r_i is the gradient there, the
sum over such k of D_ki E_k; all the above holds as long as no neuron switches between x and x + δ. Beyond, it is an
attack like any other, and its loss exact. Masking is back where no neuron is on, as at x = 0: no attack is found there.

One direction for all examples of a model (``per="model"``) is chosen by the mean loss. A linear hidden layer has the
same rows at all examples; with a ReLU there the mean of r_i over the batch is taken, the gradient of the mean of z_i.

Source: Elhage et al., Toy Models of Superposition (2022), section 6. They use these attacks, one for each feature, and
keep the most damaging, because gradient descent is masked. They do not say whether that is chosen per example or per
model, and speak neither of signs nor of clipping: each is a choice here.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from minitms import _checks
from minitms._inputs import arrays
from minitms._words import Activation
from minitms.model import SLOPES, _layers
from minitms.weights import WeightsLike, both, each


class Attack(NamedTuple):
    """What `worst_attack` found, for a stack ``...`` of models.

    Examples
    --------
    >>> import numpy as np, minitms as tms
    >>> x = np.array([[0.5, 0.5]])
    >>> attack = tms.worst_attack(np.eye(2), np.zeros(2), x, budget=0.1)
    >>> attack.delta.shape, bool(attack.attacked > attack.clean)
    ((1, 2), True)
    """

    delta: np.ndarray     # δ (..., batch, n): what is added to each example; 0 where no attack does damage
    budget: np.ndarray    # ε (...)
    clean: np.ndarray     # (...) loss of x
    attacked: np.ndarray  # (...) loss of x + δ, against the target of x

    @property
    def excess(self) -> np.ndarray:
        """How much the attack adds to the loss, shape (...), at least 0."""
        return self.attacked - self.clean

    @property
    def vulnerability(self) -> np.ndarray:
        """``excess / ε²``, shape (...): 1 for a model that always answers x, with importance 1 and at any budget.

        The attacked loss itself says little where features are dropped, since these dominate it.
        """
        least, smallest = np.sqrt(np.finfo(self.budget.dtype).tiny), self.budget.min(initial=np.inf)
        if smallest < least:
            above = f"{least:.1g}" if smallest else "0"
            raise ValueError(
                f"vulnerability is the excess divided by budget²; expected a budget above {above}, got {smallest:g}"
            )
        return self.excess / self.budget**2


def worst_attack(
    W: WeightsLike, b: ArrayLike, x: ArrayLike, budget: ArrayLike, importance: ArrayLike = 1.0,
    activation: Activation = "relu", *, hidden: Activation = "linear", target: ArrayLike | None = None,
    outputs: ArrayLike | None = None, per: Literal["example", "model"] = "example", both_signs: bool = True,
    within: tuple[float, float] | None = None,
) -> Attack:  # fmt: skip
    """The attack along a row of DᵀE (tied: WᵀW), as long as the budget, that does most damage.

    ``δ = ± ε r_i / |r_i|``, of all outputs i and both signs the one with the largest loss of x + δ; 0 if no one's is
    above the loss of x. Elhage et al., section 6; derived at the top of `minitms.attacks`.

    Parameters
    ----------
    W, b, x, importance, activation, hidden, target
        As in `minitms.loss`, and finite. Importance 0 leaves an output out of the damage: with
        ``tms.feature_norms(W) > 0.5`` only kept features count.
    budget : array that broadcasts to (...), every value at least 0
        The length ε of an attack; the paper's is 0.1 times the mean of |x| over examples.
    outputs : int or list of int, or None for all
        Which outputs are attacked, 0 to n - 1.
    per : "example" or "model"
        Whether each example has its own worst i and sign, or all examples of a model share those worst on average.
    both_signs : bool
        False pushes outputs up only.
    within : (low, high), or None
        Where entries of x + δ must lie, to within its rounding: it is clipped, which makes δ no longer than the budget.
        x must lie there.

    Returns
    -------
    Attack
        delta (..., batch, n), and with shape (...) budget, clean, attacked, excess and vulnerability.

    Raises
    ------
    ValueError, TypeError
        As in `minitms.loss`; also if W, b, x, target or budget is not finite, a budget is negative or of a wrong
        shape, an output is out of range, or x is not within its bounds.

    Examples
    --------
    Two features in one dimension, D = 1/2, against two that have one each: the loss grows by ε² / D.

    >>> import numpy as np, minitms as tms
    >>> x, b = np.array([[1.0, 0.0]]), np.zeros(2)
    >>> found = tms.worst_attack(np.array([[1.0, -1.0]]), b, x, budget=0.1)
    >>> print(found.delta.round(3), found.vulnerability.round(3))
    [[ 0.071 -0.071]] 2.0
    >>> print(tms.worst_attack(np.eye(2), b, x, budget=0.1).vulnerability.round(3))
    1.0
    """
    W, b, x, importance, t = arrays(SLOPES, W, b, x, importance, target, activation, hidden)
    each(lambda array: _checks.finite("W", array), W)
    for name, array in (("b", b), ("x", x), ("target", t)):
        _checks.finite(name, array)
    _checks.choice("per", per, ("example", "model"))
    signs = (1, -1) if _checks.flag("both_signs", both_signs) else (1,)
    E, D = both(W)
    stack = np.broadcast_shapes(*(array.shape[:-2] for array in (E, x, t, importance)), b.shape[:-1])
    budget, outputs, within = _budget(budget, stack, x.dtype), _outputs(outputs, x.shape[-1]), _within(within, x)

    def damage(x):
        """Each example's loss, (..., batch), or their mean, (..., 1)."""
        y = _layers(W, b, x, activation, hidden)[-1]
        losses = (importance * (y - t) ** 2).sum(axis=-1)
        return losses if per == "example" else losses.mean(axis=-1, keepdims=True)

    a = _layers(W, b, x, activation, hidden)[0]
    slope = np.broadcast_to(SLOPES[hidden](a), a.shape)                 # f'(a), (..., batch, m)
    if hidden == "linear" or per == "model":
        slope = slope.mean(axis=-2, keepdims=True, dtype=x.dtype)       # one row serves all examples
    clean = worst = damage(x)
    delta = np.zeros((*stack, *x.shape[-2:]), x.dtype)
    for i in outputs:
        row = (slope * D[..., None, :, i]) @ E                          # ∂z_i/∂x = sum_k D_ki f'(a_k) E_k
        length = np.linalg.norm(row, axis=-1, keepdims=True)
        direction = np.divide(row, length, out=np.zeros_like(row), where=length > 0)
        for sign in signs:
            step = sign * budget[..., None, None] * direction
            if within is not None:
                step = np.clip(x + step, *within) - x
            found = damage(x + step)
            worse = found > worst
            worst, delta = np.where(worse, found, worst), np.where(worse[..., None], step, delta)
    return Attack(delta, budget, clean.mean(axis=-1), worst.mean(axis=-1))


def _budget(budget, stack, dtype):
    """One budget a model, shape (...)."""
    budget = _checks.fits("budget", _checks.bounded("budget", budget), dtype)
    try:
        return np.broadcast_to(budget, stack)
    except ValueError:
        raise ValueError(f"budget has shape {budget.shape}; expected a scalar, or one a model, {stack}") from None


def _outputs(outputs, n):
    """The indexes of the outputs to attack."""
    if outputs is None:
        return range(n)
    indexes = [_checks.integer("outputs", i, at_least=0) for i in np.atleast_1d(outputs).ravel()]
    if not indexes or max(indexes) >= n:
        raise ValueError(f"outputs is {outputs}; expected at least one index, each from 0 to n - 1 = {n - 1}")
    return indexes


def _within(within, x):
    """The bounds of the entries of x + δ, where x lies already."""
    if within is None:
        return None
    if not isinstance(within, (tuple, list)) or len(within) != 2:
        raise TypeError(f"within is {within!r}; expected a pair (low, high), or None")
    low, high = (_checks.number("within", bound) for bound in within)
    if x.min() < low or x.max() > high:
        least, most = _checks.plainly(x.min(), low), _checks.plainly(x.max(), high)
        bounds = f"({_checks.plainly(low)}, {_checks.plainly(high)})"
        raise ValueError(f"x runs from {least} to {most}; expected it within {bounds}")
    return low, high
