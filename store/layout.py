"""Which version the layout of a store has, and what brings an older one up to date."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final
from uuid import uuid4

from store.connection import Connection
from store.keys import Keys
from store.layout_version import FIRST_LAYOUT, check_layout

log = logging.getLogger(__name__)

# Whoever migrates is expected to have done one step by then; if not, somebody else goes on with it.
_STEP_S: Final = 600.0
_LOOK_EVERY_S: Final = 0.2
_JOB: Final = "migrations"

Migration = Callable[[Connection, Keys], None]

# The step at place n leads from version FIRST_LAYOUT + n to the next. Each is idempotent: one that was killed
# is done again from its beginning.
MIGRATIONS: Final[Sequence[Migration]] = ()


def newest_layout(migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """Return the version this program writes."""
    return FIRST_LAYOUT + len(migrations)


class Layout:
    """The version of a store."""

    def __init__(
        self,
        connection: Connection,
        keys: Keys,
        *,
        migrations: Sequence[Migration] = MIGRATIONS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._migrations = migrations
        self._sleep = sleep
        self._key = keys.of("layout")

    @property
    def newest(self) -> int:
        """The version this program writes."""
        return newest_layout(self._migrations)

    def read(self) -> int:
        """Return the version of the store. Raises StoreTooNew for one that is not known here."""
        return check_layout(self._connection.call("GET", self._key), known=self.newest)

    def prepare(self) -> int:
        """Bring the store up to date, and return the version it had; called when a program starts.

        One process does it while the others wait. Safe to kill at any line: each step is idempotent, and its
        number is written after it. Raises StoreTooNew, and StoreUnavailable when Redis goes away meanwhile.
        """
        found = self.read()
        if found == self.newest:
            self._connection.call("SET", self._key, found, "NX")
            return found
        token = uuid4().hex
        while self.read() < self.newest:
            if self._take(token):
                self._migrate()
                self._connection.call("DEL", self._keys.of("lock", _JOB))
            else:
                self._sleep(_LOOK_EVERY_S)
        return found

    def _take(self, token: str) -> bool:
        taken = self._connection.call(
            "SET", self._keys.of("lock", _JOB), token, "NX", "PX", int(1000 * _STEP_S)
        )
        return taken is not None

    def _migrate(self) -> None:
        while (version := self.read()) < self.newest:
            log.warning("the store is brought up to date from=%d to=%d", version, version + 1)
            self._migrations[version - FIRST_LAYOUT](self._connection, self._keys)
            self._connection.call("SET", self._key, version + 1)
