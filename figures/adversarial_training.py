"""Adversarial training against superposition

**Question.** Superposition makes a model easier to attack. The other way round: does a model that is attacked while
it trains give superposition up? Elhage et al. say in a few sentences, without a picture, that it does, but fully only
for attacks as long as 80 % of the input, which they find unreasonably large; stronger attacks might do better.

**Set-up.** y = ReLU(WᵀW x + b), n = {{n}}, m = {{m}}, density {{density}}, importance 1; Adam at 0.01 with cosine
decay, {{steps:,}} steps of {{batch}} examples, {{seeds}} seeds, one start each. At every step each example is attacked
at an output i of its own, drawn at random among all n, along row i of WᵀW, as long as the *budget*, in % of the mean
of |x| ({{norm:.2f}}), and with the sign that hurts output i more: on one output no attack is worse
([attacks.py](../minitms/attacks.py) derives it). The target stays x. δ counts as a given number: no gradient runs
through it. The paper states neither n, m and density nor the sign and the gradient; the last panel varies them one at a
time, with {{choice_seeds}} seeds.

*Learned* is here what is at least half as long as the longest feature of its model, since attacked features get
shorter. A feature *shares* its dimension if D_i < 0.9. Superposition is *gone* if no learned feature shares.

**What we see.** {{learned_0:.0f}} features in {{m}} dimensions without an attack, {{learned_20:.0f}} at a budget of 20
%, {{learned_40:.0f}} at 40 %: digons, but for a few. At 50 % {{sharing_50:.0f}} still share; at 60 % {{learned_60:.0f}}
are left, one a dimension, and superposition is gone, but for a stray feature or two in some seeds; from 70 % on it is
gone in all. It goes in steps, as it does when features become denser. The paper's measure for a whole model, |W|²_F /
m, would say so too early: it is {{size_50:.2f}} at 50 %, since all features get shorter.

**What it costs.** In the third panel the mean answer costs 1, a model that keeps m features without superposition 0.9,
and one trained without attacks {{clean_0:.2f}}. At 60 % clean examples cost {{clean_60:.3f}}, at 80 %
{{clean_80:.3f}}: little is answered any more, and a model without superposition would do better. What is gained is
robustness: the attack of 10 % of the [figure before](#superposition-and-adversarial-examples), a row for each example,
does {{robust_40:.2f}} times the damage after training at 40 %.

**What decides it.** *Density*: 60 % is enough at 0.25; at 0.03 it takes 100 %, and in one seed more. The mean of |x| is
not the measure then; where superposition goes, δ is about as long as a single feature that is fully on, or longer.
*Size*: in a model of 40 features in 4 dimensions it is 80 to 100 %. The *sign* hardly matters. At a third of the
*learning rate* training is not over after {{steps:,}} steps, which looks as if more were needed; three times as many
end as above. **Which output is attacked** decides most: drawn in proportion to |W_i|², so that only stored features are
attacked, superposition never goes; features pair up as digons and get shorter. So it is attacks at outputs that the
model has dropped that drive features apart: nine in ten of all, and their rows, however short, still give δ a
direction. We have not worked out why they do. With the *gradient through δ*, which lets a model learn where the attacks
go, most features still share at 100 %. *The worst of all rows* for each example is a stronger attack, as the paper
suggests: at n = 40 it does nearly the same with 35 % as the other with 80 %, but from 40 % on all that is left shares
again.

**Compared with the paper.** All it says is so: superposition falls, is still there at half of 80 %, and is gone at
80 %. That 80 % are *needed* is not: in our first model 60 or 70 % are enough, in others it takes up to 100 %, and the
paper does not state its size and density. Gorton and Lewis (2025, arXiv:2508.17456) report that adversarial training
reduces superposition in toy models, and Bereska et al. (2025, arXiv:2512.13568) that in other tasks it can have the
opposite effect; we did not repeat their experiments.

**How sure.** In the main model the seeds agree to within one of the budgets tried. The variations have two seeds, and
the budgets of the last panel were chosen after trial runs, 35 % among them because the worst row succeeds there. "Gone"
depends on two thresholds, for D_i and for what is learned; that three times the steps end alike at the lower learning
rate was seen in one trial run. Above 80 % features are so short that a stray one is easily counted as learned.
"""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np

