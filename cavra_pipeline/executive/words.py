"""Plain words for executives: moments, names, counts, and the sentences of the report. No markup."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from cavra_pipeline.documents import parse_as_of, whole_minutes
from cavra_pipeline.durations import short_duration
from cavra_pipeline.lanes import LANES
from cavra_pipeline.provider_names import provider_title
from cavra_pipeline.recoveries.causes import cause_of
from cavra_pipeline.recoveries.report import NO_PLAYBOOK
from cavra_pipeline.reports.cadence import down_minutes, outage_open_since
from cavra_pipeline.reports.cause_words import CAUSE_WORDS
from cavra_pipeline.reports.incidents import PASSING_CAUSES

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
#: Of fewer recoveries the number within the limit is said, of yet fewer closures no median.
_FEW, _FEWEST = 20, 5
EXECUTIVE: Final = "executive"
#: Providers that one sentence names.
_MOST_PROVIDERS: Final = 3
#: Days that one sentence names.
_MOST_DAYS: Final = 3


def fix_words(cause: str, provider: str) -> str:
    """Returns what to do about a cause at a provider, without a full stop; a webhook is something of its receiver's."""
    step = CAUSE_WORDS[cause].step
    is_receiver = provider == "webhook" and "the {name}" not in step
    return step.format(name="the webhook receiver" if is_receiver else provider_title(provider))


def fix_of_failure(
    provider: str, status_code: int | None, *, failed_at: datetime, success_at: datetime | None, of: int = 1
) -> str:
    """Returns what to do where no incident is open, without a full stop; empty where the cause passes by itself.

    Args:
        provider: The provider.
        status_code: Its newest answer to a delivery that is failing.
        failed_at: When it gave it.
        success_at: When it last accepted a delivery, if it ever did.
        of: How many deliveries are failing at it.
    """
    cause, name = cause_of({status_code}), provider_title(provider)
    if cause in PASSING_CAUSES:
        return ""
    if success_at is None or success_at <= failed_at:
        return fix_words(cause, provider)
    day = day_text(failed_at)
    answered = f"{name} delivery answered with {status_code}"
    which = f"the {answered} on {day}" if of == 1 else f"each {answered}, the last on {day}"
    return f"{CAUSE_WORDS[cause].check.format(which=which, name=name)}: {name} has accepted others since"


def worker_interval(lane: Mapping[str, Any]) -> str:
    """Says how often a lane's worker runs and how often it should."""
    usual, expected = short_duration(lane["usual_interval_minutes"]), short_duration(lane["expected_interval_minutes"])
    return f"the retry worker runs every {usual}, expected every {expected}"


def lane_title(name: str) -> str:
    """Returns a lane's name as words."""
    return name.replace("_", " ").capitalize()


def count(number: int, singular: str, plural: str | None = None) -> str:
    """Returns the number with its noun: ``1 recovery``, ``2 recoveries``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def are(number: int, singular: str, plural: str | None = None) -> str:
    """Returns the number, its noun and ``is`` or ``are``."""
    return f"{count(number, singular, plural)} {'is' if number == 1 else 'are'}"


def listed(names: list[str]) -> str:
    """Joins names as a sentence does: ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def incident_sentence(incident: Mapping[str, Any], as_of: str) -> str:
    """Returns what a provider does, since when, and how many deliveries fail by it."""
    codes = f" ({', '.join(map(str, incident['status_codes']))})" if incident["status_codes"] else ""
    age = short_duration(whole_minutes(parse_as_of(as_of) - parse_as_of(incident["began_at"])))
    failing = f"{count(incident['subject_count'], 'delivery', 'deliveries')} in {count(len(incident['lanes']), 'lane')}"
    return f"{provider_title(incident['provider'])} {CAUSE_WORDS[incident['cause']].what}{codes} for {age}: {failing}"


def limit_words(minutes: int) -> str:
    """Says a limit in one unit where it fits one: ``4-hour``, ``90-minute``."""
    for size, unit in ((1440, "day"), (60, "hour")):
        if minutes >= size and minutes % size == 0:
            return f"{minutes // size}-{unit}"
    return f"{minutes}-minute"


def share_of_due(recoveries: Mapping[str, Any]) -> str:
    """Says how many were closed within the limit, of those closed in the window and those open past the limit."""
    due, in_time = recoveries["closed_in_window_count"] + recoveries["slo_breached_count"], _closed_in_time(recoveries)
    if not due:
        return "none due"
    return f"{in_time:,} of {due:,}" if due < _FEW else f"{in_time * 100 // due} %"


