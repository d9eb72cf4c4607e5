"""Kill -9 of first deliveries: two processes at once over a real wire, and the command that is simply given again."""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Final

import pytest

from cavra_pipeline.lanes import LANES
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.state.leases import running_runs
from tests.connectors.receiver import Received, Receiver, answer
from tests.recoveries.stores import playbook
from tests.support import ask_plan, home_with, let_leases_expire, query, query_state, take_in
from tests.worker.processes import announce_until_enough, command
from tests.worker.support import connectors_file

KILLS: Final = int(os.environ.get("CAVRA_TEST_KILLS", "4"))
SEED: Final = 20260625
#: Seconds from one kill to the next, and from a request to the kill that follows it.
LONGEST_PAUSE: Final = 0.6
AROUND_A_SEND: Final = 0.2
PROVIDERS: Final = ["splunk", "webhook"]


class Slow(Receiver):
    """Takes its time, so that a kill may come before its answer."""

    def take(self, received: Received) -> Any:
        planned = super().take(received)
        time.sleep(0.03)
        return planned


def message_of(request: Received) -> tuple[str, str, str]:
    """What a request is about, through which connector it came, and its id."""
    body = json.loads(request.body)
    if "event" in body:
        return body["event"]["subject"], "splunk", body["fields"]["idempotency_id"]
    return body["data"]["subject"], "webhook", str(request.header("webhook-id"))


def ids_by_message(requests: Sequence[Received]) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for subject, provider, identity in map(message_of, requests):
        found[subject, provider].add(identity)
    return found


def home_of(tmp_path: Path, receiver: Receiver) -> Settings:
    """A home with an open recovery and two connectors that lead to the receiver."""
    opened_at = datetime.now(UTC) - timedelta(hours=9)
    opened = playbook(opened_at, "jira")
    home = home_with(tmp_path, {opened_at.date().isoformat(): [opened]})
    take_in(home, now=datetime.now(UTC))
    connectors_file(
        home.home / "connectors.yaml",
        webhook={"url": f"{receiver.script('/hook', answer(200))}", "signing_secrets_env": "SIGNING"},
        splunk={"url": receiver.script("/hec", answer(200, '{"text":"Success","code":0}')), "token_env": "SIGNING"},
    )
    return home


def runs_of(home: Settings) -> set[str]:
    """The runs that are running or were killed."""
    return {run_id for (run_id,) in query_state(home, "SELECT run_id FROM leases")}


@contextmanager
def processes(count: int, start: Callable[[], ForkServerProcess]) -> Iterator[list[ForkServerProcess]]:
    made = [start() for _ in range(count)]
    try:
        yield made
    finally:
        for one in made:
            one.kill()
            one.join(30)


@pytest.mark.slow
@pytest.mark.timeout(600 + 20 * KILLS)
def test_killed_at_any_moment_two_processes_send_every_plan_and_report_once_under_one_id(tmp_path: Path) -> None:
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.worker.processes"])
    rng, kills = random.Random(SEED), 0
    newest = datetime.now(UTC).isoformat()
    with Slow() as receiver:
        home = home_of(tmp_path, receiver)

        def start() -> ForkServerProcess:
            one = context.Process(target=announce_until_enough, args=(home.home, newest, PROVIDERS))
            one.start()
            return one

        with processes(2, start) as running:
            while kills < KILLS:
                # A kill of a process that only starts shows nothing: each follows a send, or a run that began.
                count, begun = len(receiver.requests()), runs_of(home)
                ends_at = time.monotonic() + 60
                while time.monotonic() < ends_at:
                    if len(receiver.requests()) > count or (kills % 2 and runs_of(home) - begun):
                        break
                    time.sleep(0.005)
                time.sleep(rng.uniform(0, LONGEST_PAUSE if kills % 2 else AROUND_A_SEND))
                which = rng.randrange(2)
                if running[which].is_alive():
                    running[which].kill()
                    kills += 1
                running[which].join(30)
                let_leases_expire(home, but=[f"{one.pid}-" for one in running if one.is_alive()])
                running[which] = start()
            (home.home / "enough").touch()
            for one in running:
                one.join(600)
                assert one.exitcode == 0
        requests = receiver.requests()

    found = ids_by_message(requests)
    assert len(found) == len(list(home.home.glob("begun-*"))) * 2 * len(PROVIDERS)
    assert {message: ids for message, ids in found.items() if len(ids) != 1} == {}
    assert len({identity for ids in found.values() for identity in ids}) == len(found)
    repeated = len(requests) - len(found)
    assert repeated <= KILLS
    assert query_state(home, "SELECT DISTINCT state FROM send_intents") == [("done",)]
    assert query(home, "SELECT count(*), bool_and(delivery_success) FROM deliveries") == [(len(found), True)]
    claims = query_state(home, "SELECT sum(claim_count) - count(*) FROM send_intents")[0][0]
    for lane in LANES:
        assert ask_plan(home, lane, datetime.now(UTC))["retry_decisions"] == []
    print(f"{KILLS} kills: {len(found)} first deliveries, {len(requests)} requests, {claims} taken over")  # noqa: T201


@pytest.mark.slow
@pytest.mark.timeout(600 + 20 * KILLS)
@pytest.mark.parametrize("arguments", [("escalate",), ("executive-report", "--output=json")], ids=lambda one: one[0])
def test_a_killed_command_that_is_given_again_sends_nothing_under_another_id(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.worker.processes"])
    rng, killed, repeated = random.Random(SEED), 0, 0
    named = [*arguments, "--live", *(f"--provider={one}" for one in PROVIDERS)]
    with Slow() as receiver:
        home = home_of(tmp_path, receiver)
        for _ in range(KILLS):
            known = len(receiver.requests())
            first = context.Process(target=command, args=(home.home, *named))
            first.start()
            while len(receiver.requests()) == known and first.is_alive():
                time.sleep(0.002)
            time.sleep(rng.uniform(0, AROUND_A_SEND))
            first.kill()
            first.join(30)
            let_leases_expire(home)
            again = context.Process(target=command, args=(home.home, *named))
            if first.exitcode != 0:
                again.start()
                again.join(120)
                assert again.exitcode == 0
            came = receiver.requests()[known:]
            found = ids_by_message(came)
            assert len(found) == len(PROVIDERS), "a repeated command sends no other plan or report"
            assert {message: ids for message, ids in found.items() if len(ids) != 1} == {}
            killed, repeated = killed + (first.exitcode != 0), repeated + len(came) - len(found)
    assert Counter(query_state(home, "SELECT state FROM send_intents")) == {("done",): KILLS * len(PROVIDERS)}
    # A command that was killed after its last step leaves its lease, expired.
    with state_of(home).reading() as connection:
        assert running_runs(connection) == frozenset()
    print(f"{killed} of {KILLS} killed before their end, {repeated} requests a second time")  # noqa: T201
