"""Each cause is found where it is one, and not where something only looks like it: a wrong hint is worse than none.

Where nothing else is said the loss is the sum of G * W, so its gradient is G at every W, and any array can be claimed.
"""

import itertools
import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from minitms.testing import GradientError, check_grad, diagnosis, strategies
from minitms.testing.report import Explained

random = np.random.default_rng(1)
G2, G3, G4, S = (random.normal(size=shape) for shape in ((4, 6), (3, 3, 3), (2, 3, 5, 5), (4, 4)))
PAIRS = np.outer([0.5, -1.2, 0.3, 2.0], [1.0, -1.0])
G_BOX, G_CUBE = random.normal(size=(2, 3, 4)), random.normal(size=(2, 2, 2))
SYM = S + S.T
CENTRED, OFF = G2 - G2.mean(1, keepdims=True), np.array([[0.3], [-1.0], [0.02], [2.0]])
DIAGONAL = np.diag(np.diag(SYM))


def refused(G, claimed, **options):
    """The error about `claimed` in place of G."""
    W = np.random.default_rng(2).normal(size=G.shape)
    with pytest.raises(GradientError) as caught:
        check_grad(lambda W: (G * W).sum(), lambda W: claimed, W, **options)
    return caught.value


def cause(error):
    """The kind and the text of the cause in the first line, or (None, "")."""
    (kind,) = set(error.hints.values()) or {None}
    return kind, str(error).splitlines()[0].partition("Likely cause: ")[2]


def changed(array, index, change):
    array = array.copy()
    array[index] = change(array[index])
    return array


def twice(a):
    return 2 * a


FOUND = [
    # axes exchanged and cycled
    (G3, G3.transpose(1, 2, 0), "transpose", r"the order of its axes is wrong: they come as \(1, 2, 0\)"),
    (G3, G3.transpose(2, 0, 1), "transpose", r"the order of its axes is wrong: they come as \(2, 0, 1\)"),
    (G_CUBE, G_CUBE.transpose(2, 0, 1), "transpose", "they come as"),
    (G3, G3.transpose(2, 1, 0), "transpose", "it is transposed: axes 0 and 2$"),
    (G_BOX, G_BOX.transpose(1, 2, 0).reshape(2, 3, 4), "transpose", r"they come as \(1, 2, 0\), reshaped"),
    (G_BOX, G_BOX.transpose(2, 1, 0).reshape(2, 3, 4), "transpose", "axes 0 and 2, reshaped: use transpose"),
    (G2, G2.T.reshape(4, 6), "transpose", "transposed: axes 0 and 1, reshaped"),
    (G4, G4.transpose(0, 1, 3, 2), "transpose", "it is transposed: axes 2 and 3$"),
    # reversed along one axis, and along several as a kernel
    (G4, G4[:, :, ::-1, ::-1], "order", r"reversed along the axes 2 and 3 \(a kernel flipped"),
    (G2, G2[::-1, ::-1], "order", "reversed along the axes 0 and 1"),
    (G4, G4[::-1, :, ::-1, ::-1], "order", "reversed along the axes 0 and 2 and 3"),
    (G4, G4[:, :, ::-1], "order", "reversed along axis 2$"),
    # a mean that is not taken off
    (CENTRED, CENTRED + OFF, "mean", "is the same along axis 1: less its mean over axis 1 this gradient is right"),
    (CENTRED.T, (CENTRED + OFF).T, "mean", "the same along axis 0: less"),
    (PAIRS, PAIRS + OFF, "mean", "the same along axis 1"),
    (CENTRED[0], CENTRED[0] + 0.1, "mean", "the same along axis 0"),
    (G_BOX - G_BOX.mean((0, 2), keepdims=True), G_BOX, "mean", "along the axes 0 and 2: less its mean over the axes"),
    # clipped
    (G2, G2.clip(-0.5, 0.5), "clipped", "it is clipped at ±0.5$"),
    (G2, G2.clip(None, 0.5), "clipped", "it is clipped above at 0.5$"),
    (G2, G2.clip(-0.5, None), "clipped", "it is clipped below at -0.5$"),
    (G2, G2.clip(-0.25, 0.3), "clipped", "it is clipped above at 0.3 and below at -0.25$"),
    (10 + abs(G2), (10 + abs(G2)).clip(None, 10.5), "clipped", "above at 10.5"),
    (S, 0.01 * np.sign(S), "clipped", "every entry is ±0.01: it is clipped there, or only the sign"),
    # conventions for symmetric matrices
    (SYM, 2 * SYM - DIAGONAL, "symmetric", r"2G - diag G"),
    (S, S + S.T - np.diag(np.diag(S)), "symmetric", r"2G - diag G"),
    (S, (S + S.T) / 2, "symmetric", r"\(G \+ Gᵀ\) / 2"),
    (np.tril(2 * SYM - DIAGONAL), SYM, "symmetric", "reads the lower triangle only"),
    (np.triu(2 * SYM - DIAGONAL), SYM, "symmetric", "reads the upper triangle only"),
    (np.stack([SYM, SYM @ SYM]), np.stack([SYM + SYM.T - DIAGONAL, 2 * SYM @ SYM - np.diag(np.diag(SYM @ SYM))]),
     "symmetric", "2G - diag G"),
    # factors, and how they are said
    (G2, -0.5 * G2, "factor", "it is the right gradient times -1/2$"),
    (G2, -2 * G2, "factor", "it is the right gradient times -2$"),
    (G2, G2 / 3, "factor", "it is the right gradient times 1/3 "),
    (G2, 100 * G2, "factor", "it is the right gradient times 100 "),
    (G2, 0.9 * G2, "factor", "it is the right gradient times 0.9$"),
    (G2, 1.001 * G2, "factor", "it is the right gradient times 1.001$"),
    (G2, 1234567.5 * G2, "factor", "it is the right gradient times 1234567.5$"),
    (G2, 1e-9 * G2, "factor", "it is the right gradient times 1e-09$"),
    (G2, -G2, "sign", "it is minus the right gradient"),
    (G2, (1 + 1e-7) * G2, "factor", "every entry is too large by 1e-07 of itself.*rtol=1e-06"),
    (G2, (1 - 2e-6) * G2, "factor", "every entry is too small by 2e-06 of itself.*rtol=1e-05"),
    # an approximation
    (G2, G2 + 1e-7 * abs(G2), "small", "every error is below 1e-07 of the gradient.*rtol=1e-06"),
    (G2, changed(G2, (slice(2),), lambda a: a + 3e-6), "small", "small constant.*single precision.*solver.*rtol"),
]  # fmt: skip


