"""The exact expected loss: against rational arithmetic, finite differences, sampling, and numbers known by hand."""

from __future__ import annotations

import math
import tracemalloc
from fractions import Fraction
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from minitms import expected
from minitms.expected import PATTERNS, expected_gradients, expected_loss, minimise_expected_loss
from minitms.fast import newton
from minitms.model import loss

ACTIVATIONS = ("linear", "relu")


# ---- An oracle in rational arithmetic: no rounding, no quadrature, no code in common -----------------------


def polygon_where_positive(a, c, b):
    """Corners of the part of the unit square (x, t) where a x + c t + b > 0: the square, clipped by the line."""
    square = [(Fraction(x), Fraction(t)) for x, t in ((0, 0), (1, 0), (1, 1), (0, 1))]
    corners = []
    for (x0, t0), (x1, t1) in zip(square, square[1:] + square[:1], strict=True):
        z0, z1 = a * x0 + c * t0 + b, a * x1 + c * t1 + b
        if z0 > 0:
            corners.append((x0, t0))
        if (z0 > 0) != (z1 > 0):
            share = z0 / (z0 - z1)
            corners.append((x0 + share * (x1 - x0), t0 + share * (t1 - t0)))
    return corners


def integral_of_square(corners, alpha, gamma, beta):
    """∫ (alpha x + gamma t + beta)² over a convex polygon; over a triangle, area times mean at the edges' middles."""
    total = Fraction(0)
    for (x1, t1), (x2, t2) in pairwise(corners[1:]):
        x0, t0 = corners[0]
        area = abs((x1 - x0) * (t2 - t0) - (x2 - x0) * (t1 - t0)) / 2
        middles = [((x0 + x1) / 2, (t0 + t1) / 2), ((x1 + x2) / 2, (t1 + t2) / 2), ((x2 + x0) / 2, (t2 + t0) / 2)]
        total += area * sum((alpha * x + gamma * t + beta) ** 2 for x, t in middles) / 3
    return total


def pair_of_features_on(a, c, b, own, other):
    """∫∫ (ReLU(a x + c t + b) - x)² over the pieces of the unit square; a feature that is off is held at 0."""
    if not own and not other:
        return max(b, 0) ** 2
    a, c = a * own, c * other
    inside = polygon_where_positive(a, c, b)
    outside = polygon_where_positive(-a, -c, -b)
    if not inside and not outside:                  # z is 0 everywhere
        outside = polygon_where_positive(0, 0, Fraction(1))
    return integral_of_square(inside, a - own, c, b) + integral_of_square(outside, -own, 0, 0)


def relu_moment(c, b, power):
    """∫ ReLU(c · x + b)^power over [0, 1]^k: the alternating sum over the corners of the cube, exact in fractions."""
    c = [value for value in c if value != 0]
    total = Fraction(0)
    for size in range(len(c) + 1):
        for corner in combinations(c, size):
            total += (-1) ** (len(c) - size) * max(b + sum(corner), 0) ** (power + len(c))
    return total * math.factorial(power) / (math.factorial(power + len(c)) * math.prod(c))


def cube_of_features_on(c, b, own):
    """∫ (ReLU(c · x + b) - x_0)² over [0, 1]^k if `own`, else ∫ ReLU(c · x + b)²; by corners and by parts."""
    squared = relu_moment(c, b, 2)
    if not own:
        return squared
    if c[0] == 0:
        return squared - relu_moment(c[1:], b, 1) + Fraction(1, 3)
    product = (relu_moment(c[1:], b + c[0], 2) - squared) / (2 * c[0])  # ∫ x_0 ReLU = [x_0 ReLU²/2c_0] - ∫ ReLU²/2c_0
    return squared - 2 * product + Fraction(1, 3)


def rational_loss(W, b, density, importance, pattern="independent", pieces=False):
    """Expected ReLU loss as a Fraction; `pieces` integrates over the polygons of the unit square (n = 2 only)."""
    W = [[Fraction(float(w)) for w in row] for row in np.atleast_2d(W)]
    b = [Fraction(float(value)) for value in b]
    n = len(b)
    s = [Fraction(float(value)) for value in np.broadcast_to(density, n)]
    importance = [Fraction(float(value)) for value in np.broadcast_to(importance, n)]
    total = Fraction(0)
    for size in range(n + 1):
        for on in combinations(range(n), size):
            if pattern == "independent":
                probability = math.prod((s[j] if j in on else 1 - s[j]) for j in range(n))
            elif pattern == "together":
                probability = {0: 1 - s[0], n: s[0]}.get(size, 0)
            else:
                probability = {0: 1 - sum(s), 1: s[on[0]] if on else 0}.get(size, 0)
            for i in range(n) if probability else ():
                A = [sum(row[i] * row[j] for row in W) for j in range(n)]
                if pieces:
                    value = pair_of_features_on(A[i], A[1 - i], b[i], int(i in on), int(1 - i in on))
                else:
                    order = [i] * (i in on) + [j for j in on if j != i]
                    value = cube_of_features_on([A[j] for j in order], b[i], i in on)
                total += probability * importance[i] * value
    return total


