"""Every text field of every kind of evidence, through every medium: shown as text, or exactly as data."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator
from datetime import date, timedelta
from html.parser import HTMLParser
from typing import Any
from unittest import mock

import dagster as dg
import pytest
from markdown_it import MarkdownIt

from cavra_pipeline.assets.metadata import MOST_ROWS
from cavra_pipeline.boundary.fields import LISTS, Type
from cavra_pipeline.boundary.kinds import KINDS
from cavra_pipeline.escaping import visible
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.executive.render import report_html, report_markdown
from cavra_pipeline.executive.report import executive_reports
from cavra_pipeline.lanes import LANES
from cavra_pipeline.settings import Settings
from tests.api.server import NoDagster, served
from tests.cli.command import command
from tests.dagster_tests.runs import EVIDENCE, REPORTS, run
from tests.escaping.hostile import TEXTS, fault_values, plant, plant_lists, rows_of, values
from tests.support import AS_OF, home_with, query

pytestmark = pytest.mark.slow

HOSTILE = list(dict.fromkeys([*fault_values("markdown.jsonl"), *fault_values("terminal.jsonl"), *values(34)]))
AT = AS_OF - timedelta(hours=2)
STAMP = AS_OF.isoformat()
LANE_COMMANDS = [[name, "--lane", lane, "--as-of", STAMP] for name in ("retry-health", "retry-plan") for lane in LANES]
COMMANDS = [
    *LANE_COMMANDS,
    ["escalate", "--as-of", STAMP],
    ["recoveries", "--as-of", STAMP],
    ["closure", "--as-of", STAMP],
    ["dashboard", "--as-of", STAMP],
    ["quarantine"],
    ["findings"],
    ["alerts"],
    ["alerts", "history"],
    ["scheduled-runs"],
]
DOCUMENTS = [
    *(["executive-report", "--as-of", STAMP, "--output", form] for form in ("markdown", "text", "html")),
    ["ack", "--plan", HOSTILE[0], "--provider", HOSTILE[1], "--state", HOSTILE[2], "--by", HOSTILE[3]],
    ["retry-plan", "--lane", HOSTILE[5], "--as-of", HOSTILE[6]],
    ["worker", "--lane", "recovery_escalation", "--plan", HOSTILE[7]],
    ["import", "\x1b[31mno such file\x9b\u202e"],
    ["\x1b]0;no such command\x07"],
    ["retry-plan", "--\x9bno-such-option"],
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = home_with(tmp_path_factory.mktemp("media"), start_date=date(2026, 6, 20))
    plant(settings, rows_of(HOSTILE, AT))
    plant_lists(settings, HOSTILE, AT)
    (settings.landing / "2026-06-25").mkdir(parents=True)
    (settings.landing / "2026-06-25" / "a\nerror: forged\x1b[31m<b>.jsonl.gz").write_bytes(b"not gzip")
    return settings


def unseen(text: str) -> list[str]:
    """The lines of a text that hold what steers or can't be seen."""
    return [line for line in text.split("\n") if visible(line) != line]


def test_the_planted_rows_fill_every_text_field_of_every_kind(home: Settings) -> None:
    for kind in KINDS.values():
        (rows,) = [query(home, "SELECT * FROM (DESCRIBE evidence_records)")]
        names = [str(row[0]) for row in rows]
        found = [
            dict(zip(names, row, strict=True))
            for row in query(home, f"SELECT * FROM evidence_records WHERE metadata_kind = '{kind.name}'")
        ]
        assert found
        for field in kind.fields:
            if field.type not in (*TEXTS, Type.STRINGS) or field.column in RULED:
                continue
            if "[]" in field.path:
                (listed,) = (one for one in LISTS.values() if field in one.members)
                held = {entry[field.column] for row in found for entry in row[listed.column]}
            else:
                held = {text for row in found for text in _texts(row[field.column])}
            assert set(HOSTILE) <= held or field.column == "session_id", field.path


#: What the rules choose by: any other text there, and no report would show the rest.
RULED = ("metadata_kind", "connector_delivery_source", "execution_status")