@pytest.mark.parametrize(("G", "claimed", "kind", "said"), FOUND, ids=[f"{row[2]}-{row[3][:40]}" for row in FOUND])
def test_the_cause_is_found(G, claimed, kind, said):
    got, text = cause(refused(G, claimed))
    assert got == kind, text
    assert re.search(said, text), text
    assert not re.search(r"(?<![\d.])1 times|/-", text)


NEAR_MISSES = [
    ("off along an axis, of no centred gradient", G2, G2 + OFF, None),
    ("two numbers, off by the same", PAIRS[0], PAIRS[0] + 0.3, None),
    ("off by one number", G2, G2 + 0.3, None),
    ("centred, where nothing is", G2, CENTRED, None),
    ("off along an axis, and a factor", CENTRED, 1.01 * CENTRED + OFF, None),
    ("off along an axis, but for one entry", CENTRED, changed(CENTRED + OFF, (1, 2), twice), None),
    ("constant, where there is no slope", 1e-300 * G2, np.ones(G2.shape), None),
    ("cycled, and one entry off", G3, changed(G3.transpose(1, 2, 0), (0, 1, 2), twice), None),
    ("flipped, and a factor", G4, 1.01 * G4[:, :, ::-1, ::-1], None),
    ("flipped along other axes in each half", G4, np.concatenate([G4[:1, :, ::-1], G4[1:, :, :, ::-1]]), None),
    ("clipped, and a factor between", G2, np.where(abs(G2) > 0.5, np.sign(G2) / 2, 1.01 * G2), None),
    ("clipped at two bounds", G2, np.concatenate([G2[:2].clip(-0.3, 0.3), G2[2:].clip(-0.5, 0.5)]), None),
    ("one entry is cut off", G2, G2.clip(None, np.sort(G2, axis=None)[-2]), "entry"),
    ("squashed", G2, np.tanh(G2), None),
    ("clipped below at 0", G2, G2.clip(0, None), None),
    ("a constant in place of a vector", np.array([2.0, 3.0, 4.0]), np.ones(3), None),
    ("two entries halved", np.array([4.0, 4.0, 1.0, 0.5]), np.array([2.0, 2.0, 1.0, 0.5]), None),
    ("the mean of all", G2, np.full(G2.shape, G2.mean()), None),
    ("smaller than right, as no clipping is", np.array([0.1, 0.2, 0.5, 0.3]), np.array([0.6, 0.6, 0.5, 0.3]), None),
    ("off the diagonal, times 1.9", SYM, 1.9 * SYM - 0.9 * DIAGONAL, None),
    ("the upper triangle twice", SYM, SYM + np.triu(SYM, 1), None),
    ("the diagonal twice", SYM, SYM + DIAGONAL, None),
    ("one entry beside a 0", np.array([[1.0, 3.0], [0.0, 2.0]]), np.array([[1.0, 6.0], [0.0, 2.0]]), "entry"),
    ("made symmetric, and a factor", S, 0.51 * (S + S.T), None),
    ("one triangle is missing", SYM, np.tril(SYM), None),
    ("almost twice", G2, 2.0002 * G2, "factor"),
    ("small, but for one entry", G2, changed((1 + 1e-7 * np.sign(G2)) * G2, (1, 1), lambda a: 1.01 * a), None),
    ("an error of a thousandth", G2, G2 + 1e-3 * abs(G2), None),
    ("a small error in one entry", G2, changed(G2, (1, 1), lambda a: a + 1e-6), "entry"),
    ("a small error in one row", G2, changed(G2, 1, lambda a: a + 1e-6), "slice"),
]


