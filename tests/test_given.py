"""What is given is used, or refused with a word of what would do: never left out in silence."""

from __future__ import annotations

import os
import re
from dataclasses import replace

import numpy as np
import pytest

import minitms as tms
from minitms import _checks, adam, theory
from minitms._fields import increasing
from minitms.expected import minimise_expected_loss
from minitms.polytope_losses import independent
from minitms.polytopes import POLYTOPES
from minitms.testing import metamorphic, strategies

W, b, x = np.array([[1.0, -1.0]]), np.zeros(2), np.ones((3, 2))
FEATURES = tms.SparseFeatures(n=2, density=0.5)
DIAGRAM = tms.PhaseDiagram(
    np.ones(1), np.ones(1), np.ones((1, 1, 1, 1, 2)), np.zeros((1, 1, 1, 2)), np.zeros((1, 1, 1)), np.empty(0),
    np.empty(0), "relu", "expected", 0, {},
)  # fmt: skip


def train(**settings):
    return tms.train(**{"features": FEATURES, "n_hidden": 1, "steps": 2, "seed": 0, "progress": False} | settings)


def phase_diagram(**settings):
    given = {"densities": [0.5], "importances": [1.0], "restarts": 1, "steps": 2, "seed": 0, "progress": False}
    return tms.phase_diagram(**given | settings)


# ------------------------------------------------------------------------------------------------------------- words

TAKE_AN_ACTIVATION = {
    "forward": lambda word: tms.forward(W, b, x, activation=word),
    "loss": lambda word: tms.loss(W, b, x, activation=word),
    "backward": lambda word: tms.backward(W, b, x, activation=word),
    "loss_and_gradients": lambda word: tms.loss_and_gradients(W, b, x, activation=word),
    "worst_attack": lambda word: tms.worst_attack(W, b, x, 0.1, activation=word),
    "expected_loss": lambda word: tms.expected_loss(W, b, 0.5, activation=word),
    "expected_gradients": lambda word: tms.expected_gradients(W, b, 0.5, activation=word),
    "minimise_expected_loss": lambda word: minimise_expected_loss(W, b, 0.5, activation=word),
    "train": lambda word: train(activation=word),
    "train, numpy": lambda word: train(activation=word, engine="numpy"),
    "phase_diagram": lambda word: phase_diagram(activation=word),
    "configuration_losses": lambda word: theory.configuration_losses(0.5, 1.0, word),
    "predicted_configuration": lambda word: theory.predicted_configuration(0.5, 1.0, word),
    "away_from_boundary": lambda word: theory.away_from_boundary(0.5, 1.0, word),
    "PhaseDiagram": lambda word: replace(DIAGRAM, activation=word).agreement,
    "testing.Model": lambda word: strategies.Model(W, b, x, np.ones(2), word).pre_activations(),
    "testing.models": lambda word: strategies.models(activation=word).example(),
}
TAKE_A_HIDDEN_ONE = {
    "forward": lambda word: tms.forward(W, b, x, hidden=word),
    "loss": lambda word: tms.loss(W, b, x, hidden=word),
    "backward": lambda word: tms.backward(W, b, x, hidden=word),
    "loss_and_gradients": lambda word: tms.loss_and_gradients(W, b, x, hidden=word),
    "worst_attack": lambda word: tms.worst_attack(W, b, x, 0.1, hidden=word),
    "testing.chains": lambda word: strategies.chains(hidden=word).example(),
}
TAKE_A_PATTERN = {
    "linear": lambda word: tms.expected_loss(W, b, 0.5, activation="linear", pattern=word),
    "one neuron": lambda word: tms.expected_loss(W, b, 0.5, pattern=word),
    "two neurons": lambda word: tms.expected_loss(np.eye(2), b, 0.5, pattern=word),
    "minimise": lambda word: minimise_expected_loss(W, b, 0.5, pattern=word),
}
TAKE_A_SCHEDULE = {"train": lambda word: train(schedule=word), "adam": lambda word: adam.learning_rates(word, 1.0, 5)}
CALLS = [
    pytest.param(kind, call, id=f"{kind} in {name}")
    for kind, calls in (
        ("activation", TAKE_AN_ACTIVATION), ("hidden", TAKE_A_HIDDEN_ONE), ("pattern", TAKE_A_PATTERN),
        ("schedule", TAKE_A_SCHEDULE),
        ("engine", {"train": lambda word: train(engine=word)}),
        ("method", {"phase_diagram": lambda word: phase_diagram(method=word, steps=None)}),
        ("dtype", {"train": lambda word: train(dtype=word), "sample": lambda word: FEATURES.sample(3, 0, word)}),
    )
    for name, call in calls.items()
]  # fmt: skip


