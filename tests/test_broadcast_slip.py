"""The kernel behind `figures/broadcast_slip.py` against the product of arrays that it stands for."""

from __future__ import annotations

import numpy as np
import pytest

import minitms as tms
from figures import slip
from minitms.adam import adam_update, fixed_numbers, learning_rates, step_sizes
from minitms.features import TRAINING, uniforms

MODELS, BATCH, STEPS, SEED = 12, 20, 40, 5


@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("with_slip", [True, False])
def test_the_kernel_trains_on_the_product_of_values_and_mask(with_slip, activation):
    rng = np.random.default_rng(0)
    W, b = 1.5 * rng.standard_normal((MODELS, 1, 2)), 0.5 * rng.standard_normal((MODELS, 2))
    density = np.linspace(0, 1, MODELS)
    importance = np.stack([np.ones(MODELS), np.linspace(0, 3, MODELS)], axis=-1)
    trained = slip.train(W, b, density, importance, slip=with_slip, relu=activation == "relu", steps=STEPS,
                         batch_size=BATCH, learning_rate=1e-2, seed=SEED)

    rule = getattr(adam_update, "py_func", adam_update)
    sizes = step_sizes(learning_rates("constant", 1e-2, STEPS), 0, STEPS, np.float64)
    means = [np.zeros(array.shape) for array in (W, W, b, b)]
    bits = []
    for t in range(STEPS):
        values = uniforms(SEED, TRAINING, np.arange(MODELS), t, BATCH, 2, "float32").astype(float)    # (M, B, 2)
        values = values.transpose(1, 0, 2)[..., None]                                                 # (B, M, 2, 1)
        u = uniforms(SEED, slip.MASKS, np.arange(MODELS), t, 1, 2, "float32")                         # (M, 1, 2)
        mask = u < density[:, None, None].astype(np.float32)
        bits.append(mask)
        x = values * (mask if with_slip else mask.transpose(0, 2, 1))
        assert x.shape == (BATCH, MODELS, 2, 2 if with_slip else 1)
        x = x.transpose(1, 0, 3, 2).reshape(MODELS, -1, 2)                 # every column is an example of its own
        dW, db = tms.backward(W, b, x, importance, activation)             # of the mean; the summed loss is larger
        dW, db = dW * x.shape[1], db * x.shape[1]
        W, means[0], means[1] = rule(W, dW, means[0], means[1], sizes[t], fixed_numbers(0.0, np.float64))
        b, means[2], means[3] = rule(b, db, means[2], means[3], sizes[t], fixed_numbers(0.0, np.float64))
    np.testing.assert_allclose(trained[0], W, atol=2e-4)
    np.testing.assert_allclose(trained[1], b, atol=2e-4)
    bits = np.array(bits)[:, MODELS // 2, 0]
    assert 0 < (bits[:, 0] != bits[:, 1]).mean() < 1                       # the two bits are not one
