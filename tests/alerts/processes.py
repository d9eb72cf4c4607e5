"""What the tests of the alert path run in processes of their own: a watcher that looks again and again."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.alerts.watch import watch_pass
from cavra_pipeline.settings import AlertPolicy, Settings
from cavra_pipeline.state import leases
from tests.support import AS_OF
from tests.worker.support import SIGNING

#: How many seconds of the watcher's clock go by in one of the test's.
SPEED: Final = 300
#: What a killed watcher has claimed is taken over after so long.
LEASE_SECONDS: Final = 5.0
POLICY: Final = AlertPolicy(connectors=("webhook",), window_minutes=0, repeat_minutes=10000, flap_changes=1000)


def settings_of(home: Path) -> Settings:
    """The home, telling a webhook at once of everything."""
    return Settings(home=home, threads=1, alerts=POLICY, connectors_file=home / "connectors.yaml").prepare()


def look_again_and_again(home: Path, began: float) -> None:
    """Looks at what the test says is wrong, and says which state of it was taken in, until the test says stop."""
    os.environ["SIGNING"] = SIGNING
    leases.LEASE_SECONDS = LEASE_SECONDS  # type: ignore[misc]
    settings = settings_of(home)

    def clock() -> datetime:
        return AS_OF + timedelta(seconds=(datetime.now(UTC).timestamp() - began) * SPEED)

    while True:
        asked: dict[str, Any] = json.loads((home / "wrong.json").read_text())
        wrong = [Signal("missed_run", name, "critical", AS_OF, "failed_before_work") for name in asked["subjects"]]
        due_at = watch_pass(settings, Observation(["missed_run"], wrong), clock=clock)
        replace_text(home / "seen.json", str(asked["state"]))
        if asked["is_last"] and due_at is None:
            return
        time.sleep(0.02)


def replace_text(path: Path, text: str) -> None:
    """Writes a file that is read by another process while it is written."""
    aside = path.with_name(f".{path.name}-{os.getpid()}")
    aside.write_text(text)
    aside.replace(path)
