"""The framework of the figures: verdicts, command line, whole files, generated findings, equal bytes."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import figures
from figures import Claim, always, at_least, at_most, exactly, findings, near
from figures.__main__ import main
from figures.claims import differs

FOLDER = Path(figures.__file__).parent


def claim(bound, **options):
    return Claim("key", "what is claimed", "paper", bound, **options)


@pytest.mark.parametrize(
    ("bound", "values", "verdict", "margin"),
    [
        (at_most(1), [0.5, 1.0], "reproduced", "+0"),
        (at_most(1), [0.5, 1.1], "partly", "-0.1"),
        (at_most(1), [0.5] * 99 + [1.1], "partly", "-0.1"),
        (at_most(1), [0.5, 1.1, 1.2], "not", "-0.2"),
        (at_most(1), 2, "not", "-1"),
        (at_least(1), [1, 3], "reproduced", "+0"),
        (at_least(1), [0.9], "not", "-0.1"),
        (near(72, 5), [70, 75], "reproduced", "+2"),
        (near(72, 5), [66, 72], "partly", "-1"),
        (exactly(5), [[5, 5], [5, 5]], "reproduced", "+0"),
        (exactly(5), [5, 4], "partly", "-1"),
        (always(), [True, True], "reproduced", ""),
        (always(), [True, False, False], "not", ""),
        (at_most(1), [np.nan], "not", "+nan"),
        (at_most(1), [0, np.nan, np.nan], "not", "+nan"),
    ],
)
def test_verdict_and_margin(bound, values, verdict, margin):
    row = claim(bound).row(values)
    assert (row["verdict"], row["margin"]) == (verdict, margin)


def test_measured_values_are_given_as_median_range_and_count():
    assert claim(at_most(9), unit="°").row([1, 2, 7.25])["measured"] == "2° (1 to 7.25, 3 seeds)"
    assert claim(at_most(9)).row(2)["measured"] == "2"
    assert claim(exactly(5)).row([5, 5])["measured"] == "5 (2 seeds)"
    assert claim(exactly(5)).row([5, 4, 5])["measured"] == "5 (4 to 5, 3 seeds); 2 of 3 hold"
    assert claim(always(), each="cell").row([True, False])["measured"] == "1 of 2 cells"


def test_a_claim_without_any_value_is_a_mistake():
    with pytest.raises(ValueError, match="no value was measured"):
        claim(at_most(1)).row([])


def test_a_verdict_differs_only_from_the_expected_one():
    assert not differs(claim(at_most(1)).row(0))
    assert differs(claim(at_most(1)).row(2))
    known = claim(at_most(1), expect="not", reason="known")
    assert not differs(known.row(2))
    assert differs(known.row(0))  # better than expected is news as well
    assert not differs(claim(at_most(1)).row(None))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"expect": "maybe"}, "expect is 'maybe'"), ({"expect": "not"}, "a reason"), ({"reason": "x"}, "a reason")],
)
def test_a_claim_is_declared_properly(options, message):
    with pytest.raises(ValueError, match=message):
        claim(at_most(1), **options)
    with pytest.raises(ValueError, match="by is 'rumour'"):
        Claim("key", "text", "rumour", at_most(1))


SCRIPT = '''
"""Title of {name}

