# %% [markdown]
# # 8. Robustness: what superposition has to do with adversarial examples
#
# Change an input by very little, in just the wrong direction, and a network's answer goes wrong. Section 6 of the paper
# *Toy Models of Superposition* asks whether superposition is a reason for that. In our models both can be measured, and
# the worst change can be written down instead of searched for.
#
# **You will be able to**
# - attack a model by hand, and say why features that share a dimension are easier to attack;
# - derive the worst attack on an output, and check it by trying all directions;
# - explain why an attack that climbs the gradient may find nothing where there is something to find;
# - measure how vulnerable a model is, from dense to sparse, and say how much of that is $1/D^*$;
# - train a model on attacked examples, and watch it give superposition up.
#
# **You need** [tutorial 1](01_introduction.ipynb); $D_i$ and $D^*$ from [tutorial 6](06_geometry.ipynb); the chain
# rule; for part 5 the training loop of [tutorial 2](02_the_gradient_by_hand.ipynb).
#
# **Contents**: [an attack by hand](#hand), [the worst attack](#worst), [a masked gradient](#masked),
# [from dense to sparse](#sweep), [adversarial training](#training), [what to vary](#vary), [exercises](#exercises).
# Reading takes about 25 minutes; the [map](README.md) says how long the cells run, and has a glossary.
#
# **Letters and shapes** (those of tutorials 0 and 1, and)
#
# | letter | what it is | shape |
# | --- | --- | --- |
# | $\delta$ | the attack: what is added to an example $x$. The target stays $x$ | (n,), or (batch, n) |
# | $\varepsilon$ | its *budget*: how long $\delta$ may be (the root of its sum of squares) | a number |
# | $r_i$ | row $i$ of $W^\top W$, which holds $W_i \cdot W_j$ for all $j$: how output $i$ depends on $x$ | (n,) |
# | $\hat W_i$ | $W_i$ divided by its length | (m,) |
# | $D_i$ | share of feature $i$: $\lvert W_i\rvert^2$ over the sum of all $(\hat W_i \cdot W_j)^2$ | a number |
# | $D^*$ | dimensions for each learned feature, $m$ / (sum of all squared lengths) | a number |
# | $1/D^*$ | learned features for each dimension | a number |

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
# ## 1. An attack by hand
#
# Two features share one dimension as a pair of opposites, W = [1, -1], with $b = 0$. So $z_0 = x_0 - x_1$ and
# $z_1 = x_1 - x_0$. The example is x = [1, 0]: y = [1, 0], without error. We may add a $\delta$ of length
# $\varepsilon = 0.1$. Three tries:
#
# | $\delta$ | $x + \delta$ | $y_0$ | $y_1$ | error, summed squares |
# | --- | --- | --- | --- | --- |
# | [0.1, 0] | [1.1, 0] | 1.1 | 0 | 0.01 |
# | [0, 0.1] | [1, 0.1] | 0.9 | 0 | 0.01 |
# | [0.0707, -0.0707] | [1.0707, -0.0707] | 1.1414 | 0 | 0.02 |
#
# The third $\delta$ is as long as the others, but uses both ways into $z_0$ at once: $x_0$ from above, $x_1$ from
# below. A negative $x_1$ never occurs in the data. The attack does not care.
#
# **Predict.** A second model has a dimension for each of two features, W = [[1, 0], [0, 1]]. What can an attack of
# length 0.1 do to it at x = [1, 0]?
#
# <details><summary>Answer</summary>
#
# At x = [1, 0] the model answers $x + \delta$ where that is positive, so its error is at most
# $\lvert\delta\rvert^2 = 0.01$, whatever the direction. The pair in one dimension can be hurt twice as much. Its $D_i$
# is 1/2, half as large.
#
# </details>

