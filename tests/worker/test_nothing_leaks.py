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

from assets.workers import build_worker_assets
from cavra_pipeline import cli
from cavra_pipeline.connectors import DeliverySettings
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.resources import RESOURCE_KEY, Home
from cavra_pipeline.retry import sender
from cavra_pipeline.settings import Settings, load_settings
from tests.connectors.examples import ALL_PROVIDERS, CANARIES, ENTRIES, SIGNING_SECRETS
from tests.connectors.receiver import Answer, Receiver, answer, hang, reset, reset_in_body, throttled
from tests.support import acknowledgement, at, delivery, files_holding, home_with, query
from tests.worker.support import Crash, connectors_file

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
    """A home on an armed host whose connectors are all on and all secret."""
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
        "CAVRA_LIVE_RETRIES": "armed",
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
    assert "connector_secret_unusable" in said
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


def materialize(home: Settings, config: dict[str, Any], name: str = LANE) -> dg.ExecuteInProcessResult:
    """Materialises a lane's worker on the home's own Dagster instance."""
    asset = f"{name}_retry_worker"
    with dg.DagsterInstance.get() as instance:
        return dg.materialize(
            [one for one in build_worker_assets() if one.key == dg.AssetKey(asset)],
            instance=instance,
            resources={RESOURCE_KEY: Home.of(home)},
            run_config={"ops": {asset: {"config": config}}},
            raise_on_error=False,
        )


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    (failed,) = result.filter_events(lambda event: event.is_step_failure)
    return str(failed.step_failure_data.error)


def test_run_configuration_alone_sends_nothing(
    home: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CAVRA_LIVE_RETRIES")

    result = materialize(home, {"live": True})

    assert not result.success
    assert "live retries are not armed on this host" in failure_of(result)
    assert "CAVRA_LIVE_RETRIES=armed" in failure_of(result)
    assert receiver.requests() == []
    assert leaks(home) == []


def test_run_configuration_can_not_move_an_armed_host_to_another_home(
    home: Settings, receiver: Receiver, tmp_path: Path
) -> None:
    elsewhere = home_with(tmp_path / "other", [delivery(at(60), failed=["webhook"])])

    result = materialize(elsewhere, {"live": True})

    assert not result.success
    assert "not armed" in failure_of(result)
    assert receiver.requests() == []


@pytest.mark.parametrize("planned", [answer(200), answer(503), reset()], ids=["200", "503", "reset"])
def test_a_worker_run_in_dagster_shows_what_happened_and_no_secret(
    home: Settings, receiver: Receiver, planned: Answer, capfd: pytest.CaptureFixture[str]
) -> None:
    receiver.script(f"/{PATH_CANARY}", planned)

    dry = materialize(home, {})
    assert receiver.requests() == []
    live = materialize(home, {"live": True, "max_retry_deliveries": 8})

    assert (dry.success, live.success) == (True, True)
    shown = [
        {name: entry.value for name, entry in event.materialization.metadata.items()}
        for result in (dry, live)
        for event in result.get_asset_materialization_events()
    ]
    assert [(one["dry_run"], one["selected_retry_count"]) for one in shown] == [(True, 5), (False, 8)]
    assert "selected, not sent" in str(shown[0]["details"])
    assert "over_the_limit_of_this_run" in str(shown[0]["details"])
    assert ("delivered" in str(shown[1]["details"])) is (planned == answer(200))
    captured = capfd.readouterr()
    assert leaks(home, captured.out, captured.err) == []


def test_a_worker_run_in_dagster_that_fails_shows_no_secret(
    home: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def defect(connector: Any, *_: Any, **__: Any) -> None:
        raise ValueError(connector.url.reveal())

    monkeypatch.setattr(sender, "deliver", defect)
    assert "ValueError" in failure_of(materialize(home, {"live": True}))
    monkeypatch.setenv("CANARY_TOKEN", f"{PATH_CANARY}\n")
    monkeypatch.setenv("CANARY_URL", f"not-an-address-{PATH_CANARY}")
    held = materialize(home, {"live": True})
    (shown,) = (event.materialization.metadata for event in held.get_asset_materialization_events())
    assert "it is not a URL" in str(shown["connector_problems"].value)

    captured = capfd.readouterr()
    assert leaks(home, captured.out, captured.err) == []


def test_the_host_says_what_is_armed_and_nobody_else() -> None:
    fields = {name for asset in build_worker_assets() for name in asset.op.config_schema.config_type.fields}  # type: ignore[union-attr]

    assert fields == {"live", "max_retry_deliveries", "retry_plan_id"}
    assert load_settings({}).live_is_armed is False
    assert load_settings({"CAVRA_LIVE_RETRIES": "armed"}).live_is_armed is True
    for text in ("1", "true", "ARMED", "yes"):
        with pytest.raises(PipelineError, match="CAVRA_LIVE_RETRIES"):
            load_settings({"CAVRA_LIVE_RETRIES": text})
