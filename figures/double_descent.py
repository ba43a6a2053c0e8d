"""Memorisation and double descent

**Question.** Trained on few examples for ever, what does the model of the paper store: features, or the examples? How
many does it take to turn the one into the other, and what does the model answer to new ones in between? The follow-up
(Henighan et al., *Superposition, Memorization, and Double Descent*, 2023) sees a bump of the test loss there, one
percent above that of a model that says nothing, and features from T(1-S) = 5. Those who repeated it report a test loss
of anything up to thousands, and features from 20. Which choice decides?

**Set-up.** y = ReLU(WᵀW x + b), m = 2, n = {{n:,}} features of density 1 - S = {{density}}, so that ten are on at a
time; every example divided by its length. T of them, all at every step. AdamW with weight decay 0.01, {{steps:,}} steps
of at most 0.005, with a warm-up and a cosine: the same sum of learning rates as the follow-up's 50,000 of 0.001, which
are among the choices below. The loss is the sum over features, the mean over examples. {{data_sets}} data sets for each
T; of {{few_starts}} starts at T up to 15, two up to 700 and one above, the lowest training loss counts. Tested on
{{test:,}} other examples. A model that answers 0 has loss 1 there, exactly, since |x| = 1; the best constant answer has
{{constant:.4f}}. The share of an example is D = |h|² / Σ(ĥ · h')², over the hidden vectors h = W x of all T examples:
m/T on a regular polygon.

**What we see.** At T = 5 and 8 the examples are the corners of a polygon, and features lie where their examples are.
(Three need no regular triangle: 90° between them are enough.) Until T(1-S) = 0.6 the median share of an example times
T/m stays within {{small_low:.2f}} to {{small_high:.2f}}, but the training loss no longer vanishes: features come in
several examples, and what is on in two corners with others between them cannot be cut off by a line. Meanwhile the
weights grow: |W| is {{size_8:.1f}} at T = 8, {{size_100:.0f}} at 100 and {{size_300:.0f}} at 300. The test loss is
{{test_3:.2f}} at T = 3, where no bias keeps new examples quiet, {{test_8:.3f}} at 8, rises to {{height:.0f}} (median
over data sets) at T(1-S) = {{place:g}}, and is below 1 from {{begins:.1f}} on. Five features in a pentagon are left in
{{pentagons_1000}} of {{data_sets}} data sets at T(1-S) = 10 (a sixth, short one in the others), and in
{{pentagons_3000}} at 30, with test loss {{last:.4f}}.

**Which choice decides?** The polygon needs weights and biases that grow with T, and they grow as long as training
lasts; whatever holds them back lowers the bump. At T(1-S) = 3 the test loss is {{base_300:.0f}}; after the follow-up's
50,000 steps {{own_300:.0f}}; after a tenth of ours {{short_300:.2f}}; with weight decay 1 {{decay_300:.2f}}, with none
{{no_decay_300:.0f}}; with the **mean over features** in place of the sum {{mean_300:.0f}}. That mean should not matter,
for Adam divides by the size of the gradient; but it adds ε = 1e-8 to it first, and gradients that are n times smaller
come near that. At the follow-up's n = 10,000 and ten times the examples they are a hundred times smaller still. With
gradients of that size (importance {{tiny}}) the bump is **{{mean_large_300:.3f}}**, and {{own_mean_300:.3f}} after its
50,000 steps: the one percent of the follow-up. And at T(1-S) = 5, where the sum still memorises (test loss
{{base_500:.0f}}), it has turned to features ({{mean_large_500:.3f}}), as the follow-up has it. So the mean and ε move
bump and pentagon both; short training and weight decay lower the bump and leave the turn where it is (at T(1-S) = 5:
{{short_500:.2f}} and {{decay_500:.2f}}). Single precision is not to blame ({{double_300:.0f}} in double at T(1-S) = 3),
nor are the starts: two on the same data differ by a factor of {{starts:.1f}} at most. At T(1-S) = 10 all choices are
below 1.

**The same at n = 10,000**, S = 0.999, with T ten times as large (one data set, one start, {{short_steps:,}} steps for
both sizes): test loss {{large_1000:.3f}} at T(1-S) = 1 beside {{small_1000:.3f}}, {{large_3000:.2f}} at 3 beside
{{small_3000:.2f}}; with the mean over features {{large_mean_3000:.4f}} beside {{small_mean_3000:.4f}} with gradients of
that size. So the smaller model is fair for new examples. It is not for what is memorised: at T(1-S) = 1 the training
loss is {{large_loss_1000:.2f}} beside {{small_loss_1000:.2f}}, for ten times the corners need far larger weights.

**Compared with the paper.** Polygon, bump between, pentagon: as there. With the sum over features, as we read the
follow-up's loss, the bump is far higher and the turn comes later than there; with the mean both are as in its pictures.
A comment to it by Adam Jermyn found, at m = 4, that the bump grows with more training and vanishes at weight decay 1:
the first is so at m = 2 too, of the second a small bump remains.

**How sure.** The range over four data sets is drawn. The choices were tried on two data sets, at a few T, from one
start each. That the follow-up's code took the mean is our guess from its numbers alone; anything else that makes Adam's
steps small would do the same.
"""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np

