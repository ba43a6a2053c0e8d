"""Threads share out work: all of it is done, once, in its order, whoever does it."""

from __future__ import annotations

import signal
import threading
import time

import numba
import pytest

from minitms import _interrupt
from minitms.fast.threads import PIECES, Threads, cuts


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


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("items", [0, 1, 2, 7])
def test_equal_parts_are_each_done_once(count, items):
    done = []
    with Threads(count) as threads:
        threads.share(lambda first, last: done.append((first, last)), items)
    assert sorted(done) == cuts(items, count)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("items", [1, 2, 7])
def test_a_step_is_finished_once_when_all_have_taken_it_and_before_the_next(count, items):
    done, lock = [], threading.Lock()

    def work(first, last, t):
        time.sleep(0.0003 * ((first + t) % 3))  # parts that cost unequal time
        with lock:
            done.extend((t, item) for item in range(first, last))

    with Threads(count) as threads:
        threads.share_each_step(work, items, lambda t: done.append((t, "finished")), 5)
    assert [t for t, _ in done] == [t for t in range(5) for _ in range(items + 1)]
    assert [what for _, what in done[items :: items + 1]] == ["finished"] * 5
    assert len(set(done)) == len(done)


WAYS_TO_SHARE = {
    "share": lambda threads, work: threads.share(work, 7),
    "share_steps": lambda threads, work: threads.share_steps(work, 7, 50),
    "share_each_step": lambda threads, work: threads.share_each_step(work, 7, lambda t: None, 50),
}


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("share", WAYS_TO_SHARE)
def test_an_error_in_any_thread_reaches_the_caller_and_the_pool_goes_on(share, count):
    """The others do not wait at the barrier for ever, and it is not the broken barrier that is reported."""
    done = []

    def work(first, last, *steps):
        if last == 7:
            raise ZeroDivisionError

    with Threads(count) as threads:
        with pytest.raises(ZeroDivisionError):
            WAYS_TO_SHARE[share](threads, work)
        WAYS_TO_SHARE[share](threads, lambda *ranges: done.append(ranges))
    assert done


def test_an_error_in_the_finish_of_a_step_reaches_the_caller():
    def finish(t):
        raise ZeroDivisionError

    with Threads(2) as threads, pytest.raises(ZeroDivisionError):
        threads.share_each_step(lambda *ranges: None, 2, finish, 5)


def test_the_thread_that_shares_out_only_waits():
    """Inside a kernel or the compiler it could not hear Ctrl-C."""
    workers = set()
    with Threads(2) as threads:
        for share in WAYS_TO_SHARE.values():
            share(threads, lambda *ranges: workers.add(threading.get_ident()))
    assert workers
    assert threading.get_ident() not in workers


def test_as_many_threads_as_numba_has():
    assert Threads().count == numba.get_num_threads()
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        assert Threads().count == 1
    finally:
        numba.set_num_threads(before)
    with pytest.raises(ValueError, match="threads is 0; expected"):
        Threads(0)


def ctrl_c(*_):
    signal.raise_signal(signal.SIGINT)


def press():
    """Press Ctrl-C from a thread at work; return when the main thread has noted it."""
    before = _interrupt._note.pressed
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    while _interrupt._note.pressed == before:
        time.sleep(0.001)


@pytest.mark.parametrize("share", WAYS_TO_SHARE)
def test_ctrl_c_lets_the_work_at_hand_end_and_is_answered_after_it(share):
    pressed, ended = threading.Event(), []

    def work(*ranges):
        if not pressed.is_set():
            pressed.set()
            press()
        ended.append(ranges)

    whole = []
    with Threads(2) as threads:
        WAYS_TO_SHARE[share](threads, lambda *ranges: whole.append(ranges))
    with pytest.raises(KeyboardInterrupt), Threads(2) as threads:  # noqa: PT012
        WAYS_TO_SHARE[share](threads, work)
        reached = True
        threads.answer()
        reached = False
    assert reached
    assert len(ended) == len(whole)


@pytest.mark.parametrize("share", WAYS_TO_SHARE)
def test_a_second_ctrl_c_does_not_wait(share):
    """Here the work would not end before somebody is free to let it."""
    let_go, both, ended = threading.Event(), threading.Event(), []

    def work(*ranges):
        if not both.is_set():
            both.set()
            press()
            press()
        let_go.wait()
        ended.append(ranges)

    with pytest.raises(KeyboardInterrupt), Threads(2) as threads:
        WAYS_TO_SHARE[share](threads, work)
    assert not ended
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    let_go.set()


def test_a_block_in_a_block_and_in_a_thread():
    """The inner pool takes the outer one's note; the pool of another thread has none and is no hindrance."""
    done = []

    def inside(first, last):
        with Threads(2) as threads:
            threads.share(lambda *part: done.append(part), 4)

    with pytest.raises(KeyboardInterrupt), Threads(2) as outer:  # noqa: PT012
        with Threads(2) as inner:
            inner.share(inside, 2)
            ctrl_c()
        done.append("the inner block has ended")  # and said nothing: the outer one will
        outer.answer()
        done.append("not reached")
    assert done[-1] == "the inner block has ended"
    assert len(done) == 5


def test_ctrl_c_at_any_moment_hangs_no_pool():
    """A hundred times, at moments that are spread over the life of a pool. Each is heard, and the next pool works."""
    main, heard = threading.main_thread().ident, 0
    for number in range(100):
        timer = threading.Timer(number * 2e-5, signal.pthread_kill, (main, signal.SIGINT))
        try:
            timer.start()
            with Threads(2) as threads:
                threads.share_steps(lambda *ranges: None, 7, 5)
                threads.share_each_step(lambda *ranges: None, 4, lambda t: None, 5)
            timer.join()
            time.sleep(0)
        except KeyboardInterrupt:
            heard += 1
        timer.join()
    assert heard == 100