def pair_cases(count, seed=0):
    """One-neuron models of two features over all that W, b and density can be, W = 0 and zero weights among them."""
    rng = np.random.default_rng(seed)
    for k in range(count):
        size = 10 ** rng.uniform(-9, 6, 2) if k % 3 == 0 else rng.uniform(0, 2, 2)
        W = size * rng.choice([-1, 1], 2)
        if k % 10 == 1:
            W[rng.integers(2)] = 0
        if k % 25 == 2:
            W[:] = 0
        b = rng.normal(0, 0.7, 2)
        if k % 7 == 3:
            b[rng.integers(2)] = 0
        if k % 5 == 4:                              # biases of the size of A_12, so that z crosses 0 in the square
            b = -rng.uniform(0, 1, 2) * np.abs(W[0] * W[1]) * rng.choice([-1, 1], 2)
        density = rng.choice([0, 1, 1e-6, rng.uniform()], 2)
        importance = rng.choice([1, 0, rng.uniform(0.1, 10)], 2)
        if not importance.any():
            importance[0] = 1
        yield W[None], b, density, importance


@pytest.mark.plain_python
def test_relu_pair_equals_rational_arithmetic():
    for W, b, density, importance in pair_cases(500):
        exact = float(rational_loss(W, b, density, importance, pieces=True))
        got = expected_loss(W, b, density, importance, "relu")
        assert abs(got - exact) <= 1e-12 * exact, (W, b, density, importance, got, exact)


def test_readable_pair_equals_rational_arithmetic():
    for W, b, density, importance in pair_cases(500, seed=1):
        exact = float(rational_loss(W, b, density, importance, pieces=True))
        got = readable(W, b, density, importance)[0]
        assert abs(got - exact) <= 1e-12 * exact, (W, b, density, importance, got, exact)


@pytest.mark.plain_python
def test_one_variable_loses_no_digits():
    """The integrals by hand, alone, where the textbook's forms cancel: small slopes, and z > 0 near one end only."""
    rng = np.random.default_rng(16)
    for k in range(600):
        c = rng.choice([-1, 1]) * 10 ** rng.uniform(-9, 6)
        near = 10 ** rng.uniform(-9, -3)
        d = (rng.normal(), -c * rng.uniform(), -c * (1 - near), -c * near)[k % 4]
        exact = float(cube_of_features_on([Fraction(c)], Fraction(d), own=False))
        assert abs(newton.other_error(c, d, True)[0] - exact) <= 1e-12 * exact, (c, d)
        assert abs(expected._segment(c, d, 0)[0] - exact) <= 1e-12 * exact, (c, d)
        if c > 0:
            exact = float(cube_of_features_on([Fraction(c)], Fraction(d), own=True))
            assert abs(newton.own_error(c, d, True)[0] - exact) <= 1e-12 * exact, (c, d)
            assert abs(expected._segment(c, d, 1)[0] - exact) <= 1e-12 * exact, (c, d)


@pytest.mark.parametrize("pattern", ["together", "at_most_one"])
def test_patterns_of_a_pair_equal_rational_arithmetic(pattern):
    for W, b, density, importance in pair_cases(200, seed=2):
        density = density[:1] if pattern == "together" else density / 2
        exact = float(rational_loss(W, b, np.broadcast_to(density, 2), importance, pattern, pieces=True))
        got = expected_loss(W, b, density if pattern == "at_most_one" else density[0], importance, "relu", pattern)
        assert abs(got - exact) <= 1e-12 * exact, (W, b, density, importance, got, exact)


