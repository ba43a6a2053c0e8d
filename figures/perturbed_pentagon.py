"""The pentagon when one feature is denser or sparser than the others

**Question.** Five equal features in two dimensions form a regular pentagon. What happens when one of them is on more
often than the others, or less often? Does the arrangement give way bit by bit, or all at once?

**Set-up.** n = 5, m = 2, importance 1, density s = {{s}} for four features and f s for the fifth, with f from
{{lowest:.2g}} to {{highest:.2g}} in {{factors}} equal ratios. The *pentagon branch* begins with a pentagon trained at
f = 1 and is followed down and up: at each f training goes on for {{steps}} steps of 2,048 examples from where it ended
at the f before ({{seeds}} seeds). The *branch of two digons* keeps the four others as two antipodal pairs, each with a
dimension to itself, and drops the fifth: its least loss is known in closed form, 4 L + v, with L that of a feature of a
digon and v = f s/3 - (f s)²/4. All losses are exact, of the expected loss. Besides, at every f models are trained from
random starts, the best of {{restarts}} for each of the seeds, to see which arrangement is found without being led.

**What we see.** Denser than the others (f > 1) the fifth feature pushes its neighbours away, and they close in on it
when it is sparser: the angle between it and its neighbours is {{gap_dense:.1f}}° at f = 2.5, 72° at f = 1, and
{{gap_sparse:.1f}}° at f = 0.4. So far all is smooth. But the two losses cross at an angle, at f = {{crossing:.3f}}
({{times:.2f}} times sparser): there the best arrangement snaps from a bent pentagon to two digons, in which the fifth
is not stored at all. A model that is led does not snap there. Going down, the pentagon holds on to f =
{{pentagon_ends:.2f}}; going up, a fifth feature that is added to the digons with a length of 0.05 grows to a pentagon
only from f = {{digons_end:.2f}} on. In between both are local minima, and which one a model shows is a matter of its
past.

**Compared with the paper.** The picture is the paper's, and so are the crossing of the losses and the snap. In its
picture that is at about 2.5 times sparser, read off by eye; the exact losses put it at {{times:.2f}}. They cross
earlier where all features are denser: with s = 0.1 in place of {{s}} at {{times_tenth:.2f}} times.

**How sure.** Of where the curves cross, to about a hundredth: the losses are exact, and the seeds agree. Where each
branch ends depends on the noise of training, on how long one waits, and on how large a fifth feature is added.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap

import minitms as tms
from figures import NOT, OURS, PAPER, Claim, Result, at_least, near
from figures.introduction import upright
from minitms.polytope_losses import independent
from minitms.polytopes import POLYTOPES
from minitms.theory import feature_variance

S, SEEDS, RESTARTS, STEPS = 0.05, 5, 8, 400
FIFTH = np.arange(5) == 4
SHOWN = (0.1, 0.25, 0.5, 1, 2.5, 10)
DIGONS = np.array([[1.0, -1, 0, 0, 0], [0, 0, 1, -1, 0]])
CLAIMS = [
    Claim("regular", "f = 1: a regular pentagon, 72° to the neighbours", PAPER, near(72, 2), unit="°", quick=True),
    Claim("away", "f = 2.5: the denser feature pushes its neighbours away, angle to them - 72°", PAPER, at_least(1),
          unit="°"),
    Claim("closer", "f = 0.4: they close in on the sparser one, 72° - angle to them", PAPER, at_least(1), unit="°"),
    Claim("crossing", "the losses of pentagon and two digons cross, times sparser (read off the picture)", PAPER,
          near(2.5, 0.5), expect=NOT, reason="the exact losses cross further out"),
    Claim("kink", "they cross at an angle: slope of the digons' loss by ln f / the pentagon's, at the crossing", PAPER,
          at_least(1.5)),
    Claim("best", "the best of random starts is a pentagon above the crossing and digons below, if 1.3 times away",
          OURS, at_least(0.9), "seed"),
    Claim("both", "both are local minima, over a factor of f: from where the pentagon ends to where digons do", OURS,
          at_least(2)),
]


def make(quick):
    f = np.array([0.25, 0.4, 1, 2.5]) if quick else 10 ** np.arange(-1.3, 1.01, 0.1).round(1)
    seeds = 2 if quick else SEEDS
    W, b = pentagon_branch(f, seeds)
    led, represented = tms.expected_loss(W, b, density(f)), tms.features_represented(W)   # (seeds, factors)
    pentagon = np.where(represented == 5, led, np.nan)
    digons = digon_losses(f)                                                              # (factors,)
    cross, kink = np.array([crossing(f, loss, digons) for loss in pentagon]).T
    first = np.array([f[np.flatnonzero(np.isfinite(loss))[0]] for loss in pentagon])
    last, found = digons_end(f, seeds, quick), from_random_starts(f, seeds, quick)
    denser = crossing_at(0.1, np.array([0.3, 0.5, 1]) if quick else 10 ** np.arange(-0.6, 0.01, 0.1).round(1))

    angle = angles(W)
    at = {factor: angle[:, np.argmin(abs(np.log(f / factor)))] for factor in (0.4, 1, 2.5)}
    far = abs(np.log(f / np.median(cross))) > np.log(1.3)
    agrees = (found == 5) == (f > np.median(cross))
    measured = {"regular": at[1], "away": at[2.5] - 72, "closer": 72 - at[0.4], "crossing": 1 / cross, "kink": kink,
                "best": agrees[:, far].mean(-1), "both": last / first}
    numbers = {"s": S, "seeds": seeds, "restarts": RESTARTS, "steps": STEPS, "factors": len(f), "lowest": f[0],
               "highest": f[-1], "f": f, "loss_led": led, "represented_led": represented, "digon_loss": digons,
               "angle": angle, "gap_dense": np.median(at[2.5]), "gap_sparse": np.median(at[0.4]), "crossings": cross,
               "crossing": np.median(cross), "times": 1 / np.median(cross), "times_tenth": 1 / denser,
               "pentagon_ends": np.median(first), "digons_end": np.median(last), "found": found}
    return Result({"perturbed_pentagon.png": draw(f, W[0], pentagon, digons, numbers)}, measured, numbers)


def density(f, s=S):
    """(factors, 5): s, and f s for the fifth feature."""
    return np.where(FIFTH, np.reshape(f, (-1, 1)) * s, s)


def pentagon_branch(f, seeds, s=S):
    """Follow a pentagon from f = 1 down and up; W (seeds, factors, 2, 5) and b (seeds, factors, 5)."""
    start = tms.train(tms.SparseFeatures(5, s), 2, steps=3000, restarts=seeds, seed=0)
    W, b = np.zeros((seeds, len(f), 2, 5)), np.zeros((seeds, len(f), 5))
    one = int(np.argmin(abs(np.log(f))))
    for way in (range(one, -1, -1), range(one, len(f))):
        run = start
        for k in way:
            run = tms.train(tms.SparseFeatures(5, density(f[k], s)[0]), 2, steps=STEPS, batch_size=2048,
                            learning_rate=3e-3, seed=k + 1, initial=run)
            W[:, k], b[:, k] = run.W, run.b
    return W, b


def digon_losses(f, s=S):
    """Least loss of two digons with the fifth feature dropped, (factors,)."""
    return 4 * independent(POLYTOPES["digon"], s).loss + feature_variance(f * s)


def crossing_at(s, f):
    """The f at which the losses cross for another density s of the four."""
    W, b = pentagon_branch(f, 1, s)
    return crossing(f, tms.expected_loss(W[0], b[0], density(f, s)), digon_losses(f, s))[0]


def from_random_starts(f, seeds, quick):
    """How many features the best of random starts represents, (seeds, factors)."""
    features, steps = tms.SparseFeatures(5, density(f)), 1000 if quick else 3000
    runs = [tms.train(features, 2, steps=steps, restarts=RESTARTS, seed=100 + seed) for seed in range(seeds)]
    return np.stack([tms.features_represented(run.best().W) for run in runs])


def digons_end(f, seeds, quick):
    """The f from which a fifth feature of length 0.05 grows beside two digons, for each seed; NaN if at none."""
    rng = np.random.default_rng(0)
    direction = rng.normal(size=(seeds, len(f), 2))
    W = np.broadcast_to(DIGONS, (seeds, len(f), 2, 5)).copy()
    W[..., 4] = 0.05 * direction / np.linalg.norm(direction, axis=-1, keepdims=True)
    b = np.broadcast_to(density(f) / 2 * FIFTH, (seeds, len(f), 5))
    run = tms.train(tms.SparseFeatures(5, density(f)), 2, steps=500 if quick else 5000, batch_size=2048,
                    learning_rate=1e-3, restarts=seeds, seed=7, initial=(W, b))
    stays = tms.features_represented(run.W) < 5
    return np.array([f[np.flatnonzero(stay)[-1] + 1] if not stay[-1] else np.nan for stay in stays])


def angles(W):
    """Mean angle in degrees between the fifth feature and its two neighbours, (seeds, factors)."""
    direction = np.degrees(np.arctan2(W[..., 1, :], W[..., 0, :]))
    apart = abs((direction[..., :4] - direction[..., 4:] + 180) % 360 - 180)
    return np.sort(apart, axis=-1)[..., :2].mean(-1)


def crossing(f, pentagon, digons):
    """The f at which the pentagon's loss crosses that of two digons, and the ratio of their slopes there."""
    lead = digons - pentagon
    k = np.flatnonzero(np.isfinite(lead[:-1]) & (lead[:-1] < 0) & (lead[1:] >= 0))[-1]
    share = lead[k] / (lead[k] - lead[k + 1])
    slope = (digons[k + 1] - digons[k]) / (pentagon[k + 1] - pentagon[k])
    return np.exp(np.log(f[k]) * (1 - share) + np.log(f[k + 1]) * share), slope


