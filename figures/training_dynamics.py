"""How five features spread into a pentagon

**Question.** How do the features find their places while the model trains?

**Set-up.** The model of the introduction: n = 5, m = 2, ReLU, importance 0.9^i, density s = 0.05, Adam at 0.01 with
cosine decay, 5,000 steps of 1,024 examples; {{seeds}} seeds, one start each. The animation and the paths show seed 0.
The loss is that on 16,384 fresh examples, the same for all. Time runs on a log axis, since most happens early.

**What we see.** Five vectors of random direction and length turn away from each other until the gaps are even. The
smallest gap between neighbours in seed 0 was {{first_gap:.0f}}° at the start and {{last_gap:.0f}}° at the end, while
the loss fell from {{first_loss:.3f}} to {{last_loss:.4f}}. It does not fall evenly: a feature that sits between two
others is first pressed towards zero, then slips through to the free side, and the loss drops by a step. All five were
longer than 1/2 from step {{stored_at}} on.

**How sure.** All {{seeds}} starts end as a pentagon; at this density no local minimum was met. The path depends on the
start.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation, PillowWriter

import minitms as tms
from figures import OURS, PAPER, Claim, Result, always, exactly, near
from figures.introduction import gaps
from figures.recipe import STEPS, train_seeds
from minitms import plots

FRAMES, HOLD, LIMIT = 64, 14, 1.65
CLAIMS = [
    Claim("five", "s = 0.05: all five features end up represented", PAPER, exactly(5)),
    Claim("pentagon", "s = 0.05: as a pentagon, 72° between neighbours", PAPER, near(72, 5), "gap", "°"),
    Claim("apart", "s = 0.05: the two closest features end further apart than they began", OURS, always()),
]


def make(quick):
    importance = 0.9 ** np.arange(5)
    features = tms.SparseFeatures(5, 0.05, importance)
    seeds, last, frames = (2, 2000, 8) if quick else (8, STEPS, FRAMES)
    steps = np.append(0, np.unique(np.geomspace(1, last, frames).round().astype(int)))
    trained = train_seeds(features, 2, seeds=seeds, restarts=1, steps=last, snapshots=steps.tolist())
    paths = np.concatenate([run.snapshots.W for run in trained.runs])
    biases = np.concatenate([run.snapshots.b for run in trained.runs])
    x = features.sample(2**14, seed=1)
    losses = np.array([[tms.loss(W, b, x, importance) for W, b in zip(*one, strict=True)]
                       for one in zip(paths, biases, strict=True)])
    start, end = (np.array([smallest_gap(W) for W in paths[:, k]]) for k in (0, -1))
    waiting = (tms.feature_norms(paths[0]) <= 0.5).any(-1)
    measured = {"five": tms.features_represented(trained.W), "pentagon": np.concatenate([gaps(W) for W in trained.W]),
                "apart": end > start}
    numbers = {"seeds": len(paths), "first_gap": start[0], "last_gap": end[0], "first_loss": losses[0, 0],
               "last_loss": losses[0, -1], "stored_at": int(steps[np.append(0, np.flatnonzero(waiting) + 1).max()])
               if not waiting[-1] else "(never)", "steps": steps, "W_of_seed_0": paths[0], "loss": losses,
               "smallest_gap_at_start": start, "smallest_gap_at_end": end}
    return Result({"training_dynamics.gif": animation(paths[0], steps, losses[0], importance),
                   "training_dynamics.png": still(paths[0], steps, losses, importance)}, measured, numbers)


def still(path, steps, losses, importance):
    """The paths of the five vectors, their lengths, and the loss of every seed."""
    fig, (left, middle, right) = plt.subplots(1, 3, figsize=(8.3, 3.0))
    for i, color in enumerate(plots.scale("importance", importance.min(), 1).to_rgba(importance)):
        left.plot(*path[:, :, i].T, color=color, linewidth=1, alpha=0.6)
        middle.plot(steps[1:], tms.feature_norms(path)[1:, i], color=color, label=f"feature {i}")
    plots.feature_vectors(left, path[-1], importance, limit=LIMIT)
    left.set(title="paths of $W_i$ (seed 0)", xlabel="hidden dimension 1", ylabel="hidden dimension 2")
    left.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    middle.set(title="lengths (seed 0)", xlabel="step", ylabel="$|W_i|$", xscale="log", ylim=(0, None))
    plots.loss_curve(right, steps[1:], losses[:, 1:])
    right.plot(steps[1:], losses[0, 1:], color="0.2", linestyle=":", label="seed 0")
    right.lines[0].set_label(f"median and range of {len(losses)} seeds")
    right.set(title="loss on fresh examples", xscale="log", ylim=(losses.min() / 4, None))  # room for the legend
    right.legend(loc="lower left")
    fig.legend(handles=middle.lines, loc="outside lower center", ncols=5)
    return fig


def animation(path, steps, losses, importance):
    """A function that writes the GIF: the vectors on the left, the loss up to this step on the right."""
    def write(file):
        fig, (left, right) = plt.subplots(1, 2, figsize=(7.0, 3.4), width_ratios=[1, 1.15])
        plots.loss_curve(right, steps[1:], losses[1:], color="0.75")
        right.set(xscale="log", title="loss on fresh examples")
        (dot,) = right.plot([], [], "o", color="#D55E00", markersize=7)

        def frame(k):
            k = min(k, len(steps) - 1)
            left.clear()
            plots.feature_vectors(left, path[k], importance, limit=LIMIT)
            left.set(title=f"step {steps[k]:,}", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
            dot.set_data([steps[max(k, 1)]], [losses[max(k, 1)]])

        FuncAnimation(fig, frame, frames=len(steps) + HOLD).save(file, PillowWriter(fps=10), dpi=100)
        plt.close(fig)

    return write


def smallest_gap(W):
    """The smallest angle in degrees between two neighbours, whatever their lengths."""
    angle = np.sort(np.degrees(np.arctan2(W[1], W[0])))
    return ((np.roll(angle, -1) - angle) % 360).min()
