"""The forecast (contract section 15) against the real worker, stepped on the same clock, and by its rules.

`CAVRA_ORACLE_HISTORIES` says how many histories the worker is stepped through (2 by default).
"""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.boundary.kinds import payload_key
from cavra_pipeline.causes.forecast import ForecastParameters, forecast
from cavra_pipeline.causes.simulation import Ladder, SimulatedPair, simulate
from cavra_pipeline.connectors import Grade
from cavra_pipeline.errors import UsageError, checked
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.settings import Settings
from tests.cli.command import command
from tests.support import (
    AS_OF,
    NOW,
    Record,
    acknowledgement,
    ask_plan,
    at,
    delivery,
    ingested,
    record,
    take_in,
    worker_run,
)
from tests.worker.support import Clock, Provider, armed_home, worker

pytestmark = pytest.mark.slow

HISTORIES = int(os.environ.get("CAVRA_ORACLE_HISTORIES", "2"))
LANE = "recovery_escalation"
ENGINE_LANE = LANES[LANE]
STEP = 40
HOURS = 3


def asked(home: Settings, lane: str = LANE, as_of: datetime = AS_OF, **given: Any) -> dict[str, Any]:
    """The forecast of a home; what is no parameter of it is the policy's, but for connectors."""
    parameters = checked(ForecastParameters, {n: given.pop(n) for n in ("hours", "max_retry_deliveries") if n in given})
    missing = given.pop("missing", frozenset())
    with warehouse_of(home).reading() as session:
        return forecast(
            session,
            LANES[lane],
            retry_policy(LANES[lane], given),
            parameters,
            as_of=as_of,
            now=NOW,
            has_connector=lambda provider: provider not in missing,
        )


def story(seed: int) -> tuple[str, list[Record]]:
    """A lane, and failing pairs of which some may be retried at once, some later and some never."""
    chance = random.Random(f"forecast {seed}")
    lane = LANES[list(LANES)[seed % len(LANES)]]
    records = [worker_run(at(chance.randrange(60)), lane=lane.name, session_id="run", dry_run=False)]
    records[0][next(name for name in records[0] if isinstance(records[0][name], dict))]["schedule"] = {
        "enabled": True,
        "interval_minutes": STEP,
    }
    for n in range(9):
        subject = f"s-{n}"
        provider = chance.choice(("slack", "teams", "jira"))
        for m in range(chance.randrange(1, 4)):
            when = at(chance.randrange(200) + m / 7)
            records.append(delivery(when, lane=lane.name, subject=subject, failed=[provider], session_id=f"d-{n}-{m}"))
        about: dict[str, Any] = {"provider": provider}
        if lane.name == LANE and chance.random() < 0.8:
            records.append(acknowledgement(at(1), subject=subject, state="accepted", **about))
        if lane.name == "acknowledgement_audit" and chance.random() < 0.8:
            about |= {"delivery_id": subject, "approval_state": "approved"}
            records.append(record("retry-execution-approval-decision", at(1), **about))
        if lane.sendable and chance.random() < 0.8:
            kinds = {"auditor_export": "auditor-export", "closeout_summary": "release-closeout-summary"}
            said = {lane.subject_field: subject, lane.sendable.field: lane.sendable.value}
            records.append(record(f"final-reporting-{kinds[lane.sendable.record_type]}", at(300), **said))
    return lane.name, records


