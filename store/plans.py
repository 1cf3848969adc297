"""How carbon plans and outcomes are written in Redis, and read back."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

from schema import CarbonOutcome, CarbonPlan

# What the field "planning" of a run's hash says: it follows the grid, or was asked to run now.
PLANNED: Final = "carbon"
OVERRIDE: Final = "override"
OVERRIDE_REASON: Final = "run now was asked for"

_TIMES: Final = ("made_at", "next_at", "start_at", "deferred_until", "end_at", "deadline")
_FIGURES: Final = (
    "duration_s",
    "g_per_kwh",
    "run_now_g_per_kwh",
    "expected_co2_g",
    "run_now_co2_g",
    "saving",
)
_OUTCOME_FIGURES: Final = ("energy_kwh", "co2_g", "run_now_co2_g", "saved_g", "paused_s")


def encode_plan(plan: CarbonPlan) -> str:
    """Write a plan: times as seconds, which scripts read, windows as arrays of start, end and g/kWh."""
    values = plan.model_dump(mode="json", exclude={"windows", "is_override"}, exclude_defaults=True)
    values |= {name: seconds(getattr(plan, name)) for name in _TIMES if name in values}
    values |= {name: _rounded(values[name]) for name in _FIGURES if name in values}
    windows = [
        [seconds(window.start), seconds(window.end), _rounded(window.g_per_kwh)] for window in plan.windows
    ]
    return json.dumps(values | {"windows": windows}, separators=(",", ":"), allow_nan=False)


def decode_plan(text: str, *, is_override: bool) -> dict[str, Any]:
    """Read the values of a plan; one that was overridden says so."""
    values: dict[str, Any] = json.loads(text)
    values |= {name: _time(values[name]) for name in _TIMES if name in values}
    values["windows"] = [
        {"start": _time(start), "end": _time(end), "g_per_kwh": mean}
        for start, end, mean in values["windows"]
    ]
    return values | ({"is_override": True, "reason": OVERRIDE_REASON} if is_override else {})


def encode_outcome(outcome: CarbonOutcome) -> str:
    """Write what a run emitted."""
    values = outcome.model_dump(mode="json", exclude_defaults=True)
    values |= {name: _rounded(values[name]) for name in _OUTCOME_FIGURES if name in values}
    return json.dumps(values, separators=(",", ":"), allow_nan=False)


def seconds(moment: datetime) -> float:
    """Return a time as Redis tells it; whole ones, as slots of a grid begin at, without a fraction."""
    at = moment.timestamp()
    return int(at) if at.is_integer() else at


def _time(moment_s: float) -> datetime:
    return datetime.fromtimestamp(moment_s, UTC)


def _rounded(figure: float) -> float:
    return float(f"{figure:.6g}")
