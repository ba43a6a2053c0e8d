"""Long work in chunks: all of it, in order, of about a tenth of a second, and ended wherever somebody wants to look."""

from __future__ import annotations

import io
import sys
import time
import types

import pytest

from minitms import _pace
from minitms._pace import CHUNK_SECONDS, bar, chunks
from minitms.fast import jit


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves only when it is told to."""
    clock = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr(_pace.time, "perf_counter", lambda: clock.now)
    return clock


def work(clock, seconds, *arguments, **options):
    """The chunks of work that takes so many seconds a unit: a number, or a function of the unit."""
    seconds = seconds if callable(seconds) else lambda unit, each=seconds: each
    done = []
    for first, last in chunks(*arguments, **options):
        clock.now += sum(seconds(unit) for unit in range(first, last)) + 1e-12
        done.append((first, last))
    return done


@pytest.mark.parametrize("seconds", [1e-9, 1e-3, 0.03, 7.0])
@pytest.mark.parametrize(
    ("first", "last", "stops"),
    [(0, 0, []), (0, 1, []), (5, 5, [5]), (3, 1000, []), (0, 1000, [0, 1, 7, 7, 500, 999, 1000, 2000]),
     (10, 20, [3, 25]), (0, 30, range(31)), (0, 100, [90, 10, 50])],
)  # fmt: skip
def test_the_chunks_are_the_whole_and_end_at_every_stop(clock, first, last, stops, seconds):
    done = work(clock, seconds, first, last, stops)
    assert [unit for one, end in done for unit in range(one, end)] == list(range(first, last))
    assert {stop for stop in stops if first < stop < last} <= {end for _, end in done}
    assert all(end > one for one, end in done)


@pytest.mark.parametrize("seconds", [1e-5, 1e-3, 0.02])
def test_a_chunk_takes_a_tenth_of_a_second(clock, seconds):
    lengths = [(last - first) * seconds for first, last in work(clock, seconds, 0, 10**6 if seconds < 1e-4 else 10**4)]
    assert all(0.5 * CHUNK_SECONDS < length <= 1.01 * CHUNK_SECONDS for length in lengths[1:-1])


def test_work_that_becomes_slow_is_cut_shorter_and_work_that_becomes_fast_longer(clock):
    done = work(clock, lambda unit: 1e-4 if unit < 5000 or unit > 6000 else 0.05, 0, 20_000)
    sizes = {first: last - first for first, last in done}
    assert max(size for first, size in sizes.items() if 5000 < first and first + size < 6000) <= 2
    assert max(size for first, size in sizes.items() if first > 6010) > 500


def test_units_that_take_longer_than_a_chunk_come_one_by_one(clock):
    assert work(clock, 3.0, 0, 5) == [(k, k + 1) for k in range(5)]


def test_the_first_chunk_is_as_large_as_it_is_told(clock):
    assert work(clock, 1e-3, 0, 1000, size=64)[0] == (0, 64)
    assert work(clock, 1e-3, 0, 1000, stops=[10], size=64)[0] == (0, 10)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("progress", "terminal", "disabled", "shown"),
    [(None, True, "", True), (None, False, "", False), (None, True, "1", False), (False, True, "", False),
     (True, False, "", True), (True, True, "1", True)],
)  # fmt: skip
def test_a_bar_is_shown_on_a_terminal_or_on_request(progress, terminal, disabled, shown, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal() if terminal else io.StringIO())
    monkeypatch.setattr(_pace, "SHOWN_AFTER", 0)
    if disabled:
        monkeypatch.setenv("TQDM_DISABLE", disabled)
    else:
        monkeypatch.delenv("TQDM_DISABLE", raising=False)
    with bar(100, " steps", progress) as shown_bar:
        shown_bar.update(7)
        shown_bar.refresh()
    assert bool(sys.stderr.getvalue()) == shown


def test_a_bar_is_shown_in_a_notebook(monkeypatch):
    class ZMQInteractiveShell:
        pass

    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    for shell, shown in ((ZMQInteractiveShell(), True), (object(), False)):
        monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda shell=shell: shell))
        with bar(1, " steps", None) as in_notebook:
            assert in_notebook.disable is not shown


def test_short_work_shows_no_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with bar(100, " steps", None) as fast:
        fast.update(100)
    assert sys.stderr.getvalue() == ""


@pytest.mark.parametrize("compiling", [True, False])
def test_who_waits_for_the_compiler_is_told(compiling, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(_pace, "SHOWN_AFTER", 0.01)
    monkeypatch.setattr(jit, "COMPILING", ["advance"] * compiling)
    monkeypatch.setattr(jit, "NOT_KEPT", [])
    monkeypatch.setenv("COLUMNS", "80")
    with bar(100, " steps", True) as waiting:
        waiting._timer.join()
        assert ("compiling, once" in sys.stderr.getvalue()) == compiling
        time.sleep(0.15)
        waiting.update(3)
        assert sys.stderr.getvalue().split("\r")[-1].startswith("  3%")


def test_nothing_is_left_of_it_where_nothing_came_of_it(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(_pace, "SHOWN_AFTER", 0.01)
    monkeypatch.setattr(jit, "COMPILING", ["advance"])
    with bar(100, " steps", True) as stopped:
        stopped._timer.join()
    *_, said, wiped, end = sys.stderr.getvalue().split("\r")
    assert said.startswith("compiling")
    assert (wiped.strip(), end) == ("", "")


def test_a_bar_fits_a_narrow_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(_pace, "SHOWN_AFTER", 0)
    monkeypatch.setenv("COLUMNS", "30")
    with bar(10**6, " steps", True) as narrow:
        time.sleep(0.15)
        narrow.update(1234)
    shown = [line.strip() for line in sys.stderr.getvalue().split("\r") if line.strip()]
    assert all(len(line) <= 30 for line in shown)
    assert "k steps/s, 0" in shown[-1]  # the rate is not lost
def test_a_bar_in_a_notebook_is_one_element_that_is_empty_at_the_end(monkeypatch):
    class ZMQInteractiveShell:
        pass

    shown = []

    def display(element, raw, display_id, update):
        assert raw
        shown.append((element["text/html"], display_id, update))

    ipython = types.SimpleNamespace(get_ipython=ZMQInteractiveShell, display=types.SimpleNamespace(display=display))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with bar(100, " steps", True) as short:
        short.update(100)
    assert not shown
    monkeypatch.setattr(_pace, "SHOWN_AFTER", 0)
    with bar(100, " steps", True) as long:
        long.update(7)
        long.refresh()
    texts, names, updates = zip(*shown, strict=True)
    assert "7.00/100" in texts[-2]
    assert texts[-1] == ""
    assert len(set(names)) == 1
    assert updates == (False, *[True] * (len(shown) - 1))
    assert sys.stderr.getvalue() == ""
