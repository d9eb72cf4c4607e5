"""One case of the suite in a process of its own: ``python -m benchmarks.cases NAME FOLDER``. Prints one JSON object."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from unittest.mock import Mock, patch

from benchmarks.measure import NOW, measure
from benchmarks.records import SPAN, START
from benchmarks.references import all_declared_columns, pydantic_and_pandas, raw_load
from cavra_pipeline.evidence import commit, keeper
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.health import health_parameters, retry_health_reports
from cavra_pipeline.reports.plan import retry_plans
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.reports.store import RETRY_HEALTH, RETRY_PLAN, days_between, save_reports
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of

DROP_DAY = NOW.date()
LANE = LANES["recovery_escalation"]


def _raw(folder: Path) -> int:
    return raw_load(folder / "clean.jsonl")


def _raw_declared(folder: Path) -> int:
    return raw_load(folder / "clean.jsonl", all_declared_columns())


def _raw_file(folder: Path) -> int:
    (folder / "raw.duckdb").unlink(missing_ok=True)
    return raw_load(folder / "clean.jsonl", database=str(folder / "raw.duckdb"))


def _pydantic_and_pandas(folder: Path) -> int:
    (folder / "pandas.duckdb").unlink(missing_ok=True)
    return pydantic_and_pandas(folder / "clean.jsonl", folder / "pandas.duckdb")


def _ingest(home: str, count: str = "received_count", day: date | None = None) -> Callable[[Path], int]:
    """Returns the case that ingests a home and answers with one count of the result."""
    return lambda folder: int(getattr(ingest(Settings(home=folder / home), now=NOW, first=day, last=day), count))


def _ingest_unproven(folder: Path) -> int:
    """Ingests a home without proofs: no segment is marked or hashed, and no entry logged."""
    nothing = {"hash_segments": [], "quarantine_roots": {}, "append_entry": False}
    with (
        patch.object(commit, "mark_segments"),
        patch.multiple(keeper, **{name: Mock(return_value=value) for name, value in nothing.items()}),
    ):
        return _ingest("clean")(folder)


def _health(folder: Path) -> int:
    with warehouse_of(Settings(home=folder / "clean")).reading() as session:
        report = retry_health_reports(session, LANE, health_parameters(LANE), instants=[NOW], now=NOW)[0]
    return int(report["evidence_record_count"])


def _plan(folder: Path) -> int:
    with warehouse_of(Settings(home=folder / "clean")).reading() as session:
        plan = retry_plans(session, LANE, retry_policy(LANE, {}), instants=[NOW], now=NOW)[0]
    return int(plan["evidence_record_count"])


def _year(folder: Path) -> int:
    """The health report and the plan of two lanes for each day of the records' year, made and saved."""
    settings = Settings(home=folder / "clean")
    warehouse, state = warehouse_of(settings), state_of(settings)
    days = days_between(START.date(), (START + SPAN).date() - timedelta(days=1))
    return sum(
        1
        for lane in ("recovery_escalation", "executive_report")
        for report in (RETRY_HEALTH, RETRY_PLAN)
        for _ in save_reports(warehouse, state, report, lane, days, now=NOW)
    )


#: Cases that run once before they are timed.
WARM = ("health_warm", "plan_warm")
CASES: dict[str, Callable[[Path], int]] = {
    "raw": _raw,
    "raw_declared": _raw_declared,
    "raw_file": _raw_file,
    "pydantic_and_pandas": _pydantic_and_pandas,
    "ingest_unproven": _ingest_unproven,
    "ingest_clean": _ingest("clean"),
    "ingest_unchanged": _ingest("clean", "unchanged_count"),
    "health": _health,
    "plan": _plan,
    "health_warm": _health,
    "plan_warm": _plan,
    "year": _year,
    "ingest_forced": _ingest("clean", day=DROP_DAY),
    "ingest_faulty": _ingest("faulty"),
    "ingest_growth": _ingest("growth"),
}


if __name__ == "__main__":
    measure(CASES, warm=WARM)
