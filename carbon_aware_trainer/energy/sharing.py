"""Who used how much: the energy of a machine, divided among the workers on it.

All that workers get of a source, added up, never exceeds what the source gave.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

CPU = "cpu"
# The machine's busy time comes in ticks of 10 ms, so CPU time is compared over at least this long. What a
# counter shows at once it has gathered since its last step, so over that as well.
_WINDOW_NS = 10**9


@dataclass(frozen=True, slots=True)
class Observed:
    """What was read of a machine at one moment; all values are cumulative."""

    at_ns: int
    joules: Mapping[str, float]  # by source
    lost: Mapping[str, str]  # by source: why what it gave since the last moment is not known
    busy_s: float  # CPU time of all processes of the machine
    tree_s: Mapping[int, float]  # CPU time of each worker's processes; a worker is missing if unreadable
    training: Mapping[str, frozenset[int]]  # the workers that trained on a GPU since the last moment
    step_s: Mapping[str, float] = field(default_factory=dict)  # by source: how often its counter moves


@dataclass(slots=True)
class Shares:
    """Cumulative joules by source: of the machine, and of each worker. No part of it ever decreases."""

    host: dict[str, float] = field(default_factory=dict)
    own: dict[int, dict[str, float]] = field(default_factory=dict)


class Sharing:
    """Divides CPU and memory by CPU time, a GPU equally among the workers that train on it.

    w_per_thread: the power of a busy thread where the CPU's energy is estimated and its source made here.
    """

    def __init__(self, w_per_thread: float | None = None) -> None:
        self.shares = Shares()
        self._w_per_thread = w_per_thread
        self._window: deque[Observed] = deque()
        self._first_busy_s: float | None = None

    def advance(self, seen: Observed) -> Shares:
        """Add what was used since the last moment; what was lost belongs to nobody."""
        shares, last = self.shares, self._window[-1] if self._window else seen
        self._window.append(seen)
        window_ns = {key: max(_WINDOW_NS, round(seen.step_s.get(key, 0.0) * 1e9)) for key in seen.joules}
        longest_ns = max(window_ns.values(), default=_WINDOW_NS)
        while len(self._window) > 2 and self._window[1].at_ns <= seen.at_ns - longest_ns:
            self._window.popleft()
        for pid in seen.tree_s:
            shares.own.setdefault(pid, {})
        by_cpu_time = {ns: self._cpu_shares(seen, ns) for ns in {*window_ns.values()}}
        for key, joules in seen.joules.items():
            delta_j = 0.0 if key in seen.lost else joules - last.joules.get(key, joules)
            shares.host[key] = shares.host.get(key, 0.0) + delta_j
            parts = _equal(seen.training[key]) if key in seen.training else by_cpu_time[window_ns[key]]
            for pid, share in parts.items():
                _add(shares, pid, key, delta_j * share)
        if self._w_per_thread is not None:
            self._estimate_cpu(seen, last, self._w_per_thread)
        return shares

    def forget(self, pid: int) -> None:
        """Drop a worker that is gone."""
        self.shares.own.pop(pid, None)

    def _cpu_shares(self, seen: Observed, window_ns: int) -> dict[int, float]:
        """Return the workers' shares of the latest busy time; their sum is at most 1."""
        begun = bisect_right(self._window, seen.at_ns - window_ns, key=lambda moment: moment.at_ns)
        first = self._window[max(0, begun - 1)]
        used = {pid: max(0.0, now_s - first.tree_s.get(pid, 0.0)) for pid, now_s in seen.tree_s.items()}
        whole_s = max(seen.busy_s - first.busy_s, sum(used.values()))
        return {pid: used_s / whole_s for pid, used_s in used.items()} if whole_s > 0 else {}

    def _estimate_cpu(self, seen: Observed, last: Observed, w_per_thread: float) -> None:
        """Charge every CPU second its power. The machine's sum is at least that of its workers."""
        if self._first_busy_s is None:
            self._first_busy_s = seen.busy_s
        given_j = 0.0
        for pid, now_s in seen.tree_s.items():
            used_j = max(0.0, now_s - last.tree_s.get(pid, now_s)) * w_per_thread
            _add(self.shares, pid, CPU, used_j)
            given_j += used_j
        busy_j = (seen.busy_s - self._first_busy_s) * w_per_thread
        self.shares.host[CPU] = max(self.shares.host.get(CPU, 0.0) + given_j, busy_j)


def _equal(pids: frozenset[int]) -> dict[int, float]:
    return {pid: 1 / len(pids) for pid in pids}


def _add(shares: Shares, pid: int, key: str, joules: float) -> None:
    own = shares.own.setdefault(pid, {})
    own[key] = own.get(key, 0.0) + joules
