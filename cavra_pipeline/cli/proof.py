"""Commands that prove what a home holds: verification, checkpoints of the commit log, the signing key."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import click

from cavra_pipeline.cli.command import TABLE, HelpGroup, ReadableFile, answers, command, form_of_answer
from cavra_pipeline.cli.common import EXIT_UNHEALTHY, answer, clock, file_option, home
from cavra_pipeline.errors import PipelineError, UsageError
from cavra_pipeline.executive.words import count
from cavra_pipeline.private import put_in_place
from cavra_pipeline.proof.checkpoint import Note, parse_note
from cavra_pipeline.proof.keys import new_key
from cavra_pipeline.proof.publish import Growth, checkpoint_document, publish
from cavra_pipeline.retry.sender import open_sender
from cavra_pipeline.settings import Settings
from cavra_pipeline.terminal import Terminal, standard_error
from cavra_pipeline.verify.differences import Verified
from cavra_pipeline.verify.home import verify_home
from cavra_pipeline.verify.posting import post_checkpoint
from cavra_pipeline.verify.posting import tag_message as message_of_tag
from cavra_pipeline.verify.timestamps import TimeStamp, stored_time_stamp, time_stamp

#: A checkpoint has some hundred bytes.
_MOST_BYTES: Final = 65_536


def answer_home() -> None:
    """Verifies what CAVRA_HOME holds and exits with 3 if anything differs."""
    verified = verify_home(home(), now=clock())
    answer(verified.document(), lambda console, _: _show(console, verified))
    if not verified.is_intact:
        sys.exit(EXIT_UNHEALTHY)


def _show(console: Terminal, verified: Verified) -> None:
    rows: list[tuple[str, object]] = [
        ("landing files", verified.landing_file_count),
        ("records", f"{verified.record_count:,} in {count(verified.segment_count, 'segment')}"),
        ("commit log", count(verified.entry_count, "entry", "entries")),
        ("saved reports", f"{verified.report_count:,}, of which {verified.remade_report_count:,} were recomputed"),
    ]
    if verified.time_stamp_count:
        without = "" if verified.checked_time_stamp_count else "; CAVRA_TIMESTAMP_CA_FILE names no root certificate"
        checked = f"signatures of {verified.checked_time_stamp_count:,} checked{without}"
        rows.append(("time stamps", f"{verified.time_stamp_count:,}; {checked}"))
    console.facts("What was verified", rows)
    for difference in verified.differences:
        console.print(f"{difference.part}: {difference.where}: {difference.what}", soft_wrap=True)
    console.print("intact" if verified.is_intact else count(len(verified.differences), "difference"))


@command(
    "checkpoint", "cavra-pipeline checkpoint > checkpoint.txt", "cavra-pipeline checkpoint --against checkpoint.txt"
)
@click.option(
    "--against",
    type=ReadableFile(),
    metavar="FILE",
    help="An older checkpoint: does the log extend it?",
)
@file_option("Write the checkpoint to this file too.")
@click.option("--post", "connector", metavar="CONNECTOR", help="Post it through a connector of the host, once.")
@click.option("--timestamp", "is_stamped", is_flag=True, help="Request a time stamp from CAVRA_TIMESTAMP_URL, once.")
@click.option("--tag-message", is_flag=True, help="Print it as the message of a git tag: git tag -a NAME -F -")
@answers
def checkpoint_command(
    against: Path | None, output_file: Path | None, connector: str | None, is_stamped: bool, tag_message: bool
) -> None:
    """Print the head of the commit log; compare an older one.

    Exit 3 if the log does not extend the older one. It is signed if CAVRA_SIGNING_KEY_FILE names a key. With a
    file, a connector or a git tag somebody else can hold it; a time stamp (RFC 3161), which is stored in the home,
    shows since when it has existed. None of these is done if the log does not extend the older checkpoint.
    Standard output is the checkpoint alone.
    """
    if tag_message and (form_of_answer() != TABLE or connector or is_stamped):
        raise UsageError("the message of a tag is all that is printed", where="--tag-message", remedy="Give it alone")
    old = parse_note(text_of(against), str(against)).checkpoint if against else None
    settings = home()
    note, growth = publish(settings, old)
    document = checkpoint_document(note, growth)
    is_grown = growth is None or growth.is_consistent
    if tag_message and not is_grown:
        # What is printed is piped into git: nothing may become a tag.
        standard_error().print(_not_grown(against, growth), soft_wrap=True)
        sys.exit(EXIT_UNHEALTHY)
    if is_grown:
        document |= _handed_out(settings, note, output_file, connector, is_stamped=is_stamped)

    def show(console: Terminal, _: object) -> None:
        for line in (message_of_tag(note) if tag_message else note.text).splitlines():
            console.print(line, soft_wrap=True)
        if tag_message:
            return
        # Standard output is the checkpoint alone: what is redirected into a file can be read back.
        err = standard_error()
        if stamp := document.get("time_stamp"):
            err.print(f"time-stamped {stamp['at']}: {stamp['file']}", soft_wrap=True)
        if connector and is_grown:
            err.print(f"posted to {connector}" if document["is_posted_now"] else f"{connector} has it already")
        if growth and growth.is_consistent:
            err.print(f"the log extends the older checkpoint of {growth.against.size} entries", soft_wrap=True)
        elif growth:
            err.print(_not_grown(against, growth), soft_wrap=True)

    answer(document, show)
    if not is_grown:
        sys.exit(EXIT_UNHEALTHY)


def _handed_out(
    settings: Settings, note: Note, output: Path | None, connector: str | None, *, is_stamped: bool
) -> dict[str, Any]:
    """Writes a checkpoint, has it stamped and posts it, as asked; returns what the answer says of that."""
    outcome: dict[str, Any] = {}
    if output:
        put_in_place(output, lambda file: file.write(note.text.encode()))
    stamp = time_stamp(settings, note) if is_stamped else _stored_stamp(settings, note)
    if stamp:
        outcome["time_stamp"] = {"at": stamp.at.isoformat(), "file": str(stamp.path), "is_new": stamp.is_new}
    if connector:
        sender = open_sender(settings, clock=clock)
        outcome["is_posted_now"] = post_checkpoint(settings, note, connector, sender, clock=clock)
    return outcome


def _stored_stamp(settings: Settings, note: Note) -> TimeStamp | None:
    """The checkpoint's stored time stamp; one that does not hold, or can't be checked, is a note and none."""
    try:
        return stored_time_stamp(settings, note)
    except PipelineError as error:
        standard_error().print("note: the checkpoint has a stored time stamp:", str(error), soft_wrap=True)
        return None


def _not_grown(against: Path | None, growth: Growth | None) -> str:
    return f"{against}: not a checkpoint of this log as it is: {growth.reason if growth else ''}"


def text_of(path: Path) -> str:
    """Returns the text of a file that a person gave, such as a checkpoint or a public key.

    Raises:
        UsageError: It is too long for either, or is no text.
    """
    with path.open("rb") as file:
        raw = file.read(_MOST_BYTES + 1)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = ""
    if not text or len(raw) > _MOST_BYTES:
        raise UsageError("it is no checkpoint or key", where=str(path), remedy="Give the file as it was written")
    return text


@click.group("key", cls=HelpGroup, examples=["cavra-pipeline key new signing.pem"])
def key() -> None:
    """Make the key that signs checkpoints."""


@key.command("new", examples=["cavra-pipeline key new signing.pem"])
@click.argument("path", type=click.Path(path_type=Path))
@answers
def new_key_command(path: Path) -> None:
    """Make an Ed25519 key in a new file.

    Prints its public half. Give the public half to whoever verifies, and name the file in CAVRA_SIGNING_KEY_FILE.
    Anyone who has the file can sign.
    """
    public_key = new_key(path).hex()
    text = f"public key: {public_key}"
    answer({"public_key": public_key, "path": str(path)}, lambda console, _: console.print(text, soft_wrap=True))
