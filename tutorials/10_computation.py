# %% [markdown]
# # 10. Computation
#
# So far superposition was storage: features went into fewer dimensions and came out again as they were. Section 8 of
# the paper [*Toy Models of Superposition*](https://transformer-circuits.pub/2022/toy_model/index.html) (Elhage et al.,
# 2022) asks for more. A layer of neurons shall *compute* something of every feature, with fewer neurons than that takes
# if each works for one feature only. The something is the absolute value.
#
# **You will be able to**
# - build $\lvert x\rvert$ from ReLUs, and say when it is exact;
# - derive the gradient where encoder and decoder are two arrays, and prove it with finite differences of your own;
# - read what each neuron of a trained model stands for, whatever its scale;
# - explain the asymmetric motif, by which one neuron serves two features and a second one cleans up, and find it.
#
# **You need** [tutorial 2](02_the_gradient_by_hand.ipynb).
#
# **Contents**: [the absolute value by hand](#hand), [the gradient](#gradient), [three features, six neurons](#three),
# [a hundred features, forty neurons](#hundred), [two features share a neuron](#motif), [what to vary](#vary),
# [exercises](#exercises).
# Reading takes about 25 minutes; the [map](README.md) says how long the cells run, and has a glossary.
#
# **Letters and shapes** (those of tutorial 2, and)
#
# | letter | what it is | shape |
# | --- | --- | --- |
# | $E$, $D$ | encoder and decoder: row $k$ is what neuron $k$ reads, and what it writes | (m, n) |
# | $E_{ki}$, $D_{ki}$ | what neuron $k$ reads of feature $i$, and what it writes to output $i$ | numbers |
# | $dE$, $dD$ | derivatives of the loss by them | (m, n) |
# | $a$, $h$ and $da$, $dh$ | hidden values before and after their ReLU, and derivatives | (batch, m) |
# | $x$ | features, now between -1 and 1 | (batch, n) |
# | $t$ | target, what $y$ should be: $\lvert x\rvert$ | (batch, n) |

# %%
try:
    import minitms as tms
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "minitms is missing; in a clone of its repository run: pip install -e ."
    ) from error

from itertools import product

import matplotlib.pyplot as plt
import numpy as np

from minitms import plots
from minitms.testing import check_grad

plt.style.use(plots.STYLE)
rng = np.random.default_rng(0)

# %% [markdown]
# <a id="hand"></a>
# ## 1. The absolute value by hand
#
# A ReLU passes the positive half of its input. Take both halves and add them:
#
# $$ \lvert x\rvert = \mathrm{ReLU}(x) + \mathrm{ReLU}(-x) $$
#
# So a hidden layer of two neurons computes $\lvert x\rvert$: one reads $x$, the other $-x$, and both are written to the
# output with weight 1. The model, for one example:
#
# $$ h = \mathrm{ReLU}(E\,x) \qquad\qquad y = \mathrm{ReLU}(D^\top h + b) $$
#
# The encoder $E$ says what neurons read, the decoder $D$ what they write; they are *untied*, two arrays of their own. A
# model of $n$ features that gives two neurons to each makes no error at all.
#
# **Predict.** Neuron 0 now reads $5 x$ in place of $x$. What has to be done to its row of $D$, so that the model stays
# the same? Is there any way to tell from the outputs that something has changed?
#
# <details><summary>Answer</summary>
#
# Its ReLU gives 5 times as much, so its row of $D$ is divided by 5. No output changes, for any $x$: only the product of
# what a neuron reads and what it writes can be seen. That holds for every factor above 0. A negative one would flip the
# ReLU's input, and that is another function.
#
# </details>

# %%
E, D, b = np.array([[1.0], [-1.0]]), np.array([[1.0], [1.0]]), np.zeros(1)
x = np.linspace(-1, 1, 5)[:, None]
print("x:", x.ravel(), "  y:", tms.forward((E, D), b, x, hidden="relu").ravel())

scale = np.array([[5.0], [1.0]])
y = tms.forward((scale * E, D / scale), b, x, hidden="relu")
print("neuron 0 scaled by 5, y:", y.ravel())

# %% tags=["check"]
assert tms.loss((E, D), b, x, hidden="relu", target=abs(x)) == 0
assert np.allclose(y, abs(x))

