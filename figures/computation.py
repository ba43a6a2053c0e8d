"""Computing the absolute value in superposition

**Question.** Superposition stores features. Can it compute with them, without taking them apart first: one function a
feature, with fewer neurons than the function needs?

**Set-up.** h = ReLU(E x), y = ReLU(Dᵀ h + b), E and D of their own, no hidden bias; y should be |x|, each x_i on with
probability s and then uniform on [-1, 1]. Since |x| = ReLU(x) + ReLU(-x), a feature alone needs two neurons. n =
{{n}}, m = {{m}}, importance 0.8^i, seven densities; Adam at 0.01 with warm-up and cosine decay, {{steps:,}} steps of
{{batch}} examples, {{starts}} starts a density. The best of each density then trains on at 0.003, in rounds of
{{steps_on:,}} steps with new examples, until a round lowers no loss by more than 2 %: after {{rounds}} rounds. These
are drawn. Starts have a random E, D = |E| and b = 0, also for n = 3, m = 6 (best of {{three_starts}}); the models with
the motif start as in the other figures. These small ones take 4,000 steps of 256. The paper states neither optimiser
nor start. A neuron may read c times as much and write 1/c as much and remain the same, so each is scaled to a largest
|E_ki| of 1 before anything is drawn or counted. It is *monosemantic* if every other |E_ki| of its row is below 0.3 (the
paper judges by eye; one panel has 0.1 and 0.5 too). Neurons are sorted by their largest feature, as in the paper.

**What we see.** Three features and six neurons: each feature takes exactly two, one a sign (second picture, left). A
hundred features and forty neurons: at s = 1, 0.3, 0.1, 0.03, 0.01, 0.003 and 0.001 the best start has {{mono_best}}
monosemantic neurons of 40, and trained on {{mono_kept}}. With dense features every neuron reads one of the important
ones, of which each has two neurons. With sparse ones neurons are shared, in the end fewer of them than after the usual
training: what is shared late is for less important features. At s = 0.001 forty neurons compute |x| of
{{computed_low}} to {{computed_high}} features (mean squared error below half of the variance), where two neurons each
would do for 20. In between, many neurons have one large weight and several small ones: a primary feature and secondary
ones.

**The asymmetric motif.** With n = 6 and m = 10 (s = 0.2, importance 0.7^i) two neurons are missing, and feature 5 pays.
A neuron p of another feature reads it with the opposite sign, weakly, and writes it strongly. The paper's numbers are
input (2, -1/2) and output (1/2, 2); ours stand in the picture. So the small one hardly disturbs the large one, but the
large one appears in the small one's output several times too large, unless a second neuron, q, takes that away. The
code looks for just that: opposite signs, both ratios at least 2, both products of input and output within 1/2 to 3/2,
and a second neuron that takes away at least half. It finds it in {{found_6:.0%}} of {{motif_starts}} starts, and with
n = m = 10 (s = 0.35, importance 0.8^i) in {{found_10:.0%}}; in the best of each ten starts in {{tens_6:.0%}} and
{{tens_10:.0%}}. The median ratio of inputs is {{ratio:.1f}}.

**Does superposition pay?** That is not a matter of course, since losses at different densities are losses of different
tasks. So we compare with a model made by hand at the same density: two neurons for each of the m/2 most important
features, the mean for the others. With n = 6 and m = 10 the best model has {{pays_6:.2f}} times its loss. With 100
features in 40 neurons the models trained on have {{pays_best}} times at the seven densities, on examples that did not
choose them: it pays at s = 0.1 and below. Where features are dense nothing is to be gained, and training ends a little
above the model by hand. Before they trained on they had {{pays_first}} times: what looked as if superposition did not
pay was training that had not ended.

**Compared with the paper.** Monosemantic neurons where features are dense, polysemantic ones where they are sparse, and
the motif are the paper's. Two remarks. The second neuron is said to turn the positive interference into negative. It
*cancels* it, to {{left:.1%}} of what it was in the median, as long as nothing else is on; far below zero it goes only
with q's own feature. And neurons of important features are monosemantic longest, once training has ended: at s = 0.01
the largest feature of monosemantic neurons is number {{kept_mono_place:.1f}} in the mean, that of others number
{{kept_poly_place:.1f}}. After the usual training alone it hung on the threshold: at s = 0.1 these were
{{mono_place:.1f}} and {{poly_place:.1f}}, but not in each model; with a threshold of 0.1 in place of 0.3
{{strict_mono_place:.1f}} and {{strict_poly_place:.1f}}, in more of them.

**How sure.** The start decides, more than the number of steps. An output that hears its feature with the wrong sign is
dead before training begins, and there are many of these where few others could wake it. With D = |E| at the start none
is, and warm-up keeps it so; in trials neither did it alone. Ordinary starts, by the recipe of the other figures and
half as many steps, end {{plain_low:.0f}} to {{plain_high:.0f}} times higher at s = 0.01 and below. Even so the worst of
five starts is up to {{spread:.1f}} times above the best. Trained on, the loss levels off, but at s = 0.003 and 0.001 it
goes up and down by a tenth or more from round to round, since few examples have anything on; and other starts may have
other ends. So the counts at low density are those of good models, and a better one may exist. Features beyond about
number 50 have an importance below 1e-5 and teach the model nothing. The models drawn come with the package:
`tms.load_example("absolute_value")`.
"""

