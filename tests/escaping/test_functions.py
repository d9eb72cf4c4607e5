"""Each function for a medium: any text comes out as text, nothing of it is lost, and applying it twice is safe."""

from __future__ import annotations

import csv
import io
import json
import logging
import re
import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from cavra_pipeline.escaping import (
    LineFormatter,
    csv_cell,
    datadog,
    html,
    markdown,
    servicenow,
    slack,
    visible,
    visible_json,
    visible_lines,
)
from tests.escaping.hostile import fault_values, values

HOSTILE = [*values(34), *fault_values("markdown.jsonl"), *fault_values("terminal.jsonl")]
#: Any text, and texts made of what markup is made of.
TEXTS = st.text() | st.text(alphabet="[]()!<>&*_`~|#-+=:/\\. \n\t\r@%'\"1ahtpsw\x1b\x9b\u202e\u200b")
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
#: What GitHub's extension finds in a text after its escapes are gone (remark: mdast-util-gfm-autolink-literal).
AUTOLINK = re.compile(r"(?:https?://|www(?=\.))[-.\w]+|[-.\w+]+@[-\w]+(?:\.[-\w]+)+", re.IGNORECASE | re.ASCII)
FULL_WIDTH = str.maketrans("：．＠％［", ":.@%[")  # noqa: RUF001


@given(TEXTS)
def test_visible_is_one_printable_line_and_stable(text: str) -> None:
    shown = visible(text)

    assert shown.isprintable()
    assert visible(shown) == shown
    assert not [c for c in shown if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}]
    assert visible_lines(text).replace("\n", "\\n") == shown


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S"]), max_size=40))
def test_visible_leaves_letters_numbers_and_signs_alone(text: str) -> None:
    assert visible(text) == text or re.search("[\u115f\u1160\u2800\u3164\uffa0]", text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("\x7f", r"\x7f"),
        ("a\rb\nc\td", r"a\rb\nc\td"),
        ("x\u202ey", r"x\u202ey"),
        ("x\u2066\u200b\u2060\ufeff", r"x\u2066\u200b\u2060\ufeff"),
        ("x\u2028\u2029", r"x\u2028\u2029"),
        ("x\u00a0\u3000y", r"x\xa0\u3000y"),
        ("x\u3164\u034f\ufe0f", r"x\u3164\u034f\ufe0f"),
        ("x\U000e0041\U000e0100", r"x\U000e0041\U000e0100"),
        ("x\udc80", r"x\udc80"),
        ("Zürich 東京 plan-7 ✓", "Zürich 東京 plan-7 ✓"),
        (r"C:\x1b", r"C:\x1b"),
        (17, "17"),
    ],
)
def test_visible_writes_what_steers_or_hides_as_its_escape(text: object, shown: str) -> None:
    assert visible(text) == shown


@given(st.recursive(TEXTS | st.integers() | st.none(), lambda one: st.lists(one) | st.dictionaries(TEXTS, one)))
def test_visible_json_is_the_same_document_in_printable_lines(document: object) -> None:
    for indent in (None, 2):
        text = visible_json(json.dumps(document, ensure_ascii=False, indent=indent))

        assert json.loads(text) == document
        assert all(line.isprintable() for line in text.split("\n"))
        assert visible_json(text) == text


class _Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


@given(TEXTS)
def test_html_is_the_text_inside_an_element_and_inside_an_attribute(text: str) -> None:
    page = _Tags(f'<p title="{html(text)}">{html(text)}</p>')

    assert page.tags == [("p", [("title", visible(text))])]
    assert page.text == visible(text)
    assert html(html(text)) == html(text)


def test_html_leaves_markup_of_ours_alone() -> None:
    assert html(Markup("<b>1</b>")) == "<b>1</b>"
    assert html(None) == "None"
    assert html(5) == "5"


def every_token(tokens: list[Token]) -> list[Token]:
    return [found for token in tokens for found in [token, *every_token(token.children or [])]]


def kinds_and_text(source: str) -> tuple[set[str], str]:
    tokens = every_token(MARKDOWN.parse(source))
    return {token.type for token in tokens}, "".join(t.content for t in tokens if t.type == "text")


@given(TEXTS)
@example("- a")
@example("1. a")
@example("    a")
@example("===")
@example("a\\")
def test_markdown_is_one_paragraph_of_the_text(text: str) -> None:
    kinds, shown = kinds_and_text(markdown(text))

    assert kinds <= {"paragraph_open", "inline", "text", "paragraph_close"}
    assert shown.translate(FULL_WIDTH).strip() == visible(text).translate(FULL_WIDTH).strip()
    assert not AUTOLINK.search(shown)


