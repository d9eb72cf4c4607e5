"""Errors a user meets: what went wrong, where, and what to do. No record content ever enters a message."""

from __future__ import annotations

from cavra_pipeline.escaping import visible, visible_lines


class PipelineError(Exception):
    """A permanent failure: the same input fails the same way until somebody acts.

    Args:
        what: The rule that was broken, in one sentence.
        where: The file, setting or object it was broken at.
        remedy: What the reader can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str, remedy: str) -> None:
        # A place may be a file name: it must not forge a line of a log. The other two may list faults, a line each.
        super().__init__(f"{visible(where)}: {visible_lines(what)}. {visible_lines(remedy)}")
        self.what, self.where, self.remedy = what, where, remedy


class TransientError(PipelineError):
    """A failure that waiting may cure, such as a warehouse that another process holds."""


class UsageError(PipelineError):
    """A value a caller passed is outside what is accepted (exit code 2, contract section 10)."""

    exit_code = 2


class OutOfMemory(PipelineError):
    """The work needs more memory than the process, or DuckDB in it, may take.

    Args:
        where: What needs it.
        what: Which limit is too low, if that is known.
    """

    def __init__(self, where: str, what: str = "there is not enough memory for it") -> None:
        super().__init__(
            what,
            where=where,
            remedy="Raise the limit (DuckDB's is CAVRA_MEMORY_LIMIT), or lower CAVRA_THREADS and "
            "CAVRA_BATCH_MEGABYTES, then repeat",
        )
