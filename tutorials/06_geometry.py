# %% [markdown]
# # 6. Geometry
#
# Features in superposition do not lie anyhow. They form pairs, triangles, pentagons, and bodies in more dimensions,
# each in dimensions of its own, and each with a fixed share of a dimension for every feature. Section 4 of the paper
# [*Toy Models of Superposition*](https://transformer-circuits.pub/2022/toy_model/index.html) (Elhage et al., 2022)
# found that. Here we work out the shares by hand, teach the computer to name what it sees, and then name what a model
# of ours has learned.
#
# **You will be able to**
# - compute which share of a dimension a feature has, and say why all shares add up to the number of dimensions;
# - tell a pentagon from five other vectors in any number of dimensions, from products alone;
# - find the clusters in a model that you trained, and name them;
# - predict at which density pentagons replace pairs, and see whether they do.
#
# **You need** [tutorial 1](01_introduction.ipynb); the scalar product of two vectors.
#
# **Contents**: [shares by hand](#hand), [they add up](#sum), [names from products](#names),
# [a model of your own](#own), [when one replaces another](#when), [what to vary](#vary), [exercises](#exercises).
# Reading takes about 25 minutes; the [map](README.md) says how long the cells run, and has a glossary.
#
# **Letters and shapes** (those of tutorial 1, and)
#
# | letter | what it is | shape |
# | --- | --- | --- |
# | $\hat W_i$ | $W_i$ divided by its length | (m,) |
# | $D_i$ | share of a dimension that feature $i$ has, its *dimensionality* | a number in [0, 1] |
# | $D^*$ | dimensions for each learned feature of a model, $m$ / (sum of all squared lengths) | a number |
# | $h_i$ | leverage score of feature $i$, the most that $D_i$ can be | a number in [0, 1] |
# | $k$, $d$ | corners of a *polytope*, a body of any dimension, and the dimensions that it lies in | numbers |
# | $s$ | density of all features | a number |

# %%
try:
    import minitms as tms
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "minitms is missing; in a clone of its repository run: pip install -e ."
    ) from error

import matplotlib.pyplot as plt
import numpy as np

from minitms import plots
from minitms.polytope_losses import one_active, replacement_density, saving_per_dimension
from minitms.polytopes import POLYTOPES, polygon

plt.style.use(plots.STYLE)
rng = np.random.default_rng(0)

# %% [markdown]
# <a id="hand"></a>
# ## 1. Shares by hand
#
# How much of a dimension does a feature have? Look along its direction $\hat W_i$ and ask what lies there: its own
# squared length, and the squares of what the others have along it, $(\hat W_i \cdot W_j)^2$. Its share is its own part
# of all that:
#
# $$ D_i = \frac{|W_i|^2}{\sum_j (\hat W_i \cdot W_j)^2} \qquad \text{the sum is over all } j, i \text{ included} $$
#
# A pentagon, all lengths 1. The product of two directions is the cosine of the angle between them:
#
# | feature $j$ | angle | cosine | square |
# | --- | --- | --- | --- |
# | $i$ itself | 0° | 1 | 1 |
# | two neighbours | 72° | 0.309 | 0.0955 each |
# | two across | 144° | -0.809 | 0.6545 each |
#
# The squares add up to $1 + 0.191 + 1.309 = 2.5$, so $D_i = 1 / 2.5 = 2/5$.
#
# **Predict.** What is $D_i$ of a feature in a pair of opposites (a *digon*)? In a triangle? In a tetrahedron, where
# every cosine is -1/3?
#
# <details><summary>Answer</summary>
#
# Digon: $1 / (1 + 1) = 1/2$. Triangle, cosines -1/2: $1 / (1 + 2/4) = 2/3$. Tetrahedron: $1 / (1 + 3/9) = 3/4$. In
# each case it is the number of dimensions over the number of corners, $d/k$: 1/2, 2/3, 3/4; and 2/5 for the pentagon.
#
# </details>

