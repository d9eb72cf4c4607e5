"""The public-safe boundary for one raw line (contract section 3): the reference that decides.

``screen.py`` proves most lines clean set-wise and sends the rest here; both must agree, and a property
test holds them to it. No file is read and nothing is stored here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple, NoReturn

from cavra_pipeline.errors import UsageError
from cavra_pipeline.evidence.kinds import KINDS, Field, Type, fields_of
from cavra_pipeline.evidence.secrets import (
    SENSITIVE_KEY_CODE,
    is_redacted,
    is_sensitive_key,
    secrets_in,
    suspects_in,
)

MAX_LINE_BYTES: Final = 4 * 1024 * 1024
MAX_SESSION_ID_CHARACTERS: Final = 512
#: Objects and lists inside each other; deeper is no record, and a walk of it could overrun the stack.
MAX_DEPTH: Final = 100
REDACTED_ACTOR: Final = "redacted-actor"
ACTOR_LABEL: Final = "[A-Za-z0-9][A-Za-z0-9 ._:/-]{0,127}"
ACTOR_CODE: Final = "unsafe-actor-label"

_ACTOR_LABEL = re.compile(ACTOR_LABEL)
_ACTOR_KEY = re.compile(r"signer|actor|operator|[a-z_]+_by")
#: Long enough for every declared key: a shown path is also what the allowlist is asked about.
_SAFE_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")
_LONG_KEY: Final = 128
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")
_INT64 = range(-(2**63), 2**63)
#: What ``fromisoformat`` may be given: a whole date, a separator and an hour. Newer Pythons read more than older ones.
_DATE_AND_TIME = re.compile(r"(?:[0-9W-]{8}|[0-9W-]{10})[Tt ](?!24)[0-9]{2}.*")


class Reason(StrEnum):
    """Why a line was quarantined."""

    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    DUPLICATE_KEY = "duplicate_key"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    BAD_TIMESTAMP = "bad_timestamp"
    TOO_LONG = "value_too_long"
    INVALID_UTF8 = "invalid_utf8"
    LINE_TOO_LONG = "line_too_long"
    SECRET = "secret_in_field"  # noqa: S105 -- a reason code


class Action(StrEnum):
    """What became of the value a finding is about."""

    DROPPED = "dropped"
    QUARANTINED = "quarantined"
    REDACTED = "redacted"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not public-safe: the rule, the dotted path and what became of it. Never the value."""

    rule: str
    path: str
    action: Action


