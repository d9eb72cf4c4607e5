"""Time stamps of checkpoints by a real authority on loopback: asked once, stored, checked, and told when they lie."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cavra_pipeline.errors import PipelineError, TransientError, UsageError
from cavra_pipeline.proof.checkpoint import parse_note
from cavra_pipeline.proof.publish import publish
from cavra_pipeline.settings import Settings
from cavra_pipeline.verify.home import verify_home
from cavra_pipeline.verify.timestamps import time_stamp
from tests.cli.command import Said, command
from tests.support import NOW, at, delivery, drop, home_with, ingested, take_in
from tests.verify.authority import REPLY, Authority, authority

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("openssl"), reason="the authority of these tests is openssl ts"),
]


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with authority(tmp_path_factory.mktemp("authority") / "tsa") as one:
        yield one


@pytest.fixture(autouse=True)
def _honest(tsa: Authority) -> Iterator[None]:
    tsa.requests.clear()
    yield
    tsa.change = lambda sent: sent


@pytest.fixture
def home(tmp_path: Path, tsa: Authority) -> Settings:
    home = ingested(tmp_path, [delivery(at(5), subject="plan-secret-name")])
    return home.but(timestamp_url=tsa.url, timestamp_ca_file=tsa.roots)


def test_a_checkpoint_is_stamped_once_and_the_next_one_again(home: Settings, tsa: Authority) -> None:
    note = publish(home)[0]
    first, again = time_stamp(home, note), time_stamp(home, note)

    assert (first.is_new, again.is_new, len(tsa.requests)) == (True, False, 1)
    assert first.at == again.at
    assert abs(datetime.now(UTC) - first.at) < timedelta(minutes=5)
    drop(home, [delivery(at(4))], name="more.jsonl")
    take_in(home)
    assert time_stamp(home, publish(home)[0]).is_new
    assert [path.name.partition("-")[0] for path in sorted((home.home / "checkpoints").glob("*.tsr"))] == ["1", "2"]
    assert b"plan-secret-name" not in b"".join(tsa.requests)


def test_openssl_verifies_a_stored_stamp_against_the_stored_checkpoint(home: Settings, tsa: Authority) -> None:
    path = time_stamp(home, publish(home)[0]).path
    assert path.with_suffix(".txt").read_text() == publish(home)[0].text
    command = ["openssl", "ts", "-verify", "-CAfile", str(tsa.roots), "-in", str(path), "-data"]
    done = subprocess.run([*command, str(path.with_suffix(".txt"))], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_answers_that_are_no_stamp_of_the_checkpoint_are_not_stored(home: Settings, tsa: Authority) -> None:
    note = publish(home)[0]
    of_other_request = (200, REPLY, time_stamp(home, note).path.read_bytes())
    shutil.rmtree(home.home / "checkpoints")
    for sent, kind, what in (
        ((503, REPLY, b""), TransientError, "http_503"),
        ((404, "text/html", b"<p>no"), PipelineError, "http_404"),
        ((200, "text/html", b"<p>hello"), PipelineError, "http_200"),
        ((200, REPLY, b"0"), PipelineError, "it is no time stamp"),
        (of_other_request, PipelineError, "not one of this checkpoint"),
    ):
        tsa.change = lambda _, sent=sent: sent  # type: ignore[misc]
        with pytest.raises(kind, match=what):
            time_stamp(home, note)
        assert not (home.home / "checkpoints").exists()


def test_a_changed_byte_of_an_answer_is_no_stamp(home: Settings, tsa: Authority) -> None:
    note = publish(home)[0]
    tsa.change = lambda sent: (*sent[:2], sent[2][:-9] + bytes([sent[2][-9] ^ 1]) + sent[2][-8:])
    with pytest.raises(PipelineError, match=r"not one of this checkpoint|no time stamp"):
        time_stamp(home, note)


def test_a_stamp_by_an_authority_of_another_root_is_refused(home: Settings, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    other.make()
    with pytest.raises(PipelineError, match="root certificate is trusted"):
        time_stamp(home.but(timestamp_ca_file=other.roots), publish(home)[0])


def test_what_is_not_configured_is_named(home: Settings, tsa: Authority, tmp_path: Path) -> None:
    note = publish(home)[0]
    with pytest.raises(UsageError, match="CAVRA_TIMESTAMP_URL"):
        time_stamp(home.but(timestamp_url=None), note)
    (tmp_path / "empty.pem").write_text("")
    for without in (None, tmp_path / "none.pem", tmp_path / "empty.pem"):
        with pytest.raises(UsageError, match="CAVRA_TIMESTAMP_CA_FILE"):
            time_stamp(home.but(timestamp_ca_file=without), note)
    with pytest.raises(TransientError, match="connection_refused"):
        time_stamp(home.but(timestamp_url="http://127.0.0.1:9/tsa"), note)
    assert not (home.home / "checkpoints").exists()


def verified(home: Settings) -> tuple[list[str], int, int]:
    found = verify_home(home, now=NOW)
    said = [f"{one.file_name[:2]} {one.what}" for one in found.differences if one.part == "time_stamp"]
    assert len(said) == len(found.differences)
    return sorted(said), found.time_stamp_count, found.checked_time_stamp_count


def test_verify_home_checks_stored_stamps_and_names_those_that_lie(home: Settings, tsa: Authority) -> None:
    first = time_stamp(home, publish(home)[0]).path
    drop(home, [delivery(at(4))], name="more.jsonl")
    take_in(home)
    second = time_stamp(home, publish(home)[0]).path
    assert verified(home) == ([], 2, 2)
    assert verified(home.but(timestamp_ca_file=None)) == ([], 2, 0)

    text = second.with_suffix(".txt").read_text()
    lines = text.split("\n")
    second.with_suffix(".txt").write_text("\n".join([lines[0], "1", *lines[2:]]))
    first.with_suffix(".txt").unlink()
    assert verified(home)[0] == [
        "1- the checkpoint that it stamps is gone",
        "2- it is not one of this checkpoint by an authority whose root certificate is trusted",
        "2- the log has not grown out of the checkpoint that it stamps",
    ]
    first.with_suffix(".txt").write_text("anything")
    second.with_suffix(".txt").write_text(text)
    second.write_bytes(second.read_bytes()[:-1])
    assert verified(home)[0] == ["1- what it stamps is no checkpoint", "2- it is no time stamp"]
    with pytest.raises(PipelineError, match="the stored time stamp does not hold"):
        time_stamp(home, publish(home)[0])


def checkpoint(home: Settings, *arguments: str) -> Said:
    environ = {
        "CAVRA_TIMESTAMP_URL": str(home.timestamp_url),
        "CAVRA_TIMESTAMP_CA_FILE": str(home.timestamp_ca_file or ""),
    }
    return command(home.home, "checkpoint", *arguments, environ=environ)


def test_checkpoint_stamps_and_says_when(home: Settings, tsa: Authority, tmp_path: Path) -> None:
    said = checkpoint(home, "--timestamp", "--json")
    assert said.code == 0, said.err
    stamp = said.document["time_stamp"]
    assert stamp["is_new"] is True
    shown = checkpoint(home, "--timestamp")
    assert f"time-stamped {stamp['at']}" in shown.err
    assert parse_note(shown.out, "standard output") == publish(home)[0]
    assert checkpoint(home, "--json").document["time_stamp"] == {**stamp, "is_new": False}
    assert checkpoint(home).err == shown.err
    unchecked = checkpoint(home.but(timestamp_ca_file=None))
    assert (unchecked.code, unchecked.out) == (0, shown.out)
    assert "there is no root certificate" in unchecked.err
    assert checkpoint(home, "--timestamp", "--tag-message").code == 2

    other = ingested(tmp_path / "other", [delivery(at(7))])
    old = tmp_path / "old.txt"
    old.write_text(publish(other)[0].text)
    drop(home, [delivery(at(4))], name="more.jsonl")
    take_in(home)
    assert checkpoint(home, "--timestamp", "--against", str(old)).code == 3
    assert "time_stamp" not in checkpoint(home, "--json").document
    assert len(tsa.requests) == 1, "what has not grown out of the older checkpoint is not stamped"


def test_an_empty_home_has_nothing_to_stamp(tmp_path: Path, tsa: Authority) -> None:
    empty = home_with(tmp_path).but(timestamp_url=tsa.url, timestamp_ca_file=tsa.roots)
    assert checkpoint(empty, "--timestamp").code == 2
    assert not tsa.requests
