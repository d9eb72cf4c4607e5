"""Declared formats of allowlisted texts: identifiers, provider names, actor labels (contract section 3).

A text that no one declared does not get in, so these shapes carry the boundary; what a secret looks like stands in
``secrets.py``. No record is read here.
"""

from __future__ import annotations

import re
from enum import IntEnum
from functools import lru_cache
from typing import Final

from cavra_pipeline.provider_names import provider_name

MAX_IDENTIFIER_CHARACTERS: Final = 256
MAX_WORD_LETTERS: Final = 40
ACTOR_LABEL: Final = "[A-Za-z0-9][A-Za-z0-9 ._:/-]{0,127}"
PROVIDER: Final = "[a-z0-9_-]{1,64}"

_DIGEST_LENGTHS: Final = ("1,16", "20", "24", "28", "32", "40", "48", "56", "64", "96", "128")
_DIGESTS: Final = "|".join(f"[0-9{letters}]{{{n}}}" for letters in ("a-f", "A-F") for n in _DIGEST_LENGTHS)
_NUMBER: Final = "[0-9]{1,32}"
_ULID: Final = "[0-7][0-9A-HJKMNP-TV-Z]{25}"
_BASE32: Final = "[A-Z2-7]{52}"
_COMPACT_TIMESTAMP: Final = "[0-9]{8}[Tt][0-9]{4,15}[Zz]?"
#: Each part of a word in camel case has three letters or more, the last one excepted.
_CAMEL_CASE: Final = "[A-Za-z][a-z]{2,}(?:[A-Z][a-z]{2,})*(?:[A-Z][a-z]?)?"
_WORD: Final = f"(?:[a-z]+|[A-Z]+|{_CAMEL_CASE})(?:{_NUMBER})?"
_FEW_MIXED: Final = "[A-Za-z0-9]{1,6}"
_PURE_RUN: Final = f"{_NUMBER}|{_DIGESTS}|{_ULID}|{_BASE32}"
_RUN: Final = f"{_PURE_RUN}|{_COMPACT_TIMESTAMP}|{_WORD}|{_FEW_MIXED}"
_SEPARATOR: Final = "[._:/@+-]"


def _of_runs(run: str) -> str:
    return f"(?:{run})(?:{_SEPARATOR}+(?:{run}))*{_SEPARATOR}*"


#: An identifier as RE2 and Python read it, but for its length, ``://`` and ``MANY_LETTERS``.
IDENTIFIER: Final = _of_runs(_RUN)
#: A run of so many letters is no word. A digest or base32 that holds one is settled by ``grade_of``.
MANY_LETTERS: Final = f"[A-Za-z]{{{MAX_WORD_LETTERS + 1}}}"

_CHARACTERS: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*")
_RUNS: Final = re.compile("[A-Za-z0-9]+")
_ANY_RUN: Final = re.compile(_RUN)
_ONLY_PURE_RUN: Final = re.compile(_PURE_RUN)
_SHORT_LETTERS: Final = re.compile("[A-Fa-f]{1,3}")
_MANY_LETTERS: Final = re.compile(MANY_LETTERS)
_ACTOR_LABEL: Final = re.compile(ACTOR_LABEL)
_PROVIDER: Final = re.compile(PROVIDER)
#: A run of a provider's name: letters up to its whole length, or more mixed characters than other identifiers may have.
_PROVIDER_RUN: Final = re.compile("[a-z]+|[A-Z]+|[a-z0-9]{1,12}")


class TextGrade(IntEnum):
    """How far the shape of a text vouches for it."""

    NONE = 0
    WORDS = 1
    PURE = 2


@lru_cache(maxsize=16384)
def _grade_of_run(run: str) -> TextGrade:
    if _ONLY_PURE_RUN.fullmatch(run):
        return TextGrade.WORDS if _SHORT_LETTERS.fullmatch(run) else TextGrade.PURE
    if not _ANY_RUN.fullmatch(run) or _MANY_LETTERS.search(run):
        return TextGrade.NONE
    return TextGrade.WORDS


def grade_of(text: str) -> TextGrade:
    """Returns what the shape of a text says of it.

    Args:
        text: Any text.

    Returns:
        ``PURE`` for an identifier of digests and numbers only, ``WORDS`` for any other identifier, else ``NONE``.
    """
    return TextGrade.NONE if len(text) > MAX_IDENTIFIER_CHARACTERS else _grade_of_short(text)


@lru_cache(maxsize=16384)
def _grade_of_short(text: str) -> TextGrade:
    if not _CHARACTERS.fullmatch(text) or "://" in text:
        return TextGrade.NONE
    grade = TextGrade.PURE
    for run in _RUNS.findall(text):
        grade = min(grade, _grade_of_run(run))
        if grade is TextGrade.NONE:
            break
    return grade


def is_provider(text: str) -> bool:
    """Returns whether a text is a provider's name: short and plain once normalised, and no run of it like a token."""
    return (
        text.isascii()
        and _PROVIDER.fullmatch(provider_name(text)) is not None
        and all(_PROVIDER_RUN.fullmatch(run) or _grade_of_run(run) is not TextGrade.NONE for run in _RUNS.findall(text))
    )


def is_actor_label(text: str) -> bool:
    """Returns whether a text is a public-safe actor label; an e-mail address is none."""
    return _ACTOR_LABEL.fullmatch(text) is not None
