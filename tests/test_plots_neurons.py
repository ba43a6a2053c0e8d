"""Neurons as stacked bars: every rectangle is a weight, and the colours say who shares."""

from __future__ import annotations

import re

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

import minitms as tms
from minitms import plots

# Neuron 1 reads feature 0 alone; neurons 0 and 2 share 1 and 2, and turn off one another's 3; neuron 2 reads 0 a bit.
W = np.array([[0.0, 1, 0.9, -2, 0], [1.5, 0, 0, 0, 0.1], [0.1, 0.7, 0.8, 0, -0.3]])
SAND = "#f3ecd8"


@pytest.fixture
def ax():
    fig, ax = plt.subplots()
    yield ax
    plt.close(fig)


def rectangles(ax):
    """(place, where it starts, where it ends, colour) of each rectangle."""
    return [(path.vertices[:4, 0].mean(), path.vertices[0, 1], path.vertices[2, 1], tuple(color[:3]))
            for bars in ax.collections for path, color in zip(bars.get_paths(), bars.get_facecolors(), strict=True)]


def read_back(ax, colors, m):
    """The weights that the rectangles show, row by row from left to right, if each feature has a colour of its own."""
    found = np.zeros((m, len(colors)))
    for place, start, end, color in rectangles(ax):
        found[round(place), [to_rgb(c) for c in colors].index(color)] += end - start
    return found


def sandy(ax):
    """The places whose ground is coloured."""
    return [round(p.get_center()[0]) for p in ax.patches if np.allclose(p.get_facecolor()[:3], to_rgb(SAND))]


def test_every_rectangle_is_a_weight_and_they_lie_on_one_another(ax):
    colors = ["red", "green", "blue", "gold", "black"]
    plots.neurons(W, colors, ax=ax)
    np.testing.assert_allclose(read_back(ax, colors, 3), W[[1, 0, 2]], atol=1e-12)  # by their features 0, 1, 2
    assert not sandy(ax)
    shown = rectangles(ax)
    for place in range(3):
        for sign in (1, -1):
            ends = [(start, end) for k, start, end, _ in shown if round(k) == place and sign * (end - start) > 0]
            starts = [0, *(end for _, end in ends)][: len(ends)]
            np.testing.assert_allclose([start for start, _ in ends], starts, atol=1e-12)  # feature 0 innermost
    low, high = ax.get_ylim()
    assert low <= -2
    assert high >= 1.9


def test_bars_that_all_go_upwards_stand_on_the_axis(ax):
    plots.neurons(abs(W), ax=ax)
    low, high = ax.get_ylim()
    assert low == 0
    assert high >= 3.9


def test_neurons_stand_in_the_order_of_the_feature_they_read_most_of_or_in_that_given(ax):
    def numbers():
        return [int(text.get_text()) for text in ax.get_xticklabels()]

    plots.neurons(W, ax=ax)
    assert numbers() == [1, 0, 2]
    assert sandy(ax) == [1, 2]
    ax.clear()
    plots.neurons(W, order=[2, 0, 1], ax=ax)
    assert numbers() == [2, 0, 1]
    assert sandy(ax) == [0, 1]
    ax.clear()
    plots.neurons(np.eye(30), ax=ax)
    assert numbers() == []


def test_colours_tell_features_alone_from_those_that_share_and_those_that_turn_on_none(ax):
    model = [[1.0, 0, 0, 0.1], [0, 1, 1, 0], [0, 0, 1, -5]]
    plots.neurons(model, ax=ax)
    blue, red, grey = plots.DEDICATED, plots.SUPERPOSED, plots.NOT_LEARNED
    half = tuple(np.mean([blue, red], axis=0))  # feature 2 shares one neuron of its two
    expected = {(0, 0): blue, (0, 3): grey, (1, 1): red, (1, 2): half, (2, 2): half, (2, 3): grey}
    shown = sorted((round(place), color) for place, *_, color in rectangles(ax))
    np.testing.assert_allclose([color for _, color in shown],
                               [c for _, c in sorted((k, c) for (k, _), c in expected.items())])
    assert sandy(ax) == [1]
    assert ax.get_legend_handles_labels()[1] == ["feature alone in its neurons", "feature that shares them",
                                                 "feature that turns on none", "polysemantic neuron"]


def test_on_its_own_it_says_how_many_neurons_are_monosemantic():
    ax = plots.neurons(W)
    assert (ax.get_title(), ax.get_xlabel()) == ("1 of 3 neurons monosemantic", "neuron")
    assert len(ax.figure.legends[0].texts) == 4
    ax = plots.neurons([[1.0, 0], [-1, -1], [-3, 2]])  # a neuron that nothing turns on is not monosemantic
    assert ax.get_title() == "2 of 3 neurons monosemantic"
    plt.close("all")


@pytest.fixture(scope="module")
def run():
    features = tms.SparseFeatures(n=6, density=0.3, importance=0.75 ** np.arange(6))
    return tms.train(features, 2, hidden="relu", steps=200, restarts=3, batch_size=128, seed=0)


@pytest.fixture(scope="module")
def signed():
    features = tms.SparseFeatures(n=3, density=0.3, signed=True, target="abs")
    return tms.train(features, 6, hidden="relu", tied=False, steps=200, restarts=3, batch_size=128, seed=0)


COLORS = ["red", "green", "blue", "gold", "black", "purple"]


def test_a_run_is_drawn_by_its_best_restart(ax, run):
    best = run.loss.argmin()
    for thing in (run, run.best()):
        ax.clear()
        plots.neurons(ax, thing, COLORS, [0, 1])
        np.testing.assert_allclose(read_back(ax, COLORS, 2), run.W[best], atol=1e-6)


