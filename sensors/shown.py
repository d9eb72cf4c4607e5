"""Newest metadata of assets, by which sensors decide: read once for all of them, until an asset is made again."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

import dagster as dg

from cavra_pipeline.jobs import LANDING_MARK, WHAT_IF

#: Materialisations that are read together, and how often more are read where these hold none that counts.
_PAGE: Final = 20
_MOST_PAGES: Final = 6
_MOST_REMEMBERED: Final = 200
#: The same where many days are asked about.
_LONG_PAGE: Final = 1000

_Shown = Mapping[str, Any]
_Stamp = Mapping[str, int]
#: Of each instance, asset and member in this process: the newest materialisation of each day, and what was shown.
_remembered: dict[tuple[str, dg.AssetKey, str], tuple[_Stamp, Sequence[_Shown]]] = {}


def newest_shown(
    instance: dg.DagsterInstance, asset: dg.AssetKey, now: datetime, *, having: str = "as_of"
) -> _Shown | None:
    """Returns what an asset showed of the newest instant, with that member.

    A backfill of old days does not hide it. What-ifs are ignored, even if a hundred are newer.
    """
    days = [(now.date() - timedelta(days=back)).isoformat() for back in (0, 1)]
    documents = _shown_on(instance, asset, days, having)
    if not documents:
        documents = next(filter(None, _pages(instance, dg.AssetRecordsFilter(asset_key=asset), having)), [])
    return max(documents, key=lambda document: str(document["as_of"]), default=None)


def _shown_on(instance: dg.DagsterInstance, asset: dg.AssetKey, days: Sequence[str], having: str) -> Sequence[_Shown]:
    """Returns an asset's metadata of some days; a process reads it once, until one of them is made again."""
    event_type = dg.DagsterEventType.ASSET_MATERIALIZATION
    stamp = instance.get_latest_storage_id_by_partition(asset, event_type, set(days))
    if not stamp:
        return []
    # An instance in memory has no place to know it by.
    key = (instance.storage_directory(), asset, having) if instance.is_persistent else None
    cached = _remembered.pop(key, None) if key else None
    if cached is None or cached[0] != stamp:
        record_filter = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=list(days))
        cached = stamp, next(filter(None, _pages(instance, record_filter, having)), [])
    if key:
        _remembered[key] = cached
        for oldest in list(_remembered)[:-_MOST_REMEMBERED]:
            _remembered.pop(oldest, None)
    return cached[1]


def _pages(instance: dg.DagsterInstance, record_filter: dg.AssetRecordsFilter, having: str) -> Iterator[list[_Shown]]:
    """Yields what was shown of days' own reports with a member, the newest first, some materialisations at a time."""
    cursor = None
    for _ in range(_MOST_PAGES):
        page = instance.fetch_materializations(record_filter, limit=_PAGE, cursor=cursor)
        documents = [shown(record) for record in page.records]
        yield [
            document
            for document in documents
            if document.get("as_of") and having in document and not document.get(WHAT_IF)
        ]
        if not page.has_more:
            return
        cursor = page.cursor


def days_made(
    instance: dg.DagsterInstance, assets: Sequence[dg.AssetKey], first: dg.AssetKey, marks: Mapping[date, str]
) -> set[date]:
    """Returns the days of which any runs made the first asset with their mark, and every other asset after that.

    Args:
        instance: Dagster's instance.
        assets: The assets.
        first: The one that shows its ``LANDING_MARK``.
        marks: The days that are asked about, each with the mark that must be shown.
    """
    made_at = _shown_since(instance, first, {day.isoformat(): mark for day, mark in marks.items()})
    for asset in (other for other in assets if other != first):
        if not made_at:
            break
        event_type = dg.DagsterEventType.ASSET_MATERIALIZATION
        newest = instance.get_latest_storage_id_by_partition(asset, event_type, set(made_at))
        made_at = {day: at for day, at in made_at.items() if newest.get(day, 0) > at}
    return {date.fromisoformat(day) for day in made_at}


def _shown_since(instance: dg.DagsterInstance, asset: dg.AssetKey, marks: Mapping[str, str]) -> dict[str, int]:
    """The first of the newest materialisations of each day that show its mark: schedules make an asset again often."""
    storage_ids: dict[str, int] = {}
    others: set[str] = set()
    cursor = None
    record_filter = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=list(marks))
    for _ in range(_MOST_PAGES if marks else 0):
        page = instance.fetch_materializations(record_filter, limit=_LONG_PAGE, cursor=cursor)
        for record in page.records:
            day = str(record.partition_key)
            if day not in others and shown(record).get(LANDING_MARK) == marks[day]:
                storage_ids[day] = record.storage_id
            else:
                others.add(day)
        if not page.has_more or others >= marks.keys():
            break
        cursor = page.cursor
    return storage_ids


def shown(record: dg.EventLogRecord) -> dict[str, Any]:
    """Returns the metadata of a materialisation as plain values."""
    materialization = record.asset_materialization
    return {name: value.value for name, value in materialization.metadata.items()} if materialization else {}