from dataclasses import replace
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np

import minitms as tms
from figures import NOT, OURS, PAPER, PARTLY, THEORY, Claim, Result, always, at_least, at_most, exactly
from figures.motif import draw_motif, motifs, rescaled
from minitms import plots

N, M, STARTS, STEPS, BATCH = 100, 40, 5, 8000, 512
MOST_ROUNDS = 10
DENSITIES = np.array([1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001])
SMALL = {6: (10, 0.2, 0.7), 10: (10, 0.35, 0.8)}  # n: m, density, decay of the importance

CLAIMS = [
    Claim("exact", "two neurons a feature by hand, n = 1 to 20 = m/2: loss", THEORY, exactly(0), "size", quick=True),
    Claim("three", "n = 3, m = 6, s = 1, 0.3, 0.1: neurons of each feature, best start", PAPER, exactly(2), "feature",
          quick=True),
    Claim("signs", "they are one a sign", PAPER, always(), "feature", quick=True),
    Claim("three_loss", "n = 3, m = 6: loss of the best start, which could be 0", THEORY, at_most(1e-6), "task"),
    Claim("dense", "n = 100, m = 40, s = 1 and 0.3: share of monosemantic neurons", PAPER, at_least(0.9), "model"),
    Claim("sparse", "s = 0.001: share of monosemantic neurons", PAPER, exactly(0), "model"),
    Claim("settled", "s = 0.001: the same of the best, trained on until it no longer improves", PAPER, exactly(0),
          "model", expect=NOT, reason="neurons of important features turn monosemantic as the loss falls further"),
    Claim("falls", "there are never more monosemantic neurons at the next lower density", PAPER, always(), "step"),
    Claim("important", "s = 0.1 and 0.03: monosemantic neurons have more important features than others", PAPER,
          always(), "model", expect=NOT,
          reason="neurons are shared by features of every importance, as long as training has not ended"),
    Claim("strict", "the same, with a threshold of 0.1: a neuron is monosemantic if the others are hardly there", PAPER,
          always(), "model"),
    Claim("settled_important", "the best, trained on: monosemantic neurons have more important features than others",
          PAPER, always(), "model"),
    Claim("computed", "s = 0.001: features of which |x| is computed, more than there are neurons", PAPER, at_least(41),
          "model", expect=NOT, reason="about as many as neurons; twice as many as two neurons each would do for"),
    Claim("converged", "the best of each density, trained on: how much the last 16,000 steps lowered its loss", OURS,
          at_most(0.05), "model"),
    Claim("plain", "s = 0.01 and below: loss from ordinary starts, by the recipe of the other figures, over the best "
          "of these", OURS, at_least(2), "model"),
    Claim("pays", "trained on, loss on fresh examples over that of m/2 features with two neurons each, n = 100, m = 40",
          OURS, at_most(1), "task", expect=PARTLY,
          reason="it pays at s = 0.1 and below; where features are dense, nothing is to be gained"),
    Claim("pays_small", "the same for n = 6, m = 10 and n = 10, m = 10", OURS, at_most(1), "set-up"),
    Claim("motif", "the asymmetric motif is there: starts of 100 that have it", PAPER, at_least(1), "set-up"),
    Claim("ratio", "input weights of the motif, large over small: within a factor of two of the paper's 4", PAPER,
          always(), "motif", expect=PARTLY, reason="a few are steeper"),
    Claim("removed", "what its second neuron leaves of the interference, as a share, if nothing else is on", PAPER,
          at_most(0.1), "motif"),
]


