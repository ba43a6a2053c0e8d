"""Pictures of trained models: arrays, runs or diagrams in, the Axes that they are drawn on out.

    import minitms as tms
    run = tms.train(tms.SparseFeatures(n=5, density=0.05), n_hidden=2, steps=200, seed=0)
    tms.plots.feature_vectors(run)  # on a figure of its own, with the labels and colour bar that explain it

With ``ax=ax``, or with the Axes first as in ``feature_vectors(ax, run)``, it is drawn on an Axes of yours, and nothing
beside it.

``plt.style.use(tms.plots.STYLE)`` gives the look of the figures in this repository.
All colours can be told apart in the common forms of colour blindness.
"""

from minitms.plots._canvas import STYLE as STYLE
from minitms.plots.colors import CLASS_COLORS as CLASS_COLORS
from minitms.plots.colors import DEDICATED as DEDICATED
from minitms.plots.colors import NOT_LEARNED as NOT_LEARNED
from minitms.plots.colors import SCALES as SCALES
from minitms.plots.colors import SUPERPOSED as SUPERPOSED
from minitms.plots.colors import class_colors as class_colors
from minitms.plots.colors import scale as scale
from minitms.plots.colors import superposition_colors as superposition_colors
from minitms.plots.losses import loss_curve as loss_curve
from minitms.plots.models import feature_bars as feature_bars
from minitms.plots.models import feature_vectors as feature_vectors
from minitms.plots.models import weight_gram as weight_gram
from minitms.plots.moving import animate as animate
from minitms.plots.phases import phase_map as phase_map
from minitms.plots.stacks import neurons as neurons
