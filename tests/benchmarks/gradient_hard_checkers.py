"""Gradient checkers on hard kinds: who refuses right gradients, who lets wrong ones pass, and who says "cannot tell".

    python tests/benchmarks/gradient_hard_checkers.py [--checkers minitms torch ...]

Every checker gets the cases of `gradient_hard_cases`, once with the right gradient and once with the planted mistake,
in the ways and with the tolerances of `gradient_checkers`. scipy gets a second chance: its `approx_fprime` beside the
gradient, as a relative difference of the two.

The counts are kept in gradient_hard_checkers.json, so that one checker can be measured anew by itself: those of the
others stay as they were measured, as long as the cases are the same. Needs the extra `bench`. Prints the tables, and
writes them beside this file, and the sums into ``README.md`` there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import warnings
from collections import Counter
from pathlib import Path

import gradient_checkers
import gradient_hard_cases
import numpy as np
import tables
from gradient_hard_cases.case import join, proven

COUNTS = Path(__file__).with_suffix(".json")
TABLES = Path(__file__).with_suffix(".md")
ROUNDS = 23  # cases of each family
FIRST_ROUND = 1000  # apart from the cases that the checker was developed on
RELATIVE_THRESHOLD = 1e-4


def scipy_relative(case):
    from scipy.optimize import approx_fprime

    loss, gradient, start = gradient_checkers.flat(case)
    claimed, found = gradient(start), approx_fprime(start, loss)
    assert np.linalg.norm(claimed - found) <= RELATIVE_THRESHOLD * np.linalg.norm(found)


def _with_scipy_relative():
    for name, checker in gradient_checkers.CHECKERS.items():
        yield name, checker
        if checker is gradient_checkers.scipy:
            yield "scipy `approx_fprime`", scipy_relative


CHECKERS = dict(_with_scipy_relative())


def answer(checker, case):
    """What a checker says: "passes", "refuses" (a crash is a refusal too) or, minitms alone, "cannot tell"."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            report = checker(case)
        except Exception as error:
            own = type(error).__module__.startswith("minitms.testing")
            return "cannot tell" if own and not isinstance(error, AssertionError) else "refuses"
    return "passes" if getattr(report, "ok", True) else "cannot tell"


def measure(checker, cases):
    """Counts of the answers by kind, to the right gradients, to the wrong ones, and where it cannot be told."""
    counts = Counter()
    for case in cases:
        said = answer(checker, case)
        counts[case.kind, "right" if case.checkable else "undecidable", said] += 1
        if checker is gradient_checkers.ours and case.checkable and said == "refuses":
            print(f"    false alarm: {case.kind}, {case.name}, seed {case.seed}", flush=True)
        if case.mistake:
            name, gradient = case.mistake
            said = answer(checker, case._replace(gradient=gradient))
            counts[case.kind, "wrong", said] += 1
            if checker is gradient_checkers.ours and said == "passes":
                print(f"    missed: {case.kind}, {case.name}, seed {case.seed}: {name}", flush=True)
    return counts


def prove(cases):
    """Stop if a gradient that is called right is not, or a planted mistake is none."""
    for case in cases:
        if case.checkable and not proven(case, np.random.default_rng(0)):
            raise AssertionError(f"the gradient of {case.name} is not right, seed {case.seed}")
        if case.mistake and np.array_equal(join(case.mistake[1](case.params)), join(case.gradient(case.params))):
            raise AssertionError(f"the mistake in {case.name} is none, seed {case.seed}")


