"""Fields that are declared once, in a pydantic model, and from there become API parameters, run configuration, options.

What belongs here: the derivations. What does not: the models themselves, and how errors read (errors).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_origin

import click
from pydantic import BaseModel, Field, create_model
from pydantic.fields import FieldInfo

M = TypeVar("M", bound=BaseModel)
F = TypeVar("F", bound=Callable[..., Any])


def with_fields_of(source: type[BaseModel], *, is_plain: bool = False) -> Callable[[type[M]], type[M]]:
    """Returns a class decorator that adds the fields of ``source``, each of them optional.

    Args:
        source: The model that declares the fields.
        is_plain: Whether the fields lose their bounds, for a schema that has none (Dagster's run configuration).
    """

    def decorate(cls: type[M]) -> type[M]:
        fields: dict[str, Any] = {name: _optional(field, is_plain) for name, field in source.model_fields.items()}
        model: type[M] = create_model(
            cls.__name__, __base__=cls, __module__=cls.__module__, __doc__=cls.__doc__, **fields
        )
        return model

    return decorate


def _optional(field: FieldInfo, is_plain: bool) -> tuple[Any, Any]:
    type_: Any = field.annotation
    if is_plain:
        type_ = list[int] if _is_list(field) else type_
        return type_ | None, Field(None, description=field.description)
    for constraint in field.metadata:
        type_ = Annotated[type_, constraint]
    return type_ | None, Field(None, description=field.description, examples=field.examples)


def _is_list(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is tuple


class Number(click.ParamType[int | float]):
    """A number as it is written: 15 stays whole, 7.5 does not."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | float:
        """Returns the number."""
        try:
            return int(value)
        except ValueError:
            try:
                return float(value)
            except ValueError:
                self.fail(f"{value!r} is not a number", param, ctx)


class HeadedOption(click.Option):
    """An option that the help lists under a heading of its own.

    Args:
        heading: The heading.
    """

    def __init__(self, *args: Any, heading: str, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.heading = heading


def options_of(source: type[BaseModel], heading: str = "Options") -> Callable[[F], F]:
    """Returns a decorator that gives a command one option for each field; an option that is not given is None."""

    def decorate(command: F) -> F:
        for name, field in reversed(source.model_fields.items()):
            command = _option(name, field, heading)(command)
        return command

    return decorate


def _option(name: str, field: FieldInfo, heading: str) -> Callable[[F], F]:
    default = (
        "" if field.is_required() or isinstance(field.default, bool | tuple) else f"  [default: {field.default:g}]"
    )
    options: dict[str, Any] = {"cls": HeadedOption, "heading": heading, "help": f"{field.description}{default}"}
    flag = f"--{name.replace('_', '-')}"
    if field.annotation is bool:
        return click.option(flag, name, is_flag=True, default=None, **options)
    if _is_list(field):
        options["help"] = f"{field.description} Repeatable.  [default: none]"
        return click.option(flag.removesuffix("s"), name, multiple=True, type=int, metavar="N", **options)
    return click.option(flag, name, type=int if field.annotation is int else Number(), metavar="N", **options)
