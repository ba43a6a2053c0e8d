"""Would a wrong gradient be noticed? Plausible mistakes are put into `backward`; the property must fail on each."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import Phase, given, settings

from minitms import model
from minitms.testing import GradientError, strategies
from tests.gradient_properties import WrongGradientError, check_backward, check_by_the_public_tool, check_kinks

SOURCE = inspect.getsource(model.backward)
MODELS = strategies.models(stack=strategies.stacks())
KINKS = strategies.models(stack=strategies.stacks(), activation="relu", kinks=True)

MUTANTS = {
    "encoder path dropped": ("dW = dW_decode + dW_encode", "dW = dW_decode"),
    "decoder path dropped": ("dW = dW_decode + dW_encode", "dW = dW_encode"),
    "encoder path counted twice": ("dW = dW_decode + dW_encode", "dW = 2 * dW_encode"),
    "paths subtracted": ("dW = dW_decode + dW_encode", "dW = dW_decode - dW_encode"),
    "mask missing": ("dz = dy * (z > 0)", "dz = dy"),
    "mask of the input": ("dz = dy * (z > 0)", "dz = dy * (x > 0)"),
    "mask inverted": ("dz = dy * (z > 0)", "dz = dy * (z < 0)"),
    "mask misplaced: not on db": ("db = dz.sum", "db = dy.sum"),
    "mask misplaced: not on the decoder": ("h.mT @ dz", "h.mT @ dy"),
    "mask misplaced: not on the encoder": ("dh = dz @ W.mT", "dh = dy @ W.mT"),
    "mask on the linear model too": ('if activation == "relu" else dy', "if True else dy"),
    "importance missing": ("2 * importance * (y - x)", "2 * (y - x)"),
    "importance squared": ("2 * importance * (y - x)", "2 * importance**2 * (y - x)"),
    "factor 2 missing": ("2 * importance * (y - x)", "importance * (y - x)"),
    "sign": ("importance * (y - x) / batch", "importance * (x - y) / batch"),
    "error without the bias": ("importance * (y - x) / batch", "importance * (y - b[..., None, :] - x) / batch"),
    "mean over the batch missing": ("importance * (y - x) / batch", "importance * (y - x)"),
    "mean over the features too": ("importance * (y - x) / batch", "importance * (y - x) / batch / x.shape[-1]"),
    "bias gradient over the wrong axis": ("dz.sum(axis=-2)", "dz.sum(axis=-1)"),
    "bias gradient over the stack": ("dz.sum(axis=-2)", "dz.sum(axis=0)"),
    "bias gradient averaged": ("dz.sum(axis=-2)", "dz.mean(axis=-2)"),
    "transpose of the whole stack": ("h.mT @ dz", "h.T @ dz"),
    "decoder transposed": ("h.mT @ dz", "(h.mT @ dz).mT.reshape(W.shape)"),
    "encoder transposed": ("dh.mT @ x", "(x.mT @ dh).reshape(W.shape)"),
    "encoder sees the output": ("dh.mT @ x", "dh.mT @ y"),
    "encoder sees the error": ("dh.mT @ x", "dh.mT @ (y - x)"),
    "weights not transposed": ("dz @ W.mT", "dz @ W"),
}


def mutated(old, new):
    """`backward` with one piece of its text replaced."""
    assert SOURCE.count(old) == 1, f"{old!r} stands {SOURCE.count(old)} times in backward"
    namespace = dict(vars(model))
    exec(compile(SOURCE.replace(old, new), "<mutant of backward>", "exec"), namespace)
    return namespace["backward"]


def put_to_the_test(check, models, backward):
    """Run the property as the tests do; no shrinking, as nobody reads the failure."""

    @settings(max_examples=300, phases=[Phase.generate])
    @given(models)
    def holds(model):
        check(backward, model)

    holds()


def test_the_true_gradient_passes():
    put_to_the_test(check_backward, MODELS, mutated("return dW, db", "return (dW, db)"))
    put_to_the_test(check_kinks, KINKS, mutated("return dW, db", "return (dW, db)"))


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_gradient_is_noticed(name):
    with pytest.raises(WrongGradientError):
        put_to_the_test(check_backward, MODELS, mutated(*MUTANTS[name]))


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_gradient_is_noticed_by_the_check_that_users_have(name):
    with pytest.raises((GradientError, ValueError)):  # a ValueError where the shapes do not even multiply
        put_to_the_test(check_by_the_public_tool, MODELS, mutated(*MUTANTS[name]))


def test_a_slope_of_one_at_the_kink_is_noticed():
    with pytest.raises(WrongGradientError, match="with no slope at z = 0"):
        put_to_the_test(check_kinks, KINKS, mutated("(z > 0)", "(z >= 0)"))
