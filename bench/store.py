"""How much memory a run takes in Redis, and how soon the API answers the first page of a sorted list of many.

A real worker trains one run of 20 epochs; the others are it with other figures, written by the product's own
scripts, many calls to a round trip. Memory is what Redis uses more after them than before, without its stream
of events, which is capped, over the number of runs. None of them has log lines, power or usage over time,
which stand apart: a run of more than 5 s has at most 200 points of power, one of more than 15 s 79 of usage.
The pages come from the real API under gunicorn, over HTTP, one after the other: every sort field, both
orders, done and failed ones.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil
import redis

from bench.contestants import describe_machine, new_redis
from bench.run_memory import INDEXES, OWN, kib_of_real, measure_run, measure_runs, print_parts
from bench.run_template import EPOCHS, ERROR, RunTemplate, is_failed
from bench.seeding import Seeder
from cli.redis_server import free_port
from redis_db import RedisDB
from schema import SortField, Status
from tests.programs import Programs, wait_until

RUNS, QUICK_RUNS = 100_000, 3_000
WARM_UP = 200
PAGE, PAGE_OF_THE_PAGE = 50, 200
REPEATS, QUICK_REPEATS = 40, 10
GOAL_KIB, GOAL_MS = 10, 25


def seed(template: RunTemplate, url: str, numbers: range) -> None:
    """Write the runs of these numbers."""
    seeder = Seeder(url)
    start_s = time.monotonic()
    for number in numbers:
        run = seeder.submit(f"{number:032x}", template.hyper_params(number))
        error = ERROR if is_failed(number) else None
        seeder.train(
            run, template.epochs_of(number), template.facts, extras=template.extras_of(number), error=error
        )
        if (number + 1) % max(1, len(numbers) // 20) == 0:
            sys.stderr.write(f"\r{number + 1} runs in {time.monotonic() - start_s:.0f} s ")
    seeder.close()
    sys.stderr.write("\n")


def check(url: str, runs: int) -> None:
    """See that all runs are there, with all their epochs."""
    with RedisDB(url) as db:
        counts = db.runs.count_by_status()
        failed = sum(map(is_failed, range(runs)))
        if (counts[Status.DONE], counts[Status.FAILED]) != (runs - failed + 1, failed):
            raise SystemExit(f"The store has {counts}, not {runs} runs.")
        last = db.runs.get(f"{runs - 1:032x}")
        if last.epochs_done != EPOCHS or len(db.runs.list_epochs(last.run_id)) != EPOCHS:
            raise SystemExit(f"The last run has {last.epochs_done} epochs.")


def read_used_bytes(client: redis.Redis) -> int:
    """Return the memory that Redis uses, but for its stream of events."""
    return int(client.info("memory")["used_memory"]) - int(client.memory_usage("events", samples=0) or 0)


def measure_pages(url: str, folder: Path, repeats: int) -> tuple[dict[str, list[float]], float]:
    """Return the milliseconds of first pages, by sort field, and of those that the page asks for.

    Beside them stands what the API's processes spent of CPU on a sorted page, in milliseconds.
    """
    programs = Programs(redis_url=url, data_dir=folder)
    port = free_port(15100)
    queries: list[tuple[str, dict[str, Any]]] = [
        (field.value, {"sort": field.value, "order": order, "status": status.value, "limit": PAGE})
        for field in SortField
        for order in ("asc", "desc")
        for status in (Status.DONE, Status.FAILED)
    ] * repeats
    of_the_page = {"limit": PAGE_OF_THE_PAGE, "fields": "sparkline", "sort": "best_accuracy", "order": "desc"}
    random.Random(0).shuffle(queries)  # noqa: S311 - an order
    try:
        backend = psutil.Process(programs.start("backend.py", port=port).pid)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as api:
            wait_until(lambda: _answers(api), timeout_s=60, what="the API answers")
            for _, query in queries[:20]:
                _get(api, query)
            found: dict[str, list[float]] = {}
            before_s = _cpu_s(backend)
            for name, query in queries:
                found.setdefault(name, []).append(_get(api, query))
            cpu_ms = 1000 * (_cpu_s(backend) - before_s) / len(queries)
            found["page"] = [_get(api, of_the_page) for _ in range(2 * repeats)]
            return found, cpu_ms
    finally:
        programs.stop()


def _cpu_s(program: psutil.Process) -> float:
    times = [process.cpu_times() for process in (program, *program.children(recursive=True))]
    return sum(spent.user + spent.system for spent in times)


def _answers(api: httpx.Client) -> bool:
    try:
        return api.get("/healthz").is_success
    except httpx.TransportError:
        return False


def _get(api: httpx.Client, query: Mapping[str, Any]) -> float:
    """Return the milliseconds of a page, read to its end."""
    start_s = time.perf_counter()
    answer = api.get("/api/runs", params=query)
    spent_ms = 1000 * (time.perf_counter() - start_s)
    if not answer.is_success or len(answer.json()["results"]) != query["limit"]:
        raise SystemExit(f"{query}: {answer.status_code} {answer.text[:300]}")
    return spent_ms


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile."""
    return round(statistics.quantiles(values, n=100, method="inclusive")[percent - 1], 2)


