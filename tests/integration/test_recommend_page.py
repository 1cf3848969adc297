"""The page Recommend: what it advises, what it says when nothing fits, and the form it leads to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from redis_db import RedisDB
from schema import Status
from tests.integration import test_views
from tests.integration.test_leaderboard import finish, finish_script, train
from tests.integration.test_views import Open, button, metric, texts
from tests.records import TORCH_WORKER, epoch

open_page = test_views.open_page
url = test_views.api_url


def plain(app: AppTest) -> str:
    return texts(app).replace("\u00a0", " ").replace("\u2060", "")


def number(app: AppTest, key: str) -> Any:
    return app.number_input(key=key)


def test_without_a_finished_run_the_page_says_what_to_do(open_page: Open, url: str) -> None:
    app = open_page("recommend", url)
    assert not app.exception
    assert "No run has finished yet" in plain(app)
    assert [found.label for found in app.button] == ["Submit a run"]


def test_while_the_api_is_silent_the_page_says_so(open_page: Open) -> None:
    app = open_page("recommend", "http://127.0.0.1:9")
    assert not app.exception
    assert "The API does not answer" in plain(app)


def test_the_answer_has_its_reason_its_spread_and_what_it_beats(
    open_page: Open, url: str, db: RedisDB
) -> None:
    for seed, accuracy in enumerate((0.95, 0.96, 0.97)):
        finish(db, f"s{seed}", accuracy=accuracy, seed=seed)
    finish(db, "b", accuracy=0.9, network="resnet9")
    app = open_page("recommend", url)
    assert not app.exception
    assert "lenet5 is the most accurate of 2 configurations" in plain(app)
    assert "3 runs stand behind it" in plain(app)
    assert metric(app, "Accuracy") == "96.00 %"
    assert str(app.metric[0].delta).replace("\u00a0", " ") == "95.00 % – 97.00 %, n = 3"
    table = app.dataframe[0].value
    assert list(table["Configuration"]) == ["resnet9"]
    assert "6 points less accurate" in table["Against the answer"][0]


def test_a_link_names_all_limits(open_page: Open, url: str, db: RedisDB) -> None:
    finish(db, "a", accuracy=0.97)
    app = open_page(
        "recommend", url, target="96", within="2", co2="1.5", minutes="10", wh="3", dataset="digits"
    )
    assert not app.exception
    assert number(app, "target").value == 96
    assert number(app, "wh").value == 3
    assert "within 2 points of 96.00 %, at most 1.5 g CO₂ and 10 min and 3 Wh" in plain(app)


def test_following_the_advice_for_an_impossible_budget_finds_a_configuration(
    open_page: Open, url: str, db: RedisDB
) -> None:
    finish(db, "a", accuracy=0.97)
    app = open_page("recommend", url, co2="0.001", wh="0.5")
    assert "The only configuration does not keep to at most 1 mg CO₂ and 0.5 Wh" in plain(app)
    button(app, "Allow this").click().run()
    assert not app.exception
    assert number(app, "co2").value == 1.0
    assert number(app, "wh").value == 2.0
    assert "lenet5 is the only configuration that keeps to at most 1 g CO₂ and 2 Wh" in plain(app)


@pytest.mark.parametrize("needed_s", [7.0, 61.3, 3_333.0, 100_100.0])
def test_minutes_that_are_allowed_are_enough(open_page: Open, url: str, db: RedisDB, needed_s: float) -> None:
    lease = train(db, "a", num_epochs=2)
    # The first epoch took half a second.
    db.runs.record_epoch(lease, epoch(2, duration_s=needed_s - 0.5))
    db.queue.finish(lease, Status.DONE)
    app = open_page("recommend", url, minutes="0.01")
    button(app, "Allow this").click().run()
    assert "is the only configuration" in plain(app)


def test_submit_this_leads_to_a_form_with_its_hyperparameters(open_page: Open, url: str, db: RedisDB) -> None:
    finish(db, "a", accuracy=0.97, trainer="cnn", learning_rate=0.25, num_epochs=7, network="resnet9")
    app = open_page("recommend", url)
    button(app, "Submit this").click().run()
    assert not app.exception
    assert app.query_params["from"] == "a"
    assert "Filled in with the hyperparameters of resnet9" in plain(app).replace("*", "")
    assert number(app, "submit:a:cnn:num_epochs").value == 7
    assert number(app, "submit:a:cnn:learning_rate").value == 0.25
    button(app, "Review").click().run()
    assert "Train **resnet9** on **digits**" in texts(app)
    changed = app.dataframe[0].value.set_index("Hyperparameter")["Instead of"]
    assert changed["Network"] == "small_cnn"
    body = json.loads(app.json[0].value)
    assert db.runs.get("a").hyper_params.items() <= body["hyper_params"].items()


def test_a_form_from_a_run_can_start_from_the_defaults_instead(
    open_page: Open, url: str, db: RedisDB
) -> None:
    finish(db, "a", trainer="cnn", num_epochs=7)
    db.workers.beat(TORCH_WORKER, ttl_s=60)
    app = open_page("submit", url, **{"from": "a"})
    button(app, "Start from the defaults").click().run()
    assert not app.exception
    assert "from" not in app.query_params
    assert number(app, "submit:cnn:num_epochs").value != 7


def test_a_form_from_no_run_has_the_defaults_and_says_why(open_page: Open, url: str, db: RedisDB) -> None:
    db.workers.beat(TORCH_WORKER, ttl_s=60)
    app = open_page("submit", url, **{"from": "never"})
    assert not app.exception
    assert "never" in plain(app)
    assert number(app, "submit:cnn:num_epochs").value


def test_a_script_is_not_offered_to_be_submitted(open_page: Open, url: str, db: RedisDB) -> None:
    finish_script(db, "x", 0.9)
    app = open_page("recommend", url)
    assert "Submit this" not in [found.label for found in app.button]
    assert "start that again yourself" in plain(app)


def test_simulated_runs_are_labelled_and_looked_at_apart(open_page: Open, url: str, db: RedisDB) -> None:
    finish(db, "s", accuracy=0.99, simulated=True)
    app = open_page("recommend", url)
    assert app.toggle[0].value is True
    assert "simulated" in plain(app)
    finish(db, "r", accuracy=0.9)
    app.run()
    assert app.toggle[0].value is False
    assert metric(app, "Accuracy") == "90.00 %"
    app.toggle[0].set_value(True).run()
    assert metric(app, "Accuracy") == "99.00 %"
