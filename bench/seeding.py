"""Fill a store through the product's own calls and scripts, only faster: many of them in one round trip."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from schema import EpochResult, ExtraCost, Lease, Run, RunError, Scalar, Status
from store.address import parse_address
from store.cold import RunHashes
from store.connection import Argument, Connection, Reply
from store.keys import Keys
from store.layout import newest_layout
from store.queue import Queue
from store.runs import Runs
from store.scripts import load_scripts

_BATCH = 1_000
# What is answered in place of a reply that is not awaited, where its reader wants one; nobody looks at it.
_UNREAD_RUN: Sequence[str] = (
    *("status", "waiting", "time_added", "0"),
    *("hyper_params", "{}", "num_epochs", "1"),
)


class LateConnection(Connection):
    """A Connection that keeps its script calls until ``flush``; a refusal is raised then."""

    def __init__(self, url: str, db: int | None, keys: Keys) -> None:
        super().__init__(parse_address(url, db), key_formats=keys.formats, newest_layout=newest_layout())
        self._known = load_scripts(keys.formats)
        self._kept: list[list[Argument]] = []
        for script in self._known.values():
            self.call("SCRIPT LOAD", script.text)

    def run(
        self,
        name: str,
        keys: Sequence[str],
        arguments: Sequence[Argument],
        *,
        is_replicated: bool = False,  # noqa: ARG002 - nobody waits for a reply, let alone for a replica
    ) -> Reply:
        """Keep a call; what it answers says nothing."""
        self.keep("EVALSHA", self._known[name].sha, len(keys), *keys, *arguments)
        unread: Mapping[str, Reply] = {"submit": (arguments[0], _UNREAD_RUN), "finish": Status.DONE}
        return unread.get(name)

    def keep(self, *command: Argument) -> None:
        """Keep a command, and send what is kept when it is enough."""
        self._kept.append(list(command))
        if len(self._kept) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Send what was kept."""
        kept, self._kept = self._kept, []
        self.call_many(kept)


class Seeder:
    """Writes runs into a store, each as its producer and its worker would."""

    def __init__(self, url: str, db: int | None = None) -> None:
        keys = self._keys = Keys()
        self._connection = LateConnection(url, db, keys)
        hashes = RunHashes(self._connection, keys)
        self._queue = Queue(self._connection, keys, hashes)
        self._runs = Runs(self._connection, keys, hashes)

    def submit(self, run_id: str, hyper_params: Mapping[str, JsonValue]) -> Run:
        """Submit a run; only its id is true of what is returned."""
        return self._queue.submit(hyper_params, run_id=run_id).model_copy(update={"run_id": run_id})

    def train(
        self,
        run: Run,
        epochs: Sequence[EpochResult],
        facts: Mapping[str, Scalar],
        *,
        extras: Sequence[ExtraCost] = (),
        error: RunError | None = None,
    ) -> None:
        """Claim the run, which is the oldest that waits, record its epochs and extras, and end it."""
        # One of its own, as long as a worker's usually is: whoever holds a run already is given that again.
        worker_id = f"seed-{run.run_id[-8:]}"
        # Its heartbeat, from which the attempt takes where it is; gone again at the end.
        heartbeat = self._keys.of("worker", worker_id)
        self._connection.keep("HSET", heartbeat, "host", platform.node(), "zone", "US")
        self._queue.claim(["default"], worker_id=worker_id, lease_s=3600)
        lease = Lease(run=run, attempt=1, worker_id=worker_id)
        self._runs.describe(lease, facts)
        for result in epochs:
            self._runs.record_epoch(lease, result)
        for cost in extras:
            self._runs.record_extra(lease, cost)
        self._queue.finish(lease, Status.FAILED if error else Status.DONE, error=error)
        self._connection.keep("DEL", heartbeat)

    def flush(self) -> None:
        """Send what is left."""
        self._connection.flush()

    def close(self) -> None:
        """Send what is left and close the socket."""
        self.flush()
        self._connection.close()


def fill(url: str, db: int, runs: int, hyper_params: Mapping[str, JsonValue]) -> None:
    """Let so many runs wait in ``default``."""
    seeder = Seeder(url, db)
    for number in range(runs):
        seeder.submit(f"waiting-{number}", hyper_params)
    seeder.close()
