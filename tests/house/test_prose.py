"""Words that the prose does not use: in the README, the docs, the help, the console, and the text of the code."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

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
NOT_WRITTEN = {re.compile(rf"\b({word})\b", re.IGNORECASE): instead for word, instead in WORDS.items()}


def without_code(markdown: str) -> str:
    """Returns a text without its code and the targets of its links, each line where it was."""
    text = re.sub(r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), markdown, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"\]\([^)]*\)", "]", re.sub(r"`[^`\n]*`", "`", text))


def texts() -> Iterator[tuple[str, str]]:
    """Yields each text with its name; the dictionary lists columns."""
    for path in (*REPOSITORY.glob("*.md"), REPOSITORY / "Makefile", *sorted((REPOSITORY / "docs").rglob("*.md"))):
        if path.name != "data-dictionary.md":
            yield path.relative_to(REPOSITORY).as_posix(), without_code(path.read_text(encoding="utf-8"))
    for words, one in EVERY.items():
        helps = [getattr(parameter, "help", None) or "" for parameter in one.params]
        yield f"help of {' '.join(words)}", "\n".join([one.help or "", *helps])
    for folder in ("cavra_pipeline", "assets", "sensors"):
        for path in sorted((REPOSITORY / folder).rglob("*")):
            if path.suffix in (".py", ".sql", ".js", ".html"):
                yield path.relative_to(REPOSITORY).as_posix(), path.read_text(encoding="utf-8")


def found_in(text: str) -> Iterator[str]:
    """Yields the line of each word that is not written, the word, and what to write."""
    for number, line in enumerate(text.splitlines(), 1):
        for word, instead in NOT_WRITTEN.items():
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


def test_prose_uses_the_words_of_the_field() -> None:
    every = dict(texts())

    assert {"README.md", "docs/alerts.md", "help of status", "sensors/slots.py"} <= every.keys()
    assert [f"{name}:{one}" for name, text in every.items() for one in found_in(text)] == []
