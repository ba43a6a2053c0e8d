"""The best of a run answers with its own switches: what `forward` and `loss` say if all of them are repeated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import minitms as tms

SWITCHES = [
    {"activation": "linear"}, {"hidden": "relu"}, {"tied": False}, {"hidden": "relu", "tied": False},
]  # fmt: skip


def trained(features, **switches):
    return tms.train(features, 2, steps=5, restarts=2, seed=0, **switches).best()


@pytest.mark.parametrize("switches", SWITCHES)
@pytest.mark.parametrize("target", ["x", "abs"])
def test_outputs_and_losses_are_those_of_the_models_own_switches(switches, target):
    features = tms.SparseFeatures(4, [[0.5], [0.9]], 0.5 ** np.arange(4), signed=True, target=target)
    best, x = trained(features, **switches), features.sample(8, seed=1)
    words = {"activation": switches.get("activation", "relu"), "hidden": switches.get("hidden", "linear")}
    np.testing.assert_array_equal(best.forward(x), tms.forward(best.W, best.b, x, **words))
    wanted = abs(x) if target == "abs" else x
    expected = tms.loss(best.W, best.b, x, 0.5 ** np.arange(4), **words, target=wanted)
    np.testing.assert_array_equal(best.loss_on(x), expected)
    np.testing.assert_array_equal(best.loss_on(x[0].tolist()), tms.loss(
        best.W, best.b, x[0], 0.5 ** np.arange(4), **words, target=wanted[0]))  # fmt: skip


def test_each_model_of_a_stack_has_its_own_importance():
    features = tms.SparseFeatures(4, 0.5, [[1.0], [3.0]])
    best, x = trained(features), features.sample(8, seed=1)[0]
    best = replace(best, W=np.stack([best.W[0]] * 2), b=np.stack([best.b[0]] * 2))
    one, three = best.loss_on(x)
    np.testing.assert_allclose(three, 3 * one, rtol=1e-6)


def test_fixed_examples_have_the_loss_that_the_run_says_and_answer_new_ones():
    x = tms.SparseFeatures(4, 0.5).sample(20, seed=0)
    best = trained(tms.Examples(x, importance=2.0))
    np.testing.assert_allclose(best.loss_on(x), best.loss, rtol=1e-5)
    np.testing.assert_allclose(best.loss_on(x[:5]), tms.loss(best.W, best.b, x[:5], 2.0))


def test_targets_of_examples_say_nothing_of_other_examples():
    x = tms.SparseFeatures(4, 0.5).sample(20, seed=0)
    best = trained(tms.Examples(x, target=1 - x))
    assert best.forward(x).shape == (20, 4)
    with pytest.raises(ValueError, match=r"targets of their own, .*: tms\.loss\(best\.W, best\.b, x, .*target="):
        best.loss_on(x)


@pytest.mark.parametrize("dtypes", [("float64", "float64"), ("float32", "float64")])
def test_a_target_that_equals_x_is_x(dtypes, tmp_path):
    x = np.float32(tms.SparseFeatures(4, [[0.5], [0.5]]).sample(20, seed=0))
    examples = tms.Examples(x.astype(dtypes[0]), target=x.astype(dtypes[1]))
    assert "of their own" not in repr(examples)
    run = tms.train(examples, 2, steps=5, restarts=2, seed=0)
    run.save(tmp_path / "run.npz")
    for kept in (run, tms.TrainingRun.load(tmp_path / "run.npz")):
        np.testing.assert_allclose(kept.best().loss_on(x), run.best().loss, rtol=1e-5)
    target = x.copy()
    target[1, -1, -1] += 1  # of one model, in one number
    with pytest.raises(ValueError, match="targets of their own"):
        tms.Examples(x, target=target).targets(x)


def test_what_does_not_fit_is_refused_as_by_forward_and_loss():
    best = trained(tms.SparseFeatures(4, 0.5))
    for ask in (best.forward, best.loss_on):
        with pytest.raises(ValueError, match=r"one example is written x\[None, :\]"):
            ask(np.zeros(4))
        with pytest.raises(TypeError, match="x has dtype"):
            ask("x")
