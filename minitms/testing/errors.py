"""How a check ends badly: the gradient is wrong, or there is none to compare with."""


class GradientError(AssertionError):
    """The gradient is not the gradient of the loss. The message says where, by how much, and why if that can be told.

    Attributes
    ----------
    parameter : str
        Name of the worst parameter: the key of a dict, the field of a named tuple, with a dot between if nested. For
        an array alone it is what the loss calls its argument, here p, and for the parts of a list or tuple ``p[i]``.
    index : tuple of int, or None
        The worst entry of that parameter, None if the fault is not in one entry (a shape, say).
    analytic, numeric : float, or None
        That entry of the gradient, and what finite differences of the loss give.
    hints : dict of str to str
        For each wrong parameter whose errors follow a known pattern, that pattern in one word, such as
        ``"factor"``, ``"sign"`` or ``"transpose"``; `minitms.testing.diagnosis` lists them. Others are left out.
    """

    parameter: str
    index: tuple[int, ...] | None
    analytic: float | None
    numeric: float | None
    hints: dict[str, str]

    def __init__(
        self, message: str, parameter: str, index: tuple[int, ...] | None = None, analytic: float | None = None,
        numeric: float | None = None, hints: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.parameter, self.index, self.analytic, self.numeric = parameter, index, analytic, numeric
        self.hints = hints or {}


class NotDifferentiableError(Exception):
    """The loss has a kink here: its slopes differ on the two sides, so no gradient can be right or wrong.

    Not an `AssertionError`, since nothing is proven wrong. A Hypothesis test can set such an example aside:

        try:
            check_grad(loss, gradient, params)
        except NotDifferentiableError:
            assume(False)

    Attributes
    ----------
    parameter : str
    index : tuple of int, or None
        The entry of the parameter, or of what `kinks` returned, at which the kink lies.
    """

    parameter: str
    index: tuple[int, ...] | None

    def __init__(self, message: str, parameter: str, index: tuple[int, ...] | None = None) -> None:
        super().__init__(message)
        self.parameter, self.index = parameter, index


class UnresolvedWarning(UserWarning):
    """The gradient was not found wrong, but neither was it checked: rounding or jumps of the loss hide some slopes.

    The report of `check_grad` then has ``ok`` False, and the reason for each parameter. `warnings.filterwarnings` makes
    an error of it.
    """


class MetamorphicError(AssertionError):
    """A change of the problem did not have the effect on loss and gradient that it must have."""
