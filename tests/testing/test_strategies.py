"""The strategies give valid models, use their range, shrink to something readable, and stay off kinks unless asked."""

import inspect
import re
import subprocess
import sys
from random import Random

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

import minitms as tms
from minitms.testing import check_grad, strategies
from minitms.weights import both

relaxed = settings(deadline=None)


@relaxed
@given(strategies.models(stack=strategies.stacks()))
def test_models_are_valid_and_off_their_kinks(model):
    stack = model.W.shape[:-2]
    assert model.x.shape[:-2] == model.b.shape[:-1] == model.importance.shape[:-1] == stack
    dW, db = tms.backward(*model)
    assert dW.shape == model.W.shape
    assert db.shape == model.b.shape
    assert np.isfinite(dW).all()
    z = model.pre_activations()
    if model.activation == "relu":
        np.testing.assert_array_equal(z, tms.forward(model.W, model.b, model.x, "linear"))
        assert np.abs(z).min() >= 0.99 * strategies.MARGIN
    else:
        assert z.size == 0


@relaxed
@given(strategies.models(activation="relu", stack=strategies.stacks(), kinks=True))
def test_models_are_on_a_kink_when_asked(model):
    z = tms.forward(model.W, model.b, model.x, "linear")
    assert (z == 0).any(axis=(-2, -1)).all()


@relaxed
@given(strategies.models(n=3, m=2, batch=50, activation="relu"))
def test_sizes_are_as_asked_and_large_batches_still_find_room(model):
    assert model.W.shape == (2, 3)
    assert model.x.shape == (50, 3)
    assert np.abs(model.pre_activations()).min() >= 0.99 * strategies.MARGIN * 8 / 50


@relaxed
@given(st.data())
def test_parts_are_within_their_bounds(data):
    W = data.draw(strategies.weights(stack=strategies.stacks(), bound=3.0))
    b = data.draw(strategies.biases(n=W.shape[-1], stack=W.shape[:-2], bound=0.25))
    importance = data.draw(strategies.importances(n=4, bound=0.5))
    x = data.draw(strategies.batches(n=st.integers(2, 3), batch=2, stack=(2,)))
    features = data.draw(strategies.features(n=4, stack=(3,)))
    assert np.abs(W).max() <= 3
    assert b.shape == (*W.shape[:-2], W.shape[-1])
    assert np.abs(b).max() <= 0.25
    assert importance.shape == (4,)
    assert importance.min() >= 0
    assert importance.max() <= 0.5
    assert x.shape in ((2, 2, 2), (2, 2, 3))
    assert x.min() >= 0
    assert x.max() < 1
    assert x[x > 0].min(initial=1.0) >= strategies.TINY  # squares of 1e-200 underflow, and 1e-14 is lost beside 1
    assert isinstance(features, tms.SparseFeatures)
    assert features.stack == (3,)
    assert features.sample(2, seed=0).shape == (3, 2, 4)


@relaxed
@given(strategies.chains(stack=strategies.stacks()))
def test_chains_are_valid_and_both_layers_are_off_their_kinks(chain):
    E, D = chain.W if isinstance(chain.W, tuple) else (chain.W, chain.W)
    stack, shape = E.shape[:-2], chain.x.shape
    assert D.shape == E.shape
    assert chain.b.shape == chain.importance.shape == (*stack, E.shape[-1])
    assert shape == (*stack, shape[-2], E.shape[-1])
    assert chain.target is None or chain.target.shape == shape
    gradients = strategies.named(*tms.backward(**chain._asdict()))
    assert list(gradients) == list(chain.params)
    for gradient, array in zip(gradients.values(), chain.params.values(), strict=True):
        assert gradient.shape == array.shape
        assert np.isfinite(gradient).all()
    layers = chain.pre_activations()
    assert list(layers) == ["a"] * (chain.hidden == "relu") + ["z"] * (chain.activation == "relu")
    if "a" in layers:
        a = np.einsum("...ki,...ei->...ek", E, chain.x)
        np.testing.assert_allclose(layers["a"], a, rtol=0, atol=1e-12)
        reach = np.abs(chain.x).sum(axis=-1)[..., None]  # how far a moves when every weight of the encoder moves by 1
        assert (np.abs(a) >= 0.99 * strategies.MARGIN * reach).all()
    if "z" in layers:
        z = tms.forward(chain.W, chain.b, chain.x, "linear", hidden=chain.hidden)
        np.testing.assert_array_equal(layers["z"], z)
        assert np.abs(z).min() >= 0.99 * strategies.MARGIN


