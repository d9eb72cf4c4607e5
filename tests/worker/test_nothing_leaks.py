"""No secret of the connectors file in any byte under the home, in any output, log or exception, nor in Dagster."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.decorators.op_decorator import DecoratedOpFunction

from cavra_pipeline import cli
from cavra_pipeline.assets.workers import build_worker_assets
from cavra_pipeline.connectors import DeliverySettings
from cavra_pipeline.errors import PipelineError, UsageError
from cavra_pipeline.lanes import LANES
from cavra_pipeline.resources import RESOURCE_KEY, Home
from cavra_pipeline.retry import sender
from cavra_pipeline.settings import Settings, load_settings
from tests.connectors.examples import ALL_PROVIDERS, CANARIES, ENTRIES, SIGNING_SECRETS
from tests.connectors.receiver import Answer, Receiver, answer, hang, reset, reset_in_body, throttled
from tests.dagster_tests.runs import key
from tests.support import acknowledgement, at, delivery, drop, files_holding, home_with, query
from tests.worker.support import Crash, connectors_file

pytestmark = pytest.mark.slow

PATH_CANARY = "CANARYpath-77aa"
NEEDLES = [
    PATH_CANARY,
    *CANARIES["CANARY_SIGNING"].split(),
    *(value for name, value in CANARIES.items() if name != "CANARY_SIGNING"),
    *(secret.removeprefix("whsec_") for secret in SIGNING_SECRETS),
]
LANE = "recovery_escalation"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home on a host that names every lane live, whose connectors are all on and all secret."""
    made = home_with(
        tmp_path,
        [
            line
            for provider in ALL_PROVIDERS
            for line in (delivery(at(60), failed=[provider]), acknowledgement(at(30), provider=provider))
        ],
    )
    connectors_file(tmp_path / "connectors.yaml", **{name: dict(entry) for name, entry in ENTRIES.items()})
    host = {
        **CANARIES,
        "CANARY_URL": f"{receiver.base_url}/{PATH_CANARY}",
        "CAVRA_HOME": str(made.home),
        "CAVRA_CONNECTORS": str(tmp_path / "connectors.yaml"),
        "CAVRA_LIVE_LANES": ",".join(LANES),
        "CAVRA_IMMEDIATE_TRIES": "1",
        "CAVRA_THREADS": "1",
        "DAGSTER_HOME": str(made.dagster_home),
    }
    for name, value in host.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sender, "DeliverySettings", partial(DeliverySettings, read_timeout_seconds=0.2))
    return made


def leaks(home: Settings, *texts: str) -> list[str]:
    """Where a secret is found: under the home, or in what was said."""
    found = [str(path) for needle in NEEDLES for path in files_holding(home.home, needle.encode())]
    return found + [f"said: {needle[:12]}" for needle in NEEDLES for text in texts if needle in text]


