"""Why one delivery waits (contract section 16): its records and no other, its state, and what releases it."""

from __future__ import annotations

import itertools
import os
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.boundary.kinds import payload_key
from cavra_pipeline.causes.explain import explain
from cavra_pipeline.errors import UsageError
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES as ENGINE_LANES
from cavra_pipeline.reports.cause_words import PSEUDONYM_NOTE
from cavra_pipeline.reports.records import plan_record
from cavra_pipeline.settings import Settings
from tests.cli.command import command
from tests.incidents.histories import sent
from tests.oracle.evidence import LANES, OracleRecord
from tests.oracle.pairs import OracleLadder, outcomes
from tests.oracle.store import needs_store, stored
from tests.recoveries.stores import home_of_store
from tests.support import (
    AS_OF,
    NOW,
    Record,
    acknowledgement,
    ask_plan,
    at,
    delivery,
    drop,
    execution,
    ingested,
    plan,
    record,
    take_in,
    worker_run,
)

PSEUDONYM = "actor-" + "0123456789abcdef" * 2

pytestmark = pytest.mark.slow

#: How many pairs of the store are explained; CAVRA_ORACLE_HISTORIES=1000 explains all.
PAIRS = int(os.environ.get("CAVRA_ORACLE_HISTORIES", "15"))
Named = dict[tuple[str, str, str], set[str]]


def scanned(records: list[OracleRecord], as_of: datetime) -> Named:
    """The records of each (lane, subject, provider) that failed, found by looking at every record."""
    found: Named = defaultdict(set)
    for lane in LANES.values():
        ladder = OracleLadder(records, lane, as_of)
        runs, plans = defaultdict(set), defaultdict(set)
        for run in ladder.worker_runs:
            runs[run.text("run_id")].add(run.session_id)
        for each in ladder.retry_plans:
            plans[each.text("retry_plan_id")].add(each.session_id)
        for each in ladder.deliveries:
            for provider in outcomes(each):
                found[lane.name, *ladder.pair_of(each, provider)].add(each.session_id)
        for kind in (lane.execution, lane.acknowledgement, lane.approval):
            for said in ladder.of_kind(kind):
                subject = ladder.first(said.text(lane.subject_field), said.provider)
                mine = found[lane.name, subject, said.provider]
                mine.add(said.session_id)
                if kind == lane.execution:
                    run_id = said.text("worker_run_id") or (
                        said.text("run_id") if lane.subject_field != "run_id" else ""
                    )
                    mine |= runs[run_id] if run_id else set()
                    mine |= plans[said.text("retry_plan_id")]
    return found


