"""Finds the broken providers of a home, over all its lanes, with Python 3.11 alone. Goes into bundles."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from .derive import MINUTE, Attempt, Document, LanePairs

GRAVE, REGULAR = 3, 5
RETRIED = ("cleared_count", "uncleared_count", "suppressed_count")
Lanes = Mapping[str, LanePairs]


def unresolved_retries(lanes: Lanes) -> dict[str, Counter[tuple[str, bool]]]:
    """Counts the unresolved retries of each lane, by provider and by whether they were skipped."""
    return {
        name: Counter((execution.provider(), execution.status() == "skipped") for execution in pairs.unresolved())
        for name, pairs in lanes.items()
    }


def explained(lanes: Lanes, broken: Sequence[Document]) -> set[str]:
    """Returns the lanes whose unresolved retries are all to providers that fail now."""
    failing = {row["provider"] for row in broken if row["is_failing_now"]}
    retries = unresolved_retries(lanes)
    return {name for name, counts in retries.items() if all(provider in failing for provider, _ in counts)}


def newest_successes(lanes: Lanes) -> dict[str, datetime]:
    """Returns when each provider last accepted a delivery, in any lane."""
    newest: dict[str, datetime] = {}
    for delivery in (delivery for pairs in lanes.values() for delivery in pairs.of("delivery")):
        for provider, (is_failed, _) in delivery.outcomes().items():
            if not is_failed:
                newest[provider] = max(delivery.at, newest.get(provider, delivery.at))
    return newest


def broken_providers(lanes: Lanes, opened: Sequence[Document]) -> list[Document]:
    """Returns each provider with failing deliveries or an open recovery, the gravest first.

    It fails now if nothing has succeeded there since its oldest failure, or since the newest attempts of three.
    """
    retries, newest = sum(unresolved_retries(lanes).values(), Counter[tuple[str, bool]]()), newest_successes(lanes)
    failing: defaultdict[str, list[tuple[str, list[Attempt]]]] = defaultdict(list)
    for name, pairs in lanes.items():
        for (_, provider), attempts in pairs.failing.items():
            failing[provider].append((name, attempts))
    decided: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for pairs in lanes.values():
        for provider, counts in pairs.retry_counts().items():
            decided[provider].update(counts)
    declining = dict.fromkeys(state for pairs in lanes.values() for state in pairs.lane["declining"])
    rows = []
    for provider in sorted(failing.keys() | {route["provider"] for route in opened}):
        failures = failing.get(provider, [])
        recoveries = [route for route in opened if route["provider"] == provider]
        late = sum(route["slo_status"] == "breached" for route in recoveries)
        most = max((len(attempts) for _, attempts in failures), default=0)
        since = min((attempts[0].record.at for _, attempts in failures), default=None)
        success, failed = newest.get(provider), retries[provider, False]
        after = sum(success is None or attempts[-1].record.at > success for _, attempts in failures)
        is_now = since is not None and (success is None or success < since or after >= GRAVE)
        is_grave = late or (is_now and (failed or max(len(failures), most) >= GRAVE))
        rows.append({
            "provider": provider, "severity": "critical" if is_grave else "warning", "is_failing_now": is_now,
            "open_recovery_count": len(recoveries), "slo_breached_count": late, "failing_notice_count": len(failures),
            "failed_retry_count": failed, "failing_since": since and since.isoformat(),
            "lanes": sorted({name for name, _ in failures}),
            **{name: decided[provider][name] for name in RETRIED},
            "declined_counts": {state: decided[provider][state] for state in declining if decided[provider][state]},
        })  # fmt: skip
    order = ("open_recovery_count", "is_failing_now", "failing_notice_count")
    return sorted(rows, key=lambda row: (row["severity"] != "critical", *(-row[name] for name in order)))


def usual_interval(pairs: LanePairs, start: datetime, expected: timedelta) -> int | None:
    """Returns the interval, in minutes, of a worker that runs regularly but less often than expected; else None."""
    runs = [run.at for run in pairs.of("worker_run")]
    gaps = sorted(end - run for run, end in pairwise(runs) if end > start and end - run > 2 * expected)
    if len(gaps) < REGULAR or len(gaps) * 3 < sum(run >= start for run in runs):
        return None
    usual, open_gap = gaps[len(gaps) // 2], pairs.as_of - runs[-1]
    longest = max(gaps[-1], open_gap) if open_gap > 2 * expected else gaps[-1]
    is_regular = gaps[-1] * 2 <= gaps[0] * 3 and longest * 2 <= usual * 3
    return usual // MINUTE if is_regular else None
