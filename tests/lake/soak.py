"""What the soak runs in processes of its own, each with a home of its own, until a file says that it is enough."""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cavra_pipeline.errors import TransientError
from cavra_pipeline.evidence.importer import import_evidence
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.health import health_parameters, retry_health_reports
from cavra_pipeline.reports.plan import retry_plans
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.retry.sender import open_sender
from cavra_pipeline.retry.worker import MAX_RETRY_DELIVERIES, WorkerRequest, run_worker
from cavra_pipeline.settings import Settings
from tests.support import delivery, text
from tests.worker.processes import POLICY, SECRETS, new_run_id

LANE: Final = LANES["executive_report"]
#: Records of one import.
FEW: Final = 5


@dataclass(frozen=True)
class Host:
    """One process and its home.

    Attributes:
        folder: The home, and beside it what the process writes down.
        number: Its number among those of its kind.
        shared: Settings that every host has.
        environ: Variables that every host has.
        enough: A file that ends the process when it is there.
    """

    folder: Path
    number: int
    shared: Mapping[str, Any]
    environ: Mapping[str, str]
    enough: Path

    @property
    def done(self) -> int:
        """How often it has done all that it does, before it was killed too."""
        file = self.folder / "done"
        return int(file.read_text() or 0) if file.exists() else 0

    @property
    def waits(self) -> list[str]:
        """What it said when a server was away or others were faster."""
        return self._lines("waits")

    @property
    def failures(self) -> list[str]:
        """What else went wrong."""
        return self._lines("failures")

    def _lines(self, name: str) -> list[str]:
        file = self.folder / name
        return file.read_text().splitlines() if file.exists() else []

    def repeat(self, act: Callable[[Settings, int], None]) -> None:
        """Does the act again and again, each number once; one that a server's absence ends is repeated."""
        os.environ.update(self.environ)
        self.folder.mkdir(exist_ok=True)
        settings = Settings(home=self.folder / "home", **self.shared).prepare()
        while not self.enough.exists():
            number = self.done
            try:
                act(settings, number)
            except TransientError as error:
                self._note("waits", str(error))
                time.sleep(0.5)
                continue
            except BaseException:
                self._note("failures", traceback.format_exc().replace("\n", " | "))
                raise
            made = self.folder / "done.new"
            made.write_text(str(number + 1))
            made.replace(self.folder / "done")

    def _note(self, name: str, what: str) -> None:
        with (self.folder / name).open("a") as file:
            file.write(what.replace("\n", " ") + "\n")


def subjects(host: int, number: int) -> list[str]:
    """The deliveries that one import of a host brings."""
    return [f"run-{host}-{number}-{which}" for which in range(FEW)]


def bring_evidence(host: Host) -> None:
    """Imports a few failed deliveries at a time, and ingests what any host has imported."""

    def act(settings: Settings, number: int) -> None:
        failed_at = datetime.now(UTC) - timedelta(hours=2)
        source = host.folder / f"source-{number}.jsonl"
        # A killed import is repeated with the same bytes.
        if not source.exists():
            lines = [
                delivery(failed_at, lane=LANE.name, subject=subject, failed=["webhook"], session_id=f"failed-{subject}")
                for subject in subjects(host.number, number)
            ]
            made = source.with_suffix(".new")
            made.write_bytes(text(lines))
            made.replace(source)
        for done in (
            import_evidence(settings, [(source.name, source)], now=datetime.now(UTC)),
            ingest(settings, now=datetime.now(UTC)),
        ):
            if done.failures:
                raise done.failures[0]

    host.repeat(act)


def send_retries(host: Host) -> None:
    """Runs the worker live."""
    request = WorkerRequest(
        lane=LANE, policy=retry_policy(LANE, POLICY), is_live=True, max_retry_deliveries=MAX_RETRY_DELIVERIES
    )

    def act(settings: Settings, _: int) -> None:
        sender = open_sender(settings, clock=lambda: datetime.now(UTC), environ=SECRETS)
        run_worker(settings, request, sender, clock=lambda: datetime.now(UTC), run_id=new_run_id())

    host.repeat(act)


def read_reports(host: Host) -> None:
    """Asks for the health report and the plan, both of one snapshot."""

    def act(settings: Settings, _: int) -> None:
        now = datetime.now(UTC)
        with warehouse_of(settings).reading() as session:
            (health,) = retry_health_reports(session, LANE, health_parameters(LANE), instants=[now], now=now)
            (plan,) = retry_plans(session, LANE, retry_policy(LANE), instants=[now], now=now)
        json.dumps([health, plan])

    host.repeat(act)