# %% [markdown]
# <a id="gradient"></a>
# ## 2. The gradient of untied weights
#
# In [tutorial 2](02_the_gradient_by_hand.ipynb) one $W$ was used twice, and its gradient was the sum of two paths. Now
# each path has an array of its own, so nothing is added. Two more things are new: the neurons have a ReLU, and the
# error is measured from the target $t$. As there, $dz$ is short for $\partial L / \partial z$, and so on.
#
# Take one example, and go from the error backwards. What does each number change, and how strongly?
#
# - $D_{ki}$ changes one output only: $z_i = \sum_k h_k D_{ki} + b_i$. So $dD_{ki} = h_k\, dz_i$, and $db_i = dz_i$.
# - $h_k$ changes all outputs, and the changes add up: $dh_k = \sum_i D_{ki}\, dz_i$.
# - $a_k$ changes $h_k = \mathrm{ReLU}(a_k)$, with slope 1 where the neuron is on and 0 where it is off:
#   $da_k = dh_k \cdot [a_k > 0]$.
# - $E_{ki}$ changes one $a_k = \sum_i E_{ki}\, x_i$ only. So $dE_{ki} = da_k\, x_i$.
#
# **Predict.** One feature, the two neurons of part 1, and the example $x = -1$. Neuron 0 is off. Which of its weights
# could learn from this example?
#
# <details><summary>Answer</summary>
#
# None. It writes nothing, so what it would write does not matter ($h_0 = 0$, so $dD_{00} = 0$); and its mask stops what
# comes back ($da_0 = 0$, so $dE_{00} = 0$), even if $dh_0$ is not 0. A neuron that is off for all examples never learns
# again: it is *dead*.
#
# </details>
#
# In numbers, with $D = [1, 0.5]^\top$, so that there is an error. The target of $x = -1$ is $t = 1$:
#
# | what | number |
# | --- | --- |
# | $a = x E^\top$ | [-1, 1] |
# | $h = \mathrm{ReLU}(a)$ | [0, 1] |
# | $z = y$ | 0.5 |
# | $dy = dz = 2 (0.5 - 1)$ | -1 |
# | $dD = h^\top dz$ | $[0, -1]^\top$ |
# | $dh = dz D^\top$ | [-1, -0.5] |
# | $da = dh \cdot [a > 0]$ | [0, -0.5] |
# | $dE = da^\top x$ | $[0, 0.5]^\top$ |
#
# For a batch, each example is a row of $x$. The sums above become products of matrices, and those for $dD$ and $dE$ run
# over the examples, too. Read the left column down, the right one up. What was not so in tutorial 2 is bold:
#
# | forward | backward, from the bottom up |
# | --- | --- |
# | $a = x E^\top$ | **$dE = da^\top x$** |
# | $h = \mathrm{ReLU}(a)$ | **$da = dh \cdot [a > 0]$** |
# | $z = h D + b$ | $dh = dz D^\top$; **$dD = h^\top dz$**; $db$ = sum of the rows of $dz$ |
# | $y = \mathrm{ReLU}(z)$ | $dz = dy \cdot [z > 0]$ |
# | $L$ = mean of sum $I (y - t)^2$ | $dy = 2 I (y - t)$ / batch |
#
# With tied weights the two products would be added:
#
# $$ \text{tied: } \frac{\partial L}{\partial W} = dD + dE \qquad\qquad
# \text{untied: } \Big(\frac{\partial L}{\partial E},\ \frac{\partial L}{\partial D}\Big) = (dE,\ dD) $$


# %%
def my_backward(E, D, b, x, t, importance):
    a = x @ E.T
    h = np.maximum(a, 0)
    z = h @ D + b
    y = np.maximum(z, 0)

    dy = 2 * importance * (y - t) / len(x)  # (batch, n)
    dz = dy * (z > 0)
    db = dz.sum(axis=0)  # (n,)
    dD = h.T @ dz  # (m, n), on its own
    dh = dz @ D.T  # (batch, m)
    da = dh * (a > 0)  # the mask of the hidden ReLU
    dE = da.T @ x  # (m, n), on its own
    return dE, dD, db