def stepped(tmp_path: Path, lane: str, records: list[Record], grade: Grade) -> dict[str, dict[tuple[str, str], str]]:
    """What the real worker makes of the pairs, run by run: when each was first tried, exhausted and delivered."""
    home = armed_home(tmp_path, records)
    take_in(home)
    field = LANES[lane].subject_field
    provider = Provider(Clock(AS_OF), answers=[grade], missing={"jira"})
    first = datetime.fromisoformat(records[0]["created_at"])
    found: dict[str, dict[tuple[str, str], str]] = {"first_tried_at": {}, "exhausted_at": {}, "delivered_at": {}}

    def failing() -> dict[tuple[str, str], str]:
        plan = ask_plan(home, lane, provider.clock.at)
        return {(one[field], one["provider"]): one["action"] for one in plan["retry_decisions"]}

    before = failing()
    for n in range(1, 1000):
        moment = first + n * timedelta(minutes=STEP)
        if moment > AS_OF + timedelta(hours=HOURS):
            return found
        if moment <= AS_OF:
            continue
        provider.clock.at = moment
        done = worker(home, provider, lane=lane, max_retry_deliveries=2, interval_minutes=STEP)
        after = failing()
        for one in done["executions"]:
            if one["execution_status"] != "skipped":
                found["first_tried_at"].setdefault((one[field], one["provider"]), moment.isoformat())
        for pair, action in before.items():
            if pair not in after:
                found["delivered_at"][pair] = moment.isoformat()
            elif action != "suppress" and after[pair] == "suppress":
                found["exhausted_at"][pair] = moment.isoformat()
        before = after
    return found


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_the_real_worker_does_what_the_forecast_says(seed: int, tmp_path: Path) -> None:
    lane, records = story(seed)
    said = asked(
        ingested(tmp_path / "still", records), lane, hours=HOURS, max_retry_deliveries=2, missing=frozenset({"jira"})
    )
    field = LANES[lane].subject_field

    def told(name: str) -> dict[tuple[str, str], str]:
        return {(one[field], one["provider"]): one[name] for one in said["pairs"] if one[name]}

    fails = stepped(tmp_path / "fails", lane, records, Grade.FAILED)
    takes = stepped(tmp_path / "takes", lane, records, Grade.DELIVERED)

    assert told("exhausted_at") == fails["exhausted_at"]
    assert told("delivered_at") == takes["delivered_at"]
    assert told("first_tried_at") == {**takes["first_tried_at"], **fails["first_tried_at"]}
    assert takes["exhausted_at"] == fails["delivered_at"] == {}


def failed(n: int, minutes: float, *, provider: str = "slack") -> list[Record]:
    return [
        delivery(at(minutes), subject=f"s-{n}", failed=[provider], session_id=f"d-{n}"),
        acknowledgement(at(minutes - 1), subject=f"s-{n}", provider=provider),
    ]


def run(minutes: float, *, enabled: bool = True) -> Record:
    return worker_run(at(minutes), enabled=enabled)


def test_a_pair_is_tried_at_the_next_run_and_exhausted_after_its_delays(tmp_path: Path) -> None:
    home = ingested(tmp_path, [run(10), *failed(1, 100)])

    said = asked(home, hours=2)

    # Runs every 30 minutes from 20 minutes on; the delay after the second failure is 30 minutes.
    assert (said["runs"], said["exhausted_count"], said["delivered_count"], said["never_tried_count"]) == (4, 1, 1, 0)
    (one,) = said["pairs"]
    assert one["first_tried_at"] == one["delivered_at"] == at(-20).isoformat()
    assert one["exhausted_at"] == at(-50).isoformat()
    assert (said["queue_peak"], said["late_by_minutes"]) == (1, 20)
    # A run at the instant itself has been; at the last instant of the hours one still is.
    assert asked(home, as_of=at(-20), hours=1)["runs"] == 2
    assert asked(home, as_of=at(-20, microseconds=-1), hours=1)["pairs"][0]["first_tried_at"] == at(-20).isoformat()


def test_what_a_run_cannot_take_waits_for_its_turn(tmp_path: Path) -> None:
    home = ingested(tmp_path, [run(10), *(one for n in range(3) for one in failed(n, 100))])

    said = asked(home, hours=1, max_retry_deliveries=1, max_retry_attempts=2)

    assert [one["first_tried_at"] for one in said["pairs"]] == [at(-20).isoformat(), at(-50).isoformat(), None]
    assert [one["never_tried"] for one in said["pairs"]] == [None, None, "not_due"]
    assert (said["queue_peak"], said["late_by_minutes"]) == (3, 60)


