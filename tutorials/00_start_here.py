# %% [markdown]
# # 0. Start here
#
# A neural network often knows more things than it has room for. *Superposition* is the name for how it manages: it
# stores several things in one place, and gets away with it as long as they seldom occur together. This course follows
# the paper [*Toy Models of Superposition*](https://transformer-circuits.pub/2022/toy_model/index.html) (Elhage et al.,
# 2022). This tutorial builds the smallest case from nothing.
#
# **You will be able to**
# - say what a sparse feature is, and draw a batch of them;
# - work out both models and their loss with pen and paper, for a handful of numbers;
# - explain how one number can carry two features, and when that pays;
# - train a model in a few lines and draw what it learned.
#
# **You need** Python with NumPy arrays, the product of two matrices, and the mean of a random number. No machine
# learning.
#
# **Contents**: [features](#features), [two models](#models), [the loss](#loss), [when sharing pays](#pays),
# [a first picture](#picture), [what to vary](#vary), [exercises](#exercises).
# The first exercise comes at the end of part 1. Reading takes about 20 minutes; the [map](README.md) says how long the
# cells run, and has a glossary.
#
# **Letters and shapes**
#
# | letter | what it is | shape |
# | --- | --- | --- |
# | $n$, $m$ | number of features, number of hidden dimensions | numbers, $m < n$ |
# | $s$, $S$ | density, the probability that a feature is on; sparsity, $S = 1 - s$ | numbers in [0, 1] |
# | $x$ | a batch of examples: one row each, one column a feature | (batch, n) |
# | $x_i$, $y_i$, $I_i$ | that of feature $i$ alone, in one example; $i$ counts from 0 | numbers |
# | $W$ | weights; column $i$, written $W_i$, says where feature $i$ is stored | (m, n) |
# | $b$ | bias, one number a feature | (n,) |
# | $h$ | hidden values, what is stored | (batch, m) |
# | $z$ | output before the last step, $h W + b$ | (batch, n) |
# | $y$ | output, the features as the model reconstructs them | (batch, n) |
# | $I$ | importance of each feature: how much an error in it counts | (n,) |
# | $L$ | loss, how wrong the model is | a number |

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
# <a id="features"></a>
# ## 1. Features are mostly off
#
# Think of a network that looks at photographs. There may be a dog in the picture, or a wheel, or a bridge. Each is a
# *feature*: absent (the number 0), or present to some degree (a number between 0 and 1). There are very many features
# in the world, and any one photograph has very few of them. Features are *sparse*.
#
# So our data are as plain as can be. Each feature of each example is, independently of everything else,
#
# - 0 with probability $S$ (the *sparsity*),
# - otherwise a random number between 0 and 1, all equally likely.
#
# It is handier to speak of the *density* $s = 1 - S$, the probability that a feature is on. Here are eight examples of
# five features at $s = 0.2$. Every row is an example.

# %%
features = tms.SparseFeatures(n=5, density=0.2)
x = features.sample(8, seed=1)  # the same seed draws the same examples
print(x.round(2))
print("shape:", x.shape, " numbers that are not 0:", np.count_nonzero(x), "of", x.size)

# %% [markdown]
# **Predict.** In a very large batch at density $s = 0.2$: (a) which share of the numbers is not 0? (b) what is the mean
# of a column? (c) in which share of the examples are features 0 and 1 *both* on?
#
# <details><summary>Answer</summary>
#
# (a) $s$. (b) A feature that is on is 1/2 on average, and it is on with probability $s$: the mean is $s/2$. (c) They
# are independent, so $s$ times $s$. At $s = 0.2$ that is one example in 25. Rare features meet very rarely: halve $s$
# and they meet four times less often. Keep this in mind, the whole subject rests on it.
#
# So the three numbers are 0.2, 0.1 and 0.04. A batch is finite, so its own differ a little.
#
# </details>

# %%
s = 0.2
x = features.sample(200_000, seed=0)
# x > 0 is an array of True and False, and its mean is the share of True.
share_on, mean, both_on = (
    (x > 0).mean(),
    x[:, 0].mean(),
    ((x[:, 0] > 0) & (x[:, 1] > 0)).mean(),
)
print(f"(a) on      {share_on:.4f}")
print(f"(b) mean    {mean:.4f}")
print(f"(c) both on {both_on:.4f}")

# %% tags=["check"]
assert abs(share_on - s) < 0.005
assert abs(mean - s / 2) < 0.005
assert abs(both_on - s * s) < 0.005

