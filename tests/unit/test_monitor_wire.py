"""What the SDK sends, and what it makes of what users have."""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest

from training_monitor.comparison import Comparison, MetricSummary
from training_monitor.ending import describe, to_status
from training_monitor.errors import MonitorError
from training_monitor.nvml import Gpus
from training_monitor.plain import to_json
from training_monitor.points import Column
from training_monitor.wire import encode_points, pack_text, split, unpack_texts


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def test_points_are_json_with_words_for_what_is_no_number() -> None:
    steps, times = [0, 2**62, 3], [1.25, 2.5, 3.0]
    columns = {
        "a/b": Column("a/b", steps, [math.nan, math.inf, -math.inf], times),
        "c": Column("c", steps, [1.0, -2.5, 1e-300], times),
    }
    body = json.loads(encode_points("s1", 7, columns), parse_constant=no_constant)
    assert (body["session"], body["seq"]) == ("s1", 7)
    assert body["points"]["a/b"] == {
        "steps": steps,
        "values": ["NaN", "Infinity", "-Infinity"],
        "times": times,
    }
    assert body["points"]["c"]["values"] == [1.0, -2.5, 1e-300]


def test_long_columns_are_encoded_in_pieces_that_make_one_list() -> None:
    numbers = [number / 3 for number in range(5_001)]
    column = Column("x", list(range(5_001)), numbers, numbers)
    assert json.loads(encode_points("s", 1, {"x": column}))["points"]["x"]["values"] == numbers


def test_parts_have_at_most_so_many_points_and_lose_none() -> None:
    columns = {
        name: Column(name, list(range(size)), [0.5] * size, [0.0] * size)
        for name, size in {"a": 7, "b": 3, "c": 12}.items()
    }
    parts = list(split(columns, 5))
    assert [sum(len(column.steps) for column in part.values()) for part in parts] == [5, 5, 5, 5, 2]
    for name, column in columns.items():
        found = [step for part in parts if name in part for step in part[name].steps]
        assert found == column.steps


def test_a_whole_column_goes_as_it_is() -> None:
    column = Column("a", [1], [2.0], [3.0])
    assert next(split({"a": column}))["a"] is column


def test_texts_come_back() -> None:
    messages: list[dict[str, Any]] = [{"text": "ä\n"}, {"act": "tags", "body": {"add": []}}]
    assert list(unpack_texts([pack_text(messages[0]), pack_text(messages[1])])) == messages


@dataclasses.dataclass
class Config:
    layers: tuple[int, ...] = (3, 4)
    nested: dict[Any, Any] = dataclasses.field(default_factory=lambda: {"lr": np.float32(0.5), 1: {2}})


def test_parameters_of_any_kind_become_json() -> None:
    assert to_json(Config()) == {"layers": [3, 4], "nested": {"lr": 0.5, "1": [2]}}
    assert to_json(argparse.Namespace(a=math.nan, b=None, c=len)) == {
        "a": "nan", "b": None, "c": "<built-in function len>",
    }  # fmt: skip


def test_what_contains_itself_ends() -> None:
    itself: dict[str, Any] = {}
    itself["again"] = itself
    assert "…" in json.dumps(to_json(itself), ensure_ascii=False)


@pytest.mark.parametrize("word", ["completed", "done", "failed", "cancelled"])
def test_a_run_ends_in_one_of_four_words(word: str) -> None:
    assert to_status(word) in ("done", "failed", "cancelled")


def test_any_other_word_is_refused_with_the_four() -> None:
    with pytest.raises(MonitorError, match="completed, done, failed, cancelled"):
        to_status("ok")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, "done"), (SystemExit(0), "done"), (SystemExit(None), "done"), (SystemExit(1), "failed"),
        (KeyboardInterrupt(), "cancelled"), (ValueError("no"), "failed"),
    ],
)  # fmt: skip
def test_what_ended_a_training_says_how(error: BaseException | None, status: str) -> None:
    assert describe(error)["status"] == status


def test_a_failure_has_its_kind_message_and_traceback() -> None:
    try:
        raise ValueError("The loss is gone.")
    except ValueError as raised:
        error = describe(raised)["error"]
    assert (error["kind"], error["message"]) == ("ValueError", "The loss is gone.")
    assert "test_monitor_wire.py" in error["traceback"]


class FakeNvml:
    """Two GPUs, of which the second tells its power only. Every function fills what it is given."""

    SUCCESS, NOT_SUPPORTED = 0, 3

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:  # noqa: N802 NVML's name
        count._obj.value = 2
        return self.SUCCESS

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, handle: Any) -> int:  # noqa: N802
        handle._obj.value = 100 + index.value
        return self.SUCCESS

    def nvmlDeviceGetUtilizationRates(self, handle: Any, rates: Any) -> int:  # noqa: N802
        return self._fill(handle, rates, gpu=97, memory=5)

    def nvmlDeviceGetMemoryInfo(self, handle: Any, memory: Any) -> int:  # noqa: N802
        return self._fill(handle, memory, used=3 << 20)

    def nvmlDeviceGetTemperature(self, handle: Any, kind: Any, celsius: Any) -> int:  # noqa: N802
        return self._fill(handle, celsius, value=61) if kind.value == 0 else self.NOT_SUPPORTED

    def nvmlDeviceGetPowerUsage(self, _handle: Any, milliwatts: Any) -> int:  # noqa: N802
        milliwatts._obj.value = 350_500
        return self.SUCCESS

    def _fill(self, handle: ctypes.c_void_p, pointer: Any, **values: int) -> int:
        if handle.value != 100:
            return self.NOT_SUPPORTED
        for name, value in values.items():
            setattr(pointer._obj, name, value)
        return self.SUCCESS


def test_a_gpu_that_does_not_tell_something_is_absent_there_and_never_0() -> None:
    assert Gpus(FakeNvml()).read() == {
        "gpu0_percent": 97.0, "gpu0_memory_mib": 3.0, "gpu0_temperature_c": 61.0, "gpu0_power_w": 350.5,
        "gpu1_power_w": 350.5,
    }  # fmt: skip


def test_a_comparison_is_a_table_with_what_is_missing() -> None:
    text = str(
        Comparison(
            names={"a" * 32: "one", "b" * 32: "two"},
            params={"lr": {"a" * 32: 0.1}},
            metrics={"loss": {"a" * 32: MetricSummary(0.25, 0.5), "b" * 32: MetricSummary(None, None)}},
            missing={"three": "There is no such run."},
            page_url="http://example/",
        )
    )
    assert text.splitlines() == [
        "             one       two",
        "run          aaaaaaaa  bbbbbbbb",
        "lr           0.1       –",
        "loss (best)  0.25      –",
        "loss (last)  0.5       –",
        "three: There is no such run.",
        "http://example/",
    ]
