"""A real run through a worker leaves models that can be used, and the API hands them out."""

from __future__ import annotations

import hashlib
import io
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import torch
from flask.testing import FlaskClient
from pydantic import JsonValue
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from backend import create_app
from cli.redis_server import RedisServer
from client import Client
from errors import ApiRefused
from redis_db import RedisDB
from schema import EpochResult, Metrics, Run, RunError, Status
from settings import Settings
from store.encoding import decode_epoch, encode_epoch
from tests.acted_run import ActedRun
from tests.conftest import start_redis
from tests.integration.test_trainers import CollectingControl
from tests.programs import Programs
from tests.saved import save_models
from trainers.cards import Card
from trainers.data import load_data
from trainers.datasets import DATASETS
from trainers.networks import build_network
from trainers.params import CnnHyperParams
from trainers.saved_models import CARD_FILE, MODEL_FILE, STATE_DICT_FILE
from work.finished import complete_cards, delete_checkpoints

HYPER_PARAMS: dict[str, JsonValue] = {
    "trainer": "cnn", "dataset": "digits", "network": "small_cnn", "optimizer": "adam",
    "learning_rate": 0.002, "num_epochs": 4, "batch_size": 64, "seed": 3, "validation_fraction": 0.1,
}  # fmt: skip
FILES = {"best": [MODEL_FILE, STATE_DICT_FILE, CARD_FILE], "last": [MODEL_FILE, CARD_FILE]}


@dataclass(frozen=True)
class Finished:
    """A run that a worker has finished, and where its files are."""

    db: RedisDB
    programs: Programs
    data_dir: Path
    run: Run
    epochs: list[EpochResult]

    @property
    def models_dir(self) -> Path:
        return self.data_dir / "models" / self.run.run_id

    def api(self) -> FlaskClient:
        return create_app(Settings(data_dir=self.data_dir), self.db).test_client()


@pytest.fixture(scope="module")
def finished() -> Iterator[Finished]:
    with tempfile.TemporaryDirectory(prefix="wattle-") as folder:
        redis = start_redis(RedisServer(Path(folder), unix_socket=Path(folder) / "s", is_durable=False))
        data_dir = Path(folder) / "data"
        programs = Programs(redis_url=redis.url, data_dir=data_dir)
        try:
            with RedisDB(redis.url) as db:
                run_id = db.queue.submit(HYPER_PARAMS).run_id
                assert programs.start_worker("--burst").wait(120) == 0, programs.output()
                run, epochs = db.runs.get(run_id), db.runs.list_epochs(run_id)
                assert run.status is Status.DONE, run.error
                yield Finished(db, programs, data_dir, run, epochs)
        finally:
            programs.stop()
            redis.stop()


def measure_test_accuracy(weights: dict[str, torch.Tensor], card: Card) -> float:
    """What a fresh network with these weights achieves, by the card alone."""
    network: nn.Module = build_network(
        card.network, channels=card.input.channels, side=card.input.side, classes=card.classes, seed=99
    )
    network.load_state_dict(weights)
    network.eval()
    data = load_data(
        DATASETS[card.dataset.name],
        Path("unused"),
        CnnHyperParams.model_validate(card.hyper_params),
        device="cpu",
        say=CollectingControl().log,
    )
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (card.input.mean, card.input.std))
    ((images, labels),) = data.test.load_all(1_000)
    with torch.inference_mode():
        accuracy: float = (network((images.float() - mean) / std).argmax(1) == labels).double().mean().item()
    return accuracy


def card_of(finished: Finished, name: str) -> Card:
    return Card.model_validate_json((finished.models_dir / name / CARD_FILE).read_bytes())


def as_stored(card: Card, recorded: EpochResult) -> Metrics:
    """Return the card's metrics with as many digits as the store keeps."""
    epoch = recorded.model_copy(update=card.metrics.model_dump())
    return Metrics.of(decode_epoch(str(epoch.epoch), encode_epoch(epoch)))


