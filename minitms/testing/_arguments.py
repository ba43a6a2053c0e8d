"""What strategies are given, checked at the call: Hypothesis itself would wait for the first draw."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from hypothesis.strategies import SearchStrategy

from minitms import _checks

P, R = ParamSpec("P"), TypeVar("R")


def checked(**checks: Callable[[str, Any], Any]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function take what it takes by name only, and check that by one function of name and value each.

    A strategy is a value as any other, and waits for the draw only where the check is `drawn`.
    """

    def with_checks(function):
        signature, name = inspect.signature(function), function.__name__
        plain = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
        call = f"{name}{signature.replace(parameters=plain, return_annotation=signature.empty)}"

        @functools.wraps(function)
        def called(*unnamed, **named):
            try:
                given = signature.bind(*unnamed, **named).arguments
            except TypeError as error:
                raise TypeError(f"{name}: {error}; expected, all by name, {call}") from None
            for argument, value in given.items():
                default = value is signature.parameters[argument].default
                if argument in checks and not default:
                    checks[argument](argument, value)
            return function(**named)

        return called

    return with_checks


def drawn(check):
    """The check of what is drawn if it is a strategy, and then checked once more."""
    return lambda name, value: value if isinstance(value, SearchStrategy) else check(name, value)


def never_drawn(expected):
    """The check that it is no strategy; others find what else is wrong."""

    def check(name, value):
        if isinstance(value, SearchStrategy):
            raise TypeError(f"{name} is {value!r}; expected {expected}")

    return check


def size(name, value):
    return _checks.integer(name, value, at_least=1)


def count(name, value):
    return _checks.integer(name, value, at_least=0)


def bound(name, value):
    return _checks.number(name, value, at_least=0.0)


def stack_shape(name, value):
    if not isinstance(value, tuple):
        raise TypeError(f"{name} is {value!r}; expected a shape such as (), (3,) or (2, 3), or a strategy of shapes")
    return tuple(_checks.integer(f"an axis of {name}", side, at_least=1) for side in value)


def word_of(allowed):
    no_strategy = never_drawn(f"{', '.join(map(repr, allowed))} or None for any of them")

    def check(name, value):
        no_strategy(name, value)
        return _checks.choice(name, value, allowed)

    return check
