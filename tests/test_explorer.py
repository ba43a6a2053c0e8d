"""The explorer's page: built, shown, and driven in a browser, panel by panel, by mouse and keyboard."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minitms as tms
from minitms.explorer import __main__ as command
from minitms.explorer import build
from tests.browser import chromium

ROOT = Path(__file__).resolve().parent.parent
PANELS = ("train", "drag", "phases", "geometry")
WIDTHS, THEMES = (400, 800, 1600), ("light", "dark")


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


def show(page, panel):
    page.find(f"#tab-{panel}").click()
    page.wait("!document.getElementById(panel).hidden", panel=panel)


def keys(page, selector, *names):
    """Press keys on an element: arrows, or letters."""
    from selenium.webdriver import Keys

    page.find(selector).send_keys(*(getattr(Keys, name, name) for name in names))


def mouse(page, *moves):
    """Press at the first place of the window, go by way of the others, and let go."""
    from selenium.webdriver.common.action_chains import ActionChains

    (x, y), *others = moves
    pointer = ActionChains(page.driver, duration=20).w3c_actions
    pointer.pointer_action.move_to_location(round(x), round(y)).pointer_down()
    for place in others:
        pointer.pointer_action.move_to_location(*map(round, place))
    pointer.pointer_action.pointer_up()
    pointer.perform()


def middle(page, selector, across=0.5, down=0.5):
    """A place inside an element, in the window, after scrolling to it."""
    return page.run(
        """const found = document.querySelector(selector); found.scrollIntoView({block: "center"});
           const box = found.getBoundingClientRect(); return [box.left + across * box.width, box.top + down * box.height]""",
        selector=selector, across=across, down=down,
    )  # fmt: skip


def in_python(page):
    """Run the code that the page offers, in a namespace that is returned."""
    names = {}
    exec(page.text("#code"), names)
    return names


# ---------------------------------------------------------------------------------------------------- built and shown


def test_the_page_is_that_of_its_sources():
    assert build.PAGE.read_text(encoding="utf-8") == build.page(), "stale: python -m minitms.explorer --build"


def test_the_page_is_one_small_file_that_loads_nothing():
    text = build.PAGE.read_text(encoding="utf-8")
    assert len(text.encode()) < 1_500_000
    assert re.findall(r"""\b(?:src|href)\s*=\s*["']?([^"'>\s]*)""", text) == ["data:,"]
    assert not re.search(r"@import|url\(|\bfetch\(|XMLHttpRequest|WebSocket|\bimport\b[^\n]*from", text.split("</style>")[1][-120_000:])
    assert set(re.findall(r"https?://[\w./]+", text)) == {"http://www.w3.org/2000/svg"}  # a name, not an address


def test_every_source_is_on_the_page_and_small():
    sources = {path.relative_to(build.SOURCE).as_posix(): path for path in build.SOURCE.rglob("*.*")}
    assert set(sources) == {*build.SCRIPTS, "page.html", "style.css", "numbers.json"}
    for name in build.SCRIPTS:
        lines = sources[name].read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 400, name
        assert [line for line in lines if len(line) > 120] == [], name


def test_a_notebook_shows_it_in_a_frame():
    shown = tms.explorer(height=700)._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert 'height="700"' in shown
    with pytest.raises(ValueError, match="height is 0; expected at least 1"):
        tms.explorer(height=0)
    with pytest.raises(TypeError, match="height is 'tall'"):
        tms.explorer(height="tall")
    assert str(build.PAGE) in repr(tms.explorer())


def test_the_command_builds_and_opens(monkeypatch, tmp_path, capsys):
    asked = []
    monkeypatch.setattr("webbrowser.open", lambda url: asked.append(url) or len(asked) == 1)
    assert [command.main([]), command.main([])] == [0, 1]
    assert asked == [build.PAGE.as_uri()] * 2
    assert f"no browser was found; open this file in one: {build.PAGE}" in capsys.readouterr().out
    original = build.PAGE.read_bytes()
    monkeypatch.setattr(build, "PAGE", tmp_path / "page.html")
    assert command.main(["--build"]) == 0
    assert (tmp_path / "page.html").read_bytes() == original


def test_python_minus_m_knows_the_command():
    finished = subprocess.run([sys.executable, "-m", "minitms.explorer", "--help"], cwd=ROOT, capture_output=True,
                              text=True, timeout=120, env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert "--build" in finished.stdout
    assert not finished.stderr


def test_it_loads_nothing_and_works_in_a_frame(browser, tmp_path):
    holder = tmp_path / "notebook.html"
    holder.write_text(f"<!doctype html><meta charset=utf-8><link rel=icon href='data:,'>{tms.explorer()._repr_html_()}",
                      encoding="utf-8")  # fmt: skip
    browser.open(holder.as_uri())
    browser.driver.switch_to.frame(0)
    browser.wait("tms?.panels.train.training.done")
    assert "a regular pentagon" in browser.text("#train .status")
    for panel in PANELS[1:]:
        show(browser, panel)
    assert browser.run("return performance.getEntriesByType('resource').length") == 0
    browser.driver.switch_to.default_content()
    assert browser.log() == []


def test_without_javascript_it_says_what_it_needs(browser):
    browser.emulate("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open()
        assert browser.find("#missing").is_displayed()
        assert "JavaScript" in browser.find("#missing").text
        assert not browser.find("#python").is_displayed()
    finally:
        browser.emulate("Emulation.setScriptExecutionDisabled", value=False)


# -------------------------------------------------------------------------------------------------------------- train


def test_train_ends_in_the_pentagon_with_every_seed(page):
    for seed in range(3):
        page.wait("tms.panels.train.training.done && tms.panels.train.training.seed === seed", seed=seed)
        assert "a regular pentagon: 5 features, 72° apart" in page.text("#train .status")
        W = np.array(page.run("const t = tms.panels.train.training; return [...t.models[t.best()].model.D]")).reshape(2, 5)
        angles = np.sort(np.degrees(np.arctan2(W[1], W[0])))
        assert abs(np.diff(angles, append=angles[0] + 360) - 72).max() < 2
        assert abs(tms.dimensionality(W) - 0.4).max() < 0.01
        page.run("[...document.querySelectorAll('#train button')].find((b) => b.textContent === 'Next seed').click()")


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
    np.testing.assert_allclose(in_python(page)["W"], page.run(
        "const {model} = tms.panels.train.training.models[k]; return [[...model.D.slice(0, 5)], [...model.D.slice(5)]]",
        k=other), atol=1e-6)  # fmt: skip


def test_train_by_keyboard(page):
    """Sliders, choices and buttons, without a mouse; and a run that is stopped on its way goes to Python as it is."""
    first = "#train .controls label:nth-child({}) {}"
    keys(page, first.format(1, "input"), "ARROW_RIGHT")
    assert page.run("return tms.panels.train.training.features.n") == 6
    keys(page, first.format(7, "select"), "5")
    keys(page, first.format(8, "input"), *["ARROW_LEFT"] * 5)
    page.wait("tms.panels.train.training.steps === 5000 && tms.panels.train.training.t > 40")
    keys(page, "#train .buttons button", "SPACE")
    assert "Paused after step" in page.text("#train .status")
    t, W = page.run("const {training, shown} = tms.panels.train; return [training.t, [...training.models[shown].model.D]]")
    assert 40 < t < 5000
    np.testing.assert_allclose(np.ravel(in_python(page)["W"]), W, atol=1e-6)
    keys(page, "#train .buttons button", "SPACE")
    page.wait("tms.panels.train.training.t > t", t=t)


@pytest.mark.parametrize(("choices", "n"), [
    ({"m": "3"}, 7), ({"hidden": "relu"}, 4), ({"activation": "linear"}, 5), ({"m": "3", "hidden": "relu"}, 12)
])  # fmt: skip
def test_train_other_models_and_take_them_to_python(page, choices, n):
    page.run(
        """const panel = tms.panels.train; panel.n.set(n); panel.decay.set(0.8); panel.density.set(0.1); panel.restarts.set(2);
           for (const [name, value] of Object.entries(choices)) panel[name].set(value); panel.restart()""",
        choices=choices, n=n,
    )  # fmt: skip
    page.wait("tms.panels.train.training.done")
    run = in_python(page)["run"]
    W, losses = page.run(
        "const {models} = tms.panels.train.training; return [models.map(({model}) => [...model.D]), models.map((o) => o.loss)]"
    )
    np.testing.assert_allclose(run.W.reshape(2, -1), W, atol=1e-5)  # a thousand steps in another order of sums
    if choices.get("activation") != "linear":  # of which minitms knows the exact loss
        np.testing.assert_allclose(run.loss, losses, rtol=1e-5)


# --------------------------------------------------------------------------------------------------------------- drag


def theta(page):
    return np.array(page.run("return [...tms.panels.drag.theta]"))


def handle(page, i):
    return middle(page, f"#drag .handle:nth-child({i + 1}) circle")


def test_drag_by_mouse(page):
    """The feature goes where the hand does, nothing else moves; let go, and it runs downhill."""
    show(page, "drag")
    page.run("tms.panels.drag.release.checked = false; tms.panels.drag.polygon()")
    page.wait("!tms.panels.drag.dirty")
    before = theta(page)
    x, y = handle(page, 2)
    unit = page.run("return document.querySelector('#drag .drag').getBoundingClientRect().width") / 3.2
    mouse(page, (x, y), (x + 20, y + 10), (x + 60, y + 30))
    page.wait("tms.panels.drag.held === null && !tms.panels.drag.dirty")
    moved = theta(page) - before
    np.testing.assert_allclose(moved[[2, 7]], [60 / unit, -30 / unit], atol=2 / unit)
    assert not moved[[0, 1, 3, 4, 5, 6, 8, 9]].any()
    lost = page.run("return tms.panels.drag.evaluate().loss")
    page.run("tms.panels.drag.release.checked = true")
    x, y = handle(page, 2)
    mouse(page, (x, y), (x + 10, y))
    page.wait("tms.panels.drag.descent === null && !tms.panels.drag.dirty && tms.panels.drag.held === null")
    page.wait("tms.panels.drag.evaluate().loss < lost / 2", lost=lost)
    assert "a regular pentagon" in page.text("#drag .status")


def test_drag_by_keyboard(page):
    show(page, "drag")
    page.wait("document.querySelector('#drag .handle')")
    before = theta(page)
    keys(page, "#drag .handle:nth-child(4)", "ARROW_RIGHT", "ARROW_RIGHT", "ARROW_UP")
    np.testing.assert_allclose((theta(page) - before)[[3, 8]], [0.04, 0.02], atol=1e-12)
    page.wait("!tms.panels.drag.dirty")
    assert "feature 3 at" in page.find("#drag .handle:nth-child(4)").get_attribute("aria-label")
    keys(page, "#drag .handle:nth-child(4)", "ENTER")
    page.wait("tms.panels.drag.descent")
    page.wait("!tms.panels.drag.descent")


@pytest.mark.parametrize("data", ["batch", "one"])
@pytest.mark.parametrize("paths", ["sum", "apart"])
def test_drag_draws_the_gradient_that_minitms_has(page, data, paths):
    """Each arrow begins at its feature, and ends where minus the gradient points, drawn longer by the factor it names."""
    show(page, "drag")
    page.run("const {drag} = tms.panels; drag.decay.set(0.8); drag.data.set(data); drag.paths.set(paths); drag.renew()",
             data=data, paths=paths)
    page.wait("!tms.panels.drag.dirty")
    arrows = page.run(
        """return [...document.querySelectorAll('#drag .drag path[stroke]')].map((path) => path.getAttribute('d'))
             .map((d) => d.match(/-?[\\d.]+/g).slice(0, 4).map(Number))"""
    )
    W = theta(page)[:10].reshape(2, 5)
    names = in_python(page)
    np.testing.assert_allclose(names["L"], page.run("return tms.panels.drag.evaluate().loss"), atol=1e-5)
    if paths == "sum":
        slopes = names["dW"]
    elif data == "batch":
        slopes = np.hstack([names["encode"], names["decode"]])
        np.testing.assert_allclose(names["encode"] + names["decode"], names["dW"], atol=1e-12)
    else:  # one feature on at a time, at places so close that the mean is the integral
        x = np.concatenate([(np.arange(4000)[:, None] + 0.5) / 4000 * one for one in np.eye(5)])
        theta_ = W, theta(page)[10:], x, 0.8 ** np.arange(5)
        slopes = np.hstack(tms.loss_and_gradients((W, W), *theta_[1:])[1])
        np.testing.assert_allclose(slopes[:, :5] + slopes[:, 5:], names["dW"], atol=1e-5)
    scale = float(re.search(r"drawn ([\d.]+) times", page.text("#drag .hint:last-child"))[1])
    ends = np.tile(W, 2 if paths == "apart" else 1) - scale * slopes
    unit = 420 / 3.2
    starts = np.tile(W, 2 if paths == "apart" else 1)
    long = np.linalg.norm(scale * slopes, axis=0) * unit > 1.5
    expected = np.array([210 + starts[0] * unit, 210 - starts[1] * unit, 210 + ends[0] * unit, 210 - ends[1] * unit]).T
    assert long.sum() >= 4
    np.testing.assert_allclose(np.array([arrow for arrow, seen in zip(arrows, long, strict=True) if seen]),
                               expected[long], atol=0.2)  # fmt: skip


def test_drag_shows_the_parts_of_the_loss(page):
    show(page, "drag")
    page.run("tms.panels.drag.decay.set(0.7); tms.panels.drag.renew()")
    page.wait("!tms.panels.drag.dirty")
    W, b = theta(page)[:10].reshape(2, 5), theta(page)[10:]
    features = tms.SparseFeatures(5, 0.05, 0.7 ** np.arange(5))
    x = features.sample(2048, seed=0)
    parts = (features.importance * (tms.forward(W, b, x) - x) ** 2).mean(axis=0)
    found = page.run("return [...tms.panels.drag.evaluate().parts]")
    np.testing.assert_allclose(found, parts, atol=1e-12)
    widths = page.run("return [...document.querySelectorAll('#drag .column svg rect')].slice(0, 5).map((r) => +r.getAttribute('width'))")
    np.testing.assert_allclose(np.array(widths) / max(widths), parts / parts.max(), atol=0.01)


# ------------------------------------------------------------------------------------------------------------- phases


def test_phases_by_mouse_and_keyboard(page):
    show(page, "phases")
    rows, columns = page.run("return [tms.panels.phases.rows, tms.panels.phases.columns]")
    mouse(page, middle(page, "#phases figure:nth-child(3) .map", 30.5 / columns, 1 - 80.5 / rows))
    assert page.run("return tms.panels.phases.cell") == [80, 30]
    keys(page, "#phases figure:nth-child(2) .map", "ARROW_UP", "ARROW_UP", "ARROW_LEFT")
    assert page.run("return tms.panels.phases.cell") == [82, 29]
    s, r = page.run("const p = tms.panels.phases; return [p.densities[82], p.importances[29]]")
    assert f"r = {r:.3g}" in page.text("#phases .status")
    names = in_python(page)
    least = names["best"].loss.item()
    assert f"Least loss {least:.4g}" in page.text("#phases .status")
    found = page.run("return tms.panels.phases.models()")
    np.testing.assert_allclose(found["least"], least, rtol=1e-9)
    np.testing.assert_allclose([one["loss"] for one in found["hand"]], tms.theory.configuration_losses(s, r), rtol=1e-12)
    trained = tms.load_example("phase_changes")["W"][9 * 82, 29, 0]
    np.testing.assert_allclose(found["trained"]["x"][:2], trained.astype(float), rtol=1e-12)
    assert any(branch["least"] for branch in found["branches"])


def test_phases_hold_the_least_losses(page):
    """The embedded models: their losses are those that Newton's method finds, and never above theory's."""
    cells = page.run(
        """const p = tms.panels.phases, cells = [];
           for (let row = 3; row < p.rows; row += 12) for (let column = 2; column < p.columns; column += 12)
             cells.push([p.densities[row], p.importances[column], p.model("exact", row, column), p.model("together", row, column)]);
           return cells"""
    )
    s, r = (np.array([cell[k] for cell in cells]) for k in (0, 1))
    importance = np.stack([np.ones_like(r), r], axis=-1)
    for place, pattern in ((2, "independent"), (3, "together")):
        x = np.array([cell[place] for cell in cells])
        arguments = np.repeat(s[:, None], 2, axis=1), importance, "relu", pattern
        loss = tms.expected_loss(x[:, None, :2], x[:, 2:], *arguments)
        starts = np.random.default_rng(0).normal(size=(32, len(x), 4))
        least = tms.expected.minimise_expected_loss(1.5 * starts[:, :, None, :2], 0.5 * starts[:, :, 2:], *arguments)
        np.testing.assert_allclose(loss, least.loss.min(axis=0), rtol=1e-5)
        if pattern == "independent":
            assert (loss <= tms.theory.configuration_losses(s, r).min(axis=0) * (1 + 1e-9)).all()


def test_the_maps_tell_the_story(page):
    """Theory and the million trained models agree nearly everywhere; with the slip hardly half, and nothing is a pair."""
    classes = page.run(
        """const p = tms.panels.phases, of = (name) => Array.from({length: p.rows * p.columns}, (_, k) =>
             tms.classify(p.model(name, Math.floor(k / p.columns), k % p.columns).slice(0, 2)));
           return Object.fromEntries(["theory", "exact", "trained", "together"].map((name) => [name, of(name)]))"""
    )
    theory = np.array(classes["theory"])
    assert (np.array(classes["trained"]) == theory).mean() > 0.95
    assert (np.array(classes["exact"]) == theory).mean() > 0.95
    assert "superposed" not in classes["together"]


# ----------------------------------------------------------------------------------------------------------- geometry


def test_geometry_by_mouse_and_keyboard(page):
    show(page, "geometry")
    assert "a pentagon" in page.text("#geometry .status")
    spot = page.run(
        """const g = tms.panels.geometry, d = g.models.findIndex(({kinds}) => kinds.includes("square antiprism"));
           const i = g.models[d].kinds.indexOf("square antiprism"), box = g.canvas.getBoundingClientRect();
           const [x, y] = g.place(d, g.models[d].order.indexOf(i)); return [x / box.width, y / box.height, d, i]"""
    )
    mouse(page, middle(page, "#geometry canvas", *spot[:2]))
    assert "a square antiprism" in page.text("#geometry .status")
    d, i = page.run("return tms.panels.geometry.chosen")
    assert d == spot[2]
    W = np.array(page.run("return [...tms.panels.geometry.models[d].W]", d=d)).reshape(20, 200)
    linked = np.flatnonzero((abs(W.T @ W)[i] > 0.2) & (tms.feature_norms(W) > 0.5))
    corners = page.run("return tms.panels.geometry.solid.at.length")
    assert corners == 8 >= len(linked)
    assert f"D = {tms.dimensionality(W)[i]:.3g}"[:8] in page.text("#geometry .status")
    keys(page, "#geometry canvas", "ARROW_LEFT", "ARROW_UP")
    after = page.run("return tms.panels.geometry.chosen")
    assert after[0] == d - 1
    D = np.array(page.run("return [...tms.panels.geometry.models[d].D]", d=d - 1))
    assert (D < D[after[1]]).sum() >= 1


def test_geometry_turns_until_told_not_to(page):
    show(page, "geometry")
    turn = page.run("return tms.panels.geometry.turn")
    page.wait("tms.panels.geometry.turn > turn + 0.1", turn=turn)
    keys(page, "#geometry input[type=checkbox]", "SPACE")
    turn = page.run("return tms.panels.geometry.turn")
    page.driver.execute_async_script("const done = arguments[0]; let n = 5; const f = () => (n-- ? requestAnimationFrame(f) : done()); f()")
    assert page.run("return tms.panels.geometry.turn") <= turn + 0.02


# ---------------------------------------------------------------------------------------------- widths, themes, access


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_and_looks(browser, tmp_path, width, theme):
    """Nothing sticks out at any width; the screenshots, to be looked at, are in pytest's temporary folder."""
    browser.open(width=width, theme=theme)
    browser.wait("tms.panels.train.training.done")
    seen = set()
    for panel in PANELS:
        show(browser, panel)
        height, wide = browser.run("const e = document.documentElement; return [e.scrollHeight, e.scrollWidth]")
        assert wide <= width
        browser.size(width, height)
        picture = tmp_path / f"{panel}_{width}_{theme}.png"
        browser.driver.save_screenshot(str(picture))
        seen.add(picture.read_bytes())
        browser.size(width, 1000)
    assert len(seen) == len(PANELS)
    assert browser.log() == []


@pytest.mark.parametrize("theme", THEMES)
def test_text_stands_out_from_its_background(browser, theme):
    """WCAG's contrast of at least 4.5 for text, 3 for marks."""
    browser.open(theme=theme)
    names = ("ink", "soft", "accent", "on-accent", "paper", "card", "encode", "decode", "down", "best")
    hexes = browser.run("const s = getComputedStyle(document.documentElement); return names.map((n) => s.getPropertyValue('--' + n).trim())",
                        names=names)  # fmt: skip
    light = {name: luminance(value) for name, value in zip(names, hexes, strict=True)}
    for text, ground, least in [("ink", "paper", 4.5), ("ink", "card", 4.5), ("soft", "paper", 4.5), ("soft", "card", 4.5),
                                ("accent", "paper", 4.5), ("on-accent", "accent", 4.5), ("encode", "card", 3),
                                ("decode", "card", 3), ("down", "card", 3), ("best", "paper", 3)]:  # fmt: skip
        low, high = sorted([light[text], light[ground]])
        assert (high + 0.05) / (low + 0.05) >= least, (text, ground)


def luminance(color):
    channels = np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_everything_has_a_name(page):
    """What one can press or change is named for those who do not see it, and so is every drawing."""
    unnamed = page.run(
        """const named = (e) => e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.textContent.trim()
             || e.labels?.[0]?.textContent.trim();
           return [...document.querySelectorAll('button, input, select, [tabindex], [role=img], [role=tab], [role=tabpanel]')]
             .filter((e) => !named(e) && !e.closest('[aria-hidden]')).map((e) => e.outerHTML.slice(0, 100))"""
    )
    assert unnamed == []


def test_tabs_by_keyboard(page):
    keys(page, "#tab-train", "ARROW_RIGHT", )
    assert page.find("#drag").is_displayed()
    keys(page, "#tab-drag", "ARROW_LEFT")
    keys(page, "#tab-train", "ARROW_LEFT")
    assert page.find("#geometry").is_displayed()
    assert page.run("return document.activeElement.id") == "tab-geometry"
    assert page.run("return [...document.querySelectorAll('[role=tab]')].map((t) => t.tabIndex)") == [-1, -1, -1, 0]


def test_those_who_want_no_motion_see_none(browser):
    browser.open(motion="reduce")
    browser.wait("tms.panels.train.training.done")
    assert "a regular pentagon" in browser.text("#train .status")
    show(browser, "geometry")
    assert not browser.find("#geometry input[type=checkbox]").is_selected()
    assert browser.log() == []


def test_code_is_copied(page):
    page.find("#copy").click()
    page.wait("['Copied', 'Selected'].includes(document.querySelector('#copy').textContent)")
