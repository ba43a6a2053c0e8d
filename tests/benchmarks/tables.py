"""What the benchmarks share: interleaved rounds, and tables that go to the screen and into the README."""

from __future__ import annotations

import os
import platform
import re
import statistics
from pathlib import Path

ROUNDS = 7
README = Path(__file__).resolve().parent.parent.parent / "README.md"


def interleaved(contestants, rounds=ROUNDS):
    """Call every contestant once a round, so that the machine's load falls on all alike; the median of each.

    `contestants` maps a name to a function that returns a rate. Each is called once before, to warm up.
    """
    for contestant in contestants.values():
        contestant()
    rates = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            rates[name].append(contestant())
    for name, each in rates.items():
        every = " ".join(f"{rate:.3g}" for rate in each)
        print(f"    {name}: {every}, median {statistics.median(each):.3g}", flush=True)
    return {name: statistics.median(each) for name, each in rates.items()}


def markdown(header, rows):
    """A table in Markdown, the first column to the left and the others to the right."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def machine():
    """The processor and the number of cores, for the line under a table."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and (model := re.search(r"^model name\s*: (.*)$", cpuinfo.read_text(), re.MULTILINE)):
        name = model[1]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores of {name}"


def write_to_readme(name, text):
    """Put `text` between the comments ``<!-- name:begin -->`` and ``<!-- name:end -->``, where the README has them."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    readme = README.read_text(encoding="utf-8")
    before, found, rest = readme.partition(begin)
    if not found or end not in rest:
        print(f"README.md has no {begin} ... {end}; nothing written")
        return
    _, _, after = rest.partition(end)
    README.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
