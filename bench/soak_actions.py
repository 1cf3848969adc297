"""What one person, or program, does with the API: each call is one that a client, page or script makes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import httpx

from bench.soak_plan import MARK, Plan

LIST: Final = "/api/runs"
# What pages ask for beside the list.
PAGES: Final = (
    *("/healthz", "/api/home", "/api/workers", "/api/leaderboard", "/api/totals", "/api/totals?by=project"),
    *("/api/alerts", "/api/alerts/deliveries", "/api/sweeps", "/api/carbon/zones", "/api/carbon/savings"),
    *("/api/recommend", "/api/recommend/next", "/api/archive", "/api/views", "/api/audit", "/api/models"),
    *("/api/trainers", "/api/quotas", "/api/tokens", "/experiments?limit=20", "/live", "/openapi.json"),
)
SORTS: Final = ("time_added", "best_accuracy", "last_loss", "energy_kwh", "co2_g", "duration_s")
# Where a run is steered: it may have ended meanwhile, or been archived.
MAY_BE_LATE: Final = (200, 201, 202, 404, 409)
DEMO: Final = {"trainer": "demo", "optimizer": "adam", "num_epochs": 12}


class Ledger(Protocol):
    """Where is written what the API took."""

    deleted: set[str]
    opened: dict[str, float]

    def count(self, what: str) -> None:
        """Count something that was done."""

    def note_error(self, what: str) -> None:
        """Note what went wrong."""

    def accept(self, run_id: str, mark: str | None) -> None:
        """Note a run that the API took."""

    def choose(self, chance: random.Random) -> str | None:
        """Return any run that is there; None while there is none."""


class Actions:
    """What is done, the number-th time; and what is due later."""

    def __init__(self, client: httpx.Client, ledger: Ledger, plan: Plan, *, webhook_url: str) -> None:
        self._client, self._ledger, self._plan, self._webhook_url = client, ledger, plan, webhook_url
        self._chance = random.Random(0)  # noqa: S311 - figures, not secrets
        self._later: list[tuple[float, Callable[[], object]]] = []
        self._token: dict[str, str] = {}

    def do_what_is_due(self, *, is_last: bool = False) -> None:
        """Do what was put off until now, and with ``is_last`` all of it."""
        now_s = time.monotonic()
        due = [act for due_s, act in self._later if is_last or due_s <= now_s]
        self._later = [] if is_last else [item for item in self._later if item[0] > now_s]
        for act in due:
            act()

    def submit(self, number: int) -> None:
        """Queue a run, every 25th twice with one key, and let some of them be steered."""
        body, headers = self._body(number), {"Idempotency-Key": f"soak-{number}"}
        for _ in range(2 if number % 25 == 0 else 1):
            run_id = self._ask("POST", "/train", body, headers=headers)["iid"]
            self._ledger.accept(run_id, f"{MARK}{number}")
        steered = {
            5: self._cancel,
            11: self._pause,
            22: self._cancel_later,
            31: self._rerun,
            41: self._delete,
        }
        if number % 20 == 10:
            self._after(4.0, lambda: self._steer(run_id, "retry"))
        elif number % 60 in steered:
            steered[number % 60](run_id)

    def _body(self, number: int) -> dict[str, Any]:
        options: dict[str, Any] = {"tags": ["soak", f"{MARK}{number}"], "project": f"team-{number % 5}"}
        values: dict[str, Any] = {**DEMO, "seed": number}
        is_real = number % 8 in (2, 3, 6) or number % 60 == 22
        if is_real:
            options["queue"] = "real"
            values["num_epochs"] = 40 if number % 60 == 22 else 2
        if number % 20 == 10:
            options |= {"queue": "real", "max_failures": 0}
            values = {"trainer": "raising", "num_epochs": 2, "seed": number}
        elif number % 80 == 6:
            values = {"dataset": "fake", "num_epochs": 1, "seed": number}
        elif number % 8 == 7:
            options["start_at"] = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
        if number % 30 == 4:
            options["priority"] = "high"
        return {"hyper_params": values, "options": options}

    def _cancel(self, run_id: str) -> None:
        self._steer(run_id, "cancel")

    def _cancel_later(self, run_id: str) -> None:
        self._after(2.0, lambda: self._steer(run_id, "cancel"))

    def _pause(self, run_id: str) -> None:
        self._steer(run_id, "pause")
        self._after(2.0, lambda: self._steer(run_id, "resume"))

    def _rerun(self, run_id: str) -> None:
        def again() -> None:
            answer = self._ask("POST", f"{LIST}/{run_id}/rerun", {}, expected=MAY_BE_LATE)
            if "iid" in answer:
                self._ledger.accept(answer["iid"], None)

        self._after(3.0, again)

    def _delete(self, run_id: str) -> None:
        """Delete a run once it has ended, archived or not: then it is restored first."""

        def delete() -> None:
            self._ask("POST", f"{LIST}/{run_id}/restore", {}, expected=MAY_BE_LATE)
            answer = self._ask("DELETE", f"{LIST}/{run_id}?confirm={run_id}", expected=MAY_BE_LATE)
            if "error" not in answer:
                self._ledger.deleted.add(run_id)

        self._after(self._plan.hour_s, delete)

    def _steer(self, run_id: str, action: str) -> None:
        self._ask("POST", f"{LIST}/{run_id}/{action}", {}, expected=MAY_BE_LATE)

    def _after(self, seconds: float, act: Callable[[], object]) -> None:
        self._later.append((time.monotonic() + seconds, act))

    def open_run(self, number: int) -> None:
        """Open a run as its page does, with all that is brought back where it is archived."""
        run_id = self._choose_from_list(number)
        if run_id is None:
            return
        run = self._ask("GET", f"/status/{run_id}", expected=(200, 404))
        for path in (f"/api/runs/{run_id}/log", f"/api/metrics/{run_id}", f"/api/experiments/{run_id}/notes"):
            self._ask("GET", path, expected=(200, 404))
        if run.get("is_external"):
            self._ask("GET", f"/api/metrics/{run_id}?name=loss&points=200", expected=(200, 404))
        else:
            self._ask("GET", f"/api/runs/{run_id}/epochs", expected=(200, 404))
            self._ask("GET", f"/api/runs/{run_id}/power", expected=(200, 404))
        if number % 5 == 0:
            self._ask("GET", f"/api/runs/{run_id}/report?format=md", expected=(200, 404))
        if run.get("archived"):
            self._ledger.opened[run_id] = time.time()

    def _choose_from_list(self, number: int) -> str | None:
        """Return a run of a page of the list, which has those of scripts, too: old ones every second time."""
        order = "asc" if number % 2 else "desc"
        path = f"{LIST}?limit=200&order={order}&sort=time_added"
        found = self._ask("GET", path)["results"]
        return self._chance.choice(found)["iid"] if found else None

    def search(self, number: int) -> None:
        """Search for what nobody searched for before, and sort in another way."""
        for query in (f"name:script-{number}", f"seed={number}", f"tag:{MARK}{number}"):
            self._ask("GET", f"{LIST}?limit=50&q={query}")
        self._ask("GET", f"{LIST}?limit=50&sort={SORTS[number % len(SORTS)]}&project=team-{number % 5}")
        self._ask("GET", f"/api/leaderboard?limit=20&min_accuracy=0.{number % 90 + 10}")

    def poll(self, number: int) -> None:
        """Ask for the newest runs, as a dashboard does."""
        self._ask("GET", f"{LIST}?limit=50&sort=time_added&order=desc", counted=False)
        if number % 5 == 0:
            self._ask("GET", "/api/home", counted=False)

    def read_pages(self, _number: int) -> None:
        """Ask for what each page shows."""
        for path in PAGES:
            self._ask("GET", path, counted=False)

    def scrape(self, _number: int) -> None:
        """Read the metrics with a token, a new one each time one was revoked."""
        self._need_token("scraper")
        self._ask("GET", "/metrics", headers=self._bearer(), counted=False)

    def use_token(self, number: int) -> None:
        """Revoke the token there was, make another one, and use it."""
        if self._token:
            self._ask("DELETE", f"/api/tokens/{self._token.pop('token_id')}")
            self._token = {}
        self._need_token(f"hourly-{number}")
        self._ask("GET", f"{LIST}?limit=1", headers=self._bearer())

    def _need_token(self, name: str) -> None:
        if not self._token:
            made = self._ask("POST", "/api/tokens", {"name": name, "scope": "read", "expires_in_days": 1})
            self._token = {"token_id": made["token_id"], "secret": made["secret"]}

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token['secret']}"}

    def mark(self, number: int) -> None:
        """Write a note on a run, tag it and give it a star."""
        run_id = self._ledger.choose(self._chance)
        if run_id is not None:
            headers = {"Idempotency-Key": f"note-{number}"}
            path = f"/api/experiments/{run_id}"
            note = {"text": f"note {number}"}
            self._ask("POST", f"{path}/notes", note, headers=headers, expected=MAY_BE_LATE)
            self._ask("POST", f"{path}/tags", {"add": [f"seen={number}"]}, expected=MAY_BE_LATE)
            self._ask("POST", f"{LIST}/{run_id}/star", {"starred": number % 2 == 0}, expected=MAY_BE_LATE)

    def change_rules(self, number: int) -> None:
        """Add an alert rule that tells the webhook, and delete the one of before."""
        rules = self._ask("GET", "/api/alerts/rules")["rules"]
        condition = {"kind": "run_failed"} if number % 2 else {"kind": "run_finished"}
        rule = {"name": f"rule {number}", "condition": condition, "channels": ["ops"], "project": "team-1"}
        self._ask("POST", "/api/alerts/rules", rule)
        for old in rules:
            self._ask("DELETE", f"/api/alerts/rules/{old['rule_id']}")

    def start_sweep(self, number: int) -> None:
        """Start a sweep of a few short trials."""
        space = {"learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True}}
        body = {
            "name": f"sweep-{number}",
            "hyper_params": {"trainer": "demo", "num_epochs": 2},
            "options": {"queue": "real", "tags": ["soak"]},
            "space": space,
            "sampler": "random",
            "limits": {"trials": 4},
            "parallel": 2,
        }
        self._ask("POST", "/api/sweeps", body, headers={"Idempotency-Key": f"sweep-{number}"})

    def export(self, _number: int) -> None:
        """Export all runs as one file, and the leaderboard as another."""
        for path in ("/api/export", "/api/leaderboard/export"):
            with self._client.stream("GET", path) as answer:
                size = sum(map(len, answer.iter_bytes()))
            if not answer.is_success or not size:
                self._ledger.note_error(f"GET {path}: {answer.status_code}, {size} bytes")
            self._ledger.count(path)

    def archive(self, _number: int) -> None:
        """Archive what is due now, not only at night."""
        self._ask("POST", "/api/archive", {}, expected=(200, 202, 409))

    def _ask(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        headers: dict[str, str] | None = None,
        expected: Collection[int] = (200, 201, 202, 204),
        counted: bool = True,
    ) -> dict[str, Any]:
        """Return the answer; whatever else than was expected is an error that is noted."""
        # A DELETE has no body, and says nevertheless that no form has sent it.
        said = {"Content-Type": "application/json"} if method != "GET" else {}
        answer = self._client.request(method, path, json=body, headers=said | (headers or {}))
        route = f"{method} {path.split('?')[0].split('/soak')[0]}"
        if answer.status_code not in expected:
            self._ledger.note_error(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
            raise ValueError(f"{answer.status_code}, not one of {expected}")
        if counted and answer.status_code < 400:
            self._ledger.count(_generalised(route))
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        found: dict[str, Any] = answer.json() if is_json and isinstance(answer.json(), dict) else {}
        return found


def _generalised(route: str) -> str:
    """Return a route without the ids in it."""
    return "/".join("…" if len(part) >= 16 else part for part in route.split("/"))
