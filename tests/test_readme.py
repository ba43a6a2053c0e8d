"""The README's examples run, and print what it says."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_python_examples_run_and_print_what_stands_below_them():
    """All blocks run in one session, in their order; a text block is what the block above it prints."""
    blocks = re.findall(r"```(python|text)\n(.*?)```", README, flags=re.DOTALL)
    assert [kind for kind, _ in blocks][:2] == ["python", "text"]
    session, printed = {}, ""
    for kind, block in blocks:
        if kind == "text":
            assert printed == block
            continue
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(block, session)
        printed = output.getvalue()


def test_the_commands_are_those_of_ci():
    """The test command of the README ends as CI's does, so that what is promised is what is checked."""
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "-m pytest\n" in README
    assert "-m pytest\n" in ci
    assert "-m figures\n" in README
    assert "-m figures --quick\n" in ci
