"""Import: CAVRA's stores and loose JSON lines become landing files in the landing zone, through the boundary first.

A landing file that is written here holds allowlisted fields only; a record that must be quarantined is handed on in the
file's sidecar as file, line, digest and reason. A record that came before in the same version is not written again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Final

from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.content import unreadable
from cavra_pipeline.evidence.drafts import Draft, Drafts, RecordCounts
from cavra_pipeline.evidence.imported import ImportedRecords, contents_in, dump_digests
from cavra_pipeline.evidence.landing import SIDECAR_SUFFIX, dump_sidecar, public_name
from cavra_pipeline.evidence.landing_zone import landing_lock, put_file, refresh
from cavra_pipeline.evidence.leftovers import remove_leftovers, scratch_folder
from cavra_pipeline.evidence.lines import LineBatch
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.evidence.receipts import Stamp, content_digest, is_settled, read_receipt, write_receipt
from cavra_pipeline.evidence.shapes import Shape
from cavra_pipeline.evidence.stores import read_source, source_files
from cavra_pipeline.evidence.validator import Validator
from cavra_pipeline.settings import Settings

#: A batch takes several times its size: its lines stand in memory as bytes, as texts and as they are written.
_BATCH_BYTES: Final = 32 * 1024 * 1024


@dataclass(slots=True)
class ImportResult(RecordCounts):
    """What an import did.

    Attributes:
        received_count: Records it read.
        imported_count: New records that passed the boundary and were written to landing files.
        known_count: Records that an earlier import wrote in the same version.
        quarantined_count: New records that were rejected.
        finding_count: Findings in new records.
        dropped_field_count: Fields of new records outside the allowlist that were left out.
        newest_record_at: The latest ``created_at`` of a new record.
        written: Landing files it wrote, as ``day/file``.
        failures: Sources that could not be read; the others were imported, and nothing of these is counted.
        notes: Other content that was left out of an imported source or may be missing from it.
    """

    written: list[str] = field(default_factory=list)
    failures: list[PipelineError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def count(self, counts: RecordCounts) -> None:
        """Adds counts."""
        for counter in fields(RecordCounts):
            if counter.name != "newest_record_at":
                setattr(self, counter.name, getattr(self, counter.name) + getattr(counts, counter.name))
        self.newest_record_at = max(filter(None, (self.newest_record_at, counts.newest_record_at)), default=None)

    def add(self, other: ImportResult) -> None:
        """Adds the result of one source."""
        self.count(other)
        self.written += other.written
        self.failures += other.failures
        self.notes += other.notes

    def note_later(self, now: datetime) -> None:
        """Notes that the newest of the new records does not count yet, where it is dated later than now."""
        newest = self.newest_record_at
        if newest and newest > now:
            dated = f"{newest:%Y-%m-%d %H:%M} UTC"
            self.notes.append(f"the newest record is dated {dated}; no report counts it before then")


class Importer:
    """Imports sources into the landing zone of a home, one after another.

    Args:
        settings: The home.
        now: Records that can't be dated land under its UTC day.

    Raises:
        PipelineError: The landing zone can't be written; landing files are whole or not there.
    """

    def __init__(self, settings: Settings, *, now: datetime) -> None:
        self._settings, self._today = settings, now.astimezone(UTC).date()
        self._landing = settings.landing
        self._validator = Validator(pseudonyms_of(settings))
        refresh(settings)
        remove_leftovers(settings)
        self._imported_records = ImportedRecords(self._landing)
        #: Looked up once: whatever lands after that only costs a file its receipt.
        self._contents = contents_in(self._landing)
        self._are_imported_read = False

    def import_files(
        self,
        sources: Iterable[tuple[str, Path | IO[bytes]]],
        *,
        shape: Shape | None = None,
        tick: Callable[[int], None] = lambda _: None,
    ) -> ImportResult:
        """Imports files, folders and streams; one that can't be read does not stop the others.

        Args:
            sources: What to call each source and where it is; a folder stands for the files in it.
            shape: The shape that a file must have; any if not given.
            tick: Called with bytes read, for progress.

        Raises:
            PipelineError: The landing zone can't be written.
        """
        result = ImportResult()
        for where, name, source in _files(sources, self._landing.resolve(), result):
            try:
                result.add(self._import_file(where, name, source, shape, tick))
            except PipelineError as error:
                result.failures.append(error)
            except MemoryError as error:
                result.failures.append(unreadable(where, error))
            except OSError as error:
                raise self._not_written(error) from None
        return result

    def _not_written(self, error: OSError) -> PipelineError:
        return PipelineError(
            f"the landing zone can't be written ({error.strerror})",
            where=str(self._landing),
            remedy="Free some disk space or give this user write access, then import again",
        )

    def _import_file(
        self, where: str, name: str, source: Path | IO[bytes], shape: Shape | None, tick: Callable[[int], None]
    ) -> ImportResult:
        """Imports one file or stream, unless it is a file that has not changed since it was imported."""
        path = source if isinstance(source, Path) else None
        stamp = Stamp.of(path) if path else None
        if path and stamp:
            count = read_receipt(self._settings.home, path, _name_of(shape), stamp, self._contents)
            if count is not None:
                tick(path.stat().st_size)
                return ImportResult(received_count=count, known_count=count)
        result = ImportResult()
        with scratch_folder(self._landing) as folder:
            began_ns = folder.stat().st_mtime_ns
            batches = read_source(
                source,
                name=where,
                shape=shape,
                batch_bytes=min(self._settings.batch_bytes, _BATCH_BYTES),
                tick=tick,
                note=result.notes.append,
            )
            drafts = self._import(name, batches, folder, result)
            if path and stamp and drafts.is_settled and not result.notes:
                self._write_receipt(path, _name_of(shape), stamp, drafts, began_ns, folder)
        return result

    def import_batches(self, name: str, batches: Callable[[ImportedRecords], Iterable[LineBatch]]) -> ImportResult:
        """Imports records that come from elsewhere than a file, and writes nothing before their end.

        Args:
            name: What the sidecar calls their source.
            batches: Yields them, given what came before.

        Raises:
            PipelineError: Whatever ``batches`` raises, or the landing zone can't be written.
        """
        result = ImportResult()
        try:
            with scratch_folder(self._landing) as folder:
                self._import(name, batches(self._imported_records), folder, result)
        except OSError as error:
            raise self._not_written(error) from None
        return result

    def _import(self, name: str, batches: Iterable[LineBatch], folder: Path, result: ImportResult) -> Drafts:
        """Writes one source as landing files. Nothing is put in place before the source was read to its end."""
        if not self._are_imported_read:
            self._imported_records.refresh()
            self._are_imported_read = True
        drafts = Drafts(folder, self._today, self._validator, self._imported_records)
        for batch in batches:
            drafts.take(batch)
        result.count(drafts.counts)
        if not any(True for _ in drafts):
            return drafts
        with landing_lock(self._settings):
            # Another import may have put some of it in place since.
            self._imported_records.refresh()
            for day, draft in drafts:
                _leave_out(draft, self._imported_records, result)
                if not draft.is_empty:
                    result.written.append(_publish(draft, day, self._imported_records, self._settings, name))
        return drafts

    def _write_receipt(self, path: Path, shape: str, stamp: Stamp, drafts: Drafts, began_ns: int, folder: Path) -> None:
        try:
            digest = content_digest(path)
        except OSError:
            return
        digests = drafts.digests
        if is_settled(path, stamp, began_ns, folder) and self._imported_records.holds(digests).all():
            contents = self._imported_records.contents_with(digests)
            with suppress(OSError, PipelineError):
                write_receipt(self._settings.home, path, shape, stamp, digest, drafts.counts.received_count, contents)


def _name_of(shape: Shape | None) -> str:
    return shape.name if shape else ""


def import_evidence(
    settings: Settings,
    sources: Iterable[tuple[str, Path | IO[bytes]]],
    *,
    now: datetime,
    tick: Callable[[int], None] = lambda _: None,
) -> ImportResult:
    """Imports files, folders and streams into the landing zone (``Importer``)."""
    return Importer(settings, now=now).import_files(sources, tick=tick)


def _files(
    sources: Iterable[tuple[str, Path | IO[bytes]]], landing: Path, result: ImportResult
) -> Iterator[tuple[str, str, Path | IO[bytes]]]:
    """What messages call each source, what its sidecar calls it, and the source; files of the landing zone are left."""
    for name, source in sources:
        if not isinstance(source, Path):
            yield name, name, source
            continue
        try:
            files = source_files(source)
            others = [file for file in files if landing not in file.resolve().parents]
            if len(others) < len(files):
                result.notes.append(f"{public_name(str(source))}: what lies in the landing zone is not imported again")
            for file in others:
                short = str(file.relative_to(source)) if file != source else file.name
                yield public_name(str(file)), public_name(short), file
        except PipelineError as error:
            result.failures.append(error)


def _leave_out(draft: Draft, imported_records: ImportedRecords, result: ImportResult) -> None:
    """Leaves out of a draft what another import has put in place meanwhile; it counts as imported before."""
    before = draft.sizes
    draft.leave_out(imported_records)
    lines, rows, findings = (old - new for old, new in zip(before, draft.sizes, strict=True))
    result.imported_count -= lines
    result.quarantined_count -= rows
    result.known_count += lines + rows
    result.finding_count -= findings


def _publish(draft: Draft, day: date, imported_records: ImportedRecords, settings: Settings, source_file: str) -> str:
    """Moves a draft into the landing zone and returns its name, which sorts after all that are there.

    The sidecar goes first: a landing file that stands has its digests. One of the same content is replaced.
    """
    content = draft.content_name()
    target = imported_records.file_of(content)
    if target is None:
        imported_records.numbers[day] = imported_records.numbers.get(day, 0) + 1
        target = settings.landing / day.isoformat() / f"import-{imported_records.numbers[day]:06d}-{content}.jsonl"
    sidecar, digests = draft.path.with_suffix(".sidecar"), draft.digests
    sidecar.write_bytes(dump_sidecar(draft.handed_on(source_file), dump_digests(digests)))
    put_file(settings, sidecar, target.with_name(target.name + SIDECAR_SUFFIX))
    put_file(settings, draft.path, target)
    imported_records.add(content, target, digests)
    return f"{target.parent.name}/{target.name}"