# %% [markdown]
# **Exercise 1.** A first small thing to do: how often is each feature on? One line will do. Fill in the function in
# place of the line `raise NotImplementedError`, run its cell, and then the one below, which says "not yet" or "solved".
#
# <details><summary>Hint</summary>
#
# `x > 0` has the shape of `x`, and is True where a feature is on. Take the mean over the examples, which are the rows:
# `axis=0`.
#
# </details>


# %%
def how_often(x):
    """In which share of the examples each feature is on: (batch, n) -> (n,)."""
    raise NotImplementedError


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


def check_how_often(how_often):
    x = np.array([[0.5, 0, 0], [0.9, 0.2, 0], [0, 0.1, 0], [0.7, 0, 0]])
    got, expected = np.asarray(how_often(x)), np.array([3 / 4, 2 / 4, 0])
    assert got.shape == (3,), (
        f"the result has shape {got.shape}; expected (3,), one number a feature"
    )
    assert not np.allclose(got, 4 * expected), (
        "these are counts: divide by the number of examples"
    )
    assert not np.allclose(got, x.mean(axis=0)), (
        "this is the mean of each feature; asked is how often it is on"
    )
    assert np.allclose(got, expected), (
        f"got {got.round(3)}, expected {expected.round(3)}"
    )


attempt(check_how_often, how_often)

# %% [markdown]
# <a id="models"></a>
# ## 2. Two models, with pen and paper
#
# The models have to pass $n$ features through a bottleneck of only $m$ numbers, $m < n$, and get the features back:
#
# $$ h = x W^\top \qquad z = h\,W + b \qquad y = z \;\text{ (linear)} \quad\text{or}\quad y = \mathrm{ReLU}(z) $$
#
# $h$ is what is stored. Feature $i$ is stored along column $i$ of $W$: if only feature $i$ is on, with value $x_i$,
# then $h$ is $x_i W_i$. The same $W$ reads the features out again, a bias $b$ is added, and that is the linear model.
# The other model then applies $\mathrm{ReLU}(z) = \max(z, 0)$ (*rectified linear unit*), which turns every negative
# number into 0. Such a last step is called an *activation*. (Rows are examples, so $x W^\top$ is the product of the
# batch with $W$ turned on its side: for every row, the sum of $x_i W_i$.)
#
# The smallest case: $n = 2$ features through $m = 1$ number. Let $W = [1, -1]$ and $b = [0, 0]$: feature 0 is stored
# as a positive number and feature 1 as a negative one. Reading out multiplies by $W$ once more: feature 0 alone, stored
# as $x_0 \cdot 1$, comes back as $x_0 \cdot 1 \cdot 1 = x_0$ in its own output, and as $x_0 \cdot 1 \cdot (-1) = -x_0$
# in the other. Three examples:
#
# | example $x$ | $h = x_0 - x_1$ | $z = [h, -h]$ | $y = \mathrm{ReLU}(z)$ | right? |
# | --- | --- | --- | --- | --- |
# | [0.6, 0.0] | 0.6 | [0.6, -0.6] | [0.6, 0.0] | exactly |
# | [0.0, 0.3] | -0.3 | [-0.3, 0.3] | [0.0, 0.3] | exactly |
# | [0.6, 0.3] | 0.3 | [0.3, -0.3] | [0.3, 0.0] | no: wrong by 0.3 in both |
#
# **One number carries two features.** What a feature adds to the output of another is called *interference*. When one
# is on alone, it is negative here, and the ReLU removes it. Only when both are on do they spoil each other. That is
# superposition.
#
# The same by the library:

# %%
W = np.array([[1.0, -1.0]])  # (m, n) = (1, 2)
b = np.zeros(2)
x = np.array([[0.6, 0.0], [0.0, 0.3], [0.6, 0.3]])

y = tms.forward(W, b, x, activation="relu")
print(y)

# %% tags=["check"]
assert np.allclose(y, [[0.6, 0.0], [0.0, 0.3], [0.3, 0.0]])

# %% [markdown]
# **Predict.** What does the *linear* model make of the first example, [0.6, 0.0], with the same $W$ and $b$?
#
# <details><summary>Answer</summary>
#
# $y = z = [0.6, -0.6]$. Nothing removes the interference, so feature 1 is reported at -0.6 although it is off, an error
# as large as if feature 0 had been given up. A linear model pays for sharing whenever a feature is on, not only where
# two meet. So it gains nothing by sharing, as [tutorial 3](03_demonstrating_superposition.ipynb) shows.
#
# </details>

# %%
print(tms.forward(W, b, x[:1], activation="linear"))

# %% tags=["check"]
assert np.allclose(tms.forward(W, b, x[:1], activation="linear"), [[0.6, -0.6]])

