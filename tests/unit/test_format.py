from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from views import format as fmt

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def spaced(text: str) -> str:
    return text.replace("\u00a0", " ").replace("\u2009", " ")


@pytest.mark.parametrize(
    ("energy_kwh", "shown"),
    [
        (None, "–"),
        (0.0, "0 Wh"),
        (5.21e-5, "0.052 Wh"),
        (1.0e-5, "0.010 Wh"),
        (2.9e-6, "2.90 mWh"),
        (4e-13, "< 0.001 mWh"),
        (0.0905, "90.5 Wh"),
        (0.9994, "999 Wh"),
        (1.25, "1.25 kWh"),
        (1234.0, "1234 kWh"),
    ],
)
def test_an_energy_reads_in_the_unit_that_fits(energy_kwh: float | None, shown: str) -> None:
    assert spaced(fmt.energy(energy_kwh)) == shown


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_000, "1.0 kB"),
        (2_746, "2.7 kB"),
        (212_984, "213 kB"),
        (999_900, "1.0 MB"),
        (44_700_000, "44.7 MB"),
        (5_300_000_000, "5.3 GB"),
    ],
)
def test_a_size_reads_in_the_unit_that_fits(size_bytes: int, shown: str) -> None:
    assert spaced(fmt.size(size_bytes)) == shown


@pytest.mark.parametrize(
    ("co2_g", "shown"),
    [
        (None, "–"),
        (0.0, "0 g"),
        (0.019, "0.019 g"),
        (0.0042, "4.20 mg"),
        (10.8, "10.8 g"),
        (5540.0, "5.54 kg"),
    ],
)
def test_co2_reads_in_the_unit_that_fits(co2_g: float | None, shown: str) -> None:
    assert spaced(fmt.co2(co2_g)) == shown


def test_what_stands_beside_each_other_has_one_unit() -> None:
    write = fmt.energies((9.5e-6, 12e-6, None))
    assert [spaced(write(value)) for value in (9.5e-6, 12e-6, None)] == ["9.50 mWh", "12.0 mWh", "–"]
    assert [spaced(fmt.masses((950.0, 1200.0))(value)) for value in (950.0, 1200.0)] == ["950 g", "1200 g"]
    assert [spaced(fmt.masses((0.0, 1.2e6))(value)) for value in (0.0, 1.2e6)] == ["0 kg", "1200 kg"]
    assert spaced(fmt.masses((0.004, 1.2e6))(1.2e6)) == "1200 kg"
    assert fmt.masses(())(None) == "–"


@pytest.mark.parametrize(
    ("duration_s", "shown"),
    [
        (None, "–"),
        (0.0, "0.0 s"),
        (0.0004, "1 ms"),
        (0.0484, "48 ms"),
        (0.0994, "99 ms"),
        (0.0996, "0.1 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3599.7, "1 h"),
        (7500, "2 h 05 min"),
        (371_000, "4 d 07 h"),
    ],
)
def test_a_duration_reads_in_its_two_largest_units(duration_s: float | None, shown: str) -> None:
    assert spaced(fmt.duration(duration_s)) == shown


@pytest.mark.parametrize(
    ("past", "shown"),
    [
        (timedelta(seconds=-3), "just now"),
        (timedelta(seconds=9), "just now"),
        (timedelta(seconds=42), "42 seconds ago"),
        (timedelta(seconds=61), "1 minute ago"),
        (timedelta(minutes=59), "59 minutes ago"),
        (timedelta(hours=3), "3 hours ago"),
        (timedelta(days=1), "1 day ago"),
        (timedelta(days=40), "40 days ago"),
    ],
)
def test_a_time_reads_relative_to_now(past: timedelta, shown: str) -> None:
    assert fmt.ago(NOW - past, NOW) == shown


def test_the_exact_time_is_utc_and_the_clock_is_the_reader_s() -> None:
    time = datetime(2026, 1, 2, 23, 30, tzinfo=ZoneInfo("America/New_York"))

    assert fmt.utc(time) == "2026-01-03 04:30:00 UTC"
    assert fmt.clock(time, ZoneInfo("Europe/Paris")) == "05:30:00"
    assert fmt.utc(None) == "–"


def test_a_column_has_one_unit_and_digits_for_its_smallest_value() -> None:
    values_kwh = [0.0017, None, 5.6e-5]
    unit = fmt.energy_unit(values_kwh)

    assert unit.label == "Wh"
    assert fmt.decimals(value * unit.factor for value in values_kwh if value is not None) == 3
    assert fmt.decimals([None, 0.0]) == 0
    assert fmt.decimals([123.0]) == 0
    assert fmt.decimals([12.0, 1e-9]) == 4


@pytest.mark.parametrize(("longest_s", "label"), [(None, "s"), (299.0, "s"), (301.0, "min"), (7201.0, "h")])
def test_a_column_of_durations_has_the_unit_of_the_longest(longest_s: float | None, label: str) -> None:
    assert fmt.time_unit([longest_s, 1.0]).label == label


def test_a_text_is_cut_with_an_ellipsis_where_it_does_not_fit() -> None:
    assert fmt.shorten("loss", 4) == "loss"
    assert fmt.shorten("losses", 4) == "los…"


def test_fractions_losses_and_counts() -> None:
    assert spaced(fmt.percent(0.98333)) == "98.33 %"
    assert fmt.percent(None) == "–"
    assert fmt.loss(0.04123) == "0.0412"
    assert fmt.loss(3e-6) == "3.0e-06"
    assert fmt.loss(0.0) == "0.0000"
    assert spaced(fmt.count(1234567)) == "1 234 567"


def test_text_of_others_is_shown_as_it_is() -> None:
    assert fmt.plain("a_b *c* [d](e) :red[f]") == r"a\_b \*c\* \[d\](e) \:red\[f\]"
    assert fmt.plain("train_32x32.mat").replace("\u2060", "") == r"train\_32x32\.mat"
    assert fmt.plain(" a\n\n    b\t# c ") == r"a b \# c"
    assert fmt.plain("1) Batch size (images)") == r"1\) Batch size (images)"
    assert fmt.plain_lines("a:\n\n    # b\n* c") == "a\\:  \n\\# b  \n\\* c"


@pytest.mark.parametrize(
    "text", [":100:", ":streamlit:", ":material/close:", "->", "a -> b", "x <= y", "a -- b"]
)
def test_what_streamlit_would_replace_is_taken_apart_unseen(text: str) -> None:
    escaped = fmt.plain(text).replace("\\", "")

    assert escaped.replace("\u2060", "") == text
    assert ("\u2060" in escaped) == ("/" not in text)
