"""The boundary set-wise: raw lines in, typed rows, quarantine and findings out. Decides nothing by itself.

A line's *shape* is its kind and its keys. The reference (``boundary.judge``) decides once for each shape; a line whose
shape passes and that holds no hint of a secret or of another type is typed by DuckDB as it stands, every other line
goes through the reference one by one (docs/decisions/0003-boundary.md, 0005-ingest-speed.md).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cavra_pipeline.evidence import boundary
from cavra_pipeline.evidence.boundary import Finding, Kept, Quarantined
from cavra_pipeline.evidence.hints import HintScanner, objects
from cavra_pipeline.evidence.kinds import COLUMNS, DELIVERY_KIND, DELIVERY_MEMBERS, KINDS, Field, Kind, Type
from cavra_pipeline.lanes import LANES
from cavra_pipeline.sql import literal, statement

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


PASSED: Final = pa.schema([*LINES, ("dropped_field_count", pa.int64()), ("is_verbatim", pa.bool_())])


@dataclass(slots=True)
class Screened:
    """What the boundary made of some lines.

    Attributes:
        judged: Lines that the reference let through, cut down to their allowlist (``PASSED``).
        quarantined: Lines of which nothing may be kept.
        findings: What was found in any of the lines.
        rows: The other lines that may pass, as typed rows in line order.
        raw: Those lines as they stand: ``line_number`` and ``line``.
    """

    judged: pa.Table = field(default_factory=PASSED.empty_table)
    quarantined: list[QuarantinedLine] = field(default_factory=list)
    findings: list[LineFinding] = field(default_factory=list)
    rows: pa.Table | None = None
    raw: pa.Table | None = None

    @property
    def passed(self) -> pa.Table:
        """The lines that may pass, with the number of fields left out of each and whether the line is free of them."""
        if self.rows is None or self.raw is None:
            return self.judged
        dropped = self.rows["dropped_field_count"]
        lines = self.raw.append_column("dropped_field_count", dropped)
        lines = lines.append_column("is_verbatim", pa.compute.equal(dropped, 0))
        return pa.concat_tables([lines.cast(PASSED), self.judged])


def sha256_of(raw: bytes) -> str:
    """The digest by which a quarantined line can be found again in its source."""
    return hashlib.sha256(raw).hexdigest()


def _json_type(field_: Field) -> object:
    """The field's type for from_json; timestamps arrive as text."""
    text = {Type.TIMESTAMP: "VARCHAR", Type.STRINGS: ["VARCHAR"], Type.INTEGERS: ["BIGINT"]}
    return text.get(field_.type, field_.type.sql)


def _presence(kinds: Sequence[Kind]) -> tuple[str, str]:
    """One bit for each declared path that is there and not null: those at the top and of a delivery, those nested.

    The objects that kinds call by names of their own share the bits of what stands in them.
    """
    flat = {f.path: _quoted(f.path) for kind in kinds for f in kind.fields if "." not in f.path}
    flat |= {path: _quoted(path) for path in ("delivery", "delivery.deliveries")}
    nested = {path: _quoted(path) for path in objects(kinds) if path.split(".")[0] != "delivery"}
    for path in dict.fromkeys(f.path for kind in kinds for f in kind.fields if f.path.split(".")[0] in nested):
        tail = path.split(".", 1)[1]
        nested[tail] = f"{nested[tail]}, {_quoted(path)}" if tail in nested else _quoted(path)
    return _bits(flat.values()), _bits(nested.values())


def _bits(values: Iterable[str]) -> str:
    bits = [f"(coalesce({value}) IS NOT NULL)::BIGINT * {1 << bit}" for bit, value in enumerate(values)]
    return " + ".join(bits) or "0::BIGINT"


def _structure(kinds: Iterable[Kind]) -> str:
    """The structure from_json reads: every path that the kinds declare."""
    tree: dict[str, object] = {}
    for kind in kinds:
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


def _column(column: str, kinds: Iterable[Kind]) -> str:
    """A column's value: the paths that fill it over the kinds, the first that is there."""
    paths = list(
        dict.fromkeys(f.path for kind in kinds for f in kind.fields if f.column == column and "[]" not in f.path)
    )
    if not paths:
        return f"NULL::{COLUMNS[column].type.sql} AS {column}"
    value = f"coalesce({', '.join(map(_quoted, paths))})" if len(paths) > 1 else _quoted(paths[0])
    if COLUMNS[column].type is Type.TIMESTAMP:
        return f"{value} AS raw_{column}"
    if COLUMNS[column].type is Type.ACTOR:
        return f"nullif({value}, '') AS {column}"
    return f"{value} AS {column}"


