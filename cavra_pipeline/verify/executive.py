"""Recomputes the numbers of an executive report from all records of a home, with Python 3.11 alone.

What belongs here: lanes, deliveries, risks. Recoveries are in `recoveries`, what is wrong at a provider in `providers`,
health in `derive`. Goes into bundles.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from .container import canonical
from .derive import EXECUTIVE_ID, HOUR, MINUTE, Document, LanePairs, LaneRecord, lane_records, retry_health
from .providers import broken_providers, explained, usual_interval
from .recoveries import RETRIES, OpeningCauses, PlanNotices, RecoveriesAt, in_order, most_urgent_first, retry_routes

#: Members that are sentences or that the records do not decide: part of the report's id, and not recomputed.
WORDS = {
    "": ("headline", "what_to_do", "what_happened", "recommended_actions", "recovery_report_id", "escalation_plan_id"),
    "key_risks": ("risk", "action", "role"),
    "broken_providers": ("cause", "role", "action", "then", "provider_incident_id"),
    "open_recoveries": ("recommended_action",),
    "failed_retries": ("recommended_action",),
}
ACTIVITY = (
    "delivery_count", "failed_delivery_count", "acknowledgement_count", "worker_run_count", "live_worker_run_count",
    "delivered_execution_count", "failed_execution_count", "skipped_execution_count",
)  # fmt: skip
#: So many more recoveries opened than closed are a risk, late or not.
MANY_MORE = 3
FAILED = "unresolved_failed_execution_count"
#: Alerts of a lane that the risks of its providers cover.
OF_PROVIDERS = {"unresolved_delivery_count", "acknowledgement_pending_count", "approval_pending_count"}
STATES = {"critical": "action_needed", "warning": "needs_attention", "healthy": "under_control"}


def numbers_of(report: Document) -> Document:
    """Returns a report without its words."""
    numbers = {name: value for name, value in report.items() if name not in WORDS[""]}
    for place in WORDS.keys() - {""}:
        numbers[place] = [{name: row[name] for name in row if name not in WORDS[place]} for row in report[place]]
    return numbers


def words() -> list[str]:
    """Returns the paths of the members that are not recomputed."""
    return [f"{place}[].{name}".removeprefix("[].") for place, names in WORDS.items() for name in names]


def id_of(report: Document) -> str:
    """Returns the id of a report, which is a digest of all of it, words included."""
    return f"executive-report-{sha256(canonical({**report, EXECUTIVE_ID: ''})).hexdigest()[:24]}"


class HomeRecords:
    """The records of a home up to an instant, lane by lane, and the window of a report."""

    def __init__(
        self, report: Document, lanes: Document, records: Mapping[str, Sequence[Document]], pruned: Document
    ) -> None:
        """Pairs the records of each lane; of records without a lane, only declared kinds count."""
        self.rules, self.lanes, self.pruned = lanes[""], lanes, pruned
        self.at = datetime.fromisoformat(report["as_of"]).astimezone(UTC)
        self.days, self.slo = report["window_days"], report["slo_minutes"] * MINUTE
        self.start = self.window_start(self.at)
        self.pairs = {
            name: LanePairs(lanes[name], lane_records(lanes[name], records[name]), self.at)
            for name in self.rules["lanes"]
        }
        declared = [record for record in records[""] if record.get("metadata_kind") in self.rules["types"]]
        self.others = sorted(record for record in lane_records(self.rules, declared) if record.at <= self.at)
        self.now = self.recoveries(self.start, self.at)

    def window_start(self, at: datetime) -> datetime:
        """Returns the midnight at which the window of an instant begins."""
        return datetime.fromordinal(max(1, at.toordinal() - self.days + 1)).replace(tzinfo=UTC)

    def recoveries(self, start: datetime, at: datetime) -> RecoveriesAt:
        """Returns the recoveries of an instant."""
        return RecoveriesAt(self.others, self.rules, start, at, self.slo)

    def before(self, horizon: datetime | None) -> Document | None:
        """Returns the counts of recoveries in the window before; None if the records do not cover all of it."""
        last = self.start - min(timedelta.resolution, self.start - datetime.min.replace(tzinfo=UTC))
        earlier = self.window_start(last)
        then = self.recoveries(earlier, last)
        is_seen = any(record.type == "playbook" and record.at <= earlier for record in self.others)
        return then.counts(then.all) if is_seen and not (horizon and horizon > earlier) else None

    def routes(self) -> list[Document]:
        """Returns the routes of the escalation plan."""
        notices = PlanNotices(self.pairs[self.rules["escalations"]], self.rules["clearing"])
        failed = self.pairs[self.rules["audits"]].unresolved()
        return in_order([*self.now.routes(notices), *retry_routes(failed)])

    def deliveries(self) -> list[Document]:
        """Counts the attempts in the window by provider, over all lanes."""
        counts: defaultdict[str, Counter[bool]] = defaultdict(Counter)
        for pairs in self.pairs.values():
            for delivery in pairs.of("delivery"):
                for provider, (is_failed, _) in delivery.outcomes().items() if delivery.at >= self.start else ():
                    counts[provider][is_failed] += 1
        return [
            {
                "provider": provider, "delivered_count": count[False], "failed_count": count[True],
                "delivered_percent": count[False] * 100 // count.total(),
            }
            for provider, count in sorted(counts.items())
        ]  # fmt: skip

    def unplanned(self) -> int:
        """Counts the failing notifications that no escalation plan up to the instant names."""
        pairs = self.pairs[self.rules["escalations"]]
        plans = {plan.raw.get("plan_id") or plan.session_id for plan in pairs.of("escalation_plan")}
        return sum(subject not in plans for subject, _ in pairs.failing)


def _lane(home: HomeRecords, name: str) -> tuple[Document, Document | None]:
    """Returns a lane's row of the report, and its health report, None without evidence."""
    pairs, lane = home.pairs[name], home.lanes[name]
    pruned = home.pruned.get(name, {"record_count": 0, "delivery_count": 0, "latest_record_at": None})
    newest = [record.at.isoformat() for record in pairs.records[-1:]] + [pruned["latest_record_at"]]
    row = {
        "lane": name, "title": name.replace("_", " ").capitalize(), **_activity(pairs, home.start),
        "expected_interval_minutes": lane["health"]["expected_interval_minutes"], "usual_interval_minutes": None,
        "failing_notice_count": len(pairs.failing),
        "evidence_record_count": len(pairs.records) + pruned["record_count"],
        "latest_record_at": max(filter(None, newest), key=datetime.fromisoformat, default=None),
    }  # fmt: skip
    if not row["evidence_record_count"]:
        nothing = dict.fromkeys(("outage_count", "open_outage_count", "outage_minutes"), 0)
        level = "warning" if lane["is_always_in_use"] else "unknown"
        return row | nothing | {
            "state": "no_evidence", "alert_level": level, "unresolved_failed_execution_count": 0, "outages": [],
            "latest_worker_age_minutes": None,
        }, None  # fmt: skip
    hours = -((home.start - home.at) // HOUR) or 1
    health = retry_health(pairs, lane["health"] | {"window_hours": hours}, pruned)
    outages = [part for outage in health["outages"] for part in _outage(outage, home.start, home.at)]
    open_count = sum(outage["ended_at"] is None for outage in outages)
    return row | {name: health[name] for name in ("alert_level", FAILED, "latest_worker_age_minutes")} | {
        "state": "outage" if open_count else "running", "outage_count": len(outages), "open_outage_count": open_count,
        "outage_minutes": sum(outage["minutes_in_window"] for outage in outages), "outages": outages,
        "usual_interval_minutes": usual_interval(pairs, home.start, row["expected_interval_minutes"] * MINUTE),
    }, health  # fmt: skip


def _outage(outage: Document, start: datetime, at: datetime) -> Iterator[Document]:
    began, ended = (text and datetime.fromisoformat(text) for text in (outage["started_at"], outage["ended_at"]))
    if not ended or ended > start:
        yield outage | {"minutes_in_window": ((ended or at) - max(began or start, start)) // MINUTE}


def _activity(pairs: LanePairs, start: datetime) -> dict[str, int]:
    records = [record for record in pairs.records if record.at >= start]
    count = Counter(record.type for record in records)
    ends = Counter(record.status() for record in records if record.type == "execution")
    failed = sum(record.type == "delivery" and record.has_failed() for record in records)
    live = sum(record.type == "worker_run" and record.raw.get("dry_run") is False for record in records)
    counts = (count["delivery"], failed, count["acknowledgement"], count["worker_run"], live)
    return dict(zip(ACTIVITY, (*counts, ends["delivered"], ends["failed"], ends["skipped"]), strict=True))


def _risks(home: HomeRecords, report: Document, health: Mapping[str, Document]) -> Iterator[tuple[str, str, int]]:
    """Yields severity and category of each risk, and the number of open recoveries that wait for its action."""
    yield from _unknown(home, report)
    for provider in report["broken_providers"]:
        yield provider["severity"], "broken_provider", provider["open_recovery_count"]
    for need in ("decide", "resume", "notify", "acknowledge"):
        if rows := [row for row in report["open_recoveries"] if row["need"] == need]:
            yield "critical" if any(row["slo_status"] == "breached" for row in rows) else "warning", need, 0
    if report["slo_at_risk_count"]:
        yield "warning", "slo_at_risk", 0
    growth = sum(day["opened_count"] - day["closed_count"] for day in report["closure_trend"])
    if growth > 0 and (report["slo_breached_count"] or growth >= MANY_MORE):
        yield "warning", "growing_backlog", 0
    slow = {row["lane"] for row in report["lanes"] if row["usual_interval_minutes"]}
    for name, lane_health in health.items():
        if name in slow:
            is_urgent = lane_health["missed_worker_count"] and not _is_idle([lane_health])
            yield "critical" if is_urgent else "warning", "worker_interval", 0
    by_provider = explained(home.pairs, report["broken_providers"])
    covered = {"missed_worker_count": slow, "stale_retry_plan_count": slow, FAILED: by_provider}
    for counted in home.rules["alerts"]:
        lanes = [name for name in health if name not in covered.get(counted, ())]
        if severities := [s for name in lanes for s in _alerted(home.lanes[name], health[name], counted)]:
            missed = [health[name] for name in lanes if health[name]["missed_worker_count"]]
            is_minor = counted == "missed_worker_count" and _is_idle(missed)
            yield "warning" if is_minor else severities[0], counted.removeprefix("is_").removesuffix("_count"), 0
    if home.unplanned():
        yield "warning", "unplanned_failure", 0
    if report["quarantined_record_count"] and report["evidence_record_count"]:
        yield "critical", "quarantined_evidence", 0


def _is_idle(health: Sequence[Document]) -> bool:
    """Returns whether nothing waits for the workers of some lanes: no delivery is failing, no retry is unresolved."""
    return not any(of["unresolved_delivery_count"] or of[FAILED] for of in health)


def _unknown(home: HomeRecords, report: Document) -> Iterator[tuple[str, str, int]]:
    """Yields the risks of missing evidence."""
    if not report["evidence_record_count"]:
        yield "critical", "no_evidence", 0
        return
    silent = {row["lane"] for row in report["lanes"] if not row["evidence_record_count"]}
    if report["recovery_state"] == "no_playbook":
        yield "warning", "no_playbook", 0
    if any(home.lanes[name]["is_always_in_use"] for name in silent):
        yield "warning", "silent_lane", 0


def _alerted(lane: Document, health: Document, counted: str) -> list[str]:
    """Returns the severity of a lane's alert on a count, if it has one that no other risk covers."""
    is_stale = counted == "stale_retry_plan_count" and health["missed_worker_count"]
    if counted in OF_PROVIDERS or is_stale:
        return []
    raised = {alert["category"] for alert in health["alerts"]}
    return [row[1] for row in lane["alerts"] if row[2] == counted and row[0] in raised]


def _quarantined(log: Sequence[Document], home: HomeRecords) -> int:
    """Counts the rejected lines of the window's landing files, by the newest entry of the log on each file."""
    files = {(file["drop_day"], file["file_name"]): file for entry in log for file in entry["files"]}
    first, last = home.start.date().isoformat(), home.at.date().isoformat()
    return sum(file.get("quarantined_count", 0) for (day, _), file in files.items() if first <= day <= last)


def derive_executive(
    report: Document, lanes: Document, records: Mapping[str, Sequence[Document]], log: Sequence[Document],
    pruned: Document,
) -> Document:  # fmt: skip
    """Recomputes the numbers of a report by its own limit and window.

    Args:
        report: The report.
        lanes: The rules of each lane, and under an empty name what concerns all.
        records: Every record of each lane up to the day of the report; those of no lane under an empty name.
        log: The entries of the commit log, oldest first.
        pruned: What retention has removed of each lane: records, deliveries, and when the newest was created.
    """
    home = HomeRecords(report, lanes, records, pruned)
    now, routes, rows, health = home.now, home.routes(), list[Document](), dict[str, Document]()
    for name in home.rules["lanes"]:
        row, lane_health = _lane(home, name)
        rows.append(row)
        health |= {name: lane_health} if lane_health else {}
    opened = most_urgent_first(route for route in routes if route["category"] != RETRIES)
    retries = [route for route in routes if route["category"] == RETRIES]
    horizons = [datetime.fromisoformat(p["horizon"]).replace(tzinfo=UTC) for entry in log for p in entry["prunings"]]
    newest = [row["latest_record_at"] for row in rows] + [record.at.isoformat() for record in now.records[-1:]]
    state = "open" if opened else "none_open" if now.playbook_count else "no_playbook"
    numbers: Document = {
        name: report[name] for name in ("slo_minutes", "window_days")
    } | {
        "schema_version": home.rules["executive_schema"], "product": "CAVRA", "as_of": home.at.isoformat(),
        "window_start": home.start.isoformat(), "escalation_count": len(routes), "open_recovery_count": len(opened),
        "recovery_state": state, "slo_breached_count": sum(route["slo_status"] == "breached" for route in opened),
        "slo_at_risk_count": sum(route["slo_state"] == "at_risk" for route in routes),
        "failed_execution_count": sum(route["failure_count"] for route in retries),
        "evidence_record_count": len(now.records) + sum(row["evidence_record_count"] for row in rows),
        "quarantined_record_count": _quarantined(log, home),
        "latest_record_at": max(filter(None, newest), key=datetime.fromisoformat, default=None),
        "activity": {name: sum(row[name] for row in rows) for name in ACTIVITY},
        "recoveries": now.totals(), "recoveries_before": home.before(max(horizons, default=None)),
        "recoveries_by_provider": now.grouped("provider", lambda recovery: recovery.provider),
        "recoveries_by_cause": now.grouped("cause", OpeningCauses(_delivered(home), home.rules).of),
        "open_by_need": dict(Counter(route["need"] for route in routes)), "closure_trend": now.by_day(),
        "backlog": now.backlog(home.days), "deliveries_by_provider": home.deliveries(), "lanes": rows,
        "broken_providers": broken_providers(home.pairs, opened), "open_recoveries": opened,
        "failed_retries": retries,
    }  # fmt: skip
    risks = sorted(_risks(home, numbers, health), key=lambda risk: (risk[0] != "critical", -risk[2]))
    levels = {r["severity"] for r in routes} | {row["alert_level"] for row in rows} | {risk[0] for risk in risks}
    level = next((level for level in ("critical", "warning") if level in levels), "healthy")
    names = ("severity", "category", "freed_recovery_count")
    return numbers | {
        "key_risks": [dict(zip(names, risk, strict=True)) for risk in risks], "alert_level": level,
        "state": STATES[level] if numbers["evidence_record_count"] else "no_evidence", EXECUTIVE_ID: id_of(report),
    }  # fmt: skip


def _delivered(home: HomeRecords) -> Iterator[LaneRecord]:
    yield from (record for record in home.others if record.type == "delivery")
    for pairs in home.pairs.values():
        yield from pairs.of("delivery")
