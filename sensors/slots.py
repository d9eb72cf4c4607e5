"""The missed-worker-run sensor: judges every slot that is due and keeps the slot ledger.

It decides from Dagster's records. The warehouse is read only when a slot has a new verdict, before the state database
is written; while one of them is busy the observation is remembered and the verdicts wait for the next tick.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Final

import dagster as dg

from cavra_pipeline.alerts.signals import Observation
from cavra_pipeline.daemon import daemon_before_until, heartbeats
from cavra_pipeline.desired_state import SCHEDULE, SCHEDULE_NAMES, declared, must_be_on
from cavra_pipeline.errors import TransientError
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.jobs import SLOTS_CHECK, WHY, asset_key
from cavra_pipeline.sensors import dagster_records as records
from cavra_pipeline.sensors.alerting import Clock, LastObservation, now_utc, patient, process
from cavra_pipeline.sensors.instance import instance_of
from cavra_pipeline.sensors.location import Location, location_of
from cavra_pipeline.settings import Settings
from cavra_pipeline.slots import ledger
from cavra_pipeline.slots.observations import WatcherObservation, longest_pause, usual_pause
from cavra_pipeline.slots.problems import KINDS, episode_in_words, signals_of
from cavra_pipeline.slots.verdicts import Configuration, VerdictKind
from cavra_pipeline.slots.watcher import Episode, Records, Seen, WatcherState, watch
from cavra_pipeline.state import state_of
from cavra_pipeline.warehouse import Session

NAME: Final = "missed_worker_run_sensor"


def build_missed_worker_run_sensor(settings: Settings, clock: Clock = now_utc) -> dg.SensorDefinition:
    """Returns the sensor; its cursor is the watcher's state and the last processed observation.

    Args:
        settings: The home, its environment and tolerances.
        clock: Gives the instant of an observation.
    """

    @dg.sensor(
        name=NAME,
        minimum_interval_seconds=settings.watch_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Judges each scheduled run once it is due: on time, late, early, missed and why.",
    )
    def missed_worker_run_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        view, ours = _View.of(context, settings, clock()), patient(settings)
        document = json.loads(context.cursor) if context.cursor else {}
        memory, last = WatcherState.of(document.get("memory")), LastObservation.of(document.get("told"))
        next_state = memory
        try:
            if memory is None:
                with state_of(ours).reading() as c:
                    memory = next_state = ledger.recalled(c)
            view = view.with_load_errors(context, location_of(context, settings), memory)
            seen = view.judge(memory)
            next_state = seen.unstored_state(memory)
            if seen.judged or seen.configurations:
                with warehouse_of(ours).reading() as session:
                    seen = view.judge(memory, session)
                with state_of(ours).writing() as c:
                    for configuration in seen.configurations:
                        ledger.keep_configuration(c, configuration)
                    ledger.keep_verdicts(c, seen.judged, now=view.observation.at)
                # The verdicts are stored: their alerts may fail and are then raised at the next tick.
                next_state = seen.memory
            signals = list(signals_of(seen.memory))
            last = process(ours, last, Observation(KINDS, signals), clock)
        except TransientError as busy:
            cursor = _cursor(next_state, last) if next_state else context.cursor
            return dg.SensorResult(skip_reason=f"It goes on at the next tick: {busy.what}.", cursor=cursor)
        return dg.SensorResult(
            skip_reason=_reason(seen),
            cursor=_cursor(seen.stored_state(), last),
            asset_events=_check_events(settings, memory, seen),
        )

    return missed_worker_run_sensor


def _cursor(memory: WatcherState, last: LastObservation) -> str:
    return json.dumps({"memory": memory.text(), "told": last.document()}, separators=(",", ":"))


@dataclass(frozen=True)
class _View:
    """One tick's view of Dagster; its records are read once, however often slots are judged by them."""

    observation: WatcherObservation
    configurations: Sequence[Configuration]
    dagster: Callable[[str, datetime], Records]
    pause: timedelta
    usual: timedelta

    @classmethod
    def of(cls, context: dg.SensorEvaluationContext, settings: Settings, now: datetime) -> "_View":
        place = location_of(context, settings)
        instigators = records.instigators(context, place)
        schedules = {
            instigator.name: instigator
            for instigator in instigators.values()
            if instigator.kind == SCHEDULE and instigator.name in SCHEDULE_NAMES
        }
        beats = heartbeats(instance_of(context))
        observation = WatcherObservation(
            at=now,
            daemon_id=next((beats[kind].daemon_id for kind in ("SENSOR", "SCHEDULER") if kind in beats), None),
            stopped=frozenset(name for name, schedule in schedules.items() if not schedule.is_on),
            started={
                name: schedule.started_at
                for name, schedule in schedules.items()
                if schedule.is_on and schedule.started_at
            },
            daemon_before_until=daemon_before_until(instance_of(context)),
        )
        configurations = [
            Configuration(
                schedule.name,
                now,
                str(schedule.cron_schedule),
                schedule.execution_timezone or "UTC",
                must_be_on(schedule.name, settings.environment),
                settings.tolerance,
            )
            for schedule in sorted(records.repository_of(context).schedule_defs, key=lambda definition: definition.name)
            if schedule.name in SCHEDULE_NAMES
        ]

        @cache
        def of_schedule(name: str, since: datetime) -> Records:
            return Records(
                ticks=records.ticks_since(instance_of(context), schedules[name], since),
                runs=records.runs_since(
                    instance_of(context), place, name, asset_key(settings, declared(name).work), since
                ),
            )

        seconds = settings.watch_seconds
        return cls(observation, configurations, of_schedule, longest_pause(seconds), usual_pause(seconds))

    def with_load_errors(self, context: dg.SensorEvaluationContext, place: Location, memory: WatcherState) -> "_View":
        """Returns the view with whether ticks failed to load the code; asks only where an observation is overdue."""
        before = memory.look
        if before is None or self.observation.at - before.at <= self.usual:
            return self
        return replace(
            self,
            observation=replace(self.observation, has_load_error=records.has_load_error(context, place, before.at)),
        )

    def judge(self, memory: WatcherState, session: Session | None = None) -> Seen:
        """Judges what is due; with the warehouse open, worker-run evidence is heard too."""

        def records_of(name: str, since: datetime) -> Records:
            schedule_records, lanes = self.dagster(name, since), declared(name).lanes
            if session is None or not lanes:
                return schedule_records
            return replace(
                schedule_records, work=ledger.worker_evidence(session, lanes[0], after=since, until=self.observation.at)
            )

        return watch(
            memory,
            self.observation,
            self.configurations,
            calendar=_calendar,
            records=records_of,
            pause=self.pause,
            usual=self.usual,
        )


