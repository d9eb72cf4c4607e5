"""Hosts with networks, users and homes of their own, and no shared folder: one evidence, one worker, one answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import sqlalchemy as sa

from cavra_pipeline.lanes import LANES
from tests.connectors.certificates import Authority
from tests.connectors.receiver import Receiver, answer
from tests.lake.buckets import BucketServer
from tests.lake.networks import SERVERS, NetworkHost, Relay, bridge
from tests.support import PSEUDONYMS, delivery, text
from tests.worker.support import SIGNING, connectors_file

pytestmark = pytest.mark.slow
LANE = "executive_report"


@contextmanager
def hosts(count: int, new_postgresql: Callable[[], str]) -> Iterator[list[NetworkHost]]:
    """Hosts that share a PostgreSQL and an S3 server over the network, and whose variables name nothing else."""
    with bridge() as stack:
        # Other users may not search pytest's own folder.
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="cavra-hosts-", ignore_cleanup_errors=True)))
        folder.chmod(0o711)
        address = sa.make_url(new_postgresql())
        relay = Relay(Path(str(address.query["host"])) / ".s.PGSQL.5432")
        stack.callback(relay.close)
        bucket = BucketServer(folder, address=SERVERS)
        stack.callback(bucket.stop)
        bucket.start()
        bucket.put("landing/.bucket", b"")
        database = f"{SERVERS}:{relay.port}/{address.database}"
        shared = {
            "CAVRA_STATE_URL": f"postgresql://postgres@{database}",
            "CAVRA_WAREHOUSE_URL": f"ducklake:postgres://postgres@{database}",
            "CAVRA_DATA_URL": "s3://cavra/data",
            "CAVRA_LANDING_URL": "s3://landing/zone",
            "CAVRA_BUSY_WAIT_SECONDS": "60",
            **bucket.environ,
        }
        made = []
        for number in range(count):
            host = NetworkHost(number, folder, shared)
            stack.callback(host.stop)
            host.start()
            host.give(PSEUDONYMS.key, "pseudonym.key")
            made.append(host)
        yield made


@pytest.mark.timeout(900)
def test_hosts_that_share_two_servers_alone_have_one_evidence_and_send_each_retry_once(
    tmp_path: Path, new_postgresql: Callable[[], str]
) -> None:
    failed_at = datetime.now(UTC) - timedelta(hours=2)
    authority = Authority(tmp_path / "authority")
    tls = authority.certificate(f"IP:{SERVERS}")
    with hosts(3, new_postgresql) as (first, second, third), Receiver(tls, host=SERVERS) as receiver:
        url = receiver.script("/hook", answer(200))
        keys = {one: {"CAVRA_PSEUDONYM_KEY_FILE": str(one.home / "pseudonym.key")} for one in (first, second, third)}
        for number, host in enumerate((first, second)):
            source = host.give(
                text([delivery(failed_at, lane=LANE, subject=f"plan-{number}", failed=["webhook"])]), "e.jsonl"
            )
            done = host.run("import", str(source), **keys[host])
            assert (done.returncode, done.stderr) == (0, ""), done.stderr
        assert third.run("ingest", **keys[third]).returncode == 0
        at = datetime.now(UTC).isoformat()
        asked = ("retry-plan", "--lane", LANE, "--as-of", at, "--json")
        answers = [host.run(*asked, **keys[host]).stdout for host in (first, second, third)]
        plans = [json.loads(one) for one in answers]
        named = LANES[LANE].subject_field
        assert [sorted(one[named] for one in plan["retry_decisions"]) for plan in plans] == [["plan-0", "plan-1"]] * 3
        assert len({plan["retry_plan_id"] for plan in plans}) == 1

        webhook = {"url": url, "signing_secrets_env": "SIGNING", "ca_file": "authority.pem"}
        connectors = connectors_file(tmp_path / "connectors.yaml", webhook=webhook).read_bytes()
        said = []
        for host in (first, second):
            host.give(authority.own.pem.read_bytes(), "authority.pem")
            live = {"CAVRA_CONNECTORS": str(host.give(connectors, "connectors.yaml")), "CAVRA_LIVE_LANES": LANE,
                    "SIGNING": SIGNING, **keys[host]}  # fmt: skip
            done = host.run("worker", "--lane", LANE, "--live", **live)
            said.append(done.stdout + done.stderr)
            assert done.returncode == 0, said
        assert len(receiver.requests("/hook")) == 2, said

        third.plug(is_in=False)
        alone = third.run("status", **keys[third])
        assert alone.returncode != 0
        assert "can't be reached" in alone.stderr
        third.plug(is_in=True)
        assert third.run("verify", "--home", **keys[third]).returncode == 0
