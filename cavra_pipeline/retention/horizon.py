"""The horizon: what was created before it has been pruned. Which questions can still be answered, and which not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from cavra_pipeline.documents import instant, naive_utc
from cavra_pipeline.errors import UsageError
from cavra_pipeline.warehouse import Session

PACKAGE: Final = "cavra_pipeline.retention"
#: The state just before the horizon is known too: all that it is based on stays.
_JUST_BEFORE: Final = timedelta(microseconds=1)
_NOTHING: Final = timedelta()


def horizon_of(session: Session) -> datetime | None:
    """Returns the horizon in force, UTC without a zone, or None if nothing was ever pruned."""
    cache, key = session.cache(), (PACKAGE, "horizon")
    if key not in cache:
        cache[key] = session.rows(PACKAGE, "horizon")[0]["horizon"]
    horizon: datetime | None = cache[key]
    return horizon


@dataclass(frozen=True, slots=True)
class Closed:
    """Landing files that are not read again: of days before the horizon, or with evidence from before it."""

    horizon: datetime | None
    drops: frozenset[tuple[object, object]] = frozenset()

    def holds(self, day: date, file_name: str) -> bool:
        """Returns whether a landing file is closed."""
        return self.horizon is not None and (day < self.horizon.date() or (day, file_name) in self.drops)


def closed_drops(session: Session) -> Closed:
    """Returns which landing files are closed; none if nothing was ever pruned."""
    horizon = horizon_of(session)
    if horizon is None:
        return Closed(None)
    rows = session.rows(PACKAGE, "closed_drops")
    return Closed(horizon, frozenset((row["drop_day"], row["file_name"]) for row in rows))


def earliest_answerable(horizon: datetime, looks_back: timedelta = _NOTHING) -> datetime:
    """Returns the first instant that can be asked about by a question which looks back so far; UTC without a zone."""
    return horizon + looks_back - _JUST_BEFORE


def answerable_days(
    session: Session, moment_of: Mapping[date, datetime], *, looks_back: timedelta = _NOTHING
) -> list[date]:
    """Returns the days that can still be judged, each at its moment.

    Raises:
        UsageError: None of them can.
    """
    horizon = horizon_of(session)
    if horizon is None:
        return list(moment_of)
    earliest = earliest_answerable(horizon, looks_back)
    days = [day for day, moment in moment_of.items() if naive_utc(moment) >= earliest]
    if not days:
        require_answerable(session, list(moment_of.values()), looks_back=looks_back)
    return days


def require_answerable(
    session: Session, instants: Sequence[datetime], *, looks_back: timedelta = _NOTHING
) -> datetime | None:
    """Lets a question through only if pruning has left all that its answer is based on.

    Args:
        session: An open warehouse.
        instants: The instants it is asked for.
        looks_back: How far back its counts reach.

    Returns:
        The horizon, UTC without a zone, or None if nothing was ever pruned.

    Raises:
        UsageError: The evidence is not there any more.
    """
    horizon = horizon_of(session)
    if horizon is None or not instants:
        return horizon
    first, earliest = min(naive_utc(at) for at in instants), earliest_answerable(horizon, looks_back)
    if first < earliest:
        raise UsageError(
            f"this is based on evidence created before {horizon.date()}, which has been pruned",
            where=f"as_of {instant(first)}",
            remedy=f"Ask as of {instant(earliest)} or later; saved reports of earlier days can still be read",
        )
    return horizon
