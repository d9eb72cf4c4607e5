"""CAVRA's ``GET /evidence`` as a source: every page, each record once, nothing raw on disk."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.connectors.sources import SecretSource
from cavra_pipeline.connectors.transport import Limits
from cavra_pipeline.errors import PipelineError, TransientError
from cavra_pipeline.settings import Settings
from cavra_pipeline.sources import Source, SourcePull, evidence_api, pull
from tests.evidence.secrets_made_up import canary
from tests.imports.cavra_api import CavraApi, served
from tests.support import NOW, Record, at, delivery, home_with, query, take_in

pytestmark = pytest.mark.slow

PULLS = int(os.environ.get("CAVRA_GROWING_IMPORTS", "20"))
TOKEN = "Bearer q7Zr2Xw9Lm4Tb6Vn8Kd3Hs5Jf1Gp0Yc"


@pytest.fixture
def api() -> Iterator[CavraApi]:
    with served(CavraApi()) as running:
        yield running


def many(count: int, **fields: Any) -> list[Record]:
    return [delivery(at(n / 10), session_id=f"s-{n * 7919 % 10_007:05d}", **fields) for n in range(count)]


def pulled(home: Settings, api: CavraApi, now: datetime = NOW, **how: Any) -> SourcePull:
    source = Source("cavra", "api", 5, url=api.url, header="Authorization", **how)
    return pull(home, source, {"CAVRA_TOKEN": TOKEN}, clock=lambda: now)


def stored(home: Settings) -> set[str]:
    take_in(home)
    return {name for (name,) in query(home, "SELECT session_id FROM evidence")}


@pytest.mark.parametrize("is_sqlite", [True, False], ids=["sqlite", "json"])
@pytest.mark.parametrize(("count", "requests"), [(0, 1), (1, 1), (500, 1), (501, 2), (1000, 2), (1201, 3)])
def test_every_page_is_read_in_either_order(
    is_sqlite: bool, count: int, requests: int, api: CavraApi, tmp_path: Path
) -> None:
    home = home_with(tmp_path)
    api.is_sqlite = is_sqlite
    api.upsert(*many(count))

    done = pulled(home, api)

    assert (done.result.received_count, done.result.imported_count, done.request_count) == (count, count, requests)
    assert api.requests == [f"/evidence?limit=500&offset={500 * page}" for page in range(requests)]
    assert stored(home) == set(api.records)


def test_a_smaller_clamp_than_ours_is_followed(api: CavraApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.imports.cavra_api.MOST", 7)
    api.upsert(*many(20))

    assert pulled(home_with(tmp_path), api).request_count == 3
    assert [one.rsplit("=", 1)[1] for one in api.requests] == ["0", "7", "14"]


def test_records_that_are_inserted_between_pages_repeat_none_and_lose_none(api: CavraApi, tmp_path: Path) -> None:
    home = home_with(tmp_path)
    api.upsert(*many(1200))
    api.after = lambda number: api.upsert(delivery(at(-10 - number), session_id=f"new-{number}"))

    first = pulled(home, api)

    assert first.result.imported_count == first.result.received_count == 1200
    api.after = lambda _: None
    second = pulled(home, api, NOW + timedelta(minutes=5))
    assert (second.result.imported_count, second.request_count) == (3, 2)
    assert stored(home) == set(api.records)
    assert query(home, "SELECT count(*) FROM evidence_records") == [(1203,)]


def test_an_upsert_that_moves_an_unread_record_is_found_by_the_next_pull(api: CavraApi, tmp_path: Path) -> None:
    home = home_with(tmp_path)
    records = many(1000)
    api.upsert(*records)
    oldest = min(records, key=lambda one: one["created_at"])
    moved = {**oldest, "created_at": at(-100).isoformat(), "plan_id": "moved"}
    api.after = lambda number: api.upsert(moved) if number == 0 else None

    first = pulled(home, api)
    second = pulled(home, api, NOW + timedelta(minutes=5))

    assert (first.result.imported_count, second.result.imported_count) == (999, 1)
    assert stored(home) == set(api.records)


def test_a_page_of_known_records_ends_a_walk_newest_first_only(api: CavraApi, tmp_path: Path) -> None:
    home = home_with(tmp_path)
    api.upsert(*many(1200))
    assert pulled(home, api).request_count == 3

    assert pulled(home, api, NOW + timedelta(minutes=5)).request_count == 1
    api.is_sqlite = False
    assert pulled(home, api, NOW + timedelta(minutes=10)).request_count == 3


@pytest.mark.parametrize(("hours", "requests"), [(23.9, 1), (24, 3)])
def test_once_a_day_all_pages_are_read(hours: float, requests: int, api: CavraApi, tmp_path: Path) -> None:
    home = home_with(tmp_path)
    api.upsert(*many(1200))
    pulled(home, api)
    early = delivery(at(60 * 24), session_id="early")
    api.upsert(early)

    done = pulled(home, api, NOW + timedelta(hours=hours))

    assert (done.request_count, done.result.imported_count) == (requests, requests // 3)


def test_mixed_offsets_are_not_in_time_order_so_all_pages_are_read(api: CavraApi, tmp_path: Path) -> None:
    home = home_with(tmp_path)
    api.upsert(*many(600), delivery(session_id="z", created_at="2027-06-25T09:59:59Z"))
    pulled(home, api)

    assert pulled(home, api, NOW + timedelta(minutes=5)).request_count == 2


def test_a_store_whose_ids_run_backwards_in_time_is_not_taken_for_newest_first(api: CavraApi, tmp_path: Path) -> None:
    home = home_with(tmp_path)
    api.is_sqlite = False
    api.upsert(*(delivery(at(n / 10), session_id=f"s-{n:05d}") for n in range(600)))
    pulled(home, api)
    api.upsert(delivery(at(-1), session_id="s-zz"))

    assert pulled(home, api, NOW + timedelta(minutes=5)).result.imported_count == 1


@pytest.mark.timeout(180 + 20 * PULLS)
def test_a_store_that_grows_by_one_is_pulled_with_each_record_once(api: CavraApi, tmp_path: Path) -> None:
    home = home_with(tmp_path)
    secret: Any = {"delivery": {"deliveries": [{"provider": "teams", "request": {"url": canary("teams webhook")}}]}}
    for number in range(PULLS):
        api.upsert(delivery(at(-number), session_id=f"s-{number}", **secret))
        done = pulled(home, api, NOW + timedelta(minutes=5 * number))
        assert (done.result.imported_count, done.result.known_count) == (1, number)

    assert len(stored(home)) == PULLS
    assert (
        query(home, "SELECT count(*) FROM evidence_records")
        == query(home, "SELECT count(*) FROM finding_rows")
        == [(PULLS,)]
    )
    content = b"".join(path.read_bytes() for path in home.home.rglob("*") if path.is_file())
    assert canary("teams webhook").encode() not in content


@pytest.mark.timeout(180 + 20 * PULLS)
@pytest.mark.parametrize("is_sqlite", [True, False], ids=["sqlite", "json"])
def test_a_store_that_is_written_between_pages_holds_each_version_once(
    is_sqlite: bool, api: CavraApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.imports.cavra_api.MOST", 10)
    home, api.is_sqlite, serial = home_with(tmp_path), is_sqlite, itertools.count(100)
    secret: Any = {"delivery": {"deliveries": [{"provider": "teams", "request": {"url": canary("teams webhook")}}]}}
    api.upsert(*(delivery(at(1000 - n), session_id=f"s-{n:04d}", **secret) for n in range(100)))
    versions, due = 100, 0

    def write(_: int) -> None:
        """A new record, and a newer version of an old one that moves to the front; a few for each pull."""
        nonlocal versions, due
        if not due:
            return
        due, number = due - 1, next(serial)
        for one in (number, number % 90):
            api.upsert(delivery(at(1000 - number), session_id=f"s-{one:04d}", plan_id=f"v-{number}", **secret))
        versions += 2

    sizes, api.after = [0], write
    for number in range(PULLS):
        # After every page, the store would grow by a tenth with each pull: to 20,000 records in a hundred.
        due = 10 * (number % 2)
        pulled(home, api, NOW + timedelta(days=2 * number))
        take_in(home)
        sizes.append(sum(path.stat().st_size for path in home.landing.glob("*/*.jsonl")))
    due = 0
    last = pulled(home, api, NOW + timedelta(days=2 * PULLS))
    again = pulled(home, api, NOW + timedelta(days=2 * PULLS + 2))

    assert again.result.imported_count == 0
    assert last.result.imported_count + last.result.known_count == len(api.records)
    assert stored(home) == set(api.records)
    current = {(name, plan) for name, plan in query(home, "SELECT session_id, plan_id FROM evidence")}
    assert current == {(one["session_id"], one.get("plan_id")) for one in api.records.values()}
    ((rows, ids),) = query(home, "SELECT count(*), count(DISTINCT (session_id, plan_id)) FROM evidence_records")
    assert rows == ids <= versions
    assert query(home, "SELECT count(*) FROM findings") == query(home, "SELECT count(*) FROM finding_rows") == [(rows,)]
    first, most = sizes[1] / 100, max(after - before for before, after in itertools.pairwise(sizes[2:]))
    assert most < 1.2 * first * (rows - 100)


def test_a_record_that_is_quarantined_counts_once_and_stops_nothing(api: CavraApi, tmp_path: Path) -> None:
    home = home_with(tmp_path)
    api.upsert({"session_id": "bad", "created_at": 7}, delivery(session_id="good"))

    first, second = pulled(home, api), pulled(home, api)

    assert (first.result.imported_count, first.result.quarantined_count) == (1, 1)
    assert (second.result.quarantined_count, second.result.known_count) == (0, 2)
    take_in(home)
    assert query(home, "SELECT source_file FROM quarantine") == [("cavra",)]


@pytest.mark.parametrize("where", ["header_env", "header_file"])
def test_the_header_comes_from_the_environment_or_a_file_and_is_never_shown(
    where: str, api: CavraApi, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    home = home_with(tmp_path)
    api.authorization = TOKEN
    api.upsert(*many(3))
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    file.chmod(0o600)
    pointer = SecretSource(where, "CAVRA_TOKEN" if where == "header_env" else "token", tmp_path)

    done = pulled(home, api, header_source=pointer)

    assert done.result.imported_count == 3
    assert api.headers[0]["Authorization"] == TOKEN
    said = caplog.text + repr(done) + "".join(capfd.readouterr())
    content = b"".join(path.read_bytes() for path in home.home.rglob("*") if path.is_file())
    assert TOKEN not in said
    assert TOKEN.encode() not in content


def refused(home: Settings, api: CavraApi, **how: Any) -> PipelineError:
    with pytest.raises(PipelineError) as raised:
        pulled(home, api, **how)
    assert not list(home.landing.iterdir())
    return raised.value


def test_without_the_header_the_refusal_is_named_and_nothing_is_written(api: CavraApi, tmp_path: Path) -> None:
    api.authorization = TOKEN

    error = refused(home_with(tmp_path), api)

    assert (error.what, error.where) == ("the API rejects our credentials (401)", api.url)
    assert len(api.requests) == 1
    assert not isinstance(error, TransientError)


@pytest.mark.parametrize(("status", "body", "says", "is_transient"), [
    (404, b"{}", "refuses GET /evidence (404)", False),
    (302, b"", "answers with a redirect (302)", False),
    (307, b"", "answers with a redirect (307)", False),
    (429, b"{}", "returns an error (429)", True),
    (503, b"{}", "returns an error (503)", True),
    (200, b"<html>", "not that of CAVRA's GET /evidence", False),
    (200, b'{"items": 7, "total": 1}', "not that of CAVRA's GET /evidence", False),
    (200, b'{"items": [], "total": 9}', "a page without records before the last one", False),
])  # fmt: skip
def test_what_is_no_answer_of_cavra_is_named_and_no_redirect_is_followed(
    status: int, body: bytes, says: str, is_transient: bool, api: CavraApi, tmp_path: Path
) -> None:
    with served(CavraApi()) as other:
        other.upsert(*many(1))
        api.answer = lambda _: (status, {"Location": f"{other.url}/evidence"}, body)

        error = refused(home_with(tmp_path), api)

        assert says in error.what
        assert isinstance(error, TransientError) is is_transient
        assert other.requests == []


def test_a_walk_that_fails_half_way_writes_nothing_and_the_next_one_reads_all(api: CavraApi, tmp_path: Path) -> None:
    home = home_with(tmp_path)
    api.upsert(*many(1200))
    api.answer = lambda number: (503, {}, b"{}") if number >= 1 else None
    refused(home, api)

    api.answer = lambda _: None
    done = pulled(home, api, NOW + timedelta(minutes=5))

    assert (done.result.imported_count, done.pulls.failed_at, done.pulls.failure) == (1200, None, None)


def test_one_server_error_is_asked_again(api: CavraApi, tmp_path: Path) -> None:
    api.upsert(*many(1))
    api.answer = lambda number: (503, {}, b"{}") if number == 0 else None

    assert pulled(home_with(tmp_path), api).request_count == 2


def test_a_page_over_the_limit_is_asked_for_in_parts(
    api: CavraApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = len(json.dumps(many(120)))
    monkeypatch.setattr(evidence_api, "_LIMITS", Limits(5, 5, 5, page))
    api.upsert(*many(250))

    done = pulled(home_with(tmp_path), api)

    assert done.result.imported_count == 250
    assert api.requests[:2] == ["/evidence?limit=500&offset=0", "/evidence?limit=100&offset=0"]


def test_a_record_over_the_limit_is_a_refusal(api: CavraApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence_api, "_LIMITS", Limits(5, 5, 5, 100))
    api.upsert(*many(2))

    assert "did not arrive whole" in refused(home_with(tmp_path), api).what


def test_an_answer_that_does_not_end_is_given_up(
    api: CavraApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence_api, "_LIMITS", Limits(1, 1, 0.2, 1000))
    monkeypatch.setattr(evidence_api, "PAGE_RECORDS", 1)
    api.answer = lambda _: (200, {"Content-Length": "1000"}, b'{"items": [')

    assert isinstance(refused(home_with(tmp_path), api), PipelineError)


def test_an_api_that_is_not_there_is_transient(tmp_path: Path) -> None:
    with served(CavraApi()) as gone:
        pass

    error = refused(home_with(tmp_path), gone)

    assert isinstance(error, TransientError)
    assert "does not answer (connection_refused)" in error.what


def test_no_proxy_of_the_environment_is_used_on_this_machine(
    api: CavraApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    api.upsert(*many(1))

    assert pulled(home_with(tmp_path), api).result.imported_count == 1
