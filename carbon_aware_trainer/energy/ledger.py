"""What one worker knows from the log: what it and the whole machine used between any two moments."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from carbon_aware_trainer.energy.history import History, Span
from carbon_aware_trainer.energy.host import Sample
from carbon_aware_trainer.energy.sample_log import Entry, Header, OtherFigure
from carbon_aware_trainer.energy.steps import Knot, Steps
from carbon_aware_trainer.errors import MeterUnavailable
from carbon_aware_trainer.records import Counter, Reading, Source, SourceReading, add_up

_IDLE_NS, _SHORTEST_IDLE_NS = 10 * 10**9, 10**9
# CodeCarbon's own figure has to cover this part of a span; the rest is taken as like it.
_COVERED = 0.9
_MISSED = "The energy sampler did not count this worker for a while."


class _Column:
    """One cumulative value through all sessions of samplers, each of which counts from 0."""

    def __init__(self) -> None:
        self.history = History()
        self._joules = 0.0
        self._last: float | None = None

    def add(self, at_ns: int, joules: float, lost: str | None, knots: Sequence[Knot], begun_ns: int) -> None:
        """begun_ns: when the step that is going on began, for a column that has missed its beginning."""
        before_j, is_cut = self._joules, self._last is None or lost is not None
        if self._last is not None and lost is None:
            self._joules += max(0.0, joules - self._last)
        self._last = joules
        counters = [Counter(self._joules if knot.is_new else before_j, knot.at_ns) for knot in knots]
        if is_cut:
            counters.append(Counter(self._joules, begun_ns))
        self.history.add(Counter(self._joules, at_ns), lost=lost, knots=counters)

    def restart(self) -> None:
        self._last = None


class Ledger:
    """The columns of one worker and those of the machine. Not safe for threads."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._header: Header | None = None
        self._host: dict[str, _Column] = {}
        self._own: dict[str, _Column] = {}
        self._steps: dict[str, Steps] = {}
        self._missed: str | None = None
        self._training: deque[tuple[int, int]] = deque(maxlen=400)
        self._other = History()
        self._other_offset_j = 0.0
        self._other_break: str | None = None
        self.other_failure = "CodeCarbon's own figure was not asked for."
        self._break: str | None = None
        self.newest_ns: int | None = None

    @property
    def sources(self) -> tuple[Source, ...]:
        """What the sampler reads; empty before the first header."""
        return self._header.sources if self._header else ()

    @property
    def is_listed(self) -> bool:
        """True once the sampler counts this worker's part."""
        return bool(self._own)

    def settled_ns(self, gpus: Iterable[str]) -> int | None:
        """Return up to which moment what the worker used is known for good; None before the first sample.

        A counter that moves in steps knows it after its next step, or when that does not come in time.
        """
        settled = [steps.settled_ns for steps in self._find_steps(gpus)]
        return min((*settled, self.newest_ns)) if self.newest_ns is not None else None

    def longest_step(self, gpus: Iterable[str]) -> tuple[int, int]:
        """Return the coarsest step of what the worker uses, and after what time without one none comes."""
        steps = self._find_steps(gpus)
        longest_ns = max((one.step_ns for one in steps), default=0)
        return longest_ns, max((one.patience_ns for one in steps), default=0)

    def add(self, entry: Entry, *, now_ns: int) -> None:
        """Take over an entry; what is from the future is of a time before the last boot and ignored."""
        if isinstance(entry, Header):
            self._enter(entry)
        elif entry.at_ns > now_ns:
            return
        elif isinstance(entry, OtherFigure):
            self._add_other(entry)
        else:
            self._add_sample(entry)

    def reading(
        self, start_ns: int, end_ns: int, gpus: Mapping[str, str], failed: Mapping[str, str]
    ) -> Reading:
        """Return what the worker used in a span that the samples cover.

        gpus: the UUIDs of gpu:0, … that it trains on. failed: why others of them are unknown.
        """
        keys = {**gpus, **self._name_shared()}
        parts = {name: self._part(key, start_ns, end_ns) for name, key in keys.items()}
        parts |= {name: SourceReading(None, reason=reason) for name, reason in failed.items()}
        if not parts:
            return Reading((end_ns - start_ns) / 1e9, reason="The energy sampler has not begun yet.")
        return add_up((end_ns - start_ns) / 1e9, parts)

    def idle_power_w(self, until_ns: int, gpus: Mapping[str, str]) -> dict[str, float] | None:
        """Return the mean power by source in up to 10 s before a moment in which no worker trained.

        gpus: the UUIDs of gpu:0, … that count. None when that is less than a second, or a source is unknown.
        """
        start_ns = until_ns - _IDLE_NS
        for at_ns, training in reversed(self._training):
            if at_ns <= until_ns and training:
                start_ns = max(start_ns, at_ns)
                break
        start_ns = max(start_ns, self._training[0][0]) if self._training else until_ns
        keys = {**gpus, **self._name_shared()}
        end_ns = min(until_ns, self.settled_ns(gpus.values()) or until_ns)
        if not keys or end_ns - start_ns < _SHORTEST_IDLE_NS:
            return None
        try:
            spans = {name: self._host[key].history.between(start_ns, end_ns) for name, key in keys.items()}
        except (MeterUnavailable, KeyError):  # one part unknown: no figure that looks like the whole
            return None
        return {name: span.joules / ((end_ns - start_ns) / 1e9) for name, span in spans.items()}

    def other_j(self, start_ns: int, end_ns: int) -> float:
        """Return CodeCarbon's own figure for the machine in a span; its last step may be a straight line.

        Raises MeterUnavailable when it covers too little of the span.
        """
        newest = self._other.newest
        if newest is None:
            raise MeterUnavailable(self.other_failure)
        covered_ns = min(end_ns, newest.at_ns)
        if covered_ns - start_ns < _COVERED * (end_ns - start_ns):
            raise MeterUnavailable("The run was too short for CodeCarbon, which reads every few seconds.")
        if self._other.begun_ns > start_ns:
            raise MeterUnavailable("CodeCarbon was still starting when the run began.")
        joules = self._other.between(start_ns, covered_ns).joules
        return joules * (end_ns - start_ns) / (covered_ns - start_ns)

    def _enter(self, header: Header) -> None:
        last, self._header = self._header, header
        if last is None:
            return
        if header.session != last.session:
            self._begin_session(
                f"The energy sampler of this machine ended (process {last.pid}) and another took over."
            )
        elif header.file not in (last.file, last.file + 1):
            self._break = "This worker was stopped for long and missed a part of the energy samples."

    def _begin_session(self, why: str) -> None:
        self._break = self._other_break = why
        for column in (*self._host.values(), *self._own.values()):
            column.restart()
        self._other_offset_j, newest = 0.0, self._other.newest
        if newest is not None:
            self._other_offset_j = newest.joules

    def _add_sample(self, sample: Sample) -> None:
        if self.newest_ns is not None and sample.at_ns < self.newest_ns and self._break is not None:
            self._host, self._own, self._steps = (
                {},
                {},
                {},
            )  # those were samples of a time before the last boot
        broken, self._break = self._break, None
        own, mine = sample.own.get(self._pid), sample.lost_of.get(self._pid) or self._missed
        for key, joules in sample.host.items():
            lost = broken or sample.lost.get(key)
            steps = self._steps.setdefault(key, Steps(self._step_s(key)))
            knots = steps.advance(sample.at_ns, joules, is_lost=lost is not None)
            self._host.setdefault(key, _Column()).add(sample.at_ns, joules, lost, knots, steps.knot_ns)
            if own is not None:
                column = self._own.setdefault(key, _Column())
                column.add(sample.at_ns, own.get(key, 0.0), lost or mine, knots, steps.knot_ns)
        self._missed = None if own is not None or not self._own else mine or _MISSED
        self._training.append((sample.at_ns, sample.training))
        self.newest_ns = sample.at_ns

    def _step_s(self, key: str) -> float:
        return next((source.step_s for source in self.sources if source.key == key), 0.0)

    def _add_other(self, figure: OtherFigure) -> None:
        if figure.joules is None:
            self.other_failure = figure.reason or "CodeCarbon has failed."
            self._other = History()
        else:
            counter = Counter(self._other_offset_j + figure.joules, figure.at_ns)
            self._other.add(counter, lost=self._other_break)
            self._other_break = None

    def _find_steps(self, gpus: Iterable[str]) -> list[Steps]:
        return [self._steps[key] for key in (*gpus, *self._name_shared()) if key in self._steps]

    def _name_shared(self) -> dict[str, str]:
        return {source.key: source.key for source in self.sources if source.is_counted and _is_shared(source)}

    def _part(self, key: str, start_ns: int, end_ns: int) -> SourceReading:
        source = next((source for source in self.sources if source.key == key), None)
        column, whole = self._own.get(key), self._host.get(key)
        try:
            if source is None or column is None or whole is None:
                failed = self._header.failed if self._header else {}
                raise MeterUnavailable(failed.get(key, "The energy sampler does not count this worker yet."))
            span = column.history.between(start_ns, end_ns)
            all_j = whole.history.between(start_ns, end_ns).joules
        except MeterUnavailable as error:
            return SourceReading(None, reason=str(error))
        share = min(1.0, span.joules / all_j) if all_j > 0 else None
        return SourceReading(span.joules, source.quality, window_s=_window_s(source, span), share=share)


def _window_s(source: Source, span: Span) -> float:
    return max(source.step_s, span.window_s)


def _is_shared(source: Source) -> bool:
    """True for what every worker has a part of; a GPU belongs to those that train on it."""
    return not source.key.startswith("GPU-")
