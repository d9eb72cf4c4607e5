"""Searches evidence the way CAVRA does: exact filters, newest first, a limit and an offset, whole records."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.evidence.export import RECORD_COLUMNS, record_of, stamp
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.api"
#: CAVRA cuts a limit to this without a word; a client reads in the answer which limit was used.
MOST_RECORDS: Final = 500
_FARTHEST: Final = 2**62


@dataclass(frozen=True, slots=True)
class Filters:
    """Conditions that a record must meet; None accepts every value.

    Attributes:
        session_id: Its identity.
        part_of_id: A part of its identity.
        signer: Who signed it.
        min_blocked: The least ``blocked_count``.
        has_approvals: Whether its ``approval_required_count`` is over zero.
        metadata_kind: Its kind.
        kind_prefix: What its kind begins with, unless its delivery source begins with ``source_prefix``.
        source_prefix: See ``kind_prefix``.
        lane: Its lane.
        record_types: Its record type is one of these.
        approval_state: What was decided.
        acknowledgement_state: What an operator said.
        delivery_source: Which ladder its delivery belongs to.
        delivery_success: Whether its delivery says it succeeded.
        alert_level: Its level.
        audit_id: Its audit package.
        delivery_id: Its audit delivery.
        health_id: Its health report.
        cadence: How often its schedule says it runs.
        suppressed: Whether connectors were left out.
        provider: A connector that it names, normalised.
        until: The latest instant it may be created at, UTC without a zone.
        is_nothing: Whether a filter is on a field that no record has.
    """

    session_id: str | None = None
    part_of_id: str | None = None
    signer: str | None = None
    min_blocked: int | None = None
    has_approvals: bool | None = None
    metadata_kind: str | None = None
    kind_prefix: str | None = None
    source_prefix: str | None = None
    lane: str | None = None
    record_types: tuple[str, ...] | None = None
    approval_state: str | None = None
    acknowledgement_state: str | None = None
    delivery_source: str | None = None
    delivery_success: bool | None = None
    alert_level: str | None = None
    audit_id: str | None = None
    delivery_id: str | None = None
    health_id: str | None = None
    cadence: str | None = None
    suppressed: bool | None = None
    provider: str | None = None
    until: datetime | None = None
    is_nothing: bool = False


def find_record(session: Session, session_id: str) -> dict[str, Any] | None:
    """Returns one current record by its identity, or None."""
    records: list[dict[str, Any]] = search_records(session, Filters(session_id=session_id), limit=1)["items"]
    return records[0] if records else None


def search_records(session: Session, filters: Filters, *, limit: int, offset: int = 0) -> dict[str, Any]:
    """Returns one page of records by CAVRA's names: ``items``, ``total``, and the ``limit`` and ``offset`` that count.

    Args:
        session: An open warehouse.
        filters: What a record must be.
        limit: Most records; cut to 1..500.
        offset: Records to leave out before the page; cut to 0 and above.
    """
    most, start = min(max(limit, 1), MOST_RECORDS), min(max(offset, 0), _FARTHEST)
    parameters: dict[str, object] = {**asdict(filters), "most": most, "start": start}
    if filters.record_types is not None:
        parameters["record_types"] = list(filters.record_types)
    if filters.min_blocked is not None:
        parameters["min_blocked"] = min(max(filters.min_blocked, -_FARTHEST), _FARTHEST)
    rows = session.rows(_PACKAGE, "search_records", parameters, columns=RECORD_COLUMNS)
    items = [record_of(row) for row in rows if row["session_id"] is not None]
    return {
        "items": json.loads(json.dumps(items, default=stamp)),
        "total": rows[0]["total"],
        "limit": most,
        "offset": start,
    }
