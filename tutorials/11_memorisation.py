# %% [markdown]
# # 11. Memorisation: what a model stores when examples are few
#
# So far every step of training saw new examples. The follow-up to the paper, [*Superposition, Memorization, and Double
# Descent*](https://transformer-circuits.pub/2023/toy-double-descent/index.html) (Henighan et al., 2023), trains the
# same model on a fixed set of $T$ examples, again and again. With few of them the model stores no features at all: it
# stores the examples. With many it stores features. Part 4 asks what it does to new examples on the way from the one
# to the other.
#
# **You will be able to**
# - say what a loss of 1 means here, and why it is the yardstick;
# - store four examples in two dimensions by hand, without any error, and then any number of them;
# - tell from $D$ whether a model stores examples or features;
# - follow the test loss from few examples to many, and say what its height depends on.
#
# **You need** [tutorial 0](00_start_here.ipynb), and digons, the pentagon and the share of a dimension $D$ from
# [tutorial 1](01_introduction.ipynb); the scalar product.
#
# **Contents**: [a fixed set](#fixed), [examples on a circle, by hand](#circle), [few examples, and many](#few),
# [new examples](#new), [how long to train](#long), [what to vary](#vary), [exercises](#exercises).
# Reading takes about 25 minutes; the [map](README.md) says how long the cells run, and has a glossary.
#
# **Letters and shapes** (those of tutorial 0, and)
#
# | letter | what it is | shape |
# | --- | --- | --- |
# | $T$ | number of examples | a number |
# | $sT$ | density times $T$: in how many of the examples a feature is on, on average | a number |
# | $x_t$ | example $t$, of length 1 | (n,) |
# | $x_{t,i}$ | feature $i$ in example $t$ | a number |
# | $h_t$ | its hidden vector, $W x_t$ | (m,) |
# | $\hat h_t$ | $h_t$ divided by its length | (m,) |
# | $u_t$ | direction of corner $t$ of a regular polygon with $T$ corners; in code `u`, one column a corner | (2,) |
# | $c$ | distance of the corners from the centre | a number |

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
# and every other one is divided by its length: $\lvert x \rvert = 1$. The first $T$ of them are for training; a
# thousand others, never trained on, are for the test.


# %%
def examples(count, seed):
    """Sparse examples of length 1, shape (count, 100)."""
    x = tms.SparseFeatures(n=100, density=0.03).sample(2 * count, seed=seed)
    x = x[x.any(axis=1)][:count]
    return x / np.linalg.norm(x, axis=1, keepdims=True)


train_on, test = examples(1000, seed=0), examples(1000, seed=1)
print("features on in the first five:", (train_on[:5] > 0).sum(axis=1))

# %% [markdown]
# **Predict.** Take the model that always answers 0 ($W = 0$, $b = 0$). What is its loss? And that of the model that
# always answers the mean $\mu$ of all examples ($W = 0$, $b = \mu$)? Which of the two numbers depends on the examples?
#
# <details><summary>Answer</summary>
#
# An answer of 0 misses $x$ by $\lvert x \rvert^2 = 1$, whatever the example. So its loss is exactly 1. For the mean,
#
# $$ \mathrm{mean}\,\lvert x - \mu \rvert^2 = 1 - 2\,\mu \cdot \mu + \lvert \mu \rvert^2 = 1 - \lvert \mu \rvert^2 $$
#
# That depends on the examples, and is little below 1 where features are rare. It is the best of all constant answers,
# and a model that does better than it must have looked at its input.
#
# </details>

# %%
nothing, mean = np.zeros(100), train_on.mean(axis=0)
constant = tms.loss(np.zeros((2, 100)), mean, test)
print(f"always 0:        loss on the test {tms.loss(np.zeros((2, 100)), nothing, test):.4f}")
print(f"always the mean: loss on the test {constant:.4f}, on the examples it is the mean of "
      f"{tms.loss(np.zeros((2, 100)), mean, train_on):.4f}")
print(f"1 - |mean|² = {1 - mean @ mean:.4f}")

