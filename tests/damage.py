"""Stop runs at random moments and damage their files in random ways: a run goes on to the same bits, or says why not.

    python tests/damage.py                   some minutes
    python tests/damage.py --stops 6 --damages 40

Stops: SIGKILL, SIGTERM and SIGINT, for sweeps in threads, in forked and in spawned workers, for a training, and for one
whose models go to an executor. The same call must give the bits of a run that nobody disturbed, without computing
finished chunks again.

Damages: of saved results, which must be refused by name with little memory or load as they were; and of checkpoints,
where the same call must refuse and change nothing, or give the same bits. Files outside must stay as they are. POSIX
only.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import minitms as tms  # noqa: E402 (this clone, not what is installed)
from minitms import checkpoint  # noqa: E402

WAYS = ("threads", "fork", "spawn", "train", "pairs")
RESULTS = ("threads", "train", "pairs")  # the others give the first one's
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
MOST_MEMORY = 2**23  # bytes that a refusal may take
WAIT = 120  # seconds, for a child that should have ended long ago


def compute(way, folder, scale=1):
    """A run of a second or two, times the scale."""
    checkpoint.SAVE_EVERY, checkpoint.SAVE_SHARE = 0.02, 1
    common = {"seed": 0, "checkpoint": folder, "progress": False}
    if way == "train":
        features = tms.SparseFeatures(20, np.array([[0.05], [0.5]]))
        options = {"steps": int(4000 * scale), "batch_size": 256, "snapshots": 3, "learning_rate": 1e-2}
        return tms.train(features, 5, **options | common)
    if way == "pairs":  # untied models, some at a time
        features = tms.SparseFeatures(20, [[0.1], [0.3]], 1.0, [0, 1] * 10, "together", signed=True, target="abs")
        options = {"steps": int(1000 * scale), "batch_size": 64, "restarts": 20, "hidden": "relu", "tied": False}
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            return tms.train(features, 5, executor=pool, **options | common)
    sweep = (np.geomspace(0.01, 1, 24), np.geomspace(0.1, 10, 24))
    options = {"restarts": 2, "steps": int(20_000 * scale), "batch_size": 16} | common
    if way == "threads":
        return tms.phase_diagram(*sweep, **options)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(way)) as pool:
        return tms.phase_diagram(*sweep, executor=pool, **options)


def bits(result):
    digest = hashlib.sha256()
    for name in ("W", "b", "loss", "history", "steps"):
        digest.update(np.asarray(getattr(result, name)).tobytes())
    return digest.hexdigest()


# ------------------------------------------------------------------------------------------------------------- stops


def child(way, folder):
    """The same run in a process of its own, and in a process group of its own, so that its orphans can be ended."""
    return subprocess.Popen(
        [sys.executable, __file__, "--child", way, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip


def end(process):
    """End what is left of a child, its workers too."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def finished(folder):
    """Name, inode and time of every finished chunk: all three stay if it is not computed again."""
    return {(path.name, path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("chunk-*.npz")}


def stop_once(way, number, folder, chance, expected):
    """Stop a run at a random moment and make the same call again; what went wrong, or None; and the chunks it had."""
    target = chance.uniform(0, 30) if way != "train" else chance.uniform(0, 1)
    first = child(way, folder)
    try:
        while first.poll() is None:
            if way != "train" and len(finished(folder)) >= target:
                break
            if way == "train" and (folder / "state.npz").exists():
                time.sleep(target)
                break
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.02))  # into the writing of a piece, or past it
        first.send_signal(number)
        first.wait(WAIT)
        before = finished(folder)
        # The workers of a killed process live on for a while. They must not be in the way.
        second = child(way, folder)
        try:
            output, error = second.communicate(timeout=WAIT)
        finally:
            end(second)
    except subprocess.TimeoutExpired:
        return "it did not end", 0
    finally:
        end(first)
    if second.returncode:
        return f"the same call ended with {error.strip().splitlines()[-1]}", len(before)
    if output.strip() != expected:
        return "other bits", len(before)
    if not before <= finished(folder):
        return "finished chunks were computed again", len(before)
    if left := [path.name for path in folder.iterdir() if path.name.endswith(".tmp")]:
        return f"{left} are left", len(before)
    return None, len(before)


