"""`check_grad` on right gradients of hard kinds, and on the same with an error planted; on losses that hide slopes."""

import contextlib
import warnings

import numpy as np
import pytest

from minitms.testing import GradientError, NotDifferentiableError, UnresolvedWarning, check_grad


def layer_norm_of_a_padded_batch():
    """One row is 0 and lives on the scale of 1e-6, the others on that of 255."""
    random = np.random.default_rng(0)
    R, x = random.normal(size=(3, 4)), 255 * random.normal(size=(3, 4))
    x[1] = 0

    def parts(x):
        spread = np.sqrt(x.var(1, keepdims=True) + 1e-12)
        return (x - x.mean(1, keepdims=True)) / spread, spread

    def gradient(x):
        y, spread = parts(x)
        return (R - R.mean(1, keepdims=True) - y * (R * y).mean(1, keepdims=True)) / spread

    return lambda x: float((R * parts(x)[0]).sum()), gradient, x


def standardised_with_a_constant_column():
    random = np.random.default_rng(1)
    R, x = random.normal(size=(6, 3)), random.normal(size=(6, 3))
    x[:, 2] = 5.0

    def parts(x):
        spread = np.sqrt(x.var(0) + 1e-10)
        return (x - x.mean(0)) / spread, spread

    def gradient(x):
        y, spread = parts(x)
        return (R - R.mean(0) - y * (R * y).mean(0)) / spread

    return lambda x: float((R * parts(x)[0]).sum()), gradient, x


def steep_and_gentle():
    return lambda a: float(1e8 * a[0] ** 2 + a[1]), lambda a: np.array([2e8 * a[0], 1.0]), np.ones(2)


def gentle_among_many():
    weight = np.ones(3000)
    weight[7] = 1e-9
    return (
        lambda a: float((weight * np.sin(a)).sum()),
        lambda a: weight * np.cos(a),
        np.random.default_rng(2).normal(size=3000),
    )


def timestamps():
    t = 1e9 + np.array([0.3, 1.1, 2.5])
    return (
        lambda t: float(np.exp(-((t - 1e9) ** 2)).sum()),
        lambda t: -2 * (t - 1e9) * np.exp(-((t - 1e9) ** 2)),
        t,
    )


def a_tiny_probability():
    y = np.array([0.2, 0.3, 0.5])
    return lambda p: float(-(y * np.log(p)).sum()), lambda p: -y / p, np.array([0.4, 0.6, 1e-20])


def a_tiny_probability_that_may_not_be_left():
    loss, gradient, p = a_tiny_probability()

    def strict(p):
        if (p <= 0).any():
            raise ValueError("not a probability")
        return loss(p)

    return strict, gradient, p


def a_narrow_valley():
    """exp(-x²) of width 1e-7 beside a slope of width 1."""
    def loss(p):
        return float(np.exp(-((p[0] - 1) ** 2) * 1e14) + np.sin(p[1]))

    def gradient(p):
        return np.array([-2e14 * (p[0] - 1) * np.exp(-((p[0] - 1) ** 2) * 1e14), np.cos(p[1])])

    return loss, gradient, np.array([1 + 4e-8, 0.5])


def one_square_root_in_single_precision():
    def loss(p):
        return float((p**2).sum() + np.float64(np.sqrt(np.float32(1 + (p**2).sum()))))

    return loss, lambda p: 2 * p + p / np.sqrt(1 + (p**2).sum()), np.array([0.7, -1.2, 0.4])


def a_layer_in_single_precision():
    A = np.random.default_rng(3).normal(size=(5, 4))

    def loss(p):
        return float(np.sin(p).sum() + np.linalg.norm((A @ p).astype(np.float32)).astype(float))

    return loss, lambda p: np.cos(p) + A.T @ (A @ p) / np.linalg.norm(A @ p), np.array([0.7, -1.2, 0.4, 2.0])


