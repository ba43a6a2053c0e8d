"""The explorer: a page on which models train, move under one's hand and show why, in any browser and in notebooks.

``explorer.html`` is one file, which loads nothing else. ``python -m minitms.explorer`` opens it. Its sources stand in
``source/``, numerics, drawing and panels apart; ``python -m minitms.explorer --build`` puts it together from them.
"""

from __future__ import annotations

import html
import webbrowser

from minitms import _checks
from minitms.explorer.build import PAGE


class Explorer:
    """The page, as `explorer` returns it: a notebook shows it; elsewhere, `open` does, in a browser."""

    def __init__(self, height: int):
        if not PAGE.is_file():
            raise FileNotFoundError(
                f"the page is missing; expected {PAGE}. Install minitms again, or build the page in a clone: "
                "python -m minitms.explorer --build"
            )
        self.height = height

    def __repr__(self) -> str:
        return f"Explorer({str(PAGE)!r}): a page for a browser, which .open() opens"

    def _repr_html_(self) -> str:
        page = html.escape(PAGE.read_text(encoding="utf-8"))
        return (
            f'<iframe srcdoc="{page}" title="minitms explorer" width="100%" height="{self.height}" '
            'style="border: 0"></iframe>'
        )

    def open(self) -> bool:
        """Open the page in the browser; False if there is none."""
        return webbrowser.open(PAGE.as_uri())


def explorer(height: int = 1000) -> Explorer:
    """Show the explorer in a notebook: train models, drag features, walk through phase diagrams and polytopes.

    The page computes in float64 what the package computes, from the same random numbers, and says in Python how to get
    the model on the screen.

    Parameters
    ----------
    height : int, at least 1
        Of the frame in a notebook, in pixels.

    Returns
    -------
    page : Explorer
        What Jupyter, VS Code and Colab show as the value of a cell. Elsewhere, ``page.open()`` opens a browser, as
        ``python -m minitms.explorer`` does.

    Raises
    ------
    ValueError, TypeError
        If the height is not a whole number of at least 1.
    FileNotFoundError
        If the page is not where it is installed.

    Examples
    --------
    >>> import minitms as tms
    >>> page = tms.explorer(height=800)  # in a notebook, end a cell with it
    >>> page.height
    800
    """
    return Explorer(_checks.integer("height", height, at_least=1))
