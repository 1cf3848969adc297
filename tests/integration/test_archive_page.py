"""What a reader sees of archived runs, and how they bring one back."""

from __future__ import annotations

from pathlib import Path

import redis
from streamlit.testing.v1 import AppTest

from archive.opening import open_archive
from redis_db import RedisDB
from settings import Settings
from tests.integration import test_views
from tests.integration.test_archive import DONE, archive_one
from tests.integration.test_control_pages import labels
from tests.integration.test_views import Open, button, texts
from tests.stored_commands import load

api_url, open_page = test_views.api_url, test_views.open_page


def labels_of_all(app: AppTest) -> list[str]:
    return [found.label for found in app.button]


def test_an_archived_run_is_marked_and_restored_from_its_page(
    open_page: Open, api_url: str, db: RedisDB, raw: redis.Redis, tmp_path: Path
) -> None:
    load(raw, "layout-1.jsonl")
    settings = Settings(_env_file=None, data_dir=tmp_path)
    archive = open_archive(settings, layout=1)
    archive_one(db, archive, settings, DONE)
    archive.close()

    (table,) = open_page("runs", api_url).dataframe
    pills = [list(cell) for cell in table.value["status"]]
    assert [own for own in pills if "archived" in own] == [["done", "archived"]]

    app = open_page("run", api_url, iid=DONE)
    assert "archived" in texts(app)
    assert labels(app)[:2] == ["Rerun", "Restore"]
    # What would be refused is not offered.
    assert (button(app, "Starred").disabled, "Add the note" in labels_of_all(app)) == (True, False)
    button(app, "Restore").click().run()
    assert (button(app, "Starred").disabled, "Add the note" in labels_of_all(app)) == (False, True)
    assert labels(app)[:2] == ["Rerun", "Delete"]
    assert raw.hget(f"run:{DONE}", "status") == "done"
    assert db.archiving.count() == 0
