"""What a secret looks like (contract section 3), as one table of rules. Nothing here reads files or records.

Each rule has a *hint*: a cheap pattern in the syntax that both Python's ``re`` and Hyperscan read.
Whatever a rule's pattern finds, its hint finds in the raw line too, so a line without a hint is proven
clean set-wise and only the few others are walked value by value (docs/decisions/0003-boundary.md).
"""

from __future__ import annotations

import base64
import binascii
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import hyperscan


@dataclass(frozen=True, slots=True)
class Rule:
    """A family of secrets: its code in findings, the hint, the exact pattern, and a last check of the match."""

    code: str
    hint: str
    pattern: re.Pattern[str]
    confirms: Callable[[re.Match[str]], bool] = lambda _: True


def _is_basic_credential(match: re.Match[str]) -> bool:
    """Tells ``Basic dXNlcjpwYXNz`` from ``Basic configuration``."""
    text = match.group(1)
    try:
        if b":" in base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True):
            return True
    except (ValueError, binascii.Error):
        pass
    return re.search(r"[0-9+/=]", text) is not None


def _rule(code: str, hint: str, pattern: str, confirms: Callable[[re.Match[str]], bool] | None = None) -> Rule:
    compiled = re.compile(pattern)
    return Rule(code, hint, compiled, confirms) if confirms else Rule(code, hint, compiled)


_SENSITIVE = (
    r"api[_-]?key|access[_-]?key|private[_-]?key|account[_-]?key|token|secret|passw(?:or)?d|passphrase|credential"
)

