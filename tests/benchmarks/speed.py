"""Draw ``speed.png``, minitms beside PyTorch, from the rates that were kept: ``python tests/benchmarks/speed.py``.

`training.py` and `phase_diagram.py` keep them in ``speed.json``. Of one-neuron models PyTorch's fastest form is drawn
(compiled, the gradient by hand), of all others the step of the authors' notebook. Of several processors the last is
drawn.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import matplotlib.pyplot as plt
import tables

import minitms as tms

PICTURE = Path(__file__).with_name("speed.png")
COLORS = {"PyTorch": "0.65", "minitms": "#D55E00"}


def pairs(kept):
    """(label, rate of PyTorch, rate of minitms) of each kind of model, from the kept rates of one processor."""
    one = kept["one neuron"]["2 features, 64"]
    fastest = max(rate for name, rate in one.items() if name.startswith("PyTorch"))
    yield "a grid of one-neuron models\n(PyTorch compiled, by hand)", fastest, one["minitms, data shared"]
    for shape, rates in kept["training"].items():
        models, n, m, _ = re.findall(r"\d+", shape)  # and the batch
        yield f"{models} model{'s' if models != '1' else ''}, n = {n}, m = {m}", rates["PyTorch"], rates["minitms"]


def draw(processor, kept):
    plt.style.use(tms.plots.STYLE)
    rows = list(pairs(kept))[::-1]
    fig, ax = plt.subplots(figsize=(5.0, 0.6 + 0.27 * len(rows)))  # for half of a page
    for offset, (name, color) in zip((0.2, -0.2), COLORS.items(), strict=True):
        ax.barh([k + offset for k in range(len(rows))], [row[1 + list(COLORS).index(name)] for row in rows], 0.38,
                color=color, label=name)  # fmt: skip
    for k, (_, theirs, ours) in enumerate(rows):
        ax.text(ours * 1.15, k - 0.2, f"{float(f'{ours / theirs:.2g}'):g} times", va="center", fontsize=8)
    ax.set(xscale="log", xlim=(0.05, 1e5), xlabel=f"million model-examples a second,\n2 cores of {processor}")
    ax.set_yticks(range(len(rows)), [row[0] for row in rows])
    ax.tick_params(axis="y", length=0)
    ax.legend(loc="lower right")
    fig.savefig(PICTURE, metadata={"Software": None})
    plt.close(fig)


def main():
    processor, kept = list(json.loads(tables.RATES.read_text(encoding="utf-8")).items())[-1]
    draw(processor, kept)
    print(f"wrote {PICTURE}")


if __name__ == "__main__":
    main()
