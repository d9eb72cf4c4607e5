"""How tables fold at a narrow terminal."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cavra_pipeline.terminal import Terminal

COLUMNS = ("plan_id", "provider", "first tried (UTC)", "exhausted", "never tried")
ROW = ("gordackrecoveryesc-819933f531f54223", "servicenow", "2026-11-28 08:00", "2026-11-28 08:00", "acknowledgement")


def drawn(width: int, *rows: tuple[object, ...]) -> list[str]:
    out = io.StringIO()
    Terminal(Console(file=out, width=width, highlight=False, markup=False)).table("Deliveries", COLUMNS, rows)
    return out.getvalue().splitlines()


def test_a_table_that_fits_keeps_each_row_on_one_line() -> None:
    wide = drawn(120, ROW)

    assert [line.split() for line in wide if "servicenow" in line] == [" ".join(ROW).split()]
    assert len(drawn(120, ROW, ROW)) == len(wide) + 1


def test_a_table_that_does_not_fit_breaks_ids_but_no_word_and_no_date() -> None:
    lines = drawn(80, ROW)
    words = " ".join(lines).split()

    assert max(map(len, lines)) <= 80
    assert words.count("2026-11-28") == words.count("08:00") == 2
    assert {"acknowledgement", "servicenow", "provider", "exhausted"} <= set(words)
    assert ROW[0] not in words


@given(width=st.integers(40, 200), texts=st.lists(st.text("ab -", max_size=60), min_size=5, max_size=5))
def test_a_table_loses_no_letter_at_any_width(width: int, texts: list[str]) -> None:
    lines = drawn(width, tuple(texts))
    body = "".join(lines[next(n for n, line in enumerate(lines) if "──" in line) + 1 :])

    assert max(map(len, lines)) <= width
    assert sorted(body.replace(" ", "")) == sorted("".join(texts).replace(" ", ""))