@pytest.mark.parametrize(("G", "claimed", "kind"), [row[1:] for row in NEAR_MISSES], ids=[r[0] for r in NEAR_MISSES])
def test_what_only_looks_like_a_cause_is_not_called_one(G, claimed, kind):
    got, text = cause(refused(G, claimed))
    assert got == kind, text
    assert "right gradient times 2 " not in text


def test_noise_has_no_cause():
    for seed in range(100, 105):
        for G in (G2, G3, S, SYM, G_BOX):
            noise = np.random.default_rng(seed).normal(size=G.shape)
            assert refused(G, noise).hints == {}
            assert refused(G, G + 0.01 * noise).hints == {}


def test_a_small_constant_in_the_loss_is_named_and_the_rtol_that_it_takes():
    z, y = np.random.default_rng(1).normal(size=(4, 3)), np.array([0, 2, 1, 1])

    def p(z):
        return np.exp(z) / np.exp(z).sum(1)[:, None]

    def gradient(z):
        return (p(z) - np.eye(3)[y]) / 4

    for constant in (1e-8, 1e-7, 1e-6):
        def loss(z, constant=constant):
            return -np.log(p(z)[range(4), y] + constant).mean()

        with pytest.raises(GradientError, match=r"small constant in .*as log\(p \+ 1e-7\)") as caught:
            check_grad(loss, gradient, z)
        rtol = float(re.search(r"rtol=(\S+)", str(caught.value))[1])
        assert 2 * constant < rtol < 200 * constant
        for seed in range(8):
            assert check_grad(loss, gradient, z, rtol=rtol, seed=seed).ok
    check_grad(lambda z: loss(z, 0.0), gradient, z)


def test_the_first_line_has_the_cause_that_any_parameter_showed():
    """The worst parameter shows no pattern; the other one does, and it is said of whom it is."""
    noise = np.random.default_rng(3).normal(size=G2.shape)

    def check(dW, db):
        with pytest.raises(GradientError) as caught:
            check_grad(
                lambda p: (G2 * p["W"]).sum() + (S * p["b"]).sum(), lambda p: {"W": dW, "b": db},
                {"W": np.ones(G2.shape), "b": np.ones(S.shape)},
            )  # fmt: skip
        return caught.value

    error = check(100 * noise, 1.001 * S)
    first = str(error).splitlines()[0]
    assert error.parameter == "W"
    assert error.hints == {"b": "factor"}
    assert first.startswith("gradient by W is wrong at W[")
    assert ". Likely cause, by what b shows: it is the right gradient times 1.001" in first
    assert "Likely cause: it is the right gradient times 3" in str(check(3 * G2, S + 0.01)).splitlines()[0]
    assert "Likely cause" not in str(check(noise, S + 0.01 * S**2))
    assert check(100 * noise, S * (1 + 1e-7 * abs(S))).hints == {}  # nobody takes W for a matter of precision


