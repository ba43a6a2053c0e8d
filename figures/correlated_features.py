"""Correlated and anti-correlated features

**Question.** Real features do not come and go independently. Where does a model put features that come together, or
that exclude one another?

**Set-up.** ReLU(Wᵀ W x + b), importance 1. *Correlated*: one on/off bit for a set, independent values.
*Anti-correlated*: at most one feature of a set is on. The density here is always that of a feature. For a correlated
set it is that of the set too; in an anti-correlated pair the set is on twice as often as each of its features, so the
paper's density, of the set, is twice ours. Upper row: two correlated pairs (n = 4, m = 2, s = {{s_pairs:g}}), two
anti-correlated pairs (the same, s = {{s_anti:g}}), three correlated pairs (n = 6, m = 2, s = {{s_three:g}}), two
correlated sets of ten (n = 20, m = 10, s = {{s_ten:g}}). Middle: three correlated pairs from dense to sparse. Each is
trained for {{seeds}} seeds, the best of {{restarts}} restarts for each (sets of ten: {{few}}); the pictures show seed
0. Features of one colour are one set; of a pair, one is a dot and the other a ring, so that both are seen where they
lie on each other.

**What we see.** Correlated partners go where they do not disturb each other: at right angles, each opposite a feature
of the other pair. Anti-correlated partners go opposite each other, where the ReLU removes their interference for
nothing: they are never on together, so the loss is 0. Three correlated pairs in the plane have no room for right
angles, and lie side by side, in a hexagon; partners are {{partner_angles}} degrees apart. Of single starts
{{often_pairs:.0%}}, {{often_anti:.0%}} and {{often_three:.0%}} end in these three arrangements, so the best of several
is part of the result. Two sets of ten in ten dimensions make *local* bases: within a set WᵀW differs from the identity
by at most {{local:.3f}} in any entry, while across the sets it reaches {{across:.2f}}. Each set has the ten dimensions
to itself for as long as it is on alone.

*From superposition to PCA.* As three correlated pairs get denser, pair after pair collapses into one direction, on
which the model stores their sum, as PCA would: 0, 1, 2, 3 pairs, and the six features then lie along 6, 5, 4, 3
directions: a hexagon, a pentagon (one corner a collapsed pair), a cross, a triangle. The changes lie between s =
{{changes}}.

*What the exact loss says* (bottom right). With two pairs in two dimensions either arrangement is two neurons of two
features, whose loss is known exactly. *Collapsed*: a neuron holds a pair that comes together, (a + b)/√2. It costs
E[(a-b)²]/2 = s/12, and no W and b cost less (for s up to {{exact_until:.2f}}). *Crossed*: a neuron holds one feature of
each pair, as an antipode; these are independent, and it costs s²/3 at most. The two cross at s = 1/4 by these formulas,
and at {{crossing:.3f}} with the exact minimum of the crossed neurons. The first case, one neuron and a pair that is
always together, is what the slip of the earlier replication trained a million times (`broadcast_slip`): its W = (0.71,
0.71) is right for its data.

**Compared with the paper and the earlier replication.** The paper has all of these pictures; the earlier replication
stops before them. The order of the collapse is the paper's. In its picture all three pairs are still collapsed at
densities of 0.25 to 0.5, in ours only two are below about 0.4: there the triangle is a local minimum, whose loss at s =
{{s_middle:.2f}} is {{triangle_excess:.1%}} above that of the cross. Keltin Grimes has trained all of them before
([keltin13/toy-models-of-superposition](https://github.com/keltin13/toy-models-of-superposition), 2024, a notebook with
a cell for each figure from section 2 on).

**How sure.** All seeds agree on the number of collapsed pairs at {{agree}} of {{densities}} densities. Starts are
compared by a loss in which every combination of sets that are on has its exact probability and only the values are
sampled; in a plain sample two rare sets are hardly ever on together.
"""

import matplotlib.pyplot as plt
import numpy as np

import minitms as tms
from figures import NOT, OURS, PAPER, THEORY, Claim, Result, always, at_least, at_most, exactly, near
from figures.recipe import train_seeds
from figures.sets import COLORS, cosines, draw, stratified_loss
from minitms import plots
from minitms.expected import expected_loss, minimise_expected_loss

