"""Right gradients so near a kink that a usual step crosses it, and losses that are flat or stepped."""

import numpy as np

from .case import HardCase, absolute, family, softmax

NEAR = "near a kink"
STEPPED = "flat or stepped loss"


def distance(random):
    """From the kink, on either side of it."""
    return random.choice([-1.0, 1.0]) * 10.0 ** random.uniform(-11, -4)


def at_times(random, kinks):
    """Half of the users give `kinks`."""
    return kinks if random.uniform() < 0.5 else None


def other_side(z):
    """The mask of a ReLU as it is on the other side of the nearest kink."""
    mask = z > 0
    nearest = np.unravel_index(np.abs(z).argmin(), z.shape)
    mask[nearest] = ~mask[nearest]
    return mask


@family(NEAR)
def relu_layer(random):
    rows, inputs = random.integers(2, 8), random.integers(1, 6)
    X, w, weight = random.normal(size=(rows, inputs)), random.normal(size=inputs), random.uniform(0.5, 2, rows)
    b = random.normal(size=rows)
    b[0] = distance(random) - (X @ w)[0]

    def z(p):
        return X @ p + b

    def gradient(p, on=lambda z: z > 0):
        return X.T @ (weight * on(z(p)))

    return HardCase(
        lambda p: (weight * np.maximum(z(p), 0)).sum(), gradient, w, at_times(random, z),
        {"the mask of the other side": lambda p: gradient(p, other_side), "no mask": lambda p: X.T @ weight},
    )


@family(NEAR)
def two_layer_relu_network(random):
    batch, inputs, hidden = random.integers(1, 8, 3)
    X, y = random.normal(size=(batch, inputs)), random.normal(size=batch)
    W, b, v = random.normal(size=(inputs, hidden)), random.normal(size=hidden), random.normal(size=hidden)
    params = {"W": W, "b": b, "v": v}
    params["b"][0] += distance(random) - (X @ params["W"] + params["b"])[0, 0]

    def z(p):
        return X @ p["W"] + p["b"]

    def gradient(p, on=lambda z: z > 0):
        h = np.maximum(z(p), 0)
        dout = 2 * (h @ p["v"] - y) / batch
        dz = np.outer(dout, p["v"]) * on(z(p))
        return {"W": X.T @ dz, "b": dz.sum(0), "v": h.T @ dout}

    return HardCase(
        lambda p: ((np.maximum(z(p), 0) @ p["v"] - y) ** 2).mean(), gradient, params, at_times(random, z),
        {"no mask": lambda p: gradient(p, np.ones_like)},
    )


@family(NEAR)
def lasso(random):
    size = random.integers(1, 30)
    w, target, strength = random.normal(size=size), random.normal(size=size), random.uniform(0.1, 2)
    w[random.integers(size)] = distance(random)
    return HardCase(
        lambda w: ((w - target) ** 2).sum() / 2 + strength * absolute(w).sum(),
        lambda w: w - target + strength * np.sign(w), w, at_times(random, lambda w: w),
        {"the penalty of the square": lambda w: w - target + strength * w},
    )


@family(NEAR)
def hinge_of_a_support_vector_machine(random):
    batch, inputs = random.integers(2, 20), random.integers(1, 6)
    X, y = random.normal(size=(batch, inputs)), random.choice([-1.0, 1.0], batch)
    w = random.normal(size=inputs)
    b = np.array(y[0] * (1 - distance(random)) - X[0] @ w)

    def slack(p):
        return 1 - y * (X @ p[0] + p[1])

    def gradient(p):
        active = y * (slack(p) > 0) / batch
        return p[0] - X.T @ active, np.array(-active.sum())

    return HardCase(
        lambda p: (p[0] * p[0]).sum() / 2 + np.maximum(slack(p), 0).mean(), gradient, (w, b), at_times(random, slack),
        {"the margin is 0": lambda p: (p[0] - X.T @ (y * (slack(p) > 1)) / batch, gradient(p)[1])},
    )


