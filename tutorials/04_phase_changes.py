# %% [markdown]
# # 4. Phase changes
#
# Water does not get gradually icier. At one temperature it changes all at once, because another arrangement of the same
# molecules has become cheaper. Models do the same: as the data change, the best arrangement of features is replaced by
# another. Section 3 of the paper *Toy Models of Superposition* draws the map for the smallest model there is, and this
# tutorial draws it three times: with pen and paper, by training, and exactly.
#
# **You will be able to**
# - work out with pen and paper when superposition pays, and draw the phase diagram of theory;
# - train a diagram in seconds, and read a million models;
# - tell from the shapes of two arrays what went wrong in an earlier replication;
# - compute a loss without drawing a sample;
# - say where theory is not the last word.
#
# **You need** [tutorial 0](00_start_here.ipynb); the integral of a polynomial.
#
# **Contents**: [theory by hand](#theory), [a diagram in seconds](#coarse), [a million models](#million),
# [a lesson in shapes](#slip), [no samples at all](#exact), [the true diagram](#true), [what to vary](#vary),
# [exercises](#exercises). Reading takes about 30 minutes; the [map](README.md) says how long the cells run, and has a
# glossary.
#
# **Letters and shapes** (here always n = 2 features and m = 1 hidden dimension)
#
# | letter | what it is | shape |
# | --- | --- | --- |
# | s | density of both features | a number, or an axis (D,) |
# | r | importance of the second, "extra" feature; the first has 1 | a number, or an axis (R,) |
# | v | variance of a feature, s/3 - s²/4 | a number |
# | s* | the density at which two arrangements cost the same | a number |
# | W, b | one model | (1, 2), (2,) |
# | `diagram.W` | all models of a diagram | (restarts, D, R, 1, 2) |
# | `million.W` | the best model of each cell, the same with one restart | (1, D, R, 1, 2) |

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

# %% [markdown]
# <a id="theory"></a>
# ## 1. Theory by hand
#
# Two features share one hidden number. Three ways to use it, and what each costs:
#
# | arrangement | W | b | expected loss |
# | --- | --- | --- | --- |
# | **first**: keep the first, drop the extra one | [1, 0] | [0, s/2] | r v |
# | **extra**: keep the extra one, drop the first | [0, 1] | [s/2, 0] | v |
# | **superposed**: share, as opposites | [1, -1] | [0, 0] | (1 + r) s²/6 |
#
# A dropped feature is answered with its mean, s/2, and costs its variance v = s/3 - s²/4 (the mean of x² is s/3, since
# ∫₀¹ x² dx = 1/3), times its importance. The pair is wrong only when both are on, and then each output is off by the
# smaller of the two: from [0.6, 0.3] it makes [0.3, 0], off by 0.3 in both. How large is the square of the smaller one,
# u, on average? The integral of 2t from 0 to u is u². So in the mean of u² each t between 0 and 1 counts with 2t times
# the probability that u lies above t; and the smaller of two lies above t if both do, with probability (1 - t)². So
#
# $$ \text{mean of } u^2 = \int_0^1 2t\,(1 - t)^2\, dt = 2 \left( \tfrac12 - \tfrac23 + \tfrac14 \right) = \tfrac16 $$
#
# Both are on with probability s², and the two outputs have importance 1 and r: in all (1 + r) s²/6.
#
# **Predict.** Which arrangement is best at s = 0.1, r = 1? And at s = 1, r = 0.5?
#
# <details><summary>Answer</summary>
#
# s = 0.1, r = 1: v = 0.03083, so 0.03083, 0.03083, and 2 · 0.01/6 = 0.00333. Superposed, by far.
# s = 1, r = 0.5: v = 1/12, so 0.0417, 0.0833, and 1.5/6 = 0.25. First: the less important feature is dropped.
#
# </details>

