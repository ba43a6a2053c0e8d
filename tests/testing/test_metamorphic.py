"""The metamorphic checks accept the models of minitms, and each refuses the mistakes that it is there to find."""

import numpy as np
import pytest
from hypothesis import given, settings

import minitms as tms
from minitms.testing import MetamorphicError, metamorphic, strategies
from minitms.weights import Weights


def with_activation(activation):
    return lambda W, b, x, importance: tms.loss_and_gradients(W, b, x, importance, activation)


@settings(deadline=None)
@given(strategies.models())
def test_the_models_pass(model):
    W, b, x, importance, activation = model
    metamorphic.check_all(with_activation(activation), W, b, x, importance)


def variant(chain):
    """The function that the checks want, of the model that a chain is; with a target, it takes one."""
    words = {"activation": chain.activation, "hidden": chain.hidden}
    if chain.target is None:
        return lambda W, b, x, importance: tms.loss_and_gradients(W, b, x, importance, **words)
    return lambda W, b, x, importance, t: tms.loss_and_gradients(W, b, x, importance, **words, target=t)


@settings(max_examples=200)
@given(strategies.chains())
def test_every_model_of_the_paper_passes(chain):
    W, b, x, importance, _, hidden, target = chain
    metamorphic.check_all(variant(chain), W, b, x, importance, target=target, hidden=hidden)
    metamorphic.check_tying(variant(chain), W, b, x, importance, target=target)


def test_the_models_pass_in_float32():
    W, b, x, importance = (array.astype(np.float32) for array in _model())
    metamorphic.check_all(with_activation("linear"), W, b, x, importance)
    chain = strategies.Chain(Weights(W, W[::-1] + 1), b, x, importance, "relu", "relu", abs(x))
    metamorphic.check_all(variant(chain), chain.W, b, x, importance, target=chain.target, hidden="relu")


