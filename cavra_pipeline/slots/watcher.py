"""One observation of the watcher: from what it remembers and what it sees now to the verdicts that are due.

Pure: the calendar of slots and Dagster's records come in as functions, the memory goes out with the answer. A daemon
that is down, or a code location that does not load, leaves no row in Dagster. What it does leave is a gap in the
watcher's own observations, since the watcher runs in the same daemon and from the same code location.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

import msgspec

from cavra_pipeline.settings import Tolerance
from cavra_pipeline.slots.observations import (
    LONGEST_PAUSE,
    USUAL_PAUSE,
    WatcherObservation,
    intervals_between,
    length_of,
    remembered,
)
from cavra_pipeline.slots.verdicts import (
    Cause,
    Configuration,
    Evidence,
    Interval,
    ScheduledRun,
    Slot,
    Tick,
    Verdict,
    VerdictKind,
    decide,
    revised,
    share_out,
    slots_of,
)

#: Max slots of one schedule that one observation judges; the next observation goes on.
MOST_SLOTS: Final = 200
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
#: A schedule that launched no run for so long is one whose work somebody else starts.
STILL_LAUNCHES: Final = timedelta(days=30)
#: For how long a slot that was missed or unknown is judged again.
STAYS_OPEN: Final = timedelta(hours=48)

#: Gives a configuration's instants in (after, until], with the one before them and the one that follows; so many.
Calendar = Callable[[Configuration, datetime, datetime, int | None], Sequence[datetime]]


@dataclass(frozen=True, slots=True)
class Records:
    """Dagster's records of one schedule since an instant.

    Attributes:
        ticks: The scheduler's rows, by slot.
        runs: Runs with the slot they were launched for, in the order they were created.
        work: When worker-run evidence says that the work was done.
    """

    ticks: Mapping[datetime, Sequence[Tick]] = field(default_factory=dict)
    runs: Sequence[tuple[datetime, ScheduledRun]] = ()
    work: Sequence[datetime] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """A slot with its verdict and the instant from which the configuration it was judged by was in force."""

    slot: Slot
    verdict: Verdict
    configuration_from: datetime


@dataclass(frozen=True, slots=True)
class Episode:
    """Missed slots of a schedule with nothing done in between.

    Attributes:
        first_at: The first missed slot.
        last_at: The last one.
        causes: How many were missed, by cause.
        is_over: Whether a later slot was served or was not expected.
        is_told: Whether the life cycle of alerts knows of it.
    """

    first_at: datetime
    last_at: datetime
    causes: Mapping[Cause, int]
    is_over: bool = False
    is_told: bool = False

    @property
    def missed_count(self) -> int:
        """How many slots were missed."""
        return sum(self.causes.values())


@dataclass(frozen=True, slots=True)
class WatcherState:
    """State of the watcher between two observations.

    Attributes:
        look: The previous observation; None at the first.
        watched_from: Start of the present row of observations without a gap; None before the first.
        spells: What kept slots from running.
        gaps: Gaps in the watching that have caused no alert yet.
        configurations: By schedule, how it was set since its oldest slot that may still change.
        judged_until: By schedule, the newest slot with a verdict.
        open: By schedule, verdicts that may still change, by slot.
        episodes: By schedule, slots missed in a row up to now.
        launched_at: By schedule, the newest slot that a run was launched for.
    """

    # Names of fields are keys of the sensor's cursor, which outlives a release.
    look: WatcherObservation | None = None
    watched_from: datetime | None = None
    spells: Sequence[Interval] = ()
    gaps: Sequence[Interval] = ()
    configurations: Mapping[str, Sequence[Configuration]] = field(default_factory=dict)
    judged_until: Mapping[str, datetime] = field(default_factory=dict)
    open: Mapping[str, Mapping[datetime, Verdict]] = field(default_factory=dict)
    episodes: Mapping[str, Episode] = field(default_factory=dict)
    launched_at: Mapping[str, datetime] = field(default_factory=dict)

    def text(self) -> str:
        """Returns the memory as JSON, for the cursor of its sensor: names, instants and verdicts, no evidence."""
        return msgspec.json.encode(self, enc_hook=Tolerance.model_dump).decode()

    @classmethod
    def of(cls, text: str | None) -> WatcherState | None:
        """Returns the memory that a text holds, or None if it holds none that this release reads."""
        try:
            memory = msgspec.json.decode(text or "", type=cls, dec_hook=lambda kind, values: kind(**values))
        except msgspec.DecodeError:
            return None
        return memory if memory.look else None


@dataclass(frozen=True, slots=True)
class Seen:
    """Result of one observation.

    Attributes:
        memory: What to remember.
        judged: The slots with a new verdict, or a changed one.
        configurations: Configurations that came into force.
    """

    memory: WatcherState
    judged: Sequence[Judged]
    configurations: Sequence[Configuration]

    def unstored_state(self, before: WatcherState) -> WatcherState:
        """Returns what to remember where verdicts could not be stored: they are due again at the next observation."""
        now = self.memory
        return replace(before, look=now.look, watched_from=now.watched_from, spells=now.spells, gaps=now.gaps)

    def stored_state(self) -> WatcherState:
        """Returns the state to remember once the verdicts are stored and the signals handed on."""
        episodes = {
            name: replace(episode, is_told=True)
            for name, episode in self.memory.episodes.items()
            if not episode.is_over
        }
        return replace(self.memory, gaps=(), episodes=episodes)


def watch(
    memory: WatcherState,
    observation: WatcherObservation,
    configurations: Sequence[Configuration],
    *,
    calendar: Calendar,
    records: Callable[[str, datetime], Records],
    pause: timedelta = LONGEST_PAUSE,
    usual: timedelta = USUAL_PAUSE,
) -> Seen:
    """Judges every slot that can be judged at this observation.

    Args:
        memory: State after the previous observation.
        observation: What is seen now.
        configurations: How each schedule is set now.
        calendar: Dagster's own evaluation of a cron expression.
        records: Gives what there is of a schedule since an instant.
        pause: How far apart two observations may be; a longer gap raises an alert.
        usual: How far apart they are while nothing is in the way; a longer gap with a load error has its cause.
    """
    new_intervals = intervals_between(memory.look, observation, pause, usual)
    intervals = remembered(memory.spells, new_intervals)
    watched_from = memory.watched_from or observation.at
    changed: list[Configuration] = []
    after: dict[str, _Schedule] = {}
    judge = _Judge(memory, observation, intervals, watched_from, calendar, records)
    for current in configurations:
        history = list(memory.configurations.get(current.schedule, ()))
        if not history or current.differs_from(history[-1]):
            changed.append(current)
            history.append(current)
        after[current.schedule] = judge.schedule(current.schedule, history)
    state = WatcherState(
        look=observation,
        watched_from=watched_from,
        spells=intervals,
        gaps=[
            *memory.gaps,
            *(interval for interval in new_intervals if interval.schedule is None and length_of(interval) > pause),
        ],
        configurations={name: schedule.configurations for name, schedule in after.items()},
        judged_until={name: schedule.judged_until for name, schedule in after.items()},
        open={name: schedule.open for name, schedule in after.items()},
        episodes={name: schedule.episode for name, schedule in after.items() if schedule.episode},
        launched_at={**memory.launched_at, **judge.launched_at},
    )
    return Seen(state, [judged for schedule in after.values() for judged in schedule.judged], changed)


@dataclass(frozen=True, slots=True)
class _Schedule:
    """One schedule after an observation: its share of the ``WatcherState``, and its new or changed verdicts."""

    configurations: Sequence[Configuration]
    judged_until: datetime
    open: Mapping[datetime, Verdict]
    episode: Episode | None
    judged: Sequence[Judged]


@dataclass(frozen=True, slots=True)
class _Judge:
    """Judges the slots of one schedule after another; the attributes are those of ``watch`` and ``WatcherState``."""

    memory: WatcherState
    observation: WatcherObservation
    intervals: Sequence[Interval]
    watched_from: datetime
    calendar: Calendar
    records: Callable[[str, datetime], Records]
    launched_at: dict[str, datetime] = field(default_factory=dict)

    def schedule(self, name: str, history: Sequence[Configuration]) -> _Schedule:
        """Returns a schedule with every slot judged that can be; ``history`` ends with its present configuration."""
        open_verdicts = self.memory.open.get(name, {})
        before = self.memory.judged_until.get(name, history[0].valid_from)
        judged = self._judged(name, history, open_verdicts, before)
        verdicts = {**open_verdicts, **{slot.expected_at: verdict for slot, verdict, _ in judged}}
        reached = max([before, *(slot.expected_at for slot, _, _ in judged)])
        still_open = {
            at: verdict
            for at, verdict in list(verdicts.items())[-MOST_SLOTS:]
            if verdict.kind in (VerdictKind.MISSED, VerdictKind.UNKNOWN) and at > self.observation.at - STAYS_OPEN
        }
        oldest = min([reached, *still_open])
        in_force = [
            configuration
            for configuration, after in zip(history, [*history[1:], None], strict=True)
            if not after or after.valid_from > oldest
        ]
        new = [
            Judged(*judged_slot)
            for judged_slot in judged
            if judged_slot[1] != open_verdicts.get(judged_slot[0].expected_at)
        ]
        episode = episode_after(self.memory.episodes.get(name), new)
        return _Schedule(in_force, reached, still_open, episode, new)

    def _judged(
        self, name: str, history: Sequence[Configuration], open_verdicts: Mapping[datetime, Verdict], reached: datetime
    ) -> list[tuple[Slot, Verdict, datetime]]:
        """Returns the slots that have a verdict now, each with it and the start of its configuration."""
        since = min([reached, *(at - timedelta(microseconds=1) for at in open_verdicts)])
        slots = [
            *_slots(history, since, reached, self.calendar, None),
            *_slots(history, reached, self.observation.at, self.calendar, MOST_SLOTS),
        ]
        seen = self.records(name, slots[0][0].previous_at) if slots else Records()
        known_launch = self.memory.launched_at.get(name, _NEVER)
        launched_at = max([known_launch, *(at for at, _ in seen.runs)])
        if launched_at > _NEVER:
            self.launched_at[name] = launched_at
        launches = self.observation.at - launched_at < STILL_LAUNCHES
        work = share_out([slot for slot, _ in slots], seen.runs, seen.work, launches=launches)
        launched: dict[datetime, list[ScheduledRun]] = {}
        for at, run in seen.runs:
            launched.setdefault(at, []).append(run)
        judged: list[tuple[Slot, Verdict, datetime]] = []
        for slot, valid_from in slots:
            at = slot.expected_at
            if at not in open_verdicts and at <= reached:
                continue
            evidence = Evidence(
                ticks=seen.ticks.get(at, ()),
                runs=launched.get(at, ()),
                work=work.get(at, ()),
                intervals=self.intervals,
                watched_from=self.watched_from,
            )
            verdict = decide(slot, evidence, now=self.observation.at)
            if verdict is None:
                break
            judged.append((slot, revised(open_verdicts[at], verdict) if at in open_verdicts else verdict, valid_from))
        return judged


def _slots(
    history: Sequence[Configuration], since: datetime, until: datetime, calendar: Calendar, most: int | None
) -> list[tuple[Slot, datetime]]:
    """Returns the slots in (``since``, ``until``], the earliest first, each as it was set when it was due."""
    slots: list[tuple[Slot, datetime]] = []
    for configuration, following in pairwise([*history, None]):
        if configuration is None:
            break
        after = max(since, configuration.valid_from)
        end = min(until, following.valid_from) if following else until
        if after < end:
            due_slots = slots_of(configuration, calendar(configuration, after, end, most))
            slots += [(slot, configuration.valid_from) for slot in due_slots if after < slot.expected_at <= end]
    return slots[:most]


def episode_after(before: Episode | None, judged: Sequence[Judged]) -> Episode | None:
    """Returns the episode of missed slots after further verdicts of a schedule."""
    episode = before
    for judged_slot in sorted(judged, key=lambda judged: judged.slot.expected_at):
        at, verdict = judged_slot.slot.expected_at, judged_slot.verdict
        if verdict.kind is VerdictKind.UNKNOWN:
            continue
        if verdict.kind is not VerdictKind.MISSED:
            if episode and at >= episode.last_at:
                episode = replace(episode, is_over=True)
            continue
        cause = verdict.cause or Cause.UNKNOWN_CAUSE
        if episode is None or (episode.is_over and at > episode.last_at):
            episode = Episode(at, at, {cause: 1})
        elif at > episode.last_at:
            causes = {**episode.causes, cause: episode.causes.get(cause, 0) + 1}
            episode = replace(episode, last_at=at, causes=causes)
    return episode
