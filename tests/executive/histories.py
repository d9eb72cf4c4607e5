"""Builders for tests of escalations: an escalation plan's record, and questions at an instant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.executive.escalation import escalation_plan
from cavra_pipeline.executive.report import executive_reports
from cavra_pipeline.settings import Settings
from tests.recoveries.stores import routes
from tests.support import AS_OF, NOW, Record, record


def escalated(
    when: datetime,
    *named: tuple[str, str],
    subject: str | None = "subject-1",
    providers: Iterable[str] = ("slack",),
    session_id: str | None = None,
    **fields: Any,
) -> Record:
    """CAVRA's record of an escalation plan whose routes name these recoveries: a playbook and a provider each."""
    about = {"plan_id": subject, "alert_level": "warning", "escalation_count": 1, "recovery_report_id": "report-1"}
    chosen = {"selected_providers": list(providers), **routes(*named)}
    return record("recovery-escalation-plan", when, session_id, **{**about, **chosen, **fields})


def ask_escalation(
    settings: Settings,
    as_of: datetime = AS_OF,
    *,
    now: datetime = NOW,
    providers: Sequence[str] = ("slack",),
    **more: Any,
) -> dict[str, Any]:
    """The escalation plan of a home."""
    with warehouse_of(settings).reading() as session:
        return escalation_plan(session, as_of=as_of, now=now, providers=providers, **more)


def ask_report(settings: Settings, as_of: datetime = AS_OF, *, now: datetime = NOW, **more: Any) -> dict[str, Any]:
    """The executive report of a home."""
    with warehouse_of(settings).reading() as session:
        return executive_reports(session, instants=[as_of], now=now, **more)[0]
