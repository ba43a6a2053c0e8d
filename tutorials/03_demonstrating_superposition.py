# %% [markdown]
# # 3. Demonstrating superposition
#
# Section 2 of the paper *Toy Models of Superposition* puts two models side by side that differ in one thing only: the
# ReLU at the output. The linear one keeps as many features as it has dimensions, whatever the data. The other one keeps
# as many if the data are dense, and more than twice as many if they are sparse. This tutorial draws that comparison and
# reads it.
#
# **You will be able to**
# - explain, with a calculation of three lines, why a linear model never uses superposition;
# - read the heat map of $W^\top W$ and the bars of norm and interference;
# - predict what changes as the sparsity goes from 0 to 0.999, and check it on trained models;
# - say which part the bias plays.
#
# **You need** [tutorial 0](00_start_here.ipynb), and an integral in one place; [tutorial 1](01_introduction.ipynb)
# helps.
#
# **Contents**: [why the ReLU matters](#relu), [how to read W](#read), [the linear model](#linear),
# [the ReLU model](#model), [in numbers](#numbers), [what to vary](#vary), [exercises](#exercises).
# Reading takes about 25 minutes; the [map](README.md) says how long the cells run, and has a glossary.
#
# **Letters and shapes** (those of tutorial 0, and)
#
# | letter | what it is | shape |
# | --- | --- | --- |
# | $v$ | variance of a feature, $s/3 - s^2/4$ | a number |
# | $W^\top W$ | row $i$, column $j$: $W_i \cdot W_j$, what feature $j$ adds to output $i$ | (n, n) |
# | norm of $i$ | length of $W_i$ | a number |
# | $\hat W_i$ | $W_i$ made to length 1 | (m,) |
# | $K$ | number of models in a stack, here one for each density | a number |

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
rng = np.random.default_rng(0)

# %% [markdown]
# <a id="relu"></a>
# ## 1. Why the ReLU matters
#
# Back to two equally important features and one hidden number. In tutorial 0 we compared *keep one*, $W = [1, 0]$, with
# *share*, $W = [1, -1]$. What does sharing cost in each model?
#
# The variance of a feature is the mean of its square minus the square of its mean. A feature is on with probability
# $s$, and then its square is 1/3 on average:
#
# $$ v = \frac{s}{3} - \left(\frac{s}{2}\right)^2 = \frac{s}{3} - \frac{s^2}{4} $$
#
# - **Keep one**, either model: the other feature is answered with its mean $s/2$. That costs its variance: $L = v$.
# - **Share, linear**: $h = x_0 - x_1$, so output 0 is $x_0 - x_1 + b_0$. The error is $b_0 - x_1$. The best bias is
#   $b_0 = s/2$, and what is left is the variance of $x_1$. The same for output 1: $L = 2 v$. *Always twice as bad as
#   keeping one.*
# - **Share, ReLU**, $b = 0$: output 0 is $\mathrm{ReLU}(x_0 - x_1)$. If $x_0$ is the larger, it is wrong by $x_1$;
#   otherwise it is 0, and wrong by $x_0$. So it is wrong by the smaller of the two, which is 0 unless both are on.
#   When both are on, the smaller is $u$ if either of them (a factor 2) is $u$ and the other one is larger (probability
#   $1 - u$). So its square is $\int_0^1 u^2 \cdot 2 (1 - u) du = 2/3 - 2/4 = 1/6$ on average. Two outputs:
#   $L = 2 \cdot s^2 \cdot 1/6 = s^2/3$.
#
# **Predict.** With $s = 0.1$, put numbers on the three.
#
# <details><summary>Answer</summary>
#
# $v = 0.0333 - 0.0025 = 0.0308$. Keep one 0.0308; share, linear 0.0617; share, ReLU $0.01/3 = 0.0033$.
#
# </details>

# %% [markdown]
# `tms.expected_loss` works out the same exactly: the mean loss over all possible examples, with no sampling.

# %%
u = (np.arange(1000) + 0.5) / 1000  # the middles of 1000 equal parts of [0, 1]

s = 0.1
v = s / 3 - s**2 / 4
keep, share = np.array([[1.0, 0.0]]), np.array([[1.0, -1.0]])
exact = {
    "keep one": (tms.expected_loss(keep, [0, s / 2], s, activation="linear"), v),
    "share, linear": (
        tms.expected_loss(share, [s / 2, s / 2], s, activation="linear"),
        2 * v,
    ),
    "share, ReLU": (tms.expected_loss(share, [0, 0], s, activation="relu"), s**2 / 3),
}
for name, (library, by_hand) in exact.items():
    print(f"{name:14} by hand {by_hand:.6f}, by the library {library:.6f}")
    assert np.isclose(library, by_hand)

