from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from carbon_aware_trainer.errors import CarbonError
from carbon_aware_trainer.providers import open_provider, write_sample

NOW = datetime(2026, 6, 3, 12, 20, tzinfo=UTC)


def test_a_sample_is_a_cached_file_that_says_it_is_synthetic(tmp_path: Path) -> None:
    path = write_sample(tmp_path / "new" / "carbon.json", ["US-CA", "DE"], days=30, now=NOW)
    provider = open_provider("cached", api_key=str(path), region="DE", now=lambda: NOW)
    latest = provider.fetch_latest("US-CA")
    assert (latest.at, latest.provider) == (NOW.replace(minute=0), "cached:synthetic")
    assert len(provider.fetch_history("DE", NOW - timedelta(days=30), NOW).g_per_kwh) == 30 * 24
    forecast = provider.fetch_forecast("DE")
    assert forecast.end == NOW.replace(minute=0) + timedelta(hours=97)
    assert [file.name for file in path.parent.iterdir()] == ["carbon.json"]
    text = json.loads(path.read_text())
    assert "no measurement of any grid" in text["note"]
    assert text["basis"] == "average lifecycle"


def test_it_has_the_shape_of_days_and_weeks_and_differs_by_zone(tmp_path: Path) -> None:
    path = write_sample(tmp_path / "carbon.json", ["US-CA", "DE"], days=364, now=NOW)
    provider = open_provider("cached", api_key=str(path), now=lambda: NOW)
    start = NOW - timedelta(days=363)
    traces = [provider.fetch_history(zone, start, NOW) for zone in ("US-CA", "DE")]
    values = traces[0].g_per_kwh
    hour = (traces[0].start.hour + np.arange(len(values))) % 24
    day = np.array([(traces[0].start + timedelta(hours=i)).weekday() for i in range(len(values))])
    by_hour = np.array([values[hour == h].mean() for h in range(24)])
    assert 11 <= by_hour.argmin() <= 14
    assert 17 <= by_hour.argmax() <= 21
    assert by_hour.min() < 0.8 * by_hour.max()
    assert values[day >= 5].mean() < 0.97 * values[day < 5].mean()
    assert (values.min() > 0, values.max() < 1000) == (True, True)
    assert abs(traces[1].g_per_kwh - values).mean() > 10


def test_an_hour_has_the_same_value_in_every_file(tmp_path: Path) -> None:
    later = NOW + timedelta(days=1)
    values = []
    for number, now in enumerate((NOW, later)):
        path = write_sample(tmp_path / f"{number}.json", ["DE"], days=3, now=now)
        provider = open_provider("cached", api_key=str(path), now=partial(_same, now))
        values.append(provider.fetch_history("DE", NOW - timedelta(days=1), NOW).g_per_kwh)
    np.testing.assert_array_equal(values[0], values[1])


def _same(now: datetime) -> datetime:
    return now


@pytest.mark.parametrize("days", [0, -1, 4000])
def test_so_many_days_are_refused(tmp_path: Path, days: int) -> None:
    with pytest.raises(CarbonError, match="Choose 1 to 3660"):
        write_sample(tmp_path / "a.json", ["DE"], days=days, now=NOW)


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CarbonError, match="cannot be written"):
        write_sample(tmp_path / "file" / "a.json", ["DE"], days=1, now=NOW)
    with pytest.raises(CarbonError, match="at least one zone"):
        write_sample(tmp_path / "a.json", [], days=1, now=NOW)
