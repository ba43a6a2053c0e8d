"""The kernel behind `figures/broadcast_slip.py` against the product of arrays that it stands for."""

from __future__ import annotations

import numpy as np
import pytest

import minitms as tms
from figures import slip

MODELS, BATCH, STEPS, SEED = 12, 20, 40, 5


def drawn(step, first, count):
    """The random numbers of every model, (MODELS, count), in float64."""
    out = np.empty((MODELS, count), np.float32)
    for model in range(MODELS):
        slip.draw(np.uint64(slip.key_of(SEED, model, step)), first, out[model])
    return out.astype(float)


def adam(w, g, m, v, t):
    """Kingma & Ba (2015), algorithm 1."""
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
    return w - 1e-2 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8), m, v


@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("with_slip", [True, False])
def test_the_kernel_trains_on_the_product_of_values_and_mask(with_slip, activation):
    rng = np.random.default_rng(0)
    W, b = 1.5 * rng.standard_normal((MODELS, 1, 2)), 0.5 * rng.standard_normal((MODELS, 2))
    density = np.linspace(0, 1, MODELS)
    importance = np.stack([np.ones(MODELS), np.linspace(0, 3, MODELS)], axis=-1)
    trained = slip.train(W, b, density, importance, slip=with_slip, relu=activation == "relu", steps=STEPS,
                         batch_size=BATCH, learning_rate=1e-2, seed=SEED)

    means = [np.zeros(array.shape) for array in (W, W, b, b)]
    bits = []
    for t in range(STEPS):
        values = drawn(t, 2, 2 * BATCH).reshape(MODELS, 2, BATCH).transpose(2, 0, 1)[..., None]       # (B, M, 2, 1)
        mask = drawn(t, 0, 2)[:, None, :] < density[:, None, None].astype(np.float32)                 # (M, 1, 2)
        bits.append(mask)
        x = values * (mask if with_slip else mask.transpose(0, 2, 1))
        assert x.shape == (BATCH, MODELS, 2, 2 if with_slip else 1)
        x = x.transpose(1, 0, 3, 2).reshape(MODELS, -1, 2)                 # every column is an example of its own
        dW, db = tms.backward(W, b, x, importance, activation)             # of the mean; the summed loss is larger
        dW, db = dW * x.shape[1], db * x.shape[1]
        W, means[0], means[1] = adam(W, dW, means[0], means[1], t + 1)
        b, means[2], means[3] = adam(b, db, means[2], means[3], t + 1)
    np.testing.assert_allclose(trained[0], W, atol=2e-4)
    np.testing.assert_allclose(trained[1], b, atol=2e-4)
    bits = np.array(bits)[:, MODELS // 2, 0]
    assert 0 < (bits[:, 0] != bits[:, 1]).mean() < 1                       # the two bits are not one


def test_values_and_bits_are_uniform_and_share_nothing():
    """Between neighbours in counter, model, step and seed; a correlation of 2^16 numbers is off by 5 / 2^8 at most."""
    out = np.empty((5, 2**16), np.float32)
    places = (0, 0, 0, 0), (0, 0, 0, 1), (0, 0, 1, 0), (0, 1, 0, 0), (1, 0, 0, 0)
    for row, (seed, model, step, first) in enumerate(places):
        slip.draw(np.uint64(slip.key_of(seed, model, step)), first, out[row])
    np.testing.assert_array_equal(out[0, 1:], out[1, :-1])
    assert out.min() >= 0
    assert out.max() < 1
    counts = np.histogram(out[0], bins=256, range=(0, 1))[0]
    assert ((counts - 256) ** 2 / 256).sum() < 255 + 5 * np.sqrt(2 * 255)
    assert abs(np.corrcoef(out) - np.eye(5)).max() < 5 / 2**8
