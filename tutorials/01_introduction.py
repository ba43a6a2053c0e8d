# %% [markdown]
# # 1. Five features in two dimensions
#
# The first picture of the paper
# [*Toy Models of Superposition*](https://transformer-circuits.pub/2022/toy_model/index.html) (Elhage et al., 2022)
# shows a model with two hidden dimensions that is given five features. When the features are dense it keeps two. When
# they are sparse it keeps all five. Here we take that picture apart until each number in it can be checked by hand.
#
# **You will be able to**
# - compute what a pentagon of features costs, and why three or four features come for free;
# - predict how many features a model keeps, and in which shape;
# - explain why one training run is not enough, and what `restarts` does;
# - measure which share of a dimension each feature has.
#
# **You need** [tutorial 0](00_start_here.ipynb), and the cosine of an angle.
#
# **Contents**: [a pentagon by hand](#hand), [how many fit](#fit), [predict, then see](#see), [why restarts](#restarts),
# [shares of a dimension](#shares), [which way is up](#up), [what to vary](#vary), [exercises](#exercises).
# Reading takes about 20 minutes; the [map](README.md) says how long the cells run, and has a glossary.
#
# **Letters and shapes** (those of tutorial 0, and)
#
# | letter | what it is | shape |
# | --- | --- | --- |
# | $W_i$ | column $i$ of $W$, where feature $i$ is stored | (m,), here m = 2 |
# | $W_i \cdot W_j$ | what feature $j$, when it is 1, adds to $z_i$, output $i$ before bias and ReLU | a number |
# | $D_i$ | dimensionality, which share of a dimension feature $i$ has | a number in [0, 1] |
# | $K$ | how many models are trained side by side, a *stack* | a number |

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

plt.style.use(plots.STYLE)

# %% [markdown]
# <a id="hand"></a>
# ## 1. A pentagon by hand
#
# Put five features of length 1 into the plane, evenly: feature $i$ at the angle $i \cdot 72^\circ$. If only feature 0
# is on, with $x_0 = 1$, then the hidden values are $h = W_0$, and the output of feature $i$ gets
# $z_i = W_i \cdot W_0$, which for two vectors of length 1 is the cosine of the angle between them:
#
# | feature $i$ | angle to feature 0 | $z_i$ = cosine | $\mathrm{ReLU}(z_i)$ | should be |
# | --- | --- | --- | --- | --- |
# | 0 | 0° | 1 | 1 | 1 |
# | 1 and 4, the neighbours | 72° | 0.309 | 0.309 | 0 |
# | 2 and 3, across | 144° | -0.809 | 0 | 0 |
#
# The features across are harmless: their interference is negative and the ReLU removes it. The neighbours' is positive
# and gets through. A negative bias $b$ can push it below zero, but lowers feature 0's own output too: with
# $b = -0.309$ the output is [0.691, 0, 0, 0, 0]. And longer vectors can make up for that.
#
# **Predict.** Let all five vectors have length $a$, and all biases be $b$. Feature i's own output is $a^2 + b$ when
# $x_i = 1$, a neighbour's is $a^2 \cdot \cos 72^\circ + b$. Choose $a$ and $b$ such that the first is 1 and the second
# is 0.
#
# <details><summary>Answer</summary>
#
# Subtract the equations: $a^2 (1 - \cos 72^\circ) = 1$, so $a^2 = 1 / (1 - 0.309) = 1.447$, $a = 1.203$, and
# $b = 1 - a^2 = -0.447$.
#
# </details>

# %%
angles = np.radians(72 * np.arange(5))
pentagon = np.array([np.cos(angles), np.sin(angles)])  # (m, n) = (2, 5)
only_0 = np.array([[1.0, 0, 0, 0, 0]])  # (batch, n) = (1, 5)

cosine = np.cos(np.radians(72))
a, b = np.sqrt(1 / (1 - cosine)), 1 - 1 / (1 - cosine)
print(f"cos 72° = {cosine:.3f}, cos 144° = {np.cos(np.radians(144)):.3f}")
print(f"a = {a:.3f}, b = {b:.3f}")
print("length 1, no bias:  ", tms.forward(pentagon, np.zeros(5), only_0).round(3))
print(
    "length 1, with bias:", tms.forward(pentagon, np.full(5, -cosine), only_0).round(3)
)
print("length a, bias b:   ", tms.forward(a * pentagon, np.full(5, b), only_0).round(3))

