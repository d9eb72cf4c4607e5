"""What people do with alerts: see them, take one on, silence some for a while. Nothing is sent from here."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any, Final

from cavra_pipeline.alerts.kinds import KINDS, SECRET_FINDING, kind_named
from cavra_pipeline.alerts.lifecycle import alert_lane
from cavra_pipeline.alerts.model import Alert, State
from cavra_pipeline.alerts.records import ACKNOWLEDGED, RESOLVED, record_acknowledgement
from cavra_pipeline.alerts.signals import is_public_text
from cavra_pipeline.alerts.store import PACKAGE, Event, alert_of, save
from cavra_pipeline.boundary.judge import actor_label
from cavra_pipeline.documents import instant, naive_utc
from cavra_pipeline.errors import UsageError
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.evidence.leaks import handle_leaks
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse import Session

MOST_SILENCE: Final = timedelta(days=366)
DEFAULT_HISTORY: Final = 100
_SHORTEST_ID: Final = 4


class EndsByItself(UsageError):
    """An alert that ends once its cause is gone can't be resolved by hand."""


def list_alerts(session: Session, settings: Settings, *, now: datetime) -> dict[str, Any]:
    """Returns the open alerts, the silences that hold or will, the notices that were not taken, and who is told."""
    rows: list[dict[str, Any]] = session.rows(PACKAGE, "open_alerts")
    silences = session.rows(PACKAGE, "silences_that_hold", {"now": naive_utc(now)})
    waiting = session.rows(PACKAGE, "unsent_notices", {"providers": list(settings.alerts.connectors)})
    return {
        "as_of": instant(now),
        "connectors": list(settings.alerts.connectors),
        "alert_count": len(rows),
        "alerts": [_alert_document(row) for row in rows],
        "silences": [_with_instants(row) for row in silences],
        "unsent_notices": [_with_instants(row) for row in waiting],
    }


def _alert_document(row: dict[str, Any]) -> dict[str, Any]:
    shown = _with_instants(row)
    shown["causes"], shown["evidence"] = json.loads(row["causes"]), json.loads(row["evidence"])
    kind = KINDS.get(row["kind"])
    shown["action"] = kind.action if kind else None
    shown["ends_by_hand"] = kind.ends_by_hand if kind else False
    return shown


def _with_instants(row: dict[str, Any]) -> dict[str, Any]:
    return {name: instant(value) if isinstance(value, datetime) else value for name, value in row.items()}


def alert_history(
    session: Session, *, alert_id: str | None = None, kind: str | None = None, most: int = DEFAULT_HISTORY
) -> list[dict[str, Any]]:
    """Returns what happened to alerts, the newest first.

    Args:
        session: An open warehouse.
        alert_id: Only this one; the beginning of its id is enough.
        kind: Only this kind.
        most: How many events.

    Raises:
        UsageError: There is no such alert or kind.
    """
    chosen = _one_alert(session, alert_id).alert_id if alert_id else None
    name = kind_named(kind).name if kind else None
    rows = session.rows(PACKAGE, "history", {"alert_id": chosen, "kind": name, "most": most})
    return [_with_instants(row) for row in rows]


def acknowledge_alert(settings: Settings, alert_id: str, *, by: str, now: datetime) -> dict[str, Any]:
    """Acknowledges an alert: no reminders until it is resolved. Later episodes are not acknowledged. Leaves evidence.

    An alert that only a person ends (``AlertKind.ends_by_hand``) is resolved by it.

    Args:
        settings: The home.
        alert_id: The alert; the beginning of its id is enough.
        by: Actor label of who acknowledges it.
        now: When.

    Returns:
        The alert.

    Raises:
        UsageError: There is no such alert, it is resolved, or the label is not public-safe.
    """
    label = actor_label(by, where="by")
    with warehouse_of(settings).writing("acknowledge an alert") as session:
        alert = _open_alert(session, alert_id)
        at = max(now, alert.opened_at)
        if alert.state is State.FIRING:
            session.run(
                PACKAGE, "acknowledge_alert", {"alert_id": alert.alert_id, "now": naive_utc(at), "label": label}
            )
            _record(settings, session, alert, ACKNOWLEDGED, label, at)
        if KINDS[alert.kind].ends_by_hand:
            _end(session, alert, label, at)
        return _alert_document(session.rows(PACKAGE, "alerts_by_id", {"start": alert.alert_id})[0])


def resolve_alert(settings: Settings, alert_id: str, *, by: str, now: datetime) -> dict[str, Any]:
    """Resolves an alert that only a person ends. Leaves evidence.

    Args:
        settings: The home.
        alert_id: The alert; the beginning of its id is enough.
        by: Actor label of who resolves it.
        now: When.

    Returns:
        The alert.

    Raises:
        EndsByItself: Its cause decides when it ends.
        UsageError: There is no such alert, it is resolved, or the label is not public-safe.
    """
    label = actor_label(by, where="by")
    with warehouse_of(settings).writing("resolve an alert") as session:
        alert = _open_alert(session, alert_id)
        if not KINDS[alert.kind].ends_by_hand:
            raise EndsByItself(
                "this alert resolves by itself once its cause is gone",
                where=alert.alert_id,
                remedy="Fix the cause; until then acknowledge it, or silence its kind",
            )
        at = max(now, alert.opened_at)
        _end(session, alert, label, at)
        _record(settings, session, alert, RESOLVED, label, at)
        return _alert_document(session.rows(PACKAGE, "alerts_by_id", {"start": alert.alert_id})[0])


