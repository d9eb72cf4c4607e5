"""The watcher's memory as text, for the cursor of its sensor. It holds names, instants and verdicts; no evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from cavra_pipeline.slots.configurations import Configuration
from cavra_pipeline.slots.verdicts import Cause, Kind, Spell, Tolerance, Verdict
from cavra_pipeline.slots.watcher import Episode, Memory
from cavra_pipeline.slots.watching import Look


def dump(memory: Memory) -> str:
    """Returns the memory as JSON text."""
    look = memory.look
    document = {
        "look": look
        and {
            "at": look.at.isoformat(),
            "daemon_id": look.daemon_id,
            "stopped": sorted(look.stopped),
            "started": {name: at.isoformat() for name, at in look.started.items()},
        },
        "watched_from": _text(memory.watched_from),
        "spells": [_spell(spell) for spell in memory.spells],
        "gaps": [_spell(spell) for spell in memory.gaps],
        "configurations": {
            name: [_configuration(one) for one in history] for name, history in memory.configurations.items()
        },
        "judged_until": {name: at.isoformat() for name, at in memory.judged_until.items()},
        "open": {
            name: {at.isoformat(): [verdict.kind, verdict.cause, verdict.run_id] for at, verdict in verdicts.items()}
            for name, verdicts in memory.open.items()
        },
        "episodes": {
            name: [one.first_at.isoformat(), one.last_at.isoformat(), dict(one.causes), one.is_over, one.is_told]
            for name, one in memory.episodes.items()
        },
    }
    return json.dumps(document, separators=(",", ":"))


def _spell(spell: Spell) -> list[Any]:
    return [spell.cause, spell.started_at.isoformat(), _text(spell.ended_at), spell.schedule]


def _configuration(one: Configuration) -> list[Any]:
    t = one.tolerance
    numbers = (t.grace_minutes, t.grace_percent, t.early_percent)
    return [one.valid_from.isoformat(), one.cron, one.time_zone, one.is_declared_on, *numbers]


def load(text: str | None) -> Memory | None:
    """Returns the memory that a text holds, or None if it holds none that this release reads."""
    if not text:
        return None
    try:
        return _memory(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _memory(document: Mapping[str, Any]) -> Memory:
    look = document["look"]
    return Memory(
        look=look
        and Look(
            datetime.fromisoformat(look["at"]),
            look["daemon_id"],
            frozenset(look["stopped"]),
            {name: datetime.fromisoformat(at) for name, at in look["started"].items()},
        ),
        watched_from=_instant(document["watched_from"]),
        spells=_spells(document["spells"]),
        gaps=_spells(document["gaps"]),
        configurations={
            name: [
                Configuration(name, datetime.fromisoformat(valid_from), cron, zone, is_on, Tolerance(*numbers))
                for valid_from, cron, zone, is_on, *numbers in history
            ]
            for name, history in document["configurations"].items()
        },
        judged_until={name: datetime.fromisoformat(at) for name, at in document["judged_until"].items()},
        open={
            name: {
                datetime.fromisoformat(at): Verdict(Kind(kind), Cause(cause) if cause else None, None, run_id)
                for at, (kind, cause, run_id) in verdicts.items()
            }
            for name, verdicts in document["open"].items()
        },
        episodes={
            name: Episode(
                datetime.fromisoformat(first),
                datetime.fromisoformat(last),
                {Cause(cause): count for cause, count in causes.items()},
                is_over,
                is_told,
            )
            for name, (first, last, causes, is_over, is_told) in document["episodes"].items()
        },
    )


def _spells(rows: Sequence[Sequence[Any]]) -> list[Spell]:
    return [Spell(Cause(cause), datetime.fromisoformat(start), _instant(end), name) for cause, start, end, name in rows]


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
