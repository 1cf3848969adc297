"""The run's part of the idle power of its machine."""

from __future__ import annotations

from typing import Any

import pytest

from carbon_aware_trainer.records import Reading, SourceReading
from work.run_energy import _overall_share

approx: Any = pytest.approx


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
