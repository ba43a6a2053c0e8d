"""Compiled kernels on disk: equal bits whether compiled or loaded, none stale, and no harm from a damaged one."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
import types
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import pytest
from numba.extending import overload

from minitms import adam
from minitms.fast import draws, gradient, gram, jit, newton, one_neuron, products, training, vectors
from minitms.fast.jit import inner, kernel, recipe

ROOT = Path(__file__).resolve().parent.parent
compiled = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")


def test_compiled_now_or_loaded_the_bits_are_equal():
    """The quick form; `python tests/cold_and_warm.py` has every kernel, and eight processes at once."""
    command = [sys.executable, str(ROOT / "tests" / "cold_and_warm.py"), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "other bits in: none" in done.stdout


def test_the_long_form_has_every_way():
    script = runpy.run_path(str(ROOT / "tests" / "cold_and_warm.py"))
    CASES, all_cases = script["CASES"], script["all_cases"]
    ways = {case[0].partition(",")[0] for case in all_cases()}
    assert ways == {"all", "active", "gram", "fixed", "one neuron"}
    assert {case[3] for case in all_cases()} == {"float32", "float64"}
    assert {"by parts", "wide"} <= {name.partition(", ")[2] for name in CASES}


class Row(NamedTuple):
    numbers: np.ndarray


class Room(NamedTuple):
    row: Row


@kernel(_nrt=False)
def write_a_row(room, X):
    row, width = room.row, vectors.lanes_of(X)
    for e in range(width):
        row.numbers[e] = 7


@pytest.mark.plain_python
def test_what_a_kernel_writes_to_a_field_stands_there():
    """Numba, asked to inline a function, removes from its caller what nobody reads again, and overlooks fields."""
    room = Room(Row(np.zeros(16)))
    write_a_row(room, np.zeros(16))
    assert (room.row.numbers == 7).all()


# -------------------------------------------------------------------------------------------------- no stale kernels

# A kernel of a second or so that calls something of each file that kernels are made of. It prints what it computes.
PROBE = '''
import sys
import numpy as np
from minitms import adam
from minitms.adam import Constants, Step, adam_update
from minitms.fast import draws, products
from minitms.fast.draws import in_panels, lanes_of
from minitms.fast.jit import inner, kernel
from minitms.fast.lists import lists
from minitms.features import SparseFeatures


@kernel(_nrt=False)
def probe(numbers, A, Q, out, data, room, constants):
    key = draws.batch_key(5, 1, 2, 3)
    numbers[0] = key >> np.uint64(40)
    low, high, step = draws.halves(key)
    numbers[1] = draws.integer(draws.hash_word(low, high), low, step, high, numbers)
    numbers[2] = draws.on_by_gaps(draws.halves(key), 0, 256, 0, 2, 0, data, room, np.uint64(0))
    numbers[3], _, _ = adam_update(1.0, 0.5, 0.25, 0.125, Step(0.1, 1.0, 1.0), constants)
    products.product(A, Q, 1, out)
    numbers[4], numbers[5] = out[0, 0, 0], lanes_of(out)
    numbers[6] = data.low[0, 0] + 10 * data.high[0, 0]


numbers = np.zeros(7)
Q = in_panels(1, 3, "float64")
Q[0] = np.array([[2.0], [7.0], [1.0]])
data = draws.data(SparseFeatures(2, 0.01), "float64")
out, room = in_panels(1, 1, "float64"), lists(2, False, "float64")
probe(numbers, np.array([[1.0, 3.0, 5.0]]), Q, out, data, room, adam.constants(0.25, "float64"))
hits = sum(probe.stats.cache_hits.values())
print("loaded" if hits else "compiled", *numbers.tolist())
'''

# A line of each file, and another for it.
EDITS = {
    "adam: the rule": (
        "constants.decay * w)",
        "constants.decay * w * w * 3)",
    ),
    "adam: the order of the constants": (
        "    epsilon: np.floating\n    decay: np.floating   # λ",
        "    decay: np.floating\n    epsilon: np.floating",
    ),
    "draws: a constant": (
        "GAMMA = 0x9E3779B97F4A7C15",
        "GAMMA = 0x9E3779B97F4A7C17",
    ),
    "draws: a number in a function": (
        "u32(0x7FEB352D)",
        "u32(0x7FEB352F)",
    ),
    "draws: a function of a function": (
        "z = (z ^ (z >> u64(30)))",
        "z = (z ^ (z >> u64(29)))",
    ),
    "draws: one of two for two dtypes": (
        "np.float64(np.int64(word) >> 5) * 2.0**26",
        "np.float64(np.int64(word) >> 5) * 2.0**25",
    ),
    "draws: which of the two": (
        "if like.dtype == types.float32 else _integer_double",
        "if like.dtype == types.float64 else _integer_double",
    ),
    "draws: the order of the fields": (
        "    low: np.ndarray         # (K, C), a feature is on iff low <= v < high ...\n    high: np.ndarray\n",
        "    high: np.ndarray\n    low: np.ndarray\n",
    ),
    "products: written for LLVM": (
        "builder.fadd(builder.load(place), builder.fmul(x, y",
        "builder.fsub(builder.load(place), builder.fmul(x, y",
    ),
    "products: a method there": (
        "self.builder.add(offset, self.builder.mul(i, stride))",
        "self.builder.add(offset, self.builder.mul(int64(0), stride))",
    ),
    "products: what only the compiler calls": (
        "entries = PANEL * 8 // X.dtype.bitwidth",
        "entries = 1 + PANEL * 8 // X.dtype.bitwidth",
    ),
}


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A copy of the package as an editable install has it, a folder for its kernels, and a fresh process."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "minitms", folder / "src" / "minitms", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "probe.py").write_text(PROBE, encoding="utf-8")

    def run(cache=folder / "cache"):
        environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "NUMBA_CACHE_DIR": str(cache),
                       "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip
        command = [sys.executable, "-W", "error", str(folder / "probe.py")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        how, *numbers = done.stdout.split()
        return how, numbers

    how, numbers = run()
    assert how == "compiled"
    return types.SimpleNamespace(folder=folder, package=folder / "src" / "minitms", run=run, numbers=numbers)


@pytest.fixture
def edit(copied):
    """A function that edits a file of the copy until the test is over."""
    texts = {}

    def change(old, new):
        (path,) = [path for path in copied.package.rglob("*.py") if old in path.read_text(encoding="utf-8")]
        texts[path] = path.read_text(encoding="utf-8")
        path.write_text(texts[path].replace(old, new), encoding="utf-8")

    yield change
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")


@compiled
@pytest.mark.parametrize("change", EDITS)
def test_an_edit_of_any_file_is_seen(change, copied, edit):
    edit(*EDITS[change])
    how, numbers = copied.run()
    assert how == "compiled"
    assert numbers != copied.numbers


@compiled
def test_what_means_the_same_is_not_compiled_again(copied, edit):
    """A comment, lines that move, another time, a function that no kernel calls."""
    copied.run()
    heads = '"""Adam\'s update rule', '"""Random numbers as', '"""Sparse features inside', '"""Products of matrices, ti'
    for head in heads:
        edit(head, "# a comment\n\n" + head)
    edit("def learning_rates(", "def nobody_calls_this():\n    return 42\n\n\ndef learning_rates(")
    assert copied.run() == ("loaded", copied.numbers)


