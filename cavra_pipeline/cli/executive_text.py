"""The executive report as text for a terminal, which is folded to its width."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cavra_pipeline.executive.page import PageContext, page_of
from cavra_pipeline.executive.providers import risk_of
from cavra_pipeline.terminal import Styled, Terminal, lines, shown

_OPEN: Final = {
    "name": "recovery",
    "age": "open for",
    "slo": "limit",
    "steps": "step",
    "notified": "notified via",
}
_TONES: Final = {"critical": "bold red", "warning": "yellow", "healthy": "green"}


def show_report(console: Terminal, report: Mapping[str, Any], context: PageContext) -> None:
    """Shows an executive report: the sentences of its page, and every provider with its counts."""
    page = page_of(report, context)
    console.print(f"{page['state']}: executive report, {page['as_of']}", style=_TONES.get(page["tone"], "bold"))
    console.print(report["headline"])
    if page["missed"]:
        console.print(page["missed"])
    first = page["what_to_do"]
    rows = [("You decide", page["decide"])] if page["decide"] else []
    rows.append((f"1. {page['first_when']}" if first["role"] else page["first_when"], _step(first)))
    rows += [(f"{page['leaks_number']}. Also now", f"Platform team: {page['leaks']}")] if page["leaks"] else []
    console.facts("What to do", rows)
    console.facts("In figures", [(fact["label"], _fact(fact)) for fact in page["facts"]])
    if page["next_actions"]:
        console.facts(
            "All other steps",
            [(f"{step['number']}. {step['urgency']}", _step(step)) for step in page["next_actions"]],
        )
    if page["more_actions"]:
        console.print(" ".join(filter(None, [page["more_actions"], page["console"]])))
    _show_providers(console, report, page)
    _show_open(console, page)
    console.facts(f"The last {page['window']}", [("-", sentence) for sentence in report["what_happened"]])
    console.part()
    for note in [page["what"], *page["notes"], *page["ids"]]:
        console.print(note, style="dim")
    console.next(*(command for _, command in page["commands"]))


def _step(action: Mapping[str, Any]) -> Styled:
    """A step: who takes it, what follows, and why."""
    who = f"{action['role']}: " if action["role"] else ""
    return lines(f"{who}{action['action']}", *action["then"], shown(action["because"], "dim"))


def _fact(fact: Mapping[str, str]) -> str:
    return f"{fact['value']} ({fact['note']})" if fact["note"] else fact["value"]


def _show_providers(console: Terminal, report: Mapping[str, Any], page: Mapping[str, Any]) -> None:
    rows = [
        (shown(provider["severity"], _TONES[provider["severity"]]), risk_of(provider))
        for provider in report["broken_providers"]
    ]
    console.facts("Providers that need attention", rows or [("-", page["none_broken"])])


def _show_open(console: Terminal, page: Mapping[str, Any]) -> None:
    if page["open"]:
        rows = [[recovery[name] for name in _OPEN] for recovery in page["open"]]
        console.table("Open recoveries", list(_OPEN.values()), rows, is_last_folded=True)
    else:
        console.facts("Open recoveries", [("-", page["none_open"])])