@pytest.mark.parametrize(
    ("records", "options", "reason"),
    [
        ([run(10), delivery(at(100), failed=["slack"])], {}, "acknowledgement"),
        ([run(10, enabled=False), *failed(1, 100)], {}, "schedule_disabled"),
        (failed(1, 100), {}, "schedule_disabled"),
        ([run(10), *failed(1, 100)], {"missing": {"slack"}}, "no_connector"),
        ([run(10), *failed(1, 100)], {"max_retry_attempts": 1}, "not_retryable"),
        ([run(10), *failed(1, 1)], {"retry_delay_minutes": 600}, "not_due"),
    ],
)
def test_what_is_never_tried_says_why(
    records: list[Record], options: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    said = asked(ingested(tmp_path, records), hours=1, **options)

    assert [one["never_tried"] for one in said["pairs"]] == [reason]
    assert (said["never_tried_count"], said["exhausted_count"], said["delivered_count"]) == (1, 0, 0)


def test_what_is_said_after_the_instant_does_not_count(tmp_path: Path) -> None:
    failure = delivery(at(100), subject="s-1", failed=["slack"])
    said = [acknowledgement(at(1), subject="s-1"), acknowledgement(at(-1), subject="s-1", state="deferred")]
    approvals = [
        record(
            "retry-execution-approval-decision",
            at(minutes),
            provider="slack",
            delivery_id="s-1",
            approval_state=state,
        )
        for minutes, state in ((1, "approved"), (-1, "rejected"))
    ]
    of_audits = [worker_run(at(10), lane="acknowledgement_audit")]
    of_audits.append(delivery(at(100), lane="acknowledgement_audit", subject="s-1", failed=["slack"]))
    acknowledged = ingested(tmp_path / "acknowledged", [run(10), failure, *said])
    approved = ingested(tmp_path / "approved", [*of_audits, *approvals])

    def never(home: Settings, lane: str, as_of: datetime) -> object:
        return asked(home, lane, as_of)["pairs"][0]["never_tried"]

    assert never(acknowledged, LANE, AS_OF) is never(approved, "acknowledgement_audit", AS_OF) is None
    assert never(acknowledged, LANE, at(-1)) == "acknowledgement"
    assert never(approved, "acknowledgement_audit", at(-1)) == "approval"


@pytest.mark.parametrize(("minutes", "runs"), [(-5, 2), (0, 2), (1, 60), (525_600, 0), (525_601, 2), (2**62, 2)])
def test_an_interval_no_schedule_can_have_counts_as_none(minutes: int, runs: int, tmp_path: Path) -> None:
    newest = run(10)
    newest[payload_key(ENGINE_LANE.kinds.worker_run)]["schedule"]["interval_minutes"] = minutes

    assert asked(ingested(tmp_path, [newest, *failed(1, 100)]), hours=1)["runs"] == runs


def test_the_end_of_the_calendar_is_refused_with_a_remedy(tmp_path: Path) -> None:
    home = ingested(tmp_path, [run(10), *failed(1, 100)])
    last = datetime.max.replace(tzinfo=UTC) - timedelta(hours=24, minutes=525_600)

    assert asked(home, as_of=last)["exhausted_count"] == 1
    with pytest.raises(UsageError, match="before the year 9998"):
        asked(home, as_of=last + timedelta(microseconds=1))


def test_failures_alike_are_told_from_twenty_on(tmp_path: Path) -> None:
    alike = [one for n in range(19) for one in failed(n, 200)]
    arrived = [delivery(at(150), subject=f"s-{n}", session_id=f"a-{n}") for n in range(5)]
    more = failed(19, 200)

    few = asked(ingested(tmp_path / "few", [run(10), *alike, *arrived]))["pairs"][0]
    enough = asked(ingested(tmp_path / "enough", [run(10), *alike, *arrived, *more]))["pairs"][0]

    assert (few["alike_failure_count"], few["alike_delivered_count"]) == (None, None)
    assert (enough["alike_failure_count"], enough["alike_delivered_count"]) == (20, 5)


def test_failures_of_thirty_days_before_are_not_alike_any_more(tmp_path: Path) -> None:
    home = ingested(tmp_path, [run(10), *(one for n in range(20) for one in failed(n, 200))])
    over = at(200) + timedelta(days=30)

    assert asked(home, as_of=over - timedelta(microseconds=1))["pairs"][0]["alike_failure_count"] == 20
    assert asked(home, as_of=over)["pairs"][0]["alike_failure_count"] is None


def test_a_pair_without_a_connector_takes_a_place_once() -> None:
    pairs = [SimulatedPair(1, AS_OF, has_connector=False), SimulatedPair(1, AS_OF)]
    runs = [AS_OF + timedelta(hours=n) for n in range(3)]

    done = simulate(pairs, runs, Ladder([timedelta()], 1), as_of=AS_OF, until=runs[-1], is_delivered=True)

    assert [one.first_tried_at for one in done.pairs] == [None, runs[1]]
    assert pairs[1].first_tried_at is None


def test_the_command_tells_a_person_and_refuses_hours_beyond_a_week(tmp_path: Path) -> None:
    home = ingested(tmp_path, [run(10), *failed(1, 100)]).home
    about = ("forecast", "--lane", LANE, "--as-of", AS_OF.isoformat())

    assert "1 of 1 exhausted" in command(home, *about).out
    assert command(home, *about, "--json", "--hours", "168").document["hours"] == 168
    assert command(home, *about, "--hours", "169").code == 2
    assert command(home, *about, "--hours", "0").code == 2
