"""Make the notebooks of the course from their sources: ``python tutorials/build.py [--work] [NN ...]``.

``NN_slug.py``, a script in percent format, is the source; ``NN_slug.ipynb`` is its executed reading copy, and the table
of running times in ``README.md`` is measured by a run over all of them. Nothing in a notebook depends on the machine's
paths or the date, so a second run without a change leaves the repository as it is. Needs the extra ``tutorials``.

With ``--work`` it writes ``NN_slug_work.ipynb`` in place of these, copies to work in: without output, so that one can
predict before one sees. Git ignores them.

A cell of a source that is tagged "check" holds what the text says to its numbers. The tests run it where it stands; a
notebook has none of them.
"""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
CHECK = {"tags": ["check"]}
COMMAND = "python tutorials/build.py"
TIMES = re.compile(r"(?<=<!-- running times -->\n).*?(?=<!-- end -->)", re.DOTALL)


def sources() -> list[Path]:
    """The tutorials in their order."""
    return sorted(HERE.glob("[0-9][0-9]*_*.py"))


def number(source: Path) -> str:
    """The number of a tutorial, such as 04 or 04b."""
    return source.stem.partition("_")[0]


def notebook(source: Path, checks: bool = False) -> nbformat.NotebookNode:
    """The notebook of a source, not executed, with or without the cells that check, and metadata that never change."""
    book = jupytext.read(source, fmt="py:percent")
    book.cells = [cell for cell in book.cells if checks or not is_check(cell)]
    book.metadata = nbformat.from_dict({
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python", "file_extension": ".py"},
    })
    for place, cell in enumerate(book.cells):
        cell.id = f"cell-{place}"
        cell.metadata = nbformat.from_dict(CHECK if is_check(cell) else {})
    book.nbformat, book.nbformat_minor = 4, 5
    return book


def is_check(cell) -> bool:
    """Whether the tests alone run this cell."""
    return cell.metadata.get("tags") == CHECK["tags"]


def execute(book: nbformat.NotebookNode, source: Path, extra: str = "") -> list:
    """Run the notebook in place, as if opened beside its source; then run `extra` and return its outputs."""
    client = NotebookClient(book, timeout=300, kernel_name="python3", record_timing=False,
                            resources={"metadata": {"path": str(source.parent)}})
    # Progress bars write to stderr; and a test that draws without a screen must not take the pictures away.
    env = os.environ | {"TQDM_DISABLE": "1", "MPLBACKEND": "module://matplotlib_inline.backend_inline",
                        "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))}
    with client.setup_kernel(env=env):
        for index, cell in enumerate(book.cells):
            client.execute_cell(cell, index)
        if not extra:
            return []
        cell = nbformat.v4.new_code_cell(extra)
        book.cells.append(cell)
        try:
            client.execute_cell(cell, len(book.cells) - 1)
        finally:
            book.cells.pop()
        return cell.outputs


def tidy(book: nbformat.NotebookNode) -> None:
    """Drop what the kernel adds of its own, and join what arrived in pieces."""
    book.metadata.language_info = nbformat.from_dict({"name": "python", "file_extension": ".py"})
    for cell in book.cells:
        cell.metadata = nbformat.from_dict({})
        joined = []
        for output in cell.get("outputs", []):
            if joined and output.output_type == "stream" == joined[-1].output_type and output.name == joined[-1].name:
                joined[-1].text += output.text
            else:
                joined.append(output)
        if cell.cell_type == "code":
            cell.outputs = joined


def rounded_up(seconds: float) -> int:
    """To the next 5 s, so that a second run seldom prints another number."""
    return int(-(-seconds // 5) * 5)


def main(wanted: list[str]) -> None:
    """Build the tutorials whose number is wanted, or all."""
    times, to_work = [], "--work" in wanted
    wanted = [word for word in wanted if word != "--work"]
    for source in sources():
        if wanted and number(source) not in wanted:
            continue
        book = notebook(source)
        if to_work:
            nbformat.write(book, source.with_name(f"{source.stem}_work.ipynb"))
            continue
        start = time.perf_counter()
        execute(book, source)
        times.append((source, time.perf_counter() - start))
        tidy(book)
        nbformat.write(book, source.with_suffix(".ipynb"))
        print(f"{source.with_suffix('.ipynb').name}: {times[-1][1]:.1f} s")
    if not wanted and not to_work:
        rows = [f"| [{source.stem}]({source.stem}.ipynb) | {rounded_up(seconds)} s |" for source, seconds in times]
        table = "\n".join(["| Tutorial | runs in less than |", "| --- | --- |", *rows]) + "\n"
        readme = HERE / "README.md"
        readme.write_text(TIMES.sub(lambda _: table, readme.read_text()))


if __name__ == "__main__":
    main(sys.argv[1:])