@compiled
@pytest.mark.parametrize("damage", ["empty", "half", "zeros", "one bit", "words"])
def test_a_damaged_file_is_compiled_anew(copied, damage):
    shutil.rmtree(copied.folder / "cache", ignore_errors=True)
    copied.run()
    (path,) = (copied.folder / "cache").rglob("probe-*.nbc")
    data = path.read_bytes()
    half = len(data) // 2
    path.write_bytes({
        "empty": b"", "half": data[:half], "zeros": bytes(len(data)), "words": b"no kernel at all",
        "one bit": data[:half] + bytes([data[half] ^ 4]) + data[half + 1 :],
    }[damage])  # fmt: skip
    assert copied.run() == ("compiled", copied.numbers)
    assert copied.run() == ("loaded", copied.numbers)


@compiled
def test_an_old_kernel_makes_room_for_the_new_one(copied, edit):
    def files():
        return {path.name for path in (copied.folder / "cache").rglob("*") if path.is_file()}

    copied.run()
    before = files()
    edit(*EDITS["adam: the rule"])
    copied.run()
    assert len(files() - before) == len(before - files()) == 1


@compiled
def test_a_folder_that_cannot_be_written_is_no_hindrance(copied, tmp_path):
    """A file is in the way of the folder, which stops even one who may write everywhere."""
    (tmp_path / "file").write_bytes(b"")
    assert copied.run(tmp_path / "file" / "cache")[1] == copied.numbers


