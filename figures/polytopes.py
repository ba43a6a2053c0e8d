"""The polytopes that features form

**Question.** Which arrangements are behind the shares of a dimension in the figure above?

**Set-up.** The model of that figure with n = 400, m = 30 at six densities, {{seeds}} seeds, one start each, but
trained longer: {{steps:,}} steps of {{batch}} examples. Every feature with |W_i| > 1/2 is a node, with an edge to each
feature for which |W_i · W_j| > 0.2; the connected components are clusters. `tms.polytope` names a cluster if its
corners can be put in an order in which every W_i · W_j, over the mean |W_i|², is within 0.1 of that of the named
polytope. It matches corners, so rotation, order and size do not matter, and everything else does. The picture shows
seed 0, cluster by cluster, each projected on its own two principal axes: so a tetrahedron looks like a square with its
diagonals. Lines are edges, the darker the larger |W_i · W_j|; the colour is D_i.

**What we see.** Digons rule where theory has them rule, and at 1/(1-S) = 3 there is nothing else. Pentagons and square
antiprisms come together, beside digons that are left over; at 1/(1-S) = 6 come larger rings of the antiprism's kind. In
numbers, clusters of each kind, summed over the {{seeds}} seeds, in brackets in how many of these it was seen, and the
dimensions that all named polytopes of a model would take if they were orthogonal:

{{table}}

Where that is more than there are, digons are packed so closely that each overlaps a little with many others, by less
than an edge takes, and their D_i lies below 1/2. It costs the same: the loss of every model from 1/(1-S) = 3 on is at
most {{worst:.2%}} above that of theory's best polytope alone, and at best {{gain:.2%}} below. Near the place where one
polytope replaces another, mixtures cost what the pure states do. An octahedron cannot appear in such a graph: its
three axes are orthogonal, so it is three digons.

**Compared with the paper.** It shows the same kinds, from one model each, and names them by eye. Triangles are rare
here and tetrahedra were not found: at the densities at which they would pay, they save so little more than PCA that
models of 400 features have not yet left it (see the figure above). Both are best all the same. With few features, and
the best of {{restarts}} starts at 1/(1-S) = 1.5, n = 4 in m = 3 is a tetrahedron in {{small_tetrahedron}} of the seeds,
n = 6 in m = 4 two orthogonal triangles in {{small_triangle}}, and n = 3 in m = 2 one triangle in {{small_one}}.

**How sure.** The names hardly hang on the tolerance. With 0.05, 0.1 and 0.2, {{named_005}}, {{named_01}} and
{{named_02}} features of all models have a name other than "other". Which kinds share a model, and how often each, does
change with the number of steps and the size of the batch: 3,000 steps of 256 had more digons at 1/(1-S) = 5.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import LineCollection

import minitms as tms
from figures import NOT, PAPER, PARTLY, THEORY, Claim, Result, always, at_least, at_most, near
from figures.dimensionality import SEEDS, train
from minitms.polytope_losses import saving_per_dimension
from minitms.polytopes import POLYTOPES
from minitms.theory import feature_variance

X = np.array([1.8, 2.3, 3.0, 4.4, 5.0, 6.0])
KINDS = (*POLYTOPES, "other")
SHORT = {"square antiprism": "antiprism"}
WIDTH, HEIGHTS = 9.0, (4.6, 9.0)  # of the panels in a row, in cells of a digon
RESTARTS = 16  # of the small models
UNFIT = "at the densities at which it pays it saves little, and 400 features have not left PCA after 5,000 steps"
MIXED = "digons, pentagons and antiprisms cost nearly the same there, and models are mixtures"


def found(name, **verdict):
    return Claim(name.replace(" ", "_"), f"a {name} is found, at one of the six densities", PAPER, always(), **verdict)


CLAIMS = [
    Claim("digons", "1/(1-S) = 3, where theory has digons: share of the represented features that are digons", THEORY,
          at_least(0.9)),
    Claim("pentagons", "1/(1-S) = 5, where theory has pentagons: share that are pentagons or antiprisms", THEORY,
          at_least(0.5), expect=NOT, reason=MIXED),
    found("tetrahedron", expect=NOT, reason=UNFIT),
    found("triangle", expect=NOT, reason=UNFIT),
    found("digon"),
    found("pentagon"),
    found("square antiprism", expect=PARTLY, reason=MIXED),
    Claim("small_tetrahedron", "n = 4, m = 3, 1/(1-S) = 1.5: the best is a tetrahedron", THEORY, always()),
    Claim("small_triangle", "n = 6, m = 4, 1/(1-S) = 1.5: the best is two orthogonal triangles", THEORY, always()),
    Claim("small_one", "n = 3, m = 2, 1/(1-S) = 1.5: the best is a triangle", THEORY, always(), quick=True),
    Claim("levels", "1/(1-S) = 3 and more: the corners of a named polytope have D_i = d/k, largest difference", PAPER,
          at_most(0.02), "polytope", expect=NOT, reason="digons overlap with many others by less than an edge takes"),
    Claim("loss", "1/(1-S) = 3 and more: the loss is that of the best polytope alone, ratio", THEORY, near(1, 0.01),
          "model"),
    Claim("bound", "no feature has more than its leverage score, largest D_i - h_i", THEORY, at_most(1e-4), "model",
          quick=True),
]
SMALL = {"small_tetrahedron": (4, 3, "tetrahedron"), "small_triangle": (6, 4, "triangle"),
         "small_one": (3, 2, "triangle")}  # fmt: skip


def make(quick):
    n, m, steps, batch = (40, 4, 800, 512) if quick else (400, 30, 5000, 512)
    run = train(n, m, X, steps, batch)
    W, seeds = run.W, len(run.W)
    names, labels = tms.feature_polytopes(W), tms.feature_clusters(W)
    features = {name: (names == name).sum(-1) for name in KINDS}              # (seeds, densities)
    counts = {name: features[name] // corners.shape[1] for name, corners in POLYTOPES.items()}
    counts["other"] = np.array([[len(np.unique(labels[k, j][names[k, j] == "other"])) for j in range(len(X))]
                                for k in range(seeds)])
    kept = (names != "").sum(-1)
    measured = {"digons": features["digon"][:, 2] / kept[:, 2],
                "pentagons": (features["pentagon"] + features["square antiprism"])[:, 4] / kept[:, 4],
                **{name.replace(" ", "_"): (counts[name] > 0).any(-1) for name in POLYTOPES if name != "single"},
                "levels": differences(W, names, labels), "loss": (ratio := run.loss[:, X >= 3] / least_loss(n, m)),
                "bound": (tms.dimensionality(W) - tms.leverage(W)).max(-1)}
    size = (2, 1000) if quick else (SEEDS, 5000)
    measured |= {key: small(*model, *size) for key, model in SMALL.items()}
    named = {end: (np.isin(tms.feature_polytopes(W, tolerance=tolerance), [*POLYTOPES])).sum()
             for end, tolerance in (("005", 0.05), ("01", 0.1), ("02", 0.2))}
    numbers = {"seeds": seeds, "steps": steps, "batch": batch, "x": X, "table": table(counts), "represented": kept,
               "clusters": counts, "worst": ratio.max() - 1, "gain": 1 - ratio.min(), "loss_over_theory": ratio,
               "restarts": RESTARTS, **{key: measured[key].sum() for key in SMALL},
               **{f"named_{end}": count for end, count in named.items()}}
    return Result({"polytopes.png": draw(W[0], names[0], labels[0])}, measured, numbers)


def small(n, m, name, seeds, steps):
    """Whether all features of the best of RESTARTS starts are corners of that polytope, at 1/(1-S) = 1.5; a seed."""
    runs = [train(n, m, np.array([1.5]), steps, 1024, RESTARTS, seed) for seed in range(seeds)]
    return np.array([(tms.feature_polytopes(run.best().W) == name).all() for run in runs])


def differences(W, names, labels):
    """Largest |D_i - d/k| of the corners of each polytope found, at 1/(1-S) = 3 and more."""
    D, result = tms.dimensionality(W), []
    for model in np.ndindex(W.shape[:2]):
        for label in np.unique(labels[model][np.isin(names[model], [*POLYTOPES])]) if X[model[1]] >= 3 else ():
            corners = POLYTOPES[names[model][label]]
            share = np.linalg.matrix_rank(corners) / corners.shape[1]
            result.append(abs(D[model][labels[model] == label] - share).max())
    return result


def least_loss(n, m):
    """Loss of models that fill their m dimensions with the best polytope alone, at 1/(1-S) = 3 and more."""
    saved = [max(saving_per_dimension(corners, s) for corners in POLYTOPES.values()) for s in 1 / X[X >= 3]]
    return n * feature_variance(1 / X[X >= 3]) - m * np.array(saved)


def table(counts):
    """Clusters of each kind at each density, over seeds, as a table in Markdown."""
    rows = ["| 1/(1-S) | " + " | ".join(KINDS) + " | dimensions |", "|" + " ---: |" * (len(KINDS) + 2)]
    for j, x in enumerate(X):
        cells = [f"{counts[name][:, j].sum()} ({(counts[name][:, j] > 0).sum()})" if counts[name][:, j].any() else ""
                 for name in KINDS]
        taken = sum(np.linalg.matrix_rank(corners) * counts[name][:, j] for name, corners in POLYTOPES.items())
        rows.append(f"| {x:g} | " + " | ".join([*cells, f"{taken.min()} to {taken.max()}"]) + " |")
    return "\n".join(rows)


def draw(W, names, labels):
    """The clusters of one model at each density."""
    fig, axes = plt.subplots(2, 3, figsize=(8.3, 5.6), height_ratios=HEIGHTS)
    colors = plt.cm.ScalarMappable(plt.Normalize(0.25, 0.75), "viridis_r")
    for ax, x, *model in zip(axes.flat, X, W, names, labels, strict=True):
        kinds = panel(ax, *model, colors)
        ax.set_title(f"1/(1-S) = {x:g}: {(model[1] != '').sum()} features\n{kinds}")
    for row, height in zip(axes, HEIGHTS, strict=True):
        plt.setp(row, xlim=(0, WIDTH), ylim=(-height, 0))
    bar = fig.colorbar(colors, ax=axes, label="share of a dimension D$_i$", location="bottom", shrink=0.6, aspect=40,
                       extend="both")
    bar.set_ticks([3 / 8, 2 / 5, 1 / 2, 2 / 3, 3 / 4], labels=["3/8 ", " 2/5", "1/2", "2/3", "3/4"])
    return fig


def panel(ax, W, names, labels, colors):
    """Draw all clusters of one model in rows, kind by kind; return in words how many there are of each."""
    D = tms.dimensionality(W)
    clusters = [np.flatnonzero(labels == label) for label in np.unique(labels[labels >= 0])]
    clusters.sort(key=lambda cluster: (KINDS.index(names[cluster[0]]), len(cluster)))
    for cluster, (x, y, size) in zip(clusters, layout([len(cluster) for cluster in clusters]), strict=True):
        V = W[:, cluster]
        points = np.zeros((2, len(cluster)))
        axes = np.linalg.svd(V, full_matrices=False)[0][:, :2]         # the two principal axes, or the only one
        points[: axes.shape[1]] = axes.T @ V
        points *= 0.4 * size / max(1, np.linalg.norm(points, axis=0).max())
        points += [[x], [y]]
        products = abs(V.T @ V)
        i, j = np.nonzero(np.triu(products > 0.2, 1))
        shades = np.stack([np.full(len(i), 0.3)] * 3 + [np.minimum(products[i, j], 1)], axis=-1)
        ax.add_collection(LineCollection(np.stack([points[:, i].T, points[:, j].T], axis=1), colors=shades,
                                         linewidths=0.7))
        ax.scatter(*points, s=10, c=colors.to_rgba(D[cluster]), linewidths=0, zorder=2)
    ax.set(aspect="equal", xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    kinds = [names[cluster[0]] for cluster in clusters]
    return ", ".join(f"{kinds.count(kind)} {SHORT.get(kind, kind)}{'s' * (kinds.count(kind) > 1)}" for kind in KINDS
                     if kind in kinds)


def layout(sizes):
    """Centre and size of a cell for each cluster, in rows from top to bottom."""
    places, x, y, height = [], 0.0, 0.0, 0.0
    for count in sizes:
        size = 1.0 if count <= 2 else 1.5 if count <= 5 else 2.0 if count <= 9 else 3.5
        if x + size > WIDTH and x > 0:
            x, y, height = 0.0, y - height, 0.0
        places.append((x + size / 2, y - size / 2, size))
        x, height = x + size, max(height, size)
    return places
