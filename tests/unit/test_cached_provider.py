from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carbon_aware_trainer.errors import (
    AnswerRefused,
    BasesMixed,
    ForecastUnavailable,
    IntensityUnavailable,
    MixUnavailable,
    UnknownZone,
)
from carbon_aware_trainer.providers import Provider, open_provider
from tests.provider_parts import HOUR

NOW = datetime(2026, 6, 1, 12, 20, tzinfo=UTC)
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def opened(path: Path, now: datetime = NOW, **options: Any) -> Provider:
    return open_provider("cached", api_key=str(path), now=lambda: now, **options)


def entries(first: datetime, values: Sequence[float | None], step: timedelta = HOUR) -> list[dict[str, Any]]:
    return [
        {"timestamp": (first + i * step).isoformat(), "carbon_intensity": value}
        for i, value in enumerate(values)
    ]


def as_json(path: Path, historical: list[dict[str, Any]], forecast: Any = (), **top: Any) -> Path:
    regions = {"US-CA": {"historical": historical, "forecast": list(forecast)}}
    path.write_text(json.dumps({"regions": regions, **top}))
    return path


def as_csv(path: Path, rows: Sequence[str], header: str = "datetime,carbon_intensity") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_json_gives_what_is_in_force_with_whose_it_is(tmp_path: Path) -> None:
    file = as_json(
        tmp_path / "carbon.json",
        entries(NOON - HOUR, [100, 200, 300]),
        provider="grid",
        basis="average direct",
    )
    value = opened(file).fetch_latest("US-CA")
    assert (value.g_per_kwh, value.at, value.provider, value.kind, value.is_estimated) == (
        200.0, NOON, "cached:grid", "average direct", False,
    )  # fmt: skip


def test_a_file_that_goes_on_does_not_tell_the_future(tmp_path: Path) -> None:
    provider = opened(as_json(tmp_path / "carbon.json", entries(NOON - 2 * HOUR, [1, 2, 3, 4, 5, 6])))
    trace = provider.fetch_history("US-CA", NOON - 2 * HOUR, NOON + 9 * HOUR)
    np.testing.assert_array_equal(trace.g_per_kwh, [1, 2, 3])
    with pytest.raises(ForecastUnavailable, match="only holds what was recorded"):
        provider.fetch_forecast("US-CA")


def test_a_forecast_begins_with_what_is_recorded_of_the_hour_in_force(tmp_path: Path) -> None:
    file = as_json(
        tmp_path / "carbon.json",
        entries(NOON - HOUR, [100, 200, 999]),
        entries(NOON, [201, 310, 320, None, 5]),
    )
    forecast = opened(file).fetch_forecast("US-CA")
    assert (forecast.start, forecast.made_at) == (NOON, NOW)
    np.testing.assert_array_equal(forecast.g_per_kwh, [200, 310, 320])


def test_what_is_in_force_may_come_from_the_forecast_and_is_then_estimated(tmp_path: Path) -> None:
    file = as_json(tmp_path / "carbon.json", entries(NOON - 3 * HOUR, [100]), entries(NOON, [201, 310]))
    value = opened(file).fetch_latest("US-CA")
    assert (value.g_per_kwh, value.is_estimated) == (201.0, True)


def test_old_data_is_stale_and_says_so(tmp_path: Path) -> None:
    file = as_json(tmp_path / "carbon.json", entries(NOON - 9 * HOUR, [100, 200]))
    with pytest.raises(AnswerRefused, match=r"newest value of US-CA is of 2026-06-01 04:00 UTC"):
        opened(file).fetch_latest("US-CA")
    assert opened(file, stale_after=9 * HOUR).fetch_latest("US-CA").g_per_kwh == 200
    with pytest.raises(AnswerRefused, match="no value of US-CA before"):
        opened(file, now=NOON - 90 * HOUR).fetch_latest("US-CA")


def test_the_renewable_share_comes_with_the_value(tmp_path: Path) -> None:
    historical = [{"timestamp": NOON.isoformat(), "carbon_intensity": 100, "renewable_percentage": 60}]
    provider = opened(as_json(tmp_path / "carbon.json", historical))
    assert provider.fetch_latest("US-CA").renewable_share == 0.6
    with pytest.raises(MixUnavailable):
        provider.fetch_mix("US-CA")


def test_a_trace_has_its_zone_and_source_in_its_name(tmp_path: Path) -> None:
    file = as_csv(
        tmp_path / "US-CAL-CISO__eia-2022.csv", ["2026-06-01T11:00:00Z,100.5", "2026-06-01T12:00:00Z,"]
    )
    provider = opened(file)
    value = provider.fetch_latest("US-CA")
    assert (value.zone, value.g_per_kwh, value.provider) == ("US-CA", 100.5, "cached:eia-2022")
    assert value.at == NOON - HOUR
    trace = provider.fetch_history("CISO", NOON - HOUR, NOW)
    np.testing.assert_array_equal(trace.g_per_kwh, [100.5, np.nan])


