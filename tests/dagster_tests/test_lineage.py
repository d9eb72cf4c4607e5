"""The lineage is the data flow: what every asset says of itself, and what each is made from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cavra_pipeline.assets.registry import GROUPS
from cavra_pipeline.definitions import build_defs
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.executive.members import MEMBERS
from cavra_pipeline.jobs import WHY
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.store import OVER_ALL_LANES
from cavra_pipeline.settings import Settings
from cavra_pipeline.sql import statement
from cavra_pipeline.state.tables import saved_reports
from cavra_pipeline.warehouse import WarehouseBusy
from cavra_pipeline.warehouse.schema import MACROS, PROJECTIONS, declared_columns
from cavra_pipeline.warehouse.session import Session
from tests.connectors.receiver import Receiver, answer
from tests.dagster_tests.runs import DAY, EVIDENCE, REPORTS, checks, key, metadata_of, new_home, report_ids, run
from tests.support import REPOSITORY, acknowledgement, at, delivery, drop, execution, home_with, plan, query, worker_run
from tests.worker.support import SIGNING, connectors_file

pytestmark = pytest.mark.slow

WORKERS = tuple(f"{lane}_retry_worker" for lane in LANES)
MADE = (*EVIDENCE, *REPORTS, "provider_incidents", "executive_recovery_report")
DECLARED = ("landing_zone", *MADE, *WORKERS, "verified_history")
#: The views of the console, by the names in its addresses.
CONSOLE_VIEWS = re.findall(
    r"^  (\w+): { title: ", (REPOSITORY / "cavra_pipeline/console/static/app.js").read_text(), re.MULTILINE
)
SOURCE = "sources: {five: {type: file, path: five.jsonl}}"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with a source, and with one delivery on the day of the tests."""
    settings = new_home(tmp_path_factory.mktemp("lineage"), [delivery(at(60), session_id="d-1", failed=["slack"])])
    (settings.home / "sources.yaml").write_text(SOURCE)
    return settings.but(sources_file=settings.home / "sources.yaml")


@pytest.fixture(scope="module")
def graph(home: Settings) -> Any:
    """What the code location of that home has loaded."""
    return build_defs(home).resolve_asset_graph()


@pytest.fixture(scope="module")
def done(home: Settings) -> dg.ExecuteInProcessResult:
    """A run of all that is made for a day."""
    return run(home, assets=MADE)


def work(home: Settings, lane: str) -> dg.ExecuteInProcessResult:
    """A run of a lane's worker, in its job."""
    return run(home, days=(), assets=[f"{lane}_retry_worker"], job=LANES[lane].schedule)


def columns_of(node: Any) -> list[tuple[str, str, str | None]]:
    return [(one.name, one.type, one.description) for one in node.metadata["dagster/column_schema"].columns]


def test_the_assets_are_those_that_are_declared_here(graph: Any) -> None:
    assert graph.get_all_asset_keys() == {*(key(name) for name in DECLARED), key("sources", "five")}


@pytest.mark.parametrize("name", [*DECLARED, "sources/five"])
def test_every_asset_says_what_it_is_whose_and_where_it_is_stored(name: str, graph: Any) -> None:
    node = graph.get(key(*name.split("/")))

    assert node.description
    assert node.owners
    assert node.kinds
    assert node.group_name in GROUPS
    assert node.metadata["dagster/table_name"]
    columns = columns_of(node)
    assert columns
    assert all(column and type_ and comment for column, type_, comment in columns)
    (reference,) = node.metadata["dagster/code_references"].code_references
    assert Path(reference.file_path).is_file()
    assert 0 < reference.line_number <= len(Path(reference.file_path).read_text().splitlines())


@pytest.mark.parametrize("name", [*DECLARED, "sources/five"])
def test_every_asset_leads_to_a_view_that_the_console_has(name: str, graph: Any) -> None:
    address = graph.get(key(*name.split("/"))).metadata["console"].value

    start, _, rest = address.partition("/#/")
    view, _, asked = rest.partition("?")
    lane = next((one for one in LANES if name.startswith(f"{one}_retry_")), None)
    assert start == "http://127.0.0.1:8765"
    assert view in CONSOLE_VIEWS
    assert asked == (f"lane={lane}&run=1" if lane else "")


@pytest.mark.parametrize("name", [*REPORTS, "provider_incidents", "executive_recovery_report"])
def test_every_report_leads_to_its_page_as_of_its_instant(name: str, done: dg.ExecuteInProcessResult) -> None:
    address = metadata_of(done, name)["report_page"]

    assert address.partition("/#/")[2].partition("?")[0] in CONSOLE_VIEWS
    assert address.endswith(f"as_of={DAY}T23:59:59")


