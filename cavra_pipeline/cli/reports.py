"""The commands that evaluate evidence: health, retry plans, dashboard."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import click

from cavra_pipeline.cli import columns
from cavra_pipeline.cli.command import TABLE, OneOf, answers, command, form_of_answer
from cavra_pipeline.cli.common import (
    ANY_LANE,
    AS_OF,
    EXIT_UNHEALTHY,
    GENERATED_BY,
    answer,
    clock,
    home,
    of_lanes,
    reading,
    reading_state,
)
from cavra_pipeline.cli.plan_tables import plan_rows, show_plan, show_plans_of_lanes
from cavra_pipeline.cli.report_tables import (
    BesideHealth,
    problems_of,
    show_dashboard,
    show_health,
    show_health_of_lanes,
    unless_empty,
)
from cavra_pipeline.cli.worker_down import down_step, interval_step
from cavra_pipeline.declared import options_of
from cavra_pipeline.documents import naive_utc, parse_as_of
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.reports.cadence import usual_interval_of
from cavra_pipeline.reports.clearance import declined_states, uncleared_pairs
from cavra_pipeline.reports.dashboard import dashboards
from cavra_pipeline.reports.executions import unresolved_pairs
from cavra_pipeline.reports.health import (
    UNKNOWN,
    HealthParameters,
    alert_level,
    health_parameters,
    lanes_in_use,
    retry_health_reports,
)
from cavra_pipeline.reports.incidents import incidents
from cavra_pipeline.reports.outstanding import AlertKinds, outstanding_pairs
from cavra_pipeline.reports.overview import extent
from cavra_pipeline.reports.plan import retry_plans
from cavra_pipeline.reports.policy import RetryPolicy, retry_policy
from cavra_pipeline.reports.store import save_plan
from cavra_pipeline.slots.ledger import slots_of_reports
from cavra_pipeline.state import state_of
from cavra_pipeline.terminal import Terminal
from cavra_pipeline.warehouse import Session

_FAILING_LEVELS: Final = {"warning": ("warning", "critical"), "critical": ("critical",)}


@command(
    "retry-health",
    "cavra-pipeline retry-health",
    "cavra-pipeline retry-health --lane executive_report --as-of yesterday",
)
@ANY_LANE
@AS_OF
@GENERATED_BY
@answers
@options_of(HealthParameters, "Expectations")
@click.option("--fail-on", type=OneOf(list(_FAILING_LEVELS)), help="Exit 3 if a lane is at this level or worse.")
def retry_health_command(
    lane: Lane | None,
    as_of: datetime | None,
    generated_by: str,
    fail_on: str | None,
    **parameters: int | None,
) -> None:
    """Show what is wrong in each lane, and what to do about it.

    Whether its worker runs, its plans are fresh, what failed, and which acknowledgements and approvals are missing.
    CSV lists the problems.
    """
    now = clock()
    with reading() as session:
        every = [
            retry_health_reports(
                session,
                each_lane,
                health_parameters(each_lane, **parameters),
                instants=[as_of or now],
                now=now,
                generated_by=generated_by,
            )[0]
            for each_lane in ([lane] if lane else LANES.values())
        ]
        reports = [report for report in every if lane or report["alert_level"] != UNKNOWN]
        evidence = extent(session, as_of or now)
        about = _beside_health(session, lane, naive_utc(as_of or now)) if lane else {}
    levels = [str(report["alert_level"]) for report in reports]
    if lane is None:
        document = of_lanes(reports, as_of or now, alert_level=alert_level(levels))
        show = unless_empty(show_health_of_lanes, "Retry health", evidence)
        answer(
            document, show, lambda lanes_document: _alert_rows(lanes_document["lanes"].values()), columns.HEALTH_ALERTS
        )
    else:
        with reading_state() as c:
            (slots,) = slots_of_reports(c, reports)

        def show_one(console: Terminal, report: Mapping[str, Any]) -> None:
            is_down = report["missed_worker_count"] and not usual_interval_of(report)
            step = down_step([report["lane"]], is_past=as_of is not None) if is_down else ""
            slow_step = ""
            if usual_interval_of(report):
                slow_step = interval_step(
                    report["lane"], report["expected_interval_minutes"], is_past=as_of is not None
                )
            show_health(console, report, BesideHealth(slots=slots, **about, down_step=step, interval_step=slow_step))

        answer(
            reports[0],
            show_one if slots else unless_empty(show_one, "Retry health", evidence),
            lambda report: _alert_rows([report]),
            columns.HEALTH_ALERTS,
        )
    sys.exit(EXIT_UNHEALTHY if fail_on and {*levels} & {*_FAILING_LEVELS[fail_on]} else 0)


def _beside_health(session: Session, lane: Lane, at: datetime) -> dict[str, Any]:
    open_incidents = incidents(session, [at], is_open=True)[at]
    return {
        "incidents": [incident for incident in open_incidents if lane.name in incident["lanes"]],
        "failed": unresolved_pairs(session, lane, at),
        "unanswered": outstanding_pairs(session, AlertKinds.of(lane), at),
    }


@command(
    "retry-plan",
    "cavra-pipeline retry-plan",
    "cavra-pipeline retry-plan --lane executive_report --output csv",
)
@ANY_LANE
@AS_OF
@GENERATED_BY
@answers
@options_of(RetryPolicy, "Retry policy")
@click.option("--save", is_flag=True, help="Save the plan, so that worker --plan can execute it.")
def retry_plan_command(
    lane: Lane | None,
    as_of: datetime | None,
    generated_by: str,
    save: bool,
    **fields: Any,
) -> None:
    """Decide what to retry, what waits, what is exhausted.

    A plan is a preview, unless --save saves it. CSV lists the deliveries, each with its state and what it needs.
    """
    now = clock()
    with reading() as session:
        lanes = [lane] if lane else lanes_in_use(session, as_of=as_of or now, now=now)
        plans = [
            retry_plans(
                session,
                each_lane,
                retry_policy(each_lane, fields),
                instants=[as_of or now],
                now=now,
                generated_by=generated_by,
            )[0]
            for each_lane in lanes
        ]
        uncleared = {
            each_lane.name: _uncleared(session, each_lane, plan) for each_lane, plan in zip(lanes, plans, strict=True)
        }
        evidence = extent(session, as_of or now)
        at = naive_utc(as_of or now)
        is_shown = lane is not None and form_of_answer() == TABLE
        open_incidents = incidents(session, [at], is_open=True)[at] if is_shown else []
    for plan in plans if save else ():
        save_plan(state_of(home()), plan, now=now)

    def rows(_document: object) -> list[dict[str, Any]]:
        return [row for plan in plans for row in plan_rows(plan, uncleared[plan["lane"]])]

    if lane:
        show = unless_empty(
            lambda console, plan: show_plan(console, plan, uncleared[lane.name], open_incidents), "Retry plan", evidence
        )
        answer(plans[0], show, rows, columns.plan_columns(lanes))
        return
    document = of_lanes(plans, as_of or now, alert_level=alert_level([str(plan["alert_level"]) for plan in plans]))
    show = unless_empty(
        lambda console, plans_document: show_plans_of_lanes(console, plans_document, uncleared),
        "Retry plans",
        evidence,
    )
    answer(document, show, rows, columns.plan_columns(lanes))


def _uncleared(session: Session, lane: Lane, plan: Mapping[str, Any]) -> dict[tuple[str, str], str | None]:
    """The pairs of a plan that are not exhausted and still need a person's word, each with what was said of it."""
    left = [decision for decision in plan["retry_decisions"] if decision["action"] != "suppress"]
    at = naive_utc(parse_as_of(plan["as_of"]))
    pairs = uncleared_pairs(session, lane, left, at)
    declined = declined_states(session, lane, pairs, at)
    return {pair: declined.get(pair) for pair in pairs}


def _alert_rows(reports: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for report in reports:
        for alert, action in problems_of(report):
            yield {"lane": report["lane"], "as_of": report["as_of"], **alert, "recommended_action": action}


@command("dashboard", "cavra-pipeline dashboard", "cavra-pipeline dashboard --as-of 2d --json")
@AS_OF
@answers
def dashboard(as_of: datetime | None) -> None:
    """Count everything, over all lanes and per lane."""
    now = clock()
    with reading() as session:
        (document,) = dashboards(session, instants=[as_of or now], now=now)
        evidence = extent(session, as_of or now)
    answer(
        document,
        unless_empty(show_dashboard, "Dashboard", evidence),
        lambda counts_by_lane: [{"lane": lane} | counts for lane, counts in counts_by_lane["lanes"].items()],
    )
