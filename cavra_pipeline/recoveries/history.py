"""Recoveries as playbooks and closures tell them (contract section 11): when each opened, closed and opened again.

What belongs here: whether a recovery is open, and past its limit. What to do about one is decided elsewhere.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from cavra_pipeline.errors import Accepts
from cavra_pipeline.lanes import CLOSED_STATES
from cavra_pipeline.warehouse import Session

PACKAGE: Final = "cavra_pipeline.recoveries"
DEFAULT_SLO_MINUTES: Final = 240
MAX_SLO_MINUTES: Final = 525_600
#: The state of a recovery of which nothing was said yet.
OPEN: Final = "open"


class RecoveryParameters(BaseModel):
    """What recoveries are judged by. The API, the command line and run configuration take the same field."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    slo_minutes: Annotated[int, Field(ge=1, le=MAX_SLO_MINUTES), Accepts()] = Field(
        default=DEFAULT_SLO_MINUTES,
        description="How long a recovery may be open, in minutes.",
        examples=[DEFAULT_SLO_MINUTES],
    )


@dataclass(frozen=True, slots=True)
class Closure:
    """A recorded state of a recovery; instants are UTC without a zone, as in the warehouse."""

    at: datetime
    playbook_id: str
    provider: str
    state: str
    external_ref: str | None = None
    closure_id: str | None = None
    signer: str | None = None


def _said_by(closures: Sequence[Closure], at: datetime) -> Sequence[Closure]:
    """Returns the closures, in order, that were recorded by an instant."""
    return closures[: bisect_right(closures, at, key=lambda closure: closure.at)]


@dataclass(frozen=True, slots=True)
class OpenInterval:
    """A time for which a recovery was open; ``ended_at`` is None while it is. Reopened, ``number`` is over 1."""

    started_at: datetime
    ended_at: datetime | None
    number: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """One entry of a playbook.

    Attributes:
        opened_at: When its playbook was written.
        playbook_id: Its playbook.
        provider: The connector that is broken.
        category: Kind of connector.
        failure_count: Failed deliveries, as the playbook counts them.
        closures: What was said of it, in order.
    """

    opened_at: datetime
    playbook_id: str
    provider: str
    category: str | None
    failure_count: int | None
    closures: Sequence[Closure] = ()

    def newest_closure(self, at: datetime) -> Closure | None:
        """Returns the closure that decides at an instant, or None if nothing was said by then."""
        return next(reversed(_said_by(self.closures, at)), None)

    def ticket(self, at: datetime) -> str | None:
        """Returns the ticket that was named last by an instant, or None."""
        said = reversed(_said_by(self.closures, at))
        return next((closure.external_ref for closure in said if closure.external_ref), None)

    def closed_at(self, at: datetime) -> datetime | None:
        """Returns since when it is closed, as an instant sees it; None if it is open."""
        newest = self.newest_closure(at)
        return newest.at if newest and newest.state in CLOSED_STATES else None

    def is_past_limit(self, at: datetime, slo: timedelta) -> bool:
        """Returns whether it is open and older than its limit; reopening does not restart its age."""
        return at - self.opened_at > slo and self.closed_at(at) is None

    def open_intervals(self, at: datetime) -> list[OpenInterval]:
        """Returns the times for which it was open, as an instant sees them; one closed at once was open for no time."""
        intervals: list[OpenInterval] = []
        since: datetime | None = self.opened_at
        for closure in _said_by(self.closures, at):
            moment = max(closure.at, self.opened_at)
            if closure.state in CLOSED_STATES:
                if since is not None:
                    intervals.append(OpenInterval(since, moment, len(intervals) + 1))
                since = None
            elif since is None:
                since = moment
        if since is not None:
            intervals.append(OpenInterval(since, None, len(intervals) + 1))
        return intervals


@dataclass(frozen=True, slots=True)
class RecoveryHistory:
    """Every recovery and closure up to an instant, and when every playbook was written.

    Attributes:
        recoveries: In order of opening.
        closures: Every closure that is held, in order; of unknown playbooks and of later instants too.
        playbooks: When each playbook that is held was written, in order.
    """

    recoveries: Sequence[Recovery]
    closures: Sequence[Closure]
    playbooks: Sequence[datetime]

    def opened(self, at: datetime) -> Sequence[Recovery]:
        """Returns the recoveries that had opened at an instant."""
        return self.recoveries[: bisect_right(self.recoveries, at, key=lambda recovery: recovery.opened_at)]

    def said(self, at: datetime) -> Sequence[Closure]:
        """Returns the closures of an instant."""
        return _said_by(self.closures, at)

    def playbook_count(self, at: datetime) -> int:
        """Counts the playbooks of an instant; without any, nothing is known of recoveries."""
        return bisect_right(self.playbooks, at)


def recovery_history(session: Session, until: datetime) -> RecoveryHistory:
    """Reads every recovery that opened up to an instant, UTC without a zone, and what was ever said of it."""
    closures = [Closure(**row) for row in session.stream(PACKAGE, "closures")]
    of: defaultdict[tuple[str, str], list[Closure]] = defaultdict(list)
    for closure in closures:
        of[closure.playbook_id, closure.provider].append(closure)
    recoveries = [
        Recovery(**row, closures=tuple(of.get((row["playbook_id"], row["provider"]), ())))
        for row in session.stream(PACKAGE, "openings", {"until": until})
    ]
    playbooks = [row["created_at"] for row in session.stream(PACKAGE, "playbooks")]
    return RecoveryHistory(recoveries, closures, playbooks)