@pytest.mark.parametrize("word", ["tanh", "ReLU", "", None, 1, ["relu"], np.array(["relu", "linear"])])
@pytest.mark.parametrize(("kind", "call"), CALLS)
@pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
def test_an_unknown_word_is_refused_alike_wherever_it_is_given(kind, call, word):
    if word is None and call in (TAKE_AN_ACTIVATION["testing.models"], TAKE_A_HIDDEN_ONE["testing.chains"]):
        return  # either of them
    with pytest.raises(ValueError, match=rf"^{kind} is .*; expected one of '"):
        call(word)


@pytest.mark.parametrize(("kind", "call"), [case for case in CALLS if case.values[0] in "activation pattern schedule"])
@pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
def test_a_word_without_a_formula_gets_no_other_one_s(monkeypatch, kind, call):
    """A word that is allowed, but which one file has not learned yet, is an error there and not one of the others."""
    words = f"{kind.upper()}S"
    monkeypatch.setattr(_checks, words, (*getattr(_checks, words), "new"))
    with pytest.raises(ValueError, match=f"{kind} is 'new'; expected one of"):
        call("new")


# ------------------------------------------------------------------------------------------- masks, times, truth values

MASKED = np.ma.masked_array([[1.0, 1e6]], mask=[[False, True]])
ONE = np.ma.masked_array([0.1, 0.9], mask=[0, 1])
TAKE_ARRAYS = {
    "SparseFeatures density": lambda: tms.SparseFeatures(2, ONE),
    "SparseFeatures importance": lambda: tms.SparseFeatures(2, 0.5, ONE),
    "a list of rows": lambda: tms.SparseFeatures(2, [[0.1, 0.1], ONE]),
    "forward": lambda: tms.forward(MASKED, b, x),
    "loss": lambda: tms.loss(W, b, np.ma.masked_array(x)),
    "importance": lambda: tms.loss(W, b, x, ONE),
    "backward": lambda: tms.backward(W, ONE, x),
    "worst_attack": lambda: tms.worst_attack(W, b, x, ONE),
    "expected_loss": lambda: tms.expected_loss(W, b, ONE),
    "expected_gradients": lambda: tms.expected_gradients(MASKED, b, 0.5),
    "feature_norms": lambda: tms.feature_norms(MASKED),
    "interference": lambda: tms.interference(MASKED),
    "dimensionality": lambda: tms.dimensionality(MASKED),
    "dimensions_per_feature": lambda: tms.dimensions_per_feature(MASKED),
    "features_represented": lambda: tms.features_represented(MASKED),
    "features_per_neuron": lambda: tms.features_per_neuron(MASKED),
    "classify": lambda: tms.classify(MASKED),
    "train initial": lambda: train(initial=(MASKED, 0.0)),
    "phase_diagram densities": lambda: phase_diagram(densities=ONE),
    "phase_diagram importances": lambda: phase_diagram(importances=ONE),
    "phase_diagram initial": lambda: phase_diagram(initial=(MASKED, 0.0)),
    "feature_variance": lambda: theory.feature_variance(ONE),
    "configuration_losses": lambda: theory.configuration_losses(0.5, ONE),
    "boundary_density": lambda: theory.boundary_density(ONE),
    "onset_importance": lambda: theory.onset_importance(ONE),
    "metamorphic": lambda: metamorphic.check_permutation(tms.loss_and_gradients, MASKED, b, x, 1.0),
    "superposition_colors": lambda: tms.plots.superposition_colors(ONE, ONE),
    "class_colors": lambda: tms.plots.class_colors(np.ma.masked_array(["first", "extra"], mask=[0, 1])),
}


@pytest.mark.parametrize("call", TAKE_ARRAYS.values(), ids=TAKE_ARRAYS)
def test_a_mask_is_not_lost(call):
    with pytest.raises(TypeError, match=r"is a masked array, whose mask would be lost; expected .* \w+.filled"):
        call()


