"""The asymmetric superposition motif of models that compute |x|: how it is found, and a picture of it."""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np

import minitms as tms

FEATURES = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"]


def rescaled(W):
    """The same models, with a largest |E_ki| of 1 in each neuron."""
    largest = abs(W.encoder).max(axis=-1, keepdims=True)
    return tms.Weights(W.encoder / largest, W.decoder * largest)


def motifs(E, D, b):
    """Instances of the asymmetric superposition motif in one model.

    Neuron p reads feature `large` strongly and `small` weakly with the opposite sign, and writes them the other way
    round, so that both are answered about right. Then a `large` of p's sign comes out of p at output `small` as well,
    stronger than it was. The motif is complete if another neuron takes at least half of that away.
    """
    found = []
    for p, large, small in np.ndindex(len(E), *2 * E.shape[1:]):
        reads, writes = E[p, [large, small]], D[p, [large, small]]
        if large == small or reads.prod() >= 0 or writes.min() <= 0:
            continue
        ratio, answered = abs(reads[0] / reads[1]), abs(reads) * writes
        if ratio < 2 or writes[1] < 2 * writes[0] or answered.min() < 0.5 or answered.max() > 1.5:
            continue
        paths = np.maximum(E[:, large] * np.sign(reads[0]), 0) * D[:, small]  # from `large` = ±1 to output `small`
        q = paths.argmin()
        if paths[q] <= -0.5 * paths[p]:
            left = max(paths.sum() + b[small], 0) / paths[p]
            found.append(SimpleNamespace(p=p, q=q, large=large, small=small, ratio=ratio, left=left))
    return found


def draw_motif(three, run, found):
    """Above: six neurons for three features. Below: a model with the motif, its two neurons, and what they do."""
    fig = plt.figure(figsize=(8.3, 4.4))
    grid = fig.add_gridspec(2, 4, width_ratios=[1, 1.5, 1, 1.2])
    k = next(k for k in run.loss.argsort() if found[k])
    motif, W = found[k][0], tms.Weights(*(part[k] for part in run.W))
    E, D = rescaled(W)
    order = np.lexsort((-E[np.arange(len(E)), abs(E).argmax(axis=1)], abs(E).argmax(axis=1)))
    marked = {int(np.flatnonzero(order == neuron)[0]): name for neuron, name in ((motif.p, "p"), (motif.q, "q"))}
    E3, D3 = (part[-1] for part in rescaled(three.W))
    order3 = np.lexsort((-E3.sum(axis=1), abs(E3).argmax(axis=1)))
    whole = [(E3, D3, order3, "n = 3, m = 6", {}), (E, D, order, "n = 6, m = 10", marked)]
    for column, (reads, writes, places, title, names) in enumerate(whole):
        for row, (values, text) in enumerate(((reads, "reads $E_{ki}$"), (writes, "writes $D_{ki}$"))):
            ax = fig.add_subplot(grid[row, column])
            tms.plots.neurons(values, FEATURES[: values.shape[1]], places, ax=ax)
            ax.set(title=title if row == 0 else "", ylabel=text, xlabel="neuron" if row else "")
            ax.set(xticks=list(names), xticklabels=list(names.values()))
    two_neurons(fig, grid, E, D, motif)
    response(fig.add_subplot(grid[:, 3]), E, D, run.b[k], motif)
    handles = [plt.Rectangle((0, 0), 1, 1, color=color) for color in FEATURES]
    fig.legend(handles, [f"feature {i}" for i in range(6)], loc="outside lower center", ncols=6, handlelength=1)
    return fig


def two_neurons(fig, grid, E, D, motif):
    """Inputs and outputs of the two neurons, feature by feature; p scaled as the paper has it, to an input of 2."""
    for row, (neuron, scale, name) in enumerate(((motif.p, 2, "p"), (motif.q, 2, "q"))):
        ax = fig.add_subplot(grid[row, 2])
        reads, writes = scale * E[neuron], D[neuron] / scale
        shown = np.flatnonzero((abs(reads) > 0.15) | (abs(writes) > 0.15))
        for place, values in ((0, reads), (1, writes)):
            for j, i in enumerate(shown):
                x = place + (j - (len(shown) - 1) / 2) * 0.25
                ax.bar(x, values[i], width=0.22, color=FEATURES[i])
                if abs(values[i]) > 0.1:
                    ax.annotate(f"{values[i]:.2g}", (x, values[i]), ha="center", fontsize=7,
                                va="bottom" if values[i] > 0 else "top")
        ax.axhline(0, color="0.3", linewidth=0.6)
        ax.margins(y=0.2)
        ax.set(xticks=[0, 1], xticklabels=["reads", "writes"], title=f"neuron {name}")


def response(ax, E, D, b, motif):
    """What the large feature alone does to the output of the small one."""
    x = np.linspace(-1, 1, 201)
    hidden = np.maximum(x[:, None] * E[:, motif.large], 0)
    paths = hidden * D[:, motif.small]
    ax.plot(x, paths[:, motif.p], color="#D55E00", label="through p")
    ax.plot(x, paths[:, motif.q], color="#0072B2", label="through q")
    ax.plot(x, paths.sum(axis=1) + b[motif.small], color="0.1", linewidth=2, label="all, with b")
    ax.axhline(0, color="0.7", linewidth=0.6, zorder=0)
    ax.set(xlabel=f"feature {motif.large}, alone", ylabel=f"$z_{motif.small}$, before the ReLU",
           title=f"interference in output {motif.small}")
    ax.legend()
