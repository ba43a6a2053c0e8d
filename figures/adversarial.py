"""Superposition and adversarial examples

**Question.** Features that share dimensions disturb one another. Does superposition make a model vulnerable to small
changes of its input, and how much of that is in the measure, or in the choices that the paper does not state?

**Set-up.** y = ReLU(WᵀW x + b), n = {{n}}, m = {{m}}, importance 1, 1/(1-S) = 1/density from 1 to 10. Adam at 0.01
with cosine decay, {{steps:,}} steps of {{batch}} examples, {{seeds}} seeds, one start each, b from the mean s/2. To x
we add δ, as long as 0.1 of the mean of |x|; the target stays x. Gradient descent finds no attack where a ReLU is off,
so the paper tries the rows of WᵀW, one for each output, and keeps the most damaging: for one output that is the worst
attack there is ([attacks.py](../minitms/attacks.py) derives it), for their sum a bound from below. *Vulnerability* is
(attacked loss - clean loss) / |δ|², over {{examples}} examples, divided by that of a model without superposition under
the same attack on the same examples: it keeps the first m features, each in a dimension of its own, and answers the
mean for the others. The paper does not say whether the row is chosen once a model or for each example, with which
sign, or whether x + δ is clipped to [0, 1]. We show both of the first (both signs, not clipped), and vary the rest on
the right.

**What we see.** Dense features: vulnerability 1, and no superposition. It rises as superposition sets in, rests while
features are digons, at {{digons_model:.2f}} with one direction a model and {{digons_example:.2f}} with one an example,
and ends at {{plain_model_last:.2f}} and {{plain_example_last:.2f}} at 1/(1-S) = 10: more than threefold. 1/D* is 1,
{{digons_share:.2f}} and {{share_last:.2f}} there. One direction a model follows it at first and then falls behind,
since it meets one cluster of features and spares the others; one an example rises faster. Most of it is understood: an
attack on output i moves it by |δ|/√D_i if |W_i| = 1, so 1/D* is what one output gives by the definition of D_i. The
other outputs would make it about 1/D*² without the ReLU, which takes a part back. With one row an example there is
more: it also pushes outputs further where they were wrong already, which adds 2 (y - x) times the movement. That part
is linear in |δ|, so over |δ|² it is the larger the smaller the budget
([tutorial 8](../tutorials/08_robustness.ipynb) takes the two apart).

**Does the claim survive the choices?** The linear model stays at {{linear_example_last:.2f}} at every density, though
it is trained on the same data. Error on kept features only (|W_i| > 1/2) changes nothing, {{kept_model_last:.2f}} and
{{kept_example_last:.2f}}: dropped features are hardly moved. Pushing outputs upwards only gives
{{upwards_model_last:.2f}} and {{upwards_example_last:.2f}}. **Clipped, it depends**: {{clipped_example_last:.2f}} with
one direction an example, but {{clipped_model_last:.2f}} with one a model. A row has negative entries, and where nine
features of ten are off there is nothing to take away from them; only an attack chosen for the example finds those that
are on. (We clip what was derived without bounds; an attack made for them may do more.) And the *loss* itself says
little: under attack it is {{plain_model_loss:.2f}} and {{plain_example_loss:.2f}} times the clean one at 1/(1-S) = 10,
for it is mostly that of dropped features; counting kept ones only, {{kept_model_loss:.2f}} and
{{kept_example_loss:.2f}} times.

**Compared with the paper.** The rise and its likeness to 1/D* are the paper's. It does not state n and m. The excess
over |δ|² is our measure; the attacked loss alone shows no such rise.

**How sure.** The range over seeds is below an eighth of the median, but for one direction an example at 1/(1-S) = 4
and 5, where digons give way. One size of model, and one budget relative to |x|. What the paper says about adversarial
training is tested [below](#adversarial-training-against-superposition).
"""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np

import minitms as tms
from figures import NOT, OURS, PAPER, THEORY, Claim, Result, at_least, near

