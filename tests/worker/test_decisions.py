"""Dry and live take the same decisions: whatever the history, the live run makes what the dry run has shown."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cavra_pipeline.connectors import Grade
from tests.retry.histories import LANE_NAMES, POLICIES, histories
from tests.support import AS_OF, REPOSITORY, Record, at, delivery, query, take_in
from tests.worker.support import Clock, Provider, armed_home, worker

pytestmark = pytest.mark.slow

GRADES = st.lists(
    st.sampled_from([Grade.DELIVERED, Grade.FAILED, Grade.THROTTLED, Grade.REJECTED]), min_size=1, max_size=6
)


def decided(document: dict[str, Any]) -> dict[str, Any]:
    """What a run decided, without who ran it and what came of it."""
    return {name: value for name, value in document.items() if name not in ("run_id", "dry_run", "executions")}


@given(
    records=histories(30),
    lane=LANE_NAMES,
    policy=POLICIES,
    answers=GRADES,
    most=st.integers(1, 3),
    missing=st.sets(st.sampled_from(["slack", "teams"])),
    minutes=st.sampled_from([0, 45, 600]),
)
@settings(max_examples=6, phases=[Phase.explicit, Phase.generate])
def test_a_live_run_makes_what_the_dry_run_before_it_has_shown(
    records: list[Record],
    lane: str,
    policy: dict[str, Any],
    answers: list[Grade],
    most: int,
    missing: set[str],
    minutes: float,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = armed_home(Path(folder), records)
        provider = Provider(Clock(AS_OF), list(answers), missing=missing)
        for _ in range(2):
            dry, live = (
                worker(home, provider, lane=lane, live=is_live, policy=policy, max_retry_deliveries=most)
                for is_live in (False, True)
            )
            assert decided(live) == decided(dry)
            assert len(live["executions"]) == len(live["selected_retries"]) <= most
            assert dry["executions"] == []
            provider.clock.move(minutes)


def test_every_reason_to_hold_a_retry_is_explained_in_the_docs() -> None:
    code = (REPOSITORY / "cavra_pipeline" / "retry" / "claims.py").read_text(encoding="utf-8")
    reasons = set(re.findall(r'"((?:over|claimed|already|later|provider|no)_[a-z_]+)"', code))
    docs = (REPOSITORY / "docs" / "worker.md").read_text(encoding="utf-8")

    assert len(reasons) >= 7
    assert {reason for reason in reasons if f"| `{reason}` |" not in docs} == set()


def test_the_plan_record_of_a_run_holds_the_policy_in_force(tmp_path: Path) -> None:
    home = armed_home(tmp_path, [delivery(at(100), failed=["slack"])])
    policy = {"max_retry_attempts": 7, "retry_delay_minutes": 2.5}

    worker(home, Provider(Clock(AS_OF)), live=False, policy=policy)
    take_in(home)

    asked = (
        "SELECT max_retry_attempts, base_retry_delay_minutes, backoff_multiplier, allow_immediate_retry FROM evidence"
    )
    assert query(home, f"{asked} WHERE record_type = 'retry_plan'") == [(7, 2.5, 2, False)]
