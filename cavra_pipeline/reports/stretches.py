"""Parts instants into lists that one statement may answer, where a retry has its own subject (contract section 4a).

A statement attributes retries by every link up to its last instant. An instant between the first record of a retry's
subject and the link to what it retries needs a statement of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.lanes import Lane
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.reports"


def stretches(session: Session, lanes: Iterable[Lane], instants: Sequence[datetime]) -> list[list[datetime]]:
    """Parts ascending instants, in UTC without a zone, into lists that one statement over lanes may answer together."""
    apart: set[datetime] = set()
    for lane in lanes if instants else ():
        if lane.retries_have_new_subjects:
            rows: list[dict[str, Any]] = session.rows(
                _PACKAGE, "unlinked_instants", {"lane": lane.name, "instants": list(instants)}
            )
            apart.update(instants[row["number"] - 1] for row in rows)
    together = sorted(set(instants) - apart)
    return [part for part in (together, *([at] for at in sorted(apart))) if part]
