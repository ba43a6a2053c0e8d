"""Would a wrong model be noticed? Plausible mistakes are put into `minitms.model`; a property must fail on each.

A mistake of the forward pass must differ from the equations in loops, a mistake of the backward pass from the finite
differences of the loss, and from what users have; the loss that is compared with is always the right one.
"""

from __future__ import annotations

import inspect
import types

import pytest
from hypothesis import Phase, given, settings

from minitms import _inputs, model
from minitms.testing import GradientError, strategies
from tests.gradient_properties import (
    WrongGradientError,
    WrongModelError,
    check_backward,
    check_by_the_public_tool,
    check_equations,
    check_kinks,
)

# What checks the arrays stands in a file of its own, and is to be mutated with the rest.
SOURCE = inspect.getsource(model).replace(
    "from minitms._inputs import arrays\n",
    "from minitms import _checks\nfrom minitms.weights import checked, each\n\n" + inspect.getsource(_inputs.arrays),
)
ALONE = strategies.chains()
CHAINS = strategies.chains(stack=strategies.stacks())
PLAIN = strategies.chains(stack=strategies.stacks(), **strategies.PLAIN)
KINKS = strategies.chains(stack=strategies.stacks(), kinks=True)

BOTH_PATHS = "dW = dD + dE"
PAIR = "return Weights(dE, dD), db"
ERROR = "2 * importance * (y - t) / batch"
OUTPUT_MASK, HIDDEN_MASK = "dz = dy * g_slope(z)", "da = dh * f_slope(a)"
SLOPES = "SLOPES[hidden], SLOPES[activation]"

LAYERS, BACK = "_layers(W, b, x, activation, hidden)", "_backward(W, x, t, importance, layers, activation, hidden)"