def a_bias_that_normalising_removes():
    """Its gradient is 0 but for rounding, and the loss changes by rounding only."""
    random = np.random.default_rng(4)
    x, R = random.normal(size=(8, 3)), random.normal(size=(8, 3))

    def parts(p):
        z = x + p["b"]
        return (z - z.mean(0)) / z.std(0), z.std(0)

    def gradient(p):
        y, spread = parts(p)
        dout = R * np.cos(R * p["gamma"] * y)
        dy = p["gamma"] * dout
        dz = (dy - dy.mean(0) - y * (dy * y).mean(0)) / spread
        return {"gamma": (y * dout).sum(0), "b": dz.sum(0)}

    params = {"gamma": np.array([0.5, -1.0, 2.0]), "b": np.array([0.1, 0.2, 0.3])}
    return lambda p: float(np.sin(R * p["gamma"] * parts(p)[0]).sum()), gradient, params


def parameters_as_tiny_as_the_loss():
    return lambda p: float((p**2).sum() * 1e80), lambda p: 2e80 * p, np.array([1e-87, -2e-88, 3e-87])


HARD = [
    (layer_norm_of_a_padded_batch, [(1, 2), (0, 3)]),
    (standardised_with_a_constant_column, [(2, 2), (4, 0)]),
    (steep_and_gentle, [(0,), (1,)]),
    (gentle_among_many, [(7,), (8,)]),
    (timestamps, [(1,)]),
    (a_tiny_probability, [(2,), (0,)]),
    (a_tiny_probability_that_may_not_be_left, [(2,), (0,)]),
    (a_narrow_valley, [(0,), (1,)]),
    (one_square_root_in_single_precision, [(1,)]),
    (a_layer_in_single_precision, [(3,)]),
    (parameters_as_tiny_as_the_loss, [(0,), (1,)]),
]


@pytest.mark.parametrize("case", [*(case for case, _ in HARD), a_bias_that_normalising_removes])
@pytest.mark.parametrize("seed", range(3))
def test_hard_right_gradients_pass(case, seed):
    loss, gradient, params = case()
    assert check_grad(loss, gradient, params, seed=seed)


