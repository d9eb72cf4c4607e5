"""Rules for the secrets that the contract names (section 3), as one table.

The pinned scanner (``scanner.py``) knows most kinds of secrets and lets some of these pass, so they are listed here.
Each rule has a prefilter: a cheap pattern in the syntax that both Python's ``re`` and Hyperscan read. It matches every
raw line in which the rule's pattern finds something, so a line without a match is clean. No file or record is read
here.
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

from cavra_pipeline.boundary.formats import TextGrade, grade_of


@dataclass(frozen=True, slots=True)
class Rule:
    """A family of secrets.

    Attributes:
        code: Its name in findings.
        prefilter: A pattern that ends wherever a secret of the family may stand.
        pattern: The exact pattern.
        confirms: A last check of a match, for patterns that harmless prose fits too.
        overrules_words: Whether a text that is an identifier by its shape is a secret all the same: the family has an
            issuer's prefix.
    """

    code: str
    prefilter: str
    pattern: re.Pattern[str]
    confirms: Callable[[re.Match[str]], bool]
    overrules_words: bool


#: Letters and digits side by side, as generated credentials have them; after some a ``hunter2`` is enough.
_LONG_MIXED: Final = re.compile(r"(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{8,}")
_MIXED: Final = re.compile(r"(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{4,}")
_LONG: Final = re.compile("[A-Za-z0-9+/%]{16,}")
_STRICT_AWS: Final = re.compile(r"A[A-Z]{3}[A-Z2-7]{16}")
_CHANGE: Final = re.compile("(?<=[A-Z])[0-9]|(?<=[0-9])[A-Z]")
_PUNCTUATION: Final = "!.,;\"'{}()[]"
_REDACTED = re.compile(r"(?i:\W*(?:redacted|masked|hidden|removed|none|null|x{3,}|redacted-[\w-]+)?\W*)")


def is_redacted(text: str) -> bool:
    """Returns whether a value is a placeholder such as ``[REDACTED]`` or ``***`` and so no secret."""
    return _REDACTED.fullmatch(text) is not None


def _looks_generated(match: re.Match[str]) -> bool:
    """Tells a credential from a word of prose: it is no identifier, or one with letters and digits mixed."""
    text = match.group(1).strip(_PUNCTUATION)
    return not is_redacted(text) and (_LONG_MIXED.search(text) is not None or grade_of(text) is TextGrade.NONE)


def _is_assigned(match: re.Match[str]) -> bool:
    return _is_credential(match.group(1))


def _is_credential(value: str) -> bool:
    text = value.strip(_PUNCTUATION)
    return not is_redacted(text) and (_MIXED.search(text) is not None or grade_of(text) is TextGrade.NONE)


def _is_no_placeholder(match: re.Match[str]) -> bool:
    return not is_redacted(match.group(1))


def _is_authorization(match: re.Match[str]) -> bool:
    """Tells a credential after its scheme, or without one and before another word, from prose."""
    first, second = match.groups()
    is_first = first is not None and _SCHEME.fullmatch(first) is None and len(first) >= _SHORTEST_VALUE
    return _is_credential(second) or (is_first and _is_credential(first))


def _is_basic_credential(match: re.Match[str]) -> bool:
    """Tells ``Basic dXNlcjpwYXNz`` from ``Basic configuration``."""
    text = match.group(1)
    try:
        if b":" in base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True):
            return True
    except (ValueError, binascii.Error):
        pass
    return _looks_generated(match)


def _is_aws_key(match: re.Match[str]) -> bool:
    """Tells a key from a word in capitals: only base32 letters stand in it, or letters and digits take turns."""
    return _STRICT_AWS.fullmatch(match.group(0)) is not None or len(_CHANGE.findall(match.group(0))) >= 3


def _has_signature(match: re.Match[str]) -> bool:
    return _LONG.search(match.group(1)) is not None and not is_redacted(match.group(1))


def _has_address_secret(match: re.Match[str]) -> bool:
    """Tells a webhook address from one that was redacted: not all of its path or query is a placeholder."""
    return not all(is_redacted(part) for part in re.split("[/?&=]|%2[Ff]", match.group(1)))


def _rule(
    code: str,
    prefilter: str,
    pattern: str,
    confirms: Callable[[re.Match[str]], bool] = lambda _: True,
    *,
    overrules_words: bool = False,
) -> Rule:
    return Rule(code, prefilter, re.compile(pattern), confirms, overrules_words)


def _token(code: str, prefilter: str, pattern: str, confirms: Callable[[re.Match[str]], bool] = lambda _: True) -> Rule:
    """A rule about an issuer's prefix, with a boundary before it."""
    return _rule(code, prefilter, rf"(?<![A-Za-z0-9])(?:{pattern})", confirms, overrules_words=True)