# %% tags=["check"]
assert np.allclose(
    tms.forward(pentagon, np.zeros(5), only_0), [[1, 0.309, 0, 0, 0.309]], atol=1e-3
)
assert np.allclose(tms.forward(a * pentagon, np.full(5, b), only_0), only_0)
assert np.allclose([a, b], [1.203, -0.447], atol=1e-3)

# %% [markdown]
# So at $x_0 = 1$ the answer is exact. But at $x_0 = 0.5$ the output is $0.5 a^2 + b$, which is too little, since the
# bias takes away as much as at $x_0 = 1$. A trained model has to suit small values and large ones: it settles for
# somewhat shorter vectors and a somewhat weaker bias.

# %%
half = tms.forward(a * pentagon, np.full(5, b), 0.5 * only_0)[0, 0]
print(f"x₀ = 0.5 comes out as {half:.3f}")

# %% tags=["check"]
assert np.isclose(half, 0.5 * a**2 + b)
assert half < 0.3

# %% [markdown]
# <a id="fit"></a>
# ## 2. How many fit for free?
#
# Interference only hurts where $W_i \cdot W_j$ is *positive*. So $k$ features fit without any cost (as long as no two
# are on together) if no two of their directions are closer than 90°.
#
# **Predict.** How many vectors can you put into the plane with no two closer than 90°?
#
# <details><summary>Answer</summary>
#
# Four: two pairs of opposites at right angles. A fifth would have to be within 90° of one of them, since five gaps add
# up to 360° and one is at most 72°. In $m$ dimensions it is 2m: each axis in both directions.
#
# </details>

# %% [markdown]
# We can put numbers on that. Let exactly one of the five features be on in each example, each in one example of five,
# with a value between 0 and 1 as before. Place $k$ of them on a regular k-gon and drop the others, which get their
# mean as bias. A dropped feature costs its variance, the mean of $x_i^2$ less the square of the mean of $x_i$. A value
# between 0 and 1 has mean 1/2, its square has mean 1/3, and the feature is on with probability $s = 1/5$. So
# $v = s/3 - (s/2)^2$:
#
# $v = 1/15 - 1/100 = 17/300 = 0.0567$
#
# So $k = 2$, 3, 4 should cost $3 v$, $2 v$ and $v$, and the pentagon whatever its interference costs.
# `tms.expected_loss` works out such a loss exactly, as the mean over all possible examples, with no sampling.


# %%
def k_gon(k, n=5):
    """W (2, n): features 0 .. k - 1 on a regular k-gon of length 1, the others zero."""
    W = np.zeros((2, n))
    angles = 2 * np.pi * np.arange(k) / k
    W[:, :k] = np.cos(angles), np.sin(angles)  # row 0, row 1
    return W


v = 17 / 300
for k in (2, 3, 4):
    bias = np.where(
        np.arange(5) < k, 0, 0.1
    )  # the mean of a dropped feature is s/2 = 1/10
    L = tms.expected_loss(k_gon(k), bias, pattern="exactly_one")
    print(f"{k} features: expected loss {L:.5f}, by hand {(5 - k) * v:.5f}")
    assert np.isclose(L, (5 - k) * v)

# Without a bias, (1 - length²)² + 2 (length² cos 72°)² is lowest at this length:
shorter = np.sqrt(1 / (1 + 2 * cosine**2))
for length, bias in [(1, 0), (1, -cosine), (shorter, 0), (a, b), (1.15, -0.25)]:
    L = tms.expected_loss(length * k_gon(5), np.full(5, bias), pattern="exactly_one")
    print(f"5 features, length {length:.2f}, bias {bias:5.2f}: expected loss {L:.5f}")

# %% tags=["check"]
assert L < v / 3  # the last pentagon: far better than dropping one
L = tms.expected_loss(shorter * k_gon(5), np.zeros(5), pattern="exactly_one")
assert 0.9 * v < L < v  # without a bias: hardly better

