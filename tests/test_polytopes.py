"""Clusters and their names: each polytope built here by its own coordinates, moved about, and named back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minitms as tms
from minitms.polytopes import POLYTOPES, _matches, polygon


def spokes(k):
    """A regular k-gon, from complex roots of one."""
    roots = np.exp(2j * np.pi * np.arange(k) / k)
    return np.array([roots.real, roots.imag])


def simplex(k):
    """k unit vectors in k - 1 dimensions, all at the same angle: the corners of a cube's diagonal cut, (k, k)."""
    centred = np.eye(k) - 1 / k
    return centred / np.linalg.norm(centred, axis=0)


ROOT = np.sqrt(2)
BUILT = {  # not the coordinates of polytopes.py
    "single": np.array([[0.0], [-1.0]]),
    "digon": np.array([[0.6, -0.6], [0.8, -0.8]]),
    "triangle": simplex(3),
    "tetrahedron": simplex(4),
    "pentagon": spokes(5),
    "square antiprism": np.array([[1, 1, 1], [1, -1, 1], [-1, 1, 1], [-1, -1, 1],
                                  [ROOT, 0, -1], [-ROOT, 0, -1], [0, ROOT, -1], [0, -ROOT, -1]]).T / np.sqrt(3),
}  # fmt: skip
CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]).T / np.sqrt(3)
OTHERS = {
    "square": spokes(4),
    "hexagon": spokes(6),
    "octagon": spokes(8),
    "cube": CUBE,
    "octahedron": np.hstack([np.eye(3), -np.eye(3)]),
    "5-cell": simplex(5),
    "three corners of a tetrahedron": simplex(4)[:, :3],
    "four corners of a pentagon": spokes(5)[:, :4],
    "seven corners of an antiprism": BUILT["square antiprism"][:, 1:],
    "the same column twice": np.ones((2, 2)),
    "a triangle twice": np.repeat(spokes(3), 2, axis=1),
    "a tetrahedron twice": np.repeat(simplex(4), 2, axis=1),
    "a bent digon": np.array([[1, -1.0], [0, 0.6]]),
    "a digon of unequal lengths": np.array([[1, -0.7]]),
    "a triangular bipyramid": np.array([*np.insert(spokes(3), [3, 3], 0, axis=1), [0, 0, 0, 1, -1]]),
    "a pentagon as a star with a corner moved": spokes(5) + 0.3 * np.eye(2, 5),
    "a digon and a zero": np.array([[1.0, -1, 0]]),
    "zeros": np.zeros((2, 3)),
}
numbers = st.integers(0, 2**32 - 1)


def rotation(m, rng):
    return np.linalg.qr(rng.normal(size=(m, m)))[0]


def moved(corners, rng, size=1.0):
    """The corners in more dimensions, rotated, in another order, and of another size."""
    m = len(corners) + rng.integers(3)
    placed = np.zeros((m, corners.shape[1]))
    placed[: len(corners)] = corners
    return size * (rotation(m, rng) @ placed)[:, rng.permutation(corners.shape[1])]


def test_the_table_is_that_of_the_paper():
    assert {name: corners.shape[1] for name, corners in POLYTOPES.items()} == {
        "single": 1, "tetrahedron": 4, "triangle": 3, "digon": 2, "pentagon": 5, "square antiprism": 8}
    for (name, corners), D in zip(POLYTOPES.items(), (1, 3 / 4, 2 / 3, 1 / 2, 2 / 5, 3 / 8), strict=True):
        np.testing.assert_allclose(np.linalg.norm(corners, axis=0), 1, rtol=1e-14)
        np.testing.assert_allclose(tms.dimensionality(corners), D, rtol=1e-13, err_msg=name)


@pytest.mark.parametrize("name", BUILT)
@given(seed=numbers, size=st.floats(1e-3, 1e3))
def test_a_polytope_is_named_whatever_its_rotation_order_and_size(name, seed, size):
    rng = np.random.default_rng(seed)
    assert tms.polytope(moved(BUILT[name], rng, size)) == name


@pytest.mark.parametrize("name", BUILT)
@given(seed=numbers)
def test_a_polytope_is_named_up_to_the_tolerance_and_not_beyond(name, seed):
    """Noise that moves no entry of the Gram matrix by the tolerance is let through; one length that does is not."""
    rng = np.random.default_rng(seed)
    corners = moved(BUILT[name], rng)
    noise = rng.normal(size=corners.shape)
    noisy = corners + 0.02 * noise / np.linalg.norm(noise, axis=0)  # (1 ± 0.02)² and products of it: below 0.1 together
    assert tms.polytope(noisy) == name
    if name != "single":
        assert tms.polytope(noisy, tolerance=1e-6) == "other"
        longer = corners.copy()
        longer[:, 0] *= 1.2
        assert tms.polytope(longer) == "other"