@family(NEAR)
def max_pooling(random):
    rows, width = random.integers(1, 6), random.integers(2, 6)
    x, weight = random.normal(size=(rows, width)), random.normal(size=rows)
    first, second = np.argsort(x[0])[[-1, -2]]
    x[0, second] = x[0, first] + distance(random)
    return HardCase(
        lambda x: (weight * x.max(1)).sum(),
        lambda x: weight[:, None] * (np.arange(width) == x.argmax(1)[:, None]), x, None,
        {"the least in place of the largest": lambda x: weight[:, None] * (np.arange(width) == x.argmin(1)[:, None]),
         "shared among all": lambda x: np.outer(weight, np.ones(width)) / width},
    )


@family(NEAR)
def huber_regression(random):
    batch, inputs, delta = random.integers(2, 20), random.integers(1, 6), random.uniform(0.3, 2)
    X, w = random.normal(size=(batch, inputs)), random.normal(size=inputs)
    y = random.normal(size=batch)
    y[0] = (X @ w)[0] - delta - distance(random)

    def loss(w):
        r = absolute(X @ w - y)
        return np.where(r.real < delta, r * r / 2, delta * (r - delta / 2)).mean()

    def gradient(w, bound=delta):
        return X.T @ np.clip(X @ w - y, -bound, bound) / batch

    return HardCase(
        loss, gradient, w, None,
        {"not clipped": lambda w: gradient(w, np.inf), "no mean": lambda w: batch * gradient(w)},
    )


@family(NEAR)
def leaky_relu(random):
    shape, slope = random.integers(1, 8, 2), random.choice([0.01, 0.1, 0.3])
    z, target = random.normal(size=shape), random.normal(size=shape)
    z.flat[0] = distance(random)

    def act(z):
        return np.where(z.real > 0, z, slope * z)

    def gradient(z, slope=slope):
        return 2 * (act(z) - target) * np.where(z > 0, 1, slope)

    return HardCase(
        lambda z: ((act(z) - target) ** 2).sum(), gradient, z, at_times(random, lambda z: z),
        {"the slope of a ReLU": lambda z: gradient(z, 0.0)},
    )


@family(NEAR)
def hard_tanh(random):
    size = random.integers(1, 20)
    z, weight = random.normal(size=size), random.uniform(0.5, 2, size)
    z[0] = 1 + distance(random)
    return HardCase(
        lambda z: (weight * np.minimum(np.maximum(z, -1), 1)).sum(), lambda z: weight * (np.abs(z) < 1), z,
        at_times(random, lambda z: np.concatenate([z - 1, z + 1])), {"not clipped": lambda z: weight * np.ones(size)},
    )


@family(NEAR)
def quantile_regression(random):
    batch, inputs, q = random.integers(2, 30), random.integers(1, 5), random.uniform(0.05, 0.95)
    X, w, y = random.normal(size=(batch, inputs)), random.normal(size=inputs), random.normal(size=batch)
    y[0] = (X @ w)[0] + distance(random)

    def loss(w):
        r = y - X @ w
        return np.where(r.real > 0, q * r, (q - 1) * r).mean()

    def gradient(w, q=q):
        return -X.T @ np.where(y > X @ w, q, q - 1) / batch

    return HardCase(
        loss, gradient, w, at_times(random, lambda w: y - X @ w), {"the other quantile": lambda w: gradient(w, 1 - q)}
    )


@family(NEAR)
def multiclass_hinge(random):
    batch, inputs, classes = random.integers(1, 6), random.integers(1, 5), random.integers(3, 6)
    X, y = random.normal(size=(batch, inputs)), random.integers(classes, size=batch)
    W, b = random.normal(size=(inputs, classes)), random.normal(size=classes)
    rows = np.arange(batch)
    others = [k for k in range(classes) if k != y[0]]
    scores = X[0] @ W + b
    b[others[0]] += scores[others].max() + distance(random) - scores[others[0]] + 1  # two rivals, and a margin apart
    b[others[1]] += scores[others].max() + 1 - scores[others[1]]

    def rivals(p):
        s = X @ p[0] + p[1] + 1.0
        s[rows, y] -= 1.0
        return s

    def loss(p):
        s = rivals(p)
        return (s.max(1) - s[rows, y]).sum()

    def gradient(p):
        ds = np.eye(classes)[rivals(p).argmax(1)] - np.eye(classes)[y]
        return X.T @ ds, ds.sum(0)

    return HardCase(
        loss, gradient, (W, b), None,
        {"the right class forgotten": lambda p: (gradient(p)[0] + X.T @ np.eye(classes)[y], gradient(p)[1])},
    )


