"""A phase that only the missing bias makes: one neuron, two features

**Question.** In a comment to the paper Tom McGrath solved the loss of one neuron and two features exactly, without a
bias, and found a phase that the paper's diagram does not have: at low sparsity W₁ = W₂ = 0.7, the same sign, so that
the model confuses the two features. Does the model with a bias have that phase?

**Set-up.** n = 2, m = 1, y = ReLU(Wᵀ W x + b), importance 1 and r. Nothing is sampled: the expected loss is exact
(`minitms.expected_loss`), and each of {{cells}} cells is minimised over W with b = 0 (middle: a grid of {{grid}}
points, its best point refined by ever finer steps), or over W and b (left: as in `true_phases`). Right: the line r = 1.

**What we see.** McGrath's phase is there, as he found it, in the model that he solved: without a bias the best model
stores both features with the same sign in {{confused:.0%}} of the cells, at r = 1 from s = {{onset:.3f}} on. There W =
(0.71, 0.71), 1/√2, at every density, and the loss is v = s/3 - s²/4: {{loss_07:.5f}} at s = 0.7, {{loss_09:.5f}} at
0.9. With a bias, no cell below density 1 has it (at density 1 signs make no difference). There the best model has
opposite signs and costs {{biased_07:.5f}} and {{biased_09:.5f}}.

*Why.* With two positive weights z is never negative, so the ReLU does nothing and the model is linear. Without a bias a
linear model has to answer a dropped feature with 0, at the cost of its mean square, s/3; the variance, v, would be the
cost of answering with the mean. Storing the *sum* is a way to make a mean without a bias: if x₁ is on, x₂ is guessed
from it. For a unit vector W = (cos θ, sin θ) the loss is (s/3 - s²/2 · sin θ cos θ)(sin² θ + r cos² θ). At θ = 45° and
r = 1 that is v: just what dropping one feature costs when there *is* a bias. So confusing buys what the bias would
give, and once the bias is there it is one of many equals among linear solutions, which superposition beats at every
density below 1. The derivative at θ = 0 is -r s²/2: without a bias not even a dedicated feature is ever alone, a little
of the other always leans in with the same sign (blue and grey cells, whose smaller weight is below 0.2).

**Compared with the paper and the earlier replication.** The paper's model has a bias, and its diagram (theory and
trained) is that of the left panel in outline. Both are right, each for its model. The exact loss without a bias is Tom
McGrath's, in the comments to the paper; we know of no earlier drawing of the two beside each other.

**How sure.** The loss is exact, and the search without a bias uses function values alone. The equations above are held
against it.
"""

import matplotlib.pyplot as plt
import numpy as np

from figures import OURS, PAPER, THEORY, Claim, Result, always, at_least, at_most, exactly, near
from figures.true_phases import GlobalMinimum
from minitms import plots, theory
from minitms.expected import expected_loss

