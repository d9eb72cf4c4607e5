"""The bytes of a record that are hashed and handed over: an SQL expression for each kind, over warehouse columns.

They are those of ``evidence/export.py`` in canonical JSON. DuckDB makes them: Python takes as long for them as for an
ingest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from cavra_pipeline.boundary.allowlist import allowlist_of
from cavra_pipeline.boundary.fields import LISTS, Field, Type
from cavra_pipeline.boundary.kinds import KINDS
from cavra_pipeline.sql import literal

#: Whole numbers up to this one are the same as a number of 64 bits with a fraction.
_MOST_WHOLE: Final = 2**53
#: A field that every record has.
_ALWAYS: Final = "created_at"
_COLUMN_OF_LIST: Final = {listed.path: column for column, listed in LISTS.items()}


@cache
def record_text(kind: str) -> str:
    """Returns the SQL expression of a record's text; an undeclared kind has the envelope only.

    Args:
        kind: The kind, as ``metadata_kind`` has it.
    """
    members = _members(allowlist_of(kind).tree, "", lambda field: field.column)
    # Around a member that each record has there is no comma to cut off, which takes a fifth of the time.
    before = [f"{_named(name)} || {value} || ','" for name, value in members.items() if name < _ALWAYS]
    after = [f"{_named(name, ',')} || {value}" for name, value in members.items() if name > _ALWAYS]
    texts = ", ".join([*before, f"{_named(_ALWAYS)} || {members[_ALWAYS]}", *after])
    return f"concat('{{', {texts}, '}}')"


def kind_condition(kinds: set[str]) -> str:
    """Returns the SQL condition that a record is of none of the declared kinds that are named."""
    named = ", ".join(literal(kind) for kind in sorted(kinds & KINDS.keys()))
    return f"coalesce(metadata_kind, '') NOT IN ({named})" if named else "true"


def _named(name: str, before: str = "") -> str:
    return literal(f'{before}"{name}":')


def _listed(members: Mapping[str, str]) -> str:
    """Members without the braces: of each its name and its value, or nothing, which concat makes of null."""
    return "substr(concat(" + ", ".join(f"{_named(name, ',')} || {value}" for name, value in members.items()) + "), 2)"


def _members(tree: Mapping[str, Any], path: str, place: Callable[[Field], str]) -> dict[str, str]:
    """Returns the members of an object in order of their names, each with the expression of its value's text.

    Args:
        tree: The members, as the allowlist has them.
        path: What stands before their names in a path.
        place: Returns where the value of a field stands.
    """
    values = {}
    for key, node in tree.items():
        name = key.removesuffix("[]")
        if isinstance(node, Field):
            value = _value(node, place(node))
        elif name != key:
            entry = _listed(_members(node, f"{path}{key}.", lambda field: f"entry.{field.column}"))
            entries = f"list_transform({_COLUMN_OF_LIST[path + name]}, lambda entry: concat('{{', {entry}, '}}'))"
            value = f"'[' || array_to_string({entries}, ',') || ']'"
        else:
            value = f"'{{' || nullif({_listed(_members(node, f'{path}{name}.', place))}, '') || '}}'"
        values[name] = value
    return dict(sorted(values.items()))


def _value(field: Field, place: str) -> str:
    if field.type is Type.TIMESTAMP:
        whole, parts = (f"strftime({place}, '\"%Y-%m-%dT%H:%M:%S{fraction}+00:00\"')" for fraction in ("", ".%f"))
        return f"CASE WHEN microsecond({place}) % 1000000 = 0 THEN {whole} ELSE {parts} END"
    if field.type is Type.NUMBER:
        return (
            f"CASE WHEN {place} = trunc({place}) AND abs({place}) < {_MOST_WHOLE} THEN {place}::BIGINT::VARCHAR "
            f"ELSE {place}::VARCHAR END"
        )
    if field.type in (Type.INTEGER, Type.BOOLEAN):
        return f"{place}::VARCHAR"
    return f"to_json({place})::VARCHAR"
