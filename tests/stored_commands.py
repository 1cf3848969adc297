"""A store as a text of commands, one JSON array a line: what an earlier version wrote."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import redis

STORES = Path(__file__).with_name("stores")


def dump(client: Any) -> str:
    """Write all keys of a server as the commands that make them; what expires is left out."""
    found = sorted(key for key in client.scan_iter() if client.ttl(key) == -1)
    return "".join(
        json.dumps(command, ensure_ascii=True) + "\n" for key in found for command in _of(client, key)
    )


def _of(client: Any, key: str) -> Iterator[list[str]]:
    match client.type(key):
        case "string":
            yield ["SET", key, client.get(key)]
        case "hash":
            yield ["HSET", key, *chain(*sorted(client.hgetall(key).items()))]
        case "list":
            yield ["RPUSH", key, *client.lrange(key, 0, -1)]
        case "set":
            yield ["SADD", key, *sorted(client.smembers(key))]
        case "zset":
            pairs = client.zrange(key, 0, -1, withscores=True)
            yield ["ZADD", key, *chain(*((repr(score), member) for member, score in pairs))]
        case "stream":
            for entry_id, fields in client.xrange(key):
                yield ["XADD", key, entry_id, *chain(*fields.items())]


def load(client: Any, name: str) -> None:
    """Send the commands of a file of tests/stores to an empty server."""
    for line in (STORES / name).read_text("ascii").splitlines():
        name, key, *rest = json.loads(line)
        client.execute_command(name, key, *(part.encode("utf-8", "surrogateescape") for part in rest))


if __name__ == "__main__":
    with redis.Redis.from_url(
        sys.argv[1], decode_responses=True, encoding_errors="surrogateescape"
    ) as server:
        sys.stdout.write(dump(server))
