"""Errors a user meets: what went wrong, where, and what to do. No record content ever enters a message.

What a declared model (pydantic) refuses is put into the same three words here, and never with the value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from cavra_pipeline.escaping import visible, visible_lines

_M = TypeVar("_M", bound=BaseModel)
#: So many names are listed even where one of them is near.
_FEW: Final = 8
#: How alike a near name is. Ids of one kind all begin alike, and their random digits agree in some places.
_ALIKE_NAMES: Final = 0.6
_ALIKE_IDS: Final = 0.85
#: So many names are offered that begin as an unknown one does.
_MOST_BEGUN: Final = 3


class PipelineError(Exception):
    """A permanent failure: the same input fails the same way until somebody acts.

    Args:
        what: The rule that was broken, in one sentence.
        where: The file, setting or object it was broken at.
        remedy: What the reader can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str, remedy: str) -> None:
        super().__init__(what, where, remedy)
        self.what, self.where, self.remedy = what, where, remedy

    def __str__(self) -> str:
        # A place may be a file name: it must not forge a line of a log. The other two may list faults, a line each.
        return f"{visible(self.where)}: {visible_lines(self.what)}. {visible_lines(self.remedy)}"


class TransientError(PipelineError):
    """A failure that waiting may cure, such as a warehouse that another process holds."""


class UsageError(PipelineError):
    """A value a caller passed is outside what is accepted (exit code 2, contract section 10)."""

    exit_code = 2


class UnknownName(UsageError):
    """A name that is none of those there are; whoever shows the error may repeat what the caller gave."""


@contextmanager
def os_error_named(what: str, *, where: Path | str, remedy: str) -> Iterator[None]:
    """Turns what the system refuses to the block into a ``PipelineError``; the system's reason follows ``what``."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise PipelineError(f"{what} ({reason})", where=str(where), remedy=remedy) from None


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


def did_you_mean(unknown_name: str, names: Iterable[str], *, are_ids: bool = False) -> str:
    """Returns the question whether the nearest name was meant, or else one of three that it begins; empty if none is.

    The unknown name is not shown.

    Args:
        unknown_name: What was given.
        names: What there is.
        are_ids: Whether they are ids: up to three, and only very near ones.
    """
    spelt = {_spelling(name): name for name in names}
    most, alike = (3, _ALIKE_IDS) if are_ids else (1, _ALIKE_NAMES)
    spelling = _spelling(unknown_name[:80])
    near = get_close_matches(spelling, spelt, most, alike)
    if spelling and not near and not are_ids:
        near = [name for name in spelt if name.startswith(spelling)][:_MOST_BEGUN]
    return f"Did you mean {' or '.join(spelt[name] for name in near)}?" if near else ""


def _spelling(name: str) -> str:
    return name.strip().lower().replace("-", "_")


def use_one_of(unknown_name: str, names: Sequence[str], *, listed_in: str = "") -> str:
    """Returns the remedy where a name is none of those there are: the nearest of them, and all if they are few.

    Args:
        unknown_name: The name; it is not shown.
        names: Those there are.
        listed_in: Where a reader finds them if they are many and none is near; without it, all are named.
    """
    near, are_many = did_you_mean(unknown_name, names), len(names) > _FEW
    if are_many and (near or listed_in):
        return near or f"{listed_in} lists all {len(names)}"
    return f"{near} Use one of {', '.join(names)}".strip()


@dataclass(frozen=True, slots=True)
class Fault:
    """One value that is not accepted, of a request, a setting or the connectors file.

    Attributes:
        where: Which value.
        what: The rule it breaks.
        remedy: What to give instead.
        is_of_secret: Whether the file is right and the secret that it names is missing or malformed.
    """

    where: str
    what: str
    remedy: str
    is_of_secret: bool = False

    def __str__(self) -> str:
        return visible(f"{self.where}: {self.what}; {self.remedy}")


@dataclass(frozen=True, slots=True)
class Accepts:
    """Says of a field of a declared model what it accepts; stands last in ``Annotated``.

    Attributes:
        words: What is accepted; read from the bounds of the field if it is empty.
        what: The rule that another value breaks.
    """

    words: str = ""
    what: str = "the value is not accepted"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Replaces whatever the field finds wrong by its own rule and remedy."""
        inner = handler(source)
        accepted = self.words or _accepted(inner)

        def check(value: Any, validate: Any) -> Any:
            try:
                return validate(value)
            except (ValidationError, OverflowError):
                raise PydanticCustomError("not_accepted", "{what}", {"what": self.what, "accepted": accepted}) from None

        return core_schema.no_info_wrap_validator_function(check, inner)


def _accepted(schema: Mapping[str, Any]) -> str:
    """Returns what a number accepts, from its bounds."""
    while "ge" not in schema:
        schema = schema["schema"]
    kind = "an integer" if schema["type"] == "int" else "a finite number"
    return f"{kind} from {schema['ge']:.15g} to {schema['le']:.15g}"


#: What is wrong and what to give, by pydantic's name of the error; the rest is what a field says itself.
_RULES: Final = {
    "missing": ("a value is missing", "Give it"),
    "extra_forbidden": ("there is no such field", "Leave it out"),
    "greater_than_equal": ("the value is too small", "Give at least {ge}"),
    "less_than_equal": ("the value is too large", "Give at most {le}"),
    "literal_error": ("the value is not accepted", "Give one of {expected}"),
    "string_too_long": ("the value is too long", "Give at most {max_length} characters"),
    "bool_type": ("the value is not accepted", "Give true or false"),
    "not_accepted": ("{what}", "Give {accepted}"),
}
_OTHER_RULE: Final = ("the value is not accepted", "Give what /openapi.json declares")


def faults_of(errors: Iterable[Mapping[str, Any]]) -> list[Fault]:
    """Returns what a declared model refuses, from pydantic's list of errors; never a value."""
    return [_fault(error) for error in errors]


def _fault(error: Mapping[str, Any]) -> Fault:
    parts = [str(part)[:64] for part in error["loc"] if part not in ("query", "body", "path")]
    fields = [part for part in parts if not part.isdigit() and "[" not in part]
    what, remedy = _RULES.get(error["type"], _OTHER_RULE)
    limits = error.get("ctx", {})
    return Fault(".".join(fields) or "body", what.format_map(limits), remedy.format_map(limits))


def refusal(error: ValidationError) -> UsageError:
    """Returns the first thing that a declared model refuses as an error."""
    fault = faults_of(error.errors(include_url=False, include_input=False))[0]
    return UsageError(fault.what, where=fault.where, remedy=fault.remedy)


def checked(model: type[_M], values: Mapping[str, Any], *, within: str = "") -> _M:
    """Makes a declared model of the values that are given; one that is None is not.

    Args:
        model: The class.
        values: Its fields, by name.
        within: What the place of a field begins with in an error.

    Raises:
        UsageError: A value is unknown or outside what is accepted; the message names it.
    """
    try:
        return model.model_validate({name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        is_unknown = error.errors()[0]["type"] == "extra_forbidden"
        first = refusal(error)
        remedy = f"Use {', '.join(model.model_fields)}" if is_unknown else first.remedy
        raise UsageError(first.what, where=f"{within}{first.where}", remedy=remedy) from None
