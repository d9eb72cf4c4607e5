"""Works through coming worker runs under one assumption (contract section 15). No evidence is read here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta


@dataclass(slots=True)
class SimulatedPair:
    """A pair as the coming runs find it, and what they make of it; in the plan's order.

    Attributes:
        retry_count: Its failures.
        due_at: When its delay has passed.
        has_connector: Without one a run selects it once per failure and skips it.
        is_skipped: Whether that has happened for its newest failure.
        first_tried_at: The first run that tried it.
        ended_at: The run that exhausted it, or delivered it.
    """

    retry_count: int
    due_at: datetime
    has_connector: bool = True
    is_skipped: bool = False
    first_tried_at: datetime | None = None
    ended_at: datetime | None = None

    def is_due(self, at: datetime) -> bool:
        """Returns whether a run at that instant could select it."""
        return self.ended_at is None and not self.is_skipped and self.due_at <= at


@dataclass(frozen=True, slots=True)
class Ladder:
    """Limits of the simulated runs.

    Attributes:
        delays: The delay after the first failure, the second and so on; one more failure exhausts a pair.
        limit: Retries that a run selects at most.
    """

    delays: Sequence[timedelta]
    limit: int


@dataclass(slots=True)
class Simulated:
    """Result of the runs; ``late_by`` is the longest that something due waited for its turn."""

    pairs: list[SimulatedPair]
    queue_peak: int = 0
    late_by: timedelta = field(default_factory=timedelta)


def simulate(
    pairs: Iterable[SimulatedPair],
    runs: Sequence[datetime],
    ladder: Ladder,
    *,
    as_of: datetime,
    until: datetime,
    is_delivered: bool,
) -> Simulated:
    """Works through the runs; every retry is delivered or every retry fails, at its run's instant.

    Args:
        pairs: Those that a run may select, in the plan's order; they are copied.
        runs: Ascending instants.
        ladder: Limits of the runs.
        as_of: Waiting is counted from here on.
        until: Waiting is counted up to here.
        is_delivered: The assumption.
    """
    done = Simulated([replace(pair) for pair in pairs])
    for at in runs:
        due = [pair for pair in done.pairs if pair.is_due(at)]
        done.queue_peak = max(done.queue_peak, len(due))
        for pair in due[: ladder.limit]:
            done.late_by = max(done.late_by, at - max(pair.due_at, as_of))
            if not pair.has_connector:
                pair.is_skipped = True
                continue
            pair.first_tried_at = pair.first_tried_at or at
            pair.retry_count += not is_delivered
            if is_delivered or pair.retry_count > len(ladder.delays):
                pair.ended_at = at
            else:
                pair.due_at = at + ladder.delays[pair.retry_count - 1]
    for pair in done.pairs:
        if pair.is_due(until):
            done.late_by = max(done.late_by, until - max(pair.due_at, as_of))
    return done