@pytest.mark.parametrize("name", PROJECTIONS)
def test_each_column_of_a_projection_says_which_columns_of_evidence_it_is_made_of(
    name: str, graph: Any, done: dg.ExecuteInProcessResult
) -> None:
    lineage = metadata_of(done, name)["dagster/column_lineage"].deps_by_column

    known = {column for column, _, _ in columns_of(graph.get(key("evidence")))}
    assert list(lineage) == [column for column, _, _ in columns_of(graph.get(key(name)))]
    assert all(found and {one.asset_key for one in found} == {key("evidence")} for found in lineage.values())
    assert {one.column_name for found in lineage.values() for one in found} <= known


def test_a_computed_column_is_made_of_what_its_expression_reads(done: dg.ExecuteInProcessResult) -> None:
    computed = {"worker_runs": ("is_dry_run", "dry_run"), "executions": ("execution_status", "status")}
    for name, (column, source) in computed.items():
        (made_of,) = metadata_of(done, name)["dagster/column_lineage"].deps_by_column[column]
        assert made_of.column_name == source
    assert "dagster/column_lineage" not in metadata_of(done, "quarantine")


def test_every_check_says_why_first(done: dg.ExecuteInProcessResult) -> None:
    kept = [
        dg.deserialize_value(dg.serialize_value(one), dg.AssetCheckEvaluation)
        for one in done.get_asset_check_evaluations()
    ]
    found = {one.check_name: next(iter(one.metadata)) for one in kept}

    assert len(found) >= 8
    assert set(found.values()) == {WHY}


@pytest.mark.parametrize("name", EVIDENCE)
def test_the_columns_of_evidence_are_those_of_its_table(
    name: str, graph: Any, home: Settings, done: dg.ExecuteInProcessResult
) -> None:
    assert done.success
    found = query(home, f"SELECT column_name, column_type FROM (DESCRIBE {name})")

    assert [(column, type_) for column, type_, _ in columns_of(graph.get(key(name)))] == found
    assert graph.get(key(name)).metadata["dagster/table_name"] == f"warehouse.main.{name}"


def test_the_comments_of_columns_are_those_of_the_warehouse(home: Settings, done: dg.ExecuteInProcessResult) -> None:
    assert done.success
    found = query(home, "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE comment IS NOT NULL")
    declared = [(table, name, comment) for table, all_ in declared_columns().items() for name, _, comment in all_]

    assert sorted(declared) == sorted(found)


def test_every_column_of_a_saved_report_has_its_comment() -> None:
    assert all(column.doc for column in saved_reports.columns)


def test_the_members_of_the_executive_report_are_those_it_has(home: Settings, done: dg.ExecuteInProcessResult) -> None:
    assert done.success
    text = (home.home / "reports" / f"executive-report-{DAY}.json").read_text()
    types = {"string": str, "integer": int, "array": list, "object": dict}

    document = json.loads(text)
    assert sorted(document) == sorted(MEMBERS)
    assert all(value is None or isinstance(value, types[MEMBERS[name][0]]) for name, value in document.items())


@pytest.mark.parametrize("name", MADE)
def test_what_is_made_for_a_day_says_how_many_rows_the_day_has(name: str, done: dg.ExecuteInProcessResult) -> None:
    assert done.success
    expected = {"evidence": 1, "deliveries": 1, **dict.fromkeys((*REPORTS, "executive_recovery_report"), 1)}

    assert metadata_of(done, name)["dagster/row_count"] == expected.get(name, 0)


@pytest.mark.parametrize("lane", LANES)
def test_a_worker_says_how_many_runs_it_has_written(lane: str, home: Settings) -> None:
    worker = key(f"{lane}_retry_worker")
    (event,) = (one for one in work(home, lane).all_events if one.is_step_materialization and one.asset_key == worker)

    assert event.step_materialization_data.materialization.metadata["dagster/row_count"].value == 1


# --- Dependencies --------------------------------------------------------------------------------------------------

#: Tables that an asset has the rows of under another name. What is not named here is made from evidence as a whole.
ROWS_OF = {"delivery_outcomes": "deliveries", "finding_rows": "findings"}
EVERYTHING_READ = [
    delivery(at(60), session_id="d-1", failed=["slack"]),
    acknowledgement(at(30), session_id="a-1"),
    plan(at(20), session_id="p-1"),
    worker_run(at(20), session_id="w-2"),
    execution(at(10), session_id="x-1", status="failed"),
]


def tables_in(sql: str) -> set[str]:
    """Tables and views that a statement reads, itself or through a macro of the warehouse."""
    found = set(re.findall(r"\b(?:FROM|JOIN)\s+([a-z_]+)\b(?!\()", sql))
    for macro in re.findall(r"\b([a-z_]+)\(", sql):
        if macro in MACROS:
            found |= tables_of_macro(macro)
    return found