# %% tags=["check"]
assert np.isclose((u**2 * 2 * (1 - u)).mean(), 1 / 6)  # the integral, as a sum

# %% [markdown]
# Now for any $n$, $m$ and $W$. Output $i$ of a linear model adds up all $x_j \cdot (W_i \cdot W_j)$, and should be
# $x_i$. The best bias takes the mean out of the error, so what is left is its variance, and the variances of
# independent features add up: $(\lvert W_i\rvert^2 - 1)^2 v$ from feature $i$ itself, and $(W_i \cdot W_j)^2 v$ from
# each other feature $j$. Together
#
# $$ L = v \left[ \sum_i I_i\,(1 - |W_i|^2)^2 + \sum_{i \neq j} I_i\,(W_i \cdot W_j)^2 \right] $$
#
# The first sum rewards features of length 1, the second punishes every overlap. Density appears only in front, in $v$.
#
# **Predict.** Does the best $W$ of a linear model depend on how sparse the features are?
#
# <details><summary>Answer</summary>
#
# No. $v$ only scales the loss, so the best $W$ is the same at every density above 0. Sparsity cannot lure a linear
# model into superposition. Which $W$ that is, part 3 shows: the $m$ most important features, each alone.
#
# </details>

# %% [markdown]
# We check the formula on an arbitrary $W$: the loss divided by $v$ must be the same number at every density. The best
# bias makes each error 0 on average. The mean of $x$ is $s/2$ for every feature; call that vector $\mu$ (`mean` in the
# code). The mean of $W^\top W x + b$ has to be $\mu$ too, so $b = \mu - W^\top W \mu$.

# %%
W, importance = rng.normal(size=(2, 6)), rng.random(6)
products = W.T @ W
overlap = products**2 * (1 - np.eye(6))  # without the diagonal, where i = j
own = (importance * (1 - np.diag(products)) ** 2).sum()
bracket = own + (importance * overlap.sum(axis=1)).sum()
print(f"the bracket: {bracket:.6f}")
for s in (1, 0.1, 0.001):
    mean = np.full(6, s / 2)
    best_bias = mean - products @ mean
    L = tms.expected_loss(W, best_bias, s, importance, "linear")
    ratio = L / (s / 3 - s**2 / 4)
    print(f"s = {s:<5}: loss / v = {ratio:.6f}")
    assert np.isclose(ratio, bracket)

# %% [markdown]
# <a id="read"></a>
# ## 2. How to read W
#
# For more than two dimensions we cannot draw arrows. Three things help, here for $W$ with the columns [1, 0], [0, 1]
# and [0.6, 0.8]:
#
# - **$W^\top W$**, all the $W_i \cdot W_j$. On the diagonal stands $\lvert W_i\rvert^2$: near 1 if feature $i$ is
#   represented, near 0 if not. Beside the diagonal stands how features disturb each other.
# - **The norm** $\lvert W_i\rvert$: is it represented?
# - **The interference** of feature $i$, the sum over all other $j$ of $(\hat W_i \cdot W_j)^2$: does it share its
#   direction with others?
#
# | | feature 0 | feature 1 | feature 2 |
# | --- | --- | --- | --- |
# | norm | 1 | 1 | $\sqrt{0.36 + 0.64} = 1$ |
# | interference | $0^2 + 0.6^2 = 0.36$ | $0^2 + 0.8^2 = 0.64$ | $0.6^2 + 0.8^2 = 1$ |

# %%
W = np.array([[1, 0, 0.6], [0, 1, 0.8]])
print("Wᵀ W =", (W.T @ W).round(2), sep="\n")
print("norms", tms.feature_norms(W), " interference", tms.interference(W).round(4))

fig, axes = plt.subplots(1, 2, figsize=(5.5, 2.2))
plots.weight_gram(axes[0], W, b=np.array([0.5, 0, -0.5]))
plots.feature_bars(axes[1], W)
axes[1].set_title("norm, coloured by interference")
fig.colorbar(plots.scale("gram"), ax=axes[0], shrink=0.9)
fig.colorbar(plots.scale("interference"), ax=axes[1], shrink=0.9, label="interference")
plt.show()

