"""Saved results: written whole and never through a link, and read only if everything in them is as it was written."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import os
import pathlib
import re
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

import minitms as tms
from minitms import _files
from minitms._fields import Field, read_npz
from minitms.weights import each

GRID = np.geomspace(0.1, 1, 3), np.geomspace(0.1, 10, 4)


@functools.cache
def results():
    """A file of each kind: runs of a stack with snapshots, of a pair and of examples; sampled and exact diagrams."""
    features = tms.SparseFeatures(4, np.array([[0.1], [0.4], [1.0]]))
    computing = tms.SparseFeatures(4, 0.25, sets=[0, 0, 1, 1], pattern="at_most_one", signed=True, target="abs")
    chain, x = {"hidden": "relu", "tied": False}, tms.SparseFeatures(4, 0.5).sample(6, seed=0)
    return {
        "run": tms.train(features, 2, steps=30, batch_size=16, restarts=2, snapshots=3, seed=5, learning_rate=1e-3),
        "pair": tms.train(computing, 3, steps=30, batch_size=16, restarts=2, snapshots=3, seed=5, **chain),
        "examples": tms.train(tms.Examples(x, target=x**2), 2, steps=30, restarts=2, seed=5),
        "sampled": tms.phase_diagram(*GRID, restarts=2, steps=20, batch_size=8, seed=5, progress=False),
        "exact": tms.phase_diagram(*GRID, method="expected", restarts=2, seed=5, progress=False),
    }


@pytest.fixture(params=["run", "pair", "examples", "sampled", "exact"])
def result(request):
    return results()[request.param]


def arrays_of(result, path):
    result.save(path)
    with np.load(path) as file:
        return dict(file)


def refusal(path, kind, arrays=None):
    """What `load` says of a file with these arrays."""
    if arrays is not None:
        np.savez_compressed(path, **arrays)
    with pytest.raises(ValueError, match=re.escape(str(path))) as error:
        kind.load(path)
    return str(error.value)


# ------------------------------------------------------------------------------------------------------------- paths


@pytest.mark.parametrize("kind", [tms.TrainingRun, tms.PhaseDiagram, tms.Checkpoint])
@pytest.mark.parametrize("value", [0, 1, True, None, b"run.npz", 2.0, ("run.npz",)])
def test_a_path_is_a_path(kind, value):
    with pytest.raises(TypeError, match=r"expected a path: a str or a pathlib\.Path"):
        (getattr(kind, "load", kind))(value)


def test_no_open_file_is_taken_for_a_path(result):
    """A number of an open file, which `open` would read and then close."""
    reading, writing = os.pipe()
    os.close(writing)
    for call in (type(result).load, result.save):
        with pytest.raises(TypeError, match="expected a path"):
            call(reading)
    os.fstat(reading)
    os.close(reading)


@pytest.mark.parametrize("value", ["", "a\0b.npz", "\ud800.npz"])
def test_names_that_no_file_can_have_are_refused(result, value):
    for call in (type(result).load, result.save, tms.Checkpoint):
        with pytest.raises(ValueError, match="expected a path, without a zero"):
            call(value)


def test_paths_of_all_kinds_are_taken(tmp_path, monkeypatch, result):
    class Named(os.PathLike):
        def __fspath__(self):
            return "named.npz"

    monkeypatch.chdir(tmp_path)
    for path in ("text.npz", pathlib.PurePath("pure.npz"), Named(), tmp_path / ("x" * 251 + ".npz")):
        result.save(path)
        assert repr(type(result).load(path)) == repr(result)


@pytest.mark.parametrize(("name", "error"), [
    ("nowhere/at all/run.npz", FileNotFoundError), ("file/run.npz", NotADirectoryError),
    ("folder.npz", IsADirectoryError), ("x" * 296 + ".npz", OSError),
])  # fmt: skip
def test_what_cannot_be_written_is_named_as_the_user_named_it(tmp_path, monkeypatch, result, name, error):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("file").write_text("")
    pathlib.Path("folder.npz").mkdir()
    with pytest.raises(error) as caught:
        result.save(name)
    assert caught.value.filename == name
    assert "tmp" not in str(caught.value)
    assert ("there is no folder 'nowhere/at all'; make it first" in str(caught.value)) == name.startswith("nowhere")
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder.npz"}
    with pytest.raises((OSError, ValueError)) as caught:
        type(result).load(name)
    assert name in str(caught.value)


# ------------------------------------------------------------------------------------------------------------- links


def test_a_link_is_replaced_and_what_it_points_to_is_left_alone(tmp_path, result):
    (tmp_path / "victim").write_text("not ours")
    (tmp_path / "run.npz").symlink_to(tmp_path / "victim")
    result.save(tmp_path / "run.npz")
    assert (tmp_path / "victim").read_text() == "not ours"
    assert not (tmp_path / "run.npz").is_symlink()
    assert repr(type(result).load(tmp_path / "run.npz")) == repr(result)


def test_nothing_is_written_through_a_link_with_a_temporary_name(tmp_path, monkeypatch, result):
    """The name cannot be foreseen. Even one that is there is not opened."""
    (tmp_path / "victim").write_text("not ours")
    monkeypatch.setattr(_files.secrets, "token_hex", lambda size: "0" * 2 * size)
    temporary = tmp_path / f".minitms-{'0' * 16}.tmp"
    assert _files.TEMPORARY.fullmatch(temporary.name)
    temporary.symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError, match=r"run\.npz"):
        result.save(tmp_path / "run.npz")
    assert (tmp_path / "victim").read_text() == "not ours"
    assert temporary.is_symlink()  # it is somebody else's


def test_two_files_have_two_temporary_names(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "replace", lambda temporary, path: seen.append(temporary))
    _files.write_whole(tmp_path / "a", b"")
    _files.write_whole(tmp_path / "a", b"")
    assert len(set(seen)) == 2
    assert not list(tmp_path.iterdir())


# -------------------------------------------------------------------------------------------------- what is in a file


@pytest.mark.parametrize(("name", "change", "message"), [
    ("W", lambda W: W.astype(complex), "W has dtype complex128; expected float32 or float64"),
    ("W", lambda W: W.astype(object), "W has dtype object"), ("W", lambda W: W.astype(">f8"), "W has dtype >f8"),
    ("W", lambda W: W.astype(np.float16), "W has dtype float16"), ("W", lambda W: W * np.nan, "W holds nan"),
    ("W", lambda W: W[:0], r"W has shape \(0, "), ("W", lambda W: W[:, :0], r"W has shape \(2, 0, "),
    ("b", lambda b: b[..., :1], r"b has shape .*; expected \(restarts=2, "),
    ("b", lambda b: b[None], "b has shape"), ("b", lambda b: b[:1], r"b has shape \(1, "),
    ("loss", lambda loss: loss[..., :-1], r"loss has shape .*; expected \(restarts=2, "),
    ("loss", lambda loss: loss.astype(np.float32), "loss has dtype float32"),
    ("loss", lambda loss: loss * np.inf, "loss holds"),
    ("history", lambda history: history[..., None], "history has shape"),
    ("history", lambda history: np.zeros((*history.shape[:-1], 10**6)), r"history has shape .*records\*?="),
    ("steps", lambda steps: np.append(steps, 99), "history has shape"),
    ("steps", lambda steps: steps[::-1] - 30, "steps does not increase everywhere"),
    ("steps", lambda steps: steps * 1.0, "dtype"),
    ("seed", lambda seed: -seed, "seed is -5"),
    ("seed", lambda seed: seed[None], r"seed has shape \(1,\); expected \(\)"),
    ("seed", lambda seed: seed * 1.0, "seed has dtype float64"),
    ("activation", lambda activation: np.array("tanh"), "activation is 'tanh'; expected one of 'linear', 'relu'"),
    ("activation", lambda activation: np.array("x" * 1000), "activation has dtype <U1000; expected a short text"),
    ("activation", lambda activation: np.array(3), "activation has dtype int64"),
])  # fmt: skip
@pytest.mark.parametrize("kind", ["run", "sampled"])
def test_a_field_that_is_wrong_is_named(tmp_path, kind, name, change, message):
    result = results()[kind]
    arrays = arrays_of(result, tmp_path / "file.npz")
    text = refusal(tmp_path / "file.npz", type(result), arrays | {name: change(arrays[name])})
    assert re.search(message, text), text


@pytest.mark.parametrize(("kind", "name", "value", "message"), [
    ("run", "density", np.full((3, 4), 1.1), "density holds 1.1"),
    ("run", "density", np.full((2, 4), 0.5), "density has"),
    ("run", "importance", np.full((3, 4), -1.0), "importance holds -1"),
    ("run", "steps", np.zeros(0, int), r"steps has shape \(0,\)"),
    ("run", "snapshots_steps", np.array([0, 30]), r"snapshots_W has .*; expected .*snapshots=2, m=2"),
    ("run", "snapshots_steps", np.array([0, 15, 15]), "snapshots_steps does not increase"),
    ("run", "hidden", np.array("tanh"), "hidden is 'tanh'; expected one of 'linear', 'relu'"),
    ("run", "settings_schedule", np.array("step"), "settings_schedule is 'step'; expected one of"),
    ("run", "settings_warmup", np.array(-1), "settings_warmup is -1"),
    ("run", "settings_batch_size", np.array(0), "settings_batch_size is 0"),
    ("run", "settings_weight_decay", np.array(np.nan), "settings_weight_decay is nan"),
    ("run", "pattern", np.array("exactly_one"), "pattern is 'exactly_one'; expected one of"),
    ("run", "sets", np.array([0, 0, 1, 1]), 'sets are given, and pattern is "independent"'),
    ("run", "decoder", np.zeros((2, 3, 2, 4)), "holds decoder, which"),
    ("run", "encoder", np.zeros((2, 3, 2, 4)), "lacks decoder, .*and holds W, "),
    ("run", "examples_x", np.zeros((3, 5, 4)), "holds density, .*which"),
    ("pair", "decoder", np.zeros((2, 3, 5)), r"decoder has shape \(2, 3, 5\); expected \(restarts=2, .*m=3, n=4\)"),
    ("pair", "encoder", np.full((2, 3, 4), np.inf), "encoder holds inf"),
    ("pair", "W", np.zeros((2, 3, 4)), "holds W, which"),
    ("pair", "snapshots_encoder", np.zeros((2, 3, 4, 4)), "snapshots_encoder has shape"),
    ("pair", "sets", np.array([0, 1, 1]), r"sets has shape \(3,\); expected \(n=4\)"),
    ("pair", "sets", np.array([0.0, 0, 1, 1]), "sets has dtype float64"),
    ("pair", "density", np.full(4, 0.75), r"the densities of set 0 add up to 1\.5"),
    ("pair", "signed", np.array(1), "signed has dtype int64; expected bool"),
    ("pair", "target", np.array("x²"), "target is 'x²'; expected one of 'x', 'abs'"),
    ("examples", "examples_x", np.full((6, 4), np.nan), "examples_x holds nan"),
    ("examples", "examples_x", np.zeros((0, 4)), r"examples_x has shape \(0, 4\)"),
    ("examples", "examples_target", np.zeros((5, 4)), r"examples_target has shape \(5, 4\); expected .*T=6, n=4"),
    ("examples", "density", np.full(4, 0.5), "holds density, which"),
    ("sampled", "densities", np.array([0.1, 0.5, 1.5]), r"densities runs .* to 1.5; expected numbers in \[0, 1\]"),
    ("sampled", "method", np.array("magic"), "method is"),
    ("sampled", "importances", np.array([1, np.nan, 2, 3]), "importances holds nan"),
    ("sampled", "method", np.array("expected"), "method is 'expected', and there are fields of"),
    ("sampled", "settings_steps", np.array(0), "settings_steps is 0"),
    ("sampled", "settings_learning_rate", np.array(np.inf), "settings_learning_rate is inf"),
    ("exact", "gradient", np.zeros((2, 3)), r"gradient has shape \(2, 3\); expected \(restarts=2, D=3, I=4\)"),
    ("exact", "method", np.array("sampled"), "method is 'sampled', and there are fields of"),
])  # fmt: skip
def test_a_field_of_one_kind_that_is_wrong_is_named(tmp_path, kind, name, value, message):
    result = results()[kind]
    arrays = arrays_of(result, tmp_path / "file.npz")
    text = refusal(tmp_path / "file.npz", type(result), arrays | {name: value})
    assert re.search(message, text), text


def test_every_field_must_be_there_and_no_other(tmp_path, result):
    arrays, path = arrays_of(result, tmp_path / "file.npz"), tmp_path / "file.npz"
    for name in arrays:
        # The first is alone in its group: see the method. The others decide, or may be left out.
        if name not in ("encoder", "examples_x", "examples_target") and (name != "gradient" or len(arrays) != 11):
            assert f"lacks {name}" in refusal(path, type(result), {k: v for k, v in arrays.items() if k != name})
    later = refusal(path, type(result), arrays | {"another": np.zeros(3), "later": np.array("relu")})
    assert "holds another, later, which this version of minitms does not know" in later
    other = {tms.TrainingRun: tms.PhaseDiagram, tms.PhaseDiagram: tms.TrainingRun}[type(result)]
    assert "lacks" in refusal(path, other, arrays)


def test_what_load_would_refuse_is_not_saved(tmp_path, result):
    W = each(lambda array: array.astype(complex), result.W)
    for name, wrong in (("W", W), ("b", result.b[1:]), ("seed", -1), ("activation", "tanh")):
        with pytest.raises(ValueError, match=rf"run\.npz: ({name}|encoder) (has|is)"):
            dataclasses.replace(result, **{name: wrong}).save(tmp_path / "run.npz")
    assert not list(tmp_path.iterdir())


# -------------------------------------------------------------------------------------------------- archives that lie


def archive(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members:
            file.writestr(f"{name}.npy", content)


def npy(array, version=(1, 0)):
    content = io.BytesIO()
    np.lib.format.write_array(content, array, version)
    return content.getvalue()


X = {"x": Field("n", ("float64",))}
LARGE = 2**26  # bytes, fifty times what may be taken for an answer


@pytest.mark.parametrize(("members", "options", "message"), [
    ([("x", npy(np.zeros(LARGE // 8)) + b"0")], {}, "x has .* bytes; expected"),
    ([("x", npy(np.zeros(9))[:-1])], {}, "x has 71 bytes; expected 72"),
    ([("x", npy(np.zeros((2, LARGE // 16))))], {}, r"x has shape \(2, "),
    ([("x", npy(np.zeros(LARGE // 8, np.int64)))], {}, "x has dtype int64"),
    ([("x", npy(np.zeros(9))), ("y", npy(np.zeros(LARGE // 8)))], {}, "holds y, which"),
    ([("x", npy(np.zeros(9)))], {"compression": zipfile.ZIP_BZIP2}, "compressed in a way"),
    ([("x", npy(np.zeros(LARGE // 8)))], {"compression": zipfile.ZIP_LZMA}, "compressed in a way"),
    ([("x", npy(np.zeros(9), (2, 0)))], {}, "not in version 1.0"),
    ([("x", b"\x93NUMPY\x02\0" + LARGE.to_bytes(4, "little") + b" " * LARGE)], {}, "not in version 1.0"),
    ([("x", npy(np.zeros(9)).replace(b"(9,)", b"(-9,)"))], {}, r"x has shape \(-9,\); expected \(n\)"),
    ([("x", b"\x93NUMPY\x01\0\xff\xff" + b"(" * 65535)], {}, "cannot be read"),
    ([("x", b"")], {}, "cannot be read"),
    ([("../x", npy(np.zeros(9)))], {}, "lacks x and holds ../x"),
    ([], {}, "lacks x"),
])  # fmt: skip
def test_an_archive_that_lies_is_refused_before_anything_large_is_read(tmp_path, members, options, message):
    path = tmp_path / "file.npz"
    archive(path, members, **options)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message) as error:
            read_npz(path, X)
        assert tracemalloc.get_traced_memory()[1] < LARGE / 50
    finally:
        tracemalloc.stop()
    assert str(path) in str(error.value)


def test_the_size_of_an_array_is_what_the_directory_says_whatever_is_behind_it(tmp_path):
    """The compressed bytes give sixty million more zeros than the directory and the header say."""
    path, short, long = tmp_path / "file.npz", npy(np.zeros(2**13)), npy(np.zeros(2**13)) + bytes(LARGE)
    archive(path, [("x", long)])
    sizes = [struct.pack("<I", len(long)), struct.pack("<I", len(short))]
    checksums = [struct.pack("<I", zlib.crc32(content)) for content in (long, short)]
    path.write_bytes(path.read_bytes().replace(*sizes).replace(*checksums))
    tracemalloc.start()
    try:
        with contextlib.suppress(ValueError):
            np.testing.assert_array_equal(read_npz(path, X)["x"], np.zeros(2**13))
        assert tracemalloc.get_traced_memory()[1] < LARGE / 50
    finally:
        tracemalloc.stop()


def test_arrays_that_do_not_fit_in_memory_are_not_begun(tmp_path, monkeypatch):
    archive(tmp_path / "file.npz", [("x", npy(np.zeros(LARGE // 8)))])
    monkeypatch.setattr(os, "sysconf", lambda name: 2**12)
    with pytest.raises(ValueError, match=r"file\.npz need 0\.2 GiB, .* 0\.0 GiB; read it on a larger"):
        read_npz(tmp_path / "file.npz", X)


def test_two_arrays_of_one_name_are_refused(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive(tmp_path / "file.npz", [("x", npy(np.zeros(9)))] * 2)
    with pytest.raises(ValueError, match="two arrays of one name"):
        read_npz(tmp_path / "file.npz", X)


def test_no_pickle_is_ever_run(tmp_path, result):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    trap = np.empty((), object)
    trap[()] = Trap()
    arrays = arrays_of(result, tmp_path / "file.npz")
    for name in ("W", "seed", "activation"):
        refusal(tmp_path / "file.npz", type(result), arrays | {name: trap})
    assert not (tmp_path / "sprung").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
def test_what_has_no_end_is_not_read(tmp_path, result):
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "link.npz").symlink_to("/dev/zero")
    for name in ("pipe.npz", "link.npz"):
        assert "is a device or a pipe; expected a file" in refusal(tmp_path / name, type(result))
    assert "is a folder; expected a file" in refusal(tmp_path, type(result))
