"""The one registry of groups, owners, kinds and pools that assets may name."""

from __future__ import annotations

from typing import Final

from cavra_pipeline.jobs import DASHBOARD_GROUP, INGEST_GROUP, SOURCE_GROUP
from cavra_pipeline.lanes import LANES

#: Every group an asset may be in, and what belongs there.
GROUPS: Final[dict[str, str]] = {
    SOURCE_GROUP: "Where evidence comes from: stores, folders, files and APIs of sources.yaml.",
    INGEST_GROUP: "Redacted evidence as it came in, cut to its allowlist.",
    **{name: f"Retry plan and retry health of the {name} lane." for name in LANES},
    DASHBOARD_GROUP: "Counts and the executive report over all lanes.",
}

OWNERS: Final = ["team:release-operations"]
KINDS: Final = {"duckdb", "python"}

#: One writer at a time: Dagster queues on it where the instance sets a limit; the warehouse's own gate always holds.
WAREHOUSE_POOL: Final = "warehouse"