def test_a_table_holds_several_zones(tmp_path: Path) -> None:
    rows = ["DE,2026-06-01T12:00Z,300", "FR,2026-06-01T12:00Z,30"]
    provider = opened(as_csv(tmp_path / "all.csv", rows, "region,timestamp,carbon_intensity"))
    assert [provider.fetch_latest(zone).g_per_kwh for zone in ("DE", "FRA")] == [300, 30]


def test_a_folder_holds_a_trace_per_zone_and_one_source_each(tmp_path: Path) -> None:
    as_csv(tmp_path / "DE__a.csv", ["2026-06-01T12:00Z,300"])
    as_csv(tmp_path / "FR__a.csv", ["2026-06-01T12:00Z,30"])
    (tmp_path / "README.md").write_text("Traces.")
    assert opened(tmp_path).fetch_latest("FR").g_per_kwh == 30
    as_csv(tmp_path / "FR__b.csv", ["2026-06-01T12:00Z,31"])
    with pytest.raises(IntensityUnavailable, match="FR in two files"):
        opened(tmp_path)


def test_parquet_is_a_table_too(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pa.table(
        {
            "region": ["DE"] * 3,
            "timestamp": pa.array([NOON - HOUR, NOON, NOON + HOUR], pa.timestamp("ns", tz="Europe/Berlin")),
            "carbon_intensity": pa.array([100.0, None, 300.0]),
        }
    )
    parquet.write_table(table, tmp_path / "carbon.parquet")
    provider = opened(tmp_path / "carbon.parquet")
    assert provider.fetch_latest("DE").at == NOON - HOUR
    np.testing.assert_array_equal(provider.fetch_history("DE", NOON - HOUR, NOW).g_per_kwh, [100, np.nan])


@pytest.mark.parametrize(
    ("rows", "step", "values"),
    [
        (["2026-06-01T11:30Z,1", "2026-06-01T12:00Z,2"], timedelta(minutes=30), [1, 2]),
        (
            ["2026-06-01T12:00+02:00,1", "2026-06-01T13:00+02:00,2", "2026-06-01T14:00+02:00,3"],
            HOUR,
            [1, 2, 3],
        ),
        (["2026-06-01 10:00:00,1", "2026-06-01 12:00:00,3", "2026-06-01 11:00:00,2"], HOUR, [1, 2, 3]),
        (["2026-06-01T08:00Z,1", "2026-06-01T09:00Z,2", "2026-06-01T12:00Z,5"], HOUR, [1, 2, None, None, 5]),
    ],
    ids=["half-hours", "offsets", "without an offset, unordered", "a gap"],
)
def test_times_become_slots_in_utc(
    tmp_path: Path, rows: list[str], step: timedelta, values: list[float | None]
) -> None:
    trace = opened(as_csv(tmp_path / "DE.csv", rows)).fetch_history("DE", NOON - 9 * HOUR, NOW)
    assert (trace.step, trace.provider) == (step, "cached")
    np.testing.assert_array_equal(trace.g_per_kwh, np.array(values, dtype=float))


def test_an_hour_that_local_time_has_twice_is_refused(tmp_path: Path) -> None:
    rows = [f"2026-10-25T{at},1" for at in ("01:00", "02:00", "02:00", "03:00")]
    with pytest.raises(AnswerRefused, match="local times repeat an hour in autumn"):
        opened(as_csv(tmp_path / "DE.csv", rows))
    offsets = [f"2026-10-25T{at},1" for at in ("01:00+02:00", "02:00+02:00", "02:00+01:00", "03:00+01:00")]
    trace = opened(as_csv(tmp_path / "DE.csv", offsets), now=NOW + timedelta(days=300)).fetch_history(
        "DE", NOW, NOW + timedelta(days=300)
    )
    assert len(trace.g_per_kwh) == 4


def test_a_time_off_the_grid_is_refused(tmp_path: Path) -> None:
    rows = ["2026-06-01T10:00Z,1", "2026-06-01T11:00Z,2", "2026-06-01T12:00Z,2", "2026-06-01T13:07Z,3"]
    with pytest.raises(AnswerRefused, match="13:07:00 UTC, which is not on its grid of 60 minutes"):
        opened(as_csv(tmp_path / "DE.csv", rows))


@pytest.mark.parametrize("value", ["-1", "3001", "inf", "much"])
def test_a_value_that_cannot_be_true_is_refused_with_its_line(tmp_path: Path, value: str) -> None:
    with pytest.raises(AnswerRefused, match="line 3"):
        opened(as_csv(tmp_path / "DE.csv", ["2026-06-01T11:00Z,1", f"2026-06-01T12:00Z,{value}"]))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", "{"), ("a.json", "[]"), ("a.json", '{"regions": []}'),
        ("a.json", '{"regions": {}}'), ("a.json", '{"regions": {"DE": 3}}'),
        ("a.json", '{"regions": {"DE": {"historical": [{"timestamp": "2026-06-01"}]}}}'),
        ("a.json", '{"regions": {"DE": {"historical": []}}}'),
        ("a.json", '{"regions": {}, "basis": "mean"}'),
        ("a.csv", "when,what\n1,2\n"), ("a.csv", "datetime,carbon_intensity\nyesterday,5\n"), ("a.csv", ""),
        ("a.parquet", "no parquet"), ("a.txt", "5"),
    ],
)  # fmt: skip
def test_a_file_that_is_none_is_refused_when_it_is_opened(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(IntensityUnavailable) as caught:
        opened(tmp_path / name)
    assert str(tmp_path) in str(caught.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(IntensityUnavailable, match="cannot be read"):
        opened(tmp_path / "nowhere.json")
    with pytest.raises(IntensityUnavailable, match="api_key is the path"):
        open_provider("cached")


def test_a_zone_that_is_not_in_the_file_names_those_that_are(tmp_path: Path) -> None:
    file = as_json(tmp_path / "carbon.json", entries(NOON, [1]))
    with pytest.raises(UnknownZone, match=r"no zone 'US-TX'.* US-CA"):
        opened(file, region="US-TX")


def test_a_basis_that_is_asked_for_must_be_the_files(tmp_path: Path) -> None:
    file = as_json(tmp_path / "carbon.json", entries(NOON, [1]), basis="marginal direct")
    assert opened(file).basis == "marginal direct"
    with pytest.raises(BasesMixed, match="on the basis marginal direct"):
        opened(file, basis="average lifecycle")
    silent = as_json(tmp_path / "silent.json", entries(NOON, [1]))
    assert opened(silent, basis="marginal direct").fetch_latest("US-CA").kind == "marginal direct"


def test_a_file_that_changes_its_basis_is_not_read_on(tmp_path: Path) -> None:
    file = as_json(tmp_path / "carbon.json", entries(NOON, [1]), basis="marginal direct")
    provider = opened(file)
    as_json(file, entries(NOON, [2]), basis="average direct")
    os.utime(file, (1, 1))
    with pytest.raises(BasesMixed, match="was on the basis marginal direct and is now on average direct"):
        provider.fetch_latest("US-CA")


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    file = as_json(tmp_path / "carbon.json", entries(NOON, [100]))
    provider = opened(file)
    assert provider.fetch_latest("US-CA").g_per_kwh == 100
    as_json(file, entries(NOON, [200]))
    os.utime(file, (1, 1))
    assert provider.fetch_latest("US-CA").g_per_kwh == 200


def test_a_file_of_a_folder_that_changes_is_read_again(tmp_path: Path) -> None:
    file = as_csv(tmp_path / "DE__a.csv", ["2026-06-01T12:00Z,300"])
    provider, of_folder = opened(tmp_path), tmp_path.stat()
    assert provider.fetch_latest("DE").g_per_kwh == 300
    as_csv(file, ["2026-06-01T12:00Z,1000"])
    os.utime(tmp_path, ns=(of_folder.st_atime_ns, of_folder.st_mtime_ns))
    assert provider.fetch_latest("DE").g_per_kwh == 1000
    before = file.stat()
    as_csv(tmp_path / "FR__a.csv", ["2026-06-01T12:00Z,30"])
    os.utime(tmp_path / "FR__a.csv", ns=(before.st_atime_ns, before.st_mtime_ns - 10**9))
    assert provider.fetch_latest("FR").g_per_kwh == 30


def test_times_far_apart_are_refused_before_they_fill_the_memory(tmp_path: Path) -> None:
    rows = ["1026-06-01T10:00Z,1", "1026-06-01T11:00Z,2", "2026-06-01T12:00Z,2"]
    with pytest.raises(AnswerRefused, match="from 1026 to 2026"):
        opened(as_csv(tmp_path / "DE.csv", rows))


@pytest.mark.parametrize("key", ["token-of-mine", "token." + "x" * 300, "~token-of-mine", "~token/of"])
def test_a_key_that_is_given_as_the_path_is_not_repeated(key: str) -> None:
    with pytest.raises(IntensityUnavailable, match="no file or folder") as caught:
        open_provider("cached", api_key=key)
    assert "token" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("path", ["gone.json", "gone.CSV", "folder/gone"])
def test_a_path_that_is_not_there_is_named(path: str) -> None:
    with pytest.raises(IntensityUnavailable, match=path):
        open_provider("cached", api_key=path)