def stops(count, work, chance):
    expected = {way: bits(compute(way, None)) for way in RESULTS}
    good = 0
    for k in range(count):
        way, number = WAYS[k % len(WAYS)], SIGNALS[(2 + k + k // len(WAYS)) % len(SIGNALS)]
        same = expected[way if way in RESULTS else "threads"]
        wrong, chunks = stop_once(way, number, work / f"stop-{k}", chance, same)
        print(f"{way:>8} {number.name} at {chunks:2} chunks: {wrong or 'the same bits'}", flush=True)
        good += wrong is None
    print(f"{good} of {count} stops resumed to the same bits")
    return good == count


# ----------------------------------------------------------------------------------------------------------- damages


def cut(path, chance):
    path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size)])


def flip(path, chance):
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 1, 1, 8, 100))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def overwrite(path, chance):
    path.write_bytes(chance.randbytes(chance.choice((0, 1, 32, 1000))))


def swap(path, chance):
    """Exchange it with another file of its folder."""
    other = chance.choice([other for other in path.parent.iterdir() if other != path])
    content = path.read_bytes()
    path.write_bytes(other.read_bytes())
    other.write_bytes(content)


def nest(path, chance):
    path.write_text("[" * chance.choice((900, 10**5)))


def folder(path, chance):
    path.unlink()
    path.mkdir()


def pipe(path, chance):
    path.unlink()
    os.mkfifo(path)


def link(path, chance):
    path.unlink()
    path.symlink_to(chance.choice((path.parent.parent / "victim", path.parent.parent / "nowhere", Path("/dev/zero"))))


def stranger(path, chance):
    (path.parent / chance.choice(("x.tmp", "run.json.tmp", ".minitms-zz.tmp", "notes.txt"))).write_text("mine")


def planted(path, chance):
    """Links under the names that a writer might take for what it has not finished."""
    for name in (f"{path.name}.tmp", f".{path.name}.tmp", f".{path.name}.{os.getpid()}.tmp"):
        (path.parent / name).symlink_to(path.parent.parent / "victim")


def lost(path, chance):
    path.unlink()


def field(path, chance):
    """Change one array of a file, with checksums that are right."""
    if path.suffix != ".npz":
        return
    with np.load(path) as file:
        arrays = dict(file)
    name = chance.choice(sorted(arrays))
    value = arrays[name]
    change = chance.choice(FIELD_CHANGES)
    if change == "drop":
        del arrays[name]
    elif change == "add":
        arrays["later"] = np.zeros(2**22)
    elif change == "zeros":
        arrays[name] = np.zeros((2**11, 2**11))
    else:
        arrays[name] = {
            "complex": lambda: np.zeros(value.shape, complex), "object": lambda: np.full(value.shape, None),
            "axis": lambda: np.stack([value, value]), "empty": lambda: value[..., None][..., :0],
            "swapped": lambda: value.astype(value.dtype.newbyteorder()), "cut": lambda: value.reshape(-1)[1:],
            "text": lambda: np.array("tanh"), "nan": lambda: np.array(np.nan),
        }[change]()  # fmt: skip
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in arrays.items():
            with archive.open(f"{name}.npy", "w") as entry:
                np.lib.format.write_array(entry, np.asanyarray(value))


FIELD_CHANGES = ("drop", "add", "complex", "object", "axis", "empty", "swapped", "zeros", "cut", "text", "nan")
FILE_DAMAGES = (cut, flip, flip, overwrite, swap, field, field, field, folder, pipe)
FOLDER_DAMAGES = (cut, flip, overwrite, swap, nest, folder, pipe, link, stranger, planted, lost, field)


