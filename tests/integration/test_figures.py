"""/metrics over a real store: what it says, that it never shrinks, and that its labels are few."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
import redis
from flask.testing import FlaskClient
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families

from backend import create_app
from cli.redis_server import RedisServer
from redis_db import RedisDB
from schema import GpuState, RunOptions, Status
from settings import Settings
from store.figures import MAX_QUEUES, OTHER_QUEUES
from tests.integration.test_metric_routes import begin, send
from tests.integration.test_totals import finished, recompute, values
from tests.records import TORCH_WORKER, claim, epoch, running


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    return create_app(Settings(data_dir=tmp_path), db).test_client()


def scrape(api: FlaskClient) -> dict[str, float]:
    """Every sample by its name and labels, as Prometheus' own parser reads it."""
    reply = api.get("/metrics")
    assert (reply.status_code, reply.mimetype) == (200, "text/plain")
    return samples(text_string_to_metric_families(reply.text))


def samples(families: Iterable[Metric]) -> dict[str, float]:
    found: dict[str, float] = {}
    for family in families:
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            name = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert name not in found, name
            found[name] = sample.value
    return found


def test_an_empty_store_says_so(api: FlaskClient) -> None:
    figures = scrape(api)
    assert figures["wattle_store_up"] == 1
    assert figures["wattle_queue_waiting_runs{queue=default}"] == 0
    assert figures["wattle_queue_oldest_seconds{queue=default}"] == 0
    assert [figures[f"wattle_runs{{status={status}}}"] for status in Status] == [0] * len(Status)
    assert figures["wattle_workers{state=idle}"] == figures["wattle_lease_losses_total"] == 0
    assert figures["wattle_store_memory_bytes"] > 0
    assert figures["wattle_live_clients"] == 0


def test_a_run_is_counted_from_its_submission_to_its_end(
    api: FlaskClient, db: RedisDB, raw: redis.Redis
) -> None:
    waiting = db.queue.submit({"num_epochs": 3}, RunOptions(queue="slow"))
    raw.hset(f"run:{waiting.run_id}", "time_added", f"{db.now().timestamp() - 100:.6f}")
    figures = scrape(api)
    assert figures["wattle_queue_waiting_runs{queue=slow}"] == figures["wattle_runs{status=waiting}"] == 1
    assert 100 <= figures["wattle_queue_oldest_seconds{queue=slow}"] < 200
    assert figures["wattle_queue_demand_runs"] == 1

    lease = claim(db, queue="slow")
    db.runs.record_epoch(lease, epoch(1, duration_s=7.0, energy_kwh=0.001, co2_g=0.4))
    db.runs.record_epoch(lease, epoch(2, duration_s=7.0))
    db.log.append(lease, ["one", "two"])
    db.queue.finish(lease, Status.DONE)
    figures = scrape(api)
    assert figures["wattle_start_latency_seconds_count"] == 1
    assert figures["wattle_start_latency_seconds_bucket{le=60.0}"] == 0
    assert figures["wattle_start_latency_seconds_bucket{le=300.0}"] == 1
    assert figures["wattle_epoch_duration_seconds_bucket{le=5.0,simulated=false}"] == 0
    assert figures["wattle_epoch_duration_seconds_bucket{le=10.0,simulated=false}"] == 2
    assert figures["wattle_epoch_duration_seconds_sum{simulated=false}"] == 14
    assert figures["wattle_energy_joules_total{simulated=false}"] == pytest.approx(3_600)
    assert figures["wattle_co2_grams_total{simulated=false}"] == pytest.approx(0.4)
    assert figures["wattle_epochs_total{simulated=false}"] == 2
    assert figures["wattle_unmeasured_parts_total{simulated=false}"] == 1
    assert figures["wattle_epochs_total{simulated=true}"] == 0
    assert figures["wattle_log_lines_total"] == 2
    kinds = {
        kind: figures[f"wattle_events_total{{kind={kind}}}"] for kind in ("submitted", "claimed", "done")
    }
    assert kinds == {"submitted": 1, "claimed": 1, "done": 1}


