"""Looks through a whole record, what is outside the allowlist too, for what is not public-safe (contract section 3).

All texts of a record go through the prefilters and the scanner at once; only those in which something was hit, or
whose key calls for it, are judged one by one.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from typing import Final, NamedTuple

from cavra_pipeline.boundary.formats import TextGrade, grade_of, is_actor_label
from cavra_pipeline.boundary.parsing import Ambiguous, Object
from cavra_pipeline.boundary.scanner import Hit, ScannerFailed, hits_in
from cavra_pipeline.boundary.secrets import (
    SENSITIVE_KEY_CODE,
    is_header_key,
    is_plain_word,
    is_redacted,
    is_sensitive_key,
    prefilter_hits,
    secrets_in,
    secrets_in_prose,
)
from cavra_pipeline.boundary.verdict import ACTOR_CODE, Action, Finding, Reason, Rejection

#: Objects and lists inside each other; deeper is no record, and a walk of it could overrun the stack.
MAX_DEPTH: Final = 100
_ACTOR_KEY: Final = re.compile(r"signer|actor|operator|[a-z_]+_by")
#: Long enough for every declared key: a shown path is also what the allowlist is asked about.
_SAFE_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")
_KEY_RUNS: Final = re.compile("[A-Za-z0-9]+")
#: A run of a key that is shown: a few characters, or words with a short number; a token has neither shape.
_PLAIN_RUN: Final = re.compile(
    "[A-Za-z0-9]{1,6}|(?=[A-Za-z]{1,40}[0-9]*$)(?:[a-z]+|[A-Z]+|[A-Z]?[a-z]+(?:[A-Z][a-z]+)*[A-Z]{0,4})[0-9]{0,4}"
)
_LONG_KEY: Final = 128


class _Key(NamedTuple):
    """What a key says by itself. One that could itself carry content is shown as ``*``."""

    shown: str
    is_sensitive: bool
    is_header: bool
    is_token: bool
    is_actor: bool


def _key(key: str) -> _Key:
    is_plain = _SAFE_KEY.fullmatch(key) and all(map(_PLAIN_RUN.fullmatch, _KEY_RUNS.findall(key)))
    is_safe = is_plain and not secrets_in(key, TextGrade.NONE)
    return _Key(
        key if is_safe else "*",
        is_sensitive_key(key),
        is_header_key(key),
        "token" in key.lower(),
        _ACTOR_KEY.fullmatch(key) is not None,
    )


#: The same few keys come in every record. Only short ones are remembered, so the memory is bounded.
_remembered_key = lru_cache(maxsize=4096)(_key)
_NO_KEY: Final = _Key("", is_sensitive=False, is_header=False, is_token=False, is_actor=False)


class _Text(NamedTuple):
    value: str
    path: str
    key: _Key
    is_sensitive: bool


@dataclass(slots=True)
class Search:
    """A search through one record.

    Attributes:
        allowed: The paths of the allowlist.
        findings: What was found.
        is_scanned: Whether the scanner has read the record as it stands, without an escape, and found nothing.
    """

    allowed: frozenset[str]
    findings: list[Finding] = field(default_factory=list)
    is_scanned: bool = False
    # Never shown: these three hold a record's content.
    _texts: list[_Text] = field(default_factory=list, repr=False)
    _labels: dict[str, tuple[str, bool]] = field(default_factory=dict, repr=False)
    #: Where in the findings a secret is, by rule and value.
    _places: dict[tuple[str, str], int] = field(default_factory=dict, repr=False)

    @property
    def secret_field(self) -> str | None:
        """The allowlisted field of the first finding of a secret in one, or None."""
        return next((finding.path for finding in self.findings if finding.action is Action.QUARANTINED), None)

    def run(self, record: Object) -> None:
        """Searches the record.

        Raises:
            Rejection: A key stands twice, the record is nested too deep, or the scanner failed.
        """
        self._walk(record, "", _NO_KEY, is_sensitive=False, depth=0)
        hit = self._hit()
        for number, text in enumerate(self._texts):
            if number in hit or text.is_sensitive or text.key.is_actor:
                self._judge(text, may_hold_secret=number in hit)
        for path, is_inside in self._labels.values():
            self.findings.append(Finding(ACTOR_CODE, path, Action.PSEUDONYMISED if is_inside else Action.DROPPED))

    def _walk(self, value: object, path: str, key: _Key, is_sensitive: bool, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise Rejection(Reason.NOT_JSON)
        if isinstance(value, str):
            self._texts.append(_Text(value, path, key, is_sensitive))
        elif isinstance(value, dict):
            self._walk_object(value, path, is_sensitive, depth + 1)
        elif isinstance(value, list):
            for member in value:
                self._walk(member, f"{path}[]", key, is_sensitive, depth + 1)
        elif is_sensitive and isinstance(value, int | float) and not isinstance(value, bool) and not key.is_token:
            # A number under a `*token*` key is a count, not a token.
            self._find(SENSITIVE_KEY_CODE, path, repr(value))

    def _walk_object(self, record: Object, path: str, is_sensitive: bool, depth: int) -> None:
        if isinstance(record, Ambiguous):
            raise Rejection(Reason.DUPLICATE_KEY)
        for name, member in record.items():
            key = _remembered_key(name) if len(name) <= _LONG_KEY else _key(name)
            inside = f"{path}.{key.shown}" if path else key.shown
            self._texts.append(_Text(name, inside, _NO_KEY, is_sensitive=False))
            self._walk(member, inside, key, is_sensitive or key.is_sensitive or key.is_header, depth)

    def _hit(self) -> set[int]:
        """The texts, by number, in which a prefilter or a secret of the scanner ends or begins."""
        encoded = [text.value.encode("utf-8", "replace") for text in self._texts]
        ends = list(accumulate(len(text) + 1 for text in encoded))
        joined = b"\n".join(encoded)
        hit = {bisect_right(ends, end - 1) for end, _ in prefilter_hits(joined)}
        for start, end, _ in () if self.is_scanned else _scanned(joined):
            hit.update(range(bisect_right(ends, start), bisect_right(ends, max(start, end - 1)) + 1))
        return hit

    def _judge(self, text: _Text, *, may_hold_secret: bool) -> None:
        codes = _codes(text) if may_hold_secret else []
        if text.is_sensitive and not codes and _is_credential(text):
            codes = [SENSITIVE_KEY_CODE]
        for code in codes:
            self._find(code, text.path, text.value)
        if not codes and text.key.is_actor and text.value and not is_actor_label(text.value):
            is_inside = self._is_inside(text.path)
            name = text.value.strip().lower()
            if name not in self._labels or (is_inside and not self._labels[name][1]):
                self._labels[name] = (text.path, is_inside)

    def _find(self, code: str, path: str, value: str) -> None:
        """Notes a secret once for a record, wherever else it stands: at the first allowlisted path, else the first."""
        is_inside = self._is_inside(path)
        place = self._places.setdefault((code, value), len(self.findings))
        if place == len(self.findings):
            self.findings.append(Finding(code, path, Action.QUARANTINED if is_inside else Action.DROPPED))
        elif is_inside and self.findings[place].action is Action.DROPPED:
            self.findings[place] = Finding(code, path, Action.QUARANTINED)

    def _is_inside(self, path: str) -> bool:
        return path.removesuffix("[]") in self.allowed


def _codes(text: _Text) -> list[str]:
    """The rules that one text breaks: our own by name, else the scanner's."""
    grade = grade_of(text.value)
    if grade is TextGrade.PURE:
        return []
    is_prose = text.key.is_actor and grade is TextGrade.NONE
    codes = secrets_in_prose(text.value) if is_prose else secrets_in(text.value, grade)
    return codes or sorted({rule for _, _, rule in _scanned(text.value.encode("utf-8", "replace"))})


def _is_credential(text: _Text) -> bool:
    """Whether a value under a sensitive key is more than a placeholder, or a word such as ``approved`` in a header."""
    if not text.value or is_redacted(text.value):
        return False
    return not (text.key.is_header and is_plain_word(text.value))


def _scanned(text: bytes) -> list[Hit]:
    try:
        return hits_in(text)
    except ScannerFailed:
        raise Rejection(Reason.SCANNER_FAILED) from None
