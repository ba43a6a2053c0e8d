"""Layers as people write them by hand, each with a slip that people make in it; points and sizes are ordinary."""

import numpy as np

from .case import HardCase, family, logsumexp, softmax
from .scales import normalize, normalize_backward

LAYERS = "layers by hand"


def sizes(random, count, low=1, high=7):
    return (int(size) for size in random.integers(low, high, count))


@family(LAYERS)
def affine(random):
    batch, inputs, outputs = sizes(random, 3)
    x, R = random.normal(size=(batch, inputs)), random.normal(size=(batch, outputs))
    params = {"W": random.normal(size=(inputs, outputs)), "b": random.normal(size=outputs), "x": x}

    def gradient(p):
        dy = 2 * R * (p["x"] @ p["W"] + p["b"])
        return {"W": p["x"].T @ dy, "b": dy.sum(0), "x": dy @ p["W"].T}

    return HardCase(
        lambda p: (R * (p["x"] @ p["W"] + p["b"]) ** 2).sum(), gradient, params, None,
        {"the mean of the bias": lambda p: gradient(p) | {"b": gradient(p)["b"] / batch * (2 - (batch > 1))}},
    )


@family(LAYERS)
def batch_norm(random):
    batch, features = (int(size) for size in random.integers((3, 1), (10, 6)))
    R = random.normal(size=(batch, features))
    params = {
        "x": random.normal(size=(batch, features)) * random.uniform(0.1, 5) + random.normal(size=features),
        "gamma": random.uniform(0.5, 2, features), "beta": random.normal(size=features),
    }

    def gradient(p):
        n, dy = normalize(p["x"], 0, 1e-5), R
        return {"x": normalize_backward(p["x"], 0, 1e-5, dy * p["gamma"]), "gamma": (dy * n).sum(0), "beta": dy.sum(0)}

    def frozen(p):
        return gradient(p) | {"x": R * p["gamma"] / np.sqrt(p["x"].var(0) + 1e-5)}

    return HardCase(
        lambda p: (R * (normalize(p["x"], 0, 1e-5) * p["gamma"] + p["beta"])).sum(), gradient, params, None,
        {"the statistics are constants": frozen},
    )


@family(LAYERS)
def layer_norm(random):
    batch, features = (int(size) for size in random.integers((1, 3), (8, 10)))
    R = random.normal(size=(batch, features))
    params = {
        "x": random.normal(size=(batch, features)) * random.uniform(0.1, 5),
        "gamma": random.uniform(0.5, 2, features), "beta": random.normal(size=features),
    }

    def gradient(p, axis=1):
        n = normalize(p["x"], 1, 1e-5)
        return {"x": normalize_backward(p["x"], axis, 1e-5, R * p["gamma"]), "gamma": (R * n).sum(0), "beta": R.sum(0)}

    return HardCase(
        lambda p: (R * (normalize(p["x"], 1, 1e-5) * p["gamma"] + p["beta"])).sum(), gradient, params, None,
        {"over the batch": lambda p: gradient(p, 0)},
    )


@family(LAYERS)
def convolution_1d(random):
    batch, channels, filters, kernel = sizes(random, 4, 1, 5)
    length = kernel + int(random.integers(0, 8))
    params = {"x": random.normal(size=(batch, channels, length)), "w": random.normal(size=(filters, channels, kernel))}
    out = length - kernel + 1
    R = random.normal(size=(batch, filters, out))

    def loss(p):
        y = sum(np.einsum("bct,fc->bft", p["x"][:, :, k : k + out], p["w"][:, :, k]) for k in range(kernel))
        return (R * y * y).sum() / 2

    def gradient(p, order=1):
        y = sum(np.einsum("bct,fc->bft", p["x"][:, :, k : k + out], p["w"][:, :, k]) for k in range(kernel))
        dx, dw = np.zeros_like(p["x"]), np.zeros_like(p["w"])
        for k in range(kernel):
            dx[:, :, k : k + out] += np.einsum("bft,fc->bct", R * y, p["w"][:, :, k])
            dw[:, :, k] = np.einsum("bft,bct->fc", R * y, p["x"][:, :, k : k + out])
        return {"x": dx, "w": dw[:, :, ::order]}

    return HardCase(loss, gradient, params, None, {"the kernel flipped": lambda p: gradient(p, -1)})


