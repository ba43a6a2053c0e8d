"""The results that come with the package are what their makers return, and hold what is said of them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import minitms as tms
from minitms import theory
from minitms.examples import FOLDER, LOADERS


def test_the_phase_diagram_is_the_best_of_a_million():
    """Its agreement with theory, by the theory's own formulas."""
    diagram = tms.load_example("phase_changes")
    assert isinstance(diagram, tms.PhaseDiagram)
    assert diagram.W.shape == (1, 1000, 100, 1, 2)
    assert diagram.settings == {"steps": 6000, "batch_size": 64, "learning_rate": 0.01}
    s, r = diagram.densities[:, None], diagram.importances
    in_theory = np.array(theory.CONFIGURATIONS[2])[theory.predicted_configuration(s, r)]
    classes, away = tms.classify(diagram.best().W), theory.away_from_boundary(s, r)
    assert_array_equal(diagram.classes, classes)
    assert (classes == in_theory)[away].mean() == diagram.agreement_away >= 0.995
    assert (classes == in_theory).mean() == diagram.agreement >= 0.96


def test_the_losses_of_the_phase_diagram_are_those_of_its_models():
    diagram, rng = tms.load_example("phase_changes"), np.random.default_rng(0)
    for d, i in rng.integers([600, 0], [1000, 100], (20, 2)):  # denser than 0.16: samples tell enough
        cell = diagram.at(diagram.densities[d], diagram.importances[i])
        x = tms.SparseFeatures(2, diagram.densities[d]).sample(2**17, seed=int(d))
        sampled = tms.loss(cell["W"][0], cell["b"][0], x, [1, diagram.importances[i]])
        assert_allclose(cell["loss"][0], sampled, rtol=0.05)
        exact = tms.expected_loss(cell["W"][0], cell["b"][0], diagram.densities[d], [1, diagram.importances[i]])
        assert_allclose(cell["loss"][0], exact, rtol=1e-6)


def test_the_models_of_the_absolute_value_have_the_loss_that_they_say():
    run = tms.load_example("absolute_value")
    assert isinstance(run, tms.TrainingRun)
    assert run.W.encoder.shape == run.W.decoder.shape == (1, 7, 40, 100)
    assert (run.hidden, run.activation, run.features.signed, run.features.target) == ("relu", "relu", True, "abs")
    assert_array_equal(run.features.density[:, 0], [1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001])
    assert_allclose(run.features.importance, np.broadcast_to(0.8 ** np.arange(100), run.features.importance.shape))
    x = run.features.sample(2**14, seed=5)
    best = run.best()
    sampled = tms.loss(best.W, best.b, x, run.features.importance, hidden="relu", target=abs(x))
    assert_allclose(best.loss[:5], sampled[:5], rtol=0.15)  # at lower densities few samples have any feature on
    nothing = run.features.density[:, 0] / 3 - run.features.density[:, 0] ** 2 / 4
    assert (best.loss < 0.1 * nothing * (0.8 ** np.arange(100)).sum()).all()


def test_the_models_of_the_absolute_value_answer_it_where_features_are_sparse():
    best = tms.load_example("absolute_value").best()
    for i in range(10):
        alone = np.array([[1.0], [-1.0], [0.5], [-0.5]]) * np.eye(100)[i]
        y = tms.forward(best.W, best.b, alone, hidden="relu")[4:, :, i]
        assert_allclose(y, np.broadcast_to([1, 1, 0.5, 0.5], y.shape), atol=0.15)


def test_the_models_of_the_absolute_value_can_be_trained_on():
    run = tms.load_example("absolute_value")
    more = tms.train(run.features, 40, hidden="relu", tied=False, steps=3, batch_size=64, initial=run, seed=1)
    assert more.loss.shape == (1, 7)


def test_every_example_has_a_file_and_every_file_a_loader():
    assert {path.stem for path in FOLDER.glob("*.npz")} == LOADERS.keys()
    for path in FOLDER.glob("*.npz"):
        assert path.stat().st_size < {"phase_changes": 1_500_000}.get(path.stem, 300_000)


def test_an_unknown_example_is_refused():
    with pytest.raises(ValueError, match="name is 'no such'; expected one of 'absolute_value', 'phase_changes'"):
        tms.load_example("no such")
