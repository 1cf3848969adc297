"""A run that is watched shows its losses and images; one that is not costs nothing."""

from __future__ import annotations

import pytest
from pydantic import JsonValue

from redis_db import RedisDB
from schema import Status
from tests.fault.acts import wait_for
from tests.live import LiveBackend
from tests.programs import Programs, wait_until

pytestmark = pytest.mark.slow

HYPER_PARAMS: dict[str, JsonValue] = {
    "trainer": "cnn", "dataset": "digits", "network": "small_cnn", "num_epochs": 500, "batch_size": 64,
}  # fmt: skip


def test_a_run_is_shown_from_the_moment_somebody_watches(store: RedisDB, programs: Programs) -> None:
    run_id = store.queue.submit(HYPER_PARAMS).run_id
    programs.start_worker()
    wait_until(lambda: store.runs.get(run_id).epochs_done >= 2, what=programs.output())
    assert store.live.list_newest(run_id)[1] == []
    with LiveBackend(programs) as backend, backend.watch(f"?run_id={run_id}") as watcher:
        seen: list[int] = []
        mosaic = None
        while len(seen) < 50 or mosaic is None:
            message = watcher.next()
            seen += message.get("points", {}).get("iterations", [])
            mosaic = message.get("mosaic") or mosaic
        assert seen == sorted(set(seen))
        assert len(mosaic["tiles"]) == 16
        assert {tile["ground_truth"] for tile in mosaic["tiles"]} <= {str(digit) for digit in range(10)}
        assert watcher.until(lambda message: message.get("epochs"))["run"]["status"] == "running"
    store.controls.cancel(run_id)
    wait_for(store, run_id, Status.CANCELLED)
