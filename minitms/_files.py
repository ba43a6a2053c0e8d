"""Files are written whole or not at all, and hold arrays only: no pickle."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np


def write_npz(path, arrays) -> None:
    """Write arrays to `path` without pickle, under a temporary name first, so that the file is whole or not there."""
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"path is {str(path)!r}; expected a name that ends in .npz")
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content.getvalue())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_npz(path, names) -> dict:
    """Read the arrays of an ``.npz`` file that holds at least `names`."""
    try:
        # Opened here, since np.load leaves a file open that it cannot read.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as content:
            arrays = dict(content)
    except FileNotFoundError:
        raise
    except (ValueError, TypeError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} cannot be read as an .npz file: {error}") from error
    if missing := names - arrays.keys():
        raise ValueError(f"{path} lacks {', '.join(sorted(missing))}; expected a file written by save")
    return arrays
