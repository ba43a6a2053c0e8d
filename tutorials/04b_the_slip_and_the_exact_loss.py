# %% [markdown]
# # 4b. The slip and the exact loss
#
# [Tutorial 4](04_phase_changes.ipynb) drew the phase diagram of one neuron and two features by hand and by training,
# and the two agreed. An earlier replication found that they do not. Why, can be read off the shapes of two arrays. And
# who does not trust samples can do without: the expected loss of this model is an integral that can be worked out, and
# what is best then is not quite what theory says.
#
# **You will be able to**
# - tell from the shapes of two arrays what went wrong in an earlier replication;
# - ask a sampler a question whose answer you know;
# - compute a loss without drawing a sample;
# - say where theory is not the last word.
#
# **You need** [tutorial 4](04_phase_changes.ipynb).
#
# **Contents**: [a lesson in shapes](#slip), [no samples at all](#exact), [the true diagram](#true),
# [what to vary](#vary), [exercises](#exercises). Reading takes about 25 minutes; the [map](README.md) says how long the
# cells run, and has a glossary.
#
# **Letters and shapes** (here always $n = 2$ features and $m = 1$ hidden dimension)
#
# | letter | what it is | shape |
# | --- | --- | --- |
# | $s$ | density of both features | a number, or an axis (D,) |
# | $r$ | importance of the second, "extra" feature; the first has 1 | a number, or an axis (R,) |
# | $v$ | variance of a feature, $s/3 - s^2/4$ | a number |
# | $W$, $b$ | one model | (1, 2), (2,) |
# | `true.W` | all models of a diagram | (restarts, D, R, 1, 2) |

# %%
try:
    import minitms as tms
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "minitms is missing; in a clone of its repository run: pip install -e ."
    ) from error

import matplotlib.pyplot as plt
import numpy as np

from minitms import plots, theory

plt.style.use(plots.STYLE)
rng = np.random.default_rng(0)

densities, importances = np.geomspace(0.01, 1, 20), np.geomspace(0.1, 10, 20)
# A column of densities and a row of importances: NumPy makes a table of the two.
grid = densities[:, None], importances
fine = np.geomspace(0.1, 10, 400)
words = np.array(theory.CONFIGURATIONS[2])


def draw_boundary(ax):
    """The lines along which two arrangements cost the same."""
    ax.plot(fine, theory.boundary_density(fine), color="black", linewidth=0.8)
    ax.plot([1, 1], [4 / 7, 1], color="black", linewidth=0.8)


def draw_legend(fig):
    """What the colours of the classes mean."""
    handles = [
        plt.Rectangle((0, 0), 1, 1, facecolor=color, edgecolor="0.6")
        for color in plots.CLASS_COLORS.values()
    ]
    fig.legend(handles, list(plots.CLASS_COLORS), loc="outside lower center", ncols=4)

# %% [markdown]
# <a id="slip"></a>
# ## 1. A lesson in shapes
#
# An [earlier replication](https://github.com/zroe1/toy-models-of-superposition) (2023), to which this project owes its
# start, trained a million such models too, and found a map that is not the one of theory, for the ReLU model and for
# the linear one. The reason is a single product of two arrays. In its notebook `phase_changes/relu_models_train.ipynb`
# (commit 0281313, `train_1000_models`) it draws data and mask with these shapes, for a batch of $B$ examples and $M$
# models of two features:
#
# | | shape |
# | --- | --- |
# | data: values between 0 and 1 | (B, M, 2, 1) |
# | mask: which features are on | (M, 1, 2) |
# | data · mask | ? |
#
# **Predict.** What is the shape of the product? (NumPy lines shapes up at the right end; an axis of length 1 is
# repeated.) Then: in one column of the result, how many on/off bits are there for the two features?
#
# <details><summary>Answer</summary>
#
# (B, M, 2, 2). The mask's two bits run along the *last* axis, the features along the one before. So each of the two
# columns is an example in which *one* bit switches *both* features. They are always on together; with a mask of shape
# (M, 2, 1) they would not be. (Neither has an axis $B$: all examples of a batch share the bits. That makes training
# noisier, but it is not the cause.)
#
# </details>