@pytest.mark.parametrize("value", [np.timedelta64(3), np.timedelta64(3, "s"), True, np.True_, 3.0, "3", 3j, b"3"])
@pytest.mark.parametrize(
    "call",
    [
        lambda v: tms.SparseFeatures(v, 0.5), lambda v: FEATURES.sample(v), lambda v: train(n_hidden=v),
        lambda v: train(steps=v), lambda v: train(batch_size=v), lambda v: train(restarts=v),
        lambda v: train(snapshots=v), lambda v: phase_diagram(restarts=v),
        lambda v: minimise_expected_loss(W, b, 0.5, evaluations=v),
    ],
)  # fmt: skip
def test_only_whole_numbers_count(call, value):
    with pytest.raises(TypeError, match="expected a whole number"):
        call(value)


@pytest.mark.parametrize("value", [np.timedelta64(3), True, np.True_, "3", None, 3j, [3.0]])
def test_only_numbers_measure(value):
    for call in (
        lambda: train(learning_rate=value),
        lambda: train(weight_decay=value),
        lambda: tms.features_represented(W, threshold=value),
        lambda: tms.features_per_neuron(W, threshold=value),
        lambda: DIAGRAM.at(value, 1.0),
    ):
        with pytest.raises(TypeError, match="expected a real number"):
            call()


@pytest.mark.parametrize(
    "value",
    ["0.5", ["0.5", "0.5"], [None, 0.5], np.array([0.5, 0.5], complex), np.array([1, 2], "timedelta64[s]"),
     np.array([1, 2], "datetime64[s]"), np.array([0.5, 0.5], object), np.float16(0.5), np.longdouble(0.5), {0.5}, dict],
    ids=repr,
)  # fmt: skip
def test_only_real_numbers_stand_in_arrays(value):
    for call in (lambda: tms.SparseFeatures(2, value), lambda: theory.boundary_density(value)):
        with pytest.raises(TypeError, match=r"(density|importance) has dtype .*; expected float32 or float64"):
            call()


def test_rows_of_unequal_lengths_are_no_array():
    for call in (
        lambda: tms.feature_norms([[1.0, 2.0], [3.0]]),
        lambda: tms.forward(([[1.0, 2.0], [3.0]], [[1.0, 2.0], [3.0, 4.0]]), b, x),
    ):
        with pytest.raises(ValueError, match=r"W is no array .*; expected numbers in rows of equal length"):
            call()


def test_what_numpy_cannot_see_is_named_with_the_reason():
    class Parameter:
        def __array__(self, *arguments, **options):
            raise RuntimeError("it requires grad; use detach()")

    with pytest.raises(TypeError, match=r"b is no array: it requires grad; use detach\(\)"):
        tms.forward(W, Parameter(), x)


# ------------------------------------------------------------------------------------------------ samples of one's own


class Pairs(tms.SparseFeatures):
    """Features of one's own, which `train` cannot draw."""

    def sample(self, batch_size, seed=None, dtype="float64"):
        raise AssertionError("never called")


class Named(tms.SparseFeatures):
    """More than SparseFeatures, but no other data."""

    @property
    def mean(self):
        return self.density / 2


@pytest.mark.parametrize("engine", _checks.ENGINES)
def test_a_sample_of_one_s_own_is_not_passed_over(engine):
    with pytest.raises(TypeError, match=r"Pairs has a .?sample.? of its own, which train would not call.*in a loop of"):
        train(features=Pairs(2, 0.5), engine=engine)
    patched = tms.SparseFeatures(2, 0.5)
    object.__setattr__(patched, "sample", lambda *_: x)
    with pytest.raises(TypeError, match=r"SparseFeatures has a .?sample.? of its own"):
        train(features=patched, engine=engine)
    same = train(features=Named(2, 0.5), engine=engine), train(engine=engine)
    np.testing.assert_array_equal(same[0].W, same[1].W)


# --------------------------------------------------------------------------------------------- no argument is left out


def test_more_snapshots_than_states_are_refused():
    assert train(snapshots=3).snapshots.steps.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="snapshots is 4; a run of 2 steps has 3 states"):
        train(snapshots=4)


@pytest.mark.parametrize("call", [train, phase_diagram])
@pytest.mark.parametrize("progress", ["no", 0, 1, [], np.ones(2)])
def test_progress_is_yes_or_no(call, progress):
    with pytest.raises(TypeError, match=r"progress is .*; expected True or False"):
        call(progress=progress)