# %% [markdown]
# <a id="loss"></a>
# ## 3. The loss: one number that says how wrong
#
# For each example add up the squared errors of the features, each weighted by its importance; then take the mean over
# the batch:
#
# $$ L = \text{mean over the batch of } \sum_i I_i\,(y_i - x_i)^2 $$
#
# In our three examples only the last is wrong, by 0.3 in each feature. With importance 1 for both:
#
# $L = (0 + 0 + (0.3^2 + 0.3^2)) / 3 = 0.18 / 3 = 0.06$
#
# **Predict.** And if the second feature matters half as much, $I = [1, 0.5]$?
#
# <details><summary>Answer</summary>
#
# $(0.09 + 0.5 \cdot 0.09) / 3 = 0.135 / 3 = 0.045$.
#
# </details>

# %% [markdown]
# `tms.forward` and `tms.loss` take the ReLU model, and importance 1, unless told otherwise.

# %%
print(
    "L =",
    tms.loss(W, b, x, importance=1.0).round(6),
    " with I = [1, 0.5]:",
    tms.loss(W, b, x, [1, 0.5]).round(6),
)

# %% tags=["check"]
assert np.isclose(tms.loss(W, b, x, importance=1.0), 0.06)
assert np.isclose(tms.loss(W, b, x, importance=[1, 0.5]), 0.045)

# %% [markdown]
# <a id="pays"></a>
# ## 4. When does sharing pay?
#
# There are two honest ways to spend one number on two equally important features:
#
# - **Keep one, give up the other**: $W = [1, 0]$. Feature 0 always comes out right. Feature 1 is never seen, so the
#   best that can be said about it is its mean, $b = [0, s/2]$.
# - **Share**: $W = [1, -1]$, $b = [0, 0]$, as above.
#
# **Predict.** Which has the lower loss when every feature is always on ($s = 1$)? And when they are on in one example
# out of ten ($s = 0.1$)?
#
# <details><summary>Answer</summary>
#
# At $s = 1$ both features are on in every example and sharing spoils each one: keeping one is better. At $s = 0.1$ the
# two meet in one example out of a hundred, while the feature that was given up is missed in one out of ten: sharing is
# much better. Somewhere in between they cost the same. [Tutorial 4](04_phase_changes.ipynb) finds that place with pen
# and paper: $s = 4/7$.
#
# </details>

# %% [markdown]
# We try it, on a large batch for each of several densities.

# %%
densities = np.array([0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 1.0])
keep_one, share = [], []
for s in densities:
    x = tms.SparseFeatures(n=2, density=s).sample(200_000, seed=2)
    keep_one.append(tms.loss(np.array([[1.0, 0.0]]), np.array([0, s / 2]), x))
    share.append(tms.loss(np.array([[1.0, -1.0]]), np.zeros(2), x))

print("density   keep one      share    better")
for s, one, both in zip(densities, keep_one, share, strict=True):
    better = "share" if both < one else "keep one"
    print(f"{s:7.2f}   {one:8.6f}   {both:8.6f}    {better}")

# %% tags=["check"]
# From s = 0.1 to 0.01 one falls about tenfold, the other about a hundredfold.
assert keep_one[-1] < share[-1]  # s = 1
assert share[2] < 0.2 * keep_one[2]  # s = 0.1: less than a fifth of the loss
assert 8 < keep_one[2] / keep_one[0] < 12
assert 80 < share[2] / share[0] < 120

# %%
fig, ax = plt.subplots(figsize=(5, 3))
ax.plot(1 / densities, keep_one, "o-", label="keep one, W = [1, 0]")
ax.plot(1 / densities, share, "o-", label="share, W = [1, -1]")
ax.axvline(7 / 4, color="0.6", linestyle=":")
ax.annotate("s = 4/7", (7 / 4, 1e-4), xytext=(4, 0), textcoords="offset points")
ax.set(
    xscale="log",
    yscale="log",
    xlabel="1 / s, from dense to sparse",
    ylabel="loss L",
    title="One number, two features",
)
ax.legend()
plt.show()

# %% [markdown]
# Both axes are logarithmic, and features get rarer from left to right, as in the paper's pictures. Beyond the dotted
# line, $s = 4/7$, sharing is ahead, and the sparser the features, the further. Towards the right the blue line falls
# like $s$: ten times rarer, a tenth of the loss, since a missed feature costs something whenever it is on. The orange
# one falls like $s^2$: ten times rarer, a hundredth, since only meetings cost. At the far left the blue line bends
# down: the mean is a better guess at a feature that is always on.
#
# <a id="picture"></a>
# ## 5. A first picture
#
# Nobody will tell the model about sharing. We give it random weights, show it examples, and let it lower its loss step
# by step. How that works, and what `steps` and `learning_rate` are, is
# [tutorial 2](02_the_gradient_by_hand.ipynb). Here are five features for two hidden dimensions, on in one example out
# of twenty, in a few lines. The model is trained from eight random starts, and `run.best()` is the one that ended with
# the lowest loss. (The very first training takes some seconds more, while Numba compiles its loops.)

