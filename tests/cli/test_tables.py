"""What of a table a narrow terminal shows."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cavra_pipeline.terminal import Terminal

COLUMNS = ("plan_id", "provider", "first tried (UTC)", "exhausted", "never tried")
ROW = ("gordackrecoveryesc-819933f531f54223", "servicenow", "2026-11-28 08:00", "2026-11-28 08:00", "acknowledgement")


def drawn(width: int, *rows: tuple[object, ...], is_last_folded: bool = False) -> list[str]:
    out = io.StringIO()
    console = Terminal(Console(file=out, width=width, highlight=False, markup=False))
    console.table("Deliveries", COLUMNS[: len(rows[0])], rows, is_last_folded=is_last_folded)
    return out.getvalue().splitlines()


def test_a_table_that_fits_keeps_each_row_on_one_line() -> None:
    wide = drawn(120, ROW)

    assert [line.split() for line in wide if "servicenow" in line] == [" ".join(ROW).split()]
    assert len(drawn(120, ROW, ROW)) == len(wide) + 1 == 5
    assert not any("not shown" in line for line in wide)


def test_no_line_of_a_table_or_of_facts_ends_with_a_blank() -> None:
    out = io.StringIO()
    Terminal(Console(file=out, width=60, highlight=False, markup=False)).facts("Facts", [("a", "b"), ("cc", "d" * 70)])
    every = [*drawn(120, ROW, ("a", "b", "c", "d", "")), *out.getvalue().splitlines()]

    assert [line for line in every if line != line.rstrip()] == []
    assert "d" * 70 in "".join(line.strip().removeprefix("cc").strip() for line in every)


def test_a_wrapped_sentence_ends_no_line_with_a_blank_and_loses_no_word() -> None:
    out = io.StringIO()
    sentence = "a sentence of a few words that is wrapped more than once at this width"
    Terminal(Console(file=out, width=20, highlight=False, markup=False)).print(sentence)
    written = out.getvalue().splitlines()

    assert len(written) > 3
    assert [line for line in written if line != line.rstrip() or len(line) > 20] == []
    assert " ".join(written) == sentence


def test_no_line_of_a_folded_command_is_wider_than_the_terminal() -> None:
    for width in range(40, 90):
        out = io.StringIO()
        words = "cavra-pipeline ack --lane recovery_escalation --provider slack --state acknowledged --by LABEL"
        Terminal(Console(file=out, width=width, highlight=False, markup=False)).next(words)
        written = out.getvalue().splitlines()
        assert max(map(len, written)) <= width
        assert " ".join(out.getvalue().replace("\\\n", " ").split()) == f"next: {words}"


def test_a_table_that_does_not_fit_leaves_out_the_last_columns_and_folds_no_cell() -> None:
    lines = drawn(90, ROW)

    assert max(map(len, lines)) <= 90
    assert [line.split() for line in lines if "servicenow" in line] == [" ".join(ROW[:4]).split()]
    assert len(lines) == 5
    assert lines[-1].startswith("not shown at this width: never tried")
    assert drawn(80, ROW)[-1].startswith("not shown at this width: exhausted, never tried")


@given(width=st.integers(70, 200), texts=st.lists(st.text("ab -", max_size=60), min_size=5, max_size=5))
def test_a_table_shows_each_cell_whole_or_names_its_column_as_left_out(width: int, texts: list[str]) -> None:
    lines = drawn(width, tuple(texts))
    left_out = next((line for line in lines if line.startswith("not shown ")), "")
    shown = texts[: len(COLUMNS) - (left_out.count(",") + 1 if left_out else 0)]

    assert max(map(len, lines[: lines.index(left_out)] if left_out else lines)) <= width
    assert all(text.strip() in lines[3] for text in shown)


def test_sentences_of_a_last_column_are_folded_and_nothing_else_is() -> None:
    path = "/a" * 40
    lines = drawn(60, ("slack", f"{path}: it is not valid YAML"), is_last_folded=True)

    assert path in "".join(line.split("slack")[-1].strip() for line in lines)
    assert max(map(len, lines)) <= 60
    assert not any("not shown" in line for line in lines)
    assert path in "".join(line.split("slack")[-1].strip() for line in drawn(60, ("slack", path, path)))
    assert drawn(60, ("slack", "jira", path))[-1] == "not shown at this width: first tried (UTC) (--json has all)"


@pytest.mark.parametrize(
    ("values", "is_right"),
    [
        ((1, 20), True),
        ((1, None), True),
        ((1.5, 20), True),
        ((True, False), False),
        (("1", 20), False),
        ((None,), False),
    ],
)
def test_numbers_stand_to_the_right_and_nothing_else_does(values: tuple[object, ...], is_right: bool) -> None:
    rows = [("id", value, "x") for value in values]

    assert drawn(80, *rows)[3].endswith(f"{' ' * 4}x") is not is_right


def test_the_next_command_is_folded_as_a_shell_reads_it_and_a_sentence_is_not() -> None:
    out = io.StringIO()
    console = Terminal(Console(file=out, width=40, highlight=False, markup=False))
    console.next("Renew the credential, then try one retry", "cavra-pipeline worker --lane executive_report --probe")

    assert out.getvalue().splitlines() == [
        "next: Renew the credential, then try one",
        "      retry",
        "      cavra-pipeline worker --lane \\",
        "        executive_report --probe",
    ]


def test_rows_that_do_not_fit_are_folded_in_a_table_and_long_ones_stand_below_each_other() -> None:
    def of_query(*rows: tuple[object, ...]) -> list[str]:
        out = io.StringIO()
        Terminal(Console(file=out, width=80, highlight=False, markup=False)).rows("Rows", COLUMNS[:4], rows)
        return out.getvalue().splitlines()

    row = ("escalation-plan-7", "x" * 14 + " " + "x" * 15, *ROW[2:4])
    folded = of_query(row, row)
    # An id is not broken: it could not be copied.
    assert any(line.startswith("provider") for line in of_query((ROW[0], "x" * 30, *ROW[2:4])))

    assert max(map(len, folded)) <= 80
    assert [line.split() for line in folded if "plan_id" in line] == [
        ["plan_id", "provider", "first", "tried", "(UTC)", "exhausted"]
    ]
    assert not any("row 1" in line for line in folded)
    assert of_query((*ROW[:3], "x" * 300))[0] == "Rows, row 1"
