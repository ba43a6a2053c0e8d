"""The explorer's panels, driven by mouse and keyboard: what they show is what minitms says."""

from __future__ import annotations

import re

import numpy as np
import pytest

import minitms as tms
from minitms.expected import minimise_expected_loss
from tests.browser import chromium


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser):
    """The page, just opened; nothing that a test does may leave a word in its console."""
    browser.open()
    yield browser
    assert browser.log() == []


# -------------------------------------------------------------------------------------------------------------- train


def test_train_ends_in_the_pentagon_with_every_seed(page):
    for seed in range(3):
        page.wait("tms.panels.train.training.done && tms.panels.train.training.seed === seed", seed=seed)
        assert "a regular pentagon: 5 features, 72° apart" in page.text("#train .status")
        W = page.run("const {training} = tms.panels.train; return [...training.models[training.best()].model.D]")
        W = np.reshape(W, (2, 5))
        angles = np.sort(np.degrees(np.arctan2(W[1], W[0])))
        assert abs(np.diff(angles, append=angles[0] + 360) - 72).max() < 2
        assert abs(tms.dimensionality(W) - 0.4).max() < 0.01
        page.run("[...document.querySelectorAll('#train button')].find((b) => b.textContent === 'Next seed').click()")


@pytest.mark.parametrize(("interval", "slow", "frames"), [
    (10, 0, 150),     # steps that take no time: a run is shown for a second and a half ...
    (50, 0, 30),      # ... also where frames are rare
    (10, 1, 200),     # steps of a millisecond: half of each frame, which is 5 of the 1,000
    (100, 1, 20),     # and 50 of a long one
    (1000, 1, 20),    # a frame after a break counts as one of a tenth of a second
    (10, 30, 1000),   # steps longer than a frame: one each
])  # fmt: skip
def test_train_keeps_pace_with_the_clock(page, interval, slow, frames):
    """How many frames a run takes, with a clock that stands still but for the steps."""
    got = page.run(
        """const panel = tms.panels.train;
           panel.wake = () => {}; panel.toggle(); panel.restart(); // no frames but those below
           let clock = 0, frames = 0;
           performance.now = () => clock;
           panel.training.step = function () { clock += slow; this.t++; };
           panel.before = 0;
           while (!panel.training.done) panel.frame(++frames * interval);
           return frames""",
        interval=interval, slow=slow,
    )  # fmt: skip
    assert got == frames


def test_train_marks_the_best_and_shows_the_one_that_is_pressed(page):
    page.wait("tms.panels.train.training.done")
    losses = page.run("return tms.panels.train.training.models.map(({loss}) => loss)")
    strip = page.driver.find_elements("css selector", "#train .strip button")
    best = int(np.argmin(losses))
    assert [k for k, one in enumerate(strip) if "best" in one.get_attribute("class")] == [best]
    other = int(np.argmax(losses))
    strip[other].click()
    assert f"Restart {other}: " in page.text("#train .status")
    assert strip[other].get_attribute("aria-pressed") == "true"
    np.testing.assert_allclose(page.in_python()["W"], page.run(
        "const {model} = tms.panels.train.training.models[k]; return [[...model.D.slice(0, 5)], [...model.D.slice(5)]]",
        k=other), atol=1e-6)  # fmt: skip


def test_train_by_keyboard(page):
    """Sliders, choices and buttons, without a mouse; and a run that is stopped on its way goes to Python as it is."""
    first = "#train .controls label:nth-child({}) {}"
    page.press(first.format(1, "input"), "ARROW_RIGHT")
    assert page.run("return tms.panels.train.training.features.n") == 6
    page.press(first.format(8, "select"), "5")
    page.press(first.format(5, "input"), *["ARROW_LEFT"] * 5)
    page.wait("tms.panels.train.training.steps === 5000 && tms.panels.train.training.t > 40")
    page.press("#train .buttons button", "SPACE")
    assert "Paused after step" in page.text("#train .status")
    t, W = page.run(
        "const {training, shown} = tms.panels.train; return [training.t, [...training.models[shown].model.D]]"
    )
    assert 40 < t < 5000
    np.testing.assert_allclose(np.ravel(page.in_python()["W"]), W, atol=1e-6)
    page.press("#train .buttons button", "SPACE")
    page.wait("tms.panels.train.training.t > t", t=t)


