"""One worker run: what it selects, what it sends, what it leaves behind, and what happens when it does not end well."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa

from cavra_pipeline.boundary.kinds import payload_key
from cavra_pipeline.connectors import Grade
from cavra_pipeline.errors import PipelineError, UsageError
from cavra_pipeline.evidence import emitted
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.store import save_plan
from cavra_pipeline.sending import engine as engine_module
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of, tables
from cavra_pipeline.state.leases import LeaseLost
from tests.support import (
    AS_OF,
    MICROSECOND,
    PSEUDONYMS,
    Record,
    acknowledgement,
    ask_health,
    ask_plan,
    at,
    delivery,
    drop,
    execution,
    let_leases_expire,
    query,
    query_state,
    record,
    take_in,
)
from tests.worker.support import Clock, Crash, Provider, armed_home, held, statuses, worker

ACKNOWLEDGED = [delivery(at(60), failed=["slack"], session_id="d1"), acknowledgement(at(30))]


@pytest.fixture
def provider() -> Provider:
    return Provider(Clock())


def intents(home: Settings) -> list[tuple[Any, ...]]:
    return query_state(home, "SELECT state, claim_count, reason FROM send_intents ORDER BY created_at, intent_id")


# --- Dry and live --------------------------------------------------------------------------------------------------


def test_a_dry_run_selects_and_sends_nothing_and_leaves_a_record(tmp_path: Path, provider: Provider) -> None:
    home = armed_home(tmp_path, ACKNOWLEDGED)

    document = worker(home, provider, live=False)

    assert document["dry_run"] is True
    assert [d["latest_delivery_id"] for d in document["selected_retries"]] == ["d1"]
    assert document["executions"] == []
    assert provider.sent == []
    assert query(home, "SELECT is_dry_run, selected_retry_count FROM worker_runs") == [(True, 1)]
    assert query_state(home, "SELECT count(*) FROM send_intents") == [(0,)]
    assert query(home, "SELECT count(*) FROM executions") == [(0,)]


def test_a_live_run_sends_and_the_next_plan_has_no_decision(tmp_path: Path, provider: Provider) -> None:
    home = armed_home(tmp_path, ACKNOWLEDGED)

    document = worker(home, provider, generated_by="on-call")

    assert statuses(document) == {"slack": "delivered"}
    assert len(provider.sent) == 1
    assert ask_plan(home)["retry_decisions"] == []
    assert query(home, "SELECT signer, execution_status, delivery_success, subject FROM executions") == [
        ("on-call", "delivered", True, "subject-1")
    ]
    health = ask_health(home)
    assert (health["worker_run_count"], health["dry_run_count"], health["delivered_execution_count"]) == (1, 0, 1)
    assert (health["acknowledgement_gaps"], health["stale_retry_plan_count"], health["alert_level"]) == (
        [],
        0,
        "healthy",
    )
    assert query_state(home, "SELECT * FROM leases") == []


def test_a_lane_that_the_host_does_not_name_refuses_a_live_run_before_anything_happens(
    tmp_path: Path, provider: Provider
) -> None:
    home = armed_home(tmp_path, ACKNOWLEDGED)
    home.warehouse.unlink()
    others = Settings(home=home.home, live_lanes=frozenset(LANES) - {"recovery_escalation"})

    with pytest.raises(UsageError, match="the lane recovery_escalation is not live on this host") as raised:
        worker(others, provider)

    assert "CAVRA_LIVE_LANES=" in raised.value.remedy
    assert provider.sent == []
    assert not home.warehouse.exists()


@pytest.mark.parametrize("state", [None, "deferred", "escalated", "dismissed"])
def test_without_a_clearing_acknowledgement_a_retry_waits_dry_and_live(
    tmp_path: Path, provider: Provider, state: str | None
) -> None:
    said = [acknowledgement(at(40)), acknowledgement(at(30), state=state)] if state else []
    home = armed_home(tmp_path, [ACKNOWLEDGED[0], *said])

    for live in (False, True):
        document = worker(home, provider, live=live)
        assert [d["provider"] for d in document["acknowledgement_pending"]] == ["slack"]
        assert document["selected_retries"] == []
    assert provider.sent == []
    assert query(home, "SELECT DISTINCT acknowledgement_pending_count FROM worker_runs") == [(1,)]


@pytest.mark.parametrize("lane", ["executive_report", "recovery_health_alert", "executive_health_alert"])
def test_the_other_lanes_need_an_explicit_request_and_no_acknowledgement(
    tmp_path: Path, provider: Provider, lane: str
) -> None:
    home = armed_home(tmp_path, [delivery(at(60), lane=lane, failed=["slack"], executive_report_id="report-1")])

    assert worker(home, provider, lane=lane, live=False)["selected_retry_count"] == 1
    assert provider.sent == []
    assert statuses(worker(home, provider, lane=lane)) == {"slack": "delivered"}
    assert ask_plan(home, lane)["retry_decisions"] == []
    assert query(home, "SELECT lane, subject FROM executions") == [(lane, "subject-1")]
    health = ask_health(home, lane)
    assert (health["delivered_execution_count"], health["worker_run_count"], health["alerts"]) == (1, 2, [])


@pytest.mark.parametrize(("asked", "accepted"), [(0, False), (1, True), (25, True), (26, False), (-1, False)])
def test_the_most_retries_of_a_run_are_one_to_twenty_five(
    tmp_path: Path, provider: Provider, asked: int, accepted: bool
) -> None:
    home = armed_home(tmp_path, [])

    if accepted:
        assert worker(home, provider, max_retry_deliveries=asked)["max_retry_deliveries"] == asked
    else:
        with pytest.raises(UsageError, match=r"max_retry_deliveries.*1 to 25"):
            worker(home, provider, max_retry_deliveries=asked)


@pytest.mark.slow
def test_more_retries_than_one_run_may_make_are_made_by_the_next_in_order(tmp_path: Path, provider: Provider) -> None:
    subjects = [f"run-{number:02d}" for number in range(28)]
    home = armed_home(
        tmp_path, [delivery(at(60), lane="executive_report", subject=one, failed=["slack"]) for one in subjects]
    )

    first = worker(home, provider, lane="executive_report", max_retry_deliveries=25)
    assert [one["run_id"] for one in first["executions"]] == subjects[:25]
    assert {one["held_because"] for one in first["held_retries"]} == {"over_the_limit_of_this_run"}
    assert (first["retryable_count"], first["selected_retry_count"], first["held_retry_count"]) == (28, 25, 3)
    second = worker(home, provider, lane="executive_report", max_retry_deliveries=25)
    assert [one["run_id"] for one in second["executions"]] == subjects[25:]
    assert len(set(provider.ids)) == len(provider.ids) == 28


def test_an_empty_home_is_a_run_with_nothing_to_do(tmp_path: Path, provider: Provider) -> None:
    home = armed_home(tmp_path, [])

    assert worker(home, provider)["retryable_count"] == 0
    assert ask_health(home)["missed_worker_count"] == 0


@pytest.mark.slow
def test_a_subject_that_is_no_identifier_does_not_stop_the_run(tmp_path: Path, provider: Provider) -> None:
    odd = ["plan\n7\twith lines", "\u200b", "x" * 100_000]
    home = armed_home(
        tmp_path, [delivery(at(60), lane="executive_report", subject=one, failed=["slack"]) for one in odd]
    )

    assert len(worker(home, provider, lane="executive_report")["executions"]) == 3
    assert {message.subject for _, message in provider.sent} == {PSEUDONYMS.of_text(one) for one in odd}
    assert ask_plan(home, "executive_report")["retry_decisions"] == []


# --- Floors, refusals, missing connectors --------------------------------------------------------------------------


def test_a_floor_is_kept_to_the_microsecond_dry_and_live(tmp_path: Path, provider: Provider) -> None:
    home = armed_home(tmp_path, ACKNOWLEDGED)
    provider.answers, provider.floor = [Grade.THROTTLED, Grade.DELIVERED], timedelta(minutes=90)

    assert worker(home, provider)["executions"][0]["retry_not_before"] == (AS_OF + provider.floor).isoformat()
    provider.clock.at = AS_OF + provider.floor - MICROSECOND
    for live in (False, True):
        assert held(worker(home, provider, live=live)) == {"slack": "provider_asked_to_wait"}
    provider.clock.at += MICROSECOND
    assert statuses(worker(home, provider)) == {"slack": "delivered"}
    assert len(provider.sent) == 2
    assert len(set(provider.ids)) == 1


@pytest.mark.slow
def test_a_floor_outlives_a_crash_between_the_drop_and_the_warehouse(
    tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = armed_home(tmp_path, ACKNOWLEDGED)
    provider.answers, provider.floor = [Grade.THROTTLED, Grade.DELIVERED], timedelta(hours=10)
    crash_in(monkeypatch, emitted, "commit_emitted_drop")
    with pytest.raises(Crash):
        worker(home, provider)
    monkeypatch.undo()

    provider.clock.move(60)
    for live in (False, True, False):
        assert held(worker(home, provider, live=live)) == {"slack": "provider_asked_to_wait"}
    assert intents(home) == [("done", 1, "throttled")]
    provider.clock.move(9 * 60)
    assert statuses(worker(home, provider)) == {"slack": "delivered"}


@pytest.mark.slow
def test_a_refusal_outlives_a_crash_between_the_drop_and_the_warehouse(
    tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = armed_home(tmp_path, ACKNOWLEDGED)
    provider.answers = [Grade.REJECTED]
    crash_in(monkeypatch, emitted, "commit_emitted_drop")
    with pytest.raises(Crash):
        worker(home, provider)
    monkeypatch.undo()

    provider.clock.move(60)
    for live in (False, True, False):
        assert held(worker(home, provider, live=live)) == {"slack": "provider_refused_it"}
    assert intents(home) == [("refused", 1, "rejected")]


@pytest.mark.slow
def test_a_floor_that_no_provider_could_have_asked_for_is_not_waited_for(tmp_path: Path, provider: Provider) -> None:
    home = armed_home(tmp_path, ACKNOWLEDGED)
    provider.answers, provider.floor = [Grade.THROTTLED, Grade.DELIVERED], timedelta(days=400)

    worker(home, provider)
    provider.clock.move(60)
    assert statuses(worker(home, provider)) == {"slack": "delivered"}


@pytest.mark.slow
def test_without_a_connector_a_retry_is_skipped_once_and_goes_on_when_there_is_one(
    tmp_path: Path, provider: Provider
) -> None:
    home = armed_home(tmp_path, ACKNOWLEDGED)
    provider.missing = {"slack"}

    assert statuses(worker(home, provider)) == {"slack": "skipped"}
    for live in (True, False):
        provider.clock.move(30)
        assert held(worker(home, provider, live=live)) == {"slack": "no_connector"}
    assert query(home, "SELECT execution_status FROM executions") == [("skipped",)]
    assert ask_health(home, as_of=provider.clock())["failed_execution_count"] == 1
    assert ask_plan(home, as_of=provider.clock())["retryable_count"] == 1

    provider.missing = set()
    assert statuses(worker(home, provider)) == {"slack": "delivered"}
    assert query(home, "SELECT execution_status FROM executions") == [("delivered",)]
    assert intents(home) == [("done", 2, "delivered")]


# --- Crashes -------------------------------------------------------------------------------------------------------


def crash_in(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, *, call: int = 1, error: BaseException | None = None
) -> None:
    """Lets the worker end in the middle of its nth call of one of its steps."""
    real: Callable[..., Any] = getattr(module, name)
    calls = 0

    def crash(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise error or Crash
        return real(*arguments, **named)

    monkeypatch.setattr(module, name, crash)


def test_a_run_that_dies_while_it_sends_is_taken_up_by_the_next_with_the_same_id(
    tmp_path: Path, provider: Provider
) -> None:
    home = armed_home(tmp_path, ACKNOWLEDGED)
    provider.answers = [Crash(), Grade.DELIVERED]
    with pytest.raises(Crash):
        worker(home, provider)
    assert intents(home) == [("claimed", 1, None)]

    assert statuses(worker(home, provider)) == {"slack": "delivered"}
    assert len(provider.sent) == 2
    assert len(set(provider.ids)) == 1
    assert intents(home) == [("done", 2, "delivered")]
    worker(home, provider)
    assert query_state(home, "SELECT * FROM leases") == []


@pytest.mark.slow
def test_late_evidence_does_not_change_the_id_of_a_message_that_may_have_arrived(
    tmp_path: Path, provider: Provider
) -> None:
    home = armed_home(tmp_path, ACKNOWLEDGED)
    provider.answers = [Crash(), Grade.AMBIGUOUS, Grade.DELIVERED]
    with pytest.raises(Crash):
        worker(home, provider)
    drop(home, [delivery(at(180), failed=["slack"], session_id="d0")], name="late.jsonl")

    assert statuses(worker(home, provider)) == {"slack": "failed"}
    provider.clock.move(24 * 60)
    assert statuses(worker(home, provider, policy={"max_retry_attempts": 9})) == {"slack": "delivered"}
    assert len(provider.sent) == 3
    assert len(set(provider.ids)) == 1


@pytest.mark.slow
def test_what_has_arrived_is_not_sent_again_though_a_later_send_fails(tmp_path: Path, provider: Provider) -> None:
    home = armed_home(tmp_path, ACKNOWLEDGED)
    worker(home, provider)
    provider.clock.move(10)
    drop(home, [delivery(provider.clock(), failed=["slack"])], name="later.jsonl")

    provider.clock.move(60)
    assert statuses(worker(home, provider)) == {}
    assert len(provider.ids) == 1


def test_a_crash_between_the_drop_and_the_warehouse_loses_nothing_and_sends_nothing_again(
    tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = armed_home(tmp_path, ACKNOWLEDGED)
    crash_in(monkeypatch, emitted, "commit_emitted_drop")
    with pytest.raises(Crash):
        worker(home, provider)
    monkeypatch.undo()
    assert query(home, "SELECT count(*) FROM executions") == [(0,)]

    assert worker(home, provider)["retryable_count"] == 0
    assert len(provider.sent) == 1
    assert query(home, "SELECT execution_status FROM executions") == [("delivered",)]
    assert intents(home) == [("done", 1, "delivered")]


@pytest.mark.slow
def test_an_answer_that_could_not_be_recorded_is_recorded_by_the_next_run_dry_or_live(
    tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was noted, so nothing is sent again."""
    full = PipelineError("the landing zone can't be written", where="here", remedy="Free some disk space")
    for is_live in (False, True):
        home = armed_home(tmp_path / str(is_live), ACKNOWLEDGED)
        sent = len(provider.sent)
        with monkeypatch.context() as patched:
            crash_in(patched, emitted, "write_emitted_drop", error=full)
            with pytest.raises(PipelineError, match="the landing zone"):
                worker(home, provider)
        assert intents(home) == [("answered", 1, None)]
        assert query(home, "SELECT is_dry_run, selected_retry_count FROM worker_runs") == [(False, 1)]

        assert worker(home, provider, live=is_live)["retryable_count"] == 0
        assert len(provider.sent) == sent + 1
        assert intents(home) == [("done", 1, "delivered")]
        assert query(home, "SELECT execution_status FROM executions") == [("delivered",)]


