"""What a line of a log says, and what it never does."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from api.near_limits import AGAIN_S, Reminder
from errors import InvalidInput
from logs import SharedFile, about_run, choose_formatter, configure, list_secrets
from settings import Settings

RUN = "0123456789abcdef0123456789abcdef"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECRETS = {
    "redis_url": "rediss://wattle:redis-password@redis.example:6379/0",
    "carbon_api_key": "someone:grid-password",
    "alert_channels": "ops=slack://TokenAAAAA/TokenBBBBB pager=json://me:pager-password@hooks.example/path",
    "slack_webhook_url": "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXX",
    "smtp_url": "smtp://mail:mail-password@smtp.example:587",
}
TELLING = (
    "redis-password", "grid-password", "TokenAAAAA", "TokenBBBBB", "pager-password", "T00000000",
    "XXXXXXXXXX", "mail-password",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _no_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def line(message: str, *arguments: object, error: BaseException | None = None, **extra: Any) -> str:
    """A record as the backend writes it with every secret in its settings."""
    settings = Settings.model_validate({**SECRETS, "log_format": "json"})
    return choose_formatter(settings, "backend").format(record(message, *arguments, error=error, **extra))


def record(
    message: str, *arguments: object, error: BaseException | None = None, **extra: Any
) -> logging.LogRecord:
    trace = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord("work.loop", logging.WARNING, "f.py", 1, message, arguments, trace)
    made.created = NOON.timestamp()
    made.__dict__ |= extra
    return made


def test_a_line_of_json_has_exactly_its_fields() -> None:
    assert json.loads(line("it is %s\nnow", "späte")) == {
        "timestamp": "2026-01-01T12:00:00.000+00:00",
        "level": "WARNING",
        "component": "backend",
        "message": "it is späte\nnow",
    }
    assert "\n" not in line("two\nlines")


def test_a_run_is_told_twice_however_it_was_given() -> None:
    both = {"run_id": RUN, "experiment_id": RUN}
    for told in (line("run starts run_id=%s attempt=%d", RUN, 1), line("run starts", run_id=RUN)):
        assert json.loads(told).items() >= both.items()
    with about_run(RUN):
        assert json.loads(line("run starts")).items() >= both.items()
        assert json.loads(line("another run_id=b"))["run_id"] == "b"
    assert "run_id" not in json.loads(line("run starts"))


def test_an_exception_is_a_field() -> None:
    try:
        raise ValueError("seven")
    except ValueError as error:
        told = json.loads(line("failed", error=error))
    assert told["exception"].endswith("ValueError: seven")
    assert told["message"] == "failed"


def test_text_is_as_it_was_for_each_program() -> None:
    made = record("waiting %d s", 3)
    backend = choose_formatter(Settings(), "backend").format(made)
    worker = choose_formatter(Settings(), "worker").format(made)
    assert backend.endswith("WARNING work.loop waiting 3 s")
    assert worker.endswith("WARNING work.loop: waiting 3 s")


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("secret", [*TELLING, *SECRETS.values()])
def test_no_secret_of_the_settings_is_in_any_line(form: str, secret: str) -> None:
    settings = Settings.model_validate({**SECRETS, "log_format": form})
    try:
        raise ValueError(f"cannot reach {secret}")
    except ValueError as error:
        written = choose_formatter(settings, "backend").format(record(f"{secret} %s", secret, error=error))
    assert [word for word in TELLING if word in written] == []
    assert "cannot reach" in written


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at redis://you:hunter2@host/0", "at redis://you:***@host/0"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("GET /a?token=abc&b=1", "GET /a?token=***&b=1"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_too(text: str, shown: str) -> None:
    assert json.loads(line(text))["message"] == shown


def test_hosts_and_short_words_stay_readable() -> None:
    assert not {"smtp.example", "mail.example", "587", "a"} & list_secrets(
        Settings.model_validate({**SECRETS, "carbon_api_key": "a"})
    )


def test_of_the_address_of_a_database_the_password_alone_is_hidden() -> None:
    settings = Settings.model_validate({"database_url": "postgresql://wattle:hunter%2322@postgres/wattle"})
    assert list_secrets(settings) == {"hunter%2322", "hunter#22"}


def test_a_file_begins_anew_at_its_size_for_every_process_that_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "wattle.log"
    path.parent.mkdir()
    ours, theirs = (SharedFile(path, max_bytes=200, old_files=2) for _ in range(2))
    for number in range(40):
        (ours, theirs)[number % 2].emit(record("line %02d of twenty-odd characters", number))
    for handler in (ours, theirs):
        handler.close()
    files = sorted(path.parent.glob("wattle.log*"))
    assert [file.name for file in files] == ["wattle.log", "wattle.log.1", "wattle.log.2"]
    assert all(file.stat().st_size <= 200 for file in files)
    kept = [text for file in reversed(files) for text in file.read_text().splitlines()]
    assert kept == [f"line {number:02} of twenty-odd characters" for number in range(40 - len(kept), 40)]
    assert len(kept) >= 11


def test_the_file_is_written_besides_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    configure(Settings(log_format="json", log_file=tmp_path / "new" / "w.log"), "worker")
    logging.getLogger("work.loop").warning("both")
    for handler in root.handlers:
        handler.close()
    written = (tmp_path / "new" / "w.log").read_text()
    assert json.loads(written)["component"] == "worker"
    assert capsys.readouterr().err == written


def test_a_file_that_cannot_be_written_is_refused_by_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match="WATTLE_LOG_FILE cannot be written"):
        configure(Settings(log_file=tmp_path / "file" / "w.log"), "backend")
    assert sys.stderr is not None


def test_what_is_near_a_limit_is_told_now_and_again(caplog: pytest.LogCaptureFixture) -> None:
    times_s = iter([0.0, 0.0, AGAIN_S / 2, AGAIN_S + 1, 0.0])
    reminder = Reminder(clock=lambda: next(times_s))
    reminder.look("max_body_bytes", 799, 1000)
    assert caplog.messages == []
    for _ in range(3):
        reminder.look("max_body_bytes", 900, 1000)
    told = "near a limit: 900 of the 1000 that WATTLE_MAX_BODY_BYTES allows"
    assert caplog.messages == [told, told]
    reminder.look("live_viewers", 9, 10)
    assert len(caplog.messages) == 3
