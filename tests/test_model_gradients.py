"""The gradient of every model of the paper: against finite differences, PyTorch, its own past, and the symmetries."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minitms as tms
from minitms.testing import strategies
from minitms.weights import Weights, each
from tests.gradient_properties import (
    NotDifferentiableError,
    check_backward,
    check_by_the_public_tool,
    check_kinks,
    encoder_and_decoder,
    numerical_gradients,
    results,
)

PLAIN = strategies.chains(stack=strategies.stacks(), **strategies.PLAIN)
CHAINS = PLAIN | strategies.chains(stack=strategies.stacks())
ALONE = strategies.chains(**strategies.PLAIN) | strategies.chains()
WORDS = ("linear", "relu")
twice = settings(max_examples=120)  # half of them for the plain model
close = np.testing.assert_allclose


def compare(got, expected, rtol=1e-9, atol=1e-9):
    """Loss and gradients by name, each relative to its largest entry."""
    assert list(got) == list(expected)
    for name in got:
        close(got[name], expected[name], rtol=rtol, atol=atol * max(1, abs(expected[name]).max()), err_msg=name)


def moved(gradients, weights, bias=lambda b: b):
    """The results with functions applied to the gradients by the weights and by the bias."""
    functions = {"L": lambda L: L, "b": bias}
    return {name: functions.get(name, weights)(value) for name, value in gradients.items()}


# ------------------------------------------------------------------------------------------------ finite differences


@pytest.mark.plain_python
@settings(max_examples=600)
@given(CHAINS)
def test_backward_is_the_slope_of_the_loss(chain):
    check_backward(tms.backward, chain)


@twice
@given(CHAINS)
def test_backward_passes_the_check_that_users_have(chain):
    check_by_the_public_tool(tms.backward, chain)


@pytest.mark.parametrize(("activation", "hidden", "tied"), list(itertools.product(WORDS, WORDS, (True, False))))
def test_a_large_model(activation, hidden, tied):
    rng = np.random.default_rng(3)
    E, D = rng.normal(size=(4, 30)) / 5, rng.normal(size=(4, 30)) / 5
    b, x, importance = rng.normal(size=30) / 5, rng.uniform(-1, 1, (7, 30)), rng.random(30)
    for target in (None, abs(x), rng.random((7, 30))):
        W = E if tied else Weights(E, D)
        check_backward(tms.backward, strategies.Chain(W, b, x, importance, activation, hidden, target))


@settings(max_examples=300)
@given(strategies.chains(kinks=True, stack=strategies.stacks()))
def test_the_slope_of_a_relu_at_zero_counts_as_zero(chain):
    assert all((values == 0).any() for values in chain.pre_activations().values())
    check_kinks(tms.backward, chain)


def test_at_the_kink_no_gradient_reaches_W():
    """W = (1, -1), x = (0.5, 0.5): h = 0, so z = b = 0 in both. With a slope of 1 there, dW would be (0.5, 0.5)."""
    dW, db = tms.backward([[1.0, -1.0]], [0.0, 0.0], [[0.5, 0.5]], [1.0, 2.0])
    assert dW.tolist() == [[0, 0]]
    assert db.tolist() == [0, 0]


def test_at_the_kink_of_a_neuron_no_gradient_reaches_its_encoder():
    """E = (1, -1), x = (0.5, 0.5): a = 0 = h, z = b = (1, 1), dz = 2 (1 - 0.5) = (1, 1). Slope 1 would give dE = 1."""
    E, D, x = np.array([[1.0, -1.0]]), np.array([[1.0, 1.0]]), np.array([[0.5, 0.5]])
    dW, db = tms.backward((E, D), [1.0, 1.0], x, hidden="relu")
    assert dW.encoder.tolist() == [[0, 0]]
    assert dW.decoder.tolist() == [[0, 0]]
    assert db.tolist() == [1, 1]
    dW, _ = tms.backward((E, D), [1.0, 1.0], x, hidden="linear")
    assert dW.encoder.tolist() == [[1, 1]]


@pytest.mark.parametrize(("W", "b", "hidden"), [(0.0, 0.0, "linear"), (0.0, 1.0, "relu")])
def test_finite_differences_say_so_at_a_kink(W, b, hidden):
    chain = strategies.Chain(
        np.full((1, 2), W), np.full(2, b), np.full((1, 2), 0.5), np.ones(2), "relu", hidden, None
    )
    with pytest.raises(NotDifferentiableError, match=r"pre-activation 0 .* the smallest is 0"):
        numerical_gradients(chain)


# ------------------------------------------------------------------------------------------- other implementations


@settings(max_examples=180)
@given(CHAINS)
def test_backward_is_pytorch_s_gradient(chain):
    torch = pytest.importorskip("torch")
    params = {name: torch.tensor(array, requires_grad=True) for name, array in chain.params.items()}
    E, D = (params["W"], params["W"]) if "W" in params else (params["encoder"], params["decoder"])
    x, importance = torch.tensor(chain.x), torch.tensor(chain.importance)
    t = x if chain.target is None else torch.tensor(chain.target)
    functions = {"relu": torch.relu, "linear": lambda z: z}
    h = functions[chain.hidden](torch.einsum("...ki,...ei->...ek", E, x))
    y = functions[chain.activation](torch.einsum("...ki,...ek->...ei", D, h) + params["b"][..., None, :])
    loss = (importance[..., None, :] * (y - t) ** 2).sum(dim=-1).mean(dim=-1)
    loss.sum().backward()
    expected = {"L": loss.detach().numpy(), **{name: tensor.grad.numpy() for name, tensor in params.items()}}
    compare(results(chain), expected, rtol=1e-12, atol=1e-12)


@twice
@given(CHAINS)
def test_loss_and_gradients_are_loss_and_backward(chain):
    arguments = chain._asdict()
    expected = {"L": tms.loss(**arguments), **strategies.named(*tms.backward(**arguments))}
    for name, got in results(chain).items():
        assert (got == expected[name]).all()


def first_model(W, b, x, importance, activation):
    """Loss and gradient of the plain model as they stood before there were others: the bits that are to stay."""
    importance = np.broadcast_to(importance, (*np.shape(importance)[:-1], W.shape[-1])).astype(W.dtype)[..., None, :]
    h = x @ W.mT
    z = h @ W + b[..., None, :]
    y = np.maximum(z, 0) if activation == "relu" else z
    dy = 2 * importance * (y - x) / x.shape[-2]
    dz = dy * (z > 0) if activation == "relu" else dy
    dW = h.mT @ dz + (dz @ W.mT).mT @ x
    return y, (importance * (y - x) ** 2).sum(axis=-1).mean(axis=-1), dW, dz.sum(axis=-2)


@settings(max_examples=300)
@given(
    st.integers(0, 2**32), st.tuples(*[st.integers(1, 40)] * 3), strategies.stacks(),
    st.sampled_from(["float32", "float64"]), st.sampled_from(WORDS), st.sampled_from("CF"),
)  # fmt: skip
def test_the_plain_model_keeps_its_bits(seed, sizes, stack, dtype, activation, order):
    rng = np.random.default_rng(seed)
    m, n, batch = sizes
    W, b, x = rng.normal(size=(*stack, m, n)), rng.normal(size=(*stack, n)), rng.random((*stack, batch, n))
    W, b, x = (array.astype(dtype, order=order) for array in (W, b, np.where(x < 0.6, 0, x)))
    importance = (1.0, rng.random(n), rng.random((*stack, n)))[seed % 3]
    expected = first_model(W, b, x, importance, activation)
    got = tms.forward(W, b, x, activation), *tms.loss_and_gradients(W, b, x, importance, activation)
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.dtype == theirs.dtype
        assert np.asarray(ours).tobytes() == np.asarray(theirs).tobytes()


@twice
@given(ALONE)
def test_a_tied_gradient_is_the_sum_of_the_gradients_of_a_pair(chain):
    """By encoder and decoder, where both are W: to the bit, since it is the same sum."""
    W, _ = encoder_and_decoder(chain.W)
    tied, pair = results(chain._replace(W=W)), results(chain._replace(W=(W, W.copy())))
    assert (tied["L"] == pair["L"]).all()
    assert (tied["b"] == pair["b"]).all()
    assert (tied["W"] == pair["decoder"] + pair["encoder"]).all()


# ------------------------------------------------------------------------------------------------------- symmetries


def target_of(chain, function):
    return None if chain.target is None else function(chain.target)


@twice
@given(CHAINS, st.randoms(use_true_random=False))
def test_permuting_the_features_permutes_the_gradient(chain, random):
    n = chain.b.shape[-1]
    order = random.sample(range(n), n)

    def permuted(array):
        return array[..., order]

    got = results(chain._replace(
        W=each(permuted, chain.W), b=permuted(chain.b), x=permuted(chain.x), importance=permuted(chain.importance),
        target=target_of(chain, permuted),
    ))  # fmt: skip
    compare(got, moved(results(chain), permuted, permuted))


@twice
@given(CHAINS, st.randoms(use_true_random=False))
def test_permuting_the_neurons_permutes_the_gradient(chain, random):
    m = encoder_and_decoder(chain.W)[0].shape[-2]
    order = random.sample(range(m), m)

    def permuted(array):
        return array[..., order, :]

    compare(results(chain._replace(W=each(permuted, chain.W))), moved(results(chain), permuted))


LINEAR = PLAIN | strategies.chains(hidden="linear", stack=strategies.stacks())


@twice
@given(LINEAR, st.integers(0, 2**32 - 1))
def test_rotating_a_linear_hidden_space_rotates_the_gradient(chain, seed):
    m = encoder_and_decoder(chain.W)[0].shape[-2]
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(m, m)))[0]

    def rotated(array):
        return rotation @ array

    compare(results(chain._replace(W=each(rotated, chain.W))), moved(results(chain), rotated))


def test_rotating_a_hidden_relu_changes_the_loss():
    """So the property above holds of nothing else: neurons are not as good as their mixtures."""
    rng = np.random.default_rng(0)
    W, b, x = rng.normal(size=(2, 5)), rng.normal(size=5), rng.random((7, 5))
    rotation = np.array([[0.6, -0.8], [0.8, 0.6]])
    assert abs(tms.loss(rotation @ W, b, x) - tms.loss(W, b, x)) < 1e-12
    assert abs(tms.loss(rotation @ W, b, x, hidden="relu") - tms.loss(W, b, x, hidden="relu")) > 1e-2


@given(strategies.chains(tied=False, stack=strategies.stacks()), st.integers(0, 2**32 - 1))
def test_an_untied_neuron_may_read_louder_and_write_softer(chain, seed):
    """By a positive factor each, which a ReLU lets through: E -> s E, D -> D / s keeps L and db."""
    E, D = chain.W
    factor = np.exp2(np.random.default_rng(seed).uniform(-2, 2, (E.shape[-2], 1)))
    before = results(chain)
    expected = before | {"encoder": before["encoder"] / factor, "decoder": before["decoder"] * factor}
    compare(results(chain._replace(W=Weights(factor * E, D / factor))), expected)


@twice
@given(CHAINS, st.floats(0.01, 100))
def test_scaling_the_importance_scales_loss_and_gradient(chain, factor):
    got, expected = results(chain._replace(importance=factor * chain.importance)), results(chain)
    for name in expected:
        close(got[name], factor * expected[name], rtol=1e-9, atol=1e-12 * max(1, factor * abs(expected[name]).max()))


@twice
@given(CHAINS)
def test_a_stack_is_each_model_alone(chain):
    whole = results(chain)
    for index in np.ndindex(chain.b.shape[:-1]):
        def one(array, index=index):
            return array[index]

        alone = results(chain._replace(
            W=each(one, chain.W), b=one(chain.b), x=one(chain.x), importance=one(chain.importance),
            target=target_of(chain, one),
        ))  # fmt: skip
        compare({name: value[index] for name, value in whole.items()}, alone, rtol=1e-12, atol=1e-12)


@twice
@given(ALONE, st.integers(2, 4))
def test_repeating_the_batch_changes_nothing(chain, times):
    def repeated(array):
        return np.tile(array, (times, 1))

    compare(results(chain._replace(x=repeated(chain.x), target=target_of(chain, repeated))), results(chain))


@twice
@given(strategies.chains(activation="relu", **strategies.PLAIN) | strategies.chains(activation="relu"))
def test_far_above_the_kink_relu_is_linear_and_far_below_it_is_dead(chain):
    far = 200 + 10 * abs(tms.forward(chain.W, chain.b, chain.x, "linear", hidden=chain.hidden)).max()
    above = chain._replace(b=chain.b + far)
    linear = results(above._replace(activation="linear"))
    assert all((got == linear[name]).all() for name, got in results(above).items())
    L, *gradients = results(chain._replace(b=chain.b - far)).values()
    t = chain.x if chain.target is None else chain.target
    close(L, (chain.importance * t**2).sum(axis=-1).mean(), rtol=1e-12, atol=1e-300)
    for gradient in gradients:
        assert (gradient == 0).all()


@given(strategies.chains(hidden="relu", signed=False, stack=strategies.stacks()))
def test_neurons_that_are_all_on_are_linear_and_those_that_are_all_off_teach_the_bias_only(chain):
    """Features are not negative here, so the sign of the encoder decides."""
    on, off = (chain._replace(W=each(lambda W, sign=sign: sign * abs(W), chain.W)) for sign in (1.0, -1.0))
    linear = results(on._replace(hidden="linear"))
    assert all((got == linear[name]).all() for name, got in results(on).items())
    for name, gradient in results(off).items():
        if name not in ("L", "b"):
            assert (gradient == 0).all()
