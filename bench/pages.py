"""How soon each page can be used with 10,000 runs in the store, beside an empty Streamlit page.

The real backend and page serve a store of finished runs of one dataset, written by the product's own scripts;
a second Streamlit of the same version serves a page with a title. One browser opens one after another, round
by round, so that whatever else the machine does falls on all of them; its cache is warm, its session is not:
each opening is a new visit. A page can be used when its script has ended, its heading is there, no part of it
is a grey box any more and the browser has nothing else to do; charts are drawn then, or soon after.

The figures are medians of the rounds, less that of the empty page. Beside them stand the CPU time of page and
backend for one opening, and that of the browser's main thread, which other programs of the machine hardly
change. A page of Streamlit's own with two fields and a table of 25 rows says what such parts cost anywhere.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
from playwright.sync_api import BrowserContext, sync_playwright

from bench.contestants import describe_machine, new_redis
from bench.listing import Runs
from cli.redis_server import free_port
from tests.browser.conftest import BROWSER_ARGUMENTS
from tests.browser.places import paths
from tests.programs import Programs, wait_until
from tests.provide_browser import REMEDY, find_browser

RUNS, QUICK_RUNS = 10_000, 300
ROUNDS, QUICK_ROUNDS = 7, 2
GOAL_S: Final = 0.5
EMPTY: Final = "empty"
TABLE: Final = "empty-table"
_PATIENCE_MS: Final = 120_000
# Looked at in every frame; the callback of an idle browser says that nothing keeps it from answering a click.
_READY: Final = """() => {
    const isDrawn = () => document.querySelector('[data-testid="stApp"][data-test-script-state="notRunning"]')
        && document.querySelector('[data-testid="stMain"] :is(h1, h2)')
        && !document.querySelector('[data-testid="stSkeleton"], [data-testid="stAppSkeleton"]');
    const look = () => isDrawn()
        ? requestIdleCallback(() => { window.readyMs = performance.now(); })
        : requestAnimationFrame(look);
    look();
}"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a line per page and the figures as JSON."""
    parser = argparse.ArgumentParser("bench.pages", description="How soon each page can be used.")
    parser.add_argument("--quick", action="store_true", help="few runs and rounds, to see that it works")
    parser.add_argument("--rounds", type=int, help=f"default: {ROUNDS}")
    options = parser.parse_args(arguments)
    browser = find_browser()
    if browser is None:
        raise SystemExit(f"There is no Chromium. {REMEDY}")
    count = QUICK_RUNS if options.quick else RUNS
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    with tempfile.TemporaryDirectory(prefix="wattle-") as folder:
        openings = measure(count, rounds, Path(folder), browser)
    print(json.dumps(summary(openings) | {"runs": count, "rounds": rounds} | _versions()))
    return 0


@dataclass
class Openings:
    """How long each opening of a page took, and what it cost the servers."""

    took_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    drawing_s: list[float] = field(default_factory=list)
    """CPU time of the browser's main thread."""


def summary(openings: Mapping[str, Openings]) -> dict[str, Any]:
    """Return how much longer than the empty page each page takes, in seconds, and the longest of them."""
    empty_s = statistics.median(openings[EMPTY].took_s)
    over, cpu, drawing = {}, {}, {}
    for name, own in openings.items():
        middle_s, cpu[name] = statistics.median(own.took_s), round(statistics.median(own.cpu_s), 3)
        drawing[name] = round(statistics.median(own.drawing_s), 3)
        span = f"{min(own.took_s):.2f} to {max(own.took_s):.2f}"
        print(f"{name:<14} {middle_s:6.2f} s ({span}), CPU: servers {cpu[name]} s, browser {drawing[name]} s")
        if name != EMPTY:
            over[name] = round(middle_s - empty_s, 3)
    table_s = over.pop(TABLE)
    return {
        "pages_worst_over_empty_s": max(over.values()),
        "pages_goal_s": GOAL_S,
        "pages_within_goal": sum(taken_s <= GOAL_S for taken_s in over.values()),
        "pages": len(over),
        "pages_empty_s": round(empty_s, 3),
        "pages_table_over_empty_s": table_s,
        "pages_over_empty_s": over,
        "pages_cpu_s": cpu,
        "pages_browser_cpu_s": drawing,
    }


