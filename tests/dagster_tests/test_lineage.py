"""The lineage is the data flow: what every asset says of itself, and what each is made from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cavra_pipeline.assets.registry import GROUPS
from cavra_pipeline.definitions import build_defs
from cavra_pipeline.executive.members import MEMBERS
from cavra_pipeline.lanes import LANES
from cavra_pipeline.settings import Settings
from cavra_pipeline.state.tables import saved_reports
from cavra_pipeline.warehouse.schema import declared_columns
from tests.dagster_tests.runs import DAY, EVIDENCE, REPORTS, key, metadata_of, new_home, run
from tests.support import at, delivery, query

WORKERS = tuple(f"{lane}_retry_worker" for lane in LANES)
MADE = (*EVIDENCE, *REPORTS, "executive_recovery_report")
DECLARED = ("landing_zone", *MADE, *WORKERS)
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
    """A run of all that is made for a day, and of the workers."""
    return run(home, assets=(*MADE, *WORKERS))


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


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_says_how_many_runs_it_has_written(name: str, done: dg.ExecuteInProcessResult) -> None:
    (event,) = (one for one in done.all_events if one.is_step_materialization and one.asset_key == key(name))

    assert event.step_materialization_data.materialization.metadata["dagster/row_count"].value == 1
