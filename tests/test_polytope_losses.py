"""What polytopes cost: against the exact loss and its gradient, against sampling, and against known numbers."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from minitms import theory
from minitms.expected import expected_gradients, expected_loss
from minitms.model import loss
from minitms.polytope_losses import independent, one_active, polygon_loss, replacement_density, saving_per_dimension
from minitms.polytopes import POLYTOPES, polygon

SMALL = [name for name, corners in POLYTOPES.items() if corners.shape[1] <= 4]  # quick under `expected_loss`
ORDER = ["tetrahedron", "triangle", "digon", "pentagon", "square antiprism"]


def model(corners, optimum):
    return optimum.length * corners, np.full(corners.shape[1], optimum.bias)


@pytest.mark.parametrize("corners", [*POLYTOPES.values(), *map(polygon, (4, 6, 7, 8))])
def test_one_active_is_the_exact_loss_at_a_minimum(corners):
    W, b = model(corners, best := one_active(corners))
    assert best.loss == pytest.approx(expected_loss(W, b, pattern="exactly_one"), rel=1e-12, abs=1e-15)
    if best.bias < -1e-6:  # where no cosine is positive, b = 0 is a kink
        dW, db = expected_gradients(W, b, pattern="exactly_one")
        np.testing.assert_allclose([(dW * W).sum(), db.sum()], 0, atol=1e-7)
        if len(corners) == 2:  # a polygon has nothing else to give, by symmetry
            np.testing.assert_allclose(dW, 0, atol=1e-7)
    for length in np.linspace(0.8, 1.4, 13):
        for bias in np.linspace(-0.9, 0.3, 25):
            given = expected_loss(length * corners, np.full(len(b), bias), pattern="exactly_one")
            assert given >= best.loss - 1e-15


def test_one_active_at_known_points():
    for name in ("single", "digon", "triangle", "tetrahedron"):
        assert tuple(one_active(POLYTOPES[name])) == pytest.approx((0, 1, 0), abs=1e-9)
    assert tuple(one_active(POLYTOPES["pentagon"])) == pytest.approx((0.015826, 1.1705, -0.2823), abs=5e-5)
    assert tuple(one_active(POLYTOPES["square antiprism"])) == pytest.approx((0.01876, 1.1871, -0.3156), abs=5e-5)


def test_the_antiprism_gains_by_another_height():
    angle, losses = np.pi / 4 * np.arange(8), []
    for height in (1 / math.sqrt(3), 0.525):
        radius = math.sqrt(1 - height**2)
        corners = np.array([radius * np.cos(angle), radius * np.sin(angle), height * (-1.0) ** np.arange(8)])
        losses.append(one_active(corners).loss)
    assert losses == pytest.approx([0.0188, 0.0128], abs=5e-5)
    assert losses[0] == pytest.approx(one_active(POLYTOPES["square antiprism"]).loss, rel=1e-9)


def test_polygons_of_five_features():
    """Two, three or four of five features on a polygon, by hand: each dropped one costs 1/15 - 1/100."""
    np.testing.assert_allclose([polygon_loss(k, 5) for k in (2, 3, 4)], [0.17, 17 / 150, 17 / 300], rtol=1e-9)
    assert polygon_loss(5, 5) == one_active(polygon(5)).loss
    best = one_active(polygon(5))
    W, b = np.zeros((2, 7)), np.array([best.bias] * 5 + [1 / 14] * 2)
    W[:, :5] = best.length * polygon(5)
    assert polygon_loss(5, 7) == pytest.approx(expected_loss(W, b, pattern="exactly_one"), rel=1e-9)


@pytest.mark.parametrize("s", [0.02, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("name", SMALL)
def test_independent_is_the_exact_loss_at_a_minimum(name, s):
    corners = POLYTOPES[name]
    W, b = model(corners, best := independent(corners, s))
    k = corners.shape[1]
    assert best.loss == pytest.approx(expected_loss(W, b, s) / k, rel=1e-9, abs=1e-15)
    if name != "single":  # one feature alone is right for any x > 0 at b = 0, a kink
        dW, db = expected_gradients(W, b, s)
        np.testing.assert_allclose([(dW * W).sum(), db.sum()], 0, atol=1e-6)
    for length in best.length * np.linspace(0.9, 1.1, 5):
        for bias in best.bias + np.linspace(-0.1, 0.1, 5):
            assert expected_loss(length * corners, np.full(k, bias), s) / k >= best.loss - 1e-12


@pytest.mark.parametrize("s", [0.05, 0.3, 0.8])
@pytest.mark.parametrize("name", ["pentagon", "square antiprism"])
def test_independent_agrees_with_sampling(name, s):
    corners = POLYTOPES[name]
    k, rng = corners.shape[1], np.random.default_rng(0)
    W, b = model(corners, best := independent(corners, s))
    x = rng.random((100_000, 1, k)) * (rng.random((100_000, 1, k)) < s)
    losses = loss(W, b, x) / k
    assert abs(losses.mean() - best.loss) < 4.5 * losses.std(ddof=1) / math.sqrt(len(losses))


@pytest.mark.parametrize("name", POLYTOPES)
def test_sparse_features_are_on_one_at_a_time(name):
    corners = POLYTOPES[name]
    assert independent(corners, 1e-5).loss / 1e-5 == pytest.approx(one_active(corners).loss, abs=1e-4)


def test_at_density_1_a_digon_is_pca():
    """One dimension for the sum of the two is lost whatever W: half of the variance 1/12 for each."""
    assert independent(POLYTOPES["digon"], 1.0).loss == pytest.approx(1 / 24, rel=1e-12)


def test_only_directions_matter():
    rng = np.random.default_rng(1)
    corners = 7 * POLYTOPES["tetrahedron"][:, [2, 0, 3, 1]]
    turned = np.linalg.qr(rng.normal(size=(4, 4)))[0][:, :3] @ corners
    np.testing.assert_allclose(one_active(turned), one_active(POLYTOPES["tetrahedron"]), atol=1e-9)
    assert saving_per_dimension(turned, 0.3) == pytest.approx(saving_per_dimension(POLYTOPES["tetrahedron"], 0.3))


def test_saving_of_a_dedicated_dimension_and_of_a_digon():
    """Alone a feature saves its variance; a pair of length 1 without a bias costs s²/6 each, at its best less."""
    for s in (0.1, 0.5):
        v = theory.feature_variance(s)
        assert saving_per_dimension(POLYTOPES["single"], s) == pytest.approx(v, rel=1e-12)
        assert 2 * (v - s**2 / 6) < saving_per_dimension(POLYTOPES["digon"], s) < 2 * v


@pytest.mark.parametrize(("denser", "sparser"), list(pairwise(ORDER)))
def test_at_the_replacement_density_both_save_the_same(denser, sparser):
    one, other = POLYTOPES[denser], POLYTOPES[sparser]
    s = replacement_density(one, other)
    assert saving_per_dimension(one, s) == pytest.approx(saving_per_dimension(other, s), rel=1e-6)
    assert saving_per_dimension(one, 1.05 * s) > saving_per_dimension(other, 1.05 * s)
    assert saving_per_dimension(one, s / 1.05) < saving_per_dimension(other, s / 1.05)


def test_polytopes_replace_one_another_in_the_order_of_their_dimensions():
    at = [replacement_density(POLYTOPES[one], POLYTOPES[other]) for one, other in pairwise(ORDER)]
    assert at == sorted(at, reverse=True)


@pytest.mark.parametrize(
    ("corners", "message"),
    [
        (np.ones(3), r"corners has shape \(3,\); expected \(d, k\)"),
        (np.zeros((2, 0)), "expected"),
        (np.eye(2, 3), "none of them zero"),
        ([[np.nan]], "corners holds nan"),
        (polygon(5)[:, :4], "the corners are not alike"),
    ],
)
def test_bad_corners(corners, message):
    for function in (one_active, lambda c: independent(c, 0.1), lambda c: saving_per_dimension(c, 0.1)):
        with pytest.raises(ValueError, match=message):
            function(corners)


@pytest.mark.parametrize("density", [0, -1, 1.1, np.nan, "0.1"])
def test_bad_density(density):
    for function in (independent, saving_per_dimension):
        with pytest.raises((ValueError, TypeError), match="density is"):
            function(POLYTOPES["digon"], density)


def test_bad_calls():
    with pytest.raises(ValueError, match="k is 1; expected at least 2"):
        polygon_loss(1, 5)
    with pytest.raises(ValueError, match="n is 4; expected at least 5"):
        polygon_loss(5, 4)
    with pytest.raises(ValueError, match=r"expected 0, or at least 0\.05"):
        independent([[1, 0.02], [0, 1]], 0.1)
    with pytest.raises(ValueError, match="does not save more"):
        replacement_density(POLYTOPES["pentagon"], POLYTOPES["digon"])
    with pytest.raises(ValueError, match="at every density"):
        replacement_density(POLYTOPES["single"], POLYTOPES["tetrahedron"])


def test_lengths_of_corners_do_not_matter():
    corners = POLYTOPES["pentagon"]
    lengths = np.array([1e200, 1e-200, 3.0, 1.0, 1e17])
    for law in (one_active, lambda c: independent(c, 0.1), lambda c: saving_per_dimension(c, 0.1)):
        np.testing.assert_allclose(law(corners * lengths), law(corners), rtol=1e-9)


def test_what_would_lose_its_digits_is_refused():
    for k in (19, 21, 22):
        with pytest.raises(ValueError, match=r"a corner sees \d+ others under no right angle; expected at most 17"):
            independent(polygon(k), 0.9)
    for s in (1e-14, 1e-200):
        with pytest.raises(ValueError, match=r"expected a probability in \[1e-08, 1\]"):
            independent(POLYTOPES["digon"], s)
    for s in (1e-8, 1e-4):  # opposite pairs: s²/6 less what the bias saves
        assert independent(POLYTOPES["digon"], s).loss == pytest.approx(s * s / 6, rel=max(1e-6, s))
    for k in (12, 18, 20):  # dense features of polygons are best answered almost linearly
        linear = (1 - 2 / k) * float(theory.feature_variance(1.0))
        assert independent(polygon(k), 1.0).loss == pytest.approx(linear, rel=2e-6)
