"""Say by the exit code whether the program of this container works: backend, page or worker.

It asks from inside, by 127.0.0.1: the API knows no other host before it is told one.
"""

from __future__ import annotations

import http.client
import os
import platform
import sys
from pathlib import Path

_TIMEOUT_S = 8.0


def main(program: str) -> int:
    """Return 0 where it does."""
    if program == "worker":
        return 0 if _is_heard_of(platform.node()) else 1
    # Not through settings.py, whose libraries take a second of CPU time, each quarter of a minute.
    port = (
        os.environ.get("WATTLE_PORT", "5000")
        if program == "backend"
        else os.environ.get("WATTLE_PAGE_PORT", "8501")
    )
    # Not /healthz: that says whether Redis is there, and no restart of the API brings Redis back. / leads to
    # the page, and asks for no token where WATTLE_REQUIRE_TOKEN is set.
    path = "/" if program == "backend" else "/_stcore/health"
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return 0 if connection.getresponse().status < http.HTTPStatus.BAD_REQUEST else 1
    except OSError as error:
        sys.stderr.write(f"{program} does not answer: {error}\n")
        return 1
    finally:
        connection.close()


def _is_heard_of(host: str) -> bool:
    """Say whether a worker of this host beats; with Redis away it trains on, and that is well."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from errors import StoreUnavailable
    from redis_db import RedisDB
    from settings import load_settings

    try:
        with RedisDB(load_settings().redis_url) as db:
            return any(worker.host == host for worker in db.workers.list_live())
    except StoreUnavailable:
        return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
