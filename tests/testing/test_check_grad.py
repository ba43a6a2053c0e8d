"""`check_grad` against planted mistakes, correct gradients at awkward places, kinks, and bad input."""

import contextlib
import warnings
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minitms as tms
from minitms.testing import GradientError, NotDifferentiableError, UnresolvedWarning, check_grad, strategies


@pytest.fixture(params=["relu", "linear"])
def model(request):
    return _model(request.param)


def _model(activation, m=3, n=5, batch=6, seed=117):
    random = np.random.default_rng(seed)
    params = {"W": random.normal(size=(m, n)), "b": random.normal(size=n)}
    x = random.uniform(size=(batch, n)) * (random.uniform(size=(batch, n)) < 0.6)
    importance = random.uniform(0.5, 2, n)

    def loss(p):
        return tms.loss(p["W"], p["b"], x, importance, activation)

    def gradient(p):
        return dict(zip("Wb", tms.backward(p["W"], p["b"], x, importance, activation), strict=True))

    def kinks(p):
        return tms.forward(p["W"], p["b"], x, "linear")

    def by_hand(p, dy=1.0, mask=True, encode=1.0, decode=1.0):
        """The gradient with weights on its parts."""
        W, b = p["W"], p["b"]
        z = x @ W.T @ W + b
        masked = activation == "relu"
        dz = dy * 2 * importance * ((np.maximum(z, 0) if masked else z) - x) / batch
        dz = dz * (z > 0) if masked and mask else dz
        return {"W": decode * (x @ W.T).T @ dz + encode * (dz @ W.T).T @ x, "b": dz.sum(0)}

    return loss, gradient, params, kinks if activation == "relu" else None, by_hand


@given(strategies.models(stack=strategies.stacks(max_dims=1)))
def test_the_models_of_minitms_pass(model):
    W, b, x, importance, activation = model
    check_grad(
        lambda p: tms.loss(*p, x, importance, activation).sum(),
        lambda p: tms.backward(*p, x, importance, activation),
        (W, b),
        kinks=model.pre_activations,
    )


def test_report(model):
    loss, gradient, params, kinks, _ = model
    report = check_grad(loss, gradient, params, kinks=kinks)
    assert report.ok
    assert report.max_error < 1e-9
    assert [outcome.name for outcome in report.outcomes] == ["W", "b"]
    assert all(0 < outcome.step < 1 and outcome.resolved for outcome in report.outcomes)
    assert str(report.evaluations) in str(report)
    assert "W " in str(report)
    assert str(check_grad(loss, gradient, params, kinks=kinks)) == str(report)
    assert str(check_grad(loss, gradient, params, kinks=kinks, seed=1)) != str(report)


PLANTED = [
    ("W", "path", lambda p, right, by_hand: by_hand(p, encode=0)),
    ("W", "path", lambda p, right, by_hand: by_hand(p, decode=0)),
    ("W", "path", lambda p, right, by_hand: by_hand(p, decode=2)),
    ("W", "path", lambda p, right, by_hand: by_hand(p, decode=-1)),
    ("W", "path", lambda p, right, by_hand: by_hand(p, decode=1.001)),
    ("W", "path", lambda p, right, by_hand: by_hand(p, decode=2, encode=0)),
    ("Wb", "factor", lambda p, right, by_hand: by_hand(p, dy=2)),
    ("Wb", "factor", lambda p, right, by_hand: by_hand(p, dy=0.5)),
    ("Wb", "factor", lambda p, right, by_hand: by_hand(p, dy=6)),
    ("Wb", "factor", lambda p, right, by_hand: by_hand(p, dy=1 / 6)),
    ("Wb", "factor", lambda p, right, by_hand: by_hand(p, dy=1.001)),
    ("Wb", "sign", lambda p, right, by_hand: by_hand(p, dy=-1)),
    ("Wb", "zero", lambda p, right, by_hand: by_hand(p, dy=0)),
    ("b", "zero", lambda p, right, by_hand: {**right, "b": 0 * right["b"]}),
    ("b", "sign", lambda p, right, by_hand: {**right, "b": -right["b"]}),
    ("b", "order", lambda p, right, by_hand: {**right, "b": right["b"][::-1]}),
    ("W", "order", lambda p, right, by_hand: {**right, "W": np.roll(right["W"], 1, axis=1)}),
    ("W", "transpose", lambda p, right, by_hand: {**right, "W": right["W"].T.reshape(3, 5)}),
    ("W", "shape", lambda p, right, by_hand: {**right, "W": right["W"].T}),
    ("W", "decay", lambda p, right, by_hand: {**right, "W": right["W"] - 0.01 * p["W"]}),
    ("W", "signs", lambda p, right, by_hand: {**right, "W": np.abs(right["W"])}),
    ("W", "entry", lambda p, right, by_hand: {**right, "W": _times(right["W"], (1, 3), 1.001)}),
    ("W", "slice", lambda p, right, by_hand: {**right, "W": _times(right["W"], (slice(None), 2), 1.001)}),
    ("W", "not finite", lambda p, right, by_hand: {**right, "W": _times(right["W"], (1, 3), np.nan)}),
    ("W", None, lambda p, right, by_hand: {**right, "W": right["W"] ** 2}),
    ("b", None, lambda p, right, by_hand: {**right, "b": right["b"] + 0.1 * np.arange(5)}),
]