by_hand = my_backward(E, np.array([[1.0], [0.5]]), b, np.array([[-1.0]]), 1.0, 1.0)
print("dE:", by_hand[0].ravel(), " dD:", by_hand[1].ravel(), " db:", by_hand[2])

# %% tags=["check"]
assert np.allclose(by_hand[0].ravel(), [0, 0.5])
assert np.allclose(by_hand[1].ravel(), [0, -1])

# %% [markdown]
# Now prove it on a model that is not so simple, first with nothing but the meaning of a slope. Move one weight by a
# small step to both sides, and see how the loss changes:
#
# $$ \frac{\partial L}{\partial E_{ki}} \approx
# \frac{L(E_{ki} + \varepsilon) - L(E_{ki} - \varepsilon)}{2\,\varepsilon} $$
#
# The loss itself comes from three lines of our own, not from the library.

# %%
features = tms.SparseFeatures(
    n=4, density=0.6, importance=0.8 ** np.arange(4), signed=True, target="abs"
)
importance = features.importance
x = features.sample(32, seed=0)  # values between -1 and 1
E, D, b = rng.normal(size=(6, 4)), rng.normal(size=(6, 4)), 0.1 * rng.normal(size=4)


def my_loss(E, D, b):
    h = np.maximum(x @ E.T, 0)
    y = np.maximum(h @ D + b, 0)
    return np.mean(np.sum(importance * (y - abs(x)) ** 2, axis=1))


def slopes(loss, array, step=1e-6):
    """Slope of the loss by each entry of an array, which is moved in place and put back."""
    found = np.empty_like(array)
    for place in np.ndindex(array.shape):
        kept = array[place]
        array[place] = kept + step
        above = loss()
        array[place] = kept - step
        below = loss()
        array[place] = kept
        found[place] = (above - below) / (2 * step)
    return found


mine = my_backward(E, D, b, x, abs(x), importance)
differences = []
for name, array, gradient in zip(("E", "D", "b"), (E, D, b), mine, strict=True):
    differences.append(abs(slopes(lambda: my_loss(E, D, b), array) - gradient).max())
    print(f"d{name}: largest difference from the measured slopes {differences[-1]:.1e}")

# %% tags=["check"]
assert max(differences) < 1e-7

# %% [markdown]
# `check_grad` does the same with more care (a step that fits the rounding, an eye on the ReLU's corners), and the
# library's own `backward` returns the same pair.

# %%
print(
    check_grad(
        lambda model: my_loss(*model),
        lambda model: my_backward(*model, x, abs(x), importance),
        (E, D, b),
    )
)
(dE, dD), db = tms.backward((E, D), b, x, importance, hidden="relu", target=abs(x))
apart = max(abs(u - v).max() for u, v in zip(mine, (dE, dD, db), strict=True))
print(f"largest difference from the library: {apart:.1e}")

# %% tags=["check"]
assert apart < 1e-13

# %% [markdown]
# <a id="three"></a>
# ## 3. Three features, six neurons
#
# Now train, from twelve random starts: three features, each on with probability $s = 0.3$, and six neurons. The scale
# of a neuron is arbitrary, as we saw. So before we look, each is scaled: the largest thing it reads gets weight 1 or
# -1, and what it writes is multiplied by what the other was divided by.
#
# **Predict.** What does the model look like? Does every start get there?
#
# <details><summary>Answer</summary>
#
# Each feature gets two neurons, one for each sign, and the loss is 0. Not every start gets there. A neuron can be dead,
# and so can an output: if $z_i$ is below 0 for all examples, its mask lets no gradient through, and $y_i$ stays 0. Or
# neurons settle where every small step makes things worse, a *local minimum*. So take the best of several.
#
# </details>

# %%
features = tms.SparseFeatures(n=3, density=0.3, signed=True, target="abs")
options = {"hidden": "relu", "tied": False, "batch_size": 256, "seed": 0}
run = tms.train(features, n_hidden=6, steps=2000, restarts=12, **options)
print("losses of the starts:", np.sort(run.loss).round(5))

