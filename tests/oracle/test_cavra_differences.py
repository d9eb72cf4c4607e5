"""What CAVRA's plans and health reports say otherwise than the oracle, over a store that its code made.

`docs/cavra-differences.md` lists these with the rule of the contract that makes each; nothing else may differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.oracle.evidence import LANES, OracleLane, OracleRecord, instant, provider_name
from tests.oracle.model import health, plan
from tests.oracle.pairs import OracleLadder
from tests.oracle.store import INSTANTS, expected, needs_store, stored

POLICIES: Final[dict[str, dict[str, Any]]] = {
    "default": {},
    "immediate": {"allow_immediate_retry": True},
    "max5_delay5": {"max_retry_attempts": 5, "retry_delay_minutes": 5},
}
FIELDS: Final = (
    "action",
    "retry_count",
    "retry_delay_minutes",
    "latest_delivery_id",
    "latest_delivery_at",
    "next_retry_at",
)

pytestmark = needs_store


def reasons(lane: OracleLane, policy: str) -> Iterator[str]:
    """Why each decision of CAVRA's plans is not ours, at every instant; `no reason` where there is none."""
    for answer in expected():
        as_of = instant(answer["as_of"])
        ladder = OracleLadder(stored(), lane, as_of)
        ours = {
            (decision[lane.subject_field], decision["provider"]): decision
            for decision in plan(stored(), lane, as_of, POLICIES[policy])["retry_decisions"]
        }
        theirs = answer["retry_plans"][lane.name][policy]["retry_decisions"]
        pairs = [(decision[lane.subject_field], provider_name(decision["provider"])) for decision in theirs]
        for pair, decision in zip(pairs, theirs, strict=True):
            if pair not in ours:
                yield reason_to_leave_out(ladder, pair)
            else:
                yield from differences(ladder, pair, decision, ours[pair])
        yield from ("ours only" for pair in ours if pair not in pairs)


def reason_to_leave_out(ladder: OracleLadder, pair: tuple[str, str]) -> str:
    """Why a decision of CAVRA's has none of ours beside it."""
    if ladder.first(*pair) != pair[0]:
        return "a retry belongs to its first subject"
    return "settled" if ladder.is_settled(pair) else "no reason"


def differences(
    ladder: OracleLadder, pair: tuple[str, str], theirs: dict[str, Any], ours: dict[str, Any]
) -> Iterator[str]:
    """Why two decisions on one pair differ, if they do."""
    different = {name for name in FIELDS if value(theirs.get(name), name) != value(ours[name], name)}
    if "next_retry_at" in different and ours["action"] == theirs["action"] == "suppress":
        different.remove("next_retry_at")
        yield "no next retry of a suppressed pair"
    if different:
        retried = any(ladder.subject(delivery) != pair[0] for delivery, _ in ladder.pairs[pair].all)
        yield "retries count" if retried else "no reason"


def value(written: Any, name: str) -> Any:
    return instant(written) if written and name.endswith("_at") else written


@pytest.mark.parametrize(
    ("lane", "found"),
    [
        (
            "acknowledgement_audit",
            {"settled": 15, "a retry belongs to its first subject": 8, "retries count": 2},
        ),
        ("auditor_export", {"settled": 14, "no next retry of a suppressed pair": 8}),
        ("executive_report", {"settled": 3, "no next retry of a suppressed pair": 6}),
        ("recovery_escalation", {"settled": 2, "no next retry of a suppressed pair": 1}),
        ("recovery_health_alert", {}),
        ("executive_health_alert", {}),
    ],
)
def test_every_difference_of_a_default_plan_has_its_rule(lane: str, found: dict[str, int]) -> None:
    assert Counter(reasons(LANES[lane], "default")) == Counter(found)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("lane", [name for name in LANES if name != "release_closeout"])
def test_no_difference_of_a_plan_is_without_a_rule(lane: str, policy: str) -> None:
    assert {"no reason", "ours only"}.isdisjoint(reasons(LANES[lane], policy))