@pytest.mark.parametrize(("n", "m", "cases"), [(1, 1, 50), (2, 2, 50), (3, 1, 50), (3, 2, 100), (4, 2, 20), (5, 2, 6)])
@pytest.mark.parametrize("pattern", ["independent", "together", "at_most_one"])
def test_more_features_equal_rational_arithmetic(n, m, cases, pattern):
    rng = np.random.default_rng(n)
    for k in range(cases):
        W, b = rng.normal(size=(m, n)) * 10 ** rng.uniform(-1, 0.5), rng.normal(0, 0.5, n)
        if k % 4 == 1:
            W[:, rng.integers(n)] = 0
        density = np.full(n, rng.uniform()) if pattern == "together" else rng.uniform(0, 1, n)
        if pattern == "at_most_one":
            density /= density.sum() + rng.uniform()
        importance = rng.uniform(0.1, 2, n)
        exact = float(rational_loss(W, b, density, importance, pattern))
        got = expected_loss(W, b, density, importance, "relu", pattern)
        assert abs(got - exact) <= 1e-12 * exact, (W, b, density, got, exact)


def test_the_two_oracles_agree():
    for W, b, density, importance in pair_cases(100, seed=3):
        by_corners = rational_loss(W, b, density, importance)
        assert by_corners == rational_loss(W, b, density, importance, pieces=True)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_linear_equals_rational_arithmetic(pattern):
    """E (M x + b)² written out over all pairs of features, from E x_j, E x_j² and E x_j x_k as fractions."""
    rng = np.random.default_rng(4)
    for _ in range(100):
        m, n = rng.integers(1, 4), rng.integers(1, 7)
        W, b, importance = rng.normal(size=(m, n)), rng.normal(size=n), rng.uniform(0, 2, n)
        density = np.full(n, rng.uniform()) if pattern == "together" else rng.uniform(0, 1, n)
        if pattern in ("at_most_one", "exactly_one"):
            density = density / density.sum() if pattern == "at_most_one" else np.full(n, 1 / n)
        s = [Fraction(float(value)) for value in density]
        both = [[{"independent": s_j * s_k, "together": s_j}.get(pattern, 0) for s_k in s] for s_j in s]
        exact = Fraction(0)
        for i in range(n):
            M = [sum(Fraction(float(row[i])) * Fraction(float(row[j])) for row in W) - (i == j) for j in range(n)]
            bias = Fraction(float(b[i]))
            square = bias**2 + sum(2 * bias * M[j] * s[j] / 2 for j in range(n))
            square += sum(M[j] * M[k] * (s[j] / 3 if j == k else both[j][k] / 4) for j in range(n) for k in range(n))
            exact += Fraction(float(importance[i])) * square
        got = expected_loss(W, b, None if pattern == "exactly_one" else density, importance, "linear", pattern)
        assert abs(got - float(exact)) <= 1e-12 * float(exact)


@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_in_pieces_is_as_in_one_piece(activation, pattern, monkeypatch):
    """Of models, where several fit into a piece, and of rows of A, where one model does not."""
    rng = np.random.default_rng(5)
    n = 4
    W, b, importance = rng.normal(size=(7, 2, n)), 0.1 * rng.normal(size=(7, n)), rng.uniform(0, 2, (7, n))
    density = rng.uniform(0, 1 / n, (7, n))
    if pattern == "together":
        density[:] = density[:, :1]
    model = W, b, None if pattern == "exactly_one" else density, importance, activation, pattern
    whole = expected_loss(*model), *expected_gradients(*model)
    for entries in (3 * n * n, 3 * n, 1):
        monkeypatch.setattr(expected, "ENTRIES_AT_ONCE", entries)
        for got, one in zip((expected_loss(*model), *expected_gradients(*model)), whole, strict=True):
            np.testing.assert_allclose(got, one, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("activation", "pattern"), [("linear", "independent"), ("relu", "at_most_one")])
def test_no_matrix_of_all_pairs_of_features_is_made(activation, pattern):
    n = 5000
    tracemalloc.start()
    try:
        loss = expected_loss(np.full((1, n), 0.1), np.zeros(n), 0.5 / n, activation=activation, pattern=pattern)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert loss > 0
    assert peak < 8 * n * n


# ---- Two voices, one meaning -------------------------------------------------------------------------------


def readable(W, b, density, importance, pattern="independent"):
    """Loss and gradients by the NumPy of `expected`, also where `expected_loss` takes the jitted kernel."""
    model = expected._Models(W, b, density, importance, "relu", pattern)
    L, G, db = expected._relu(model, model.W.mT @ model.W, slice(None))
    return L.reshape(model.stack), model.W @ (G + G.mT), db


