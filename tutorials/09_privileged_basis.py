# %% [markdown]
# # 9. A privileged basis
#
# So far hidden dimensions were only coordinates: turn all vectors together, and the model is the same. Real networks
# have *neurons*, hidden values that go through a ReLU each, and then it matters along which axes features lie. Section
# 7 of the paper [*Toy Models of Superposition*](https://transformer-circuits.pub/2022/toy_model/index.html) (Elhage et
# al., 2022) asks when a neuron stands for one feature, and when for many.
#
# **You will be able to**
# - say what makes a basis *privileged*, and show it with an example of two features;
# - derive the gradient of a model with a hidden ReLU, one line longer than without, and prove it right;
# - count *monosemantic* and *polysemantic* neurons, and find the blocks in which features share neurons;
# - say why the best of many runs shows what a single run does not;
# - explain why a bias on the neurons undoes it all.
#
# **You need** [tutorial 1](01_introduction.ipynb), and [tutorial 2](02_the_gradient_by_hand.ipynb) for the gradient.
#
# **Contents**: [a rotation that matters](#rotation), [the gradient](#gradient), [three in two](#three),
# [train](#train), [one run or many](#many), [a bias on the neurons](#bias), [what to vary](#vary),
# [exercises](#exercises). Reading takes about 25 minutes; the [map](README.md) says how long the cells run, and has a
# glossary.
#
# **Letters and shapes** (those of tutorial 2, and)
#
# | letter | what it is | shape |
# | --- | --- | --- |
# | $a$, $da$ | hidden values before their ReLU, $x W^\top$, and the derivative of the loss by them | (batch, m) |
# | $h$, $dh$ | after it, $\mathrm{ReLU}(a)$ | (batch, m) |
# | $W_{ki}$ | weight between neuron $k$ (row $k$ of $W$) and feature $i$ (column $i$) | a number |
# | $c$ | a bias on the neurons (part 6 and exercise 1) | (m,) |
# | $[a > 0]$ | 1 where $a > 0$ and 0 elsewhere: the *mask* of the ReLU | that of $a$ |

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
from minitms.testing import GradientError, check_grad

plt.style.use(plots.STYLE)
rng = np.random.default_rng(0)

# %% [markdown]
# <a id="rotation"></a>
# ## 1. A rotation that matters
#
# Two features in two dimensions, $W$ the identity, $b = 0$: $y = x$, with or without a ReLU in the middle, since $x$ is
# never below 0. Now turn both features by 45°:
#
# $$ W = \frac{1}{\sqrt 2} \begin{pmatrix} 1 & -1 \\ 1 & 1 \end{pmatrix} $$
#
# Without a hidden ReLU the output is $W^\top W x$, and $W^\top W$ is still the identity: nobody can tell. With one,
# take $x = (0, 1)$, as a column:
#
# | step | numbers |
# | --- | --- |
# | $a = W x$ | (-0.71, 0.71) |
# | $h = \mathrm{ReLU}(a)$ | (0, 0.71) |
# | $z = W^\top h$ | (0.5, 0.5) |
# | $y = \mathrm{ReLU}(z)$ | (0.5, 0.5) |
#
# Half of feature 1 is lost, and feature 0 seems to be on. So the axes of the hidden space are special: a feature along
# one of them passes, one across them does not. Such a basis is called *privileged*, and its axes are *neurons*.
#
# **Predict.** And $x = (1, 0)$?
#
# <details><summary>Answer</summary>
#
# $a = (0.71, 0.71)$, both positive, so the ReLU does nothing: $y = (1, 0)$. Only what is below 0 is lost.
#
# </details>

# %%
turned = np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2)
x = np.array([[0.0, 1.0], [1.0, 0.0]])
for hidden in ("linear", "relu"):
    print(f"hidden {hidden}:")
    print(tms.forward(turned, np.zeros(2), x, hidden=hidden).round(2))

# %% tags=["check"]
assert np.allclose(tms.forward(turned, np.zeros(2), x), x)
assert np.allclose(tms.forward(turned, np.zeros(2), x, hidden="relu"), [[0.5, 0.5], [1, 0]])

# %% [markdown]
# $x = (1, 0)$ came through because its $a$ has nothing below 0. When is that so for **every** $x$? Inputs are never
# below 0. If no weight is, either, then $a$ never is, and the model **is** the one without a hidden ReLU. So a hidden
# ReLU can only do something through negative weights. Try it, with weights drawn between 0 and 1:

