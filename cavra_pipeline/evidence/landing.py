"""The landing zone: ``landing/YYYY-MM-DD/<anything>.jsonl[.gz|.zst]``, one folder for each UTC landing day.

A file that ``import`` wrote has a sidecar, ``<name>.boundary.json``: what the boundary held back from it, as rows,
never as content, and the digests of its records. Files are read in place and never copied, changed or removed here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final

import msgspec

from cavra_pipeline.boundary.judge import is_safe_identifier
from cavra_pipeline.boundary.pseudonyms import Pseudonyms
from cavra_pipeline.boundary.secrets import secrets_in
from cavra_pipeline.boundary.verdict import NOT_AN_IDENTIFIER, Action, LineFinding, QuarantinedLine, Reason
from cavra_pipeline.errors import PipelineError, os_error_named
from cavra_pipeline.evidence.content import UnreadableFile

_DROP: Final = re.compile(r"[^.].*\.(?:jsonl|ndjson)(?:\.gz|\.zst)?")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
#: As ``import`` names its files: nothing in them is chosen by anybody.
_IMPORTED: Final = re.compile(r"import-[0-9]{6,9}-[0-9a-f]{16}\.jsonl")
_SOURCE_FILE: Final = re.compile(r"[^\x00-\x1f]{1,1024}")
SIDECAR_SUFFIX: Final = ".boundary.json"
#: Where a finding about a file's name stands, in place of a field.
NAME_PATH: Final = "file_name"


@dataclass(frozen=True, slots=True, order=True)
class Drop:
    """One evidence file in the landing zone.

    Attributes:
        day: UTC landing day, the folder it lies in.
        file_name: What tables and messages call it (``shown_name``); its name in that folder is ``path.name``.
        path: Where it lies.
        fingerprint: Size and modification time of the file and its sidecar; changes when either does.
        size_bytes: Size on disk.
    """

    day: date
    file_name: str
    path: Path
    fingerprint: str
    size_bytes: int

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.day}/{self.file_name}"


@dataclass(frozen=True, slots=True)
class HandedOn:
    """What an import held back from a landing file."""

    source_file: str
    quarantined: tuple[QuarantinedLine, ...] = ()
    findings: tuple[LineFinding, ...] = ()
    dropped_field_count: int = 0


def sidecar_of(path: Path) -> Path:
    """Returns where the sidecar of a landing file lies."""
    return path.with_name(path.name + SIDECAR_SUFFIX)


def drop_days(landing: Path) -> list[date]:
    """Returns the days that have a folder, in order; none if there is no landing zone yet.

    Raises:
        PipelineError: The landing zone is no folder, or can't be listed.
    """
    if landing.exists() and not landing.is_dir():
        raise PipelineError(
            "the landing zone is no folder", where=str(landing), remedy="Move that file away, then import again"
        )
    return sorted(day for day in map(day_of, names_in(landing)) if day)


def names_in(folder: Path) -> list[str]:
    """Returns the names in a folder of the landing zone; none if there is no such folder.

    Raises:
        PipelineError: The folder can't be listed.
    """
    with os_error_named("the landing zone can't be listed", where=folder, remedy="Give this user read access to it"):
        try:
            return [entry.name for entry in os.scandir(folder)]
        except (FileNotFoundError, NotADirectoryError):
            return []


def day_of(name: str) -> date | None:
    """Returns the landing day of a folder, or None if its name is not one."""
    try:
        return date.fromisoformat(name) if _DAY.fullmatch(name) else None
    except ValueError:
        return None


def list_drops(
    landing: Path, pseudonyms: Pseudonyms, first: date | None = None, last: date | None = None
) -> list[Drop]:
    """Returns the landing files from ``first`` to ``last`` inclusive, in the order in which versions win."""
    drops: list[Drop] = []
    for day in drop_days(landing):
        if (first is None or day >= first) and (last is None or day <= last):
            drops.extend(_drops_of(landing / day.isoformat(), day, pseudonyms))
    return sorted(drops)


def drop_at(path: Path, pseudonyms: Pseudonyms) -> Drop:
    """Returns the landing file at a place, without reading the rest of its folder."""
    stats = [file.stat() for file in (path, sidecar_of(path)) if file.exists()]
    day = date.fromisoformat(path.parent.name)
    return Drop(day, shown_name(path.name, pseudonyms), path, _fingerprint(stats), stats[0].st_size)


def _fingerprint(stats: Sequence[os.stat_result]) -> str:
    return ";".join(f"{stat.st_size}:{stat.st_mtime_ns}" for stat in stats)


def _drops_of(folder: Path, day: date, pseudonyms: Pseudonyms) -> Iterator[Drop]:
    try:
        stats = {entry.name: entry.stat() for entry in os.scandir(folder) if entry.is_file()}
    except NotADirectoryError:
        return
    for name, stat in stats.items():
        if is_landing_file(name):
            side = stats.get(name + SIDECAR_SUFFIX)
            fingerprint = _fingerprint([file_stat for file_stat in (stat, side) if file_stat is not None])
            yield Drop(day, shown_name(name, pseudonyms), folder / name, fingerprint, stat.st_size)


def strays(landing: Path, pseudonyms: Pseudonyms) -> list[str]:
    """Returns names in the landing zone at places that are not read, so that no file is lost unnoticed."""
    stray: list[str] = []
    for name in sorted(names_in(landing)):
        day = day_of(name)
        folder = landing / name
        if name.startswith("."):
            continue
        if day is None or not folder.is_dir():
            stray.append(stray_name(name, pseudonyms))
            continue
        drops = {drop.path.name for drop in _drops_of(folder, day, pseudonyms)}
        sidecars = {drop + SIDECAR_SUFFIX for drop in drops}
        stray += [
            f"{name}/{stray_name(file, pseudonyms)}"
            for file in sorted(names_in(folder))
            if file not in drops | sidecars and file[0] != "."
        ]
    return stray


def is_landing_file(name: str) -> bool:
    """Returns whether a file of this name in the folder of a day is read."""
    return _DROP.fullmatch(name) is not None and _is_text(name)


def _is_text(name: str) -> bool:
    """Whether a name is UTF-8; one that is not reaches us with lone surrogates, which no table can hold."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