def corpus():
    """What must be equal for counts to stand side by side."""
    digest = hashlib.sha256(str(ROUNDS).encode())
    for path in sorted(Path(gradient_hard_cases.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def kept():
    """The counts on disk, None if they are of other cases."""
    found = json.loads(COUNTS.read_text()) if COUNTS.exists() else None
    return found if found and found["corpus"] == corpus() else None


def keep(name, counts):
    found = kept() or {"corpus": corpus(), "checkers": {}}  # read again: another may have been measured meanwhile
    rows = {}
    for (kind, gradient, said), count in sorted(counts.items()):
        rows.setdefault(kind, {}).setdefault(gradient, {})[said] = count
    found["checkers"][name] = {"machine": tables.machine(), "kinds": rows}
    COUNTS.write_text(json.dumps(found, indent=1) + "\n")
    return found


def answers(checker, gradient, kind=None):
    """The answers of one checker, of one kind or of all, and how many there are."""
    found = Counter()
    for name, row in checker["kinds"].items():
        if kind in (None, name):
            found.update(row.get(gradient, {}))
    return found, sum(found.values())


def by_kind(checkers, gradient, bad):
    """How often each checker gave the bad answer, kind by kind; behind a + how often it said that it cannot tell."""
    kinds = [kind for kind in gradient_hard_cases.KINDS if answers(checkers[0][1], gradient, kind)[1]]
    rows = []
    for kind in [*kinds, None]:
        cells = []
        for _, checker in checkers:
            found, _ = answers(checker, gradient, kind)
            cells.append(f"{found[bad]}" + (f" + {found['cannot tell']}" if found["cannot tell"] else ""))
        rows.append([kind or "all", f"{answers(checkers[0][1], gradient, kind)[1]:,}", *cells])
    return tables.markdown(["kind", "cases", *(name for name, _ in checkers)], rows)


def sums(checkers):
    """One row a checker."""
    rows = []
    for name, checker in checkers:
        (right, rights), (wrong, wrongs) = answers(checker, "right"), answers(checker, "wrong")
        undecidable, undecidables = answers(checker, "undecidable")
        rows.append([
            name, f"{right['refuses']:,} ({100 * right['refuses'] / rights:.1f} %)", right["cannot tell"],
            f"{wrong['passes']:,} ({100 * wrong['passes'] / wrongs:.1f} %)", wrong["cannot tell"],
            f"{undecidable['passes']:,}",
        ])
    header = [
        "checker", f"right ones refused, of {rights:,}", "cannot tell",
        f"wrong ones passed, of {wrongs:,}", "cannot tell", f"undecidable ones passed, of {undecidables}",
    ]
    return tables.markdown(header, rows)


def write(found):
    checkers = [(name, found["checkers"][name]) for name in CHECKERS if name in found["checkers"]]
    machines = " and ".join(dict.fromkeys(checker["machine"] for _, checker in checkers))
    sentence = (
        f"Measured by `python tests/benchmarks/gradient_hard_checkers.py` on {machines}; of scipy's `check_grad` below "
        f"{gradient_checkers.SCIPY_THRESHOLD:g} counts as right, of `approx_fprime` a relative difference below "
        f"{RELATIVE_THRESHOLD:g}."
    )
    details = (
        "# Gradient checkers on hard kinds\n\n"
        f"{sums(checkers)}\n\n{sentence}\n\n"
        "A number behind a + says how often the checker said that it cannot tell, which only minitms can say.\n\n"
        f"## Right gradients refused\n\n{by_kind(checkers, 'right', 'refuses')}\n\n"
        f"## Wrong gradients passed\n\n{by_kind(checkers, 'wrong', 'passes')}\n\n"
        "## Passed where it cannot be told\n\n"
        "The loss is constant around the point, or rises in steps.\n\n"
        f"{by_kind(checkers, 'undecidable', 'passes')}\n"
    )
    print(f"\n{details}")
    TABLES.write_text(details, encoding="utf-8")
    tables.write("gradient-hard-cases", f"{sums(checkers)}\n\n[By kind]({TABLES.name}). {sentence}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    short = {name.replace("`", ""): name for name in CHECKERS}
    parser.add_argument(
        "--checkers", nargs="*", default=list(short), metavar="NAME",
        help=f"those to measure anew, by parts of their names: {', '.join(short)}; none: only write the tables",
    )
    options = parser.parse_args()
    measured = [name for name in short if any(part in name for part in options.checkers)]
    if kept() is None and len(measured) < len(short):
        parser.error(f"{COUNTS.name} is of other cases than these; expected all checkers to be measured: no --checkers")
    families = len(gradient_hard_cases.FAMILIES)
    cases = [gradient_hard_cases.hard_case(i) for i in range(FIRST_ROUND * families, (FIRST_ROUND + ROUNDS) * families)]
    prove(cases)
    rights, wrongs = sum(case.checkable for case in cases), sum(case.mistake is not None for case in cases)
    print(f"{len(cases)} cases of {families} families: {rights} right gradients proven, {wrongs} mistakes", flush=True)
    for name in measured:
        print(name, flush=True)
        keep(short[name], measure(CHECKERS[short[name]], cases))
    write(kept())


if __name__ == "__main__":
    main()
