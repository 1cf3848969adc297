"""What is decided about runs that follow the grid, with a backend and a worker that has trained once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.redis_server import RedisServer
from redis_db import RedisDB
from schema import Status
from tests.carbon_place import CLEAN, DIRTY, FOREVER, Place
from tests.conftest import start_redis
from tests.programs import Programs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def durable_redis() -> Iterator[RedisServer]:
    """The server of all tests here."""
    with tempfile.TemporaryDirectory(prefix="wattle-") as folder:
        server = start_redis(RedisServer(Path(folder), unix_socket=Path(folder) / "s"))
        yield server
        server.stop()


@pytest.fixture(scope="module")
def trained(durable_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A worker that has trained once, from which later runs are estimated."""
    data_dir = tmp_path_factory.mktemp("trained") / "data"
    programs = Programs(redis_url=durable_redis.url, data_dir=data_dir)
    try:
        place = Place(programs, data_dir)
        place.start_worker()
        place.train_undisturbed()
        yield place
        place.client.close()
    finally:
        programs.stop()


def test_a_deferred_run_starts_when_nothing_is_known_any_more(trained: Place) -> None:
    trained.set_grid({"DE": [(1000, DIRTY), (FOREVER, CLEAN)]})
    iid = trained.submit(max_delay_h=1)
    assert trained.client.get_run(iid).status is Status.DEFERRED

    trained.file.unlink()

    trained.wait_for_end(iid)
    assert "nothing can be planned" in trained.log_of(iid)


def test_run_now_overrides_the_plan(trained: Place) -> None:
    trained.set_grid({"DE": [(1000, DIRTY), (FOREVER, CLEAN)]})
    iid = trained.submit(max_delay_h=1)
    assert trained.client.get_run(iid).status is Status.DEFERRED

    run = trained.client.run_now(iid)

    assert run.carbon is not None
    assert run.carbon.is_override
    assert trained.wait_for_end(iid).attempt == 1


@pytest.mark.parametrize("g_per_kwh", [DIRTY, CLEAN])
def test_a_run_that_waits_for_nothing_is_counted_with_what_its_zone_emits_too(
    trained: Place, g_per_kwh: float
) -> None:
    trained.set_grid({"DE": [(FOREVER, g_per_kwh)]})
    said = f"DE {g_per_kwh:.0f} g/kWh (by the hour, life cycle; cached)"
    trained.wait(
        lambda: [worker.intensity_source for worker in trained.client.list_workers().workers] == [said],
        what="the worker knows what is in force",
    )
    run = trained.train_undisturbed()
    assert run.energy_kwh is not None
    assert run.co2_g == pytest.approx(run.energy_kwh * g_per_kwh, rel=1e-5)
    facts = {name: run.environment.get(f"intensity_{name}") for name in ("zone", "provider", "others")}
    assert facts == {"zone": "DE", "provider": "cached", "others": None}
    epochs = trained.client.list_epochs(run.run_id).epochs
    assert {(each.intensity_g_per_kwh, each.intensity_provider) for each in epochs} == {(g_per_kwh, None)}


def test_the_store_knows_every_decision(trained: Place, store: RedisDB) -> None:
    trained.set_grid({"DE": [(8, DIRTY), (FOREVER, CLEAN)]})
    iid = trained.submit(max_delay_h=0.05)
    trained.wait_for_end(iid)
    decisions = [event for event in store.events.list() if event.run_id == iid and event.kind == "replanned"]
    lines = [line for line in trained.client.list_log(iid).lines if " in DE: " in line.text]
    assert len(lines) >= len(decisions) >= 1
