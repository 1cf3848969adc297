"""How smooth and how late the live page is, and what everybody else feels of fifty viewers.

Real programs: Redis, the API under gunicorn, a producer that posts 200 updates a second with ten mosaics, and
Chromium without a screen. Frames are counted where the curve has been drawn with points it did not have
before; the lag of a point is the time from just before its POST until the frame that first shows it is drawn.
The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from bench.live_load import VIEWERS
from bench.live_trainer import measure_trainer_cost
from cli.redis_server import RedisServer
from tests.live import LiveBackend
from tests.programs import Programs, wait_until
from tests.provide_browser import REMEDY, find_browser

SECONDS, QUICK_SECONDS = 30.0, 8.0
_SPY = Path(__file__).with_name("live_spy.js").read_text("utf-8")
_ARGUMENTS = ("--no-sandbox", "--disable-gpu")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser("bench.live", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_SECONDS:g} s, not {SECONDS:g}")
    seconds = QUICK_SECONDS if parser.parse_args(arguments).quick else SECONDS
    browser = find_browser()
    if browser is None:
        sys.exit(f"There is no Chromium. {REMEDY}")
    with tempfile.TemporaryDirectory(prefix="wattle-bench-") as folder:
        server = RedisServer(Path(folder) / "redis", unix_socket=Path(folder) / "s")
        server.start()
        programs = Programs(redis_url=server.url, data_dir=Path(folder) / "data")
        try:
            with LiveBackend(programs) as backend:
                url = f"http://127.0.0.1:{backend.port}"
                drawn = _watch_in_browser(url, seconds, browser)
                crowd = _watch_in_crowd(backend, url, seconds)
        finally:
            programs.stop()
            server.stop()
    figures = {**drawn, **crowd, **measure_trainer_cost(), "seconds": seconds}
    versions = {"gunicorn": metadata.version("gunicorn"), "python": sys.version.split()[0]}
    print(json.dumps({**figures, **versions}))
    return 0


def _start(act: str, url: str, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bench.live_load", act, url, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _result(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{process.args!r} failed")
    figures: dict[str, Any] = json.loads(output.splitlines()[-1])
    return figures


def _watch_in_browser(url: str, seconds: float, browser: str) -> dict[str, Any]:
    """Return the frames per second and the lag of what one page draws."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=list(_ARGUMENTS))
        tab = chromium.new_page(viewport={"width": 1440, "height": 760})
        tab.add_init_script(_SPY)
        tab.goto(f"{url}/live")
        tab.wait_for_selector('#connection:not([data-state="connecting"])')
        producer = _start("produce", url, seconds)
        assert producer.stdout is not None
        started_at = json.loads(producer.stdout.readline())["started_at"]
        # The tab has to be served meanwhile: a plain wait would stop Playwright's own loop.
        tab.wait_for_timeout(1000 * (seconds + 1))
        sent = _result(producer)
        _check_drawn(tab, sent["updates"])
        frames: list[tuple[float, int, list[float]]] = tab.evaluate("window.drawnFrames")
        chromium.close()
    return _figures_of(frames, started_at, sent)


def _check_drawn(tab: Page, updates: int) -> None:
    """Raise AssertionError unless the page shows the last update, and pictures that are really there."""
    tab.wait_for_function(
        "count => document.getElementById('iteration').textContent.replaceAll(',', '') === String(count)",
        arg=updates,
        timeout=10_000,
    )
    widths: list[int] = tab.evaluate("[...document.querySelectorAll('#tiles img')].map(i => i.naturalWidth)")
    assert widths == [8] * 16, widths


def _figures_of(
    frames: list[tuple[float, int, list[float]]], started_at: float, sent: dict[str, Any]
) -> dict[str, Any]:
    lags_ms = [1000 * (at_s - started_at - loss) for at_s, _, fresh in frames for loss in fresh]
    shown_s = frames[-1][0] - frames[0][0]
    percentiles = statistics.quantiles(lags_ms, n=100, method="inclusive")
    return {
        "fps": round((len(frames) - 1) / shown_s, 1),
        "lag_ms_p50": round(percentiles[49], 1),
        "lag_ms_p99": round(percentiles[98], 1),
        "points_drawn": len(lags_ms),
        "points_sent": sent["updates"],
        "updates_per_s": sent["updates_per_s"],
    }


def _watch_in_crowd(backend: LiveBackend, url: str, seconds: float) -> dict[str, Any]:
    """Return how many of fifty viewers starve, and what other routes take meanwhile."""
    watchers = _start("watch", url, seconds)
    wait_until(lambda: backend.viewers() == VIEWERS)
    producer, asker = _start("produce", url, seconds), _start("ask", url, seconds)
    sent, asked, seen = _result(producer), _result(asker), _result(watchers)
    percentiles = statistics.quantiles(asked["took_ms"], n=100, method="inclusive")
    return {
        "clients": seen["viewers"],
        "clients_starved": seen["starved"],
        "client_longest_gap_s": seen["longest_gap_s"],
        "crowd_updates_per_s": sent["updates_per_s"],
        "api_ms_p50": round(percentiles[49], 1),
        "api_ms_p99": round(percentiles[98], 1),
        "api_requests": len(asked["took_ms"]),
    }


if __name__ == "__main__":
    sys.exit(main())