SHAPES = [
    ("two", {"a": (4,), "b": (3,)}, {"a": (3,), "b": (4,)}, "swapped", "the order of the gradients is wrong.* of b"),
    ("three", {"a": (4,), "b": (3,), "c": (2, 2)}, {"a": (3,), "b": (2, 2), "c": (4,)}, "swapped", "shape of b"),
    ("nested", {"a": [(4, 2), (3,)]}, {"a": [(3,), (4, 2)]}, "swapped", r"shape of a\[1\]"),
    ("one of three", {"a": (4,), "b": (3,), "c": (2,)}, {"a": (4,), "b": (2,), "c": (3,)}, "swapped", "shape of c"),
    ("or transposed", {"a": (4, 3), "b": (3, 4)}, {"a": (3, 4), "b": (4, 3)}, "shape", "is transposed, or the order"),
    ("transposed", {"a": (4, 3), "b": (3,)}, {"a": (3, 4), "b": (3,)}, "shape", "it is transposed"),
    ("transposed in a stack", {"a": (2, 4, 3)}, {"a": (2, 3, 4)}, "shape", "it is transposed"),
    ("cycled", {"a": (2, 3, 4)}, {"a": (3, 4, 2)}, "shape", r"np.transpose\(..., \[2, 0, 1\]\)"),
    ("a sum is missing", {"b": (4,)}, {"b": (5, 4)}, "shape", "^the sum over axis 0 is missing$"),
    ("a later sum is missing", {"b": (5,)}, {"b": (5, 4)}, "shape", "^the sum over axis 1 is missing$"),
    ("either sum, as it broadcasts", {"b": (4,)}, {"b": (4, 4)}, "shape", "^the sum over axis 0 is missing$"),
    ("two sums are missing", {"b": (3,)}, {"b": (2, 5, 3)}, "shape", "^the sum over the axes 0 and 1 is missing$"),
    ("all sums are missing", {"b": ()}, {"b": (2, 5)}, "shape", "^the sum over the axes 0 and 1 is missing$"),
    ("a sum that keeps its axis", {"b": (1, 4)}, {"b": (5, 4)}, "shape", "over axis 0 is missing, with keepdims=True$"),
    ("keepdims", {"b": (4,)}, {"b": (1, 4)}, "shape", "^an axis of length 1 is too many: drop keepdims, or"),
    ("keepdims of a number", {"b": ()}, {"b": (1,)}, "shape", "too many: drop keepdims"),
    ("no keepdims", {"b": (1, 4)}, {"b": (4,)}, "shape", "^an axis of length 1 is missing: keepdims=True, or"),
    ("no sum gives it", {"b": (4,)}, {"b": (5, 3)}, "shape", ""),
    ("broadcast", {"b": (5, 4)}, {"b": (4,)}, "shape", ""),
    ("neither", {"a": (4,), "b": (3,)}, {"a": (3,), "b": (5,)}, "shape", ""),
    ("one only", {"a": (4,), "b": (3,)}, {"a": (3,), "b": (3,)}, "shape", ""),
]  # fmt: skip


@pytest.mark.parametrize(("shapes", "got", "kind", "said"), [row[1:] for row in SHAPES], ids=[row[0] for row in SHAPES])
def test_shapes_that_tell_the_cause(shapes, got, kind, said):
    def arrays(shapes):
        if isinstance(shapes, dict):
            return {name: arrays(shape) for name, shape in shapes.items()}
        return [arrays(shape) for shape in shapes] if isinstance(shapes, list) else np.ones(shapes)

    with pytest.raises(GradientError, match=r"has the wrong shape: got .* expected .* as the parameter") as caught:
        check_grad(lambda p: 1.0, lambda p: arrays(got), arrays(shapes))
    assert set(caught.value.hints.values()) == {kind}
    text = str(caught.value).partition("Likely cause: ")[2]
    assert re.search(said, text)
    assert bool(said) == bool(text)


LARGE = (60, 60)