def snapshot(folder):
    """Everything below a folder: kinds, and bytes where there are any."""
    return {
        path: (path.lstat().st_mode, path.read_bytes() if path.is_file() and not path.is_symlink() else b"")
        for path in sorted(folder.rglob("*"))
    }


def refused_or_same(call, path, expected):
    """What went wrong, or None; and whether it was refused."""
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(WAIT)
    tracemalloc.start()
    try:
        return (None if bits(call()) == expected else "other bits"), False
    except (ValueError, OSError, RuntimeError) as error:
        memory = tracemalloc.get_traced_memory()[1]
        if str(path) not in str(error):
            return f"{type(error).__name__}: {error}, which does not name {path}", True
        return (f"it took {memory:,} bytes: {error}" if memory > MOST_MEMORY else None), True
    except Exception as error:
        return f"{type(error).__name__}: {error}", True
    finally:
        signal.alarm(0)
        tracemalloc.stop()


def _too_long(number, frame):
    raise AssertionError("it did not end")


def damages(count, work, chance):
    """Damage saved results and checkpoints, and look at what is made of them."""
    (work / "victim").write_text("not ours")
    results = {way: compute(way, work / way, 0.05) for way in RESULTS}
    expected = {way: bits(result) for way, result in results.items()}
    saved = work / "saved"
    saved.mkdir()
    for way, result in results.items():
        result.save(saved / f"{way}.npz")
    good = refusals = 0
    for k in range(count):
        way, damage_one = chance.choice(RESULTS), (damage_checkpoint, damage_file)[k % 2]
        wrong, refused, what = damage_one(way, work, chance, expected[way])
        if (work / "victim").read_text() != "not ours" or (work / "nowhere").exists():
            wrong = "a file outside was written to"
        if wrong:
            print(f"damage {k}, {what} of {way}: {wrong}", flush=True)
        good += wrong is None
        refusals += refused
        shutil.rmtree(work / "place")
    print(f"{good} of {count} damages: {refusals} refused by name and left alone, {count - refusals} without effect")
    return good == count


def damage_file(way, work, chance, expected):
    other = {"train": "pairs", "pairs": "train"}.get(way, "")  # in its place it would be as right as it was
    shutil.copytree(work / "saved", work / "place", ignore=shutil.ignore_patterns(f"{other}.npz"))
    path, damage = work / "place" / f"{way}.npz", chance.choice(FILE_DAMAGES)
    damage(path, chance)
    load = {"threads": tms.PhaseDiagram, "train": tms.TrainingRun, "pairs": tms.TrainingRun}[way].load
    return *refused_or_same(lambda: load(path), path, expected), f"{damage.__name__} in {path.name}"


def damage_checkpoint(way, work, chance, expected):
    place = shutil.copytree(work / way, work / "place")
    pieces = sorted(place.glob("*.npz"))
    for piece in chance.sample(pieces, chance.randrange(len(pieces) + 1)):  # none: it is finished
        piece.unlink()
    path, damage = chance.choice(sorted(place.iterdir())), chance.choice(FOLDER_DAMAGES)
    if (damage is swap and path.name == "lock") or path.stat().st_size == 0:
        damage = lost
    damage(path, chance)
    before = snapshot(place)
    wrong, refused = refused_or_same(lambda: compute(way, place, 0.05), place, expected)
    after = snapshot(place)
    if not wrong and (not before.items() <= after.items() or (refused and after != before)):
        wrong = "files were changed or deleted"
    return wrong, refused, f"{damage.__name__} in {path.name}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stops", type=int, default=48)
    parser.add_argument("--damages", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0, help="of the random moments and ways")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print(bits(compute(*args.child)))
        return 0
    with tempfile.TemporaryDirectory() as work:
        chance = random.Random(args.seed)
        sound = damages(args.damages, Path(work), chance)
        return 0 if stops(args.stops, Path(work), chance) and sound else 1


if __name__ == "__main__":
    sys.exit(main())
