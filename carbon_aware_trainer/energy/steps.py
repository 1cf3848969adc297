"""When a counter that moves in steps moved: between those moments, and no others, it is interpolated."""

from __future__ import annotations

from dataclasses import dataclass

from carbon_aware_trainer.records import Counter

# A counter that moves more often has moved at every sample that was not rung for.
_SHORTEST_STEP_NS = 50_000_000
_SAMPLE_NS = 100_000_000


@dataclass(frozen=True, slots=True)
class Knot:
    """A moment at which the columns of a source have their value of a sample, or still of the one before."""

    at_ns: int
    is_new: bool


class Steps:
    """Follows the machine's counter of one source. What a moment was said to be never changes later.

    Samples are closer together than the counter moves wherever somebody rings. A step that they show belongs
    to the whole time since the step before; of one seen late it is assumed that it came in time.
    """

    def __init__(self, step_s: float) -> None:
        step_ns = round(step_s * 1e9)
        self.step_ns = step_ns if step_ns >= _SHORTEST_STEP_NS else 0
        # Without a move for so long, a device has used nothing.
        self.patience_ns = step_ns * 3 // 2 + _SAMPLE_NS if self.step_ns else 0
        self.knot_ns = 0
        self._seen: Counter | None = None
        self._is_pending = False

    @property
    def settled_ns(self) -> int:
        """Up to which moment the counter's value is known for good."""
        if self._seen is None or self._is_pending:
            return self.knot_ns
        return max(self.knot_ns, self._seen.at_ns - self.patience_ns)

    def advance(self, at_ns: int, joules: float, *, is_lost: bool = False) -> list[Knot]:
        """Take over a sample of the counter; return the moments it adds, oldest first."""
        seen, self._seen = self._seen, Counter(joules, at_ns)
        if seen is None or is_lost or not self.step_ns:
            self.knot_ns, self._is_pending = at_ns, False
            before = [Knot(seen.at_ns, False)] if seen is not None else []
            return [*before, Knot(at_ns, True)]
        knots: list[Knot] = []
        if self._is_pending and at_ns >= self.knot_ns + self.step_ns:
            self.knot_ns, self._is_pending = self.knot_ns + self.step_ns, False
            knots.append(Knot(self.knot_ns, False))
        if joules != seen.joules:
            knots += self._move(seen.at_ns, at_ns)
        return knots

    def _move(self, after_ns: int, at_ns: int) -> list[Knot]:
        """Place a move between two samples; one that comes too soon waits for its time."""
        since_ns = at_ns - self.knot_ns
        if since_ns < self.step_ns * 3 // 4:
            self._is_pending = True
            return []
        due_ns = self.knot_ns + max(1, since_ns // self.step_ns) * self.step_ns
        moved_ns = min(at_ns, max(after_ns, due_ns))
        rested_ns = min(after_ns, moved_ns - self.patience_ns)
        knots = [Knot(rested_ns, False)] if rested_ns > self.knot_ns else []
        self.knot_ns, self._is_pending = moved_ns, False
        return [*knots, Knot(moved_ns, True)]