def _member_count() -> str:
    return " + ".join(f"(d.{name} IS NOT NULL)::BIGINT" for name in DELIVERY_MEMBERS)


def _timestamps() -> str:
    return ", ".join(
        f"utc_timestamp(raw_{column}) AS {column}" for column, f in COLUMNS.items() if f.type is Type.TIMESTAMP
    )


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


#: What to take for JSON: at first every line without a hint; where one is none, what each line is by itself.
_UNLESS_SUSPECT, _BY_ITSELF = "NOT is_suspect", "json_valid(line)"


@cache
def _read_lines(names: frozenset[str], is_json: str = _UNLESS_SUSPECT) -> str:
    """The statement for lines of some kinds. Those that never come would make every line carry their nulls."""
    kinds = [kind for kind in KINDS.values() if kind.name in names | {DELIVERY_KIND}]
    presence, nested_presence = _presence(kinds)
    return statement(
        _PACKAGE,
        "read_lines",
        is_json=is_json,
        structure=_structure(kinds),
        fields=",\n        ".join(
            [*(_column(column, kinds) for column in COLUMNS), "record.delivery.deliveries AS raw_deliveries"]
        ),
        presence=presence,
        nested_presence=nested_presence,
        member_count=_member_count(),
        timestamps=_timestamps(),
        subject=_subject(),
        columns=", ".join(COLUMNS),
        delivery="{" + ", ".join(_delivery_member(*item) for item in DELIVERY_MEMBERS.items()) + "}",
        delivery_fits=_delivery_fits(),
        object_paths=str(["$", *(f"$.{path}" for path in objects(kinds) if not path.endswith("[]"))]),
        max_session_id=str(boundary.MAX_SESSION_ID_CHARACTERS),
        iso_timestamp=literal(ISO_TIMESTAMP),
    )


_EVERY_KIND: Final = frozenset(KINDS)
#: Lines that tell which kinds to expect.
_SAMPLE: Final = 2000
_ASIDE: Final = ("is_suspect", "shape", "fits")


class _NotJson(RuntimeError):
    """Internal: a line that looked like JSON is none; which one has to be asked of each."""


