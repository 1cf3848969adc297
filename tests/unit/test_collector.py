from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow.parquet as parquet
import pytest

from carbon_aware_trainer.core.metrics import CarbonMetrics
from carbon_aware_trainer.errors import BasesMixed, CarbonError
from carbon_aware_trainer.monitoring.collector import MetricsCollector
from carbon_aware_trainer.monitoring.plots import Plot, to_svg
from carbon_aware_trainer.monitoring.report import write_report
from carbon_aware_trainer.plans import Decision
from tests.carbon_parts import HOUR, START, Clock

NOTHING = CarbonMetrics(
    total_carbon_kg=0.0, total_energy_kwh=0.0, carbon_saved_kg=0.0, run_now_carbon_kg=0.0,
    paused_duration=0.0, running_duration=0.0, unknown_energy_duration=0.0,
    unknown_carbon_duration=0.0, current_intensity=100.0, average_intensity=None,
    pauses=0, steps=0, state="running", region="US-CA", provider="cached", basis="average lifecycle",
    energy_quality="measured", reason=None,
)  # fmt: skip


class Training:
    """Costs 1 kWh and 0.1 kg an epoch of ten steps."""

    def __init__(self) -> None:
        self.now, self.clock = NOTHING, Clock()

    def metrics(self) -> CarbonMetrics:
        return self.now

    def epoch(self, collector: MetricsCollector, loss: float, **given: Any) -> None:
        for _ in range(10):
            collector.record_step(loss)
        self.clock.pass_by(3600)
        before = self.now
        assert before.total_energy_kwh is not None
        assert before.total_carbon_kg is not None
        self.now = replace(
            before,
            total_energy_kwh=before.total_energy_kwh + 1, total_carbon_kg=before.total_carbon_kg + 0.1,
            run_now_carbon_kg=before.total_carbon_kg + 0.2, carbon_saved_kg=0.1, steps=before.steps + 10,
            running_duration=before.running_duration + 3600, average_intensity=100.0,
        )  # fmt: skip
        collector.end_epoch(**given)


def collected(**options: Any) -> tuple[Training, MetricsCollector]:
    training = Training()
    collector = MetricsCollector(training.metrics, now=training.clock.now, **options)
    training.epoch(collector, 2.0, val_loss=1.5, val_accuracy=0.5)
    training.epoch(collector, 1.0, val_loss=1.6, val_accuracy=0.7)
    return training, collector


def test_an_epoch_is_what_came_since_the_last_one() -> None:
    _, collector = collected()
    first, second = collector.epochs
    assert (first.epoch, second.epoch, second.steps, second.train_loss) == (1, 2, 10, 1.0)
    assert (second.energy_kwh, second.running_s, second.paused_s) == (1.0, 3600.0, 0.0)
    assert second.co2_g == pytest.approx(100.0)
    assert second.g_per_kwh == pytest.approx(100.0)
    assert first.saved_g == pytest.approx(100.0)
    assert second.saved_g == 0.0
    assert first.ended_at == "2026-06-01T13:00:00+00:00"


def test_a_session_sums_its_epochs_up() -> None:
    _, collector = collected()
    session = collector.session()
    assert (session.epochs, session.steps, session.energy_kwh, session.co2_g) == (2, 20, 2.0, 200.0)
    assert (session.best_val_loss, session.best_val_accuracy, session.train_loss) == (1.5, 0.7, 1.0)
    assert (session.started_at, session.ended_at) == (
        "2026-06-01T12:00:00+00:00",
        "2026-06-01T14:00:00+00:00",
    )


def test_what_becomes_unknown_is_none() -> None:
    training, collector = collected()
    training.now = replace(training.now, total_energy_kwh=None, total_carbon_kg=None, reason="No meter.")
    epoch = collector.end_epoch()
    assert (epoch.energy_kwh, epoch.co2_g, epoch.g_per_kwh, epoch.train_loss) == (None, None, None, None)
    assert collector.session().reason == "No meter."


def test_an_epoch_of_which_a_part_is_unknown_is_none_and_the_session_says_how_much(tmp_path: Path) -> None:
    training, collector = collected()
    training.now = replace(
        training.now,
        total_energy_kwh=2.5,
        unknown_energy_duration=60.0,
        unknown_carbon_duration=1800.0,
        reason="No meter.",
    )
    epoch, session = collector.end_epoch(), collector.session()
    assert (epoch.energy_kwh, epoch.co2_g) == (None, None)
    assert (session.energy_kwh, session.co2_g) == (2.5, 200.0)
    assert (session.unknown_energy_s, session.unknown_co2_s) == (60.0, 1800.0)
    training.epoch(collector, 1.0)
    assert collector.epochs[-1].energy_kwh == 1.0
    report = write_report(tmp_path / "report.md", collector).read_text(encoding="utf-8")
    assert "without 0.50 h that are unknown" in report


@pytest.mark.parametrize("name", ["live.jsonl", "live.csv"])
def test_a_live_file_has_each_epoch_as_soon_as_it_ends_and_grows_over_processes(
    tmp_path: Path, name: str
) -> None:
    for count in (2, 4):
        _, collector = collected(live=tmp_path / name)
        lines = (tmp_path / name).read_text().splitlines()  # not closed yet
        assert len(lines) == count + (name == "live.csv")
        collector.close()
    if name == "live.jsonl":
        assert json.loads(lines[-1])["train_loss"] == 1.0
    else:
        assert list(csv.DictReader(lines))[-1]["train_loss"] == "1.0"


def test_a_live_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(CarbonError, match="other columns"):
        collected(live=tmp_path / "other.csv")
    with pytest.raises(CarbonError, match=r"Use \.jsonl or \.csv"):
        collected(live=tmp_path / "live.parquet")


