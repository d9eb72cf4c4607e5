"""Hosts on one machine: network namespaces with an address, a user and a home of their own, and nothing shared."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from tests.support import REPOSITORY

#: The bridge that joins the hosts, and the servers' address on it.
_BRIDGE: Final = "cavra0"
_NETWORK: Final = "10.99.77"
SERVERS: Final = f"{_NETWORK}.1"
_FIRST_USER: Final = 34_000


def needs_networks() -> None:
    """Skips a test where no network namespace can be made."""
    if os.geteuid() != 0 or not (shutil.which("ip") and shutil.which("setpriv")):
        pytest.skip("network namespaces need root, iproute2 and util-linux")


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")


class NetworkHost:
    """One host: commands run in its network, as its user, on its home, with the variables that all hosts share."""

    def __init__(self, number: int, folder: Path, environ: Mapping[str, str]) -> None:
        self.name, self.address = f"cavra-host-{number}", f"{_NETWORK}.{10 + number}"
        self._link, self._user = f"cavra-h{number}", _FIRST_USER + number
        self.home = folder / self.name
        self.home.mkdir(mode=0o700)
        os.chown(self.home, self._user, self._user)
        self._environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", str(REPOSITORY)),
                         "HOME": str(self.home), "CAVRA_HOME": str(self.home / "home"), **environ}  # fmt: skip

    def start(self) -> None:
        """Makes its network and joins it to the others."""
        _ip("netns", "add", self.name)
        _ip("link", "add", self._link, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        _ip("link", "set", self._link, "master", _BRIDGE, "up")
        for words in (("addr", "add", f"{self.address}/24", "dev", "eth0"), ("link", "set", "eth0", "up"),
                      ("link", "set", "lo", "up")):  # fmt: skip
            _ip("-n", self.name, *words)

    def stop(self) -> None:
        """Removes its network."""
        with suppress(RuntimeError):
            _ip("netns", "delete", self.name)

    def plug(self, *, is_in: bool) -> None:
        """Takes its cable out, or puts it back."""
        _ip("link", "set", self._link, "up" if is_in else "down")

    def give(self, content: bytes, name: str) -> Path:
        """Puts a file of its user into its folder, readable for no one else."""
        path = self.home / name
        path.write_bytes(content)
        path.chmod(0o600)
        os.chown(path, self._user, self._user)
        return path

    def run(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs a command of the pipeline on it."""
        as_user = ["setpriv", f"--reuid={self._user}", f"--regid={self._user}", "--clear-groups", "--bounding-set=-all"]
        program = [str(REPOSITORY / ".venv" / "bin" / "python"), "-m", "cavra_pipeline.cli"]
        return subprocess.run(
            ["ip", "netns", "exec", self.name, *as_user, *program, *words],
            env={**self._environ, **variables}, cwd=self.home, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip


@contextmanager
def bridge() -> Iterator[ExitStack]:
    """The network that joins the hosts, with the servers' address on it; yields what is undone at its end."""
    needs_networks()
    with ExitStack() as stack:
        try:
            _ip("link", "add", _BRIDGE, "type", "bridge")
        except RuntimeError as error:
            pytest.skip(str(error))
        stack.callback(_ip, "link", "delete", _BRIDGE)
        _ip("addr", "add", f"{SERVERS}/24", "dev", _BRIDGE)
        _ip("link", "set", _BRIDGE, "up")
        yield stack


class Relay:
    """Listens on the bridge and passes every connection on to a socket: a PostgreSQL that listens on no address."""

    def __init__(self, target: Path) -> None:
        self._target = str(target)
        self._listener = socket.create_server((SERVERS, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Takes no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _pump(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while content := one.recv(65_536):
            other.sendall(content)
    for end in (one, other):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    # The other end is closed by the thread that reads from it.
    one.close()
