"""What the explorer says of itself: what colours and lines mean, what a setting does, what a model has become."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

import minitms as tms
from minitms import polytopes
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


def train(page, **settings):
    """Train at once, without a frame for each step."""
    page.run(
        """const {train} = tms.panels;
           for (const [name, value] of Object.entries(settings)) train[name].set(value);
           train.restart();
           while (!train.training.done) train.training.step();
           train.draw(); train.announce()""",
        settings=settings,
    )  # fmt: skip


def key(page, selector):
    """A list of colours: what stands beside each, and its colour as the browser draws it."""
    return dict(page.run(
        """return [...document.querySelectorAll(selector + " li")].map((li) => {
             const mark = li.querySelector("i"), style = mark && getComputedStyle(mark);
             return [li.textContent, mark && (style.backgroundImage === "none" ? style.backgroundColor
               : style.backgroundImage)]; })""",
        selector=selector,
    ))  # fmt: skip


def strokes(page, selector):
    return page.run(
        "return [...document.querySelectorAll(selector)].map((one) => getComputedStyle(one).stroke)", selector=selector
    )


# ----------------------------------------------------------------------------------------------------- colours, lines

STALKS = {"train": "#train .picture line[stroke]", "drag": "#drag .picture line[stroke]"}


@pytest.mark.parametrize("panel", ["train", "drag"])
def test_the_colour_of_a_feature_is_explained_in_either_theme(page, panel):
    train(page, decay=0.8)
    page.show(panel)
    for theme in ("dark", "light"):
        page.emulate("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        page.wait("matchMedia(`(prefers-color-scheme: ${theme})`).matches", theme=theme)
        page.driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
        drawn = strokes(page, STALKS[panel])
        gradient = key(page, f"#{panel} .column > .key")["features, from the most important to the least"]
        colors = re.findall(r"rgb\([^)]*\)", gradient)
        assert len(set(drawn)) == 5
        assert [colors[0], colors[-1]] == [drawn[0], drawn[-1]]  # importances fall with the index
    page.run("const p = tms.panels[panel]; p.decay.set(1); p.restart()", panel=panel)
    page.driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    entry = key(page, f"#{panel} .column > .key")["features, all of the same importance"]
    assert set(strokes(page, STALKS[panel])) == {entry}


@pytest.mark.parametrize(("paths", "named"), [
    ("sum", ["downhill: −∂L/∂W, both paths together"]),
    ("apart", ["downhill by encoder's path: W reads x", "downhill by decoder's path: W writes y"]),
])  # fmt: skip
def test_the_colours_of_gradients_are_explained(page, paths, named):
    page.show("drag")
    page.run("const {drag} = tms.panels; drag.paths.set(paths); drag.restart()", paths=paths)
    page.wait("!tms.panels.drag.dirty")
    entries = key(page, "#drag .column > .key")
    drawn = strokes(page, "#drag .picture path[stroke]")
    assert len(drawn) == 5 * len(named)
    assert [entries[name] for name in named] == [drawn[5 * k] for k in range(len(named))]
    assert len(set(entries.values())) == len(entries)


def test_the_curves_of_restarts_are_explained(page):
    train(page)
    entries, shown = key(page, "#train .card > .key"), page.run("return tms.panels.train.shown")
    drawn = strokes(page, "#train .card path[d]:not(.axis)")
    assert drawn[shown] == entries["the one shown large"]
    assert {*drawn[:shown], *drawn[shown + 1 :]} == {entries["the others"]}


def test_red_is_above_zero_and_blue_below(page):
    train(page)
    A, fills = page.run(
        """const {training, shown} = tms.panels.train, cells = document.querySelectorAll('#train .matrix g rect');
           return [[...tms.gram(training.models[shown].model.D, 5)],
                   [...cells].slice(0, 25).map((cell) => getComputedStyle(cell).fill.match(/\\d+/g).map(Number))]"""
    )
    for value, (red, _, blue) in zip(A, fills, strict=True):
        assert (red > blue) == (value > 0)
    assert "Red is above 0, blue below" in page.text("#train .pair")


@pytest.mark.parametrize("m", [2, 3])
def test_the_grey_lines_are_the_axes(page, m):
    """A feature along an axis lies on its line, however it is turned."""
    lines, tips = page.run(
        """const {train} = tms.panels, all = (name) => [...train.view.node.querySelectorAll(name)];
           train.wake = () => {};
           train.view.draw(Float64Array.from(axes), m, Array(m).fill("red"), 0.7);
           const read = (one, ...names) => names.map((name) => Number(one.getAttribute(name)));
           return [all("line.axis").map((one) => read(one, "x1", "y1", "x2", "y2")),
                   all("circle[fill]").map((one) => read(one, "cx", "cy"))]""",
        axes=np.eye(m).ravel().tolist(), m=m,
    )  # fmt: skip
    lines, tips = np.reshape(lines, (m, 2, 2)), np.array(tips)
    along, out = lines[:, 1] - lines[:, 0], tips - lines.mean(axis=1)
    assert abs(along[:, 0] * out[:, 1] - along[:, 1] * out[:, 0]).max() < 0.05 * abs(along).max()
    assert abs(out).max(axis=1).min() > 5
    assert "grey: the axes of the hidden space; dashed: length 1" in key(page, "#train .column > .key")


def test_the_kinds_of_polytopes_are_explained(page):
    """Beside each colour the share of a dimension that the package's own corners have."""
    page.show("geometry")
    entries = key(page, "#geometry section > .key")
    for name, corners in polytopes.POLYTOPES.items():
        share = next(text for text in entries if text.startswith(name)).split(": ")[1]
        above, _, below = share.partition("/")
        np.testing.assert_allclose(tms.dimensionality(corners), int(above) / int(below or 1))
    assert page.run(
        "return getComputedStyle(document.querySelector('#geometry .solid circle')).fill"
    ) in key(page, "#geometry .card > .key").values()  # fmt: skip


