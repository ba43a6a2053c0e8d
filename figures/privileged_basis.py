"""Superposition in a privileged basis: neurons of one feature, and of many

**Question.** With a ReLU on the hidden layer, y = ReLU(Wᵀ ReLU(W x) + b), hidden dimensions become neurons: a rotated
W is another model, so each neuron can be asked what it stands for. One feature or several, and what decides it?
(Section 7 of the paper; its picture is of the best of a thousand runs. Does that matter?)

**Set-up.** n = {{n}} features, m = {{m}} neurons, importance 0.75^i, tied weights, nine densities, {{runs}} runs at
each, of {{steps}} steps of {{batch}} examples by Adam (0.01, cosine). A feature *turns on* a neuron if its
weight is positive and above 0.3 of the neuron's largest positive one. A neuron is *monosemantic* if one feature turns
it on, *polysemantic* if several do. Blocks are the connected parts of the graph of neurons and features, with an edge
where |W_ki| is above 0.3 of the neuron's largest |weight|. Claims are measured on the best of {{group}} runs in each of
{{groups}} separate groups, some on the best of all {{runs}} too, as in the paper; the first picture shows these.

**What we see.** At density {{densities}} the best model has {{mono_best}} monosemantic neurons of five, and keeps
{{kept_best}} features (|W_i| above 1/2). At 0.35 and 0.2 three features share two neurons, as (1, 1), (1, -1) and
(-1, 1): the last two, opposite in the hidden space, turn on a neuron each, the first turns on both. At 0.07 features
turn on {{code_07}} neurons, feature 0 first: four of them three of four neurons each, four others one of these and the
fifth. At 0.03 and 0.01 every feature turns on a pair of neurons of its own; five neurons have just ten pairs. All of
them turn off other neurons, by weights below zero. WᵀW is the same for rotated weights, and shows little of it.

**One run, or the best of many?** Single runs have {{mono_single}} monosemantic neurons on average, and their median
loss is {{worse_half:.2%}} above the best of all at density 0.5, {{worse_fifth:.1%}} at 0.2, {{worse_last:.0%}} at 0.01.
All ten features are pairs in {{pairs_single_03:.1%}} of single runs at 0.03 and in {{pairs_single_01:.1%}} at 0.01: who
trains once will hardly see pairs. At density 1 loss hardly tells the runs apart (median {{worse_first:.1%}} above the
best), and yet they have {{mono_single_first:.1f}} monosemantic neurons: dense features keep the hidden values of many a
rotated W positive, where the ReLU does nothing, so the basis is hardly privileged. Three features in three neurons come
as corners of a tetrahedron, (1, 1, -1) and so on, in {{tetrahedra_35}} of {{runs}} runs at 0.35 and in
{{tetrahedra_20}} at 0.2.

**A bias on the neurons.** With y = ReLU(Wᵀ ReLU(W x + c) + b) training makes c positive, {{lowest_c:.2f}} to
{{highest_c:.2f}}; at least {{passing:.1%}} of hidden values pass the ReLU, and the loss becomes that of a linear hidden
layer, {{gain_03:.1f}} times below the one without c at density 0.03. The basis is no longer privileged, as the paper
says.

**Compared with the paper.** The order is the paper's: monosemantic, three in two, eight in five, pairs. Its densities
and counts are read off its picture, which shows |weights|. To count positive weights alone is our choice, made after
trial runs: weights below zero grow to {{longest:.1f}} times the largest positive one of their neuron, so a share of the
largest |weight| finds {{mono_weight}} monosemantic neurons, and the last of them is none to the eye.

**How sure.** One size of model. At low density the best of {{group}} differs between groups by up to
{{groups_differ:.0%}} in loss, so the best of a thousand need not be the best there is; at 0.01 longer training may
lower it too. The threshold is a choice, but hardly matters: with 0.2 and 0.5 in its place there are {{mono_low}} and
{{mono_high}} monosemantic neurons.
"""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Patch

import minitms as tms
from figures import OURS, PAPER, PARTLY, THEORY, Claim, Result, always, at_least, at_most, exactly, hidden_bias

