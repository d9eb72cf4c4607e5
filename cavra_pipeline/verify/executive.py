"""Works the numbers of an executive report out again from all records of a home, with Python 3.11 alone.

What belongs here: lanes, deliveries, risks. Recoveries are in `recoveries`, what is wrong at a provider in `providers`,
health in `derive`. Goes into bundles.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from .container import canonical
from .derive import MINUTE, Document, LanePairs, LaneRecord, retry_health
from .pairs import entries_of
from .providers import broken_providers, explained, usual_interval
from .recoveries import HOUR, RETRIES, EntryCauses, PlanNotices, RecoveriesAt, in_order, most_urgent_first, retry_routes

ID = "executive_report_id"
#: What the records do not decide in a report, or is words: it is in the report's id, and not recomputed.
WORDS = {
    "": ("headline", "what_to_do", "what_happened", "recommended_actions", "recovery_report_id", "escalation_plan_id"),
    "key_risks": ("risk", "action", "role"),
    "broken_providers": ("cause", "action", "then", "provider_incident_id"),
    "open_recoveries": ("recommended_action",),
    "failed_retries": ("recommended_action",),
}
ACTIVITY = (
    "delivery_count", "failed_delivery_count", "acknowledgement_count", "worker_run_count", "live_worker_run_count",
    "delivered_execution_count", "failed_execution_count", "skipped_execution_count",
)  # fmt: skip
FAILED = "unresolved_failed_execution_count"
#: Alerts of a lane that the risks of its providers say.
OF_PROVIDERS = {"unresolved_delivery_count", "acknowledgement_pending_count", "approval_pending_count"}
STATES = {"critical": "action_needed", "warning": "needs_attention", "healthy": "under_control"}


def numbers_of(report: Document) -> Document:
    """Returns a report without its words."""
    numbers = {name: value for name, value in report.items() if name not in WORDS[""]}
    for place in WORDS.keys() - {""}:
        numbers[place] = [{name: of for name, of in one.items() if name not in WORDS[place]} for one in report[place]]
    return numbers


def words() -> list[str]:
    """Returns what is not recomputed, by its place."""
    return [f"{place}[].{name}".removeprefix("[].") for place, names in WORDS.items() for name in names]


def id_of(report: Document) -> str:
    """Returns the id that follows from all of a report, its words too."""
    return f"executive-report-{sha256(canonical({**report, ID: ''})).hexdigest()[:24]}"


class HomeRecords:
    """The records of a home up to an instant, lane by lane, and the window of a report."""

    def __init__(
        self, report: Document, lanes: Document, records: Mapping[str, Sequence[Document]], pruned: Document
    ) -> None:
        """Sorts the records by lane; of those without one only declared kinds say anything."""
        self.rules, self.lanes, self.pruned = lanes[""], lanes, pruned
        self.at = datetime.fromisoformat(report["as_of"]).astimezone(UTC)
        self.days, self.slo = report["window_days"], report["slo_minutes"] * MINUTE
        self.start = self.window_start(self.at)
        self.pairs = {
            name: LanePairs(lanes[name], entries_of(lanes[name], records[name]), self.at)
            for name in self.rules["lanes"]
        }
        others = [one for one in records[""] if one.get("metadata_kind") in self.rules["types"]]
        self.others = sorted(one for one in entries_of(self.rules, others) if one.at <= self.at)
        self.known = self.recoveries(self.start, self.at)

    def window_start(self, at: datetime) -> datetime:
        """The midnight with which the window of an instant begins."""
        return datetime.fromordinal(max(1, at.toordinal() - self.days + 1)).replace(tzinfo=UTC)

    def recoveries(self, start: datetime, at: datetime) -> RecoveriesAt:
        """The recoveries of an instant."""
        return RecoveriesAt(self.others, self.rules, start, at, self.slo)

    def before(self, horizon: datetime | None) -> Document | None:
        """Counts of recoveries in the window before; None where it was not seen whole."""
        last = self.start - min(timedelta.resolution, self.start - datetime.min.replace(tzinfo=UTC))
        earlier = self.window_start(last)
        then = self.recoveries(earlier, last)
        is_seen = any(one.type == "playbook" and one.at <= earlier for one in self.others)
        return then.counts(then.all) if is_seen and not (horizon and horizon > earlier) else None

    def routes(self) -> list[Document]:
        """The routes of the escalation plan."""
        notices = PlanNotices(self.pairs[self.rules["escalations"]], self.rules["clearing"])
        failed = self.pairs[self.rules["audits"]].unresolved()
        return in_order([*self.known.routes(notices), *retry_routes(failed)])

    def deliveries(self) -> list[Document]:
        """Attempts in the window by provider, over all lanes."""
        counts: defaultdict[str, Counter[bool]] = defaultdict(Counter)
        for pairs in self.pairs.values():
            for one in pairs.of("delivery"):
                for provider, (is_failed, _) in one.outcomes().items() if one.at >= self.start else ():
                    counts[provider][is_failed] += 1
        return [
            {
                "provider": provider, "delivered_count": of[False], "failed_count": of[True],
                "delivered_percent": of[False] * 100 // of.total(),
            }
            for provider, of in sorted(counts.items())
        ]  # fmt: skip

    def unplanned(self) -> int:
        """How many failing notifications no escalation plan up to the instant names."""
        pairs = self.pairs[self.rules["escalations"]]
        plans = {one.raw.get("plan_id") or one.session_id for one in pairs.of("escalation_plan")}
        return sum(subject not in plans for subject, _ in pairs.failing)


def _lane(home: HomeRecords, name: str) -> tuple[Document, Document | None]:
    """What a report says of a lane, and the lane's health, None where nothing is known of it."""
    pairs, lane = home.pairs[name], home.lanes[name]
    pruned = home.pruned.get(name, {"record_count": 0, "delivery_count": 0, "latest_record_at": None})
    newest = [one.at.isoformat() for one in pairs.entries[-1:]] + [pruned["latest_record_at"]]
    said = {
        "lane": name, "title": name.replace("_", " ").capitalize(), **_activity(pairs, home.start),
        "expected_interval_minutes": lane["health"]["expected_interval_minutes"], "usual_interval_minutes": None,
        "failing_notice_count": len(pairs.failing),
        "evidence_record_count": len(pairs.entries) + pruned["record_count"],
        "latest_record_at": max(filter(None, newest), key=datetime.fromisoformat, default=None),
    }  # fmt: skip
    if not said["evidence_record_count"]:
        nothing = dict.fromkeys(("outage_count", "open_outage_count", "outage_minutes"), 0)
        level = "warning" if lane["is_always_in_use"] else "unknown"
        return said | nothing | {
            "state": "no_evidence", "alert_level": level, "unresolved_failed_execution_count": 0, "outages": [],
            "latest_worker_age_minutes": None,
        }, None  # fmt: skip
    hours = -((home.start - home.at) // HOUR) or 1
    health = retry_health(pairs, lane["health"] | {"window_hours": hours}, pruned)
    outages = [one for of in health["outages"] for one in _outage(of, home.start, home.at)]
    return said | {name: health[name] for name in ("alert_level", FAILED, "latest_worker_age_minutes")} | {
        "state": "outage" if any(one["ended_at"] is None for one in outages) else "running",
        "outage_count": len(outages), "open_outage_count": sum(one["ended_at"] is None for one in outages),
        "outage_minutes": sum(one["minutes_in_window"] for one in outages), "outages": outages,
        "usual_interval_minutes": usual_interval(pairs, home.start, said["expected_interval_minutes"] * MINUTE),
    }, health  # fmt: skip


def _outage(outage: Document, start: datetime, at: datetime) -> Iterator[Document]:
    began, ended = (of and datetime.fromisoformat(of) for of in (outage["started_at"], outage["ended_at"]))
    if not ended or ended > start:
        yield outage | {"minutes_in_window": ((ended or at) - max(began or start, start)) // MINUTE}


def _activity(pairs: LanePairs, start: datetime) -> dict[str, int]:
    seen = [one for one in pairs.entries if one.at >= start]
    of = Counter(one.type for one in seen)
    ends = Counter(one.status() for one in seen if one.type == "execution")
    failed = sum(one.type == "delivery" and any(o[0] for o in one.outcomes().values()) for one in seen)
    live = sum(one.type == "worker_run" and one.raw.get("dry_run") is False for one in seen)
    counts = (of["delivery"], failed, of["acknowledgement"], of["worker_run"], live)
    return dict(zip(ACTIVITY, (*counts, ends["delivered"], ends["failed"], ends["skipped"]), strict=True))


def _risks(home: HomeRecords, report: Document, health: Mapping[str, Document]) -> Iterator[tuple[str, str, int]]:
    """Severity and category of each risk, and how many open recoveries wait for its action."""
    yield from _unknown(home, report)
    for one in report["broken_providers"]:
        yield one["severity"], "broken_provider", one["open_recovery_count"]
    for need in ("decide", "resume", "notify", "acknowledge"):
        if rows := [one for one in report["open_recoveries"] if one["need"] == need]:
            yield "critical" if any(one["slo_status"] == "breached" for one in rows) else "warning", need, 0
    if report["slo_at_risk_count"]:
        yield "warning", "slo_at_risk", 0
    if sum(day["opened_count"] - day["closed_count"] for day in report["closure_trend"]) > 0:
        yield "warning", "growing_backlog", 0
    slow = {one["lane"] for one in report["lanes"] if one["usual_interval_minutes"]}
    for name, of in health.items():
        if name in slow:
            yield "critical" if of["missed_worker_count"] else "warning", "worker_interval", 0
    by_cause = explained(home.pairs, report["broken_providers"])
    for counted in home.rules["alerts"]:
        said = {"missed_worker_count": slow, "stale_retry_plan_count": slow, FAILED: by_cause}.get(counted, set())
        severities = [
            one for name, of in health.items() if name not in said for one in _alerted(home.lanes[name], of, counted)
        ]
        if severities:
            yield severities[0], counted.removeprefix("is_").removesuffix("_count"), 0
    if home.unplanned():
        yield "warning", "unplanned_failure", 0


def _unknown(home: HomeRecords, report: Document) -> Iterator[tuple[str, str, int]]:
    """Risks that lie in what the evidence does not say."""
    if not report["evidence_record_count"]:
        yield "critical", "no_evidence", 0
        return
    silent = {one["lane"] for one in report["lanes"] if not one["evidence_record_count"]}
    if report["recovery_state"] == "no_playbook":
        yield "warning", "no_playbook", 0
    if any(home.lanes[name]["is_always_in_use"] for name in silent):
        yield "warning", "silent_lane", 0
    if report["quarantined_record_count"]:
        yield "warning", "quarantined_evidence", 0


def _alerted(lane: Document, health: Document, counted: str) -> list[str]:
    """The severity of a lane's alert of a rule, if it has one that no other risk says."""
    is_stale = counted == "stale_retry_plan_count" and health["missed_worker_count"]
    if counted in OF_PROVIDERS or is_stale:
        return []
    raised = {one["category"] for one in health["alerts"]}
    return [row[1] for row in lane["alerts"] if row[2] == counted and row[0] in raised]


def _quarantined(log: Sequence[Document], home: HomeRecords) -> int:
    """Rejected lines of the landing files of the window's days, by the newest entry of the log on each file."""
    files = {(one["drop_day"], one["file_name"]): one for entry in log for one in entry["files"]}
    first, last = home.start.date().isoformat(), home.at.date().isoformat()
    return sum(one.get("quarantined_count", 0) for (day, _), one in files.items() if first <= day <= last)


def derive_executive(
    report: Document, lanes: Document, records: Mapping[str, Sequence[Document]], log: Sequence[Document],
    pruned: Document,
) -> Document:  # fmt: skip
    """Works the numbers of a report out again, by the limit and the window that stand in it.

    Args:
        report: The report.
        lanes: The rules of each lane, and under an empty name what concerns all.
        records: Every record of each lane up to the day of the report; those of no lane under an empty name.
        log: The entries of the commit log, oldest first.
        pruned: What retention has removed of each lane: records, deliveries, and when the newest was created.
    """
    home = HomeRecords(report, lanes, records, pruned)
    known, routes, rows, health = home.known, home.routes(), list[Document](), dict[str, Document]()
    for name in home.rules["lanes"]:
        row, of = _lane(home, name)
        rows.append(row)
        health |= {name: of} if of else {}
    opened = most_urgent_first(one for one in routes if one["category"] != RETRIES)
    horizons = [datetime.fromisoformat(of["horizon"]).replace(tzinfo=UTC) for one in log for of in one["prunings"]]
    newest = [one["latest_record_at"] for one in rows] + [one.at.isoformat() for one in known.records[-1:]]
    state = "open" if opened else "none_open" if known.playbook_count else "no_playbook"
    made: Document = {
        name: report[name] for name in ("slo_minutes", "window_days")
    } | {
        "schema_version": home.rules["executive_schema"], "product": "CAVRA", "as_of": home.at.isoformat(),
        "window_start": home.start.isoformat(), "escalation_count": len(routes), "open_recovery_count": len(opened),
        "recovery_state": state, "slo_breached_count": sum(one["slo_status"] == "breached" for one in opened),
        "slo_at_risk_count": sum(one["slo_state"] == "at_risk" for one in routes),
        "failed_execution_count": sum(one["failure_count"] for one in routes if one["category"] == RETRIES),
        "evidence_record_count": len(known.records) + sum(one["evidence_record_count"] for one in rows),
        "quarantined_record_count": _quarantined(log, home),
        "latest_record_at": max(filter(None, newest), key=datetime.fromisoformat, default=None),
        "activity": {name: sum(one[name] for one in rows) for name in ACTIVITY},
        "recoveries": known.totals(), "recoveries_before": home.before(max(horizons, default=None)),
        "recoveries_by_provider": known.grouped("provider", lambda one: one.provider),
        "recoveries_by_cause": known.grouped("cause", EntryCauses(_delivered(home), home.rules).of),
        "open_by_need": dict(Counter(one["need"] for one in routes)), "closure_trend": known.by_day(),
        "backlog": known.backlog(home.days), "deliveries_by_provider": home.deliveries(), "lanes": rows,
        "broken_providers": broken_providers(home.pairs, opened), "open_recoveries": opened,
        "failed_retries": [one for one in routes if one["category"] == RETRIES],
    }  # fmt: skip
    risks = sorted(_risks(home, made, health), key=lambda one: (one[0] != "critical", -one[2]))
    worst = [one["severity"] for one in routes] + [one["alert_level"] for one in rows] + [one[0] for one in risks]
    level = next((one for one in ("critical", "warning") if one in worst), "healthy")
    names = ("severity", "category", "freed_recovery_count")
    return made | {
        "key_risks": [dict(zip(names, one, strict=True)) for one in risks], "alert_level": level,
        "state": STATES[level] if made["evidence_record_count"] else "no_evidence", ID: id_of(report),
    }  # fmt: skip


def _delivered(home: HomeRecords) -> Iterator[LaneRecord]:
    yield from (one for one in home.others if one.type == "delivery")
    for pairs in home.pairs.values():
        yield from pairs.of("delivery")