@needs_store
def test_every_record_of_a_pair_of_the_recorded_store_is_named_and_no_other(tmp_path: Path) -> None:
    home, records = home_of_store(tmp_path, "all-lanes.db"), stored()
    until = max(record.at for record in records)
    pairs = scanned(records, until)
    assert len(pairs) > 50

    with warehouse_of(home).reading() as session:
        for (lane, subject, provider), ids in sorted(pairs.items())[:: max(1, len(pairs) // PAIRS)]:
            if not subject or not provider:
                continue
            said = explain(session, subject=subject, provider=provider, lane=ENGINE_LANES[lane], as_of=until, now=NOW)
            (one,) = said["explanations"]
            told = [line for line in one["lines"] if line["what"] not in ("retry_plan", "worker_run")]
            selected = [line for line in one["lines"] if line["outcome"] == "selected"]
            named = [one for line in (*told, *selected) for one in line["record_ids"]]
            assert sorted(named) == sorted(ids), (lane, subject, provider)


def asked(home: Settings, as_of: datetime = AS_OF, subject: str = "subject-1", **about: Any) -> dict[str, Any]:
    with warehouse_of(home).reading() as session:
        said = explain(session, subject=subject, provider=" Slack ", as_of=as_of, now=NOW, **about)
    one: dict[str, Any] = said["explanations"][0]
    return one


def test_a_delivery_that_waits_for_a_person_says_so_in_a_few_lines(tmp_path: Path) -> None:
    home = ingested(
        tmp_path,
        [
            delivery(at(100), session_id="first", failed=["slack"], status_codes=[503]),
            plan(at(95), session_id="early"),
            *[worker_run(at(90 - 30 * n), session_id=f"run-{n}", dry_run=False) for n in range(3)],
            acknowledgement(at(50), state="deferred", session_id="ack"),
            delivery(at(40), session_id="of-another", subject="subject-2", failed=["slack"]),
        ],
    )

    one = asked(home)

    assert [(line["what"], line["outcome"], line["reason"], line["record_ids"]) for line in one["lines"]] == [
        ("delivery", "failed", None, ["first"]),
        ("retry_plan", "wait", "retry_delay_not_elapsed", ["early"]),
        ("worker_run", "held", "retry_delay_not_elapsed", ["run-0"]),
        ("worker_run", "held", "acknowledgement", ["run-1"]),
        ("acknowledgement", "deferred", None, ["ack"]),
        ("worker_run", "held", "deferred", ["run-2"]),
    ]
    assert (one["state"], one["reason"], one["acknowledgement_state"]) == ("retry", "retry_delay_elapsed", "deferred")
    assert [need["needs"] for need in one["released_by"]] == ["acknowledgement"]
    assert [need["needs"] for need in asked(home, has_connector=lambda _: False)["released_by"]] == [
        "acknowledgement",
        "connector",
    ]


def test_plans_and_runs_are_one_line_each_until_anything_else_happens(tmp_path: Path) -> None:
    home = ingested(
        tmp_path,
        [
            delivery(at(200), session_id="first", failed=["slack"], status_codes=[503]),
            *[plan(at(91 - 10 * n), session_id=f"plan-{n}") for n in range(6)],
            *[worker_run(at(90 - 10 * n), session_id=f"run-{n}", dry_run=False) for n in range(6)],
            acknowledgement(at(65), state="deferred", session_id="ack"),
            acknowledgement(at(45), state="acknowledged", session_id="release"),
        ],
    )

    lines = asked(home)["lines"]

    assert [(line["what"], line["reason"], line["record_ids"]) for line in lines[1:]] == [
        ("retry_plan", "retry_delay_elapsed", ["plan-0", "plan-1", "plan-2"]),
        ("worker_run", "acknowledgement", ["run-0", "run-1", "run-2"]),
        ("acknowledgement", None, ["ack"]),
        ("retry_plan", "retry_delay_elapsed", ["plan-3", "plan-4"]),
        ("worker_run", "deferred", ["run-3", "run-4"]),
        ("acknowledgement", None, ["release"]),
        ("retry_plan", "retry_delay_elapsed", ["plan-5"]),
        ("worker_run", "not_selected", ["run-5"]),
    ]
    for line, following in itertools.pairwise(lines):
        has_passed = {line["what"], following["what"]} <= {"retry_plan", "worker_run"}
        assert has_passed or (line["until"] or line["at"]) <= following["at"], "a line reaches past the next one"


@pytest.mark.parametrize(
    ("status", "cause", "first_step"),
    [
        (404, "gone", "Correct the Slack address; until then retries fail."),
        (503, "server_error", None),
    ],
)
def test_the_cause_is_fixed_first_and_who_declined_is_asked(
    tmp_path: Path, status: int, cause: str, first_step: str | None
) -> None:
    failure = delivery(at(100), failed=["slack"], status_codes=[status])
    home = ingested(
        tmp_path,
        [failure, acknowledgement(at(60)), acknowledgement(at(50), state="deferred", signer="ops"),
         delivery(at(10), providers=["slack"])],
    )  # fmt: skip

    def advised(as_of: datetime) -> tuple[Any, ...]:
        one = asked(home, as_of=as_of)
        return one["cause"], one["first_step"], one["declined"]

    assert advised(at(55)) == (cause, first_step, None), "it is released"
    assert advised(at(20)) == (cause, first_step, {"state": "deferred", "by": "ops", "is_pseudonym": False})
    assert advised(NOW) == (None, None, None), "it has arrived"


def test_a_cause_that_has_passed_is_still_named(tmp_path: Path) -> None:
    failure = delivery(at(100), failed=["slack"], status_codes=[503])
    home = ingested(tmp_path, [failure, delivery(at(60), subject="subject-2", providers=["slack"])])

    def advised(as_of: datetime) -> tuple[Any, ...]:
        one = asked(home, as_of=as_of)
        return one["cause"], one["is_failing_now"], one["first_step"]

    assert advised(at(61)) == ("server_error", True, None)
    assert advised(at(59)) == ("server_error", False, None)


def test_a_live_run_releases_only_what_nothing_else_holds(tmp_path: Path) -> None:
    failure = delivery(at(100), failed=["slack"])
    cleared = ingested(tmp_path / "cleared", [failure, acknowledgement(at(50))])
    of_reports = delivery(at(100), lane="executive_report", failed=["slack"])
    requested = ingested(tmp_path / "requested", [of_reports])

    def needs(home: Settings, **about: Any) -> list[str]:
        return [need["needs"] for need in asked(home, **about)["released_by"]]

    assert needs(cleared) == needs(requested) == ["live_run"]
    assert needs(cleared, as_of=at(51)) == ["acknowledgement"]
    assert needs(requested, as_of=at(99)) == ["instant"]
    for home in (cleared, requested):
        assert needs(home, has_connector=lambda _: False) == ["connector"]


def test_a_subject_that_is_not_sendable_is_named(tmp_path: Path) -> None:
    lane = "auditor_export"

    def exported(minutes: float, state: str) -> Record:
        named = {ENGINE_LANES[lane].subject_field: "subject-1", "verification_state": state}
        return record("final-reporting-auditor-export", at(minutes), **named)

    home = ingested(
        tmp_path,
        [
            exported(200, "failed"),
            delivery(at(100), lane=lane, failed=["slack"]),
            worker_run(at(20), lane=lane, dry_run=False, session_id="before"),
            exported(10, "verified"),
            worker_run(at(5), lane=lane, dry_run=True, session_id="after"),
        ],
    )

    assert asked(home, at(11))["released_by"] == [
        {"needs": "subject", "at": None, "detail": "verification_state: verified"}
    ]
    assert [need["needs"] for need in asked(home)["released_by"]] == ["live_run"]
    runs = [line for line in asked(home)["lines"] if line["what"] == "worker_run"]
    assert [(line["record_id"], line["outcome"], line["reason"]) for line in runs] == [
        ("before", "held", "subject_not_sendable"),
        ("after", "passed_over", "dry_run"),
    ]


@pytest.mark.parametrize(
    ("status", "tried", "verdict"),
    [
        (401, 1, ("held", "provider_incident")),
        (401, 2, ("passed_over", "not_selected")),
        (401, 0, ("passed_over", "not_selected")),
        (503, 1, ("passed_over", "not_selected")),
    ],
)
def test_a_run_that_probed_the_provider_held_the_others(
    status: int, tried: int, verdict: tuple[str, str], tmp_path: Path
) -> None:
    lane = "executive_report"
    failures = [sent("slack", at(100 - n), lane, f"subject-{n}", status) for n in range(1, 5)]
    run = worker_run(at(20), lane=lane, dry_run=False, session_id="run", run_id="run")
    executions = [execution(at(20), lane=lane, subject=f"subject-{4 - n}", worker_run_id="run") for n in range(tried)]

    one = asked(ingested(tmp_path, [*failures, run, *executions]))

    (line,) = [line for line in one["lines"] if line["what"] == "worker_run"]
    assert (line["outcome"], line["reason"]) == verdict


@pytest.mark.parametrize(
    ("policy", "outcome"),
    [
        ({}, "wait"),
        ({"max_retry_attempts": 1}, "suppress"),
        ({"base_retry_delay_minutes": 5}, "retry"),
        ({"base_retry_delay_minutes": 6}, "wait"),
        ({"allow_immediate_retry": True}, "retry"),
        ({"max_retry_attempts": 0, "base_retry_delay_minutes": 5}, "wait"),
    ],
)
def test_a_plan_is_judged_by_the_policy_of_its_record(policy: dict[str, Any], outcome: str, tmp_path: Path) -> None:
    kind = ENGINE_LANES["recovery_escalation"].kinds.retry_plan
    payload: dict[str, Any] = {payload_key(kind): policy}
    made = plan(at(95), session_id="plan", **payload)

    one = asked(ingested(tmp_path, [delivery(at(100), failed=["slack"]), made]))

    assert [line["outcome"] for line in one["lines"] if line["what"] == "retry_plan"] == [outcome]


def test_a_plan_that_was_made_here_is_explained_by_its_own_policy(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(at(100), failed=["slack"])])
    strict = plan_record(ask_plan(home, max_retry_attempts=1), now=at(50))
    drop(home, [strict, plan_record(ask_plan(home), now=at(49))], name="plans.jsonl")
    take_in(home)
    lines = asked(home)["lines"]

    assert [line["outcome"] for line in lines if line["what"] == "retry_plan"] == ["suppress", "retry"]


def test_a_retry_that_was_skipped_says_why_and_names_plan_and_run(tmp_path: Path) -> None:
    skipped: Record = {"recovery_escalation_retry_execution_record": {"skipped": "connector_config_not_configured"}}
    home = ingested(
        tmp_path,
        [
            delivery(at(100), session_id="first", failed=["slack"]),
            plan(at(60), session_id="the-plan"),
            worker_run(at(59), session_id="the-run", dry_run=False),
            execution(
                at(59), status="skipped", session_id="x", retry_plan_id="the-plan", run_id="the-run", **skipped
            ),
        ],
    )  # fmt: skip

    lines = {line["record_id"]: line for line in asked(home)["lines"]}

    assert lines["x"]["reason"] == "connector_config_not_configured"
    assert lines["x"]["worker_run_id"] == "the-run"
    assert lines["the-plan"]["outcome"] == lines["the-run"]["outcome"] == "selected"


def test_a_settled_delivery_needs_nothing(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(at(100), failed=["slack"]), delivery(at(50), session_id="arrived")])

    settled, before = asked(home), asked(home, at(50, microseconds=-1))

    assert (settled["state"], settled["settled_at"], settled["released_by"]) == ("settled", at(50).isoformat(), [])
    assert (before["state"], len(before["lines"])) == ("retry", 1)


