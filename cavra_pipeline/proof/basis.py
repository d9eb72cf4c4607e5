"""What a report can be proven from: the segments up to its day, and the head of the commit log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from cavra_pipeline.errors import PipelineError
from cavra_pipeline.proof.checkpoint import Checkpoint
from cavra_pipeline.proof.log import checkpoint_of
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.state.tables import segments

_segments = segments.c


@dataclass(frozen=True, slots=True)
class Basis:
    """What a proof is based on.

    Attributes:
        record_count: Records up to the end of the UTC day of the report, as a bundle discloses them.
        day_count: UTC days that have such records.
        checkpoint: The head of the commit log.
        is_signed: Whether the home has a key that signs its checkpoints.
    """

    record_count: int
    day_count: int
    checkpoint: Checkpoint
    is_signed: bool


def basis_of(
    connection: sa.Connection, settings: Settings, as_of: datetime, *, lane: str | None = None
) -> Basis | None:
    """Returns what a report can be proven from; None if nothing was ever ingested.

    Args:
        connection: The state database, open for reading.
        settings: The home.
        as_of: The instant of the report.
        lane: The lane of the report; None for one over all lanes.

    Raises:
        PipelineError: The commit log is damaged.
    """
    head = checkpoint_of(connection)
    if head is None:
        return None
    counted = sa.select(
        sa.func.coalesce(sa.func.sum(_segments.record_count), 0), sa.func.count(sa.distinct(_segments.segment_day))
    ).where(_segments.segment_day <= as_of.astimezone(UTC).date())
    (records, days) = connection.execute(counted.where(_segments.lane == lane) if lane else counted).one()
    return Basis(int(records), days, head, is_signed=settings.signing_key_file is not None)


def basis_of_page(settings: Settings, as_of: datetime) -> Basis | None:
    """Returns what a page over all lanes can be proven from; None too if the commit log is damaged.

    A page is made all the same: ``cavra-pipeline verify --home``, which it names, says what is wrong with the log.
    """
    try:
        with state_of(settings).reading() as connection:
            return basis_of(connection, settings, as_of)
    except PipelineError:
        return None
