"""Models on the page of their run and on their own, without a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from streamlit.testing.v1 import AppTest

from client import Client
from redis_db import NewModel, RedisDB
from schema import ModelArtifact
from tests.acted_run import ActedRun
from tests.integration.test_external_pages import begin
from tests.integration.test_views import Open, api_url, button, open_page, silent, texts
from tests.saved import save_models
from tests.sent_files import send
from tests.weights import safetensors
from views import artifact_source

__all__ = ["api_url", "open_page"]


def checkpoint(api_url: str, iid: str, *, step: int = 10, accuracy: float = 0.5) -> None:
    data = bytes([step]) * 16
    send(
        api_url,
        iid,
        "weights.safetensors",
        safetensors(data=data),
        kind="checkpoint",
        step=step,
        metrics={"accuracy": accuracy},
    )


def register(api_url: str, iid: str, name: str, artifact: str = "weights.safetensors", **more: Any) -> None:
    body = {"name": name, "run_id": iid, "artifact": artifact, **more}
    httpx.post(f"{api_url}/api/models", json=body, trust_env=False, timeout=60).raise_for_status()


def begin_with_model(api_url: str, db: RedisDB) -> str:
    """Begin another run with a checkpoint; a name that is known can be chosen without a keyboard."""
    iid = begin(db, name="another")
    checkpoint(api_url, iid, step=99)
    return iid


def opened(app: AppTest, key: str) -> AppTest:
    """Open a small form, as a click on its button does."""
    app.session_state[key] = True
    return app.run()


def stages(db: RedisDB, name: str) -> dict[int, str]:
    return {version.version: version.stage for version in db.models.list(name=name, limit=500).versions}


def test_without_models_the_page_says_how_to_come_by_one(open_page: Open, api_url: str) -> None:
    app = open_page("models", api_url)
    assert not app.exception
    assert "No models yet." in app.info[0].value


def test_a_checkpoint_becomes_a_version_of_a_model(open_page: Open, api_url: str, db: RedisDB) -> None:
    iid = begin(db)
    checkpoint(api_url, iid, step=10)
    checkpoint(api_url, iid, step=20, accuracy=0.75)
    app = open_page("run", api_url, iid=iid)
    assert not app.exception
    table = next(frame.value for frame in app.dataframe if "SHA-256" in frame.value)
    assert list(table["Step"]) == [20, 10]
    assert list(table["accuracy"]) == [0.75, 0.5]

    file = next(found for found in app.selectbox if found.label == "File")
    assert file.options == ["weights.safetensors · v2 · step 20", "weights.safetensors · v1 · step 10"]
    for _ in range(2):
        register(api_url, begin_with_model(api_url, db), "digits")
    db.models.delete("digits", 2)
    file.set_value("weights.safetensors:1").run()
    opened(app, f"register:{iid}:weights.safetensors:1")
    next(found for found in app.selectbox if found.label == "Model").set_value("digits").run()
    # No number is given twice, also not that of a deleted version.
    assert "It becomes version 3 of digits, a candidate." in texts(app)
    button(app, "Register it").click().run()
    assert not app.exception
    kept = list(db.models.list(name="digits", limit=500).versions)
    assert (kept[0].version, kept[0].run_id, kept[0].artifact.version) == (3, iid, 1)
    assert app.session_state[f"register:{iid}:weights.safetensors:1"] is False
    assert "from weights.safetensors v1" in texts(app)
    assert "digits has version 3, a candidate." in app.toast[0].value.replace("\\", "")


def test_why_a_file_was_not_registered_stands_in_the_form(
    open_page: Open, api_url: str, db: RedisDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    iid = begin(db)
    checkpoint(api_url, iid)
    register(api_url, begin_with_model(api_url, db), "digits")
    app = opened(open_page("run", api_url, iid=iid), f"register:{iid}:weights.safetensors:1")
    next(found for found in app.selectbox if found.label == "Model").set_value("digits").run()
    monkeypatch.setattr(Client, "register_model", silent)
    button(app, "Register it").click().run()
    assert not app.exception
    assert "Not registered: No answer." in texts(app)
    assert app.session_state[f"register:{iid}:weights.safetensors:1"] is True
    assert len(db.models.list(limit=500).versions) == 1


def test_the_best_model_of_a_run_of_the_queue_is_registered(
    open_page: Open, api_url: str, db: RedisDB, tmp_path: Path
) -> None:
    acted = ActedRun(db)
    acted.record(2)
    acted.finish()
    save_models(tmp_path / "models", acted.run_id)
    register(api_url, begin_with_model(api_url, db), "digits")
    app = opened(open_page("run", api_url, iid=acted.run_id), f"register:{acted.run_id}:best:None")
    next(found for found in app.selectbox if found.label == "Model").set_value("digits").run()
    button(app, "Register it").click().run()
    assert not app.exception
    assert [own.artifact.name for own in db.models.list(name="digits", limit=500).versions][:1] == ["best"]


def test_a_version_goes_into_production_and_the_former_one_is_archived(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    iid = begin(db)
    for step in (10, 20):
        checkpoint(api_url, iid, step=step)
    register(api_url, iid, "digits", version=1)
    register(api_url, iid, "digits", version=2)
    db.models.set_stage("digits", 1, "production", None)
    app = open_page("models", api_url)
    assert not app.exception
    assert "**digits**" in texts(app)
    assert "2 versions · newest 2" in texts(app)
    button(app, "Versions").click().run()
    assert "Version 1 is in production." in texts(app)

    opened(app, "stage:digits:2")
    groups: list[Any] = list(app.get("button_group"))
    stage = next(found for found in groups if found.label == "Stage")
    stage.set_value("production").run()
    assert "Version 1, which is in production now, becomes archived." in texts(app)
    next(found for found in app.text_input if found.label == "Why").set_value("beats *all*").run()
    button(app, "Change it").click().run()
    assert not app.exception
    assert stages(db, "digits") == {2: "production", 1: "archived"}
    assert "Version 2 is in production." in texts(app)
    assert "beats *all*" in texts(app)


def test_a_version_is_deleted_but_not_from_production(open_page: Open, api_url: str, db: RedisDB) -> None:
    iid = begin(db)
    checkpoint(api_url, iid)
    register(api_url, iid, "digits")
    app = opened(open_page("models", api_url, model="digits"), "unregister:digits:1")
    button(app, "Delete it").click().run()
    assert not app.exception
    assert list(db.models.list(limit=500).versions) == []
    assert "No models yet." in app.info[0].value
    assert db.artifacts.get(iid, "weights.safetensors", 1), "its file stays"


def test_models_are_searched_and_chosen_by_stage(open_page: Open, api_url: str, db: RedisDB) -> None:
    iid = begin(db)
    checkpoint(api_url, iid)
    for name in ("digits", "letters"):
        register(api_url, iid, name)
    db.models.set_stage("letters", 1, "production", None)
    app = open_page("models", api_url, search="DIG")
    assert "**digits**" in texts(app)
    assert "**letters**" not in texts(app)
    app = open_page("models", api_url, stage="production")
    assert "**digits**" not in texts(app)
    assert "**letters**" in texts(app)
    assert "There is no model gone here." in texts(open_page("models", api_url, model="gone"))


def test_the_lineage_of_a_run_leads_to_its_neighbours(open_page: Open, api_url: str, db: RedisDB) -> None:
    first, second = begin(db, name="pretraining"), begin(db, name="finetuning")
    checkpoint(api_url, first)
    register(api_url, first, "backbone")
    alone = open_page("run", api_url, iid=second)
    assert "Lineage" not in [header.value for header in alone.subheader]

    db.models.use(second, ["backbone:1"])
    artifact_source.forget()
    app = open_page("run", api_url, iid=second)
    assert not app.exception
    assert "Lineage" in [header.value for header in app.subheader]
    drawn = str(app.get("graphviz_chart")[0].proto.spec)
    assert 'label="pretraining\\nrun ' in drawn
    assert 'label="backbone v1\\ncandidate"' in drawn
    assert f'URL="/run?iid={first}"' in drawn
    assert 'URL="/models?model=backbone"' in drawn
    assert drawn.count("->") == 2


@pytest.mark.parametrize("count", [20, 21])
def test_many_versions_are_turned_over_in_pages(
    open_page: Open, api_url: str, db: RedisDB, count: int
) -> None:
    iid = begin(db)
    for step in range(count):
        checkpoint(api_url, iid, step=step)
        register(api_url, iid, "digits", version=step + 1)
    app = open_page("models", api_url, model="digits")
    assert not app.exception
    assert f"**Version {count}**" in texts(app)
    assert ("**Version 1**" in texts(app)) == (count == 20)


def test_what_is_in_production_is_known_however_many_versions_came_later(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    iid = begin(db)
    for name, count in (("old", 1), ("nightly", 501)):
        for number in range(count):
            file = ModelArtifact(name=f"{name}{number}", version=None, size_bytes=1, sha256="0" * 64)
            db.models.record(name, NewModel(iid, "default", file, {}))
        db.models.set_stage(name, 1, "production", None)
    app = open_page("models", api_url)
    assert not app.exception
    assert "old" in texts(app)
    assert "501 versions" in texts(app)
    for name in ("old", "nightly"):
        app = open_page("models", api_url, model=name)
        assert "Version 1 is in production." in texts(app), name