N, M, RUNS, GROUPS, STEPS, BATCH = 10, 5, 1000, 5, 2500, 256
DENSITY = np.array([1, 0.5, 0.35, 0.2, 0.1, 0.07, 0.05, 0.03, 0.01])
BIASED = np.array([0.35, 0.1, 0.03])  # densities at which neurons get a bias
STARTS = 10  # of each of these, and of the linear hidden layer beside them
TOLERANCE = 0.2  # of the cosines by which the shape of a block is known
SHAPES = {(2, 3): [-1, 0, 0], (3, 3): [-1 / 3, -1 / 3, -1 / 3]}  # (neurons, features): cosines between features
COLORS = ["#332288", "#6699CC", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255",
          "#AA4499"]  # Paul Tol's, distinct in every common form of colour blindness
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "0.45"

LUCK = {"expect": PARTLY, "reason": "of 200 runs not always one is good enough, of 1,000 one is: see the next row"}
STUCK = {"expect": PARTLY, "reason": "at 0.35 ten starts do not always suffice: one seed ends in a local minimum"}

CLAIMS = [
    Claim("dense", "density 1 and 0.5: monosemantic neurons, of five", PAPER, exactly(5), "model"),
    Claim("three_in_two", "density 0.35 and 0.2: three features in two neurons", PAPER, always(), "model"),
    Claim("shape", "these three are an antipodal pair (1, -1), (-1, 1) and (1, 1): cosines within 0.2", OURS, always(),
          "block"),
    Claim("eight", "density 0.07 and 0.05: features kept by the five neurons", PAPER, exactly(8), "model",
          **LUCK),
    Claim("eight_best", "the same, best of all 1,000", PAPER, exactly(8), "model"),
    Claim("poly", "density 0.07 and 0.05: monosemantic neurons", PAPER, exactly(0), "model"),
    Claim("poly_sparse", "density 0.03 and 0.01: monosemantic neurons", PAPER, exactly(0), "model"),
    Claim("pairs", "density 0.03 and 0.01: features, of ten, that turn on exactly two neurons", PAPER, exactly(10),
          "model", **LUCK),
    Claim("pairs_best", "the same, best of all 1,000", PAPER, exactly(10), "model"),
    Claim("distinct", "and these pairs of neurons are different: pairs, of ten that there are, best of all 1,000", OURS,
          exactly(10), "model"),
    Claim("falls", "monosemantic neurons never become more from a density to the next lower: most added", PAPER,
          at_most(0), "group"),
    Claim("single", "density 0.03 and 0.01: share of single runs in which all ten features are pairs", OURS,
          at_most(0.5), "group"),
    Claim("tetrahedra", "density 0.35 and 0.2: blocks of three features in three neurons that are corners of a "
          "tetrahedron, in a group of 200 runs", OURS, at_least(1), "group"),
    Claim("positive", "bias on the neurons: biases above 0, of five", PAPER, exactly(5), "model"),
    Claim("linear", "bias on the neurons: share of hidden values that the ReLU lets pass", PAPER, at_least(0.95),
          "model"),
    Claim("gap", "bias on the neurons: how much of the loss between no bias and a linear hidden layer is saved", OURS,
          at_least(0.9), "model", **STUCK),
    Claim("exact", "W >= 0 and x >= 0: the outputs differ from those of a linear hidden layer by", THEORY, exactly(0),
          "model", quick=True),
]


def make(quick):
    runs, steps, starts = (15, 300, 2) if quick else (RUNS, STEPS, STARTS)
    run = train(runs, steps)
    first = runs // GROUPS * np.arange(GROUPS)[:, None]
    restart = run.loss.reshape(GROUPS, -1, len(DENSITY)).argmin(axis=1) + first
    W, b, loss = (array[restart, np.arange(len(DENSITY))] for array in (run.W, run.b, run.loss))
    group = SimpleNamespace(W=W, b=b, loss=loss)
    every = SimpleNamespace(loss=run.loss, mono=monosemantic(run.W), pairs=in_pairs(run.W),
                            blocks={shape: shaped_blocks(run.W, shape) for shape in SHAPES})
    biased = with_bias(group, steps, starts)
    numbers = {"n": N, "m": M, "runs": runs, "steps": steps, "batch": BATCH, "groups": GROUPS, "group": runs // GROUPS,
               "density": DENSITY, **tell(run.best(), group, every, biased)}
    files = {"privileged_basis.png": draw(run.best(), runs),
             "privileged_basis_runs.png": draw_runs(run.best(), group, every, biased)}
    return Result(files, measure(run.best(), group, every, biased), numbers)