# %%
print("arrangements for n = 2:", theory.CONFIGURATIONS[2])
for s, r in ((0.1, 1.0), (1.0, 0.5)):
    v = s / 3 - s**2 / 4
    by_hand = np.array([r * v, v, (1 + r) * s**2 / 6])
    library = theory.configuration_losses(s, r)
    lowest = theory.CONFIGURATIONS[2][by_hand.argmin()]
    print(f"s = {s}, r = {r}: {library.round(5)}, best: {lowest}")
    assert np.allclose(by_hand, library)
    # The mean loss over all possible examples, worked out without sampling (part 5).
    exact = [
        tms.expected_loss(np.array([W]), b, s, [1, r])
        for W, b in (
            ([1.0, 0.0], [0, s / 2]),
            ([0.0, 1.0], [s / 2, 0]),
            ([1.0, -1.0], [0, 0]),
        )
    ]
    assert np.allclose(by_hand, exact)

# %% [markdown]
# **Where do two arrangements cost the same?** For r below 1, set *first* equal to *superposed* and divide by s:
#
# r (1/3 - s/4) = (1 + r) s/6, so r/3 = s (r/4 + 1/6 + r/6) = s (2 + 5r)/12, and
#
# $$ s^* = \frac{4r}{2 + 5r} $$
#
# For r above 1 it is *extra* that competes (exercise 2). At r = 1 all three meet at s* = 4/7. Follow the losses along a
# line of fixed r: the lowest one has a *kink* at s*, where one arrangement takes over from another. Physicists call
# that a first-order phase change.

# %%
s, r = np.linspace(0.01, 1, 200), 0.5
losses = theory.configuration_losses(s, r)
boundary = theory.boundary_density(r)
print(f"r = {r}: s* = {4 * r / (2 + 5 * r):.4f}, by the library {boundary:.4f}")
assert np.isclose(boundary, 4 * r / (2 + 5 * r))
assert np.isclose(theory.boundary_density(1.0), 4 / 7)

# Evenly spaced on a logarithmic scale.
densities, importances = np.geomspace(0.01, 1, 20), np.geomspace(0.1, 10, 20)
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


fig, axes = plt.subplots(1, 2, figsize=(8.3, 3.4))
axes[0].plot(s, losses.min(axis=0), color="0.85", linewidth=6, label="lowest")
for name, line in zip(words, losses, strict=True):
    # White would not show; the other two have the colours of the map.
    color = "black" if name == "superposed" else plots.CLASS_COLORS[name]
    axes[0].plot(s, line, label=name, linewidth=1, color=color)
axes[0].axvline(boundary, color="0.6", linestyle=":")
axes[0].set(
    xlabel="density s",
    ylabel="expected loss",
    title=f"r = {r}: the lowest loss has a kink",
    ylim=(0, 0.12),
)
axes[0].legend()
# A column of densities and a row of importances: NumPy makes a table of the two.
grid = densities[:, None], importances
plots.phase_map(
    axes[1],
    densities,
    importances,
    plots.class_colors(words[theory.predicted_configuration(*grid)]),
)
draw_boundary(axes[1])
axes[1].set_title("theory")
draw_legend(fig)
plt.show()

# %% [markdown]
# The map has the importance r of the extra feature from left to right, and density s = 1 - S from bottom to top, both
# on logarithmic scales. The left picture goes up through the map at r = 0.5. The black lines are where two arrangements
# cost the same. Where the extra feature is dense and unimportant (top left) it is dropped: *first*. Where it is dense
# and important (top right) the other one is: *extra*. Where features are sparse (bottom) they share.
#
# <a id="coarse"></a>
# ## 2. A diagram in seconds
#
# Does training find what theory says? We train a small model in each of 20 × 20 cells, from ten random starts each, and
# keep the best of the ten. Weights from training are not round. So `tms.classify` calls a feature kept if the size of
# its weight is above 0.8 and the other's below 0.2, and two features superposed if both sizes are above 0.2 and the
# signs differ. All else is *neither*. (A cell is *away from the boundary* if its s is more than about a fifth from the
# black lines, and its r more than a tenth from 1.)
#
# **Predict.** In which cells would you expect a disagreement?
#
# <details><summary>Answer</summary>
#
# Near the black lines, where two arrangements cost nearly the same, and a finite number of steps and restarts may end
# in either.
#
# </details>

