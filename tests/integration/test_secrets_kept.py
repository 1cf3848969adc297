"""What somebody has set in deploy/secrets survives the script; what the script cannot read it names."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.secrets_made import copy_deploy, read_environment
from tests.tools import check


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return copy_deploy(tmp_path)


def replace(path: Path, pattern: str, by: str) -> None:
    text = path.read_text()
    changed = re.sub(pattern, lambda _: by, text, count=1)
    assert changed != text
    path.write_text(changed)


def refusal(copied: Path, *arguments: str) -> str:
    command: list[str | Path] = ["sh", copied / "make_secrets.sh", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    return ended.stderr


@pytest.mark.parametrize("password", ["p/q", "p&q", r"p\1q", "p|q*?", r"a\nb"])
def test_an_old_password_is_taken_letter_by_letter(tmp_path: Path, password: str) -> None:
    secrets = tmp_path / "deploy" / "secrets"
    secrets.mkdir(parents=True)
    (secrets / "redis.conf").write_text(f"requirepass {password}\n")
    script = tmp_path / "deploy" / "make_secrets.sh"
    made = copy_deploy(tmp_path / "new")
    script.write_text((made / "make_secrets.sh").read_text())
    (tmp_path / "deploy" / "redis").mkdir()
    (tmp_path / "deploy" / "redis" / "users.acl").write_text((made / "redis" / "users.acl").read_text())
    check("sh", script)
    assert (secrets / "users.acl").read_text().startswith(f"user default on >{password} ~* ")


def test_a_hash_for_a_password_and_a_user_that_is_off_stay(copied: Path) -> None:
    users = copied / "secrets" / "users.acl"
    replace(users, r"user wattle-backend on >\w+", f"user wattle-backend on #{'ab' * 32}")
    replace(users, "user default on", "user default off")
    before = users.read_text()
    check("sh", copied / "make_secrets.sh")
    assert users.read_text() == before


def test_an_address_that_cannot_be_made_of_a_hash_is_asked_for(copied: Path) -> None:
    replace(
        copied / "secrets" / "users.acl", r"user wattle-worker on >\w+", f"user wattle-worker on #{'ab' * 32}"
    )
    (copied / "secrets" / "worker.env").unlink()
    assert "say WATTLE_REDIS_URL of wattle-worker in worker.env yourself" in refusal(copied)


def test_a_line_that_cannot_be_read_is_named_and_stays(copied: Path) -> None:
    users = copied / "secrets" / "users.acl"
    replace(users, "user wattle-worker on ", "user wattle-worker reset on ")
    before = users.read_text()
    assert "the line of wattle-worker in users.acl" in refusal(copied)
    assert users.read_text() == before


def test_prometheus_has_the_token_that_the_backend_has(copied: Path) -> None:
    token, backend = copied / "secrets" / "metrics-token", copied / "secrets" / "backend.env"
    replace(backend, r"WATTLE_METRICS_TOKEN=\w+", "WATTLE_METRICS_TOKEN=one-of-ours")
    for _ in range(2):
        check("sh", copied / "make_secrets.sh")
        assert token.read_text() == "one-of-ours" == read_environment(backend)["WATTLE_METRICS_TOKEN"]
        token.unlink()


def test_secrets_of_another_redis_are_not_taken_for_those_of_this_one(copied: Path) -> None:
    assert "names another Redis than wattle-redis.wattle.svc" in refusal(copied, "wattle-redis.wattle.svc")
    check("sh", copied / "make_secrets.sh", "redis")


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ((), "docker compose"),
        (("127.0.0.1",), "docs/production.md"),
        (("wattle-redis.wattle.svc",), "docs/production.md"),
    ],
)
def test_the_script_leads_on_to_what_the_secrets_were_made_for(
    tmp_path: Path, arguments: tuple[str, ...], wanted: str
) -> None:
    script = copy_deploy(tmp_path, *arguments) / "make_secrets.sh"
    said = subprocess.run(["sh", script, *arguments], capture_output=True, text=True, check=True).stdout
    assert said.startswith("deploy/secrets is complete. Now: ")
    assert wanted in said