# %%
pair, apart, b, x = np.array([[1.0, -1.0]]), np.eye(2), np.zeros(2), np.array([[1.0, 0.0]])
for delta in ([0.1, 0.0], [0.0, 0.1], [0.1 / np.sqrt(2), -0.1 / np.sqrt(2)]):
    error = tms.loss(pair, b, x + delta, target=x)  # target=x: what is right has not changed
    print(f"δ = [{delta[0]:.4f}, {delta[1]:.4f}]: error {error:.4f}")
for name, W in (("one dimension", pair), ("two dimensions", apart)):
    found = tms.worst_attack(W, b, x, budget=0.1)
    print(f"{name}: worst attack {found.delta[0].round(4)}, error {found.attacked:.4f}")  # under this attack

# %% tags=["check"]
assert np.isclose(error, 0.02)
assert np.isclose(tms.worst_attack(pair, b, x, budget=0.1).attacked, 0.02)
assert np.isclose(tms.worst_attack(apart, b, x, budget=0.1).attacked, 0.01)

# %% [markdown]
# <a id="worst"></a>
# ## 2. The worst attack
#
# How did `worst_attack` know? Before the ReLU, output $i$ is $z_i = r_i \cdot x + b_i$, where $r_i$ is row $i$ of
# $W^\top W$. So
#
# $$ z_i(x + \delta) = z_i(x) + r_i \cdot \delta \qquad |r_i \cdot \delta| \le |r_i|\,|\delta| \le \varepsilon\,|r_i| $$
#
# The first inequality is Cauchy's: the product of two vectors is at most that of their lengths, and is equal to it if
# they point in the same direction, or in opposite ones. So $z_i$ can be moved by up to $\varepsilon \lvert r_i\rvert$
# to either side, and the $\delta$ that do it are
#
# $$ \delta = \pm\,\varepsilon\, \frac{r_i}{|r_i|} $$
#
# When $z_i$ goes up $y_i$ goes up, or stays at 0. And the error $(y_i - x_i)^2$ grows with the distance of $y_i$ from
# $x_i$, to either side: on a stretch of $y_i$ it is largest at one of the two ends. So **on a single output one of
# these two is the worst attack there is**. We need not search, only try both signs.
#
# And how long is $r_i$? Its entries are $W_i \cdot W_j$. $D_i$ is $\lvert W_i\rvert^2$ over the sum of
# $(\hat W_i \cdot W_j)^2$, so
#
# $$ |r_i|^2 = \sum_j (W_i \cdot W_j)^2 = |W_i|^2 \sum_j (\hat W_i \cdot W_j)^2 = \frac{|W_i|^4}{D_i} $$
#
# With $\lvert W_i\rvert = 1$ an attack moves $z_i$ by up to $\varepsilon/\sqrt{D_i}$. Where the answer was right
# before, that makes a squared error of up to $\varepsilon^2/D_i$. A feature with half of a dimension can be hurt twice
# as much as one with all of it: that is no accident, it is how $D_i$ is defined. (Where the answer was wrong before,
# more: part 4.)
#
# Do not take our word for it. With three features all directions can be tried, or at least 20,000 of them.

# %%
rng = np.random.default_rng(9)
W, b, x = rng.normal(0, 0.8, (2, 3)), rng.normal(0, 0.2, 3), rng.random(3)
directions = rng.normal(size=(20_000, 3))
directions /= np.linalg.norm(directions, axis=1, keepdims=True)
budget = 0.2
lengths = np.linalg.norm(W.T @ W, axis=1)
print("|r_i|          ", lengths.round(4))
print("|W_i|² / √D_i  ", (tms.feature_norms(W) ** 2 / np.sqrt(tms.dimensionality(W))).round(4))
assert np.allclose(lengths, tms.feature_norms(W) ** 2 / np.sqrt(tms.dimensionality(W)))

outputs = tms.forward(W, b, x + budget * directions)
for i in range(3):
    tried = (outputs[:, i] - x[i]) ** 2
    z = W.T[i] @ W @ x + b[i]
    ends = np.maximum([z + budget * lengths[i], z - budget * lengths[i]], 0)
    formula = ((ends - x[i]) ** 2).max()
    print(f"output {i}: worst of 20,000 directions {tried.max():.5f}, by the formula {formula:.5f}")
    assert formula * 0.99 < tried.max() <= formula + 1e-12

