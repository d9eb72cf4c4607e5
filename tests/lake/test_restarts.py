"""A process that reads a lake outlives the restarts of its catalog's server, whatever it was doing then."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import pytest
import sqlalchemy as sa

from tests.lake.homes import on_lake
from tests.lake.soak import LANE, Host, read_reports
from tests.support import DAY, NOW, delivery, take_in

RESTARTS: Final = 10
READERS: Final = 4
_CONTEXT: Final = get_context("spawn")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_restart_of_the_catalog_ends_a_process_or_costs_more_than_a_try_again(
    tmp_path: Path, restart: tuple[sa.URL, Callable[[], None]]
) -> None:
    address, again = restart
    home = on_lake(tmp_path, address, {DAY: [delivery(NOW, lane=LANE.name, failed=["slack"])]})
    take_in(home, now=datetime.now(UTC))
    shared = home.model_dump(include={"state_address", "warehouse_address", "data_address", "pseudonym_key_file"})
    enough = tmp_path / "enough"
    readers = [Host(tmp_path / f"reader-{number}", number, shared, {}, enough) for number in range(READERS)]
    processes = [_CONTEXT.Process(target=read_reports, args=(host,)) for host in readers]
    for process in processes:
        process.start()
    while not all(host.done for host in readers):
        time.sleep(0.5)

    for _ in range(RESTARTS):
        again()
        time.sleep(4)
    before = [host.done for host in readers]
    while not all(host.done > count for host, count in zip(readers, before, strict=True)):
        assert all(process.is_alive() for process in processes)
        time.sleep(0.5)
    enough.touch()
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0] * READERS
    assert [host.failures for host in readers] == [[]] * READERS