def _texts(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("environ", [{}, {"FORCE_COLOR": "1"}], ids=["plain", "coloured"])
def test_no_table_of_the_command_line_steers_the_terminal(
    home: Settings, arguments: list[str], environ: dict[str, str]
) -> None:
    said = command(home.home, *arguments, environ={**environ, "COLUMNS": "200"})

    text = said.out + said.err
    assert said.code in (0, 3)
    assert "[31mRED" not in text.replace("\\x1b[31mRED", "")
    assert not re.search(r"^\s*error: a line", text, re.MULTILINE)
    if environ:
        text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert unseen(text) == []


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_json_of_the_command_line_is_printable_and_exact(home: Settings, arguments: list[str]) -> None:
    said = command(home.home, *arguments, "--json")

    assert unseen(said.out) == []
    if arguments[0] in ("retry-plan", "quarantine"):
        texts = {text for one in _strings(said.document) for text in (one, one.lower())}
        assert {text.lower() for text in HOSTILE} <= texts


@pytest.mark.parametrize("arguments", DOCUMENTS, ids=lambda one: ascii(" ".join(one))[:40])
def test_no_document_and_no_message_of_the_command_line_steers_the_terminal(
    home: Settings, arguments: list[str]
) -> None:
    said = command(home.home, *arguments)

    assert unseen(said.out + said.err) == []
    assert said.out + said.err


def test_an_export_holds_every_text_exactly_in_printable_lines(home: Settings) -> None:
    said = command(home.home, "export", "--all")
    records = [json.loads(line) for line in said.out.splitlines()]

    assert unseen(said.out) == []
    assert set(HOSTILE) <= {text for one in records for text in _strings(one)}


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings(one)


def test_a_landing_file_cannot_forge_a_line(home: Settings) -> None:
    said = command(home.home, "ingest")

    assert "a\\nerror: forged\\x1b[31m<b>.jsonl.gz" in said.err
    assert unseen(said.out + said.err) == []
    assert not re.search(r"^error: forged", said.err, re.MULTILINE)


def test_dagster_is_given_tables_and_texts_and_no_markdown_but_the_report(home: Settings) -> None:
    with mock.patch.dict(os.environ, {"CAVRA_HOME": str(home.home), "CAVRA_START_DATE": "2026-06-20"}):
        made = run(home, assets=(*EVIDENCE, *REPORTS, "executive_recovery_report"))
        worked = run(home, assets=["recovery_escalation_retry_worker"], job="recovery_retry_worker")
    events = [*made.all_events, *worked.all_events]
    shown = [(name, value) for event in events for held in _metadata(event) for name, value in held.items()]
    tables = [value for _, value in shown if isinstance(value, dg.TableMetadataValue)]
    cells = {cell for table in tables for record in table.records for cell in record.data.values()}

    assert {name for name, value in shown if isinstance(value, dg.MarkdownMetadataValue)} == {"report"}
    assert len({visible(text) for text in HOSTILE} & cells) >= min(MOST_ROWS, len(HOSTILE))
    texts = [str(value.value) for _, value in shown if isinstance(value, dg.TextMetadataValue)]
    assert [text for text in (*map(str, cells), *texts) if visible(text) != text] == []
    for event in events:
        assert unseen((event.message or "").split("\n")[0]) == []


def _metadata(event: dg.DagsterEvent) -> Iterator[dict[str, Any]]:
    if event.is_step_materialization:
        yield dict(event.step_materialization_data.materialization.metadata)
    if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        yield dict(event.asset_check_evaluation_data.metadata)


@pytest.fixture(scope="module")
def report(home: Settings) -> dict[str, Any]:
    with warehouse_of(home).reading() as session:
        return executive_reports(session, instants=[AS_OF], now=AS_OF)[0]


def test_the_markdown_report_holds_no_image_no_link_and_no_html(report: dict[str, Any]) -> None:
    text = report_markdown(report)
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    kinds = {one.type for token in tokens for one in [token, *(token.children or [])]}

    assert kinds.isdisjoint({"image", "link_open", "html_block", "html_inline", "code_block", "fence"})
    assert kinds.isdisjoint({"em_open", "s_open", "hardbreak", "blockquote_open"})
    coded = [one.content for token in tokens for one in token.children or [] if one.type == "code_inline"]
    assert coded, "the commands of the foot"
    assert [one for one in coded if not one.startswith("cavra-pipeline ") or "planted" in one] == []
    lists = [one.level for one in tokens if one.type == "ordered_list_open"]
    assert lists in ([], [0]), "the steps, in which no evidence begins another"
    assert unseen(text) == []
    assert not re.search(r"https?://|www\.|@", text)
    assert "planted" in text


class _Names(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names |= {tag, *(f"{tag} {name}" for name, _ in attrs if name.startswith("on") or name in ("href", "src"))}


def test_the_html_report_holds_no_element_that_evidence_wrote(report: dict[str, Any]) -> None:
    text = report_html(report)
    names = _Names(text).names

    assert names.isdisjoint({"img", "a", "script", "iframe", "form", "input", "b", "details", "planted-element"})
    assert not [name for name in names if " " in name]
    assert unseen(text) == []
    assert "planted" in text


@pytest.mark.parametrize("lane", LANES)
def test_no_cell_of_the_csv_is_a_formula_or_more_than_a_cell(home: Settings, lane: str) -> None:
    with served(home, dagster=NoDagster(), clock=lambda: AS_OF) as one, one.client() as client:
        sent = client.get(f"/api/v1/lanes/{lane}/plan.csv", params={"as_of": "2026-06-25T12:00:00Z"}).text
        plan = client.get(f"/api/v1/lanes/{lane}/plan", params={"as_of": "2026-06-25T12:00:00Z"}).text
    rows = list(csv.DictReader(io.StringIO(sent)))

    assert len(rows) == len(json.loads(plan)["plan"]["retry_decisions"]) == len({text.lower() for text in HOSTILE})
    assert not [cell for row in rows for cell in row.values() if cell.strip()[:1] in tuple("=+-@")]
    assert unseen(sent.replace("\r\n", "\n")) == unseen(plan) == []
    assert len(sent.splitlines()) == len(rows) + 1
