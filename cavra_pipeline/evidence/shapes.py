"""Shape of a source (contract section 1), decided once from its first bytes; its name has no say.

What has none of the shapes is wrong as a whole and refused here, with what it is and what to do about it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import islice
from typing import Any, Final

from cavra_pipeline.evidence.content import HEAD_BYTES, SQLITE_MAGIC, UnreadableFile, recognise
from cavra_pipeline.evidence.encoding import encoding_of

_BLANK: Final = " \t\r\n\0\ufeff"
#: Keys of a record; one without the first is quarantined, as in any other file.
_RECORD_KEYS: Final = frozenset({"session_id", "metadata_kind"})
_LINES: Final = re.compile(r"[\r\n\0]+")
_MISSING: Final = "Check the export that made it"
_ONE_A_LINE: Final = "Write one record a line, for example with jq -c {} FILE > FILE.jsonl"
_EXPORT: Final = (
    'Export records as JSON lines, as {"items": [...]}, or as a table evidence_metadata with a payload column'
)


class Shape(Enum):
    """Shapes that are imported."""

    JSON_LINES = "JSON lines"
    JSON_STORE = "a CAVRA JSON store"
    SQLITE_STORE = "a CAVRA SQLite store"


class _End(Enum):
    """How a JSON value ends in the text at hand."""

    COMPLETE = auto()
    CUT = auto()
    INVALID = auto()


@dataclass(slots=True)
class _Value:
    """The first JSON value of a text.

    Attributes:
        end: How it ends.
        keys: Keys of an object so far.
        rest: Text behind a complete value.
    """

    end: _End = _End.INVALID
    keys: set[str] = field(default_factory=set)
    rest: str = ""

    @property
    def is_store(self) -> bool:
        """Whether it is an object with ``items`` and no record."""
        return "items" in self.keys and "session_id" not in self.keys


def shape_of(head: bytes, name: str) -> Shape:
    """Returns the shape of a source.

    Args:
        head: Its first uncompressed bytes, all of them if there are fewer than ``HEAD_BYTES``.
        name: What messages call it.

    Raises:
        UnreadableFile: It is empty or has none of the shapes.
    """
    if not head:
        raise UnreadableFile("the file is empty", where=name, remedy=_MISSING)
    if head.startswith(SQLITE_MAGIC):
        return Shape.SQLITE_STORE
    recognise(head, name)
    is_whole = len(head) < HEAD_BYTES
    text = head.decode(encoding_of(head, name), "replace").lstrip(_BLANK)
    if not text:
        if not is_whole:
            return Shape.JSON_LINES
        nuls = head.count(0)
        what = f"there is nothing in it but {nuls} NUL bytes" if nuls else "there is no record in it"
        raise UnreadableFile(what, where=name, remedy=_MISSING)
    return _shape_of_text(text, name, is_whole=is_whole)


def _shape_of_text(text: str, name: str, *, is_whole: bool) -> Shape:
    first = _object_in(_LINES.split(text, maxsplit=1)[0])
    if first is not None:
        if isinstance(first.get("items"), list) and "session_id" not in first:
            return Shape.JSON_STORE
        if "session_id" in first:
            return Shape.JSON_LINES
    value = _first_value(text)
    is_read = value.end is _End.COMPLETE or (value.end is _End.CUT and not _is_record(_second_line(text)))
    if is_read and value.is_store:
        return Shape.JSON_STORE
    spans_lines = bool(_LINES.search(text[: len(text) - len(value.rest)].rstrip(_BLANK)))
    if is_read and spans_lines and text[0] in "[{":
        raise _over_several_lines(text, value, name)
    if any(_is_record(line) for line in _lines_of(text)):
        return Shape.JSON_LINES
    if value.is_store:
        return Shape.JSON_STORE
    if text[0] == "{" and not spans_lines and not is_whole:
        return Shape.JSON_LINES
    raise _unknown(text, value, name)


def _over_several_lines(text: str, value: _Value, name: str) -> UnreadableFile:
    if text[0] == "[":
        return _refused("a JSON array", name, _ONE_A_LINE.format("'.[]'"))
    what = "record" if "session_id" in value.keys else "object"
    return _refused(f"a JSON {what} over several lines", name, _ONE_A_LINE.format("."))


def _unknown(text: str, value: _Value, name: str) -> UnreadableFile:
    lines = list(_lines_of(text))
    if text[0] == "[" and value.end is not _End.INVALID:
        return _refused("a JSON array", name, _ONE_A_LINE.format("'.[]'"))
    if any(_object_in(line) is not None for line in lines):
        return _refused("JSON in which no line has a session_id or a metadata_kind", name, _EXPORT)
    if any(_is_record(line.rstrip(" ,")) for line in lines):
        return _refused("a list of records with commas between them", name, "Remove the comma at the end of each line")
    if text[0] == "\x1e":
        return _refused("a JSON text sequence (RFC 7464)", name, _ONE_A_LINE.format("--seq ."))
    if text[0] == "{" and value.end is _End.COMPLETE:
        return _refused("several JSON values on one line", name, _ONE_A_LINE.format("."))
    if text[0] == "{":
        return _refused("JSON that is damaged or cut short", name, "Export it again, one record a line")
    return UnreadableFile(
        "it is neither JSON lines, nor a CAVRA JSON store, nor a CAVRA SQLite store", where=name, remedy=_EXPORT
    )


def _refused(what: str, name: str, remedy: str) -> UnreadableFile:
    return UnreadableFile(f"it is {what}, neither JSON lines nor a CAVRA store", where=name, remedy=remedy)


def _lines_of(text: str) -> Iterator[str]:
    return (line for line in _LINES.split(text) if line.strip(_BLANK))


def _second_line(text: str) -> str:
    return next(islice(_lines_of(text), 1, None), "")


def _object_in(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line.strip(_BLANK))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_record(line: str) -> bool:
    return not _RECORD_KEYS.isdisjoint(_object_in(line) or ())


def _first_value(text: str) -> _Value:
    """Returns the first value as far as it can be read."""
    scan, value = json.JSONDecoder().raw_decode, _Value()
    try:
        if text[0] != "{":
            _, position = scan(text)
            value.end, value.rest = _End.COMPLETE, text[position:]
            return value
        position = skip_blank(text, 1)
        while text[position : position + 1] != "}":
            key, position = scan(text, position)
            value.keys.add(str(key))
            position = after(text, position, ":")
            _, position = scan(text, position)
            position = skip_blank(text, position)
            if text[position : position + 1] != "}":
                position = after(text, position, ",")
        value.end, value.rest = _End.COMPLETE, text[position + 1 :]
    except json.JSONDecodeError as error:
        is_cut = error.msg.startswith("Unterminated string") or not text[error.pos + len("-Infinity") :].strip(_BLANK)
        value.end = _End.CUT if is_cut else _End.INVALID
    except RecursionError:
        pass
    return value


def skip_blank(text: str, position: int) -> int:
    """Returns the first position from ``position`` on that holds no JSON whitespace."""
    while text[position : position + 1] in (" ", "\n", "\r", "\t") and position < len(text):
        position += 1
    return position


def after(text: str, position: int, mark: str) -> int:
    """Returns the position behind a mark and the whitespace around it.

    Raises:
        JSONDecodeError: Something else stands there.
    """
    position = skip_blank(text, position)
    if text[position : position + 1] != mark:
        raise json.JSONDecodeError(f"Expecting {mark!r}", text, position)
    return skip_blank(text, position + 1)
