"""What a training has come to: is it still made of numbers, what is its loss, and is that better than nothing?"""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np

from minitms import _checks, _pace
from minitms.draws import HELD_OUT, batch_key
from minitms.expected import expected_loss
from minitms.fast import training as fast
from minitms.model import loss


class DivergenceError(ArithmeticError):
    """Training left the numbers, or ended worse than having learned nothing at all.

    Nothing learned is the best constant c that the output can give, whatever the example: c_i = E t_i, the mean of the
    target, from a linear output, and c_i = max(E t_i, 0) from a ReLU. Its loss is Σ_i I_i E (t_i - c_i)².

    Examples
    --------
    >>> import minitms as tms
    >>> try:
    ...     tms.train(tms.SparseFeatures(n=5, density=0.1), n_hidden=2, steps=50, learning_rate=1e6, seed=0)
    ... except tms.DivergenceError:
    ...     print("try a smaller learning rate")
    try a smaller learning rate
    """


def check_finite(losses, theta, step, plan):
    """Raise DivergenceError unless the losses of a chunk are numbers, and the weights after it such as have a loss."""
    finite = np.isfinite(losses).all(axis=-1) & np.isfinite(theta).all(axis=-1)
    sound = finite & (np.abs(theta).max(axis=-1).astype(np.float64) <= _checks.LARGEST)
    if not sound.all():
        stack = plan.whole or plan.stack
        first = int(np.argmin(sound))
        model = np.unravel_index(plan.first_model + first, stack)
        what = f"weight above {_checks.LARGEST:g}" if finite.flat[first] else "loss or weight that is not finite"
        of_all = "" if plan.whole else f" ({(~sound).sum()} of {sound.size} models)"
        raise DivergenceError(
            f"model {tuple(int(k) for k in model)} has a {what}, found after step {step}"
            f"{of_all}; try a smaller learning_rate"
        )


def final_losses(plan, theta, progress=False):
    """The loss of every model: exact where there is such a form, else on examples that training has not seen."""
    W, b, source = plan.layout.W(theta), plan.layout.b(theta), plan.source
    if plan.exact:
        pattern = (source.pattern,) if source.pattern != "independent" else ()
        W, b = W.astype(np.float64), b.astype(np.float64)
        return expected_loss(W, b, source.density, source.importance, plan.activation, *pattern)
    return {"numba": fast.losses, "numpy": losses_by_numpy}[plan.engine](plan, theta, progress)


def losses_by_numpy(plan, theta, progress=False):
    """The loss of every model (restarts, ...) on examples that training has not seen, or on the fixed ones."""
    rows = theta.reshape(theta.shape[0], -1, theta.shape[-1])
    final = np.empty(rows.shape[:-1])
    with _pace.bar(final.size, " final losses", progress) as bar:
        for k in range(rows.shape[1]):  # the same examples for all restarts
            source = plan.source.take(np.array([k]))
            alone = replace(plan, source=source, batch_size=fast.HELD_OUT_EXAMPLES)
            (x,), (target,) = alone.batch(batch_key(plan.seed, HELD_OUT, np.array([k]), 0))
            for r, row in enumerate(rows[:, k]):
                final[r, k] = loss(plan.layout.W(row), plan.layout.b(row), x, source.importance[0], plan.activation,
                                   hidden=plan.hidden, target=target)
                bar.update()
    return final.reshape(theta.shape[:-1])


def constant_answer(plan):
    """The rows (1, ..., p) of the models that give the best answer which is the same for every example."""
    theta = np.zeros((1, *plan.source.stack, plan.layout.size), plan.dtype)
    plan.layout.b(theta)[...] = plan.source.mean_target()
    return theta


def judge(final, constant, steps):
    """Compare final losses with those of the best constant answer."""
    lost = ~np.isfinite(final)
    if lost.any():
        raise DivergenceError(
            f"model {_first(lost)} ended after step {steps} with loss {final[_first(lost)]} "
            f"({lost.sum()} of {lost.size} models); try a smaller learning_rate"
        )
    worse = (final > 1.5 * constant) & (constant > 0)
    if worse.any():
        model = _first(worse)
        raise DivergenceError(
            f"model {model} ended after step {steps} with loss {final[model]:.4g}, above 1.5 times that of the best "
            f"constant answer, {np.broadcast_to(constant, final.shape)[model]:.4g} "
            f"({worse.sum()} of {worse.size} models); try a smaller learning_rate or more steps"
        )
    idle = (final >= constant) & (constant > 0)
    if idle.any():
        names = ", ".join(str(tuple(int(i) for i in index)) for index in np.argwhere(idle)[:5])
        warnings.warn(
            f"{idle.sum()} of {idle.size} models ended no better than the best constant answer "
            f"(index in run.loss: {names}{', ...' if idle.sum() > 5 else ''}); try more restarts or steps",
            stacklevel=4,  # `train`, and what `told` has put around it
        )


def _first(mask):
    return tuple(int(i) for i in np.argwhere(mask)[0])
