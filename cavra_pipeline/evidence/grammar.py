"""The declared table of kinds as arrays, as ``reader.py`` asks it. Nothing is read or decided here."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cavra_pipeline.boundary.kinds import (
    COLUMNS,
    DELIVERIES_COLUMN,
    DELIVERIES_PATH,
    DELIVERY_MEMBERS,
    ENVELOPE,
    KINDS,
    Field,
    Kind,
    Type,
)
from cavra_pipeline.evidence.meaning import DELIVERY, subject_fields
from cavra_pipeline.evidence.reader import (
    FLAG,
    HASHED_BYTES,
    KIND_NAMES,
    LABEL,
    NONE,
    OBJECT,
    OBJECTS,
    ROOT,
    SOURCES,
    STAMP,
    TEXT,
    TEXTS,
    UNKNOWN_KIND,
    WHOLE,
    WHOLES,
    Grammar,
)
from cavra_pipeline.lanes import LANES, Lane

_CODES: Final = {
    Type.STRING: TEXT,
    Type.ACTOR: LABEL,
    Type.INTEGER: WHOLE,
    Type.BOOLEAN: FLAG,
    Type.TIMESTAMP: STAMP,
    Type.STRINGS: TEXTS,
    Type.INTEGERS: WHOLES,
}
_EVERY_KIND: Final = 2 ** (UNKNOWN_KIND + 1) - 1

_MOST_SUBJECT_FIELDS: Final = max(len(lane.subject_fields) for lane in LANES.values())

_FNV_START, _FNV_PRIME, _MASK = 0xCBF29CE484222325, 0x100000001B3, 2**64 - 1

Array = npt.NDArray[Any]

#: Where values go. A record has one cell for each column; that of a list holds how many elements it has.
CELLS: Final = (*COLUMNS, DELIVERIES_COLUMN, "subject", "outcomes")
_LISTS: Final = tuple(name for name, field in COLUMNS.items() if field.type in (Type.STRINGS, Type.INTEGERS))
#: The columns whose cells hold a list, then the members of the lists of objects: each has a row of elements.
ELEMENTS: Final = (
    *_LISTS,
    *(f"{DELIVERIES_COLUMN}.{name}" for name in DELIVERY_MEMBERS),
    *(f"outcomes.{name}" for name in ("provider", "is_failed", "status_code")),
)
FIRST_MEMBER: Final = len(_LISTS)
FIRST_OUTCOME: Final = FIRST_MEMBER + len(DELIVERY_MEMBERS)

#: The cells and elements with a meaning, in the order of the reader's ``SESSION_ID`` to ``FIRST_OUTCOME``.
_CELLS: Final = (
    "session_id", "metadata_kind", "created_at", "connector_delivery_source", "delivery_success", "subject",
    DELIVERIES_COLUMN, "outcomes", "providers", "failed_providers", "status_codes",
)  # fmt: skip
_ELEMENTS: Final = (
    "providers", "failed_providers", "status_codes", ELEMENTS[FIRST_MEMBER], f"{DELIVERIES_COLUMN}.provider",
    f"{DELIVERIES_COLUMN}.status_code", ELEMENTS[FIRST_OUTCOME],
)  # fmt: skip

RECORD_TYPES: Final = tuple(dict.fromkeys(kind.record_type for kind in KINDS.values()))
LANE_NAMES: Final = tuple(LANES)


def hash_of(parent: int, key: bytes) -> int:
    """FNV-1a over the end of the key, started by its parent (the FNV draft of the IETF, section 2)."""
    value = _FNV_START ^ parent
    for byte in key[-HASHED_BYTES:]:
        value = ((value ^ byte) * _FNV_PRIME) & _MASK
    return value


class _Tree:
    def __init__(self) -> None:
        self.numbers: dict[tuple[int, str], int] = {
            (NONE, ""): ROOT,
            (NONE, "kinds"): KIND_NAMES,
            (NONE, "sources"): SOURCES,
        }
        self.types, self.places, self.kinds = [OBJECT] * 3, [NONE] * 3, [0] * 3

    def add(self, parent: int, key: str, type_: int, place: int, kinds: int) -> int:
        node = self.numbers.setdefault((parent, key), len(self.numbers))
        if node == len(self.types):
            self.types.append(type_)
            self.places.append(place)
            self.kinds.append(0)
        if (self.types[node], self.places[node]) != (type_, place):
            raise ValueError(f"{key} is declared in two ways")
        self.kinds[node] |= kinds
        return node


def _paths() -> Iterator[tuple[Field, int]]:
    for field in ENVELOPE:
        yield field, _EVERY_KIND
    for number, kind in enumerate(KINDS.values()):
        for field in kind.fields:
            yield field, 1 << number


@cache
def grammar() -> Grammar:
    """Makes the arrays from the declared table.

    Raises:
        ValueError: A path is declared in two ways, or there are more kinds than bits.
    """
    if len(KINDS) > UNKNOWN_KIND:
        raise ValueError(f"there are {len(KINDS)} kinds, and bits for {UNKNOWN_KIND}")
    tree = _Tree()
    for field, kinds in _paths():
        *parents, last = field.path.split(".")
        node, is_member = ROOT, field.path.startswith(DELIVERIES_PATH)
        for parent in parents:
            is_list = parent.endswith("[]")
            place = CELLS.index(DELIVERIES_COLUMN) if is_list else NONE
            node = tree.add(node, parent.removesuffix("[]"), OBJECTS if is_list else OBJECT, place, kinds)
        place = ELEMENTS.index(f"{DELIVERIES_COLUMN}.{field.column}") if is_member else CELLS.index(field.column)
        tree.add(node, last, _CODES[field.type], place, kinds)
    for number, name in enumerate(KINDS):
        tree.add(KIND_NAMES, name, TEXT, number, 0)
    for number, lane in enumerate(LANES.values()):
        tree.add(SOURCES, lane.delivery_source, TEXT, number, 0)
    keys = [key.encode() for _, key in tree.numbers]
    lengths = np.array([len(key) for key in keys])
    parents_of = [parent for parent, _ in tree.numbers]
    nodes = [parents_of, tree.types, tree.places, tree.kinds, np.cumsum(lengths) - lengths, lengths]
    return Grammar(
        nodes=np.array(nodes, np.int64).T.copy(),
        keys=np.frombuffer(b"".join(keys), np.uint8),
        table=_hashed(tree.numbers),
        kinds=np.array([_meaning(kind) for kind in KINDS.values()], np.int64),
        subjects=np.array([[_subject_cells(name, lane) for lane in LANES.values()] for name in RECORD_TYPES], np.int64),
        lists=np.array([_LISTS.index(name) if name in _LISTS else NONE for name in CELLS], np.int64),
        places=np.array([*map(CELLS.index, _CELLS), *map(ELEMENTS.index, _ELEMENTS), RECORD_TYPES.index(DELIVERY)]),
    )


def _meaning(kind: Kind) -> tuple[int, int]:
    return RECORD_TYPES.index(kind.record_type), LANE_NAMES.index(kind.lane) if kind.lane else NONE


def _subject_cells(record_type: str, lane: Lane) -> list[int]:
    cells = [CELLS.index(name) for name in subject_fields(record_type, lane)]
    return [*cells, *[NONE] * (_MOST_SUBJECT_FIELDS - len(cells))]


def _hashed(nodes: dict[tuple[int, str], int]) -> Array:
    size = 1 << (4 * len(nodes)).bit_length()
    table = np.full(size, NONE, np.int64)
    for (parent, key), node in nodes.items():
        if parent == NONE:
            continue
        place = hash_of(parent, key.encode()) & (size - 1)
        while table[place] != NONE:
            place = (place + 1) & (size - 1)
        table[place] = node
    return table
