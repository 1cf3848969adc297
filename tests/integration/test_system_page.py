"""How busy the machine of a run was, on its page."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from streamlit.testing.v1 import AppTest

from redis_db import RedisDB
from schema import UsagePoint
from tests.acted_run import ActedRun
from tests.integration.test_external_pages import begin, report
from tests.integration.test_views import Open, api_url, asked, open_page, texts
from views import source

__all__ = ["api_url", "asked", "open_page"]


def open_tab(app: AppTest, run_id: str) -> AppTest:
    app.session_state[f"tabs:{run_id}"] = "System"
    return app.run()


def charts(app: AppTest, key: str) -> dict[str, Any]:
    """The curves of each chart, by title."""
    for element in app.get("bidi_component"):
        if element.proto.id.endswith(f"-{key}"):
            figures = [json.loads(text) for text in json.loads(element.proto.json)["figures"]]
            return {
                figure["layout"]["title"]["text"]: {curve["name"]: curve["y"] for curve in figure["data"]}
                for figure in figures
            }
    return {}


def test_what_the_worker_read_is_shown_where_somebody_looks(
    open_page: Open, api_url: str, db: RedisDB, asked: list[str]
) -> None:
    acted = ActedRun(db)
    acted.record()
    app = open_page("run", api_url, iid=acted.run_id)
    assert not [address for address in asked if "/api/metrics" in address]
    assert "come 15 seconds after the start" in texts(open_tab(app, acted.run_id))
    started_at = db.runs.get(acted.run_id).started_at
    assert started_at is not None
    points = [
        UsagePoint(at=started_at + timedelta(seconds=5 * number), values={"cpu_percent": 10.0 * number})
        for number in (1, 2)
    ]
    db.usage.append(acted.lease, points, interval_s=5)
    source.list_system.clear()
    open_tab(app, acted.run_id)
    assert charts(app, f"system:{acted.run_id}") == {"CPU of the machine": {"machine": [10.0, 20.0]}}
    assert "GPUs (none was found)" in texts(app)
    assert not app.exception


def test_a_scripts_own_figures_are_in_the_same_charts(open_page: Open, api_url: str, db: RedisDB) -> None:
    run_id = begin(db)
    names = ("cpu_percent", "gpu0_percent", "gpu1_percent", "disk_read_mib_per_s", "disk_write_mib_per_s")
    report(db, run_id, loss=[2.0, 1.0], **{f"system/{name}": [1.0, 2.0] for name in names})
    app = open_page("run", api_url, iid=run_id)
    assert list(charts(app, f"charts:{run_id}")) == ["loss"], "those of the machine have a place of their own"
    open_tab(app, run_id)
    shown = charts(app, f"system:{run_id}")
    assert list(shown) == ["CPU of the machine", "Disk traffic of the machine", "GPU utilisation"]
    assert shown["GPU utilisation"] == {"GPU 0": [1.0, 2.0], "GPU 1": [1.0, 2.0]}
    assert "Not measured: CPU of the training, Memory of the machine" in texts(app)
    assert not app.exception


def test_a_script_without_them_is_told_how(open_page: Open, api_url: str, db: RedisDB) -> None:
    run_id = begin(db)
    report(db, run_id, loss=[2.0])
    app = open_tab(open_page("run", api_url, iid=run_id), run_id)
    assert "Its script reports no metrics of its machine" in texts(app)


def test_only_what_a_chart_shows_is_asked_for(
    open_page: Open, api_url: str, db: RedisDB, asked: list[str]
) -> None:
    run_id = begin(db)
    own = {f"system/own{number}": [1.0] for number in range(30)}
    report(db, run_id, **own, **{"system/cpu_percent": [1.0]})
    app = open_page("run", api_url, iid=run_id)
    asked.clear()
    open_tab(app, run_id)
    assert not app.exception
    assert charts(app, f"system:{run_id}") == {"CPU of the machine": {"machine": [1.0]}}
    assert not [address for address in asked if "own" in address]
