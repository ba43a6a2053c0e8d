# %% [markdown]
# # 7. Dynamics: features that jump, and features that know each other
#
# Section 5 of the paper *Toy Models of Superposition* watches a model while it trains. Its features do not drift to
# their places, they jump, and the loss goes down in stairs. Before that, at the end of section 4, the paper gives up
# an assumption: that features come and go independently. Here we do both, and in the end they meet in one picture.
#
# **You will be able to**
# - compute how long a weight that starts small does nothing, and why it then moves all at once;
# - say what each stair of the loss costs before you see it;
# - find the jumps of a trained model by code, and the drop of the loss at the last;
# - predict where a model puts features that come together, or that exclude one another, and check it.
#
# **You need** [tutorial 0](00_start_here.ipynb), the share of a dimension, $D_i$, from
# [tutorial 1](01_introduction.ipynb), and the losses by hand of part 1 of
# [tutorial 3](03_demonstrating_superposition.ipynb); derivatives.
#
# **Contents**: [a stair by hand](#hand), [two features, two stairs](#two), [a hundred features](#hundred),
# [features that know each other](#sets), [an octahedron in stages](#octahedron), [what to vary](#vary),
# [exercises](#exercises).
# Reading takes about 25 minutes; the [map](README.md) says how long the cells run, and has a glossary.
#
# **Letters and shapes** (those of tutorial 0, and)
#
# | letter | what it is | shape |
# | --- | --- | --- |
# | $v$ | variance of a feature, $s/3 - s^2/4$ | a number |
# | $w$, $w_0$ | the weight of the only feature of a model, and its start | numbers |
# | $t$ | time: the number of steps times the learning rate | a number |
# | $D_i$ | share of a dimension of feature $i$, here along the training | (T,), one for each of T moments |
# | set | features with the same label, here those that come together | a label a feature, (n,) |

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
from minitms.expected import minimise_expected_loss

plt.style.use(plots.STYLE)

# %% [markdown]
# <a id="hand"></a>
# ## 1. A stair by hand
#
# The smallest model there is: one feature, one dimension, one weight $w$, no bias. Its output is $w^2 x$ (which is
# never negative, so the ReLU does nothing), its error $(1 - w^2) x$. The mean of $x^2$ is $s/3$. So
#
# $$ L = \frac{s}{3}\,(1 - w^2)^2 \qquad\qquad \frac{\partial L}{\partial w} = -\frac{4s}{3}\,w\,(1 - w^2) $$
#
# The weight stands in front of its own slope: where $w$ is small, it moves slowly *because* it is small. At $s = 1$
# and $w = 0.1$ the slope is $-4/3 \cdot 0.1 \cdot 0.99 = -0.132$; at $w = 0.01$ about a tenth of it. The library says
# the same, and its loss is exact: nothing is sampled.

# %%
s = 1.0
for w in (0.1, 0.01):
    by_hand = -4 * s / 3 * w * (1 - w**2)
    dW, db = tms.expected_gradients([[w]], [0.0], s)
    print(f"w = {w:<4}: slope by hand {by_hand:.5f}, by the library {dW[0, 0]:.5f}")
    assert np.isclose(by_hand, dW[0, 0])

# %% [markdown]
# In small steps downhill, $w$ changes by $dw/dt = (4s/3) w (1 - w^2)$. While $w$ is small, that is growth in
# proportion, as of money in a bank: $w = w_0 e^{4st/3}$. For all times, look at $u = w^2$:
# $du/dt = 2 w dw/dt = (8s/3) u (1 - u)$. That is the logistic equation, growth in proportion up to a limit, and its
# solution is an S-shaped curve:
#
# $$ w^2 = \frac{1}{1 + (1/w_0^2 - 1)\,e^{-8st/3}} $$
#
# **Predict.** One model starts at $w_0 = 0.1$, another at 0.01, a third at 0.001. How do their losses look over time?
# How much longer does each wait than the one before?
#
# <details><summary>Answer</summary>
#
# All three wait at $L = s/3$ and then fall within about the same time: a plateau and a stair. Each tenfold smaller
# start takes ln(10) / $(4s/3)$ longer to grow tenfold, always the same: at $s = 1$, 1.73. The smaller the start, the
# longer the plateau, and the stair looks the steeper beside it.
#
# </details>

