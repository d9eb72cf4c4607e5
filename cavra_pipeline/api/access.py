"""Access control: bearer tokens with scopes, from a file of their SHA-256. Each endpoint declares its scope.

A token is 256 random bits, so a plain digest of it can't be guessed back; the file holds nothing else of it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cavra_pipeline.boundary.judge import actor_label
from cavra_pipeline.errors import PipelineError, UsageError
from cavra_pipeline.private import mode_to_give

SCOPES: Final = ("read", "plan", "acknowledge", "live")
#: Who asks where the service is open.
LOCAL_ACTOR: Final = "local"
_TOKEN: Final = re.compile(r"cavra_[A-Za-z0-9_-]{43}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_MOST_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller and its scopes.

    Attributes:
        name: The token's name, or ``local``.
        scopes: What it allows.
        has_token: Whether it showed a token.
    """

    name: str
    scopes: frozenset[str]
    has_token: bool

    @property
    def may_save(self) -> bool:
        """Whether what it asks for may leave evidence and show in Dagster; whoever may only read writes nothing."""
        return "plan" in self.scopes


@dataclass(frozen=True, slots=True)
class _StoredToken:
    name: str
    scopes: frozenset[str]
    digest: bytes


def new_token(name: str, scopes: Sequence[str]) -> tuple[str, str]:
    """Makes a token.

    Returns:
        The token, to be handed to its user and stored nowhere else, and the line for the file.

    Raises:
        UsageError: The name is not public-safe, or a scope is unknown.
    """
    checked = actor_label(name, where="name")
    if " " in checked:
        raise UsageError("a token's name has no spaces", where="name", remedy="Use - or . between words")
    for scope in scopes:
        if scope not in SCOPES:
            raise UsageError("there is no such scope", where="scope", remedy=f"Use {', '.join(SCOPES)}")
    token = f"cavra_{secrets.token_urlsafe(32)}"
    ordered = ",".join(scope for scope in SCOPES if scope in scopes)
    return token, f"{checked} {ordered} sha256:{_digest(token).hex()}"


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


class TokenFile:
    """The file of hashes; read again whenever it changes."""

    def __init__(self, path: Path) -> None:
        """Reads the file.

        Raises:
            PipelineError: It can't be read, others may read or write it, or a line is not a token's.
        """
        self._path = path
        self._stamp = (0, 0, 0)
        self._tokens: tuple[_StoredToken, ...] = ()
        self._refresh()

    def caller(self, token: str) -> Caller | None:
        """Returns who shows this token, or None. Every stored token is compared, in the same time whichever is right.

        Raises:
            PipelineError: The file has changed and can't be used.
        """
        self._refresh()
        digest = _digest(token) if _TOKEN.fullmatch(token) else b"\x00" * 32
        caller: Caller | None = None
        for stored_token in self._tokens:
            if hmac.compare_digest(stored_token.digest, digest):
                caller = Caller(stored_token.name, stored_token.scopes, has_token=True)
        return caller

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
            stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
            if stamp == self._stamp:
                return
            if right := mode_to_give(status):
                raise self._refused("others may read or change the file", f"Give it the mode {right:o}")
            if status.st_size > _MOST_BYTES:
                raise self._refused("the file is too large", "A line is a name, scopes and a sha256")
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            raise self._refused("the file can't be read", "Check its path, its owner and its mode") from None
        tokens = [
            self._stored_token(number, line)
            for number, line in enumerate(lines, 1)
            if line.strip() and not line.lstrip().startswith("#")
        ]
        self._tokens, self._stamp = tuple(tokens), stamp

    def _stored_token(self, number: int, line: str) -> _StoredToken:
        parts = line.split()
        remedy = "Write it as cavra-pipeline api-token prints it: NAME SCOPE,SCOPE sha256:HEX"
        if len(parts) != 3 or not _DIGEST.fullmatch(parts[2]):
            raise self._refused(f"line {number} is not a token's", remedy)
        scopes = frozenset(parts[1].split(","))
        if not scopes <= frozenset(SCOPES):
            raise self._refused(f"line {number} names an unknown scope", remedy)
        try:
            name = actor_label(parts[0], where=f"line {number}")
        except UsageError:
            raise self._refused(f"line {number} has a name that is not public-safe", remedy) from None
        return _StoredToken(name, scopes, bytes.fromhex(parts[2].removeprefix("sha256:")))

    def _refused(self, what: str, remedy: str) -> PipelineError:
        return PipelineError(what, where=f"CAVRA_API_TOKENS={self._path}", remedy=remedy)
