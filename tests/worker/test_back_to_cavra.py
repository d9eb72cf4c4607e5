"""What was made here goes back to CAVRA: loaded as CAVRA upserts, it changes no record of CAVRA's own."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.boundary.kinds import KINDS
from cavra_pipeline.evidence.emitted import save_emitted_drop
from cavra_pipeline.evidence.export import export_records
from cavra_pipeline.evidence.importer import import_evidence
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.records import health_record, plan_record
from cavra_pipeline.retry.acknowledge import acknowledge
from tests.oracle.store import STORES, needs_store
from tests.support import ask_health, ask_plan, take_in
from tests.worker.support import Clock, Provider, armed_home, worker

pytestmark = [pytest.mark.slow, needs_store]

NOW = datetime(2026, 11, 21, 6, tzinfo=UTC)
ENVELOPE = ("session_id", "created_at", "signer", "decision_count", "blocked_count", "approval_required_count")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The export of a home that took in a store of CAVRA's and did all that makes evidence in each lane."""
    home = armed_home(tmp_path_factory.mktemp("made"), [])
    import_evidence(home, [("all-lanes.db", STORES / "all-lanes.db")], now=NOW)
    take_in(home, now=NOW)
    provider = Provider(Clock(NOW))
    for lane in LANES.values():
        records = [plan_record(ask_plan(home, lane.name, NOW, now=NOW), now=NOW),
                   health_record(ask_health(home, lane.name, NOW, now=NOW), now=NOW)]  # fmt: skip
        save_emitted_drop(home, f"reports-{lane.name}", records, now=NOW, act="save reports")
        worker(home, provider, lane=lane.name)
        if lane.takes_acknowledgements:
            said = {"subject": "subject-1", "provider": "slack", "state": "resolved", "by": "on-call"}
            acknowledge(home, lane, **said, now=NOW + timedelta(minutes=1), is_forced=True)
    with warehouse_of(home).reading() as session:
        return [json.loads(line) for line in export_records(session, made_here=True)]


def test_an_export_loaded_into_both_store_shapes_changes_nothing_of_cavra_s_own(
    tmp_path: Path, made: list[dict[str, Any]]
) -> None:
    kinds = {KINDS[str(record["metadata_kind"])].record_type for record in made}
    assert kinds == {"retry_plan", "health_report", "worker_run", "acknowledgement", "delivery", "execution"}

    shutil.copy(STORES / "all-lanes.db", tmp_path / "store.db")
    with closing(sqlite3.connect(tmp_path / "store.db")) as store, store:
        before = store.execute("SELECT * FROM evidence_metadata ORDER BY session_id").fetchall()
        for record in made:
            row = (*(record[name] for name in ENVELOPE), json.dumps(record))
            store.execute("INSERT OR REPLACE INTO evidence_metadata VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        after = set(store.execute("SELECT * FROM evidence_metadata").fetchall())
    assert set(before) <= after
    assert len(after) == len(before) + len(made)

    items = {item["session_id"]: item for item in json.loads((STORES / "one-day.json").read_text())["items"]}
    assert items.keys().isdisjoint(record["session_id"] for record in made)


def _counts_of_cavra(record: dict[str, Any]) -> tuple[int, int, int] | None:
    """The envelope counts that CAVRA gives a record, for the types whose rule is known."""
    match KINDS[str(record["metadata_kind"])].record_type:
        case "delivery":
            return 0, len(record["failed_providers"]), 0
        case "execution":
            return 1, int(record["execution_status"] != "delivered"), 0
        case "acknowledgement":
            return 1, 0, 0
        case "retry_plan":
            retryable, waiting = record["retryable_count"], record["waiting_count"]
            return retryable + waiting + record["suppressed_count"], record["suppressed_count"], retryable
    return None


def test_records_made_here_carry_the_counts_that_cavra_gives_such_records(made: list[dict[str, Any]]) -> None:
    expected = [(record, _counts_of_cavra(record)) for record in made]

    assert [counts for _, counts in expected if counts]
    counted = ("decision_count", "blocked_count", "approval_required_count")
    assert [
        (record["metadata_kind"], counts)
        for record, counts in expected
        if counts and tuple(record[name] for name in counted) != counts
    ] == []