@relaxed
@given(strategies.chains(stack=strategies.stacks(), kinks=True))
def test_each_relu_of_a_chain_is_on_a_kink_when_asked(chain):
    for values in chain.pre_activations().values():
        assert (values == 0).any(axis=(-2, -1)).all()


def test_a_chain_comes_apart_and_together():
    chain = _reaches(strategies.chains(tied=False, n=3, m=2), lambda chain: True)
    assert list(chain.params) == ["encoder", "decoder", "b"]
    again = chain.at(chain.params)
    assert all(ours is theirs for ours, theirs in zip((*again.W, again.b), (*chain.W, chain.b), strict=True))
    chain = _reaches(strategies.chains(tied=True, n=3, m=2), lambda chain: True)
    assert list(chain.params) == ["W", "b"]
    assert chain.at(chain.params).W is chain.W


@relaxed
@given(st.data())
def test_arrays_keep_away_from_their_kinks_and_from_each_other(data):
    shape = data.draw(st.sampled_from([(), (1,), (7,), (2, 3), (4, 6), (3, 2, 2)]))
    bound = data.draw(st.sampled_from([0.25, 1.0, 2.0, 100.0]))
    number = st.floats(-3, 3, allow_subnormal=False) | st.sampled_from([bound, -bound])
    numbers = data.draw(st.lists(number, max_size=4))
    kinks = [*numbers, np.full(shape, 0.3)] if data.draw(st.booleans()) else numbers
    ties = data.draw(st.booleans())
    a = data.draw(strategies.arrays(shape=shape, kinks=kinks, ties=ties, bound=bound))
    assert a.shape == shape
    assert a.dtype == np.float64
    assert np.abs(a).max() <= bound
    margin = 0.99 * min(strategies.MARGIN, bound / (2 * (len(kinks) + a.size + 1)))
    assert all(np.abs(a - kink).min() >= margin for kink in kinks)
    if not ties:
        assert np.diff(np.sort(a, axis=None)).min(initial=np.inf) >= margin


@relaxed
@given(st.data())
def test_each_entry_may_have_kinks_of_its_own(data):
    """A bias at which no pre-activation is near 0: no example is to be set aside."""
    x, W = data.draw(strategies.batches(n=3, batch=5)), data.draw(strategies.weights(n=3))
    b = data.draw(strategies.arrays(shape=3, kinks=-(x @ W.T @ W), bound=1.0))
    assert b.shape == (3,)
    assert np.abs(x @ W.T @ W + b).min() >= 0.99 / 18  # 5 kinks, 3 entries, and one for room: 1 / (2 * 9)


@pytest.mark.parametrize(
    ("loss", "gradient", "points"),
    [
        (lambda a: abs(a).sum(), np.sign, strategies.arrays(shape=(4, 3))),
        (lambda a: a.max(), lambda a: (a == a.max()) * 1.0, strategies.arrays(shape=12, kinks=())),
        (lambda a: np.minimum(abs(a), 1).sum(), lambda a: (abs(a) < 1) * np.sign(a),
         strategies.arrays(shape=(4, 3), kinks=(-1, 0, 1))),
    ],
    ids=["abs", "max", "clipped"],
)  # fmt: skip
def test_no_array_is_set_aside_by_the_check(loss, gradient, points):
    @settings(deadline=None, max_examples=50, derandomize=True, database=None)
    @given(points)
    def never_at_a_kink(a):
        assert check_grad(loss, gradient, a).ok  # and no NotDifferentiableError

    never_at_a_kink()


