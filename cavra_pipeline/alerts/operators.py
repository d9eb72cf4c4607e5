"""What people do with alerts: list, acknowledge, resolve and silence them. Nothing is sent from here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from cavra_pipeline.alerts.kinds import KINDS, SECRET_FINDING, kind_named
from cavra_pipeline.alerts.leaks import handle_leaks
from cavra_pipeline.alerts.model import Alert, AlertState
from cavra_pipeline.alerts.muting import Silence
from cavra_pipeline.alerts.records import ACKNOWLEDGED, RESOLVED, record_acknowledgement
from cavra_pipeline.alerts.signals import is_public_text
from cavra_pipeline.alerts.store import Event, alerts, heads, open_alerts, plans_sent, save, silences
from cavra_pipeline.alerts.wording import action_of, subject_text
from cavra_pipeline.boundary.judge import actor_label
from cavra_pipeline.documents import digest_of, instant, with_instants
from cavra_pipeline.errors import UsageError
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.state import tables as t

MOST_SILENCE: Final = timedelta(days=366)
DEFAULT_HISTORY: Final = 100
_SHORTEST_ID: Final = 4


class EndsByItself(UsageError):
    """An alert that ends once its cause is gone can't be resolved by hand."""


class EndsByHand(UsageError):
    """An alert that only a person ends is resolved, not acknowledged."""


def list_alerts(c: sa.Connection, settings: Settings, *, now: datetime) -> dict[str, Any]:
    """Returns open alerts, silences that have not ended, undelivered notifications, and the connectors notified."""
    ordered_alerts = sorted(open_alerts(c), key=lambda alert: (alert.severity, alert.since, alert.alert_id))
    active_silences = silences(c, now)
    newest = sorted(heads(c, settings.alerts.connectors).items(), key=lambda pair: (pair[1].created_at, pair[0][::-1]))
    return {
        "as_of": instant(now),
        "connectors": list(settings.alerts.connectors),
        "alert_count": len(ordered_alerts),
        "alerts": [_document(_muted_now(alert, active_silences, now)) for alert in ordered_alerts],
        "silences": [_silence_document(silence) for silence in active_silences],
        "unsent_notices": [
            {
                "provider": provider,
                "group_name": group,
                "notice": head.notice,
                "state": head.state,
                "attempt_count": head.attempt_count,
                "reason": head.reason,
                "status_code": head.status_code,
                "created_at": instant(head.created_at),
                "next_attempt_at": instant(head.next_attempt_at),
                "notice_id": head.notice_id,
            }
            for (group, provider), head in newest
            if head.state != "sent"
        ],
    }


def _muted_now(alert: Alert, active_silences: Sequence[Silence], now: datetime) -> Alert:
    """The alert as silences mute it now: one made or ended since the last evaluation counts at once."""
    holding = next((silence.silence_id for silence in active_silences if silence.holds(alert, now)), None)
    return replace(alert, muted_by=holding or (alert.muted_by if alert.muted_by in KINDS else None))


def _document(alert: Alert) -> dict[str, Any]:
    kind = KINDS.get(alert.kind)
    described = {
        "subject_text": subject_text(alert.subject),
        "action": action_of(alert),
        "ends_by_hand": kind.ends_by_hand if kind else False,
    }
    return with_instants(asdict(alert)) | {"state": alert.state.value} | described


def _silence_document(silence: Silence) -> dict[str, Any]:
    return with_instants(asdict(silence)) | {"subject_text": subject_text(silence.subject) if silence.subject else None}


def describe_alert(c: sa.Connection, alert_id: str) -> dict[str, Any]:
    """Returns an alert, open or resolved, as the list of open ones shows it; the beginning of its id is enough.

    Raises:
        UsageError: There is no such alert.
    """
    return _document(_one_alert(c, alert_id))


