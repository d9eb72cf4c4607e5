"""Import: CAVRA's stores and loose JSON lines become drops in the landing zone, through the boundary first.

A drop that is written here holds allowlisted fields only; a record that must be quarantined is handed on in the
drop's sidecar as file, line, digest and reason. A drop is named by its content, so the same import changes nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.compute

from cavra_pipeline.boundary.verdict import LineFinding, QuarantinedLine
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.content import unreadable
from cavra_pipeline.evidence.landing import SIDECAR_SUFFIX, HandedOn, drop_days, dump_sidecar, public_name
from cavra_pipeline.evidence.leftovers import locked, remove_leftovers, scratch_folder
from cavra_pipeline.evidence.lines import LineBatch
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.evidence.screen import Screen, Screened
from cavra_pipeline.evidence.stores import read_source, source_files
from cavra_pipeline.settings import Settings

#: A batch takes several times its size: its lines stand in memory as bytes, as texts and as they are written.
_BATCH_BYTES: Final = 32 * 1024 * 1024
_NAME: Final = re.compile(r"import-(\d{6,})-([0-9a-f]{16})\.jsonl")


@dataclass(slots=True)
class ImportResult:
    """What an import did.

    Attributes:
        received_count: Records it read.
        imported_count: Records that went into drops, new or already there.
        quarantined_count: Records of which nothing was kept.
        finding_count: Findings handed on.
        dropped_field_count: Fields outside the allowlist that were left out.
        written: Drops it wrote, as ``day/file``.
        unchanged_count: Drops that were there already with the same content.
        failures: Sources that could not be read; the others were imported, and nothing of these is counted.
        notes: What was left out of a source that was imported, or may be missing from it, beside its records.
    """

    received_count: int = 0
    imported_count: int = 0
    quarantined_count: int = 0
    finding_count: int = 0
    dropped_field_count: int = 0
    written: list[str] = field(default_factory=list)
    unchanged_count: int = 0
    failures: list[PipelineError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, other: ImportResult) -> None:
        """Adds the result of one source."""
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(slots=True)
class _Draft:
    """A drop in the making: its clean lines in a file of its own, its sidecar in memory."""

    path: Path
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    quarantined: list[QuarantinedLine] = field(default_factory=list)
    findings: list[LineFinding] = field(default_factory=list)
    dropped_field_count: int = 0

    def add_lines(self, lines: list[str]) -> None:
        content = "".join(f"{line}\n" for line in lines).encode()
        self.digest.update(content)
        with self.path.open("ab") as file:
            file.write(content)

    def content_name(self) -> str:
        """Names the content: the lines and what was held back, whatever the source file was called."""
        self.digest.update(dump_sidecar(self.handed_on("")))
        return self.digest.hexdigest()[:16]

    def handed_on(self, source_file: str) -> HandedOn:
        return HandedOn(source_file, tuple(self.quarantined), tuple(self.findings), self.dropped_field_count)


def import_evidence(
    settings: Settings,
    sources: Iterable[tuple[str, Path | IO[bytes]]],
    *,
    now: datetime,
    tick: Callable[[int], None] = lambda _: None,
) -> ImportResult:
    """Imports sources one after another; one that can't be read does not stop the others.

    Args:
        settings: The home whose landing zone is written.
        sources: What to call each source and where it is; a folder stands for the files in it.
        now: Records that can't be dated land under its UTC day.
        tick: Called with bytes read, for progress.

    Raises:
        PipelineError: The landing zone can't be written; drops are whole or not there.
    """
    result = ImportResult()
    screen = Screen(pseudonyms_of(settings))
    remove_leftovers(settings.landing)
    for where, name, source in _files(sources, result):
        try:
            result.add(_import_one(settings, where, name, source, screen, now, tick))
        except PipelineError as error:
            result.failures.append(error)
        except MemoryError as error:
            result.failures.append(unreadable(where, error))
        except OSError as error:
            raise PipelineError(
                f"the landing zone can't be written ({error.strerror})",
                where=str(settings.landing),
                remedy="Free some disk space or give this user write access, then import again",
            ) from None
    return result


def _files(
    sources: Iterable[tuple[str, Path | IO[bytes]]], result: ImportResult
) -> Iterator[tuple[str, str, Path | IO[bytes]]]:
    """What messages call each source, what its sidecar calls it, and the source."""
    for name, source in sources:
        if not isinstance(source, Path):
            yield name, name, source
            continue
        try:
            for file in source_files(source):
                short = str(file.relative_to(source)) if file != source else file.name
                yield public_name(str(file)), public_name(short), file
        except PipelineError as error:
            result.failures.append(error)


def _import_one(
    settings: Settings,
    where: str,
    name: str,
    source: Path | IO[bytes],
    screen: Screen,
    now: datetime,
    tick: Callable[[int], None],
) -> ImportResult:
    """Writes one source as drops. Nothing is put in place before the source was read to its end."""
    result = ImportResult()
    with scratch_folder(settings.landing) as folder:
        drafts = _Drafts(folder, now.astimezone(UTC).date())
        for batch in read_source(
            source,
            name=where,
            batch_bytes=min(settings.batch_bytes, _BATCH_BYTES),
            tick=tick,
            note=result.notes.append,
        ):
            drafts.take(batch, screen, result)
        with locked(settings.landing):
            _publish(drafts, settings.landing, name, result)
    return result


class _Drafts:
    """The drops of one source, by UTC day of ``created_at``; what can't be dated has a drop of its own."""

    def __init__(self, folder: Path, today: date) -> None:
        self._folder, self._today = folder, today
        self.by_day: dict[date | None, _Draft] = {}

    def _draft(self, day: date | None) -> _Draft:
        if day not in self.by_day:
            self.by_day[day] = _Draft(self._folder / f"{day}.jsonl")
            self.by_day[day].path.touch()
        return self.by_day[day]

    def day_of(self, day: date | None) -> date:
        return day or self._today

    def take(self, batch: LineBatch, screen: Screen, result: ImportResult) -> None:
        screened = screen.screen(batch.lines)
        shown = screened.rows.select(["line_number", "created_at", "dropped_field_count"])
        passed = shown.sort_by("line_number").to_pylist()
        days = {row["line_number"]: row["created_at"].date() for row in passed}
        cut = _cut_lines(batch, screen, screened, passed)
        lines = dict(zip(batch.lines["line_number"].to_pylist(), batch.lines["line"].to_pylist(), strict=True))
        by_day: dict[date, list[str]] = {}
        for row in passed:
            number = row["line_number"]
            by_day.setdefault(days[number], []).append(cut[number] if number in cut else lines[number].strip())
            self._draft(days[number]).dropped_field_count += row["dropped_field_count"]
        for day, of_day in by_day.items():
            self._draft(day).add_lines(of_day)
        held: dict[int, date | None] = {}
        for quarantined in sorted([*batch.quarantined, *screened.quarantined], key=lambda line: line.line_number):
            held[quarantined.line_number] = quarantined.created_at.date() if quarantined.created_at else None
            self._draft(held[quarantined.line_number]).quarantined.append(quarantined)
        for found in sorted(screened.findings, key=lambda finding: finding.line_number):
            number = found.line_number
            self._draft(held[number] if number in held else days[number]).findings.append(found)
        result.received_count += batch.received_count
        result.imported_count += len(passed)
        result.quarantined_count += len(held)
        result.finding_count += len(screened.findings)
        result.dropped_field_count += sum(row["dropped_field_count"] for row in passed)


