"""Writes the tables of ``docs/evidence*.md`` from the declared table; run as ``python -m`` with a page."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cavra_pipeline.boundary.fields import ENVELOPE, Field, Type
from cavra_pipeline.boundary.kinds import KIND_PREFIX, KINDS, payload_key
from cavra_pipeline.boundary.secrets import RULES, SENSITIVE_KEY_CODE
from cavra_pipeline.boundary.verdict import ACTOR_CODE, NOT_AN_IDENTIFIER, Reason

_MARK: Final = re.compile(r"<!-- (\w+) -->.*?<!-- end -->", re.DOTALL)


def _envelope() -> Iterator[str]:
    yield "| field | type | says | required |"
    yield "| --- | --- | --- | --- |"
    for field in ENVELOPE:
        yield f"| `{field.path}` | {_type(field)} | {field.comment} | {'yes' if field.required else ''} |"


def _type(field: Field) -> str:
    return field.format.value if field.type is Type.STRING else field.type.value


def _kinds() -> Iterator[str]:
    yield "| kind | table | lane | fields beyond the envelope |"
    yield "| --- | --- | --- | --- |"
    for kind in KINDS.values():
        name = kind.name.replace(KIND_PREFIX, "…-")
        payload = payload_key(kind.name.removeprefix(KIND_PREFIX)) + "."
        paths = (field.path.replace(payload, "payload.") for field in kind.fields if field not in ENVELOPE)
        listed_paths = ", ".join(f"`{path}`" for path in paths)
        yield f"| `{name}` | {kind.record_type} | {kind.lane or 'by its source'} | {listed_paths} |"


def _rules() -> Iterator[str]:
    yield from (f"- `{rule.code}`" for rule in RULES)
    yield f"- `{SENSITIVE_KEY_CODE}`: a value under a key whose last word is `token`, `password`, `api_key`, ..."
    yield f"- `{ACTOR_CODE}`: an actor label that is not public-safe"
    yield f"- `{NOT_AN_IDENTIFIER}`: a text that is not of its declared format"


def _reasons() -> Iterator[str]:
    yield from (f"- `{reason.value}`" for reason in Reason)


_TABLES: Final = {"envelope": _envelope, "kinds": _kinds, "rules": _rules, "reasons": _reasons}


def with_tables(text: str) -> str:
    """Returns the page with every marked table rebuilt."""
    return _MARK.sub(lambda mark: "\n".join((f"<!-- {mark[1]} -->", *_TABLES[mark[1]](), "<!-- end -->")), text)


def main() -> None:
    """Rewrites the page given as the only argument."""
    page = Path(sys.argv[1])
    page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
