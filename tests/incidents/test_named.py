"""Plans and health reports name the open incident of a pair, beside the entry and outside their ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cavra_pipeline.documents import identify
from tests.incidents.histories import ask_incidents, sent
from tests.support import AS_OF, MICROSECOND, Record, ask_health, ask_plan, at, ingested

LANE = "recovery_escalation"


def _without(report: dict[str, Any], *lists: str) -> dict[str, Any]:
    bare = dict(report)
    for name in lists:
        bare[name] = [{key: one[key] for key in one if key != "provider_incident_id"} for one in report[name]]
    return bare


def test_decisions_and_gaps_name_the_open_incident_outside_the_ids(tmp_path: Path) -> None:
    records: list[Record] = [sent("slack", at(30 - n), LANE, f"s-{n}", 401) for n in range(3)]
    records.append(sent("teams", at(20), LANE, "s-0", 503))
    home = ingested(tmp_path, records)
    (incident,) = ask_incidents(home, [AS_OF])[0]["incidents"]

    plan, health = ask_plan(home), ask_health(home)

    named = {(one["plan_id"], one["provider"]): one["provider_incident_id"] for one in plan["retry_decisions"]}
    assert named.pop(("s-0", "teams")) is None
    assert set(named.values()) == {incident["incident_id"]}
    gaps = {one["provider"]: one["provider_incident_id"] for one in health["acknowledgement_gaps"]}
    assert gaps == {"slack": incident["incident_id"], "teams": None}
    bare = _without(plan, "retry_decisions")
    assert identify(f"retry-plan-{LANE}", {**bare, "retry_plan_id": ""}) == plan["retry_plan_id"]
    bare = _without(health, "acknowledgement_gaps", "approval_gaps")
    assert identify(f"retry-health-{LANE}", {**bare, "health_id": ""}) == health["health_id"]
    early = ask_plan(home, as_of=at(28) - MICROSECOND)["retry_decisions"]
    assert {one["provider_incident_id"] for one in early} == {None}
