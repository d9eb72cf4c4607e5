"""A code location of another team: it knows our tables by their keys, and nothing of our code location."""

from __future__ import annotations

import os

import dagster as dg
import pandas as pd

from cavra_pipeline.frames_io import CavraFrames, CavraIOManager, cavra_tables

START = "2026-06-20"
DAYS = dg.DailyPartitionsDefinition(start_date=START, end_offset=1)
WEEKS = dg.WeeklyPartitionsDefinition(start_date=START, end_offset=1)
TABLES = {
    spec.key.path[-1]: spec
    for spec in cavra_tables("deliveries", "executive_report_retry_plan", "dashboard", partitions=DAYS)
}


def _in(table: str, **metadata: object) -> dg.AssetIn:
    return dg.AssetIn(key=TABLES[table].key, metadata=metadata)


@dg.asset(partitions_def=DAYS, ins={"deliveries": _in("deliveries")})
def failed_today(deliveries: pd.DataFrame) -> pd.DataFrame:
    """One partition."""
    return deliveries[~deliveries["delivery_success"]]


@dg.asset(partitions_def=WEEKS, ins={"deliveries": _in("deliveries", columns=["session_id", "drop_day"])})
def weekly(deliveries: pd.DataFrame) -> pd.DataFrame:
    """A range."""
    return deliveries


@dg.asset(ins={"deliveries": _in("deliveries", as_of="2026-06-25T12:00:00Z")})
def up_to_noon(deliveries: pd.DataFrame) -> pd.DataFrame:
    """Every partition."""
    return deliveries


@dg.asset(partitions_def=DAYS, ins={"plan": _in("executive_report_retry_plan"), "board": _in("dashboard")})
def decisions(plan: pd.DataFrame, board: pd.DataFrame) -> pd.DataFrame:
    """Saved reports."""
    return plan.merge(board, on="report_day", suffixes=("", "_board"))


@dg.asset(deps=[TABLES["deliveries"]])
def by_query(lent: CavraFrames) -> pd.DataFrame:
    """A query instead of a table."""
    return lent.frame("SELECT provider, count(*) AS outcomes FROM delivery_outcomes GROUP BY provider")


@dg.asset(io_manager_key="cavra")
def written_through_ours() -> int:
    """What is not meant to be."""
    return 1


HOME = os.environ.get("TEAM_CAVRA_HOME", "")
defs = dg.Definitions(
    assets=[*TABLES.values(), failed_today, weekly, up_to_noon, decisions, by_query, written_through_ours],
    resources={"cavra": CavraIOManager(home=HOME), "lent": CavraFrames(home=HOME)},
    executor=dg.in_process_executor,
)
