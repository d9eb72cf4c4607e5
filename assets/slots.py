"""Checks and freshness policies that make missed slots, failed partitions and stale assets red in the Dagster UI."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from cavra_pipeline.desired_state import DESIRED_STATE, SCHEDULE_NAMES, Declared
from cavra_pipeline.failed_partitions import PARTITIONS_CHECK, evaluation_of, failed_partitions
from cavra_pipeline.jobs import SLOTS_CHECK, WHY, asset_key
from cavra_pipeline.lanes import Lane
from cavra_pipeline.reports.cadence import MISSED_AFTER
from cavra_pipeline.reports.store import DASHBOARD
from cavra_pipeline.resources import Home
from cavra_pipeline.settings import Settings
from cavra_pipeline.slots.ledger import newest_verdict
from cavra_pipeline.state import state_of

#: What is made once a day may be this late.
DAILY: Final = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=26), warn_window=timedelta(hours=25))


def fresh_for(lane: Lane) -> dg.FreshnessPolicy:
    """Returns the policy of what a lane's schedule makes: two intervals without it is a failure."""
    interval = timedelta(minutes=lane.expected_interval_minutes)
    return dg.FreshnessPolicy.time_window(fail_window=MISSED_AFTER * interval, warn_window=1.5 * interval)


def build_slot_checks(settings: Settings) -> Sequence[dg.AssetChecksDefinition]:
    """Returns the check on the work of each schedule."""
    return [_slots_check(schedule, settings) for schedule in DESIRED_STATE if schedule.name in SCHEDULE_NAMES]


def _slots_check(schedule: Declared, settings: Settings) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset_key(settings, schedule.work),
        name=SLOTS_CHECK,
        description=f"Passes when the newest scheduled run of {schedule.name} that was judged was not missed.",
    )
    def slots_check(home: Home) -> dg.AssetCheckResult:
        now = datetime.now(UTC)
        with state_of(home.settings).reading() as c:
            newest = newest_verdict(c, schedule.name, after=now - timedelta(days=400), until=now)
        verdict, cause = newest or ("none yet", None)
        return dg.AssetCheckResult(
            passed=verdict != "missed",
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={
                WHY: f"The newest scheduled run of {schedule.name}: {verdict}{f' ({cause})' if cause else ''}",
                "schedule": schedule.name,
                "newest_verdict": verdict,
                "cause": cause,
            },
        )

    return slots_check


def build_partitions_check(
    assets: Sequence[dg.AssetsDefinition | dg.AssetSpec], settings: Settings
) -> dg.AssetChecksDefinition:
    """Returns the check on the partitions of some assets; the sensor of failed runs reports on it without a run."""

    @dg.asset_check(
        asset=asset_key(settings, DASHBOARD),
        name=PARTITIONS_CHECK,
        description="Passes when the newest run of each partition of each asset made it; names those that it did not.",
    )
    def partitions_check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(**evaluation_of(failed_partitions(context.instance, assets)))

    return partitions_check
