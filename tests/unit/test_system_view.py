"""Which chart a metric of a machine belongs to, and what is said of those that are not there."""

from __future__ import annotations

from datetime import UTC

from schema import Series
from tests.unit.test_usage import WORKER_NAMES
from views.run.system import PANELS, list_lacking, short_name
from views.run.system_charts import system_figure

GPU = ("gpu0_percent", "gpu0_memory_mib", "gpu0_temperature_c", "gpu0_power_w", "gpu11_percent")
ALL = [f"system/{name}" for name in (*WORKER_NAMES, *GPU)]


def test_every_metric_of_both_monitors_has_one_chart() -> None:
    charts = [[panel.title for panel in PANELS if panel.choose([name])] for name in ALL]
    assert [len(titles) for titles in charts] == [1] * len(ALL)
    assert not list_lacking(ALL)


def test_what_was_not_measured_is_said() -> None:
    without_gpu = [name for name in ALL if "gpu" not in name]
    assert list_lacking(without_gpu) == ["GPUs (none was found)"]
    silent_fan = [name for name in ALL if "temperature" not in name and "network" not in name]
    assert list_lacking(silent_fan) == ["Network traffic of the machine", "GPU temperature"]


def test_curves_of_one_chart_are_told_apart() -> None:
    named = {name: short_name(f"system/{name}") for name in (*WORKER_NAMES, *GPU)}
    assert named["gpu0_percent"] == "GPU 0"
    assert named["gpu11_percent"] == "GPU 11"
    assert (named["disk_read_mib_per_s"], named["network_received_mib_per_s"]) == ("read", "received")
    assert (named["cpu_percent"], named["process_memory_mib"]) == ("machine", "training")


def test_a_share_has_its_whole_scale_and_an_unknown_value_is_a_gap() -> None:
    series = Series(
        steps=[0, 5], values=[40.0, float("nan")], times=[0.0, 5.0], total=2, is_downsampled=False
    )
    figure = system_figure("r", "CPU", "%", {"machine": series}, zone=UTC, is_share=True)
    assert list(figure.layout.yaxis.range) == [0, 103]
    assert list(figure.data[0].y) == [40.0, None]
    other = system_figure("r", "Power", "W", {"GPU 0": series}, zone=UTC)
    assert (other.layout.yaxis.range, other.layout.yaxis.rangemode) == (None, "tozero")