PAIRS, THREE, TEN = np.repeat([0, 1], 2), np.repeat([0, 1, 2], 2), np.repeat([0, 1], 10)
S_PAIRS, S_ANTI, S_TEN = 0.1, 0.1, 0.05
CROSSING = np.array([0.05, 0.1, 0.15, 0.2, 0.31, 0.4, 0.6, 0.8])  # of two correlated pairs; |ln s - ln 1/4| > 0.2
COLLAPSE = np.geomspace(0.02, 0.9, 16)                              # of three correlated pairs ...
MIDDLE, DENSE = 11, 13                                              # ... of which two are s = 0.33 and 0.54
ALONG, ACROSS = 0.95, 0.1   # features are collapsed above this cosine, and orthogonal within the other
CLAIMS = [
    Claim("orthogonal", "two correlated pairs: partners are orthogonal, |cos|", PAPER, at_most(0.1), "pair",
          quick=True),
    Claim("antipodal", "two anti-correlated pairs: partners are antipodal, cos", PAPER, near(-1, 0.01), "pair",
          quick=True),
    Claim("free", "and cost nothing", THEORY, at_most(1e-6), quick=True),
    Claim("hexagon", "three correlated pairs: a hexagon, 60° between neighbours", PAPER, near(60, 10), "gap", "°"),
    Claim("side", "three correlated pairs: partners lie side by side", PAPER, always(), "pair"),
    Claim("local", "two correlated sets of ten, m = 10: WᵀW of a set is the identity; largest deviation", PAPER,
          at_most(0.1), "set", quick=True),
    Claim("mixed", "and it is not for independent features; largest deviation within the same ten", OURS,
          at_least(0.3), "set", quick=True),
    Claim("order", "three correlated pairs: the denser, the more pairs are collapsed; smallest step up in s", PAPER,
          at_least(0)),
    Claim("all_counts", "and 0, 1, 2 and 3 collapsed pairs all occur", PAPER, always()),
    Claim("none", "s = 0.02: no pair is collapsed", PAPER, exactly(0), quick=True),
    Claim("three", "s = 0.54: all three are", PAPER, exactly(3), quick=True),
    Claim("middle", "s = 0.33: all three are (read off the picture)", PAPER, exactly(3), expect=NOT,
          reason="the triangle is a local minimum here; the best of many starts has two collapsed pairs"),
    Claim("collapsed_loss", "one neuron, one pair always together, s ≤ 0.95: the least loss is s/12, loss / (s/12) - 1",
          THEORY, near(0, 1e-9), "model", quick=True),
    Claim("collapsed_weight", "and its weights are (0.71, 0.71), as with the slip of `broadcast_slip`", THEORY,
          near(np.sqrt(0.5), 1e-3), "weight", quick=True),
    Claim("crossing", "two correlated pairs are crossed below s = 1/4 and collapsed above (|ln 4s| > 0.2)", THEORY,
          always(), "model"),
    Claim("crossing_loss", "and cost what the exact minimum does (their values are sampled): loss / minimum", THEORY,
          near(1, 0.03), "model"),
]