def train(runs, steps):
    features = tms.SparseFeatures(N, DENSITY[:, None], 0.75 ** np.arange(N))
    return tms.train(features, M, hidden="relu", steps=steps, batch_size=BATCH, restarts=runs, seed=1)


# ------------------------------------------------------------------------------------------- what neurons stand for


def monosemantic(W, threshold=0.3):
    """How many neurons are turned on by one feature. One that is never on is none of them."""
    return (tms.features_per_neuron(np.maximum(W, 0), threshold) == 1).sum(axis=-1)


def turned_on(W):
    """How many neurons each feature turns on."""
    return tms.neurons_per_feature(np.maximum(W, 0))


def in_pairs(W):
    """How many features turn on exactly two neurons."""
    return (turned_on(W) == 2).sum(axis=-1)


def different_pairs(W):
    """How many different pairs of neurons are turned on by those features, for models W (..., m, n)."""
    positive = np.maximum(W, 0)
    on = positive > 0.3 * positive.max(axis=-1, keepdims=True)
    models = on.reshape(-1, M, N).mT.tolist()
    counts = [len({tuple(neurons) for neurons in features if sum(neurons) == 2}) for features in models]
    return np.reshape(counts, W.shape[:-2])


def shaped_blocks(W, shape):
    """How many blocks of this size, (neurons, features), each model has, and how many are of its shape: (..., 2)."""
    found = np.zeros((*W.shape[:-2], 2), dtype=int)
    for model in np.ndindex(W.shape[:-2]):
        for block in tms.neuron_blocks(W[model]):
            if (len(block.neurons), len(block.features)) == shape:
                found[model] += 1, is_shaped(W[model][np.ix_(*block)], shape)
    return found


def is_shaped(part, shape):
    """Whether the cosines between the features of a block, in the space of its neurons, are those of its shape."""
    directions = part / np.linalg.norm(part, axis=0)
    cosines = np.sort((directions.T @ directions)[np.triu_indices(shape[1], 1)])
    return np.abs(cosines - SHAPES[shape]).max() <= TOLERANCE


def at(*densities):
    return [int(np.argmin(abs(DENSITY - s))) for s in densities]


def with_bias(group, steps, starts):
    """The best model with a bias c on neurons for each group, and its loss beside that without and a linear layer's."""
    features = tms.SparseFeatures(N, BIASED[:, None], 0.75 ** np.arange(N))
    x, importance = features.sample(2**14, seed=0), features.importance
    where = at(*BIASED)
    found = {"without": tms.loss(group.W[:, where], group.b[:, where], x, importance, hidden="relu"),
             "share": [], "c": [], "biased": [], "linear": []}
    for seed in range(GROUPS):
        run = hidden_bias.train(features, M, steps=steps, batch_size=BATCH, learning_rate=1e-2, starts=starts,
                                seed=seed)
        loss = hidden_bias.loss(run.W, run.b, run.c, x, importance[:, None])
        best = loss.argmin(axis=0), np.arange(len(BIASED))
        hidden = hidden_bias.forward(run.W[best], run.b[best], run.c[best], x)[0]
        linear = tms.train(features, M, steps=steps, batch_size=BATCH, restarts=starts, seed=seed).best()
        found["share"].append((hidden > 0).mean(axis=(-2, -1)))
        found["c"].append(run.c[best])
        found["biased"].append(loss[best])
        found["linear"].append(linear.loss_on(x))
    return SimpleNamespace(starts=starts, **{name: np.array(values) for name, values in found.items()})


# ------------------------------------------------------------------------------------------------- numbers and claims