# %%
pentagon = polygon(5)  # (2, 5), unit vectors
cosines = pentagon[:, 0] @ pentagon  # of feature 0 with all five
print("cosines:", cosines.round(3))
print(f"sum of squares {np.sum(cosines**2):.4f}, D = {1 / np.sum(cosines**2):.4f}")
assert np.isclose(1 / np.sum(cosines**2), 2 / 5)
assert np.allclose(tms.dimensionality(pentagon), 2 / 5)

for name, corners in POLYTOPES.items():
    d, k = corners.shape
    D = tms.dimensionality(corners)
    print(f"{name:17} {k} corners in {d} dimensions: d/k = {d / k:.3f}, D = {D[0]:.3f}")
    assert np.allclose(D, d / k)

# %% [markdown]
# The *square antiprism* is new: two squares one above the other, the upper one turned by 45°, at heights of
# $\pm1/\sqrt{3}$, where all eight corners have the same share: eight features in three dimensions, 3/8 each. That is
# more features for each dimension than any other in the list.
#
# <a id="sum"></a>
# ## 2. They add up
#
# Five times 2/5 is 2, the dimensions of the plane. Eight times 3/8 is 3. Is that always so?
#
# **Predict.** Add a sixth vector to the pentagon, anywhere in the plane. The sum of all six shares: is it 2, less, or
# more?
#
# <details><summary>Answer</summary>
#
# Less; exactly 2 only if the sixth is zero. There are two dimensions to share, and crowding them unevenly wastes some.
#
# </details>

# %%
for sixth in ([0.5, 0.0], [1.0, 0.0], [0.0, 3.0]):
    W = np.column_stack([pentagon, sixth])
    D, h = tms.dimensionality(W), tms.leverage(W)
    print(f"sixth vector {sixth}: D = {D.round(3)}, sum {D.sum():.3f}")
    print(f"                        h = {h.round(3)}, sum {h.sum():.3f}")
    assert (D <= h + 1e-12).all()
    assert D.sum() < 2
    assert np.isclose(h.sum(), 2)

# %% [markdown]
# The second row is the *leverage score* $h_i$, known from statistics: the part of feature i's variance that a
# **linear** read-out of the hidden values can explain at best, if all features are independent and vary equally. (A
# ReLU can do better where features are sparse; superposition lives on that.) The scores always add up to the rank of
# $W$, here 2, and no $D_i$ is above its $h_i$. (Fred Zhang pointed this out in a comment to the paper; the docstring
# of `tms.leverage` has the proof, in three lines.) So the shares cannot add up to more than the dimensions there are.
# They add up to the rank exactly if every $W_i$ is an eigenvector of $W W^\top$, as for all shapes of part 1, and also
# if several of them are put into orthogonal dimensions.
#
# <a id="names"></a>
# ## 3. Names from products
#
# A model with $m = 8$ does not show us its pentagons: they lie at some angle in eight dimensions, and their corners
# have numbers in no order. But two things do not change when vectors are rotated: their lengths and the products
# $W_i \cdot W_j$ between them. So everything about the shape of a cluster is in its *Gram matrix* $W^\top W$, and a
# shape can be recognised if there is an order of the features in which that matrix is the one of the shape.

# %%
rotation = np.linalg.qr(rng.normal(size=(8, 8)))[0]
hidden = rotation[:, :2] @ (1.3 * pentagon)[:, rng.permutation(5)]  # (8, 5)
print("the first corner now:", hidden[:, 0].round(2))
print("products, over the mean squared length:")
print((hidden.T @ hidden / 1.3**2).round(2))
print("its name:", tms.polytope(hidden))
assert tms.polytope(hidden) == "pentagon"

# %% [markdown]
# In every row there is one 1, two 0.31 and two -0.81, in a different order. `tms.polytope` tries to put the columns in
# the order of a pentagon, one after the other, and goes back where none fits. It allows each number to be off by 0.1.
#
# **Predict.** What does it say of a hexagon? Of a pentagon with one corner missing? Of a pentagon in which one feature
# is twice as long?
#
# <details><summary>Answer</summary>
#
# "other", three times. A hexagon is none of the shapes in the list; a part of a shape is not the shape; and lengths
# count, since one feature that is longer has a larger share.
#
# </details>

