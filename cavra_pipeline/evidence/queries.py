"""Questions about what came in: counts by landing day, quarantine, findings, unreadable landing files, the schema."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from cavra_pipeline.boundary.kinds import WORD_COLUMNS
from cavra_pipeline.boundary.verdict import NOT_SECRETS
from cavra_pipeline.evidence.leaks import LEAKED
from cavra_pipeline.warehouse import Session
from cavra_pipeline.warehouse.schema import EVIDENCE_COLUMNS

_PACKAGE: Final = "cavra_pipeline.evidence"
_EVERY: Final = (date.min, date.max)


def day_counts(session: Session, days: list[date]) -> dict[date, dict[str, Any]]:
    """Counts what each of the landing days brought; a day without a landing file counts nothing and is there too."""
    parameters = {"days": days, "first": min(days), "last": max(days)}
    rows = session.stream(_PACKAGE, "day_counts", parameters, word_columns=", ".join(WORD_COLUMNS))
    return {row.pop("drop_day"): row for row in rows}


def holds_pseudonyms(session: Session) -> bool:
    """Returns whether a text in the warehouse was replaced by its pseudonym."""
    return bool(session.rows(_PACKAGE, "holds_pseudonyms"))


def list_quarantine(session: Session, days: tuple[date, date] = _EVERY) -> list[dict[str, object]]:
    """Lists quarantined lines of the landing days from one to another: place, SHA-256 and reason; never the text."""
    return session.rows(_PACKAGE, "list_quarantine", {"first": days[0], "last": days[1]})


def list_findings(session: Session, days: tuple[date, date] = _EVERY) -> list[dict[str, object]]:
    """Lists findings of the landing days from one to another, secrets first: place, rule, path; never the value."""
    parameters: dict[str, object] = {"first": days[0], "last": days[1], "not_secrets": sorted(NOT_SECRETS)}
    return session.rows(_PACKAGE, "list_findings", parameters, is_secret=LEAKED)


def schema_differences(session: Session) -> list[str]:
    """Returns the columns in which the warehouse differs from the declared table; none is right."""
    columns = {str(row["column_name"]): str(row["data_type"]) for row in session.rows(_PACKAGE, "warehouse_columns")}
    declared = {name for name, _, _ in EVIDENCE_COLUMNS}
    missing = [f"{name} is missing" for name in sorted(declared - columns.keys())]
    return missing + [f"{name} is not declared" for name in sorted(columns.keys() - declared)]
