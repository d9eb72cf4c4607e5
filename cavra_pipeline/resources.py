"""Resource of assets and sensors: the settings of the home."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import dagster as dg
from pydantic import PrivateAttr

from cavra_pipeline.errors import PipelineError, UsageError
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.evidence.landing_zone import landing_days
from cavra_pipeline.evidence.pseudonym_key import open_home
from cavra_pipeline.settings import Settings, load_settings
from cavra_pipeline.state import State, state_of
from cavra_pipeline.warehouse import Memory, Warehouse

RESOURCE_KEY = "home"
_EARLIEST: Final = date(2025, 1, 1)


@contextmanager
def dagster_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Opens the Dagster instance.

    Raises:
        UsageError: ``DAGSTER_HOME`` names a folder that there is not.
    """
    if not settings.dagster_home.is_dir():
        raise UsageError(
            "there is no such folder",
            where=f"DAGSTER_HOME={settings.dagster_home}",
            remedy="Set the folder of your Dagster instance, or unset it to use the home's own",
        )
    with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        yield instance


def first_partition(settings: Settings) -> date:
    """Returns the first UTC day that is a partition: the setting, or else the day of the first landing files.

    No earlier than 2025, since a record with a wrong date would make thousands of partitions; that day also where
    there are no landing files, as no one knows how old the first ones will be.
    """
    if settings.start_date:
        return settings.start_date
    today = datetime.now(UTC).date()
    try:
        first = next((day for day in landing_days(settings) if _EARLIEST <= day <= today), _EARLIEST)
    except PipelineError:
        return _EARLIEST  # whoever reads the landing files says what is wrong with them
    # The nightly run is about yesterday, also in a home whose first files came today.
    return min(first, today - timedelta(days=1))


def drop_days(settings: Settings) -> dg.DailyPartitionsDefinition:
    """Returns the partitions: UTC days from the first to today."""
    return dg.DailyPartitionsDefinition(start_date=first_partition(settings).isoformat(), end_offset=1)


class Home(dg.ConfigurableResource["Home"]):
    """The folder that holds the landing zone and the warehouse.

    Attributes:
        path: Absolute path of the home.
        busy_wait_seconds: How long to wait for a busy warehouse.
        threads: DuckDB worker threads; 0 for one a core.
        memory_limit: DuckDB memory limit; empty for its default.
        batch_megabytes: Raw evidence parsed at once, in MiB.
    """

    path: str
    busy_wait_seconds: float = 120.0
    threads: int = 0
    memory_limit: str = ""
    batch_megabytes: float = 96.0

    #: Of the run: Dagster makes a new resource for each.
    _memory: Memory = PrivateAttr(default_factory=Memory)

    @classmethod
    def of(cls, settings: Settings) -> "Home":
        """Wraps the settings for Dagster."""
        return cls(
            path=str(settings.home),
            busy_wait_seconds=settings.busy_wait_seconds,
            threads=settings.threads or 0,
            memory_limit=settings.memory_limit or "",
            batch_megabytes=settings.batch_megabytes,
        )

    @property
    def settings(self) -> Settings:
        """The host's settings with those of the run, and the folders and the key of the home made."""
        settings = load_settings().of_home(Path(self.path))
        settings = settings.but(
            busy_wait_seconds=self.busy_wait_seconds,
            threads=self.threads or None,
            memory_limit=self.memory_limit or None,
            batch_megabytes=self.batch_megabytes,
        )
        return open_home(settings)

    @property
    def state(self) -> State:
        """The state database of the home."""
        return state_of(self.settings)

    @property
    def warehouse(self) -> Warehouse:
        """The home's warehouse; the assets of a run share what they work out from the same evidence."""
        return warehouse_of(self.settings, memory=self._memory)
