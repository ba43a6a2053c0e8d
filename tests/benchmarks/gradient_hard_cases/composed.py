"""Right gradients through products of many factors, many steps, matrix functions and fast oscillations."""

import numpy as np

from .case import HardCase, family

FACTORS = "products of many factors"
ITERATED = "iterated maps"
MATRIX = "matrix functions"
OSCILLATING = "high frequency"


@family(FACTORS)
def product(random):
    size = random.integers(3, 60)
    x = random.uniform(0.3, 3, size) * random.choice([-1.0, 1.0], size)
    return HardCase(
        lambda x: x.prod(), lambda x: x.prod() / x, x, None, {"the logarithm's": lambda x: 1 / x}
    )


@family(FACTORS)
def polynomial_by_its_roots(random):
    size, points = random.integers(3, 15), random.integers(1, 6)
    roots, t, weight = random.uniform(-2, 2, size), random.uniform(-3, 3, points), random.normal(size=points)

    def values(r):
        return (t[:, None] - r).prod(1)

    def gradient(r):
        return -((weight * values(r))[:, None] / (t[:, None] - r)).sum(0)

    return HardCase(lambda r: (weight * values(r)).sum(), gradient, roots, None, {"the sign": lambda r: -gradient(r)})


@family(FACTORS)
def vandermonde(random):
    size = random.integers(3, 9)
    x = np.sort(random.uniform(-2, 2, size))
    upper = np.triu_indices(size, 1)

    def value(x):
        return (x[upper[1]] - x[upper[0]]).prod()

    def gradient(x, both=1.0):
        d = x[:, None] - x
        inverse = np.divide(1, d, out=np.zeros_like(d), where=~np.eye(size, dtype=bool))
        return value(x) * (inverse.sum(1) if both else np.triu(inverse, 1).sum(1))

    return HardCase(value, gradient, x, None, {"each pair once": lambda x: gradient(x, 0.0)})


@family(FACTORS)
def chain_of_matrices(random):
    n, depth = random.integers(1, 5), random.integers(4, 15)
    W = random.normal(size=(depth, n, n)) * random.uniform(0.6, 1.5)
    R = random.normal(size=(n, n))

    def product_of(matrices):
        result = np.eye(n)
        for matrix in matrices:
            result = result @ matrix
        return result

    def gradient(W):
        return np.stack([product_of(W[:k]).T @ R @ product_of(W[k + 1 :]).T for k in range(depth)])

    return HardCase(
        lambda W: (R * product_of(W)).sum(), gradient, W, None,
        {"not transposed": lambda W: np.stack([product_of(W[:k]) @ R @ product_of(W[k + 1 :]) for k in range(depth)])},
    )


@family(FACTORS)
def geometric_mean_of_ratios(random):
    size = random.integers(3, 40)
    x = (random.uniform(0.1, 10, size), random.uniform(0.1, 10, size))

    def value(p):
        return (p[0] / p[1]).prod() ** (1 / size)

    return HardCase(
        value, lambda p: (value(p) / size / p[0], -value(p) / size / p[1]), x, None,
        {"no mean": lambda p: (value(p) / p[0], -value(p) / p[1])},
    )


# Many steps of one map.


@family(ITERATED)
def recurrent_network(random):
    steps, n, inputs, gain = 30, random.integers(1, 6), random.integers(1, 4), random.uniform(0.5, 1.5)
    x, target = random.normal(size=(steps, inputs)), random.normal(size=n)
    params = {
        "W": gain * random.normal(size=(n, n)) / np.sqrt(n),
        "U": random.normal(size=(inputs, n)),
        "b": 0.1 * random.normal(size=n),
    }

    def states(p):
        h = [np.zeros(n)]
        for now in x:
            h.append(np.tanh(h[-1] @ p["W"] + now @ p["U"] + p["b"]))
        return h

    def gradient(p, back=steps):
        h = states(p)
        found = {name: np.zeros_like(value) for name, value in p.items()}
        dh = 2 * (h[-1] - target)
        for t in reversed(range(steps - back, steps)):
            dz = dh * (1 - h[t + 1] ** 2)
            found["W"] += np.outer(h[t], dz)
            found["U"] += np.outer(x[t], dz)
            found["b"] += dz
            dh = dz @ p["W"].T
        return found

    return HardCase(
        lambda p: ((states(p)[-1] - target) ** 2).sum(), gradient, params, None,
        {"one step back only": lambda p: gradient(p, 1)},
    )


@family(ITERATED)
def logistic_map(random):
    steps = int(random.integers(5, 25))
    params = (np.array(random.uniform(2.5, 3.9)), np.array(random.uniform(0.1, 0.9)))

    def loss(p):
        r, x = p
        for _ in range(steps):
            x = r * x * (1 - x)
        return x

    def gradient(p, whole=1.0):
        r, x = p
        dr, dx = 0.0, 1.0
        for _ in range(steps):
            slope = r * (1 - 2 * x)
            dr, dx, x = x * (1 - x) + slope * dr * whole, slope * dx, r * x * (1 - x)
        return np.array(dr), np.array(dx)

    return HardCase(loss, gradient, params, None, {"the last step only": lambda p: gradient(p, 0.0)})