# %% [markdown]
# A clumsy pentagon (the first two) is worse than dropping one feature, which costs $v$. Without a bias, even the best
# length (the third) saves hardly anything. With a good length and bias (the last, found by trying) it is more than
# three times better. The bias is what makes the fifth feature worth its place.
#
# <a id="see"></a>
# ## 3. Predict, then see
#
# Now the paper's picture. Five features with importance 1, 0.9, 0.81, ... (feature 0 matters most), at sparsity $S = 0$
# (everything always on), 0.8 and 0.9.
#
# **Predict.** How many features will the model keep in each case, and in which arrangement?
#
# <details><summary>Answer</summary>
#
# $S = 0$: two features at right angles. All are on in every example, so whatever shares a direction spoils it each
# time; better keep the two most important ones clean, and answer the others with their mean. $S = 0.8$: four features,
# as two pairs of opposites (*digons*), which cost something only where two partners meet. $S = 0.9$: all five.
# Positive interference has become cheaper than leaving a feature out.
#
# </details>

# %% [markdown]
# `train` takes a whole *stack* of models at once. Density has shape (K, 1), a column, which `sparsity[:, None]` makes
# of the $K$ numbers: one row a model, and one number for all its features. Importance has shape (n,): one number a
# feature, the same for all models. `schedule="cosine"` makes the steps smaller and smaller towards the end;
# `restarts` is for part 4.

# %%
sparsity = np.array([0, 0.8, 0.9])
importance = 0.9 ** np.arange(5)
features = tms.SparseFeatures(n=5, density=1 - sparsity[:, None], importance=importance)
run = tms.train(
    features,
    n_hidden=2,
    steps=3000,
    learning_rate=1e-2,
    schedule="cosine",
    restarts=16,
    seed=0,
)
print(run)
best = run.best()
print("W has shape", best.W.shape, "(K, m, n)")

# %%
best.plot()  # densities 1 - S
plt.show()


# %%
def gaps(W):
    """Angles from each kept feature to the next, around the circle, in degrees."""
    across, up = W[:, tms.feature_norms(W) > 0.5]  # the columns longer than 0.5
    around = np.sort(np.degrees(np.arctan2(up, across)))
    return np.diff(around, append=around[0] + 360)  # the last leads back to the first


dense, digons, five = best.W
print("features kept:", tms.features_represented(best.W))
for S, W, bias in zip(sparsity, best.W, best.b, strict=True):
    print(f"S = {S:g}")
    print("    lengths", tms.feature_norms(W).round(2))
    print("    gaps   ", gaps(W).round(1))
    print("    bias   ", bias.round(2) + 0.0)  # + 0.0 turns -0 into 0

# %% tags=["check"]
# At S = 0 the bias of a dropped feature is its mean, s/2.
# At S = 0.9 it cuts off the neighbours, as in part 1, but is weaker.
assert tms.features_represented(best.W).tolist() == [2, 4, 5]
assert abs(gaps(dense).min() - 90) < 5  # two features: the other gap is the rest
assert np.allclose(gaps(digons), 90, atol=5)
assert np.allclose(gaps(five), 72, atol=5)
assert np.allclose(best.b[0], [0, 0, 0.5, 0.5, 0.5], atol=0.05)
assert ((b < best.b[2]) & (best.b[2] < 0)).all()
assert ((tms.feature_norms(five) > 1) & (tms.feature_norms(five) < a)).all()

# %% [markdown]
# A feature that was left out is a dot in the middle of its picture. The lengths at $S = 0.9$ lie between 1 and the
# 1.203 of part 1, and the bias between 0 and -0.447, for the reason given there. The pentagon is not perfectly regular
# because the features are not equally important.
#
# Why digons at $S = 0.8$ and the pentagon at 0.9? We compare what both cost at both. `initial` starts a training from
# given weights, so that each arrangement can first adapt its lengths and bias to the sparsity. `loss_on(x)` is
# `tms.loss` of the best model, on examples of ours.

