"""How much a body may hold, counted before it is parsed: 8 MB of brackets are 300 MB of Python objects.

Whatever a text holds is none of it: a line of a log may consist of brackets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from errors import FieldError, InvalidInput
from schema.external import MAX_LINES_AT_ONCE
from schema.histograms import MAX_BINS, MAX_HISTOGRAMS
from schema.live import MAX_SAMPLES
from settings import Settings
from trainers.safetensors_header import MAX_TENSORS

# What a body has beside its points, lines or samples.
_OTHERS: Final = 10
_NOTHING_STORED: Final = "nothing of it was stored."


class Bound(NamedTuple):
    """The most of something, the field it is counted for, and what to say to a body that has more."""

    most: int
    field: str
    sentence: str


class Shape(NamedTuple):
    """The bounds of a body. The parser makes no more objects than these together."""

    lists: Bound
    """Lists and objects."""
    commas: Bound
    texts: Bound
    """Texts, names of fields among them."""


def check_shape(body: bytes, shape: Shape) -> None:
    """Raise InvalidInput where a body holds more than its shape, or is no JSON and seems to.

    Nothing is parsed. JSON that holds no more is never refused: where brackets and commas are too
    many, those within texts are left out.
    """
    if _is_within(body, shape):
        return
    # Behind these no backslash hides a quote. Outside of texts there is none: the parser ends at it.
    plain = body.replace(rb"\\", b"").replace(rb"\"", b"")
    _refuse_above(shape.texts, plain.count(b'"') // 2)
    outside = b"".join(plain.split(b'"')[::2])
    _refuse_above(shape.lists, _count_lists(outside))
    _refuse_above(shape.commas, outside.count(b","))


def _is_within(body: bytes, shape: Shape) -> bool:
    """Tell whether a body is within its bounds, whatever its texts hold: most are."""
    return (
        _count_lists(body) <= shape.lists.most
        and body.count(b",") <= shape.commas.most
        and body.count(b'"') <= 2 * shape.texts.most
    )


def _count_lists(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def _refuse_above(bound: Bound, count: int) -> None:
    if count > bound.most:
        raise InvalidInput(bound.sentence, details=[FieldError(bound.field, "has too many parts")])


def _points(settings: Settings) -> Shape:
    """Each point has three numbers, one of which may be a word, and each metric three lists in an object."""
    metrics, points = settings.max_metrics, settings.max_batch_points
    fewer = (
        f"The batch has more lists than {metrics} metrics do, the limit set by WATTLE_MAX_METRICS. "
        f"Send fewer metrics at once; {_NOTHING_STORED}"
    )
    smaller = (
        f"The batch has more than {points} points, the limit set by WATTLE_MAX_BATCH_POINTS. "
        f"Send smaller ones; {_NOTHING_STORED}"
    )
    return Shape(
        lists=Bound(4 * metrics + _OTHERS, "points", fewer),
        commas=Bound(3 * points + metrics + _OTHERS, "points", smaller),
        texts=Bound(points + 4 * metrics + _OTHERS, "points", smaller),
    )


def _lines(_settings: Settings) -> Shape:
    sentence = f"The batch has more than {MAX_LINES_AT_ONCE} lines. Send smaller ones; {_NOTHING_STORED}"
    return _records("lines", MAX_LINES_AT_ONCE, fields=2, sentence=sentence)


def _histograms(_settings: Settings) -> Shape:
    """Each has two lists of numbers and six fields."""
    sentence = (
        f"The batch has more than {MAX_HISTOGRAMS} histograms of {MAX_BINS} bins. Send smaller ones; "
        f"{_NOTHING_STORED}"
    )
    return Shape(
        lists=Bound(3 * MAX_HISTOGRAMS + _OTHERS, "histograms", sentence),
        commas=Bound((2 * MAX_BINS + _OTHERS) * MAX_HISTOGRAMS, "histograms", sentence),
        texts=Bound(_OTHERS * (MAX_HISTOGRAMS + 1), "histograms", sentence),
    )


def _samples(_settings: Settings) -> Shape:
    sentence = f"The update has more than {MAX_SAMPLES} samples. Send fewer; {_NOTHING_STORED}"
    return _records("samples", MAX_SAMPLES, fields=5, sentence=sentence)


def _records(field: str, most: int, *, fields: int, sentence: str) -> Shape:
    """Return the shape of a body that is a list of plain objects, each with so many fields."""
    return Shape(
        lists=Bound(most + _OTHERS, field, sentence),
        commas=Bound(most * fields + _OTHERS, field, sentence),
        texts=Bound(2 * most * fields + 2 * _OTHERS, field, sentence),
    )


def _file(what: str, *, lists: int, commas: int, texts: int) -> Shape:
    sentence = f"The artifact was refused: {what}. Send anything else as kind=file."
    return Shape(*(Bound(most, "body", sentence) for most in (lists, commas, texts)))


# Each tensor is an object with five texts and two lists, which seldom have more than five numbers.
WEIGHTS: Final = _file(
    f"its header has more than {MAX_TENSORS} tensors, the most that are taken",
    lists=3 * MAX_TENSORS + _OTHERS,
    commas=8 * MAX_TENSORS,
    texts=6 * MAX_TENSORS,
)
# As many as the largest graph that is taken can have, where it is one.
GRAPH: Final = _file(
    "it has more nodes, edges and sizes than a graph may have",
    lists=400_000,
    commas=800_000,
    texts=800_000,
)

# By endpoint, for every one that takes larger bodies than others.
SHAPES: Final[Mapping[str, Callable[[Settings], Shape]]] = {
    "metrics.record_points": _points,
    "metrics.append_log": _lines,
    "histograms.record_histograms": _histograms,
    "live.update_batch": _samples,
}