# %%
B, M = 4, 2
data, mask = rng.random((B, M, 2, 1)), np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
product = data * mask
print("shape of the product:", product.shape)
print("mask of model 0:", mask[0, 0])
print(
    "example 0 of model 0, features down, columns across:",
    product[0, 0].round(2),
    sep="\n",
)
assert product.shape == (B, M, 2, 2)

# %% tags=["check"]
assert ((product[:, :, 0] > 0) == (product[:, :, 1] > 0)).all()  # both on, or both off

# %% [markdown]
# Nothing failed, no error was raised, and numbers of the right size came out. How could one have noticed? By asking the
# data a question with a known answer: *where feature 0 is on, how often is feature 1 on?* It should be $s$.


# %%
def on_together(x):
    """Where feature 0 is on, the share of examples with feature 1 on; x is (..., 2)."""
    # x[..., 1] is feature 1, whatever axes come before the last.
    return (x[..., 1] > 0)[x[..., 0] > 0].mean()


s, M = 0.1, 20_000
mask = (rng.random((M, 1, 2)) < s).astype(float)
slip = np.moveaxis(rng.random((B, M, 2, 1)) * mask, 2, -1)  # features to the end
right = tms.SparseFeatures(n=2, density=s).sample(B * M, seed=0)
print(
    f"expected {s}; with the slip {on_together(slip):.3f}; "
    f"independent features {on_together(right):.3f}"
)

# %% tags=["check"]
assert on_together(slip) == 1
assert abs(on_together(right) - s) < 0.02

# %% [markdown]
# And it matters. Superposition pays because features seldom meet. Features that are *always* on together meet every
# time they are on at all. There is a better way to store two things that always come together: their mean. At $r = 1$
# and $s < 1$ the best model has $W = [0.71, 0.71]$: $h$ is $0.71 (x_0 + x_1)$, and each output $0.71 h$, the mean of
# the two. There is no superposition anywhere.
#
# We let the exact loss (next part) be minimised for both kinds of data, on the same grid.

# %%
from minitms.expected import minimise_expected_loss


def best_of(pattern, restarts=20):
    """W (D, R, 1, 2) of lowest exact loss; `pattern`: which features are on at once."""
    stack = restarts, len(densities), len(importances)
    W, b = 1.5 * rng.normal(size=(*stack, 1, 2)), 0.5 * rng.normal(size=(*stack, 2))
    importance = np.stack([np.ones_like(importances), importances], axis=-1)  # (R, 2)
    found = minimise_expected_loss(
        W, b, densities[:, None, None] * np.ones(2), importance, pattern=pattern
    )
    best = found.loss.argmin(axis=0)  # (D, R), which restart; the next line takes its W
    return np.take_along_axis(found.W, best[None, ..., None, None], axis=0)[0]


expected_classes = words[theory.predicted_configuration(*grid)]
fig, axes = plt.subplots(1, 2, figsize=(8.3, 3.5), sharey=True)
agreement = {}
for ax, pattern, title in zip(
    axes,
    ("independent", "together"),
    ("independent", "always on together"),
    strict=True,
):
    classes = tms.classify(best_of(pattern))
    agreement[pattern] = (classes == expected_classes).mean()
    plots.phase_map(ax, densities, importances, plots.class_colors(classes))
    draw_boundary(ax)
    ax.set_title(f"features {title}: {agreement[pattern]:.0%} as in theory")
axes[1].set_ylabel("")
draw_legend(fig)
plt.show()

W = minimise_expected_loss(
    np.array([[1.0, 0.5]]), np.zeros(2), 0.1, 1.0, pattern="together"
).W
print("always on together, s = 0.1, r = 1: W =", W.round(4))

# %% tags=["check"]
assert np.allclose(abs(W), np.sqrt(0.5))
assert agreement["independent"] > 0.9
assert agreement["together"] < 0.5
assert (classes != "superposed").all()  # those of the right picture