def test_enough_weights_have_no_entry_at_0():
    """Hypothesis gives up where most draws are set aside; and those with an entry at 0 must not be lost."""
    for parts in (strategies.weights(n=6, m=4), strategies.biases(n=6)):
        away = []
        # Draws follow each other, and which there are hangs on the numbers in all the sources: a few hundred may lean.
        drawn = settings(max_examples=1000, deadline=None, database=None, derandomize=True)(
            given(parts)(lambda a: away.append(np.abs(a).min() >= strategies.MARGIN))  # noqa: B023
        )
        drawn()
        assert 0.25 < np.mean(away) < 0.75


def _simplest(strategy, condition):
    quick = settings(max_examples=500, database=None, deadline=None)
    return find(strategy, condition, settings=quick, random=Random(0))


def _reaches(strategy, condition):
    """Any example will do: to shrink it takes a hundred times as long."""
    quick = settings(max_examples=3000, database=None, deadline=None, phases=[Phase.generate])
    return find(strategy, condition, settings=quick, random=Random(0))  # `find` draws other examples at every run


def test_the_range_is_used():
    """Each of these can be found: both activations, deep stacks, negative and large weights, features that are off."""
    _reaches(strategies.models(), lambda model: model.activation == "linear")
    _reaches(strategies.models(), lambda model: model.activation == "relu" and (model.pre_activations() < 0).any())
    _reaches(strategies.models(stack=strategies.stacks()), lambda model: model.W.ndim == 4)
    _reaches(strategies.weights(), lambda W: W.min() < -1.5 and W.max() > 1.5)
    _reaches(strategies.batches(batch=3), lambda x: (x == 0).any() and (x > 0.5).any())
    _reaches(strategies.importances(n=3), lambda importance: len(set(importance)) == 3)


@pytest.mark.parametrize("hidden", ["linear", "relu"])
@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("target", strategies.TARGETS)
def test_every_model_of_the_paper_is_drawn_with_every_target(hidden, activation, tied, target):
    def wanted(chain):
        drawn = "x" if chain.target is None else "abs" if (chain.target == abs(chain.x)).all() else "given"
        words = chain.hidden, chain.activation, not isinstance(chain.W, tuple), drawn
        return words == (hidden, activation, tied, target)

    _reaches(strategies.chains(), wanted)


def test_chains_use_their_range():
    """Live and dead neurons, features that come with both signs, in one example too."""
    relu = strategies.chains(hidden="relu", signed=True)
    _reaches(relu, lambda chain: (chain.pre_activations()["a"] > 0).any() and (chain.pre_activations()["a"] < 0).any())
    _reaches(relu, lambda chain: ((chain.x > 0).any(axis=-1) & (chain.x < 0).any(axis=-1)).any())
    _reaches(relu, lambda chain: ((chain.x > 0).any(axis=-2) & (chain.x < 0).any(axis=-2)).any())


def test_arrays_shrink_to_something_readable():
    assert _simplest(strategies.arrays(shape=3), lambda a: True).tolist() == [0.125, -0.125, 0.25]
    assert _simplest(strategies.arrays(shape=3, kinks=()), lambda a: True).tolist() == [0.0, 0.125, -0.125]
    assert _simplest(strategies.arrays(shape=2, ties=True), lambda a: a[1] > 1).tolist() == [0.125, 2.0]


