"""The pages without a browser: the real API on a real store, Streamlit's own test runner in front."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button, Html
from werkzeug.serving import make_server

from backend import create_app
from client import Client
from errors import ApiUnavailable
from redis_db import RedisDB
from schema import RunError
from settings import Settings
from tests.acted_run import HYPER_PARAMS, ActedRun
from tests.records import TORCH_WORKER as WORKER
from views import source

Open = Callable[..., AppTest]
TIMEOUT_S = 60


def pages(default: str) -> None:
    """Wattle with another first page; Streamlit runs this function's source as a script."""
    from importlib import import_module

    import streamlit as st

    from views import parts

    names = (
        "access alerts carbon compare home leaderboard live models recommend run runs submit sweeps totals"
    )
    made = {
        name: st.Page(
            import_module(f"views.{name}.page").show, title=name, url_path=name, default=name == default
        )
        for name in (*names.split(), "workers")
    }
    parts.register_pages(made)
    st.navigation(list(made.values())).run()


def shown_notes(app: AppTest) -> list[str]:
    """The notes of a run, as the HTML that is made of them."""
    pages = "".join(element.value for element in app.get("html") if isinstance(element, Html))
    return re.findall(r'<div class="note-text">(.*?)\s*</div>', pages, flags=re.DOTALL)