# %%
features = tms.SparseFeatures(n=5, density=0.05)
run = tms.train(
    features, n_hidden=2, steps=2000, learning_rate=1e-2, restarts=8, seed=0
)
fig, ax = plt.subplots(figsize=(3.2, 3.2))
plots.feature_vectors(ax, run.best().W)
ax.set(xlabel="hidden dimension 1", ylabel="hidden dimension 2")
plt.show()

# %% [markdown]
# The axes are the two hidden dimensions, and each line is a column of $W$: the direction in the plane along which one
# feature is stored. The plane has room for two directions at right angles, and yet all five features are there, spread
# evenly, as a pentagon. [Tutorial 1](01_introduction.ipynb) explains why a pentagon, why its lines are longer than 1,
# and why there were `restarts=8`.

# %%
norms = tms.feature_norms(run.best().W)  # the length of each column
across, up = run.best().W  # the two hidden dimensions, one number a feature
angle = np.sort(np.degrees(np.arctan2(up, across)))
gaps = np.diff(angle, append=angle[0] + 360)  # the last one leads back to the first
print("lengths:", norms.round(3))
print(
    "angles between neighbours, in degrees:",
    gaps.round(1),
    " a fifth is",
    360 / 5,
)

# %% tags=["check"]
assert tms.features_represented(run.best().W) == 5  # columns longer than 0.5
assert np.allclose(gaps, 72, atol=3)
assert norms.min() > 0.95 * norms.max()

# %% [markdown]
# <a id="vary"></a>
# ## 6. What to vary
#
# All in the short cell of part 5; the next cell prints the lengths. (The angles of columns near 0 say nothing.)
#
# - `density=1.0, importance=0.9 ** np.arange(5)` in `SparseFeatures`. How many features are left? (With equal
#   importance no feature is better than another, and a dense model may keep any mixture of them.)
# - `n=6`, `n=8`: is there a limit to what fits into the plane?
# - `importance=0.5 ** np.arange(5)`, with `density` 0.05, 0.3 and 0.5: which features are given up first as it grows?
# - `density=0.15` and `restarts=1` with `seed` from 0 to 5: do you always get the pentagon?
#
# <details><summary>What you will see</summary>
#
# - Two are left, the most important ones, at right angles and of length 1. Features that are always on always meet, so
#   sharing does not pay.
# - There is. Of six features five form the pentagon, and the sixth is short, about 0.3. (With `restarts=64` one start
#   finds a hexagon, and its loss is a little lower still.) Of eight, six form a hexagon, and two are given up: their
#   lines are near 0. The more features share the plane, the closer the neighbours, and the more they disturb each
#   other.
# - The least important. At 0.05 four are left, in two pairs of opposite directions, each like $W = [1, -1]$ in part 2;
#   at 0.3 three, and at 0.5 two, at right angles.
# - No: three of the six starts end with four features in two pairs and a short fifth, at a loss of 0.060 in place of
#   0.050. Training goes downhill from where it starts, and may end in a valley that is not the deepest. That is what
#   several starts are for.
#
# </details>
#
# <a id="exercises"></a>
# ## 7. Exercises
#
# As in exercise 1: fill in each function in place of the line `raise NotImplementedError` and run the cell below it,
# which says "not yet" or "solved". Solutions are in the folder `tutorials/solutions` of the repository.
#
# **Exercise 2.** Write the forward pass of the ReLU model yourself, in NumPy.
#
# <details><summary>Hint</summary>
#
# Follow the shapes: from (batch, n) to (batch, m) and back, both times with `W`, once turned on its side (`W.T`). Then
# the bias, then the ReLU: of `np.maximum(z, 0)` each entry is the larger of the two.
#
# </details>


# %%
def reconstruct(W, b, x):
    """y = ReLU(x Wᵀ W + b); shapes (m, n), (n,), (batch, n) -> (batch, n)."""
    raise NotImplementedError