def measure(best, group, every, biased):
    """Values of the claims: of the best models (K), the best of each group (groups, K), and of all runs (runs, K)."""
    mono, two, seven, three = monosemantic(group.W), at(0.35, 0.2), at(0.07, 0.05), at(0.03, 0.01)
    in_two = shaped_blocks(group.W[:, two], (2, 3))
    positive, x = np.maximum(group.W, 0), tms.SparseFeatures(N, 0.3).sample(1000, seed=0, dtype="float32")
    difference = tms.forward(positive, group.b, x, hidden="relu") - tms.forward(positive, group.b, x)
    tetrahedra = every.blocks[3, 3][:, two, 1].reshape(GROUPS, -1)
    return {
        "dense": mono[:, at(1, 0.5)],
        "three_in_two": in_two[..., 0] > 0,
        "shape": (in_two[..., 1] == in_two[..., 0])[in_two[..., 0] > 0],
        "eight": tms.features_represented(group.W)[:, seven],
        "eight_best": tms.features_represented(best.W)[seven],
        "poly": mono[:, seven],
        "poly_sparse": mono[:, three],
        "pairs": in_pairs(group.W)[:, three],
        "pairs_best": in_pairs(best.W)[three],
        "distinct": different_pairs(best.W)[three],
        "falls": np.diff(mono, axis=1).max(axis=1),
        "single": (every.pairs[:, three] == N).reshape(GROUPS, -1).mean(axis=1),
        "tetrahedra": tetrahedra.sum(axis=1),
        "positive": (biased.c > 0).sum(axis=-1),
        "linear": biased.share,
        "gap": (biased.without - biased.biased) / (biased.without - biased.linear),
        "exact": np.abs(difference).max(axis=(-2, -1)),
    }


def tell(best, group, every, biased):
    """What the text quotes, and what stands behind the pictures."""
    worse = np.median(every.loss, axis=0) / best.loss - 1
    single, all_pairs = every.mono.mean(axis=0), (every.pairs == N).mean(axis=0)
    half, third, fifth, seven, sparse = at(0.5, 0.35, 0.2, 0.07, 0.03)
    tetrahedra = (every.blocks[3, 3][..., 1] > 0).sum(axis=0)

    def listed(values, form="g"):
        return ", ".join(format(value, form) for value in values)

    return {
        "densities": listed(DENSITY), "mono_best": listed(monosemantic(best.W)),
        "kept_best": listed(tms.features_represented(best.W)), "code_07": listed(turned_on(best.W[seven])),
        "mono_single": listed(single, ".1f"), "mono_single_first": single[0],
        "mono_low": listed(monosemantic(best.W, 0.2)), "mono_high": listed(monosemantic(best.W, 0.5)),
        "mono_weight": listed((tms.features_per_neuron(best.W) == 1).sum(axis=-1)),
        "longest": (-best.W.min(axis=-1) / best.W.max(axis=-1)).max(),
        "worse_first": worse[0], "worse_half": worse[half], "worse_fifth": worse[fifth], "worse_last": worse[-1],
        "pairs_single_03": all_pairs[sparse], "pairs_single_01": all_pairs[-1],
        "tetrahedra_35": tetrahedra[third], "tetrahedra_20": tetrahedra[fifth],
        "lowest_c": biased.c.min(), "highest_c": biased.c.max(), "passing": biased.share.min(),
        "gain_03": np.median(biased.without[:, -1] / biased.biased[:, -1]),
        "groups_differ": (group.loss.max(axis=0) / group.loss.min(axis=0) - 1).max(),
        "turned_on": turned_on(best.W),
        "features_per_neuron": [np.sort(counts) for counts in tms.features_per_neuron(np.maximum(best.W, 0))],
        "blocks": {shape: blocks.sum(axis=0) for shape, blocks in every.blocks.items()},
        "best_loss": best.loss, "median_loss": np.median(every.loss, axis=0), "best_W": best.W, "best_b": best.b,
        "losses_with_bias": biased.biased, "losses_without": biased.without, "losses_of_linear": biased.linear,
    }


# ------------------------------------------------------------------------------------------------------------ pictures


def draw(best, runs):
    """Above the weights of each neuron as stacked bars, one colour a feature; below WᵀW."""
    fig, axes = plt.subplots(2, len(DENSITY), figsize=(8.3, 4.1), height_ratios=[1.8, 1])
    lowest, highest = (1.03 * extreme for extreme in (np.minimum(best.W, 0).sum(axis=-1).min(),
                                                      np.maximum(best.W, 0).sum(axis=-1).max()))
    for k, (bars, gram) in enumerate(axes.T):
        tms.plots.neurons(best.W[k], COLORS, ax=bars)
        bars.set(title=f"{DENSITY[k]:g}", ylim=(lowest, highest), xticks=[])
        bars.set_xlabel(f"{monosemantic(best.W[k])} mono-\nsemantic")
        tms.plots.weight_gram(gram, best.W[k], best.b[k])
        if k:
            bars.set(yticks=[])
            bars.spines.left.set_visible(False)
    axes[0, 0].set_ylabel("weights of each neuron")
    fig.suptitle(f"density 1 - S, from dense to sparse; the best of {runs:,} runs at each", fontsize=9)
    handles = [Patch(color=color, label=i) for i, color in enumerate(COLORS)]
    fig.legend(handles=handles, title="feature, from the most important to the least", loc="outside lower center",
               ncols=len(handles), handlelength=1, columnspacing=1)
    return fig