# %% tags=["check"]
assert np.isclose(tms.loss(np.zeros((2, 100)), nothing, test), 1, atol=1e-12)
assert np.isclose(tms.loss(np.zeros((2, 100)), mean, train_on), 1 - mean @ mean)
assert 1 - mean @ mean < constant < 1

# %% [markdown]
# <a id="circle"></a>
# ## 2. Examples on a circle, by hand
#
# Four examples, without a feature in common, in two dimensions. Give each a direction $u_t$, 90° from the next, and
# let all features of example $t$ point there, each as far as it is on: $W_i = x_{t,i}\,u_t$. A hidden vector is the sum
# of the $x_i W_i$ of the features that are on. So example $t$ gives $h_t$. And when any example $t'$ is shown, the
# output of a feature $i$ of example $t$ is $z_i$:
#
# $$ h_t = \sum_i W_i\,x_{t,i} = u_t \sum_i x_{t,i}^2 = u_t, \qquad
#    z_i = W_i \cdot h_{t'} = x_{t,i}\;u_t \cdot u_{t'} $$
#
# (The sum of squares is 1, as examples have length 1.) The product $u_t \cdot u_{t'}$ is 1 for the example itself, 0
# for its neighbours and -1 for the one opposite, which the ReLU makes 0. So every output is right, with $b = 0$.

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

# %% tags=["check"]
assert np.isclose(tms.loss(W, np.zeros(8), x), 0, atol=1e-15)

# %% [markdown]
# Eight features in two dimensions, without error! But not one of them is stored: the model knows four *examples*. Give
# it feature 0 alone, and it answers with features 0 and 1, as they were in the example that it has seen.

# %%
alone = np.eye(8)[:1]
print("feature 0 alone:", tms.forward(W, np.zeros(8), alone)[0].round(2))

# %% [markdown]
# With more than four corners neighbours are less than 90° apart, and disturb each other:
# $u_t \cdot u_{t'} = \cos(2\pi/T) > 0$. Now a bias helps, as it does for features in a pentagon. Put the corners at the
# distance $c$, with $W_i = c\,x_{t,i}\,u_t$. Then $h_{t'} = c\,u_{t'}$, and
#
# $$ z_i = c^2 x_{t,i}\;u_t \cdot u_{t'} + b_i, \qquad b_i = -(c^2 - 1)\,x_{t,i} $$
#
# where $b_i$ is chosen so that the right answer stays right: for $t' = t$ the product is 1, and $z_i = x_{t,i}$. All
# others must give $z_i \le 0$. The neighbours have the largest product, so they decide:
#
# $$ c^2 \cos(2\pi/T) - (c^2 - 1) \le 0 \quad\Leftrightarrow\quad c^2\,(1 - \cos(2\pi/T)) \ge 1 $$
#
# The least distance that will do is therefore
#
# $$ c^2 = \frac{1}{1 - \cos(2\pi/T)} \approx \frac{T^2}{2\pi^2} $$
#
# since $1 - \cos\alpha \approx \alpha^2/2$ for small angles.
#
# So two dimensions hold *any* number of examples without error, as long as no two have a feature in common. It only
# takes larger and larger weights and biases. In exercise 1 you build it.
#
# Examples can have a share of a dimension, too. It is the formula for features, with hidden vectors in place of the
# columns of $W$, so `tms.dimensionality` computes it:
#
# $$ D_t = \frac{\lvert h_t \rvert^2}{\sum_{t'} (\hat h_t \cdot h_{t'})^2} $$
#
# **Predict.** What is it on a regular polygon of $T$ corners?
#
# <details><summary>Answer</summary>
#
# $2/T$. All hidden vectors have the same length, so $D_t$ is 1 divided by the sum of all squared cosines. Around a
# regular polygon these are 1/2 on average, which makes the sum $T/2$. Together the examples have two dimensions.
#
# </details>

# %%
print(f"{'T':>4} {'c':>7} {'-(c² - 1)':>10} {'share':>7}")
for T in (3, 5, 10, 100):
    angle = 2 * np.pi * np.arange(T) / T
    c2 = 1 / (1 - np.cos(2 * np.pi / T))
    corners = np.sqrt(c2) * np.stack([np.cos(angle), np.sin(angle)])
    share = tms.dimensionality(corners)
    print(f"{T:4} {np.sqrt(c2):7.2f} {1 - c2:10.2f} {share[0]:7.3f}")