#: The last words of a key whose value is a secret, and of a name in front of ``=`` or ``:``.
_SENSITIVE = (
    r"(?:api|access|private|account|secret|signing|encryption)[_.\- ]?key"
    r"|token|secret|passw(?:or)?d|pwd|passphrase|credentials?"
)
_SCHEMES = "bearer|basic|digest|splunk|token|apikey|negotiate|hawk|aws4-hmac-sha256|genie ?key|oauth|ssws"
_SCHEME: Final = re.compile(rf"(?i:(?:{_SCHEMES})[0-9]*)")
_SHORTEST_VALUE: Final = 6
_WEBHOOK_HOSTS = (
    r"discord(?:app)?\.com/api/(?:v[0-9]+/)?webhooks|hooks\.zapier\.com/hooks|maker\.ifttt\.com/trigger"
    r"|chat\.googleapis\.com/v1/spaces|api\.telegram\.org/bot|webexapis\.com/v1/webhooks/incoming"
    r"|hook\.(?:[a-z0-9]+\.)?make\.com|hooks\.pagerduty\.com|api\.opsgenie\.com/v1/json"
    r"|open\.(?:feishu\.cn|larksuite\.com)/open-apis/bot|oapi\.dingtalk\.com/robot|qyapi\.weixin\.qq\.com/cgi-bin/webhook"
)