@lru_cache(maxsize=1 << 16)
def shown_name(name: str, pseudonyms: Pseudonyms) -> str:
    """Returns what a file of the landing zone is called in tables and messages.

    Whoever puts a file there chooses its name, so the name passes the boundary like a value: an identifier stays as it
    is, anything else and a secret has a pseudonym.
    """
    is_plain = _IMPORTED.fullmatch(name) or is_safe_identifier(name)
    return name if is_plain else pseudonyms.of_text(name)


def stray_name(name: str, pseudonyms: Pseudonyms) -> str:
    """Returns what a file that is not read is called, so that a person can find it: its name, but for a secret.

    Bytes that are no UTF-8 reach us as lone surrogates, which no JSON document may hold.
    """
    return pseudonyms.of_text(name) if secrets_in(name) else name.encode(errors="backslashreplace").decode()


def name_findings(drop: Drop) -> tuple[LineFinding, ...]:
    """Returns the findings about the name of a landing file, at line 0; none if it is shown as it is."""
    name = drop.path.name
    if drop.file_name == name:
        return ()
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()
    secrets = [LineFinding(0, rule, NAME_PATH, Action.DROPPED, digest) for rule in dict.fromkeys(secrets_in(name))]
    return tuple(secrets) or (LineFinding(0, NOT_AN_IDENTIFIER, NAME_PATH, Action.PSEUDONYMISED, digest),)


def public_name(name: str) -> str:
    """Returns what a source may be called in a sidecar: its name, or a digest of a name that is not public-safe."""
    if _is_text(name) and _SOURCE_FILE.fullmatch(name) and not secrets_in(name):
        return name
    return f"source-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"


def has_pseudonyms(landing: Path) -> bool:
    """Returns whether the sidecar of an import has a finding of a pseudonym."""
    word = f'"{Action.PSEUDONYMISED}"'.encode()
    return any(word in path.read_bytes() for path in landing.glob(f"*/*{SIDECAR_SUFFIX}"))


def dump_sidecar(handed_on: HandedOn, record_digests: str = "") -> bytes:
    """Writes what an import held back as JSON, with the digests of the records (``imported.py``)."""
    document = {
        "source_file": handed_on.source_file,
        "dropped_field_count": handed_on.dropped_field_count,
        "quarantined": [
            {"line": q.line_number, "sha256": q.sha256, "reason": q.reason, "field": q.field}
            for q in handed_on.quarantined
        ],
        "findings": [
            {"line": f.line_number, "rule": f.rule, "path": f.path, "action": f.action}
            | ({"sha256": f.sha256} if f.sha256 else {})
            for f in handed_on.findings
        ],
        "record_digests": record_digests,
    }
    return json.dumps(document, indent=1).encode()


_Count = Annotated[int, msgspec.Meta(ge=0)]
_Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
#: As long as the boundary's deepest path of its longest keys.
_Path = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.*\[\]-]{1,16384}\Z")]
#: Our own rules and the scanner's, whose names no list of ours holds.
_Rule = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9./_-]{0,127}\Z")]


class _HeldBack(msgspec.Struct):
    """A quarantined line of a sidecar."""

    line: _Count
    sha256: _Digest
    reason: Reason
    field: _Path | None


class _Finding(msgspec.Struct):
    """A finding of a sidecar."""

    line: _Count
    rule: _Rule
    path: _Path
    action: Action
    sha256: _Digest | None = None


class _Sidecar(msgspec.Struct):
    """A sidecar; its digests of records are read where records are compared."""

    source_file: Annotated[str, msgspec.Meta(pattern=rf"^{_SOURCE_FILE.pattern}\Z")]
    dropped_field_count: _Count
    quarantined: list[_HeldBack]
    findings: list[_Finding]


def load_sidecar(drop: Drop) -> HandedOn | None:
    """Reads a landing file's sidecar; a landing zone is an outside place, so every value is checked.

    Raises:
        UnreadableFile: The sidecar is not one that ``import`` writes.
    """
    try:
        read = msgspec.json.decode(sidecar_of(drop.path).read_bytes(), type=_Sidecar)
        texts = [read.source_file, *(text for line in read.quarantined for text in (line.sha256, line.field))]
        texts += [text for finding in read.findings for text in (finding.rule, finding.path, finding.sha256)]
        if any(text and secrets_in(text) for text in texts):
            raise ValueError
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError, msgspec.DecodeError):
        raise UnreadableFile(
            "the landing file's sidecar is not one that import wrote",
            where=f"{drop.name}{SIDECAR_SUFFIX}",
            remedy="Remove the landing file and its sidecar and import the source again",
        ) from None
    return HandedOn(
        read.source_file,
        tuple(
            QuarantinedLine(line.line, line.sha256, line.reason.value, line.field, None) for line in read.quarantined
        ),
        tuple(
            LineFinding(finding.line, finding.rule, finding.path, finding.action.value, finding.sha256)
            for finding in read.findings
        ),
        read.dropped_field_count,
    )
