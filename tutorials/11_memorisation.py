# %% [markdown]
# # 11. Memorisation: what a model stores when examples are few
#
# So far every step of training saw new examples. The follow-up to the paper, *Superposition, Memorization, and Double
# Descent* (Henighan et al., 2023), trains the same model on a fixed set of T examples, again and again. With few of
# them the model stores no features at all: it stores the examples. With many it stores features. In between it does
# neither well, and is worse on new examples than a model that says nothing.
#
# **You will be able to**
# - say what a loss of 1 means here, and why it is the yardstick;
# - store four examples in two dimensions by hand, without any error, and then any number of them;
# - tell from D whether a model stores examples or features;
# - find the bump of the test loss, and say what its height depends on.
#
# **You need** [tutorial 0](00_start_here.ipynb), and digons, the pentagon and the share of a dimension D from
# [tutorial 1](01_introduction.ipynb); the scalar product.
#
# **Contents**: [a fixed set](#fixed), [examples on a circle, by hand](#circle), [two pentagons](#pentagons),
# [the bump](#bump), [how high is it?](#height), [what to vary](#vary), [exercises](#exercises).
# Reading takes about 25 minutes; the [map](README.md) says how long the cells run, and has a glossary.
#
# **Letters and shapes** (those of tutorial 0, and)
#
# | letter | what it is | shape |
# | --- | --- | --- |
# | T | number of examples | a number |
# | x_t | example t, of length 1 | (n,) |
# | h_t | its hidden vector, W x_t | (m,) |
# | u_t | direction of corner t of a regular polygon with T corners | (2,) |
# | c | distance of the corners from the centre | a number |

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
# <a id="fixed"></a>
# ## 1. A fixed set
#
# 100 features, each on in 3 of 100 examples, so that about three are on at a time. Examples without any are left out,
# and every other one is divided by its length: |x| = 1. The first T of them are for training; a thousand others, never
# trained on, are for the test.


# %%
def examples(count, seed):
    """Sparse examples of length 1, shape (count, 100)."""
    x = tms.SparseFeatures(n=100, density=0.03).sample(2 * count, seed=seed)
    x = x[x.any(axis=1)][:count]
    return x / np.linalg.norm(x, axis=1, keepdims=True)


train_on, test = examples(1000, seed=0), examples(1000, seed=1)
print("features on in the first five:", (train_on[:5] > 0).sum(axis=1))

# %% [markdown]
# **Predict.** Take the model that always answers 0 (W = 0, b = 0). What is its loss? And that of the model that always
# answers the mean of all examples (W = 0, b the mean)? Which of the two numbers depends on the examples?
#
# <details><summary>Answer</summary>
#
# An answer of 0 misses x by |x|² = 1, whatever the example. So its loss is exactly 1. The mean takes away its own
# squared length, which is small where features are rare: see below. It is the best of all constant answers, and a
# model that does better than it must have looked at its input.
#
# </details>

# %%
nothing, mean = np.zeros(100), train_on.mean(axis=0)
for name, b in (("0", nothing), ("the mean", mean)):
    print(f"always {name}: loss on the test {tms.loss(np.zeros((2, 100)), b, test):.4f}")
constant = tms.loss(np.zeros((2, 100)), mean, test)
assert np.isclose(tms.loss(np.zeros((2, 100)), nothing, test), 1, atol=1e-12)
assert constant < 1

# %% [markdown]
# <a id="circle"></a>
# ## 2. Examples on a circle, by hand
#
# Four examples, without a feature in common, in two dimensions. Give each a direction u_t, 90° from the next, and let
# all features of example t point there, each as far as it is on: W_i = x_{t,i} u_t. Then
#
# $$ h_t = \sum_i W_i\,x_{t,i} = u_t \sum_i x_{t,i}^2 = u_t, \qquad
#    z_i = W_i \cdot h_{t'} = x_{t,i}\;u_t \cdot u_{t'} $$
#
# The product u_t · u_t' is 1 for the example itself, 0 for its neighbours and -1 for the one opposite, which the ReLU
# makes 0. So every output is right, with b = 0.

# %%
x = np.zeros((4, 8))
for t in range(4):
    x[t, 2 * t : 2 * t + 2] = 0.6, 0.8  # two features each, and 0.36 + 0.64 = 1
u = np.array([[1, 0, -1, 0], [0, 1, 0, -1]])  # one column a corner
W = u @ x
print(W)
print("hidden vectors, one a column:")
print(W @ x.T)
print("loss:", tms.loss(W, np.zeros(8), x))
assert np.isclose(tms.loss(W, np.zeros(8), x), 0, atol=1e-15)

# %% [markdown]
# Eight features in two dimensions, without error! But not one of them is stored: the model knows four *examples*. Give
# it feature 0 alone, and it answers with features 0 and 1, as they were in the example that it has seen.

