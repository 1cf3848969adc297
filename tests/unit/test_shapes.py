"""What a body holds is counted right before it is parsed, whatever its texts hold."""

from __future__ import annotations

import json
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.access.guard import LIMITS
from api.shapes import SHAPES, Bound, Shape, check_shape
from errors import InvalidInput
from schema.external import MAX_LINES_AT_ONCE
from schema.histograms import MAX_BINS, MAX_HISTOGRAMS
from schema.live import MAX_SAMPLES
from settings import Settings

NASTY: Final = st.text('[]{},:"\\ab\n')
VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | NASTY,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NASTY, inner, max_size=4),
    max_leaves=20,
)


def shape(lists: int, commas: int, texts: int) -> Shape:
    return Shape(*(Bound(most, "lines", "Too many.") for most in (lists, commas, texts)))


def count(value: object) -> tuple[int, int, int]:
    """Return how many lists, commas and texts a value has as JSON."""
    if isinstance(value, str):
        return 0, 0, 1
    if not isinstance(value, list | dict):
        return 0, 0, 0
    parts = [*value, *value.values()] if isinstance(value, dict) else value
    inner = [count(part) for part in parts]
    lists, commas, texts = (sum(place) for place in zip(*inner, strict=True)) if inner else (0, 0, 0)
    return lists + 1, commas + max(0, len(value) - 1), texts


def is_refused(body: bytes, bounds: tuple[int, int, int]) -> bool:
    try:
        check_shape(body, shape(*bounds))
    except InvalidInput:
        return True
    return False


@settings(deadline=None, derandomize=True, database=None, max_examples=300)
@given(value=VALUES, is_ascii=st.booleans())
def test_a_body_is_refused_just_when_it_holds_more_than_it_may(value: object, is_ascii: bool) -> None:
    body = json.dumps(value, ensure_ascii=is_ascii).encode()
    lists, commas, texts = count(value)
    assert not is_refused(body, (lists, commas, texts))
    assert lists == 0 or is_refused(body, (lists - 1, commas, texts))
    assert commas == 0 or is_refused(body, (lists, commas - 1, texts))
    assert texts == 0 or is_refused(body, (lists, commas, texts - 1))


@pytest.mark.parametrize("start", [b"[", b"[{},", b'{"a":', b'["a",', b'["\\"",', b'["\\\\",'])
def test_a_body_that_is_cut_short_is_counted_as_far_as_it_is_json(start: bytes) -> None:
    for end in (b"", b'"', b"\\", b'\\"', b'\\\\"[', b"x"):
        assert is_refused(start * 20 + end, (19, 19, 19))


def test_every_route_that_takes_large_bodies_has_a_shape() -> None:
    assert SHAPES.keys() == LIMITS.keys()


def test_the_largest_bodies_are_within_their_shapes() -> None:
    words = '[[{{"\\'
    line = {"time": 1.5, "text": words * 100}
    sample = dict.fromkeys(("sample_id", "prediction", "ground_truth", "image_b64"), words)
    points = {"steps": [1] * 50, "values": ["NaN"] * 50, "times": [0] * 50}
    samples = [{**sample, "confidence": 0.5}] * MAX_SAMPLES
    update = {"iteration": 1, "loss": 1, "batch_size": 1, "delay_ms": 1, "run_id": "a", "samples": samples}
    histogram = {"name": words, "step": 1, "time": 1, "edges": [1.5] * (MAX_BINS + 1)}
    histogram |= {"counts": [1] * MAX_BINS, "nonfinite": 1}
    largest = {
        "metrics.record_points": {
            "session": "s",
            "seq": 1,
            "points": {f"m{n}": points for n in range(2_000)},
        },
        "metrics.append_log": {"session": "s", "seq": 1, "lines": [line] * MAX_LINES_AT_ONCE},
        "histograms.record_histograms": {
            "session": "s",
            "seq": 1,
            "histograms": [histogram] * MAX_HISTOGRAMS,
        },
        "live.update_batch": update,
    }
    for endpoint, shape_of in SHAPES.items():
        check_shape(json.dumps(largest[endpoint]).encode(), shape_of(Settings()))


def test_a_body_of_brackets_commas_or_texts_alone_is_refused() -> None:
    for shape_of in SHAPES.values():
        for part in (b"[],", b"{},", b"1,", b'"",', b'"a":1,', b'"\\"",'):
            with pytest.raises(InvalidInput, match="nothing of it was stored"):
                check_shape(b"[" + part * 400_000, shape_of(Settings()))
