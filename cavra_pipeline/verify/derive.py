"""Recomputes a report from the records of its lane (contract sections 4, 4a, 6 and 7) with Python 3.11 alone.

Written from the contract, without DuckDB or code of the engine. Goes into every proof bundle.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

REPORT_IDS = ("retry_plan_id", "health_id")
EXECUTIVE_ID = "executive_report_id"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NEVER_RAN: dict[str, Any] = {"started_at": None, "ended_at": None, "missed_runs": 1}
Document = dict[str, Any]
Pair = tuple[str, str]


def provider_of(name: object) -> str:
    """Returns a provider's name in the form in which names are compared."""
    return str(name or "").strip(" \t\r\n").lower().replace("-", "_")


def due_at(moment: datetime, span: timedelta) -> datetime | None:
    """Returns the instant a span later; None if it is past the end of the calendar."""
    try:
        return moment + span
    except OverflowError:
        return None


@dataclass(order=True)
class LaneRecord:
    """A record; records sort from the oldest to the newest."""

    at: datetime
    session_id: str
    type: str = field(compare=False)
    raw: Document = field(compare=False)

    def value(self, *names: str) -> Any:
        """Returns the first of these members that is not empty, in the record or its payload."""
        parts = [self.raw, *(value for value in self.raw.values() if isinstance(value, dict))]
        return next((part[name] for name in names for part in parts if part.get(name) not in (None, "")), None)

    def status(self) -> Any:
        """Returns how an execution ended."""
        word = self.raw.get("execution_status")
        is_declared = word in ("delivered", "failed", "skipped")
        return word if is_declared else "delivered" if self.value("delivery_success") else "failed"

    def answer(self) -> Any:
        """Returns the state that an acknowledgement records."""
        return self.raw.get("acknowledgement_state")

    def provider(self) -> str:
        """Returns the provider that the record names; empty if none."""
        return provider_of(self.raw.get("provider"))

    def outcomes(self) -> dict[str, tuple[bool, int | None]]:
        """Returns for each provider of a delivery whether it failed, and the status code."""
        tried, failed = ([*filter(None, map(provider_of, self.raw.get(f"{o}providers", ())))] for o in ("", "failed_"))
        codes = self.raw.get("status_codes", [])
        status = dict(zip(tried[::-1], codes[::-1], strict=True)) if len(codes) == len(tried) else {}
        sent = {provider_of(part.get("provider")): part for part in self.raw.get("delivery", {}).get("deliveries", ())}
        status |= {provider: part["status_code"] for provider, part in sent.items() if "status_code" in part}
        is_failed = self.raw.get("delivery_success") is not True
        return {name: (name in failed if failed else is_failed, status.get(name)) for name in (*tried, *failed)}

    def has_failed(self) -> bool:
        """Returns whether a delivery failed at any of its providers."""
        return any(is_failed for is_failed, _ in self.outcomes().values())


def lane_records(rules: Document, records: Iterable[Document]) -> list[LaneRecord]:
    """Returns records with their instant and type, by the rules of their lane."""
    types, moment = rules["types"], datetime.fromisoformat
    return [LaneRecord(moment(r["created_at"]), r["session_id"], types[r["metadata_kind"]], r) for r in records]


class Attempt(NamedTuple):
    """A delivery of a pair: its record, whether it failed, and its status code."""

    record: LaneRecord
    is_failed: bool
    code: int | None


