"""What every test shares: a compile cache of its own, repeatable Hypothesis runs, and no silent skips in CI."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent


# Processes that a test starts inherit this folder. It must be set before numba is imported.
os.environ["NUMBA_CACHE_DIR"] = str(ROOT / ".numba_cache")
os.environ.setdefault("MPLBACKEND", "Agg")

# A shell starts what it runs in the background with Ctrl-C ignored, and children inherit that. The tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline: the first example of a test may compile for seconds. Derandomised: a red test is red again.
# `--hypothesis-profile=explore` looks at new examples, and at more of them.
settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=60)
settings.register_profile("explore", deadline=None, max_examples=1000, print_blob=True)
settings.load_profile("repeatable")


def pytest_sessionfinish(session):
    """A test skipped for want of an optional package proves nothing: under MINITMS_NO_SKIP=1 it fails the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("MINITMS_NO_SKIP") == "1" and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line(f"{len(reporter.stats['skipped'])} skipped, and MINITMS_NO_SKIP=1 allows none", red=True)