N, M, SEEDS, STEPS, BATCH = 100, 10, 5, 3000, 256
X = np.array([1, 1.25, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8.5, 10])  # 1/(1-S)
EXAMPLES, BUDGET = 512, 0.1  # the budget in units of the mean of |x|
WHOSE = {"model": "one direction a model", "example": "one direction an example"}
COLORS = {"model": "#0072B2", "example": "#D55E00"}
CHOICES = {"plain": "all features, both signs", "kept": "error on kept features only", "upwards": "upwards only",
           "clipped": "x + δ clipped to [0, 1]"}  # fmt: skip
BLUNT = {"expect": NOT, "reason": "most features are off: clipped, a row's negative entries have no effect on them"}

CLAIMS = [
    *(Claim(f"rise_{per}", f"{whose}: vulnerability at 1/(1-S) = 10 over that without superposition", PAPER,
            at_least(3)) for per, whose in WHOSE.items()),
    *(Claim(f"follows_{per}", f"{whose}: correlation of vulnerability and 1/D* over all densities", PAPER,
            at_least(0.9)) for per, whose in WHOSE.items()),
    *(Claim(f"{choice}_{per}", f"{whose}, {text}: vulnerability at 1/(1-S) = 10, as above", OURS, at_least(3),
            **(BLUNT if (choice, per) == ("clipped", "model") else {}))
      for choice, text in CHOICES.items() if choice != "plain" for per, whose in WHOSE.items()),
    Claim("dense", "ReLU model, dense features: as vulnerable as without superposition", THEORY, near(1, 0.05)),
    Claim("linear", "linear model: as vulnerable as without superposition, at all densities", THEORY, near(1, 0.05),
          "model", quick=True),
]


def make(quick):
    n, m, x, steps = (20, 2, np.array([1.0, 2, 5, 10]), 1000) if quick else (N, M, X, STEPS)
    seeds = 2 if quick else SEEDS
    relu, linear = (train(n, m, x, steps, seeds, activation) for activation in ("relu", "linear"))
    batch = tms.SparseFeatures(n, 1 / x[:, None]).sample(EXAMPLES, seed=1, dtype="float32")
    found = {(choice, per): relative(relu.W, relu.b, batch, choice, per) for choice in CHOICES for per in WHOSE}
    found |= {("linear", per): relative(linear.W, linear.b, batch, "plain", per, "linear") for per in WHOSE}
    share = 1 / tms.dimensions_per_feature(relu.W)
    vulnerable = {per: found["plain", per].vulnerability for per in WHOSE}
    measured = {
        **{f"rise_{per}": v[:, -1] for per, v in vulnerable.items()},
        **{f"follows_{per}": [np.corrcoef(*pair)[0, 1] for pair in zip(v, share, strict=True)]
           for per, v in vulnerable.items()},
        **{f"{choice}_{per}": value.vulnerability[:, -1] for (choice, per), value in found.items()
           if choice not in ("plain", "linear")},
        "dense": np.concatenate([v[:, 0] for v in vulnerable.values()]),
        "linear": np.concatenate([found["linear", per].vulnerability for per in WHOSE]),
    }
    digons = np.argmin(abs(x - 3))
    numbers = {"n": n, "m": m, "seeds": seeds, "steps": steps, "batch": BATCH, "examples": EXAMPLES, "x": x,
               "share": share, "share_last": np.median(share[:, -1]), "digons_share": np.median(share[:, digons])}
    for (choice, per), value in found.items():
        name, v = f"{choice}_{per}", value.vulnerability
        numbers |= {name: v, f"{name}_last": np.median(v[:, -1]), f"{name}_loss": np.median(value.loss)}
    numbers |= {f"digons_{per}": np.median(v[:, digons]) for per, v in vulnerable.items()}
    return Result({"adversarial.png": draw(x, found, share)}, measured, numbers)


def train(n, m, x, steps, seeds, activation):
    """All densities 1/x and all starts, which are the seeds, in one call. The biases start at the mean."""
    density = 1 / x[:, None]
    W = np.random.default_rng(0).normal(0, np.sqrt(2 / (m + n)), (seeds, len(x), m, n))
    b = np.broadcast_to(density / 2, (seeds, len(x), n))
    return tms.train(tms.SparseFeatures(n, density), m, activation, steps=steps, batch_size=BATCH, restarts=seeds,
                     seed=0, initial=(W, b))