@pytest.mark.plain_python
def test_kernel_equals_readable_gradients():
    for W, b, density, importance in pair_cases(500, seed=5):
        dW, db = expected_gradients(W, b, density, importance, "relu")
        _, dW_readable, db_readable = readable(W, b, density, importance)
        scale = max(np.abs(dW_readable).max(), np.abs(db_readable).max())
        np.testing.assert_allclose(dW, dW_readable[0], rtol=1e-11, atol=1e-12 * scale)
        np.testing.assert_allclose(db, db_readable[0], rtol=1e-11, atol=1e-12 * scale)


# ---- Gradients ---------------------------------------------------------------------------------------------

moderate = st.floats(-2, 2, allow_subnormal=False)


@st.composite
def trained_models(draw, pattern=None, activation=None):
    """Arguments of `expected_loss` for models whose features are of size 1 or so; no two entries need be equal."""
    pattern = draw(st.sampled_from(PATTERNS)) if pattern is None else pattern
    activation = draw(st.sampled_from(ACTIVATIONS)) if activation is None else activation
    n, m = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    numbers = st.lists(moderate, min_size=n, max_size=n)
    W, b = np.array([draw(numbers) for _ in range(m)]), np.array(draw(numbers))
    importance = np.array(draw(st.lists(st.floats(0, 2), min_size=n, max_size=n)))
    density = np.array(draw(st.lists(st.floats(0, 1), min_size=n, max_size=n)))
    if pattern == "together":
        density[:] = density[0]
    elif pattern == "at_most_one":
        density /= n
    return W, b, None if pattern == "exactly_one" else density, importance, activation, pattern


def pre_activations_at_corners(W, b):
    """z of every output at every corner of the cube [0, 1]^n: the loss is smooth while none of them changes sign."""
    n = len(b)
    corners = np.array(np.meshgrid(*[[0, 1]] * n, indexing="ij")).reshape(n, -1)
    return (W.T @ W) @ corners + b[:, None]


def slope(f, h):
    """Five-point central difference of f at 0."""
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)


def check_slope_along(W, b, rest, U, v, h=2e-4):
    """Compare the slope along (U, v) with that of the gradients; False if an output's sign changes in the stencil."""
    z = np.stack([pre_activations_at_corners(W + t * h * U, b + t * h * v) for t in (-2, -1, 0, 1, 2)])
    if rest[2] == "relu" and not (np.abs(z[2]).min() > 0 and (np.sign(z) == np.sign(z[2])).all()):
        return False
    dW, db = expected_gradients(W, b, *rest)
    numeric = slope(lambda t: expected_loss(W + t * U, b + t * v, *rest), h)
    analytic = (dW * U).sum() + (db * v).sum()
    assert abs(numeric - analytic) <= 1e-8 * (1 + abs(analytic)), (numeric, analytic)
    return True


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@given(st.data(), st.integers(0, 2**32 - 1))
def test_gradients_equal_finite_differences(activation, pattern, data, seed):
    W, b, *rest = data.draw(trained_models(pattern, activation))
    rng = np.random.default_rng(seed)
    assume(check_slope_along(W, b, rest, rng.uniform(-1, 1, W.shape), rng.uniform(-1, 1, b.shape)))


@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 1), (2, 2), (3, 2), (4, 2), (5, 2)])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_gradients_of_generic_models_equal_finite_differences(pattern, n, m):
    rng = np.random.default_rng(n)
    checked, models = 0, 10 if n < 5 else 2
    for _ in range(models):
        W, b, density = rng.normal(size=(m, n)), rng.normal(0, 0.7, n), rng.uniform(0.2, 1, n)
        if pattern != "independent":
            density = {"together": np.full(n, density[0]), "at_most_one": density / n}.get(pattern)
        rest = density, rng.uniform(0.5, 2, n), "relu", pattern
        checked += check_slope_along(W, b, rest, rng.normal(size=W.shape), rng.normal(size=b.shape))
    assert checked > models / 2


# (W, b, index of b that is moved): each sits on a boundary of pieces, where z = 0 at a corner of the square
BOUNDARIES = [
    ([1.0, 0.0], [0.0, 0.5], 0),        # z_1 = 0 at the corner (0, 0)
    ([1.0, -1.0], [0.0, 0.0], 1),       # z_2 = 0 at (0, 0) and (1, 1)
    ([1.5, 0.5], [-2.25, 0.0], 0),      # z_1 = 0 at (1, 0)
    ([1.5, 0.5], [-3.0, 0.0], 0),       # z_1 = 0 at (1, 1)
    ([2.0, -0.5], [1.0, 0.0], 0),       # z_1 = 0 at (0, 1)
    ([0.75, 0.0], [0.1, -0.1], 0),      # output 2 is dead
]