def test_closeout_decides_on_pairs_where_cavra_decides_on_failed_deliveries() -> None:
    lane = LANES["release_closeout"]
    for answer in expected():
        ladder = OracleLadder(stored(), lane, instant(answer["as_of"]))
        theirs = answer["retry_plans"][lane.name]["default"]["retry_decisions"]
        ours = plan(stored(), lane, ladder.as_of, {})["retry_decisions"]

        # A decision for each failed delivery ever made, all of them for the connector that was not named.
        assert sorted(decision["delivery_id"] for decision in theirs) == sorted(map(session_id, failed(ladder)))
        assert {decision["provider"] for decision in theirs} <= {"webhook"}
        named = {(decision["summary_id"], decision["provider"]) for decision in ours}
        assert named == set(ladder.unsettled())


def failed(ladder: OracleLadder) -> list[OracleRecord]:
    return [delivery for delivery in ladder.deliveries if delivery.raw["delivery_success"] is not True]


def session_id(record: OracleRecord) -> str:
    return record.session_id


@pytest.mark.parametrize("number", INSTANTS)
def test_a_health_report_differs_in_gaps_and_settled_executions_alone(number: int) -> None:
    theirs = expected()[number]["health"]["recovery_escalation"]
    as_of = instant(expected()[number]["as_of"])
    ladder = OracleLadder(stored(), LANES["recovery_escalation"], as_of)
    ours = health(stored(), ladder.lane, as_of, {})

    # CAVRA adds up what each run said of itself; the contract counts the pairs that have no acknowledgement now.
    said = sum(run.inner("summary")["acknowledgement_pending_count"] for run in ladder.worker_runs)
    assert (theirs["acknowledgement_pending_count"], ours["acknowledgement_pending_count"]) == (
        said,
        len(ours["acknowledgement_gaps"]),
    )
    # CAVRA's alert of an execution that failed never ends; ours ends with the delivery of its pair.
    ended = categories(theirs) - categories(ours)
    assert ended == ({"failed_recovery_escalation_retry_execution"} if number > 2 else set())
    assert categories(ours) <= categories(theirs)
    assert {name for name in theirs.keys() & ours.keys() - {"alerts"} if theirs[name] != ours[name]} <= {
        "acknowledgement_pending_count",
        "alert_count",
        "alert_level",
    }


@pytest.mark.parametrize("number", INSTANTS)
def test_an_executive_health_report_differs_in_the_order_of_alerts_alone(number: int) -> None:
    theirs = expected()[number]["health"]["executive_report"]
    ours = health(stored(), LANES["executive_report"], instant(expected()[number]["as_of"]), {})

    assert [name for name in theirs.keys() & ours.keys() - {"alerts"} if theirs[name] != ours[name]] == []
    assert categories(theirs) == categories(ours)


#: The audit worker's alerts by CAVRA's names and by ours.
AUDIT: Final = {
    "missed_worker_run": "missed_acknowledgement_audit_retry_worker",
    "stale_retry_plan": "stale_acknowledgement_audit_retry_plan",
}


@pytest.mark.parametrize("number", INSTANTS)
def test_the_audit_workers_alerts_are_missed_and_stale_ones_and_what_is_open(number: int) -> None:
    theirs = expected()[number]["health"]["acknowledgement_audit_worker"]
    args = {name: theirs[name] for name in ("expected_interval_minutes", "stale_metadata_minutes")}
    ours = health(stored(), LANES["acknowledgement_audit"], instant(expected()[number]["as_of"]), args)

    assert {AUDIT[name] for name in categories(theirs) if name in AUDIT} == categories(ours) & set(AUDIT.values())
    # What was once seen is an alert for ever there; here nothing is open, or a gap and an execution are.
    assert categories(theirs) - set(AUDIT) <= {"retryable_deliveries", "connector_failure", "disabled_schedule"}
    assert categories(ours) - set(AUDIT.values()) <= {
        "acknowledgement_audit_approval_gap",
        "failed_acknowledgement_audit_retry_execution",
    }
    assert ours["failed_acknowledgement_audit_delivery_count"] == theirs["connector_delivery_failure_count"]


def categories(report: dict[str, Any]) -> set[str]:
    return {alert["category"] for alert in report["alerts"]}