# %%
W, b, x = rng.random((5, 10)), rng.normal(size=10), rng.random((100, 10))
difference = tms.forward(W, b, x, hidden="relu") - tms.forward(W, b, x, hidden="linear")
print("largest difference:", abs(difference).max())

# %% tags=["check"]
assert abs(difference).max() == 0

# %% [markdown]
# <a id="gradient"></a>
# ## 2. The gradient: one line differs
#
# The model of tutorial 2, with one step more, $h = \mathrm{ReLU}(a)$. As there, $dz$ is the derivative of the loss by
# $z$, and so on. Read the forward column down, then the backward column **up**: each row differentiates its own step,
# and needs only what the row below it found.
#
# | forward | backward, from the bottom up |
# | --- | --- |
# | $a = x W^\top$ | encode path: $da^\top x$ |
# | $h = \mathrm{ReLU}(a)$ | **$da = dh \cdot [a > 0]$**, the new row |
# | $z = h W + b$ | $dh = dz W^\top$; decode path: $h^\top dz$; $db$ = sum of the rows of $dz$ |
# | $y = \mathrm{ReLU}(z)$ | $dz = dy \cdot [z > 0]$ |
# | $L$ = mean of sum $I (y - x)^2$ | $dy = 2 I (y - x)$ / batch |
#
# The new row is the row of $y$ once more. Where $a > 0$, $h$ moves as $a$ does: slope 1, and $dh$ passes. Where
# $a < 0$, $h$ stays 0 whatever $a$ does: slope 0, and $dh$ is stopped. (At exactly 0 we take slope 0.) $W$ is used
# twice, so its gradient is the sum of both paths:
#
# $$ dW = \underbrace{h^\top \, dz}_{\text{decode}} + \underbrace{da^\top x}_{\text{encode}} $$
#
# Two features and one neuron, $W = [1, -0.5]$, $b = [0.1, 0]$, importance 1, as in tutorial 2.
#
# **Predict.** With $x = [0.2, 0.6]$, what is $dW$? And $db$?
#
# <details><summary>Answer</summary>
#
# $dW = 0$. $a = 0.2 - 0.3 = -0.1$, so $h = 0$, and nothing of $W$ reaches the output: $z = b$. In decoding $h = 0$
# multiplies $dz$, in encoding $[a > 0] = 0$ multiplies $dh$. The bias still learns: $y = [0.1, 0]$,
# $dy = 2 (y - x) = [-0.2, -1.2]$, and only output 0 is on, so $db = dz = [-0.2, 0]$.
#
# A neuron that is off learns nothing. One that is off for **all** examples is *dead*: no gradient will wake it.
#
# </details>


# %%
def my_loss(W, b, x, importance):
    a = x @ W.T
    h = np.maximum(a, 0)
    y = np.maximum(h @ W + b, 0)
    return (importance * (y - x) ** 2).sum(axis=1).mean()


def my_backward(W, b, x, importance):
    a = x @ W.T
    h = np.maximum(a, 0)
    z = h @ W + b
    y = np.maximum(z, 0)

    dy = 2 * importance * (y - x) / len(x)  # (batch, n)
    dz = dy * (z > 0)
    db = dz.sum(axis=0)
    dh = dz @ W.T  # (batch, m)
    da = dh * (a > 0)  # the line that differs
    return h.T @ dz + da.T @ x, db


W, b = np.array([[1.0, -0.5]]), np.array([0.1, 0.0])
dW, db = my_backward(W, b, np.array([[0.2, 0.6]]), 1.0)
print("neuron off: dW =", dW, "db =", db)
dW_on, db_on = my_backward(W, b, np.array([[0.6, 0.3]]), 1.0)  # as in tutorial 2: a = 0.45
print("neuron on:  dW =", dW_on, "db =", db_on)

# %% tags=["check"]
assert (dW == 0).all()
assert np.allclose(db, [-0.2, 0])
assert np.allclose(dW_on, [[-0.105, -0.03]])
assert np.allclose(db_on, [-0.1, 0])

# %% [markdown]
# With the neuron on, the hidden ReLU does nothing, and the gradient is that of tutorial 2.
#
# Now measure it, with nothing but the loss: move each weight a little to both sides. Three neurons and 32 examples, so
# that many hidden values are off and many are on.

