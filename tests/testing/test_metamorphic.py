"""The metamorphic checks accept the models of minitms, and each refuses the mistakes that it is there to find."""

import numpy as np
import pytest
from hypothesis import given, settings

import minitms as tms
from minitms.testing import MetamorphicError, metamorphic, strategies


def with_activation(activation):
    return lambda W, b, x, importance: tms.loss_and_gradients(W, b, x, importance, activation)


@settings(deadline=None)
@given(strategies.models())
def test_the_models_pass(model):
    W, b, x, importance, activation = model
    metamorphic.check_all(with_activation(activation), W, b, x, importance)


def test_the_models_pass_in_float32():
    W, b, x, importance = (array.astype(np.float32) for array in _model())
    metamorphic.check_all(with_activation("linear"), W, b, x, importance)


def _model(seed=0, m=2, n=4, batch=6):
    random = np.random.default_rng(seed)
    return random.normal(size=(m, n)), random.normal(size=n), random.uniform(size=(batch, n)), random.uniform(0.5, 2, n)


def _wrong(change):
    """`loss_and_gradients` of a linear model with one line changed."""

    def function(W, b, x, importance):
        return change(W, b, x, importance, *tms.loss_and_gradients(W, b, x, importance, "linear"))

    return function


MISTAKES = {
    "permutation": [
        lambda W, b, x, weight, L, dW, db: (L, dW * np.arange(1, W.shape[-1] + 1), db),        # features told apart
        lambda W, b, x, weight, L, dW, db: (L, np.roll(dW, 1, axis=-1), db),                   # shifted columns
        lambda W, b, x, weight, L, dW, db: (L + b[..., 0], dW, db),                            # a feature singled out
    ],
    "rotation": [
        lambda W, b, x, weight, L, dW, db: (L, dW[..., ::-1, :], db),                          # neurons in reverse
        lambda W, b, x, weight, L, dW, db: (L, dW + np.abs(W), db),                            # not in the span
        lambda W, b, x, weight, L, dW, db: (L + np.abs(W).sum(), dW, db),                      # an L1 penalty
    ],
    "importance_scaling": [
        lambda W, b, x, weight, L, dW, db: (L, dW * weight.mean(), db),                             # importance twice
        lambda W, b, x, weight, L, dW, db: (L, dW, db + b),                                    # weight decay in db
        lambda W, b, x, weight, L, dW, db: (L + (W**2).sum(), dW, db),                         # ... in the loss
    ],
    "batch_additivity": [
        lambda W, b, x, weight, L, dW, db: (L, dW, db * x.shape[-2]),                          # sum in place of mean
        lambda W, b, x, weight, L, dW, db: (L, dW * x.shape[-2] / (x.shape[-2] + 1), db),      # off by one
        lambda W, b, x, weight, L, dW, db: (L, dW * (1 + x[..., 0, 0]), db),                   # an example singled out
    ],
    "stacking": [
        lambda W, b, x, weight, L, dW, db: (L, dW, np.broadcast_to(db.mean(axis=0), db.shape) if db.ndim > 1 else db),
        lambda W, b, x, weight, L, dW, db: (L, dW[::-1] if dW.ndim > 2 else dW, db),           # models exchanged
        lambda W, b, x, weight, L, dW, db: (np.broadcast_to(L.mean(), L.shape), dW, db),       # losses mixed
    ],
}


@pytest.mark.parametrize(("name", "change"), [(name, change) for name in MISTAKES for change in MISTAKES[name]])
def test_planted_mistakes_are_found(name, change):
    check = getattr(metamorphic, f"check_{name}")
    check(with_activation("linear"), *_model())
    with pytest.raises(MetamorphicError):
        check(_wrong(change), *_model())


def test_the_message_names_property_result_and_entry():
    with pytest.raises(MetamorphicError, match=r"batch of 6 .* but db\[\d\] is .*expected .* \(4 of 4 entries"):
        metamorphic.check_batch_additivity(_wrong(MISTAKES["batch_additivity"][0]), *_model())


def test_nan_is_not_equal_to_anything():
    with pytest.raises(MetamorphicError, match=r"dW\[0, 0\] is nan"):
        metamorphic.check_importance_scaling(_wrong(lambda W, b, x, weight, L, dW, db: (L, dW * np.nan, db)), *_model())


def test_bad_input():
    W, b, x, importance = _model()
    with pytest.raises(ValueError, match="at least 2, to split"):
        metamorphic.check_batch_additivity(with_activation("linear"), W, b, x[:1], importance)
    with pytest.raises(ValueError, match="expected one model"):
        metamorphic.check_rotation(with_activation("linear"), W[None], b, x, importance)
    with pytest.raises(TypeError, match="three results"):
        metamorphic.check_rotation(lambda *model: 1.0, W, b, x, importance)
    with pytest.raises(MetamorphicError, match="dW has the wrong shape"):
        metamorphic.check_rotation(_wrong(lambda W, b, x, weight, L, dW, db: (L, dW.T, db)), W, b, x, importance)