# %%
diagram = tms.phase_diagram(densities, importances, restarts=10, steps=3000, seed=0)
print(diagram)
print("shape of all weights:", diagram.W.shape)
print(
    f"cells as in theory: {diagram.agreement:.1%}; "
    f"away from the boundary: {diagram.agreement_away:.1%}"
)
one = (diagram.classes[None] == tms.classify(diagram.W)).mean()
print(f"single runs that do what the best of their cell does: {one:.1%}")
assert diagram.agreement > 0.85
assert diagram.agreement_away > 0.95
assert one < 0.95

fig, axes = plt.subplots(1, 2, figsize=(8.3, 3.5), sharey=True)
plots.phase_map(axes[0], densities, importances, plots.class_colors(diagram.classes))
axes[0].set_title("trained, the best of each cell")
plots.phase_map(
    axes[1], densities, importances, plots.class_colors(tms.classify(diagram.W[0]))
)
axes[1].set(title="trained, one run a cell", ylabel="")
for ax in axes:
    draw_boundary(ax)
draw_legend(fig)
plt.show()

# %% [markdown]
# With one run a cell the map is speckled: many runs end in a *local minimum*, a valley of the loss that is not the
# deepest ([tutorial 1](01_introduction.ipynb) has more of them). With the best of ten it is clean. Any cell can be
# looked at; `at` takes the one of the grid that is nearest. Its ten losses, sorted, show the valleys:

# %%
cell = diagram.at(density=0.1, importance=1.0)
for name in ("density", "importance"):
    print(f"{name}: {cell[name]:.3g}")
for name in ("class", "theory_class"):
    print(f"{name}: {cell[name]}")
print(
    "theory's losses:",
    {name: round(value, 5) for name, value in cell["theory_losses"].items()},
)
order = cell["loss"].argsort()
print("losses of the ten runs:", cell["loss"][order].round(5))
print(
    "W of the best run:",
    cell["W"][order[0], 0].round(2),
    " W of the worst:",
    cell["W"][order[-1], 0].round(2),
)
assert cell["class"] == cell["theory_class"] == "superposed"

# %% [markdown]
# <a id="million"></a>
# ## 3. A million models
#
# The same on a fine grid: the package brings the result of a sweep with ten runs in each cell, so that nobody has to
# wait for it. Of each cell it holds the best run: a diagram with one restart, its weights rounded to three digits. (All
# of it can be made anew: `python -m figures phase_changes`.)
#
# The right picture has the paper's colours: how far the extra feature is represented (grey means not at all), and
# whether it has the neuron to itself (blue) or shares it (red). The legend below belongs to the left picture only.

# %%
million = tms.load_example("phase_changes")
s, r, classes = million.densities, million.importances, million.classes
runs, settings = 10, million.settings
print(
    f"{runs * classes.size:,} models: {runs} runs in each of {len(s)} x {len(r)} "
    f"cells, {settings['steps']:,} steps of {settings['batch_size']} examples"
)
print("W has shape", million.W.shape)

share, share_away = million.agreement, million.agreement_away
print(f"cells as in theory: {share:.1%}; away from the boundary: {share_away:.2%}")
below = s[:, None] < 0.8 * theory.boundary_density(r)
lost = (classes[below] != "superposed").sum()
print(f"well below the lines, not superposed: {lost} of {below.sum():,} cells")
assert lost < 0.01 * below.sum()
pairs = million.best().W[classes == "neither"]
assert (pairs.prod(axis=-1) > 0).all()  # both of one sign
assert share > 0.9
assert share_away > 0.99

fig, axes = plt.subplots(1, 2, figsize=(8.3, 3.6), sharey=True)
plots.phase_map(axes[0], s, r, plots.class_colors(classes))
axes[0].set_title("a million models, the best of each cell")
colors = plots.superposition_colors(million.norm, million.interference)
plots.phase_map(axes[1], s, r, colors)
axes[1].set(title="the same, in the paper's colours", ylabel="")
for ax in axes:
    draw_boundary(ax)
draw_legend(fig)
plt.show()

