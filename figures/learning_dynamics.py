"""Learning dynamics: jumps of dimensionality, and an octahedron in stages

**Question.** Do features find their places little by little, or in jumps that the loss shows?

**Set-up.** *Jumps*: n = {{n}} features in m = {{m}} dimensions, density s = {{s:g}}, importance 1, ReLU, which ends in
digons. *Octahedron*: n = 6, m = 3, two correlated sets of three features (one on/off bit a set, independent values),
density {{s_octahedron:g}}. Both: weights start at a tenth of Xavier's, since a small start lengthens the plateaus; Adam
at a constant 0.001, 1,024 fresh examples a step, {{steps:,}} steps, one start for each of {{seeds}} and
{{seeds_octahedron}} seeds. (For the first, the paper does not state n, m and density.) A *jump* is found by code: D_i
leaves {{low:g}} for good and reaches {{high:g}}, or the reverse; jumps that overlap in time are one *group*. The loss
is that on the same examples at every step; for the octahedron every combination of sets that are on is weighted by its
exact probability.

**What we see: jumps** (first picture; in colour the features that end up represented, two of a digon alike). In a few
hundred steps the model learns the mean and gives every feature a little of everything, D_i about 0.1. There the loss
rests. Then features leave, a pair often one by one, and jump to 1/2, while all others are pushed to 0. The loss falls
{{faster_median:.0f}} times as fast while a feature jumps as while none does (median; {{faster_worst:.1f}} times in the
seed with the least). In {{apart}} of {{seeds}} seeds the jumps come in two or more groups with a plateau between them;
in the others one jump follows the next too closely. In seed {{late_seed}} (right) the last jump, in steps
{{late_start:,}} to {{late_end:,}}, lowers the loss by {{late_drop:.3f}}. The jumps end with {{digons}} digons: of the m
dimensions one is left over, in which the many others keep tiny vectors.

**What we see: the octahedron** (second picture, animation). From nearly nothing (loss 2 s, the mean square of the six)
the model first learns what matters most, the *sum* of each set: all members of a set lie in one direction with length
{{plateau_length:.2f}}, 1/√3 as by PCA, and the loss rests at s/3, the variance of the values around their mean. Then
the sets unfold. The third dimension takes one difference within each set (s/6, a shoulder in most curves), and in the
end the six features are the corners of a regular octahedron in {{octahedra}} of {{seeds_octahedron}} seeds, with the
loss s² of three antipodal pairs. The antipodes come from different sets, three of three in each: features that come
together avoid each other's negative side, where the ReLU would cut them off. (Were pairs drawn by lot, three across
would come in 2 of 5 cases.)

**Compared with the paper and the earlier replication.** Both pictures are the paper's. Of the first it shows one run,
and suspects that the smooth loss curves of larger models are many small jumps run together; of the octahedron it says
that runs differ on the way. The earlier replication stops before both. Keltin Grimes has a cell for both
([keltin13/toy-models-of-superposition](https://github.com/keltin13/toy-models-of-superposition)). What the stages cost,
2 s, s/3, s/6 and s², is ours.

**How sure.** The octahedron and its stages are the same for every seed. That the loss falls at jumps holds for every
seed too, but some of its fall comes before D_i crosses {{low:g}}, and how far jumps stand apart is luck.
"""

from itertools import pairwise
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation, PillowWriter

import minitms as tms
from figures import OURS, PAPER, PARTLY, THEORY, Claim, Result, always, at_least, at_most, exactly, near
from figures.sets import COLORS, cosines, stratified_loss
from minitms.expected import minimise_expected_loss

