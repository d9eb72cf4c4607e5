"""Output of the command line: every text is escaped here, so that no caller can forget it.

Only this module uses rich. Rich's own markup is off; what has a style is made by ``shown`` and ``lines``.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Number
from typing import Any, Final

import click
from rich import box
from rich.cells import cell_len
from rich.console import Console, JustifyMethod, RenderableType
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

from cavra_pipeline.documents import pretty_json, write_csv
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.escaping import visible, visible_json, visible_lines

#: A text with a style.
Styled = Text
MOST_ROWS: Final = 40
#: Rows that are printed one below another where a table of them is too wide.
_MOST_UPRIGHT: Final = 5
#: A column of sentences is not folded to less than this.
_FOLDED: Final = 15
#: Lines that a folded cell of a row may take.
_MOST_LINES: Final = 3
#: What stands between two columns of a table.
_GAP: Final = 2
_NEXT: Final = "next: "
_OURS: Final = "cavra-pipeline "


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
        escaped = [shown(part) if isinstance(part, str) else part for part in what]
        self._has_parts = True
        if len(escaped) == 1 and isinstance(escaped[0], Text) and not (soft_wrap or self._console.soft_wrap):
            # Wrapped here, as rich leaves the blank at the end of a line that it breaks.
            for line in escaped[0].wrap(self._console, self._console.width):
                line.rstrip()
                self._console.print(line, style=style or None, soft_wrap=True)
            return
        self._console.print(*escaped, style=style or None, soft_wrap=soft_wrap)

    def table(
        self,
        title: str,
        columns: Sequence[str],
        rows: Iterable[Sequence[Any]],
        *,
        most: int = MOST_ROWS,
        is_last_folded: bool = False,
        whole: str = "--json",
        widths: Sequence[int] = (),
    ) -> None:
        """Prints rows under their columns, which stand in the order of what matters; what is left out is said.

        Args:
            title: The title.
            columns: Their names.
            rows: A cell for each column; a cell stays on one line.
            most: Rows printed at most.
            is_last_folded: Whether the last column has sentences, which are folded before the column is left out.
            whole: The option with which the command prints every row and column.
            widths: How wide the columns are, whose cells are folded then; as wide as they need to be if not given.
        """
        drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
        every = list(rows)
        cells = [[_cell(value) for value in row] for row in every]
        texts = [[name, *(row[n].plain for row in cells)] for n, name in enumerate(columns)]
        widths = widths or _widths(texts, self._console.width, is_last_folded=is_last_folded)
        for number, width in enumerate(widths):
            justify: JustifyMethod = "right" if _are_numbers(row[number] for row in every) else "left"
            drawn.add_column(shown(columns[number]), justify=justify, overflow="fold", width=width)
        for row in cells[:most]:
            drawn.add_row(*row[: len(widths)])
        self._head(title)
        self._draw(drawn)
        if len(every) > most:
            self._console.print(shown(f"... and {len(every) - most:,} more; {whole} lists all", "dim"))
        if left_out := ", ".join(columns[len(widths) :]):
            self._console.print(shown(f"not shown at this width: {left_out} ({whole} has all)", "dim"))

    def has_room(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> bool:
        """Returns whether a table of these columns and rows is drawn whole."""
        every = [columns, *rows]
        widths = [max(cell_len(_cell(row[number]).plain) for row in every) for number in range(len(columns))]
        return sum(widths) + _GAP * (len(columns) - 1) <= self._console.width

    def rows(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Prints rows of any number of columns: as a table where all fit or fold, else one below another."""
        texts = [[name, *(_cell(row[n]).plain for row in rows)] for n, name in enumerate(columns)]
        if not rows:
            self.facts(title, [("columns", ", ".join(columns))])
            return
        if widths := _folded_widths(texts, self._console.width):
            self.table(title, columns, rows, widths=widths)
            return
        for number, row in enumerate(rows[:_MOST_UPRIGHT], start=1):
            pairs = zip(columns, row, strict=True)
            self.facts(f"{title}, row {number}", [(name, value) for name, value in pairs if value is not None])
        self._console.print(shown("columns without a value are not shown", "dim"))
        if len(rows) > _MOST_UPRIGHT:
            more = f"... and {len(rows) - _MOST_UPRIGHT:,} more; name fewer columns, or --output csv for all"
            self._console.print(shown(more, "dim"))

    def facts(self, title: str, rows: Iterable[Sequence[Any]]) -> None:
        """Prints a line for each thing that is known: its name, and what it is; the last of each may be a sentence."""
        cells = [[_cell(value) for value in row] for row in rows]
        drawn = Table(box=None, show_header=False, pad_edge=False, collapse_padding=True, padding=(0, _GAP, 0, 0))
        for number in range(max(map(len, cells), default=0)):
            drawn.add_column(style="" if number else "dim", overflow="fold", no_wrap=number + 1 < len(cells[0]))
        for row in cells:
            drawn.add_row(*row)
        if title:
            self._head(title)
        if cells:
            self._draw(drawn)

    def next(self, *steps: str) -> None:
        """Prints what to do next, a line each; a command that is too long is folded as a shell reads it."""
        self.part()
        for number, step in enumerate(steps):
            before = " " * len(_NEXT) if number else _NEXT
            folded = self.folded(step, len(_NEXT))
            self._console.print(
                Text(f"\n{' ' * len(_NEXT)}".join([f"{before}{folded[0]}", *folded[1:]])), soft_wrap=True
            )

    def folded(self, step: str, beside: int) -> list[str]:
        """Returns the lines of a step beside so many columns; those of a command as a shell reads them."""
        step = visible(step)
        if cell_len(step) <= self._console.width - beside:
            return [step]
        is_command = step.startswith(_OURS)
        # A command's further lines are indented, and each but the last ends with a blank and a backslash.
        room = self._console.width - beside - (2 * _GAP if is_command else 0)
        folded_lines = textwrap.wrap(step, max(room, _FOLDED), break_long_words=False, break_on_hyphens=False)
        return (" \\\n  ".join(folded_lines)).split("\n") if is_command else folded_lines

    def _draw(self, drawn: Table) -> None:
        """Prints a table without the blanks at the ends of its lines, which a pipe would carry on."""
        for line in self._console.render_lines(drawn, pad=False):
            text = Text.assemble(*((part.text, part.style or "") for part in line))
            text.rstrip()
            self._console.print(text, soft_wrap=True)

    def _head(self, title: str) -> None:
        self.part()
        self._console.print(shown(title, "bold"))

    def part(self) -> None:
        """Begins a part of an answer: a line above each but the first."""
        if self._has_parts:
            self._console.print()
        self._has_parts = True

    def failure(self, word: str, failure: PipelineError) -> None:
        """Prints a failure behind a red word: its place and its rule, and below them what to do."""
        rule, remedy = f"{visible(failure.where)}: {failure.what}", str(failure.remedy)
        self._console.print(shown(word, "red"), lines(*self._filled(rule, len(word) + 1)))
        for line in self._filled(remedy):
            self._console.print(Text(" " * _GAP), shown(line), sep="")

    def _filled(self, text: str, beside: int = 0) -> list[str]:
        """Returns the lines of a text, as there is room beside so many columns; its own line ends stay.

        A pipe has room for any line.
        """
        text_lines = text.split("\n")
        if not self.is_interactive:
            return text_lines
        room = self._console.width - max(beside, _GAP)
        fill = textwrap.TextWrapper(room, break_long_words=False, break_on_hyphens=False)
        return [line for text_line in text_lines for line in fill.wrap(text_line) or [""]]

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
    if names:
        write_csv(text, names, (map(row.get, names) for row in rows))
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