# %%
rate, steps = 0.005, 2000
time = rate * np.arange(steps)
fig, ax = plt.subplots(figsize=(5.5, 2.8))
for w0 in (0.1, 0.01, 0.001):
    W, path = np.array([[w0]]), []
    for _ in range(steps):
        path.append(W[0, 0])
        dW, _ = tms.expected_gradients(W, [0.0], s)
        W = W - rate * dW  # plain gradient descent; the bias stays 0
    path = np.array(path)
    curve = 1 / (1 + (1 / w0**2 - 1) * np.exp(-8 * s * time / 3))
    print(f"w0 = {w0:<5}: w² passes 1/2 at t = {time[(path**2 > 0.5).argmax()]:.2f}")
    assert abs(path**2 - curve).max() < 0.02
    ax.plot(time, s / 3 * (1 - path**2) ** 2, label=f"start {w0:g}")
ax.set(xlabel="time t", ylabel="loss")
ax.legend()
plt.show()

# %% [markdown]
# The paths lie on the formula within 0.02 (the steps are small, not infinitely small). And the waits grow by 1.73 each.
#
# <a id="two"></a>
# ## 2. Two features, two stairs
#
# Now two features share one dimension, with biases, at $s = 0.2$. We know three things that a model can do from
# [tutorial 3](03_demonstrating_superposition.ipynb): answer both with their mean, which costs the variance of each
# ($2 v$); keep one and answer the other with its mean ($v$); store both as a pair of opposites, which errs only where
# both are on $(s^2/3)$. With $s = 0.2$, $v = 0.0667 - 0.01 = 0.0567$.
#
# **Predict.** The start is $W = [0.02, -0.001]$, $b = s/2$. Which levels does the loss visit, and what do $D_0$ and
# $D_1$ do?
#
# <details><summary>Answer</summary>
#
# $2 v = 0.1133$ at first, while both are small. Feature 0 began ahead and is the first to have grown: $v = 0.0567$.
# Feature 1 waits: here, too, slopes are in proportion to weights, so that both grow by about the same factor, and when
# feature 0 has come to 1, feature 1 is still at about a twentieth. But $v$ is no resting place, since the pair costs
# only $s^2/3 = 0.0133$: feature 1 goes on growing in the opposite direction.
#
# $D_0 = 1$ and $D_1 = 0$ from the start (to within a few thousandths), since $D_i$ compares lengths and does not see
# that both are small. They stay there over the first stair, and at the second one both jump to 1/2.
#
# </details>

# %%
s = 0.2
v = s / 3 - s**2 / 4


def descend(W, b, s, steps, rate=0.2):
    """Plain gradient descent on the exact loss; W and b of every step."""
    W, b = np.array(W), np.array(b)
    path = []
    for _ in range(steps):
        path.append((W, b))
        dW, db = tms.expected_gradients(W, b, s)
        W, b = W - rate * dW, b - rate * db
    Ws, bs = zip(*path, strict=True)
    return np.array(Ws), np.array(bs)


W, b = descend([[0.02, -0.001]], [s / 2, s / 2], s, steps=400)
L, D = tms.expected_loss(W, b, s), tms.dimensionality(W)
fig, axes = plt.subplots(1, 2, figsize=(8.3, 2.8))
axes[0].plot(L, color="k")
for level, text in ((2 * v, "2v"), (v, "v"), (s**2 / 3, "s²/3")):
    axes[0].axhline(level, color="0.7", linestyle="--", zorder=0)
    axes[0].annotate(text, (380, level + 0.002), color="0.4")
axes[0].set(xlabel="step", ylabel="loss", ylim=(0, None))
axes[1].plot(D, label=["feature 0", "feature 1"])
axes[1].set(xlabel="step", ylabel="share of a dimension, D_i")
axes[1].legend()
plt.show()
print("W at the end", W[-1].round(3), " D", D[-1].round(3), f" loss {L[-1]:.4f}")

# %% tags=["check"]
flattest = 100 + np.argmin(L[100:180] - L[101:181])
least = minimise_expected_loss([[1.0, -1.0]], [0.0, 0.0], s).loss
assert np.allclose(D[-1], 0.5, atol=0.01)
assert W[-1, 0, 0] * W[-1, 0, 1] < 0
assert abs(L[0] / (2 * v) - 1) < 0.01
assert abs(L[flattest] / v - 1) < 0.1
assert L[-1] < s**2 / 3  # lengths and biases of its own: a little better than by hand
assert np.isclose(L[-1], least, rtol=1e-3)  # Newton's method ends there too

