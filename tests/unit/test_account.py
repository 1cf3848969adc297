from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from carbon_aware_trainer.core.account import Account
from carbon_aware_trainer.errors import BasesMixed
from carbon_aware_trainer.records import JOULES_PER_KWH, Basis, Intensity, Reading
from carbon_aware_trainer.traces import Trace
from tests.carbon_parts import HOUR, START

MINUTE = timedelta(minutes=1)


def intensity(g_per_kwh: float, at: datetime | None, kind: Basis = "average lifecycle") -> Intensity:
    return Intensity("DE", g_per_kwh, "given", kind, None, "a test", kind, at=at)


def used(kwh: float | None) -> Reading:
    joules = None if kwh is None else kwh * JOULES_PER_KWH
    return Reading(
        60.0, joules, "measured" if kwh is not None else None, None if kwh is not None else "Lost."
    )


def account() -> Account:
    return Account("DE", "given", "average lifecycle")


def test_uneven_power_is_charged_with_the_intensity_of_its_own_minutes() -> None:
    kept = account()
    kept.observe(intensity(100.0, START - HOUR), START - HOUR)
    kept.observe(intensity(300.0, START), START)
    kept.book(START - 5 * MINUTE, START, used(1.0), is_running=True)
    kept.book(START, START + 5 * MINUTE, used(0.0), is_running=True)
    assert kept.totals().co2_g == pytest.approx(100.0)


def test_a_span_over_two_intensities_is_divided() -> None:
    kept = account()
    kept.observe(intensity(100.0, START - HOUR), START - HOUR)
    kept.book(START - 2 * MINUTE, START + MINUTE, used(0.3), is_running=True)
    kept.observe(intensity(400.0, START), START + MINUTE)
    assert kept.totals().co2_g == pytest.approx(0.2 * 100 + 0.1 * 400)


def test_many_short_spans_take_little_room() -> None:
    kept = account()
    kept.observe(intensity(100.0, None), START)
    for i in range(3600):
        at = START + i * timedelta(seconds=1)
        kept.book(at, at + timedelta(seconds=1), used(0.001), is_running=True)
    assert len(kept._used) == 12
    assert kept.totals().energy_kwh == pytest.approx(3.6)
    assert kept.totals().running == HOUR


def test_a_revised_value_counts_from_its_own_begin() -> None:
    kept = account()
    kept.observe(intensity(100.0, START), START)
    kept.book(START, START + MINUTE, used(1.0), is_running=True)
    kept.observe(intensity(120.0, START), START + MINUTE)
    assert kept.totals().co2_g == pytest.approx(120.0)


def test_sums_are_of_what_is_known_and_say_how_much_is_not_and_why() -> None:
    kept = account()
    kept.observe(intensity(100.0, None), START)
    kept.book(START, START + MINUTE, used(1.0), is_running=True)
    kept.book(START + MINUTE, START + 3 * MINUTE, used(None), is_running=True)
    totals = kept.totals()
    assert (totals.energy_kwh, totals.co2_g, totals.g_per_kwh) == (1.0, 100.0, 100.0)
    assert (totals.unknown_energy, totals.unknown_co2) == (2 * MINUTE, 2 * MINUTE)
    assert (totals.run_now_co2_g, totals.saved_g, totals.quality) == (None, None, "measured")
    assert totals.reason == "Lost."


def test_the_mean_intensity_is_of_the_energy_whose_intensity_is_known() -> None:
    kept = account()
    kept.book(START, START + HOUR, used(3.0), is_running=True)
    kept.observe(intensity(200.0, START + HOUR), START + HOUR)
    kept.book(START + HOUR, START + 2 * HOUR, used(1.0), is_running=True)
    totals = kept.totals()
    assert (totals.energy_kwh, totals.co2_g, totals.g_per_kwh) == (4.0, 200.0, 200.0)
    assert (totals.unknown_energy, totals.unknown_co2) == (timedelta(), HOUR)


def test_nothing_known_is_none() -> None:
    kept = account()
    kept.book(START, START + MINUTE, used(None), is_running=True)
    totals = kept.totals()
    assert (totals.energy_kwh, totals.co2_g, totals.g_per_kwh, totals.quality) == (None, None, None, None)


def test_the_record_counts_only_where_nothing_was_seen() -> None:
    kept = account()
    kept.observe(intensity(100.0, START + HOUR), START + HOUR)
    for i in range(2):
        kept.book(START + i * HOUR, START + (i + 1) * HOUR, used(1.0), is_running=True)
    assert kept.gap() == (START, START + HOUR)
    values = np.array([50.0, 999.0])
    kept.take_record(Trace("DE", "given", "average lifecycle", START, HOUR, values))
    assert kept.gap() is None
    assert kept.totals().co2_g == pytest.approx(150.0)


def test_bases_are_not_mixed() -> None:
    kept = account()
    with pytest.raises(BasesMixed):
        kept.observe(intensity(100.0, START, "marginal direct"), START)
    kept.book(START, START + HOUR, used(1.0), is_running=True)
    kept.take_record(Trace("DE", "given", "marginal direct", START, HOUR, np.array([50.0])))
    assert kept.totals().co2_g is None


def test_an_account_without_spans_has_used_nothing() -> None:
    totals = account().totals()
    assert (totals.energy_kwh, totals.co2_g, totals.saved_g, totals.g_per_kwh) == (0, 0, 0, None)


def test_a_saving_from_the_figures_of_two_providers_is_unknown_and_says_why() -> None:
    kept = account()
    kept.observe(intensity(300.0, START), START)
    kept.book(START, START + HOUR, used(0.0), is_running=False)
    kept.observe(replace(intensity(100.0, START + HOUR), provider="another"), START + HOUR)
    kept.book(START + HOUR, START + 2 * HOUR, used(1.0), is_running=True)
    totals = kept.totals()
    assert totals.co2_g == pytest.approx(100.0)
    assert totals.saved_g is None
    assert totals.reason == (
        "Intensities are of another and given: what was saved is not known from a mixture."
    )


def test_a_saving_is_unknown_when_another_provider_recorded_what_nobody_saw() -> None:
    kept = account()
    kept.observe(intensity(100.0, START + HOUR), START + HOUR)
    for i in range(2):
        kept.book(START + i * HOUR, START + (i + 1) * HOUR, used(1.0), is_running=True)
    kept.take_record(Trace("DE", "another", "average lifecycle", START, HOUR, np.array([50.0])))
    assert kept.totals().co2_g == pytest.approx(150.0)
    assert kept.totals().saved_g is None


def test_another_provider_at_a_time_that_nothing_ran_changes_no_saving() -> None:
    kept = account()
    kept.observe(replace(intensity(300.0, START - 9 * HOUR), provider="another"), START - 9 * HOUR)
    kept.observe(intensity(100.0, START), START)
    kept.book(START, START + HOUR, used(1.0), is_running=True)
    assert (kept.totals().saved_g, kept.totals().reason) == (0.0, None)
