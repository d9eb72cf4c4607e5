"""The one registry of groups, owners, kinds and pools that assets may name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import dagster as dg

from cavra_pipeline.errors import TransientError, UsageError
from cavra_pipeline.jobs import DASHBOARD_GROUP, HISTORY_GROUP, INGEST_GROUP, SOURCE_GROUP
from cavra_pipeline.lanes import LANES
from cavra_pipeline.settings import Settings

#: Every group an asset may be in, and what belongs there.
GROUPS: Final[dict[str, str]] = {
    SOURCE_GROUP: "Where evidence comes from: stores, folders, files and APIs of sources.yaml.",
    INGEST_GROUP: "Redacted evidence as it came in, cut to its allowlist.",
    **{name: f"Retry plan and retry health of the {name} lane." for name in LANES},
    DASHBOARD_GROUP: "Counts and the executive report over all lanes.",
    HISTORY_GROUP: "Whether the home still holds what it was made from.",
}

KINDS: Final = {"duckdb", "python"}
#: The executive report is made from the warehouse and written as files.
PAGE_KINDS: Final = {"duckdb", "json", "html"}

#: One writer at a time: Dagster queues on it where the instance sets a limit; the warehouse's own gate always holds.
#: An instance has one list of pools for all its code locations.
WAREHOUSE_POOL: Final = "cavra_warehouse"


def report_kinds(settings: Settings) -> set[str]:
    """Returns the kinds of saved reports: made from the warehouse, saved in the state database."""
    return {*KINDS, settings.state_url.partition(":")[0].partition("+")[0]}


def owners_of(settings: Settings, group: str) -> list[str]:
    """Returns the owners of a group's assets: those that the settings name for the group, or for all."""
    return list(settings.group_owners.get(group, settings.owners))


def check_groups(settings: Settings) -> None:
    """Passes only if owners are named for groups that there are.

    Raises:
        UsageError: Owners are named for another group.
    """
    for group in sorted(settings.group_owners.keys() - GROUPS.keys()):
        raise UsageError(
            "there is no such group of assets",
            where=f"CAVRA_OWNER_{group.upper()}",
            remedy=f"Name one of {', '.join(GROUPS)}, or unset it",
        )


#: A step tries what is transient so often again, after so many seconds; the warehouse's own wait comes before.
_RETRIES: Final = 2
_RETRY_SECONDS: Final = 5


@contextmanager
def transient_retried() -> Iterator[None]:
    """Has Dagster try the step again where the error is one that waiting may cure; any other fails it at once."""
    try:
        yield
    except TransientError as error:
        raise dg.RetryRequested(max_retries=_RETRIES, seconds_to_wait=_RETRY_SECONDS) from error