def draw(f, W, pentagon, digons, numbers):
    """Arrangements above, losses below."""
    fig = plt.figure(figsize=(8.3, 5.6))
    grid = fig.add_gridspec(2, len(SHOWN), height_ratios=[1, 2.2])
    for column, factor in enumerate(SHOWN):
        ax = fig.add_subplot(grid[0, column])
        k = int(np.argmin(abs(np.log(f / factor))))
        if f[k] < numbers["crossing"]:
            arrangement(ax, DIGONS * independent(POLYTOPES["digon"], S).length)
        else:
            arrangement(ax, upright(W[k][:, ::-1])[:, ::-1])
        ax.set_title(f"f = {f[k]:.2g}")
    ax = fig.add_subplot(grid[1, :])
    ax.fill_between(f, pentagon.min(0), pentagon.max(0), color="#0072B2", alpha=0.3, linewidth=0)
    ax.plot(f, np.median(pentagon, axis=0), color="#0072B2", label="pentagon, followed from f = 1 (exact loss)")
    until = ~(f > numbers["digons_end"])
    ax.plot(f[until], digons[until], color="#009E73", label="two digons, the fifth dropped (closed form)")
    ax.axvline(numbers["crossing"], color="0.5", linewidth=0.8, linestyle=":")
    ax.annotate(f"the losses cross at f = {numbers['crossing']:.3f}", (numbers["crossing"], 0.0022), xytext=(6, 0),
                textcoords="offset points", color="0.3", fontsize=8)
    colors = LinearSegmentedColormap.from_list("found", ["#009E73", "#0072B2"])
    share = (numbers["found"] == 5).mean(0)
    ax.scatter(f, np.full(len(f), 0.0017), c=share, s=22, zorder=3, cmap=colors, vmin=0, vmax=1, clip_on=False)
    ax.annotate(f"found from random starts, the best of {RESTARTS}: digons in green, pentagons in blue",
                (f[-1], 0.0017), xytext=(0, 6), textcoords="offset points", ha="right", fontsize=8, color="0.3")
    ax.set(xscale="log", yscale="log", xlabel="f: density of the fifth feature over that of the others, s = 0.05",
           ylabel="expected loss", xlim=(f[0], f[-1] * 1.03))
    ax.set_xticks([0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10], ["0.05", "0.1", "0.2", "0.5", "1", "2", "5", "10"])
    ax.set_yticks([0.002, 0.005, 0.01, 0.02], ["0.002", "0.005", "0.01", "0.02"])
    ax.minorticks_off()
    ax.legend(loc="upper left", frameon=True, edgecolor="none", framealpha=1)
    return fig


def arrangement(ax, W):
    """The five vectors, the fifth in orange."""
    for i, (x, y) in enumerate(W.T):
        color = "#D55E00" if i == 4 else "0.35"
        ax.plot([0, x], [0, y], color=color, linewidth=1.6)
        ax.plot(x, y, "o", color=color, markersize=5)
    ax.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect="equal", xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