#: Patterns follow the token formats that the issuers publish; sources in docs/evidence-secrets.md. None may take over a
#: few steps for each letter whatever stands there, so those with a run of letters in them begin where that run does.
RULES: Final = (
    _token("aws-access-key", "A(?:KIA|SIA|BIA|CCA)", r"A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}(?![A-Za-z0-9])", _is_aws_key),
    _token(
        "github-token",
        "gh[opusr]_",
        r"gh[opusr]_(?:[A-Za-z0-9]{20,}|(?=[\w-]{0,64}[A-Za-z][0-9][A-Za-z])[\w-]{30,255})",
    ),
    _token("github-fine-grained-token", "github_pat_", r"github_pat_[A-Za-z0-9_]{20,}"),
    _token(
        "gitlab-token",
        "gl[a-z]{2,6}-|GR1348941",
        r"gl(?:pat|ptt|dt|rt|rtr|soat|ft|agent|cbt|imt|oas|ffct)-[\w.=-]{16,}|GR1348941[\w-]{16,}",
    ),
    _token("npm-token", "npm_", r"npm_[A-Za-z0-9]{20,}"),
    _token("pypi-token", "pypi-", r"pypi-(?:AgE[\w-]{10,}|[\w-]{50,})"),
    _token(
        "slack-token",
        "xox[a-z]|xapp-|xwfp-",
        r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9%/+-]{8,}|xapp-[0-9]-[A-Za-z0-9-]{8,}|xwfp-[\w-]{16,}",
    ),
    _token("stripe-key", "[rs]k_(?:org_)?(?:live|test)_", r"[rs]k_(?:org_)?(?:live|test)_[A-Za-z0-9]{8,}"),
    _token("google-api-key", "AIza", r"AIza[\w-]{30,}"),
    _token("google-oauth-token", "ya29[.]|GOCSPX-|1//0", r"ya29\.[\w-]{16,}|GOCSPX-[\w-]{16,}|1//0[\w-]{20,}"),
    _rule("openai-style-key", r"\bsk-", r"\bsk-([\w-]{20,})", _looks_generated),
    _token("atlassian-token", "ATATT3|ATCTT3|ATBB|BBDC-", r"(?:ATATT3|ATCTT3|ATBB|BBDC-)[\w=+/-]{16,}"),
    _rule(
        "json-web-token",
        "eyJ",
        r"(?<![\w-])(?=[\w-]++\.(?:[\w-]*\.[\w-]|eyJ[\w-]{8}))[\w-]*?eyJ[\w-]{8,}",
    ),
    _rule(
        "private-key",
        "-----BEGIN|PuTTY-User-Key-File",
        r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY|PuTTY-User-Key-File-[0-9]",
        overrules_words=True,
    ),
    _rule(
        "authorization",
        f"(?i:(?:{_SCHEMES})(?:[^!-~]|%20))",
        rf"(?i:(?<![A-Za-z0-9])(?!basic\s)(?:{_SCHEMES})(?:%20|\s+))([\w.~+/=:-]{{8,}})",
        _looks_generated,
    ),
    _rule("basic-authorization", r"(?i:basic)[^!-~]", r"(?i:\bbasic)\s+([A-Za-z0-9+/=_-]{6,})", _is_basic_credential),
    _rule(
        "authorization-header",
        "(?i:authorization)",
        r"(?i:\bauthorization)['\"]?\s*[=:]\s*['\"]?(?:([A-Za-z][\w-]*)\s+)?([^\s'\",;]{6,})",
        _is_authorization,
    ),
    # A port is no password, nor is an address in brackets.
    _rule(
        "url-password",
        r"://[^\s@]*@",
        r"(?<![A-Za-z0-9+.-])[0-9+.-]*+[A-Za-z][A-Za-z0-9+.-]*+://[^/\s:@[]{0,128}?(?i::|%3a)(?![0-9]*/)"
        r"([^/\s@]{1,2048}+|[^\s@]{1,128}+)@",
        _is_no_placeholder,
    ),
    _rule(
        "connection-string",
        "(?i:password|pwd)",
        r"(?i:;[ ]?(?:password|pwd)=|(?<![A-Za-z])(?:password|pwd)=(?=[^;\s]{1,64}+;[ ]?[a-z ]{1,32}+=))"
        r"([^;\s'\"]{1,256})",
        _is_no_placeholder,
    ),
    _rule(
        "slack-webhook",
        "(?i:hooks[.]slack)",
        r"(?i:hooks\.slack(?:-gov)?\.com(?:/|%2f)(?:services|workflows|triggers)(?:/|%2f))(\S+)",
        _has_address_secret,
    ),
    _rule(
        "teams-webhook",
        "(?i:[.]office)",
        r"(?i:(?:webhook|outlook)\.office(?:365)?\.com(?:/|%2f)(?:webhook[^/\s]*/)?)(\S+)",
        _has_address_secret,
    ),
    _rule(
        "webhook-url",
        f"(?i:{_WEBHOOK_HOSTS}|/hooks/)",
        rf"(?i:(?:{_WEBHOOK_HOSTS})/?|://[^\s/]{{1,256}}/hooks/(?=[a-z0-9/]*[0-9])(?=[a-z0-9/]{{20}}))(\S+)",
        _has_address_secret,
    ),
    _rule(
        "workflow-url",
        "(?i:[.]logic[.]|[.]powerplatform[.]|[.]flow[.]|[.]powerautomate[.])",
        r"(?i:(?<!\S)(?>\S*?\.(?:logic\.azure|api\.powerplatform|flow\.microsoft|powerautomate)\.)\S*\bsig(?:=|%3d))(\S+)",
        _has_signature,
    ),
    _rule(
        "signature-parameter",
        "(?i:sig=|sig%3d|%73ig=|signature=|signature%3d)",
        r"(?i:(?:(?<![A-Za-z0-9])|(?<=%3f)|(?<=%26))(?:sig|%73ig|(?:x-(?:amz|goog)-)?signature)(?:=|%3d))(\S+)",
        _has_signature,
    ),
    _rule(
        "azure-storage-key",
        "(?i:accountkey=|accesskey=)",
        r"(?i:(?:account|access)key=)([\w+/=]{16,})",
    ),
    _rule("webhook-secret", "whs(?:ec|k)_", r"whs(?:ec|k)_[\w+/=-]{8,}"),
    _rule(
        "assigned-secret",
        f"(?i:{_SENSITIVE})",
        rf"(?i:(?:{_SENSITIVE})[0-9_]*['\"]?\s*[=:]\s*)['\"]?([^\s'\"&,;]{{6,}})",
        _is_assigned,
    ),
)