def test_a_delivery_that_never_failed_is_explained_too(tmp_path: Path) -> None:
    one = asked(ingested(tmp_path, [delivery(at(50), session_id="arrived")]))

    assert ([line["record_id"] for line in one["lines"]], one["state"]) == (["arrived"], "settled")


def test_an_exhausted_delivery_needs_another_policy_and_names_its_incident(tmp_path: Path) -> None:
    failures = [delivery(at(300 - 60 * n), subject=f"subject-{1 + n % 3}", failed=["slack"]) for n in range(3)]
    again = [delivery(at(100 - n), failed=["slack"]) for n in range(2)]

    one = asked(ingested(tmp_path, [*failures, *again]))

    assert [need["needs"] for need in one["released_by"]] == ["policy", "acknowledgement"]
    (incident,) = [line for line in one["lines"] if line["what"] == "provider_incident"]
    assert incident["incident_id"] == one["provider_incident_id"]
    assert incident["reason"] == "no_answer"


def test_a_pair_that_no_record_names_is_refused_with_a_remedy(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(at(50))])

    with pytest.raises(UsageError, match="there is no delivery"):
        asked(home, subject="unheard")
    with pytest.raises(UsageError, match="there is no delivery"):
        asked(home, at(51))


def test_the_command_explains_to_a_person_and_as_json(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(at(50), session_id="first", failed=["slack"], status_codes=[503])])

    said = command(home.home, "explain", "subject-1", "slack", "--as-of", AS_OF.isoformat())
    document = command(home.home, "explain", "subject-1", "slack", "--json").document

    assert said.code == 0
    assert "released by an acknowledgement (" in " ".join(said.out.split())
    assert "first" in said.out
    assert document["explanations"][0]["lane"] == "recovery_escalation"
    assert command(home.home, "explain", "unheard", "slack").code == 2
    refused = command(home.home, "explain", "subject-1", "teams", "--as-of", AS_OF.isoformat())
    assert (refused.code, "PROVIDER: this subject" in refused.err, "Use one of slack" in refused.err) == (2, True, True)