# %%
features = tms.SparseFeatures(n=6, density=0.5, importance=0.8 ** np.arange(6))
importance, x = features.importance, features.sample(32, seed=0)
W, b = rng.normal(size=(3, 6)), 0.1 * rng.normal(size=6)
dW, db = my_backward(W, b, x, importance)

step, numeric = 1e-6, np.empty_like(W)
for k, i in np.ndindex(W.shape):
    up, down = W.copy(), W.copy()
    up[k, i] += step
    down[k, i] -= step
    numeric[k, i] = (my_loss(up, b, x, importance) - my_loss(down, b, x, importance)) / (2 * step)
print("hidden values that are off:", f"{(x @ W.T <= 0).mean():.0%}")
print(f"largest difference of measured and computed: {abs(numeric - dW).max():.0e}, largest slope {abs(dW).max():.1f}")
assert np.allclose(numeric, dW, atol=1e-8)

# %% [markdown]
# `check_grad` does the same with more care, for both parameters at once. And it sees when the line is forgotten:


# %%
def loss(params):
    return tms.loss(params["W"], params["b"], x, importance, hidden="relu")


def gradient(params):
    dW, db = my_backward(params["W"], params["b"], x, importance)
    return {"W": dW, "b": db}


print(check_grad(loss, gradient, {"W": W, "b": b}))


def forgotten(params):
    W, b = params["W"], params["b"]
    h = np.maximum(x @ W.T, 0)
    z = h @ W + b
    dz = 2 * importance * (np.maximum(z, 0) - x) / len(x) * (z > 0)
    return {"W": h.T @ dz + (dz @ W.T).T @ x, "b": dz.sum(axis=0)}


try:
    check_grad(loss, forgotten, {"W": W, "b": b})
except GradientError as problem:
    print(str(problem).splitlines()[0])
else:
    raise AssertionError("the check should have found this")

# %% [markdown]
# In the library it is the line `da = dh * f_slope(a)` of [minitms/model.py](../minitms/model.py): `f_slope` is
# $[a > 0]$ with a hidden ReLU, and 1 without. The call is `tms.train(..., hidden="relu")`.
#
# <a id="three"></a>
# ## 3. Three features in two neurons
#
# With two neurons, what is there beside a feature on each? Three features, as
#
# $$ W_0 = (1, 1), \qquad W_1 = (1, -1), \qquad W_2 = (-1, 1) $$
#
# $W_1$ and $W_2$ are opposite, a digon, and a digon needs only one dimension. $W_0$ has the other. But look what the
# **neurons** do when one feature is on, fully, $x_i = 1$:
#
# | on | $a$ | $h$ | $W^\top h$ |
# | --- | --- | --- | --- |
# | 0 | (1, 1) | (1, 1) | (2, 0, 0) |
# | 1 | (1, -1) | (1, 0) | (1, 1, -1) |
# | 2 | (-1, 1) | (0, 1) | (1, -1, 1) |
#
# Feature 1 turns on neuron 0 and tries to turn off neuron 1; feature 2 does the reverse, and feature 0 turns on both.
#
# **Predict.** In the last column each row should have a single 1. Which numbers are wrong, and which bias $b$ mends
# them? Is the model perfect then?
#
# <details><summary>Answer</summary>
#
# Output 0 is too large by 1, in every row. (The -1 are no mistake: the output's ReLU makes them 0.) So $b = (-1, 0, 0)$
# mends all three rows. But not other inputs:
#
# - feature 0 half on: output 0 is $2 \cdot 0.5 - 1 = 0$;
# - features 1 and 2 both on: $a = (0, 0)$, they put each other out, and nothing is left.
#
# A smaller $\lvert b_0 \rvert$ with a shorter $W_0$ spreads the first error. The second stays. So three in two pays
# only where features seldom meet.
#
# </details>

# %%
W, b = np.array([[1.0, 1.0, -1.0], [1.0, -1.0, 1.0]]), np.array([-1.0, 0.0, 0.0])
x = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0, 0], [0, 1, 1]])
y = tms.forward(W, b, x, hidden="relu")
for example, output in zip(x, y, strict=True):
    print(f"x = {example}: y = {output}")

# %% tags=["check"]
assert np.allclose(y, np.vstack([np.eye(3), np.zeros((2, 3))]))

