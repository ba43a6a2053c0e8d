"""Check that a wheel holds minitms, all of it, and nothing else: ``python tests/wheel_contents.py WHEEL``."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "minitms"
SUFFIXES = (".py", ".typed", ".mplstyle", ".npz", "explorer.html")

wheel = Path(sys.argv[1])
with zipfile.ZipFile(wheel) as archive:
    names = {name for name in archive.namelist() if not name.split("/")[0].endswith(".dist-info")}
expected = {
    path.relative_to(PACKAGE.parent).as_posix() for path in PACKAGE.rglob("*") if path.name.endswith(SUFFIXES)
}
if names != expected:
    sys.exit(
        f"{wheel.name} differs from the package folder; "
        f"only in the wheel: {sorted(names - expected)}; missing in the wheel: {sorted(expected - names)}"
    )
print(f"{wheel.name}: {len(names)} files of minitms, nothing else")