# %%
def check_reconstruct(reconstruct):
    W, b, x = rng.normal(size=(3, 6)), rng.normal(size=6), rng.random((10, 6))
    try:
        y = np.asarray(reconstruct(W, b, x))
    except ValueError as problem:
        if "ambiguous" in str(problem):
            raise AssertionError(
                "Python's max takes numbers; for arrays there is np.maximum"
            ) from problem
        raise AssertionError(
            f"shapes do not fit; x is {x.shape}, W {W.shape}, b {b.shape}. Rows are examples. ({problem})"
        ) from problem
    assert y.shape == (10, 6), f"the result has shape {y.shape}; expected (10, 6)"
    assert (y >= 0).all(), "some outputs are negative: where is the ReLU?"
    assert not np.allclose(y, tms.forward(W, 0 * b, x)), "the bias is missing"
    assert np.allclose(y, tms.forward(W, b, x)), (
        "the numbers differ from those of tms.forward"
    )


attempt(check_reconstruct, reconstruct)

# %% [markdown]
# **Exercise 3.** Write the loss. Mean over the batch, sum over the features.
#
# <details><summary>Hint</summary>
#
# `importance * (y - x) ** 2` has shape (batch, n): each column has met its own importance. Sum over the last axis, then
# take the mean of what is left.
#
# </details>


# %%
def weighted_loss(y, x, importance):
    """Mean over the batch of sum_i I_i (y_i - x_i)².

    Shapes (batch, n), (batch, n), (n,) -> a number.
    """
    raise NotImplementedError


# %%
def check_weighted_loss(weighted_loss):
    W, b, x, importance = (
        rng.normal(size=(3, 6)),
        rng.normal(size=6),
        rng.random((10, 6)),
        rng.random(6),
    )
    L, expected = (
        weighted_loss(tms.forward(W, b, x), x, importance),
        tms.loss(W, b, x, importance),
    )
    assert np.shape(L) == (), f"the result has shape {np.shape(L)}; expected one number"
    assert not np.isclose(L, expected / 6), (
        "too small by a factor n: the features are summed, not averaged"
    )
    assert not np.isclose(L, expected * 10), (
        "too large by the batch size: the examples are averaged, not summed"
    )
    assert not np.isclose(L, tms.loss(W, b, x)), "the importance is missing"
    assert np.isclose(L, expected), f"got {L:.6f}, expected {expected:.6f}"


attempt(check_weighted_loss, weighted_loss)

# %% [markdown]
# **Exercise 4.** Write the sampler: independent sparse features from a NumPy generator. This looks too easy to get
# wrong, and it is the place where published work *did* go wrong ([tutorial 4b](04b_the_slip_and_the_exact_loss.ipynb)
# tells the story), so the check is thorough.
#
# <details><summary>Hint</summary>
#
# Draw two arrays of shape (batch, n) with `rng.random`: one says which features are on (where it is below the density),
# the other holds the values. Every entry must have a coin of its own.
#
# </details>


# %%
def sample(batch, n, density, rng):
    """A batch (batch, n) of independent entries.

    Each is 0 with probability 1 - density, else uniform on [0, 1).
    """
    raise NotImplementedError


# %%
def check_sample(sample):
    s = 0.3
    x = sample(40_000, 3, s, np.random.default_rng(1))
    assert np.shape(x) == (40_000, 3), (
        f"the result has shape {np.shape(x)}; expected (40000, 3)"
    )
    on = x > 0
    share = on.mean()
    two = np.asarray(sample(2, 100, s, np.random.default_rng(0))) > 0
    assert two.all() or not two.any() or (two[0] != two[1]).any(), (
        "all examples have the same features on: one coin for each entry, please"
    )
    assert abs(share - s) < 0.01, (
        f"a share {share:.3f} of the entries is on; expected the density, {s}"
    )
    assert abs(x[on].mean() - 0.5) < 0.01, (
        f"entries that are on have mean {x[on].mean():.3f}; expected 0.5"
    )
    low = (x[on] < 0.25).mean()
    assert abs(low - 0.25) < 0.02, (
        f"a share {low:.3f} of the values is below 0.25; expected 0.25, "
        "all values equally likely"
    )
    assert x.max() > 0.99, f"the largest value is {x.max():.3f}; values reach up to 1"
    assert np.unique(x[on]).size > 0.99 * on.sum(), (
        "some entries have their value in common: a value for each entry, please"
    )
    given = on[on[:, 0], 1].mean()
    assert abs(given - s) < 0.02, (
        f"where feature 0 is on, feature 1 is on with share {given:.3f}; expected {s}"
    )
    again = on[1:, 0][on[:-1, 0]].mean()
    assert abs(again - s) < 0.02, (
        f"after an example with feature 0 on, it is on again with share {again:.3f}, "
        f"not {s}"
    )


attempt(check_sample, sample)

# %% [markdown]
# **Next:** [1. Five features in two dimensions](01_introduction.ipynb).