# %% [markdown]
# How does one count what a neuron stands for? Inputs are never below 0, so a feature turns a neuron on if its weight is
# positive; we ask for more than 0.3 of the neuron's largest positive one, so that specks do not count. If one feature
# turns it on, the neuron is *monosemantic*, if several do, *polysemantic*.
#
# Three functions count. To all of them a weight counts if $\lvert W_{ki} \rvert$ is above 0.3 of the largest in its
# **row**, that is, of the same neuron. `tms.features_per_neuron(W)` counts such weights in each row,
# `tms.neurons_per_feature(W)` in each column. Given `np.maximum(W, 0)`, they count what turns on, as we want.
# `tms.neuron_blocks(W)` finds which neurons and features hang together, by weights of either sign.

# %%
W = np.array([[1.0, 1.0, -1.0, 0.0, 0.05], [1.0, -1.0, 1.0, 0.1, 0.0], [0.0, 0.0, 0.1, 1.0, 0.0]])
positive = np.maximum(W, 0)
print("features that turn on each neuron:", tms.features_per_neuron(positive))
print("neurons that each feature turns on:", tms.neurons_per_feature(positive))
for block in tms.neuron_blocks(W):
    print(f"neurons {block.neurons} share features {block.features}")

# %% tags=["check"]
assert tms.features_per_neuron(positive).tolist() == [2, 2, 1]
assert tms.neurons_per_feature(positive).tolist() == [2, 1, 1, 1, 0]
assert tms.neuron_blocks(W) == [((0, 1), (0, 1, 2)), ((2,), (3,))]

# %% [markdown]
# The first block is the three in two from above. Feature 4 is in none: 0.05 is a speck beside the 1 in its row.
#
# <a id="train"></a>
# ## 4. Train
#
# The paper's model: ten features in five neurons, importance $0.75^i$. It took the best of a thousand runs; we take the
# best of a hundred.
#
# **Predict.** Where features meet often, sharing neurons costs most, as part 3 found. At density 0.5, 0.2, 0.07, 0.03,
# how many of the five neurons stand for one feature only?
#
# <details><summary>Answer</summary>
#
# All five at 0.5; at 0.2 three, while the other two hold three features together as in part 3; at 0.07 and 0.03 none.
# That is the paper's sequence, and what the next cell finds.
#
# </details>

# %%
density = np.array([0.5, 0.2, 0.07, 0.03])
n, m = 10, 5
features = tms.SparseFeatures(n=n, density=density[:, None], importance=0.75 ** np.arange(n))
run = tms.train(features, n_hidden=m, hidden="relu", steps=2500, batch_size=256, restarts=100, seed=0)
best = run.best()
counts = tms.features_per_neuron(np.maximum(run.W, 0))  # (restarts, K, m): how many features turn a neuron on
mono = (counts == 1).sum(axis=-1)  # (restarts, K)
for k, s in enumerate(density):
    kept = tms.features_represented(best.W[k])
    shapes = [f"{len(shared)} in {len(neurons)}" for neurons, shared in tms.neuron_blocks(best.W[k])]
    print(f"density {s:<4}: {kept} features kept; turning on each neuron {np.sort(counts[best.restart[k], k])}; "
          f"features in neurons: {', '.join(sorted(shapes))}")
found = mono[best.restart, np.arange(len(density))]

# %% tags=["check"]
assert found.tolist() == [5, 3, 0, 0]
assert [tms.features_represented(W) for W in best.W] == [5, 6, 8, 10]
assert sorted(len(block.features) for block in tms.neuron_blocks(best.W[1])) == [1, 1, 1, 3]

# %%
fig, axes = plt.subplots(2, 4, figsize=(9, 5), height_ratios=[1.3, 1], sharey="row")
for k, s in enumerate(density):
    order = counts[best.restart[k], k].argsort(kind="stable")  # the monosemantic neurons first
    plots.neurons(best.W[k], order=order, ax=axes[0, k])
    axes[0, k].set(title=f"density {s}", xlabel=f"neuron ({found[k]} monosemantic)")
    plots.weight_gram(axes[1, k], best.W[k], best.b[k])
axes[0, 0].set_ylabel("weights, stacked")
fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
plt.show()

