"""A home moves to a lake and a state database of PostgreSQL, and back, with the same answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.moving import move
from cavra_pipeline.verify.home import verify_home
from tests.lake.homes import lake_url
from tests.support import NOW, acknowledgement, ask_health, ask_plan, at, delivery, ingested, plan, worker_run

LINES = [delivery(at(90), failed=["slack"]), acknowledgement(at(70)), plan(at(50)), worker_run(at(45))]


def test_a_home_moves_to_a_lake_and_back_with_the_same_answers(
    tmp_path: Path, new_postgresql: Callable[[], str]
) -> None:
    home = ingested(tmp_path, LINES)
    address, data = sa.make_url(new_postgresql()), tmp_path / "data"
    data.mkdir()
    shared = home.but(
        state_address=address.render_as_string(hide_password=False),
        warehouse_address=lake_url(address),
        data_address=str(data),
        pseudonym_key_file=home.pseudonym_key,
    )
    answers = ask_health(home), ask_plan(home)

    there = move(home, shared, now=NOW)

    assert (there.record_count, there.report_count) == (4, 14)
    assert (ask_health(shared), ask_plan(shared)) == answers
    assert ingest(shared, now=NOW).drops == []
    for name in ("state.db", "warehouse.duckdb"):
        (home.home / name).rename(home.home / f"{name}.before")

    assert move(shared, home, now=NOW).record_count == 4
    assert (ask_health(home), ask_plan(home)) == answers
    assert verify_home(home, now=NOW).differences == []
