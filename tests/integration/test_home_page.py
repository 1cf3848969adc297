"""The page Home: what it shows, and where it leads."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from streamlit.runtime.context import ContextProxy

from redis_db import RedisDB
from schema import IntensityReply, Status, WindowReply
from schema.home import WeekGrams
from tests.acted_run import HYPER_PARAMS
from tests.integration import test_views
from tests.integration.test_home import end
from tests.integration.test_views import Open, button, metric, texts
from tests.records import claim, epoch
from views.grid import Answer
from views.home.page import week_tile
from views.home.side import window_text

api_url, open_page = test_views.api_url, test_views.open_page
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def labels(app: Any) -> list[str]:
    return [found.proto.label.replace("\\", "") for found in app.get("page_link")]


def test_a_fresh_installation_says_what_to_do_first(open_page: Open, api_url: str) -> None:
    app = open_page("home", api_url)
    assert not app.exception
    assert "Start a worker" in texts(app)
    assert app.code[0].value == "python worker.py"
    assert "Open the form" in labels(app)


def test_while_the_api_is_silent_the_page_says_so(open_page: Open) -> None:
    app = open_page("home", "http://127.0.0.1:9")
    assert not app.exception
    assert "The API does not answer" in texts(app)


def test_what_runs_and_what_has_ended_is_shown_with_links(open_page: Open, api_url: str, db: RedisDB) -> None:
    end(db, "a")
    end(db, "f", Status.FAILED)
    db.queue.submit({**HYPER_PARAMS, "num_epochs": 10}, run_id="r1")
    lease = claim(db)
    db.runs.record_epoch(lease, epoch(1, duration_s=20.0))
    app = open_page("home", api_url)
    assert not app.exception
    assert (metric(app, "Running"), metric(app, "Done"), metric(app, "CO₂")) == ("1", "1", "8.00 g")
    assert "A run has failed in the last 7 days" in texts(app)
    for label in ("See why", "small_cnn · digits · adam — a", "small_cnn · digits · adam — r1"):
        assert label in labels(app), label


def test_the_question_for_the_greenest_network_leads_to_its_ranking(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    end(db, "a")
    app = open_page("home", api_url)
    app.number_input(key="home:least").set_value(97.0)
    button(app, "Find it").click().run()
    assert not app.exception
    assert app.title[0].value == "Leaderboard"
    chosen = (app.number_input(key="least"), app.selectbox(key="sort"), app.segmented_control(key="per"))
    assert [found.value for found in chosen] == [97.0, "CO₂", "best of each network"]


def test_an_old_link_to_the_list_of_runs_leads_to_it(open_page: Open, api_url: str, db: RedisDB) -> None:
    end(db, "f", Status.FAILED)
    app = open_page("home", api_url, status="failed")
    assert not app.exception
    assert app.title[0].value == "Runs"
    assert str(app.query_params["status"]) == "failed"


def test_what_has_ended_is_counted_from_the_last_visit_on(
    open_page: Open, api_url: str, db: RedisDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(db, "a")
    now_s = int(datetime.now(UTC).timestamp())
    kept = {"wattle_visit": f"{now_s - 90_000}.{now_s + 60}"}
    monkeypatch.setattr(ContextProxy, "cookies", kept)
    app = open_page("home", api_url)
    assert "Ended since you were here" in [found.value for found in app.subheader]


def test_the_week_is_compared_with_the_last_up_to_the_same_day() -> None:
    days = (1.0,) * 9 + (None,) * 5
    week = WeekGrams(
        monday=date(2026, 3, 9),
        days=days,
        co2_g=2.0,
        last_co2_g=7.0,
        last_co2_g_by_then=5.0,
        unknown_epochs=3,
    )
    label, value, change, note = week_tile(week)
    assert (label, value.replace("\u00a0", " ")) == ("CO₂ this week", "2.00 g")
    assert (change or "").replace("\u00a0", " ") == "-3.00 g against last week"
    assert "3 epochs of unknown" in note
    nothing = week.model_copy(update={"co2_g": None, "last_co2_g_by_then": 0.0})
    assert week_tile(nothing)[2] is None


def window(**changes: Any) -> Answer[WindowReply]:
    known = {
        "zone": "DE", "provider": "p", "basis": "b", "duration_h": 4, "windows": [], "g_per_kwh": 100,
        "run_now_g_per_kwh": 400, "saving": 0.75, "start_at": NOW + timedelta(hours=5),
        "end_at": NOW + timedelta(hours=9), "horizon_end": NOW + timedelta(hours=48), "method": "m",
    }  # fmt: skip
    return Answer(WindowReply.model_validate(known | changes), NOW)


def test_the_next_clean_window_is_told_or_why_there_is_none() -> None:
    hourly = IntensityReply(zone="DE", g_per_kwh=400, provider="p", basis="b", at=NOW)
    yearly = hourly.model_copy(update={"at": None})
    later = window_text(Answer(hourly, NOW), window(), NOW)
    assert "in 5" in later
    assert "100 g/kWh instead of 400 now, 75 % less" in later
    assert "**Now**" in window_text(Answer(hourly, NOW), window(saving=0.0), NOW)
    assert "no hour is better" in window_text(Answer(yearly, NOW), window(), NOW)
    unknown: Answer[Any] = Answer(None, NOW, reason="Nothing is known.")
    assert window_text(unknown, unknown, NOW) == r"Nothing is known\."
