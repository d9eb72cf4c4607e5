"""What tests of the evidence, the reports and the warehouse share: records, homes, questions and comparison."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import sqlalchemy as sa

from cavra_pipeline.boundary.judge import judge
from cavra_pipeline.boundary.kinds import DELIVERY_KIND, KIND_PREFIX, payload_key
from cavra_pipeline.boundary.pseudonyms import Pseudonyms
from cavra_pipeline.boundary.verdict import Kept, Quarantined
from cavra_pipeline.documents import canonical_json
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.evidence.load import IngestResult
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.health import health_parameters, retry_health_reports
from cavra_pipeline.reports.plan import retry_plans
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.reports.store import SavedReports, list_reports
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import State, state_of
from cavra_pipeline.state.tables import leases
from cavra_pipeline.warehouse import FileWarehouse

Record = dict[str, Any]
Line = Record | str | bytes

REPOSITORY: Final = Path(__file__).resolve().parent.parent
#: A plan and a health report of each lane, and the dashboard, the recoveries and the closure of all.
REPORTS_A_DAY: Final = 2 * len(LANES) + 3
CASES: Final = REPOSITORY.parent / "shared" / "cases-v2"
#: The instant most tests look back from, and a clock that is deliberately another.
AS_OF: Final = datetime(2026, 6, 25, 12, 0, tzinfo=UTC)
NOW: Final = datetime(2026, 7, 1, 8, 30, tzinfo=UTC)
DAY: Final = "2026-06-25"
MICROSECOND: Final = timedelta(microseconds=1)
#: The pseudonyms of a home whose key everybody knows.
PSEUDONYMS: Final = Pseudonyms(bytes(range(32)))
_serial = count(1)


def judged(line: bytes) -> Kept | Quarantined:
    """What the boundary says of a line in a home with the pseudonyms above."""
    return judge(line, PSEUDONYMS)


# --- Records -------------------------------------------------------------------------------------------------------


def at(minutes: float = 0, *, microseconds: int = 0) -> datetime:
    """The instant so many minutes before AS_OF, moved by microseconds."""
    return AS_OF - timedelta(minutes=minutes) + timedelta(microseconds=microseconds)


def record(kind: str, when: datetime = AS_OF, session_id: str | None = None, **fields: Any) -> Record:
    """A record of that kind (its last part, or a whole name), an hour-glass of defaults around the fields given."""
    whole = kind if kind == DELIVERY_KIND or kind.startswith("x-") else KIND_PREFIX + kind
    return {
        "schema_version": "cavra.evidence.metadata.v1",
        "product": "CAVRA",
        "session_id": session_id or f"s-{next(_serial):06d}",
        "created_at": when.isoformat(),
        "signer": "release-governance",
        "metadata_kind": whole,
        **fields,
    }


def delivery(
    when: datetime = AS_OF,
    *,
    lane: str = "recovery_escalation",
    subject: str | None = "subject-1",
    failed: Iterable[str] = (),
    providers: Iterable[str] | None = None,
    success: bool | None = None,
    session_id: str | None = None,
    **fields: Any,
) -> Record:
    """A delivery through connectors: by default to slack, failed if ``failed`` names one."""
    failed = list(failed)
    named = {} if subject is None else {LANES[lane].subject_field: subject}
    defaults: Record = {
        "connector_delivery_source": LANES[lane].delivery_source,
        "delivery_success": not failed if success is None else success,
        "providers": list(providers) if providers is not None else failed or ["slack"],
        "failed_providers": failed,
    }
    return record(DELIVERY_KIND, when, session_id, **{**defaults, **named, **fields})


def worker_run(
    when: datetime = AS_OF,
    *,
    lane: str = "recovery_escalation",
    enabled: bool | None = True,
    ladder: str | None = None,
    session_id: str | None = None,
    **fields: Any,
) -> Record:
    """A run of a lane's retry worker; ``ladder`` chooses another accepted spelling of its kind."""
    kind = f"{ladder}-worker-run" if ladder else LANES[lane].kinds.worker_run
    fields.setdefault("run_id", session_id)
    return record(kind, when, session_id, **fields, **{payload_key(kind): {"schedule": {"enabled": enabled}}})


def plan(
    when: datetime = AS_OF, *, lane: str = "recovery_escalation", session_id: str | None = None, **fields: Any
) -> Record:
    """A retry plan that CAVRA recorded."""
    return record(LANES[lane].kinds.retry_plan, when, session_id, **{"retry_plan_id": session_id, **fields})