@family(LAYERS)
def convolution_2d(random):
    batch, channels, filters = sizes(random, 3, 1, 4)
    kernel, stride, pad = (int(size) for size in random.integers((1, 1, 0), (4, 3, 2)))
    height, width = (kernel + int(extra) for extra in random.integers(0, 5, 2))
    x, w = random.normal(size=(batch, channels, height, width)), random.normal(size=(filters, channels, kernel, kernel))
    rows, columns = ((size + 2 * pad - kernel) // stride + 1 for size in (height, width))
    R = random.normal(size=(batch, filters, rows, columns))

    def windows():
        for i in range(rows):
            for j in range(columns):
                top, left = i * stride, j * stride
                yield i, j, np.s_[:, :, top : top + kernel, left : left + kernel]

    def padded(x):
        return np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))

    def loss(p):
        x, w = padded(p[0]), p[1]
        return sum((R[:, :, i, j] * np.einsum("bcij,fcij->bf", x[at], w) ** 2).sum() for i, j, at in windows())

    def gradient(p, overlap=True):
        x, w = padded(p[0]), p[1]
        dx, dw = np.zeros_like(x), np.zeros_like(w)
        for i, j, at in windows():
            dy = 2 * R[:, :, i, j] * np.einsum("bcij,fcij->bf", x[at], w)
            part = np.einsum("bf,fcij->bcij", dy, w)
            dx[at] = dx[at] + part if overlap else part
            dw += np.einsum("bf,bcij->fcij", dy, x[at])
        return dx[:, :, pad : pad + height, pad : pad + width], dw

    return HardCase(loss, gradient, (x, w), None, {"windows that overlap are not added": lambda p: gradient(p, False)})


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


@family(LAYERS)
def lstm_step(random):
    batch, inputs, n = sizes(random, 3, 1, 5)
    x, Rh, Rc = random.normal(size=(batch, inputs)), random.normal(size=(batch, n)), random.normal(size=(batch, n))
    params = {
        "Wx": random.normal(size=(inputs, 4 * n)), "Wh": random.normal(size=(n, 4 * n)), "b": random.normal(size=4 * n),
        "h": random.normal(size=(batch, n)), "c": random.normal(size=(batch, n)),
    }

    def step(p):
        i, f, o, g = np.split(x @ p["Wx"] + p["h"] @ p["Wh"] + p["b"], 4, 1)
        i, f, o, g = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(g)
        return i, f, o, g, f * p["c"] + i * g

    def loss(p):
        *_, o, _, c = step(p)
        return (Rh * o * np.tanh(c)).sum() + (Rc * c).sum()

    def gradient(p, through_h=1.0):
        i, f, o, g, c = step(p)
        dc = Rc + through_h * Rh * o * (1 - np.tanh(c) ** 2)
        do = Rh * np.tanh(c)
        dz = np.hstack([dc * g * i * (1 - i), dc * p["c"] * f * (1 - f), do * o * (1 - o), dc * i * (1 - g * g)])
        return {"Wx": x.T @ dz, "Wh": p["h"].T @ dz, "b": dz.sum(0), "h": dz @ p["Wh"].T, "c": dc * f}

    return HardCase(loss, gradient, params, None, {"the cell's path through h forgotten": lambda p: gradient(p, 0.0)})


@family(LAYERS)
def attention(random):
    batch, heads, n, width = sizes(random, 4, 1, 4)
    n += 1
    shape = (batch, heads, n, width)
    params = tuple(random.normal(size=shape) for _ in range(3))
    R, mask = random.normal(size=shape), np.where(np.tril(np.ones((n, n))), 0.0, -np.inf)

    def loss(p):
        q, k, v = p
        return (R * (softmax(q @ k.mT / np.sqrt(width) + mask) @ v)).sum()

    def gradient(p, inner=1.0):
        q, k, v = p
        a = softmax(q @ k.mT / np.sqrt(width) + mask)
        da = R @ v.mT
        ds = a * (da - inner * (da * a).sum(-1, keepdims=True)) / np.sqrt(width)
        return ds @ k, ds.mT @ q, a.mT @ R

    return HardCase(loss, gradient, params, None, {"softmax taken for elementwise": lambda p: gradient(p, 0.0)})


