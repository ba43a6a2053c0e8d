"""Files are written whole or not at all, never through a link, and a path is a path."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import secrets
import stat
from pathlib import Path

import numpy as np

TEMPORARY = re.compile(r"\.minitms-[0-9a-f]{16}\.tmp")  # what a process that is killed while it writes leaves


def as_path(name: str, value) -> Path:
    """Return `value` as a path; a number, which `open` takes for a file that is open already, is none."""
    text = os.fspath(value) if isinstance(value, (str, os.PathLike)) else value
    if not isinstance(text, str):
        raise TypeError(f"{name} is {value!r} ({type(value).__name__}); expected a path: a str or a pathlib.Path")
    try:
        possible = text and b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise ValueError(f"{name} is {text!r}; expected a path, without a zero and in characters that files can have")
    return Path(text)


def open_file(path: Path):
    """Open a file to be read; a folder, a device and a pipe, which may have no end, are refused."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        raise ValueError(f"{path} is a {'folder' if stat.S_ISDIR(mode) else 'device or a pipe'}; expected a file")
    return open(path, "rb")


def reason(error: OSError, path: Path) -> str | None:
    """Why nothing could be made at a path, in words."""
    missing = isinstance(error, FileNotFoundError)
    return f"there is no folder {str(path.parent)!r}; make it first" if missing else error.strerror


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a name that nobody can foresee, bring it to the disk, and rename it.

    So it is whole or not there, whenever the power goes. A link at `path` is replaced; what it points to is left alone.
    """
    temporary = path.parent / f".minitms-{secrets.token_hex(8)}.tmp"
    try:
        file = open(temporary, "xb")  # noqa: SIM115 (x: a file or link of this name is not opened, and not deleted below)
        try:
            with file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise OSError(error.errno, reason(error, path), str(path)) from error


def write_npz(path: Path, arrays: dict) -> None:
    """Write arrays to an ``.npz`` file, whole or not at all."""
    if path.suffix != ".npz":
        raise ValueError(f"path is {str(path)!r}; expected a name that ends in .npz")
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_whole(path, content.getvalue())


def _sync_folder(path):
    """Bring a new name in a folder to the disk, where the system can."""
    if os.name == "nt":
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # one can write to a folder that one cannot read
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network disks have no such call for a folder
            raise
    finally:
        os.close(descriptor)
