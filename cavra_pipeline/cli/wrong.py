"""What is wrong in a home, a sentence each: broken providers, workers that are down, retries held for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from cavra_pipeline.durations import short_duration
from cavra_pipeline.executive.words import count, incident_sentence, listed, worker_interval

_MOST_NAMED: Final = 3


def what_is_wrong(overview: Mapping[str, Any]) -> list[str]:
    """Returns the sentences of an overview, causes before what follows from them; none if nothing is wrong."""
    incidents, lanes, down = overview["incidents"], overview["lanes"].values(), _down(overview)
    explained = {name for one in incidents for name in one["lanes"]} | {name for name, _ in down}
    return [
        *(incident_sentence(one, overview["as_of"]) for one in incidents),
        *([f"{_workers(len(down))} down: {some([f'{name} {since}' for name, since in down])}"] if down else []),
        *(f"{lane['lane']}: {worker_interval(lane)}" for lane in lanes if lane["usual_interval_minutes"]),
        *_held(lanes),
        *_recoveries(overview["recoveries"]),
        *(
            f"{lane['lane']}: {_first_sentence(lane['worst_alert']['message'])}"
            for lane in lanes
            if lane["worst_alert"] and lane["lane"] not in explained
        ),
    ]


def some(names: list[str]) -> str:
    """Lists the first names, and says how many more there are."""
    more = len(names) - _MOST_NAMED
    return listed([*names[:_MOST_NAMED], *([f"{more:,} more"] if more > 0 else [])])


def _down(overview: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The lanes whose worker has missed runs up to now, each with how long its last run is ago."""
    return [
        (name, "never ran" if age is None else f"for {short_duration(age)}")
        for name, lane in overview["lanes"].items()
        for age in [lane["latest_worker_age_minutes"]]
        if age is None or (lane["outage_open_since"] and not lane["usual_interval_minutes"])
    ]


def _workers(number: int) -> str:
    return f"{count(number, 'worker')} {'is' if number == 1 else 'are'}"


def _held(lanes: Any) -> Iterator[str]:
    held = [f"{lane['held_count']} in {lane['lane']}" for lane in lanes if lane["held_count"]]
    number = sum(lane["held_count"] for lane in lanes)
    if held:
        waits = count(number, "due retry waits", "due retries wait")
        yield f"{waits} for a person's acknowledgement or approval: {some(held)}"


def _recoveries(found: Mapping[str, Any]) -> Iterator[str]:
    if found["recovery_open_count"]:
        late, limit = found["recovery_slo_breached_count"], short_duration(found["recovery_slo_minutes"])
        open_ = count(found["recovery_open_count"], "recovery is", "recoveries are")
        yield f"{open_} open, {late:,} of them past the limit of {limit}"


def _first_sentence(message: str) -> str:
    return message.removesuffix(".").partition(". ")[0]