class Screen:
    """The boundary over batches of lines. Holds an in-memory DuckDB that never spills to disk.

    Args:
        threads: DuckDB worker threads, or None for one a core.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._connection = duckdb.connect(":memory:", config={"temp_directory": ""})
        self._connection.execute("SET TimeZone = 'UTC'")
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
        self._statements: dict[str, duckdb.DuckDBPyRelation] = {}
        self._scanner = HintScanner()
        self._kinds: frozenset[str] = frozenset()
        self._shapes: dict[int, int | None] = {}

    def close(self) -> None:
        """Frees the in-memory database."""
        self._connection.close()

    def _query(self, sql: str, lines: pa.Table) -> pa.Table:
        """Runs a statement over ``lines``. DuckDB's messages may quote what they stumble on, so they stop here."""
        if sql not in self._statements:
            # Made over no lines, so that it holds on to none; kept, because making one takes as long as a small drop.
            self._connection.register("lines", lines.schema.empty_table())
            self._statements[sql] = self._connection.sql(sql)
        self._connection.register("lines", lines)
        try:
            return self._statements[sql].to_arrow_table()
        except duckdb.InvalidInputException:
            raise _NotJson("the set-wise boundary was given a line that is no JSON") from None
        except duckdb.Error as error:
            raise RuntimeError(f"the set-wise boundary failed ({type(error).__name__})") from None
        finally:
            self._connection.unregister("lines")

    def screen(self, lines: pa.Table) -> Screened:
        """Puts lines through the boundary.

        Args:
            lines: ``line_number`` and ``line``, valid UTF-8, in order.

        Returns:
            What may pass, what is quarantined and what was found.
        """
        rows = self._read(lines)
        dropped = self._dropped(rows, lines)
        rows = rows.drop_columns(_ASIDE).append_column("dropped_field_count", pa.array(dropped))
        passes = dropped >= 0
        if passes.all():
            return Screened(rows=rows, raw=lines)
        screened = self.judge(lines.filter(pa.array(~passes)))
        screened.rows, screened.raw = rows.filter(pa.array(passes)), lines.filter(pa.array(passes))
        return screened

    def _read(self, lines: pa.Table) -> pa.Table:
        """Reads lines by the kinds met so far; where others come up, once more with those."""
        lines = self._scanned(lines)
        if not self._kinds:
            self._learn(self._query(statement(_PACKAGE, "list_kinds", is_json=_BY_ITSELF), lines.slice(0, _SAMPLE)))
        is_json = _UNLESS_SUSPECT
        while True:
            try:
                rows = _in_order(self._query(_read_lines(self._kinds, is_json), lines))
            except _NotJson:
                is_json = _BY_ITSELF
                continue
            if not self._learn(rows):
                return rows

    def _scanned(self, lines: pa.Table, *, are_judged: bool = False) -> pa.Table:
        is_suspect, key_counts = self._scanner.scan(lines["line"])
        is_suspect &= not are_judged
        return lines.append_column("is_suspect", pa.array(is_suspect)).append_column("key_count", pa.array(key_counts))

    def _learn(self, rows: pa.Table) -> bool:
        """Tells whether the rows have declared kinds that were not known to come; shapes of before don't hold then."""
        met = frozenset(pa.compute.unique(rows["metadata_kind"]).to_pylist()) & _EVERY_KIND
        if met <= self._kinds:
            return False
        self._kinds |= met
        self._shapes.clear()
        return True

    def _dropped(self, rows: pa.Table, lines: pa.Table) -> npt.NDArray[np.int64]:
        """How many fields each line drops, or -1 where the reference has to judge the line itself."""
        shapes = rows["shape"].fill_null(0).to_numpy()
        is_plain = np.asarray(rows["shape"].is_valid()) & np.asarray(rows["fits"]) & ~np.asarray(rows["is_suspect"])
        dropped = np.full(len(rows), -1, dtype=np.int64)
        for shape in np.unique(shapes[is_plain]):
            alike = is_plain & (shapes == shape)
            proven = self._dropped_by(int(shape), lines["line"], int(alike.argmax()))
            if proven is not None:
                dropped[alike] = proven
        return dropped

    def _dropped_by(self, shape: int, lines: pa.ChunkedArray, row: int) -> int | None:
        """How many fields every line of this shape drops, or None if each must be judged by itself."""
        if shape not in self._shapes:
            line = lines[row].as_py()
            verdict = boundary.judge(line.encode())
            passes = (
                isinstance(verdict, Kept) and not verdict.findings and not _has_field_of_another_kind(line, verdict)
            )
            self._shapes[shape] = verdict.dropped_field_count if isinstance(verdict, Kept) and passes else None
        return self._shapes[shape]

    def judge(self, lines: pa.Table) -> Screened:
        """Puts each line through the reference."""
        screened = Screened()
        kept: list[tuple[int, str, int, bool]] = []
        for number, line in zip(lines["line_number"].to_pylist(), lines["line"].to_pylist(), strict=True):
            raw = line.rstrip("\r\n").encode()
            verdict = boundary.judge(raw)
            screened.findings.extend(_at(number, verdict.findings))
            if isinstance(verdict, Quarantined):
                screened.quarantined.append(quarantined_line(number, raw, verdict))
            else:
                kept.append((number, verdict.line(), verdict.dropped_field_count, True))
        if kept:
            screened.judged = pa.table(list(zip(*kept, strict=True)), schema=PASSED)
        return screened

    def typed(self, screened: Screened) -> pa.Table:
        """Returns the lines that may pass as typed rows, one column for each declared field, in no certain order."""
        if screened.rows is not None and not len(screened.judged):
            return screened.rows
        lines = self._scanned(screened.judged, are_judged=True)
        self._learn(self._query(statement(_PACKAGE, "list_kinds", is_json=_UNLESS_SUSPECT), lines))
        judged = _in_order(self._query(_read_lines(self._kinds), lines)).drop_columns(_ASIDE)
        judged = judged.append_column("dropped_field_count", screened.judged["dropped_field_count"])
        return judged if screened.rows is None else pa.concat_tables([screened.rows, judged])


_TOP_LEVEL: Final = frozenset(f.path.split(".")[0] for kind in KINDS.values() for f in kind.fields)


def _has_field_of_another_kind(line: str, kept: Kept) -> bool:
    """Whether it drops a field that another kind declares: DuckDB, which reads all kinds as one, would keep that."""
    return not _TOP_LEVEL.isdisjoint(json.loads(line).keys() - kept.record.keys())


def _in_order(rows: pa.Table) -> pa.Table:
    """Rows in line order; they nearly always are, and a sort would copy them."""
    numbers = np.asarray(rows["line_number"])
    return rows if (numbers[1:] > numbers[:-1]).all() else rows.sort_by("line_number")


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
