"""Random lives of a few alerts against a model that only knows what is wrong, who took it on and what was said."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cavra_pipeline.alerts.operators import acknowledge_alert
from cavra_pipeline.connectors import Grade
from tests.alerts.support import desk, signal
from tests.support import query_state

pytestmark = pytest.mark.slow

SUBJECTS = st.sets(st.sampled_from(["a", "b", "c"]))


class Lives(RuleBasedStateMachine):
    """The model: ``wrong`` and the number of episodes by subject, who is attended, and what was last said of each."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.desk = desk(Path(self.folder.name), flap_changes=1000)
        self.wrong: set[str] = set()
        self.attended: set[str] = set()
        self.episodes: dict[str, int] = {}

    def teardown(self) -> None:
        """However it went: once connectors work and time has passed, what was said last of each is what is true."""
        self.desk.provider.answers = [Grade.DELIVERED]
        for _ in range(4):
            self.look(self.wrong, 61)
        said = {name: kind for kind, name in self.said()}
        believed = {name for name, kind in said.items() if kind != "resolved"}
        assert believed - self.wrong == set()
        assert self.wrong - believed <= self.attended, "only who was attended before it was told may be untold"
        bodies: dict[str, Any] = {}
        for _, message in self.desk.provider.sent:
            assert bodies.setdefault(message.idempotency_id, message) == message
        self.folder.cleanup()

    def said(self) -> list[tuple[str, str]]:
        return [
            (message.event_type.rsplit(".", 1)[-1], message.subject.removeprefix("missed_run "))
            for _, message in self.desk.provider.sent
            if message.subject.startswith("missed_run ")
        ]

    @initialize(grades=st.lists(st.sampled_from([Grade.DELIVERED, Grade.FAILED, Grade.AMBIGUOUS, Grade.REJECTED])))
    def connector(self, grades: list[Grade]) -> None:
        self.desk.provider.answers = [*grades, Grade.DELIVERED]

    @rule(wrong=SUBJECTS, minutes=st.sampled_from([0, 1, 5, 59, 61, 241]))
    def look(self, wrong: set[str], minutes: int) -> None:
        for name in wrong - self.wrong:
            self.episodes[name] = self.episodes.get(name, 0) + 1
        self.attended &= wrong & self.wrong
        self.wrong = set(wrong)
        known = len(self.said())
        self.desk.tick(*(signal(subject=name) for name in sorted(wrong)), minutes=minutes, kinds=["missed_run"])
        reminded = {name for kind, name in self.said()[known:] if kind == "reminder"}
        assert reminded.isdisjoint(self.attended), "who is attended is not repeated"

    @rule(which=st.integers(0, 2))
    def take_on(self, which: int) -> None:
        found = query_state(
            self.desk.settings,
            "SELECT alert_id, subject FROM alerts WHERE kind = 'missed_run' AND state <> 'resolved' ORDER BY 2",
        )
        if which < len(found):
            alert_id, subject = found[which]
            acknowledge_alert(self.desk.settings, alert_id, by="on-call", now=self.desk.clock())
            self.attended.add(subject)

    @invariant()
    def the_state_knows_what_is_wrong(self) -> None:
        open_state = "max(CASE WHEN state <> 'resolved' THEN state END)"
        sql = f"SELECT subject, max(episode), {open_state} FROM alerts WHERE kind = 'missed_run' GROUP BY subject"
        rows = query_state(self.desk.settings, sql)
        assert {name: count for name, count, _ in rows} == self.episodes
        states = {name: "acknowledged" if name in self.attended else "firing" for name in self.wrong}
        assert {name: state for name, _, state in rows if state} == states


Lives.TestCase.settings = settings(
    max_examples=int(os.environ.get("CAVRA_TEST_EXAMPLES", "3")), stateful_step_count=8, deadline=None
)
TestLives = Lives.TestCase