# %% [markdown]
# Each bar is a neuron (its number below), each rectangle in it a weight. Feature 0, the most important, lies next to
# the axis. What points upwards turns the neuron on, what points downwards turns it off. (The paper stacks all weights
# upwards, as |weights|.) A neuron that one feature turns on is monosemantic: one blue rectangle, and specks. Behind
# the others the ground is sandy. So read the upper halves alone, and even the last panels become simple. Below the
# bars are $W^\top W$ (red is positive, blue negative, and beyond ±1 the colour is the same) and $b$. Which neurons
# does each feature turn on in the last two models?

# %%
def turned_on(W):
    """For each feature, the neurons that it turns on."""
    positive = np.maximum(W, 0)
    on = positive > 0.3 * positive.max(axis=1, keepdims=True)
    return [tuple(np.flatnonzero(column).tolist()) for column in on.T]


for k in (-2, -1):
    print(f"density {density[k]}:")
    for i, neurons in enumerate(turned_on(best.W[k])):
        print(f"    feature {i} turns on neurons {neurons}")
two = [neurons for neurons in turned_on(best.W[-1]) if len(neurons) == 2]
print(f"{len(two)} features are pairs, {len(set(two))} of these pairs are different; ", end="")
print(f"{m} neurons have {m * (m - 1) // 2} pairs")

# %% tags=["check"]
assert len(two) == len(set(two)) == 10
codes = turned_on(best.W[2])
threes, twos = [[set(code) for code in codes if len(code) == size] for size in (3, 2)]
assert (len(threes), len(twos), codes.count(())) == (4, 4, 2)
(fifth,) = set.intersection(*twos)
assert {frozenset(three) for three in threes} == {frozenset(range(5)) - {fifth, k} for k in set(range(5)) - {fifth}}
assert {frozenset(pair) for pair in twos} == {frozenset({fifth, k}) for k in set(range(5)) - {fifth}}

# %% [markdown]
# At the lowest density it is a code of pairs: no neuron stands for one feature, and yet each feature can be told from
# the others by which two are on. $W^\top W$ shows little of that; it would look the same for rotated weights. At 0.07
# there is another code, for eight features. One neuron is special, the one that all pairs have in common. Four features
# turn on three of the other four neurons each, four turn on one of these and the special one. Features 8 and 9 are
# dropped.
#
# <a id="many"></a>
# ## 5. One run, or the best of many?
#
# **Predict.** Had we trained once at each density, would we have seen the same?
#
# <details><summary>Answer</summary>
#
# At 0.5 nearly always. The sparser, the less: a start has to find a whole code, and most stop at an incomplete one, a
# local minimum.
#
# </details>

# %%
pairs_of = (tms.neurons_per_feature(np.maximum(run.W, 0)) == 2).sum(axis=-1)  # (restarts, K)
fig, axes = plt.subplots(1, 2, figsize=(9, 3))
for k, s in enumerate(density):
    worse = 100 * (run.loss[:, k] / best.loss[k] - 1)
    axes[0].plot(np.sort(worse), np.linspace(0, 100, len(worse)), label=f"density {s}")
    print(f"density {s:<4}: median loss {np.median(worse):.1f} % above the best; "
          f"monosemantic neurons: {mono[:, k].mean():.1f} on average, {found[k]} in the best")
axes[0].set(xlabel="loss above that of the best, in %", ylabel="% of the runs with less", xlim=(-1, 60))
axes[0].legend()
axes[1].hist(pairs_of[:, -1], bins=np.arange(-0.5, n + 1), color="0.7", edgecolor="white")
axes[1].axvline(pairs_of[best.restart[-1], -1], color="#D55E00", label="the run with the lowest loss")
axes[1].set(xlabel=f"features that are pairs, of {n}, at density {density[-1]}", ylabel="runs")
axes[1].set(xlim=(-0.5, n + 0.6), ymargin=0.3)  # room for the legend
axes[1].legend(loc="upper left")
plt.show()
print(f"all {n} features are pairs in {np.mean(pairs_of[:, -1] == n):.0%} of the runs at density {density[-1]}")

# %% tags=["check"]
assert np.mean(pairs_of[:, -1] == n) < 0.5

