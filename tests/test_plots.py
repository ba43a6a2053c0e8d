"""Pictures: an Axes in, the same Axes out, and what is drawn is what was given."""

from __future__ import annotations

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

import minitms as tms
from minitms import plots, theory

W = np.array([[1.0, 0.0, -0.5], [0.0, 2.0, 0.5]])


@pytest.fixture
def ax():
    fig, ax = plt.subplots()
    yield ax
    plt.close(fig)


def test_the_style_can_be_used():
    with plt.style.context(plots.STYLE):
        assert plt.rcParams["savefig.dpi"] == 200


def test_every_function_returns_its_axes(ax):
    assert plots.feature_vectors(ax, W, importance=[1, 0.5, 0.2]) is ax
    assert plots.weight_gram(ax, W, np.zeros(3)) is ax
    assert plots.feature_bars(ax, W) is ax
    assert plots.phase_map(ax, [0.1, 1], [0.5, 1, 2], np.zeros((2, 3))) is ax
    assert plots.loss_curve(ax, [1, 2], np.ones((4, 2))) is ax


def test_feature_vectors_are_the_columns(ax):
    plots.feature_vectors(ax, W, importance=[1, 0.5, 0.2])
    np.testing.assert_allclose(ax.collections[0].get_offsets(), W.T)
    colors = ax.collections[0].get_facecolors()
    assert len(np.unique(colors, axis=0)) == 3


def test_equal_importance_is_the_colour_of_the_most_important(ax):
    plots.feature_vectors(ax, W, importance=1)
    plots.feature_vectors(ax, W, importance=[1, 0.5, 0.2])
    np.testing.assert_array_equal(ax.collections[0].get_facecolors()[0], ax.collections[1].get_facecolors()[0])


def test_the_entry_of_a_stacks_importance_that_the_error_names_is_taken(ax):
    for stack in (np.full((6, 3), 0.5), np.full((6, 1), 0.5), np.full(6, 0.5)):
        with pytest.raises(ValueError, match=r"importance\[5\]"):
            plots.feature_vectors(ax, W, stack)
        plots.feature_vectors(ax, W, stack[5])
        dots = ax.collections[-1].get_facecolors()
        np.testing.assert_allclose(dots[0], plots.scale("importance", 0, 0.5).to_rgba(0.5))


def test_weight_gram_shows_the_gram_matrix_and_the_bias_on_one_scale(ax):
    b = np.array([0.1, -0.2, 0.3])
    plots.weight_gram(ax, W, b)
    gram, bias = ax.images
    np.testing.assert_allclose(gram.get_array(), W.T @ W)
    np.testing.assert_allclose(bias.get_array()[:, 0], b)
    assert gram.get_clim() == bias.get_clim() == (-1, 1)
    assert tuple(gram.get_extent()) == (0, 3, 3, 0)  # feature 0 on top
    assert ax.get_ylim() == (3, 0)
    assert bias.get_extent()[0] > gram.get_extent()[1]


def test_feature_bars_are_norms_coloured_by_clipped_interference(ax):
    plots.feature_bars(ax, W)
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], tms.feature_norms(W))
    assert tms.interference(W).max() > 1
    expected = plots.scale("interference").to_rgba(np.clip(tms.interference(W), 0, 1))
    np.testing.assert_allclose([bar.get_facecolor() for bar in ax.patches], expected)
    assert ax.get_ylim() == (3, 0)


def test_phase_map_puts_each_cell_around_its_point_with_density_1_on_top(ax):
    densities, importances = np.array([0.01, 0.1, 1]), np.array([0.1, 1, 10])
    values = np.arange(9.0).reshape(3, 3)
    plots.phase_map(ax, densities, importances, values)
    mesh = ax.collections[0]
    np.testing.assert_array_equal(np.ravel(mesh.get_array()), values.ravel())
    edges = mesh.get_coordinates()
    np.testing.assert_allclose(np.sqrt(edges[0, 1:, 0] * edges[0, :-1, 0]), importances)
    np.testing.assert_allclose(np.sqrt(edges[1:, 0, 1] * edges[:-1, 0, 1]), densities)
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert ax.get_ylim()[0] < ax.get_ylim()[1]


