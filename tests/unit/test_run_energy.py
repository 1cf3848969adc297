"""What is recorded of a run's energy besides its epochs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from carbon_aware_trainer.energy import EnergyMonitor
from carbon_aware_trainer.records import Reading, SourceReading
from schema import Run, Scalar, Status
from work.run_energy import RunEnergy, _overall_share

approx: Any = pytest.approx


class OneKwh:
    """A sampler whose CodeCarbon has seen one kilowatt hour."""

    def idle_power_w(self, until_ns: int, *, gpus: int) -> None:
        """Nothing is known."""

    def begin(self, *, gpus: int) -> None:
        """Nothing is divided."""

    def newest_ns(self) -> int:
        return 0

    def reading(self, start_ns: int, end_ns: int, *, timeout_s: float) -> Reading:
        del timeout_s
        return Reading((end_ns - start_ns) / 1e9, reason="a test")

    def codecarbon_j(self, start_ns: int, end_ns: int) -> float:
        return 3.6e6 if end_ns > start_ns else 0.0


def attempt(number: int, facts: dict[str, Scalar]) -> dict[str, Scalar]:
    """Return the facts after one more attempt."""
    run = Run(
        run_id="1",
        status=Status.RUNNING,
        time_added=datetime(2026, 1, 1, tzinfo=UTC),
        num_epochs=1,
        attempt=number,
        environment=facts,
        hyper_params={},
    )
    energy = RunEnergy(cast("EnergyMonitor", cast("Any", OneKwh())), run, pue=1.0)
    return facts | energy.begin() | energy.end()


def test_codecarbons_figure_is_the_sum_of_all_attempts() -> None:
    facts = attempt(2, attempt(1, {}))
    assert facts["codecarbon_energy_kwh"] == pytest.approx(2)


def test_codecarbons_figure_is_unknown_once_an_attempt_has_recorded_none() -> None:
    facts = attempt(3, attempt(1, {}))
    assert facts["codecarbon_energy_kwh"] is None
    assert facts["codecarbon_reason"] == "It is not known of an earlier attempt."
    assert attempt(4, facts)["codecarbon_energy_kwh"] is None


def test_each_sources_idle_power_counts_by_the_runs_own_share_of_it() -> None:
    sources = {
        "gpu:0": SourceReading(2000.0, "measured", share=1.0),
        "gpu:1": SourceReading(50.0, "measured", share=0.5),
        "cpu": SourceReading(10.0, "measured", share=0.25),
    }
    idle_power_w = {"gpu:0": 70.0, "gpu:1": 60.0, "cpu": 40.0}
    share = _overall_share(Reading(10.0, 2060.0, "measured", sources=sources), idle_power_w)
    assert share is not None
    assert share * sum(idle_power_w.values()) == approx(70 + 30 + 10, abs=0.01)


def test_without_a_known_share_of_a_source_there_is_no_part_of_its_idle_power() -> None:
    sources = {"gpu:0": SourceReading(None, reason="GPU is lost"), "cpu": SourceReading(10.0, share=0.25)}
    assert _overall_share(Reading(10.0, sources=sources), {"gpu:0": 70.0, "cpu": 40.0}) is None
    assert _overall_share(Reading(10.0, sources=sources), {}) == 0.25
