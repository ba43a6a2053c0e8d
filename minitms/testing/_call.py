"""How a check is called: with functions of one argument, and one params."""

from __future__ import annotations

import inspect

__tracebackhide__ = True  # pytest then shows the user's code, not ours

ONE = "pass a tuple or dict of all that is differentiated, and for the loss lambda p: loss(*p)"


def check_functions(**functions):
    """Raise if one of these cannot be called with one argument."""
    for name, function in functions.items():
        if not callable(function):
            raise TypeError(f"{name} is {function!r}; expected a function of params")
        try:
            # What a decorator wraps may take other arguments than the wrapper does.
            signature = inspect.signature(function, follow_wrapped=False)
        except (TypeError, ValueError):  # compiled: then what it was made from tells
            signature = _signature(function)
        try:
            _ = signature and signature.bind("params")
        except TypeError:
            raise TypeError(f"{name} takes {signature}; expected one argument, params: {ONE}") from None


def argument_name(function):
    """What the user's function calls its argument: the user's own name for a parameter that stands alone."""
    signature = _signature(function)
    first = next(iter(signature.parameters.values()), None) if signature else None
    named = first and first.kind in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD) and first.name.strip("_")
    return first.name if named else "params"


def _signature(function):
    """None if Python does not know it."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None
