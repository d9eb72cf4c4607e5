"""The data dictionary: every column has a comment in the file, and the diagram is true of a recorded month."""

from __future__ import annotations

from pathlib import Path

import pytest

from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse.catalog import KEYS
from tests.frames.dictionary import RELATIONS, Relation, dictionary
from tests.support import REPOSITORY, delivery, ingested, query

UNCOMMENTED = (
    "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal AND comment IS NULL "
    "UNION ALL SELECT table_name, '' FROM duckdb_tables() WHERE comment IS NULL "
    "UNION ALL SELECT view_name, '' FROM duckdb_views() WHERE NOT internal AND comment IS NULL"
)


def test_the_page_is_what_the_comments_of_the_schema_say() -> None:
    assert (REPOSITORY / "docs" / "data-dictionary.md").read_text(encoding="utf-8") == dictionary()


def test_every_table_view_and_column_has_a_comment_also_after_compaction(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery()])
    assert query(home, UNCOMMENTED) == []

    warehouse_of(home).compact()
    assert query(home, UNCOMMENTED) == []


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: f"{relation.parent}-{relation.child}")
@pytest.mark.slow
def test_a_relation_of_the_diagram_holds_in_the_recorded_month(month: Settings, relation: Relation) -> None:
    parent, child, columns = relation.parent, relation.child, ", ".join(relation.columns)
    most = "SELECT max(rows) FROM (SELECT count(*) AS rows FROM {} WHERE {} IS NOT NULL GROUP BY {})"

    assert query(month, f"SELECT count(*) > 0 FROM {child} JOIN {parent} USING ({columns})") == [(True,)]
    assert query(month, most.format(parent, relation.columns[0], columns)) == [(1,)]
    if relation.is_single:
        assert query(month, most.format(child, relation.columns[0], columns)) == [(1,)]


@pytest.mark.parametrize("table", KEYS)
@pytest.mark.slow
def test_a_key_tells_the_rows_of_the_recorded_month_apart(month: Settings, table: str) -> None:
    columns = ", ".join(KEYS[table])

    ((rows, keys),) = query(month, f"SELECT count(*), count(DISTINCT ({columns})) FROM {table}")
    assert rows == keys > 0