def test_phase_map_of_colours_and_of_a_single_cell(ax):
    plots.phase_map(ax, [0.5], [1.0], plots.class_colors([["superposed"]]))
    np.testing.assert_allclose(np.ravel(ax.collections[0].get_array()), plots.SUPERPOSED)


def test_superposition_colours_at_the_corners_and_beyond():
    colors = plots.superposition_colors([0, 0, 1, 1, 7], [0, 1, 0, 1, 9])
    grey, blue, red = plots.NOT_LEARNED, plots.DEDICATED, plots.SUPERPOSED
    np.testing.assert_allclose(colors, [grey, grey, blue, red, red])


def test_class_colours_are_four_and_other_words_are_refused():
    colors = plots.class_colors(["first", "extra", "superposed", "neither"])
    assert len(np.unique(colors, axis=0)) == 4
    np.testing.assert_allclose(colors[:3], [plots.NOT_LEARNED, plots.DEDICATED, plots.SUPERPOSED])  # one scheme
    with pytest.raises(ValueError, match=r"class is 'other'.*'first'"):
        plots.class_colors(["first", "other"])


def test_loss_curve_is_the_median_with_a_band(ax):
    plots.loss_curve(ax, [1, 2], np.array([[1.0, 1], [2, 3], [9, 9]]))
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [2, 3])
    low, high = np.min(band := ax.collections[0].get_paths()[0].vertices[:, 1]), np.max(band)
    assert (low, high) == (1, 9)


GRID = [0.5, 1], [1], np.ones((2, 1))


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda ax: plots.feature_vectors(ax, np.ones((3, 5))), r"\(3, 5\); expected \(2, n\)"),
        (lambda ax: plots.feature_vectors(ax, W, importance=np.ones((4, 3))), r"\(4, 3\); .* such as importance\[3\]"),
        (lambda ax: plots.feature_vectors(ax, W, importance=np.ones((6, 1))), r"\(6, 1\).*importance\[5\]"),
        (lambda ax: plots.feature_vectors(ax, W, importance=np.ones(4)), r"\(4,\); expected a scalar or \(3,"),
        (lambda ax: plots.feature_vectors(ax, W, importance=[1, -1, 1]), "importance holds -1; expected every value"),
        (lambda ax: plots.feature_vectors(ax, W, limit=0), "limit is 0; expected a finite number above 0"),
        (lambda ax: plots.feature_vectors(ax, W, limit=np.nan), "limit is nan"),
        (lambda ax: plots.weight_gram(ax, np.ones((8, 2, 5))), r"\(8, 2, 5\); expected one model"),
        (lambda ax: plots.weight_gram(ax, W, np.ones(4)), r"b has shape \(4,\); expected \(3,\)"),
        (lambda ax: plots.weight_gram(ax, W, [0, np.nan, 0]), "b holds nan"),
        (lambda ax: plots.weight_gram(ax, W * 1e200), "W.* overflows"),
        (lambda ax: plots.feature_bars(ax, np.full((2, 3), np.nan)), "W holds nan"),
        (lambda ax: plots.feature_bars(ax, W * 1e200), "W is so far from 1"),
        (lambda ax: plots.phase_map(ax, [0, 1], [1], np.ones((2, 1))), "densities is .*above 0"),
        (lambda ax: plots.phase_map(ax, [1, 0.5], [1], np.ones((2, 1))), "densities is .*increasing"),
        (lambda ax: plots.phase_map(ax, [5e-324, 1], [1], np.ones((2, 1))), "cannot draw so far in logs"),
        (lambda ax: plots.phase_map(ax, [0.5, 1], [1], np.ones((1, 2))), r"\(1, 2\); expected \(2, 1\)"),
        (lambda ax: plots.phase_map(ax, [0.5, 1], [1], np.full((2, 1), np.inf)), "values holds inf"),
        (lambda ax: plots.phase_map(ax, *GRID[:2], np.full((2, 1, 3), 2.0)), r"values holds 2; expected .*\[0, 1\]"),
        (lambda ax: plots.phase_map(ax, *GRID[:2], np.ones((2, 1, 3)), cmap="viridis"), "values are colours already"),
        (lambda ax: plots.phase_map(ax, *GRID, cmap="virids"), "cmap is 'virids'; expected one of"),
        (lambda ax: plots.phase_map(ax, *GRID, cmap=3), "cmap is 3; expected one of"),
        (lambda ax: plots.loss_curve(ax, [1, 2], np.ones(3)), r"steps \(2,\) and history \(3,\)"),
        (lambda ax: plots.loss_curve(ax, [1, 2], np.empty((0, 2))), r"history \(0, 2\)"),
        (lambda ax: plots.loss_curve(ax, [1, 2], [1, np.inf]), "history holds inf"),
        (lambda ax: plots.loss_curve(ax, [1, np.nan], [1, 1]), "steps holds nan"),
        (lambda ax: plots.loss_curve(ax, [1, 2], [1, 1], color="bluish"), "color is 'bluish'; expected a colour"),
        (lambda ax: plots.scale("colour"), "kind is 'colour'"),
        (lambda ax: plots.scale("gram", low=2), "the scale runs from 2 to 1; expected low below high"),
        (lambda ax: plots.superposition_colors([1, 2], 1.0), r"got norm \(2,\) and interference \(\)"),
        (lambda ax: plots.superposition_colors([np.nan], [1.0]), "norm holds nan"),
    ],
)
def test_wrong_input_is_refused(ax, draw, message):
    with pytest.raises(ValueError, match=message):
        draw(ax)
    assert not ax.has_data()


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda ax: plots.feature_vectors(ax, "W"), "W has dtype"),
        (lambda ax: plots.feature_vectors(ax, W, importance="all"), "importance has dtype"),
        (lambda ax: plots.feature_vectors(ax, W, limit="2"), "limit is '2'.*expected a real number"),
        (lambda ax: plots.weight_gram(ax, W, "b"), "b has dtype"),
        (lambda ax: plots.feature_bars(ax, "W"), "W has dtype"),
        (lambda ax: plots.phase_map(ax, "densities", [1], np.ones((2, 1))), "densities has dtype"),
        (lambda ax: plots.phase_map(ax, [0.5, 1], ["1"], np.ones((2, 1))), "importances has dtype"),
        (lambda ax: plots.phase_map(ax, [0.5], [1], [["first"]]), r"words such as 'first'; expected .*class_colors\("),
        (lambda ax: plots.loss_curve(ax, ["a", "b"], [1, 1]), "steps has dtype"),
        (lambda ax: plots.loss_curve(ax, [1, 2], ["a", "b"]), "history has dtype"),
        (lambda ax: plots.loss_curve(ax, [1, 2], [1, 1], label=3), "label is 3; expected a str"),
        (lambda ax: plots.scale("gram", low="0"), "low is '0'"),
        (lambda ax: plots.superposition_colors(["big"], [1.0]), "norm has dtype"),
    ],
)
def test_words_are_no_numbers(ax, draw, message):
    with pytest.raises(TypeError, match=message):
        draw(ax)
    assert not ax.has_data()