@compiled
@compiled
def test_while_a_kernel_is_compiled_it_is_said(monkeypatch, tmp_path):
    said = []

    @numba.extending.overload(answer)
    def listening():
        said.append(jit.compiling())
        return lambda: 42

    @kernel
    def ask():
        return answer()

    ask._cache._cache_file.folder = tmp_path
    monkeypatch.setattr(jit, "NOT_KEPT", [])
    assert jit.compiling() == ""
    assert ask() == 42
    assert set(said) == {"compiling, once"}
    assert jit.compiling() == ""


def answer():
    """What the test above overloads."""


def test_where_kernels_cannot_be_kept_it_is_said_how_to_mend_it(monkeypatch):
    monkeypatch.setattr(jit, "COMPILING", ["advance"])
    monkeypatch.setattr(jit, "NOT_KEPT", ["advance"])
    assert jit.compiling() == "compiling anew; NUMBA_CACHE_DIR=FOLDER keeps it"


def test_a_folder_that_vanishes_is_no_hindrance(tmp_path):
    dispatcher = kernel(_nrt=False)(lambda x: x + 1.0)
    dispatcher._cache._cache_file.folder = tmp_path / "gone"
    assert dispatcher(1.0) == 2.0


# ------------------------------------------------------------------------------------------------------------- recipe


COMPILING = """
import sys
from numba.core import event
import minitms as tms
rare = tms.SparseFeatures(80, 0.001)
source = {"dense": tms.SparseFeatures(80, 1.0), "rare": rare, "fixed": tms.Examples(rare.sample(50))}[sys.argv[1]]
with event.install_recorder("numba:compile") as recorder:
    tms.train(source, 2, steps=3, restarts=1, seed=0, progress=False)
    tms.phase_diagram([0.5], [1.0], method="expected", restarts=1, seed=0, progress=False)
print(len(recorder.buffer))
"""


def test_a_second_process_compiles_nothing(tmp_path):
    """Whatever a kernel was made of: also those that one function made, which Numba would not find again.

    They differ in what they call and not in their types, and none may take another one's place.
    """
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    counts = [
        int(subprocess.run([sys.executable, "-c", COMPILING, source], env=environment, capture_output=True, text=True,
                           check=True).stdout)
        for source in ("dense", "rare", "fixed") * 2
    ]  # fmt: skip
    assert min(counts[:3]) > 10
    assert counts[3:] == [0, 0, 0]


NAMES = {"inner": inner, "overload": overload}


