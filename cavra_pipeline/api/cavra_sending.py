"""Endpoints at CAVRA's own paths that send: first deliveries and runs of the retry workers (contract sections 8, 13).

A request never makes a lane live: the host names the lanes (``settings.live_lanes``), and the worker keeps their gates.
What the answers show is put together in ``cavra_sent.py``.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Final

from fastapi import Path
from fastapi.routing import APIRouter

from cavra_pipeline.api import cavra_sending_models as models
from cavra_pipeline.api.access import Caller
from cavra_pipeline.api.cavra import DELIVERIES, actor_of, label_of
from cavra_pipeline.api.cavra_acknowledgements import refused
from cavra_pipeline.api.cavra_sent import delivery_of, worker_answer
from cavra_pipeline.api.common import Asker, Served, endpoint
from cavra_pipeline.api.problems import HttpProblem
from cavra_pipeline.api.search import find_record
from cavra_pipeline.api.service import Answer, Service, json_answer
from cavra_pipeline.connectors import Connectors
from cavra_pipeline.errors import UsageError, checked
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.executive.deliveries import PLANS, RUNS, Deliverable, Stored
from cavra_pipeline.lanes import LANES, CavraPaths, Lane
from cavra_pipeline.recoveries.history import RecoveryParameters
from cavra_pipeline.reports.health import health_parameters
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.retry.first_delivery import Announcement, first_delivery
from cavra_pipeline.retry.health_alerts import MAX_ALERTS, WINDOW_MINUTES, AlertRequest, health_alert
from cavra_pipeline.retry.sender import EVERY_CONNECTOR, ConnectorSender, host_connectors, named_connectors, open_sender
from cavra_pipeline.retry.worker import DEFAULT_RETRY_DELIVERIES, WorkerRequest, run_worker
from cavra_pipeline.settings import Settings

_NEWEST: Final = "latest"
_Id = Annotated[str, Path(min_length=1, max_length=512)]

router = APIRouter(tags=["cavra"])


def _connectors(settings: Settings) -> Connectors:
    """The host's connectors, for what can't do without.

    Raises:
        HttpProblem: There is no connector file, with CAVRA's words; or it can't be read.
    """
    connectors = host_connectors(settings)
    if not connectors.is_configured:
        raise HttpProblem(400, "connector config is not configured")
    if not connectors.is_readable:
        raise HttpProblem(400, "connector config can't be read; `cavra-pipeline connectors` says why")
    return connectors


def _named(connectors: Connectors, text: str) -> Sequence[str]:
    try:
        return named_connectors(connectors, text)
    except UsageError as error:
        raise refused(error.where, error.what, error.remedy) from None


def _require_live(settings: Settings, lane: Lane) -> None:
    """Refuses what the host does not let out, before anything is written, as the command line does."""
    try:
        settings.require_live(lane.name)
    except UsageError as error:
        raise HttpProblem(403, f"{error.what.capitalize()}. {error.remedy}.") from None


def _open(service: Service, settings: Settings, body: models.CavraSendingBody) -> ConnectorSender:
    tries = None if body.retries is None else body.retries + 1
    return open_sender(settings, clock=service.clock, tries=tries, timeout_seconds=body.timeout_seconds)


@contextmanager
def _delivering(
    service: Service,
    settings: Settings,
    announcement: Announcement,
    body: models.CavraDeliveryBody,
    providers: Sequence[str],
) -> Iterator[dict[str, Any]]:
    """Sends, or says what would be sent. The run ends with the block: one that fails is repeated under its ids."""
    with first_delivery(
        settings,
        _open(service, settings, body),
        announcement,
        providers=providers,
        is_live=not body.dry_run,
        clock=service.clock,
        run_id=uuid.uuid4().hex,
    ) as sent:
        yield sent


# --- First deliveries of what is stored ----------------------------------------------------------------------------


def _declare_alert(lane: Lane, paths: CavraPaths) -> None:
    @endpoint(
        router, "POST", f"{DELIVERIES}/{paths.base}/deliver", scope="live", answer=models.CavraAlertDeliveryAnswer,
        summary=f"CAVRA's own path for the delivery of an alert in {lane.name}.", name=f"cavra_deliver_{lane.name}",
    )  # fmt: skip
    def cavra_deliver(service: Served, caller: Asker, body: models.CavraAlertDeliveryBody) -> Answer:
        """Sends an alert if the lane has alerts, through the connectors that are not suppressed."""
        connectors, text = _connectors(service.settings), (body.provider or "").strip() or EVERY_CONNECTOR
        window = body.suppression_window_minutes
        request = AlertRequest(
            lane=lane,
            parameters=health_parameters(
                LANES[str(lane.alerts_of)],
                expected_interval_minutes=body.expected_interval_minutes,
                stale_metadata_minutes=body.stale_metadata_minutes,
            ),
            requested=text,
            connectors=_named(connectors, text),
            generated_by=label_of(caller, body.generated_by),
            window_minutes=WINDOW_MINUTES if window is None else window,
            is_forced=bool(body.force),
            max_alerts=body.max_alerts or MAX_ALERTS,
        )
        if not body.dry_run:
            _require_live(service.settings, lane)
        with service.sending() as settings:
            ingest(settings, now=service.clock())
            with warehouse_of(settings).reading() as session:
                alert = health_alert(session, request, now=service.clock())
            # What was not sent asks no one for an acknowledgement.
            said = alert.announcement.without_records() if body.dry_run else alert.announcement
            with (
                _delivering(service, settings, said, body, alert.plan["selected_providers"]) as sent,
                warehouse_of(settings).reading() as session,
            ):
                answer = {
                    "health": alert.health,
                    "plan": alert.plan,
                    "plan_metadata": find_record(session, alert.plan["plan_id"]),
                    **delivery_of(session, lane, sent, at=service.clock()),
                    "actor": actor_of(caller),
                }
        return json_answer(answer)


for _lane in LANES.values():
    if _lane.cavra and _lane.alerts_of:
        _declare_alert(_lane, _lane.cavra)


def _deliver_stored(
    service: Service, caller: Caller, subject: str, body: models.CavraStoredBody, which: Deliverable
) -> Answer:
    connectors, by = _connectors(service.settings), label_of(caller, body.generated_by)
    parameters = checked(RecoveryParameters, {"slo_minutes": body.recovery_slo_minutes})
    provider_text = (body.provider or "").strip()
    requested = _named(connectors, provider_text) if provider_text else None
    with service.sending() as settings:
        now = service.clock()
        warehouse = warehouse_of(settings)
        ingest(settings, now=now)

        def find() -> Stored | None:
            with warehouse.reading() as session:
                wanted = None if subject == _NEWEST else subject
                return which.find(session, wanted, parameters, now=now, by=by, most=body.most)

        stored = find()
        if stored is None and (subject != _NEWEST or body.dry_run):
            raise HttpProblem(404, f"{which.title} not found")
        if not body.dry_run:
            _require_live(settings, which.lane)
        if stored is None:
            which.store(settings, parameters, by, now)
            stored = find()
        assert stored is not None  # noqa: S101 -- it has just been recorded
        channels = (
            []
            if stored.is_empty
            else requested or _named(connectors, ",".join(which.channels(stored.document, settings)))
        )
        with (
            _delivering(service, settings, stored.announcement, body, channels) as sent,
            warehouse.reading() as session,
        ):
            answer = {
                which.name: stored.document,
                f"{which.name}_metadata": find_record(session, stored.session_id),
                **delivery_of(session, which.lane, sent, at=service.clock()),
                "actor": actor_of(caller),
            }
    return json_answer(answer)


@endpoint(
    router, "POST", f"{DELIVERIES}/recovery-escalations/{{plan_id}}/deliver", scope="live",
    answer=models.CavraPlanDeliveryAnswer, summary="CAVRA's own path for the delivery of an escalation plan.",
)  # fmt: skip
def cavra_deliver_plan(service: Served, caller: Asker, plan_id: _Id, body: models.CavraPlanDeliveryBody) -> Answer:
    """Sends a stored plan once to each connector. `latest` is the newest; if there is none, a new one is made."""
    return _deliver_stored(service, caller, plan_id, body, PLANS)


@endpoint(
    router, "POST", f"{DELIVERIES}/recovery-executive-report/schedule-runs/{{run_id}}/deliver", scope="live",
    answer=models.CavraRunDeliveryAnswer, summary="CAVRA's own path for the delivery of an executive report's run.",
)  # fmt: skip
def cavra_deliver_run(service: Served, caller: Asker, run_id: _Id, body: models.CavraRunDeliveryBody) -> Answer:
    """Sends a stored run once to each connector. `latest` is the newest; if there is none, a new one is made."""
    return _deliver_stored(service, caller, run_id, body, RUNS)


# --- Retry workers -------------------------------------------------------------------------------------------------


def _declare_worker(lane: Lane, paths: CavraPaths) -> None:
    @endpoint(
        router, "POST", f"{DELIVERIES}/{paths.base}/{paths.worker}", scope="live", answer=models.CavraWorkerAnswer,
        summary=f"CAVRA's own path for a run of the retry worker of {lane.name}.", name=f"cavra_worker_{lane.name}",
    )  # fmt: skip
    def cavra_worker(service: Served, caller: Asker, body: models.CavraWorkerBody) -> Answer:
        """Selects retries; `execute` sends those that the lane's gate lets through. Dry and live runs are recorded."""
        schedule = body.schedule or models.CavraSchedule()
        request = WorkerRequest(
            lane=lane,
            policy=retry_policy(lane, body.retry_policy.model_dump(exclude_unset=True) if body.retry_policy else {}),
            is_live=body.is_live,
            max_retry_deliveries=body.max_retry_deliveries or DEFAULT_RETRY_DELIVERIES,
            generated_by=label_of(caller, body.generated_by),
            interval_minutes=schedule.interval_minutes,
            schedule_is_enabled=schedule.enabled is not False,
        )
        if body.is_live:
            if not paths.skips_without_connectors:
                _connectors(service.settings)
            _require_live(service.settings, lane)
        with service.sending() as settings:
            sender = _open(service, settings, body)
            run = run_worker(settings, request, sender, clock=service.clock, run_id=uuid.uuid4().hex)
            with warehouse_of(settings).reading() as session:
                answer = worker_answer(session, lane, paths, run, at=service.clock())
        return json_answer({**answer, "actor": actor_of(caller)})


for _lane in LANES.values():
    if _lane.cavra:
        _declare_worker(_lane, _lane.cavra)