import minitms as tms
from figures import NOT, OURS, PAPER, PARTLY, Claim, Result, always, at_least, at_most, exactly, near
from minitms import adam

N, M, DENSITY, STEPS, BATCH, RATE = 100, 10, 0.1, 3000, 256, 0.01
SEEDS, BUDGETS = 5, np.array([0, 0.1, 0.2, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0])  # in units of the mean of |x|
CHOICE_SEEDS, CHOICE_BUDGETS = 2, np.array([0.35, 0.4, 0.6, 0.8, 1.0])
ALONE = 0.9                 # a feature with less of a dimension shares it
TEST, EXAMPLES = 0.1, 512   # the attack by which the trained models are compared
CHOICES = {
    "density 0.25": {"density": 0.25},
    "density 0.03": {"density": 0.03},
    "n = 40, m = 4": {"n": 40, "m": 4},
    "upwards only": {"attack": "upwards"},
    "random sign": {"attack": "random sign"},
    "learning rate 0.003": {"rate": 0.003},
    "i drawn by |W_i|²": {"attack": "by length"},
    "gradient through δ": {"attack": "through"},
    "worst row, n = 40": {"attack": "worst row", "n": 40, "m": 4, "batch": 64},
}
KNOWN = {
    "density 0.03": (PARTLY, "the sparser, the more it takes; at 100 % one seed of the two still has a few that share"),
    "learning rate 0.003": (NOT, "not trained to the end; with three times as many steps 60 % is enough"),
    "i drawn by |W_i|²": (NOT, "digons only get shorter; see the text"),
    "gradient through δ": (NOT, "a model that sees how δ depends on W finds other ways; see the text"),
    "worst row, n = 40": (PARTLY, "only in a narrow range of budgets, which one seed of the two misses; see the text"),
}
SPARSER = ("density 0.25", "as above", "density 0.03")
BUDGET_AXIS = {"xlabel": "budget in training, % of the mean |x|", "xticks": [0, 20, 40, 60, 80, 100]}
AT = {round(100 * budget): k for k, budget in enumerate(BUDGETS)}  # place of a budget in %

CLAIMS = [
    Claim("reduces", "attack of 40 %: learned features, over those without an attack", PAPER, at_most(0.9)),
    Claim("survives", "attack of 40 %, half of the paper's: part of the learned features that share a dimension", PAPER,
          at_least(0.5)),
    Claim("gone", "attack of 80 %: superposition is gone; smallest share D_i of a learned feature", PAPER,
          at_least(ALONE)),
    Claim("needed", "smallest of the budgets at which it is gone", PAPER, near(80, 10), unit=" %", expect=NOT,
          reason="less is enough; density and size decide (last panel), and the paper does not state them"),
    Claim("one_each", "attack of 80 %: learned features, one a dimension", OURS, exactly(M)),
    Claim("worse", "robust models answer worse: the loss on clean examples rises from each budget to the next", PAPER,
          always(), "step"),
    Claim("beyond", "attack of 80 %: clean loss over that of a model that keeps m features without superposition", OURS,
          at_least(1)),
    Claim("robust", "trained at 40 %: damage of an attack of 10 %, over that without adversarial training", OURS,
          at_most(0.5)),
    Claim("density", "the sparser the features, the larger is the budget that is needed", OURS, always(), "step"),
    *(Claim(name, f"{name}: gone at some budget up to 100 %; smallest share of a learned feature, at the best", OURS,
            at_least(ALONE), **({"expect": KNOWN[name][0], "reason": KNOWN[name][1]} if name in KNOWN else {}))
      for name in CHOICES),
]