# %% [markdown]
# The formula is never behind; a random direction comes close to the row, but does not hit it exactly.
#
# For the error **summed over all outputs** no single row need be the worst: several outputs can be hurt at once, by a
# mixture of rows. The paper tries one row for each output and keeps the most damaging, and so does `worst_attack`, with
# both signs.
#
# **Predict.** Which of the two does more damage here, the most damaging row or the worst of all 20,000 directions?
# Could the other one win, on another example?
#
# <details><summary>Answer</summary>
#
# The worst of all directions, a mixture of rows; here by a few percent. Where a row happens to be the best there is, it
# may be ahead by a hair, since there are gaps between the 20,000 directions.
#
# </details>

# %%
best_row = tms.worst_attack(W, b, x[None], budget).attacked
everything = ((outputs - x) ** 2).sum(axis=1).max()
print(f"most damaging row {best_row:.5f}, worst of all directions {everything:.5f}")

# %% tags=["check"]
assert 0.9 * everything < best_row < 0.99 * everything

# %% [markdown]
# <a id="masked"></a>
# ## 3. A masked gradient
#
# The usual way to attack a network is to climb: take the gradient of the loss by $x$, make a step, and repeat. Only
# what goes in is moved; the target $t$ stays the clean $x$. Output $j$ is the ReLU of
# $z_j = \sum_k (W_j \cdot W_k)\, x_k + b_j$, and the loss is the sum of $(y_j - t_j)^2$. By the chain rule
#
# $$ \frac{\partial L}{\partial x_k}
# = \sum_j \frac{\partial L}{\partial y_j}\,\frac{\partial y_j}{\partial z_j}\,\frac{\partial z_j}{\partial x_k}
# = \sum_j 2\,(y_j - t_j) \cdot [z_j > 0] \cdot (W_j \cdot W_k) $$
#
# where $[z_j > 0]$, the slope of the ReLU, is 1 if output $j$ is on and 0 if it is off. In code the first two factors
# are `dz`, and the sum over $j$ is a product with $W^\top W$.
#
# Why did we not climb? Take twenty pairs of opposites, all of length 1, at $x = 0$, where a bias of -0.1 keeps all
# outputs off. Sparse models look like that most of the time. The budget is 0.1.
#
# **Predict.** What is the gradient of the loss by $x$? What will climbing find, and what do the rows find?
#
# <details><summary>Answer</summary>
#
# All outputs are off, and a ReLU that is off passes no gradient on: it is exactly 0, and climbing stands still.
# Starting from random points near $x$ hardly helps: in 40 dimensions a random direction is nearly orthogonal to every
# row, so the outputs stay off. The gradient is *masked*. A row says where to go, however far: it moves $z_i$ by
# $0.1 \cdot \sqrt 2 = 0.141$, beyond the bias of -0.1, and output $i$ turns on, at 0.041. The error is 0.0017.
#
# </details>


# %%
def gradient_by_x(W, b, x, target):
    """Derivative of each example's loss by x (batch, n); the target is held fixed."""
    z = x @ W.T @ W + b
    dz = 2 * (np.maximum(z, 0) - target) * (z > 0)
    return dz @ W.T @ W


W, budget = np.kron(np.eye(20), [[1.0, -1.0]]), 0.1  # (20, 40): twenty pairs
b, x = np.full(40, -0.1), np.zeros((200, 40))
start = rng.normal(size=x.shape)  # 200 starts, all on the edge of what the budget allows
delta = budget * start / np.linalg.norm(start, axis=1, keepdims=True)
for _ in range(50):
    slope = gradient_by_x(W, b, x + delta, target=x)
    # A step up the slope, a tenth of the budget long; where the slope is 0, no step. Then back to the budget's edge, if
    # the step led beyond it.
    delta = delta + budget / 10 * slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-12)
    delta *= np.minimum(1, budget / np.linalg.norm(delta, axis=1, keepdims=True))
