"""Operations on a simulated clock while the warehouse file is lost at random moments: as if it had not been.

A few weeks by default. CAVRA_TEST_LOSSES=100 runs a year.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa

from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.store import days_to_remake
from cavra_pipeline.settings import AlertPolicy, Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.state.tables import METADATA
from cavra_pipeline.warehouse import Session
from tests.support import ask_health, ask_plan, home_with, query, saved
from tests.warehouse.year import Losses, Provider, Year
from tests.worker.support import SIGNING, Clock, connectors_file

LOSSES: Final = int(os.environ.get("CAVRA_TEST_LOSSES", "6"))
DAYS: Final = -(-365 * LOSSES // 100)
SEED: Final = int(os.environ.get("CAVRA_TEST_SEED", "20260625"))
#: Tables and columns that hold the computer's own time, or what a lost file has to do with.
_LEFT_OUT: Final = {
    "leases": None,
    "warehouses": None,
    "ingested_files": {"ingested_at"},
    # Commits are numbered, and a repeated act has made more of them. Documents are compared as such.
    "saved_reports": {"change_number", "document", "report_id"},
    # The commit after a loss brings what two have brought, and its change reaches as far back as both.
    "evidence_changes": None,
    # An entry for each commit, and each names the records of runs that a repeat wrote.
    "log_entries": None,
    "segments": None,
}
#: A worker run that a loss interrupts is repeated, and its record says what the repeat did.
_RUNS: Final = "cavra-pipeline-worker-run-"
#: A retry that the repeat of a run sends names the plan of the repeat, which has fewer to send.
_RETRIES: Final = "cavra-pipeline-retry-"
_HELD: Final = (
    f"SELECT * EXCLUDE (retry_plan_id, execution_hash) FROM evidence_records "
    f"WHERE NOT starts_with(file_name, '{_RUNS}') ORDER BY drop_day, file_name, line_number",
    f"SELECT retry_plan_id, execution_hash FROM evidence_records WHERE NOT starts_with(file_name, '{_RUNS}') "
    f"AND NOT starts_with(file_name, '{_RETRIES}') ORDER BY drop_day, file_name, line_number",
    f"SELECT DISTINCT drop_day, file_name FROM evidence_records WHERE starts_with(file_name, '{_RUNS}') ORDER BY ALL",
    "SELECT * FROM quarantine ORDER BY ALL",
    "SELECT * FROM findings ORDER BY ALL",
)
#: What a report says of the newest worker run itself; one that was cut short and repeated has selected less, and so
#: has a pruning counted less of it.
_OF_THE_RUN: Final = {"health_id", "latest_retry_plan_id", "selected_retry_count"}
_ASKED: Final[dict[str, Any]] = {"plan": ask_plan, "health": ask_health}
_POLICY: Final = AlertPolicy(connectors=("webhook",), window_minutes=60)


@dataclass(frozen=True)
class Lived:
    """What is left of a home's days: what was sent, what is stored, what is answered, and what was lost on the way."""

    sent: list[tuple[str | None, bytes]]
    state: dict[str, list[tuple[Any, ...]]]
    stored: list[Any]
    reports: dict[Any, dict[str, Any]]
    outdated: set[date]
    interrupted: set[str]
    losses: Counter[tuple[str, str]]
    repeats: Counter[str]


def live(folder: Path, count: int) -> Lived:
    """Lives through the days with so many losses, in a process of its own."""
    os.environ["SIGNING"] = SIGNING
    clock, losses = Clock(), Losses.planned_for(DAYS, count, SEED)
    file = folder / "home" / "connectors.yaml"
    home = home_with(
        folder, threads=1, alerts=_POLICY, live_lanes=frozenset(LANES), immediate_tries=1, connectors_file=file
    )
    execute = Session._execute

    def then_perhaps_lose(session: Session, *given: Any) -> Any:
        done = execute(session, *given)
        losses.passes("statement")
        return done

    year = Year(home, clock, losses)
    with Provider(clock, losses) as provider, pytest.MonkeyPatch.context() as patched:
        patched.setattr(Session, "_execute", then_perhaps_lose)
        url = provider.base_url + "/hook"
        connectors_file(file, webhook={"url": url, "signing_secrets_env": "SIGNING"})
        year.live(DAYS)
        sent = [(one.header("webhook-id"), one.body) for one in provider.requests("/hook")]
    held = [query(home, sql) for sql in _HELD]
    reports: dict[Any, dict[str, Any]] = {key: json.loads(row["document"]) for key, row in saved(home).items()}
    reports |= {
        ("now", lane, kind): ask(home, lane, clock(), now=clock()) for lane in LANES for kind, ask in _ASKED.items()
    }
    return Lived(
        sent,
        state(home),
        held,
        reports,
        set(days_to_remake(state_of(home))),
        year.interrupted,
        losses.done,
        year.repeats,
    )


