"""The short form of damage.py: kills, signals and damages, with processes that are really stopped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("damage.py")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(("options", "found"), [
    (["--stops", "5", "--damages", "0"], "5 of 5 stops resumed to the same bits"),
    (["--stops", "0", "--damages", "60"], "60 of 60 damages"),
])  # fmt: skip
def test_nothing_is_lost_and_nothing_that_is_wrong_is_believed(options, found):
    process = subprocess.run([sys.executable, str(SCRIPT), *options], capture_output=True, text=True, timeout=600)
    assert process.returncode == 0, process.stdout + process.stderr
    assert found in process.stdout
