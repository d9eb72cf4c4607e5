"""Checkpoints of a home: signed or not, grown out of an older one or not, and keys that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cavra_pipeline.errors import PipelineError, UsageError
from cavra_pipeline.proof.checkpoint import Checkpoint, Note, parse_note
from cavra_pipeline.proof.keys import load_key, new_key
from cavra_pipeline.proof.publish import publish
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.verify.differences import Part
from cavra_pipeline.verify.log import check_log
from tests.cli.command import command
from tests.proof.notes import is_consistent, is_signed_by
from tests.support import at, delivery, drop, home_with, ingested, take_in


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """Two ingests."""
    made = ingested(tmp_path, [delivery(at(5))])
    drop(made, [delivery(at(4))], name="more.jsonl")
    take_in(made)
    return made


def head(home: Settings) -> Checkpoint:
    return publish(home)[0].checkpoint


def grown(home: Settings) -> Settings:
    drop(home, [delivery(at(3))], name="later.jsonl")
    take_in(home)
    return home


def test_a_checkpoint_is_unsigned_without_a_key_and_signed_with_one(home: Settings, tmp_path: Path) -> None:
    public_key = new_key(tmp_path / "key.pem")
    unsigned, _ = publish(home)
    signed, _ = publish(home.but(signing_key_file=tmp_path / "key.pem"))

    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    assert unsigned == Note(signed.checkpoint)
    assert signed.checkpoint.size == 2
    assert is_signed_by(signed, public_key)
    assert not is_signed_by(unsigned, public_key)


def test_a_log_that_has_grown_is_consistent_with_each_older_checkpoint(home: Settings) -> None:
    old = head(home)
    _, growth = publish(grown(home), old)
    new = head(home)

    assert growth is not None
    assert growth.is_consistent
    assert (old.size, new.size) == (2, 3)
    assert is_consistent(old.size, old.root, new.size, new.root, growth.proof)
    _, same = publish(home, new)
    assert same is not None
    assert (same.is_consistent, same.proof) == (True, ())


def test_a_checkpoint_of_another_log_or_of_a_longer_one_is_not_consistent(home: Settings) -> None:
    old = head(home)
    for other, reason in (
        (Checkpoint("cavra-pipeline/0000000000000000", old.size, old.root), "it is of another log"),
        (Checkpoint(old.origin, old.size + 1, old.root), "it has 3 entries, and the log has 2"),
        (Checkpoint(old.origin, old.size, bytes(32)), "entries that it is of have been changed"),
    ):
        _, growth = publish(home, other)
        assert growth is not None
        assert (growth.is_consistent, growth.reason, growth.proof) == (False, reason, ())


def test_entries_that_were_edited_are_not_signed(home: Settings) -> None:
    with state_of(home).writing() as connection:
        edit = "UPDATE log_entries SET entry = replace(entry, 'ingest', 'INGEST') WHERE entry_number = 1"
        connection.execute(sa.text(edit))

    with pytest.raises(PipelineError, match="not those that were appended"):
        publish(home)


@pytest.mark.parametrize("change", ["entry_number = 3", "peaks = '[7]'", "peaks = 'no JSON'"])
def test_a_newest_entry_whose_tree_was_edited_is_not_published_and_is_named(change: str, tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(at(5))])
    with state_of(home).writing() as connection:
        connection.execute(sa.text(f"UPDATE log_entries SET {change}"))

    with pytest.raises(PipelineError, match="not the one that was appended"):
        publish(home)
    with state_of(home).reading() as connection:
        assert {one.part for one in check_log(connection)} >= {Part.COMMIT_LOG}


def test_an_empty_log_has_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the commit log is empty"):
        publish(home_with(tmp_path))


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    new_key(path)
    before = path.read_bytes()

    with pytest.raises(UsageError, match="there is a file already"):
        new_key(path)

    assert path.read_bytes() == before


def test_a_key_that_others_can_read_or_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    new_key(path)
    path.chmod(0o640)
    with pytest.raises(UsageError, match="can be read by others"):
        load_key(path)
    path.chmod(0o600)
    assert len(load_key(path).public_key().public_bytes_raw()) == 32
    path.write_text("secret-of-somebody")
    with pytest.raises(UsageError, match="holds no Ed25519 key") as raised:
        load_key(path)
    assert "secret-of-somebody" not in str(raised.value)
    with pytest.raises(PipelineError, match="can't be read"):
        load_key(tmp_path / "none.pem")


def test_the_commands_print_a_checkpoint_and_compare_it(home: Settings, tmp_path: Path) -> None:
    made = command(home.home, "key", "new", str(tmp_path / "key.pem"), "--json")
    key = {"CAVRA_SIGNING_KEY_FILE": str(tmp_path / "key.pem")}
    printed = command(home.home, "checkpoint", environ=key)
    note = parse_note(printed.out, "out")
    (tmp_path / "old.txt").write_text(printed.out)

    assert is_signed_by(note, bytes.fromhex(made.document["public_key"]))
    grown(home)
    compared = command(home.home, "checkpoint", "--against", str(tmp_path / "old.txt"), "--json")
    document: dict[str, Any] = compared.document
    assert (compared.code, document["is_signed"], document["size"]) == (0, False, 3)
    assert document["against"]["is_consistent"] is True
    forged = Note(Checkpoint(note.checkpoint.origin, 2, bytes(32))).text
    (tmp_path / "old.txt").write_text(forged)
    refused = command(home.home, "checkpoint", "--against", str(tmp_path / "old.txt"))
    assert refused.code == 3
    assert "entries that it is of have been changed" in refused.err
    (tmp_path / "old.txt").write_text(json.dumps({}))
    assert command(home.home, "checkpoint", "--against", str(tmp_path / "old.txt")).code == 2