BACKWARD = {  # name: (old, new), in `_backward`
    "encoder path dropped": (BOTH_PATHS, "dW = dD"),
    "decoder path dropped": (BOTH_PATHS, "dW = dE"),
    "encoder path counted twice": (BOTH_PATHS, "dW = 2 * dE"),
    "paths subtracted": (BOTH_PATHS, "dW = dD - dE"),
    "paths averaged": (BOTH_PATHS, "dW = (dD + dE) / 2"),
    "gradients of encoder and decoder exchanged": (PAIR, "return Weights(dD, dE), db"),
    "a pair gets the sum": (PAIR, "return Weights(dD + dE, dD + dE), db"),
    "a pair is taken for tied": ("isinstance(W, Weights)", "False"),
    "tied is taken for a pair": ("isinstance(W, Weights)", "True"),
    "mask missing": (OUTPUT_MASK, "dz = dy"),
    "mask of the input": (OUTPUT_MASK, "dz = dy * g_slope(x)"),
    "mask of the target": (OUTPUT_MASK, "dz = dy * g_slope(t)"),
    "mask of the error": (OUTPUT_MASK, "dz = dy * g_slope(dy)"),
    "mask inverted": (OUTPUT_MASK, "dz = dy * g_slope(-z)"),
    "mask that y >= 0": (OUTPUT_MASK, "dz = dy * (y >= 0)"),
    "mask on the linear output too": (OUTPUT_MASK, "dz = dy * (z > 0)"),
    "mask misplaced: not on db": ("db = dz.sum", "db = dy.sum"),
    "mask misplaced: not on the decoder": ("h.mT @ dz", "h.mT @ dy"),
    "mask misplaced: not on the encoder": ("dh = dz @ D.mT", "dh = dy @ D.mT"),
    "hidden mask missing": (HIDDEN_MASK, "da = dh"),
    "hidden mask of the output": (HIDDEN_MASK, "da = dh * f_slope(z)"),
    "hidden mask of one output": (HIDDEN_MASK, "da = dh * f_slope(z[..., :1])"),
    "hidden mask of the gradient": (HIDDEN_MASK, "da = dh * f_slope(dh)"),
    "hidden mask of the decoded output": (HIDDEN_MASK, "da = dh * f_slope(y @ D.mT)"),
    "hidden mask that h >= 0": (HIDDEN_MASK, "da = dh * (h >= 0)"),
    "hidden mask inverted": (HIDDEN_MASK, "da = dh * f_slope(-a)"),
    "hidden mask on the linear layer too": (HIDDEN_MASK, "da = dh * (a > 0)"),
    "hidden mask of the whole batch": (HIDDEN_MASK, "da = dh * f_slope(a.max(axis=-2, keepdims=True))"),
    "hidden value in place of its slope": (HIDDEN_MASK, "da = dh * h"),
    "slopes exchanged": (SLOPES, "SLOPES[activation], SLOPES[hidden]"),
    "slope of the output in both": (SLOPES, "SLOPES[activation], SLOPES[activation]"),
    "slope of the hidden layer in both": (SLOPES, "SLOPES[hidden], SLOPES[hidden]"),
    "importance missing": (ERROR, "2 * (y - t) / batch"),
    "importance squared": (ERROR, "2 * importance**2 * (y - t) / batch"),
    "factor 2 missing": (ERROR, "importance * (y - t) / batch"),
    "sign": (ERROR, "2 * importance * (t - y) / batch"),
    "error against the input": (ERROR, "2 * importance * (y - x) / batch"),
    "error against the size of the input": (ERROR, "2 * importance * (y - abs(x)) / batch"),
    "error against the size of the target": (ERROR, "2 * importance * (y - abs(t)) / batch"),
    "mean over the batch missing": (ERROR, "2 * importance * (y - t)"),
    "mean over the features too": (ERROR, "2 * importance * (y - t) / batch / x.shape[-1]"),
    "mean over the features instead": ("x.shape[-2]", "x.shape[-1]"),
    "mean over the stack instead": ("x.shape[-2]", "x.shape[0]"),
    "bias gradient over the wrong axis": ("dz.sum(axis=-2)", "dz.sum(axis=-1)"),
    "bias gradient over the stack": ("dz.sum(axis=-2)", "dz.sum(axis=0)"),
    "bias gradient averaged": ("dz.sum(axis=-2)", "dz.mean(axis=-2)"),
    "transpose of the whole stack": ("h.mT @ dz", "h.T @ dz"),
    "decoder transposed": ("h.mT @ dz", "(h.mT @ dz).mT.reshape(D.shape)"),
    "decoder sees the hidden layer before its ReLU": ("h.mT @ dz", "a.mT @ dz"),
    "encoder transposed": ("da.mT @ x", "(x.mT @ da).reshape(D.shape)"),
    "encoder sees the output": ("da.mT @ x", "da.mT @ y"),
    "encoder sees the target": ("da.mT @ x", "da.mT @ t"),
    "encoder sees the error": ("da.mT @ x", "da.mT @ (y - t)"),
    "encoder sees the size of the input": ("da.mT @ x", "da.mT @ abs(x)"),
    "encoder misses the hidden mask": ("da.mT @ x", "dh.mT @ x"),
    "encoder sees the hidden layer": ("da.mT @ x", "h.mT @ x"),
    "weights not transposed": ("dz @ D.mT", "dz @ D"),
    "back through the encoder": ("(_, D)", "(D, _)"),
}  # fmt: skip


SLOPES_AND_CALLS = {  # name: (where, old, new); these too are mistakes of the gradient
    "a ReLU in the linear model": ("tables", '"linear": lambda z: 1', '"linear": lambda z: z > 0'),
    "no slope in the linear model": ("tables", '"linear": lambda z: 1', '"linear": lambda z: 0'),
    "slope of a leak": ("tables", "lambda z: z > 0", "lambda z: np.where(z > 0, 1, 0.01)"),
    "slope of the absolute value": ("tables", "lambda z: z > 0", "np.sign"),
    "slope of a shifted kink": ("tables", "lambda z: z > 0", "lambda z: z > 0.5"),
    "words exchanged forward": ("backward", LAYERS, "_layers(W, b, x, hidden, activation)"),
    "words exchanged back": ("backward", BACK, "_backward(W, x, t, importance, layers, hidden, activation)"),
    "input and target exchanged": ("backward", BACK, "_backward(W, t, x, importance, layers, activation, hidden)"),
    "the input for the target": ("backward", BACK, "_backward(W, x, x, importance, layers, activation, hidden)"),
}

