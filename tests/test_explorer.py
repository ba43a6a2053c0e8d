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


# ---------------------------------------------------------------------------------------------------- built and shown


def test_the_page_is_that_of_its_sources():
    assert build.PAGE.read_text(encoding="utf-8") == build.page(), "stale: python -m minitms.explorer --build"


def test_the_page_is_one_small_file_that_loads_nothing():
    text = build.PAGE.read_text(encoding="utf-8")
    assert len(text.encode()) < 1_500_000
    paper = "https://transformer-circuits.pub/2022/toy_model/index.html"
    text = text.replace(f'<a href="{paper}">', "", 1)  # a link, which loads nothing before somebody follows it
    assert re.findall(r"""\b(?:src|href)\s*=\s*["']?([^"'>\s]*)""", text) == ["data:,"]
    assert not re.search(r"@import|url\(|\bfetch\(|XMLHttpRequest|WebSocket|\bimport\(", text)
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


def test_without_sources_it_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(build, "SOURCE", tmp_path / "source")
    with pytest.raises(SystemExit):
        command.main(["--build"])
    assert "the sources are not installed with the page" in capsys.readouterr().err


def test_python_minus_m_knows_the_command():
    finished = subprocess.run([sys.executable, "-m", "minitms.explorer", "--help"], cwd=ROOT, capture_output=True,
                              text=True, timeout=120, env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert "--build" in finished.stdout
    assert not finished.stderr


# What holders of notebooks allow the output of a cell: scripts but no origin of its own, or nothing from elsewhere.
BARE, STRICT = "", "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"


@pytest.mark.parametrize("sandbox", [None, "allow-scripts"])
@pytest.mark.parametrize("policy", [BARE, STRICT])
def test_it_loads_nothing_and_works_in_a_frame(browser, tmp_path, sandbox, policy):
    """As in a notebook; also where the frame has no storage, no cookies, no origin, and may load nothing at all."""
    frame = tms.explorer()._repr_html_()
    if sandbox:
        frame = frame.replace("<iframe", f'<iframe sandbox="{sandbox}"')
    holder = tmp_path / "notebook.html"
    holder.write_text("<!doctype html><meta charset=utf-8><link rel=icon href='data:,'>"
                      f'<meta http-equiv="Content-Security-Policy" content="{policy}">{frame}', encoding="utf-8")
    browser.open(holder.as_uri())
    browser.driver.switch_to.frame(0)
    browser.wait("tms?.panels.train.training.done")
    assert "a regular pentagon" in browser.text("#train .status")
    for panel in PANELS[1:]:
        browser.show(panel)
    browser.find("#copy").click()
    assert browser.text("#copy") == "Copied"
    assert browser.run("return performance.getEntriesByType('resource').length") == 0
    assert browser.run("try { return localStorage.length } catch { return 'none' }") == ("none" if sandbox else 0)
    browser.driver.switch_to.default_content()
    assert browser.log() == []


# ------------------------------------------------------------------------------------------ without what it needs


def missing(browser):
    """What the page says of itself where it cannot run."""
    browser.wait("getComputedStyle(document.getElementById('missing')).visibility === 'visible'")
    assert browser.find("#missing").is_displayed()
    assert not browser.find("#python").is_displayed()
    return browser.find("#missing").text


def test_without_javascript_it_says_what_it_needs(browser):
    browser.emulate("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open()
        assert "JavaScript" in missing(browser)
    finally:
        browser.emulate("Emulation.setScriptExecutionDisabled", value=False)


@pytest.mark.parametrize("name", ["ResizeObserver", "BigUint64Array", "matchMedia"])
def test_in_a_browser_without_what_it_needs_it_says_so(browser, name):
    source = {"source": f"delete window.{name}"}
    script = browser.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", source)
    try:
        browser.open()
        text = missing(browser)
    finally:
        browser.emulate("Page.removeScriptToEvaluateOnNewDocument", **script)
    assert "Chrome, Edge, Firefox or Safari" in text
    assert f"The browser says: Uncaught ReferenceError: {name} is not defined" in text or f"{name} is not a" in text
    assert name in " ".join(browser.log())


@pytest.mark.parametrize("share", [0.3, 0.95])
def test_a_file_that_is_cut_off_says_so(browser, tmp_path, share):
    text = build.PAGE.read_text(encoding="utf-8")
    short = tmp_path / "short.html"
    short.write_text(text[: int(share * len(text))], encoding="utf-8")
    browser.open(short.as_uri())
    assert "the file is not complete: get it anew" in missing(browser)
    assert browser.log() == []


def test_where_all_is_well_no_such_message_is_seen(page):
    assert not page.find("#missing").is_displayed()


def test_without_the_page_the_package_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(sys.modules["minitms.explorer"], "PAGE", tmp_path / "explorer.html")
    with pytest.raises(FileNotFoundError, match=r"the page is missing; expected .*explorer\.html. Install"):
        tms.explorer()


# ---------------------------------------------------------------------------------------------- widths, themes, access


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_and_looks(browser, tmp_path, width, theme):
    """Nothing sticks out at any width; the screenshots, to be looked at, are in pytest's temporary folder."""
    browser.open(width=width, theme=theme)
    browser.wait("tms.panels.train.training.done")
    seen = set()
    for panel in PANELS:
        browser.show(panel)
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
    hexes = browser.run(
        """const style = getComputedStyle(document.documentElement);
           return names.map((name) => style.getPropertyValue("--" + name).trim())""",
        names=names,
    )  # fmt: skip
    light = {name: luminance(value) for name, value in zip(names, hexes, strict=True)}
    texts = [("ink", "paper"), ("ink", "card"), ("soft", "paper"), ("soft", "card"), ("accent", "paper"),
             ("on-accent", "accent")]  # fmt: skip
    marks = [("encode", "card"), ("decode", "card"), ("down", "card"), ("best", "paper")]
    for text, ground, least in [(*pair, 4.5) for pair in texts] + [(*pair, 3) for pair in marks]:
        low, high = sorted([light[text], light[ground]])
        assert (high + 0.05) / (low + 0.05) >= least, (text, ground)


def luminance(color):
    channels = np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_everything_has_a_name(page):
    """What one can press or change is named for those who do not see it, and so is every drawing."""
    unnamed = page.run(
        """const named = (e) => e.getAttribute('aria-label') || e.getAttribute('aria-labelledby')
             || (e.tagName !== 'SELECT' && e.textContent.trim()) || e.labels?.[0]?.textContent.trim();
           const all = 'button, input, select, [tabindex], [role=img], [role=tab], [role=tabpanel]';
           return [...document.querySelectorAll(all)].filter((e) => !named(e) && !e.closest('[aria-hidden]'))
             .map((e) => e.outerHTML.slice(0, 100))"""
    )
    assert unnamed == []


def test_tabs_by_keyboard(page):
    page.press("#tab-train", "ARROW_RIGHT")
    assert page.find("#drag").is_displayed()
    page.press("#tab-drag", "ARROW_LEFT")
    page.press("#tab-train", "ARROW_LEFT")
    assert page.find("#geometry").is_displayed()
    assert page.run("return document.activeElement.id") == "tab-geometry"
    assert page.run("return [...document.querySelectorAll('[role=tab]')].map((t) => t.tabIndex)") == [-1, -1, -1, 0]


def test_those_who_want_no_motion_see_none(browser):
    browser.open(motion="reduce")
    browser.wait("tms.panels.train.training.done")
    assert "a regular pentagon" in browser.text("#train .status")
    browser.show("geometry")
    assert not browser.find("#geometry input[type=checkbox]").is_selected()
    assert browser.log() == []


def test_code_is_copied(page):
    page.find("#copy").click()
    assert page.text("#copy") == "Copied"
    page.run("document.body.append(Object.assign(document.createElement('textarea'), {id: 'paste'}))")
    page.press("#paste", "CONTROL", "v")
    assert page.run("return document.getElementById('paste').value") == page.text("#code")
    page.wait("document.getElementById('copy').textContent === 'Copy'")
