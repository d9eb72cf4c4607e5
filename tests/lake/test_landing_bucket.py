"""A landing zone in S3-compatible storage: hosts without a shared folder have one evidence, and the same answers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.errors import PipelineError, TransientError, UsageError
from cavra_pipeline.evidence.bucket import is_kept
from cavra_pipeline.evidence.emitted import save_emitted_drop
from cavra_pipeline.evidence.importer import import_evidence
from cavra_pipeline.evidence.ingest import drops_to_ingest, ingest
from cavra_pipeline.evidence.keeper import rebuild, warehouse_of
from cavra_pipeline.evidence.landing import list_drops
from cavra_pipeline.evidence.landing_zone import landing_days, landing_files, stray_files
from cavra_pipeline.moving import move
from cavra_pipeline.settings import Settings
from cavra_pipeline.verify.home import verify_home
from tests.cli.command import process
from tests.lake.buckets import KEY, SECRET, BucketServer
from tests.support import (
    NOW,
    PSEUDONYMS,
    Line,
    acknowledgement,
    ask_health,
    ask_plan,
    at,
    delivery,
    home_with,
    ingested,
    plan,
    text,
    worker_run,
)

LINES = [delivery(at(90), failed=["slack"]), acknowledgement(at(70)), plan(at(50)), worker_run(at(45))]
ADDRESS = "s3://landing/zone"
MakeHost = Callable[..., Settings]


@pytest.fixture
def host(tmp_path: Path, server: BucketServer) -> MakeHost:
    """Makes hosts with homes of their own, which share a bucket and a key."""
    key = tmp_path / "shared.key"
    key.touch(0o600)
    key.write_bytes(PSEUDONYMS.key)
    server.put("landing/.bucket", b"")

    def make(name: str, **settings: object) -> Settings:
        given: dict[str, Any] = {"landing_address": ADDRESS, "pseudonym_key_file": key, **settings}
        return home_with(tmp_path / name, is_new=True, **given)

    return make


def source(folder: Path, *lines: Line, name: str = "evidence.jsonl") -> list[tuple[str, Path]]:
    path = folder / name
    path.write_bytes(text(lines))
    return [(name, path)]


def test_what_one_host_imports_another_ingests_with_the_same_answers(host: MakeHost, tmp_path: Path) -> None:
    one, other = host("one"), host("other")
    file = ingested(tmp_path / "file", LINES)

    imported = import_evidence(one, source(tmp_path, *LINES), now=NOW)

    assert (len(imported.written), imported.failures) == (1, [])
    for home in (one, other):
        assert ingest(home, now=NOW).received_count == 4
        assert ingest(home, now=NOW).drops == []
        assert (ask_health(home), ask_plan(home)) == (ask_health(file), ask_plan(file))
        assert verify_home(home, now=NOW).differences == []
    fingerprints = [[drop.fingerprint for drop in landing_files(home, PSEUDONYMS)] for home in (one, other)]
    assert fingerprints[0] == fingerprints[1]
    assert not (one.home / "landing").exists()


def test_what_another_host_imported_is_not_imported_again(host: MakeHost, tmp_path: Path) -> None:
    one, other = host("one"), host("other")
    import_evidence(one, source(tmp_path, *LINES), now=NOW)

    again = import_evidence(other, source(tmp_path, *LINES, delivery(at(5), subject="plan-9")), now=NOW)

    assert (again.known_count, again.imported_count) == (4, 1)
    assert ingest(one, now=NOW).received_count == 5


def test_an_object_that_is_replaced_is_read_again_and_one_that_did_not_change_is_not(
    host: MakeHost, server: BucketServer, tmp_path: Path
) -> None:
    home = host("one")
    server.put("landing/zone/2026-06-30/evidence.jsonl", text([LINES[0]]))
    server.put("landing/zone/2026-06-30/other.jsonl", text([LINES[1]]))
    ingest(home, now=NOW)
    inode = (home.landing / "2026-06-30" / "other.jsonl").stat().st_ino

    # The same size, as likely within the same second.
    server.put("landing/zone/2026-06-30/evidence.jsonl", text([LINES[0]]).replace(b"slack", b"teams"))

    assert [drop.file_name for drop in ingest(home, now=NOW).drops] == ["evidence.jsonl"]
    assert (home.landing / "2026-06-30" / "other.jsonl").stat().st_ino == inode


def test_an_object_that_is_gone_is_named_and_the_copy_stands_in_for_nothing(
    host: MakeHost, server: BucketServer
) -> None:
    home = host("one")
    server.put("landing/zone/2026-06-30/evidence.jsonl", text(LINES))
    ingest(home, now=NOW)

    server.remove("landing/zone/2026-06-30/evidence.jsonl")

    assert "it is gone" in [one.what for one in verify_home(home, now=NOW).differences]
    assert not list(home.landing.rglob("*.jsonl"))
    with pytest.raises(PipelineError, match="can't be read any more") as raised:
        rebuild(home, without_missing=False)
    assert raised.value.where == ADDRESS


def test_a_lost_copy_is_fetched_again_and_nothing_is_read_twice(host: MakeHost, server: BucketServer) -> None:
    home = host("one")
    server.put("landing/zone/2026-06-30/evidence.jsonl", text(LINES))
    ingest(home, now=NOW)
    shutil.rmtree(home.landing)

    assert ingest(home, now=NOW).drops == []
    assert verify_home(home, now=NOW).differences == []


def test_evidence_of_our_own_is_in_the_bucket_before_the_warehouse_has_it(host: MakeHost, server: BucketServer) -> None:
    one, other = host("one"), host("other")

    save_emitted_drop(one, "test", [delivery(at(5), failed=["slack"])], now=NOW, act="test")
    with warehouse_of(one).reading() as session:
        assert drops_to_ingest(session, one) == []
    assert ingest(other, now=NOW).received_count == 1

    server.stop()
    with pytest.raises(TransientError, match="the bucket of the landing zone can't be reached"):
        save_emitted_drop(one, "later", [delivery(at(4), failed=["slack"])], now=NOW, act="test")
    with warehouse_of(one).reading() as session:
        assert session.tuples("SELECT count(*) FROM deliveries") == [(1,)]


def test_a_bucket_that_is_away_is_named_and_its_return_loses_nothing(
    host: MakeHost, server: BucketServer, tmp_path: Path
) -> None:
    home = host("one")
    server.stop()

    for fails in (
        lambda: ingest(home, now=NOW),
        lambda: import_evidence(home, source(tmp_path, *LINES), now=NOW),
        lambda: landing_days(home),
    ):
        with pytest.raises(TransientError, match="can't be reached") as raised:
            fails()
        assert raised.value.where == "CAVRA_LANDING_URL"
    server.start()

    assert import_evidence(home, source(tmp_path, *LINES), now=NOW).imported_count == 4
    assert ingest(home, now=NOW).received_count == 4


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_a_wrong_key_of_the_landing_zone_is_named_and_never_shown(
    host: MakeHost, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    home = host("one")
    monkeypatch.setenv(name, "s0me-other")

    with pytest.raises(PipelineError, match="refuses the key") as raised:
        import_evidence(home, source(tmp_path, *LINES), now=NOW)

    assert not any(secret in str(raised.value) for secret in (KEY, SECRET, "s0me-other"))


def test_a_bucket_there_is_not_is_named(host: MakeHost) -> None:
    with pytest.raises(PipelineError, match="there is no such bucket"):
        ingest(host("one", landing_address="s3://elsewhere/zone"), now=NOW)


def test_objects_that_are_no_landing_files_are_named_and_never_leave_their_folder(
    host: MakeHost, server: BucketServer, tmp_path: Path
) -> None:
    home = host("one")
    server.put("landing/zone/2026-06-30/evidence.jsonl", text(LINES))
    strays = ["2026-06-30/deep/evidence.jsonl", "2026-06-30/notes.txt", "2026-13-40/evidence.jsonl", "readme.jsonl"]
    for name in [*strays, "2026-06-30/.hidden.jsonl"]:
        server.put(f"landing/zone/{name}", text([LINES[0]]))

    assert ingest(home, now=NOW).received_count == 4

    assert stray_files(home, PSEUDONYMS) == sorted(strays)
    assert [file.name for file in home.landing.rglob("*") if file.is_file()] == ["evidence.jsonl"]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("2026-06-30/evidence.jsonl", True),
        ("2026-06-30/evidence.jsonl.gz.boundary.json", True),
        (f"2026-06-30/{'n' * 249}.jsonl", True),
        (f"2026-06-30/{'n' * 250}.jsonl", False),
        (f"2026-06-30/{'é' * 125}.jsonl", False),
        ("2026-06-30/../2026-06-29/evidence.jsonl", False),
        ("../2026-06-30/evidence.jsonl", False),
        ("/2026-06-30/evidence.jsonl", False),
        ("2026-06-30/", False),
        ("2026-06-30", False),
        ("2026-06-30/\0.jsonl", False),
    ],
)
def test_only_a_name_that_a_file_of_a_day_can_have_is_fetched(name: str, kept: bool) -> None:
    assert is_kept(name) is kept


def test_a_host_without_the_shared_key_is_refused_and_makes_none(host: MakeHost, tmp_path: Path) -> None:
    home = host("one", pseudonym_key_file=None)

    with pytest.raises(UsageError, match="need one key of the pseudonyms"):
        ingest(home, now=NOW)

    assert not home.pseudonym_key.exists()


def test_a_lost_key_is_not_made_anew_where_the_bucket_holds_pseudonyms(host: MakeHost, tmp_path: Path) -> None:
    one = host("one")
    named = [delivery(at(5), failed=["slack"], session_id="a session with a name")]
    import_evidence(one, source(tmp_path, *named), now=NOW)
    other = host("other", pseudonym_key_file=tmp_path / "lost.key")

    with pytest.raises(PipelineError, match="holds pseudonyms"):
        ingest(other, now=NOW)

    assert not (tmp_path / "lost.key").exists()


def test_a_home_moves_its_landing_zone_to_a_bucket_and_back(host: MakeHost, tmp_path: Path) -> None:
    home = ingested(tmp_path / "file", LINES)
    there = home.but(landing_address=ADDRESS, pseudonym_key_file=home.pseudonym_key)
    answers = ask_health(home), ask_plan(home)

    moved = move(home, there, now=NOW)

    assert (moved.landing_zone, moved.file_count, moved.row_count) == (ADDRESS, 1, 0)
    other = host("other", pseudonym_key_file=home.pseudonym_key)
    assert ingest(other, now=NOW).received_count == 4
    assert (ask_health(there), ask_plan(there)) == (ask_health(other), ask_plan(other)) == answers

    with pytest.raises(PipelineError, match="the landing zone is not empty"):
        move(there, home, now=NOW)
    (home.home / "landing").rename(home.home / "landing.before")
    assert move(there, home.prepare(), now=NOW).file_count == 1
    assert verify_home(home, now=NOW).differences == []
    assert [drop.path.read_bytes() for drop in list_drops(home.landing, PSEUDONYMS)] == [text(LINES)]


def test_the_command_line_says_where_the_landing_zone_is(host: MakeHost, server: BucketServer) -> None:
    home = host("one")
    server.put("landing/zone/2026-06-30/evidence.jsonl", text(LINES))
    variables = {"CAVRA_LANDING_URL": ADDRESS, "CAVRA_PSEUDONYM_KEY_FILE": str(home.pseudonym_key)}

    ingested_there = process(home.home, "ingest", environ=variables)
    assert (ingested_there.code, "4 received" in ingested_there.out) == (0, True)
    said = process(home.home, "doctor", "--json", environ=variables).out

    assert f"1 day with landing files in {ADDRESS}" in said
    assert SECRET not in said
