"""How alerts are counted in words: `status` and `alerts` say it alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cavra_pipeline.alerts.kinds import KINDS


def muted_counts(alerts: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    """Returns how many open alerts are muted by another alert, and how many by a silence."""
    causes = [alert["muted_by"] for alert in alerts if alert["muted_by"]]
    by_alert = sum(cause in KINDS for cause in causes)
    return by_alert, len(causes) - by_alert


def muted_words(by_alert: int, silenced: int) -> str:
    """Says how many alerts are muted by what causes them, and how many are silenced: ``11 muted by their cause``."""
    parts = []
    if by_alert or not silenced:
        parts.append(f"{by_alert:,} muted" + (f" by {'its' if by_alert == 1 else 'their'} cause" if by_alert else ""))
    if silenced:
        parts.append(f"{silenced:,} silenced")
    return ", ".join(parts)


def evaluation_words(daemon: Mapping[str, Any], open_count: int) -> str:
    """Says that alerts are not those of now; empty where they are, or where that can't be known."""
    if daemon["state"] in ("never_seen", "silent"):
        return f"not evaluated{' now' if open_count else ''}: Dagster's daemon is not running"
    if daemon["are_alerts_evaluated"] is False:
        return f"not {'all ' if open_count else ''}evaluated yet: Dagster's sensors are still to tick"
    return ""
