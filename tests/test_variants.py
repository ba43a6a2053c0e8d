"""`train` for every model of the chain and every kind of data: both engines, and nothing that changes a bit."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest

import minitms as tms
from minitms import _checks, _pace, model
from minitms import checkpoint as checkpoints
from minitms.checkpoint import Store
from minitms.draws import HELD_OUT, TRAINING, batch_key

N, DENSITY = 6, np.array([[0.2], [0.5]])
DATA = {  # two models each
    "independent": tms.SparseFeatures(N, DENSITY, 0.9 ** np.arange(N)),
    "rare": tms.SparseFeatures(N, [[0.02], [0.05]]),
    "signed, abs": tms.SparseFeatures(N, DENSITY, signed=True, target="abs"),
    "together": tms.SparseFeatures(N, DENSITY, sets=[0, 0, 0, 1, 1, 1], pattern="together"),
    "at_most_one": tms.SparseFeatures(N, DENSITY, sets=[0, 0, 1, 1, 2, 2], pattern="at_most_one", signed=True),
    "examples": tms.Examples(tms.SparseFeatures(N, DENSITY).sample(37, seed=0), [1, 1, 1, 2, 2, 2]),
    "examples, target": tms.Examples(tms.SparseFeatures(N, DENSITY).sample(37, 0), target=np.full((2, 37, N), 0.3)),
}
CHAINS = [{"hidden": hidden, "tied": tied} for hidden in ("linear", "relu") for tied in (True, False)]
VARIANTS = [
    pytest.param(features, chain, id=f"{name}, {chain['hidden']}, {'tied' if chain['tied'] else 'untied'}")
    for name, features in DATA.items() for chain in CHAINS
]  # fmt: skip
variants = pytest.mark.parametrize(("features", "chain"), VARIANTS)


def trained(features, chain, **options):
    if isinstance(features, tms.SparseFeatures):
        options = {"batch_size": 70} | options
    few = {"steps": 25, "restarts": 2, "seed": 3, "dtype": "float64", "snapshots": [0, 1, 25]}
    return tms.train(features, 3, **few | chain | options)


def parts(W):
    return list(W) if isinstance(W, tms.Weights) else [W]


def arrays(run):
    kept = [*parts(run.snapshots.W), run.snapshots.b] if run.snapshots else []
    return [*parts(run.W), run.b, run.loss, run.history, run.steps, *kept]


def same(first, second):
    """Whether two runs hold the same bits."""
    first, second = arrays(first), arrays(second)
    return len(first) == len(second) and all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))


def batch(features, stream, step, size):
    """Examples and targets of a batch of the first restart."""
    if isinstance(features, tms.Examples):
        return features.x, features.target
    x = features.batch(batch_key(3, stream, np.arange(2), step), size, "float64")
    return x, features.targets(x)


def at(W, *index):
    return tms.Weights(W.encoder[index], W.decoder[index]) if isinstance(W, tms.Weights) else W[index]


# --------------------------------------------------------------------------------------------------- what is trained


@variants
def test_both_engines_train_the_same_models(features, chain):
    fused, readable = (trained(features, chain, engine=engine) for engine in ("numba", "numpy"))
    assert isinstance(fused.W, tms.Weights) != chain["tied"]
    for a, b in zip(arrays(fused), arrays(readable), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@variants
def test_the_first_step_follows_the_gradient_of_the_first_batch(features, chain):
    """Adam's first step is η g / (|g| + ε), with g from `backward` on the batch; and its loss is the first record."""
    run = trained(features, chain)
    x, target = batch(features, TRAINING, 0, 70)
    W, b = at(run.snapshots.W, 0, slice(None), 0), run.snapshots.b[0, :, 0]
    L, dW, db = tms.loss_and_gradients(W, b, x, features.importance, hidden=chain["hidden"], target=target)
    np.testing.assert_allclose(run.history[0, :, 0], L, rtol=1e-12)
    after = [*parts(at(run.snapshots.W, 0, slice(None), 1)), run.snapshots.b[0, :, 1]]
    for w, g, new in zip([*parts(W), b], [*parts(dW), db], after, strict=True):
        np.testing.assert_allclose(new - w, -0.01 * g / (abs(g) + 1e-8), rtol=1e-6, atol=1e-9)