class LanePairs:
    """The pairs of a subject and a provider in a lane's records up to an instant."""

    def __init__(self, lane: Document, records: Sequence[LaneRecord], as_of: datetime) -> None:
        self.lane, self.as_of, self.records = lane, as_of, sorted(r for r in records if r.at <= as_of)
        self.links: dict[str, Pair] = {}
        self.parents: dict[Pair, str] = {}
        sent = {delivery.session_id: self.subject(delivery) for delivery in self.of("delivery")}
        for execution in self.of("execution") if lane["retries_have_new_subjects"] else ():
            new, failed = execution.value("delivery_metadata_id", "new_delivery_id"), self.subject(execution)
            if new and failed and new not in self.links:
                self.links[new] = failed, execution.provider()
                if sent.get(new, "") not in ("", failed):
                    self.parents.setdefault((sent[new], execution.provider()), failed)
        self.attempts: defaultdict[Pair, list[Attempt]] = defaultdict(list)
        for delivery in self.of("delivery"):
            failed, at = self.links.get(delivery.session_id, ("", ""))
            for provider, outcome in delivery.outcomes().items():
                subject = self.first(failed, provider) if provider == at else sent[delivery.session_id]
                if subject:
                    self.attempts[subject, provider].append(Attempt(delivery, *outcome))
        self.failing = {
            pair: tries for pair, tries in sorted(self.attempts.items()) if all(attempt.is_failed for attempt in tries)
        }

    def of(self, *types: str, since: datetime | None = None) -> list[LaneRecord]:
        """Returns the records of some types, oldest first."""
        return [record for record in self.records if record.type in types and (since is None or record.at > since)]

    def subject(self, record: LaneRecord) -> str:
        """Returns a record's own subject; empty if it has none."""
        names = self.lane["subject_fields"] if record.type == "delivery" else [self.lane["subject_field"]]
        if record.raw.get("event_id") == record.raw.get("event_type"):
            names = [name for name in names if name != "event_id"]
        return next((record.raw[name] for name in names if record.raw.get(name)), "")

    def first(self, subject: str, provider: str) -> str:
        """Returns the subject at the beginning of a chain of retries; in a circle the subject itself."""
        seen, first = {subject}, subject
        while (first, provider) in self.parents:
            first = self.parents[first, provider]
            if first in seen:
                return subject
            seen.add(first)
        return first

    def by_pair(self, *types: str) -> dict[Pair, list[LaneRecord]]:
        """Returns the records of some types by the pair that they are about, oldest first."""
        by_pair: defaultdict[Pair, list[LaneRecord]] = defaultdict(list)
        for record in self.of(*types):
            provider = record.provider()
            by_pair[self.first(self.subject(record), provider), provider].append(record)
        return by_pair

    def decisions(self, policy: Document) -> Iterator[Document]:
        """Yields the decision of a policy on each failing pair."""
        for (subject, provider), attempts in self.failing.items():
            (latest, _, code), count, minutes = attempts[-1], len(attempts), policy["max_retry_delay_minutes"]
            base, factor = policy["base_retry_delay_minutes"], float(policy["backoff_multiplier"])
            if not base or (count - 1) * math.log(factor) <= 600:
                minutes = base and min(minutes, base * factor ** (count - 1))
            microseconds = math.floor(60_000_000 * minutes + 0.5)
            due = due_at(latest.at, timedelta(microseconds=microseconds))
            is_last = count >= policy["max_retry_attempts"]
            is_over = is_last or code in policy["non_retryable_status_codes"]
            reason = "max_retry_attempts_reached" if is_last else "non_retryable_status_code"
            action = "suppress" if is_over else "wait" if not due or self.as_of < due else "retry"
            beside = {name: latest.raw.get(name) for name in [self.lane["decision_field"]] if name}
            yield beside | {
                self.lane["subject_field"]: subject, "provider": provider, "action": action, "retry_count": count,
                "reason": {"wait": "retry_delay_not_elapsed", "retry": "retry_delay_elapsed"}.get(action, reason),
                "max_retry_attempts": policy["max_retry_attempts"], "retry_delay_minutes": microseconds // 60_000_000,
                "first_delivery_id": attempts[0].record.session_id, "latest_delivery_id": latest.session_id,
                "latest_delivery_at": latest.at.isoformat(),
                "next_retry_at": due.isoformat() if due and not is_over else None,
                "failed_status_codes": sorted({attempt.code for attempt in attempts if attempt.code is not None}),
            }  # fmt: skip

    def gaps(self, decisions: Iterable[Document]) -> dict[str, list[Document]]:
        """Returns the pairs that wait for an acknowledgement, and those that wait for an approval."""
        gaps: dict[str, list[Document]] = {"acknowledgement": [], "approval": []}
        acknowledgements, events = self.by_pair("acknowledgement"), self.by_pair("approval", "execution")
        names = (self.lane["subject_field"], self.lane["decision_field"], "provider")
        for decision in decisions:
            pair = decision[names[0]], decision["provider"]
            since = self.failing[pair][0].record.at.isoformat()
            gap = {name: decision[name] for name in names if name} | {"since": since}
            state = acknowledgements[pair][-1].answer() if pair in acknowledgements else None
            if self.lane["gate"] == "acknowledgement" and state not in self.lane["clearing"]:
                gaps["acknowledgement"].append(gap | {"acknowledgement_state": state or None})
            ends = [end for end in events.get(pair, ()) if end.type == "approval" or end.status() == "delivered"]
            states = [end.raw.get("approval_state") or None for end in ends if end.type == "approval"]
            is_approved = states[-1:] == ["approved"] and ends[-1].type == "approval"
            if self.lane["gate"] == "approval" and decision["action"] == "retry" and not is_approved:
                gaps["approval"].append(gap | {"approval_state": states[-1] if states else None})
        return gaps

    def retry_counts(self) -> dict[str, Counter[str]]:
        """Counts the failing pairs of each provider by what the lane's own policy decides."""
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        left = []
        for decision in self.decisions(self.lane["policy"]):
            is_left = decision["action"] != "suppress"
            counts[decision["provider"]]["cleared_count" if is_left else "suppressed_count"] += 1
            left += [decision | {"action": "retry"}] if is_left else []
        for gap in [gap for gaps in self.gaps(left).values() for gap in gaps]:
            state = str(gap.get("acknowledgement_state") or gap.get("approval_state"))
            name = state if state in self.lane["declining"] else "uncleared_count"
            counts[gap["provider"]].update({"cleared_count": -1, name: 1})
        return counts

    def outstanding(self) -> int:
        """Counts the pairs that the newest alert plan of a health report requires and no one has answered."""
        plans = {
            p.raw.get("health_id"): p.raw.get("acknowledgement_required_providers", ()) for p in self.of("alert_plan")
        }
        states = {(r.raw.get("health_id"), r.provider()): r.answer() for r in self.of("acknowledgement")}
        required = {(health_id, provider_of(name)) for health_id, names in plans.items() for name in names}
        return sum(states.get(pair) not in ("acknowledged", "resolved") for pair in required if all(pair))

    def unresolved(self) -> list[LaneRecord]:
        """Returns the newest execution of each pair, if it failed or was skipped and nothing has closed it."""
        closed = self.attempts.keys() - self.failing.keys()
        for pair, acknowledgements in self.by_pair("acknowledgement").items():
            if acknowledgements[-1].answer() in ("dismissed", "resolved"):
                closed.add(pair)
        newest = {pair: executions[-1] for pair, executions in self.by_pair("execution").items()}
        return [last for pair, last in newest.items() if last.status() != "delivered" and pair not in closed]