import minitms as tms
from figures import NOT, OURS, PAPER, PARTLY, THEORY, Claim, Result, always, at_least, at_most, memorisation, near
from figures.memorisation import hidden_examples, is_pentagon, of_best, shares

FULL = SimpleNamespace(n=1000, steps=10_000, data_sets=4, shown=(3, 8, 30, 100, 300, 3000),
                       sizes=(3, 5, 8, 15, 30, 60, 100, 150, 200, 300, 500, 700, 1000, 3000))  # fmt: skip
QUICK = SimpleNamespace(n=20, steps=100, data_sets=2, shown=(3, 8, 30, 100, 300, 1000), sizes=FULL.sizes[:-1])
SMALL, TRIED, LARGE = (15, 30, 60), (100, 300, 500, 1000), (500, 700, 1000)
LARGER, LARGER_MEAN = (100, 1000, 3000), (3000,)
BLUE, RED = "#0072B2", "#D55E00"  # features, examples
COLORS = {100: "#009E73", 300: "#D55E00", 500: "#CC79A7", 1000: "#0072B2"}
WITHIN = {"own": 2, "double": 3, "own_mean": 3}  # so many of them only, to save time
VARIANTS = {
    "base": "as on the left",
    "double": "double precision",
    "own": "50,000 steps of 0.001",
    "no_decay": "no weight decay",
    "mean": "mean over features",
    "mean_large": "mean, as at n = 10,000",
    "own_mean": "that, 50,000 steps of 0.001",
    "decay": "weight decay 1",
    "short": "a tenth of the steps",
}

CLAIMS = [
    Claim("zero", "the model that answers 0 has loss 1 on examples of length 1", THEORY, near(1, 1e-12), "test",
          quick=True),
    Claim("polygon", "T = 3, 5, 8: share of an example times T/m, where it is furthest from 1", PAPER, near(1, 0.1),
          "model", expect=PARTLY, reason="three vectors are told apart by any angles above 90°"),
    Claim("small", "T(1-S) from 0.15 to 0.6: median share of the examples times T/m", PAPER, near(1, 0.25), "model"),
    Claim("bump", "highest test loss: above that of the model that answers 0", PAPER, at_least(1), "data set"),
    Claim("place", "T(1-S) of the highest test loss: between small regime, to 0.7, and large one, from 5", PAPER,
          near(2.85, 2.15), "data set"),
    Claim("height", "highest test loss, sum over features", PAPER, near(1.01, 0.01), "data set", expect=NOT,
          reason="it grows as long as the weights do; see the choices"),
    Claim("height_mean", "highest test loss at T(1-S) from 1 to 10, gradients as of the mean over 10,000 features",
          OURS, near(1.01, 0.01), "data set"),
    Claim("height_own_mean", "the same after the follow-up's 50,000 steps of 0.001, T(1-S) from 1 to 5", PAPER,
          near(1.01, 0.01), "data set"),
    Claim("begins", "T(1-S) from which the test loss is below 1: about 10, within a factor of two", PAPER,
          near(12.5, 7.5), "data set"),
    Claim("pentagon", "T(1-S) = 5, 7, 10: five features, with gaps of 72° ± 10°", PAPER, always(), "model", expect=NOT,
          reason="with the sum over features the examples hold out longer"),
    Claim("pentagon_30", "T(1-S) = 30: five features, with gaps of 72° ± 10°", PAPER, always(), "model"),
    Claim("pentagon_share", "T(1-S) = 30: share of each of the five", PAPER, at_most(0.4), "feature"),
    Claim("pentagon_size", "T(1-S) = 30: |W|, about √5", PAPER, near(2.24, 0.22), "data set", expect=PARTLY,
          reason="a thousand short features add to the five"),
    Claim("double", "T(1-S) = 1, 3, 5: test loss in double precision over that in single, same start", OURS,
          near(1, 0.5), "model", expect=PARTLY, reason="at 5, on the edge, rounding leads elsewhere, as a start does"),
    Claim("mean", "T(1-S) = 3: test loss with the mean over features over that with the sum, same start", OURS,
          at_most(0.5), "model"),
    Claim("turn", "T(1-S) = 5: test loss with gradients as of the mean over 10,000 features", OURS, at_most(1),
          "model"),
    Claim("longer", "T(1-S) = 3: test loss over that after a tenth of the steps, same start", PAPER, at_least(1),
          "model"),
    Claim("decay", "weight decay 1: no bump, highest test loss at T(1-S) from 1 to 10", PAPER, at_most(1.01),
          "data set", expect=NOT, reason="the remark is about m = 4; at m = 2 a small bump remains"),
    Claim("own", "T(1-S) = 3: test loss after 50,000 steps of 0.001 over that of our recipe, same start", OURS,
          near(1.25, 0.75), "model", expect=PARTLY, reason="more and smaller steps go further: up to 4.5 times"),
    Claim("starts", "T(1-S) = 3: test loss of the worse of two starts over that of the better", OURS, at_most(2),
          "data set"),
    Claim("unmoved", "T(1-S) = 10: test loss, whatever the choice", OURS, at_most(1), "model"),
    Claim("large", "T(1-S) = 0.1, 1, 3: test loss at n = 10,000 over that at n = 1,000, trained alike", OURS,
          near(1.25, 0.75), "model"),
    Claim("large_mean", "mean over features at n = 10,000: test loss less that of gradients of that size at n = 1,000",
          OURS, near(0, 0.01), "model"),
]