@pytest.mark.parametrize("pattern", ["independent", "together", "at_most_one"])
@pytest.mark.parametrize(("W", "b", "index"), BOUNDARIES)
def test_gradient_on_a_piece_boundary_is_that_of_both_sides(W, b, index, pattern):
    W, b, direction = np.array([W]), np.array(b), np.eye(2)[index]
    rest = (0.4, [1.0, 0.7], "relu", pattern)
    db = expected_gradients(W, b, *rest)[1][index]
    L = expected_loss(W, b, *rest)
    h = 1e-5
    for side in (1, -1):
        L1, L2, L3 = (expected_loss(W, b + side * k * h * direction, *rest) for k in (1, 2, 3))
        one_sided = side * (18 * L1 - 9 * L2 + 2 * L3 - 11 * L) / (6 * h)
        assert abs(one_sided - db) <= 1e-8, (side, one_sided, db)


def test_dead_output_has_a_kink_and_the_derivative_zero_on_it():
    """W_2 = 0, b_2 = 0: the slope is 0 towards negative b, and -2 E x_2 = -density towards positive b."""
    W, density, h = np.array([[1.0, 0.0]]), 0.4, 1e-7
    dW, db = expected_gradients(W, np.zeros(2), density)
    assert db[1] == 0
    assert dW[0, 1] == 0
    at, above, below = (expected_loss(W, np.array([0, bias]), density) for bias in (0, h, -h))
    assert (above - at) / h == pytest.approx(-density, abs=1e-6)
    assert below == at


@pytest.mark.plain_python
def test_hessian_equals_differences_of_the_gradient():
    rng = np.random.default_rng(6)
    g, H, near = np.empty(4), np.empty((4, 4)), np.empty((2, 4))
    probabilities, importance, h = np.array([0.1, 0.4, 0.2, 0.3]), np.array([1.0, 0.6]), 1e-6
    checked = 0
    for _ in range(300):
        x = rng.normal(0, [0.9, 0.9, 0.5, 0.5])
        relu = bool(rng.integers(4))
        z = pre_activations_at_corners(x[None, :2], x[2:])
        if relu and np.abs(z).min() < 1e-4:
            continue
        newton.loss_gradient_hessian(x, probabilities, importance, relu, g, H)
        for i in range(4):
            for row, side in enumerate((h, -h)):
                moved = x + side * np.eye(4)[i]
                newton.loss_gradient_hessian(moved, probabilities, importance, relu, near[row], np.empty((4, 4)))
            np.testing.assert_allclose(H[i], (near[0] - near[1]) / (2 * h), rtol=1e-6, atol=1e-6 * np.abs(H).max())
        checked += 1
    assert checked > 250


# ---- Continuity --------------------------------------------------------------------------------------------


@given(
    st.lists(st.sampled_from([0.0, 1e-9, 1.0, 1e3]) | st.floats(-3, 3), min_size=4, max_size=4),
    st.lists(st.floats(-1e-9, 1e-9), min_size=4, max_size=4),
    st.floats(0, 1),
)
def test_loss_is_continuous(x, change, density):
    x, change = np.array(x), np.array(change)
    here, there = (expected_loss(p[None, :2], p[2:], density, [1.0, 0.5], "relu") for p in (x, x + change))
    assert abs(here - there) <= 1e-6 * (1 + here)


@given(st.sampled_from([0, 1, 2, 3]), st.floats(-3, 3), st.floats(-3, 3), st.floats(-1, 1), st.floats(0, 1))
def test_loss_is_continuous_at_zero_weights_and_biases(which, w, b1, b2, density):
    """The divisions by W are where a closed form breaks: cross 0 in each parameter in turn."""
    x = np.array([w, -w / 2, b1, b2])
    x[which] = 0
    at = expected_loss(x[None, :2], x[2:], density, 1.0, "relu")
    for change in (1e-9, -1e-9, 1e-12, -1e-12, 1e-200):
        near = x + change * np.eye(4)[which]
        assert abs(expected_loss(near[None, :2], near[2:], density, 1.0, "relu") - at) <= 1e-6 * (1 + at)


# ---- Against sampling --------------------------------------------------------------------------------------


def sample(rng, batch, density, pattern, n):
    """Features of the given pattern, drawn by NumPy alone."""
    u = rng.random((batch, n))
    if pattern == "independent":
        return u * (rng.random((batch, n)) < density)
    if pattern == "together":
        return u * (rng.random((batch, 1)) < density[0])
    which = np.searchsorted(np.cumsum(density), rng.random(batch))      # n: none of them
    return u * (which[:, None] == np.arange(n))


