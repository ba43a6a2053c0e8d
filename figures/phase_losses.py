"""The losses behind the phase diagram

**Question.** How does the loss of a million models fall while they train, and is the change of phase first-order?

**Set-up.** The runs of `phase_changes`: mean batch loss of all models at {{records}} of {{steps}} steps, and the exact
loss of the best restart along four lines of constant importance.

**What we see.** Left: most of the fall happens within the first tenth of the run; between its last two tenths the mean
loss of the ReLU models changes by {{levels:.1%}}. Right: the best loss follows the lower of two crossing curves, that
of superposition at low density and that of dropping a feature at high density. At the crossing the slope breaks, and
what the models do changes at once: within one factor of {{window:.2f}} in density, |W| of the feature that
superposition rescues jumps by {{jump}} (r = {{lines}}).

**Compared with the paper and the earlier replication.** The paper calls the change first-order because the losses of
the configurations cross with a kink; the kink is there. The earlier replication shows the loss curve of 100,000 models;
this is the same picture on independent features.

**How sure.** The slopes are fitted to {{points}} densities on either side, between 10 % and 40 % away from theory's
boundary. They differ from theory's a little, since the best pair is slightly better than W = (1, -1), b = 0.
"""

import matplotlib.pyplot as plt
import numpy as np

from figures import EARLIER, PAPER, PARTLY, THEORY, Claim, Result, always, at_least, at_most, near, sweeps
from minitms import theory

LINES = np.array([0.2, 0.4, 2.5, 5.0])
WINDOW = 1.1  # in density, around the jump
CLAIMS = [
    Claim("kink", "the slope of the best loss breaks at the boundary: slope above / slope below, less than 0.75", PAPER,
          at_most(0.75), "importance"),
    Claim("slopes", "below and above, the slopes are those of the crossing configurations, measured / theory", THEORY,
          near(1, 0.1), "slope"),
    Claim("jump", "a first-order change: within a factor 1.1 of density |W| jumps by at least a half", PAPER,
          at_least(0.5), "importance"),
    Claim("bound", "the best of ten is no worse than the best configuration, within 1 %: loss / theory", THEORY,
          at_most(1.01), "cell on a line", expect=PARTLY,
          reason="Adam at a constant 0.01 on 64 examples stays in motion around the minimum, which costs most misses a "
                 "few percent; in the worst, at low density, all ten restarts have lost a feature for good"),
    Claim("falls", "the population's loss falls and levels off, ReLU and linear", EARLIER, always(), "activation"),
]


def make(quick):
    relu, linear = sweeps.trained("relu", quick), sweeps.trained("linear", quick)
    s, best = relu.densities, relu.best()
    rows = abs(np.log(relu.importances / LINES[:, None])).argmin(axis=1)
    kinks, slopes, jumps, bounds, points = [], [], [], [], []
    for k in rows:
        r = relu.importances[k]
        star = theory.boundary_density(r)
        measured, expected = [], []
        for low, high, name in ((0.6, 0.9, "superposed"), (1.1, 1.4, "first" if r < 1 else "extra")):
            part = (s > low * star) & (s < high * star)
            closed = theory.configuration_losses(s, r)[theory.CONFIGURATIONS[2].index(name)]
            points.append(part.sum())
            for values, slopes_here in ((best.loss[:, k], measured), (closed, expected)):
                slopes_here.append(np.polyfit(s[part], values[part], 1)[0] if part.sum() > 1 else np.nan)
        kinks.append(measured[1] / measured[0])
        slopes += [m / e for m, e in zip(measured, expected, strict=True)]
        rescued = abs(best.W[:, k, 0, 1 if r < 1 else 0])
        near_star = abs(np.log(s / star)) < 0.4
        jumps.append(jump(s[near_star], rescued[near_star]))
        bounds.append(best.loss[:, k] / theory.configuration_losses(s, r).min(axis=0))

    tenth = max(1, len(relu.steps) // 10)
    means = [[d.history[:tenth].mean(), d.history[-2 * tenth : -tenth].mean(), d.history[-tenth:].mean()]
             for d in (relu, linear)]
    measured = {"kink": kinks, "slopes": slopes, "jump": jumps, "bound": bounds,
                "falls": [m[2] < 0.5 * m[0] and abs(m[2] / m[1] - 1) < 0.05 for m in means]}

    fig, axes = plt.subplots(1, 2, figsize=(8.3, 3.7))
    for diagram, name in ((relu, "ReLU"), (linear, "linear")):
        axes[0].plot(diagram.steps, diagram.history, label=f"{name}: mean of {diagram.loss.size:,} models")
    axes[0].set(yscale="log", xlabel="step", ylabel="batch loss", title="while training")
    axes[0].legend()
    for place, k in enumerate(rows):
        r = relu.importances[k]
        color = f"C{place}"
        axes[1].plot(s, best.loss[:, k], ".", ms=2.5, color=color, label=f"r = {r:.2g}", zorder=3)
        losses = theory.configuration_losses(s, r)
        pair = losses[theory.CONFIGURATIONS[2].index("superposed")]
        alone = losses[:2].min(axis=0)
        for values in (pair, alone):
            shown = values < 1.6 * losses.min(axis=0)
            axes[1].plot(s[shown], values[shown], color=color, lw=0.8, alpha=0.8)
    axes[1].set(xscale="log", yscale="log", xlabel="density 1 - S", ylabel="expected loss",
                xlim=(0.04, 1), ylim=(1e-3, 0.2), title="best of each cell (dots) and two configurations (lines)")
    axes[1].xaxis.set_major_formatter("{x:g}")
    axes[1].legend()
    numbers = {"records": len(relu.steps), "steps": f"{relu.settings['steps']:,}",
               "levels": abs(means[0][2] / means[0][1] - 1), "window": WINDOW,
               "jump": ", ".join(f"{j:.2f}" for j in jumps), "points": f"{min(points)} to {max(points)}",
               "lines": ", ".join(f"{relu.importances[k]:.2g}" for k in rows), "loss_relu": relu.history[::10],
               "loss_linear": linear.history[::10], "kinks": kinks}
    return Result({"phase_losses.png": fig}, measured, numbers)


def jump(s, w):
    """Largest change of the median |w| from one end of a window of densities to the other."""
    below = [w[(s > at / WINDOW) & (s <= at / WINDOW**0.5)] for at in s]
    above = [w[(s >= at) & (s < at * WINDOW**0.5)] for at in s]
    changes = [abs(np.median(b) - np.median(a)) for b, a in zip(below, above, strict=True) if len(a) and len(b)]
    return max(changes, default=np.nan)
