"""Words that the prose does not use: in the README, the docs, the help, the console, and the text of the code."""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections.abc import Iterator
from typing import Any

import pytest

from cavra_pipeline.api.app import create_app
from cavra_pipeline.api.service import Service
from tests.cli.test_help import EVERY
from tests.support import REPOSITORY

#: What is not written, and what is written in its place; as far as an expression can tell the sense of a word.
WORDS = {
    r"mend(s|ed|ing)?": "fix",
    r"anew": "rebuilt, rewritten",
    r"(keep|keeps|kept) (a |the )?(plan|report)s?|nothing (of it )?is kept|nothing was kept": "save, not saved",
    r"only look|a look|a first look": "preview, observation",
    r"(take|takes|took|taken) in (new )?evidence": "ingest",
    r"(take|takes|took|taken) (it|an alert|the alert|alerts) on": "acknowledge",
    r"(nobody|no one|who|group|kind|alert|end|subject|connector|people) (is|are|was|had been) told": "notified",
    r"told (to|through|anyway|at once|of)|(is|are|was) told (?!apart|by which)": "notified",
    r"notices? that (was|were) not taken": "undelivered notifications",
    r"to be over|(when|until|once|after|that) it is over(?! (the|\d))|window is over(?! \d)": "resolved",
    r"(stood|stands) still|is out since": "was down, has been down since",
    r"faults? of (its|their) own": "is returning server errors",
    r"refuses? the sign-in": "rejects our credentials",
    r"said so far|asked by|most attempts|longest delay": "acknowledgement, requested by, max attempts, max delay",
    r"rest(s|ed)? on": "is based on",
}
#: Not in sentences: names in code and between backticks, such as `drop_day` and `slots`, have a sense of their own.
WORDS_OF_SENTENCES = {
    r"drops?": "landing file; removes",
    r"notices?": "notification",
    r"slots?": "scheduled run",
    r"nobody|nobody's": "no one, none",
    r"back to the disk": "free disk space",
    r"(take|takes|took|taken) in": "processes, ingests",
    r"screened|doubtful": "validated, needs review",
    r"parcels?|spells?": "batch, interval",
    r"(this|each|one|the last|the first|between|at a|two) looks?": "observation",
    r"can't see|cannot see": "limitations",
    r"tells? whether|kept scanner": "returns whether, pinned",
}
#: Nor in what is written for users: pages, helps, the API reference.
WORDS_OF_PAGES = {
    r"(?<!where to )looks?|looked|looking": "observation; checks, reads",
    r"kept|keeps? (a|the|its|every|each|no) (plan|report|record|copy|file|trace|evidence)s?": "saved, stored",
    r"told|tells?|telling": "notify; say",
    r"hints?": "prefilter",
    r"(is|are) (open|out|down|off) since": "has been down since",
    r"signs? of life|has not looked": "heartbeat; has stopped ticking",
    r"more hands|the way of a record|write down why": "responders, life of a record, record why",
    r"slo: past it|empty for now|at this instant": "SLO: breached; leave empty for now; as of",
    r"upside down|without any trace|judged? at": "reversed; saves nothing; evaluate at",
}


def compiled(*words: dict[str, str]) -> dict[re.Pattern[str], str]:
    """Returns the expressions by which words are found, with what is written in their place."""
    return {re.compile(rf"\b({word})\b", re.IGNORECASE): instead for some in words for word, instead in some.items()}


NOT_WRITTEN = compiled(WORDS)
NOT_IN_SENTENCES = compiled(WORDS_OF_SENTENCES)
NOT_ON_PAGES = compiled(WORDS_OF_SENTENCES, WORDS_OF_PAGES)
#: Quotes messages and names of earlier releases.
QUOTING = ("CHANGELOG.md",)
#: The ledger's own code calls a row of its table by the table's name.
OF_THE_LEDGER = (
    "cavra_pipeline/slots/",
    "cavra_pipeline/state/",
    "assets/slots.py",
    "sensors/slots.py",
    "sensors/dagster_records.py",
)


def without_code(markdown: str) -> str:
    """Returns a text without its code and the targets of its links, each line where it was."""
    text = re.sub(r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), markdown, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"\]\([^)]*\)", "]", re.sub(r"`[^`\n]*`", "`", text))


def sentences_of(python: str) -> str:
    """Returns the docstrings and comments of a module without code and names of arguments, each line where it was."""
    lines = python.splitlines()
    kept = [""] * len(lines)
    for token in tokenize.generate_tokens(io.StringIO(python).readline):
        if token.type == tokenize.COMMENT:
            kept[token.start[0] - 1] = token.string
    for node in ast.walk(ast.parse(python)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node
        ):
            first, last = node.body[0].lineno - 1, node.body[0].end_lineno
            kept[first:last] = [re.sub(r"^ *\w+:", "", line) for line in lines[first:last]]
    return without_code("\n".join(kept))


