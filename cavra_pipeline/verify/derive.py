"""Works a report out again from the records of its lane (contract sections 4, 4a, 6 and 7) with Python 3.11 alone.

Written from the contract; neither DuckDB nor the engine has a part in it. Goes into every proof bundle.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

REPORT_IDS = ("retry_plan_id", "health_id")
MINUTE = timedelta(minutes=1)
NEVER_RAN: dict[str, Any] = {"started_at": None, "ended_at": None, "missed_runs": 1}
Document = dict[str, Any]
Pair = tuple[str, str]


def provider_of(name: object) -> str:
    """Returns a provider's name as names are compared."""
    return str(name or "").strip(" \t\r\n").lower().replace("-", "_")


def due_at(moment: datetime, span: timedelta) -> datetime | None:
    """Returns the instant a span later, or None past the last one there is."""
    try:
        return moment + span
    except OverflowError:
        return None


@dataclass(order=True)
class LaneRecord:
    """A record; entries sort from the oldest to the newest."""

    at: datetime
    session_id: str
    type: str = field(compare=False)
    raw: Document = field(compare=False)

    def value(self, *names: str) -> Any:
        """The first of these members that the record or its payload has and that is not empty."""
        places = [self.raw, *(one for one in self.raw.values() if isinstance(one, dict))]
        return next((one[name] for name in names for one in places if one.get(name) not in (None, "")), None)

    def status(self) -> Any:
        """How an execution ended."""
        return self.raw.get("execution_status", "delivered" if self.value("delivery_success") else "failed")

    def answer(self) -> Any:
        """What an acknowledgement says."""
        return self.raw.get("acknowledgement_state")

    def outcomes(self) -> dict[str, tuple[bool, int | None]]:
        """Whether a delivery failed, and its status, for each provider."""
        tried, failed = ([*filter(None, map(provider_of, self.raw.get(f"{o}providers", ())))] for o in ("", "failed_"))
        codes = self.raw.get("status_codes", [])
        status = dict(zip(tried[::-1], codes[::-1], strict=True)) if len(codes) == len(tried) else {}
        said = {provider_of(one.get("provider")): one for one in self.raw.get("delivery", {}).get("deliveries", ())}
        status |= {provider: one["status_code"] for provider, one in said.items() if "status_code" in one}
        is_failed = self.raw.get("delivery_success") is not True
        return {one: (one in failed if failed else is_failed, status.get(one)) for one in (*tried, *failed)}


