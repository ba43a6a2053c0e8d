"""The package: what importing it does and does not do, its names, its docstrings and their examples."""

from __future__ import annotations

import copy
import doctest
import importlib
import inspect
import os
import pickle
import pkgutil
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

import minitms as tms

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NAMES = {
    "SparseFeatures", "forward", "loss", "backward", "loss_and_gradients", "train", "TrainingRun", "DivergenceError",
    "feature_norms", "interference", "dimensionality", "dimensions_per_feature", "features_represented",
    "expected_loss", "expected_gradients", "phase_diagram", "PhaseDiagram", "Weights", "Examples", "features_learned",
    "Checkpoint", "classify", "load_example", "feature_clusters", "feature_polytopes", "polytope", "leverage",
    "Attack", "worst_attack", "features_per_neuron", "neurons_per_feature", "neuron_blocks",
}  # fmt: skip
SHOWN = ("minitms.plots.", "minitms.theory.", "minitms.testing.gradient_check.", "minitms.polytopes.",
         "minitms.polytope_losses.")
MODULES = sorted(module.name for module in pkgutil.walk_packages(tms.__path__, "minitms."))
FUNCTIONS = sorted(
    {
        f"{module}.{name}": value
        for module in MODULES
        for name, value in vars(importlib.import_module(module)).items()
        if inspect.isfunction(value) and value.__module__ == module and not name.startswith("_")
        if not any(part.startswith("_") for part in module.split("."))
    }.items()
)


def public_functions():
    """Functions that a user calls: those of the top level and of plots, testing and theory."""
    top = {value for value in vars(tms).values() if inspect.isfunction(value)}
    return [
        pytest.param(value, id=name)
        for name, value in FUNCTIONS
        if value in top or name.startswith(SHOWN)
    ]


def in_a_fresh_process(code):
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


COMPILED = """
from numba.core import event
with event.install_recorder("numba:compile") as recorder:
    {code}
print(len(recorder.buffer))
"""


def test_importing_compiles_nothing():
    assert int(in_a_fresh_process(COMPILED.format(code="import minitms"))) == 0
    assert int(in_a_fresh_process(COMPILED.format(code="import numba; numba.njit('f8(f8)')(lambda x: x)"))) > 0


def test_importing_draws_in_little_more_than_numba_does():
    """matplotlib alone would take as long as all the rest."""
    listing = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    numba = set(in_a_fresh_process(f"import numba, tqdm; {listing}").split())
    ours = set(in_a_fresh_process(f"import minitms; {listing}").split())
    assert ours - numba - set(sys.stdlib_module_names) == {"minitms"}


def test_plots_and_testing_are_imported_on_first_use():
    assert in_a_fresh_process(
        "import sys, minitms\n"
        "minitms.testing.check_grad\n"
        "print('hypothesis' in sys.modules)\n"
        "minitms.testing.strategies.models\n"
        "print('hypothesis' in sys.modules, 'matplotlib' in sys.modules)\n"
        "minitms.plots.feature_vectors\n"
        "print('matplotlib' in sys.modules)\n"
    ).split() == ["False", "True", "False", "True"]


def test_importing_leaves_the_surroundings_alone():
    """No change to NumPy's error state, numba's threads, warning filters, signal handlers or the environment."""
    state = (
        "state = (np.geterr(), numba.get_num_threads(), numba.config.THREADING_LAYER, list(warnings.filters),"
        " signal.getsignal(signal.SIGINT), dict(os.environ), np.random.get_state()[1].tolist())\n"
    )
    assert in_a_fresh_process(
        f"import os, signal, warnings, numba, numpy as np\n{state}before = state\nimport minitms\n{state}"
        "print(state == before)"
    ).split() == ["True"]


def test_the_public_names():
    public = {name for name in vars(tms) if not name.startswith("_") and not inspect.ismodule(getattr(tms, name))}
    assert public >= NAMES
    documented = {name for name in public if getattr(tms, name).__doc__}
    assert documented == public
    with pytest.raises(AttributeError, match=r"module 'minitms' has no attribute 'tarin'"):
        tms.tarin  # noqa: B018