# %%
alone = np.eye(8)[:1]
print("feature 0 alone:", tms.forward(W, np.zeros(8), alone)[0].round(2))

# %% [markdown]
# With more than four corners neighbours are less than 90° apart, and disturb each other: u_t · u_t' = cos(2π/T) > 0.
# Now a bias helps, as it does for features in a pentagon. Put the corners at the distance c, with W_i = c x_{t,i} u_t,
# and choose b so that the right answer stays right:
#
# $$ z_i = c^2 x_{t,i} \cos(\text{angle}) + b_i, \qquad b_i = -(c^2 - 1)\,x_{t,i} $$
#
# Neighbours give 0 if c² cos(2π/T) is at most c² - 1, so the least distance that will do is
#
# $$ c^2 = \frac{1}{1 - \cos(2\pi/T)} \approx \frac{T^2}{2\pi^2} $$
#
# So two dimensions hold *any* number of examples without error, as long as no two have a feature in common. It only
# takes larger and larger weights and biases. In exercise 1 you build it.
#
# **Predict.** What is the share of a dimension of an example, |h_t|² / sum over t' of (ĥ_t · h_t')², on a regular
# polygon of T corners?
#
# <details><summary>Answer</summary>
#
# 2/T. All are alike, and together they have two dimensions. It is the formula for features, with hidden vectors in
# place of the columns of W, so `tms.dimensionality` computes it.
#
# </details>

# %%
print(f"{'T':>4} {'c':>7} {'largest b':>10} {'share':>7}")
for T in (3, 5, 10, 100):
    angle = 2 * np.pi * np.arange(T) / T
    c2 = 1 / (1 - np.cos(2 * np.pi / T))
    corners = np.sqrt(c2) * np.stack([np.cos(angle), np.sin(angle)])
    share = tms.dimensionality(corners)
    print(f"{T:4} {np.sqrt(c2):7.2f} {1 - c2:10.2f} {share[0]:7.3f}")
    assert np.allclose(share, 2 / T)

# %% [markdown]
# (The column "largest b" is that of a feature that is on with 1.) What ends this? Features that come in several
# examples. Output i is on where W_i · h + b_i > 0: in a half-plane. A line can cut one corner off a polygon, or some
# that are neighbours, but not two corners with others between them. When T is small, hardly any feature comes twice.
# But with s T = 1 each comes once on average, many come twice or three times, and no order of the examples on the
# circle suits them all.
#
# <a id="pentagons"></a>
# ## 3. Two pentagons
#
# Now training: Adam with weight decay, a warm-up of the learning rate, then a cosine, as in the follow-up paper; all T
# examples at every step, from four starts, of which the one with the lowest training loss is kept.
#
# **Predict.** With T = 5, what will the hidden vectors of the examples look like, and what the features? With T = 1000?
#
# <details><summary>Answer</summary>
#
# With five examples, the examples are the corners of a pentagon. The features lie where their examples are: bundles,
# as in part 2. With a thousand, five *features* are the corners, all others are near 0, and hidden vectors lie along
# the five arms, as far out as their feature is on, most of them near 0.
#
# </details>


# %%
def trained(T, steps=3000):
    """The best of four models, trained on the first T examples."""
    return tms.train(
        tms.Examples(train_on[:T]), n_hidden=2, steps=steps, warmup=steps // 20, weight_decay=0.01,
        restarts=4, seed=0,
    ).best()  # fmt: skip


sizes = [5, 10, 20, 50, 100, 200, 500, 1000]
models = {T: trained(T) for T in sizes}


def vectors(ax, v, color):
    """Columns of v (2, count) as lines from the origin."""
    ax.plot(*np.stack([np.zeros_like(v), v], axis=1), color=color, linewidth=0.8, alpha=0.6)
    ax.plot(*v, "o", color=color, markersize=3)
    limit = 1.15 * np.abs(v).max()
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xticks=[0], yticks=[0])


shown = (5, 20, 100, 1000)
fig, axes = plt.subplots(2, 4, figsize=(8, 4.3))
for (top, bottom), T in zip(axes.T, shown, strict=True):
    vectors(top, models[T].W, "#0072B2")
    vectors(bottom, models[T].W @ train_on[:T].T, "#D55E00")
    top.set_title(f"T = {T}")
axes[0, 0].set_ylabel("features W$_i$")
axes[1, 0].set_ylabel("examples h$_t$")
plt.show()

for T in (5, 1000):
    features = np.sort(tms.dimensionality(models[T].W))[::-1][:6]
    hidden = np.median(tms.dimensionality(models[T].W @ train_on[:T].T))
    print(f"T = {T:4}: largest shares of features {features.round(2)}, median of examples {hidden:.3f}")
few = tms.dimensionality(models[5].W @ train_on[:5].T)
assert np.allclose(few, 2 / 5, atol=0.03)
assert tms.features_represented(models[1000].W) == 5

