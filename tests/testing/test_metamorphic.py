"""The metamorphic checks accept the models of minitms, and each refuses the mistakes that it is there to find."""

from itertools import product

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


# ------------------------------------------------------------------------------------- however results are handed over


def in_the_same_memory(function):
    """As compiled code does that is given `out`: results of one shape are always written to the same array."""
    memory = {}

    def written(name, result):
        out = memory.setdefault((name, np.shape(result)), np.empty(np.shape(result)))
        out[...] = result
        return out

    def called(*model):
        L, dW, db = function(*model)
        pair = isinstance(dW, tuple)
        dW = tuple(map(written, ("encoder", "decoder"), dW)) if pair else written("W", dW)
        return written("L", L), dW, written("b", db)

    return called


@pytest.mark.parametrize("name", MISTAKES)
def test_results_in_the_same_memory_are_not_compared_with_themselves(name):
    check = getattr(metamorphic, f"check_{name}")
    check(in_the_same_memory(with_activation("linear")), *_model())
    for change in MISTAKES[name]:
        with pytest.raises(MetamorphicError):
            check(in_the_same_memory(_wrong(change)), *_model())


@pytest.mark.parametrize("name", [*PAIR_MISTAKES, "batch_additivity", "permutation", "importance_scaling", "stacking"])
def test_pairs_in_the_same_memory_are_not_compared_with_themselves(name):
    W, b, x, importance = _model()
    W = W, np.roll(W, 1, axis=-1) + 0.5
    check = getattr(metamorphic, f"check_{name}")
    check(in_the_same_memory(with_activation("linear")), W, b, x, importance)
    # Of every problem another multiple, so that no two of them fit each other.
    unlike = [lambda W, L, dW, db: (L, tuple(np.sin(1e6 * (L.sum() + W[0].flat[0])) * part for part in dW), db)]
    for change in PAIR_MISTAKES.get(name, unlike):
        with pytest.raises(MetamorphicError):
            check(in_the_same_memory(_wrong_pair(change)), W, b, x, importance)


def test_arguments_come_in_c_order_as_compiled_code_counts_on():
    def counts_on_it(*model):
        parts = [part for array in model for part in (array if isinstance(array, tuple) else [array])]
        assert all(part.flags.c_contiguous for part in parts)
        return with_activation("linear")(*model)

    W, b, x, importance = _model()
    for weights in (W, np.asfortranarray(W), (W, np.asfortranarray(W[::-1]))):
        metamorphic.check_all(counts_on_it, weights, b, np.asfortranarray(x), importance)
    metamorphic.check_tying(counts_on_it, np.asfortranarray(W), b, x, importance)


# ------------------------------------------------------------------------------------------------------------- rounding

CHECKS = [*MISTAKES, "rescaling", "tying"]


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("pair", [True, False])
def test_the_right_function_passes_in_every_mixture_of_dtypes(name, pair):
    """And it gets what it is given in the dtypes in which it is given, the importance in the widest of these."""
    if name == "rescaling" and not pair:
        return
    W, b, x, importance = _model(seed=5)
    arrays = [*([W, np.roll(W, 1, axis=-1) + 0.5] if pair else [W]), b, x, importance, abs(x - 0.3)]
    for dtypes in product([np.float32, np.float64], repeat=len(arrays)):
        *W, b, x, importance, t = map(np.ndarray.astype, arrays, dtypes)
        seen = []

        def function(W, b, x, importance, t):
            parts = *(W if isinstance(W, tuple) else [W]), b, x, importance, t
            seen.append([part.dtype for part in parts])  # noqa: B023
            return tms.loss_and_gradients(W, b, x, importance, "linear", target=t)

        getattr(metamorphic, f"check_{name}")(function, tuple(W) if pair else W[0], b, x, importance, target=t)
        widest = max([*dtypes[:-2], dtypes[-1]], key=lambda dtype: np.dtype(dtype).itemsize)
        if name != "tying":
            assert all(each == [*dtypes[:-2], widest, dtypes[-1]] for each in seen)


@pytest.mark.parametrize("single", ["W", "b", "x"])
@pytest.mark.parametrize(("name", "change"), [(name, change) for name in MISTAKES for change in MISTAKES[name]])
def test_planted_mistakes_are_found_in_mixed_dtypes(name, change, single):
    W, b, x, importance = _model()
    mixed = [array.astype(np.float32) if place == single else array for place, array in (("W", W), ("b", b), ("x", x))]
    with pytest.raises(MetamorphicError):
        getattr(metamorphic, f"check_{name}")(_wrong(change), *mixed, importance)