def draw_runs(best, group, every, biased):
    """What single runs find beside the best of many, and what a bias on neurons does."""
    fig, ((mono, loss), (kinds, bias)) = plt.subplots(2, 2, figsize=(8.3, 5.6))
    runs, size = len(every.loss), len(every.loss) // GROUPS
    for ax in (mono, loss, kinds):
        ax.set(xscale="log", xlim=(1.15, 0.0085), xticks=DENSITY, xticklabels=[f"{s:g}" for s in DENSITY])
        ax.set_xlabel("density 1 - S, from dense to sparse")
        ax.minorticks_off()
        ax.tick_params(axis="x", labelrotation=45)
    low, high = np.percentile(every.mono, [10, 90], axis=0)
    mono.fill_between(DENSITY, low, high, color=ORANGE, alpha=0.2, linewidth=0, label="80 % of single runs")
    mono.plot(DENSITY, every.mono.mean(axis=0), color=ORANGE, label="single runs, mean")
    mono.plot(np.tile(DENSITY, GROUPS), monosemantic(group.W).ravel(), "o", color=BLUE, markersize=5, alpha=0.35,
              markeredgewidth=0, label=f"best of {size}, {GROUPS} groups")
    mono.plot(DENSITY, monosemantic(best.W), color=BLUE, label=f"best of {runs:,}")
    mono.set(title="monosemantic neurons", ylabel="of five", ylim=(-0.2, 5.3))
    mono.legend()
    for whole, alpha in ((90, 0.15), (50, 0.3)):
        low, high = np.percentile(every.loss / best.loss, [50 - whole / 2, 50 + whole / 2], axis=0)
        loss.fill_between(DENSITY, low, high, color=ORANGE, alpha=alpha, linewidth=0, label=f"{whole} % of single runs")
    loss.plot(DENSITY, np.median(every.loss, axis=0) / best.loss, color=ORANGE, label="single runs, median")
    loss.plot(np.tile(DENSITY, GROUPS), (group.loss / best.loss).ravel(), "o", color=BLUE, markersize=4, alpha=0.5,
              markeredgewidth=0, label=f"best of {size}, {GROUPS} groups")
    loss.set(title=f"loss over that of the best of {runs:,}", ylabel="times", yscale="log", yticks=[1, 1.5, 2, 3, 5],
             yticklabels=["1", "1.5", "2", "3", "5"])
    loss.minorticks_off()
    loss.legend()
    shares = {"three features in two neurons, (1, 1), (1, -1), (-1, 1)": (every.blocks[2, 3][..., 1] > 0, BLUE),
              "three corners of a tetrahedron in three neurons": (every.blocks[3, 3][..., 1] > 0, GREEN),
              "all ten features turn on a pair of neurons": (every.pairs == N, ORANGE)}
    for text, (found, color) in shares.items():
        kinds.plot(DENSITY, 100 * found.mean(axis=0), "-o", color=color, markersize=3, label=text)
    kinds.set(title="blocks in single runs", ylabel="% of runs", ylim=(0, 80))
    kinds.legend()
    sets = {"no bias on neurons": (biased.without, ORANGE), "with a bias on neurons": (biased.biased, BLUE),
            "linear hidden layer": (biased.linear, GREY)}
    for step, (text, (values, color)) in enumerate(sets.items()):
        place = np.arange(len(BIASED)) + 0.16 * (step - 1)
        bias.plot(np.tile(place, GROUPS), values.ravel(), "o", color=color, markersize=5, alpha=0.6, markeredgewidth=0,
                  label=text)
    bias.set(title=f"loss, best of {size} (no bias) or {biased.starts} starts, {GROUPS} groups", yscale="log",
             ylabel="loss", xticks=range(len(BIASED)), xticklabels=[f"{s:g}" for s in BIASED], xlabel="density 1 - S")
    bias.legend()
    return fig
