"""How soon the API answers the leaderboard of many runs, with its Pareto fronts, and MLflow a search of its.

Finished runs of one dataset are written by the product's own scripts, many calls to a round trip; none is too
inaccurate to be ranked. The real API under gunicorn is asked over HTTP, one request after the other: every
field to rank by, both orders, all runs or the best of each network. Before each request another run has
finished, so that nothing of an answer is there yet; what an unchanged store takes stands beside it.

MLflow's server has as many runs with the same params and metrics in SQLite and is asked for as many of them,
sorted by a metric, through its own client, ``search_runs``: with its database as it sets it up, and after
SQLite was told to ANALYZE it, which is many times as fast and which nobody does for a user. It knows no
fronts. The CPU time is that of our backend, its housekeeping included.

The recommender, the search and the home page are asked too: each time something else after another run has
finished (``recommend_ms``, ``search_ms``, ``home_ms``), and the same again of an unchanged store
(``…_unchanged_ms``).
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
from pydantic import JsonValue

from bench.contestants import PEERS, describe_machine, new_redis
from bench.conversation import ROOT
from bench.monitor import mlflow_server
from bench.peers.mlflow_runs import PAGE
from bench.seeding import Seeder
from bench.store import percentile
from cli.redis_server import free_port
from schema import EpochResult, Scalar
from schema.leaderboard import RankField
from tests.programs import Programs, wait_until
from trainers import complete_hyper_params

Query = dict[str, str]

SIZES, QUICK_SIZES = (10_000, 100_000), (1_000, 2_000)
REPEATS, QUICK_REPEATS = 400, 60
MLFLOW_REPEATS, QUICK_MLFLOW_REPEATS = 55, 15
GOAL_MS: Final = {10_000: 50, 100_000: 150}
GOAL_RATIO: Final = 10
GOAL_RECOMMEND_MS: Final = {"changed": 80, "unchanged": 30}
LIMITS: Final[tuple[Query, ...]] = (
    {},
    {"max_co2_g": "0.1"},
    {"target_accuracy": "0.9", "max_co2_g": "0.2"},
    {"target_accuracy": "0.99", "max_co2_g": "0.000001"},
    {"max_duration_s": "30", "max_energy_kwh": "0.0001", "device": "cpu"},
)
# With a limit, as pages ask: without one every run that is found is answered, in megabytes.
SEARCHES: Final[tuple[Query, ...]] = (
    {"q": "network:resnet9 accuracy>0.5", "limit": str(PAGE)},
    {"q": "status:done -network:resnet* co2_g<0.2", "sort": "co2_g", "order": "asc", "limit": str(PAGE)},
    {"q": "learning_rate<0.001 energy_kwh>0.0001", "sort": "best_accuracy", "limit": str(PAGE)},
    {"q": "no such word anywhere", "limit": str(PAGE)},
)
OTHERS: Final[Mapping[str, tuple[str, tuple[Query, ...]]]] = {
    "recommend": ("/api/recommend", LIMITS),
    "search": ("/api/runs", SEARCHES),
    "home": ("/api/home", ({},)),
}
LEADERBOARD: Final = "/api/leaderboard"
NETWORKS: Final = ("small_cnn", "lenet5", "resnet9", "resnet18", "mobilenet_v3_small", "efficientnet_b0")
WITHOUT_ENERGY: Final = 0.1
SEEDS: Final = 3
TEST_IMAGES: Final = 360


class Runs:
    """Writes finished runs, each one with other figures."""

    def __init__(self, url: str, folder: Path) -> None:
        self._seeder = Seeder(url)
        self.hyper_params = complete_hyper_params(
            {"optimizer": "adam", "learning_rate": 0.001, "num_epochs": 1, "dataset": "digits"},
            datasets_dir=folder,
            default_dataset=None,
        )
        self.count = 0

    def add(self, count: int) -> None:
        """Write so many more."""
        for number in range(self.count, self.count + count):
            chance = random.Random(number)  # noqa: S311 - figures, not secrets
            network = NETWORKS[number % len(NETWORKS)]
            rate = float(f"{10 ** random.Random(number // SEEDS).uniform(-4, -2):.3g}")  # noqa: S311 - as above
            changes: dict[str, JsonValue] = {
                "network": network,
                "seed": number % SEEDS,
                "learning_rate": rate,
            }
            run = self._seeder.submit(f"{number:032x}", {**self.hyper_params, **changes})
            facts: dict[str, Scalar] = {
                "device": "cpu",
                "host": "bench",
                "parameters": 10_000 + 997 * (number % 50),
            }
            self._seeder.train(run, [self.epoch(chance)], facts)
        self._seeder.flush()
        self.count += count

    def epoch(self, chance: random.Random) -> EpochResult:
        """Return the one epoch of a run: the more energy, the more accurate it tends to be."""
        kwh = 10 ** chance.uniform(-5, -3)
        is_known = chance.random() > WITHOUT_ENERGY
        accuracy = min(0.99, max(0.1, 0.2 * (kwh * 1e5) ** 0.3 + chance.uniform(-0.2, 0.2)))
        return EpochResult(
            epoch=1,
            train_loss=chance.uniform(0, 2),
            train_accuracy=accuracy,
            test_loss=chance.uniform(0, 2),
            test_accuracy=round(accuracy * TEST_IMAGES) / TEST_IMAGES,
            duration_s=chance.uniform(1, 100),
            energy_kwh=kwh if is_known else None,
            energy_quality="estimated" if is_known else None,
            energy_reason=None if is_known else "No meter could be read.",
            co2_g=kwh * 400 if is_known else None,
        )

    def close(self) -> None:
        """Close the socket."""
        self._seeder.close()


def queries(repeats: int) -> list[Query]:
    """Return what is asked for, in a mixed order."""
    every = [
        {"sort": field.value, "order": order, "per": per, "min_accuracy": "0", "limit": str(PAGE)}
        for field in RankField
        for order in ("asc", "desc")
        for per in ("all", "all", "network")
    ]
    mixed = [every[number % len(every)] for number in range(repeats)]
    random.Random(0).shuffle(mixed)  # noqa: S311 - an order
    return mixed


def measure_ours(size: int, folder: Path, repeats: int) -> dict[str, Any]:
    """Measure our API over a store of that many runs."""
    redis = new_redis(folder / "redis", is_durable=False)
    redis.start()
    programs = Programs(redis_url=redis.url, data_dir=folder / "data")
    runs = Runs(redis.url, folder)
    port = free_port(15100)
    try:
        runs.add(size)
        backend = psutil.Process(programs.start("backend.py", port=port).pid)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as api:
            wait_until(lambda: _answers(api), timeout_s=60, what="the API answers")
            first_ms = _ask(api, {"limit": "1"}, runs.count)
            for query in queries(20):
                _ask(api, query, runs.count)
            figures = _measure_requests(backend, lambda query: _ask(api, query, runs.count), runs, repeats)
    finally:
        runs.close()
        programs.stop()
        redis.stop()
    return {"first_ms": round(first_ms), **figures}


def _measure_requests(
    backend: psutil.Process, ask: Callable[[Query], float], runs: Runs, repeats: int
) -> dict[str, Any]:
    changed_ms, before_s = [], _cpu_s(backend)
    for query in queries(repeats):
        runs.add(1)
        changed_ms.append(ask(query))
    cpu_ms = 1000 * (_cpu_s(backend) - before_s) / repeats
    unchanged_ms = [ask(query) for query in queries(repeats)]
    return {
        "ms_p50": percentile(changed_ms, 50),
        "ms_p99": percentile(changed_ms, 99),
        "cpu_ms": round(cpu_ms, 2),
        "unchanged_ms_p50": percentile(unchanged_ms, 50),
        "unchanged_ms_p99": percentile(unchanged_ms, 99),
        "requests": repeats,
        **_measure_others(ask, runs, max(20, repeats // 4)),
        "memory_mib": round(sum(each.memory_info().rss for each in _tree(backend)) / 2**20),
    }


def _measure_others(ask: Callable[[Query], float], runs: Runs, repeats: int) -> dict[str, Any]:
    found: dict[str, float] = {}
    for name, (route, asked) in OTHERS.items():
        changed_ms, unchanged_ms = [], []
        for number in range(repeats):
            query = {**asked[number % len(asked)], "route": route}
            runs.add(1)
            changed_ms.append(ask(query))
            unchanged_ms.append(ask(query))
        found |= {
            f"{name}_ms_p50": percentile(changed_ms, 50),
            f"{name}_ms_p99": percentile(changed_ms, 99),
            f"{name}_unchanged_ms_p50": percentile(unchanged_ms, 50),
            f"{name}_unchanged_ms_p99": percentile(unchanged_ms, 99),
        }
    return found


def _answers(api: httpx.Client) -> bool:
    try:
        return api.get("/healthz").is_success
    except httpx.TransportError:
        return False


def _ask(api: httpx.Client, query: Query, runs: int) -> float:
    """Return the milliseconds of an answer, read to its end."""
    began_s = time.perf_counter()
    query = dict(query)
    route = query.pop("route", LEADERBOARD)
    answer = api.get(route, params=query)
    spent_ms = 1000 * (time.perf_counter() - began_s)
    if not answer.is_success:
        raise SystemExit(f"{query}: {answer.status_code} {answer.text[:300]}")
    found = answer.json()
    expected = len(NETWORKS) if query.get("per") == "network" else runs
    is_ranking = route == LEADERBOARD and "sort" in query
    if is_ranking and (found["total"] != expected or len(found["rows"]) != min(PAGE, expected)):
        raise SystemExit(f"{query}: {found['total']} of {expected} runs, {len(found['rows'])} rows")
    return spent_ms


def _tree(program: psutil.Process) -> list[psutil.Process]:
    return [program, *program.children(recursive=True)]


def _cpu_s(program: psutil.Process) -> float:
    return sum(spent.user + spent.system for spent in (each.cpu_times() for each in _tree(program)))


def measure_mlflow(
    size: int, folder: Path, repeats: int, peers: Path, params: Mapping[str, Any]
) -> dict[str, Any]:
    """Measure MLflow over as many runs; where it is not installed, the reason in place of figures."""
    if not peers.exists():
        return {"reason": f"there is no {peers}: run make peers, or name another interpreter with --peers"}
    folder.mkdir()
    metrics = {
        "accuracy": 0.9,
        "accuracy_per_kwh": 900.0,
        "energy_kwh": 0.001,
        "co2_g": 0.4,
        "duration_s": 9.0,
    }
    described = json.dumps({"params": {**params, "device": "cpu"}, "metrics": {**metrics, "loss": 0.5}})
    with mlflow_server(peers, folder) as url:
        command = [str(peers), "-m", "bench.peers.mlflow_runs", url, str(folder / "mlflow.db")]
        ran = subprocess.run(
            [*command, str(size), str(repeats), described],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=1800,
        )  # fmt: skip
    if ran.returncode:
        return {"reason": (ran.stderr.strip().splitlines() or [f"exit code {ran.returncode}"])[-1]}
    found = json.loads(ran.stdout.strip().splitlines()[-1])
    return {
        "ms_p50": round(statistics.median(found["ms"]), 2),
        "ms_p99": percentile(found["ms"], 99),
        "requests": len(found["ms"]),
        "analyzed_ms_p50": round(statistics.median(found["analyzed_ms"]), 2),
        "analyzed_ms_p99": percentile(found["analyzed_ms"], 99),
        "version": found["version"],
    }


def summarise(ours: Mapping[int, Mapping[str, Any]], mlflow: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of the last line; those of an interpreter that is not there are null."""
    smallest = min(ours)
    found: dict[str, Any] = {
        f"leaderboard_{name}_{size}": value
        for size, figures in ours.items()
        for name, value in figures.items()
    }
    for name in ("ms_p50", "ms_p99", "requests", "analyzed_ms_p50", "analyzed_ms_p99"):
        found[f"mlflow_{name}_{smallest}"] = mlflow.get(name)
    for name in ("", "analyzed_"):
        ratio = mlflow[f"{name}ms_p50"] / ours[smallest]["ms_p50"] if "ms_p50" in mlflow else None
        found[f"mlflow_{name}over_ours_{smallest}"] = ratio and round(ratio, 1)
    found["mlflow_version"] = mlflow.get("version")
    found |= {f"goal_ms_p99_{size}": goal for size, goal in GOAL_MS.items() if size in ours}
    found |= {f"goal_recommend_{name}_ms": goal for name, goal in GOAL_RECOMMEND_MS.items()}
    return found | {"goal_mlflow_over_ours": GOAL_RATIO, "rows": PAGE}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the last line is JSON."""
    parser = argparse.ArgumentParser(
        "bench.listing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_SIZES} runs, not {SIZES}")
    parser.add_argument("--sizes", type=int, nargs="+", help="how many runs, instead")
    parser.add_argument("--peers", type=Path, default=PEERS, help="the interpreter that has MLflow")
    options = parser.parse_args(arguments)
    sizes = options.sizes or (QUICK_SIZES if options.quick else SIZES)
    repeats, of_mlflow = (QUICK_REPEATS, QUICK_MLFLOW_REPEATS) if options.quick else (REPEATS, MLFLOW_REPEATS)
    with tempfile.TemporaryDirectory(prefix="wattle-bench-") as place:
        folder = Path(place)
        ours = {}
        for size in sizes:
            ours[size] = measure_ours(size, folder / f"ours-{size}", repeats)
            print(f"ours, {size} runs: {json.dumps(ours[size])}", flush=True)
        params = complete_hyper_params(
            {"num_epochs": 1, "dataset": "digits"}, datasets_dir=folder, default_dataset=None
        )
        mlflow = measure_mlflow(min(sizes), folder / "mlflow", of_mlflow, options.peers, params)
        print(f"MLflow, {min(sizes)} runs: {json.dumps(mlflow)}", flush=True)
    print(json.dumps({**summarise(ours, mlflow), "quick": options.quick, **describe_machine()}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