class LanePairs:
    """What the records of a lane up to an instant say of its pairs of a subject and a provider."""

    def __init__(self, lane: Document, entries: Sequence[LaneRecord], as_of: datetime) -> None:
        self.lane, self.as_of, self.entries = lane, as_of, sorted(one for one in entries if one.at <= as_of)
        self.links: dict[str, Pair] = {}
        self.parents: dict[Pair, str] = {}
        sent = {one.session_id: self.subject(one) for one in self.of("delivery")}
        for one in self.of("execution") if lane["retries_have_new_subjects"] else ():
            new, failed = one.value("delivery_metadata_id", "new_delivery_id"), self.subject(one)
            if new and failed and new not in self.links:
                self.links[new] = failed, provider_of(one.raw.get("provider"))
                if sent.get(new, "") not in ("", failed):
                    self.parents.setdefault((sent[new], self.links[new][1]), failed)
        self.pairs: defaultdict[Pair, list[tuple[LaneRecord, bool, int | None]]] = defaultdict(list)
        for one in self.of("delivery"):
            failed, at = self.links.get(one.session_id, ("", ""))
            for provider, outcome in one.outcomes().items():
                subject = self.first(failed, provider) if provider == at else sent[one.session_id]
                if subject:
                    self.pairs[subject, provider].append((one, *outcome))
        self.failing = {pair: tries for pair, tries in sorted(self.pairs.items()) if all(one[1] for one in tries)}

    def of(self, *types: str, since: datetime | None = None) -> list[LaneRecord]:
        """The records of some types, oldest first."""
        return [one for one in self.entries if one.type in types and (since is None or one.at > since)]

    def subject(self, one: LaneRecord) -> str:
        """A record's own subject; empty if it has none."""
        names = self.lane["subject_fields"] if one.type == "delivery" else [self.lane["subject_field"]]
        raw = {**one.raw, "event_id": ""} if one.raw.get("event_id") == one.raw.get("event_type") else one.raw
        return next((raw[name] for name in names if raw.get(name)), "")

    def first(self, subject: str, provider: str) -> str:
        """The subject at the beginning of a chain of retries; a circle has none."""
        seen, found = {subject}, subject
        while (found, provider) in self.parents:
            found = self.parents[found, provider]
            if found in seen:
                return subject
            seen.add(found)
        return found

    def said(self, *types: str) -> dict[Pair, list[LaneRecord]]:
        """The records of some types about each pair, oldest first."""
        found: dict[Pair, list[LaneRecord]] = {}
        for one in self.of(*types):
            provider = provider_of(one.raw.get("provider"))
            found.setdefault((self.first(self.subject(one), provider), provider), []).append(one)
        return found

    def decisions(self, policy: Document) -> Iterator[Document]:
        """What a policy decides of each failing pair."""
        for (subject, provider), tries in self.failing.items():
            (latest, _, code), count, minutes = tries[-1], len(tries), policy["max_retry_delay_minutes"]
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
                "first_delivery_id": tries[0][0].session_id, "latest_delivery_id": latest.session_id,
                "latest_delivery_at": latest.at.isoformat(),
                "next_retry_at": due.isoformat() if due and not is_over else None,
                "failed_status_codes": sorted({one[2] for one in tries if one[2] is not None}),
            }  # fmt: skip

    def gaps(self, decisions: Iterable[Document]) -> dict[str, list[Document]]:
        """The pairs that wait for an acknowledgement, and those that wait for an approval."""
        gaps: dict[str, list[Document]] = {"acknowledgement": [], "approval": []}
        answers, events = self.said("acknowledgement"), self.said("approval", "execution")
        names = (self.lane["subject_field"], self.lane["decision_field"], "provider")
        for one in decisions:
            pair = one[names[0]], one["provider"]
            gap = {name: one[name] for name in names if name} | {"since": self.failing[pair][0][0].at.isoformat()}
            state = answers[pair][-1].answer() if pair in answers else None
            if self.lane["gate"] == "acknowledgement" and state not in self.lane["clearing"]:
                gaps["acknowledgement"].append(gap | {"acknowledgement_state": state})
            said = [each for each in events.get(pair, ()) if each.type == "approval" or each.status() == "delivered"]
            states = [each.raw.get("approval_state") or None for each in said if each.type == "approval"]
            is_approved = states[-1:] == ["approved"] and said[-1].type == "approval"
            if self.lane["gate"] == "approval" and one["action"] == "retry" and not is_approved:
                gaps["approval"].append(gap | {"approval_state": states[-1] if states else None})
        return gaps

    def retry_counts(self) -> dict[str, Counter[str]]:
        """What becomes of the failing pairs of each provider by the lane's own policy."""
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        left = []
        for one in self.decisions(self.lane["policy"]):
            is_left = one["action"] != "suppress"
            counts[one["provider"]]["cleared_count" if is_left else "suppressed_count"] += 1
            left += [one | {"action": "retry"}] if is_left else []
        for one in [gap for gaps in self.gaps(left).values() for gap in gaps]:
            counts[one["provider"]].update(cleared_count=-1, uncleared_count=1)
        return counts

    def outstanding(self) -> int:
        """How many pairs the newest alert plan of each health report requires and no one has answered."""
        plans = {one.raw.get("health_id"): one.raw for one in self.of("alert_plan")}
        said = self.of("acknowledgement")
        states = {(one.raw.get("health_id"), provider_of(one.raw.get("provider"))): one.answer() for one in said}
        wanted = {(of, provider_of(p)) for of in plans for p in plans[of].get("acknowledgement_required_providers", ())}
        return sum(states.get(pair) not in ("acknowledged", "resolved") for pair in wanted if all(pair))

    def unresolved(self) -> list[LaneRecord]:
        """The newest execution of each pair that failed or was skipped, and that nothing has closed."""
        settled, answers = self.pairs.keys() - self.failing.keys(), self.said("acknowledgement")
        closed = {pair for pair, said in answers.items() if said[-1].answer() in ("dismissed", "resolved")}
        newest = {pair: said[-1] for pair, said in self.said("execution").items()}
        return [one for pair, one in newest.items() if one.status() != "delivered" and pair not in settled | closed]


def _skipped(executions: Sequence[LaneRecord]) -> dict[str, int]:
    reasons = (one.value("skipped", "skip_reason") or "other" for one in executions if one.status() == "skipped")
    return dict(sorted(Counter(reasons).items()))


def retry_plan(pairs: LanePairs, given: Document, pruned: Mapping[str, int]) -> Document:
    """Works a retry plan out by the policy of a given one (contract section 6)."""
    decisions = list(pairs.decisions(given))
    count = Counter(one["action"] for one in decisions)
    return {name: given[name] for name in pairs.lane["policy"]} | {
        "alert_level": "critical" if count["retry"] + count["suppress"] else "warning" if count["wait"] else "healthy",
        "decision_count": len(decisions), "retryable_count": count["retry"], "waiting_count": count["wait"],
        "suppressed_count": count["suppress"], "retry_decisions": decisions,
        "evidence_record_count": len(pairs.of("delivery")) + pruned["delivery_count"],
    }  # fmt: skip


