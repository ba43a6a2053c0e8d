"""Right gradients of many parameters: thousands of entries in one vector, or hundreds of arrays."""

import numpy as np

from .case import HardCase, family, softmax

LONG = "long flat vectors"
MANY = "many small arrays"


# Thousands of entries.


def long(random):
    return int(10 ** random.uniform(2.7, 3.6))


@family(LONG)
def rosenbrock(random):
    x = random.normal(size=long(random))

    def gradient(x, both=1.0):
        d = x[1:] - x[:-1] ** 2
        g = np.zeros_like(x)
        g[1:] += 200 * d
        g[:-1] += -400 * both * d * x[:-1] - 2 * (1 - x[:-1])
        return g

    return HardCase(
        lambda x: (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum(), gradient, x, None,
        {"one half of the valley": lambda x: gradient(x, 0.0)},
    )


@family(LONG)
def one_steep_among_thousands(random):
    size, steep = long(random), 10.0 ** random.uniform(3, 7)
    x = random.normal(size=size)
    return HardCase(
        lambda x: np.cosh(x).sum() + steep * x[0] * x[0],
        lambda x: np.sinh(x) + 2 * steep * x[0] * (np.arange(size) == 0), x, None,
        {"the steep one forgotten": np.sinh},
    )


@family(LONG)
def smoothing_of_a_signal(random):
    x, strength = random.normal(size=long(random)), random.uniform(0.1, 10)
    y = x + random.normal(size=x.size)

    def gradient(x):
        d = strength * (x[1:] - x[:-1])
        return 2 * (x - y + np.concatenate([[0], d]) - np.concatenate([d, [0]]))

    return HardCase(
        lambda x: ((x - y) ** 2).sum() + strength * ((x[1:] - x[:-1]) ** 2).sum(), gradient, x, None,
        {"not zero at the ends": lambda x: gradient(x) + 2 * (np.arange(x.size) == x.size - 1)},
    )


@family(LONG)
def network_in_one_vector(random):
    """As scipy's optimizers want it, weights and biases one after the other."""
    batch, inputs, hidden = 6, int(random.integers(10, 40)), int(random.integers(20, 50))
    X, y = random.normal(size=(batch, inputs)), random.normal(size=batch)
    cut = np.cumsum([inputs * hidden, hidden])
    vector = np.concatenate([
        random.normal(size=inputs * hidden) / np.sqrt(inputs),
        np.zeros(hidden),
        random.normal(size=hidden) / np.sqrt(hidden),
    ])

    def parts(p):
        W, b, v = np.split(p, cut)
        return W.reshape(inputs, hidden), b, v

    def loss(p):
        W, b, v = parts(p)
        return ((np.tanh(X @ W + b) @ v - y) ** 2).mean()

    def gradient(p, order="C"):
        W, b, v = parts(p)
        h = np.tanh(X @ W + b)
        dout = 2 * (h @ v - y) / batch
        dz = np.outer(dout, v) * (1 - h * h)
        return np.concatenate([(X.T @ dz).ravel(order), dz.sum(0), h.T @ dout])

    return HardCase(loss, gradient, vector, None, {"unrolled by columns": lambda p: gradient(p, "F")})


@family(LONG)
def distribution_over_thousands(random):
    z = random.normal(size=long(random))
    target = softmax(random.normal(size=z.size))
    return HardCase(
        lambda z: np.log(np.exp(z).sum()) - target @ z, lambda z: softmax(z) - target, z, None,
        {"the target forgotten": softmax},
    )


# Hundreds of arrays.


@family(MANY)
def deep_network_of_narrow_layers(random):
    depth, n = int(random.integers(10, 40)), int(random.integers(1, 4))
    x = random.normal(size=(4, n))
    params = {f"W{k}": np.eye(n) + 0.3 * random.normal(size=(n, n)) for k in range(depth)}
    params |= {f"b{k}": 0.1 * random.normal(size=n) for k in range(depth)}

    def layers(p):
        h = [x]
        for k in range(depth):
            h.append(np.tanh(h[-1] @ p[f"W{k}"] + p[f"b{k}"]))
        return h

    def gradient(p, mean=1.0):
        h, found = layers(p), {}
        dh = 2 * h[-1]
        for k in reversed(range(depth)):
            dz = dh * (1 - h[k + 1] ** 2)
            found[f"W{k}"], found[f"b{k}"] = h[k].T @ dz, dz.sum(0) * mean
            dh = dz @ p[f"W{k}"].T
        return {name: found[name] for name in p}

    return HardCase(
        lambda p: (layers(p)[-1] ** 2).sum(), gradient, params, None,
        {"the mean for the biases": lambda p: gradient(p, 0.25)},
    )


@family(MANY)
def a_tuple_of_scalars(random):
    size = int(random.integers(20, 120))
    x, a = tuple(np.array(value) for value in random.normal(size=size)), random.normal(size=size)
    return HardCase(
        lambda p: np.sin(np.stack(p) * a).sum(), lambda p: tuple(a * np.cos(a * np.stack(p))), x, None,
        {"the inner derivative forgotten": lambda p: tuple(np.cos(a * np.stack(p)))},
    )


@family(MANY)
def arrays_of_very_different_size(random):
    count = int(random.integers(10, 60))
    scales = dict(zip((f"w{k}" for k in range(count)), 10.0 ** random.uniform(-5, 5, count), strict=True))
    params = {name: scale * random.normal(size=random.integers(1, 9)) for name, scale in scales.items()}

    def gradient(p, power=2):
        return {name: 2 * w / scales[name] ** power / (1 + (w / scales[name]) ** 2) for name, w in p.items()}

    return HardCase(
        lambda p: sum(np.log(1 + (w / scales[name]) ** 2).sum() for name, w in p.items()), gradient, params, None,
        {"the scale once": lambda p: gradient(p, 1)},
    )


@family(MANY)
def couplings_of_a_chain(random):
    size, n = int(random.integers(10, 60)), int(random.integers(1, 4))
    params = tuple(random.normal(size=n) for _ in range(size))

    def gradient(p):
        s = np.tanh(np.stack(p))
        ds = np.zeros_like(s)
        ds[1:] += s[:-1]
        ds[:-1] += s[1:]
        return tuple(ds * (1 - s * s))

    def loss(p):
        s = np.tanh(np.stack(p))
        return (s[1:] * s[:-1]).sum()

    return HardCase(loss, gradient, params, None, {"in reverse": lambda p: tuple(reversed(gradient(p)))})


@family(MANY)
def embeddings_one_array_a_word(random):
    words, width, length = int(random.integers(10, 40)), int(random.integers(1, 5)), int(random.integers(5, 20))
    text, v = random.integers(words, size=length), random.normal(size=width)
    params = {f"word {k}": random.normal(size=width) for k in range(words)}

    def gradient(p, every=True):
        mean = np.stack([p[f"word {k}"] for k in text]).mean(0)
        counts = np.bincount(text, minlength=words) if every else np.isin(np.arange(words), text)
        return {f"word {k}": counts[k] * 2 * (mean @ v) * v / length for k in range(words)}

    return HardCase(
        lambda p: (np.stack([p[f"word {k}"] for k in text]).mean(0) @ v) ** 2, gradient, params, None,
        {"a repeated word counted once": lambda p: gradient(p, False)},
    )
