"""Endpoints on proofs: bundles of reports, the newest checkpoint, consistency with older ones (docs/proof.md)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import Path, Query
from fastapi.routing import APIRouter
from starlette.responses import Response

from cavra_pipeline.api import models, report_answers
from cavra_pipeline.api.common import Served, endpoint
from cavra_pipeline.api.executive import arguments_of
from cavra_pipeline.api.problems import HttpProblem
from cavra_pipeline.api.service import Answer, Service, json_answer
from cavra_pipeline.documents import instant
from cavra_pipeline.lanes import lane_named
from cavra_pipeline.proof.basis import basis_of
from cavra_pipeline.proof.checkpoint import Checkpoint
from cavra_pipeline.proof.publish import EmptyLog, checkpoint_document, publish, signer_of
from cavra_pipeline.reports.store import REQUESTED_AS, RETRY_HEALTH, RETRY_PLAN, SavedReports, list_reports
from cavra_pipeline.state import state_of
from cavra_pipeline.verify.bundle import proven_report
from cavra_pipeline.verify.posting import witnesses_of
from cavra_pipeline.verify.prove import OutdatedReport, prove_document, prove_report
from cavra_pipeline.verify.prove_executive import prove_executive_report
from cavra_pipeline.warehouse import Session

_REPORT_FIELDS: Final = set(models.ReportQuery.model_fields)
#: Reports that have a bundle, by what they may be saved as.
_PROVEN: Final = {
    saved_as: report for report in (RETRY_PLAN, RETRY_HEALTH) for saved_as in (report, REQUESTED_AS[report])
}
_NOTHING: Final = "Nothing was ingested yet, so there is no checkpoint."

router = APIRouter(tags=["proofs"])


@endpoint(router, "GET", "/api/v1/lanes/{lane}/plan/bundle", scope="read", answer=None)
def plan_bundle(service: Served, lane: models.LaneName, query: Annotated[models.PlanQuery, Query()]) -> Response:
    """Returns a retry plan and its proof as a bundle; saves nothing."""
    return _report_bundle(service, RETRY_PLAN, lane, query)


@endpoint(router, "GET", "/api/v1/lanes/{lane}/health/bundle", scope="read", answer=None)
def health_bundle(service: Served, lane: models.LaneName, query: Annotated[models.HealthQuery, Query()]) -> Response:
    """Returns a health report and its proof as a bundle; saves nothing."""
    return _report_bundle(service, RETRY_HEALTH, lane, query)


@endpoint(router, "GET", "/api/v1/lanes/{lane}/proof", scope="read", answer=report_answers.BasisAnswer)
def proof_basis(service: Served, lane: models.LaneName, query: Annotated[models.MomentQuery, Query()]) -> Answer:
    """Returns what a proof of the lane is based on: records, days, checkpoint, signer and witnesses."""
    _, as_of = service.instants(query.as_of)

    def make(connection: sa.Connection) -> dict[str, Any]:
        basis = basis_of(connection, service.settings, as_of, lane=lane)
        if basis is None:
            raise HttpProblem(404, _NOTHING)
        head = basis.checkpoint
        return {
            "lane": lane,
            "as_of": instant(as_of),
            "record_count": basis.record_count,
            "day_count": basis.day_count,
            "checkpoint": {"origin": head.origin, "size": head.size, "root": head.root.hex()},
            "signed_by": signer_of(service.settings, head),
            "witnesses": [
                {"provider": witness.provider, "size": witness.size, "posted_at": instant(witness.posted_at)}
                for witness in witnesses_of(connection, head.origin)
            ],
        }

    return service.ask_state(("proof", lane, query.as_of), make)


@endpoint(router, "GET", "/api/v1/executive-report/bundle", scope="read", answer=None)
def executive_bundle(service: Served, query: Annotated[models.RecoveriesQuery, Query()]) -> Response:
    """Returns the executive report and the proof of its numbers as a bundle; saves nothing."""
    now, as_of = service.instants(query.as_of)
    arguments = arguments_of(service, query)
    # The label of who asked is not in the bundle.
    arguments.pop("generated_by")
    with _proving(service) as opened:
        return _bundle(prove_executive_report(service.settings, as_of=as_of, now=now, opened=opened, **arguments))


@endpoint(router, "GET", "/api/v1/history/{report_id}/bundle", scope="read", answer=None)
def saved_bundle(service: Served, report_id: Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,128}$")]) -> Response:
    """Returns a saved plan or health report and its proof as a bundle."""
    which = SavedReports(report_id=report_id)
    saved = list_reports(state_of(service.settings), which, limit=1, with_documents=True)
    if not saved:
        raise HttpProblem(404, "No report of that id is saved.")
    if saved[0]["report"] not in _PROVEN:
        raise HttpProblem(404, "Only retry plans and health reports have a bundle.")
    lane = lane_named(saved[0]["lane"])
    try:
        with _proving(service) as opened:
            return _bundle(prove_document(service.settings, saved[0]["document"], lane, opened=opened))
    except OutdatedReport:
        raise HttpProblem(
            409, "The evidence of now makes another report than the saved one. Save it again, or ask for a new one."
        ) from None


def _report_bundle(service: Service, report: str, lane: str, query: models.ReportQuery) -> Response:
    now, as_of = service.instants(query.as_of)
    parameters = query.model_dump(exclude_unset=True, exclude=_REPORT_FIELDS)
    of_lane = lane_named(lane)
    with _proving(service) as opened:
        return _bundle(
            prove_report(service.settings, report, of_lane, as_of=as_of, now=now, parameters=parameters, opened=opened)
        )


@contextmanager
def _proving(service: Service) -> Iterator[AbstractContextManager[Session]]:
    """As ``Service.proving``; a home into which nothing was ever ingested has nothing that proves a report."""
    try:
        with service.proving() as opened:
            yield opened
    except EmptyLog:
        raise HttpProblem(
            404, "Nothing was ingested yet, so there is no commit log that proves a report. Ingest evidence first."
        ) from None


def _bundle(bundle: bytes) -> Response:
    report_id, digest = proven_report(bundle)
    headers = {"Content-Disposition": f'attachment; filename="{report_id}.zip"', "Cavra-Report-Sha256": digest}
    return Response(bundle, headers=headers, media_type="application/zip")


@endpoint(router, "GET", "/api/v1/checkpoints/latest", scope="read", answer=report_answers.CheckpointAnswer)
def latest_checkpoint(service: Served) -> Answer:
    """Returns the newest checkpoint of the commit log, signed if the home has a key."""
    return json_answer(_checkpoint(service, None))


@endpoint(router, "GET", "/api/v1/checkpoints/consistency", scope="read", answer=report_answers.CheckpointAnswer)
def checkpoint_consistency(service: Served, query: Annotated[models.CheckpointQuery, Query()]) -> Answer:
    """Returns whether the commit log extends an older checkpoint, with the consistency proof of RFC 6962."""
    return json_answer(_checkpoint(service, Checkpoint(query.origin, query.size, bytes.fromhex(query.root))))


def _checkpoint(service: Service, against: Checkpoint | None) -> dict[str, Any]:
    try:
        return checkpoint_document(*publish(service.settings, against))
    except EmptyLog:
        raise HttpProblem(404, _NOTHING) from None
