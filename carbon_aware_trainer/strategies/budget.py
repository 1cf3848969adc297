"""A limit to grams of CO2: of a day, or of a whole project."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from carbon_aware_trainer.plans import Decision


@dataclass(frozen=True, slots=True)
class Budget:
    """At most ``limit_g`` in each day of UTC, or in all. Raises ValueError when that is not above zero."""

    limit_g: float
    period: Literal["day", "project"] = "project"

    def __post_init__(self) -> None:
        """Check the limit."""
        if not self.limit_g > 0:
            raise ValueError(f"A budget of {self.limit_g:g} g allows nothing. Set one above zero, or none.")


@dataclass(frozen=True, slots=True)
class Spent:
    """What was emitted, and when."""

    at: datetime
    co2_g: float


def left_g(budget: Budget, spending: Iterable[Spent], *, now: datetime) -> float:
    """Return what may still be emitted in the period that holds ``now``; below 0 when it is overspent."""
    today = now.astimezone(UTC).date()
    counted = (
        spent.co2_g
        for spent in spending
        if budget.period == "project" or spent.at.astimezone(UTC).date() == today
    )
    return budget.limit_g - sum(counted)


def decide(budget: Budget, spending: Iterable[Spent], *, expected_g: float, now: datetime) -> Decision:
    """Say whether work that is expected to emit ``expected_g`` may run now.

    Where it may not, a budget of a day allows it the next day, one of a project not before it is raised.
    """
    rest = left_g(budget, spending, now=now)
    whole = f"{budget.limit_g:.0f} g of the {budget.period}"
    if expected_g <= rest:
        return Decision(now, "run", f"{expected_g:.0f} g are expected, {rest:.0f} of {whole} are left.")
    remedy = "It may run after midnight UTC." if budget.period == "day" else "Raise the budget to go on."
    return Decision(
        now,
        "wait",
        f"{expected_g:.0f} g are expected, but {max(0.0, rest):.0f} of {whole} are left. {remedy}",
    )