def alert_history(
    c: sa.Connection, *, alert_id: str | None = None, kind: str | None = None, most: int = DEFAULT_HISTORY
) -> list[dict[str, Any]]:
    """Returns what happened to alerts and the silences that covered them, the newest first.

    Args:
        c: The state database.
        alert_id: Only this one; the beginning of its id is enough.
        kind: Only this kind.
        most: How many events.

    Raises:
        UsageError: There is no such alert or kind.
    """
    a, e = t.alerts.c, t.alert_events.c
    chosen = [a.alert_id == _one_alert(c, alert_id).alert_id] if alert_id else []
    chosen += [a.kind == kind_named(kind).name] if kind else []
    query = (
        sa.select(e.happened_at, a.kind, a.subject, a.episode, e.event, e.detail, e.actor, a.alert_id)
        .select_from(t.alert_events.join(t.alerts, a.alert_id == e.alert_id))
        .where(*chosen)
        .order_by(e.event_number.desc())
        .limit(most)
    )
    rows = [dict(row) for row in c.execute(query).mappings()] + _silenced(c, chosen, most)
    rows.sort(key=lambda row: row["happened_at"], reverse=True)
    return [with_instants(row) | {"subject_text": subject_text(row["subject"])} for row in rows[:most]]


def _silenced(c: sa.Connection, chosen: list[sa.ColumnElement[bool]], most: int) -> list[dict[str, Any]]:
    """An event for each silence that covered an alert while it was open; ended ones end when a person ended them."""
    a, s = t.alerts.c, t.alert_silences.c
    covers = (
        (s.kind.is_(None) | (s.kind == a.kind))
        & (s.subject.is_(None) | (s.subject == a.subject))
        & (s.starts_at < s.ends_at)
        & (s.ends_at > a.opened_at)
        & (a.resolved_at.is_(None) | (s.starts_at < a.resolved_at))
    )
    query = (
        sa.select(s.created_at, s.starts_at, s.ends_at, s.comment, s.author, a.kind, a.subject, a.episode, a.alert_id)
        .select_from(t.alert_silences.join(t.alerts, covers))
        .where(*chosen)
        .order_by(s.created_at.desc())
        .limit(most)
    )
    return [
        {
            "happened_at": row.created_at,
            "kind": row.kind,
            "subject": row.subject,
            "episode": row.episode,
            "event": "silenced",
            "detail": f"{row.starts_at:%Y-%m-%d %H:%M} to {row.ends_at:%Y-%m-%d %H:%M} UTC: {row.comment}",
            "actor": row.author,
            "alert_id": row.alert_id,
        }
        for row in c.execute(query)
    ]


def acknowledge_alert(
    settings: Settings, alert_id: str, *, by: str, now: datetime, is_resolved: bool = False
) -> dict[str, Any]:
    """Acknowledges an alert: no reminders until it is resolved. Later episodes are not acknowledged. Leaves evidence.

    An alert that only a person ends (``AlertKind.ends_by_hand``) is not acknowledged, but resolved.

    Args:
        settings: The home.
        alert_id: The alert; the beginning of its id is enough.
        by: Actor label of who acknowledges it.
        now: When.
        is_resolved: Whether the alert is said to be resolved, which only one that a person ends can be.

    Returns:
        The alert as it is now.

    Raises:
        EndsByItself: It is said to be resolved, and its cause decides when it ends.
        EndsByHand: It is to be acknowledged, and only a person ends it.
        UsageError: There is no such alert, it is resolved, or the label is not public-safe.
    """
    said = RESOLVED if is_resolved else ACKNOWLEDGED
    label = actor_label(by, where="by")
    with state_of(settings).reading() as c:
        alert = _one_alert(c, alert_id)
        plans = plans_sent(c, alert) if alert.kind in KINDS else {}
    _require_fits(alert, said)
    ends_by_hand = KINDS[alert.kind].ends_by_hand
    at = max(now, alert.opened_at)
    if said == RESOLVED or alert.state is AlertState.FIRING:
        record_acknowledgement(settings, alert, plans, state=said, by=label, now=at)
    state = AlertState.RESOLVED if ends_by_hand else AlertState.ACKNOWLEDGED
    a = t.alerts.c
    changes: dict[str, Any] = {
        "state": state.value,
        "acknowledged_at": sa.func.coalesce(a.acknowledged_at, sa.literal(at, t.Instant())),
        "acknowledged_by": sa.func.coalesce(a.acknowledged_by, label),
    }
    with state_of(settings).writing() as c:
        is_new = a.state != AlertState.RESOLVED.value if ends_by_hand else a.state == AlertState.FIRING.value
        changed = sa.update(t.alerts).where(a.alert_id == alert.alert_id, is_new)
        if c.execute(changed.values(**changes, **({"resolved_at": at} if ends_by_hand else {}))).rowcount:
            save(c, events=[Event(alert.alert_id, said, at, None, label)])
            if alert.kind == SECRET_FINDING and "newest_leak" in alert.evidence:
                handle_leaks(c, alert.subject, newest=int(alert.evidence["newest_leak"]), now=at)
        (alert,) = alerts(c, a.alert_id == alert.alert_id)
    return _document(alert)