@pytest.mark.parametrize(
    ("case", "index"),
    [(case, index) for case, indices in HARD for index in indices],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
@pytest.mark.parametrize("wrong", [0.0, 1.1, -1.0])
def test_the_same_with_one_wrong_entry_fail_there(case, index, wrong):
    loss, gradient, params = case()

    def planted(params):
        right = gradient(params)
        right[index] *= wrong
        return right

    with pytest.raises(GradientError) as caught:
        check_grad(loss, planted, params)
    assert caught.value.index == index
    assert "0 of" not in str(caught.value)


@pytest.mark.parametrize("case", [one_square_root_in_single_precision, a_layer_in_single_precision])
def test_single_precision_is_said(case):
    assert "single precision" in str(check_grad(*case()))
    loss, gradient, params = case()
    with pytest.raises(GradientError, match="single precision"):
        check_grad(loss, lambda p: 1.01 * gradient(p), params)


def near_kinks(seed):
    """A few ReLUs, some of them 1e-7 to 1e-11 away from their kink, on either side."""
    random = np.random.default_rng([13, seed])
    m, n = random.integers(2, 6), random.integers(1, 5)
    X, p, w = random.normal(size=(m, n)), random.normal(size=n) * 10.0 ** random.integers(-1, 2), random.normal(size=m)
    b = random.normal(size=m)
    near = random.integers(1, m)
    b[:near] = -(X @ p)[:near] + random.choice([-1, 1], near) * 10.0 ** random.uniform(-11, -7, near)

    def z(p):
        return X @ p + b

    if seed % 2:
        return lambda p: float(np.abs(z(p)) @ w), lambda p: X.T @ (np.sign(z(p)) * w), p, z

    def error(p):
        return np.maximum(z(p), 0) - w

    return lambda p: float((error(p) ** 2).sum()), lambda p: X.T @ (2 * error(p) * (z(p) > 0)), p, z


@pytest.mark.filterwarnings("ignore::minitms.testing.UnresolvedWarning")
@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("tell", [False, True])
def test_near_a_kink_no_right_gradient_is_called_wrong(seed, tell):
    loss, gradient, params, z = near_kinks(seed)
    with contextlib.suppress(NotDifferentiableError):
        check_grad(loss, gradient, params, kinks=z if tell else None)


@pytest.mark.parametrize("tell", [False, True])
def test_near_kinks_wrong_gradients_are_found(tell):
    """And the steps are small enough to find most: nothing is given up that they can resolve."""
    found = right = 0
    for seed in range(40):
        loss, gradient, params, z = near_kinks(seed)
        kinks = z if tell else None
        if not gradient(params).any():
            continue
        with contextlib.suppress(NotDifferentiableError), warnings.catch_warnings():
            warnings.simplefilter("ignore", UnresolvedWarning)
            right += check_grad(loss, gradient, params, kinks=kinks).ok
        with contextlib.suppress(NotDifferentiableError), warnings.catch_warnings():
            warnings.simplefilter("ignore", UnresolvedWarning)
            with pytest.raises(GradientError) as caught:
                check_grad(loss, lambda p: 1.5 * gradient(p), params, kinks=kinks)  # noqa: B023
            found += 1
            assert " 0 of" not in str(caught.value)
    assert right >= 32
    assert found >= 30


X = np.random.default_rng(8).normal(size=(6, 4))
HIDING = [
    ("a count, the gradient of the hinge", lambda a: float((1 - a > 0).sum()), lambda a: -1.0 * (1 - a > 0), "jumps"),
    ("a sum of signs, straight through", lambda a: float(np.sign(a).sum()), np.ones_like, "jumps"),
    ("rounded, straight through", lambda a: float(np.round(a).sum()), np.ones_like, "jumps"),
    ("quantised, straight through", lambda a: float((np.round(4 * a) / 4).sum()), np.ones_like, "jumps"),
    ("an offset of 1e15", lambda a: 1e15 + float(np.sin(a).sum()), np.cos, "rounding"),
    ("an offset of 1e20", lambda a: 1e20 + float(np.sin(a).sum()), np.cos, "rounding"),
    ("gone to 0 below 1e-30", lambda a: float((1e-170 * a**2).sum()) ** 2, lambda a: 1e-25 * a, "underflow"),
]


@pytest.mark.parametrize(("loss", "gradient", "why"), [row[1:] for row in HIDING], ids=[row[0] for row in HIDING])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_not_resolved_is_not_right(loss, gradient, why, seed):
    """Neither right nor wrong: the report is not ok, says why, and warns. Other claims may be called wrong."""
    with pytest.warns(UnresolvedWarning, match=f"NOT CHECKED.*\n.*\n.*unresolved: .*{why}"):
        report = check_grad(loss, gradient, X, seed=seed)
    assert not report.ok
    assert not report.outcomes[0].resolved
    for factor in (2.0, 0.5, -1.0):
        with contextlib.suppress(GradientError), warnings.catch_warnings():
            warnings.simplefilter("ignore", UnresolvedWarning)
            assert not check_grad(loss, lambda a: factor * gradient(a), X, seed=seed)  # noqa: B023


@pytest.mark.filterwarnings("ignore::minitms.testing.UnresolvedWarning")
@pytest.mark.parametrize("seed", range(60))
def test_quantised_weights_are_not_right_from_afar(seed):
    """Steps of many times the weights agree with the straight-through gradient; near by the loss is a stair."""
    random = np.random.default_rng(seed)
    A, target, w = random.normal(size=(5, 5)), random.normal(size=5), random.normal(size=5)

    def error(w):
        return A @ (np.round(16 * w) / 16) - target

    with contextlib.suppress(GradientError):
        assert not check_grad(lambda w: float((error(w) ** 2).mean()), lambda w: 2 * A.T @ error(w) / 5, w)


def test_one_hidden_parameter_is_not_right_beside_one_that_is():
    params = {"seen": np.ones(3), "hidden": np.ones(2)}
    with pytest.warns(UnresolvedWarning, match="by 1 of 2 parameters"):
        report = check_grad(
            lambda p: float((p["seen"] ** 2).sum() + np.round(p["hidden"]).sum()),
            lambda p: {"seen": 2 * p["seen"], "hidden": np.ones(2)},
            params,
        )
    assert [outcome.resolved for outcome in report.outcomes] == [True, False]


STILL = [
    ("not used", lambda p: float((p["w"] ** 2).sum())),
    ("behind a ReLU that is off", lambda p: float((p["w"] ** 2).sum() + np.maximum(p["b"] - 5, 0).sum())),
    ("all of them", lambda p: 7.0),
    ("all of them, and 0", lambda p: 0.0),
]


@pytest.mark.parametrize("loss", [row[1] for row in STILL], ids=[row[0] for row in STILL])
def test_a_flat_loss_has_the_gradient_0(loss):
    params = {"w": np.array([1.0, -2.0]), "b": np.array([0.5, 0.25, 1.0])}
    used = loss(params) not in (0.0, 7.0)

    def gradient(p, claim=0.0):
        return {"w": 2 * p["w"] if used else 0 * p["w"], "b": np.full(3, claim)}

    assert check_grad(loss, gradient, params)
    with pytest.raises(GradientError):
        check_grad(loss, lambda p: gradient(p, 0.1), params)


def test_hundreds_of_small_arrays_cost_few_evaluations():
    """All are looked along at once; those that others outshine again, together."""
    params = {f"w{i}": np.random.default_rng(i).normal(size=(3, 3)) for i in range(300)}
    for spread in (1.0, 1e2):
        scale = {name: spread ** np.sin(i) for i, name in enumerate(params)}

        def loss(p):
            return float(sum(scale[name] * np.sin(w).sum() for name, w in p.items()))  # noqa: B023

        def gradient(p):
            return {name: scale[name] * np.cos(w) for name, w in p.items()}  # noqa: B023

        report = check_grad(loss, gradient, params)
        assert report.ok
        assert len(report.outcomes) == 300
        assert report.evaluations < 3000
        for name in ("w0", "w11", "w299"):
            with pytest.raises(GradientError) as caught:
                check_grad(loss, lambda p: {k: g * (1 + (k == name) / 100) for k, g in gradient(p).items()}, params)  # noqa: B023
            assert set(caught.value.hints) == {name}


def test_a_failure_in_a_large_array_costs_few_evaluations():
    random = np.random.default_rng(0)
    w, p = random.normal(size=(300, 400)), random.normal(size=(300, 400))
    calls = [0]

    def loss(p):
        calls[0] += 1
        return float((w * np.sin(p)).sum())

    def planted(p):
        gradient = w * np.cos(p)
        gradient[123, 45] *= 1.01
        return gradient

    with pytest.raises(GradientError, match=r"only \w+\[123, 45\] is wrong") as caught:
        check_grad(loss, planted, p)
    assert caught.value.index == (123, 45)
    assert calls[0] < 1000


def test_entries_that_rounding_hides_one_by_one_are_not_counted():
    """All together are seen to be wrong, none alone."""
    w = np.random.default_rng(0).normal(size=1000)
    with pytest.raises(GradientError) as caught:
        check_grad(lambda p: 1e8 + float((w * np.sin(p)).sum()), lambda p: (1 + 4e-6) * w * np.cos(p), w)
    assert "along a random direction, in no entry by enough to be seen alone" in str(caught.value)
    assert "0 of" not in str(caught.value)


@pytest.mark.parametrize("scale", [1e-170, 1e-100, 1e160])
def test_a_factor_is_named_at_any_scale(scale):
    """No square of a gradient overflows or underflows on the way."""
    p = np.array([0.5, -1.0, 2.0])
    assert check_grad(lambda p: scale * float((p**3).sum()), lambda p: scale * 3 * p**2, p)
    with pytest.raises(GradientError) as caught:
        check_grad(lambda p: scale * float((p**3).sum()), lambda p: scale * 6 * p**2, p)
    assert set(caught.value.hints.values()) == {"factor"}


def test_slopes_that_do_not_add_up_belong_to_no_gradient():
    """Straight along every line through 0, and flat along both axes, but no plane: no entry of (0, 0) is wrong."""

    def loss(p):
        a, b = p
        return float(a * b**2 / (a**2 + b**2)) if p.any() else 0.0

    with pytest.raises(NotDifferentiableError, match="do not add up"):
        check_grad(loss, np.zeros_like, np.zeros(2))