@dataclass(frozen=True, slots=True)
class Kept:
    """A record that may pass, cut down to its allowlist."""

    record: dict[str, object]
    dropped_field_count: int
    findings: tuple[Finding, ...]

    def line(self) -> str:
        """The record as one JSON line, as ``import`` writes it."""
        return json.dumps(self.record, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A line that may not pass: the reason code, the allowlisted field it is about, if any, and the findings."""

    reason: Reason
    field: str | None
    findings: tuple[Finding, ...] = ()
    created_at: datetime | None = None


class _Fault(Exception):
    """Internal: stops the judgement of one line."""

    def __init__(self, reason: Reason, field: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.field = reason, field


_Object = dict[str, object]


class _Ambiguous(_Object):
    """A parsed JSON object in which a key came twice."""


def _object(pairs: list[tuple[str, object]]) -> _Object:
    made = dict(pairs)
    return made if len(made) == len(pairs) else _Ambiguous(made)


def _not_json(_literal: str) -> NoReturn:
    raise ValueError("not a JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_not_json)


def parse_timestamp(text: str) -> datetime:
    """Reads an ISO-8601 timestamp; without an offset it is UTC. Digits past the microsecond are cut.

    Raises:
        ValueError: It is not a date with a time, or lies outside the years 1 to 9999 in UTC.
    """
    if not _DATE_AND_TIME.fullmatch(text):
        raise ValueError("not a timestamp")
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise ValueError("not a timestamp") from None


def _parse(raw: bytes) -> _Object:
    if len(raw) > MAX_LINE_BYTES:
        raise _Fault(Reason.LINE_TOO_LONG)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _Fault(Reason.INVALID_UTF8) from None
    try:
        parsed: object = _DECODER.decode(text)
    except (ValueError, RecursionError):
        raise _Fault(Reason.NOT_JSON) from None
    if not isinstance(parsed, dict):
        raise _Fault(Reason.NOT_AN_OBJECT)
    return parsed


class _Key(NamedTuple):
    """What a key says by itself. One that could itself carry content is shown as ``*``."""

    shown: str
    has_secret: bool
    is_sensitive: bool
    is_token: bool
    is_actor: bool


def _key(key: str) -> _Key:
    has_secret = bool(secrets_in(key))
    return _Key(
        key if _SAFE_KEY.fullmatch(key) and not has_secret else "*",
        has_secret,
        is_sensitive_key(key),
        "token" in key.lower(),
        _ACTOR_KEY.fullmatch(key) is not None,
    )


#: The same few keys come in every record. Only short ones are remembered, so the memory is bounded.
_remembered_key = lru_cache(maxsize=4096)(_key)
_NO_KEY: Final = _Key("", has_secret=False, is_sensitive=False, is_token=False, is_actor=False)


@dataclass(slots=True)
class _Search:
    """Looks through all of a record, what is outside the allowlist too, for what is not public-safe.

    Attributes:
        allowed: The paths of the allowlist.
        suspects: The texts that may hold a secret; None if any may.
        findings: What was found so far.
        secret_field: The last allowlisted field in which there was a secret.
    """

    allowed: frozenset[str]
    suspects: frozenset[str] | None
    findings: list[Finding]
    secret_field: str | None = None

    def look(self, value: object, path: str, key: _Key, is_sensitive: bool, depth: int) -> None:
        """Looks at a value under a key, and at all that is inside of it."""
        if depth > MAX_DEPTH:
            raise _Fault(Reason.NOT_JSON)
        if isinstance(value, dict):
            self._look_into(value, path, is_sensitive, depth + 1)
        elif isinstance(value, list):
            for member in value:
                self.look(member, f"{path}[]", key, is_sensitive, depth + 1)
        elif key.is_actor or is_sensitive or self.suspects is None or value in self.suspects:
            self._look_at(value, path, key, is_sensitive)

    def _look_into(self, record: _Object, path: str, is_sensitive: bool, depth: int) -> None:
        if isinstance(record, _Ambiguous):
            raise _Fault(Reason.DUPLICATE_KEY)
        for name, member in record.items():
            told = _remembered_key(name) if len(name) <= _LONG_KEY else _key(name)
            inside = f"{path}.{told.shown}" if path else told.shown
            if told.has_secret:
                self._look_at(name, inside, _NO_KEY, is_sensitive=False)
            self.look(member, inside, told, is_sensitive or told.is_sensitive, depth)

    def _look_at(self, value: object, path: str, key: _Key, is_sensitive: bool) -> None:
        is_inside = path.removesuffix("[]") in self.allowed
        for code in _codes(value, key, is_sensitive):
            self.findings.append(Finding(code, path, Action.QUARANTINED if is_inside else Action.DROPPED))
            self.secret_field = path if is_inside else self.secret_field
        if key.is_actor and not is_inside and isinstance(value, str) and value and not _ACTOR_LABEL.fullmatch(value):
            self.findings.append(Finding(ACTOR_CODE, path, Action.DROPPED))


def _codes(value: object, key: _Key, is_sensitive: bool) -> list[str]:
    """The rules that one value breaks. A number under a ``*token*`` key is a count, not a token."""
    codes = secrets_in(value) if isinstance(value, str) else []
    if is_sensitive and not codes:
        text = isinstance(value, str) and not is_redacted(value)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if text or (number and not key.is_token):
            return [SENSITIVE_KEY_CODE]
    return codes


def _text(value: object, field: Field) -> str:
    if not isinstance(value, str):
        raise _Fault(Reason.WRONG_TYPE, field.path)
    if ("\0" in value or not value.isascii()) and _NOT_TEXT.search(value):
        raise _Fault(Reason.INVALID_UTF8, field.path)
    return value


def _integer(value: object, field: Field) -> int:
    """JSON has one number type: 3.0 is the whole number 3 (JSON Schema 2020-12, section 6.1.1)."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value not in _INT64:
        raise _Fault(Reason.WRONG_TYPE, field.path)
    return value


def _boolean(value: object, field: Field) -> bool:
    if not isinstance(value, bool):
        raise _Fault(Reason.WRONG_TYPE, field.path)
    return value


def _timestamp(value: object, field: Field) -> str | None:
    """A timestamp as ISO-8601 in UTC; an empty one counts as absent."""
    text = _text(value, field).strip()
    try:
        return parse_timestamp(text).isoformat() if text else None
    except ValueError:
        raise _Fault(Reason.BAD_TIMESTAMP, field.path) from None


def _texts(value: object, field: Field) -> list[str]:
    if not isinstance(value, list):
        raise _Fault(Reason.WRONG_TYPE, field.path)
    return [_text(item, field) for item in value]


def _integers(value: object, field: Field) -> list[int | None]:
    if not isinstance(value, list):
        raise _Fault(Reason.WRONG_TYPE, field.path)
    return [None if item is None else _integer(item, field) for item in value]


_CHECKS: Final[dict[Type, Callable[[object, Field], object]]] = {
    Type.STRING: _text,
    Type.ACTOR: _text,
    Type.INTEGER: _integer,
    Type.BOOLEAN: _boolean,
    Type.TIMESTAMP: _timestamp,
    Type.STRINGS: _texts,
    Type.INTEGERS: _integers,
}


class _Declared(NamedTuple):
    """A field, and the check of a value against its type, which returns it as it is kept."""

    field: Field
    check: Callable[[object, Field], object]


class _Allowlist(NamedTuple):
    """What of a kind may pass: the paths of its fields, those with a rule of their own, and all by their keys.

    In the tree stands, by its key, a declared field, or the tree of an object, or as ``key[]`` of a list of objects.
    """

    paths: frozenset[str]
    required: tuple[str, ...]
    actors: tuple[str, ...]
    tree: dict[str, Any]


@cache
def _allowlist(kind: str) -> _Allowlist:
    fields = fields_of(kind)
    tree: dict[str, Any] = {}
    for field in fields:
        *parents, last = field.path.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = _Declared(field, _CHECKS[field.type])
    return _Allowlist(
        frozenset(field.path for field in fields),
        tuple(field.path for field in fields if field.required),
        tuple(field.path for field in fields if field.type is Type.ACTOR),
        tree,
    )


def _cut(record: _Object, tree: dict[str, Any], path: str, dropped: set[str]) -> _Object:
    """Keeps the declared fields of an object, nested ones included, and notes the topmost paths left out."""
    kept: _Object = {}
    for key, value in record.items():
        node = tree.get(key)
        if isinstance(node, _Declared):
            kept[key] = None if value is None else node.check(value, node.field)
            continue
        here = f"{path}.{key}" if path else key
        if f"{key}[]" in tree:
            kept[key] = _cut_list(value, tree[f"{key}[]"], here, dropped)
        elif node is not None:
            if value is not None and not isinstance(value, dict):
                raise _Fault(Reason.WRONG_TYPE, here)
            kept[key] = None if value is None else _cut(value, node, here, dropped)
        else:
            dropped.add(here)
    return kept


def _cut_list(value: object, tree: dict[str, Any], path: str, dropped: set[str]) -> list[_Object] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _Fault(Reason.WRONG_TYPE, path)
    return [_cut(item, tree, f"{path}[]", dropped) for item in value]


def judge(raw: bytes) -> Kept | Quarantined:
    """Decides what of one raw line may pass.

    Args:
        raw: The line's bytes, without its line ending.

    Returns:
        The allowlisted record, or the reason why nothing of it is kept. Findings name rule and path only.
    """
    findings: list[Finding] = []
    created_at: datetime | None = None
    try:
        record = _parse(raw)
        created_at = _created_at(record)
        kind = record.get("metadata_kind")
        allowlist = _allowlist(kind if isinstance(kind, str) and kind in KINDS else "")
        search = _Search(allowlist.paths, suspects_in(raw), findings)
        search.look(record, "", _NO_KEY, is_sensitive=False, depth=0)
        if search.secret_field:
            raise _Fault(Reason.SECRET, search.secret_field)
        return _kept(record, allowlist, findings)
    except _Fault as fault:
        return Quarantined(fault.reason, fault.field, _distinct(findings), created_at)


def _kept(record: _Object, allowlist: _Allowlist, findings: list[Finding]) -> Kept:
    for path in allowlist.required:
        value = record.get(path)
        if value is None or (isinstance(value, str) and not value.strip()):
            raise _Fault(Reason.MISSING_FIELD, path)
    dropped: set[str] = set()
    kept = _cut(record, allowlist.tree, "", dropped)
    if len(str(kept["session_id"])) > MAX_SESSION_ID_CHARACTERS:
        raise _Fault(Reason.TOO_LONG, "session_id")
    for path in allowlist.actors:
        label = kept.get(path)
        if label and not _ACTOR_LABEL.fullmatch(str(label)):
            kept[path] = REDACTED_ACTOR
            findings.append(Finding(ACTOR_CODE, path, Action.REDACTED))
    return Kept(kept, len(dropped), _distinct(findings))


def _created_at(record: _Object) -> datetime | None:
    """The instant a record says it was made, if it says so, to lay even a quarantined record under its day."""
    value = record.get("created_at")
    try:
        return parse_timestamp(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _distinct(findings: list[Finding]) -> tuple[Finding, ...]:
    return tuple(dict.fromkeys(findings))


def actor_label(text: str, *, where: str) -> str:
    """Returns a caller's label if it is public-safe.

    Raises:
        UsageError: It is not; the message gives the rule, not the label.
    """
    if not _ACTOR_LABEL.fullmatch(text) or secrets_in(text):
        raise UsageError(
            "the label is not public-safe",
            where=where,
            remedy="Use 1 to 128 letters, digits, spaces and . _ : / -, starting with a letter or digit",
        )
    return text