# %% [markdown]
# On the left, a curve that rises late is a density at which most runs end far above the best. On the right, few runs
# have the whole code of pairs, and the best of all is one of them. Who trains once will hardly see it.
# [The findings](../figures/README.md#superposition-in-a-privileged-basis-neurons-of-one-feature-and-of-many) have a
# thousand runs at each of nine densities.
#
# <a id="bias"></a>
# ## 6. A bias on the neurons
#
# Why has the model no bias before its hidden ReLU? Add one, $a = W x + c$ (a single example again, as a column), and
# see what it allows. Let $c$ be so large that $a$ is never below 0. Then $h = a$, and
#
# $$ z = W^\top h + b = W^\top W x + (W^\top c + b) $$
#
# Everything of $c$ ends up in the output's bias, where it can be taken off again: with $b' = b - W^\top c$ in place of
# $b$ the model **is** that without a hidden ReLU, for any rotation of $W$. The paper reports that training finds this
# out and makes $c$ positive. (The findings repeat that.)
#
# So we train a model without a hidden ReLU, give it one, and $c$ and $b'$ with it.
#
# **Predict.** How do its outputs change? And which loss is lower, that of this model or of the code of pairs?
#
# <details><summary>Answer</summary>
#
# They do not change at all, but for rounding. And its loss is lower, by far: no hidden value is cut off.
#
# </details>

# %%
plain = tms.train(features, n_hidden=m, steps=2500, batch_size=256, restarts=8, seed=0).best()
W, b = plain.W[-1].astype(float), plain.b[-1].astype(float)  # float64, to see that they agree to the last digits
x = features.sample(4096, seed=1)[-1]
c = -np.minimum((x @ W.T).min(axis=0), 0)  # as large as needed for these examples
moved = b - W.T @ c
h = np.maximum(x @ W.T + c, 0)
y = np.maximum(h @ W + moved, 0)
print("c =", c.round(2))
print("largest difference from the linear hidden layer:", f"{abs(y - tms.forward(W, b, x)).max():.1e}")
print(f"loss {plain.loss[-1]:.5f}, against {best.loss[-1]:.5f} of the best without such a bias")

# %% tags=["check"]
assert np.allclose(y, tms.forward(W, b, x))
assert plain.loss[-1] < best.loss[-1]

# %% [markdown]
# So neurons that stand for something are not what the loss asks for. They are what is left when the model cannot avoid
# its ReLU.
#
# <a id="vary"></a>
# ## 7. What to vary
#
# - `density = np.array([1.0, 0.35, 0.1, 0.01])` in part 4: at 1 the ReLU hardly matters, since many rotated $W$ keep
#   all hidden values positive. Look at the loss of single runs, and at how many neurons are monosemantic in them.
# - `restarts=1` in part 4, with several seeds: what a single run would have told you.
# - `n, m = 6, 4` in part 4: four neurons have six pairs. At which density do you find them all?
# - `threshold=0.2` and `0.5` in `tms.features_per_neuron`: do the counts depend on it? And if it is given `run.W` with
#   its negative weights?
#
# <details><summary>What you will see</summary>
#
# - At 1 six of ten runs are within 1 % of the best loss, with any number of monosemantic neurons from none to five:
#   rotated $W$ are nearly as good. At 0.35 the best has three in two, as at 0.2, and at 0.1 the code for eight
#   features, as at 0.07. At 0.01 the best of a hundred is not enough for the code of pairs: nine features are pairs,
#   one turns on all five neurons, and the median loss is 83 % higher still.
# - Five monosemantic neurons at 0.5, as in the best. At 0.2 none to two in place of three. At 0.07 and 0.03 none or
#   one, but the code of pairs, at 0.03, in none of six seeds: 0 to 9 features are pairs.
# - Not at 0.2 (three in two, and two monosemantic neurons), but at 0.07 and 0.03. With densities in between, all six
#   are there at 0.1 as well, and not yet at 0.15.
# - Those of the best hardly: 5, 3, 0, 0 with each of the three. The mean over all runs moves, from 1.3 to 1.5 at 0.2.
#   With negative weights the counts mean something else (who turns a neuron on *or off*), and depend on the threshold:
#   at 0.5 four of the five neurons at 0.07 look monosemantic.
#
# </details>
#
# <a id="exercises"></a>
# ## 8. Exercises
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
# **Exercise 1.** The model of part 6 has a third parameter, $c$. Write its gradient, for a batch.
#
# <details><summary>Hint</summary>
#
# $a = x W^\top + c$, and $c$ is in every row of $a$, as $b$ is in every row of $z$. So $dc$ is to $da$ what $db$ is to
# $dz$.
#
# </details>


