"""What `model.py` is given, checked before any work."""

from __future__ import annotations

import numpy as np

from minitms import _checks
from minitms.weights import both, checked, each


def arrays(functions, W, b, x, importance, target, activation, hidden):
    """Check words and shapes before any work, and bring all arrays to one dtype.

    `functions` has the words that have a formula. The target comes back as an array, and the importance as
    (..., 1, n), so that it meets a batch (..., batch, n).
    """
    _checks.choice("activation", activation, tuple(functions))
    _checks.choice("hidden", hidden, tuple(functions))
    W, b, x = checked(W), _checks.real_array("b", b), _checks.real_array("x", x)
    t = x if target is None else _checks.real_array("target", target)
    E, _ = both(W)
    shapes = f"got W {E.shape}, b {b.shape}, x {x.shape}; expected W (..., m, n), b (..., n), x (..., batch, n)"
    if E.ndim < 2 or b.ndim < 1 or x.ndim < 2:
        raise ValueError(f"{shapes}" + (": one example is written x[None, :]" if x.ndim == 1 else ""))
    if not E.shape[-1] == b.shape[-1] == x.shape[-1]:
        raise ValueError(f"the last axes differ: {shapes}")
    if x.shape[-2] == 0:
        raise ValueError(f"the batch is empty: {shapes}, batch at least 1")
    if t.shape[-2:] != x.shape[-2:]:
        raise ValueError(f"target {t.shape} does not fit x {x.shape}; expected (..., batch, n), a target a value")
    dtype = np.result_type(*both(W), b, x, t)
    importance = _checks.per_feature("importance", importance, E.shape[-1])
    importance = _checks.fits("importance", importance, dtype)[..., None, :]
    try:
        np.broadcast_shapes(E.shape[:-2], b.shape[:-1], x.shape[:-2], t.shape[:-2], importance.shape[:-2])
    except ValueError:
        others = f"target {t.shape}, importance {importance[..., 0, :].shape}"
        raise ValueError(f"the leading axes do not broadcast: {shapes}; {others}") from None
    W = each(lambda array: array.astype(dtype, copy=False), W)
    b, x, t = (array.astype(dtype, copy=False) for array in (b, x, t))
    return W, b, x, importance, t
