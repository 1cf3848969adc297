"""The run page's section of models: downloads, and what it says where there are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from redis_db import RedisDB
from tests.acted_run import ActedRun
from tests.integration import test_views
from tests.integration.test_views import Open, texts
from tests.saved import save_models

# The fixtures of the pages.
api_url, open_page = test_views.api_url, test_views.open_page


def test_the_models_of_a_done_run_can_be_downloaded(
    open_page: Open, api_url: str, db: RedisDB, tmp_path: Path
) -> None:
    acted = ActedRun(db)
    acted.record(2)
    acted.finish()
    save_models(tmp_path / "models", acted.run_id)

    app = open_page("run", api_url, iid=acted.run_id)

    assert not app.exception
    assert "Models" in [header.value for header in app.subheader]
    assert "**Best** · epoch 1" in texts(app)
    assert "Validation accuracy 75.00\u00a0% · Test accuracy 50.00\u00a0% · chosen by validation" in texts(
        app
    )
    found: list[Any] = list(app.get("link_button"))
    kinds = [
        element.label.split(" · ")[0]
        for element in found
        if element.label.split()[0] not in ("Download", "Report")
    ]
    assert kinds == ["safetensors", "PyTorch", "card", "safetensors", "card"]


def test_a_done_run_whose_models_are_not_here_says_where_to_look(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    acted = ActedRun(db)
    acted.finish()
    page = open_page("run", api_url, iid=acted.run_id)
    assert "WATTLE_MODEL_URL" in texts(page)


@pytest.mark.parametrize(
    ("hyper_params", "is_done"),
    [({}, False), ({"trainer": "demo", "simulated": True}, True), ({"trainer": "script"}, True)],
    ids=["running", "simulated", "script"],
)
def test_a_run_that_leaves_no_models_does_not_speak_of_them(
    open_page: Open, api_url: str, db: RedisDB, hyper_params: dict[str, Any], is_done: bool
) -> None:
    acted = ActedRun(db, **hyper_params)
    if is_done:
        acted.finish()
    page = open_page("run", api_url, iid=acted.run_id)
    assert not page.exception
    assert "Models" not in [header.value for header in page.subheader]
