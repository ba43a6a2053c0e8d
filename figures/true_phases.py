"""The true phase diagram of one neuron and two features

**Question.** Theory compares three solutions made by hand. Which solution is really the best one, among all W and b?

**Set-up.** n = 2, m = 1, y = ReLU(Wᵀ W x + b), importance 1 and r, one density s. The expected loss is known exactly
for every W and b, so nothing is sampled. Each of {{cells}} cells is minimised by Newton's method from {{starts}} random
starts (W ~ 1.5 N, b ~ 0.5 N), then from its neighbours' solutions until no cell improves. Dashed: theory's boundaries.

**What we see.** The diagram keeps the outline that theory gives it, with three corrections.

1. *Superposition pays more than theory says.* With lengths and biases of its own, rather than W = (1, -1) and b = 0,
   the pair costs up to {{gain:.1%}} less than the best of the three, most at r = {{gain_r:.2f}}, s = {{gain_s:.2f}}. So
   its region is larger: at r = 0.1, 0.2 and 0.5 it ends at {{shift}} times theory's density.
2. *A spike of superposition runs along r = 1 up to density 1*, where theory has none above s = 4/7. At s = 0.9 it spans
   r = {{spike_low:.3f}} to {{spike_high:.3f}}, at s = 1 still {{top_low:.3f}} to {{top_high:.3f}}. On r = 1, up to
   s = {{asymmetric:.2f}}, the two features are stored alike; above, one gets a short vector and the other a long one,
   though they are equally important: |w| = {{lean_short:.2f}} and {{lean_long:.2f}} at s = 0.9.
3. *Away from r = 1 the change is first-order, as the paper says; at the edge of the spike it is not.* At r = 0.1 to 0.5
   the weight of the extra feature jumps from 0 to {{jumps}}. For s = {{smooth_from:.2f}} to {{smooth_to:.2f}} it grows
   from 0 continuously. The line where it starts has a closed form (`minitms.theory.onset_importance`): there dropping
   the feature stops being a local minimum. The jump, to a pair of nearly equal weights, comes later and is smaller: at
   s = 0.6 it is at r = {{later_r:.3f}}, from {{later_from:.2f}} to {{later_to:.2f}}. At higher densities the edge jumps
   again, by a little.

Nothing of this contradicts the paper, whose theory is stated for the three solutions. Tom McGrath solved the exact loss
without a bias in a comment to the paper (`confused_phase` draws that diagram); with the bias we know of no earlier
drawing. Theory names the right class in {{agreement:.1%}} of the cells of the upper left picture.

**Compared with the paper and the earlier replication.** The colours are the paper's. Both trained on samples, whose
noise hides a difference of a few percent in loss; the earlier replication compared its models with the dashed lines.

**How sure that the minima are global.** {{share:.0%}} of all starts reach the lowest loss of their cell, and in the
worst cell {{share_worst:.0%}}; the neighbours' solutions then improve {{improved}} cells. Swapping the features maps
(s, r) to (s, 1/r), and these cells, with starts of their own, agree. A second search that shares neither optimiser nor
gradient, a grid of {{grid_points}} points (W, b) for a cell with refinement by function values alone, finds the same
losses on {{grid_cells}} cells, and never a lower one.
"""

import matplotlib.pyplot as plt
import numpy as np

import minitms as tms
from figures import OURS, PAPER, THEORY, Claim, Result, always, at_least, at_most, near
from minitms import plots, theory
from minitms.expected import expected_loss, minimise_expected_loss

# Known from an earlier search with other code: density, importance and least loss to five digits
KNOWN = np.array([[0.572, 0.977, 0.09246], [0.7, 1, 0.10811], [0.5, 1, 0.07628], [0.9, 1, 0.09709]])
FIRST_ORDER = np.array([0.1, 0.2, 0.3, 0.4, 0.5])          # importances at which theory's jump is tested
EDGE = np.linspace(0.5, 1, 51)                             # densities at which the spike's edge is looked at ...
TESTED = (EDGE > 0.545) & (EDGE < 0.805)                   # ... and tested
CLAIMS = [
    Claim("bound", "the least loss is never above that of the best configuration; loss / theory - 1", THEORY,
          at_most(1e-12), "cell", quick=True),
    Claim("gain", "and lies 13 % below it at r = 0.977, s = 0.572", OURS, near(13, 0.5), "cell", " %", quick=True),
    Claim("known", "four minima known to five digits: |loss - known|", OURS, at_most(5e-6), "point", quick=True),
    Claim("grid", "a grid search by function values ends at the same loss: |difference|", OURS, at_most(2e-6), "cell",
          quick=True),
    Claim("lower", "and never below: loss of Newton's method - loss of the grid search", OURS, at_most(1e-9), "cell",
          quick=True),
    Claim("mirror", "cells (s, r) and (s, 1/r) agree, though their starts differ: relative difference", THEORY,
          at_most(1e-9), "cell", quick=True),
    Claim("gradient", "largest |gradient| of any start's end", OURS, at_most(1e-6), "diagram", quick=True),
    Claim("jump", "r = 0.1 to 0.5: a first-order change, |W| of the extra feature jumps by at least half of theory's 1",
          PAPER, at_least(0.5), "importance", quick=True),
    Claim("onset", "0.55 <= s <= 0.8: beside the spike the extra feature appears where the closed form says, r / onset",
          THEORY, near(1, 1e-3), "row", quick=True),
    Claim("smooth", "and continuously: |W| of the extra feature just after, not a tenth of theory's jump", OURS,
          at_most(0.1), "row", quick=True),
    Claim("spike", "r = 1: superposed (both |w| > 0.2, opposite signs) at every density from 0.02 to 0.99", OURS,
          always(), "row", quick=True),
    Claim("away", "away from its boundaries (|ln s/s*| > 0.2, |ln r| > 0.1) theory names the class; share of cells",
          THEORY, at_least(0.995), "diagram"),
]