# %% tags=["check"]
assert np.allclose(tms.feature_norms(W), [1, 1, 1])
assert np.allclose(tms.interference(W), [0.36, 0.64, 1])

# %% [markdown]
# Feature 0 is the top row of both. In the heat map red is positive, blue negative. The narrow column to its right is
# the bias (here three numbers made up), on the same scale. The bars are as long as the norm, and an interference above
# 1 gets the colour of 1.
#
# (A warning for readers of the literature, since one word has three formulas. The
# [paper](https://transformer-circuits.pub/2022/toy_model/index.html) normalises only $W_i$ and leaves out $j = i$ in
# the text of its section 2, while a figure's legend there leaves $j = i$ in; the authors'
# [notebook](https://github.com/anthropics/toy-models-of-superposition) colours the bars by the square root. Here it is
# always the one above.)
#
# <a id="linear"></a>
# ## 3. The linear model, from dense to sparse
#
# Twenty features, $n = 20$, in $m = 5$ dimensions, each feature 0.7 times as important as the one before. Seven
# densities from 1 down to 0.001, a model for each, trained side by side as one stack. Each model is trained several
# times, from other random weights (`restarts`), and for each density `best()` keeps the training that ended with the
# lowest loss.
#
# Five dimensions have room for five features at right angles. So we compare with *the top five alone*: features 0 to 4
# with length 1 at right angles, all others 0.

# %%
n, m = 20, 5
densities = np.array([1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001])
importance = 0.7 ** np.arange(n)
# densities[:, None] has shape (7, 1): one row a model, one number for all its features.
features = tms.SparseFeatures(n=n, density=densities[:, None], importance=importance)
# "cosine": the steps get smaller and smaller, down to 0, along half a cosine wave.
settings = {"n_hidden": m, "learning_rate": 1e-2, "schedule": "cosine", "seed": 0}
# **settings hands over all of these as named arguments.
linear = tms.train(
    features, activation="linear", steps=1500, restarts=4, **settings
).best()

# Wᵀ W of the top five alone: 1 on the diagonal for features 0 to 4, else 0.
top_five = np.diag(np.arange(n) < m).astype(float)
gram = linear.W.mT @ linear.W  # .mT swaps the last two axes: Wᵀ W of each model
for s, G in zip(densities, gram, strict=True):
    off = abs(G - top_five).max()
    print(f"s = {s:<5}: Wᵀ W differs from the top five alone by {off:.3f}")

# %% tags=["check"]
# s = 1: what is not kept is answered with its mean
assert np.allclose(gram, top_five, atol=0.1)
assert np.allclose(linear.b[0, m:], 0.5, atol=0.1)

# %% [markdown]
# Seven densities, one answer: the five most important features, each clean, and nothing of the others. This is what
# statisticians call *principal component analysis*: keep the directions that matter most, at right angles.
#
# <a id="model"></a>
# ## 4. The ReLU model, from dense to sparse
#
# **Predict.** (a) What does the ReLU model do at $s = 1$? (b) As $s$ falls, which features go into superposition
# first: the important ones or the others? (c) What is the sign of the first interference that appears?
#
# <details><summary>Answer</summary>
#
# (a) The same as the linear one: with everything always on, every overlap hurts in each example. (b) The less important
# ones. Squeezing them together lets a few more in and costs little; the important ones can afford a dimension each for
# longest. (c) Negative: pairs of opposites, since the ReLU removes negative interference for free (tutorial 1).
#
# </details>

# %% [markdown]
# Small models get stuck, the more so in superposition: with a handful of restarts the picture changes from seed to
# seed. So there are sixteen of each.

# %%
relu = tms.train(
    features, activation="relu", steps=1500, restarts=16, **settings
).best()

fig, axes = plt.subplots(2, 8, figsize=(11, 4.4), height_ratios=[1, 1.4])
columns = [("linear, s = 1", linear.W[0], linear.b[0])]
columns += [
    (f"s = {s:g}", W, b) for s, W, b in zip(densities, relu.W, relu.b, strict=True)
]
for (top, bottom), (title, W, b) in zip(axes.T, columns, strict=True):
    plots.weight_gram(top, W, b)
    top.set_title(title)
    plots.feature_bars(bottom, W)
    bottom.set(xlim=(0, 1.3), xticks=[0, 1])