def _times(array, index, factor):
    array = array.copy()
    array[index] *= factor
    return array


@pytest.mark.parametrize(("names", "hint", "mistake"), PLANTED)
def test_planted_mistakes_fail_with_the_right_hint(model, names, hint, mistake):
    loss, gradient, params, kinks, by_hand = model
    with pytest.raises(GradientError) as caught:
        check_grad(loss, lambda p: mistake(p, gradient(p), by_hand), params, kinks=kinks)
    assert caught.value.hints == ({} if hint is None else dict.fromkeys(names, hint))
    assert caught.value.parameter in names


def test_a_missing_mask_is_named():
    loss, _, params, kinks, by_hand = _model("relu")
    with pytest.raises(GradientError, match="mask") as caught:
        check_grad(loss, lambda p: by_hand(p, mask=False), params, kinks=kinks)
    assert caught.value.hints == {"W": "mask", "b": "mask"}
    with pytest.raises(GradientError) as caught:  # nobody told where the kinks are: no guess
        check_grad(loss, lambda p: by_hand(p, mask=False), params)
    assert "mask" not in str(caught.value)


def test_one_number_is_no_pattern():
    """A single entry is always some multiple of the right one: only a telling multiple is named."""
    for factor, hint in ((1.3, None), (2.0, "factor"), (0.5, "factor"), (-1.0, "sign")):
        with pytest.raises(GradientError) as caught:
            check_grad(lambda p: (p**2).sum(), lambda p: factor * 2 * p, np.array([3.0]))  # noqa: B023
        assert caught.value.hints == ({"p": hint} if hint else {})


def test_swapped_gradients_are_named():
    params = (np.array([1.0, 2.0, -3.0]), np.array([0.5, -1.5, 2.5]))
    with pytest.raises(GradientError) as caught:
        check_grad(lambda p: (p[0] ** 3 * p[1]).sum(), lambda p: (p[0] ** 3, 3 * p[0] ** 2 * p[1]), params)
    assert caught.value.hints == {"p[0]": "swapped", "p[1]": "swapped"}


def test_a_transpose_in_a_square_matrix_is_named():
    A = np.random.default_rng(0).normal(size=(4, 4))
    with pytest.raises(GradientError, match="transposed") as caught:
        check_grad(lambda W: (A * W**2).sum(), lambda W: (2 * A * W).T, A[::-1] + 1)
    assert caught.value.hints == {"W": "transpose"}


def test_the_message():
    loss, gradient, params, _, _ = _model("linear")
    with pytest.raises(GradientError) as caught:
        check_grad(loss, lambda p: {**gradient(p), "W": _times(gradient(p)["W"], (1, 3), 1.01)}, params, seed=7)
    error, lines = caught.value, str(caught.value).splitlines()
    assert error.index == (1, 3)
    assert error.analytic == pytest.approx(1.01 * gradient(params)["W"][1, 3], rel=1e-12)
    assert error.numeric == pytest.approx(gradient(params)["W"][1, 3], rel=1e-8)
    assert lines[0].startswith("gradient by W is wrong at W[1, 3]: analytic ")
    assert "only W[1, 3] is wrong" in lines[0]
    assert lines[4].startswith("  [1, 3] ")
    assert lines[4].split()[-1] == "1.01"
    assert len(lines) == 10  # the headline, W's slope and count, the header, five entries, what is right
    assert "right: b; seed 7" in lines[-1]