def test_models_shrink_to_something_readable():
    model = _simplest(strategies.models(activation="relu"), lambda model: True)
    assert model.W.shape == (1, 1)
    assert model.W.item() == 0
    assert model.x.tolist() == [[0.0]]
    assert model.b.tolist() == [2 * strategies.MARGIN]
    chain = _simplest(strategies.chains(hidden="relu", tied=False, n=1, m=1, batch=1), lambda chain: chain.x.any())
    assert chain.W.encoder.tolist() == [[2 * strategies.MARGIN]]
    assert chain.W.decoder.tolist() == [[0.0]]
    assert chain.x.tolist() == [[0.5]]
    model = _simplest(strategies.models(n=2, m=1), lambda model: model.W[0, 1] > 1)
    assert model.W.tolist() == [[0.0, 2.0]]
    assert len(model.x) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"n": 0}, ValueError, "n is 0"),
        ({"m": 1.5}, TypeError, "m is 1.5"),
        ({"batch": -1}, ValueError, "batch is -1"),
        ({"stack": 3}, TypeError, "stack is 3"),
        ({"stack": (0,)}, ValueError, "at least 1"),
        ({"activation": "gelu"}, ValueError, "'gelu'"),
        ({"hidden": "gelu"}, ValueError, "hidden is 'gelu'"),
        ({"tied": "yes"}, ValueError, "tied is 'yes'"),
        ({"signed": "both"}, ValueError, "signed is 'both'"),
        ({"target": "y"}, ValueError, "target is 'y'; expected one of 'x', 'abs', 'given'"),
    ],
)
def test_bad_input(arguments, error, said):
    strategy = strategies.chains if {"hidden", "tied", "signed", "target"} & set(arguments) else strategies.models
    with pytest.raises(error, match=said):
        strategy(**arguments)  # the call, before anything is drawn


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: strategies.weights(bound=-1), ValueError, "bound is -1; expected a finite number of at least 0"),
        (lambda: strategies.weights(bound=None), TypeError, "bound is None"),
        (lambda: strategies.biases(n=0), ValueError, "n is 0"),
        (lambda: strategies.importances(stack=[2]), TypeError, r"stack is \[2\]"),
        (lambda: strategies.batches(batch=0), ValueError, "batch is 0"),
        (lambda: strategies.features(n="5"), TypeError, "n is '5'"),
        (lambda: strategies.stacks(max_dims=-1), ValueError, "max_dims is -1"),
        (lambda: strategies.stacks(max_side=0), ValueError, "max_side is 0"),
        (lambda: strategies.chains(kinks=[0.0]), TypeError, r"kinks is \[0.0\]; expected True or False"),
        (lambda: strategies.arrays(3), TypeError, r"positional.*; expected, all by name, arrays\(\*, shape, kinks"),
        (lambda: strategies.arrays(), TypeError, "arrays: missing .*'shape'; expected, all by name, arrays"),
        (lambda: strategies.weights(3), TypeError, r"expected, all by name, weights\(\*, n=None, m=None, stack=\(\)"),
        (lambda: strategies.models(size=3), TypeError, r"'size'; expected, all by name, models\(\*, n=None"),
    ],
)  # fmt: skip
def test_a_bad_call_is_refused_at_once(call, error, said):
    with pytest.raises(error, match=said):
        call()


SIZES = {"n", "m", "batch", "stack"}  # what may be drawn
ARGUMENTS = [
    (name, argument)
    for name in ("stacks", "arrays", "weights", "biases", "importances", "batches", "features", "chains", "models")
    for argument in inspect.signature(getattr(strategies, name)).parameters
]


@pytest.mark.parametrize(("name", "argument"), [pair for pair in ARGUMENTS if pair[1] not in SIZES])
@pytest.mark.parametrize("given", [st.just(False), st.just(1.0), st.just("relu"), st.just((2,)), st.booleans()])
def test_a_strategy_is_refused_where_none_is_drawn(name, argument, given):
    needed = {"shape": 2} if name == "arrays" else {}
    with pytest.raises(TypeError, match=re.escape(f"{argument} is {given!r}") + r".*; expected "):
        getattr(strategies, name)(**needed | {argument: given})


@relaxed
@pytest.mark.parametrize(("name", "argument"), [pair for pair in ARGUMENTS if pair[1] in SIZES])
@given(st.data())
def test_a_strategy_is_drawn_for_every_size(name, argument, data):
    side = data.draw(st.integers(2, 4))
    value = data.draw(getattr(strategies, name)(**{argument: st.just((side, 2) if argument == "stack" else side)}))
    assert _sizes(name, value)[argument] == ((side, 2) if argument == "stack" else side)


