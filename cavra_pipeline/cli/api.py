"""The commands of the HTTP API: serve it, make a token, and the refresh that it starts as a run."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, date, datetime

import click

from cavra_pipeline.api.access import SCOPES, TokenFile, new_token
from cavra_pipeline.escaping import LineFormatter
from cavra_pipeline.evidence.pseudonym_key import open_home
from cavra_pipeline.reports.store import days_between, evaluated_at
from cavra_pipeline.settings import load_settings
from cavra_pipeline.terminal import print_document, shown, standard_error


def _now() -> datetime:
    return datetime.now(UTC)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; others need tokens.")
@click.option("--port", "-p", type=click.IntRange(1, 65535), default=8765, show_default=True, help="Port to listen on.")
@click.option("--allowed-host", "allowed", multiple=True, metavar="NAME", help="A further name it may be asked for by.")
def api(host: str, port: int, allowed: tuple[str, ...]) -> None:
    """Serve the HTTP API and the console on this home.

    Open on loopback; with CAVRA_API_TOKENS set to a file of `api-token` lines, every request needs a token.
    """
    from cavra_pipeline.api.app import create_app
    from cavra_pipeline.api.server import check_exposure, hosts_of, server_of
    from cavra_pipeline.api.service import Service
    from cavra_pipeline.api.status import OPEN_NOTICE, TOKENS_NOTICE
    from cavra_pipeline.console import console_router
    from cavra_pipeline.definitions import open_dagster

    settings = open_home(load_settings())
    tokens = TokenFile(settings.api_tokens_file) if settings.api_tokens_file else None
    check_exposure(host, tokens)
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("cavra_pipeline.api").setLevel(logging.INFO)

    def open_service() -> Service:
        return Service(settings, clock=_now, dagster=open_dagster(settings, _now), tokens=tokens)

    app = create_app(
        open_service,
        hosts=hosts_of(host, allowed),
        requests_per_second=settings.api_requests_per_second,
        pages=[console_router()],
    )
    address = f"[{host}]" if ":" in host else host
    err = standard_error()
    err.print(f"cavra-pipeline on http://{address}:{port} with the home {settings.home}; Ctrl+C ends it.")
    err.print(TOKENS_NOTICE if tokens else OPEN_NOTICE)
    server = server_of(app, host=host, port=port)
    server.run()
    sys.exit(0 if server.started else 1)


@click.command("api-token")
@click.option("--name", required=True, metavar="LABEL", help="Public-safe name of who will use it, without spaces.")
@click.option(
    "--scope", "scopes", multiple=True, default=("read",), show_default=True, help=f"Repeatable: {', '.join(SCOPES)}."
)
def api_token(name: str, scopes: tuple[str, ...]) -> None:
    r"""Make a token for the HTTP API: shown once, on standard error; its line for the file on standard output.

    \b
    cavra-pipeline api-token --name grafana --scope read >> tokens && chmod 600 tokens
    """
    token, line = new_token(name, scopes)
    standard_error().print(f"The token of {name}, shown this once: {token}")
    print_document(line)


def _day(_context: click.Context, parameter: click.Parameter, value: str | None) -> date | None:
    try:
        return date.fromisoformat(value) if value else None
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a day; write it as YYYY-MM-DD", param=parameter) from None


@click.command()
@click.option("--from", "first", callback=_day, metavar="DAY", help="First UTC day, YYYY-MM-DD; today if not given.")
@click.option("--to", "last", callback=_day, metavar="DAY", help="Last UTC day, inclusive; today if not given.")
@click.option("--run-id", metavar="ID", help="Id that the Dagster run is to have.")
def refresh(first: date | None, last: date | None, run_id: str | None) -> None:
    """Ingest and make every report of the days as one Dagster run; needs no daemon."""
    from cavra_pipeline.definitions import REFRESH_JOB, REFRESH_TAGS, materialize

    settings, now = open_home(load_settings()), _now()
    until = last or now.date()
    since = first or until
    if since > until:
        raise click.UsageError(f"--from {since} is after --to {until}; give the earlier day first")
    evaluated_at(until, now)
    ended = materialize(settings, REFRESH_JOB, days_between(since, until), run_id=run_id, tags=REFRESH_TAGS)
    if ended:
        standard_error().print(f"refreshed {since} to {until}")
    else:
        standard_error().print(shown("failed:", "red"), "the run's log is in the Dagster UI")
    sys.exit(0 if ended else 1)


COMMANDS = (api, api_token, refresh)
