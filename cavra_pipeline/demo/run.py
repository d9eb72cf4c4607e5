"""The demo's own path: the real one. History is written as CAVRA stores, imported, and materialised by Dagster."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from cavra_pipeline.demo.history import demo_history, write_demo
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.importer import import_evidence
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.evidence.landing import list_drops
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.evidence.queries import list_findings, list_quarantine
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.health import health_parameters, retry_health_reports
from cavra_pipeline.reports.plan import retry_plans
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.reports.store import days_between
from cavra_pipeline.settings import Settings

_MARK: Final = "demo.json"


@dataclass(frozen=True, slots=True)
class DemoOutcome:
    """What the demo made: answers by lane as of now, the story behind them, and whether the Dagster run succeeded."""

    succeeded: bool
    health: dict[str, dict[str, Any]]
    plans: dict[str, dict[str, Any]]
    story: list[str]
    quarantined_count: int
    finding_count: int


def run_demo(settings: Settings, *, seed: int, days: int, now: datetime, say: Callable[[str], None]) -> DemoOutcome:
    """Writes a demo history into the home and takes it all the way to reports.

    Args:
        settings: A home without evidence of its own, or one that an earlier demo made; that one is replaced.
        seed: The same seed gives the same history.
        days: How many days back it goes.
        now: Where the history ends.
        say: Told what is being done.

    Raises:
        PipelineError: The home holds evidence that is not a demo's.
    """
    mark = settings.home / _MARK
    if mark.exists():
        _clear(settings)
    elif list_drops(settings.landing, pseudonyms_of(settings)):
        raise PipelineError(
            "the home holds evidence of its own, which a demo must not mix with",
            where=str(settings.home),
            remedy="Set CAVRA_HOME to an empty folder for the demo",
        )
    mark.write_text(json.dumps({"seed": seed, "days": days, "until": now.isoformat()}))
    history = demo_history(seed=seed, days=days, until=now)
    # The sources hold fake secrets: they stay outside the home and go when they are imported.
    with TemporaryDirectory(prefix="cavra-demo-") as folder:
        files = write_demo(Path(folder), history)
        say(f"wrote {len(files)} CAVRA stores and files: {', '.join(file.name for file in files)}")
        imported = import_evidence(settings, [(file.name, file) for file in files], now=now)
    say(f"imported {imported.received_count} records into {len(imported.written)} drops")
    today = now.astimezone(UTC).date()
    first = max(today - timedelta(days=days), settings.start_date)
    say(f"materialising {first} to {today} in Dagster ...")
    succeeded = _materialize(settings, days_between(first, today))
    health: dict[str, dict[str, Any]] = {}
    plans: dict[str, dict[str, Any]] = {}
    with warehouse_of(settings).reading() as session:
        for lane in LANES.values():
            health[lane.name] = retry_health_reports(session, lane, health_parameters(lane), instants=[now], now=now)[0]
            plans[lane.name] = retry_plans(session, lane, retry_policy(lane), instants=[now], now=now)[0]
        quarantined, found = len(list_quarantine(session)), len(list_findings(session))
    return DemoOutcome(succeeded, health, plans, history.story, quarantined, found)


def _clear(settings: Settings) -> None:
    """Removes what an earlier demo left, but for Dagster's own history of runs."""
    shutil.rmtree(settings.landing)
    for file in settings.home.glob(f"{settings.warehouse.name}*"):
        file.unlink()
    settings.prepare()


def _materialize(settings: Settings, days: list[Any]) -> bool:
    from cavra_pipeline.definitions import materialize

    return materialize(settings, "daily_close", days)