@pytest.mark.slow
def test_an_answer_that_could_not_be_stored_is_asked_for_again_at_once_with_the_same_id(
    tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease of a run that failed ends with it, so its claim blocks nobody."""
    home = armed_home(tmp_path, ACKNOWLEDGED)
    full = PipelineError("there is no room left to write", where="here", remedy="Free some disk space")
    with monkeypatch.context() as patched:
        crash_in(patched, engine_module, "outcome_document", error=full)
        with pytest.raises(PipelineError, match="no room left"):
            worker(home, provider)

    assert statuses(worker(home, provider)) == {"slack": "delivered"}
    assert len(provider.sent) == 2
    assert len(set(provider.ids)) == 1


def test_a_run_whose_lease_has_expired_sends_nothing_more(tmp_path: Path, provider: Provider) -> None:
    lines = [delivery(at(60), lane="executive_report", subject=f"run-{n}", failed=["slack"]) for n in range(3)]
    home = armed_home(tmp_path, lines)
    provider.answers = [lambda: let_leases_expire(home), Grade.DELIVERED]

    with pytest.raises(LeaseLost, match="did not renew its lease"):
        worker(home, provider, lane="executive_report")
    assert len(provider.sent) == 1
    assert sorted(state for state, _, _ in intents(home)) == ["claimed", "done"]

    assert len(worker(home, provider, lane="executive_report")["executions"]) == 2
    assert len(set(provider.ids)) == len(provider.sent) == 3


@pytest.mark.parametrize(("lease_seconds", "is_over"), [(-0.001, True), (60.0, False)])
@pytest.mark.slow
def test_a_claim_is_free_when_the_lease_of_its_run_has_expired_and_not_before(
    tmp_path: Path, provider: Provider, lease_seconds: float, is_over: bool
) -> None:
    home = armed_home(tmp_path, ACKNOWLEDGED)
    provider.answers = [Crash(), Grade.DELIVERED]
    with pytest.raises(Crash):
        worker(home, provider, run_id="killed")
    with state_of(home).writing() as connection:
        expires = tables.now_ms() + int(lease_seconds * 1000)
        connection.execute(
            sa.update(tables.leases).where(tables.leases.c.run_id == "killed").values(expires_ms=expires)
        )

    document = worker(home, provider)
    assert (statuses(document), held(document)) == (
        ({"slack": "delivered"}, {}) if is_over else ({}, {"slack": "claimed_by_another_run"})
    )


@pytest.mark.slow
def test_two_runs_of_one_id_do_not_run_at_once(tmp_path: Path, provider: Provider) -> None:
    home = armed_home(tmp_path, ACKNOWLEDGED)
    failures: list[PipelineError] = []

    def second() -> None:
        with pytest.raises(PipelineError, match="a run of that id is running") as raised:
            worker(home, provider, run_id="one")
        failures.append(raised.value)

    provider.answers = [second, Grade.DELIVERED]
    worker(home, provider, run_id="one")
    assert len(failures) == len(provider.sent) == 1


@pytest.mark.slow
def test_retries_that_a_failed_run_did_not_reach_are_free(
    tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [delivery(at(60), lane="executive_report", subject=f"run-{n}", failed=["slack"]) for n in range(4)]
    home = armed_home(tmp_path, lines)
    full = PipelineError("the warehouse is full", where="here", remedy="Free some disk space")
    crash_in(monkeypatch, emitted, "commit_emitted_drop", call=2, error=full)
    with pytest.raises(PipelineError, match="full"):
        worker(home, provider, lane="executive_report")
    monkeypatch.undo()
    assert query(home, "SELECT selected_retry_count FROM worker_runs") == [(2,)]

    assert len(worker(home, provider, lane="executive_report")["executions"]) == 2
    assert len(set(provider.failures)) == len(provider.failures) == 4


def test_what_went_wrong_first_is_told_when_the_run_can_not_be_recorded_either(
    tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = armed_home(tmp_path, ACKNOWLEDGED)

    def full(*_: Any, **__: Any) -> None:
        raise PipelineError(f"no room for write {len(provider.sent)}", where="here", remedy="Free some disk space")

    monkeypatch.setattr(emitted, "write_emitted_drop", full)
    with pytest.raises(PipelineError, match="no room for write 1"):
        worker(home, provider)


@pytest.mark.slow
def test_a_connector_that_raises_is_recorded_as_failed_and_does_not_stop_the_others(
    tmp_path: Path, provider: Provider
) -> None:
    lines = [delivery(at(60), lane="executive_report", subject=f"run-{n}", failed=["slack"]) for n in range(3)]
    home = armed_home(tmp_path, lines)
    provider.answers = [RuntimeError("CANARY in a message"), Grade.DELIVERED]

    with pytest.raises(PipelineError, match="RuntimeError") as raised:
        worker(home, provider, lane="executive_report")

    assert "CANARY" not in str(raised.value)
    assert raised.value.__context__ is None
    assert query(home, "SELECT execution_status FROM executions ORDER BY subject") == [
        ("failed",),
        ("delivered",),
        ("delivered",),
    ]
    assert query(home, "SELECT selected_retry_count FROM worker_runs") == [(3,)]
    provider.clock.move(60)
    worker(home, provider, lane="executive_report")
    assert provider.ids[0] == provider.ids[3]


# --- Two workers ---------------------------------------------------------------------------------------------------


def test_a_run_that_comes_while_another_sends_leaves_its_retry_alone_and_makes_the_others(
    tmp_path: Path, provider: Provider
) -> None:
    lines = [delivery(at(60), lane="executive_report", subject=f"run-{n}", failed=["slack"]) for n in range(3)]
    home = armed_home(tmp_path, lines)
    other = Provider(provider.clock)
    seen: list[dict[str, Any]] = []

    def meanwhile() -> None:
        seen.append(worker(home, other, lane="executive_report", live=False))
        seen.append(worker(home, other, lane="executive_report"))

    provider.answers = [meanwhile, Grade.DELIVERED]
    first = worker(home, provider, lane="executive_report")

    for document in seen:
        assert [(d["run_id"], d["held_because"]) for d in document["held_retries"]] == [
            ("run-0", "claimed_by_another_run")
        ]
    assert [e["run_id"] for e in seen[1]["executions"]] == ["run-1", "run-2"]
    assert [e["run_id"] for e in first["executions"]] == ["run-0"]
    assert {d["held_because"] for d in first["held_retries"]} == {"already_executed"}
    assert len(provider.sent) + len(other.sent) == 3


@pytest.mark.slow
def test_the_clock_may_jump_while_another_run_sends(tmp_path: Path, provider: Provider) -> None:
    home = armed_home(tmp_path, ACKNOWLEDGED)
    other = Provider(Clock(AS_OF + timedelta(days=30)))
    provider.answers = [lambda: seen.append(worker(home, other)), Grade.DELIVERED]
    seen: list[dict[str, Any]] = []

    worker(home, provider)

    assert held(seen[0]) == {"slack": "claimed_by_another_run"}
    assert other.sent == []


def test_an_acknowledgement_that_is_withdrawn_before_the_claim_stops_the_send(
    tmp_path: Path, provider: Provider
) -> None:
    """The acknowledgement counts in the transaction of the claim, which comes right before the send."""
    lines = [
        line
        for n in range(2)
        for line in (
            delivery(at(60), subject=f"plan-{n}", failed=["slack"]),
            acknowledgement(at(30), subject=f"plan-{n}"),
        )
    ]
    home = armed_home(tmp_path, lines)

    def withdraw() -> None:
        drop(home, [acknowledgement(at(1), subject="plan-1", state="deferred")], name="withdrawn.jsonl")
        take_in(home)

    provider.answers = [withdraw, Grade.DELIVERED]
    document = worker(home, provider)

    assert [e["plan_id"] for e in document["executions"]] == ["plan-0"]
    assert [d["plan_id"] for d in document["acknowledgement_pending"]] == ["plan-1"]
    assert len(provider.sent) == 1


def test_an_acknowledgement_withdrawn_after_a_crash_leaves_the_open_attempt_alone(
    tmp_path: Path, provider: Provider
) -> None:
    home = armed_home(tmp_path, ACKNOWLEDGED)
    provider.answers = [Crash(), Grade.DELIVERED]
    with pytest.raises(Crash):
        worker(home, provider)
    drop(home, [acknowledgement(at(1), state="deferred")], name="withdrawn.jsonl")

    assert worker(home, provider)["acknowledgement_pending_count"] == 1
    assert len(provider.sent) == 1
    assert intents(home) == [("claimed", 1, None)]


def test_a_delivery_that_succeeds_meanwhile_is_not_retried(tmp_path: Path, provider: Provider) -> None:
    lines = [delivery(at(60), lane="executive_report", subject=f"run-{n}", failed=["slack"]) for n in range(2)]
    home = armed_home(tmp_path, lines)

    def succeed() -> None:
        drop(home, [delivery(at(1), lane="executive_report", subject="run-1")], name="success.jsonl")
        take_in(home)

    provider.answers = [succeed, Grade.DELIVERED]
    document = worker(home, provider, lane="executive_report")

    assert [(d["run_id"], d["held_because"]) for d in document["held_retries"]] == [("run-1", "later_evidence")]
    assert len(provider.sent) == 1


# --- A warehouse that is rebuilt, a clock that jumps ----------------------------------------------------------------


@pytest.mark.slow
def test_a_warehouse_that_was_built_anew_knows_from_the_evidence_what_was_sent(
    tmp_path: Path, provider: Provider
) -> None:
    home = armed_home(tmp_path, ACKNOWLEDGED)
    provider.answers = [Grade.FAILED, Grade.DELIVERED]
    worker(home, provider)
    home.warehouse.unlink()
    take_in(home)

    assert worker(home, provider)["retryable_count"] == 0
    provider.clock.move(60)
    assert statuses(worker(home, provider)) == {"slack": "delivered"}
    assert len(set(provider.failures)) == 2
    assert len(set(provider.ids)) == 1


def test_an_execution_in_the_evidence_stops_its_retry_without_any_intent(tmp_path: Path, provider: Provider) -> None:
    home = armed_home(tmp_path, ACKNOWLEDGED)
    worker(home, provider)
    (made,) = query(home, "SELECT execution_id FROM executions")
    elsewhere = armed_home(tmp_path / "other", [*ACKNOWLEDGED, execution(at(5), status="failed", execution_id=made[0])])

    for live in (False, True):
        assert held(worker(elsewhere, provider, live=live)) == {"slack": "already_executed"}
    assert len(provider.sent) == 1


@pytest.mark.slow
@pytest.mark.parametrize("minutes", [-200, -45, -10, 10, 600])
def test_a_clock_that_jumps_while_a_retry_is_sent_leads_to_no_second_send(
    tmp_path: Path, provider: Provider, minutes: float
) -> None:
    home = armed_home(tmp_path, ACKNOWLEDGED)
    provider.answers = [lambda: provider.clock.move(minutes), Grade.DELIVERED]
    worker(home, provider)

    for moment in (provider.clock(), AS_OF, at(59), AS_OF + timedelta(days=1)):
        provider.clock.at = moment
        worker(home, provider)
    assert len(provider.sent) == 1
    assert ask_plan(home, as_of=AS_OF + timedelta(days=1))["retry_decisions"] == []


def test_a_clock_that_went_back_does_not_bring_an_old_acknowledgement_back(tmp_path: Path, provider: Provider) -> None:
    said = [acknowledgement(at(50)), acknowledgement(at(10), state="deferred")]
    home = armed_home(tmp_path, [ACKNOWLEDGED[0], *said])
    provider.clock.at = at(30)

    assert worker(home, provider)["acknowledgement_pending_count"] == 1
    assert provider.sent == []


# --- A saved plan --------------------------------------------------------------------------------------------------


def kept_plan(home: Settings, lane: str = "recovery_escalation", **policy: Any) -> str:
    take_in(home)
    plan = ask_plan(home, lane, **policy)
    save_plan(state_of(home), plan, now=AS_OF)
    return str(plan["retry_plan_id"])


def test_a_kept_plan_is_executed_once_and_only_it(tmp_path: Path, provider: Provider) -> None:
    home = armed_home(tmp_path, ACKNOWLEDGED)
    kept = kept_plan(home)
    provider.clock.move(120)
    new = [delivery(at(-60), subject="subject-2", failed=["slack"]), acknowledgement(at(-61), subject="subject-2")]
    drop(home, new, name="new.jsonl")

    document = worker(home, provider, retry_plan_id=kept)

    assert document["retry_plan_id"] == kept
    assert [e["plan_id"] for e in document["executions"]] == ["subject-1"]
    assert worker(home, provider, retry_plan_id=kept)["selected_retry_count"] == 0
    assert len(provider.sent) == 1
    assert query(home, "SELECT DISTINCT retry_plan_id FROM executions") == [(kept,)]
    assert query(home, "SELECT retry_plan_id, created_at FROM retry_plans") == [(kept, AS_OF.replace(tzinfo=None))]


@pytest.mark.slow
def test_a_kept_plan_is_judged_by_its_own_policy(tmp_path: Path, provider: Provider) -> None:
    lines = [delivery(at(600 - n), failed=["slack"]) for n in range(4)]
    home = armed_home(tmp_path, [*lines, acknowledgement(at(30))])
    kept = kept_plan(home, max_retry_attempts=9, backoff_multiplier=1)

    assert worker(home, provider)["selected_retry_count"] == 0
    assert statuses(worker(home, provider, retry_plan_id=kept)) == {"slack": "delivered"}


@pytest.mark.slow
def test_what_a_plan_let_wait_is_not_executed_by_it_when_it_has_become_due(tmp_path: Path, provider: Provider) -> None:
    home = armed_home(tmp_path, [delivery(at(5), failed=["slack"]), acknowledgement(at(3))])
    kept = kept_plan(home)
    provider.clock.move(60)

    assert worker(home, provider, retry_plan_id=kept)["selected_retry_count"] == 0
    assert worker(home, provider)["selected_retry_count"] == 1


def test_a_plan_whose_evidence_has_changed_is_refused_dry_and_live(tmp_path: Path, provider: Provider) -> None:
    home = armed_home(tmp_path, ACKNOWLEDGED)
    kept = kept_plan(home)
    drop(home, [delivery(at(40), subject="subject-9")], name="late.jsonl")

    for live in (False, True):
        with pytest.raises(PipelineError, match="evidence the plan is based on has changed"):
            worker(home, provider, live=live, retry_plan_id=kept)
    assert provider.sent == []
    assert query_state(home, "SELECT count(*) FROM send_intents") == [(0,)]


@pytest.mark.slow
def test_a_plan_of_another_lane_or_of_nobody_is_refused(tmp_path: Path, provider: Provider) -> None:
    home = armed_home(tmp_path, ACKNOWLEDGED)
    kept = kept_plan(home)

    for lane, plan_id in (("executive_report", kept), ("recovery_escalation", "retry-plan-unknown")):
        with pytest.raises(PipelineError, match="no plan of that id is saved for this lane"):
            worker(home, provider, lane=lane, retry_plan_id=plan_id)


# --- Runs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("run_id", ["", "../run", "a/b", "x" * 101, "a b"])
def test_a_run_id_that_could_not_name_a_file_is_refused(tmp_path: Path, provider: Provider, run_id: str) -> None:
    home = armed_home(tmp_path, [])
    with pytest.raises(UsageError, match="run_id"):
        worker(home, provider, run_id=run_id or "\n")


def test_two_runs_of_one_id_at_once_are_refused(tmp_path: Path, provider: Provider) -> None:
    home = armed_home(tmp_path, ACKNOWLEDGED)
    refused: list[str] = []

    def again() -> None:
        with pytest.raises(PipelineError, match="is running") as raised:
            worker(home, Provider(provider.clock), run_id="same")
        refused.append(str(raised.value))

    provider.answers = [again, Grade.DELIVERED]
    assert statuses(worker(home, provider, run_id="same")) == {"slack": "delivered"}
    assert len(refused) == 1


#: What lets a live retry of any lane go.
RELEASED = [
    acknowledgement(at(30)),
    record(
        "retry-execution-approval-decision",
        at(30),
        delivery_id="subject-1",
        provider="slack",
        approval_state="approved",
    ),
    record("final-reporting-auditor-export", at(30), export_id="subject-1", verification_state="verified"),
    record("final-reporting-release-closeout-summary", at(30), summary_id="subject-1", closeout_state="closed"),
]


@pytest.mark.parametrize("lane", list(LANES))
@pytest.mark.slow
def test_every_record_the_worker_writes_is_of_a_kind_and_lane_the_contract_knows(
    tmp_path: Path, provider: Provider, lane: str
) -> None:
    home = armed_home(tmp_path, [delivery(at(60), lane=lane, failed=["slack"]), *RELEASED])
    worker(home, provider, lane=lane)

    made = query(
        home, "SELECT record_type, lane FROM evidence WHERE file_name LIKE 'cavra-pipeline-%' ORDER BY record_type"
    )
    assert made == [("delivery", lane), ("execution", lane), ("retry_plan", lane), ("worker_run", lane)]
    assert query(home, "SELECT count(*) FROM quarantine") == [(0,)]
    assert query(home, "SELECT sum(dropped_field_count), sum(unknown_kind_count) FROM drops") == [(0, 0)]


@pytest.mark.parametrize("is_named", [True, False])
def test_a_delivery_that_keeps_the_subject_of_a_retry_is_not_retried_itself(
    is_named: bool, tmp_path: Path, provider: Provider
) -> None:
    lane = "release_closeout"

    def failed(minutes: float, subject: str, session_id: str) -> Record:
        return delivery(at(minutes), lane=lane, subject=subject, failed=["slack"], session_id=session_id)

    def retried(new_delivery: str) -> Record:
        nested: Any = {payload_key(LANES[lane].kinds.execution): {"new_delivery_id": new_delivery}}
        return execution(at(100), lane=lane, subject="subject-1", session_id="e", **nested)

    closed = [
        record("final-reporting-release-closeout-summary", at(30), summary_id=subject, closeout_state="closed")
        for subject in ("subject-1", "new")
    ]
    sent = [failed(110, "subject-1", "d-1"), failed(100, "new", "d-2"), failed(60, "new", "d-3")]
    home = armed_home(tmp_path, [*sent, *closed, *([retried("d-2")] if is_named else [])])

    done = worker(home, provider, lane=lane)

    assert [one["summary_id"] for one in done["executions"]] == (["subject-1"] if is_named else ["new", "subject-1"])
    assert held(done) == ({"slack": "subject_not_sendable"} if is_named else {})
    assert [one["held_because"] for one in worker(home, provider, lane=lane)["held_retries"]] == (
        ["subject_not_sendable"] if is_named else []
    )
