"""Measures of geometry against closed forms and invariances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minitms as tms

MEASURES = [
    tms.feature_norms,
    tms.interference,
    tms.dimensionality,
    tms.dimensions_per_feature,
    tms.features_represented,
    tms.features_learned,
    tms.leverage,
]


def polygon(k):
    """k unit vectors at equal angles in the plane, shape (2, k)."""
    angle = 2 * np.pi * np.arange(k) / k
    return np.array([np.cos(angle), np.sin(angle)])


def antiprism(height):
    """Eight unit vectors: two squares at ±height, one turned by 45°, shape (3, 8)."""
    radius = np.sqrt(1 - height**2)
    angle = np.pi / 4 * np.arange(8)
    return np.array([radius * np.cos(angle), radius * np.sin(angle), height * (-1.0) ** np.arange(8)])


TETRAHEDRON = np.array([[1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]) / np.sqrt(3)

# A weight matrix of a few doubles; the smallest ones would lose their squares to underflow.
WEIGHTS = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 6)),
    elements=st.one_of(st.just(0.0), st.floats(1e-3, 2), st.floats(-2, -1e-3)),
)


@pytest.mark.parametrize(
    ("W", "expected"),
    [
        (np.eye(3), 1),
        (np.array([[1.0, -1.0]]), 1 / 2),
        (polygon(3), 2 / 3),
        (polygon(5), 2 / 5),
        (TETRAHEDRON, 3 / 4),
        (antiprism(1 / np.sqrt(3)), 3 / 8),
    ],
    ids=["alone", "digon", "triangle", "pentagon", "tetrahedron", "square antiprism"],
)
def test_dimensionality_of_the_paper_s_figures(W, expected):
    m, n = W.shape
    for scale in (1.0, 0.3, 7.0):
        np.testing.assert_allclose(tms.dimensionality(scale * W), np.full(n, expected), rtol=1e-13)
    # Of unit vectors: 1 / D_i = sum_j (W_i · W_j)² = 1 + interference.
    np.testing.assert_allclose(tms.interference(W), np.full(n, 1 / expected - 1), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(tms.feature_norms(W), np.ones(n), rtol=1e-14)
    np.testing.assert_allclose(tms.dimensions_per_feature(W), m / n, rtol=1e-14)
    assert tms.features_represented(W) == n


def test_an_antiprism_of_another_height_is_not_three_eighths():
    assert abs(tms.dimensionality(antiprism(0.45)) - 3 / 8).min() > 0.01


def test_interference_normalises_only_the_feature_itself():
    """W_0 = 2 e, W_1 = 3 e: feature 0 sees (1 · 3)² = 9, feature 1 sees (1 · 2)² = 4; D_0 = 4 / 13, D_1 = 9 / 13."""
    W = np.array([[2.0, 3.0]])
    np.testing.assert_allclose(tms.interference(W), [9, 4], rtol=1e-14)
    np.testing.assert_allclose(tms.dimensionality(W), [4 / 13, 9 / 13], rtol=1e-14)
    assert tms.dimensions_per_feature(W) == pytest.approx(1 / 13, rel=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_zero_column_gives_zero_and_leaves_the_others_alone(dtype):
    W = np.insert(polygon(5), 2, 0, axis=1).astype(dtype)
    assert W[:, 2].tolist() == [0, 0]
    np.testing.assert_allclose(tms.dimensionality(W), [0.4, 0.4, 0, 0.4, 0.4, 0.4], rtol=1e-5)
    assert tms.interference(W)[2] == tms.feature_norms(W)[2] == tms.dimensionality(W)[2] == 0
    assert tms.features_represented(W) == 5


def test_no_weights_at_all_give_zeros():
    for measure in MEASURES:
        assert (measure(np.zeros((2, 3, 4))) == 0).all()


def test_features_represented_counts_norms_above_the_threshold():
    W = np.diag([0.2, 0.5, 0.500001, 1.0])
    assert tms.features_represented(W) == 2
    assert tms.features_represented(W, threshold=0.1) == 4
    assert tms.features_represented(np.stack([W, np.eye(4)])).tolist() == [2, 4]


@given(WEIGHTS)
def test_dimensionalities_lie_in_0_1_and_sum_to_at_most_the_rank(W):
    D = tms.dimensionality(W)
    assert ((D >= 0) & (D <= 1 + 1e-12)).all()
    assert (D.sum(axis=-1) <= np.linalg.matrix_rank(W) + 1e-9).all()


@given(WEIGHTS)
def test_no_feature_has_more_than_its_leverage_and_these_sum_to_the_rank(W):
    D, h = tms.dimensionality(W), tms.leverage(W)
    assert (D <= h + 1e-9).all()
    assert (h <= 1 + 1e-12).all()
    assert h.sum(axis=-1) == pytest.approx(np.linalg.matrix_rank(W, tol=1e-13), abs=1e-6)
    for model, scores in zip(W, h, strict=True):
        projection = np.linalg.pinv(model) @ model  # onto the rows of W
        np.testing.assert_allclose(scores, np.diag(projection), atol=1e-9)


@pytest.mark.parametrize(("W", "equal"), [(polygon(5), True), (antiprism(1 / np.sqrt(3)), True), (np.eye(3), True),
                                          (antiprism(0.45), False), (np.array([[2.0, 3.0], [0.0, 1.0]]), False)])
def test_the_bound_is_reached_iff_all_are_eigenvectors(W, equal):
    D, h = tms.dimensionality(W), tms.leverage(W)
    assert h.sum() == pytest.approx(len(W), rel=1e-12)
    assert np.allclose(D, h, rtol=1e-9) == equal
    assert (D.sum() < len(W) - 1e-3) == (not equal)


def test_leverage_in_small_cases():
    np.testing.assert_allclose(tms.leverage([[3.0, 4.0, 0.0]]), [9 / 25, 16 / 25, 0], rtol=1e-14)
    assert tms.leverage(np.zeros((2, 3))).tolist() == [0, 0, 0]
    assert tms.leverage([[1.0, 1, 0], [1, 1, 0]]).sum() == pytest.approx(1)
    assert tms.leverage(np.full((1, 2), 1e200)).tolist() == pytest.approx([0.5, 0.5])


@given(WEIGHTS)
def test_definitions_in_loops(W):
    """The formulas of the paper, feature by feature."""
    norms, shared, D = tms.feature_norms(W), tms.interference(W), tms.dimensionality(W)
    for k, (m, n) in enumerate([W.shape[1:]] * W.shape[0]):
        column = [[float(W[k, row, i]) for row in range(m)] for i in range(n)]
        dot = [[sum(p * q for p, q in zip(a, c, strict=True)) for c in column] for a in column]
        assert tms.features_learned(W)[k] == pytest.approx(sum(dot[i][i] for i in range(n)), rel=1e-12)
        for i in range(n):
            assert norms[k, i] == pytest.approx(dot[i][i] ** 0.5, rel=1e-12)
            if dot[i][i] == 0:
                assert shared[k, i] == D[k, i] == 0
                continue
            others = sum(dot[i][j] ** 2 / dot[i][i] for j in range(n) if j != i)
            assert shared[k, i] == pytest.approx(others, rel=1e-9, abs=1e-15)
            assert D[k, i] == pytest.approx(dot[i][i] / (others + dot[i][i]), rel=1e-9)


@given(WEIGHTS, st.integers(0, 2**32 - 1))
def test_invariances(W, seed):
    """Rotating the hidden space changes nothing; permuting features permutes; a stack is each model alone."""
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=W.shape[-2:-1] * 2))[0]
    order = rng.permutation(W.shape[-1])
    for measure in (tms.feature_norms, tms.interference, tms.dimensionality, tms.leverage):
        np.testing.assert_allclose(measure(rotation @ W), measure(W), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(measure(W[..., order]), measure(W)[..., order], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        tms.dimensions_per_feature(rotation @ W), tms.dimensions_per_feature(W), rtol=1e-9
    )
    for measure in MEASURES:
        assert (measure(W) == np.array([measure(model) for model in W])).all()


def test_features_learned_are_counted_as_the_paper_does():
    assert tms.features_learned(polygon(5)) == pytest.approx(5)
    assert tms.features_learned([[1.0, 0.5, 0.0], [0.0, 0.0, 0.0]]) == 1.25
    assert tms.features_learned(np.zeros((3, 0))) == 0
    W = np.random.default_rng(0).normal(size=(2, 3, 4, 7))
    np.testing.assert_allclose(tms.features_learned(W) * tms.dimensions_per_feature(W), 4, rtol=1e-12)


def test_one_model_gives_plain_shapes():
    W = polygon(5)
    assert [measure(W).shape for measure in MEASURES] == [(5,), (5,), (5,), (), (), (), (5,)]
    assert [measure(W[None, None]).shape for measure in MEASURES] == [(1, 1, 5)] * 3 + [(1, 1)] * 3 + [(1, 1, 5)]


def test_input_is_left_alone():
    W = polygon(5)
    before = W.copy()
    for measure in MEASURES:
        measure(W)
    assert (W == before).all()


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(
    ("W", "error", "message"),
    [
        ([1.0, 2.0], ValueError, r"W has shape \(2,\); expected \(\.\.\., m, n\)"),
        ([[1.0, np.nan]], ValueError, r"W holds nan at index \(0, 1\)"),
        ([[1.0, np.inf]], ValueError, "W holds inf"),
        ([[1j, 0]], TypeError, "W has dtype complex128"),
        ("W", TypeError, "W has dtype"),
        ((np.eye(2), np.eye(2)), TypeError, r"W is a pair \(encoder, decoder\); expected one array .*W\.decoder"),
        (tms.Weights(np.eye(2), np.eye(2)), TypeError, "W is a pair"),
    ],
)
def test_bad_weights(measure, W, error, message):
    with pytest.raises(error, match=message):
        measure(W)


@pytest.mark.parametrize("threshold", [np.nan, np.inf, "0.5", None])
def test_bad_threshold(threshold):
    with pytest.raises((ValueError, TypeError), match="threshold is"):
        tms.features_represented(np.eye(2), threshold=threshold)


# ------------------------------------------------------------------------------------------ large, small, and denormal

SIZES = {np.float64: [1e200, 1e-200, 1e307, 5e-324, 1e-310], np.float32: [1e20, 1e-30, 1e38, 1e-45, 1e-40]}
AT_ANY_SIZE = [pytest.param(dtype, size, id=f"{size:g}") for dtype, sizes in SIZES.items() for size in sizes]


@pytest.mark.parametrize(("dtype", "size"), AT_ANY_SIZE)
def test_weights_of_any_size_have_norms_and_shares(dtype, size):
    """A square of the weights would overflow or vanish; a norm and a share do not."""
    pair, alone = np.full((1, 2), size, dtype), np.array([[size, 0], [0, size]], dtype)
    np.testing.assert_array_equal(tms.dimensionality(pair), [0.5, 0.5])
    np.testing.assert_array_equal(tms.dimensionality(alone), [1, 1])
    np.testing.assert_array_equal(tms.feature_norms(alone), dtype(size))
    np.testing.assert_array_equal(tms.interference(alone), 0)
    assert tms.features_represented(alone) == (2 if size > 0.5 else 0)


def test_weights_of_unequal_sizes_keep_their_shares():
    """W_0 and W_1 are orthogonal, W_2 lies along W_1: it has nothing of that dimension, whatever the rest is."""
    for small in (1e-200, 5e-324):
        W = np.array([[1.0, 0, 0], [0, 1e200, small]])
        np.testing.assert_array_equal(tms.dimensionality(W), [1, 1, 0])
        np.testing.assert_array_equal(tms.feature_norms(W), [1, 1e200, small])
    np.testing.assert_array_equal(tms.interference([[1.0, 1e-200]]), [0, 1])
    np.testing.assert_allclose(tms.interference([[1e-140, 1e-150], [0, 1.0]]), [1e-300, 0], rtol=1e-14)


@given(WEIGHTS, st.integers(-900, 900))
def test_a_power_of_two_changes_no_digit(W, exponent):
    """Norms scale with it, shares do not change, to the last bit, where the plain formulas are long out of range."""
    np.testing.assert_array_equal(tms.feature_norms(np.ldexp(W, exponent)), np.ldexp(tms.feature_norms(W), exponent))
    np.testing.assert_array_equal(tms.dimensionality(np.ldexp(W, exponent)), tms.dimensionality(W))


@pytest.mark.parametrize(
    ("measure", "W", "what"),
    [
        (tms.feature_norms, np.full((2, 1), 1.7e308), r"\|W_i\| overflows in float64; expected weights nearer to 1"),
        (tms.features_represented, np.full((2, 1), 1.7e308), r"\|W_i\| overflows"),
        (tms.interference, np.full((1, 2), 1e200), "the interference overflows in float64"),
        (tms.interference, np.full((1, 2), 1e20, np.float32), r"overflows in float32; expected W.astype\(np.float64\)"),
        (tms.features_learned, np.full((1, 2), 1e200), r"\|W\|²_F overflows in float64"),
        (tms.dimensions_per_feature, np.full((1, 2), 1e-200), r"m / \|W\|²_F overflows in float64"),
        (tms.dimensions_per_feature, np.full((1, 2), 1e200), r"\|W\|²_F overflows in float64"),
        (tms.dimensions_per_feature, np.full((1, 2), 1e-30, np.float32), r"overflows in float32; expected W.astype"),
    ],
)
def test_a_result_without_a_place_is_an_error(measure, W, what):
    with pytest.raises(ValueError, match=f"^W is so far from 1 that .*{what}"):
        measure(W)
    zeros = np.zeros_like(W)
    assert (measure(np.stack([zeros, zeros])) == 0).all()