def test_deviation_from_sampling_is_standard_normal():
    rng = np.random.default_rng(7)
    z = []
    for _ in range(2000):
        pattern, activation = rng.choice(PATTERNS), rng.choice(ACTIVATIONS)
        n, m = (2, 1) if rng.random() < 0.5 else (rng.integers(2, 5), rng.integers(1, 3))
        W, b, importance = rng.normal(size=(m, n)), rng.normal(0, 0.5, n), rng.uniform(0.2, 2, n)
        density = rng.uniform(0.1, 1, n)
        if pattern == "together":
            density[:] = density[0]
        elif pattern != "independent":
            density = density / n if pattern == "at_most_one" else np.full(n, 1 / n)
        x = sample(rng, 2000, density, pattern, n)
        losses = loss(W, b, x[:, None, :], importance, activation)      # 2000 batches of one example
        exact = expected_loss(W, b, None if pattern == "exactly_one" else density, importance, activation, pattern)
        z.append((losses.mean() - exact) / (losses.std(ddof=1) / math.sqrt(len(losses))))
    z = np.array(z)
    # Five standard errors of the mean and of the variance of 2000 standard normal numbers.
    assert abs(z.mean()) < 5 / math.sqrt(len(z))
    assert abs(z.var() - 1) < 5 * math.sqrt(2 / len(z))
    assert np.abs(z).max() < 6


# ---- Numbers known by hand ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "expected_value"), [(2, 0.17), (3, 0.17 * 2 / 3), (4, 0.17 / 3)])
def test_exactly_one_of_five_features_on_a_regular_polygon(k, expected_value):
    """n = 5, m = 2, exactly one on: features 0..k-1 as a k-gon, the others dropped at their mean s/2 = 0.1."""
    W, b = np.zeros((2, 5)), np.full(5, 0.1)
    angle = 2 * np.pi * np.arange(k) / k
    if k == 2:
        W[0, :2] = 1, -1
        b[:2] = 0
    elif k == 3:
        W[:, :3], b[:3] = np.cos(angle), 0
        W[1, :3] = np.sin(angle)
    else:
        W[:, :4] = [[1, 0, -1, 0], [0, 1, 0, -1]]
        b[:4] = 0
    dropped = (5 - k) * (1 / 15 - 1 / 100)                # each costs v = s/3 - s²/4 at s = 1/5
    assert expected_loss(W, b, pattern="exactly_one") == pytest.approx(dropped, abs=1e-15)
    assert dropped == pytest.approx(expected_value, abs=1e-15)


def test_exactly_one_of_five_features_on_the_pentagon():
    angle = 2 * np.pi * np.arange(5) / 5
    W, b = 1.1705 * np.stack([np.cos(angle), np.sin(angle)]), np.full(5, -0.2823)
    assert expected_loss(W, b, pattern="exactly_one") == pytest.approx(0.015826, abs=1e-6)
    dW, db = expected_gradients(W, b, pattern="exactly_one")
    assert max(np.abs(dW).max(), np.abs(db).max()) < 1e-4


def test_linear_loss_with_the_best_bias():
    """v [sum_i I_i (1 - |W_i|²)² + sum_{i != j} I_j (W_i · W_j)²], for any W and one density."""
    rng = np.random.default_rng(8)
    W, importance, s = rng.normal(size=(3, 6)), rng.uniform(0, 2, 6), 0.3
    A = W.T @ W
    v = s / 3 - s**2 / 4
    by_hand = v * (importance[:, None] * (A - np.eye(6)) ** 2).sum()
    b = (np.eye(6) - A) @ np.full(6, s / 2)
    assert expected_loss(W, b, s, importance, "linear") == pytest.approx(by_hand, rel=1e-13)


