"""The evidence that sending leaves: one delivery record for what was tried. How it is sent is not known here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from cavra_pipeline.connectors import DeliveryOutcome
from cavra_pipeline.documents import instant
from cavra_pipeline.evidence.kinds import DELIVERY_KIND
from cavra_pipeline.evidence.own import record
from cavra_pipeline.lanes import Lane


def digest(*parts: object) -> str:
    """Returns the SHA-256 of the parts, for ids that follow from content."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()


def idempotency_id(lane: Lane, subject: str, provider: str, first_delivery_id: str) -> str:
    """The id of a delivery on the wire: the same for its first attempt and for every retry until one arrives."""
    return f"cavra_{digest(lane.name, subject, provider, first_delivery_id)[:32]}"


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
        event_type: What was told.
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
