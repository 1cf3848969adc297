"""What is kept of a project's files, on the page, without a browser."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from redis_db import RedisDB
from schema import RetentionPolicy, Status
from tests.integration.test_external_pages import begin
from tests.integration.test_models_page import checkpoint, register
from tests.integration.test_views import Open, api_url, button, metric, open_page, texts
from views.models.retention import sentence

__all__ = ["api_url", "open_page"]


def ended_run(db: RedisDB, api_url: str, *, steps: int = 4) -> str:
    iid = begin(db)
    for step in range(steps):
        checkpoint(api_url, iid, step=step, accuracy=step / 10)
    db.external.end(iid, Status.DONE)
    return iid


def toggle(app: AppTest, label: str) -> Any:
    return next(found for found in app.toggle if found.label == label)


def kept_last(app: AppTest, count: int) -> None:
    toggle(app, "Keep the last").set_value(True).run()
    app.number_input(key="number_last:default").set_value(count).run()
    button(app, "Save").click().run()


def steps_left(db: RedisDB, iid: str) -> list[int | None]:
    return [artifact.step for artifact in db.artifacts.list(iid, limit=100).artifacts]


def test_a_dry_run_names_what_goes_and_only_then_it_goes(open_page: Open, api_url: str, db: RedisDB) -> None:
    iid = ended_run(db, api_url)
    app = open_page("models", api_url, tab="Retention")
    assert not app.exception
    assert "Nothing is deleted." in texts(app)
    kept_last(app, 2)
    assert "Of each run the last 2 are kept, the others are deleted." in texts(app)

    button(app, "Dry run").click().run()
    assert not app.exception
    assert (metric(app, "Would be deleted"), metric(app, "Kept")) == ("2", "2")
    table = app.dataframe[0].value
    assert list(table["Run"]) == [f"/run?iid={iid}"] * 2
    assert sorted(table["Version"]) == [1, 2]
    assert len(steps_left(db, iid)) == 4, "a dry run deletes nothing"

    button(app, "Delete these …").click().run()
    assert "2 files" in texts(app)
    button(app, "Delete them").click().run()
    assert not app.exception
    assert steps_left(db, iid) == [3, 2]
    assert not app.dataframe


def test_what_has_changed_since_the_dry_run_is_not_deleted(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    iid = ended_run(db, api_url)
    app = open_page("models", api_url, tab="Retention")
    kept_last(app, 2)
    button(app, "Dry run").click().run()
    register(api_url, iid, "digits", version=1)
    button(app, "Delete these …").click().run()
    button(app, "Delete them").click().run()
    assert not app.exception
    assert "Nothing was deleted:" in texts(app)
    assert len(steps_left(db, iid)) == 4


def test_a_policy_has_to_be_saved_before_its_dry_run_and_a_wrong_metric_is_said(
    open_page: Open, api_url: str
) -> None:
    app = open_page("models", api_url, tab="Retention")
    assert button(app, "Save").disabled
    assert toggle(app, "Apply it once a day").disabled
    toggle(app, "Keep the best").set_value(True).run()
    assert not button(app, "Save").disabled
    assert button(app, "Dry run").disabled
    assert not toggle(app, "Apply it once a day").disabled
    app.text_input(key="metric:default").set_value("two words").run()
    assert not app.exception
    assert "A metric has a name of letters" in texts(app)


def test_a_policy_reads_as_a_sentence() -> None:
    assert sentence(RetentionPolicy()) == "Nothing is deleted."
    assert sentence(RetentionPolicy(keep_best=3, metric="val_loss")) == (
        "Of each run the best 3 by val_loss are kept, the others are deleted."
    )
    assert sentence(RetentionPolicy(keep_best=3, keep_last=1, older_than_days=30)) == (
        "What is older than 30 days is deleted, except the best 3 by accuracy and the last 1 of each run."
    )
    assert sentence(RetentionPolicy(older_than_days=30)) == "What is older than 30 days is deleted."


@pytest.mark.parametrize("project", ["../x", "a b<script>", "x" * 200])
def test_of_what_no_project_can_be_called_the_page_says_so(
    open_page: Open, api_url: str, db: RedisDB, project: str
) -> None:
    begin(db)
    app = open_page("models", api_url, tab="Retention", project=project)
    assert not app.exception
    assert len(app.warning) == 1
    assert project[:2] in app.warning[0].value.replace("\\", "")
