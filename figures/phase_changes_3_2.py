"""Three features in two dimensions: the phase diagram, trained

**Question.** With three features and two neurons there is a fourth solution: the extra feature alone, the other two in
superposition. Do trained models find what theory says, where it says it?

**Set-up.** n = 3, m = 2, y = ReLU(Wᵀ W x + b), importance 1, 1 and r. {{models}} models: {{restarts}} restarts of each
of {{cells}} cells, {{steps}} steps of 64 examples, Adam at 0.01 with cosine decay, Xavier-normal W, b = 0. The restart
with the lowest exact expected loss stands for its cell.

**What we see.** Left theory, right the trained models, coloured by what becomes of the extra feature. Away from
theory's boundaries {{agreement_away:.2%}} of the cells agree, of all cells {{agreement:.2%}}. What becomes of the
*other* two is another matter. For r > 1 and s > 4/7 theory drops one of them; of these cells the models do so in
{{dropped:.1%}}. In the others both are stored, with unequal lengths, along one direction. The two are equally
important, so this is the problem of one neuron and two features on the line r = 1, where superposition pays up to
density 1: the spike of `true_phases`. The picture of the extra feature hides it.

**Compared with the paper and the earlier replication.** The paper shows this diagram in theory and trained. The earlier
replication does not have it. Keltin Grimes trained it before us, in a notebook with a cell for each figure of the
paper from section 2 on ([keltin13/toy-models-of-superposition](https://github.com/keltin13/toy-models-of-superposition),
2024). One of its quantities is not the paper's: for section 6 the model is given the attack alone, without the clean
example, and its answer is compared with another target.

**How sure.** Single starts agree with theory in {{single:.1%}} of the cases, so the best of {{restarts}} matters.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np

import minitms as tms
from figures import NOT, PAPER, THEORY, Claim, Result, always, at_least
from figures.theoretical_phases import COLORS, boundaries
from minitms import plots, theory

CLAIMS = [
    Claim("away", "away from theory's boundaries the extra feature is lost, alone or superposed as theory says; share "
          "of cells", PAPER, at_least(0.95), "sweep"),
    Claim("phases", "it is lost, alone and superposed in more than half of each of these regions", PAPER, at_least(0.5),
          "region"),
    Claim("dropped", "r > 1, s > 4/7, away from the boundary: one of the other two is dropped; share of cells", THEORY,
          at_least(0.95), "sweep", expect=NOT, reason="they are equally important, and for two such features on one "
          "neuron superposition pays at every density below 1: the spike of true_phases"),
    Claim("bound", "the loss of theory's configuration is undercut somewhere: it is an upper bound", THEORY, always(),
          "sweep"),
]
FATES = np.array([0, 1, 2, 1])  # of the extra feature in theory's configurations: lost, alone, superposed


def make(quick):
    side, restarts, steps = (12, 3, 500) if quick else (100, 10, 2000)
    s, r = np.geomspace(0.01, 1, side), np.geomspace(0.1, 10, side)
    density = np.repeat(s, side)[:, None]
    importance = np.stack([np.ones(side**2), np.ones(side**2), np.tile(r, side)], axis=-1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # some of so many restarts learn nothing; the best are kept
        run = tms.train(tms.SparseFeatures(3, density, importance), 2, steps=steps, batch_size=64, learning_rate=1e-2,
                        schedule="cosine", restarts=restarts, seed=0)
    best = run.best()
    W, loss = best.W.reshape(side, side, 2, 3), best.loss.reshape(side, side)
    predicted = theory.predicted_configuration(s[:, None], r, n=3)
    fates, in_theory = fate(W), FATES[predicted]
    away = theory.away_from_boundary(s[:, None], r, n=3)
    same, replaced = fates == in_theory, away & (predicted == 1)
    measured = {
        "away": same[away].mean(), "phases": [same[in_theory == k].mean() for k in range(3)],
        "dropped": (tms.feature_norms(W)[..., :2].min(axis=-1) < 0.2)[replaced].mean(),
        "bound": (loss < theory.configuration_losses(s[:, None], r, n=3).min(axis=0)).any(),
    }
    numbers = {"models": f"{run.loss.size:,}", "cells": f"{side**2:,}", "restarts": restarts, "steps": f"{steps:,}",
               "agreement": same.mean(), "agreement_away": same[away].mean(), "dropped": measured["dropped"],
               "single": (fate(run.W).reshape(restarts, side, side) == in_theory).mean()}

    fig, axes = plt.subplots(1, 2, figsize=(8.3, 4.0), sharey=True)
    norm, interference = np.array([COLORS[name] for name in theory.CONFIGURATIONS[3]]).T[:, predicted]
    plots.phase_map(axes[0], s, r, plots.superposition_colors(norm, interference))
    plots.phase_map(axes[1], s, r, plots.superposition_colors(tms.feature_norms(W)[..., 2],
                                                              tms.interference(W)[..., 2]))
    for ax, title in zip(axes, ("theory", "trained, best of each cell"), strict=True):
        boundaries(ax, n=3)
        ax.set_title(title)
    axes[1].set_ylabel("")
    handles = [plt.Line2D([], [], marker="s", ls="", color=color, label=label) for color, label in zip(
        plots.superposition_colors([0, 1, 1], [0, 0, 1]),
        ("extra feature not learned", "a neuron of its own", "in superposition"), strict=True)]
    fig.legend(handles=handles, loc="outside lower center", ncols=3)
    return Result({"phase_changes_3_2.png": fig}, measured, numbers)


def fate(W):
    """What becomes of the extra feature of each model (..., 2, 3): 0 lost, 1 alone, 2 superposed, 3 none of these.

    Lost: |W_3| < 0.2. Alone: |W_3| > 0.8 and its interference below 0.2². Superposed: |W_3| > 0.2, interference above.
    """
    norm, interference = tms.feature_norms(W)[..., 2], tms.interference(W)[..., 2]
    return np.select([norm < 0.2, (norm > 0.8) & (interference < 0.04), interference >= 0.04], range(3), 3)