# %%
for S in (0.8, 0.9):
    x = tms.SparseFeatures(n=5, density=1 - S).sample(200_000, seed=0)
    cost = []
    for start in (1, 2):  # the digons, the pentagon
        adapted = tms.train(
            tms.SparseFeatures(n=5, density=1 - S, importance=importance),
            n_hidden=2,
            steps=3000,
            learning_rate=1e-2,
            schedule="cosine",
            restarts=1,
            seed=0,
            initial=(best.W[start], best.b[start]),
        ).best()
        cost.append(adapted.loss_on(x))
    print(f"S = {S}: digons cost {cost[0]:.4f}, the pentagon {cost[1]:.4f}")

# %% tags=["check"]
assert tms.features_represented(adapted.W) == 5  # the last one is a pentagon still
assert cost[0] > cost[1]  # at S = 0.9

# %% [markdown]
# At $S = 0.8$ features still meet too often for a pentagon, in which every feature is in the way of others. At
# $S = 0.9$ they seldom meet, and leaving out the fifth costs more.
#
# <a id="restarts"></a>
# ## 4. Why restarts?
#
# Training starts from random weights and walks downhill. Small models have several valleys, and some are
# higher than others: a *local minimum* is a valley that is not the deepest. `restarts=16` trained each model from 16
# random starts, and `best()` kept the one with the lowest loss on fresh examples.
#
# **Predict.** At $S = 0.8$, which share of single runs ends within 1 % of the best loss: nearly all, about half, or
# few?
#
# <details><summary>Answer</summary>
#
# Few: about one in three or four; the next cell prints the share. The others are stuck higher up. Whoever trains such
# a model once and draws the result is likely to be drawing an accident.
#
# </details>

# %%
features = tms.SparseFeatures(n=5, density=0.2, importance=importance)
runs = tms.train(
    features,
    n_hidden=2,
    steps=3000,
    learning_rate=1e-2,
    schedule="cosine",
    restarts=48,
    seed=17,
)
order = runs.loss.argsort()
good = runs.loss < 1.01 * runs.loss.min()
lowest, highest = runs.loss.min(), runs.loss.max()
share = good.mean()
print(f"{share:.0%} of {len(good)} runs end within 1 % of the best loss, {lowest:.4f}")
print(f"the worst ends at {highest:.4f}, {highest / lowest - 1:.0%} above it")

# %% tags=["check"]
assert 0.1 < share < 0.5
assert highest > 1.05 * lowest

