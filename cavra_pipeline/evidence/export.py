"""Export: current evidence records as JSON lines in CAVRA's own shape, for its stores or for another home."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from cavra_pipeline.boundary.fields import LISTS
from cavra_pipeline.boundary.kinds import COLUMNS, fields_of
from cavra_pipeline.documents import naive_utc
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.evidence"
#: What a record is made of, as a statement selects it.
RECORD_COLUMNS: Final = ", ".join([*COLUMNS, *LISTS])


def export_records(session: Session, *, since: datetime | None = None, made_here: bool = False) -> Iterator[str]:
    """Yields one JSON line for each current record, oldest first.

    Args:
        session: An open warehouse.
        since: Leave out records created before.
        made_here: Only records that this pipeline wrote itself.
    """
    rows = session.stream(
        _PACKAGE,
        "export_records",
        {"since": naive_utc(since) if since else None, "made_here": made_here},
        columns=RECORD_COLUMNS,
    )
    for row in rows:
        yield json.dumps(record_of(row), ensure_ascii=False, separators=(",", ":"), default=stamp)


def record_of(row: dict[str, Any]) -> dict[str, Any]:
    """Rebuilds the nested record from its columns; omits nulls."""
    record: dict[str, Any] = {}
    for field in fields_of(str(row["metadata_kind"])):
        if "[]" not in field.path and row[field.column] is not None:
            _put(record, field.path, row[field.column])
    for column, listed in LISTS.items():
        if row[column] is not None:
            entries = [{name: value for name, value in child.items() if value is not None} for child in row[column]]
            _put(record, listed.path, entries)
    return record


def _put(record: dict[str, Any], path: str, value: object) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        record = record.setdefault(parent, {})
    record[last] = value


def stamp(moment: datetime) -> str:
    """Returns an instant of a record as text."""
    return moment.replace(tzinfo=UTC).isoformat()
