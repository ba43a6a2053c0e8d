"""The explorer's numerics, a third voice in JavaScript, held to minitms in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import minitms as tms
from minitms import adam, polytopes, theory
from minitms.draws import batch_key, last_words, normals, uniforms
from tests.browser import chromium

MODELS = 200
TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}
VARIANTS = list(itertools.product(("linear", "relu"), ("linear", "relu"), (True, False), ("x", "abs")))


@pytest.fixture(scope="module")
def page():
    with chromium() as browser:
        browser.open()
        yield browser
        assert browser.log() == []


def close(got, expected):
    np.testing.assert_allclose(np.asarray(got, float), np.asarray(expected, float), **TOLERANCE)


def numbers(array):
    return np.asarray(array).ravel().tolist()


# --------------------------------------------------------------------------------------------------------------- draws


def test_keys_uniforms_and_normals(page):
    rng = np.random.default_rng(0)
    cases = [(int(seed), int(stream), int(model), int(step))
             for seed, stream, model, step in zip(rng.integers(2**63, size=MODELS), rng.integers(3, size=MODELS),
                                                  rng.integers(2**40, size=MODELS), rng.integers(2**40, size=MODELS),
                                                  strict=True)]  # fmt: skip
    got = page.run(
        """return cases.map((case_) => { const key = tms.batchKey(...case_.map(BigInt));
             return [String(key), [...tms.uniforms(key, 9)], [...tms.normals(key, 9)]]; })""",
        cases=[[str(value) for value in case] for case in cases],
    )
    for (seed, stream, model, step), (key, u, z) in zip(cases, got, strict=True):
        expected = batch_key(seed, stream, np.array(model), step)
        assert int(key) == int(expected)
        assert u == uniforms(expected, 9, 1, "float64").ravel().tolist()
        close(z, normals(expected, 9))


@pytest.mark.parametrize("probability", [0.0, 1e-9, 0.0003, 0.015])
def test_the_words_at_which_a_gap_ends(page, probability):
    """The last word of a gap and those beside it, of which a batch has hardly ever one."""
    last = last_words(np.array(probability))
    words = [int(word) + shift for word in last[[0, 1, 7, 100, 255]].tolist() for shift in (-1, 0, 1)]
    words = [word for word in words if word < 2**32]
    got = page.run(
        """const last = tms.lastWords(probability);
           return [[...last], words.map((word) => tms.gap(word, last))]""",
        probability=probability, words=words,
    )  # fmt: skip
    assert got == [last.tolist(), [int((word <= last).sum()) for word in words]]


@pytest.mark.parametrize("signed", [False, True])
def test_batches_are_the_same_bits(page, signed):
    rng = np.random.default_rng(1)
    for seed in range(MODELS // 10):
        n = int(rng.integers(1, 7))
        density = rng.choice([0.0, 1e-9, 0.003, 0.015, 1 / 64, 0.05, 0.25, 0.7, 1.0, rng.uniform()], size=n)
        expected = tms.SparseFeatures(n, density, signed=signed).sample(600, seed=seed)
        got = page.run(
            """const features = new tms.SparseFeatures({n, density, importance: density, signed});
               return [...features.batch(tms.batchKey(seed, 0, 0, 0), 600)]""",
            n=n, density=density.tolist(), signed=signed, seed=seed,
        )  # fmt: skip
        assert got == numbers(expected)


# --------------------------------------------------------------------------------------------- loss, gradient, training


def random_models(hidden, activation, tied, target):
    """What minitms says of random models: arguments for the page, and the answers."""
    rng = np.random.default_rng(VARIANTS.index((hidden, activation, tied, target)))
    for _ in range(MODELS):
        m, n, batch = (int(size) for size in rng.integers(1, [5, 7, 9]))
        E, D = rng.normal(size=(2, m, n))
        b, importance = rng.normal(size=n), rng.uniform(0, 2, n)
        x = rng.uniform(-1, 1, (batch, n)) * (rng.uniform(size=(batch, n)) < rng.uniform(0.1, 1))
        t = abs(x) if target == "abs" else x
        W = E if tied else (E, D)
        words = {"hidden": hidden, "target": t}
        L, dW, db = tms.loss_and_gradients(W, b, x, importance, activation, **words)
        _, (encode, decode), _ = tms.loss_and_gradients((E, E) if tied else W, b, x, importance, activation, **words)
        y = tms.forward(W, b, x, activation, hidden=hidden)
        row = np.concatenate([np.ravel(dW) if tied else np.concatenate([dW[0].ravel(), dW[1].ravel()]), db])
        theta = np.concatenate([E.ravel(), b] if tied else [E.ravel(), D.ravel(), b])
        model = {"shape": {"n": n, "m": m, "activation": activation, "hidden": hidden, "tied": tied},
                 "theta": theta.tolist(), "x": numbers(x), "t": numbers(t), "importance": importance.tolist()}
        yield model, [L, *(importance * (y - t) ** 2).mean(axis=0), *encode.ravel(), *decode.ravel(), *db, *row]


@pytest.mark.parametrize(("hidden", "activation", "tied", "target"), VARIANTS)
def test_loss_and_gradient(page, hidden, activation, tied, target):
    models, expected = zip(*random_models(hidden, activation, tied, target), strict=True)
    got = page.run(
        """const row = Float64Array.from.bind(Float64Array);
           return models.map(({shape, theta, x, t, importance}) => {
             const model = tms.modelOf(row(theta), shape);
             const found = tms.lossAndGradients(model, row(x), row(t), importance);
             return [found.loss, ...found.parts, ...found.encode, ...found.decode, ...found.db,
                     ...tms.gradientRow(model, found)]; })""",
        models=models,
    )
    for one, other in zip(got, expected, strict=True):
        close(one, other)


@pytest.mark.parametrize(("hidden", "activation", "tied", "target"), VARIANTS)
def test_training(page, hidden, activation, tied, target):
    """Initial weights, draws, gradients, Adam's steps and the schedule at once: 200 restarts with their own data."""
    signed, steps = target == "abs", 6
    features = tms.SparseFeatures(4, [0.6, 0.3, 0.01, 0.9], [1, 0.5, 2, 0.7], signed=signed, target=target)
    run = tms.train(features, 2, activation, hidden=hidden, tied=tied, steps=steps, batch_size=16, restarts=MODELS,
                    seed=7, engine="numpy", dtype="float64", progress=False)  # fmt: skip
    got = page.run(
        """const features = new tms.SparseFeatures({n: 4, density, importance, signed});
           const training = new tms.Training({features, m: 2, hidden, activation, tied, target, steps, batch: 16,
                                              restarts, seed: 7});
           for (let t = 0; t < steps; t++) training.step();
           return training.models.map(({model, history}) => [[...model.E, ...model.D, ...model.b], history])""",
        hidden=hidden, activation=activation, tied=tied, target=target, signed=signed, steps=steps, restarts=MODELS,
        density=features.density.tolist(), importance=features.importance.tolist(),
    )  # fmt: skip
    for k, (weights, history) in enumerate(got):
        E, D = (run.W[k], run.W[k]) if tied else (run.W[0][k], run.W[1][k])
        close(weights, [*E.ravel(), *D.ravel(), *run.b[k]])
        close(history, run.history[k])