best = run.best()
largest = abs(best.W.encoder).max(axis=-1, keepdims=True)
E, D = best.W.encoder / largest, best.W.decoder * largest
order = abs(E).argmax(axis=1).argsort()
print("what neurons read:")
print(E[order].round(2) + 0)
print("what they write:")
print(D[order].round(2) + 0)
print("neurons that read each feature:", tms.neurons_per_feature(E))

# %% tags=["check"]
assert run.loss.min() < 1e-5
assert tms.neurons_per_feature(E).tolist() == [2, 2, 2]

# %% [markdown]
# What is wrong with the two worst starts? Show them one feature at a time, at 1 and at -1.

# %%
alone = np.concatenate([np.eye(3), -np.eye(3)])
for k in run.loss.argsort()[-2:]:
    y = tms.forward((run.W.encoder[k], run.W.decoder[k]), run.b[k], alone, hidden="relu")
    print(f"loss {run.loss[k]:.3f}, diagonal entries are to be 1: at 1")
    print(y[:3].round(2) + 0)
    print("at -1")
    print(y[3:].round(2) + 0)

# %% tags=["check"]
assert np.allclose(np.sort(run.loss)[-2:], 0.1, atol=0.01)

# %% [markdown]
# One has an output that always says 0: that is dead. The other knows only one half each of two features. Either way two
# halves are missing. One half costs the mean of $x^2$ over the examples in which it is on, $s/2 \cdot 1/3 = 0.05$, so
# both losses are about 0.1.
#
# <a id="hundred"></a>
# ## 4. A hundred features, forty neurons
#
# Forty neurons are enough for $\lvert x\rvert$ of twenty features. Here are a hundred, of importance $0.8^i$, at seven
# densities $s$. The package brings the best of five starts for each, trained on until the loss fell no further: 8,000
# steps, and then 16,000 more, again and again. Part 6 trains one.
#
# `tms.features_per_neuron` counts what a neuron reads with more than 0.3 times its largest weight. A neuron of one
# feature is *monosemantic*, one of several *polysemantic*. Which features have neurons of their own? We say of each
# neuron which feature it reads most, and take the mean of these numbers. A small mean stands for important features.
#
# **Predict.** How many of the forty are monosemantic at $s = 1$? At $s = 0.001$? Which features keep neurons of their
# own for longest?
#
# <details><summary>Answer</summary>
#
# All at $s = 1$, nine at 0.001. Errors in an important feature cost most, so these keep clear of interference longest,
# as the paper says: at each density the neurons of one feature read more important ones than the others do. That shows
# only where training has ended. After the first 8,000 steps it hangs on the threshold (part 6).
#
# </details>

# %%
run = tms.load_example("absolute_value")
best = run.best()
density = run.features.density[:, 0]
size = abs(best.W.encoder).max(axis=-1, keepdims=True)
E, D = best.W.encoder / size, best.W.decoder * size  # (7, 40, 100) both
count = tms.features_per_neuron(E)  # (7, 40)
largest = abs(E).argmax(axis=-1)  # the feature that each neuron reads most
print("                      mean number of the feature that is read most, by neurons that are")
print("    s   monosemantic     monosemantic   polysemantic")
for k, s in enumerate(density):
    alone = count[k] == 1
    means = [f"{largest[k][kind].mean():.1f}" if kind.any() else "-" for kind in (alone, ~alone)]
    print(f"{s:5g}   {alone.sum():2} of 40 {means[0]:>19} {means[1]:>14}")
print("s = 1: neurons that read features 0 to 19:", tms.neurons_per_feature(E)[0, :20])

# %% tags=["check"]
alone = (count == 1).sum(axis=1)
assert alone[0] == 40
assert alone[-1] == 9
assert all(largest[k][count[k] == 1].mean() < largest[k][count[k] > 1].mean() for k in range(2, 7))

# %%
fig, axes = plt.subplots(2, 3, figsize=(8.3, 4.8))
for (upper, lower), k in zip(axes.T, (0, 2, 6), strict=True):
    plots.neurons(abs(E[k]), ax=upper)
    upper.set(title=f"s = {density[k]:g}", xlabel="40 neurons", xticks=[])
    x = np.linspace(-1, 1, 101)
    for i, style in ((0, "-"), (10, "--"), (19, "-"), (30, "--")):
        single = x[:, None] * np.eye(100)[i]
        y = tms.forward((E[k], D[k]), best.b[k], single, hidden="relu")[:, i]
        lower.plot(x, y, style, label=f"feature {i}")
    lower.plot(x, abs(x), color="0.8", linewidth=5, zorder=0, label="|x|")
    lower.set(xlabel="$x_i$, alone", ylim=(-0.05, 1.3))
