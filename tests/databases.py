"""Database servers of tests: private ones on unix sockets, with defaults that suit the archive least."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, text

from tests.programs import wait_until

# Less than a long log, so that there is something that the server does not take.
PACKET_BYTES: Final = 4 << 20


class Server:
    """A server that makes a database for each test."""

    def __init__(self, url: str, *, is_mysql: bool) -> None:
        """``url`` has ``{name}`` where a database is named."""
        self._url = url
        self._is_mysql = is_mysql

    @contextmanager
    def database(self) -> Iterator[str]:
        """Make an empty database, and drop it in the end; yields its URL."""
        name = f"t{uuid4().hex}"
        self.execute(
            f"CREATE DATABASE {name}" if self._is_mysql else f"CREATE DATABASE {name} TEMPLATE template0"
        )
        yield self._url.format(name=name)
        self.execute(f"DROP DATABASE {name}" if self._is_mysql else f"DROP DATABASE {name} WITH (FORCE)")

    def cut_connections(self) -> None:
        """End all connections but this one, as an idle server does."""
        if self._is_mysql:
            others = "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID()"
            others += " AND user = 'wattle'"
            for thread in self.execute(others):
                self.execute(f"KILL {thread}")
        else:
            self.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            )

    def execute(self, statement: str) -> list[object]:
        """Execute a statement outside the databases of tests; returns its first column."""
        url = self._url.format(name="mysql" if self._is_mysql else "postgres")
        driver = "mysql+pymysql" if self._is_mysql else "postgresql+psycopg"
        engine = create_engine(
            url.replace(url.split(":")[0], driver, 1),
            isolation_level="AUTOCOMMIT",
            connect_args={} if self._is_mysql else {"client_encoding": "utf8"},
        )
        with engine.connect() as connection:
            reply = connection.execute(text(statement))
            found = [row[0] for row in reply] if reply.returns_rows else []
        engine.dispose()
        return found


@contextmanager
def start_postgres() -> Iterator[Server]:
    """Start a PostgreSQL whose databases have no encoding."""
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not places:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    with _folder("postgres") as (folder, as_user):

        def run(program: str, *arguments: str) -> None:
            command = [*as_user, str(places[-1] / program), "-D", f"{folder}/data", *arguments]
            subprocess.run(command, check=True, capture_output=True, timeout=120)

        run("initdb", "-U", "wattle", "-A", "trust", "-E", "SQL_ASCII", "--no-sync")
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        run("pg_ctl", "-w", "-l", f"{folder}/log", "-o", options, "start")
        yield Server(f"postgresql://wattle@/{{name}}?host={folder}", is_mysql=False)
        run("pg_ctl", "-m", "immediate", "stop")


@contextmanager
def start_mariadb() -> Iterator[Server]:
    """Start a MariaDB whose texts are Latin-1 and compared without case; it takes no large statements."""
    program, install = shutil.which("mariadbd", path=_PATH), shutil.which("mariadb-install-db", path=_PATH)
    if program is None or install is None:
        pytest.skip("MariaDB is not installed (apt-get install mariadb-server)")
    with _folder("mysql") as (folder, as_user):
        ours = ["--no-defaults", f"--datadir={folder}/data"]
        made = [*as_user, install, *ours, "--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(made, check=True, capture_output=True, timeout=120)
        options = [f"--socket={folder}/s", f"--pid-file={folder}/pid", "--skip-networking"]
        options += ["--innodb-flush-log-at-trx-commit=0", f"--max-allowed-packet={PACKET_BYTES}"]
        options += ["--character-set-server=latin1", "--collation-server=latin1_swedish_ci"]
        with (folder / "log").open("wb") as output:
            process = subprocess.Popen([*as_user, program, *ours, *options], stdout=output, stderr=output)
        try:
            wait_until((folder / "s").exists, timeout_s=60, what=(folder / "log").read_text())
            server = Server(f"mysql://root@localhost/{{name}}?unix_socket={folder}/s", is_mysql=True)
            server.execute("CREATE USER wattle@localhost IDENTIFIED BY ''")
            server.execute("GRANT ALL ON *.* TO wattle@localhost")
            yield Server(f"mysql://wattle@localhost/{{name}}?unix_socket={folder}/s", is_mysql=True)
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    with start_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    with start_mariadb() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/archive.db"
        return
    server: Server = request.getfixturevalue(request.param)
    with server.database() as url:
        yield url


_PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


@contextmanager
def _folder(user: str) -> Iterator[tuple[Path, list[str]]]:
    """Make a folder for a server, and what starts it as ``user`` where we are root, as whom none runs."""
    # Not pytest's own folder: it is root's alone.
    with tempfile.TemporaryDirectory(prefix="wattle-db-") as folder:
        as_user: list[str] = []
        if os.geteuid() == 0:
            as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
            shutil.chown(folder, user, user)
        yield Path(folder), as_user