N, M, S = 100, 6, 0.45
SETS, S_OCTAHEDRON = np.repeat([0, 1], 3), 0.05
LOW, HIGH = 0.2, 0.4                    # of D_i: below and above, a feature is at rest
EVERY, SETTLED, REST = 20, 1000, 200    # steps between snapshots; until the mean is learned; of a plateau at least
CLAIMS = [
    Claim("digons", "n = 100, m = 6: every represented feature ends with D_i = 1/2", PAPER, near(0.5, 0.02), "feature"),
    Claim("pairs", "and opposite a partner, cos", PAPER, near(-1, 0.02), "feature"),
    Claim("once", "and has come there by one jump: jumps of a represented feature", PAPER, exactly(1), "feature"),
    Claim("short", "a jump takes at most a tenth of the training: steps", OURS, at_most(1000), "jump", expect=PARTLY,
          reason="some of the first features of a run rise more slowly"),
    Claim("drop", "the loss drops at each group of jumps", PAPER, at_least(0), "group"),
    Claim("faster", "after the mean is learned the loss falls at least twice as fast while features jump", OURS,
          at_least(2)),
    Claim("apart", "two groups of jumps or more, with a plateau of the loss between", PAPER, always(), expect=PARTLY,
          reason="in the other seeds one jump follows the next too closely; the paper shows one run"),
    Claim("octahedron", "two sets of three, m = 3: three antipodal pairs (cos < -0.95) at right angles (|cos| < 0.2)",
          PAPER, always(), quick=True),
    Claim("across", "antipodes come from different sets: pairs of three", PAPER, exactly(3), quick=True),
    Claim("plateau", "on the way the loss is flattest at s/3, each set stored as its sum: loss / (s/3)", THEORY,
          near(1, 0.1), quick=True),
    Claim("length", "there all six have length 1/√3", THEORY, near(3**-0.5, 0.05), "vector"),
    Claim("end", "and ends at the exact least loss of three antipodal pairs: loss / least", THEORY, near(1, 0.03)),
]