def train(n=N, m=M, density=DENSITY, attack="worst sign", rate=RATE, batch=BATCH, *, budgets, seeds, steps):
    """Train on attacked examples: W (budgets, seeds, m, n) and b. A seed means the same examples at all budgets."""
    features = tms.SparseFeatures(n, np.full((seeds, 1), density))
    lengths = np.float32(budgets * mean_norm(density, n))
    W = np.random.default_rng(0).normal(0, np.sqrt(2 / (m + n)), (seeds, m, n))
    W = np.tile(W, (len(budgets), 1, 1, 1)).astype("float32")
    b = np.full((len(budgets), seeds, n), density / 2, "float32")
    dW, mW, vW, db, mb, vb = (np.zeros_like(array) for array in (W, W, W, b, b, b))
    constants, rng = adam.constants(0, W.dtype), np.random.default_rng(1)
    schedule = adam.steps(adam.learning_rates("cosine", rate, steps), 0, steps, W.dtype)
    for t, step in enumerate(map(adam.Step, *schedule)):
        x = features.sample(batch, seed=t, dtype="float32")
        for k, seed in np.ndindex(W.shape[:2]):  # one model at a time: a stack of batches is too large for the cache
            dW[k, seed], db[k, seed] = gradients(W[k, seed], b[k, seed], x[seed], lengths[k], attack, rng)
        W, mW, vW = adam.rule(W, dW, mW, vW, step, constants)
        b, mb, vb = adam.rule(b, db, mb, vb, step, constants)
    return SimpleNamespace(W=W, b=b)


def mean_norm(density, n):
    return np.linalg.norm(tms.SparseFeatures(n, density).sample(2**13, seed=0), axis=-1).mean()


def gradients(W, b, x, budget, attack, rng):
    """dW and db of the loss at x + δ against the target x; of one model, as all functions below. δ is held fixed."""
    if attack == "worst row":
        return tms.backward(W, b, x + worst_row(W, b, x, budget), target=x)
    share = np.sum(W**2, axis=0, dtype="float64") if attack == "by length" else np.ones(len(b))
    i = rng.choice(len(b), size=len(x), p=share / share.sum())
    row, length = rows(W, i)
    if attack == "upwards":
        sign = np.ones(len(x), W.dtype)
    elif attack == "random sign":
        sign = rng.choice(np.array([-1, 1], W.dtype), len(x))
    else:
        sign = worst_sign(W, b, x, i, budget)
    delta = budget * sign[:, None] * row / length
    dW, db = tms.backward(W, b, x + delta, target=x)
    return (dW + through(W, b, x, i, budget * sign) if attack == "through" else dW), db


def worst_row(W, b, x, budget):
    """δ of `tms.worst_attack`, (batch, n), with all rows and both signs tried at once, since it is asked so often."""
    unit = np.divide(*rows(W, np.arange(len(b))))
    tried = budget * np.concatenate([0 * unit[:1], unit, -unit])  # no attack, or along one of the 2n
    z = x @ W.T @ W + b
    y = np.maximum(z[:, None] + tried @ W.T @ W, 0)               # (batch, 2n + 1, n)
    return tried[((y - x[:, None]) ** 2).sum(axis=-1).argmax(axis=-1)]


def rows(W, i):
    """Row i of WᵀW for each example, (batch, n), and its length, (batch, 1)."""
    row = W.T[i] @ W
    return row, np.maximum(np.linalg.norm(row, axis=-1, keepdims=True), 1e-12)


def worst_sign(W, b, x, i, budget):
    """The sign of δ that leaves the larger error in output i, (batch,): z_i moves by ± budget · length of row i."""
    row, length = rows(W, i)
    z, t, move = (row * x).sum(axis=-1) + b[i], x[np.arange(len(x)), i], budget * length[:, 0]
    up, down = (abs(np.maximum(z + change, 0) - t) for change in (move, -move))
    return np.where(up >= down, 1, -1).astype(W.dtype)


