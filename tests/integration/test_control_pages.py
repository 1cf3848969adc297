"""What readers do to runs and workers on the pages, and what the pages say about it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import RerunData, RerunException
from streamlit.testing.v1 import AppTest

from client import Client
from redis_db import RedisDB
from schema import RunError, RunOptions, Status
from tests.acted_run import HYPER_PARAMS, ActedRun
from tests.integration import test_views
from tests.integration.test_views import Open, button, metric, silent, texts
from tests.programs import wait_until
from tests.records import TORCH_WORKER
from views import commands
from views.actions import RETRY

api_url, open_page, asked = test_views.api_url, test_views.open_page, test_views.asked
ERROR = RunError(
    kind="TrainingFailed",
    message="The loss is not finite.",
    hint="Lower the learning rate.",
    traceback="Traceback: in step 3",
    step=312,
    epoch=4,
    host="gpu-host",
)


def labels(app: AppTest) -> list[str]:
    """What can be done with a run; notes are for any."""
    return [found.label for found in app.button if found.label not in ("Star", "Add the note", "Reproduce")]


def notices(app: AppTest) -> list[str]:
    return [toast.value for toast in app.toast]


def mark(app: AppTest, *rows: int) -> AppTest:
    """Tick rows of the table, as the reader sees them."""
    selection: dict[str, Any] = {"rows": list(rows), "columns": [], "cells": []}
    app.session_state[str(app.dataframe[0].key)] = {"selection": selection}
    return app.run()


def failed(db: RedisDB, **changed: Any) -> ActedRun:
    acted = ActedRun(db, **changed)
    acted.record(3)
    acted.finish(ERROR)
    return acted


def test_a_waiting_run_is_paused_and_resumed_from_its_page(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    run_id = db.queue.submit(HYPER_PARAMS).run_id
    app = open_page("run", api_url, iid=run_id)
    assert labels(app) == ["Pause", "High priority", "Cancel"]

    button(app, "Pause").click().run()
    assert db.runs.get(run_id).status is Status.PAUSED
    assert labels(app) == ["Resume", "High priority", "Cancel"]
    assert "paused" in texts(app)

    button(app, "Resume").click().run()
    assert db.runs.get(run_id).status is Status.WAITING


def test_a_run_that_is_cancelled_says_so_until_its_worker_has_stopped(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    acted = ActedRun(db)
    app = open_page("run", api_url, iid=acted.run_id)

    button(app, "Cancel").click().run()
    assert db.runs.get(acted.run_id).request == "cancel"
    assert "cancelling …" in texts(app)
    assert labels(app) == []

    db.queue.release(acted.lease, reason="it was asked to")
    st.cache_data.clear()
    app.run()
    assert "cancelling …" not in texts(app)
    assert labels(app) == ["Retry", "Rerun", "Delete"]


def test_what_was_asked_is_taken_back_as_long_as_it_is_not_done(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    acted = ActedRun(db)
    app = open_page("run", api_url, iid=acted.run_id)
    button(app, "Pause").click().run()
    assert "pausing …" in texts(app)

    button(app, "Go on").click().run()

    assert db.runs.get(acted.run_id).request is None
    assert "pausing …" not in texts(app)


def test_a_refusal_stands_below_the_buttons_with_its_reason(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    acted = ActedRun(db)
    app = open_page("run", api_url, iid=acted.run_id)
    acted.finish()

    button(app, "Cancel").click().run()

    assert not app.exception
    assert f"Not cancelled: Run {acted.run_id} is done" in texts(app)
    assert labels(app)[:2] == ["Rerun", "Delete"]


def test_a_click_while_the_api_is_silent_is_not_lost_without_a_word(
    open_page: Open, api_url: str, db: RedisDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = db.queue.submit(HYPER_PARAMS).run_id
    app = open_page("run", api_url, iid=run_id)
    monkeypatch.setattr(Client, "_send", silent)

    button(app, "Cancel").click().run()

    assert not app.exception
    assert "It is not known whether it was cancelled: the API does not answer." in texts(app)
    assert "Not cancelled" not in texts(app)
    assert db.runs.get(run_id).status is Status.WAITING


@pytest.mark.parametrize("at", ["the pill", "the answer"])
def test_a_drawing_that_overtakes_a_click_neither_drops_nor_repeats_it(
    open_page: Open, api_url: str, db: RedisDB, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    acted = failed(db)
    app = open_page("run", api_url, iid=acted.run_id)
    badge, act = DeltaGenerator.badge, commands.act
    overtaken: list[str] = []
    acts: list[tuple[Any, ...]] = []
    anew = RerunException(RerunData(query_string=f"iid={acted.run_id}"))

    def badge_overtaken(self: DeltaGenerator, text: str, **options: Any) -> DeltaGenerator:
        if at == "the pill" and text == "retrying …" and not overtaken:
            overtaken.append(at)
            raise anew
        return badge(self, text, **options)

    def act_overtaken(*asked: Any) -> Any:
        acts.append(asked)
        after = act(*asked)
        if at == "the answer":
            overtaken.append(at)
            raise anew
        return after

    monkeypatch.setattr(DeltaGenerator, "badge", badge_overtaken)
    monkeypatch.setattr(commands, "act", act_overtaken)

    button(app, "Retry").click().run()
    app.run()

    assert not app.exception
    assert overtaken == [at]
    assert acts == [(acted.run_id, RETRY)]
    assert db.runs.get(acted.run_id).status is Status.WAITING


def test_a_failed_run_explains_itself_and_is_retried(open_page: Open, api_url: str, db: RedisDB) -> None:
    acted = failed(db)
    app = open_page("run", api_url, iid=acted.run_id)
    for told in (
        "TrainingFailed",
        "The loss is not finite.",
        "Lower the learning rate.",
        "last step 312",
        "gpu-host",
    ):
        assert told in texts(app)
    assert any("in step 3" in code.value for code in app.code)

    button(app, "Retry").click().run()

    assert db.runs.get(acted.run_id).status is Status.WAITING
    assert "TrainingFailed" not in texts(app)


def test_the_page_of_a_run_that_has_ended_is_drawn_again(
    open_page: Open, api_url: str, db: RedisDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    fragment = st.fragment
    intervals: list[object] = []

    def noted(*functions: Any, **options: Any) -> Any:
        if "run_every" in options:
            intervals.append(options["run_every"])
        return fragment(*functions, **options)

    monkeypatch.setattr(st, "fragment", noted)
    open_page("run", api_url, iid=failed(db).run_id)
    assert intervals[0] == 10


def test_what_could_lose_runs_is_said_on_the_runs_and_the_workers_page(
    open_page: Open, api_url: str, db: RedisDB, asked: list[str]
) -> None:
    warning = "Redis' appendonly is no"
    assert db.fitness.list_warnings(), "the tests' server has no file"
    for page in ("runs", "workers"):
        app = open_page(page, api_url)
        app.run()
        assert warning in texts(app)
    assert asked.count("/healthz") == 1


def test_a_deletion_is_confirmed_by_what_goes(open_page: Open, api_url: str, db: RedisDB) -> None:
    acted = ActedRun(db)
    acted.record(3)
    db.log.append(acted.lease, ["one line", "another"])
    acted.finish(ERROR)
    app = open_page("run", api_url, iid=acted.run_id)

    button(app, "Delete").click().run()
    assert db.runs.get(acted.run_id).status is Status.FAILED
    for told in ("3 epochs", "2 lines of its log", "1 attempt", "stay in the totals"):
        assert told in texts(app)

    button(app, "Delete it").click().run()
    assert db.runs.list().total == 0


def test_marked_runs_are_cancelled_together(open_page: Open, api_url: str, db: RedisDB) -> None:
    ids = [db.queue.submit(HYPER_PARAMS).run_id for _ in range(3)]
    app = open_page("runs", api_url)
    assert "Cancel" not in labels(app)

    mark(app, 0, 2)
    assert "2 runs marked" in texts(app)
    button(app, "Cancel").click().run()

    assert [db.runs.get(run_id).status.value for run_id in ids] == ["cancelled", "waiting", "cancelled"]
    assert notices(app) == ["2 runs cancelled."]


def test_marks_stay_with_their_runs_when_new_ones_arrive(open_page: Open, api_url: str, db: RedisDB) -> None:
    marked, other = (db.queue.submit(HYPER_PARAMS).run_id for _ in range(2))
    app = mark(open_page("runs", api_url), 1)
    db.queue.submit(HYPER_PARAMS)
    st.cache_data.clear()
    app.run()

    assert "1 run marked" in texts(app)
    button(app, "Cancel").click().run()

    assert db.runs.get(marked).status is Status.CANCELLED
    assert db.runs.get(other).status is Status.WAITING


def test_a_bulk_action_is_offered_for_the_runs_it_makes_sense_for(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    failed(db)
    db.queue.submit(HYPER_PARAMS)
    app = mark(open_page("runs", api_url), 0, 1)

    states = {found.label: found.disabled for found in app.button}
    assert (states["Cancel 1"], states["Retry 1"], states["Delete 1"], states["Resume"]) == (
        False, False, False, True,
    )  # fmt: skip


def test_marked_runs_are_deleted_after_a_look_at_them(open_page: Open, api_url: str, db: RedisDB) -> None:
    gone, kept = failed(db), failed(db)
    app = mark(open_page("runs", api_url), 1)

    button(app, "Delete").click().run()
    assert gone.run_id[:8] in texts(app)
    button(app, "Delete 1 run").click().run()

    assert [run.run_id for run in db.runs.list().runs] == [kept.run_id]


def test_all_failed_runs_are_retried_from_their_list(open_page: Open, api_url: str, db: RedisDB) -> None:
    runs = [failed(db) for _ in range(2)]
    app = open_page("runs", api_url, status="failed")
    table = app.dataframe[0].value
    assert list(table["kind"]) == ["TrainingFailed"] * 2
    assert list(table["message"]) == ["The loss is not finite."] * 2

    button(app, "Retry all").click().run()
    assert db.runs.get(runs[0].run_id).status is Status.FAILED
    button(app, "Retry 2 runs").click().run()

    assert [db.runs.get(run.run_id).status for run in runs] == [Status.WAITING] * 2
    assert "No runs match." in texts(app)


def test_the_list_of_waiting_runs_says_what_each_waits_for(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    db.queue.submit(HYPER_PARAMS, RunOptions.model_validate({"requires": {"gpus": 2, "zone": "de"}}))

    app = open_page("runs", api_url, status="waiting")

    (line,) = app.dataframe[0].value["line"]
    assert "python worker.py" in line


def test_the_workers_page_says_how_to_start_one(open_page: Open, api_url: str) -> None:
    assert "python worker.py" in open_page("workers", api_url).info[0].value


def test_a_worker_shows_its_run_and_is_drained(open_page: Open, api_url: str, db: RedisDB) -> None:
    acted = ActedRun(db, num_epochs=20)
    acted.record(7)
    changes = {"worker_id": acted.lease.worker_id, "run_id": acted.run_id, "power_w": 140.0}
    db.workers.beat(TORCH_WORKER.model_copy(update=changes), ttl_s=60)

    app = open_page("workers", api_url)
    assert not app.exception
    assert metric(app, "Power") == "140 W"
    assert metric(app, "Utilisation") == "–"
    assert "busy" in texts(app)
    assert f"Run {acted.run_id[:8]} · epoch 7 of 20" in [
        link.label.replace("\\", "") for link in app.page_link
    ]

    button(app, "Drain").click().run()
    assert "draining" in texts(app)
    button(app, "Take runs again").click().run()
    assert "busy" in texts(app)


def test_a_worker_that_fell_silent_says_who_has_its_run(open_page: Open, api_url: str, db: RedisDB) -> None:
    acted = ActedRun(db)
    changes = {"worker_id": acted.lease.worker_id, "name": "lost", "run_id": acted.run_id}
    db.workers.beat(TORCH_WORKER.model_copy(update=changes), ttl_s=0.01)
    db.queue.release(acted.lease, reason="its lease expired")
    queue = acted.lease.run.options.queue
    assert db.queue.claim([queue], worker_id="the heir", lease_s=60)
    # The store counts whole seconds.
    wait_until(lambda: not db.workers.list_live())

    app = open_page("workers", api_url)

    assert not app.exception
    assert "Gone in the last 24 hours" in [header.value for header in app.subheader]
    assert "was given to the heir" in texts(app)
    assert acted.run_id not in texts(app)
    assert acted.run_id[:8] in texts(app)


def test_the_options_of_a_submission_are_said_in_words_and_sent(open_page: Open, api_url: str) -> None:
    app = open_page("submit", api_url)
    app.number_input(key="submit:gpus").set_value(2)
    app.number_input(key="submit:gpu_memory").set_value(40.0)
    app.text_input(key="submit:zone").set_value("de")
    app.number_input(key="submit:timeout").set_value(90.0)
    app.number_input(key="submit:max_failures").set_value(1)
    button(app, "Review").click().run()
    assert "Its worker needs **2 GPUs with 40 GiB each in zone de**" in texts(app)
    assert "It may train for **1 h 30 min**" in texts(app).replace("\u00a0", " ")
    sent = json.loads(app.json[0].value)["options"]
    assert sent["requires"] == {"gpus": 2, "min_gpu_memory_gib": 40, "zone": "de"}
    assert (sent["timeout_s"], sent["max_failures"]) == (5400, 1)


def test_a_zone_that_is_none_is_refused_before_the_review(open_page: Open, api_url: str) -> None:
    app = open_page("submit", api_url)
    app.text_input(key="submit:zone").set_value("north pole")
    button(app, "Review").click().run()

    assert "requires.zone" in texts(app)
    assert "Queue it" not in labels(app)