@family(LAYERS)
def softmax_cross_entropy_layer(random):
    batch, inputs = sizes(random, 2, 2, 9)
    classes = int(random.integers(2, 6))
    X, Y = random.normal(size=(batch, inputs)), np.eye(classes)[random.integers(classes, size=batch)]
    l2 = 10.0 ** random.uniform(-3, 0)

    def loss(W):
        z = X @ W
        return (logsumexp(z) - (Y * z).sum(1)).mean() + l2 * (W * W).sum() / 2

    def gradient(W, decay=l2):
        return X.T @ (softmax(X @ W) - Y) / batch + decay * W

    return HardCase(
        loss, gradient, random.normal(size=(inputs, classes)), None,
        {"the penalty's 2": lambda W: gradient(W, 2 * l2), "the penalty forgotten": lambda W: gradient(W, 0.0)},
    )


@family(LAYERS)
def feed_forward_block_with_gelu(random):
    batch, n, hidden = sizes(random, 3)
    x, R = random.normal(size=(batch, n)), random.normal(size=(batch, n))
    params = (random.normal(size=(n, hidden)), random.normal(size=hidden), random.normal(size=(hidden, n)))
    c = np.sqrt(2 / np.pi)

    def gelu(z):
        return z / 2 * (1 + np.tanh(c * (z + 0.044715 * z**3)))

    def gradient(p, inner=1.0):
        z = x @ p[0] + p[1]
        t = np.tanh(c * (z + 0.044715 * z**3))
        slope = (1 + t) / 2 + inner * z / 2 * (1 - t * t) * c * (1 + 3 * 0.044715 * z**2)
        dz = (R @ p[2].T) * slope
        return x.T @ dz, dz.sum(0), gelu(z).T @ R

    return HardCase(
        lambda p: (R * (x + gelu(x @ p[0] + p[1]) @ p[2])).sum(), gradient, params, None,
        {"half of the product rule": lambda p: gradient(p, 0.0)},
    )


@family(LAYERS)
def tied_autoencoder(random):
    batch, n, m = sizes(random, 3)
    x = random.normal(size=(batch, n))
    params = {"W": random.normal(size=(m, n)), "b": random.normal(size=n)}

    def gradient(p, encode=1.0):
        h = np.tanh(x @ p["W"].T)
        dy = 2 * (h @ p["W"] + p["b"] - x) / batch
        dz = (dy @ p["W"].T) * (1 - h * h)
        return {"W": h.T @ dy + encode * dz.T @ x, "b": dy.sum(0)}

    return HardCase(
        lambda p: ((np.tanh(x @ p["W"].T) @ p["W"] + p["b"] - x) ** 2).sum() / batch, gradient, params, None,
        {"one path forgotten": lambda p: gradient(p, 0.0)},
    )


@family(LAYERS)
def embedding_and_dropout(random):
    words, width, length = sizes(random, 3, 2, 8)
    text, v = random.integers(words, size=length), random.normal(size=width)
    keep = random.uniform(size=(length, width)) < 0.6

    def hidden(E):
        return E[text] * keep / 0.6

    def gradient(E, added=True):
        rows = 2 * np.outer(hidden(E) @ v, v) * keep / 0.6
        dE = np.zeros_like(E)
        if added:
            np.add.at(dE, text, rows)
        else:
            dE[text] += rows
        return dE

    return HardCase(
        lambda E: ((hidden(E) @ v) ** 2).sum(), gradient, random.normal(size=(words, width)), None,
        {"a repeated word not added": lambda E: gradient(E, False), "dropout not scaled": lambda E: 0.6 * gradient(E)},
    )