# ---- Stacks and bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("n", "m"), [(2, 1), (3, 2)])
def test_a_stack_equals_each_model_alone(n, m, activation):
    rng = np.random.default_rng(9)
    W, b = rng.normal(size=(4, 3, m, n)), rng.normal(size=(3, n))
    density, importance = rng.uniform(size=(4, 1, 1)), rng.uniform(size=(3, n))
    L = expected_loss(W, b, density, importance, activation)
    dW, db = expected_gradients(W, b, density, importance, activation)
    assert L.shape == (4, 3)
    assert dW.shape == (4, 3, m, n)
    assert db.shape == (4, 3, n)
    for i in range(4):
        for j in range(3):
            alone = W[i, j], b[j], density[i, 0, 0], importance[j], activation
            assert L[i, j] == pytest.approx(expected_loss(*alone), rel=1e-14)
            np.testing.assert_allclose(dW[i, j], expected_gradients(*alone)[0], rtol=1e-12, atol=1e-14)
            np.testing.assert_allclose(db[i, j], expected_gradients(*alone)[1], rtol=1e-12, atol=1e-14)
    assert expected_loss(W[0, 0], b[0], 0.5, 1.0, activation).shape == ()


def test_a_large_stack_is_worked_in_pieces(monkeypatch):
    rng = np.random.default_rng(10)
    W, b = rng.normal(size=(7, 2, 3)), rng.normal(size=(7, 3))
    whole = expected_loss(W, b, 0.4)
    monkeypatch.setattr(expected, "POINTS_AT_ONCE", 100)
    np.testing.assert_array_equal(expected_loss(W, b, 0.4), whole)


def test_models_without_an_exact_form_are_refused_with_those_that_have_one():
    W, b = np.ones((2, 6)), np.zeros(6)
    with pytest.raises(ValueError, match=r"n = 6 .* linear, any n.*at_most_one.*minitms\.loss on a large sample"):
        expected_loss(W, b, 0.5, activation="relu")
    assert expected_loss(W, b, 0.1, activation="relu", pattern="at_most_one") > 0
    assert expected_loss(W, b, 0.5, activation="linear") > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation": "tanh"}, "activation is 'tanh'"),
        ({"pattern": "pairs"}, "pattern is 'pairs'"),
        ({"density": None}, "density is missing"),
        ({"density": 1.5}, "density holds 1.5"),
        ({"density": np.nan}, "density holds nan"),
        ({"importance": -1.0}, "importance holds -1"),
        ({"W": np.full((1, 2), np.inf)}, "W holds inf"),
        ({"b": np.array([0, np.nan])}, "b holds nan"),
        ({"W": np.full((1, 2), 1e60)}, "W holds 1e.60; expected at most 1e.50"),
        ({"b": np.zeros(3)}, r"b \(3,\); expected"),
        ({"W": np.ones(2)}, r"W \(2,\)"),
        ({"W": np.ones((0, 1, 2))}, "none of them empty"),
        ({"W": np.ones((3, 1, 2)), "b": np.ones((2, 2))}, "do not broadcast"),
        ({"pattern": "exactly_one"}, "leave it out"),
        ({"pattern": "together", "density": [0.1, 0.2]}, "one on/off bit"),
        ({"pattern": "at_most_one", "density": [0.7, 0.6]}, "add up to 1.3"),
    ],
)
def test_bad_input_is_refused(change, message):
    arguments = {"W": np.ones((1, 2)), "b": np.zeros(2), "density": 0.5} | change
    for function in (expected_loss, expected_gradients, minimise_expected_loss):
        with pytest.raises(ValueError, match=message):
            function(**arguments)


# ---- Training without sampling -----------------------------------------------------------------------------


def random_starts(rng, count):
    return 1.5 * rng.standard_normal((count, 1, 2)), 0.5 * rng.standard_normal((count, 2))


@pytest.mark.parametrize(
    ("importance", "density", "least", "W", "b"),
    [
        (0.977, 0.572, 0.09246, (0.913, -0.899), (0.172, 0.180)),
        (1.0, 0.7, 0.10811, (0.759, -0.759), (0.329, 0.329)),
        (1.0, 0.5, 0.07628, None, None),
        (1.0, 0.9, 0.09709, (0.398, -0.935), (0.546, 0.218)),
    ],
)
def test_known_minima_are_found(importance, density, least, W, b):
    """A separate search gave these, to the digits shown. W and -W are one model; at r = 1 so is the swapped one."""
    start = random_starts(np.random.default_rng(11), 64)
    found = minimise_expected_loss(*start, density, [1.0, importance])
    best = found.loss.argmin()
    assert found.loss[best] == pytest.approx(least, abs=5e-6)       # half a unit of the last digit shown
    if W is not None:
        x = np.concatenate([found.W[best, 0], found.b[best]])
        twins = [x * sign for sign in ([1, 1, 1, 1], [-1, -1, 1, 1])]
        if importance == 1:
            twins += [twin[[1, 0, 3, 2]] for twin in twins]
        assert min(np.abs(twin - [*W, *b]).max() for twin in twins) < 6e-4


