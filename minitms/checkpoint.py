"""Checkpoints: what a long run has finished, in a folder, so that a run that was stopped or killed can go on.

    FOLDER/run.json      what is being computed, by which versions on which type of processor
    FOLDER/NAME.npz      one finished piece: a chunk of models, or the state of a training
    FOLDER/lock          held by the process that is at work; the operating system frees it when that process dies

A piece is written whole or not at all, and carries a hash of its own bytes and of the run that it belongs to. Nothing
is ever repaired or overwritten that does not fit: a folder of another run, of another processor, or with a damaged file
is refused and left as it is. What is finished is read without the lock, so it may lie on a disk that is read-only.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import platform
import time
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import llvmlite.binding
import numba
import numpy as np

from minitms import _checks
from minitms._fields import Field, like, unpack
from minitms._files import TEMPORARY, as_path, open_file, reason, write_whole
from minitms._words import PathLike

VERSION = 4  # of the folder's layout, and of what decides the bits in it: random numbers, chunks, parts, order of sums
ALLOWED = ("cpu", "numba", "numpy")
DIGEST = 32  # bytes of SHA-256
MOST_DESCRIPTION = 2**20  # bytes of run.json; one has some hundred
LET_GO = 0.5  # seconds that a forked child may take to let go of its parent's lock
SAVE_EVERY = 1.0  # seconds between two states of a checkpoint
SAVE_SHARE = 20  # and at least so many times what saving takes


@dataclass(frozen=True)
class Checkpoint:
    """A folder that keeps what a run has finished; give it, or its path alone, as ``checkpoint=``.

    Parameters
    ----------
    path : path of the folder, used as given; made if it is not there, its parent must exist
        What is finished may be copied, and loaded from a disk that is read-only.
    allow : names of differences to put up with when a run is resumed
        Any of "cpu", "numba" and "numpy": the type of the processor, or the version of the package. Equal bits are
        promised for equal ones only, so others are refused unless named here.

    Examples
    --------
    >>> import tempfile, minitms as tms
    >>> features = tms.SparseFeatures(n=5, density=0.1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     kept = tms.Checkpoint(folder + "/study", allow=("cpu",))
    ...     runs = [tms.train(features, n_hidden=2, steps=20, seed=0, checkpoint=kept) for _ in range(2)]
    >>> bool((runs[0].W == runs[1].W).all())  # the second was loaded
    True
    """

    path: PathLike
    allow: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        as_path("checkpoint", self.path)
        allow = (self.allow,) if isinstance(self.allow, str) else self.allow
        if not isinstance(allow, Iterable):
            raise TypeError(f"allow is {allow!r}; expected a tuple of any of {', '.join(map(repr, ALLOWED))}")
        allow = tuple(allow)
        for name in allow:
            _checks.choice("allow", name, ALLOWED)
        object.__setattr__(self, "allow", allow)


def host() -> dict:
    """What the last bits of a result may depend on, beside the settings of the run."""
    features = llvmlite.binding.get_host_cpu_features().flatten()
    digest = hashlib.sha256(features.encode()).hexdigest()[:8]
    cpu = f"{platform.machine()} {llvmlite.binding.get_host_cpu_name()} {digest}"
    return {"cpu": cpu, "numba": numba.__version__, "numpy": np.__version__}


class Store:
    """An open checkpoint; use it in a ``with`` statement.

    Parameters
    ----------
    checkpoint : Checkpoint, or path
    settings : dict of what decides the result: numbers, strings and arrays
    finished : function of the store that tells whether everything is there; then nothing is locked or written

    Raises
    ------
    ValueError
        If the folder belongs to another run or another host, or is damaged. It is left as it is.
    OSError
        If it cannot be read, or is to be written to and cannot.
    RuntimeError
        If another process is at work on it.
    """

    def __init__(self, checkpoint, settings: dict, finished: Callable[[Store], bool] = lambda store: False):
        checkpoint = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
        # The same folder to the end, wherever the process goes meanwhile.
        self.path, self.allow = as_path("checkpoint", checkpoint.path).absolute(), checkpoint.allow
        # Arrays enter as hashes: what matters is whether they are the same.
        self.settings = json.loads(json.dumps(
            {name: _hashed(value) if isinstance(value, np.ndarray) else value for name, value in settings.items()}
        ))
        self._finished = finished
        self._lock = None

    def __enter__(self) -> Store:
        try:
            if self._is_there() and self._finished(self):
                return self
        except OSError as error:
            raise OSError(error.errno, f"checkpoint {self.path} cannot be read: {error.strerror}") from error
        try:
            self.path.mkdir(exist_ok=True)
            self._lock = _locked(self.path)
        except OSError as error:
            raise OSError(
                error.errno, f"checkpoint {self.path} cannot be written to, and there is no finished run in it: "
                f"{reason(error, self.path)}"
            ) from error
        try:
            if not self._is_there():
                self._write("run.json", json.dumps(self._ours(), indent=1).encode())
                self._agree(self._ours())
            for path in self.path.iterdir():
                if _is_left_over(path):
                    path.unlink()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error) -> None:
        if self._lock:
            self._lock.close()

    def _is_there(self) -> bool:
        """Whether our run has been begun here; ValueError if something else is here."""
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"checkpoint {self.path} is a file; expected a folder, or a name that is not taken")
        # Looked at first: what another process begins meanwhile is not strange.
        strange = sorted(path.name for path in self.path.iterdir() if not _is_ours(path)) if self.path.exists() else ()
        path = self.path / "run.json"
        if path.exists():
            try:
                self._agree(_description(path))
            except RecursionError as error:
                raise ValueError(f"{path} is damaged ({error}); it was left as it is") from error
            return True
        if strange:
            raise ValueError(
                f"checkpoint {self.path} holds {strange[0]!r} and no run.json; expected a checkpoint or an empty folder"
            )
        return False

    def _ours(self):
        return {"version": VERSION, "settings": self.settings, "host": host()}

    def _agree(self, theirs) -> None:
        """See that what run.json says is our run, and take it as part of what each piece is signed with."""
        others = [
            f"{name} {theirs['settings'].get(name)!r} there and {self.settings.get(name)!r} here"
            for name in sorted(theirs["settings"].keys() | self.settings.keys())
            if theirs["settings"].get(name) != self.settings.get(name)
        ]
        if others:
            raise ValueError(
                f"checkpoint {self.path} belongs to another run: {'; '.join(others)}. "
                "It was left as it is; start with another folder"
            )
        for name, here in sorted(host().items()):
            there = theirs["host"].get(name)
            if there != here and name not in self.allow:
                raise ValueError(
                    f"checkpoint {self.path} was begun with {name} {there!r}, and this is {here!r}: the last bits may "
                    f"differ. To go on all the same, give checkpoint=Checkpoint(path, allow=({name!r},)). "
                    "It was left as it is"
                )
        self._id = hashlib.sha256(json.dumps(theirs, sort_keys=True).encode()).digest()

    def names(self) -> set[str]:
        """The pieces that are there."""
        return {path.stem for path in self.path.glob("*.npz")}

    def save(self, name: str, arrays: dict) -> None:
        """Write one piece, whole or not at all.

        Raises
        ------
        OSError
            If it cannot be written, on a full disk for instance. What was finished before is still there.
        """
        content = io.BytesIO()
        np.savez(content, **arrays)
        content = content.getvalue()
        digest = self._digest(name)
        digest.update(content)
        self._write(f"{name}.npz", content + digest.digest())

    def load(self, name: str, fields: dict[str, Field]) -> dict:
        """Read one piece, which holds these fields.

        Raises
        ------
        ValueError
            If it is damaged, or was not written by this run under this name.
        """
        path = self.path / f"{name}.npz"
        with open_file(path) as file:
            size, digest = os.fstat(file.fileno()).st_size - DIGEST, self._digest(name)
            for start in range(0, size, 2**20):  # by parts: only what is ours is worth its memory
                digest.update(file.read(min(2**20, size - start)))
            if file.read() != digest.digest():
                raise ValueError(
                    f"{path} is damaged, or belongs to another run. It was left as it is: "
                    "delete this one file to compute it again"
                )
            file.seek(0)
            return unpack(path, io.BytesIO(file.read(size)), fields)

    def _digest(self, name):
        return hashlib.sha256(self._id + name.encode() + b"\0")

    def _write(self, name, content):
        try:
            write_whole(self.path / name, content)
        except OSError as error:
            raise OSError(
                error.errno, f"{error.strerror}: {self.path / name} could not be written. What was finished before is "
                f"kept in {self.path}; make room and run the same call again to go on"
            ) from error


class SavedState:
    """The state of a training, in the arrays that it advances, saved now and then to an open checkpoint or to none.

    theta, m and v (restarts, ..., p) are the models and Adam's running means; kept (restarts, ..., snapshots, p) are
    the models at the snapshots; history is a list of losses (restarts, ..., records).
    """

    NAMES = ("theta", "m", "v", "kept")

    def __init__(self, plan, theta):
        self.plan, self.theta, self.m, self.v = plan, theta.copy(), np.zeros_like(theta), np.zeros_like(theta)
        self.kept = np.empty((*theta.shape[:-1], len(plan.snapshot_steps), theta.shape[-1]), theta.dtype)
        self.history = []
        self.step = self.taken = 0  # saved, and taken

    def keep(self, step):
        """Keep the models if there is to be a snapshot after `step`."""
        self.kept[..., self.plan.snapshot_steps == step, :] = self.theta[..., None, :]

    def finished(self, store) -> bool:
        """Take the state over from the store, if there is one; whether it is that after the last step."""
        if "state" in store.names():
            arrays = {name: getattr(self, name) for name in self.NAMES}
            stack = " ".join(map(str, self.theta.shape[:-1]))
            fields = like(arrays) | {
                "step": Field("", ("int64",)), "history": Field(f"{stack} records*", ("float64",))
            }
            state = store.load("state", fields)
            self.step, history = state["step"], state["history"]
            if not 0 < self.step <= self.plan.steps or history.shape[-1] != self.plan.recorded[: self.step].sum():
                raise ValueError(
                    f"the state in {store.path} is after step {self.step} of {self.plan.steps} and has "
                    f"{history.shape[-1]} losses; it was left as it is"
                )
            for name, array in arrays.items():
                array[...] = state[name]
            self.history[:] = [history]
            self.taken = self.step
        return self.step == self.plan.steps

    @contextlib.contextmanager
    def to(self, store):
        """Go on from what is in the store; say on Ctrl-C how to resume."""
        self.store, self.due = store, time.monotonic() + SAVE_EVERY
        if store and self.step < self.plan.steps:
            self.finished(store)  # once more: another process may have gone on until we had the lock
        try:
            yield
        except KeyboardInterrupt:
            if store is None:
                raise KeyboardInterrupt(
                    f"stopped after step {self.taken} of {self.plan.steps}, and what was trained is lost; "
                    "with checkpoint=FOLDER it is kept, and the same call goes on"
                ) from None
            if self.step == 0:
                raise KeyboardInterrupt("stopped before a first state was kept; the same call begins anew") from None
            raise KeyboardInterrupt(
                f"stopped; the state after step {self.step} of {self.plan.steps} is kept in {store.path}: "
                "run the same call again to go on"
            ) from None

    def now_and_then(self, step):
        """Save the state after `step` if it is time, and always after the last."""
        self.taken = step
        if self.store and (step == self.plan.steps or time.monotonic() >= self.due):
            begun = time.monotonic()
            arrays = {name: getattr(self, name) for name in self.NAMES}
            history = np.concatenate(self.history, axis=-1)
            self.store.save("state", arrays | {"step": np.array(step), "history": history})
            self.step, now = step, time.monotonic()
            self.due = now + max(SAVE_EVERY, SAVE_SHARE * (now - begun))


def _hashed(array):
    array = np.ascontiguousarray(array)
    return f"{array.dtype.name}{array.shape} {hashlib.sha256(array.tobytes()).hexdigest()[:16]}"


def _description(path) -> dict:
    """What is in a run.json of this version."""
    try:
        with open_file(path) as file:
            text = file.read(MOST_DESCRIPTION + 1)
        if len(text) > MOST_DESCRIPTION:
            raise ValueError(f"more than {MOST_DESCRIPTION} bytes")
        run = json.loads(text.decode())
        version, settings, their_host = run["version"], run["settings"], run["host"]
        if not isinstance(settings, dict) or not isinstance(their_host, dict):
            raise TypeError("its settings or host have no names")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}); it was left as it is. Start with another folder") from error
    if version != VERSION:
        raise ValueError(f"checkpoint {path.parent} has layout {version!r}; this minitms reads {VERSION}")
    if unknown := sorted(run.keys() - {"version", "settings", "host"}):
        raise ValueError(f"{path} has entries that this version of minitms does not know: {', '.join(unknown)}")
    return run


def _is_left_over(path) -> bool:
    """Whether this was left by one of us that was killed while it wrote."""
    return TEMPORARY.fullmatch(path.name) is not None and not path.is_symlink() and not path.is_dir()


def _is_ours(path) -> bool:
    """Whether this may be left from a checkpoint that was killed before it had a run.json."""
    return _is_left_over(path) or (path.name == "lock" and not path.is_symlink() and path.stat().st_size == 0)


def _locked(folder):
    """Lock a folder against other processes and threads; the lock ends with the process, however it ends."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    file = open(os.open(folder / "lock", flags, 0o666), "ab", buffering=0)  # noqa: SIM115 (open as long as the store)
    _held.add(file)
    end = time.monotonic() + LET_GO
    while True:
        try:
            _lock(file)
            return file
        except BlockingIOError:  # perhaps a forked child, which is about to let go
            if time.monotonic() < end:
                time.sleep(0.02)
                continue
            file.close()
            raise RuntimeError(
                f"checkpoint {folder} is in use by another process or thread; wait for it, or use another folder"
            ) from None
        except OSError:  # a disk without locks
            file.close()
            raise


def _lock(file):
    """Lock an open file, or raise BlockingIOError if somebody else has."""
    if os.name == "nt":
        import msvcrt

        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError from error
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


# A forked process, such as the worker of a pool, inherits the lock and would keep it when its parent is killed: it lets
# go of its copy at once. The parent's is not touched by that.
_held = weakref.WeakSet()


def _let_go():
    for file in list(_held):
        file.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