SENSITIVE_KEY_CODE: Final = "sensitive-key"
_SENSITIVE_KEY = re.compile(rf"(?i:(?:{_SENSITIVE})[^A-Za-z]*$)")
_HEADER_KEY = re.compile(r"(?i:(?:proxy[_-]?)?authorization|(?:set-)?cookie2?)")
#: A decision under a key named ``authorization``, such as ``approved``.
_PLAIN_WORD: Final = re.compile("[a-z_]{1,40}")

#: Letters that Python's ``(?i:...)`` takes for i, s and k: U+0130, U+0131, U+017F and U+212A, in UTF-8.
_FOLDED: Final = (r"\xc4[\xb0\xb1]", r"\xc5\xbf", r"\xe2\x84\xaa")

#: Patterns over bytes; a raw line that none of them matches holds no secret of these rules.
PREFILTERS: Final = (*(rule.prefilter for rule in RULES), "(?i:authorization|cookie)", *_FOLDED)


def compiled(patterns: Sequence[str]) -> hyperscan.Database:
    """Compiles patterns to be looked for in bytes, all in one pass (docs/decisions/0005-ingest-speed.md)."""
    database = hyperscan.Database()
    database.compile(expressions=[pattern.encode() for pattern in patterns], flags=[0] * len(patterns))
    return database


@cache
def _prefilter_database() -> hyperscan.Database:
    return compiled(PREFILTERS)


#: Each thread has a scratch space of its own; the database is compiled at its first use, not at import.
_local = threading.local()


def prefilter_hits(raw: bytes) -> list[tuple[int, int]]:
    """Returns where prefilters match, and the number of each in ``PREFILTERS``."""
    if not hasattr(_local, "scratch"):
        _local.scratch = hyperscan.Scratch(_prefilter_database())
    hits: list[tuple[int, int]] = []
    _prefilter_database().scan(
        raw, match_event_handler=lambda number, _, end, *__: hits.append((end, number)), scratch=_local.scratch
    )
    return hits


def secrets_in(text: str, grade: TextGrade | None = None) -> list[str]:
    """Returns the rules that a text breaks.

    Args:
        text: Any text.
        grade: What its shape says of it; worked out if it is not given.

    Returns:
        The rules' codes in the table's order; never any of the text. Digests and numbers break none, other identifiers
        only those about an issuer's prefix.
    """
    grade = grade_of(text) if grade is None else grade
    if grade is TextGrade.PURE:
        return []
    return [
        rule.code
        for rule in _prefiltered_rules(text)
        if (rule.overrules_words or grade is TextGrade.NONE) and any(map(rule.confirms, rule.pattern.finditer(text)))
    ]


def secrets_in_prose(text: str) -> list[str]:
    """Returns the rules that a label of several words breaks. It is stored as it is, so no match needs confirming.

    A label that is an identifier breaks the same rules as any other identifier.
    """
    grade = grade_of(text)
    if grade is not TextGrade.NONE:
        return secrets_in(text, grade)
    return [rule.code for rule in _prefiltered_rules(text) if rule.pattern.search(text)]


def _prefiltered_rules(text: str) -> Sequence[Rule]:
    numbers = sorted({number for _, number in prefilter_hits(text.encode("utf-8", "surrogatepass"))})
    # Prefilters that come after those of the rules are about all of them.
    return [RULES[number] for number in numbers] if max(numbers, default=0) < len(RULES) else RULES


def is_sensitive_key(key: str) -> bool:
    """Returns whether a value under this key is a secret by its name: the last word is ``token``, ``api_key``, ..."""
    return _SENSITIVE_KEY.search(key) is not None


def is_header_key(key: str) -> bool:
    """Returns whether a key names a header that carries credentials: ``Authorization``, ``Cookie``."""
    return _HEADER_KEY.fullmatch(key) is not None


def is_plain_word(text: str) -> bool:
    """Returns whether a value under a header's name is a word such as ``approved`` and so no credential."""
    return _PLAIN_WORD.fullmatch(text) is not None