def _open_alert(session: Session, alert_id: str) -> Alert:
    alert = _one_alert(session, alert_id)
    if not alert.is_open or alert.kind not in KINDS:
        raise UsageError(
            "the alert is over", where=alert.alert_id, remedy="Only an open alert is acknowledged or resolved"
        )
    return alert


def _record(settings: Settings, session: Session, alert: Alert, state: str, label: str, at: datetime) -> None:
    """Writes what a person said of an alert into its history and as evidence."""
    save(session, new=[], changed=[], events=[Event(alert.alert_id, state, at, None, label)])
    health_id = alert.evidence.get("health_id")
    record_acknowledgement(
        settings,
        session,
        alert_id=alert.alert_id,
        lane=alert_lane(alert),
        health_id=str(health_id) if health_id else None,
        state=state,
        by=label,
        now=at,
    )


def _end(session: Session, alert: Alert, label: str, at: datetime) -> None:
    """Resolves an alert and handles the leaks that it has shown; one that was found since then opens the next."""
    session.run(PACKAGE, "resolve_alert", {"alert_id": alert.alert_id, "now": naive_utc(at), "label": label})
    if alert.kind == SECRET_FINDING and "newest_leak" in alert.evidence:
        handle_leaks(session, alert.subject, newest=int(alert.evidence["newest_leak"]), now=at)


def _one_alert(session: Session, start: str) -> Alert:
    text = start.strip().removeprefix("alert-")
    found = session.rows(PACKAGE, "alerts_by_id", {"start": f"alert-{text}"}) if len(text) >= _SHORTEST_ID else []
    if len(found) != 1:
        raise UsageError(
            "more than one alert begins so" if found else "there is no such alert",
            where="alert",
            remedy=f"Give an id of cavra-pipeline alerts list, at least {_SHORTEST_ID} characters after alert-",
        )
    return alert_of(found[0])


def silence_alerts(
    settings: Settings,
    *,
    kind: str | None,
    subject: str | None,
    by: str,
    comment: str,
    starts_at: datetime,
    ends_at: datetime,
    now: datetime,
) -> dict[str, Any]:
    """Mutes the alerts of a kind, of a subject, or of both, for a while; they still begin and end.

    Args:
        settings: The home.
        kind: The kind; any if None.
        subject: The subject; any if None. One of the two is needed.
        by: Actor label of who wants it.
        comment: Public-safe label that says why.
        starts_at: From when.
        ends_at: Until when, not included; at most a year after the start.
        now: When this is said.

    Returns:
        The silence.

    Raises:
        UsageError: A value is not accepted; the message names it.
    """
    label, reason = actor_label(by, where="by"), actor_label(comment, where="comment")
    if kind is None and subject is None:
        raise UsageError("it would match every alert", where="silence", remedy="Give a kind, a subject, or both")
    if subject is not None and not is_public_text(subject):
        raise UsageError("the value is not accepted", where="subject", remedy="Give it as alerts list shows it")
    if not max(now, starts_at) < ends_at <= starts_at + MOST_SILENCE:
        raise UsageError(
            "it has no time to hold",
            where="until",
            remedy="Let it end after it begins and within a year, in the future",
        )
    name = kind_named(kind).name if kind else None
    identity = "\n".join(map(str, (name, subject, label, reason, starts_at, ends_at, now)))
    silence: dict[str, object] = {
        "silence_id": f"silence-{hashlib.sha256(identity.encode()).hexdigest()[:8]}",
        "kind": name,
        "subject": subject,
        "author": label,
        "starts_at": naive_utc(starts_at),
        "ends_at": naive_utc(ends_at),
        "comment": reason,
    }
    with warehouse_of(settings).writing("silence alerts") as session:
        session.run(PACKAGE, "insert_silence", {**silence, "now": naive_utc(now)})
    return _with_instants(silence)


def end_silence(settings: Settings, silence_id: str, *, now: datetime) -> dict[str, Any]:
    """Ends a silence now.

    Returns:
        The silence.

    Raises:
        UsageError: There is no such silence, or it has ended.
    """
    with warehouse_of(settings).writing("end a silence") as session:
        ended = session.rows(PACKAGE, "end_silence", {"silence_id": silence_id, "now": naive_utc(now)})
    if not ended:
        raise UsageError(
            "there is no such silence, or it has ended",
            where="silence",
            remedy="Give an id of cavra-pipeline alerts list",
        )
    return _with_instants(ended[0])