axes[0, 0].set_ylabel("$|E_{ki}|$, stacked")
axes[1, 0].set_ylabel("$y_i$")
fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
fig.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
plt.show()

# %% [markdown]
# Above: $\lvert E_{ki}\rvert$ of all features in each neuron, one upon the other, neurons sorted by the feature they
# read most (mind the different scales). Blue features have their neurons to themselves, red ones share them all, purple
# ones some; grey ones no neuron reads with more than 0.3 times its largest weight. Below: what the model answers if one
# feature alone is on; the broad grey line is $\lvert x\rvert$. At $s = 1$ each neuron works for one feature, and what
# has no neurons gets its mean, $s/2$. There are enough for the first twenty features; training forgot one of them, and
# took another in its place. At $s = 0.001$ most neurons read many features each, and still answer
# $\lvert x\rvert$, also for feature 30, which would have no neuron if nobody shared.
#
# Is that better? [The findings](../figures/README.md#computing-the-absolute-value-in-superposition) compare the loss of
# these models with one made by hand, that gives two neurons each to the twenty most important features and answers the
# others with their mean. At $s = 0.1$ and below sharing wins; where features are denser there is nothing to win, and
# training comes near to the model made by hand.
#
# <a id="motif"></a>
# ## 5. Two features share a neuron
#
# How can one neuron serve two features? Say that three features have five neurons, so one is missing: feature 1 has a
# neuron for its positive half and none for its negative. Let it borrow one of feature 0. If both were read with weight
# 1 and -1, each would show up in the other's output at full size. The paper found that models do something better, the
# *asymmetric superposition motif*. Neuron $p$ reads (2, -1/2) of features 0 and 1, and writes (1/2, 2):
#
# | only this is on | $p$ gives | output 0 | output 1 |
# | --- | --- | --- | --- |
# | $x_1 = -1$ | 1/2 | 1/4, should be 0 | **1**, right |
# | $x_0 = 1$ | 2 | **1**, right | 4, should be 0 |
#
# The small one hardly disturbs the large one; but the large one appears in the small one's output, fourfold. That is
# taken away by a second neuron, $q$, which works for a third feature, the positive half of $x_2$. It reads 1/4 of $x_0$
# as well, and writes a large negative number to output 1:
#
# $$ \underbrace{2 \cdot 2}_{\text{through } p} + \underbrace{\tfrac14 \cdot (-16)}_{\text{through } q} = 0 $$
#
# If $x_2$ alone is on, $q$ writes that number to output 1, too. It does no harm there: the output's ReLU makes it 0.
#
# **Predict.** What does output 1 say if $x_2 = 1$ and $x_1 = 1$, both on? Which pairs of features does the model get
# wrong, and when is that a good bargain?
#
# <details><summary>Answer</summary>
#
# Through $q$ comes -16, so output 1 is 0 in place of 1: feature 1 is forgotten where $x_2 = 1$, whatever its sign. It
# is forgotten as well where it meets $x_0$ of the same sign, since both reach $p$ with opposite signs. The worst is
# $x_0 = 1$ with $x_2 = -1$: it turns $q$ off, nobody cleans up, and output 1 says 4 in place of 0. It is a good
# bargain where two features are seldom on at once: a feature is on with probability $s$, a pair with $s^2$ only. Then
# what counts are the errors of single ones, 1/4 here and there, in place of half of a feature that is lost.
#
# </details>

# %%
#             x_0  x_1  x_2               y_0   y_1  y_2
reads = [[2.00, -0.5, 0], [-1, 0, 0], [0, 1, 0], [0.25, 0, 1], [0, 0, -1]]
writes = [[0.5, 2, 0], [1, 0, 0], [0, 1, 0], [0, -16, 1], [0, 0, 1]]
motif = np.array(reads), np.array(writes)  # neuron 0 is p, neuron 3 is q

