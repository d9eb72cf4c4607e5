"""No live send without an acknowledgement, none twice: over acknowledgements, deliveries, plans, crashes and jumps."""

from __future__ import annotations

import os
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from cavra_pipeline.connectors import Grade, Notification
from cavra_pipeline.connectors.deliver import DeliveryOutcome
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence import emitted
from cavra_pipeline.lanes import ACKNOWLEDGEMENT_STATES, CLEARING_STATES, LANES
from cavra_pipeline.reports.store import save_plan
from cavra_pipeline.retry.acknowledge import acknowledge
from cavra_pipeline.sending import engine as engine_module
from cavra_pipeline.state import state_of
from tests.support import AS_OF, ask_plan, delivery, drop, query, query_state, take_in
from tests.worker.support import Clock, Crash, Provider, armed_home, worker

pytestmark = pytest.mark.slow

PAIRS = [(subject, provider) for subject in ("plan-1", "plan-2") for provider in ("slack", "webhook")]
#: More for a long look: CAVRA_TEST_EXAMPLES=150 pytest tests/worker/test_states.py
EXAMPLES = int(os.environ.get("CAVRA_TEST_EXAMPLES", "6"))
PAIR = st.sampled_from(PAIRS)
POLICY: dict[str, Any] = {"max_retry_attempts": 50, "retry_delay_minutes": 10, "backoff_multiplier": 1}


