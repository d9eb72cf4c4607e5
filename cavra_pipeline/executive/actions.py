"""What to do, from the risks of an executive report: each step of one role, each once, and which the page numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cavra_pipeline.executive.providers import steps_of
from cavra_pipeline.executive.words import EXECUTIVE

#: Steps that the page and the console show with a number.
_MOST_ACTIONS: Final = 8


def actions_for(risks: Sequence[Mapping[str, Any]], broken: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns what to do, each thing once, in the order of the risks that call for it.

    Steps that the page and the console show have a ``number``, others None; the executive's own have room first.
    ``then`` lists what follows a step. Of a provider only the cause is said, as the table of providers has its counts.
    """
    providers = {row["action"]: row for row in broken}
    actions: dict[str, dict[str, Any]] = {}
    for risk in risks:
        urgency = "now" if risk["severity"] == "critical" else "soon"
        provider = providers.get(risk["action"])
        alone = {"role": risk["role"], "action": risk["action"], "then": [], "because": risk["risk"]}
        for step in steps_of(provider) if provider else [alone]:
            freed = {"freed_recovery_count": risk["freed_recovery_count"]}
            actions.setdefault(step["action"], {"urgency": urgency, **step, **freed})
    steps = list(actions.values())
    further = sorted(range(1, len(steps)), key=lambda n: steps[n]["role"] != EXECUTIVE)
    shown = sorted([0, *further[: _MOST_ACTIONS - 1]])
    return [{**action, "number": shown.index(n) + 1 if n in shown else None} for n, action in enumerate(steps)]
