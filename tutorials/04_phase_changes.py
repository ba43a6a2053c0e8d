# %% [markdown]
# # 4. Phase changes
#
# Water does not get gradually icier. At one temperature it changes all at once, because another arrangement of the same
# molecules has become cheaper. Models do the same: as the data change, the best arrangement of features is replaced by
# another. Section 3 of the paper *Toy Models of Superposition* draws the map for the smallest model there is, and this
# tutorial draws it twice: with pen and paper, and by training. [Its second half](04b_the_slip_and_the_exact_loss.ipynb)
# draws it exactly, after a rest.
#
# **You will be able to**
# - work out with pen and paper when superposition pays, and draw the phase diagram of theory;
# - train a diagram in seconds, and read a million models.
#
# **You need** [tutorial 0](00_start_here.ipynb); the integral of a polynomial.
#
# **Contents**: [theory by hand](#theory), [a diagram in seconds](#coarse), [a million models](#million),
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
# | $s^*$ | the density at which two arrangements cost the same | a number |
# | $W$, $b$ | one model | (1, 2), (2,) |
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

# %% [markdown]
# <a id="theory"></a>
# ## 1. Theory by hand
#
# Two features share one hidden number. Three ways to use it, and what each costs:
#
# | arrangement | $W$ | $b$ | expected loss |
# | --- | --- | --- | --- |
# | **first**: keep the first, drop the extra one | [1, 0] | $[0, s/2]$ | $r v$ |
# | **extra**: keep the extra one, drop the first | [0, 1] | $[s/2, 0]$ | $v$ |
# | **superposed**: share, as opposites | [1, -1] | [0, 0] | $(1 + r) s^2/6$ |
#
# A dropped feature is answered with its mean, $s/2$, and costs its variance $v = s/3 - s^2/4$ (the mean of $x^2$ is
# $s/3$, since $\int_0^1 x^2\, dx = 1/3$), times its importance. The pair is wrong only when both are on, and then each
# output is off by the smaller of the two: from [0.6, 0.3] it makes [0.3, 0], off by 0.3 in both. How large is the
# square of the smaller one, $u$, on average? The integral of $2t$ from 0 to $u$ is $u^2$. So in the mean of $u^2$ each
# $t$ between 0 and 1 counts with $2t$ times the probability that $u$ lies above $t$; and the smaller of two lies above
# $t$ if both do, with probability $(1 - t)^2$. So
#
# $$ \text{mean of } u^2 = \int_0^1 2t\,(1 - t)^2\, dt = 2 \left( \tfrac12 - \tfrac23 + \tfrac14 \right) = \tfrac16 $$
#
# Both are on with probability $s^2$, and the two outputs have importance 1 and $r$: in all $(1 + r) s^2/6$.
#
# **Predict.** Which arrangement is best at $s = 0.1$, $r = 1$? And at $s = 1$, $r = 0.5$?
#
# <details><summary>Answer</summary>
#
# $s = 0.1$, $r = 1$: $v = 0.03083$, so 0.03083, 0.03083, and $2 \cdot 0.01/6 = 0.00333$. Superposed, by far.
# $s = 1$, $r = 0.5$: $v = 1/12$, so 0.0417, 0.0833, and $1.5/6 = 0.25$. First: the less important feature is dropped.
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
    # The mean loss over all possible examples, worked out without sampling (tutorial 4b).
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
# **Where do two arrangements cost the same?** For $r$ below 1, set *first* equal to *superposed* and divide by $s$:
#
# $r (1/3 - s/4) = (1 + r) s/6$, so $r/3 = s (r/4 + 1/6 + r/6) = s (2 + 5r)/12$, and
#
# $$ s^* = \frac{4r}{2 + 5r} $$
#
# For $r$ above 1 it is *extra* that competes (exercise 2). At $r = 1$ all three meet at $s^* = 4/7$. Follow the losses
# along a line of fixed $r$: the lowest one has a *kink* at $s^*$, where one arrangement takes over from another.
# Physicists call that a first-order phase change.

# %%
s, r = np.linspace(0.01, 1, 200), 0.5
losses = theory.configuration_losses(s, r)
boundary = theory.boundary_density(r)
print(f"r = {r}: s* = {4 * r / (2 + 5 * r):.4f}, by the library {boundary:.4f}")
assert np.isclose(boundary, 4 * r / (2 + 5 * r))

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
for name, line in zip(words, losses, strict=True):
    axes[0].plot(s, line, label=name, linewidth=3, color=plots.CLASS_COLORS[name])
