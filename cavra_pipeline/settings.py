"""The settings: the one place that reads the environment. Each is declared, with its bounds, as a field of one model.

This module imports nothing of ours but leaves: errors, the accepted values (``setting_types``), the names of lanes,
and who may read a home.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from cavra_pipeline.errors import Accepts, UsageError, refusal
from cavra_pipeline.lanes import LANES
from cavra_pipeline.private import make_home
from cavra_pipeline.setting_types import (
    AbsoluteFolder,
    AssetPrefix,
    Connectors,
    DataUrl,
    Day,
    DeadmanUrl,
    FolderOrFile,
    LakeUrl,
    Lanes,
    MemoryLimit,
    Origins,
    Owners,
    Percent,
    SomeTime,
    StateAddress,
    WebAddress,
    Week,
    resolved,
)

Environment = Literal["production", "staging", "development"]
#: The accepted values of CAVRA_ENVIRONMENT; the first is the default.
ENVIRONMENTS: Final[tuple[str, ...]] = get_args(Environment)
#: How far back today's reports may look, and how late evidence may arrive.
LEAST_RETENTION_DAYS: Final = 30
#: The ledger judges a scheduled run again for two days; sensors look back no longer.
LEAST_RUN_RETENTION_DAYS: Final = 3
_PREFIX: Final = "CAVRA_"
#: Names of the variables that differ from the name of their field.
_VARIABLES: Final = {
    "connectors_file": "connectors",
    "api_tokens_file": "api_tokens",
    "sources_file": "sources",
    "crons": "cron",
    "tolerance": "slot",
    "alerts": "alert",
    "state_address": "state_url",
    "warehouse_address": "warehouse_url",
    "data_address": "data_url",
    "landing_address": "landing_url",
    "group_owners": "owner",
}
#: Dagster's own variable, the only one without our prefix.
_DAGSTER_HOME: Final = "DAGSTER_HOME"
_MEBIBYTE: Final = 1024 * 1024


class AlertPolicy(BaseModel):
    """How alerts are notified; each default and its source are in docs/alerts.md.

    Attributes:
        connectors: Providers that notifications go through, in this order; none are sent if it is empty.
        group_wait_seconds: How long the first notification of a group waits for more of the group.
        window_minutes: Suppression window: after one was accepted, further ones of the group are held back for so long.
        repeat_minutes: After how long a notification is repeated while nothing changes and no one acknowledges.
        flap_changes: Beginnings and ends of one alert, within ``flap_window_minutes``, from which it is flapping.
        flap_window_minutes: How far back changes count; also how long it must be stable to be stable again.
    """

    model_config = ConfigDict(frozen=True)

    connectors: Connectors = ()
    group_wait_seconds: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False), Accepts()] = 0.0
    window_minutes: Week = 60.0
    repeat_minutes: SomeTime = 240.0
    flap_changes: Annotated[int, Field(ge=3, le=1000), Accepts()] = 5
    flap_window_minutes: SomeTime = 60.0

    @property
    def group_wait(self) -> timedelta:
        """How long the first notification of a group waits."""
        return timedelta(seconds=self.group_wait_seconds)

    @property
    def window(self) -> timedelta:
        """The suppression window."""
        return timedelta(minutes=self.window_minutes)

    @property
    def repeat(self) -> timedelta:
        """The repeat interval."""
        return timedelta(minutes=self.repeat_minutes)

    @property
    def flap_window(self) -> timedelta:
        """How far back changes count."""
        return timedelta(minutes=self.flap_window_minutes)


class Tolerance(BaseModel):
    """How late and how early the work of a scheduled run is still on time.

    Attributes:
        grace_minutes: The shortest grace, in minutes.
        grace_percent: Grace in percent of the gap to the next scheduled run, where that is longer.
        early_percent: How early is still on time, in percent of the gap from the scheduled run before.
    """

    model_config = ConfigDict(frozen=True)

    grace_minutes: Annotated[float, Field(ge=0, le=1440, allow_inf_nan=False), Accepts()] = 5.0
    grace_percent: Percent = 20.0
    early_percent: Percent = 10.0

    def grace(self, gap: timedelta) -> timedelta:
        """Returns how late is still on time."""
        return max(timedelta(minutes=self.grace_minutes), gap * (self.grace_percent / 100))

    def early(self, gap: timedelta) -> timedelta:
        """Returns how early is still on time."""
        return gap * (self.early_percent / 100)


DEFAULT_POLICY: Final = AlertPolicy()
DEFAULT_TOLERANCE: Final = Tolerance()


class Settings(BaseSettings):
    """Where the pipeline lives and how much of the machine it may take.

    Constructed directly, it reads nothing of the environment; ``load_settings`` does.

    Attributes:
        home: Absolute folder that holds the landing zone, the warehouse and Dagster's own home.
        instance_home: The folder of the team's Dagster instance, which is ``DAGSTER_HOME``; None for the home's own.
        asset_prefix: First parts of every asset key.
        owners: Owners of the assets whose group has none of its own, as Dagster accepts them.
        group_owners: Owners by asset group.
        start_date: First UTC day that is a Dagster partition; None for the day of the first landing files.
        busy_wait_seconds: How long a caller waits for a busy warehouse before it gives up.
        threads: DuckDB worker threads, or None for one a core.
        memory_limit: DuckDB memory limit such as ``2GB``, or None for DuckDB's own default.
        batch_megabytes: Raw evidence parsed at once, in MiB; memory use grows with it.
        connectors_file: YAML file of connectors (docs/connectors.md).
        sources_file: YAML file of the sources of evidence (docs/sources.md).
        pseudonym_key_file: The key of the pseudonyms, where it is not in the home.
        signing_key_file: Ed25519 key (PEM) that signs checkpoints of the commit log; unsigned without.
        timestamp_url: Time-stamping authority (RFC 3161) that stamps checkpoints when somebody asks for it.
        timestamp_ca_file: Root certificates (PEM) to which the authority's signatures must lead.
        ca_file: Certificates (PEM) that connectors and the ping trust besides the well-known ones.
        live_lanes: Lanes in which this host sends; only its environment can name them.
        report_connectors: Connectors that the scheduled executive report goes through.
        escalation_connectors: Connectors through which people are notified of open recoveries.
        immediate_tries: Tries inside one live attempt.
        api_tokens_file: Hashes of the tokens that the HTTP API takes; None where it is open on loopback.
        api_requests_per_second: Requests a second that the HTTP API takes from one client or token.
        api_origins: Origins of pages that may call the HTTP API, as browsers write them; none but its own if empty.
        dagster_url: Where people find the Dagster UI; only ever shown as a link.
        console_url: Where people find the console; only ever shown as a link.
        crons: Cadence of a schedule, by its name, in place of its own; cron in UTC.
        environment: Which of the declared environments this is (``cavra_pipeline.desired_state``).
        tolerance: How late and how early a scheduled run's work is still on time.
        acknowledgement_limit_minutes: How long a failing delivery may wait for its acknowledgement.
        watch_seconds: Seconds between ticks of ``missed_worker_run_sensor``; the others tick less often.
        alerts: How alerts are notified, and through which connectors.
        worker_probe: Whether worker runs probe providers with an incident, with one retry instead of all.
        retention_days: Days of evidence that ``prune`` keeps, today aside; None keeps all.
        run_retention_days: Days that Dagster's records of a finished run are retained.
        deadman_url: Called while the watching works; whoever knows the address can feign it.
        state_address: SQLAlchemy address of the state database as set, or None for the home's own file.
        warehouse_address: Address of a lake that stands in for the home's warehouse file (docs/scale.md), or None.
        data_address: Folder or ``s3://`` place of the lake's data files; only with a lake.
        landing_address: Folder or ``s3://`` place of the landing zone, or None for a folder of the home.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        hide_input_in_errors=True,
        alias_generator=lambda name: _PREFIX + _VARIABLES.get(name, name).upper(),
        env_nested_delimiter="_",
        env_nested_max_split=1,
    )

    home: FolderOrFile = Field(default_factory=lambda: resolved(".cavra"))
    instance_home: AbsoluteFolder | None = Field(default=None, alias=_DAGSTER_HOME)
    asset_prefix: AssetPrefix = ("cavra",)
    owners: Owners = ("team:release-operations",)
    group_owners: dict[str, Owners] = Field(default={})
    start_date: Day | None = None
    busy_wait_seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False), Accepts()] = 120.0
    threads: Annotated[int, Field(ge=0, le=1024), AfterValidator(lambda count: count or None), Accepts()] | None = None
    memory_limit: MemoryLimit | None = None
    batch_megabytes: Annotated[float, Field(ge=1, le=1024, allow_inf_nan=False), Accepts()] = 96.0
    connectors_file: FolderOrFile | None = None
    sources_file: FolderOrFile | None = None
    pseudonym_key_file: FolderOrFile | None = None
    signing_key_file: FolderOrFile | None = None
    timestamp_url: WebAddress | None = None
    timestamp_ca_file: FolderOrFile | None = None
    ca_file: FolderOrFile | None = None
    live_lanes: Lanes = frozenset()
    report_connectors: Connectors = ()
    escalation_connectors: Connectors = ()
    immediate_tries: Annotated[int, Field(ge=1, le=5), Accepts()] = 2
    api_tokens_file: FolderOrFile | None = None
    api_requests_per_second: Annotated[float, Field(ge=1, le=1_000_000, allow_inf_nan=False), Accepts()] = 500.0
    api_origins: Origins = ()
    dagster_url: WebAddress = "http://127.0.0.1:3000"
    console_url: WebAddress = "http://127.0.0.1:8765"
    crons: dict[str, str] = Field(default={})
    environment: Annotated[
        Environment, Accepts(f"one of {', '.join(ENVIRONMENTS)}", "there is no such environment")
    ] = "production"
    tolerance: Tolerance = DEFAULT_TOLERANCE
    acknowledgement_limit_minutes: Annotated[int, Field(ge=1, le=525_600), Accepts()] = 60
    watch_seconds: Annotated[int, Field(ge=5, le=120), Accepts()] = 30
    alerts: AlertPolicy = DEFAULT_POLICY
    deadman_url: DeadmanUrl | None = None
    worker_probe: bool = False
    retention_days: Annotated[int, Field(ge=LEAST_RETENTION_DAYS, le=36_500), Accepts()] | None = None
    run_retention_days: Annotated[int, Field(ge=LEAST_RUN_RETENTION_DAYS, le=36_500), Accepts()] = 7
    state_address: StateAddress | None = Field(default=None, repr=False)
    warehouse_address: LakeUrl | None = Field(default=None, repr=False)
    data_address: DataUrl | None = None
    landing_address: DataUrl | None = None

    @classmethod
    def settings_customise_sources(cls, *_settings: Any, init_settings: Any, **_others: Any) -> tuple[Any, ...]:  # type: ignore[override]  # two of five
        """Leaves the arguments as the only source."""
        return (init_settings,)

    @property
    def batch_bytes(self) -> int:
        """Raw evidence parsed at once, in bytes."""
        return int(self.batch_megabytes * _MEBIBYTE)

    @property
    def slow_watch_seconds(self) -> int:
        """How often the watching sensors tick that judge by minutes and hours; each tick costs processor time."""
        return 4 * self.watch_seconds

    @property
    def report_watch_seconds(self) -> int:
        """How often those tick that decide by what changes with a report or a pull of a source."""
        return 10 * self.watch_seconds

    @property
    def state_url(self) -> str:
        """SQLAlchemy address of the state database; by default a SQLite file in the home. May hold a password."""
        return self.state_address or f"sqlite:///{self.home / 'state.db'}"

    @property
    def landing(self) -> Path:
        """Folder of landing days (contract section 1); where they are in a bucket, this host's copy of them."""
        if self.landing_address is None:
            return self.home / "landing"
        return self.home / "landing-copy" if self.landing_bucket else Path(self.landing_address)

    @property
    def landing_bucket(self) -> str | None:
        """Address of the bucket that holds the landing zone, or None where a folder does."""
        is_bucket = self.landing_address is not None and self.landing_address.startswith("s3://")
        return self.landing_address if is_bucket else None

    @property
    def landing_place(self) -> str:
        """The landing zone as messages name it."""
        return self.landing_bucket or str(self.landing)

    @property
    def warehouse(self) -> Path:
        """The DuckDB file, where no lake stands in for it."""
        return self.home / "warehouse.duckdb"

    @property
    def pseudonym_key(self) -> Path:
        """The key of the pseudonyms (contract section 3)."""
        return self.pseudonym_key_file or self.home / "pseudonym.key"

    @property
    def dagster_home(self) -> Path:
        """Dagster's home, with its runs, schedules and event log: the team's, or else the one in this home."""
        return self.instance_home or self.home / "dagster"

    def but(self, **changes: Any) -> Settings:
        """Returns the same settings with other values in some fields; the values are not checked again."""
        return self.model_copy(update=changes)

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

    def of_home(self, home: Path) -> Settings:
        """Returns the host's settings for a home that run configuration names; with another home nothing is sent."""
        if home == self.home:
            return self
        return self.but(
            home=home,
            pseudonym_key_file=None,
            signing_key_file=None,
            timestamp_url=None,
            sources_file=None,
            live_lanes=frozenset(),
            report_connectors=(),
            escalation_connectors=(),
            alerts=self.alerts.model_copy(update={"connectors": ()}),
            deadman_url=None,
            state_address=None,
            warehouse_address=None,
            data_address=None,
            landing_address=None,
        )

    def prepare(self) -> Settings:
        """Creates the folders of the home, for their owner alone, and returns the settings.

        The folder of another Dagster instance than the home's own is left as it is.

        Raises:
            UsageError: The home can't be created or written.
        """
        own_instance = self.home / "dagster"
        make_home(self.home, self.landing, own_instance if self.dagster_home == own_instance else None)
        return self


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Reads the settings from the environment; every variable has a working default.

    Args:
        environ: The variables; the process environment if not given.

    Raises:
        UsageError: A variable has a value that is not accepted; the message names it.
    """
    environ = os.environ if environ is None else environ
    if environ.get("CAVRA_LIVE_RETRIES", "").strip():
        raise UsageError(
            "the setting is no longer read",
            where="CAVRA_LIVE_RETRIES",
            remedy=f"Unset it and name the lanes that may send: CAVRA_LIVE_LANES, some of {', '.join(LANES)}",
        )
    source = EnvSettingsSource(Settings)
    source.env_vars = {
        name.lower(): text.strip()
        for name, text in environ.items()
        if (name.startswith(_PREFIX) or name == _DAGSTER_HOME) and text.strip()
    }
    try:
        settings = Settings(**source())
    except ValidationError as error:
        raise _refused(error) from None
    return settings.but(
        connectors_file=settings.connectors_file or settings.home / "connectors.yaml",
        sources_file=settings.sources_file or settings.home / "sources.yaml",
    )


def _refused(error: ValidationError) -> UsageError:
    """Names the variable; what is inside a field, such as the cadence of a schedule, is the rest of its name."""
    first = refusal(error)
    field, *inner = first.where.split(".")
    setting = Settings.model_fields.get(field)
    where = "_".join([setting.alias or field if setting else field, *inner]).upper()
    return UsageError(first.what, where=where, remedy=f"{first.remedy.replace('Give', 'Set', 1)}, or unset it")
