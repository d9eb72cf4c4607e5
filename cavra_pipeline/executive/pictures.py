"""Pictures as inline SVG: outages by lane, backlog over time. No colour is set here.

Drawn 360 units wide, so that their text keeps its size on a phone. Classes are coloured by the page's style sheet, and
whatever a colour says is said in words too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from markupsafe import Markup

from cavra_pipeline.escaping import html
from cavra_pipeline.executive.words import day_text, read, worker_words

_WIDTH: Final = 360
_TICKS: Final = 4
_ROW: Final = 32


def _svg(name: str, height: int, title: str, description: str, parts: Sequence[Markup]) -> Markup:
    return Markup(
        '<svg viewBox="0 0 {width} {height}" role="img" aria-labelledby="{name}-title {name}-desc">'
        '<title id="{name}-title">{title}</title><desc id="{name}-desc">{description}</desc>{parts}</svg>'
    ).format(
        width=_WIDTH,
        height=height,
        name=name,
        title=html(title),
        description=html(description),
        parts=Markup("").join(parts),
    )


def _rect(x: float, y: float, width: float, height: float, kind: str) -> Markup:
    place = f'x="{_number(x)}" y="{_number(y)}" width="{_number(width)}" height="{_number(height)}"'
    return Markup(f'<rect class="{kind}" {place}/>')  # noqa: S704 -- numbers, and a class of our own


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
        kind, _number(x1), _number(y1), _number(x2), _number(y2)
    )


def _text(x: float, y: float, text: str, kind: str = "label", anchor: str = "start") -> Markup:
    place = f'x="{_number(x)}" y="{_number(y)}" text-anchor="{anchor}"'
    return Markup(f'<text class="{kind}" {place}>{html(text)}</text>')  # noqa: S704 -- only the text is not our own


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


class _Axis:
    """Turns moments into places from left to right."""

    def __init__(self, start: datetime, end: datetime, left: float, right: float) -> None:
        self._start, self._end, self._left, self._right = start, end, left, right

    def x(self, moment: datetime) -> float:
        share = (min(max(moment, self._start), self._end) - self._start) / (self._end - self._start or timedelta(1))
        return self._left + share * (self._right - self._left)

    def days(self) -> list[datetime]:
        """A few midnights, evenly spread."""
        days = (self._end - self._start).days + 1
        step = -(-days // _TICKS)
        return [self._start + timedelta(days=offset) for offset in range(0, days, step)]

    def labels(self, bottom: float) -> list[Markup]:
        """Writes the days under a picture; the last one keeps inside it."""
        return [_text(min(self.x(day), _WIDTH - 38), bottom + 13, day_text(day), "tick") for day in self.days()]


def outage_timeline(report: Mapping[str, Any]) -> Markup:
    """Draws one row for each lane, with a bar for each time its worker was down."""
    start, end = read(report["window_start"]), read(report["as_of"])
    axis = _Axis(start, end, 0, _WIDTH)
    lanes = report["lanes"]
    bottom = _ROW * len(lanes)
    parts = axis.labels(bottom - 4)
    for number, lane in enumerate(lanes):
        top = _ROW * number
        parts += [
            _text(0, top + 13, lane["title"], "label strong"),
            _text(_WIDTH, top + 13, worker_words(lane, report["as_of"]), anchor="end"),
        ]
        parts.append(_rect(0, top + 19, _WIDTH, 10, "unknown" if lane["state"] == "no_evidence" else "track"))
        parts += [_rect(axis.x(day), top + 19, 1.5, 10, "gap") for day in axis.days()[1:]]
        for outage in lane["outages"]:
            left = axis.x(read(outage["started_at"]) if outage["started_at"] else start)
            right = axis.x(read(outage["ended_at"]) if outage["ended_at"] else end)
            width = max(right - left, 3)
            shape = (top + 19, width, 10, "slow") if lane["usual_interval_minutes"] else (top + 17, width, 14, "bad")
            parts.append(_rect(min(left, _WIDTH - width), *shape))
    said = "; ".join(f"{lane['title']}: {worker_words(lane, report['as_of'])}" for lane in lanes)
    return _svg("outages", bottom + 20, "Worker downtime", f"{said}.", parts)


def backlog_area(report: Mapping[str, Any]) -> Markup:
    """Draws the most recoveries that were open in each step, and as a dashed line the most that were past the limit."""
    points = report["backlog"]
    start, end = read(report["window_start"]), read(report["as_of"])
    left, right, top, bottom = 0.0, float(_WIDTH), 24.0, 112.0
    axis = _Axis(start, end, left, right)
    most = max(point["most_open_count"] for point in points)
    scale = (bottom - top) / max(most, 1)

    def outline(name: str) -> list[tuple[float, float]]:
        steps = [(axis.x(read(point["at"])), bottom - scale * point[name]) for point in points]
        corners = [corner for (x, _), (end, y) in pairwise(steps) for corner in ((x, y), (end, y))]
        return corners or [(left, steps[0][1]), (right, steps[0][1])]

    open_, late = outline("most_open_count"), outline("most_breached_count")
    last = points[-1]
    parts = [
        *(_line(axis.x(day), top, axis.x(day), bottom, "grid") for day in axis.days()),
        *axis.labels(bottom),
        _line(left, top, right, top, "grid"),
        _line(left, bottom, right, bottom, "axis"),
        _text(0, top - 8, f"at most {most:,} open", "tick"),
        _text(
            _WIDTH,
            top - 8,
            f"now: {last['open_count']:,} open, {last['breached_count']:,} past the limit",
            anchor="end",
        ),
        _path([(left, bottom), *open_, (right, bottom)], "area", close=True),
        _path(open_, "edge"),
        _path(late, "late"),
    ]
    said = (
        f"{points[0]['open_count']:,} open and {points[0]['breached_count']:,} past the limit at the start, "
        f"{last['open_count']:,} and {last['breached_count']:,} at the end, at most {most:,} open."
    )
    return _svg("backlog", int(bottom) + 20, "Open recoveries over time", said, parts)


def _path(points: Sequence[tuple[float, float]], kind: str, *, close: bool = False) -> Markup:
    steps = " L".join(f"{_number(x)} {_number(y)}" for x, y in points)
    return Markup('<path class="{}" d="M{}{}"/>').format(kind, steps, " Z" if close else "")