def test_numpy_s_names_of_a_dtype_mean_the_same():
    for dtype in ("float64", np.float64, np.dtype("float64")):
        assert FEATURES.sample(3, 0, dtype).dtype == train(dtype=dtype).W.dtype == np.float64
    for dtype in (None, "f4", int, np.float16, np.dtype("float32").newbyteorder(), np.ndarray):
        with pytest.raises(ValueError, match=r"dtype is .*; expected one of 'float32', 'float64'"):
            FEATURES.sample(3, 0, dtype)


# ---------------------------------------------------------------------------------------------- numbers without a place


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": tms.SparseFeatures(2, 0.5, 1e39)}, r"importance is 1e\+39 .* expected 1e-15 to 1e\+15"),
        ({"features": tms.SparseFeatures(2, 0.5, 1e20)}, "importance is .*squares of gradients overflow"),
        ({"features": tms.SparseFeatures(2, 0.5, [[1.0], [1e-30]])}, "importance is 1e-30 where it is largest"),
        ({"features": tms.SparseFeatures(2, 0.5, 1e200), "dtype": "float64"}, r"importance is .* 1e-50 to 1e\+50"),
        ({"features": tms.Examples(1e-60 * np.eye(2))}, r"x is 1e-60 .* 3\.16228e-08 to 3\.16228e\+07"),
        ({"features": tms.Examples(1e-25 * np.eye(2))}, "x is 1e-25 where it is largest"),
        ({"features": tms.Examples(-1e20 * np.eye(2))}, r"x is 1e\+20 where it is largest"),
        ({"features": tms.Examples(np.eye(2), target=np.eye(2) * 1e39)}, r"target is 1e\+39 where it is largest"),
        ({"features": tms.Examples(np.eye(2) * 1e30), "dtype": "float64"}, r"x is 1e\+30 .* 1e-25 to 1e\+25"),
        ({"learning_rate": 1e39}, r"learning_rate is 1e\+39 .*the range of float32; float64 has more"),
        ({"learning_rate": 1e-50}, "learning_rate is 1e-50"),
        ({"weight_decay": 1e-50}, "weight_decay is 1e-50"),
        ({"initial": (1e39, 0.0)}, r"initial W is 1e\+39"),
        ({"initial": (0.5, [1e39, 0.0])}, r"initial b is 1e\+39"),
    ],
)
@pytest.mark.parametrize("engine", _checks.ENGINES)
def test_what_has_no_place_in_the_dtype_is_named_before_training(settings, message, engine):
    with pytest.raises(ValueError, match=message):
        train(engine=engine, **settings)


@pytest.mark.parametrize("engine", _checks.ENGINES)
@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"initial": (1e60, 0.0)}, "W"), ({"initial": (0.5, [0.0, -1e60])}, "b"),
        ({"initial": ((0.5, 1e60), 0.0), "tied": False}, "decoder"),
        ({"initial": (1e60, 0.0), "activation": "linear", "n_hidden": 2}, "W"),
        ({"initial": (1e60, 0.0), "features": tms.SparseFeatures(6, 0.5)}, "W"),
    ],
    ids=str,
)  # fmt: skip
def test_initial_weights_of_which_no_loss_could_be_computed_are_named_before_training(settings, name, engine, tmp_path):
    with pytest.raises(ValueError, match=rf"^initial {name} holds 1e\+60; expected at most 1e\+50, or the loss overf"):
        train(engine=engine, dtype="float64", checkpoint=tmp_path / "run", **settings)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("engine", _checks.ENGINES)
def test_so_are_those_of_a_run(engine):
    far = replace(train(restarts=1, dtype="float64"), seed=1, W=np.full((1, 1, 2), -1e60))
    with pytest.raises(ValueError, match=r"^initial W holds 1e\+60; expected at most 1e\+50"):
        train(engine=engine, dtype="float64", initial=far)


