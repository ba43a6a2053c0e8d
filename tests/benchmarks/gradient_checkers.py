"""Gradient checkers side by side: who catches the planted mistakes, who raises false alarms, and in what time.

    python tests/benchmarks/gradient_checkers.py [--cases 10000] [--peer-cases 220]

Every checker gets the same losses and the same gradients, written by hand in NumPy, each in the way its users would
hand them over: torch as an `autograd.Function`, JAX as a `custom_vjp` around a callback, autograd as a `primitive` with
a `defvjp`, scipy as two functions of a flat vector. All four get the parameters as one flat float64 vector, and their
default tolerances; scipy returns a number, and we take below 1e-6 for right. minitms gets the pre-activations too,
where a loss has kinks.

Needs the extra `bench`. Prints the tables, and writes the main one and the picture beside this file.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small products: threads only cost time
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time
import warnings
from collections import Counter
from pathlib import Path

import gradient_cases
import gradient_mutants
import numpy as np
import tables
from gradient_hard_cases.case import form, join

from minitms.testing import check_grad

PICTURE = Path(__file__).with_suffix(".png")
SCIPY_THRESHOLD = 1e-6


def flat(case):
    """The loss, the gradient and the parameters of a case for one flat vector."""
    start, build = form(case.params)
    return lambda vector: float(case.loss(build(vector))), lambda vector: join(case.gradient(build(vector))), start


def ours(case):
    return check_grad(case.loss, case.gradient, case.params, kinks=case.kinks)


def scipy(case):
    from scipy.optimize import check_grad as scipy_check_grad

    loss, gradient, start = flat(case)
    error = scipy_check_grad(loss, gradient, start)
    assert error < SCIPY_THRESHOLD, error


def torch(case):
    import torch

    loss, gradient, start = flat(case)

    class Loss(torch.autograd.Function):
        @staticmethod
        def forward(ctx, vector):
            ctx.save_for_backward(vector)
            return torch.tensor(loss(vector.detach().numpy()), dtype=torch.float64)

        @staticmethod
        def backward(ctx, upstream):
            (vector,) = ctx.saved_tensors
            return upstream * torch.as_tensor(gradient(vector.detach().numpy()).copy())

    torch.autograd.gradcheck(Loss.apply, (torch.tensor(start, dtype=torch.float64, requires_grad=True),))


def jax(case):
    import jax
    import jax.numpy as jnp
    from jax.test_util import check_grads

    jax.config.update("jax_enable_x64", True)
    loss, gradient, start = flat(case)
    scalar, vector = jax.ShapeDtypeStruct((), np.float64), jax.ShapeDtypeStruct(start.shape, np.float64)

    def host_loss(p):
        return np.float64(loss(np.array(p)))

    def host_gradient(p):
        return gradient(np.array(p))

    @jax.custom_vjp
    def function(p):
        return jax.pure_callback(host_loss, scalar, p)

    def backward(p, upstream):
        return (upstream * jax.pure_callback(host_gradient, vector, p),)

    function.defvjp(lambda p: (function(p), p), backward)
    check_grads(jax.jit(function), (jnp.asarray(start),), order=1, modes=["rev"])


def autograd(case):
    from autograd.extend import defvjp, primitive
    from autograd.test_util import check_grads

    loss, gradient, start = flat(case)
    function = primitive(lambda p: loss(p))
    defvjp(function, lambda answer, p: lambda upstream: upstream * gradient(p))
    check_grads(function, modes=["rev"], order=1)(start)


CHECKERS = {
    "minitms `check_grad`": ours,
    "scipy `check_grad`": scipy,
    "torch `gradcheck`": torch,
    "jax `check_grads`": jax,
    "autograd `check_grads`": autograd,
}


def verdict(checker, case):
    """Whether a checker accepts a case, what it said, and its seconds."""
    started = time.perf_counter()
    error = None
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            checker(case)
        except Exception as caught:  # each checker has its own way to complain, and a crash is a complaint too
            error = caught
    return error, time.perf_counter() - started


def run_mutants(rows):
    """Every mutant through every checker."""
    mutants = gradient_mutants.MUTANTS
    wrong, same = [m for m in mutants if not m.proof], [m for m in mutants if m.proof]
    hints = Counter()
    for name, checker in CHECKERS.items():
        caught, complained, seconds, survivors = 0, 0, 0.0, []
        for mutant in mutants:
            error, took = verdict(checker, gradient_mutants.case(mutant))
            seconds += took
            if mutant.proof:
                complained += error is not None
            else:
                caught += error is not None
                survivors += [mutant] if error is None else []
            if checker is ours:
                _judge_hints(mutant, error, hints)
        rows[name].update(caught=caught, complained=complained, seconds=seconds)
        print(f"{name}: {caught} of {len(wrong)} mistakes caught, {complained} of {len(same)} equal gradients refused, "
              f"{seconds:.1f} s", flush=True)
        for mutant in survivors if checker is ours else []:
            print(f"    survives: {mutant.setting}: {mutant.old}  ->  {mutant.new}")
    print(f"\nHints: {hints['right']} of {hints['right'] + hints['missed']} right where one was expected, "
          f"{hints['uncalled']} said where none was expected ({hints['none']} such mutants)")
    print(f"\nSurvivors, each with its proof ({len(same)}):")
    for mutant in same:
        print(f"    {mutant.setting}: {mutant.new.splitlines()[0]}: {mutant.proof}")
    return len(wrong), len(same), hints


def _judge_hints(mutant, error, hints):
    if mutant.proof:
        return
    got = getattr(error, "hints", {})
    if mutant.expected:
        hints["right" if got == mutant.expected else "missed"] += 1
    else:
        hints["none"] += 1
        hints["uncalled"] += bool(got)
    if got != mutant.expected:
        print(f"    hint: {mutant.setting}: {mutant.new}: expected {mutant.expected}, got {got} {type(error).__name__}")


def run_correct(rows, cases, peer_cases):
    """Correct gradients: everything said against them is a false alarm. Ours gets them all, slower peers the first."""
    for name, checker in CHECKERS.items():
        count = cases if checker is ours else peer_cases
        alarms, seconds, first_seconds = Counter(), 0.0, 0.0
        for i in range(count):
            case = gradient_cases.correct_case(FIRST_CASE + i)
            error, took = verdict(checker, case)
            seconds += took
            first_seconds += took if i < peer_cases else 0.0
            if error is not None:
                alarms[case.name] += 1
                if checker is ours:
                    said = f"{type(error).__name__}: {str(error).splitlines()[0]}"
                    print(f"    false alarm in case {FIRST_CASE + i}, {case.name}: {said}")
        rows[name].update(alarms=sum(alarms.values()), cases=count, correct_seconds=first_seconds)
        print(f"{name}: {sum(alarms.values())} false alarms in {count} correct cases, {seconds:.1f} s "
              f"({first_seconds:.1f} s for the first {peer_cases}): {dict(alarms)}", flush=True)


FIRST_CASE = 100_000  # apart from the cases that the checker was developed on


def table(rows, wrong, same, hints, peer_cases):
    """The table as it stands in ``README.md``."""
    header = [
        "checker", f"mistakes caught, of {wrong}", f"same gradients refused, of {same}", "seconds for these",
        "false alarms", f"seconds for {peer_cases} correct cases",
    ]
    body = [
        [name, row["caught"], row["complained"], f"{row['seconds']:.1f}",
         f"{row['alarms']:,} of {row['cases']:,} ({100 * row['alarms'] / row['cases']:.0f} %)",
         f"{row['correct_seconds']:.1f}"]
        for name, row in rows.items()
    ]
    expected = hints["right"] + hints["missed"]
    return (
        f"{tables.markdown(header, body)}\n\n"
        f"![Mistakes caught and false alarms of five checkers]({PICTURE.name})\n\n"
        f"`check_grad` also said why: the expected diagnosis for {hints['right']} of {expected} mistakes "
        f"that have one ({100 * hints['right'] / expected:.0f} %), and a diagnosis for {hints['uncalled']} of "
        f"{hints['none']} that have none. Measured by `python tests/benchmarks/gradient_checkers.py` on "
        f"{tables.machine()}. The 22 are changes to the code that leave the gradient as it is; the peers, being "
        f"slower, were given the first {peer_cases} correct cases; scipy returns a number, of which below "
        f"{SCIPY_THRESHOLD:g} counts as right."
    )


def draw(rows, wrong):
    """Caught against false alarms, one point a checker: the upper left corner is where one wants to be."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.6), sharey=True, layout="constrained")
    names = [name.replace("`", "") for name in rows][::-1]
    colors = ["#0072B2" if name.startswith("minitms") else "#999999" for name in names]
    caught = [100 * row["caught"] / wrong for row in rows.values()][::-1]
    alarms = [100 * row["alarms"] / row["cases"] for row in rows.values()][::-1]
    for ax, values, title in (
        (left, caught, f"mistakes caught, % of {wrong}"), (right, alarms, "false alarms, % of correct gradients")
    ):
        bars = ax.barh(names, values, color=colors)
        ax.bar_label(bars, labels=[f"{value:.1f}" for value in values], padding=3)
        ax.set_title(title, fontsize=11)
        ax.set_xlim(0, 118)
        ax.set_xticks([0, 50, 100])
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURE, dpi=150, metadata={"Software": None})
    print(f"wrote {PICTURE}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000, help="correct cases for check_grad")
    parser.add_argument("--peer-cases", type=int, default=220, help="correct cases for the peers, the first of these")
    options = parser.parse_args()
    rows = {name: {} for name in CHECKERS}
    for checker in CHECKERS.values():  # imports and first compilations are not what is measured
        verdict(checker, gradient_cases.correct_case(0))
    wrong, same, hints = run_mutants(rows)
    run_correct(rows, options.cases, min(options.peer_cases, options.cases))
    text = table(rows, wrong, same, hints, min(options.peer_cases, options.cases))
    print(f"\n{text}")
    draw(rows, wrong)
    tables.write("gradient-checkers", text)


if __name__ == "__main__":
    main()
