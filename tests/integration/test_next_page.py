"""What to try next on the page Recommend, and the form that a link fills in."""

from __future__ import annotations

import json

from streamlit.testing.v1 import AppTest

from redis_db import RedisDB
from tests.integration import test_views
from tests.integration.test_leaderboard import finish
from tests.integration.test_next_try import finish_many
from tests.integration.test_recommend_page import number, plain
from tests.integration.test_views import Open, button, metric, texts
from tests.programs import wait_until
from tests.records import TORCH_WORKER

open_page = test_views.open_page
url = test_views.api_url


def until_known(app: AppTest) -> None:
    def is_known() -> bool:
        app.run()
        return "Learning from the finished runs" not in plain(app)

    wait_until(is_known, timeout_s=120, what="it is worked out")


def test_what_to_try_next_leads_to_a_form_with_its_values(open_page: Open, url: str, db: RedisDB) -> None:
    finish_many(db, 20)
    app = open_page("recommend", url)
    app.default_timeout = 60
    until_known(app)
    assert not app.exception
    assert "untried configurations near what was run" in plain(app)
    assert "points" in metric(app, "Expected gain")
    proposed = json.loads(app.json[-1].value)
    app.button(key="next:submit").click().run()
    assert not app.exception
    assert "Filled in with the hyperparameters of the link" in plain(app)
    button(app, "Review").click().run()
    assert json.loads(app.json[0].value)["hyper_params"].items() <= proposed.items()


def test_with_too_few_runs_the_page_says_what_is_missing(open_page: Open, url: str, db: RedisDB) -> None:
    finish(db, "a", accuracy=0.97)
    app = open_page("recommend", url)
    assert not app.exception
    assert "12 configurations of digits" in plain(app)


def test_what_a_link_says_wrongly_is_named_and_left_at_its_default(
    open_page: Open, url: str, db: RedisDB
) -> None:
    db.workers.beat(TORCH_WORKER, ttl_s=60)
    app = open_page("submit", url, trainer="cnn", num_epochs="3", learning_rate="50", speed="1")
    assert not app.exception
    assert "learning_rate: should be at most 10" in texts(app)
    assert "speed: there is no such hyperparameter" in texts(app)
    prefix = next(str(box.key) for box in app.number_input if box.label.startswith("Epochs")).rpartition(":")[
        0
    ]
    assert number(app, f"{prefix}:num_epochs").value == 3
    assert number(app, f"{prefix}:learning_rate").value == 0.002
