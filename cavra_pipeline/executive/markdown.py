"""The executive report as Markdown; every text in it is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from cavra_pipeline.escaping import markdown

_OPEN: Final = {
    "name": "Recovery",
    "age": "Open for",
    "slo": "Limit",
    "notified": "Notified via",
    "steps": "Step",
}


def markdown_of(report: Mapping[str, Any], page: Mapping[str, Any]) -> str:
    """Returns the report as Markdown.

    Args:
        report: An executive report.
        page: What the pages say in words.
    """
    sections = [
        f"# {markdown(page['state'])}: executive report, {markdown(page['as_of'])}",
        markdown(report["headline"]),
        *([markdown(page["missed"])] if page["missed"] else []),
        *([f"**You decide:** {markdown(page['decide'])}"] if page["decide"] else []),
        _step(f"{'1. ' if page['what_to_do']['role'] else ''}{page['first_when']}", page["what_to_do"]),
        *(["Then:", _items(map(markdown, then))] if (then := page["what_to_do"]["then"]) else []),
        *(
            [f"**{page['leaks_number']}. Also now (Platform team):** {markdown(page['leaks'])}"]
            if page["leaks"]
            else []
        ),
        *([f"See the leaked secrets in the console: {page['leaks_address']}"] if page["leaks_address"] else []),
        markdown(page["what"]),
        _items(_fact(fact) for fact in page["facts"]),
        *_next_actions(page),
        "## Providers that need attention",
        *_rows(
            page["broken_caption"],
            {"cause": "What is wrong", **page["broken_counts"], "oldest": "Oldest failure"},
            [*page["broken"], *filter(None, [page["broken_total"]])],
            page["none_broken"],
        ),
        "## Open recoveries",
        *_rows(page["open_caption"], _OPEN, page["open"], page["none_open"]),
        f"## The last {page['window']}",
        _items(markdown(sentence) for sentence in report["what_happened"]),
        "---",
        *(markdown(note) for note in page["notes"]),
        f"For the platform team: {'; '.join(f'{what}: `{run}`' for what, run in page['commands'])}.",
        " · ".join(map(markdown, page["ids"])),
    ]
    return "\n\n".join(sections) + "\n"


def _fact(fact: Mapping[str, str]) -> str:
    note = f" ({markdown(fact['note'])})" if fact["note"] else ""
    return f"{markdown(fact['label'])}: {markdown(fact['value'])}{note}"


def _next_actions(page: Mapping[str, Any]) -> list[str]:
    if not page["next_actions"]:
        return []
    steps = [
        f"{action['number']}. {_step(markdown(action['urgency']), action, action['then'])}"
        for action in page["next_actions"]
    ]
    return ["## All other steps", "\n".join(steps), *_more_actions(page)]


def _step(when: str, action: Mapping[str, Any], then: Sequence[str] = ()) -> str:
    """A step: when, who takes it, what follows, and why; without a role there is nothing to do."""
    if not action["role"]:
        return f"**{when}:** {markdown(action['action'])}"
    steps = " ".join([action["action"], *then]).removesuffix(".")
    return f"**{when} ({markdown(action['role'])}):** {markdown(steps)} – {markdown(action['because'])}"


def _more_actions(page: Mapping[str, Any]) -> list[str]:
    # The address is the host's own setting, checked when it was read.
    return [f"{markdown(page['more_actions'])} {page['console']}".rstrip()] if page["more_actions"] else []


def _rows(caption: str, columns: Mapping[str, str], rows: Sequence[Mapping[str, str]], none: str) -> list[str]:
    if not rows:
        return [markdown(none)]
    return [markdown(caption), _table(list(columns.values()), ([row[name] for name in columns] for row in rows))]


def _items(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *([markdown(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
