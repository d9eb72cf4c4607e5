"""Tables as Markdown for Dagster's metadata."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

MOST_ROWS: Final = 50


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[object]], nothing: str) -> str:
    """Lays rows out as a Markdown table; what is cut off is said, and no rows are said in words."""
    if not rows:
        return nothing
    lines = [
        _line(["-" if cell is None else str(cell).replace("|", "\\|") for cell in row]) for row in rows[:MOST_ROWS]
    ]
    more = [f"\n... and {len(rows) - MOST_ROWS} more"] if len(rows) > MOST_ROWS else []
    return "\n".join([_line(columns), _line(["---"] * len(columns)), *lines, *more])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