@pytest.mark.parametrize(("written", "taken"), [("7", 7), ("-3", 0), ("2.9", 2), ("", 0), ("1e99", 2**31)])
def test_train_takes_a_seed_or_puts_it_right(page, written, taken):
    page.run("const {seed} = tms.panels.train; seed.value = written; seed.dispatchEvent(new Event('change'))",
             written=written)
    got = page.run("const {seed, training} = tms.panels.train; return [seed.value, training.seed]")
    assert got == [str(taken), taken]


@pytest.mark.parametrize(("choices", "n"), [
    ({"m": "3"}, 7), ({"hidden": "relu"}, 4), ({"activation": "linear"}, 5), ({"m": "3", "hidden": "relu"}, 12)
])  # fmt: skip
def test_train_other_models_and_take_them_to_python(page, choices, n):
    page.run(
        """const panel = tms.panels.train;
           panel.n.set(n); panel.decay.set(0.8); panel.density.set(0.1); panel.restarts.set(2);
           for (const [name, value] of Object.entries(choices)) panel[name].set(value); panel.restart()""",
        choices=choices, n=n,
    )  # fmt: skip
    page.wait("tms.panels.train.training.done")
    run = page.in_python()["run"]
    W, losses = page.run(
        """const {models} = tms.panels.train.training;
           return [models.map(({model}) => [...model.D]), models.map(({loss}) => loss)]"""
    )
    np.testing.assert_allclose(run.W.reshape(2, -1), W, atol=1e-5)  # a thousand steps in another order of sums
    if choices.get("activation") != "linear":  # of which minitms knows the exact loss
        np.testing.assert_allclose(run.loss, losses, rtol=1e-5)


# --------------------------------------------------------------------------------------------------------------- drag


def theta(page):
    return np.array(page.run("return [...tms.panels.drag.theta]"))


def handle(page, i):
    return page.place(f"#drag .handle:nth-child({i + 1}) circle")


def test_drag_by_mouse(page):
    """The feature goes where the hand does, nothing else moves; let go, and it runs downhill."""
    page.show("drag")
    page.run("tms.panels.drag.release.checked = false; tms.panels.drag.polygon()")
    page.wait("!tms.panels.drag.dirty")
    before = theta(page)
    x, y = handle(page, 2)
    unit = page.run("return document.querySelector('#drag .drag').getBoundingClientRect().width") / 3.2
    page.mouse((x, y), (x + 20, y + 10), (x + 60, y + 30))
    page.wait("tms.panels.drag.held === null && !tms.panels.drag.dirty")
    moved = theta(page) - before
    np.testing.assert_allclose(moved[[2, 7]], [60 / unit, -30 / unit], atol=2 / unit)
    assert not moved[[0, 1, 3, 4, 5, 6, 8, 9]].any()
    lost = page.run("return tms.panels.drag.evaluate().loss")
    page.run("tms.panels.drag.release.checked = true")
    x, y = handle(page, 2)
    page.mouse((x, y), (x + 10, y))
    page.wait("tms.panels.drag.descent === null && !tms.panels.drag.dirty && tms.panels.drag.held === null")
    page.wait("tms.panels.drag.evaluate().loss < lost / 2", lost=lost)
    assert "a regular pentagon" in page.text("#drag .status")