axes[0].plot(s, losses.min(axis=0), "--", color="black", label="lowest")
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

# %% tags=["check"]
assert np.isclose(theory.boundary_density(1.0), 4 / 7)

# %% [markdown]
# The map has the importance $r$ of the extra feature from left to right, and density $s = 1 - S$ from bottom to top,
# both on logarithmic scales. The left picture goes up through the map at $r = 0.5$. The black lines are where two
# arrangements cost the same. Where the extra feature is dense and unimportant (top left) it is dropped: *first*. Where
# it is dense and important (top right) the other one is: *extra*. Where features are sparse (bottom) they share.
#
# <a id="coarse"></a>
# ## 2. A diagram in seconds
#
# Does training find what theory says? We train a small model in each of 20 × 20 cells, from ten random starts each,
# and keep the best of the ten. Weights from training are not round. So `tms.classify` calls a feature kept if the size
# of its weight is above 0.8 and the other's below 0.2, and two features superposed if both sizes are above 0.2 and the
# signs differ. All else is *neither*. (A cell is *away from the boundary* if its $s$ is more than about a fifth from
# the black lines, and its $r$ more than a tenth from 1.)
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

# %% tags=["check"]
assert diagram.agreement > 0.85
assert diagram.agreement_away > 0.95
assert one < 0.95

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

# %% tags=["check"]
assert cell["class"] == cell["theory_class"] == "superposed"

# %% [markdown]
# <a id="million"></a>
# ## 3. A million models
#
# The same on a fine grid: the package brings the result of a sweep with ten runs in each cell, so that nobody has to
# wait for it. Of each cell it holds the best run: a diagram with one restart, its weights rounded to three digits. (All
# of it can be made anew: `python -m figures phase_changes`.)
#
# The left picture gives each cell the colour of what its best model does. The right one has the paper's two measures of
# the extra feature, mixed: how far it is represented (grey means not at all), and whether it has the neuron to itself
# (blue) or shares it (red).

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

# %% tags=["check"]
assert lost < 0.01 * below.sum()
assert runs * classes.size >= 1_000_000
assert (million.best().W[classes == "neither"].prod(axis=-1) > 0).all()  # both of one sign
assert share > 0.9
assert share_away > 0.99

# %% [markdown]
# It is the map of theory, but for two things. There are a few specks: cells in which all ten runs got stuck (the ochre
# ones hold a pair with the *same* sign). And the red reaches a little above the lines, most of all around $r = 1$.
# That is no accident, as [tutorial 4b](04b_the_slip_and_the_exact_loss.ipynb) shows.
#
# <a id="vary"></a>
# ## 4. What to vary
#
# - `activation="linear"` in part 2. What does tutorial 3 say the map must look like? (The black lines are those of the
#   ReLU model, also in a map of the linear one.)
# - `restarts=1, 2, 5, 10, 20` in part 2: how does the agreement grow?
# - `steps=300` in part 2: which cells have not arrived yet?
#
# <details><summary>What you will see</summary>
#
# - Only two colours, with the border at $r = 1$: the more important feature is kept at every density, and all cells are
#   as theory has them for the linear model. Single runs are right in 95 % of the cells; here is hardly a valley to get
#   stuck in.
# - 62 %, 80 %, 96 %, 97 % and 97.5 % of the cells are as in theory; away from the boundary it is 61 % with one and 100
#   % with twenty. What is left then are cells near the lines, where theory itself is a little off.
# - Few: 94 % of the cells are still as in theory. Twice as many as before are not, 23 in place of 11, most of them at
#   $s$ above 0.5 or far from $r = 1$. A single run does what the best does in 48 % of the cells, in place of 58 %.
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
# **Exercise 1.** Write the losses of the three arrangements for arrays of $s$ and $r$.
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
# **Exercise 2.** The boundary for $r$ of at least 1, where *extra* and *superposed* cost the same.
#
# <details><summary>Hint</summary>
#
# Set $s/3 - s^2/4$ equal to $(1 + r) s^2/6$ and divide by $s$.
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
# **Next:** a rest, and then [the second half](04b_the_slip_and_the_exact_loss.ipynb): why a replication found another
# map, and what is best if nothing is sampled at all.