# %%
longer = pentagon * np.array([2, 1, 1, 1, 1])
for W in (polygon(6), pentagon[:, :4], longer):
    print(tms.polytope(W), tms.dimensionality(W).round(2))
    assert tms.polytope(W) == "other"

# %% [markdown]
# A model has many features, of which some are not learned, and the rest fall into *clusters*: groups in which each is
# connected with another by a product that is not near 0. `tms.feature_clusters` draws a line between two features if
# $\lvert W_i \cdot W_j\rvert$ is above 0.2, and calls a cluster what hangs together. Features shorter than 0.5 are
# left out. `tms.feature_polytopes` names each cluster, and gives every feature the name of its own.

# %%
W = np.zeros((4, 9))
W[:2, :5] = pentagon  # in the first two dimensions
W[2, [5, 6]] = 1, -1  # a digon in the third
W[3, 7] = 1  # a feature alone in the fourth; feature 8 stays 0
print("clusters:", tms.feature_clusters(W))
print("names:   ", tms.feature_polytopes(W).tolist())
print("shares:  ", tms.dimensionality(W).round(2))

# %% tags=["check"]
assert tms.feature_clusters(W).tolist() == [0, 0, 0, 0, 0, 5, 5, 7, -1]
assert np.isclose(tms.dimensionality(W).sum(), 4)

# %% [markdown]
# <a id="own"></a>
# ## 4. A model of your own
#
# Now a model that nobody arranged: 80 features in 8 dimensions, all of the same importance, at three densities, from
# six random starts each.
#
# **Predict.** At $1/s = 2$ and 3, features meet often: which shape will they prefer? Which at $1/s = 4.5$?
#
# <details><summary>Answer</summary>
#
# At first digons: only one other feature is in the way of each. At 4.5 features meet less often, and more of them are
# worth storing: pentagons and antiprisms, with 5/2 and 8/3 features a dimension in place of 2. Part 5 has the numbers.
#
# </details>

# %%
inverse = np.array([2.0, 3.0, 4.5])  # one over the density
features = tms.SparseFeatures(n=80, density=1 / inverse[:, None])
run = tms.train(features, n_hidden=8, steps=3000, restarts=6, seed=0)
names, D = tms.feature_polytopes(run.W), tms.dimensionality(run.W)  # (restarts, K, n)
kinds = [*POLYTOPES, "other"]


def counted(names):
    """How many features are corners of each kind, in words."""
    return ", ".join(f"{kind} {np.sum(names == kind)}" for kind in kinds)


for c, restart in enumerate(run.best().restart):
    print(f"1/s = {inverse[c]:g}, the best start: {counted(names[restart, c])}")
    print(f"    D* = {tms.dimensions_per_feature(run.W[restart, c]):.3f}, sum of D = {D[restart, c].sum():.2f}")
print()
for restart in run.loss[:, -1].argsort():
    print(f"1/s = {inverse[-1]:g}, loss {run.loss[restart, -1]:.4f}: {counted(names[restart, -1])}")
    others = names[restart, -1] == "other"
    print(f"    the {others.sum()} others have {D[restart, -1][others].sum():.2f} dimensions together")

# %% tags=["check"]
for c, restart in enumerate(run.best().restart):
    assert np.isclose(D[restart, c].sum(), 8, atol=0.1)
    assert inverse[c] > 3 or np.sum(names[restart, c] == "digon") >= 14

# %% [markdown]
# A learned feature has a length of about 1, so the sum of squared lengths counts them: $D^*$ at $1/s = 3$ is about
# 8/16. There eight digons fill the eight dimensions, and 64 of the 80 features are left out. At 2 seven digons fill
# seven; in the eighth many short features share what is left (the tail in the picture below), and a single one may be
# longer than 0.5. At 4.5 no two starts agree. Each makes a mixture of its own, with hardly a difference in loss, so
# which is best is nearly a matter of chance; "other" are larger bodies, in four dimensions, for which our list has no
# name. Let us look at the start in which most features have one.

