"""What a worker adds to what its training child tells it."""

from __future__ import annotations

import pytest

from carbon_aware_trainer.records import Intensity
from tests.unit.test_sampler import FakeMeter, S, run_load, sampler_on
from work.messages import Described
from work.metering import measure_cost, measure_facts

INTENSITY = Intensity("USA", 400.0, "static", "average", 2023, "a test")


def test_the_energy_of_compiling_is_that_of_the_seconds_before_it_was_told() -> None:
    meter = FakeMeter()
    sampler = sampler_on(meter)
    sampler.sample()
    run_load(meter, sampler, power_w=50, seconds=10)  # loading the data
    run_load(meter, sampler, power_w=360, seconds=20)  # compiling
    told_ns = meter.now_ns
    run_load(meter, sampler, power_w=100, seconds=10)  # the first epoch

    facts = measure_facts(Described(facts={"compile_s": 20.0}, at_ns=told_ns), sampler)

    assert facts == {"compile_s": 20.0, "compile_energy_kwh": pytest.approx(0.002)}


def test_the_energy_of_compiling_is_none_where_no_meter_ran() -> None:
    sampler = sampler_on(FakeMeter())
    facts = measure_facts(Described(facts={"compile_s": 20.0}, at_ns=25 * S), sampler)
    assert facts == {"compile_s": 20.0, "compile_energy_kwh": None}


def test_other_facts_stay_as_they_are() -> None:
    facts = {"device": "cpu", "threads": 2}
    assert measure_facts(Described(facts=facts, at_ns=S), sampler_on(FakeMeter())) == facts


def test_the_cost_of_a_span_has_energy_and_co2_or_a_reason() -> None:
    meter = FakeMeter()
    sampler = sampler_on(meter)
    sampler.sample()
    run_load(meter, sampler, power_w=360, seconds=20)

    cost = measure_cost(5 * S, 15 * S, sampler, INTENSITY)
    assert [cost.energy_kwh, cost.co2_g] == pytest.approx([0.001, 0.4])
    assert cost.energy_quality == "measured"

    unknown = measure_cost(5 * S, 500 * S, sampler, INTENSITY)
    assert unknown.energy_kwh is None
    assert unknown.energy_reason
