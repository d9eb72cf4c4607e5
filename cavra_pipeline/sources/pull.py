"""One pull of one source: what is new in it goes through the boundary into the landing zone, and is noted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import pyarrow as pa

from cavra_pipeline.connectors.route import host_route
from cavra_pipeline.connectors.secret import Secret
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.imported import ImportedRecords, digests_of
from cavra_pipeline.evidence.importer import Importer, ImportResult
from cavra_pipeline.evidence.lines import LineBatch
from cavra_pipeline.settings import Settings
from cavra_pipeline.sources.config import API, FOLDER, TYPES, Source
from cavra_pipeline.sources.evidence_api import Walk
from cavra_pipeline.sources.pulls import PullState, may_stop_early, note_failure, note_pull, note_start
from cavra_pipeline.state import state_of

#: Failures of files in a folder that are named; the others are counted.
_MOST_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class SourcePull:
    """What a pull did.

    Attributes:
        source: The source.
        result: What the import did.
        pulls: How the source stands after it.
        request_count: Requests to an API; 0 for a store or a file.
    """

    source: Source
    result: ImportResult
    pulls: PullState
    request_count: int = 0


def pull(
    settings: Settings, source: Source, environ: Mapping[str, str], *, clock: Callable[[], datetime]
) -> SourcePull:
    """Imports what is new in a source and notes how it stands.

    Args:
        settings: The home.
        source: The source.
        environ: Where a header's value or a proxy is named.
        clock: Returns the current time; a pull ends later than it begins.

    Raises:
        TransientError: The source can't be read now, or the state database stayed busy.
        PipelineError: The source can't be read, or the landing zone can't be written. Nothing of the source was
            written then, but for whole files of a folder.
    """
    state = state_of(settings)
    began = clock()
    before = note_start(state, source.name, began)
    try:
        result, is_full, request_count = _import(settings, source, environ, before, began)
    except PipelineError as error:
        note_failure(state, source.name, error.what, clock())
        raise
    pulls = note_pull(state, source.name, counts=result, is_full=is_full, now=clock())
    return SourcePull(source, result, pulls, request_count)


def _import(
    settings: Settings, source: Source, environ: Mapping[str, str], before: PullState | None, now: datetime
) -> tuple[ImportResult, bool, int]:
    importer = Importer(settings, now=now)
    if source.type == API:
        walk = _walk(settings, source, environ, before, now)
        result = importer.import_batches(source.name, lambda imported_records: _batches(walk, imported_records))
        return result, walk.is_full, walk.request_count
    path = source.path or settings.home
    if path.exists() and path.is_dir() is not (source.type == FOLDER):
        what = "it is a folder" if path.is_dir() else "it is no folder"
        raise PipelineError(what, where=str(path), remedy=f"Correct the path or the type of the source {source.name}")
    result = importer.import_files([(str(path), path)], shape=TYPES[source.type])
    if result.failures:
        raise _failure(source, result)
    return result, True, 0


def _failure(source: Source, result: ImportResult) -> PipelineError:
    if len(result.failures) == 1:
        return result.failures[0]
    named = [f"{failure.where}: {failure.what}" for failure in result.failures[:_MOST_NAMED]]
    more = len(result.failures) - len(named)
    what = "; ".join([*named, *([f"and {more} more"] if more else [])])
    return PipelineError(what, where=source.place, remedy="Correct or remove these files; the others were imported")


def _walk(
    settings: Settings, source: Source, environ: Mapping[str, str], before: PullState | None, now: datetime
) -> Walk:
    headers = source.secret_header(environ)
    route = host_route(Secret(source.url), environ, settings.ca_file)
    return Walk(source.url, headers, route, time.monotonic, may_stop_early=may_stop_early(before, now))


def _batches(walk: Walk, imported_records: ImportedRecords) -> Iterator[LineBatch]:
    def are_known(batch: LineBatch) -> bool:
        lines = digests_of(batch.lines["line"].cast(pa.binary()).to_pylist())
        others = digests_of(bytes.fromhex(line.sha256) for line in batch.quarantined)
        return bool(imported_records.holds(np.concatenate([lines, others])).all())

    return walk.batches(are_known)
