"""Errors a user meets: what went wrong, where, and what to do. No record content ever enters a message."""

from __future__ import annotations


class PipelineError(Exception):
    """A permanent failure: the same input fails the same way until somebody acts.

    Args:
        what: The rule that was broken, in one sentence.
        where: The file, setting or object it was broken at.
        remedy: What the reader can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str, remedy: str) -> None:
        super().__init__(f"{where}: {what}. {remedy}")
        self.what, self.where, self.remedy = what, where, remedy


class TransientError(PipelineError):
    """A failure that waiting may cure, such as a warehouse that another process holds."""


class UsageError(PipelineError):
    """A value a caller passed is outside what is accepted (exit code 2, contract section 10)."""

    exit_code = 2
