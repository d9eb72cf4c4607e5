"""What the demo prints at its end: a line for each thing that is wrong, with the command that shows it.

Every number is read from the reports and lists of the home; the stories say where to look, not what is found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.demo.month import Story
from cavra_pipeline.documents import parse_as_of, whole_minutes
from cavra_pipeline.durations import short_duration
from cavra_pipeline.executive.words import count, incident_sentence, listed

#: A health report's window, in hours, that holds the whole month.
MONTH_HOURS: Final = 24 * 32
_WAITING_FOR: Final = (
    ("acknowledgement_pending_count", "retry", "retries", "acknowledge"),
    ("approval_pending_count", "retry", "retries", "approve"),
    ("outstanding_alert_acknowledgement_count", "alert", "alerts", "acknowledge"),
)

Report = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answers:
    """What the home answers at one instant.

    Attributes:
        plans: The retry plan of each lane, by its default policy.
        health: The health report of each lane over the whole month.
        recoveries: The recovery report.
        incidents: The report of open provider incidents.
    """

    plans: Mapping[str, Report]
    health: Mapping[str, Report]
    recoveries: Report
    incidents: Report


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that is wrong, or was earlier in the month, and the commands that show it."""

    what: str
    commands: tuple[str, ...]
    is_past: bool = False


def lines_of(
    answers: Answers,
    early: Answers,
    *,
    outage: Story,
    late: Story,
    quarantine: Iterable[Report],
    findings: Iterable[Report],
) -> list[Line]:
    """Returns what is wrong, a line each: providers, lanes, recoveries, idle lanes, outage, late day, rejections.

    Args:
        answers: What the home answers with all evidence in it.
        early: The same before the late file.
        outage: The story of the worker's outage.
        late: The story of the late day.
        quarantine: The quarantined lines.
        findings: The findings.
    """
    return [
        *_incidents(answers),
        *_lanes(answers),
        _recoveries(answers.recoveries),
        *_idle(answers),
        _outage(answers, outage),
        _late(answers, early, late),
        _boundary(list(quarantine), list(findings)),
    ]


def _incidents(answers: Answers) -> Iterator[Line]:
    """A line for each provider that is broken: the cause of most that follows."""
    for one in answers.incidents["incidents"]:
        yield Line(incident_sentence(one, answers.incidents["as_of"]), ("cavra-pipeline incidents --open",))


def _lanes(answers: Answers) -> Iterator[Line]:
    """A line for each lane with something to retry, and one for all lanes of health alerts."""
    alerts: list[str] = []
    for lane, plan in answers.plans.items():
        if not plan["retry_decisions"]:
            continue
        counts = [f"{plan[key]} {word}" for key, word in
                  (("retryable_count", "due"), ("waiting_count", "waiting"), ("suppressed_count", "exhausted"))
                  if plan[key]]  # fmt: skip
        health = answers.health[lane]
        waiting_for = [f"{count(health[key], one, many)} to {do}" for key, one, many, do in _WAITING_FOR if health[key]]
        what = "; ".join([f"{lane}: {', '.join(counts)}", *waiting_for])
        if health["outstanding_alert_acknowledgement_count"]:
            alerts.append(what)
        else:
            yield Line(what, (f"cavra-pipeline retry-health --lane {lane}",))
    if alerts:
        yield Line(". ".join(alerts), ("cavra-pipeline retry-health",))


def _recoveries(report: Report) -> Line:
    still = [row["provider"] for row in report["recoveries"] if row["slo_status"] != "closed"]
    at = f" at {listed(sorted(set(still)))}" if still else ""
    late = f"{report['recovery_slo_breached_count']} past the limit of {short_duration(report['recovery_slo_minutes'])}"
    return Line(f"{count(len(still), 'recovery', 'recoveries')} open{at}, {late}", ("cavra-pipeline recoveries",))


def _idle(answers: Answers) -> Iterator[Line]:
    """One line for the lanes whose worker no longer runs."""
    idle = [report for report in answers.health.values() if report["missed_worker_count"]]
    if idle:
        since = [f"{one['lane']} {_ago(one['latest_worker_age_minutes'])}" for one in idle]
        yield Line(f"worker last ran: {listed(since)}", (f"cavra-pipeline retry-health --lane {idle[0]['lane']}",))


def _ago(minutes: int | None) -> str:
    return "never" if minutes is None else f"{short_duration(minutes)} ago"


def _outage(answers: Answers, story: Story) -> Line:
    missed = [number for lane in story.lanes if (number := _missed(answers.health[lane], story))]
    return Line(
        f"the worker host was down for {_length(story)} from {_moment(story.began_at)}: {count(sum(missed), 'run')} "
        f"missed in {count(len(missed), 'lane')}",
        (f"cavra-pipeline retry-health --lane {story.lanes[0]} --window-hours {MONTH_HOURS}",),
        is_past=True,
    )


def _late(answers: Answers, early: Answers, story: Story) -> Line:
    lane = max(story.lanes, key=lambda name: _missed(early.health[name], story))
    before, after = _missed(early.health[lane], story), _missed(answers.health[lane], story)
    return Line(
        f"evidence of {_length(story)} from {_moment(story.began_at)} arrived late: {lane} seemed to have missed "
        f"{count(before, 'run')}, and missed {after or 'none'}",
        (f"cavra-pipeline retry-health --lane {lane} --window-hours {MONTH_HOURS}",),
        is_past=True,
    )


def _missed(health: Report, story: Story) -> int:
    """Runs missed in the outages of a health report that a story overlaps."""
    return sum(
        one["missed_runs"]
        for one in health["outages"]
        if one["started_at"] is not None
        and parse_as_of(one["started_at"]) < story.last_at
        and (one["ended_at"] is None or parse_as_of(one["ended_at"]) > story.began_at)
    )


def _boundary(quarantine: list[Report], findings: list[Report]) -> Line:
    reasons = Counter(one["reason"] for one in quarantine)
    return Line(
        f"{count(len(quarantine), 'record')} quarantined ({_counted(reasons)}), {count(len(findings), 'finding')}",
        ("cavra-pipeline quarantine", "cavra-pipeline findings"),
    )


def _counted(names: Mapping[str, int]) -> str:
    return ", ".join(name if number == 1 else f"{number} {name}" for name, number in sorted(names.items()))


def _length(story: Story) -> str:
    return short_duration(whole_minutes(story.last_at - story.began_at))


def _moment(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M}"
