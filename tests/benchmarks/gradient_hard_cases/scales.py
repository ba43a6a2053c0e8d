"""Right gradients whose entries, losses or norms are of very unequal size."""

import numpy as np

from .case import HardCase, absolute, family, logsumexp, softmax

UNEQUAL = "unequal scales in one array"
TINY_OR_HUGE = "tiny or huge loss"
LARGE_LOGITS = "large logits"
NEAR_ZERO = "norms near zero"


def normalize(x, axis, epsilon):
    centred = x - x.mean(axis, keepdims=True)
    return centred / np.sqrt((centred * centred).mean(axis, keepdims=True) + epsilon)


def normalize_backward(x, axis, epsilon, dn):
    n, deviation = normalize(x, axis, epsilon), np.sqrt(x.var(axis, keepdims=True) + epsilon)
    return (dn - dn.mean(axis, keepdims=True) - n * (dn * n).mean(axis, keepdims=True)) / deviation


@family(UNEQUAL)
def layer_norm_of_a_padded_batch(random):
    shape = random.integers(2, 6), random.integers(3, 9)
    x, R, epsilon = random.normal(size=shape) * 255, random.normal(size=shape), 10.0 ** random.integers(-12, -4)
    x[random.integers(shape[0])] = 0
    def constant_variance(x):
        return (R - R.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + epsilon)

    return HardCase(
        lambda x: (R * normalize(x, 1, epsilon)).sum(), lambda x: normalize_backward(x, 1, epsilon, R), x, None,
        {"the variance is a constant": constant_variance},
    )


@family(UNEQUAL)
def batch_norm_of_a_constant_column(random):
    shape = random.integers(4, 10), random.integers(2, 6)
    x, R, epsilon = random.normal(size=shape) * 10.0 ** random.integers(0, 4), random.normal(size=shape), 1e-5
    x[:, random.integers(shape[1])] = random.choice([0.0, 1.0, 7.0])
    return HardCase(
        lambda x: (R * normalize(x, 0, epsilon)).sum(), lambda x: normalize_backward(x, 0, epsilon, R), x, None,
        {"the mean is a constant": lambda x: R / np.sqrt(x.var(0, keepdims=True) + epsilon)},
    )


@family(UNEQUAL)
def one_steep_and_some_gentle_entries(random):
    size, steep = random.integers(2, 12), 10.0 ** random.uniform(3, 9)
    x = random.normal(size=size)

    def weights():
        w = np.ones(size)
        w[0] = steep
        return w

    return HardCase(
        lambda x: (weights() * x * x).sum() / 2 + x.sum(), lambda x: weights() * x + 1, x, None,
        {"the gentle ones forgotten": lambda x: (weights() * x + 1) * (np.arange(size) == 0),
         "the linear term forgotten": lambda x: weights() * x},
    )


@family(UNEQUAL)
def timestamps(random):
    size, origin, width = random.integers(1, 8), 10.0 ** random.uniform(5, 9.3), 10.0 ** random.uniform(-1, 2)
    t = origin + width * random.normal(size=size)

    def bump(t):
        return np.exp(-(((t - origin) / width) ** 2))

    return HardCase(
        lambda t: bump(t).sum(), lambda t: -2 * (t - origin) / width**2 * bump(t), t, None,
        {"the width forgotten": lambda t: -2 * (t - origin) * bump(t) / width**3,
         "the 2 forgotten": lambda t: -(t - origin) / width**2 * bump(t)},
    )


@family(UNEQUAL)
def probabilities_of_rare_events(random):
    size = random.integers(2, 12)
    p, counts = random.dirichlet(np.ones(size)), random.integers(1, 20, size)
    p[random.integers(size)] = 10.0 ** random.uniform(-20, -8)
    return HardCase(
        lambda p: -(counts * np.log(p)).sum(), lambda p: -counts / p, p, None,
        {"clipped at 1e-7": lambda p: -counts / np.maximum(p, 1e-7)},
    )


