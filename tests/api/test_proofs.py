"""Bundles and checkpoints over HTTP: proven, the same as on the command line, and refused where there are none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.proof.keys import new_key
from cavra_pipeline.proof.publish import publish
from cavra_pipeline.reports.store import save_reports
from cavra_pipeline.state import state_of
from cavra_pipeline.verify.bundle import proven_report
from cavra_pipeline.verify.check import judged
from cavra_pipeline.verify.lane_rules import lane_rules
from cavra_pipeline.verify.prove import prove_report
from tests.api.server import NoDagster, Served, served
from tests.support import AS_OF, MICROSECOND, NOW, at, delivery, drop, home_with, ingested, take_in
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


@pytest.mark.slow
def test_the_executive_report_comes_with_the_proof_of_its_numbers(service: Served) -> None:
    asked = {"as_of": AS_OF.isoformat(), "slo_minutes": "90"}
    with service.client() as client:
        sent = client.get("/api/v1/executive-report/bundle", params=asked)
        report = client.get("/api/v1/executive-report", params=asked).json()
        refused = client.get("/api/v1/executive-report/bundle", params={"slo_minutes": "0"})
    assert (sent.status_code, sent.headers["content-type"]) == (200, "application/zip"), sent.text
    assert fault_of(sent.content) == ""
    assert proven_report(sent.content)[0] == report["executive_report_id"]
    assert refused.status_code == 422


def test_a_saved_plan_has_a_bundle_and_a_dashboard_has_none(service: Served) -> None:
    with service.client() as client:
        saved = {one["report"]: one["report_id"] for one in client.get("/api/v1/history").json()["reports"]}
        sent = client.get(f"/api/v1/history/{saved['retry_plan']}/bundle")
        refused = client.get(f"/api/v1/history/{saved['dashboard']}/bundle")
        unknown = client.get("/api/v1/history/none/bundle")
    assert (sent.status_code, fault_of(sent.content)) == (200, "")
    assert proven_report(sent.content)[0] == saved["retry_plan"]
    assert (refused.status_code, unknown.status_code) == (404, 404)


@pytest.mark.slow
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


def test_what_a_report_can_be_proven_from_is_what_its_bundle_discloses(tmp_path: Path) -> None:
    key = tmp_path / "signing.pem"
    new_key(key)
    evidence = {
        "2026-06-24": [delivery(at(24 * 60), failed=["slack"])],
        "2026-06-25": [delivery(at(60)), delivery(AS_OF + MICROSECOND), delivery(at(5), lane="executive_report")],
        "2026-06-26": [delivery(at(-24 * 60))],
    }
    home = ingested(tmp_path, evidence, signing_key_file=key)
    asked = {"as_of": AS_OF.isoformat()}
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        basis = client.get(f"{PATH}/proof", params=asked).json()
        held, fault = judged(client.get(f"{PATH}/plan/bundle", params=asked).content, lane_rules())
        day_after = client.get(f"{PATH}/proof", params={"as_of": "2026-06-26T00:00:00+00:00"}).json()
        day_before = client.get(f"{PATH}/proof", params={"as_of": "2026-06-23T23:59:59+00:00"}).json()
        head = client.get("/api/v1/checkpoints/latest").json()
    said = dict(held)
    assert fault == ""
    # The rest of the day of the report is disclosed too, and the records of other lanes are not.
    assert (basis["record_count"], basis["day_count"]) == (3, 2)
    assert said["evidence"].startswith("3 records of 2 days")
    assert basis["checkpoint"] == {name: head[name] for name in ("origin", "size", "root")}
    assert said["signature"].startswith(f"by {basis['signed_by']},")
    assert basis["witnesses"] == []
    assert [(one["record_count"], one["day_count"]) for one in (day_after, day_before)] == [(4, 3), (0, 0)]


def test_an_unsigned_home_names_no_signer_and_an_empty_one_has_nothing_to_prove(
    service: Served, tmp_path: Path
) -> None:
    with service.client() as client:
        assert client.get(f"{PATH}/proof").json()["signed_by"] is None
        assert client.get("/api/v1/lanes/none/proof").status_code == 422
    with served(home_with(tmp_path), dagster=NoDagster()) as one, one.client() as client:
        answer = client.get(f"{PATH}/proof")
    assert (answer.status_code, answer.json()["detail"]) == (
        404,
        "Nothing was ingested yet, so there is no checkpoint.",
    )


@pytest.mark.slow
def test_an_outdated_saved_report_is_a_conflict_and_an_empty_home_has_no_checkpoint(tmp_path: Path) -> None:
    home = ingested(tmp_path / "outdated", [delivery(at(60), failed=["slack"])])
    list(save_reports(warehouse_of(home), state_of(home), "retry_plan", LANE, [AS_OF.date()], now=NOW))
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        (saved,) = client.get("/api/v1/history").json()["reports"]
        path = f"/api/v1/history/{saved['report_id']}/bundle"
        before = client.get(path)
        drop(home, [delivery(at(5), subject="late", failed=["slack"])], name="late.jsonl")
        take_in(home)
        after, declared = client.get(path), client.get("/openapi.json").json()["paths"]
    assert (before.status_code, after.status_code, after.json()["title"]) == (200, 409, "It can't be done now")
    assert "another report than the saved one" in after.json()["detail"]
    assert "409" in declared["/api/v1/history/{report_id}/bundle"]["get"]["responses"]

    with served(home_with(tmp_path / "empty"), dagster=NoDagster()) as one, one.client() as client:
        latest = client.get("/api/v1/checkpoints/latest")
        paths = (f"{PATH}/plan/bundle", f"{PATH}/health/bundle", "/api/v1/executive-report/bundle")
        bundles = [client.get(path) for path in paths]
    assert [one.status_code for one in bundles] == [404] * 3
    assert {one.json()["detail"] for one in bundles} == {
        "Nothing was ingested yet, so there is no commit log that proves a report. Ingest evidence first."
    }
    assert all("404" in declared[path]["get"]["responses"] for path in ("/api/v1/lanes/{lane}/plan/bundle", paths[2]))
    assert (latest.status_code, latest.json()["detail"]) == (
        404,
        "Nothing was ingested yet, so there is no checkpoint.",
    )
    assert "404" in declared["/api/v1/checkpoints/latest"]["get"]["responses"]


def test_few_proofs_are_made_at_once_and_none_keeps_readers_waiting(
    service: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    def held(*given: Any, opened: Any, **named: Any) -> bytes:
        begun.release()
        assert go_on.wait(30)
        return prove_report(*given, opened=opened, **named)

    monkeypatch.setattr("cavra_pipeline.api.proofs.prove_report", held)
    asked = {"as_of": AS_OF.isoformat()}
    with service.client() as client, ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(client.get, f"{PATH}/plan/bundle", params=asked) for _ in range(2)]
        assert all(begun.acquire(timeout=30) for _ in waiting)
        refused, read = client.get(f"{PATH}/health/bundle", params=asked), client.get(f"{PATH}/health", params=asked)
        go_on.set()
        made = [one.result() for one in waiting]
        again = client.get(f"{PATH}/health/bundle", params=asked)
    assert (refused.status_code, refused.headers["retry-after"], read.status_code) == (503, "15", 200)
    assert [one.status_code for one in (*made, again)] == [200] * 3


def test_a_bundle_is_made_where_a_writer_holds_the_warehouse(service: Served) -> None:
    settings = service.service.settings
    with warehouse_of(settings).writing("hold it"), service.client() as client:
        sent = client.get(f"{PATH}/plan/bundle", params={"as_of": AS_OF.isoformat()})
    assert (sent.status_code, fault_of(sent.content)) == (200, "")
