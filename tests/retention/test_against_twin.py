"""Pruned warehouses against unpruned twins: random histories, the same bytes for every instant after the horizon."""

from __future__ import annotations

import os
import re
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cavra_pipeline.boundary.fields import CLOSURE_STATES
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.executive.escalation import escalation_plan
from cavra_pipeline.executive.report import executive_reports
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.dashboard import dashboards
from cavra_pipeline.reports.health import health_parameters, retry_health_reports
from cavra_pipeline.reports.plan import retry_plans
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.retention.prune import Pruned, prune
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from tests.evidence.test_watched import check
from tests.executive.histories import escalated
from tests.recoveries.stores import closure, playbook
from tests.retry.histories import PARAMETERS, POLICIES, histories
from tests.support import (
    MICROSECOND,
    NOW,
    Record,
    acknowledgement,
    delivery,
    drop,
    home_with,
    ingested,
    query,
    take_in,
    without_clock,
)

#: More for a long look: CAVRA_TEST_EXAMPLES=100 pytest tests/retention/test_against_twin.py
EXAMPLES = int(os.environ.get("CAVRA_TEST_EXAMPLES", "2"))
HORIZON = datetime.fromisoformat("2026-06-25T00:00:00+00:00")
DAY = HORIZON.date()
WINDOW = timedelta(hours=1)
#: Incidents are judged by outcomes from the horizon on (decision 20).
_INCIDENT = re.compile(rb', "provider_incident_id": (null|"[^"]*")')
#: The day before is closed by the horizon, the other two may hold evidence from before it too.
DROP_DAYS = ("2026-06-24", "2026-06-25", "2026-06-26")


def moved(records: list[Record], back: timedelta) -> list[Record]:
    return [{**one, "created_at": (datetime.fromisoformat(one["created_at"]) - back).isoformat()} for one in records]


@st.composite
def stories(draw: st.DrawFn) -> list[Record]:
    """A history whose bulk lies on both sides of the horizon, with recoveries that are opened, told and closed."""
    records = moved(draw(histories(60)), timedelta(minutes=15 * draw(st.integers(12, 60))))
    for number in range(draw(st.integers(0, 6))):
        when = HORIZON + timedelta(minutes=15 * draw(st.integers(-12, 8)))
        about: dict[str, Any] = {"subject": draw(st.sampled_from(["s-a", "s-b", "s-c"])), "session_id": f"o-{number}"}
        provider = draw(st.sampled_from(["slack", "teams"]))
        resolved = acknowledgement(when, provider=provider, state="resolved", **about)
        delivered = delivery(when, providers=[provider], **about)
        records.append(draw(st.sampled_from([escalated(when, ("r-0", provider), **about), resolved, delivered])))
    for number in range(draw(st.integers(0, 3))):
        opened = HORIZON + timedelta(minutes=15 * draw(st.integers(-12, 2)))
        closed = opened + timedelta(minutes=15 * draw(st.integers(1, 6)))
        about = {"playbook_id": f"r-{number}"}
        records += [playbook(opened, "slack", "teams", session_id=f"r-{number}-1", **about)]
        records += [closure(closed, draw(st.sampled_from(CLOSURE_STATES)), session_id=f"r-{number}-2", **about)]
    return records


def answers(home: Settings, asked: list[datetime], policy: dict[str, Any], parameters: dict[str, Any]) -> list[bytes]:
    """Plan and health of every lane at every instant, health where its window is still there."""
    back = timedelta(hours=parameters["window_hours"])
    judged = [as_of for as_of in asked if as_of >= HORIZON - MICROSECOND + back]
    said: list[dict[str, Any]] = []
    with warehouse_of(home).reading() as session:
        for lane in LANES.values():
            in_force, judged_by = retry_policy(lane, policy), health_parameters(lane, **parameters)
            said += retry_plans(session, lane, in_force, instants=asked, now=NOW)
            said += retry_health_reports(session, lane, judged_by, instants=judged, now=NOW)
    return [_INCIDENT.sub(b"", without_clock(one)) for one in said]


