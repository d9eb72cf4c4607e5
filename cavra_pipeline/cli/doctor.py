"""The command `cavra-pipeline doctor`: tries each part of a home, and says what is wrong and how to fix it."""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

import sqlalchemy as sa

from cavra_pipeline.api.access import TokenFile
from cavra_pipeline.cli.command import answers, command
from cavra_pipeline.cli.common import EXIT_FAILED, answer, clock, require_home
from cavra_pipeline.cli.tables import ago, daemon_words
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.landing_zone import landing_days
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.executive.words import count, listed
from cavra_pipeline.executive.wrong import some
from cavra_pipeline.frames import warehouse_at
from cavra_pipeline.proof.keys import load_key
from cavra_pipeline.retry.sender import host_connectors, host_problems
from cavra_pipeline.settings import Settings, load_settings
from cavra_pipeline.sources import read_sources
from cavra_pipeline.state import state_of
from cavra_pipeline.terminal import Terminal, lines, shown
from cavra_pipeline.verify.timestamps import require_authority

#: How long a part may be busy, in seconds; a question of a person can't wait for a long write.
_WAITS: Final = 5.0
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


_OK: Final = "ok"
_WRONG: Final = "wrong"


class _Warning(PipelineError):
    """A part works, but a person should know: no evidence, no daemon that runs, evidence dated later than now."""


@dataclass(frozen=True, slots=True)
class _Check:
    """What became of one part."""

    part: str
    state: str
    milliseconds: int
    message: str
    remedy: str | None

    def document(self) -> dict[str, Any]:
        """Returns it for the answer."""
        return {
            "part": self.part,
            "state": self.state,
            "milliseconds": self.milliseconds,
            "found": self.message,
            "remedy": self.remedy,
        }


@command("doctor", "cavra-pipeline doctor", "cavra-pipeline doctor --json")
@answers
def doctor() -> None:
    """Check each part of the home and say how to fix it.

    Tries the settings, the home, its databases, the landing zone, Dagster, connectors, sources, keys and tokens;
    nothing is made, changed or sent. Exit code 1 if something is wrong, not for a warning.
    """
    settings: list[Settings] = []

    def of_settings() -> str:
        settings.append(load_settings())
        return f"home {settings[0].home}"

    checks = [_run_check("settings", of_settings)]
    for part, examine in _PARTS.items() if settings else ():
        checks.append(_run_check(part, lambda examine=examine: examine(settings[0])))  # type: ignore[misc]  # bound now
        if part == "home" and checks[-1].state == _WRONG:
            break
    document = {
        "checks": [check.document() for check in checks],
        "wrong_count": sum(check.state == _WRONG for check in checks),
    }
    answer(document, _show, "checks")
    sys.exit(EXIT_FAILED if document["wrong_count"] else 0)


def _run_check(part: str, examine: Callable[[], str]) -> _Check:
    begun, state, remedy = perf_counter(), _OK, None
    try:
        message = examine()
    except _Warning as error:
        state, message, remedy = "warning", error.what, error.remedy
    except PipelineError as error:
        state, message, remedy = _WRONG, f"{error.where}: {error.what}", error.remedy
    except OSError as error:
        message = f"{error.filename or part}: it can't be read ({error.strerror})"
        state, remedy = _WRONG, "Give this user access to it, or name another one"
    except Exception as error:  # noqa: BLE001 -- whatever is wrong with one part, the others are tried
        state, message = _WRONG, f"{part}: it can't be tried ({type(error).__name__})"
        remedy = "Report this as a defect"
    return _Check(part, state, round((perf_counter() - begun) * 1000), message, remedy)


def _home(settings: Settings) -> str:
    require_home(settings)
    if settings.home.stat().st_mode & _OTHERS:
        raise PipelineError(
            "others may read the home", where=str(settings.home), remedy=f"Run: chmod 700 {settings.home}"
        )
    return "private to its owner"


def _pseudonyms(settings: Settings) -> str:
    if not settings.pseudonym_key.exists():
        raise PipelineError(
            "there is no key yet",
            where=str(settings.pseudonym_key),
            remedy="Run cavra-pipeline ingest, or restore the key from a backup",
        )
    pseudonyms_of(settings)
    return "the key is there and private"


def _state(settings: Settings) -> str:
    state = state_of(settings.but(busy_wait_seconds=_WAITS), is_borrowed=True)
    with state.reading() as c:
        c.execute(sa.select(1)).all()
    return f"{c.dialect.name} answers"


