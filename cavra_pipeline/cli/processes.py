"""Programs that one command starts together, and ends together: quiet, each writing to one log."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final
from urllib.parse import urlsplit

from cavra_pipeline.errors import PipelineError, UsageError

_ENDS: Final = (signal.SIGINT, signal.SIGTERM)
#: How long a program may take to answer at first, and to end, before it is given up; seconds.
_STARTS_WITHIN: Final = 180
_ENDS_WITHIN: Final = 20
_POLL_SECONDS: Final = 0.5
#: A proxy of the environment is for other machines.
_DIRECTLY: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_SERVER_ERRORS: Final = 500


@dataclass(frozen=True, slots=True)
class Program:
    """A program that serves pages on this machine.

    Attributes:
        name: What messages call it.
        command: The command.
        environ: Its environment.
        address: Where people find it.
        probe: An address that answers once it is ready.
    """

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    address: str
    probe: str


def is_answering(address: str) -> bool:
    """Returns whether something listens at an address of this machine; whoever names another knows it."""
    parts = urlsplit(address)
    if parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        return True
    try:
        socket.create_connection((parts.hostname, parts.port or 80), timeout=1).close()
    except OSError:
        return False
    return True


def require_free(host: str, port: int, option: str) -> None:
    """Passes only if nothing listens on a port yet.

    Raises:
        UsageError: The port is taken, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise UsageError(
                f"it can't listen on {host}:{port} ({error.strerror})",
                where=option,
                remedy="End what uses the port, or name another one",
            ) from None


class Programs:
    """Programs that run together until a signal comes or one of them ends."""

    def __init__(self, programs: Sequence[Program], log: Path) -> None:
        """Takes the programs and the log; nothing runs until they are entered.

        Args:
            programs: The programs.
            log: The file that gets all their output; rewritten at each start.
        """
        self._programs, self._log = programs, log
        self._running: list[tuple[Program, subprocess.Popen[bytes]]] = []
        self._is_over = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Starts the programs, and ends them and all that they started when the block is left.

        One SIGINT or SIGTERM ends the waiting below, also where the shell has set it to be ignored, as it does for
        what is started with `&`.
        """
        with ExitStack() as stack:
            for number in _ENDS:
                stack.callback(signal.signal, number, signal.signal(number, self._end))
            output = stack.enter_context(self._log.open("wb"))
            stack.callback(self._stop)
            for program in self._programs:
                # A session of its own: a Ctrl+C at the terminal reaches this process only, which passes it on once.
                process = subprocess.Popen(
                    program.command,
                    env=dict(program.environ),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
                self._running.append((program, process))
            yield

    def wait_until_ready(self) -> bool:
        """Waits until every program answers; returns whether that is so, or a signal has come.

        Raises:
            PipelineError: A program has ended, or does not answer in time.
        """
        for program in self._programs:
            for _ in range(round(_STARTS_WITHIN / _POLL_SECONDS)):
                self._require_alive()
                if self._is_over.is_set() or _answers(program.probe):
                    break
                self._is_over.wait(_POLL_SECONDS)
            else:
                raise self._failure(program.name, f"does not answer after {_STARTS_WITHIN} s")
        return not self._is_over.is_set()

    def wait(self) -> None:
        """Waits for a signal.

        Raises:
            PipelineError: A program has ended by itself.
        """
        while not self._is_over.wait(_POLL_SECONDS):
            self._require_alive()

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._is_over.set()

    def _require_alive(self) -> None:
        for program, process in self._running:
            if process.poll() is not None and not self._is_over.is_set():
                raise self._failure(program.name, f"has ended with status {process.returncode}")

    def _failure(self, name: str, what: str) -> PipelineError:
        return PipelineError(f"{name} {what}", where=str(self._log), remedy="Read the end of this log")

    def _stop(self) -> None:
        for _, process in self._running:
            if process.poll() is None:
                process.terminate()
        for _, process in self._running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_ENDS_WITHIN)
            # What it has left behind is in its session.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(address: str) -> bool:
    """Returns whether a local address answers with anything but a server error; proxies are bypassed."""
    try:
        with _DIRECTLY.open(address, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        return error.code < _SERVER_ERRORS
    except OSError:
        return False