def measure(count: int, rounds: int, folder: Path, browser: str) -> dict[str, Openings]:
    """Return the openings of each page."""
    redis = new_redis(folder / "redis", is_durable=False)
    redis.start()
    programs = Programs(redis_url=redis.url, data_dir=folder / "data")
    runs = Runs(redis.url, folder)
    try:
        runs.add(count)
        api, page, empty = (free_port(first) for first in (15_200, 15_300, 15_400))
        page_url, api_url = f"http://127.0.0.1:{page}", f"http://127.0.0.1:{api}"
        servers = [
            programs.start("backend.py", port=api, page_url=page_url),
            _start_page(programs, "frontend.py", page, api_url),
            _start_page(programs, "bench/empty_page.py", empty, api_url),
        ]
        for url in (
            f"{api_url}/healthz",
            f"{page_url}/_stcore/health",
            f"http://127.0.0.1:{empty}/_stcore/health",
        ):
            wait_until(lambda url=url: _answers(url), timeout_s=60, what=url)  # type: ignore[misc]
        reference = f"http://127.0.0.1:{empty}/"
        addresses = {EMPTY: reference, TABLE: f"{reference}?table"} | _addresses(page_url)
        return _open_all(addresses, rounds, browser, [psutil.Process(server.pid) for server in servers])
    finally:
        runs.close()
        programs.stop()
        redis.stop()


def _start_page(programs: Programs, script: str, port: int, api_url: str) -> subprocess.Popen[bytes]:
    return programs.start("-m", "streamlit", "run", script, "--server.port", str(port), api_url=api_url)


def _addresses(page_url: str) -> dict[str, str]:
    """Return every page, and those about runs with runs."""
    found = {path or "start": f"{page_url}/{path}" for path in paths()}
    compared = "&".join(f"run={number:032x}" for number in range(4))
    return found | {
        "run-one": f"{page_url}/run?iid={7:032x}",
        "compare-four": f"{page_url}/compare?{compared}",
    }


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _open_all(
    addresses: Mapping[str, str], rounds: int, browser: str, servers: Sequence[psutil.Process]
) -> dict[str, Openings]:
    openings = {name: Openings() for name in addresses}
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=list(BROWSER_ARGUMENTS))
        context = chromium.new_context(viewport={"width": 1440, "height": 900})
        context.add_init_script(f"({_READY})()")
        for number in range(rounds + 1):
            for name, url in addresses.items():
                before_s = _cpu_s(servers)
                spent_s, drawing_s = _open(context, url)
                # The first round fills the browser's cache and imports what a page imports.
                if number:
                    openings[name].took_s.append(spent_s)
                    openings[name].cpu_s.append(_cpu_s(servers) - before_s)
                    openings[name].drawing_s.append(drawing_s)
        chromium.close()
    return openings


def _cpu_s(servers: Sequence[psutil.Process]) -> float:
    every = [process for server in servers for process in (server, *server.children(recursive=True))]
    return sum(times.user + times.system for times in (process.cpu_times() for process in every))


def _open(context: BrowserContext, url: str) -> tuple[float, float]:
    """Return after how many seconds a page can be used, and the CPU time of the browser's main thread."""
    tab = context.new_page()
    devtools = context.new_cdp_session(tab)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
    tab.goto(url, timeout=_PATIENCE_MS)
    tab.wait_for_function("() => window.readyMs", timeout=_PATIENCE_MS)
    ready_ms: float = tab.evaluate("window.readyMs")
    metrics = devtools.send("Performance.getMetrics")["metrics"]
    (drawing_s,) = (metric["value"] for metric in metrics if metric["name"] == "TaskDuration")
    tab.close()
    return ready_ms / 1000, drawing_s


def _versions() -> dict[str, Any]:
    return {"streamlit": version("streamlit"), "python": sys.version.split()[0], **describe_machine()}


if __name__ == "__main__":
    raise SystemExit(main())