axes[1, 0].set_ylabel("feature, the most important on top")
fig.colorbar(plots.scale("gram"), ax=axes[0], aspect=8)
fig.colorbar(plots.scale("interference"), ax=axes[1], aspect=12, label="interference")
plt.show()

# %% [markdown]
# The left column is the linear model, the others are the ReLU model, getting sparser from left to right. In the bars,
# blue features have a dimension for themselves and orange ones share theirs. In the heat map blue is negative: a pair
# of opposites is two blue squares, mirrored at the diagonal. Look for: a clean diagonal at $s = 1$; then pairs of
# opposites; and at the right a pattern of red and blue, with more features than at the left and none of them alone.
#
# <a id="numbers"></a>
# ## 5. In numbers
#
# A picture is soon believed. The same statements as numbers: how many features are represented (norm above 0.5); how
# many of those are alone in their direction; how many pairs of them are opposite, that is, at an angle of more than
# 160°; the largest $W_i \cdot W_j$ of two different features; and the mean bias, all among the represented ones.

# %%
norms = tms.feature_norms(relu.W)  # (K, n)
represented = norms > 0.5
interference = tms.interference(relu.W)
products = relu.W.mT @ relu.W * (1 - np.eye(n))  # without the diagonal
# (K, n, n): are features i and j both represented?
both = represented[:, :, None] & represented[:, None, :]
strongest = np.where(both, products, 0).max(axis=(1, 2))
# W_i · W_j is the product of both lengths and the cosine of the angle between them.
lengths = norms[:, :, None] * norms[:, None, :]
opposite = both & (products < np.cos(np.radians(160)) * lengths)
pairs = opposite.sum(axis=(1, 2)) // 2  # (i, j) and (j, i) are one pair
alone = (represented & (interference < 0.05)).sum(axis=1)
bias = np.array([b[kept].mean() for b, kept in zip(relu.b, represented, strict=True)])

print("density  represented  alone  opposite  largest W_i·W_j  mean bias")
for row in zip(
    densities, represented.sum(axis=1), alone, pairs, strongest, bias, strict=True
):
    print("{:7g}  {:11}  {:5}  {:8}  {:15.2f}  {:9.3f}".format(*row))

# %% [markdown]
# The number of features represented goes up: one for each dimension at $s = 1$, about two for each at 0.1, more in the
# last two rows. From 0.03 on several arrangements have nearly the same loss, and which of them wins is luck: another
# seed gives other rows, and at 0.03 perhaps five pairs and nothing else. A difference of one means little there, since
# some norms lie between 0 and 1, and the limit of 0.5 cuts through them. Read downwards:
#
# - $s = 1$: the linear model, the top five alone, and the mean for the others.
# - $s = 0.3$: the most important features are alone; those that share come after them, in opposite pairs only.
# - $s = 0.1$: nearly everything is in pairs, the biases are about 0, and each dimension holds about two.
# - $s = 0.003$ and below: nothing is alone, there is positive interference, and negative biases against it. On average
#   fewer pairs are left than at 0.1, and there are more than twice as many features as dimensions.

# %%
sharing = np.flatnonzero(represented[1] & (interference[1] > 0.05))
print("s = 0.3, features that share:", sharing)

# %% tags=["check"]
dense, sparser, sparse, sparsest = 0, 1, 2, slice(5, 7)  # s = 1; 0.3; 0.1; 0.003 and less
assert np.allclose(relu.W[dense].T @ relu.W[dense], top_five, atol=0.1)
assert np.allclose(relu.b[dense], 0.5 * (np.arange(n) >= m), atol=0.1)
assert alone[sparser] >= 1
assert sharing.min() >= alone[sparser]
assert pairs[sparser] >= 2
assert bias[sparser] > 0.005  # a little above 0: exercise 3
assert strongest[sparser] < 0.1
assert pairs[sparse] >= 4
assert strongest[sparse] < 0.1
assert abs(bias[sparse]) < 0.005
assert abs(represented[sparse].sum() - 2 * m) <= 1
assert (alone[sparsest] == 0).all()
assert (strongest[sparsest] > 0.2).all()
assert (bias[sparsest] < -0.05).all()
assert pairs[sparsest].mean() < pairs[sparse]
assert (represented[sparsest].sum(axis=1) > 2 * m).all()
assert ((norms[sparsest] > 0.2) & (norms[sparsest] < 0.8)).any()