def test_what_is_listed_is_what_is_public():
    public = {name for name in vars(tms) if not name.startswith("_") and not inspect.ismodule(getattr(tms, name))}
    assert set(tms.__all__) == public | {"plots", "testing", "theory"}
    assert set(dir(tms)) == {*tms.__all__, "__version__"}
    assert tms.__all__ == sorted(tms.__all__)
    assert in_a_fresh_process("from minitms import *; print(Weights.__name__, plots.STYLE)").split()[0] == "Weights"


def test_figures_and_tutorials_use_public_names_alone():
    """What they do, a user can do: nothing with an underscore, and nothing of the fast half."""
    paths = [path for folder in ("figures", "tutorials") for path in (ROOT / folder).rglob("*.py")]
    assert len(paths) > 15
    inside = r"(?:_|fast\b)"
    private = rf"\b(?:minitms|tms)\.(?:\w+\.)*{inside}|from minitms[\w.]* import (?:.*[ (])?{inside}"
    found = [f"{path.name}: {line.strip()}" for path in paths for line in path.read_text(encoding="utf-8").splitlines()
             if re.search(private, line) and not line.startswith("#")]
    assert not found


def test_a_word_of_the_paper_is_answered_with_the_one_that_is_known_here():
    """And the signatures are those that one reads."""
    for word in ("sparsity", "S"):
        with pytest.raises(TypeError, match=rf"SparseFeatures has no {word}=; expected density = 1 - {word}$"):
            tms.SparseFeatures(n=5, **{word: 0.9})
    with pytest.raises(TypeError, match="SparseFeatures has no feature_probability=; expected density="):
        tms.SparseFeatures(n=5, feature_probability=0.1)
    features = tms.SparseFeatures(n=5, density=0.1)
    for word, hint in {"lr": "learning_rate=", "m": "n_hidden=", "sparsity": r".*density = 1 - sparsity"}.items():
        with pytest.raises(TypeError, match=rf"train has no {word}=; expected {hint}"):
            tms.train(features, **{word: 0.1})
    with pytest.raises(TypeError, match="phase_diagram has no lr=; expected learning_rate="):
        tms.phase_diagram([0.5], [1], lr=0.1)
    with pytest.raises(TypeError, match="phase_diagram has no sparsities=; expected densities = 1 - sparsities"):
        tms.phase_diagram(sparsities=[0.5], importances=[1])
    with pytest.raises(TypeError, match="unexpected keyword argument 'sparcity'"):
        tms.SparseFeatures(n=5, sparcity=0.1)
    assert list(inspect.signature(tms.SparseFeatures).parameters)[:2] == ["n", "density"]
    assert list(inspect.signature(tms.train).parameters)[:2] == ["features", "n_hidden"]
    assert pickle.loads(pickle.dumps(features)).n == copy.deepcopy(features).n == 5


def test_one_version():
    """The changelog and the citation name the version that the package has."""
    assert re.fullmatch(r"\d+\.\d+\.\d+", tms.__version__)
    assert re.search(rf"^version: {re.escape(tms.__version__)}$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest[1] == tms.__version__


def test_run_time_needs_no_more_than_it_says():
    """What minitms imports at the top of a module is in the standard library or among the dependencies."""
    allowed = {re.match(r"\w+", dependency)[0] for dependency in PROJECT["dependencies"]}
    optional = {"hypothesis"}  # in minitms.testing.strategies, which says how to install it
    optional |= {"llvmlite"}  # numba cannot be installed without it
    optional |= {"figures"}  # in minitms.explorer.numbers, which makes what the page shows, in a clone
    used = set()
    for path in (ROOT / "minitms").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        used |= set(re.findall(r"^\s*(?:from|import) (\w+)", source, re.MULTILINE))
    foreign = used - set(sys.stdlib_module_names) - {"minitms"} - {"the"}
    assert foreign - optional <= allowed
    assert allowed <= foreign


def test_the_package_is_typed():
    assert (ROOT / "minitms" / "py.typed").exists()


def test_no_file_has_outgrown_one_concept():
    lengths = {path.name: path.read_text(encoding="utf-8").count("\n") for path in (ROOT / "minitms").rglob("*.py")}
    assert {name: length for name, length in lengths.items() if length > 450} == {}


# --------------------------------------------------------------------------------------------------------- docstrings


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_is(module):
    assert importlib.import_module(module).__doc__


@pytest.mark.parametrize("function", public_functions())
def test_public_functions_say_what_they_take_and_give(function):
    documentation = inspect.getdoc(function)
    assert documentation
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\S[^\n]*\n-{3,}|\Z)", documentation, re.MULTILINE | re.DOTALL)
    elsewhere = re.search(r"^Parameters.* are those of `\w+`", documentation, re.MULTILINE)
    if not elsewhere and "`" not in documentation.split("\n")[0]:  # or the first line names whose they are
        assert section, "no section Parameters"
        missing = [name for name in inspect.signature(function).parameters if not re.search(rf"\b{name}\b", section[1])]
        assert not missing, f"parameters without a word: {missing}"
    assert "Returns\n-------" in documentation


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings_print_what_they_say(module):
    """Each alone, with what it imports itself and nothing else."""
    results = doctest.testmod(importlib.import_module(module), globs={})
    assert results.failed == 0


