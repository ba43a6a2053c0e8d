"""How many dimensions does a feature get?

**Question.** A model with m hidden dimensions stores far more features than that when they are sparse. How many
dimensions is that a feature, and do features get any share of a dimension, or only certain ones?

**Set-up.** y = ReLU(WᵀW x + b), importance 1 for all. n = 400 features in m = 30 dimensions at 50 densities, and n =
200 in m = 20 at 20 densities (the authors' notebook), with 1/(1-S) = 1/density evenly spaced from 1 to 10. Adam at
0.01 with cosine decay, {{steps:,}} steps of {{batch}} examples, {{seeds}} seeds, one start each: nothing is selected.
W starts from Xavier's initial weights, and b at the mean s/2: from b = 0, dense data leave some outputs below zero
for every example, and those never learn. Above: D* = m / |W|²_F, dimensions for each feature that is learned, median
and range over seeds. Below: D_i = |W_i|² / sum over j of (Ŵ_i · W_j)², every feature of n = 400 and every seed. A
feature counts as *represented* if |W_i| > 1/2; those that are not are grey, and no claim but the sum is about them.
Dense features of equal importance have no directions of their own: all 400 get a norm of √(m/n) = 0.27, so none is
represented, though |W|²_F = m.

**Theory.** The dashed line is the D* that a model would have that fills its dimensions with one kind of polytope, the
one that saves most loss a dimension at that density, at its best length and bias
([polytope_losses.py](../minitms/polytope_losses.py) derives it). Going from dense to sparse it says: tetrahedra up to
1/(1-S) = {{at_triangle:.2f}}, triangles up to {{at_digon:.2f}}, digons up to {{at_pentagon:.2f}}, pentagons up to
{{at_antiprism:.2f}}, then square antiprisms. (Later, other things that theory was not asked about.)

**What we see.** D* is 1, falls, rests at 1/2, and falls again. With n = 400 it is within 0.05 of 1 up to 1/(1-S) =
{{one_ends:.2f}} (median over seeds) and within 0.05 of 1/2 from {{half_begins:.2f}} to {{half_ends:.2f}}; with n =
200 up to {{one_ends_200:.2f}}, and from {{half_begins_200:.2f}} to {{half_ends_200:.2f}}. The second plateau ends
about where theory has pentagons take over from digons. The first lasts longer than in theory, and more so with 400
features, of which each hardly stands out at the start: PCA, from which there is little to gain, is left slowly.
Below, the levels 1/2, 2/5 and 3/8 are lines of points, and a band comes down through all of them from 1/(1-S) = 3.8
on: digons that are packed more closely than they fit, so that all their D_i are alike and below 1/2. A D_i of 2/5
alone is thus no pentagon. Up to 1/(1-S) = 5, {{near:.0%}} of the represented features of n = 400 lie within 0.02 of a
level, where {{near_null:.0%}} would if each were moved at random by up to 0.1, which keeps the spread and wipes out
clusters. A level counts as reached in a seed if at one of the densities all corners of a polytope that the code names
so have it: {{levels}} of {{seeds}} seeds (n = 400); {{levels_200}} (n = 200). Beyond 1/(1-S) = 6 D_i lies below 3/8.

**Compared with the paper.** The two plateaus and the levels are the paper's. It does not say how many steps it
trained, on how many examples, or how many models it drew, and does not speak of the band.

**How sure.** The range over seeds is narrow. The levels 1/2, 2/5 and 3/8 are beyond doubt; those of triangle and
tetrahedron were met in small models only (next figure). Where D* falls from 1 to 1/2 depends on how long one trains.
"""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np

import minitms as tms
from figures import NOT, PAPER, PARTLY, THEORY, Claim, Result, at_least, at_most, near
from minitms.polytope_losses import independent, replacement_density, saving_per_dimension
from minitms.polytopes import POLYTOPES

LEVELS = {"single": 1, "tetrahedron": 3 / 4, "triangle": 2 / 3, "digon": 1 / 2, "pentagon": 2 / 5,
          "square antiprism": 3 / 8}  # fmt: skip
LABELS = {"single": "1", "tetrahedron": "3/4", "triangle": "2/3", "digon": "1/2", "pentagon": "2/5",
          "square antiprism": "3/8", "": "0"}  # fmt: skip
ORDER = ("tetrahedron", "triangle", "digon", "pentagon", "square antiprism")
SIZES = {400: (30, 50), 200: (20, 20)}  # n: m, densities
STEPS, BATCH, SEEDS, WITHIN = 2200, 256, 5, 0.02


PACKED = "from 1/(1-S) = 3.8 on some seeds pack digons more closely than they fit, at nearly the same loss"
UNFIT = "at the densities at which it pays, it saves little, and in 2,200 steps the models have not left PCA"