# %% [markdown]
# **Predict.** Why are the biases negative in the last rows of the table (the right end of the picture), and about zero
# at $s = 0.1$?
#
# <details><summary>Answer</summary>
#
# At $s = 0.1$ there are hardly any features but pairs of opposites. Their interference is negative and the ReLU alone
# removes it. With more than two features to a dimension some $W_i \cdot W_j$ must be positive, and those add something
# to outputs that should be 0. A negative bias pushes it below zero, at the price of reporting every feature somewhat
# too small (the pentagon of tutorial 1).
#
# </details>

# %% [markdown]
# How much is it worth? Here is the loss of the ReLU model divided by that of the linear model, on the same examples.
# Read it from left, dense, to right, sparse: the blue line starts near 1 and falls.
#
# The dotted line is the same for *five pairs*: features 0 to 9 in five pairs of opposites, the others answered with
# their mean. Part 1 has its loss: $s^2/6$ times its importance for a feature in a pair, $v$ times its importance for
# one that is dropped. At $s = 0.03$ the trained model is only a little better than that; at the right end clearly
# better.

# %%
gain = relu.loss / linear.loss
v = densities / 3 - densities**2 / 4
top, rest = importance[: 2 * m].sum(), importance[2 * m :].sum()
five_pairs = (top * densities**2 / 6 + rest * v) / (importance[m:].sum() * v)
fig, ax = plt.subplots(figsize=(5, 2.8))
ax.plot(1 / densities, gain, "o-", label="loss, ReLU / linear")
ax.plot(
    1 / densities,
    represented.sum(axis=1) / n,
    "s--",
    label="share of features represented",
)
ax.plot(1 / densities, five_pairs, "k:", label="loss, five pairs / linear")
ax.set(xscale="log", xlabel="1/(1 - S), from dense to sparse", ylim=(0, 1.05))
ax.legend()
plt.show()
print("loss, ReLU / linear:      ", gain.round(3))
print("loss, five pairs / linear:", five_pairs.round(3))

# %% tags=["check"]
assert abs(gain[0] - 1) < 0.02
assert (np.diff(gain[:5]) < 0).all()  # the sparser, the more it is worth
assert gain[3] > 0.8 * five_pairs[3]  # s = 0.03
assert gain[-1] < 0.9 * five_pairs[-1]

# %% [markdown]
# <a id="vary"></a>
# ## 6. What to vary
#
# - The paper's second setting, in part 3: `n, m = 80, 20` and `importance = 0.9 ** np.arange(n)`. It takes about half a
#   minute.
# - `importance = np.ones(n)`: is there still an order in which features come in?
# - `restarts=1`, then 6: how much do the numbers in part 5 move from seed to seed? (`"seed"` is in `settings`.)
# - The threshold 0.5 for "represented": try 0.3 and 0.8. Where does it matter?
#
# <details><summary>What you will see</summary>
#
# - The same story, with four times the features: 20, 27, 34, 44, 52, 57 and 64 are represented from $s = 1$ to 0.001,
#   20 of them alone at first and none from 0.01 on. Only at $s = 1$ the linear model has not quite arrived ($W^\top W$
#   is off by 0.3).
# - No feature is better than another, so chance decides who comes in. At $s = 1$ the model keeps a mixture of all (any
#   five directions cost the same), at 0.3 five pairs, at 0.1 sixteen features, and from 0.03 on all twenty at the same
#   length.
# - At $s = 1$ and 0.3 the table is the same for five seeds, with one restart already (but one of these five has a loss
#   24 % higher at 0.3). At 0.1 there are 9 or 10, and below it the number moves by one or two. With one restart losses
#   are up to 30 % above those of sixteen, with six up to 17 %. So the trend can be trusted, and single pairs cannot.
# - In the last three rows only. With 0.3 it is 14, 15 and 14 features there in place of 11, 13 and 13; with 0.8 it is
#   11, 12 and 12. In the rows above them each feature is either about 1 long or nearly 0.
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
# **Exercise 1.** Write the interference yourself. A feature that is not represented at all, $W_i = 0$, has no direction
# and gets interference 0. (Dividing by its length would give NaN, "not a number", with a warning but no error.)
#
# <details><summary>Hint</summary>
#
# Make $\hat W$ first: divide each column by its norm, or by 1 where the norm is 0. Then `Ŵ.T @ W` holds all
# $\hat W_i \cdot W_j$. Square, leave out the diagonal, sum over $j$.
#
# </details>


