"""Passes landing files through the boundary in parallel: read in batches, validated on threads, committed in groups.

Why they are cut so: docs/decisions/0005-ingest-speed.md.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final

import numpy as np
import pyarrow as pa

from cavra_pipeline.boundary.pseudonyms import Pseudonyms
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.commit import LINE_BITS, LINE_MASK, Group, ValidatedDrop
from cavra_pipeline.evidence.landing import Drop, HandedOn, load_sidecar, name_findings
from cavra_pipeline.evidence.lines import READ_BYTES, LineReader
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.evidence.spill_buffer import ROWS_IN_A_GROUP, SpillBuffer
from cavra_pipeline.evidence.validator import LINES, NO_LINES, ValidatedLines, Validator
from cavra_pipeline.limits import require_memory
from cavra_pipeline.settings import Settings

_COMMIT_BYTES: Final = 512 * 1024 * 1024
#: Below this size one thread finishes before a second could start.
_SMALL_BYTES: Final = 4 * 1024 * 1024
#: Typed rows take about three quarters of their lines, so what is held in memory stays near ten batches.
_BUFFERED_BATCHES: Final = 10
#: A batch takes this part of its limit: while its lines are read, they are in memory twice.
_BATCHES_IN_LIMIT: Final = 3


@dataclass(slots=True)
class _Batch:
    """Lines that go through the boundary at once: a part of a big landing file, or many small files of a group."""

    group: Group
    lines: list[pa.Table] = field(default_factory=list)
    row_count: int = 0
    raw_bytes: int = 0
    ends_group: bool = False

    def take(self, lines: pa.Table) -> None:
        """Takes the lines of one block."""
        self.lines.append(lines)
        self.row_count += len(lines)
        self.raw_bytes += lines.nbytes

    def hand_over(self) -> pa.Table:
        """Returns its lines and lets go of them, for the memory behind them is soon wanted again."""
        lines = pa.concat_tables([NO_LINES, *self.lines])
        self.lines = []
        return lines


def _batches(drops: list[Drop], settings: Settings, tick: Callable[[int], None]) -> Iterator[_Batch]:
    """Reads the landing files in order. No part holds lines of two groups."""
    batch = _Batch(_group(settings))
    for drop in drops:
        group = batch.group
        validated = ValidatedDrop(drop)
        group.drops.append(validated)
        for lines in _read(validated, len(group.drops) - 1, tick):
            batch.take(lines)
            if batch.row_count >= ROWS_IN_A_GROUP or batch.raw_bytes >= settings.batch_bytes // _BATCHES_IN_LIMIT:
                yield batch
                batch = _Batch(group)
        if group.raw_bytes >= _COMMIT_BYTES or drop is drops[-1]:
            batch.ends_group = True
            yield batch
            batch = _Batch(_group(settings))


def _group(settings: Settings) -> Group:
    return Group(SpillBuffer(settings.home, _BUFFERED_BATCHES * settings.batch_bytes))


def _read(validated: ValidatedDrop, number: int, tick: Callable[[int], None]) -> Iterator[pa.Table]:
    """Reads one landing file; one that can't be read to its end is taken as an error, whole."""
    drop = validated.drop
    reader = LineReader(drop.path, name=drop.name, batch_bytes=READ_BYTES, tick=tick)
    try:
        handed_on = load_sidecar(drop)
        for batch in reader:
            validated.raw_bytes += batch.raw_bytes
            validated.received_count += batch.received_count
            validated.quarantined += [(drop.file_name, line) for line in batch.quarantined]
            numbers = pa.array(batch.lines["line_number"].to_numpy() + (number << LINE_BITS))
            yield batch.lines.set_column(0, LINES.field("line_number"), numbers)
    except PipelineError as error:
        validated.error = error
        return
    validated.sha256, validated.notes = reader.sha256, reader.notes
    validated.findings += [(drop.file_name, finding) for finding in name_findings(drop)]
    if handed_on:
        _hand_on(validated, handed_on)


class _ValidationPool:
    """Validators that work side by side, each with a thread of its own."""

    def __init__(self, size: int, pseudonyms: Pseudonyms) -> None:
        self.size, self._pseudonyms = size, pseudonyms
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="validator")
        self._of_thread = threading.local()

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)

    def submit(self, batch: _Batch) -> Future[ValidatedLines]:
        return self._threads.submit(self._validate, batch)

    def _validate(self, batch: _Batch) -> ValidatedLines:
        if not hasattr(self._of_thread, "validator"):
            self._of_thread.validator = Validator(self._pseudonyms)
        validator: Validator = self._of_thread.validator
        return validator.validate(batch.hand_over())


