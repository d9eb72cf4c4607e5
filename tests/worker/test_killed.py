"""Kill -9 at random moments of live runs, two workers at a time, over a real wire."""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Final

import pytest

from tests.connectors.receiver import Answer, Received, Receiver, answer
from tests.support import ask_health, ask_plan, delivery, home_with, let_leases_expire, query, query_state, take_in
from tests.worker.processes import POLICY, work_until_nothing_is_due
from tests.worker.support import connectors_file

LANE: Final = "executive_report"
KILLS: Final = int(os.environ.get("CAVRA_TEST_KILLS", "4"))
SEED: Final = 20260625
#: Seconds from one kill to the next, and from a request to the kill that follows it.
LONGEST_PAUSE: Final = 0.6
AROUND_A_SEND: Final = 0.2


def failure_in(received: Received) -> str:
    """Which failed delivery a message answers."""
    return str(json.loads(received.body)["data"]["facts"]["latest_delivery"])


class Unwell(Receiver):
    """Answers 503 to the first retry of every fifth delivery, and takes its time with all."""

    def take(self, received: Received) -> Answer:
        super().take(received)
        time.sleep(0.03)
        failure = failure_in(received)
        is_first = failure.startswith("failed-")
        return answer(503 if is_first and int(failure.removeprefix("failed-")) % 5 == 0 else 200)


@contextmanager
def two_workers(home: Path) -> Iterator[list[ForkServerProcess]]:
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.worker.processes"])
    workers = [context.Process(target=work_until_nothing_is_due, args=(home, LANE)) for _ in range(2)]
    try:
        for worker in workers:
            worker.start()
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            worker.join(30)


@pytest.mark.slow
@pytest.mark.timeout(600 + 20 * KILLS)
def test_killed_at_any_moment_nothing_is_lost_and_nothing_known_is_sent_twice(tmp_path: Path) -> None:
    began = datetime.now(UTC) - timedelta(hours=2)
    count = 40 + 2 * KILLS
    home = home_with(
        tmp_path,
        {
            began.date().isoformat(): [
                delivery(began, lane=LANE, subject=f"run-{n}", failed=["webhook"], session_id=f"failed-{n}")
                for n in range(count)
            ]
        },
    )
    take_in(home, now=datetime.now(UTC))
    rng = random.Random(SEED)
    kills = 0
    context = get_context("forkserver")
    with Unwell() as receiver:
        connectors_file(
            home.home / "connectors.yaml",
            webhook={"url": receiver.base_url + "/hook", "signing_secrets_env": "SIGNING"},
        )
        with two_workers(home.home) as workers:
            while kills < KILLS:
                if kills % 2:  # anywhere in a run, or around a send
                    time.sleep(rng.uniform(0, LONGEST_PAUSE))
                else:
                    receiver.wait_for("/hook", len(receiver.requests("/hook")) + 1, seconds=5)
                    time.sleep(rng.uniform(0, AROUND_A_SEND))
                which = rng.randrange(2)
                if workers[which].is_alive():
                    workers[which].kill()
                    kills += 1
                elif ask_plan(home, LANE, datetime.now(UTC), **POLICY)["retryable_count"] == 0:
                    break
                workers[which].join(30)
                query(home, "SELECT count(*) FROM evidence")  # the home opens, whatever the kill left
                let_leases_expire(home, but=[f"{one.pid}-" for one in workers if one.is_alive()])
                workers[which] = context.Process(target=work_until_nothing_is_due, args=(home.home, LANE))
                workers[which].start()
            sent_by_the_killed = len(receiver.requests("/hook"))
            for one in workers:
                one.join(300 + 5 * KILLS)
                assert one.exitcode == 0
        received = receiver.requests("/hook")
    assert kills == KILLS, "there was nothing left to do before all kills were made"

    sent = Counter(map(failure_in, received))
    claims = dict(query_state(home, "SELECT answers, claim_count FROM send_intents"))
    second = {f"failed-{n}" for n in range(0, count, 5)}
    assert {failure for failure in sent if failure.startswith("failed-")} == {f"failed-{n}" for n in range(count)}
    assert len(sent) == count + len(second)
    assert set(claims) == set(sent)
    assert {failure: n for failure, n in sent.items() if n > claims[failure]} == {}
    assert sum(n - 1 for n in sent.values()) <= KILLS

    ids: dict[str, set[str | None]] = defaultdict(set)
    for request in received:
        ids[json.loads(request.body)["data"]["subject"]].add(request.header("webhook-id"))
    assert {subject: found for subject, found in ids.items() if len(found) != 1} == {}
    assert len({request.header("webhook-id") for request in received}) == count

    now = datetime.now(UTC)
    health = ask_health(home, LANE, as_of=now)
    assert ask_plan(home, LANE, now, **POLICY)["retry_decisions"] == []
    assert query(home, "SELECT count(*), count(DISTINCT execution_id) FROM executions") == [(len(sent), len(sent))]
    assert query_state(home, "SELECT DISTINCT state FROM send_intents") == [("done",)]
    assert health["execution_record_count"] == len(sent)
    assert (health["delivered_execution_count"], health["failed_execution_count"]) == (count, len(second))
    assert (health["unresolved_delivery_count"], health["unresolved_failed_execution_count"]) == (0, 0)
    print(  # noqa: T201 -- the figures, for whoever runs it with -s
        f"{KILLS} kills: {count} deliveries, {len(sent)} retries, {len(received)} requests, "
        f"{sent_by_the_killed} of them before the last kill, {sum(claims.values()) - len(claims)} claims taken over"
    )