# %% [markdown]
# Three levels, two stairs, one jump. The pair ends a little *below* $s^2/3$, since lengths and biases need not be 1
# and 0.
#
# The start decides. Had feature 1 begun at +0.001, it would have grown on the same side as feature 0, where there is a
# local minimum. (From +0.0001, or from 0, it ends in the pair all the same: while feature 0 grows, its bias lags
# behind, output 0 is a little too large on average, and that pushes feature 1 to the negative side.)

# %%
ends = {}
for start in (0.001, 0.0001, 0.0):
    W, b = descend([[0.02, start]], [s / 2, s / 2], s, steps=1000)
    ends[start] = W[-1, 0], tms.expected_loss(W[-1], b[-1], s) / v
    print(f"feature 1 from {start:<6}: W {W[-1, 0].round(3)}, loss / v = {ends[start][1]:.3f}")

# %% tags=["check"]
assert (ends[0.001][0] > 0).all()
assert 0.9 < ends[0.001][1] < 1
assert ends[0.0001][0][1] < 0
assert ends[0.0][0][1] < 0

# %% [markdown]
# From +0.001 both have the same sign, and the loss has hardly fallen below $v$. That is one reason why training is
# started more than once. (Without a bias, a solution of this kind is even the best one at high density:
# [figures](../figures/README.md#a-phase-that-only-the-missing-bias-makes-one-neuron-two-features).)
#
# <a id="hundred"></a>
# ## 3. A hundred features
#
# In section 5 the paper does the same with many features: a model whose features end as digons. We take 100 features in
# 6 dimensions at $s = 0.45$, three starts at a tenth of the usual size, Adam at a constant rate, on samples this time.
# `snapshots` says after which steps $W$ and $b$ are kept; `run.snapshots.W` is (start, T, m, n).
#
# **Predict.** The start is $b = 0$ and $W$ nearly 0. At which level does the loss start, where does it rest, and where
# does it end? (Leave what a digon costs as an unknown.)
#
# <details><summary>Answer</summary>
#
# It starts at $100 \cdot s/3 = 15$, with $b = 0$. Then the model is linear and keeps 6 of 100 dimensions, as PCA
# would: $94 v$. Five dimensions become digons (each gains $v$ minus what a digon costs); the sixth stays shared by the
# other 90: 89 v + 5 digons.
#
# </details>

# %%
n, m, s = 100, 6, 0.45
features = tms.SparseFeatures(n=n, density=s)
small = 0.1 * np.sqrt(2 / (m + n)) * np.random.default_rng(0).normal(size=(3, m, n))
run = tms.train(
    features,
    n_hidden=m,
    steps=7500,
    learning_rate=1e-3,
    schedule="constant",
    restarts=3,
    initial=(small, np.zeros((3, n))),
    snapshots=range(0, 7501, 25),
    seed=0,
)
moments = run.snapshots.steps
D = tms.dimensionality(run.snapshots.W)  # (3, T, n)
x = features.sample(2000, seed=1, dtype="float32")  # the same for every moment
loss = np.array(
    [
        [tms.loss(W, b, x) for W, b in zip(*one, strict=True)]
        for one in zip(run.snapshots.W, run.snapshots.b, strict=True)
    ]
)
represented = tms.feature_norms(run.W) > 0.5
v = x.var(axis=0).mean()  # of this sample
digon = minimise_expected_loss([[1.0, -1.0]], [0.0, 0.0], s).loss
linear, digons = (n - m) * v, (n - m - 5) * v + 5 * digon

fig, axes = plt.subplots(2, 3, figsize=(9, 4.5), sharex=True)
for k, (top, bottom) in enumerate(axes.T):
    top.plot(moments, D[k][:, ~represented[k]], color="0.8", linewidth=0.4)
    unit = run.W[k] / tms.feature_norms(run.W[k])
    kept = np.flatnonzero(represented[k])
    partner = (unit.T @ unit)[:, kept].argmin(axis=0)
    found = sorted({(min(p), max(p)) for p in zip(kept, partner, strict=True)})
    for c, pair in enumerate(found):
        top.plot(moments, D[k][:, pair], color=f"C{c}", linewidth=1)
    top.set(title=f"start {k}", ylim=(0, 0.8))
    bottom.plot(moments, loss[k], color="k")
    for level, side, text in (
        (linear, "bottom", f"{n - m} v"),
        (digons, "top", f"{n - m - 5} v + 5 digons"),
    ):
        bottom.axhline(level, color="0.7", linestyle="--", zorder=0)
        place = moments[-1], level
        bottom.annotate(text, place, ha="right", va=side, color="0.4", fontsize=8)
    bottom.set(xlabel="step", ylim=(loss[k].min() - 0.06, loss[k].min() + 0.3))
