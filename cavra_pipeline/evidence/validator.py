"""The boundary over batches of lines: typed rows, quarantine and findings out. Decides nothing by itself.

A line in which no prefilter matches and that reads plainly by the declared table passes as it stands (``reader.py``);
every other line is judged by itself (``judge.py``). Rows are made of both in the same way (``rows.py``).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from cavra_pipeline.boundary import judge as boundary
from cavra_pipeline.boundary.kinds import KINDS
from cavra_pipeline.boundary.pseudonyms import Pseudonyms
from cavra_pipeline.boundary.scanner import ScannerFailed, hit_lines
from cavra_pipeline.boundary.verdict import Finding, Kept, LineFinding, Quarantined, QuarantinedLine
from cavra_pipeline.evidence.reader import RecordReader
from cavra_pipeline.evidence.rows import NO_ROWS, UNKNOWN_KIND, Lines, RecordTables

LINES: Final = pa.schema([("line_number", pa.int64()), ("line", pa.string())])
NO_LINES: Final = pa.Table.from_batches([], schema=LINES)


@dataclass(slots=True)
class ValidatedLines:
    """Result of validating some lines.

    Attributes:
        rows: The lines that may pass as typed rows; first those that passed as they stand, then those that were judged.
        kept: Records that the slow path let through, by line number.
        quarantined: Rejected lines.
        findings: What was found in any of the lines.
    """

    rows: pa.Table = field(default_factory=lambda: NO_ROWS)
    kept: dict[int, Kept] = field(default_factory=dict)
    quarantined: list[QuarantinedLine] = field(default_factory=list)
    findings: list[LineFinding] = field(default_factory=list)


def sha256_of(raw: bytes) -> str:
    """The digest by which a quarantined line can be found again in its source."""
    return hashlib.sha256(raw).hexdigest()


class Validator:
    """The boundary. One thread at a time may use it.

    Args:
        pseudonyms: What replaces texts that are not of their declared format.
    """

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self._pseudonyms = pseudonyms

    @cached_property
    def _tables(self) -> RecordTables:
        return RecordTables()

    @cached_property
    def _reader(self) -> RecordReader:
        return RecordReader(self._tables)

    def validate(self, lines: pa.Table) -> ValidatedLines:
        """Validates lines: each passes the boundary, as it is or judged by itself.

        Args:
            lines: ``line_number`` and ``line``, valid UTF-8, in order; nulls are passed over.

        Returns:
            What may pass, what is quarantined and what was found.
        """
        try:
            rows, needs_review = self._reader.read(lines)
        except ScannerFailed:
            # The slow path quarantines what can't be scanned.
            return self.judge(lines)
        if not needs_review.any():
            return ValidatedLines(rows)
        validated = self.judge(lines.filter(pa.array(needs_review)), at_once=True)
        validated.rows = pa.concat_tables([rows, validated.rows])
        return validated

    def judge(self, lines: pa.Table, *, at_once: bool = False) -> ValidatedLines:
        """Judges each line by itself.

        Args:
            lines: As ``validate`` takes them.
            at_once: Whether the scanner reads all lines first, and only those in which it finds something again.
        """
        validated = ValidatedLines()
        texts = {
            number: line.rstrip("\r\n").encode()
            for number, line in zip(lines["line_number"].to_pylist(), lines["line"].to_pylist(), strict=True)
            if line is not None
        }
        scanned = _without_hits(texts) if at_once else frozenset()
        for number, raw in texts.items():
            verdict = boundary.judge(raw, self._pseudonyms, is_scanned=number in scanned)
            validated.findings.extend(_at(number, raw, verdict.findings))
            if isinstance(verdict, Quarantined):
                validated.quarantined.append(quarantined_line(number, raw, verdict))
            else:
                validated.kept[number] = verdict
        validated.rows = self._tables.of_kinds(_by_kind(validated.kept))
        return validated


def _without_hits(lines: Mapping[int, bytes]) -> frozenset[int]:
    """The numbers of the lines without an escape in which the scanner finds nothing."""
    text = b"".join(line + b"\n" for line in lines.values())
    try:
        hits = hit_lines(text, np.cumsum([len(line) + 1 for line in lines.values()]))
    except ScannerFailed:
        return frozenset()
    return frozenset(
        number for (number, line), is_hit in zip(lines.items(), hits, strict=True) if not is_hit and b"\\" not in line
    )


def _by_kind(kept: Mapping[int, Kept]) -> dict[str, Lines]:
    """Groups what may pass of judged lines by kind."""
    by_kind: defaultdict[str, Lines] = defaultdict(Lines)
    for number, verdict in kept.items():
        kind = str(verdict.record.get("metadata_kind"))
        lines = by_kind[kind if kind in KINDS else UNKNOWN_KIND]
        lines.numbers.append(number)
        lines.dropped.append(verdict.dropped_field_count)
        lines.texts.append(msgspec.json.encode(verdict.record) + b"\n")
    return by_kind


def _at(number: int, raw: bytes, findings: tuple[Finding, ...]) -> Iterator[LineFinding]:
    digest = sha256_of(raw) if findings else None
    for finding in findings:
        yield LineFinding(number, finding.rule, finding.path, finding.action.value, digest)


def quarantined_line(number: int, raw: bytes, verdict: Quarantined) -> QuarantinedLine:
    """Returns the quarantine row of a rejected line."""
    return QuarantinedLine(number, sha256_of(raw), verdict.reason.value, verdict.field, verdict.created_at)
