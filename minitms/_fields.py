"""What may be in an ``.npz`` file: one description, by which files are checked when they are written and when read.

Nothing of a file is believed. The names, shapes and dtypes of all its arrays are compared with the description and with
each other before the first array is read, so what a file can cost is known from a few hundred bytes of it.
"""

from __future__ import annotations

import contextlib
import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from minitms import _checks
from minitms._files import open_file

FLOATS = ("float32", "float64")
WORD = tuple(f"U{length}" for length in range(1, 33))
MOST_HEADER = 4096  # characters of the shape and dtype of an array; ours have 118


@dataclass(frozen=True)
class Field:
    """One array of a file.

    Parameters
    ----------
    axes : names of the axes
        A name has one size in the whole file; a number is a size, ``...`` any number of axes, and an axis with a star
        may be empty.
    dtypes : the dtypes that it may have
    check : function (name, value) that raises ValueError or TypeError if a value is not as it must be, or None
        A field without axes is given to it as a number or a str.
    group : name of the group that a field belongs to, or None
        The fields of a group are all there or none of them is.
    """

    axes: str
    dtypes: tuple[str, ...]
    check: Callable | None = None
    group: str | None = None


def increasing(name: str, array, at_least: float = -math.inf, at_most: float = math.inf):
    """Check that a list of numbers increases, within bounds."""
    _checks.finite(name, array)
    if (np.diff(array) <= 0).any():
        raise ValueError(f"{name} does not increase everywhere")
    if array.size and not at_least <= array[0] <= array[-1] <= at_most:
        low, high = _checks.plainly(array[0], at_least), _checks.plainly(array[-1], at_most)
        raise ValueError(f"{name} runs from {low} to {high}; expected numbers in [{at_least:g}, {at_most:g}]")


SEED = Field("", ("int64",), lambda name, value: _checks.seed(value))


def word(*allowed: str) -> Field:
    """One of some words."""
    return Field("", WORD, partial(_checks.choice, allowed=allowed))


def like(arrays: dict) -> dict[str, Field]:
    """Fields of the shapes and dtypes that these arrays have."""
    return {name: Field(" ".join(map(str, array.shape)), (array.dtype.name,)) for name, array in arrays.items()}


# What files of a kind may hold; or, where that differs with what is there, a function of the names that are there.
Fields = dict[str, Field] | Callable


def checked(path, arrays: dict, fields: Fields) -> dict[str, np.ndarray]:
    """The arrays that are about to be written to `path`; ValueError if `read_npz` would not take them back."""
    fields = _of_these(fields, arrays)
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    _check_names(path, arrays.keys(), fields)
    _check_headers(path, {name: (array.shape, array.dtype) for name, array in arrays.items()}, fields)
    _check_values(path, arrays, fields)
    return arrays


def read_npz(path, fields: Fields) -> dict:
    """Read the arrays of a file; a field without axes becomes a number or a str.

    Raises
    ------
    ValueError
        If there is anything in the file that `fields` does not describe; names the file, the field, and what was
        expected.
    OSError
        If there is no such file, or it cannot be opened.
    """
    with open_file(path) as file:
        return unpack(path, file, fields)


def unpack(path, file, fields: Fields) -> dict:
    """The same from an open file; `path` is what it is called."""
    with _readable(path):
        archive = zipfile.ZipFile(file)
    entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
    if len(entries) != len(archive.infolist()):
        raise ValueError(f"{path} holds two arrays of one name")
    fields = _of_these(fields, entries)
    _check_names(path, entries.keys(), fields)
    with _readable(path):
        headers = {name: _header(archive, entry) for name, entry in entries.items()}
    _check_headers(path, headers, fields)
    sizes = {name: math.prod(shape) * dtype.itemsize for name, (shape, dtype, *_) in headers.items()}
    for name, size in sizes.items():
        there = entries[name].file_size - headers[name].length
        if there != size:
            raise ValueError(f"{path}: {name} has {there} bytes; expected {size}, as {headers[name].shape} needs")
    _checks.memory(sum(sizes.values()) + max(sizes.values()), f"the arrays of {path}", "read it on a larger one")
    with _readable(path):
        arrays = {name: _array(archive, entries[name], headers[name], sizes[name]) for name in fields if name in sizes}
    _check_values(path, arrays, fields)
    return {name: array if array.ndim else array.item() for name, array in arrays.items()}