axes[0, 0].set_ylabel("D_i")
axes[1, 0].set_ylabel("loss")
plt.show()

# %% [markdown]
# In colour are the features that end up represented; partners have one colour. The loss axis is cut off above. (The
# first spike of $D_i$ means nothing: it compares lengths, however small.)
#
# First all features get a little, and the loss rests at $94 v$. Then one feature after the other jumps, and the grey
# ones lose what they had. Partners rarely jump together: the first of a pair overshoots, to 0.6 or 0.7 if it is far
# ahead, until its partner jumps to the opposite side and both end at 1/2. Where such a partner comes late and alone,
# the loss has a stair of its own; where jumps follow each other closely, the stairs run together. The paper shows one
# run with digons, and suspects that the smooth loss curves of larger models are many small jumps run together.
#
# And the start? Adam takes steps of about the same length, whatever the slope, so the very first plateau is short. What
# a small start lengthens under Adam is the rest at the linear solution.
#
# Which of the jumps is the last one, and what does the loss do there? A simple way to find a jump is the last moment at
# which $D_i$ was still below 0.3.

# %%
for k in range(3):
    kept = np.flatnonzero(represented[k])
    if not len(kept):
        print(f"start {k}: no feature is represented yet")
        continue
    below = D[k][:, kept] < 0.3
    jump = len(moments) - 1 - below[::-1].argmax(axis=0)  # the last moment below
    last = jump.max()
    before, after = loss[k, max(last - 10, 0)], loss[k, min(last + 10, len(moments) - 1)]
    print(
        f"start {k}: {len(kept)} features, jumps in steps {moments[jump.min()]:,} to "
        f"{moments[last]:,}; at the last one the loss falls by {before - after:.3f} "
        "in 500 steps"
    )

# %% tags=["check"]
for k in range(3):
    kept = np.flatnonzero(represented[k])
    below = D[k][:, kept] < 0.3
    last = (len(moments) - 1 - below[::-1].argmax(axis=0)).max()
    assert len(kept) % 2 == 0  # digons
    assert abs(D[k, -1, kept] - 0.5).max() < 0.02
    rest = loss[k, -21] - loss[k, -1]  # in the last 500 steps nothing jumps
    assert loss[k, max(last - 10, 0)] - loss[k, min(last + 10, len(moments) - 1)] > abs(rest) + 0.005
resting = loss[:, moments == 1000]
for level, got in ((linear, resting), (digons, loss[:, -1])):
    assert abs(got - level).max() < (linear - digons) / 4

# %% [markdown]
# <a id="sets"></a>
# ## 4. Features that know each other
#
# So far any two features were on together only by chance. `sets` and `pattern` change that:
#
# - `"together"`: one on/off bit for a whole set (the paper's *correlated* features); the values stay independent;
# - `"at_most_one"`: never two of a set at once (*anti-correlated*).
#
# `density` is always that of **a feature**. What does that mean for the set?
#
# **Predict.** Two pairs, density 0.1. How often is the first *pair* on, that is, at least one of its features: if they
# come together, and if they exclude one another?
#
# <details><summary>Answer</summary>
#
# Together: 0.1, the pair is on when either feature is. Excluding: $0.1 + 0.1 = 0.2$, since they never overlap. Papers
# and courses mean by density sometimes the one and sometimes the other; a factor of 2 for pairs.
#
# </details>

# %%
pairs = [0, 0, 1, 1]
for pattern in ("together", "at_most_one"):
    data = tms.SparseFeatures(n=4, density=0.1, sets=pairs, pattern=pattern)
    on = data.sample(200_000, seed=0) > 0
    print(
        f"{pattern:12} feature 0 on: {on[:, 0].mean():.3f}, pair on: "
        f"{on[:, :2].any(axis=1).mean():.3f}, both of it: {on[:, :2].all(axis=1).mean():.3f}"
    )
    expected = {"together": 0.1, "at_most_one": 0.2}[pattern]
    assert abs(on[:, :2].any(axis=1).mean() - expected) < 0.005