def test_a_function_may_work_in_the_dtype_of_any_array_or_return_it():
    """Whatever the rest is: then nothing is more exact than that."""
    W, b, x, importance = _model()

    def in_single(*model):
        L, dW, db = with_activation("linear")(*(np.asarray(array, np.float32) for array in model))
        return float(L) if L.ndim == 0 else L.astype(float), dW.astype(float), db.astype(float)

    def back_in_single(*model):
        return [np.asarray(result, np.float32) for result in with_activation("linear")(*model)]

    for name in MISTAKES:
        getattr(metamorphic, f"check_{name}")(in_single, W, b, x.astype(np.float32), importance)
        getattr(metamorphic, f"check_{name}")(back_in_single, W, b, x, importance)
        with pytest.raises(MetamorphicError):  # in float64 alone, to 4e-11
            metamorphic.check_rotation(in_single, W, b, x, importance)


@pytest.mark.parametrize("off", [0.0, 1e-6, 1e-9])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_model_that_is_right_to_within_rounding_passes(off, dtype):
    """Then y - t is rounding alone, of the size of what cancels, and so are L and the gradients."""
    random = np.random.default_rng(0)
    E, _ = np.linalg.qr(random.normal(size=(4, 4)))
    x, W = random.uniform(size=(6, 4)).astype(dtype), (E + off * random.normal(size=E.shape)).astype(dtype)
    model = np.zeros(4, dtype), x, np.arange(1, 5, dtype=dtype)
    metamorphic.check_all(with_activation("linear"), W, *model)
    metamorphic.check_all(with_activation("linear"), (2 * W, W / 2), *model)
    metamorphic.check_tying(with_activation("linear"), W, *model)


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


