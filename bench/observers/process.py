"""An observer's process, seen from the benchmark."""

from __future__ import annotations

from collections.abc import Sequence

from bench.conversation import ROOT, Conversation
from bench.energy_ratios import Figure

__all__ = ["ROOT", "ObserverProcess"]


class ObserverProcess(Conversation):
    """Begins and ends spans in another process; one that ends or reads nothing gives the reason."""

    def __init__(self, name: str, program: Sequence[str]) -> None:
        """program: the interpreter and its arguments. Waits until the observer is ready."""
        super().__init__(name, program)
        self.covers = str(self.greeting.get("covers", ""))
        if "reason" in self.greeting:
            self.reason = str(self.greeting["reason"])

    def begin(self) -> None:
        """Begin a span; returns once the observer has."""
        self.ask("begin")

    def end(self) -> Figure:
        """End it."""
        answer = self.ask("end")
        reason = answer.get("reason") or self.reason
        return Figure(answer.get("joules", {}), answer.get("span_s"), answer.get("core_share"), reason)