def _calendar(configuration: Configuration, after: datetime, until: datetime, most: int | None) -> list[datetime]:
    return records.instants_around(configuration.cron, configuration.time_zone, after=after, until=until, most=most)


def _reason(seen: Seen) -> str:
    if not seen.judged:
        return "No scheduled run has a new verdict."
    counts = {kind: sum(judged_slot.verdict.kind is kind for judged_slot in seen.judged) for kind in VerdictKind}
    judged = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in counts.items() if count)
    missed = [episode_in_words(name, episode) for name, episode in sorted(seen.memory.episodes.items())]
    return " ".join([f"Scheduled runs judged: {judged}.", *missed])


def _check_events(settings: Settings, before: WatcherState, seen: Seen) -> list[dg.AssetCheckEvaluation]:
    """Turns the work of a schedule red in the UI when its slots are missed, and green again; no run is needed."""
    judged = {judged_slot.slot.schedule for judged_slot in seen.judged}
    return [
        dg.AssetCheckEvaluation(
            asset_key=asset_key(settings, declared(name).work),
            check_name=SLOTS_CHECK,
            passed=episode is None,
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={
                WHY: episode_in_words(name, episode) if episode else "The newest scheduled run was served.",
                "schedule": name,
                "missed_slot_count": episode.missed_count if episode else 0,
            },
        )
        for name in sorted(judged & (before.episodes.keys() | seen.memory.episodes.keys()))
        for episode in [_open_episode(seen.memory, name)]
    ]


def _open_episode(memory: WatcherState, schedule: str) -> Episode | None:
    episode = memory.episodes.get(schedule)
    return episode if episode and not episode.is_over else None
