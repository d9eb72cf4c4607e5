"""Texts that would be obeyed somewhere, and a warehouse that holds them in every text field of every kind.

The rows are written beneath the boundary, so that the escaping is tried on what the boundary may refuse one day.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import sqlalchemy as sa

from cavra_pipeline.alerts.lifecycle import observe
from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.boundary.fields import LISTS, Type
from cavra_pipeline.boundary.kinds import COLUMNS, KINDS, Kind, lists_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.provider_names import provider_name
from cavra_pipeline.settings import AlertPolicy, Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.state.tables import alerts
from tests.support import empty_warehouse

FOLDER: Final = Path(__file__).parent
#: Stands in every value, in what would become the content or an address of an element.
MARK: Final = "planted"
BATCH: Final = 50
TEXTS: Final = (Type.STRING, Type.ACTOR)

#: {n} makes each value another one; z ends the number where texts stand beside each other.
_TEMPLATES: Final = (
    "![planted{n}z](/graphql?query=mutation%7Bplanted{n}z%7D)",
    "[planted{n}z](http://127.0.0.1:9/planted{n}z)",
    "<img src=/graphql?query=mutation%7Bplanted{n}z%7D>",
    "a|b\n\n# planted{n}z",
    '<script>alert("planted{n}z")</script>',
    '<iframe src="https://planted{n}z.invalid/"></iframe>',
    "<svg onload=alert('planted{n}z')>",
    '"><a href="javascript:alert(\'planted{n}z\')">planted{n}z</a>',
    "[planted{n}z](javascript:alert(1))",
    "![planted{n}z](data:image/svg+xml;base64,PHN2Zy8+)",
    "https://planted{n}z.invalid/?q=1",
    "www.planted{n}z.invalid",
    "planted{n}z@planted.invalid",
    "<https://planted{n}z.invalid/>",
    "| a | b |\n| --- | --- |\n| planted{n}z | x |",
    "**planted{n}z** _planted{n}z_ ~~planted{n}z~~ `planted{n}z`",
    "[planted{n}z][r]\n\n[r]: http://planted{n}z.invalid",
    "%%% \n[planted{n}z](https://planted{n}z.invalid)\n%%%",
    '=HYPERLINK("http://planted{n}z.invalid","planted{n}z")',
    "<!channel> <@U0> <https://planted{n}z.invalid|planted{n}z>",
    "&lt;img src=x onerror=alert('planted{n}z')&gt;",
    "<style>@import 'https://planted{n}z.invalid/x.css';</style>",
    "<planted-element>planted{n}z</planted-element>",
    "{{{{ planted{n}z }}}} ${{planted{n}z}} {{% planted{n}z %}}",
    "\x1b[31mplanted{n}z\x1b]8;;http://planted{n}z.invalid\x07planted{n}z\x1b]8;;\x07",
    "\u202eplanted{n}z\u2066\u200b\x9b31m\x7f",
    "[code]<b>planted{n}z</b>[/code] javascript:planted{n}z",
    "<b>planted{n}z</b><form action=//planted{n}z.invalid><input name=q></form>",
    "    planted{n}z\n- planted{n}z\n1. planted{n}z",
    "[bold red]planted{n}z[/bold red][link=http://planted{n}z.invalid]planted{n}z[/link]",
    "//planted{n}z.invalid/x.js",
    "<details open ontoggle=alert('planted{n}z')>planted{n}z</details>",
    "<a href='data:text/html,<script>alert(1)</script>'>planted{n}z</a>",
    '![planted{n}z](//planted{n}z.invalid/x.png "planted{n}z")',
)


def values(count: int) -> list[str]:
    """So many hostile values, each another."""
    return [template.format(n=n) for n, template in enumerate(islice(cycle(_TEMPLATES), count))]


def fault_values(name: str) -> list[str]:
    """The texts of the records in a file of known faults."""
    records = [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines() if line]
    return [text for one in records for text in (one["plan_id"], *one["providers"])]


def plant(settings: Settings, rows: Sequence[dict[str, Any]]) -> None:
    """Writes typed rows of evidence into the home's warehouse."""
    settings.warehouse.write_bytes(empty_warehouse())
    with duckdb.connect(str(settings.warehouse)) as connection:
        empty = connection.sql("SELECT * FROM evidence_records LIMIT 0").to_arrow_table()
        table = pa.Table.from_pylist(list(rows), schema=empty.schema)
        connection.register("planted_rows", table)
        connection.execute("INSERT INTO evidence_records BY NAME SELECT * FROM planted_rows")
        watched = "SELECT * EXCLUDE (row_id, session_key, is_watched, drop_day, file_name) FROM watchable_records"
        connection.execute(f"INSERT INTO watched_records BY NAME {watched}")
        _count(connection)


