"""The source sensor: sources that can't be read, are not pulled any more, or bring no new record."""

import json
from datetime import datetime
from typing import Final

import dagster as dg

from cavra_pipeline.alerts.signals import Observation
from cavra_pipeline.sensors.alerting import Clock, in_words, now_utc, patient, told_result
from cavra_pipeline.settings import Settings
from cavra_pipeline.sources import pull_states, read_sources
from cavra_pipeline.sources.pulls import SILENT, UNREADABLE, WHOLE_FILE, problems
from cavra_pipeline.state import state_of

NAME: Final = "source_sensor"
KINDS: Final = (SILENT, UNREADABLE)


def build_source_sensor(settings: Settings, clock: Clock = now_utc) -> dg.SensorDefinition:
    """Returns the sensor; its cursor is since when it watches, and the last processed observation.

    It is there in a home without sources too: they may have been removed while an alert about one was open.
    """

    @dg.sensor(
        name=NAME,
        minimum_interval_seconds=settings.report_watch_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Raises alerts when a source of evidence can't be read or falls silent.",
    )
    def source_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        known, now = json.loads(context.cursor) if context.cursor else {}, clock()
        since = known.get("since") or now.isoformat()
        sources = read_sources(settings.sources_file)
        states = pull_states(state_of(patient(settings)))
        signals = problems(sources, states, datetime.fromisoformat(since), now)
        quiet = f"{len(sources.by_name)} sources are read, and new records arrive."
        reason = in_words(signals) or (quiet if sources.path else "The home names no sources.")
        return told_result(
            settings,
            known,
            Observation(KINDS, signals, watched=(*sources.by_name, WHOLE_FILE) if sources.path else ()),
            clock,
            reason=reason,
            cursor={"since": since},
        )

    return source_sensor
