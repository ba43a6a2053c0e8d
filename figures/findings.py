"""What a run leaves behind: pictures, ``NAME.json`` with the numbers and the claims, and ``README.md`` around them.

Every file is written whole or not at all. ``README.md`` is put together from the scripts' docstrings and from all
``NAME.json`` of the folder, so running one figure changes its own section and leaves the others' numbers alone. Two
pages quote the numbers of all figures: ``summary.md``, which stands on top of that ``README.md``, and
``summary_short.md``, which stands between two marks in the project's.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import tempfile
import textwrap
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import figures
from figures.claims import NOT, NOT_RUN, PARTLY, REPRODUCED

HEADER = """\
# Findings

Each figure below states claims: by the [paper](https://transformer-circuits.pub/2022/toy_model/index.html) (Elhage et
al., *Toy Models of Superposition*, 2022), by an
[earlier replication](https://github.com/zroe1/toy-models-of-superposition) of it (zroe1, 2023), from closed forms, or
our own. Every claim is a number held against a bound that was fixed before the run that it judges: the source's own
where it states a number, otherwise ours, and then in a few cases after a look at trial runs. A value is measured once
for each seed (or model, or cell); a claim is **reproduced** if all its values hold, **partly** if at least half of them
do, and **not** otherwise. *Measured* gives the median (lowest to highest, how many values), *margin* the distance of
the worst value to its bound.

This page is written by `python -m figures`; every measured number on it comes from that run.
"""
HERE = Path(figures.__file__).parent
PACKAGE_DATA = HERE.parent / "minitms" / "data"
COLUMNS = ("claim", "by", "expected", "measured", "margin", "verdict")


def prose(name):
    """Title and text of a figure, from its script's docstring; nothing is imported."""
    docstring = ast.get_docstring(ast.parse(Path(find_spec(f"figures.{name}").origin).read_text(encoding="utf-8")))
    title, _, text = docstring.partition("\n")
    return title.strip().rstrip("."), text.strip()


def save(folder, name, rows, result, quick):
    """Write a figure's files and its ``NAME.json`` into `folder`."""
    for file, content in result.files.items():
        if not file.startswith(name) and not file.endswith(".npz"):  # that is an example of the package
            raise ValueError(f"figure {name} writes {file!r}; expected a file name that begins with {name!r}")
        write_whole(place(folder, file), content if callable(content) else _png(content))
    record = {"quick": quick, "files": list(result.files), "claims": rows, "numbers": _plain(result.numbers)}
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    text = re.sub(r"\[[^][{}\"]*\]", lambda row: re.sub(r"\s+", "", row[0]).replace(",", ", "), text)  # rows of numbers
    write_whole(folder / f"{name}.json", lambda path: path.write_text(text, encoding="utf-8"))


def place(folder, file):
    """Where a figure's file goes: arrays that the repository's own run leaves come with the package."""
    return (PACKAGE_DATA if file.endswith(".npz") and folder == HERE else folder) / file


def write_readme(folder):
    """Write ``README.md`` from every figure that has left its numbers in `folder`."""
    records = _records(folder)
    contents = "".join(f"- [{prose(name)[0]}](#{_anchor(prose(name)[0])}): {len(record['claims'])} claims\n"
                       for name, record in records.items())
    if summary := _page("summary.md", records):
        summary = f"## In short\n\n{summary}\n## Figure by figure\n\n"
    sections = "\n".join(_section(name, record) for name, record in records.items())
    text = f"{HEADER}\n**{counts(_rows(records))}.**\n\n{summary}{contents}\n{sections}"
    write_whole(folder / "README.md", lambda path: path.write_text(text, encoding="utf-8"))


def write_summary(readme):
    """Write the page ``summary_short.md``, with its numbers, into the project's README, once every figure has them."""
    text = _page("summary_short.md", _records(HERE))
    if not text:
        return
    before, begin, rest = readme.read_text(encoding="utf-8").partition("<!-- results:begin -->\n")
    _, end, after = rest.partition("<!-- results:end -->")
    write_whole(readme, lambda path: path.write_text(before + begin + text + end + after, encoding="utf-8"))


def _page(page, records):
    """A page of `figures/` with its numbers; empty while a figure lacks them, or has those of a small size only."""
    path = Path(figures.__path__[0]) / page
    if not path.exists() or len(records) < len(figures.NAMES) or any(record["quick"] for record in records.values()):
        return ""
    return filled(path.read_text(encoding="utf-8"), records)


def filled(text, records):
    """A text with the numbers of figures in it.

    ``{{NAME.key:.2f}}`` is a number of a figure, ``{{claims}}`` the count of all claims, ``{{claims of NAME, NAME}}``
    how many of the claims of some figures were reproduced.
    """
    text = text.replace("{{claims}}", counts(_rows(records)))
    text = re.sub(r"\{\{claims of ([\w, ]+)\}\}", lambda match: _share(records, match[1].split(", ")), text)
    return re.sub(r"\{\{(\w+)\.(\w+)(?::([^}]*))?\}\}",
                  lambda match: _quote(match[1], records[match[1]], match[2], match[3]), text)


def _share(records, names):
    verdicts = [row["verdict"] for name in names for row in records[name]["claims"]]
    return f"{verdicts.count(REPRODUCED)} of {len(verdicts)}"


def _records(folder):
    """What each figure has left in `folder`."""
    records = {}
    for name in figures.NAMES:
        with contextlib.suppress(FileNotFoundError):
            records[name] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return records


def _rows(records):
    return [row for record in records.values() for row in record["claims"]]


def counts(rows):
    """How many claims there are, and with what verdicts."""
    verdicts = [row["verdict"] for row in rows]
    by_verdict = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in (REPRODUCED, PARTLY, NOT, NOT_RUN)
                           if verdict in verdicts)
    return f"{len(verdicts)} claim{'s' * (len(verdicts) != 1)}: {by_verdict}"


