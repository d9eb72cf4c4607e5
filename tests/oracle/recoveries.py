"""The oracle: recoveries and closure in plain Python, written from the contract alone (sections 11 and 12).

Where the contract leaves a choice, the oracle reads it so:

- Rows that are alike in being breached and in their opening stand in order of playbook, then provider.
- Closures are counted as CAVRA counts them: every closure record, whether or not its playbook exists.
- A recovery is notified through the connectors that took one of the escalation plans that name it, and acknowledged
  if the newest answer at one connector to one of these plans is acknowledged, accepted or resolved.
- Recoveries of a provider overlap if one opened before another closed; one that closes as it opens was never open.
- An item of the closure is there if its count is not 0; the count is of pairs, recoveries or gaps, never of records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from tests.oracle.evidence import DELIVERY, LANES, SOURCE, OracleLane, OracleRecord, provider_name
from tests.oracle.model import CLEARING, MINUTE, gap_count, outstanding, unresolved_failed_executions
from tests.oracle.pairs import OracleLadder, execution_status

PLAYBOOK: Final = "connector-recovery-playbook"
CLOSURE: Final = "connector-recovery-closure"
ESCALATION: Final = "recovery-escalation-plan"
CLOSURE_STATES: Final = ("resolved", "mitigated", "deferred", "escalated", "reopened")
ARCHIVE_HEALTH: Final = "final-reporting-archive-reference-health"
#: Health alerts that have deliveries, plans and acknowledgements, and no retry ladder.
ARCHIVE: Final = OracleLane(
    name="archive_reference_health_alert",
    source=SOURCE + "_final_reporting_archive_reference_health_alert",
    subjects=("health_id", "event_id"),
    subject_field="health_id",
    delay=15,
    cadence=60,
    stale=180,
    retry_plan="",
    worker_run="",
    execution="",
    alert_word="",
    acknowledgement=f"{ARCHIVE_HEALTH}-alert-ack",
    alert_plan=f"{ARCHIVE_HEALTH}-alert-plan",
)


def recoveries(records: Sequence[OracleRecord], as_of: datetime, slo_minutes: int = 240) -> dict[str, Any]:
    """The recoveries as of an instant, with their counts (section 11)."""
    return recoveries_of(records, OracleLadder(records, LANES["recovery_escalation"], as_of), slo_minutes)


def recoveries_of(records: Sequence[OracleRecord], escalations: OracleLadder, slo_minutes: int = 240) -> dict[str, Any]:
    """The same, where the pairs of the escalations are known already."""
    as_of = escalations.as_of
    known = sorted(
        record for record in records if record.at <= as_of and record.kind in (PLAYBOOK, CLOSURE, ESCALATION)
    )
    closures = [record for record in known if record.kind == CLOSURE]
    newest = {(closure.text("playbook_id"), closure.provider): closure for closure in closures}
    opened = [
        (playbook, entry)
        for playbook in known
        if playbook.kind == PLAYBOOK
        for entry in playbook.inner("provider_playbooks") or []
    ]
    rows = [_row(playbook, entry, newest, as_of, slo_minutes) for playbook, entry in opened]
    rows.sort(key=lambda row: (row["playbook_id"], row["provider"]))
    rows.sort(key=lambda row: datetime.fromisoformat(row["opened_at"]), reverse=True)
    rows.sort(key=lambda row: row["slo_status"] != "breached")
    plans = _plans_by_recovery([record for record in known if record.kind == ESCALATION])
    states = Counter(closure.text("closure_state") for closure in closures)
    statuses = Counter(row["slo_status"] for row in rows)
    return {
        "recovery_slo_minutes": slo_minutes,
        "recovery_count": len(rows),
        "recovery_open_count": statuses["open"] + statuses["breached"],
        "recovery_closed_count": statuses["closed"],
        "recovery_slo_breached_count": statuses["breached"],
        "closure_state_counts": dict(sorted(states.items())),
        "provider_summary": _by_provider(rows, closures),
        "closure_trends": _by_day(closures),
        "recovery_groups": _groups(rows),
        "recoveries": [
            {**row, **_notified(plans.get((row["playbook_id"], row["provider"]), {}), escalations)} for row in rows
        ],
    }


def _row(
    playbook: OracleRecord,
    entry: dict[str, Any],
    newest: dict[tuple[str, str], OracleRecord],
    as_of: datetime,
    slo_minutes: int,
) -> dict[str, Any]:
    provider = provider_name(entry["provider"])
    closure = newest.get((playbook.text("playbook_id"), provider))
    state = closure.text("closure_state") if closure else "open"
    closed = closure if state in ("resolved", "mitigated") else None
    breached = closed is None and as_of - playbook.at > slo_minutes * MINUTE
    return {
        "playbook_id": playbook.text("playbook_id"),
        "provider": provider,
        "category": entry.get("category"),
        "failure_count": entry.get("failure_count"),
        "opened_at": playbook.at.isoformat(),
        "age_minutes": (as_of - playbook.at) // MINUTE,
        "closure_state": state,
        "slo_status": "closed" if closed else "breached" if breached else "open",
        "closed_at": closed.at.isoformat() if closed else None,
        "closure_minutes": (closed.at - playbook.at) // MINUTE if closed else None,
    }


def _plans_by_recovery(plans: Sequence[OracleRecord]) -> dict[tuple[str, str], dict[str, None]]:
    """The ids of the escalation plans that name a recovery, in order, each once."""
    named: dict[tuple[str, str], dict[str, None]] = {}
    for plan in sorted(plans, key=lambda plan: (plan.at, plan.text("plan_id"))):
        for route in plan.inner("escalation_routes") or []:
            recovery = route["playbook_id"], provider_name(route["provider"])
            named.setdefault(recovery, {})[plan.text("plan_id")] = None
    return named


def _notified(named: Mapping[str, None], escalations: OracleLadder) -> dict[str, Any]:
    """Which connectors took one of some escalation plans, and whether somebody acknowledged one."""
    answers = escalations.newest_acknowledgements
    return {
        "escalated_in": list(named),
        "notified_through": sorted(
            {provider for (plan, provider), pair in escalations.pairs.items() if plan in named and pair.settled}
        ),
        "acknowledged": any(
            plan in named and answer.text("acknowledgement_state") in CLEARING for (plan, _), answer in answers.items()
        ),
    }


def _by_provider(rows: Sequence[Mapping[str, Any]], closures: Sequence[OracleRecord]) -> list[dict[str, Any]]:
    providers = sorted({row["provider"] for row in rows} | {closure.provider for closure in closures})
    return [
        {
            "provider": provider,
            "recovery_playbook_count": len(own),
            "recovery_closure_count": sum(closure.provider == provider for closure in closures),
            "open_recovery_count": sum(row["slo_status"] != "closed" for row in own),
            "slo_breached_count": sum(row["slo_status"] == "breached" for row in own),
        }
        for provider in providers
        for own in [[row for row in rows if row["provider"] == provider]]
    ]


def _by_day(closures: Sequence[OracleRecord]) -> list[dict[str, Any]]:
    days = sorted({closure.at.date() for closure in closures}, reverse=True)
    return [
        {
            "date": day.isoformat(),
            "closure_count": len(own),
            **{f"{state}_count": sum(each.text("closure_state") == state for each in own) for state in CLOSURE_STATES},
            "provider_counts": dict(Counter(each.provider for each in own)),
        }
        for day in days
        for own in [[closure for closure in closures if closure.at.date() == day]]
    ]


def _groups(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows that share a provider and overlap, through others too, as one; the newest group first."""
    groups: list[list[Mapping[str, Any]]] = []
    for row in sorted(rows, key=lambda row: (row["opened_at"], row["playbook_id"])):
        near = [group for group in groups if any(_overlap(other, row) for other in group)]
        groups = [group for group in groups if group not in near] + [[*(each for group in near for each in group), row]]
    made = [
        {
            "provider": group[0]["provider"],
            "opened_at": min(row["opened_at"] for row in group),
            "closed_at": None
            if any(row["closed_at"] is None for row in group)
            else max(row["closed_at"] for row in group),
            "recovery_count": len(group),
            "open_count": sum(row["closed_at"] is None for row in group),
            "playbook_ids": [row["playbook_id"] for row in group],
        }
        for group in groups
    ]
    made.sort(key=lambda group: str(group["provider"]))
    return sorted(made, key=lambda group: str(group["opened_at"]), reverse=True)


