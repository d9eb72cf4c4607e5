"""Claims and alerts after state and warehouse were restored in any order: each older, missing or as it was."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from cavra_pipeline.alerts.records import record_plans
from cavra_pipeline.connectors import Grade
from cavra_pipeline.lanes import LANES
from cavra_pipeline.settings import AlertPolicy
from tests.alerts.support import Desk, signal
from tests.support import at, delivery, drop, home_with, query, query_state, take_in
from tests.worker.support import Clock, Provider, held, statuses, worker

pytestmark = pytest.mark.slow

LANE: Final = "executive_report"
#: A file is left as it was, replaced by the copy from before the retries and the alert, or not there.
RESTORED: Final = ("as it was", "older", "missing")
ORDERS: Final = list(itertools.product(RESTORED, RESTORED))
POLICY: Final = {"allow_immediate_retry": True, "max_retry_attempts": 10}


@dataclass
class Restorable:
    """A home with copies of its state and its warehouse from before the retry and the alert."""

    desk: Desk
    copies: dict[Path, bytes]

    def restore(self, state: str, warehouse: str) -> None:
        """Puts copies in place, or takes the files away."""
        for path, what in zip(self.copies, (state, warehouse), strict=True):
            if what == "missing":
                path.unlink()
            elif what == "older":
                path.write_bytes(self.copies[path])
            if what != "as it was":
                for suffix in ("-wal", "-shm"):
                    path.with_name(path.name + suffix).unlink(missing_ok=True)

    def retries(self) -> list[tuple[str, str]]:
        """Subject and id of every retry that was sent, in order."""
        sent = (message for _, message in self.desk.provider.sent)
        return [(one.subject, one.idempotency_id) for one in sent if "latest_delivery" in one.facts]

    def work(self) -> dict[str, str]:
        """A live run a little later: how its retries ended, and why others were held."""
        self.desk.clock.move(60)
        document = worker(self.desk.settings, self.desk.provider, lane=LANE, policy=POLICY)
        return statuses(document) | held(document)


@pytest.fixture
def home(tmp_path: Path) -> Restorable:
    """A home in which, after the copies, two retries were sent, one in vain, and an alert was raised."""
    failed = [
        delivery(at(60), lane=LANE, subject=name, failed=["webhook"], session_id=name) for name in ("good", "bad")
    ]
    alerts = AlertPolicy(connectors=("webhook",))
    settings = home_with(tmp_path, failed, live_lanes=frozenset(LANES), threads=1, alerts=alerts)
    take_in(settings)
    paths = settings.home / "state.db", settings.warehouse
    restorable = Restorable(Desk(settings, Provider(Clock())), {path: path.read_bytes() for path in paths})
    restorable.desk.provider.answers = [Grade.FAILED, Grade.DELIVERED]
    drop(settings, [delivery(at(1), lane=LANE, subject="later", session_id="later")], name="later.jsonl")
    restorable.work()
    assert len(restorable.desk.tick(signal())) == 1
    record_plans(settings)
    return restorable


@pytest.mark.parametrize(("state", "warehouse"), ORDERS)
def test_a_retry_that_was_made_is_not_made_again_whatever_is_restored(
    home: Restorable, state: str, warehouse: str
) -> None:
    settings = home.desk.settings
    before = home.retries()
    home.restore(state, warehouse)

    take_in(settings)
    home.work()

    after = home.retries()[len(before) :]
    assert len(after) == 1, "only the one that failed is retried"
    assert after[0] in before, "and under the id that it had"
    home.work()
    assert len(home.retries()) == len(before) + 1
    assert query(settings, "SELECT count(*), count(DISTINCT execution_id) FROM executions") == [(3, 3)]
    assert query_state(settings, "SELECT count(*) FROM send_intents WHERE state IN ('claimed', 'answered')") == [(0,)]


@pytest.mark.parametrize(("state", "warehouse"), ORDERS)
def test_an_alert_is_raised_again_only_by_a_state_that_does_not_know_it_and_ends_once(
    home: Restorable, state: str, warehouse: str
) -> None:
    home.restore(state, warehouse)

    again = home.desk.tick(signal(), minutes=1)
    ended = home.desk.tick(minutes=61, kinds=["missed_run"])
    quiet = home.desk.tick(minutes=61, kinds=["missed_run"])
    record_plans(home.desk.settings)

    assert [one.split()[0] for one in again] == ([] if state == "as it was" else ["firing"])
    assert ([one.split()[0] for one in ended], quiet) == (["resolved"], [])
    assert query_state(home.desk.settings, "SELECT state, episode FROM alerts") == [("resolved", 1)]
    bodies = {message.idempotency_id: message for _, message in home.desk.provider.sent}
    assert all(bodies[message.idempotency_id] == message for _, message in home.desk.provider.sent)
    plans = "SELECT count(*) = count(DISTINCT plan_id) FROM evidence WHERE record_type = 'alert_plan'"
    assert query(home.desk.settings, plans) == [(True,)]