@given(TEXTS)
def test_markdown_stays_in_its_cell_in_its_item_and_in_its_sentence(text: str) -> None:
    escaped = markdown(text)
    plain = {"paragraph_open", "inline", "text", "paragraph_close"}
    cells, shown = kinds_and_text(f"| a | b |\n| --- | --- |\n| {escaped} | x |\n")

    assert {kind for kind in cells if not kind.startswith(("table", "thead", "tbody", "tr", "th", "td"))} <= plain
    assert shown.endswith("x")
    assert kinds_and_text(f"- x {escaped}\n- **y**: {escaped} z")[0] <= plain | {
        "bullet_list_open", "list_item_open", "list_item_close", "bullet_list_close", "strong_open", "strong_close",
    }  # fmt: skip
    assert kinds_and_text(f"First {escaped}, then {escaped}.")[0] <= plain


def test_markdown_keeps_words_as_they_are() -> None:
    assert markdown("plan-1: 4-hour limit (401).") == "plan-1: 4-hour limit (401)."
    assert markdown("a|b\n<b> *c* [e](f)") == r"a\|b\\n&lt;b&gt; \*c\* \[e\]\(f)"
    assert markdown("http://f www.g h@i") == "http：//f www．g h＠i"  # noqa: RUF001


@given(TEXTS | st.integers() | st.none() | st.lists(st.integers(0, 999)) | st.booleans())
def test_a_csv_cell_is_one_cell_and_begins_no_formula(value: object) -> None:
    table = io.StringIO()
    csv.writer(table, quoting=csv.QUOTE_NONNUMERIC).writerow([csv_cell(value), "end"])
    (row,) = csv.reader(io.StringIO(table.getvalue()))
    first = row[0].strip()[:1]

    assert row[1:] == ["end"]
    assert len(table.getvalue().splitlines()) == 1
    assert first not in set("=+-@＝＋－＠\t\r") or isinstance(value, int)  # noqa: RUF001
    if isinstance(value, str):
        assert row[0] in (visible(value), f"'{visible(value)}")


@pytest.mark.parametrize("blank", ["", " ", "   ", "\u3000", "\u00a0", "\t", "\r", "\n", "\r\n", "\u200b", "\ufeff"])
@pytest.mark.parametrize("sign", "=+-@＝＋－＠")  # noqa: RUF001
def test_a_formula_of_any_form_is_marked_as_text(blank: str, sign: str) -> None:
    assert str(csv_cell(f"{blank}{sign}HYPERLINK(1)"))[0] in "'\\"
    assert csv_cell(f"plan{blank}{sign}1") == visible(f"plan{blank}{sign}1")
    assert csv_cell(-5) == -5


@given(TEXTS)
def test_slack_gets_no_mention_no_link_and_no_address(text: str) -> None:
    escaped = slack(text)

    assert not re.search(r"[<>@]|&(?!(?:amp|lt|gt);)|://", escaped)
    back = escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert back.translate(FULL_WIDTH) == visible(text).translate(FULL_WIDTH)


@given(TEXTS)
@example("%%%%%%%")
@example("%%%\n[a](http://b)\n%%%")
def test_datadog_gets_no_markdown_block_and_nobody_to_notify(text: str) -> None:
    assert not re.search(r"%%%|@|://", datadog(text))
    assert datadog(text).translate(FULL_WIDTH) == visible(text).translate(FULL_WIDTH)


@given(TEXTS)
@example("[CODE]<b>x</b>[/code]")
@example("JavaScript:x")
def test_servicenow_gets_no_code_that_it_shows_as_html_or_runs(text: str) -> None:
    assert not re.search(r"\[/?code\]|javascript:", servicenow(text), re.IGNORECASE)
    assert servicenow(text).translate(FULL_WIDTH) == visible(text).translate(FULL_WIDTH)


def test_a_log_record_is_one_line_whatever_it_holds() -> None:
    formatter = LineFormatter("%(levelname)s %(message)s")
    record = logging.LogRecord("a", logging.ERROR, __file__, 1, "it is %s", ("x\n2026 INFO forged\x1b[2J",), None)
    assert formatter.format(record) == r"ERROR it is x\n2026 INFO forged\x1b[2J"
    try:
        raise ValueError("a\nb")
    except ValueError as error:
        record.exc_info = (type(error), error, error.__traceback__)
    assert "\n" not in formatter.format(record)


@pytest.mark.parametrize("text", HOSTILE)
def test_every_known_hostile_text_is_text_in_every_medium(text: str) -> None:
    assert visible(text).isprintable()
    assert _Tags(f"<p>{html(text)}</p>").tags == [("p", [])]
    assert kinds_and_text(markdown(text))[0] <= {"paragraph_open", "inline", "text", "paragraph_close"}
    assert not re.search(r"[<>@]|://", slack(text))
