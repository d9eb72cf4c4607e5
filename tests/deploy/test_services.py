"""The services of `deploy/`: the unit files start what they say, and containers start the same."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from cavra_pipeline.settings import load_settings
from tests.dagster_tests.test_daemon import ask, default_signals, free_port, wait_for
from tests.deploy.units import UNITS, command_of, compose, service_units, settings_of_units

PROGRAMS = Path(sys.executable).parent
ENDS_WITHIN = 60
SCHEDULES = """{ schedulesOrError(repositorySelector: {repositoryName: "__repository__",
  repositoryLocationName: "cavra_pipeline.definitions"}) { ... on Schedules { results { name } } } }"""
DAEMONS = "{ instance { daemonHealth { allDaemonStatuses { daemonType healthy required } } } }"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """That of the units, on a home and ports of the test's own."""
    ports = {name: str(free_port()) for name in ("CAVRA_CODE_PORT", "CAVRA_UI_PORT", "CAVRA_API_PORT")}
    home = {"CAVRA_HOME": str(tmp_path / "home"), "DAGSTER_HOME": str(tmp_path / "home" / "dagster")}
    return {**os.environ, **settings_of_units(), **ports, **home}


@contextmanager
def started(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            default_signals(*command), env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait(timeout=20)


def answers(port: str, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def schedules(port: int) -> set[str]:
    """Names of the schedules that the UI knows; none as long as the code server loads."""
    answer = ask(port, SCHEDULES) or {}
    return {one["name"] for one in answer.get("schedulesOrError", {}).get("results", [])}


def daemons_are_healthy(port: int) -> bool:
    statuses = ask(port, DAEMONS)["instance"]["daemonHealth"]["allDaemonStatuses"]
    return all(one["healthy"] for one in statuses if one["required"])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_services_of_the_units_work_together_and_end_on_one_signal(
    environment: dict[str, str], tmp_path: Path
) -> None:
    commands = {name: command_of(unit, environment, programs=PROGRAMS) for name, unit in service_units()}
    subprocess.run(commands.pop("home"), env=environment, check=True, stdout=subprocess.DEVNULL)
    logs = {name: tmp_path / f"{name}.log" for name in commands}
    ui, api = environment["CAVRA_UI_PORT"], environment["CAVRA_API_PORT"]

    with ExitStack() as services:
        running = {
            name: services.enter_context(started(command, environment, logs[name]))
            for name, command in commands.items()
        }
        wait_for("API", lambda: answers(api, "/healthz"), seconds=120, log=logs["api"])
        wait_for("UI", lambda: answers(ui, "/server_info"), seconds=240, log=logs["ui"])
        names = wait_for("schedules", lambda: schedules(int(ui)), seconds=240, log=logs["code"])
        assert "recovery_retry_worker" in names
        wait_for("healthy daemons", lambda: daemons_are_healthy(int(ui)), seconds=240, log=logs["daemon"])
        for process in running.values():
            process.send_signal(signal.SIGTERM)
        ended = {name: process.wait(timeout=ENDS_WITHIN) for name, process in running.items()}

    assert set(ended.values()) <= {0, -signal.SIGTERM}, ended
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".log") == ["home"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    folder = tmp_path / "units"
    shutil.copytree(UNITS, folder)
    units = [path for path in folder.iterdir() if path.suffix in {".service", ".target"}]
    for unit in units:
        # What they start is not installed here.
        unit.write_text(unit.read_text().replace("/opt/cavra/bin/", f"{PROGRAMS}/"))

    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, units)],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_settings_of_the_units_are_accepted(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        if name.startswith(("CAVRA_", "DAGSTER_")):
            monkeypatch.setenv(name, value)

    settings = load_settings()

    assert str(settings.home) == environment["CAVRA_HOME"]
    assert settings.dagster_home == settings.home / "dagster"


def test_containers_start_the_same_programs_as_the_units() -> None:
    services, environment = compose()["services"], settings_of_units()

    for name, unit in service_units():
        here = command_of(unit, {**environment, "CAVRA_CODE_HOST": "0.0.0.0"}, programs=Path("/bin"))
        there = [word for word in services[name]["command"] if word not in {"--host", "0.0.0.0"}]
        words = [word for word in here if word not in {"127.0.0.1", "0.0.0.0"}]
        assert [Path(word).name for word in words] == [Path(word).name for word in there], name


def test_no_container_may_write_elsewhere_or_is_open_to_other_machines() -> None:
    document = compose()
    ours = {name: service for name, service in document["services"].items() if name != "postgresql"}

    assert set(ours) == {name for name, _ in service_units()}
    for service in ours.values():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["volumes"] == ["home:/var/lib/cavra"]
    published = [port for service in document["services"].values() for port in service.get("ports", [])]
    assert len(published) == 2
    assert all(port.startswith("127.0.0.1:") for port in published)