@pytest.mark.parametrize("name", ["best", "last"])
def test_a_model_achieves_in_a_fresh_network_what_its_card_says(finished: Finished, name: str) -> None:
    assert sorted(path.name for path in (finished.models_dir / name).iterdir()) == sorted(FILES[name])
    card = card_of(finished, name)
    recorded = next(result for result in finished.epochs if result.epoch == card.epoch)
    assert as_stored(card, recorded) == Metrics.of(recorded)
    weights = load_file(finished.models_dir / name / MODEL_FILE)
    assert measure_test_accuracy(weights, card) == card.metrics.test_accuracy


def test_the_plain_state_dict_loads_without_running_code(finished: Finished) -> None:
    weights = torch.load(finished.models_dir / "best" / STATE_DICT_FILE, weights_only=True)
    safe = load_file(finished.models_dir / "best" / MODEL_FILE)
    assert weights.keys() == safe.keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in safe.items())
    best = card_of(finished, "best")
    assert measure_test_accuracy(weights, best) == best.metrics.test_accuracy


def test_the_card_has_what_only_the_store_knows(finished: Finished) -> None:
    run, card = finished.run, card_of(finished, "best")
    assert (card.energy_kwh, card.energy_quality, card.co2_g) == (
        run.energy_kwh,
        run.energy_quality,
        run.co2_g,
    )
    assert (card.energy_kwh is None) == (card.energy_reason is not None)
    assert card.duration_s == run.duration_s
    assert card.versions["torch"] == run.environment["torch"]
    assert (card.parameters, card.precision, card.device) == (53_002, "fp32", "cpu")
    assert card.dataset.validation_images == 144
    with safe_open(finished.models_dir / "best" / MODEL_FILE, framework="pt") as file:
        assert file.metadata()["run_id"] == run.run_id


def test_the_checkpoints_of_a_run_whose_models_are_saved_are_gone(finished: Finished) -> None:
    assert not (finished.data_dir / "checkpoints" / finished.run.run_id).exists()


def test_the_api_lists_the_models(finished: Finished) -> None:
    best, last = finished.api().get(f"/api/runs/{finished.run.run_id}/models").get_json()["models"]
    assert (best["name"], last["name"], last["epoch"]) == ("best", "last", 4)
    assert best["metrics"]["validation_accuracy"] == max(r.validation_accuracy or 0 for r in finished.epochs)
    for model in (best, last):
        assert [file["file"] for file in model["files"]] == FILES[model["name"]]
        for file in model["files"]:
            with finished.api().get(file["link"]) as download:
                assert len(download.data) == file["size_bytes"]
                said = download.headers["Content-Disposition"]
                assert said == f"attachment; filename={file['download_name']}"
                digest = hashlib.sha256(download.data).hexdigest()
                assert file["sha256"] in (digest, None)


@pytest.mark.parametrize(
    ("path", "name", "kind"),
    [
        (f"best/{MODEL_FILE}", f"best-{MODEL_FILE}", "application/octet-stream"),
        (f"best/{STATE_DICT_FILE}", STATE_DICT_FILE, "application/octet-stream"),
        (f"last/{CARD_FILE}", f"last-{CARD_FILE}", "application/json"),
    ],
)
def test_a_file_is_streamed_as_an_attachment(finished: Finished, path: str, name: str, kind: str) -> None:
    with finished.api().get(f"/api/runs/{finished.run.run_id}/models/{path}") as download:
        content = (finished.models_dir / path).read_bytes()
        assert download.is_streamed
        assert download.content_type == kind
        assert download.headers["Content-Length"] == str(len(content))
        said = download.headers["Content-Disposition"]
        assert said == f"attachment; filename={finished.run.run_id}-{name}"
        assert download.data == content


@pytest.mark.parametrize(
    "path",
    [
        "best/state.json", "worst/model.safetensors", f"last/{STATE_DICT_FILE}", "best/..",
        "best/secret.txt", "../best/card.json", "best/..%2f..%2f..%2fresults", "%2e%2e/%2e%2e",
        f"best/{MODEL_FILE}%00", "best/.card.json.1",
    ],
)  # fmt: skip
def test_no_other_file_can_be_asked_for(finished: Finished, path: str) -> None:
    for stray in ("best/secret.txt", f"last/{STATE_DICT_FILE}"):
        (finished.models_dir / stray).write_bytes(b"nobody's business")
    reply = finished.api().get(f"/api/runs/{finished.run.run_id}/models/{path}")
    for stray in ("best/secret.txt", f"last/{STATE_DICT_FILE}"):
        (finished.models_dir / stray).unlink()
    assert reply.status_code == 404