def test_importances_at_the_limits_train():
    for dtype, importance in (("float32", 1e15), ("float32", 1e-15), ("float64", 1e50), ("float32", [1.0, 1e-40])):
        run = train(features=tms.SparseFeatures(2, 0.5, importance), dtype=dtype, steps=50, snapshots=2)
        assert np.isfinite(run.loss).all()
        assert np.isfinite(run.W).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"importances": [1.0, 1e39]}, r"importances runs from 1 to 1e\+39; expected every value in \[0, 1e\+15\]"),
        ({"importances": [1e60], "method": "expected", "steps": None}, r"expected every value in \[0, 1e\+50\]"),
        ({"learning_rate": 1e39}, r"learning_rate is 1e\+39"),
        ({"initial": (1e39, 0.0)}, r"initial W is 1e\+39"),
        ({"initial": (1e60, 0.0), "method": "expected", "steps": None}, r"^initial W holds 1e\+60; expected at most"),
        ({"initial": (1.0, 1e60), "method": "expected", "steps": None}, r"^initial b holds 1e\+60; expected at most"),
    ],
)
def test_what_has_no_place_in_a_phase_diagram_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        phase_diagram(**settings)


def test_an_importance_has_a_place_in_the_dtype_of_the_weights():
    single = [array.astype(np.float32) for array in (W, b, x)]
    for call in (tms.loss, tms.backward, tms.loss_and_gradients):
        for importance in (1e39, 1e-50, [1e39, 0.0]):
            with pytest.raises(ValueError, match=r"importance is .*the range of float32; float64 has more"):
                call(*single, importance)
    assert tms.loss(W, b, x, 1e300) == pytest.approx(1e300 * tms.loss(W, b, x))
    for call in (tms.expected_loss, tms.expected_gradients, minimise_expected_loss):
        with pytest.raises(ValueError, match=r"importance holds 1e\+60; expected at most 1e\+50"):
            call(W, b, 0.5, 1e60)


# ------------------------------------------------------------------------------------- what is said of what was given

OVER = 1e50 * (1 + 1e-9)
FIFTHS = np.full(5, 0.2, np.float32)  # whose sum is above 1
CLOSE = {
    "densities": (lambda: tms.expected_loss(FIFTHS[None], FIFTHS, FIFTHS, pattern="at_most_one"), "up to (.*);"),
    "a density": (lambda: tms.SparseFeatures(1, np.nextafter(1, 2)), "holds (.*);"),
    "a rare one": (lambda: tms.SparseFeatures(2, 1e-5 * (1 - 1e-9), pattern="together"), "holds (.*); expected 0 or"),
    "W": (lambda: tms.expected_loss([[OVER, 1.0]], b, 0.5), "holds (.*);"),
    "initial": (lambda: train(dtype="float64", initial=(OVER, 0.0)), "holds (.*);"),
    "importance": (lambda: train(features=tms.SparseFeatures(2, 0.5, 1e15 * (1 + 1e-9))), "importance is (.*) where"),
    "x": (lambda: train(features=tms.Examples([[31_622_801.0]])), "x is (.*) where"),
    "float32": (lambda: train(weight_decay=3.402824e38), "weight_decay is (.*) where"),
    "an axis": (lambda: phase_diagram(densities=[0.5, 1 + 1e-9]), "runs from 0.5 to (.*);"),
    "a file": (lambda: increasing("densities", np.array([0.5, 1 + 1e-9]), 0.0, 1.0), "runs from 0.5 to (.*);"),
    "an attack": (lambda: tms.worst_attack(W, b, x * (1 + 1e-9), 0.1, within=(0, 1)), "runs from .* to (.*);"),
    "a polytope": (lambda: independent(POLYTOPES["digon"], 1 + 1e-9), "density is (.*);"),
}  # fmt: skip


@pytest.mark.parametrize(("call", "said"), CLOSE.values(), ids=CLOSE)
def test_what_is_a_little_too_much_is_not_rounded_to_what_is_allowed(call, said):
    with pytest.raises(ValueError, match=said) as error:
        call()
    text = str(error.value)
    number, rest = re.search(said, text)[1], text[re.search(said, text).end(1) :]
    bounds = [float(found) for found in re.findall(r"\d[\d.]*(?:e[+-]?\d+)?", rest)]
    assert bounds
    assert float(number) not in bounds
    if len(bounds) > 1 and "where it is largest" in text:
        assert not bounds[0] <= float(number) <= bounds[1]


def test_what_does_not_fit_in_memory_by_little_is_not_rounded_to_what_there_is(monkeypatch):
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 2**33 + 2**20, "SC_PAGE_SIZE": 1}.get)
    with pytest.raises(ValueError, match=r"^they need 8\.1 GiB, and this machine has 8\.0 GiB"):
        _checks.memory(2**33 + 2**21, "they")
    _checks.memory(2**33 + 2**20, "they")