def _warehouse(settings: Settings) -> str:
    warehouse = warehouse_at(settings.home, _WAITS)
    with warehouse.reading() as session:
        (newest,) = session.rows("cavra_pipeline.reports", "newest_evidence", {"as_of": clock().replace(tzinfo=None)})
    if not newest["record_count"]:
        raise _Warning(
            "no evidence yet", where="warehouse", remedy="Run cavra-pipeline import PATH, or cavra-pipeline demo"
        )
    records = f"{newest['record_count']:,} records"
    return f"{records} in the lake {warehouse.where}" if settings.warehouse_address else records


def _landing(settings: Settings) -> str:
    days = landing_days(settings)
    where = f" in {settings.landing_bucket}" if settings.landing_bucket else ""
    today = clock().date()
    later = [str(day) for day in days if day > today]
    if later:
        raise _Warning(
            f"landing files{where} of {count(len(later), 'day')} later than today: {some(later)}",
            where="landing zone",
            remedy="Correct the clock of what wrote their records, which count from their date on",
        )
    return f"{count(len(days), 'day')} with landing files{where}" + (f", {days[0]} to {days[-1]}" if days else "")


def _dagster(settings: Settings) -> str:
    from cavra_pipeline.daemon import daemon_state

    daemon = daemon_state(settings, clock())
    if daemon["silent"]:
        raise PipelineError(
            f"no heartbeat of {some(daemon['silent'])}, the last one {ago(daemon['age_minutes'])}",
            where=str(settings.dagster_home),
            remedy="Start the daemon: cavra-pipeline dev, or dagster-daemon run",
        )
    if daemon["state"] == "never_seen":
        raise _Warning(
            "the daemon is not running: no scheduled retries, no alerts",
            where=str(settings.dagster_home),
            remedy="Start it: cavra-pipeline dev, or dagster-daemon run",
        )
    return f"daemon {daemon_words(daemon)}"


def _connectors(settings: Settings) -> str:
    problems = host_problems(settings)
    if problems:
        fault = problems[0].faults[0]
        rest = f" (and {len(problems) - 1} more: cavra-pipeline connectors test)" if len(problems) > 1 else ""
        raise PipelineError(fault.what, where=fault.where, remedy=f"{fault.remedy}{rest}")
    on = host_connectors(settings).providers
    return f"{count(len(on), 'connector')} on{f': {listed(list(on))}' if on else ''}"


def _sources(settings: Settings) -> str:
    sources = read_sources(settings.sources_file)
    if sources.refusal:
        raise sources.refusal
    for name in sources.by_name:
        sources.named(name)
    return f"{count(len(sources.by_name), 'source')} named"


def _signing_key(settings: Settings) -> str:
    if settings.signing_key_file is None:
        return "none is set: checkpoints are not signed"
    load_key(settings.signing_key_file)
    return "it can sign"


def _time_stamps(settings: Settings) -> str:
    if settings.timestamp_url is None:
        return "no authority is set: checkpoints are not time-stamped"
    require_authority(settings)
    return "an authority and its root certificate are set; nothing was asked of it"


def _tokens(settings: Settings) -> str:
    if settings.api_tokens_file is None:
        return "none are set: the API is open on loopback"
    TokenFile(settings.api_tokens_file)
    return "the file can be read"


_PARTS: Final[Mapping[str, Callable[[Settings], str]]] = {
    "home": _home,
    "pseudonym key": _pseudonyms,
    "state database": _state,
    "warehouse": _warehouse,
    "landing zone": _landing,
    "dagster": _dagster,
    "connectors": _connectors,
    "sources": _sources,
    "signing key": _signing_key,
    "time stamps": _time_stamps,
    "API tokens": _tokens,
}


_SHOWN: Final = {
    _OK: shown("ok", "green"),
    "warning": shown("warning", "yellow"),
    _WRONG: shown("wrong", "bold red"),
}


def _show(console: Terminal, document: Mapping[str, Any]) -> None:
    rows = [
        (
            _SHOWN[check["state"]],
            check["part"],
            f"{check['milliseconds']:,} ms",
            lines(check["found"], shown(check["remedy"] or "", "bold")),
        )
        for check in document["checks"]
    ]
    console.facts("Parts of the home, and how long each took to answer", rows)
    ok_count = sum(check["state"] == _OK for check in document["checks"])
    console.print(f"{ok_count} of {count(len(rows), 'part')} ok; what is wrong in the lanes: cavra-pipeline status")