def test_least_losses_are_reached_without_gradients_too():
    """Three hundred random searches that only compare losses: the best of them ends where Newton's method does."""
    rng = np.random.default_rng(12)
    for importance, density in [(0.977, 0.572), (1.0, 0.7), (1.0, 0.5), (1.0, 0.9), (0.3, 0.2), (3.0, 0.1)]:
        rest = density, [1.0, importance]
        least = minimise_expected_loss(*random_starts(rng, 64), *rest).loss.min()
        W, b = random_starts(rng, 300)
        for radius in 0.8 ** np.arange(50):
            near_W = W + radius * rng.standard_normal((40, *W.shape))
            near_b = b + radius * rng.standard_normal((40, *b.shape))
            near_W[0], near_b[0] = W, b
            best = expected_loss(near_W, near_b, *rest).argmin(axis=0)
            W, b = near_W[best, np.arange(300)], near_b[best, np.arange(300)]
        searched = expected_loss(W, b, *rest).min()
        assert searched == pytest.approx(least, abs=2e-6)
        assert least <= searched + 1e-12


@pytest.mark.parametrize("pattern", PATTERNS[:3])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_minima_are_stationary_lower_than_their_start_and_as_reported(activation, pattern):
    rng = np.random.default_rng(13)
    W, b = random_starts(rng, 3000)
    density = rng.choice([0, 0.5], (3000, 1)) if pattern == "at_most_one" else 10 ** rng.uniform(-2, 0, (3000, 1))
    rest = density, np.stack([np.ones(3000), 10 ** rng.uniform(-1, 1, 3000)], axis=-1), activation, pattern
    found = minimise_expected_loss(W, b, *rest)
    dW, db = expected_gradients(found.W, found.b, *rest)
    np.testing.assert_allclose(np.maximum(np.abs(dW).max((-2, -1)), np.abs(db).max(-1)), found.gradient, atol=1e-13)
    np.testing.assert_allclose(expected_loss(found.W, found.b, *rest), found.loss, rtol=1e-12, atol=1e-300)
    assert (found.loss <= expected_loss(W, b, *rest)).all()
    assert (found.gradient < 1e-6).mean() > 0.99
    zero = expected_loss(0 * W, 0 * b, *rest)                        # as the docstring says:
    assert (found.gradient <= 1e-10 * np.where(zero > 0, zero, 1)).mean() > 0.99
    assert found.evaluations.max() <= 200


def test_the_linear_model_ends_at_its_closed_form_minimum():
    """The best linear model keeps the more important feature: least loss v · min(1, r)."""
    rng = np.random.default_rng(14)
    r = 10 ** (rng.uniform(0.1, 1, 200) * rng.choice([-1, 1], 200))
    W, b = random_starts(rng, 200)
    found = minimise_expected_loss(W, b, 0.3, np.stack([np.ones(200), r], axis=-1), "linear")
    np.testing.assert_allclose(found.loss, (0.3 / 3 - 0.3**2 / 4) * np.minimum(1, r), rtol=1e-9)


def test_the_number_of_threads_changes_no_bit(monkeypatch):
    monkeypatch.setattr(expected, "GROUP", 64)
    start = random_starts(np.random.default_rng(15), 500)
    one, two = (minimise_expected_loss(*start, 0.3, [1.0, 0.5], threads=count) for count in (1, 2))
    pieces = [minimise_expected_loss(W, b, 0.3, [1.0, 0.5]) for W, b in zip(*start, strict=True)]
    for name in one._fields:
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
        np.testing.assert_array_equal(getattr(one, name), np.stack([getattr(piece, name) for piece in pieces]))


@pytest.mark.plain_python
def test_features_that_are_never_on_leave_the_weights_alone():
    W, b = np.array([[[0.5, -0.3]]]), np.array([[0.2, -0.1]])
    found = minimise_expected_loss(W, b, 0.0)
    np.testing.assert_array_equal(found.W, W)
    np.testing.assert_allclose(found.b, [[0, -0.1]], atol=1e-9)      # a negative bias already answers 0
    assert found.loss == pytest.approx(0, abs=1e-18)


def test_other_shapes_are_not_minimised():
    with pytest.raises(ValueError, match="one neuron and two features"):
        minimise_expected_loss(np.ones((2, 3)), np.zeros(3), 0.5)
    with pytest.raises(ValueError, match="evaluations is 0"):
        minimise_expected_loss(np.ones((1, 2)), np.zeros(2), 0.5, evaluations=0)