@variants
def test_the_final_loss_is_taken_on_the_fixed_examples_or_on_fresh_ones_or_is_exact(features, chain):
    run = trained(features, chain, steps=5, snapshots=0)
    x, target = batch(features, HELD_OUT, 0, 2**16)
    expected = tms.loss(run.W, run.b, x, features.importance, hidden=chain["hidden"], target=target)
    np.testing.assert_allclose(run.loss, expected, rtol=1e-10)


@variants
def test_the_best_of_the_restarts(features, chain):
    run = trained(features, chain, restarts=5)
    best = run.best()
    assert (best.activation, best.hidden) == (run.activation, run.hidden) == ("relu", chain["hidden"])
    for k in range(2):
        r = min(range(5), key=lambda r, k=k: run.loss[r, k])
        assert best.restart[k] == r
        for ours, all_of_them in zip(parts(best.W), parts(run.W), strict=True):
            assert (ours[k] == all_of_them[r, k]).all()
        for ours, all_of_them in zip(parts(best.snapshots.W), parts(run.snapshots.W), strict=True):
            assert (ours[k] == all_of_them[r, k]).all()
    x = tms.SparseFeatures(N, 0.3).sample(5, seed=0)
    assert tms.forward(best.W, best.b, x, best.activation, hidden=best.hidden).shape == (2, 5, N)


# ----------------------------------------------------------------------------------------------- what changes no bit


@variants
@pytest.mark.parametrize("engine", ["numba", "numpy"])
def test_neither_snapshots_nor_chunks_nor_more_restarts_change_a_bit(features, chain, engine, monkeypatch):
    run = trained(features, chain, engine=engine)
    bare = trained(features, chain, engine=engine, snapshots=0)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(arrays(run), arrays(bare), strict=False))
    more = trained(features, chain, engine=engine, restarts=3)
    assert all((a[:2] == b).all() for a, b in zip(parts(more.W), parts(run.W), strict=True))
    monkeypatch.setattr(_pace, "CHUNK_SECONDS", 0)
    assert same(trained(features, chain, engine=engine), run)


class Killed(BaseException):
    """The end of a process, as seen from inside it: nothing catches it."""


@variants
@pytest.mark.parametrize("engine", ["numba", "numpy"])
def test_a_killed_training_goes_on_to_the_same_bits(features, chain, engine, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "SAVE_EVERY", 0.0)
    monkeypatch.setattr(checkpoints, "SAVE_SHARE", 0)
    monkeypatch.setattr(_pace, "CHUNK_SECONDS", 0)
    save, count = Store.save, iter(range(4))

    def dying(self, name, arrays):
        if next(count, None) is None:
            raise Killed
        save(self, name, arrays)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "save", dying)
        with pytest.raises(Killed):
            trained(features, chain, engine=engine, checkpoint=tmp_path / "run")
    assert same(trained(features, chain, engine=engine, checkpoint=tmp_path / "run"),
                trained(features, chain, engine=engine))  # fmt: skip


@pytest.mark.parametrize("changed", [
    {"chain": {"hidden": "relu", "tied": False}}, {"chain": {"hidden": "linear", "tied": True}}, {"warmup": 3},
    *({"features": features} for name, features in DATA.items() if name != "independent"),
    {"features": tms.SparseFeatures(N, DENSITY, 0.9 ** np.arange(N), signed=True)},
    {"features": tms.SparseFeatures(N, DENSITY, 0.9 ** np.arange(N), target="abs")},
    {"features": tms.SparseFeatures(N, DENSITY, 0.9 ** np.arange(N), pattern="together")},
])  # fmt: skip
def test_a_checkpoint_of_another_variant_is_refused(changed, tmp_path):
    ours = {"features": DATA["independent"], "chain": CHAINS[1]}
    trained(**ours, checkpoint=tmp_path / "run")
    with pytest.raises(ValueError, match="another run"):
        trained(**ours | changed, checkpoint=tmp_path / "run")