@family(UNEQUAL)
def logistic_regression_on_raw_columns(random):
    """Age, income, a rate and a year: the weights are as small as their columns are large."""
    batch, scales = random.integers(5, 40), np.array([40, 5e4, 1e-3, 2e3, 1])
    X, y = random.uniform(0.3, 1.7, (batch, 5)) * scales, random.choice([-1.0, 1.0], batch)
    w = random.normal(size=5) / scales

    def gradient(w, l2=1e-3):
        return -X.T @ (y / (1 + np.exp(y * (X @ w)))) / batch + l2 * w

    return HardCase(
        lambda w: np.log(1 + np.exp(-y * (X @ w))).mean() + 5e-4 * (w * w).sum(), gradient, w, None,
        {"no mean": lambda w: batch * gradient(w)},
    )


@family(UNEQUAL)
def parameters_over_many_decades(random):
    size = random.integers(2, 30)
    p, power = 10.0 ** random.uniform(-9, 9, size), random.uniform(-0.3, 0.3, size)
    return HardCase(
        lambda p: (p**power).sum() + np.log(p).sum(), lambda p: power * p ** (power - 1) + 1 / p, p, None,
        {"the logarithm forgotten": lambda p: power * p ** (power - 1)},
    )


@family(UNEQUAL)
def zeros_among_large_weights(random):
    size, large = random.integers(3, 40), 10.0 ** random.integers(2, 7)
    w, a = random.normal(size=size) * large, random.normal(size=size)
    w[random.uniform(size=size) < 0.6] = 0
    w[0] = 0
    return HardCase(
        lambda w: np.log(1 + w * w).sum() + (a * w).sum() / large, lambda w: 2 * w / (1 + w * w) + a / large, w, None,
        {"only where the weight is not 0": lambda w: (2 * w / (1 + w * w) + a / large) * (w != 0)},
    )


@family(UNEQUAL)
def rate_of_a_reaction(random):
    """Arrhenius: a prefactor of 1e13 beside an activation energy of 1e5 J/mol, in one vector."""
    size = random.integers(3, 10)
    T = random.uniform(300, 900, size)
    p = np.array([10.0 ** random.uniform(8, 13), random.uniform(3e4, 1e5)])
    observed = np.log(p[0]) - p[1] / (8.314 * T) + 0.3 * random.normal(size=size)

    def residual(p):
        return np.log(p[0]) - p[1] / (8.314 * T) - observed

    def gradient(p, R=8.314):
        return np.array([2 * residual(p).sum() / p[0], -2 * (residual(p) / (R * T)).sum()])

    return HardCase(
        lambda p: (residual(p) ** 2).sum(), gradient, p, None,
        {"another unit of R": lambda p: gradient(p, 1.987)},
    )


@family(UNEQUAL)
def a_short_row_beside_long_ones(random):
    rows, width = random.integers(2, 6), random.integers(2, 6)
    x, R = random.normal(size=(rows, width)), random.normal(size=(rows, width))
    x *= 10.0 ** random.uniform(-6, 3, (rows, 1))

    def length(x):
        return np.sqrt((x * x).sum(1, keepdims=True))

    def gradient(x, along=1.0):
        n = x / length(x)
        return (R - along * n * (n * R).sum(1, keepdims=True)) / length(x)

    return HardCase(
        lambda x: (R * x / length(x)).sum(), gradient, x, None, {"the length is a constant": lambda x: gradient(x, 0.0)}
    )


# The whole loss tiny or huge.


def rescaled(random, loss, gradient, params, mistakes):
    """By 1e-250 to 1e250."""
    c = 10.0 ** (random.choice([-1, 1]) * random.uniform(15, 250))
    return HardCase(
        lambda p: c * loss(p), lambda p: c * gradient(p), params, None,
        {name: lambda p, wrong=wrong: c * wrong(p) for name, wrong in mistakes.items()},
    )


@family(TINY_OR_HUGE)
def rescaled_least_squares(random):
    batch, inputs = random.integers(2, 20), random.integers(1, 8)
    X, y, w = random.normal(size=(batch, inputs)), random.normal(size=batch), random.normal(size=inputs)
    return rescaled(
        random, lambda w: ((X @ w - y) ** 2).sum(), lambda w: 2 * X.T @ (X @ w - y), w,
        {"the target forgotten": lambda w: 2 * X.T @ (X @ w)},
    )