@pytest.mark.parametrize("what", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_equal_to_anything(what):
    for name in MISTAKES:
        with pytest.raises(MetamorphicError, match=rf"dW\[(0, )?0, 0\] is {what}; expected finite numbers"):
            getattr(metamorphic, f"check_{name}")(
                _wrong(lambda W, b, x, weight, L, dW, db: (L, np.full(dW.shape, what), db)), *_model()
            )


# ------------------------------------------------------------------------------------------------------ what is refused


def never(*model):
    raise AssertionError("called with bad input")


MODEL = dict(zip(("W", "b", "x", "importance"), _model(), strict=True))
REFUSED = [
    ({"importance": np.ones(5)}, ValueError, r"importance has shape \(5,\); expected a number, or \(4,\) for one"),
    ({"importance": np.ones((4, 1))}, ValueError, r"importance has shape \(4, 1\); expected a number, or \(4,\)"),
    ({"importance": np.ones((1, 4))}, ValueError, r"importance has shape \(1, 4\)"),
    ({"importance": np.ones(1)}, ValueError, r"importance has shape \(1,\)"),
    ({"W": np.ones((0, 4))}, ValueError, r"got W \(0, 4\), .* where m, n and batch are at least 1"),
    ({"W": np.ones((2, 0)), "b": np.ones(0), "x": np.ones((6, 0))}, ValueError, r"got W \(2, 0\), .* where m, n and"),
    ({"x": np.ones((0, 4))}, ValueError, r"x \(0, 4\); .* where m, n and batch are at least 1"),
    ({"W": np.full((2, 4), np.nan)}, ValueError, r"(W|the encoder) holds nan at index \(0, 0\) \(8 such entries\)"),
    ({"b": np.array([0, np.inf, 0, 0])}, ValueError, r"b holds inf at index \(1,\)"),
    ({"x": np.full((6, 4), np.nan)}, ValueError, r"x holds nan at index \(0, 0\)"),
    ({"importance": np.array([1, 1, 1, -np.inf])}, ValueError, r"importance holds -inf at index \(3,\)"),
    ({"importance": np.nan}, ValueError, r"importance holds nan"),
    ({"target": np.full((6, 4), np.nan)}, ValueError, r"target holds nan at index \(0, 0\)"),
    ({"target": np.ones(4)}, ValueError, r"target \(4,\) does not fit x \(6, 4\)"),
    ({"W": np.ones((1, 2, 4))}, ValueError, r"expected one model: W \(m, n\)"),
    ({"loss_and_gradients": 3}, TypeError, r"loss_and_gradients is 3; expected a function of W, b, x and importance"),
    ({"loss_and_gradients": None}, TypeError, r"loss_and_gradients is None; expected a function"),
]


@pytest.mark.parametrize(("change", "error", "said"), REFUSED)
@pytest.mark.parametrize("name", [*CHECKS, "all"])
def test_bad_input_is_refused_before_any_call(name, change, error, said):
    model = {"loss_and_gradients": never, **MODEL, **change}
    if name == "rescaling":
        model["W"] = model["W"], model["W"]
    with pytest.raises(error, match=said):
        getattr(metamorphic, f"check_{name}")(**model)


def test_a_decoder_that_is_not_finite_is_named():
    W = MODEL["W"]
    with pytest.raises(ValueError, match=r"the decoder holds inf at index \(0, 0\)"):
        metamorphic.check_all(**MODEL | {"loss_and_gradients": never, "W": (W, W * np.inf)})


def test_drawn_models_of_one_feature_or_neuron_have_nothing_to_permute():
    W, b, x, importance = MODEL.values()
    metamorphic.check_permutation(with_activation("linear"), W[:, :1], b[:1], x[:, :1], importance[:1])
    metamorphic.check_neurons(with_activation("linear"), W[:1], b, x, importance)


def test_what_would_check_nothing_is_refused():
    W, b, x, importance = MODEL.values()
    with pytest.raises(ValueError, match="x has 1 example; expected at least 2, to split the batch"):
        metamorphic.check_batch_additivity(never, W, b, x[:1], importance)
    with pytest.raises(ValueError, match="models is 1; expected at least 2"):
        metamorphic.check_stacking(never, W, b, x, importance, models=1)
    with pytest.raises(ValueError, match="tied weights cannot be rescaled"):
        metamorphic.check_rescaling(never, W, b, x, importance)


@pytest.mark.parametrize(
    ("factor", "error", "said"),
    [
        (1, ValueError, "factor is 1.0, no change beyond rounding; expected one above 0 and not 1, such as 3"),
        (1 + 1e-14, ValueError, "no change beyond rounding"),
        (0, ValueError, "factor is 0; expected a finite number above 0"),
        (-2.0, ValueError, "factor is -2.0; expected a finite number above 0"),
        (np.nan, ValueError, "factor is nan; expected a finite number above 0"),
        (np.inf, ValueError, "factor is inf; expected a finite number above 0"),
        (True, TypeError, "factor is True"),
        ("3", TypeError, "factor is '3'"),
        (1.7e308, ValueError, r"factor \* importance is inf where it is largest"),
    ],
)
def test_the_factor_of_the_importance_changes_something(factor, error, said):
    with pytest.raises(error, match=said):
        metamorphic.check_importance_scaling(never, **MODEL, factor=factor)


def test_the_factor_fits_the_dtype():
    single = [array.astype(np.float32) for array in MODEL.values()]
    for factor, said in ((1e40, "range of float32"), (1e-60, "range of float32"), (1 + 1e-6, "beyond rounding")):
        with pytest.raises(ValueError, match=said):
            metamorphic.check_importance_scaling(never, *single, factor=factor)


@pytest.mark.parametrize("factor", [1e-12, 0.5, 1.01, 1e12])
def test_every_other_factor_sees_an_importance_that_is_left_out(factor):
    metamorphic.check_importance_scaling(with_activation("linear"), **MODEL, factor=factor)
    with pytest.raises(MetamorphicError):
        metamorphic.check_importance_scaling(
            lambda W, b, x, importance: tms.loss_and_gradients(W, b, x, np.ones(4), "linear"), **MODEL, factor=factor
        )


def test_the_smallest_problem_has_checks_that_hold():
    """Additivity needs two examples and is left out, and the others are made."""
    calls = []

    def counted(*model):
        calls.append(model)
        return with_activation("linear")(*model)

    metamorphic.check_all(counted, [[0.7]], [0.2], [[0.5]], 2.0)
    assert len(calls) == 4 * 2 + 4  # permutation, neurons, rotation, importance, and a stack of three


@pytest.mark.parametrize("seed", range(20))
def test_one_neuron_is_rotated_to_its_reflection(seed):
    """The only rotation of a line besides the identity, which would prove nothing."""
    uneven = _wrong(lambda W, b, x, weight, L, dW, db: (L + W.sum(), dW, db))
    W, *model = _model(m=1)
    metamorphic.check_rotation(with_activation("linear"), W, *model, seed=seed)
    with pytest.raises(MetamorphicError, match="rotating the hidden space"):
        metamorphic.check_rotation(uneven, W, *model, seed=seed)


@pytest.mark.parametrize("seed", range(20))
def test_rescaling_changes_every_neuron(seed):
    seen = []

    def function(W, *model):
        seen.append(W.encoder)
        return with_activation("linear")(W, *model)

    W, *model = MODEL.values()
    metamorphic.check_rescaling(function, (W, W), *model, seed=seed)
    assert (abs(np.log(seen[1] / seen[0])) > 0.2).all()


def test_bad_results_and_words():
    W, b, x, importance = _model()
    with pytest.raises(TypeError, match="three results"):
        metamorphic.check_rotation(lambda *model: 1.0, W, b, x, importance)
    with pytest.raises(TypeError, match=r"dW is an ndarray of float64; expected a pair"):
        metamorphic.check_rotation(lambda W, b, *_: (0.0, W.encoder, b), (W, W), b, x, importance)
    with pytest.raises(MetamorphicError, match=r"dW\.decoder has the wrong shape: got \(4, 2\), expected \(2, 4\)"):
        metamorphic.check_rotation(lambda W, b, *_: (0.0, (W.encoder, W.decoder.T), b), (W, W), b, x, importance)
    with pytest.raises(MetamorphicError, match=r"dW has the wrong shape: got \(2, 2, 4\)"):
        metamorphic.check_rotation(lambda W, b, *_: (0.0, Weights(W, W), b), W, b, x, importance)
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
