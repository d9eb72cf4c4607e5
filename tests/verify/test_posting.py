"""Checkpoints for witnesses: posted through a connector once, written to a file, as the message of a git tag."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cavra_pipeline.errors import TransientError, UsageError
from cavra_pipeline.proof.checkpoint import parse_note
from cavra_pipeline.proof.publish import publish
from cavra_pipeline.retry.sender import open_sender
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.verify.posting import Witness, post_checkpoint, tag_message, witnesses_of
from tests.cli.command import command
from tests.connectors.receiver import Receiver, answer
from tests.support import NOW, at, delivery, drop, ingested, take_in
from tests.worker.support import connectors_file


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as one:
        yield one


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    home = ingested(tmp_path, [delivery(at(5), subject="plan-secret-name")])
    return home.but(connectors_file=connectors_file(home.home / "connectors.yaml", slack={"url_env": "SLACK"}))


def post(home: Settings, url: str, provider: str = "slack") -> bool:
    sender = open_sender(home, clock=lambda: NOW, environ={"SLACK": url}, tries=1)
    return post_checkpoint(home, publish(home)[0], provider, sender, clock=lambda: NOW)


def test_a_checkpoint_is_posted_once_and_the_next_one_again(home: Settings, receiver: Receiver) -> None:
    url = receiver.script("/hook", answer(200, "ok"))
    assert [post(home, url), post(home, url)] == [True, False]
    drop(home, [delivery(at(4))], name="more.jsonl")
    take_in(home)
    assert post(home, url)

    first, second = receiver.requests("/hook")
    for number, one in ((b"1", first), (b"2", second)):
        assert b"checkpoint " + number in one.body
        assert publish(home)[0].checkpoint.origin.encode() in one.body
        assert b"plan-secret-name" not in one.body
    assert publish(home)[0].checkpoint.root.hex().encode() in second.body


def test_a_witness_is_who_took_a_checkpoint_and_its_newest_one_counts(home: Settings, receiver: Receiver) -> None:
    url = receiver.script("/hook", answer(503), answer(200, "ok"))
    origin = publish(home)[0].checkpoint.origin

    def witnesses(of: str = origin) -> list[Witness]:
        with state_of(home).reading() as connection:
            return witnesses_of(connection, of)

    with pytest.raises(TransientError):
        post(home, url)
    assert witnesses() == []
    for size in (1, 2):
        assert post(home, url)
        assert witnesses() == [Witness("slack", size, NOW)]
        drop(home, [delivery(at(4))], name=f"more-{size}.jsonl")
        take_in(home)
    assert witnesses("cavra-pipeline/0000000000000000") == []


def test_a_checkpoint_that_did_not_arrive_is_posted_again(home: Settings, receiver: Receiver) -> None:
    url = receiver.script("/hook", answer(503), answer(200, "ok"))
    with pytest.raises(TransientError, match="did not arrive"):
        post(home, url)
    assert [post(home, url), post(home, url)] == [True, False]
    assert len(receiver.requests("/hook")) == 2

    with pytest.raises(UsageError, match="no such connector"):
        post(home, url, "jira")


def test_a_checkpoint_is_written_to_a_file_and_as_the_message_of_a_tag(home: Settings, tmp_path: Path) -> None:
    note, path = publish(home)[0], tmp_path / "checkpoint.txt"
    written = command(home.home, "checkpoint", "--output-file", str(path))
    printed = command(home.home, "checkpoint", "--tag-message")
    assert (written.code, printed.code) == (0, 0)
    assert path.read_text() == note.text
    assert printed.out == tag_message(note)

    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=n@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    subprocess.run([*git, "tag", "-a", "checkpoint-1", "-F", "-"], input=printed.out, text=True, check=True)
    message = subprocess.run([*git, "cat-file", "tag", "checkpoint-1"], capture_output=True, text=True, check=True)
    held = message.stdout.split("\n\n", 2)[2]
    assert parse_note(held, "the tag").checkpoint == note.checkpoint


def test_a_log_that_was_rewritten_is_given_to_no_witness(home: Settings, tmp_path: Path) -> None:
    old, path = tmp_path / "old.txt", tmp_path / "new.txt"
    old.write_text(publish(ingested(tmp_path / "other", [delivery(at(9))]))[0].text)
    refused = command(home.home, "checkpoint", "--against", str(old), "--output-file", str(path))
    tag = command(home.home, "checkpoint", "--against", str(old), "--output-file", str(path), "--tag-message")

    assert (refused.code, tag.code) == (3, 3)
    assert "not a checkpoint of this log" in refused.err
    assert tag.out == "", "git would make a tag of it"
    assert "not a checkpoint of this log as it is: it is of another log" in tag.err
    assert not path.exists()
