"""Who works: one heartbeat per worker, which expires by itself."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from schema import Scalar, Worker
from store.connection import Connection
from store.encoding import to_json, to_pairs, to_text, to_time
from store.keys import Keys

log = logging.getLogger(__name__)

# How long a worker that stopped beating can still be seen.
KEPT_S: Final = 24 * 3600
# Reading a thousand heartbeats takes 30 ms of CPU time, which nobody who asks about a run should pay.
MANY: Final = 100
RECENT_S: Final = 1.0

WorkerList = list[Worker]

_JSON_FIELDS: Final = ("queues", "gpu", "other_gpus")
_FACTS: Final = "facts"
SPOOL_BYTES: Final = "spool_bytes"
_SET_BY_THE_STORE: Final = {"seen_at", "gone_at"}


class Workers:
    """The workers that are alive, and those that died lately."""

    def __init__(
        self, connection: Connection, keys: Keys, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._unreadable: set[str] = set()
        self._clock = clock
        self._reading = threading.Lock()
        self._recent: WorkerList = []
        self._read_s = -RECENT_S

    def beat(
        self,
        worker: Worker,
        *,
        ttl_s: float,
        facts: Mapping[str, Scalar] | None = None,
        spool_bytes: int | None = None,
    ) -> bool:
        """Say that a worker lives; it counts as gone when ``ttl_s`` passes without another beat.

        ``seen_at`` is set by the clock of Redis. ``facts`` are what it records of its runs' environment,
        ``spool_bytes`` what its host keeps on disk for Redis.
        Returns True when somebody asked the worker to drain.
        """
        known = worker.model_dump(mode="json", exclude=_SET_BY_THE_STORE, exclude_none=True)
        known |= {name: to_json(known[name]) for name in _JSON_FIELDS if name in known}
        if facts:
            known[_FACTS] = to_json(dict(facts))
        if spool_bytes is not None:
            known[SPOOL_BYTES] = spool_bytes
        fields = [to_text(str(cell)) for pair in known.items() for cell in pair]
        asked: int = self._connection.run(
            "beat", self._own_keys(worker.worker_id), [worker.worker_id, ttl_s, KEPT_S, *fields]
        )
        return asked == 1

    def set_draining(self, worker_id: str, is_draining: bool) -> None:
        """Ask a live worker to take no more runs and to end after the one it has, or withdraw that.

        The worker learns it with its next beat. Raises NotFound when no live worker has this id.
        """
        self._connection.run("drain", self._own_keys(worker_id), [worker_id, int(is_draining)])

    def list_live(self) -> WorkerList:
        """Return the workers whose last beat still counts, by name."""
        return self.list_known(max_gone=0)

    def list_recent(self) -> WorkerList:
        """Return the live workers; where they are more than MANY, as they were up to RECENT_S ago.

        Twice that while another thread reads.
        """
        age_s = self._clock() - self._read_s
        is_many = len(self._recent) > MANY
        if is_many and age_s < RECENT_S:
            return self._recent
        if not self._reading.acquire(blocking=False):
            # Nobody waits for another's reading: while Redis hangs, each would do so in turn.
            return self._recent if is_many and age_s < 2 * RECENT_S else self.list_live()
        try:
            began_s, self._recent = self._clock(), self.list_live()
            self._read_s = began_s
            return self._recent
        finally:
            self._reading.release()

    def list_known(self, *, max_gone: int | None = None) -> WorkerList:
        """Return the live workers, and those that stopped beating in the last 24 h with ``gone_at``, by name.

        A worker that said good-bye is not among them, nor one whose heartbeat cannot be read. Of the gone
        ones the last ``max_gone`` are read: where workers keep dying there may be thousands.
        """
        rows, (seconds, _) = self._connection.call_many(
            [("ZRANGE", self._keys.of("workers"), 0, -1, "WITHSCORES"), ("TIME",)]
        )
        scores = sorted(
            ((float(expiry), worker_id) for worker_id, expiry in to_pairs(rows).items()), reverse=True
        )
        live = sum(expiry > int(seconds) for expiry, _ in scores)
        last = scores if max_gone is None else scores[: live + max_gone]
        expiries = {worker_id: expiry for expiry, worker_id in last}
        replies = self._connection.call_many(
            [("HGETALL", self._keys.of("worker", worker_id)) for worker_id in expiries]
        )
        workers = [
            self._decode(worker_id, stored, expiry_s if expiry_s <= int(seconds) else None)
            for stored, (worker_id, expiry_s) in zip(replies, expiries.items(), strict=True)
            if stored
        ]
        readable = [worker for worker in workers if worker is not None]
        return sorted(readable, key=lambda worker: (worker.name, worker.worker_id))

    def list_facts(self, worker_ids: Sequence[str]) -> list[Mapping[str, Scalar]]:
        """Return what workers said of where they run, in their order; {} of one that said nothing."""
        replies = self._connection.call_many(
            [("HGET", self._keys.of("worker", worker_id), _FACTS) for worker_id in worker_ids]
        )
        return [json.loads(text) if text else {} for text in replies]

    def remove(self, worker_id: str) -> None:
        """Forget a worker that said good-bye."""
        self._connection.call_many(
            [("DEL", self._keys.of("worker", worker_id)), ("ZREM", self._keys.of("workers"), worker_id)]
        )

    def _decode(self, worker_id: str, stored: dict[str, str], gone_s: float | None) -> Worker | None:
        """Read a heartbeat; None, with one warning, when it cannot be read."""
        try:
            return _decode(stored, gone_s)
        except (KeyError, ValueError) as error:
            if worker_id not in self._unreadable:
                self._unreadable.add(worker_id)
                log.warning("the heartbeat of worker %s is left out: it cannot be read: %s", worker_id, error)
            return None

    def _own_keys(self, worker_id: str) -> list[str]:
        return [self._keys.of("worker", worker_id), self._keys.of("workers")]


def _decode(stored: dict[str, str], gone_s: float | None) -> Worker:
    is_asked_to_drain = stored.pop("drain", None) is not None
    parsed = {name: json.loads(stored[name]) for name in _JSON_FIELDS if name in stored}
    times = {"seen_at": to_time(stored["seen_at"]), "gone_at": None if gone_s is None else to_time(gone_s)}
    # A worker of another version may say more of itself.
    worker = Worker.model_validate({**stored, **parsed, **times}, extra="ignore")
    return worker.model_copy(update={"is_draining": worker.is_draining or is_asked_to_drain})