climbed = (tms.forward(W, b, x + delta) ** 2).sum(axis=1)
by_row = tms.worst_attack(W, b, x[:1], budget).attacked
print(f"climbing, 200 starts: worst error {climbed.max():.6f}")
print(f"along a row:          {by_row:.6f}, by hand {(0.1 * np.sqrt(2) - 0.1) ** 2:.6f}")

# %% tags=["check"]
assert climbed.max() == 0
assert np.isclose(by_row, (0.1 * np.sqrt(2) - 0.1) ** 2)

# %% [markdown]
# A model that looks safe from gradients is not safe. (That is well known from larger networks, where it has fooled many
# proposed defences: [Athalye, Carlini and Wagner, 2018](https://arxiv.org/abs/1802.00420).)
#
# <a id="sweep"></a>
# ## 4. From dense to sparse
#
# Now models that learned: 40 features in 4 dimensions, from dense to sparse. As in the paper $\varepsilon$ is 0.1 times
# the mean length of an example. The loss under attack itself would say little, since most of it is the loss of features
# that are dropped, and that was there before. So we take what the attack adds, over $\varepsilon^2$:
#
# $$ \text{vulnerability} = \frac{L(x + \delta) - L(x)}{\varepsilon^2} $$
#
# The target is the clean $x$ in both losses. A model without superposition has 1: what comes in goes out. In others an
# output may be wrong before anyone attacks it. Say that output $i$ is off by $e_i = y_i - x_i$, and the attack moves it
# by $\Delta_i$. Then the attack adds
#
# $$ \sum_i (e_i + \Delta_i)^2 - e_i^2 = \sum_i \Delta_i^2 + \sum_i 2\, e_i \Delta_i $$
#
# The first sum says how far outputs move; in part 1 there was nothing else. The second says whether they move further
# away from what is right, or back to it.
#
# Is the row chosen for each example (`per="example"`), or once for all examples of a model? The paper does not say; we
# do both.
#
# **Predict.** How large are the two sums, over $\varepsilon^2$, in a model in which all learned features are digons and
# biases are near 0? With one row for all examples; and with a row for each?
#
# <details><summary>Answer</summary>
#
# The row moves $z_i$ by $\sqrt 2\,\varepsilon$, and that of its partner as far in the other direction. But where one is
# above zero the other is below, where the ReLU cuts it off. So about one of the two outputs moves, and the first sum is
# about 2, which is $1/D_i$.
#
# One row for all examples moves some outputs away from what is right, and others back to it: the second sum is near 0.
# A row and a sign for each example are chosen so that it is large. Where both features of a pair are on, both answers
# are wrong already, and elsewhere what is left of the bias makes them a little wrong: there the attack pushes on. This
# sum grows as $\varepsilon$, not as $\varepsilon^2$, so how much it is depends on the budget; at ours it is nearly as
# much again.
#
# </details>

# %%
n, m, inverse = 40, 4, np.array([1, 1.5, 2, 3, 5, 10])  # one over the density
features = tms.SparseFeatures(n=n, density=1 / inverse[:, None])
run = tms.train(features, n_hidden=m, steps=2000, batch_size=256, restarts=2, seed=0).best()
x = features.sample(300, seed=1, dtype="float32")  # (6, 300, n)
budget = 0.1 * np.linalg.norm(x, axis=-1).mean(axis=-1)
crowd = 1 / tms.dimensions_per_feature(run.W)
clean = tms.forward(run.W, run.b, x)
vulnerable, moved = {}, {}
print("1/(1-S):               ", inverse)
print("1/D*:                  ", crowd.round(2))
for per in ("model", "example"):
    attack = tms.worst_attack(run.W, run.b, x, budget, per=per)
    change = tms.forward(run.W, run.b, x + attack.delta) - clean  # Δ
    vulnerable[per] = attack.vulnerability
    moved[per] = (change**2).sum(axis=-1).mean(axis=-1) / budget**2
    print(f"one row for each {per}")
    print("  vulnerability:       ", vulnerable[per].round(2))
    print("  sum of Δ², over ε²:  ", moved[per].round(2))
    print("  the rest, 2eΔ:       ", (vulnerable[per] - moved[per]).round(2))