# %%
def gradient_of_c(W, b, c, x, importance):
    """Derivative of the loss by c (m,), for y = ReLU(ReLU(x Wᵀ + c) W + b) and the loss of part 2."""
    raise NotImplementedError


# %%
def check_gradient_of_c(gradient_of_c):
    data = tms.SparseFeatures(n=6, density=0.5).sample(32, seed=3)
    draw = np.random.default_rng(3)
    W, b, c = draw.normal(size=(3, 6)), 0.1 * draw.normal(size=6), 0.3 * draw.normal(size=3)
    weights = 0.8 ** np.arange(6)

    def loss_of(c):
        y = np.maximum(np.maximum(data @ W.T + c, 0) @ W + b, 0)
        return (weights * (y - data) ** 2).sum(axis=1).mean()

    check_grad(loss_of, lambda c: gradient_of_c(W, b, c, data, weights), c)


attempt(check_gradient_of_c, gradient_of_c)

# %% [markdown]
# **Exercise 2.** Count the monosemantic neurons of each model of a stack, without `tms.features_per_neuron`: those that
# exactly one feature turns on, in the sense of part 3. A neuron without a positive weight is not monosemantic.
#
# <details><summary>Hint</summary>
#
# With `positive = np.maximum(W, 0)`, `positive.max(axis=-1, keepdims=True)` is each neuron's largest. Compare 0.3 of it
# with `positive`, count along the last axis, and then count the ones. Where all are 0 nothing is **above** 0.
#
# </details>


# %%
def monosemantic(W):
    """How many rows of W (..., m, n) have exactly one weight above 0.3 of their largest positive one: shape (...)."""
    raise NotImplementedError


# %%
def check_monosemantic(monosemantic):
    by_hand = np.array([[1.0, 0.2, -4.0], [1.0, 0.9, 0.0], [-1.0, 0.0, 0.0]])
    got = monosemantic(by_hand)
    assert np.array_equal(got, 1), f"rows (1, 0.2, -4), (1, 0.9, 0), (-1, 0, 0): got {got}; expected 1, for the first"
    got = np.asarray(monosemantic(run.W))
    assert got.shape == run.loss.shape, f"the result has shape {got.shape}; expected {run.loss.shape}"
    wrong = got != (tms.features_per_neuron(np.maximum(run.W, 0)) == 1).sum(axis=-1)
    assert not wrong.any(), (
        f"{wrong.sum()} of {wrong.size} models have another number. Is it 0.3 of each neuron's own largest?"
    )


attempt(check_monosemantic, monosemantic)

# %% [markdown]
# **Exercise 3.** Build a code of pairs for $m$ neurons: one feature for each pair of neurons. Its weights to these two
# are positive, those to all other neurons negative, so a feature that is on alone turns on its two neurons and no
# other.
#
# <details><summary>Hint</summary>
#
# `itertools.combinations(range(m), 2)` gives all pairs. Start from a $W$ of -1 with $m$ rows and a column for each
# pair, and write 1 at the two neurons.
#
# </details>


# %%
def pair_code(m):
    """W of shape (m, m (m - 1) / 2): positive at the two neurons of each pair, negative elsewhere."""
    raise NotImplementedError


# %%
def check_pair_code(pair_code):
    for m in (3, 4, 5):
        W = np.asarray(pair_code(m))
        n = m * (m - 1) // 2
        assert W.shape == (m, n), f"m = {m}: W has shape {W.shape}; expected {(m, n)}"
        on = W > 0  # feature i alone turns on the neurons of column i
        assert (on.sum(axis=0) == 2).all(), f"m = {m}: features turn on {on.sum(axis=0)} neurons; expected 2 each"
        assert (W < 0).sum() == (m - 2) * n, f"m = {m}: a neuron outside the pair is not turned off"
        assert len({tuple(neurons) for neurons in on.T.tolist()}) == n, f"m = {m}: a pair is used twice"
        own = np.einsum("ki,ki->i", W, np.maximum(W, 0))
        others = W.T @ np.maximum(W, 0) - np.diag(own)
        assert (others.max(axis=0) < own).all(), f"m = {m}: another output is as large as the feature's own"


attempt(check_pair_code, pair_code)

# %% [markdown]
# **Next:** [the findings](../figures/README.md), where every figure of the paper is repeated and each claim measured;
# or back to [the map](README.md).
