"""Message of a retry, and its evidence: a delivery for each attempt, an execution for each retry.

How it is sent is the engine's (``cavra_pipeline.sending``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.boundary.kinds import DELIVERY_KIND, payload_key
from cavra_pipeline.connectors import DeliveryOutcome, Notification
from cavra_pipeline.documents import canonical_json, digest_of, instant
from cavra_pipeline.evidence.emitted import record
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.sending.engine import Purpose
from cavra_pipeline.sending.intents import Intent

_SUBJECT_CHARACTERS: Final = 150


def idempotency_id(lane: Lane, subject: str, provider: str, first_delivery_id: str) -> str:
    """The id of a delivery on the wire: the same for its first attempt and for every retry until one arrives."""
    return f"cavra_{digest_of(lane.name, subject, provider, first_delivery_id)[:32]}"


def delivery_record(
    lane: Lane,
    outcomes: Sequence[DeliveryOutcome],
    *,
    session_id: str,
    event_type: str,
    subject: Mapping[str, Any],
    max_attempt_count: int,
    created_at: datetime,
    signer: str,
    **fields: Any,
) -> dict[str, Any]:
    """Makes the record of one delivery.

    Args:
        lane: The ladder it belongs to.
        outcomes: What became of it at each connector.
        session_id: Its identity.
        event_type: Type of the message.
        subject: The lane's subject field and its value, and what else identifies it.
        max_attempt_count: Attempts the policy allows.
        created_at: When the last answer came.
        signer: Actor label.
        fields: More of the kind's fields.
    """
    failed = [outcome.provider for outcome in outcomes if not outcome.success]
    return record(
        DELIVERY_KIND,
        session_id=session_id,
        created_at=created_at,
        signer=signer,
        blocked_count=len(failed),
        connector_delivery_source=lane.delivery_source,
        event_id=subject[lane.subject_field],
        event_type=event_type,
        delivery_success=not failed,
        providers=[outcome.provider for outcome in outcomes],
        failed_providers=failed,
        attempt_count=max((outcome.attempt_count for outcome in outcomes), default=0),
        max_attempt_count=max_attempt_count,
        status_codes=[outcome.status_code for outcome in outcomes],
        delivery={
            "deliveries": [
                {
                    "provider": outcome.provider,
                    "success": outcome.success,
                    "status_code": outcome.status_code,
                    "attempt_count": outcome.attempt_count,
                    "started_at": instant(outcome.started_at),
                    "completed_at": instant(outcome.completed_at),
                }
                for outcome in outcomes
            ]
        },
        **subject,
        **fields,
    )


def retry_notification(lane: Lane, decision: Mapping[str, Any], idempotency: str) -> Notification:
    """Makes the message of a retry; it holds ids and counts only."""
    subject = "".join(c if c.isprintable() else " " for c in str(decision[lane.subject_field]))
    subject = " ".join(subject.split())[:_SUBJECT_CHARACTERS] or "unnamed"
    return Notification(
        idempotency_id=idempotency,
        event_type=f"cavra.{lane.name}.retry",
        title=f"CAVRA {lane.name.replace('_', ' ')}: {subject}",
        summary=f"Delivery to {decision['provider']} failed {decision['retry_count']} times; this is its retry.",
        severity="critical",
        subject=subject,
        occurred_at=datetime.fromisoformat(str(decision["latest_delivery_at"])),
        facts={
            "lane": lane.name,
            "failures": decision["retry_count"],
            "latest_delivery": decision["latest_delivery_id"],
        },
    )


def execution_status(outcome: DeliveryOutcome | None) -> str:
    """Returns how a retry ended: ``delivered``, ``failed``, or ``skipped`` if none was sent."""
    return "skipped" if outcome is None else "delivered" if outcome.success else "failed"


def _retry_records(intent: Intent, outcome: DeliveryOutcome | None, at: datetime) -> list[dict[str, Any]]:
    """The evidence of one retry: the delivery, if one was tried, and the execution."""
    lane, context = LANES[intent.lane], intent.context
    subject = {lane.subject_field: intent.subject}
    if lane.decision_field:
        subject[lane.decision_field] = context[lane.decision_field]
    named = "worker_run_id" if "worker_run_id" in lane.execution_fields.split() else "run_id"
    made_by = {named: intent.run_id}
    status = execution_status(outcome)
    shared: dict[str, Any] = {"created_at": at, "signer": context["generated_by"]}
    content = {
        "retry_plan_id": context["retry_plan_id"],
        **subject,
        **made_by,
        "provider": intent.provider,
        "execution_status": status,
        "execution_id": intent.intent_id,
    }
    result = {"delivery_success": status == "delivered"}
    execution = record(
        lane.kinds.execution,
        session_id=f"execution-{intent.intent_id}",
        decision_count=1,
        blocked_count=int(status != "delivered"),
        execution_hash=digest_of(canonical_json(content)),
        **({payload_key(lane.kinds.execution): result} if lane.results_are_nested else result),
        **content,
        **shared,
    )
    if outcome is None:
        return [execution]
    delivery = delivery_record(
        lane,
        [outcome],
        session_id=f"delivery-{intent.intent_id}",
        event_type=f"cavra.{lane.name}.retry",
        subject=subject,
        max_attempt_count=context["max_retry_attempts"],
        worker_run_id=intent.run_id,
        retry_plan_id=context["retry_plan_id"],
        **shared,
    )
    return [delivery, execution]


#: Retries of failed deliveries; a further retry is another intent, selected by the next plan.
RETRIES: Final = Purpose("retry", evidence=_retry_records)