# %% [markdown]
# The picture on the right is the exact answer to the wrong question. Ochre is "neither": both features are stored, but
# in the same direction. The training was not at fault; the data were not what the text said. The lesson is worth
# more than the slip costs: **test the sampler**, with a question whose answer you know. (How many cells agree depends
# on the grid and on how one counts; [the findings](../figures/README.md) repeat that replication with its own
# settings.)
#
# <a id="exact"></a>
# ## 2. No samples at all
#
# For two features the expected loss can be computed exactly. There are four cases: none on, with probability
# $(1 - s)^2$; only the first, $s (1 - s)$; only the second; both, $s^2$. In each case the output is a straight line,
# or a plane, cut off at 0, and the mean of its squared error is an integral of a polynomial.
#
# By hand, for $W = [1, -1]$, $b = 0$: nothing on, no error. One on, no error. Both on, the smaller of the two, in each
# of the outputs. So $L = s^2 (1 + r)/6$, and `tms.expected_loss` gives just that. A sample of $N$ examples gives it
# with an error that shrinks like $1/\sqrt{N}$: a hundred times as many examples, about a tenth of the error.

# %%
s, r, W, b = 0.3, 0.5, np.array([[1.0, -1.0]]), np.zeros(2)
exact = tms.expected_loss(W, b, s, [1, r])
print(f"by hand {s**2 * (1 + r) / 6:.10f}, exact {exact:.10f}")
assert np.isclose(exact, s**2 * (1 + r) / 6)
features, typical = tms.SparseFeatures(n=2, density=s), []
for N in (100, 1_000, 10_000, 100_000):
    # One sample may be lucky: take the error of 20, and of those the root mean square.
    sampled = [tms.loss(W, b, features.sample(N, seed=k), [1, r]) for k in range(20)]
    typical.append(np.sqrt(np.mean((np.array(sampled) - exact) ** 2)))
    print(f"{N:7,} examples: {sampled[0]:.10f}, typical error {typical[-1]:.6f}")

# %% tags=["check"]
assert 5 < typical[0] / typical[2] < 20
assert 5 < typical[1] / typical[3] < 20

# %% [markdown]
# An exact loss has an exact gradient, and with it training needs no samples: `method="expected"` walks straight to the
# bottom of the valley it starts in. There is no noise that could kick a model out of a poor valley, so we give it more
# restarts. It can afford them.

# %%
fine_s, fine_r = np.geomspace(0.01, 1, 60), np.geomspace(0.1, 10, 60)
true = tms.phase_diagram(fine_s, fine_r, method="expected", restarts=30, seed=0)
print(true)
arrived = true.gradient[true.loss == true.loss.min(axis=0)]
print(f"largest entry of the gradient of the best models: {arrived.max():.0e}")
stuck = (true.loss > 1.01 * true.loss.min(axis=0)).mean()
print(f"starts that end more than 1 % above the best of their cell: {stuck:.0%}")

# %% tags=["check"]
assert stuck > 0.1

# %% [markdown]
# <a id="true"></a>
# ## 3. The true diagram
#
# Theory compared three arrangements with round numbers in them. **Predict.** Can a model have a *lower* loss than the
# best of the three? Where?
#
# <details><summary>Answer</summary>
#
# Yes: nothing says that the best $W$ has only 0 and ±1 in it. The best model costs at most what any of the three does;
# their losses are *upper bounds*. The gain should be largest where theory hesitates, near the lines where arrangements
# cost the same: there something between them may beat both.
#
# </details>

# %%
best = true.best()
ratio = best.loss / true.theory_losses.min(axis=0)
d, i = np.unravel_index(ratio.argmin(), ratio.shape)
print(
    f"lowest ratio of true to theoretical loss: {ratio.min():.4f}, "
    f"at s = {fine_s[d]:.3f}, r = {fine_r[i]:.3f}"
)
print("there W =", best.W[d, i].round(3), " b =", best.b[d, i].round(3))
print(f"cells with a gain of more than 1 %: {(ratio < 0.99).mean():.0%}")
assert ratio.max() < 1 + 1e-9  # never above: an upper bound

fig, axes = plt.subplots(1, 2, figsize=(8.3, 3.5), sharey=True)
plots.phase_map(axes[0], fine_s, fine_r, plots.class_colors(true.classes))
axes[0].set_title("the true diagram")
plots.phase_map(axes[1], fine_s, fine_r, ratio, cmap="viridis")
axes[1].set(title="true loss / loss of theory", ylabel="")
fig.colorbar(axes[1].collections[0], ax=axes[1])
for ax in axes:
    draw_boundary(ax)
draw_legend(fig)
plt.show()

