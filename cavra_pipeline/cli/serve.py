"""The commands that serve the HTTP API or the Dagster UI, make a token, and run the demo."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from cavra_pipeline.api.access import SCOPES, TokenFile, new_token
from cavra_pipeline.cli.command import JSON, TABLE, OneOf, answers, answers_as, command, form_of_answer
from cavra_pipeline.cli.common import EXIT_FAILED, answer, clock, exit_after_run, home
from cavra_pipeline.cli.processes import Program, Programs, is_answering, require_free
from cavra_pipeline.cli.tables import show_wrong
from cavra_pipeline.documents import instant
from cavra_pipeline.escaping import LineFormatter
from cavra_pipeline.settings import load_settings
from cavra_pipeline.terminal import Terminal, print_document, standard_error, standard_output

if TYPE_CHECKING:
    from cavra_pipeline.demo.month import Story

_MINUTES: Final = "%Y-%m-%d %H:%M"
LOOPBACK: Final = "127.0.0.1"
CONSOLE_PORT: Final = 8765


@command("api", "cavra-pipeline api", "cavra-pipeline api --port 9000")
@click.option(
    "--host", default=LOOPBACK, metavar="ADDRESS", show_default=True, help="Address to listen on; others need tokens."
)
@click.option(
    "--port",
    "-p",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    default=CONSOLE_PORT,
    show_default=True,
    help="Port to listen on.",
)
@click.option("--allowed-host", "allowed", multiple=True, metavar="NAME", help="A further name of this host.")
def api(host: str, port: int, allowed: tuple[str, ...]) -> None:
    """Serve the HTTP API and the console.

    Open on loopback; with CAVRA_API_TOKENS set to a file of lines that api-token makes, every request needs a token.
    """
    from cavra_pipeline.api.app import create_app
    from cavra_pipeline.api.server import check_exposure, hosts_of, server_of
    from cavra_pipeline.api.service import Service
    from cavra_pipeline.api.status import OPEN_NOTICE, TOKENS_NOTICE
    from cavra_pipeline.console import console_router
    from cavra_pipeline.definitions import open_dagster

    settings = home()
    tokens = TokenFile(settings.api_tokens_file) if settings.api_tokens_file else None
    check_exposure(host, tokens)
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("cavra_pipeline.api").setLevel(logging.INFO)

    def open_service() -> Service:
        return Service(settings, clock=clock, dagster=open_dagster(settings, clock), tokens=tokens)

    app = create_app(
        open_service,
        hosts=hosts_of(host, allowed),
        requests_per_second=settings.api_requests_per_second,
        origins=settings.api_origins,
        pages=[console_router()],
    )
    err = standard_error()
    err.print(f"cavra-pipeline on {_web_address(host, port)} with the home {settings.home}; Ctrl+C ends it.")
    err.print(TOKENS_NOTICE if tokens else OPEN_NOTICE)
    server = server_of(app, host=host, port=port)
    server.run()
    sys.exit(0 if server.started else EXIT_FAILED)


@command("api-token", "cavra-pipeline api-token --name grafana --scope read >> tokens")
@click.option("--name", required=True, metavar="LABEL", help="Public-safe name of who will use it, without spaces.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    metavar="SCOPE",
    default=("read",),
    show_default=True,
    help=f"Repeatable: {', '.join(SCOPES)}.",
)
def api_token(name: str, scopes: tuple[str, ...]) -> None:
    """Make a token for the HTTP API.

    The token is shown once, on standard error; its line for the file goes to standard output.
    """
    token, line = new_token(name, scopes)
    standard_error().print(f"The token of {name}, shown this once: {token}")
    print_document(line)


@command("demo", "cavra-pipeline demo", "cavra-pipeline demo --stories")
@click.option("--stories", is_flag=True, help="Only list what happened in the month that the demo brought in.")
@answers_as(TABLE, JSON)
def demo(stories: bool) -> None:
    """Import a recorded bad month and say what is wrong.

    The month ends now; the last lines say where to look. It takes the real path: import, a day that arrives late,
    and a Dagster run on an instance under CAVRA_HOME. The evidence of an earlier demo is replaced, with the
    acknowledgements that were made in it.
    """
    from cavra_pipeline.demo.run import month_of, run_demo

    if stories:
        month_stories = month_of(home()).stories()
        spans = [{"began_at": instant(story.began_at), "ended_at": instant(story.ended_at)} for story in month_stories]
        rows = [{**asdict(story), **span} for story, span in zip(month_stories, spans, strict=True)]
        answer({"stories": rows}, lambda console, _: _show_stories(console, month_stories))
        return
    settings, now = home(), clock()
    # To the minute, as the heading says it: --as-of with the heading's time then gives the same words.
    now = now.replace(second=0, microsecond=0)
    outcome = run_demo(settings, now=now, say=lambda text: standard_error().print(text))
    pages = {
        "console": settings.console_url,
        "executive report": f"{settings.console_url}/#/executive",
        "Dagster": settings.dagster_url,
    }

    def show(console: Terminal, _document: object) -> None:
        show_wrong(console, f"What is wrong as of {now:{_MINUTES}} UTC, and the command that shows it", outcome.wrong)
        show_wrong(console, "What was wrong earlier in the month", outcome.earlier)
        console.facts("Pages, while cavra-pipeline dev runs", pages.items())

    wrong, earlier = ([asdict(problem) for problem in problems] for problems in (outcome.wrong, outcome.earlier))
    document = {"as_of": instant(now), "has_succeeded": outcome.succeeded, "wrong": wrong, "earlier": earlier}
    answer({**document, "pages": pages}, show)
    exit_after_run(outcome.succeeded)


@command("open", "cavra-pipeline open", "cavra-pipeline open dagster --print")
@click.argument("what", type=OneOf(["console", "dagster"]), default="console")
@click.option("--print", "is_printed", is_flag=True, help="Print the address only.")
@answers
def open_command(what: str, is_printed: bool) -> None:
    """Open the console, or the Dagster UI, in a browser.

    cavra-pipeline dev serves both; CAVRA_CONSOLE_URL and CAVRA_DAGSTER_URL say where, if not on its usual ports.
    Without a terminal, or with --json, the address is printed and nothing is opened.
    """
    settings = load_settings()
    addresses = {"console": settings.console_url, "dagster": settings.dagster_url}
    out = standard_output()
    is_browser_wanted = form_of_answer() == TABLE and out.is_interactive and not is_printed
    is_served = is_answering(addresses[what])
    if not is_served:
        variable = {"console": "CAVRA_CONSOLE_URL", "dagster": "CAVRA_DAGSTER_URL"}[what]
        standard_error().print(
            f"note: nothing answers there. Start cavra-pipeline dev, or set {variable} to its address"
        )
    document = {
        "page": what,
        "address": addresses[what],
        "is_opened": is_served and is_browser_wanted and not click.launch(addresses[what]),
    }
    answer(document, lambda console, _: console.print(addresses[what], soft_wrap=True))


@command("dev", "cavra-pipeline dev", "cavra-pipeline dev --port 3001 --console-port 8766")
@click.option(
    "--port",
    "-p",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    default=3000,
    show_default=True,
    help="Port of the UI.",
)
@click.option(
    "--host",
    default=LOOPBACK,
    metavar="ADDRESS",
    show_default=True,
    help="The address; the UI has no login: keep it on loopback.",
)
@click.option(
    "--console-port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    default=CONSOLE_PORT,
    show_default=True,
    help="Port of the console.",
)
def dev(port: int, host: str, console_port: int) -> None:
    """Serve the Dagster UI and the console; run the schedules.

    Schedules and sensors run as long as it does. Prints the addresses once both answer; what Dagster says goes into
    dev.log of the home.
    """
    # Refuses here what Dagster, whose own refusal would be in the log, could not load.
    import cavra_pipeline.definitions  # noqa: F401
    from cavra_pipeline.daemon import recorded_start

    settings = home()
    log = settings.home / "dev.log"
    require_free(host, port, "--port")
    require_free(LOOPBACK, console_port, "--console-port")
    ui, console = _web_address(host, port), _web_address(LOOPBACK, console_port)
    environ = {**os.environ, "DAGSTER_HOME": str(settings.dagster_home), "CAVRA_HOME": str(settings.home)}
    environ.setdefault("CAVRA_DAGSTER_URL", ui)
    environ.setdefault("CAVRA_CONSOLE_URL", console)
    dagster = ["dagster_dg_cli.cli", "dev", "-m", "cavra_pipeline.definitions", "-p", str(port), "-h", host]
    api = ["cavra_pipeline.cli", "api", "--port", str(console_port)]
    programs = Programs(
        [
            Program("Dagster", [sys.executable, "-m", *dagster], environ, ui, f"{ui}/server_info"),
            Program("the console", [sys.executable, "-m", *api], environ, console, f"{console}/healthz"),
        ],
        log,
    )
    err = standard_error()
    with recorded_start(settings), programs.running():
        if programs.wait_until_ready():
            for line in (f"Dagster UI  {ui}", f"Console     {console}", f"Log         {log}", "Ctrl+C ends both."):
                err.print(line)
        programs.wait()


def _web_address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _show_stories(console: Terminal, stories: Iterable[Story]) -> None:
    """Shows what happened in the recorded month."""
    rows = [
        (f"{story.began_at:{_MINUTES}}", f"{story.ended_at:{_MINUTES}}" if story.ended_at else "-", story.sentence)
        for story in stories
    ]
    console.table("What happened in the recorded month (UTC)", ("from", "until", "what"), rows, is_last_folded=True)
