"""The recovery retry worker of each lane as an asset: live in the lanes that the host names, else dry.

The assets take no configuration: whoever starts the run, it does what the schedule would do (contract section 8).
"""

import uuid
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg

from cavra_pipeline.assets.evidence import day_metadata
from cavra_pipeline.assets.links import console
from cavra_pipeline.assets.metadata import table
from cavra_pipeline.assets.registry import KINDS, WAREHOUSE_POOL, owners_of, transient_retried
from cavra_pipeline.assets.slots import fresh_for
from cavra_pipeline.assets.tables import ROW_COUNT, column_lineage, warehouse_table
from cavra_pipeline.evidence.queries import day_counts
from cavra_pipeline.jobs import WORKER_TAG, asset_key
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.resources import Home
from cavra_pipeline.retry.sender import open_sender
from cavra_pipeline.retry.worker import WorkerRequest, run_worker
from cavra_pipeline.settings import Settings

#: What the worker reads besides its plan.
_READ: Final = ("acknowledgements", "deliveries", "executions")
#: Tables of which every run writes rows, and those of which one that executes retries does.
_WRITTEN_DRY: Final = ("worker_runs", "retry_plans")
_WRITTEN: Final = (*_WRITTEN_DRY, "executions", "deliveries")


def build_worker_assets(settings: Settings) -> Sequence[dg.AssetsDefinition]:
    """Returns the worker of each lane; it works on now, so it has no partitions."""
    return [_worker_asset(lane, settings) for lane in LANES.values()]


def _worker_asset(lane: Lane, host: Settings) -> dg.AssetsDefinition:
    @dg.asset(
        key=asset_key(host, f"{lane.name}_retry_worker"),
        group_name=lane.name,
        description="One run of the recovery retry worker: plans, selects, and sends if the host names the lane live.",
        deps=[asset_key(host, name) for name in (f"{lane.name}_retry_plan", *_READ)],
        owners=owners_of(host, lane.name),
        kinds=KINDS,
        tags=WORKER_TAG,
        metadata={**warehouse_table(host, "worker_runs"), **console(host, "worker", lane), **_writes(host)},
        pool=WAREHOUSE_POOL,
        freshness_policy=fresh_for(lane),
    )
    def retry_worker_asset(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:  # type: ignore[type-arg]  # read at run time
        settings = home.settings
        request = WorkerRequest(lane=lane, policy=retry_policy(lane), is_live=lane.name in settings.live_lanes)
        # A live run that stops half-way has sent something: the next scheduled run goes on, not this step once more.
        patience = nullcontext() if request.is_live else transient_retried()
        with patience:
            sender = open_sender(settings, clock=_now)
            document = run_worker(settings, request, sender, clock=_now, run_id=uuid.uuid4().hex)
        _show_written(context, home, document)
        context.log.info(
            "%s run: %d of %d due retries selected",
            "dry" if document["dry_run"] else "live",
            document["selected_retry_count"],
            document["retryable_count"],
        )
        return dg.MaterializeResult(metadata=_metadata(document, lane))

    return retry_worker_asset


def _writes(host: Settings) -> dict[str, Any]:
    """Links to the tables that the worker writes. As dependencies they would be a circle: it reads them too."""
    return {f"writes_{name}": dg.MetadataValue.asset(asset_key(host, name)) for name in _WRITTEN}


def _show_written(context: dg.AssetExecutionContext, home: Home, document: Mapping[str, Any]) -> None:
    """Materialises each table that the run wrote rows of; the run is done, so a failure here is only a warning."""
    today = _now().date()
    try:
        with home.warehouse.reading() as session:
            counts = day_counts(session, [today])[today]
        for name in _WRITTEN if document["executions"] else _WRITTEN_DRY:
            key = asset_key(home.settings, name)
            context.log_event(
                dg.AssetMaterialization(
                    key,
                    partition=today.isoformat(),
                    metadata={**day_metadata(name, counts), **column_lineage(home.settings, name)},
                )
            )
    except Exception as error:  # noqa: BLE001 -- whatever it is, the run is recorded and must not be made again
        context.log.warning("the tables that the run wrote are not shown: %s", type(error).__name__)


def _now() -> datetime:
    return datetime.now(UTC)


def _metadata(document: Mapping[str, Any], lane: Lane) -> dict[str, Any]:
    sent = {(e[lane.subject_field], e["provider"]): e for e in document["executions"]}
    rows: list[tuple[Any, ...]] = []
    for decision in document["selected_retries"]:
        outcome = sent.get((decision[lane.subject_field], decision["provider"]))
        state = f"{outcome['execution_status']}: {outcome['reason']}" if outcome else "selected, not sent"
        rows.append((decision[lane.subject_field], decision["provider"], state))
    rows += [
        (decision[lane.subject_field], decision["provider"], "waits for an acknowledgement")
        for decision in document["acknowledgement_pending"]
    ]
    rows += [
        (retry[lane.subject_field], retry["provider"], retry["held_because"]) for retry in document["held_retries"]
    ]
    numbers = {name: int(value) for name, value in document.items() if name.endswith("_count")}
    return {
        ROW_COUNT: 1,
        "run_id": document["run_id"],
        "dry_run": bool(document["dry_run"]),
        "retry_plan_id": document["retry_plan_id"],
        **numbers,
        "connector_problems": "; ".join(
            fault for problem in document["connector_problems"] for fault in problem["faults"]
        )
        or "none",
        "delivered_count": sum(e["execution_status"] == "delivered" for e in document["executions"]),
        "details": table((lane.subject_field, "provider", "state"), rows, "Nothing is due."),
    }
