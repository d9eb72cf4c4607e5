"""Why an open alert is muted: another alert explains it, it is flapping, or a silence covers it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cavra_pipeline.alerts.kinds import FLAPPING, KINDS, UNKNOWN_CAUSES, Inhibitor
from cavra_pipeline.alerts.model import Alert
from cavra_pipeline.alerts.signals import Signal
from cavra_pipeline.settings import AlertPolicy

#: How long an alert whose cause names another alert waits for that one to be found too.
EXPLANATION_WAIT: Final = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Silence:
    """Somebody does not want to hear of some alerts for a while.

    Attributes:
        silence_id: Its id.
        kind: The kind it matches; None for any.
        subject: The subject it matches; None for any.
        author: Actor label.
        starts_at: From when it holds.
        ends_at: From when it no longer holds.
        comment: Public-safe label that says why.
    """

    silence_id: str
    kind: str | None
    subject: str | None
    author: str
    starts_at: datetime
    ends_at: datetime
    comment: str

    def holds(self, alert: Alert, now: datetime) -> bool:
        """Returns whether it mutes the alert at this instant."""
        return (
            self.starts_at <= now < self.ends_at
            and self.kind in (None, alert.kind)
            and self.subject in (None, alert.subject)
        )


def muted_by(
    alert: Alert, others: Mapping[str, Sequence[Alert]], silences: Iterable[Silence], now: datetime
) -> str | None:
    """Returns why an alert is muted at this instant, or None.

    Args:
        alert: The alert.
        others: By kind, alerts that are open and those that ended since this one began.
        silences: Silences that have not ended.
        now: The instant.
    """
    for silence in silences:
        if silence.holds(alert, now):
            return silence.silence_id
    if any(
        flapping.is_open and target(flapping) == (alert.kind, alert.subject) for flapping in others.get(FLAPPING, ())
    ):
        return FLAPPING
    return _explanation(alert, others, now)


def _explanation(alert: Alert, others: Mapping[str, Sequence[Alert]], now: datetime) -> str | None:
    """The kind that explains the alert; every one of its causes has to be explained."""
    explained_by = None
    for cause in alert.causes:
        inhibitors = KINDS[alert.kind].inhibited_by
        kinds = (
            inhibitor.kind
            for inhibitor in inhibitors
            if _explains(inhibitor, cause, alert, others.get(inhibitor.kind, ()), now)
        )
        explained_by = next(kinds, None)
        if explained_by is None:
            return None
    return explained_by


def _explains(inhibitor: Inhibitor, cause: str, alert: Alert, sources: Sequence[Alert], now: datetime) -> bool:
    sources = [source for source in sources if not inhibitor.same_subject or source.subject == alert.subject]
    if cause == inhibitor.cause:
        # The explanation may be found a little later, by another sensor.
        is_awaited = alert.is_open and now < alert.opened_at + EXPLANATION_WAIT
        return is_awaited or any(_may_explain(source, alert) for source in sources)
    return cause in UNKNOWN_CAUSES and any(source.is_open for source in sources)


def _may_explain(source: Alert, alert: Alert) -> bool:
    # A resolved alert is muted only as long as its explanation: whoever was notified of it hears of its end.
    return source.resolved_at is None or (alert.is_open and source.resolved_at >= alert.since)


def target(flapping: Alert) -> tuple[str, str]:
    """Returns the kind and subject of the alert that a flapping alert is about."""
    return str(flapping.evidence["alert_kind"]), str(flapping.evidence["alert_subject"])


@dataclass(frozen=True, slots=True)
class Changes:
    """How often one alert began or ended within the flap window, and when first."""

    kind: str
    subject: str
    count: int
    first_at: datetime


def flapping_signals(changes: Iterable[Changes], open_alerts: Iterable[Alert], policy: AlertPolicy) -> Iterator[Signal]:
    """Yields what is flapping: from so many changes on, until there has been none for a whole window."""
    already = {target(alert): alert for alert in open_alerts if alert.kind == FLAPPING}
    for change in changes:
        key = (change.kind, change.subject)
        if (
            change.kind != FLAPPING
            and not KINDS[change.kind].ends_by_hand
            and (change.count >= policy.flap_changes or key in already)
        ):
            flapping = already.get(key)
            yield Signal(
                kind=FLAPPING,
                subject=f"{change.kind} {change.subject}"[:200],
                severity=KINDS[change.kind].severity,
                since=flapping.since if flapping else change.first_at,
                count=max(change.count, flapping.occurrence_count if flapping else 0),
                evidence={"alert_kind": change.kind, "alert_subject": change.subject},
            )
