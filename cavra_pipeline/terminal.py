"""Where the command line prints: every text is escaped here, so that no caller can forget it.

Only this module uses rich. Rich's own markup is off; what has a style is made by ``shown`` and ``lines``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import click
from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from cavra_pipeline.documents import csv_value, pretty_json
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.escaping import visible, visible_json, visible_lines

#: A text with a style.
Styled = Text
MOST_ROWS: Final = 40
#: Rows that are printed one below another where a table of them is too wide.
_MOST_UPRIGHT: Final = 5
#: Cells of a table up to this width are never folded: an age such as `20 h 41 min ago`.
_STAYS_WHOLE: Final = 15
#: Those up to this one, such as an instant, get what room there is before sentences do.
_KEPT_FIRST: Final = 20


class Terminal:
    """Standard output or standard error."""

    def __init__(self, console: Console) -> None:
        """Prints on a console whose markup is off."""
        self._console = console
        self._has_parts = False

    @property
    def is_interactive(self) -> bool:
        """Whether a person sits before it, rather than a pipe."""
        return self._console.is_terminal

    def print(self, *what: str | RenderableType, style: str = "", soft_wrap: bool | None = None) -> None:
        """Prints texts, each escaped to one line, and tables."""
        escaped = [shown(one) if isinstance(one, str) else one for one in what]
        self._console.print(*escaped, style=style or None, soft_wrap=soft_wrap)

    def table(
        self, title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, most: int = MOST_ROWS
    ) -> None:
        """Prints rows under their columns, which stand in the order of what matters; what is left out is said."""
        drawn = Table(title=shown(title), box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False)
        every = list(rows)
        cells = [[_cell(value) for value in row] for row in every]
        texts = [[name, *(row[n].plain for row in cells)] for n, name in enumerate(columns)]
        widths = _widths(texts, self._console.width)
        for number, width in enumerate(widths):
            numeric = bool(every) and all(isinstance(row[number], int) for row in every)
            drawn.add_column(
                shown(columns[number]), justify="right" if numeric else "left", overflow="fold", width=width
            )
        for row in cells[:most]:
            drawn.add_row(*row[: len(widths)])
        self._separate()
        self._console.print(drawn)
        if len(every) > most:
            self._console.print(shown(f"... and {len(every) - most} more; --json lists all", "dim"))
        if left_out := ", ".join(columns[len(widths) :]):
            self._console.print(shown(f"not shown at this width: {left_out} (--json has all)", "dim"))

    def rows(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Prints rows of any number of columns: as a table where all fit, else the first of them one below another."""
        texts = [[name, *(_cell(row[n]).plain for row in rows)] for n, name in enumerate(columns)]
        if len(_widths(texts, self._console.width)) == len(columns):
            self.table(title, columns, rows)
            return
        for number, row in enumerate(rows[:_MOST_UPRIGHT], start=1):
            self.facts(f"{title}, row {number}", zip(columns, row, strict=True))
        if len(rows) > _MOST_UPRIGHT:
            more = f"... and {len(rows) - _MOST_UPRIGHT:,} more; name fewer columns, or --output csv for all"
            self._console.print(shown(more, "dim"))

    def facts(self, title: str, pairs: Iterable[tuple[str, Any]]) -> None:
        """Prints what is known of one thing, a line each."""
        drawn = Table(
            title=shown(title), box=None, show_header=False, title_justify="left", title_style="bold", pad_edge=False
        )
        drawn.add_column(style="dim")
        drawn.add_column(overflow="fold")
        for name, value in pairs:
            drawn.add_row(shown(name), _cell(value))
        self._separate()
        self._console.print(drawn)

    def _separate(self) -> None:
        """Begins a part of an answer: a line above each but the first."""
        if self._has_parts:
            self._console.print()
        self._has_parts = True

    def failure(self, word: str, failure: PipelineError) -> None:
        """Prints a failure behind a red word; the message's own line ends stay."""
        self._console.print(shown(word, "red"), lines(*str(failure).split("\n")))

    @contextmanager
    def bytes_progress(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """Yields what to call with bytes done; a bar shows them at a terminal only."""
        with self._progress(what, DownloadColumn(), TransferSpeedColumn(), TimeElapsedColumn()) as progress:
            task = progress.add_task(what, total=total or None)
            yield lambda done: progress.advance(task, done)

    @contextmanager
    def step_progress(self, what: str, total: int) -> Iterator[Callable[[str], None]]:
        """Yields what to call with the name of each step that is done."""
        newest = TextColumn("{task.description}", markup=False)
        with self._progress(what, MofNCompleteColumn(), TimeElapsedColumn(), newest) as progress:
            task = progress.add_task("", total=total or None)
            yield lambda done: progress.update(task, advance=1, description=visible(done))

    def _progress(self, what: str, *columns: ProgressColumn) -> Progress:
        every = (TextColumn(visible(what), markup=False), BarColumn(), *columns)
        return Progress(*every, console=self._console, disable=not self.is_interactive, transient=True)


def standard_output() -> Terminal:
    """Returns standard output, for answers."""
    return Terminal(Console(highlight=False, markup=False, emoji=False))


def standard_error() -> Terminal:
    """Returns standard error, for everything else."""
    return Terminal(Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True))


