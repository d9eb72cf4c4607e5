"""Two homes without a shared disk and one state database: each retry is sent once, whichever home's worker sends it."""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.connectors.receiver import Received, Receiver, answer
from tests.support import delivery, home_with, let_leases_expire, query, query_state, take_in
from tests.worker.processes import work_on_shared_state
from tests.worker.support import connectors_file

LANE: Final = "executive_report"
RETRIES: Final = 100
KILLS: Final = int(os.environ.get("CAVRA_TEST_KILLS", "4"))
SEED: Final = 20260625


class Slow(Receiver):
    """Takes its time, so that a kill may come before its answer."""

    def take(self, received: Received) -> Any:
        super().take(received)
        time.sleep(0.02)
        return answer(200)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_workers_of_two_homes_send_each_retry_once(tmp_path: Path, new_postgresql: Callable[[], str]) -> None:
    address, began = new_postgresql(), datetime.now(UTC) - timedelta(hours=2)
    failed = [
        delivery(began, lane=LANE, subject=f"run-{n}", failed=["webhook"], session_id=f"failed-{n}")
        for n in range(RETRIES)
    ]
    day = began.date().isoformat()
    homes = [home_with(tmp_path / name, {day: failed}, state_address=address) for name in ("one", "other")]
    context, rng, kills = get_context("forkserver"), random.Random(SEED), 0
    context.set_forkserver_preload(["tests.worker.processes"])

    with Slow() as receiver:
        for home in homes:
            take_in(home, now=datetime.now(UTC))
            url = receiver.base_url + "/hook"
            connectors_file(home.home / "connectors.yaml", webhook={"url": url, "signing_secrets_env": "SIGNING"})

        def start(number: int) -> ForkServerProcess:
            process = context.Process(target=work_on_shared_state, args=(homes[number].home, LANE, address))
            process.start()
            return process

        workers = [start(0), start(1)]
        try:
            while kills < KILLS and len(receiver.requests("/hook")) < RETRIES - 10:
                receiver.wait_for("/hook", len(receiver.requests("/hook")) + 1, seconds=20)
                time.sleep(rng.uniform(0, 0.2))
                which = rng.randrange(2)
                if workers[which].is_alive():
                    workers[which].kill()
                    kills += 1
                workers[which].join(30)
                let_leases_expire(homes[0], but=[f"{one.pid}-" for one in workers if one.is_alive()])
                workers[which] = start(which)
            for one in workers:
                one.join(300)
                assert one.exitcode == 0
        finally:
            for one in workers:
                one.kill()
        received = receiver.requests("/hook")

    ids, sent = defaultdict(set), Counter[str]()
    for request in received:
        subject = json.loads(request.body)["data"]["subject"]
        ids[subject].add(request.header("webhook-id"))
        sent[subject] += 1
    assert sent.keys() == {f"run-{n}" for n in range(RETRIES)}
    assert {subject: found for subject, found in ids.items() if len(found) != 1} == {}
    assert sum(sent.values()) - RETRIES <= kills
    assert Counter(query_state(homes[0], "SELECT state FROM send_intents")) == {("done",): RETRIES}
    made = [{name for (name,) in query(home, "SELECT execution_id FROM executions")} for home in homes]
    assert len(made[0] | made[1]) == RETRIES
    assert len(made[0] & made[1]) <= kills, "only where a kill fell before the settlement have both recorded it"
    print(f"{kills} kills: {len(received)} requests for {RETRIES} retries, by home {[len(one) for one in made]}")  # noqa: T201
