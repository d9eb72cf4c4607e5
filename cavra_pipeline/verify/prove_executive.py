"""Proves the numbers of an executive report: a bundle with the records of all lanes, and of none."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, Final

from cavra_pipeline.documents import instant
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.executive.report import DEFAULT_WINDOW_DAYS, executive_reports
from cavra_pipeline.lanes import LANES
from cavra_pipeline.recoveries.history import DEFAULT_SLO_MINUTES
from cavra_pipeline.settings import Settings
from cavra_pipeline.verify.container import NO_LANE as FOLDER_OF_NO_LANE
from cavra_pipeline.verify.lane_rules import NO_LANE
from cavra_pipeline.verify.prove import LaneRead, bundle_of, disclosed, read_log
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.verify"


def prove_executive_report(
    settings: Settings,
    *,
    as_of: datetime,
    now: datetime,
    slo_minutes: int = DEFAULT_SLO_MINUTES,
    window_days: int = DEFAULT_WINDOW_DAYS,
    providers: Sequence[str] = (),
    opened: AbstractContextManager[Session] | None = None,
) -> bytes:
    """Makes an executive report and returns its bundle, signed if the home has a key.

    Args:
        settings: The home.
        as_of: Instant of the report.
        now: When it is made; the bundle does not show it.
        slo_minutes: How long a recovery may be open.
        window_days: How many UTC days the history covers, the day of ``as_of`` included.
        providers: Connectors of the escalation plan that the report refers to.
        opened: Opens the warehouse, or a copy of it, to be read; it is closed before the bundle is made.

    Raises:
        EmptyLog: Nothing was ever ingested.
        UsageError: A parameter is not accepted, or the evidence has been pruned.
        TransientError: Evidence was committed meanwhile.
        PipelineError: The warehouse does not hold what the commit log says, or the key can't be read.
    """
    with opened or warehouse_of(settings).reading() as session:
        (report,) = executive_reports(
            session, instants=[as_of], now=now, slo_minutes=slo_minutes, window_days=window_days, providers=providers
        )
        read = _read_home(session, settings, as_of.astimezone(UTC).date())
    return bundle_of(settings, read, report, None)


def _read_home(session: Session, settings: Settings, last_day: date) -> LaneRead:
    read, pseudonyms = read_log(session, settings, NO_LANE, last_day), pseudonyms_of(settings)
    days = {
        f"{lane.name if lane else FOLDER_OF_NO_LANE}/{day}": disclosed_day
        for lane in (*LANES.values(), None)
        for day, disclosed_day in disclosed(session, lane, last_day, pseudonyms).items()
    }
    return replace(read, days=days, pruned=_pruned(session))


def _pruned(session: Session) -> dict[str, dict[str, Any]]:
    rows = session.rows(_PACKAGE, "pruned_of_lanes")
    return {
        str(row.pop("lane")): {**row, "latest_record_at": instant(row["latest_record_at"])} for row in map(dict, rows)
    }
