"""Runs handed to Weights & Biases, with its own package: into files, and to a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exporters.protocol import Exporter
from schema import Run, RunOptions, Status
from settings import Settings
from tests.files import list_files
from tests.records import epoch
from tests.terminal import Terminal
from tests.wandb_server import WandbServer, wandb_server

wandb = pytest.importorskip("wandb", reason="the extra wandb is not installed")

STARTED = datetime(2026, 11, 1, 12, tzinfo=UTC)
KEY = "0123456789" * 4


@pytest.fixture(autouse=True)
def _own_wandb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """W&B with settings of this test alone; its process ends with it."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    wandb.teardown()
    yield
    wandb.teardown()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    with wandb_server() as kept:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{kept.port}")
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        yield kept


def made(tmp_path: Path) -> Exporter:
    from exporters.wandb import WandbExporter

    return WandbExporter(Settings(data_dir=tmp_path / "data", page_url="https://wattle.example/"))


def ended(status: Status = Status.DONE, **changes: Any) -> Run:
    stated: dict[str, Any] = {
        "run_id": "0f" * 16, "hyper_params": {"network": "lenet5", "learning_rate": 0.1}, "status": status,
        "options": RunOptions(project="digits", tags=("paper", "group=night")), "attempt": 1,
        "time_added": STARTED, "started_at": STARTED, "ended_at": STARTED + timedelta(minutes=2),
        "epochs_done": 2, "best_accuracy": 0.97, "energy_kwh": 0.002, "co2_g": 0.8, "duration_s": 100.0,
        "environment": {"torch": "2.10"},
    }  # fmt: skip
    return Run(**{**stated, **changes})


EPOCHS = [
    epoch(1, ended_at=STARTED + timedelta(minutes=1), energy_kwh=0.001, energy_quality="measured", co2_g=0.4),
    epoch(2, ended_at=STARTED + timedelta(minutes=2), energy_kwh=0.001, energy_quality="measured", co2_g=0.4),
]


def inspect(folder: Path, *, summary: bool = False) -> list[dict[str, Any]]:
    """Read what was written with W&B's own reader."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(folder)]
    told = subprocess.run(
        [*command, *(["--summary"] if summary else [])], capture_output=True, text=True, check=True
    ).stdout
    return [json.loads(told)] if summary else [json.loads(line) for line in told.splitlines()]


def folders(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "data" / "exports" / "wandb").glob("offline-run-*"))


@pytest.mark.slow
def test_a_run_is_written_for_a_sync_with_all_that_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    exporter, hooks = made(tmp_path), (sys.exit, sys.excepthook)
    exporter.export(ended(), EPOCHS)
    (folder,) = folders(tmp_path)
    (told,) = inspect(folder, summary=True)
    assert (told["run_id"], told["project"], told["tags"]) == ("0f" * 16, "digits", ["paper"])
    assert (told["state"], told["exit_code"], told["step"]) == ("finished", 0, 2)
    assert told["config"]["learning_rate"] == 0.1
    page = f"https://wattle.example/run?iid={'0f' * 16}"
    assert told["config"]["wattle"]["page"] == page
    assert page in told["notes"]
    kept = {"energy_kwh": 0.002, "co2_g": 0.8, "best_accuracy": 0.97, "status": "done"}
    assert kept.items() <= told["summary"].items()
    records = inspect(folder)
    groups = {record["run"]["run_group"] for record in records if "run_group" in record.get("run", {})}
    assert groups == {"night"}
    rows = [record["history"]["item"] for record in records if record["type"] == "history"]
    assert [(row["_step"], row["epoch/energy_kwh"], row["epoch/co2_g"]) for row in rows] == [
        (1, 0.001, 0.4),
        (2, 0.001, 0.4),
    ]
    assert [row["_timestamp"] for row in rows] == [
        (STARTED + timedelta(minutes=m)).timestamp() for m in (1, 2)
    ]
    assert "epoch/validation_loss" not in rows[0], "what is not known is not there, and no 0"
    assert not (folder / "files" / "requirements.txt").exists(), (
        "the backend's packages are none of the run's"
    )
    assert (sys.exit, sys.excepthook) == hooks


def times_of(folder: Path) -> dict[Path, int]:
    """When each file was written, but for the logs of W&B's service, which goes on when a run is whole."""
    return {path: path.stat().st_mtime_ns for path in list_files(folder) if path.parent.name != "logs"}