def test_drag_by_finger(page):
    """A feature goes with the finger; the page does not scroll under it, and elsewhere it does."""
    page.open(width=400, height=800)
    page.show("drag")
    page.run("tms.panels.drag.release.checked = false; tms.panels.drag.polygon()")
    page.wait("!tms.panels.drag.dirty")
    x, y = handle(page, 1)
    before, unit = theta(page), page.run("return document.querySelector('#drag .drag').clientWidth") / 3.2
    scrolled = page.run("return scrollY")
    page.finger((x, y), (x + 5, y + 20), (x + 10, y + 60))
    page.wait("tms.panels.drag.held === null && !tms.panels.drag.dirty")
    np.testing.assert_allclose((theta(page) - before)[[1, 6]], [10 / unit, -60 / unit], atol=2 / unit)
    assert page.run("return scrollY") == scrolled


def test_drag_by_keyboard(page):
    page.show("drag")
    page.wait("document.querySelector('#drag .handle')")
    before = theta(page)
    page.press("#drag .handle:nth-child(4)", "ARROW_RIGHT", "ARROW_RIGHT", "ARROW_UP")
    np.testing.assert_allclose((theta(page) - before)[[3, 8]], [0.04, 0.02], atol=1e-12)
    page.wait("!tms.panels.drag.dirty")
    assert "feature 3 at" in page.find("#drag .handle:nth-child(4)").get_attribute("aria-label")
    page.press("#drag .handle:nth-child(4)", "ENTER")
    page.wait("tms.panels.drag.descent")
    page.wait("!tms.panels.drag.descent")


@pytest.mark.parametrize("data", ["exact", "batch", "one"])
@pytest.mark.parametrize("paths", ["sum", "apart"])
def test_drag_draws_the_gradient_that_minitms_has(page, data, paths):
    """Each arrow begins at its feature, and points where minus the gradient does, longer by the factor it names."""
    page.show("drag")
    page.run(
        """const {drag} = tms.panels; drag.restart(); drag.decay.set(0.8); drag.paths.set(paths); drag.data.set(data);
           drag.data.input.dispatchEvent(new Event("change"))""",
        data=data, paths=paths,
    )  # fmt: skip
    page.wait("!tms.panels.drag.dirty")
    arrows = page.run(
        """return [...document.querySelectorAll('#drag .drag path[stroke]')].map((path) => path.getAttribute('d'))
             .map((d) => d.match(/-?[\\d.]+/g).slice(0, 4).map(Number))"""
    )
    W = theta(page)[:10].reshape(2, 5)
    names = page.in_python()
    np.testing.assert_allclose(names["L"], page.run("return tms.panels.drag.evaluate().loss"), atol=1e-5)
    if paths == "sum":
        slopes = names["dW"]
    elif data == "batch":
        slopes = np.hstack([names["encode"], names["decode"]])
        np.testing.assert_allclose(names["encode"] + names["decode"], names["dW"], atol=1e-12)
    elif data == "exact":  # whose paths the tests of the numerics hold to those of minitms
        slopes = page.run("const found = tms.panels.drag.evaluate(); return [...found.encode, ...found.decode]")
        slopes = np.hstack(np.reshape(slopes, (2, 2, 5)))
        np.testing.assert_allclose(slopes[:, :5] + slopes[:, 5:], names["dW"], atol=1e-5)
    else:  # one feature on at a time, at places so close that the mean is the integral
        x = np.concatenate([(np.arange(4000)[:, None] + 0.5) / 4000 * one for one in np.eye(5)])
        slopes = np.hstack(tms.loss_and_gradients((W, W), theta(page)[10:], x, 0.8 ** np.arange(5))[1])
        np.testing.assert_allclose(slopes[:, :5] + slopes[:, 5:], names["dW"], atol=1e-5)
    scale = float(re.search(r"drawn ([\d.]+) times", page.text("#drag .column > .hint"))[1])
    ends = np.tile(W, 2 if paths == "apart" else 1) - scale * slopes
    unit = 420 / 3.2
    starts = np.tile(W, 2 if paths == "apart" else 1)
    long = np.linalg.norm(scale * slopes, axis=0) * unit > 1.5
    expected = np.array([210 + starts[0] * unit, 210 - starts[1] * unit, 210 + ends[0] * unit, 210 - ends[1] * unit]).T
    assert long.sum() >= 4
    np.testing.assert_allclose(np.array([arrow for arrow, seen in zip(arrows, long, strict=True) if seen]),
                               expected[long], atol=0.2)  # fmt: skip


