"""The recorded month: two files of JSON lines and their stories, moved by whole minutes so that it ends when asked for.

The files are package data. Their records are as CAVRA's own code wrote them; ids stay, every instant moves.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml

from cavra_pipeline.documents import parse_as_of
from cavra_pipeline.errors import UsageError
from cavra_pipeline.lanes import LANES

#: The instants between which it was recorded.
RECORDED_FROM: Final = datetime(2026, 10, 29, 0, 0, tzinfo=UTC)
RECORDED_UNTIL: Final = datetime(2026, 11, 28, 8, 0, tzinfo=UTC)
MONTH_FILE: Final = "month.jsonl.gz"
LATE_FILE: Final = "month-late-day.jsonl.gz"
_STORIES_FILE: Final = "month-stories.yaml"
#: Every instant in the recording, in whichever field or text it stands.
_INSTANT: Final = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6})?(?:Z|\+00:00)")


@dataclass(frozen=True, slots=True)
class Story:
    """One thing that happened in the month.

    Attributes:
        name: Its name; several stories may share one.
        began_at: When it began, UTC.
        ended_at: When it ended; None for what happened at one instant or goes on.
        lanes: The lanes concerned, in the order of ``LANES``.
        providers: The connectors concerned.
        sentence: What happened, as one text.
        ids: The records that show it, by what they are.
    """

    name: str
    began_at: datetime
    ended_at: datetime | None
    lanes: tuple[str, ...]
    providers: tuple[str, ...]
    sentence: str
    ids: dict[str, Any]

    @property
    def last_at(self) -> datetime:
        """When it ended, or the one instant at which it happened."""
        return self.ended_at or self.began_at


@dataclass(frozen=True, slots=True)
class RecordedMonth:
    """The recording, moved so that it ends at an instant, rounded down to the minute.

    Attributes:
        until: Where it ends, UTC.
    """

    until: datetime

    @classmethod
    def ending(cls, until: datetime) -> RecordedMonth:
        """Returns the month that ends at an instant.

        Raises:
            UsageError: The instant has no time zone.
        """
        if until.tzinfo is None:
            raise UsageError("the instant has no time zone", where="until", remedy="Give it one, such as UTC")
        return cls(until.astimezone(UTC).replace(second=0, microsecond=0))

    @property
    def shift(self) -> timedelta:
        """By how much every instant is moved."""
        return self.until - RECORDED_UNTIL

    @property
    def began_on(self) -> date:
        """The UTC day of its first record."""
        return (RECORDED_FROM + self.shift).date()

    def lines(self, name: str) -> Iterator[str]:
        """Yields the lines of one of its files; the last line of the late file is half a record."""
        with gzip.open(str(files(__package__) / name), "rt", encoding="utf-8", newline="\n") as recorded:
            yield from map(self._moved, recorded)

    def write(self, folder: Path, name: str) -> Path:
        """Writes one of its files into a folder and returns the path."""
        path = folder / name
        with gzip.open(path, "wt", compresslevel=1, encoding="utf-8", newline="\n") as file:
            file.writelines(self.lines(name))
        return path

    def stories(self) -> list[Story]:
        """Returns what happened in it, oldest first."""
        text = (files(__package__) / _STORIES_FILE).read_text(encoding="utf-8")
        return [
            Story(
                name=story["story"],
                began_at=parse_as_of(story["began_at"]),
                ended_at=parse_as_of(story["ended_at"]) if story["ended_at"] else None,
                lanes=tuple(LANES) if story["lanes"] == "all" else tuple(story["lanes"]),
                providers=tuple(story["providers"]),
                sentence=_INSTANT.sub(lambda match: match[0][:16].replace("T", " "), story["sentence"]),
                ids=story["ids"],
            )
            for story in yaml.safe_load(self._moved(text))
        ]

    def story(self, name: str) -> Story:
        """Returns the first story of a name."""
        return next(story for story in self.stories() if story.name == name)

    def _moved(self, text: str) -> str:
        return _INSTANT.sub(lambda match: self._later(match[0]), text) if self.shift else text

    def _later(self, instant: str) -> str:
        later = (datetime.fromisoformat(instant) + self.shift).isoformat()
        return later.removesuffix("+00:00") + "Z" if instant.endswith("Z") else later