# %% tags=["check"]
for T in (3, 5, 10, 100):
    angle = 2 * np.pi * np.arange(T) / T
    assert np.allclose(tms.dimensionality([np.cos(angle), np.sin(angle)]), 2 / T)

# %% [markdown]
# (The third column is the bias of a feature that is on with 1. With three corners it is positive: neighbours are 120°
# apart, and push each other below 0 by more than is needed.)
#
# What ends this? Features that come in several examples. Output $i$ is on where $W_i \cdot h + b_i > 0$: on one side of
# a line. A line can cut one corner off a polygon, or some that are neighbours, but not two corners with others between
# them on both sides. When $T$ is small, hardly any feature comes twice. But with $sT = 1$ each comes once on average,
# many come twice or three times, and no order of the examples on the circle suits them all.
#
# <a id="few"></a>
# ## 3. Few examples, and many
#
# Now training, as in the follow-up paper: all $T$ examples at every step, by Adam. The gradient is that of
# [tutorial 2](02_the_gradient_by_hand.ipynb); only the batch is always the same. *Weight decay* makes all weights a
# little smaller at each step. The learning rate rises from near 0 at first (the *warm-up*), and then falls back towards
# 0 along a cosine. Of four starts the one with the lowest training loss is kept.
#
# **Predict.** With $T = 5$, what will the hidden vectors of the examples look like, and what the features? With
# $T = 1000$?
#
# <details><summary>Answer</summary>
#
# With five examples, the examples are the corners of a pentagon. The features lie where their examples are: bundles,
# as in part 2. With a thousand, five *features* are the corners, all others are short, and hidden vectors lie along the
# five arms, as far out as their feature is on, most of them near 0.
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
five = np.argsort(tms.dimensionality(models[1000].W))[-5:]
together = tms.dimensionality(models[1000].W)[five].sum()
print(f"T = 1000: lengths of the five {np.linalg.norm(models[1000].W[:, five], axis=0).round(2)}, ", end="")
print(f"their shares together {together:.2f}")

# %% tags=["check"]
few = tms.dimensionality(models[5].W @ train_on[:5].T)
assert np.allclose(few, 2 / 5, atol=0.03)
assert ((train_on[:5] > 0).sum(axis=1) == 1).sum() == 2
assert (tms.dimensionality(models[5].W) > 0.3).sum() == 2
assert tms.features_represented(models[1000].W) == 5
assert 1.7 < together < 1.95

# %% [markdown]
# Each panel has its own scale. In a regular pentagon each of the five would have 2/5. At $T = 1000$ they are not
# equally long, and the longer ones have more. Together they have less than two dimensions, because the 95 short ones
# take the rest. At $T = 20$ and 100 the examples still lie on something round: the model stores what it can of them.
#
# But why are there features with nearly 2/5 at $T = 5$, too? Two of the five examples have one feature alone (the first
# cell counted them), and there example and feature are the same thing. In general the features of an example divide its
# share among them. In part 2, $\lvert W_i \rvert = c\,x_{t,i}$, and the features of each example $t'$ add
# $c^2\,(u_t \cdot u_{t'})^2$ to the sum in the formula for $D$ (their $x^2$ add up to 1). So
#
# $$ D_i = \frac{c^2\,x_{t,i}^2}{c^2 \sum_{t'} (u_t \cdot u_{t'})^2} = x_{t,i}^2 \cdot \frac{2}{T} $$
#
# <a id="new"></a>
# ## 4. New examples
#
# **Predict.** How does the loss on the test change as $T$ grows? Where will it be above 1?
#
# <details><summary>Answer</summary>
#
# With a handful of examples it is about 1: what the model has stored is seldom asked for. With many it is below that of
# the mean. One would expect a way down from the one to the other. But in between it goes *up* first: the model answers
# loudly, with large weights, and wrongly.
#
# </details>

