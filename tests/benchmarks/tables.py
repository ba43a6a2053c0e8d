"""What the benchmarks share: interleaved rounds, tables that go to the screen and into a page, and kept rates."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
from pathlib import Path

ROUNDS = 7
PAGE = Path(__file__).resolve().with_name("README.md")  # of the tables
RATES = PAGE.with_name("speed.json")
ROOT = PAGE.parent.parent.parent


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


def processor():
    """The processor's own name."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and (model := re.search(r"^model name\s*: (.*)$", cpuinfo.read_text(), re.MULTILINE)):
        return model[1]
    return platform.processor() or platform.machine()


def machine():
    """The processor and the number of cores, for the line under a table."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores of {processor()}"


def slug():
    """The processor's name as a part of a file name."""
    return re.sub(r"[^a-z0-9]+", "_", processor().lower()).strip("_")


def write(name, text, page=PAGE):
    """Put `text` into the page's block of this name and this processor, or into a new one behind the others.

    A block stands between the comments ``<!-- name on processor:begin -->`` and ``<!-- name on processor:end -->``.
    """
    block = f"<!-- {name} on {processor()}:begin -->\n{text}\n<!-- {name} on {processor()}:end -->"
    content = page.read_text(encoding="utf-8")
    ends = list(re.finditer(rf"<!-- {name} on ([^>]*):begin -->.*?<!-- {name} on \1:end -->", content, re.DOTALL))
    if not ends:
        print(f"{page.relative_to(ROOT)} has no block <!-- {name} on ...:begin -->; nothing written")
        return
    own = [match for match in ends if match[1] == processor()]
    first, last = own[0].span() if own else (ends[-1].end(), ends[-1].end())
    page.write_text(content[:first] + ("" if own else "\n\n") + block + content[last:], encoding="utf-8")


def keep_rates(name, rates):
    """Keep rates, {what: {contestant: million model-examples a second}}, for the picture that `speed.py` draws."""
    kept = json.loads(RATES.read_text(encoding="utf-8")) if RATES.exists() else {}
    kept.setdefault(processor(), {})[name] = {
        what: {who: float(f"{rate:.4g}") for who, rate in each.items()} for what, each in rates.items()
    }
    RATES.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
