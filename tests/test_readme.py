"""Every Python example of the pages runs alone, copied as it stands, and prints what the page says."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "tutorials/README.md", "tutorials/pitfalls.md", "tutorials/your_own_study.md")
}


def examples():
    """Blocks of Python and what they print: the block of text that follows at once, or nothing."""
    for page, text in PAGES.items():
        blocks = re.findall(r"^```(\w*)\n(.*?)^```\n(?=(\n```text)?)", text, re.DOTALL | re.MULTILINE)
        assert {language for language, *_ in blocks} <= {"python", "text", "sh", "powershell", ""}
        for k, (language, code, shown) in enumerate(blocks):
            if language == "python":
                yield pytest.param(code, blocks[k + 1][1] if shown else "", id=f"{page} {k}")


EXAMPLES = list(examples())


@pytest.mark.parametrize(("code", "output"), [case for case in EXAMPLES if "dask" not in case.values[0]])
def test_python_examples_run_alone_and_print_what_stands_below_them(code, output, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, {"__name__": "__main__"})
    assert printed.getvalue() == output


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


def test_there_are_examples():
    assert len(EXAMPLES) >= 5
    assert sum(case.values[1] != "" for case in EXAMPLES) >= 4


def test_the_commands_are_those_of_ci():
    """The test command of the README ends as CI's does, so that what is promised is what is checked."""
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "-m pytest\n" in README
    assert "-m pytest\n" in ci
    assert "-m figures\n" in README
    assert "-m figures --quick\n" in ci
