"""Finds typed rows with a text that may not be of its declared format, over the distinct values of each column.

A row that is named here costs the slow path and changes nothing; one that is missed would be a hole. So the patterns
accept less than ``formats.py`` does, and a property test holds the two together.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cavra_pipeline.boundary.formats import ACTOR_LABEL, IDENTIFIER, MANY_LETTERS, MAX_IDENTIFIER_CHARACTERS, PROVIDER
from cavra_pipeline.boundary.kinds import COLUMNS, DELIVERIES_COLUMN, DELIVERY_MEMBERS, Field, Format, Type

_WHOLE: Final = r"\A(?:%s)?\z"
_IDENTIFIER: Final = _WHOLE % IDENTIFIER
_PROVIDER: Final = _WHOLE % f"(?i:{PROVIDER})"
_LABEL: Final = _WHOLE % ACTOR_LABEL
_TOO_LONG: Final = f"(?s).{{{MAX_IDENTIFIER_CHARACTERS + 1}}}"
_TEXT_TYPES: Final = (Type.STRING, Type.STRINGS, Type.ACTOR)
_FIELDS: Final = tuple(one for one in COLUMNS.values() if one.type in _TEXT_TYPES)
_MEMBERS: Final = tuple(one for one in DELIVERY_MEMBERS.values() if one.type in _TEXT_TYPES)

_NONE: Final = np.empty(0, np.int64)

Flags = npt.NDArray[np.bool_]


def misfits_in(rows: pa.Table) -> Flags:
    """Returns for each typed row whether one of its texts may not be of its declared format."""
    found = np.zeros(len(rows), bool)
    start = 0
    for batch in rows.to_batches():
        part = found[start : start + len(batch)]
        for one in _FIELDS:
            _mark(part, batch.column(one.column), one)
        deliveries = batch.column(DELIVERIES_COLUMN)
        if deliveries.null_count < len(deliveries):
            members = deliveries.flatten()
            for one in _MEMBERS:
                _mark_elements(part, deliveries, members.field(one.column), one)
        start += len(batch)
    return found


def _mark(found: Flags, column: pa.Array, declared: Field) -> None:
    if column.null_count == len(column):
        return
    if declared.type is Type.STRINGS:
        _mark_elements(found, column, column.flatten(), declared)
        return
    rows = _rows_that_misfit(column, declared)
    if len(rows):
        found[rows] = True


def _mark_elements(found: Flags, lists: pa.Array, elements: pa.Array, declared: Field) -> None:
    misfits = _rows_that_misfit(elements, declared)
    if len(misfits):
        parents = _numbers(pc.list_parent_indices(lists))
        found[parents[misfits]] = True


def _rows_that_misfit(texts: pa.Array, declared: Field) -> npt.NDArray[np.int64]:
    """The places of the texts that may not fit. Empty texts and nulls always do."""
    encoded = texts.dictionary_encode()
    if not len(encoded.dictionary):
        return _NONE
    misfit = pc.invert(_fits(encoded.dictionary, declared))
    return _numbers(pc.indices_nonzero(pc.take(misfit, encoded.indices))) if pc.any(misfit).as_py() else _NONE


def _fits(texts: pa.Array, declared: Field) -> Any:
    if declared.type is Type.ACTOR:
        return pc.match_substring_regex(texts, _LABEL)
    if declared.format is Format.WORD:
        return pc.match_substring_regex(texts, _WHOLE % "|".join(declared.words))
    fits = pc.match_substring_regex(texts, _IDENTIFIER)
    if declared.format is Format.PROVIDER:
        fits = pc.and_(fits, pc.match_substring_regex(texts, _PROVIDER))
    for refused in (_TOO_LONG, MANY_LETTERS, "://"):
        fits = pc.and_not(fits, pc.match_substring_regex(texts, refused))
    return fits


def _numbers(array: pa.Array) -> npt.NDArray[np.int64]:
    """Whole numbers of an array without nulls. A number of Python's in a call of Arrow's would load pandas."""
    return np.frombuffer(pc.cast(array, pa.int64()).buffers()[1], np.int64, len(array), 8 * array.offset)
