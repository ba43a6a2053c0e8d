"""A training that moves, from its snapshots."""

from __future__ import annotations

import numpy as np
from matplotlib.animation import FuncAnimation

from minitms import _checks
from minitms.neurons import by_feature
from minitms.plots._canvas import STYLE, plt
from minitms.plots.losses import loss_curve
from minitms.plots.models import feature_vectors, weight_gram
from minitms.plots.stacks import neurons
from minitms.run import Best, TrainingRun
from minitms.weights import single

PAUSE = 80  # milliseconds a frame


def animate(run: TrainingRun | Best) -> FuncAnimation:
    """Show how the best restart of one model was trained: its features, or WᵀW and b if m is not 2, beside the loss.

    Of a hidden ReLU it shows the neurons, in the order that they have at the end.
    ``animate(run).save("run.gif", writer="pillow")`` writes it to a file, and in a notebook
    ``IPython.display.HTML(animate(run).to_jshtml())`` plays it.

    Parameters
    ----------
    run : TrainingRun or its best(), of one model, with snapshots

    Returns
    -------
    matplotlib.animation.FuncAnimation
        A frame for each snapshot.

    Raises
    ------
    TypeError, ValueError
        If it is no run, was made without snapshots, or holds a stack of models, or a pair of weights.

    Examples
    --------
    >>> import minitms as tms, tempfile
    >>> run = tms.train(tms.SparseFeatures(n=5, density=0.05), n_hidden=2, steps=50, snapshots=3, seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tms.plots.animate(run).save(f"{folder}/run.gif", writer="pillow")
    """
    if not isinstance(run, (TrainingRun, Best)):
        raise TypeError(f"run is {type(run).__name__}; expected a TrainingRun or its best()")
    if run.snapshots is None:
        raise ValueError("the run has no snapshots; expected some: train(..., snapshots=60)")
    best = run.best() if isinstance(run, TrainingRun) else run
    kept = best.snapshots
    path = _checks.finite("W", single("W", kept.W))
    if best.loss.ndim:
        raise ValueError(f"the run holds models of stack {best.loss.shape}; expected one model")
    limit = max(1.5, 1.1 * abs(path).max())
    if neural := best.hidden != "linear":
        path = abs(path) if best.features.signed else path
        lowest, highest = 1.05 * np.minimum(path, 0).sum(axis=-1).min(), 1.05 * np.maximum(path, 0).sum(axis=-1).max()
    with plt.style.context(STYLE):
        fig, (left, right) = plt.subplots(1, 2, figsize=(7.0, 3.3), width_ratios=[1, 1.15])
        loss_curve(run, ax=right)
        mark = right.axvline(kept.steps[0], color="#D55E00", linewidth=1.2)

    def frame(k):
        left.clear()
        if neural:
            neurons(path[k], order=by_feature(path[-1]), ax=left).set_ylim(lowest, highest)
        elif path.shape[-2] == 2:
            feature_vectors(path[k], best.features.importance, limit, ax=left)
        else:
            weight_gram(path[k], kept.b[k], ax=left)
        left.set_title(f"step {kept.steps[k]:,}")
        mark.set_xdata([kept.steps[k]] * 2)

    return FuncAnimation(fig, frame, frames=len(kept.steps), interval=PAUSE)