def make(quick):
    rng = np.random.default_rng(0)
    rows, columns, starts = (24, 25, 32) if quick else (120, 161, 64)
    s, r = np.geomspace(0.01, 1, rows)[:, None], np.geomspace(0.1, 10, columns)
    whole = GlobalMinimum(rng, s, r, starts)
    theory_losses = theory.configuration_losses(s, r)
    gain = 1 - whole.loss / theory_losses.min(axis=0)
    near_s, near_r = np.linspace(0.5, 1, rows)[:, None], np.geomspace(0.8, 1.25, columns)
    zoom = GlobalMinimum(rng, near_s, near_r, starts)
    gain_zoom = 1 - zoom.loss / theory.configuration_losses(near_s, near_r).min(axis=0)

    known = GlobalMinimum(rng, KNOWN[:, 0], KNOWN[:, 1], 64)
    few = slice(3, None, 10) if not quick else slice(2, None, 8)
    coarse = np.broadcast_arrays(s[few], r[few])
    grid, grid_points = grid_minimum(*coarse)
    line_s = np.linspace(0.75, 1.5, 301)[:, None] * theory.boundary_density(FIRST_ORDER)
    line_w = np.abs(GlobalMinimum(rng, line_s, FIRST_ORDER, starts).W[..., 1])        # (301, importances)
    jump_at = np.abs(np.diff(line_w, axis=0)).argmax(axis=0)
    ratios = np.linspace(0.98, 1.02, 81)
    edge_r = theory.onset_importance(EDGE)[:, None] * ratios
    edge_w = np.abs(GlobalMinimum(rng, EDGE[:, None], edge_r, starts).W[..., 1])
    first = (edge_w > 1e-3).argmax(axis=1)
    smooth = EDGE[(ratios[first] > 1 - 1e-9) & (edge_w[:, 0] < 1e-3)]       # nothing superposed before the onset
    one_s = np.linspace(0.02, 0.99, 98)      # at density 1 the signs make no difference
    one = GlobalMinimum(rng, one_s, np.ones(98), 64)
    lines = {importance: GlobalMinimum(rng, one_s, np.full(98, importance), 64) for importance in (0.5, 0.9)}
    later_r = np.linspace(0.7, 0.95, 251)
    later = np.abs(GlobalMinimum(rng, np.full(251, 0.6), later_r, starts).W[..., 1])
    later_at = np.diff(later).argmax()
    top_r = np.linspace(0.9, 1, 201)
    top = [np.abs(GlobalMinimum(rng, np.full(201, density), top_r, starts).W[..., 1]) for density in (0.9, 1.0)]
    spike_from = [top_r[(w > 1e-3).argmax()] for w in top]

    superposed = (np.abs(one.W) > 0.2).all(-1) & (one.W[:, 0] * one.W[:, 1] < 0)
    agrees = classes(whole.W) == np.array(theory.CONFIGURATIONS[2])[theory_losses.argmin(axis=0)]
    known_bound = theory.configuration_losses(KNOWN[:, 0], KNOWN[:, 1]).min(axis=0)
    measured = {
        "bound": (whole.loss / theory_losses.min(axis=0) - 1).ravel(),
        "gain": 100 * (1 - known.loss / known_bound)[0],
        "known": np.abs(known.loss - KNOWN[:, 2]),
        "grid": np.abs(whole.loss[few, few] - grid),
        "lower": whole.loss[few, few] - grid,
        "mirror": np.abs(whole.loss[:, ::-1] * r / whole.loss - 1),
        "gradient": max(whole.gradient, zoom.gradient),
        "jump": np.abs(np.diff(line_w, axis=0)).max(axis=0),
        "onset": ratios[first][TESTED],
        "smooth": edge_w[range(len(EDGE)), first][TESTED],
        "spike": superposed,
        "away": agrees[theory.away_from_boundary(s, r)].mean(),
    }
    at = np.unravel_index(gain_zoom.argmax(), gain_zoom.shape)
    best = np.unravel_index(gain.argmax(), gain.shape)
    at_s, at_r = (near_s[at[0], 0], near_r[at[1]]) if gain_zoom.max() > gain.max() else (s[best[0], 0], r[best[1]])
    lean = np.sort(np.abs(known.W[3]))
    ratio = line_s[jump_at + 1, range(5)] / theory.boundary_density(FIRST_ORDER)
    symmetric = np.abs(np.abs(one.W[:, 0]) - np.abs(one.W[:, 1])) < 1e-3
    numbers = {
        "cells": whole.loss.size + zoom.loss.size, "starts": starts, "gain": max(gain.max(), gain_zoom.max()),
        "gain_s": at_s, "gain_r": at_r, "shift": ", ".join(f"{ratio[k]:.2f}" for k in (0, 1, 4)),
        "spike_low": spike_from[0], "spike_high": 1 / spike_from[0], "top_low": spike_from[1],
        "top_high": 1 / spike_from[1], "asymmetric": one_s[symmetric].max(),
        "smooth_from": smooth.min(), "smooth_to": smooth.max(), "lean_long": lean[1], "lean_short": lean[0],
        "jumps": ", ".join(f"{line_w[k, j]:.2f}" for j, k in enumerate(jump_at)),
        "later_r": later_r[later_at + 1], "later_from": later[later_at], "later_to": later[later_at + 1],
        "agreement": agrees.mean(), "share": whole.share.mean(), "share_worst": whole.share.min(),
        "improved": whole.improved + zoom.improved, "grid_points": grid_points, "grid_cells": grid.size,
        "W_at_importance_1": one.W, "b_at_importance_1": one.b, "densities_at_importance_1": one_s,
    }

    fig, axes = plt.subplots(2, 2, figsize=(8.3, 6.6))
    colors = plots.superposition_colors(np.abs(whole.W[..., 1]), interference_of_extra(whole.W))
    plots.phase_map(axes[0, 0], s[:, 0], r, colors)
    axes[0, 0].set_title("the least loss over all W and b: what becomes of the\nextra feature (grey lost, blue alone, "
                         "red superposed)")
    plots.phase_map(axes[0, 1], s[:, 0], r, 100 * gain, cmap="magma_r")
    fig.colorbar(axes[0, 1].collections[0], ax=axes[0, 1], label="% below the best configuration")
    axes[0, 1].set_title("how far theory's loss is from the least one")
    for ax in axes[0]:
        theory_lines(ax, r)
    weaker = np.abs(zoom.W).min(axis=-1)
    axes[1, 0].pcolormesh(near_r, near_s[:, 0], weaker, cmap="magma_r", rasterized=True)
    fig.colorbar(axes[1, 0].collections[0], ax=axes[1, 0], label="|w| of the weaker feature")
    theory_lines(axes[1, 0], near_r, color="0.6")
    edge_s = np.linspace(0.5, 1, 200)
    for side in (1, -1):
        axes[1, 0].plot(theory.onset_importance(edge_s) ** side, edge_s, color="C2", linewidth=1.2)
    axes[1, 0].lines[-1].set_label("onset")
    axes[1, 0].set(xscale="log", xlim=near_r[[0, -1]], ylim=(0.5, 1), xticks=[0.8, 0.9, 1, 1.1, 1.25],
                   xticklabels=["0.8", "0.9", "1", "1.1", "1.25"], xlabel="relative importance of the extra feature",
                   ylabel="density 1 - S", title="the spike near r = 1")
    axes[1, 0].minorticks_off()
    axes[1, 0].legend(handles=axes[1, 0].lines[-1:], loc="upper left")
    for number, (importance, found) in enumerate([*lines.items(), (1, one)]):
        order = np.abs(found.W).argsort(axis=-1)                            # the weaker feature, then the stronger
        weak, strong = np.take_along_axis(np.abs(found.W), order, axis=-1).T
        weak_bias = np.take_along_axis(found.b, order, axis=-1)[:, 0]
        axes[1, 1].plot(one_s, weak, color=f"C{number}", label=f"r = {importance:g}")
        axes[1, 1].plot(one_s, weak_bias, color=f"C{number}", linestyle="--", linewidth=1)
        axes[1, 1].plot(one_s, strong, color=f"C{number}", linestyle=":", linewidth=1)
    axes[1, 1].set(xlabel="density 1 - S", ylabel="|w| and b", ylim=(-0.03, 1.1),
                   title="the weaker feature's |w| (solid) and b (dashed),\nand the stronger one's |w| (dotted)")
    axes[1, 1].legend(loc="center left")
    return Result({"true_phases.png": fig}, measured, numbers)