def make(quick):
    size = {"seeds": 1, "steps": 4000} if quick else {"seeds": 8, "steps": 10_000}
    runs = train(tms.SparseFeatures(N, S), M, range(0, size["steps"] + 1, EVERY), **size)
    D, losses = tms.dimensionality(runs.W), plain_losses(runs)
    found = [jumps(one) for one in D]
    grouped = [groups(one) for one in found]
    kept = tms.feature_norms(runs.W[:, -1]) > 0.5
    faster = [ratio_of_slopes(one, loss, runs.steps) for one, loss in zip(found, losses, strict=True)]
    apart = [any(b[0].start - a[-1].end >= REST / EVERY for a, b in pairwise(one)) for one in grouped]

    steps = np.append(0, np.unique(np.geomspace(1, 10_000, 150).round().astype(int)))
    six = tms.SparseFeatures(6, S_OCTAHEDRON, sets=SETS, pattern="together")
    octahedra = train(six, 3, steps.tolist(), 2 if quick else 12, 10_000)
    curves = stratified_loss(octahedra.W, octahedra.b, S_OCTAHEDRON, SETS, 1024)
    plateau = np.array([flattest(steps, curve) for curve in curves])
    ends = octahedra.W[:, -1]
    least = 3 * minimise_expected_loss([[1.0, -1.0]], np.zeros(2), S_OCTAHEDRON).loss
    at_plateau = tms.feature_norms(octahedra.W[np.arange(len(ends)), plateau])
    measured = {
        "digons": D[:, -1][kept], "pairs": cosines(runs.W[:, -1]).min(-1)[kept],
        "once": [sum(jump.feature == i for jump in one) for one, k in zip(found, kept, strict=True)
                 for i in np.flatnonzero(k)],
        "short": [(jump.end - jump.start) * EVERY for one in found for jump in one], "faster": faster, "apart": apart,
        "drop": [drop(group, loss) for one, loss in zip(grouped, losses, strict=True) for group in one],
        "octahedron": [is_octahedron(W) for W in ends], "across": [across(W) for W in ends],
        "plateau": curves[range(len(ends)), plateau] / (S_OCTAHEDRON / 3), "length": at_plateau,
        "end": stratified_loss(ends, octahedra.b[:, -1], S_OCTAHEDRON, SETS, 2**16) / least,
    }
    late_seed = int(np.argmax([one[-1][-1].end for one in grouped]))
    late = grouped[late_seed][-1]
    numbers = {
        **size, "n": N, "m": M, "s": S, "s_octahedron": S_OCTAHEDRON, "seeds_octahedron": len(ends), "low": LOW,
        "high": HIGH, "apart": sum(apart), "faster_median": np.median(faster), "faster_worst": np.min(faster),
        "late_seed": late_seed, "late_start": int(late[0].start * EVERY),
        "late_end": int(late[-1].end * EVERY), "late_drop": drop(late, losses[late_seed]),
        "digons": int(np.median(kept.sum(-1)) // 2), "octahedra": sum(measured["octahedron"]),
        "plateau_length": at_plateau.mean(), "loss": losses[:, ::10], "octahedron_steps": steps,
        "octahedron_loss": curves,
        "jumps": [[[int(j.feature), int(j.start * EVERY), int(j.end * EVERY)] for j in one] for one in found],
        "loss_drop_of_each_group": [[drop(group, loss) for group in one]
                                    for one, loss in zip(grouped, losses, strict=True)],
    }
    shown = [0, late_seed] if late_seed else [0, len(D) - 1]
    return Result({"learning_dynamics.png": picture(runs, D, losses, grouped, shown),
                   "learning_dynamics_octahedron.png": stages(octahedra, curves, plateau),
                   "learning_dynamics_octahedron.gif": animation(octahedra, curves, *((4, 0) if quick else (44, 12)))},
                  measured, numbers)


def train(features, m, snapshots, seeds, steps):
    """The snapshots of one small start for each seed: W (seeds, snapshots, m, n), b and steps."""
    shape = (seeds, m, features.n)
    start = 0.1 * np.sqrt(2 / (m + features.n)) * np.random.default_rng(0).standard_normal(shape)
    run = tms.train(features, m, steps=steps, batch_size=1024, learning_rate=1e-3, schedule="constant", restarts=seeds,
                    seed=0, initial=(start, np.zeros((seeds, features.n))), snapshots=snapshots)
    return run.snapshots


def plain_losses(runs):
    """Loss of every snapshot on the same examples, (seeds, snapshots)."""
    x = tms.SparseFeatures(N, S).sample(4096, seed=1, dtype="float32")
    return np.array([[tms.loss(W, b, x) for W, b in zip(*one, strict=True)]
                     for one in zip(runs.W, runs.b, strict=True)])


class Jump(NamedTuple):
    """A feature's way between the levels: the last snapshot at rest in one, the first in the other."""

    feature: int
    start: int
    end: int
    up: bool


def jumps(D):
    """All jumps of D (snapshots, n), by their end: D_i leaves at most LOW for at least HIGH, or the reverse."""
    found = []
    for i, d in enumerate(D.T):
        resting = np.flatnonzero((d <= LOW) | (d >= HIGH))
        up = d[resting] >= HIGH
        found += [Jump(i, resting[k], resting[k + 1], up[k + 1]) for k in np.flatnonzero(up[1:] != up[:-1])]
    return sorted(found, key=lambda jump: jump.end)


def groups(found):
    """Jumps that overlap in time, together: a list of lists, in the order of time."""
    together = []
    for jump in sorted(found, key=lambda jump: jump.start):
        if together and jump.start < max(other.end for other in together[-1]):
            together[-1].append(jump)
        else:
            together.append([jump])
    return [sorted(group, key=lambda jump: jump.end) for group in together]


def drop(group, loss):
    """By how much the loss falls from the first start to the last end of a group."""
    return loss[min(jump.start for jump in group)] - loss[max(jump.end for jump in group)]


def ratio_of_slopes(found, loss, steps):
    """How many times faster the loss falls while a feature jumps than while none does, once the mean is learned."""
    inside = np.zeros(len(steps) - 1, bool)
    for jump in found:
        inside[jump.start:jump.end] = True
    fall, later = -np.diff(loss), steps[:-1] >= SETTLED
    return fall[inside & later].mean() / fall[~inside & later].mean()


def flattest(steps, loss):
    """The snapshot at which the loss falls least on a log-log scale, between its start and its end."""
    t, L = np.log(steps[1:]), np.log(loss[1:])
    middle = (L < L[0] - np.log(2)) & (L > L[-1] + np.log(2))
    return 1 + np.where(middle, -np.gradient(L, t), np.inf).argmin()


def is_octahedron(W):
    cosine = cosines(W)[np.triu_indices(6, 1)]
    return (cosine < -0.95).sum() == 3 and (np.abs(cosine[cosine >= -0.95]) < 0.2).all()


def across(W):
    """How many of the three antipodal pairs have a feature of each set."""
    first, second = np.nonzero(np.triu(cosines(W) < -0.95))
    return int((SETS[first] != SETS[second]).sum())


def picture(runs, D, losses, grouped, shown):
    """D_i and the loss of two seeds over the steps, with the groups of jumps shaded."""
    fig, axes = plt.subplots(2, 2, figsize=(8.3, 5.0), sharex=True, height_ratios=[1.25, 1])
    for (top, bottom), seed in zip(axes.T, shown, strict=True):
        W, steps = runs.W[seed, -1], runs.steps
        kept, partner = tms.feature_norms(W) > 0.5, cosines(W).argmin(-1)
        digons = sorted({(min(i, partner[i]), max(i, partner[i])) for i in np.flatnonzero(kept)})
        top.plot(steps, D[seed][:, ~kept], color="0.75", linewidth=0.4)
        for number, digon in enumerate(digons):
            top.plot(steps, D[seed][:, digon], color=f"C{number % 7}", linewidth=1.3)
        top.axhline(0.5, color="0.5", linestyle=":", linewidth=0.8, zorder=0)
        loss, low = losses[seed], losses[seed].min()
        bottom.plot(steps, loss, color="k")
        height = loss[steps >= SETTLED / 2].max() - low
        bottom.set(ylim=(low - 0.1 * height, low + 1.5 * height), xlabel="step")
        for number, group in enumerate(grouped[seed]):
            start, end = (steps[f(getattr(jump, side) for jump in group)] for f, side in ((min, "start"), (max, "end")))
            for ax in (top, bottom):
                ax.axvspan(start, end, color="C4", alpha=0.18, linewidth=0)
            if (fall := drop(group, loss)) > 0.01:
                place = (start + end) / 2, low + (1.35 - 0.12 * (number % 3)) * height
                bottom.annotate(f"-{fall:.3f}", place, ha="center", fontsize=8)
        top.set(title=f"seed {seed}", ylim=(0, 0.8), yticks=[0, 0.25, 0.5, 0.75])
    axes[0, 0].set_ylabel("dimensionality $D_i$")
    axes[1, 0].set_ylabel("loss")
    handles = [plt.Line2D([], [], color="C0", label="represented at the end, a colour a digon"),
               plt.Line2D([], [], color="0.75", label="all others"),
               plt.Rectangle((0, 0), 1, 1, color="C4", alpha=0.25,
                             label="features jump, and by how much the loss falls")]
    fig.legend(handles=handles, loc="outside lower center", ncols=3)
    return fig


def corners(ax, W):
    """The six vectors in space, coloured by their set, with edges between neighbours."""
    cosine, norms = cosines(W), tms.feature_norms(W)
    for i, j in zip(*np.triu_indices(6, 1), strict=True):
        if abs(cosine[i, j]) < 0.5 and min(norms[i], norms[j]) > 0.5:
            ax.plot(*W[:, [i, j]], color="0.7", linewidth=0.7)
    for i in range(6):
        ax.plot(*np.stack([np.zeros(3), W[:, i]], -1), color=COLORS[SETS[i]], linewidth=1.8)
    ax.scatter(*W, c=COLORS[SETS], s=34, depthshade=False)
    ax.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1))
    ax.set_box_aspect((1, 1, 1), zoom=1.35)
    ax.set_axis_off()


