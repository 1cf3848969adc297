"""Histograms of arrays over the steps of a run, as they travel."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from schema.external import MAX_SEQUENCE, Sequence, Session, UnixTime
from schema.metrics import MetricName, Step
from schema.values import Finite, Record

MAX_BINS: Final = 256
MAX_HISTOGRAMS: Final = 64

_Count = Annotated[int, Field(ge=0, le=MAX_SEQUENCE, strict=True)]
_Edge = Annotated[Finite, Field(strict=True)]


class Histogram(Record):
    """How the values of an array were spread at one step."""

    name: MetricName
    step: Step
    time: UnixTime = Field(description="seconds since 1970, by the script's clock")
    edges: Annotated[list[_Edge], Field(min_length=2, max_length=MAX_BINS + 1)] = Field(
        description="of the bins, rising: one more than there are bins"
    )
    counts: Annotated[list[_Count], Field(min_length=1, max_length=MAX_BINS)] = Field(
        description="values in each bin"
    )
    nonfinite: _Count = Field(0, description="values that are in no bin: NaN and infinities")

    @model_validator(mode="after")
    def _check_bins(self) -> Self:
        if len(self.edges) != len(self.counts) + 1:
            raise ValueError("edges should be one more than counts")
        if any(first >= second for first, second in pairwise(self.edges)):
            raise ValueError("edges should rise")
        return self


class HistogramsRequest(Record):
    """The body of POST /api/histograms/<iid>: one batch of a session, whose batches are counted from 1."""

    session: Session
    seq: Sequence
    histograms: Annotated[list[Histogram], Field(max_length=MAX_HISTOGRAMS)]


class HistogramSeries(Record):
    """The histograms of one name by step: lists of one length."""

    steps: list[int]
    times: list[float]
    edges: list[list[float]]
    counts: list[list[int]]
    nonfinite: list[int]
    numbers: list[int] = Field(description="the place of each in the order in which they came, from 1")
    stride: int = Field(
        ge=1, description="of those that came, every so many-th from the first on is kept, and the newest"
    )


class HistogramsReply(Record):
    """The histograms of a run: what names there are, or those of the names that were asked for."""

    names: list[str] | None = Field(None, exclude_if=lambda names: names is None)
    counts: dict[str, int] | None = Field(
        None, description="how many of each name came", exclude_if=lambda counts: counts is None
    )
    histograms: dict[str, HistogramSeries] | None = Field(None, exclude_if=lambda found: found is None)
