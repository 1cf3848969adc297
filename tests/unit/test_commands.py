from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from carbon_aware_trainer.commands.main import main
from tests.carbon_parts import HOUR, START, Clock, write_grid

# clean from 18 to 22 h every day
DAYS = 40
VALUES: list[float | None] = [100.0 if 18 <= (12 + i) % 24 < 22 else 300.0 for i in range(24 * (DAYS + 2))]
Printed = pytest.CaptureFixture[str]


@pytest.fixture
def file(tmp_path: Path) -> str:
    return write_grid(tmp_path / "grid.json", VALUES, start=START - timedelta(days=DAYS))


def call(*words: str, clock: Clock | None = None) -> int:
    return main(list(words), clock=clock or Clock())


def read(printed: Printed) -> dict[str, object]:
    found: dict[str, object] = json.loads(printed.readouterr().out)
    return found


def test_now_says_what_is_in_force(file: str, capsys: Printed) -> None:
    assert call("now", "--zone", "US-CA", "--file", file) == 0
    assert "US-CA 300 g/kWh" in capsys.readouterr().out
    assert call("now", "--zone", "US-CA", "--file", file, "--json") == 0
    zones = read(capsys)["zones"]
    assert isinstance(zones, dict)
    assert (zones["US-CA"]["g_per_kwh"], zones["US-CA"]["provider"]) == (300.0, "cached")


def test_zone_and_file_come_from_the_environment_too(
    file: str, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATTLE_ZONE", "US-CA")
    monkeypatch.setenv("WATTLE_CARBON_FILE", file)
    assert call("now") == 0
    assert "US-CA" in capsys.readouterr().out


def test_forecast_has_a_line_for_every_hour(file: str, capsys: Printed) -> None:
    assert call("forecast", "--zone", "US-CA", "--file", file, "--hours", "12") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 13
    assert lines[1].startswith("2026-06-01 12:00     300 g/kWh  ████")
    assert call("forecast", "--zone", "US-CA", "--file", file, "--json") == 0
    rows = read(capsys)["forecast"]
    assert isinstance(rows, list)
    assert rows[6]["g_per_kwh"] == pytest.approx(100.0, rel=0.1)


def test_window_says_when_and_what_that_saves(file: str, capsys: Printed) -> None:
    words = ["window", "--zone", "US-CA", "--file", file, "--duration", "4", "--energy-kwh", "2"]
    assert call(*words) == 0
    said = capsys.readouterr().out
    assert "2026-06-01 18:00 to 2026-06-01 22:00 UTC" in said
    assert "600 g at once at home" in said
    assert call(*words, "--json") == 0
    assert read(capsys)["saving"] == pytest.approx(0.66, abs=0.03)


def test_simulate_compares_the_policies_with_the_oracle(file: str, capsys: Printed) -> None:
    words = [
        "simulate",
        "--zone",
        "US-CA",
        "--file",
        file,
        "--duration",
        "4",
        "--slack",
        "24",
        "--starts",
        "40",
    ]
    assert call(*words, "--json") == 0
    found = read(capsys)
    cells = found["cells"]
    assert isinstance(cells, list)
    assert [cell["is_interruptible"] for cell in cells] == [False, True]
    for cell in cells:
        assert 0 < cell["adaptive"] <= cell["oracle"] + 1e-9
        assert cell["adaptive"] > 0.9 * cell["oracle"]
    assert found["missed_deadlines"] == 0
    assert call(*words) == 0
    assert "0 deadlines missed in 160 simulated jobs." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--duration", "0"], "1 or more"),
        (["--duration", "48", "--slack", "200"], "216 h together"),
        (["--starts", "0"], "1 or more"),
    ],
)
def test_what_cannot_be_simulated_is_refused(file: str, capsys: Printed, words: list[str], text: str) -> None:
    assert call("simulate", "--zone", "US-CA", "--file", file, *words) == 1
    assert text in capsys.readouterr().err


def test_too_short_a_history_is_refused(tmp_path: Path, capsys: Printed) -> None:
    file = write_grid(tmp_path / "short.json", [100.0] * 48, start=START - 47 * HOUR)
    assert call("simulate", "--zone", "US-CA", "--file", file) == 1
    assert "too short" in capsys.readouterr().err


def test_sample_writes_data_that_the_other_commands_read(tmp_path: Path, capsys: Printed) -> None:
    out = str(tmp_path / "carbon_data.json")
    assert call("sample", "--zone", "US-CA", "--zone", "DE", "--days", "3", "--out", out) == 0
    assert "Synthetic" in capsys.readouterr().out
    assert call("now", "--zone", "US-CA", "--zone", "DE", "--file", out) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_of_several_zones_the_known_ones_are_shown(file: str, tmp_path: Path, capsys: Printed) -> None:
    known = json.loads(Path(file).read_text())
    known["regions"]["DE"] = {"historical": [{"timestamp": "2020-01-01T00:00Z", "carbon_intensity": 1.0}]}
    Path(file).write_text(json.dumps(known))
    assert call("now", "--zone", "US-CA", "--zone", "DE", "--file", file) == 0
    assert "DE: cached's newest value" in capsys.readouterr().out
    assert call("now", "--zone", "DE", "--file", file) == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["now"], "Name a zone"),
        (["now", "--zone", "US-CAA"], "US-CA"),
        (["now", "--zone", "US-CA", "--model", "cashed"], "cached"),
        (["now", "--zone", "US-CA", "--file", "/nowhere.json"], "cannot be read"),
    ],
)
def test_what_cannot_work_is_said_on_standard_error(
    words: list[str], text: str, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WATTLE_ZONE", raising=False)
    assert call(*words) == 1
    assert text in capsys.readouterr().err


@pytest.mark.parametrize("model", ["cached", " Cached"])
def test_a_key_is_never_taken_for_the_file_of_cached_data(
    model: str, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATTLE_CARBON_API_KEY", "token-of-mine")
    assert call("now", "--zone", "US-CA", "--model", model) == 1
    said = capsys.readouterr().err
    assert "token-of-mine" not in said
    assert "--file" in said
