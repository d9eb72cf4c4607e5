"""`cavra-pipeline dev`: it says where things are, is quiet, and ends on one signal with all that it started."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from cavra_pipeline.cli.processes import Program, Programs, require_free
from cavra_pipeline.errors import PipelineError, UsageError
from tests.connectors.receiver import Receiver, answer
from tests.dagster_tests.test_daemon import free_port

pytestmark = pytest.mark.slow

ENDS_WITHIN = 60


def server(port: int, *, code: str = "") -> Program:
    """Python's own file server, after some code."""
    serve = f"http.server.test(http.server.SimpleHTTPRequestHandler, port={port}, bind='127.0.0.1')"
    script = f"{code}; import http.server; {serve}"
    address = f"http://127.0.0.1:{port}"
    return Program("a server", [sys.executable, "-c", script.lstrip("; ")], os.environ, address, address)


def listens(port: int) -> bool:
    try:
        require_free("127.0.0.1", port, "--port")
    except UsageError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_the_waiting_and_every_program(tmp_path: Path, number: signal.Signals) -> None:
    ports = [free_port(), free_port()]
    programs = Programs([server(port) for port in ports], tmp_path / "log")
    before = signal.getsignal(number)

    with programs.running():
        assert programs.wait_until_ready()
        assert [listens(port) for port in ports] == [True, True]
        os.kill(os.getpid(), number)
        programs.wait()

    assert [listens(port) for port in ports] == [False, False]
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(("first", "looks"), [(503, 2), (500, 2), (499, 1), (404, 1)])
def test_a_program_is_ready_once_it_answers_without_a_proxy_and_a_server_error(
    first: int, looks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    with Receiver() as receiver:
        probe = receiver.script("/ready", answer(first), answer(200))
        sleeping = [sys.executable, "-c", "import time; time.sleep(60)"]
        programs = Programs([Program("a server", sleeping, os.environ, probe, probe)], tmp_path / "log")

        with programs.running():
            assert programs.wait_until_ready()

        assert len(receiver.requests("/ready")) == looks


def test_a_program_that_ends_by_itself_ends_the_others_and_names_the_log(tmp_path: Path) -> None:
    port = free_port()
    failing = server(free_port(), code="raise SystemExit(7)")
    programs = Programs([server(port), failing], tmp_path / "log")

    with programs.running(), pytest.raises(PipelineError, match="has ended with status 7") as refused:
        programs.wait_until_ready()

    assert refused.value.where == str(tmp_path / "log")
    assert not listens(port)


def test_what_a_program_has_left_behind_ends_too(tmp_path: Path) -> None:
    port, left = free_port(), free_port()
    child = f"import http.server; http.server.test(port={left}, bind='127.0.0.1')"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}])"
    programs = Programs([server(left), server(port, code=code)][1:], tmp_path / "log")

    with programs.running():
        assert programs.wait_until_ready()
        while not listens(left):
            time.sleep(0.1)

    until = time.monotonic() + 30
    while listens(left):
        assert time.monotonic() < until, "it has outlived the programs"
        time.sleep(0.1)


def test_a_port_that_is_taken_is_refused_before_anything_starts(tmp_path: Path) -> None:
    port = free_port()
    programs = Programs([server(port)], tmp_path / "log")
    with programs.running():
        assert programs.wait_until_ready()
        with pytest.raises(UsageError, match="--port") as refused:
            require_free("127.0.0.1", port, "--port")
    assert "name another one" in refused.value.remedy
    require_free("127.0.0.1", port, "--port")


@pytest.mark.slow
@pytest.mark.timeout(480)
@pytest.mark.parametrize(
    ("number", "start"), [(signal.SIGINT, '"$@" & echo $!; wait $!'), (signal.SIGTERM, 'exec "$@"')]
)
def test_dev_prints_the_addresses_and_ends_on_one_signal(tmp_path: Path, number: signal.Signals, start: str) -> None:
    ui, console, home = free_port(), free_port(), tmp_path / "home"
    # Of a new one it says so.
    home.mkdir(mode=0o700)
    command = [sys.executable, "-m", "cavra_pipeline.cli", "dev", "-p", str(ui), "--console-port", str(console)]
    said = tmp_path / "said"
    environ = {**os.environ, "CAVRA_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1"}
    with said.open("wb") as output:
        # A shell that is not interactive starts what `&` follows with SIGINT ignored.
        shell = subprocess.Popen(
            ["/bin/sh", "-c", start, "sh", *command], env=environ, stdout=output, stderr=output, start_new_session=True
        )
    try:
        while "Ctrl+C" not in said.read_text():
            assert shell.poll() is None, said.read_text()
            time.sleep(0.5)
        for address in (f"http://127.0.0.1:{ui}/asset-groups", f"http://127.0.0.1:{console}/"):
            with urllib.request.urlopen(address, timeout=60) as page:  # noqa: S310 -- loopback
                assert page.status == 200
        lines = [line for line in said.read_text().splitlines() if not line.isdigit()]
        assert re.split(r" {2,}", lines[0]) == ["Dagster UI", f"http://127.0.0.1:{ui}"]
        assert re.split(r" {2,}", lines[1]) == ["Console", f"http://127.0.0.1:{console}"]
        assert len(lines) == 4

        first = said.read_text().splitlines()[0]
        os.kill(int(first) if first.isdigit() else shell.pid, number)
        shell.wait(timeout=ENDS_WITHIN)
    finally:
        if shell.poll() is None:
            os.killpg(shell.pid, signal.SIGKILL)

    assert shell.returncode == 0
    assert [line for line in said.read_text().splitlines() if not line.isdigit()] == lines, "it is quiet to its end"
    assert not listens(ui)
    assert not listens(console)
    assert "uperse" not in (home / "dev.log").read_text()