# %% [markdown]
# Now we train two pairs in two dimensions. There is room for two antipodal pairs, that is sure. But who will be
# opposite whom? (In the pictures one colour is one pair; a dot is its first feature, a ring its second.)
#
# **Predict.** (a) Together, $s = 0.1$. (b) At most one, $s = 0.1$. (c) Together again, but $s = 0.5$.
#
# <details><summary>Answer</summary>
#
# (a) Opposites disturb each other when both are on. So opposites should be features that are seldom on together: one
# from each pair. The partners end at right angles. (b) The other way round: partners are *never* on together, so they
# are perfect opposites, and the loss is 0. (c) Now the two pairs are often on at the same time, too. Then it is cheaper
# to store each pair as one thing, its sum: both partners lie in one direction.
#
# </details>

# %%
cases = [("together", 0.1), ("at_most_one", 0.1), ("together", 0.5)]
colors = ["tab:blue", "tab:blue", "tab:orange", "tab:orange"]
fig, axes = plt.subplots(1, 3, figsize=(8.3, 2.8))
partners = {}
for ax, (pattern, s) in zip(axes, cases, strict=True):
    data = tms.SparseFeatures(n=4, density=s, sets=pairs, pattern=pattern)
    best = tms.train(data, n_hidden=2, steps=2000, restarts=12, seed=0).best()
    for i, (end, color) in enumerate(zip(best.W.T, colors, strict=True)):
        ax.plot([0, end[0]], [0, end[1]], color=color)
        ax.plot(
            *end,
            "o",
            color=color,
            fillstyle="none" if i % 2 else "full",
            ms=8 - 3 * (1 - i % 2),
        )
    ax.set(
        xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), aspect="equal", title=f"{pattern}, s = {s}"
    )
    unit = best.W / tms.feature_norms(best.W)
    cosines = (unit[:, ::2] * unit[:, 1::2]).sum(axis=0)
    print(
        f"{pattern:12} s = {s}: cosine of partners {cosines.round(2)}, loss {best.loss:.5f}"
    )
    partners[pattern, s] = cosines, best.loss
plt.show()

# %% tags=["check"]
assert np.allclose(partners["together", 0.1][0], 0, atol=0.1)
assert np.allclose(partners["at_most_one", 0.1][0], -1, atol=0.01)
assert partners["at_most_one", 0.1][1] < 1e-6
assert np.allclose(partners["together", 0.5][0], 1, atol=0.05)

# %% [markdown]
# When does (a) turn into (c)? Each arrangement is two neurons with two features each, so it can be worked out by hand.
#
# - *Crossed*, (a): a neuron holds two independent features as opposites: $s^2/3$, twice.
# - *Collapsed*, (c): a neuron holds a pair $(x_0, x_1)$ that comes together, in the direction $[1, 1]/\sqrt{2}$. Both
#   outputs are $(x_0 + x_1)/2$, the errors $\pm(x_0 - x_1)/2$. The mean of $(x_0 - x_1)^2$ for two uniform numbers is
#   1/6. So $L = s \cdot 2 \cdot 1/4$ · $1/6 = s/12$, twice.
#
# By these formulas they cost the same at $2 s^2/3 = 2 s/12$, that is at **$s = 1/4$**. Crossed neurons do a little
# better than $s^2/3$ with lengths and biases of their own, so the true change is at 0.254.

# %%
half = np.full((1, 2), np.sqrt(0.5))
opposite = np.array([[1.0, -1.0]])
for s in (0.1, 0.25, 0.5):
    collapsed = 2 * tms.expected_loss(half, [0, 0], s, pattern="together")
    crossed = 2 * tms.expected_loss(opposite, [0, 0], s)
    print(f"s = {s:<4}: collapsed {collapsed:.5f}, crossed {crossed:.5f}")
    assert np.isclose(collapsed, 2 * s / 12)
    assert np.isclose(crossed, 2 * s**2 / 3)

for s, cheaper in ((0.2535, "crossed"), (0.2545, "collapsed")):
    crossed = 2 * minimise_expected_loss(opposite, [0.0, 0.0], s).loss
    print(f"s = {s}: collapsed {2 * s / 12:.5f}, the best crossed {crossed:.5f}")
    assert (crossed < 2 * s / 12) == (cheaper == "crossed")

