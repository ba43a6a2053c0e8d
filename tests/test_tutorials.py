"""The course: every notebook runs, is what its source gives, and its exercises can be solved but are not."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("jupytext")
pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
import nbformat

from tutorials import build

ROOT = Path(__file__).resolve().parent.parent
SOURCES = build.sources()
MEND = f"mend it with: {build.COMMAND}"
PART_OF_README = ROOT / "figures" / "summary_short.md"  # a run writes its text, with the numbers, into the README

# Runs in the notebook's own kernel, after its last cell: there the checks and what they need are defined.
TRY_EXERCISES = """
from pathlib import Path as _Path
import traceback as _traceback
_own = dict(globals())
exec(compile(_Path({solutions!r}).read_text(), {solutions!r}, "exec"), globals())
for _name in {names!r}:
    for _who, _answer in (("unsolved", _own[_name]), ("solution", globals()[_name])):
        try:
            _own["check_" + _name](_answer)
        except Exception as _problem:
            print(_name, _who, "fails", type(_problem).__name__)
            if _who == "solution":
                _traceback.print_exc()
        else:
            print(_name, _who, "passes")
"""


def committed(source):
    path = source.with_suffix(".ipynb")
    assert path.exists(), f"{path.name} is missing; {MEND}"
    return nbformat.read(path, as_version=4)


def printed(book):
    """What each cell printed, numbers apart: those may differ in their last digits from machine to machine."""
    texts = []
    for cell in book.cells:
        streams = [output.text for output in cell.get("outputs", []) if output.output_type == "stream"]
        words = re.sub(r"[-+]?\d[\d.e+-]*( (ns|µs|ms|s)\b)?", "#", "".join(streams))
        texts.append(re.sub(r"[][\s#.,]+", " ", words))
    return texts


def exercises(source):
    """Names of the exercises: each is a function NAME, a check_NAME, and a call attempt(check_NAME, NAME)."""
    return re.findall(r"^attempt\(check_(\w+), \1\)$", source.read_text(), re.MULTILINE)


def test_there_are_tutorials():
    """Numbered without a gap; a second half of one has its number and a b."""
    numbers = [build.number(source) for source in SOURCES]
    assert [number for number in numbers if number.isdigit()] == [f"{k:02}" for k in range(int(numbers[-1][:2]) + 1)]
    assert {number[:2] for number in numbers if not number.isdigit()} <= set(numbers)
    assert len(SOURCES) >= 9


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
class TestTutorial:
    def test_notebook_has_the_cells_of_its_source(self, source):
        fresh, kept = build.notebook(source), committed(source)
        assert [(c.cell_type, c.source) for c in kept.cells] == [(c.cell_type, c.source) for c in fresh.cells], (
            f"{source.stem}.ipynb is not what {source.name} gives; {MEND} {build.number(source)}"
        )

    def test_notebook_is_tidy(self, source):
        path = source.with_suffix(".ipynb")
        kept = committed(source)
        assert path.stat().st_size < 1_000_000
        code = [cell for cell in kept.cells if cell.cell_type == "code"]
        assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), MEND
        outputs = [output for cell in code for output in cell.outputs]
        assert all(output.output_type in ("stream", "display_data", "execute_result") for output in outputs), MEND
        assert not [output.text for output in outputs if output.get("name") == "stderr"], MEND
        assert any("image/png" in output.get("data", {}) for output in outputs), "no picture"
        text = path.read_text()
        assert str(ROOT) not in text
        assert "/home/" not in text
        assert "/tmp/" not in text

    def test_runs_and_its_exercises_can_be_solved(self, source):
        names, book = exercises(source), build.notebook(source, checks=True)
        solutions = source.parent / "solutions" / source.name
        outputs = build.execute(book, source, TRY_EXERCISES.format(solutions=str(solutions), names=names))
        book.cells = [cell for cell in book.cells if not build.is_check(cell)]
        build.tidy(book)
        errors = [output for cell in book.cells for output in cell.get("outputs", []) if output.get("name") == "stderr"]
        assert not errors
        assert printed(book) == printed(committed(source)), f"{source.stem}.ipynb prints something else now; {MEND}"
        verdicts = "".join(output.text for output in outputs if output.get("name") == "stdout").splitlines()
        problems = "".join(output.text for output in outputs if output.get("name") == "stderr")
        expected = []
        for name in names:
            expected += [f"{name} unsolved fails NotImplementedError", f"{name} solution passes"]
        assert verdicts == expected, problems

    def test_has_every_part(self, source):
        text = source.read_text()
        for part in ("**You will be able to**", "**You need**", "**Contents**", "**Letters and shapes**",
                     "What to vary", "Exercises", "[map](README.md)"):
            assert part in text, part
        assert len(exercises(source)) >= 2
        assert text.count("<details>") == text.count("</details>")
        assert text.count("**Exercise ") == text.count("<summary>Hint</summary>") == len(exercises(source))
        assert text.count("**Predict.**") == text.count("<summary>Answer</summary>") >= 2

    def test_unsolved_exercises_say_not_yet(self, source):
        attempts = [cell for cell in committed(source).cells if re.search(r"^attempt\(", cell.source, re.MULTILINE)]
        stated = [output.text for cell in attempts for output in cell.outputs]
        assert len(stated) == len(exercises(source))
        assert all(text.startswith("not yet.") for text in stated), stated


def test_solutions_stay_out_of_the_tutorials():
    for source in SOURCES:
        answers = ast.parse((source.parent / "solutions" / source.name).read_text())
        given = {node.name: ast.unparse(node.body) for node in answers.body if isinstance(node, ast.FunctionDef)}
        assert set(exercises(source)) <= given.keys()
        for name in exercises(source):
            stubs = [node for node in ast.walk(ast.parse(source.read_text()))
                     if isinstance(node, ast.FunctionDef) and node.name == name]
            assert len(stubs) == 1
            assert ast.unparse(stubs[0].body[-1]) == "raise NotImplementedError"


def test_copies_to_work_in_have_neither_outputs_nor_checks(tmp_path, monkeypatch):
    source = tmp_path / SOURCES[0].name
    source.write_text(SOURCES[0].read_text())
    monkeypatch.setattr(build, "sources", lambda: [source])
    build.main(["--work"])
    cells = nbformat.read(tmp_path / f"{source.stem}_work.ipynb", as_version=4).cells
    assert [cell.source for cell in cells] == [cell.source for cell in committed(SOURCES[0]).cells]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
    assert "tutorials/*_work.ipynb" in (ROOT / ".gitignore").read_text().splitlines()


def test_what_only_holds_the_text_to_its_numbers_is_not_shown():
    """Such cells are there, the tests run them, and no reader meets them."""
    hidden = [cell for source in SOURCES for cell in build.notebook(source, checks=True).cells if build.is_check(cell)]
    assert len(hidden) > 30
    shown = {cell.source for source in SOURCES for cell in committed(source).cells}
    assert not shown & {cell.source for cell in hidden}


def test_map_measures_every_tutorial():
    table = build.TIMES.search((ROOT / "tutorials" / "README.md").read_text())
    assert table, "the marks of the table are missing in tutorials/README.md"
    assert re.findall(r"^\| \[(\w+)\]", table[0], re.MULTILINE) == [source.stem for source in SOURCES], MEND


def tracked(*patterns):
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns], cwd=ROOT,
                            capture_output=True, text=True, check=False)
    if listed.returncode:  # not a clone: look at everything
        return sorted(path for pattern in patterns for path in ROOT.rglob(pattern))
    return sorted(ROOT / line for line in listed.stdout.splitlines())


def anchors(path):
    """Names that a link with # may point to: headings, as GitHub spells them, and <a id>."""
    text = path.read_text()
    headings = re.findall(r"^(?:# )?#{1,6} (.+)$", text, re.MULTILINE)
    spelled = {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}
    return spelled | set(re.findall(r'<a id=\\?"([\w-]+)\\?"', text))