Prose of {name} with {{{{value:.2f}}}} and a formula {{x}}.
"""
import matplotlib.pyplot as plt
import numpy as np
from figures import Claim, PAPER, Result, at_most

CLAIMS = [Claim("small", "|x| is small", PAPER, at_most({bound}), quick=True),
          Claim("full", "full size", PAPER, at_most(9))]

def make(quick):
    fig, ax = plt.subplots(figsize=(2, 1))
    ax.plot([0, 1])
    return Result({{"{name}.png": fig}}, {{"small": [1, 2], "full": 3}},
                  {{"value": np.float64(1) / 3, "rows": np.eye(2), "flag": np.True_}})
'''


@pytest.fixture
def scripts(tmp_path_factory, monkeypatch):
    """Two small figures, `one` and `two`, in place of the real ones; a function that changes them."""
    folder = tmp_path_factory.mktemp("scripts")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # it would outlive an edit within the same second
    monkeypatch.setattr(figures, "__path__", [str(folder)])
    monkeypatch.setattr(figures, "NAMES", ("one", "two"))

    def write(name, bound=2, text=SCRIPT):
        (folder / f"{name}.py").write_text(textwrap.dedent(text).format(name=name, bound=bound))
        sys.modules.pop(f"figures.{name}", None)

    write("one")
    write("two")
    yield write
    for name in ("one", "two"):
        sys.modules.pop(f"figures.{name}", None)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.usefixtures("scripts")
def test_a_run_writes_everything_to_out_and_prints_a_row_a_claim(tmp_path, capsys):
    out = tmp_path / "deep" / "out"
    assert main(["--out", str(out)]) == 0
    assert sorted(contents(out)) == ["README.md", "one.json", "one.png", "two.json", "two.png"]
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines() if "|x| is small" in line]
    assert lines == 2 * ["|x| is small paper at most 2 1.5 (1 to 2, 2 seeds) +0 reproduced"]


@pytest.mark.usefixtures("scripts")
def test_a_second_run_gives_the_same_bytes(tmp_path):
    for name in ("first", "second"):
        assert main(["--out", str(tmp_path / name)]) == 0
    assert contents(tmp_path / "first") == contents(tmp_path / "second")
    assert not any(word in contents(tmp_path / "first")["one.png"] for word in (b"Software", b"matplotlib", b"tIME"))


@pytest.mark.usefixtures("scripts")
def test_the_findings_hold_prose_numbers_claims_and_pictures(tmp_path):
    main(["--out", str(tmp_path)])
    text = (tmp_path / "README.md").read_text()
    assert "## Title of one\n" in text
    assert "[Title of two](#title-of-two)" in text
    assert "Prose of one with 0.33 and a formula {x}." in text
    assert "![Title of one](one.png)" in text
    assert "| \\|x\\| is small | paper | at most 2 | 1.5 (1 to 2, 2 seeds) | +0 | **reproduced** |" in text
    assert "**4 claims: 4 reproduced.**" in text


def test_one_figure_updates_its_own_section_only(tmp_path, scripts):
    main(["--out", str(tmp_path)])
    before = contents(tmp_path)
    scripts("one", bound=1.5)
    assert main(["one", "--out", str(tmp_path)]) == 1
    after = contents(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {"README.md", "one.json"}
    sections = [files["README.md"].decode().split("\n## ")[1:] for files in (before, after)]
    assert sections[0][1] == sections[1][1]
    assert sections[0][0] != sections[1][0]


def test_the_status_is_1_when_a_verdict_is_not_the_expected_one(tmp_path, scripts, capsys):
    scripts("two", bound=1)
    assert main(["--out", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert "expected verdict: reproduced" in out
    assert err == "1 verdicts differ from the expected ones\n"
    assert "every verdict as expected" not in out


@pytest.mark.usefixtures("scripts")
def test_numbers_are_kept_with_six_digits(tmp_path):
    main(["one", "--out", str(tmp_path)])
    text = (tmp_path / "one.json").read_text()
    assert json.loads(text)["numbers"] == {"value": 0.333333, "rows": [[1, 0], [0, 1]], "flag": True}
    assert "[1.0, 0.0]," in text


@pytest.mark.usefixtures("scripts")
def test_quick_goes_to_a_temporary_folder_and_says_what_was_not_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main(["one", "--quick"]) == 0
    out = capsys.readouterr().out
    (folder,) = tmp_path.glob("minitms-figures-*")
    lines = out.splitlines()
    assert [line.endswith("reproduced") for line in lines if "paper" in line] == [True]
    assert "1 claim not run at this size" in lines
    assert lines[-2:] == [
        "2 claims: 1 reproduced, 1 not run at this size; every verdict as expected",
        f"Pictures and findings (README.md) are in {folder}",
    ]
    page = (folder / "README.md").read_text()
    assert "Made with `--quick`" in page
    assert "| full size |" not in page
    assert "\n1 claim not run at this size.\n" in page


@pytest.mark.usefixtures("scripts")
def test_list_prints_titles_and_makes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["--list", "two"]) == 0
    assert capsys.readouterr().out.split() == ["two", "Title", "of", "two"]
    assert "figures.two" not in sys.modules


@pytest.mark.usefixtures("scripts")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["three"], "unknown figure 'three'; expected one of one, two"), (["--fast"], "unrecognized arguments: --fast")],
)
def test_a_wrong_call_is_one_line_and_status_2(arguments, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--out", str(tmp_path / "out")])
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"figures: {message}\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("scripts")
@pytest.mark.parametrize("place", ["file", "file/below"])
def test_an_unwritable_out_is_one_line_and_status_2(place, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as stop:
        main(["--out", str(tmp_path / place)])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"figures: cannot write to {tmp_path / place}: ")
    assert error.count("\n") == 1
    assert "figures.one" not in sys.modules


@pytest.mark.usefixtures("scripts")
def test_a_folder_without_permission_is_noticed_before_any_work(tmp_path, monkeypatch, capsys):
    def refuse(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(SystemExit) as stop:
        main(["--out", str(tmp_path)])
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"figures: cannot write to {tmp_path}: Permission denied; give --out DIR\n"
    assert contents(tmp_path) == {}


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail(temporary):
        temporary.write_text("half")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        findings.write_whole(path, fail)
    assert contents(tmp_path) == {"file.txt": b"old"}
    before = path.stat().st_ino
    findings.write_whole(path, lambda temporary: temporary.write_text("new"))
    assert contents(tmp_path) == {"file.txt": b"new"}
    assert path.stat().st_ino != before  # another file moved into its place, not this one written over


def test_no_file_is_written_through_a_link(tmp_path):
    (tmp_path / "victim").write_text("not ours")
    for name in ("file.txt", ".file.part.txt"):
        (tmp_path / name).symlink_to(tmp_path / "victim")
    findings.write_whole(tmp_path / "file.txt", lambda temporary: temporary.write_text("new"))
    assert (tmp_path / "victim").read_text() == "not ours"
    assert (tmp_path / "file.txt").read_text() == "new"
    assert not (tmp_path / "file.txt").is_symlink()
    assert (tmp_path / ".file.part.txt").is_symlink()


def test_a_disk_that_fills_up_gives_one_line_and_status_2(tmp_path, scripts, capsys):
    scripts("two", text=SCRIPT.replace('"{name}.png": fig', '"{name}.png": full').replace("def make", '''
def full(path):
    raise OSError(28, "No space left on device")

def make'''))
    assert main(["--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"figures: cannot write to {tmp_path}: [Errno 28] No space left on device\n"
    assert sorted(name for name in contents(tmp_path) if name[:3] in ("one", "two")) == ["one.json", "one.png"]


def test_a_file_of_another_name_and_a_missing_number_are_mistakes(tmp_path, scripts):
    scripts("one", text=SCRIPT.replace('"{name}.png"', '"other.png"'))
    with pytest.raises(ValueError, match="begins with 'one'"):
        main(["one", "--out", str(tmp_path)])
    scripts("one", text=SCRIPT.replace("value:.2f", "missing"))
    with pytest.raises(ValueError, match=r"quotes missing.*it returned flag, rows, value"):
        main(["one", "--out", str(tmp_path)])


@pytest.mark.parametrize("name", figures.NAMES)
def test_every_figure_is_declared(name):
    title, text = findings.prose(name)
    assert title
    assert "**How sure" in text
    script = __import__(f"figures.{name}", fromlist=["CLAIMS"])
    keys = [claim.key for claim in script.CLAIMS]
    assert len(keys) == len(set(keys)) > 0


@pytest.mark.parametrize("name", figures.NAMES)
def test_what_is_committed_belongs_to_the_script(name):
    path = FOLDER / f"{name}.json"
    assert path.exists(), f"run python -m figures {name}"
    record = json.loads(path.read_text(encoding="utf-8"))
    rows = {row["key"]: row for row in record["claims"]}
    script = __import__(f"figures.{name}", fromlist=["CLAIMS"])
    assert [(row["key"], row["claim"], row["expected"], row["expect"]) for row in rows.values()] == [
        (claim.key, claim.text, claim.bound.text + claim.unit, claim.expect) for claim in script.CLAIMS
    ], f"run python -m figures {name}"
    assert not record["quick"]
    assert not [row for row in rows.values() if differs(row)]
    for file in record["files"]:
        assert findings.place(FOLDER, file).stat().st_size < (1_500_000 if file.endswith(".npz") else 2**20)


def test_the_findings_are_what_their_numbers_give(tmp_path):
    for path in FOLDER.glob("*.json"):
        shutil.copy(path, tmp_path)
    findings.write_readme(tmp_path)
    committed, written = ((folder / "README.md").read_text(encoding="utf-8") for folder in (FOLDER, tmp_path))
    assert committed == written, "run python -m figures"


def test_long_claims_are_wrapped_to_the_width():
    rows = [claim(at_most(1)).row(0) | {"claim": "word " * 30}]
    lines = findings.table(rows, 100).splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= 100


def test_the_findings_begin_with_the_summary_once_every_figure_has_its_numbers(tmp_path):
    for path in FOLDER.glob("*.json"):
        shutil.copy(path, tmp_path)

    def page():
        findings.write_readme(tmp_path)
        return (tmp_path / "README.md").read_text(encoding="utf-8")

    whole = page()
    assert whole.index("## In short") < whole.index("**Superposition appears") < whole.index("## Figure by figure")
    assert "{{" not in whole
    small = json.loads((tmp_path / "introduction.json").read_text(encoding="utf-8")) | {"quick": True}
    (tmp_path / "introduction.json").write_text(json.dumps(small), encoding="utf-8")
    assert "## In short" not in page()
    (tmp_path / "introduction.json").unlink()
    assert "## In short" not in page()


def test_a_summary_counts_the_claims_that_were_reproduced():
    rows = [[claim(at_most(1)).row(value) for value in values] for values in ((0, 2), (0, 0, 0))]
    records = {name: {"quick": False, "claims": each} for name, each in zip(("one", "two"), rows, strict=True)}
    assert findings.filled("{{claims of one}}; {{claims of one, two}}; {{claims}}", records) == (
        "1 of 2; 4 of 5; 5 claims: 4 reproduced, 1 not"
    )


def test_the_summary_in_the_readme_is_what_the_figures_measured(tmp_path):
    """Written anew from the committed numbers, the README stays as it is."""
    readme = Path(figures.__file__).parent.parent / "README.md"
    text = readme.read_text(encoding="utf-8")
    assert "Features do share dimensions" in text, "run python -m figures"
    copy = tmp_path / "README.md"
    copy.write_text(text, encoding="utf-8")
    findings.write_summary(copy)
    assert copy.read_text(encoding="utf-8") == text, "run python -m figures"
