"""What one came to see of a result: for its ``plot()``, and small for a notebook."""

from __future__ import annotations

import base64
import html
import io
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from minitms.features import Examples
from minitms.neurons import by_feature
from minitms.plots._canvas import STYLE, plt
from minitms.plots.colors import scale
from minitms.plots.models import feature_bars, feature_vectors, weight_gram
from minitms.plots.phases import phase_map
from minitms.plots.stacks import neurons
from minitms.weights import Weights

MODELS = 4  # of a stack, at most
EXAMPLES = 40  # of data, at most
VALUES = 10**6  # and so many numbers of these


class Panel(NamedTuple):
    """One model, or the encoder or decoder of one."""

    letter: str
    title: str
    W: np.ndarray
    b: np.ndarray | None
    importance: np.ndarray


def plot(best) -> np.ndarray:
    """The Axes (panels, models) of a new figure that shows what training came to."""
    with plt.style.context(STYLE):
        return draw_models(plt.figure(), best)


def in_html(thing, draw) -> str:
    """The repr of a thing and a small picture of it, for a notebook; pyplot never hears of the figure."""
    with plt.style.context(STYLE):
        fig, file = Figure(), io.BytesIO()
        draw(fig, thing)
        fig.savefig(file, format="png", dpi=72)
    picture = base64.b64encode(file.getvalue()).decode()
    text = f'<pre style="white-space: pre-wrap">{html.escape(repr(thing))}</pre>'
    return f'<div>{text}<img src="data:image/png;base64,{picture}" alt="{type(thing).__name__}"></div>'


def draw_models(fig, best):
    """Some models side by side: neurons of a hidden ReLU, features as vectors if m = 2, or WᵀW above |W_i|."""
    panels = _panels(best)
    if best.hidden != "linear":
        fig.set_size_inches(max(4.6, 2.6 * len(panels) + 0.6), 3.4)
        axes = fig.subplots(1, len(panels), squeeze=False)
        _draw_neurons(fig, axes[0], panels, best.features.signed)
    elif panels[0].W.shape[0] == 2:
        fig.set_size_inches(2.7 * len(panels) + 0.9, 2.9)
        axes = fig.subplots(1, len(panels), squeeze=False)
        _draw_vectors(fig, axes[0], panels)
    elif len(panels) == 1:
        fig.set_size_inches(7.0, 3.2)
        axes = fig.subplots(1, 2, squeeze=False).T
        _draw_gram_and_bars(fig, axes, panels)
    else:
        fig.set_size_inches(2.3 * len(panels) + 1.0, 4.8)
        axes = fig.subplots(2, len(panels))
        _draw_gram_and_bars(fig, axes, panels)
    if best.loss.size > MODELS:
        fig.suptitle(f"{MODELS} of {best.loss.size} models")
    return axes


def _panels(best):
    """What is drawn of a stack: its first and its last model, and some between them, as in a sweep."""
    panels, size = [], best.loss.size
    for model in np.linspace(0, size - 1, min(MODELS, size)).round().astype(int):
        index = np.unravel_index(model, best.loss.shape)
        title, importance = f"{_name(best.features, index)}loss {best.loss[index]:.4g}", best.features.importance[index]
        if isinstance(best.W, Weights):
            panels.append(Panel("E", f"{title}\nencoder", best.W.encoder[index], None, importance))
            panels.append(Panel("D", f"{title}\ndecoder", best.W.decoder[index], best.b[index], importance))
        else:
            panels.append(Panel("W", title, best.W[index], best.b[index], importance))
    return panels


def _name(source, index):
    """Which model of a stack it is: by its density, if each model has one of its own, or by its number."""
    if not index:
        return ""
    if not isinstance(source, Examples):
        lowest, highest = source.density.min(axis=-1), source.density.max(axis=-1)
        if (lowest == highest).all() and len(np.unique(lowest)) == lowest.size:
            return f"density {lowest[index]:.3g}: "
    return f"model {', '.join(map(str, index))}: "


def _draw_neurons(fig, axes, panels, signed):
    for ax, panel in zip(axes, panels, strict=True):
        W, name = panel.W, f"{panel.letter}_{{ki}}"
        if panel.letter != "D":  # what neurons read, and so what they stand for
            W, name = (abs(W), f"|{name}|") if signed else (W, name)
            order = by_feature(W)
        neurons(W, order=order, ax=ax).set(title=panel.title, xlabel="neuron $k$", ylabel=f"${name}$, stacked")
    handles = axes[0].get_legend_handles_labels()
    fig.legend(*handles, loc="outside lower center", ncols=4 if len(axes) > 2 else 2, columnspacing=1.5)


def _draw_vectors(fig, axes, panels):
    limit = max(1.5, *(1.1 * abs(panel.W).max() for panel in panels))
    for ax, panel in zip(axes, panels, strict=True):
        feature_vectors(panel.W, panel.importance, limit, ax=ax).set(title=panel.title, xlabel="hidden dimension 1")
    axes[0].set_ylabel("hidden dimension 2")
    importance = panels[0].importance
    if importance.min() < importance.max() and all((panel.importance == importance).all() for panel in panels):
        fig.colorbar(scale("importance", importance.min(), importance.max()), ax=axes, label="importance", shrink=0.8)


def _draw_gram_and_bars(fig, axes, panels):
    for (gram, bars), panel in zip(axes.T, panels, strict=True):
        weight_gram(panel.W, panel.b, ax=gram).set_title(panel.title)
        feature_bars(panel.W, ax=bars).set_xlabel(f"$|{panel.letter}_i|$")
        gram.set_xticklabels([f"${panel.letter}^T {panel.letter}$", "$b$"][: len(gram.get_xticks())])
    axes[1, 0].set_ylabel("feature, 0 on top")
    fig.colorbar(scale("gram"), ax=axes[0], shrink=0.9, extend="both")
    fig.colorbar(scale("interference"), ax=axes[1], label="interference", extend="max")


def draw_diagram(fig, diagram):
    """The phase diagram with theory's boundaries; blank where log axes have no place for it."""
    fig.set_size_inches(4.2, 3.6)
    if (diagram.densities > 0).any() and (diagram.importances > 0).any():
        ax = phase_map(diagram, ax=fig.subplots())
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, columnspacing=1.5)


def draw_data(fig, source):
    """Some examples, a row each, of the first model of the stack."""
    count = max(1, min(EXAMPLES, VALUES // source.n))
    first = source.take(np.zeros(1, int))
    x = first.x[0, :count] if isinstance(source, Examples) else first.sample(count, seed=0)[0]
    fig.set_size_inches(4.2, 2.8)
    ax, largest = fig.subplots(), abs(x).max()
    lowest, cmap = (-largest, "RdBu_r") if x.min() < 0 else (0, "Greys")
    image = ax.imshow(x, cmap=cmap, vmin=lowest, vmax=largest, aspect="auto")
    ax.set(xlabel="feature", ylabel="example")
    ax.locator_params(integer=True)
    fig.colorbar(image, ax=ax, label="$x_i$")
