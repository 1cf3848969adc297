"""What an epoch or an extra becomes in Redis: short, and read back as what it was."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema import EpochResult, ExtraCost
from store.encoding import (
    EPOCH_FIELDS,
    EXTRA_FIELDS,
    decode_epoch,
    decode_extra,
    encode_epoch,
    encode_extra,
)
from tests.records import epoch, extra

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
# As long as figures get: all their digits.
COST: Final[dict[str, Any]] = {
    "ended_at": NOON,
    "energy_kwh": 1.0366671234e-7,
    "energy_quality": "estimated",
    "co2_g": 3.8302123456e-5,
    "intensity_g_per_kwh": 369.473,
    "duration_s": 7.2273481234,
}
FIGURES: Final[dict[str, Any]] = {
    "train_loss": 0.1027215918942135,
    "train_accuracy": 1401 / 1437,
    "test_loss": 0.1312272995710373,
    "test_accuracy": 349 / 360,
    "attempt": 1,
    "energy_window_epochs": 2,
    "energy_by_source": {"cpu": 1.0366671234e-7},
}
VALIDATION: Final = {"validation_loss": 0.1312272995710373, "validation_accuracy": 139 / 144}

amounts = st.floats(0, 1e9)
fractions = st.floats(0, 1)
qualities = st.sampled_from([None, "measured", "estimated", "simulated"])
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds
costs = {
    "energy_kwh": st.none() | amounts,
    "energy_quality": qualities,
    "energy_reason": st.none() | st.text(max_size=20),
    "co2_g": st.none() | amounts,
    "intensity_g_per_kwh": st.none() | amounts,
    "co2_reason": st.none() | st.text(max_size=20),
    "duration_s": amounts,
}
epochs = st.builds(
    EpochResult,
    epoch=st.integers(1, 10**6),
    train_loss=st.floats(-1e9, 1e9),
    train_accuracy=fractions,
    test_loss=st.floats(-1e9, 1e9),
    test_accuracy=fractions,
    validation_loss=st.none() | amounts,
    validation_accuracy=st.none() | fractions,
    resumed_after_s=st.none() | amounts,
    attempt=st.integers(1, 100),
    energy_window_epochs=st.none() | st.integers(1, 20),
    energy_by_source=st.none() | st.dictionaries(st.sampled_from(["cpu", "gpu:0"]), amounts, min_size=1),
    ended_at=st.none() | moments,
    **costs,
)
extras = st.builds(
    ExtraCost,
    name=st.sampled_from(["rest", "batch_trial", "unfinished_epoch"]),
    attempt=st.integers(1, 100),
    span_s=amounts,
    ended_at=moments,
    **costs,
)


def is_same(read: object, written: object) -> bool:
    """As good as stored: figures to four digits, the fewest that any has, times to the second."""
    if isinstance(read, float) and isinstance(written, float):
        return math.isclose(read, written, rel_tol=1e-3)
    if isinstance(read, datetime) and isinstance(written, datetime):
        return abs((read - written).total_seconds()) <= 0.5
    if isinstance(read, dict) and isinstance(written, dict):
        return read.keys() == written.keys() and all(is_same(read[key], written[key]) for key in read)
    return read == written


@given(epochs)
def test_an_epoch_comes_back_with_every_field(result: EpochResult) -> None:
    array = encode_epoch(result)
    read = decode_epoch(str(result.epoch), array)
    assert is_same(read.model_dump(), result.model_dump())
    assert encode_epoch(read) == array


@given(extras)
def test_an_extra_comes_back_with_every_field(cost: ExtraCost) -> None:
    array = encode_extra(cost)
    read = decode_extra(f"{cost.attempt}:{cost.name}", array)
    assert is_same(read.model_dump(), cost.model_dump())
    assert encode_extra(read) == array


def test_every_field_of_a_record_has_a_place_in_its_array() -> None:
    assert {"epoch", *EPOCH_FIELDS} == set(EpochResult.model_fields)
    assert {"name", "attempt", *EXTRA_FIELDS} == set(ExtraCost.model_fields)


def test_energy_and_accuracies_keep_seven_digits_and_losses_six() -> None:
    read = decode_epoch("1", encode_epoch(epoch(1, **FIGURES, **COST)))
    assert (read.energy_kwh, read.train_loss) == (1.036667e-7, 0.102722)
    assert (read.co2_g, read.duration_s) == (3.83021e-5, 7.22735)
    assert round(read.train_accuracy * 1437, 2) == 1401
    # Neighbours among the images of the largest data sets there are.
    near, next_to = (
        decode_epoch("1", encode_epoch(epoch(1, train_accuracy=right / 1_281_167)))
        for right in (1_000_000, 1_000_001)
    )
    assert near.train_accuracy < next_to.train_accuracy


@pytest.mark.parametrize("more", [{}, VALIDATION], ids=["without", "with validation"])
def test_an_epoch_with_all_its_digits_takes_less_than_160_bytes(more: dict[str, Any]) -> None:
    # Redis adds four, and takes memory in pieces of 128, 160, 192, 224 and 256 bytes.
    assert len(encode_epoch(epoch(20, **FIGURES, **COST, **more))) <= 156


@pytest.mark.parametrize("duration_s", [0.0, COST["duration_s"]], ids=["rest", "unfinished epoch"])
def test_an_extra_with_all_its_digits_fits_a_small_hash(duration_s: float) -> None:
    cost = extra(**{**COST, "span_s": COST["duration_s"], "duration_s": duration_s})
    assert len(encode_extra(cost)) <= 64


def test_what_was_written_before_there_were_letters_and_arrays_is_still_read() -> None:
    result, cost = epoch(2, **FIGURES, **COST), extra(**COST)
    array = json.loads(encode_epoch(result))
    array[EPOCH_FIELDS.index("energy_quality")] = "estimated"
    assert decode_epoch("2", json.dumps(array)) == decode_epoch("2", encode_epoch(result))
    assert decode_extra("1:batch_trial", cost.model_dump_json()) == cost
