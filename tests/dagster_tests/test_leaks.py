"""A leaked secret raises an alert whenever it is found, and only a person ends that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cavra_pipeline.alerts.operators import EndsByHand, EndsByItself, acknowledge_alert, alert_history, list_alerts
from cavra_pipeline.alerts.signals import Observation
from cavra_pipeline.alerts.watch import watch_pass
from cavra_pipeline.errors import UsageError
from cavra_pipeline.evidence.importer import import_evidence
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.sensors import alerting
from cavra_pipeline.sensors.boundary import boundary_sensor
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from tests.alerts.support import signal
from tests.dagster_tests.runs import new_home
from tests.imports.sources import json_lines
from tests.support import NOW, Record, delivery, drop, query, query_state
from tests.worker.support import Crash

pytestmark = pytest.mark.slow

OLD = "2025-02-03"
HOOK = "https://example.webhook.office.com/webhookb2/{}@y/IncomingWebhook/z"


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


@dataclass
class Watch:
    """A home, and the boundary sensor with the cursor of its last tick."""

    settings: Settings
    instance: dg.DagsterInstance
    now: datetime = NOW
    cursor: str | None = None

    def tick(self, *, hours: float = 0) -> list[dict[str, Any]]:
        """Moves the clock, evaluates the sensor, and returns the open alerts about secrets."""
        self.now += timedelta(hours=hours)
        sensor = boundary_sensor(self.settings, clock=lambda: self.now)
        with dg.build_sensor_context(instance=self.instance, cursor=self.cursor) as context:
            decision = sensor.evaluate_tick(context)
        self.cursor = decision.cursor
        return self.alerts()

    def alerts(self) -> list[dict[str, Any]]:
        return [one for one in self._listed() if one["kind"] == "secret_finding"]

    def kinds(self) -> list[tuple[str, str]]:
        return [(one["kind"], one["cause"]) for one in self._listed()]

    def _listed(self) -> list[dict[str, Any]]:
        with state_of(self.settings).reading() as c:
            listed: list[dict[str, Any]] = list_alerts(c, self.settings, now=self.now)["alerts"]
        return listed

    def ingest(self) -> None:
        assert not ingest(self.settings, now=self.now).failures


def leaking(number: int = 1, day: str = OLD, **fields: Any) -> Record:
    """A record with a Teams webhook outside the allowlist."""
    request = {"request": {"url": HOOK.format(number)}}
    fields.setdefault("session_id", f"leak-{number}")
    return delivery(datetime.fromisoformat(f"{day}T10:00:00+00:00"), delivery={"deliveries": [request]}, **fields)


def in_short(alerts: list[dict[str, Any]]) -> list[tuple[str, str, int, int]]:
    return [(one["subject"], one["state"], one["occurrence_count"], one["episode"]) for one in alerts]


@pytest.fixture
def watch(tmp_path: Path, instance: dg.DagsterInstance) -> Watch:
    return Watch(new_home(tmp_path), instance)


def test_a_secret_in_imported_history_raises_an_alert_that_time_does_not_end(watch: Watch, tmp_path: Path) -> None:
    source = json_lines(tmp_path / "history.jsonl", [leaking(), delivery()])
    assert import_evidence(watch.settings, [("history.jsonl", source)], now=NOW).finding_count == 1
    assert watch.tick() == []
    watch.ingest()

    assert in_short(watch.tick()) == [(OLD, "firing", 1, 1)]
    assert in_short(watch.tick(hours=24 * 400)) == [(OLD, "firing", 1, 1)]


def test_a_secret_in_an_allowlisted_field_raises_one_too(watch: Watch) -> None:
    drop(watch.settings, [delivery(subject="ghp_" + "a" * 36)], day=OLD)
    watch.ingest()

    assert in_short(watch.tick()) == [(OLD, "firing", 1, 1)]


def test_an_unsafe_actor_label_raises_none(watch: Watch) -> None:
    drop(watch.settings, [delivery(signer="someone@example.org", notes={"signer": "a@example.org"})], day=OLD)
    watch.ingest()

    assert query(watch.settings, "SELECT count(*) > 0 FROM findings") == [(True,)]
    assert watch.tick() == []
    assert query_state(watch.settings, "SELECT count(*) FROM leaks") == [(0,)]


def test_a_corrected_file_does_not_end_the_alert(watch: Watch) -> None:
    drop(watch.settings, [leaking()], day=OLD)
    watch.ingest()
    watch.tick()
    drop(watch.settings, [delivery()], day=OLD)
    watch.ingest()

    assert query(watch.settings, "SELECT count(*) FROM findings") == [(0,)]
    assert in_short(watch.tick(hours=1)) == [(OLD, "firing", 1, 1)]


def test_a_person_ends_it_and_the_same_line_read_again_does_not_reopen_it(watch: Watch) -> None:
    drop(watch.settings, [leaking()], day=OLD)
    watch.ingest()
    (alert,) = watch.tick()

    with pytest.raises(EndsByHand, match="ends only when a person resolves it"):
        acknowledge_alert(watch.settings, alert["alert_id"], by="on-call", now=watch.now)
    assert watch.alerts() == [alert]
    said = acknowledge_alert(watch.settings, alert["alert_id"], by="on-call", now=watch.now, is_resolved=True)
    assert (said["state"], said["acknowledged_by"]) == ("resolved", "on-call")
    assert watch.tick() == []
    path = drop(watch.settings, [delivery(), leaking()], day=OLD)
    watch.ingest()
    assert ingest(watch.settings, now=watch.now, first=date(2025, 1, 1)).drops
    path.with_name("copy.jsonl").write_bytes(path.read_bytes())
    watch.ingest()
    assert watch.tick(hours=1) == []
    with pytest.raises(UsageError, match="the alert is over"):
        acknowledge_alert(watch.settings, alert["alert_id"], by="on-call", now=watch.now, is_resolved=True)


def test_a_further_secret_of_the_same_day_opens_the_next_episode(watch: Watch) -> None:
    drop(watch.settings, [leaking()], day=OLD)
    watch.ingest()
    (alert,) = watch.tick()
    acknowledge_alert(watch.settings, alert["alert_id"], by="on-call", now=watch.now, is_resolved=True)

    # The same line of the same file, with another secret.
    drop(watch.settings, [leaking(2)], day=OLD)
    watch.ingest()
    assert in_short(watch.tick()) == [(OLD, "firing", 1, 2)]


def test_a_secret_found_after_the_last_tick_is_not_acknowledged_unseen(watch: Watch) -> None:
    drop(watch.settings, [leaking()], day=OLD)
    watch.ingest()
    (alert,) = watch.tick()
    drop(watch.settings, [leaking(), leaking(2)], day=OLD)
    watch.ingest()

    acknowledge_alert(watch.settings, alert["alert_id"], by="on-call", now=watch.now, is_resolved=True)
    assert in_short(watch.tick()) == [(OLD, "firing", 1, 2)]


def test_days_are_alerts_of_their_own_and_more_of_one_day_counts_up(watch: Watch) -> None:
    drop(watch.settings, [leaking()], day=OLD)
    drop(watch.settings, [leaking(7, "2026-06-30")], day="2026-06-30")
    watch.ingest()
    watch.tick()
    drop(watch.settings, [leaking(2)], name="later.jsonl", day=OLD)
    watch.ingest()

    assert sorted(in_short(watch.tick())) == [(OLD, "firing", 2, 1), ("2026-06-30", "firing", 1, 1)]


def test_many_acknowledged_leaks_are_not_taken_for_flapping(watch: Watch) -> None:
    for number in range(5):
        drop(watch.settings, [leaking(number)], name=f"{number}.jsonl", day=OLD)
        watch.ingest()
        (alert,) = watch.tick()
        assert (alert["episode"], alert["muted_by"]) == (number + 1, None)
        acknowledge_alert(watch.settings, alert["alert_id"], by="on-call", now=watch.now, is_resolved=True)

    with state_of(watch.settings).reading() as c:
        assert alert_history(c, kind="flapping") == []


def test_what_a_person_says_is_evidence_without_the_text_none(watch: Watch) -> None:
    drop(watch.settings, [leaking()], day=OLD)
    watch.ingest()
    (alert,) = watch.tick()
    acknowledge_alert(watch.settings, alert["alert_id"], by="on-call", now=watch.now, is_resolved=True)

    (written,) = watch.settings.landing.rglob("cavra-pipeline-*.jsonl")
    assert '"acknowledgement_state":"resolved"' in written.read_text()
    assert "None" not in written.read_text() + written.name
    ids = query(watch.settings, "SELECT session_id, acknowledgement_id FROM acknowledgements")
    assert ids == [(f"acknowledgement-{alert['alert_id']}-resolved", f"ack-{alert['alert_id']}-resolved")]


def test_an_alert_that_ends_by_itself_is_not_resolved_by_hand(watch: Watch) -> None:
    watch_pass(watch.settings, Observation(["missed_run"], [signal(since=NOW)]), clock=lambda: NOW)
    with state_of(watch.settings).reading() as c:
        (alert,) = list_alerts(c, watch.settings, now=NOW)["alerts"]

    with pytest.raises(EndsByItself, match="resolves by itself once its cause is gone"):
        acknowledge_alert(watch.settings, alert["alert_id"], by="on-call", now=NOW, is_resolved=True)
    assert query_state(watch.settings, "SELECT state FROM alerts") == [("firing",)]


def test_a_warehouse_made_again_does_not_raise_what_was_handled(watch: Watch) -> None:
    drop(watch.settings, [leaking()], day=OLD)
    drop(watch.settings, [leaking(2)], name="open.jsonl", day="2025-02-04")
    watch.ingest()
    handled, stays = sorted(watch.tick(), key=lambda one: str(one["subject"]))
    acknowledge_alert(watch.settings, handled["alert_id"], by="on-call", now=watch.now, is_resolved=True)
    assert [one["alert_id"] for one in watch.tick()] == [stays["alert_id"]]

    watch.settings.warehouse.unlink()
    assert [one["alert_id"] for one in watch.tick(hours=1)] == [stays["alert_id"]]
    watch.ingest()

    assert query(watch.settings, "SELECT count(*) FROM findings") == [(2,)]
    assert in_short(watch.tick(hours=1)) == [("2025-02-04", "firing", 1, 1)]
    assert query_state(watch.settings, "SELECT count(*), count(handled_at) FROM leaks") == [(2, 1)]


def test_a_crash_between_the_notes_and_the_alert_loses_no_leak(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(watch.settings, [leaking()], day=OLD)
    watch.ingest()
    with monkeypatch.context() as patched:
        patched.setattr(alerting, "watch_pass", crash)
        with pytest.raises(Crash):
            watch.tick()
    assert query_state(watch.settings, "SELECT count(*) FROM leaks") == [(1,)]
    assert watch.alerts() == []

    assert in_short(watch.tick()) == [(OLD, "firing", 1, 1)]
    assert query_state(watch.settings, "SELECT count(*) FROM leaks") == [(1,)]


def crash(*_: object, **__: object) -> None:
    raise Crash


def test_a_warehouse_that_was_lost_raises_an_alert_for_a_day_after_it_was_made_again(watch: Watch) -> None:
    drop(watch.settings, [delivery()], day=OLD)
    watch.ingest()
    kinds = watch.kinds
    watch.tick()
    assert kinds() == []
    watch.settings.warehouse.unlink()
    query(watch.settings, "SELECT 1")
    ((made_at,),) = query_state(watch.settings, "SELECT max(made_at) FROM warehouses")

    watch.now = datetime.fromisoformat(made_at)
    watch.tick(hours=23.9)
    assert kinds() == [("warehouse_rebuilt", "missing")]
    watch.tick(hours=0.2)
    assert kinds() == []