def make(quick):
    size = {"seeds": 1, "restarts": 4, "steps": 600} if quick else {"seeds": 5, "restarts": 16}
    pairs, three = trained(CROSSING, PAIRS, 2, size), trained(COLLAPSE, THREE, 2, size)
    anti = trained([S_ANTI], PAIRS, 2, size, "at_most_one")
    few = size | {"restarts": 2}
    ten, free = trained([S_TEN], TEN, 10, few), train_seeds(tms.SparseFeatures(20, S_TEN), 10, **few)
    tenth = list(CROSSING).index(S_PAIRS)
    between = partners(pairs.W), partners(anti.W[:, 0]), partners(three.W)
    (gaps, side), (single_gaps, single_side) = hexagon(three.W[:, 0]), hexagon(single(three, 0))
    collapsed = (between[2] > ALONG).sum(-1)                                                # (seeds, densities)
    exact, local = ExactPairs(np.linspace(0.02, 0.95, 94)), off_identity(ten.W[:, 0])
    as_told = np.where(CROSSING < 0.25, np.abs(between[0]).max(-1) < ACROSS, between[0].min(-1) > ALONG)
    pairs_loss = np.stack([stratified_loss(pairs.W[:, k], pairs.b[:, k], s, PAIRS, 2**12 if quick else 2**16)
                           for k, s in enumerate(CROSSING)], axis=-1)
    measured = {
        "orthogonal": np.abs(between[0][:, tenth]), "antipodal": between[1], "free": anti.losses.min(-1),
        "hexagon": gaps, "side": side, "local": local, "mixed": off_identity(free.W),
        "order": np.diff(collapsed, axis=1).min(-1),
        "all_counts": [set(row) == {0, 1, 2, 3} for row in collapsed], "none": collapsed[:, 0],
        "three": collapsed[:, DENSE], "middle": collapsed[:, MIDDLE], "collapsed_loss": exact.excess,
        "collapsed_weight": exact.weights, "crossing": as_told,
        "crossing_loss": pairs_loss / ExactPairs(CROSSING).least,
    }
    numbers = {
        **size, "few": few["restarts"], "s_pairs": S_PAIRS, "s_anti": S_ANTI,
        "s_three": COLLAPSE[0], "s_ten": S_TEN, "s_middle": COLLAPSE[MIDDLE], "local": local.max(),
        "partner_angles": ", ".join(f"{np.degrees(np.arccos(cosine)):.0f}" for cosine in between[2][0, 0]),
        "across": np.abs(ten.W[:, 0].mT @ ten.W[:, 0])[:, :10, 10:].max(),
        "often_pairs": np.mean(np.abs(partners(single(pairs, tenth))).max(-1) < ACROSS),
        "often_anti": np.mean(partners(single(anti, 0)).max(-1) < -ALONG),
        "often_three": np.mean((np.abs(single_gaps - 60) < 10).all(-1) & single_side.all(-1)),
        "changes": ", ".join(change(collapsed, count) for count in range(3)), "triangle_excess": triangle_excess(three),
        "agree": int((collapsed == collapsed[0]).all(0).sum()), "densities": len(COLLAPSE),
        "exact_until": exact.s.max(), "crossing": exact.crossing, "density": COLLAPSE, "collapsed": collapsed,
        "loss": three.losses.min(-1), "W_of_seed_0": three.W[0], "crossing_density": CROSSING,
        "crossing_losses": pairs_loss,
    }
    fig = picture(pairs.W[0, tenth], anti.W[0, 0], three, ten.W[0, 0], collapsed, exact, pairs_loss)
    return Result({"correlated_features.png": fig}, measured, numbers)


def trained(densities, sets, m, size, pattern="together"):
    """Models of each density: W and b (seeds, densities, ...) of the best starts, all `losses` (..., restarts), `runs`.

    Starts of models whose features come together are compared by their stratified loss.
    """
    features = tms.SparseFeatures(len(sets), np.array(densities)[:, None], sets=sets, pattern=pattern)
    models = train_seeds(features, m, **size)
    models.losses = np.moveaxis(models.all_losses, 1, -1)
    if pattern == "together":
        models.losses = np.array([[stratified_loss(run.W[:, k], run.b[:, k], s, sets)
                                   for k, s in enumerate(densities)] for run in models.runs])
    best = models.losses.argmin(-1)
    models.W, models.b = (np.stack([getattr(run, name)[row, range(len(row))] for run, row
                                    in zip(models.runs, best, strict=True)]) for name in ("W", "b"))
    return models


def single(models, k):
    """W of all single starts at density k."""
    return np.concatenate([run.W[:, k] for run in models.runs])


def partners(W):
    """Cosine of the angle between the two features of each pair, (..., pairs)."""
    return cosines(W)[..., ::2, 1::2].diagonal(0, -2, -1)


def hexagon(W):
    """The gaps between neighbours in degrees, (seeds, 6), and whether each pair are neighbours, (seeds, 3)."""
    angle = np.degrees(np.arctan2(W[:, 1], W[:, 0]))
    order = angle.argsort(-1)
    gaps = (np.roll(np.take_along_axis(angle, order, -1), -1, -1) - np.take_along_axis(angle, order, -1)) % 360
    place = order.argsort(-1)
    apart = (place[:, 1::2] - place[:, ::2]) % 6
    return gaps, (apart == 1) | (apart == 5)


def off_identity(W):
    """Largest deviation from the identity of WᵀW among the first ten features, and among the others; (seeds, 2)."""
    gram = W.mT @ W
    return np.stack([np.abs(gram[:, part, part] - np.eye(10)).max((-1, -2)) for part in (slice(10), slice(10, 20))], -1)


def change(collapsed, count):
    """Between which densities the median over seeds rises above `count`."""
    k = (np.median(collapsed, axis=0) > count).argmax()
    return f"{COLLAPSE[k - 1]:.2f} and {COLLAPSE[k]:.2f}"


def triangle_excess(models):
    """By how much the best start with three collapsed pairs costs more than the best of all; the least over seeds."""
    losses = models.losses[:, MIDDLE]
    triangle = np.array([(partners(run.W[:, MIDDLE]) > ALONG).all(-1) for run in models.runs])
    return np.min(np.where(triangle, losses, np.inf) / losses.min(-1, keepdims=True)) - 1