@pytest.mark.parametrize(
    ("state", "signer", "code", "steps"),
    [
        (None, "", 503, "cavra-pipeline ack"),
        (
            None,
            "",
            404,
            "Correct the Slack address; until then retries fail. Then release the retry: cavra-pipeline ack",
        ),
        ("deferred", "ops", 503, "Ask ops, who deferred it"),
        ("deferred", PSEUDONYM, 503, f"Ask {PSEUDONYM}, who deferred it. {PSEUDONYM_NOTE}"),
        ("deferred", "", 503, "Ask the person, who deferred it"),
        ("deferred", "ops", 404, "Correct the Slack address; until then retries fail. Then ask ops, who deferred it"),
    ],
)
def test_the_fix_comes_before_a_release_and_no_decision_is_overridden(
    state: str | None, signer: str, code: int, steps: str, tmp_path: Path
) -> None:
    attempt = {"deliveries": [{"provider": "slack", "success": False, "status_code": code}]}
    word = [acknowledgement(at(40), state=state, signer=signer)] if state else []
    home = ingested(tmp_path, [delivery(at(50), failed=["slack"], status_codes=[code], delivery=attempt), *word])

    said = command(home.home, "explain", "subject-1", "slack", "--as-of", AS_OF.isoformat())
    after = " ".join(said.out.partition("next: ")[2].split())

    assert after.startswith(steps)
    assert ("cavra-pipeline ack" in after) is (state is None)
    assert ("pseudonym" in after) is (signer == PSEUDONYM)


@pytest.mark.parametrize(
    ("code", "check"), [(404, "Check the address of"), (401, "Check the credential of"), (503, "")]
)
@pytest.mark.parametrize("minutes", [60, 40])
def test_a_provider_that_has_accepted_others_since_is_not_said_to_fail(
    minutes: int, code: int, check: str, tmp_path: Path
) -> None:
    attempt = {"deliveries": [{"provider": "slack", "success": False, "status_code": code}]}
    other = delivery(at(minutes), subject="other", lane="executive_report", providers=["slack"])
    home = ingested(tmp_path, [delivery(at(50), failed=["slack"], status_codes=[code], delivery=attempt), other])

    said = " ".join(command(home.home, "explain", "subject-1", "slack", "--as-of", AS_OF.isoformat()).out.split())

    is_since = minutes < 50
    whole = f"{check} the Slack delivery answered with {code} on 25 Jun: Slack has accepted others since"
    assert (whole in said) is (is_since and bool(check))
    assert ("until then retries fail" in said) is (not is_since and bool(check))
    assert "unless that is done" not in said
