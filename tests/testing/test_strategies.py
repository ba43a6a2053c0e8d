"""The strategies give valid models, use their range, shrink to something readable, and stay off kinks unless asked."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

import minitms as tms
from minitms.testing import strategies

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
    assert isinstance(features, tms.SparseFeatures)
    assert features.stack == (3,)
    assert features.sample(2, seed=0).shape == (3, 2, 4)


def _reaches(strategy, condition):
    return find(strategy, condition, settings=settings(max_examples=500, database=None, deadline=None))


def test_the_range_is_used():
    """Each of these can be found: both activations, deep stacks, negative and large weights, features that are off."""
    _reaches(strategies.models(), lambda model: model.activation == "linear")
    _reaches(strategies.models(), lambda model: model.activation == "relu" and (model.pre_activations() < 0).any())
    _reaches(strategies.models(stack=strategies.stacks()), lambda model: model.W.ndim == 4)
    _reaches(strategies.weights(), lambda W: W.min() < -1.5 and W.max() > 1.5)
    _reaches(strategies.batches(batch=3), lambda x: (x == 0).any() and (x > 0.5).any())
    _reaches(strategies.importances(n=3), lambda importance: len(set(importance)) == 3)


def test_models_shrink_to_something_readable():
    model = _reaches(strategies.models(activation="relu"), lambda model: True)
    assert model.W.shape == (1, 1)
    assert model.W.item() == 0
    assert model.x.tolist() == [[0.0]]
    assert model.b.tolist() == [2 * strategies.MARGIN]
    model = _reaches(strategies.models(n=2, m=1), lambda model: model.W[0, 1] > 1)
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
    ],
)
def test_bad_input(arguments, error, said):
    with pytest.raises(error, match=said):
        find(strategies.models(**arguments), lambda model: True)


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
