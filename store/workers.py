"""Who works: one heartbeat per worker, which expires by itself."""

from __future__ import annotations

import json
from typing import Final

from schema import Worker
from store.connection import Connection
from store.encoding import to_json, to_text, to_time
from store.keys import Keys

WorkerList = list[Worker]

_JSON_FIELDS: Final = ("queues", "gpu")


class Workers:
    """The workers that are alive."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def beat(self, worker: Worker, *, ttl_s: float) -> None:
        """Say that a worker lives; it counts as gone when ``ttl_s`` passes without another beat.

        ``seen_at`` is set by the clock of Redis.
        """
        known = worker.model_dump(mode="json", exclude={"seen_at"}, exclude_none=True)
        known |= {name: to_json(known[name]) for name in _JSON_FIELDS if name in known}
        fields = [to_text(str(cell)) for pair in known.items() for cell in pair]
        keys = [self._keys.of("worker", worker.worker_id), self._keys.of("workers")]
        self._connection.run("beat", keys, [worker.worker_id, ttl_s, *fields])

    def list_live(self) -> WorkerList:
        """Return the workers whose last beat still counts, by name."""
        worker_ids: list[str] = self._connection.call("ZRANGE", self._keys.of("workers"), 0, -1)
        replies = self._connection.call_many(
            [("HGETALL", self._keys.of("worker", key)) for key in worker_ids]
        )
        workers = [_decode(stored) for stored in replies if stored]
        return sorted(workers, key=lambda worker: (worker.name, worker.worker_id))

    def remove(self, worker_id: str) -> None:
        """Forget a worker that said good-bye."""
        self._connection.call_many(
            [("DEL", self._keys.of("worker", worker_id)), ("ZREM", self._keys.of("workers"), worker_id)]
        )


def _decode(stored: dict[str, str]) -> Worker:
    parsed = {name: json.loads(stored[name]) for name in _JSON_FIELDS if name in stored}
    return Worker.model_validate({**stored, **parsed, "seen_at": to_time(stored["seen_at"])})