class GlobalMinimum:
    """The model of least loss of each cell (s, r): W (..., 2), b (..., 2), loss (...), and how it was found.

    Newton's method from random starts, then from the solutions of the cells beside it until no cell improves.
    """

    def __init__(self, rng, s, r, starts):
        s, r = np.broadcast_arrays(s, r)
        importance = np.stack([np.ones(r.shape), r], axis=-1)
        self._descend = lambda W, b: minimise_expected_loss(W, b, s[..., None], importance)
        ends = self._descend(1.5 * rng.standard_normal((starts, *s.shape, 1, 2)),
                             0.5 * rng.standard_normal((starts, *s.shape, 2)))
        self.gradient = ends.gradient.max()
        self.loss = np.full(s.shape, np.inf)
        self.W, self.b = np.zeros((*s.shape, 2)), np.zeros((*s.shape, 2))
        for start in range(starts):
            self._keep_lower(*(field[start] for field in ends[:3]))
        self.share = (ends.loss <= self.loss * (1 + 1e-7)).mean(axis=0)
        improved = np.zeros(s.shape, bool)
        while (lower := self._from_neighbours()).any():
            improved |= lower
        self.improved = int(improved.sum())

    def _keep_lower(self, W, b, loss):
        """Take what lies lower than what is kept; True where by more than rounding."""
        better = loss < self.loss
        by_far = loss < self.loss * (1 - 1e-9)
        self.loss = np.where(better, loss, self.loss)
        self.W, self.b = np.where(better[..., None], W[..., 0, :], self.W), np.where(better[..., None], b, self.b)
        return by_far

    def _from_neighbours(self):
        """Start every cell from the solutions of the cells beside it."""
        improved = np.zeros(self.loss.shape, bool)
        for axis in range(self.loss.ndim):
            for step in (1, -1):
                ends = self._descend(np.roll(self.W, step, axis)[..., None, :], np.roll(self.b, step, axis))
                improved |= self._keep_lower(*ends[:3])
        return improved