def make(quick):
    n, m, densities, starts, steps = (20, 8, DENSITIES[::2], 2, 200) if quick else (N, M, DENSITIES, STARTS, STEPS)
    sparse = densities <= 0.01
    run = train(n, m, densities[:, None], 0.8, steps=steps, warmup=steps // 6, batch_size=BATCH, restarts=starts,
                initial=awake(n, m, starts))
    rounds = train_on(run.best(), n, m, densities, steps=2 * steps, most=1 if quick else MOST_ROUNDS)
    kept = rounds[-1].best()
    plain = train(n, m, densities[sparse][:, None], 0.8, steps=steps // 2, batch_size=BATCH, restarts=3)
    few = {"steps": 1500 if quick else 4000, "batch_size": 256}
    count = 8 if quick else 20
    three = train(3, 6, np.array([[1], [0.3], [0.1]]), 1, restarts=count, initial=awake(3, 6, count), **few)
    small = {size: train(size, *rest, restarts=10 if quick else 100, **few) for size, rest in SMALL.items()}

    mono = tms.features_per_neuron(run.W.encoder) == 1                             # (starts, densities, neurons)
    share, place = mono.mean(axis=-1), places(run.W.encoder, mono)
    strict = places(run.W.encoder, tms.features_per_neuron(run.W.encoder, 0.1) == 1)
    course = np.array([run.loss.min(axis=0), *(one.loss[0] for one in rounds)])    # (rounds + 1, densities)
    kept_mono = tms.features_per_neuron(kept.W.encoder) == 1                       # (densities, neurons)
    kept_place, both = places(kept.W.encoder, kept_mono), kept_mono.any(axis=-1) & ~kept_mono.all(axis=-1)
    best, best_three = run.best(), three.best()
    yardstick = loss_by_hand(n, m, densities, 0.8)
    small_yardstick = [loss_by_hand(size, *rest) for size, rest in SMALL.items()]
    found = {size: [motifs(*model) for model in zip(*one.W, one.b, strict=True)] for size, one in small.items()}
    every = [motif for models in found.values() for model in models for motif in model]
    computed = np.array([features_computed(*one, densities) for one in zip(*run.W, run.b, strict=True)])
    middle = (densities == 0.1) | (densities == 0.03)
    measured = {
        "exact": [exact_loss(size) for size in range(1, 21)],
        "three": tms.neurons_per_feature(best_three.W.encoder), "signs": signs(best_three.W.encoder),
        "three_loss": best_three.loss,
        "dense": share[:, densities >= 0.3], "sparse": share[:, -1],
        "settled": kept_mono[-1].mean(), "falls": np.diff(share) <= 0,
        "settled_important": (kept_place.mono < kept_place.poly)[both],
        "important": (place.mono < place.poly)[:, middle], "strict": (strict.mono < strict.poly)[:, middle],
        "computed": computed[:, -1], "converged": 1 - course[-1] / course[-2],
        "plain": plain.loss / best.loss[sparse], "pays": fresh_loss(kept) / yardstick,
        "pays_small": [one.best().loss / by for one, by in zip(small.values(), small_yardstick, strict=True)],
        "motif": [sum(map(bool, models)) for models in found.values()],
        "ratio": [2 <= motif.ratio <= 8 for motif in every], "removed": [motif.left for motif in every],
    }
    numbers = {
        "n": n, "m": m, "starts": starts, "steps": steps, "batch": BATCH, "three_starts": len(three.loss),
        "motif_starts": len(small[6].loss), "densities": densities, "loss": run.loss,
        "course": course, "rounds": len(rounds), "steps_on": 2 * steps, "plain_loss": plain.loss,
        "loss_by_hand": yardstick,
        "spread": (run.loss.max(axis=0) / run.loss.min(axis=0)).max(), "monosemantic": mono.sum(axis=-1),
        "mono_best": ", ".join(map(str, best_of(mono, best.restart).sum(axis=-1))),
        "mono_kept": ", ".join(map(str, kept_mono.sum(axis=-1))),
        "kept_mono_place": kept_place.mono[densities == 0.01].sum(),
        "kept_poly_place": kept_place.poly[densities == 0.01].sum(),
        "mono_place": np.nanmean(place.mono[:, densities == 0.1]),
        "poly_place": np.nanmean(place.poly[:, densities == 0.1]),
        "strict_mono_place": np.nanmean(strict.mono[:, densities == 0.1]),
        "strict_poly_place": np.nanmean(strict.poly[:, densities == 0.1]),
        "computed": computed, "computed_low": computed[:, -1].min(), "computed_high": computed[:, -1].max(),
        "plain_low": measured["plain"].min(), "plain_high": measured["plain"].max(),
        "pays_best": listed(measured["pays"]), "pays_first": listed(course[0] / yardstick),
        "pays_6": measured["pays_small"][0], "pays_10": measured["pays_small"][1],
        "ratio": np.median([motif.ratio for motif in every]), "left": np.median([motif.left for motif in every]),
    }
    for size, models in found.items():
        has = np.array(list(map(bool, models)))
        tens = small[size].loss.reshape(-1, 10).argmin(axis=1) + np.arange(0, len(has), 10)
        numbers |= {f"found_{size}": has.mean(), f"tens_{size}": has[tens].mean(),
                    f"motifs_{size}": list(map(len, models))}
    files = {"computation.png": draw_densities(run, kept, plain, densities, yardstick, computed),
             "computation_motif.png": draw_motif(best_three, small[6], found[6])}
    if not quick:
        files["absolute_value.npz"] = lambda path: write_example(path, rounds[-1])
    return Result(files, measured, numbers)


def train(n, m, density, decay, seed=0, **options):
    """Models of |x| from random starts, by the recipe of all figures but for `options`; importance decay^i."""
    features = tms.SparseFeatures(n, density, decay ** np.arange(n), signed=True, target="abs")
    return tms.train(features, m, hidden="relu", tied=False, seed=seed, **options)


def train_on(best, n, m, densities, steps, most):
    """Train until a round lowers no loss by more than 2 %; the run of each round."""
    rounds = []
    while len(rounds) < most:
        rounds.append(train(n, m, densities[:, None], 0.8, seed=len(rounds) + 1, steps=steps, warmup=steps // 16,
                            batch_size=BATCH, learning_rate=0.003, restarts=1, initial=(best.W, best.b)))
        before, best = best.loss, rounds[-1].best()
        if (best.loss >= 0.98 * before).all():
            break
    return rounds


def awake(n, m, starts):
    """Random starts in which every output hears its feature: D = |E|, so that z_i is never negative. b = 0."""
    E = np.random.default_rng(0).normal(0, np.sqrt(2 / (n + m)), (starts, 1, m, n))
    return (E, abs(E)), np.zeros(n)


def by_hand(n, m):
    """Two neurons a feature for the first m/2 features, and nothing for the others."""
    half = np.eye(m // 2, n)
    return np.concatenate([half, -half]), np.concatenate([half, half])


def loss_by_hand(n, m, density, decay):
    """What that costs if b is the mean of |x_i| for the others: their variances, times their importance."""
    return (density / 3 - density**2 / 4) * np.sum(decay ** np.arange(m // 2, n))


def exact_loss(n):
    """Loss of two neurons for each of n features."""
    x = tms.SparseFeatures(n, 0.5, signed=True).sample(1000, seed=n)
    return tms.loss(by_hand(n, 2 * n), np.zeros(n), x, hidden="relu", target=abs(x))


def signs(E):
    """Whether each feature has two neurons, one of each sign."""
    held = abs(E) > 0.3 * abs(E).max(axis=-1, keepdims=True)
    return ((held & (E > 0)).sum(axis=-2) == 1) & ((held & (E < 0)).sum(axis=-2) == 1)


def places(E, mono):
    """Mean number of the largest feature of monosemantic neurons and of the others; NaN where there are none."""
    largest = abs(E).argmax(axis=-1).astype(float)

    def mean(kind):
        count = kind.sum(axis=-1)
        return np.where(count > 0, (largest * kind).sum(axis=-1) / np.maximum(count, 1), np.nan)

    return SimpleNamespace(mono=mean(mono), poly=mean(~mono))


def best_of(values, restart):
    """Values (starts, densities, ...) of the best start of each density."""
    return values[restart, np.arange(len(restart))]


def fresh_loss(best, rounds=8):
    """Loss of the best starts on examples that did not choose them: the best of several looks better on those."""
    batches = (best.features.sample(2**15, seed=seed, dtype="float32") for seed in range(1, rounds + 1))
    return np.mean([best.loss_on(x) for x in batches], axis=0)


def listed(values):
    """Numbers in words of the prose."""
    return ", ".join(f"{value:.2f}" for value in np.ravel(values))


def features_computed(E, D, b, densities, count=1024):
    """How many outputs have a mean squared error below half of the variance of |x_i|; one model a density.

    Most features are off in most examples, so the error is taken for each feature on and off in turn, then weighted.
    """
    found = []
    for k, s in enumerate(densities):
        x = tms.SparseFeatures(E.shape[-1], s, signed=True).sample(count, seed=1, dtype="float32")
        value = np.random.default_rng(0).uniform(-1, 1, count)
        error = 0
        for weight, own in ((s, value), (1 - s, np.zeros(count))):
            error = error + weight * np.array([squared_error((E[k], D[k]), b[k], x, i, own) for i in range(x.shape[1])])
        found.append(np.sum(error < (s / 3 - s**2 / 4) / 2))
    return found


def squared_error(W, b, x, i, own):
    """Mean squared error of output i if feature i has these values."""
    x = x.copy()
    x[:, i] = own
    return np.mean((tms.forward(W, b, x, hidden="relu")[:, i] - abs(own)) ** 2)


def write_example(path, run):
    """Write the models, small enough to come with the package: see `minitms.load_example`."""
    replace(run, history=run.history[..., -1:], steps=run.steps[-1:]).save(path)


# ------------------------------------------------------------------------------------------------------------ pictures


def draw_densities(run, kept, plain, densities, yardstick, computed):
    """Stacked bars of |E_ki|, a panel a density; then who is monosemantic, what is computed, and what it costs."""
    *_, m, _ = run.W.encoder.shape
    rows = -(-(len(densities) + 3) // 2)
    fig, axes = plt.subplots(rows, 2, figsize=(8.3, 1.7 * rows))
    for ax, E, s in zip(axes.flat, rescaled(kept.W).encoder, densities, strict=False):
        plots.neurons(abs(E), ax=ax)
        ax.set(title=f"s = {s:g}: {np.sum(tms.features_per_neuron(E) == 1)} of {m} neurons monosemantic", xticks=[])
    for ax in axes[:, 0]:
        ax.set_ylabel("$|E_{ki}|$, stacked")
    dots = {"marker": "o", "linestyle": "", "color": "#0072B2", "markersize": 3, "markeredgewidth": 0}
    ends = {"marker": "D", "linestyle": "", "color": "#D55E00", "markersize": 4, "markeredgewidth": 0}
    alone, able, costs = axes.flat[len(densities) : len(densities) + 3]
    for threshold, style in ((0.1, ":"), (0.3, "-"), (0.5, "--")):
        share = (tms.features_per_neuron(run.W.encoder, threshold) == 1).mean(axis=-1)
        alone.plot(densities, np.median(share, axis=0), style, color="0.2", label=f"threshold {threshold:g}")
        if threshold == 0.3:
            alone.plot(densities, share.T, **dots)
            alone.plot(densities, (tms.features_per_neuron(kept.W.encoder) == 1).mean(axis=-1), **ends)
    alone.set(ylim=(-0.03, 1.03), ylabel="share", title="monosemantic neurons")
    alone.legend()
    able.plot(densities, computed.T, **dots)
    able.plot(densities, features_computed(*kept.W, kept.b, densities), **ends)
    for level, text in ((m // 2, "two neurons each"), (m, "neurons")):
        able.axhline(level, color="0.7", linewidth=0.8, zorder=0)
        able.annotate(text, (1.25, level), va="bottom", fontsize=7, color="0.4")
    able.set(ylabel="features", ylim=(0, None), title="|x| computed, of how many features")
    last = plain.loss.shape[1]
    costs.plot(densities, (run.loss / yardstick).T, **dots)
    costs.plot(densities, kept.loss / yardstick, **ends)
    costs.plot(densities[-last:], (plain.loss / yardstick[-last:]).T, "x", color="0.4", markersize=4)
    for style in ({**dots, "label": "outputs awake at the start"}, {**ends, "label": "the best of these, trained on"},
                  {"marker": "x", "linestyle": "", "color": "0.4", "label": "ordinary start"}):
        costs.plot([], [], **{**style, "markersize": 4})
    costs.axhline(1, color="0.3", linewidth=0.8)
    costs.set(yscale="log", ylabel="by hand: 1", title="loss over that of two neurons a feature")
    costs.set(yticks=[1, 3, 10, 30], yticklabels=[1, 3, 10, 30])
    costs.yaxis.minorticks_off()
    costs.legend()
    for ax in (alone, able, costs):
        ax.set(xscale="log", xlim=(1.3, densities.min() / 1.3), xlabel="density s, sparser to the right")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=4, handlelength=1)
    return fig