@variants
@pytest.mark.parametrize("snapshots", [0, 2])
def test_a_saved_run_loads_as_it_was(features, chain, snapshots, tmp_path):
    run = trained(features, chain, dtype="float32", snapshots=snapshots, warmup=2, weight_decay=0.01)
    run.save(tmp_path / "run.npz")
    loaded = tms.TrainingRun.load(tmp_path / "run.npz")
    assert same(loaded, run)
    assert (repr(loaded), loaded.settings, loaded.hidden) == (repr(run), run.settings, chain["hidden"])
    assert list(loaded.settings) == list(run.settings)
    again = trained(loaded.features, chain, dtype="float32", snapshots=snapshots, warmup=2, weight_decay=0.01)
    assert same(again, run)


# --------------------------------------------------------------------------------------------------------- settings


def test_a_plain_call_takes_the_recipe_of_the_figures():
    signature = inspect.signature(tms.train).parameters
    assert signature["steps"].default == 5000
    run = tms.train(tms.SparseFeatures(3, 0.5), 2, steps=2, seed=9)
    assert run.settings == {
        "activation": "relu", "hidden": "linear", "tied": True, "steps": 2, "batch_size": 1024, "learning_rate": 1e-2,
        "schedule": "cosine", "warmup": 0, "weight_decay": 0.0, "restarts": 8, "seed": 9, "engine": "numba",
        "dtype": "float32",
    }  # fmt: skip
    assert len(run.loss) == 8


def test_a_run_says_how_it_was_made():
    text = repr(trained(DATA["signed, abs"], CHAINS[3], warmup=4))
    assert text.startswith("TrainingRun(2 models x 2 restarts, n=6, m=3, relu, hidden relu, untied, 25 steps, loss ")
    assert "batch_size=70, learning_rate=0.01, schedule='cosine', warmup=4, engine='numba', dtype='float64'" in text


@pytest.mark.parametrize("engine", ["numba", "numpy"])
def test_the_learning_rate_warms_up(engine):
    """Adam's first step is of about the rate: a tenth of it with ten steps to its largest."""
    kept = [trained(DATA["independent"], CHAINS[0], engine=engine, warmup=warmup).snapshots.W for warmup in (0, 10)]
    first, warm = (abs(W[..., 1, :, :] - W[..., 0, :, :]) for W in kept)
    np.testing.assert_allclose(warm, first / 10, rtol=1e-9, atol=1e-15)
    assert (first > 0.009).all()
    trained(DATA["independent"], CHAINS[0], engine=engine, warmup=25)


# ------------------------------------------------------------------------------------------------- from where it starts


@pytest.mark.parametrize("chain", CHAINS)
def test_a_run_is_where_another_one_starts(chain):
    first = trained(DATA["independent"], chain, restarts=3)
    second = trained(DATA["rare"], chain, restarts=None, seed=4, initial=first)
    assert len(second.loss) == 3
    for start, end in zip(parts(at(second.snapshots.W, ..., 0, slice(None), slice(None))), parts(first.W), strict=True):
        assert (start == end).all()
    assert (second.snapshots.b[..., 0, :] == first.b).all()
    assert same(trained(DATA["rare"], chain, restarts=3, seed=4, initial=(first.W, first.b)), second)
    with pytest.raises(ValueError, match=r"seed is 3, that of the initial run, .*give another one"):
        trained(DATA["rare"], chain, restarts=3, initial=first)


def test_the_initial_weights_of_a_pair_are_drawn_apart():
    run = trained(tms.SparseFeatures(N, np.full((40, 1), 0.5)), CHAINS[1], restarts=50, steps=1, snapshots=[0])
    E, D = (W.ravel() / np.sqrt(2 / 9) for W in run.snapshots.W)
    for W in (E, D):
        assert abs((W**2).mean() - 1) <= 5 * np.sqrt(2 / W.size)
    assert abs((E * D).mean()) <= 5 / np.sqrt(E.size)


# --------------------------------------------------------------------------------------- the best constant answer

