"""The users of Redis, as docs/security.md has them."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import redis

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
    return [*(word for word in worker_rights() if not word.startswith(("~", "%R~"))), "~*"]


def make_user(admin: redis.Redis, name: str, password: str, rights: Sequence[str]) -> None:
    """Make a user with these rights, or with what the page says for them to a Redis before 7.0."""
    if is_before_7(admin):
        rights = [right.replace("%R~", "~") for right in rights]
    admin.execute_command("ACL", "SETUSER", name, "reset", *rights, f">{password}")


def is_before_7(server: Path | redis.Redis) -> bool:
    """Whether this Redis cannot let keys be read alone, keeps one file of all, and packs less tightly."""
    if isinstance(server, Path):
        told = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout
        (version,) = re.findall(r"v=([\d.]+)", told)
    else:
        version = str(server.info("server")["redis_version"])
    return int(version.split(".", maxsplit=1)[0]) < 7


def adapt_file(path: Path, server: Path) -> None:
    """Do to a file of users what the page says for a Redis before 7.0, if this redis-server is one."""
    if is_before_7(server):
        (command,) = re.findall(r"`(sed [^`]+)` of `users\.acl`", PAGE.read_text("utf-8"))
        subprocess.run([*shlex.split(command), path], check=True)


def list_refused(admin: redis.Redis) -> set[str]:
    """What users were refused, commands and keys, without what a driver says of itself only where it may."""
    entries = admin.execute_command("ACL", "LOG", 1_000)
    return {entry["object"] for entry in entries} - {"client", "client|setinfo"}


def rights_in_a_cluster(rights: Sequence[str]) -> Sequence[str]:
    """The same in a Cluster, as the page says: keys begin with its prefix, and its client asks for more."""
    (more,) = re.findall(r"which node has their keys: `([^`]+)`", PAGE.read_text("utf-8"))
    keys = [re.sub("(?<=~)", CLUSTER_PREFIX, word) for word in rights]
    return [*keys, *more.split()]
