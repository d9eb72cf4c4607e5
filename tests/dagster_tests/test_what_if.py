"""A run with another instant or policy: refused at launch if a value is bad, and never in place of the day's report."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from tests.dagster_tests.runs import DAY, EVIDENCE, checks, metadata_of, new_home, report_ids, run
from tests.support import delivery

PLAN = "recovery_escalation_retry_plan"


@pytest.mark.parametrize(
    ("asset", "config"),
    [
        (PLAN, {"max_retry_attempts": 0}),
        (PLAN, {"as_of": "yesterday"}),
        (PLAN, {"non_retryable_status_codes": [99]}),
        ("recovery_escalation_retry_health", {"window_hours": 0}),
        ("recoveries", {"recovery_slo_minutes": 0}),
        ("dashboard", {"as_of": ""}),
        ("executive_recovery_report", {"window_days": 367}),
    ],
)
def test_a_bad_value_is_refused_at_launch(asset: str, config: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match=next(iter(config))):
        run(new_home(tmp_path), assets=[asset], config={asset: config})


def test_a_what_if_is_marked_and_leaves_the_days_report(tmp_path: Path) -> None:
    settings = new_home(tmp_path, [delivery()])
    own = run(settings, assets=[*EVIDENCE, PLAN])
    before = report_ids(settings)
    assert checks(own)["is_own_report"] == (True, "WARN")
    assert "what_if" not in metadata_of(own, PLAN)

    asked = run(settings, assets=[PLAN], config={PLAN: {"max_retry_attempts": 9}})

    assert asked.success
    assert metadata_of(asked, PLAN)["what_if"] is True
    assert checks(asked)["is_own_report"] == (False, "WARN")
    assert checks(asked)[f"{PLAN} is_healthy"] == checks(own)[f"{PLAN} is_healthy"]
    kept = [row for row in report_ids(settings) if not row[0].startswith("asked_")]
    assert kept == before
    assert {row[2] for row in report_ids(settings)} == {DAY}