# --------------------------------------------------------------------------------------- controls beside what they do


@pytest.mark.parametrize("panel", ["train", "drag"])
def test_on_a_phone_one_sees_what_one_changes(browser, panel):
    """Whatever control is in sight, the whole picture is too, and does not cover it."""
    browser.open(width=400, height=620)
    browser.show(panel)
    found = browser.run(
        """const picture = document.querySelector(`#${panel} .picture`);
           return [...document.querySelectorAll(`#${panel} .controls :is(input, select, button)`)].map((one) => {
             one.scrollIntoView({block: "end"});
             const a = picture.getBoundingClientRect(), b = one.getBoundingClientRect();
             const top = document.elementFromPoint((b.left + b.right) / 2, (b.top + b.bottom) / 2);
             return [a.top, a.bottom, b.top, b.bottom, top === one]; })""",
        panel=panel,
    )  # fmt: skip
    assert len(found) >= 11
    for top, bottom, above, below, uncovered in found:
        assert 0 <= top < bottom <= above < below <= 620 + 1
        assert bottom - top < 620 / 2  # which leaves room for several controls
        assert uncovered
    assert browser.log() == []


@pytest.mark.parametrize("width", [800, 1600])
@pytest.mark.parametrize("panel", ["train", "drag"])
def test_on_wide_screens_controls_stand_beside_the_picture(browser, panel, width):
    browser.open(width=width)
    browser.show(panel)
    picture, controls = (browser.run(
        "const {left, right, top, bottom} = document.querySelector(of).getBoundingClientRect(); "
        "return {left, right, top, bottom}", of=f"#{panel} {name}") for name in (".picture", ".controls"))  # fmt: skip
    assert picture["right"] < controls["left"]
    assert max(picture["bottom"], controls["bottom"]) - min(picture["top"], controls["top"]) < 620
    assert browser.log() == []


# -------------------------------------------------------------------------------------------- what words say of a run


def test_there_is_no_best_before_the_end(page):
    page.run(
        """const {train} = tms.panels; train.wake = () => {}; train.toggle(); train.restart(); // no frames but these
           for (let t = 0; t < 50; t++) train.training.step();
           train.draw()"""
    )
    names = "return [...document.querySelectorAll('#train .strip button')].map((one) => one.getAttribute('aria-label'))"
    starred = """return [...document.querySelectorAll('#train .strip .loss')]
                   .filter((one) => getComputedStyle(one, '::before').content.includes('★')).length"""
    assert page.run(starred) == 0
    assert not any("best" in name for name in page.run(names))
    assert page.text("#train .picture h3").endswith(", the best so far")
    page.run("const {train} = tms.panels; while (!train.training.done) train.training.step(); train.draw()")
    assert page.run(starred) == 1
    assert sum("the best" in name for name in page.run(names)) == 1
    assert page.text("#train .picture h3").endswith(", the best")


@pytest.mark.parametrize("panel", ["train", "drag"])
def test_sparsity_is_said_plainly(page, panel):
    """At every place of the slider: the share of examples in which the model's data has a feature on."""
    page.show(panel)
    label = f"#{panel} .controls label.long"
    assert page.text(label) == "sparsity S = 0.95: each feature is on in 5 % of examples"
    places = page.run("return Number(tms.panels[panel].density.input.max)", panel=panel)
    assert places == 10
    for place in range(places + 1):
        text, density = page.run(
            """const one = tms.panels[panel], {input} = one.density;
               input.value = place; input.dispatchEvent(new Event("input"));
               return [one.density.node.textContent, (one.features ?? one.training.features).density[0]]""",
            panel=panel, place=place,
        )  # fmt: skip
        S, percent = re.fullmatch(r"sparsity S = ([\d.]+): each feature is on in (\d+) % of examples", text).groups()
        np.testing.assert_allclose([1 - float(S), int(percent) / 100], density, atol=1e-9)


