"""Settings of every program, from the environment and ``.env``; built once in main and passed down."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr, StringConstraints, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from errors import FieldError, InvalidInput
from schema.access import PageRole, TrustedProxy
from schema.alerts import CHANNEL_PATTERN
from schema.values import ZONE_PATTERN

_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
# Electricitymaps, watttime, uk, static, cached, or of another package: who opens it knows which there are.
CarbonModel = Annotated[str, StringConstraints(pattern=_NAME, strip_whitespace=True)]


def _plain(name: str) -> AliasChoices:
    """Accept the plain name beside the prefixed one; the prefixed one wins."""
    return AliasChoices(f"WATTLE_{name}", name)


class Settings(BaseSettings):
    """How a process is set up. Every field is an environment variable with the prefix ``WATTLE_``."""

    model_config = SettingsConfigDict(
        env_prefix="WATTLE_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,  # a wrong address of a channel is a secret nevertheless
    )

    redis_url: str = Field(
        "redis://localhost:6379",
        description="Redis, as redis://[user:password@]host:port/db; docs/redis.md has the forms for TLS, "
        "sockets, Sentinel and Cluster",
    )
    data_dir: Path = Field(Path("data"), description="datasets, results and, in the demo, Redis' files")
    api_url: str = Field("http://127.0.0.1:5000", description="the API that the page calls")
    host: str = Field("127.0.0.1", validation_alias=_plain("HOST"), description="address the API listens on")
    port: int = Field(5000, ge=1, le=65535, validation_alias=_plain("PORT"), description="port of the API")
    live_url: str | None = Field(
        None, description="where browsers reach the API's live page; else at WATTLE_API_URL"
    )
    live_viewers: int = Field(200, ge=1, le=10_000, description="most live connections of one web process")
    frame_delay_ms: float = Field(
        0.0,
        ge=0,
        le=60_000,
        validation_alias=_plain("FRAME_DELAY_MS"),
        description="how long the live view holds updates back before it shows them",
    )
    live_body_bytes: int = Field(
        8_000_000, ge=1_000, description="larger bodies of POST /rpc/batch_update are refused with 413"
    )
    page_port: int = Field(8501, ge=1, le=65535, description="port of the page, as make demo starts it")
    debug: bool = Field(
        False,
        validation_alias=_plain("DEBUG"),
        description="for developers: log level DEBUG, and python backend.py reloads when the code changes",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", validation_alias=_plain("LOG_LEVEL"), description="what the programs log"
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="how: lines for people, or one JSON object per line"
    )
    log_file: Path | None = Field(
        None, description="a file they log to, besides stderr; processes of one host may share it"
    )
    log_file_mib: int = Field(100, ge=1, le=100_000, description="that file begins anew at this size")
    log_files: int = Field(5, ge=1, le=1_000, description="how many full ones are kept beside it")
    slow_ms: float = Field(
        1_000.0,
        ge=0,
        le=600_000,
        description="requests and calls of Redis that take longer are logged as warnings; 0 for none",
    )
    checkpoint_url: str | None = Field(
        None, description="where workers share checkpoints, a path or an fsspec URL; else under data_dir"
    )
    checkpoint_every_s: float = Field(
        60.0,
        ge=0,
        description="how often a long epoch is checkpointed; at an epoch's end one is saved, too, as long as "
        "saving takes at most 5 % of the time",
    )
    model_url: str | None = Field(
        None,
        description="where the models of finished runs are, a path or an fsspec URL; else under data_dir",
    )
    model_licence: str | None = Field(None, description="licence of the models, as their cards state it")
    artifact_url: str | None = Field(
        None,
        description="where the artifacts of runs are, a path or an fsspec URL; else under data_dir",
    )
    max_artifact_mib: int = Field(2_048, ge=1, description="larger artifacts are refused with 413")
    max_run_artifacts_mib: int = Field(20_480, ge=1, description="the artifacts of one run, all together")
    lease_s: float = Field(
        15.0, ge=0.2, le=3600, description="how long a worker holds a run without renewing"
    )
    stall_s: float = Field(
        600.0,
        ge=0,
        description="a training that makes no step and says nothing for so long is ended; 0 for never",
    )
    country: str = Field(
        "USA",
        pattern=r"^[A-Z]{3}$",
        description="ISO 3166 alpha-3 code; its yearly average turns kWh into g where no zone says better",
    )
    zone: str | None = Field(
        None,
        pattern=ZONE_PATTERN,
        description="zone of the grid this machine is in, such as DE or US-CA; else the country",
    )
    carbon_model: CarbonModel = Field("static", description="who gives the carbon intensities to plan by")
    carbon_api_key: SecretStr | None = Field(
        None, description="its key: the token of Electricity Maps, user:password of WattTime"
    )
    carbon_url: str | None = Field(None, description="where it is asked; else its own address")
    carbon_fallback: CarbonModel | None = Field(
        None, description="who is asked when it fails, on the same basis; static and uk need no key"
    )
    carbon_file: Path | None = Field(None, description="file or folder of the carbon model cached")
    carbon_stale_s: float = Field(
        10_800.0, gt=0, description="with intensities older than this nothing is planned: runs start at once"
    )
    meter: str = Field(
        "auto",
        pattern=_NAME,
        description="what measures energy; auto takes the best there is, another one is forced, also one of "
        "another package",
    )
    energy_dir: Path | None = Field(
        None, description="where the workers of this host share energy samples; else under the temp folder"
    )
    codecarbon: bool = Field(
        True, description="whether CodeCarbon, where installed, measures beside us as a cross-check"
    )
    pue: float = Field(
        1.0, ge=1, le=10, description="what the whole building uses per kWh of its computers, for kWh and CO2"
    )
    enable_notifications: bool = Field(
        True,
        validation_alias=_plain("ENABLE_NOTIFICATIONS"),
        description="whether this program tells channels what alert rules raise; the page shows it anyway",
    )
    alert_channels: SecretStr | None = Field(
        None,
        description="channels for alerts, each as name=URL of apprise, with spaces between them: "
        "ops=slack://… pager=jsons://…",
    )
    slack_webhook_url: SecretStr | None = Field(
        None,
        validation_alias=_plain("SLACK_WEBHOOK_URL"),
        description="an incoming webhook of Slack: the channel slack",
    )
    email_notifications: str | None = Field(
        None,
        validation_alias=_plain("EMAIL_NOTIFICATIONS"),
        description="mail addresses, comma-separated: the channel email, sent through smtp_url",
    )
    smtp_url: SecretStr | None = Field(
        None,
        description="the mail server: smtp://user:password@host:587 (STARTTLS), smtps:// (TLS from the "
        "start) or smtp+plain:// (no TLS, on your own machine)",
    )
    alert_messages_per_hour: int = Field(
        20, ge=1, le=3600, description="messages a channel gets at most; what is over waits for the next one"
    )
    quiet_hours: str | None = Field(
        None,
        description="when only urgent rules are told, as 22:00-07:00 Europe/Berlin; UTC without a zone",
    )
    default_dataset: str | None = Field(
        None, description="dataset of runs that name none; else mnist if it is on disk, else digits"
    )
    scripts_dir: Path | None = Field(
        None, description="folder whose Python scripts runs may start; without it the trainer script is off"
    )
    database_url: SecretStr | None = Field(
        None,
        validation_alias=_plain("DATABASE_URL"),
        description="where archived runs are: postgresql://user:password@host/name, mysql://… or "
        "sqlite:///…; else archive.db under data_dir",
    )
    archive_url: str | None = Field(
        None,
        description="where the points of archived runs are, a path or an fsspec URL; else under data_dir",
    )
    archive_after_days: float = Field(
        30, gt=0, le=36_500, description="runs that ended so long ago are moved to the archive; 0.5 is 12 h"
    )
    max_import_mib: int = Field(65_536, ge=1, description="larger exports are refused with 413")
    archive_at: str = Field(
        "03:00",
        pattern=r"^([01]\d|2[0-3]):[0-5]\d( \S{1,64})?$",
        description="when that happens each day, as 03:00 Europe/Berlin; UTC without a zone",
    )
    metrics_retention_days: str | None = Field(
        None,
        validation_alias=_plain("METRICS_RETENTION_DAYS"),
        pattern=r"^(\S+=)?\d{1,5}( \S+=\d{1,5})*$",
        description="the points of archived runs that ended so many days ago are deleted: 365, or with "
        "projects of their own 365 research=1000; unset for never",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        ("127.0.0.1", "localhost", "::1"), description="names the API may be called by, comma-separated"
    )
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="web origins, besides the API's own, whose pages may write, comma-separated"
    )
    max_body_bytes: int = Field(1_000_000, ge=1_000, description="larger request bodies are refused with 413")
    max_batch_bytes: int = Field(
        8_388_608, ge=1_000, description="the same for batches of metric points and log lines, unpacked"
    )
    max_batch_points: int = Field(100_000, ge=1, description="points of metrics in one batch")
    max_metrics: int = Field(2_000, ge=1, description="metrics of one run")
    max_metric_points: int = Field(
        2_000_000, ge=1, le=20_000_000, description="points of one metric of a run, 24 bytes each in Redis"
    )
    silent_s: float = Field(
        900.0,
        ge=1,
        description="a run whose own script is not heard of for so long has failed; it goes on once it is",
    )
    require_token: bool = Field(
        False, description="whether requests from this machine itself need an API token, too"
    )
    admin_token: SecretStr | None = Field(
        None,
        min_length=32,
        description="an API token with the scope admin that no store has to know: to make the first one with",
    )
    metrics_token: SecretStr | None = Field(
        None,
        min_length=32,
        description="an API token for /metrics alone that no store has to know: for Prometheus",
    )
    api_token: SecretStr | None = Field(
        None, description="the API token that this program shows, where the API wants one"
    )
    requests_per_minute: int = Field(
        60_000, ge=60, description="requests of one API token, and of one address; more are refused with 429"
    )
    refusals_per_minute: int = Field(
        60, ge=1, description="requests without a valid API token that one address is told 401"
    )
    trusted_proxies: Annotated[tuple[TrustedProxy, ...], NoDecode] = Field(
        (),
        description="proxies whose X-Forwarded-For tells the client's address, comma-separated: addresses, "
        "networks such as 10.0.0.0/8, and unix for who comes through a unix socket",
    )
    page_users: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="who is let in to the page after a login: mail addresses and @domains, comma-separated",
    )
    page_roles: Annotated[tuple[PageRole, ...], NoDecode] = Field(
        (),
        description="what they may do there, comma-separated: ada@example.org=admin, "
        "@lab.example.org=submit, group:interns=read",
    )
    exporters: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="who is handed runs that have ended, comma-separated: file, mlflow, wandb, or another "
        "that is installed",
    )
    page_url: str = Field(
        "http://127.0.0.1:8501",
        description="where browsers find the page; / of the API and links in alerts lead there, and it "
        "alone may show the live page inside its own",
    )
    request_timeout_s: float = Field(
        10.0, ge=0.1, le=600, description="a client that needs longer to send a request is cut off with 408"
    )

    @field_validator(
        *("allowed_hosts", "allowed_origins", "trusted_proxies", "page_users", "page_roles", "exporters"),
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator(
        *("alert_channels", "slack_webhook_url", "email_notifications", "smtp_url", "quiet_hours"),
        *("admin_token", "metrics_token", "api_token"),
        mode="before",
    )
    @classmethod
    def _blank_is_none(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("database_url", "archive_url", "metrics_retention_days", mode="before")
    @classmethod
    def _blank_is_unset(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("alert_channels")
    @classmethod
    def _check_channels(cls, value: SecretStr | None) -> SecretStr | None:
        """Refuse what is no list of names and addresses, without repeating it."""
        for place, word in enumerate(value.get_secret_value().split() if value else (), start=1):
            name, _, url = word.partition("=")
            if not re.fullmatch(CHANNEL_PATTERN, name) or "://" not in url:
                raise ValueError(f"entry {place} should be a name of a-z, 0-9, - and _, then = and a URL")
        return value

    @property
    def effective_checkpoint_url(self) -> str:
        """Where checkpoints are, with the default filled in."""
        return self.checkpoint_url or str(self.data_dir.resolve() / "checkpoints")

    @property
    def effective_model_url(self) -> str:
        """Where models are, with the default filled in."""
        return self.model_url or str(self.data_dir.resolve() / "models")

    @property
    def effective_artifact_url(self) -> str:
        """Where artifacts are, with the default filled in."""
        return self.artifact_url or str(self.data_dir.resolve() / "experiments")

    @property
    def effective_database_url(self) -> str:
        """Where archived runs are, with the default filled in; it may hold a password."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir.resolve() / 'archive.db'}"

    @property
    def effective_archive_url(self) -> str:
        """Where the points of archived runs are, with the default filled in."""
        return self.archive_url or str(self.data_dir.resolve() / "archive")

    @property
    def effective_live_url(self) -> str:
        """Where browsers reach the live page, with the default filled in."""
        return self.live_url or self.api_url

    @property
    def shown_token(self) -> str | None:
        """The API token this program shows."""
        return self.api_token.get_secret_value() if self.api_token else None

    @property
    def effective_zone(self) -> str:
        """The zone of the grid this machine is in, with the default filled in."""
        return self.zone or self.country

    @property
    def effective_log_level(self) -> str:
        """The log level after ``debug`` has been considered."""
        return "DEBUG" if self.debug else self.log_level


def load_settings() -> Settings:
    """Read the environment. Raises InvalidInput, naming each variable, when one is not valid."""
    try:
        return Settings()
    except ValidationError as error:
        details = [
            FieldError(f"WATTLE_{item['loc'][0]}".upper().replace("WATTLE_WATTLE_", "WATTLE_"), item["msg"])
            for item in error.errors()
        ]
        listed = "; ".join(f"{detail.field}: {detail.message}" for detail in details)
        raise InvalidInput(
            f"A setting is not valid. {listed}. Correct it in the environment or .env.", details=details
        ) from error
