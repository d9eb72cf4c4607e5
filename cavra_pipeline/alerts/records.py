"""CAVRA's own records of alerts: who is told (alert plan) and what a person said (alert acknowledgement)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from cavra_pipeline.alerts.store import PACKAGE, aware
from cavra_pipeline.documents import DEFAULT_GENERATED_BY
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.evidence.own import commit_own_drop, record, write_own_drop
from cavra_pipeline.lanes import LANES
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse import Session

ACKNOWLEDGED: Final = "acknowledged"
RESOLVED: Final = "resolved"


def record_plans(settings: Settings, *, now: datetime) -> int:
    """Writes the plans of notices as evidence, those that are not yet; a plan is one record for all its connectors.

    Safe to repeat: the same plan is the same drop with the same content.

    Returns:
        How many records were written.
    """
    with warehouse_of(settings).reading() as session:
        rows: list[dict[str, Any]] = session.rows(PACKAGE, "unrecorded_notices")
    plans = [list(same) for _, same in groupby(rows, key=lambda row: row["plan_id"])]
    if not plans:
        return 0
    drops = []
    for same in plans:
        created_at = aware(same[0]["created_at"])
        written = _plan_record(same, created_at)
        drops.append(write_own_drop(settings, str(written["session_id"]), [written], now=created_at))
    with warehouse_of(settings).writing("record alert plans") as session:
        for drop in drops:
            commit_own_drop(session, drop, now=now)
        session.run(PACKAGE, "mark_recorded", {"plan_ids": [same[0]["plan_id"] for same in plans]})
    return len(plans)


def _plan_record(rows: Sequence[dict[str, Any]], created_at: datetime) -> dict[str, Any]:
    first = rows[0]
    health_id = json.loads(first["document"])["facts"].get("evidence_health_id")
    return record(
        f"{LANES[first['lane']].kind_stem}-plan",
        session_id=first["plan_id"],
        created_at=created_at,
        signer=DEFAULT_GENERATED_BY,
        plan_id=first["plan_id"],
        alert_level=first["alert_level"],
        selected_providers=[row["provider"] for row in rows],
        suppressed_providers=list(first["suppressed_providers"]),
        **({"health_id": health_id} if health_id else {}),
    )


def record_acknowledgement(
    settings: Settings,
    session: Session,
    *,
    alert_id: str,
    lane: str,
    health_id: str | None,
    state: str,
    by: str,
    now: datetime,
) -> None:
    """Writes what a person said of an alert as evidence, inside the open transaction.

    Args:
        settings: The home.
        session: The warehouse, open for writing.
        alert_id: The alert.
        lane: The lane of the record.
        health_id: The health report that the alert is about, if any.
        state: ``acknowledged`` or ``resolved``.
        by: Actor label.
        now: When it was said.

    There is a record for each connector that was notified. Where none was, one record without plan and provider.
    """
    name = f"acknowledgement-{alert_id}" if state == ACKNOWLEDGED else f"acknowledgement-{alert_id}-{state}"
    told: list[dict[str, Any]] = session.rows(PACKAGE, "told_providers", {"alert_id": alert_id})
    written = [
        record(
            f"{LANES[lane].kind_stem}-ack",
            session_id="-".join((name, *([row["provider"]] if row else []))),
            created_at=now,
            signer=by,
            acknowledgement_id=f"ack-{name.removeprefix('acknowledgement-')}",
            acknowledgement_state=state,
            **row,
            **({"health_id": health_id} if health_id else {}),
        )
        for row in told or [{}]
    ]
    drop = write_own_drop(settings, name, written, now=now)
    commit_own_drop(session, drop, now=now)