def _cut_lines(batch: LineBatch, screen: Screen, screened: Screened, passed: list[dict[str, Any]]) -> dict[int, str]:
    """What may pass of the lines that can't go as they stand, by line number."""
    wanted = {row["line_number"] for row in passed if row["dropped_field_count"]} - screened.kept.keys()
    judged = screen.judge(
        batch.lines.filter(pa.compute.is_in(batch.lines["line_number"], pa.array(wanted, pa.int64())))
    )
    return {number: kept.line() for number, kept in (screened.kept | judged.kept).items()}


def _publish(drafts: _Drafts, landing: Path, name: str, result: ImportResult) -> None:
    """Moves finished drops into the landing zone under a name that sorts after all that are there."""
    numbers, contents = _imports_in(landing)
    for key in sorted(drafts.by_day, key=lambda day: day or date.max):
        draft, day = drafts.by_day[key], drafts.day_of(key)
        content = draft.content_name()
        if content in contents:
            result.unchanged_count += 1
            continue
        numbers[day] = numbers.get(day, 0) + 1
        folder = landing / day.isoformat()
        folder.mkdir(exist_ok=True)
        target = folder / f"import-{numbers[day]:06d}-{content}.jsonl"
        handed_on = draft.handed_on(name)
        if handed_on.quarantined or handed_on.findings or handed_on.dropped_field_count:
            sidecar = draft.path.with_suffix(".sidecar")
            sidecar.write_bytes(dump_sidecar(handed_on))
            _move(sidecar, folder / (target.name + SIDECAR_SUFFIX))
        _move(draft.path, target)
        result.written.append(f"{day}/{target.name}")


def _move(made: Path, target: Path) -> None:
    with made.open("rb") as file:
        os.fsync(file.fileno())
    made.replace(target)


def _imports_in(landing: Path) -> tuple[dict[date, int], set[str]]:
    """The highest import number of each day, and the content names of every import there is."""
    numbers: dict[date, int] = {}
    contents: set[str] = set()
    for day in drop_days(landing):
        for entry in os.scandir(landing / day.isoformat()):
            if match := _NAME.fullmatch(entry.name):
                numbers[day] = max(numbers.get(day, 0), int(match[1]))
                contents.add(match[2])
    return numbers, contents