def test_adam_alone(page):
    rng = np.random.default_rng(2)
    w, g = rng.normal(size=50), rng.normal(size=(MODELS, 50)) * 10.0 ** rng.integers(-6, 3, (MODELS, 50))
    steps = adam.steps(adam.learning_rates("cosine", 1e-2, MODELS), 0, MODELS, "float64")
    expected, m, v = w.copy(), np.zeros(50), np.zeros(50)
    for gradient, *step in zip(g, *steps, strict=True):
        expected, m, v = adam.rule(expected, gradient, m, v, adam.Step(*step), adam.constants(0.0, "float64"))
    got = page.run(
        """const adam = new tms.Adam(w.length);
           g.forEach((gradient, t) => adam.step(w, gradient, tms.cosineRate(1e-2, t, g.length)));
           return w""",
        w=w.tolist(), g=g.tolist(),
    )  # fmt: skip
    close(got, expected)


def test_the_best_restart_is_scored_as_minitms_scores_it(page):
    features = tms.SparseFeatures(5, 0.05)
    run = tms.train(features, 2, steps=100, restarts=3, seed=4, dtype="float64", progress=False)
    got = page.run(
        """const features = new tms.SparseFeatures({n: 5, density: Array(5).fill(0.05), importance: Array(5).fill(1)});
           const training = new tms.Training({features, m: 2, steps: 100, restarts: 3, seed: 4});
           while (!training.done) training.step();
           return [training.models.map(({loss}) => loss), training.best()]"""
    )
    np.testing.assert_allclose(got[0], run.loss, rtol=1e-9)  # the other engine, whose sums run in another order
    assert got[1] == int(run.best().restart)


# ------------------------------------------------------------------------------------- exact losses, theory, geometry


@pytest.mark.parametrize("pattern", ["independent", "together"])
def test_exact_loss_of_one_neuron(page, pattern):
    rng = np.random.default_rng(3)
    x, s, r = 0.8 * rng.normal(size=(MODELS, 4)), rng.uniform(size=MODELS), rng.uniform(0, 3, MODELS)
    x[:5, 1] = 0  # a feature that is dropped
    importance = np.stack([np.ones(MODELS), r], axis=-1)
    arguments = x[:, None, :2], x[:, 2:], np.repeat(s[:, None], 2, axis=1), importance, "relu", pattern
    L, (dW, db) = tms.expected_loss(*arguments), tms.expected_gradients(*arguments)
    got = page.run(
        """return x.map((model, k) => { const found = tms.expectedPair(model, s[k], r[k], together);
             return [found.loss, ...found.gradient]; })""",
        x=x.tolist(), s=s.tolist(), r=r.tolist(), together=pattern == "together",
    )  # fmt: skip
    close(got, np.concatenate([L[:, None], dW[:, 0], db], axis=1))


