"""The Redis rights of a worker, as docs/security.md has them, are enough for every script."""

from __future__ import annotations

import re
from pathlib import Path

from tests.manifests import objects
from tests.redis_users import PAGE, backend_rights, rights_in_deploy, worker_rights

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


def test_the_users_that_deploy_makes_have_these_rights_and_no_others() -> None:
    assert sorted(rights_in_deploy("wattle-worker")) == sorted(worker_rights()), (
        "deploy/redis/users.acl and docs/security.md give a worker the same rights: change both"
    )
    assert sorted(rights_in_deploy("wattle-backend")) == sorted(backend_rights())


def test_the_page_gives_an_autoscaler_the_same_rights() -> None:
    block = PAGE.read_text("utf-8").split("```text\nACL SETUSER wattle-keda ")[1].split("```")[0]
    assert [word for word in block.split() if word != ">PASSWORD"] == list(rights_in_deploy("wattle-keda"))


def test_an_autoscaler_may_ask_how_long_the_queues_are_and_nothing_else() -> None:
    rights = rights_in_deploy("wattle-keda")
    assert {right for right in rights if right.startswith("+")} == {
        *("+llen", "+scard"),
        *("+eval", "+type"),  # it asks for the length by a script, of whatever type the key is
        *("+ping", "+select"),  # its connection
    }
    assert {"on", "resetkeys", "resetchannels", "-@all"} <= set(rights)
    patterns = [right[1:].rstrip("*") for right in rights if right.startswith("~")]
    asked = [
        trigger["metadata"]["listName"]
        for each in objects()
        if each["kind"] in {"ScaledObject", "ScaledJob"}
        for trigger in each["spec"]["triggers"]
    ]
    assert all(any(name.startswith(pattern) for pattern in patterns) for name in asked)
    # The queue "default" has the lists without a name of a queue.
    assert {"~queue:requests", "~queue:requests:*"} <= set(rights)
    assert patterns == ["queue:demand", "queue:requests", "queue:requests:"]