fig, (left, right) = plt.subplots(1, 2, figsize=(8.3, 3.2), sharey=True)
for (per, values), color in zip(vulnerable.items(), ("#0072B2", "#D55E00"), strict=True):
    left.plot(inverse, values, "-o", color=color, label=f'per="{per}"')
    left.plot(inverse, moved[per], ":", color=color, label="its sum of Δ², over ε²")
    right.plot(crowd, values, "o", color=color)
    right.plot(crowd, moved[per], "o", color=color, mfc="none")
left.plot(inverse, crowd, "--", color="0.3", label="1/D*")
right.plot(crowd, crowd, "--", color="0.3")
left.set(xscale="log", xticks=[1, 2, 3, 5, 10], xticklabels=[1, 2, 3, 5, 10])
left.set(xlabel="1/(1-S), one over the density", ylabel="vulnerability")
left.minorticks_off()
left.legend()
right.set(xlabel="1/D*, features for each dimension", title="the same; empty: Δ² only")
plt.show()

# %% tags=["check"]
for values in vulnerable.values():
    assert abs(values[0] - 1) < 0.1
    assert values[-1] > 2.5 * values[0]
    assert np.corrcoef(values, crowd)[0, 1] > 0.85
rest = {per: vulnerable[per] - moved[per] for per in moved}
for values in moved.values():
    assert np.allclose(values[:4], crowd[:4], rtol=0.1)  # up to digons
    assert (values[4:] <= crowd[4:] + 0.05).all()
assert np.abs(rest["model"]).max() < 0.4
assert (rest["example"][2:4] > 1.2).all()  # digons
assert rest["example"][-1] > 0.6 * vulnerable["example"][-1]

# %% [markdown]
# Dense models are as vulnerable as they must be. As superposition sets in, vulnerability rises with $1/D^*$: to nearly
# three times as much with one row for all examples, and to nine times with a row for each. How much of this is news?
#
# Not how far outputs move. Up to digons that is $1/D^*$ within a few percent, as part 2 led us to expect. In sparser
# models it is about that, or less: other outputs add to it, and the ReLU takes away. News is the rest. It is little
# with one row for all, and two thirds of everything in the sparsest model with a row for each. Superposition makes
# errors of its own: interference where features that share a dimension are on together, and the bias that holds
# interference down but is in the way of every answer. An attack that may choose its row for each example finds these.
#
# The [findings](../figures/README.md#superposition-and-adversarial-examples) vary all choices, on a larger model and
# over seeds.
#
# <a id="training"></a>
# ## 5. Adversarial training
#
# The paper tried the other direction as well: if a model is attacked *while it trains*, does it give superposition up?
# At each step every example is attacked at an output drawn at random, and the model has to answer what is right for
# the clean example. In the loop of tutorial 2 two lines are new, `row` and `delta`. The gradient is the one derived
# there, with $x + \delta$ for what goes in; the clean $x$ is left in one place, the error $y - x$. ($\delta$ depends on
# $W$ too. We take it as a given number, as is usual: no gradient runs through it. And we only push upwards, to keep it
# short.)
#
# We call *learned* what is more than half as long as the longest feature, since attacks make all of them shorter.
#
# **Predict.** At a budget of 40 % of the mean $\lvert x\rvert$, and at 80 %: how many of 60 features are learned in 6
# dimensions, and which share $D_i$ do they have? Without an attack it is about three a dimension.
#
# <details><summary>Answer</summary>
#
# At 40 % about twelve: digons. At 80 % about six, each with a dimension of its own, $D_i$ near 1. Superposition is
# gone.
#
# </details>