@cache
def tables_of_macro(name: str) -> set[str]:
    return tables_in(statement("cavra_pipeline.warehouse", f"macro_{name}").replace(f"MACRO {name}(", ""))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The tables that statements read during a test."""
    found: set[str] = set()
    execute = Session._execute

    def noted(self: Session, sql: str, *rest: Any) -> Any:
        found.update(tables_in(sql) & declared_columns().keys())
        return execute(self, sql, *rest)

    monkeypatch.setattr(Session, "_execute", noted)
    return found


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with a record of every kind, ingested."""
    settings = new_home(tmp_path_factory.mktemp("ingested"), EVERYTHING_READ)
    assert run(settings, assets=EVIDENCE).success
    return settings


@pytest.mark.parametrize("name", [*REPORTS[:2], *OVER_ALL_LANES, "executive_recovery_report"])
def test_a_report_follows_from_every_table_that_its_code_reads(
    name: str, graph: Any, ingested: Settings, read: set[str]
) -> None:
    assert run(ingested, assets=[name]).success

    assert len(read) > 3
    known = {one.path[-1] for one in graph.get_ancestor_asset_keys(key(name))}
    assert {ROWS_OF.get(table, table if table in EVIDENCE else "evidence") for table in read} - known == set()


def test_a_worker_follows_from_its_plan_and_from_what_it_selects_by(graph: Any) -> None:
    for lane, worker in zip(LANES, WORKERS, strict=True):
        tables = ("acknowledgements", "deliveries", "executions", f"{lane}_retry_plan")
        assert graph.get(key(worker)).parent_keys == {key(table) for table in tables}


def test_the_executive_report_follows_from_quarantine_and_from_evidence_itself(graph: Any) -> None:
    assert {key("quarantine"), key("evidence")} <= graph.get(key("executive_recovery_report")).parent_keys


def written(done: dg.ExecuteInProcessResult, worker: str) -> dict[str, tuple[str | None, Any]]:
    """Tables that a worker's step has materialised, with the day and its rows."""
    made = [one for one in done.all_events if one.is_step_materialization and one.asset_key != key(worker)]
    return {
        one.asset_key.path[-1]: (
            one.partition,
            one.step_materialization_data.materialization.metadata["dagster/row_count"].value,
        )
        for one in made
        if one.asset_key
    }


def test_a_dry_worker_materialises_the_run_and_the_plan_that_it_writes(tmp_path: Path) -> None:
    done = work(new_home(tmp_path, EVERYTHING_READ), next(iter(LANES)))

    today = datetime.now(UTC).date().isoformat()
    assert written(done, WORKERS[0]) == {"worker_runs": (today, 1), "retry_plans": (today, 1)}


LIVE_LANE = "recovery_health_alert"
LIVE_WORKER = f"{LIVE_LANE}_retry_worker"


@pytest.fixture
def live_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Settings, Receiver]]:
    """A home with one retry that is due in a lane that its host names live, and who receives it."""
    failed_at = datetime.now(UTC) - timedelta(hours=2)
    lines = [delivery(failed_at, lane=LIVE_LANE, subject="s", failed=["webhook"])]
    settings = home_with(tmp_path, {failed_at.date().isoformat(): lines}, is_new=True)
    with Receiver() as receiver:
        url = receiver.script("/hook", answer(200))
        connectors_file(tmp_path / "connectors.yaml", webhook={"url": url, "signing_secrets_env": "SIGNING"})
        monkeypatch.setenv("CAVRA_HOME", str(settings.home))
        monkeypatch.setenv("SIGNING", SIGNING)
        monkeypatch.setenv("CAVRA_CONNECTORS", str(tmp_path / "connectors.yaml"))
        monkeypatch.setenv("CAVRA_LIVE_LANES", LIVE_LANE)
        yield settings, receiver


def test_a_live_worker_materialises_executions_and_deliveries_too(live_home: tuple[Settings, Receiver]) -> None:
    done = work(live_home[0], LIVE_LANE)

    today = datetime.now(UTC).date().isoformat()
    assert done.success
    assert {name: day for name, (day, _) in written(done, LIVE_WORKER).items()} == dict.fromkeys(
        ("worker_runs", "retry_plans", "executions", "deliveries"), today
    )


