"""Metadata of the table behind an asset: its name, its columns with their comments, where code makes it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import dagster as dg

from cavra_pipeline.executive.members import MEMBERS
from cavra_pipeline.jobs import asset_key
from cavra_pipeline.settings import Settings
from cavra_pipeline.state.tables import saved_reports
from cavra_pipeline.warehouse.schema import declared_columns, projected_columns

#: What materialisations say of a table: how many rows the partition has, or the run has written.
ROW_COUNT: Final = "dagster/row_count"


def warehouse_table(settings: Settings, name: str) -> dict[str, Any]:
    """Returns the metadata of an asset that is a table or view of the warehouse.

    Raises:
        KeyError: The warehouse has no such table; a defect of the caller.
    """
    return document_table(f"{settings.warehouse.stem}.main.{name}", declared_columns()[name])


def saved_reports_table() -> dict[str, Any]:
    """Returns the metadata of an asset that is saved as rows of the state database."""
    columns = ((column.name, str(column.type), str(column.doc)) for column in saved_reports.columns)
    return document_table(saved_reports.name, columns)


def executive_report_table() -> dict[str, Any]:
    """Returns the metadata of the executive report: a file for each day, whose members are its columns."""
    return document_table("executive_report", ((name, type_, comment) for name, (type_, comment) in MEMBERS.items()))


def code_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Returns the code reference of an asset that no function of ours materialises: what reads it.

    Args:
        function: The function.
    """
    path, (_, line) = inspect.getsourcefile(function), inspect.getsourcelines(function)
    reference = dg.LocalFileCodeReference(file_path=str(Path(str(path)).resolve()), line_number=line)
    return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[reference])}


def column_lineage(settings: Settings, name: str) -> dict[str, Any]:
    """Returns what a materialisation of a projection of ``evidence`` says of its columns; nothing of another table.

    Dagster shows the lineage of the newest materialisation, and none that stands on the asset.
    """
    columns = projected_columns().get(name)
    if columns is None:
        return {}
    evidence = asset_key(settings, "evidence")
    made_of = {
        column: [dg.TableColumnDep(evidence, source_column) for source_column in source_columns]
        for column, source_columns in columns.items()
    }
    return {"dagster/column_lineage": dg.TableColumnLineage(made_of)}


def document_table(name: str, columns: Iterable[tuple[str, str, str]]) -> dict[str, Any]:
    """Returns the metadata of an asset that is stored under a name, with columns: name, type, comment."""
    shown = [dg.TableColumn(column, type_, description=comment) for column, type_, comment in columns]
    return {"dagster/table_name": name, "dagster/column_schema": dg.TableSchema(columns=shown)}
