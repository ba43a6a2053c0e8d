"""Threads share out work: all of it is done, once, in its order, whoever does it."""

from __future__ import annotations

import threading
import time

import pytest

from minitms._threads import PIECES, Threads, cuts


@pytest.mark.parametrize(("items", "parts"), [(0, 3), (1, 3), (7, 2), (7, 7), (1000, 16)])
def test_cuts_cover_the_items_in_order_in_nearly_equal_parts(items, parts):
    ranges = cuts(items, parts)
    assert [item for first, last in ranges for item in range(first, last)] == list(range(items))
    assert len(ranges) == min(items, parts)
    assert max((last - first for first, last in ranges), default=0) <= -(-items // parts)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(("items", "steps"), [(1, 1), (1, 50), (2, 50), (7, 50), (7, 3), (100, 50)])
def test_each_item_takes_each_step_once_and_in_order_and_by_one_thread_at_a_time(count, items, steps):
    taken, at_work, overlaps = [[] for _ in range(items)], [False] * items, []

    def work(first, last, first_step, last_step):
        for item in range(first, last):
            overlaps.append(at_work[item])
            at_work[item] = True
        time.sleep(0.0001 * (first % 3))  # items that cost unequal time
        for item in range(first, last):
            taken[item] += range(first_step, last_step)
            at_work[item] = False

    with Threads(count) as threads:
        threads.share_steps(work, items, steps)
    assert taken == [list(range(steps))] * items
    assert not any(overlaps)


def test_an_odd_item_is_shared_by_both_threads():
    """Seven equal items on two threads: each does about 3 1/2 of them, not one 3 and the other 4."""
    both = threading.Barrier(2)
    done = {}

    def work(first, last, first_step, last_step):
        both.wait(timeout=10)  # as if all took the same time
        name = threading.get_ident()
        done[name] = done.get(name, 0) + (last - first) * (last_step - first_step)

    with Threads(2) as threads:
        threads.share_steps(work, 7, 2 * PIECES)
    assert sorted(done.values()) == [7 * PIECES, 7 * PIECES]


def test_an_error_in_any_thread_reaches_the_caller():
    def work(first, last, first_step, last_step):
        if last == 7:
            raise ZeroDivisionError

    for count in (1, 2, 3):
        with Threads(count) as threads, pytest.raises(ZeroDivisionError):
            threads.share_steps(work, 7, 50)
