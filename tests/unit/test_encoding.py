"""How records are written in Redis, and read back."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from errors import InvalidInput
from schema import EpochResult, SortField, Status
from store.encoding import EPOCH_FIELDS, decode_epoch, decode_epochs, encode_epoch, to_json, to_text, to_time
from store.paging import Listing

RESULT = EpochResult(
    epoch=3,
    train_loss=0.1,
    train_accuracy=1 / 3,
    test_loss=0.2,
    test_accuracy=0.9,
    duration_s=1.5,
    attempt=2,
    energy_kwh=None,
    energy_reason="no meter",
)


def test_every_field_of_an_epoch_has_a_place_in_its_array() -> None:
    assert set(EPOCH_FIELDS) == set(EpochResult.model_fields) - {"epoch"}


def test_an_epoch_is_read_as_it_was_written() -> None:
    assert decode_epoch("3", encode_epoch(RESULT)) == RESULT


def test_an_array_written_before_a_field_existed_reads_as_none() -> None:
    assert decode_epoch("3", "[0.1,0.5,0.2,0.9,null,null,1.5,2]").co2_g is None


def test_epochs_come_in_the_order_of_their_numbers() -> None:
    stored = {number: encode_epoch(RESULT) for number in ("10", "9", "1")}
    assert [result.epoch for result in decode_epochs(stored)] == [1, 9, 10]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_cannot_be_written(value: float) -> None:
    with pytest.raises(InvalidInput, match="finite"):
        to_json({"learning_rate": value})


def test_a_text_that_utf8_cannot_carry_is_not_written_as_json() -> None:
    with pytest.raises(InvalidInput, match="UTF-8"):
        to_json(["\ud800"])
    assert to_text("a\ud800b\udcffé") == "a?b?é"


def test_a_time_keeps_its_microseconds() -> None:
    assert to_time("1790000000.000001") == datetime.fromtimestamp(1790000000, UTC).replace(microsecond=1)


def test_a_cursor_leads_back_to_its_place() -> None:
    listing = Listing(SortField.LAST_LOSS, "asc", Status.DONE)
    for score in ("0.1", "-inf", "1790000000.123457"):
        decoded, run_id = listing.decode_cursor(listing.encode_cursor(score, "a1"))
        assert (float(decoded), run_id) == (float(score), "a1")


@pytest.mark.parametrize("cursor", ["!", "abc", "e30", "W10", "bnVsbA", "é", "W" * 10_000, "\ud800"])
def test_a_made_up_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidInput, match="cursor"):
        Listing(SortField.LAST_LOSS, "asc", None).decode_cursor(cursor)


def test_a_cursor_of_another_list_is_refused() -> None:
    cursor = Listing(SortField.LAST_LOSS, "asc", None).encode_cursor("0.1", "a1")
    for other in (
        Listing(SortField.LAST_LOSS, "desc", None),
        Listing(SortField.CO2_G, "asc", None),
        Listing(SortField.LAST_LOSS, "asc", Status.DONE),
    ):
        with pytest.raises(InvalidInput, match="cursor"):
            other.decode_cursor(cursor)
