"""What a verification finds: differences, each with its place."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any


class Part(StrEnum):
    """Which part of a home differs."""

    LANDING_FILE = "landing_file"
    WAREHOUSE = "warehouse"
    SEGMENT = "segment"
    COMMIT_LOG = "commit_log"
    PRUNING = "pruning"
    TIME_STAMP = "time_stamp"
    SAVED_REPORT = "saved_report"


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    """One thing that is not what it must have been.

    Attributes:
        part: Part of the home.
        what: The rule that does not hold, in a few words.
        drop_day: Landing day of the landing file, ISO-8601, or empty.
        file_name: Its name, or empty.
        lane: Lane, or empty for none.
        day: UTC day of the records or of the report, ISO-8601, or empty.
        table: Table or view of the warehouse, or empty.
        report: Which report, or empty.
        report_id: Its id, or empty.
        number: Number of the log's entry or of the pruning; 0 for none.
    """

    part: Part
    what: str
    drop_day: str = ""
    file_name: str = ""
    lane: str = ""
    day: str = ""
    table: str = ""
    report: str = ""
    report_id: str = ""
    number: int = 0

    @property
    def where(self) -> str:
        """The place, for a person."""
        file = f"{self.drop_day}/{self.file_name}" if self.file_name else ""
        number = f"number {self.number}" if self.number else ""
        return ", ".join(
            part for part in (self.table, file, self.report, self.lane, self.day, self.report_id, number) if part
        )


@dataclass(slots=True)
class Verified:
    """What a verification of a home read, and what it found.

    Attributes:
        landing_file_count: Landing files that were read again.
        record_count: Current records.
        segment_count: Segments.
        entry_count: Entries of the commit log.
        time_stamp_count: Stored time stamps of checkpoints.
        checked_time_stamp_count: Those of them whose signature was checked: none without root certificates.
        report_count: Saved reports.
        remade_report_count: Those of them that were made again from the evidence; of the others only document and id
            were checked.
        differences: What differs.
    """

    landing_file_count: int = 0
    record_count: int = 0
    segment_count: int = 0
    entry_count: int = 0
    time_stamp_count: int = 0
    checked_time_stamp_count: int = 0
    report_count: int = 0
    remade_report_count: int = 0
    differences: list[Difference] = field(default_factory=list)

    @property
    def is_intact(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    def document(self) -> dict[str, Any]:
        """Returns it as an answer has it."""
        return {"is_intact": self.is_intact, **asdict(self)}


def of_file(what: str, day: date | str, name: str) -> Difference:
    """Returns a difference of a landing file."""
    return Difference(Part.LANDING_FILE, what, drop_day=str(day), file_name=name)
