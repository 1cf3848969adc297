"""A day of a data centre in twenty minutes: what grows in Redis and the programs, and whether all is there.

Real programs: Redis with its append-only file, the API under gunicorn with two web processes, two workers
that each train in children, and the page. Against them, for 24 hours of 50 s each: 2,500 scripts that log a
million points with a TrainingMonitor each, 2,400 submissions that real and simulated workers take (some fail,
are cancelled, paused, tried again, repeated, deleted), sweeps, dashboards, live viewers that come and go,
opened pages, tokens, alerts, exports, and an archive that takes what ended two hours ago.

Only the distance between events is compressed. What Wattle keeps for a fixed time it keeps for that time by
the real clock: what is brought back from the archive for 15 minutes, idempotency keys and live views for a
day. So those grow here as in the first minutes of such a span, and are told apart. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
import redis

from bench.contestants import describe_machine
from bench.load import Api, Source
from bench.soak_count import count
from bench.soak_plan import QUICK, Plan
from bench.soak_probe import Probe
from bench.soak_probe import Programs as Watched
from bench.soak_verdict import BY_DESIGN, Growth, measure_all, print_growths, print_hours
from cli.redis_server import RedisServer, free_port
from tests.programs import Programs, wait_until
from tests.webhook import webhook

BEAT_S: Final = 1.0
EPOCH_S: Final = 0.4
DRAIN_S: Final = 300.0
# After so long nothing that a request opened is still open: gunicorn closes idle connections after 1 s.
REST_S: Final = 5.0
SHOWN: Final = (
    *("store.used_mib", "bytes.runs_mib", "bytes.indexes_mib", "bytes.for_a_day_mib"),
    *("bytes.brought_back_mib", "store.runs", "store.archived", "web.pss_mib", "web.fds", "web.threads"),
    *("worker.pss_mib", "page.pss_mib", "scripts.pss_mib", "disk.aof_mib"),
)


@dataclass(frozen=True)
class Place:
    """The programs of one soak and where they are."""

    plan: Plan
    folder: Path
    server: RedisServer
    programs: Programs
    api: Api
    page: psutil.Process
    page_url: str
    workers: Sequence[psutil.Process]
    webhook_url: str

    @property
    def api_url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.api.port}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the soak and print its figures; returns 1 when something failed, was lost or doubled."""
    parser = argparse.ArgumentParser(
        "bench.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a day of 48 s with a thirtieth of the runs")
    parser.add_argument("--samples", type=Path, help="a file to write all samples to, as JSON lines")
    given = parser.parse_args(arguments)
    plan = QUICK if given.quick else Plan()
    with tempfile.TemporaryDirectory(prefix="wattle-bench-") as name, webhook() as told:
        folder = Path(name)
        server = RedisServer(folder / "redis", unix_socket=folder / "s")
        server.start()
        programs = Programs(redis_url=server.url, data_dir=folder / "data")
        try:
            place = _start(plan, folder, server, programs, f"json://{told.host}/soak")
            figures, probe, after = _soak(place, given.samples)
            figures["alerts_told"] = len(told.got)
        finally:
            programs.stop()
            server.stop()
    growths = measure_all(_with_rest(probe), hour_s=plan.hour_s)
    print_hours(probe.samples, SHOWN, hour_s=plan.hour_s)
    print_growths(growths, after)
    figures |= _summarise(growths, probe)
    print(json.dumps({**figures, **describe_machine()}))
    wrong = ("errors", "lost", "doubled", "undead", "points_lost", "points_doubled")
    return 1 if any(figures[name] for name in wrong) else 0


def _start(plan: Plan, folder: Path, server: RedisServer, programs: Programs, webhook_url: str) -> Place:
    page_port = free_port(8_700)
    api = Api(
        programs,
        archive_after_days=plan.archive_after_days,
        alert_channels=f"ops={webhook_url}",
        alert_messages_per_hour=3600,
        page_url=f"http://127.0.0.1:{page_port}",
    )
    command = ("-m", "streamlit", "run", "frontend.py", "--server.port", str(page_port))
    page = programs.start(*command, api_url=f"http://127.0.0.1:{api.port}")
    names = [f"soak-{number}" for number in range(plan.real_workers)]
    workers = [programs.start_worker("--queues", "real", "--name", name) for name in names]
    url = f"http://127.0.0.1:{page_port}"
    wait_until(lambda: _answers(f"{url}/_stcore/health"), timeout_s=60, what=programs.output(), every_s=0.2)
    own = [psutil.Process(each.pid) for each in workers]
    return Place(plan, folder, server, programs, api, psutil.Process(page.pid), url, own, webhook_url)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _soak(place: Place, file: Path | None) -> tuple[dict[str, Any], Probe, dict[str, float]]:
    """Return what was done and found, all samples, and what is left once everybody has gone."""
    plan, text = place.plan, place.plan.to_text()
    sources = {
        "workers": Source("bench.load_workers", place.server.url, plan.simulated_workers, BEAT_S, EPOCH_S),
        "scripts": Source("bench.soak_scripts", text, place.api_url, place.folder),
        "people": Source("bench.soak_people", text, place.api_url, place.webhook_url),
        "watchers": Source("bench.soak_watchers", text, place.api_url, place.page_url),
    }
    try:
        for source in sources.values():
            source.hear()
        sources["workers"].tell()
        sources["workers"].hear()
        with redis.Redis.from_url(place.server.url) as client:
            probe = _watch(place, sources, client, file)
            results = {name: sources[name].result() for name in ("scripts", "people", "watchers")}
            with httpx.Client(base_url=place.api_url, trust_env=False, timeout=60) as api:
                wait_until(lambda: _is_drained(api), timeout_s=DRAIN_S, what="all have ended", every_s=0.5)
                sources["workers"].tell()
                results["workers"] = sources["workers"].result()
                time.sleep(REST_S)
                probe.sample(has_keys=True)
                _, after = probe.samples.pop()
                # Before all is counted, which looks at archived runs once more.
                expired = _count_expired(client, results["people"]["opened"])
                counted = count(api, results["people"], results["scripts"])
    finally:
        for source in sources.values():
            source.stop()
    return {**counted, **_troubles(results), **expired, "seconds": plan.seconds}, probe, after