# %% [markdown]
# Each panel has its own scale. At T = 1000 the five have a little less than 2/5 each, because 95 others that are
# nearly 0 stand in the denominator too. At T = 20 and 100 the examples still lie on something round: the model stores
# what it can of them.
#
# <a id="bump"></a>
# ## 4. The bump
#
# **Predict.** How does the loss on the test change as T grows? Where will it be above 1?
#
# <details><summary>Answer</summary>
#
# With a handful of examples it is about 1: what the model has stored is hardly ever asked for. With many it is below
# that of the mean. One would expect a way down from the one to the other. But in between it goes *up* first: the model
# answers loudly, with large weights, and wrongly.
#
# </details>

# %%
print(f"{'T':>5} {'s T':>5} {'training':>9} {'test':>6}   largest share of a feature, of an example times T/2 (median)")
curve = []
for T, model in models.items():
    loss = tms.loss(model.W, model.b, test)
    feature = tms.dimensionality(model.W).max()
    example = np.median(tms.dimensionality(model.W @ train_on[:T].T)) * T / 2
    curve.append((T, model.loss, loss, feature, example))
    print(f"{T:5} {0.03 * T:5.2g} {model.loss:9.3f} {loss:6.3f}   {feature:4.2f} {example:5.2f}")
T, training, testing, feature, example = np.array(curve).T
assert 0.9 < training[-1] < testing[-1] < constant
assert testing[3:5].max() > 1.1  # at T = 50 and 100

fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
left.plot(T, testing, "-o", markersize=3, label="test")
left.plot(T, training, "-o", markersize=3, label="training")
left.axhline(1, color="0.4", linestyle="--", linewidth=0.9, label="always 0")
left.axhline(constant, color="0.4", linestyle=":", linewidth=0.9, label="always the mean")
left.set(xscale="log", xlabel="examples T", ylabel="loss", ylim=(0, None))
left.legend()
right.plot(T, feature, "-o", color="#0072B2", markersize=3, label="feature with the largest share")
right.plot(T, example, "-o", color="#D55E00", markersize=3, label="examples: median, times T/2")
right.set(xscale="log", xlabel="examples T", ylabel="share of a dimension D")
right.legend()
plt.show()

# %% [markdown]
# The training loss only goes up: more examples, harder to store. The test loss goes up, and then down below 1, where
# the share of examples gives way to that of features. More data made the model worse, and then better: that is *double
# descent*. It turns where a feature has been seen a few times (s T from about 1 to 6), and not before it has been seen
# often does the model learn it. (At T = 5 the test loss is already below 1: with 100 features, two examples often
# have one in common. In the findings, with 1,000 features, it is 1.00.)
#
# <a id="height"></a>
# ## 5. How high is it?
#
# People who repeat this experiment report very different heights: a bump of one percent, or a loss of thousands. Part 2
# has a hint: storing examples takes large weights, and weights take time to grow.
#
# **Predict.** At T = 100, what happens to training loss, test loss and |W| if we train ten times as long, or a tenth?
#
# <details><summary>Answer</summary>
#
# The longer, the larger the weights, the better on what it has seen, and the worse on what it has not. So the height of
# the bump tells how long was trained (and all that acts like it: the learning rate, the weight decay) rather than
# something about the data.
#
# </details>

# %%
heights = []
for steps in (100, 300, 1000, 3000, 10000):
    model = trained(100, steps)
    heights.append(tms.loss(model.W, model.b, test))
    size = np.sqrt(tms.features_learned(model.W))
    print(f"{steps:5} steps: training {model.loss:.3f}, test {heights[-1]:.3f}, |W| = {size:.1f}")
assert heights[-1] > heights[0]

# %% [markdown]
# [The findings](../figures/README.md#memorisation-and-double-descent) do this with 1,000 features and four data sets,
# compare n = 10,000, and try what else people disagree about: the mean over features in place of the sum, double
# precision, weight decay.
#
# <a id="vary"></a>
# ## 6. What to vary
#
# - `restarts=1` in `trained`: do you still get both pentagons?
# - `weight_decay=1.0`: what is left of the bump? Of the polygon of examples?
# - `tms.Examples(train_on[:T], importance=1e-6)`: loss and gradient are a million times smaller. Adam divides by the
#   size of the gradient, so nothing else should change; it does, since Adam adds a small number to that size first.
# - `seed=2` for the training examples: where is the bump now?
#
# The `assert` lines hold for the settings as they are. If one stops a cell, put a # in front of it.
#
# <a id="exercises"></a>
# ## 7. Exercises
#
# Fill in each function and run the cell below it, which says "not yet" or "solved".