shown = np.array(list(product((1, -1, 0), repeat=3)))
for number in (1, 2):
    print(f"{number} on:")
    patterns = shown[(shown != 0).sum(axis=1) == number]
    answers = tms.forward(motif, np.zeros(3), patterns, hidden="relu")
    for x, y in zip(patterns, answers, strict=True):
        said = " ".join(f"{value:.2f}" for value in y)
        print(f"  x = {x[0]:2} {x[1]:2} {x[2]:2}   y = {said}   squared error {((y - abs(x)) ** 2).sum():5.2f}")

lost = motif[0].copy(), motif[1].copy()
lost[0][0, 1] = lost[0][3, 0] = lost[1][0, 1] = lost[1][3, 1] = 0  # nobody borrows, nobody cleans up
ratios = []
for s in (0.5, 0.2, 0.05, 0.01):
    x = tms.SparseFeatures(3, s, signed=True).sample(2**17, seed=0)
    with_it, without = (
        tms.loss(W, np.zeros(3), x, hidden="relu", target=abs(x))
        for W in (motif, lost)
    )
    ratios.append(with_it / without)
    print(f"s = {s:<4}: loss with the motif {with_it:.5f}, half of x_1 lost {without:.5f}")

# %% tags=["check"]
y = tms.forward(motif, np.zeros(3), [[1, 0, 0], [0, -1, 0], [0, 1, 1], [1, 0, -1]], hidden="relu")
assert np.allclose(y, [[1, 0, 0.25], [0.25, 1, 0], [0, 0, 1], [1, 4, 1]])
assert ratios[0] > 1 > ratios[-1]

# %% [markdown]
# So it pays where features are sparse. Do models find it by themselves? Six features with ten neurons, of importance
# $0.7^i$, at $s = 0.2$: two neurons are missing. `find` looks for a neuron with two features of opposite signs, the
# large one read at least twice as strongly and written at most half as strongly, both answered about right; and for a
# second neuron that takes away at least half of what the large one does to the small one's output.


# %%
def find(E, D):
    """The first (p, q, large, small) in a model, or None."""
    m, n = E.shape
    for p, large, small in np.ndindex(m, n, n):
        read, written = E[p, [large, small]], D[p, [large, small]]
        answered = abs(read) * written
        if large == small or read.prod() >= 0 or abs(answered - 1).max() > 0.5:
            continue
        if abs(read[0]) < 2 * abs(read[1]) or written[1] < 2 * written[0]:
            continue
        # the large one is on, with the sign that p reads: what each neuron then adds to the small one's output
        paths = np.maximum(np.sign(read[0]) * E[:, large], 0) * D[:, small]
        if paths.min() <= -0.5 * paths[p]:
            return p, int(paths.argmin()), large, small
    return None


features = tms.SparseFeatures(
    n=6, density=0.2, importance=0.7 ** np.arange(6), signed=True, target="abs"
)
options = {"hidden": "relu", "tied": False, "batch_size": 256, "seed": 0}
run = tms.train(features, n_hidden=10, steps=2500, restarts=24, **options)
found = [find(*model) for model in zip(*run.W, strict=True)]
print(f"{sum(place is not None for place in found)} of {len(found)} starts have it")
chosen = next(k for k in run.loss.argsort() if found[k])  # the best of these
p, q, large, small = found[chosen]
E, D = run.W.encoder[chosen], run.W.decoder[chosen]
scale = 2 / abs(E[p, large])  # as the paper has it
print(f"p reads  {scale * E[p, large]:5.2f} of feature {large} and {scale * E[p, small]:5.2f} of feature {small}")
print(f"p writes {D[p, large] / scale:5.2f} and {D[p, small] / scale:5.2f}")
on = np.sign(E[p, large]) * np.eye(6)[[large]]
paths = np.maximum(on @ E.T, 0) * D[:, small]
print(f"feature {large} at output {small}:", end=" ")
print(f"through p {paths[0, p]:.2f}, through q {paths[0, q]:.2f}, in all {paths.sum():.2f}")
own = abs(E[q]).argmax()
print(f"feature {own}, q's own, at output {small}: through q {abs(E[q, own]) * D[q, small]:.2f}")