def plant_lists(settings: Settings, hostile: Sequence[str], at: datetime) -> None:
    """Writes an open alert, a quarantined line and a finding for each value into the home's databases."""
    a = alerts.c
    with state_of(settings).writing() as c:
        signals = [Signal("missed_run", f"subject-{n}", "critical", at) for n in range(len(hostile))]
        observe(c, Observation({"missed_run"}, signals), now=at, policy=AlertPolicy())
        for number, text in enumerate(hostile):
            planted = {a.subject: text, a.acknowledged_by: text, a.muted_by: text}
            c.execute(sa.update(alerts).where(a.subject == f"subject-{number}").values(planted))
    with duckdb.connect(str(settings.warehouse)) as connection:
        for number, text in enumerate(hostile):
            line = {"day": at.date(), "text": text, "number": number}
            for table, more in (("quarantine", ""), ("finding_rows", ", NULL")):
                connection.execute(
                    f"INSERT INTO {table} VALUES ($day, $text, $text, $number, $text, $text, $text{more})", line
                )
        _count(connection)


def _count(connection: duckdb.DuckDBPyConnection) -> None:
    """Counts what is planted as received in landing files, or no run would report on it."""
    connection.execute("DELETE FROM drops")
    connection.execute(
        "INSERT INTO drops SELECT drop_day, file_name, '', NULL, 0, sum(lines), 0, 0, 0, NULL, now()::TIMESTAMP, 0 "
        "FROM (SELECT drop_day, file_name, 1 AS lines FROM evidence_records UNION ALL "
        "SELECT drop_day, file_name, 1 FROM quarantine) GROUP BY drop_day, file_name"
    )


def rows_of(hostile: Sequence[str], at: datetime, *, arrives: bool = False) -> list[dict[str, Any]]:
    """A record of every kind, and a failing delivery of every lane, for each value; a day later it may arrive."""
    rows: list[dict[str, Any]] = []
    for text in hostile:
        for kind in KINDS.values():
            if kind.record_type != "delivery":
                rows.append(_typed(_record(kind, text), kind.lane, at, len(rows)))
                continue
            for lane in LANES.values():
                failing = {**_record(kind, text), "connector_delivery_source": lane.delivery_source}
                arrived = {**failing, "failed_providers": [], "delivery_success": True, "status_codes": [200]}
                rows.append(_typed(failing, lane.name, at, len(rows)))
                if arrives:
                    rows.append(_typed(arrived, lane.name, at + timedelta(days=1), len(rows)))
    return rows


def _typed(one: dict[str, Any], lane: str | None, at: datetime, number: int) -> dict[str, Any]:
    record_type, text = KINDS[one["metadata_kind"]].record_type, one["schema_version"]
    has_subject = lane and record_type in ("delivery", "execution", "acknowledgement")
    outcome = {"provider": provider_name(text), "is_failed": not one["delivery_success"], "status_code": 503}
    return {
        **one,
        "record_type": record_type,
        "lane": lane,
        "subject": text if has_subject else None,
        "outcomes": [outcome] if record_type == "delivery" else None,
        "session_id": f"{one['schema_version']} {at:%d}-{number}",
        "created_at": at.astimezone(UTC).replace(tzinfo=None) + timedelta(microseconds=number),
        "dropped_field_count": 0,
        "drop_day": at.date(),
        "file_name": f"{one['schema_version']}.jsonl",
        "line_number": number + 1,
        "is_current": True,
    }


def _record(kind: Kind, text: str) -> dict[str, Any]:
    """A typed record with the text in every text field; what the rules choose by is left as they need it."""
    filled: dict[Type, Any] = {
        Type.STRING: text, Type.ACTOR: text, Type.STRINGS: [text], Type.INTEGER: 1, Type.NUMBER: 1.5,
        Type.INTEGERS: [503], Type.BOOLEAN: False, Type.TIMESTAMP: None,
    }  # fmt: skip
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {field.column: filled[field.type] for field in kind.fields if field.column in COLUMNS}
    for column, listed in LISTS.items():
        entry = {member.column: filled[member.type] for member in listed.members}
        row[column] = [entry] if column in lists_of(kind.name) else None
    return {**row, "metadata_kind": kind.name, "execution_status": "failed" if row["execution_status"] else None}
