"""Proving gradients right: `check_grad`, metamorphic checks, and Hypothesis `strategies` (imported on first use)."""

import importlib


def __getattr__(name):
    if name == "strategies":  # needs Hypothesis, which `check_grad` does not
        return importlib.import_module("minitms.testing.strategies")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
