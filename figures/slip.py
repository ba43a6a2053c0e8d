"""Training with one mask a batch, with and without the slip of broadcasting; `broadcast_slip` tells the story.

Both kinds of data take one product of values and mask for a whole batch of B examples and M models:

    slip        values (B, M, 2, 1) * mask (M, 1, 2) -> (B, M, 2, 2)    two columns; bit c turns on all of column c
    no slip     values (B, M, 2, 1) * mask (M, 2, 1) -> (B, M, 2, 1)    one column; bit i turns on feature i

Every example of a batch has the same mask. So with k of the two bits on, the gradient of the slip is that of k batches
with both features on and of 2 - k batches of zeros, and no column has to be computed twice.

The values are those that `minitms.features.uniforms` draws for (seed, model, step); the bits have their own stream.
"""

from __future__ import annotations

import numpy as np

from minitms._draw import draw, jit, stream_key
from minitms._one_neuron import TINY
from minitms._threads import Threads
from minitms.adam import adam_update, fixed_numbers, learning_rates, step_sizes
from minitms.features import TRAINING

MASKS = 3  # the stream of the bits, beside those of minitms.features
GROUP = 1024  # models between two looks at Ctrl-C


def train(W, b, density, importance, *, slip, relu, steps, batch_size, learning_rate, seed):
    """Train one-neuron models of two features by Adam on the summed loss, with one mask a batch.

    Parameters
    ----------
    W, b : arrays of shape (..., 1, 2) and (..., 2), the start
    density, importance : arrays that broadcast to (...) and (..., 2)
    slip : bool
        See the head of this file.
    relu : bool
    steps, batch_size, learning_rate : int, int, float
    seed : int

    Returns
    -------
    W, b : float64 arrays of the same shapes; trained in float32
    """
    stack = b.shape[:-1]
    x = np.concatenate([W[..., 0, :], b], axis=-1, dtype=np.float32).reshape(-1, 4)
    density = np.broadcast_to(density, stack).reshape(-1).astype(np.float32)
    costs = np.broadcast_to(2 * importance, (*stack, 2)).reshape(-1, 2).astype(np.float32)
    sizes = step_sizes(learning_rates("constant", learning_rate, steps), 0, steps, np.float32)
    rest = x, density, costs, sizes, fixed_numbers(0.0, np.float32), slip, relu, batch_size, seed
    with Threads() as threads:
        for start in range(0, len(x), GROUP):
            threads.share(lambda first, last, start=start: train_models(start + first, start + last, *rest),
                          min(GROUP, len(x) - start))
    x = x.astype(np.float64)
    return x[:, :2].reshape(*stack, 1, 2), x[:, 2:].reshape(*stack, 2)


@jit
def train_models(first, last, x, density, costs, sizes, fixed, slip, relu, batch, seed):
    """Advance models first .. last - 1 by ``len(sizes)`` steps, in place; x (K, 4) holds w_1, w_2, b_1, b_2 of each."""
    one, two = np.float32(1), np.float32(2)
    off, tiny = np.float32(0), np.float32(TINY)
    floor = off if relu else np.float32(-np.inf)
    always, values, bits = np.ones(2, np.float32), np.empty((2, batch), np.float32), np.empty((2, 1), np.float32)
    means, squares = np.empty(4, np.float32), np.empty(4, np.float32)
    gradient = np.empty(4, np.float32)
    for model in range(first, last):
        means[:] = 0
        squares[:] = 0
        c1, c2 = costs[model, 0], costs[model, 1]
        for t in range(sizes.shape[0]):
            w1, w2, b1, b2 = x[model, 0], x[model, 1], x[model, 2], x[model, 3]
            draw(stream_key(seed, MASKS, model, t), 0, 1, always, always, bits)
            bit1 = one if bits[0, 0] < density[model] else off
            bit2 = one if bits[1, 0] < density[model] else off
            # Batches with something on, and batches of zeros
            full = bit1 + bit2 if slip else max(bit1, bit2)
            empty = (two if slip else one) - full
            on1, on2 = (one, one) if slip else (bit1, bit2)
            a11, a12, a21, a22, e1, e2 = off, off, off, off, off, off      # the sums of minitms._one_neuron
            if full > off:
                draw(stream_key(seed, TRAINING, model, t), 0, batch, always, always, values)
                for k in range(batch):
                    x1, x2 = values[0, k] * on1, values[1, k] * on2
                    h = w1 * x1 + w2 * x2
                    z1, z2 = h * w1 + b1, h * w2 + b2
                    d1 = z1 - x1 if z1 > floor else off
                    d2 = z2 - x2 if z2 > floor else off
                    a11 += d1 * x1
                    a12 += d1 * x2
                    a21 += d2 * x1
                    a22 += d2 * x2
                    e1 += d1
                    e2 += d2
            zeros = empty * np.float32(batch)
            e1 = full * e1 + (zeros * b1 if b1 > floor else off)
            e2 = full * e2 + (zeros * b2 if b2 > floor else off)
            crossed = full * (c1 * a12 + c2 * a21)
            gradient[0] = full * two * c1 * w1 * a11 + w2 * crossed
            gradient[1] = full * two * c2 * w2 * a22 + w1 * crossed
            gradient[2] = c1 * e1
            gradient[3] = c2 * e2
            size = (sizes[t, 0], sizes[t, 1], sizes[t, 2])
            for p in range(4):
                moved, mean, square = adam_update(x[model, p], gradient[p], means[p], squares[p], size,
                                                  (fixed[0], fixed[1], fixed[2], fixed[3]))
                x[model, p] = moved
                means[p] = mean if abs(mean) > tiny else off                # subnormal numbers are slow
                squares[p] = square