class _Header(NamedTuple):
    """What stands before the numbers of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype
    order: str
    length: int


@contextlib.contextmanager
def _readable(path):
    """Say of which file it is what is raised in the block."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise a dozen kinds for what is no archive of arrays
        raise ValueError(f"{path} cannot be read as an .npz file: {error}") from error


def _header(archive, entry):
    # Others than these, which savez uses, may turn a few bytes into as many as they like at one call.
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{entry.filename} is compressed in a way that NumPy does not use")
    with archive.open(entry) as stream:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ValueError(f"{entry.filename} is not in version 1.0 of NumPy's format")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=MOST_HEADER)
        return _Header(shape, dtype, "F" if fortran else "C", stream.tell())


def _array(archive, entry, header, size):
    with archive.open(entry) as stream:
        stream.read(header.length)
        content = stream.read(size)  # never more, whatever is in there; the checksum is compared at the end
    return np.ndarray(header.shape, header.dtype, content, order=header.order).copy()


def _of_these(fields, names):
    return fields(names) if callable(fields) else fields


def _check_names(path, names, fields):
    groups = {fields[name].group for name in names & fields.keys()}
    required = {name for name, field in fields.items() if field.group is None or field.group in groups}
    problems = []
    if missing := sorted(required - names):
        problems.append(f"lacks {', '.join(missing)}")
    if unknown := sorted(names - fields.keys()):
        problems.append(f"holds {', '.join(unknown)}, which this version of minitms does not know")
    if problems:
        raise ValueError(f"{path} {' and '.join(problems)}; expected {', '.join(fields)}")


def _check_headers(path, headers, fields):
    """Compare the shape and dtype of every array with its description, and the shapes with each other."""
    sizes = {}
    for name, field in fields.items():
        if name not in headers:
            continue
        shape, dtype, *_ = headers[name]
        if dtype not in field.dtypes:
            allowed = "a short text" if field.dtypes is WORD else " or ".join(field.dtypes)
            raise ValueError(f"{path}: {name} has dtype {dtype}; expected {allowed}")
        if (found := _sizes(shape, field.axes, sizes)) is None:
            axes = [f"{axis}={sizes[axis]}" if axis in sizes else axis for axis in field.axes.split()]
            raise ValueError(f"{path}: {name} has shape {shape}; expected ({', '.join(axes)})")
        sizes = found


def _sizes(shape, axes, known):
    """The sizes of named axes, with those that this shape adds; None if it does not fit the axes."""
    axes, sizes, shape = axes.split(), dict(known), tuple(shape)
    if "..." in axes:
        place, count = axes.index("..."), len(shape) + 1 - len(axes)
        if count < 0 or not all(size > 0 for size in shape[place : place + count]):
            return None
        stack = sizes.setdefault("...", shape[place : place + count])
        axes[place : place + 1] = [str(size) for size in stack]
    fits = len(axes) == len(shape) and all(
        size == (int(axis) if axis.isdigit() else sizes.setdefault(axis, size))
        and (size > 0 or axis.isdigit() or axis.endswith("*"))
        for axis, size in zip(axes, shape, strict=True)
    )
    return sizes if fits else None


def _check_values(path, arrays, fields):
    for name, array in arrays.items():
        if check := fields[name].check:
            try:
                check(name, array if array.ndim else array.item())
            except (TypeError, ValueError) as error:
                raise ValueError(f"{path}: {error}") from error