def test_one_wrong_entry_among_ten_thousand_is_found():
    random = np.random.default_rng(0)
    w, p = random.normal(size=(100, 100)), random.normal(size=(100, 100))

    def loss(p):
        return (w * np.sin(p)).sum()

    check_grad(loss, lambda p: w * np.cos(p), p)
    with pytest.raises(GradientError, match=r"only p\[37, 11\] is wrong") as caught:
        check_grad(loss, lambda p: _times(w * np.cos(p), (37, 11), 1.001), p)
    assert caught.value.index == (37, 11)


@pytest.mark.parametrize("parameter_scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("loss_scale", [1e-12, 1.0, 1e12])
def test_scales(model, parameter_scale, loss_scale):
    """The tolerance follows: right gradients pass at every scale, and 0.1 % too much fails."""
    loss, gradient, params, kinks, _ = model

    def original(p):
        return {key: value / parameter_scale for key, value in p.items()}

    def check(factor):
        check_grad(
            lambda p: loss_scale * loss(original(p)),
            lambda p: {k: factor * loss_scale / parameter_scale * v for k, v in gradient(original(p)).items()},
            {key: value * parameter_scale for key, value in params.items()},
            kinks=kinks and (lambda p: kinks(original(p))),
        )

    check(1.0)
    with pytest.raises(GradientError) as caught:
        check(1.001)
    assert caught.value.hints == {"W": "factor", "b": "factor"}


@pytest.mark.parametrize("i", range(44))
def test_correct_gradients_at_awkward_places_pass(i):
    from tests.benchmarks.gradient_cases import correct_case

    case = correct_case(i)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_grad(case.loss, case.gradient, case.params, kinks=case.kinks).ok


@pytest.mark.parametrize("seed", range(20))
def test_at_a_minimum_rounding_is_no_error(seed):
    """Where the slope cancels to 0, what is left is the rounding of params + t v on the slopes around."""
    random = np.random.default_rng(seed)
    target = 10.0 ** random.integers(-6, 7) * random.normal(size=int(10 ** random.uniform(0, 3)))
    scale = 1 / 3
    check_grad(lambda p: ((p / scale - target) ** 2).sum(), lambda p: 2 * (p / scale - target) / scale, target * scale)


def test_each_entry_is_tried_on_its_own_scale():
    """An error in the entry that takes large steps only: small steps for all cannot see it."""
    p = np.array([1e-6, 1.0, 1e6])
    check_grad(lambda p: np.log(p).sum(), lambda p: 1 / p, p)
    with pytest.raises(GradientError) as caught:
        check_grad(lambda p: np.log(p).sum(), lambda p: _times(1 / p, 2, 1.001), p)
    assert caught.value.index == (2,)


def test_tiny_parameters_may_live_on_the_scale_of_one():
    p = np.array([1e-12, -2e-12])
    assert check_grad(lambda p: 1 + np.sin(p).sum(), np.cos, p).outcomes[0].step > 1e-6
    with pytest.raises(GradientError):
        check_grad(lambda p: 1 + np.sin(p).sum(), lambda p: 1.001 * np.cos(p), p)


C1 = [
    ("ReLU squared", lambda p: (np.maximum(p, 0) ** 2).sum(), lambda p: 2 * np.maximum(p, 0)),
    ("Huber", lambda p: np.where(np.abs(p) < 1, p**2 / 2, np.abs(p) - 0.5).sum(), lambda p: np.clip(p, -1, 1)),
    ("expected loss", lambda p: tms.expected_loss(np.array([[1.0, -0.5]]), p, 0.5),
     lambda p: tms.expected_gradients(np.array([[1.0, -0.5]]), p, 0.5)[1]),
]  # fmt: skip


@pytest.mark.parametrize(("loss", "gradient"), [row[1:] for row in C1], ids=[row[0] for row in C1])
@pytest.mark.parametrize("p", [[0.0, 0.0], [0.0, 1.0], [1e-9, -1e-9], [1.0, -1.0], [0.7, 0.0]], ids=str)
def test_jumps_of_the_curvature_are_no_kinks(loss, gradient, p):
    p = np.array(p)
    check_grad(loss, gradient, p)
    check_grad(loss, gradient, p, kinks=lambda p: p)
    if gradient(p).any():
        with pytest.raises(GradientError):
            check_grad(loss, lambda p: 1.001 * gradient(p), p)


KINKED = [
    ("ReLU", lambda p: np.maximum(p, 0).sum(), lambda p: (p > 0) * 1.0),
    ("absolute", lambda p: np.abs(p).sum(), np.sign),
    ("leaky", lambda p: np.where(p > 0, p, 0.1 * p).sum(), lambda p: np.where(p > 0, 1, 0.1)),
]


@pytest.mark.parametrize(("loss", "gradient"), [row[1:] for row in KINKED], ids=[row[0] for row in KINKED])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_kinks_are_told_from_errors(loss, gradient, scale):
    at, off = scale * np.array([0.5, 0.0, -0.5]), scale * np.array([0.5, 1e-3, -0.5])
    for kinks, said in ((None, r"p\[1\]"), (lambda p: p, r"kinks\[1\]")):
        with pytest.raises(NotDifferentiableError, match=said) as caught:
            check_grad(loss, gradient, at, kinks=kinks)
        assert caught.value.index == (1,)
        check_grad(loss, gradient, off, kinks=kinks)
        with pytest.raises(GradientError):
            check_grad(loss, lambda p: 1.001 * gradient(p), off, kinks=kinks)
    assert not issubclass(NotDifferentiableError, AssertionError)


DEAD = [
    ("ReLU", lambda p: np.maximum(p, 0).sum()),
    ("ReLU squared", lambda p: (np.maximum(p, 0) ** 2).sum()),
    ("ReLU above a constant", lambda p: 7 + np.maximum(p, 0).sum()),
    ("clipped", lambda p: np.clip(p, 0, 0.25 * np.abs(p).max()).sum()),
    ("ReLU in float32", lambda p: float(np.maximum(p.astype(np.float32), 0).sum())),
]


@pytest.mark.parametrize("loss", [row[1] for row in DEAD], ids=[row[0] for row in DEAD])
@pytest.mark.parametrize("tell", [False, True])
@pytest.mark.parametrize("p", [[-1.0], [-1e-3], [-1e6], [-0.5, -1.0, -2.0], [-1e-3, -1.0]], ids=str)
def test_where_the_loss_is_flat_only_zero_is_right(loss, p, tell):
    """Far steps cross a kink; the near ones, on which the loss does not change at all, say that the slope is 0."""
    p, kinks = np.array(p), (lambda p: p) if tell else None
    assert check_grad(loss, np.zeros_like, p, kinks=kinks).outcomes[0].resolved
    for claim in (1e-5, 1e-3, 0.3, 1.0, -1.0):
        with pytest.raises(GradientError) as caught:
            check_grad(loss, lambda p: np.full_like(p, claim), p, kinks=kinks)  # noqa: B023
        assert caught.value.numeric == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("distance", [1e-3, 1e-6, 3e-9])
def test_a_flat_loss_is_seen_close_to_a_kink(distance):
    def loss(p):
        return np.maximum(p - 1 - distance, 0).sum()

    check_grad(loss, np.zeros_like, np.ones(3))
    with pytest.raises(GradientError):
        check_grad(loss, lambda p: np.full_like(p, 1e-3), np.ones(3))


@pytest.mark.parametrize("claim", [1e-6, 1e-3, 0.1, 1.0])
@pytest.mark.parametrize("tell", [False, True])
def test_a_dead_output_whose_mask_is_missing_is_found(claim, tell):
    """All outputs of this model are off, so nothing it does can change the loss."""
    W, b, x = np.array([[1.0, 0.5]]), np.array([-3.0, -4.0]), np.array([[0.5, 0.7]])

    def loss(p):
        return tms.loss(p["W"], p["b"], x, 1.0)

    def gradient(p, claim=0.0):
        z = tms.forward(p["W"], p["b"], x, "linear")
        dz = 2 * np.where(z > 0, 1, claim) * (np.maximum(z, 0) - x)
        return {"W": p["W"] @ (x.T @ dz + dz.T @ x), "b": dz.sum(0)}

    kinks = (lambda p: tms.forward(p["W"], p["b"], x, "linear")) if tell else None
    check_grad(loss, gradient, {"W": W, "b": b}, kinks=kinks)
    with pytest.raises(GradientError) as caught:
        check_grad(loss, lambda p: gradient(p, claim), {"W": W, "b": b}, kinks=kinks)
    assert caught.value.hints == ({"W": "mask", "b": "mask"} if tell else {})


def _narrow(p):
    return p.astype(np.float32)


HIDDEN = [
    ("curved, far below a constant", lambda p: 1e6 + 1e-9 * (p**2).sum(), lambda p: 2e-9 * p),
    ("straight, far below a constant", lambda p: 1e6 + 1e-9 * p.sum(), lambda p: 1e-9 + 0 * p),
    ("a constant taken off again", lambda p: 1e6 + 1e-9 * p.sum() - 1e6, lambda p: 1e-9 + 0 * p),
    ("below a constant, squared", lambda p: ((1e8 + p - 1e8) ** 2).sum(), lambda p: 2 * (1e8 + p - 1e8)),
    ("summed in float32", lambda p: float((_narrow(p) ** 2).sum()), lambda p: 2 * p),
    ("of float32 params", lambda p: float(np.float64(np.sin(_narrow(p))).sum()), np.cos),
    ("float32 below a constant", lambda p: float((1e4 + _narrow(p)).sum()), np.ones_like),
    ("saturated", lambda p: np.log(1 + np.exp(p - 40)).sum(), lambda p: 1 / (1 + np.exp(40 - p))),
    ("saturated and squared", lambda p: ((1 - np.tanh(p + 20)) ** 2).sum(), lambda p: -16 * np.exp(-4 * (p + 20))),
    ("no loss below 1e-3", lambda p: (np.maximum(p - 1e-3, 0) ** 2).sum(), lambda p: 2 * np.maximum(p - 1e-3, 0)),
    ("0 on one side", lambda p: np.maximum(1e8 + p - 1e8, 0).sum(), lambda p: (p > 0) * 1.0),
    ("rounded to tenths", lambda p: np.round(p + 0.05, 1).sum(), np.ones_like),
]


@pytest.mark.filterwarnings("ignore::minitms.testing.UnresolvedWarning")
@pytest.mark.parametrize(("loss", "gradient"), [row[1:] for row in HIDDEN], ids=[row[0] for row in HIDDEN])
@pytest.mark.parametrize("scale", [1e-3, 1.0])
@pytest.mark.parametrize("tell", [False, True])
def test_a_slope_that_rounding_hides_is_no_error(loss, gradient, scale, tell):
    """Here too the loss does not change at all on near steps; but then it jumps, and the jump is what could hide."""
    for p in ([0.9], [0.8, -1.1, 0.6], [-0.7, -1.0]):
        check_grad(loss, gradient, scale * np.array(p), kinks=(lambda p: np.empty(0)) if tell else None)


@given(strategies.models(activation="relu", kinks=True, m=2, n=3, batch=2), st.booleans())
def test_at_a_kink_no_gradient_is_called_wrong(model, tell):
    """At a kink the check says so, or passes where the kink has no weight; it never blames the gradient."""
    W, b, x, importance, _ = model
    with contextlib.suppress(NotDifferentiableError):
        check_grad(
            lambda p: tms.loss(*p, x, importance),
            lambda p: tms.backward(*p, x, importance),
            (W, b),
            kinks=model.pre_activations if tell else None,
        )


class Layer(NamedTuple):
    weight: np.ndarray
    offset: np.ndarray


@pytest.mark.parametrize(
    ("params", "name"),
    [
        (np.array(2.0), "p"),
        (np.float64(2.0), "p"),
        (np.ones((2, 3, 4)), "p"),
        ((np.ones(2), np.ones((1, 3))), "p[1]"),
        ({"weight": np.ones(2), 7: np.ones(3)}, "7"),
        (Layer(np.ones(2), np.array([1.0, 2.0])), "offset"),
    ],
    ids=["0-d", "scalar", "3-d", "tuple", "dict", "named tuple"],
)
def test_every_form_of_parameters(params, name):
    def parts(p):
        return list(p.values()) if isinstance(p, dict) else list(p) if isinstance(p, tuple) else [p]

    def like(p, values):
        if isinstance(p, dict):
            return dict(zip(p, values, strict=True))
        return type(p)(*values) if hasattr(p, "_fields") else tuple(values) if isinstance(p, tuple) else values[0]

    def loss(p):
        assert type(p) is type(params) or not isinstance(params, tuple | dict)
        return sum((part**3).sum() for part in parts(p))

    assert check_grad(loss, lambda p: like(p, [3 * part**2 for part in parts(p)]), params).ok
    with pytest.raises(GradientError) as caught:
        check_grad(loss, lambda p: like(p, [*(3 * part**2 for part in parts(p)[:-1]), 4 * parts(p)[-1]]), params)
    assert caught.value.parameter == name


def square(p):
    return float((p**2).sum())


def twice(p):
    return 2 * p


P = np.array([1.0, -2.0, 3.0])


def _raises(p):
    raise KeyError("mine")


@pytest.mark.parametrize(
    ("loss", "gradient", "params", "error", "said"),
    [
        (lambda p: p**2, twice, P, ValueError, r"array of shape \(3,\).*\.sum\(\)"),
        (lambda p: np.nan, twice, P, ValueError, "loss returned nan"),
        (lambda p: None, twice, P, TypeError, "loss returned a NoneType"),
        (lambda p: np.float32(square(p)), twice, P, TypeError, "float32"),
        (_raises, twice, P, KeyError, "mine"),
        (square, _raises, P, KeyError, "mine"),
        (square, lambda p: None, P, TypeError, "NoneType"),
        (square, lambda p: [2 * p], P, TypeError, "returned a list"),
        (square, lambda p: (2 * p).astype(np.float32), P, TypeError, "float32"),
        (square, lambda p: (2 * p)[:2], P, GradientError, r"got \(2,\), expected \(3,\)"),
        (lambda p: square(p["a"]), lambda p: {"b": P}, {"a": P}, ValueError, r"missing \['a'\].*unknown \['b'\]"),
        (lambda p: square(p["a"]), lambda p: 2 * p["a"], {"a": P}, TypeError, "expected a dict"),
        (lambda p: square(p[0]), lambda p: (P, P), (P,), ValueError, "returned 2 arrays; expected 1"),
        (square, twice, np.arange(3), TypeError, "int64; expected float64"),
        (square, twice, P.astype(np.float32), TypeError, "float32.*rounding"),
        (square, twice, P.astype(complex), TypeError, "complex"),
        (square, twice, [P, "x"], TypeError, r"params\[1\] is a str"),
        (square, twice, np.empty((0, 3)), ValueError, r"empty, of shape \(0, 3\)"),
        (square, twice, {}, ValueError, "empty dict"),
        (square, twice, {"a": P, "b": "c"}, TypeError, "b is a str"),
        (square, twice, np.array([1.0, np.inf]), ValueError, "NaN or infinity"),
        (1.0, twice, P, TypeError, "loss is 1.0; expected a function"),
    ],
)
def test_bad_input(loss, gradient, params, error, said):
    with pytest.raises(error, match=said):
        check_grad(loss, gradient, params)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"kinks": lambda p: None}, TypeError),
        ({"directions": 0}, ValueError),
        ({"rtol": -1.0}, ValueError),
        ({"seed": -1}, ValueError),
        ({"kinks": 1}, TypeError),
        ({"rtol": 0.05}, ValueError),  # would check nothing
    ],
)
def test_bad_options(arguments, error):
    with pytest.raises(error):
        check_grad(square, twice, P, **arguments)


