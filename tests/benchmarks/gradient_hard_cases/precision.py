"""Right gradients of losses that have lost digits: float32 somewhere inside, and large offsets."""

import numpy as np

from .case import HardCase, double, family, logsumexp, single, softmax

FLOAT32 = "float32 inside"
OFFSET = "large offset"


@family(FLOAT32)
def one_root_in_float32(random):
    size = random.integers(1, 30)
    x, weight = random.uniform(0.1, 3, size), random.uniform(0.5, 2, size)
    return HardCase(
        lambda x: (weight * double(np.sqrt(single(x)))).sum(), lambda x: weight / (2 * np.sqrt(x)), x, None,
        {"the 2 forgotten": lambda x: weight / np.sqrt(x)},
    )


@family(FLOAT32)
def matrix_product_in_float32(random):
    batch, inputs, outputs = random.integers(1, 12, 3)
    X, y = double(single(random.normal(size=(batch, inputs)))), random.normal(size=(batch, outputs))
    W = random.normal(size=(inputs, outputs))

    def residual(W):
        return double(single(X) @ single(W)) - y  # the data are float32 numbers, the weights are not

    return HardCase(
        lambda W: (residual(W) ** 2).mean(), lambda W: 2 * X.T @ (X @ W - y) / y.size, W, None,
        {"the mean over the batch only": lambda W: 2 * X.T @ (X @ W - y) / batch,
         "the target forgotten": lambda W: 2 * X.T @ (X @ W) / y.size},
    )


@family(FLOAT32)
def exponential_in_float32(random):
    size = random.integers(1, 30)
    x, weight = random.normal(size=size), random.uniform(0.5, 2, size)
    return HardCase(
        lambda x: (weight * double(np.exp(single(-x * x)))).sum(), lambda x: -2 * weight * x * np.exp(-x * x), x, None,
        {"the inner derivative forgotten": lambda x: weight * np.exp(-x * x)},
    )


@family(FLOAT32)
def softmax_in_float32(random):
    batch, classes = random.integers(1, 10), random.integers(2, 8)
    z, Y = 2 * random.normal(size=(batch, classes)), np.eye(classes)[random.integers(classes, size=batch)]
    return HardCase(
        lambda z: double(logsumexp(single(z))).mean() - (Y * z).sum() / batch,
        lambda z: (softmax(z) - Y) / batch, z, None,
        {"no mean": lambda z: softmax(z) - Y},
    )


@family(FLOAT32)
def network_in_float32_with_a_double_loss(random):
    batch, inputs, hidden = random.integers(1, 10, 3)
    X, y = double(single(random.normal(size=(batch, inputs)))), random.normal(size=batch)
    W, b, v = random.normal(size=(inputs, hidden)), random.normal(size=hidden), random.normal(size=hidden)
    params = {"W": W, "b": b, "v": v}

    def loss(p):
        h = np.tanh(single(X) @ single(p["W"]) + single(p["b"]))
        return ((double(h) @ p["v"] - y) ** 2).sum()

    def gradient(p, slope=lambda h: 1 - h * h):
        h = np.tanh(X @ p["W"] + p["b"])
        dout = 2 * (h @ p["v"] - y)
        dz = np.outer(dout, p["v"]) * slope(h)
        return {"W": X.T @ dz, "b": dz.sum(0), "v": h.T @ dout}

    return HardCase(loss, gradient, params, None, {"the slope of tanh is 1": lambda p: gradient(p, np.ones_like)})


@family(FLOAT32)
def pixels_kept_in_float32(random):
    """Differences of a signal that was cast on its way in."""
    size = random.integers(3, 40)
    x = random.uniform(0, 255, size)

    def gradient(x):
        d = x[1:] - x[:-1]
        return 2 * (np.concatenate([[0], d]) - np.concatenate([d, [0]]))

    return HardCase(
        lambda x: ((double(single(x))[1:] - double(single(x))[:-1]) ** 2).sum(), gradient, x, None,
        {"one of both neighbours": lambda x: 2 * np.concatenate([[0], x[1:] - x[:-1]])},
    )


@family(FLOAT32)
def sum_in_float32(random):
    size = random.integers(2, 200)
    x = random.normal(size=size)
    return HardCase(
        lambda x: double(single(np.cos(x)).sum()), lambda x: -np.sin(x), x, None, {"the sign": np.sin}
    )


# Offsets: in the loss, under a square, in the parameters, in the data.


@family(OFFSET)
def constant_added_to_the_loss(random):
    size, offset = random.integers(1, 20), random.choice([-1, 1]) * 10.0 ** random.integers(3, 16)
    x = random.normal(size=size)
    return HardCase(
        lambda x: offset + np.sin(x).sum(), np.cos, x, None, {"twice": lambda x: 2 * np.cos(x), "sine": np.sin}
    )


@family(OFFSET)
def large_targets(random):
    """Incomes, populations: the squares of the residuals are 1e6 to 1e24."""
    batch, inputs, level = random.integers(3, 20), random.integers(1, 6), 10.0 ** random.uniform(3, 12)
    X, w = random.normal(size=(batch, inputs)), random.normal(size=inputs)
    y = level * (1 + 0.1 * random.normal(size=batch))
    return HardCase(
        lambda w: ((X @ w - y) ** 2).mean(), lambda w: 2 * X.T @ (X @ w - y) / batch, w, None,
        {"the sign of the target": lambda w: 2 * X.T @ (X @ w + y) / batch},
    )


@family(OFFSET)
def centred_by_hand(random):
    """Parameters of 1e3 to 1e5 whose differences matter."""
    size, offset = random.integers(2, 12), 10.0 ** random.integers(3, 6)
    x = offset + random.normal(size=size)
    return HardCase(
        lambda x: ((x - x.mean()) ** 2).sum(), lambda x: 2 * (x - x.mean()), x, None,
        {"not centred": lambda x: 2 * x, "the mean over n": lambda x: 2 * (x - x.mean()) / size},
    )


@family(OFFSET)
def free_energy_of_a_large_system(random):
    size, particles = random.integers(2, 10), 10.0 ** random.integers(3, 12)
    x = random.uniform(0.1, 1, size)
    return HardCase(
        lambda x: particles * np.log(particles) + (x * np.log(x)).sum() - x.sum(), np.log, x, None,
        {"the last term forgotten": lambda x: np.log(x) + 1},
    )


@family(OFFSET)
def variance_by_the_difference_of_squares(random):
    size, offset = random.integers(2, 12), 10.0 ** random.integers(1, 5)
    x = offset + random.normal(size=size)
    return HardCase(
        lambda x: (x * x).mean() - x.mean() ** 2, lambda x: 2 * (x - x.mean()) / size, x, None,
        {"the mean is a constant": lambda x: 2 * x / size},
    )


@family(OFFSET)
def penalty_beside_a_small_loss(random):
    """A penalty of 1e3 to 1e9 by one parameter hides the others."""
    size, strength = random.integers(1, 8), 10.0 ** random.integers(3, 10)
    params = {"w": random.normal(size=size), "scale": np.array(1 + random.uniform())}
    return HardCase(
        lambda p: np.tanh(p["w"]).sum() * p["scale"] + strength * (p["scale"] - 3) ** 2,
        lambda p: {"w": p["scale"] * (1 - np.tanh(p["w"]) ** 2),
                   "scale": np.tanh(p["w"]).sum() + 2 * strength * (p["scale"] - 3)}, params, None,
        {"the scale forgotten": lambda p: {"w": 1 - np.tanh(p["w"]) ** 2,
                                            "scale": np.tanh(p["w"]).sum() + 2 * strength * (p["scale"] - 3)}},
    )
