"""People and programs that use the API for a whole day: they submit, look, steer, export, scrape and archive.

    python -m bench.soak_people PLAN API_URL WEBHOOK_URL

With a line on its input it begins. It prints what the API took as JSON, and lives on until its input ends.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx

from bench.soak_actions import Actions
from bench.soak_plan import Plan

PATIENCE_S: Final = 60.0


class Ledger:
    """What was asked for and what came of it, of all threads together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.accepted: dict[str, str | None] = {}
        """Each run that the API took, and the mark it was given; those of reruns have none."""
        self.deleted: set[str] = set()
        self.opened: dict[str, float] = {}
        """Archived runs that were opened, and when last."""
        self.counts: dict[str, int] = {}
        self.errors: list[str] = []

    def count(self, what: str) -> None:
        """Count something that was done."""
        with self._lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def note_error(self, what: str) -> None:
        """Note what went wrong."""
        with self._lock:
            self.errors.append(what)

    def accept(self, run_id: str, mark: str | None) -> None:
        """Note a run that the API took; the same one again must have the same mark."""
        with self._lock:
            if self.accepted.setdefault(run_id, mark) != mark:
                self.errors.append(f"run {run_id} was answered for {self.accepted[run_id]} and {mark}")

    def choose(self, chance: random.Random) -> str | None:
        """Return any run that is there; None while there is none."""
        with self._lock:
            known = [run_id for run_id in self.accepted if run_id not in self.deleted]
        return chance.choice(known) if known else None


class People:
    """All of them, each kind in a thread of its own with a rhythm of its own."""

    def __init__(self, plan: Plan, api_url: str, webhook_url: str) -> None:
        self._plan, self._api_url, self._webhook_url = plan, api_url, webhook_url
        self._stop = threading.Event()
        self.ledger = Ledger()

    def run(self) -> None:
        """Let all of them do what they do, until the day has passed."""
        plan, hour_s = self._plan, self._plan.hour_s
        rhythms: list[tuple[Callable[[Actions], Callable[[int], None]], float]] = [
            (lambda own: own.submit, plan.seconds / plan.queue_runs),
            (lambda own: own.open_run, plan.seconds / plan.opened_runs),
            (lambda own: own.search, hour_s / 10),
            (lambda own: own.scrape, hour_s / 20),
            (lambda own: own.mark, hour_s / 10),
            (lambda own: own.use_token, hour_s),
            (lambda own: own.change_rules, 3 * hour_s),
            (lambda own: own.start_sweep, plan.seconds / plan.sweeps),
            (lambda own: own.export, plan.seconds / plan.exports),
            (lambda own: own.archive, plan.archive_every_hours * hour_s),
            (lambda own: own.read_pages, hour_s / 4),
            *[(lambda own: own.poll, 2.0)] * plan.dashboards,
        ]
        threads = [threading.Thread(target=self._repeat, args=rhythm) for rhythm in rhythms]
        for thread in threads:
            thread.start()
        time.sleep(plan.seconds)
        self._stop.set()
        for thread in threads:
            thread.join()

    def _repeat(self, choose: Callable[[Actions], Callable[[int], None]], every_s: float) -> None:
        with self._actions() as own:
            act = choose(own)
            start_s = time.monotonic()
            number = 0
            while not self._stop.wait(max(0.0, start_s + number * every_s - time.monotonic())):
                self._try(lambda number=number: act(number), act.__name__)  # type: ignore[misc]
                self._try(own.do_what_is_due, "put off")
                number += 1
            self._try(lambda: own.do_what_is_due(is_last=True), "put off")

    def _try(self, act: Callable[[], None], what: str) -> None:
        """Do something whose failure is counted, and ends nothing."""
        try:
            act()
        except (httpx.HTTPError, ValueError, KeyError) as error:
            self.ledger.note_error(f"{what}: {error!r}")

    @contextmanager
    def _actions(self) -> Iterator[Actions]:
        # None is kept: on a busy machine a request may meet a connection that the server closes as idle.
        limits = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(
            base_url=self._api_url, timeout=PATIENCE_S, trust_env=False, limits=limits
        ) as client:
            yield Actions(client, self.ledger, self._plan, webhook_url=self._webhook_url)

    def result(self) -> dict[str, Any]:
        """Return what the API took, what was done how often, and what went wrong."""
        ledger = self.ledger
        return {
            "accepted": ledger.accepted,
            "deleted": sorted(ledger.deleted),
            "opened": ledger.opened,
            "counts": ledger.counts,
            "errors": len(ledger.errors),
            "first_error": ledger.errors[0] if ledger.errors else None,
        }


if __name__ == "__main__":
    people = People(Plan.from_text(sys.argv[1]), sys.argv[2], sys.argv[3])
    print("ready", flush=True)
    sys.stdin.readline()
    people.run()
    print(json.dumps(people.result()), flush=True)
    sys.stdin.read()
