"""How commands are declared: headings in the help, examples, choices that suggest, and the form of an answer."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from cavra_pipeline.cli.quoting import safe_quote
from cavra_pipeline.declared import HeadedOption
from cavra_pipeline.errors import UnknownName, UsageError, did_you_mean

F = TypeVar("F", bound=Callable[..., Any])

#: Forms in which an answer is printed; the first is the default.
TABLE, JSON, CSV = FORMS = ("table", "json", "csv")
_FORM: Final = "cavra_pipeline.form"
_OUTPUT: Final = "--output"
_OF_OUTPUT: Final = "Output"
#: Stands for a hyphen while a line is wrapped.
_NO_BREAK: Final = "\N{NON-BREAKING HYPHEN}"
_CONTEXT: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


def name_of(parameter: click.Parameter) -> str:
    """Returns a parameter's name as it is written: ``--lane``, ``SUBJECT``."""
    return parameter.opts[0] if isinstance(parameter, click.Option) else parameter.human_readable_name.strip("[].")


def missing(name: str) -> click.MissingParameter:
    """Returns the refusal of a command line that lacks one of two things; `name` is the parameter of the first."""
    context = click.get_current_context()
    parameter = next(declared for declared in context.command.params if declared.name == name)
    return click.MissingParameter(ctx=context, param=parameter)


def missing_words(context: click.Context, parameter: click.Parameter) -> tuple[str, str]:
    """Says what a command line lacks, all of it, and what to do about it: each option with its help, and examples.

    Args:
        context: What has been read of the command line.
        parameter: The one that is missing first.
    """
    command = context.command
    others = [declared for declared in command.params if declared.required and declared.name not in context.params]
    every = list(dict.fromkeys([parameter, *others]))
    *before, last = map(name_of, every)
    what = f"{', '.join(before)} and {last} are missing" if before else f"{last} is missing"
    options = [declared for declared in every if isinstance(declared, click.Option)]
    steps = [f"Add {option.opts[0]} {option.make_metavar(context)}: {option.help}" for option in options]
    examples = command.examples if isinstance(command, _WithExamples) else ()
    return what, "\n".join(
        [*steps, *(f"Example: {example}" for example in examples), f"See {context.command_path} --help"]
    )


def _names_of(parameter: click.Parameter) -> set[str]:
    """The names by which an error may call a parameter: its field, and its options without hyphens before them."""
    return {str(parameter.name), *(option.lstrip("-") for option in parameter.opts)}


def _value_after(args: Sequence[str], option: click.Parameter) -> str | None:
    """Returns what a command line gives for an option; None where it does not."""
    for argument, following in zip(args, [*args[1:], ""], strict=True):
        name, equals, value = argument.partition("=")
        if name in option.opts:
            return value if equals else following
    return None


class _Formatter(click.HelpFormatter):
    """Help that breaks no line within a name: click's own breaks behind hyphens, and can't be set not to."""

    def write_text(self, text: str) -> None:
        super().write_text(text.replace("-", _NO_BREAK))

    def write_dl(self, rows: Iterable[tuple[str, str]], *spans: int) -> None:
        super().write_dl([(name, text.replace("-", _NO_BREAK)) for name, text in rows], *spans)

    def write(self, string: str) -> None:
        super().write(string.replace(_NO_BREAK, "-"))


class _Context(click.Context):
    formatter_class = _Formatter


class _WithExamples(click.Command):
    """What a command and a group share: their help ends with examples.

    Args:
        examples: Whole command lines, each of which runs as it stands.
    """

    context_class = _Context

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **{"context_settings": _CONTEXT, **kwargs})
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 -- click's signature
        """Writes the examples, a line each; no line is broken but where the shell reads on."""
        write_lines(formatter, "Examples" if len(self.examples) > 1 else "Example", map(_folded, self.examples))


