"""The recovery escalation plan: who must be told about which open recovery, how late it is, and what to do next."""

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
    whole_minutes,
)
from cavra_pipeline.errors import UsageError
from cavra_pipeline.executive.counts import Standing, standings
from cavra_pipeline.executive.words import listed, provider_name
from cavra_pipeline.lanes import CLEARING_STATES, CLOSING_STATES
from cavra_pipeline.recoveries.intervals import (
    OWN_PLAN_PREFIX,
    RECOVERIES,
    Interval,
    OpenRecoveries,
    bounded,
    open_recoveries,
    recovery_spells,
)
from cavra_pipeline.warehouse import Session

DEFAULT_SLO_MINUTES: Final = 240
MAX_SLO_MINUTES: Final = 525_600
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
    """Makes the escalation plan of the recoveries that are open.

    Args:
        session: An open warehouse.
        as_of: The instant of the plan; later records do not exist for it.
        now: When the plan is made; only ``generated_at`` shows it.
        slo_minutes: How long a recovery may be open.
        providers: Connectors through which people can be told; order and spelling do not matter.
        generated_by: Actor label of who asked.

    Returns:
        The plan; open recoveries sorted by opening, then subject, so the oldest is first.

    Raises:
        UsageError: A value is outside what is accepted; the message names it.
    """
    at = naive_utc(as_of)
    return plan_of_recoveries(
        open_recoveries(session, {at: recovery_spells(session, as_of=as_of)})[at],
        as_of=as_of,
        now=now,
        slo_minutes=slo_minutes,
        providers=providers,
        generated_by=generated_by,
        standing=standings(session, [as_of])[at],
    )


def plan_of_recoveries(
    known: OpenRecoveries,
    *,
    standing: Standing,
    as_of: datetime,
    now: datetime,
    slo_minutes: int,
    providers: Sequence[str],
    generated_by: str,
) -> dict[str, Any]:
    """Makes the plan from what is known already; otherwise as ``escalation_plan``."""
    slo = timedelta(minutes=bounded("slo_minutes", slo_minutes, MAX_SLO_MINUTES))
    generated_by = actor_label(generated_by, where="generated_by")
    offered = _selected(providers)
    evidence = standing.of(RECOVERIES.name)
    recoveries = [
        _recovery(
            spell,
            known.plans[spell.subject],
            known.routes[spell.subject],
            at=naive_utc(as_of),
            slo=slo,
            offered=offered,
        )
        for spell in known.spells
    ]
    has_evidence = bool(evidence["evidence_record_count"])
    severities = {recovery["severity"] for recovery in recoveries}
    level = "critical" if "critical" in severities else "warning" if recoveries or not has_evidence else "healthy"
    facts = [{key: value for key, value in one.items() if key not in _ROUTING} for one in recoveries]
    plan: dict[str, Any] = {
        "schema_version": f"{SCHEMA_PREFIX}recovery-escalation-plan.v1",
        "product": PRODUCT,
        "plan_id": "",
        "recovery_report_id": identify(
            "recovery-report", {"as_of": instant(as_of), "slo_minutes": slo_minutes, "recoveries": facts}
        ),
        "as_of": instant(as_of),
        "generated_at": instant(now),
        "generated_by": generated_by,
        "state": "open" if recoveries else "none_open" if has_evidence else "no_evidence",
        "alert_level": level,
        "escalation_count": len(recoveries),
        "slo_minutes": slo_minutes,
        "slo_breached_count": _count(recoveries, "slo_state", "breached"),
        "slo_at_risk_count": _count(recoveries, "slo_state", "at_risk"),
        "failed_execution_count": sum(
            route["is_execution_failed"] for recovery in recoveries for route in recovery["routes"]
        ),
        "evidence_record_count": evidence["evidence_record_count"],
        "future_record_count": evidence["future_record_count"],
        "unplanned_failure_count": standing.unplanned_failure_count,
        "selected_providers": offered if level != "healthy" else [],
        "recoveries": recoveries,
    }
    plan["plan_id"] = identify(OWN_PLAN_PREFIX, plan)
    return plan


#: What depends on the connectors at hand and not on the evidence.
_ROUTING: Final = frozenset({"routes", "recommended_action"})


def slo_state(age: timedelta, slo: timedelta) -> str:
    """Returns ``breached`` over the limit, ``at_risk`` from three quarters of it on, or ``within``."""
    if age > slo:
        return "breached"
    return "at_risk" if 4 * age >= 3 * slo else "within"


def _count(recoveries: Sequence[Mapping[str, Any]], name: str, value: str) -> int:
    return sum(recovery[name] == value for recovery in recoveries)


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


