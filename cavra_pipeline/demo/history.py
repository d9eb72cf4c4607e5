"""A bad month as evidence: the history of all lanes, told in words, and written in CAVRA's three shapes.

The drills are played in ``drill.py``; this module puts them together, adds what must not pass the boundary, and
writes the files. It reads no clock and keeps nothing.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from typing import Any, Final

from cavra_pipeline.demo.drill import Drill, DrillAlert, Rhythm
from cavra_pipeline.demo.incidents import ALERTS_SINCE, Happened, Month
from cavra_pipeline.demo.records import PLANNING_TYPES, DrillEntry, Record, timestamp
from cavra_pipeline.errors import UsageError
from cavra_pipeline.lanes import LANES, lane_named

DEFAULT_SEED: Final = 7
DEFAULT_DAYS: Final = 30
MIN_DAYS: Final = 14
MAX_DAYS: Final = 366

SQLITE_NAME: Final = "cavra-evidence.sqlite"
JSON_NAME: Final = "cavra-planning.json"

_ALL: Final = ("webhook", "slack", "teams", "splunk", "sentinel", "datadog", "jira", "servicenow")
_CHAT: Final = ("slack", "teams", "webhook", "datadog")

_RHYTHMS: Final = {
    "recovery_escalation": Rhythm("escalation", _ALL, 0, 4, 6, 6),
    "executive_report": Rhythm("executive", _ALL, 5, 3, 6, 4),
    "recovery_health_alert": Rhythm("recovery-alert", _CHAT, 10, 8, 24, 0),
    "executive_health_alert": Rhythm("executive-alert", _CHAT, 20, 4, 24, 0),
}
_OTHER_RHYTHM: Final = Rhythm("other", _CHAT, 15, 4, 24, 0)


@dataclass(frozen=True, slots=True)
class Expected:
    """What the boundary must make of the history.

    Attributes:
        received_count: Lines there are, in all files.
        quarantined: Reason codes of the lines that may not pass.
        findings: Rule and action of each finding.
        superseded_count: Records of which there is a newer version.
    """

    received_count: int
    quarantined: tuple[str, ...]
    findings: tuple[tuple[str, str], ...]
    superseded_count: int

    @property
    def accepted_count(self) -> int:
        """Records that are current afterwards."""
        return self.received_count - len(self.quarantined) - self.superseded_count


@dataclass(frozen=True, slots=True)
class DemoHistory:
    """A generated history.

    Attributes:
        seed: What chance started from.
        days: How many days it covers.
        until: Its end; nothing in it is newer.
        lanes: The lanes in it.
        incidents: What goes wrong, by name, oldest first; see ``incidents.INCIDENTS``.
        story: The same in words, one line each.
        expected: What the boundary must make of it.
        sqlite_records: What the SQLite store holds, oldest first.
        json_records: What the planning service's JSON store holds, oldest first.
        late_lines: The late file, line by line; one is not JSON.
        late_day: The UTC day of the late file's records.
        secrets: The made-up secrets in it, none of which may be found in a home.
    """

    seed: int
    days: int
    until: datetime
    lanes: tuple[str, ...]
    incidents: Mapping[str, Happened]
    story: list[str]
    expected: Expected
    sqlite_records: tuple[Record, ...]
    json_records: tuple[Record, ...]
    late_lines: tuple[str, ...]
    late_day: date
    secrets: tuple[str, ...]

    def lines_by_day(self, *, with_late: bool = True) -> dict[date, list[str]]:
        """Returns the history as JSON lines under the UTC day of each record's ``created_at``.

        Args:
            with_late: Whether the late file has arrived.
        """
        days: dict[date, list[str]] = {}
        for record in (*self.json_records, *self.sqlite_records):
            day = datetime.fromisoformat(record["created_at"]).astimezone(UTC).date()
            days.setdefault(day, []).append(_line(record))
        if with_late:
            days.setdefault(self.late_day, []).extend(self.late_lines)
        return dict(sorted(days.items()))


def demo_history(
    *,
    seed: int = DEFAULT_SEED,
    days: int = DEFAULT_DAYS,
    until: datetime,
    lanes: Iterable[str] = tuple(LANES),
) -> DemoHistory:
    """Makes up the history of a bad month; the same arguments give the same history, byte for byte.

    Args:
        seed: Where chance starts from.
        days: Days of history, 14 to 366; the incidents lie in the last thirteen.
        until: The end, with a time zone; no record is newer.
        lanes: The lanes to keep. A lane's records are the same with or without the others.

    Raises:
        UsageError: ``days`` or ``until`` is not accepted, or there is no such lane.
    """
    if isinstance(days, bool) or not MIN_DAYS <= days <= MAX_DAYS:
        raise UsageError(
            "the value is not accepted", where="days", remedy=f"Give an integer from {MIN_DAYS} to {MAX_DAYS}"
        )
    if until.utcoffset() is None:
        raise UsageError("the instant has no time zone", where="until", remedy="Give it in UTC, or with an offset")
    wanted = {lane_named(name).name for name in lanes}
    if not wanted:
        raise UsageError("no lane is named", where="lanes", remedy=f"Name at least one of {', '.join(LANES)}")
    until = until.astimezone(UTC)
    month = Month.ending(until, days)
    drills, entries = _play(month, Random(seed))
    secrets = _Secrets.made_up()
    entries += _add_what_may_not_pass(month, drills["recovery_escalation"], secrets)
    entries = sorted(
        (entry for entry in entries if entry.lane in wanted),
        key=lambda entry: (entry.at, entry.record["session_id"]),
    )
    return _assembled(seed, days, month, tuple(name for name in LANES if name in wanted), entries, secrets)


def _play(month: Month, random: Random) -> tuple[dict[str, Drill], list[DrillEntry]]:
    """Plays every lane, an alert lane after the one it tells of."""
    drills: dict[str, Drill] = {}
    entries: list[DrillEntry] = []
    for name, lane in LANES.items():
        start, alerts = month.start, list[DrillAlert]()
        if lane.alerts_of:
            start = ALERTS_SINCE.at(month.until)
            alerts = [alert for alert in drills[lane.alerts_of].raised if alert.at >= start]
        drills[name] = Drill(lane, _RHYTHMS.get(name, _OTHER_RHYTHM), month, random, start, alerts)
        entries += drills[name].play()
    return drills, entries


@dataclass(frozen=True, slots=True)
class _Secrets:
    """Made-up secrets in the form of real ones, put together here so that no scanner stumbles on this file."""

    token: str
    webhook_address: str

    @classmethod
    def made_up(cls) -> _Secrets:
        fake = "NotARealSecret"
        return cls(
            token="_".join(("ghp", (fake + "0" * 36)[:36])),
            webhook_address="/".join(
                ("https:/", "hooks." + "slack" + ".com", "services", "T00000000", "B00000000", fake + "0" * 10)
            ),
        )


def _add_what_may_not_pass(month: Month, drill: Drill, secrets: _Secrets) -> list[DrillEntry]:
    """Leaks the webhook address, and returns a record with a pasted token and a newer version of a plan."""
    plan, _ = drill.shown["failed_execution"]
    _, leaking = drill.shown["leaked_webhook"]
    if plan is None:
        raise AssertionError("the planted notification has a plan")
    leaking["delivery"]["deliveries"][0]["request"]["url"] = secrets.webhook_address

    def copied(record: Record, incident: str, **changed: Any) -> DrillEntry:
        at = month.happened[incident].started_at
        return DrillEntry(at, drill.lane.name, {**record, "created_at": timestamp(at), **changed})

    newer = copied(
        plan,
        "newer_version",
        alert_level="critical",
        escalation_count=plan["escalation_count"] + 1,
        failed_execution_count=2,
    )
    kind = str(plan["metadata_kind"]).removesuffix("plan") + "ack"
    envelope = {key: plan[key] for key in ("schema_version", "product", "signer", "decision_count")}
    pasted = copied(
        {**envelope, "blocked_count": 0, "approval_required_count": 0, "metadata_kind": kind},
        "pasted_token",
        session_id="drill-escalation-pasted",
        acknowledgement_id=secrets.token,
        plan_id="plan-of-another-drill",
        provider="webhook",
        acknowledgement_state="acknowledged",
    )
    return [newer, pasted]


def _assembled(
    seed: int, days: int, month: Month, lanes: tuple[str, ...], entries: list[DrillEntry], secrets: _Secrets
) -> DemoHistory:
    late_day = month.happened["late_evidence"].started_at.date()
    sqlite_records: list[Record] = []
    json_records: list[Record] = []
    late_lines: list[str] = []
    for entry in entries:
        if entry.at.date() == late_day:
            late_lines.append(_line(entry.record))
        else:
            (json_records if entry.record_type in PLANNING_TYPES else sqlite_records).append(entry.record)
    quarantined, findings = ["not_json"], list[tuple[str, str]]()
    middle = late_lines[len(late_lines) // 2]
    late_lines.insert(len(late_lines) // 2, middle[: len(middle) // 2])
    if "recovery_escalation" in lanes:
        quarantined.append("secret_in_field")
        findings += [
            ("github-token", "quarantined"),
            ("slack-webhook", "dropped"),
            ("unsafe-actor-label", "pseudonymised"),
        ]
    happened = {name: one for name, one in month.happened.items() if set(one.incident.lanes) & set(lanes)}
    in_order = dict(sorted(happened.items(), key=lambda item: item[1].started_at))
    return DemoHistory(
        seed=seed,
        days=days,
        until=month.until,
        lanes=lanes,
        incidents=in_order,
        story=[one.story for one in in_order.values()],
        expected=Expected(
            received_count=len(sqlite_records) + len(json_records) + len(late_lines),
            quarantined=tuple(sorted(quarantined)),
            findings=tuple(findings),
            superseded_count=int("recovery_escalation" in lanes),
        ),
        sqlite_records=tuple(sqlite_records),
        json_records=tuple(json_records),
        late_lines=tuple(late_lines),
        late_day=late_day,
        secrets=(secrets.token, secrets.webhook_address),
    )


def _line(record: Record) -> str:
    return json.dumps(record, separators=(",", ":"))


_CREATE: Final = (
    "CREATE TABLE evidence_metadata (session_id TEXT PRIMARY KEY, created_at TEXT, signer TEXT, "
    "decision_count INT, blocked_count INT, approval_required_count INT, payload TEXT)"
)
_COLUMNS: Final = (
    "session_id",
    "created_at",
    "signer",
    "decision_count",
    "blocked_count",
    "approval_required_count",
)


def write_demo(folder: Path, history: DemoHistory) -> list[Path]:
    """Writes the history as a CAVRA deployment holds it: a SQLite store, a JSON store and the late file.

    Files of the same names are replaced.

    Args:
        folder: Where to; made if it is not there.
        history: What to write.

    Returns:
        The files in the order in which they came to be: both stores, then the late file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    store, planning = folder / SQLITE_NAME, folder / JSON_NAME
    late = folder / f"late-{history.late_day}.jsonl.gz"
    store.unlink(missing_ok=True)
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute(_CREATE)
        connection.executemany("INSERT INTO evidence_metadata VALUES (?, ?, ?, ?, ?, ?, ?)", _rows(history))
    planning.write_text(json.dumps({"items": history.json_records}, indent=1) + "\n", encoding="utf-8")
    # No name and no time in the header, so that the same history gives the same bytes.
    packed = gzip.compress("".join(f"{line}\n" for line in history.late_lines).encode(), mtime=0)
    late.write_bytes(packed)
    return [store, planning, late]


def _rows(history: DemoHistory) -> Iterator[tuple[object, ...]]:
    for record in history.sqlite_records:
        yield (*(record[column] for column in _COLUMNS), _line(record))
