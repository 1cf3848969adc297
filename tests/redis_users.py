"""The users of Redis, as docs/security.md has them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from store.address import CLUSTER_PREFIX

ACL: Final = Path(__file__).parents[1] / "deploy" / "redis" / "users.acl"
PAGE: Final = Path(__file__).parents[1] / "docs" / "security.md"


def worker_rights() -> Sequence[str]:
    """What comes after the name in ACL SETUSER, without the password."""
    block = PAGE.read_text("utf-8").split("```acl\n")[1].split("```")[0]
    words = block.split()
    assert words[:3] == ["ACL", "SETUSER", "wattle-worker"]
    return [word for word in words[3:] if word != ">PASSWORD"]


def rights_in_deploy(user: str) -> Sequence[str]:
    """What deploy/redis/users.acl gives a user, without the password."""
    lines = (line.split() for line in ACL.read_text("utf-8").splitlines())
    (words,) = (words for words in lines if words[:2] == ["user", user])
    assert words[3].startswith(">")
    return [words[2], *words[4:]]


def backend_rights() -> Sequence[str]:
    """The same with all keys."""
    return [*(word for word in worker_rights() if not word.startswith("~")), "~*"]


def rights_in_a_cluster(rights: Sequence[str]) -> Sequence[str]:
    """The same in a Cluster, as the page says: keys begin with its prefix, and its client asks for more."""
    (more,) = re.findall(r"which node has their keys: `([^`]+)`", PAGE.read_text("utf-8"))
    keys = [re.sub("(?<=~)", CLUSTER_PREFIX, word) for word in rights]
    return [*keys, *more.split()]