# %% tags=["check"]
differ = true.classes != words[theory.predicted_configuration(fine_s[:, None], fine_r)]
assert ratio.min() < 0.9
assert (true.classes[differ] == "superposed").all()  # it reaches beyond the lines
assert 0.8 < fine_r[i] < 1.25  # near r = 1
assert 0.5 < fine_s[d] < 0.65  # and near s = 4/7

# %% [markdown]
# Superposition reaches a little above the black lines: in that strip a pair with weights other than 1 and -1 beats both
# of theory's arrangements. Around $r = 1$ there is a narrow spike in which both features are stored at high density, in
# unequal or shortened form. Theory with its three arrangements cannot show it. Two such models:

# %%
spike = tms.phase_diagram([0.7, 0.9], [1.0], method="expected", restarts=30, seed=0)
for s, W, b, L, guess in zip(
    spike.densities,
    spike.best().W[:, 0],
    spike.best().b[:, 0],
    spike.best().loss[:, 0],
    spike.theory_losses.min(axis=0)[:, 0],
    strict=True,
):
    print(
        f"s = {s}, r = 1: loss {L:.5f}, theory {guess:.5f}, "
        f"W = {W[0].round(3)}, b = {b.round(3)}"
    )

# %% tags=["check"]
assert (spike.best().loss < spike.theory_losses.min(axis=0)).all()
assert (spike.best().W.prod(axis=-1) < -0.3).all()  # both stored, as opposites

# %% [markdown]
# Why is there a spike? Take $r = 1$, and leave the ReLU out for a moment. One hidden number keeps one direction of the
# data, and loses the spread across it. Both features have the same variance and importance, so every direction costs
# the same, $v$: turn $W$ away from [1, 0], choose $b$ so that the mean of each output is right, and the loss stays.
# Now put the ReLU back. At angle 0 (*first*) no output is ever negative, and nothing changes. After a small turn some
# outputs are negative, and no feature is; so cutting them off at 0 makes the error smaller. Away from $r = 1$ the turn
# itself costs something, soon more than the cut saves: the spike is narrow.


# %%
def turned(s, degrees):
    """W at that angle from [1, 0], and the b that makes mean outputs right."""
    angle = np.deg2rad(degrees)
    W = np.array([[np.cos(angle), np.sin(angle)]])
    return W, s / 2 * (1 - W.sum() * W[0])


for s in (0.9, 1.0):
    for degrees in (0, -10, -20, -30, 20):
        W, b = turned(s, degrees)
        linear = tms.expected_loss(W, b, s, 1.0, activation="linear")
        relu = tms.expected_loss(W, b, s, 1.0)
        print(
            f"s = {s}, r = 1, {degrees:3} degrees: "
            f"loss without ReLU {linear:.5f}, with {relu:.5f}, W = {W[0].round(2)}"
        )
        assert np.isclose(linear, s / 3 - s**2 / 4)
        assert np.isclose(relu, linear) if degrees == 0 else relu < linear - 1e-5

# %% tags=["check"]
opposite, alike = (tms.expected_loss(*turned(1.0, angle), 1.0) for angle in (-20, 20))
assert np.isclose(opposite, alike)

# %% [markdown]
# The rest of the gain at $s = 0.9$ comes from adjusting $W$ and $b$ a little after the turn. The last line of each
# density has a pair with the *same* sign, which `tms.classify` calls *neither*: at $s = 0.9$ it is not quite as good;
# at $s = 1$ the two signs cost the same, and chance decides. So the tip of the spike, at $s = 1$, can be ochre.
#
# <a id="vary"></a>
# ## 4. What to vary
#
# - `pattern="at_most_one"` beside the two in part 1, with `densities` up to 0.5: what is best for two features that
#   never meet?
# - `restarts=3` in part 2: how many cells change?
# - `fine_s, fine_r = np.geomspace(0.5, 1, 60), np.geomspace(0.9, 1.1, 60)` in part 2: a close look at the spike
#   and its ochre tip.
#
# <details><summary>What you will see</summary>
#
# - Superposition in every cell: $W = [1, -1]$ or its negative, $b = 0$, and a loss of 0. If two features never meet,
#   sharing has no price at all.
# - 720 of the 3,600, a fifth: three starts are too few. In nearly all of them the loss is more than 1 % above the one
#   found with thirty, and 229 end as *neither*, in which thirty starts leave none.
# - Red everywhere up to $s = 0.76$. Above that it narrows to both sides of $r = 1$: from 0.93 to 1.08 at $s = 0.84$,
#   from 0.97 to 1.04 at 0.92, and from 0.98 to 1.02 at 0.965. In the last row, $s = 1$, seven cells are left, six of
#   them ochre.
#
# </details>
#
# <a id="exercises"></a>
# ## 5. Exercises
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
# **Exercise 1.** Write the sampler that the earlier replication needed: a batch for each of $M$ models, every model
# with a density of its own, and one bit *for each feature of each example of each model*.
#
# <details><summary>Hint</summary>
#
# Make everything (B, M, 2) from the start. `density` has shape (M,); `density[:, None]` is (M, 1) and lines up with the
# last two axes.
#
# </details>


