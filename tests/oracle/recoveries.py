"""The oracle: recoveries and closure in plain Python, written from the contract alone (sections 11 and 12).

Where the contract leaves a choice, the oracle reads it so:

- Rows that are alike in being breached and in their opening stand in order of playbook, then provider.
- Closures are counted as CAVRA counts them: every closure record, whether or not its playbook exists.
- An item of the closure is there if its count is not 0; the count is of pairs, recoveries or gaps, never of records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from tests.oracle.evidence import DELIVERY, LANES, SOURCE, OracleLane, OracleRecord
from tests.oracle.model import MINUTE, outstanding, unresolved_failed_executions
from tests.oracle.pairs import OracleLadder, execution_status

PLAYBOOK: Final = "connector-recovery-playbook"
CLOSURE: Final = "connector-recovery-closure"
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
    known = sorted(record for record in records if record.at <= as_of)
    closures = [record for record in known if record.kind == CLOSURE]
    newest = {(closure.text("playbook_id"), closure.provider): closure for closure in closures}
    rows = [
        _row(playbook, entry, newest, as_of, slo_minutes)
        for playbook in known
        if playbook.kind == PLAYBOOK
        for entry in playbook.inner("provider_playbooks") or []
    ]
    rows.sort(key=lambda row: (row["playbook_id"], row["provider"]))
    rows.sort(key=lambda row: datetime.fromisoformat(row["opened_at"]), reverse=True)
    rows.sort(key=lambda row: row["slo_status"] != "breached")
    states = Counter(closure.text("closure_state") for closure in closures)
    statuses = Counter(row["slo_status"] for row in rows)
    return {
        "recovery_slo_minutes": slo_minutes,
        "recovery_count": len(rows),
        "recovery_open_count": statuses["open"] + statuses["breached"],
        "recovery_closed_count": statuses["closed"],
        "recovery_slo_breached_count": statuses["breached"],
        "closure_state_counts": dict(sorted(states.items())),
        "recoveries": rows,
    }


def _row(
    playbook: OracleRecord,
    entry: dict[str, Any],
    newest: dict[tuple[str, str], OracleRecord],
    as_of: datetime,
    slo_minutes: int,
) -> dict[str, Any]:
    provider = OracleRecord(playbook.at, "", entry).provider
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


def closure(records: Sequence[OracleRecord], as_of: datetime) -> dict[str, Any]:
    """Whether the loop is closed at an instant, and what keeps it open (section 12).

    `counts` has every count by what is counted, also those that are 0: the names of the items are the product's.
    """
    counts: dict[tuple[str, str], int] = {}
    for lane in (LANES["recovery_health_alert"], LANES["executive_health_alert"], ARCHIVE):
        ladder = OracleLadder(records, lane, as_of)
        counts[lane.name, "unresolved_delivery"] = len(ladder.unsettled())
        counts[lane.name, "acknowledgement_outstanding"] = len(
            outstanding(ladder.records, lane.alert_plan, lane.acknowledgement)
        )
        if lane.execution:
            counts[lane.name, "unresolved_failed_execution"] = unresolved_failed_executions(ladder)
    counts["", "open_recovery"] = recoveries(records, as_of)["recovery_open_count"]
    counts["", "acknowledgement_gap"] = sum(
        _gap_count(OracleLadder(records, lane, as_of)) for lane in LANES.values() if lane.needs_acknowledgement
    )
    items = {name: count for name, count in counts.items() if count}
    return {
        "closure_state": "open" if items else "closed",
        "open_item_count": len(items),
        "counts": counts,
        "cavra_open_items": cavra_open_items([record for record in records if record.at <= as_of]),
    }


def _gap_count(ladder: OracleLadder) -> int:
    newest = ladder.newest_acknowledgements()
    return sum(
        pair not in newest or newest[pair].text("acknowledgement_state") not in ("acknowledged", "accepted", "resolved")
        for pair in ladder.unsettled()
    )


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