@cache
def _small_pool(process_id: int, pseudonyms: Pseudonyms) -> _ValidationPool:  # noqa: ARG001 -- a fork needs its own
    """The validator that the small landing files of a process share; making one costs more than they do."""
    return _ValidationPool(1, pseudonyms)


def _are_small(drops: Sequence[Drop]) -> bool:
    return sum(drop.size_bytes for drop in drops) <= _SMALL_BYTES


def _thread_count(settings: Settings) -> int:
    return settings.threads or os.cpu_count() or 1


def require_memory_for(drops: Sequence[Drop], settings: Settings) -> None:
    """Refuses to read landing files that this process is not given enough memory for.

    Raises:
        OutOfMemory: A memory limit is too low.
    """
    if not _are_small(drops):
        require_memory(_thread_count(settings), where=settings.landing_place)


@contextmanager
def _validation_pool(drops: Sequence[Drop], settings: Settings) -> Iterator[_ValidationPool]:
    pseudonyms = pseudonyms_of(settings)
    if _are_small(drops):
        yield _small_pool(os.getpid(), pseudonyms)
        return
    require_memory_for(drops, settings)
    pool = _ValidationPool(_thread_count(settings), pseudonyms)
    try:
        yield pool
    finally:
        pool.close()


def _validated(batches: Iterator[_Batch], pool: _ValidationPool) -> Iterator[Group]:
    """Passes the parts through the boundary, one on each thread; yields each group when it is complete."""
    waiting: deque[tuple[_Batch, Future[ValidatedLines]]] = deque()

    def first() -> Iterator[Group]:
        batch, future = waiting.popleft()
        _unpack(batch.group, future.result())
        if batch.ends_group:
            yield batch.group

    for batch in batches:
        waiting.append((batch, pool.submit(batch)))
        if len(waiting) > pool.size:
            yield from first()
    while waiting:
        yield from first()


def _unpack(group: Group, validated: ValidatedLines) -> None:
    rows = validated.rows
    group.buffer.add(rows)
    for line in validated.quarantined:
        drop, line_number = _origin(group, line.line_number)
        drop.quarantined.append((drop.drop.file_name, replace(line, line_number=line_number)))
    for finding in validated.findings:
        drop, line_number = _origin(group, finding.line_number)
        drop.findings.append((drop.drop.file_name, replace(finding, line_number=line_number)))
    numbers = rows["line_number"].to_numpy() >> LINE_BITS
    unknown = np.bincount(numbers[rows["record_type"].is_null().to_numpy()], minlength=len(group.drops))
    dropped = np.bincount(numbers, weights=rows["dropped_field_count"].to_numpy(), minlength=len(group.drops))
    for number in np.unique(numbers):
        group.drops[number].unknown_kind_count += int(unknown[number])
        group.drops[number].dropped_field_count += int(dropped[number])


def _origin(group: Group, line_number: int) -> tuple[ValidatedDrop, int]:
    return group.drops[line_number >> LINE_BITS], line_number & LINE_MASK


def _hand_on(validated: ValidatedDrop, handed_on: HandedOn) -> None:
    validated.received_count += len(handed_on.quarantined)
    validated.dropped_field_count += handed_on.dropped_field_count
    validated.quarantined += [(handed_on.source_file, line) for line in handed_on.quarantined]
    validated.findings += [(handed_on.source_file, finding) for finding in handed_on.findings]


def validated_groups(drops: list[Drop], settings: Settings, tick: Callable[[int], None]) -> Iterator[Group]:
    """Takes landing files through the boundary and yields them in groups, each ready to be committed.

    Args:
        drops: The landing files, in order.
        settings: The home and its limits.
        tick: Called with bytes read, for progress.

    Raises:
        OutOfMemory: A memory limit is too low for what is to be read.
    """
    with _validation_pool(drops, settings) as pool:
        yield from _validated(_batches(drops, settings, tick), pool)


def validate_drop(drop: Drop, settings: Settings) -> Group:
    """Takes one landing file through the boundary, ready to be committed inside ``with group.buffer``."""
    (group,) = validated_groups([drop], settings, lambda _: None)
    return group