# %%
def sample_stack(B, density, rng):
    """Independent sparse features for M = len(density) models: shape (B, M, 2)."""
    raise NotImplementedError


# %%
def check_sample_stack(sample_stack):
    density = np.array([0.1, 0.5, 0.9])
    x = sample_stack(40_000, density, np.random.default_rng(1))
    assert np.shape(x) == (40_000, 3, 2), (
        f"the result has shape {np.shape(x)}; expected (40000, 3, 2)"
    )
    on = x > 0
    assert (on != on[0]).any(), "all examples of the batch share their bits"
    for k, s in enumerate(density):
        share = on[:, k].mean()
        assert abs(share - s) < 0.02, (
            f"model {k}: a share {share:.3f} of its features is on; expected {s}"
        )
        met, after = on_together(x[:, k]), on[1:, k, 0][on[:-1, k, 0]].mean()
        assert abs(met - s) < 0.03, (
            f"model {k}: where feature 0 is on, feature 1 is on in {met:.3f}; "
            f"expected {s}"
        )
        assert abs(after - s) < 0.03, (
            f"model {k}: after feature 0 was on, it is on again in {after:.3f}; "
            f"expected {s}"
        )
    between = on[:, 0, 0][on[:, 1, 0]].mean()
    assert abs(between - 0.1) < 0.02, "two models share their bits"
    assert abs(x[on].mean() - 0.5) < 0.01, (
        f"entries that are on have mean {x[on].mean():.3f}; expected 0.5"
    )
    first, second = x[on[:, 2].all(axis=1), 2].T  # model 2, both features on
    together = np.corrcoef(first, second)[0, 1]
    assert abs(together) < 0.05, (
        f"the values of two features that are on have correlation {together:.2f}; "
        "expected 0"
    )


attempt(check_sample_stack, sample_stack)

# %% [markdown]
# **Exercise 2.** Features that always come together, and a model that stores their mean,
# $W = [\sqrt{\tfrac12}, \sqrt{\tfrac12}]$ with $b = 0$: its expected loss for density $s$ and importance $r$, without
# a sample.
#
# <details><summary>Hint</summary>
#
# Each output is the mean of the two values, so each is off by half their difference. For two uniform numbers the mean
# of $(x_0 - x_1)^2$ is 1/6. How often is anything on?
#
# </details>


# %%
def loss_of_the_mean(s, r):
    """Expected loss of W = [0.71, 0.71], b = 0, if both features are on together with probability s."""
    raise NotImplementedError


# %%
def check_loss_of_the_mean(loss_of_the_mean):
    for s, r in ((0.1, 1.0), (0.7, 0.3)):
        mine, W = loss_of_the_mean(s, r), np.full((1, 2), np.sqrt(0.5))
        exact = tms.expected_loss(W, np.zeros(2), s, [1, r], pattern="together")
        assert np.isclose(mine, exact), (
            f"s = {s}, r = {r}: got {mine:.5f}, that is {mine / exact:.3f} times the exact loss"
        )


attempt(check_loss_of_the_mean, loss_of_the_mean)

# %% [markdown]
# **Next:** [the findings](../figures/README.md), where every figure of the paper is repeated and each claim measured;
# [eleven pitfalls](pitfalls.md) of this paper, of which the slip is the first; or
# [5. Check your own gradients](05_check_your_own_gradients.ipynb).