def _recovery(
    spell: Interval,
    plan: Mapping[str, Any],
    evidence: Sequence[Mapping[str, Any]],
    *,
    at: datetime,
    slo: timedelta,
    offered: list[str],
) -> dict[str, Any]:
    age = at - spell.opened_at
    routes = [_route(row, offered) for row in evidence]
    routes += [_untried(provider) for provider in offered if not evidence]
    need = next(need for need in NEEDS if need.applies(routes))
    state = slo_state(age, slo)
    is_critical = state == "breached" or plan["alert_level"] == "critical" or need.is_critical
    return {
        "plan_id": spell.subject,
        "recovery_report_id": plan["recovery_report_id"],
        "opened_at": instant(spell.opened_at),
        "first_opened_at": instant(plan["first_opened_at"]),
        "reopened_count": spell.number - 1,
        "age_minutes": whole_minutes(age),
        "severity": "critical" if is_critical else "warning",
        "slo_state": state,
        "slo_due_at": instant(_due(spell.opened_at, slo)),
        "need": need.name,
        "routes": routes,
        "recommended_action": need.action(routes),
    }


def _due(opened_at: datetime, slo: timedelta) -> datetime | None:
    try:
        return opened_at + slo
    except OverflowError:
        return None


def _untried(provider: str) -> dict[str, Any]:
    return _route({"provider": provider}, [provider])


def _route(row: Mapping[str, Any], offered: list[str]) -> dict[str, Any]:
    return {
        "provider": row["provider"],
        "state": route_state(row),
        "is_selected": row["provider"] in offered,
        "delivered_at": instant(row.get("delivered_at")),
        "failing_since": instant(row.get("failing_since")),
        "failure_count": row.get("failure_count", 0),
        "failed_status_code": row.get("failed_status_code"),
        "acknowledgement_state": row.get("acknowledgement_state"),
        "acknowledged_at": instant(row.get("acknowledged_at")),
        "execution_status": row.get("execution_status"),
        "is_execution_failed": bool(row.get("is_execution_failed")),
    }


def route_state(row: Mapping[str, Any]) -> str:
    """Returns the one word that says how a recovery stands at a provider.

    ``failing`` comes before what people answered: an answer does not deliver a notice. ``resolved`` and ``dismissed``
    are the closed ones.
    """
    answer = row.get("acknowledgement_state")
    if row.get("failure_count"):
        return "failing"
    if answer in CLOSING_STATES:
        return str(answer)
    if row.get("is_execution_failed"):
        return "retry_failed"
    if answer in ("escalated", "deferred"):
        return str(answer)
    if answer in CLEARING_STATES:
        return "acknowledged"
    return "delivered" if row.get("delivered_at") else "not_sent"


@dataclass(frozen=True, slots=True)
class Need:
    """What an open recovery needs next.

    Attributes:
        name: Names the need in answers.
        states: Route states that call for it; empty: it applies always.
        text: The recommended action; ``{providers}`` are those whose routes call for it, ``{unclosed}`` all that
            are not closed.
        is_critical: Whether the recovery is critical for this alone.
        condition: Narrows the routes further.
    """

    name: str
    states: frozenset[str]
    text: str
    is_critical: bool = False
    condition: Callable[[Mapping[str, Any]], bool] = lambda _: True

    def routes(self, routes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Returns the routes that call for it."""
        return [route for route in routes if route["state"] in self.states and self.condition(route)]

    def applies(self, routes: Sequence[Mapping[str, Any]]) -> bool:
        """Tells whether the recovery needs this."""
        return not self.states or bool(self.routes(routes))

    def action(self, routes: Sequence[Mapping[str, Any]]) -> str:
        """Says what to do."""
        unclosed = [route for route in routes if route["state"] not in CLOSING_STATES]
        return self.text.format(providers=_names(self.routes(routes)), unclosed=_names(unclosed))


def _names(routes: Sequence[Mapping[str, Any]]) -> str:
    return listed([provider_name(route["provider"]) for route in routes])


def _may_retry(route: Mapping[str, Any]) -> bool:
    return route["acknowledgement_state"] in CLEARING_STATES


#: The first that applies is what a recovery needs; the last applies to whatever is left.
NEEDS: Final = (
    Need(
        "acknowledge_failure",
        frozenset({"failing"}),
        "Acknowledge the failed notice for {providers}, so that the worker may send it again.",
        True,
        lambda route: not _may_retry(route),
    ),
    Need(
        "repair_delivery",
        frozenset({"failing"}),
        "Repair the connection to {providers}, then let the worker send the notice again.",
        True,
    ),
    Need(
        "retry_failed",
        frozenset({"retry_failed"}),
        "Look at the failed retry for {providers}; send it again or record it as resolved.",
        True,
    ),
    Need("decide", frozenset({"escalated"}), "Decide it: it was passed up the line through {providers}.", True),
    Need("send", frozenset({"not_sent"}), "Send the notice through {providers}; nothing shows that it was sent."),
    Need(
        "close", frozenset({"acknowledged"}), "It has an owner: finish it, then record it as resolved for {unclosed}."
    ),
    Need("resume", frozenset({"deferred"}), "Set a time for it: it was put off through {providers}."),
    Need("answer", frozenset({"delivered"}), "Name an owner: the notice reached {providers} and nobody has answered."),
    Need("choose_provider", frozenset(), "Choose a connector for it: nobody has been told."),
)
