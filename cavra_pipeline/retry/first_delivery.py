"""First deliveries: tell people of a recovery escalation or an executive report, and leave evidence of how it went.

What fails here is what the lane's retry plan takes up. Dry unless it is live; live needs the host armed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.connectors import Notification, Severity
from cavra_pipeline.documents import instant
from cavra_pipeline.errors import UsageError
from cavra_pipeline.evidence.boundary import actor_label
from cavra_pipeline.evidence.ingest import warehouse_of
from cavra_pipeline.evidence.own import commit_own_drop, write_own_drop
from cavra_pipeline.lanes import Lane
from cavra_pipeline.retry.policy import retry_policy
from cavra_pipeline.retry.records import delivery_record, digest, idempotency_id
from cavra_pipeline.retry.worker import Sender
from cavra_pipeline.settings import Settings

_SEVERITIES: Final[Mapping[str, Severity]] = {"critical": "critical", "warning": "warning", "healthy": "info"}


def deliver_first(
    settings: Settings,
    lane: Lane,
    sender: Sender,
    *,
    subject: Mapping[str, Any],
    title: str,
    summary: str,
    alert_level: str,
    facts: Mapping[str, str | int | None],
    providers: Sequence[str],
    is_live: bool,
    generated_by: str,
    clock: Callable[[], datetime],
) -> dict[str, Any]:
    """Delivers one message through connectors, one attempt each.

    Args:
        settings: The home; a live delivery needs ``live_is_armed``.
        lane: The ladder that retries it.
        sender: The host's connectors.
        subject: The lane's subject field and its value, and what else identifies it.
        title: One line.
        summary: What happened, without any record content.
        alert_level: critical, warning or healthy.
        facts: Counts and ids.
        providers: Connectors to go through.
        is_live: Whether to send; False says what would be sent.
        generated_by: Actor label.
        clock: Tells the time.

    Returns:
        What was, or would be, sent, and how it went.

    Raises:
        UsageError: Live is not armed on this host, no provider is named, or one has no connector.
    """
    actor_label(generated_by, where="generated_by")
    missing = [provider for provider in providers if not sender.has(provider)]
    if not providers or (is_live and missing):
        raise UsageError(
            "no connector that is on" if missing else "no provider is named",
            where=f"provider {', '.join(missing)[:80]}" if missing else "provider",
            remedy=f"Name connectors that are on in {settings.connectors_file}",
        )
    if is_live:
        settings.require_live()
    started_at = clock()
    name = str(subject[lane.subject_field])
    session_id = f"delivery-{digest(lane.name, name, started_at.isoformat())[:32]}"
    outcomes = [
        sender.send(
            provider,
            Notification(
                idempotency_id=idempotency_id(lane, name, provider, session_id),
                event_type=f"cavra.{lane.name}",
                title=title,
                summary=summary,
                severity=_SEVERITIES[alert_level],
                subject=name,
                occurred_at=started_at,
                facts=facts,
            ),
        )
        for provider in (providers if is_live else ())
    ]
    if is_live:
        now = clock()
        delivery = delivery_record(
            lane,
            outcomes,
            session_id=session_id,
            event_type=f"cavra.{lane.name}",
            subject=subject,
            max_attempt_count=retry_policy(lane).max_retry_attempts,
            created_at=now,
            signer=generated_by,
        )
        drop = write_own_drop(settings, session_id, [delivery], now=now)
        with warehouse_of(settings).writing("record a delivery") as session:
            commit_own_drop(session, drop, now=now)
    return {
        "lane": lane.name,
        **subject,
        "dry_run": not is_live,
        "title": title,
        "providers": list(providers),
        "without_connector": missing,
        "delivered_at": instant(clock()) if is_live else None,
        "outcomes": [
            {
                "provider": outcome.provider,
                "success": outcome.success,
                "grade": outcome.grade.value,
                "reason": outcome.reason,
                "status_code": outcome.status_code,
                "attempt_count": outcome.attempt_count,
            }
            for outcome in outcomes
        ],
    }