def _skipped(executions: Sequence[LaneRecord]) -> dict[str, int]:
    skipped = (execution for execution in executions if execution.status() == "skipped")
    return dict(sorted(Counter(execution.value("skipped", "skip_reason") or "other" for execution in skipped).items()))


def retry_plan(pairs: LanePairs, parameters: Document, pruned: Mapping[str, int]) -> Document:
    """Computes a retry plan by the policy of another (contract section 6)."""
    decisions = list(pairs.decisions(parameters))
    count = Counter(decision["action"] for decision in decisions)
    return {name: parameters[name] for name in pairs.lane["policy"]} | {
        "alert_level": "critical" if count["retry"] + count["suppress"] else "warning" if count["wait"] else "healthy",
        "decision_count": len(decisions), "retryable_count": count["retry"], "waiting_count": count["wait"],
        "suppressed_count": count["suppress"], "retry_decisions": decisions,
        "evidence_record_count": len(pairs.of("delivery")) + pruned["delivery_count"],
    }  # fmt: skip


def retry_health(pairs: LanePairs, parameters: Document, pruned: Mapping[str, int]) -> Document:
    """Computes a health report by the parameters of another (contract section 7)."""
    at, lane, runs, plans = pairs.as_of, pairs.lane, pairs.of("worker_run"), pairs.of("retry_plan")
    interval, stale = parameters["expected_interval_minutes"] * MINUTE, parameters["stale_metadata_minutes"] * MINUTE
    start = at - min(60 * parameters["window_hours"] * MINUTE, at - datetime.min.replace(tzinfo=UTC))
    record_count = len(pairs.records) + pruned["record_count"]
    is_in_use = lane["is_always_in_use"] or record_count > 0
    age, plan_age = (at - records[-1].at if records else timedelta.max for records in (runs, plans))
    ends = [other.at for other in runs[1:]] + [at]
    outages = [
        {
            "started_at": (run.at + interval).isoformat(), "ended_at": None if run is runs[-1] else end.isoformat(),
            "missed_runs": (end - run.at) // interval - 1,
        }
        for run, end in zip(runs, ends, strict=False)
        if end - run.at > 2 * interval and (end > start or run is runs[-1])
    ]  # fmt: skip
    outages = (outages if runs else [NEVER_RAN]) if is_in_use else []
    gaps, unresolved = pairs.gaps(pairs.decisions(lane["policy"])), pairs.unresolved()
    report = {
        **{name: parameters[name] for name in ("expected_interval_minutes", "stale_metadata_minutes", "window_hours")},
        **_in_window(pairs, start),
        "evidence_record_count": record_count,
        "latest_worker_run_id": runs[-1].raw.get("run_id") or runs[-1].session_id if runs else None,
        "latest_worker_age_minutes": age // MINUTE if runs else None,
        "missed_worker_count": int(is_in_use and age > 2 * interval),
        "missed_run_count": sum(int(outage["missed_runs"]) for outage in outages),
        "latest_retry_plan_id": plans[-1].raw.get("retry_plan_id") or plans[-1].session_id if plans else None,
        "latest_retry_plan_age_minutes": plan_age // MINUTE if plans else None,
        "stale_retry_plan_count": int(is_in_use and plan_age > stale),
        "outages": outages,
        "unresolved_delivery_count": len(pairs.failing),
        "outstanding_alert_acknowledgement_count": pairs.outstanding() if lane["delivers_alerts"] else 0,
        "unresolved_failed_execution_count": len(unresolved),
        **{f"{gate}_gaps": of_gate for gate, of_gate in gaps.items()},
        **{f"{gate}_pending_count": len(of_gate) for gate, of_gate in gaps.items()},
    }
    alerts = list(_alerts(lane, report, _skipped(unresolved), any(map(_is_off, runs[-1:])))) if is_in_use else []
    levels = [alert["severity"] for alert in alerts] + (["healthy"] if is_in_use else ["unknown"])
    report["alert_level"] = "critical" if "critical" in levels else levels[0]
    report["recommended_actions"] = [alert.pop("action") for alert in alerts]
    return report | {"alerts": alerts, "alert_count": len(alerts)}


