"""What of a table a narrow terminal shows."""

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
    assert not any("not shown" in line for line in wide)


def test_a_table_that_does_not_fit_folds_between_words_and_leaves_out_the_last_columns() -> None:
    lines = drawn(80, ROW)
    words = " ".join(lines).split()

    assert max(map(len, lines)) <= 80
    assert words.count("2026-11-28") == words.count("08:00") == 2
    assert {ROW[0], "servicenow", "provider", "exhausted"} <= set(words)
    assert "acknowledgement" not in words
    assert lines[-1].startswith("not shown at this width: never tried")
    assert "acknowledgement" in " ".join(drawn(95, ROW)).split()


@given(width=st.integers(70, 200), texts=st.lists(st.text("ab -", max_size=60), min_size=5, max_size=5))
def test_a_table_breaks_no_word_of_the_columns_that_it_shows(width: int, texts: list[str]) -> None:
    lines = drawn(width, tuple(texts))
    words = set(" ".join(lines).split())
    left_out = next((line for line in lines if line.startswith("not shown ")), "")
    shown = texts[: len(COLUMNS) - (left_out.count(",") + 1 if left_out else 0)]

    table = lines[: lines.index(left_out)] if left_out else lines
    assert max(map(len, table)) <= max(width, max(map(len, " ".join(shown).split()), default=0) + 2)
    assert {word for text in shown for word in text.split()} <= words


def test_a_path_too_long_is_broken_in_the_second_column_and_an_id_is_not() -> None:
    def of(text: str) -> list[str]:
        out = io.StringIO()
        console = Console(file=out, width=60, highlight=False, markup=False)
        Terminal(console).table("Connectors to fix", ("connector", "fault"), [("slack", text)])
        return out.getvalue().splitlines()

    path = "/a" * 40
    lines = of(f"{path}: it is not valid YAML")
    assert (path in "".join(line.split("slack")[-1].strip() for line in lines), max(map(len, lines)) <= 60) == (
        True,
        True,
    )
    assert not any("not shown" in line for line in lines)
    assert of(path)[-1] == "not shown at this width: fault (--json has all)"