@pytest.fixture
def api_url(db: RedisDB, tmp_path: Path) -> Iterator[str]:
    """The API in a thread of this process."""
    server = make_server("127.0.0.1", 0, create_app(Settings(data_dir=tmp_path), db), threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Run a page until it is drawn; nothing is remembered from the test before."""

    def run(name: str, api_url: str, **query: str) -> AppTest:
        monkeypatch.setenv("WATTLE_API_URL", api_url)
        app = AppTest.from_function(pages, kwargs={"default": name}, default_timeout=TIMEOUT_S)
        for key, value in query.items():
            app.query_params[key] = value
        return app.run()

    yield run
    source.api().close()
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that the page asks the API for, as they come."""
    addresses: list[str] = []
    send = httpx.Client.send

    def note(client: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        addresses.append(request.url.raw_path.decode())
        return send(client, request, **options)

    monkeypatch.setattr(httpx.Client, "send", note)
    return addresses


def silent(*_: object, **__: object) -> NoReturn:
    raise ApiUnavailable("No answer.")


def texts(app: AppTest) -> str:
    """All that is written on the page, without what Markdown needs to leave it as it is."""
    kinds = (app.markdown, app.info, app.warning, app.error, app.caption, app.title, app.header)
    return " ".join(str(element.value) for kind in kinds for element in kind).replace("\\", "")


def metric(app: AppTest, label: str) -> str:
    return next(str(m.value).replace("\u00a0", " ") for m in app.metric if m.label.startswith(label))


def test_without_runs_the_page_says_what_to_do_next(open_page: Open, api_url: str) -> None:
    app = open_page("runs", api_url)

    assert not app.exception
    assert "No runs yet. Submit the first one" in app.info[0].value


def test_the_table_of_runs_shows_what_each_achieved_and_cost(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    done = ActedRun(db, num_epochs=4)
    done.record(4)
    done.finish()
    unknown = ActedRun(db, num_epochs=4, network="resnet9")
    unknown.record(1, quality=None)

    app = open_page("runs", api_url)
    table = app.dataframe[0].value.set_index("id")

    assert not app.exception
    assert table.loc[done.run_id[:8], "status"] == ["done"]
    assert table.loc[done.run_id[:8], "run"] == "small_cnn · digits · adam"
    assert table.loc[done.run_id[:8], "progress"] == 100
    assert table.loc[done.run_id[:8], "energy"] == pytest.approx(0.012, abs=0.001)
    assert table["energy"].isna()[unknown.run_id[:8]]
    assert (metric(app, "Running"), metric(app, "Done"), metric(app, "Failed")) == ("1", "1", "0")


def test_a_waiting_run_without_a_worker_tells_how_to_start_one(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    db.queue.submit(HYPER_PARAMS)

    assert "python worker.py" in texts(open_page("runs", api_url))


def test_search_and_status_filter_the_list(open_page: Open, api_url: str, db: RedisDB) -> None:
    ActedRun(db, network="resnet9")
    ActedRun(db, network="small_cnn")

    assert list(open_page("runs", api_url, q="RESNET").dataframe[0].value["run"]) == [
        "resnet9 · digits · adam"
    ]
    nothing = open_page("runs", api_url, status="failed")
    assert not nothing.dataframe
    assert "No runs match." in texts(nothing)


def test_another_filter_does_not_show_the_last_one_s_runs_while_the_api_is_silent(
    open_page: Open, api_url: str, db: RedisDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    ActedRun(db)
    app = open_page("runs", api_url)
    monkeypatch.setattr(Client, "_send", silent)
    st.cache_data.clear()

    assert len(app.run().dataframe) == 1
    app.session_state["status"] = "failed"
    app.run()

    assert not app.dataframe
    assert "The API does not answer." in texts(app)


def test_more_runs_than_a_page_holds_are_paged_back_and_forth(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    oldest = db.queue.submit(HYPER_PARAMS).run_id
    for _ in range(source.PAGE_SIZE):
        db.queue.submit(HYPER_PARAMS)

    app = open_page("runs", api_url)
    assert len(app.dataframe[0].value) == source.PAGE_SIZE
    assert "1–200 of 201 runs" in texts(app)
    button(app, "Older").click().run()

    assert list(app.dataframe[0].value["id"]) == [oldest[:8]]
    assert "201–201 of 201 runs" in texts(app)
    button(app, "Newer").click().run()
    assert len(app.dataframe[0].value) == source.PAGE_SIZE


def test_a_run_s_page_shows_figures_epochs_and_where_they_come_from(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    acted = ActedRun(db, num_epochs=20)
    db.runs.describe(acted.lease, {"energy_source": "load_x_power", "intensity_source": "USA 385 g/kWh"})
    acted.record(5)

    app = open_page("run", api_url, iid=acted.run_id)

    assert not app.exception
    assert metric(app, "Best test accuracy") == "73.21 %"
    assert metric(app, "Energy :orange-badge[estimated]") == "0.015 Wh"
    assert "USA 385 g" in next(m.help for m in app.metric if m.label == "CO₂").replace("\\", "")
    assert list(app.dataframe[0].value["epoch"]) == [5, 4, 3, 2, 1]
    assert "running" in texts(app)


def test_a_simulated_run_says_so_on_every_page(open_page: Open, api_url: str, db: RedisDB) -> None:
    acted = ActedRun(db, trainer="demo", simulated=True)
    acted.record(5, quality="simulated")

    page = open_page("run", api_url, iid=acted.run_id)
    table = open_page("runs", api_url)

    assert "simulated" in texts(page)
    assert page.selectbox[0].options == [f"small_cnn · digits · adam (simulated) — {acted.run_id[:8]}"]
    assert metric(page, "Energy :yellow-badge[simulated]") == "0.015 Wh"
    assert "nothing measured" in next(m.help for m in page.metric if m.label.startswith("Energy"))
    assert list(table.dataframe[0].value["status"][0]) == ["running", "simulated"]
    assert metric(table, "CO₂ of the runs below") == "–"


def test_a_real_run_is_nowhere_called_simulated(open_page: Open, api_url: str, db: RedisDB) -> None:
    acted = ActedRun(db)
    acted.record(5)
    for page in (open_page("run", api_url, iid=acted.run_id), open_page("runs", api_url)):
        # The help of the search lists the fields of runs.
        assert "simulated" not in texts(page).replace("starred, simulated, external", "")


def test_demo_mode_starts_on_only_without_a_worker_that_has_torch(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    db.workers.beat(WORKER.model_copy(update={"torch": None, "worker_id": "w-2"}), ttl_s=60)
    without = open_page("submit", api_url)
    assert without.toggle(key="submit:demo").value
    button(without, "Review").click().run()
    assert "Simulate **small_cnn** on **digits**" in texts(without)
    assert [b.label for b in without.button if b.label == "Queue it"]

    source.get_health.clear()
    db.workers.beat(WORKER, ttl_s=60)
    assert not open_page("submit", api_url).toggle(key="submit:demo").value


def test_unknown_energy_is_a_dash_with_its_reason(open_page: Open, api_url: str, db: RedisDB) -> None:
    acted = ActedRun(db)
    acted.record(2)
    acted.record(1, quality=None)

    app = open_page("run", api_url, iid=acted.run_id)

    note = "1 of 3 epochs have no known energy: no meter on this host could be read."
    for label in ("Energy", "CO₂"):
        assert metric(app, label) == "–"
        assert next(m.help for m in app.metric if m.label.startswith(label)).replace("\\", "") == note
    assert "no meter on this host could be read" in texts(app)


def test_epochs_are_asked_for_once_until_the_run_changes(
    open_page: Open, api_url: str, db: RedisDB, asked: list[str]
) -> None:
    acted = ActedRun(db)
    acted.record(3)
    app = open_page("run", api_url, iid=acted.run_id)
    for _ in range(2):
        st.cache_data.clear()
        app.run()

    run = f"/api/runs/{acted.run_id}"
    assert asked.count(f"{run}/epochs") == 1
    assert asked.count(f"{run}?fields=") == 3
    assert run not in asked

    acted.record()
    st.cache_data.clear()
    app.run()

    assert asked.count(f"{run}/epochs") == 2
    assert list(app.dataframe[0].value["epoch"]) == [4, 3, 2, 1]


def test_many_epochs_are_paged_the_newest_first(open_page: Open, api_url: str, db: RedisDB) -> None:
    acted = ActedRun(db, num_epochs=500)
    acted.record(401)

    app = open_page("run", api_url, iid=acted.run_id)
    assert list(app.dataframe[0].value["epoch"]) == list(range(401, 201, -1))

    app.session_state[f"epochs_page:{acted.run_id}"] = 3
    assert list(app.run().dataframe[0].value["epoch"]) == [1]


def test_a_failed_run_shows_why_with_its_traceback(open_page: Open, api_url: str, db: RedisDB) -> None:
    acted = ActedRun(db)
    acted.finish(RunError(kind="TrainingFailed", message="loss is *NaN*", traceback="Traceback: in step 3"))

    app = open_page("run", api_url, iid=acted.run_id)

    assert "TrainingFailed" in app.error[0].value
    assert "loss is *NaN*" in texts(app)
    assert any("in step 3" in code.value for code in app.code)


def test_a_run_that_is_not_there_is_a_calm_message(open_page: Open, api_url: str) -> None:
    app = open_page("run", api_url, iid="deadbeef")

    assert not app.exception
    assert "There is no run deadbeef here." in texts(app)


def test_without_an_id_the_newest_run_is_shown(open_page: Open, api_url: str, db: RedisDB) -> None:
    newest = ActedRun(db)

    assert open_page("run", api_url).query_params["iid"] == newest.run_id


@pytest.mark.parametrize("page", ["runs", "run", "submit", "workers"])
def test_a_silent_api_is_a_banner_with_the_remedy(open_page: Open, page: str) -> None:
    app = open_page(page, "http://127.0.0.1:9")

    assert not app.exception
    assert "python backend.py" in app.warning[0].value


def test_the_review_says_in_words_what_will_be_queued_and_what_was_changed(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    db.workers.beat(WORKER, ttl_s=60)
    app = open_page("submit", api_url)
    app.selectbox(key="submit:cnn:network").set_value("resnet9")
    app.number_input(key="submit:cnn:num_epochs").set_value(3)
    app.text_input(key="submit:tags").set_value("paper, baseline")
    button(app, "Review").click().run()

    assert "Train **resnet9** on **digits**" in texts(app)
    assert "for **3 epochs**" in texts(app)
    assert "Tags: paper, baseline." in texts(app)
    table = app.dataframe[0].value.set_index("Hyperparameter")
    assert list(table.loc["Network"]) == ["resnet9", "small_cnn"]
    assert list(table.loc["Dataset"]) == ["digits", ""]
    assert db.queue.length() == 0


def test_a_queue_name_that_is_not_one_is_refused_before_the_review(open_page: Open, api_url: str) -> None:
    app = open_page("submit", api_url)
    app.text_input(key="submit:queue").set_value("Not A Queue")
    button(app, "Review").click().run()

    assert "queue" in texts(app)
    assert not [b for b in app.button if b.label == "Queue it"]


def button(app: AppTest, label: str) -> Button:
    return next(found for found in app.button if found.label == label)


def test_a_run_s_page_shows_what_its_energy_comes_to(open_page: Open, api_url: str, db: RedisDB) -> None:
    other, acted = ActedRun(db), ActedRun(db)
    for run in (other, acted):
        run.record(3)
    other.finish()
    assert "Whole run, predicted: energy **" in texts(open_page("run", api_url, iid=acted.run_id))
    acted.finish()
    st.cache_data.clear()
    app = open_page("run", api_url, iid=acted.run_id)
    assert not app.exception
    assert "estimated ±40" in texts(app)
    assert metric(app, "Phone charges").endswith("of one")
    assert "median of one other done run on **digits**" in texts(app)
    assert "Whole run" not in texts(app)
    assert "Power over time: none was logged" in texts(app)


def test_the_totals_page_adds_up_real_runs_only(open_page: Open, api_url: str, db: RedisDB) -> None:
    assert "Nothing was trained in the last 30 days." in open_page("totals", api_url).info[0].value
    ActedRun(db).record(2)
    ActedRun(db, simulated=True).record(2, quality="simulated")
    st.cache_data.clear()
    app = open_page("totals", api_url)
    assert not app.exception
    assert metric(app, "Energy") == "6.18 mWh"
    assert list(app.dataframe[0].value["Epochs"]) == [2]