# %% tags=["check"]
assert abs(paths.sum()) < 0.2 * paths[0, p]
assert own not in (large, small)
assert abs(E[q, own]) * D[q, small] < -2

# %% [markdown]
# The ratio of what $p$ reads is near the paper's four. Note what $q$ does. The paper says that it turns the positive
# interference into negative. Here it cancels it, and the output is far below zero only while $q$'s own feature is on.
#
# <a id="vary"></a>
# ## 6. What to vary
#
# First train one of the models of part 4. It needs a better start than usual. From a random $E$ and $D$ many outputs
# hear their feature with the wrong sign. Where features are rare, hardly anything else wakes them, so they are dead
# from the beginning. With $D = \lvert E\rvert$ and $b = 0$ no $z_i$ is below 0 at the start. And the learning rate
# rises slowly at first (`warmup`), so that the first steps kill none. The cell takes a few seconds.

# %%
density = np.array([0.001])
n, m, starts, steps = 100, 40, 2, 8000
features = tms.SparseFeatures(
    n, density[:, None], importance=0.8 ** np.arange(n), signed=True, target="abs"
)
E = np.random.default_rng(0).normal(0, np.sqrt(2 / (n + m)), (starts, 1, m, n))
run = tms.train(
    features,
    m,
    hidden="relu",
    tied=False,
    steps=steps,
    warmup=steps // 6,
    batch_size=512,
    restarts=starts,
    seed=0,
    initial=((E, abs(E)), np.zeros(n)),
)
best = run.best()
for k, s in enumerate(density):
    alone = (tms.features_per_neuron(best.W.encoder[k]) == 1).sum()
    print(f"s = {s:<5g}: losses of the starts {run.loss[:, k]}, {alone} of {m} monosemantic in the best")
packaged = tms.load_example("absolute_value").loss[0]
print("losses of the models in the package, s = 1 to 0.001:", packaged, sep="\n")

# %% tags=["check"]
assert packaged[-1] < best.loss[-1] < 4 * packaged[-1]

# %% [markdown]
# - `density = np.array([1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001])` in this cell trains all seven models. It takes
#   about half a minute.
# - Leave out `initial` there, or `warmup`, or both: how much higher does the loss end? (To answer 0 to everything costs
#   $s/3 \cdot 5$, as the importances sum to 5.)
# - `n=10, n_hidden=10, density=0.35`, importance `0.8 ** np.arange(10)` and `restarts=60` in part 5, with `np.eye(10)`:
#   the paper's other example, where the motif is rarer.
# - `density=0.02` in part 3: a feature is seldom on, and in 2,000 steps no start gets there. In 6,000?
# - `tms.features_per_neuron(E, 0.1)` in part 4, in place of the 0.3 that it takes by itself: who is monosemantic is a
#   matter of the threshold, but not that there are fewer, the sparser the features. Compare the two means again.
# - `"hidden": "linear"` in the options of part 3: without the hidden ReLU there is no $\lvert x\rvert$. What is left?
#
# <details><summary>What you will see</summary>
#
# - Fewer monosemantic neurons than in part 4, 40, 37, 32, 28, 7, 0 and 0, and losses 1.1 to 3.1 times as high:
#   training has not ended, and one would say that sharing begins sooner than it does.
# - Much: 0.000012 becomes 0.0009 without `initial`, 0.0008 without `warmup`, and 0.0014 without both, nearly the 0.0017
#   of answering 0.
# - 3 of 60 starts have it, in place of 17 of 24. The best of them reads 2.00 and -0.32, and writes 0.53 and 1.63.
# - One of twelve, with a loss of 0.00001. All others miss one, two or three halves, which cost $s/6 = 0.0033$ each.
# - With 0.1 it is 40, 40, 35, 27, 22, 13 and 2 monosemantic neurons. Their mean is still below that of the others at
#   every density that has both. In the seven models of the cell above the two thresholds say opposite things at $s =
#   0.3$ and 0.03.
# - One half of each feature, $\mathrm{ReLU}(x)$ or $\mathrm{ReLU}(-x)$: the output's ReLU is the only one. The loss is
#   that of three lost halves, $3 \cdot s/6 = 0.15$.
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
# **Exercise 1.** Build a model that computes $\lvert x\rvert$ of $n$ features without an error, with two neurons a
# feature.
#
# <details><summary>Hint</summary>
#
# The first $n$ neurons read the identity matrix, the others its negative. What do they write? `np.concatenate` puts one
# below the other.
#
# </details>


