"""The drop sensor: new or changed drops in the landing zone are ingested and their days reported on.

It looks at the landing zone only, never at the warehouse, and does bounded work a tick. Drops that the pipeline wrote
itself are in the warehouse already.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Final

import dagster as dg

from cavra_pipeline.evidence.landing import Drop, list_drops
from cavra_pipeline.evidence.own import PREFIX
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.jobs import IN_PROGRESS, is_of_range, sources
from cavra_pipeline.resources import Home
from cavra_pipeline.retention.prune import horizon_day
from cavra_pipeline.sensors.alerting import now_utc
from cavra_pipeline.sensors.location import Location, location_of
from cavra_pipeline.sensors.requests import AskedDay, ask, resolve, slow_in_words
from cavra_pipeline.settings import Settings

_NAME: Final = "drop_sensor"


def day_marks(drops: list[Drop]) -> dict[str, str]:
    """Returns a short mark of each day's drops; it changes when any of them does."""
    return {
        day.isoformat(): hashlib.sha256(
            "".join(f"{drop.file_name} {drop.fingerprint}\n" for drop in group).encode()
        ).hexdigest()[:12]
        for day, group in groupby(drops, key=lambda drop: drop.day)
    }


def build_drop_sensor(partitions: dg.DailyPartitionsDefinition, host: Settings) -> dg.SensorDefinition:
    """Returns the sensor; its cursor is the mark of each day that was ingested, and the days it has asked for."""
    wanted = dg.AssetSelection.key_prefixes(list(host.asset_prefix)).materializable() - sources()

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
        known, asked = _read(context.cursor)
        now, marks = now_utc(), day_marks(drops)
        place = location_of(context, host)
        done = _made(context.instance, place, asked)
        known |= {day: asked.pop(date.fromisoformat(day)).content for day in done}
        changed = [day for day, mark in marks.items() if known.get(day) != mark]
        oldest = _oldest_day(host)
        outside = [day for day in changed if not partitions.has_partition_key(day)]
        inside = {date.fromisoformat(day): marks[day] for day in changed if day not in outside and day >= oldest}
        asked = {day: one for day, one in asked.items() if day in inside}
        requests = ask(
            context,
            inside,
            asked,
            selection=resolve(context, wanted),
            running=context.instance.get_runs(_ours(place, IN_PROGRESS)) if asked else [],
            now=now,
        )
        cursor = _dump({day: mark for day, mark in known.items() if day in marks}, asked)
        if requests:
            return dg.SensorResult(run_requests=requests, cursor=cursor)
        waiting = f" {len(asked)} days were asked for and are not ingested yet.{slow_in_words(asked)}" if asked else ""
        late = _outside(len(outside), partitions) if outside else ""
        quiet = (
            f"No other new or changed drop in {len(marks)} days."
            if asked
            else (f"No new or changed drop in {len(marks)} days.")
        )
        return dg.SensorResult(skip_reason=f"{quiet}{waiting}{late}", cursor=cursor)

    return drop_sensor


def _outside(count: int, partitions: dg.DailyPartitionsDefinition) -> str:
    return (
        f" {count} changed days are no partition; `cavra-pipeline ingest` takes them. To have partitions before "
        f"{partitions.get_first_partition_key()}, reload the code location or set CAVRA_START_DATE."
    )


def _oldest_day(settings: Settings) -> str:
    """The oldest day whose drops are asked for: evidence of those before it is, or will be, pruned."""
    return horizon_day(settings, now=now_utc()).isoformat() if settings.retention_days else ""


def _ours(place: Location, statuses: Sequence[dg.DagsterRunStatus], since: datetime | None = None) -> dg.RunsFilter:
    tags = {"dagster/sensor_name": _NAME, **place.tags}
    return dg.RunsFilter(tags=tags, statuses=list(statuses), created_after=since)


def _made(instance: dg.DagsterInstance, place: Location, asked: Mapping[date, AskedDay]) -> list[str]:
    """The days of which a run that was asked for has succeeded."""
    if not asked:
        return []
    since = min(one.asked_at for one in asked.values()) - timedelta(seconds=1)
    succeeded = instance.get_run_records(_ours(place, [dg.DagsterRunStatus.SUCCESS], since))
    return [
        day.isoformat()
        for day, one in asked.items()
        if any(
            is_of_range(record.dagster_run.tags, day)
            and record.create_timestamp.replace(tzinfo=UTC) >= one.asked_at - timedelta(seconds=1)
            for record in succeeded
        )
    ]


def _read(cursor: str | None) -> tuple[dict[str, str], dict[date, AskedDay]]:
    """The marks of the days that are done, and the days that were asked for; an earlier release had marks only."""
    document = json.loads(cursor) if cursor else {}
    if "days" not in document:
        return document, {}
    asked = {date.fromisoformat(day): AskedDay.of(found) for day, found in document["asked"].items()}
    return document["days"], asked


def _dump(known: Mapping[str, str], asked: Mapping[date, AskedDay]) -> str:
    found = {day.isoformat(): one.document() for day, one in sorted(asked.items())}
    return json.dumps({"days": known, "asked": found}, separators=(",", ":"))
