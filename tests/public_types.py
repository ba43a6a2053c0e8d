"""Every public name is typed, as pyright sees it: ``python tests/public_types.py FOLDER_THAT_HOLDS_MINITMS``.

Public is what `minitms.__all__` names, with `plots` and `testing`, and the attributes of all these. Needs pyright.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import minitms as tms

OPEN = ("minitms", "minitms.plots", "minitms.testing", "minitms.testing.metamorphic", "minitms.testing.strategies",
        "minitms.theory")  # fmt: skip


def public():
    """The public objects, each by the names of where it is to be used and where it is defined."""
    for place in OPEN:
        module = importlib.import_module(place)
        for name in getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")]):
            thing = getattr(tms if place == "minitms" else module, name)
            home = getattr(thing, "__module__", place)
            if not inspect.ismodule(thing) and home.startswith(place):
                yield from ((f"{place}.{name}", thing), (f"{home}.{name}", thing))


folder = Path(sys.argv[1]).resolve()
command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--verifytypes", "minitms",
           "--ignoreexternal", "--outputjson"]  # fmt: skip
# Pyright does not follow an editable install; and to verify types it asks the first `python` of the path.
path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
environment = os.environ | {"PYTHONPATH": str(folder), "PATH": path}
printed = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True).stdout
symbols = json.loads(printed)["typeCompleteness"]["symbols"]
names = dict(public())
assert names.keys() & {symbol["name"] for symbol in symbols}, printed
parts = tuple(f"{name}." for name, thing in names.items() if inspect.isclass(thing))
untyped = [
    symbol for symbol in symbols
    if (symbol["name"] in names or symbol["name"].startswith(parts))
    and not (symbol["isTypeKnown"] and not symbol["isTypeAmbiguous"]) and not re.search(r"\._", symbol["name"])
]
for symbol in untyped:
    said = "; ".join(diagnostic["message"] for diagnostic in symbol["diagnostics"])
    print(f"{symbol['name']}: {said or 'a part of it is not typed'}")
print(f"{len(names)} public names, {len(untyped)} of their parts without a type")
sys.exit(bool(untyped))
