"""The alerts of a health report (contract section 7): one table of category, severity, condition and next step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cavra_pipeline.durations import short_duration
from cavra_pipeline.lanes import Gate, Lane
from cavra_pipeline.reports.cause_words import REASON_WORDS, WORKER_STEP


@dataclass(frozen=True, slots=True)
class AlertRule:
    """One row of the contract's table.

    Attributes:
        category: Names the alert for a lane, or None where the lane has no such alert.
        severity: critical or warning.
        count: What counts what is wrong, among the facts of a report; the alert stands if it is not zero.
        messages: Say what is wrong: one for any count, or one for a count of 1 and one for others. Facts and
            ``{count}`` may stand in them.
        action: Says what to do next; facts may stand in it.
    """

    category: Callable[[Lane], str | None]
    severity: str
    count: str
    messages: tuple[str, ...]
    action: str


def _named(pattern: str) -> Callable[[Lane], str]:
    return lambda lane: pattern.format(lane.alert_name)


#: In the order in which a report lists them.
RULES: Final = (
    AlertRule(
        _named("missed_{}_retry_worker"),
        "critical",
        "missed_worker_count",
        ("The last retry worker run: {latest_worker_age_text}; one is due every {expected_interval_text}.",),
        WORKER_STEP,
    ),
    AlertRule(
        _named("stale_{}_retry_plan"),
        "warning",
        "stale_retry_plan_count",
        ("The last retry plan: {latest_retry_plan_age_text}; after {stale_metadata_text} it is stale.",),
        "Make a new retry plan before anything is retried.",
    ),
    AlertRule(
        lambda lane: f"{lane.alert_name}_acknowledgement_gap" if lane.gate is Gate.ACKNOWLEDGEMENT else None,
        "warning",
        "acknowledgement_pending_count",
        (
            "1 failing delivery needs an acknowledgement before it can be retried.",
            "{count} failing deliveries need an acknowledgement before they can be retried.",
        ),
        "Acknowledge each one; live retries wait until then.",
    ),
    AlertRule(
        lambda lane: f"{lane.alert_name}_approval_gap" if lane.gate is Gate.APPROVAL else None,
        "warning",
        "approval_pending_count",
        (
            "1 retry is due and has not been approved.",
            "{count} retries are due and have not been approved.",
        ),
        "Approve or deny each one; live retries wait until then.",
    ),
    AlertRule(
        lambda lane: f"{lane.name}_acknowledgement_outstanding" if lane.alerts_of else None,
        "warning",
        "outstanding_alert_acknowledgement_count",
        (
            "1 health alert needs an acknowledgement.",
            "{count} health alerts need an acknowledgement.",
        ),
        "Acknowledge each health alert for its provider, or resolve it.",
    ),
    AlertRule(
        _named("failed_{}_retry_execution"),
        "critical",
        "unresolved_failed_execution_count",
        (
            "1 retry failed or was skipped and has not been delivered since.{skipped_text}",
            "{count} retries failed or were skipped and have not been delivered since.{skipped_text}",
        ),
        "{execution_action}",
    ),
    AlertRule(
        lambda lane: lane.delivery_alert,
        "critical",
        "unresolved_delivery_count",
        (
            "1 delivery is failing.",
            "{count} deliveries are failing.",
        ),
        "Read the retry plan: retry what is due and fix the connectors of what is exhausted.",
    ),
    AlertRule(
        _named("disabled_{}_retry_schedule"),
        "warning",
        "is_schedule_disabled",
        ("The last worker run says that its schedule is disabled.",),
        "Switch the schedule on again, or record why it is off.",
    ),
)


def alerts_for(
    report: Mapping[str, Any], lane: Lane, *, skipped: Mapping[str, int], is_schedule_disabled: bool
) -> Iterator[dict[str, str]]:
    """Yields the alerts that stand, each with ``severity``, ``category``, ``message`` and ``action``.

    Args:
        report: The health report without its alerts.
        lane: Its lane.
        skipped: How many of the unresolved executions were skipped, by reason.
        is_schedule_disabled: Whether the newest worker run said that its schedule is off.
    """
    facts: dict[str, Any] = {
        **report,
        "is_schedule_disabled": is_schedule_disabled,
        "latest_worker_age_text": _age_text(report["latest_worker_age_minutes"]),
        "latest_retry_plan_age_text": _age_text(report["latest_retry_plan_age_minutes"]),
        "expected_interval_text": short_duration(report["expected_interval_minutes"]),
        "stale_metadata_text": short_duration(report["stale_metadata_minutes"]),
        "skipped_text": _skipped_text(skipped),
        "execution_action": _execution_action(report, skipped),
    }
    for rule in RULES:
        category = rule.category(lane)
        count = int(facts[rule.count])
        if category and count:
            message = rule.messages[0 if count == 1 else -1].format(count=f"{count:,}", **facts)
            yield {
                "severity": rule.severity,
                "category": category,
                "message": message,
                "action": rule.action.format(**facts),
            }


def _age_text(minutes: int | None) -> str:
    """Formats an age; None stands for an event that never happened."""
    if minutes is None:
        return "none yet"
    return f"{short_duration(minutes)} ago"


def _skipped_text(skipped: Mapping[str, int]) -> str:
    if not skipped:
        return ""
    reasons = ", ".join(f"{count:,} ({REASON_WORDS[reason]})" for reason, count in sorted(skipped.items()))
    return f" Skipped, so nothing was sent: {reasons}."


def _execution_action(report: Mapping[str, Any], skipped: Mapping[str, int]) -> str:
    """Says what to do about unresolved executions; a connector is named only where one is at fault."""
    steps, count = [], int(report["unresolved_failed_execution_count"])
    if count > sum(skipped.values()):
        steps.append("fix its connector" if count == 1 else "fix the connectors of those that failed")
    if "connector_config_not_configured" in skipped:
        steps.append("configure its connector" if count == 1 else "configure the missing connectors")
    if set(skipped) - {"connector_config_not_configured"}:
        steps.append("find out why the others were skipped" if steps else "find out why nothing was sent")
    return f"{'; '.join(steps).capitalize()}. Then retry or resolve {'it' if count == 1 else 'them'}."