S = 0.4
CONSTANTS = {  # features and their best constant loss, two of them with importance 1
    "x": (tms.SparseFeatures(2, S), 2 * (S / 3 - S**2 / 4)),
    "signed": (tms.SparseFeatures(2, S, signed=True), 2 * S / 3),
    "abs": (tms.SparseFeatures(2, S, signed=True, target="abs"), 2 * (S / 3 - S**2 / 4)),
    "together": (tms.SparseFeatures(2, S, pattern="together"), 2 * (S / 3 - S**2 / 4)),
    "at_most_one": (tms.SparseFeatures(2, S, pattern="at_most_one"), 2 * (S / 3 - S**2 / 4)),
    "examples": (tms.Examples([[0.0, 1.0], [1.0, 3.0]]), 0.25 + 1),
    "targets": (tms.Examples([[0.0, 1.0], [1.0, 3.0]], target=[[5.0, 5.0], [7.0, 5.0]]), 1.0),
    "negative targets": (tms.Examples(np.ones((2, 1)), target=[[-1.0], [-3.0]]), (1 + 9) / 2),  # y = 0 is the best
}


@pytest.mark.parametrize("hidden", ["linear", "relu"])
@pytest.mark.parametrize(("features", "constant"), CONSTANTS.values(), ids=CONSTANTS)
def test_a_final_loss_is_judged_by_the_best_constant_answer(features, constant, hidden):
    start = np.full((1, features.n), 0.1), 30.0  # far from everything, and too slow to get anywhere
    options = {"hidden": hidden, "steps": 150, "restarts": 1, "seed": 0, "schedule": "constant", "progress": False}
    with pytest.raises(tms.DivergenceError, match="best constant answer") as error:
        tms.train(features, 1, **options, initial=start)
    found = float(re.search(r"constant answer, ([\d.]+)", str(error.value))[1])
    assert found == pytest.approx(constant, rel=0.03)


@pytest.mark.parametrize("pair", [
    (0.5, 0.25), (np.full(N, 0.5), 0.25), ([0.5] * N, np.full((3, N), 0.25)), (0.5, np.full((2, 1, 1, N), 0.25)),
    tms.Weights(0.5, [[0.25]] * 3),
])  # fmt: skip
def test_the_parts_of_an_untied_start_broadcast(pair):
    options = {"steps": 5, "restarts": 2, "seed": 0, "tied": False, "snapshots": [0]}
    start = tms.train(DATA["independent"], 3, initial=(pair, 0.0), **options).snapshots.W
    for part, value in zip(start, (0.5, 0.25), strict=True):
        assert part.shape[-2:] == (3, N)
        assert (part == value).all()


# --------------------------------------------------------------------------------------------------------- bad input

E, D = np.ones((3, N)), np.zeros((3, N))


@pytest.mark.parametrize(("wrong", "error", "message"), [
    ({"initial": (E, 0.0), "tied": False}, ValueError, r"tied is False, so .* a pair .*; got ndarray"),
    ({"initial": ((E, D), 0.0)}, ValueError, r"tied is True, so the initial weights are one array W; got Weights"),
    ({"initial": ([E, D], 0.0), "tied": False}, ValueError, r"a pair \(encoder, decoder\), a tuple; got list"),
    ({"initial": ((E, D, D), 0.0), "tied": False}, ValueError, r"a pair \(encoder, decoder\), a tuple; got tuple"),
    ({"initial": ((E, D.T), 0.0), "tied": False}, ValueError, r"initial decoder has shape \(6, 3\); .*\(1, 2, 3, 6\)"),
    ({"initial": ((E[:2], D), 0.0), "tied": False}, ValueError, r"initial encoder has shape \(2, 6\); .*\(1, 2, 3, 6"),
    ({"initial": ((E, D * np.nan), 0.0), "tied": False}, ValueError, "initial decoder holds nan"),
    ({"initial": (E, 0.0), "tied": False}, ValueError, "tied is False, so the initial weights are a pair"),
    ({"initial": tms.Weights(E, D), "tied": False}, TypeError, r"expected \(\(encoder, decoder\), b\)"),
    ({"tied": 0}, TypeError, "tied is 0; expected True or False"),
    ({"hidden": "tanh"}, ValueError, "hidden is 'tanh'; expected one of 'linear', 'relu'"),
    ({"hidden": True}, ValueError, "hidden is True; expected one of"),
    ({"warmup": -1}, ValueError, "warmup is -1; expected at least 0"), ({"warmup": 2.0}, TypeError, r"warmup is 2\.0"),
    ({"warmup": 31}, ValueError, "warmup is 31; expected at most steps, 30"),
    ({"features": DATA["examples"], "batch_size": 38}, ValueError, "batch_size is 38; fixed examples .*all 37"),
    ({"features": DATA["examples"], "batch_size": 36}, ValueError, "batch_size is 36; fixed examples .*leave it out"),
    ({"features": DATA["examples"], "batch_size": 0}, ValueError, "batch_size is 0; expected at least 1"),
    ({"features": np.ones((5, N))}, TypeError, r"expected SparseFeatures\(n, density, importance\) or Examples\(x\)"),
    ({"executor": 3}, TypeError, "executor is 3; expected a concurrent.futures.Executor"),
])  # fmt: skip
def test_bad_arguments(wrong, error, message):
    options = {"features": DATA["independent"], "n_hidden": 3, "steps": 30, "restarts": 1, "seed": 0}
    with pytest.raises(error, match=message):
        tms.train(**options | wrong)


