"""What one of each costs with 10,000 runs that wait and 1,000 workers: CPU of Redis and the API, and memory.

CPU time, not time that passed: other work on the machine changes it little. The API runs in this process
(Flask's own test client, so without gunicorn's part, some 0.3 ms a request). The last line is JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import redis
from flask.testing import FlaskClient

from backend import create_app
from bench.contestants import describe_machine
from bench.load import BEAT_S, EPOCH_S, Load, seed
from bench.load_clients import BODY, LISTING
from bench.load_workers import EPOCHS, LEASE_S, Count, SimulatedWorker
from cli.redis_server import RedisServer
from redis_db import RedisDB
from settings import Settings

ROUTES: Final = {
    "list": LISTING,
    "running": "/api/runs?limit=50&status=running",
    "health": "/healthz",
    "workers": "/api/workers",
    "home": "/api/home",
}
REPEATS: Final = 20
SUBMISSIONS: Final = 300


class Store:
    """What Redis says about itself."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url)

    def cpu_s(self) -> float:
        """Return the CPU time it has used."""
        used = self._client.info("cpu")
        return float(used["used_cpu_user"] + used["used_cpu_sys"])

    def kib(self) -> float:
        """Return the memory it uses."""
        return float(self._client.info("memory")["used_memory"]) / 1024

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def main() -> int:
    """Measure and print."""
    load = Load()
    with tempfile.TemporaryDirectory(prefix="wattle-bench-") as folder:
        server = RedisServer(Path(folder) / "redis", unix_socket=Path(folder) / "s")
        server.start()
        store = Store(server.url)
        try:
            figures = _measure(load, server.url, store, Path(folder))
        finally:
            store.close()
            server.stop()
    for name, value in figures.items():
        print(f"{name:>28}  {value}")
    print(json.dumps({**figures, **describe_machine()}))
    return 0


def _measure(load: Load, url: str, store: Store, folder: Path) -> dict[str, Any]:
    empty = store.kib()
    seed(url, load, folder)
    waiting = store.kib()
    with RedisDB(url) as db:
        workers = [SimulatedWorker(db, n, beat_s=BEAT_S, epoch_s=EPOCH_S) for n in range(load.workers)]
        for worker in workers:
            next(iter(worker.begin()))
            worker.act("beat", Count())
        figures = {
            "kib_per_waiting_run": round((waiting - empty) / (load.waiting + load.workers), 2),
            "kib_per_worker": round((store.kib() - waiting) / load.workers, 2),
            **_cost_of_workers(db, workers, store),
        }
        app = create_app(Settings(redis_url=url, data_dir=folder))
        client = app.test_client()
        return figures | _cost_of_routes(client, store)


def _cost_of_workers(db: RedisDB, workers: list[SimulatedWorker], store: Store) -> dict[str, float]:
    def each(act: Callable[[SimulatedWorker], object]) -> float:
        began_s = store.cpu_s()
        for worker in workers:
            act(worker)
        return round(1e6 * (store.cpu_s() - began_s) / len(workers))

    leases = {worker: worker.lease for worker in workers if worker.lease is not None}
    renew = each(lambda worker: db.queue.renew(leases[worker], lease_s=LEASE_S))
    both = each(lambda worker: worker.act("beat", Count()))
    before = store.kib()
    # Not the last one of a run, which ends it.
    young = [worker for worker in workers if worker.epoch < EPOCHS - 1]
    began_s = store.cpu_s()
    for worker in young:
        worker.act("epoch", Count())
    return {
        "redis_us_per_renewal": renew,
        "redis_us_per_beat": both - renew,
        "redis_us_per_epoch": round(1e6 * (store.cpu_s() - began_s) / len(young)),
        "kib_per_first_epoch": round((store.kib() - before) / len(young), 2),
    }


def _cost_of_routes(client: FlaskClient, store: Store) -> dict[str, float]:
    def ask(path: str) -> Callable[[], object]:
        return lambda: client.get(path).data

    asked = {name: (ask(path), REPEATS) for name, path in ROUTES.items()}
    asked["submit"] = (lambda: client.post("/train", json=BODY).data, SUBMISSIONS)
    found: dict[str, float] = {}
    for name, (act, count) in asked.items():
        act()
        began_s, redis_s = time.process_time(), store.cpu_s()
        for _ in range(count):
            act()
        found[f"api_ms_{name}"] = round(1e3 * (time.process_time() - began_s) / count, 1)
        found[f"redis_ms_{name}"] = round(1e3 * (store.cpu_s() - redis_s) / count, 2)
    return found


if __name__ == "__main__":
    sys.exit(main())
