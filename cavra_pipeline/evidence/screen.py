"""The boundary over batches of lines: typed rows, quarantine and findings out. Decides nothing by itself.

A line that holds no hint of a secret and reads plainly by the declared table passes as it stands (``blocks.py``); every
other line goes through the reference one by one (docs/decisions/0003-boundary.md, 0005-ingest-speed.md).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cavra_pipeline.boundary import judge as boundary
from cavra_pipeline.boundary.pseudonyms import Pseudonyms
from cavra_pipeline.boundary.scanner import ScannerFailed
from cavra_pipeline.boundary.verdict import Finding, Kept, Quarantined
from cavra_pipeline.evidence.misfits import misfits_in
from cavra_pipeline.evidence.typed import TYPED, column_of, numbers_of, rows_of

if TYPE_CHECKING:
    from cavra_pipeline.evidence.blocks import BlockReader

LINES: Final = pa.schema([("line_number", pa.int64()), ("line", pa.string())])
#: Without an array, for which Arrow would load pandas.
NO_LINES: Final = pa.Table.from_batches([], LINES)
_NO_ROWS: Final = pa.Table.from_batches([], TYPED)
#: So many lines go through the reference sooner than what reads blocks is loaded.
_FEW: Final = 2000


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
    """A finding at a line; the digest of the line, where it is known, tells a finding from the same one read again."""

    line_number: int
    rule: str
    path: str
    action: str
    sha256: str | None = None


@dataclass(slots=True)
class Screened:
    """What the boundary made of some lines.

    Attributes:
        rows: The lines that may pass as typed rows; first those that passed as they stand, then those that were judged.
        kept: What the reference let through of the lines that it judged, by line number.
        quarantined: Lines of which nothing may be kept.
        findings: What was found in any of the lines.
    """

    rows: pa.Table = field(default_factory=lambda: _NO_ROWS)
    kept: dict[int, Kept] = field(default_factory=dict)
    quarantined: list[QuarantinedLine] = field(default_factory=list)
    findings: list[LineFinding] = field(default_factory=list)


def _flags(flags: npt.NDArray[np.bool_]) -> pa.BooleanArray:
    bits = pa.py_buffer(np.packbits(flags, bitorder="little"))
    return pa.BooleanArray.from_buffers(pa.bool_(), len(flags), [None, bits])


def sha256_of(raw: bytes) -> str:
    """The digest by which a quarantined line can be found again in its source."""
    return hashlib.sha256(raw).hexdigest()


class Screen:
    """The boundary. One thread at a time may use it.

    Args:
        pseudonyms: What replaces texts that are not of their declared format.
        few: Up to so many lines are judged by the reference alone.
    """

    def __init__(self, pseudonyms: Pseudonyms, few: int = _FEW) -> None:
        self._pseudonyms, self._few = pseudonyms, few
        self._reader: BlockReader | None = None

    def prepare(self) -> BlockReader:
        """Loads what reads blocks, if it is not there yet: Numba takes longer to load than a few lines to judge."""
        if self._reader is None:
            from cavra_pipeline.evidence.blocks import BlockReader

            self._reader = BlockReader()
        return self._reader

    def screen(self, lines: pa.Table) -> Screened:
        """Puts lines through the boundary.

        Args:
            lines: ``line_number`` and ``line``, valid UTF-8, in order; nulls are passed over.

        Returns:
            What may pass, what is quarantined and what was found.
        """
        if len(lines) <= self._few:
            return self.judge(lines)
        try:
            return self._screen_blocks(lines)
        except ScannerFailed:
            # The reference quarantines what can't be scanned.
            return self.judge(lines)

    def _screen_blocks(self, lines: pa.Table) -> Screened:
        rows, doubtful = self._read(lines)
        if not doubtful.any():
            return Screened(rows)
        # The blocks of the others are let go of first, for the reference takes its time.
        lines = lines.filter(_flags(doubtful))
        screened = self._judged(lines)
        again, still_doubtful = self._read(_lines_of(screened.kept))
        others = [number for number, is_doubtful in zip(screened.kept, still_doubtful, strict=True) if is_doubtful]
        of_others = rows_of({number: screened.kept[number] for number in others})
        screened.rows = pa.concat_tables([rows, _with_counts(again, screened.kept), of_others])
        return screened

    def _read(self, lines: pa.Table) -> tuple[pa.Table, npt.NDArray[np.bool_]]:
        """Returns the typed rows of the lines that need no judgement, and for each line whether it needs one."""
        rows, doubtful = self.prepare().read(lines)
        misfits = misfits_in(rows)
        if misfits.any():
            rows = rows.filter(_flags(~misfits))
            doubtful[np.flatnonzero(~doubtful)[misfits]] = True
        return rows, doubtful

    def judge(self, lines: pa.Table) -> Screened:
        """Puts each line through the reference."""
        screened = self._judged(lines)
        screened.rows = rows_of(screened.kept)
        return screened

    def _judged(self, lines: pa.Table) -> Screened:
        """Puts each line through the reference, and makes no rows yet."""
        screened = Screened()
        for number, line in zip(lines["line_number"].to_pylist(), lines["line"].to_pylist(), strict=True):
            if line is None:
                continue
            raw = line.rstrip("\r\n").encode()
            verdict = boundary.judge(raw, self._pseudonyms)
            screened.findings.extend(_at(number, raw, verdict.findings))
            if isinstance(verdict, Quarantined):
                screened.quarantined.append(quarantined_line(number, raw, verdict))
            else:
                screened.kept[number] = verdict
        return screened


def _lines_of(kept: Mapping[int, Kept]) -> pa.Table:
    """What the reference let through as lines: most are plain now, and blocks are read in a tenth of the time."""
    lines = [json.dumps(one.record, ensure_ascii=False).encode() + b"\n" for one in kept.values()]
    ends = np.cumsum([0, *map(len, lines)], dtype=np.int32)
    texts = pa.StringArray.from_buffers(len(lines), pa.py_buffer(ends), pa.py_buffer(b"".join(lines)))
    return pa.table([column_of(np.fromiter(kept, np.int64, len(kept))), texts], schema=LINES)


def _with_counts(rows: pa.Table, kept: Mapping[int, Kept]) -> pa.Table:
    """The rows with the fields that the reference left out of them counted."""
    place = rows.schema.get_field_index("dropped_field_count")
    counts = [kept[number].dropped_field_count for number in numbers_of(rows["line_number"]).tolist()]
    return rows.set_column(place, rows.schema.field(place), column_of(np.array(counts, np.int64)))


def _at(number: int, raw: bytes, findings: tuple[Finding, ...]) -> Iterator[LineFinding]:
    digest = sha256_of(raw) if findings else None
    for found in findings:
        yield LineFinding(number, found.rule, found.path, found.action.value, digest)


def quarantined_line(number: int, raw: bytes, verdict: Quarantined) -> QuarantinedLine:
    """Makes the row that stands for a line which may not pass."""
    return QuarantinedLine(number, sha256_of(raw), verdict.reason.value, verdict.field, verdict.created_at)
