"""Every word that a user can give, as types: a type checker refuses another one before the program runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, ParamSpec, TypeVar

import numpy as np

Activation = Literal["linear", "relu"]
SetPattern = Literal["independent", "together", "at_most_one"]
Pattern = Literal["independent", "together", "at_most_one", "exactly_one"]
Target = Literal["x", "abs"]
Schedule = Literal["constant", "linear", "cosine"]
Method = Literal["sampled", "expected"]
Engine = Literal["numba", "numpy"]
DtypeWord = Literal["float32", "float64"]
PathLike = str | os.PathLike[str]
Dtype = DtypeWord | np.dtype[Any] | type[np.float32] | type[np.float64]

P = ParamSpec("P")
R = TypeVar("R")


def told(name: str, **words: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Tell who calls `name` by another project's or the paper's words which ones it knows."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def with_words_told(*args: P.args, **kwargs: P.kwargs) -> R:
            for word in words.keys() & kwargs.keys():
                raise TypeError(f"{name} has no {word}=; expected {words[word]}")
            return function(*args, **kwargs)

        return with_words_told

    return decorate
