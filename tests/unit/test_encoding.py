"""What comes back from a checkpoint is what went in, to the bit."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from errors import CheckpointInvalid
from trainers.encoding import State, decode_state, encode_state

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
STATES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner)
    ),
)


def round_trip(state: State) -> State:
    return decode_state(*encode_state(state))


@given(STATES)
def test_plain_values_come_back_as_they_were(state: State) -> None:
    assert repr(round_trip(state)) == repr(state)


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool]
)
def test_tensors_come_back_with_type_and_every_bit(dtype: torch.dtype) -> None:
    tensor = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0)).mul(100).to(dtype)
    back = round_trip({"a": [tensor]})["a"][0]
    assert back.dtype is dtype
    assert torch.equal(back, tensor)


def test_the_memory_format_comes_back() -> None:
    tensor = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    back = round_trip(tensor)
    assert back.stride() == tensor.stride()
    assert torch.equal(back, tensor)


def test_tensors_that_share_memory_are_kept_apart() -> None:
    tensor = torch.arange(4.0)
    assert [item.tolist() for item in round_trip([tensor, tensor])] == [[0, 1, 2, 3]] * 2


def test_a_value_that_is_no_state_is_refused() -> None:
    with pytest.raises(TypeError, match="function"):
        encode_state({"a": math.sqrt})


@pytest.mark.parametrize(
    "document", [{"$tensor": "7", "channels_last": False}, {"$float": "zero"}, {"other": 1}, {"$pairs": 3}]
)
def test_a_document_that_is_no_state_is_refused(document: State) -> None:
    tensors, _ = encode_state([torch.ones(1)])
    with pytest.raises(CheckpointInvalid):
        decode_state(tensors, document)
