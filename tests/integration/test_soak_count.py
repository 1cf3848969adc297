"""Whether a soak finds what the real API lost or has twice: runs and points, archived or not."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.state import state_of
from archive.moving import Moving
from bench.soak_count import count
from bench.soak_plan import MARK, METRICS
from redis_db import RedisDB
from settings import Settings
from tests.integration.test_archive import later
from tests.monitor_api import monitor_api

STEPS = 8
POINTS = STEPS * len(METRICS)


class Api:
    """The real API over HTTP, and what its clients wrote down."""

    def __init__(self, app: Any, http: httpx.Client) -> None:
        self._app, self._http = app, http
        self.people: dict[str, Any] = {"accepted": {}, "deleted": []}
        self.scripts: dict[str, Any] = {"accepted": {}}

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._http.post(path, json=body).raise_for_status().json()

    def submit(self, mark: str, *, is_rerun: bool = False) -> str:
        """Queue a run with a mark, as people do, and write it down."""
        asked = {"hyper_params": {"demo": True}, "options": {"tags": [f"{MARK}{mark}"]}}
        run_id = str(self._post("/train", asked)["iid"])
        self.people["accepted"][run_id] = None if is_rerun else f"{MARK}{mark}"
        return run_id

    def cancel_and_delete(self, run_id: str) -> None:
        """Delete a run for good."""
        self._post(f"/api/runs/{run_id}/cancel", {})
        gone = self._http.request("DELETE", f"/api/runs/{run_id}?confirm={run_id}", json={})
        gone.raise_for_status()

    def log(self, name: str, steps: Sequence[int], **others: Sequence[int]) -> str:
        """Report a run that logged so many steps, and send these, or others of some metrics."""
        run_id = str(self._post("/api/experiments", {"name": name, "session": "a"})["iid"])
        self.send(run_id, "a", {metric: others.get(metric, steps) for metric in METRICS})
        self._post(f"/api/experiments/{run_id}/status", {"status": "done"})
        self.scripts["accepted"][run_id] = STEPS
        return run_id

    def send(self, run_id: str, session: str, steps: Mapping[str, Sequence[int]]) -> None:
        """Send a batch with these steps of each metric."""
        points = {
            metric: {"steps": list(each), "values": [0.5] * len(each), "times": [time.time()] * len(each)}
            for metric, each in steps.items()
            if each
        }
        self._post(f"/api/metrics/{run_id}", {"session": session, "seq": 1, "points": points})

    def archive_all(self) -> int:
        """Move all that has ended to the archive."""
        state = state_of(self._app)
        done = Moving(state.db, state.archive, state.settings, later).move_all(older_than_s=1)
        return int(done.moved)

    def count(self) -> dict[str, Any]:
        """Look it all up."""
        return count(self._http, self.people, self.scripts)


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> Iterator[Api]:
    with (
        monitor_api(db, Settings(_env_file=None, data_dir=tmp_path)) as served,
        httpx.Client(base_url=served.url, trust_env=False, timeout=30) as http,
    ):
        yield Api(served.app, http)
        state_of(served.app).archive.close()


def points_of(found: Mapping[str, Any]) -> tuple[int, int, int]:
    return found["points"], found["points_lost"], found["points_doubled"]


def test_what_was_taken_is_there_once_archived_or_not(api: Api) -> None:
    for number in range(3):
        api.submit(str(number))
    # Repeated by somebody: the tags are those of the run it repeats.
    api.submit("1", is_rerun=True)
    api.log("script-1", range(STEPS))
    api.log("script-2", range(STEPS))
    assert api.archive_all() == 2
    api.log("script-3", range(STEPS))

    found = api.count()

    assert (found["runs"], found["archived"]) == (7, 2)
    assert (found["lost"], found["doubled"], found["undead"], found["first_lost"]) == (0, 0, 0, None)
    assert points_of(found) == (3 * POINTS, 0, 0)
    assert found["first_wrong_points"] is None


def test_a_run_that_is_gone_or_there_twice_or_lives_on_is_found(api: Api) -> None:
    lost, kept = api.submit("1"), api.submit("2")
    api.cancel_and_delete(lost)
    # The same submission again under another id, and a script that was taken twice.
    api.submit("2")
    api.log("script-1", range(STEPS))
    api.log("script-1", range(STEPS))
    found = api.count()
    assert (found["lost"], found["first_lost"], found["doubled"], found["undead"]) == (1, lost, 2, 0)
    api.people["deleted"] = [kept, lost]
    found = api.count()
    assert (found["lost"], found["undead"]) == (0, 1)


def test_points_that_are_lost_and_doubled_in_one_run_do_not_make_up_for_each_other(api: Api) -> None:
    api.log("right", range(STEPS))
    run_id = api.log("wrong", range(STEPS), loss=[0, 1, 1, 3, 4, 5, 6, 7], accuracy=[])
    assert points_of(api.count()) == (2 * POINTS - STEPS, STEPS + 1, 1)
    api.send(run_id, "again", {"grad_norm": range(STEPS)})
    found = api.count()
    assert points_of(found) == (2 * POINTS, STEPS + 1, STEPS + 1)
    assert found["first_wrong_points"] == f"{run_id}: {POINTS} of {POINTS} points"


def test_points_of_an_archived_run_whose_file_is_gone_are_lost_although_its_record_counts_them(
    api: Api, tmp_path: Path
) -> None:
    run_id = api.log("script-1", range(STEPS))
    api.log("script-2", range(STEPS))
    assert api.archive_all() == 2
    (file,) = (tmp_path / "archive").rglob(f"{run_id}-*.parquet")
    file.rename(tmp_path / "elsewhere.parquet")

    found = api.count()

    assert (found["runs"], found["lost"]) == (2, 0)
    assert points_of(found) == (POINTS, POINTS, 0)
    assert found["first_wrong_points"].startswith(f"{run_id}: ")


def test_a_script_s_run_that_is_gone_has_lost_all_its_points(api: Api) -> None:
    run_id = api.log("script-1", range(STEPS))
    api.scripts["accepted"]["no-such-run"] = STEPS
    found = api.count()
    assert (found["lost"], found["first_lost"]) == (1, "no-such-run")
    assert points_of(found) == (POINTS, POINTS, 0)
    assert run_id not in found["first_wrong_points"]
