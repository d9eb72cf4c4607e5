"""Endpoints about alerts, silences, scheduled runs and sources."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import Path, Query
from fastapi.routing import APIRouter

from cavra_pipeline.alerts.operators import (
    EndsByHand,
    EndsByItself,
    acknowledge_alert,
    alert_history,
    describe_alert,
    end_silence,
    list_alerts,
    silence_alerts,
)
from cavra_pipeline.api import alert_answers, answers, models
from cavra_pipeline.api.access import Caller
from cavra_pipeline.api.actions import signer_of
from cavra_pipeline.api.common import Asker, Served, endpoint
from cavra_pipeline.api.problems import HttpProblem
from cavra_pipeline.api.service import Answer, Service, json_answer
from cavra_pipeline.documents import parse_as_of, shifted
from cavra_pipeline.errors import UsageError
from cavra_pipeline.schedules import next_ticks
from cavra_pipeline.slots.ledger import recorded_since, slots_between
from cavra_pipeline.slots.picture import slots_document
from cavra_pipeline.sources import pull_states, read_sources
from cavra_pipeline.sources.standing import sources_document
from cavra_pipeline.state import state_of

_DEFAULT_SPAN: Final = timedelta(days=7)
_MOST_SPAN: Final = timedelta(days=366)

router = APIRouter(tags=["watching"])
_AlertId = Annotated[str, Path(pattern=r"^[A-Za-z0-9-]{1,64}$")]


@endpoint(router, "GET", "/api/v1/alerts", scope="read", answer=alert_answers.AlertsAnswer)
def alerts(service: Served) -> Answer:
    """Lists open alerts, silences and undelivered notifications."""

    def make(c: sa.Connection) -> dict[str, Any]:
        return list_alerts(c, service.settings, now=service.clock())

    return service.ask_state(("alerts",), make)


@endpoint(router, "GET", "/api/v1/alerts/events", scope="read", answer=alert_answers.AlertEventsAnswer)
def alert_events(service: Served, query: Annotated[models.AlertEventsQuery, Query()]) -> Answer:
    """Lists events of all alerts, newest first."""

    def make(c: sa.Connection) -> dict[str, Any]:
        events = alert_history(c, most=query.limit)
        return {"count": len(events), "events": events}

    return service.ask_state(("alert events", query.limit), make)


@endpoint(router, "GET", "/api/v1/alerts/{alert_id}", scope="read", answer=alert_answers.AlertStory)
def alert_story(service: Served, alert_id: _AlertId) -> Answer:
    """Returns one alert, open or resolved, and its events."""

    def make(c: sa.Connection) -> dict[str, Any]:
        try:
            alert = describe_alert(c, alert_id)
        except UsageError:
            raise HttpProblem(404, "There is no alert of that id; /api/v1/alerts lists the open ones.") from None
        return {"alert": alert, "events": alert_history(c, alert_id=str(alert["alert_id"]))}

    return service.ask_state(("alert", alert_id), make)


@endpoint(
    router, "POST", "/api/v1/alerts/{alert_id}/acknowledge", scope="acknowledge", answer=alert_answers.AlertAnswer
)
def acknowledge_an_alert(service: Served, caller: Asker, alert_id: _AlertId, body: models.AlertBody) -> Answer:
    """Acknowledges an open alert; stops its reminders until it resolves.

    The acknowledgement is saved as evidence. An alert that only a person can resolve is refused: resolve it.
    """
    return _acknowledge(service, caller, alert_id, body)


@endpoint(router, "POST", "/api/v1/alerts/{alert_id}/resolve", scope="acknowledge", answer=alert_answers.AlertAnswer)
def resolve_alert_by_hand(service: Served, caller: Asker, alert_id: _AlertId, body: models.AlertBody) -> Answer:
    """Resolves an open alert that only a person can resolve, such as a leaked secret.

    The resolution is saved as evidence. An alert that resolves by itself is refused.
    """
    return _acknowledge(service, caller, alert_id, body, is_resolved=True)


def _acknowledge(
    service: Service, caller: Caller, alert_id: str, body: models.AlertBody, *, is_resolved: bool = False
) -> Answer:
    by, now = signer_of(caller, body.by), service.clock()
    try:
        alert = acknowledge_alert(service.writing_settings, alert_id, by=by, now=now, is_resolved=is_resolved)
    except EndsByItself as error:
        raise HttpProblem(409, f"{error.what.capitalize()}. {error.remedy}.") from None
    except EndsByHand as error:
        raise HttpProblem(409, f"{error.what.capitalize()}. Do what it asks for, then resolve it.") from None
    except UsageError as error:
        if error.where == "by":
            raise
        raise HttpProblem(404, "There is no open alert of that id; /api/v1/alerts lists them.") from None
    service.written()
    return json_answer({"alert": alert, "actor": caller.name})


@endpoint(router, "POST", "/api/v1/silences", scope="acknowledge", status=201, answer=alert_answers.SilenceAnswer)
def make_silence(service: Served, caller: Asker, body: models.SilenceBody) -> Answer:
    """Mutes notifications of a kind, of a subject, or of both, for some minutes.

    Alerts still open and resolve.
    """
    now = service.clock()
    silence = silence_alerts(
        service.writing_settings,
        kind=body.kind,
        subject=body.subject,
        by=signer_of(caller, body.by),
        comment=body.comment,
        starts_at=now,
        ends_at=now + timedelta(minutes=body.minutes),
        now=now,
    )
    service.written()
    return json_answer({"silence": silence, "actor": caller.name})


@endpoint(router, "POST", "/api/v1/silences/{silence_id}/end", scope="acknowledge", answer=alert_answers.SilenceAnswer)
def end_a_silence(service: Served, caller: Asker, silence_id: _AlertId) -> Answer:
    """Ends a silence now."""
    try:
        silence = end_silence(service.writing_settings, silence_id, now=service.clock())
    except UsageError:
        raise HttpProblem(404, "There is no silence of that id that still holds; /api/v1/alerts lists them.") from None
    service.written()
    return json_answer({"silence": silence, "actor": caller.name})


@endpoint(router, "GET", "/api/v1/slots", scope="read", answer=answers.SlotsAnswer)
def slots(service: Served, query: Annotated[models.SlotsQuery, Query()]) -> Answer:
    """Lists scheduled runs of a time range with their verdicts.

    The list is empty if the range ends before it begins.
    """
    until = parse_as_of(query.until) if query.until else service.clock()
    first = parse_as_of(query.since) if query.since else shifted(until, -_DEFAULT_SPAN)
    first = max(first, shifted(until, -_MOST_SPAN))

    upcoming = next_ticks(service.settings, now=service.clock())

    def make(c: sa.Connection) -> dict[str, Any]:
        after = shifted(first, -timedelta(microseconds=1))
        rows = slots_between(c, after=after, until=until, schedule=query.schedule)
        return slots_document(
            rows,
            first,
            until,
            recorded_since=recorded_since(c, query.schedule),
            schedules=[row for row in upcoming if query.schedule in (None, row["schedule"])],
        )

    return service.ask_state(("slots", query.schedule, query.since, query.until, str(upcoming)), make)


@endpoint(router, "GET", "/api/v1/sources", scope="read", answer=answers.SourcesAnswer)
def sources(service: Served) -> Answer:
    """Returns the state of each source of `sources.yaml`: rows, lag, silent or unreadable."""

    def make() -> tuple[Any, None]:
        settings = service.settings
        pulls = pull_states(state_of(settings))
        return sources_document(read_sources(settings.sources_file), pulls, service.clock()), None

    return service.once(("sources",), make)
