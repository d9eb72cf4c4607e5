"""The recovery escalation plan: which recoveries and retries wait for people, how late they are, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cavra_pipeline.boundary.judge import actor_label
from cavra_pipeline.documents import (
    DEFAULT_GENERATED_BY,
    PRODUCT,
    SCHEMA_PREFIX,
    identify,
    instant,
    naive_utc,
)
from cavra_pipeline.errors import UsageError, checked
from cavra_pipeline.executive.counts import EvidenceState, evidence_states
from cavra_pipeline.executive.words import count, listed
from cavra_pipeline.provider_names import provider_title
from cavra_pipeline.recoveries.history import DEFAULT_SLO_MINUTES, RecoveryParameters
from cavra_pipeline.recoveries.report import NO_PLAYBOOK, recovery_reports
from cavra_pipeline.reports.executions import by_provider
from cavra_pipeline.warehouse import Session

#: How plans that this pipeline makes are called.
OWN_PLAN_PREFIX: Final = "pipeline-escalation-plan"
#: Category of a route for retries that failed, as CAVRA calls it.
RETRY_CATEGORY: Final = "retry-execution"
_PROVIDER: Final = re.compile(r"[a-z0-9][a-z0-9_]{0,63}")


def escalation_plan(
    session: Session,
    *,
    as_of: datetime,
    now: datetime,
    slo_minutes: int = DEFAULT_SLO_MINUTES,
    providers: Sequence[str],
    generated_by: str = DEFAULT_GENERATED_BY,
) -> dict[str, Any]:
    """Makes the escalation plan: a route for each open recovery, and one for each provider with unresolved retries.

    Args:
        session: An open warehouse.
        as_of: The instant of the plan; later records do not exist for it.
        now: When the plan is made; only ``generated_at`` shows it.
        slo_minutes: How long a recovery may be open.
        providers: Connectors through which people are notified; order and spelling do not matter. They are no route's
            provider: that is what is broken.
        generated_by: Actor label of who asked.

    Returns:
        The plan; critical routes first, then those with the most failures, then the oldest.

    Raises:
        UsageError: A value is outside what is accepted; the message names it.
    """
    parameters = checked(RecoveryParameters, {"slo_minutes": slo_minutes})
    (report,) = recovery_reports(session, parameters, instants=[as_of], now=now, generated_by=generated_by)
    evidence = evidence_states(session, [as_of])[naive_utc(as_of)]
    return plan_of_recoveries(
        report, evidence=evidence, as_of=as_of, now=now, providers=providers, generated_by=generated_by
    )


def plan_of_recoveries(
    report: Mapping[str, Any],
    *,
    evidence: EvidenceState,
    as_of: datetime,
    now: datetime,
    providers: Sequence[str],
    generated_by: str,
) -> dict[str, Any]:
    """Makes the plan from a recovery report and the evidence beside it; otherwise as ``escalation_plan``."""
    generated_by = actor_label(generated_by, where="generated_by")
    offered = _selected(providers)
    slo = timedelta(minutes=report["recovery_slo_minutes"])
    open_rows = [row for row in report["recoveries"] if row["slo_status"] != "closed"]
    failing = by_provider(evidence.unresolved_executions)
    routes = [_recovery_route(row, naive_utc(as_of), slo) for row in open_rows]
    routes += [_retry_route(provider, number) for provider, number in failing.items()]
    routes.sort(key=_urgency)
    is_known = report["state"] != NO_PLAYBOOK
    severities = {route["severity"] for route in routes}
    nothing = "healthy" if is_known else "unknown"
    plan: dict[str, Any] = {
        "schema_version": f"{SCHEMA_PREFIX}recovery-escalation-plan.v1",
        "product": PRODUCT,
        "plan_id": "",
        "recovery_report_id": report["recovery_report_id"],
        "as_of": instant(as_of),
        "generated_at": instant(now),
        "generated_by": generated_by,
        "state": "open" if routes else "none_open" if is_known else NO_PLAYBOOK,
        "alert_level": "critical" if "critical" in severities else "warning" if routes else nothing,
        "escalation_count": len(routes),
        "critical_escalation_count": sum(route["severity"] == "critical" for route in routes),
        "open_recovery_count": len(open_rows),
        "recovery_slo_minutes": report["recovery_slo_minutes"],
        "slo_breached_count": report["recovery_slo_breached_count"],
        "slo_at_risk_count": sum(route["slo_state"] == "at_risk" for route in routes),
        "failed_execution_count": sum(failing.values()),
        "unplanned_failure_count": evidence.unplanned_failure_count,
        "selected_providers": offered if routes else [],
        "escalation_routes": routes,
    }
    plan["plan_id"] = identify(OWN_PLAN_PREFIX, plan)
    return plan


def slo_state(age: timedelta, slo: timedelta) -> str:
    """Returns ``breached`` over the limit, ``at_risk`` from three quarters of it on, or ``within``."""
    if age > slo:
        return "breached"
    return "at_risk" if 4 * age >= 3 * slo else "within"


def _urgency(route: Mapping[str, Any]) -> tuple[Any, ...]:
    age = -1 if route["age_minutes"] is None else route["age_minutes"]
    return (
        route["severity"] != "critical",
        -(route["failure_count"] or 0),
        -age,
        route["provider"],
        route["playbook_id"],
    )


def _selected(providers: Sequence[str]) -> list[str]:
    if isinstance(providers, str):
        raise UsageError("a list is expected", where="providers", remedy="Give a list of connector names")
    names = {provider.strip().lower().replace("-", "_") for provider in providers}
    if not all(_PROVIDER.fullmatch(name) for name in names):
        raise UsageError(
            "a connector's name is not accepted",
            where="providers",
            remedy="Use 1 to 64 letters, digits and _ for each, such as slack",
        )
    return sorted(names)


def _recovery_route(row: Mapping[str, Any], at: datetime, slo: timedelta) -> dict[str, Any]:
    opened_at = naive_utc(datetime.fromisoformat(row["opened_at"]))
    need = next(need for need in NEEDS if need.applies(row))
    return {
        "provider": row["provider"],
        "category": row["category"],
        "severity": "critical" if row["slo_status"] == "breached" else "warning",
        "playbook_id": row["playbook_id"],
        "closure_state": row["closure_state"],
        "slo_status": row["slo_status"],
        "slo_state": slo_state(at - opened_at, slo),
        "opened_at": row["opened_at"],
        "slo_due_at": instant(_due(opened_at, slo)),
        "age_minutes": row["age_minutes"],
        "failure_count": row["failure_count"],
        "notified_through": row["notified_through"],
        "acknowledged": row["acknowledged"],
        "need": need.name,
        "recommended_action": need.action(row),
    }


def _retry_route(provider: str, number: int) -> dict[str, Any]:
    """A route for a provider whose retries failed or were skipped: no recovery, so it has no age and no limit."""
    return {
        "provider": provider,
        "category": RETRY_CATEGORY,
        "severity": "critical",
        "playbook_id": "",
        "closure_state": None,
        "slo_status": None,
        "slo_state": None,
        "opened_at": None,
        "slo_due_at": None,
        "age_minutes": None,
        "failure_count": number,
        "notified_through": [],
        "acknowledged": False,
        "need": "review_retries",
        "recommended_action": f"Review {count(number, 'audit delivery', 'audit deliveries')} to "
        f"{provider_title(provider)} of which the newest retry failed or was skipped; approve another retry or record "
        "what was done.",
    }


def _due(opened_at: datetime, slo: timedelta) -> datetime | None:
    try:
        return opened_at + slo
    except OverflowError:
        return None


@dataclass(frozen=True, slots=True)
class Need:
    """What an open recovery needs next.

    Attributes:
        name: Names the need in answers.
        text: The recommended action; ``{provider}`` is what is broken, ``{channels}`` where the notification arrived.
        applies: Whether a recovery needs this.
    """

    name: str
    text: str
    applies: Callable[[Mapping[str, Any]], bool]

    def action(self, row: Mapping[str, Any]) -> str:
        """Says what to do."""
        channels = listed([provider_title(provider) for provider in row["notified_through"]])
        return self.text.format(provider=provider_title(row["provider"]), channels=channels)


def _says(state: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda row: bool(row["closure_state"] == state)


#: The first that applies is what a recovery needs; the last applies to whatever is left.
NEEDS: Final = (
    Need("decide", "Decide what to do about the escalated {provider} recovery.", _says("escalated")),
    Need("resume", "Agree a new date for the deferred {provider} recovery.", _says("deferred")),
    Need("fix_again", "Fix {provider} again: the recovery was closed and has been reopened.", _says("reopened")),
    Need(
        "notify",
        "Notify an owner of {provider}: no escalation of this recovery has been delivered.",
        lambda row: not row["notified_through"] and not row["acknowledged"],
    ),
    Need(
        "acknowledge",
        "Name an owner of {provider}: the notification arrived through {channels} and nobody has acknowledged it.",
        lambda row: not row["acknowledged"],
    ),
    Need(
        "close", "Make sure that {provider} works, then record the recovery as resolved or mitigated.", lambda _: True
    ),
)
