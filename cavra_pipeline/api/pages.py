"""Lists in pages: filters, opaque cursors, and what a page holds. The rows are those of the command line."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

from cavra_pipeline.api.problems import HttpProblem
from cavra_pipeline.documents import canonical_json, instant, naive_utc, parse_as_of
from cavra_pipeline.errors import UsageError
from cavra_pipeline.evidence.export import RECORD_COLUMNS, record_of, stamp
from cavra_pipeline.provider_names import provider_name
from cavra_pipeline.reports.store import SavedReports, list_reports
from cavra_pipeline.state import State
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.api"
#: What the two tables of the boundary do not share; the first narrows a list.
_BOUNDARY_COLUMNS: Final = {"quarantine": ("reason", "field", "sha256"), "findings": ("rule", "path", "action")}

Filters = Mapping[str, Any]
Page = tuple[list[dict[str, Any]], str | None]


def evidence_page(session: Session, filters: Filters, *, limit: int, cursor: str | None) -> Page:
    """Returns current records, newest first, in CAVRA's own shape, each with what the pipeline made of it."""
    after = _opened(cursor, filters, (str, str))
    parameters = {
        **{name: filters.get(name) for name in ("lane", "record_type", "session_id", "state")},
        "subjects": _subjects(filters.get("subject")),
        "provider": provider_name(filters["provider"]) if filters.get("provider") else None,
        "since": _moment(filters.get("since")),
        "until": _moment(filters.get("until")),
        "after_at": _place_at(after[0]) if after else None,
        "after_id": after[1] if after else None,
        "most": limit + 1,
    }
    rows = session.rows(_PACKAGE, "page_evidence", parameters, columns=RECORD_COLUMNS)
    last = rows[limit - 1] if len(rows) > limit else None
    place = [instant(last["created_at"]), last["session_id"]] if last else None
    return [_shown(row) for row in rows[:limit]], _closed(place, filters)


def _subjects(subject: str | list[str] | None) -> list[str] | None:
    return [subject] if isinstance(subject, str) else subject


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    about = {name: row[name] for name in ("record_type", "lane", "subject", "drop_day", "status")}
    return {**about, "record": json.loads(json.dumps(record_of(row), default=stamp))}


def report_page(state: State, filters: Filters, *, limit: int, cursor: str | None, with_documents: bool) -> Page:
    """Returns saved reports, newest day first."""
    after = _opened(cursor, filters, (str, str, str, str))
    which = SavedReports(
        **{name: filters.get(name) for name in ("report", "lane", "alert_level", "report_id")},
        first=filters.get("from"),
        last=filters.get("to"),
        after=(_day(after[0]), _place_at(after[1]).replace(tzinfo=UTC), after[2], after[3]) if after else None,
    )
    rows = list_reports(state, which, limit=limit + 1, with_documents=with_documents)
    for row in rows:
        row.update({name: instant(row[name]) for name in ("as_of", "generated_at")})
    last = rows[limit - 1] if len(rows) > limit else None
    place = (
        [str(last["report_day"]), *(last[name] for name in ("generated_at", "report_id", "report"))] if last else None
    )
    return rows[:limit], _closed(place, filters)


def boundary_page(
    session: Session, table: str, filters: Filters, *, limit: int, cursor: str | None
) -> tuple[int, Page]:
    """Returns how many rows of ``quarantine`` or ``findings`` pass the filters, and one page of them."""
    after = _opened(cursor, filters, (int,))
    start = after[0] if after else 0
    word, *others = _BOUNDARY_COLUMNS[table]
    parameters = {"first": filters.get("from"), "last": filters.get("to"), "word": filters.get(word)}
    parts = {"table": table, "word": word, "columns": ", ".join([word, *others])}
    page_rows = session.rows(_PACKAGE, "page_boundary", {**parameters, "most": limit, "start": start}, **parts)
    count = int(str(page_rows[0]["total"]))
    rows = [{name: row[name] for name in row if name != "total"} for row in page_rows if row["drop_day"]]
    more = start + len(rows) < count
    return count, (rows, _closed([start + len(rows)] if more and rows else None, filters))


def _closed(place: Sequence[Any] | None, filters: Filters) -> str | None:
    """Makes a cursor: the place of the last row, and a mark of the filters that it belongs to."""
    if place is None:
        return None
    text = json.dumps([_mark(filters), *place], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _opened(cursor: str | None, filters: Filters, types: Sequence[type]) -> list[Any] | None:
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        mark, *place = json.loads(text)
        right = [isinstance(value, type_) for value, type_ in zip(place, types, strict=True)]
        if mark != _mark(filters) or not all(right) or not _is_place(place):
            raise ValueError
    except (ValueError, TypeError, RecursionError):
        raise _no_such_page() from None
    return list(place)


def _is_place(place: Sequence[Any]) -> bool:
    return all(
        0 <= value < 2**40 if isinstance(value, int) else "\x00" not in value and value.isprintable() for value in place
    )


def _mark(filters: Filters) -> str:
    kept = {name: str(value) for name, value in filters.items() if value is not None}
    return hashlib.sha256(canonical_json(kept).encode()).hexdigest()[:16]


def _moment(text: Any) -> datetime | None:
    return naive_utc(parse_as_of(text)) if text else None


def _place_at(text: str) -> datetime:
    try:
        return naive_utc(parse_as_of(text))
    except UsageError:
        raise _no_such_page() from None


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise _no_such_page() from None


def _no_such_page() -> HttpProblem:
    return HttpProblem(404, "There is no such page. Ask for the first without a cursor, and follow its next.")
