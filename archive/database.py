"""The SQL database of the archive: opened when it is first used, and brought up to date then."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from errors import ArchiveUnavailable, InvalidInput

_MIGRATIONS: Final = Path(__file__).with_name("migrations")
_UPGRADING: Final = threading.Lock()
_BUSY_S: Final = 30
_IS_READ: Final = "wattle_is_read"
# Any number, the same in every process: who has it migrates.
_LOCK: Final = 8_141_207
# Where a database has no encoding, texts would come as bytes.
_OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "sqlite": {"connect_args": {"timeout": _BUSY_S}},
    "postgresql": {"connect_args": {"connect_timeout": 5, "client_encoding": "utf8"}},
}
# By default MySQL locks the gaps between rows, too, and who writes beside another one is told of a deadlock.
_OF_MYSQL: Final[Mapping[str, Any]] = {
    "connect_args": {"connect_timeout": 5, "charset": "utf8mb4"},
    "isolation_level": "READ COMMITTED",
}
# A MySQL that is sent more than it takes says so, or only hangs up, by these numbers.
_OF_LARGE_ROWS: Final = frozenset({1153, 2006, 2013})
# What people write, and the drivers we ship for it.
_DRIVERS: Final = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}


class Database:
    """One database, by its URL. Threads may share it.

    Whatever fails in it is ArchiveUnavailable, in whose sentence there is no password.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise InvalidInput(
                "WATTLE_DATABASE_URL is no URL of a database. Write it as "
                "postgresql://user:password@host/name, mysql://… or sqlite:////path/archive.db."
            ) from error
        self._url = parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))
        self._opening = threading.Lock()
        self._engine: Engine | None = None

    @property
    def place(self) -> str:
        """Where it is, without a password."""
        return self._url.render_as_string(hide_password=True)

    @contextmanager
    def begin(self, *, is_read: bool = False) -> Iterator[Connection]:
        """Open a transaction, which is committed when the block ends, and undone when that raises."""
        try:
            with (
                self._open().connect().execution_options(**{_IS_READ: is_read}) as connection,
                connection.begin(),
            ):
                yield connection
        except SQLAlchemyError as error:
            raise self._unavailable(error) from error

    def version(self) -> str:
        """Return which version its tables have: the newest one, since they are brought up to date."""
        with self.begin(is_read=True) as connection:
            return str(connection.scalar(text("SELECT version_num FROM alembic_version")))

    def close(self) -> None:
        """Close every connection."""
        if self._engine is not None:
            self._engine.dispose()

    def _open(self) -> Engine:
        with self._opening:
            if self._engine is None:
                engine = self._create()
                # Alembic knows of one migration in a process at a time.
                with _UPGRADING:
                    _upgrade(engine)
                self._engine = engine
            return self._engine

    def _create(self) -> Engine:
        is_sqlite = self._url.get_backend_name() == "sqlite"
        if is_sqlite and self._url.database:
            try:
                Path(self._url.database).parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise self._unavailable(error) from error
        try:
            engine = create_engine(
                self._url,
                pool_pre_ping=not is_sqlite,
                **_OPTIONS.get(self._url.get_backend_name(), _OF_MYSQL),
            )
        except (ImportError, NoSuchModuleError) as error:
            raise InvalidInput(
                f"WATTLE_DATABASE_URL asks for {self._url.drivername}, whose driver is not installed. "
                "Install wattle[server] for PostgreSQL and SQLite, wattle[mysql] for MySQL and MariaDB."
            ) from error
        if is_sqlite:
            event.listen(engine, "connect", _set_up_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
        return engine

    def _unavailable(self, error: Exception) -> ArchiveUnavailable:
        cause = getattr(error, "orig", None) or error
        words = str(cause).strip().splitlines() or [type(error).__name__]
        remedy = "Start it, or correct WATTLE_DATABASE_URL."
        if cause.args and cause.args[0] in _OF_LARGE_ROWS:
            remedy += " The log of a run, whole, must fit into the server's max_allowed_packet."
        return ArchiveUnavailable(f"The archive at {self.place} cannot be used: {words[0][:300]}. {remedy}")


def _upgrade(engine: Engine) -> None:
    """Run the steps that were not run yet: one process does, and others that start with it wait for it."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    with engine.connect() as connection, _one_at_a_time(connection):
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise ArchiveUnavailable(
                "The tables of the archive were made by a newer version of Wattle, or by another program: "
                f"{error}. Upgrade Wattle, or correct WATTLE_DATABASE_URL."
            ) from error
        connection.commit()


@contextmanager
def _one_at_a_time(connection: Connection) -> Iterator[None]:
    name = connection.dialect.name
    if name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    if name not in ("mysql", "mariadb"):
        yield
        return
    # There the lock is of the connection, which goes back to the pool, and of the whole server.
    lock = {"lock": f"wattle_{connection.engine.url.database}"[:64]}
    if connection.scalar(text("SELECT GET_LOCK(:lock, 60)"), lock) != 1:
        raise ArchiveUnavailable(
            "Another program has been making the archive's tables for a minute. Try again."
        )
    try:
        yield
    finally:
        connection.execute(text("SELECT RELEASE_LOCK(:lock)"), lock)


def _set_up_sqlite(connection: Any, _: object) -> None:
    # SQLAlchemy begins transactions itself, see below: the driver's own way leaves CREATE TABLE out of them.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # Who writes takes its turn at once: processes that open it together migrate it one after the other.
    is_read = connection.get_execution_options().get(_IS_READ)
    connection.exec_driver_sql("BEGIN" if is_read else "BEGIN IMMEDIATE")