# Losses that are constant around the point, or rise in steps. The gradient is what people write there, and the only
# right answer is that it cannot be told.


@family(STEPPED, checkable=False)
def count_of_errors(random):
    batch, inputs = random.integers(5, 40), random.integers(1, 6)
    X, y, w = random.normal(size=(batch, inputs)), random.choice([-1, 1], batch), random.normal(size=inputs)
    return HardCase(
        lambda w: (y * (X @ w) < 0).sum().astype(float), lambda w: -X.T @ (y * (y * (X @ w) < 1)), w
    )


@family(STEPPED, checkable=False)
def straight_through_sign(random):
    batch, inputs = random.integers(2, 20), random.integers(1, 8)
    X, target, w = random.normal(size=(batch, inputs)), random.normal(size=batch), random.uniform(-1, 1, inputs)
    return HardCase(
        lambda w: ((X @ np.sign(w) - target) ** 2).mean(),
        lambda w: 2 * X.T @ (X @ np.sign(w) - target) / batch * (np.abs(w) < 1), w,
    )


@family(STEPPED, checkable=False)
def quantized_weights(random):
    batch, inputs, levels = random.integers(2, 20), random.integers(1, 8), 2.0 ** random.integers(0, 3)
    X, target, w = random.normal(size=(batch, inputs)), random.normal(size=batch), random.normal(size=inputs)

    def rounded(w):
        return np.round(w * levels) / levels

    return HardCase(
        lambda w: ((X @ rounded(w) - target) ** 2).mean(),
        lambda w: 2 * X.T @ (X @ rounded(w) - target) / batch, w,
    )


@family(STEPPED, checkable=False)
def spiking_neurons(random):
    batch, inputs, neurons = random.integers(2, 8), random.integers(1, 6), random.integers(1, 6)
    X, W, v = random.normal(size=(batch, inputs)), random.normal(size=(inputs, neurons)), random.normal(size=neurons)

    def gradient(W):
        z = X @ W
        return X.T @ ((2 * ((z > 0) @ v - 1) / batch)[:, None] * v / (1 + np.abs(5 * z)) ** 2)

    return HardCase(lambda W: (((X @ W > 0) @ v - 1) ** 2).mean(), gradient, W)


@family(STEPPED, checkable=False)
def accuracy_with_the_gradient_of_cross_entropy(random):
    batch, classes = random.integers(5, 40), random.integers(2, 6)
    z, y = random.normal(size=(batch, classes)), random.integers(classes, size=batch)
    return HardCase(lambda z: (z.argmax(1) != y).mean(), lambda z: (softmax(z) - np.eye(classes)[y]) / batch, z)


@family(STEPPED, checkable=False)
def loss_behind_a_large_offset(random):
    size, offset = random.integers(1, 10), 10.0 ** random.integers(16, 20)
    x = random.normal(size=size)
    return HardCase(lambda x: offset + np.sin(x).sum(), np.cos, x)


@family(STEPPED, checkable=False)
def loss_in_whole_numbers(random):
    size = random.integers(1, 4)
    x, target = random.normal(size=size), random.normal(size=size)
    return HardCase(lambda x: np.round(((x - target) ** 2).sum()), lambda x: 2 * (x - target), x)


@family(STEPPED, checkable=False)
def rank_correlation(random):
    size = random.integers(5, 20)
    x, rank = random.normal(size=size), np.arange(size)
    return HardCase(lambda x: float(x.argsort().argsort() @ rank), lambda x: rank - rank.mean(), x)
