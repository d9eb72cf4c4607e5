"""A home of commit 9f612fc, moved by one command, answers as that commit answered."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest
import sqlalchemy as sa
from backports import zstd

from cavra_pipeline import upgrade as upgrade_module
from cavra_pipeline.alerts.operators import alert_history, list_alerts
from cavra_pipeline.alerts.store import Event, save
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.dashboard import dashboards
from cavra_pipeline.reports.health import health_parameters, retry_health_reports
from cavra_pipeline.reports.plan import retry_plans
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.settings import Settings
from cavra_pipeline.slots.ledger import slots_between
from cavra_pipeline.state import state_of
from cavra_pipeline.state import tables as t
from cavra_pipeline.upgrade import Upgraded, upgrade
from tests.cli.command import command
from tests.support import query, query_state
from tests.worker.support import Clock, Crash, Provider, worker

pytestmark = pytest.mark.slow

ARCHIVE: Final = Path(__file__).with_name("home-9f612fc.tar.zst")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(fileobj=io.BytesIO(zstd.decompress(ARCHIVE.read_bytes()))) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def home(unpacked: Path, tmp_path: Path) -> Settings:
    shutil.copytree(unpacked, tmp_path / "home")
    return Settings(home=tmp_path / "home", threads=1, live_lanes=frozenset(LANES)).prepare()


@pytest.fixture
def answers(unpacked: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((unpacked / "answers.json").read_text(encoding="utf-8"))
    return found


#: What a release may say in other words, and ids that follow from the words.
WORDS = frozenset({"alerts", "recommended_actions", "health_id", "dashboard_id", "generated_at"})


def figures(answer: dict[str, Any], old: dict[str, Any] | None = None) -> dict[str, Any]:
    """What an answer counts and names, of what the old one had; later releases count more."""
    found = {name: value for name, value in answer.items() if name in (old or answer) and name not in WORDS}
    return {**found, "categories": [alert["category"] for alert in answer.get("alerts", ())]}


def same(document: Any) -> Any:
    """A document as JSON has it, without when it was made."""
    return {
        name: value for name, value in json.loads(json.dumps(document, default=str)).items() if name != "generated_at"
    }


def test_the_command_moves_the_home_and_every_other_names_it_until_then(home: Settings) -> None:
    before = home.warehouse.read_bytes()
    refused = command(home.home, "dashboard")
    assert (refused.code, "cavra-pipeline upgrade" in refused.err) == (1, True)
    assert home.warehouse.read_bytes() == before

    done = command(home.home, "upgrade", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["landing_file_count"] == 31
    assert home.home.joinpath("warehouse.duckdb.before-upgrade").read_bytes() == before
    assert command(home.home, "dashboard").code == 0
    again = command(home.home, "upgrade")
    assert (again.code, "nothing to upgrade" in again.out) == (0, True)


def test_state_and_answers_are_those_of_the_old_release(home: Settings, answers: dict[str, Any]) -> None:
    now = datetime.fromisoformat(answers["now"])
    upgrade(home)

    with state_of(home).reading() as c:
        alerts = {one["alert_id"]: one for one in list_alerts(c, home, now=now)["alerts"]}
        history = alert_history(c)
        slots = slots_between(c, after=now - timedelta(days=3), until=now + timedelta(days=1))
        reports = c.execute(sa.select(t.saved_reports)).mappings().all()
    for old in answers["alerts"]:
        if old["state"] == "acknowledged" and old["kind"] == "secret_finding":
            assert old["alert_id"] not in alerts, "acknowledging a leak ends its alert now"
        else:
            assert {name: alerts[old["alert_id"]][name] for name in old} == old
    assert [{name: one[name] for name in answers["history"][0]} for one in history] == answers["history"]
    assert query_state(home, "SELECT silence_id FROM alert_silences") == [(answers["silences"][0]["silence_id"],)]
    assert [(one["expected_at"].isoformat(), one["verdict"], one["cause"]) for one in slots] == [
        (f"{one['expected_at'].replace(' ', 'T')}", one["verdict"], one["cause"]) for one in answers["slots"]
    ]
    saved = sorted(
        (one["report"], one["lane"], str(one["report_day"]), one["report_id"],
         hashlib.sha256(zstd.decompress(one["document"])).hexdigest())
        for one in reports
    )  # fmt: skip
    assert saved == sorted((one[0], one[1] or "", *one[2:]) for one in answers["reports"])

    with warehouse_of(home).reading() as session:
        asked: dict[str, Any] = {"instants": [now], "now": now}
        for name, lane in ((name, LANES[name]) for name in answers["plans"]):
            (plan,) = retry_plans(session, lane, retry_policy(lane, {}), **asked, generated_by="x")
            (health,) = retry_health_reports(session, lane, health_parameters(lane), **asked, generated_by="x")
            for one in (*plan["retry_decisions"], *health["acknowledgement_gaps"]):
                # Later releases name the incident beside each.
                del one["provider_incident_id"]
            assert same(plan) == answers["plans"][name]
            assert figures(health, answers["health"][name]) == figures(answers["health"][name])
        (counts,) = dashboards(session, **asked)
    old_lanes = answers["dashboard"].pop("lanes")
    assert figures(counts, answers["dashboard"]) == figures(answers["dashboard"])
    for name, old in old_lanes.items():
        assert figures(counts["lanes"][name], old) == figures(old)
    totals = query(home, "SELECT * FROM drop_totals")
    assert sorted([str(value) for value in row] for row in totals) == sorted(answers["totals"])


def test_what_the_old_release_meant_to_send_goes_on_under_its_ids(home: Settings, answers: dict[str, Any]) -> None:
    upgrade(home)

    states = {"pending": "pending", "sent": "done", "failed": "refused"}
    assert query_state(
        home, "SELECT intent_id, provider, state FROM send_intents WHERE purpose = 'notice' ORDER BY 1"
    ) == [(notice_id, provider, states[state]) for notice_id, provider, state in answers["notices"]]
    provider = Provider(Clock(datetime.fromisoformat(answers["now"]) + timedelta(minutes=1)))
    worker(home, provider, lane="executive_report", policy={"max_retry_attempts": 100}, max_retry_deliveries=25)
    open_one, refused = answers["decisions"]
    ids = {str(message.facts["latest_delivery"]): message.idempotency_id for _, message in provider.sent}
    assert ids[open_one["latest_delivery_id"]] == "cavra_old_0"
    assert refused["latest_delivery_id"] not in ids


@pytest.mark.parametrize(
    ("later", "is_handled"),
    [
        ("SELECT 1", True),
        ("INSERT INTO alerts BY NAME SELECT * REPLACE ('later' AS alert_id, 'firing' AS state, episode + 1 AS episode, "
         "NULL AS acknowledged_at) FROM alerts WHERE kind = 'secret_finding'", False),
        ("UPDATE drops SET ingested_at = TIMESTAMP '2100-01-01'", False),
    ],
    ids=["nothing", "a newer alert", "a file that was read later"],
)  # fmt: skip
def test_leaks_are_handled_only_if_nothing_came_after_the_acknowledgement(
    home: Settings, later: str, is_handled: bool
) -> None:
    with duckdb.connect(str(home.warehouse)) as old:
        ((day,),) = old.execute("SELECT min(drop_day) FROM findings").fetchall()
        old.execute("UPDATE alerts SET subject = ? WHERE kind = 'secret_finding'", [str(day)])
        old.execute(later)

    upgrade(home)

    found = query_state(home, f"SELECT handled_at IS NOT NULL FROM leaks WHERE drop_day = '{day}'")
    assert found
    assert {bool(handled) for (handled,) in found} == {is_handled}


@pytest.mark.parametrize("step", ["database_now", "_UpgradeKeeper", "fill"])
def test_an_upgrade_that_is_killed_at_a_step_goes_on_when_it_is_given_again(
    home: Settings, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise Crash

    before = home.warehouse.read_bytes()
    with monkeypatch.context() as patched:
        target = upgrade_module._UpgradeKeeper if step == "fill" else upgrade_module
        patched.setattr(target, step, crash)
        with pytest.raises(Crash):
            upgrade(home)
    assert home.warehouse.read_bytes() == before

    upgrade(home)
    assert query_state(home, "SELECT count(*) FROM saved_reports") == [(135,)]
    assert query_state(home, "SELECT count(*) FROM prunings") == [(1,)]
    assert query(home, "SELECT count(*) FROM drops") == [(31,)]


def test_landing_files_that_are_gone_stop_it_and_nothing_is_changed(home: Settings) -> None:
    newest = max(home.landing.iterdir())
    shutil.rmtree(newest)
    before = home.warehouse.read_bytes()

    with pytest.raises(PipelineError, match="can't be read any more") as raised:
        upgrade(home)
    assert newest.name in raised.value.what
    assert home.warehouse.read_bytes() == before
    upgrade(home, without_missing=True)
    assert query(home, f"SELECT count(*) FROM drops WHERE drop_day = '{newest.name}'") == [(0,)]


def test_a_home_without_a_warehouse_and_one_of_this_release_have_nothing_to_upgrade(tmp_path: Path) -> None:
    home = Settings(home=tmp_path / "home").prepare()
    assert upgrade(home) == Upgraded()
    query(home, "SELECT 1")
    before = home.warehouse.read_bytes()
    assert upgrade(home) == Upgraded()
    assert home.warehouse.read_bytes() == before


def test_a_version_that_was_never_released_is_refused_and_left_alone(home: Settings) -> None:
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute("INSERT INTO schema_version VALUES (7, now()::TIMESTAMP)")
    before = home.warehouse.read_bytes()

    with pytest.raises(PipelineError, match="schema version 7, and only version 5") as raised:
        upgrade(home)
    assert "cavra-pipeline ingest" in raised.value.remedy
    assert home.warehouse.read_bytes() == before


def test_on_postgresql_events_go_on_after_those_that_were_moved(
    home: Settings, new_postgresql: Callable[[], str]
) -> None:
    home = home.but(state_address=new_postgresql())
    upgrade(home)
    moved = query_state(home, "SELECT count(*) FROM alert_events")[0][0]

    with state_of(home).writing() as c:
        save(c, events=[Event("alert-1", "opened", datetime(2026, 6, 25, tzinfo=UTC))])
    assert query_state(home, "SELECT max(event_number) FROM alert_events") == [(moved + 1,)]
