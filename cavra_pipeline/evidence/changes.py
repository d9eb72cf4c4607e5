"""From when on commits have changed evidence: reports as of a later instant must be made again.

Each commit writes a row into ``evidence_changes`` of the warehouse, in its own transaction. After it the keeper notes
the change in the state, together with the number of the commit, so that it is noted once.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from cavra_pipeline.state import State
from cavra_pipeline.state.tables import evidence_changes
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.evidence"
_c: Final = evidence_changes.c


def write_change(session: Session) -> None:
    """Writes down from when on the open commit has changed evidence, if it has; for ``commit``, after its versions."""
    (replaced,) = session.rows(_PACKAGE, "is_replaced")
    session.run(_PACKAGE, "write_change" if replaced["is_replaced"] else "write_first_change")


def sum_up_changes(session: Session, commit_number: int) -> None:
    """Sums up, in the open transaction, the changes up to the last commit that the state knows."""
    session.run(_PACKAGE, "sum_up_changes", {"commit_number": commit_number})
    session.run(_PACKAGE, "remove_summed_changes", {"commit_number": commit_number})


def changes_after(session: Session, commit_number: int) -> list[dict[str, Any]]:
    """Returns the changes after the last commit that the state knows."""
    return session.rows(_PACKAGE, "changes_after", {"after": commit_number})


def note_changes(connection: sa.Connection, earliest: Iterable[datetime]) -> None:
    """Notes changes in the open transaction of the state.

    Args:
        connection: Open for writing.
        earliest: Of each change the earliest instant that it concerns, as the warehouse has it.
    """
    for moment in earliest:
        aware, number = moment.replace(tzinfo=UTC), _newest(connection) + 1
        # A later change that reaches as far back says all that an earlier one does.
        connection.execute(sa.delete(evidence_changes).where(_c.earliest >= aware))
        connection.execute(sa.insert(evidence_changes).values(change_number=number, earliest=aware))


def newest_change(state: State) -> int:
    """Returns the number of the newest change that is noted; evidence that is read afterwards includes it."""
    with state.reading() as connection:
        return _newest(connection)


def _newest(connection: sa.Connection) -> int:
    return int(connection.scalar(sa.select(sa.func.max(_c.change_number))) or 0)
