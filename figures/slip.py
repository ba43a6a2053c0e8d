"""Training with one mask a batch, with and without the slip of broadcasting; `broadcast_slip` tells the story.

Both kinds of data take one product of values and mask for a whole batch of B examples and M models:

    slip        values (B, M, 2, 1) * mask (M, 1, 2) -> (B, M, 2, 2)    two columns; bit c turns on all of column c
    no slip     values (B, M, 2, 1) * mask (M, 2, 1) -> (B, M, 2, 1)    one column; bit i turns on feature i

Every example of a batch has the same mask. So with k of the two bits on, the gradient of the slip is that of k batches
with both features on and of 2 - k batches of zeros, and no column has to be computed twice.

The package knows no such data, so this file stands by itself: its random numbers are a hash of (seed, model, step) and
a counter, of which the first two make the bits, and its gradient is that of one neuron with two features.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np

GROUP = 1024  # models of one task of a thread: about a second, for which Ctrl-C has to wait
BETA1, BETA2 = np.float32(0.9), np.float32(0.999)  # of Adam, whose ε is 1e-8
TINY = np.float32(1e-30)  # a running mean below counts as 0: a dead model's would become subnormal, which is slow


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
    t = np.arange(1, steps + 1)
    rates = (learning_rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)).astype(np.float32)     # both biases undone
    epsilons = (1e-8 * np.sqrt(1 - 0.999**t)).astype(np.float32)

    def work(first):
        last = min(first + GROUP, len(x))
        train_models(first, last, x, density, costs, rates, epsilons, slip, relu, batch_size, seed)

    with ThreadPoolExecutor(numba.get_num_threads()) as pool:
        list(pool.map(work, range(0, len(x), GROUP)))
    x = x.astype(np.float64)
    return x[:, :2].reshape(*stack, 1, 2), x[:, 2:].reshape(*stack, 2)


@numba.njit(nogil=True)
def mix(z):
    """SplitMix64: every bit of z moves every bit of the result."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@numba.njit(nogil=True)
def key_of(seed, model, step):
    """A hash of the three."""
    return mix(mix(mix(np.uint64(seed) + np.uint64(1)) + np.uint64(model)) + np.uint64(step))


@numba.njit(nogil=True)
def draw(key, first, out):
    """Fill `out` with the uniform numbers first, first + 1, ... of this key: a hash of a counter, in 32 bits."""
    low, high = np.uint32(key), np.uint32(key >> np.uint64(32))
    for i in range(out.size):
        z = np.uint32(low + np.uint32(first + i + 1) * (high | np.uint32(1)))
        z = np.uint32((z ^ (z >> np.uint32(16))) * np.uint32(0x7FEB352D))
        z = np.uint32((z ^ high ^ (z >> np.uint32(15))) * np.uint32(0x846CA68B))
        out[i] = np.float32((z ^ (z >> np.uint32(16))) >> np.uint32(8)) * np.float32(2.0**-24)


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def train_models(first, last, x, density, costs, rates, epsilons, slip, relu, batch, seed):
    """Train models first .. last - 1, in place; x (K, 4) holds w_1, w_2, b_1, b_2 of each."""
    one, two, off = np.float32(1), np.float32(2), np.float32(0)
    floor = off if relu else np.float32(-np.inf)
    values, bits = np.empty(2 * batch, np.float32), np.empty(2, np.float32)
    values1, values2 = values[:batch], values[batch:]
    means, squares, gradient = np.empty(4, np.float32), np.empty(4, np.float32), np.empty(4, np.float32)
    for model in range(first, last):
        means[:] = 0
        squares[:] = 0
        c1, c2 = costs[model, 0], costs[model, 1]
        for t in range(rates.size):
            w1, w2, b1, b2 = x[model, 0], x[model, 1], x[model, 2], x[model, 3]
            key = key_of(seed, model, t)
            draw(key, 0, bits)
            bit1 = one if bits[0] < density[model] else off
            bit2 = one if bits[1] < density[model] else off
            # Batches with something on, and batches of zeros
            full = bit1 + bit2 if slip else max(bit1, bit2)
            empty = (two if slip else one) - full
            on1, on2 = (one, one) if slip else (bit1, bit2)
            a11, a12, a21, a22, e1, e2 = off, off, off, off, off, off      # Σ e_i x_j and Σ e_i over the batch
            if full > off:
                draw(key, 2, values)
                for k in range(batch):
                    x1, x2 = values1[k] * on1, values2[k] * on2
                    h = w1 * x1 + w2 * x2
                    z1, z2 = h * w1 + b1, h * w2 + b2
                    d1 = z1 - x1 if z1 > floor else off                    # e_i = (y_i - x_i) [z_i > 0]
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
            for p in range(4):
                mean = BETA1 * means[p] + (one - BETA1) * gradient[p]
                means[p] = mean if abs(mean) > TINY else off
                squares[p] = BETA2 * squares[p] + (one - BETA2) * gradient[p] * gradient[p]
                x[model, p] -= rates[t] * means[p] / (np.sqrt(squares[p]) + epsilons[t])