def test_where_one_feature_is_on_at_a_time_the_sparsity_says_so(page):
    page.show("drag")
    page.run("const {data} = tms.panels.drag; data.set('one'); data.input.dispatchEvent(new Event('change'))")
    assert page.text("#drag label.long") == "sparsity S = 0.8: exactly one feature is on in each example"
    assert not page.find("#drag label.long input").is_enabled()


def turned(W, rng):
    """The features in another order and another position, each a little off."""
    Q = np.linalg.qr(rng.normal(size=(len(W), len(W))))[0]
    return Q @ W[:, rng.permutation(W.shape[1])] + 0.01 * rng.normal(size=W.shape)


def stacked(*shapes):
    """Corners of several shapes in dimensions of their own."""
    W = np.zeros((sum(map(len, shapes)), sum(shape.shape[1] for shape in shapes)))
    row = column = 0
    for shape in shapes:
        W[row : row + len(shape), column : column + shape.shape[1]] = shape
        row, column = row + len(shape), column + shape.shape[1]
    return W


def equal_edges():
    """The square antiprism on the unit sphere of which all edges have one length, by bisection of its height."""
    def corners(h):
        angle = np.pi / 4 * np.arange(8)
        return np.array([np.cos(angle), np.sin(angle), 0 * angle]) * np.sqrt(1 - h * h) + np.outer(
            [0, 0, h], (-1.0) ** np.arange(8))  # fmt: skip
    low, high = 0.1, 0.9
    for _ in range(60):
        h = (low + high) / 2
        W = corners(h)
        around, across = np.linalg.norm(W[:, 0] - W[:, 2]), np.linalg.norm(W[:, 0] - W[:, 1])
        low, high = (h, high) if around > across else (low, h)
    return corners(h)


PHI = (1 + np.sqrt(5)) / 2
SIGNS = list(itertools.product((-1, 1), repeat=2))
POLYTOPES = polytopes.POLYTOPES
SINGLE, DIGON = POLYTOPES["single"], POLYTOPES["digon"]
SOLIDS = [
    (POLYTOPES["tetrahedron"], "a tetrahedron: 4 features"),
    (stacked(POLYTOPES["triangle"], DIGON),
     "a triangular bipyramid: a triangle and an antipodal pair, at right angles"),
    (stacked(POLYTOPES["pentagon"], DIGON),
     "a pentagonal bipyramid: an antipodal pair and a pentagon, at right angles"),
    (stacked(DIGON, DIGON, DIGON), "an octahedron: 3 antipodal pairs, at right angles"),
    (POLYTOPES["square antiprism"], "a square antiprism: 8 features"),
    (equal_edges(), "a square antiprism: 8 features"),
    (np.array([row for a, b in SIGNS for row in ([0, a, b * PHI], [a, b * PHI, 0], [b * PHI, 0, a])]).T
     / np.hypot(1, PHI), "a regular icosahedron: 12 features"),
    (stacked(SINGLE, DIGON, DIGON), "a single feature and 2 antipodal pairs, at right angles"),
    (np.eye(3), "3 single features, at right angles"),
    (stacked(DIGON, np.zeros((2, 1))), "an antipodal pair"),
    (stacked(SINGLE, np.zeros((2, 2))), "a single feature"),
    (np.array(list(itertools.product((-1, 1), repeat=3))).T / np.sqrt(3), "8 features of 8 kept, in no regular figure"),
    (stacked(polytopes.polygon(6), SINGLE), "7 features of 7 kept, in no regular figure"),
    (np.zeros((3, 4)), "0 features of 4 kept, in no regular figure"),
]  # fmt: skip


def test_figures_of_three_dimensions_have_names(page):
    rng = np.random.default_rng(0)
    models = [(turned(W, rng), words) for W, words in SOLIDS for _ in range(5)]
    got = page.run("return models.map(([W, n]) => tms.arrangement(Float64Array.from(W), n))",
                   models=[(W.ravel().tolist(), W.shape[1]) for W, _ in models])  # fmt: skip
    assert got == [words for _, words in models]


def test_train_names_what_it_made_in_three_dimensions(page):
    for n, words in ((6, "an octahedron: 3 antipodal pairs"), (8, "a square antiprism: 8 features")):
        train(page, m="3", n=n)
        assert f": {words}" in page.text("#train .status")


