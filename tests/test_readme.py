"""Every Python example of the pages runs alone, copied as it stands, and prints and draws what the page says."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
         for path in (ROOT / "README.md", *sorted((ROOT / "tutorials").glob("*.md")))}


def examples():
    """Blocks of Python and what they print: the block of text that follows at once, or nothing."""
    for page, text in PAGES.items():
        blocks = re.findall(r"^```(\w*)\n(.*?)^```\n(?=(\n```text)?)", text, re.DOTALL | re.MULTILINE)
        assert {language for language, *_ in blocks} <= {"python", "text", "sh", ""}
        for k, (language, code, shown) in enumerate(blocks):
            if language == "python":
                yield pytest.param(code, blocks[k + 1][1] if shown else "", id=f"{page} {k}")


EXAMPLES = list(examples())


def printed_here(code):
    with contextlib.redirect_stdout(io.StringIO()) as printed, plt.rc_context():
        exec(code, {"__name__": "__main__"})
    return printed.getvalue()


@pytest.mark.parametrize(("code", "output"), [case for case in EXAMPLES if "dask" in case.values[0]])
def test_dask_examples_run_on_a_cluster_in_one_process(code, output, tmp_path):
    """As they stand but for the cluster's address, and for 6 x 6 cells in place of 10,000 x 10,000."""
    pytest.importorskip("distributed")
    here = 'Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=None)'
    smaller = code.replace('Client("tcp://scheduler:8786")', here).replace("10_000", "6")
    assert here in smaller
    assert "10_000" not in smaller
    finished = subprocess.run(
        [sys.executable, "-c", smaller], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == output
    assert list(tmp_path.glob("*illion/chunk-*.npz"))


TESTS = [case for case in EXAMPLES if "def test_" in case.values[0]]


@pytest.mark.parametrize(("code", "output"), TESTS)
def test_examples_that_are_tests_are_files_for_pytest(code, output, tmp_path):
    (tmp_path / "test_layer.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "test_layer.py"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    printed = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True).stdout
    assert printed.splitlines()[-1].partition(" in ")[0] + "\n" == output, printed


@pytest.mark.parametrize(
    ("code", "output"), [case for case in EXAMPLES if "dask" not in case.values[0] and case not in TESTS]
)
def test_python_examples_run_alone_and_print_what_stands_below_them(code, output, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert printed_here(code) == output
    plt.close("all")
    for drawn in tmp_path.glob("*.png"):
        if (shown := ROOT / "figures" / drawn.name).exists():
            assert alike(drawn, shown), f"copy {drawn} to figures/"


def alike(*paths):
    """Whether two pictures show the same: in patches of 10 x 10 pixels, so that a font may be another one."""
    first, second = (np.asarray(Image.open(path).convert("L"), float) / 255 for path in paths)
    height, width = (side // 10 * 10 for side in first.shape)
    patches = [image[:height, :width].reshape(height // 10, 10, width // 10, 10).mean(axis=(1, 3))
               for image in (first, second) if image.shape == first.shape]
    return len(patches) == 2 and abs(patches[0] - patches[1]).max() < 0.1


def test_pictures_of_other_models_are_not_alike(tmp_path):
    code = next(case.values[0] for case in EXAMPLES if "savefig" in case.values[0])
    shown, other = tmp_path / "shown.png", tmp_path / "other.png"
    for path, change in ((shown, "seed=0"), (other, "seed=1")):
        exec(code.replace("seed=0", f"steps=300, {change}").replace('"superposition.png"', repr(str(path))), {})
    plt.close("all")
    assert alike(shown, shown)
    assert not alike(shown, other)


def test_there_are_examples():
    in_readme = [case for case in EXAMPLES if case.id.startswith("README")]
    assert len(in_readme) >= 2
    assert all(case.values[1] for case in in_readme)
    assert [case.id.split()[0] for case in TESTS] == ["README.md"]


def test_the_commands_are_those_of_ci():
    """The commands of the README end as CI's do, so that what is promised is what is checked."""
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for page in (README, ci):
        assert "-m pytest\n" in page
        assert "-m figures --quick\n" in page


def test_each_command_does_all_of_its_own_set_up():
    set_up = "python3 -m venv .venv && .venv/bin/python -m pip install -e "
    commands = re.findall(r"^```sh\n(.*)\n```$", README, re.MULTILINE)
    assert [command.rpartition(" && ")[2] for command in commands] == [
        ".venv/bin/python -m figures --quick", ".venv/bin/python -m pytest"
    ]  # fmt: skip
    assert all(command.startswith(set_up) for command in commands)


def test_who_comes_from_arena_or_pytorch_finds_the_words_where_arena_is_named():
    section = README.partition("## What it is for\n")[2].partition("\n## ")[0]
    box = section.partition("<details><summary><b>Coming from ARENA")[2].partition("</details>")[0]
    assert section.index("[ARENA]") < section.index("<details>") < section.index("| you want to |")
    for word in ("density[:, None]", "loss_on(x)", "learning_rate=1e-2"):
        assert word in box


def test_the_chain_and_its_gradient_are_those_of_the_model():
    """README's formulas are, letter by letter, those that stand beside the code."""
    model = (ROOT / "minitms" / "model.py").read_text(encoding="utf-8")
    said = re.findall(r"`d(\w) = (.+?)`", README[: README.index("## The paper, figure by figure")])
    beside = dict(re.findall(r"->  ?∂L/∂(\w) = (.*)$", model, re.MULTILINE))
    assert [thing for thing, _ in said] == list("EahDbzyW")
    for thing, formula in said:
        assert formula == re.sub("∂L/∂(?=[DE])", "d", beside[thing])
    for line in ("a = x Eᵀ", "h = f(a)", "z = h D + b", "y = g(z)"):
        assert f"| `{line}`" in README
        assert f"    {line}  " in model
    (loss,) = re.findall(r"^    L = mean over the batch of  (.*?),", model, re.MULTILINE)
    assert f"`L` = mean over the batch of `{loss}`" in README


def test_the_speed_in_words_is_that_of_the_picture():
    kept = list(json.loads((ROOT / "tests/benchmarks/speed.json").read_text(encoding="utf-8")).values())[-1]
    times = [rates["minitms"] / rates["PyTorch"] for rates in kept["training"].values()]
    assert f"Training is {min(times):.0f} to {max(times):.0f} times as fast" in README


def test_the_gradient_checkers_in_words_are_those_of_the_table():
    found = json.loads((ROOT / "tests/benchmarks/gradient_hard_checkers.json").read_text(encoding="utf-8"))["checkers"]

    def count(gradient, said):
        each = {name: sum(kind.get(gradient, {}).get(said, 0) for kind in checker["kinds"].values())
                for name, checker in found.items()}
        ours = next(name for name in each if name.startswith("minitms"))
        return each.pop(ours), min(each.values()), max(each.values())

    (passed, *others_passed), (refused, *others_refused) = count("wrong", "passes"), count("right", "refuses")
    text = " ".join(README.split())
    assert f"it passed {passed} of 2,044 wrong gradients and refused {refused} of 2,047 right ones" in text
    assert "passed {:,} to {:,}, and refused {:,} to {:,}.".format(*others_passed, *others_refused) in text