FORWARD = {  # mistakes of the layers, which the gradient shares
    "encoder and decoder exchanged": ("_layers", "(E, D)", "(D, E)"),
    "activations exchanged": ("_layers", "f, g = both", "g, f = both"),
    "encoder in both places": ("_layers", "z = h @ D", "z = h @ E"),
    "hidden ReLU skipped": ("_layers", "z = h @ D", "z = a @ D"),
    "bias missing": ("_layers", " + b[..., None, :]", ""),
    "bias subtracted": ("_layers", " + b[..., None, :]", " - b[..., None, :]"),
    "hidden activation on the output too": ("_layers", "y = g(z)", "y = f(z)"),
    "hidden activation of the negative": ("_layers", "h = f(a)", "h = -f(-a)"),
    "absolute value for ReLU": ("tables", "np.maximum(z, 0)", "np.abs(z)"),
    "ReLU that leaks": ("tables", "np.maximum(z, 0)", "np.maximum(z, z / 100)"),
    "ReLU with a floor": ("tables", "np.maximum(z, 0)", "np.maximum(z, 0.01)"),
    "ReLU that saturates": ("tables", "np.maximum(z, 0)", "np.clip(z, 0, 1)"),
    "importance in reverse": ("arrays", "[..., None, :]\n    try", "[..., None, ::-1]\n    try"),
    "target ignored": ("arrays", "x if target is None else", "x if True else"),
}

LOSS = {  # mistakes that the gradient does not share
    "output ReLU skipped": ("_layers", "y = g(z)", "y = z"),  # where z < 0 the gradient is 0 whatever y is
    "importance missing": ("_loss", "importance * (y - t) ** 2", "(y - t) ** 2"),
    "importance squared": ("_loss", "importance * (y - t)", "importance**2 * (y - t)"),
    "absolute error": ("_loss", "(y - t) ** 2", "abs(y - t)"),
    "half the squared error": ("_loss", "importance * (y - t)", "0.5 * importance * (y - t)"),
    "sum over the batch": ("_loss", ".mean(axis=-1)", ".sum(axis=-1)"),
    "mean over the features": ("_loss", ".sum(axis=-1)", ".mean(axis=-1)"),
    "the input for the target": ("loss", "[-1], t, importance", "[-1], x, importance"),
    "words exchanged": ("loss", LAYERS, "_layers(W, b, x, hidden, activation)"),
    "hidden layer taken for linear": ("loss", LAYERS, '_layers(W, b, x, activation, "linear")'),
    "words exchanged in forward": ("forward", LAYERS, "_layers(W, b, x, hidden, activation)"),
    "z in place of y": ("forward", "[-1]", "[-2]"),
}

TOGETHER = {  # mistakes of `loss_and_gradients` alone
    "the input for the target": ("loss_and_gradients", "_loss(layers[-1], t,", "_loss(layers[-1], x,"),
    "z in place of y": ("loss_and_gradients", "_loss(layers[-1]", "_loss(layers[-2]"),
    "words exchanged forward": ("loss_and_gradients", LAYERS, "_layers(W, b, x, hidden, activation)"),
    "words exchanged back": ("loss_and_gradients", BACK, "_backward(W, x, t, importance, layers, hidden, activation)"),
}

AT_ZERO = {  # right everywhere but at the kinks
    "a slope of one": ("tables", "lambda z: z > 0", "lambda z: z >= 0"),
    "a slope of one half": ("tables", "lambda z: z > 0", "lambda z: np.heaviside(z, 0.5)"),
    "a slope of one in the output": ("_backward", OUTPUT_MASK, 'dz = dy * (z >= 0 if activation == "relu" else 1)'),
    "a slope of one in the neurons": ("_backward", HIDDEN_MASK, 'da = dh * (a >= 0 if hidden == "relu" else 1)'),
}