def upright(paths):
    """The hidden space turned until the first set, which ends at right angles, points along the axes."""
    return (paths[-1, :, :3] / tms.feature_norms(paths[-1, :, :3])).T @ paths


def stages(runs, curves, plateau):
    """The loss of all seeds with the three levels; lengths of seed 0; its vectors at four moments."""
    fig = plt.figure(figsize=(8.3, 5.0))
    grid = fig.add_gridspec(2, 4, height_ratios=[1, 1.15])
    left, right = fig.add_subplot(grid[0, :2]), fig.add_subplot(grid[0, 2:])
    steps, s = runs.steps, S_OCTAHEDRON
    left.plot(steps[1:], curves[:, 1:].T, color="0.6", linewidth=0.8)
    left.plot(steps[1:], curves[0, 1:], color="k")
    for level, text in ((2 * s, "2s: nothing"), (s / 3, "s/3: the sum of each set"),
                        (s / 6, "s/6: one difference more"), (s**2, "s²: an octahedron")):
        left.axhline(level, color="C3", linestyle="--", linewidth=0.9, zorder=0)
        left.annotate(text, (1.3, level * 0.93), va="top", color="C3", fontsize=8)
    left.set(xscale="log", yscale="log", xlabel="step", ylabel="loss", ylim=(0.6 * s**2, 3 * s),
             title=f"loss of {len(curves)} seeds (black: seed 0)")
    end = int((curves[0] > 1.02 * curves[0, -1]).sum())
    moments = [0, plateau[0], (plateau[0] + end) // 2, len(steps) - 1]
    path = upright(runs.W[0])
    norms = tms.feature_norms(path)
    for i in range(6):
        right.plot(steps[1:], norms[1:, i], color=COLORS[SETS[i]])
    for moment in moments[1:-1]:
        right.axvline(steps[moment], color="0.8", linewidth=0.8, zorder=0)
    right.axhline(3**-0.5, color="0.5", linestyle=":", linewidth=0.8)
    right.annotate("1/√3", (1.3, 0.6), color="0.4", fontsize=8)
    right.set(xscale="log", xlabel="step", ylabel="$|W_i|$", ylim=(0, 1.1), title="lengths (seed 0)")
    for place, moment in enumerate(moments):
        ax = fig.add_subplot(grid[1, place], projection="3d")
        corners(ax, path[moment])
        ax.set_title(f"step {steps[moment]:,}")
        ax.view_init(15, 25)
    handles = [plt.Line2D([], [], marker="o", color=color, label=f"correlated set {k + 1}")
               for k, color in enumerate(COLORS[:2])]
    fig.legend(handles=handles, loc="outside lower center", ncols=2)
    return fig


def animation(runs, curves, frames, hold):
    """A function that writes the GIF: the vectors in space on the left, the loss up to this step on the right."""
    shown, path = np.linspace((runs.steps < 30).sum(), len(runs.steps) - 1, frames).astype(int), upright(runs.W[0])

    def write(file):
        fig = plt.figure(figsize=(7.0, 3.3))
        fig.set_layout_engine("none")  # to lay out each frame anew takes most of the time
        left, right = fig.add_axes([0.02, 0.02, 0.45, 0.88], projection="3d"), fig.add_axes([0.56, 0.15, 0.41, 0.75])
        right.plot(runs.steps[1:], curves[0, 1:], color="0.75")
        right.set(xscale="log", yscale="log", xlabel="step", ylabel="loss", title="loss")
        (dot,) = right.plot([], [], "o", color="k", markersize=6)

        def frame(k):
            at = shown[min(k, len(shown) - 1)]
            left.clear()
            corners(left, path[at])
            left.set_title(f"step {runs.steps[at]:,}")
            left.view_init(15, k - 30)
            dot.set_data([runs.steps[at]], [curves[0, at]])

        FuncAnimation(fig, frame, frames=len(shown) + hold).save(file, PillowWriter(fps=9), dpi=100)
        plt.close(fig)

    return write
