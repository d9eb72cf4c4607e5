"""How each source stands now, as one document: its rows, its lag, whether it is silent or can't be read.

What is wrong with a source is decided by ``problems`` in ``pulls``; here it is only put into words of a row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.alerts.signals import SEVERITIES, Signal
from cavra_pipeline.documents import instant, whole_minutes
from cavra_pipeline.errors import Fault
from cavra_pipeline.sources.config import Source, Sources
from cavra_pipeline.sources.pulls import SILENT, UNREADABLE, PullState, problems

#: How a source stands: new records arrive, it was never pulled, it is silent, it can't be read.
ARRIVING: Final = "arriving"
NEVER_PULLED: Final = "never_pulled"
_STATES: Final = {SILENT: "silent", UNREADABLE: "unreadable"}


def sources_document(sources: Sources, pull_states: Mapping[str, PullState], now: datetime) -> dict[str, Any]:
    """Returns how the sources of a home stand at an instant.

    Args:
        sources: The sources of ``sources.yaml``.
        pull_states: What is stored of their pulls, by source.
        now: The instant, UTC.

    Returns:
        ``as_of``, ``alert_level`` (``unknown`` without sources), counts, ``faults`` of the file as a whole, and
        ``sources``, a row for each entry in the order of the file. Ages are in whole minutes.
    """
    # Since when a source that was never pulled could have been is not known here; it is shown as that.
    wrong = {signal.subject: signal for signal in problems(sources, pull_states, now, now)}
    rows = [_row(name, source, pull_states.get(name), wrong.get(name), now) for name, source in sources.by_name.items()]
    levels = {signal.severity for signal in wrong.values()}
    states = Counter(row["state"] for row in rows)
    return {
        "as_of": instant(now),
        "alert_level": next(
            (severity for severity in SEVERITIES[::-1] if severity in levels), "healthy" if rows else "unknown"
        ),
        "source_count": len(rows),
        "silent_count": states[_STATES[SILENT]],
        "unreadable_count": states[_STATES[UNREADABLE]],
        "faults": [asdict(fault) for fault in sources.faults],
        "sources": rows,
    }


def _row(
    name: str, declared: Source | tuple[Fault, ...], pulls: PullState | None, wrong: Signal | None, now: datetime
) -> dict[str, Any]:
    source = declared if isinstance(declared, Source) else None
    pulled_at, newest_at = (pulls.pulled_at, pulls.newest_record_at) if pulls else (None, None)
    right = ARRIVING if pulled_at else NEVER_PULLED
    return {
        "source": name,
        "type": source.type if source else None,
        "every_minutes": source.every_minutes if source else None,
        "silent_after_minutes": source.silent_after * source.every_minutes if source else None,
        "state": _STATES[wrong.kind] if wrong else right,
        "cause": wrong.cause if wrong else None,
        "since": instant(wrong.since) if wrong and source else None,
        "pulled_at": instant(pulled_at),
        "pull_age_minutes": _age(pulled_at, now),
        "newest_record_at": instant(newest_at),
        "lag_minutes": _age(newest_at, now),
        "arrived_at": instant(pulls.arrived_at) if pulls else None,
        "new_record_count": pulls.new_count if pulls else None,
        "known_record_count": pulls.known_count if pulls else None,
        "quarantined_record_count": pulls.quarantined_count if pulls else None,
        "failure": pulls.failure if pulls else None,
        "faults": [] if isinstance(declared, Source) else [asdict(fault) for fault in declared],
    }


def _age(moment: datetime | None, now: datetime) -> int | None:
    return whole_minutes(now - moment) if moment else None
