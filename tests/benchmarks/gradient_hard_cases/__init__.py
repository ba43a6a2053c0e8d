"""Right gradients of hard kinds, each with a mistake that is planted in it.

`hard_case(i)` is a pure function of i. The families take turns, so any first cases hold some of every kind, and each
family draws its sizes, scales and distances. A gradient is right (`case.proven` proves it by the complex step), so what
a checker says against it is a false alarm; the mistake can be seen by finite differences (`case.visible`), so a checker
that passes it misses it. Of the cases that are not `checkable` no difference can tell whether the gradient is right:
there, to pass is the mistake.
"""

import numpy as np

from . import composed, kinks, layers, precision, scales, sizes  # noqa: F401 (each registers its families)
from .case import FAMILIES as FAMILIES
from .case import HardCase as HardCase
from .case import with_mistake

KINDS = tuple(dict.fromkeys(kind for _, kind, _ in FAMILIES))


def hard_case(i):
    """The i-th case: the family is i modulo their number, the seed is i."""
    function, kind, checkable = FAMILIES[i % len(FAMILIES)]
    random = np.random.default_rng([1986, i])
    name = function.__name__.replace("_", " ")
    case = function(random)._replace(kind=kind, name=name, checkable=checkable, seed=i)
    return with_mistake(case, random) if checkable else case