# No W and b do better than s/12 with a pair that always comes together:
starts = np.random.default_rng(0).normal(size=(100, 1, 2))
ends = minimise_expected_loss(starts, np.zeros((100, 2)), 0.5, pattern="together")
print(
    "least loss of 100 starts:",
    ends.loss.min().round(6),
    " W",
    ends.W[ends.loss.argmin()].round(3),
)

# %% tags=["check"]
assert np.isclose(ends.loss.min(), 0.5 / 12)

# %% [markdown]
# $W = [0.71, 0.71]$ (or its negative) is what principal component analysis would store, and it is what an earlier
# replication of the phase diagram found where theory has superposition: by a slip, its two features always came
# together. [Tutorial 4b](04b_the_slip_and_the_exact_loss.ipynb) tells the story.
#
# <a id="octahedron"></a>
# ## 5. An octahedron in stages
#
# Both halves together, as in the paper: six features in three dimensions, two sets of three that come together, and a
# small start. The levels of the loss, by hand:
#
# | what is stored | loss |
# | --- | --- |
# | nothing, $b = 0$ | $6 \cdot s/3 = 2 s$ |
# | the sum of each set, in one direction | $2 s \cdot 2/12$, the spread of three values around their mean: $s/3$ |
# | the sums and, in the third dimension, one difference in each set | $2 s \cdot 1/12$, what is left: $s/6$ |
# | all six, three antipodal pairs of features that come independently | $3 \cdot s^2/3 = s^2$ |
#
# **Predict.** Six vectors in space, three pairs of opposites at right angles, are the corners of an octahedron. Will
# opposites be from the same set or from different ones?
#
# <details><summary>Answer</summary>
#
# From different sets, as in (a) above: opposites that are on together would cut each other off. So the three members of
# a set are at right angles to each other, and the other set is its mirror image.
#
# </details>

# %%
s, sets, pattern = 0.05, [0, 0, 0, 1, 1, 1], "together"
data = tms.SparseFeatures(n=6, density=s, sets=sets, pattern=pattern)
labels = np.arange(6) if sets is None else np.array(sets)  # without sets, each feature by itself
small = 0.1 * np.sqrt(2 / 9) * np.random.default_rng(0).normal(size=(5, 3, 6))
kept = np.append(0, np.unique(np.geomspace(1, 10_000, 100).round().astype(int)))
run = tms.train(
    data,
    n_hidden=3,
    steps=10_000,
    learning_rate=1e-3,
    schedule="constant",
    restarts=5,
    initial=(small, np.zeros((5, 6))),
    snapshots=kept.tolist(),
    seed=0,
)
x = data.sample(2**16, seed=1)
x = x[x.any(axis=1)]  # where a set is on; the others cost almost nothing ...
share = 1 - (1 - s) ** len(np.unique(labels))  # ... and this is how many they are
on = np.array([x[:, labels == label].any(axis=1) for label in np.unique(labels)])
print(f"{len(x):,} examples, {(on.sum(axis=0) > 1).sum()} of them with more than one set on")
loss = share * np.array(
    [
        [tms.loss(W, b, x) for W, b in zip(*one, strict=True)]
        for one in zip(run.snapshots.W, run.snapshots.b, strict=True)
    ]
)
fig, ax = plt.subplots(figsize=(5.5, 3))
ax.plot(kept[1:], loss[:, 1:].T, color="0.3", linewidth=0.9)
for level, text in ((2 * s, "2s"), (s / 3, "s/3"), (s / 6, "s/6"), (s**2, "s²")):
    ax.axhline(level, color="tab:red", linestyle="--", linewidth=0.8, zorder=0)
    ax.annotate(text, (1.1, level * 0.75), color="tab:red")
ax.set(xscale="log", yscale="log", ylim=(s**2 / 2, None))
ax.set(xlabel="step", ylabel="loss (five starts)")
plt.show()

# %% [markdown]
# Both axes are logarithmic: equal lengths are equal *factors*, and the last 5,000 steps take no more room than the way
# from step 1 to step 2. Some of the curves have a shoulder near $s/6$. All end 1 to 6 % above $s^2$: in our sample
# both sets are on in few examples only, so the last level is measured to a few per cent.