def _is_off(run: LaneRecord) -> bool:
    return (run.value("schedule") or {}).get("enabled") is False


def _in_window(pairs: LanePairs, start: datetime) -> Document:
    runs, plans = pairs.of("worker_run", since=start), pairs.of("retry_plan", since=start)
    executions, sent = pairs.of("execution", since=start), pairs.of("delivery", since=start)
    after = set()
    for attempts in pairs.attempts.values():
        success = next((attempt.record for attempt in attempts if not attempt.is_failed), None)
        failures = [attempt.record for attempt in attempts if attempt.is_failed and attempt.record.at > start]
        after |= {record.session_id for record in failures if success and record > success}
    delivered, skipped = sum(execution.status() == "delivered" for execution in executions), _skipped(executions)
    return {
        "worker_run_count": len(runs), "dry_run_count": sum(run.raw.get("dry_run") is not False for run in runs),
        "selected_retry_count": sum(run.raw.get("selected_retry_count", 0) for run in runs),
        "disabled_schedule_count": sum(map(_is_off, runs)),
        "retry_plan_count": len(plans), "retryable_count": sum(plan.raw.get("retryable_count", 0) for plan in plans),
        pairs.lane["failed_delivery_field"]: sum(delivery.has_failed() for delivery in sent),
        "failed_after_delivery_count": len(after), "execution_record_count": len(executions),
        "failed_execution_count": len(executions) - delivered, "delivered_execution_count": delivered,
        "skipped_execution_count": sum(skipped.values()), "skipped_reasons": skipped,
    }  # fmt: skip