def public_names():
    """What a user finds by <Tab>: the top level, and the rooms behind it."""
    for room in ("minitms", "minitms.plots", "minitms.theory", "minitms.testing", "minitms.testing.strategies",
                 "minitms.testing.metamorphic"):  # fmt: skip
        module = importlib.import_module(room)
        for name, value in vars(module).items():
            at_home = room == "minitms" or getattr(value, "__module__", "").startswith(room)
            if callable(value) and not name.startswith("_") and at_home:
                yield pytest.param(value, id=f"{room}.{name}")


@pytest.mark.parametrize("value", list(public_names()))
def test_every_public_name_has_an_example(value):
    """Which the test above runs."""
    documentation = inspect.getdoc(value)
    examples = re.search(r"^Examples\n-{8}\n(.*)", documentation, re.MULTILINE | re.DOTALL)
    assert examples, "no section Examples"
    assert ">>> " in examples[1]


def test_indented_examples_in_docstrings_run():
    """A block that begins with an import is code to copy; the tests in it are run too."""
    blocks = [
        textwrap.dedent(block)
        for module in MODULES
        for block in re.findall(
            r"(?:^    \S.*\n(?:(?:    .*)?\n)*)", importlib.import_module(module).__doc__, re.MULTILINE
        )
        if re.match(r"    (import|from) ", block)
    ]
    assert len(blocks) >= 1
    for block in blocks:
        session = {}
        exec(block, session)
        for name, value in session.items():
            if name.startswith("test_"):
                value()


def test_some_examples_are_run():
    examples = [
        example
        for module in MODULES
        for test in doctest.DocTestFinder().find(importlib.import_module(module))
        for example in test.examples
    ]
    assert len(examples) >= 4


# ------------------------------------------------------------------------------------------------ the tests themselves


def test_a_skip_fails_the_run_where_none_is_allowed(tmp_path):
    """CI sets MINITMS_NO_SKIP=1, so that a test that could not run is no green test."""
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    code = "import pytest\ndef test_one(): pass\ndef test_two(): pytest.importorskip('no_such_package')\n"
    (tmp_path / "test_it.py").write_text(code, encoding="utf-8")
    status = [
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
            env={**os.environ, "MINITMS_NO_SKIP": allowed}, cwd=tmp_path, capture_output=True, timeout=120,
        ).returncode
        for allowed in ("0", "1")
    ]  # fmt: skip
    assert status == [0, 1]


def test_every_module_has_its_tests():
    """tests/ mirrors minitms/: each public module has a test file of its name."""
    # with what gives them
    together = {"run": "training", "plan": "training", "diagram": "phases", "examples": "phases"}
    modules = {path.stem for path in (ROOT / "minitms").glob("[!_]*.py")}
    tested = {path.stem.removeprefix("test_") for path in (ROOT / "tests").glob("test_*.py")}
    assert {together.get(module, module) for module in modules} - tested == set()