# %%
named = np.isin(names[:, -1], list(POLYTOPES)).sum(axis=1)
chosen = named.argmax()

fig, axes = plt.subplots(1, 2, figsize=(9, 3.4), width_ratios=[1.2, 1])
for level, text in ((1, "1"), (3 / 4, "3/4"), (2 / 3, "2/3"), (1 / 2, "1/2"), (2 / 5, "2/5"), (3 / 8, "3/8")):
    axes[0].axhline(level, color="0.85", linewidth=0.8, zorder=0)
    axes[0].text(30, level, text, va="top" if text == "3/8" else "bottom", fontsize=7, color="0.4")
for c, color in enumerate(("#E69F00", "#009E73", "#0072B2")):
    shown = np.sort(D[chosen, c])[::-1][:30]
    axes[0].plot(shown, "o", markersize=5 - 1.3 * c, color=color, label=f"1/s = {inverse[c]:g}")
axes[0].set(xlabel="feature, largest share first (30 of 80)", ylabel="share of a dimension D$_i$", ylim=(0, 1.05))
axes[0].set_title("the same start at all three densities")
axes[0].legend()
sparse = run.W[chosen, -1]
clusters = tms.feature_clusters(sparse)
order = np.argsort(np.where(clusters < 0, 99, clusters), kind="stable")[: np.sum(clusters >= 0)]
plots.weight_gram(axes[1], sparse[:, order])
fig.colorbar(axes[1].images[0], ax=axes[1], label="W$_i$ · W$_j$", shrink=0.8)
axes[1].set_title(f"WᵀW at 1/s = {inverse[-1]:g}, cluster by cluster")
plt.show()
members = [clusters == label for label in np.unique(clusters[clusters >= 0])]
print("features in each cluster:  ", np.array([cluster.sum() for cluster in members]))
print("sum of their D:            ", np.array([D[chosen, -1][cluster].sum() for cluster in members]).round(2))
print("D of the first feature:    ", np.array([D[chosen, -1][cluster][0] for cluster in members]).round(2))

# %% tags=["check"]
assert named[chosen] >= 8

# %% [markdown]
# On the right red is positive and blue negative. Each block on the diagonal is a cluster (the features within it stand
# in the order of their numbers), and between the blocks there is (nearly) nothing: clusters are orthogonal. So each has
# dimensions of its own, as many as the shares of its features add up to, and all together they have 8. On the left the
# shares stand in steps, one a kind of cluster; the thin lines are the levels of part 1.
#
# <a id="when"></a>
# ## 5. When one replaces another
#
# Why these shapes, at these densities? Say that only one feature is ever on at a time. Then a shape without any
# positive product (single, digon, triangle, tetrahedron) costs nothing at all, since the ReLU removes negative
# interference. A pentagon costs a little, whatever its length and bias: `one_active` searches for the best. (Chen, Lau,
# Mendel, Wei and Murfet studied this loss first, in 2023.)

# %%
for name, corners in POLYTOPES.items():
    loss, length, bias = one_active(corners)
    d, k = corners.shape
    print(f"{name:17} {k / d:.2f} features a dimension, loss {loss:.5f}")
    W, b = length * corners, np.full(k, bias)
    exact = tms.expected_loss(W, b, pattern="exactly_one")
    assert np.isclose(loss, exact, atol=1e-12)

# %% [markdown]
# More features a dimension, but at a price. If no two were ever on together, antiprisms would save most; only features
# that meet speak for the others. So what does a shape save? A feature that is not stored costs its variance. So the
# saving for each dimension is $(k/d)$ times (variance less the loss of a stored feature). When features meet, now and
# then two are on together, and negative interference hurts too; `replacement_density` takes all that into account,
# exactly, and finds the density at which two shapes save the same.
#
# **Predict.** Which has the lower density: the place where digons give way to pentagons, or that where pentagons give
# way to antiprisms?
#
# <details><summary>Answer</summary>
#
# The second. An antiprism packs more densely (8/3 against 5/2 a dimension), and interferes more; that pays when
# features meet still more rarely.
#
# </details>

