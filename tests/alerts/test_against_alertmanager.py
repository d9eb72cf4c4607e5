"""The same timeline through our rules and through a model of Alertmanager gives the same notices."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cavra_pipeline.alerts.model import Alert, conditions, opened, resolved
from cavra_pipeline.alerts.planning import LastNotice, Planned, plan
from cavra_pipeline.settings import AlertPolicy
from tests.alerts.alertmanager import Group
from tests.alerts.support import minutes, signal
from tests.support import AS_OF

pytestmark = pytest.mark.slow

EXAMPLES: Final = int(os.environ.get("CAVRA_TEST_EXAMPLES", "150"))
NAMES: Final = ("a", "b", "c", "d")


class Ours:
    """Our rules over one group, with a connector that takes everything; the episodes are kept by hand."""

    def __init__(self, policy: AlertPolicy) -> None:
        self.policy = policy
        self.alerts: list[Alert] = []
        self.told: LastNotice | None = None

    def tick(self, active: set[str], now: datetime) -> tuple[str, frozenset[str]] | None:
        standing = {one.subject: one for one in self.alerts if one.is_open}
        for name in active - standing.keys():
            problem = conditions([signal("failed_run", name)])["failed_run", name]
            self.alerts.append(opened(problem, episode=len(self.alerts) + 1, now=now))
        self.alerts = [
            resolved(one, now=now) if one.is_open and one.subject not in active else one for one in self.alerts
        ]
        told = self.told
        mentionable = [one for one in self.alerts if one.is_open or (told and one.opened_at >= told.began_at)]
        planned = plan(mentionable, told, self.policy, now)
        if not isinstance(planned, Planned):
            return None
        self.told = replace(planned.last_notice, at=now)
        return planned.notice.value, frozenset(one.subject for one in planned.firing)


@given(
    timeline=st.lists(st.tuples(st.integers(1, 200), st.sets(st.sampled_from(NAMES))), max_size=40),
    group_wait=st.sampled_from([0, 1, 30]),
    window=st.sampled_from([0, 5, 60]),
    repeat=st.sampled_from([60, 240]),
)
@settings(max_examples=EXAMPLES)
def test_the_same_timeline_gives_the_same_notices(
    timeline: list[tuple[int, set[str]]], group_wait: int, window: int, repeat: int
) -> None:
    group = Group(minutes(group_wait), minutes(window), minutes(repeat))
    ours = Ours(AlertPolicy(group_wait_seconds=60 * group_wait, window_minutes=window, repeat_minutes=repeat))
    now = AS_OF
    for pause, active in timeline:
        now += minutes(pause)
        assert ours.tick(active, now) == group.tick(active, now)