def retry_health(pairs: LanePairs, given: Document, pruned: Mapping[str, int]) -> Document:
    """Works a health report out by the parameters of a given one (contract section 7)."""
    at, lane, runs, plans = pairs.as_of, pairs.lane, pairs.of("worker_run"), pairs.of("retry_plan")
    interval, stale = given["expected_interval_minutes"] * MINUTE, given["stale_metadata_minutes"] * MINUTE
    start = at - min(60 * given["window_hours"] * MINUTE, at - datetime.min.replace(tzinfo=UTC))
    record_count = len(pairs.entries) + pruned["record_count"]
    is_in_use = lane["is_always_in_use"] or record_count > 0
    age, plan_age = (at - of[-1].at if of else timedelta.max for of in (runs, plans))
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
        **{name: given[name] for name in ("expected_interval_minutes", "stale_metadata_minutes", "window_hours")},
        **_in_window(pairs, start),
        "evidence_record_count": record_count,
        "latest_worker_run_id": runs[-1].raw.get("run_id", runs[-1].session_id) if runs else None,
        "latest_worker_age_minutes": age // MINUTE if runs else None,
        "missed_worker_count": int(is_in_use and age > 2 * interval),
        "missed_run_count": sum(int(one["missed_runs"]) for one in outages),
        "latest_retry_plan_id": plans[-1].raw.get("retry_plan_id", plans[-1].session_id) if plans else None,
        "latest_retry_plan_age_minutes": plan_age // MINUTE if plans else None,
        "stale_retry_plan_count": int(is_in_use and plan_age > stale),
        "outages": outages,
        "unresolved_delivery_count": len(pairs.failing),
        "outstanding_alert_acknowledgement_count": pairs.outstanding() if lane["delivers_alerts"] else 0,
        "unresolved_failed_execution_count": len(unresolved),
        **{f"{of}_gaps": listed for of, listed in gaps.items()},
        **{f"{of}_pending_count": len(listed) for of, listed in gaps.items()},
    }
    alerts = list(_alerts(lane, report, _skipped(unresolved), any(map(_is_off, runs[-1:])))) if is_in_use else []
    levels = [one["severity"] for one in alerts] + (["healthy"] if is_in_use else ["unknown"])
    report["alert_level"] = "critical" if "critical" in levels else levels[0]
    report["recommended_actions"] = [one.pop("action") for one in alerts]
    return report | {"alerts": alerts, "alert_count": len(alerts)}


def _is_off(run: LaneRecord) -> bool:
    return (run.value("schedule") or {}).get("enabled") is False


def _in_window(pairs: LanePairs, start: datetime) -> Document:
    runs, plans = pairs.of("worker_run", since=start), pairs.of("retry_plan", since=start)
    executions, sent = pairs.of("execution", since=start), pairs.of("delivery", since=start)
    after = set()
    for tries in pairs.pairs.values():
        settled = next((one[0] for one in tries if not one[1]), None)
        after |= {one[0].session_id for one in tries if one[1] and settled and one[0] > settled and one[0].at > start}
    delivered, skipped = sum(one.status() == "delivered" for one in executions), _skipped(executions)
    return {
        "worker_run_count": len(runs), "dry_run_count": sum(one.raw.get("dry_run") is not False for one in runs),
        "selected_retry_count": sum(one.raw.get("selected_retry_count", 0) for one in runs),
        "disabled_schedule_count": sum(map(_is_off, runs)),
        "retry_plan_count": len(plans), "retryable_count": sum(one.raw.get("retryable_count", 0) for one in plans),
        pairs.lane["failed_delivery_field"]: sum(any(o[0] for o in one.outcomes().values()) for one in sent),
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
    for of in ("latest_worker_age", "latest_retry_plan_age"):
        facts[f"{of}_text"] = _age_text(report[f"{of}_minutes"])
    for of in ("expected_interval", "stale_metadata"):
        facts[f"{of}_text"] = _span(report[f"{of}_minutes"])
    for category, severity, counted, messages, action in lane["alerts"]:
        if count := int(facts[counted]):
            message = messages[0 if count == 1 else -1].format(count=f"{count:,}", **facts)
            yield {"severity": severity, "category": category, "message": message, "action": action.format(**facts)}


def _age_text(minutes: int | None) -> str:
    return "none yet" if minutes is None else f"{_span(minutes)} ago"


def _span(age: int) -> str:
    parts = [(age // 1440, "d"), (age // 60 % 24, "h"), (age % 60, "min")][(age < 1440) + (age < 60) :][:2]
    return " ".join(f"{n} {unit}" for n, unit in parts if n) or "0 min"


def derive(report: Document, lane: Document, records: Sequence[Document], pruned: Mapping[str, int]) -> Document:
    """Works a report out again, by the parameters that stand in it.

    Args:
        report: The report, a retry plan or retry health.
        lane: The rules of its lane.
        records: Every record of the lane up to the day of the report.
        pruned: How many records and deliveries of the lane retention has removed.
    """
    types, moment = lane["types"], datetime.fromisoformat
    entries = [LaneRecord(moment(r["created_at"]), r["session_id"], types[r["metadata_kind"]], r) for r in records]
    pairs = LanePairs(lane, entries, moment(report["as_of"]).astimezone(UTC))
    is_plan = "retry_plan_id" in report
    kind, name, work = ("plan", "retry_plan_id", retry_plan) if is_plan else ("health", "health_id", retry_health)
    made = {"as_of": pairs.as_of.isoformat(), "product": "CAVRA", "lane": lane["name"], name: ""}
    made |= {"schema_version": lane[f"{kind}_schema"]} | work(pairs, report, pruned)
    text = json.dumps(made, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return made | {name: f"retry-{kind}-{lane['name']}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"}