def through(W, b, x, i, size):
    """What dW misses while δ is held fixed: the loss by W, through δ = size · r / |r| with r = W_iᵀ W.

    dδ, the derivative by δ, is that by x, dz Wᵀ W. What lies along r changes its length only, which δ does not have:
    dr = size / |r| (dδ - (dδ · r̂) r̂). And r holds W twice: r = W_iᵀ W gives W_i drᵀ, and W dr in column i.
    """
    row, length = rows(W, i)
    unit, size = row / length, size[:, None]
    z = (x + size * unit) @ W.T @ W + b
    dz = 2 / len(x) * (np.maximum(z, 0) - x) * (z > 0)
    ddelta = dz @ W.T @ W
    drow = size / length * (ddelta - (ddelta * unit).sum(axis=-1, keepdims=True) * unit)
    one_hot = (i[:, None] == np.arange(len(b))).astype(W.dtype)
    return W.T[i].T @ drow + W @ drow.T @ one_hot


def learned(W):
    """Which features are at least half as long as the longest of their model, (..., n)."""
    norms = tms.feature_norms(W)
    return norms >= norms.max(axis=-1, keepdims=True) / 2


def sharing(W):
    """Which of the learned features share their dimension with others, (..., n)."""
    return learned(W) & (tms.dimensionality(W) < ALONE)


def fraction_sharing(W):
    return sharing(W).sum(axis=-1) / learned(W).sum(axis=-1)


def smallest_share(W):
    """The least D_i of a learned feature, (...)."""
    return np.where(learned(W), tms.dimensionality(W), np.inf).min(axis=-1)


def needed(W, budgets):
    """The first budget at which superposition is gone, in %; infinite if there is none. W (budgets, ..., m, n)."""
    gone = ~sharing(W).any(axis=-1)
    return np.where(gone.any(axis=0), 100 * budgets[gone.argmax(axis=0)], np.inf)


def make(quick):
    n, m, steps, seeds, choices = (20, 2, 100, 2, list(CHOICES)[:1]) if quick else (N, M, STEPS, SEEDS, CHOICES)
    budgets, few = BUDGETS, CHOICE_BUDGETS
    trained = train(n, m, budgets=budgets, seeds=seeds, steps=steps)
    W = trained.W
    varied = {"as above": W[np.searchsorted(BUDGETS, few)]}
    varied |= {name: train(**{"n": n, "m": m} | CHOICES[name], budgets=few, seeds=CHOICE_SEEDS, steps=steps).W
               for name in choices}
    x = tms.SparseFeatures(n, DENSITY).sample(2**13, seed=1, dtype="float32")
    clean = tms.loss(W, trained.b, x) / x.var(axis=0, dtype="float64").sum()  # 1: a model that answers the mean
    count, size, damage = learned(W).sum(-1), 1 / tms.dimensions_per_feature(W), np.empty(W.shape[:2])
    for k in np.ndindex(damage.shape):
        damage[k] = tms.worst_attack(W[k], trained.b[k], x[:EXAMPLES], TEST * mean_norm(DENSITY, n)).excess
    measured = {
        "reduces": count[AT[40]] / count[0], "survives": fraction_sharing(W[AT[40]]),
        "gone": smallest_share(W[AT[80]]), "needed": needed(W, budgets), "one_each": count[AT[80]],
        "worse": np.diff(clean, axis=0) > 0, "beyond": clean[AT[80]] / (1 - m / n),
        "robust": damage[AT[40]] / damage[0],
        "density": np.diff([needed(varied[name], few)[:CHOICE_SEEDS] for name in SPARSER], axis=0) >= 0,
        **{name: smallest_share(varied[name]).max(axis=0) for name in choices},
    } if not quick else {}
    numbers = {"n": n, "m": m, "density": DENSITY, "steps": steps, "batch": BATCH, "seeds": seeds, "budgets": budgets,
               "choice_seeds": CHOICE_SEEDS, "choice_budgets": few, "norm": mean_norm(DENSITY, n), "clean": clean,
               "damage": damage, "learned": count, "sharing": sharing(W).sum(-1),
               "features_per_dimension": size, "smallest_share": smallest_share(W),
               **{f"{name}_{100 * budget:.0f}": np.median(values[k]) for k, budget in enumerate(budgets)
                  for name, values in (("learned", count), ("sharing", sharing(W).sum(-1)), ("clean", clean),
                                       ("robust", damage / damage[0]), ("size", size))},
               "choices": {name: fraction_sharing(V) for name, V in varied.items()}}
    return Result({"adversarial_training.png": draw(budgets, W, clean, damage, few, varied)}, measured, numbers)


