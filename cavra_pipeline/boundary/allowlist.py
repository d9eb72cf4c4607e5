"""Cuts a record down to the declared fields, each of its type and format (contract sections 2 and 3).

A text that is not of its format is replaced: by a keyed pseudonym, or by ``other`` where words are declared. Secrets
have been searched for before (``search.py``).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, NamedTuple

from cavra_pipeline.boundary.fields import OTHER_WORD, Field, Format, Type
from cavra_pipeline.boundary.formats import TextGrade, grade_of, is_actor_label, is_provider
from cavra_pipeline.boundary.kinds import fields_of
from cavra_pipeline.boundary.parsing import Object, parse_timestamp
from cavra_pipeline.boundary.pseudonyms import Pseudonyms
from cavra_pipeline.boundary.verdict import NOT_AN_IDENTIFIER, Action, Finding, Reason, Rejection
from cavra_pipeline.provider_names import provider_name

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_INT64: Final = range(-(2**63), 2**63)
#: No number of a record is greater, or less than its negative.
MAX_NUMBER: Final = 1e300


class Allowlist(NamedTuple):
    """What of a kind may pass: the paths of its fields, those it must have, and all by their keys.

    In the tree stands, by its key, a declared field, or the tree of an object, or as ``key[]`` of a list of objects.
    """

    paths: frozenset[str]
    required: tuple[str, ...]
    tree: dict[str, Any]


@cache
def allowlist_of(kind: str) -> Allowlist:
    """Returns the allowlist of a kind; an unknown kind has the envelope only."""
    fields = fields_of(kind)
    tree: dict[str, Any] = {}
    for declared in fields:
        *parents, last = declared.path.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = declared
    required = tuple(declared.path for declared in fields if declared.required)
    return Allowlist(frozenset(declared.path for declared in fields), required, tree)


@dataclass(slots=True)
class Cut:
    """One record on its way to its allowlist.

    Attributes:
        pseudonyms: What replaces texts that are not of their format.
        findings: What was replaced.
        dropped: The topmost paths that were left out.
    """

    pseudonyms: Pseudonyms
    findings: list[Finding] = field(default_factory=list)
    dropped: set[str] = field(default_factory=set)

    def of(self, record: Object, tree: dict[str, Any], path: str = "") -> Object:
        """Returns the declared fields of an object, nested ones included.

        Raises:
            Rejection: A value is not of its declared type.
        """
        kept: Object = {}
        for key, value in record.items():
            node = tree.get(key)
            if isinstance(node, Field):
                kept[key] = None if value is None else _CHECKS[node.type](self, value, node)
                continue
            here = f"{path}.{key}" if path else key
            if f"{key}[]" in tree:
                kept[key] = self._list(value, tree[f"{key}[]"], here)
            elif node is not None:
                if value is not None and not isinstance(value, dict):
                    raise Rejection(Reason.WRONG_TYPE, here)
                kept[key] = None if value is None else self.of(value, node, here)
            else:
                self.dropped.add(here)
        return kept

    def _list(self, value: object, tree: dict[str, Any], path: str) -> list[Object] | None:
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise Rejection(Reason.WRONG_TYPE, path)
        return [self.of(item, tree, f"{path}[]") for item in value]

    def text(self, value: object, declared: Field) -> str:
        """Returns a text as it may be stored."""
        return self._formatted(_text(value, declared), declared, declared.path)

    def texts(self, value: object, declared: Field) -> list[str]:
        """Returns a list of texts as it may be stored."""
        if not isinstance(value, list):
            raise Rejection(Reason.WRONG_TYPE, declared.path)
        return [self._formatted(_text(item, declared), declared, f"{declared.path}[]") for item in value]

    def actor(self, value: object, declared: Field) -> str:
        """Returns an actor label, or its pseudonym; the search has recorded a finding of it."""
        label = _text(value, declared)
        return label if not label or is_actor_label(label) else self.pseudonyms.of_actor(label)

    def _formatted(self, text: str, declared: Field, path: str) -> str:
        if not text:
            return text
        if declared.format is Format.WORD:
            return text if text in declared.words else OTHER_WORD
        if declared.format is Format.PROVIDER:
            # Names that are compared as equal keep one name.
            name = provider_name(text)
            return text if not name or is_provider(text) else self._pseudonym(name, path)
        return text if grade_of(text) is not TextGrade.NONE else self._pseudonym(text, path)

    def _pseudonym(self, text: str, path: str) -> str:
        self.findings.append(Finding(NOT_AN_IDENTIFIER, path, Action.PSEUDONYMISED))
        return self.pseudonyms.of_text(text)


def _text(value: object, declared: Field) -> str:
    if not isinstance(value, str):
        raise Rejection(Reason.WRONG_TYPE, declared.path)
    if not value.isascii() and _SURROGATE.search(value):
        raise Rejection(Reason.INVALID_UTF8, declared.path)
    return value


def _integer(_: Cut, value: object, declared: Field) -> int:
    """JSON has one number type: 3.0 is the whole number 3 (JSON Schema 2020-12, section 6.1.1)."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value not in _INT64:
        raise Rejection(Reason.WRONG_TYPE, declared.path)
    return value


def _number(_: Cut, value: object, declared: Field) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not -MAX_NUMBER <= value <= MAX_NUMBER:
        raise Rejection(Reason.WRONG_TYPE, declared.path)
    return float(value)


def _boolean(_: Cut, value: object, declared: Field) -> bool:
    if not isinstance(value, bool):
        raise Rejection(Reason.WRONG_TYPE, declared.path)
    return value


def _timestamp(_: Cut, value: object, declared: Field) -> str | None:
    """A timestamp as ISO-8601 in UTC; an empty one counts as absent."""
    text = _text(value, declared).strip()
    try:
        return parse_timestamp(text).isoformat() if text else None
    except ValueError:
        raise Rejection(Reason.BAD_TIMESTAMP, declared.path) from None


def _integers(cut: Cut, value: object, declared: Field) -> list[int | None]:
    if not isinstance(value, list):
        raise Rejection(Reason.WRONG_TYPE, declared.path)
    return [None if item is None else _integer(cut, item, declared) for item in value]


_CHECKS: Final[dict[Type, Callable[[Cut, object, Field], object]]] = {
    Type.STRING: Cut.text,
    Type.ACTOR: Cut.actor,
    Type.INTEGER: _integer,
    Type.NUMBER: _number,
    Type.BOOLEAN: _boolean,
    Type.TIMESTAMP: _timestamp,
    Type.STRINGS: Cut.texts,
    Type.INTEGERS: _integers,
}
