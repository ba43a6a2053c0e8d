"""What a training has come to: final losses by both engines, and what is no model any more."""

from __future__ import annotations

import concurrent.futures
from dataclasses import replace

import numpy as np
import pytest

import minitms as tms
from minitms import judge, training
from minitms.fast import one_neuron
from minitms.fast import training as fast

FEATURES = {
    "features": tms.SparseFeatures(6, np.array([0.1, 0.5, 0.004])[:, None], np.linspace(1, 2, 6)),
    "one model": tms.SparseFeatures(7, 0.2),
    "signed": tms.SparseFeatures(5, 0.3, signed=True, target="abs"),
    "examples": tms.Examples(np.random.default_rng(0).uniform(size=(2, 50, 4)), [1.0, 2.0, 3.0, 4.0]),
}


def a_plan(source, **changed):
    words = {"activation": "relu", "hidden": "linear", "tied": True, "engine": "numpy", "dtype": "float64"} | changed
    return training._plan(
        source, 3, words["activation"], words["hidden"], words["tied"], 10, None, 0.01, "cosine", 0, 0.0, 2, 5,
        words["engine"], words["dtype"], None, 0, None, None, None,
    )  # fmt: skip


@pytest.mark.parametrize("hidden", ["linear", "relu"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("source", FEATURES.values(), ids=FEATURES)
def test_numpy_and_the_kernels_score_on_the_same_examples(source, tied, hidden, monkeypatch):
    """Each model of a stack by the data of its place, and all of its restarts by the same."""
    monkeypatch.setattr(fast, "HELD_OUT_EXAMPLES", 700)
    plan = a_plan(source, hidden=hidden, tied=tied)
    theta = np.random.default_rng(1).normal(size=(*plan.stack, plan.layout.size)) / 2
    by_numpy = judge.losses_by_numpy(plan, theta)
    assert by_numpy.shape == plan.stack
    assert len(np.unique(by_numpy)) == by_numpy.size
    np.testing.assert_allclose(by_numpy, fast.losses(plan, theta), rtol=1e-12)


@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_each_engine_scores_by_itself(engine, monkeypatch):
    asked = []
    monkeypatch.setattr(judge, "losses_by_numpy", lambda plan, *_: asked.append("numpy") or np.ones(plan.stack))
    monkeypatch.setattr(fast, "losses", lambda plan, *_: asked.append("numba") or np.ones(plan.stack))
    plan = a_plan(FEATURES["one model"], engine=engine)
    judge.final_losses(plan, np.zeros((*plan.stack, plan.layout.size)))
    assert asked == [engine]


def test_the_best_constant_answer():
    """The mean of the target; where that is negative, a ReLU can do no better than 0, which it answers by itself."""
    x = np.array([[0.0, 1.0], [2.0, -3.0]])
    for activation, best in (("relu", [1.0, 0.0]), ("linear", [1.0, -1.0])):
        plan = a_plan(tms.Examples(x), activation=activation)
        constant = judge.losses_by_numpy(plan, judge.constant_answer(plan))
        np.testing.assert_allclose(constant, ((x - best) ** 2).sum(axis=1).mean())


@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_a_run_is_compared_with_the_best_constant_that_its_output_can_give(activation):
    """As the docstrings say: the loss of max(E t, 0) for a ReLU, of which the variance is a small part here."""
    x = -abs(np.random.default_rng(0).standard_normal((50, 3))) - 1
    best = x.mean(axis=0) if activation == "linear" else np.zeros(3)
    constant = ((x - best) ** 2).mean(axis=0).sum()
    options = {"steps": 30, "schedule": "constant", "restarts": 1, "seed": 0}
    with pytest.raises(tms.DivergenceError, match=f"best constant answer, {constant:.4g} "):
        tms.train(tms.Examples(x), 2, activation, learning_rate=30.0, initial=(0.0, 1e4), **options)
    for text in (tms.DivergenceError.__doc__, tms.train.__doc__):
        assert "the best constant" in (words := " ".join(text.split()))
        assert "max(E t_i, 0) from a ReLU" in words
        assert "Σ_i I_i E (t_i - c_i)²" in words


@pytest.mark.parametrize("target", ["x", "abs"])
def test_of_values_above_0_the_loss_is_exact_for_both_targets(target):
    """|x| = x there. Which kernel trains is not changed by that."""
    source = tms.SparseFeatures(2, 0.3, target=target)
    for activation in ("relu", "linear"):
        assert a_plan(source, activation=activation).exact
    run = tms.train(source, 1, steps=5, restarts=2, seed=0, dtype="float64")
    np.testing.assert_allclose(run.loss, tms.expected_loss(run.W, run.b, [0.3, 0.3]), rtol=1e-14)
    assert one_neuron.serves(replace(a_plan(source), n_hidden=1)) == (target == "x")
    assert not a_plan(replace(source, signed=True)).exact


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_named(bad):
    plan = a_plan(FEATURES["features"])
    losses, theta = np.ones((*plan.stack, 4)), np.ones((*plan.stack, plan.layout.size))
    judge.check_finite(losses, theta, 10, plan)
    theta[1, 2, -1] = bad
    with pytest.raises(tms.DivergenceError, match=r"model \(1, 2\) .* after step 10 \(1 of 6 models\)"):
        judge.check_finite(losses, theta, 10, plan)


@pytest.mark.parametrize("options", [
    {"activation": "linear"}, {"activation": "relu"}, {"activation": "relu", "tied": False}, {"hidden": "relu"},
    {"engine": "numpy"}, {"executor": concurrent.futures.ThreadPoolExecutor(1)},
], ids=str)  # fmt: skip
def test_weights_of_which_no_loss_could_be_computed_are_a_divergence(options):
    """Of float64: the loss that is recorded is from before the step."""
    source = tms.SparseFeatures(3, 0.5)
    with pytest.raises(tms.DivergenceError, match=r"weight above 1e\+50, .* after step 1.*smaller learning_rate"):
        tms.train(source, 2, **options, steps=1, dtype="float64", seed=0, restarts=2, learning_rate=1e60)