def _alerts(lane: Document, report: Document, skipped: Mapping[str, int], is_off: bool) -> Iterator[Document]:
    unresolved = report["unresolved_failed_execution_count"]
    missing = "connector_config_not_configured"
    fix, configure, them = (
        ("fix its connector", "configure its connector", "it")
        if unresolved == 1
        else ("fix the connectors of those that failed", "configure the missing connectors", "them")
    )
    steps = [fix] * (unresolved > sum(skipped.values())) + [configure] * (missing in skipped)
    if skipped.keys() - {missing}:
        steps.append("find out why the others were skipped" if steps else "find out why nothing was sent")
    reasons = ", ".join(f"{count:,} ({lane['reasons'][reason]})" for reason, count in skipped.items())
    facts = report | {
        "is_schedule_disabled": is_off,
        "execution_action": f"{'; '.join(steps).capitalize()}. Then retry or resolve {them}.",
        "skipped_text": f" Skipped, so nothing was sent: {reasons}." if skipped else "",
    }
    for name in ("latest_worker_age", "latest_retry_plan_age"):
        age = report[f"{name}_minutes"]
        facts[f"{name}_text"] = "none yet" if age is None else f"{_span(age)} ago"
    for name in ("expected_interval", "stale_metadata"):
        facts[f"{name}_text"] = _span(report[f"{name}_minutes"])
    for category, severity, counted, messages, action in lane["alerts"]:
        if count := int(facts[counted]):
            message = messages[0 if count == 1 else -1].format(count=f"{count:,}", **facts)
            yield {"severity": severity, "category": category, "message": message, "action": action.format(**facts)}


def _span(minutes: int) -> str:
    parts = [(minutes // 1440, "d"), (minutes // 60 % 24, "h"), (minutes % 60, "min")]
    return " ".join(f"{n} {unit}" for n, unit in parts[(minutes < 1440) + (minutes < 60) :][:2] if n) or "0 min"


def derive(report: Document, lane: Document, records: Sequence[Document], pruned: Mapping[str, int]) -> Document:
    """Recomputes a report by its own parameters.

    Args:
        report: The report, a retry plan or retry health.
        lane: The rules of its lane.
        records: Every record of the lane up to the day of the report.
        pruned: How many records and deliveries of the lane retention has removed.
    """
    pairs = LanePairs(lane, lane_records(lane, records), datetime.fromisoformat(report["as_of"]).astimezone(UTC))
    is_plan = "retry_plan_id" in report
    kind, name, work = ("plan", "retry_plan_id", retry_plan) if is_plan else ("health", "health_id", retry_health)
    recomputed = {"as_of": pairs.as_of.isoformat(), "product": "CAVRA", "lane": lane["name"], name: ""}
    recomputed |= {"schema_version": lane[f"{kind}_schema"]} | work(pairs, report, pruned)
    text = json.dumps(recomputed, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return recomputed | {name: f"retry-{kind}-{lane['name']}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"}