class ExactPairs:
    """Two correlated pairs in two dimensions at densities s: the exact least loss of both arrangements."""

    def __init__(self, s):
        self.s, rng = s, np.random.default_rng(0)
        start = rng.standard_normal((64, len(s), 1, 2)), 0.3 * rng.standard_normal((64, len(s), 2))
        together = minimise_expected_loss(*start, s[:, None], pattern="together")
        alone = minimise_expected_loss(*start, s[:, None])
        best = together.loss.argmin(0)
        self.excess = together.loss.min(0) / (s / 12) - 1
        self.weights = np.abs(together.W[best, np.arange(len(s)), 0])
        half = np.full((1, 2), np.sqrt(0.5))
        self.collapsed = 2 * expected_loss(half, np.zeros(2), s[:, None], pattern="together")
        self.crossed = 2 * alone.loss.min(0)
        self.least = np.minimum(self.collapsed, self.crossed)

    @property
    def crossing(self):
        """The density at which both cost the same."""
        gain = self.collapsed - self.crossed
        k = (gain < 0).argmax()
        return np.interp(0, gain[[k, k - 1]], self.s[[k, k - 1]])


def picture(pairs_W, anti_W, three, ten_W, collapsed, exact, pairs_loss):
    fig = plt.figure(figsize=(8.3, 7.2))
    grid = fig.add_gridspec(3, 4, height_ratios=[1, 1, 1.05])
    top = [fig.add_subplot(grid[0, k]) for k in range(4)]
    titles = ("two correlated pairs:\npartners orthogonal", "two anti-correlated pairs:\npartners antipodal",
              "three correlated pairs:\npartners side by side")
    for ax, W, sets, title in zip(top, (pairs_W, anti_W, three.W[0, 0]), (PAIRS, PAIRS, THREE), titles, strict=False):
        draw(ax, W, sets).set_title(title)
    plots.weight_gram(top[3], ten_W)
    top[3].set(title="two correlated sets of ten:\nlocal bases in $W^TW$", xticks=[5, 15], yticks=[5, 15],
               xticklabels=["set 1", "set 2"], yticklabels=["set 1", "set 2"])
    fig.colorbar(plots.scale("gram"), ax=top[3], ticks=[-1, 0, 1], shrink=0.8)

    for place, count in enumerate((3, 2, 1, 0)):
        ax = fig.add_subplot(grid[1, place])
        there = np.flatnonzero(collapsed[0] == count)
        if len(there):
            k = there[len(there) // 2]
            draw(ax, three.W[0, k], THREE).set_title(f"s = {COLLAPSE[k]:.2g}: {count} collapsed\n{SHAPES[count]}")
    left, right = fig.add_subplot(grid[2, :2]), fig.add_subplot(grid[2, 2:])
    left.plot(COLLAPSE, np.median(collapsed, axis=0), "o-", color="C0", markersize=4,
              label=f"median and range of {len(collapsed)} seeds")
    left.fill_between(COLLAPSE, collapsed.min(0), collapsed.max(0), color="C0", alpha=0.25, linewidth=0)
    left.set(xscale="log", xlabel="density s of a feature (of a set)", yticks=range(4), ylim=(-0.2, 3.6),
             title="three correlated pairs: how many are collapsed", xticks=TICKS)
    left.legend(loc="upper left")
    right.plot(exact.s, exact.collapsed / exact.s, color="C3", label="collapsed, exact: s/6")
    right.plot(exact.s, exact.crossed / exact.s, color="C0", label="crossed, exact minimum")
    right.plot(CROSSING, (pairs_loss / CROSSING).T, "kx", markersize=5)
    right.lines[-1].set_label("trained (best of each seed)")
    right.set(xscale="log", xlim=(0.02, 1), ylim=(0, 0.36), xlabel="density s of a feature (of a set)",
              ylabel="loss / s", title="two correlated pairs: the exact loss of both arrangements", xticks=TICKS)
    right.legend(loc="upper left")
    for ax in (left, right):
        ax.xaxis.set_major_formatter("{x:g}")
        ax.minorticks_off()
    handles = [plt.Line2D([], [], marker="o", color=color, label=f"set {k + 1}") for k, color in enumerate(COLORS)]
    fig.legend(handles=handles, loc="outside lower center", ncols=3)
    return fig


SHAPES = {3: "a triangle", 2: "a cross", 1: "a pentagon", 0: "a hexagon"}
TICKS = [0.02, 0.05, 0.1, 0.2, 0.5, 1]
