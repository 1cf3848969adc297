"""What the API answers about the grid, and how it plans a run."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from flask.testing import FlaskClient

from api.state import state_of
from backend import create_app
from carbon_aware_trainer.errors import ProviderDown
from carbon_aware_trainer.records import Intensity
from carbon_aware_trainer.traces import HOUR
from client import Client
from errors import ApiRefused
from redis_db import RedisDB
from schema import CarbonOptions, CarbonOutcome, RunOptions, Status
from settings import Settings
from tests.planning import hour_now, room_in_hour, worker_in
from tests.records import claim

__all__ = ["room_in_hour"]
pytestmark = pytest.mark.usefixtures("room_in_hour")
HYPER_PARAMS: dict[str, Any] = {"num_epochs": 2, "demo": True}


def points(first: int, last: int, *, clean_from: int, clean: float = 100.0) -> list[dict[str, Any]]:
    """Hours of 500 g/kWh, and cleaner ones from one of them on, counted from this hour."""
    return [
        {
            "timestamp": (hour_now() + hour * HOUR).isoformat(),
            "carbon_intensity": clean if hour >= clean_from else 500.0,
            "renewable_percentage": 40,
        }
        for hour in range(first, last)
    ]


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    """The API with a file in which Germany is clean in six hours and France, without a forecast, dirty."""
    german = {"historical": points(-240, 1, clean_from=6), "forecast": points(0, 72, clean_from=6)}
    french = {"historical": points(-240, 1, clean_from=6)}
    file = tmp_path / "grid.json"
    file.write_text(json.dumps({"regions": {"DE": german, "FR": french}}))
    settings = Settings(data_dir=tmp_path, carbon_model="cached", carbon_file=file, zone="DE", _env_file=None)
    return create_app(settings, db).test_client()


def get(api: FlaskClient, path: str, status: int = 200) -> Any:
    found = api.get(f"/api/carbon/{path}")
    assert found.status_code == status, found.get_json()
    return found.get_json()


def train(api: FlaskClient, status: int = 201, **carbon: Any) -> Any:
    body = {"hyper_params": HYPER_PARAMS, "options": {"carbon": carbon}}
    found = api.post("/train", json=body)
    assert found.status_code == status, found.get_json()
    return found.get_json()


def test_the_intensity_of_now_names_its_provider_basis_and_time(api: FlaskClient) -> None:
    found = get(api, "now")
    assert (found["zone"], found["g_per_kwh"], found["renewable_share"]) == ("DE", 500, 0.4)
    assert (found["provider"], found["basis"]) == ("cached", "average lifecycle")
    assert datetime.fromisoformat(found["at"]) == hour_now()


def test_what_the_provider_used_up_is_not_waited_for_again(
    api: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    get(api, "history")
    found, clock, limits = state_of(api.application).intensities, [0.0], []
    ask = found.outlooks

    def hang(zone: str) -> Intensity:
        clock[0] += 3.0
        raise ProviderDown(f"no answer about {zone}")

    def outlooks(zones: list[str], now: datetime, *, limit_s: float) -> Any:
        limits.append(limit_s)
        return ask(zones, now, limit_s=limit_s)

    monkeypatch.setattr("api.carbon.time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(found.get_provider(), "fetch_latest", hang)
    monkeypatch.setattr(found, "outlooks", outlooks)
    assert get(api, "now")["g_per_kwh"] == pytest.approx(500)
    assert limits == [1.0]


def test_the_forecast_reaches_as_far_as_asked_and_has_intervals_where_they_are_known(
    api: FlaskClient,
) -> None:
    theirs = get(api, "forecast?hours=8")
    assert [point["g_per_kwh"] for point in theirs["points"]] == [500] * 6 + [100] * 2
    assert theirs["points"][0]["low"] is None
    ours = get(api, "forecast?zone=FR&hours=3")
    assert len(ours["points"]) == 3
    assert ours["points"][1]["low"] is not None


def test_the_cleanest_window_is_found_within_the_forecast(api: FlaskClient) -> None:
    window = get(api, "window?duration_h=2")
    assert datetime.fromisoformat(window["start_at"]) == hour_now() + 6 * HOUR
    assert window["saving"] == pytest.approx(0.8)
    assert datetime.fromisoformat(window["end_at"]) <= datetime.fromisoformat(window["horizon_end"])


def test_a_window_ends_by_its_deadline(api: FlaskClient) -> None:
    deadline = (hour_now() + 5 * HOUR).isoformat().replace("+", "%2B")
    window = get(api, f"window?duration_h=2&deadline={deadline}")
    assert datetime.fromisoformat(window["end_at"]) <= hour_now() + 5 * HOUR


def test_without_a_deadline_a_window_is_near(api: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.carbon.WINDOW", 3 * HOUR)
    assert get(api, "window?duration_h=2")["g_per_kwh"] == pytest.approx(500)
    deadline = (hour_now() + 20 * HOUR).isoformat().replace("+", "%2B")
    assert get(api, f"window?duration_h=2&deadline={deadline}")["g_per_kwh"] == pytest.approx(100)


def test_a_window_that_cannot_be_is_refused(api: FlaskClient) -> None:
    past = "2020-01-01T00:00:00Z"
    assert "do not fit" in get(api, f"window?duration_h=2&deadline={past}", 422)["error"]["message"]
    assert "ends at" in get(api, "window?duration_h=200", 404)["error"]["message"]


def test_the_history_is_a_table_of_months_and_hours(api: FlaskClient) -> None:
    found = get(api, "history")
    assert [len(month) for month in found["means"]] == [24] * 12
    known = [mean for month in found["means"] for mean in month if mean is not None]
    assert known
    assert set(known) == {500}


def test_the_zones_in_use_are_that_of_the_installation_and_those_of_workers(api: FlaskClient) -> None:
    found = get(api, "zones")
    assert [(zone["zone"], zone["name"], zone["is_home"]) for zone in found["zones"]] == [
        ("DE", "Germany", True)
    ]
    assert found["zones"][0]["g_per_kwh"] == pytest.approx(500)


@pytest.mark.parametrize("path", ["now", "forecast", "history", "window?duration_h=1"])
def test_an_unknown_zone_names_near_ones(api: FlaskClient, path: str) -> None:
    joint = "&" if "?" in path else "?"
    error = get(api, f"{path}{joint}zone=DX", 422)["error"]
    assert "DE" in error["message"]
    assert error["details"][0]["field"] == "zone"


def test_a_file_that_is_away_is_a_404_with_the_reason(api: FlaskClient, tmp_path: Path) -> None:
    (tmp_path / "grid.json").unlink()
    assert "cannot be read" in get(api, "forecast", 404)["error"]["message"]


def test_a_submission_is_answered_with_its_plan(api: FlaskClient, db: RedisDB) -> None:
    reply = train(api, max_delay_h=12)
    plan = reply["plan"]
    assert datetime.fromisoformat(plan["start_at"]) == hour_now() + 6 * HOUR
    assert plan["saving"] == pytest.approx(0.8)
    run = api.get(f"/api/runs/{reply['iid']}").get_json()
    assert (run["status"], run["carbon"]["reason"]) == ("deferred", plan["reason"])
    assert "80 % less" in run["status_line"]
    assert plan["reason"] in [line.text for line in db.log.list(reply["iid"])]


def test_a_run_without_carbon_options_has_no_plan(api: FlaskClient) -> None:
    reply = api.post("/train", json={"hyper_params": HYPER_PARAMS}).get_json()
    assert reply == {"iid": reply["iid"], "success": True}


@pytest.mark.parametrize(
    ("wishes", "field"),
    [
        ({"deadline": "2020-01-01T00:00:00Z"}, "deadline"),
        ({"deadline": 5}, "deadline"),
        ({"deadline": "soon"}, "deadline"),
        ({"deadline": "2020-01-01T00:00:00"}, "deadline"),
        ({"max_delay_h": 0}, "max_delay_h"),
        ({"max_delay_h": 337}, "max_delay_h"),
        ({"max_delay_h": "1"}, "max_delay_h"),
        ({"zones": []}, "zones"),
        ({"zones": "DE"}, "zones"),
        ({"zones": ["DX"]}, "zones"),
        ({"zones": ["DE", "de"]}, "zones"),
        ({"zones": ["../x"]}, "zones"),
        ({"zones": [f"Z{number}" for number in range(17)]}, "zones"),
        ({"zone": ["DE"]}, "zones"),
        ({"policy": "greedy"}, "policy"),
        ({"policy": "threshold", "threshold": -1}, "threshold"),
        ({"threshold": 100}, "carbon"),
        ({"interruptible": 1}, "interruptible"),
        ({"max_co2_g": 0}, "max_co2_g"),
        ({"colour": "green"}, "colour"),
    ],
)
def test_wishes_that_are_not_valid_are_refused_and_queue_nothing(
    api: FlaskClient, db: RedisDB, wishes: dict[str, Any], field: str
) -> None:
    error = train(api, 422, **wishes)["error"]
    assert any(field in detail["field"] for detail in error["details"]), error
    assert db.runs.list().total == 0


@pytest.mark.parametrize("value", [None, [], "adaptive", 1, True, {"carbon": {}}])
def test_carbon_options_are_an_object(api: FlaskClient, value: Any) -> None:
    found = api.post("/train", json={"hyper_params": HYPER_PARAMS, "options": {"carbon": value}})
    assert found.status_code == (201 if value is None else 422)


@pytest.mark.parametrize("start_at", ["1970-01-01T00:00:00Z", "9998-12-31T23:59:59Z"])
@pytest.mark.parametrize("deadline", [None, "9998-12-31T23:59:59Z"])
@pytest.mark.parametrize("num_epochs", [1, 100_000])
def test_the_ends_of_the_calendar_are_no_server_error(
    api: FlaskClient, start_at: str, deadline: str | None, num_epochs: int
) -> None:
    options = {"carbon": {"deadline": deadline, "max_delay_h": 336}, "start_at": start_at}
    found = api.post("/train", json={"hyper_params": {"num_epochs": num_epochs}, "options": options})
    assert found.status_code in (201, 422)


@pytest.mark.parametrize(
    "query",
    [
        "now?zone=", "now?zone=%00", "now?zone=a%20b", "now?zone=" + "x" * 5000, "forecast?hours=0",
        "forecast?hours=1e9", "forecast?hours=nan",
        "window", "window?duration_h=nan", "window?duration_h=0", "window?duration_h=-1",
        "window?duration_h=5e-10&interruptible=true", "window?duration_h=0.0166&interruptible=true",
        "window?duration_h=1e308", "window?duration_h=x", "window?duration_h=1&deadline=soon",
        "window?duration_h=1&deadline=1e400", "window?duration_h=1&interruptible=maybe", "savings?weeks=0",
        "savings?weeks=107", "history?zone=DE&zone=%F0%9F%90%9F",
    ],
)  # fmt: skip
def test_no_query_gives_a_server_error(api: FlaskClient, query: str) -> None:
    assert 200 <= api.get(f"/api/carbon/{query}").status_code < 500


def test_run_now_outranks_the_plan(api: FlaskClient, db: RedisDB) -> None:
    iid = train(api, max_delay_h=12)["iid"]
    run = api.post(f"/api/runs/{iid}/run-now", json={}).get_json()
    assert run["status"] == "waiting"
    assert run["carbon"]["is_override"]
    assert api.post(f"/api/runs/{iid}/run-now", json={"x": 1}).status_code == 422
    assert api.post("/api/runs/nobody/run-now", json={}).status_code == 404
    db.queue.finish(claim(db), Status.DONE)
    assert api.post(f"/api/runs/{iid}/run-now", json={}).status_code == 409


@pytest.mark.parametrize("route", ["run-now", "resume"])
def test_what_is_to_run_now_goes_where_somebody_takes_it(api: FlaskClient, db: RedisDB, route: str) -> None:
    db.workers.beat(worker_in("DE"), ttl_s=60)
    iid = train(api, max_delay_h=12, zones=["DE", "FR"])["iid"]
    assert db.runs.get(iid).status is Status.DEFERRED
    db.workers.remove(worker_in("DE").worker_id)
    db.workers.beat(worker_in("FR"), ttl_s=60)

    run = api.post(f"/api/runs/{iid}/{route}", json={}).get_json()

    assert (run["status"], run["carbon"]["zone"], run["carbon"]["is_override"]) == ("waiting", "FR", True)
    assert run["carbon"]["expected_co2_g"] is None
    assert "Runs now in FR: no live worker takes it in DE." in [line.text for line in db.log.list(iid)]
    assert api.post(f"/api/runs/{iid}/run-now", json={}).get_json() == run
    assert db.queue.claim(["zone-de"], worker_id="w", lease_s=60) is None
    assert claim(db, queue="zone-fr").run_id == iid


def test_what_is_to_run_now_may_be_led_out_of_a_zone_again(api: FlaskClient, db: RedisDB) -> None:
    db.workers.beat(worker_in("DE"), ttl_s=60)
    iid = train(api, max_delay_h=12, zones=["DE", "FR"])["iid"]
    assert api.post(f"/api/runs/{iid}/run-now", json={}).get_json()["carbon"]["zone"] == "DE"
    here = db.runs.get(iid)
    db.workers.remove(worker_in("DE").worker_id)
    api.post(f"/api/runs/{iid}/run-now", json={})
    assert db.runs.get(iid) == here  # nobody takes it anywhere
    db.workers.beat(worker_in("FR"), ttl_s=60)
    assert api.post(f"/api/runs/{iid}/run-now", json={}).get_json()["carbon"]["zone"] == "FR"
    assert claim(db, queue="zone-fr").run_id == iid


def test_a_zone_is_the_same_under_each_of_its_names(api: FlaskClient, db: RedisDB) -> None:
    iid = train(api, zones=["DEU", "FR"])["iid"]
    options = db.runs.get(iid).options
    assert options.carbon is not None
    assert options.carbon.zones == ("DE", "FR")
    assert get(api, "now?zone=DEU") == get(api, "now?zone=de") == get(api, "now")
    assert train(api, 422, zones=["DE", "DEU"])["error"]["details"][0]["field"] == "options.carbon.zones"


def test_a_rerun_is_planned_anew(api: FlaskClient) -> None:
    iid = train(api, max_delay_h=12)["iid"]
    again = api.post(f"/api/runs/{iid}/rerun", json={}).get_json()
    assert again["status"] == "deferred"
    changed = {"options": {"carbon": {"deadline": "2020-01-01T00:00:00Z"}}}
    assert api.post(f"/api/runs/{iid}/rerun", json=changed).status_code == 422


def test_a_repeated_submission_has_the_plan_of_the_first(api: FlaskClient) -> None:
    body = {"hyper_params": HYPER_PARAMS, "options": {"carbon": {}}}
    first, second = (
        api.post("/train", json=body, headers={"Idempotency-Key": "k"}).get_json() for _ in range(2)
    )
    assert first == second


def test_a_repeated_submission_is_not_judged_by_a_later_clock(
    api: FlaskClient, db: RedisDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadline = (hour_now() + 3 * HOUR).isoformat()
    body = {"hyper_params": HYPER_PARAMS, "options": {"carbon": {"deadline": deadline}}}
    headers = {"Idempotency-Key": "k"}
    first = api.post("/train", json=body, headers=headers)
    changed = {"hyper_params": {"num_epochs": 3}}
    again = f"/api/runs/{first.get_json()['iid']}/rerun"
    new = api.post(again, json=changed, headers={"Idempotency-Key": "r"}).get_json()

    monkeypatch.setattr(type(db), "now", lambda _: hour_now() + 4 * HOUR)

    assert api.post("/train", json=body).status_code == 422
    assert api.post("/train", json=body, headers=headers).get_json() == first.get_json()
    assert api.post(again, json=changed, headers={"Idempotency-Key": "r"}).get_json() == new
    other = {**body, "hyper_params": {**HYPER_PARAMS, "num_epochs": 7}}
    assert api.post("/train", json=other, headers=headers).status_code == 409


def test_the_client_reads_every_answer(api: FlaskClient) -> None:
    with Client("http://localhost:5000", transport=httpx.WSGITransport(api.application)) as client:
        assert client.get_intensity().g_per_kwh == 500
        assert client.get_intensity("FR").zone == "FR"
        assert len(client.get_forecast(hours=5).points) == 5
        window = client.get_window(1.5, zone="DE", deadline=hour_now() + 40 * HOUR, interruptible=True)
        assert window.g_per_kwh == pytest.approx(100)
        assert client.get_intensity_history().values == 24
        assert client.list_savings(weeks=3, project="default").saved_g == 0
        assert [zone.zone for zone in client.list_zones().zones] == ["DE"]
        options = RunOptions(carbon=CarbonOptions.model_validate({"max_delay_h": 12}))
        submitted = client.submit(HYPER_PARAMS, options)
        assert submitted.plan is not None
        assert client.run_now(submitted.iid).status is Status.WAITING
        with pytest.raises(ApiRefused, match="DX"):
            client.get_forecast("DX")


def test_savings_are_told_by_week_and_project(api: FlaskClient, db: RedisDB) -> None:
    iid = train(api)["iid"]
    db.controls.cancel(iid)
    run = db.runs.get(iid)
    week = f"{db.now():%G-W%V}"
    known = {"energy_kwh": 1.0, "co2_g": 100.0, "run_now_co2_g": 500.0, "saved_g": 400.0}
    # A real run of the same project, since those of simulated ones count nowhere.
    real = api.post("/train", json={"hyper_params": {"num_epochs": 1}, "options": {"carbon": {}}}).get_json()
    db.controls.cancel(real["iid"])
    for each in (run, db.runs.get(real["iid"])):
        assert db.carbon.set_outcome(each, CarbonOutcome(week=week, **known))
    found = get(api, "savings?weeks=2&project=default")
    assert found["saved_g"] == pytest.approx(400)
    assert [week["runs"] for week in found["weeks"]] == [0, 1]
    assert get(api, "savings?weeks=1&project=other")["saved_g"] == 0
    assert api.get(f"/api/runs/{real['iid']}").get_json()["carbon_outcome"]["saved_g"] == 400
