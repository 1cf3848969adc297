"""How a run is repeated: what to send, what has changed, the line for a shell, and the report."""

from __future__ import annotations

import base64
import json
import re
import shlex
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from backend import create_app
from cli.main import main
from client import Client
from redis_db import RedisDB
from schema import RunOptions, Scalar, Status, TrainingContext
from settings import Settings
from tests.acted_run import HYPER_PARAMS
from tests.integration import test_views
from tests.integration.test_trainers import CollectingControl
from tests.integration.test_training_runs import figures_of
from tests.records import TORCH_WORKER, epoch
from trainers.cnn import train_cnn
from trainers.params import CnnHyperParams

api_url = test_views.api_url
FOREIGN = "<script>alert('x')</script> | `a` $(touch /tmp/never) 'quoted' \"double\" 木"
THEN: dict[str, Scalar] = {
    "python": "3.11.7",
    "git_commit": "aaaaaaaaaaaa",
    "git_dirty": False,
    "host": "one",
    "packages": "numpy==2.2.0, torch==2.12.0",
    "energy_source": "NVML counter, measured",
}


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    return create_app(Settings(data_dir=tmp_path), db).test_client()


def finish(db: RedisDB, run_id: str = "r1", *, epochs: int = 3, options: RunOptions | None = None) -> None:
    db.queue.submit({**HYPER_PARAMS, "seed": 7}, options or RunOptions(), run_id=run_id)
    lease = db.queue.claim(["default"], worker_id="w-1", lease_s=60)
    assert lease is not None
    db.runs.describe(lease, THEN)
    for number in range(1, epochs + 1):
        db.runs.record_epoch(lease, epoch(number, energy_kwh=0.001, co2_g=0.4, energy_quality="measured"))
    db.queue.finish(lease, Status.DONE)


def test_what_has_changed_on_a_worker_since_a_run_is_listed_with_the_code_first(
    api: FlaskClient, db: RedisDB
) -> None:
    finish(db)
    now = {
        **THEN,
        "host": "two",
        "git_commit": "bbbbbbbbbbbb",
        "packages": "numpy==2.2.0, torch==2.13.0, x==1",
    }
    db.workers.beat(TORCH_WORKER, ttl_s=60, facts=now)
    found = api.get("/api/runs/r1/reproduction").get_json()
    assert found["is_possible"] is found["is_recorded"] is True
    (worker,) = found["workers"]
    assert [(c["name"], c["then"], c["now"], c["is_code"]) for c in worker["changes"]] == [
        ("git_commit", "aaaaaaaaaaaa", "bbbbbbbbbbbb", True),
        ("torch", "2.12.0", "2.13.0", False),
    ]
    db.workers.beat(TORCH_WORKER, ttl_s=60, facts=THEN)
    assert api.get("/api/runs/r1/reproduction").get_json()["workers"][0]["changes"] == []


def test_a_run_that_is_repeated_as_it_says_has_identical_epochs(
    api: FlaskClient, db: RedisDB, tmp_path: Path
) -> None:
    body = {"trainer": "cnn", "dataset": "digits", "num_epochs": 2, "seed": 11, "dropout": 0.2}
    first = api.post("/train", json=body).get_json()["iid"]
    told = api.get(f"/api/runs/{first}/reproduction").get_json()
    again = api.post("/train", json={"hyper_params": told["hyper_params"]}).get_json()["iid"]
    other = api.post("/train", json={"hyper_params": {**told["hyper_params"], "seed": 12}}).get_json()["iid"]
    one, two, three = (train_stored(db, iid, tmp_path) for iid in (first, again, other))
    assert one == two
    assert one != three


def train_stored(db: RedisDB, iid: str, folder: Path) -> list[dict[str, object]]:
    """Train what a worker would: the values that are stored; return what the epochs achieved."""
    params = CnnHyperParams.model_validate(db.runs.get(iid).hyper_params)
    context = TrainingContext(datasets_dir=folder, device="cpu", control=CollectingControl())
    return figures_of(list(train_cnn(params, context)))