def test_drag_says_which_loss_it_shows(page):
    """The exact one where there is one, else that of a batch, and why; it comes back when it can."""
    page.show("drag")
    select = "#drag .controls label:nth-child(6) select"
    shown = []
    for change in ("n.set(5)", "n.set(6)", "activation.set('linear')", "hidden.set('relu')", "hidden.set('linear')"):
        page.run(f"const {{drag}} = tms.panels; drag.{change}; drag.restart()")
        page.wait("!tms.panels.drag.dirty")
        loss = float(re.search(r"L = ([\d.]+)", page.text("#drag .status"))[1])
        np.testing.assert_allclose(page.in_python()["L"], loss, rtol=1e-3)
        shown.append(page.find(select).get_attribute("value"))
        assert ("(exact)" in page.text("#drag .status")) == (shown[-1] == "exact")
        assert ("The loss is exact" in page.text("#drag .wide .hint")) == (shown[-1] == "exact")
        if change == "n.set(6)":
            assert "for up to 5 features" in page.text("#drag .wide .hint")
        if change == "hidden.set('relu')":
            assert "with a hidden ReLU there is no exact one" in page.text("#drag .wide .hint")
    assert shown == ["exact", "batch", "exact", "batch", "exact"]
    page.press(select, "o")  # of 2,048 examples
    page.wait("!tms.panels.drag.dirty")
    assert "(of 2,048 examples)" in page.text("#drag .status")
    assert "exact" not in page.text("#drag .wide .hint")


def test_drag_shows_the_parts_of_the_loss(page):
    page.show("drag")
    page.run("const {drag} = tms.panels; drag.decay.set(0.7); drag.wanted = 'batch'; drag.renew()")
    page.wait("!tms.panels.drag.dirty")
    W, b = theta(page)[:10].reshape(2, 5), theta(page)[10:]
    features = tms.SparseFeatures(5, 0.05, 0.7 ** np.arange(5))
    x = features.sample(2048, seed=0)
    parts = (features.importance * (tms.forward(W, b, x) - x) ** 2).mean(axis=0)
    found = page.run("return [...tms.panels.drag.evaluate().parts]")
    np.testing.assert_allclose(found, parts, atol=1e-12)
    bars = "return [...document.querySelectorAll('#drag .column svg rect')].slice(0, 5)"
    widths = page.run(f"{bars}.map((bar) => Number(bar.getAttribute('width')))")
    np.testing.assert_allclose(np.array(widths) / max(widths), parts / parts.max(), atol=0.01)


# ------------------------------------------------------------------------------------------------------------- phases


def test_phases_by_mouse_and_keyboard(page):
    page.show("phases")
    rows, columns = page.run("return [tms.panels.phases.rows, tms.panels.phases.columns]")
    page.mouse(page.place("#phases figure:nth-child(3) .map", 30.5 / columns, 1 - 80.5 / rows))
    assert page.run("return tms.panels.phases.cell") == [80, 30]
    page.press("#phases figure:nth-child(2) .map", "ARROW_UP", "ARROW_UP", "ARROW_LEFT")
    assert page.run("return tms.panels.phases.cell") == [82, 29]
    s, r = page.run("const p = tms.panels.phases; return [p.densities[82], p.importances[29]]")
    assert f"r = {r:.3g}" in page.text("#phases .status")
    names = page.in_python()
    least = names["best"].loss.item()
    assert f"Least loss {least:.4g}" in page.text("#phases .status")
    found = page.run("return tms.panels.phases.models()")
    together = tms.expected_loss([found["slip"]["x"][:2]], found["slip"]["x"][2:], s, [1, r], pattern="together")
    np.testing.assert_allclose(found["slip"]["loss"], together, rtol=1e-12)
    assert found["together"]["loss"] <= together
    np.testing.assert_allclose(found["least"], least, rtol=1e-9)
    hand = [one["loss"] for one in found["hand"]]
    np.testing.assert_allclose(hand, tms.theory.configuration_losses(s, r), rtol=1e-12)
    trained = tms.load_example("phase_changes")
    nearest = abs(trained.densities - s).argmin(), abs(trained.importances - r).argmin()
    assert found["trained"]["x"][:2] == trained.best().W[nearest].ravel().tolist() == names["trained"].ravel().tolist()
    assert any(branch["least"] for branch in found["branches"])


