"""A run's page: how it is repeated, what has changed since, and its report."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest

from client import Client
from errors import ApiUnavailable
from redis_db import RedisDB
from schema import Scalar
from tests.integration import test_views
from tests.integration.test_reproduce import THEN, finish
from tests.integration.test_views import Open, button, texts
from tests.records import TORCH_WORKER

api_url, open_page = test_views.api_url, test_views.open_page


def opened(open_page: Open, url: str) -> Any:
    app = open_page("run", url, iid="r1")
    button(app, "Reproduce").click().run()
    assert not app.exception
    return app


def test_the_same_run_is_queued_again_with_one_press(open_page: Open, api_url: str, db: RedisDB) -> None:
    finish(db)
    app = opened(open_page, api_url)
    assert str(app.query_params["show"]) == "reproduce"
    assert "seed 7" in texts(app)
    assert any("wattle submit" in code.value for code in app.code)
    button(app, "Rerun as it was").click().run()
    new = db.runs.get(str(app.query_params["iid"]))
    assert new.rerun_of == "r1"
    assert new.hyper_params.items() >= db.runs.get("r1").hyper_params.items()


def test_another_code_is_said_before_a_run_is_queued_again(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    finish(db)
    now: dict[str, Scalar] = {**THEN, "git_commit": "bbbbbbbbbbbb", "packages": "numpy==2.2.0"}
    db.workers.beat(TORCH_WORKER, ttl_s=600, facts=now)
    app = opened(open_page, api_url)
    assert "The code is another one now" in texts(app)
    (changes,) = [table.value for table in app.dataframe if "Then" in table.value]
    assert list(changes.loc[0]) == ["torch", "2.12.0", "–"]
    db.workers.beat(TORCH_WORKER, ttl_s=600, facts=THEN)


def test_a_run_whose_repetition_was_not_answered_is_queued_once(
    open_page: Open, api_url: str, db: RedisDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(db)
    app = opened(open_page, api_url)
    sent = Client.rerun_run

    def lost(*arguments: Any, **options: Any) -> NoReturn:
        sent(*arguments, **options)
        raise ApiUnavailable("cut")

    with monkeypatch.context() as patched:
        patched.setattr(Client, "rerun_run", lost)
        button(app, "Rerun as it was").click().run()
    assert "not known whether it was queued" in texts(app)
    button(app, "Rerun as it was").click().run()
    assert not app.exception
    assert db.runs.list().total == 2


def test_a_running_run_has_no_button_yet(open_page: Open, api_url: str, db: RedisDB) -> None:
    db.queue.submit({"trainer": "cnn", "num_epochs": 3}, run_id="r1")
    app = open_page("run", api_url, iid="r1")
    assert "Reproduce" not in [found.label for found in app.button]
