"""The executive report as Markdown; every text in it is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cavra_pipeline.escaping import markdown
from cavra_pipeline.executive.words import provider_name


def markdown_of(report: Mapping[str, Any], page: Mapping[str, Any]) -> str:
    """Returns the report as Markdown.

    Args:
        report: An executive report.
        page: What the pages say in words.
    """
    sections = [
        f"# {markdown(page['state'])}: recovery report, {markdown(page['as_of'])}",
        markdown(report["headline"]),
        f"**Do now:** {markdown(report['what_to_do'])}",
        _items(f"{markdown(fact['label'])}: {markdown(fact['value'])}" for fact in page["facts"]),
        *_next_actions(page),
        f"## The last {page['window']}",
        _items(markdown(sentence) for sentence in report["what_happened"]),
        "## Open recoveries",
        *_open_recoveries(page),
        *_groups(page),
        *_retries(page),
        "## Key risks",
        _items(
            f"**{markdown(risk['severity'])}**: {markdown(risk['risk'])} {markdown(risk['action'])}"
            for risk in report["key_risks"]
        )
        or "None was found.",
        "## Deliveries by provider",
        _providers(report) or page["no_delivery"],
        "## Outages and retries by lane",
        _lanes(page),
        "## Opened and closed",
        *_trend(page),
        "---",
        *(markdown(note) for note in page["notes"]),
    ]
    return "\n\n".join(sections) + "\n"


def _next_actions(page: Mapping[str, Any]) -> list[str]:
    if not page["next_actions"]:
        return []
    steps = (
        f"**{markdown(one['urgency'])}**: {markdown(one['action'])} ({markdown(one['because'])})"
        for one in page["next_actions"]
    )
    return ["## What to do next", _items(steps), *([page["more_actions"]] if page["more_actions"] else [])]


def _open_recoveries(page: Mapping[str, Any]) -> list[str]:
    if not page["open"]:
        return [markdown(page["none_open"])]
    header = ("Recovery", "Open for", "Limit", "Notified via", "Next step")
    rows = ([one["name"], one["age"], one["slo"], one["notified"], one["action"]] for one in page["open"])
    return [markdown(page["open_caption"]), _table(header, rows)]


def _groups(page: Mapping[str, Any]) -> list[str]:
    names = ("name", "open", "late", "opened", "closed", "in_time")
    sections = []
    for title, rows in (("Provider", page["by_provider"]), ("Cause", page["by_cause"])):
        if rows:
            header = (title, "Open", "Past the limit", "Opened", "Closed", "Closed in time")
            sections += [
                f"## Recoveries by {title.lower()}",
                _table(header, ([row[name] for name in names] for row in rows)),
            ]
    return sections


def _retries(page: Mapping[str, Any]) -> list[str]:
    if not page["retries"]:
        return []
    return ["## Retries that need review", _items(markdown(one["action"]) for one in page["retries"])]


def _providers(report: Mapping[str, Any]) -> str:
    rows = [
        [
            provider_name(one["provider"]),
            one["delivered_count"],
            one["failed_count"],
            f"{one['delivered_percent']} %",
        ]
        for one in report["deliveries_by_provider"]
    ]
    header = ("Provider", "Arrived", "Failed attempts", "Share that arrived")
    return _table(header, rows) if rows else ""


def _lanes(page: Mapping[str, Any]) -> str:
    names = ("title", "worker", "delivered", "failed", "skipped", "still_failed")
    rows = ([lane[name] for name in names] for lane in page["lanes"])
    return _table(("Lane", "Worker", "Delivered retries", "Failed", "Skipped", "Still failed"), rows)


def _trend(page: Mapping[str, Any]) -> list[str]:
    if not page["is_known"]:
        return [markdown(page["none_open"])]
    rows = ([day["day"], day["opened"], day["closed"], day["open"]] for day in page["trend"])
    return [markdown(page["trend_caption"]), _table(("Day", "Opened", "Closed", "Open at its end"), rows)]


def _items(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *([markdown(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
