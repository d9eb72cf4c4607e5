"""Parts instants into lists that one statement may answer, where a retry has its own subject (contract section 4a).

A statement attributes retries by every link up to its last instant. An instant between the first record of a retry's
subject and the link to what it retries needs a statement of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.lanes import Lane
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.reports"


def stretches(session: Session, lane: Lane, asked: Sequence[datetime]) -> list[list[datetime]]:
    """Parts ascending instants, in UTC without a zone, into lists that one statement may answer together."""
    if not lane.retries_have_new_subjects:
        return [list(asked)]
    unlinked: list[dict[str, Any]] = session.rows(_PACKAGE, "unlinked_spans", {"lane": lane.name, "until": asked[-1]})
    apart = [at for at in asked if any(span["since"] <= at < span["linked_at"] for span in unlinked)]
    together = sorted(set(asked) - set(apart))
    return [part for part in (together, *([at] for at in apart)) if part]
