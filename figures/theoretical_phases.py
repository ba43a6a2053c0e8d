"""The phase diagram in theory

**Question.** One feature more than there are neurons. Dropping the extra feature, giving it a neuron of its own, or
storing it in superposition: which of these costs least, at which density and importance?

**Set-up.** No training. For n = 2, m = 1 three solutions are compared, for n = 3, m = 2 four, each made by hand and
each with its expected loss in closed form (`minitms.theory`). The axes are the paper's: relative importance r of the
extra feature from 0.1 to 10, density s from 0.01 to 1, both logarithmic.

**What we see.** Superposition wins below a line that rises to its highest point at r = 1, where for two features all
three solutions cost the same at s = {{triple:.4f}} = 4/7. At r = 0.1 and at r = 10 it wins below s = {{corner:.2f}}.
For n = 3, m = 2 an important extra feature is never in superposition itself: below s = 4/7 it makes the other two pair
up, and has a neuron to itself.

**Compared with the paper and the earlier replication.** Same regions as in the paper. The earlier replication draws the
first of the two diagrams and agrees with it; in its text the losses of "first" and "extra" are swapped, in its picture
they are not.

**How sure.** The formulas agree with the exact loss of each solution's W and b to {{exact:.0e}}, and with {{examples}}
sampled examples within {{worst:.1f}} standard errors. But the solutions are picked by hand, so their losses are upper
bounds: the figure `true_phases` shows the minimum itself.
"""

import matplotlib.pyplot as plt
import numpy as np

import minitms as tms
from figures import PAPER, THEORY, Claim, Result, always, at_most, near
from minitms import plots, theory

CLAIMS = [
    Claim("regions", "all configurations have a region of their own in the diagram", PAPER, always(), "diagram",
          quick=True),
    Claim("lowest", "least important and densest: the extra feature is dropped; most important and densest: it "
          "replaces another; sparsest: superposition", PAPER, always(), "diagram", quick=True),
    Claim("triple", "n=2: all three cost the same at (r, s) = (1, 4/7): spread of the losses", THEORY, at_most(1e-15),
          "diagram", quick=True),
    Claim("corner", "n=2: at r = 0.1 and 10 superposition wins below s = 0.16", THEORY, near(0.16, 1e-12), "importance",
          quick=True),
    Claim("exact", "the formulas are the exact losses of the solutions' W and b: |difference|", THEORY, at_most(1e-12),
          "configuration and cell", quick=True),
    Claim("sampled", "and agree with samples: |deviation| in standard errors", THEORY, at_most(5),
          "configuration and cell", quick=True),
]

# W and b of the configurations, b in units of the density: of a dropped feature it is the mean s/2.
SOLUTIONS = {
    2: [([[1, 0]], [0, 0.5]), ([[0, 1]], [0.5, 0]), ([[1, -1]], [0, 0])],
    3: [([[1, 0, 0], [0, 1, 0]], [0, 0, 0.5]), ([[1, 0, 0], [0, 0, 1]], [0, 0.5, 0]),
        ([[1, 0, 0], [0, 1, -1]], [0, 0, 0]), ([[1, -1, 0], [0, 0, 1]], [0, 0, 0])],
}
# Norm and interference of the extra feature
COLORS = {"first": (0, 0), "extra": (1, 0), "superposed": (1, 1), "others": (1, 0)}
LABELS = {2: [("not\nlearned", 0.22, 0.62), ("a neuron\nof its own", 4.4, 0.62), ("in superposition", 1, 0.06)],
          3: [("not\nlearned", 0.22, 0.62), ("a neuron\nof its own", 4.4, 0.78), ("in superposition", 0.35, 0.06),
              ("a neuron of its own,\nthe others paired", 3.2, 0.06)]}
EXAMPLES = 2**18


def make(quick):
    s, r = np.geomspace(0.01, 1, 200)[:, None], np.geomspace(0.1, 10, 200)
    regions, lowest, exact, deviations = [], [], [], []
    fig, axes = plt.subplots(1, 2, figsize=(8.3, 3.9), sharey=True)
    for n, ax in zip((2, 3), axes, strict=True):
        names = np.array(theory.CONFIGURATIONS[n])[theory.predicted_configuration(s, r, n=n)]
        regions.append(set(names.ravel()) == set(theory.CONFIGURATIONS[n]))
        lowest.append(names[-1, 0] == "first" and names[-1, -1] == "extra" and names[0, 80] == "superposed")
        for place, (W, b) in enumerate(SOLUTIONS[n]):
            off, z = check(n, place, np.array(W, float), np.array(b, float))
            exact += off
            deviations += z
        ax_colors = np.array([COLORS[name] for name in names.ravel()]).reshape(*names.shape, 2)
        plots.phase_map(ax, s[:, 0], r, plots.superposition_colors(ax_colors[..., 0], ax_colors[..., 1]))
        boundaries(ax, n)
        for text, x, y in LABELS[n]:
            color = "black" if text.startswith("not") else "white"
            ax.text(x, y, text, ha="center", va="center", color=color, fontweight="bold")
        ax.set_title(f"n = {n} features, m = {n - 1} hidden: the extra feature is ...")
    axes[1].set_ylabel("")
    triple = theory.configuration_losses(4 / 7, 1.0)
    corner = theory.boundary_density(np.array([0.1, 10.0]))
    measured = {"regions": regions, "lowest": lowest, "triple": np.ptp(triple), "corner": corner,
                "exact": exact, "sampled": deviations}
    numbers = {"triple": 4 / 7, "corner": corner[0], "exact": max(max(exact), 1e-16), "worst": max(deviations),
               "examples": f"{EXAMPLES:,}"}
    return Result({"theoretical_phases.png": fig}, measured, numbers)


def check(n, place, W, b):
    """Distance of the closed form from the exact loss, and in standard errors from a sampled one, at four cells."""
    off, deviations = [], []
    for cell, (s, r) in enumerate([(0.05, 0.3), (0.3, 1.0), (0.8, 4.0), (1.0, 0.5)]):
        importance = np.append(np.ones(n - 1), r)
        closed = theory.configuration_losses(s, r, n=n)[place]
        off.append(abs(tms.expected_loss(W, b * s, s, importance) - closed))
        x = tms.SparseFeatures(n, s, importance).sample(EXAMPLES, seed=100 * n + 10 * place + cell)
        losses = (importance * (tms.forward(W, b * s, x) - x) ** 2).sum(axis=-1)
        error = losses.std() / np.sqrt(EXAMPLES)
        deviations.append(abs(losses.mean() - closed) / error)
    return off, deviations


def boundaries(ax, n=2, **style):
    """Draw the lines along which two configurations cost the same."""
    style = {"color": "black", "lw": 1, "ls": "--"} | style
    r = np.geomspace(0.1, 10, 201)
    ax.plot(r, theory.boundary_density(r, n), **style)
    ax.plot([1, 1], [4 / 7 if n == 2 else 0.01, 1], **style)