def test_all_epochs_are_exported_as_json_csv_and_parquet(tmp_path: Path) -> None:
    _, collector = collected()
    as_json = json.loads(collector.export(tmp_path / "epochs.json").read_text())
    with collector.export(tmp_path / "epochs.csv").open() as file:
        as_csv = list(csv.DictReader(file))
    as_parquet = parquet.read_table(collector.export(tmp_path / "epochs.parquet")).to_pylist()
    assert as_json == as_parquet
    assert [float(row["co2_g"]) for row in as_csv] == [row["co2_g"] for row in as_json]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epochs.csv", "epochs.json", "epochs.parquet"]


def test_no_epochs_are_exported_as_an_empty_table(tmp_path: Path) -> None:
    collector = MetricsCollector(Training().metrics)
    assert parquet.read_table(collector.export(tmp_path / "none.parquet")).num_rows == 0
    assert collector.export(tmp_path / "none.csv").read_text().startswith("epoch,ended_at,")


def test_a_place_or_an_ending_that_cannot_be_is_refused(tmp_path: Path) -> None:
    _, collector = collected()
    (tmp_path / "file").write_text("")
    with pytest.raises(CarbonError, match="cannot be written"):
        collector.export(tmp_path / "file" / "epochs.json")
    with pytest.raises(CarbonError, match="no known ending"):
        collector.export(tmp_path / "epochs.xls")
    with pytest.raises(CarbonError, match="no known ending"):
        write_report(tmp_path / "report.doc", collector)


DECISIONS = [
    Decision(START, "wait", "dirty", 300.0), Decision(START + HOUR, "run", "clean <b>", 90.0),
    Decision(START + 2 * HOUR, "run", "unknown"),
]  # fmt: skip


def test_an_html_report_is_one_file_with_its_figures_and_plots(tmp_path: Path) -> None:
    _, collector = collected()
    path = write_report(tmp_path / "report.html", collector, DECISIONS, title="A <b> training")
    text = path.read_text()
    assert text.count("A &lt;b&gt; training") == 2
    assert "<b>" not in text
    for figure in (
        "200 g",
        "100 g (33.3%)",
        "100 g/kWh",
        "US-CA, cached, average lifecycle",
        "2 kWh, measured",
    ):
        assert figure in text
    assert text.count("<svg") == 3
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_markdown_report_has_its_plots_beside_it(tmp_path: Path) -> None:
    _, collector = collected()
    text = write_report(tmp_path / "report.md", collector, DECISIONS).read_text()
    assert "| 2 | 1 | 1.6 | 0.7 | 3600.0 | 0.0 | 1000 | 100 | 0 |" in text
    for i in (1, 2, 3):
        assert f"(report-{i}.svg)" in text
        ElementTree.fromstring((tmp_path / f"report-{i}.svg").read_text())  # noqa: S314 our own


def test_a_report_of_nothing_says_so(tmp_path: Path) -> None:
    text = write_report(tmp_path / "report.html", MetricsCollector(Training().metrics)).read_text()
    assert text.count("No values yet") == 3


def test_a_plot_is_valid_svg_whose_points_lie_within() -> None:
    points = [(0.0, -5.0), (1.0, 10.0), (2.0, 3.0)]
    for plot in (
        Plot("Loss & <cost>", "g", points, ("a", "b"), [(0.0, 1.0)], is_stepped=True),
        Plot("Bars", "", points, ("a", "b"), is_bars=True),
        Plot("One", "", [(5.0, 0.0)], ("a", "b")),
    ):
        root = ElementTree.fromstring(to_svg(plot))  # noqa: S314 our own
        for circle in root.iter("{http://www.w3.org/2000/svg}circle"):
            assert 0 <= float(circle.attrib["cx"]) <= 720
            assert 0 <= float(circle.attrib["cy"]) <= 240


def test_metrics_go_on_from_earlier_ones() -> None:
    training, _ = collected()
    both = training.now.plus(training.now.as_dict())
    assert (both.total_energy_kwh, both.steps) == (4.0, 40)
    assert both.average_intensity == pytest.approx(100.0)
    with pytest.raises(BasesMixed):
        training.now.plus({**training.now.as_dict(), "basis": "marginal direct"})
    with pytest.raises(KeyError):
        training.now["total_carbon"]


def test_sums_that_go_on_are_of_what_is_known_and_say_how_much_is_not() -> None:
    training, _ = collected()
    earlier = {
        **training.now.as_dict(),
        "total_energy_kwh": None,
        "total_carbon_kg": None,
        "carbon_saved_kg": None,
        "unknown_energy_duration": 7200.0,
        "unknown_carbon_duration": 7200.0,
        "energy_quality": None,
    }
    both = training.now.plus({**earlier, "reason": "No meter."})
    assert both.total_energy_kwh == 2.0
    assert both.total_carbon_kg == pytest.approx(0.2)
    assert (both.unknown_energy_duration, both.unknown_carbon_duration) == (7200.0, 7200.0)
    assert (both.carbon_saved_kg, both.energy_quality, both.reason) == (None, "measured", "No meter.")
    assert both.average_intensity == pytest.approx(100.0)


def test_the_sums_of_an_older_checkpoint_are_known_or_left_out_as_a_whole() -> None:
    training, _ = collected()
    old = {name: value for name, value in training.now.as_dict().items() if not name.startswith("unknown")}
    assert training.now.plus(old).unknown_energy_duration == 0.0
    both = training.now.plus({**old, "total_energy_kwh": None})
    assert (both.total_energy_kwh, both.unknown_energy_duration) == (2.0, 7200.0)
