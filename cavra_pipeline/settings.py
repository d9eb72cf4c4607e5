"""The one place that reads the environment. Values are coded and checked here, at start, and nowhere else."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

from cavra_pipeline.alerts.policy import DEFAULT_POLICY, AlertPolicy
from cavra_pipeline.cadence import never_comes
from cavra_pipeline.connectors.providers import PROVIDERS, normalised
from cavra_pipeline.connectors.secret import Secret
from cavra_pipeline.desired_state import ENVIRONMENTS
from cavra_pipeline.errors import UsageError
from cavra_pipeline.lanes import LANES
from cavra_pipeline.private import keep_private, tighten
from cavra_pipeline.slots.verdicts import DEFAULT_TOLERANCE, Tolerance

DEFAULT_START_DATE = date(2025, 1, 1)
#: Today's reports may look back so far, and late evidence comes in for as long.
LEAST_RETENTION_DAYS = 30
_CRON_PREFIX = "CAVRA_CRON_"
_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,255}(?:/[A-Za-z0-9._~/-]{0,255})?")
_STATE_SCHEMES = ("sqlite:///", "postgresql://", "postgresql+psycopg2://")
_MEMORY = re.compile(r"[1-9][0-9]{0,9}(?:\.[0-9]{1,3})? ?[KMGT]i?B", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the pipeline lives and how much of the machine it may take.

    Attributes:
        home: Absolute folder that holds the landing zone, the warehouse and Dagster's own home.
        start_date: First UTC day that is a Dagster partition.
        busy_wait_seconds: How long a caller waits for a busy warehouse before it gives up.
        threads: DuckDB worker threads, or None for one a core.
        memory_limit: DuckDB memory limit such as ``2GB``, or None for DuckDB's own default.
        batch_bytes: Raw evidence parsed at once, in bytes; memory use grows with it.
        connectors_file: YAML file of connectors (docs/connectors.md).
        pseudonym_key_file: The key of the pseudonyms, where it is not kept in the home.
        ca_file: Certificates (PEM) that connectors and the ping trust besides the well-known ones.
        live_lanes: Lanes in which this host sends; only its environment can name them.
        report_connectors: Connectors that the scheduled executive report goes through.
        immediate_tries: Tries inside one live attempt, 1..5.
        api_tokens_file: Hashes of the tokens that the HTTP API takes; None where it is open on loopback.
        api_requests_per_second: Requests a second that the HTTP API takes from one client or token.
        dagster_url: Where people find the Dagster UI; only ever shown as a link.
        crons: Cadence of a schedule, by its name, in place of its own; cron in UTC.
        environment: Which of the declared environments this is (``cavra_pipeline.desired_state``).
        tolerance: How late and how early a slot's work is still on time.
        acknowledgement_limit_minutes: How long a failing delivery may wait for its acknowledgement.
        watch_seconds: How often the sensors look that watch.
        alerts: How alerts are told, and through which connectors.
        retention_days: Days of evidence that ``prune`` keeps, today aside; None keeps all.
        deadman_url: What is called when the watching works; whoever knows the address can feign it.
        state_address: SQLAlchemy address of the state database as set, or None for the home's own file.
    """

    home: Path
    start_date: date = DEFAULT_START_DATE
    busy_wait_seconds: float = 120.0
    threads: int | None = None
    memory_limit: str | None = None
    batch_bytes: int = 96 * 1024 * 1024
    connectors_file: Path | None = None
    pseudonym_key_file: Path | None = None
    ca_file: Path | None = None
    live_lanes: frozenset[str] = frozenset()
    report_connectors: tuple[str, ...] = ()
    immediate_tries: int = 2
    api_tokens_file: Path | None = None
    api_requests_per_second: float = 500.0
    dagster_url: str = "http://127.0.0.1:3000"
    crons: Mapping[str, str] = field(default_factory=dict)
    environment: str = ENVIRONMENTS[0]
    tolerance: Tolerance = DEFAULT_TOLERANCE
    acknowledgement_limit_minutes: int = 60
    watch_seconds: int = 30
    alerts: AlertPolicy = DEFAULT_POLICY
    deadman_url: Secret | None = None
    retention_days: int | None = None
    #: May hold a password.
    state_address: str | None = field(default=None, repr=False)

    @property
    def state_url(self) -> str:
        """SQLAlchemy address of the state database; by default a SQLite file in the home. May hold a password."""
        return self.state_address or f"sqlite:///{self.home / 'state.db'}"

    @property
    def landing(self) -> Path:
        """Folder of drop days (contract section 1)."""
        return self.home / "landing"

    @property
    def warehouse(self) -> Path:
        """The DuckDB file."""
        return self.home / "warehouse.duckdb"

    @property
    def pseudonym_key(self) -> Path:
        """The key of the pseudonyms (contract section 3)."""
        return self.pseudonym_key_file or self.home / "pseudonym.key"

    @property
    def dagster_home(self) -> Path:
        """Dagster's own home: runs, schedules, event log."""
        return self.home / "dagster"

    def require_live(self, lane: str) -> None:
        """Passes only if the host's environment names the lane (contract section 8).

        Raises:
            UsageError: The lane is not live on this host.
        """
        if lane not in self.live_lanes:
            raise UsageError(
                f"the lane {lane} is not live on this host",
                where="CAVRA_LIVE_LANES",
                remedy=f"Set CAVRA_LIVE_LANES={','.join(sorted({*self.live_lanes, lane}))} in the host's environment, "
                "or run it dry",
            )

    def on_this_host(self, environ: Mapping[str, str] | None = None) -> Settings:
        """Adds what the host's environment alone may set: connectors, live lanes, cadences, alert settings, the ping.

        For settings that came through run configuration: where that has changed the home, nothing goes out.
        """
        host = load_settings(environ)
        is_ours = host.home == self.home
        return replace(
            self,
            connectors_file=host.connectors_file,
            pseudonym_key_file=host.pseudonym_key_file,
            ca_file=host.ca_file,
            immediate_tries=host.immediate_tries,
            live_lanes=host.live_lanes if is_ours else frozenset(),
            report_connectors=host.report_connectors if is_ours else (),
            crons=host.crons,
            alerts=host.alerts if is_ours else replace(host.alerts, connectors=()),
            deadman_url=host.deadman_url if is_ours else None,
            state_address=host.state_address if is_ours else None,
        )

    def prepare(self) -> Settings:
        """Creates the folders of the home, for their owner alone, and returns the settings.

        From then on this process makes every file for its owner alone (``cavra_pipeline.private``).

        Raises:
            UsageError: The home can't be created or written.
        """
        keep_private()
        try:
            for folder in (self.home, self.landing, self.dagster_home):
                folder.mkdir(parents=True, exist_ok=True)
            instance = self.dagster_home / "dagster.yaml"
            if not instance.exists():
                instance.write_bytes(files("cavra_pipeline").joinpath("dagster.yaml").read_bytes())
            probe = self.home / f".writable-{os.getpid()}"
            probe.touch()
            probe.unlink()
            tighten(self.home)
        except OSError as error:
            raise UsageError(
                f"the home folder can't be written ({error.strerror})",
                where=f"CAVRA_HOME={self.home}",
                remedy="Give this user write access to it, or set CAVRA_HOME to another folder",
            ) from None
        return self