def _closed_in_time(recoveries: Mapping[str, Any]) -> int:
    """Returns how many were closed within the limit.

    Counts of the window before have the percentage alone, which is rounded down: exact up to a hundred closures.
    """
    closed, late = recoveries["closed_in_window_count"], recoveries.get("closed_late_in_window_count")
    return int(-(-(recoveries["closed_within_limit_percent"] or 0) * closed // 100) if late is None else closed - late)


def day_text(moment: date) -> str:
    """Says a day: ``23 Nov``."""
    return f"{moment.day} {_MONTHS[moment.month - 1]}"


def moment_text(moment: datetime) -> str:
    """Says a UTC moment to the minute: ``23 Nov 2026, 07:29 UTC``."""
    return f"{day_text(moment)} {moment.year}, {moment:%H:%M} UTC"


def short_moment(moment: datetime, at: datetime) -> str:
    """Says a UTC moment to the minute, its year only where it is not that of another: ``23 Nov, 07:29 UTC``."""
    return f"{day_text(moment)}, {moment:%H:%M} UTC" if moment.year == at.year else moment_text(moment)


def read(instant: str) -> datetime:
    """Reads an instant of a report."""
    return datetime.fromisoformat(instant)


def what_happened(report: Mapping[str, Any]) -> list[str]:
    """Returns sentences that sum the window up: recoveries, deliveries, live retries and outages."""
    if not report["evidence_record_count"]:
        return ["No evidence has arrived, so this report cannot say what happened."]
    recoveries = report["recoveries"]
    days = count(report["window_days"], "day")
    opened, closed = recoveries["opened_in_window_count"], recoveries["closed_in_window_count"]
    again = recoveries["reopened_in_window_count"]
    said = [f"{count(opened, 'recovery', 'recoveries')} opened and {closed:,} closed in {days}."]
    if again:
        said.append(f"{count(again, 'recovery was', 'recoveries were')} opened again.")
    if closed or recoveries["slo_breached_count"]:
        said.append(_due_words(report))
    said += activity_words(report)
    return said + downtime_words(report)


def downtime_words(report: Mapping[str, Any]) -> list[str]:
    """Returns how the retry workers ran in the window, in sentences; none if all ran as they should."""
    said = [f"{lane['title']}: {worker_interval(lane)}." for lane in report["lanes"] if lane["usual_interval_minutes"]]
    down = [lane for lane in report["lanes"] if lane["outage_count"] and not lane["usual_interval_minutes"]]
    if down:
        longest = max(down, key=lambda lane: _downtime(lane, report["as_of"]))
        outages = f"{longest['title']}: {worker_words(longest, report['as_of'])}"
        still = sum(bool(lane["open_outage_count"]) for lane in down)
        is_idle = still and not any(lane["open_outage_count"] and _has_waiting(lane) for lane in down)
        now = f"; {'all' if still == len(down) else f'{still:,}'} still are" if still else ""
        said.append(
            f"A retry worker was down: {outages}."
            if len(down) == 1
            else f"The retry workers of {len(down):,} lanes were down{now}. The longest, {outages}."
        )
        if is_idle:
            said.append(f"Nothing waits for a retry in {'that lane' if still == 1 else 'those lanes'} now.")
    return said


def _has_waiting(lane: Mapping[str, Any]) -> bool:
    """Returns whether a delivery of a lane is failing or a retry of it is unresolved."""
    return bool(lane["failing_notice_count"] or lane["unresolved_failed_execution_count"])


def _downtime(lane: Mapping[str, Any], as_of: str) -> int:
    """The whole minutes of a worker's open outage; without one, those of all outages that reach into the window."""
    since = outage_open_since(lane["outages"])
    spans = [(outage["started_at"], outage["ended_at"]) for outage in lane["outages"]]
    return down_minutes(since, as_of) if since else sum(down_minutes(start, end) for start, end in spans if end)


def worker_words(lane: Mapping[str, Any], as_of: str) -> str:
    """Says in words how a lane's worker ran in the window, and for how long one that is down has been so."""
    if lane["state"] == "no_evidence":
        return "no evidence"
    if not lane["outage_count"]:
        return "no outage"
    if lane["usual_interval_minutes"]:
        usual, expected = (short_duration(lane[f"{name}_interval_minutes"]) for name in ("usual", "expected"))
        return f"every {usual}, expected {expected}"
    if lane["latest_worker_age_minutes"] is None:
        return "never ran"
    down = "down for " if lane["open_outage_count"] else ""
    return f"{count(lane['outage_count'], 'outage')}, {down}{short_duration(_downtime(lane, as_of))}"


def missed_words(report: Mapping[str, Any]) -> str:
    """Returns how many notifications have not arrived at each provider, and when the oldest failed; empty if none."""
    missing = [provider for provider in report["broken_providers"] if provider["failing_notice_count"]]
    if not missing:
        return ""
    counts = [provider["failing_notice_count"] for provider in missing]
    parts = [
        f"{f'{number:,}' if at else count(number, 'notification') + ' sent'} to {provider_title(provider['provider'])}"
        f" ({'the oldest ' if number > 1 else ''}from {day_text(read(provider['failing_since']))})"
        for at, (provider, number) in enumerate(zip(missing[:_MOST_PROVIDERS], counts, strict=False))
    ]
    if len(missing) > _MOST_PROVIDERS:
        others = count(len(missing) - _MOST_PROVIDERS, "other provider")
        parts.append(f"{sum(counts[_MOST_PROVIDERS:]):,} to {others}")
    return f"People may have missed {listed(parts)}."


def decide_words(report: Mapping[str, Any], on_page: Mapping[int, int]) -> str:
    """Says which steps after the first are the executive's own, by their numbers on the page; empty if none is."""
    steps = [
        action
        for action in report["recommended_actions"]
        if (action["number"] or 0) > 1 and action["role"] == EXECUTIVE
    ]
    return " ".join(f"{step['action'].removesuffix('.')} (step {on_page[step['number']]})." for step in steps)


def leak_words(leaks: Mapping[date, int]) -> str:
    """Says how many leaked secrets no one has handled, in evidence of which days, and what to do; empty if none."""
    number = sum(leaks.values())
    if not number:
        return ""
    days = [day_text(day) for day in sorted(leaks)]
    if len(days) > _MOST_DAYS:
        days = [*days[: _MOST_DAYS - 1], count(len(days) - _MOST_DAYS + 1, "other day")]
    secrets = count(number, "leaked secret was", "leaked secrets were")
    what = "it" if number == 1 else "them"
    return f"{secrets} found in evidence from {listed(days)}. Rotate {what}, and fix the source."


def missing_words(report: Mapping[str, Any]) -> str:
    """Says what people have not received, most first; empty if all has arrived."""
    missing = Counter[tuple[str, ...]]()
    for lane in report["lanes"]:
        missing[LANES[lane["lane"]].notice] += lane["failing_notice_count"]
    parts = [count(number, *notice) for notice, number in missing.most_common() if number]
    return f"Not arrived: {listed(parts)}." if parts else ""


def activity_words(report: Mapping[str, Any]) -> list[str]:
    """Returns what was sent and retried in the window, in sentences, and what of all that has not arrived."""
    activity = report["activity"]
    said = [
        f"{count(activity['delivery_count'], 'sending')} of notifications, repeats included; "
        f"{activity['failed_delivery_count']:,} failed at one or more providers."
    ]
    tried = sum(activity[f"{status}_execution_count"] for status in ("delivered", "failed", "skipped"))
    if tried:
        said.append(
            f"{count(tried, 'retry', 'retries')}: {activity['delivered_execution_count']:,} delivered, "
            f"{activity['failed_execution_count']:,} failed, {activity['skipped_execution_count']:,} skipped."
        )
    if missing := sum(lane["failing_notice_count"] for lane in report["lanes"]):
        have = count(missing, "has", "have")
        said.append(f"Of these sendings and earlier ones, {have} not arrived, counted once per provider.")
    return said


def _due_words(report: Mapping[str, Any]) -> str:
    """Says how many of the recoveries due met the limit, how many did before, what became of the others, how fast."""
    recoveries, before = report["recoveries"], report["recoveries_before"]
    closed, still_open = recoveries["closed_in_window_count"], recoveries["slo_breached_count"]
    due, in_time = closed + still_open, _closed_in_time(recoveries)
    which = f" of {due:,}" if due >= _FEW else ""
    then = f" ({share_of_due(before)} in the {count(report['window_days'], 'day')} before)" if before else ""
    half = (
        f"; half of the {closed:,} closed took at most {short_duration(max(0, recoveries['median_minutes_to_close']))}"
        if closed >= _FEWEST
        else ""
    )
    said = f"{share_of_due(recoveries)}{which} recoveries due {'was' if in_time == 1 else 'were'} closed within the "
    return (
        f"{said}{limit_words(report['slo_minutes'])} limit{then}{_late_words(due, closed - in_time, still_open)}{half}."
    )


def _late_words(due: int, late: int, still_open: int) -> str:
    """Says what became of the recoveries due that were not closed within the limit."""
    if late and still_open:
        return f"; {count(late, 'was', 'were')} closed late, and {count(still_open, 'is', 'are')} still open"
    if not (rest := late + still_open):
        return ""
    which = (
        "it" if due == 1 else f"all {rest:,}" if rest == due else "the other" if rest == 1 else f"the other {rest:,}"
    )
    verb, end = (("was", "were"), "closed late") if late else (("is", "are"), "still open")
    return f"; {which} {verb[rest != 1]} {end}"


def headline(report: Mapping[str, Any]) -> str:
    """Returns one or two sentences that say why the state is what it is."""
    return f"{_situation(report)}{_critical_lanes(report)}"


def _critical_lanes(report: Mapping[str, Any]) -> str:
    """Says which lanes make the state critical, where no risk is: nothing waits there, and no step is urgent."""
    lanes = [lane["title"] for lane in report["lanes"] if lane["alert_level"] == "critical"]
    if not lanes or any(risk["severity"] == "critical" for risk in report["key_risks"]):
        return ""
    return f" By CAVRA's rule {listed(lanes)} {'is' if len(lanes) == 1 else 'are'} critical; no step is urgent."


def _situation(report: Mapping[str, Any]) -> str:
    as_of = moment_text(datetime.fromisoformat(report["as_of"]))
    if not report["evidence_record_count"]:
        return f"No evidence had arrived by {as_of}. That is not an all-clear: nothing is known."
    if report["recovery_state"] == NO_PLAYBOOK:
        return f"No recovery playbook had arrived by {as_of}. That is not an all-clear: no recovery is known."
    total, trend = report["open_recovery_count"], _trend(report)
    if not total:
        risks = report["key_risks"]
        if not risks:
            return f"No recovery is open and nothing is failing.{trend}"
        return f"No recovery is open.{trend} {risks[0]['risk']}"
    oldest = short_duration(max(recovery["age_minutes"] for recovery in report["open_recoveries"]))
    late = report["slo_breached_count"]
    limit = limit_words(report["slo_minutes"])
    opened = are(total, "recovery", "recoveries")
    if not late:
        return f"{opened} open, none past the {limit} limit; the oldest is {oldest} old.{trend}"
    if total == 1:
        return f"1 recovery is open, past the {limit} limit: it is {oldest} old.{trend}"
    past = "all of them" if late == total else f"{late:,} of them"
    return f"{opened} open, {past} past the {limit} limit; the oldest is {oldest} old.{trend}"


def _trend(report: Mapping[str, Any]) -> str:
    """Says whether more or fewer recoveries are open, and past the limit, than when the window began."""
    then, now = at_start(report), report["recoveries"]
    if then is None:
        return ""
    day = day_text(read(report["window_start"]))
    changes = [now["open_count"] - then["open_count"], now["slo_breached_count"] - then["breached_count"]]
    if not any(changes):
        return f" The same as on {day}." if then["open_count"] else ""
    word = "Getting worse" if min(changes) >= 0 else "Improving" if max(changes) <= 0 else "Mixed"
    if not then["open_count"]:
        return f" {word}: none was open on {day}."
    return f" {word}: {then['open_count']:,} open on {day}, {then['breached_count']:,} past the limit."


def at_start(report: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Returns the counts with which the window began; None if no recovery was known by then."""
    recoveries = report["recoveries"]
    is_known = recoveries["opened_count"] > recoveries["opened_in_window_count"]
    return report["backlog"][0] if is_known else None


def route_lines(routes: Sequence[Mapping[str, Any]], most: int) -> list[str]:
    """Returns a line for each of the first routes of an escalation plan, and one that says how many more there are."""
    lines = []
    for route in routes[:most]:
        age, failures = route.get("age_minutes"), route.get("failure_count")
        parts = [
            route.get("severity") or "",
            f"open for {short_duration(age)}" if age is not None else "",
            count(failures, "failure") if failures is not None else "",
        ]
        lines.append(f"{provider_title(route.get('provider') or '')}: {', '.join(filter(None, parts))}")
    return lines + _and_more(len(routes) - most)


def risk_lines(risks: Sequence[Mapping[str, Any]], most: int) -> list[str]:
    """Returns a line for each of the first key risks of a report, and one that says how many more there are."""
    lines = [f"{risk['severity'].capitalize()}: {risk['risk']}" for risk in risks[:most]]
    return lines + _and_more(len(risks) - most)


def _and_more(number: int) -> list[str]:
    return [f"And {number:,} more."] if number > 0 else []
