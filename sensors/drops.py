"""The drop sensor: new or changed drops in the landing zone are ingested and their days reported on.

It looks at the landing zone only, never at the warehouse, and does bounded work a tick. Drops that the pipeline wrote
itself are in the warehouse already.
"""

import hashlib
import json
from datetime import date
from itertools import groupby
from typing import Final

import dagster as dg

from cavra_pipeline.evidence.landing import Drop, list_drops
from cavra_pipeline.evidence.own import PREFIX
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.jobs import asset_key, sources, workers
from cavra_pipeline.resources import Home
from cavra_pipeline.retention.prune import horizon_day
from cavra_pipeline.sensors.alerting import now_utc
from cavra_pipeline.sensors.location import location_of
from cavra_pipeline.sensors.requests import asked_again, ranges, request_for, resolve
from cavra_pipeline.settings import Settings

_NAME: Final = "drop_sensor"
MOST_RANGES: Final = 5


def day_marks(drops: list[Drop]) -> dict[str, str]:
    """Returns a short mark of each day's drops; it changes when any of them does."""
    return {
        day.isoformat(): hashlib.sha256(
            "".join(f"{drop.file_name} {drop.fingerprint}\n" for drop in group).encode()
        ).hexdigest()[:12]
        for day, group in groupby(drops, key=lambda drop: drop.day)
    }


def build_drop_sensor(partitions: dg.DailyPartitionsDefinition, host: Settings) -> dg.SensorDefinition:
    """Returns the sensor; its cursor is the mark of each day it has asked for."""
    landing_zone = dg.AssetSelection.assets(asset_key(host, "landing_zone"))
    wanted = dg.AssetSelection.key_prefixes(list(host.asset_prefix)) - landing_zone - workers() - sources()

    @dg.sensor(
        name=_NAME,
        target=wanted,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Ingests new or changed drops and refreshes the reports of their days.",
    )
    def drop_sensor(context: dg.SensorEvaluationContext, home: Home) -> dg.SensorResult | dg.SkipReason:
        drops = [
            drop
            for drop in list_drops(home.settings.landing, pseudonyms_of(home.settings))
            if not drop.file_name.startswith(PREFIX)
        ]
        if not drops:
            return dg.SkipReason("The landing zone holds no drop yet.")
        known: dict[str, str] = json.loads(context.cursor) if context.cursor else {}
        marks = day_marks(drops)
        changed = [day for day, mark in marks.items() if known.get(day) != mark]
        oldest = _oldest_day(host)
        outside = [day for day in changed if not partitions.has_partition_key(day)]
        inside = [date.fromisoformat(day) for day in changed if day not in outside and day >= oldest]
        selection = resolve(context, wanted)
        again = asked_again(context, _NAME, place=location_of(context, host), selection=selection)
        if not inside and not again:
            late = (
                f" {len(outside)} changed days are no partition; `cavra-pipeline ingest` takes them." if outside else ""
            )
            return dg.SkipReason(f"No new or changed drop in {len(marks)} days.{late}")
        taken = list(ranges(inside))[:MOST_RANGES]
        for day in (day for days in taken for day in days):
            known[day.isoformat()] = marks[day.isoformat()]
        return dg.SensorResult(
            run_requests=again
            + [
                request_for(days, selection=selection, content=" ".join(marks[day.isoformat()] for day in days))
                for days in taken
            ],
            cursor=json.dumps(known, separators=(",", ":")),
        )

    return drop_sensor


def _oldest_day(settings: Settings) -> str:
    """The oldest day whose drops are asked for: evidence of those before it is, or will be, pruned."""
    return horizon_day(settings, now=now_utc()).isoformat() if settings.retention_days else ""
