"""What KEDA asks of Redis."""

from __future__ import annotations

from typing import Final

import redis

from tests.manifests import objects

# One script for keys of every type; that of a key that is not there is a list of none.
# https://keda.sh/docs/latest/scalers/redis-lists/
_LENGTH: Final = """
local lengths = {list = "LLEN", set = "SCARD", none = "LLEN"}
return redis.call(lengths[redis.call("TYPE", KEYS[1]).ok], KEYS[1])
"""


class Keda:
    """The queries of the triggers in deploy/kubernetes, as they stand there."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url, decode_responses=True)
        self._redis.ping()
        self.names = {
            each["kind"]: [trigger["metadata"]["listName"] for trigger in each["spec"]["triggers"]]
            for each in objects()
            if each["kind"] in {"ScaledObject", "ScaledJob"}
        }

    def wants(self, kind: str) -> int:
        return sum(int(str(self._redis.eval(_LENGTH, 1, name))) for name in self.names[kind])

    def close(self) -> None:
        self._redis.close()