DRAW = [
    lambda **ax: plots.feature_vectors(W, **ax), lambda **ax: plots.weight_gram(W, **ax),
    lambda **ax: plots.feature_bars(W, **ax), lambda **ax: plots.phase_map(*GRID, **ax),
    lambda **ax: plots.loss_curve([1, 2], [1, 1], **ax),
]  # fmt: skip


@pytest.mark.parametrize("axes", [W, plt, "ax", plt.figure])
@pytest.mark.parametrize("draw", DRAW)
def test_what_is_no_axes_is_named(draw, axes):
    with pytest.raises(TypeError, match=r"ax is \w+; expected a matplotlib Axes: fig, ax = plt.subplots\(\)"):
        draw(ax=axes)


@pytest.mark.parametrize("place", [{}, {"ax": None}])
@pytest.mark.parametrize("draw", DRAW)
def test_without_an_axes_it_makes_a_figure_of_its_own_in_the_style_of_the_project(draw, place):
    own = draw(**place)
    assert own.figure.get_constrained_layout()
    assert own.xaxis.label.get_fontsize() == 9
    assert plt.rcParams["axes.labelsize"] == matplotlib.rcParamsDefault["axes.labelsize"]  # and leaves nothing behind
    plt.close(own.figure)


@pytest.mark.parametrize("draw", DRAW)
def test_an_axes_may_be_named(ax, draw):
    assert draw(ax=ax) is ax
    assert len(ax.figure.axes) == 1  # nothing beside it


