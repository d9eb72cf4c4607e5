"""One pass over the wire: notices, evidence, the dead man's ping, and what happens when something is in the way."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from cavra_pipeline.alerts import deadman, watch
from cavra_pipeline.alerts.operators import acknowledge_alert
from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.alerts.watch import watch_pass
from cavra_pipeline.boundary.kinds import KIND_PREFIX
from cavra_pipeline.connectors.faults import MISCONFIGURED, SECRET_UNUSABLE
from cavra_pipeline.errors import PipelineError, TransientError, UsageError
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.settings import AlertPolicy, Settings, load_settings
from cavra_pipeline.state import state_of
from tests.alerts.support import signal
from tests.connectors.receiver import Receiver, answer, hang, reset, slow_body
from tests.support import AS_OF, NOW, empty_warehouse, files_holding, home_with, query, query_state
from tests.worker.support import SIGNING, connectors_file

SECRET_PATH = "/ping/5f1c0a52-not-to-be-seen"


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("SIGNING", SIGNING)
    with Receiver() as receiver:
        receiver.script("/hook", answer(200))
        for signal_path in ("", "/start", "/fail"):
            receiver.script(SECRET_PATH + signal_path, answer(200, "OK"))
        yield receiver


def watched(tmp_path: Path, receiver: Receiver) -> Settings:
    settings = home_with(
        tmp_path,
        threads=1,
        alerts=AlertPolicy(connectors=("webhook",)),
        deadman_url=SecretStr(receiver.base_url + SECRET_PATH),
        connectors_file=tmp_path / "home" / "connectors.yaml",
    )
    settings.warehouse.write_bytes(empty_warehouse())
    connectors_file(
        settings.home / "connectors.yaml",
        webhook={"url": f"{receiver.base_url}/hook", "signing_secrets_env": "SIGNING"},
    )
    return settings


def look(settings: Settings, *signals: Signal, at: datetime = AS_OF, is_heartbeat: bool = True) -> datetime | None:
    return watch_pass(settings, Observation(["missed_run"], signals, is_heartbeat=is_heartbeat), clock=lambda: at)


def pings(receiver: Receiver) -> list[str]:
    return [one.path.removeprefix(SECRET_PATH) for one in receiver.requests() if one.path.startswith(SECRET_PATH)]


def notified(receiver: Receiver) -> int:
    """How many notifications have come."""
    return len(receiver.requests("/hook"))


def test_a_pass_tells_over_the_wire_and_pings_before_and_after(tmp_path: Path, receiver: Receiver) -> None:
    settings = watched(tmp_path, receiver)

    assert look(settings, signal()) == AS_OF

    assert notified(receiver) == 1
    assert pings(receiver) == ["/start", ""]
    assert [one.method for one in receiver.requests(SECRET_PATH)] == ["POST"]
    body = json.loads(receiver.requests("/hook")[0].body)
    assert body["type"] == "cavra.alert.firing"
    assert body["data"]["title"] == "CAVRA critical: scheduled runs were missed: recovery_retry_worker (1)"
    assert look(settings, signal()) == AS_OF + timedelta(hours=4)
    assert notified(receiver) == 1


def test_a_pass_that_is_no_heartbeat_does_not_ping(tmp_path: Path, receiver: Receiver) -> None:
    look(watched(tmp_path, receiver), signal(), is_heartbeat=False)
    assert pings(receiver) == []


@pytest.mark.parametrize("answers", [answer(503), reset(), answer(404)])
def test_a_ping_that_is_not_taken_stops_nothing(tmp_path: Path, receiver: Receiver, answers: object) -> None:
    receiver.script(SECRET_PATH, answers)  # type: ignore[arg-type]

    url = SecretStr(receiver.base_url + SECRET_PATH)
    assert deadman.ping(url, deadman.SUCCESS) in ("http_503", "http_404", "connection_lost_after_send")
    look(watched(tmp_path, receiver), signal())
    assert notified(receiver) == 1


def test_a_ping_waits_no_longer_than_its_limit_and_reads_no_body(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadman, "TIMEOUT_SECONDS", 0.2)
    url = SecretStr(receiver.base_url + SECRET_PATH)
    receiver.script(SECRET_PATH, hang())
    assert deadman.ping(url, deadman.SUCCESS) == "timeout_after_send"
    receiver.script(SECRET_PATH, slow_body())
    assert deadman.ping(url, deadman.SUCCESS) == "sent"
    assert deadman.ping(None, deadman.FAIL) == "off"


def test_a_query_stays_behind_the_path(receiver: Receiver) -> None:
    url = SecretStr(f"{receiver.base_url}{SECRET_PATH}/?create=1")
    deadman.ping(url, deadman.FAIL)
    assert receiver.requests()[0].path == f"{SECRET_PATH}/fail?create=1"


def test_a_pass_that_fails_says_so_outside_and_the_look_is_not_lost(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = watched(tmp_path, receiver)

    def defect(*_: object, **__: object) -> None:
        raise PipelineError("a defect", where="connectors", remedy="Report it")

    with monkeypatch.context() as patched:
        patched.setattr(watch, "deliver_due", defect)
        with pytest.raises(PipelineError, match="a defect"):
            look(settings, signal())
    assert pings(receiver) == ["/start", "/fail"]
    look(settings, signal())
    assert notified(receiver) == 1


@pytest.mark.parametrize("slack", ["{enabled: perhaps}", "{url_env: NOT_SET}", "{url_file: none}", "7"])
def test_a_broken_connector_holds_up_no_notice_of_another(slack: str, tmp_path: Path, receiver: Receiver) -> None:
    settings = watched(tmp_path, receiver)
    settings = settings.but(alerts=AlertPolicy(connectors=("slack", "webhook")))
    path = settings.home / "connectors.yaml"
    path.write_text(f"{path.read_text()}  slack: {slack}\n")

    look(settings, signal())

    assert notified(receiver) == 1
    waiting = query_state(settings, "SELECT provider, state, reason FROM send_intents WHERE provider = 'slack'")
    assert waiting == [("slack", "pending", SECRET_UNUSABLE if "url" in slack else MISCONFIGURED)]


def test_a_connector_file_that_is_none_loses_no_notice_and_each_is_sent_once_it_is_fixed(
    tmp_path: Path, receiver: Receiver
) -> None:
    settings = watched(tmp_path, receiver)
    path = settings.home / "connectors.yaml"
    whole = path.read_text()
    path.write_text("connectors: [")
    look(settings, signal())
    path.write_text(whole)
    assert receiver.requests("/hook") == []
    look(settings, signal(), at=AS_OF + timedelta(minutes=1))
    assert notified(receiver) == 1


def test_a_busy_state_database_is_transient_and_outside_only_a_start_is_seen(
    tmp_path: Path, receiver: Receiver
) -> None:
    settings = watched(tmp_path, receiver).but(busy_wait_seconds=0.1)
    holds, release = threading.Event(), threading.Event()

    def hold() -> None:
        with state_of(settings).writing():
            holds.set()
            release.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    holds.wait(30)
    try:
        with pytest.raises(TransientError, match="stayed busy"):
            look(settings, signal())
    finally:
        release.set()
        holder.join()
    assert pings(receiver) == ["/start"]
    look(settings, signal())
    assert notified(receiver) == 1


def test_a_busy_warehouse_holds_up_no_notice_and_the_plan_is_recorded_later(tmp_path: Path, receiver: Receiver) -> None:
    settings = watched(tmp_path, receiver).but(busy_wait_seconds=0.1)
    with warehouse_of(settings).writing("hold it"):
        assert look(settings, signal()) == AS_OF, "the next pass is due at once"
    assert (notified(receiver), pings(receiver)) == (1, ["/start", ""])
    assert query_state(settings, "SELECT count(*) FROM alert_outbox WHERE is_recorded") == [(0,)]

    look(settings, signal())

    assert notified(receiver) == 1
    assert query(settings, "SELECT count(*) FROM evidence WHERE record_type = 'alert_plan'") == [(1,)]
    assert query_state(settings, "SELECT count(*) FROM alert_outbox WHERE is_recorded") == [(1,)]


def test_the_address_of_the_ping_is_seen_nowhere(
    tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    settings = watched(tmp_path, receiver)
    with caplog.at_level(logging.DEBUG):
        look(settings, signal())
        receiver.script(SECRET_PATH + "/start", reset())
        look(settings, signal())

    assert "5f1c0a52" not in caplog.text
    assert "5f1c0a52" not in repr(settings)
    assert files_holding(settings.home, b"5f1c0a52") == []


def test_plans_and_acknowledgements_are_evidence_that_passes_the_boundary(tmp_path: Path, receiver: Receiver) -> None:
    settings = watched(tmp_path, receiver)
    look(settings, signal(evidence={"lane": "executive_report", "health_id": "health-7"}))
    alert_id = str(query_state(settings, "SELECT alert_id FROM alerts")[0][0])
    acknowledge_alert(settings, alert_id, by="on-call", now=AS_OF)
    acknowledge_alert(settings, alert_id, by="on-call", now=AS_OF)
    ingest(settings, now=NOW)

    kinds = f"replace(metadata_kind, '{KIND_PREFIX}', '')"
    stem = "recovery-executive-report-delivery-retry-health-alert"
    columns = f"{kinds}, lane, alert_level, selected_providers, provider, acknowledgement_state, health_id, signer"
    assert query(settings, f"SELECT {columns} FROM evidence ORDER BY 1 DESC") == [
        (f"{stem}-plan", "executive_health_alert", "critical", ["webhook"], None, None, "health-7", "cavra-pipeline"),
        (f"{stem}-ack", "executive_health_alert", None, None, "webhook", "acknowledged", "health-7", "on-call"),
    ]
    plans = query(settings, "SELECT count(DISTINCT plan_id), sum(dropped_field_count) FROM evidence")
    assert plans == [(1, 0)], "both records name the same plan, and nothing of them is dropped"
    assert query(settings, "SELECT count(*) FROM quarantine") == [(0,)]


def test_an_alert_that_names_no_lane_is_recorded_in_the_first_alert_lane(tmp_path: Path, receiver: Receiver) -> None:
    settings = watched(tmp_path, receiver)
    look(settings, signal())
    assert query(settings, "SELECT DISTINCT lane FROM evidence") == [("recovery_health_alert",)]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "Bad Kind"}, "kind, cause"),
        ({"cause": "it's broken"}, "kind, cause"),
        ({"subject": ""}, "subject, evidence"),
        ({"subject": "two\nlines"}, "subject, evidence"),
        ({"subject": "x" * 201}, "subject, evidence"),
        ({"evidence": {"header": "Authorization: Bearer abcdefgh1234"}}, "subject, evidence"),
        ({"evidence": {"Bad Name": 1}}, "evidence: use names"),
        ({"severity": "fatal"}, "severity"),
        ({"since": AS_OF.replace(tzinfo=None)}, "since"),
        ({"count": 0}, "count"),
    ],
)
def test_a_signal_that_is_not_public_safe_is_refused_and_its_value_not_repeated(
    wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        signal(**wrong)
    assert "abcdefgh1234" not in str(caught.value)


def test_signals_of_kinds_that_were_not_evaluated_are_a_defect_of_the_sensor(
    tmp_path: Path, receiver: Receiver
) -> None:
    settings = watched(tmp_path, receiver)
    for strange in (signal("failed_run", "a"), signal("no_such_kind", "a")):
        with pytest.raises(ValueError, match="only declared kinds"):
            look(settings, strange)
    assert query_state(settings, "SELECT count(*) FROM alerts") == [(0,)]


def test_a_fingerprint_changes_with_what_is_found_and_not_with_its_order() -> None:
    def fingerprint(*signals: Signal) -> str:
        return Observation(["missed_run"], signals).fingerprint

    one, two = signal(subject="a"), signal(subject="b")
    assert fingerprint(one, two) == fingerprint(two, one)
    assert len({fingerprint(*found) for found in ([], [one], [two], [one, two])}) == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CAVRA_DEADMAN_URL", "http://example.org/ping"),
        ("CAVRA_DEADMAN_URL", "https://user:hunter2@example.org/ping"),
        ("CAVRA_DEADMAN_URL", "ftp://example.org/hunter2"),
        ("CAVRA_DEADMAN_URL", "https://[hunter2"),
        ("CAVRA_ALERT_CONNECTORS", "slack, pigeon"),
        ("CAVRA_ALERT_WINDOW_MINUTES", "-1"),
        ("CAVRA_ALERT_REPEAT_MINUTES", "0"),
        ("CAVRA_ALERT_FLAP_CHANGES", "2"),
    ],
)
def test_a_setting_that_is_not_accepted_is_named_and_a_secret_in_it_not_shown(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=name) as caught:
        load_settings({name: value})
    assert "hunter2" not in str(caught.value)


def test_settings_that_name_another_home_than_the_host_tell_nobody(tmp_path: Path) -> None:
    environ = {
        "CAVRA_HOME": str(tmp_path / "ours"),
        "CAVRA_ALERT_CONNECTORS": "Slack,webhook, slack",
        "CAVRA_DEADMAN_URL": "https://hc.example.org/x",
    }
    ours, other = (load_settings(environ).of_home(tmp_path.resolve() / name) for name in ("ours", "other"))

    assert (ours.alerts.connectors, ours.deadman_url is None) == (("slack", "webhook"), False)
    assert (other.alerts.connectors, other.deadman_url is None) == ((), True)
    assert other.alerts.window_minutes == 60