def test_who_is_put_back_waits_anew_and_hides_nobody_behind_it(
    api: FlaskClient, db: RedisDB, raw: redis.Redis
) -> None:
    first = db.queue.submit({"num_epochs": 3})
    lease = claim(db)
    for run in (first, db.queue.submit({"num_epochs": 3})):
        raw.hset(f"run:{run.run_id}", "time_added", f"{db.now().timestamp() - 1000:.6f}")
    db.queue.release(lease, reason="preempted")
    assert 1000 <= scrape(api)["wattle_queue_oldest_seconds{queue=default}"] < 1100
    claim(db)
    claim(db, worker_id="another")
    db.queue.release(lease.model_copy(update={"attempt": 2}), reason="preempted")
    assert scrape(api)["wattle_queue_oldest_seconds{queue=default}"] < 500


def test_what_is_deleted_or_corrected_stays_counted(api: FlaskClient, db: RedisDB) -> None:
    run_id = finished(db).run_id
    before = scrape(api)
    recompute(api, run_id, values((0, 2, 1)))
    db.controls.delete(run_id)
    after = scrape(api)
    assert after["wattle_runs{status=done}"] == 0
    assert before["wattle_co2_grams_total{simulated=false}"] == 400
    shrunk = [
        name
        for name, value in before.items()
        if name.split("{")[0].endswith(("_total", "_bucket", "_sum", "_count")) and after[name] < value
    ]
    assert shrunk == []


def test_points_and_lines_of_scripts_are_counted_once(api: FlaskClient) -> None:
    iid = begin(api)
    for _ in range(2):
        send(api, iid, 1, loss=[(1, 1.0), (2, 0.5)], accuracy=[(1, 0.5)])
        lines = [{"time": 1e9, "text": "a"}]
        reply = api.post(f"/api/logs/{iid}", json={"session": "s", "seq": 1, "lines": lines})
        assert reply.status_code == 200, reply.text
    figures = scrape(api)
    assert (figures["wattle_metric_points_total"], figures["wattle_log_lines_total"]) == (3, 1)


def test_a_lost_lease_is_counted(api: FlaskClient, db: RedisDB, raw: redis.Redis) -> None:
    lease = running(db)
    raw.zadd("queue:leases", {lease.run_id: 1})
    assert db.queue.requeue_expired(grace_s=0) == [lease.run_id]
    figures = scrape(api)
    assert figures["wattle_lease_losses_total"] == figures["wattle_events_total{kind=requeued}"] == 1


def test_workers_and_their_gpus_are_told(api: FlaskClient, db: RedisDB) -> None:
    gpu = GpuState(
        name="H", memory_used_bytes=3, memory_total_bytes=9, utilisation=0.5, power_w=300, temperature_c=40
    )
    gpu = gpu.model_copy(update={"uuid": "GPU-a", "index": 1})
    other = GpuState(name="H", utilisation=0.9, uuid="GPU-b", index=2)
    busy = {"worker_id": "w-2", "name": "x", "device": "cuda:1", "run_id": "r", "gpu": gpu, "power_w": 320.0}
    busy |= {"other_gpus": (other,)}
    db.workers.beat(TORCH_WORKER, ttl_s=60)
    db.workers.beat(TORCH_WORKER.model_copy(update=busy), ttl_s=60, spool_bytes=77)
    figures = scrape(api)
    assert figures["wattle_workers{state=idle}"] == figures["wattle_workers{state=busy}"] == 1
    assert figures["wattle_worker_spool_bytes{host=host,worker=x}"] == 77
    assert figures["wattle_worker_power_watts{host=host,worker=x}"] == 320
    place = "{device=cuda:1,host=host,uuid=GPU-a,worker=x}"
    told = [name.removesuffix(place) for name in figures if name.startswith("wattle_gpu_") and place in name]
    assert {name: figures[name + place] for name in told} == {
        "wattle_gpu_utilisation_ratio": 0.5,
        "wattle_gpu_memory_used_bytes": 3,
        "wattle_gpu_memory_size_bytes": 9,
        "wattle_gpu_power_watts": 300,
        "wattle_gpu_temperature_celsius": 40,
    }
    second = {name: value for name, value in figures.items() if "device=cuda:2" in name}
    assert second == {"wattle_gpu_utilisation_ratio{device=cuda:2,host=host,uuid=GPU-b,worker=x}": 0.9}
    db.workers.set_draining("w-2", True)
    assert scrape(api)["wattle_workers{state=draining}"] == 1


