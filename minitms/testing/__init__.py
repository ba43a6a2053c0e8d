"""Proving gradients right: `check_grad`, metamorphic checks, and Hypothesis `strategies` (imported on first use)."""

import importlib
from typing import TYPE_CHECKING

from minitms.testing import metamorphic as metamorphic
from minitms.testing.errors import GradientError as GradientError
from minitms.testing.errors import MetamorphicError as MetamorphicError
from minitms.testing.errors import NotDifferentiableError as NotDifferentiableError
from minitms.testing.errors import UnresolvedWarning as UnresolvedWarning
from minitms.testing.gradient_check import check_grad as check_grad

if TYPE_CHECKING:
    from minitms.testing import strategies as strategies
else:

    def __getattr__(name):
        if name == "strategies":  # needs Hypothesis, which `check_grad` does not
            return importlib.import_module("minitms.testing.strategies")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