def summarise_pages(found: Mapping[str, Sequence[float]], cpu_ms: float) -> dict[str, Any]:
    """Return the figures of the pages; the table of fields is printed."""
    sorted_ms = [value for name, values in found.items() if name != "page" for value in values]
    for name, values in found.items():
        what = (
            f"by {name}" if name != "page" else f"as the page asks, {PAGE_OF_THE_PAGE} runs with sparklines"
        )
        p50, p99 = percentile(values, 50), percentile(values, 99)
        print(f"  {what:45} p50 {p50:6.2f} ms  p99 {p99:6.2f} ms  (n={len(values)})")
    print(f"  CPU of the API per sorted page {cpu_ms:.2f} ms (n={len(sorted_ms)})")
    return {
        "sorted_page_cpu_ms": round(cpu_ms, 2),
        "sorted_page_ms_p99": percentile(sorted_ms, 99),
        "sorted_page_ms_p50": percentile(sorted_ms, 50),
        "sorted_pages": len(sorted_ms),
        "runs_per_page": PAGE,
        "page_of_200_with_sparklines_ms_p50": percentile(found["page"], 50),
        "page_of_200_with_sparklines_ms_p99": percentile(found["page"], 99),
    }


def measure(folder: Path, runs: int, repeats: int) -> dict[str, Any]:
    """Seed a Redis of this benchmark's own, and measure it."""
    server = new_redis(folder / "redis", is_durable=False)
    server.start()
    try:
        template = RunTemplate.train(server.url, folder / "worker")
        with redis.Redis.from_url(server.url) as client:
            # After these, scripts are loaded and buffers have their size.
            seed(template, server.url, range(WARM_UP))
            before = read_used_bytes(client)
            start_s = time.monotonic()
            seed(template, server.url, range(WARM_UP, runs))
            seed_s = time.monotonic() - start_s
            kib = (read_used_bytes(client) - before) / (runs - WARM_UP) / 1024
            check(server.url, runs)
            parts = measure_runs(client, [f"{number:032x}" for number in range(runs)])
            real = measure_run(client, template.run.run_id)
            version = client.info("server")["redis_version"]
        print(f"{kib:.2f} KiB per run of {EPOCHS} epochs (n={runs}, seeded in {seed_s:.0f} s)")
        print_parts(parts, real, kib)
        pages = summarise_pages(*measure_pages(server.url, folder / "api", repeats))
    finally:
        server.stop()
    memory = {f"kib_{kind}": parts[kind] for kind in (*OWN, INDEXES)}
    memory |= {"kib_per_run": round(kib, 2), "kib_of_trained_run": kib_of_real(parts, real, kib)}
    return {**memory, **pages, "runs": runs, "redis": version}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the last line is JSON."""
    parser = argparse.ArgumentParser(
        "bench.store", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_RUNS} runs, not {RUNS}")
    parser.add_argument("--runs", type=int, help=f"default: {RUNS}")
    options = parser.parse_args(arguments)
    runs = options.runs or (QUICK_RUNS if options.quick else RUNS)
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="wattle-bench-") as folder:
        figures = measure(Path(folder), runs, QUICK_REPEATS if options.quick else REPEATS)
    goals = {"goal_kib_per_run": GOAL_KIB, "goal_sorted_page_ms_p99": GOAL_MS}
    print(json.dumps({**figures, **goals, "epochs": EPOCHS, "quick": options.quick, **machine}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