# %%
print("the last three columns: largest share of a feature; median share of an example, times T/2; examples near 0")
print(f"{'T':>5} {'s T':>5} {'training':>9} {'test':>6} {'feature':>9} {'example':>8} {'near 0':>7}")
rows = []
for T, model in models.items():
    loss = tms.loss(model.W, model.b, test)
    feature = tms.dimensionality(model.W).max()
    hidden = model.W @ train_on[:T].T
    example = np.median(tms.dimensionality(hidden)) * T / 2
    length = np.linalg.norm(hidden, axis=0)
    near_0 = (length < 0.1 * length.max()).mean()
    rows.append((T, model.loss, loss, feature, example))
    print(f"{T:5} {0.03 * T:5.2g} {model.loss:9.3f} {loss:6.3f} {feature:9.2f} {example:8.2f} {near_0:7.0%}")
counts, training, testing, feature, example = np.array(rows).T

# %% tags=["check"]
assert (np.diff(training) > 0).all()
assert 0.9 < training[-1] < testing[-1] < constant
assert sizes[testing.argmax()] == 100
assert (testing[1:5] > 1).all()
assert (testing[5:] < 1).all()
assert (example[1:5] > 1.1).all()
assert (example[5:] < 0.1).all()

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
left.plot(counts, testing, "-o", markersize=3, label="test")
left.plot(counts, training, "-o", markersize=3, label="training")
left.axhline(1, color="0.4", linestyle="--", linewidth=0.9, label="always 0")
left.axhline(constant, color="0.4", linestyle=":", linewidth=0.9, label="always the mean")
left.set(xscale="log", xlabel="examples T", ylabel="loss", ylim=(0, None))
left.legend()
right.plot(counts, feature, "-o", color="#0072B2", markersize=3, label="feature with the largest share")
right.plot(counts, example, "-o", color="#D55E00", markersize=3, label="examples: median, times T/2")
right.set(xscale="log", xlabel="examples T", ylabel="share of a dimension D")
right.legend()
plt.show()

# %% [markdown]
# The training loss only goes up: more examples, harder to store. The test loss goes up, not evenly, to a bump at
# $sT = 3$. From $sT = 6$ on it is below 1: there the share of examples gives way, and features begin. Only from
# $sT = 15$ on does one have its 2/5. More data made the model worse, and then better: that is *double descent*.
#
# So look at the examples to tell which of the two is stored: their median is about $2/T$ or more as long as examples
# are, and next to nothing once features are. The largest share of a feature does not tell: an example with one feature
# gives it all of its own, and the largest of a hundred may be an odd one (0.47 at $T = 10$ is a single long $W_i$, in
# an example that lies at half the distance of the others).
#
# (Where the share of an example is above $2/T$, some examples have been given up: their hidden vectors are near 0, and
# the others have the two dimensions to themselves.)
#
# Who is answered so badly? Look at each test example by itself.

# %%
for T in (5, 100):
    errors = ((tms.forward(models[T].W, models[T].b, test) - test) ** 2).sum(axis=1)
    known = (test[:, (train_on[:T] > 0).any(axis=0)] > 0).any(axis=1)  # has a feature that was on in training
    worst = np.sort(errors)[-100:].sum() / errors.sum()
    print(f"T = {T:3}: median {np.median(errors):.2f}, largest {errors.max():.1f}; ", end="")
    print(f"the worst tenth has {worst:.0%} of the sum; {known.mean():.0%} have a feature that was on in training,")
    print(f"         mean of these {errors[known].mean():.2f}, of the others {errors[~known].mean():.2f}")

# %% tags=["check"]
assert np.isclose(np.median(errors), 1, atol=0.05)
assert worst > 0.5