def a_function(text, **names):
    exec(text, names)
    return names["f"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def f(x): return x + 1", "def f(x): return x + 2"),
        ("def f(x): return x + 1", "def f(x): return x - 1"),
        ("def f(x): return x + 1", "def f(x): return x + 1.0"),
        ("def f(x, y): return x - y", "def f(y, x): return x - y"),
        ("def f(x, y=1): return x - y", "def f(x, y=2): return x - y"),
        ("def f(x, *, y=1): return x - y", "def f(x, *, y=2): return x - y"),
        ("def f(x): return sum(x * 2 for _ in range(3))", "def f(x): return sum(x * 3 for _ in range(3))"),
        ("c = 1\ndef f(x): return x + c", "c = 2\ndef f(x): return x + c"),
        ("def g(x): return x\ndef f(x): return g(x)", "def g(x): return -x\ndef f(x): return g(x)"),
        ("def h(x): return x\ndef g(x): return h(x)\ndef f(x): return g(x)",
         "def h(x): return -x\ndef g(x): return h(x)\ndef f(x): return g(x)"),
        ("def make(c):\n def f(x): return x + c\n return f\nf = make(1)",
         "def make(c):\n def f(x): return x + c\n return f\nf = make(2)"),
        ("def make(c):\n def f(x): return c(x)\n return f\nf = make(lambda x: x)",
         "def make(c):\n def f(x): return c(x)\n return f\nf = make(lambda x: -x)"),
        ("def g(x): return x\ng = inner(g)\ndef f(x): return g(x)",
         "def g(x): return -x\ng = inner(g)\ndef f(x): return g(x)"),
        ("def g(x): return x\ng = inner(g)\ndef f(x): return g(x)",
         "def g(x): return x\ng = inner(g, fastmath=False)\ndef f(x): return g(x)"),
        ("def g(x): return x\ng = inner(g)\ndef f(x): return g(x)",
         "def g(x): return x\ng = inner(g, apart=True)\ndef f(x): return g(x)"),
        ("def g(x): return x\noverload(g)(lambda x: g)\ndef f(x): return g(x)",
         "def g(x): return x\noverload(g, inline='always')(lambda x: g)\ndef f(x): return g(x)"),
        ("def g(x): return x\nparts = (g, 1)\ndef f(x): return parts[0](x)",
         "def g(x): return -x\nparts = (g, 1)\ndef f(x): return parts[0](x)"),
        ("import numpy as np\nc = np.arange(3)\ndef f(x): return c[x]",
         "import numpy as np\nc = np.arange(3.0)\ndef f(x): return c[x]"),
        ("import numpy as np\nc = np.zeros(5000)\ndef f(x): return c[x]",
         "import numpy as np\nc = np.zeros(5000)\nc[2500] = 1\ndef f(x): return c[x]"),
    ],
)  # fmt: skip
def test_other_code_has_another_recipe(one, other):
    assert recipe(a_function(one, **NAMES)) != recipe(a_function(other, **NAMES))
    for text in (one, other):
        assert recipe(a_function(text, **NAMES)) == recipe(a_function(text, **NAMES))


def test_a_recipe_does_not_tell_what_means_nothing():
    assert recipe(a_function("def f(x): return x + 1")) == recipe(a_function("\n# so\ndef f(x): return x + 1  # it is"))
    assert recipe(a_function("c = 1\ndef f(x): return x")) == recipe(a_function("c = 2\ndef f(x): return x"))


def test_a_function_that_calls_itself_has_a_recipe():
    assert recipe(a_function("def f(x): return f(x - 1) if x else 0"))


def test_recipes_are_the_same_in_every_process():
    """No address and no order of a set is in them."""
    code = ("import hashlib; from minitms.fast import training, one_neuron; from minitms.fast.jit import recipe\n"
            "kernels = [*map(training.kernel_for, training.WAYS), training.finish_step, one_neuron.train_rows]\n"
            "print([hashlib.sha256(recipe(kernel).encode()).hexdigest() for kernel in kernels])")  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    printed = [subprocess.run([sys.executable, "-c", code], env={**environment, "PYTHONHASHSEED": seed}, check=True,
                              capture_output=True, text=True).stdout for seed in ("1", "2")]  # fmt: skip
    assert printed[0] == printed[1] != ""


@compiled
def test_the_recipes_of_the_kernels_reach_every_function_that_is_compiled():
    """What `inner`, `written_for_llvm` and the compiler's own choices are made of, in whichever file."""
    kernels = [training.kernel_for(way) for way in training.WAYS]
    modules = (adam, draws, gradient, gram, newton, one_neuron, products, training)
    kernels += [value for module in modules for value in vars(module).values()
                if hasattr(value, "py_func") and value.targetoptions.get("nogil")]  # fmt: skip
    lines = {line.partition(" ")[0] for each in kernels for line in recipe(each).splitlines()}
    wanted = set()
    for module in modules:
        text = Path(module.__file__).read_text(encoding="utf-8")
        wanted |= set(re.findall(r"^@(?:inner|kernel|written_for_llvm|overload|computed)\b.*\ndef (\w+)", text, re.M))
    written = {"_tile", "_outer_tile", "_sparse_product", "_add_sparse_outer",
               "_add_product", "_one_of", "spread", "row", "beside"}
    assert len(wanted) > 30
    assert (wanted | written) - lines == set()

