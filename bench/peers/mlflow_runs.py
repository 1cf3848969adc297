"""MLflow's list of runs: ``.venv-peers/bin/python -m bench.peers.mlflow_runs URL DATABASE RUNS REPEATS``.

One run is logged through MLflow; the others are it with other figures, copied row by row in its database.
The last line is JSON: the milliseconds of each search, the same after SQLite was told to ANALYZE, which gives
its planner a better idea and which MLflow does not do by itself, and MLflow's version.
"""

from __future__ import annotations

import importlib
import json
import random
import sqlite3
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, Final

PAGE: Final = 100
_TABLES: Final = ("runs", "metrics", "latest_metrics", "params", "tags")
# As MLflow sets its database up, a search of 10,000 runs takes seconds.
_MOST_PLAIN: Final = 15
_ORDERS: Final = ("accuracy", "accuracy_per_kwh", "energy_kwh", "co2_g", "duration_s")


def main(arguments: Sequence[str]) -> None:
    """Fill the database, search it, and print what that took."""
    url, database, runs, repeats, described = arguments
    mlflow = importlib.import_module("mlflow")
    mlflow.set_tracking_uri(url)
    mlflow.set_experiment("bench")
    with mlflow.start_run() as run:
        for name, value in json.loads(described)["params"].items():
            mlflow.log_param(name, value)
        mlflow.log_metrics(json.loads(described)["metrics"], step=1)
    with closing(sqlite3.connect(database, timeout=60)) as store, store:
        _copy(store, run.info.run_id, int(runs) - 1)
    client = mlflow.MlflowClient()

    def search(count: int) -> list[float]:
        found = [
            _search(client, run.info.experiment_id, _ORDERS[number % len(_ORDERS)], int(runs))
            for number in range(count)
        ]
        # The first of each order warms up.
        return found[len(_ORDERS) :]

    plain = search(min(_MOST_PLAIN, int(repeats)))
    with closing(sqlite3.connect(database, timeout=60)) as store, store:
        store.execute("ANALYZE")
    print(json.dumps({"ms": plain, "analyzed_ms": search(int(repeats)), "version": mlflow.__version__}))


def _search(client: Any, experiment: str, order: str, runs: int) -> float:
    direction = "DESC" if order.startswith("accuracy") else "ASC"
    began_s = time.perf_counter()
    page = client.search_runs(
        [experiment],
        filter_string="metrics.accuracy >= 0",
        order_by=[f"metrics.{order} {direction}"],
        max_results=PAGE,
    )
    spent_ms = 1000 * (time.perf_counter() - began_s)
    if len(page) != min(PAGE, runs):
        raise SystemExit(f"MLflow found {len(page)} runs.")
    return spent_ms


def _copy(store: sqlite3.Connection, run_id: str, copies: int) -> None:
    for table in _TABLES:
        cursor = store.execute(f"SELECT * FROM {table} WHERE run_uuid = ?", (run_id,))  # noqa: S608 - ours
        columns = [each[0] for each in cursor.description]
        rows = [dict(zip(columns, row, strict=True)) for row in cursor]
        names, places = ", ".join(columns), ", ".join(f":{column}" for column in columns)
        store.executemany(
            f"INSERT INTO {table} ({names}) VALUES ({places})",  # noqa: S608 - as above
            _copies(table, rows, copies),
        )


def _copies(table: str, rows: Sequence[dict[str, Any]], copies: int) -> Iterator[dict[str, Any]]:
    for number in range(copies):
        chance = random.Random(number)  # noqa: S311 - figures, not secrets
        new_id = uuid.UUID(int=number).hex
        for row in rows:
            changed = {**row, "run_uuid": new_id}
            if "metrics" in table:
                changed["value"] = row["value"] * chance.uniform(0.5, 1.0)
            yield changed


if __name__ == "__main__":
    main(sys.argv[1:])