def acknowledgement(
    when: datetime = AS_OF,
    *,
    lane: str = "recovery_escalation",
    subject: str = "subject-1",
    provider: str = "slack",
    state: str = "acknowledged",
    session_id: str | None = None,
    **fields: Any,
) -> Record:
    """An operator's acknowledgement for one provider."""
    named = {LANES[lane].subject_field: subject, "provider": provider, "acknowledgement_state": state}
    return record(f"{LANES[lane].kind_stem}-ack", when, session_id, **named, **fields)


def execution(
    when: datetime = AS_OF,
    *,
    lane: str = "recovery_escalation",
    subject: str = "subject-1",
    provider: str = "slack",
    status: str | None = "failed",
    ladder: str | None = None,
    session_id: str | None = None,
    **fields: Any,
) -> Record:
    """A live retry."""
    named = {LANES[lane].subject_field: subject, "provider": provider, "execution_status": status}
    kind = f"{ladder}-execution-record" if ladder else LANES[lane].kinds.execution
    return record(kind, when, session_id, **named, **fields)


# --- Homes ---------------------------------------------------------------------------------------------------------


def raw(line: Line) -> bytes:
    """A line's bytes, without its line ending."""
    if isinstance(line, bytes):
        return line
    return (line if isinstance(line, str) else json.dumps(line)).encode()


def text(lines: Iterable[Line]) -> bytes:
    """The content of a drop."""
    return b"".join(raw(line) + b"\n" for line in lines)


def drop(settings: Settings, lines: Iterable[Line] | bytes, *, day: str = DAY, name: str = "evidence.jsonl") -> Path:
    """Writes a drop into the landing zone of a home; bytes are written as they are."""
    folder = settings.landing / day
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(lines if isinstance(lines, bytes) else text(lines))
    return path


def home_with(
    tmp_path: Path,
    lines_by_day: Mapping[str, Iterable[Line]] | Iterable[Line] | None = None,
    *,
    is_new: bool = False,
    **settings: Any,
) -> Settings:
    """A prepared home with drops. A key is a day, or ``day/file name``; plain lines land under DAY.

    It has an empty warehouse, an empty state and the key of the pseudonyms above already, unless it is to be new.
    """
    home = Settings(home=tmp_path / "home", **{"busy_wait_seconds": 30.0, "threads": 2, **settings}).prepare()
    if not is_new and not home.warehouse.exists():
        home.warehouse.write_bytes(empty_warehouse())
    state = home.home / "state.db"
    for path, content in ((home.pseudonym_key, PSEUDONYMS.key), (state, empty_state())):
        if not is_new and not path.exists():
            path.touch(0o600)
            path.write_bytes(content)
    by_day = lines_by_day if isinstance(lines_by_day, Mapping) else {DAY: lines_by_day} if lines_by_day else {}
    for key, lines in by_day.items():
        day, _, name = key.partition("/")
        drop(home, lines, day=day, name=name or "evidence.jsonl")
    return home


def take_in(settings: Settings, now: datetime = NOW, **which: Any) -> IngestResult:
    """Ingests what is new or changed, or the range given."""
    return ingest(settings, now=now, **which)


def ingested(tmp_path: Path, lines_by_day: Mapping[str, Iterable[Line]] | Iterable[Line], **settings: Any) -> Settings:
    """A home whose drops are in its warehouse."""
    home = home_with(tmp_path, lines_by_day, **settings)
    take_in(home)
    return home


@cache
def empty_warehouse() -> bytes:
    """A warehouse with its schema, made once a process: a third of what a small ingest costs."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "warehouse.duckdb"
        with FileWarehouse(path).writing("make a template"):
            pass
        return path.read_bytes()


@cache
def empty_state() -> bytes:
    """A state database with its tables, made once a process."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "state.db"
        with State(f"sqlite:///{path}").reading():
            pass
        return path.read_bytes()


# --- Questions -----------------------------------------------------------------------------------------------------


def file_of(settings: Settings) -> FileWarehouse:
    """The home's warehouse, which is a file."""
    warehouse = warehouse_of(settings)
    assert isinstance(warehouse, FileWarehouse)
    return warehouse