# %%
def attempt(check, answer):
    """Say whether an answer is right, and if not yet, what is missing."""
    try:
        check(answer)
    except Exception as problem:
        print("not yet.", str(problem) or "Fill in the function first.")
    else:
        print("solved!")


# %% [markdown]
# **Exercise 1.** Build the model of part 2 for any number T > 2 of examples of length 1 that have no feature in common:
# loss 0, with corners at the least distance that will do.
#
# <details><summary>Hint</summary>
#
# As for four examples, W is (corners) @ x, with corners of shape (2, T) at the distance c. Each feature is on in at
# most one example, so the sum of x over the examples, `x.sum(axis=0)`, is its value there.
#
# </details>


# %%
def memorise(x):
    """W (2, n) and b (n,) that answer each of the examples x (T, n) without error."""
    raise NotImplementedError


# %%
def check_memorise(memorise):
    rng = np.random.default_rng(0)
    for T, each in ((3, 2), (4, 1), (5, 2), (30, 3)):
        x = np.kron(np.eye(T), np.ones(each)) * rng.uniform(0.2, 1, T * each)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        W, b = memorise(x)
        assert np.shape(W) == (2, T * each), f"W has shape {np.shape(W)}; expected {(2, T * each)}"
        assert np.shape(b) == (T * each,), f"b has shape {np.shape(b)}; expected {(T * each,)}"
        loss = tms.loss(W, b, x)
        assert loss < 1e-20, f"T = {T}: the loss is {loss:.2g}; expected 0"
        assert np.allclose(tms.dimensionality(W @ x.T), 2 / T), f"T = {T}: not a regular polygon"
        got, least = np.linalg.norm((W @ x.T)[:, 0]), np.sqrt(1 / (1 - np.cos(2 * np.pi / T)))
        assert np.isclose(got, least), f"T = {T}: the distance is {got:.3f}; the least is {least:.3f}"


attempt(check_memorise, memorise)

# %% [markdown]
# **Exercise 2.** The share of a dimension of each example, without `tms.dimensionality`. An example whose hidden vector
# is 0 has share 0.
#
# <details><summary>Hint</summary>
#
# With h = W @ x.T, the products of all hidden vectors are G = h.T @ h. |h_t|² is G[t, t], and (ĥ_t · h_t')² is
# G[t, t']² / G[t, t].
#
# </details>


# %%
def data_shares(W, x):
    """D of each of the examples x (T, n) in a model with weights W (m, n): shape (T,)."""
    raise NotImplementedError


# %%
def check_data_shares(data_shares):
    for W, x in ((u @ np.kron(np.eye(4), [0.6, 0.8]), np.kron(np.eye(4), [0.6, 0.8])),
                 (models[20].W.astype(float), np.concatenate([train_on[:20], np.zeros((1, 100))]))):  # fmt: skip
        got, expected = np.asarray(data_shares(W, x)), tms.dimensionality(W @ x.T)
        assert got.shape == expected.shape, f"the result has shape {got.shape}; expected {expected.shape}"
        assert np.isfinite(got).all(), "an example whose hidden vector is 0 has share 0, not nan"
        worst = abs(got - expected).argmax()
        assert np.allclose(got, expected), f"example {worst}: got {got[worst]:.4f}, expected {expected[worst]:.4f}"


attempt(check_data_shares, data_shares)

# %% [markdown]
# **Exercise 3.** T examples are the corners of a regular polygon, numbered around it, and a feature was on in some of
# them, but not in all. Is there a line that cuts these from the others, as its output needs?
#
# <details><summary>Hint</summary>
#
# They must be neighbours: going once around the circle, the answer to "is it on here?" changes exactly twice. Compare
# `on` with `np.roll(on, 1)`.
#
# </details>


# %%
def can_be_cut_off(on):
    """Whether a line separates the corners where `on`, bools of shape (T,), is True from all others."""
    raise NotImplementedError


# %%
def check_can_be_cut_off(can_be_cut_off):
    rng = np.random.default_rng(0)
    for T in (4, 7, 12):
        angle = 2 * np.pi * np.arange(T) / T
        corners = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        turns = np.linspace(0, 2 * np.pi, 60 * T + 1) + 0.001
        along = corners @ np.stack([np.cos(turns), np.sin(turns)])  # how far each corner lies in each direction
        for _ in range(40):
            on = np.roll(np.arange(T) < rng.integers(1, T), rng.integers(T))
            if rng.random() < 0.5:
                on = rng.permutation(on)
            possible = (along[on].min(axis=0) > along[~on].max(axis=0) + 1e-6).any()
            got = can_be_cut_off(on)
            assert bool(got) == possible, f"corners {np.flatnonzero(on)} of {T}: you say {got}, a search {possible}"


attempt(check_can_be_cut_off, can_be_cut_off)

# %% [markdown]
# **Next:** [the findings](../figures/README.md), where every figure is repeated and each claim measured; or back to
# [the map](README.md).
