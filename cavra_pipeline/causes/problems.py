"""Signals for the life cycle of alerts from incidents and forecasts, with their thresholds.

What was found is made where the warehouse is open, shown by an asset, and read back by a sensor: plain values only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from cavra_pipeline.alerts.kinds import FAILED_EXECUTION, PROVIDER_INCIDENT
from cavra_pipeline.alerts.signals import Signal, is_public_text
from cavra_pipeline.causes.forecast import ForecastParameters, forecast
from cavra_pipeline.documents import instant, naive_utc, parse_as_of
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.reports.executions import unresolved_pairs
from cavra_pipeline.reports.incidents import open_incidents
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.warehouse import Session

EXHAUSTION_AHEAD: Final = "exhaustion_ahead"
#: So long before the last retry of a delivery somebody is warned.
WARNING_TIME: Final = timedelta(hours=1)
#: How far ahead the forecast looks that warnings are reckoned from.
FORECAST_HOURS: Final = 24
#: The kinds that an observation of incidents decides on.
INCIDENT_KINDS: Final = (PROVIDER_INCIDENT, FAILED_EXECUTION)

_WORD = re.compile(r"[a-z][a-z0-9_]{0,63}")
#: Why an execution is unresolved where its record gives no reason, and where the reason is no word.
_FAILED, _SKIPPED = "failed", "skipped"
#: The cause of a warning about a delivery that no open incident explains.
_NO_INCIDENT: Final = "no_open_incident"
_OF_INCIDENT: Final = ("incident_id", "provider", "lane", "began_at", "cause", "failure_count", "subject_count")


def shown_incidents(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns of each open incident what its alert needs; no subject is among it."""
    incidents = (incident for incident in report["incidents"] if incident["ended_at"] is None)
    return [
        {name: incident[name] for name in _OF_INCIDENT} | {"pair_count": len(incident["pairs"])}
        for incident in incidents
    ]


def failed_executions(session: Session, as_of: datetime) -> list[dict[str, Any]]:
    """Counts the pairs whose newest execution failed or was skipped and is unresolved, by provider and lane.

    Returns:
        Entries with ``lane``, ``provider``, ``failed_at`` (the earliest of these executions) and ``causes``: how many
        pairs by reason, where ``provider_incident`` stands for every pair of an open incident.
    """
    at = naive_utc(as_of)
    names = open_incidents(session, [at])
    entries: dict[tuple[str, str], dict[str, Any]] = {}
    for lane in LANES.values():
        for pair in unresolved_pairs(session, lane, at):
            provider = pair["provider"]
            new = {"lane": lane.name, "provider": provider, "failed_at": instant(pair["failed_at"]), "causes": {}}
            failures = entries.setdefault((provider, lane.name), new)
            failures["failed_at"] = min(failures["failed_at"], new["failed_at"])
            is_named = names.of(at, lane, pair["subject"], provider) is not None
            cause = PROVIDER_INCIDENT if is_named else _cause(pair["reason"])
            failures["causes"][cause] = failures["causes"].get(cause, 0) + pair["execution_count"]
    return [entries[key] for key in sorted(entries)]


def _cause(reason: str) -> str:
    if not reason:
        return _FAILED
    return reason if _WORD.fullmatch(reason) else _SKIPPED


def incident_signals(incidents: Iterable[Mapping[str, Any]], executions: Iterable[Mapping[str, Any]]) -> list[Signal]:
    """Returns a signal for each open incident, and for the failed executions of each provider and lane.

    The subject of an incident says since when it lasts, so that the next incident of the provider is another alert.
    """
    signals = []
    for incident in incidents:
        scope = f"{incident['provider']} in {incident['lane']}" if incident["lane"] else str(incident["provider"])
        subject = _public(f"{scope} since {incident['began_at']}", incident["incident_id"])
        counts = {name: int(incident[name]) for name in ("subject_count", "pair_count")}
        names = {
            name: str(incident[name])
            for name in ("provider", "lane")
            if incident[name] and is_public_text(str(incident[name]))
        }
        evidence = {"incident_id": incident["incident_id"], **names, **counts}
        signals.append(
            Signal(
                PROVIDER_INCIDENT, subject, "critical", parse_as_of(incident["began_at"]), incident["cause"],
                int(incident["failure_count"]), evidence,
            )
        )  # fmt: skip
    for execution in executions:
        subject = _public(f"{execution['provider']} in {execution['lane']}", execution["lane"])
        signals += [
            Signal(
                FAILED_EXECUTION,
                subject,
                "critical",
                parse_as_of(execution["failed_at"]),
                cause,
                count,
                {"lane": execution["lane"]},
            )
            for cause, count in sorted(execution["causes"].items())
        ]
    return signals


def exhaustion(
    session: Session, lane: Lane, *, as_of: datetime, now: datetime, has_connector: Callable[[str], bool]
) -> dict[str, Any]:
    """Forecasts with the lane's own policy what will be exhausted in the next 24 hours.

    Returns:
        ``as_of``, ``forecast_id``, ``exhausted_at``: how many deliveries the run at each instant exhausts, and
        ``explained_at``: how many of these are of an open incident.
    """
    parameters = ForecastParameters(hours=FORECAST_HOURS)
    document = forecast(
        session, lane, retry_policy(lane), parameters, as_of=as_of, now=now, has_connector=has_connector
    )
    pairs = sorted(
        (pair for pair in document["pairs"] if pair["exhausted_at"]), key=lambda pair: str(pair["exhausted_at"])
    )
    return {
        "as_of": document["as_of"],
        "forecast_id": document["forecast_id"],
        "exhausted_at": dict(Counter(pair["exhausted_at"] for pair in pairs)),
        "explained_at": dict(Counter(pair["exhausted_at"] for pair in pairs if pair["provider_incident_id"])),
    }


def exhaustion_signals(lane: str, shown: Mapping[str, Any], now: datetime) -> list[Signal]:
    """Returns what of a lane will be exhausted within the hour; what is exhausted by now no one can release any more.

    What an open incident explains is a signal of its own, whose cause is the incident.

    Args:
        lane: The lane's name.
        shown: What ``exhaustion`` found.
        now: The instant.
    """
    ahead = {parse_as_of(when): (when, int(count)) for when, count in shown["exhausted_at"].items()}
    soon = {when: named for when, named in ahead.items() if now < when <= now + WARNING_TIME}
    if not soon:
        return []
    first = min(soon)
    # A forecast of an earlier version does not say what explains it.
    explained = sum(int(shown.get("explained_at", {}).get(text, 0)) for text, _ in soon.values())
    counts = {PROVIDER_INCIDENT: explained, _NO_INCIDENT: sum(count for _, count in soon.values()) - explained}
    evidence: dict[str, str | int] = {
        "lane": lane,
        "forecast_id": str(shown["forecast_id"]),
        "first_exhausted_at": str(instant(first)),
    }
    since = first - WARNING_TIME
    return [
        Signal(EXHAUSTION_AHEAD, lane, "warning", since, cause, count, evidence)
        for cause, count in counts.items()
        if count
    ]


def _public(text: str, otherwise: str) -> str:
    """A provider's name comes from evidence; an id or a lane stands for one that can't be a subject."""
    return text if is_public_text(text) else otherwise