@pytest.fixture(scope="module")
def run():
    features = tms.SparseFeatures(n=5, density=0.1, importance=0.8 ** np.arange(5))
    return tms.train(features, n_hidden=2, steps=60, restarts=3, seed=0, snapshots=3)


@pytest.fixture(scope="module")
def stack():
    features = tms.SparseFeatures(n=4, density=np.array([[0.1], [0.5]]))
    return tms.train(features, n_hidden=3, steps=60, restarts=2, seed=0, snapshots=2)


@pytest.fixture(scope="module")
def diagram():
    return tms.phase_diagram([0, 0.1, 0.3, 1], [0.2, 1.5, 5], method="expected", restarts=3, seed=0)


def test_a_run_is_drawn_by_its_best_restart(ax, run):
    """Which is not the first one, and whose importance is that of its features."""
    best = run.loss.argmin()
    assert best != 0
    for thing in (run, run.best()):
        ax.clear()
        plots.feature_vectors(ax, thing)
        np.testing.assert_array_equal(ax.collections[0].get_offsets(), run.W[best].T)
        colors = plots.scale("importance", 0.8**4, 1).to_rgba(0.8 ** np.arange(5))
        np.testing.assert_allclose(ax.collections[0].get_facecolors(), colors)
        ax.clear()
        plots.weight_gram(ax, thing)
        np.testing.assert_array_equal(ax.images[1].get_array()[:, 0], run.b[best])
        ax.clear()
        plots.feature_bars(ax, thing)
        np.testing.assert_allclose([bar.get_width() for bar in ax.patches], np.linalg.norm(run.W[best], axis=0), 1e-6)


def test_pictures_on_their_own_explain_themselves(run, diagram):
    def labels(ax):
        bars = [other.get_ylabel() for other in ax.figure.axes if other is not ax]
        plt.close(ax.figure)
        return ax.get_xlabel(), ax.get_ylabel(), *bars

    assert labels(plots.feature_vectors(run)) == ("hidden dimension 1", "hidden dimension 2", "importance")
    assert labels(plots.feature_bars(run)) == ("$|W_i|$", "feature, 0 on top", "interference")
    assert labels(plots.weight_gram(run)) == ("", "", "")
    assert labels(plots.phase_map(*GRID))[2:] == ("",)
    assert labels(plots.phase_map(diagram)) == ("relative importance of the extra feature", "density 1 - S")
    assert labels(plots.loss_curve(run)) == ("step", "loss, mean of 9 batches")


def test_a_diagram_is_drawn_in_the_papers_colours_where_the_axes_reach(ax, diagram):
    plots.phase_map(ax, diagram)
    mesh = ax.collections[0]
    expected = plots.superposition_colors(diagram.norm, diagram.interference)[1:]
    np.testing.assert_allclose(mesh.get_array(), expected)
    assert ax.get_legend() is None
    assert ax.get_legend_handles_labels()[1] == ["not learned", "a dimension of its own", "in superposition", "theory"]


def test_the_lines_on_a_diagram_are_the_boundary_of_theory(ax, diagram):
    plots.phase_map(ax, diagram)
    lines = [path.vertices for contour in ax.collections[1:] for path in contour.get_paths() if len(path.vertices)]
    r, s = np.concatenate(lines).T
    inside = abs(np.log(r)) > 0.3
    assert inside.sum() > 100
    np.testing.assert_allclose(s[inside], theory.boundary_density(r[inside]), rtol=0.05)


def test_the_loss_of_a_run_is_smooth_and_tells_models_apart(ax, run, stack):
    plots.loss_curve(ax, run)
    best, *others = ax.lines
    history = run.history[run.loss.argmin()]
    np.testing.assert_allclose(best.get_ydata()[[0, 30, -1]], [history[:5].mean(), history[26:35].mean(),
                                                               history[-5:].mean()])  # fmt: skip
    assert len(others) == 3
    ax.clear()
    plots.loss_curve(ax, stack.best())
    assert [line.get_label() for line in ax.lines] == ["model 0", "model 1"]
    ax.clear()
    many = tms.train(tms.SparseFeatures(n=2, density=np.full((9, 1), 0.5)), n_hidden=1, steps=20, restarts=1, seed=0)
    plots.loss_curve(ax, many)
    assert [line.get_label() for line in ax.lines] == ["median and range of 9 models"]