# %% [markdown]
# It is the map of theory, but for two things. There are a few specks: cells in which all ten runs got stuck (the grey
# ones hold a pair with the *same* sign). And the white, or red, reaches a little above the lines, most of
# all around r = 1. That is no accident: part 6.
#
# <a id="slip"></a>
# ## 4. A lesson in shapes
#
# An earlier replication (zroe1/toy-models-of-superposition, 2023), to which this project owes its start, trained a
# million such models too and found that they "do not align with the theoretical phase diagram". It concluded that even
# if a model "should" do something, it may not. The reason is a single product of two arrays. It draws data and mask
# with these shapes, for a batch of B examples and M models of two features:
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
# (M, 2, 1) they would not be. (Neither has an axis B: all examples of a batch share the bits. That makes training
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
assert ((product[:, :, 0] > 0) == (product[:, :, 1] > 0)).all()  # both on, or both off

# %% [markdown]
# Nothing failed, no error was raised, and numbers of the right size came out. How could one have noticed? By asking the
# data a question with a known answer: *where feature 0 is on, how often is feature 1 on?* It should be s.


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
assert on_together(slip) == 1
assert abs(on_together(right) - s) < 0.02

# %% [markdown]
# And it matters. Superposition pays because features seldom meet. Features that are *always* on together meet every
# time they are on at all. There is a better way to store two things that always come together: their mean. At r = 1 and
# s < 1 the best model has W = [0.71, 0.71]: h is 0.71 (x₀ + x₁), and each output 0.71 h, the mean of the two. There is
# no superposition anywhere.
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
assert np.allclose(abs(W), np.sqrt(0.5))
assert agreement["independent"] > 0.9
assert agreement["together"] < 0.5
assert (classes != "superposed").all()  # those of the right picture

# %% [markdown]
# The picture on the right is the exact answer to the wrong question. Grey is "neither": both features are stored, but
# in the same direction. The training was not at fault; the data were not what the text said. The lesson is worth
# more than the slip costs: **test the sampler**, with a question whose answer you know. (How many cells agree depends
# on the grid and on how one counts; [the findings](../figures/README.md) repeat that replication with its own
# settings.)
#
# <a id="exact"></a>
# ## 5. No samples at all
#
# For two features the expected loss can be computed exactly. There are four cases: none on, with probability (1 - s)²;
# only the first, s (1 - s); only the second; both, s². In each case the output is a straight line, or a plane, cut off
# at 0, and the mean of its squared error is an integral of a polynomial.
#
# By hand, for W = [1, -1], b = 0: nothing on, no error. One on, no error. Both on, the smaller of the two, in each of
# the outputs. So L = s² (1 + r)/6, and `tms.expected_loss` gives just that. A sample of N examples gives it with an
# error that shrinks like 1/√N: a hundred times as many examples, about a tenth of the error.

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
assert stuck > 0.1

# %% [markdown]
# <a id="true"></a>
# ## 6. The true diagram
#
# Theory compared three arrangements with round numbers in them. **Predict.** Can a model have a *lower* loss than the
# best of the three? Where?
#
# <details><summary>Answer</summary>
#
# Yes: nothing says that the best W has only 0 and ±1 in it. The best model costs at most what any of the three does;
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
assert ratio.min() < 0.9
differ = true.classes != words[theory.predicted_configuration(fine_s[:, None], fine_r)]
assert (true.classes[differ] == "superposed").all()  # it reaches beyond the lines
assert 0.8 < fine_r[i] < 1.25  # near r = 1
assert 0.5 < fine_s[d] < 0.65  # and near s = 4/7

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

# %% [markdown]
# Superposition reaches a little above the black lines: in that strip a pair with weights other than 1 and -1 beats both
# of theory's arrangements. Around r = 1 there is a narrow spike in which both features are stored at high density, in
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
    assert L < guess
    assert W[0].prod() < -0.3  # both stored, as opposites

# %% [markdown]
# Why is there a spike? Take r = 1, and leave the ReLU out for a moment. One hidden number keeps one direction of the
# data, and loses the spread across it. Both features have the same variance and importance, so every direction costs
# the same, v: turn W away from [1, 0], choose b so that the mean of each output is right, and the loss stays. Now put
# the ReLU back. At angle 0 (*first*) no output is ever negative, and nothing changes. After a small turn some outputs
# are negative, and no feature is; so cutting them off at 0 makes the error smaller. Away from r = 1 the turn itself
# costs something, soon more than the cut saves: the spike is narrow.


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
opposite, alike = (tms.expected_loss(*turned(1.0, angle), 1.0) for angle in (-20, 20))
assert np.isclose(opposite, alike)