# %%
order = ["tetrahedron", "triangle", "digon", "pentagon", "square antiprism"]
at = {}
for i in range(4):
    at[order[i + 1]] = replacement_density(POLYTOPES[order[i]], POLYTOPES[order[i + 1]])
    print(f"{order[i]:12} -> {order[i + 1]:17} at s = {at[order[i + 1]]:.3f}, 1/s = {1 / at[order[i + 1]]:.2f}")
for density in (1 / 1.5, 1 / 3, 1 / 4.5):
    saved = {name: saving_per_dimension(corners, density) for name, corners in POLYTOPES.items()}
    print(f"1/s = {1 / density:g}, saved: " + ", ".join(f"{name} {value:.4f}" for name, value in saved.items()))

# %% tags=["check"]
assert list(at.values()) == sorted(at.values(), reverse=True)
assert at["pentagon"] < 1 / 3 < at["digon"]  # s = 1/3 is in the realm of the digon
assert 1 / 4.5 < at["pentagon"]  # s = 1/4.5 is just outside

# %% [markdown]
# So at $1/s = 2$ and 3 digons are best, and at 4.5 pentagons, if by little: digons and antiprisms are close behind, so
# mixtures of the three cost next to nothing more. That is what our models learned. Triangles and tetrahedra would be
# best for denser features, but there they save hardly more than a feature alone in its dimension (*single*), and a
# model of many features seldom finds them. [The findings](../figures/README.md) have all that for 400 features and
# several seeds.
#
# <a id="vary"></a>
# ## 6. What to vary
#
# - `inverse = np.array([1.6, 4.0, 6.0])` in part 4: near both edges of the digons' realm, and beyond the last shape in
#   the list, where all features lie in bodies without a name.
# - `seed=1`: other mixtures, and one start with nine digons in eight dimensions. They overlap by less than the
#   threshold, so most have a share of 0.44.
# - `n=4, n_hidden=3`, `inverse = np.array([1.5, 1.5, 1.5])`, `restarts=64`, `seed=1`: a tetrahedron, which few starts
#   find (the sums of $D$ are 3, not 8).
# - `tolerance=0.02` in `tms.feature_polytopes`: antiprisms and some pentagons lose their names. And with `0.3`?
#
# <details><summary>What you will see</summary>
#
# - At 1.6 triangles with 2/3 of a dimension each, two or three in every start, and pairs or bodies without a name in
#   what is left. At 4 digons, with pentagons, an antiprism or both: four kinds of mixtures in six starts, within 0.3 %
#   of the loss. At 6 one body of 24 to 27 features fills all eight dimensions, and a feature has about a third of one.
# - The start with nine digons is the third best, 0.005 % above the best. The best has five digons and an antiprism, the
#   second four digons and two pentagons.
# - Two or three of 64 starts find it, at the lowest loss. The next one, about 2 % higher, has four features in three
#   dimensions as well, but no regular body.
# - With 0.02 no antiprism is left and the two pentagons of one start are gone; digons keep their names. With 0.3
#   nothing changes: what is called other here has ten or eleven corners, and no shape in the list has as many.
#
# </details>
#
# <a id="exercises"></a>
# ## 7. Exercises
#
# Fill in each function and run the cell below it, which says "not yet" or "solved".


# %%
def attempt(check, answer):
    """Say whether an answer is right, and if not yet, what is missing."""

    def given(*inputs):
        result = answer(*inputs)
        assert result is not None, (
            "the function gives nothing back: end it with `return` and the result"
        )
        return result

    try:
        check(given)
    except Exception as problem:
        print("not yet.", str(problem) or "Fill in the function first.")
    else:
        print("solved!")