def relative(W, b, x, choice, per, activation="relu"):
    """Vulnerability over that of a model without superposition, and at the last density attacked over clean loss.

    That model keeps features 0 to m - 1, each in a dimension of its own, and answers the mean for the others. Both
    are attacked on the same examples x (densities, examples, n).
    """
    alone = np.broadcast_to(np.eye(*W.shape[-2:], dtype=x.dtype), W.shape[1:])
    b_alone = np.where(alone.any(axis=-2), 0, x.mean(axis=(-2, -1))[:, None]).astype(x.dtype)
    budget = BUDGET * np.linalg.norm(x, axis=-1).mean(axis=-1)
    baseline = attack(alone, b_alone, x, budget, choice, per, activation)
    found = [attack(*model, x, budget, choice, per, activation) for model in zip(W, b, strict=True)]
    return SimpleNamespace(vulnerability=np.array([one.vulnerability for one in found]) / baseline.vulnerability,
                           loss=np.array([one.attacked[-1] / one.clean[-1] for one in found]))


def attack(W, b, x, budget, choice, per, activation):
    options = {"plain": {}, "kept": {"importance": tms.feature_norms(W) > 0.5}, "upwards": {"both_signs": False},
               "clipped": {"within": (0, 1)}}[choice]  # fmt: skip
    return tms.worst_attack(W, b, x, budget, activation=activation, per=per, **options)


def draw(x, found, share):
    fig, (left, middle, right) = plt.subplots(1, 3, figsize=(8.3, 3.5), width_ratios=[1.15, 1, 1])
    for per, whose in WHOSE.items():
        v = found["plain", per].vulnerability
        left.plot(x, np.median(v, axis=0), "-o", color=COLORS[per], markersize=2.5, label=whose)
        left.fill_between(x, v.min(0), v.max(0), color=COLORS[per], alpha=0.25, linewidth=0)
    left.plot(x, np.median(found["linear", "example"].vulnerability, axis=0), color="0.6", label="linear model")
    left.plot(x, np.median(share, axis=0), "--", color="0.25", linewidth=1, label="1/D*, features a dimension")
    left.axhline(3, color="0.7", linewidth=0.8, zorder=0)
    left.set(xscale="log", yscale="log", xlabel="1/(1-S), one over the density", ylabel="vulnerability",
             title="vulnerability (no superposition: 1)")
    left.set(xticks=[1, 2, 3, 5, 10], xticklabels=[1, 2, 3, 5, 10])
    left.set(yticks=[1, 2, 3, 5, 10], yticklabels=[1, 2, 3, 5, 10])
    left.minorticks_off()
    for per in WHOSE:
        middle.scatter(share, found["plain", per].vulnerability, s=8, color=COLORS[per], alpha=0.6, linewidths=0)
    top = np.array([1, share.max()])
    middle.plot(top, top, "--", color="0.25", linewidth=1, label="1/D*")
    middle.plot(top, top**2, ":", color="0.25", linewidth=1, label="1/D*²")
    middle.set(xlabel="1/D* = |W|²$_F$ / m", ylabel="vulnerability", title="every density and seed")
    middle.set(ylim=(0, 1.1 * max(found["plain", per].vulnerability.max() for per in WHOSE)))
    middle.legend(loc="upper left")
    rows = [*CHOICES, "linear"]
    for per in WHOSE:
        for k, choice in enumerate(rows):
            v = found[choice, per].vulnerability[:, -1]
            right.plot(v, np.full(len(v), k), "o", color=COLORS[per], markersize=4, alpha=0.6, markeredgewidth=0)
    right.axvline(3, color="0.7", linewidth=0.8, zorder=0)
    right.annotate("threefold", (3, -0.6), xytext=(3, 0), textcoords="offset points", color="0.4", fontsize=8)
    right.set(yticks=range(len(rows)), yticklabels=[*CHOICES.values(), "linear model"], ylim=(len(rows) - 0.5, -0.8))
    right.set(xlim=(0, 13), xticks=[0, 1, 3, 6, 9, 12], xlabel="vulnerability",
              title=f"at 1/(1-S) = {x[-1]:g}, every seed")
    fig.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig
