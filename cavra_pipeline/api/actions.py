"""Endpoints that act: acknowledge a delivery, open and close recoveries, refresh the home by a Dagster run."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from fastapi import Path
from fastapi.routing import APIRouter

from cavra_pipeline.api import alert_answers, answers, models, report_answers
from cavra_pipeline.api.access import Caller
from cavra_pipeline.api.common import Asker, Served, endpoint
from cavra_pipeline.api.lists import MOST_DAYS, day_range
from cavra_pipeline.api.problems import HttpProblem, safe_name
from cavra_pipeline.api.service import Answer, json_answer
from cavra_pipeline.errors import TransientError, UsageError, checked
from cavra_pipeline.lanes import lane_named
from cavra_pipeline.recoveries.write import PlaybookParameters, build_playbook, close_recovery
from cavra_pipeline.reports.store import days_between
from cavra_pipeline.retry.acknowledge import acknowledge, acknowledge_each, withdraw

REFRESH_JOB: Final = "daily_close"
#: What the domain calls the members of a closure's body.
_FIELDS: Final = {"playbook": "playbook_id", "ref": "external_ref"}
_RUN_ID: Final = re.compile(r"[0-9a-f-]{36}")

router = APIRouter(tags=["actions"])


def signer_of(caller: Caller, by: str | None) -> str:
    """Returns who says it: the token's name, or what is given where the service is open.

    Raises:
        HttpProblem: Somebody with a token speaks for another.
    """
    if not caller.has_token:
        return by or caller.name
    if by not in (None, caller.name):
        raise HttpProblem(403, "With a token, `by` is the token's name; leave it out.")
    return caller.name


@endpoint(
    router, "POST", "/api/v1/lanes/{lane}/acknowledgements", scope="acknowledge", status=201,
    answer=alert_answers.AcknowledgementAnswer,
)  # fmt: skip
def make_acknowledgement(
    service: Served, caller: Asker, lane: models.AcknowledgedLane, body: models.AcknowledgementBody
) -> Answer:
    """Records an acknowledgement of a failing delivery as evidence.

    With `withdraw` in place of `state` it records that the acknowledgement no longer holds.
    """
    if (body.state is None) == (not body.withdraw):
        raise UsageError("one of two is needed", where="state", remedy="Give either state, or withdraw as true")
    about: dict[str, Any] = {"subject": body.subject, "provider": body.provider}
    said: dict[str, Any] = {**about, "by": signer_of(caller, body.by), "now": service.clock()}
    if body.state is None:
        written = withdraw(service.writing_settings, lane_named(lane), **said)
    else:
        written = acknowledge(
            service.writing_settings, lane_named(lane), **said, state=body.state, is_forced=body.force
        )
    service.written()
    return json_answer({"acknowledgement": written, "actor": caller.name})


@endpoint(
    router, "POST", "/api/v1/acknowledgements", scope="acknowledge",
    answer=alert_answers.AcknowledgedDeliveriesAnswer,
)  # fmt: skip
def make_acknowledgements(service: Served, caller: Asker, body: models.AcknowledgementsBody) -> Answer:
    """Records an acknowledgement of each of many failing deliveries as evidence.

    The answer says of each delivery, in order, what was recorded or why nothing was; one that is rejected stops no
    other.
    """
    named = list(dict.fromkeys((delivery.lane, delivery.subject, delivery.provider) for delivery in body.deliveries))
    outcomes = acknowledge_each(
        service.writing_settings, [(lane_named(lane), subject, provider) for lane, subject, provider in named],
        state=body.state, by=signer_of(caller, body.by), now=service.clock(),
    )  # fmt: skip
    service.written()
    rows = [
        {"lane": lane, "subject": subject, "provider": provider, **_outcome(outcome)}
        for (lane, subject, provider), outcome in zip(named, outcomes, strict=True)
    ]
    return json_answer({"deliveries": rows, "actor": caller.name})


def _outcome(outcome: dict[str, Any] | UsageError) -> dict[str, Any]:
    if isinstance(outcome, dict):
        return {"acknowledgement": outcome, "error": None}
    error = {"where": safe_name(outcome.where), "what": outcome.what, "remedy": outcome.remedy}
    return {"acknowledgement": None, "error": error}


@endpoint(router, "POST", "/api/v1/playbook", scope="acknowledge", status=201, answer=report_answers.PlaybookAnswer)
def make_playbook(service: Served, caller: Asker, body: models.PlaybookBody) -> Answer:
    """Opens a recovery for each connector that fails often and has none open.

    The playbook is saved as evidence.
    """
    parameters = checked(PlaybookParameters, body.model_dump(exclude={"by"}))
    by = signer_of(caller, body.by)
    written = build_playbook(service.writing_settings, parameters, by=by, now=service.clock())
    service.written()
    return json_answer({"playbook": written, "actor": caller.name})


@endpoint(
    router, "POST", "/api/v1/recoveries/closures", scope="acknowledge", status=201,
    answer=report_answers.RecoveryClosureAnswer,
)  # fmt: skip
def make_recovery_closure(service: Served, caller: Asker, body: models.RecoveryClosureBody) -> Answer:
    """Records the closure of a recovery as evidence.

    The recovery must exist; an error suggests similar names.
    """
    by = signer_of(caller, body.by)
    said = body.model_dump(exclude={"by"})
    try:
        written = close_recovery(service.writing_settings, **said, by=by, now=service.clock())
    except UsageError as error:
        raise UsageError(error.what, where=_FIELDS.get(error.where, error.where), remedy=error.remedy) from None
    service.written()
    return json_answer({"closure": written, "actor": caller.name})


@endpoint(router, "POST", "/api/v1/refresh", scope="live", status=202, answer=answers.RefreshAnswer)
def refresh(service: Served, body: models.Days) -> Answer:
    """Starts a run that ingests and makes every report of the days; today if no day is given.

    The run starts no worker. It sends a scheduled executive report that is due and unsent, if its lane is live.
    """
    first_day, last_day = day_range(service, body, default=1)
    if first_day > last_day or (last_day - first_day).days >= MOST_DAYS or last_day > service.clock().date():
        raise UsageError(
            "the days are not accepted",
            where="from",
            remedy=f"Give the earlier day first, at most {MOST_DAYS} days, none after today",
        )
    days = days_between(first_day, last_day)
    try:
        run_id = service.dagster.launch_refresh(days)
    except TransientError as error:
        raise HttpProblem(409, f"{error.what.capitalize()}. {error.remedy}.") from None
    first, last = days[0].isoformat(), days[-1].isoformat()
    started = {"run_id": run_id, "status": "starting", "job": REFRESH_JOB, "from": first, "to": last}
    return json_answer({**started, "ui": _ui(service.settings.dagster_url, run_id)})


@endpoint(router, "GET", "/api/v1/refresh/{run_id}", scope="read", answer=answers.RefreshAnswer)
def refresh_status(service: Served, run_id: Annotated[str, Path(max_length=64)]) -> Answer:
    """Returns the status of a refresh, as Dagster reports it."""
    run_status = service.dagster.run_status(run_id) if _RUN_ID.fullmatch(run_id) else None
    if run_status is None:
        raise HttpProblem(
            404, "There is no refresh of that id; one that has just been asked for takes seconds to appear."
        )
    return json_answer({**run_status, "ui": _ui(service.settings.dagster_url, run_id)})


def _ui(url: str, run_id: str) -> str:
    return f"{url}/runs/{run_id}"
