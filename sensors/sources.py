"""The source sensor: sources that can't be read, are not pulled any more, or bring no new record."""

from datetime import datetime
from typing import Final

from cavra_pipeline.alerts.signals import Observation
from cavra_pipeline.sensors.alerting import SensorTick, TickResult, in_words, observing_sensor, patient
from cavra_pipeline.sources import pull_states, read_sources
from cavra_pipeline.sources.pulls import SILENT, UNREADABLE, WHOLE_FILE, problems
from cavra_pipeline.state import state_of

KINDS: Final = (SILENT, UNREADABLE)


@observing_sensor(
    every=lambda settings: settings.report_watch_seconds,
    description="Raises alerts when a source of evidence can't be read or falls silent.",
)
def source_sensor(tick: SensorTick) -> TickResult:
    """Observes; its cursor is since when it watches.

    It is there in a home without sources too: they may have been removed while an alert about one was open.
    """
    since = tick.cursor.get("since") or tick.now.isoformat()
    sources = read_sources(tick.settings.sources_file)
    states = pull_states(state_of(patient(tick.settings)))
    signals = problems(sources, states, datetime.fromisoformat(since), tick.now)
    quiet = f"{len(sources.by_name)} sources are read, and new records arrive."
    reason = in_words(signals) or (quiet if sources.path else "The home names no sources.")
    watched = (*sources.by_name, WHOLE_FILE) if sources.path else ()
    return TickResult(Observation(KINDS, signals, watched), reason, {"since": since})
