"""How retry plans look at a terminal. Wording and layout only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from cavra_pipeline.cli.common import next_command
from cavra_pipeline.cli.report_tables import point_to
from cavra_pipeline.cli.tables import PLAN_STATES, level, near_time, short_time, show_plan_states, time_of_day
from cavra_pipeline.documents import parse_as_of, whole_minutes
from cavra_pipeline.durations import short_duration
from cavra_pipeline.executive.words import count, listed
from cavra_pipeline.lanes import LANES
from cavra_pipeline.provider_names import provider_title
from cavra_pipeline.reports.cause_words import CAUSE_WORDS, FIX_FIRST, WHERE_APPROVED, held_words
from cavra_pipeline.reports.incidents import PROBED_CAUSES
from cavra_pipeline.terminal import Terminal

#: The pairs of each lane that still need a person's acknowledgement or approval, each with what was said of it.
Uncleared = Mapping[str, Mapping[tuple[str, str], str | None]]
#: The state of a decision that no person holds.
_STATES: Final = {"retry": "ready", "wait": "waiting", "suppress": "exhausted"}


def plan_rows(plan: Mapping[str, Any], uncleared: Collection[tuple[str, str]]) -> list[dict[str, Any]]:
    """Returns the decisions of a plan, what can go now first, the oldest failure of a state before newer ones.

    Each has its subject, its state and what it needs.

    Args:
        plan: The plan.
        uncleared: The pairs that still need a person's acknowledgement or approval.
    """
    lane = LANES[plan["lane"]]
    rows = []
    for decision in plan["retry_decisions"]:
        needs = lane.gate.name.lower() if (decision[lane.subject_field], decision["provider"]) in uncleared else None
        state = "held" if needs and decision["action"] == "retry" else _STATES[decision["action"]]
        rows.append(
            {"lane": lane.name, "subject": decision[lane.subject_field], "state": state, "needs": needs, **decision}
        )
    return sorted(
        rows,
        key=lambda row: (PLAN_STATES.index(row["state"]), row["next_retry_at"] or row["latest_delivery_at"]),
    )


def show_plans_of_lanes(console: Terminal, document: Mapping[str, Any], uncleared: Uncleared) -> None:
    """Shows the retry plan of every lane in use, a line each; `uncleared` has the pairs of each lane."""
    rows = []
    for lane, plan in document["lanes"].items():
        counted = Counter(row["state"] for row in plan_rows(plan, uncleared[lane]))
        rows.append((lane, *(counted[state] for state in PLAN_STATES), _next_due(plan), plan["retry_plan_id"]))
    columns = ("lane", *PLAN_STATES, "next due in", "plan")
    console.table(f"Retry plans of the lanes in use, as of {short_time(document['as_of'])} UTC", columns, rows)
    show_plan_states(console)
    point_to(console, "retry-plan", document)


def _next_due(plan: Mapping[str, Any]) -> str:
    """How long after the plan's instant the first waiting delivery is due."""
    waiting = [
        parse_as_of(decision["next_retry_at"]) for decision in plan["retry_decisions"] if decision["action"] == "wait"
    ]
    return short_duration(whole_minutes(min(waiting) - parse_as_of(plan["as_of"]))) if waiting else "-"


def retry_warnings(
    incidents: Iterable[Mapping[str, Any]], states: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[str]:
    """Returns a sentence for each open incident that makes due retries fail until a person has fixed its cause.

    Args:
        incidents: The open incidents.
        states: The decisions of the due retries, by the state that they are in.
    """
    sentences = []
    for incident in incidents:
        numbers = {
            state: sum(decision["provider_incident_id"] == incident["incident_id"] for decision in decisions)
            for state, decisions in states.items()
        }
        parts = [(number, state) for state, number in numbers.items() if number]
        if parts and incident["cause"] in PROBED_CAUSES:
            what = listed([f"{number:,} {state}" for number, state in parts])
            who = f"{provider_title(incident['provider'])} {CAUSE_WORDS[incident['cause']].what}"
            retries = "retry" if parts[-1][0] == 1 else "retries"
            sentences.append(f"{who}: {what} {retries} would fail. {FIX_FIRST}")
    return sentences


def show_plan(
    console: Terminal,
    plan: Mapping[str, Any],
    uncleared: Mapping[tuple[str, str], str | None],
    incidents: Sequence[Mapping[str, Any]],
) -> None:
    """Shows a retry plan, as `plan_rows` orders it, and which open incidents make its retries fail."""
    rows = plan_rows(plan, uncleared)
    counted = Counter(row["state"] for row in rows)
    policy = (
        f"{plan['max_retry_attempts']} attempts, {plan['base_retry_delay_minutes']:g} min x "
        f"{plan['backoff_multiplier']:g}, at most {short_duration(int(plan['max_retry_delay_minutes']))}"
    )
    console.facts(
        f"Retry plan of {plan['lane']}",
        [
            ("as of", f"{short_time(plan['as_of'])} UTC"),
            ("deliveries", ", ".join(f"{counted[state]} {state}" for state in PLAN_STATES)),
            ("policy", policy),
            ("based on", count(plan["evidence_record_count"], "delivery", "deliveries")),
            ("plan", plan["retry_plan_id"]),
        ],
    )
    if rows:
        columns = ["subject", "provider", "state", *["due"] * bool(counted["waiting"]), "failures", "HTTP"]
        cells = [_plan_cells(row, uncleared, plan["as_of"]) for row in rows]
        title = "Failing deliveries (UTC)" if counted["waiting"] else "Failing deliveries"
        console.table(title, columns, [[row[name] for name in columns] for row in cells])
        if needs_words := _needs_words(rows, uncleared):
            console.print(needs_words, style="dim")
        if any(row["needs"] == "approval" for row in rows):
            console.print(WHERE_APPROVED, style="dim")
        due = {state: [row for row in rows if row["state"] == state] for state in ("ready", "held")}
        for warning in retry_warnings(incidents, due):
            console.print(warning, style="yellow")
        console.next(next_command(f"explain {rows[0]['subject']} {rows[0]['provider']}"))


def _needs_words(rows: Sequence[Mapping[str, Any]], uncleared: Mapping[tuple[str, str], str | None]) -> str:
    """Says what those need that are held without a state, and how many that wait; empty where nothing is needed."""
    needing = [row for row in rows if row["needs"] and not uncleared[row["subject"], row["provider"]]]
    if not needing:
        return ""
    needed = needing[0]["needs"]
    later = sum(row["state"] == "waiting" for row in needing)
    if later == len(needing):
        return f"{later:,} of those waiting {'needs' if later == 1 else 'need'} an {needed} too"
    need = held_words(needed)
    return f"{need}; so {'does' if later == 1 else 'do'} {later:,} of those waiting" if later else need


def _due(moment: str, as_of: str) -> str:
    """When a delivery is due, as short as can be, so that the table has room at 80 columns."""
    return time_of_day(moment, as_of) or near_time(moment, as_of)


def _plan_cells(row: Mapping[str, Any], uncleared: Mapping[tuple[str, str], str | None], as_of: str) -> dict[str, Any]:
    declined = uncleared.get((row["subject"], row["provider"])) if row["state"] == "held" else None
    return {
        "subject": row["subject"],
        "provider": row["provider"],
        "state": level(held_words(row["needs"], declined) if declined else row["state"]),
        "due": _due(row["next_retry_at"], as_of) if row["state"] == "waiting" else None,
        "failures": f"{row['retry_count']} of {row['max_retry_attempts']}",
        "HTTP": ", ".join(map(str, row["failed_status_codes"])) or "-",
    }
