"""Names that say nothing of what they hold: a variable, an argument, a function or a class is named by its noun."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.support import REPOSITORY

#: Words that are no names by themselves; names that hold one of them beside a noun are well.
NOT_NAMES = {
    "asked", "came", "contested", "doubtful", "found", "given", "held", "known", "lent", "living", "look", "made",
    "meaning", "one", "own", "parcel", "spell", "stage", "standing", "told", "typed",
}  # fmt: skip

#: A key of a cursor that outlives a release, and the glossary's word for a due retry that a person holds up.
NAMES_OF_THE_DOMAIN = {("watcher.py", "look"), ("claims.py", "held"), ("worker.py", "held")}


def names_in(python: str) -> Iterator[tuple[int, str]]:
    """Yields each name that the code of a module gives to something, and its line."""
    for node in ast.walk(ast.parse(python)):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name


def unsaid_in(path: Path) -> list[str]:
    """Returns place and name of each that is no noun."""
    names = names_in(path.read_text(encoding="utf-8"))
    place = path.relative_to(REPOSITORY).as_posix()
    return [
        f"{place}:{line}: {name}"
        for line, name in names
        if name.strip("_").lower() in NOT_NAMES and (path.name, name) not in NAMES_OF_THE_DOMAIN
    ]


def test_a_name_that_says_nothing_of_what_it_holds_is_seen() -> None:
    python = "class Look:\n    def one(self, known):\n        self.made = [found for found in known if found.kept]\n"

    assert [name for _, name in names_in(python) if name.lower() in NOT_NAMES] == [
        "Look",
        "one",
        "known",
        "made",
        "found",
    ]


def test_the_code_names_what_it_holds() -> None:
    files = [path for folder in ("cavra_pipeline", "assets", "sensors") for path in (REPOSITORY / folder).rglob("*.py")]

    assert len(files) > 300
    assert [place for path in sorted(files) for place in unsaid_in(path)] == []