def grid_minimum(s, r):
    """The least loss of every cell by function values alone, and the number of grid points a cell.

    A grid over (w_1, w_2, b_1, b_2), one of W and -W left out. From the ten lowest of its points that lie below all
    their neighbours along the axes, try 80 random steps; take the lowest, or shorten the steps by a fifth.
    """
    rng = np.random.default_rng(1)
    axes = np.linspace(0, 1.2, 13), np.linspace(-1.2, 1.2, 25), np.linspace(-0.2, 0.7, 10), np.linspace(-0.2, 0.7, 10)
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    found = np.empty(s.shape)
    for cell in np.ndindex(s.shape):
        def loss(x, density=s[cell], importance=(1, r[cell])):
            return expected_loss(x[..., None, :2], x[..., 2:], density, importance)

        L = loss(points)
        padded = np.pad(L, 1, constant_values=np.inf)
        lowest = np.ones(L.shape, bool)
        for axis in range(4):
            for step in (1, -1):
                lowest &= np.roll(padded, step, axis)[1:-1, 1:-1, 1:-1, 1:-1] >= L
        x = points[lowest][L[lowest].argsort()[:10]]
        step = np.full(len(x), 0.05)
        while step.max() > 1e-5:
            tried = x + step[:, None] * rng.standard_normal((81, len(x), 4))
            tried[0] = x
            best = loss(tried).argmin(axis=0)
            x = tried[best, np.arange(len(x))]
            step[best == 0] *= 0.8
        found[cell] = loss(x).min()
    return found, L.size


def classes(W):
    """The class of each model, by the thresholds of the earlier replication and the signs."""
    first, extra = np.abs(W[..., 0]), np.abs(W[..., 1])
    return np.select([(first > 0.8) & (extra < 0.2), (extra > 0.8) & (first < 0.2),
                      (first > 0.2) & (extra > 0.2) & (W[..., 0] * W[..., 1] < 0)],
                     ["first", "extra", "superposed"], "neither")


def interference_of_extra(W):
    return tms.interference(W[..., None, :])[..., 1]


def theory_lines(ax, r, color="k"):
    """Theory's boundaries: s*(r), and r = 1 above the triple point."""
    ax.plot(r, theory.boundary_density(r), color=color, linestyle="--", linewidth=0.8)
    ax.plot([1, 1], [theory.TRIPLE_POINT[1], 1], color=color, linestyle="--", linewidth=0.8)