def without(report: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """A report without some of its members."""
    return {name: value for name, value in report.items() if name not in names}


def state(home: Settings) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table of the state but what the clock of the computer is in."""
    found = {}
    with state_of(home).reading() as c:
        for table in METADATA.sorted_tables:
            left_out = _LEFT_OUT.get(table.name, set())
            if left_out is not None:
                columns = [column for column in table.c if column.name not in left_out]
                rows = [row._mapping for row in c.execute(sa.select(*columns).order_by(*table.primary_key))]
                found[table.name] = [_as_told(dict(row)) for row in rows]
    return found


def as_repeated(rows: list[tuple[Any, ...]], interrupted: set[str]) -> list[dict[str, Any]]:
    """Rows without what prunings count of the retries that runs of some lanes have seen."""
    shown = []
    for row in map(dict, rows):
        if "pruned_lanes" in (row.get("counts") or {}):
            lanes = row["counts"]["pruned_lanes"]
            left = [without(one, {"retryable_count"} if one["lane"] in interrupted else set()) for one in lanes]
            row = {**row, "counts": {**row["counts"], "pruned_lanes": left}}
        shown.append(row)
    return shown


def _as_told(row: dict[str, Any]) -> tuple[Any, ...]:
    """A row without the random id of a run that notified, the digest of what a run wrote, and the plan of a repeat."""
    if row.get("purpose") == "notice":
        row.pop("run_id")
    if row.get("purpose") == "retry":
        row["context"].pop("retry_plan_id")
    if str(row.get("file_name")).startswith((_RUNS, _RETRIES)):
        row.pop("sha256", None)
    return tuple(row.items())


@pytest.mark.slow
@pytest.mark.timeout(6 * 3600)
def test_what_the_state_holds_is_the_same_however_often_the_warehouse_is_lost(tmp_path: Path) -> None:
    began = time.monotonic()
    with ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as pool:
        calm, lossy = pool.map(live, [tmp_path / "calm", tmp_path / "lossy"], [0, LOSSES])
    assert lossy.losses.total() == LOSSES

    # By id and content: nothing was sent that would not have been, and what was sent again is the same.
    assert set(lossy.sent) == set(calm.sent)
    assert not Counter(calm.sent) - Counter(lossy.sent)
    again = len(lossy.sent) - len(calm.sent)
    assert again <= LOSSES
    for table, rows in calm.state.items():
        assert as_repeated(lossy.state[table], lossy.interrupted) == as_repeated(rows, lossy.interrupted), table
    assert lossy.outdated == calm.outdated
    assert lossy.stored == calm.stored
    assert lossy.reports.keys() == calm.reports.keys()
    for key, report in calm.reports.items():
        left_out = _OF_THE_RUN if key[1] in lossy.interrupted else set()
        assert without(lossy.reports[key], left_out) == without(report, left_out), key
    counts = {table: len(rows) for table, rows in calm.state.items()}
    for table in ("alerts", "send_intents", "schedule_slots", "saved_reports", "alert_silences"):
        assert counts[table], table
    print(  # noqa: T201 -- the figures, for whoever runs it with -s
        f"{DAYS} days, {LOSSES} losses {dict(lossy.losses)}: {len(calm.sent)} requests, {again} more in the disturbed "
        f"home, acts repeated for {dict(lossy.repeats)}; rows {counts}; {time.monotonic() - began:.0f} s"
    )