class Watched(Provider):
    """Looks, at the moment of each send, at whether it may be made."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.said: dict[tuple[str, str], str] = {}
        self.unknown: set[tuple[str, str]] = set()
        self.ids_of: dict[tuple[str, str], str] = {}

    def send(self, provider: str, notification: Notification, *, claim_ends_at: datetime) -> DeliveryOutcome:
        pair = (notification.subject, provider)
        failure = (str(notification.facts["latest_delivery"]), provider)
        assert self.said.get(pair) in CLEARING_STATES, f"{pair} was sent while the last word was {self.said.get(pair)}"
        if failure in self.ids_of:
            assert failure in self.unknown, f"{failure} was sent twice although its first outcome is known"
            assert notification.idempotency_id == self.ids_of[failure], "the second send has another id"
        self.ids_of[failure] = notification.idempotency_id
        self.unknown.add(failure)
        return super().send(provider, notification, claim_ends_at=claim_ends_at)


class Loop(RuleBasedStateMachine):
    """An operator, CAVRA, the worker, and everything that goes wrong with them."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.provider = Watched(self.clock)
        self.home = armed_home(Path(self.folder.name), [])
        self.number = 0
        self.plans: list[str] = []
        self.floor = AS_OF

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()

    def _drop(self, pair: tuple[str, str], *, has_failed: bool) -> None:
        self.number += 1
        subject, provider = pair
        outcome: dict[str, Any] = {"failed": [provider]} if has_failed else {"providers": [provider]}
        line = delivery(self.clock(), subject=subject, session_id=f"cavra-{self.number:03d}", **outcome)
        drop(self.home, [line], name=f"cavra-{self.number:03d}.jsonl")

    @rule(pair=PAIR)
    def cavra_fails_to_deliver(self, pair: tuple[str, str]) -> None:
        self._drop(pair, has_failed=True)

    @rule(pair=PAIR)
    def cavra_delivers(self, pair: tuple[str, str]) -> None:
        self._drop(pair, has_failed=False)

    @rule(pair=PAIR, state=st.sampled_from([*ACKNOWLEDGEMENT_STATES, *CLEARING_STATES, *CLEARING_STATES]))
    def an_operator_acknowledges(self, pair: tuple[str, str], state: str) -> None:
        subject, provider = pair
        acknowledge(
            self.home,
            LANES["recovery_escalation"],
            subject=subject,
            provider=provider,
            state=state,
            by="on-call",
            now=self.clock(),
            is_forced=True,
        )
        self.provider.said[pair] = state

    @rule(minutes=st.sampled_from([-400, -60, -11, -1, 1, 11, 11, 60, 400]))
    def the_clock_jumps(self, minutes: float) -> None:
        if abs(self.clock() + timedelta(minutes=minutes) - AS_OF) < timedelta(hours=11):
            self.clock.move(minutes)

    @rule()
    def a_plan_is_kept(self) -> None:
        take_in(self.home)
        plan = ask_plan(self.home, as_of=self.clock(), **POLICY)
        save_plan(state_of(self.home), plan, now=self.clock())
        self.plans.append(plan["retry_plan_id"])

    @rule(
        answer=st.sampled_from(
            [Grade.DELIVERED, Grade.ACCEPTED, Grade.FAILED, Grade.THROTTLED, Grade.AMBIGUOUS, Grade.REJECTED]
        ),
        then=st.sampled_from([Grade.DELIVERED, Grade.FAILED]),
        with_plan=st.booleans(),
    )
    def the_worker_runs(self, answer: Grade, then: Grade, with_plan: bool) -> None:
        self.provider.answers = [answer, then]
        self._work(with_plan=with_plan)

    @rule()
    def the_worker_dies_while_it_sends(self) -> None:
        self.provider.answers = [Crash(), Grade.DELIVERED]
        self._work()

    @rule(
        step=st.sampled_from(
            [
                (emitted, "write_emitted_drop"),
                (emitted, "commit_emitted_drop"),
                (engine_module, "outcome_document"),
                (engine_module.Engine, "settle"),
            ]
        ),
        minutes=st.sampled_from([-11, 0, 11]),
    )
    def the_worker_dies_after_it_has_sent(self, step: tuple[Any, str], minutes: float) -> None:
        self.provider.answers = [lambda: self.clock.move(minutes), Grade.DELIVERED]
        module, name = step
        real, before = getattr(module, name), len(self.provider.sent)

        def crash(*given: Any, **named: Any) -> Any:
            if len(self.provider.sent) > before:
                raise Crash
            return real(*given, **named)

        setattr(module, name, crash)
        try:
            self._work()
        finally:
            setattr(module, name, real)

    def _work(self, *, with_plan: bool = False) -> None:
        plan_id = self.plans[-1] if with_plan and self.plans else None
        dry = self._run(live=False, plan_id=plan_id)
        before = len(self.provider.sent)
        live = self._run(live=True, plan_id=plan_id)
        sent = [(message.subject, provider) for provider, message in self.provider.sent[before:]]
        if dry is None or live is None:
            assert dry is not None or not sent
        else:
            assert sent == [(one["plan_id"], one["provider"]) for one in dry["selected_retries"]]
            for part in ("acknowledgement_pending", "held_retries"):
                assert live[part] == dry[part]
        self._learn()
        self._every_execution_is_one_send_and_no_record_is_lost()

    def _run(self, *, live: bool, plan_id: str | None) -> dict[str, Any] | None:
        try:
            return worker(self.home, self.provider, live=live, policy=POLICY, retry_plan_id=plan_id)
        except Crash:
            return None
        except PipelineError as error:
            if "the plan is based on has changed" not in error.what:
                raise
            return None

    def _learn(self) -> None:
        """What has an execution in a drop on disk has a known outcome; an ambiguous one is a failure of its own."""
        take_in(self.home)
        executed = {name for (name,) in query(self.home, "SELECT execution_id FROM executions")}
        for name, failure, provider in query_state(self.home, "SELECT intent_id, answers, provider FROM send_intents"):
            if name in executed:
                self.provider.unknown.discard((failure, provider))

    def _every_execution_is_one_send_and_no_record_is_lost(self) -> None:
        made = set(self.provider.failures) - self.provider.unknown
        assert query(
            self.home,
            "SELECT count(*), count(DISTINCT execution_id), (SELECT count(*) FROM quarantine) FROM executions",
        ) == [(len(made), len(made), 0)]


Loop.TestCase.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=14, suppress_health_check=list(HealthCheck), deadline=None
)
TestLoop = Loop.TestCase