def _require_fits(alert: Alert, said: str) -> None:
    """Refuses what can't be said of an alert: of one that is over nothing, of others one of the two words."""
    if not alert.is_open or alert.kind not in KINDS:
        raise UsageError(
            "the alert is over", where=alert.alert_id, remedy="Only an open alert is acknowledged or resolved"
        )
    ends_by_hand = KINDS[alert.kind].ends_by_hand
    if said == RESOLVED and not ends_by_hand:
        raise EndsByItself(
            "this alert resolves by itself once its cause is gone",
            where=alert.alert_id,
            remedy="Fix the cause; until then acknowledge it, or silence its kind",
        )
    if said == ACKNOWLEDGED and ends_by_hand:
        raise EndsByHand(
            "this alert ends only when a person resolves it",
            where=alert.alert_id,
            remedy="Do what it asks for, then resolve it: cavra-pipeline alerts resolve",
        )


def _one_alert(c: sa.Connection, start: str) -> Alert:
    text = start.strip().lower().removeprefix("alert-")
    is_it = t.alerts.c.alert_id.startswith(f"alert-{text}", autoescape=True)
    matches = alerts(c, is_it) if len(text) >= _SHORTEST_ID else []
    if len(matches) != 1:
        raise UsageError(
            "more than one alert begins so" if matches else "there is no such alert",
            where="alert",
            remedy=f"Give an id of cavra-pipeline alerts list, at least {_SHORTEST_ID} characters after alert-",
        )
    return matches[0]


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
    if ends_at <= max(now, starts_at) or ends_at - starts_at > MOST_SILENCE:
        raise UsageError(
            "it ends too early or lasts too long",
            where="silence",
            remedy="Let it end in the future, after it begins and at most 366 days later",
        )
    name = kind_named(kind).name if kind else None
    silence_id = f"silence-{digest_of(name, subject, label, reason, starts_at, ends_at, now)[:8]}"
    silence = Silence(silence_id, name, subject, label, starts_at, ends_at, reason)
    with state_of(settings).writing() as c:
        c.execute(sa.insert(t.alert_silences).values(**asdict(silence), created_at=now))
    return _silence_document(silence)


def end_silence(settings: Settings, silence_id: str, *, now: datetime) -> dict[str, Any]:
    """Ends a silence now.

    Returns:
        The silence.

    Raises:
        UsageError: There is no such silence, or it has ended.
    """
    with state_of(settings).writing() as c:
        ended = [candidate for candidate in silences(c, now) if candidate.silence_id == silence_id]
        if not ended:
            raise UsageError(
                "there is no such silence, or it has ended",
                where="silence",
                remedy="Give an id of cavra-pipeline alerts list",
            )
        silence = replace(ended[0], starts_at=min(ended[0].starts_at, now), ends_at=now)
        by_id = t.alert_silences.c.silence_id == silence_id
        c.execute(sa.update(t.alert_silences).where(by_id).values(asdict(silence)))
    return _silence_document(silence)
