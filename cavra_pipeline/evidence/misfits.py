"""Finds typed rows with a text that may not be of its declared format, or in which the scanner finds a secret.

Each distinct text of a format is looked at once. A row that is named here costs the slow path and changes nothing; one
that is missed would be a hole. So the patterns accept less than ``formats.py`` does, and a property test holds the two
together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cavra_pipeline.boundary.fields import LISTS, Field, Format, Type
from cavra_pipeline.boundary.formats import (
    ACTOR_LABEL,
    IDENTIFIER,
    MANY_LETTERS,
    MAX_IDENTIFIER_CHARACTERS,
    MAX_WORD_LETTERS,
    PROVIDER,
)
from cavra_pipeline.boundary.kinds import COLUMNS
from cavra_pipeline.boundary.scanner import hit_lines

_WHOLE: Final = r"\A(?:%s)?\z"
_IDENTIFIER: Final = _WHOLE % IDENTIFIER
_PROVIDER: Final = _WHOLE % f"(?i:{PROVIDER})"
_LABEL: Final = _WHOLE % ACTOR_LABEL
_TEXT_TYPES: Final = (Type.STRING, Type.STRINGS, Type.ACTOR)
_FIELDS: Final = tuple(field for field in COLUMNS.values() if field.type in _TEXT_TYPES)
_MEMBERS: Final = {
    column: tuple(field for field in listed.members if field.type in _TEXT_TYPES) for column, listed in LISTS.items()
}

Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]


def misfits_in(rows: pa.Table) -> Flags:
    """Returns for each typed row whether one of its texts may be a secret or not of its declared format.

    Raises:
        ScannerFailed: The scanner is missing or raised.
    """
    are_misfits = np.zeros(len(rows), bool)
    for declared, texts in _texts_by_format(rows):
        encoded = pa.chunked_array([column for column, _ in texts]).dictionary_encode()
        distinct = encoded.chunk(0).dictionary
        misfit = ~np.array(_fits(distinct, declared)) | _has_secret(distinct)
        if misfit.any():
            # An empty text always fits, and so does a null.
            misfit = np.append(misfit, False)
            for column, (_, places) in zip(encoded.chunks, texts, strict=True):
                are_misfits[places[misfit[np.array(column.indices.fill_null(len(distinct)))]]] = True
    return are_misfits


def _texts_by_format(rows: pa.Table) -> Iterator[tuple[Field, list[tuple[pa.Array, Places]]]]:
    """Yields the texts of each format, with the row of each text, and one of the fields that have this format."""
    texts: defaultdict[Hashable, list[tuple[pa.Array, Places]]] = defaultdict(list)
    fields: dict[Hashable, Field] = {}

    def take(declared: Field, column: pa.Array, places: Places) -> None:
        if column.null_count < len(column):
            rule = (declared.type is Type.ACTOR, declared.format, declared.words)
            fields[rule] = declared
            texts[rule].append((column, places))

    start = 0
    for batch in rows.to_batches():
        places = np.arange(start, start + len(batch))
        for field in _FIELDS:
            column = batch.column(field.column)
            if field.type is Type.STRINGS:
                take(field, column.flatten(), places[pc.list_parent_indices(column)])
            else:
                take(field, column, places)
        for name, members in _MEMBERS.items():
            listed = batch.column(name)
            entries, places_of_entries = listed.flatten(), places[pc.list_parent_indices(listed)]
            for field in members:
                take(field, entries.field(field.column), places_of_entries)
        start += len(batch)
    return ((fields[rule], columns) for rule, columns in texts.items())


def _fits(texts: pa.Array, declared: Field) -> Any:
    if declared.type is Type.ACTOR:
        return pc.match_substring_regex(texts, _LABEL)
    if declared.format is Format.WORD:
        return pc.match_substring_regex(texts, _WHOLE % "|".join(declared.words))
    fits = pc.match_substring_regex(texts, _IDENTIFIER)
    if declared.format is Format.PROVIDER:
        fits = pc.and_(fits, pc.match_substring_regex(texts, _PROVIDER))
    fits = pc.and_not(fits, pc.match_substring(texts, "://"))
    longest = pc.max(pc.binary_length(texts)).as_py() or 0
    if longest > MAX_WORD_LETTERS:
        fits = pc.and_not(fits, pc.match_substring_regex(texts, MANY_LETTERS))
        fits = pc.and_(fits, pc.less_equal(pc.binary_length(texts), MAX_IDENTIFIER_CHARACTERS))
    return fits


def _has_secret(texts: pa.StringArray) -> Flags:
    """For each text, none of which holds a line break, whether the scanner finds a secret in it."""
    lines = pc.binary_join_element_wise(texts, "\n", "")
    _, offsets, data = lines.buffers()
    return hit_lines(data.to_pybytes(), np.frombuffer(offsets, np.int32)[1 : len(lines) + 1])