def test_phases_hold_the_least_losses(page):
    """The embedded models: their losses are those that Newton's method finds, and never above theory's."""
    cells = page.run(
        """const p = tms.panels.phases, cells = [];
           for (let row = 3; row < p.rows; row += 12) for (let column = 2; column < p.columns; column += 12)
             cells.push([p.densities[row], p.importances[column],
                         ...["exact", "together"].map((name) => p.model(name, row, column))]);
           return cells"""
    )
    s, r = (np.array([cell[k] for cell in cells]) for k in (0, 1))
    importance = np.stack([np.ones_like(r), r], axis=-1)
    for place, pattern in ((2, "independent"), (3, "together")):
        x = np.array([cell[place] for cell in cells])
        arguments = np.repeat(s[:, None], 2, axis=1), importance, "relu", pattern
        loss = tms.expected_loss(x[:, None, :2], x[:, 2:], *arguments)
        starts = np.random.default_rng(0).normal(size=(32, len(x), 4))
        least = minimise_expected_loss(1.5 * starts[:, :, None, :2], 0.5 * starts[:, :, 2:], *arguments)
        np.testing.assert_allclose(loss, least.loss.min(axis=0), rtol=1e-5)
        if pattern == "independent":
            assert (loss <= tms.theory.configuration_losses(s, r).min(axis=0) * (1 + 1e-9)).all()


def test_the_maps_tell_the_story(page):
    """Theory and the million trained models agree nearly everywhere; with the slip hardly anything is a pair.

    Those trained with the slip do what is best for features that are always together, as `broadcast_slip` found.
    """
    classes = page.run(
        """const p = tms.panels.phases, of = (name) => Array.from({length: p.rows * p.columns}, (_, k) =>
             tms.classify(p.model(name, Math.floor(k / p.columns), k % p.columns).slice(0, 2)));
           return Object.fromEntries(["theory", "exact", "trained", "slip", "together"]
             .map((name) => [name, of(name)]))"""
    )
    theory = np.array(classes["theory"])
    assert (np.array(classes["trained"]) == theory).mean() > 0.95
    assert (np.array(classes["exact"]) == theory).mean() > 0.95
    assert "superposed" not in classes["together"]
    assert (np.array(classes["slip"]) == np.array(classes["together"])).mean() > 0.9
    page.show("phases")
    assert "Trained with the earlier slip" in page.text("#phases figure:nth-child(4)")


# ----------------------------------------------------------------------------------------------------------- geometry