# %%
rest = np.abs(np.log(loss / (s / 3))).argmin(axis=1)  # the moment nearest to s/3
lengths = tms.feature_norms(run.snapshots.W[np.arange(5), rest])
print("loss at the end, over s²", (loss[:, -1] / s**2).round(3))
print("lengths on the plateau", lengths.mean().round(3), " 1/√3 =", round(3**-0.5, 3))

opposites = []
for W in run.W:
    unit = W / tms.feature_norms(W)
    opposites.append(np.argwhere(np.triu(unit.T @ unit < -0.9)))
    print("opposites:", [tuple(pair) for pair in opposites[-1].tolist()])

fig, axes = plt.subplots(1, 3, figsize=(8.3, 2.6))
for ax, moment in zip(axes, (0, rest[0], -1), strict=True):
    plots.weight_gram(ax, run.snapshots.W[0, moment])
    ax.set_title(f"step {kept[moment]:,}")
fig.colorbar(plots.scale("gram"), ax=axes, shrink=0.8)
plt.show()

# %% tags=["check"]
for found in opposites:
    assert len(found) == 3
    assert (labels[found[:, 0]] != labels[found[:, 1]]).all()
assert np.allclose(lengths, 3**-0.5, atol=0.1)
assert np.allclose(loss[:, -1] / s**2, 1, atol=0.3)

# %% [markdown]
# Left: nothing. Middle: two red blocks, each set is one thing. Right: the diagonal, six features; and three blue pairs,
# all outside of the blocks: opposites are from different sets, in all five starts. Of the octahedron the
# paper says that it attracts strongly, and that runs differ on the way to it, as ours do from the plateau on. The
# [figures](../figures/README.md#learning-dynamics-jumps-of-dimensionality-and-an-octahedron-in-stages) show it in
# space, as an animation.
#
# <a id="vary"></a>
# ## 6. What to vary
#
# The dashed levels, and the few `assert` lines, hold for the values given, and may fail with yours.
#
# - The size of the start in parts 3 and 5: 0.1, then 1, then 0.001. Which plateaus grow, and which do not?
# - `s` in part 3: at 0.6 (how far do they get in 7,500 steps?), and at 0.2. At which level do the features end?
# - The sets of part 5, in the first line of its cell: three sets of two, `[0, 0, 1, 1, 2, 2]`. Or none at all, with
#   `sets = None` and `pattern = "independent"`: it is an octahedron again; how often are all opposites from different
#   halves, one of features 0 to 2 and one of 3 to 5? (By chance alone it would be 2 in 5.)
# - Three pairs that come together, in two dimensions, from $s = 0.5$ down to 0.02: how many directions are there?
#
# <details><summary>What you will see</summary>
#
# - In part 3 the loss is half way from the start to $94 v$ after 25 to 50 steps, whatever the size. The rest at $94 v$
#   grows: with 1 the last jumps are in steps 3,400 to 4,450, with 0.1 in 4,150 to 6,650; with 0.001 two of three starts
#   are not done after 7,500. In part 5 it is the same. The first plateau, $2 s$, ends near step 170 with 0.1 and with
#   0.001. That at $s/3$ begins near 290 and ends near 1,000 with 0.1 and near 1,900 with 0.001; with 1 there is hardly
#   one. But all end as octahedra with opposites from different sets.
# - At 0.6 not far: three to five features are longer than 0.5 at the end, and the loss is still about $94 v$. The
#   denser, the less a digon saves. At 0.2 they get further than digons: 12 to 15 features are represented, most with
#   $D_i$ from 1/3 to 1/2, many near 2/5, as in a pentagon.
# - Three sets of two: an octahedron in all five starts, and opposites are never from one set. The level $s/3$ is hardly
#   to be seen: the sums of three sets of two cost $3 s/12 = s/4$. Without sets: all opposites are from different halves
#   in four of the five starts, where one expects two. Five are few.
# - Three at $s = 0.5$ and 0.4, each pair is stored as its sum. Four from 0.3 to 0.2: two pairs are collapsed still, the
#   partners of the third are at right angles. Five at 0.1, and six at 0.05 and 0.02, a hexagon, in which partners are
#   neighbours.
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
# **Exercise 1.** How long does the model of part 1 wait? Give the time $t$ at which $w^2$ passes 1/2.
#
# <details><summary>Hint</summary>
#
# $w^2 = 1/2$ where the second term below the fraction line is 1: $(1/w_0^2 - 1) e^{-8st/3} = 1$. Solve for $t$.
#
# </details>


