"""Leases: which runs may send. A run holds a row until an instant of the database's clock, and renews it.

A row that has expired is that of a run which was killed, or failed. It stays as long as something depends on it: an
answer that is not recorded yet, or a command that may be repeated.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa

from cavra_pipeline.errors import PipelineError, TransientError, UsageError
from cavra_pipeline.state import State
from cavra_pipeline.state.tables import leases, now_ms

#: A run that was killed blocks what it claimed for so long. One request, with the default limits, takes 35 s at most.
LEASE_SECONDS: Final = 90.0
_RENEWALS: Final = 3
_POLL_SECONDS: Final = 0.1
_RUN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")


class LeaseLost(TransientError):
    """The run did not renew its lease in time: another may have taken over what it claimed."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease of a run, while its block is open.

    Attributes:
        run_id: The run.
        state: The state database.
    """

    run_id: str
    state: State
    _ended: threading.Event = field(default_factory=threading.Event)

    def renew(self) -> None:
        """Extends the lease by its whole length from now.

        Raises:
            LeaseLost: It has expired.
        """
        extended = (
            sa.update(leases)
            .where(leases.c.run_id == self.run_id, leases.c.expires_ms > now_ms())
            .values(expires_ms=now_ms() + int(LEASE_SECONDS * 1000))
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
        """Renews the lease until the block ends; the next send finds out if that fails."""
        while not self._ended.wait(LEASE_SECONDS / _RENEWALS):
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
    lease = Lease(run_id, state)
    thread = threading.Thread(target=lease.keep, name=f"lease-{run_id}", daemon=True)
    thread.start()
    ended = sa.update(leases).values(expires_ms=0)
    try:
        yield lease
        ended = sa.delete(leases)  # type: ignore[assignment]
    finally:
        lease.end()
        thread.join()
        # Where the database is gone too, what went wrong first is what the caller is told: the lease expires by itself.
        with suppress(PipelineError), state.writing() as connection:
            connection.execute(ended.where(leases.c.run_id == run_id))


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