@family(TINY_OR_HUGE)
def rescaled_cross_entropy(random):
    batch, classes = random.integers(1, 10), random.integers(2, 8)
    z, Y = random.normal(size=(batch, classes)), np.eye(classes)[random.integers(classes, size=batch)]
    return rescaled(
        random, lambda z: (logsumexp(z) - (Y * z).sum(1)).sum(), lambda z: softmax(z) - Y, z,
        {"the labels forgotten": softmax},
    )


@family(TINY_OR_HUGE)
def likelihood_as_a_product(random):
    """The density of a sample itself, not its logarithm: 1e-300 to 1e-20."""
    size = random.integers(10, 150)
    x, p = random.normal(size=size), np.array([0.3 * random.normal(), random.uniform(0.8, 1.5)])

    def loss(p):
        return (np.exp(-(((x - p[0]) / p[1]) ** 2) / 2) / (p[1] * np.sqrt(2 * np.pi))).prod()

    def gradient(p, normal=1.0):
        r = (x - p[0]) / p[1]
        return loss(p) * np.array([r.sum() / p[1], ((r * r).sum() - normal * size) / p[1]])

    return HardCase(loss, gradient, p, None, {"the norm of the density forgotten": lambda p: gradient(p, 0.0)})


@family(TINY_OR_HUGE)
def partition_function(random):
    size, shift = random.integers(2, 12), random.choice([-1, 1]) * random.uniform(50, 600)
    energy, weight = random.normal(size=size), random.uniform(0.5, 2, size)
    return HardCase(
        lambda e: (weight * np.exp(shift - e)).sum(), lambda e: -weight * np.exp(shift - e), energy, None,
        {"the weights forgotten": lambda e: -np.exp(shift - e)},
    )


@family(TINY_OR_HUGE)
def parameters_as_tiny_or_huge_as_the_loss(random):
    size, scale = random.integers(1, 12), 10.0 ** (random.choice([-1, 1]) * random.integers(20, 140))
    x = random.normal(size=size) * scale
    A = random.normal(size=(size, size))
    return HardCase(
        lambda x: x @ A @ x, lambda x: A @ x + A.T @ x, x, None, {"taken for symmetric": lambda x: 2 * A @ x}
    )


# Softmax, sigmoid and attention far out.


@family(LARGE_LOGITS)
def cross_entropy_of_large_logits(random):
    batch, classes, scale = random.integers(1, 10), random.integers(2, 8), 10.0 ** random.uniform(1, 4)
    z, Y = scale * random.normal(size=(batch, classes)), np.eye(classes)[random.integers(classes, size=batch)]

    def gradient(z):
        others = softmax(z) * (1 - Y)
        return (others - Y * others.sum(1, keepdims=True)) / batch  # p - Y loses digits where p is almost 1

    return HardCase(
        lambda z: logsumexp(z - (Y * z).sum(1, keepdims=True)).mean(), gradient, z, None,
        {"no mean": lambda z: batch * gradient(z), "the labels forgotten": lambda z: softmax(z) / batch},
    )


@family(LARGE_LOGITS)
def soft_maximum_at_low_temperature(random):
    size, T = random.integers(2, 12), 10.0 ** random.uniform(-4, -1)
    x = random.normal(size=size)
    if random.uniform() < 0.5:
        x[0] = x.max() + T * random.uniform(-2, 2)  # two share the maximum
    return HardCase(
        lambda x: T * logsumexp(x / T), lambda x: softmax(x / T), x, None,
        {"at temperature 1": softmax, "over the temperature": lambda x: softmax(x / T) / T},
    )


@family(LARGE_LOGITS)
def saturated_sigmoids(random):
    size, scale = random.integers(1, 20), 10.0 ** random.uniform(1, 3)
    z, y = scale * random.normal(size=size), random.integers(0, 2, size)

    def gradient(z):
        with np.errstate(over="ignore"):
            return np.where(y, -1 / (1 + np.exp(z)), 1 / (1 + np.exp(-z))) / size  # p - y would lose digits

    return HardCase(
        lambda z: (np.maximum(z, 0) - y * z + np.log1p(np.exp(-absolute(z)))).mean(), gradient, z, None,
        {"no mean": lambda z: size * gradient(z)},
    )