def links():
    for path in tracked("*.md", "*.ipynb"):
        text = path.read_text()
        if path.suffix == ".ipynb":
            cells = nbformat.read(path, as_version=4).cells
            text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
        for target in targets:
            if not re.match(r"[a-z]+:", target):
                yield path, target


def test_links_inside_the_repository_resolve():
    broken = []
    for path, target in links():
        file, _, anchor = target.partition("#")
        folder = ROOT if path == PART_OF_README else path.parent
        there = (folder / file).resolve() if file else path
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(f"{path.relative_to(ROOT)}: {target}")
    assert not broken


def test_the_link_check_sees_links():
    assert sum(1 for _ in links()) > 20


def test_exercises_are_attempted_in_the_same_way():
    """Each notebook stands by itself, so these lines stand in each: as they are in the others. 05 checks gradients."""
    texts = {}
    for source in SOURCES:
        tree = ast.parse(source.read_text(encoding="utf-8"))
        [attempt] = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "attempt"]
        texts[build.number(source)] = ast.unparse(attempt)
    del texts["05"]
    assert len(set(texts.values())) == 1
    names = {}
    exec(texts["01"], names)
    said = []
    names["print"] = lambda *words: said.append(" ".join(words))

    def blank():
        raise NotImplementedError

    for answer in (blank, lambda: None, lambda: 1):
        names["attempt"](lambda given: given(), answer)
    assert said[0] == "not yet. Fill in the function first."
    assert said[1].startswith("not yet. the function gives nothing back")
    assert said[2] == "solved!"
