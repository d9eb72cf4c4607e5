"""Applies to the warehouse the prunings that the state database holds, so that a rebuilt one is pruned as before.

The state is the truth: which landing files a pruning closed, which of their lines stay, and what it counted. The tables
``prunings``, ``pruned_drops`` and those of ``COUNTED`` of the warehouse are a mirror, written in the
transaction that removes the evidence. Order and crashes: docs/decisions/0022-state-database.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

import sqlalchemy as sa

from cavra_pipeline.documents import naive_utc
from cavra_pipeline.proof.segments import mark_segments
from cavra_pipeline.retention.horizon import PACKAGE
from cavra_pipeline.state import State
from cavra_pipeline.state.tables import pruned_drops, prunings
from cavra_pipeline.warehouse import Rows, Session, Warehouse
from cavra_pipeline.warehouse.lane_days import count_lane_days
from cavra_pipeline.warehouse.retry_links import relink

_DROPS: Final = {
    "pruning_number": "BIGINT", "drop_day": "DATE", "file_name": "VARCHAR", "record_count": "BIGINT",
    "quarantined_count": "BIGINT", "finding_count": "BIGINT", "remaining_lines": "BIGINT[]",
}  # fmt: skip
#: Tables whose rows are stored with the pruning.
COUNTED: Final = ("pruned_lanes", "pruned_providers", "pruned_skips")
_TYPES: Final = {
    "lane": "VARCHAR", "provider": "VARCHAR", "reason": "VARCHAR", "horizon": "TIMESTAMP", "pruned_at": "TIMESTAMP",
    "latest_record_at": "TIMESTAMP",
}  # fmt: skip


def apply_prunings(session: Session, state: State) -> None:
    """Applies in the open transaction each pruning that the warehouse lacks, and gives the state those that it lacks.

    Args:
        session: The warehouse, open for writing: all that was read before a pruning is there.
        state: The state database.
    """
    applied, stored = applied_prunings(session), _stored(state)
    for number in sorted(applied - stored):
        # The state was restored from an older backup.
        pruning, drops, *counted = (
            session.rows(PACKAGE, "pruned_rows", {"number": number}, table=table)
            for table in ("prunings", "pruned_drops", *COUNTED)
        )
        store_pruning(state, pruning[0], drops, dict(zip(COUNTED, counted, strict=True)), number)
    for number in sorted(stored - applied):
        _apply(session, state, number)


def _apply(session: Session, state: State, number: int) -> None:
    with state.reading() as c:
        pruning = dict(c.execute(sa.select(prunings).where(prunings.c.pruning_number == number)).mappings().one())
        drops = c.execute(sa.select(pruned_drops).where(pruned_drops.c.pruning_number == number)).mappings().all()
    with session.staged(staged_drops=Rows(_DROPS, [tuple(drop[name] for name in _DROPS) for drop in drops])):
        _remove(session, naive_utc(pruning["horizon"]))
    counted: dict[str, list[dict[str, Any]]] = pruning.pop("counts")
    pruning |= {name: naive_utc(pruning[name]) for name in ("horizon", "pruned_at")}
    for table, rows in {**counted, "prunings": [pruning]}.items():
        numbered = [{**row, "pruning_number": number} for row in rows]
        if numbered:
            types = {name: _TYPES.get(name, "BIGINT") for name in numbered[0]}
            with session.staged(staged_rows=Rows(types, [tuple(row[name] for name in types) for row in numbered])):
                session.run(PACKAGE, "mirror_rows", table=table)


def finish_prunings(warehouse: Warehouse, state: State) -> None:
    """Has prunings applied that a process which was killed has only stored."""
    if stored := _stored(state):
        with warehouse.reading() as session:
            is_done = applied_prunings(session) == stored
        if not is_done:
            # Whoever opens a warehouse for writing applies them first (``cavra_pipeline.evidence.keeper``).
            with warehouse.writing("apply prunings"):
                pass


def applied_prunings(session: Session) -> frozenset[int]:
    """Returns the numbers of the prunings that the warehouse has."""
    return frozenset(int(str(row["pruning_number"])) for row in session.rows(PACKAGE, "applied_prunings"))


def _stored(state: State) -> set[int]:
    with state.reading() as c:
        return set(c.scalars(sa.select(prunings.c.pruning_number)))


def emptied_files(connection: sa.Connection) -> set[tuple[date, str]]:
    """Returns the landing files of which a pruning has left nothing, by landing day and name."""
    c = pruned_drops.c
    rows = connection.execute(sa.select(c.drop_day, c.file_name, c.remaining_lines).order_by(c.pruning_number))
    remaining = {(day, name): lines for day, name, lines in rows}
    return {key for key, lines in remaining.items() if not lines}


def store_pruning(
    state: State,
    pruning: Mapping[str, Any],
    drops: Iterable[Mapping[str, Any]],
    counted: Mapping[str, Sequence[Mapping[str, Any]]],
    number: int | None = None,
) -> None:
    """Stores a pruning, with the next number unless it has one, in one transaction of the state.

    Args:
        state: The state database.
        pruning: Its horizon, when it was made, and what it removes; instants as the warehouse has them.
        drops: What it removes of each landing file, and the lines that stay.
        counted: What it adds to the counts of each lane, and of each lane and provider: rows by table.
        number: Its number, where the warehouse has given it one.
    """
    aware = {name: pruning[name].replace(tzinfo=UTC) for name in ("horizon", "pruned_at")}
    counts = {
        table: [{name: str(value) if name in _TYPES else value for name, value in row.items()} for row in rows]
        for table, rows in counted.items()
    }
    with state.writing() as c:
        if number is None:
            number = c.execute(sa.select(sa.func.coalesce(sa.func.max(prunings.c.pruning_number), 0) + 1)).scalar_one()
        numbered = {"pruning_number": number}
        c.execute(sa.insert(prunings), {**pruning, **aware, **numbered, "counts": counts})
        if rows := [{**{name: drop[name] for name in _DROPS if name in drop}, **numbered} for drop in drops]:
            c.execute(sa.insert(pruned_drops), rows)


def _remove(session: Session, horizon: datetime) -> None:
    """Removes what the pruning in ``staged_drops`` removed, and what the ingest left out after it."""
    at: dict[str, object] = {"horizon": horizon}
    session.run(PACKAGE, "insert_pruned_drops")
    session.run(PACKAGE, "mark_late", at)
    session.run(PACKAGE, "mark_pruned_lines", at)
    session.run(PACKAGE, "add_older_versions", {**at, "is_new": False})
    session.run(PACKAGE, "mark_duplicated_ids")
    session.run(PACKAGE, "count_late")
    session.run(PACKAGE, "list_changed_segments")
    mark_segments(session)
    session.run(PACKAGE, "delete_marked")
    for table in ("quarantine", "finding_rows"):
        session.run(PACKAGE, "delete_of_closed_days", at, table=table)
    session.run("cavra_pipeline.evidence", "settle_versions")
    count_lane_days(session)
    session.execute("DELETE FROM watched_records")
    session.run(PACKAGE, "fill_watched_records")
    session.run(PACKAGE, "mark_all_subjects")
    session.run("cavra_pipeline.evidence", "settle_subjects")
    session.run(PACKAGE, "mark_all_links")
    relink(session)
