"""Parts instants into lists that one statement may answer, where a retry has its own subject (contract section 4a).

A statement attributes retries by every link up to its last instant. An instant between the first record of a retry's
subject and the link to what it retries needs a statement of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.reports"


def stretches(session: Session, lane: Lane, asked: Sequence[datetime]) -> list[list[datetime]]:
    """Parts ascending instants, in UTC without a zone, into lists that one statement may answer together."""
    return _parted(session, [lane], asked)


def shared_stretches(session: Session, asked: Sequence[datetime]) -> list[list[datetime]]:
    """Parts ascending instants as `stretches` does, for a statement that reads every lane."""
    return _parted(session, LANES.values(), asked)


def _parted(session: Session, lanes: Iterable[Lane], asked: Sequence[datetime]) -> list[list[datetime]]:
    unlinked: list[dict[str, Any]] = []
    for lane in lanes if asked else ():
        if lane.retries_have_new_subjects:
            unlinked += session.rows(_PACKAGE, "unlinked_spans", {"lane": lane.name, "until": asked[-1]})
    apart = [at for at in asked if any(span["since"] <= at < span["linked_at"] for span in unlinked)]
    together = sorted(set(asked) - set(apart))
    return [part for part in (together, *([at] for at in apart)) if part]