# %%
def adam(w, g, p, q, t, rate):
    """One step of Adam, as in tutorial 2: the new w, p and q."""
    p, q = 0.9 * p + 0.1 * g, 0.999 * q + 0.001 * g**2
    return w - rate * (p / (1 - 0.9**t)) / (np.sqrt(q / (1 - 0.999**t)) + 1e-8), p, q


n, m, steps, density = 60, 6, 2500, 0.15
features = tms.SparseFeatures(n=n, density=density)
mean_length = np.linalg.norm(features.sample(5000, seed=0), axis=1).mean()


def train_attacked(strength):
    """Train with attacks as long as this part of the mean |x|: W and b."""
    draw = np.random.default_rng(0)
    W, b = draw.normal(0, 0.2, (m, n)).astype("float32"), np.full(n, density / 2, "float32")  # b: the mean of x
    pW, qW, pb, qb = 0 * W, 0 * W, 0 * b, 0 * b
    budget = np.float32(strength * mean_length)
    for t in range(1, steps + 1):
        x = features.sample(256, seed=t, dtype="float32")
        row = W.T[draw.integers(n, size=len(x))] @ W  # row i of WᵀW, another i for each example
        delta = budget * row / np.linalg.norm(row, axis=1, keepdims=True)
        dW, db = tms.backward(W, b, x + delta, target=x)
        rate = np.float32(0.01 * (1 + np.cos(np.pi * t / steps)) / 2)
        W, pW, qW = adam(W, dW, pW, qW, t, rate)
        b, pb, qb = adam(b, db, pb, qb, t, rate)
    return W, b


x = features.sample(4000, seed=steps + 1, dtype="float32")
fig, ax = plt.subplots(figsize=(5.5, 2.8))
counts, shares, losses, longest = [], [], [], []
for strength, color in ((0.0, "#D55E00"), (0.4, "#009E73"), (0.8, "#0072B2")):
    W, b = train_attacked(strength)
    norms = tms.feature_norms(W)
    learned = norms > norms.max() / 2
    D = np.sort(tms.dimensionality(W)[learned])[::-1]
    counts.append(len(D)), shares.append(np.median(D)), longest.append(norms.max())
    losses.append(tms.loss(W, b, x) / x.var(axis=0).sum())  # over the loss of always saying the mean
    print(f"{strength:4.0%}: {len(D):2} learned, median D {shares[-1]:.2f}, longest {longest[-1]:.2f}, ", end="")
    print(f"clean loss over that of the mean answer {losses[-1]:.2f}")
    ax.plot(D, "o", color=color, label=f"trained at {strength:.0%}")
ax.set(xlabel="learned feature, largest share first", ylabel="share of a dimension, D$_i$", ylim=(0, 1.1))
ax.set_xticks(range(0, 20, 5))
ax.legend(loc="center right")
plt.show()

# %% tags=["check"]
assert counts[0] > counts[1] > counts[2]
assert shares[0] < 0.4
assert abs(shares[1] - 0.5) < 0.1
assert shares[2] > 0.9
assert losses[0] < losses[1] < losses[2]
assert longest[2] < 0.6
assert losses[0] < 0.9 < losses[2] < 1
assert abs(0.8 * mean_length - 1.36) < 0.005

