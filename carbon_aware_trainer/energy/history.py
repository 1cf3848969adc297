"""The samples of a cumulative counter, kept for days, and what was used between any two moments."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from carbon_aware_trainer.errors import MeterUnavailable
from carbon_aware_trainer.records import Counter

_FULL_RATE_NS = 600 * 10**9  # every sample of the last ten minutes is kept,
_THIN_NS = 10 * 10**9  # before that one each 10 s,
_KEEP_NS = 14 * 24 * 3600 * 10**9  # for two weeks, the longest epoch one can be asked about
_THIN_EVERY = 6000  # samples


@dataclass(frozen=True, slots=True)
class Lost:
    """An interval whose energy is not known."""

    start_ns: int
    end_ns: int
    reason: str


@dataclass(frozen=True, slots=True)
class Span:
    """What the samples say about a span: the energy, and the widest gap between the samples at its ends."""

    joules: float
    window_s: float


class History:
    """Samples in the order of time. Not safe for threads by itself."""

    def __init__(self) -> None:
        self._samples: list[Counter] = []
        self._newest: Counter | None = None
        self._begun_ns = 0
        self._lost: list[Lost] = []
        self._thin_at = _THIN_EVERY

    def __len__(self) -> int:
        """How many samples are kept."""
        return len(self._samples)

    @property
    def newest(self) -> Counter | None:
        """The last sample; None before the first."""
        return self._newest

    @property
    def begun_ns(self) -> int:
        """From which moment on it can be asked."""
        return self._begun_ns

    def add(
        self, sample: Counter, *, lost: str | None = None, knots: Sequence[Counter] | None = None
    ) -> None:
        """Append a sample; one that is not later than the newest is ignored.

        lost: why what was used since the sample before is not known; None when it is.
        knots: between what it is interpolated, where that is not the sample itself.
        """
        newest = self._newest
        if newest is not None and sample.at_ns <= newest.at_ns:
            return
        if newest is None:
            self._begun_ns = sample.at_ns
        elif lost is not None:
            self._lose(Lost(newest.at_ns, sample.at_ns, lost))
        self._newest = sample
        for knot in (sample,) if knots is None else knots:
            if not self._samples or knot.at_ns > self._samples[-1].at_ns:
                self._samples.append(knot)
        if len(self._samples) >= self._thin_at:
            self._thin()

    def between(self, start_ns: int, end_ns: int) -> Span:
        """Return what was used in a span that the samples cover, by linear interpolation.

        Raises MeterUnavailable when they do not cover it, or a part of it was lost.
        """
        if self._newest is None or self._begun_ns > start_ns or self._newest.at_ns < end_ns:
            raise MeterUnavailable("The meter was not running through all of that time.")
        for lost in self._lost:
            if lost.start_ns < end_ns and lost.end_ns > start_ns:
                raise MeterUnavailable(lost.reason)
        start_j, start_gap_s = self._interpolate(start_ns)
        end_j, end_gap_s = self._interpolate(end_ns)
        return Span(max(0.0, end_j - start_j), max(start_gap_s, end_gap_s))

    def _lose(self, lost: Lost) -> None:
        """Note an interval; one that goes on for the same reason stays one, however long it takes."""
        last = self._lost[-1] if self._lost else None
        if last is not None and (last.end_ns, last.reason) == (lost.start_ns, lost.reason):
            self._lost[-1] = Lost(last.start_ns, lost.end_ns, lost.reason)
        else:
            self._lost.append(lost)

    def _interpolate(self, at_ns: int) -> tuple[float, float]:
        """Return the joules at a moment and the width of the gap it falls into; 0 where nothing was used."""
        index = bisect_left(self._samples, at_ns, key=lambda sample: sample.at_ns)
        after = self._samples[index] if index < len(self._samples) else self._newest
        if after is None or index == 0 or after.at_ns == at_ns:
            return (after or self._samples[0]).joules, 0.0
        before = self._samples[index - 1]
        if after.joules == before.joules:
            return before.joules, 0.0
        gap_ns = after.at_ns - before.at_ns
        share = (at_ns - before.at_ns) / gap_ns
        return before.joules + share * (after.joules - before.joules), gap_ns / 1e9

    def _thin(self) -> None:
        newest_ns = self._samples[-1].at_ns
        cut = bisect_left(self._samples, newest_ns - _FULL_RATE_NS, key=lambda sample: sample.at_ns)
        old = [sample for sample in self._samples[:cut] if sample.at_ns >= newest_ns - _KEEP_NS]
        self._samples[:cut] = _thinned(old)
        self._begun_ns = max(self._begun_ns, self._samples[0].at_ns)
        self._lost = [lost for lost in self._lost if lost.end_ns >= newest_ns - _KEEP_NS]
        self._thin_at = len(self._samples) + _THIN_EVERY


def _thinned(samples: Sequence[Counter]) -> list[Counter]:
    """Keep a sample when it is 10 s later than the last one kept."""
    kept: list[Counter] = []
    for sample in samples:
        if not kept or sample.at_ns - kept[-1].at_ns >= _THIN_NS:
            kept.append(sample)
    return kept