def work_live(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> str:
    """A live run through the command line; returns all that was said, and the traceback if there was one."""
    monkeypatch.setattr(
        "sys.argv", ["cavra-pipeline", "worker", f"--lane={LANE}", "--live", "--max-retry-deliveries=8"]
    )
    said = ""
    with caplog.at_level(logging.DEBUG):
        try:
            cli.main()
        except SystemExit as end:
            said += f"exit {end.code}\n"
        except BaseException as error:  # noqa: BLE001 -- what a user sees of any end
            said += "".join(traceback.format_exception(error))
    captured = capsys.readouterr()
    return said + captured.out + captured.err + caplog.text


@pytest.mark.parametrize(
    "planned",
    [answer(200), answer(503, PATH_CANARY), throttled(60), hang(), reset(), reset_in_body(), answer(302, Location="/")],
    ids=["200", "503", "429", "hang", "reset", "reset in body", "redirect"],
)
def test_a_live_run_leaks_nothing_whatever_the_provider_does(
    home: Settings,
    receiver: Receiver,
    planned: Answer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for path in (f"/{PATH_CANARY}", f"/{PATH_CANARY}/rest/api/3/issue"):
        receiver.script(path, planned)

    said = work_live(monkeypatch, capsys, caplog)

    assert len(query(home, "SELECT * FROM executions")) == len(ALL_PROVIDERS), said
    assert receiver.requests()
    assert leaks(home, said) == []


def test_a_host_that_does_not_answer_leaks_nothing(
    home: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("CANARY_URL", f"http://127.0.0.1:9/{PATH_CANARY}")

    said = work_live(monkeypatch, capsys, caplog)

    assert set(query(home, "SELECT execution_status FROM executions")) == {("failed",)}
    assert leaks(home, said) == []


@pytest.mark.parametrize("name", ["CANARY_TOKEN", "CANARY_URL"])
def test_a_faulty_connectors_file_leaks_nothing(
    home: Settings,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv(name, f"{PATH_CANARY}\r\nX: y")

    said = work_live(monkeypatch, capsys, caplog)

    assert "exit 0" in said
    assert "a secret of the connector is" in said
    assert leaks(home, said) == []


@pytest.mark.parametrize("kind", [RuntimeError, UnicodeError, PipelineError, Crash, KeyboardInterrupt])
def test_a_connector_that_raises_what_it_should_not_leaks_nothing(
    home: Settings,
    kind: type[BaseException],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def defect(connector: Any, *_: Any, **__: Any) -> None:
        """What it says is a secret only where we are the ones who could tell it; a crash tells nobody."""
        if kind is PipelineError:
            raise PipelineError(connector.url.reveal(), where=CANARIES["CANARY_KEY"], remedy=PATH_CANARY)
        raise kind(connector.url.reveal() if issubclass(kind, Exception) else "")

    monkeypatch.setattr(sender, "deliver", defect)

    said = work_live(monkeypatch, capsys, caplog)

    if issubclass(kind, Exception):
        assert f"a connector failed in a way it should not ({kind.__name__})" in said
        assert len(query(home, "SELECT * FROM executions")) == len(ALL_PROVIDERS)
    assert leaks(home, said) == []


# --- Dagster -------------------------------------------------------------------------------------------------------


def materialize(home: Settings, name: str = LANE) -> dg.ExecuteInProcessResult:
    """Materialises a lane's worker on the home's own Dagster instance."""
    asset = f"{name}_retry_worker"
    with dg.DagsterInstance.get() as instance:
        return dg.materialize(
            [one for one in build_worker_assets(home) if one.key == key(asset)],
            instance=instance,
            resources={RESOURCE_KEY: Home.of(home)},
            raise_on_error=False,
        )


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    (failed,) = result.filter_events(lambda event: event.is_step_failure)
    return str(failed.step_failure_data.error)


def shown_by(*results: dg.ExecuteInProcessResult) -> list[dict[str, Any]]:
    """The metadata of each worker run; those of the tables that it wrote aside."""
    return [
        {name: entry.value for name, entry in event.materialization.metadata.items()}
        for result in results
        for event in result.get_asset_materialization_events()
        if event.asset_key == key(f"{LANE}_retry_worker")
    ]


def dry_run_counts(result: dg.ExecuteInProcessResult) -> list[tuple[Any, Any]]:
    """What each worker run shows: whether it was dry, and how many retries it selected."""
    return [(one["dry_run"], one["selected_retry_count"]) for one in shown_by(result)]


@pytest.mark.parametrize("lanes", ["", "executive_report,recovery_health_alert"])
def test_a_run_in_a_lane_that_the_host_does_not_name_is_dry(
    home: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, lanes: str
) -> None:
    monkeypatch.setenv("CAVRA_LIVE_LANES", lanes)

    assert dry_run_counts(materialize(home)) == [(True, 5)]
    assert receiver.requests() == []


def test_a_live_run_in_dagster_still_waits_for_the_lanes_acknowledgement(tmp_path: Path, home: Settings) -> None:
    words = [acknowledgement(at(5), provider=provider, state="deferred") for provider in ALL_PROVIDERS]
    drop(home, words, name="no.jsonl")

    assert dry_run_counts(materialize(home)) == [(False, 0)]
    assert query(home, "SELECT count(*) FROM executions") == [(0,)]


def test_run_configuration_can_not_move_the_host_to_another_home(
    home: Settings, receiver: Receiver, tmp_path: Path
) -> None:
    elsewhere = home_with(tmp_path / "other", [delivery(at(60), failed=["webhook"]), acknowledgement(at(30))])

    assert [is_dry for is_dry, _ in dry_run_counts(materialize(elsewhere))] == [True]
    assert receiver.requests() == []


@pytest.mark.parametrize("planned", [answer(200), answer(503), reset()], ids=["200", "503", "reset"])
def test_a_worker_run_in_dagster_shows_what_happened_and_no_secret(
    home: Settings,
    receiver: Receiver,
    planned: Answer,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    receiver.script(f"/{PATH_CANARY}", planned)

    with monkeypatch.context() as disarmed:
        disarmed.delenv("CAVRA_LIVE_LANES")
        dry = materialize(home)
    assert receiver.requests() == []
    live, rest = materialize(home), materialize(home)

    assert (dry.success, live.success, rest.success) == (True, True, True)
    shown = shown_by(dry, live, rest)
    assert [(one["dry_run"], one["selected_retry_count"]) for one in shown] == [(True, 5), (False, 5), (False, 3)]
    assert "selected, not sent" in str(shown[0]["details"])
    assert "over_the_limit_of_this_run" in str(shown[0]["details"])
    assert ("delivered" in str([one["details"] for one in shown])) is (planned == answer(200))
    captured = capfd.readouterr()
    assert leaks(home, captured.out, captured.err) == []


def test_a_worker_run_in_dagster_that_fails_shows_no_secret(
    home: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def defect(connector: Any, *_: Any, **__: Any) -> None:
        raise ValueError(connector.url.reveal())

    monkeypatch.setattr(sender, "deliver", defect)
    assert "ValueError" in failure_of(materialize(home))
    monkeypatch.setenv("CANARY_TOKEN", f"{PATH_CANARY}\n")
    monkeypatch.setenv("CANARY_URL", f"not-an-address-{PATH_CANARY}")
    (shown,) = shown_by(materialize(home))
    assert "it is not a URL" in str(shown["connector_problems"])

    captured = capfd.readouterr()
    assert leaks(home, captured.out, captured.err) == []


def test_only_the_host_names_live_lanes_and_a_worker_takes_no_configuration() -> None:
    computed = [asset.op.compute_fn for asset in build_worker_assets(load_settings({}))]

    assert [isinstance(one, DecoratedOpFunction) and one.has_config_arg() for one in computed] == [False] * len(LANES)
    assert load_settings({}).live_lanes == frozenset()
    assert load_settings({"CAVRA_LIVE_LANES": "recovery_escalation, executive_report,"}).live_lanes == {
        "recovery_escalation",
        "executive_report",
    }
    for text in ("armed", "true", "*", "all", "recovery-escalation", "recovery_escalation;executive_report"):
        with pytest.raises(UsageError, match="CAVRA_LIVE_LANES: the value names a lane that there is not"):
            load_settings({"CAVRA_LIVE_LANES": text})


@pytest.mark.parametrize("text", ["armed", "off", "1"])
def test_the_setting_of_older_releases_is_refused_with_the_one_that_replaces_it(text: str) -> None:
    with pytest.raises(UsageError, match="CAVRA_LIVE_RETRIES: the setting is no longer read") as raised:
        load_settings({"CAVRA_LIVE_RETRIES": text, "CAVRA_LIVE_LANES": "executive_report"})
    assert "CAVRA_LIVE_LANES" in raised.value.remedy
    assert load_settings({"CAVRA_LIVE_RETRIES": " "}).live_lanes == frozenset()
