"""The launcher of ``make demo`` and ``make up``: Redis, the API, a worker and the page, in one terminal.

Redis starts before the programs of the Procfile and stops after them.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import honcho.manager
from honcho.environ import parse_procfile
from honcho.manager import Manager
from honcho.printer import Message, Printer

from cli.foreground import run_in_foreground
from cli.redis_server import RedisServer, free_port
from cli.showcase import Showcase
from client import Client
from errors import WattleError
from settings import Settings, load_settings

ROOT = Path(__file__).resolve().parent.parent
# A process that does not end within this many seconds after SIGTERM is killed, so that Ctrl-C takes < 5 s.
KILL_WAIT_S = 3
REDIS_PORT = 6379
HIDDEN_NAME = "system"
WILDCARDS = ("0.0.0.0", "::", "")  # noqa: S104 - recognised, not bound


class QuietPrinter(Printer):  # type: ignore[misc] # honcho has no annotations
    """Prints the programs' lines, not honcho's own about pids and signals, unless something died."""

    def write(self, message: Message) -> None:
        """Print one line."""
        is_noise = message.name == HIDDEN_NAME and "stopped (rc=" not in str(message.data)
        if not is_noise and "(rc=0)" not in str(message.data):
            super().write(message)


class Programs(Manager):  # type: ignore[misc] # as above
    """The programs of the Procfile; ``before_end`` is called before they are told to end."""

    def __init__(self, printer: Printer, *, before_end: Callable[[], None]) -> None:
        super().__init__(printer)
        self._before_end = before_end
        self._has_to_end = False

    def terminate(self) -> None:
        """End all programs, as soon as all have started: honcho cannot end one that is only being started."""
        self._before_end()
        self._has_to_end = True
        if super()._all_started():
            super().terminate()

    def _all_started(self) -> bool:
        """Say whether all have started; honcho's loop asks at every turn."""
        is_started: bool = super()._all_started()
        if is_started and self._has_to_end:
            super().terminate()
        return is_started


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code: 0 after Ctrl-C or a complete demo, 1 when a program died."""
    options = _parse(arguments)
    redis_server: RedisServer | None = None
    try:
        settings = load_settings()
        if "redis_url" not in settings.model_fields_set:
            redis_server = RedisServer(settings.data_dir / "redis", port=free_port(REDIS_PORT))
            redis_server.start()
        environment = make_environment(settings, redis_server)
        return _run(options, environment)
    except WattleError as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 0  # Ctrl-C before any program was started
    finally:
        if redis_server is not None:
            redis_server.stop()


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("cli.demo", description="Start everything on this machine.")
    parser.add_argument("--once", action="store_true", help="stop after the table, as without a terminal")
    parser.add_argument("--no-runs", action="store_true", help="submit nothing, only serve")
    options = parser.parse_args(arguments)
    options.once = options.once or (not options.no_runs and not sys.stdin.isatty())
    return options


def make_environment(settings: Settings, redis_server: RedisServer | None) -> dict[str, str]:
    """Return the programs' environment: this interpreter's tools first, free ports, one address for all."""
    port, page_port = free_port(settings.port), free_port(settings.page_port)
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONUNBUFFERED": "1",
        "WATTLE_REDIS_URL": redis_server.url if redis_server else settings.redis_url,
        "WATTLE_DATA_DIR": str(settings.data_dir.resolve()),
        "WATTLE_HOST": settings.host,
        "WATTLE_PORT": str(port),
        "WATTLE_PAGE_PORT": str(page_port),
        "WATTLE_API_URL": f"http://{_address_of(settings.host)}:{port}",
    }


def _address_of(host: str) -> str:
    """Return how this machine reaches what listens on ``host``."""
    if host in WILDCARDS:
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    honcho.manager.KILL_WAIT = KILL_WAIT_S
    page_url = f"http://127.0.0.1:{environment['WATTLE_PAGE_PORT']}"
    showcase = Showcase(
        Client(environment["WATTLE_API_URL"], token=load_settings().shown_token), page_url=page_url, say=_say
    )
    manager = Programs(QuietPrinter(sys.stdout), before_end=showcase.cancel)
    for name, command in parse_procfile((ROOT / "Procfile").read_text()).processes.items():
        manager.add_process(name, command, env=dict(environment), cwd=str(ROOT))
    scene = threading.Thread(target=_play, args=(showcase, options), name="showcase", daemon=True)
    scene.start()
    manager.loop()
    scene.join()
    was_asked = manager.returncode in (128 + signal.SIGINT, 128 + signal.SIGTERM)
    return 0 if was_asked and not showcase.has_failed else 1


def _play(showcase: Showcase, options: argparse.Namespace) -> None:
    """Wait for the programs, show what was asked for, and with --once end everything."""
    showcase.play(with_runs=not options.no_runs, stays=not options.once)
    if options.once:
        os.kill(os.getpid(), signal.SIGTERM)


def _say(text: str) -> None:
    for line in text.splitlines():
        print(f"{datetime.now().astimezone():%H:%M:%S} demo    | {line}", flush=True)


if __name__ == "__main__":
    raise SystemExit(run_in_foreground(main))