# %% [markdown]
# **Exercise 1.** Compute all $D_i$ of a $W$ from the formula in part 1, without `tms.dimensionality`. A feature that is
# zero has share 0.
#
# <details><summary>Hint</summary>
#
# $G = W^\top W$ holds all products. $\lvert W_i\rvert^2$ is G[i, i], and $(\hat W_i \cdot W_j)^2$ is
# $G[i, j]^2 / G[i, i]$. So $D_i = G[i, i]^2$ / sum of $G[i, j]^2$ over $j$. Where G[i, i] is 0, divide by 1.
#
# </details>


# %%
def shares(W):
    """D_i of each column of W (m, n): shape (n,)."""
    raise NotImplementedError


# %%
def check_shares(shares):
    for W in (polygon(3), np.array([[2.0, 3.0, 0.0]]), sparse.astype(float)):
        got, expected = np.asarray(shares(W)), tms.dimensionality(W)
        assert got.shape == expected.shape, f"the result has shape {got.shape}; expected {expected.shape}"
        assert np.isfinite(got).all(), "a feature that is zero has share 0, not nan"
        worst = abs(got - expected).argmax()
        assert np.allclose(got, expected), f"feature {worst}: got {got[worst]:.5f}, expected {expected[worst]:.5f}"


attempt(check_shares, shares)

# %% [markdown]
# **Exercise 2.** Build a $W$ in which every feature has the share that is asked for: a list of names of polytopes, with
# corners of length 1, each in dimensions of its own.
#
# <details><summary>Hint</summary>
#
# `POLYTOPES[name]` has shape (d, k). Make a $W$ of zeros with as many rows and columns as all of them together have,
# and fill in one block after the other, along the diagonal.
#
# </details>


# %%
def build(names):
    """W with the polytopes of these names, one after the other, in orthogonal dimensions."""
    raise NotImplementedError


# %%
def check_build(build):
    for wanted in (["digon"], ["pentagon", "single"], ["tetrahedron", "square antiprism", "digon"]):
        W = np.asarray(build(wanted))
        rows, columns = (sum(POLYTOPES[name].shape[axis] for name in wanted) for axis in (0, 1))
        assert W.shape == (rows, columns), f"{wanted}: W has shape {W.shape}; expected {(rows, columns)}"
        expected = [name for name in wanted for _ in range(POLYTOPES[name].shape[1])]
        got = tms.feature_polytopes(W).tolist()
        assert got == expected, f"{wanted}: the features are named {got}"
        assert np.isclose(tms.dimensionality(W).sum(), rows), "the shares do not add up to the dimensions"


attempt(check_build, build)

# %% [markdown]
# **Exercise 3.** Compute the leverage scores of part 2. The projection on the rows of $W$ is the matrix
# $P = W^\top (W W^\top)^{-1} W$, with the inverse, or where there is none the pseudo-inverse; $h_i$ is P[i, i].
#
# <details><summary>Hint</summary>
#
# `np.linalg.pinv(W)` is the *pseudo-inverse*, of shape (n, m). `np.linalg.pinv(W) @ W` is $P$.
#
# </details>


# %%
def leverage(W):
    """h_i of each column of W (m, n): shape (n,)."""
    raise NotImplementedError


# %%
def check_leverage(leverage):
    flat = np.array([[1.0, 2.0, 0.5], [2.0, 4.0, 1.0]])  # rank 1: W Wᵀ has no inverse
    for W in (pentagon, rng.normal(size=(3, 7)), flat):
        got = np.asarray(leverage(W))
        assert got.shape == W.shape[1:], f"the result has shape {got.shape}; expected {W.shape[1:]}"
        rank = np.linalg.matrix_rank(W)
        assert np.isclose(got.sum(), rank), f"the scores add up to {got.sum():.3f}; expected the rank, {rank}"
        below = np.flatnonzero(tms.dimensionality(W) > got + 1e-9)
        assert not below.size, f"feature {below[0]}: your h_i is below its D_i, which cannot be"
        assert np.allclose(got, tms.leverage(W)), "the sum is right, but not each score"


attempt(check_leverage, leverage)

# %% [markdown]
# **Next:** [the findings](../figures/README.md), where every figure of the paper is repeated and each claim measured;
# or back to [the map](README.md).
