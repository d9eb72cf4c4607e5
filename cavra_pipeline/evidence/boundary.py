"""The public-safe boundary for one raw line (contract section 3): the reference that decides.

``screen.py`` proves most lines clean set-wise and sends the rest here; both must agree, and a property
test holds them to it. No file is read and nothing is stored here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, lru_cache
from typing import Final, NamedTuple, NoReturn

from cavra_pipeline.errors import UsageError
from cavra_pipeline.evidence.kinds import KINDS, Field, Type, fields_of
from cavra_pipeline.evidence.secrets import SENSITIVE_KEY_CODE, is_redacted, is_sensitive_key, secrets_in

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


class _Object(dict[str, object]):
    """A parsed JSON object that remembers whether a key came twice."""

    has_duplicate = False


def _object(pairs: list[tuple[str, object]]) -> _Object:
    made = _Object(pairs)
    made.has_duplicate = len(made) != len(pairs)
    return made


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
    if not isinstance(parsed, _Object):
        raise _Fault(Reason.NOT_AN_OBJECT)
    return parsed


class _Key(NamedTuple):
    """What a key says by itself. One that could itself carry content is shown as ``*``."""

    shown: str
    has_secret: bool
    is_sensitive: bool


def _key(key: str) -> _Key:
    has_secret = bool(secrets_in(key))
    return _Key(key if _SAFE_KEY.fullmatch(key) and not has_secret else "*", has_secret, is_sensitive_key(key))


#: The same few keys come in every record. Only short ones are remembered, so the memory is bounded.
_remembered_key = lru_cache(maxsize=4096)(_key)


@dataclass(frozen=True, slots=True)
class _Leaf:
    path: str
    key: str
    value: object
    under_sensitive_key: bool


def _leaves(value: object, path: str = "", key: str = "", sensitive: bool = False, depth: int = 0) -> Iterator[_Leaf]:
    if depth > MAX_DEPTH:
        raise _Fault(Reason.NOT_JSON)
    if isinstance(value, dict):
        if isinstance(value, _Object) and value.has_duplicate:
            raise _Fault(Reason.DUPLICATE_KEY)
        for name, member in value.items():
            told = _remembered_key(name) if len(name) <= _LONG_KEY else _key(name)
            inside = f"{path}.{told.shown}" if path else told.shown
            if told.has_secret:
                yield _Leaf(inside, "", name, False)
            yield from _leaves(member, inside, name, sensitive or told.is_sensitive, depth + 1)
    elif isinstance(value, list):
        for member in value:
            yield from _leaves(member, f"{path}[]", key, sensitive, depth + 1)
    else:
        yield _Leaf(path, key, value, sensitive)


def _codes(leaf: _Leaf) -> list[str]:
    """The rules one leaf breaks. A number under a ``*token*`` key is a count, not a token."""
    codes = secrets_in(leaf.value) if isinstance(leaf.value, str) else []
    if leaf.under_sensitive_key and not codes:
        text = isinstance(leaf.value, str) and not is_redacted(leaf.value)
        number = isinstance(leaf.value, int | float) and not isinstance(leaf.value, bool)
        if text or (number and "token" not in leaf.key.lower()):
            return [SENSITIVE_KEY_CODE]
    return codes


def _value(value: object, field: Field) -> object:
    """Checks one allowlisted value against its declared type and returns it as it is kept."""
    return None if value is None else _CHECKS[field.type](value, field)


def _text(value: object, field: Field) -> str:
    if not isinstance(value, str):
        raise _Fault(Reason.WRONG_TYPE, field.path)
    if _NOT_TEXT.search(value):
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


@dataclass
class _Cut:
    """The allowlisted part of a record, and which of its paths fell outside."""

    record: dict[str, object]
    dropped: set[str]


class _Allowlist(NamedTuple):
    """What of a kind may pass: its fields, their paths, and the fields by the keys that lead to them."""

    fields: tuple[Field, ...]
    paths: frozenset[str]
    tree: dict[str, object]


@cache
def _allowlist(kind: str) -> _Allowlist:
    fields = fields_of(kind)
    tree: dict[str, object] = {}
    for field in fields:
        *parents, last = field.path.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})  # type: ignore[assignment]
        node[last] = field
    return _Allowlist(fields, frozenset(field.path for field in fields), tree)


def _cut(record: _Object, allowlist: _Allowlist) -> _Cut:
    """Keeps the declared fields of an object, nested ones included, and lists the topmost paths left out."""
    cut = _Cut({}, set())
    cut.record = _cut_object(record, allowlist.tree, "", cut.dropped)
    return cut


def _cut_object(record: dict[str, object], tree: dict[str, object], path: str, dropped: set[str]) -> dict[str, object]:
    kept: dict[str, object] = {}
    for key, value in record.items():
        here = f"{path}.{key}" if path else key
        node = tree.get(key)
        if isinstance(node, Field):
            kept[key] = _value(value, node)
        elif f"{key}[]" in tree:
            kept[key] = _cut_list(value, tree[f"{key}[]"], here, dropped)  # type: ignore[arg-type]
        elif isinstance(node, dict):
            if value is not None and not isinstance(value, dict):
                raise _Fault(Reason.WRONG_TYPE, here)
            kept[key] = None if value is None else _cut_object(value, node, here, dropped)
        else:
            dropped.add(here)
    return kept


def _cut_list(value: object, tree: dict[str, object], path: str, dropped: set[str]) -> list[object] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _Fault(Reason.WRONG_TYPE, path)
    return [_cut_object(item, tree, f"{path}[]", dropped) for item in value]


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
        secret_field: str | None = None
        for leaf in _leaves(record):
            inside = leaf.path.removesuffix("[]") in allowlist.paths
            for code in _codes(leaf):
                findings.append(Finding(code, leaf.path, Action.QUARANTINED if inside else Action.DROPPED))
                secret_field = leaf.path if inside else secret_field
            if not inside and _is_unsafe_actor(leaf):
                findings.append(Finding(ACTOR_CODE, leaf.path, Action.DROPPED))
        if secret_field:
            raise _Fault(Reason.SECRET, secret_field)
        return _kept(record, allowlist, findings)
    except _Fault as fault:
        return Quarantined(fault.reason, fault.field, _distinct(findings), created_at)


def _kept(record: _Object, allowlist: _Allowlist, findings: list[Finding]) -> Kept:
    for field in allowlist.fields:
        if field.required:
            value = record.get(field.path)
            if value is None or (isinstance(value, str) and not value.strip()):
                raise _Fault(Reason.MISSING_FIELD, field.path)
    cut = _cut(record, allowlist)
    if len(str(cut.record["session_id"])) > MAX_SESSION_ID_CHARACTERS:
        raise _Fault(Reason.TOO_LONG, "session_id")
    for field in allowlist.fields:
        label = cut.record.get(field.path)
        if field.type is Type.ACTOR and label and not _ACTOR_LABEL.fullmatch(str(label)):
            cut.record[field.path] = REDACTED_ACTOR
            findings.append(Finding(ACTOR_CODE, field.path, Action.REDACTED))
    return Kept(cut.record, len(cut.dropped), _distinct(findings))


def _created_at(record: _Object) -> datetime | None:
    """The instant a record says it was made, if it says so, to lay even a quarantined record under its day."""
    value = record.get("created_at")
    try:
        return parse_timestamp(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _is_unsafe_actor(leaf: _Leaf) -> bool:
    return (
        isinstance(leaf.value, str)
        and leaf.value != ""
        and _ACTOR_KEY.fullmatch(leaf.key) is not None
        and not _ACTOR_LABEL.fullmatch(leaf.value)
    )


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