def _sizes(name, value):
    """Of what the strategy of that name has drawn."""
    if name in ("chains", "models"):
        return _sizes("weights", both(value.W)[0]) | _sizes("batches", value.x)
    axes = {"weights": ["m", "n"], "batches": ["batch", "n"]}.get(name, ["n"])
    shape = (*value.stack, value.n) if name == "features" else value.shape
    return {"stack": shape[: -len(axes)], **dict(zip(axes, shape[-len(axes) :], strict=True))}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: strategies.chains(kinks=st.just(False)), r"kinks is just\(False\); expected True or False"),
        (lambda: strategies.models(kinks=st.just(False)), r"kinks is just\(False\); expected True or False"),
        (lambda: strategies.arrays(shape=2, ties=st.just(True)), r"ties is just\(True\); expected True or False"),
        (lambda: strategies.weights(bound=st.just(1.0)), r"bound is just\(1.0\) .*; expected a real number"),
        (lambda: strategies.stacks(max_side=st.just(2)), r"max_side is just\(2\) .*; expected a whole number"),
        (lambda: strategies.stacks(max_dims=st.just(2)), r"max_dims is just\(2\) .*; expected a whole number"),
        (lambda: strategies.chains(tied=st.booleans()), r"tied is booleans\(\); expected True, False or None"),
        (lambda: strategies.chains(target=st.just("x")), r"expected 'x', 'abs', 'given' or None for any of them"),
        (lambda: strategies.models(activation=st.just("relu")), r"expected 'linear', 'relu' or None for any of them"),
        (lambda: strategies.arrays(shape=st.just((2,))), r"shape is just\(\(2,\)\); expected an int or a tuple"),
        (lambda: strategies.arrays(shape=(2, st.just(2))), r"an axis of shape is just\(2\)"),
        (lambda: strategies.arrays(shape=2, kinks=st.just([0])), r"kinks is just.*; expected a sequence, such as"),
        (lambda: strategies.arrays(shape=2, kinks=[st.just(0.0)]), r"kinks has dtype object"),
        (lambda: strategies.weights(stack=(st.just(2),)), r"an axis of stack is just\(2\)"),
    ],
)  # fmt: skip
def test_a_strategy_that_is_refused_is_told_what_would_do(call, said):
    with pytest.raises(TypeError, match=said):
        call()


def test_what_a_strategy_draws_is_checked_when_it_draws():
    strategy = strategies.weights(n=st.just(0))
    with pytest.raises(ValueError, match="n is 0"):
        find(strategy, lambda W: True)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"shape": 0}, ValueError, "an axis of shape is 0"),
        ({"shape": (2, 1.5)}, TypeError, "an axis of shape is 1.5"),
        ({"shape": [2]}, TypeError, r"an axis of shape is \[2\]"),
        ({"shape": 2, "kinks": 0.5}, TypeError, r"kinks is 0.5; expected a sequence, such as \(0.5,\)"),
        ({"shape": 2, "kinks": ["0"]}, TypeError, "kinks has dtype"),
        ({"shape": 2, "kinks": [np.nan]}, ValueError, "kinks holds nan"),
        ({"shape": 2, "kinks": np.zeros((5, 3))}, ValueError, r"array of shape \(3,\); expected .* arrays of \(2,\)"),
        ({"shape": 2, "kinks": np.zeros((5, 1, 2))}, ValueError, r"array of shape \(1, 2\)"),
        ({"shape": 2, "bound": 0}, ValueError, "bound is 0"),
        ({"shape": None}, TypeError, "an axis of shape is None"),
        ({"shape": 2, "ties": "no"}, TypeError, "ties is 'no'"),
    ],
)
def test_bad_input_of_arrays(arguments, error, said):
    with pytest.raises(error, match=said):
        strategies.arrays(**arguments)


def test_all_but_the_strategies_works_without_hypothesis():
    program = """
import sys
sys.modules["hypothesis"] = None  # as if it were not installed
import numpy as np
import minitms as tms
import minitms.testing as testing
testing.check_grad(lambda p: (p**2).sum(), lambda p: 2 * p, np.ones(3))
assert "hypothesis.strategies" not in sys.modules
try:
    testing.strategies
except ImportError as error:
    assert "pip install hypothesis" in str(error), error
else:
    raise SystemExit("no error")
"""
    subprocess.run([sys.executable, "-c", program], check=True)