@pytest.mark.parametrize(("index", "where"), [((7,), "7, :"), ((slice(None), 59), ":, 59")])
def test_a_row_or_column_of_a_large_array_is_found(index, where):
    """Too large to look at every entry."""
    G = np.random.default_rng(0).normal(size=LARGE)
    kind, text = cause(refused(G, changed(G, index, lambda a: 1.01 * a)))
    assert kind == "slice"
    assert text == f"only W[{where}] is wrong, all other entries are right"


def test_what_is_not_quite_a_row_of_a_large_array_is_not_called_one():
    G = np.random.default_rng(0).normal(size=LARGE)
    for wrong in (
        changed(G, (7, slice(30)), twice),  # half a row
        changed(changed(G, 7, twice), (50, 3), twice),  # a row and one entry more
        changed(changed(G, 7, twice), 8, twice),  # two rows
    ):
        assert refused(G, wrong).hints == {}
    assert refused(G, changed(G, (7, 8), twice)).hints == {"W": "entry"}


ROW = np.arange(25).reshape(5, 5) // 5 == 1


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        (ROW, "slice"),
        (changed(ROW, (4, 4), np.logical_not), None),
        (changed(ROW, (1, [1, 2, 4]), np.logical_not), None),
        (changed(ROW, (0, slice(None)), np.logical_not), None),
    ],
    ids=["a row", "a row and one entry", "part of a row", "two rows"],
)
def test_entries_of_a_row_that_were_not_looked_at_are_asked_about(wrong, kind):
    """Two of the row were looked at, and are wrong; one elsewhere, and is right."""
    numeric = np.full(wrong.shape, np.nan)
    numeric[1, [0, 3]], numeric[2, 2] = 2.0, 1.0
    outcome = SimpleNamespace(name="W", direction=np.ones(wrong.shape))
    explained = Explained(outcome, np.ones(wrong.shape), numeric, np.full(wrong.shape, 1e-9), False)
    found = diagnosis._slice(explained, lambda outcome, v: not wrong[v != 0].any())
    assert found == (kind and ("slice", "only W[1, :] is wrong, all other entries are right"))


def test_a_pattern_of_entries_that_were_not_looked_at_explains_nothing():
    """Mirror images of the entries that were: none of them, or of the right ones only."""
    G = np.add.outer(np.arange(5.0), np.arange(5.0)) + 1
    wrong = changed(changed(G, (0, 1), twice), (1, 0), twice)
    for looked_at in ([(0, 1), (2, 3)], [(0, 1), (2, 2), (2, 3)], [(0, 1), (3, 4), (4, 3), (4, 4)]):
        numeric = np.full(G.shape, np.nan)
        for index in looked_at:
            numeric[index] = G[index]
        explained = Explained(None, wrong, numeric, np.full(G.shape, 1e-9), False)
        assert diagnosis._symmetric(explained) is None


def test_causes_that_need_not_see_every_entry_are_found_in_large_arrays():
    G = np.random.default_rng(0).normal(size=(40, 40))
    sym = G + G.T
    diagonal = np.diag(np.diag(sym))
    for right, claimed, kind in (
        (G, G.T, "transpose"),
        (G, G[::-1, ::-1], "order"),
        (G, G.clip(-0.5, 0.5), "clipped"),
        (sym, 2 * sym - diagonal, "symmetric"),
        (np.tril(2 * sym - diagonal), sym, "symmetric"),
        (G, G + 1e-7 * abs(G), "small"),
    ):
        assert cause(refused(right, claimed))[0] == kind


def test_real_losses_of_symmetric_matrices():
    """The log-determinant, by the whole matrix and by Cholesky's method, which reads one triangle."""
    A = np.random.default_rng(0).normal(size=(4, 4))
    A = A @ A.T + np.eye(4)

    def textbook(S):
        inverse = np.linalg.inv(S)
        return 2 * inverse - np.diag(np.diag(inverse))

    def by_cholesky(S):
        return 2 * np.log(np.diag(np.linalg.cholesky(S))).sum()

    check_grad(lambda S: np.linalg.slogdet(S)[1], lambda S: np.linalg.inv(S).T, A)
    check_grad(lambda S: by_cholesky((S + S.T) / 2), lambda S: np.linalg.inv(S).T, A)
    with pytest.raises(GradientError, match="2G - diag G"):
        check_grad(lambda S: np.linalg.slogdet(S)[1], textbook, A)
    with pytest.raises(GradientError, match="reads the lower triangle only"):
        check_grad(by_cholesky, lambda S: np.linalg.inv(S).T, A)


