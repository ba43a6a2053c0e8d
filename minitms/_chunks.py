"""Work in chunks, each a task of its own from start to end: for threads of this process, or for any executor.

What a chunk is depends on the settings only, and so does what comes out of it, wherever it was at work. A checkpoint
keeps the chunks that are finished.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
from collections.abc import Callable

import numba

from minitms import _interrupt
from minitms._fields import like
from minitms.checkpoint import host

WAITING = 64  # chunks that an executor is given ahead of their results


class Stopped(Exception):
    """The work was stopped while this chunk was at it."""


def gather(work, chunks: dict, places: dict, executor, store, bar) -> None:
    """Fill the arrays of all chunks, with what is in the store or what `work` makes.

    Parameters
    ----------
    work : function (*arguments, stopped) that returns a dict of arrays; `stopped()` says that it is to raise `Stopped`
    chunks : the arguments by name; the first two are the first model and the last + 1
    places : by name, a dict of arrays to be filled
    executor : concurrent.futures.Executor, or None for threads of this process
    store : an open `checkpoint.Store`, or None
    bar : of `_pace.bar`, over models
    """
    there = store.names() & chunks.keys() if store else set()

    def take(name, arrays):
        for key, place in places[name].items():
            place[...] = arrays[key]
        bar.update(chunks[name][1] - chunks[name][0])

    for name in there:
        take(name, store.load(name, like(places[name])))
    done = len(there)
    try:
        missing = {name: arguments for name, arguments in chunks.items() if name not in there}
        with (
            _interrupt.noted() as note,
            contextlib.closing(_results(work, missing, executor, note)) as results,
        ):
            for name, (made_on, arrays) in results:
                if store:
                    _same_host(store, made_on)
                    store.save(name, arrays)
                take(name, arrays)
                done += 1
    except (KeyboardInterrupt, concurrent.futures.BrokenExecutor) as error:
        kept = f"kept in {store.path}: run the same call again to go on" if store else (
            "lost; with checkpoint=FOLDER they are kept, and the same call goes on"
        )
        so_far = f"after {done} of {len(chunks)} chunks, which are {kept}"
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(f"stopped {so_far}") from None
        raise type(error)(f"a worker of {executor!r} died {so_far}, with a new executor") from error


def _results(work, chunks, executor, note):
    """Run the chunks and yield (name, (host, arrays)) as they are finished, or answer Ctrl-C in between."""
    if not chunks:
        return
    stop, waiting, tasks, own = threading.Event(), {}, iter(chunks.items()), None
    if executor is None:
        own = executor = concurrent.futures.ThreadPoolExecutor(numba.get_num_threads())
    # Only threads of this process can see the event. Others end the chunk that they have.
    told = (stop.is_set,) if isinstance(executor, concurrent.futures.ThreadPoolExecutor) else ()
    try:
        while True:
            while len(waiting) < WAITING and (task := next(tasks, None)):
                name, arguments = task
                try:
                    waiting[executor.submit(_at_work, work, arguments, *told)] = name
                except concurrent.futures.BrokenExecutor:
                    raise
                except Exception as error:
                    raise ValueError(f"{executor!r} takes no work ({error}); give one that is running") from error
            if not waiting:
                return
            note.answer()
            for future in note.wait(waiting, 0.1, concurrent.futures.FIRST_COMPLETED):
                yield waiting.pop(future), future.result()
    finally:
        stop.set()
        for future in waiting:
            future.cancel()
        if own:
            if note.pressed:  # what is at work stops at its next look at `stop`
                with contextlib.suppress(KeyboardInterrupt):
                    note.wait(waiting)
            own.shutdown(wait=note.pressed < 2, cancel_futures=True)


def _at_work(work, arguments, stopped: Callable[[], bool] = lambda: False):
    """One chunk, on one thread, and on what host."""
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        return host(), work(*arguments, stopped)
    finally:
        numba.set_num_threads(threads)


def _same_host(store, made_on):
    """Refuse a chunk from a worker on which the last bits may differ."""
    here = host()
    for name in here.keys() - set(store.allow):
        if made_on[name] != here[name]:
            raise ValueError(
                f"a worker has {name} {made_on[name]!r}, and this process {here[name]!r}: the last bits may differ. "
                f"To keep its chunks all the same, give checkpoint=Checkpoint(path, allow=({name!r},))"
            )