def stories_told(home: Settings, asked: list[datetime]) -> list[bytes]:
    """What rests on whole stories, and on windows of a week where those are still there."""
    weekly = [as_of for as_of in asked if as_of >= HORIZON + timedelta(days=7)]
    with warehouse_of(home).reading() as session:
        said = [escalation_plan(session, as_of=as_of, now=NOW, providers=["slack"]) for as_of in asked]
        said += executive_reports(session, instants=weekly, now=NOW)
        said += dashboards(session, instants=weekly, now=NOW)
    return [without_clock(one) for one in said]


ASKED = st.lists(st.integers(0, 40).map(lambda n: timedelta(minutes=15 * n)), min_size=1, max_size=2).map(
    lambda drawn: [HORIZON - MICROSECOND, HORIZON, *(HORIZON + span for span in drawn), HORIZON + timedelta(days=8)]
)


@pytest.mark.slow
@given(
    told=stories(),
    later=histories(20),
    policy=POLICIES,
    parameters=PARAMETERS.map(lambda drawn: {**drawn, "window_hours": min(drawn.get("window_hours", 1), 168)}),
    asked=ASKED,
)
@settings(max_examples=EXAMPLES, phases=[Phase.explicit, Phase.generate])
def test_after_pruning_every_answer_after_the_horizon_is_the_same_bytes(
    told: list[Record],
    later: list[Record],
    policy: dict[str, Any],
    parameters: dict[str, Any],
    asked: list[datetime],
) -> None:
    landed: dict[str, list[Record]] = {}
    for number, record in enumerate(told):
        named = {**record, "session_id": f"{record['session_id']}-{number}"}
        landed.setdefault(DROP_DAYS[number % 3], []).append(named)
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        pruned, twin = ingested(Path(one), landed), ingested(Path(other), landed)
        gone = prune(warehouse_of(pruned), state_of(pruned), DAY, now=NOW)
        check(pruned)
        assert answers(pruned, asked, policy, parameters) == answers(twin, asked, policy, parameters)
        assert stories_told(pruned, asked) == stories_told(twin, asked)
        left = query(twin, "SELECT count(*) FROM evidence_records")[0][0] - gone.record_count
        assert query(pruned, "SELECT count(*) FROM evidence_records") == [(left,)]
        assert prune(warehouse_of(pruned), state_of(pruned), DAY, now=NOW) == Pruned()

        # Evidence that comes later, of pairs that were over too, and another pruning.
        fresh = [one for one in moved(later, timedelta(hours=6)) if one["created_at"] >= HORIZON.isoformat()]
        for home in (pruned, twin):
            drop(home, [{**one, "session_id": f"l-{n}"} for n, one in enumerate(fresh)], name="later.jsonl")
            take_in(home)
        check(pruned)
        assert answers(pruned, asked, policy, parameters) == answers(twin, asked, policy, parameters)
        prune(warehouse_of(pruned), state_of(pruned), DAY + timedelta(days=1), now=NOW)
        check(pruned)
        last = asked[-1:]
        assert answers(pruned, last, policy, parameters) == answers(twin, last, policy, parameters)


def test_the_same_drops_in_any_order_of_ingests_and_prunings_never_bring_back_what_went(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    drop(home, [delivery(HORIZON - timedelta(hours=1), session_id="old")], day="2026-06-24")
    take_in(home)
    prune(warehouse_of(home), state_of(home), DAY, now=NOW)
    assert take_in(home).unchanged_count == 1
    again = take_in(home, first=date(2026, 6, 1), last=date(2026, 6, 30))
    assert [drop.name for drop in again.closed_drops] == ["2026-06-24/evidence.jsonl"]
    assert query(home, "SELECT count(*) FROM evidence_records") == [(0,)]