def test_geometry_by_mouse_and_keyboard(page):
    page.show("geometry")
    assert "a pentagon" in page.text("#geometry .status")
    spot = page.run(
        """const g = tms.panels.geometry, d = g.models.findIndex(({kinds}) => kinds.includes("square antiprism"));
           const i = g.models[d].kinds.indexOf("square antiprism"), box = g.canvas.getBoundingClientRect();
           const [x, y] = g.place(d, g.models[d].order.indexOf(i)); return [x / box.width, y / box.height, d, i]"""
    )
    page.mouse(page.place("#geometry canvas", *spot[:2]))
    assert "a square antiprism" in page.text("#geometry .status")
    d, i = page.run("return tms.panels.geometry.chosen")
    assert d == spot[2]
    W = np.array(page.run("return [...tms.panels.geometry.models[d].W]", d=d)).reshape(20, 200)
    labels = tms.feature_clusters(W)
    assert page.run("return tms.panels.geometry.solid.at.length") == (labels == labels[i]).sum() == 8
    D = tms.dimensionality(W)
    assert f"D = {D[i]:.3g}"[:8] in page.text("#geometry .status")
    drawn, heights, colored = page.run(
        """const g = tms.panels.geometry, {width, height} = g.canvas;
           const {data} = g.canvas.getContext("2d").getImageData(0, 0, width, height);
           const places = Array.from(D, (_, rank) => g.place(d, rank)), ordered = [...D].sort((a, b) => a - b);
           return [places.map(([, y]) => y), ordered.map((value) => g.height(value)),
                   places.every(([x, y]) => data[4 * (Math.round(y) * width + Math.round(x)) + 3] > 0)]""",
        d=d, D=D.tolist(),
    )  # fmt: skip
    np.testing.assert_allclose(drawn, heights, atol=1e-6)
    assert colored
    page.press("#geometry canvas", "ARROW_LEFT", "ARROW_UP")
    after = page.run("return tms.panels.geometry.chosen")
    assert after[0] == d - 1
    D = np.array(page.run("return [...tms.panels.geometry.models[d].D]", d=d - 1))
    assert (D < D[after[1]]).sum() >= 1


def test_geometry_names_every_feature_as_minitms_does(page):
    page.show("geometry")
    d = range(page.run("return tms.panels.geometry.models.length"))
    models = page.run("return tms.panels.geometry.models.map(({W, kinds}) => [[...W], kinds])")
    for k, (W, kinds) in zip(d, models, strict=True):
        names = tms.feature_polytopes(np.reshape(W, (20, 200)))
        assert kinds == np.where(names == "", "too short", names).tolist(), k


def test_geometry_says_what_a_feature_is_part_of(page):
    """In words beside the solid: of each kind there is, one."""
    page.show("geometry")
    words = {"single": "no one feature is linked", "too short": "it is too short", "other": "none of the polytopes"}
    seen = page.run(
        """const g = tms.panels.geometry, seen = {};
           g.models.forEach(({kinds}, d) => kinds.forEach((kind, i) => { seen[kind] ??= [d, i]; }));
           return Object.entries(seen).map(([kind, place]) => {
             g.select(...place); return [kind, g.status.textContent]; })"""
    )
    assert {"digon", "triangle", "pentagon", "square antiprism", "single", "other"} <= {kind for kind, _ in seen}
    for kind, text in seen:
        assert words.get(kind, f", a {kind} (D = ") in text


def test_geometry_goes_to_python(page):
    """The code names the cluster of the feature that is shown; here without training, on the page's own W."""
    page.show("geometry")
    d, i = page.run("return tms.panels.geometry.chosen")
    W = np.reshape(page.run("return [...tms.panels.geometry.models[d].W]", d=d), (20, 200))
    code = page.text("#code")
    kept = [line for line in code.splitlines() if not line.startswith(("run =", "W ="))]
    names = {"W": W}
    exec("\n".join(kept), names)
    assert names["clusters"][i] >= 0
    assert f'feature {i}' in code


def test_geometry_turns_until_told_not_to(page):
    page.show("geometry")
    turn = page.run("return tms.panels.geometry.turn")
    page.wait("tms.panels.geometry.turn > turn + 0.1", turn=turn)
    page.press("#geometry input[type=checkbox]", "SPACE")
    turn = page.run("return tms.panels.geometry.turn")
    page.driver.execute_async_script(
        "let left = 5; const frame = () => (left-- ? requestAnimationFrame(frame) : arguments[0]()); frame()"
    )
    assert page.run("return tms.panels.geometry.turn") <= turn + 0.02