NAMES = ("the first alone", "the extra one alone", "opposite signs", "the same sign")
CONFUSED = plots.CLASS_COLORS["neither"]
COLORS = np.array([plots.NOT_LEARNED, plots.DEDICATED, plots.SUPERPOSED, plt.matplotlib.colors.to_rgb(CONFUSED)])
WEIGHT = 0.2                                  # a feature is stored above this |w|
LINE = np.linspace(0.02, 1, 99)               # densities at r = 1
HIGH = np.array([0.7, 0.75, 0.8, 0.85, 0.9, 0.95])
CLAIMS = [
    Claim("weights", "no bias, r = 1, s ≥ 0.7: W₁ = W₂ = 0.7 (comment to the paper, McGrath)", PAPER, near(0.7, 0.01),
          "weight", quick=True),
    Claim("v", "and it is 1/√2, at the loss v = s/3 - s²/4: relative difference", THEORY, at_most(1e-6), "model",
          quick=True),
    Claim("onset", "no bias, r = 1: the same sign is best from about s = 4/7 on, where v = s²/3", THEORY,
          near(4 / 7, 0.03), "line"),
    Claim("circle", "no bias: (s/3 - s²/2 sin θ cos θ)(sin² θ + r cos² θ) is the loss of a unit vector; |difference|",
          THEORY, at_most(1e-12), "point", quick=True),
    Claim("never_alone", "no bias: no best model drops a feature altogether, smaller |w|", THEORY, at_least(1e-4),
          "cell"),
    Claim("none", "with a bias: cells below density 1 whose best model has the same sign", OURS, exactly(0), "diagram",
          quick=True),
    Claim("lower", "with a bias, r = 1, s from 0.7 to 0.95: the best signs are opposite", OURS, always(), "model",
          quick=True),
    Claim("biased_07", "with a bias, r = 1, s = 0.7: its loss", OURS, near(0.10811, 5e-6), "point", quick=True),
    Claim("biased_09", "with a bias, r = 1, s = 0.9: its loss", OURS, near(0.09709, 5e-6), "point", quick=True),
    Claim("bound", "a bias never hurts: loss with / loss without - 1", THEORY, at_most(1e-9), "cell", quick=True),
]


def make(quick):
    rows, columns, starts = (16, 17, 24) if quick else (100, 101, 32)
    s, r = np.geomspace(0.1, 1, rows)[:, None], np.geomspace(0.1, 10, columns)
    rng = np.random.default_rng(0)
    with_bias = GlobalMinimum(rng, s, r, starts)
    W, loss, grid = without_bias(s[:, 0], r)
    line_W, line_loss, _ = without_bias(LINE[::4] if quick else LINE, np.ones(1))
    high_W, high_loss, _ = without_bias(HIGH, np.ones(1))
    high = GlobalMinimum(rng, HIGH, np.ones(len(HIGH)), 64)
    line = GlobalMinimum(rng, LINE, np.ones(len(LINE)), starts)
    classes, biased_classes = classify(W), classify(with_bias.W)
    same = (line_W > WEIGHT).all(-1)[:, 0]
    v = theory.feature_variance(HIGH)
    below_one = s[:, 0] < 1
    measured = {
        "weights": np.abs(high_W), "v": np.abs(high_loss[:, 0] / v - 1), "circle": circle_error(rng),
        "onset": (LINE[::4] if quick else LINE)[same.argmax()], "never_alone": np.abs(W).min(-1)[below_one],
        "none": (biased_classes[below_one] == 3).sum(), "lower": high.W[:, 0] * high.W[:, 1] < 0,
        "biased_07": high.loss[0], "biased_09": high.loss[4], "bound": with_bias.loss / loss - 1,
    }
    numbers = {
        "cells": loss.size, "grid": grid, "confused": (classes == 3).mean(), "onset": measured["onset"],
        "loss_07": high_loss[0, 0], "loss_09": high_loss[4, 0], "biased_07": high.loss[0], "biased_09": high.loss[4],
        "line_density": LINE, "line_loss_with_bias": line.loss, "line_W_with_bias": line.W,
        "line_loss_without": line_loss[:, 0], "line_W_without": line_W[:, 0],
    }
    fig = plt.figure(figsize=(8.3, 3.5))
    axes = fig.subplots(1, 3, width_ratios=[1, 1, 1.1])
    for ax, cells, title in zip(axes, (biased_classes, classes), ("with a bias", "without a bias"), strict=False):
        plots.phase_map(ax, s[:, 0], r, COLORS[cells]).set_title(title)
        ax.plot(r, theory.boundary_density(r), "k--", linewidth=0.8)
        ax.plot([1, 1], [theory.TRIPLE_POINT[1], 1], "k--", linewidth=0.8)
        ax.set(yticks=[0.1, 0.2, 0.5, 1], yticklabels=["0.1", "0.2", "0.5", "1"], xticks=[0.1, 1, 10],
               xlabel="importance r of the extra feature")
        ax.minorticks_off()
    axes[1].set_ylabel("")
    draw_line(axes[2], line)
    handles = [plt.Line2D([], [], marker="s", ls="", color=color, label=name)
               for color, name in zip(COLORS, NAMES, strict=True)]
    handles.append(plt.Line2D([], [], color="k", ls="--", linewidth=0.8, label="boundaries in theory"))
    fig.legend(handles=handles, loc="outside lower center", ncols=5, columnspacing=1.2, handletextpad=0.3)
    return Result({"confused_phase.png": fig}, measured, numbers)