# %% [markdown]
# The rest of the gain at s = 0.9 comes from adjusting W and b a little after the turn. The last line of each density
# has a pair with the *same* sign, which `tms.classify` calls *neither*: at s = 0.9 it is not quite as good; at s = 1
# the two signs cost the same, and chance decides. So the tip of the spike, at s = 1, can be grey.
#
# <a id="vary"></a>
# ## 7. What to vary
#
# - `activation="linear"` in part 2. What does tutorial 3 say the map must look like?
# - `restarts=1, 2, 5, 10, 20` in part 2: how does the agreement grow?
# - `steps=300` in part 2: which cells have not arrived yet?
# - `fine_s, fine_r = np.geomspace(0.5, 1, 60), np.geomspace(0.9, 1.1, 60)` in part 5: a close look at the spike
#   and its grey tip.
#
# The `assert` lines hold for the settings as they are. If one stops a cell before its picture, put a # in front of it.
# (The black lines are those of the ReLU model, also in a map of the linear one.)
#
# <a id="exercises"></a>
# ## 8. Exercises
#
# Fill in each function and run the cell below it, which says "not yet" or "solved".


# %%
def attempt(check, answer):
    """Say whether an answer is right, and if not yet, what is missing."""
    try:
        check(answer)
    except Exception as problem:
        print("not yet.", problem)
    else:
        print("solved!")


# %% [markdown]
# **Exercise 1.** Write the losses of the three arrangements for arrays of s and r.
#
# <details><summary>Hint</summary>
#
# The table in part 1. `np.stack` makes one array of three; for *extra*, add `0 * r` so that the shape fits.
#
# </details>


# %%
def three_losses(s, r):
    """Losses of first, extra, superposed: (3, ...); s and r broadcast, as in `grid`."""
    raise NotImplementedError


# %%
def check_three_losses(three_losses):
    got, expected = three_losses(*grid), theory.configuration_losses(*grid)
    shapes = [np.shape(losses) for losses in got]
    assert shapes == [(20, 20)] * 3, (
        f"the losses have shapes {shapes}; expected three of (20, 20)"
    )
    for name, mine, theirs in zip(words, got, expected, strict=True):
        factor = (mine / theirs).mean()
        assert np.allclose(mine, theirs), (
            f"the losses of {name} differ, by a factor {factor:.3f} on average"
        )


attempt(check_three_losses, three_losses)

# %% [markdown]
# **Exercise 2.** The boundary for r of at least 1, where *extra* and *superposed* cost the same.
#
# <details><summary>Hint</summary>
#
# Set s/3 - s²/4 equal to (1 + r) s²/6 and divide by s.
#
# </details>


# %%
def boundary_above_one(r):
    """s* for r >= 1; an array of the shape of r."""
    raise NotImplementedError


# %%
def check_boundary_above_one(boundary_above_one):
    r = np.linspace(1, 10, 10)
    s = boundary_above_one(r)
    assert np.shape(s) == r.shape, (
        f"the result has shape {np.shape(s)}; expected {r.shape}"
    )
    assert np.min(s) > 0, "at s = 0 everything costs 0; look for an s above 0"
    _, extra, superposed = theory.configuration_losses(s, r)
    worst = abs(extra / superposed - 1).argmax()
    assert np.allclose(extra, superposed), (
        f"at r = {r[worst]:g}, s = {s[worst]:.3f}: "
        f"extra costs {extra[worst]:.4f}, superposed {superposed[worst]:.4f}"
    )


attempt(check_boundary_above_one, boundary_above_one)

# %% [markdown]
# **Exercise 3.** Write the sampler that the earlier replication needed: a batch for each of M models, every model with
# a density of its own, and one bit *for each feature of each example of each model*.
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
# **Next:** [the findings](../figures/README.md), where every figure of the paper is repeated and each claim measured;
# or [5. Check your own gradients](05_check_your_own_gradients.ipynb).