# %%
def waiting_time(w0, s):
    """The time at which w² = 1/2, from the start w0 (0 < w0 < 0.7), at density s."""
    raise NotImplementedError


# %%
def check_waiting_time(waiting_time):
    for w0, s in ((0.1, 1.0), (0.01, 0.5), (0.3, 0.2)):
        rate, w, t = 0.01, w0, 0
        while w**2 < 0.5:  # small steps downhill
            w += rate * 4 * s / 3 * w * (1 - w**2)
            t += rate
        got = waiting_time(w0, s)
        assert abs(got - t) < 0.03 * t + 0.02, (
            f"from w0 = {w0} at s = {s} you say {got:.3f}; small steps take {t:.3f}"
        )


attempt(check_waiting_time, waiting_time)

# %% [markdown]
# **Exercise 2.** Find all jumps of one feature. It rests where $D$ is at most `low` or at least `high`; a jump goes
# from the last moment of rest on one side to the first moment of rest on the other, upwards or downwards.
#
# <details><summary>Hint</summary>
#
# Take the indices of all moments of rest, `np.flatnonzero((D <= low) | (D >= high))`, and ask of each whether it is
# high. Where two that follow each other differ, there is a jump.
#
# </details>


# %%
def jumps_of(D, low, high):
    """A list of (start, end), indices into D (T,), in the order of time."""
    raise NotImplementedError


# %%
def check_jumps_of(jumps_of):
    up = [0.1, 0.15, 0.25, 0.35, 0.5, 0.5]
    cases = {
        "one jump up": (up, 0.2, 0.4, [(1, 4)]),
        "the same with other levels": (up, 0.12, 0.3, [(0, 3)]),
        "none": ([0.1, 0.25, 0.1, 0.3, 0.1], 0.2, 0.4, []),
        "none, but a swing among the high": ([0.5, 0.3, 0.6], 0.2, 0.4, []),
        "up and down again": ([*up, 0.3, 0.1], 0.2, 0.4, [(1, 4), (5, 7)]),
        "up at once": ([0.0, 0.5], 0.1, 0.2, [(0, 1)]),
        "no rest at the start": ([0.3, 0.3, 0.5, 0.1], 0.2, 0.4, [(2, 3)]),
        "rest at the very levels": ([0.1, 0.3, 0.5, 0.7, 0.9], 0.3, 0.7, [(1, 3)]),
    }
    for name, (D, low, high, expected) in cases.items():
        got = [tuple(int(k) for k in jump) for jump in jumps_of(np.array(D), low, high)]
        assert got == expected, (
            f"{name}, D = {D}, low = {low}, high = {high}: got {got}, expected {expected}"
        )


attempt(check_jumps_of, jumps_of)

# %% [markdown]
# **Exercise 3.** What does it cost to store a set of $k$ features that come together as their sum, all in one
# direction? In part 4 it was $s/12$ for $k = 2$, in part $5 s/6$ for $k = 3$.
#
# <details><summary>Hint</summary>
#
# Each output is the mean of the $k$ values, if each weight is $1/\sqrt{k}$. While the set is on, the sum of the squared
# differences from the mean of $k$ independent numbers is ($k$ - 1) times their variance, on average. The variance of a
# uniform number is 1/12.
#
# </details>


# %%
def collapsed_loss(k, s):
    """Expected loss of one neuron that stores the sum of k features, density s."""
    raise NotImplementedError


# %%
def check_collapsed_loss(collapsed_loss):
    for k, s in ((2, 0.5), (3, 0.05), (4, 0.9), (1, 0.3)):
        W, b = np.full((1, k), k**-0.5), np.zeros(k)
        exact = tms.expected_loss(W, b, s, pattern="together")
        got = collapsed_loss(k, s)
        assert np.isclose(got, exact, atol=1e-12), (
            f"for k = {k} at s = {s} you say {got:.5f}, the exact loss is {exact:.5f}"
        )


attempt(check_collapsed_loss, collapsed_loss)

# %% [markdown]
# **Next:** the [findings](../figures/README.md) on these pictures, each claim with its number; or
# [5. Check your own gradients](05_check_your_own_gradients.ipynb).