def test_randomness_and_side_effects_are_named():
    random = np.random.default_rng(0)
    cases = (
        ("not deterministic", lambda p: square(p) * random.uniform(0.9, 1.1), twice),
        ("not deterministic", square, lambda p: 2 * p * random.uniform(0.9, 1.1)),
        ("modifies its input", square, lambda p: p.__imul__(2)),
        ("modifies its input", lambda p: square(p.__imul__(2)), twice),
    )
    for hint, loss, gradient in cases:
        with pytest.raises(GradientError, match=hint) as caught:
            check_grad(loss, gradient, P.copy())
        assert set(caught.value.hints.values()) == {hint}
    given_params = P.copy()
    with pytest.raises(GradientError):
        check_grad(square, lambda p: p.__imul__(2), given_params)
    np.testing.assert_array_equal(given_params, P)


def test_what_the_loss_closes_over_is_left_alone():
    """In place and idempotent: loss and gradient repeat themselves, but the loss is another one afterwards."""
    for change in (lambda x: np.round(x, 2, out=x), lambda x: np.maximum(x, 0, out=x)):
        x = np.random.default_rng(1).normal(size=(5, P.size))

        def gradient(p, x=x, change=change):
            change(x)
            return 2 * x.T @ (x @ p)

        with pytest.raises(GradientError, match="gradient changes what loss reads"):
            check_grad(lambda p, x=x: float(((x @ p) ** 2).sum()), gradient, P.copy())


