"""The Redis rights of a worker, as docs/security.md has them, are enough for every script."""

from __future__ import annotations

import re
from pathlib import Path

from tests.redis_users import worker_rights

STORE = Path(__file__).parents[2] / "store"


def test_a_worker_may_send_every_command_that_the_scripts_send() -> None:
    sent = {
        command.lower()
        for path in (STORE / "scripts").glob("*.lua")
        for command in re.findall(r'redis\.call\("([A-Z]+)"', path.read_text("utf-8"))
    }
    allowed = {right[1:] for right in worker_rights() if right.startswith("+")}
    # And what is sent without one.
    sent |= {
        command.lower()
        for path in STORE.rglob("*.py")
        for command in re.findall(r'(?:\(|call\()"([A-Z]{3,})",', path.read_text("utf-8"))
    } - {"count", "limit", "unblocked"}  # arguments, and what an error begins with
    assert len(sent) > 40
    assert sent <= allowed


def test_a_worker_may_not_reach_tokens_nor_administer_redis() -> None:
    rights = worker_rights()
    patterns = [right[1:] for right in rights if right.startswith("~")]
    assert not any("access:tokens".startswith(pattern.rstrip("*")) for pattern in patterns)
    assert not {"+acl", "+config", "+flushall", "+keys", "+shutdown", "+@all", "+@admin"} & set(rights)
