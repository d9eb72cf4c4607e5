"""Compaction: the warehouse is rewritten into a file beside it, which then takes its place.

DuckDB uses the room of replaced rows again but gives none back to the disk, and many small commits leave many small row
groups. What is measured of both: docs/performance.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cavra_pipeline.sql import literal

if TYPE_CHECKING:
    from cavra_pipeline.warehouse.connection import Warehouse


@dataclass(frozen=True, slots=True)
class Compacted:
    """Size of the warehouse file before and after, in bytes."""

    before_bytes: int
    after_bytes: int


def compact(warehouse: Warehouse) -> Compacted:
    """Rewrites the warehouse: every table, view, macro, comment and row as it was, in a file without holes.

    Everybody else waits meanwhile. A failure or a kill at any moment leaves the file as it was.

    Raises:
        WarehouseBusy: Others held it for longer than ``busy_wait_seconds``.
        PipelineError: The file is not a warehouse, or there is no room for the second file.
    """
    with warehouse.replacing("compact") as (session, fresh):
        before = warehouse.path.stat().st_size
        ((name,),) = session.tuples("SELECT current_database()")
        session.execute(f"ATTACH {literal(str(fresh))} AS fresh")
        session.execute(f'COPY FROM DATABASE "{name}" TO fresh')
        session.execute("DETACH fresh")
    return Compacted(before, warehouse.path.stat().st_size)