def query(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    """Every row of a query on the home's warehouse."""
    with warehouse_of(settings).reading() as session:
        return [tuple(row) for row in session.tuples(sql)]


def saved(settings: Settings) -> dict[tuple[str, str | None, date], dict[str, Any]]:
    """Every saved report of a day: its columns and its document as canonical JSON, by report, lane and day."""
    rows = list_reports(state_of(settings), SavedReports(), with_documents=True)
    return {
        (row["report"], row["lane"], row["report_day"]): {**row, "document": canonical_json(row["document"])}
        for row in sorted(rows, key=lambda row: row["report_day"])
    }


def query_state(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    """Every row of a query on the home's state database."""
    with state_of(settings).reading() as connection:
        return [tuple(row) for row in connection.execute(sa.text(sql))]


def let_leases_expire(settings: Settings, but: Iterable[str] = ()) -> None:
    """Stands for the time after which leases expire; those whose run id begins with one of ``but`` go on."""
    with state_of(settings).writing() as connection:
        for run_id in connection.scalars(sa.select(leases.c.run_id)).all():
            if not run_id.startswith(tuple(but)):
                connection.execute(sa.update(leases).where(leases.c.run_id == run_id).values(expires_ms=0))


def ask_plan(
    settings: Settings,
    lane: str = "recovery_escalation",
    as_of: datetime = AS_OF,
    *,
    now: datetime = NOW,
    generated_by: str = "tests",
    **policy: Any,
) -> dict[str, Any]:
    """A lane's retry plan, through the domain functions."""
    with warehouse_of(settings).reading() as session:
        return retry_plans(
            session,
            LANES[lane],
            retry_policy(LANES[lane], policy),
            instants=[as_of],
            now=now,
            generated_by=generated_by,
        )[0]


def ask_health(
    settings: Settings,
    lane: str = "recovery_escalation",
    as_of: datetime = AS_OF,
    *,
    now: datetime = NOW,
    generated_by: str = "tests",
    **parameters: Any,
) -> dict[str, Any]:
    """A lane's health report, through the domain functions."""
    with warehouse_of(settings).reading() as session:
        return retry_health_reports(
            session,
            LANES[lane],
            health_parameters(LANES[lane], **parameters),
            instants=[as_of],
            now=now,
            generated_by=generated_by,
        )[0]


def ask(settings: Settings, question: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to one entry of a case's ``queries.json``, through the domain functions."""
    asker = {"retry-plan": ask_plan, "retry-health": ask_health}[question["report"]]
    return asker(settings, question["lane"], datetime.fromisoformat(question["as_of"]), **question["args"])


def tables(settings: Settings) -> dict[str, list[tuple[Any, ...]]]:
    """Everything an ingest decides, in a total order: two homes with the same evidence have the same."""
    names = {
        "evidence_records": "SELECT * FROM evidence_records",
        "quarantine": "SELECT * FROM quarantine",
        "findings": "SELECT * FROM findings",
        "drops": "SELECT * EXCLUDE (fingerprint, ingested_at, commit_number) FROM drops",
        "drop_totals": "SELECT * FROM drop_totals",
    }
    return {name: sorted(query(settings, sql), key=repr) for name, sql in names.items()}


def without_clock(document: Mapping[str, Any]) -> bytes:
    """A report's bytes, ``generated_at`` aside."""
    return json.dumps({key: value for key, value in document.items() if key != "generated_at"}).encode()


def sha256(content: bytes) -> str:
    """The digest by which a quarantined line is found again."""
    return hashlib.sha256(content).hexdigest()


def files_holding(folder: Path, needle: bytes, *, but: Iterable[Path] = ()) -> list[Path]:
    """The files under a folder in which those bytes stand, or whose name holds them, apart from some subfolders."""
    skipped = tuple(but)
    return [
        path
        for path in folder.rglob("*")
        if not any(path.is_relative_to(part) for part in skipped)
        and (needle in path.name.encode() or (path.is_file() and needle in path.read_bytes()))
    ]


# --- Comparison ----------------------------------------------------------------------------------------------------


def _as_instant(value: object) -> object:
    if isinstance(value, str) and len(value) > 18 and value[4:5] == "-":
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            return value
    return value


def same(expected: object, answer: object, path: str = "") -> list[str]:
    """The differences between what is expected and an answer; members that are not expected are free."""
    if isinstance(expected, Mapping):
        if not isinstance(answer, Mapping):
            return [f"{path}: expected an object, got {answer!r}"]
        return [
            difference
            for key, value in expected.items()
            for difference in (
                same(value, answer[key], f"{path}.{key}") if key in answer else [f"{path}.{key}: is missing"]
            )
        ]
    if isinstance(expected, list):
        if not isinstance(answer, list) or len(expected) != len(answer):
            return [f"{path}: expected {expected!r}, got {answer!r}"]
        return [
            difference
            for number, (one, other) in enumerate(zip(expected, answer, strict=True))
            for difference in same(one, other, f"{path}[{number}]")
        ]
    one, other = _as_instant(expected), _as_instant(answer)
    if one != other or isinstance(one, bool) is not isinstance(other, bool):
        return [f"{path}: expected {expected!r}, got {answer!r}"]
    return []