def test_geometry_says_of_a_single_feature_what_its_number_says(page):
    """Alone is who has a dimension nearly to itself; of others, how much of it is taken by small overlaps."""
    page.show("geometry")
    seen = page.run(
        """const g = tms.panels.geometry, seen = [];
           g.models.forEach(({kinds, D}, d) => kinds.forEach((kind, i) => {
             if (kind === "single") { g.select(d, i); seen.push([d, i, g.status.textContent]); } }));
           return seen"""
    )
    assert len(seen) > 5
    for d, i, text in seen:
        W = np.reshape(page.run("return [...tms.panels.geometry.models[d].W]", d=d), (20, 200))
        D = tms.dimensionality(W)[i]
        assert (D > 0.9) == ("it stands alone" in text)
        if D <= 0.9:
            assert abs(int(re.search(r"take (\d+) % of its dimension", text)[1]) / 100 - (1 - D)) < 0.006
    alone = page.run(
        "const g = tms.panels.geometry; g.models[d].D[i] = 0.97; g.select(d, i); return g.status.textContent",
        d=seen[0][0], i=seen[0][1],
    )  # fmt: skip
    assert "D = 0.970" in alone
    assert "it stands alone" in alone


# ----------------------------------------------------------------------------------------- one model in Train and Drag

SETTINGS = {"n": 4, "density": 0.1, "decay": 0.9, "activation": "linear", "hidden": "relu"}
READ = "Object.fromEntries(Object.keys(settings).map((name) => [name, tms.panels[panel][name].value()]))"


def settings(page, panel):
    return page.run(f"return {READ}", panel=panel, settings=SETTINGS)


def thetas(page):
    """The models in Drag and in Train's large view."""
    return page.run(
        """const {train, drag} = tms.panels;
           return [[...drag.theta], [...train.training.models[train.shown].model.theta]]"""
    )


def test_drag_begins_with_the_model_that_train_shows(page):
    train(page, **SETTINGS)
    page.find("#train .strip button:nth-child(3)").click()
    page.show("drag")
    assert settings(page, "drag") == SETTINGS
    assert page.run("return tms.panels.drag.features.density[0]") == SETTINGS["density"]
    in_drag, in_train = thetas(page)
    assert in_drag == in_train
    assert page.run("return tms.panels.train.shown") == 2


def test_train_goes_on_from_what_was_dragged(page):
    """With its settings, from its weights, also after a look at another panel; and so does the code."""
    train(page, **SETTINGS)
    page.show("drag")
    page.run("const {drag} = tms.panels; drag.density.set(0.3); drag.activation.set('relu'); drag.renew()")
    page.press("#drag .handle:nth-child(2)", *["ARROW_LEFT"] * 5)
    left = page.run("return [...tms.panels.drag.theta]")
    for panel in ("phases", "train"):
        page.show(panel)
    assert settings(page, "train") == SETTINGS | {"density": 0.3, "activation": "relu"}
    assert page.run("return [...tms.panels.train.training.initial]") == left
    assert "from the model in Drag" in page.text("#train .status")
    page.wait("tms.panels.train.training.done")
    assert "from the model in Drag" in page.text("#train .status")
    names = page.in_python()
    np.testing.assert_allclose(np.concatenate([names["W"].ravel(), names["b"]]), thetas(page)[1], atol=1e-5)
    page.run("tms.panels.train.restart()")
    assert page.run("return tms.panels.train.training.initial") is None
    assert "from the model in Drag" not in page.text("#train .status")


@pytest.mark.parametrize("m", ["2", "3"])
def test_who_only_looks_at_drag_finds_train_as_it_was(page, m):
    """Of a model in three dimensions Drag has the settings, and says so."""
    train(page, **SETTINGS, m=m)
    page.run("tms.panels.train.training.mine = true")
    page.show("drag")
    assert settings(page, "drag") == SETTINGS
    page.wait("!tms.panels.drag.dirty")
    assert ("Train’s model has three dimensions" in page.text("#drag .column > .hint")) == (m == "3")
    page.show("geometry")
    page.show("drag")
    page.show("train")
    assert page.run("const {training} = tms.panels.train; return [training.mine, training.done, training.m]") == [
        True, True, int(m)]  # fmt: skip


def test_drag_alone_leaves_train_to_begin_by_itself(browser):
    """A link may lead to Drag first: its scattered features are nobody's model."""
    from minitms.explorer.build import PAGE

    browser.open(PAGE.as_uri() + "#drag")
    browser.show("train")
    browser.wait("tms.panels.train.training.done")
    assert "a regular pentagon" in browser.text("#train .status")
    assert browser.run("return tms.panels.train.training.initial") is None
    assert browser.log() == []


def test_at_a_minimum_drag_says_why_there_are_no_arrows(page):
    train(page)
    page.show("drag")
    page.wait("!tms.panels.drag.dirty")
    assert "Too flat for arrows to be seen: move a feature" in page.text("#drag .status")
    page.press("#drag .handle:nth-child(1)", *["ARROW_LEFT"] * 9)
    page.wait("!tms.panels.drag.dirty")
    assert "Too flat" not in page.text("#drag .status")
