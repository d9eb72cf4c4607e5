"""Shared forms of answers: instants as text, whole minutes, content-made ids, canonical JSON. No rule of a report."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from typing import IO, Any, Final

from cavra_pipeline.boundary.parsing import parse_timestamp
from cavra_pipeline.errors import UsageError
from cavra_pipeline.escaping import csv_cell, visible_json

PRODUCT: Final = "CAVRA"
SCHEMA_PREFIX: Final = "cavra.go-backend-pilot.rollback-drill-acknowledgement-audit-delivery-"
DEFAULT_GENERATED_BY: Final = "cavra-pipeline"

#: Members that do not count for a document's id: when and by whom it was asked for, and what came after its instant.
_UNIDENTIFYING: Final = frozenset({"generated_at", "generated_by", "future_record_count"})

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def parse_as_of(text: str) -> datetime:
    """Reads an instant a person gave, in UTC.

    Raises:
        UsageError: It is not an ISO-8601 timestamp.
    """
    try:
        return parse_timestamp(text.strip())
    except ValueError:
        raise UsageError(
            "the instant is not an ISO-8601 timestamp",
            where="as_of",
            remedy="Write it as 2026-06-25T15:07:25Z; without an offset it is UTC",
        ) from None


def naive_utc(moment: datetime) -> datetime:
    """Returns the instant as the warehouse stores it: UTC without a zone; one without a zone is in UTC already."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def shifted(moment: datetime, span: timedelta) -> datetime:
    """Returns the instant a span later, or earlier if the span is negative; at most the last or first one there is."""
    try:
        return moment + span
    except OverflowError:
        last = datetime.max if span > timedelta() else datetime.min  # noqa: DTZ901 -- its zone is the instant's
        return last.replace(tzinfo=moment.tzinfo)


def instant(moment: object) -> str | None:
    """Returns an instant of the warehouse as ISO-8601 text in UTC, or None."""
    if not isinstance(moment, datetime):
        return None
    return moment.isoformat() if moment.tzinfo else f"{moment.isoformat()}+00:00"


def moment_of(text: str | None) -> datetime | None:
    """Returns the instant that ``instant`` has written, as the warehouse stores it."""
    return naive_utc(datetime.fromisoformat(text)) if text else None


def with_instants(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Returns a row with its instants as ISO-8601 text in UTC."""
    return {name: instant(value) if isinstance(value, datetime) else value for name, value in row.items()}


def csv_value(value: object) -> object:
    """Returns a value as a cell of CSV, which no spreadsheet takes for a formula.

    Instants are ISO-8601, booleans and objects as JSON has them, lists are joined by spaces.
    """
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(x, dict | list | tuple) for x in value)):
        return csv_cell(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_text))
    if isinstance(value, list):
        return csv_cell([_text(member) for member in value])
    return csv_cell(_text(value) if isinstance(value, date | bool) else value)


def write_csv(file: IO[str], names: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Writes a header and rows as CSV: texts quoted, lines ended by a newline, values as ``csv_value`` has them."""
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(map(csv_value, names))
    writer.writerows(map(csv_value, row) for row in rows)


def _text(value: object) -> str:
    """Returns a value that JSON has no form for: days and instants as ISO-8601, decimals and the rest as they print."""
    if isinstance(value, datetime):
        return instant(value) or ""
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date) else str(value)


def whole_minutes(age: timedelta) -> int:
    """Returns the age in whole minutes, rounded down."""
    return age // timedelta(minutes=1)


def ascending(moments: Sequence[datetime]) -> list[datetime]:
    """Returns the distinct instants in order, as a statement over many instants takes them."""
    return sorted({naive_utc(moment) for moment in moments})


class SharedItem(dict[str, object]):
    """An item that may be in the documents of several instants and never changes; its JSON is made once."""

    __slots__ = ("text",)

    def __init__(self, members: Mapping[str, object]) -> None:
        """Copies the members and makes the canonical JSON."""
        super().__init__(members)
        self.text: Final = _json(self).encode()


def spread(
    rows: Iterable[Mapping[str, Any]], instants: int, make: Callable[[Mapping[str, Any]], dict[str, object]]
) -> list[list[dict[str, object]]]:
    """Adds each row's item to every instant that sees it: those numbered ``first_seen`` to ``last_seen``, from 1."""
    items_by_instant: list[list[dict[str, object]]] = [[] for _ in range(instants)]
    for row in rows:
        item = make(row)
        if instants > 1:
            item = SharedItem(item)
        for seen in items_by_instant[row["first_seen"] - 1 : row["last_seen"]]:
            seen.append(item)
    return items_by_instant


def count_seen(rows: Iterable[Mapping[str, Any]], instants: int) -> list[int]:
    """Counts the rows that each instant sees: those numbered ``first_seen`` to ``last_seen``, from 1."""
    changes = [0] * (instants + 1)
    for row in rows:
        changes[row["first_seen"] - 1] += 1
        changes[row["last_seen"]] -= 1
    return list(accumulate(changes[:-1]))


def canonical_json(document: object) -> str:
    """Returns the document as JSON that is the same for the same content."""
    return canonical_bytes(document).decode()


def canonical_bytes(document: object) -> bytes:
    """Returns ``canonical_json`` in UTF-8."""
    return b"".join(_pieces(document))


def _pieces(document: object) -> Iterator[bytes]:
    """The canonical JSON of a document, in pieces: lists of items whose JSON is made already, and what is between."""
    if not isinstance(document, Mapping):
        yield _json(document).encode()
        return
    text = "{"
    for place, name in enumerate(sorted(document)):
        value = document[name]
        text += f"{',' if place else ''}{_json(name)}:"
        # All at once is quicker than one by one, unless some are made already.
        if isinstance(value, list) and any(isinstance(item, SharedItem) for item in value):
            yield f"{text}[".encode()
            yield b",".join(item.text if isinstance(item, SharedItem) else _json(item).encode() for item in value)
            text = "]"
        else:
            text += _json(value)
    yield f"{text}}}".encode()


def _json(value: object) -> str:
    return _ENCODER.encode(value)


def pretty_json(document: object) -> str:
    """Returns the document as an answer shows it: the same text on the command line and over HTTP."""
    return visible_json(json.dumps(document, ensure_ascii=False, indent=2, default=_text))


def digest_of(*parts: object) -> str:
    """Returns the SHA-256 of the parts as hexadecimal, for ids that follow from content."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()


def identified(document: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the members of a document that count for its id."""
    return {name: value for name, value in document.items() if name not in _UNIDENTIFYING}


def identify(prefix: str, document: Mapping[str, object]) -> str:
    """Makes an id from a document's content, so that the same answer has the same id."""
    digest = hashlib.sha256()
    for piece in _pieces(identified(document)):
        digest.update(piece)
    return f"{prefix}-{digest.hexdigest()[:24]}"