@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_exact_loss_of_features_that_come_alone(page, activation):
    rng = np.random.default_rng(4)
    for _ in range(MODELS // 4):
        m, n = (int(size) for size in rng.integers(1, [4, 7]))
        W, b, importance = rng.normal(size=(m, n)), 0.5 * rng.normal(size=n), rng.uniform(0, 2, n)
        density = rng.dirichlet(np.ones(n + 1))[:n]
        arguments = W, b, density, importance, activation, "at_most_one"
        dW, db = tms.expected_gradients(*arguments)
        got = page.run(
            """const model = tms.modelOf(Float64Array.from(theta), {n, m, activation});
               const found = tms.expectedAlone(model, density, importance);
               return [found.loss, found.parts.reduce((a, b) => a + b), ...found.db,
                       ...found.encode.map((value, p) => value + found.decode[p])]""",
            theta=[*W.ravel(), *b], n=n, m=m, activation=activation, density=density.tolist(),
            importance=importance.tolist(),
        )  # fmt: skip
        L = float(tms.expected_loss(*arguments))
        close(got, [L, L, *db, *dW.ravel()])


@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_exact_loss_of_independent_features(page, activation):
    """Loss, the part of each feature, and the gradient by either path; some densities 0 or 1, some features dropped."""
    rng = np.random.default_rng(11)
    for k in range(MODELS // 4):
        m, n = int(rng.integers(1, 4)), int(rng.integers(1, 6 if activation == "relu" else 10))
        W, b, importance = rng.normal(size=(m, n)), 0.5 * rng.normal(size=n), rng.uniform(0, 2, n)
        density = rng.choice([0.0, 1.0, *rng.uniform(size=6)], size=n)
        W[:, 0] *= k % 5 > 0
        arguments = W, b, density, importance, activation
        dW, db = tms.expected_gradients(*arguments)
        parts = tms.expected_loss(W, b, density, np.diag(importance), activation)
        got = page.run(
            """const model = tms.modelOf(Float64Array.from(theta), {n, m, activation});
               const found = tms.expectedIndependent(model, density, importance);
               return [[found.loss, ...found.parts, ...found.db], [...found.encode], [...found.decode]]""",
            theta=[*W.ravel(), *b], n=n, m=m, activation=activation, density=density.tolist(),
            importance=importance.tolist(),
        )  # fmt: skip
        close(got[0], [tms.expected_loss(*arguments), *parts, *db])
        encode, decode = np.reshape(got[1:], (2, m, n))
        close(encode + decode, dW)
        close([encode, decode], paths(*arguments))


def paths(W, *others):
    """The gradient's two paths, of the gradients of each output's part of the loss.

    With G_ij the derivative of part i by W_i · W_j: its gradient by W_j is G_ij W_i, encoder's path, and that by W_i is
    the sum over j of G_ij W_j, decoder's path, and G_ii W_i once more, encoder's.
    """
    b, density, importance, activation = others
    parts = tms.expected_gradients(W, b, density, np.diag(importance), activation)[0]
    encode, decode = np.zeros_like(W), np.zeros_like(W)
    for i, part in enumerate(parts):
        rest = np.arange(W.shape[1]) != i
        length = W[:, i] @ W[:, i]
        G = W[:, i] @ part / length if length else np.zeros(W.shape[1])
        own = (part[:, i] - W[:, rest] @ G[rest]) / 2 if length else np.zeros(len(W))
        encode[:, rest] += part[:, rest]
        encode[:, i] += own
        decode[:, i] += part[:, i] - own
    return encode, decode


def test_which_losses_are_exact(page):
    """Those of which minitms has an exact form, too; and none of those behind a hidden ReLU."""
    for n, activation, hidden in itertools.product((1, 5, 6, 12), ("linear", "relu"), ("linear", "relu")):
        got = page.run("return tms.isExact({n, activation, hidden})", n=n, activation=activation, hidden=hidden)
        try:
            tms.expected_loss(np.ones((2, n)), np.zeros(n), 0.1, activation=activation)
            served = True
        except ValueError:
            served = False
        assert got == (served and hidden == "linear")


def test_downhill_ends_in_the_minimum_that_newton_finds(page):
    rng = np.random.default_rng(5)
    s, r = rng.uniform(0.05, 0.95, 40), rng.uniform(0.2, 4, 40)
    got = page.run(
        """return s.map((density, k) => Math.min(...[
             [1, -0.05, 0, density / 2], [-0.05, 1, density / 2, 0], [1, -1, 0, 0],
           ].map((start) => tms.descend((x) => tms.expectedPair(x, density, r[k]), start).loss)))""",
        s=s.tolist(), r=r.tolist(),
    )  # fmt: skip
    for loss, density, importance in zip(got, s, r, strict=True):
        least = tms.phase_diagram([density], [importance], method="expected", restarts=64, seed=0).best().loss[0, 0]
        assert least * (1 - 1e-9) <= loss <= theory.configuration_losses(density, importance).min() * (1 + 1e-9)
        assert loss <= least * 1.002  # the spike beside r = 1 has minima that lie close together


def test_theory(page):
    s, r = np.random.default_rng(6).uniform(0, [[1], [5]], (2, MODELS))
    got = page.run(
        """return s.map((density, k) =>
             [...Object.values(tms.configurationLosses(density, r[k])), tms.boundaryDensity(r[k])])""",
        s=s.tolist(), r=r.tolist(),
    )  # fmt: skip
    close(got, np.vstack([theory.configuration_losses(s, r), theory.boundary_density(r)]).T)
    W = 1.2 * np.random.default_rng(7).normal(size=(MODELS, 1, 2)) * np.array([1, 0.2])
    assert page.run("return w.map(tms.classify)", w=W[:, 0].tolist()) == tms.classify(W).tolist()


def test_geometry(page):
    rng = np.random.default_rng(8)
    for _ in range(MODELS // 4):
        m, n = (int(size) for size in rng.integers(1, [6, 9]))
        W = rng.normal(size=(m, n)) * (rng.uniform(size=n) < 0.8)
        got = page.run(
            """const row = Float64Array.from(W);
               return ["featureNorms", "interference", "dimensionality"].map((name) => [...tms[name](row, n)])""",
            W=numbers(W), n=n,
        )  # fmt: skip
        close(got, [tms.feature_norms(W), tms.interference(W), tms.dimensionality(W)])


def named(page, W):
    """The names that the page gives to the features of W, (m, n)."""
    return page.run("return tms.featurePolytopes(tms.gram(Float64Array.from(W), n), n)", W=numbers(W), n=W.shape[1])


def some_clusters(rng, spread):
    """The package's polytopes side by side in one space, turned, in any order, each bent a little and of its length."""
    columns, rows, parts = 0, 0, []
    for shape in polytopes.POLYTOPES.values():
        parts.append(rng.uniform(0.6, 1.3) * (shape + spread * rng.normal(size=shape.shape)))
        rows, columns = rows + shape.shape[0], columns + shape.shape[1]
    W, row, column = np.zeros((rows, columns + 3)), 0, 0
    for part in parts:
        W[row : row + part.shape[0], column : column + part.shape[1]] = part
        row, column = row + part.shape[0], column + part.shape[1]
    W[:, columns:] = 0.05 * rng.normal(size=(rows, 3))  # and three features that are too short
    return np.linalg.qr(rng.normal(size=(rows, rows)))[0] @ W[:, rng.permutation(columns + 3)]


def test_features_have_the_names_that_minitms_gives_them(page):
    """Polytopes bent so much that some lose their name: which do, is the same."""
    rng, seen = np.random.default_rng(9), []
    for spread in np.repeat([0.01, 0.03, 0.06, 0.1], MODELS // 20):
        W = some_clusters(rng, spread)
        expected = tms.feature_polytopes(W).tolist()
        assert named(page, W) == expected
        seen += expected
    assert {*polytopes.POLYTOPES, "other", ""} == set(seen)


@pytest.mark.parametrize("k", [2, 3, 4, 5, 6, 8])
def test_polygons_and_flat_shapes_have_the_names_that_minitms_gives_them(page, k):
    """By how many features share how many dimensions, a square would be a tetrahedron and an octagon an antiprism."""
    for W in (polytopes.polygon(k), np.vstack([polytopes.polygon(k), np.full(k, 0.5)])):
        assert named(page, W) == tms.feature_polytopes(W).tolist()


def test_corners_in_three_dimensions_keep_their_products(page):
    """What turns is the cluster itself, seen along its own axes."""
    rng = np.random.default_rng(10)
    for name, shape in polytopes.POLYTOPES.items():
        W = np.linalg.qr(rng.normal(size=(8, 8)))[0][:, : len(shape)] @ shape
        got = page.run("return tms.widest(Float64Array.from(W), n, [...Array(n).keys()])",
                       W=numbers(W), n=W.shape[1])  # fmt: skip
        assert got["dimensions"] == len(shape), name
        close(np.array(got["corners"]) @ np.transpose(got["corners"]), shape.T @ shape)
