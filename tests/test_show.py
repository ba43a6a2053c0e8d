"""Results that show themselves: a short repr, a small picture in a notebook, and plot()."""

from __future__ import annotations

import base64
import re

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

import minitms as tms


def trained(n=5, m=2, stack=None, restarts=3, tied=True, **more):
    density = 0.1 if stack is None else np.full((stack, 1), 0.1)
    features = tms.SparseFeatures(n=n, density=density, importance=0.9 ** np.arange(n))
    return tms.train(features, n_hidden=m, steps=20, batch_size=64, restarts=restarts, tied=tied, seed=0, **more)


@pytest.fixture(scope="module")
def shown():
    run, stack = trained(snapshots=3), trained(n=6, m=3, stack=5)
    grid = np.geomspace(0.1, 1, 4), np.geomspace(0.1, 10, 5)
    diagram = tms.phase_diagram(*grid, method="expected", restarts=2, seed=0)
    examples = tms.Examples(run.features.sample(7, seed=0))
    return {
        "run": run, "best": run.best(), "stack": stack, "stack's best": stack.best(), "untied": trained(tied=False),
        "untied stack": trained(m=3, stack=2, tied=False), "diagram": diagram,
        "with density 0": tms.phase_diagram([0, 0.5], [0, 1], method="expected", restarts=1, seed=0),
        "of density 0": tms.phase_diagram([0], [1], method="expected", restarts=1, seed=0),
        "features": run.features, "stack's features": stack.features,
        "signed": tms.SparseFeatures(n=4, density=0.5, signed=True, target="abs"),
        "off": tms.SparseFeatures(n=3, density=0), "examples": examples,
        "on examples": tms.train(examples, n_hidden=2, steps=20, restarts=2, seed=0),
    }  # fmt: skip


KINDS = ["run", "best", "stack", "stack's best", "untied", "untied stack", "diagram", "with density 0", "of density 0",
         "features", "stack's features", "signed", "off", "examples", "on examples"]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_repr_is_short_and_html_has_it_and_a_picture(shown, kind):
    thing, open_figures = shown[kind], plt.get_fignums()
    text = repr(thing)
    assert len(text) < 400
    assert text.count("\n") < 10
    html = thing._repr_html_()
    assert text.replace("'", "&#x27;").replace("<", "&lt;") in html
    png = base64.b64decode(re.search(r'src="data:image/png;base64,([^"]+)"', html)[1])
    assert png.startswith(b"\x89PNG")
    assert len(png) < 60_000
    assert plt.get_fignums() == open_figures  # or a notebook would show it once more


def test_reprs_are_short_whatever_n():
    features = tms.SparseFeatures(n=3000, density=np.linspace(0.01, 0.9, 3000), importance=np.linspace(1, 2, 3000))
    assert repr(features) == "SparseFeatures(n=3000, density=0.01..0.9 by feature, importance=1..2)"
    assert repr(tms.Examples(np.zeros((4, 30, 700)))) == "Examples(30 examples, n=700, importance=1, stack=(4,))"
    sweep = tms.SparseFeatures(n=5, density=np.array([[0.1], [0.5], [1]]))
    assert repr(sweep) == "SparseFeatures(n=5, density=0.1..1, importance=1, stack=(3,))"
    own = tms.Examples(np.zeros((3, 2)), target=np.ones((3, 2)))
    assert repr(own) == "Examples(3 examples, n=2, importance=1, a target of their own)"
    pairs = tms.SparseFeatures(n=4, density=[[0.5], [0.2]], sets=[0, 0, 1, 1], pattern="at_most_one", signed=True)
    assert repr(pairs) == ("SparseFeatures(n=4, density=0.2..0.5, importance=1, 2 sets, pattern='at_most_one', signed, "
                           "stack=(2,))")  # fmt: skip


def test_the_parts_of_results_are_short_too(shown):
    assert re.fullmatch(r"Best\(1 model, n=5, m=2, relu, 20 steps, loss 0\.\d+; restart [0-2]\)", repr(shown["best"]))
    assert repr(shown["run"].snapshots) == "Snapshots(3 of W and b, after 0..20 steps)"
    assert re.fullmatch(r"BestModels\(4 densities x 5 importances, loss .* to .*\)", repr(shown["diagram"].best()))
    report = repr(tms.testing.check_grad(lambda w: (w**2).sum(), lambda w: 2 * w, np.ones(3)))
    assert re.fullmatch(r"Report\(gradient is right: \d+ evaluations .*, 1 parameters, error at most .*\)", report)


def with_losses(run, loss):
    fields = {name: getattr(run, name) for name in run.__dataclass_fields__}
    return tms.TrainingRun(**{**fields, "loss": np.array(loss)})


