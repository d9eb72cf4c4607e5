"""The boundary set-wise: raw lines in, typed rows, quarantine and findings out. Decides nothing by itself.

A line's *shape* is its kind, its keys and its value types. The reference (``boundary.judge``) decides once for
each shape; a line whose shape passes and that holds no hint of a secret is typed by DuckDB as it stands, every
other line goes through the reference one by one (docs/decisions/0003-boundary.md).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa

from cavra_pipeline.evidence import boundary
from cavra_pipeline.evidence.boundary import Finding, Kept, Quarantined
from cavra_pipeline.evidence.kinds import COLUMNS, DELIVERY_MEMBERS, KINDS, Field, Type
from cavra_pipeline.evidence.secrets import HINT
from cavra_pipeline.lanes import LANES
from cavra_pipeline.sql import literal, statement

#: What the set-wise pass leaves to the reference besides secrets: escapes, text that DuckDB's JSON reader takes
#: and RFC 8259 does not (NaN, trailing commas), numbers past 64 bits, and actor-named fields.
_LENIENT: Final = r'\\|,\s*[\]}]|[:\[,]\s*-?(?i:nan|inf)|[0-9]{19,}|_by"|"actor"|"operator"'

_DAY = r"(?:1[0-9]|2[0-9])[0-9]{2}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:[.][0-9]{1,9})?"
ISO_TIMESTAMP: Final = rf"{_DAY}[T ]{_CLOCK}(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?"

LINES: Final = pa.schema([("line_number", pa.int64()), ("line", pa.string())])


@dataclass(frozen=True, slots=True)
class QuarantinedLine:
    """A line of which nothing is kept but where it stood, its digest and why."""

    line_number: int
    sha256: str
    reason: str
    field: str | None
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class LineFinding:
    """A finding at a line."""

    line_number: int
    rule: str
    path: str
    action: str


@dataclass(slots=True)
class Screened:
    """What the boundary made of some lines: clean JSON lines that may pass, and what it must report.

    Attributes:
        passed: Lines that hold allowlisted fields only after typing: ``line_number``, ``line``,
            ``dropped_field_count`` and ``is_verbatim`` (the raw line itself holds nothing else).
    """

    passed: pa.Table
    quarantined: list[QuarantinedLine] = field(default_factory=list)
    findings: list[LineFinding] = field(default_factory=list)


PASSED: Final = pa.schema([*LINES, ("dropped_field_count", pa.int64()), ("is_verbatim", pa.bool_())])


def _passed(rows: list[tuple[int, str, int]], *, verbatim: bool) -> pa.Table:
    numbers, lines, dropped = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table([numbers, lines, dropped, [verbatim] * len(rows)], schema=PASSED)


def sha256_of(raw: bytes) -> str:
    """The digest by which a quarantined line can be found again in its source."""
    return hashlib.sha256(raw).hexdigest()


def _json_type(field_: Field) -> object:
    """The field's type for from_json; timestamps arrive as text."""
    text = {Type.TIMESTAMP: "VARCHAR", Type.STRINGS: ["VARCHAR"], Type.INTEGERS: ["BIGINT"]}
    return text.get(field_.type, field_.type.sql)


def _structure() -> str:
    """The structure from_json reads: every declared path of every kind."""
    tree: dict[str, object] = {}
    for kind in KINDS.values():
        for declared in kind.fields:
            *parents, last = declared.path.split(".")
            node = tree
            for parent in parents:
                branch = node.setdefault(parent.removesuffix("[]"), [{}] if parent.endswith("[]") else {})
                node = branch[0] if isinstance(branch, list) else branch  # type: ignore[assignment]
            node[last] = _json_type(declared)
    return literal(json.dumps(tree))


def _quoted(path: str) -> str:
    return "record" + "".join(f'."{part}"' for part in path.split("."))


def _column(column: str) -> str:
    """A column's value: the paths that fill it over all kinds, the first that is there."""
    paths = list(
        dict.fromkeys(
            f.path for kind in KINDS.values() for f in kind.fields if f.column == column and "[]" not in f.path
        )
    )
    value = f"coalesce({', '.join(map(_quoted, paths))})" if len(paths) > 1 else _quoted(paths[0])
    if COLUMNS[column].type is Type.TIMESTAMP:
        return f"{value} AS raw_{column}, utc_timestamp({value}) AS {column}"
    if COLUMNS[column].type is Type.ACTOR:
        return f"nullif({value}, '') AS {column}"
    return f"{value} AS {column}"


