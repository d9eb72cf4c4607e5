"""Alerts, their history and their notices in the warehouse: rows to objects and back. No rule of the life cycle."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa

from cavra_pipeline.alerts.kinds import KINDS
from cavra_pipeline.alerts.model import Alert, State
from cavra_pipeline.alerts.muting import Changes, Silence
from cavra_pipeline.alerts.planning import Believed, Planned, Told
from cavra_pipeline.documents import canonical_json, instant, naive_utc
from cavra_pipeline.warehouse import Session

PACKAGE: Final = "cavra_pipeline.alerts"

_TEXT, _WHOLE, _INSTANT = pa.string(), pa.int64(), pa.timestamp("us")
_ALERTS: Final = pa.schema([
    ("alert_id", _TEXT), ("kind", _TEXT), ("subject", _TEXT), ("episode", _WHOLE), ("group_name", _TEXT),
    ("severity", _TEXT), ("state", _TEXT), ("since", _INSTANT), ("opened_at", _INSTANT), ("acknowledged_at", _INSTANT),
    ("acknowledged_by", _TEXT), ("resolved_at", _INSTANT), ("cause", _TEXT), ("causes", _TEXT),
    ("occurrence_count", _WHOLE), ("swallowed_count", _WHOLE), ("evidence", _TEXT), ("last_notified_at", _INSTANT),
    ("muted_by", _TEXT),
])  # fmt: skip
_EVENTS: Final = pa.schema([
    ("alert_id", _TEXT), ("event", _TEXT), ("happened_at", _INSTANT), ("detail", _TEXT), ("actor", _TEXT),
])  # fmt: skip
_NOTICES: Final = pa.schema([
    ("notice_id", _TEXT), ("plan_id", _TEXT), ("provider", _TEXT), ("group_name", _TEXT), ("notice_number", _WHOLE),
    ("notice", _TEXT), ("alert_level", _TEXT), ("lane", _TEXT), ("suppressed_providers", pa.list_(_TEXT)),
    ("told", _TEXT), ("document", _TEXT), ("is_recorded", pa.bool_()), ("created_at", _INSTANT),
])  # fmt: skip
_SUBJECTS: Final = pa.schema([("kind", _TEXT), ("subject", _TEXT)])


@dataclass(frozen=True, slots=True)
class Head:
    """The newest of what went to one connector about one group.

    Attributes:
        notice_number: Number of the newest notice.
        state: ``pending``, ``sent`` or ``failed``.
        settled_at: When the newest was sent or given up.
        created_at: When the newest was written.
        attempt_count: How often it was tried.
        reason: Why the latest attempt failed.
        told: What the newest one that was taken said; None if none was.
    """

    notice_number: int
    state: str
    settled_at: datetime | None
    created_at: datetime
    attempt_count: int
    reason: str | None
    told: Told | None


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to an episode."""

    alert_id: str
    event: str
    happened_at: datetime
    detail: str | None = None
    actor: str | None = None


def aware(moment: Any) -> datetime:
    """Returns an instant of the warehouse as aware UTC."""
    return moment.replace(tzinfo=UTC)  # type: ignore[no-any-return]


def _aware(moment: Any) -> datetime | None:
    return aware(moment) if moment else None


def alert_of(row: Mapping[str, Any]) -> Alert:
    """Makes an alert from its row."""
    return Alert(
        alert_id=row["alert_id"],
        kind=row["kind"],
        subject=row["subject"],
        episode=row["episode"],
        severity=row["severity"],
        state=State(row["state"]),
        since=aware(row["since"]),
        opened_at=aware(row["opened_at"]),
        cause=row["cause"],
        causes=json.loads(row["causes"]),
        count=row["occurrence_count"],
        evidence=json.loads(row["evidence"]),
        swallowed_count=row["swallowed_count"],
        acknowledged_at=_aware(row["acknowledged_at"]),
        acknowledged_by=row["acknowledged_by"],
        resolved_at=_aware(row["resolved_at"]),
        last_notified_at=_aware(row["last_notified_at"]),
        muted_by=row["muted_by"],
    )


def _row(alert: Alert) -> tuple[object, ...]:
    return (
        alert.alert_id, alert.kind, alert.subject, alert.episode, alert.group, alert.severity, alert.state.value,
        naive_utc(alert.since), naive_utc(alert.opened_at), _naive(alert.acknowledged_at), alert.acknowledged_by,
        _naive(alert.resolved_at), alert.cause, canonical_json(alert.causes), alert.count, alert.swallowed_count,
        canonical_json(alert.evidence), _naive(alert.last_notified_at), alert.muted_by,
    )  # fmt: skip


def _naive(moment: datetime | None) -> datetime | None:
    return naive_utc(moment) if moment else None


def _table(schema: pa.Schema, rows: Iterable[Sequence[object]]) -> pa.Table:
    every = list(rows)
    columns = list(zip(*every, strict=True)) if every else [()] * len(schema)
    return pa.table([list(column) for column in columns], schema=schema)


