"""Endpoints of what is watched: alerts and their life, the slots of the schedules."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import Depends, Path, Query
from fastapi.routing import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from cavra_pipeline.alerts.operators import (
    EndsByItself,
    acknowledge_alert,
    alert_history,
    list_alerts,
    resolve_alert,
)
from cavra_pipeline.api import models
from cavra_pipeline.api.access import Caller
from cavra_pipeline.api.actions import signer_of
from cavra_pipeline.api.common import Served, allowed, endpoint
from cavra_pipeline.api.problems import Problem
from cavra_pipeline.api.service import Service, json_answer
from cavra_pipeline.desired_state import DESIRED_STATE, SCHEDULE
from cavra_pipeline.documents import parse_as_of
from cavra_pipeline.errors import UsageError
from cavra_pipeline.slots.ledger import slots_between
from cavra_pipeline.slots.picture import slots_document

_DEFAULT_SPAN: Final = timedelta(days=7)
_MOST_SPAN: Final = timedelta(days=366)
_AT: Final = "2026-06-25T15:07:25+00:00"
_SCHEDULES: Final = tuple(one.name for one in DESIRED_STATE if one.kind == SCHEDULE)

_ALERT_EXAMPLE: Final[dict[str, Any]] = {
    "alert_id": "alert-5d81aa02", "kind": "missed_slot", "subject": "recovery_retry_worker", "severity": "critical",
    "state": "firing", "since": _AT, "acknowledged_by": None, "action": "Look why the slot was missed.",
}  # fmt: skip
_SLOT_EXAMPLE: Final[dict[str, Any]] = {
    "schedule": "recovery_retry_worker", "expected_at": _AT, "verdict": "missed", "cause": "daemon_down",
}  # fmt: skip

router = APIRouter(tags=["watching"])
_READ = Annotated[Caller, Depends(allowed("read"))]
_ACKNOWLEDGE = Annotated[Caller, Depends(allowed("acknowledge"))]
_AlertId = Annotated[str, Path(pattern=r"^[A-Za-z0-9-]{1,64}$")]


class AlertsAnswer(models.Open):
    """Open alerts, silences, notices that were not taken, and who is told."""

    as_of: str
    alert_count: int
    alerts: list[dict[str, Any]]
    silences: list[dict[str, Any]]
    unsent_notices: list[dict[str, Any]]


class AlertEventsAnswer(BaseModel):
    """What happened to alerts, newest first."""

    count: int
    events: list[dict[str, Any]]


class AlertBody(models.Asked):
    """Who acknowledges or resolves an alert."""

    by: models.Actor = Field(None, description="Who says it; with a token, always the token's name.")


class AlertAnswer(BaseModel):
    """The alert and who asked."""

    alert: dict[str, Any]
    actor: str


class AlertEventsQuery(models.Asked):
    """How many events."""

    limit: models.Limit = 100


class SlotsQuery(models.Asked):
    """A range of instants, the last seven days if none is given."""

    schedule: str | None = Field(None, json_schema_extra={"enum": [*_SCHEDULES, None]})
    since: models.AsOf = None
    until: models.AsOf = None


class SlotsAnswer(BaseModel):
    """Slots with their verdicts."""

    first: str = Field(alias="from")
    last: str = Field(alias="to")
    slot_count: int
    counts: dict[str, int]
    slots: list[dict[str, Any]]


@endpoint(
    router, "GET", "/api/v1/alerts", scope="read", answer=AlertsAnswer, summary="What is wrong now, who took it on?",
    example={"as_of": _AT, "connectors": [], "alert_count": 1, "alerts": [_ALERT_EXAMPLE], "silences": [],
             "unsent_notices": []},
)  # fmt: skip
def alerts(service: Served, _caller: _READ) -> Response:
    """Lists open alerts, as `cavra-pipeline alerts list` does."""

    def make(c: sa.Connection) -> dict[str, Any]:
        return list_alerts(c, service.settings, now=service.clock())

    return service.ask_state(("alerts",), make).response()


@endpoint(
    router, "GET", "/api/v1/alerts/events", scope="read", answer=AlertEventsAnswer,
    summary="What happened to alerts, newest first.",
    example={"count": 1, "events": [{"alert_id": "alert-5d81aa02", "event": "opened", "happened_at": _AT}]},
)  # fmt: skip
def alert_events(service: Served, _caller: _READ, asked: Annotated[AlertEventsQuery, Query()]) -> Response:
    """Lists events of all alerts, as `cavra-pipeline alerts history` does."""

    def make(c: sa.Connection) -> dict[str, Any]:
        events = alert_history(c, most=asked.limit)
        return {"count": len(events), "events": events}

    return service.ask_state(("alert events", asked.limit), make).response()


@endpoint(
    router, "POST", "/api/v1/alerts/{alert_id}/acknowledge", scope="acknowledge", answer=AlertAnswer,
    summary="Take an alert on: no more reminders of it until it is over.",
    example={"alert": {**_ALERT_EXAMPLE, "state": "acknowledged"}, "actor": "local"},
)  # fmt: skip
def take_alert_on(service: Served, caller: _ACKNOWLEDGE, alert_id: _AlertId, body: AlertBody) -> Response:
    """Acknowledges an open alert; leaves evidence. One that only a person ends is resolved by it."""
    return _say(service, caller, acknowledge_alert, alert_id, body)


@endpoint(
    router, "POST", "/api/v1/alerts/{alert_id}/resolve", scope="acknowledge", answer=AlertAnswer,
    summary="Resolve an alert that only a person ends, such as a leaked secret.",
    example={"alert": {**_ALERT_EXAMPLE, "kind": "secret_finding", "state": "resolved"}, "actor": "local"},
)  # fmt: skip
def resolve_alert_by_hand(service: Served, caller: _ACKNOWLEDGE, alert_id: _AlertId, body: AlertBody) -> Response:
    """Resolves an open alert; leaves evidence. An alert that ends by itself is refused."""
    return _say(service, caller, resolve_alert, alert_id, body)


def _say(
    service: Service, caller: Caller, act: Callable[..., dict[str, Any]], alert_id: str, body: AlertBody
) -> Response:
    by = signer_of(caller, body.by)
    try:
        alert = act(service.writing_settings, alert_id, by=by, now=service.clock())
    except EndsByItself as error:
        raise Problem(409, f"{error.what.capitalize()}. {error.remedy}.") from None
    except UsageError as error:
        if error.where == "by":
            raise
        raise Problem(404, "There is no open alert of that id; /api/v1/alerts lists them.") from None
    service.written()
    return json_answer({"alert": alert, "actor": caller.name}).response()


@endpoint(
    router, "GET", "/api/v1/slots", scope="read", answer=SlotsAnswer,
    summary="Which slots of the schedules were served, which were missed and why?",
    example={"from": _AT, "to": _AT, "slot_count": 1, "counts": {"missed": 1}, "slots": [_SLOT_EXAMPLE]},
)  # fmt: skip
def slots(service: Served, _caller: _READ, asked: Annotated[SlotsQuery, Query()]) -> Response:
    """Lists the slots of a range, as `cavra-pipeline slots` does; none where the range is upside down."""
    if asked.schedule not in (None, *_SCHEDULES):
        raise UsageError("there is no such schedule", where="schedule", remedy=f"Use one of {', '.join(_SCHEDULES)}")
    until = parse_as_of(asked.until) if asked.until else service.clock()
    first = parse_as_of(asked.since) if asked.since else _before(until, _DEFAULT_SPAN)
    first = max(first, _before(until, _MOST_SPAN))

    def make(c: sa.Connection) -> dict[str, Any]:
        after = _before(first, timedelta(microseconds=1))
        rows = slots_between(c, after=after, until=until, schedule=asked.schedule)
        return slots_document(rows, first, until)

    return service.ask_state(("slots", asked.schedule, asked.since, asked.until), make).response()


def _before(moment: datetime, span: timedelta) -> datetime:
    try:
        return moment - span
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)