# %%
fig, axes = plt.subplots(1, 4, figsize=(8.3, 2.6), width_ratios=[1.3, 1, 1, 1])
axes[0].plot(np.arange(1, len(order) + 1), runs.loss[order], ".")
axes[0].set(xlabel="run, best first", ylabel="final loss", title="48 runs of one model")
for ax, rank in zip(axes[1:], (0, len(order) // 2, -1), strict=True):
    plots.feature_vectors(ax, runs.W[order[rank]], importance)
    ax.set_title(f"loss {runs.loss[order[rank]]:.4f}")
    ax.axis("off")
    lengths = tms.feature_norms(runs.W[order[rank]])
    print(f"{ax.get_title()}: lengths {lengths.round(2)}")
plt.show()

# %% [markdown]
# The steps in the left picture are the valleys. From left to right, the three others are the best run, one from the
# middle, and the worst, in the colours of part 3. Look at which feature each one gave up: the best run the least
# important one (yellow), the middle one the next (orange). The worst gave up most of both, and left the direction
# opposite the violet one empty. Would more training free the one in the middle? We start again from where it ended.

# %%
middle = order[len(order) // 2]
longer = tms.train(
    features,
    n_hidden=2,
    steps=3000,
    learning_rate=1e-2,
    schedule="cosine",
    restarts=1,
    seed=1,
    initial=(runs.W[middle], runs.b[middle]),
)
print(
    f"best {runs.loss.min():.4f}, middle {runs.loss[middle]:.4f}, "
    f"after as many steps again {longer.loss[0]:.4f}"
)

# %% tags=["check"]
assert abs(longer.loss[0] / runs.loss[middle] - 1) < 0.01
assert longer.loss[0] > 1.01 * runs.loss.min()

# %% [markdown]
# It stays where it is. More training does not help; another start does.
#
# <a id="shares"></a>
# ## 5. Which share of a dimension?
#
# How much room does a feature have? The paper defines its *dimensionality*
#
# $$ D_i = \frac{|W_i|^2}{\sum_j (\hat W_i \cdot W_j)^2} \qquad \hat W_i = W_i / |W_i| $$
#
# that is, its own squared length divided by the squares of what all features have along its direction, itself
# included. Alone in its direction, $D_i = 1$. With an equally long partner opposite, $D_i = 1 / (1 + 1) = 1/2$. And in
# the pentagon:
#
# $D_i = 1 / (1 + 2 \cos^2 72^\circ + 2 \cos^2 144^\circ) = 1 / (1 + 2 \cdot 0.0955 + 2 \cdot 0.6545) = 1 / 2.5 = 2/5$
#
# Five features with 2/5 of a dimension each: $5 \cdot 2/5 = 2$ dimensions, all that there is.

# %%
by_hand = 1 / (1 + 2 * np.cos(np.radians(72)) ** 2 + 2 * np.cos(np.radians(144)) ** 2)
print(f"by hand {by_hand:.4f}, by the library {tms.dimensionality(pentagon).round(4)}")
assert np.allclose(tms.dimensionality(pentagon), by_hand)

for S, W in zip(sparsity, best.W, strict=True):
    D = tms.dimensionality(W) * (
        tms.feature_norms(W) > 0.5
    )  # a dropped feature is never exactly 0 after training
    print(f"S = {S:.1f}: D = {D.round(2)}, sum {D.sum():.2f}")

# %% tags=["check"]
assert np.isclose(by_hand, 2 / 5)
assert np.allclose(
    tms.dimensionality(digons)[tms.feature_norms(digons) > 0.5], 1 / 2, atol=0.02
)
assert np.allclose(tms.dimensionality(five), 2 / 5, atol=0.05)

# %% [markdown]
# <a id="up"></a>
# ## 6. Which way is up?
#
# Your pentagon may point elsewhere than the paper's. That means nothing: turn the hidden space by any angle,
# $W \to R W$ ($R$ is the matrix of the turn), and every $W_i \cdot W_j$ stays as it was, hence every output and the
# loss. (Only the lengths of the vectors and the angles between them matter.)

# %%
turn = np.radians(33)
R = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
x = tms.SparseFeatures(n=5, density=0.1).sample(1000, seed=2)
L, L_turned = (
    tms.loss(five, best.b[2], x, importance),
    tms.loss(R @ five, best.b[2], x, importance),
)
print(f"loss {L:.9f}, after turning {L_turned:.9f}")

# %% tags=["check"]
assert np.isclose(L, L_turned, rtol=1e-6)

# %% [markdown]
# <a id="vary"></a>
# ## 7. What to vary
#
# - The sparsities in part 3 (three at a time, for the picture): where between 0 and 0.8 does the third feature come in?
#   And the fourth?
# - Importance 1 for all, `np.ones(5)`: which of the answers in part 3 change? (At $S = 0$ no feature is better than
#   another then, and the model may keep any mixture of them.)
# - `n_hidden=3` with `n=6` and six importances (use `tms.dimensionality(best.W)`; the picture and the angles need two).
# - Larger steps, `learning_rate=3e-2`, or `steps=300`: are more or fewer runs stuck in part 4?
#
# <details><summary>What you will see</summary>
#
# - The third comes in between 0.3 and 0.4 and the fourth at 0.45, with the steps of 0.05 that we tried. Neither jumps
#   in: the third is 0.2 long at $S = 0.2$, 0.4 at 0.3 and 0.8 at 0.4. Up to 0.8 there are four, then.
# - The one at $S = 0.8$: the fifth feature is now worth as much as the others, and the pentagon wins, with all gaps at
#   72°. At 0.9 it is the pentagon again, a regular one this time. At $S = 0$ all five have lengths between 0.3 and 0.9,
#   others for another seed, at the same loss.
# - Three features with a dimension each at $S = 0$. At 0.8 and at 0.9 all six, as three pairs of opposites at right
#   angles: $D_i = 1/2$ each. That is the octahedron of exercise 2.
# - With `3e-2` about as many as before: 23 % end within 1 % of the best loss, in place of 25 %. After 300 steps it is
#   10 %, since many are still on their way; 300 larger steps do as well as 3,000 (21 %). The best loss is 0.0597 each
#   time, so what you need is restarts.
#
# </details>
#
# <a id="exercises"></a>
# ## 8. Exercises
#
# As in tutorial 0: fill in each function in place of the line `raise NotImplementedError` and run the cell below it,
# which says "not yet" or "solved".


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
# **Exercise 1.** How much of feature $j$ arrives at the output of feature $i$? Write the matrix of all
# $W_i \cdot W_j$, and use it to count the pairs (i, j), $i < j$, whose interference is positive (above 0.01, to be
# safe from rounding).
#
# <details><summary>Hint</summary>
#
# `W.T @ W` has $W_i \cdot W_j$ in row $i$, column $j$. `np.triu(matrix, k=1)` keeps the part with $i < j$.
#
# </details>


# %%
def positive_pairs(W):
    """Number of pairs i < j with W_i · W_j > 0.01; W is (m, n)."""
    raise NotImplementedError


# %%
def check_positive_pairs(positive_pairs):
    for k, expected in [(2, 0), (3, 0), (4, 0), (5, 5), (6, 6), (8, 8), (9, 18)]:
        count = positive_pairs(k_gon(k, n=10))
        assert count != expected + k, "is i = j among the pairs? A feature does not disturb itself"
        assert count != 2 * expected or not expected, "twice too many: each pair has i < j"
        assert count == expected, (
            f"got {count} for a regular {k}-gon; expected {expected} pairs i < j"
        )


attempt(check_positive_pairs, positive_pairs)

# %% [markdown]
# **Exercise 2.** Place six features of length 1 into *three* dimensions such that none disturbs another.
#
# <details><summary>Hint</summary>
#
# Part 2: each axis in both directions. The shape with these six corners is the octahedron.
#
# </details>


# %%
def six_in_three():
    """W of shape (3, 6): columns of length 1, and no W_i · W_j above 0 for i != j."""
    raise NotImplementedError


# %%
def check_six_in_three(six_in_three):
    W = np.asarray(six_in_three(), dtype=float)
    assert W.shape == (3, 6), f"W has shape {W.shape}; expected (3, 6)"
    assert np.allclose(tms.feature_norms(W), 1), (
        f"the lengths are {tms.feature_norms(W).round(3)}; expected 1"
    )
    products = W.T @ W - np.eye(6)
    i, j = np.unravel_index(products.argmax(), products.shape)
    assert products[i, j] < 1e-9, (
        f"features {i} and {j} have W_i · W_j = {products[i, j]:.3f}; "
        "expected at most 0"
    )
    assert np.isclose(
        tms.expected_loss(W, np.zeros(6), pattern="exactly_one"), 0, atol=1e-12
    ), "the loss is not 0"


attempt(check_six_in_three, six_in_three)

# %% [markdown]
# **Exercise 3.** Find a good pentagon with pen, paper or search: a length and a bias (the same for all five) whose
# expected loss, if exactly one feature is on, is below 0.0160.
#
# <details><summary>Hint</summary>
#
# Two loops will do, around the last pentagon of part 2. Or try a whole grid at once, since `tms.expected_loss` takes
# stacks: with `length[:, None, None, None] * k_gon(5)`, `bias[None, :, None] * np.ones(5)` and `pattern="exactly_one"`
# it gives a loss for each pair, and `np.unravel_index(L.argmin(), L.shape)` says where the lowest is.
#
# </details>


# %%
def good_pentagon():
    """A pair (length, bias)."""
    raise NotImplementedError


# %%
def check_good_pentagon(good_pentagon):
    length, bias = good_pentagon()
    L = tms.expected_loss(length * k_gon(5), np.full(5, bias), pattern="exactly_one")
    assert L < 0.0160, (
        f"length {length:.4f} and bias {bias:.4f} give a loss of {L:.5f}; "
        "expected below 0.0160"
    )


attempt(check_good_pentagon, good_pentagon)

# %% [markdown]
# **Next:** [2. The gradient by hand](02_the_gradient_by_hand.ipynb), or, if you would rather see more pictures first,
# [3. Demonstrating superposition](03_demonstrating_superposition.ipynb).
