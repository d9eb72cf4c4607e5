"""Moves a home's landing zone, state and warehouse to other places, such as shared ones, or back (docs/scale.md).

Landing files and state are copied; the warehouse is made again from the landing files. All is compared with what it was
before the old state is closed: until then, whatever fails, the home is where it was.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from dotenv import dotenv_values

from cavra_pipeline.documents import canonical_json
from cavra_pipeline.errors import PipelineError, UsageError
from cavra_pipeline.evidence.keeper import REQUESTED, warehouse_of
from cavra_pipeline.evidence.landing import list_drops, sidecar_of
from cavra_pipeline.evidence.landing_zone import landing_days, landing_lock, put_file
from cavra_pipeline.evidence.leftovers import scratch_folder
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.health import health_parameters, retry_health_reports
from cavra_pipeline.reports.plan import retry_plans
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.settings import Settings, load_settings
from cavra_pipeline.state import State, state_of
from cavra_pipeline.state.database import close_for_good
from cavra_pipeline.state.leases import running_runs
from cavra_pipeline.state.tables import METADATA
from cavra_pipeline.verify.home import verify_home

ADDRESSES: Final = ("CAVRA_STATE_URL", "CAVRA_WAREHOUSE_URL", "CAVRA_DATA_URL", "CAVRA_LANDING_URL")
_ROWS_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class Moved:
    """What was moved, and what was compared.

    Attributes:
        state: The state database now, without a password.
        warehouse: The warehouse now, without a password.
        landing_zone: The landing zone now.
        file_count: Landing files and sidecars that were copied; 0 where the landing zone stays.
        row_count: Rows of state that were copied; 0 where the state stays.
        record_count: Records of evidence that the warehouse holds.
        report_count: Reports that were made from both warehouses, with the same bytes.
    """

    state: str
    warehouse: str
    landing_zone: str
    file_count: int
    row_count: int
    record_count: int
    report_count: int


def settings_at(file: Path) -> Settings:
    """Returns the settings of this process with the addresses that a file of variables names.

    Raises:
        UsageError: The file can't be read, or an address is not accepted.
    """
    try:
        lines = io.StringIO(file.read_text())
    except (OSError, UnicodeDecodeError):
        raise UsageError("the file can't be read", where=str(file), remedy="Give a file of NAME=VALUE lines") from None
    named = dotenv_values(stream=lines, interpolate=False)
    kept = {name: text for name, text in os.environ.items() if name not in ADDRESSES}
    return load_settings({**kept, **{name: text for name in ADDRESSES if (text := named.get(name))}})


def move(settings: Settings, target: Settings, *, now: datetime) -> Moved:
    """Moves a home; nothing else may use it meanwhile.

    Args:
        settings: The home as it is.
        target: The same home with other addresses of its landing zone, its state or its warehouse.
        now: When that is.

    Raises:
        UsageError: The addresses are those of the home already.
        PipelineError: The other state database or landing zone is not empty, a run is active, something was written
            meanwhile, or what was moved is not the same; the home is as it was, and what was made at the other
            addresses can be removed.
    """
    old, new = state_of(settings), state_of(target)
    moves_state = old.url != new.url
    moves_warehouse = _warehouse_address(settings) != _warehouse_address(target)
    moves_landing = settings.landing_place != target.landing_place
    if not (moves_state or moves_warehouse or moves_landing):
        raise UsageError(
            "the home is there already", where="the addresses", remedy=f"Name others: {', '.join(ADDRESSES)}"
        )
    copied = _copy(old, new) if moves_state else {}
    file_count = _copy_landing_zone(settings, target) if moves_landing else 0
    if moves_warehouse:
        warehouse_of(target).remake(REQUESTED)
    verified = verify_home(target, now=now)
    if verified.differences:
        raise _differs(f"{len(verified.differences)} differences, the first: {verified.differences[0].what}", target)
    reports, made_there = _reports(settings, now), _reports(target, now)
    if different := [name for name, report in reports.items() if made_there[name] != report]:
        raise _differs(f"{different[0]} is another there", target)
    if moves_state:
        _close(old, copied)
    return Moved(
        new.where,
        warehouse_of(target).where,
        target.landing_place,
        file_count,
        sum(map(len, copied.values())),
        verified.record_count,
        len(reports),
    )


def _warehouse_address(settings: Settings) -> tuple[str | None, str | None]:
    return settings.warehouse_address, settings.data_address


def _copy_landing_zone(settings: Settings, target: Settings) -> int:
    """Copies every landing file and sidecar; returns how many."""
    target.prepare()
    with landing_lock(settings), landing_lock(target):
        if landing_days(target):
            raise PipelineError(
                "the landing zone is not empty",
                where=target.landing_place,
                remedy="Name an empty one, or move away what is there",
            )
        drops = list_drops(settings.landing, pseudonyms_of(settings))
        # A landing file that stands has its sidecar.
        files = [file for drop in drops for file in (sidecar_of(drop.path), drop.path) if file.exists()]
        with scratch_folder(target.landing) as folder:
            for file in files:
                copy = shutil.copy2(file, folder)
                put_file(target, Path(copy), target.landing / file.parent.name / file.name)
    return len(files)


def _copy(old: State, new: State) -> dict[str, list[bytes]]:
    """Copies every row in one transaction; returns the digests of what was copied, table by table."""
    with old.writing() as source, new.writing() as target:
        if runs := running_runs(source):
            raise PipelineError(
                f"{'a run is' if len(runs) == 1 else f'{len(runs)} runs are'} active",
                where=old.where,
                remedy="Stop Dagster, the API and the workers of every host, wait for them, then repeat",
            )
        if any(_digests(target).values()):
            raise PipelineError(
                "the state database is not empty", where=new.where, remedy="Name an empty one, or empty this one"
            )
        for table in METADATA.sorted_tables:
            for rows in source.execute(sa.select(table)).mappings().partitions(_ROWS_AT_ONCE):
                target.execute(sa.insert(table), [dict(row) for row in rows])
        _count_on(target)
        copied = _digests(source)
        if copied != _digests(target):
            raise PipelineError("what was copied reads otherwise", where=new.where, remedy="Report this as a defect")
    return copied


def _count_on(connection: sa.Connection) -> None:
    """Lets PostgreSQL number new rows after those that came with a number; SQLite does so by itself."""
    if connection.dialect.name != "postgresql":
        return
    for table in METADATA.sorted_tables:
        column = table.autoincrement_column
        if column is not None:
            newest = sa.select(sa.func.max(column)).scalar_subquery()
            sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
            connection.execute(sa.select(sa.func.setval(sequence, sa.func.coalesce(newest, 1), newest.is_not(None))))


def _digests(connection: sa.Connection) -> dict[str, list[bytes]]:
    """Digests of the rows of each table, sorted: databases order text differently."""
    return {table.name: sorted(map(_digest, connection.execute(sa.select(table)))) for table in METADATA.sorted_tables}


def _digest(row: sa.Row[Any]) -> bytes:
    return hashlib.sha256(repr(tuple(row)).encode()).digest()


def _reports(settings: Settings, now: datetime) -> dict[str, str]:
    """The health report and the plan of each lane, as text."""
    reports: dict[str, str] = {}
    with warehouse_of(settings).reading() as session:
        for lane in LANES.values():
            (health,) = retry_health_reports(session, lane, health_parameters(lane), instants=[now], now=now)
            (plan,) = retry_plans(session, lane, retry_policy(lane), instants=[now], now=now)
            reports[f"the health report of {lane.name}"] = canonical_json(health)
            reports[f"the retry plan of {lane.name}"] = canonical_json(plan)
    return reports


def _close(old: State, copied: Mapping[str, list[bytes]]) -> None:
    with old.writing() as connection:
        if _digests(connection) != copied:
            raise PipelineError(
                "the state was written to meanwhile",
                where=old.where,
                remedy="Stop Dagster, the API and the workers of every host, empty the other database, then repeat",
            )
        close_for_good(connection)


def _differs(what: str, target: Settings) -> PipelineError:
    return PipelineError(
        f"what was moved is not the same ({what})",
        where=warehouse_of(target).where,
        remedy="The home is where it was: run cavra-pipeline verify --home; empty the other database before you repeat",
    )