@family(LARGE_LOGITS)
def attention_that_looks_at_one_place(random):
    n, width, scale = random.integers(2, 6), random.integers(1, 5), 10.0 ** random.uniform(1, 2.5)
    q, k, v, R = (random.normal(size=(n, width)) for _ in range(4))
    params = {"q": scale * q, "k": k}

    def loss(p):
        return (R * (softmax(p["q"] @ p["k"].T / np.sqrt(width)) @ v)).sum()

    def gradient(p, power=0.5):
        a = softmax(p["q"] @ p["k"].T / np.sqrt(width))
        da = R @ v.T
        centred = ((da[:, :, None] - da[:, None, :]) * a[:, None, :]).sum(2)  # loses no digits where a is 1
        ds = a * centred / width**power
        return {"q": ds @ p["k"], "k": ds.T @ p["q"]}

    return HardCase(loss, gradient, params, None, {"the scale squared": lambda p: gradient(p, 1.0)})


@family(LARGE_LOGITS)
def log_likelihood_of_an_unlikely_label(random):
    classes = random.integers(2, 10)
    z = random.normal(size=classes)
    z[0] -= random.uniform(50, 700)
    return HardCase(
        lambda z: logsumexp(z - z[0]), lambda z: softmax(z) - np.eye(classes)[0], z, None,
        {"the sign of the label": lambda z: softmax(z) + np.eye(classes)[0]},
    )


# Square roots and quotients near 0.


def near_zero(random, low=-9, high=-2):
    size = random.integers(2, 10)
    x = random.normal(size=size)
    return x / np.sqrt(x @ x) * 10.0 ** random.uniform(low, high)


@family(NEAR_ZERO)
def short_vector(random):
    x = near_zero(random)
    return HardCase(
        lambda x: np.sqrt((x * x).sum()), lambda x: x / np.sqrt(x @ x), x, None, {"of the square": lambda x: 2 * x}
    )


@family(NEAR_ZERO)
def short_vector_beside_a_loss(random):
    """Group lasso: the short group stands beside a loss of the size of 1."""
    x, target, strength = near_zero(random), random.normal(), random.uniform(0.1, 2)
    a = random.normal(size=x.size)
    return HardCase(
        lambda x: (a @ x - target) ** 2 + strength * np.sqrt((x * x).sum()),
        lambda x: 2 * (a @ x - target) * a + strength * x / np.sqrt(x @ x), x, None,
        {"the norm forgotten": lambda x: 2 * (a @ x - target) * a,
         "the norm squared": lambda x: 2 * (a @ x - target) * a + 2 * strength * x},
    )


@family(NEAR_ZERO)
def direction_of_a_short_vector(random):
    x = near_zero(random)
    a = random.normal(size=x.size)

    def gradient(x):
        length = np.sqrt(x @ x)
        return a / length - x * (a @ x) / length**3

    return HardCase(
        lambda x: (a @ x) / np.sqrt((x * x).sum()), gradient, x, None,
        {"the length is a constant": lambda x: a / np.sqrt(x @ x)},
    )


@family(NEAR_ZERO)
def smoothed_norm_at_zero(random):
    size, epsilon = random.integers(1, 8), 10.0 ** random.uniform(-16, -6)
    x = np.zeros(size) if random.uniform() < 0.5 else near_zero(random)
    a = random.uniform(0.2, 1, x.size)
    return HardCase(
        lambda x: np.sqrt((x * x).sum() + epsilon) + (a * x).sum(),
        lambda x: x / np.sqrt(x @ x + epsilon) + a, x, None,
        {"the linear term forgotten": lambda x: x / np.sqrt(x @ x + epsilon), "twice": lambda x: 2 * a},
    )


@family(NEAR_ZERO)
def distance_of_two_near_points(random):
    d = near_zero(random, -8, -2)
    x = random.normal(size=d.size)
    return HardCase(
        lambda p: np.sqrt(((p[0] - p[1]) ** 2).sum()),
        lambda p: ((p[0] - p[1]) / np.sqrt(((p[0] - p[1]) ** 2).sum()),
                   (p[1] - p[0]) / np.sqrt(((p[0] - p[1]) ** 2).sum())), (x, x + d), None,
        {"both of one sign": lambda p: ((p[0] - p[1]) / np.sqrt(((p[0] - p[1]) ** 2).sum()),) * 2},
    )