def _overlap(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the later of two rows opened while the earlier one was open."""
    return one["provider"] == other["provider"] and (one["closed_at"] is None or other["opened_at"] < one["closed_at"])


def closure(records: Sequence[OracleRecord], as_of: datetime) -> dict[str, Any]:
    """Whether the loop is closed at an instant, and what keeps it open (section 12).

    `counts` has every count by what is counted, also those that are 0.
    """
    lanes = {lane.name: lane for lane in (*LANES.values(), ARCHIVE)}
    return closure_of(records, {name: OracleLadder(records, lane, as_of) for name, lane in lanes.items()})


def closure_of(records: Sequence[OracleRecord], ladders: Mapping[str, OracleLadder]) -> dict[str, Any]:
    """The same, where the pairs of every lane and of the archive's alerts are known already."""
    escalations = ladders["recovery_escalation"]
    counts: dict[tuple[str, str], int] = {}
    for ladder in ladders.values():
        lane = ladder.lane
        if lane.required_alerts or lane is ARCHIVE:
            counts[lane.name, "unresolved_delivery"] = len(ladder.unsettled())
            counts[lane.name, "acknowledgement_outstanding"] = len(
                outstanding(ladder.records, lane.alert_plan, lane.acknowledgement)
            )
        if lane.required_alerts:
            counts[lane.name, "unresolved_failed_execution"] = unresolved_failed_executions(ladder)
    counts["", "open_recovery"] = recoveries_of(records, escalations)["recovery_open_count"]
    counts["", "acknowledgement_gap"] = sum(
        gap_count(each) for each in ladders.values() if each.lane.needs_acknowledgement
    )
    items = {name: count for name, count in counts.items() if count}
    return {
        "closure_state": "open" if items else "closed",
        "open_item_count": len(items),
        "counts": counts,
        "cavra_open_items": cavra_open_items([record for record in records if record.at <= escalations.as_of]),
    }


def cavra_open_items(known: Sequence[OracleRecord]) -> list[str]:
    """CAVRA's own open items over all given records, in its order, without the one that it never sets (section 12)."""
    executive, recovery = LANES["executive_health_alert"], LANES["recovery_health_alert"]
    found = {
        "executive_retry_health_alert_delivery_failed": _delivery_failed(known, executive),
        "executive_retry_health_alert_acknowledgement_outstanding": _never_acknowledged(known, executive),
        "executive_retry_health_alert_retry_execution_failed": any(
            record.kind == executive.execution and execution_status(record) in ("failed", "skipped") for record in known
        ),
        "recovery_retry_health_alert_acknowledgement_outstanding": _never_acknowledged(known, recovery, newest=True),
        "final_archive_health_alert_delivery_failed": _delivery_failed(known, ARCHIVE),
        "final_archive_health_alert_acknowledgement_outstanding": _never_acknowledged(known, ARCHIVE),
    }
    return [item for item, is_open in found.items() if is_open]


def _delivery_failed(known: Sequence[OracleRecord], lane: OracleLane) -> bool:
    return any(
        record.kind == DELIVERY
        and record.raw.get("connector_delivery_source") == lane.source
        and record.raw.get("delivery_success") is not True
        for record in known
    )


def _never_acknowledged(known: Sequence[OracleRecord], lane: OracleLane, *, newest: bool = False) -> bool:
    return cavra_outstanding_count(known, lane.alert_plan, lane.acknowledgement, newest=newest) > 0


def cavra_outstanding_count(
    known: Sequence[OracleRecord], plan_kind: str, ack_kind: str, *, newest: bool = False
) -> int:
    """Outstanding acknowledgements as CAVRA's own dashboards count them.

    Any acknowledgement that was ever acknowledged or resolved counts; every plan counts, or with `newest` the newest
    of each `health_id`.
    """
    done = {
        (record.text("health_id"), record.provider)
        for record in known
        if record.kind == ack_kind and record.text("acknowledgement_state") in ("acknowledged", "resolved")
    }
    plans = sorted(record for record in known if record.kind == plan_kind)
    if newest:
        plans = list({plan.text("health_id"): plan for plan in plans if plan.text("health_id")}.values())
    return sum(
        (plan.text("health_id"), provider) not in done
        for plan in plans
        for provider in plan.providers("acknowledgement_required_providers")
    )
