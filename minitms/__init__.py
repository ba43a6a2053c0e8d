"""Toy Models of Superposition in pure NumPy, with every gradient written by hand and trained fast by Numba."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

from minitms.attacks import Attack as Attack
from minitms.attacks import worst_attack as worst_attack
from minitms.checkpoint import Checkpoint as Checkpoint
from minitms.diagram import PhaseDiagram as PhaseDiagram
from minitms.diagram import classify as classify
from minitms.examples import load_example as load_example
from minitms.expected import expected_gradients as expected_gradients
from minitms.expected import expected_loss as expected_loss
from minitms.explorer import explorer as explorer
from minitms.features import Examples as Examples
from minitms.features import SparseFeatures as SparseFeatures
from minitms.geometry import dimensionality as dimensionality
from minitms.geometry import dimensions_per_feature as dimensions_per_feature
from minitms.geometry import feature_norms as feature_norms
from minitms.geometry import features_learned as features_learned
from minitms.geometry import features_represented as features_represented
from minitms.geometry import interference as interference
from minitms.geometry import leverage as leverage
from minitms.judge import DivergenceError as DivergenceError
from minitms.model import backward as backward
from minitms.model import forward as forward
from minitms.model import loss as loss
from minitms.model import loss_and_gradients as loss_and_gradients
from minitms.neurons import features_per_neuron as features_per_neuron
from minitms.neurons import neuron_blocks as neuron_blocks
from minitms.neurons import neurons_per_feature as neurons_per_feature
from minitms.phases import phase_diagram as phase_diagram
from minitms.polytopes import feature_clusters as feature_clusters
from minitms.polytopes import feature_polytopes as feature_polytopes
from minitms.polytopes import polytope as polytope
from minitms.run import TrainingRun as TrainingRun
from minitms.training import train as train
from minitms.weights import Weights as Weights

if _TYPE_CHECKING:
    from minitms import plots as plots
    from minitms import testing as testing

__version__ = "0.1.0"

__all__ = [
    "Attack", "Checkpoint", "DivergenceError", "Examples", "PhaseDiagram", "SparseFeatures", "TrainingRun", "Weights",
    "backward", "classify", "dimensionality", "dimensions_per_feature", "expected_gradients", "expected_loss",
    "explorer", "feature_clusters", "feature_norms", "feature_polytopes", "features_learned", "features_per_neuron",
    "features_represented", "forward", "interference", "leverage", "load_example", "loss", "loss_and_gradients",
    "neuron_blocks", "neurons_per_feature", "phase_diagram", "plots", "polytope", "testing", "theory", "train",
    "worst_attack",
]  # fmt: skip


def __getattr__(name):
    if name in ("plots", "testing"):  # imported on first use: matplotlib is slow to import
        return _import_module(f"minitms.{name}")
    raise AttributeError(f"module 'minitms' has no attribute {name!r}")


def __dir__():
    return [*__all__, "__version__"]
