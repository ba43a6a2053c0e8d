"""The command ``python -m figures``: make figures, judge their claims, write the findings."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import matplotlib
from tqdm import tqdm

import figures
from figures import findings
from figures.claims import differs


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"figures: {message}\n")


def main(argv=None):
    """Run the command and return its exit status: 0; 1 if a verdict is not the expected one; 2 for a wrong call."""
    parser = _Parser(prog="python -m figures", description="Regenerate the figures and test the claims they make.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to make (default: all)")
    parser.add_argument("--quick", action="store_true", help="small sizes, in seconds; into a temporary folder, or DIR")
    parser.add_argument("--list", action="store_true", help="list the figures and stop")
    parser.add_argument("--out", metavar="DIR", type=Path, help="write everything to DIR (default: figures/)")
    args = parser.parse_args(argv)

    unknown = [name for name in args.names if name not in figures.NAMES]
    if unknown:
        parser.error(f"unknown figure {unknown[0]!r}; expected one of {', '.join(figures.NAMES)}")
    if args.list:
        for name in args.names or figures.NAMES:
            print(f"{name:<30} {findings.prose(name)[0]}")
        return 0
    try:
        folder = _folder(args.out, args.quick)
    except OSError as problem:
        parser.error(f"cannot write to {args.out or 'the folder of the figures'}: {problem.strerror}; give --out DIR")

    matplotlib.use("agg")
    names = [name for name in figures.NAMES if name in args.names or not args.names]
    judged = []
    try:
        with tqdm(names, desc="figures", disable=None, leave=False) as progress:
            for name in progress:
                rows = _make(name, folder, args.quick)
                judged += rows
                width = shutil.get_terminal_size(fallback=(1000, 24)).columns
                progress.write(f"\n{name}: {findings.prose(name)[0]}\n{findings.table(rows, width)}")
                findings.write_readme(folder)
        if folder == findings.HERE:
            findings.write_summary(folder.parent / "README.md")
    except KeyboardInterrupt:
        print(f"figures: stopped; what was finished is in {folder}", file=sys.stderr)
        return 130
    except OSError as problem:
        print(f"figures: cannot write to {folder}: {problem}", file=sys.stderr)
        return 2
    unexpected = sum(differs(row) for row in judged)
    print(f"\n{findings.counts(judged)}{'' if unexpected else '; every verdict as expected'}")
    print(f"Pictures and findings (README.md) are in {folder}")
    if unexpected:
        print(f"{unexpected} verdicts differ from the expected ones", file=sys.stderr)
    return 1 if unexpected else 0


def _folder(out, quick):
    """The folder to write to, made if missing and proven writable."""
    if out is None and quick:
        return Path(tempfile.mkdtemp(prefix="minitms-figures-"))
    folder = findings.HERE if out is None else out
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        return folder


def _make(name, folder, quick):
    """Make one figure, write its files, and return the rows of its claims."""
    import matplotlib.pyplot as plt

    script = import_module(f"figures.{name}")
    # Start from matplotlib's own defaults, so that a user's settings do not change the pictures.
    with plt.style.context(["default", "minitms.minitms"]):
        result = script.make(quick)
        rows = [claim.row(result.measured[claim.key] if claim.quick or not quick else None) for claim in script.CLAIMS]
        findings.save(folder, name, rows, result, quick)
    plt.close("all")
    return rows


if __name__ == "__main__":
    sys.exit(main())