def draw(budgets, W, clean, damage, few, varied):
    fig, ((shares, count), (price, choices)) = plt.subplots(2, 2, figsize=(8.3, 6.4), width_ratios=[1.25, 1])
    percent, m, n = 100 * budgets, *W.shape[-2:]
    draw_shares(shares, percent, W)
    for ax, values, color, label in (
        (count, learned(W).sum(axis=-1) / m, "#0072B2", "learned features"),
        (count, tms.features_learned(W) / m, "#009E73", "|W|²$_F$, sum of squared lengths"),
        (price, clean, "#0072B2", "clean examples: loss, over that of the mean answer"),
        (price, damage / damage[0], "#D55E00", f"attack of {TEST:.0%}: damage, over that at budget 0"),
    ):
        ax.plot(percent, np.median(values, axis=1), "-o", color=color, markersize=3, label=label)
        ax.fill_between(percent, values.min(axis=1), values.max(axis=1), color=color, alpha=0.25, linewidth=0)
    count.set(title="features for each dimension", ylabel="divided by m")
    price.set(title="the price, and what is gained")
    for ax, level in ((count, 1), (price, 1 - m / n)):
        ax.axhline(level, color="0.6", linestyle="--", linewidth=0.8, zorder=0)
        ax.set(ylim=(0, 1.35 if ax is price else None), **BUDGET_AXIS)
        ax.legend(loc="upper right")
    price.annotate("m features, no superposition", (100, 1 - m / n), xytext=(0, -10), textcoords="offset points",
                   ha="right", color="0.4", fontsize=8)
    draw_choices(choices, few, varied)
    return fig


def draw_shares(ax, percent, W):
    """D_i of every learned feature, the seeds side by side."""
    D, keep = tms.dimensionality(W), learned(W)
    for level, text in ((1, "1"), (1 / 2, "1/2, digon"), (1 / 3, "1/3"), (1 / 4, "1/4")):
        ax.axhline(level, color="0.85", linewidth=0.8, zorder=0)
        ax.annotate(text, (percent[-1] + 5, level), color="0.4", fontsize=8, va="bottom")
    for k, budget in enumerate(percent):
        for seed in range(W.shape[1]):
            shares = D[k, seed, keep[k, seed]]
            place = budget + 6 * ((seed + 0.5) / W.shape[1] - 0.5)
            color = np.where(shares < ALONE, "#D55E00", "#0072B2")
            ax.scatter(np.full(len(shares), place), shares, s=7, c=color, alpha=0.6, linewidths=0)
    ax.set(ylabel="share of a dimension, D$_i$", title=f"every learned feature, {W.shape[1]} seeds", **BUDGET_AXIS)
    ax.set(ylim=(0, 1.08), xlim=(-6, percent[-1] + 28))


def draw_choices(ax, few, varied):
    """How many of the learned features share, in %, for each choice and budget."""
    shared = 100 * np.array([fraction_sharing(W).mean(axis=-1) for W in varied.values()])
    ax.imshow(shared, cmap="OrRd", vmin=0, vmax=150, aspect="auto")
    for (row, column), value in np.ndenumerate(shared):
        ax.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=8)
    ax.set(yticks=range(len(varied)), yticklabels=list(varied), xticks=range(len(few)))
    ax.set(xticklabels=[f"{100 * budget:.0f}" for budget in few], xlabel=BUDGET_AXIS["xlabel"],
           title="learned features that share, %")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