def _watch(place: Place, sources: Mapping[str, Source], client: redis.Redis, file: Path | None) -> Probe:
    """Let the day pass, and look at everything all the while."""
    plan = place.plan
    for name in ("scripts", "people", "watchers"):
        sources[name].tell()
    assert place.server.process is not None
    watched = Watched(
        {
            "redis": [psutil.Process(place.server.process.pid)],
            "web": place.api.web_processes(),
            "master": [psutil.Process(place.api.process.pid)],
            "worker": place.workers,
            "forkserver": [child for worker in place.workers for child in _forkservers(worker)],
            "page": [place.page],
            "scripts": [psutil.Process(sources["scripts"].pid)],
        }
    )
    folders = {
        "aof": place.folder / "redis",
        "data": place.folder / "data",
        "checkpoints": place.folder / "data" / "checkpoints",
        "models": place.folder / "data" / "models",
        "artifacts": place.folder / "data" / "experiments",
        "archive": place.folder / "data" / "archive",
        "archive_db": place.folder / "data" / "archive.db",
        "spool": place.folder / "spool",
    }
    probe = Probe(client, watched, folders, file)
    end_s = time.monotonic() + plan.seconds
    counted_hours = 0.0
    while (now_s := time.monotonic()) < end_s:
        has_keys = (plan.seconds - (end_s - now_s)) / plan.hour_s >= counted_hours
        counted_hours += 0.5 if has_keys else 0.0
        probe.sample(has_keys=has_keys)
        time.sleep(max(0.0, min(end_s, now_s + plan.sample_every_s) - time.monotonic()))
    return probe


def _forkservers(worker: psutil.Process) -> list[psutil.Process]:
    """Return what a worker's children are forked from, which lives as long as it does."""
    wait_until(worker.children, timeout_s=60, what="a worker has its fork server", every_s=0.1)
    return [child for child in worker.children() if "forkserver" in " ".join(child.cmdline())]


def _is_drained(api: httpx.Client) -> bool:
    counts = api.get("/api/runs", params={"limit": 1}).raise_for_status().json()["counts"]
    return not any(counts.get(status, 0) for status in ("waiting", "running", "deferred", "paused"))


def _count_expired(client: redis.Redis, opened: Mapping[str, float]) -> dict[str, int]:
    """Return how many archived runs were opened longer ago than they stay, and how many are still here."""
    from store.archiving import WARM_MS

    old = [run_id for run_id, at_s in opened.items() if time.time() - at_s > WARM_MS / 1000]
    left = sum(bool(client.exists(f"run:{run_id}:warm")) for run_id in old)
    return {"archived_opened": len(opened), "brought_back_and_due": len(old), "brought_back_too_long": left}


def _troubles(results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    first = [f"{name}: {each['first_error']}" for name, each in results.items() if each["errors"]]
    return {
        "errors": sum(each["errors"] for each in results.values()),
        "first_error": first[0] if first else None,
        "requests": results["people"]["counts"],
        "watched": results["watchers"]["counts"],
        "simulated_runs_done": results["workers"]["runs_done"],
        "simulated_epochs": results["workers"]["epochs"],
    }


def _with_rest(probe: Probe) -> list[tuple[float, dict[str, float]]]:
    """Return the samples, and with each census what Redis uses but for what grows by design."""
    found = []
    for second, values in probe.samples:
        counted = dict(values)
        if any(name.startswith("bytes.") for name in values):
            design = sum(values.get(f"bytes.{group}_mib", 0.0) for group in BY_DESIGN)
            counted["store.but_design_mib"] = values["store.used_mib"] - design
            counted["store.but_design_and_runs_mib"] = counted["store.but_design_mib"] - values.get(
                "bytes.runs_mib", 0.0
            )
        found.append((second, counted))
    return found


def _summarise(growths: Mapping[str, Growth], probe: Probe) -> dict[str, Any]:
    kinds = [name.partition(".")[0] for name in growths if name.endswith(".rss_mib")]
    _, last = [sample for sample in probe.samples if "bytes.indexes_mib" in sample[1]][-1]
    index_bytes = (last["bytes.indexes_mib"]) * 2**20 / max(1.0, last["store.runs"])
    place_bytes = last.get("bytes.archived_mib", 0.0) * 2**20 / max(1.0, last["store.archived"])
    return {
        "redis_growth_fraction": round(growths["store.used_mib"].fraction, 3),
        "redis_growth_fraction_but_design": round(growths["store.but_design_mib"].fraction, 3),
        "redis_mib": round(growths["store.used_mib"].last, 2),
        "index_bytes_per_run": round(index_bytes),
        "archive_bytes_per_run": round(place_bytes),
        "fd_growth": {kind: round(growths[f"{kind}.fds"].count, 1) for kind in kinds},
        "thread_growth": {kind: round(growths[f"{kind}.threads"].count, 1) for kind in kinds},
        "rss_growth_fraction": {kind: round(growths[f"{kind}.rss_mib"].fraction, 3) for kind in kinds},
        "rss_mib": {kind: round(growths[f"{kind}.rss_mib"].last, 1) for kind in kinds},
    }


if __name__ == "__main__":
    sys.exit(main())