def make(quick):
    size = QUICK if quick else FULL
    runs = {T: memorisation.train(T, n=size.n, steps=size.steps, data_sets=size.data_sets,
                                  starts=starts(T, quick)) for T in size.sizes}
    tried = variants(size, runs)
    large = larger(size)
    test = np.array([of_best(run, "test") for run in runs.values()])  # (T, data sets)
    measured = judge(size, runs, test, tried, large)
    numbers = quoted(size, runs, test, tried, large, measured)
    return Result({"double_descent.png": draw_vectors(size, runs),
                   "double_descent_loss.png": draw_losses(size, runs, test, tried, numbers["constant"])},
                  measured, numbers)


def starts(T, quick):
    return 1 if quick else 8 if T <= 15 else 2 if T < 1000 else 1


def variants(size, runs):
    """For each choice a dict of T -> run; those of the base have all their starts and data sets."""
    changes = {
        "double": {"dtype": "float64"},
        "own": {"steps": 5 * size.steps, "learning_rate": 1e-3},
        "no_decay": {"weight_decay": 0.0},
        "mean": {"importance": 1 / size.n},
        "mean_large": {"importance": 0.01 / size.n},  # ten times the features, and ten times the examples
        "own_mean": {"steps": 5 * size.steps, "learning_rate": 1e-3, "importance": 0.01 / size.n},
        "decay": {"weight_decay": 1.0},
        "short": {"steps": size.steps // 10},
    }
    tried = {"base": {T: runs[T] for T in TRIED}}
    for name, change in changes.items():
        options = {"n": size.n, "steps": size.steps, "data_sets": 2, "starts": 1} | change
        tried[name] = {T: memorisation.train(T, **options) for T in TRIED[: WITHIN.get(name, 4)]}
    return tried


def larger(size):
    """Ten times as many features and examples beside the smaller model, one each, trained for a shorter time."""
    options = {"steps": 3 * size.steps // 10, "data_sets": 1, "starts": 1}

    def pair(T, mean=False):
        many, few = ({"importance": 0.1 / size.n}, {"importance": 0.01 / size.n}) if mean else ({}, {})
        return (memorisation.train(T, n=10 * size.n, **options, **many),
                memorisation.train(T // 10, n=size.n, **options, **few))

    return {T: pair(T) for T in LARGER}, {T: pair(T, mean=True) for T in LARGER_MEAN}


def judge(size, runs, test, tried, large):
    """What the claims hold against their bounds."""
    scaled = {T: shares(hidden_examples(run)) * T / 2 for T, run in runs.items()}  # (data sets, T)
    furthest = np.concatenate([np.take_along_axis(D, abs(D - 1).argmax(1)[:, None], 1)[:, 0]
                               for T, D in scaled.items() if T <= 8])
    x = np.array(size.sizes) * memorisation.ACTIVE / size.n
    last = of_best(runs[size.sizes[-1]], "W").astype(np.float64)
    ratio = {name: {T: run.test[0] / runs[T].test[0, : run.test.shape[1]] for T, run in of.items()}
             for name, of in tried.items()}
    highest = {name: np.max([run.test[0] for run in of.values()], axis=0) for name, of in tried.items()
               if name != "base"}
    at_300 = runs[300].test
    return {
        "zero": tms.loss(np.zeros((2, size.n)), np.zeros(size.n),
                         memorisation.scaled_examples(size.n, memorisation.TEST, memorisation.UNSEEN)),
        "polygon": furthest,
        "small": np.concatenate([np.median(scaled[T], axis=1) for T in SMALL]),
        "bump": test.max(axis=0),
        "place": x[test.argmax(axis=0)],
        "height": test.max(axis=0),
        "height_mean": highest["mean_large"],
        "height_own_mean": highest["own_mean"],
        "begins": [crossing(x, curve) for curve in test.T],
        "pentagon": [is_pentagon(W) for T in LARGE for W in of_best(runs[T], "W")],
        "pentagon_30": [is_pentagon(W) for W in last],
        "pentagon_share": shares(last)[:, :5].ravel(),
        "pentagon_size": np.sqrt(tms.features_learned(last)),
        "double": np.concatenate(list(ratio["double"].values())),
        "mean": ratio["mean"][300],
        "longer": 1 / ratio["short"][300],
        "decay": highest["decay"],
        "own": ratio["own"][300],
        "starts": at_300.max(axis=0) / at_300.min(axis=0),
        "turn": tried["mean_large"][500].test,
        "unmoved": np.concatenate([of[1000].test.ravel() for of in tried.values() if 1000 in of]),
        "large": [(many.test / few.test).item() for many, few in large[0].values()],
        "large_mean": [(many.test - few.test).item() for many, few in large[1].values()],
    }


def crossing(x, curve, level=1.0):
    """Where a curve comes down through the level for the last time, on a logarithmic axis; NaN if it ends above."""
    above = np.flatnonzero(curve >= level)
    if not above.size or above[-1] == len(curve) - 1:
        return np.nan
    k = above[-1]
    return float(np.exp(np.interp(level, curve[[k + 1, k]], np.log(x[[k + 1, k]]))))


def quoted(size, runs, test, tried, large, measured):
    """What the prose quotes, and what stands behind the pictures."""
    x = np.array(size.sizes) * memorisation.ACTIVE / size.n
    unseen = memorisation.scaled_examples(size.n, memorisation.TEST, memorisation.UNSEEN)
    middle = np.median(test, axis=1)
    W = {T: of_best(run, "W").astype(np.float64) for T, run in runs.items()}
    quoted = {f"{name}_{T}": np.median(run.test) for name, of in tried.items() for T, run in of.items()}
    for part, pairs in zip(("", "mean_"), large, strict=True):
        for T, (many, few) in pairs.items():
            quoted |= {f"large_{part}{T}": many.test.item(), f"small_{part}{T}": few.test.item()}
            quoted |= {f"large_loss_{part}{T}": many.loss.item(), f"small_loss_{part}{T}": few.loss.item()}
    return quoted | {
        "n": size.n, "density": memorisation.ACTIVE / size.n, "steps": size.steps, "data_sets": size.data_sets,
        "few_starts": len(runs[3].loss), "test": memorisation.TEST, "short_steps": 3 * size.steps // 10,
        "tiny": 0.01 / size.n, "constant": 1 - np.sum(unseen.mean(axis=0) ** 2), "sizes": size.sizes,
        "test_loss": test, "training_loss": np.array([of_best(run, "loss") for run in runs.values()]),
        "variants": {name: {T: run.test for T, run in of.items()} for name, of in tried.items()},
        "pentagons_1000": sum(is_pentagon(model) for model in W[1000]),
        "pentagons_3000": sum(is_pentagon(model) for model in W[size.sizes[-1]]),
        "small_low": np.min(measured["small"]), "small_high": np.max(measured["small"]),
        **{f"size_{T}": np.median(np.sqrt(tms.features_learned(W[T]))) for T in (8, 100, 300)},
        "height": middle.max(), "place": x[middle.argmax()], "begins": np.median(measured["begins"]),
        "test_3": middle[0], "test_8": middle[2], "last": middle[-1], "starts": np.max(measured["starts"]),
    }  # fmt: skip


def draw_vectors(size, runs):
    """Features and hidden examples of the first data set, each panel at its own scale."""
    fig, axes = plt.subplots(2, len(size.shown), figsize=(8.3, 3.3))
    for (top, bottom), T in zip(axes.T, size.shown, strict=True):
        run = runs[T]
        for ax, v, color in ((top, of_best(run, "W")[0], BLUE), (bottom, hidden_examples(run)[0], RED)):
            ax.plot(*np.stack([np.zeros_like(v), v], axis=1), color=color, linewidth=0.6, alpha=0.5)
            ax.plot(*v, "o", color=color, markersize=2.5, markeredgewidth=0)
            limit = 1.15 * abs(v).max()
            ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xticks=[], yticks=[])
            ax.spines[:].set(visible=True, color="0.8")
            ax.set_xlabel(f"±{limit:.2g}", color="0.4", fontsize=7)
        top.set_title(f"T = {T:,}")
    axes[0, 0].set_ylabel("features W$_i$")
    axes[1, 0].set_ylabel("examples h = W x")
    return fig


def draw_losses(size, runs, test, tried, constant):
    fig, (left, middle, right) = plt.subplots(1, 3, figsize=(8.3, 3.9), width_ratios=[1, 1.1, 1.1])
    x = np.array(size.sizes) * memorisation.ACTIVE / size.n
    for at, run in zip(x, runs.values(), strict=True):
        for v, color, shift in ((of_best(run, "W"), BLUE, 0.95), (hidden_examples(run), RED, 1.05)):
            D = shares(v[0])
            left.plot(np.full(D.size, shift * at), D, "o", color=color, markersize=2, alpha=0.5, markeredgewidth=0)
    left.plot(x, 2 / np.array(size.sizes), "--", color="0.25", linewidth=0.9)
    left.plot([], [], "o", color=BLUE, markersize=3, label="features")
    left.plot([], [], "o", color=RED, markersize=3, label="examples")
    left.plot([], [], "--", color="0.25", linewidth=0.9, label="m/T")
    left.set(xscale="log", ylim=(0, 0.75), xlabel="T(1-S), times a feature was seen", title="share of a dimension D")
    left.legend(loc="upper center")
    middle.plot(x, np.median(test, axis=1) - 1, "-o", color=RED, markersize=3, label="sum over features: median, range")
    middle.fill_between(x, test.min(1) - 1, test.max(1) - 1, color=RED, alpha=0.25, linewidth=0)
    means = [np.median(tried["mean_large"][T].test) - 1 for T in TRIED]
    middle.plot(np.array(TRIED) * x[0] / 3, means, "-s", color="#009E73", markersize=3, label=VARIANTS["mean_large"])
    middle.axhline(0, color="0.4", linestyle="--", linewidth=0.9, label="always 0")
    middle.axhline(constant - 1, color="0.4", linestyle=":", linewidth=0.9, label="best constant answer")
    middle.set(xscale="log", xlabel="T(1-S), times a feature was seen", title=f"loss on new examples, n = {size.n:,}")
    loss_axis(middle.yaxis, middle.set_yscale, middle.set_ylim, [-0.01, 0, 0.01, 0.1, 1, 10, 100])
    for row, of in enumerate(tried.values()):
        for k, (T, run) in enumerate(of.items()):
            loss = run.test.ravel() - 1
            right.plot(loss, np.full(loss.size, row + 0.18 * (k - 1.5)), "o", color=COLORS[T], markersize=3.5,
                       alpha=0.8, markeredgewidth=0, label=f"T = {T:,}" * (row == 0))
    right.axvline(0, color="0.4", linestyle="--", linewidth=0.9)
    right.set(yticks=range(len(tried)), yticklabels=[VARIANTS[name] for name in tried], ylim=(len(tried) - 0.5, -0.5),
              xlabel="loss on new examples", title="which choice decides?")
    loss_axis(right.xaxis, right.set_xscale, right.set_xlim, [0, 0.1, 1, 10, 100])
    handles, labels = (a + b for a, b in zip(*(ax.get_legend_handles_labels() for ax in (middle, right)), strict=True))
    fig.legend(handles, labels, loc="outside lower center", ncols=4)
    return fig


def loss_axis(axis, set_scale, set_limits, ticks):
    """A loss less 1: even up to 0.02 away from 0, and logarithmic beyond."""
    set_scale("symlog", linthresh=0.02)
    set_limits(-0.02, 300)
    axis.set_ticks(ticks, labels=[f"{1 + tick:g}" for tick in ticks])
    axis.set_minor_locator(plt.NullLocator())