GRADIENTS = {name: ("_backward", *edit) for name, edit in BACKWARD.items()} | SLOPES_AND_CALLS | FORWARD
MODELS = FORWARD | LOSS
assert len(GRADIENTS) == len(BACKWARD) + len(SLOPES_AND_CALLS) + len(FORWARD), "two mutants of one name"


def mutated(where, old, new):
    """`minitms.model` with one piece of one function replaced, or of the tables of activations and slopes."""
    start = SOURCE.index("ACTIVATIONS =" if where == "tables" else f"\ndef {where}(")
    end = SOURCE.find("\n\n\n", start + 1)
    section = SOURCE[start:end] if end > 0 else SOURCE[start:]
    assert section.count(old) == 1, f"{old!r} stands {section.count(old)} times in {where}"
    edited = SOURCE[:start] + SOURCE[start:].replace(old, new, 1)
    mutant = types.ModuleType("mutant")
    exec(compile(edited, "<mutant of minitms.model>", "exec"), vars(mutant))
    return mutant


def put_to_the_test(check, chains):
    """Run the property as the tests do; no shrinking, as nobody reads the failure."""

    @settings(max_examples=300, phases=[Phase.generate], report_multiple_bugs=False)
    @given(chains)
    def holds(chain):
        check(chain)

    holds()


def gradient(mutant, check=check_backward):
    return lambda chain: check(mutant.backward, chain)


def equations(mutant):
    return lambda chain: check_equations(mutant.forward, mutant.loss, chain)


def together(mutant):
    """`loss_and_gradients` is `loss` and `backward`."""

    def check(chain):
        arguments = chain._asdict()
        L, dW, db = mutant.loss_and_gradients(**arguments)
        expected = {"L": mutant.loss(**arguments), **strategies.named(*mutant.backward(**arguments))}
        for name, got in {"L": L, **strategies.named(dW, db)}.items():
            if not (got == expected[name]).all():
                raise WrongGradientError(name)

    return check


def test_the_true_model_passes():
    true = mutated("_backward", "x.shape[-2]", "(x.shape[-2])")
    for chains in (CHAINS, PLAIN):
        put_to_the_test(gradient(true), chains)
    put_to_the_test(gradient(true, check_kinks), KINKS)
    put_to_the_test(equations(true), ALONE)
    put_to_the_test(together(true), CHAINS)


@pytest.mark.parametrize("name", GRADIENTS)
def test_a_wrong_gradient_is_noticed(name):
    mutant = mutated(*GRADIENTS[name])
    with pytest.raises(WrongGradientError):
        put_to_the_test(gradient(mutant), CHAINS)


@pytest.mark.parametrize("name", GRADIENTS)
def test_a_wrong_gradient_is_noticed_by_the_check_that_users_have(name):
    mutant = mutated(*GRADIENTS[name])
    with pytest.raises((GradientError, ValueError)):  # a ValueError where the shapes do not even multiply
        put_to_the_test(gradient(mutant, check_by_the_public_tool), CHAINS)


@pytest.mark.parametrize("name", MODELS)
def test_a_wrong_model_is_noticed(name):
    mutant = mutated(*MODELS[name])
    with pytest.raises((WrongModelError, ValueError)):
        put_to_the_test(equations(mutant), ALONE)


@pytest.mark.parametrize("name", TOGETHER)
def test_a_wrong_call_in_one_is_noticed(name):
    with pytest.raises(WrongGradientError):
        put_to_the_test(together(mutated(*TOGETHER[name])), CHAINS)


@pytest.mark.parametrize("name", AT_ZERO)
def test_another_slope_at_the_kink_is_noticed(name):
    with pytest.raises(WrongGradientError, match="with no slope at exactly 0"):
        put_to_the_test(gradient(mutated(*AT_ZERO[name]), check_kinks), KINKS)