def _subject() -> str:
    def first_of(names: tuple[str, ...]) -> str:
        return "coalesce(" + ", ".join(f"nullif({name}, '')" for name in names) + ")"

    delivery = " ".join(f"WHEN {literal(lane.name)} THEN {first_of(lane.subject_fields)}" for lane in LANES.values())
    other = " ".join(f"WHEN {literal(lane.name)} THEN nullif({lane.subject_field}, '')" for lane in LANES.values())
    return (
        f"CASE record_type WHEN 'delivery' THEN CASE lane {delivery} END "
        f"WHEN 'execution' THEN CASE lane {other} END WHEN 'acknowledgement' THEN CASE lane {other} END END"
    )


def _delivery_member(name: str, member: Field) -> str:
    return f"{name}: utc_timestamp(d.{name})" if member.type is Type.TIMESTAMP else f"{name}: d.{name}"


def _delivery_fits() -> str:
    iso = literal(ISO_TIMESTAMP)
    return " AND ".join(
        f"(d.{name} IS NULL OR (regexp_full_match(d.{name}, {iso}) AND utc_timestamp(d.{name}) IS NOT NULL))"
        for name, member in DELIVERY_MEMBERS.items()
        if member.type is Type.TIMESTAMP
    )


_PACKAGE = "cavra_pipeline.evidence"

_SCAN: Final = statement(
    _PACKAGE,
    "scan_lines",
    hint=literal(f"{HINT}|{_LENIENT}"),
    list_paths=str([
        *(f"$.{f.path}" for f in COLUMNS.values() if f.type in (Type.STRINGS, Type.INTEGERS)),
        "$.delivery.deliveries",
    ]),
)  # fmt: skip

_TYPE: Final = statement(
    _PACKAGE,
    "type_lines",
    structure=_structure(),
    fields=",\n        ".join([*map(_column, COLUMNS), "record.delivery.deliveries AS raw_deliveries"]),
    columns=", ".join(COLUMNS),
    subject=_subject(),
    delivery="{" + ", ".join(_delivery_member(*item) for item in DELIVERY_MEMBERS.items()) + "}",
    delivery_fits=_delivery_fits(),
    max_session_id=str(boundary.MAX_SESSION_ID_CHARACTERS),
    iso_timestamp=literal(ISO_TIMESTAMP),
    actor_label=literal(boundary.ACTOR_LABEL),
)