class HelpCommand(_WithExamples):
    """A command of ours: its options stand under headings, and its errors name them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads the command line; an error names the option. A list of numbers may follow its option once."""
        lists = [p for p in self.params if isinstance(p, click.Option) and p.multiple and p.type is click.INT]
        with self._named(lambda option: _value_after(args, option)):
            return super().parse_args(ctx, _repeated(args, {name for option in lists for name in option.opts}))

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; an error about the value of an option names the option."""
        with self._named(lambda parameter: ctx.params.get(str(parameter.name))):
            return super().invoke(ctx)

    @contextmanager
    def _named(self, value_of: Callable[[click.Parameter], object]) -> Iterator[None]:
        """Has an error about one of the parameters name it as it is written, and a name there is not: ``--lane``."""
        try:
            yield
        except UsageError as error:
            field = error.where.rpartition(".")[2]
            parameter = next(filter(lambda declared: field in _names_of(declared), self.params), None)
            if parameter is not None:
                error.where = name_of(parameter)
                name = value_of(parameter)
                # Of a value that is not accepted for another reason, the rule alone is said.
                if isinstance(error, UnknownName) and isinstance(name, str) and (quote := safe_quote(name)):
                    error.what += f": {quote}"
            raise

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the options under their headings, in the order of the first of each."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            # What is no option is an argument, which the text above explains.
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)) is not None:
                groups.setdefault(getattr(parameter, "heading", "Options"), []).append(record)
        for heading, records in sorted(groups.items(), key=lambda group: group[0] == _OF_OUTPUT):
            with formatter.section(heading):
                formatter.write_dl(records)


class HelpGroup(_WithExamples, click.Group):
    """A group of commands, under headings where it has any.

    Args:
        headings: The names of the commands under each heading; without headings there is one list.
        aliases: Older names of commands, which help and completion leave out.
    """

    command_class = HelpCommand

    def __init__(
        self,
        *args: Any,
        headings: Mapping[str, Sequence[str]] | None = None,
        aliases: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._headings, self._aliases = headings or {}, aliases or {}

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Returns the command of that name, or of an older one."""
        return super().get_command(ctx, self._aliases.get(cmd_name, cmd_name))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the commands under their headings, each on one line at 80 columns."""
        widest = max(map(len, self.commands))
        for heading, names in (self._headings or {"Commands": self.list_commands(ctx)}).items():
            rows = [f"{name:{widest}}  {self.commands[name].get_short_help_str(200)}" for name in names]
            write_lines(formatter, heading, rows)


HelpGroup.group_class = HelpGroup


def _repeated(args: Iterable[str], options: Collection[str]) -> list[str]:
    """Returns arguments with an option before each of its numbers: ``--code 404 410`` is ``--code 404 --code 410``."""
    repeated: list[str] = []
    option = ""
    for arg in args:
        if arg in options:
            option = arg
        elif not (option and arg.isdecimal()):
            option = ""
        elif repeated[-1] != option:
            repeated.append(option)
        repeated.append(arg)
    return repeated


def _folded(example: str) -> str:
    """Returns a command line that fits 80 columns; the shell reads on behind a backslash."""
    lines = textwrap.wrap(example, 78, break_long_words=False, break_on_hyphens=False)
    return " \\\n      ".join(lines)


def write_lines(formatter: click.HelpFormatter, heading: str, lines: Iterable[str]) -> None:
    """Writes lines under a heading as they are; nothing without lines."""
    indented = [f"  {line}\n" for line in lines]
    if indented:
        formatter.write(f"\n{heading}:\n{''.join(indented)}")


def command(name: str, *examples: str) -> Callable[[Callable[..., Any]], HelpCommand]:
    """Returns a decorator that makes a function a command with examples."""
    return click.command(name, cls=HelpCommand, examples=examples)


class OneOf(click.Choice[str]):
    """One of some words; for another one, the message names the nearest."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Returns the word."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            self.fail(" ".join([error.message, did_you_mean(str(value), self.choices)]).strip(), param, ctx)


class ReadableFile(click.Path):
    """A file that can be read; the refusal of another one is that of every command that reads a file."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:  # noqa: ARG002 -- click's signature
        """Returns its path."""
        path = Path(value)
        try:
            path.open("rb").close()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            what, remedy = f"the file can't be read ({reason})", "Check its path and permissions"
            raise UsageError(what, where=str(path), remedy=remedy) from None
        return path


class Named(click.ParamType[Any]):
    """A name that `read` turns into what it names, or refuses; the shell completes it.

    Args:
        read: Reads the name.
        names: The names there are.
    """

    name = "name"

    def __init__(self, read: Callable[[str], Any], names: Iterable[str]) -> None:
        self._read, self._names = read, tuple(names)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ARG002 -- click's signature
        """Returns what is named."""
        return self._read(value) if isinstance(value, str) else value

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 -- click's signature
        param: click.Parameter,  # noqa: ARG002 -- click's signature
        incomplete: str,
    ) -> list[click.shell_completion.CompletionItem]:
        """Returns the names that begin so."""
        return [click.shell_completion.CompletionItem(name) for name in self._names if name.startswith(incomplete)]


def _set_form(context: click.Context, _parameter: click.Parameter, form: str | None) -> None:
    if form:
        context.meta[_FORM] = form


_JSON_FLAG: Final = click.option(
    "--json",
    cls=HeadedOption,
    heading=_OF_OUTPUT,
    flag_value=JSON,
    expose_value=False,
    callback=_set_form,
    help="Short for --output json.",
)


def answers_as(*forms: str, default: str = "") -> Callable[[F], F]:
    """Returns a decorator that adds ``--output``, with these forms, and ``--json``.

    Args:
        forms: The forms.
        default: How the help calls the default; the first form if not given.
    """

    def decorate(function: F) -> F:
        form = click.option(
            _OUTPUT,
            cls=HeadedOption,
            heading=_OF_OUTPUT,
            type=OneOf(forms),
            expose_value=False,
            callback=_set_form,
            help=f"Output format.  [default: {default or forms[0]}]",
        )
        return form(_JSON_FLAG(function))

    return decorate


#: Adds ``--output`` and ``--json`` to a command whose answer has rows.
answers = answers_as(*FORMS)


def form_of_answer(default: str = TABLE) -> str:
    """Returns the form that the running command was asked for."""
    return str(click.get_current_context().meta.get(_FORM, default))


def asks_for_json(arguments: Sequence[str]) -> bool:
    """Returns whether a command line asks for JSON, also one that can't be read as a whole."""
    option_arguments = arguments[: arguments.index("--")] if "--" in arguments else arguments
    pairs = zip(option_arguments, [*option_arguments[1:], ""], strict=True)
    return any(
        argument in ("--json", f"{_OUTPUT}={JSON}") or (argument, next_argument) == (_OUTPUT, JSON)
        for argument, next_argument in pairs
    )
