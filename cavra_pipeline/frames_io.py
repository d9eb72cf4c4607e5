"""Tables of a home in another Dagster code location: a resource, an IO manager that loads them, and their specs.

The other location needs this package and the home's folder, and nothing else of ours (docs/pandas.md, "In Dagster").
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Final, Unpack

import dagster as dg

from cavra_pipeline import frames
from cavra_pipeline.errors import UsageError
from cavra_pipeline.jobs import asset_key
from cavra_pipeline.resources import drop_days
from cavra_pipeline.settings import load_settings
from cavra_pipeline.warehouse.questions import Narrowing

if TYPE_CHECKING:
    import pandas as pd

#: What the metadata of an input may ask for.
_NARROWING: Final = ("as_of", "columns")


class CavraFrames(dg.ConfigurableResource["CavraFrames"]):
    """DataFrames of a home, for assets of another code location.

    Attributes:
        home: The home's folder; that of ``CAVRA_HOME`` if empty.
        busy_wait_seconds: How long to wait while the pipeline writes.
    """

    home: str = ""
    busy_wait_seconds: float = 120.0

    def frame(self, table_or_sql: str, **narrowing: Unpack[Narrowing]) -> pd.DataFrame:
        """Returns a table of the warehouse, or the answer to a query; see ``frames.frame``."""
        return frames.warehouse_at(self.home or None, self.busy_wait_seconds).frame(table_or_sql, **narrowing)

    def reports(self, name: str, *, days: Sequence[date | str] | None = None) -> pd.DataFrame:
        """Returns saved reports, one row a day; see ``frames.reports``."""
        return frames.reports(name, home=self.home or None, days=days)


class CavraIOManager(dg.ConfigurableIOManager):
    """Loads an asset of this pipeline as a DataFrame, by the last part of its key: a table, or saved reports.

    Partitions are landing days, or for saved reports their days; an input of one or several partitions has the
    rows of those days, and one without partitions has all. Metadata of the input may narrow it: ``as_of``, ``columns``.

    Attributes:
        home: The home's folder; that of ``CAVRA_HOME`` if empty.
        busy_wait_seconds: How long to wait while the pipeline writes.
    """

    home: str = ""
    busy_wait_seconds: float = 120.0

    def load_input(self, context: dg.InputContext) -> pd.DataFrame:
        """Returns the rows of the input's partitions.

        Raises:
            UsageError: No table and no saved report has that name, or the metadata asks for something else.
        """
        name = context.asset_key.path[-1]
        days = list(context.asset_partition_keys) if context.has_asset_partitions else None
        narrowing = _narrowing_of(name, context.definition_metadata)
        tables = CavraFrames(home=self.home, busy_wait_seconds=self.busy_wait_seconds)
        if name not in frames.REPORTS:
            return tables.frame(name, days=days, as_of=narrowing.get("as_of"), columns=narrowing.get("columns"))
        if narrowing:
            raise UsageError("a saved report is loaded whole", where=name, remedy="Leave the metadata of the input out")
        return tables.reports(name, days=days)

    def handle_output(self, context: dg.OutputContext, _obj: object) -> None:
        """Refuses: these tables are written by the pipeline alone.

        Raises:
            UsageError: Always.
        """
        raise UsageError(
            "the IO manager only loads; the tables are written by cavra-pipeline alone",
            where=context.asset_key.to_user_string(),
            remedy="Give the asset that you write an IO manager of your own, and its input this one: "
            "AssetIn(input_manager_key=...)",
        )


def _narrowing_of(name: str, metadata: Any) -> dict[str, Any]:
    narrowing = {key: value for key, value in (metadata or {}).items() if not key.startswith("dagster/")}
    for key in narrowing.keys() - set(_NARROWING):
        remedy = f"Use {' or '.join(_NARROWING)}"
        raise UsageError("there is no such metadata of an input", where=f"{name}: {key[:80]}", remedy=remedy)
    # Dagster may hand metadata on in values of its own.
    return {key: getattr(value, "value", value) for key, value in narrowing.items()}


def cavra_tables(
    *names: str, io_manager_key: str = "cavra", partitions: dg.PartitionsDefinition[str] | None = None
) -> list[dg.AssetSpec]:
    """Returns specs of this pipeline's assets for another code location, which loads them with ``CavraIOManager``.

    Args:
        names: Names of tables or saved reports, such as ``deliveries``.
        io_manager_key: Key of the ``CavraIOManager`` among the resources there.
        partitions: Their days; those of ``CAVRA_START_DATE`` up to today if not given.

    Raises:
        UsageError: There is no such table or saved report.
    """
    for name in names:
        if name not in frames.REPORTS and name not in frames.WAREHOUSE_TABLES:
            table_names = (*frames.WAREHOUSE_TABLES, *frames.REPORTS)
            raise UsageError("there is no such table", where=name[:80], remedy=f"Use one of {', '.join(table_names)}")
    settings = load_settings()
    days = partitions or drop_days(settings)
    return [
        dg.AssetSpec(asset_key(settings, name), partitions_def=days).with_io_manager_key(io_manager_key)
        for name in names
    ]
