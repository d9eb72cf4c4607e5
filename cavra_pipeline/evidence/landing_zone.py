"""The landing zone of a home, wherever it is: a folder, or a bucket of which each host has a copy.

Only this module tells the two apart. What reads landing files reads a folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from cavra_pipeline.boundary.pseudonyms import Pseudonyms
from cavra_pipeline.evidence.bucket import LandingBucket
from cavra_pipeline.evidence.landing import Drop, drop_days, list_drops, stray_name, strays
from cavra_pipeline.evidence.leftovers import locked
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse.files import sync


def landing_files(
    settings: Settings, pseudonyms: Pseudonyms, first: date | None = None, last: date | None = None
) -> list[Drop]:
    """Returns the landing files from ``first`` to ``last`` inclusive, in the order in which versions win.

    Raises:
        PipelineError: The landing zone can't be listed or read.
        TransientError: The bucket can't be reached.
    """
    refresh(settings)
    return list_drops(settings.landing, pseudonyms, first, last)


def landing_days(settings: Settings) -> list[date]:
    """Returns the days that have landing files, in order; nothing is read of them.

    Raises:
        PipelineError: As ``landing_files``.
    """
    bucket = _bucket(settings)
    return bucket.days() if bucket else drop_days(settings.landing)


def stray_files(settings: Settings, pseudonyms: Pseudonyms) -> list[str]:
    """Returns names in the landing zone at places that are not read, so that no file is lost unnoticed."""
    bucket = _bucket(settings)
    return (
        [stray_name(name, pseudonyms) for name in bucket.others()] if bucket else strays(settings.landing, pseudonyms)
    )


def refresh(settings: Settings) -> None:
    """Brings this host's copy of a bucket up to date; does nothing where the landing zone is a folder."""
    if settings.landing_bucket:
        with landing_lock(settings):
            pass


@contextmanager
def landing_lock(settings: Settings) -> Iterator[None]:
    """Keeps others of this host from writing to the landing zone while the block runs; a copy is up to date then."""
    if settings.landing_bucket:
        # A copy may be deleted at any time.
        settings.landing.mkdir(parents=True, exist_ok=True)
    with locked(settings.landing):
        if bucket := _bucket(settings):
            bucket.fetch()
        yield


def put_file(settings: Settings, draft: Path, target: Path) -> None:
    """Moves a finished file to its place in the landing zone, where it would outlive a power cut.

    Args:
        settings: The home.
        draft: The file, on the same disk.
        target: Its place in ``settings.landing``.

    Raises:
        OSError: It can't be written.
        PipelineError: The bucket does not take it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if bucket := _bucket(settings):
        bucket.put(draft, target)
        return
    sync(draft)
    draft.replace(target)
    sync(target.parent)


def _bucket(settings: Settings) -> LandingBucket | None:
    return LandingBucket(settings.landing_bucket, settings.landing) if settings.landing_bucket else None
