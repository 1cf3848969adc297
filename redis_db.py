"""The one door to Redis: ``RedisDB(url, db)`` with the parts of the store as attributes."""

from __future__ import annotations

import math
from datetime import datetime
from types import TracebackType
from typing import Self

from errors import InvalidInput
from schema.archive import ColdRuns
from store.accounts import Accounts
from store.address import parse_address
from store.alerts import Alerts
from store.archiving import Archiving
from store.artifacts import Artifacts, NewFile, Recorded
from store.audit import Audit
from store.belongings import Belongings
from store.cache import Cache
from store.carbon import Carbon
from store.cold import RunHashes
from store.connection import Connection
from store.controls import Controls
from store.encoding import to_time
from store.events import Events
from store.exports import Exports
from store.external import External
from store.figures import Figures
from store.finished import Finished
from store.fitness import Fitness
from store.histograms import Histograms
from store.intensities import Intensities
from store.keys import Keys, check_queue
from store.layout import Layout, newest_layout
from store.line import Line
from store.listed import Listed
from store.live import Live
from store.locks import Locks
from store.log import Log
from store.memory import Memory
from store.metrics import MetricLimits, Metrics, Span
from store.models import Models, NewModel
from store.power import Power
from store.queue import Queue
from store.quotas import Quotas
from store.recent import Ended, Recent
from store.retention import Retention
from store.runs import Runs
from store.sweeps import Sweeps
from store.tokens import Tokens
from store.turns import Turns
from store.usage import Usage
from store.views import Views
from store.workers import Workers

__all__ = ["Ended", "MetricLimits", "NewFile", "NewModel", "Recorded", "RedisDB", "Span", "check_queue"]


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
        self._connection = Connection(address, key_formats=keys.formats, newest_layout=newest_layout())
        self._hashes = RunHashes(self._connection, keys)
        self._open_queue(keys)
        self._open_runs(keys)
        self._open_rest(keys)

    def _open_queue(self, keys: Keys) -> None:
        """Add the parts about runs that wait or run."""
        own = self._connection
        self.queue = Queue(own, keys, self._hashes)
        self.line = Line(own, keys)
        self.controls = Controls(own, keys)
        self.locks = Locks(own, keys)
        self.workers = Workers(own, keys)
        self.turns = Turns(own, keys)
        self.quotas = Quotas(own, keys)
        self.events = Events(own, keys)
        self.sweeps = Sweeps(own, keys)

    def _open_runs(self, keys: Keys) -> None:
        """Add the parts about runs as records."""
        own = self._connection
        self.runs = Runs(own, keys, self._hashes)
        self.archiving = Archiving(own, keys, self._hashes)
        self.belongings = Belongings(own, keys)
        self.external = External(own, keys, self._hashes)
        self.finished = Finished(own, keys, self._hashes)
        self.recent = Recent(own, keys)
        self.listed = Listed(own, keys, self._hashes)
        self.metrics = Metrics(own, keys)
        self.histograms = Histograms(own, keys)
        self.artifacts = Artifacts(own, keys)
        self.models = Models(own, keys, self._hashes)
        self.retention = Retention(own, keys)
        self.log = Log(own, keys)
        self.live = Live(own, keys)
        self.power = Power(own, keys)

    def _open_rest(self, keys: Keys) -> None:
        """Add the parts about everything else."""
        own = self._connection
        self.layout = Layout(own, keys)
        self.accounts = Accounts(own, keys, self._hashes)
        self.carbon = Carbon(own, keys)
        self.intensities = Intensities(own, keys)
        self.cache = Cache(own, keys)
        self.usage = Usage(own, keys)
        self.views = Views(own, keys)
        self.alerts = Alerts(own, keys)
        self.exports = Exports(own, keys, self._hashes)
        self.tokens = Tokens(own, keys)
        self.audit = Audit(own, keys)
        self.memory = Memory(own)
        self.fitness = Fitness(own)
        self.figures = Figures(own, keys)

    def warn_of_slow_calls(self, slow_s: float) -> Self:
        """Log calls that take longer, by their name; none for 0."""
        self._connection.slow_s = slow_s or math.inf
        return self

    def read_archived(self, archive: ColdRuns) -> None:
        """Find runs that were archived there from now on, as if they were here."""
        self._hashes.archive = archive

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
