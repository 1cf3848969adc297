"""What a worker reads out of the log that the sampler of its machine writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from carbon_aware_trainer.energy.host import Sample
from carbon_aware_trainer.energy.ledger import Ledger
from carbon_aware_trainer.energy.sample_log import LOG_NAME, OLD_NAME, LogReader, LogWriter, OtherFigure
from carbon_aware_trainer.errors import MeterUnavailable
from carbon_aware_trainer.records import Source

approx: Any = pytest.approx
ME, OTHER = 100, 200
S = 10**9
CPU = Source("cpu", "estimated", "a fake CPU", "±40 %", 0.001)
GPU = Source("GPU-a", "measured", "a fake GPU", "±0.2 s", 0.1)
GPUS = {"gpu:0": "GPU-a"}
NOTHING: Mapping[str, str] = {}


class Log:
    """The log of a machine, and a worker that reads it."""

    def __init__(self, folder: Path, *, max_bytes: int = 10**6) -> None:
        self.folder, self.max_bytes = folder, max_bytes
        self.reader, self.ledger = LogReader(folder), Ledger(ME)
        self.begin("first")

    def begin(self, session: str, failed: Mapping[str, str] = NOTHING) -> None:
        self.writer = LogWriter(self.folder, session, max_bytes=self.max_bytes)
        self.writer.describe((CPU, GPU), failed)

    def write(
        self, at_s: float, cpu_j: float, gpu_j: float, *, training: int = 0, lost: Mapping[str, str] = NOTHING
    ) -> None:
        """The worker has half of the CPU's energy and all of the GPU's."""
        host = {"cpu": cpu_j, "GPU-a": gpu_j}
        own = {ME: {"cpu": cpu_j / 2, "GPU-a": gpu_j}, OTHER: {"cpu": cpu_j / 2, "GPU-a": 0.0}}
        self.writer.append(Sample(round(at_s * S), host, own, training, lost))
        self.writer.flush()

    def read(self, *, now_s: float = 10**6) -> Ledger:
        for entry in self.reader.read():
            self.ledger.add(entry, now_ns=round(now_s * S))
        return self.ledger


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def test_a_span_is_read_by_source_with_its_share_and_added_up(log: Log) -> None:
    for tenth in range(101):
        log.write(tenth / 10, 4.0 * tenth, 30.0 * tenth)
    reading = log.read().reading(2 * S, 7 * S, GPUS, {})
    assert reading.by_source_j == {"gpu:0": approx(1500), "cpu": approx(100)}
    assert (reading.energy_j, reading.quality) == (approx(1600), "estimated")
    assert {key: part.share for key, part in reading.sources.items()} == {
        "gpu:0": 1,
        "cpu": approx(0.5),
    }
    assert reading.window_s == 0.1


def test_a_short_span_gets_its_part_of_the_step_and_says_so(log: Log) -> None:
    log.write(0, 0, 0)
    log.write(0.1, 2, 20)
    reading = log.read().reading(round(0.02 * S), round(0.05 * S), GPUS, {})
    assert (reading.energy_j, reading.window_epochs) == (approx(21 * 0.3), 4)


def test_a_source_that_is_unknown_makes_the_total_unknown_but_hides_no_other(log: Log) -> None:
    log.write(0, 0, 0)
    log.write(1, 8, 0, lost={"GPU-a": "GPU is lost"})
    log.write(2, 16, 50)
    ledger = log.read()
    reading = ledger.reading(0, S, GPUS, {})
    assert (reading.energy_j, reading.quality, reading.reason) == (None, None, "gpu:0: GPU is lost")
    assert reading.by_source_j == {"cpu": approx(4)}
    assert ledger.reading(S, 2 * S, GPUS, {}).energy_j == approx(54)


def test_a_gpu_that_no_meter_reads_is_unknown_with_its_reason(log: Log) -> None:
    log.begin("second", failed={"GPU-z": "Not Supported"})
    log.write(0, 0, 0)
    log.write(1, 8, 0)
    ledger = log.read()
    assert ledger.reading(0, S, {"gpu:0": "GPU-z"}, {}).reason == "gpu:0: Not Supported"
    reading = ledger.reading(0, S, {}, {"gpu:0": "a MIG slice"})
    assert (reading.reason, reading.by_source_j) == ("gpu:0: a MIG slice", {"cpu": approx(4)})


def test_a_worker_without_a_gpu_is_not_charged_for_one(log: Log) -> None:
    log.write(0, 0, 0)
    log.write(1, 8, 500)
    assert log.read().reading(0, S, {}, {}).by_source_j == {"cpu": approx(4)}


def test_the_time_between_two_samplers_is_lost_and_no_other(log: Log) -> None:
    for at_s in range(4):
        log.write(at_s, 8.0 * at_s, 0)
    log.read()
    log.begin("second")
    for at_s in range(5, 9):
        log.write(at_s, 8.0 * (at_s - 5), 0)  # it counts from 0 again
    ledger = log.read()
    assert ledger.reading(S, 3 * S, GPUS, {}).energy_j == approx(8)
    assert ledger.reading(6 * S, 8 * S, GPUS, {}).energy_j == approx(8)
    for start_s, end_s in ((1, 6), (3, 4), (4, 5)):
        assert "another took over" in str(ledger.reading(start_s * S, end_s * S, GPUS, {}).reason)


def test_time_in_which_the_sampler_did_not_count_the_worker_stays_unknown_once_it_does_again(
    log: Log,
) -> None:
    for at_s in range(3):
        log.write(at_s, 8.0 * at_s, 0)
    for at_s in range(3, 6):
        log.writer.append(Sample(at_s * S, {"cpu": 8.0 * at_s, "GPU-a": 0.0}, {}, 0))
    for at_s in range(6, 9):
        log.write(at_s, 8.0 * at_s, 0)
    ledger = log.read()
    for start_s, end_s in ((3, 5), (1, 3), (2, 6), (5, 7)):
        reading = ledger.reading(start_s * S, end_s * S, GPUS, {})
        assert (reading.energy_j, "did not count this worker" in str(reading.reason)) == (None, True)
    assert ledger.reading(0, 2 * S, GPUS, {}).energy_j == approx(8)
    assert ledger.reading(6 * S, 8 * S, GPUS, {}).energy_j == approx(8)


def test_a_worker_that_missed_a_whole_file_does_not_pretend_to_know_it(tmp_path: Path) -> None:
    log = Log(tmp_path, max_bytes=400)
    log.write(0, 0, 0)
    log.read()
    for at_s in range(1, 40):
        log.write(at_s, 8.0 * at_s, 0)
    assert (tmp_path / OLD_NAME).stat().st_size + (tmp_path / LOG_NAME).stat().st_size < 1500
    assert "missed a part" in str(log.read().reading(0, 38 * S, GPUS, {}).reason)


def test_a_new_file_is_followed_without_a_gap(tmp_path: Path) -> None:
    log = Log(tmp_path, max_bytes=400)
    for at_s in range(40):
        log.write(at_s, 8.0 * at_s, 0)
        log.read()
    assert log.ledger.reading(0, 39 * S, GPUS, {}).energy_j == approx(4 * 39)


def test_a_new_reader_begins_near_the_end(tmp_path: Path) -> None:
    log = Log(tmp_path)
    for at_s in range(1000):
        log.write(at_s, 8.0 * at_s, 0)
    ledger = log.read()
    assert ledger.newest_ns == 999 * S
    assert ledger.reading(900 * S, 999 * S, GPUS, {}).energy_j == approx(4 * 99)
    assert "not running" in str(ledger.reading(700 * S, 900 * S, GPUS, {}).reason)


def test_half_a_line_waits_for_its_end(log: Log, tmp_path: Path) -> None:
    log.write(0, 0, 0)
    log.read()
    log.write(1, 8, 0)
    path = tmp_path / LOG_NAME
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert log.read().newest_ns == 0
    with path.open("ab") as file:
        file.write(whole[-5:])
    assert log.read().newest_ns == S


def test_samples_of_a_time_before_the_last_boot_count_for_nothing(log: Log) -> None:
    for at_s in range(5000, 5003):
        log.write(at_s, 8.0 * at_s, 0)
    assert log.read(now_s=60).newest_ns is None
    log.begin("second")
    for at_s in range(55, 58):
        log.write(at_s, 8.0 * at_s, 0)
    assert log.read(now_s=60).reading(55 * S, 57 * S, GPUS, {}).energy_j == approx(8)


def test_before_the_first_sample_nothing_is_known(tmp_path: Path) -> None:
    assert list(LogReader(tmp_path).read()) == []
    assert Ledger(ME).reading(0, S, {}, {}).reason == "The energy sampler has not begun yet."


def test_idle_power_is_that_of_the_machine_while_nobody_trained(log: Log) -> None:
    for tenth in range(200):
        used_j = 40.0 * min(tenth, 120) + 6.0 * max(0, tenth - 120)
        log.write(tenth / 10, used_j, 0, training=int(tenth <= 120))
    ledger = log.read()
    assert ledger.idle_power_w(round(19.9 * S), GPUS) == {"cpu": approx(60), "gpu:0": 0}
    assert ledger.idle_power_w(round(12.5 * S), GPUS) is None, "less than a second of it"
    assert ledger.idle_power_w(round(11.0 * S), GPUS) is None, "somebody trained"


def test_idle_power_is_that_of_the_runs_own_gpu_not_of_the_machines_others(log: Log) -> None:
    other = replace(GPU, key="GPU-b")
    log.writer.describe((CPU, GPU, other), {})
    for tenth in range(60):
        host = {"cpu": 2.0 * tenth, "GPU-a": 7.0 * tenth, "GPU-b": 9.0 * tenth}
        log.writer.append(Sample(tenth * S // 10, host, {ME: {}}, 0))
    log.writer.flush()
    ledger = log.read()
    assert ledger.idle_power_w(6 * S, GPUS) == {"gpu:0": approx(70), "cpu": approx(20)}
    assert ledger.idle_power_w(6 * S, {"gpu:0": "GPU-z"}) is None, "nobody reads that one"


def test_idle_power_is_unknown_where_a_source_is(log: Log) -> None:
    for at_s in range(8):
        log.write(at_s, 6.0 * at_s, 0, lost={"GPU-a": "GPU is lost"} if at_s == 5 else {})
    assert log.read().idle_power_w(7 * S, GPUS) is None


def test_codecarbons_figure_covers_most_of_a_span_or_is_unknown(log: Log) -> None:
    log.write(0, 0, 0)
    for at_s in range(10, 110, 2):
        log.writer.append_other(OtherFigure(at_s * S, 20.0 * at_s))
    log.writer.flush()
    ledger = log.read()
    assert ledger.other_j(20 * S, 100 * S) == approx(1600)
    assert ledger.other_j(20 * S, 110 * S) == approx(1800), "the last 2 s are taken as like the others"
    for start_s, end_s, why in ((100, 120, "too short"), (5, 100, "still starting")):
        with pytest.raises(MeterUnavailable, match=why):
            ledger.other_j(start_s * S, end_s * S)
    log.writer.append_other(OtherFigure(120 * S, None, "CodeCarbon's process has ended."))
    log.writer.flush()
    with pytest.raises(MeterUnavailable, match="has ended"):
        log.read().other_j(20 * S, 100 * S)


def write_figures(log: Log, begin_s: int, end_s: int, started_s: int) -> None:
    """A tracker of 10 W that was started then."""
    for at_s in range(begin_s, end_s, 2):
        log.writer.append_other(OtherFigure(at_s * S, 10.0 * (at_s - started_s)))
    log.writer.flush()


def test_the_time_between_two_of_codecarbons_trackers_is_unknown_and_no_other(log: Log) -> None:
    write_figures(log, 0, 20, 0)
    log.read()
    log.begin("second")
    write_figures(log, 26, 60, 24)
    ledger = log.read()
    assert ledger.other_j(2 * S, 18 * S) == approx(160)
    assert ledger.other_j(30 * S, 50 * S) == approx(200)
    with pytest.raises(MeterUnavailable, match="another took over"):
        ledger.other_j(2 * S, 52 * S)


def test_codecarbons_figures_of_a_time_before_the_last_boot_count_for_nothing(log: Log) -> None:
    write_figures(log, 5000, 5004, 0)
    log.read(now_s=60)
    log.begin("second")
    write_figures(log, 62, 100, 60)
    assert log.read(now_s=100).other_j(70 * S, 90 * S) == approx(200)


def test_a_log_that_is_between_two_files_has_nothing_new_yet(tmp_path: Path) -> None:
    class InARotation(LogReader):
        def _has_newer(self) -> bool:
            is_newer = super()._has_newer()
            (tmp_path / "samples.jsonl").unlink(missing_ok=True)
            return is_newer

    (tmp_path / "samples.jsonl").touch()
    assert list(InARotation(tmp_path).read()) == []