def test_the_pre_activations_are_the_same_ones_everywhere():
    p = np.array([0.1, -0.2, 0.6])
    for kinks, said in (
        (lambda p: p[p > -0.2 - 1e-9], r"shapes \(3,\) at params, \(2,\) near"),
        (lambda p: {"z": p, "a": p[p > -0.2 - 1e-9]}, r"z of \(3,\), a of \(3,\) at params"),
    ):
        with pytest.raises(ValueError, match=said):
            check_grad(lambda p: np.maximum(p, 0).sum(), lambda p: p > 0, p, kinks=kinks)
    with pytest.raises(TypeError, match="kinks returned a dict for z"):
        check_grad(lambda p: np.maximum(p, 0).sum(), lambda p: p > 0, p, kinks=lambda p: {"z": {"inner": p}})


def test_the_gradient_by_a_number_is_wrong_at_that_number():
    with pytest.raises(GradientError, match="gradient by b is wrong at b: analytic"):
        check_grad(lambda p: p["a"] * p["b"], lambda p: {"a": p["b"], "b": 2 * p["a"]}, {"a": 0.4, "b": 0.7})


ROUGH = {  # near a kink steps are short, so a slope known to 1e-4 stands beside one that would show exactly
    "two entries": (
        lambda p: abs(p[0] - 1) + 0.01 * np.sin(p[1]),
        lambda p, c: np.array([np.sign(p[0] - 1), c * 0.01 * np.cos(p[1])]),
        np.array([1 + 1e-11, 0.4]),
        1e-8,
    ),
    "two parameters": (
        lambda p: abs(p["a"] - 1) + 0.01 * np.sin(p["b"]),
        lambda p, c: {"a": np.sign(p["a"] - 1), "b": c * 0.01 * np.cos(p["b"])},
        {"a": 1 + 1e-9, "b": 0.4},
        1e-8,
    ),
    "a large rtol": (
        lambda p: p["a"] ** 2 + 1e-3 * np.sin(p["b"]),
        lambda p, c: {"a": 2 * p["a"], "b": c * 1e-3 * np.cos(p["b"])},
        {"a": 1.0, "b": 0.4},
        1e-5,
    ),
}