def test_a_live_run_that_sent_succeeds_although_its_tables_can_not_be_shown(
    live_home: tuple[Settings, Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object) -> object:
        raise WarehouseBusy("the warehouse stayed busy", where="here", remedy="Wait")

    monkeypatch.setattr("cavra_pipeline.assets.workers.day_counts", busy)
    settings, receiver = live_home

    done = work(settings, LIVE_LANE)

    assert (done.success, written(done, LIVE_WORKER)) == (True, {})
    assert not done.retry_attempts_for_node(key(LIVE_WORKER).to_python_identifier())
    assert len(receiver.requests("/hook")) == 1
    assert query(settings, "SELECT count(*) FROM executions") == [(1,)]


@pytest.mark.parametrize(("lane", "retries"), [(LIVE_LANE, 0), (next(iter(LANES)), 2)])
def test_dagster_repeats_the_step_of_a_dry_worker_that_failed_and_no_live_one(
    lane: str, retries: int, live_home: tuple[Settings, Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def busy(*_: object, **__: object) -> object:
        calls.append(1)
        raise WarehouseBusy("the warehouse stayed busy", where="here", remedy="Wait")

    monkeypatch.setattr("cavra_pipeline.assets.workers.run_worker", busy)
    monkeypatch.setattr("cavra_pipeline.assets.registry._RETRY_SECONDS", 0)

    assert not work(live_home[0], lane).success
    assert len(calls) == 1 + retries


def test_a_worker_links_to_the_tables_that_it_writes(graph: Any) -> None:
    for name in WORKERS:
        shown = graph.get(key(name)).metadata
        for table in ("worker_runs", "retry_plans", "executions", "deliveries"):
            assert shown[f"writes_{table}"].asset_key == key(table)


def test_every_check_says_when_it_passes(graph: Any) -> None:
    specs = [graph.get_check_spec(one) for one in graph.asset_check_keys]

    assert specs
    assert [one.name for one in specs if not str(one.description).startswith("Passes when ")] == []


# --- Checks that stop what follows ---------------------------------------------------------------------------------

SPOILT = {
    "totals_add_up": "UPDATE drops SET received_count = received_count + 1",
    "schema_is_declared": "ALTER TABLE evidence_records ADD COLUMN odd VARCHAR",
}


@pytest.mark.parametrize("check", SPOILT)
def test_a_check_that_makes_what_follows_worthless_stops_it(check: str, tmp_path: Path) -> None:
    settings, report = new_home(tmp_path, EVERYTHING_READ), REPORTS[0]
    sound = run(settings, assets=[*EVIDENCE, report])
    made = report_ids(settings)
    with warehouse_of(settings).writing("spoil it") as session:
        session.execute(SPOILT[check])

    spoilt = run(settings, assets=[*EVIDENCE, report, "executive_recovery_report"])

    assert sound.success
    assert len(made) == 1
    assert not spoilt.success
    assert checks(spoilt)[check] == (False, "ERROR")
    assert {one.asset_key.path[-1] for one in spoilt.all_events if one.is_step_materialization if one.asset_key} == {
        *EVIDENCE
    }
    assert not list(settings.home.glob("reports/*"))


def test_only_those_checks_stop_what_follows(graph: Any) -> None:
    blocking = {one.name for one in graph.asset_check_keys if graph.get_check_spec(one).blocking}

    assert blocking == set(SPOILT)


# --- The landing zone, and parts of the evidence -------------------------------------------------------------------


def observed(done: dg.ExecuteInProcessResult) -> dict[str | None, dict[str, Any]]:
    """What a run has observed of the landing zone, by day."""
    events = [one.asset_observation_data.asset_observation for one in done.get_asset_observation_events()]
    assert {one.asset_key for one in events} <= {key("landing_zone")}
    return {one.partition: {name: value.value for name, value in one.metadata.items()} for one in events}


def test_each_day_of_the_landing_zone_that_has_files_is_observed(tmp_path: Path) -> None:
    settings = new_home(tmp_path, {DAY.isoformat(): [delivery(at(60), session_id="d-1")]})
    days = [DAY - timedelta(days=1), DAY]
    (file,) = (one for one in settings.landing.rglob("*") if one.is_file())

    first, again = (observed(run(settings, days, assets=EVIDENCE)) for _ in range(2))
    drop(settings, [delivery(at(50), session_id="d-2")], name="second.jsonl")
    changed = observed(run(settings, days, assets=EVIDENCE))

    (seen,) = first.values()
    assert list(first) == [DAY.isoformat()]
    assert (seen["file_count"], seen["landing_bytes"], seen["dagster/row_count"]) == (1, file.stat().st_size, 1)
    assert again == first
    assert changed[DAY.isoformat()]["file_count"] == 2
    assert changed[DAY.isoformat()]["landing_bytes"] > seen["landing_bytes"]
    assert changed[DAY.isoformat()]["drop_digest"] != seen["drop_digest"]


@pytest.mark.parametrize("name", ["evidence", "deliveries", "quarantine"])
def test_one_evidence_table_alone_can_be_materialised(name: str, tmp_path: Path) -> None:
    settings = new_home(tmp_path, EVERYTHING_READ)

    done = run(settings, assets=[name])

    assert done.success
    assert {one.asset_key for one in done.all_events if one.is_step_materialization} == {key(name)}
    assert {one.asset_key for one in done.get_asset_check_evaluations()} <= {key(name)}
    # The ingest is one all the same.
    assert query(settings, "SELECT count(*) FROM evidence") == [(5,)]
