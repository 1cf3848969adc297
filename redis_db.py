"""The one door to Redis: ``RedisDB(url, db)`` with the parts of the store as attributes."""

from __future__ import annotations

from datetime import datetime
from types import TracebackType
from typing import Self

from errors import InvalidInput
from store.accounts import Accounts
from store.address import parse_address
from store.alerts import Alerts
from store.artifacts import Artifacts, NewFile, Recorded
from store.cache import Cache
from store.carbon import Carbon
from store.connection import Connection
from store.controls import Controls
from store.encoding import to_time
from store.events import Events
from store.exports import Exports
from store.external import External
from store.finished import Finished
from store.fitness import Fitness
from store.histograms import Histograms
from store.intensities import Intensities
from store.keys import Keys, check_queue
from store.line import Line
from store.listed import Listed
from store.live import Live
from store.locks import Locks
from store.log import Log
from store.metrics import MetricLimits, Metrics, Span
from store.models import Models, NewModel
from store.power import Power
from store.queue import Queue
from store.recent import Recent
from store.retention import Retention
from store.runs import Runs
from store.sweeps import Sweeps
from store.usage import Usage
from store.views import Views
from store.workers import Workers

__all__ = ["MetricLimits", "NewFile", "NewModel", "Recorded", "RedisDB", "Span", "check_queue"]


class RedisDB:
    """Wattle's store in one Redis database; it connects when it is first used.

    ``url`` has one of the forms of docs/redis.md; a database number in it counts where ``db`` is None.
    ``prefix`` stands before every key; in a Redis Cluster it is ``{wattle}:``, which keeps all of them in one
    slot. Threads may share it; every method raises StoreUnavailable when Redis cannot be reached, fails over
    or refuses commands, and may then simply be called again.
    """

    def __init__(
        self, url: str = "redis://localhost:6379", db: int | None = None, *, prefix: str = ""
    ) -> None:
        address = parse_address(url, db)
        if prefix and address.prefix not in ("", prefix):
            raise InvalidInput(f"In a Redis Cluster the prefix of all keys is {address.prefix} and no other.")
        keys = Keys(prefix or address.prefix)
        self._connection = Connection(address, key_formats=keys.formats)
        self.queue = Queue(self._connection, keys)
        self.line = Line(self._connection, keys)
        self.controls = Controls(self._connection, keys)
        self.runs = Runs(self._connection, keys)
        self.external = External(self._connection, keys)
        self.finished = Finished(self._connection, keys)
        self.recent = Recent(self._connection, keys)
        self.listed = Listed(self._connection, keys)
        self.metrics = Metrics(self._connection, keys)
        self.models = Models(self._connection, keys)
        self.retention = Retention(self._connection, keys)
        self.histograms = Histograms(self._connection, keys)
        self.artifacts = Artifacts(self._connection, keys)
        self.accounts = Accounts(self._connection, keys)
        self.carbon = Carbon(self._connection, keys)
        self.intensities = Intensities(self._connection, keys)
        self.cache = Cache(self._connection, keys)
        self.log = Log(self._connection, keys)
        self.live = Live(self._connection, keys)
        self.power = Power(self._connection, keys)
        self.usage = Usage(self._connection, keys)
        self.views = Views(self._connection, keys)
        self.workers = Workers(self._connection, keys)
        self.events = Events(self._connection, keys)
        self.alerts = Alerts(self._connection, keys)
        self.sweeps = Sweeps(self._connection, keys)
        self.exports = Exports(self._connection, keys)
        self.locks = Locks(self._connection, keys)
        self.fitness = Fitness(self._connection)

    def ping(self) -> None:
        """Ask Redis for a sign of life. Raises StoreUnavailable when there is none."""
        self._connection.call("PING")

    def now(self) -> datetime:
        """Tell the time by the clock of Redis, the only one that counts for leases."""
        seconds, microseconds = self._connection.call("TIME")
        return to_time(f"{seconds}.{int(microseconds):06d}")

    def close(self) -> None:
        """Close every socket."""
        self._connection.close()

    def __enter__(self) -> Self:
        """Hand out the store; leaving the block closes it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every socket."""
        self.close()
