"""Checkpoints: what a long run has finished, in a folder, so that a run that was stopped or killed can go on.

    FOLDER/run.json      what is being computed, by which versions on which type of processor
    FOLDER/NAME.npz      one finished piece: a chunk of models, or the state of a training
    FOLDER/lock          held by the process that is at work; the operating system frees it when that process dies

A piece is written under another name, brought to the disk, and renamed: it is whole or not there, whenever the power
goes. It carries a hash of its own bytes and of the run that it belongs to. Nothing is ever repaired or overwritten that
does not fit: a folder of another run, of another processor, or with a damaged file is refused and left as it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import platform
import time
from dataclasses import dataclass, field
from pathlib import Path

import llvmlite.binding
import numba
import numpy as np

from minitms import _checks

VERSION = 3  # of the folder's layout, and of what decides the bits in it: random numbers, chunks, parts, order of sums
ALLOWED = ("cpu", "numba", "numpy")
_DIGEST = 32  # bytes of SHA-256
SAVE_EVERY = 1.0  # seconds between two states of a checkpoint
SAVE_SHARE = 20  # and at least so many times what saving takes


@dataclass(frozen=True)
class Checkpoint:
    """A folder that keeps what a run has finished; give it, or its path alone, as ``checkpoint=``.

    Parameters
    ----------
    path : path of the folder, used as given; made if it is not there, its parent must exist
    allow : names of differences to put up with when a run is resumed
        Any of "cpu", "numba" and "numpy": the type of the processor, or the version of the package. Equal bits are
        promised for equal ones only, so others are refused unless named here.
    """

    path: str | os.PathLike
    allow: tuple[str, ...] = field(default=())

    def __post_init__(self):
        if not isinstance(self.path, (str, os.PathLike)):
            raise TypeError(f"checkpoint is {self.path!r}; expected the path of a folder")
        allow = (self.allow,) if isinstance(self.allow, str) else tuple(self.allow)
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

    Raises
    ------
    ValueError
        If the folder belongs to another run or another host, or is damaged. It is left as it is.
    RuntimeError
        If another process is at work on it.
    """

    def __init__(self, checkpoint, settings: dict):
        checkpoint = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
        self.path, self.allow = Path(checkpoint.path), checkpoint.allow
        # Arrays enter as hashes: what matters is whether they are the same.
        self.settings = json.loads(json.dumps(
            {name: _hashed(value) if isinstance(value, np.ndarray) else value for name, value in settings.items()}
        ))
        self._lock = None

    def __enter__(self) -> Store:
        fresh = not self.path.exists()
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"checkpoint {self.path} is a file; expected a folder, or a name that is not taken")
        if not fresh and not (self.path / "run.json").exists():
            strange = sorted(p.name for p in self.path.iterdir() if p.name != "lock" and not p.name.endswith(".tmp"))
            if strange:
                raise ValueError(
                    f"checkpoint {self.path} holds {strange[0]!r} and no run.json; "
                    "expected a checkpoint or an empty folder"
                )
        try:
            self.path.mkdir(exist_ok=True)
            self._lock = _locked(self.path / "lock")
        except OSError as error:
            raise ValueError(f"checkpoint {self.path} cannot be written to: {error.strerror}") from error
        try:
            run = self._agreed()
            self._id = hashlib.sha256(json.dumps(run, sort_keys=True).encode()).digest()
            for left_over in self.path.glob("*.tmp"):
                left_over.unlink()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error) -> None:
        self._lock.close()

    def _agreed(self) -> dict:
        """What run.json says, if it is our run; a new one if there is none yet."""
        ours = {"version": VERSION, "settings": self.settings, "host": host()}
        path = self.path / "run.json"
        if not path.exists():
            self._write(path.name, json.dumps(ours, indent=1).encode())
            return ours
        try:
            theirs = json.loads(path.read_text(encoding="utf-8"))
            version, settings, their_host = theirs["version"], dict(theirs["settings"]), dict(theirs["host"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is damaged ({error}); it was left as it is. Start with another folder") from error
        if version != VERSION:
            raise ValueError(f"checkpoint {self.path} has layout {version}; this minitms reads {VERSION}")
        others = [
            f"{name} {settings.get(name)!r} there and {self.settings.get(name)!r} here"
            for name in sorted(settings.keys() | self.settings.keys())
            if settings.get(name) != self.settings.get(name)
        ]
        if others:
            raise ValueError(
                f"checkpoint {self.path} belongs to another run: {'; '.join(others)}. "
                "It was left as it is; start with another folder"
            )
        for name in sorted(ours["host"]):
            if their_host.get(name) != ours["host"][name] and name not in self.allow:
                raise ValueError(
                    f"checkpoint {self.path} was begun with {name} {their_host.get(name)!r}, and this is "
                    f"{ours['host'][name]!r}: the last bits may differ. To go on all the same, give "
                    f"checkpoint=Checkpoint(path, allow=({name!r},)). It was left as it is"
                )
        return theirs

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
        self._write(f"{name}.npz", content + self._digest(name, content))

    def load(self, name: str) -> dict:
        """Read one piece.

        Raises
        ------
        ValueError
            If it is damaged, or was not written by this run under this name.
        """
        path = self.path / f"{name}.npz"
        content = path.read_bytes()
        content, digest = content[:-_DIGEST], content[-_DIGEST:]
        if digest != self._digest(name, content):
            raise ValueError(
                f"{path} is damaged, or belongs to another run. It was left as it is: "
                "delete this one file to compute it again"
            )
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return dict(arrays)

    def _digest(self, name, content):
        return hashlib.sha256(self._id + name.encode() + b"\0" + content).digest()

    def _write(self, name, content):
        path, temporary = self.path / name, self.path / f"{name}.tmp"
        try:
            with open(temporary, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            _sync_folder(self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise OSError(
                error.errno, f"{error.strerror}: {path} could not be written. What was finished before is kept in "
                f"{self.path}; make room and run the same call again to go on"
            ) from error


class SavedState:
    """The state of a training, in the arrays that it advances, saved now and then to an open checkpoint or to none."""

    NAMES = ("W", "b", "mean_W", "square_W", "mean_b", "square_b", "kept_W", "kept_b")

    def __init__(self, *arrays):
        self.arrays = dict(zip(self.NAMES, arrays, strict=True))
        self.step = 0

    @contextlib.contextmanager
    def to(self, store, history, steps):
        """Go on from what is in the store; say on Ctrl-C how to resume."""
        self.store, self.history, self.steps, self.due = store, history, steps, time.monotonic() + SAVE_EVERY
        if store and "state" in store.names():
            state = store.load("state")
            for name, array in self.arrays.items():
                array[...] = state[name]
            history.append(state["history"])
            self.step = int(state["step"])
        try:
            yield
        except KeyboardInterrupt:
            if store is None:
                raise
            raise KeyboardInterrupt(
                f"stopped; the state after step {self.step} of {steps} is kept in {store.path}: "
                "run the same call again to go on"
            ) from None

    def now_and_then(self, step):
        """Save the state after `step` if it is time, and always after the last."""
        if self.store and (step == self.steps or time.monotonic() >= self.due):
            begun = time.monotonic()
            history = np.concatenate(self.history, axis=-1)
            self.store.save("state", self.arrays | {"step": np.array(step), "history": history})
            self.step, now = step, time.monotonic()
            self.due = now + max(SAVE_EVERY, SAVE_SHARE * (now - begun))


def _hashed(array):
    array = np.ascontiguousarray(array)
    return f"{array.dtype.name}{array.shape} {hashlib.sha256(array.tobytes()).hexdigest()[:16]}"


def _locked(path):
    """Open a file and lock it against other processes; the lock ends with the process, however it ends."""
    file = open(path, "ab")  # noqa: SIM115 (it stays open as long as the checkpoint)
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise RuntimeError(
            f"checkpoint {path.parent} is in use by another process; wait for it, or use another folder"
        ) from None
    return file


def _sync_folder(path):
    """Bring a new name in a folder to the disk, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
