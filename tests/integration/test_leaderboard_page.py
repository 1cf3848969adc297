"""The page Leaderboard: what it ranks, what it says about it, and where a click leads."""

from __future__ import annotations

import json
from typing import Any

from client import Client
from redis_db import RedisDB
from schema import Status
from schema.leaderboard import CostField, LeaderboardReply, StatedResult
from tests.integration import test_views
from tests.integration.test_leaderboard import finish, train
from tests.integration.test_views import Open, texts
from tests.records import epoch
from views.leaderboard.charts import front_figure
from views.leaderboard.table import rows_frame

open_page = test_views.open_page
url = test_views.api_url


def table(app: Any) -> Any:
    return app.dataframe[0].value


def test_without_a_finished_run_the_page_says_what_to_do(open_page: Open, url: str) -> None:
    app = open_page("leaderboard", url)
    assert not app.exception
    assert "No run has finished yet" in texts(app)
    assert [found.label for found in app.button] == ["Submit a run"]


def test_while_the_api_is_silent_the_page_says_so(open_page: Open) -> None:
    app = open_page("leaderboard", "http://127.0.0.1:9")
    assert not app.exception
    assert "The API does not answer" in texts(app)


def test_runs_of_one_dataset_are_ranked_within_two_points_of_the_best(
    open_page: Open, url: str, db: RedisDB
) -> None:
    finish(db, "a", accuracy=0.97, network="resnet9")
    finish(db, "b", accuracy=0.96)
    finish(db, "c", accuracy=0.90)
    finish(db, "m", accuracy=0.99, dataset="mnist")
    app = open_page("leaderboard", url)
    assert not app.exception
    assert list(table(app)["network"]) == ["resnet9", "lenet5"]
    assert list(table(app)["accuracy"]) == [97.0, 96.0]
    assert "2 runs of at least 95.00" in texts(app).replace("\u00a0", " ")
    app.number_input(key="least").set_value(80.0).run()
    assert list(table(app)["accuracy"]) == [97.0, 96.0, 90.0]


def test_a_link_names_all_that_was_chosen(open_page: Open, url: str, db: RedisDB) -> None:
    for run_id, accuracy in (("a", 0.5), ("b", 0.6), ("c", 0.7)):
        finish(db, run_id, accuracy=accuracy, dataset="mnist")
    finish(db, "d", dataset="mnist", network="resnet9", accuracy=0.6)
    for run_id in "efghi":
        finish(db, run_id)
    app = open_page(
        "leaderboard", url, dataset="mnist", least="55", per="best of each network", sort="accuracy"
    )
    assert not app.exception
    assert list(table(app)["id"]) == ["c", "d"]


def test_what_no_run_fits_is_said(open_page: Open, url: str, db: RedisDB) -> None:
    finish(db, "a")
    app = open_page("leaderboard", url, dataset="never")
    assert not app.exception
    assert "No finished run fits" in texts(app)


def test_simulated_runs_are_shown_by_themselves_only_while_there_is_no_real_one(
    open_page: Open, url: str, db: RedisDB
) -> None:
    finish(db, "s", accuracy=0.91, simulated=True)
    app = open_page("leaderboard", url)
    assert app.toggle[0].value is True
    assert list(table(app)["quality"]) == [["simulated"]]
    finish(db, "r")
    app.run()
    assert app.toggle[0].value is False
    assert list(table(app)["id"]) == ["r"]
    app.toggle[0].set_value(True).run()
    assert list(table(app)["id"]) == ["r", "s"]
    assert "They come after all real ones" in texts(app)


def test_measured_energy_beside_other_is_marked(open_page: Open, url: str, db: RedisDB) -> None:
    finish(db, "a")
    stated = {"network": "vit", "dataset": "digits", "accuracy": 0.9, "energy_kwh": 0.001, "duration_s": 1.0}
    db.finished.add(StatedResult.model_validate({"run_id": "b", **stated}))
    app = open_page("leaderboard", url)
    assert "Compare within one kind" in texts(app)
    assert list(table(app)["quality"]) == [["not said"], ["measured"]]


def reply_of(url: str) -> LeaderboardReply:
    with Client(url) as api:
        return api.get_leaderboard({"min_accuracy": "0", "include_simulated": "true"})


def test_the_figure_has_a_point_for_each_run_and_the_front(url: str, db: RedisDB) -> None:
    finish(db, "a", accuracy=0.9)
    finish(db, "b", accuracy=0.8, network="<b>x")
    finish(db, "s", accuracy=0.95, simulated=True)
    figure = json.loads(front_figure(reply_of(url), CostField.CO2_G))
    ids = {trace["name"]: trace["customdata"] for trace in figure["data"]}
    assert ids == {"lenet5": ["a", "s"], "&lt;b&gt;x": ["b"], "Pareto front": ["a"]}
    symbols = [trace["marker"]["symbol"] for trace in figure["data"] if trace["name"] == "lenet5"]
    assert symbols == [["circle", "circle-open"]]


def test_a_cost_that_nobody_knows_leaves_the_figure_empty(url: str, db: RedisDB) -> None:
    finish(db, "a")
    figure = json.loads(front_figure(reply_of(url), CostField.PARAMETERS))
    assert [trace["name"] for trace in figure["data"]] == ["Pareto front"]


def test_the_spread_over_seeds_is_in_the_row(url: str, db: RedisDB) -> None:
    for seed in (1, 2, 3):
        finish(db, f"a{seed}", seed=seed, accuracy=0.9 + seed / 100)
    frame, _ = rows_frame(reply_of(url).rows)
    assert set(frame["seeds"]) == {"92.0 (91.0 – 93.0), n = 3"}


def test_a_run_of_unknown_energy_has_no_word_for_it(url: str, db: RedisDB) -> None:
    lease = train(db, "a", num_epochs=2)
    db.runs.record_epoch(lease, epoch(2, test_accuracy=0.9))
    db.queue.finish(lease, Status.DONE)
    frame, _ = rows_frame(reply_of(url).rows)
    assert list(frame["quality"]) == [[]]


def test_a_search_ranks_what_it_finds_and_one_that_does_not_read_can_be_mended(
    open_page: Open, url: str, db: RedisDB
) -> None:
    finish(db, "a", optimizer="adam")
    finish(db, "b", optimizer="sgd")
    app = open_page("leaderboard", url, q="optimizer:sgd")
    assert list(table(app)["id"]) == ["b"]
    app.text_input(key="q").set_value("optimiser:sgd").run()
    assert not app.exception
    assert "did you mean optimizer" in texts(app)
    app.text_input(key="q").set_value("").run()
    assert set(table(app)["id"]) == {"a", "b"}