def test_a_thing_of_the_wrong_kind_is_told_what_fits(run, stack, diagram):
    for draw in (plots.feature_vectors, plots.weight_gram, plots.feature_bars):
        with pytest.raises(TypeError, match=r"W is PhaseDiagram; .* a TrainingRun .*; phase_map draws a PhaseDiagram"):
            draw(diagram)
        with pytest.raises(TypeError, match=r"W is Figure; expected an array \(m, n\), a TrainingRun or its best"):
            draw(plt.figure())
        with pytest.raises(ValueError, match=r"\(2, 3, 4\); expected one model, \(m, n\): run\.best\(\)\.W, or one"):
            draw(stack)
    for thing in (run, run.best()):
        with pytest.raises(TypeError, match=r"densities is \w+; expected a PhaseDiagram.*; feature_vectors.* a run"):
            plots.phase_map(thing)
    with pytest.raises(TypeError, match="values is PhaseDiagram"):
        plots.phase_map([0.5], [1], diagram)
    with pytest.raises(TypeError, match="a PhaseDiagram has its own importances, values and colours; give it alone"):
        plots.phase_map(diagram, values=diagram.loss[0])
    with pytest.raises(TypeError, match="a PhaseDiagram, or densities, importances and values; got a part"):
        plots.phase_map([0.5, 1])
    with pytest.raises(TypeError, match="steps is PhaseDiagram; expected a TrainingRun or its best"):
        plots.loss_curve(diagram)
    with pytest.raises(TypeError, match="got steps alone"):
        plots.loss_curve([1, 2])
    with pytest.raises(TypeError, match="a Best has its own history"):
        plots.loss_curve(run.best(), [1, 2])
    with pytest.raises(TypeError, match="b is TrainingRun; expected an array"):
        plots.weight_gram(W, run)
    plt.close("all")


def test_a_cell_without_a_value_stays_blank(ax):
    plots.phase_map(ax, [0.5, 1], [1], [[np.nan], [1.0]])
    assert np.ma.getmaskarray(ax.collections[0].get_array()).ravel().tolist() == [True, False]


def test_importances_of_any_size_have_their_colours(ax):
    """The most important is as dark for importances of 1e-20 as for those of 1."""
    for size in (1, 1e-20, 1e200):
        plots.feature_vectors(ax, W, importance=np.array([1, 0.5, 0.2]) * size)
    first, *others = (dots.get_facecolors() for dots in ax.collections)
    for colors in others:
        np.testing.assert_allclose(colors, first, atol=0.01)


def test_a_loss_that_falls_far_keeps_its_late_values():
    """Means of nine records, none a difference of sums beside which 1e-30 is nothing."""
    history = np.geomspace(1.0, 1e-30, 50)
    smooth = plots.losses._smooth(np.stack([history, 2 * history]))
    for k in range(50):
        near = history[max(0, k - 4) : k + 5]
        np.testing.assert_allclose(smooth[:, k], [near.mean(), 2 * near.mean()], rtol=1e-12)
    np.testing.assert_array_equal(plots.losses._smooth(np.array([[3.0, 5.0]])), [[4.0, 4.0]])


def test_axes_given_twice_are_refused():
    _, (left, right) = plt.subplots(1, 2)
    with pytest.raises(TypeError, match="given twice"):
        plots.feature_vectors(left, np.eye(2), ax=right)


def test_colours_by_importance_are_explained_also_where_the_least_is_0():
    for importance in ([0, 0.5, 1], [0.1, 0.5, 1]):
        ax = plots.feature_vectors(np.eye(2, 3), importance=importance)
        assert [a.get_ylabel() for a in ax.figure.axes] == ["hidden dimension 2", "importance"]
    assert len(plots.feature_vectors(np.eye(2, 3), importance=np.ones(3)).figure.axes) == 1


@pytest.mark.parametrize("shape", [(2, 0), (0, 2)])
def test_a_model_of_nothing_is_named(shape):
    for draw in (plots.neurons, plots.feature_vectors, plots.weight_gram, plots.feature_bars):
        with pytest.raises(ValueError, match=rf"W has shape \({shape[0]}, {shape[1]}\); expected"):
            draw(np.zeros(shape))


def test_a_class_that_is_no_word_is_named():
    with pytest.raises(ValueError, match="class is None"):
        plots.class_colors(np.array(["first", None], dtype=object))
