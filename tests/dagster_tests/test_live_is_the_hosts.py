"""A real web server and daemon: what a page launches, and what it can't.

No page, run configuration or tag makes a run live; the host's setting alone does. Only its job runs a worker.
"""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import dagster as dg
import pytest

from cavra_pipeline.lanes import LANES
from cavra_pipeline.settings import Settings
from tests.connectors.receiver import Receiver, answer
from tests.dagster_tests.runs import EVIDENCE, REPORTS, key, op
from tests.dagster_tests.test_daemon import LOCATION, LOCATIONS, RUNS, ask, dagster_dev, free_port, wait_for
from tests.support import delivery, home_with, query
from tests.worker.support import SIGNING, connectors_file

pytestmark = pytest.mark.slow

#: The host names the second of these lanes live, not the first.
DRY, LIVE = "executive_report", "recovery_health_alert"
LAUNCH: Final = """mutation { launchRun(executionParams: {
  selector: {repositoryName: "__repository__", repositoryLocationName: "%s", pipelineName: "%s",
             assetSelection: %s},
  runConfigData: %s, executionMetadata: {tags: [%s]}}) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
#: What the button "Materialize all" leaves out is what is not materializable.
ASSETS: Final = "{ assetNodes { assetKey { path } isMaterializable isPartitioned } }"
BACKFILL: Final = """mutation { launchPartitionBackfill(backfillParams: {
  assetSelection: %s, partitionNames: ["%s"], fromFailure: false, tags: []}) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
STATUS: Final = "{ runOrError(runId: %s) { ... on Run { status tags { key value } } } }"
TAGS: Final = ('{key: "live", value: "true"}', '{key: "dagster/schedule_name", value: "executive_delivery_retry"}')


def paths(assets: Iterable[str]) -> str:
    """Assets, as a mutation names them."""
    return "[" + ", ".join(f'{{path: ["cavra", "{one}"]}}' for one in assets) + "]"


@dataclass(frozen=True)
class Host:
    """A running Dagster on a home, and what its webhook received."""

    settings: Settings
    receiver: Receiver
    port: int
    log: Path

    def launch(
        self,
        asset: str | None,
        config: dict[str, Any],
        *,
        job: str = "__ASSET_JOB",
        with_get: bool = False,
        partition: str | None = None,
    ) -> str:
        """Launches a run as a page can; returns its id, or what GraphQL answers in place of a run."""
        tags = [*TAGS, f'{{key: "dagster/partition", value: "{partition}"}}'] if partition else TAGS
        selected = paths([asset]) if asset else "null"
        mutation = LAUNCH % (LOCATION, job, selected, json.dumps(json.dumps(config)), ", ".join(tags))
        address = f"http://127.0.0.1:{self.port}/graphql"
        if with_get:
            asked = urllib.parse.urlencode({"query": mutation})
            request = urllib.request.Request(f"{address}?{asked}")  # noqa: S310 -- loopback
        else:
            body, head = json.dumps({"query": mutation}).encode(), {"Content-Type": "application/json"}
            request = urllib.request.Request(address, data=body, headers=head)
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 -- loopback
            answered = json.load(response)["data"]["launchRun"]
        return str(answered["run"]["runId"] if "run" in answered else answered["__typename"])

    def tags_of(self, run_id: str) -> dict[str, str]:
        run = ask(self.port, STATUS % json.dumps(run_id))["runOrError"]
        return {one["key"]: one["value"] for one in run["tags"]}

    def status_of(self, run_id: str) -> str | None:
        """Returns how a run ended, or None as long as it has not."""
        run = (ask(self.port, STATUS % json.dumps(run_id)) or {}).get("runOrError", {})
        return str(run["status"]) if run.get("status") in ("SUCCESS", "FAILURE", "CANCELED") else None

    def ended(self, run_id: str) -> str:
        return str(wait_for("end of the run", lambda: self.status_of(run_id), seconds=240, log=self.log))

    def backfilled(self, assets: Iterable[str], day: str) -> set[str]:
        """Launches a backfill as a page does; returns how its runs ended."""
        started = ask(self.port, BACKFILL % (paths(assets), day))["launchPartitionBackfill"]
        assert started["__typename"] == "LaunchBackfillSuccess", started

        def statuses() -> set[str]:
            runs = ask(self.port, RUNS)["runsOrError"]["results"]
            mark = {"key": "dagster/backfill", "value": started["backfillId"]}
            found = {run["status"] for run in runs if mark in run["tags"]}
            return found if found <= {"SUCCESS", "FAILURE", "CANCELED"} else set()

        return set(wait_for("end of the backfill", statuses, seconds=180, log=self.log))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    failed_at = datetime.now(UTC) - timedelta(hours=2)
    lines = [delivery(failed_at, lane=lane, subject=f"of-{lane}", failed=["webhook"]) for lane in (DRY, LIVE)]
    settings = home_with(folder, {failed_at.date().isoformat(): lines}, is_new=True)
    port, log = free_port(), folder / "dagster.log"
    named = {
        "SIGNING": SIGNING,
        "CAVRA_CONNECTORS": str(folder / "connectors.yaml"),
        "CAVRA_LIVE_LANES": LIVE,
        "CAVRA_REPORT_CONNECTORS": "webhook",
        "CAVRA_ENVIRONMENT": "development",
    }
    with Receiver() as receiver, pytest.MonkeyPatch.context() as patched:
        url = receiver.script("/hook", answer(200))
        connectors_file(folder / "connectors.yaml", webhook={"url": url, "signing_secrets_env": "SIGNING"})
        for name, value in named.items():
            patched.setenv(name, value)
        patched.delenv("CAVRA_LIVE_RETRIES", raising=False)
        with dagster_dev(settings, port, log):
            wait_for("code location", lambda: ask(port, LOCATIONS), seconds=120, log=log)
            yield Host(settings, receiver, port, log)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("with_get", [True, False], ids=["GET", "POST"])
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"live": True},
        {"live": True, "max_retry_deliveries": 25, "retry_plan_id": "retry-plan-x"},
    ],
    ids=["none", "live", "all of the old"],
)
def test_a_run_that_a_page_launches_in_a_lane_that_the_host_does_not_name_is_dry_or_refused(
    host: Host, config: dict[str, Any], with_get: bool
) -> None:
    asset = f"{DRY}_retry_worker"
    run_config = {"ops": {op(asset): {"config": config}}} if config else {}

    launched = host.launch(asset, run_config, job=LANES[DRY].schedule, with_get=with_get)

    if config:
        assert launched == "RunConfigValidationInvalid" or host.ended(launched) in ("SUCCESS", "FAILURE")
    else:
        assert host.ended(launched) == "SUCCESS"
    sent = [json.loads(one.body)["data"]["subject"] for one in host.receiver.requests("/hook")]
    assert f"of-{DRY}" not in sent
    assert query(host.settings, f"SELECT count(*) FROM executions WHERE lane = '{DRY}'") == [(0,)]
    assert query(host.settings, f"SELECT count(*) FROM worker_runs WHERE lane = '{DRY}' AND NOT is_dry_run") == [(0,)]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("config", [{}, {"live": True, "providers": ["webhook"]}, {"slo_minutes": 1}])
