"""The page, put together from its sources: one HTML file that needs nothing else.

The scripts stand one behind the other and share their names: each uses those before it, and ``main.js`` all of them.
"""

from __future__ import annotations

import json
from pathlib import Path

SOURCE = Path(__file__).parent / "source"
PAGE = Path(__file__).parent / "explorer.html"
SCRIPTS = (
    "numerics/draws.js", "numerics/features.js", "numerics/model.js", "numerics/adam.js", "numerics/training.js",
    "numerics/geometry.js", "numerics/polytopes.js", "numerics/theory.js",
    "numerics/expected.js", "numerics/cubes.js",
    "drawing/elements.js", "drawing/colors.js", "drawing/charts.js", "numbers.js",
    "panels/train.js", "panels/drag.js", "panels/phases.js", "panels/geometry.js", "main.js",
)  # fmt: skip


def page() -> str:
    """The text of the page."""
    scripts = [f"// {'-' * 80} {name}\n\n{_read(name)}" for name in SCRIPTS]
    parts = {
        "style": _read("style.css"),
        "numbers": json.dumps(json.loads(_read("numbers.json")), separators=(",", ":")),
        "script": "'use strict';\n(() => {\n" + "\n".join(scripts) + "})();",
    }
    html = _read("page.html")
    for name, text in parts.items():
        html = html.replace("{{" + name + "}}", text.rstrip())
    return html


def build() -> Path:
    """Write the page to where it is shipped from."""
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
    return PAGE


def _read(name):
    return (SOURCE / name).read_text(encoding="utf-8")
