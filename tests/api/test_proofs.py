"""Bundles and checkpoints over HTTP: proven, the same as on the command line, and refused where there are none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.proof.publish import publish
from cavra_pipeline.reports.store import save_reports
from cavra_pipeline.state import state_of
from cavra_pipeline.verify.bundle import proven_report
from cavra_pipeline.verify.prove import prove_report
from tests.api.server import Served, served
from tests.support import AS_OF, NOW, at, delivery, drop, ingested, take_in
from tests.verify.bundles import fault_of

LANE = "recovery_escalation"
PATH = f"/api/v1/lanes/{LANE}"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = ingested(tmp_path_factory.mktemp("proofs"), [delivery(at(60), failed=["slack"])])
    list(save_reports(warehouse_of(home), state_of(home), "retry_plan", LANE, [AS_OF.date()], now=NOW))
    list(save_reports(warehouse_of(home), state_of(home), "dashboard", None, [AS_OF.date()], now=NOW))
    with served(home) as one:
        yield one


def test_a_report_that_is_asked_for_comes_with_its_proof(service: Served) -> None:
    with service.client() as client:
        asked = {"as_of": AS_OF.isoformat(), "max_retry_attempts": "7"}
        sent = client.get(f"{PATH}/plan/bundle", params=asked)
        health = client.get(f"{PATH}/health/bundle", params={"as_of": AS_OF.isoformat()})
    assert (sent.status_code, sent.headers["content-type"]) == (200, "application/zip"), sent.text
    made = prove_report(
        service.service.settings, "retry_plan", LANES[LANE], as_of=AS_OF, now=NOW, parameters={"max_retry_attempts": 7}
    )
    assert sent.content == made
    assert (fault_of(sent.content), fault_of(health.content)) == ("", "")
    assert sent.headers["cavra-report-sha256"] == proven_report(made)[1]


def test_a_saved_plan_has_a_bundle_and_a_dashboard_has_none(service: Served) -> None:
    with service.client() as client:
        saved = {one["report"]: one["report_id"] for one in client.get("/api/v1/history").json()["reports"]}
        sent = client.get(f"/api/v1/history/{saved['retry_plan']}/bundle")
        refused = client.get(f"/api/v1/history/{saved['dashboard']}/bundle")
        unknown = client.get("/api/v1/history/none/bundle")
    assert (sent.status_code, fault_of(sent.content)) == (200, "")
    assert proven_report(sent.content)[0] == saved["retry_plan"]
    assert (refused.status_code, unknown.status_code) == (404, 404)


def test_a_checkpoint_shows_whether_the_log_has_grown_out_of_an_older_one(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(at(60))])
    with served(home) as one, one.client() as client:
        old = client.get("/api/v1/checkpoints/latest").json()
        drop(home, [delivery(at(5))], name="more.jsonl")
        take_in(home)
        asked = {name: old[name] for name in ("origin", "size", "root")}
        grown = client.get("/api/v1/checkpoints/consistency", params=asked).json()
        other = client.get("/api/v1/checkpoints/consistency", params={**asked, "root": "0" * 64}).json()
        spoiled = client.get("/api/v1/checkpoints/consistency", params={**asked, "root": "0" * 63})
    assert (old["size"], old["against"]) == (1, None)
    assert grown["note"] == publish(home)[0].text
    assert (grown["against"]["is_consistent"], len(grown["against"]["proof"])) == (True, 1)
    assert (other["against"]["is_consistent"], other["against"]["proof"]) == (False, [])
    assert spoiled.status_code == 422
