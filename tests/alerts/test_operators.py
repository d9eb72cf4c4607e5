"""What people do with alerts: evidence comes first, then the state; lists are read without the warehouse."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cavra_pipeline.alerts import operators, records
from cavra_pipeline.alerts.operators import acknowledge_alert
from cavra_pipeline.cli import cli
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.warehouse import FileWarehouse
from tests.alerts import support
from tests.alerts.support import Desk, signal
from tests.support import AS_OF, query, query_state, take_in
from tests.worker.support import Crash

ACKNOWLEDGED = "SELECT session_id, acknowledgement_state, signer FROM evidence WHERE record_type = 'acknowledgement'"


@pytest.fixture
def desk(state_address: str | None, tmp_path: Path) -> Desk:
    """A home whose alerts are in SQLite, and once more in PostgreSQL."""
    return support.desk(tmp_path, state_address=state_address)


def crash(*_: object, **__: object) -> None:
    raise Crash


def state_of_alert(one: Desk) -> tuple[Any, ...]:
    (found,) = query_state(one.settings, "SELECT state, acknowledged_by FROM alerts")
    return found


def events(one: Desk) -> list[str]:
    return [event for (event,) in query_state(one.settings, "SELECT event FROM alert_events ORDER BY event_number")]


@pytest.mark.parametrize(
    ("module", "name"), [(records, "save_emitted_drop"), (operators, "save"), (operators, "alerts")]
)
def test_after_a_crash_at_any_step_a_repeat_acknowledges_and_leaves_one_record(
    desk: Desk, module: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.tick(signal())
    alert_id = desk.alert_id
    with monkeypatch.context() as patched:
        patched.setattr(module, name, crash)
        with pytest.raises(Crash):
            acknowledge_alert(desk.settings, alert_id, by="on-call", now=desk.clock())
    assert state_of_alert(desk) == ("firing", None)

    desk.clock.move(5)
    said = acknowledge_alert(desk.settings, alert_id, by="on-call", now=desk.clock())

    assert (said["state"], state_of_alert(desk)) == ("acknowledged", ("acknowledged", "on-call"))
    assert events(desk) == ["opened", "notified", "acknowledged"]
    expected = [(f"acknowledgement-{alert_id}-webhook", "acknowledged", "on-call")]
    assert query(desk.settings, ACKNOWLEDGED) == expected


def test_after_a_crash_before_the_commit_of_the_file_a_repeat_leaves_one_record(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.tick(signal())
    alert_id = desk.alert_id
    with monkeypatch.context() as patched:
        patched.setattr(FileWarehouse, "writing", crash)
        with pytest.raises(Crash):
            acknowledge_alert(desk.settings, alert_id, by="on-call", now=desk.clock())
    assert len(list(desk.settings.landing.rglob("cavra-pipeline-acknowledgement-*.jsonl"))) == 1
    assert (state_of_alert(desk), query(desk.settings, ACKNOWLEDGED)) == (("firing", None), [])

    acknowledge_alert(desk.settings, alert_id, by="on-call", now=desk.clock())
    take_in(desk.settings)

    assert state_of_alert(desk) == ("acknowledged", "on-call")
    assert len(query(desk.settings, ACKNOWLEDGED)) == 1


def test_an_alert_that_ended_meanwhile_stays_resolved(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.tick(signal())
    alert_id = desk.alert_id
    recorded = records.record_acknowledgement

    def ends_first(*given: Any, **named: Any) -> None:
        recorded(*given, **named)
        desk.tick(kinds=["missed_run"], minutes=1)

    with monkeypatch.context() as patched:
        patched.setattr(operators, "record_acknowledgement", ends_first)
        said = acknowledge_alert(desk.settings, alert_id, by="on-call", now=desk.clock())

    assert (said["state"], state_of_alert(desk)) == ("resolved", ("resolved", None))
    assert "acknowledged" not in events(desk)


def test_of_two_people_at_once_the_first_has_acknowledged(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.tick(signal())
    alert_id = desk.alert_id
    recorded = records.record_acknowledgement

    def second_first(*given: Any, **named: Any) -> None:
        monkeypatch.setattr(operators, "record_acknowledgement", recorded)
        acknowledge_alert(desk.settings, alert_id, by="second", now=desk.clock())
        recorded(*given, **named)

    monkeypatch.setattr(operators, "record_acknowledgement", second_first)
    said = acknowledge_alert(desk.settings, alert_id, by="first", now=desk.clock())

    assert (said["acknowledged_by"], state_of_alert(desk)) == ("second", ("acknowledged", "second"))
    assert events(desk).count("acknowledged") == 1


def acknowledging(one: Desk) -> threading.Thread:
    """Acknowledges the alert in a thread, and returns once its evidence is on the disk."""
    alert_id = one.alert_id
    thread = threading.Thread(
        target=acknowledge_alert, args=(one.settings, alert_id), kwargs={"by": "on-call", "now": AS_OF}
    )
    thread.start()
    while not list(one.settings.landing.rglob("cavra-pipeline-acknowledgement-*.jsonl")):
        time.sleep(0.01)
    return thread


def test_whoever_waits_for_the_state_holds_no_warehouse(desk: Desk) -> None:
    desk.tick(signal())
    with state_of(desk.settings).writing():
        thread = acknowledging(desk)
        for _ in range(3):
            with FileWarehouse(desk.settings.warehouse, 10).writing("something else"):
                time.sleep(0.05)
        assert thread.is_alive()
    thread.join(30)
    assert state_of_alert(desk) == ("acknowledged", "on-call")


def test_whoever_waits_for_the_warehouse_holds_no_state(desk: Desk) -> None:
    desk.tick(signal())
    with warehouse_of(desk.settings).writing("hold it"):
        thread = acknowledging(desk)
        for _ in range(3):
            with state_of(desk.settings.but(busy_wait_seconds=10.0)).writing():
                time.sleep(0.05)
        assert thread.is_alive()
        assert state_of_alert(desk) == ("firing", None)
    thread.join(30)
    assert state_of_alert(desk) == ("acknowledged", "on-call")


@pytest.mark.parametrize("step", ["save_emitted_drop", "mark_recorded"])
def test_after_a_crash_at_any_step_a_plan_is_recorded_once(
    desk: Desk, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.tick(signal())
    with monkeypatch.context() as patched:
        patched.setattr(records, step, crash)
        with pytest.raises(Crash):
            records.record_plans(desk.settings)

    for _ in range(2):
        records.record_plans(desk.settings)

    plans = "SELECT count(*) FROM evidence_records WHERE record_type = 'alert_plan'"
    assert query(desk.settings, plans) == [(1,)]
    assert query_state(desk.settings, "SELECT count(*) FROM alert_outbox WHERE is_recorded") == [(1,)]


# --- Without the warehouse -----------------------------------------------------------------------------------------


def locked(settings: Settings, stack: ExitStack) -> None:
    stack.enter_context(warehouse_of(settings).writing("hold it"))


def garbled(settings: Settings, _: ExitStack) -> None:
    settings.warehouse.write_bytes(b"noise" * 5000)


def missing(settings: Settings, _: ExitStack) -> None:
    settings.warehouse.unlink()


@pytest.mark.parametrize("break_it", [locked, garbled, missing])
def test_lists_of_alerts_and_slots_answer_whatever_became_of_the_warehouse(
    tmp_path: Path, break_it: Callable[[Settings, ExitStack], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = support.desk(tmp_path)
    one.tick(signal())
    monkeypatch.setenv("CAVRA_HOME", str(one.settings.home))
    answers = {}
    with ExitStack() as stack:
        break_it(one.settings, stack)
        before = one.settings.warehouse.stat().st_mtime_ns if one.settings.warehouse.exists() else None
        for words in (["alerts", "list"], ["alerts", "history"], ["slots"]):
            done = CliRunner().invoke(cli, [*words, "--json"], catch_exceptions=False)
            assert done.exit_code == 0, done.output
            answers[words[-1]] = json.loads(done.stdout)
        after = one.settings.warehouse.stat().st_mtime_ns if one.settings.warehouse.exists() else None
    assert answers["list"]["alert_count"] == 1
    assert [event["event"] for event in answers["history"]["events"]] == ["notified", "opened"]
    assert answers["slots"]["slot_count"] == 0
    assert before == after, "nobody opened it"


def test_a_broken_provider_has_the_step_of_its_cause_in_the_list_and_the_notification(desk: Desk) -> None:
    step = "Renew the ServiceNow credential or restore its permissions. Retries fail until then."
    since = "servicenow since 2026-06-25T11:30:01.881917+00:00"
    named = signal("provider_incident", since, cause="credentials", evidence={"provider": "servicenow"})
    of_unknown_provider = signal("provider_incident", "provider-incident-1", cause="credentials")

    desk.tick(named, of_unknown_provider)

    with state_of(desk.settings).reading() as c:
        found = operators.list_alerts(c, desk.settings, now=desk.clock())["alerts"]
    assert {one["subject"]: one["action"] for one in found} == {
        since: step,
        "provider-incident-1": "Take the next step that the incident names.",
    }
    sent, other = sorted((one for _, one in desk.provider.sent), key=lambda one: "servicenow" not in one.subject)
    assert other.title == "CAVRA critical: a provider is broken: provider-incident-1 (1)"
    assert sent.title == "CAVRA critical: ServiceNow rejects our credentials since 2026-06-25 11:30 UTC (1)"
    assert sent.summary.startswith("Since 2026-06-25 12:00 UTC, ")
    assert sent.summary.endswith(f"What to do: {step}")