def standing_alerts(session: Session, began_at: datetime | None) -> list[Alert]:
    """Returns open alerts, those opened since ``began_at``, and what may explain an open one.

    An alert of a kind that this release does not know any more is left alone.
    """
    inhibitors = sorted({inhibitor.kind for kind in KINDS.values() for inhibitor in kind.inhibited_by})
    known: dict[str, object] = {"began_at": _naive(began_at), "inhibitors": inhibitors}
    return [alert_of(row) for row in session.rows(PACKAGE, "standing_alerts", known) if row["kind"] in KINDS]


def newest_episodes(session: Session, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Returns the number of the newest episode of each kind and subject that has had one."""
    with session.given(given_subjects=_table(_SUBJECTS, keys)):
        rows = session.rows(PACKAGE, "newest_episodes")
    return {(str(row["kind"]), str(row["subject"])): int(str(row["episode"])) for row in rows}


def save(session: Session, *, new: Sequence[Alert], changed: Sequence[Alert], events: Sequence[Event]) -> None:
    """Writes alerts and events; nothing is run for what is empty."""
    for name, alerts in (("insert_alerts", new), ("update_alerts", changed)):
        if alerts:
            with session.given(given_alerts=_table(_ALERTS, map(_row, alerts))):
                session.run(PACKAGE, name)
    if events:
        rows = [(one.alert_id, one.event, naive_utc(one.happened_at), one.detail, one.actor) for one in events]
        with session.given(given_events=_table(_EVENTS, rows)):
            session.run(PACKAGE, "insert_events")


def changes_since(session: Session, after: datetime, *, least: int, flapping: Sequence[str]) -> list[Changes]:
    """Returns the alerts that began or ended at least so often since then; of those that are flapping, all."""
    asked: dict[str, object] = {"after": naive_utc(after), "least": least, "flapping": list(flapping)}
    return [
        Changes(str(row["kind"]), str(row["subject"]), int(str(row["changes"])), aware(row["first_at"]))
        for row in session.rows(PACKAGE, "changes", asked)
        if row["kind"] in KINDS
    ]


def silences(session: Session, now: datetime) -> list[Silence]:
    """Returns the silences that have not ended."""
    return [
        Silence(
            silence_id=str(row["silence_id"]),
            kind=str(row["kind"]) if row["kind"] is not None else None,
            subject=str(row["subject"]) if row["subject"] is not None else None,
            author=str(row["author"]),
            starts_at=aware(row["starts_at"]),
            ends_at=aware(row["ends_at"]),
            comment=str(row["comment"]),
        )
        for row in session.rows(PACKAGE, "silences_that_hold", {"now": naive_utc(now)})
    ]


def heads(session: Session, providers: Sequence[str]) -> dict[tuple[str, str], Head]:
    """Returns the newest notice by group and connector."""
    rows: list[dict[str, Any]] = session.rows(PACKAGE, "outbox_heads", {"providers": list(providers)})
    return {
        (row["group_name"], row["provider"]): Head(
            notice_number=row["notice_number"],
            state=row["state"],
            settled_at=_aware(row["settled_at"]),
            created_at=aware(row["created_at"]),
            attempt_count=row["attempt_count"],
            reason=row["reason"],
            told=_told(row) if row["told"] else None,
        )
        for row in rows
    }


def _told(row: Mapping[str, Any]) -> Told:
    known = json.loads(row["told"])
    return Told(
        at=aware(row["sent_at"]),
        planned_at=aware(row["planned_at"]),
        began_at=datetime.fromisoformat(known["began_at"]),
        firing={subject: Believed(*believed) for subject, believed in known["firing"].items()},
    )


@dataclass(frozen=True, slots=True)
class Written:
    """A notice as it goes into the outbox."""

    notice_id: str
    plan_id: str
    provider: str
    notice_number: int
    planned: Planned
    lane: str
    suppressed_providers: Sequence[str]
    document: Mapping[str, Any]


def write_notices(session: Session, notices: Sequence[Written], *, now: datetime) -> None:
    """Puts notices into the outbox, due at once."""
    if not notices:
        return
    at = naive_utc(now)
    rows = []
    for one in notices:
        what, content = one.planned.notice.value, one.document
        told, text = canonical_json(_told_document(one.planned.told)), json.dumps(content, ensure_ascii=False)
        rows.append((
            one.notice_id, one.plan_id, one.provider, content["subject"], one.notice_number, what,
            content["alert_level"], one.lane, list(one.suppressed_providers), told, text, False, at,
        ))  # fmt: skip
    with session.given(given_notices=_table(_NOTICES, rows)):
        session.run(PACKAGE, "insert_notices")


def _told_document(told: Told) -> dict[str, Any]:
    return {"began_at": instant(told.began_at), "firing": told.firing}
