"""Do what the README says in a new clone, then use the package from the folder that holds the clone.

``python tests/readme_install.py CLONE`` takes a copy of this repository, without a virtual environment, whose folder is
named minitms: a script beside it that says ``import minitms`` sees that folder first.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

STUDY = """\
from typing import TYPE_CHECKING

import numpy as np

import minitms as tms

features = tms.SparseFeatures(n=5, density=0.1)
run = tms.train(features, n_hidden=2, steps=50, restarts=2, seed=0)
diagram = tms.phase_diagram(np.array([0.5]), np.array([1.0]), method="expected", restarts=2, seed=0)
if TYPE_CHECKING:
    reveal_type(features), reveal_type(run), reveal_type(run.best()), reveal_type(diagram)
    reveal_type(tms.dimensionality(run.best().W))
    reveal_type(tms.expected_loss(run.best().W, run.best().b, 0.1))
    reveal_type(tms.plots.weight_gram), reveal_type(tms.plots.weight_gram(run))
    reveal_type(tms.plots.weight_gram(run.plot()[0, 0], run)), reveal_type(tms.testing.check_grad)
"""
TYPES = [
    r"minitms\.features\.SparseFeatures", r"minitms\.run\.TrainingRun", r"minitms\.run\.Best",
    r"minitms\.diagram\.PhaseDiagram", r"numpy\.ndarray\[.*", r"numpy\.ndarray\[.*",
    r"minitms\.plots\._canvas\.Drawing\[\[W: .*\.TrainingRun \| minitms\.run\.Best, .*\]\]",
    r"matplotlib\.axes\._axes\.Axes", r"matplotlib\.axes\._axes\.Axes", r"def \(loss: .*\) -> .*",
]  # fmt: skip
# Each line holds a word that nobody knows, and a type checker says so.
WRONG = """\
import numpy as np
import minitms as tms
features, W, b = tms.SparseFeatures(n=5, density=0.1), np.ones((2, 5)), np.zeros(5)
tms.train(features, 2, activation="gelu")
tms.train(features, 2, hidden="tanh")
tms.train(features, 2, schedule="cos")
tms.train(features, 2, engine="torch")
tms.train(features, 2, dtype="float16")
tms.train(features, 2, lr=0.01)
tms.SparseFeatures(n=5, density=0.1, pattern="exactly_one")
tms.SparseFeatures(n=5, density=0.1, target="|x|")
tms.SparseFeatures(n=5, sparsity=0.9)
features.sample(10, dtype="float16")
tms.phase_diagram([0.5], [1.0], method="exact")
tms.phase_diagram([0.5], [1.0], activation="gelu")
tms.expected_loss(W, b, 0.1, activation="gelu")
tms.expected_gradients(W, b, 0.1, pattern="correlated")
tms.theory.configuration_losses(0.1, 1.0, activation="gelu")
tms.load_example("no such")
tms.plots.weight_gram(features)
tms.forward(W, b, features.sample(3), activation="gelu")
tms.backward(W, b, features.sample(3), hidden="tanh")
tms.worst_attack(W, b, features.sample(3), 0.1, per="batch")
tms.trian(features, 2)
"""
WRONG_FROM = 4  # the first line of these

clone = Path(sys.argv[1]).resolve()
holder = clone.parent
assert clone.name == "minitms"


def run(*command, folder, fails=False):
    """What the command prints."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    finished = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if bool(finished.returncode) is not fails:
        sys.exit(f"{' '.join(command)} in {folder}\n{finished.stdout}{finished.stderr}")
    return finished.stdout


readme = (clone / "README.md").read_text(encoding="utf-8")
install, figures = re.search(r"```sh\n(python3 .*) && (\.venv/bin/python -m figures --quick)\n```", readme).groups()
run("sh", "-c", install.replace("python3", os.environ.get("PYTHON", "python3"), 1), folder=clone)
python = str(clone / ".venv" / "bin" / "python")

counted, written = run("sh", "-c", f"{figures} theoretical_phases", folder=clone).splitlines()[-2:]
assert re.fullmatch(r"\d+ claims: .*; every verdict as expected", counted), counted
pictures = Path(re.fullmatch(r"Pictures and findings \(README\.md\) are in (.*)", written)[1])
assert (pictures / "theoretical_phases.png").exists(), written

first = re.search(r"```python\n(.*?)```", readme, re.DOTALL)[1]
run(python, "-c", first, folder=clone)
(clone / "superposition.png").unlink()

(holder / "study.py").write_text(STUDY, encoding="utf-8")
run(python, "study.py", folder=holder)

run(python, "-m", "pip", "install", "-qq", "mypy", folder=clone)
for folder in (holder, clone, Path("/")):
    printed = run(python, "-m", "mypy", str(holder / "study.py"), "--cache-dir", os.devnull, folder=folder)
    types = re.findall(r'Revealed type is "(.*)"', printed)
    assert len(types) == len(TYPES), printed
    for seen, expected in zip(types, TYPES, strict=True):
        assert re.fullmatch(expected, seen), f"mypy in {folder} sees {seen}, not {expected}"

(holder / "wrong.py").write_text(WRONG, encoding="utf-8")
printed = run(python, "-m", "mypy", str(holder / "wrong.py"), "--cache-dir", os.devnull, folder=holder, fails=True)
refused = {int(line) for line in re.findall(r"wrong\.py:(\d+): error", printed)}
assert refused == set(range(WRONG_FROM, WRONG.count("\n") + 1)), printed
print("installed as the README says, used and type-checked from the folder that holds the clone")