@family(ITERATED)
def leapfrog_of_a_pendulum(random):
    steps, h = int(random.integers(20, 80)), random.uniform(0.02, 0.2)
    params = {"q": np.array(random.normal()), "v": np.array(random.normal())}

    def path(p):
        q, v = [p["q"]], p["v"]
        for _ in range(steps):
            v = v - h * np.sin(q[-1])
            q.append(q[-1] + h * v)
        return q, v

    def gradient(p):
        q, v = path(p)
        dq, dv = 2 * q[-1], v + 0.0
        for before in reversed(q[:-1]):
            dv = dv + h * dq
            dq = dq - h * np.cos(before) * dv
        return {"q": dq, "v": dv}

    return HardCase(
        lambda p: path(p)[0][-1] ** 2 + path(p)[1] ** 2 / 2, gradient, params, None,
        {"in the wrong order": lambda p: dict(zip("qv", reversed(list(gradient(p).values())), strict=True))},
    )


@family(ITERATED)
def gradient_descent_unrolled(random):
    """By the starting point and by the learning rate."""
    steps, n = int(random.integers(5, 40)), random.integers(1, 6)
    A = random.normal(size=(n, n))
    A = A @ A.T / n + 0.1 * np.eye(n)
    params = (random.normal(size=n), np.array(random.uniform(0.01, 0.3)))

    def path(p):
        w = [p[0]]
        for _ in range(steps):
            w.append(w[-1] - p[1] * (A @ w[-1] + np.sin(w[-1])))
        return w

    def gradient(p, curved=1.0):
        w = path(p)
        dw, dlr = 2 * w[-1], 0.0
        for before in reversed(w[:-1]):
            dlr -= dw @ (A @ before + np.sin(before))
            dw = dw - p[1] * (A @ dw + curved * np.cos(before) * dw)
        return dw, np.array(dlr)

    return HardCase(
        lambda p: (path(p)[-1] ** 2).sum(), gradient, params, None,
        {"a curvature forgotten": lambda p: gradient(p, 0.0)},
    )


@family(ITERATED)
def newton_for_a_square_root(random):
    steps = int(random.integers(3, 9))
    a = random.uniform(0.5, 100, random.integers(1, 6))

    def loss(a):
        y = a
        for _ in range(steps):
            y = (y + a / y) / 2
        return y.sum()

    def gradient(a):
        y, dy = a, np.ones_like(a)
        for _ in range(steps):
            y, dy = (y + a / y) / 2, (dy + 1 / y - a * dy / y**2) / 2
        return dy

    return HardCase(loss, gradient, a, None, {"the 2 forgotten": lambda a: 2 * gradient(a)})


# Determinants, solutions, inverses.


def positive_definite(random, n, condition):
    Q, _ = np.linalg.qr(random.normal(size=(n, n)))
    return (Q * 10.0 ** np.linspace(0, -condition, n)) @ Q.T


@family(MATRIX)
def log_determinant(random):
    n = random.integers(2, 7)
    A = random.normal(size=(n, n + random.integers(0, 3)))
    epsilon = 10.0 ** random.uniform(-6, 0)

    def gradient(A):
        return 2 * np.linalg.solve(A @ A.T + epsilon * np.eye(n), A)

    def loss(A):
        sign, log = np.linalg.slogdet(A @ A.T + epsilon * np.eye(n))
        return log + np.log(sign)

    return HardCase(loss, gradient, A, None, {"the 2 forgotten": lambda A: gradient(A) / 2})


@family(MATRIX)
def solution_of_a_linear_system(random):
    n, condition = random.integers(2, 7), random.uniform(0, 6)
    params = {"A": positive_definite(random, n, condition), "b": random.normal(size=n)}
    R = random.normal(size=n)

    def gradient(p, turned=True):
        x = np.linalg.solve(p["A"], p["b"])
        y = np.linalg.solve(p["A"].T, R)
        return {"A": -np.outer(y, x) if turned else -np.outer(x, y), "b": y}

    return HardCase(
        lambda p: R @ np.linalg.solve(p["A"], p["b"]), gradient, params, None,
        {"transposed": lambda p: gradient(p, False)},
    )


@family(MATRIX)
def trace_of_an_inverse(random):
    n, condition = random.integers(2, 7), random.uniform(0, 4)
    A = positive_definite(random, n, condition) + 0.01 * random.normal(size=(n, n)) * 10**-condition
    def gradient(A, power=2):
        return -np.linalg.matrix_power(np.linalg.inv(A), power).T

    return HardCase(
        lambda A: np.trace(np.linalg.inv(A)), gradient, A, None,
        {"the sign": lambda A: -gradient(A), "not squared": lambda A: gradient(A, 1)},
    )