def _number(environ: Mapping[str, str], name: str, default: float, low: float, high: float) -> float:
    text = environ.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise UsageError(
            "the value is not accepted",
            where=name,
            remedy=f"Set a number from {low:g} to {high:g}, or unset it",
        )
    return value


def _path(environ: Mapping[str, str], name: str, default: str) -> Path:
    try:
        return Path(environ.get(name, "").strip() or default).expanduser().resolve()
    except (RuntimeError, OSError):
        raise UsageError("there is no such path", where=name, remedy="Set an absolute path, or unset it") from None


def _url(environ: Mapping[str, str], name: str, default: str) -> str:
    text = environ.get(name, "").strip() or default
    if not _URL.fullmatch(text):
        raise UsageError(
            "the value is not an address", where=name, remedy="Write it as https://dagster.example, without a password"
        )
    return text.rstrip("/")


def _crons(environ: Mapping[str, str]) -> dict[str, str]:
    """The cadences by schedule; which schedules there are and what is a cron expression, the schedules check."""
    crons = {
        name.removeprefix(_CRON_PREFIX).lower(): cron.strip()
        for name, cron in sorted(environ.items())
        if name.startswith(_CRON_PREFIX) and cron.strip()
    }
    for name, cron in crons.items():
        if never_comes(cron):
            raise UsageError(
                "the cron expression never comes: none of its months has such a day",
                where=f"{_CRON_PREFIX}{name.upper()}",
                remedy="Name a day of the month that its months have; L is the last one",
            )
    return crons