def helps() -> Iterator[tuple[str, str]]:
    """Yields the help of each command with its name."""
    for words, one in EVERY.items():
        options = [getattr(parameter, "help", None) or "" for parameter in one.params]
        yield f"help of {' '.join(words)}", without_code("\n".join([one.help or "", *options]))


def reference(document: Any, place: str = "API") -> Iterator[tuple[str, str]]:
    """Yields summaries and descriptions of the API's document, each with its place."""
    for name, value in document.items() if isinstance(document, dict) else enumerate(document):
        if name in ("summary", "description") and isinstance(value, str):
            yield f"{place} {name}", without_code(value)
        elif isinstance(value, dict | list) and name not in ("example", "examples"):
            yield from reference(value, f"{place} {name}")


def pages() -> Iterator[tuple[str, str]]:
    """Yields each text that is written for users, with its name; the dictionary lists columns."""
    for path in (*REPOSITORY.glob("*.md"), REPOSITORY / "Makefile", *sorted((REPOSITORY / "docs").rglob("*.md"))):
        if path.name != "data-dictionary.md":
            yield path.relative_to(REPOSITORY).as_posix(), without_code(path.read_text(encoding="utf-8"))
    yield from helps()
    app = create_app(Service, hosts=None, requests_per_second=1)  # type: ignore[arg-type]  # not opened
    yield from reference(json.loads(app.openapi()))


def code() -> Iterator[tuple[str, str]]:
    """Yields each file of the code, with its name."""
    for folder in ("cavra_pipeline", "assets", "sensors"):
        for path in sorted((REPOSITORY / folder).rglob("*")):
            if path.suffix in (".py", ".sql", ".js", ".html"):
                yield path.relative_to(REPOSITORY).as_posix(), path.read_text(encoding="utf-8")


def found_in(text: str, not_written: dict[re.Pattern[str], str] = NOT_WRITTEN) -> Iterator[str]:
    """Yields the line of each word that is not written, the word, and what to write."""
    for number, line in enumerate(text.splitlines(), 1):
        for word, instead in not_written.items():
            yield from (f"{number}: {found[0]} (write: {instead})" for found in word.finditer(line))


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("What was told to be over fires again.", True),
        ("The group is told when it begins.", True),
        ("Errors are told apart by their code.", False),
        ("It is over 64 KiB.", False),
        ("The report rests on 5 records.", True),
        ("The rest of it is recommended.", False),
        ("Mend the connector.", True),
    ],
)
def test_the_expressions_tell_the_sense_of_a_word(text: str, is_found: bool) -> None:
    assert bool(list(found_in(text))) == is_found


def test_code_is_no_prose_and_keeps_its_lines() -> None:
    assert without_code("a `mend` b\n```sh\nmend\n```\n[mended](mend.md)") == "a ` b\n\n\n\n[mended]"


def test_sentences_of_code_are_its_docstrings_and_comments_without_names() -> None:
    text = 'drop = 1  # a drop\n\n\ndef f(drops):\n    """A slot of `s`.\n\n    Args:\n        drops: Files.\n    """\n'

    assert sentences_of(text).split("\n") == [
        "# a drop",
        "",
        "",
        "",
        '    """A slot of `.',
        "",
        "",
        " Files.",
        '    """',
    ]
    assert list(found_in(sentences_of(text), NOT_IN_SENTENCES)) == [
        "1: drop (write: landing file; removes)",
        "5: slot (write: scheduled run)",
    ]


def test_prose_uses_the_words_of_the_field() -> None:
    every = dict([*pages(), *code()])

    assert {"README.md", "docs/alerts.md", "help of status", "sensors/slots.py", "API info summary"} <= every.keys()
    assert [f"{name}:{one}" for name, text in every.items() for one in found_in(text)] == []


def test_pages_helps_and_the_api_reference_use_the_words_of_the_field() -> None:
    written = [(name, text) for name, text in pages() if name not in QUOTING]

    assert [f"{name}:{one}" for name, text in written for one in found_in(text, NOT_ON_PAGES)] == []


def test_docstrings_and_comments_use_the_words_of_the_field() -> None:
    sentences = [(name, sentences_of(text)) for name, text in code() if name.endswith(".py")]
    found = [(name, one) for name, text in sentences for one in found_in(text, NOT_IN_SENTENCES)]

    assert [
        f"{name}:{one}" for name, one in found if "slot" not in one.lower() or not name.startswith(OF_THE_LEDGER)
    ] == []