def test_a_worker_that_says_nothing_of_itself_is_not_compared(api: FlaskClient, db: RedisDB) -> None:
    finish(db)
    db.workers.beat(TORCH_WORKER, ttl_s=60)
    assert api.get("/api/runs/r1/reproduction").get_json()["workers"] == []


def test_the_command_queues_a_run_of_the_same_values_whatever_they_hold(
    api_url: str, db: RedisDB, capsys: pytest.CaptureFixture[str]
) -> None:
    options = RunOptions(project="paper", tags=("it's $HOME",))
    # Whoever repeats a trial of a sweep trains no trial of it.
    finish(db, options=options.model_copy(update={"tags": (*options.tags, "sweep:a1", "trial:3")}))
    with Client(api_url) as client:
        line = client.get_reproduction("r1").command
    assert line is not None
    program, *arguments = shlex.split(line)
    assert program == "wattle"
    assert arguments[:3] == ["submit", "--api", api_url]
    assert main(arguments) == 0
    queued = db.runs.get(capsys.readouterr().out.strip())
    assert queued.hyper_params.items() >= db.runs.get("r1").hyper_params.items()
    assert queued.options == options


def test_a_command_for_a_run_that_is_there_changes_only_what_it_says(
    api_url: str, db: RedisDB, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(db)
    assert main(["submit", "--api", api_url, "--like", "r1", "--set", "seed=8"]) == 0
    queued = db.runs.get(capsys.readouterr().out.strip())
    assert queued.hyper_params.items() >= {**db.runs.get("r1").hyper_params, "seed": 8}.items()
    assert queued.rerun_of == "r1"


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["{"], 1, "no JSON"),
        (["[1]"], 1, "JSON object"),
        ([], 2, "give a body"),
        (["{}", "--like", "r1"], 2, "give a body"),
        (["@/nowhere/at/all.json"], 1, "No such file"),
        (['{"hyper_params": {}, "options": {"priority": "x"}}'], 1, "options.priority"),
        (['{"num_epochs": -1}'], 1, "num_epochs"),
        (["{}", "--set", "seed"], 2, "NAME=VALUE"),
    ],
)
def test_a_command_that_cannot_be_obeyed_says_why(
    arguments: list[str],
    code: int,
    reason: str,
    api_url: str,
    db: RedisDB,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["submit", "--api", api_url, *arguments]) == code
    assert reason in capsys.readouterr().err
    assert db.runs.list().total == 0