@pytest.mark.slow
def test_written_twice_there_is_one_folder_and_half_a_one_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    exporter, run = made(tmp_path), ended(Status.FAILED)
    exporter.export(run, EPOCHS[:1])
    (first,) = folders(tmp_path)
    before = times_of(first)
    exporter.export(run, EPOCHS[:1])
    assert times_of(first) == before
    (first / "wattle-end").unlink()
    exporter.export(run, EPOCHS[:1])
    (second,) = folders(tmp_path)
    assert inspect(second, summary=True)[0]["exit_code"] == 1
    exporter.export(ended(attempt=2, ended_at=STARTED + timedelta(hours=1)), EPOCHS)
    (third,) = folders(tmp_path)
    assert inspect(third, summary=True)[0]["step"] == 2, "it ended again, for good"


def test_a_server_has_each_epoch_once_however_often_the_run_comes(
    server: WandbServer, tmp_path: Path
) -> None:
    exporter = made(tmp_path)
    exporter.export(ended(), EPOCHS)
    exporter.export(ended(), EPOCHS)
    kept = server.runs["0f" * 16]
    assert [row["_step"] for row in kept.history] == [1, 2]
    assert kept.config["learning_rate"]["value"] == 0.1
    assert kept.summary["co2_g"] == 0.8
    assert kept.exit_code == 0
    assert (kept.stated["project"], kept.stated["groupName"], kept.stated["tags"]) == (
        "digits",
        "night",
        ["paper"],
    )
    assert not (tmp_path / "data").exists(), "what is on the server is not here too"


def test_an_export_that_died_half_way_goes_on_where_it_was(server: WandbServer, tmp_path: Path) -> None:
    exporter = made(tmp_path)
    exporter.export(ended(Status.CANCELLED), EPOCHS)
    assert server.runs["0f" * 16].exit_code == 130
    server.cut("0f" * 16, 1)
    exporter.export(ended(Status.CANCELLED), EPOCHS)
    assert [row["_step"] for row in server.runs["0f" * 16].history] == [1, 2]


@pytest.mark.slow
def test_a_server_that_was_away_takes_the_run_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import exporters.wandb

    monkeypatch.setattr(exporters.wandb, "_INIT_TIMEOUT_S", 1.0)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    exporter = made(tmp_path)
    for _ in range(2):
        with pytest.raises(wandb.errors.CommError, match=r"connection refused|timed out"):
            exporter.export(ended(), EPOCHS)
    with wandb_server() as kept:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{kept.port}")
        exporter.export(ended(), EPOCHS)
    assert len(kept.runs["0f" * 16].history) == 2


def test_without_a_key_or_with_a_mode_that_keeps_nothing_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ValueError, match="set WANDB_API_KEY"):
        made(tmp_path).export(ended(), EPOCHS)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with pytest.raises(ValueError, match="Use online or offline"):
        made(tmp_path).export(ended(), EPOCHS)


ASKED = """
from pathlib import Path
from settings import Settings
from tests.integration.test_wandb_exporter import EPOCHS, ended
from exporters.wandb import WandbExporter

exporter = WandbExporter(Settings(_env_file=None, data_dir=Path.home() / "data"))
for _ in range(2):
    try:
        exporter.export(ended(), EPOCHS)
        print("it was exported")
    except Exception as error:
        print("refused:", type(error).__name__, error)
"""


def test_on_a_terminal_it_asks_for_no_key(tmp_path: Path) -> None:
    with wandb_server() as kept:
        environment = {"HOME": str(tmp_path), "WANDB_BASE_URL": f"http://127.0.0.1:{kept.port}"}
        with Terminal([sys.executable, "-c", ASKED], environment=environment, columns=300) as terminal:
            terminal.wait_for("refused: ValueError W&B has no API key")
            assert terminal.ended() == 0
            assert terminal.text.count("refused: ValueError") == 2, terminal.text
            assert "choice" not in terminal.text
    assert kept.runs == {}


def test_the_key_may_be_where_wandb_login_leaves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with wandb_server() as kept:
        entry = f"machine 127.0.0.1:{kept.port}\n  login user\n  password {KEY}\n"
        (tmp_path / "netrc").write_text(entry)
        (tmp_path / "netrc").chmod(0o600)
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{kept.port}")
        made(tmp_path).export(ended(), EPOCHS)
    assert len(kept.runs["0f" * 16].history) == 2


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_what_wandb_would_keep_nowhere_is_no_export(
    server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    init = wandb.init
    monkeypatch.setattr(wandb, "init", lambda **how: init(**how, mode=mode))
    with pytest.raises(ValueError, match="nothing was handed over"):
        made(tmp_path).export(ended(), EPOCHS)
    monkeypatch.setattr(wandb, "init", init)
    made(tmp_path).export(ended(), EPOCHS)
    assert len(server.runs["0f" * 16].history) == 2, "it goes on by itself"