# %% [markdown]
# So it works, in steps: about three features a dimension, then two (digons), then one. But look at the last two numbers
# of each line. At 80 % the features are only half as long, and clean examples are answered hardly better than by always
# saying the mean (1.00), and worse than by a model that keeps 6 of 60 features properly and drops 54 (54/60 = 0.90).
# The paper found such attacks "unreasonably large", and so they are: at 80 % $\delta$ has a length of 1.36, more than a
# single feature can ever have.
#
# Why does it work? That features get shorter is as part 2 says: a shorter $W_i$ is moved less. It is tempting to go on:
# with a larger share $D_i$, too, so features move apart. But that cannot be all. If only *stored* features are
# attacked, they get shorter, and superposition never goes. It goes only if outputs that the model has dropped are
# attacked as well, which here are most of the 60. Why these drive features apart we have not worked out. The
# [findings](../figures/README.md#adversarial-training-against-superposition) say more, also at which budget
# superposition is gone, and what decides that.
#
# <a id="vary"></a>
# ## 6. What to vary
#
# The few `assert` lines hold for the values given, and may fail with yours.
#
# - The bias of part 3: at -0.05, and at -0.15. When does climbing find something, and when is there nothing to find?
# - The budget of part 4: 0.01 of the mean length instead of 0.1. Which of the two sums stays, which grows, and why?
# - `within=(0, 1)` in `tms.worst_attack` there: no entry of $x + \delta$ may be negative. Which of the two curves
#   suffers?
# - `importance=tms.feature_norms(run.W) > 0.5` there: count the error of learned features only. Does it matter?
# - The density in part 5: 0.3, then 0.05. Which budget is enough? (Look at the longest feature, too: is anything left?)
#
# <details><summary>What you will see</summary>
#
# - At -0.05 climbing finds what the row finds, 0.0084: random points near $x$ turn some outputs on, and there is a
#   slope to follow. At -0.15 neither finds anything, and there is nothing: a budget of 0.1 moves no output by more than
#   0.141.
# - The first stays: 0.9 to 3.5 with a row for each example, where it was 1 to 3.2. The second grows, from 6.1 to 70 in
#   the sparsest model. It is proportional to $\varepsilon$, and we divide by $\varepsilon^2$, so a tenth of the budget
#   makes it about ten times as large.
# - That with one row for all examples: it is 0.9 to 1.1 everywhere, since most of what a row would take away is 0
#   already. With a row for each example 9.3 becomes 6.3 in the sparsest model, and the curve still rises.
# - Only where features are dense. At density 1 a single feature is learned, and vulnerability falls from 1.0 to 0.35
#   (one row for all) and to 0.86 (a row for each). At $1/s = 1.5$ it is 1.1 still, and rises from 1.7 to 2.3. From 2 on
#   hardly anything changes.
# - At 0.3 60 %: three features are left, with a share of 0.97; at 80 % nothing is, the longest is 0.31 and the median
#   share 0.30. At 0.05 80 % is not enough (eight, 0.75), but 100 % is: six features, 0.99, and 0.96 long. Their clean
#   loss is hardly better than that of the mean answer either, 0.98.
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
# **Exercise 1.** Write the worst attack on output $i$ of a ReLU model: $\delta$ of length $\varepsilon$, with the sign
# that leaves the larger error in that output.
#
# <details><summary>Hint</summary>
#
# The row is `W.T[i] @ W`, and $z_i$ is its product with $x$, plus $b_i$. An attack moves $z_i$ by plus or minus
# $\varepsilon$ times the length of the row. Compute both errors, after the ReLU, and take the sign of the larger.
#
# </details>


# %%
def worst_on_output(W, b, x, i, budget):
    """δ (n,) for one example x (n,)."""
    raise NotImplementedError


# %%
def check_worst_on_output(worst_on_output):
    trial = np.random.default_rng(1)
    for _ in range(20):
        W, b, x = trial.normal(0, 0.8, (2, 5)), trial.normal(0, 0.3, 5), trial.random(5)
        i, budget = trial.integers(5), trial.uniform(0.05, 1)
        delta = np.asarray(worst_on_output(W, b, x, i, budget))
        assert delta.shape == (5,), f"δ has shape {delta.shape}; expected (5,)"
        length = np.linalg.norm(delta)
        assert np.isclose(length, budget), f"δ is {length:.4f} long; expected the budget, {budget:.4f}"
        row = W.T[i] @ W
        reach = np.linalg.norm(row) * budget
        assert np.isclose(abs(row @ delta), reach), (
            f"your δ moves z_{i} by {abs(row @ delta):.4f}; {reach:.4f} is possible. Which direction?"
        )
        only = np.eye(5)[i]  # importance: output i alone
        got = tms.loss(W, b, (x + delta)[None], only, target=x[None])
        best = tms.worst_attack(W, b, x[None], budget, only).attacked
        assert got > best - 1e-9, (
            f"your error of output {i} is {got:.5f}; {best:.5f} is possible. Which sign?"
        )