def test_a_command_that_waits_ends_with_the_run(
    api_url: str, db: RedisDB, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(_seconds: float) -> None:
        (run,) = db.runs.list().runs
        if run.status is Status.WAITING:
            lease = db.queue.claim(["default"], worker_id="w-1", lease_s=60)
            assert lease is not None
            db.queue.finish(lease, Status.FAILED)

    monkeypatch.setattr("cli.submit_commands.sleep", train)
    assert main(["submit", "--api", api_url, "--wait", json.dumps(HYPER_PARAMS)]) == 1
    assert "is failed" in capsys.readouterr().err


def test_a_run_that_its_script_reports_is_not_queued_again(api: FlaskClient, db: RedisDB) -> None:
    body = {"name": "mine", "params": {"lr": 0.1}, "environment": THEN}
    iid = api.post("/api/experiments", json=body).get_json()["iid"]
    found = api.get(f"/api/runs/{iid}/reproduction").get_json()
    assert (found["is_possible"], found["command"], found["hyper_params"]) == (False, None, {"lr": 0.1})
    assert "start that script again" in found["reason"]


class Reader(HTMLParser):
    """Collects what an HTML text consists of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def svgs(text: str) -> Iterator[ET.Element]:
    for picture in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        yield ET.fromstring(picture)  # noqa: S314 - we drew it


def test_a_report_in_html_needs_nothing_else_and_runs_nothing(api: FlaskClient, db: RedisDB) -> None:
    finish(db, options=RunOptions(tags=("<b>bold</b>",)))
    db.external.add_note("r1", FOREIGN)
    reply = api.get("/api/runs/r1/report")
    assert reply.status_code == 200
    policy = reply.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    page = Reader(reply.text)
    assert {"script", "iframe", "link", "img", "form", "a", "b"} & set(page.tags) == set()
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "href")]
    assert "&lt;script&gt;" in reply.text
    titles = [picture.get("aria-label") for picture in svgs(reply.text)]
    assert titles == ["Loss", "Accuracy %", "Energy Wh per epoch", "CO₂ g per epoch"]
    for part in (
        "3 Wh, measured",
        "1.2 g",
        "NVML counter, measured",
        "seed",
        "torch==2.12.0",
        "wattle submit",
    ):
        assert part in reply.text, part


def test_a_report_in_markdown_keeps_foreign_text_in_its_cells(api: FlaskClient, db: RedisDB) -> None:
    finish(db, options=RunOptions(tags=("a|b", "![x](http://example.org/x.png)")))
    db.external.add_note("r1", FOREIGN)
    reply = api.get("/api/runs/r1/report?format=md")
    assert reply.headers["Content-Disposition"] == 'attachment; filename="wattle-r1.md"'
    text = reply.text
    tags = next(line for line in text.splitlines() if line.startswith("| Tags"))
    assert tags == r"| Tags | a\|b, \!\[x\](http://example.org/x.png) |"
    assert "<script>" not in text
    assert r"\<script\>" in text
    pictures = re.findall(r"^\[chart-\d\]: data:image/svg\+xml;base64,(.+)$", text, re.MULTILINE)
    drawn = [ET.fromstring(base64.b64decode(picture)) for picture in pictures]  # noqa: S314 - we drew it
    assert len(drawn) == len(re.findall(r"^!\[", text, re.MULTILINE)) == 4


def test_a_long_run_has_a_short_table_with_its_first_and_its_last_epoch(
    api: FlaskClient, db: RedisDB
) -> None:
    finish(db, epochs=450)
    text = api.get("/api/runs/r1/report?format=md").text
    numbers = [int(found) for found in re.findall(r"^\| (\d+) \| \d\.\d{4} ", text, re.MULTILINE)]
    assert (len(numbers), numbers[0], numbers[-1]) == (200, 1, 450)
    assert "200 of 450 epochs" in text


def test_a_run_that_has_not_begun_has_a_report_too(api: FlaskClient, db: RedisDB) -> None:
    db.queue.submit(HYPER_PARAMS, run_id="r1")
    text = api.get("/api/runs/r1/report?format=md").text
    assert "| Status | waiting |" in text
    assert "## Curves" not in text


def test_the_report_of_a_script_has_its_metrics(api: FlaskClient) -> None:
    iid = api.post("/api/experiments", json={"name": "m*i*ne"}).get_json()["iid"]
    points: dict[str, Any] = {"loss": {"steps": [0, 1, 2], "values": [3.0, "NaN", 1.0], "times": [1, 2, 3]}}
    sent = api.post(f"/api/metrics/{iid}", json={"session": "s", "seq": 1, "points": points})
    assert sent.status_code == 200, sent.text
    text = api.get(f"/api/runs/{iid}/report?format=md").text
    assert text.startswith("# m\\*i\\*ne\n")
    assert "| loss | 3 | 2 | 1 | 1 | 3 |" in text
    assert "![loss]" in text


@pytest.mark.parametrize("path", ["reproduction", "report", "report?format=md"])
def test_what_is_no_run_is_not_found(path: str, api: FlaskClient) -> None:
    assert api.get(f"/api/runs/never/{path}").status_code == 404


def test_a_report_has_the_two_formats_alone(api: FlaskClient, db: RedisDB) -> None:
    finish(db)
    assert api.get("/api/runs/r1/report?format=pdf").status_code == 422
