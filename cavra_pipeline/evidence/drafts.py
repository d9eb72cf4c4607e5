"""Landing files in the making: the new records of one source, by UTC day, and what was held back from them.

Nothing here is in its place yet; ``importer.py`` puts it there.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute

from cavra_pipeline.boundary.verdict import LineFinding, QuarantinedLine, Reason
from cavra_pipeline.evidence.dating import dated, is_agent_session
from cavra_pipeline.evidence.imported import NO_DIGESTS, Digests, ImportedRecords, digests_of
from cavra_pipeline.evidence.landing import HandedOn
from cavra_pipeline.evidence.lines import LineBatch
from cavra_pipeline.evidence.validator import LINES, ValidatedLines, Validator

#: Why a line is quarantined that may pass the next time: it is not remembered.
_PASSING_REASONS: Final = frozenset({Reason.SCANNER_FAILED.value})
_UNDATED: Final = (Reason.MISSING_FIELD.value, "created_at")


def _array(raw: bytes | bytearray) -> Digests:
    return np.frombuffer(bytes(raw), np.uint64).reshape(-1, 2)


@dataclass(slots=True)
class Draft:
    """A landing file in the making: its clean lines in a file of its own, what was held back in memory."""

    path: Path
    content: hashlib._Hash = field(default_factory=hashlib.sha256)
    line_digests: bytearray = field(default_factory=bytearray)
    dropped_field_counts: array[int] = field(default_factory=lambda: array("q"))
    quarantined: list[tuple[bytes, QuarantinedLine]] = field(default_factory=list)
    findings: list[tuple[bytes, LineFinding]] = field(default_factory=list)

    def add_lines(self, lines: list[str], digests: bytes, dropped_field_counts: Iterable[int]) -> None:
        """Appends records as lines, each with its digest and the number of its fields that were left out."""
        written = "".join(f"{line}\n" for line in lines).encode()
        self.content.update(written)
        self.line_digests += digests
        self.dropped_field_counts.extend(dropped_field_counts)
        with self.path.open("ab") as file:
            file.write(written)

    @property
    def digests(self) -> Digests:
        """Digests of its records, those that it holds as lines and those that are quarantined for good."""
        quarantined_digests = b"".join(
            digest for digest, line in self.quarantined if line.reason not in _PASSING_REASONS
        )
        return _array(self.line_digests + quarantined_digests)

    @property
    def is_empty(self) -> bool:
        """Whether it holds no record and no row."""
        return not (self.line_digests or self.quarantined or self.findings)

    def content_name(self) -> str:
        """Returns the name of its content: the records and why some were held back, wherever they stood."""
        name = self.content.copy()
        name.update(b"".join(sorted(digest.tobytes() for digest in self.digests)))
        name.update("".join(sorted(f"{line.sha256} {line.reason}\n" for _, line in self.quarantined)).encode())
        return name.hexdigest()[:16]

    def handed_on(self, source_file: str) -> HandedOn:
        """Returns what was held back, as the sidecar says it."""
        quarantined = tuple(line for _, line in self.quarantined)
        findings = tuple(finding for _, finding in self.findings)
        return HandedOn(source_file, quarantined, findings, sum(self.dropped_field_counts))

    @property
    def sizes(self) -> tuple[int, int, int]:
        """How many lines, quarantined records and findings it holds."""
        return len(self.dropped_field_counts), len(self.quarantined), len(self.findings)

    def leave_out(self, imported_records: ImportedRecords) -> None:
        """Leaves out records that another import has put in place meanwhile."""
        digests, counts = _array(self.line_digests), self.dropped_field_counts
        is_line_known = imported_records.holds(digests)
        is_row_known = imported_records.holds(_array(b"".join(digest for digest, _ in self.quarantined)))
        rows = list(zip(self.quarantined, is_row_known, strict=True))
        gone = {digest.tobytes() for digest in digests[is_line_known]}
        gone |= {digest for (digest, _), is_known in rows if is_known}
        if not gone:
            return
        with self.path.open(encoding="utf-8", newline="\n") as file:
            lines = [line[:-1] for line, is_known in zip(file, is_line_known, strict=True) if not is_known]
        self.path.write_bytes(b"")
        self.line_digests, self.content, self.dropped_field_counts = bytearray(), hashlib.sha256(), array("q")
        counts = array("q", (count for count, is_known in zip(counts, is_line_known, strict=True) if not is_known))
        self.add_lines(lines, digests[~is_line_known].tobytes(), counts)
        self.quarantined = [row for row, is_known in rows if not is_known]
        self.findings = [finding for finding in self.findings if finding[0] not in gone]


@dataclass(slots=True)
class RecordCounts:
    """Records of a source: read, new, known from an earlier import, held back; and what was found in the new ones."""

    received_count: int = 0
    imported_count: int = 0
    known_count: int = 0
    quarantined_count: int = 0
    finding_count: int = 0
    dropped_field_count: int = 0
    newest_record_at: datetime | None = None


class Drafts:
    """The landing files of one source, by UTC day of ``created_at``; what can't be dated has one of its own.

    Args:
        folder: Where they are made.
        today: The day under which lands what can't be dated.
        validator: The boundary.
        imported_records: Those of earlier imports.
    """

    def __init__(self, folder: Path, today: date, validator: Validator, imported_records: ImportedRecords) -> None:
        self._folder, self._today, self._validator, self._imported_records = folder, today, validator, imported_records
        self._by_day: dict[date | None, Draft] = {}
        self._digests: list[Digests] = []
        self.counts = RecordCounts()

    def __iter__(self) -> Iterator[tuple[date, Draft]]:
        for key in sorted(self._by_day, key=lambda day: day or date.max):
            yield key or self._today, self._by_day[key]

    @property
    def digests(self) -> Digests:
        """Digests of every record of the source, new or known."""
        return np.concatenate(self._digests or [NO_DIGESTS])

    @property
    def is_settled(self) -> bool:
        """Whether every line that was held back would be held back again."""
        rows = (line for _, draft in self for _, line in draft.quarantined)
        return not any(line.reason in _PASSING_REASONS for line in rows)

    def _draft(self, day: date | None) -> Draft:
        if day not in self._by_day:
            self._by_day[day] = Draft(self._folder / f"{day}.jsonl")
            self._by_day[day].path.touch()
        return self._by_day[day]

    def take(self, batch: LineBatch) -> int:
        """Puts the new records of a batch through the boundary and into the drafts; returns how many were new."""
        lines = batch.lines.drop_null()
        texts = digests_of(lines["line"].cast(pa.binary()).to_pylist())
        others = digests_of(bytes.fromhex(line.sha256) for line in batch.quarantined)
        is_new, is_other_new = ~self._imported_records.holds(texts), ~self._imported_records.holds(others)
        self._digests += [texts, others]
        new_count = int(is_new.sum() + is_other_new.sum())
        self.counts.received_count += batch.received_count
        self.counts.known_count += batch.received_count - new_count
        if new_count:
            new = LineBatch(
                lines.filter(pa.array(is_new)),
                [line for line, is_one in zip(batch.quarantined, is_other_new, strict=True) if is_one],
            )
            numbers = [*new.lines["line_number"].to_pylist(), *(line.line_number for line in new.quarantined)]
            digests = np.concatenate([texts[is_new], others[is_other_new]])
            self._take_new(new, {number: digest.tobytes() for number, digest in zip(numbers, digests, strict=True)})
        return new_count

    def _take_new(self, batch: LineBatch, digests: dict[int, bytes]) -> None:
        validated = self._validator.validate(batch.lines)
        self._date_sessions(batch.lines, validated)
        shown = validated.rows.select(["line_number", "created_at", "dropped_field_count"])
        passed = shown.sort_by("line_number").to_pylist()
        days = {row["line_number"]: row["created_at"].date() for row in passed}
        cut = _cut_lines(batch, self._validator, validated, passed)
        lines = dict(zip(batch.lines["line_number"].to_pylist(), batch.lines["line"].to_pylist(), strict=True))
        by_day: dict[date, list[dict[str, Any]]] = {}
        for row in passed:
            by_day.setdefault(days[row["line_number"]], []).append(row)
        for day, rows in by_day.items():
            numbers = [row["line_number"] for row in rows]
            texts = [cut[number] if number in cut else lines[number].strip() for number in numbers]
            left_out = [row["dropped_field_count"] for row in rows]
            self._draft(day).add_lines(texts, b"".join(digests[number] for number in numbers), left_out)
        quarantine_days: dict[int, date | None] = {}
        for line in sorted([*batch.quarantined, *validated.quarantined], key=lambda line: line.line_number):
            quarantine_days[line.line_number] = line.created_at.date() if line.created_at else None
            self._draft(quarantine_days[line.line_number]).quarantined.append((digests[line.line_number], line))
        for finding in sorted(validated.findings, key=lambda finding: finding.line_number):
            number = finding.line_number
            self._draft(quarantine_days[number] if number in quarantine_days else days[number]).findings.append(
                (digests[number], finding)
            )
        self._count(passed, len(quarantine_days), len(validated.findings))

    def _date_sessions(self, lines: pa.Table, validated: ValidatedLines) -> None:
        """Dates by today what CAVRA stores of an agent session without a time; no report reads it."""
        undated = [line.line_number for line in validated.quarantined if (line.reason, line.field) == _UNDATED]
        undated_lines = lines.filter(pa.compute.is_in(lines["line_number"], pa.array(undated, pa.int64())))
        texts = {
            number: dated(line.encode(), f"{self._today}T00:00:00+00:00".encode()).decode()
            for number, line in zip(
                undated_lines["line_number"].to_pylist(), undated_lines["line"].to_pylist(), strict=True
            )
            if is_agent_session(line.encode())
        }
        if not texts:
            return
        judged = self._validator.judge(pa.table([list(texts), list(texts.values())], schema=LINES))
        validated.rows = pa.concat_tables([validated.rows, judged.rows])
        validated.kept |= judged.kept
        validated.quarantined = [line for line in validated.quarantined if line.line_number not in judged.kept]
        validated.findings = [
            *(finding for finding in validated.findings if finding.line_number not in judged.kept),
            *(finding for finding in judged.findings if finding.line_number in judged.kept),
        ]

    def _count(self, passed: list[dict[str, Any]], quarantined_count: int, finding_count: int) -> None:
        counts = self.counts
        counts.imported_count += len(passed)
        counts.quarantined_count += quarantined_count
        counts.finding_count += finding_count
        counts.dropped_field_count += sum(row["dropped_field_count"] for row in passed)
        newest = [row["created_at"].replace(tzinfo=UTC) for row in passed]
        counts.newest_record_at = max([*newest, *filter(None, [counts.newest_record_at])], default=None)


def _cut_lines(
    batch: LineBatch, validator: Validator, validated: ValidatedLines, passed: list[dict[str, Any]]
) -> dict[int, str]:
    """Returns what may pass of lines with undeclared fields, by line number."""
    wanted = {row["line_number"] for row in passed if row["dropped_field_count"]} - validated.kept.keys()
    judged = validator.judge(
        batch.lines.filter(pa.compute.is_in(batch.lines["line_number"], pa.array(wanted, pa.int64())))
    )
    return {number: kept.line() for number, kept in (validated.kept | judged.kept).items()}
