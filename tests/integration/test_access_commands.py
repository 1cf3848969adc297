"""Tokens and quotas from a shell: JSON on the standard output, a sentence where it does not work."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner
from werkzeug.serving import make_server

from backend import create_app
from cli import quota_commands, token_commands
from redis_db import RedisDB
from schema.access import Scope, TokenRequest
from settings import Settings

RUNNER = CliRunner()


@contextmanager
def served(settings: Settings, db: RedisDB) -> Iterator[str]:
    """Serve the API in a thread of this process; gives its address."""
    server = make_server("127.0.0.1", 0, create_app(settings, db), threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def _backend(db: RedisDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The API as programs of this machine reach it."""
    monkeypatch.delenv("WATTLE_API_TOKEN", raising=False)
    with served(Settings(data_dir=tmp_path), db) as url:
        monkeypatch.setenv("WATTLE_API_URL", url)
        yield


def test_tokens_and_quotas_are_kept_from_elsewhere_with_an_address_and_a_token(
    db: RedisDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = db.tokens.create(TokenRequest(name="ada", scope=Scope.ADMIN))
    monkeypatch.setenv("WATTLE_API_URL", "http://127.0.0.1:1")  # nobody is there
    with served(Settings(data_dir=tmp_path, require_token=True), db) as url:
        monkeypatch.delenv("WATTLE_API_TOKEN", raising=False)
        refused = RUNNER.invoke(token_commands.app, ["list", "--api", url])
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert "needs an API token" in str(refused.exception)

        monkeypatch.setenv("WATTLE_API_TOKEN", admin.secret)
        asked = ["create", "page", "--scope", "admin", "--names-people", "--api", url]
        made = json.loads(RUNNER.invoke(token_commands.app, asked).stdout)
        assert made["names_people"] is True
        quota = ["set", "token", made["token_id"], "--running-runs", "2", "--api", url]
        assert RUNNER.invoke(quota_commands.app, quota).exit_code == 0
        (line,) = RUNNER.invoke(quota_commands.app, ["list", "--api", url]).stdout.splitlines()
        assert (json.loads(line)["name"], json.loads(line)["limits"]["running_runs"]) == (made["token_id"], 2)
        assert RUNNER.invoke(token_commands.app, ["revoke", made["token_id"], "--api", url]).exit_code == 0
        asked = ["audit", "--contains", "QUOTA", "--api", url]
        (line,) = RUNNER.invoke(token_commands.app, asked).stdout.splitlines()
        assert json.loads(line)["action"] == "quotas.set_token_quota"


@pytest.mark.usefixtures("_backend")
def test_the_first_token_is_made_without_one_shown_used_and_revoked(
    db: RedisDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["create", "ci", "--scope", "submit", "--project", "vision", "--days", "0"]
    made = json.loads(RUNNER.invoke(token_commands.app, asked).stdout)
    assert (made["scope"], made["project"], made["expires_at"]) == ("submit", "vision", None)
    assert db.tokens.find(made["secret"]) is not None
    (listed,) = RUNNER.invoke(token_commands.app, ["list"]).stdout.splitlines()
    assert json.loads(listed)["token_id"] == made["token_id"]
    assert made["secret"] not in listed

    monkeypatch.setenv("WATTLE_API_TOKEN", made["secret"])
    refused = RUNNER.invoke(token_commands.app, ["list"])
    assert refused.exit_code == 1
    assert "scope admin" in str(refused.exception)
    monkeypatch.delenv("WATTLE_API_TOKEN")

    assert RUNNER.invoke(token_commands.app, ["revoke", made["token_id"]]).exit_code == 0
    assert db.tokens.find(made["secret"]) is None
    told = RUNNER.invoke(token_commands.app, ["audit"]).stdout.splitlines()
    assert [json.loads(line)["action"] for line in told] == ["tokens.create_token", "tokens.revoke_token"]


@pytest.mark.usefixtures("_backend")
def test_a_quota_is_set_and_listed() -> None:
    asked = ["set", "project", "vision", "--waiting-runs", "3", "--energy-wh", "500"]
    assert RUNNER.invoke(quota_commands.app, asked).exit_code == 0
    (line,) = RUNNER.invoke(quota_commands.app, ["list"]).stdout.splitlines()
    told = json.loads(line)
    assert (told["name"], told["limits"]["waiting_runs"], told["limits"]["energy_wh"]) == ("vision", 3, 500.0)


@pytest.mark.usefixtures("_backend")
def test_what_is_not_valid_is_said_in_a_line() -> None:
    refused = RUNNER.invoke(token_commands.app, ["create", "   "])
    assert refused.exit_code == 1
    assert str(refused.exception).startswith("name: ")
    assert refused.stdout == ""