def test_a_run_says_how_many_restarts_ended_near_the_best(shown):
    one = with_losses(shown["run"], [2.0, 2.019, 2.021])
    assert "loss 2 to 2.021, 2 of 3 restarts within 1 % of the best" in repr(one)
    stack = with_losses(trained(stack=2), [[1.0, 9.0], [1.2, 4.0], [1.005, 4.03]])
    assert "4 of 6 models and restarts within 1 % of the best" in repr(stack)


def test_plot_draws_features_as_vectors_in_the_plane(shown):
    axes = shown["run"].plot()
    assert axes.shape == (1, 1)
    best = shown["run"].best()
    np.testing.assert_array_equal(axes[0, 0].collections[0].get_offsets(), best.W.T)
    assert axes[0, 0].get_title() == f"loss {best.loss:.4g}"
    assert axes[0, 0].figure.axes[-1].get_ylabel() == "importance"
    plt.close("all")


def test_plot_draws_gram_matrix_and_norms_of_models_from_the_first_to_the_last(shown):
    best = shown["stack"].best()
    for axes in (shown["stack"].plot(), best.plot()):
        assert axes.shape == (2, 4)
        for column, k in enumerate((0, 1, 3, 4)):
            gram, bias = axes[0, column].images
            np.testing.assert_allclose(gram.get_array(), best.W[k].T @ best.W[k])
            np.testing.assert_array_equal(bias.get_array()[:, 0], best.b[k])
            lengths = [bar.get_width() for bar in axes[1, column].patches]
            np.testing.assert_allclose(lengths, tms.feature_norms(best.W[k]))
        assert axes[0, 0].figure.get_suptitle() == "4 of 5 models"
    plt.close("all")


def test_plot_says_which_model_it_is_by_its_density_if_that_tells():
    def titles(density):
        run = tms.train(tms.SparseFeatures(3, density), 2, steps=2, restarts=1, seed=0)
        axes = run.plot()
        plt.close("all")
        return [ax.get_title().partition(": ")[0] for ax in axes.flat]

    assert titles([[0.5], [0.25]]) == ["density 0.5", "density 0.25"]
    assert titles([[0.5], [0.5]]) == titles([[0.5, 0.5, 0.1], [0.1, 0.5, 0.5]]) == ["model 0", "model 1"]


def test_plot_names_the_weights_that_it_draws():
    run = tms.train(tms.SparseFeatures(4, 0.5), 3, tied=False, steps=2, restarts=1, seed=0)
    axes = run.plot()
    assert [ax.get_xticklabels()[0].get_text() for ax in axes[0]] == ["$E^T E$", "$D^T D$"]
    assert [ax.get_xlabel() for ax in axes[1]] == ["$|E_i|$", "$|D_i|$"]
    plt.close("all")


def test_plot_draws_encoder_and_decoder_of_untied_weights(shown):
    axes, best = shown["untied"].plot(), shown["untied"].best()
    for ax, W, name in zip(axes[0], best.W, ("encoder", "decoder"), strict=True):
        np.testing.assert_array_equal(ax.collections[0].get_offsets(), W.T)
        assert name in ax.get_title()
    plt.close("all")


def test_an_animation_has_a_frame_for_each_snapshot(tmp_path, shown):
    run = shown["run"]
    moving = tms.plots.animate(run)
    moving.save(tmp_path / "run.gif", writer="pillow")
    with Image.open(tmp_path / "run.gif") as picture:
        assert picture.n_frames == 3
    left, right = plt.gcf().axes
    best = run.best()
    np.testing.assert_array_equal(left.collections[0].get_offsets(), best.W.T)  # the last frame
    assert left.get_title() == "step 20"
    moving._func(0)
    np.testing.assert_array_equal(left.collections[0].get_offsets(), best.snapshots.W[0].T)
    assert right.lines[-1].get_xdata() == [0, 0]
    plt.close("all")


def test_an_animation_of_more_dimensions_shows_the_gram_matrix(tmp_path):
    run = trained(m=3, snapshots=2)
    moving = tms.plots.animate(run.best())
    moving.save(tmp_path / "run.gif", writer="pillow")
    W = run.best().W
    np.testing.assert_allclose(plt.gcf().axes[0].images[0].get_array(), W.T @ W, rtol=1e-6)
    plt.close("all")


def test_what_cannot_be_animated_is_refused(shown):
    with pytest.raises(ValueError, match=r"no snapshots; expected some: train\(\.\.\., snapshots=60\)"):
        tms.plots.animate(shown["stack"])
    with pytest.raises(ValueError, match=r"models of stack \(2,\); expected one model"):
        tms.plots.animate(trained(stack=2, snapshots=2))
    with pytest.raises(TypeError, match="run is PhaseDiagram; expected a TrainingRun"):
        tms.plots.animate(shown["diagram"])
    with pytest.raises(TypeError, match=r"W is a pair \(encoder, decoder\)"):
        tms.plots.animate(trained(tied=False, snapshots=2))