def test_a_hidden_relu_has_axes_and_tied_weights_one_scale():
    """What does not hold is not asked for: by name it fails, or is refused."""
    chain = strategies.Chain(*_model(seed=2), "relu", "relu", None)
    metamorphic.check_all(variant(chain), *chain[:4], hidden="relu")
    with pytest.raises(MetamorphicError, match="rotating the hidden space"):
        metamorphic.check_all(variant(chain), *chain[:4])
    with pytest.raises(ValueError, match="expected a pair"):
        metamorphic.check_rescaling(variant(chain), *chain[:4])


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
    "neurons": [
        lambda W, b, x, weight, L, dW, db: (L, dW * np.arange(1, len(W) + 1)[:, None], db),    # neurons told apart
        lambda W, b, x, weight, L, dW, db: (L, np.sort(dW, axis=-2), db),                      # rows out of place
        lambda W, b, x, weight, L, dW, db: (L + W[0].sum(), dW, db),                           # a neuron singled out
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


PAIR_MISTAKES = {  # of (E, D), and of a tied W where `tying` looks at both
    "rescaling": [
        lambda W, L, dW, db: (L + (W[0] ** 2).sum() + (W[1] ** 2).sum(), dW, db),              # weight decay
        lambda W, L, dW, db: (L, (dW[1], dW[0]), db),                                          # exchanged
        lambda W, L, dW, db: (L, (dW[0] + dW[1], dW[0] + dW[1]), db),                          # as if tied
        lambda W, L, dW, db: (L, dW, db + W[0].sum()),                                         # the encoder in db
    ],
    "neurons": [lambda W, L, dW, db: (L, (dW[0] * [[1], [2]], dW[1]), db)],                    # neurons told apart
    "rotation": [lambda W, L, dW, db: (L, (dW[0], dW[1] + abs(W[1])), db)],                    # one of both penalised
    "tying": [
        lambda W, L, dW, db: (L, (dW[0], 2 * dW[1]), db),
        lambda W, L, dW, db: (L, (dW[0], dW[0]), db),
        lambda W, L, dW, db: (2 * L, dW, db),
    ],
}


def _wrong_pair(change):
    """`loss_and_gradients` of a linear model with one line changed where the weights are untied."""

    def function(W, b, x, importance):
        results = tms.loss_and_gradients(W, b, x, importance, "linear")
        return change(W, *results) if isinstance(W, tuple) else results

    return function


@pytest.mark.parametrize(
    ("name", "change"), [(name, change) for name in PAIR_MISTAKES for change in PAIR_MISTAKES[name]]
)
def test_planted_mistakes_in_a_pair_are_found(name, change):
    W, b, x, importance = _model()
    E, D = W, np.roll(W, 1, axis=-1) + 0.5
    check = getattr(metamorphic, f"check_{name}")

    check(with_activation("linear"), (E, D), b, x, importance)
    with pytest.raises(MetamorphicError):
        check(_wrong_pair(change), (E, D), b, x, importance)


def test_a_target_moves_with_its_examples_and_features():
    W, b, x, importance = _model()
    t = np.random.default_rng(1).uniform(size=x.shape)

    def with_fixed_target(W, b, x, importance, _):
        return tms.loss_and_gradients(W, b, x, importance, "linear", target=t[: len(x)])

    for name in ("permutation", "batch_additivity"):
        with pytest.raises(MetamorphicError):
            getattr(metamorphic, f"check_{name}")(with_fixed_target, W, b, x, importance, target=t)


@pytest.mark.parametrize("seed", range(20))
def test_a_permutation_moves_everything(seed):
    """One that leaves all in place would prove nothing, and of two neurons every second one does."""
    for size in (2, 3, 5):
        order = metamorphic._cycle(size, seed)
        assert sorted(order) == list(range(size))
        assert (order != np.arange(size)).all()


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
    with pytest.raises(TypeError, match=r"dW is an ndarray of float64; expected a pair"):
        metamorphic.check_rotation(lambda W, b, *_: (0.0, W.encoder, b), (W, W), b, x, importance)
    with pytest.raises(MetamorphicError, match=r"dW\.decoder has the wrong shape: got \(4, 2\), expected \(2, 4\)"):
        metamorphic.check_rotation(lambda W, b, *_: (0.0, (W.encoder, W.decoder.T), b), (W, W), b, x, importance)
    with pytest.raises(MetamorphicError, match=r"dW has the wrong shape: got \(2, 2, 4\)"):
        metamorphic.check_rotation(lambda W, b, *_: (0.0, Weights(W, W), b), W, b, x, importance)
    with pytest.raises(ValueError, match=r"target \(4,\) does not fit x \(6, 4\)"):
        metamorphic.check_neurons(with_activation("linear"), W, b, x, importance, target=x[0])
    with pytest.raises(ValueError, match="hidden is 'gelu'"):
        metamorphic.check_all(with_activation("linear"), W, b, x, importance, hidden="gelu")
    for change in (
        lambda W, b, x, weight, L, dW, db: (L, np.ma.masked_less(dW, 0), db),
        lambda W, b, x, weight, L, dW, db: (L, dW * 1j, db),
        lambda W, b, x, weight, L, dW, db: (L, dW.astype(int), db),
        lambda W, b, x, weight, L, dW, db: (L, dW.astype(str), db),
        lambda W, b, x, weight, L, dW, db: (L, None, db),
    ):
        with pytest.raises(TypeError, match="for dW; expected an array of floats"):
            metamorphic.check_rotation(_wrong(change), W, b, x, importance)
    for name, change in (
        ("dW.encoder", lambda W, L, dW, db: (L, (np.ma.masked_less(dW[0], 0), dW[1]), db)),
        ("dW.decoder", lambda W, L, dW, db: (L, (dW[0], dW[1] * 1j), db)),
        ("dW.decoder", lambda W, L, dW, db: (L, (dW[0], dW[1].astype(int)), db)),
        ("db", lambda W, L, dW, db: (L, dW, db.astype(str))),
        ("L", lambda W, L, dW, db: (None, dW, db)),
    ):
        with pytest.raises(TypeError, match=f"for {name}; expected an array of floats"):
            metamorphic.check_rotation(_wrong_pair(change), (W, W), b, x, importance)
    with pytest.raises(MetamorphicError, match="dW has the wrong shape"):
        metamorphic.check_rotation(_wrong(lambda W, b, x, weight, L, dW, db: (L, dW.T, db)), W, b, x, importance)


def test_tensors_of_pytorch_may_come_back():
    torch = pytest.importorskip("torch")

    def as_tensors(*model):
        return [torch.tensor(result, requires_grad=True) for result in with_activation("linear")(*model)]

    metamorphic.check_all(as_tensors, *_model())
