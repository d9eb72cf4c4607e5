"""Leases: which runs may send, and who may commit to a lake. A row is held until an instant of the database's clock.

A row of a run that has expired is that of one which was killed, or failed. It stays as long as something depends on it:
an answer that is not recorded yet, or a command that may be repeated.
"""

from __future__ import annotations

import os
import random
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa

from cavra_pipeline.errors import PipelineError, TransientError, UsageError
from cavra_pipeline.state.database import State
from cavra_pipeline.state.tables import leases, now_ms

#: A run that was killed blocks what it claimed for so long. One request, with the default limits, takes 35 s at most.
LEASE_SECONDS: Final = 90.0
#: A writer of a lake that was killed keeps the others waiting for so long; one that is only slow loses nothing else.
COMMIT_SECONDS: Final = 20.0
#: No id of a run begins so.
_COMMITTER: Final = "commit:"
_RENEWALS: Final = 3
_POLL_SECONDS: Final = 0.1
#: Shortest and longest wait of a writer before it asks again whether it is its turn.
_TURN_SECONDS: Final = (0.02, 0.2)
_RUN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")


class LeaseLost(TransientError):
    """The run did not renew its lease in time: another may have taken over what it claimed."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease of a run, while its block is open.

    Attributes:
        run_id: The run.
        state: The state database.
        seconds: How long it lasts unless it is renewed.
    """

    run_id: str
    state: State
    seconds: float
    _ended: threading.Event = field(default_factory=threading.Event)

    def renew(self) -> None:
        """Extends the lease by its whole length from now.

        Raises:
            LeaseLost: It has expired.
        """
        extended = (
            sa.update(leases)
            .where(leases.c.run_id == self.run_id, leases.c.expires_ms > now_ms())
            .values(expires_ms=now_ms() + int(self.seconds * 1000))
        )
        with self.state.writing() as connection:
            is_held = connection.execute(extended).rowcount == 1
        if not is_held:
            raise LeaseLost(
                "the run did not renew its lease in time; another run may have taken over what it claimed",
                where=f"run {self.run_id}",
                remedy="Run the worker again; what is not settled is sent under the same ids",
            )

    def keep(self) -> None:
        """Renews the lease until the block ends; the next send or commit finds out if that fails."""
        while not self._ended.wait(self.seconds / _RENEWALS):
            with suppress(PipelineError):
                self.renew()

    def end(self) -> None:
        """Stops the renewals."""
        self._ended.set()


@contextmanager
def leased(state: State, run_id: str) -> Iterator[Lease]:
    """Holds a lease for the run while the block is open. If the block fails, the row stays, expired.

    Raises:
        UsageError: The id is not accepted.
        PipelineError: A run of that id is running.
    """
    checked_run_id(run_id)
    with state.writing() as connection:
        if run_id in running_runs(connection):
            raise PipelineError(
                "a run of that id is running", where=f"run {run_id}", remedy="Give each run an id of its own"
            )
        connection.execute(sa.delete(leases).where(leases.c.run_id == run_id))
        connection.execute(sa.insert(leases).values(run_id=run_id, expires_ms=now_ms() + int(LEASE_SECONDS * 1000)))
    ended = sa.update(leases).values(expires_ms=0)
    lease = Lease(run_id, state, LEASE_SECONDS)
    try:
        with _renewed(lease):
            yield lease
        ended = sa.delete(leases)  # type: ignore[assignment]
    finally:
        _end(lease, ended)


@contextmanager
def committing(state: State, act: str, deadline: float, busy: Callable[[str], PipelineError]) -> Iterator[Lease]:
    """Holds the lease of whoever commits to the lake while the block is open: one at a time, of all hosts.

    Args:
        state: The state database that all of them share.
        act: What the caller does, for whoever has to wait for it.
        deadline: Until when to wait, by ``time.monotonic``.
        busy: Makes the error that is raised then, from the words about the holder.

    Raises:
        PipelineError: The state database can't be reached, or ``busy`` has made one.
    """
    holder = f"process {os.getpid()} of {socket.gethostname()} ({act})"
    lease = Lease(f"{_COMMITTER}{secrets.token_hex(8)} {holder}", state, COMMIT_SECONDS)
    while (other := _take_turn(lease)) is not None:
        if time.monotonic() >= deadline:
            raise busy(other)
        time.sleep(random.uniform(*_TURN_SECONDS))  # noqa: S311 -- jitter
    try:
        with _renewed(lease):
            yield lease
    finally:
        _end(lease, sa.delete(leases))


def _take_turn(lease: Lease) -> str | None:
    """Takes the committer's lease; returns who holds it, if somebody does."""
    query = sa.select(leases.c.run_id).where(leases.c.run_id.startswith(_COMMITTER), leases.c.expires_ms > now_ms())
    with lease.state.reading() as connection:
        holder = connection.scalar(query)
    if holder is None:
        with lease.state.writing() as connection:
            holder = connection.scalar(query)
            if holder is None:
                connection.execute(sa.delete(leases).where(leases.c.run_id.startswith(_COMMITTER)))
                expires_ms = now_ms() + int(lease.seconds * 1000)
                connection.execute(sa.insert(leases).values(run_id=lease.run_id, expires_ms=expires_ms))
    return None if holder is None else str(holder).partition(" ")[2]


@contextmanager
def _renewed(lease: Lease) -> Iterator[None]:
    """Renews the lease from a thread while the block is open."""
    thread = threading.Thread(target=lease.keep, name=f"lease-{lease.run_id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        lease.end()
        thread.join()


def _end(lease: Lease, ended: sa.Update | sa.Delete) -> None:
    # Where the database is gone too, what went wrong first is what the caller is told: the lease expires by itself.
    with suppress(PipelineError), lease.state.writing() as connection:
        connection.execute(ended.where(leases.c.run_id == lease.run_id))


def running_runs(connection: sa.Connection) -> frozenset[str]:
    """Returns the runs that hold a lease now."""
    return frozenset(connection.scalars(sa.select(leases.c.run_id).where(leases.c.expires_ms > now_ms())))


def ended_early(connection: sa.Connection) -> frozenset[str]:
    """Returns the runs that were killed or failed, and that something may still depend on."""
    return frozenset(connection.scalars(sa.select(leases.c.run_id).where(leases.c.expires_ms <= now_ms())))


def wait_for(state: State, run_id: str, *, seconds: float) -> None:
    """Waits until a run has ended, so long at most."""
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        with state.reading() as connection:
            if run_id not in running_runs(connection):
                return
        time.sleep(_POLL_SECONDS)


def checked_run_id(run_id: str) -> str:
    """Returns the id if a run may have it.

    Raises:
        UsageError: It may not.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise UsageError("the value is not accepted", where="run_id", remedy="Use 1 to 100 letters, digits, - and _")
    return run_id