def _connectors(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    names = [normalised(one) for one in environ.get(name, "").split(",") if one.strip()]
    if not all(one in PROVIDERS for one in names):
        raise UsageError(
            "the value names a connector that there is not",
            where=name,
            remedy=f"Set some of {', '.join(PROVIDERS)}, with commas between them, or unset it",
        )
    return tuple(dict.fromkeys(names))


def _live_lanes(environ: Mapping[str, str]) -> frozenset[str]:
    if environ.get("CAVRA_LIVE_RETRIES", "").strip():
        raise UsageError(
            "the setting is no longer read",
            where="CAVRA_LIVE_RETRIES",
            remedy=f"Unset it and name the lanes that may send: CAVRA_LIVE_LANES, some of {', '.join(LANES)}",
        )
    names = frozenset(one.strip() for one in environ.get("CAVRA_LIVE_LANES", "").split(",") if one.strip())
    if not names <= LANES.keys():
        raise UsageError(
            "the value names a lane that there is not",
            where="CAVRA_LIVE_LANES",
            remedy=f"Set some of {', '.join(LANES)}, with commas between them, or unset it",
        )
    return names


def _alert_policy(environ: Mapping[str, str]) -> AlertPolicy:
    default = DEFAULT_POLICY
    return AlertPolicy(
        connectors=_connectors(environ, "CAVRA_ALERT_CONNECTORS"),
        group_wait_seconds=_number(environ, "CAVRA_ALERT_GROUP_WAIT_SECONDS", default.group_wait_seconds, 0, 3600),
        window_minutes=_number(environ, "CAVRA_ALERT_WINDOW_MINUTES", default.window_minutes, 0, 10080),
        repeat_minutes=_number(environ, "CAVRA_ALERT_REPEAT_MINUTES", default.repeat_minutes, 1, 10080),
        flap_changes=int(_number(environ, "CAVRA_ALERT_FLAP_CHANGES", default.flap_changes, 3, 1000)),
        flap_window_minutes=_number(environ, "CAVRA_ALERT_FLAP_WINDOW_MINUTES", default.flap_window_minutes, 1, 10080),
    )


def _may_be_called(text: str) -> bool:
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        return False
    is_safe = url.scheme == "https" or (url.scheme == "http" and host in ("127.0.0.1", "::1", "localhost"))
    return bool(
        host and is_safe and url.username is None and not url.fragment and text.isascii() and text.isprintable()
    )


def _deadman_url(environ: Mapping[str, str]) -> Secret | None:
    text = environ.get("CAVRA_DEADMAN_URL", "").strip()
    if not text:
        return None
    if not _may_be_called(text):
        raise UsageError(
            "the value is not an address that may be called",
            where="CAVRA_DEADMAN_URL",
            remedy="Set an https address without a user name (http for this machine only), or unset it",
        )
    return Secret(text)


def _state_address(environ: Mapping[str, str]) -> str | None:
    text = environ.get("CAVRA_STATE_URL", "").strip()
    scheme = next((one for one in _STATE_SCHEMES if text.startswith(one)), None)
    if text and (scheme is None or text == scheme or not text.isprintable()):
        raise UsageError(
            "the value is not the address of a database",
            where="CAVRA_STATE_URL",
            remedy="Set sqlite:////path/of/state.db or postgresql://user:password@host/database, or unset it",
        )
    return text or None


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Reads the settings from the environment; every variable has a working default.

    Args:
        environ: The variables; the process environment if not given.

    Raises:
        UsageError: A variable has a value that is not accepted; the message names it.
    """
    environ = os.environ if environ is None else environ
    start = environ.get("CAVRA_START_DATE", "").strip()
    try:
        start_date = date.fromisoformat(start) if start else DEFAULT_START_DATE
    except ValueError:
        raise UsageError(
            "the value is not a day",
            where="CAVRA_START_DATE",
            remedy="Write it as YYYY-MM-DD, such as 2025-01-01",
        ) from None
    home = _path(environ, "CAVRA_HOME", ".cavra")
    memory_limit = environ.get("CAVRA_MEMORY_LIMIT", "").strip()
    if memory_limit and not _MEMORY.fullmatch(memory_limit):
        raise UsageError(
            "the value is not accepted", where="CAVRA_MEMORY_LIMIT", remedy="Write it as 500MB or 2GB, or unset it"
        )
    environment = environ.get("CAVRA_ENVIRONMENT", "").strip() or ENVIRONMENTS[0]
    if environment not in ENVIRONMENTS:
        raise UsageError(
            "there is no such environment",
            where="CAVRA_ENVIRONMENT",
            remedy=f"Set one of {', '.join(ENVIRONMENTS)}, or unset it",
        )
    connectors = environ.get("CAVRA_CONNECTORS", "").strip()
    key_file = environ.get("CAVRA_PSEUDONYM_KEY_FILE", "").strip()
    threads = int(_number(environ, "CAVRA_THREADS", 0, 0, 1024))
    retention_days = int(_number(environ, "CAVRA_RETENTION_DAYS", 0, LEAST_RETENTION_DAYS, 36500))
    return Settings(
        home=home,
        start_date=start_date,
        busy_wait_seconds=_number(environ, "CAVRA_BUSY_WAIT_SECONDS", 120, 0, 86400),
        threads=threads or None,
        memory_limit=memory_limit or None,
        batch_bytes=int(_number(environ, "CAVRA_BATCH_MEGABYTES", 96, 1, 1024) * 1024 * 1024),
        connectors_file=_path(environ, "CAVRA_CONNECTORS", "") if connectors else home / "connectors.yaml",
        pseudonym_key_file=_path(environ, "CAVRA_PSEUDONYM_KEY_FILE", "") if key_file else None,
        ca_file=_path(environ, "CAVRA_CA_FILE", "") if environ.get("CAVRA_CA_FILE", "").strip() else None,
        live_lanes=_live_lanes(environ),
        report_connectors=_connectors(environ, "CAVRA_REPORT_CONNECTORS"),
        crons=_crons(environ),
        immediate_tries=int(_number(environ, "CAVRA_IMMEDIATE_TRIES", 2, 1, 5)),
        api_tokens_file=_path(environ, "CAVRA_API_TOKENS", "") if environ.get("CAVRA_API_TOKENS", "").strip() else None,
        api_requests_per_second=_number(environ, "CAVRA_API_REQUESTS_PER_SECOND", 500, 1, 1_000_000),
        dagster_url=_url(environ, "CAVRA_DAGSTER_URL", "http://127.0.0.1:3000"),
        environment=environment,
        tolerance=Tolerance(
            grace_minutes=_number(environ, "CAVRA_SLOT_GRACE_MINUTES", 5, 0, 1440),
            grace_percent=_number(environ, "CAVRA_SLOT_GRACE_PERCENT", 20, 0, 100),
            early_percent=_number(environ, "CAVRA_SLOT_EARLY_PERCENT", 10, 0, 100),
        ),
        acknowledgement_limit_minutes=int(_number(environ, "CAVRA_ACKNOWLEDGEMENT_LIMIT_MINUTES", 60, 1, 525600)),
        watch_seconds=int(_number(environ, "CAVRA_WATCH_SECONDS", 30, 5, 120)),
        alerts=_alert_policy(environ),
        deadman_url=_deadman_url(environ),
        state_address=_state_address(environ),
        retention_days=retention_days or None,
    )