def test_a_kernel_flipped_in_a_real_convolution():
    random = np.random.default_rng(0)
    x, w = random.normal(size=(8, 8)), random.normal(size=(3, 3))

    def windows():
        return np.lib.stride_tricks.sliding_window_view(x, (3, 3))

    def loss(k):
        return (np.einsum("ijab,ab->ij", windows(), k) ** 2).sum()

    def gradient(k):
        return 2 * np.einsum("ijab,ij->ab", windows(), np.einsum("ijab,ab->ij", windows(), k))

    check_grad(loss, gradient, w)
    with pytest.raises(GradientError, match=r"reversed along the axes 0 and 1 \(a kernel flipped"):
        check_grad(loss, lambda k: gradient(k)[::-1, ::-1], w)


NORMALISED = [((4, 6), 1), ((4, 6), 0), ((7,), 0), ((2, 3, 5), -1), ((2, 3, 5), (1, 2)), ((40, 60), 1), ((40, 60), 0)]


def normalised(x, axes):
    deviation = np.sqrt(x.var(axes, keepdims=True) + 1e-5)
    return (x - x.mean(axes, keepdims=True)) / deviation, deviation


@pytest.mark.parametrize(("shape", "axes"), NORMALISED)
def test_the_missing_mean_of_a_layer_norm_is_named(shape, axes):
    random = np.random.default_rng(0)
    x, R = random.normal(size=shape), random.normal(size=shape)

    def gradient(x, mean=1.0, along=1.0):
        y, deviation = normalised(x, axes)
        over_mean, over_y = R.mean(axes, keepdims=True), (R * y).mean(axes, keepdims=True)
        return (R - mean * over_mean - along * y * over_y) / deviation

    def loss(x):
        return (R * normalised(x, axes)[0]).sum()

    check_grad(loss, gradient, x)
    for mean in (0.0, -1.0, 5.0):  # missing, of the wrong sign, a sum in its place
        with pytest.raises(GradientError, match="the error is the same along") as caught:
            check_grad(loss, lambda x: gradient(x, mean=mean), x)  # noqa: B023
        assert caught.value.hints == {"x": "mean"}
    with pytest.raises(GradientError) as caught:
        check_grad(loss, lambda x: gradient(x, along=0.0), x)
    assert caught.value.hints == {}


@given(st.data())
def test_no_mean_is_called_missing_where_none_is(data):
    """Whatever is wrong with a gradient that sums to 0 along no axis, another thing is."""
    shape = data.draw(st.sampled_from([(3,), (3, 3), (4, 5), (2, 3, 4)]))
    G, error = data.draw(strategies.arrays(shape=shape)), data.draw(strategies.arrays(shape=shape))
    axis = data.draw(st.integers(0, len(shape) - 1))
    off = error.mean(axis, keepdims=True) if data.draw(st.booleans()) else error
    assume(np.abs(off).max() > 1e-3)
    axes = [axes for size in range(1, len(shape) + 1) for axes in itertools.combinations(range(len(shape)), size)]
    assume(all(np.abs(G.mean(some)).max() > 1e-3 for some in axes))
    with pytest.raises(GradientError) as caught:
        check_grad(lambda W: (G * W).sum(), lambda W: G + off, np.ones(shape))
    assert "mean" not in caught.value.hints.values()


def test_a_gradient_of_0_may_be_of_what_is_not_differentiated():
    def check(dx):
        with pytest.raises(GradientError) as caught:
            check_grad(lambda p: (G2 * p["x"] * p["W"]).sum(), lambda p: {"W": G2 * p["x"], "x": dx},
                       {"W": np.ones(G2.shape), "x": np.ones(G2.shape)})
        return str(caught.value).splitlines()[0]

    assert check(0 * G2).endswith("Or, if it is not differentiated, leave it out of params: "
                                  "let loss and gradient close over it")
    assert "leave it out" not in check(2 * G2)
    assert "leave it out" not in str(refused(G2, 0 * G2))  # of one parameter alone there is nothing to leave out
