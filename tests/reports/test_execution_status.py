"""How an execution ended, where its record does not say so in a declared word: the same in every report."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from cavra_pipeline.boundary.fields import EXECUTION_STATUSES
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.reports.dashboard import dashboards
from cavra_pipeline.retention.prune import prune
from cavra_pipeline.state import state_of
from cavra_pipeline.verify.derive import derive
from tests.api.server import NoDagster, served
from tests.executive.histories import ask_report
from tests.support import ask_health, execution, ingested, query
from tests.verify.bundles import NOTHING_PRUNED, RULES

AT = datetime(2026, 6, 25, 10, tzinfo=UTC)
AS_OF = AT + timedelta(hours=2)
LATER = datetime(2026, 9, 1, tzinfo=UTC)
SAID = [
    execution(AT, session_id=f"x{n}", subject=f"p{n}", status=None, delivery_success=success)
    for n, success in enumerate((False, True, False, None))
]
COUNTS = ("failed_execution_count", "delivered_execution_count")


@pytest.mark.parametrize("word", [None, "", "Delivered", "weird"])
def test_without_a_declared_status_delivery_success_decides_everywhere(word: str | None, tmp_path: Path) -> None:
    lines = [{**record, "execution_status": word} for record in SAID]
    home = ingested(tmp_path, lines)
    with warehouse_of(home).reading() as session:
        counted = dashboards(session, instants=[AS_OF], now=AS_OF)[0]
    health = ask_health(home, as_of=AS_OF, now=AS_OF)
    (executive,) = [one for one in ask_report(home, AS_OF)["lanes"] if one["lane"] == "recovery_escalation"]

    for report in (counted, counted["lanes"]["recovery_escalation"], health, executive):
        assert [report[name] for name in COUNTS] == [3, 1]
    assert health["unresolved_failed_execution_count"] == 3
    again = derive(health, RULES["recovery_escalation"], lines, NOTHING_PRUNED)
    assert [again[name] for name in COUNTS] == [3, 1]
    assert query(home, "SELECT execution_status, count(*) FROM executions GROUP BY 1 ORDER BY 1") == [
        ("delivered", 1),
        ("failed", 3),
    ]


def test_each_declared_status_stands_against_delivery_success(tmp_path: Path) -> None:
    lines = [
        execution(AT, session_id=word, subject=word, status=word, delivery_success=word != "delivered")
        for word in EXECUTION_STATUSES
    ]
    home = ingested(tmp_path, lines)
    health = ask_health(home, as_of=AS_OF, now=AS_OF)

    assert query(home, "SELECT subject, execution_status FROM executions ORDER BY 1") == [
        (word, word) for word in sorted(EXECUTION_STATUSES)
    ]
    again = derive(health, RULES["recovery_escalation"], lines, NOTHING_PRUNED)
    names = (*COUNTS, "skipped_execution_count")
    assert [again[name] for name in names] == [health[name] for name in names] == [2, 1, 1]


@pytest.mark.slow
def test_a_pruned_execution_counts_as_it_did_before_the_pruning(tmp_path: Path) -> None:
    home = ingested(tmp_path, [SAID[1], execution(AT, session_id="s", subject="p9", status="skipped")])
    prune(warehouse_of(home), state_of(home), date(2026, 7, 1), now=LATER)
    left = query(home, "SELECT session_id FROM evidence_records")
    with warehouse_of(home).reading() as session:
        counted = dashboards(session, instants=[LATER], now=LATER)[0]

    assert left == [("s",)]  # not resolved, so it stays
    assert [counted[name] for name in (*COUNTS, "skipped_execution_count")] == [0, 1, 1]


def test_the_api_says_the_status_beside_a_record_that_does_not(tmp_path: Path) -> None:
    with served(ingested(tmp_path, SAID), dagster=NoDagster()) as one, one.client() as client:
        rows = client.get("/api/v1/evidence", params={"record_type": "execution"}).json()["records"]

    assert {row["subject"]: row["status"] for row in rows} == {
        "p0": "failed", "p1": "delivered", "p2": "failed", "p3": "failed",
    }  # fmt: skip
    assert not any("execution_status" in row["record"] for row in rows)