# %%
def absolute(n):
    """E (2n, n), D (2n, n), b (n,)."""
    raise NotImplementedError


# %%
def check_absolute(absolute):
    for n in (1, 3, 8):
        E, D, b = (np.asarray(part, dtype=float) for part in absolute(n))
        shapes, expected = (E.shape, D.shape, b.shape), ((2 * n, n), (2 * n, n), (n,))
        assert shapes == expected, f"the shapes are {shapes}; expected {expected}"
        x = tms.SparseFeatures(n, 0.7, signed=True).sample(100, seed=n)
        y = tms.forward((E, D), b, x, hidden="relu")
        worst = np.unravel_index(abs(y - abs(x)).argmax(), x.shape)
        got, expected = y[worst], abs(x[worst])
        assert np.allclose(y, abs(x)), f"n = {n}: x = {x[worst]:.3f} gives {got:.3f}, expected {expected:.3f}"


attempt(check_absolute, absolute)

# %% [markdown]
# **Exercise 2.** Feature $i$ alone is on, with the value `value`. What is output $j$ then, before its ReLU? Add up what
# comes through all neurons, and the bias.
#
# <details><summary>Hint</summary>
#
# Neuron $k$ reads $E_{ki}$ times the value, its ReLU cuts off what is negative, and it writes $D_{kj}$ times the
# rest.
#
# </details>


# %%
def interference(E, D, b, i, j, value):
    """z_j, a number."""
    raise NotImplementedError


# %%
def check_interference(interference):
    rng = np.random.default_rng(7)
    W = rng.normal(size=(2, 5, 4))
    b = rng.normal(size=4)
    for i, j, value in ((0, 1, 1.0), (0, 1, -1.0), (2, 2, 0.5), (3, 0, -0.2)):
        z = tms.forward(tuple(W), b, value * np.eye(4)[[i]], "linear", hidden="relu")[0, j]
        got = interference(*W, b, i, j, value)
        assert np.ndim(got) == 0, f"the result has shape {np.shape(got)}; expected a number"
        assert np.isclose(got, z), f"feature {i} at {value}, output {j}: got {got:.4f}, expected {z:.4f}"


attempt(check_interference, interference)

# %% [markdown]
# **Exercise 3.** The gradient once more, of a model whose neurons have a bias $c$ of their own: $a = x E^\top + c$.
# Importance is 1 here. Return `(dE, dD, db, dc)`. The check is `check_grad`: it measures slopes.
#
# <details><summary>Hint</summary>
#
# Take `my_backward` of part 2 and put $c$ into the forward pass. $c$ is added to every row of $a$, as $b$ is to every
# row of $z$: compare how $db$ follows from $dz$.
#
# </details>


# %%
def backward_with_bias(E, D, b, c, x, t):
    """Gradients of mean over the batch of sum (y - t)², in the shapes of E, D, b and c."""
    raise NotImplementedError


# %%
def check_backward_with_bias(backward_with_bias):
    rng = np.random.default_rng(0)  # every neuron is on for some examples and off for others
    x = rng.uniform(-1, 1, (16, 3))

    def loss(p):
        h = np.maximum(x @ p["E"].T + p["c"], 0)
        y = np.maximum(h @ p["D"] + p["b"], 0)
        return np.mean(np.sum((y - abs(x)) ** 2, axis=1))

    def gradient(p):
        got = backward_with_bias(p["E"], p["D"], p["b"], p["c"], x, abs(x))
        assert len(got) == 4, f"{len(got)} results; expected four, (dE, dD, db, dc)"
        return dict(zip("EDbc", got, strict=True))

    shapes = {"E": (4, 3), "D": (4, 3), "b": 3, "c": 4}
    check_grad(loss, gradient, {name: rng.normal(size=shape) for name, shape in shapes.items()})


attempt(check_backward_with_bias, backward_with_bias)

# %% [markdown]
# **Next:** [the findings](../figures/README.md#computing-the-absolute-value-in-superposition), with all densities and
# starts; or back to [the map](README.md).
