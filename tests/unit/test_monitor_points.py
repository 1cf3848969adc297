"""Points of metrics, from the loop's memory to columns."""

from __future__ import annotations

import logging
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from training_monitor.points import MOST_ASIDE, MOST_NAMES, PointLog, PointReader
from training_monitor.window import HEADS, Window, create_memory, open_memory

HALF = 4_096


class Bell:
    """Counts how often it was rung."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def window_of(half: int = HALF) -> Window:
    return Window(memoryview(bytearray(HEADS + 2 * half)))


def log_of(half: int = HALF) -> tuple[PointLog, Window, Bell]:
    window, bell = window_of(half), Bell()
    return PointLog(window, ring=bell), window, bell


def read_all(points: PointLog, window: Window, reader: PointReader) -> dict[str, list[tuple[int, float]]]:
    filled = window.turn()
    data = (filled.data if filled else b"") + points.take_aside()
    window.clear()
    return {
        name: list(zip(column.steps, column.values, strict=True))
        for name, column in reader.read(data).items()
    }


def logged(metrics: Any, step: Any) -> dict[str, list[tuple[int, float]]]:
    points, window, _ = log_of()
    points.add(metrics, step, 1.5)
    return read_all(points, window, PointReader())


def test_values_come_back_by_name_in_the_order_in_which_they_were_logged() -> None:
    points, window, _ = log_of()
    for step in (5, 3, 3):
        points.add({"loss": step / 2, "acc": 1}, step, 100.0 + step)
    columns = PointReader().read(window.turn().data)  # type: ignore[union-attr] # three were logged
    assert columns["loss"].steps == [5, 3, 3]
    assert columns["loss"].values == [2.5, 1.5, 1.5]
    assert columns["acc"].times == [105.0, 103.0, 103.0]


def test_nan_and_infinities_survive() -> None:
    found = logged({"a": math.nan, "b": math.inf, "c": -math.inf}, 0)
    assert math.isnan(found["a"][0][1])
    assert (found["b"], found["c"]) == ([(0, math.inf)], [(0, -math.inf)])


def test_scalars_of_numpy_nested_metrics_and_whole_steps_of_any_type_are_taken() -> None:
    found = logged({"train": {"loss": np.float32(0.5)}, "ok": np.True_}, np.int64(7))
    assert found == {"train/loss": [(7, 0.5)], "ok": [(7, 1.0)]}
    assert logged({"loss": 1}, 2.0) == {"loss": [(2, 1.0)]}


def test_a_loss_that_has_a_graph_is_taken_without_a_warning() -> None:
    points, window, _ = log_of()
    loss = torch.ones((), requires_grad=True) * 2
    for step in range(3):
        points.add({"loss": loss}, step, 0.0)
    assert read_all(points, window, PointReader()) == {"loss": [(0, 2.0), (1, 2.0), (2, 2.0)]}


@pytest.mark.parametrize("step", [-1, 2.5, 2**63, "one", None, math.nan])
def test_a_step_that_is_none_is_refused_with_the_reason(step: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert logged({"loss": 1}, step) == {}
    assert "is not an integer from 0" in caplog.text


@pytest.mark.parametrize("name", ["", "a b", "ä", "x" * 251, "a\n"])
def test_a_bad_name_is_refused_and_the_others_of_the_call_are_kept(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert logged({name: 1, "good": 2}, 0) == {"good": [(0, 2.0)]}
    assert "1-250 of A-Z" in caplog.text


@pytest.mark.parametrize("value", ["0.5", None, [1, 2], object(), 10**400, torch.ones(2)])
def test_what_is_no_number_is_refused_once_and_the_others_are_kept(
    value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    points, window, _ = log_of()
    reader = PointReader()
    points.add({"bad": 1, "good": 1}, 0, 0.0)
    read_all(points, window, reader)
    for step in (1, 2):
        points.add({"bad": value, "good": 2}, step, 0.0)
    assert read_all(points, window, reader) == {"good": [(1, 2.0), (2, 2.0)]}
    assert caplog.text.count("is not one number") == 1


def test_a_run_has_at_most_as_many_names_as_the_server_takes(caplog: pytest.LogCaptureFixture) -> None:
    points, window, _ = log_of(1 << 20)
    for number in range(MOST_NAMES + 5):
        points.add({f"m{number}": 1.0}, 0, 0.0)
    points.add({"m0": 2.0, "another": 1.0}, 1, 0.0)
    found = read_all(points, window, PointReader())
    assert len(found) == MOST_NAMES
    assert found["m0"] == [(0, 1.0), (1, 2.0)]
    assert f"at most {MOST_NAMES}" in caplog.text


def test_a_full_window_rings_and_what_finds_no_room_comes_after_it() -> None:
    points, window, bell = log_of(256)
    for step in range(40):
        points.add({"loss": step}, step, float(step))
    assert bell.count
    reader = PointReader()
    found = read_all(points, window, reader)
    assert found == {"loss": [(step, float(step)) for step in range(40)]}
    points.add({"loss": 40}, 40, 40.0)
    assert read_all(points, window, reader) == {"loss": [(40, 40.0)]}


def test_a_call_that_finds_another_one_writing_is_not_overtaken_by_the_next() -> None:
    points, window, _ = log_of()
    points.add({"loss": 0.0}, 0, 0.0)
    with window.lock:
        points.add({"loss": 1.0}, 1, 1.0)
    points.add({"loss": 2.0}, 2, 2.0)
    found = read_all(points, window, PointReader())
    assert [step for step, _ in found["loss"]] == [0, 1, 2]


def test_what_went_aside_and_fits_only_in_part_stays_in_its_order() -> None:
    points, window, _ = log_of(half=200)
    reader, found = PointReader(), []
    for step in range(30):
        points.add({"loss": 1.0}, step, float(step))
    filled = window.turn()
    points.add({"loss": 1.0}, 30, 30.0)  # takes along what finds room, before the others are taken
    data = (filled.data if filled else b"") + points.take_aside()
    window.clear()
    found += reader.read(data)["loss"].steps
    while more := read_all(points, window, reader):
        found += [step for step, _ in more["loss"]]
    assert found == list(range(31))


def test_a_name_that_comes_while_the_window_is_full_is_kept() -> None:
    points, window, _ = log_of(128)
    for step in range(10):
        points.add({"loss": step}, step, 0.0)
    points.add({"late": 1}, 0, 0.0)
    reader = PointReader()
    assert read_all(points, window, reader)["late"] == [(0, 1.0)]
    points.add({"late": 2}, 1, 0.0)
    assert read_all(points, window, reader) == {"late": [(1, 2.0)]}


def test_memory_is_bounded_and_what_is_lost_is_counted() -> None:
    points, _, _ = log_of(128)
    for step in range(MOST_ASIDE + 100):
        points.add({"loss": 1.0}, step, 0.0)
    assert 90 < points.lost_calls <= 100


def test_a_call_within_a_call_is_neither_lost_nor_waits() -> None:
    points, window, _ = log_of()
    points.add({"loss": 0.0}, 0, 0.0)

    class Chatty:
        """A value that logs while it is read, as a signal handler might."""

        def __float__(self) -> float:
            points.add({"loss": 1.0}, 1, 1.0)
            return 2.0

    points.add({"loss": Chatty()}, 2, 2.0)
    assert sorted(read_all(points, window, PointReader())["loss"]) == [(0, 0.0), (1, 1.0), (2, 2.0)]


def test_threads_lose_nothing_to_each_other() -> None:
    points, window, _ = log_of(1 << 20)

    def log_some(thread: int) -> None:
        for step in range(2_000):
            points.add({f"t{thread}": step, "all": thread}, step, 0.0)

    threads = [threading.Thread(target=log_some, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read_all(points, window, PointReader())
    assert len(found["all"]) == 8_000
    assert all(sorted(found[f"t{number}"]) == [(n, float(n)) for n in range(2_000)] for number in range(4))


def test_a_metric_that_is_logged_in_changing_company_keeps_its_order() -> None:
    points, window, _ = log_of()
    points.add({"loss": 1.0}, 0, 1.0)
    points.add({"loss": 2.0, "acc": 0.5}, 0, 2.0)
    points.add({"loss": 3.0}, 0, 3.0)
    assert read_all(points, window, PointReader())["loss"] == [(0, 1.0), (0, 2.0), (0, 3.0)]


def test_a_record_that_was_not_committed_does_not_count() -> None:
    points, window, _ = log_of()
    points.add({"loss": 1.0}, 0, 0.0)
    window.memory[window.offset : window.offset + 26] = bytes(range(26))  # killed before the commit
    assert read_all(points, window, PointReader()) == {"loss": [(0, 1.0)]}


def test_another_process_reads_what_one_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    memory, path = create_memory(f"wattle-test-{tmp_path.name}", HEADS + 2 * HALF, tmp_path)
    assert path is not None
    try:
        points = PointLog(window := Window(memory), ring=Bell())
        points.add({"loss": 1.0}, 0, 0.0)
        assert window.turn() is not None  # died before it was kept
        points.add({"loss": 2.0}, 1, 0.0)

        left = Window(open_memory(path), is_new=False).leftovers()
    finally:
        path.unlink()
    assert [filled.generation for filled in left] == [1, 2]
    column = PointReader().read(b"".join(filled.data for filled in left))["loss"]
    assert (column.steps, column.values) == ([0, 1], [1.0, 2.0])
    assert not caplog.records


def test_an_interrupt_that_leaves_the_lock_taken_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training_monitor.window._LONGEST_WRITE_S", 0.01)
    points, window, _ = log_of()
    points.add({"loss": 1.0}, 0, 0.0)
    window.lock.acquire()  # by a writer that a KeyboardInterrupt ended
    points.add({"loss": 2.0}, 1, 0.0)
    reader = PointReader()
    assert read_all(points, window, reader) == {"loss": [(0, 1.0), (1, 2.0)]}
    points.add({"loss": 3.0}, 2, 0.0)
    assert read_all(points, window, reader) == {"loss": [(2, 3.0)]}