def table(rows, width):
    """Rows of claims as text of at most `width` columns, where that is possible: long claims are wrapped.

    Those that were not run at this size are counted only.
    """
    rows, others = [row for row in rows if row["verdict"] != NOT_RUN], _not_run(rows)
    if not rows:
        return others
    widths = [max(len(row[column]) for row in rows) for column in COLUMNS[1:]]
    room = max(30, min(max(len(row["claim"]) for row in rows), width - sum(widths) - 2 * len(widths)))
    lines = []
    for row in rows:
        first, *more = textwrap.wrap(row["claim"], room)
        cells = [row[column].ljust(w) for column, w in zip(COLUMNS[1:], widths, strict=True)]
        lines.append("  ".join([first.ljust(room), *cells]).rstrip())
        lines.extend(more)
        if row["verdict"] != row["expect"]:
            lines.append(f"  ^ expected verdict: {row['expect']}")
    return "\n".join(lines + [others] * bool(others))


def _not_run(rows):
    """How many claims are not judged, in words; empty if all are."""
    count = sum(row["verdict"] == NOT_RUN for row in rows)
    return f"{count} claim{'s' * (count != 1)} {NOT_RUN}" if count else ""


def write_whole(path, write):
    """Call `write` with a path in a folder of its own, then move the file into place: whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        temporary = Path(folder) / path.name
        write(temporary)
        os.replace(temporary, path)


def _png(figure):
    # Without the Software entry the bytes do not depend on anything but the picture.
    return lambda path: figure.savefig(path, metadata={"Software": None})


def _plain(value):
    """Numbers as JSON knows them, with six significant digits."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(f"{value:.6g}")
    return value


def _section(name, record):
    title, text = prose(name)
    parts = [f"## {title}\n"]
    if record["quick"]:
        parts.append("*Made with `--quick`, at a small size: to look at, not to rely on.*\n")
    parts.extend(f"![{title}]({file})\n" for file in record["files"] if file.endswith((".png", ".gif")))
    text = re.sub(r"\{\{(\w+)(?::([^}]*))?\}\}", lambda match: _quote(name, record, *match.groups()), text)
    parts.append(text + "\n")
    parts.append("| " + " | ".join(COLUMNS) + " |\n" + "|" + " --- |" * len(COLUMNS))
    for row in record["claims"]:
        if row["verdict"] == NOT_RUN:
            continue
        cells = [row[column].replace("|", "\\|") for column in COLUMNS]
        cells[-1] = f"**{cells[-1]}**" + (f": {row['reason']}" if row["reason"] else "")
        parts.append("| " + " | ".join(cells) + " |")
    if others := _not_run(record["claims"]):
        parts.append(f"\n{others[0].upper()}{others[1:]}.")
    return "\n".join(parts) + "\n"


def _quote(name, record, key, form):
    if key not in record["numbers"]:
        raise ValueError(f"the prose of {name} quotes {key}, which make() did not return; "
                         f"it returned {', '.join(sorted(record['numbers']))}")
    return format(record["numbers"][key], form or "")


def _anchor(title):
    """The anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
