"""The run page's section *What the readings suggest*, and the form's field for a batch size."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from redis_db import RedisDB
from schema import GpuState, Scalar
from tests.acted_run import ActedRun
from tests.integration import test_views
from tests.integration.test_views import Open, button, metric, texts
from tests.records import TORCH_WORKER

api_url, open_page = test_views.api_url, test_views.open_page

TITLE = "What the readings suggest"
PROFILE: dict[str, Scalar] = {
    "step_data_ms": 0.5, "step_forward_ms": 3.0, "step_backward_ms": 6.0, "step_optimizer_ms": 0.5,
    "train_images": 60_000, "data_on": "device",
}  # fmt: skip
GPU = GpuState(
    name="fake", memory_used_bytes=2**30, memory_total_bytes=8 * 2**30, utilisation=0.35, power_w=120.4,
    power_limit_w=300, sm_clock_mhz=1410, temperature_c=61,
)  # fmt: skip


def subheaders(app: AppTest) -> list[str]:
    return [element.value for element in app.subheader]


def put_gpu(db: RedisDB, worker_id: str) -> None:
    db.workers.beat(TORCH_WORKER.model_copy(update={"worker_id": worker_id, "gpu": GPU}), ttl_s=60)


def test_a_running_run_shows_its_gpu_and_what_the_readings_suggest(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    acted = ActedRun(db)
    db.runs.describe(acted.lease, PROFILE)
    put_gpu(db, acted.lease.worker_id)

    app = open_page("run", api_url, iid=acted.run_id)

    assert not app.exception
    assert TITLE in subheaders(app)
    assert metric(app, "GPU utilisation") == "35 %"
    assert metric(app, "GPU power") == "120 of 300 W"
    assert metric(app, "GPU clock") == "1,410 MHz"
    assert metric(app, "GPU memory") == "1 of 8 GiB"
    assert "batches of 64 do not fill it. Try batch_size 128" in texts(app)
    assert "A step takes 10 ms: data 0.5 ms (5 %), forward 3 ms (30 %)" in texts(app)


def test_the_batch_size_that_was_tried_out_is_the_one_advice_is_about(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    acted = ActedRun(db, batch_size="auto")
    db.runs.describe(acted.lease, {**PROFILE, "chosen_batch_size": 512})
    put_gpu(db, acted.lease.worker_id)

    assert "batches of 512 do not fill it" in texts(open_page("run", api_url, iid=acted.run_id))


def test_the_gpu_of_a_worker_is_not_shown_with_a_run_that_has_ended(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    acted = ActedRun(db)
    db.runs.describe(acted.lease, PROFILE)
    put_gpu(db, acted.lease.worker_id)
    acted.finish()

    app = open_page("run", api_url, iid=acted.run_id)

    assert TITLE in subheaders(app)
    assert "Nothing stands out." in texts(app)
    assert not [m for m in app.metric if m.label.startswith("GPU")]


@pytest.mark.parametrize("facts", [{}, {**PROFILE, "step_data_ms": "much"}, {**PROFILE, "step_data_ms": -1}])
def test_without_readings_the_section_is_left_out(
    open_page: Open, api_url: str, db: RedisDB, facts: dict[str, Scalar]
) -> None:
    acted = ActedRun(db)
    db.runs.describe(acted.lease, facts)
    app = open_page("run", api_url, iid=acted.run_id)
    assert not app.exception
    assert TITLE not in subheaders(app)


def test_the_form_offers_auto_in_place_of_a_batch_size(open_page: Open, api_url: str, db: RedisDB) -> None:
    db.workers.beat(TORCH_WORKER, ttl_s=60)
    app = open_page("submit", api_url)
    (auto,) = (box for box in app.checkbox if box.label == "auto")
    assert not auto.value
    auto.check()
    button(app, "Review").click().run()

    assert not app.exception
    table = app.dataframe[0].value.set_index("Hyperparameter")
    assert list(table.loc["Batch size (images)"]) == ["auto", "64"]
    assert '"batch_size": "auto"' in app.json[0].value