@family(MATRIX)
def gaussian_process_evidence(random):
    """By the logarithms of length, amplitude and noise, in one vector."""
    n = random.integers(3, 10)
    t, y = np.sort(random.uniform(0, 5, n)), random.normal(size=n)
    p = np.array([random.uniform(-1, 1), random.uniform(-1, 1), random.uniform(-5, 0)])

    def kernel(p):
        K = np.exp(2 * p[1] - (t[:, None] - t) ** 2 * np.exp(-2 * p[0]) / 2)
        return K, K + np.exp(2 * p[2]) * np.eye(n)

    def loss(p):
        _, C = kernel(p)
        sign, log = np.linalg.slogdet(C)
        return (y @ np.linalg.solve(C, y) + log + np.log(sign)) / 2

    def gradient(p, trace=1.0):
        K, C = kernel(p)
        a, inverse = np.linalg.solve(C, y), np.linalg.inv(C)
        parts = K * (t[:, None] - t) ** 2 * np.exp(-2 * p[0]), 2 * K, 2 * np.exp(2 * p[2]) * np.eye(n)
        return np.array([(trace * (inverse * dC).sum() - a @ dC @ a) / 2 for dC in parts])

    return HardCase(loss, gradient, p, None, {"the determinant forgotten": lambda p: gradient(p, 0.0)})


@family(MATRIX)
def cholesky(random):
    """A weighted sum of the factor's entries; the parameter is any matrix A of A Aᵀ + I."""
    n = random.integers(2, 6)
    A, R = random.normal(size=(n, n)), np.tril(random.normal(size=(n, n)))

    def factor(C):
        L = np.zeros_like(C)
        for j in range(n):
            L[j, j] = np.sqrt(C[j, j] - (L[j, :j] * L[j, :j]).sum())
            for i in range(j + 1, n):
                L[i, j] = (C[i, j] - (L[i, :j] * L[j, :j]).sum()) / L[j, j]
        return L

    def gradient(A, half=0.5):
        L = np.linalg.cholesky(A @ A.T + np.eye(n))
        P = np.tril(L.T @ R)
        P[np.diag_indices(n)] *= half
        S = np.linalg.solve(L.T, np.linalg.solve(L.T, P.T).T)
        return (S + S.T) @ A

    return HardCase(
        lambda A: (R * factor(A @ A.T + np.eye(n))).sum(), gradient, A, None,
        {"the diagonal not halved": lambda A: gradient(A, 1.0)},
    )


# Fast oscillations: the usual step spans a period.


@family(OSCILLATING)
def sine_of_high_frequency(random):
    size, frequency = random.integers(1, 12), 10.0 ** random.uniform(2, 7)
    x = random.normal(size=size)
    return HardCase(
        lambda x: np.sin(frequency * x).sum(), lambda x: frequency * np.cos(frequency * x), x, None,
        {"the frequency forgotten": lambda x: np.cos(frequency * x)},
    )


@family(OSCILLATING)
def fourier_features(random):
    batch, features = random.integers(2, 12), random.integers(1, 10)
    x, y = random.uniform(0, 1, batch), random.normal(size=batch)
    params = {
        "w": 10.0 ** random.uniform(0, 4, features),
        "phase": random.uniform(0, 6, features),
        "a": random.normal(size=features),
    }

    def angle(p):
        return np.outer(x, p["w"]) + p["phase"]

    def gradient(p):
        dout = 2 * (np.cos(angle(p)) @ p["a"] - y) / batch
        dangle = -np.outer(dout, p["a"]) * np.sin(angle(p))
        return {"w": x @ dangle, "phase": dangle.sum(0), "a": np.cos(angle(p)).T @ dout}

    return HardCase(
        lambda p: ((np.cos(angle(p)) @ p["a"] - y) ** 2).mean(), gradient, params, None,
        {"no mean": lambda p: {name: batch * value for name, value in gradient(p).items()}},
    )


@family(OSCILLATING)
def chirp(random):
    """sin of a fourth power: gentle near 0 and fast far out."""
    size, width = random.integers(1, 12), random.uniform(1, 20)
    x = random.uniform(-width, width, size)
    return HardCase(
        lambda x: np.sin(x**4).sum(), lambda x: 4 * x**3 * np.cos(x**4), x, None,
        {"a power": lambda x: 4 * x**4 * np.cos(x**4)},
    )


@family(OSCILLATING)
def ripple_on_a_bowl(random):
    size, frequency = random.integers(1, 12), 10.0 ** random.uniform(2, 6)
    x, height = random.normal(size=size), 10.0 ** random.uniform(-4, 0)
    return HardCase(
        lambda x: (x * x).sum() + height * np.cos(frequency * x).sum(),
        lambda x: 2 * x - height * frequency * np.sin(frequency * x), x, None,
        {"the ripple forgotten": lambda x: 2 * x},
    )


@family(OSCILLATING)
def phases_of_many_turns(random):
    """Angles that were never brought back to one turn."""
    size, turns = random.integers(1, 12), 10.0 ** random.uniform(1, 6)
    x, target = turns * random.normal(size=size), random.uniform(-3, 3, size)
    return HardCase(
        lambda x: (1 - np.cos(x - target)).sum(), lambda x: np.sin(x - target), x, None,
        {"cosine": lambda x: np.cos(x - target)},
    )