def test_the_batch_size_of_examples_may_be_said():
    assert trained(DATA["examples"], CHAINS[0], batch_size=37).settings["batch_size"] == 37


def test_examples_of_one_s_own_class_that_change_are_refused():
    class Changing(tms.Examples):
        def mean_target(self):
            raise AssertionError("never called")

    with pytest.raises(TypeError, match="Changing has a 'mean_target' of its own"):
        trained(Changing(np.ones((4, N))), CHAINS[0])


def test_examples_are_a_copy():
    x = np.ones((4, N))
    examples = tms.Examples(x)
    x[:] = 7
    assert (examples.x == 1).all()


def test_examples_that_do_not_fit_in_memory_are_refused_before_any_work():
    for x in (np.broadcast_to(0.5, (10**12, 3)), np.broadcast_to(1, (10**12, 3))):
        with pytest.raises(ValueError, match=r"examples x of shape \(1000000000000, 3\) need [\d,.]+ GiB"):
            tms.Examples(x)


def test_a_function_of_ones_own(monkeypatch, tmp_path):
    """A softplus in the three places that README names: checked, trained and scored without a line of Numba."""
    softplus, slope = (lambda z: np.logaddexp(0, z)), (lambda z: 1 / (1 + np.exp(-z)))
    monkeypatch.setitem(model.ACTIVATIONS, "softplus", softplus)
    monkeypatch.setitem(model.SLOPES, "softplus", slope)
    monkeypatch.setattr(_checks, "ACTIVATIONS", (*_checks.ACTIVATIONS, "softplus"))
    words = {"activation": "softplus", "hidden": "softplus"}
    features = tms.SparseFeatures(2, 0.3)  # so few that a model with a ReLU would be scored exactly
    run = tms.train(features, 2, steps=50, restarts=2, seed=0, engine="numpy", dtype="float64", **words)
    best, x = run.best(), features.sample(2**16, seed=1)
    assert abs(best.loss - tms.loss(best.W, best.b, x, **words)) < 0.03 * best.loss
    assert abs(best.loss - tms.loss(best.W, best.b, x, hidden="softplus")) > 0.1 * best.loss
    few = x[:20]
    tms.testing.check_grad(lambda W: tms.loss(W, best.b, few, **words),
                           lambda W: tms.backward(W, best.b, few, **words)[0], best.W)  # fmt: skip
    for name in words:  # before anything is written
        with pytest.raises(ValueError, match=f"{name} is 'softplus'; expected one of 'linear', 'relu'"):
            tms.train(features, 2, steps=10**6, seed=0, checkpoint=tmp_path / name, **{name: "softplus"})
    with pytest.raises(ValueError, match="activation is 'softplus'; expected one of"):
        tms.phase_diagram([0.5], [1.0], activation="softplus", seed=0, checkpoint=tmp_path / "diagram")
    assert not list(tmp_path.iterdir())