attempt(check_worst_on_output, worst_on_output)

# %% [markdown]
# **Exercise 2.** Output $i$ is off: $z_i < 0$. What is the smallest budget that can turn it on, that is, bring $z_i$ to
# 0? Use $D_i$ and the length of $W_i$, not $W^\top W$.
#
# <details><summary>Hint</summary>
#
# A budget of $\varepsilon$ moves $z_i$ by $\varepsilon \lvert r_i\rvert$, and
# $\lvert r_i\rvert = \lvert W_i\rvert^2 / \sqrt{D_i}$.
#
# </details>


# %%
def budget_to_turn_on(z, norm, D):
    """The budget, from z_i < 0, |W_i| and D_i."""
    raise NotImplementedError


# %%
def check_budget_to_turn_on(budget_to_turn_on):
    trial = np.random.default_rng(2)
    for _ in range(10):
        W, b, x = trial.normal(0, 0.8, (3, 6)), trial.uniform(-2, -1, 6), 0.1 * trial.random(6)
        z = W.T @ W @ x + b
        i = z.argmin()
        row = W.T[i] @ W
        got = budget_to_turn_on(z[i], tms.feature_norms(W)[i], tms.dimensionality(W)[i])
        after = z[i] + row @ (got * row / np.linalg.norm(row))
        assert abs(after) < 1e-9, (
            f"with your budget {got:.4f} z_i goes from {z[i]:.3f} to {after:.3f}; expected 0"
        )


attempt(check_budget_to_turn_on, budget_to_turn_on)

# %% [markdown]
# **Exercise 3.** A *linear* model without bias answers $y = W^\top W x$. If it answers $x$ rightly, an attack $\delta$
# adds the error $\lvert W^\top W \delta\rvert^2$. Which $\delta$ of length $\varepsilon$ is the worst of all for the
# sum over outputs? Not a row this time: give it exactly.
#
# <details><summary>Hint</summary>
#
# $W^\top W$ is symmetric. $\lvert W^\top W \delta\rvert$ is largest along its eigenvector with the largest eigenvalue;
# `np.linalg.eigh` returns eigenvalues in rising order, and eigenvectors as columns.
#
# </details>


# %%
def worst_of_all(W, budget):
    """δ (n,) of this length that makes |WᵀW δ|² largest."""
    raise NotImplementedError


# %%
def check_worst_of_all(worst_of_all):
    trial = np.random.default_rng(3)
    for n in (3, 8):
        W = trial.normal(size=(2, n))
        delta = np.asarray(worst_of_all(W, 0.5))
        assert delta.shape == (n,), f"δ has shape {delta.shape}; expected ({n},)"
        assert np.isclose(np.linalg.norm(delta), 0.5), f"δ is {np.linalg.norm(delta):.4f} long; expected 0.5"
        got = ((W.T @ W @ delta) ** 2).sum()
        others = trial.normal(size=(20_000, 2)) @ W  # what lies outside of the rows' space does nothing
        others *= 0.5 / np.linalg.norm(others, axis=1, keepdims=True)
        best = ((others @ W.T @ W) ** 2).sum(axis=1).max()
        assert got >= best * (1 - 1e-9), (
            f"your δ makes an error of {got:.4f}; a direction tried at random {best:.4f}"
        )


attempt(check_worst_of_all, worst_of_all)

# %% [markdown]
# **Next:** the [findings](../figures/README.md#superposition-and-adversarial-examples) on both experiments, each claim
# with its number; or back to [the map](README.md).