# %% [markdown]
# At $T = 100$ half of the answers are about as good as 0, or better. A few are far too loud, and they make the bump. So
# its height changes with the examples, too: try another seed. At $T = 5$ the loss is a little below 1: test examples
# that have a feature in common with one of the five gain from it, and all others get nearly 0 as their answer. In the
# findings, with 1,000 features of which ten are on, this gain is too small to see.
#
# <a id="long"></a>
# ## 5. How long to train
#
# The follow-up reports a bump of one percent, others who repeat the experiment a loss of up to thousands. Part 2 has a
# hint: storing examples takes large weights, and weights take time to grow.
#
# **Predict.** At $T = 100$, what happens to training loss, test loss and $\lvert W \rvert$ (the root of the sum of all
# squares in $W$), if we train longer than 3,000 steps, or shorter?
#
# <details><summary>Answer</summary>
#
# The longer, the larger the weights, the better on what it has seen, and the worse on what it has not. So the height of
# the bump says as much about how long was trained as about the data. A small learning rate and a large weight decay
# keep the weights small as well, and act like a short training.
#
# </details>

# %%
heights = []
for steps in (100, 300, 1000, 3000, 10000):
    model = trained(100, steps)
    heights.append(tms.loss(model.W, model.b, test))
    print(f"{steps:5} steps: training {model.loss:.3f}, test {heights[-1]:.3f}, |W| = {np.linalg.norm(model.W):.1f}")

# %% tags=["check"]
assert (np.diff(heights) > 0).all()
assert heights[0] < 1 < heights[-1]

# %% [markdown]
# [The findings](../figures/README.md#memorisation-and-double-descent) do this with 1,000 features and four data sets,
# compare $n = 10{,}000$, and try what else people disagree about: the mean over features in place of the sum, double
# precision, weight decay.
#
# <a id="vary"></a>
# ## 6. What to vary
#
# - `restarts=1` in `trained`: do you still get both pentagons?
# - `weight_decay=1.0`: what is left of the bump? Of the polygon of examples?
# - `tms.Examples(train_on[:T], importance=1e-6)`: training loss and gradient are a million times smaller (the table
#   then shows 0.000). Adam divides by the size of the gradient, so the test loss should not change; it does, since Adam
#   adds a small number to that size first.
# - `seed=2` and `seed=3` for the training examples: where is the bump now, and how high?
#
# <details><summary>What you will see</summary>
#
# - Both pentagons are there with one start, too. In between, where there are many ways to store a part of the examples,
#   one start finds a worse one: at $T = 100$ the training loss is 0.79 in place of 0.76. The test loss is 1.2 there in
#   place of 3.6, and the top of the bump, 2.1, is at $T = 50$.
# - No bump: the test loss stays below 1 everywhere, as weights stay small ($\lvert W \rvert$ is 5 at $T = 100$, not
#   12). The pentagon is there at $T = 5$. Larger polygons are stored less well: the training loss is higher, and from
#   $T = 50$ on more examples are given up.
# - The test loss is below 1 everywhere here as well: Adam's small number slows training down, and the weights stay
#   small.
# - With `seed=2` it is at $T = 100$ again, 2.3 high; with `seed=3` at $T = 50$, and only 1.3 high. At $T = 200$ both
#   are below 1, as before. A few very loud answers make the height, so it moves a lot.
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
# **Exercise 1.** Build the model of part 2 for any number $T > 2$ of examples of length 1 that have no feature in
# common: loss 0, with corners at the least distance that will do.
#
# <details><summary>Hint</summary>
#
# As for four examples, $W$ is `corners @ x`, with corners of shape (2, T) at the distance $c$. Each feature is on in at
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
        answer = memorise(x)
        assert isinstance(answer, tuple), "return two arrays: W, b"
        W, b = answer
        assert np.shape(W) == (2, T * each), f"W has shape {np.shape(W)}; expected {(2, T * each)}"
        assert np.shape(b) == (T * each,), f"b has shape {np.shape(b)}; expected {(T * each,)}"
        loss = tms.loss(W, b, x)
        assert loss < 1e-9, f"T = {T}: the loss is {loss:.2g}; expected 0"
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
# With `h = W @ x.T`, the products of all hidden vectors are `G = h.T @ h`. $\lvert h_t \rvert^2$ is $G_{tt}$, and
# $(\hat h_t \cdot h_{t'})^2$ is $G_{tt'}^2 / G_{tt}$.
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
# **Exercise 3.** $T$ examples are the corners of a regular polygon, numbered around it, and a feature was on in some of
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