def test_the_client_reads_models_and_files(finished: Finished) -> None:
    app = create_app(Settings(data_dir=finished.data_dir), finished.db)
    with Client("http://localhost:5000", transport=httpx.WSGITransport(app)) as client:
        best, _ = client.list_models(finished.run.run_id).models
        content = client.fetch_model_file(finished.run.run_id, "best", STATE_DICT_FILE)
    assert torch.load(io.BytesIO(content), weights_only=True).keys()
    assert best.files[0].size_bytes == (finished.models_dir / "best" / MODEL_FILE).stat().st_size


@pytest.mark.parametrize(
    ("model_url", "status"),
    [("/nowhere/models", 404), ("nosuchfilesystem://models", 503), ("memory://empty", 404)],
)
def test_a_host_that_cannot_see_the_place_names_the_setting(
    finished: Finished, model_url: str, status: int
) -> None:
    settings = Settings(data_dir=finished.data_dir, model_url=model_url)
    api = create_app(settings, finished.db).test_client()
    for path in ("", f"/best/{MODEL_FILE}"):
        reply = api.get(f"/api/runs/{finished.run.run_id}/models{path}")
        assert reply.status_code == status
        assert "WATTLE_MODEL_URL" in reply.get_json()["error"]["message"]


@pytest.mark.parametrize(
    ("error", "ends", "said"),
    [
        (None, False, "saved when it is done"),
        (RunError(kind="TrainingFailed", message="NaN"), True, "it is failed"),
    ],
)
def test_a_run_that_is_not_done_has_no_models_and_says_why(
    db: RedisDB, tmp_path: Path, error: RunError | None, ends: bool, said: str
) -> None:
    acted = ActedRun(db)
    save_models(tmp_path / "models", acted.run_id)  # what an attempt has left that is not recorded as done
    if ends:
        acted.finish(error)
    app = create_app(Settings(data_dir=tmp_path), db)
    with (
        Client("http://localhost:5000", transport=httpx.WSGITransport(app)) as client,
        pytest.raises(ApiRefused, match=said) as caught,
    ):
        client.list_models(acted.run_id)
    assert caught.value.status == 404
    download = app.test_client().get(f"/api/runs/{acted.run_id}/models/best/{CARD_FILE}")
    assert download.status_code == 404


def test_models_that_cannot_be_saved_leave_the_run_done_and_its_checkpoint(finished: Finished) -> None:
    in_the_way = finished.data_dir / "a file"
    in_the_way.write_text("no folder")
    run_id = finished.db.queue.submit({**HYPER_PARAMS, "num_epochs": 1}).run_id
    worker = finished.programs.start(
        "worker.py", "--device", "cpu", "--threads", "1", "--burst", model_url=in_the_way
    )
    assert worker.wait(120) == 0
    assert finished.db.runs.get(run_id).status is Status.DONE
    assert any("models could not be saved" in line.text for line in finished.db.log.list(run_id))
    assert list((finished.data_dir / "checkpoints" / run_id).iterdir())


def test_a_place_that_fails_is_logged_and_never_reaches_the_worker(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "run1").write_text("a file, not a folder")
    with caplog.at_level(logging.WARNING):
        delete_checkpoints(Settings(data_dir=tmp_path), "run1")
        delete_checkpoints(Settings(checkpoint_url="nosuch://place"), "run1")
    assert caplog.text.count("checkpoints not deleted") == 2


def test_a_run_that_the_store_no_longer_has_is_no_failure(db: RedisDB, tmp_path: Path) -> None:
    complete_cards(db, Settings(data_dir=tmp_path), "0" * 32)
    assert list(tmp_path.iterdir()) == []