def test_of_untied_weights_it_draws_what_neurons_read(ax, signed):
    E, D = signed.best().W
    for thing, reads in ((signed, abs(E)), (signed.best(), abs(E)), (tms.Weights(E, D), E), ((E, D), E)):
        ax.clear()
        plots.neurons(thing, COLORS[:3], np.arange(6), ax=ax)
        np.testing.assert_allclose(read_back(ax, COLORS[:3], 6), reads, atol=1e-6)


def test_of_features_that_may_be_below_zero_weights_of_either_sign_turn_neurons_on(ax):
    features = tms.SparseFeatures(n=6, density=0.3, signed=True)
    source = tms.Examples(features.sample(50, seed=0))
    for data in (features, source):
        run = tms.train(data, 2, hidden="relu", steps=50, restarts=1, seed=0)
        assert (run.W < 0).any()
        ax.clear()
        plots.neurons(run, COLORS, [0, 1], ax=ax)
        np.testing.assert_allclose(read_back(ax, COLORS, 2), abs(run.W[0]), atol=1e-6)
    assert not tms.Examples(abs(source.x)).signed


def test_plot_and_html_of_a_hidden_relu_show_neurons_and_no_arrows(run):
    for thing in (run, run.best()):
        axes = thing.plot()
        assert axes.shape == (1, 1)
        assert axes[0, 0].get_xlabel() == "neuron $k$"
        heights = sum(abs(end - start) for _, start, end, _ in rectangles(axes[0, 0]))
        np.testing.assert_allclose(heights, abs(run.best().W).sum(), rtol=1e-6)
        assert "data:image/png" in thing._repr_html_()
    linear = tms.train(run.features, 2, steps=2, restarts=1, seed=0).plot()
    assert linear[0, 0].get_xlabel() == "hidden dimension 1"
    plt.close("all")


def test_plot_of_untied_weights_shows_what_neurons_read_and_write_in_one_order(signed):
    (reads, writes), = signed.plot()
    E, D = signed.best().W
    for ax, W in ((reads, abs(E)), (writes, D)):
        order = [int(text.get_text()) for text in ax.get_xticklabels()]
        assert order == np.argsort(abs(E).argmax(axis=1), kind="stable").tolist()
        totals = np.zeros(6)
        for place, start, end, _ in rectangles(ax):
            totals[round(place)] += end - start
        np.testing.assert_allclose(totals, W[order].sum(axis=1), rtol=1e-5)
    assert [ax.get_ylabel() for ax in (reads, writes)] == ["$|E_{ki}|$, stacked", "$D_{ki}$, stacked"]
    plt.close("all")


@pytest.mark.parametrize("signed", [False, True])
def test_an_animation_of_a_hidden_relu_moves_its_neurons(signed):
    features = tms.SparseFeatures(n=6, density=0.3, signed=signed)
    run = tms.train(features, 2, hidden="relu", steps=50, restarts=1, seed=0, snapshots=3)
    moving = plots.animate(run)
    left, path = plt.gcf().axes[0], run.snapshots.W[0]
    for k in (0, 2):
        moving._func(k)
        heights = [end - start for _, start, end, _ in rectangles(left)]
        np.testing.assert_allclose(sum(map(abs, heights)), abs(path[k]).sum(), rtol=1e-6)
        assert (min(heights) >= 0) == signed
    moving._draw_was_started = True  # nobody is to be warned of a film that is not shown
    plt.close("all")


@pytest.mark.parametrize(
    ("draw", "error", "message"),
    [
        (lambda ax: plots.neurons(ax, np.ones((3, 2, 4))), ValueError, r"\(3, 2, 4\); expected one model"),
        (lambda ax: plots.neurons(ax, (W, W[:2])), ValueError, r"encoder \(3, 5\) and decoder \(2, 5\) differ"),
        (lambda ax: plots.neurons(ax, W * np.nan), ValueError, "W holds nan"),
        (lambda ax: plots.neurons(ax, W * 0 + 1e308), ValueError, r"W holds 1e\+308, and its sums overflow"),
        (lambda ax: plots.neurons(ax, "W"), TypeError, "W has dtype"),
        (lambda ax: plots.neurons(ax, W, ["red"] * 4), ValueError, "colors holds 4; expected 5, one a feature"),
        (lambda ax: plots.neurons(ax, W, "rde"), ValueError, "colors holds what is no colour: .*'tab:blue'"),
        (lambda ax: plots.neurons(ax, W, order=[0, 1]), ValueError, "expected every neuron once, the numbers 0 to 2"),
        (lambda ax: plots.neurons(ax, W, order=[0, 1, 1]), ValueError, r"order is \[0 1 1\]; expected every neuron"),
        (lambda ax: plots.neurons(ax, W, order=[0.0, 1.0, 2.0]), ValueError, "order is .*; expected every neuron"),
        (lambda ax: plots.neurons(ax, W, order=[[0, 1, 2]]), ValueError, "order is .*; expected every neuron"),
    ],
)
def test_wrong_input_is_refused(ax, draw, error, message):
    with pytest.raises(error, match=message):
        draw(ax)
    assert not ax.has_data()


def test_the_wrong_thing_is_told_who_draws_it():
    diagram = tms.phase_diagram([0.5], [1], method="expected", restarts=1, seed=0)
    with pytest.raises(TypeError, match=r"W is PhaseDiagram; .*phase_map draws a PhaseDiagram"):
        plots.neurons(diagram)
    with pytest.raises(TypeError, match=re.escape("feature_bars, neurons and loss_curve draw a run")):
        plots.phase_map(tms.load_example("absolute_value"))
