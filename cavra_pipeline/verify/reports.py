"""Saved reports against their columns, their ids, and the evidence that they were made from."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from backports import zstd

from cavra_pipeline.documents import canonical_bytes, identify, parse_as_of
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports import store
from cavra_pipeline.reports.health import HealthParameters
from cavra_pipeline.reports.policy import policy_values
from cavra_pipeline.state.tables import EVERY_LANE, prunings, saved_reports
from cavra_pipeline.verify.bundle import attested
from cavra_pipeline.verify.differences import Difference, Part, Verified
from cavra_pipeline.warehouse import Session

_saved: Final = saved_reports.c
#: Members that its evidence does not decide: who asked and when, and what came after its instant. A document that is
#: stored by this release has the first alone.
_BESIDE: Final = ("generated_by", "generated_at", "future_record_count")
_BASE: Final = {name: report for report, name in store.REQUESTED_AS.items()}
_KEY: Final = ("report", "lane", "report_day", "report_id")
_ID: Final = re.compile(r"(.+)-[0-9a-f]{24}")
_Row = Mapping[str, Any]


def check_reports(
    connection: sa.Connection, derived: Session, verified: Verified, *, now: datetime
) -> Iterator[Difference]:
    """Yields the saved reports that are not what their evidence says.

    A report of a day is made again from the derived evidence, unless late evidence has outdated it or its evidence has
    been pruned; of those, and of reports that somebody asked for, columns and document are compared with their id.

    Args:
        connection: The state database, open for reading.
        derived: The derived warehouse, open.
        verified: Where to count.
        now: Any instant; no report that is compared shows it.
    """
    again: defaultdict[tuple[str, str, str], list[tuple[_Row, dict[str, Any]]]] = defaultdict(list)
    outdated, horizon = _outdated(connection), connection.scalar(sa.select(sa.func.max(prunings.c.horizon)))
    for mapping in connection.execute(sa.select(saved_reports).order_by(*saved_reports.primary_key)).mappings():
        row = {str(name): value for name, value in mapping.items()}
        verified.report_count += 1
        document = _document(row)
        faults = ["the document can't be read"] if document is None else list(_faults(row, document))
        yield from (_difference(row, what) for what in faults)
        is_sure = row["report"] not in _BASE and tuple(row[name] for name in _KEY) not in outdated
        is_askable = horizon is None or row["as_of"] >= store.earliest_saved(row["report"], horizon)
        if document is not None and not faults and is_sure and is_askable:
            judged_by = json.dumps(_judged_by(row["report"], document), sort_keys=True)
            again[row["report"], row["lane"], judged_by].append((row, document))
    for (report, lane, values), saved in again.items():
        verified.remade_report_count += len(saved)
        yield from _made_again(derived, report, lane, json.loads(values), saved, now)


def _judged_by(report: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a report, as its document says them."""
    if report == store.RETRY_PLAN:
        return policy_values(document)
    if report == store.RECOVERIES:
        return {"slo_minutes": document.get("recovery_slo_minutes")}
    return {name: document.get(name) for name in HealthParameters.model_fields if report == store.RETRY_HEALTH}


def _outdated(connection: sa.Connection) -> set[tuple[Any, ...]]:
    """Reports that late evidence has changed since they were made; they are made again, and need not be the same."""
    rows = connection.execute(sa.select(*(_saved[name] for name in _KEY)).where(store.is_outdated()))
    return {tuple(row) for row in rows}


def _document(row: _Row) -> dict[str, Any] | None:
    """The document of a row, or None if it is not canonical JSON of an object."""
    try:
        raw = zstd.decompress(row["document"])
        document = json.loads(raw)
        return document if isinstance(document, dict) and canonical_bytes(document) == raw else None
    except (zstd.ZstdError, ValueError, RecursionError):
        return None


def _faults(row: _Row, document: Mapping[str, Any]) -> Iterator[str]:
    """Yields what of a saved report does not fit its document."""
    report: str = _BASE.get(row["report"]) or row["report"]
    try:
        expected = {
            "lane": document.get("lane") or EVERY_LANE,
            "report_id": document[store.ID_FIELDS[report]],
            "as_of": parse_as_of(document["as_of"]),
            "alert_level": document.get("alert_level"),
            "evidence_record_count": document["evidence_record_count"],
        }
        if report == row["report"]:
            expected["report_day"] = expected["as_of"].date()
        yield from (
            f"its column {name} is not what the document says" for name in expected if row[name] != expected[name]
        )
        if _id_of(report, document) != expected["report_id"]:
            yield "the document is not the one that its id was made from"
    except (KeyError, TypeError, ValueError, AttributeError, PipelineError):
        yield "the document is not one of such a report"


def _id_of(report: str, document: Mapping[str, Any]) -> str:
    """The id that a document's content makes."""
    field = store.ID_FIELDS[report]
    match = _ID.fullmatch(document[field])
    return identify(match[1], {**attested(document), field: ""}) if match else ""


def _made_again(
    derived: Session,
    report: str,
    lane: str,
    values: Mapping[str, Any],
    saved: list[tuple[_Row, dict[str, Any]]],
    now: datetime,
) -> Iterator[Difference]:
    instants = [row["as_of"] for row, _ in saved]
    try:
        remade = store.make_reports(
            derived, report, LANES[lane] if lane else None, instants=instants, now=now, parameters=values
        )
    except (PipelineError, KeyError):
        yield from (_difference(row, "no such report can be made") for row, _ in saved)
        return
    for (row, document), again in zip(saved, remade, strict=True):
        if _of_evidence(document) != _of_evidence(again):
            yield _difference(row, "its evidence makes another report")


def _of_evidence(document: Mapping[str, Any]) -> bytes:
    return canonical_bytes({name: document[name] for name in document if name not in _BESIDE})


def _difference(row: _Row, what: str) -> Difference:
    return Difference(
        Part.SAVED_REPORT,
        what,
        lane=row["lane"],
        day=str(row["report_day"]),
        report=row["report"],
        report_id=row["report_id"],
    )
