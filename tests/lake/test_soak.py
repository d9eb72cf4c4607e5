"""Many hosts without a shared disk, killed, and their servers restarted: no record and no retry is lost or doubled.

Half a minute and a few hosts by default. CAVRA_TEST_SOAK_SECONDS=600 is the long one, with sixteen hosts.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa

from cavra_pipeline.settings import Settings
from tests.connectors.receiver import Received, Receiver, answer
from tests.lake.buckets import BucketServer
from tests.lake.homes import lake_url
from tests.lake.soak import Host, bring_evidence, read_reports, send_retries, subjects
from tests.support import PSEUDONYMS, query, take_in
from tests.worker.support import connectors_file

SECONDS: Final = int(os.environ.get("CAVRA_TEST_SOAK_SECONDS", "45"))
IS_LONG: Final = SECONDS >= 300
HOSTS: Final = (
    {bring_evidence: 8, send_retries: 4, read_reports: 4}
    if IS_LONG
    else dict.fromkeys((bring_evidence, send_retries, read_reports), 2)
)
KILL_EVERY: Final = 5
STORAGE_IS_AWAY_FOR: Final = 60 if IS_LONG else 5
SETTLES_WITHIN: Final = 900
_CONTEXT: Final = get_context("spawn")


class Slow(Receiver):
    """Takes its time, so that a kill may come before its answer."""

    def take(self, received: Received) -> Any:
        super().take(received)
        time.sleep(0.02)
        return answer(200)


class Fleet:
    """The processes, each started again when it was killed."""

    def __init__(self, folder: Path, shared: dict[str, Any], environ: dict[str, str]) -> None:
        self._folder, self.kills = folder, 0
        self.hosts = [
            (act, Host(folder / f"{act.__name__}-{number}", number, shared, environ, self._enough(act)))
            for act, count in HOSTS.items()
            for number in range(count)
        ]
        self._processes: list[SpawnProcess] = [self._started(number) for number in range(len(self.hosts))]

    def of(self, act: Callable[[Host], None]) -> list[Host]:
        return [host for one, host in self.hosts if one is act]

    def kill_one(self, which: int) -> None:
        self._processes[which].kill()
        self._processes[which].join(30)
        self.kills += 1
        self._processes[which] = self._started(which)

    def end(self, act: Callable[[Host], None]) -> list[int | None]:
        """Lets the hosts of a kind finish what they do; returns their exit codes."""
        self._enough(act).touch()
        ended = [process for process, (one, _) in zip(self._processes, self.hosts, strict=True) if one is act]
        for process in ended:
            process.join(300)
        return [process.exitcode for process in ended]

    def kill_all(self) -> None:
        for process in self._processes:
            process.kill()

    def _enough(self, act: Callable[[Host], None]) -> Path:
        return self._folder / f"enough-{act.__name__}"

    def _started(self, which: int) -> SpawnProcess:
        act, host = self.hosts[which]
        process = _CONTEXT.Process(target=act, args=(host,))
        process.start()
        return process


@contextmanager
def living(fleet: Fleet) -> Iterator[Fleet]:
    try:
        yield fleet
    finally:
        fleet.kill_all()


def torment(fleet: Fleet, server: BucketServer, restart: Callable[[], None]) -> None:
    """Kills a process every few seconds, restarts PostgreSQL twice, and takes the storage away once."""
    chance, began = random.Random(20260625), time.monotonic()
    events = [(SECONDS / 4, restart), (SECONDS / 2, server.stop), (SECONDS / 2 + STORAGE_IS_AWAY_FOR, server.start)]
    events.append((SECONDS * 3 / 4, restart))
    while (past := time.monotonic() - began) < SECONDS:
        while events and past >= min(events)[0]:
            at, act = min(events, key=lambda one: one[0])
            events.remove((at, act))
            act()
        time.sleep(KILL_EVERY)
        fleet.kill_one(chance.randrange(len(fleet.hosts)))
    for _, act in events:
        act()


@pytest.mark.timeout(SECONDS + 2 * SETTLES_WITHIN)
def test_many_hosts_lose_and_double_nothing_whatever_is_killed(
    tmp_path: Path, server: BucketServer, restart: tuple[sa.URL, Callable[[], None]]
) -> None:
    address, again = restart
    key = tmp_path / "shared.key"
    key.touch(0o600)
    key.write_bytes(PSEUDONYMS.key)
    server.put("landing/.bucket", b"")
    with Slow() as receiver:
        url = receiver.base_url + "/hook"
        shared: dict[str, Any] = {
            "state_address": address.render_as_string(hide_password=False),
            "warehouse_address": lake_url(address),
            "data_address": "s3://cavra/data",
            "landing_address": "s3://landing/zone",
            "pseudonym_key_file": key,
            "connectors_file": connectors_file(
                tmp_path / "connectors.yaml", webhook={"url": url, "signing_secrets_env": "SIGNING"}
            ),
            "live_lanes": frozenset({"executive_report"}),
            "immediate_tries": 1,
            "threads": 1,
            "busy_wait_seconds": 60.0,
        }
        home = Settings(home=tmp_path / "home", **shared).prepare()
        take_in(home, now=datetime.now(UTC))
        with living(Fleet(tmp_path, shared, server.environ)) as fleet:
            torment(fleet, server, again)
            deadline = time.monotonic() + SETTLES_WITHIN
            # On a slow machine each may have been killed whatever it began.
            while not all(host.done for host in fleet.of(bring_evidence)) and time.monotonic() < deadline:
                time.sleep(1)
            codes = [*fleet.end(bring_evidence), *fleet.end(read_reports)]
            brought = {host.number: host.done for host in fleet.of(bring_evidence)}
            assert all(brought.values())
            wanted = {
                one for host, count in brought.items() for number in range(count) for one in subjects(host, number)
            }
            while not wanted <= sent_by_subject(receiver).keys():
                failed = [line for _, host in fleet.hosts for line in host.failures]
                assert not failed
                assert time.monotonic() < deadline
                time.sleep(1)
            codes += fleet.end(send_retries)
        requests = sent_by_subject(receiver)

    readings = sum(host.done for host in fleet.of(read_reports))
    again_sent = sum(map(len, requests.values())) - len(requests)
    waits = Counter(line.split(": ", 1)[-1][:60] for _, host in fleet.hosts for line in host.waits)
    print(  # noqa: T201 -- the figures, for whoever runs it with -s
        f"{SECONDS} s, {fleet.kills} kills: {sum(brought.values())} imports, {len(requests)} retries, {again_sent} "
        f"sent again under their id, {readings} readings; {sum(waits.values())} waits: {waits.most_common(6)}"
    )
    assert [line for _, host in fleet.hosts for line in host.failures] == []
    assert codes == [0] * len(codes)
    take_in(home, now=datetime.now(UTC))
    rows = query(home, "SELECT plan_id, run_id, session_id FROM deliveries WHERE starts_with(session_id, 'failed-')")
    held = Counter(str(session_id).removeprefix("failed-") for *_, session_id in rows)
    assert {one: count for one, count in held.items() if count != 1} == {}
    assert wanted - held.keys() == set()
    assert {subject: ids for subject, ids in requests.items() if len({*ids}) != 1} == {}
    assert again_sent <= fleet.kills + 4
    assert readings


def sent_by_subject(receiver: Receiver) -> dict[str, list[str | None]]:
    """The ids of the requests for each retry."""
    found = defaultdict(list)
    for request in receiver.requests("/hook"):
        found[json.loads(request.body)["data"]["subject"]].append(request.header("webhook-id"))
    return dict(found)