def print_json(document: Any) -> None:
    """Writes one JSON document to standard output; unseen characters are JSON escapes."""
    click.echo(pretty_json(document))


def print_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> None:
    """Writes rows to standard output as CSV, under the columns and the names of all other members."""
    names = list(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if names:
        writer.writerow(names)
    writer.writerows([csv_value(row.get(name)) for name in names] for row in rows)
    click.echo(text.getvalue(), nl=False)


def print_problem(document: Mapping[str, Any]) -> None:
    """Writes one JSON document to standard error: what ended a command."""
    click.echo(pretty_json(document), err=True)


def print_json_line(line: str) -> None:
    """Writes one line of JSON to standard output; unseen characters are JSON escapes."""
    click.echo(visible_json(line))


def print_document(text: str) -> None:
    """Writes a text of several lines, such as a report, to standard output."""
    click.echo(visible_lines(text))


def shown(text: object, style: str = "") -> Text:
    """Returns a text on one line, escaped, in a style."""
    return Text(visible(text), style=style)


def lines(*parts: str | Text) -> Text:
    """Returns texts below each other, each escaped; what is empty is left out."""
    return Text("\n").join(part if isinstance(part, Text) else shown(part) for part in parts if part)


def beside(*parts: str | Text) -> Text:
    """Returns texts beside each other, each escaped."""
    return Text(" ").join(part if isinstance(part, Text) else shown(part) for part in parts)


def _widths(texts: Sequence[Sequence[str]], console: int) -> list[int]:
    """Returns how wide the columns are drawn that there is room for, from the left; no id is broken."""
    widest = [max(map(cell_len, column)) for column in texts]
    widths = [max(map(_least_width, column)) for column in texts]
    while len(widths) > 1 and (over := sum(widths) - _room(len(widths), console)) > 0:
        least = widths.pop() - over
        # A table says nothing without its second column: there a long path in a sentence is broken.
        if len(widths) == 1 and least >= _STAYS_WHOLE and _are_sentences(texts[1], wider_than=least):
            widths.append(least)
    room = min(_room(len(widths), console), sum(widest[: len(widths)]))
    for size in sorted({size for size in widest if size <= _KEPT_FIRST}):
        folded = [n for n, width in enumerate(widths) if widest[n] == size > width]
        if sum(size - widths[n] for n in folded) <= room - sum(widths):
            widths = [max(width, size) if n in folded else width for n, width in enumerate(widths)]
    for _ in range(room - sum(widths)):
        most_folded = max(range(len(widths)), key=lambda n: widest[n] / widths[n])
        widths[most_folded] += 1
    return widths


def _least_width(text: str) -> int:
    """Returns how narrow a text may be drawn: a short one, such as an age, stays on one line, another one folds."""
    width = cell_len(text)
    return max(1, width if width <= _STAYS_WHOLE else max((cell_len(word) for word in text.split()), default=1))


def _are_sentences(texts: Sequence[str], *, wider_than: int) -> bool:
    return all(" " in text for text in texts if _least_width(text) > wider_than)


def _room(count: int, console: int) -> int:
    """What the lines between so many columns leave."""
    return console - 3 * count + 1


def _cell(value: object) -> Text:
    if isinstance(value, Text):
        return value
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return shown("-" if value is None else f"{value:,}" if is_number else value)