def without_bias(s, r):
    """The best W (densities, importances, 2) with b = 0, its loss, and the points of the grid.

    The loss is the first output's plus r times the second's, so one evaluation serves all importances: first a grid,
    with W₁ >= 0 as W and -W are the same model, then eight neighbours of each cell's best point at half the step until
    none is better.
    """
    axes = np.linspace(0, 1.3, 53), np.linspace(-1.3, 1.3, 105)
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 1, 2)
    W = np.empty((len(s), len(r), 2))
    for k, density in enumerate(s):
        outputs = [expected_loss(points, np.zeros(2), density, importance) for importance in ((1, 0), (0, 1))]
        W[k] = points[(outputs[0] + r[:, None] * outputs[1]).argmin(-1), 0]
    importance = np.stack([np.ones_like(r), r], axis=-1)
    around = np.array([(i, j) for i in (0, -1, 1) for j in (0, -1, 1)])           # the point itself comes first
    for step in 0.025 * 0.5 ** np.arange(20):
        for _ in range(3):
            tried = W + step * around[:, None, None]
            losses = expected_loss(tried[..., None, :], np.zeros(2), s[:, None, None], importance)
            W = np.take_along_axis(tried, losses.argmin(0)[None, ..., None], axis=0)[0]
    return W, losses.min(0), len(points)


def classify(W):
    """Index into NAMES, of W (..., 2)."""
    first, extra = np.abs(W[..., 0]), np.abs(W[..., 1])
    both, same = (first > WEIGHT) & (extra > WEIGHT), W[..., 0] * W[..., 1] > 0
    return np.where(both, np.where(same, 3, 2), np.where(extra > first, 1, 0))


def circle_error(rng):
    """How far the formula for unit vectors of one sign is from the exact loss, at random θ, s and r."""
    angle, s, r = rng.uniform(0, np.pi / 2, 200), rng.random(200), 10 ** rng.uniform(-1, 1, 200)
    sine, cosine = np.sin(angle), np.cos(angle)
    formula = (s / 3 - s**2 / 2 * sine * cosine) * (sine**2 + r * cosine**2)
    W = np.stack([cosine, sine], axis=-1)[:, None]
    return np.abs(formula - expected_loss(W, np.zeros(2), s[:, None], np.stack([np.ones(200), r], axis=-1)))


def draw_line(ax, line):
    """Losses at r = 1, per unit of the variance v, at which all linear models with a bias end."""
    v = theory.feature_variance(LINE)
    alone = expected_loss([[1.0, 0.0]], np.zeros(2), LINE[:, None])
    lengths = np.linspace(0.8, 1.2, 161)[:, None, None, None] * np.array([[1.0, -1.0]])
    pair = expected_loss(lengths, np.zeros(2), LINE[:, None]).min(0)
    ax.plot(LINE, np.ones_like(LINE), color=CONFUSED, linewidth=2, label="no bias, same sign: v")
    ax.plot(LINE, pair / v, color=plots.SUPERPOSED, linestyle="--", label="no bias, opposite signs")
    ax.plot(LINE, alone / v, color="0.6", linestyle="--", label="no bias, one alone: s/3")
    ax.plot(LINE, line.loss / v, color=plots.SUPERPOSED, label="with a bias, the best")
    ax.set(xlabel="density 1 - S", ylabel="loss / v", ylim=(0, 1.75), title="r = 1: the losses")
    ax.legend(loc="lower right", fontsize=7)
