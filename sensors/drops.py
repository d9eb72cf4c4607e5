"""`drop_sensor`: new or changed landing files in the landing zone are ingested and their days reported on.

It looks at the landing zone and at Dagster's records, never at the warehouse, and does bounded work a tick. A day is
done once all of it was made from the landing files that are there, whoever started the runs. Files that the
pipeline wrote itself are in the warehouse already.
"""

import json
from collections.abc import Mapping
from datetime import date
from typing import Final

import dagster as dg

from cavra_pipeline.evidence.emitted import day_marks
from cavra_pipeline.evidence.landing_zone import landing_files
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.jobs import EVIDENCE, asset_key, sources
from cavra_pipeline.retention.prune import horizon_day
from cavra_pipeline.sensors.alerting import now_utc, patient
from cavra_pipeline.sensors.instance import instance_of
from cavra_pipeline.sensors.location import location_of
from cavra_pipeline.sensors.requests import RequestedDay, ask, resolve, slow_in_words
from cavra_pipeline.sensors.shown import days_made
from cavra_pipeline.settings import Settings

#: Its name.
NAME: Final = "drop_sensor"


def build_drop_sensor(partitions: dg.DailyPartitionsDefinition, host: Settings) -> dg.SensorDefinition:
    """Returns the sensor; its cursor is the mark of each day that was ingested, and the days it has asked for."""
    wanted = dg.AssetSelection.key_prefixes(list(host.asset_prefix)).materializable() - sources()

    @dg.sensor(
        name=NAME,
        target=wanted,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Ingests new or changed landing files and refreshes the reports of their days.",
    )
    def drop_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        settings = patient(host)
        marks = day_marks(landing_files(settings, pseudonyms_of(settings)))
        if not marks:
            return dg.SkipReason("The landing zone holds no file yet.")
        known_marks, requested_days = _read(context.cursor)
        oldest = _oldest_day(host)
        changed = {day: mark for day, mark in marks.items() if known_marks.get(day) != mark}
        outside = [day for day in changed if not partitions.has_partition_key(day.isoformat())]
        inside = {day: mark for day, mark in changed.items() if day not in outside and day.isoformat() >= oldest}
        selection = resolve(context, wanted) if inside else []
        done = days_made(instance_of(context), selection, asset_key(host, EVIDENCE), inside)
        known_marks |= {day: inside.pop(day) for day in done}
        requested_days = {day: requested_day for day, requested_day in requested_days.items() if day in inside}
        requests = []
        if inside:
            place = location_of(context, host)
            requests = ask(
                context, inside, requested_days, sensor=NAME, selection=selection, place=place, now=now_utc()
            )
        cursor = _dump({day: mark for day, mark in known_marks.items() if day in marks}, requested_days)
        if requests:
            return dg.SensorResult(run_requests=requests, cursor=cursor)
        waiting = (
            f" {len(requested_days)} days were asked for and are not ingested yet.{slow_in_words(requested_days)}"
            if requested_days
            else ""
        )
        if others := len(inside.keys() - requested_days.keys()):
            waiting += f" {others} days wait for the end of a run that makes them."
        late = _outside(len(outside), partitions) if outside else ""
        quiet = f"No {'other ' if inside else ''}new or changed landing file in {len(marks)} days."
        return dg.SensorResult(skip_reason=f"{quiet}{waiting}{late}", cursor=cursor)

    return drop_sensor


def _outside(count: int, partitions: dg.DailyPartitionsDefinition) -> str:
    return (
        f" {count} changed days are no partition; `cavra-pipeline ingest` takes them. To have partitions before "
        f"{partitions.get_first_partition_key()}, reload the code location or set CAVRA_START_DATE."
    )


def _oldest_day(settings: Settings) -> str:
    """The oldest day whose landing files are asked for: evidence of those before it is, or will be, pruned."""
    return horizon_day(settings, now=now_utc()).isoformat() if settings.retention_days else ""


def _read(cursor: str | None) -> tuple[dict[date, str], dict[date, RequestedDay]]:
    """The marks of the days that are done, and the days that were asked for; an earlier release had marks only."""
    document = json.loads(cursor) if cursor else {}
    if "days" not in document:
        document = {"days": document, "asked": {}}
    known_marks = {date.fromisoformat(day): mark for day, mark in document["days"].items()}
    return known_marks, {
        date.fromisoformat(day): RequestedDay.of(members) for day, members in document["asked"].items()
    }


def _dump(known_marks: Mapping[date, str], requested_days: Mapping[date, RequestedDay]) -> str:
    requests_by_day = {
        day.isoformat(): requested_day.document() for day, requested_day in sorted(requested_days.items())
    }
    days = {day.isoformat(): mark for day, mark in sorted(known_marks.items())}
    return json.dumps({"days": days, "asked": requests_by_day}, separators=(",", ":"))