def test_requests_are_told_by_route_and_never_by_what_stands_in_a_path(api: FlaskClient) -> None:
    for path in ("/api/runs/abc", "/api/runs/def", "/nowhere/1", "/nowhere/2"):
        api.get(path)
    api.open("/healthz", method="INVENTED")
    api.get("/healthz", headers={"Host": "evil.example"})
    figures = scrape(api)
    assert figures["wattle_http_requests_total{method=GET,route=/api/runs/<iid>,status=404}"] == 2
    assert figures["wattle_http_requests_total{method=GET,route=(none),status=404}"] == 2
    assert figures["wattle_http_requests_total{method=(other),route=(none),status=405}"] == 1
    assert figures["wattle_http_requests_total{method=GET,route=/healthz,status=403}"] == 1
    assert figures["wattle_http_request_duration_seconds_count{method=GET,route=/api/runs/<iid>}"] == 2
    assert not [name for name in figures if "abc" in name or "evil" in name or "nowhere" in name]


def test_the_labels_of_queues_are_limited(api: FlaskClient, db: RedisDB) -> None:
    for number in range(MAX_QUEUES + 20):
        db.queue.submit({"num_epochs": 1}, RunOptions(queue=f"q-{number}"))
    db.queue.submit({"num_epochs": 1}, RunOptions(queue="q-7"))
    figures = scrape(api)
    lengths = {name: value for name, value in figures.items() if name.startswith("wattle_queue_waiting_runs")}
    assert (len(lengths), sum(lengths.values())) == (MAX_QUEUES, MAX_QUEUES + 21)
    assert lengths[f"wattle_queue_waiting_runs{{queue={OTHER_QUEUES}}}"] > 1
    assert lengths["wattle_queue_waiting_runs{queue=q-7}"] == 2


def test_an_empty_queue_is_forgotten(db: RedisDB, raw: redis.Redis) -> None:
    db.queue.submit({"num_epochs": 1}, RunOptions(queue="once"))
    db.queue.submit({"num_epochs": 1})
    db.queue.promote_due()
    assert raw.smembers("queue:names") == {"once", "default"}
    claim(db, queue="once")
    db.queue.promote_due()
    assert raw.smembers("queue:names") == {"default"}


def test_a_scrape_costs_the_same_with_many_runs(api: FlaskClient, db: RedisDB, raw: redis.Redis) -> None:
    def cost() -> int:
        before = int(raw.info("stats")["total_commands_processed"])
        scrape(api)
        return int(raw.info("stats")["total_commands_processed"]) - before

    for _ in range(20):
        db.queue.submit({"num_epochs": 1})
    scrape(api)
    few = cost()
    for _ in range(300):
        db.queue.submit({"num_epochs": 1})
    assert cost() == few


def test_other_parsers_are_answered_in_their_format(api: FlaskClient, db: RedisDB) -> None:
    db.queue.finish(running(db), Status.DONE)
    reply = api.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert reply.mimetype == "application/openmetrics-text"
    told = samples(openmetrics_families(reply.text))  # type: ignore[no-untyped-call]
    assert told["wattle_events_total{kind=done}"] == 1


def test_without_redis_it_says_that_and_what_it_served(own_redis: RedisServer, tmp_path: Path) -> None:
    with RedisDB(own_redis.url) as store:
        api = create_app(Settings(data_dir=tmp_path), store).test_client()
        api.get("/healthz")
        own_redis.stop()
        figures = scrape(api)
    assert figures["wattle_store_up"] == 0
    assert figures["wattle_http_requests_total{method=GET,route=/healthz,status=200}"] == 1
    assert not [name for name in figures if name.startswith(("wattle_runs", "wattle_queue"))]


def test_the_page_lists_every_metric_with_its_labels(api: FlaskClient, db: RedisDB) -> None:
    gpu = GpuState(
        name="H", memory_used_bytes=3, memory_total_bytes=9, utilisation=0.5, power_w=300, temperature_c=40
    )
    worker = TORCH_WORKER.model_copy(update={"gpu": gpu, "power_w": 320.0})
    db.workers.beat(worker, ttl_s=60, spool_bytes=0)
    running(db)
    db.archiving.note_round({"ended_at": "1.0", "good_at": "1.0", "bytes": "7"}, result="ok")
    text = (Path(__file__).parents[2] / "docs" / "observe.md").read_text("utf-8")
    rows = re.findall(r"^\| `(wattle_\w+)` \| (\w+) \|([^|]*)\|", text, flags=re.MULTILINE)
    listed = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    api.get("/healthz")
    told = {}
    for family in text_string_to_metric_families(api.get("/metrics").text):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        if not name.endswith("_created"):
            told[name] = (family.type, labels)
    listed.pop("wattle_store_memory_limit_bytes")  # this server has no limit
    assert told == listed
