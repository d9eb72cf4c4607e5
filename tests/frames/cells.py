"""Code of the docs, run cell by cell as a notebook does; ``python -m tests.frames.cells`` writes its results there.

Without a Jupyter kernel: what the cells need is Python, what they show is printed or the value of their last line.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import sys
import warnings
from collections.abc import Callable
from typing import Any, Final

from tests.support import REPOSITORY

PANDAS: Final = REPOSITORY / "docs" / "pandas.md"
COOKBOOK: Final = REPOSITORY / "docs" / "cookbook.md"
NOTEBOOKS: Final = sorted((REPOSITORY / "docs" / "notebooks").glob("*.ipynb"))
_CELL: Final = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.DOTALL)


class Kernel:
    """Names that cells share."""

    def __init__(self) -> None:
        self._names: dict[str, Any] = {"__name__": "__main__"}

    def run(self, source: str) -> tuple[str, object]:
        """Runs a cell; returns what it printed and the value of its last expression, or None."""
        tree = ast.parse(source)
        last = tree.body[-1] if tree.body else None
        shown = ast.Expression(last.value) if isinstance(last, ast.Expr) else None
        if shown:
            tree.body.pop()
        with contextlib.redirect_stdout(io.StringIO()) as printed, warnings.catch_warnings():
            warnings.simplefilter("error")
            exec(compile(tree, "<cell>", "exec"), self._names)  # noqa: S102 -- code of our own docs
            value = eval(compile(shown, "<cell>", "eval"), self._names) if shown else None  # noqa: S307
        return printed.getvalue(), value


def with_results(page: str) -> str:
    """Returns the cookbook with the result of each of its blocks."""
    kernel = Kernel()

    def rerun(cell: re.Match[str]) -> str:
        printed, _ = kernel.run(cell[1])
        lines = "\n".join(line.rstrip() for line in printed.splitlines())
        return f"```python\n{cell[1]}```\n" + ("" if cell[2] is None else f"\n```text\n{lines}\n```\n")

    return _CELL.sub(rerun, page)


def with_outputs(notebook: str) -> str:
    """Returns a notebook (JSON, nbformat 4) with the outputs of its cells."""
    document, kernel, count = json.loads(notebook), Kernel(), 0
    for cell in document["cells"]:
        if cell["cell_type"] == "code":
            count += 1
            printed, value = kernel.run("".join(cell["source"]))
            cell["execution_count"] = count
            cell["outputs"] = [*_printed(printed), *_shown(value, count)]
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _printed(text: str) -> list[dict[str, Any]]:
    return [{"name": "stdout", "output_type": "stream", "text": text.splitlines(keepends=True)}] if text else []


def _shown(value: object, count: int) -> list[dict[str, Any]]:
    if value is None:
        return []
    data = {"text/plain": repr(value).splitlines(keepends=True)}
    to_html: Callable[[], str] | None = getattr(value, "_repr_html_", None)
    if to_html:
        data["text/html"] = to_html().splitlines(keepends=True)
    return [{"data": data, "execution_count": count, "metadata": {}, "output_type": "execute_result"}]


def main(home: str) -> None:
    """Writes results and outputs into the docs; for a home with the recorded month at its own dates."""
    os.environ["CAVRA_HOME"] = home
    for path, rerun in ((COOKBOOK, with_results), *((path, with_outputs) for path in NOTEBOOKS)):
        path.write_text(rerun(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