class Screen:
    """The boundary over batches of lines. Holds an in-memory DuckDB that never spills to disk.

    Args:
        threads: DuckDB worker threads, or None for one a core.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._connection = duckdb.connect(":memory:", config={"temp_directory": ""})
        if threads:
            self._connection.execute("SET threads = ?", [threads])
        self._connection.execute(statement(_PACKAGE, "macro_provider_name"))
        self._connection.execute(statement(_PACKAGE, "macro_utc_timestamp"))
        self._connection.register(
            "kinds",
            pa.table({
                "metadata_kind": list(KINDS),
                "record_type": [kind.record_type for kind in KINDS.values()],
                "lane": pa.array([kind.lane for kind in KINDS.values()], pa.string()),
            }),
        )  # fmt: skip
        self._connection.register(
            "sources",
            pa.table({"delivery_source": [lane.delivery_source for lane in LANES.values()], "lane": list(LANES)}),
        )
        self._shapes: dict[int, int | None] = {}

    def close(self) -> None:
        """Frees the in-memory database."""
        self._connection.close()

    def _query(self, sql: str, lines: pa.Table) -> pa.Table:
        """Runs a statement over ``lines``. DuckDB's messages may quote what they stumble on, so they stop here."""
        self._connection.register("lines", lines)
        try:
            return self._connection.sql(sql).to_arrow_table()
        except duckdb.Error as error:
            raise RuntimeError(f"the set-wise boundary failed ({type(error).__name__})") from None
        finally:
            self._connection.unregister("lines")

    def screen(self, lines: pa.Table) -> Screened:
        """Puts lines through the boundary.

        Args:
            lines: ``line_number`` and ``line``, valid UTF-8, in order.

        Returns:
            What may pass, what is quarantined and what was found. ``passed`` may still hold lines whose values
            only ``typed`` can prove to fit.
        """
        scan = self._query(_SCAN, lines).sort_by("line_number")
        shapes = scan["shape"].to_numpy(zero_copy_only=False)
        known = np.asarray(scan["shape"].is_valid())
        suspect = np.asarray(scan["is_suspect"])
        dropped = np.full(len(scan), -1, dtype=np.int64)
        for shape, first in zip(*np.unique(shapes[known & ~suspect], return_index=True), strict=True):
            row = int(np.flatnonzero(known & ~suspect)[first])
            proven = self._dropped_by(int(shape), lines["line"][row].as_py())
            if proven is not None:
                dropped[known & (shapes == shape)] = proven
        clean = (dropped >= 0) & ~suspect
        judged = (
            self.judge(lines.filter(pa.array(~clean))) if not clean.all() else Screened(_passed([], verbatim=False))
        )
        fast = lines if clean.all() else lines.filter(pa.array(clean))
        fast = fast.append_column("dropped_field_count", pa.array(dropped[clean]))
        fast = fast.append_column("is_verbatim", pa.array(dropped[clean] == 0))
        judged.passed = pa.concat_tables([fast.cast(PASSED), judged.passed])
        return judged

    def _dropped_by(self, shape: int, line: str) -> int | None:
        """How many fields every line of this shape drops, or None if each must be judged by itself."""
        if shape not in self._shapes:
            verdict = boundary.judge(line.encode())
            passes = isinstance(verdict, Kept) and not verdict.findings
            self._shapes[shape] = verdict.dropped_field_count if isinstance(verdict, Kept) and passes else None
        return self._shapes[shape]

    def judge(self, lines: pa.Table) -> Screened:
        """Puts each line through the reference."""
        screened = Screened(_passed([], verbatim=False))
        kept: list[tuple[int, str, int]] = []
        for number, line in zip(lines["line_number"].to_pylist(), lines["line"].to_pylist(), strict=True):
            raw = line.rstrip("\r\n").encode()
            verdict = boundary.judge(raw)
            screened.findings.extend(_at(number, verdict.findings))
            if isinstance(verdict, Quarantined):
                screened.quarantined.append(quarantined_line(number, raw, verdict))
            else:
                kept.append((number, verdict.line(), verdict.dropped_field_count))
        screened.passed = _passed(kept, verbatim=True)
        return screened

    def typed(self, screened: Screened) -> pa.Table:
        """Returns the passed lines as typed rows, one column for each declared field, in line order.

        Lines with a value that the set-wise pass can't vouch for go through the reference here; what it
        quarantines or finds is added to ``screened``.
        """
        rows = self._query(_TYPE, screened.passed)
        fits = np.asarray(rows["fits"])
        if not fits.all():
            misfits = rows.filter(pa.array(~fits))["line_number"]
            chosen = pa.compute.is_in(screened.passed["line_number"], value_set=misfits.combine_chunks())
            judged = self.judge(screened.passed.filter(chosen))
            screened.quarantined += judged.quarantined
            screened.findings += judged.findings
            screened.passed = pa.concat_tables([screened.passed.filter(pa.compute.invert(chosen)), judged.passed])
            rows = pa.concat_tables([rows.filter(pa.array(fits)), self._query(_TYPE, judged.passed)])
        return rows.drop_columns("fits").sort_by("line_number")


def _at(number: int, findings: tuple[Finding, ...]) -> Iterator[LineFinding]:
    for found in findings:
        yield LineFinding(number, found.rule, found.path, found.action.value)


def quarantined_line(number: int, raw: bytes, verdict: Quarantined) -> QuarantinedLine:
    """Makes the row that stands for a line which may not pass."""
    return QuarantinedLine(number, sha256_of(raw), verdict.reason.value, verdict.field, verdict.created_at)


@contextmanager
def screening(threads: int | None = None) -> Iterator[Screen]:
    """Opens a screen and frees it at the end, whatever happens."""
    screen = Screen(threads)
    try:
        yield screen
    finally:
        screen.close()