def _widths(texts: Sequence[Sequence[str]], console: int, *, is_last_folded: bool = False) -> list[int]:
    """Returns how wide the columns are drawn that there is room for, from the left.

    Only the last column may be folded, and the second: a table says nothing without it.
    """
    widths = [max(cell_len(line) for text in column for line in text.split("\n")) for column in texts]
    while len(widths) > 1 and (over := sum(widths) + _GAP * (len(widths) - 1) - console) > 0:
        room = widths.pop() - over
        if room >= _FOLDED and (len(widths) == 1 or (is_last_folded and len(widths) == len(texts) - 1)):
            return [*widths, room]
    return widths


def _folded_widths(texts: Sequence[Sequence[str]], console: int) -> list[int]:
    """Returns how wide all columns are drawn if the widest are folded; none if a cell would take too many lines.

    Words are not broken: what is no sentence may be an id.
    """
    most = [max(cell_len(text) for text in column) for column in texts]
    least = [max((cell_len(word) for text in column for word in text.split()), default=0) for column in texts]
    widths = list(most)
    for _ in range(sum(widths) + _GAP * (len(widths) - 1) - console):
        wide = [number for number, width in enumerate(widths) if width > least[number]]
        if not wide:
            return []
        widths[max(wide, key=widths.__getitem__)] -= 1
    fits = all(
        width >= min(full_width, _FOLDED) and full_width <= width * _MOST_LINES
        for full_width, width in zip(most, widths, strict=True)
    )
    return widths if fits else []


def _are_numbers(values: Iterable[object]) -> bool:
    present_values = [value for value in values if value is not None]
    return bool(present_values) and all(
        isinstance(value, Number) and not isinstance(value, bool) for value in present_values
    )


def _cell(value: object) -> Text:
    if isinstance(value, Text):
        return value
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return shown("-" if value is None else f"{value:,}" if is_number else value)
