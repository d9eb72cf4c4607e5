"""DataFrames of a home, for notebooks and other programs: ``from cavra_pipeline import frames`` (docs/pandas.md).

Each call opens the warehouse, reads and closes it, so that no one waits for a notebook. Nothing is made or rebuilt.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Unpack

import pyarrow as pa

from cavra_pipeline.documents import write_csv
from cavra_pipeline.errors import UsageError
from cavra_pipeline.lanes import LANES
from cavra_pipeline.private import put_in_place
from cavra_pipeline.reports.store import OVER_ALL_LANES, RETRY_HEALTH, RETRY_PLAN, SavedReports, list_reports
from cavra_pipeline.settings import Settings, load_settings
from cavra_pipeline.state import state_of
from cavra_pipeline.warehouse import Warehouse
from cavra_pipeline.warehouse.catalog import EVIDENCE_RECORDS, TABLES, VIEWS
from cavra_pipeline.warehouse.frames import as_python, in_utc
from cavra_pipeline.warehouse.opening import open_warehouse
from cavra_pipeline.warehouse.questions import Narrowing, as_of_instant, read_table, requested_days

if TYPE_CHECKING:
    import pandas as pd

#: Saved reports by the name of their asset: which report, and of which lane.
REPORTS: Final[dict[str, tuple[str, str | None]]] = {
    **{f"{lane}_{report}": (report, lane) for lane in LANES for report in (RETRY_PLAN, RETRY_HEALTH)},
    **{report: (report, None) for report in OVER_ALL_LANES},
}
#: Tables and views by name, with what they hold.
WAREHOUSE_TABLES: Final = {**VIEWS, **TABLES, "evidence_records": EVIDENCE_RECORDS}

Home = Path | str | None


def frame(table_or_sql: str, *, home: Home = None, **narrowing: Unpack[Narrowing]) -> pd.DataFrame:
    """Returns a table of the warehouse, or the answer to a query, as a DataFrame.

    Args:
        table_or_sql: Name of a table or view (docs/data-dictionary.md), or one SELECT statement.
        home: The home's folder; that of ``CAVRA_HOME`` if not given.
        narrowing: What narrows it: ``as_of``, ``days``, ``columns``, ``parameters``.

    Raises:
        UsageError: There is no such home, table or column, or the query can't be run.
        WarehouseBusy: A writer held the warehouse for longer than ``CAVRA_BUSY_WAIT_SECONDS``.
    """
    return warehouse_at(home).frame(table_or_sql, **narrowing)


def reports(
    name: str,
    *,
    home: Home = None,
    as_of: datetime | str | None = None,
    days: date | str | Iterable[date | str] | None = None,
) -> pd.DataFrame:
    """Returns saved reports as a DataFrame: one row for each UTC day, one column for each member of the document.

    Args:
        name: The asset's name, such as ``recovery_escalation_retry_plan`` or ``dashboard``.
        home: The home's folder; that of ``CAVRA_HOME`` if not given.
        as_of: Only reports as of this instant or before.
        days: Only reports of these days; all if not given.

    Returns:
        The reports in the order of their days, ``report_day`` first. Lists of a document are Python lists.

    Raises:
        UsageError: There is no such home or report.
        PipelineError: There is no state database of this release yet; it is neither made nor brought up to date.
    """
    if name not in REPORTS:
        remedy = f"Use one of {', '.join(REPORTS)}; frames.frame reads tables of the warehouse"
        raise UsageError("there is no such saved report", where=name[:80], remedy=remedy)
    report, lane = REPORTS[name]
    until, wanted = as_of_instant(as_of), requested_days(days)
    which = SavedReports(report, lane, first=wanted[0] if wanted else None, last=wanted[-1] if wanted else None)
    rows = list_reports(state_of(_settings(home), is_borrowed=True), which, with_documents=True)
    chosen = [
        row
        for row in reversed(rows)
        if (wanted is None or row["report_day"] in wanted) and (until is None or row["as_of"] <= until)
    ]
    return _documents(chosen)


def write(table_or_sql: str, path: Path | str, *, home: Home = None, **narrowing: Unpack[Narrowing]) -> int:
    """Writes a table, or the answer to a query, to a Parquet or CSV file, in the order that ``frame`` has.

    In CSV, instants are ISO-8601, lists are joined by spaces, and objects are JSON; no cell is taken for a formula.

    Args:
        table_or_sql: Name of a table or view, or one SELECT statement.
        path: The file; its name ends in ``.parquet`` or ``.csv``. One that is there is replaced once all is written.
        home: The home's folder; that of ``CAVRA_HOME`` if not given.
        narrowing: What narrows it: ``as_of``, ``days``, ``columns``, ``parameters``.

    Returns:
        How many rows were written.

    Raises:
        UsageError: The name of the file ends in neither, or what ``frame`` raises.
        PipelineError: The file can't be written; one that was there is as it was.
    """
    path = Path(path)
    save = _FORMATS.get(path.suffix)
    if save is None:
        raise UsageError("the name ends in neither .parquet nor .csv", where=str(path), remedy="Let it end in one")
    with warehouse_at(home).reading() as session:
        answer = read_table(session, table_or_sql, narrowing)
    put_in_place(path, lambda file: save(in_utc(answer), file))
    return int(answer.num_rows)


def warehouse_at(home: Home = None, busy_wait_seconds: float | None = None) -> Warehouse:
    """Returns the warehouse of a home to read from; it is neither made nor rebuilt.

    Raises:
        UsageError: There is no such home.
    """
    settings = _settings(home)
    wait = settings.busy_wait_seconds if busy_wait_seconds is None else busy_wait_seconds
    return open_warehouse(settings.but(busy_wait_seconds=wait), is_borrowed=True)


def _settings(home: Home) -> Settings:
    settings = load_settings()
    if home is not None:
        settings = settings.of_home(Path(home).expanduser().resolve())
    if not settings.home.is_dir():
        raise UsageError(
            "there is no home of cavra-pipeline",
            where=str(settings.home),
            remedy="Set CAVRA_HOME to the folder that holds warehouse.duckdb, or name it: home=...",
        )
    return settings


def _documents(rows: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    names = dict.fromkeys(name for row in rows for name in row["document"])
    columns: dict[str, Any] = {"report_day": pd.Series([row["report_day"] for row in rows], dtype="datetime64[ms]")}
    for name in names:
        values = pd.Series([row["document"].get(name) for row in rows], dtype=object)
        columns[name] = _typed_series(name, values)
    return pd.DataFrame(columns)


def _typed_series(name: str, values: pd.Series[Any]) -> Any:
    """Gives a member of documents its type; what holds lists or objects stays as it is."""
    import pandas as pd

    if any(isinstance(value, list | dict) for value in values):
        return values
    if name == "as_of" or name.endswith("_at"):
        return pd.to_datetime(values, utc=True, format="ISO8601")
    if all(value is None or isinstance(value, str) for value in values):
        return values.astype("str")
    return values.convert_dtypes()


@as_python()
def _csv(table: pa.Table, file: IO[bytes]) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    batches = ([column.to_pylist() for column in batch.columns] for batch in table.to_batches())
    write_csv(text, table.column_names, (row for columns in batches for row in zip(*columns, strict=True)))
    text.flush()
    # The file is closed by whoever opened it.
    text.detach()


@as_python()
def _parquet(table: pa.Table, file: IO[bytes]) -> None:
    from pyarrow import parquet

    parquet.write_table(table, file, compression="zstd")


_FORMATS: Final[Mapping[str, Callable[[pa.Table, IO[bytes]], None]]] = {".parquet": _parquet, ".csv": _csv}
