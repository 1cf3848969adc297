"""The page Sweeps: empty, silent, the form, and one sweep."""

from __future__ import annotations

import json

from redis_db import RedisDB
from schema.sweeps import SweepState
from tests.integration import test_views
from tests.integration.test_views import Open, button, metric, texts
from tests.sweep_parts import start, step, train, train_all
from views.sweeps.charts import optuna_figure

open_page = test_views.open_page
url = test_views.api_url


def test_without_a_sweep_the_page_says_what_one_is_for(open_page: Open, url: str) -> None:
    app = open_page("sweeps", url)
    assert not app.exception
    assert "No sweep yet" in texts(app)


def test_while_the_api_is_silent_the_page_says_so(open_page: Open) -> None:
    app = open_page("sweeps", "http://127.0.0.1:9")
    assert not app.exception
    assert "The API does not answer" in texts(app)


def test_the_form_starts_a_sweep_and_says_by_name_what_is_wrong(
    open_page: Open, url: str, db: RedisDB
) -> None:
    app = open_page("sweeps", url, new="yes")
    app.number_input(key="sweep:high:learning_rate").set_value(100.0).run()
    button(app, "Start the sweep").click().run()
    assert "space.learning_rate" in texts(app)
    app.number_input(key="sweep:high:learning_rate").set_value(0.05).run()
    app.selectbox(key="sweep:sampler").set_value("nsga2").run()
    button(app, "Start the sweep").click().run()
    assert not app.exception
    (sweep,) = db.sweeps.list()
    assert set(sweep.request.space) == {"learning_rate", "batch_size", "network"}
    assert sweep.request.limits.trials == 12


def test_a_sweep_shows_how_it_stands_and_is_steered(open_page: Open, url: str, db: RedisDB) -> None:
    sweep = start(db)
    step(db, sweep)
    app = open_page("sweeps", url, id=sweep.sweep_id)
    assert not app.exception
    assert metric(app, "Trials") == "2 of 6"
    button(app, "Pause").click().run()
    assert db.sweeps.get(sweep.sweep_id).state is SweepState.PAUSED
    button(app, "Resume").click().run()
    train(db)
    train_all(db, sweep)
    app = open_page("sweeps", url, id=sweep.sweep_id)
    assert metric(app, "Best") == "50.00 %"
    assert len(app.dataframe[0].value) == 6
    assert "all 6 trials have ended" in texts(app)


def test_a_sweep_that_there_is_not_is_said_to_be_none(open_page: Open, url: str) -> None:
    app = open_page("sweeps", url, id="0" * 32)
    assert not app.exception
    assert "There is no sweep" in texts(app)


def test_a_figure_of_optunas_gets_the_look_of_ours_and_keeps_its_data() -> None:
    trace = {"type": "scatter", "mode": "markers", "x": [0, 1], "y": [2, 3], "customdata": ["a", "b"]}
    layout = {"title": {"text": "theirs"}, "xaxis": {"title": {"text": "Trial"}}, "template": {"data": {}}}
    drawn = json.loads(optuna_figure(json.dumps({"data": [trace], "layout": layout}), "key", "Ours"))
    assert (drawn["layout"]["title"]["text"], drawn["layout"]["xaxis"]["title"]["text"]) == ("Ours", "trial")
    assert drawn["data"][0]["customdata"] == ["a", "b"]
    assert drawn["layout"]["uirevision"] == "key"


def test_a_figure_of_optunas_gets_the_units_of_the_page() -> None:
    points = {"type": "scatter", "name": "behind it", "x": [0.5, 0.95], "y": [0.0005, 0.002]}
    line = {"type": "scatter", "mode": "lines", "name": "Best Value", "x": [0.5], "y": [None]}
    layout = {"xaxis": {"title": {"text": "Validation accuracy"}}, "yaxis": {"title": {"text": "CO₂ (g)"}}}
    text = json.dumps({"data": [points, line], "layout": layout})
    drawn = json.loads(optuna_figure(text, "key", "Pareto front"))
    assert drawn["layout"]["xaxis"]["title"]["text"] == "validation accuracy (%)"
    assert drawn["layout"]["yaxis"]["title"]["text"] == "CO₂ (mg)"
    assert (drawn["data"][0]["x"], drawn["data"][0]["y"]) == ([50.0, 95.0], [0.5, 2.0])
    assert (drawn["data"][1]["name"], drawn["data"][1]["y"]) == ("best so far", [None])
