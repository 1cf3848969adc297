"""How gunicorn serves the API, also when it is started by hand: ``gunicorn 'backend:create_app()'``.

One process with 64 threads: the work is in Redis, and one process has one housekeeping thread.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

# gunicorn's own script knows nothing of this folder, nor does a start from another one.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker

from api.allocator import limit_arenas
from api.deadline import DeadlineSocket
from logs import choose_formatter
from settings import load_settings

_settings = load_settings()
# Before there are threads; web processes are forked, and have it from here.
limit_arenas()
# Where the web processes of one server count together, for /metrics. Set before anything imports
# prometheus_client, which asks once; a folder that is given has to be empty.
_own_figures = None
if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
    _own_figures = os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="wattle-figures-")
_host = f"[{_settings.host}]" if ":" in _settings.host else _settings.host


class DeadlineWorker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """A worker whose threads no slow client can keep: gunicorn itself waits for a request without end."""

    def handle(self, conn: Any) -> Any:
        """Handle the next request of a connection, in a thread of the pool."""
        if isinstance(conn.sock, DeadlineSocket):
            conn.sock.start_request()
        else:
            conn.sock = DeadlineSocket.of(conn.sock, limit_s=_settings.request_timeout_s)
        return super().handle(conn)


class OwnLogger(Logger):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's own lines, as JSON where all lines are."""

    def setup(self, cfg: Any) -> None:
        """Set up the log as gunicorn does, and then how its lines are written."""
        super().setup(cfg)
        if _settings.log_format == "json":
            for handler in self.error_log.handlers:
                handler.setFormatter(choose_formatter(_settings, "backend"))


bind = f"{_host}:{_settings.port}"
worker_class = DeadlineWorker
workers = 1
threads = 64
timeout = 30
limit_request_line = 8190  # the most gunicorn can be told; a cursor and every parameter need less
graceful_timeout = 2  # a silent connection, such as a browser opens ahead, holds the stop up for all of it
keepalive = 1  # stopping waits this long for idle connections
control_socket_disable = True  # one file in the home directory, for every instance
loglevel = _settings.effective_log_level.lower()
logger_class = OwnLogger
accesslog = None  # a page that polls would write a line each second
reload = _settings.debug


def post_worker_init(worker: Any) -> None:
    """Start what create_app leaves out: the log of this process, and housekeeping."""
    # Imported here, in the worker, so that reload sees changes.
    from backend import start_housekeeping
    from logs import configure

    configure(_settings, "backend")
    worker.housekeeping = start_housekeeping(worker.wsgi)
    # What is loaded now stays. Looked through for garbage, it would hold up one page of a thousand for 50 ms.
    gc.collect()
    gc.freeze()


def child_exit(server: Any, worker: Any) -> None:  # noqa: ARG001 - gunicorn has no types
    """Forget the connections of a web process that has ended, which others would go on counting."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:  # noqa: ARG001 - gunicorn has no types
    """Delete the folder of figures, where it is our own."""
    if _own_figures is not None:
        shutil.rmtree(_own_figures, ignore_errors=True)


def worker_exit(server: Any, worker: Any) -> None:  # noqa: ARG001 - gunicorn has no types
    """Stop housekeeping and the live views; a worker that failed to start has neither."""
    if hasattr(worker, "housekeeping"):
        from backend import stop_live

        stop_live(worker.wsgi)
        worker.housekeeping.stop()
