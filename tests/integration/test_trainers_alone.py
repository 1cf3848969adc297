"""``python -m trainers`` as a person runs it, without Redis."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(tmp_path: Path, content: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "hyper_params.json"
    path.write_text(content)
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "trainers", "--hyper-params", str(path), *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_it_trains_and_prints_every_epoch_and_why_it_ended(tmp_path: Path) -> None:
    hyper_params = {"dataset": "digits", "num_epochs": 9, "validation_fraction": 0.1, "target_accuracy": 0.2}
    ended = run(tmp_path, json.dumps(hyper_params), "--device", "cpu", "--threads", "1")
    assert ended.returncode == 0, ended.stderr
    assert "digits: 1,293 training, 144 validation and 360 test images" in ended.stdout
    assert "threads 1" in ended.stdout
    assert "epoch 1/9  train loss" in ended.stdout
    assert "done: Target reached" in ended.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "should hold a JSON object"),
        ('{"lerning_rate": 1}', "did you mean learning_rate?"),
    ],
)
def test_what_is_wrong_with_the_file_is_said(tmp_path: Path, content: str, said: str) -> None:
    ended = run(tmp_path, content)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_device_that_is_not_there_is_said(tmp_path: Path) -> None:
    ended = run(tmp_path, "{}", "--device", "cuda:99")
    assert ended.returncode == 1
    assert "cuda:99" in ended.stderr
    assert "Traceback" not in ended.stderr
