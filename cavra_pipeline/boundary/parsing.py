"""One raw line as a JSON object, and timestamps: strict, since what is read in two ways could hide something."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Final, NoReturn

from cavra_pipeline.boundary.verdict import Reason, Rejection

MAX_LINE_BYTES: Final = 4 * 1024 * 1024

#: What ``fromisoformat`` may be given: it also reads what is not ISO-8601, and newer Pythons more than older ones.
_DATE_AND_TIME = re.compile(
    r"(?:[0-9W-]{8}|[0-9W-]{10})[Tt ](?!24)[0-9]{2}(?::?[0-9]{2}(?::?[0-9]{2}(?:[.,][0-9]+)?)?)?"
    r"(?:[Zz]|[+-][0-9]{2}(?::?[0-5][0-9])?)?"
)
#: A longer number is only ever left out, or of the wrong type; Python refuses to read some thousands of digits.
_MAX_DIGITS = 400

Object = dict[str, object]


class Ambiguous(Object):
    """A parsed JSON object in which a key came twice."""


def _object(pairs: list[tuple[str, object]]) -> Object:
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else Ambiguous(fields)


def _not_json(_literal: str) -> NoReturn:
    raise ValueError("not a JSON number")


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_not_json, parse_int=_whole)


def parse_timestamp(text: str) -> datetime:
    """Reads an ISO-8601 timestamp; without an offset it is UTC. Digits past the microsecond are cut.

    Raises:
        ValueError: It is not a date with a time, or lies outside the years 1 to 9999 in UTC.
    """
    if not _DATE_AND_TIME.fullmatch(text):
        raise ValueError("not a timestamp")
    try:
        # RFC 3339 allows the letters in lower case; Python reads `z` from 3.12 on.
        moment = datetime.fromisoformat(text.replace("z", "Z") if text.endswith("z") else text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise ValueError("not a timestamp") from None


def parse(raw: bytes) -> Object:
    """Reads one line.

    Raises:
        Rejection: It is too long, no UTF-8, no JSON or no object.
    """
    if len(raw) > MAX_LINE_BYTES:
        raise Rejection(Reason.LINE_TOO_LONG)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Rejection(Reason.INVALID_UTF8) from None
    try:
        parsed: object = _DECODER.decode(text)
    except (ValueError, RecursionError):
        raise Rejection(Reason.NOT_JSON) from None
    if not isinstance(parsed, dict):
        raise Rejection(Reason.NOT_AN_OBJECT)
    return parsed