@pytest.mark.parametrize("name", ROUGH)
def test_what_is_measured_roughly_beside_others_is_measured_alone(name):
    loss, gradient, params, rtol = ROUGH[name]
    assert check_grad(loss, lambda p: gradient(p, 1.0), params, rtol=rtol).ok
    with pytest.raises(GradientError, match=r"wrong at (p\[1\]|b)"):
        check_grad(loss, lambda p: gradient(p, 1.03), params, rtol=rtol)


@pytest.mark.parametrize("scale", [1e5, 1e6])
@pytest.mark.parametrize("kinks", [None, lambda p: p[1:]])
def test_kinks_close_by_beside_a_steep_slope_are_no_error(scale, kinks):
    def loss(p):
        return scale * p[0] ** 2 + np.maximum(p[1:], 0).sum()

    for seed in range(10):
        try:
            check_grad(
                loss, lambda p: np.r_[2 * scale * p[0], p[1:] > 0], np.array([1, 1e-6, -1e-6, 1e-9]), kinks=kinks,
                seed=seed,
            )
        except NotDifferentiableError:
            assert kinks is None  # which it cannot know without


def test_the_domain_of_the_loss_may_end_nearby():
    """A loss that raises, or is not finite, some way off ends the search for a step there."""

    def loss(p):
        if (p <= 0).any():
            raise ValueError("outside")
        return float(np.log(p).sum())

    assert check_grad(loss, lambda p: 1 / p, np.array([1e-3, 1.0, 5.0])).ok
    assert check_grad(lambda p: np.log(p).sum(), lambda p: 1 / p, np.array([1e-3, 1.0, 5.0])).ok
    wide = np.array([1e-3, 1.0, 5.0])
    with pytest.raises(GradientError, match=r"p\[0\]"):  # also while the failure is explained
        check_grad(loss, lambda p: _times(1 / p, 0, 1.01), wide)
    with pytest.raises(ValueError, match="finite around params"):
        check_grad(lambda p: 1.0 if (p == 1).all() else np.inf, lambda p: 0 * p, np.ones(2))


def test_what_rounding_hides_is_said_to_be_unresolved():
    with pytest.warns(UnresolvedWarning, match="rounding of the loss hides"):
        report = check_grad(lambda p: 1e20 + p.sum(), np.ones_like, P)
    assert not report.ok
    assert not report
    assert not report.outcomes[0].resolved
    assert "unresolved" in str(report)
