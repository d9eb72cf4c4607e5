"""First deliveries through the engine: once to each connector, whatever is stopped, repeated or rebuilt in between."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread, current_thread, main_thread
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa

from cavra_pipeline.connectors import Grade
from cavra_pipeline.errors import UsageError
from cavra_pipeline.evidence import emitted
from cavra_pipeline.evidence.emitted import save_emitted_drop
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.executive.escalation import escalation_plan
from cavra_pipeline.executive.publish import escalation, report_announcement, report_run_id
from cavra_pipeline.executive.report import executive_reports
from cavra_pipeline.retry import first_delivery as first_delivery_module
from cavra_pipeline.retry.first_delivery import Announcement, first_delivery
from cavra_pipeline.sending.engine import Engine
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse import Session
from tests.recoveries.stores import playbook
from tests.support import AS_OF, Record, ask_plan, at, drop, query, query_state, take_in
from tests.worker.support import Clock, Crash, Provider, armed_home, held, statuses, worker

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("CAVRA_TEST_KILLS", "4"))
#: By default only some of the statements are stopped at; all of them from 50 kills on.
STRIDE = 1 if KILLS >= 50 else 29
PROVIDERS = ("slack", "webhook")


def opening(playbook_id: str = "playbook-1", minutes: float = 600) -> Record:
    """An open recovery that nobody was notified of."""
    return playbook(at(minutes), "jira", playbook_id=playbook_id)


@pytest.fixture
def provider() -> Provider:
    return Provider(Clock())


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    made = armed_home(tmp_path, [opening()])
    take_in(made)
    return made


def escalate(home: Settings, clock: Clock, as_of: datetime | None) -> Announcement:
    now = clock()
    with warehouse_of(home).reading() as session:
        plan = escalation_plan(session, as_of=as_of or now, now=now, providers=PROVIDERS)
    return escalation(plan, requested_at=now, made_at=now, as_of=as_of)


def report(home: Settings, clock: Clock, as_of: datetime | None) -> Announcement:
    now = clock()
    with warehouse_of(home).reading() as session:
        made = executive_reports(session, instants=[as_of or now], now=now, providers=PROVIDERS)[0]
    return report_announcement(made, run_id=report_run_id(made), made_at=now, requested_at=now, as_of=as_of)


def send(
    home: Settings,
    provider: Provider,
    make: Callable[[Settings, Clock, datetime | None], Announcement] = escalate,
    *,
    as_of: datetime | None = None,
    providers: Sequence[str] = PROVIDERS,
    live: bool = True,
    run_id: str = "",
    is_killed_at_the_end: bool = False,
) -> dict[str, Any]:
    """One command, live: ``as_of`` None is what the command line does without --as-of."""
    announcement = make(home, provider.clock, as_of)
    with first_delivery(
        home,
        provider,
        announcement,
        providers=providers,
        is_live=live,
        clock=provider.clock,
        run_id=run_id or f"run-{len(provider.sent)}-{provider.clock().timestamp():.0f}",
    ) as sent:
        if is_killed_at_the_end:
            raise Crash
    return sent


def messages(provider: Provider) -> list[tuple[str, str, str]]:
    return [(message.subject, name, message.idempotency_id) for name, message in provider.sent]


class Stopper:
    """Ends the process, as far as the code can tell, after its nth statement in the warehouse or the state."""

    def __init__(self, after: int | None) -> None:
        self.after, self.count = after, 0
        self._execute = Session._execute

    def __call__(self, session: Session, sql: str, parameters: dict[str, object] | None) -> duckdb.DuckDBPyConnection:
        done = self._execute(session, sql, parameters)
        if self.count + 1 == self.after and done.description:
            done.fetchall()  # an open result would hide the stop behind an error of its own
        self.counted()
        return done

    def counted(self, *_: object) -> None:
        """Called after a statement. The thread that renews the lease is not the one that dies."""
        if current_thread() is main_thread():
            self.count += 1
            if self.count == self.after:
                raise Crash


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("make", [escalate, report])
@pytest.mark.parametrize("as_of", [None, AS_OF], ids=["now", "as of"])
def test_stopped_after_any_statement_and_given_again_each_connector_gets_one_message_under_one_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any, as_of: datetime | None
) -> None:
    def run(folder: Path, after: int | None) -> tuple[Settings, Provider, int]:
        home, provider, stopper = armed_home(folder, [opening()]), Provider(Clock()), Stopper(after)
        take_in(home)
        with monkeypatch.context() as patched:
            patched.setattr(Session, "_execute", lambda *given: stopper(*given))
            sa.event.listen(sa.Engine, "after_cursor_execute", stopper.counted)
            try:
                for _ in range(2):
                    with suppress(Crash):
                        send(home, provider, make, as_of=as_of)
                        break
                    # A process that ends lets go of its connections; here an open cursor would keep the state's lock.
                    gc.collect()
                    provider.clock.move(3)
            finally:
                sa.event.remove(sa.Engine, "after_cursor_execute", stopper.counted)
        return home, provider, stopper.count

    _, _, statements = run(tmp_path / "whole", None)
    for after in range(1, statements + 1, STRIDE):
        home, provider, _ = run(tmp_path / f"home-{after}", after)

        assert sorted({name for _, name, _ in messages(provider)}) == sorted(PROVIDERS), after
        assert len(set(messages(provider))) == len(PROVIDERS), after
        assert len({subject for subject, _, _ in messages(provider)}) == 1, after
        assert query_state(home, "SELECT DISTINCT state FROM send_intents") == [("done",)], after
        assert query(home, "SELECT count(*), count(DISTINCT subject) FROM deliveries") == [(2, 1)], after
        assert query(home, "SELECT count(*) FROM quarantine") == [(0,)], after


@pytest.mark.parametrize(
    ("module", "step"), [(emitted, "write_emitted_drop"), (emitted, "commit_emitted_drop"), (Engine, "settle")]
)
def test_an_answer_that_was_stored_is_recorded_and_not_asked_for_again(
    home: Settings, provider: Provider, monkeypatch: pytest.MonkeyPatch, module: Any, step: str
) -> None:
    real = getattr(module, step)

    def crash(*given: Any, **named: Any) -> Any:
        if provider.sent:
            raise Crash
        return real(*given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(module, step, crash)
        with pytest.raises(Crash):
            send(home, provider, run_id="killed")
    provider.clock.move(1)
    sent = send(home, provider)

    assert [name for _, name, _ in messages(provider)] == ["slack", "webhook"]
    assert [outcome["success"] for outcome in sent["outcomes"]] == [True, True]
    assert len({outcome["subject"] for outcome in sent["outcomes"]}) == 1
    assert query(home, "SELECT count(*) FROM deliveries WHERE delivery_success") == [(2,)]
    assert query_state(home, "SELECT * FROM leases") == []


def test_a_command_that_was_killed_before_it_showed_its_answer_is_shown_it_when_given_again(
    home: Settings, provider: Provider
) -> None:
    with pytest.raises(Crash):
        send(home, provider, is_killed_at_the_end=True)
    (first,) = {subject for subject, _, _ in messages(provider)}
    provider.clock.move(29)

    again = send(home, provider)
    assert {outcome["subject"] for outcome in again["outcomes"]} == {first}
    assert len(provider.sent) == 2
    assert len(query(home, "SELECT * FROM escalation_plans")) == 1

    provider.clock.move(1)
    send(home, provider)
    assert len({subject for subject, _, _ in messages(provider)}) == 2, "it had been shown, so this asks for another"


def test_a_command_that_was_killed_longer_ago_than_the_lanes_interval_is_not_taken_for_a_repeat(
    home: Settings, provider: Provider
) -> None:
    with pytest.raises(Crash):
        send(home, provider, is_killed_at_the_end=True)
    provider.clock.move(31)
    send(home, provider)

    assert len({subject for subject, _, _ in messages(provider)}) == 2
    assert len(set(messages(provider))) == len(provider.sent) == 4


def test_what_is_new_since_a_killed_command_is_sent_beside_what_that_left(home: Settings, provider: Provider) -> None:
    provider.answers = [Crash(), Grade.DELIVERED]
    with pytest.raises(Crash):
        send(home, provider)
    provider.clock.move(5)
    drop(home, [opening("playbook-2", 0)], name="new.jsonl")
    take_in(home)

    send(home, provider)

    by_subject = [message.facts["escalation_count"] for _, message in provider.sent]
    assert by_subject == [1, 1, 1, 2, 2], "the one that died, its repeat, the other connector, then the new plan"
    assert len({identity for _, _, identity in messages(provider)}) == 4


def test_two_connectors_each_get_what_the_killed_command_had_not_sent_yet(home: Settings, provider: Provider) -> None:
    provider.answers = [Grade.DELIVERED, Crash(), Grade.DELIVERED]
    with pytest.raises(Crash):
        send(home, provider)
    assert query_state(home, "SELECT provider, state FROM send_intents ORDER BY 1") == [
        ("slack", "done"),
        ("webhook", "claimed"),
    ]
    provider.clock.move(1)
    send(home, provider)

    assert [name for _, name, _ in messages(provider)] == ["slack", "webhook", "webhook"]
    assert len(set(messages(provider))) == 2


def test_the_lanes_next_live_worker_finishes_what_a_killed_command_left_and_a_dry_one_does_not(
    home: Settings, provider: Provider
) -> None:
    provider.answers = [Crash(), Grade.DELIVERED]
    with pytest.raises(Crash):
        send(home, provider)
    provider.clock.move(1)

    worker(home, provider, live=False)
    worker(home, provider, lane="executive_report")
    assert len(provider.sent) == 1
    worker(home, provider)
    worker(home, provider)

    assert sorted(name for _, name, _ in messages(provider)) == ["slack", "slack", "webhook"]
    assert len(set(messages(provider))) == 2
    assert query_state(home, "SELECT DISTINCT state FROM send_intents") == [("done",)]


def test_the_same_plan_goes_once_to_a_connector_also_after_the_warehouse_was_rebuilt(
    home: Settings, provider: Provider
) -> None:
    send(home, provider, as_of=at(1))
    provider.clock.move(60)
    again = send(home, provider, as_of=at(1))
    home.warehouse.unlink()
    take_in(home)
    rebuilt = send(home, provider, as_of=at(1))

    assert [outcome["success"] for sent in (again, rebuilt) for outcome in sent["outcomes"]] == [True] * 4
    assert len(provider.sent) == 2
    assert query(home, "SELECT count(*) FROM deliveries") == [(2,)]


def test_plans_of_two_instants_are_two_messages(home: Settings, provider: Provider) -> None:
    send(home, provider, as_of=AS_OF)
    send(home, provider, as_of=at(1))

    assert len({subject for subject, _, _ in messages(provider)}) == 2
    assert len({identity for _, _, identity in messages(provider)}) == 4


def test_a_command_given_while_another_sends_the_same_waits_for_it_and_sends_nothing(
    home: Settings, provider: Provider
) -> None:
    other, shown = Provider(provider.clock), list[dict[str, Any]]()
    second = Thread(target=lambda: shown.append(send(home, other, run_id="second")))
    provider.answers = [second.start, Grade.DELIVERED]

    send(home, provider, run_id="first")
    second.join(120)

    assert other.sent == []
    assert [outcome["grade"] for outcome in shown[0]["outcomes"]] == ["delivered", "delivered"]
    assert len({subject for subject, _, _ in messages(provider)}) == 1


def test_of_two_commands_that_plan_the_same_at_once_one_sends(
    home: Settings, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Provider(provider.clock)

    def meanwhile(*arguments: Any, **named: Any) -> Any:
        monkeypatch.setattr(first_delivery_module, "save_emitted_drop", save_emitted_drop)
        provider.clock.move(0.01)
        send(home, other, run_id="other")
        save_emitted_drop(*arguments, **named)

    monkeypatch.setattr(first_delivery_module, "save_emitted_drop", meanwhile)
    sent = send(home, provider, run_id="first")

    assert (len(provider.sent), len(other.sent)) == (0, 2)
    assert [outcome["success"] for outcome in sent["outcomes"]] == [True, True]


def test_a_first_delivery_that_failed_is_the_lanes_to_retry_under_its_id(home: Settings, provider: Provider) -> None:
    provider.answers = [Grade.FAILED, Grade.DELIVERED]
    sent = send(home, provider, report, as_of=AS_OF, providers=["slack"])
    again = send(home, provider, report, as_of=AS_OF, providers=["slack"])
    assert [one["outcomes"][0]["grade"] for one in (sent, again)] == ["failed", "failed"]
    assert len(provider.sent) == 1

    provider.clock.move(31)
    assert statuses(worker(home, provider, lane="executive_report")) == {"slack": "delivered"}
    assert len(set(provider.ids)) == 1
    assert ask_plan(home, "executive_report", provider.clock())["retry_decisions"] == []


def test_a_worker_heeds_what_the_provider_said_to_the_first_delivery(home: Settings, provider: Provider) -> None:
    provider.answers, provider.floor = [Grade.THROTTLED, Grade.REJECTED], timedelta(hours=2)
    send(home, provider, report, as_of=AS_OF)

    provider.clock.move(60)
    assert held(worker(home, provider, lane="executive_report")) == {
        "slack": "provider_asked_to_wait",
        "webhook": "provider_refused_it",
    }
    assert len(provider.sent) == 2


def test_a_lane_that_is_not_live_and_a_connector_that_is_not_on_are_refused_before_anything_is_written(
    home: Settings, provider: Provider
) -> None:
    before = query(home, "SELECT count(*) FROM evidence")
    provider.missing = {"webhook"}
    with pytest.raises(UsageError, match="provider webhook: no connector that is on"):
        send(home, provider)
    provider.missing = set()
    others = Settings(home=home.home, live_lanes=frozenset({"executive_report"}))
    with pytest.raises(UsageError, match="CAVRA_LIVE_LANES"):
        send(others, provider)

    assert provider.sent == []
    assert query(home, "SELECT count(*) FROM evidence") == before
    assert query_state(home, "SELECT count(*) FROM send_intents") == [(0,)]


def test_a_schedules_connector_that_is_not_on_holds_its_own_delivery_only_and_is_made_up_for(
    home: Settings, provider: Provider
) -> None:
    def scheduled(home: Settings, clock: Clock, as_of: datetime | None) -> Announcement:
        return replace(report(home, clock, as_of), requested_at=None, subject={"run_id": "scheduled-report-1"})

    provider.missing = {"slack"}
    sent = send(home, provider, scheduled)
    assert [(one["provider"], one["reason"]) for one in sent["outcomes"]] == [
        ("slack", "no_connector"),
        ("webhook", "delivered"),
    ]
    provider.missing = set()
    provider.clock.move(1)
    for _ in range(2):
        send(home, provider, scheduled)

    assert [name for _, name, _ in messages(provider)] == ["webhook", "slack"]
    assert len({subject for subject, _, _ in messages(provider)}) == 1


def test_a_dry_delivery_records_the_plan_and_says_what_it_would_send(home: Settings, provider: Provider) -> None:
    provider.missing = {"webhook"}
    sent = send(Settings(home=home.home), provider, live=False)

    assert (sent["dry_run"], sent["providers"], sent["without_connector"]) == (True, ["slack", "webhook"], ["webhook"])
    assert provider.sent == []
    assert query(home, "SELECT count(*) FROM escalation_plans") == [(1,)]
    assert query_state(home, "SELECT count(*) FROM send_intents") == [(0,)]
