"""Every decision a scheduler made, oldest first, and their export."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC
from pathlib import Path
from typing import overload

from carbon_aware_trainer.monitoring.tables import Row, write_rows
from carbon_aware_trainer.plans import Decision

# A check every five minutes for a year.
MOST_DECISIONS = 105_120


class DecisionLog(Sequence[Decision]):
    """The newest decisions of a scheduler; the oldest of more than ``most`` are forgotten."""

    def __init__(self, most: int = MOST_DECISIONS) -> None:
        """Start empty."""
        self._decisions: list[Decision] = []
        self._most = most

    def add(self, decision: Decision) -> Decision:
        """Keep a decision and return it."""
        self._decisions.append(decision)
        if len(self._decisions) > self._most:
            del self._decisions[0]
        return decision

    def rows(self) -> list[Row]:
        """Return them as rows: time (ISO 8601, UTC), intensity and threshold (g/kWh), decision, reason."""
        return [
            {
                "time": decision.at.astimezone(UTC).isoformat(),
                "intensity": decision.g_per_kwh,
                "threshold": decision.threshold_g_per_kwh,
                "decision": decision.action,
                "reason": decision.reason,
            }
            for decision in self._decisions
        ]

    def export(self, path: str | Path) -> Path:
        """Write the rows as JSON, CSV or Parquet, by the ending of the name."""
        return write_rows(Path(path), self.rows(), columns=COLUMNS)

    def __len__(self) -> int:
        """Return how many are kept."""
        return len(self._decisions)

    @overload
    def __getitem__(self, index: int) -> Decision: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Decision]: ...
    def __getitem__(self, index: int | slice) -> Decision | Sequence[Decision]:
        """Return one, or some of them."""
        return self._decisions[index]

    def __iter__(self) -> Iterator[Decision]:
        """Go through them, oldest first."""
        return iter(list(self._decisions))


COLUMNS = ("time", "intensity", "threshold", "decision", "reason")