def test_a_report_that_a_page_asks_for_goes_nowhere_while_its_lane_is_not_live(
    host: Host, config: dict[str, Any]
) -> None:
    asset = "executive_recovery_report"
    run_config = {"ops": {op(asset): {"config": config}}} if config else {}

    launched = host.launch(asset, run_config, with_get=True, partition=datetime.now(UTC).date().isoformat())

    if "live" in config:
        assert launched == "RunConfigValidationInvalid"
    else:
        assert host.ended(launched) == "SUCCESS"
    types = [json.loads(one.body)["type"] for one in host.receiver.requests("/hook")]
    assert "cavra.executive_report" not in types


@pytest.mark.timeout(600)
def test_a_run_in_a_lane_that_the_host_names_sends_what_the_schedule_would(host: Host) -> None:
    asset = f"{LIVE}_retry_worker"
    for _ in range(2):
        assert host.ended(host.launch(asset, {}, job=LANES[LIVE].schedule, with_get=True)) == "SUCCESS"

    sent = [json.loads(one.body)["data"]["subject"] for one in host.receiver.requests("/hook")]
    assert sent.count(f"of-{LIVE}") == 1


# --- What runs a worker, and on which day --------------------------------------------------------------------------


def worker_run_count(host: Host) -> int:
    [(count,)] = query(host.settings, "SELECT count(*) FROM worker_runs")
    return int(count)


@pytest.mark.timeout(600)
def test_materialize_all_makes_every_table_and_report_and_runs_no_worker(host: Host) -> None:
    before, today = worker_run_count(host), datetime.now(UTC).date().isoformat()
    nodes = ask(host.port, ASSETS)["assetNodes"]
    selected = {one["assetKey"]["path"][-1] for one in nodes if one["isMaterializable"]}
    assert selected == {*EVIDENCE, *REPORTS, "executive_recovery_report", "provider_incidents"}
    by_their_jobs = {*(f"{lane}_retry_worker" for lane in LANES), "verified_history"}
    assert by_their_jobs <= {one["assetKey"]["path"][-1] for one in nodes}

    assert host.backfilled(selected, today) == {"SUCCESS"}
    assert worker_run_count(host) == before


@pytest.mark.timeout(600)
def test_a_backfill_of_one_table_of_evidence_makes_that_one_alone(host: Host) -> None:
    day = (datetime.now(UTC) - timedelta(hours=2)).date().isoformat()

    assert host.backfilled(["deliveries"], day) == {"SUCCESS"}

    with dg.DagsterInstance.from_config(str(host.settings.dagster_home)) as instance:
        (run,) = (one for one in instance.get_runs() if one.asset_selection == {key("deliveries")})
        events = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    assert [one.dagster_event.asset_key for one in events if one.dagster_event] == [key("deliveries")]


@pytest.mark.timeout(600)
def test_a_worker_is_run_by_its_job_and_by_nothing_else(host: Host) -> None:
    worker, before = f"{DRY}_retry_worker", worker_run_count(host)

    assert host.launch(worker, {}) == "InvalidSubsetError"
    assert worker_run_count(host) == before

    launched = host.launch(worker, {}, job=LANES[DRY].schedule)
    assert host.ended(launched) == "SUCCESS"
    assert worker_run_count(host) == before + 1


@pytest.mark.timeout(600)
@pytest.mark.parametrize("job", ["daily_close", "executive_delivery_retry"])
def test_a_job_that_is_launched_without_a_partition_takes_today(host: Host, job: str) -> None:
    before = datetime.now(UTC).date().isoformat()
    launched = host.launch(None, {}, job=job)

    assert host.ended(launched) == "SUCCESS"
    assert before <= host.tags_of(launched)["dagster/partition"] <= datetime.now(UTC).date().isoformat()
