"""Every setting can be set, is documented, and says what is wrong with a bad value."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from errors import InvalidInput
from settings import Settings, load_settings

EXAMPLE = Path(__file__).resolve().parents[2] / ".env.example"
VALUES = {
    "redis_url": "redis://example:1/2",
    "data_dir": "/tmp/elsewhere",  # noqa: S108 - never opened
    "api_url": "http://example:1",
    "host": "0.0.0.0",  # noqa: S104 - never bound
    "port": "1234",
    "page_port": "1235",
    "live_url": "https://api.example",
    "live_viewers": "7",
    "frame_delay_ms": "40",
    "live_body_bytes": "3000",
    "enable_notifications": "false",
    "alert_channels": "ops=json://example:1",
    "slack_webhook_url": "https://hooks.slack.com/services/a/b/c",
    "email_notifications": "a@example.org",
    "smtp_url": "smtp://example:25",
    "alert_messages_per_hour": "7",
    "quiet_hours": "22:00-07:00 Europe/Berlin",
    "debug": "true",
    "log_level": "WARNING",
    "log_format": "json",
    "log_file": "/tmp/log",  # noqa: S108 - never opened
    "log_file_mib": "3",
    "log_files": "2",
    "slow_ms": "20",
    "checkpoint_url": "memory://elsewhere",
    "checkpoint_every_s": "1.5",
    "stall_s": "45",
    "model_url": "memory://elsewhere",
    "model_licence": "CC-BY-4.0",
    "artifact_url": "memory://elsewhere",
    "max_artifact_mib": "7",
    "max_run_artifacts_mib": "70",
    "database_url": "postgresql://someone:hidden@example/runs",
    "archive_url": "memory://elsewhere",
    "archive_after_days": "7",
    "max_import_mib": "7",
    "archive_at": "04:30 Europe/Berlin",
    "metrics_retention_days": "365 research=1000",
    "lease_s": "3.5",
    "country": "DEU",
    "zone": "US-CA",
    "carbon_model": "uk",
    "carbon_api_key": "secret",
    "carbon_url": "http://example:1",
    "carbon_fallback": "static",
    "carbon_file": "/srv/traces.json",
    "carbon_stale_s": "60",
    "default_dataset": "mnist",
    "meter": "rapl",
    "energy_dir": "/tmp/energy",  # noqa: S108 - never opened
    "codecarbon": "false",
    "pue": "1.4",
    "scripts_dir": "/tmp/scripts",  # noqa: S108 - never opened
    "exporters": "file, mlflow",
    "allowed_hosts": "a, b",
    "allowed_origins": "https://a,https://b",
    "max_body_bytes": "2000",
    "max_batch_bytes": "3000",
    "max_batch_points": "10",
    "max_metrics": "20",
    "max_metric_points": "30",
    "silent_s": "60",
    "page_url": "https://wattle.example.org",
    "require_token": "true",
    "trusted_proxies": "10.0.0.0/8, unix",
    "page_users": "a@b.org, @c.org",
    "page_roles": "a@b.org=admin, group:ml=read",
    "admin_token": "a" * 32,
    "metrics_token": "m" * 32,
    "api_token": "wattle_x",
    "requests_per_minute": "100",
    "refusals_per_minute": "5",
    "request_timeout_s": "2.5",
}


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [field.upper() for field in Settings.model_fields]:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"WATTLE_{name}", raising=False)
    monkeypatch.chdir(tmp_path)  # away from a .env of the checkout


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_is_read_from_the_environment(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    default = getattr(load_settings(), field)
    monkeypatch.setenv(f"WATTLE_{field.upper()}", VALUES[field])
    assert getattr(load_settings(), field) != default


@pytest.mark.parametrize(
    "name",
    [
        *("HOST", "PORT", "DEBUG", "LOG_LEVEL", "FRAME_DELAY_MS"),
        *("ENABLE_NOTIFICATIONS", "SLACK_WEBHOOK_URL", "EMAIL_NOTIFICATIONS"),
        *("DATABASE_URL", "METRICS_RETENTION_DAYS"),
    ],
)
def test_plain_names_work_and_the_prefixed_one_wins(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    default = getattr(load_settings(), name.lower())
    monkeypatch.setenv(name, VALUES[name.lower()])
    assert getattr(load_settings(), name.lower()) != default
    monkeypatch.setenv(f"WATTLE_{name}", "" if default is None else str(default))
    assert getattr(load_settings(), name.lower()) == default


def test_lists_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATTLE_ALLOWED_HOSTS", "a, b,")
    assert load_settings().allowed_hosts == ("a", "b")


def test_the_example_names_every_setting_with_its_default() -> None:
    documented = dict(re.findall(r"^#? ?WATTLE_([A-Z_]+)=(.*)$", EXAMPLE.read_text(), re.MULTILINE))
    assert set(documented) == {field.upper() for field in Settings.model_fields}
    commented = set(re.findall(r"^# WATTLE_([A-Z_]+)=", EXAMPLE.read_text(), re.MULTILINE))
    active = {f"WATTLE_{name}": value for name, value in documented.items() if name not in commented}
    (Path.cwd() / ".env").write_text("\n".join(f"{name}={value}" for name, value in active.items()))
    assert load_settings() == Settings(_env_file=None)


def test_a_bad_value_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATTLE_PORT", "seven")
    monkeypatch.setenv("WATTLE_COUNTRY", "Germany")
    with pytest.raises(InvalidInput, match=r"WATTLE_PORT.*WATTLE_COUNTRY"):
        load_settings()


def test_debug_raises_the_log_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBUG", "1")
    assert load_settings().effective_log_level == "DEBUG"
