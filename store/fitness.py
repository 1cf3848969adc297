"""Whether this Redis keeps what it is given."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Final

from store.connection import Connection, Reply
from store.memory import FULL_SHARE, WARN_SHARE

log = logging.getLogger(__name__)

OLDEST_VERSION: Final = (6, 2)
CHECK_EVERY_S: Final = 60.0


class Fitness:
    """What about the server, as it is set up now, could lose runs."""

    def __init__(self, connection: Connection, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._clock = clock
        self._next_check_s = -1.0
        self._logged: frozenset[str] = frozenset()

    def list_warnings(self) -> list[str]:
        """Return a sentence for each thing that could lose runs, with its remedy; none when all is well."""
        return warnings_about(self._connection.call("INFO"))

    def version(self) -> str:
        """Return which server it is, in words."""
        info = self._connection.call("INFO")
        kind = info.get("redis_mode", "standalone")
        return f"Redis {info.get('redis_version', 'of an unknown version')}, {kind}"

    def log_warnings(self) -> None:
        """Log the warnings that were not there before; looks every CHECK_EVERY_S at most.

        Servers change while we run: somebody sets another policy, a fail-over brings another server.
        """
        if self._clock() < self._next_check_s:
            return
        found = frozenset(self.list_warnings())
        self._next_check_s = self._clock() + CHECK_EVERY_S
        for warning in sorted(found - self._logged):
            log.warning("%s", warning)
        self._logged = found


def warnings_about(info: Mapping[str, Reply]) -> list[str]:
    """Judge the answer to INFO. What a server does not tell is not held against it.

    By INFO and not CONFIG, which services that run Redis for their customers do not allow.
    """
    found = []
    version = re.match(r"(\d+)\.(\d+)", str(info.get("redis_version", "")))
    if version and (int(version[1]), int(version[2])) < OLDEST_VERSION:
        oldest = ".".join(map(str, OLDEST_VERSION))
        found.append(
            f"Redis is {info['redis_version']}, Wattle needs {oldest}: commands may fail. Upgrade it."
        )
    if info.get("role") == "slave":
        found.append(
            "Redis is a read-only replica: nothing can be queued or recorded. "
            "Set WATTLE_REDIS_URL to the primary."
        )
    policy = info.get("maxmemory_policy", "noeviction")
    if info.get("maxmemory") and policy != "noeviction":
        found.append(
            f"Redis' maxmemory-policy is {policy}: when its memory is full it deletes runs. "
            "Set maxmemory-policy noeviction."
        )
    most, used = _bytes(info, "maxmemory"), _bytes(info, "used_memory")
    if most and used > WARN_SHARE * most:
        found.append(
            f"Redis has used more than {WARN_SHARE:.0%} of its maxmemory of {most / 2**20:,.0f} MiB: from "
            f"{FULL_SHARE:.0%} on step metrics are refused and old runs archived early, and once it is full "
            "nothing can be queued or recorded. Raise maxmemory, or archive runs sooner: "
            "WATTLE_ARCHIVE_AFTER_DAYS."
        )
    if info.get("aof_enabled") == 0:
        found.append(
            "Redis' appendonly is no: a restart loses what came after its last snapshot, accepted runs among "
            "it. Set appendonly yes."
        )
    return found


def _bytes(info: Mapping[str, Reply], name: str) -> int:
    """Return a size that INFO tells; 0 where it does not."""
    value = info.get(name)
    return value if isinstance(value, int) else 0