def claims(n, partly):
    def known(key):
        return {"expect": PARTLY, "reason": PACKED} if key in partly else {}

    return [
        Claim(f"one_{n}", f"n = {n}: D* is 1 for dense features, up to 1/(1-S) = 1.2", PAPER, near(1, 0.05), "model"),
        Claim(f"half_{n}", f"n = {n}: D* is 1/2 for 1/(1-S) from 3 to 4", PAPER, near(0.5, 0.05), "model",
              **known("half")),
        Claim(f"flat_{n}", f"n = {n}: and it is flat there, largest - smallest D*", PAPER, at_most(0.03),
              **known("flat")),
        Claim(f"end_{n}", f"n = {n}: the plateau ends where pentagons replace digons, 1/(1-S) at which D* < 0.45",
              THEORY, near(4.45, 0.5), **known("end")),
        Claim(f"theory_{n}", f"n = {n}: |D* - that of the best polytope|, 1/(1-S) from 3 to 5", THEORY, at_most(0.05),
              "model", **known("theory")),
        Claim(f"sum_{n}", f"n = {n}: sum of D_i / m, over all features", PAPER, near(1, 0.01), "model", quick=True),
        Claim(f"levels_{n}", f"n = {n}: D_i within {WITHIN} of a level, over chance, 1/(1-S) up to 5", PAPER,
              at_least(2), **known("levels")),
        *(Claim(f"{name}_{n}".replace(" ", "_"), f"n = {n}: corners of a {name} with D_i = {label}, most at once",
                PAPER, at_least(POLYTOPES[name].shape[1]),
                **({"expect": NOT, "reason": UNFIT} if name in ("tetrahedron", "triangle") else {}))
          for name, label in LABELS.items() if name not in ("single", "")),
    ]


CLAIMS = [*claims(400, ("half", "flat", "end", "theory", "levels")), *claims(200, ("flat", "theory"))]


