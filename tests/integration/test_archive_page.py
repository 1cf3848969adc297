"""What a reader sees of archived runs, and how they bring one back."""

from __future__ import annotations

from pathlib import Path

import redis

from archive.opening import open_archive
from redis_db import RedisDB
from settings import Settings
from tests.integration import test_views
from tests.integration.test_archive import DONE, archive_one
from tests.integration.test_control_pages import labels
from tests.integration.test_views import Open, button, texts
from tests.stored_commands import load

api_url, open_page = test_views.api_url, test_views.open_page


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
    button(app, "Restore").click().run()
    assert labels(app)[:2] == ["Rerun", "Delete"]
    assert raw.hget(f"run:{DONE}", "status") == "done"
    assert db.archiving.count() == 0