@pytest.mark.parametrize("name", OTHERS)
@given(seed=numbers)
def test_near_misses_are_other(name, seed):
    assert tms.polytope(moved(OTHERS[name], np.random.default_rng(seed))) == "other"


def test_a_common_spectrum_is_not_enough():
    """Cube and antiprism have the same eigenvalues, 8/3 three times, and each has corners that are all alike."""
    cube, antiprism = (np.linalg.eigvalsh(corners.T @ corners) for corners in (CUBE, BUILT["square antiprism"]))
    np.testing.assert_allclose(cube, antiprism, atol=1e-12)
    assert tms.polytope(CUBE) == "other"


def test_equal_rows_are_not_enough():
    """The antiprism's nearest corners form one ring of eight; two rings of four have the same numbers in every row."""
    gram = BUILT["square antiprism"].T @ BUILT["square antiprism"]
    far, opposite, near, level = np.unique(gram.round(9))[:4]  # twice, once, twice, twice in a row, beside the 1
    within = np.array([[1, far, opposite, far], [far, 1, far, opposite], [opposite, far, 1, far],
                       [far, opposite, far, 1]])  # fmt: skip
    across = np.array([[near, near, level, level], [level, near, near, level], [level, level, near, near],
                       [near, level, level, near]])  # fmt: skip
    rings = np.block([[within, across], [across.T, within]])
    np.testing.assert_allclose(np.sort(rings), np.sort(gram), atol=1e-8)
    order = np.random.default_rng(0).permutation(8)
    assert _matches(gram[np.ix_(order, order)], gram, 1e-9)
    assert not _matches(rings, gram, 0.1)


@given(numbers)
def test_a_wide_tolerance_does_not_lead_into_a_dead_end(seed):
    """With it the antiprism's cosines 0.14 and 1/3 fit both to both: a column that fits first can be wrong later."""
    corners = moved(BUILT["square antiprism"], np.random.default_rng(seed))
    assert tms.polytope(corners, tolerance=0.3) == "square antiprism"


def blocks(*parts):
    """Clusters in orthogonal dimensions, side by side."""
    W = np.zeros((sum(len(part) for part in parts), sum(part.shape[1] for part in parts)))
    row = column = 0
    for part in parts:
        W[row:row + len(part), column:column + part.shape[1]] = part
        row, column = row + len(part), column + part.shape[1]
    return W


@given(st.lists(st.sampled_from(sorted(BUILT)), min_size=1, max_size=5), numbers)
def test_features_of_a_whole_model_are_named(names, seed):
    """Each of the clusters gets its own label, that of its first feature; features that are not learned get none."""
    rng = np.random.default_rng(seed)
    W = blocks(*(BUILT[name] for name in names))
    W = np.hstack([W, np.zeros((len(W), 3))])
    expected = np.array([name for name in names for _ in range(BUILT[name].shape[1])] + [""] * 3)
    cluster = np.array([k for k, name in enumerate(names) for _ in range(BUILT[name].shape[1])] + [-1] * 3)
    order = rng.permutation(W.shape[1])
    W, expected, cluster = 1.1 * rotation(len(W), rng) @ W[:, order], expected[order], cluster[order]
    assert tms.feature_polytopes(W).tolist() == expected.tolist()
    labels = tms.feature_clusters(W)
    assert labels.tolist() == [-1 if c < 0 else np.flatnonzero(cluster == c)[0] for c in cluster]


def test_an_octahedron_is_three_digons_and_a_bipyramid_a_triangle_and_a_digon():
    assert tms.feature_polytopes(OTHERS["octahedron"]).tolist() == ["digon"] * 6
    assert tms.feature_polytopes(OTHERS["a triangular bipyramid"]).tolist() == ["triangle"] * 3 + ["digon"] * 2