def make(quick):
    measured, scans, steps = {}, {}, 600 if quick else STEPS
    numbers = {"seeds": SEEDS, "steps": steps, "batch": BATCH}
    for n, (m, densities) in SIZES.items():
        size = (n // 10, m // 10 + 1, np.arange(1.0, 11)) if quick else (n, m, np.linspace(1, 10, densities))
        scan = scans[n] = Scan(*size, steps)
        end = "" if n == 400 else f"_{n}"
        measured |= {f"{key}_{n}".replace(" ", "_"): values for key, values in measure(scan).items()}
        one, half = (abs(np.median(scan.D_star, axis=0) - level) <= 0.05 for level in (1, 0.5))
        half = longest_run(half)
        numbers |= {f"x_{n}": scan.x, f"D_star_{n}": scan.D_star,
                    f"one_ends{end}": scan.x[np.argmin(one) - 1] if not one.all() else scan.x[-1],
                    f"half_begins{end}": scan.x[half].min() if half.any() else np.nan,
                    f"half_ends{end}": scan.x[half].max() if half.any() else np.nan,
                    f"levels{end}": levels_seen(scan), f"represented_{n}": scan.kept.sum(-1),
                    f"D_of_represented_{n}": [D[kept] for D, kept in zip(scan.D[0], scan.kept[0], strict=True)]}
    share, null = near_levels(scans[400])
    numbers |= {"near": share.mean(), "near_null": null.mean()} | theory_numbers()
    return Result({"dimensionality.png": draw(scans)}, measured, numbers)


class Scan:
    """Models of n features in m dimensions at densities 1/x; seeds along the first axis of all that is measured."""

    def __init__(self, n, m, x, steps):
        run = train(n, m, x, steps)
        self.n, self.m, self.x = n, m, x
        self.D, self.kept = tms.dimensionality(run.W), tms.feature_norms(run.W) > 0.5
        self.names = tms.feature_polytopes(run.W)
        self.D_star = tms.dimensions_per_feature(run.W)


def train(n, m, x, steps, batch_size=BATCH, restarts=SEEDS, seed=0):
    """One call for all densities 1/x and all starts, which here are the seeds. The biases start at the mean."""
    density = 1 / x[:, None]
    W = np.random.default_rng(seed).normal(0, np.sqrt(2 / (m + n)), (restarts, len(x), m, n))
    b = np.broadcast_to(density / 2, (restarts, len(x), n))
    return tms.train(tms.SparseFeatures(n, density), m, steps=steps, batch_size=batch_size, restarts=restarts,
                     seed=seed, initial=(W, b))


def measure(scan):
    """The values of each claim of `claims`."""
    at_half, predicted = (scan.x >= 3) & (scan.x <= 4), best_polytope(scan.x)
    sparse = (scan.x >= 3) & (scan.x <= 5)
    share, null = near_levels(scan)
    return {
        "one": scan.D_star[:, scan.x <= 1.2], "half": scan.D_star[:, at_half],
        "flat": np.ptp(scan.D_star[:, at_half], axis=-1),
        "end": [scan.x[np.flatnonzero(D < 0.45)[0]] if (D < 0.45).any() else np.nan for D in scan.D_star],
        "theory": abs(scan.D_star - predicted)[:, sparse], "sum": scan.D.sum(-1) / scan.m,
        "levels": share / null, **{name: most_at_once(scan, name) for name in LEVELS if name != "single"},
    }


def near_levels(scan):
    """Share of represented features within WITHIN of a level, a seed; and that after moving each by up to 0.1."""
    levels, rng = np.array(list(LEVELS.values())), np.random.default_rng(0)
    share, null = [], []
    for D, kept in zip(scan.D, scan.kept & (scan.x <= 5)[:, None], strict=True):
        D = D[kept]
        moved = D[:, None] + rng.uniform(-0.1, 0.1, (len(D), 50))
        share.append((abs(D[..., None] - levels).min(-1) < WITHIN).mean())
        null.append((abs(moved[..., None] - levels).min(-1) < WITHIN).mean())
    return np.array(share), np.array(null)


def most_at_once(scan, name):
    """Most corners of such polytopes with D_i within WITHIN of their level in one model, for each seed."""
    return ((scan.names == name) & (abs(scan.D - LEVELS[name]) < WITHIN)).sum(-1).max(-1)


def levels_seen(scan):
    """In words: each level, and in how many seeds it was reached."""
    counts = {name: (most_at_once(scan, name) >= POLYTOPES[name].shape[1]).sum() for name in LEVELS}
    return ", ".join(f"{LABELS[name]} in {count}" for name, count in counts.items())


def longest_run(mask):
    """The mask, but for its longest run of neighbours alone."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask, [0]])))
    kept = np.zeros_like(mask)
    if len(edges):
        start, end = max(edges.reshape(-1, 2), key=np.ptp)
        kept[start:end] = True
    return kept


def best_polytope(x):
    """D* = d / (k ℓ) of the polytope that saves most loss a dimension at densities 1/x."""
    result = []
    for s in 1 / np.asarray(x):
        name = max(ORDER, key=lambda name: saving_per_dimension(POLYTOPES[name], s))
        result.append(LEVELS[name] / independent(POLYTOPES[name], s).length ** 2)
    return np.array(result)


def theory_numbers():
    """Where each polytope replaces the one before."""
    return {f"at_{later.split()[-1]}": 1 / replacement_density(POLYTOPES[earlier], POLYTOPES[later])
            for earlier, later in pairwise(ORDER)}


def draw(scans):
    fig, (above, below) = plt.subplots(2, 1, figsize=(8.3, 7.6), sharex=True, height_ratios=[1, 1.25])
    for level, label in ((1, "a dimension each"), (0.5, "digons")):
        above.axhline(level, color="0.75", linewidth=0.8)
        above.annotate(label, (9.9, level), xytext=(0, 2), textcoords="offset points", ha="right", color="0.4",
                       fontsize=8)
    for scan, color in zip(scans.values(), ("#0072B2", "#E69F00"), strict=True):
        above.fill_between(scan.x, scan.D_star.min(0), scan.D_star.max(0), color=color, alpha=0.3, linewidth=0)
        above.plot(scan.x, np.median(scan.D_star, axis=0), color=color, marker="o", markersize=2.5,
                   label=f"n = {scan.n}, m = {scan.m}: median and range of {len(scan.D_star)} seeds")
    x = np.geomspace(1, 10, 60)
    above.plot(x, best_polytope(x), "--", color="0.25", linewidth=1, label="theory: the best polytope alone")
    above.set(ylabel="D* = m / |W|²$_F$", ylim=(0, 1.1), title="hidden dimensions for each feature that is learned")
    above.legend(loc="upper right", bbox_to_anchor=(1, 0.88))

    scan = next(iter(scans.values()))
    for name, label in LABELS.items():
        level = LEVELS.get(name, 0)
        below.axhline(level, color="0.75", linewidth=0.8, zorder=0)
        place = {"pentagon": "bottom", "square antiprism": "top"}.get(name, "center")  # these two are close neighbours
        below.annotate(f"{label} {name or 'not learned'}", (10.2, level), va=place, fontsize=8, color="0.3",
                       annotation_clip=False)
    x = np.broadcast_to(scan.x[:, None], scan.D.shape)
    for mask, color, label in ((~scan.kept, "0.7", "not represented, |W$_i$| ≤ 1/2"),
                               (scan.kept, "#0072B2", "represented, |W$_i$| > 1/2")):
        below.scatter(x[mask], scan.D[mask], s=4, color=color, alpha=0.25, linewidths=0, rasterized=True)
        below.scatter([], [], s=14, color=color, label=label)
    below.set(xscale="log", xlim=(1, 10), ylim=(-0.03, 1.06), xlabel="1/(1-S), one over the density of a feature",
              ylabel="D$_i$", title=f"share of a dimension of every feature, n = {scan.n}, all {len(scan.D)} seeds")
    below.set(xticks=range(1, 11), xticklabels=range(1, 11))
    below.minorticks_off()
    below.legend(loc="upper right", framealpha=0.9, frameon=True, edgecolor="none")
    return fig