# %%
def my_interference(W):
    """The sum over j != i of (Ŵ_i · W_j)² for each i; shape (m, n) -> (n,)."""
    raise NotImplementedError


# %%
def check_my_interference(my_interference):
    rng = np.random.default_rng(7)
    W = rng.normal(size=(3, 7)) * np.array([1, 1, 1, 2, 0.1, 0.5, 0])
    got, expected = my_interference(W), tms.interference(W)
    norms = tms.feature_norms(W)
    assert np.shape(got) == (7,), f"the result has shape {np.shape(got)}; expected (7,)"
    assert not np.isnan(got).any(), (
        "there are NaN in it: what about the last feature, whose column is zero?"
    )
    assert not np.allclose(got, np.sqrt(expected)), "this is the square root"
    assert not np.allclose(got, expected + norms**2), "j = i is to be left out"
    assert not np.allclose(got, expected * norms**2), "W_i has to be made to length 1"
    all_scaled = tms.interference(W / np.where(norms > 0, norms, 1))
    assert not np.allclose(got, all_scaled), "only W_i is made to length 1, not W_j"
    assert not np.allclose(got, all_scaled * norms**2), (
        "this is the sum over i for each j; wanted is the sum over j for each i: "
        "the other axis, if row i and column j hold Ŵ_i · W_j"
    )
    assert np.allclose(got, expected), (
        f"got {np.round(got, 3)}, expected {expected.round(3)}"
    )


attempt(check_my_interference, my_interference)

# %% [markdown]
# **Exercise 2.** What is the lowest loss that a *linear* model can reach? Use the formula of part 1 for a model that
# keeps the $m$ most important features clean and drops the others.
#
# <details><summary>Hint</summary>
#
# Kept features contribute 0. A dropped one has $W_i = 0$ and contributes $I_i \cdot v$.
#
# </details>


# %%
def lowest_linear_loss(m, importance, s):
    """Expected loss of the best linear model at density s.

    importance is an array (n,) in any order.
    """
    raise NotImplementedError


# %%
def check_lowest_linear_loss(lowest_linear_loss):
    for k, s in enumerate(densities):
        trained = tms.expected_loss(linear.W[k], linear.b[k], s, importance, "linear")
        got = lowest_linear_loss(m, importance, s)
        assert got <= trained, (
            f"at s = {s} you say {got:.3e}, but the trained model reached {trained:.3e}"
        )
        assert got > 0.99 * trained, (
            f"at s = {s} you say {got:.3e}, "
            f"the trained model got no lower than {trained:.3e}"
        )
    mixed = lowest_linear_loss(1, np.array([0.2, 1.0, 0.5]), 1.0)
    assert np.isclose(mixed, 0.7 / 12), (
        "the most important features need not come first in the array"
    )


attempt(check_lowest_linear_loss, lowest_linear_loss)

# %% [markdown]
# **Exercise 3.** In the table of part 5 the mean bias at $s = 0.3$ is a little above 0. Why not 0, as for *share* in
# part 1? Look at one pair of opposites: $W = [1, -1]$, ReLU, importance 1, and the same bias for both features. Which
# bias has the lowest expected loss? Then explain to yourself in which examples it helps and in which it hurts.
#
# <details><summary>Hint</summary>
#
# Try many: `tms.expected_loss(W, [bias, bias], s)` for every bias in `np.linspace(-0.05, 0.05, 501)`. For the second
# half take the examples by turns: both features off, one on, both on.
#
# </details>


# %%
def bias_of_a_pair(s):
    """The best bias of the two features, a number, within 0.0005; density s <= 0.3."""
    raise NotImplementedError


# %%
def check_bias_of_a_pair(bias_of_a_pair):
    W = np.array([[1.0, -1.0]])
    for s in (0.1, 0.2, 0.3):
        got = bias_of_a_pair(s)
        assert np.shape(got) == (), (
            f"the result has shape {np.shape(got)}; expected one number"
        )
        L = tms.expected_loss(W, [got, got], s)
        for other in (got - 0.0005, got + 0.0005):
            L_other = tms.expected_loss(W, [other, other], s)
            assert L <= L_other, (
                f"at s = {s} you say {got:.5f}, where the loss is {L:.8f}; "
                f"at {other:.5f} it is lower, {L_other:.8f}"
            )


attempt(check_bias_of_a_pair, bias_of_a_pair)

# %% [markdown]
# **Next:** [4. Phase changes](04_phase_changes.ipynb), where the step from one arrangement to another becomes a map.