#: Patterns follow the token formats that the issuers publish; sources in docs/evidence.md. None may take more than a
#: few steps for each letter whatever stands there, so those with a run of letters in them begin where that run does.
RULES: Final = (
    _rule("aws-access-key", "A(?:KIA|SIA|BIA|CCA)", r"A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}"),
    _rule("github-token", "gh[opusr]_", r"gh[opusr]_[A-Za-z0-9]{20,}"),
    _rule("github-fine-grained-token", "github_pat_", r"github_pat_[A-Za-z0-9_]{20,}"),
    _rule(
        "gitlab-token",
        "gl[a-z]{2,6}-",
        r"\bgl(?:pat|ptt|dt|rt|rtr|soat|ft|agent|cbt|imt|oas|ffct)-[\w.=-]{16,}",
    ),
    _rule("npm-token", "npm_", r"npm_[A-Za-z0-9]{20,}"),
    _rule("pypi-token", "pypi-", r"pypi-(?:AgE[\w-]{10,}|[\w-]{50,})"),
    _rule(
        "slack-token",
        "xox[a-z]|xapp-",
        r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{8,}|xapp-[0-9]-[A-Za-z0-9-]{8,}",
    ),
    _rule("stripe-key", "[rs]k_(?:live|test)_", r"[rs]k_(?:live|test)_[A-Za-z0-9]{8,}"),
    _rule("google-api-key", "AIza", r"AIza[\w-]{30,}"),
    _rule("google-oauth-token", "ya29[.]|GOCSPX-", r"ya29\.[\w-]{16,}|GOCSPX-[\w-]{16,}"),
    _rule("openai-style-key", r"\bsk-", r"\bsk-[\w-]{20,}"),
    _rule("atlassian-token", "ATATT3", r"ATATT3[\w=-]{16,}"),
    _rule("sendgrid-key", "SG[.]", r"\bSG\.[\w-]{16,}\.[\w-]{16,}"),
    _rule("json-web-token", "eyJ", r"(?<![\w-])(?=[\w-]++\.[\w-]{4,}\.)[\w-]*?eyJ[\w-]{8,}"),
    _rule("private-key", "-----BEGIN", r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY"),
    _rule("bearer-authorization", r"(?i:bearer)[^!-~]", r"(?i:\bbearer)\s+(?!(?i:tokens?|auth\w*)\b)[\w.~+/=-]{8,}"),
    _rule("basic-authorization", r"(?i:basic)[^!-~]", r"(?i:\bbasic)\s+([A-Za-z0-9+/=_-]{6,})", _is_basic_credential),
    _rule("splunk-authorization", r"(?i:splunk)[^!-~]", r"(?i:\bsplunk)\s+(?=[\w-]*[0-9])[\w-]{16,}"),
    _rule("url-password", "://[^/]*@", r"(?<![A-Za-z0-9+.-])[0-9+.-]*+[A-Za-z][A-Za-z0-9+.-]*+://[^/\s:@]*:[^/\s@]+@"),
    _rule(
        "slack-webhook",
        "(?i:hooks[.]slack)",
        r"(?i:hooks\.slack(?:-gov)?\.com)/(?:services|workflows|triggers)/",
    ),
    _rule("teams-webhook", "(?i:[.]office)", r"(?i:(?:webhook|outlook)\.office(?:365)?\.com)/(?:webhook|\w)"),
    _rule(
        "workflow-url",
        "(?i:[.]logic[.]|[.]powerplatform[.]|[.]flow[.]|[.]powerautomate[.])",
        r"(?i:(?<!\S)(?>\S*?\.(?:logic\.azure|api\.powerplatform|flow\.microsoft|powerautomate)\.)\S*\bsig=)",
    ),
    _rule("signature-parameter", "(?i:sig=|%73ig=)", r"(?i:(?:\b|%)sig=)[\w%+/=.-]{10,}"),
    _rule("azure-storage-key", "(?i:accountkey=|accesskey=)", r"(?i:(?:account|access)key=)[\w+/=]{16,}"),
    _rule("webhook-secret", "whsec_", r"whsec_[\w+/=-]{8,}"),
    _rule(
        "assigned-secret",
        f"(?i:{_SENSITIVE})",
        rf"(?i:(?<![\w.-])(?=[\w.-]*?(?:{_SENSITIVE}))[\w.-]++['\"]?\s*[=:]\s*)['\"]?[^\s'\"&,;]{{6,}}",
    ),
)

SENSITIVE_KEY_CODE: Final = "sensitive-key"
_SENSITIVE_KEY = re.compile(rf"(?i:{_SENSITIVE}|authorization|^cookie$|^set-cookie$)")
_REDACTED = re.compile(r"(?i:\W*(?:redacted|masked|hidden|removed|none|null|x{3,}|redacted-[\w-]+)?\W*)")

#: Letters that Python's ``(?i:...)`` takes for i, s and k: U+0130, U+0131, U+017F and U+212A, in UTF-8.
_FOLDED: Final = (r"\xc4[\xb0\xb1]", r"\xc5\xbf", r"\xe2\x84\xaa")

#: Patterns over bytes that together find every hint in a raw line.
HINTS: Final = (*(rule.hint for rule in RULES), "(?i:authorization|cookie)", *_FOLDED)

CODES: Final = frozenset({SENSITIVE_KEY_CODE, *(rule.code for rule in RULES)})


def compiled(patterns: Sequence[str]) -> hyperscan.Database:
    """Compiles patterns to be looked for in bytes, all in one pass (docs/decisions/0005-ingest-speed.md)."""
    database = hyperscan.Database()
    database.compile(expressions=[pattern.encode() for pattern in patterns], flags=[0] * len(patterns))
    return database


@cache
def _hint_database() -> hyperscan.Database:
    return compiled(HINTS)


#: Each thread has a scratch space of its own; the database is compiled at its first use, not at import.
_local = threading.local()


def _hints_in(raw: bytes) -> list[tuple[int, int]]:
    """Where hints end, and the number of each in ``HINTS``."""
    if not hasattr(_local, "scratch"):
        _local.scratch = hyperscan.Scratch(_hint_database())
    hits: list[tuple[int, int]] = []
    _hint_database().scan(
        raw, match_event_handler=lambda number, _, end, *__: hits.append((end, number)), scratch=_local.scratch
    )
    return hits


def suspects_in(raw: bytes) -> frozenset[str] | None:
    """Finds the texts in which there may be a secret: whatever rule a text breaks, a hint ends in it.

    Args:
        raw: A line that is valid JSON.

    Returns:
        Those of its keys and values in which a hint ends; None if there are escapes, which could hide one.
    """
    if b"\\" in raw:
        return None
    suspects: set[str] = set()
    text_end = 0
    for hint_end, _ in sorted(_hints_in(raw)):
        if hint_end > text_end:
            # Without escapes every quote begins or ends a text.
            start, text_end = raw.rfind(b'"', 0, hint_end) + 1, raw.find(b'"', hint_end)
            suspects.add(raw[start:text_end].decode())
    return frozenset(suspects)


def secrets_in(text: str) -> list[str]:
    """Returns the codes of the rules that the text breaks, in the table's order; never any of the text."""
    hinted = sorted({number for _, number in _hints_in(text.encode("utf-8", "surrogatepass"))})
    # Hints that come after those of the rules are about all of them.
    rules = [RULES[number] for number in hinted] if max(hinted, default=0) < len(RULES) else RULES
    return [rule.code for rule in rules if any(rule.confirms(match) for match in rule.pattern.finditer(text))]


def is_sensitive_key(key: str) -> bool:
    """Tells whether a value under this key is a secret by its name alone (``*token*``, ``*api_key*``, ...)."""
    return _SENSITIVE_KEY.search(key) is not None


def is_redacted(text: str) -> bool:
    """Tells whether a value is a placeholder such as ``[REDACTED]`` or ``***`` and so no secret."""
    return _REDACTED.fullmatch(text) is not None