def test_edges_are_products_above_the_threshold():
    W = np.array([[1.0, 0.25, 0], [0, 1, 0.19], [0, 0, 1]])        # W_0 · W_1 = 0.25, W_1 · W_2 = 0.19
    assert tms.feature_clusters(W).tolist() == [0, 0, 2]
    assert tms.feature_clusters(W, threshold=0.1).tolist() == [0, 0, 0]
    assert tms.feature_clusters(W, threshold=0.3).tolist() == [0, 1, 2]
    assert tms.feature_clusters(-2 * W, threshold=0.99).tolist() == [0, 0, 2]  # the product, not the cosine
    chain = np.eye(40) + 0.5 * np.eye(40, k=1)                     # each with its neighbour only, over 39 edges
    assert tms.feature_clusters(chain).tolist() == [0] * 40


def test_a_feature_that_is_not_represented_joins_nothing():
    """Between two features, and connected to both, but short."""
    W = np.array([[1.0, 0.4, 0], [0, 0.3, 1]])
    assert tms.feature_clusters(W, represented=0.4).tolist() == [0, 0, 0]
    assert tms.feature_clusters(W).tolist() == [0, -1, 2]
    assert tms.feature_polytopes(W).tolist() == ["single", "", "single"]
    assert tms.feature_polytopes([[1.0, -1.0, 0.4]]).tolist() == ["digon", "digon", ""]


@pytest.mark.parametrize("function", [tms.feature_clusters, tms.feature_polytopes])
def test_a_stack_is_each_model_alone(function):
    W = np.random.default_rng(0).normal(size=(2, 3, 4, 7))
    whole = function(W)
    assert whole.shape == (2, 3, 7)
    for index in np.ndindex(2, 3):
        assert whole[index].tolist() == function(W[index]).tolist()
    assert function(W.astype(np.float32)).tolist() == whole.tolist()


def test_few_features_and_dimensions():
    assert tms.feature_clusters(np.zeros((3, 0))).shape == tms.feature_polytopes(np.zeros((3, 0))).shape == (0,)
    assert tms.feature_polytopes(np.zeros((3, 2))).tolist() == ["", ""]
    assert tms.feature_polytopes([[0.9]]).tolist() == ["single"]
    assert tms.feature_polytopes([[1.0, 1.0]]).tolist() == ["other", "other"]
    assert tms.feature_polytopes([[1.0, -1.0, 1.0]]).tolist() == ["other"] * 3
    assert tms.polytope([[-3.0]]) == "single"


@pytest.mark.parametrize("size", [1e200, 1e-200, 1e307])
def test_weights_of_any_size(size):
    assert tms.polytope(size * spokes(5)) == "pentagon"
    assert tms.feature_clusters([[size, size], [0, 0]]).tolist() == ([0, 0] if size > 1 else [-1, -1])
    assert tms.polytope([[1e-200, -1e200]]) == "other"


@pytest.mark.parametrize("function", [tms.feature_clusters, tms.feature_polytopes, tms.polytope])
@pytest.mark.parametrize(
    ("W", "error", "message"),
    [
        ([1.0, 2.0], ValueError, r"W has shape \(2,\)"),
        ([[1.0, np.nan]], ValueError, r"W holds nan at index \(0, 1\)"),
        ([[np.inf, 1.0]], ValueError, "W holds inf"),
        ([[1j, 0]], TypeError, "W has dtype complex128"),
        ((np.eye(2), np.eye(2)), TypeError, "W is a pair"),
    ],
)
def test_bad_weights(function, W, error, message):
    with pytest.raises(error, match=message):
        function(W)


def test_a_name_is_for_one_cluster():
    for W in (np.zeros((2, 0)), np.ones((2, 2, 2))):
        with pytest.raises(ValueError, match=r"expected \(m, k\), the k features of one cluster"):
            tms.polytope(W)


@pytest.mark.parametrize("value", [-0.1, np.nan, "0.2", None])
def test_bad_numbers(value):
    for name in ("threshold", "represented"):
        with pytest.raises((ValueError, TypeError), match=f"{name} is"):
            tms.feature_clusters(np.eye(2), **{name: value})
    for function in (tms.polytope, tms.feature_polytopes):
        with pytest.raises((ValueError, TypeError), match="tolerance is"):
            function(np.eye(2), tolerance=value)


@pytest.mark.parametrize("k", [2, 3, 5, 12])
def test_polygon(k):
    np.testing.assert_allclose(polygon(k), spokes(k), atol=1e-14)


@pytest.mark.parametrize("k", [1, 2.0, "5"])
def test_bad_polygon(k):
    with pytest.raises((ValueError, TypeError), match="k is"):
        polygon(k)
